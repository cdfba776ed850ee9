/*
 * Which packets of one question arrive in one of two stacks only. Each stack's rules say for a set of packets which of
 * them get to whom is meant (spread.h), as they were when they started; of two such sets what is in one alone is the
 * difference. A packet of it is asked of the interpreter in both stacks, which has the last word.
 */
#include "verify/diff_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "verify/reach_lab_internal.h"

#include <stdlib.h>
#include <sys/socket.h>

enum { MOST_TRIES = 8, LAST_PORT = 65535 };

struct diff_sets {
	const struct stack *stacks[2];
	size_t memory;
	struct space *space; /* NULL: nobody has asked yet, or there is no memory */
	struct spread *spreads[2];
	pset world[2]; /* of both stacks: IPv4, IPv6 */
};

struct diff_sets *diff_sets_new(const struct stack *before, const struct stack *after, size_t memory)
{
	struct diff_sets *sets = calloc(1, sizeof(*sets));

	if (!sets)
		abort();
	*sets = (struct diff_sets){.stacks = {before, after}, .memory = memory};
	return sets;
}

void diff_sets_free(struct diff_sets *sets)
{
	if (!sets)
		return;
	for (int i = 0; i < 2; i++)
		spread_free(sets->spreads[i]);
	if (sets->space)
		space_free(sets->space);
	free(sets);
}

static bool open_sets(struct diff_sets *sets)
{
	if (sets->space)
		return true;
	sets->space = pset_space_new(sets->memory, NULL);
	if (!sets->space)
		return false;
	for (int i = 0; i < 2; i++)
		sets->spreads[i] = spread_new(sets->stacks[i], sets->space);
	for (int family = 0; family < 2; family++)
		sets->world[family] =
			pset_not(sets->space, pset_or(sets->space, reach_subnets(sets->space, sets->stacks[0], family),
						      reach_subnets(sets->space, sets->stacks[1], family)));
	return true;
}

/* ---- what arrives ---- */

/* The address that the host sends from; the world's packets have any. */
static void take_source(const struct stack *stack, struct question *question, bool from_world)
{
	cleanup_arena struct arena *arena = arena_new();

	if (from_world)
		question->packet.src.family = 0;
	else if (!question->packet.src.family)
		question->packet.src = walk_ask(stack, question, 0, arena)->source;
}

static struct spread_start start_of(const struct diff_sets *sets, const struct diff_asked *asked, int side)
{
	struct question question = asked->questions[side];
	struct spread_start start = {.host = question.at, .iif = question.iif, .in_port = question.in_port};
	pset world = sets->world[question.packet.family == AF_INET6];

	take_source(sets->stacks[side], &question, asked->from_world);
	question.packet.sport = (struct ports){0, LAST_PORT};
	if (asked->any_port)
		question.packet.dport = (struct ports){0, LAST_PORT};
	if (!asked->meant[side])
		question.packet.dst.family = 0;
	start.packets = spread_question(sets->space, &question);
	if (packet_has_ports(&question.packet))
		start.packets = pset_and(sets->space, start.packets, spread_usual_source_ports(sets->space));
	if (!asked->meant[side])
		start.packets = pset_and(sets->space, start.packets, world);
	if (asked->from_world)
		start.packets =
			pset_and(sets->space, start.packets, pset_as(sets->space, world, PSET_DADDR, PSET_SADDR));
	return start;
}

static bool is_meant(const struct spread_end *end, const struct stack_host *meant)
{
	return meant ? end->fate == SPREAD_DELIVERED && end->host == meant : end->fate == SPREAD_SENT;
}

/* As they started. Hosts of the two stacks may send the same from other addresses. */
static bool arrivals(struct diff_sets *sets, const struct diff_asked *asked, int side, struct bounds *ret)
{
	struct spread *spread = sets->spreads[side];
	struct spread_start start = start_of(sets, asked, side);
	pset_fields own = asked->from_world ? 0 : PSET_BIT(PSET_SADDR);
	cleanup_error struct error *err = NULL;
	const struct spread_end *ends;
	size_t count;

	*ret = bounds_exactly(PSET_EMPTY);
	if (spread_follow(spread, &start, &ends, &count, &err) < 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		bool meant = is_meant(&ends[i], asked->meant[side]);

		if (meant || ends[i].fate == SPREAD_UNKNOWN)
			ret->may = pset_or(sets->space, ret->may, spread_origin(spread, &ends[i], ends[i].packets.may));
		if (meant && !pset_is_empty(ends[i].packets.must))
			ret->must =
				pset_or(sets->space, ret->must, spread_origin(spread, &ends[i], ends[i].packets.must));
	}
	ret->may = pset_forget(sets->space, ret->may, own);
	ret->must = pset_forget(sets->space, ret->must, own);
	return space_check(sets->space, NULL) == 0;
}

/* ---- one that differs ---- */

bool diff_shows(enum diff_kind kind, const struct answer *before, const struct answer *after,
		const struct stack_host *const meant[2])
{
	bool was = walk_arrived(before, meant[0]), is = walk_arrived(after, meant[1]);

	if (kind == DIFF_UNCLEAR)
		return before->fate == FATE_UNKNOWN || after->fate == FATE_UNKNOWN;
	if (kind == DIFF_OPENS)
		return is && walk_astray(before, meant[0]);
	return was && walk_astray(after, meant[1]);
}

static bool is_shown_by(const struct diff_sets *sets, const struct diff_asked *asked, enum diff_kind kind,
			const struct packet *packet)
{
	cleanup_arena struct arena *arena = arena_new();
	const struct answer *answers[2];

	for (int side = 0; side < 2; side++) {
		struct question question = asked->questions[side];

		question.packet = *packet;
		answers[side] = walk_ask(sets->stacks[side], &question, 0, arena);
	}
	return diff_shows(kind, answers[0], answers[1], asked->meant);
}

/* The question's packet with what the set says of it. */
static struct packet packet_of(const struct diff_asked *asked, const struct packet_values *values)
{
	struct packet packet = asked->questions[1].packet;

	if (packet_has_ports(&packet)) {
		packet.sport = port_of((uint16_t)values->fields[PSET_SPORT]);
		packet.dport = port_of((uint16_t)values->fields[PSET_DPORT]);
	}
	if (asked->from_world)
		packet.src = wide_to_address(values->fields[PSET_SADDR], packet.family);
	if (!asked->meant[1])
		packet.dst = wide_to_address(values->fields[PSET_DADDR], packet.family);
	return packet;
}

static pset without(struct space *space, pset set, const struct packet_values *values)
{
	static const enum pset_field told[] = {PSET_SADDR, PSET_DADDR, PSET_SPORT, PSET_DPORT};
	pset one = PSET_FULL;

	for (size_t i = 0; i < sizeof(told) / sizeof(*told); i++)
		one = pset_and(space, one, pset_value(space, told[i], values->fields[told[i]]));
	return pset_minus(space, set, one);
}

static bool take_from(struct diff_sets *sets, const struct diff_asked *asked, enum diff_kind kind, pset set,
		      struct packet *ret)
{
	struct packet_values values;

	for (int i = 0; i < MOST_TRIES && pset_pick(sets->space, set, &values); i++) {
		*ret = packet_of(asked, &values);
		if (is_shown_by(sets, asked, kind, ret))
			return true;
		set = without(sets->space, set, &values);
	}
	return false;
}

bool diff_sets_find(struct diff_sets *sets, const struct diff_asked *asked, enum diff_kind kind, struct packet *ret)
{
	struct bounds before, after;
	struct space *space;
	pset sure, maybe;

	if (!open_sets(sets) || !arrivals(sets, asked, 0, &before) || !arrivals(sets, asked, 1, &after))
		return false;
	space = sets->space;
	if (kind == DIFF_UNCLEAR)
		return take_from(sets, asked, kind,
				 pset_or(space, pset_minus(space, before.may, before.must),
					 pset_minus(space, after.may, after.must)),
				 ret);
	sure = kind == DIFF_OPENS ? pset_minus(space, after.must, before.may)
				  : pset_minus(space, before.must, after.may);
	maybe = kind == DIFF_OPENS ? pset_minus(space, after.may, before.must)
				   : pset_minus(space, before.may, after.must);
	return take_from(sets, asked, kind, sure, ret) || take_from(sets, asked, kind, maybe, ret);
}
