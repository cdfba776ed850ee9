/* A DNS client as small as can be: RFC 1035. */
#ifndef NESTVISOR_TESTS_DNS_H
#define NESTVISOR_TESTS_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DNS_SIZE = 512 };

/* A question for an address; returns its length. */
size_t dns_question(uint8_t message[DNS_SIZE], const char *name, bool ip6);

/* The answer as text, or the response code where there is none ("5": refused). Without an answer within 10 s the test
 * fails. */
void dns_ask(int netns, const char *server, const char *name, bool ip6, char ret[64]);
void dns_ask_tcp(int netns, const char *server, const char *name, bool ip6, char ret[64]);

/* Puts a resolv.conf with this resolver of the world in the machine's place, and takes it away. */
void dns_set_upstream(const char *run, const char *address);
void dns_unset_upstream(void);

/* dnsmasq is there. */
bool dns_installed(void);

#endif
