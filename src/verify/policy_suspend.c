/*
 * What is allowed, and does not hold because somebody was cut off at run time: that is as it was meant to be, and ends
 * with `open`. It is only said where rules of the lab's own stop the packet, and where the line is proved once those
 * are left out that hold who was cut off so: many a rule behind them may stop the packet, too. Where the file itself
 * says both, it contradicts itself.
 */
#include "verify/policy_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/ip.h"
#include "verify/lasting.h"

#include <string.h>

static bool is_stopped_by_lab(const struct answer *answer)
{
	const struct table *table;

	if (!answer || (answer->fate != FATE_DROPPED && answer->fate != FATE_REJECTED) || !answer->chain)
		return false;
	table = answer->chain->table->table;
	return lasting_is_labs_table(table->backend, table->name);
}

static bool is_on(const struct guest *guest, const struct network *network)
{
	for (size_t i = 0; i < guest->nic_count; i++)
		if (guest->nics[i].network == network)
			return true;
	return false;
}

/* Who keeps an end of the line from the other one; NULL: nobody. */
static const struct guest *keeps(const struct asking *asking, const struct isolation *isolation,
				 const struct endpoint *end, const struct endpoint *other)
{
	const struct lab *lab = asking->input->lab;
	bool among = other->kind == ENDPOINT_GUEST || other->kind == ENDPOINT_NETWORK || other->kind == ENDPOINT_L0;
	const struct guest *found = NULL;

	if (end->kind == ENDPOINT_GUEST)
		return end->guest ? isolation_keeps(isolation, end->guest, among) : NULL;
	for (size_t i = 0; end->kind == ENDPOINT_NETWORK && i < lab->guest_count && !found; i++)
		if (is_on(lab->guests[i], end->network))
			found = isolation_keeps(isolation, lab->guests[i], among);
	return found;
}

static const struct guest *keeps_either(const struct asking *asking, const struct isolation *isolation,
					const struct policy *line)
{
	const struct guest *guest = keeps(asking, isolation, &line->from, &line->to);

	return guest ? guest : keeps(asking, isolation, &line->to, &line->from);
}

/* ---- the same lab with them open ---- */

/* Everybody who is held at run time alone. */
static struct isolation *with_those_open(const struct isolation *isolation)
{
	const struct isolation_setting open = {.world = WORLD_OPEN};
	struct isolation *opened = isolation_copy(isolation);

	for (size_t i = 0; i < isolation->lab->guest_count; i++)
		if (isolation->settings[i].at_run_time && isolation->lab->guests[i]->world == WORLD_OPEN)
			isolation_set(opened, isolation->lab->guests[i], &open);
	return opened;
}

/* By this the lab's rules know the guest, at some host: a tap, an address, what is behind it. */
static bool is_key_of(const struct places *places, const struct guest *guest, const struct expr *key)
{
	for (size_t i = 0; i < guest->nic_count; i++) {
		const struct nic *nic = &guest->nics[i];
		struct cable cable;

		if (key->kind == EXPR_TEXT &&
		    (strcmp(key->text, nic->tap) == 0 ||
		     (places_cable(places, nic, &cable) && strcmp(key->text, cable.tap->name) == 0)))
			return true;
		if (key->kind == EXPR_MAC && memcmp(key->mac, nic->mac, sizeof(nic->mac)) == 0)
			return true;
		if (key->kind == EXPR_IP && (ip_equal(&key->ip, &nic->address4) || ip_equal(&key->ip, &nic->address6)))
			return true;
	}
	return false;
}

static bool is_prefix(const struct prefix *subnet, const struct prefix *prefix)
{
	struct prefix network;

	if (!subnet->ip.family)
		return false;
	network = prefix_network(subnet);
	return network.length == prefix->length && ip_equal(&network.ip, &prefix->ip);
}

static bool is_subnet_of(const struct guest *guest, const struct expr *key)
{
	for (size_t i = 0; key->kind == EXPR_PREFIX && guest->host && i < guest->host->network_count; i++)
		if (is_prefix(&guest->host->networks[i]->subnet4, &key->prefix) ||
		    is_prefix(&guest->host->networks[i]->subnet6, &key->prefix))
			return true;
	return false;
}

/* What is held that would be open, and by nobody who would still be held: two hosts may have the same names below. */
static bool is_let_go(const struct places *places, const struct isolation *opened, const struct expr *key)
{
	bool any = false;

	for (size_t i = 0; i < opened->lab->guest_count; i++) {
		const struct guest *guest = opened->lab->guests[i];

		if (!is_key_of(places, guest, key) && !is_subnet_of(guest, key))
			continue;
		if (isolation_effect(opened, guest).world != WORLD_OPEN)
			return false;
		any = true;
	}
	return any;
}

/* Sets by which guests are held, and nothing else (net/elements.h, net/adopted.h). */
static bool holds(const struct set *set)
{
	static const char *const names[] = {"cut_taps",	 "strict_taps", "alone_taps", "sealed_taps",
					    "held_taps", "cut_macs",	"sealed_macs"};

	if (set->kind == SET_VERDICT_MAP)
		return true;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (set->kind == SET_PLAIN && strcmp(set->name, names[i]) == 0)
			return true;
	return false;
}

/* Both what the stack made of the set and what the facts say. */
static void let_go(const struct places *places, const struct isolation *opened, struct arena *arena,
		   struct stack_set *set)
{
	struct set *facts = arena_new_struct(arena, struct set);
	size_t kept = 0;

	for (size_t i = 0; i < set->element_count; i++)
		if (!is_let_go(places, opened, set->elements[i].element->key))
			set->elements[kept++] = set->elements[i];
	set->element_count = kept;
	*facts = *set->set;
	facts->elements = arena_alloc(arena, (facts->element_count + 1) * sizeof(*facts->elements));
	facts->element_count = 0;
	for (size_t i = 0; i < set->set->element_count; i++)
		if (!is_let_go(places, opened, set->set->elements[i].key))
			facts->elements[facts->element_count++] = set->set->elements[i];
	set->set = facts;
}

/* The stack is this question's own. */
static void open_rules(const struct places *places, const struct isolation *opened, struct stack *stack)
{
	for (size_t i = 0; i < stack->host_count; i++)
		for (size_t j = 0; j < stack->hosts[i].table_count; j++) {
			struct stack_table *table = &stack->hosts[i].tables[j];

			if (!lasting_is_labs_table(table->table->backend, table->table->name))
				continue;
			for (size_t k = 0; k < table->set_count; k++)
				if (holds(table->sets[k].set))
					let_go(places, opened, stack->arena, &table->sets[k]);
		}
}

/* Would the line hold? */
static int ask_opened(const struct asking *asking, const struct isolation *opened, const struct policy *line,
		      struct policy_verdict *ret)
{
	struct policy_input input = *asking->input;
	cleanup_stack struct stack *stack = stack_new(asking->input->stack->bundle);

	input.isolation = opened;
	input.stack = stack;
	open_rules(&asking->places, opened, stack);
	return asking_otherwise(asking, &input, line, ret);
}

static void take_other(const struct asking *asking, const struct guest *guest, const struct policy_verdict *other,
		       struct policy_verdict *verdict)
{
	switch (other->result) {
	case POLICY_PROVED:
		verdict->result = POLICY_SUSPENDED;
		verdict->isolated = guest;
		verdict->world = isolation_world(asking->input->isolation, guest);
		return;
	case POLICY_VIOLATED:
		verdict->why =
			arena_printf(asking->arena, "%s; and with %s open, %s", verdict->why, guest->path, other->why);
		return;
	case POLICY_UNKNOWN:
	case POLICY_SUSPENDED:
		break;
	}
	verdict->result = POLICY_UNKNOWN;
	verdict->why = NULL;
	verdict->missing = other->missing;
	verdict->missing_count = other->missing_count;
}

int verdict_suspend(const struct asking *asking, const struct policy *line, struct policy_verdict *verdict)
{
	const struct isolation *isolation = asking->input->isolation;
	cleanup_isolation struct isolation *opened = NULL;
	struct policy_verdict other = {.promise = verdict->promise};
	const struct guest *guest = keeps_either(asking, isolation, line), *still;
	int r;

	if (!guest || verdict->result != POLICY_VIOLATED ||
	    !is_stopped_by_lab(verdict->witness->back ? verdict->witness->back : verdict->witness->answer))
		return 0;
	opened = with_those_open(isolation);
	still = keeps_either(asking, opened, line);
	if (still) { /* the file says so */
		verdict->isolated = still;
		verdict->world = isolation_world(isolation, still);
		return 0;
	}
	r = ask_opened(asking, opened, line, &other);
	if (r == 0)
		take_other(asking, guest, &other, verdict);
	return r;
}
