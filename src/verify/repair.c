/*
 * Trials, the cheapest set of changes first: with no change, then with one, and so on. A trial that fails says where,
 * and that says which changes are worth trying next, so the search only ever follows causes it has seen.
 */
#include "verify/repair.h"

#include "base/arena.h"
#include "base/strbuf.h"
#include "verify/neighbourhood.h"

#include <netinet/in.h>
#include <string.h>

enum {
	CHANGES_MAX = 8,
	CANDIDATES_MAX = 4,
	TRIALS_MAX = 600,
};

struct search {
	struct arena *arena;
	const struct bundle *bundle;
	const struct question *question;
	const char *to;
	bool both;
	struct repair *repair;
	struct change *changes[CHANGES_MAX];
	size_t count;
	unsigned trials;
};

struct trial {
	const struct bundle *bundle;
	struct stack *stack;
	struct question *question;
	struct answer *answer, *reply;
	const struct answer *failed; /* one of the two; NULL: all is well */
};

static void release_stack(void *stack)
{
	stack_free(stack);
}

/* The same question in a stack made of other facts. */
static struct question *question_in(struct arena *arena, struct stack *stack, const struct question *question)
{
	struct question *copy = arena_new_struct(arena, struct question);

	*copy = *question;
	copy->at = stack_host(stack, question->at->name);
	copy->iif = question->iif ? stack_link(copy->at, question->iif->name) : NULL;
	copy->in_port = question->in_port ? stack_link(copy->at, question->in_port->name) : NULL;
	copy->first = question->first ? question_in(arena, stack, question->first) : NULL;
	return copy;
}

static const struct stack_host *owner_of(const struct stack *stack, const struct ip *address)
{
	for (size_t i = 0; i < stack->host_count; i++)
		if (stack_link_with_address(&stack->hosts[i], address))
			return &stack->hosts[i];
	return NULL;
}

static void take_assumptions(struct search *search, const struct answer *answer)
{
	struct repair *repair = search->repair;

	for (size_t i = 0; i < answer->assumption_count; i++) {
		bool known = false;

		for (size_t j = 0; j < repair->assumption_count; j++)
			known |= strcmp(repair->assumptions[j].text, answer->assumptions[i].text) == 0;
		if (!known)
			*arena_push(search->arena, repair->assumptions, repair->assumption_count) =
				answer->assumptions[i];
	}
}

/* With the first `count` changes of the search. */
static struct trial try(struct search *search, size_t count)
{
	struct trial trial = {0};
	struct question *question;

	search->trials++;
	trial.bundle = count ? change_apply(search->arena, search->bundle, search->changes, count) : search->bundle;
	trial.stack = stack_new(trial.bundle);
	arena_adopt(search->arena, trial.stack, release_stack);
	question = trial.question = question_in(search->arena, trial.stack, search->question);
	trial.answer = walk_ask(trial.stack, question, WALK_ASSUME, search->arena);
	take_assumptions(search, trial.answer);
	if (!walk_arrived(trial.answer, search->to ? stack_host(trial.stack, search->to) : NULL)) {
		trial.failed = trial.answer;
		return trial;
	}
	if (!search->both || trial.answer->out)
		return trial;
	trial.reply = walk_reply(trial.stack, question, WALK_ASSUME, search->arena);
	take_assumptions(search, trial.reply);
	if (!walk_arrived(trial.reply, question->iif ? NULL : question->at))
		trial.failed = trial.reply;
	return trial;
}

/* ---- where a way ends ---- */

static const struct step *last_step(const struct answer *answer, enum step_kind kind)
{
	for (size_t i = answer->step_count; i-- > 0;)
		if (answer->steps[i].kind == kind && answer->steps[i].host == answer->where)
			return &answer->steps[i];
	return NULL;
}

static const struct stack_link *carrier(const struct stack_link *link)
{
	return link && link->master ? link->master : link;
}

/* The base chain in which the way to the deciding rule begins, and the rule's index in it; 0: its policy decides. */
static const struct stack_chain *base_of(const struct answer *answer, uint32_t *ret_before)
{
	const struct stack_chain *chain = answer->chain;

	*ret_before = answer->rule ? answer->rule->index : 0;
	if (chain->chain->hook != HOOK_NONE)
		return chain;
	for (size_t i = answer->step_count; i-- > 0;) {
		const struct step *step = &answer->steps[i];

		if (step->kind == STEP_RULE && step->host == answer->where && step->chain && step->rule &&
		    step->chain->table == chain->table && step->chain->chain->hook != HOOK_NONE) {
			*ret_before = step->rule->index;
			return step->chain;
		}
	}
	return NULL;
}

/* ---- candidates ---- */

struct candidates {
	struct search *search;
	const struct trial *trial;
	struct change_site site;
	struct change *items[CANDIDATES_MAX];
	size_t count;
};

static void add_candidate(struct candidates *candidates, struct change *change)
{
	struct search *search = candidates->search;

	if (!change || candidates->count == CANDIDATES_MAX)
		return;
	for (size_t i = 0; i < search->count; i++)
		if (strcmp(search->changes[i]->host, change->host) == 0 &&
		    strcmp(search->changes[i]->command, change->command) == 0)
			return;
	candidates->items[candidates->count++] = change;
}

static struct rule_wish wish_of(const struct answer *answer, bool reply)
{
	const struct step *arrive = last_step(answer, STEP_ARRIVE), *route = last_step(answer, STEP_ROUTE);
	bool bridge = answer->chain && answer->chain->table->table->family == FAMILY_BRIDGE;
	struct rule_wish wish = {.packet = &answer->packet, .answers = reply};

	if (arrive && (answer->hook == HOOK_FORWARD || answer->hook == HOOK_INPUT || answer->hook == HOOK_PREROUTING))
		wish.iif = bridge ? NULL : carrier(arrive->link) ? carrier(arrive->link)->name : NULL;
	if (route && route->link && !bridge &&
	    (answer->hook == HOOK_FORWARD || answer->hook == HOOK_OUTPUT || answer->hook == HOOK_POSTROUTING))
		wish.oif = route->link->name;
	return wish;
}

static void candidates_of_rule(struct candidates *candidates, const struct answer *answer, bool reply)
{
	struct rule_wish wish = wish_of(answer, reply);
	const struct stack_chain *base;
	uint32_t before;

	if (!answer->chain)
		return;
	base = base_of(answer, &before);
	if (base)
		add_candidate(candidates,
			      change_rule(&candidates->site, base->table->table, base->chain, before, &wish));
}

/* The subnet that the address is in at its owner; the address alone where the owner has it without one. */
static struct prefix subnet_of(const struct stack_link *link, const struct ip *address)
{
	struct prefix alone = {.ip = *address, .length = ip_bits(address)};

	for (size_t i = 0; i < link->link->address_count; i++)
		if (ip_equal(&link->link->addresses[i].prefix.ip, address))
			return prefix_network(&link->link->addresses[i].prefix);
	return alone;
}

/* A route from the host at which the packet went astray towards whoever has its destination. */
static void candidates_of_route(struct candidates *candidates, const struct answer *answer, const struct stack_host *at)
{
	const struct stack *stack = candidates->trial->stack;
	const struct ip *dst = &answer->packet.dst;
	const struct stack_host *to = owner_of(stack, dst);
	const struct address *gateway;
	struct adjacency hop;
	struct prefix subnet;

	if (!to || !neighbourhood_first_hop(candidates->search->arena, stack, at, to, dst->family, &hop))
		return;
	gateway = link_global_address(hop.theirs, dst->family);
	if (ip_equal(&gateway->prefix.ip, dst))
		return; /* on the link itself: no gateway to go through */
	subnet = subnet_of(stack_link_with_address(to, dst), dst);
	add_candidate(candidates, change_route(&candidates->site, &subnet, &gateway->prefix.ip, hop.mine->name));
}

static void candidates_of_sysctl(struct candidates *candidates, const struct answer *answer)
{
	const struct step *arrive = last_step(answer, STEP_ARRIVE);
	const char *link = arrive && carrier(arrive->link) ? carrier(arrive->link)->name : NULL;
	bool six = answer->packet.family == AF_INET6;
	struct arena *arena = candidates->search->arena;

	if (answer->reason == LOST_FORWARDING_OFF) {
		const char *all = six ? "net.ipv6.conf.all.forwarding" : "net.ipv4.ip_forward", *value;

		value = facts_sysctl(candidates->site.host, all);
		if (link && value && strcmp(value, "0") != 0)
			all = arena_printf(arena, "net.ipv%c.conf.%s.forwarding", six ? '6' : '4', link);
		add_candidate(candidates, change_sysctl(&candidates->site, all, 1));
	} else if (answer->reason == LOST_RP_FILTER && link) {
		add_candidate(candidates, change_sysctl(&candidates->site,
							arena_printf(arena, "net.ipv4.conf.%s.rp_filter", link), 2));
	} else if (answer->reason == LOST_MARTIAN_LOCALNET && link) {
		add_candidate(candidates,
			      change_sysctl(&candidates->site,
					    arena_printf(arena, "net.ipv4.conf.%s.route_localnet", link), 1));
	}
}

/* Strict reverse path filtering is content, too, once the way back is the way it came. */
static void candidates_of_way_back(struct candidates *candidates, const struct answer *answer)
{
	struct answer back = *answer;

	back.packet.dst = answer->packet.src;
	candidates_of_route(candidates, &back, answer->where);
}

static void candidates_of_link(struct candidates *candidates, const struct answer *answer)
{
	const struct step *route = last_step(answer, STEP_ROUTE);

	if (route && route->link && route->link->link->up == TRUTH_NO)
		add_candidate(candidates, change_link_up(&candidates->site, route->link->name));
}

/*
 * An answer that does not find its way home need not: where the last host before the destination sends in its own name,
 * the destination knows the way.
 */
static void candidates_of_masquerade(struct candidates *candidates, const struct answer *there)
{
	const struct stack *stack = candidates->trial->stack;
	const struct stack_host *last = NULL;
	const struct step *route = NULL;
	struct rule_wish wish;

	for (size_t i = 0; i < there->step_count; i++)
		if (there->steps[i].host != there->where && there->steps[i].kind == STEP_ROUTE) {
			last = there->steps[i].host;
			route = &there->steps[i];
		}
	if (!last || !route->link)
		return;
	candidates->site.host = last->facts;
	wish = (struct rule_wish){.packet = &there->packet, .oif = route->link->name};
	add_candidate(candidates, change_masquerade(&candidates->site, &wish));
	candidates->site.host = stack_host(stack, there->where->name)->facts;
}

/* Delivered, but not to whom it was meant for: it left the way before. The host that has a better one is looked for
 * along the way it took. */
static void candidates_of_wrong_way(struct candidates *candidates, const struct answer *answer)
{
	const struct stack_host *asked = NULL;

	for (size_t i = answer->step_count; i-- > 0;) {
		const struct step *step = &answer->steps[i];

		if (step->kind != STEP_ROUTE || step->host == asked)
			continue;
		asked = step->host;
		candidates->site.host = asked->facts;
		candidates_of_route(candidates, answer, asked);
	}
}

static void find_candidates(struct search *search, const struct trial *trial, struct candidates *ret)
{
	const struct answer *answer = trial->failed;
	bool reply = answer == trial->reply;

	*ret = (struct candidates){.search = search, .trial = trial};
	ret->site = (struct change_site){search->arena, trial->bundle, answer->where ? answer->where->facts : NULL};
	if (!ret->site.host)
		return;
	if (answer->fate == FATE_DELIVERED) {
		candidates_of_wrong_way(ret, answer);
	} else if (answer->fate == FATE_REJECTED || answer->fate == FATE_DROPPED) {
		candidates_of_rule(ret, answer, reply);
	} else if (answer->fate == FATE_LOST) {
		candidates_of_sysctl(ret, answer);
		if (answer->reason == LOST_RP_FILTER)
			candidates_of_way_back(ret, answer);
		if (answer->reason == LOST_NO_ROUTE || answer->reason == LOST_BLACKHOLE_ROUTE ||
		    answer->reason == LOST_UNREACHABLE_ROUTE || answer->reason == LOST_PROHIBIT_ROUTE ||
		    answer->reason == LOST_NO_NEIGHBOUR || answer->reason == LOST_LOOP)
			candidates_of_wrong_way(ret, answer);
		candidates_of_link(ret, answer);
	}
	if (reply && answer->fate != FATE_REJECTED && answer->fate != FATE_DROPPED)
		candidates_of_masquerade(ret, trial->answer);
}

/* ---- the search ---- */

/* True: with search->changes[0 … count) all is well. */
static bool descend(struct search *search, size_t limit)
{
	struct trial trial = try(search, search->count);
	struct candidates candidates;

	if (!trial.failed)
		return true;
	if (search->count == limit || search->trials >= TRIALS_MAX)
		return false;
	find_candidates(search, &trial, &candidates);
	for (size_t i = 0; i < candidates.count; i++) {
		search->changes[search->count++] = candidates.items[i];
		if (descend(search, limit))
			return true;
		search->count--;
	}
	return false;
}

/* Nothing helps: as far as the first candidates lead, so that all that is seen to block can be told. */
static void follow(struct search *search)
{
	search->count = 0;
	while (search->count < CHANGES_MAX) {
		struct trial trial = try(search, search->count);
		struct candidates candidates;

		if (!trial.failed)
			return;
		find_candidates(search, &trial, &candidates);
		if (!candidates.count)
			return;
		search->changes[search->count++] = candidates.items[0];
	}
}

/* ---- causes in words ---- */

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

/* The step that sent it the wrong way, where it was delivered to the wrong place. */
static const struct step *wrong_turn(const struct answer *answer, const struct change *change)
{
	for (size_t i = answer->step_count; i-- > 0;)
		if (answer->steps[i].kind == STEP_ROUTE &&
		    (!change || strcmp(answer->steps[i].host->name, change->host) == 0))
			return &answer->steps[i];
	return NULL;
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
		prefix_format(&change->route->to, dst);
	else
		ip_format(&answer->packet.dst, dst);
	strbuf_printf(out, "%s has no route of its own to %s, so the packet leaves %s (%s)", turn->host->name, dst,
		      turn->effect ? turn->effect : "", turn->text ? turn->text : "");
}

static const struct origin *origin_of(const struct answer *answer, const struct change *change)
{
	const struct step *turn;

	if (answer->rule)
		return &answer->rule->origin;
	if (answer->chain)
		return &answer->chain->chain->origin;
	if (answer->fate == FATE_DELIVERED) {
		turn = wrong_turn(answer, change);
		return turn ? turn->origin : NULL;
	}
	return answer->step_count ? answer->steps[answer->step_count - 1].origin : NULL;
}

static struct cause cause_of(struct search *search, const struct trial *trial, const struct change *change)
{
	const struct answer *answer = trial->failed;
	struct cause cause = {.answer = answer, .reply = answer == trial->reply, .change = change};
	struct strbuf text = {0};

	if (answer->chain && (answer->fate == FATE_REJECTED || answer->fate == FATE_DROPPED))
		describe_rule(&text, answer);
	else if (answer->fate == FATE_DELIVERED)
		describe_wrong_way(&text, answer, change);
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
	cause.what = text_of(search->arena, &text);
	cause.origin = origin_of(answer, change);
	return cause;
}

struct repair *repair_find(struct arena *arena, const struct bundle *bundle, const struct question *question,
			   const char *to, bool both)
{
	struct repair *repair = arena_new_struct(arena, struct repair);
	struct search search = {
		.arena = arena, .bundle = bundle, .question = question, .to = to, .both = both, .repair = repair};
	struct trial trial;

	if (!to && !question->bridged) {
		const struct stack_host *owner = owner_of(question->at->stack, &question->packet.dst);

		search.to = owner ? owner->name : NULL;
	}
	for (size_t limit = 0; limit <= CHANGES_MAX && !repair->mended && search.trials < TRIALS_MAX; limit++)
		repair->mended = descend(&search, limit);
	if (!repair->mended)
		follow(&search);
	for (size_t i = 0; i <= search.count; i++) {
		trial = try(&search, i);
		if (i == 0) {
			repair->stack = trial.stack;
			repair->answer = trial.answer;
			repair->reply = trial.reply;
		}
		if (trial.failed)
			*arena_push(arena, repair->causes, repair->cause_count) =
				cause_of(&search, &trial, i < search.count ? search.changes[i] : NULL);
	}
	repair->after = trial.answer;
	repair->after_reply = trial.reply;
	for (size_t i = 0; repair->mended && i < search.count; i++)
		*arena_push(arena, repair->changes, repair->change_count) = search.changes[i];
	return repair;
}
