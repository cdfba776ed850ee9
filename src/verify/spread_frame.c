/* The frames that packets are in: who can tell packets apart by their MACs. */
#include "verify/spread_internal.h"

static const pset_fields macs = PSET_BIT(PSET_SMAC) | PSET_BIT(PSET_DMAC);

static bool chain_asks(struct spread *spread, const struct stack_host *host, const struct stack_chain *chain)
{
	struct chains *chains = spread_chains(spread, host);
	struct space *space = spread->space;
	diagram function = chains_function(chains, chain);
	pset none =
		pset_and(space, pset_value(space, PSET_SMAC, PSET_NO_MAC), pset_value(space, PSET_DMAC, PSET_NO_MAC));
	bool asks = pset_support(space, function) & macs;
	struct end *ends;
	size_t count = chains_ends(chains, function, END_ACCEPT, &ends);

	for (size_t i = 0; i < count; i++) /* or does it write any? */
		asks = asks || pset_forget(space, chains_changed(chains, none, ends[i].effect), ~macs) != none;
	return asks;
}

static bool hook_asks(struct spread *spread, const struct stack_host *host, const struct stack_hook *chains)
{
	for (size_t i = 0; i < chains->count; i++)
		if (chain_asks(spread, host, chains->chains[i]))
			return true;
	return false;
}

static bool host_asks(struct spread *spread, const struct stack_host *host)
{
	for (size_t i = 0; i < host->link_count; i++)
		if (hook_asks(spread, host, &host->links[i].ingress) || hook_asks(spread, host, &host->links[i].egress))
			return true;
	for (size_t family = 0; family < STACK_FAMILY_COUNT; family++)
		for (size_t hook = 0; hook < STACK_HOOK_COUNT; hook++)
			if (hook_asks(spread, host, &host->hooks[family][hook]))
				return true;
	return false;
}

static bool rules_ask(struct spread *spread)
{
	for (size_t i = 0; spread->rules_ask_macs == TRUTH_UNKNOWN && i < spread->stack->host_count; i++)
		if (host_asks(spread, &spread->stack->hosts[i]))
			spread->rules_ask_macs = TRUTH_YES;
	if (spread->rules_ask_macs == TRUTH_UNKNOWN)
		spread->rules_ask_macs = TRUTH_NO;
	return spread->rules_ask_macs == TRUTH_YES;
}

bool spread_asks_macs(struct spread *spread, const struct spread_start *starts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (starts[i].frames || starts[i].out || starts[i].bridged ||
		    pset_support(spread->space, starts[i].packets) & macs)
			return true;
	return rules_ask(spread);
}
