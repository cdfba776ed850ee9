/* What keeps a packet from arriving, in a sentence. */
#include "verify/repair_internal.h"

#include "base/arena.h"
#include "base/strbuf.h"
#include "verify/ends.h"

#include <string.h>

static const char *text_of(struct arena *arena, struct strbuf *text)
{
	const char *copy = arena_strdup(arena, text->text ? text->text : "");

	strbuf_freep(text);
	return copy;
}

static void describe_rule(struct strbuf *out, const struct answer *answer)
{
	const char *host = answer->where->name, *chain = answer->chain->chain->name,
		   *table = answer->chain->table->table->name;

	strbuf_printf(out, "%s %s it: ", host, answer->fate == FATE_REJECTED ? "rejects" : "drops");
	if (answer->rule)
		strbuf_printf(out, "rule %u of %s in table %s says \"%s\"", answer->rule->index, chain, table,
			      answer->rule->text);
	else
		strbuf_printf(out, "no rule of %s in table %s accepts it, and the chain's policy is drop", chain,
			      table);
}

const struct step *wrong_turn(const struct answer *answer, const struct change *change)
{
	for (size_t i = answer->step_count; i-- > 0;)
		if (answer->steps[i].kind == STEP_ROUTE &&
		    (!change || strcmp(answer->steps[i].host->name, change->host) == 0))
			return &answer->steps[i];
	return NULL;
}

/* It ended elsewhere, because it was sent there. */
static bool is_wrong_way(const struct answer *answer, const struct change *change)
{
	if (answer->fate == FATE_DELIVERED)
		return true;
	if (!change || (change->kind != CHANGE_ROUTE && change->kind != CHANGE_POLICY && change->kind != CHANGE_LINK))
		return false;
	if (answer->fate == FATE_REJECTED || answer->fate == FATE_DROPPED) /* by somebody who should not have got it */
		return turned_back(answer);
	return answer->fate == FATE_LOST && strcmp(change->host, answer->where->name) != 0;
}

static void describe_wrong_way(struct strbuf *out, const struct answer *answer, const struct change *change)
{
	const struct step *turn = wrong_turn(answer, change);
	char dst[PREFIX_TEXT_SIZE];

	if (!turn) {
		strbuf_printf(out, "it ends at %s, which is not where it is meant to go", answer->where->name);
		return;
	}
	if (change && change->kind == CHANGE_ROUTE)
		prefix_format(&change->route.entry->to, dst);
	else
		ip_format(&answer->packet.dst, dst);
	if (change && change->kind == CHANGE_ROUTE && !change->route.replaces)
		strbuf_printf(out, "%s has no route of its own to %s, so the packet leaves", turn->host->name, dst);
	else if (change && change->kind == CHANGE_LINK)
		strbuf_printf(out, "%s of %s is switched off, so the packet leaves", change->link, turn->host->name);
	else
		strbuf_printf(out, "%s sends packets to %s the wrong way:", turn->host->name, dst);
	strbuf_printf(out, " %s (%s)", turn->effect ? turn->effect : "", turn->text ? turn->text : "");
}

/* Where a permanent entry leads to nobody, or to somebody else; a true one has no origin in its step. */
static const struct step *wrong_neighbour(const struct answer *answer)
{
	for (size_t i = answer->step_count; i-- > 0;)
		if (answer->steps[i].kind == STEP_NEIGHBOUR && answer->steps[i].origin)
			return &answer->steps[i];
	return NULL;
}

static void describe_wrong_neighbour(struct strbuf *out, const struct step *step)
{
	strbuf_printf(out, "%s sends it to the wrong MAC address: its neighbour entry \"%s\" %s", step->host->name,
		      step->text, step->effect);
}

static const struct origin *origin_of(const struct answer *answer, const struct change *change)
{
	const struct step *turn;

	if (wrong_neighbour(answer))
		return wrong_neighbour(answer)->origin;
	if (is_wrong_way(answer, change)) {
		turn = wrong_turn(answer, change);
		return turn ? turn->origin : NULL;
	}
	if (answer->rule)
		return &answer->rule->origin;
	if (answer->chain)
		return &answer->chain->chain->origin;
	for (size_t i = answer->step_count; i-- > 0;) /* what the end rests on stands before it */
		if (answer->steps[i].kind != STEP_END)
			return answer->steps[i].host == answer->where ? answer->steps[i].origin : NULL;
	return NULL;
}

/* Nobody can send to it from the internet. */
static void describe_private(struct strbuf *out, const struct change *change)
{
	const struct rule_wish *wish = change->rule.wish;
	char inner[IP_TEXT_SIZE], outer[IP_TEXT_SIZE];

	strbuf_printf(
		out,
		"%s is a private address, to which nobody on the internet can send: it has to be sent to %s, and %s, "
		"which has that, does not pass it on",
		ip_format(&wish->publish, inner), ip_format(&wish->packet->dst, outer), change->host);
}

struct cause cause_of(const struct trial *trial, const struct change *change)
{
	const struct answer *answer = trial->failed;
	struct cause cause = {.answer = answer, .reply = answer == trial->reply, .change = change};
	struct strbuf text = {0};

	if (change && change->kind == CHANGE_NAT && change->rule.wish->publish.family)
		describe_private(&text, change);
	else if (wrong_neighbour(answer)) /* what happened to it behind that is no wonder */
		describe_wrong_neighbour(&text, wrong_neighbour(answer));
	else if (is_wrong_way(answer, change))
		describe_wrong_way(&text, answer, change);
	else if (answer->chain && (answer->fate == FATE_REJECTED || answer->fate == FATE_DROPPED))
		describe_rule(&text, answer);
	else if (answer->fate == FATE_UNKNOWN)
		strbuf_printf(&text, "what becomes of it at %s is not known: %s",
			      answer->where ? answer->where->name : "some host",
			      answer->missing_count ? answer->missing[0].text : "a fact is missing");
	else if (answer->reason_text &&
		 strncmp(answer->reason_text, answer->where->name, strlen(answer->where->name)) == 0)
		strbuf_add(&text, answer->reason_text);
	else
		strbuf_printf(&text, "%s loses it: %s", answer->where->name,
			      answer->reason_text ? answer->reason_text : lost_reason_word(answer->reason));
	cause.host = answer->where ? answer->where->name : NULL;
	if (is_wrong_way(answer, change) && wrong_turn(answer, change))
		cause.host = wrong_turn(answer, change)->host->name;
	if (wrong_neighbour(answer))
		cause.host = wrong_neighbour(answer)->host->name;
	cause.what = text_of(trial->arena, &text);
	cause.origin = origin_of(answer, change);
	return cause;
}
