#include "verify/engines.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <string.h>
#include <sys/socket.h>

/* One packet's ends. */
struct asked {
	struct spread *spread;
	const struct spread_end *ends;
	size_t count;
};

static bool is_followed(const struct question *question)
{
	return question->state == STATE_NEW || question->state == STATE_INVALID;
}

static bool is_for_several(const struct question *question)
{
	return ip_is_multicast(&question->packet.dst) || ip_is_limited_broadcast(&question->packet.dst);
}

static int follow(struct spread *spread, struct space *space, const struct question *question, struct asked *ret,
		  struct error **err)
{
	struct spread_start start = {.host = question->at,
				     .iif = question->iif,
				     .in_port = question->in_port,
				     .bridged = question->bridged,
				     .packets = spread_question(space, question)};

	ret->spread = spread;
	return spread_follow(spread, &start, &ret->ends, &ret->count, err);
}

/* ---- as the interpreter answers ---- */

struct first_rule {
	struct met_rule found;
	bool any;
};

static void take_first(void *context, const struct met_rule *met)
{
	struct first_rule *first = context;

	if (!first->any)
		first->found = *met;
	first->any = true;
}

static enum fate fate_of(const struct spread_end *end)
{
	switch (end->fate) {
	case SPREAD_DELIVERED:
	case SPREAD_SENT:
		return FATE_DELIVERED;
	case SPREAD_DROPPED:
		return FATE_DROPPED;
	case SPREAD_REJECTED:
		return FATE_REJECTED;
	case SPREAD_LOST:
		return FATE_LOST;
	case SPREAD_UNKNOWN:
	case SPREAD_FATE_COUNT:
		break;
	}
	return FATE_UNKNOWN;
}

static void name_rule(struct asked *asked, const struct spread_end *end, struct answer *answer)
{
	struct first_rule first = {.any = false};

	answer->hook = end->hook;
	answer->chain = end->chain;
	spread_deciding(asked->spread, end, take_first, &first);
	if (!first.any)
		return;
	answer->chain = first.found.chain;
	answer->rule = first.found.rule;
}

static struct answer *answer_of(struct asked *asked, const struct question *question, const struct spread_end *end,
				struct arena *arena)
{
	struct answer *answer = arena_new_struct(arena, struct answer);
	enum question_state state;

	answer->fate = fate_of(end);
	answer->where = (struct stack_host *)end->host;
	answer->packet = question->packet;
	spread_pick(asked->spread, end->packets.may, &answer->packet, &state);
	if (end->fate == SPREAD_SENT)
		answer->out = end->oif;
	if (end->fate == SPREAD_SENT)
		answer->hook = HOOK_POSTROUTING;
	if (end->fate == SPREAD_DELIVERED)
		answer->hook = HOOK_INPUT;
	if (end->chain)
		name_rule(asked, end, answer);
	if (end->fate == SPREAD_LOST || end->fate == SPREAD_UNKNOWN)
		answer->reason_text = spread_reason_text(end->reason);
	return answer;
}

static struct answer *unknown(struct arena *arena, const char *text)
{
	struct answer *answer = arena_new_struct(arena, struct answer);

	answer->fate = FATE_UNKNOWN;
	*arena_push(arena, answer->missing, answer->missing_count) = (struct assumption){.text = text};
	return answer;
}

static bool same_end(const struct spread_end *a, const struct spread_end *b)
{
	return a->fate == b->fate && a->host == b->host && a->oif == b->oif && a->chain == b->chain;
}

static struct answer *only_answer(struct asked *asked, const struct question *question, struct arena *arena)
{
	for (size_t i = 1; i < asked->count; i++)
		if (!same_end(&asked->ends[0], &asked->ends[i]))
			return unknown(arena, "it may end in several ways");
	if (asked->count == 0)
		return unknown(arena, "it ends nowhere");
	return answer_of(asked, question, &asked->ends[0], arena);
}

struct answer *engines_symbolic(struct spread *spread, const struct question *question, struct arena *arena)
{
	cleanup_error struct error *err = NULL;
	struct asked asked = {};

	if (!is_followed(question))
		return unknown(arena, "which connection it belongs to");
	if (is_for_several(question))
		return unknown(arena, "it is for several");
	if (follow(spread, spread_space(spread), question, &asked, &err) < 0)
		return unknown(arena, arena_strdup(arena, err->message));
	return only_answer(&asked, question, arena);
}

/* ---- compared ---- */

static bool has_address(struct space *space, pset packets, enum pset_field field, const struct ip *ip)
{
	struct prefix prefix = {*ip, ip_bits(ip)};
	struct interval interval = interval_of_prefix(&prefix);

	return pset_overlap(space, packets, pset_interval(space, field, interval.first, interval.last));
}

static bool has_port(struct space *space, pset packets, enum pset_field field, const struct ports *ports)
{
	return pset_overlap(space, packets, pset_interval(space, field, ports->first, ports->last));
}

/* Is the packet, as it is at its end, one of these? */
static bool has_packet(struct space *space, pset packets, const struct packet *packet)
{
	if (!has_address(space, packets, PSET_SADDR, &packet->src) ||
	    !has_address(space, packets, PSET_DADDR, &packet->dst))
		return false;
	return !packet_has_ports(packet) || (has_port(space, packets, PSET_SPORT, &packet->sport) &&
					     has_port(space, packets, PSET_DPORT, &packet->dport));
}

struct wanted_rule {
	const struct rule *rule;
	bool found;
};

static void look_for(void *context, const struct met_rule *met)
{
	struct wanted_rule *wanted = context;

	wanted->found |= met->rule == wanted->rule;
}

/* Is it the rule that the interpreter names (none: a policy) that ends these packets? */
static bool by_rule(struct spread *spread, const struct spread_end *end, const struct answer *answer)
{
	struct wanted_rule wanted = {.rule = answer->rule};

	if (!answer->chain) /* of a table that was not captured */
		return true;
	if (!end->chain || end->chain->table != answer->chain->table || end->hook != answer->hook)
		return false;
	spread_deciding(spread, end, look_for, &wanted);
	return wanted.found;
}

bool engines_fit(struct spread *spread, const struct spread_end *end, const struct answer *plain)
{
	if (plain->fate != fate_of(end))
		return false;
	if (plain->fate == FATE_LOST) /* a frame that a bridge does not pass on is lost there, or by who sent it */
		return true;
	if (plain->where != end->host)
		return false;
	if (plain->fate != FATE_DELIVERED)
		return by_rule(spread, end, plain);
	if ((plain->out != NULL) != (end->fate == SPREAD_SENT) || (plain->out && plain->out != end->oif))
		return false;
	return has_packet(spread_space(spread), end->packets.may, &plain->packet);
}

enum agreement engines_compare(struct spread *spread, const struct question *question, const struct answer *plain,
			       struct arena *arena, struct answer **ret)
{
	struct question asking = *question;
	cleanup_error struct error *err = NULL;
	struct asked asked = {};
	bool open = false;

	if (!asking.packet.src.family)
		asking.packet.src = plain->source;
	*ret = engines_symbolic(spread, &asking, arena);
	if (plain->fate == FATE_UNKNOWN || !is_followed(question) || is_for_several(question) ||
	    !asking.packet.src.family)
		return ENGINES_OPEN;
	if (follow(spread, spread_space(spread), &asking, &asked, &err) < 0)
		return ENGINES_OPEN;
	for (size_t i = 0; i < asked.count; i++) {
		if (engines_fit(spread, &asked.ends[i], plain))
			return asked.count == 1 ? ENGINES_AGREE : ENGINES_OPEN;
		open = open || asked.ends[i].fate == SPREAD_UNKNOWN;
	}
	return open ? ENGINES_OPEN : ENGINES_DIFFER;
}
