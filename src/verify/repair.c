/*
 * Trials, the cheapest set of changes first: with no change, then with one, and so on. A trial that fails says where,
 * and that says which changes are worth trying next, so the search only ever follows causes it has seen.
 */
#include "verify/repair_internal.h"

#include "base/arena.h"
#include "verify/lasting.h"

#include <string.h>
#include <sys/socket.h>

enum {
	TRIALS_MAX = 600,
	REFUSALS_MAX = 6, /* what is forbidden stays so, whichever way it is done */
};

struct search {
	struct arena *arena;
	const struct bundle *bundle;
	const struct question *question;
	const char *to;
	const char *owner, *asker; /* hosts that have the destination, and the source; NULL: none, or `to` counts */
	bool both;
	struct change *changes[CHANGES_MAX];
	size_t count, first; /* the first ones are made in any case */
	unsigned trials;
	const struct repair_guard *guard;
	const char *const *made;
	struct refusal refusals[REFUSALS_MAX];
	size_t refusal_count; /* of the list: one for each reason */
	unsigned refused;     /* sets */
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

static const char *owner_of(const struct stack *stack, const struct ip *address)
{
	for (size_t i = 0; i < stack->host_count && address->family && !ip_is_loopback(address); i++)
		if (stack_link_with_address(&stack->hosts[i], address))
			return stack->hosts[i].name;
	return NULL;
}

static bool is_at(const struct answer *answer, const char *host)
{
	return !host || (strcmp(answer->where->name, host) == 0 && !answer->out);
}

/* Several hosts may have the destination (mirrored mode of WSL2): each is who is meant by the address. */
static bool is_at_owner(const struct search *search, const struct answer *answer)
{
	return !search->owner ||
	       (!answer->out && stack_link_with_address(answer->where, &search->question->packet.dst));
}

/* To the host that is meant. Where none is named, whoever has the address, unless it was translated to another. */
static bool is_there(const struct search *search, const struct answer *answer)
{
	if (answer->fate != FATE_DELIVERED)
		return false;
	if (search->to)
		return is_at(answer, search->to);
	return is_at_owner(search, answer) || !ip_equal(&answer->packet.dst, &search->question->packet.dst);
}

static bool comes_back(const struct search *search, const struct answer *reply)
{
	return reply->fate == FATE_DELIVERED && is_at(reply, search->asker);
}

/* With the first `count` changes of the search. */
static struct trial try(struct search *search, size_t count)
{
	struct trial trial = {.arena = search->arena};

	search->trials++;
	trial.bundle = count ? change_apply(search->arena, search->bundle, search->changes, count) : search->bundle;
	trial.stack = stack_new(trial.bundle);
	arena_adopt(search->arena, trial.stack, release_stack);
	trial.question = question_in(search->arena, trial.stack, search->question);
	trial.answer = walk_ask(trial.stack, trial.question, WALK_ASSUME, search->arena);
	if (!is_there(search, trial.answer)) {
		trial.failed = trial.answer;
		return trial;
	}
	if (!search->both)
		return trial;
	trial.reply = walk_reply(trial.stack, trial.question, WALK_ASSUME, search->arena);
	if (!comes_back(search, trial.reply))
		trial.failed = trial.reply;
	return trial;
}

/* ---- the search ---- */

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static const char *text_of_rule(const struct answer *answer)
{
	return answer->rule ? answer->rule->text : NULL;
}

/* Does it still fail where it failed before? */
static bool is_no_further(const struct trial *before, const struct trial *now)
{
	const struct answer *a = before->failed, *b = now->failed;

	if (!b || a->fate != b->fate || a->reason != b->reason || (a == before->reply) != (b == now->reply) ||
	    !a->where != !b->where || (a->where && strcmp(a->where->name, b->where->name) != 0))
		return false;
	if (!a->chain != !b->chain ||
	    (a->chain && (strcmp(a->chain->chain->name, b->chain->chain->name) != 0 ||
			  strcmp(a->chain->table->table->name, b->chain->table->table->name) != 0)))
		return false;
	return same_text(text_of_rule(a), text_of_rule(b)) && same_text(a->reason_text, b->reason_text);
}

/* All is well with search->changes[0 … count): may they be made? */
static bool is_allowed(struct search *search, const struct bundle *bundle)
{
	struct refusal *refusal = &search->refusals[search->refusal_count];
	const char *why;

	if (!search->guard || search->count == 0 ||
	    search->guard->allows(search->guard->context, bundle, search->arena, &why))
		return true;
	search->refused++;
	for (size_t i = 0; i < search->refusal_count; i++)
		if (strcmp(search->refusals[i].why, why) == 0)
			return false;
	*refusal = (struct refusal){.change_count = search->count, .why = why};
	refusal->changes = arena_alloc(search->arena, search->count * sizeof(*refusal->changes));
	memcpy(refusal->changes, search->changes, search->count * sizeof(*refusal->changes));
	search->refusal_count++;
	return false;
}

/* True: with search->changes[0 … count) all is well. A change after which the packet gets no further is not followed;
 * `before`: without the last one. */
static bool descend(struct search *search, const struct trial *before, size_t limit)
{
	struct trial trial = try(search, search->count);
	struct candidates candidates;

	if (!trial.failed)
		return is_allowed(search, trial.bundle);
	if (search->count == limit || search->refused == REFUSALS_MAX || search->trials >= TRIALS_MAX ||
	    (before && is_no_further(before, &trial)))
		return false;
	candidates_find(&trial, &candidates);
	for (size_t i = 0; i < candidates.count; i++) {
		search->changes[search->count++] = candidates.items[i];
		if (descend(search, &trial, limit))
			return true;
		search->count--;
	}
	return false;
}

/* The first candidate with which it gets further is made one of the changes. */
static bool get_further(struct search *search, const struct trial *trial)
{
	struct candidates candidates;

	candidates_find(trial, &candidates);
	for (size_t i = 0; i < candidates.count; i++) {
		struct trial next;

		search->changes[search->count] = candidates.items[i];
		next = try(search, search->count + 1);
		if (is_no_further(trial, &next))
			continue;
		search->count++;
		return true;
	}
	return false;
}

/* Nothing helps: as far as candidates lead, so that all that is seen to block can be told. */
static void follow(struct search *search)
{
	struct trial trial;

	search->count = search->first;
	do
		trial = try(search, search->count);
	while (trial.failed && search->count < CHANGES_MAX && get_further(search, &trial));
}

/* Without one of them. */
static void leave_out(struct search *search, size_t which)
{
	const struct change *gone = search->changes[which];

	search->count--;
	for (size_t i = which; i < search->count; i++) {
		struct change *change = search->changes[i + 1];
		struct change_site site = {search->arena, search->bundle, bundle_host(search->bundle, change->host)};

		search->changes[i] = change_without(&site, change, gone);
	}
}

static bool is_mended(struct search *search)
{
	struct trial trial = try(search, search->count);
	const char *why;

	return !trial.failed &&
	       (!search->guard || search->guard->allows(search->guard->context, trial.bundle, search->arena, &why));
}

/* Changes that turned out not to be needed, because a later one does what they did, are left out. */
static void prune(struct search *search)
{
	for (size_t i = 0; i < search->count && search->count > 1;) {
		struct search before = *search;

		leave_out(search, i);
		if (is_mended(search))
			continue;
		*search = before;
		i++;
	}
}

/* ---- the answer ---- */

static void take_assumptions(struct arena *arena, struct repair *repair, const struct answer *answer)
{
	for (size_t i = 0; answer && i < answer->assumption_count; i++) {
		bool known = false;

		for (size_t j = 0; j < repair->assumption_count; j++)
			known |= strcmp(repair->assumptions[j].text, answer->assumptions[i].text) == 0;
		if (!known)
			*arena_push(arena, repair->assumptions, repair->assumption_count) = answer->assumptions[i];
	}
}

/* Change by change, what stops it next. */
static void tell(struct search *search, struct repair *repair)
{
	struct trial trial;

	for (size_t i = 0; i <= search->count; i++) {
		trial = try(search, i);
		take_assumptions(search->arena, repair, trial.answer);
		take_assumptions(search->arena, repair, trial.reply);
		if (i == 0) {
			repair->stack = trial.stack;
			repair->answer = trial.answer;
			repair->reply = trial.reply;
		}
		if (trial.failed)
			*arena_push(search->arena, repair->causes, repair->cause_count) =
				cause_of(&trial, i < search->count ? search->changes[i] : NULL);
	}
	repair->after = trial.answer;
	repair->after_reply = trial.reply;
	for (size_t i = 0; repair->mended && i < search->count; i++)
		*arena_push(search->arena, repair->changes, repair->change_count) = search->changes[i];
	for (size_t i = 0; i < repair->change_count; i++)
		repair->changes[i]->opens = change_opens(search->arena, repair->changes[i]);
	lasting_find(search->arena, search->bundle, search->made, repair->changes, repair->change_count);
}

/* Does it matter what is missing? Not where none of its ways, or every one, ends where it is to. */
static bool is_open(const struct search *search, const struct answer *answer, bool reply)
{
	size_t good = 0;

	if (answer->fate != FATE_UNKNOWN)
		return false;
	for (size_t i = 0; i < answer->end_count; i++)
		good += reply ? comes_back(search, answer->ends[i]) : is_there(search, answer->ends[i]);
	return !answer->end_count || (good && (good < answer->end_count || !reply));
}

/* The question once more, taking nothing for granted. */
static void find_missing(const struct search *search, struct repair *repair)
{
	const struct question *question = search->question;
	const struct stack *stack = question->at->stack;
	const struct answer *answer = walk_ask(stack, question, 0, search->arena);
	bool reply = answer->fate == FATE_DELIVERED && repair->reply;

	if (reply)
		answer = walk_reply(stack, question, 0, search->arena);
	if (!is_open(search, answer, reply))
		return;
	repair->missing = answer->missing;
	repair->missing_count = answer->missing_count;
}

static bool listens(const struct listener *listener, const struct packet *packet)
{
	const struct ip *address = &listener->address;

	if (!listener->protocol || !listener->port.known || listener->port.value != packet->dport.first ||
	    strncmp(listener->protocol, packet->protocol == PROTOCOL_TCP ? "tcp" : "udp", 3) != 0)
		return false;
	/* Listings do not always tell whether a socket of IPv6 serves IPv4, too. */
	return !address->family || ip_equal(address, &packet->dst) ||
	       (ip_is_any(address) && (address->family == packet->family || address->family == AF_INET6));
}

static void find_listener(struct search *search, struct repair *repair)
{
	const struct answer *end = repair->after;
	const struct packet *packet = &end->packet;
	const struct facts *facts = end->where ? end->where->facts : NULL;
	struct hearing *hearing = &repair->hearing;

	if (!is_there(search, end) || end->out || facts->listeners_known != TRUTH_YES || !packet_has_ports(packet) ||
	    (packet->protocol != PROTOCOL_TCP && packet->protocol != PROTOCOL_UDP) ||
	    packet->dport.first != packet->dport.last || search->question->state != STATE_NEW)
		return;
	hearing->host = end->where;
	hearing->service = arena_printf(search->arena, "%u/%s", packet->dport.first,
					packet->protocol == PROTOCOL_TCP ? "tcp" : "udp");
	for (size_t i = 0; i < facts->listener_count && !hearing->listener; i++)
		if (listens(&facts->listeners[i], packet))
			hearing->listener = &facts->listeners[i];
}

static struct repair *find(struct search *search)
{
	struct repair *repair = arena_new_struct(search->arena, struct repair);
	const struct question *question = search->question;

	if (!question->bridged)
		search->owner = owner_of(question->at->stack, &question->packet.dst);
	search->asker = question->iif ? owner_of(question->at->stack, &question->packet.src) : question->at->name;
	repair->mended = !try(search, 0).failed;
	for (size_t limit = search->first;
	     limit <= CHANGES_MAX && !repair->mended && search->trials < TRIALS_MAX && search->refused < REFUSALS_MAX;
	     limit++) {
		search->count = search->first;
		repair->mended = descend(search, NULL, limit);
	}
	if (repair->mended)
		prune(search);
	else
		follow(search);
	tell(search, repair);
	find_missing(search, repair);
	find_listener(search, repair);
	return repair;
}

static void take_refusals(const struct search *search, struct repair *repair)
{
	for (size_t i = 0; i < search->refusal_count; i++)
		*arena_push(search->arena, repair->refusals, repair->refusal_count) = search->refusals[i];
}

/* The change with which it is passed on; where there is none, nothing is made in any case. */
static void begin_published(struct search *search, const struct repair_input *input)
{
	const struct question *question = input->question;
	struct change_site site = {search->arena, input->bundle, bundle_host(input->bundle, question->at->name)};
	struct rule_wish wish = {
		.packet = &question->packet, .any_source = true, .iif = question->iif->name, .publish = input->inner};

	search->changes[0] = change_publish(&site, &wish);
	search->first = search->changes[0] ? 1 : 0;
}

struct repair *repair_find(struct arena *arena, const struct repair_input *input)
{
	struct search search = {.arena = arena,
				.bundle = input->bundle,
				.question = input->question,
				.to = input->to,
				.both = input->both,
				.guard = input->guard,
				.made = input->made};
	struct repair *repair;

	if (input->inner.family)
		begin_published(&search, input);
	repair = find(&search);
	take_refusals(&search, repair);
	return repair;
}
