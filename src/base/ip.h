/* IPv4 and IPv6 addresses and prefixes (RFC 4291, RFC 4632), and Ethernet addresses. Bytes are in network order. */
#ifndef NESTVISOR_BASE_IP_H
#define NESTVISOR_BASE_IP_H

#include <stdbool.h>
#include <stdint.h>

struct ip {
	uint8_t family; /* AF_INET, AF_INET6; 0: none */
	uint8_t bytes[16]; /* the first 4 for IPv4 */
};

struct prefix {
	struct ip ip; /* as written: host bits may be set, as in 192.168.1.7/24 */
	uint8_t length;
};

enum { IP_TEXT_SIZE = 46, PREFIX_TEXT_SIZE = 50, MAC_TEXT_SIZE = 18 };

bool ip_parse(const char *text, struct ip *ret);         /* numeric only */
bool prefix_parse(const char *text, struct prefix *ret); /* "a/len"; a bare address has its full length */
const char *ip_format(const struct ip *ip, char ret[IP_TEXT_SIZE]);
const char *prefix_format(const struct prefix *prefix, char ret[PREFIX_TEXT_SIZE]);

uint8_t ip_bits(const struct ip *ip); /* 32 or 128 */
bool ip_equal(const struct ip *a, const struct ip *b);
struct prefix prefix_network(const struct prefix *prefix); /* host bits cleared */
bool prefix_contains(const struct prefix *prefix, const struct ip *ip);
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);
struct ip prefix_host(const struct prefix *prefix, uint32_t index); /* the network address plus index */
struct ip prefix_broadcast(const struct prefix *prefix);            /* the last address */

bool mac_parse(const char *text, uint8_t ret[6]);
const char *mac_format(const uint8_t mac[6], char ret[MAC_TEXT_SIZE]);

#endif
