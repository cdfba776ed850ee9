/*
 * Hooks: the base chains of one in their order, and between them what the kernel does itself: connection tracking and
 * translation.
 */
#include "verify/evaluate.h"

#include <sys/socket.h>

static void assume_gap(const struct hop *hop, enum stack_gap_kind kind)
{
	if (hop->host->gaps[kind])
		walk_assume(hop->walk, stack_gap_command(kind), "%s: no rules in %s, which were not captured",
			    hop->host->name, stack_gap_name(hop->host, kind, hop->walk->arena));
}

/*
 * Whoever captured ip6tables and not iptables left something out: unseen rules may drop the packet, or not. Nothing at
 * all is what there is to capture where nobody set up a firewall.
 */
static enum ruling fill_gap(struct hop *hop, enum stack_gap_kind kind)
{
	enum stack_gap_kind sibling = kind == GAP_XTABLES4 ? GAP_XTABLES6 : GAP_XTABLES4;
	const bool *gaps = hop->host->gaps;
	struct answer *answer = hop->walk->answer;

	if (kind == GAP_EBTABLES || !gaps[kind] || gaps[sibling] || !gaps[GAP_NFTABLES])
		return RULING_CONTINUE;
	if (walk_decide(hop->walk, 2, "none", stack_gap_command(kind), "%s: the rules in %s", hop->host->name,
			stack_gap_name(hop->host, kind, hop->walk->arena)) == 0 ||
	    hop->walk->rehearsal)
		return RULING_CONTINUE;
	answer->fate = FATE_DROPPED;
	answer->where = hop->host;
	answer->packet = hop->packet;
	answer->hook = hop->hook;
	return RULING_STOP;
}

/* What of the rules was not captured; said once for each host. */
static enum ruling assume_gaps(struct hop *hop, enum stack_family family)
{
	static const enum stack_gap_kind kinds[STACK_FAMILY_COUNT] = {
		[STACK_IP4] = GAP_XTABLES4, [STACK_IP6] = GAP_XTABLES6, [STACK_BRIDGE] = GAP_EBTABLES};

	assume_gap(hop, GAP_NFTABLES);
	assume_gap(hop, kinds[family]);
	return fill_gap(hop, kinds[family]);
}

static bool is_source_hook(enum hook hook)
{
	return hook == HOOK_POSTROUTING || hook == HOOK_INPUT;
}

struct before {
	struct packet packet;
	struct number mark;
};

/* A chain of type route sends what it changed another way (nf_route_table_hook4). */
static bool needs_route(const struct hop *hop, const struct before *before)
{
	return !ip_equal(&hop->packet.src, &before->packet.src) || !ip_equal(&hop->packet.dst, &before->packet.dst) ||
	       hop->mark.known != before->mark.known || hop->mark.value != before->mark.value ||
	       number_or(hop->packet.tos, 0) != number_or(before->packet.tos, 0);
}

static enum ruling run_route_chain(struct hop *hop, const struct stack_chain *chain)
{
	struct before before = {hop->packet, hop->mark};
	enum ruling ruling = chain_run(hop, chain);

	if (ruling == RULING_STOP || hop->hook != HOOK_OUTPUT || !needs_route(hop, &before))
		return ruling;
	return fib_route_output(hop) ? RULING_CONTINUE : RULING_STOP;
}

/*
 * Translation. The first packet of a connection asks the nat chains, one after the other, until one says something;
 * all others only get what that was.
 */
static enum ruling translate(struct hop *hop, struct stack_chain *const *chains, size_t count)
{
	bool source = is_source_hook(hop->hook);
	struct flow *flow = hop->flow;
	const char *effect;
	bool *done;

	if (!flow)
		return RULING_CONTINUE;
	done = source ? &flow->source_done : &flow->destination_done;
	if (hop->tracked != TRACKED_ESTABLISHED)
		for (size_t i = 0; i < count && !*done; i++)
			if (chain_run(hop, chains[i]) == RULING_STOP)
				return RULING_STOP;
	if (!*done && hop->tracked != TRACKED_ESTABLISHED && hop->host->translates[hop->family])
		nat_setup_none(hop, source);
	*done = true;
	effect = flow_translate(hop, source);
	if (!effect)
		return RULING_CONTINUE;
	if (!hop->walk->rehearsal) {
		struct step *step = walk_step(hop, STEP_TRANSLATE);

		step->hook = hop->hook;
		step->text = source ? "source" : "destination";
		step->effect = effect;
	}
	if (hop->hook == HOOK_OUTPUT)
		return fib_route_output(hop) ? RULING_CONTINUE : RULING_STOP;
	return RULING_CONTINUE;
}

/* How far a hook has come with what the kernel does itself. */
struct progress {
	bool tracked, translated;
};

static int32_t nat_priority(enum hook hook)
{
	return is_source_hook(hook) ? STACK_PRIORITY_NAT_SOURCE : STACK_PRIORITY_NAT_DESTINATION;
}

/* To track connections the kernel puts fragments together, and takes them apart again when they leave. */
static void defragment(struct hop *hop)
{
	if (hop->packet.fragment == FRAGMENT_NONE || !flow_tracks(hop))
		return;
	hop->fragment = hop->packet.fragment;
	hop->packet.fragment = FRAGMENT_NONE;
}

static enum ruling catch_up(struct hop *hop, struct progress *progress, int64_t priority)
{
	bool tracks = hop->hook == HOOK_PREROUTING || hop->hook == HOOK_OUTPUT;

	if (hop->hook == HOOK_FORWARD)
		return RULING_CONTINUE;
	if (tracks && priority > STACK_PRIORITY_DEFRAGMENT)
		defragment(hop);
	if (tracks && !progress->tracked && priority > STACK_PRIORITY_CONNTRACK) {
		progress->tracked = true;
		flow_track(hop);
	}
	if (!progress->translated && priority > nat_priority(hop->hook)) {
		progress->translated = true;
		return translate(hop, NULL, 0);
	}
	return RULING_CONTINUE;
}

static size_t count_nat_chains(const struct stack_hook *chains, size_t first)
{
	size_t count = 0;

	while (first + count < chains->count && chains->chains[first + count]->chain->type == CHAIN_NAT)
		count++;
	return count;
}

static void enter_hook(struct hop *hop, enum stack_family family, enum hook hook, struct stack_link *in,
		       struct stack_link *out)
{
	hop->family = family;
	hop->hook = hook;
	hop->in = in;
	hop->out = out;
}

enum ruling hook_run(struct hop *hop, enum stack_family family, enum hook hook, struct stack_link *in,
		     struct stack_link *out)
{
	const struct stack_hook *chains = &hop->host->hooks[family][hook];
	struct progress progress = {};

	enter_hook(hop, family, hook, in, out);
	if (assume_gaps(hop, family) == RULING_STOP)
		return RULING_STOP;
	for (size_t i = 0; i < chains->count; i++) {
		const struct stack_chain *chain = chains->chains[i];
		enum ruling ruling;

		if (chain->chain->type == CHAIN_NAT) {
			size_t count = count_nat_chains(chains, i);

			ruling = catch_up(hop, &progress, nat_priority(hook));
			progress.translated = true;
			if (ruling == RULING_CONTINUE)
				ruling = translate(hop, &chains->chains[i], count);
			i += count - 1;
		} else {
			ruling = catch_up(hop, &progress, chain->chain->priority);
			if (ruling == RULING_CONTINUE)
				ruling = chain->chain->type == CHAIN_ROUTE ? run_route_chain(hop, chain)
									   : chain_run(hop, chain);
		}
		if (ruling == RULING_STOP || walk_ended(hop->walk))
			return RULING_STOP;
	}
	if (catch_up(hop, &progress, INT64_MAX) == RULING_STOP || walk_ended(hop->walk))
		return RULING_STOP;
	if (!hop->flow || !is_source_hook(hook))
		return RULING_CONTINUE;
	if (!unique_confirm(hop))
		return RULING_STOP;
	hop->flow->confirmed = true;
	return RULING_CONTINUE;
}

enum ruling hook_run_bridge(struct hop *hop, enum hook hook, struct stack_link *in, struct stack_link *out, bool early)
{
	const struct stack_hook *chains = &hop->host->hooks[STACK_BRIDGE][hook];

	enter_hook(hop, STACK_BRIDGE, hook, in, out);
	if (assume_gaps(hop, STACK_BRIDGE) == RULING_STOP)
		return RULING_STOP;
	for (size_t i = 0; i < chains->count; i++) {
		int32_t priority = chains->chains[i]->chain->priority;

		/* Where br_netfilter has the same priority the chain is the younger of the two, and comes first. When
		   kernels had two functions at forward, that for IP was at -1. */
		if ((priority <= 0) != early)
			continue;
		if (chain_run(hop, chains->chains[i]) == RULING_STOP || walk_ended(hop->walk))
			return RULING_STOP;
	}
	return RULING_CONTINUE;
}

enum ruling hook_run_device(struct hop *hop, const struct stack_hook *chains, enum hook hook, struct stack_link *link)
{
	enter_hook(hop, hop->packet.family == AF_INET ? STACK_IP4 : STACK_IP6, hook, hook == HOOK_INGRESS ? link : NULL,
		   hook == HOOK_INGRESS ? NULL : link);
	for (size_t i = 0; i < chains->count; i++)
		if (chain_run(hop, chains->chains[i]) == RULING_STOP || walk_ended(hop->walk))
			return RULING_STOP;
	return RULING_CONTINUE;
}
