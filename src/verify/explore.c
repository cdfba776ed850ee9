/*
 * One question, answered. A walk is gone once with every decision that the facts leave open taken the usual way; then
 * again and again with the last decision that has an alternative left taken otherwise, until all ways were gone. Where
 * they end alike, the answer is the first one's. Where they do not, it is unknown, and those decisions are named whose
 * alternatives really ended differently.
 */
#include "verify/walk_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { WAYS_MAX = 256 };

static const char *const fates[] = {NULL, "delivered", "rejected", "dropped", "lost", "unknown"};

const char *fate_word(enum fate fate)
{
	return fates[fate];
}

static const char *const reasons[LOST_REASON_COUNT] = {
	[LOST_NO_ROUTE] = "no-route",
	[LOST_BLACKHOLE_ROUTE] = "blackhole-route",
	[LOST_UNREACHABLE_ROUTE] = "unreachable-route",
	[LOST_PROHIBIT_ROUTE] = "prohibit-route",
	[LOST_RP_FILTER] = "rp_filter",
	[LOST_MARTIAN_LOCALNET] = "martian-localnet",
	[LOST_MARTIAN_SOURCE_IS_LOCAL] = "martian-source-is-local",
	[LOST_MARTIAN_SOURCE] = "martian-source",
	[LOST_MARTIAN_DESTINATION] = "martian-destination",
	[LOST_FORWARDING_OFF] = "forwarding-off",
	[LOST_NO_NEIGHBOUR] = "no-neighbour",
	[LOST_LINK_DOWN] = "link-down",
	[LOST_NO_SOURCE] = "no-source-address",
	[LOST_NOT_OURS] = "other-mac",
	[LOST_NO_PORT] = "no-port",
	[LOST_ISOLATED] = "isolated-ports",
	[LOST_LINK_LOCAL] = "link-local",
	[LOST_LOOP] = "ttl-exceeded",
	[LOST_NO_NAT_ADDRESS] = "no-nat-address",
	[LOST_NO_NAT_PORT] = "no-nat-port",
	[LOST_SEVERAL_SENT_ON] = "not-routed",
};

const char *lost_reason_word(enum lost_reason reason)
{
	return reasons[reason];
}

#define TEXT_OF(walk, format)                                                                                          \
	({                                                                                                             \
		char text_[1024];                                                                                      \
		va_list args_;                                                                                         \
		va_start(args_, format);                                                                               \
		vsnprintf(text_, sizeof(text_), format, args_);                                                        \
		va_end(args_);                                                                                         \
		arena_strdup((walk)->arena, text_);                                                                    \
	})

static void add_once(struct arena *arena, struct assumption **list, size_t *count, const struct assumption *what)
{
	for (size_t i = 0; i < *count; i++)
		if (strcmp((*list)[i].text, what->text) == 0)
			return;
	*arena_push(arena, *list, *count) = *what;
}

void walk_assume(struct walk *walk, const char *command, const char *format, ...)
{
	struct assumption what = {.text = TEXT_OF(walk, format), .command = command};

	add_once(walk->arena, &walk->answer->assumptions, &walk->answer->assumption_count, &what);
}

static void add_missing(struct answer *answer, struct arena *arena, const struct assumption *what)
{
	add_once(arena, &answer->missing, &answer->missing_count, what);
}

void walk_unknown(struct walk *walk, struct stack_host *host, const char *command, const char *format, ...)
{
	struct assumption what = {.text = TEXT_OF(walk, format), .command = command};

	if (walk_ended(walk))
		return;
	walk->answer->fate = FATE_UNKNOWN;
	walk->answer->where = host;
	add_missing(walk->answer, walk->arena, &what);
}

/* What was decided once stays decided: a sysctl has one value throughout a walk. */
static struct choice *decided(struct walk *walk, const char *text)
{
	for (size_t i = 0; i < walk->choice_count; i++)
		if (strcmp(walk->choices[i].what.text, text) == 0)
			return &walk->choices[i];
	return NULL;
}

unsigned walk_decide(struct walk *walk, unsigned count, const char *usual, const char *command, const char *format, ...)
{
	struct choice *choice;
	char *text;

	if (walk_ended(walk))
		return 0;
	text = TEXT_OF(walk, format);
	choice = decided(walk, text);
	if (choice)
		return choice->taken;
	if (walk->choice_count >= CHOICES_MAX) {
		walk_unknown(walk, NULL, NULL, "too much is not known: %s", text);
		return 0;
	}
	choice = &walk->choices[walk->choice_count];
	if (walk->choice_count++ >= walk->choice_given)
		choice->taken = 0;
	choice->count = count;
	choice->usual = usual;
	choice->what = (struct assumption){text, command && *command ? command : NULL, command && !*command};
	return choice->taken;
}

uint64_t walk_sysctl(struct hop *hop, const struct stack_sysctl *sysctl, const char *name, uint64_t usual,
		     unsigned count)
{
	struct walk *walk = hop->walk;
	unsigned taken;

	if (sysctl->value.known) {
		if (sysctl->inferred)
			walk_assume(walk, walk_text(walk, "sysctl %s", name), "%s: %s is as for all interfaces",
				    hop->host->name, name);
		return sysctl->value.value;
	}
	taken = walk_decide(walk, count, walk_text(walk, "%u", (unsigned)usual), walk_text(walk, "sysctl %s", name),
			    "%s: sysctl %s", hop->host->name, name);
	if (taken == 0)
		return usual;
	return taken <= usual ? taken - 1 : taken; /* the others, in their order */
}

uint64_t walk_sysctl_or(struct hop *hop, const struct stack_sysctl *sysctl, const char *name, uint64_t usual)
{
	struct walk *walk = hop->walk;

	if (sysctl->value.known)
		return sysctl->value.value;
	walk_assume(walk, walk_text(walk, "sysctl %s", name), "%s: sysctl %s is %u, as in every new kernel",
		    hop->host->name, name, (unsigned)usual);
	return usual;
}

struct step *walk_step(struct hop *hop, enum step_kind kind)
{
	struct answer *answer = hop->walk->answer;
	struct step *step = arena_push(hop->walk->arena, answer->steps, answer->step_count);

	*step = (struct step){.kind = kind, .host = hop->host};
	return step;
}

void walk_lose(struct hop *hop, enum lost_reason reason, const char *format, ...)
{
	struct answer *answer = hop->walk->answer;
	struct step *step;

	if (walk_ended(hop->walk))
		return;
	answer->fate = FATE_LOST;
	answer->where = hop->host;
	answer->packet = hop->packet;
	answer->reason = reason;
	answer->reason_text = TEXT_OF(hop->walk, format);
	step = walk_step(hop, STEP_END);
	step->text = answer->reason_text;
	step->effect = "lost";
}

/* ---- all ways ---- */

struct way {
	struct answer *answer;
	struct choice *choices;
	size_t choice_count;
};

struct exploration {
	struct walk walk;
	struct way *ways;
	size_t way_count;
	bool exhausted; /* there were more than WAYS_MAX */
};

static bool same_ports(const struct ports *a, const struct ports *b)
{
	return a->first == b->first && a->last == b->last;
}

/* Do two ways end alike? Where it got lost or which rule dropped it does not matter, that it did does. */
static bool same_end(const struct answer *a, const struct answer *b)
{
	if (a->fate != b->fate)
		return false;
	if (a->fate != FATE_DELIVERED)
		return true;
	return a->where == b->where && a->out == b->out && a->out_port == b->out_port &&
	       ip_equal(&a->packet.src, &b->packet.src) && ip_equal(&a->packet.dst, &b->packet.dst) &&
	       same_ports(&a->packet.sport, &b->packet.sport) && same_ports(&a->packet.dport, &b->packet.dport);
}

static void go_once(struct exploration *exploration)
{
	struct walk *walk = &exploration->walk;
	struct way *way;

	walk->answer = arena_new_struct(walk->arena, struct answer);
	walk->choice_count = 0;
	walk->flows = NULL;
	walk->flow_count = 0;
	walk->left = NULL;
	walk->hops = 0;
	walk->rehearsal = false;
	walk_run(walk);
	way = arena_push(walk->arena, exploration->ways, exploration->way_count);
	*way = (struct way){.answer = walk->answer, .choice_count = walk->choice_count};
	way->choices = arena_alloc(walk->arena, (walk->choice_count + 1) * sizeof(*way->choices));
	memcpy(way->choices, walk->choices, walk->choice_count * sizeof(*way->choices));
}

/* Prescribes the choices of the next way; false: all were gone. */
static bool next_way(struct walk *walk)
{
	size_t last = walk->choice_count;

	while (last > 0 && walk->choices[last - 1].taken + 1 >= walk->choices[last - 1].count)
		last--;
	if (last == 0)
		return false;
	walk->choices[last - 1].taken++;
	walk->choice_given = last;
	return true;
}

static bool all_alike(const struct exploration *exploration)
{
	for (size_t i = 1; i < exploration->way_count; i++)
		if (!same_end(exploration->ways[0].answer, exploration->ways[i].answer))
			return false;
	return true;
}

/* Two ways that went together up to one decision, and ended differently after it: it matters. */
static bool decision_matters(const struct exploration *exploration, size_t a, size_t b, size_t at)
{
	const struct way *left = &exploration->ways[a], *right = &exploration->ways[b];

	if (left->choice_count <= at || right->choice_count <= at ||
	    left->choices[at].taken == right->choices[at].taken)
		return false;
	for (size_t i = 0; i < at; i++)
		if (left->choices[i].taken != right->choices[i].taken)
			return false;
	return !same_end(left->answer, right->answer);
}

static struct answer *unknown_of(struct exploration *exploration)
{
	struct arena *arena = exploration->walk.arena;
	struct answer *answer = arena_new_struct(arena, struct answer);
	bool complete = !exploration->exhausted && exploration->walk.answer->fate != FATE_UNKNOWN;

	*answer = *exploration->ways[0].answer;
	answer->fate = FATE_UNKNOWN;
	answer->missing = NULL;
	answer->missing_count = 0;
	answer->ends = NULL;
	for (size_t a = 0; a < exploration->way_count; a++) {
		const struct answer *end = exploration->ways[a].answer;

		if (complete)
			*arena_push(arena, answer->ends, answer->end_count) = end;
		for (size_t i = 0; i < end->missing_count; i++)
			add_missing(answer, arena, &end->missing[i]);
		for (size_t b = a + 1; b < exploration->way_count; b++)
			for (size_t at = 0; at < exploration->ways[a].choice_count; at++)
				if (decision_matters(exploration, a, b, at))
					add_missing(answer, arena, &exploration->ways[a].choices[at].what);
	}
	return answer;
}

/* The first way's answer, where what was decided on it is assumed. */
static struct answer *assumed(struct exploration *exploration)
{
	struct walk *walk = &exploration->walk;
	struct answer *answer = exploration->ways[0].answer;

	for (size_t i = 0; i < walk->choice_count; i++) {
		const struct choice *choice = &walk->choices[i];
		struct assumption what = {walk_text(walk, "%s: taken for %s", choice->what.text, choice->usual),
					  choice->what.command, choice->what.varies};

		add_once(walk->arena, &answer->assumptions, &answer->assumption_count, &what);
	}
	return answer;
}

struct answer *walk_ask(const struct stack *stack, const struct question *question, unsigned flags, struct arena *arena)
{
	struct exploration *exploration = arena_new_struct(arena, struct exploration);

	exploration->walk = (struct walk){.stack = stack, .question = question, .flags = flags, .arena = arena};
	do {
		go_once(exploration);
		if (flags & WALK_ASSUME)
			return assumed(exploration);
		/* One way ends in the unknown: no other can make it known. */
		if (exploration->walk.answer->fate == FATE_UNKNOWN)
			break;
		exploration->exhausted = exploration->way_count >= WAYS_MAX;
	} while (!exploration->exhausted && next_way(&exploration->walk));
	if (all_alike(exploration) && !exploration->exhausted)
		return exploration->ways[0].answer;
	return unknown_of(exploration);
}
