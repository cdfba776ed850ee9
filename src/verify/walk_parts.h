/* The way of a packet, from file to file: walk.c on a host, link.c from one to the next, bridge.c through a bridge. */
#ifndef NESTVISOR_VERIFY_WALK_PARTS_H
#define NESTVISOR_VERIFY_WALK_PARTS_H

#include "verify/walk_internal.h"

/* walk.c */
struct hop hop_begin(struct walk *walk, struct stack_host *host, const struct packet *packet);
/* A frame comes in by an interface; where it is going matters where that is the port of a bridge. */
void hop_arrive(struct hop *hop, struct stack_link *link, const struct target *target);
/* A packet comes to hop->iif; `prerouted`: it passed that hook already, on a bridge. */
void hop_receive(struct hop *hop, bool prerouted);
void hop_route_in(struct hop *hop);    /* behind prerouting */
void walk_left(const struct hop *hop); /* it leaves its host, or ends there */
void walk_deliver_outside(struct hop *hop, const struct stack_link *out, const struct stack_link *port);

/* link.c */
void link_transmit(struct hop *hop, struct stack_link *out); /* behind postrouting */
/* A frame leaves by an interface that is no bridge; `logical` is the one that was routed to, or its bridge. */
void link_send_frame(struct hop *hop, struct stack_link *link, struct stack_link *logical, const struct target *target);

/* bridge.c */
void bridge_receive(struct hop *hop, struct stack_link *port, const struct target *target);
void bridge_send(struct hop *hop, struct stack_link *bridge, const struct target *target); /* by the host itself */

#endif
