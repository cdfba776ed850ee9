/* What a lab promises, and asking for each of it: who may send what, and where it must come to, or must not. */
#include "verify/policy_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { USUAL_MEMORY = 512 << 20 };

const char *policy_result_word(enum policy_result result)
{
	static const char *const words[] = {"proved", "violated", "unknown", "suspended"};

	return words[result];
}

/* ---- what is promised ---- */

struct promises {
	struct promise *items;
	size_t count;
	struct arena *arena;
	const struct lab *lab;
	const struct isolation *isolation;
};

static void add(struct promises *promises, struct promise promise)
{
	*arena_push(promises->arena, promises->items, promises->count) = promise;
}

static void add_line(struct promises *promises, const struct policy *line)
{
	add(promises, (struct promise){.kind = line->verb == POLICY_ALLOW ? PROMISE_ALLOW : PROMISE_DENY,
				       .text = line->text,
				       .line = line});
}

static void add_guest(struct promises *promises, const struct guest *guest, enum promise_kind kind, const char *before,
		      const char *behind)
{
	add(promises, (struct promise){.kind = kind,
				       .text = arena_printf(promises->arena, "%s%s%s", before, guest->path, behind),
				       .guest = guest});
}

static bool has_way(const struct lab *lab, const struct guest *guest)
{
	for (size_t i = 0; i < guest->nic_count; i++)
		if (nic_is_reached(lab, &guest->nics[i], AF_INET) || nic_is_reached(lab, &guest->nics[i], AF_INET6))
			return true;
	return false;
}

static bool is_sealed(const struct promises *promises, const struct guest *guest)
{
	return isolation_world(promises->isolation, guest) == WORLD_SEALED;
}

static void add_isolation(struct promises *promises, const struct guest *guest)
{
	struct isolation_effect held = isolation_effect(promises->isolation, guest);

	if (guest->nic_count == 0)
		return;
	if (is_sealed(promises, guest)) {
		add_guest(promises, guest, PROMISE_SEALED, "", " is sealed: nothing comes out of it, nothing gets in");
		return;
	}
	if (has_way(promises->lab, guest))
		add_guest(promises, guest, PROMISE_ADMIN, "L0 reaches ", "");
	if (isolation_world(promises->isolation, guest) != WORLD_CUT)
		return;
	add_guest(promises, guest, PROMISE_CUT, "",
		  held.allowed_count ? " is cut: it reaches nothing of the world but what is allowed"
				     : " is cut: it reaches nothing of the world");
	if (held.neighbours == NEIGHBOURS_CUT)
		add_guest(promises, guest, PROMISE_STRICT, "", " is cut: it reaches no guest that is not cut");
	if (held.neighbours == NEIGHBOURS_DROP)
		add_guest(promises, guest, PROMISE_ALONE, "", " is cut: it reaches no other guest");
}

static bool has_guests(const struct lab *lab, const struct network *network)
{
	for (size_t i = 0; i < lab->guest_count; i++)
		for (size_t j = 0; j < lab->guests[i]->nic_count; j++)
			if (lab->guests[i]->nics[j].network == network)
				return true;
	return false;
}

size_t policy_promises(const struct lab *lab, const struct isolation *isolation, struct arena *arena,
		       struct promise **ret)
{
	struct promises promises = {.arena = arena, .lab = lab, .isolation = isolation};

	for (size_t i = 0; i < lab->policy_count; i++)
		add_line(&promises, &lab->policies[i]);
	for (size_t i = 0; i < lab->guest_count; i++)
		add_isolation(&promises, lab->guests[i]);
	for (size_t i = 0; i < lab->network_count; i++)
		if (lab->networks[i]->uplink == UPLINK_NONE && has_guests(lab, lab->networks[i]))
			add(&promises, (struct promise){.kind = PROMISE_INSIDE,
							.text = arena_printf(arena, "nothing leaves network %s",
									     lab->networks[i]->path),
							.network = lab->networks[i]});
	*ret = promises.items;
	return promises.count;
}

/* ---- sets of packets that promises are about ---- */

static pset of_states(struct space *space, const unsigned *states, size_t count)
{
	pset set = PSET_EMPTY;

	for (size_t i = 0; i < count; i++)
		set = pset_or(space, set, pset_kind(space, PSET_STATE, states[i]));
	return set;
}

/* What begins something, what belongs to nothing, and what goes on in a connection that the sender once began. */
static pset sent_freely(struct space *space)
{
	static const unsigned fresh[] = {PSET_NEW, PSET_INVALID, PSET_UNTRACKED};
	pset begun =
		pset_and(space, pset_kind(space, PSET_STATE, PSET_ESTABLISHED), pset_value(space, PSET_DIRECTION, 0));

	return pset_or(space, of_states(space, fresh, 3), begun);
}

/* ---- who is taken over ---- */

/* What is computed of hosts' rules is kept for all questions in which the same hosts are taken over. */
struct follower {
	bool *compromised; /* by party */
	struct spread *spread;
	bool asked, learnt; /* spread_learn() */
};

struct followers {
	struct follower **items;
	size_t count;
	bool learnt; /* one of them has */
};

static void take_over(struct asking *asking)
{
	for (size_t i = 0; i < asking->places.party_count; i++) {
		const struct party *party = &asking->places.parties[i];

		if (asking->compromised[i] && party->machine)
			spread_take_over(asking->spread, party->machine);
		if (asking->compromised[i] && party->network)
			spread_take_over(asking->spread, party->network);
	}
}

/* The one in which just those are taken over that were said to be. */
static void begin(struct asking *asking)
{
	size_t size = asking->places.party_count * sizeof(*asking->compromised);
	struct followers *followers = asking->followers;
	struct follower *follower;

	for (size_t i = 0; i < followers->count; i++)
		if (memcmp(followers->items[i]->compromised, asking->compromised, size) == 0) {
			asking->follower = followers->items[i];
			asking->spread = asking->follower->spread;
			return;
		}
	asking->spread = spread_new(asking->input->stack, asking->space);
	take_over(asking);
	follower = arena_new_struct(asking->arena, struct follower);
	*follower = (struct follower){.compromised = arena_alloc(asking->arena, size), .spread = asking->spread};
	memcpy(follower->compromised, asking->compromised, size);
	*arena_push(asking->arena, followers->items, followers->count) = follower;
	asking->follower = follower;
}

/* Whatever anybody may begin: guests that pass nothing on are taken for hostile, hosts send in their own name. */
static void add_everybody(const struct asking *asking, struct sources *sources)
{
	const struct lab *lab = asking->input->lab;

	source_add_world(asking, sources, PSET_FULL);
	source_add_party(asking, sources, places_root(&asking->places), PSET_FULL);
	for (size_t i = 0; i < lab->machine_count; i++)
		source_add_party(asking, sources, places_party(&asking->places, lab->machines[i]->guest), PSET_FULL);
	for (size_t i = 0; i < lab->guest_count; i++)
		if (lab->guests[i]->host)
			source_add_party(asking, sources, places_party(&asking->places, lab->guests[i]), PSET_FULL);
		else
			source_add_cables(asking, sources, lab->guests[i], NULL, PSET_FULL);
	source_add_taken_over(asking, sources, PSET_FULL);
}

static int learn(const struct asking *asking)
{
	struct follower *follower = asking->follower;
	struct sources sources = {};
	cleanup_error struct error *err = NULL;
	struct spread_start *starts;
	int r;

	if (follower->asked)
		return 0;
	follower->asked = true;
	add_everybody(asking, &sources);
	if (sources.missing_count) /* what they begin is not known */
		return 0;
	starts = arena_alloc(asking->arena, (sources.count + 1) * sizeof(*starts));
	for (size_t i = 0; i < sources.count; i++)
		starts[i] = sources.items[i].start;
	r = spread_learn(follower->spread, starts, sources.count, &follower->learnt, &err);
	/* Too much to be looked at is not known. Where memory is at its end, the next question says so. */
	if (r < 0 && r != -E2BIG)
		*asking->err = steal_pointer(&err);
	return r == -E2BIG ? 0 : r;
}

/* Of those that were taken over the hosts alone. True: there are others. */
static bool spare_leaves(struct asking *asking)
{
	const struct places *places = &asking->places;
	bool any = false;

	for (size_t i = 0; i < places->party_count; i++) {
		any = any || (asking->compromised[i] && !places->parties[i].host);
		asking->compromised[i] = asking->compromised[i] && places->parties[i].host;
	}
	return any;
}

/*
 * What everybody may begin has whatever comes out of the cables of guests that pass nothing on in it, whoever of them
 * is taken over; so it is asked once for all of them.
 */
static int learn_with_others(const struct asking *asking)
{
	size_t size = asking->places.party_count * sizeof(*asking->compromised);
	struct follower *follower = asking->follower;
	struct asking other = *asking;
	int r;

	other.compromised = arena_alloc(asking->arena, size);
	memcpy(other.compromised, asking->compromised, size);
	if (follower->asked || !spare_leaves(&other))
		return learn(asking);
	begin(&other);
	follower->asked = true;
	r = learn(&other);
	follower->learnt = other.follower->learnt;
	if (follower->learnt)
		spread_learn_from(follower->spread, other.spread);
	return r;
}

int asking_learn(const struct asking *asking, bool *ret_learnt)
{
	int r = learn_with_others(asking);

	*ret_learnt = asking->follower->learnt;
	asking->followers->learnt = asking->followers->learnt || *ret_learnt;
	return r;
}

bool asking_has_learnt(const struct asking *asking)
{
	return asking->followers->learnt;
}

static void compromise(struct asking *asking, const struct guest *guest)
{
	asking->compromised[guest->index + 1] = true;
}

static void compromise_line(struct asking *asking, const struct policy *line, struct policy_verdict *verdict)
{
	for (size_t i = 0; i < line->compromised_count; i++) {
		const struct guest *guest = lab_find_guest(asking->input->lab, line->compromised[i]);

		if (guest)
			compromise(asking, guest);
		else
			verdict_missing(
				asking, verdict,
				arena_printf(asking->arena, "%s is not in this part of the lab", line->compromised[i]),
				"nestvisor verify, on the machine that the lab runs on");
	}
	begin(asking);
}

/* ---- ends of a line ---- */

static void add_senders(const struct asking *asking, struct sources *sources, const struct endpoint *from, pset packets)
{
	const struct places *places = &asking->places;
	const struct lab *lab = asking->input->lab;

	switch (from->kind) {
	case ENDPOINT_L0:
		if (lab->root->layer == 0)
			source_add_party(asking, sources, places_root(places), packets);
		else
			source_missing_part(asking, sources, from);
		return;
	case ENDPOINT_WORLD:
		source_add_world(asking, sources, packets);
		return;
	case ENDPOINT_GUEST:
		if (from->guest)
			source_add_party(asking, sources, places_party(places, from->guest), packets);
		else
			source_missing_part(asking, sources, from);
		return;
	case ENDPOINT_NETWORK:
		for (size_t i = 0; i < lab->guest_count; i++)
			for (size_t j = 0; j < lab->guests[i]->nic_count; j++)
				if (lab->guests[i]->nics[j].network == from->network) {
					source_add_party(asking, sources, places_party(places, lab->guests[i]),
							 packets);
					break;
				}
		return;
	case ENDPOINT_PREFIX:
		packets = pset_and(asking->space, packets, set_of_prefix(asking->space, PSET_SADDR, &from->prefix));
		for (size_t i = 0; i < places->party_count; i++)
			source_add_party(asking, sources, &places->parties[i], packets);
		source_add_world(asking, sources, packets);
		return;
	}
}

/* ---- deny ---- */

/* What hosts that were taken over cannot do, though they break the line: pass for the guest that it is about. */
static int ask_guarantee(struct asking *asking, const struct policy *line, const struct aim *aim,
			 struct policy_verdict *verdict)
{
	struct policy_verdict other = {.promise = verdict->promise};
	struct sources sources = {};
	pset own = PSET_EMPTY;
	int r;

	for (size_t i = 0; i < line->from.guest->nic_count; i++) {
		const struct nic *nic = &line->from.guest->nics[i];

		own = pset_or(asking->space, own, set_of_address(asking->space, PSET_SADDR, &nic->address4));
		own = pset_or(asking->space, own, set_of_address(asking->space, PSET_SADDR, &nic->address6));
	}
	source_add_taken_over(asking, &sources, own);
	r = pset_is_empty(own) ? 0 : ask_none(asking, &sources, aim, &other);
	if (r == 0 && !pset_is_empty(own) && other.result == POLICY_PROVED)
		*arena_push(asking->arena, verdict->guarantees, verdict->guarantee_count) =
			arena_printf(asking->arena, "packets that have an address of %s", line->from.guest->path);
	return r;
}

static int ask_deny(struct asking *asking, const struct policy *line, struct policy_verdict *verdict)
{
	struct sources sources = {};
	struct aim aim;
	int r;

	compromise_line(asking, line, verdict);
	if (!aim_at(asking, &line->to, &aim))
		source_missing_part(asking, &sources, &line->to);
	aim.packets = set_of_ports(asking->space, line);
	aim.resolvers = true;
	aim.kept_known = published_sessions(asking, &line->to);
	if (line->from.kind == ENDPOINT_GUEST && line->to.kind == ENDPOINT_WORLD)
		aim.guest = line->from.guest;
	add_senders(asking, &sources, &line->from, sent_freely(asking->space));
	if (line->compromised_count > 0)
		source_add_taken_over(asking, &sources, PSET_FULL);
	r = ask_none(asking, &sources, &aim, verdict);
	if (r == 0 && verdict->result == POLICY_VIOLATED && line->compromised_count > 0 &&
	    line->from.kind == ENDPOINT_GUEST && line->from.guest)
		r = ask_guarantee(asking, line, &aim, verdict);
	return r;
}

/* ---- isolation ---- */

static pset allowed_places(struct asking *asking, const struct guest *guest)
{
	struct isolation_effect held = isolation_effect(asking->input->isolation, guest);
	struct space *space = asking->space;
	pset set = PSET_EMPTY;

	for (size_t i = 0; i < held.allowed_count; i++) {
		const struct allowance *allowance = &held.allowed[i];
		pset one = set_of_prefix(space, PSET_DADDR, &allowance->to);

		if (allowance->protocol)
			one = pset_and(space, one, pset_value(space, PSET_PROTOCOL, allowance->protocol));
		if (allowance->port)
			one = pset_and(space, one, pset_value(space, PSET_DPORT, allowance->port));
		set = pset_or(space, set, one);
	}
	return set;
}

/* Whoever is in the guest does what he likes: the guest is taken over, and its cables carry anything. */
static int ask_out(struct asking *asking, const struct guest *guest, struct aim *aim, struct policy_verdict *verdict)
{
	struct sources sources = {};

	compromise(asking, guest);
	begin(asking);
	source_add_cables(asking, &sources, guest, NULL, PSET_FULL);
	return ask_none(asking, &sources, aim, verdict);
}

static int ask_in(struct asking *asking, const struct guest *guest, struct policy_verdict *verdict)
{
	const struct places *places = &asking->places;
	const struct aim aim = {
		.kind = AIM_GUEST, .guest = guest, .packets = PSET_FULL, .kept = PSET_EMPTY, .kept_known = PSET_EMPTY};
	struct sources sources = {};

	source_add_world(asking, &sources, PSET_FULL);
	source_add_party(asking, &sources, places_root(places), PSET_FULL);
	for (size_t i = 0; i < asking->input->lab->guest_count; i++) {
		const struct guest *other = asking->input->lab->guests[i];

		if (guest_is_in(other, guest))
			continue;
		if (guest_is_in(guest, other)) /* above it: that obeys its own rules */
			source_add_party(asking, &sources, places_party(places, other), PSET_FULL);
		else
			source_add_cables(asking, &sources, other, NULL, PSET_FULL);
	}
	return ask_none(asking, &sources, &aim, verdict);
}

static int ask_isolation(struct asking *asking, const struct promise *promise, struct policy_verdict *verdict)
{
	struct aim aim = {.guest = promise->guest, .packets = PSET_FULL, .kept = PSET_EMPTY, .kept_known = PSET_EMPTY};
	int r;

	if (promise->kind == PROMISE_CUT) {
		aim.kind = AIM_WORLD;
		aim.resolvers = true;
		aim.kept = pset_or(asking->space, allowed_places(asking, promise->guest),
				   published_answers(asking, promise->guest));
	} else {
		aim.kind = promise->kind == PROMISE_STRICT  ? AIM_OPEN
			   : promise->kind == PROMISE_ALONE ? AIM_GUESTS
							    : AIM_ANYBODY;
	}
	r = ask_out(asking, promise->guest, &aim, verdict);
	if (r == 0 && promise->kind == PROMISE_SEALED && verdict->result != POLICY_VIOLATED)
		r = ask_in(asking, promise->guest, verdict);
	return r;
}

static int ask_inside(struct asking *asking, const struct network *network, struct policy_verdict *verdict)
{
	const struct lab *lab = asking->input->lab;
	const struct aim aim = {.kind = AIM_ELSEWHERE,
				.network = network,
				.packets = PSET_FULL,
				.kept = PSET_EMPTY,
				.kept_known = PSET_EMPTY};
	struct sources sources = {};

	for (size_t i = 0; i < lab->guest_count; i++)
		for (size_t j = 0; j < lab->guests[i]->nic_count; j++) {
			if (lab->guests[i]->nics[j].network != network)
				continue;
			compromise(asking, lab->guests[i]);
			source_add_cables(asking, &sources, lab->guests[i], network, PSET_FULL);
			break;
		}
	begin(asking);
	return ask_none(asking, &sources, &aim, verdict);
}

/* What the guest itself does with it is its own business. */
static int ask_admin(struct asking *asking, const struct guest *guest, struct policy_verdict *verdict)
{
	const struct endpoint from = {.kind = ENDPOINT_L0, .text = "L0"},
			      to = {.kind = ENDPOINT_GUEST, .guest = (struct guest *)guest, .text = guest->path};

	begin(asking);
	return ask_way(asking, &from, &to, pset_not(asking->space, published_ports(asking, guest)), true, verdict);
}

/* ---- all of it ---- */

static int ask_line(struct asking *asking, const struct policy *line, struct policy_verdict *verdict)
{
	return ask_way(asking, &line->from, &line->to, set_of_ports(asking->space, line), false, verdict);
}

static int ask_allow(struct asking *asking, const struct policy *line, struct policy_verdict *verdict)
{
	int r;

	compromise_line(asking, line, verdict);
	r = ask_line(asking, line, verdict);
	return r == 0 ? verdict_suspend(asking, line, verdict) : r;
}

static void followers_clear(struct followers *followers)
{
	for (size_t i = 0; i < followers->count; i++)
		spread_free(followers->items[i]->spread);
}

int asking_otherwise(const struct asking *asking, const struct policy_input *input, const struct policy *line,
		     struct policy_verdict *verdict)
{
	struct followers followers = {};
	struct asking other = *asking;
	int r;

	other.input = input;
	other.followers = &followers;
	places_find(&other.places, input->lab, input->stack, asking->arena);
	begin(&other);
	r = ask_line(&other, line, verdict);
	followers_clear(&followers);
	verdict->witness = NULL;
	return r;
}

static int ask(struct asking *asking, const struct promise *promise, struct policy_verdict *verdict)
{
	memset(asking->compromised, 0, asking->places.party_count * sizeof(*asking->compromised));
	switch (promise->kind) {
	case PROMISE_ALLOW:
		return ask_allow(asking, promise->line, verdict);
	case PROMISE_DENY:
		return ask_deny(asking, promise->line, verdict);
	case PROMISE_CUT:
	case PROMISE_STRICT:
	case PROMISE_ALONE:
	case PROMISE_SEALED:
		return ask_isolation(asking, promise, verdict);
	case PROMISE_INSIDE:
		return ask_inside(asking, promise->network, verdict);
	case PROMISE_ADMIN:
		return ask_admin(asking, promise->guest, verdict);
	}
	return 0;
}

static void sum_up(struct policy_report *report)
{
	for (size_t i = 0; i < report->verdict_count; i++) {
		enum policy_result result = report->verdicts[i].result;

		if (result == POLICY_VIOLATED || (result == POLICY_UNKNOWN && report->result == POLICY_PROVED))
			report->result = result;
	}
}

static int verify_all(struct asking *asking)
{
	const struct policy_input *input = asking->input;
	struct policy_report *report = asking->report;
	struct promise *promises;
	int r = 0;

	report->verdict_count = policy_promises(input->lab, input->isolation, asking->arena, &promises);
	report->verdicts = arena_alloc(asking->arena, (report->verdict_count + 1) * sizeof(*report->verdicts));
	for (size_t i = 0; i < report->verdict_count && r == 0; i++) {
		report->verdicts[i].promise = &promises[i];
		r = ask(asking, &promises[i], &report->verdicts[i]);
		if (r < 0)
			error_wrap(asking->err, "%s", promises[i].text);
	}
	sum_up(report);
	return r;
}

int policy_verify(const struct policy_input *input, struct arena *arena, struct policy_report **ret, struct error **err)
{
	size_t memory = input->memory ? input->memory : (size_t)USUAL_MEMORY;
	cleanup_space struct space *space = pset_space_new(memory, err);
	struct followers followers = {};
	struct asking asking = {.input = input, .space = space, .arena = arena, .followers = &followers, .err = err};
	int r;

	if (!space)
		return -ENOMEM;
	asking.report = arena_new_struct(arena, struct policy_report);
	places_find(&asking.places, input->lab, input->stack, arena);
	asking.compromised = arena_alloc(arena, asking.places.party_count * sizeof(*asking.compromised));
	r = verify_all(&asking);
	followers_clear(&followers);
	*ret = asking.report;
	return r;
}
