/*
 * A packet's way. On each host it comes in by an interface or is sent, passes the hooks, is routed, and is taken in or
 * leaves; what leaves arrives at the next host. The order of all that is the kernel's: ip_rcv() to ip_local_deliver()
 * and ip_forward(), ip_local_out() to ip_finish_output(), and the same for IPv6.
 */
#include "verify/walk_parts.h"

#include <string.h>
#include <sys/socket.h>

enum { HOPS_MAX = 255 };

static enum stack_family family_of(const struct hop *hop)
{
	return hop->packet.family == AF_INET ? STACK_IP4 : STACK_IP6;
}

void walk_left(const struct hop *hop)
{
	struct walk *walk = hop->walk;

	if (!walk->rehearsal || hop->host != walk->question->at)
		return;
	walk->left = arena_new_struct(walk->arena, struct packet);
	*walk->left = hop->packet;
}

struct hop hop_begin(struct walk *walk, struct stack_host *host, const struct packet *packet)
{
	struct hop hop = {.walk = walk, .host = host, .packet = *packet, .mark = number_of(0)};

	if (++walk->hops > HOPS_MAX)
		walk_lose(&hop, LOST_LOOP, "it goes in circles");
	return hop;
}

static void deliver(struct hop *hop)
{
	struct answer *answer = hop->walk->answer;
	struct step *step;

	walk_left(hop);
	answer->fate = FATE_DELIVERED;
	answer->where = hop->host;
	answer->packet = hop->packet;
	answer->hook = HOOK_INPUT;
	step = walk_step(hop, STEP_END);
	step->text = walk_text(hop->walk, "local process of host %s", hop->host->name);
	step->effect = "delivered";
}

void walk_deliver_outside(struct hop *hop, const struct stack_link *out, const struct stack_link *port)
{
	struct answer *answer = hop->walk->answer;
	struct step *step;

	walk_left(hop);
	answer->fate = FATE_DELIVERED;
	answer->where = hop->host;
	answer->packet = hop->packet;
	answer->hook = HOOK_POSTROUTING;
	answer->out = out;
	answer->out_port = port == out ? NULL : port;
	step = walk_step(hop, STEP_END);
	step->text = walk_text(hop->walk, "out interface %s of host %s", out->name, hop->host->name);
	step->link = out;
	step->effect = "delivered";
}

/* ---- into the host ---- */

static void take_in(struct hop *hop)
{
	if (hop->packet.family == AF_INET) /* put together before input; IPv6 does so behind it */
		hop->packet.fragment = FRAGMENT_NONE;
	if (hook_run(hop, family_of(hop), HOOK_INPUT, hop->iif, NULL) == RULING_CONTINUE)
		deliver(hop);
}

static bool pass_router(struct hop *hop)
{
	struct packet *packet = &hop->packet;

	if (packet->ttl.known && packet->ttl.value <= 1) {
		walk_lose(hop, LOST_LOOP, "its time to live ends here");
		return false;
	}
	if (packet->ttl.known)
		packet->ttl.value--;
	return true;
}

/* A frame for several is not sent on, though its packet be for one: translated on its way, say (ip_forward()). */
static bool for_several(struct hop *hop)
{
	if (!hop->packet.dst_mac.known || !(hop->packet.dst_mac.bytes[0] & 1))
		return false;
	walk_lose(hop, LOST_SEVERAL_SENT_ON, "it came in a frame for several hosts");
	return true;
}

static void forward(struct hop *hop)
{
	struct stack_link *out = hop->route.link;

	if (for_several(hop) || !pass_router(hop) || !out ||
	    hook_run(hop, family_of(hop), HOOK_FORWARD, hop->iif, out) == RULING_STOP ||
	    hook_run(hop, family_of(hop), HOOK_POSTROUTING, hop->iif, out) == RULING_STOP)
		return;
	link_transmit(hop, out);
}

void hop_route_in(struct hop *hop)
{
	if (!hop->route.type && !fib_route_input(hop))
		return;
	if (hop->route.type == ROUTE_TYPE_LOCAL)
		take_in(hop);
	else
		forward(hop);
}

/* Windows routes as its own documents say, and its firewall is not among the facts. */
static bool is_windows(struct hop *hop)
{
	if (hop->host->facts->system != SYSTEM_WINDOWS)
		return false;
	if (stack_link_with_address(hop->host, &hop->packet.dst)) {
		walk_assume(hop->walk, NULL, "%s: Windows' firewall lets it in", hop->host->name);
		deliver(hop);
	} else {
		walk_unknown(hop->walk, hop->host, NULL, "%s: what Windows does with packets for others",
			     hop->host->name);
	}
	return true;
}

void hop_receive(struct hop *hop, bool prerouted)
{
	if (is_windows(hop))
		return;
	if (!prerouted && hook_run(hop, family_of(hop), HOOK_PREROUTING, hop->iif, NULL) == RULING_STOP)
		return;
	hop_route_in(hop);
}

void hop_arrive(struct hop *hop, struct stack_link *link, const struct target *target)
{
	struct step *step;

	if (walk_ended(hop->walk))
		return;
	step = walk_step(hop, STEP_ARRIVE);
	step->link = link;
	step->effect = walk_text(hop->walk, "in by %s", link->name);
	if (link->link->up == TRUTH_NO) {
		walk_lose(hop, LOST_LINK_DOWN, "%s is switched off", link->name);
		return;
	}
	if (hook_run_device(hop, &link->ingress, HOOK_INGRESS, link) == RULING_STOP)
		return;
	if (link->master) {
		bridge_receive(hop, link, target);
		return;
	}
	hop->iif = target->link && target->link->host == link->host ? target->link : link; /* a VLAN on it, or a bond */
	hop_receive(hop, false);
}

/* ---- out of the host ---- */

/* Over the loopback and in again; the route it has stays with it. */
static void loop_back(struct hop *hop, struct stack_link *loopback)
{
	hop->looped = true;
	hop->iif = loopback;
	if (hook_run(hop, family_of(hop), HOOK_PREROUTING, loopback, NULL) == RULING_STOP)
		return;
	hop->route.type = hop->route.type == ROUTE_TYPE_BROADCAST ? ROUTE_TYPE_LOCAL : hop->route.type;
	hop_route_in(hop);
}

static void send_out(struct hop *hop)
{
	struct step *step = walk_step(hop, STEP_SEND);
	struct stack_link *out;

	step->effect = "sent";
	hop->sent_here = true;
	if (hop->host->facts->system == SYSTEM_WINDOWS)
		walk_assume(hop->walk, NULL, "%s: Windows' firewall lets it out", hop->host->name);
	if (!fib_choose_source(hop) || !fib_route_output(hop))
		return;
	out = hop->route.link;
	if (hook_run(hop, family_of(hop), HOOK_OUTPUT, NULL, out) == RULING_STOP)
		return;
	out = hop->route.link;
	if (!out) {
		walk_lose(hop, LOST_NO_ROUTE, "its route names no interface");
		return;
	}
	if (hook_run(hop, family_of(hop), HOOK_POSTROUTING, NULL, out) == RULING_STOP)
		return;
	if (out->loopback)
		loop_back(hop, out);
	else
		link_transmit(hop, out);
}

/* ---- a question ---- */

static struct target target_of_question(struct walk *walk, const struct question *question)
{
	const struct packet *packet = &question->packet;
	struct stack_link *bridge =
		question->in_port && question->in_port->master ? question->in_port->master : question->iif;
	struct target target = {.link = bridge};

	if (!question->bridged)
		return target;
	if (packet->dst_mac.known) {
		target = segment_find_mac(walk, bridge, &packet->dst_mac);
		if (target.link || target.outside)
			return target;
	}
	return segment_resolve(walk, bridge, &packet->dst);
}

static void go(struct walk *walk, const struct question *question)
{
	struct hop hop = hop_begin(walk, question->at, &question->packet);
	struct stack_link *link = question->in_port ? question->in_port : question->iif;
	struct target target;

	if (!question->iif) {
		send_out(&hop);
		return;
	}
	target = target_of_question(walk, question);
	if (link->is_bridge || !link->master) {
		struct step *step = walk_step(&hop, STEP_ARRIVE);

		step->link = link;
		step->effect = walk_text(walk, "in by %s", link->name);
		hop.iif = link;
		if (hook_run_device(&hop, &link->ingress, HOOK_INGRESS, link) == RULING_CONTINUE)
			hop_receive(&hop, false);
		return;
	}
	if (target.link == question->iif && question->iif == link)
		target.link = link->master;
	hop_arrive(&hop, link, &target);
}

/* What answers it: the second packet of a TCP connection, the reply to an echo. */
static struct packet answer_to(const struct packet *packet)
{
	struct packet answer = *packet;
	struct tuple tuple = tuple_of(packet);

	tuple = tuple_inverse(&tuple);
	answer.src = tuple.src;
	answer.dst = tuple.dst;
	if (packet_has_ports(packet)) {
		answer.sport = tuple.sport;
		answer.dport = tuple.dport;
	}
	if (packet_is_icmp(packet))
		answer.icmp_type = (uint8_t)(tuple.dport.first >> 8);
	if (packet->protocol == PROTOCOL_TCP)
		answer.tcp_flags = packet->tcp_flags & TCP_SYN ? TCP_SYN | TCP_ACK : TCP_ACK;
	answer.ttl = number_of(64);
	answer.ttl_given = false;
	answer.src_mac = answer.dst_mac = (struct mac){};
	return answer;
}

/* It passed the bridge from port to port: the frame is another's than the bridge's. */
static bool was_bridged(const struct answer *there)
{
	const struct mac *own = &there->out->link->mac, *mac = &there->packet.src_mac;

	return there->out->is_bridge && own->known && mac->known &&
	       memcmp(own->bytes, mac->bytes, sizeof(own->bytes)) != 0;
}

/* From where a packet was delivered. */
static struct question answer_from(const struct answer *there)
{
	struct question back = {.at = there->where, .packet = answer_to(&there->packet)};

	if (there->out) {
		back.iif = stack_link(there->where, there->out->name);
		back.in_port = there->out_port ? stack_link(there->where, there->out_port->name) : NULL;
		back.packet.src_mac = there->packet.dst_mac;
		back.packet.dst_mac = there->packet.src_mac;
		back.bridged = was_bridged(there);
	}
	return back;
}

/* Did the answer come by where the packet did? Elsewhere it takes another way, if it is known to arrive at all. */
static void rehearse_answer(struct walk *walk, const struct answer *there)
{
	struct question back = answer_from(there);

	walk->answer = arena_new_struct(walk->arena, struct answer);
	walk->hops = 0;
	walk->left = NULL;
	go(walk, &back);
	for (size_t i = 0; i < walk->flow_count && walk->answer->fate != FATE_DELIVERED; i++)
		walk->flows[i]->seen_reply = true;
}

/* An ICMP error that goes the way of answers is about the first packet, and is none (nf_conntrack_in()). */
static bool is_unanswered(const struct question *question)
{
	return question->state == STATE_RELATED && question->reply;
}

/* The connection that an established packet belongs to: its first packet passed, and so did an answer. */
static void rehearse(struct walk *walk, const struct question *first)
{
	struct answer *answer = walk->answer, *there = arena_new_struct(walk->arena, struct answer);

	walk->rehearsal = true;
	walk->answer = there;
	go(walk, first);
	if (there->fate == FATE_DELIVERED && !walk->question->reply)
		rehearse_answer(walk, there);
	else if (!is_unanswered(walk->question))
		for (size_t i = 0; i < walk->flow_count; i++)
			walk->flows[i]->seen_reply = true;
	walk->rehearsal = false;
	/* What was assumed of it is assumed of the whole; where it ended does not matter. */
	answer->assumptions = there->assumptions;
	answer->assumption_count = there->assumption_count;
	walk->answer = answer;
	walk->hops = 0;
}

/*
 * An ICMP error. One that goes the way of answers is about the connection's first packet, one that goes the other way
 * is about the answer, both as they left the host where the error comes in.
 */
static struct question about(struct walk *walk, const struct question *question)
{
	struct question error = *question;
	struct packet *inner = walk->left;

	if (!inner) { /* it never came there */
		inner = arena_new_struct(walk->arena, struct packet);
		*inner = question->reply ? question->first->packet : answer_to(&question->first->packet);
	}
	error.packet.inner = inner;
	return error;
}

void walk_run(struct walk *walk)
{
	const struct question *question = walk->question;
	struct question error;

	walk->to_invalid = question->state == STATE_INVALID;
	if (question->state == STATE_RELATED && !packet_is_icmp_error(&question->packet)) {
		walk_unknown(walk, question->at, NULL,
			     "connections that a helper of connection tracking expects are not followed");
		return;
	}
	if (question->state == STATE_ESTABLISHED)
		rehearse(walk, question->first ? question->first : question);
	if (question->state == STATE_RELATED && question->first) {
		rehearse(walk, question->first);
		error = about(walk, question);
		question = &error;
	}
	go(walk, question);
	if (!walk_ended(walk))
		walk_unknown(walk, NULL, NULL, "where the packet goes");
}

bool walk_arrived(const struct answer *answer, const struct stack_host *meant)
{
	return answer->fate == FATE_DELIVERED && (!meant || (answer->where == meant && !answer->out));
}

bool walk_astray(const struct answer *answer, const struct stack_host *meant)
{
	if (answer->fate != FATE_UNKNOWN)
		return !walk_arrived(answer, meant);
	for (size_t i = 0; i < answer->end_count; i++)
		if (walk_arrived(answer->ends[i], meant))
			return false;
	return answer->end_count > 0;
}

/* ---- the answer to a packet ---- */

struct answer *walk_reply(const struct stack *stack, const struct question *question, unsigned flags,
			  struct arena *arena)
{
	const struct answer *there = walk_ask(stack, question, flags, arena);
	struct question *back;

	if (there->fate != FATE_DELIVERED)
		return NULL;
	back = arena_new_struct(arena, struct question);
	*back = answer_from(there);
	back->state = STATE_ESTABLISHED;
	back->first = question;
	back->reply = true;
	return walk_ask(stack, back, flags, arena);
}
