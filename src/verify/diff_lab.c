/* Two matrices of who reaches whom, question by question; the interpreter tells of each that differs what decided. */
#include "verify/diff.h"

#include "base/arena.h"
#include "base/strbuf.h"
#include "verify/batch.h"
#include "verify/ends.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { MOST_EXPLAINED = 2000, SOME_PORT = 40000 };

struct comparing {
	const struct reach_lab *before, *after;
	struct diff_lab *diff;
};

static const char *name_of(const struct reach_lab *lab, size_t node)
{
	return lab->nodes[node].host ? lab->nodes[node].host->name : "world";
}

/* SIZE_MAX: there is none. */
static size_t node_called(const struct reach_lab *lab, const struct reach_lab *other, size_t node)
{
	const struct stack_host *host = other->nodes[node].host;

	if (!host)
		return lab->node_count - 1;
	host = stack_host(lab->stack, host->name);
	return host ? host->number : SIZE_MAX;
}

/* ---- what decided ---- */

static bool ask(const struct reach_lab *lab, int family, size_t from, size_t to, size_t service,
		struct question *question)
{
	const struct reach_cell *cell = reach_lab_cell(lab, family, from, to, service);
	const struct reach_service *asked = &lab->services[service];
	const struct reach_node *target = &lab->nodes[to];
	char address[IP_TEXT_SIZE];
	struct ends ends = {.from = name_of(lab, from), .to = family ? "2001:4860:4860::8888" : "8.8.8.8"};
	struct stack_host *meant;

	if (target->host && target->address_counts[family])
		ends.to = ip_format(&target->addresses[family][cell->address], address);
	*question = (struct question){};
	if (ends_resolve(lab->stack, &ends, question, &meant, NULL) < 0)
		return false;
	question->packet.protocol = asked->protocol == PROTOCOL_ICMP && family ? PROTOCOL_ICMPV6 : asked->protocol;
	question->packet.dport = port_of(asked->port);
	question->packet.sport = port_of(SOME_PORT);
	question_complete(question, true, true, false, false);
	return true;
}

static const char *rule_text(struct arena *arena, const char *what, const struct stack_chain *chain,
			     const struct rule *rule)
{
	const char *table = chain->table->table->name, *host = chain->table->host->name;

	if (!rule)
		return arena_printf(arena, "%s by the policy of %s %s at %s", what, table, chain->chain->name, host);
	return arena_printf(arena, "%s by rule %u of %s %s at %s: %s", what, rule->index, table, chain->chain->name,
			    host, rule->text);
}

/* What let it pass where the other one stopped it; else that it arrived. */
static const char *passed_by(struct arena *arena, const struct answer *answer, const struct answer *stopped)
{
	for (size_t i = answer->step_count; i-- > 0;) {
		const struct step *step = &answer->steps[i];

		if ((step->kind == STEP_RULE || step->kind == STEP_POLICY) && step->chain && stopped->chain &&
		    step->hook == stopped->hook && step->effect && strncmp(step->effect, "accept", 6) == 0 &&
		    strcmp(step->host->name, stopped->where->name) == 0)
			return rule_text(arena, "accepted", step->chain, step->rule);
	}
	return arena_printf(arena, "delivered at %s", answer->where->name);
}

static const char *stopped_by(struct arena *arena, const struct answer *answer)
{
	if (answer->chain)
		return rule_text(arena, fate_word(answer->fate), answer->chain, answer->rule);
	if (answer->reason_text)
		return arena_printf(arena, "%s at %s: %s", fate_word(answer->fate), answer->where->name,
				    answer->reason_text);
	return arena_printf(arena, "%s at %s", fate_word(answer->fate), answer->where->name);
}

static void explain(struct comparing *comparing, struct diff_change *change, const struct question *before,
		    const struct question *after)
{
	struct arena *arena = comparing->diff->arena, *scratch = arena_new();
	const struct answer *was = walk_ask(comparing->before->stack, before, 0, scratch);
	const struct answer *is = walk_ask(comparing->after->stack, after, 0, scratch);

	change->packet = after->packet;
	if (!change->packet.src.family)
		change->packet.src = is->source.family ? is->source : was->source;
	change->before = was->fate == FATE_DELIVERED ? passed_by(arena, was, is) : stopped_by(arena, was);
	change->after = is->fate == FATE_DELIVERED ? passed_by(arena, is, was) : stopped_by(arena, is);
	arena_free(scratch);
}

/* ---- questions ---- */

static unsigned openness(enum reach_verdict verdict)
{
	return verdict == REACH_ALLOWED ? 2 : verdict == REACH_PARTLY ? 1 : 0;
}

static enum diff_kind kind_of(enum reach_verdict before, enum reach_verdict after)
{
	if (before == REACH_UNKNOWN || after == REACH_UNKNOWN)
		return DIFF_UNCLEAR;
	return openness(after) > openness(before) ? DIFF_OPENS : DIFF_CLOSES;
}

/* Who has no address of a family is not reached by it. */
static enum reach_verdict verdict_of(const struct reach_lab *lab, int family, const size_t ends[2], size_t service)
{
	enum reach_verdict verdict = REACH_NONE;

	if (lab->tables[family].present)
		verdict = reach_lab_cell(lab, family, ends[0], ends[1], service)->verdict;
	return verdict == REACH_NONE ? REACH_BLOCKED : verdict;
}

static void compare_cell(struct comparing *comparing, int family, const size_t before[2], const size_t after[2],
			 size_t service)
{
	struct diff_lab *diff = comparing->diff;
	enum reach_verdict was = verdict_of(comparing->before, family, before, service);
	enum reach_verdict is = verdict_of(comparing->after, family, after, service);
	struct question old, new;
	struct diff_change *change;

	if (was == is)
		return;
	change = arena_push(diff->arena, diff->changes, diff->change_count);
	*change = (struct diff_change){.kind = kind_of(was, is),
				       .family = family,
				       .from = arena_strdup(diff->arena, name_of(comparing->after, after[0])),
				       .to = arena_strdup(diff->arena, name_of(comparing->after, after[1])),
				       .service = comparing->after->services[service],
				       .before_verdict = was,
				       .after_verdict = is};
	if (diff->change_count <= MOST_EXPLAINED && comparing->before->tables[family].present &&
	    comparing->after->tables[family].present &&
	    ask(comparing->before, family, before[0], before[1], service, &old) &&
	    ask(comparing->after, family, after[0], after[1], service, &new))
		explain(comparing, change, &old, &new);
}

static void compare_from(struct comparing *comparing, int family, size_t before, size_t after)
{
	for (size_t to = 0; to < comparing->after->node_count; to++) {
		size_t old_to = node_called(comparing->before, comparing->after, to);

		if (old_to == SIZE_MAX || to == after)
			continue;
		for (size_t service = 0; service < comparing->after->service_count; service++)
			compare_cell(comparing, family, (const size_t[]){before, old_to}, (const size_t[]){after, to},
				     service);
	}
}

static size_t only_in(struct diff_lab *diff, const struct reach_lab *lab, const struct reach_lab *other,
		      const char ***ret)
{
	size_t count = 0;

	for (size_t i = 0; i < lab->node_count; i++)
		if (node_called(other, lab, i) == SIZE_MAX)
			*arena_push(diff->arena, *ret, count) = arena_strdup(diff->arena, name_of(lab, i));
	return count;
}

struct diff_lab *diff_lab_new(const struct reach_lab *before, const struct reach_lab *after)
{
	struct diff_lab *diff = calloc(1, sizeof(*diff));
	struct comparing comparing = {before, after, diff};

	if (!diff)
		abort();
	diff->arena = arena_new();
	diff->gone_count = only_in(diff, before, after, &diff->gone);
	diff->come_count = only_in(diff, after, before, &diff->come);
	for (int family = 0; family < 2; family++)
		for (size_t from = 0; from < after->node_count; from++) {
			size_t old = node_called(before, after, from);

			if (old != SIZE_MAX)
				compare_from(&comparing, family, old, from);
		}
	return diff;
}

void diff_lab_free(struct diff_lab *diff)
{
	if (!diff)
		return;
	arena_free(diff->arena);
	free(diff);
}
