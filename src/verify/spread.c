/*
 * The way through one host follows the kernel: ip_rcv(), ip_route_input_slow(), ip_forward(), ip_output() and their
 * counterparts of IPv6. At each fork the set is split, and each part goes its own way to its end.
 */
#include "verify/spread_internal.h"

#include "base/arena.h"
#include "base/error.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_HOPS = 24, MOST_STAYS = 20000, MOST_ENDS = 100000 };

static bool names_ttl(const struct rule *rule)
{
	return !rule->text || strstr(rule->text, "ttl") || strstr(rule->text, "hoplimit") ||
	       strstr(rule->text, "-m hl");
}

/* Is there a rule that tells packets apart by their time to live? */
static bool asks_ttl(const struct stack *stack)
{
	for (size_t i = 0; i < stack->host_count; i++)
		for (size_t j = 0; j < stack->hosts[i].table_count; j++) {
			const struct stack_table *table = &stack->hosts[i].tables[j];

			for (size_t k = 0; k < table->chain_count; k++)
				for (size_t l = 0; l < table->chains[k].chain->rule_count; l++)
					if (names_ttl(&table->chains[k].chain->rules[l]))
						return true;
		}
	return false;
}

struct spread *spread_new(const struct stack *stack, struct space *space)
{
	struct spread *spread = calloc(1, sizeof(*spread));

	if (!spread)
		abort();
	spread->stack = stack;
	spread->space = space;
	spread->arena = arena_new();
	spread->kept = arena_new();
	spread->chains = calloc(stack->host_count + 1, sizeof(*spread->chains));
	spread->routing = calloc(stack->host_count + 1, sizeof(*spread->routing));
	spread->taken_over = calloc(stack->host_count + 1, sizeof(*spread->taken_over));
	if (!spread->chains || !spread->routing || !spread->taken_over)
		abort();
	spread->asks_ttl = asks_ttl(stack);
	spread->first_id = space_operator_id(space);
	spread->put_id = space_operator_id(space);
	return spread;
}

pset spread_usual_source_ports(struct space *space)
{
	return pset_interval(space, PSET_SPORT, 1024, 65535);
}

bool spread_asks_ttl(const struct spread *spread)
{
	return spread->asks_ttl;
}

void spread_free(struct spread *spread)
{
	if (!spread)
		return;
	for (size_t i = 0; i < spread->stack->host_count; i++)
		chains_free(spread->chains[i]);
	free(spread->chains);
	free(spread->routing);
	free(spread->taken_over);
	arena_free(spread->arena);
	arena_free(spread->kept);
	free(spread);
}

struct space *spread_space(const struct spread *spread)
{
	return spread->space;
}

void spread_take_over(struct spread *spread, const struct stack_host *host)
{
	spread->taken_over[host->number] = true;
}

bool spread_is_taken_over(const struct spread *spread, const struct stack_host *host)
{
	return spread->taken_over[host->number];
}

struct chains *spread_chains(struct spread *spread, const struct stack_host *host)
{
	struct chains **chains = &spread->chains[host->number];

	if (!*chains)
		*chains = chains_new(spread->space, host, NULL, spread_match_routing(spread, host));
	return *chains;
}

struct bounds bounds_in(struct space *space, struct bounds packets, pset set)
{
	return bounds_and(space, packets, bounds_exactly(set));
}

struct bounds bounds_out(struct space *space, struct bounds packets, pset set)
{
	return (struct bounds){pset_minus(space, packets.may, set), pset_minus(space, packets.must, set)};
}

pset spread_prefix(struct spread *spread, enum pset_field field, const char *text)
{
	struct prefix prefix;
	struct interval interval;

	if (!prefix_parse(text, &prefix))
		return PSET_EMPTY;
	interval = interval_of_prefix(&prefix);
	return pset_interval(spread->space, field, interval.first, interval.last);
}

pset spread_multicast(struct spread *spread, enum stack_family family)
{
	if (family == STACK_IP6)
		return spread_prefix(spread, PSET_DADDR, "ff00::/8");
	return pset_or(spread->space, spread_prefix(spread, PSET_DADDR, "224.0.0.0/4"),
		       spread_prefix(spread, PSET_DADDR, "255.255.255.255/32"));
}

pset spread_group_frames(struct spread *spread)
{
	wide group = (wide)1 << 40; /* of the first byte the lowest bit */

	return pset_masked(spread->space, PSET_DMAC, group, group | PSET_NO_MAC);
}

/* ---- ends ---- */

static struct spread_end *add_end(struct spread *spread, const struct stream *stream, struct bounds packets,
				  enum spread_fate fate)
{
	struct spread_end *end = arena_push(spread->arena, spread->ends, spread->end_count);

	*end = (struct spread_end){.fate = fate,
				   .hop = stream->hop,
				   .host = stream->host,
				   .oif = stream->oif,
				   .tracked = stream->tracked,
				   .packets = packets,
				   .passage = stream->passage};
	if (spread->end_count >= MOST_ENDS)
		spread->too_large = true;
	return end;
}

void spread_end_at(struct spread *spread, const struct stream *stream, struct bounds packets, enum spread_fate fate,
		   enum spread_reason reason)
{
	if (!spread_omits(spread, fate) && !bounds_are_empty(packets))
		add_end(spread, stream, packets, fate)->reason = reason;
}

void spread_end_on(struct spread *spread, const struct stream *stream, struct bounds packets, enum spread_fate fate,
		   enum spread_reason reason, const struct stack_route *route)
{
	struct spread_end *end;

	if (bounds_are_empty(packets))
		return;
	end = add_end(spread, stream, packets, fate);
	end->reason = reason;
	end->route = route;
}

void spread_end_by(struct spread *spread, const struct stream *stream, struct bounds packets, enum spread_fate fate,
		   enum hook hook, const struct stack_chain *chain)
{
	struct spread_end *end;

	if (spread_omits(spread, fate) || bounds_are_empty(packets))
		return;
	end = add_end(spread, stream, packets, fate);
	end->hook = hook;
	end->chain = chain;
	if (fate == SPREAD_UNKNOWN)
		end->reason = SPREAD_FOR_PROGRAM;
}

void spread_lose(struct spread *spread, struct stream *stream, pset set, enum spread_reason reason)
{
	if (!spread_omits(spread, SPREAD_LOST))
		spread_end_at(spread, stream, bounds_in(spread->space, stream->packets, set), SPREAD_LOST, reason);
	stream->packets = bounds_out(spread->space, stream->packets, set);
}

/* ---- leaving ---- */

void spread_leave(struct spread *spread, struct stream *stream, const struct stack_route *route,
		  const struct nexthop *nexthop)
{
	stream->next = nexthop->via.family ? &nexthop->via : NULL;
	spread_hook(spread, stream, stream->family, HOOK_POSTROUTING, INT_MIN, INT_MAX);
	if (bounds_are_empty(stream->packets))
		return;
	if (stream->oif->link->up == TRUTH_NO || stream->oif->link->carrier == TRUTH_NO)
		spread_end_on(spread, stream, stream->packets, SPREAD_LOST, SPREAD_FOR_LINK, route);
	else
		spread_send(spread, stream, stream->next);
}

bool spread_usable(const struct stack_host *host, const struct nexthop *nexthop)
{
	const struct stack_link *link = nexthop->dev ? stack_link(host, nexthop->dev) : NULL;

	for (size_t i = 0; i < nexthop->flag_count; i++)
		if (strcmp(nexthop->flags[i], "dead") == 0)
			return false;
	return !link || link->link->up != TRUTH_NO;
}

struct bounds spread_of_several(struct bounds packets, const struct route *route)
{
	if (route->nexthop_count > 1)
		packets.must = PSET_EMPTY;
	return packets;
}

/* The router takes one off; at the last one the packet ends. */
static void count_down(struct spread *spread, struct stream *stream)
{
	struct space *space = spread->space;
	struct bounds before;

	if (!spread->counts_ttl)
		return;
	spread_lose(spread, stream, pset_interval(space, PSET_TTL, 0, 1), SPREAD_FOR_LOOP);
	before = stream->packets;
	stream->packets.may = pset_one_lower(space, before.may, PSET_TTL);
	stream->packets.must = pset_one_lower(space, before.must, PSET_TTL);
	spread_renew(spread, stream, before, PSET_BIT(PSET_TTL));
}

bool spread_has_no_way(struct spread *spread, const struct stream *stream, const struct routed *routed)
{
	const struct stack_route *route = routed->decision.route;
	size_t usable = 0;

	for (size_t i = 0; i < route->route->nexthop_count; i++)
		usable += spread_usable(stream->host, &route->route->nexthops[i]);
	if (route->route->nexthop_count == 0)
		spread_end_on(spread, stream, routed->packets, SPREAD_UNKNOWN, SPREAD_FOR_MISSING, route);
	else if (usable == 0)
		spread_end_on(spread, stream, routed->packets, SPREAD_LOST, SPREAD_FOR_LINK, route);
	return usable == 0;
}

/* A frame for several is not sent on, though its packet be for one: translated on its way, say (ip_forward()). Unless
 * somebody asks for MACs, frames are for whom they belong to. */
static void refuse_group_frames(struct spread *spread, struct stream *stream)
{
	if (pset_support(spread->space, stream->packets.may) & PSET_BIT(PSET_DMAC))
		spread_lose(spread, stream, spread_group_frames(spread), SPREAD_FOR_MANY);
}

static void forward_by(struct spread *spread, const struct stream *stream, const struct routed *routed)
{
	const struct route *route = routed->decision.route->route;

	if (spread_has_no_way(spread, stream, routed))
		return;
	for (size_t i = 0; i < route->nexthop_count; i++) {
		const struct nexthop *nexthop = &route->nexthops[i];
		struct stream out = *stream;
		struct stack_link *oif = nexthop->dev ? stack_link(stream->host, nexthop->dev) : NULL;

		if (!spread_usable(stream->host, nexthop))
			continue;
		out.packets = spread_of_several(routed->packets, route);
		if (!oif) {
			spread_end_on(spread, &out, out.packets, SPREAD_UNKNOWN, SPREAD_FOR_MISSING,
				      routed->decision.route);
			continue;
		}
		spread_check_source(spread, &out, oif);
		refuse_group_frames(spread, &out);
		count_down(spread, &out);
		out.oif = oif;
		if (spread_is_known(&out) && spread_offloads(out.host, out.family))
			spread_end_at(spread, &out, out.packets, SPREAD_UNKNOWN, SPREAD_FOR_PROGRAM);
		spread_hook(spread, &out, stream->family, HOOK_FORWARD, INT_MIN, INT_MAX);
		if (!bounds_are_empty(out.packets))
			spread_leave(spread, &out, routed->decision.route, nexthop);
	}
}

void spread_deliver(struct spread *spread, const struct stream *stream, const struct routed *routed)
{
	struct stream in = *stream;

	in.packets = routed->packets;
	if (in.family == STACK_IP4)
		spread_make_whole(spread, &in);
	spread_hook(spread, &in, stream->family, HOOK_INPUT, INT_MIN, INT_MAX);
	spread_end_on(spread, &in, in.packets, SPREAD_DELIVERED, SPREAD_FOR_NONE, routed->decision.route);
}

void spread_check_forwarding(struct spread *spread, struct stream *stream, const struct stack_route *route)
{
	const struct number *on =
		stream->family == STACK_IP4 ? &stream->iif->forwarding4.value : &stream->host->forwarding6.value;
	struct bounds lost = stream->packets;

	if (number_or(*on, 0) != 0)
		return;
	stream->packets.must = PSET_EMPTY;
	if (on->known)
		stream->packets.may = PSET_EMPTY;
	else
		lost.must = PSET_EMPTY;
	spread_end_on(spread, stream, lost, SPREAD_LOST, SPREAD_FOR_FORWARDING, route);
}

bool spread_refuse(struct spread *spread, const struct stream *stream, const struct routed *routed)
{
	const struct stack_route *route = routed->decision.route;
	uint8_t type = route ? route->route->type : ROUTE_TYPE_UNSPEC;

	switch (routed->decision.kind) {
	case DECIDED_UNKNOWN:
		spread_end_at(spread, stream, routed->packets, SPREAD_UNKNOWN, SPREAD_FOR_MISSING);
		return true;
	case DECIDED_THROW:
		spread_end_at(spread, stream, routed->packets, SPREAD_LOST, SPREAD_FOR_ROUTE);
		return true;
	case DECIDED_NOTHING:
		spread_end_at(spread, stream, routed->packets, SPREAD_LOST, SPREAD_FOR_NO_ROUTE);
		return true;
	case DECIDED_ROUTE:
		break;
	}
	if (type != ROUTE_TYPE_BLACKHOLE && type != ROUTE_TYPE_UNREACHABLE && type != ROUTE_TYPE_PROHIBIT)
		return false;
	spread_end_on(spread, stream, routed->packets, SPREAD_LOST, SPREAD_FOR_ROUTE, route);
	return true;
}

static bool is_for_host(const struct stream *stream, uint8_t type)
{
	if (type == ROUTE_TYPE_LOCAL)
		return true;
	return type == (stream->family == STACK_IP4 ? ROUTE_TYPE_BROADCAST : ROUTE_TYPE_ANYCAST);
}

/* What routing said of packets that came in. */
static void take_route(struct spread *spread, const struct stream *arrived, struct routed *routed)
{
	struct stream stream = *arrived;

	stream.packets = routed->packets;
	if (spread_refuse(spread, &stream, routed))
		return;
	if (is_for_host(&stream, routed->decision.route->route->type)) {
		spread_check_source(spread, &stream, NULL);
		routed->packets = stream.packets;
		spread_deliver(spread, &stream, routed);
		return;
	}
	spread_check_forwarding(spread, &stream, routed->decision.route);
	if (bounds_are_empty(stream.packets))
		return;
	if (stream.family == STACK_IP6) {
		spread_lose(spread, &stream, spread_prefix(spread, PSET_SADDR, "fe80::/10"), SPREAD_FOR_SOURCE);
		spread_lose(spread, &stream, spread_prefix(spread, PSET_SADDR, "::/128"), SPREAD_FOR_SOURCE);
	}
	routed->packets = stream.packets;
	forward_by(spread, &stream, routed);
}

/* ---- coming in ---- */

static size_t add_hop(struct spread *spread, struct stream *stream)
{
	struct spread_hop *hop = arena_push(spread->arena, spread->hops, spread->hop_count);

	if (spread->hop_count >= MOST_STAYS)
		spread->too_large = true;
	*hop = (struct spread_hop){stream->host, stream->iif, stream->in_port, stream->packets, stream->hop};
	spread_note_been(spread, stream);
	return spread->hop_count - 1;
}

static pset entered(struct spread *spread, const struct stream *stream, pset set)
{
	static const pset_fields first =
		PSET_BIT(PSET_CT_SADDR) | PSET_BIT(PSET_CT_DADDR) | PSET_BIT(PSET_CT_SPORT) | PSET_BIT(PSET_CT_DPORT);
	static const enum pset_field cleared[] = {PSET_CT_MARK, PSET_STATUS, PSET_DIRECTION};
	struct space *space = spread->space;
	pset_fields forgotten = first | spread_place_fields | PSET_BIT(PSET_MARK) | PSET_BIT(PSET_FRAGMENT);
	pset known =
		pset_and(space, pset_value(space, PSET_FRAGMENT, stream->fragment), pset_value(space, PSET_MARK, 0));

	if (spread_is_known(stream))
		return spread_entered_known(spread, pset_and(space, pset_forget(space, set, forgotten), known));
	for (size_t i = 0; i < sizeof(cleared) / sizeof(*cleared); i++) {
		forgotten |= PSET_BIT(cleared[i]);
		known = pset_and(space, known, pset_value(space, cleared[i], 0));
	}
	forgotten |= PSET_BIT(PSET_STATE);
	known = pset_and(space, known, pset_value(space, PSET_STATE, stream->state));
	/* all at once: each of these goes through the whole set */
	return pset_and(space, pset_forget(space, set, forgotten), known);
}

void spread_enter_host(struct spread *spread, struct stream *stream)
{
	struct bounds before = stream->packets;

	stream->packets.may = entered(spread, stream, before.may);
	stream->packets.must = spread_is_known(stream)	  ? PSET_EMPTY
			       : bounds_are_exact(before) ? stream->packets.may
							  : entered(spread, stream, before.must);
	stream->tracked = stream->prerouted = false;
	stream->translated[false] = stream->translated[true] = false;
	stream->next = NULL;
	spread_renew(spread, stream, before,
		     PSET_BIT(PSET_MARK) | PSET_BIT(PSET_CT_MARK) | PSET_BIT(PSET_STATUS) | PSET_BIT(PSET_DIRECTION) |
			     PSET_BIT(PSET_STATE) | PSET_BIT(PSET_FRAGMENT) | PSET_BIT(PSET_CT_SADDR) |
			     PSET_BIT(PSET_CT_DADDR) | PSET_BIT(PSET_CT_SPORT) | PSET_BIT(PSET_CT_DPORT));
}

/* Apart from a time to live that no rule asks for. */
static bool are_same(struct spread *spread, struct bounds one, struct bounds other)
{
	pset_fields counted = spread->asks_ttl ? 0 : PSET_BIT(PSET_TTL);

	return pset_forget(spread->space, one.may, counted) == pset_forget(spread->space, other.may, counted);
}

/*
 * Did just these packets come to this place before? Then whatever becomes of them has been seen from there on, and what
 * has no other end goes round until its time to live ends.
 */
static bool was_here(struct spread *spread, const struct stream *stream)
{
	const struct spread_hop *hops = spread->hops, *now = &hops[stream->hop];

	for (size_t at = now->from; at < spread->hop_count; at = hops[at].from)
		if (hops[at].host == now->host && hops[at].iif == now->iif && hops[at].in_port == now->in_port &&
		    are_same(spread, hops[at].packets, now->packets))
			return true;
	return false;
}

/* One host after the other could go on for ever; a packet's time to live does not. */
static bool goes_too_far(struct spread *spread, const struct stream *stream)
{
	if ((stream->depth < MOST_HOPS || spread_is_known(stream)) && !spread->too_large)
		return false;
	if (was_here(spread, stream))
		spread_end_at(spread, stream, stream->packets, SPREAD_LOST, SPREAD_FOR_LOOP);
	else
		spread_end_at(spread, stream, stream->packets, SPREAD_UNKNOWN, SPREAD_FOR_DISTANCE);
	return true;
}

/* From prerouting on. */
static void route_arrived(struct spread *spread, struct stream *stream)
{
	pset many = spread_multicast(spread, stream->family);
	struct stream part = *stream;
	struct routed *routed, to_many = {.decision.kind = DECIDED_NOTHING};
	size_t count;

	spread_refuse_martians(spread, stream);
	part = *stream;
	to_many.packets = bounds_in(spread->space, stream->packets, many);
	stream->packets = bounds_out(spread->space, stream->packets, many);
	if (!bounds_are_empty(to_many.packets))
		spread_deliver(spread, &part, &to_many);
	count = spread_route(spread, stream, false, &routed);
	for (size_t i = 0; i < count; i++)
		take_route(spread, stream, &routed[i]);
}

/* Windows routes as its own documents say, and its firewall is not among the facts. */
static bool is_windows(struct spread *spread, struct stream *stream)
{
	pset own;

	if (stream->host->facts->system != SYSTEM_WINDOWS)
		return false;
	own = spread_own_addresses(spread, stream->host, stream->family, PSET_DADDR);
	spread_end_at(spread, stream, bounds_in(spread->space, stream->packets, own), SPREAD_DELIVERED,
		      SPREAD_FOR_NONE);
	spread_end_at(spread, stream, bounds_out(spread->space, stream->packets, own), SPREAD_UNKNOWN,
		      SPREAD_FOR_MISSING);
	return true;
}

void spread_arrive(struct spread *spread, const struct stream *arriving)
{
	struct stream stream = *arriving;

	if (spread_is_known(&stream))
		spread_visit_known(spread, &stream);
	if (bounds_are_empty(stream.packets))
		return;
	stream.depth++;
	stream.hop = add_hop(spread, &stream);
	if (goes_too_far(spread, &stream))
		return;
	if (spread_is_taken_over(spread, stream.host)) {
		spread_end_at(spread, &stream, stream.packets, SPREAD_DELIVERED, SPREAD_FOR_NONE);
		return;
	}
	if (is_windows(spread, &stream))
		return;
	if (!stream.prerouted)
		spread_hook(spread, &stream, stream.family, HOOK_PREROUTING, INT_MIN, INT_MAX);
	if (!bounds_are_empty(stream.packets))
		route_arrived(spread, &stream);
}

/* ---- asked ---- */

/* What a host sends is in no frame yet. */
static void strip_frame(struct spread *spread, struct stream *stream)
{
	struct bounds before = stream->packets;
	static const enum pset_field fields[] = {PSET_SMAC, PSET_DMAC};

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		struct pset_bits bits = pset_bits_of(fields[i]);

		stream->packets.may = pset_after(spread->space, stream->packets.may, bits, PSET_NO_MAC, ~(wide)0);
		stream->packets.must = pset_after(spread->space, stream->packets.must, bits, PSET_NO_MAC, ~(wide)0);
	}
	spread_renew(spread, stream, before, PSET_BIT(PSET_SMAC) | PSET_BIT(PSET_DMAC));
}

static void start_at(struct spread *spread, const struct spread_start *start, struct stream *stream)
{
	if (start->out) {
		spread_flood(spread, stream, (struct stack_link *)start->out, true);
	} else if (start->frames) {
		spread_flood(spread, stream, stream->in_port ? stream->in_port : stream->iif, false);
	} else if (stream->in_port && start->bridged) {
		spread_frames(spread, stream);
	} else if (stream->in_port) {
		spread_into_port(spread, stream);
	} else if (stream->iif) {
		spread_enter_host(spread, stream);
		spread_device(spread, stream, &stream->iif->ingress, HOOK_INGRESS, stream->iif);
		spread_arrive(spread, stream);
	} else {
		spread_enter_host(spread, stream);
		strip_frame(spread, stream);
		stream->hop = add_hop(spread, stream);
		spread_send_out(spread, stream);
	}
}

/* What the packets are between hosts stays the same for each of these parts. */
static void follow_part(struct spread *spread, const struct spread_start *start, pset origins, enum stack_family family,
			unsigned state, unsigned fragment)
{
	struct space *space = spread->space;
	pset set = pset_kind(space, PSET_FAMILY, family == STACK_IP4 ? PSET_IP4 : PSET_IP6);
	struct stream stream = {.host = (struct stack_host *)start->host,
				.family = family,
				.iif = (struct stack_link *)start->iif,
				.in_port = (struct stack_link *)start->in_port,
				.hop = SIZE_MAX,
				.origins = origins,
				.state = state,
				.fragment = fragment};
	pset asked = pset_kind(space, PSET_STATE, state);

	if (state != PSET_INVALID) /* what nobody has tracked yet, or an error about a connection */
		asked = pset_or(space, asked,
				pset_kind(space, PSET_STATE, state == PSET_NEW ? PSET_UNTRACKED : PSET_RELATED));
	set = pset_and(space, pset_and(space, set, asked), pset_kind(space, PSET_FRAGMENT, fragment));
	stream.packets = bounds_exactly(pset_and(space, start->packets, set));
	if (spread_is_known(&stream) || spread->omits_stopped)
		stream.packets.must = PSET_EMPTY;
	if (bounds_are_empty(stream.packets))
		return;
	if (spread->omits_macs)
		strip_frame(spread, &stream);
	start_at(spread, start, &stream);
}

static void end_known(struct spread *spread, const struct spread_start *start)
{
	struct stream stream = {.host = (struct stack_host *)start->host, .hop = SIZE_MAX};
	pset known = pset_or(spread->space, pset_kind(spread->space, PSET_STATE, PSET_ESTABLISHED),
			     pset_kind(spread->space, PSET_STATE, PSET_RELATED));

	spread_end_at(spread, &stream, bounds_exactly(pset_and(spread->space, start->packets, known)), SPREAD_UNKNOWN,
		      SPREAD_FOR_STATE);
}

static void follow(struct spread *spread, const struct spread_start *start)
{
	pset origins = pset_forget(spread->space, start->packets, ~PSET_BIT(PSET_ORIGIN));

	spread->counts_ttl =
		spread->asks_ttl || (pset_support(spread->space, start->packets) & PSET_BIT(PSET_TTL)) != 0;
	if (!start->connections)
		end_known(spread, start);
	for (enum stack_family family = STACK_IP4; family <= STACK_IP6; family++)
		for (unsigned fragment = PSET_WHOLE; fragment <= PSET_LATER_FRAGMENT; fragment++) {
			follow_part(spread, start, origins, family, PSET_NEW, fragment);
			follow_part(spread, start, origins, family, PSET_INVALID, fragment);
			if (start->connections)
				follow_part(spread, start, origins, family, PSET_ESTABLISHED, fragment);
		}
}

int spread_follow_all(struct spread *spread, const struct spread_start *starts, size_t start_count,
		      const struct spread_end **ret, size_t *ret_count, struct error **err)
{
	int result;

	arena_free(spread->arena);
	spread->arena = arena_new();
	spread->too_large = false;
	spread->waiting = NULL;
	spread->waiting_count = 0;
	spread->segments = NULL;
	spread->omits_macs = spread->gathers && !spread_asks_macs(spread, starts, start_count);
	spread->visits = NULL;
	spread->visit_count = 0;
	spread->ends = NULL;
	spread->hops = NULL;
	spread->end_count = spread->hop_count = 0;
	spread->both_ways = false;
	for (size_t i = 0; i < start_count; i++)
		spread->both_ways = spread->both_ways || (starts[i].connections &&
							  pset_overlap(spread->space, starts[i].packets,
								       pset_value(spread->space, PSET_DIRECTION, 1)));
	for (size_t i = 0; i < start_count && !spread->too_large; i++)
		follow(spread, &starts[i]);
	do {
		spread_go_on(spread);
		spread_go_on_joined(spread);
	} while (spread->waiting_count);
	result = space_check(spread->space, err);
	if (result == 0 && spread->too_large)
		result = error_set(err, E2BIG, "the question is too large: the packets go more than %d ways",
				   MOST_STAYS);
	*ret = spread->ends;
	*ret_count = spread->end_count;
	return result;
}

int spread_follow_arriving(struct spread *spread, const struct spread_start *starts, size_t start_count,
			   const struct spread_end **ret, size_t *ret_count, struct error **err)
{
	int result;

	spread->omits_stopped = true;
	result = spread_follow_gathered(spread, starts, start_count, ret, ret_count, err);
	spread->omits_stopped = false;
	return result;
}

int spread_follow_gathered(struct spread *spread, const struct spread_start *starts, size_t start_count,
			   const struct spread_end **ret, size_t *ret_count, struct error **err)
{
	int result;

	spread->gathers = true;
	result = spread_follow_all(spread, starts, start_count, ret, ret_count, err);
	spread->gathers = false;
	return result;
}

int spread_follow(struct spread *spread, const struct spread_start *start, const struct spread_end **ret,
		  size_t *ret_count, struct error **err)
{
	return spread_follow_all(spread, start, 1, ret, ret_count, err);
}

const struct spread_hop *spread_hops(const struct spread *spread, size_t *ret_count)
{
	*ret_count = spread->hop_count;
	return spread->hops;
}

/* Before connection tracking what is not left alone by a rule is invalid to rules. */
static pset as_rules_see(struct spread *spread, const struct spread_end *end)
{
	struct space *space = spread->space;
	pset untracked = pset_kind(space, PSET_STATE, PSET_UNTRACKED), others;

	if (end->tracked)
		return end->packets.may;
	others = pset_minus(space, end->packets.may, untracked);
	others = pset_after(space, others, pset_bits_of(PSET_STATE), PSET_INVALID, pset_field_last(PSET_STATE));
	return pset_or(space, others, pset_and(space, end->packets.may, untracked));
}

void spread_deciding(struct spread *spread, const struct spread_end *end, met_visitor *visitor, void *context)
{
	if (end->chain)
		chains_deciding(spread_chains(spread, end->host), end->chain, as_rules_see(spread, end),
				end->fate == SPREAD_REJECTED  ? END_BIT(END_REJECT)
				: end->fate == SPREAD_UNKNOWN ? END_BIT(END_ELSEWHERE)
							      : END_BIT(END_DROP),
				visitor, context);
}

const char *spread_reason_text(enum spread_reason reason)
{
	static const char *const texts[] = {
		[SPREAD_FOR_NONE] = "",
		[SPREAD_FOR_NO_ROUTE] = "no route",
		[SPREAD_FOR_ROUTE] = "a route that refuses",
		[SPREAD_FOR_SOURCE] = "a source that does not belong there",
		[SPREAD_FOR_DESTINATION] = "a destination that does not belong there",
		[SPREAD_FOR_FORWARDING] = "forwarding is off",
		[SPREAD_FOR_NEIGHBOUR] = "nobody has the next address",
		[SPREAD_FOR_LINK] = "the interface is down",
		[SPREAD_FOR_LOOP] = "its time to live ends",
		[SPREAD_FOR_DISTANCE] = "it passes more hosts than are followed",
		[SPREAD_FOR_PROGRAM] = "a program decides",
		[SPREAD_FOR_MANY] = "it is for several",
		[SPREAD_FOR_STATE] = "it belongs to a connection",
		[SPREAD_FOR_MISSING] = "it was not captured",
		[SPREAD_FOR_TRANSLATION] = "there is no address to translate to",
	};

	return texts[reason];
}
