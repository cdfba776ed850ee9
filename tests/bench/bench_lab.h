/* What the measurements of a lab's rules at L0 share (bench_switch.c, bench_packets.c): a lab of which the network
 * stands, on a machine of its own (tests/lib/machine), and two guests in it that can talk. Whatever fails ends the
 * program. */
#ifndef NESTVISOR_BENCH_LAB_H
#define NESTVISOR_BENCH_LAB_H

#include "base/error.h"
#include "model/lab.h"
#include "net/net.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

enum { GUESTS = 200, PORT = 5001 };
#define ADDRESS_OF_G1 "10.81.0.2"
#define ADDRESS_OF_G2 "10.80.0.3"

void die(const char *what, struct error *err) __attribute__((noreturn));
double now_ms(void);
/* For qsort(3) of double. */
int compare_doubles(const void *a, const void *b);

/* Half of the guests on each of two networks: g0, g2, … on the one, g1, g3, … on the other. Freed by lab_free. */
struct lab *make_lab(size_t guests);
/* What `up` leaves of its network, and g0, g1 and g2 plugged in, as namespaces of that name. */
struct net *begin_lab(struct lab *lab);
void end_lab(struct lab *lab, struct net *net);

/* Of the type, in the namespace. */
int socket_in(const char *netns, int type);
struct sockaddr_in at_port(const char *address);

/* Ahead of all others on the machine, for as long as something is measured; the children inherit it. */
void be_first(bool first);

#endif
