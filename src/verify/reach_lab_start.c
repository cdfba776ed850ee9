/*
 * Where the packets of a lab's questions begin. A host's own begin at the host, from the address that its routes make
 * it take; the world's where they come in.
 *
 * All of them are followed at once, so a packet must show at its end whose it is and what was asked. Whose it is stands
 * in its origin. What was asked are its destination and port, unless somebody translates those: packets that any
 * host's rules may do that to are few (published ports), and get an origin of their own for each question.
 */
#include "verify/reach_lab_internal.h"

#include "base/arena.h"
#include "verify/ends.h"
#include "verify/walk_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- what is translated ---- */

static bool moves(const struct statement *statement, enum hook hook)
{
	const char *space;

	if (statement->kind == STATEMENT_NAT)
		return statement->nat.kind == NAT_DESTINATION || statement->nat.kind == NAT_REDIRECT ||
		       (statement->nat.kind == NAT_BY_HOOK && (hook == HOOK_PREROUTING || hook == HOOK_OUTPUT));
	if (statement->kind != STATEMENT_ASSIGN)
		return false;
	if (statement->assign.field->kind != EXPR_FIELD)
		return true;
	space = field_info(statement->assign.field->field.field)->space;
	return strcmp(space, "meta") != 0 && strcmp(space, "ct") != 0;
}

static bool effect_moves(const struct outcomes *outcomes, effect done, enum hook hook)
{
	while (done)
		if (moves(effect_statement(outcomes, done, &done), hook))
			return true;
	return false;
}

static pset moved_by(const struct reach_run *run, struct chains *chains, const struct stack_chain *chain)
{
	diagram function = chains_function(chains, chain);
	pset moved = PSET_EMPTY;
	struct end *ends;
	size_t count = chains_ends(chains, function, END_ACCEPT, &ends);

	for (size_t i = 0; i < count; i++)
		if (effect_moves(chains_outcomes(chains), ends[i].effect, chain->chain->hook))
			moved = pset_or(run->space, moved, chains_ending(chains, function, ends[i]).may);
	return moved;
}

pset reach_moved(const struct reach_run *run)
{
	static const pset_fields kept = PSET_BIT(PSET_PROTOCOL) | PSET_BIT(PSET_DADDR) | PSET_BIT(PSET_DPORT);
	const struct stack *stack = run->lab->stack;
	pset moved = PSET_EMPTY;

	for (size_t i = 0; i < stack->host_count; i++)
		for (size_t hook = 0; hook < STACK_HOOK_COUNT; hook++) {
			const struct stack_hook *at = &stack->hosts[i].hooks[run->stack_family][hook];

			for (size_t j = 0; j < at->count; j++)
				moved = pset_or(
					run->space, moved,
					moved_by(run, spread_chains(run->spread, &stack->hosts[i]), at->chains[j]));
		}
	moved = pset_and(run->space, moved, pset_kind(run->space, PSET_FAMILY, run->family ? PSET_IP6 : PSET_IP4));
	return pset_forget(run->space, moved, ~kept);
}

size_t reach_moved_ports(const struct reach_run *run, pset moved, uint8_t protocol, uint16_t **ret)
{
	pset of_protocol =
		pset_before(run->space, moved, pset_bits_of(PSET_PROTOCOL), protocol, pset_field_last(PSET_PROTOCOL));
	struct interval *intervals;
	size_t interval_count, count = 0;

	*ret = NULL;
	interval_count = pset_project(run->space, of_protocol, PSET_DPORT, &intervals);
	for (size_t i = 0; i < interval_count; i++)
		if (intervals[i].first == intervals[i].last)
			*arena_push(run->lab->arena, *ret, count) = (uint16_t)intervals[i].first;
	free(intervals);
	return count;
}

/* ---- one sender ---- */

/* Packets of one sender, put together. */
struct sender {
	struct reach_run *run;
	size_t node;
	pset packets;
};

static pset with_origin(const struct reach_run *run, pset packets, size_t origin)
{
	return pset_and(run->space, packets, pset_value(run->space, PSET_ORIGIN, origin));
}

static pset of_target(const struct reach_run *run, size_t target)
{
	struct prefix prefix = {.length = run->family ? 128 : 32};
	struct interval interval;

	if (target == run->target_count)
		return run->world;
	prefix.ip = wide_to_address(run->targets[target].address, reach_family_of(run));
	interval = interval_of_prefix(&prefix);
	return pset_interval(run->space, PSET_DADDR, interval.first, interval.last);
}

static void tag_target(struct sender *sender, pset packets, size_t target, size_t service)
{
	struct reach_run *run = sender->run;
	size_t origin = run->lab->node_count + run->tag_count;

	packets = pset_and(run->space, packets, of_target(run, target));
	if (pset_is_empty(packets))
		return;
	*arena_push(run->lab->arena, run->tags, run->tag_count) = (struct reach_tag){sender->node, target, service};
	sender->packets = pset_or(run->space, sender->packets, with_origin(run, packets, origin));
}

/* Packets that somebody may translate, question by question. Of an address that several have, one is asked. */
static void tag_questions(struct sender *sender, pset packets)
{
	struct reach_run *run = sender->run;

	for (size_t service = 0; service < run->lab->service_count; service++) {
		pset of_service = pset_and(run->space, packets, run->service[service]);
		struct interval *intervals;
		size_t count = pset_project(run->space, of_service, PSET_DADDR, &intervals);
		bool world = false;

		for (size_t i = 0; i < count; i++) {
			size_t end, target = reach_targets_in(run, &intervals[i], &end);

			for (; target < end; target++)
				tag_target(sender, of_service, target, service);
			world = world || reach_has_world(run, &intervals[i]);
		}
		if (world)
			tag_target(sender, of_service, run->target_count, service);
		free(intervals);
	}
}

static void add_packets(struct sender *sender, pset packets)
{
	struct reach_run *run = sender->run;

	tag_questions(sender, pset_and(run->space, packets, run->moved));
	packets = with_origin(run, pset_minus(run->space, packets, run->moved), sender->node);
	sender->packets = pset_or(run->space, sender->packets, packets);
}

/* ---- a host ---- */

/* What cannot be sent: its end is here. */
static void end_here(struct sender *sender, const struct stack_host *host, pset packets, enum spread_fate fate,
		     enum spread_reason reason)
{
	struct spread_end end = {.fate = fate, .reason = reason, .hop = SIZE_MAX, .host = host};

	end.packets = bounds_exactly(with_origin(sender->run, packets, sender->node));
	reach_mark_end(sender->run, &end);
}

static void send_from(struct sender *sender, const struct stack_host *host, pset packets, const struct ip *source)
{
	struct space *space = sender->run->space;
	struct prefix prefix = {*source, sender->run->family ? 128 : 32};
	struct interval interval;

	if (!source->family) {
		end_here(sender, host, packets, SPREAD_LOST, SPREAD_FOR_SOURCE);
		return;
	}
	interval = interval_of_prefix(&prefix);
	packets = pset_forget(space, packets, PSET_BIT(PSET_SADDR));
	add_packets(sender, pset_and(space, packets, pset_interval(space, PSET_SADDR, interval.first, interval.last)));
}

/* Has the interface several addresses to choose from, so that the destination matters? */
static bool has_choice(const struct reach_run *run, const struct stack_link *link)
{
	unsigned count = 0;

	for (size_t i = 0; link && i < link->link->address_count; i++)
		count += link->link->addresses[i].prefix.ip.family == reach_family_of(run);
	return count > 1;
}

/* To neighbours: with an address near each of them. */
static void send_to_neighbours(struct sender *sender, const struct stack_host *host, const struct stack_link *link,
			       pset packets)
{
	struct reach_run *run = sender->run;
	struct interval *intervals;
	size_t count = pset_project(run->space, packets, PSET_DADDR, &intervals);

	for (size_t i = 0; i < count; i++) {
		size_t end, target = reach_targets_in(run, &intervals[i], &end);

		for (; target < end; target++) {
			struct ip toward = wide_to_address(run->targets[target].address, reach_family_of(run));
			struct ip source = fib_select_address(host, link, &toward);
			pset one = pset_and(run->space, packets, of_target(run, target));

			packets = pset_minus(run->space, packets, one);
			if (!pset_is_empty(one))
				send_from(sender, host, one, &source);
		}
	}
	free(intervals);
	count = pset_project(run->space, packets, PSET_DADDR, &intervals);
	if (count) {
		struct ip toward = wide_to_address(intervals[0].first, reach_family_of(run));
		struct ip source = fib_select_address(host, link, &toward);

		send_from(sender, host, packets, &source);
	}
	free(intervals);
}

/* Sockets take their address by the route (fib.c, fib_source()); in IPv6 the next hop does not matter to that. */
static void send_by(struct sender *sender, const struct stack_host *host, const struct routed *routed)
{
	const struct route *route = routed->decision.route->route;
	const struct nexthop *nexthop = route->nexthop_count ? &route->nexthops[0] : NULL;
	const struct stack_link *link = nexthop && nexthop->dev ? stack_link(host, nexthop->dev) : NULL;
	bool gateway = nexthop && !sender->run->family && nexthop->via.family == AF_INET;
	struct ip source = route->source;

	if (source.family || gateway || !has_choice(sender->run, link)) {
		struct ip none = {.family = reach_family_of(sender->run)};

		if (!source.family)
			source = fib_select_address(host, link, gateway ? &nexthop->via : &none);
		send_from(sender, host, routed->packets.may, &source);
		return;
	}
	send_to_neighbours(sender, host, link, routed->packets.may);
}

/* Its routes, asked without a source. */
static void send_all(struct sender *sender, const struct stack_host *host, pset wanted)
{
	struct reach_run *run = sender->run;
	struct stream stream = {.host = (struct stack_host *)host, .family = run->stack_family, .hop = SIZE_MAX};
	struct routed *routed;
	size_t count;

	wanted = pset_and(run->space, wanted, run->asked);
	wanted = pset_and(run->space, wanted, pset_value(run->space, PSET_SADDR, 0));
	wanted = pset_after(run->space, wanted, pset_bits_of(PSET_MARK), 0, UINT32_MAX);
	stream.packets = bounds_exactly(wanted);
	count = spread_route(run->spread, &stream, true, &routed);
	for (size_t i = 0; i < count; i++) {
		pset packets = routed[i].packets.may;

		if (routed[i].decision.kind == DECIDED_UNKNOWN)
			end_here(sender, host, packets, SPREAD_UNKNOWN, SPREAD_FOR_MISSING);
		else if (routed[i].decision.kind != DECIDED_ROUTE)
			end_here(sender, host, packets, SPREAD_LOST, SPREAD_FOR_NO_ROUTE);
		else
			send_by(sender, host, &routed[i]);
	}
}

static pset all_targets_but(const struct reach_run *run, size_t node)
{
	pset *sets = calloc(run->target_count + 2, sizeof(*sets)), all;
	size_t count = 0;

	if (!sets)
		abort();
	for (size_t i = 0; i < run->target_count; i++) {
		bool own = false;

		/* an address that it has itself it does not send to */
		for (size_t j = 0; j < run->lab->nodes[node].address_counts[run->family]; j++)
			own = own || wide_of_address(&run->lab->nodes[node].addresses[run->family][j]) ==
					     run->targets[i].address;
		if (!own)
			sets[count++] = of_target(run, i);
	}
	all = pset_or_all(run->space, sets, count);
	free(sets);
	return all;
}

/* ---- the world ---- */

static pset from_world(const struct reach_run *run)
{
	return pset_as(run->space, run->world, PSET_DADDR, PSET_SADDR);
}

/* Somebody there: the usual name server, or where the stack has that, too, any other. */
static const char *world_address(const struct reach_run *run, char ret[IP_TEXT_SIZE])
{
	static const char *const usual[] = {"8.8.8.8", "2001:4860:4860::8888"};
	struct interval *intervals, one = {};
	size_t count = pset_project(run->space, run->world, PSET_DADDR, &intervals);
	struct ip ip;

	if (ip_parse(usual[run->family], &ip))
		one.first = one.last = wide_of_address(&ip);
	if (!reach_has_world(run, &one) && count)
		ip = wide_to_address(intervals[0].first, reach_family_of(run));
	free(intervals);
	return ip_format(&ip, ret);
}

static bool world_start(struct sender *sender, struct spread_start *ret)
{
	struct reach_run *run = sender->run;
	char address[IP_TEXT_SIZE];
	struct ends ends = {.from = world_address(run, address), .to = address};
	struct question question = {};
	struct stack_host *target;
	pset packets;

	if (ends_resolve(run->lab->stack, &ends, &question, &target, NULL) < 0)
		return false;
	packets = pset_and(run->space, run->asked, all_targets_but(run, sender->node));
	add_packets(sender, pset_and(run->space, packets, from_world(run)));
	*ret = (struct spread_start){.host = question.at, .iif = question.iif, .in_port = question.in_port};
	return true;
}

size_t reach_starts(struct reach_run *run, struct spread_start **ret)
{
	struct reach_lab *lab = run->lab;
	size_t count = 0;

	*ret = arena_alloc(lab->arena, lab->node_count * sizeof(**ret));
	for (size_t i = 0; i < lab->node_count; i++) {
		const struct reach_node *node = &lab->nodes[i];
		struct sender sender = {run, i, PSET_EMPTY};
		struct spread_start start = {.host = node->host};

		if (node->host && node->address_counts[run->family])
			send_all(&sender, node->host, pset_or(run->space, all_targets_but(run, i), run->world));
		else if (node->host || !world_start(&sender, &start))
			continue;
		start.packets = sender.packets;
		if (!pset_is_empty(start.packets))
			(*ret)[count++] = start;
	}
	return count;
}
