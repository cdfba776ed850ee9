/*
 * What is allowed, and does not hold because somebody was cut off at run time: that is as it was meant to be, and ends
 * with `open`. It is only said where rules of the lab's own stop the packet. Where the file itself says both, it
 * contradicts itself.
 */
#include "verify/policy_internal.h"

#include "verify/lasting.h"

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
static const struct guest *keeps(const struct asking *asking, const struct endpoint *end, const struct endpoint *other)
{
	const struct isolation *isolation = asking->input->isolation;
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

void verdict_suspend(const struct asking *asking, const struct policy *line, struct policy_verdict *verdict)
{
	const struct isolation *isolation = asking->input->isolation;
	const struct guest *guest;

	if (verdict->result != POLICY_VIOLATED ||
	    !is_stopped_by_lab(verdict->witness->back ? verdict->witness->back : verdict->witness->answer))
		return;
	guest = keeps(asking, &line->from, &line->to);
	if (!guest)
		guest = keeps(asking, &line->to, &line->from);
	if (!guest)
		return;
	verdict->isolated = guest;
	verdict->world = isolation_world(isolation, guest);
	if (isolation->settings[guest->index].at_run_time)
		verdict->result = POLICY_SUSPENDED;
}
