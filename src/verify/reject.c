/*
 * What a rule that rejects sends back: an ICMP error, or the end of a TCP connection. It is a packet of its own, which
 * the host's rules for what it sends may drop (nf_reject_ipv4.c, nf_reject_ipv6.c, icmp_send); then whoever was
 * rejected never learns it.
 */
#include "verify/evaluate.h"

#include <sys/socket.h>

static struct packet error_packet(const struct hop *hop, unsigned type, unsigned code)
{
	bool v4 = hop->packet.family == AF_INET;

	return (struct packet){.family = hop->packet.family,
			       .protocol = v4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6,
			       .dst = hop->packet.src,
			       .icmp_type = (uint8_t)type,
			       .icmp_code = (uint8_t)code,
			       .ttl = number_of(64),
			       .tos = number_of(v4 ? 0xc0 : 0), /* internetwork control */
			       .inner = &hop->packet};
}

static struct packet reset_packet(const struct hop *hop)
{
	struct packet packet = hop->packet;

	packet.src = hop->packet.dst;
	packet.dst = hop->packet.src;
	packet.sport = hop->packet.dport;
	packet.dport = hop->packet.sport;
	packet.tcp_flags = TCP_RST | (hop->packet.tcp_flags & TCP_ACK ? 0 : TCP_ACK);
	packet.fragment = FRAGMENT_NONE;
	packet.ttl = number_of(64);
	packet.src_mac = packet.dst_mac = (struct mac){};
	return packet;
}

/* The error comes from the address that was asked for where that is the host's own, else from the one toward the asker.
 */
static void choose_source(struct hop *answer, const struct hop *hop)
{
	if (answer->packet.src.family)
		return;
	if (fib_is_local(hop->host, &hop->packet.dst))
		answer->packet.src = hop->packet.dst;
	else
		fib_choose_source(answer);
}

/* Both go with the connection of what they answer (nf_ct_attach). */
static void attach(struct hop *answer, const struct hop *hop)
{
	answer->flow = hop->flow;
	answer->reply = !hop->reply;
	if (hop->flow)
		answer->tracked = TRACKED_RELATED;
	else if (hop->tracked == TRACKED_UNTRACKED)
		answer->tracked = TRACKED_UNTRACKED;
}

static bool leaves(struct hop *answer)
{
	enum stack_family family = answer->packet.family == AF_INET ? STACK_IP4 : STACK_IP6;

	return fib_route_output(answer) &&
	       hook_run(answer, family, HOOK_OUTPUT, NULL, answer->route.link) == RULING_CONTINUE &&
	       hook_run(answer, family, HOOK_POSTROUTING, NULL, answer->route.link) == RULING_CONTINUE;
}

bool reject_reaches(struct hop *hop, bool reset, unsigned type, unsigned code)
{
	struct walk *walk = hop->walk;
	struct answer *answer = walk->answer, aside = {};
	struct hop sent = {.walk = walk, .host = hop->host, .sent_here = true, .mark = number_of(0)};
	bool reaches;

	if (hop->hook == HOOK_OUTPUT ||
	    hop->family == STACK_BRIDGE) /* its sender is this host, or it stays on the bridge */
		return true;
	sent.packet = reset ? reset_packet(hop) : error_packet(hop, type, code);
	attach(&sent, hop);
	walk->answer = &aside;
	choose_source(&sent, hop);
	reaches = !walk_ended(walk) && leaves(&sent);
	walk->answer = answer;
	if (!reaches)
		walk_assume(walk, NULL, "%s: what it answers to the rejected packet does not leave it",
			    hop->host->name);
	return reaches;
}
