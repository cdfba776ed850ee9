/*
 * Packets at one hook: they run through its base chains in turn, and what the kernel does itself stands between those.
 *
 * Rules may ask for the first packet's addresses (ct original). Until a packet is translated they are its own, and what
 * asks for them is asked for its own; when it is, they move into the CT_ fields, and stay there while it is at the
 * host.
 */
#include "verify/spread_internal.h"

#include "base/arena.h"

#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum truth spread_calls_ip(const struct stack_host *host, const struct stack_link *bridge, enum stack_family family)
{
	bool v4 = family == STACK_IP4;
	const struct stack_sysctl *all = v4 ? &host->bridge_nf_iptables : &host->bridge_nf_ip6tables;

	if ((v4 ? bridge->link->bridge.nf_call_iptables : bridge->link->bridge.nf_call_ip6tables) == TRUTH_YES)
		return TRUTH_YES;
	if (!all->value.known)
		return TRUTH_UNKNOWN;
	return truth_of(all->value.value != 0);
}

/* IP's rules see ports only where br_netfilter keeps them. */
static const struct stack_link *port_for(const struct stream *stream, const struct stack_link *port,
					 enum stack_family family)
{
	if (!port || family == STACK_BRIDGE)
		return port;
	return spread_calls_ip(stream->host, port->master, family) != TRUTH_NO ? port : NULL;
}

/* What chains of a family see of the stream's interfaces. */
struct link_name {
	enum pset_field field;
	wide name;
};
enum { LINK_NAMES = 4 };

static void name_links(const struct stream *stream, enum stack_family family, struct link_name ret[LINK_NAMES])
{
	const struct {
		enum pset_field field;
		const struct stack_link *link;
	} links[LINK_NAMES] = {{PSET_IIF, stream->iif},
			       {PSET_IN_PORT, port_for(stream, stream->in_port, family)},
			       {PSET_OIF, stream->oif},
			       {PSET_OUT_PORT, port_for(stream, stream->out_port, family)}};

	for (size_t i = 0; i < LINK_NAMES; i++)
		ret[i] = (struct link_name){links[i].field, links[i].link ? wide_of_name(links[i].link->name) : 0};
}

/* What a function is for packets of a stream: where they are does not stand in them. */
static diagram at_links(struct space *space, diagram function, const struct link_name names[LINK_NAMES])
{
	for (size_t i = 0; i < LINK_NAMES; i++)
		function = pset_before(space, function, pset_bits_of(names[i].field), names[i].name, ~(wide)0);
	return function;
}

static struct bounds named(struct space *space, struct bounds packets, const struct link_name names[LINK_NAMES])
{
	pset set = PSET_FULL;

	for (size_t i = 0; i < LINK_NAMES; i++)
		set = pset_and(space, pset_value(space, names[i].field, names[i].name), set);
	return bounds_in(space, packets, set);
}

/* ---- chains ---- */

static int32_t place_of_nat(enum hook hook)
{
	return hook == HOOK_PREROUTING || hook == HOOK_OUTPUT ? STACK_PRIORITY_NAT_DESTINATION
							      : STACK_PRIORITY_NAT_SOURCE;
}

static int32_t place_of(const struct chain *chain)
{
	return chain->type == CHAIN_NAT ? place_of_nat(chain->hook) : chain->priority;
}

static wide status_bit(bool source)
{
	return source ? CT_STATUS_SNAT : CT_STATUS_DNAT;
}

/* Sets that rules ask for the first packet's addresses, asked for the packet's own where it is not translated. */
static pset ask_own(struct space *space, pset set)
{
	static const struct {
		enum pset_field kept, own;
		bool source;
	} pairs[] = {{PSET_CT_SADDR, PSET_SADDR, true},
		     {PSET_CT_SPORT, PSET_SPORT, true},
		     {PSET_CT_DADDR, PSET_DADDR, false},
		     {PSET_CT_DPORT, PSET_DPORT, false}};
	pset_fields support = pset_support(space, set);

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		wide bit = status_bit(pairs[i].source);
		pset translated, own;

		if (!(support & PSET_BIT(pairs[i].kept)))
			continue;
		translated = pset_masked(space, PSET_STATUS, bit, bit);
		own = pset_as(space, set, pairs[i].kept, pairs[i].own);
		set = pset_or(space, pset_and(space, set, translated), pset_minus(space, own, translated));
	}
	return set;
}

static const pset_fields kept_fields =
	PSET_BIT(PSET_CT_SADDR) | PSET_BIT(PSET_CT_DADDR) | PSET_BIT(PSET_CT_SPORT) | PSET_BIT(PSET_CT_DPORT);

/* A chain, run by the packets of a stream. */
struct run {
	struct spread *spread;
	struct stream *stream;
	const struct stack_chain *chain;
	struct chains *chains;
	diagram function;
	struct bounds packets; /* those of the stream that it is for */
	struct link_name links[LINK_NAMES];
	struct changes changes;
	bool changed; /* has it anything in it but what stayed as it was? */
};

static struct bounds coming_to(const struct run *run, struct end end)
{
	struct bounds to = chains_ending(run->chains, run->function, end);

	if (spread_is_known(run->stream)) { /* these fields are not what rules ask for */
		to.may = pset_forget(run->spread->space, to.may, kept_fields);
		return bounds_and(run->spread->space, run->packets, to);
	}
	to.may = ask_own(run->spread->space, to.may);
	to.must = ask_own(run->spread->space, to.must);
	return bounds_and(run->spread->space, run->packets, to);
}

void spread_add_change(struct spread *spread, struct changes *changes, const struct change *change)
{
	if (!bounds_are_empty(change->after))
		*arena_push(spread->arena, changes->items, changes->count) = *change;
}

/* `state`: what connection tracking found of all of them, which stays; NULL: rules may have changed it. */
static void accept_some(struct run *run, struct bounds packets, effect done, const enum pset_state *state)
{
	struct space *space = run->spread->space;
	struct change change = {.before = packets, .chains = run->chains, .done = done};
	const struct statement *last = NULL;
	effect before;

	if (bounds_are_empty(packets))
		return;
	change.after.may = chains_changed(run->chains, packets.may, done);
	change.after.must = chains_changed(run->chains, packets.must, done);
	if (state) {
		struct pset_bits bits = pset_bits_of(PSET_STATE);
		wide all = pset_field_last(PSET_STATE);

		change.after.may = pset_after(space, change.after.may, bits, *state, all);
		change.after.must = pset_after(space, change.after.must, bits, *state, all);
		change.renewed = PSET_BIT(PSET_STATE);
	}
	if (done)
		last = effect_statement(chains_outcomes(run->chains), done, &before);
	if (last && last->kind == STATEMENT_NAT)
		spread_translate(run->spread, run->stream, &last->nat, &change, &run->changes);
	else
		spread_add_change(run->spread, &run->changes, &change);
	run->changed = run->changed || done;
}

/* What belongs to a connection stays so, whatever rules say (nft_notrack_eval). */
static void accept_packets(struct run *run, struct bounds packets, effect done)
{
	static const enum pset_state connected[] = {PSET_NEW, PSET_ESTABLISHED, PSET_RELATED};
	struct space *space = run->spread->space;

	for (size_t i = 0; done && run->stream->tracked && i < sizeof(connected) / sizeof(*connected); i++) {
		pset of_state = pset_kind(space, PSET_STATE, connected[i]);

		accept_some(run, bounds_in(space, packets, of_state), done, &connected[i]);
		packets = bounds_out(space, packets, of_state);
	}
	accept_some(run, packets, done, NULL);
}

/* They keep the names that rules saw, for spread_deciding(). */
static void end_packets(struct run *run, enum end_kind kind, enum spread_fate fate)
{
	struct end *ends;
	size_t count = spread_omits(run->spread, fate) ? 0 : chains_ends(run->chains, run->function, kind, &ends);

	for (size_t i = 0; i < count; i++)
		spread_end_by(run->spread, run->stream, named(run->spread->space, coming_to(run, ends[i]), run->links),
			      fate, run->chain->chain->hook, run->chain);
}

static bool is_done(const struct change *change)
{
	return change->done || change->moved;
}

/* The changes with something done, or those without, become the stream's packets. */
static void take(struct spread *spread, struct stream *stream, const struct changes *changes, bool with, bool without)
{
	struct changes taken = {.chain = changes->chain};

	stream->packets = (struct bounds){PSET_EMPTY, PSET_EMPTY};
	for (size_t i = 0; i < changes->count; i++) {
		const struct change *change = &changes->items[i];

		if (!(is_done(change) ? with : without))
			continue;
		spread_add_change(spread, &taken, change);
		stream->packets = bounds_or(spread->space, stream->packets, change->after);
	}
	spread_pass(spread, stream, taken.items, taken.count);
}

static void run_function(struct run *run, diagram function, struct bounds packets)
{
	struct end *ends;
	size_t count;

	if (bounds_are_empty(packets))
		return;
	run->function = function;
	run->packets = packets;
	end_packets(run, END_DROP, SPREAD_DROPPED);
	end_packets(run, END_REJECT, SPREAD_REJECTED);
	end_packets(run, END_ELSEWHERE, SPREAD_UNKNOWN);
	count = chains_ends(run->chains, function, END_ACCEPT, &ends);
	for (size_t i = 0; i < count; i++)
		accept_packets(run, coming_to(run, ends[i]), ends[i].effect);
}

/* The same function for packets of this state, whatever they say of it. */
static diagram in_state(struct spread *spread, diagram function, enum pset_state state)
{
	return pset_before(spread->space, function, pset_bits_of(PSET_STATE), state, pset_field_last(PSET_STATE));
}

/* Before connection tracking a packet has no state, which rules see as invalid (nft_ct_get_eval), if none of them has
 * said that it is not to be tracked. */
static void run_untracked(struct run *run, diagram function)
{
	pset untracked = pset_kind(run->spread->space, PSET_STATE, PSET_UNTRACKED);
	struct bounds packets = run->stream->packets;

	run_function(run, function, bounds_in(run->spread->space, packets, untracked));
	run_function(run, in_state(run->spread, function, PSET_INVALID),
		     bounds_out(run->spread->space, packets, untracked));
}

/* `others` are not asked, and stay. `ret_again`: packets that something was done to go there; NULL: with the others.
 * `family`: as which the chain sees the stream's interfaces. */
static void run_chain(struct spread *spread, struct stream *stream, enum stack_family family,
		      const struct stack_chain *chain, struct bounds others, struct stream *ret_again)
{
	struct run run = {.spread = spread,
			  .stream = stream,
			  .chain = chain,
			  .chains = spread_chains(spread, stream->host),
			  .changes.chain = chain};
	struct change same = {.before = others, .after = others};
	diagram function = chains_function(run.chains, chain);

	name_links(stream, family, run.links);
	function = at_links(spread->space, function, run.links);
	if (spread_is_known(stream) && chain->chain->type == CHAIN_NAT)
		run_function(&run, in_state(spread, function, PSET_NEW), stream->packets);
	else if (!stream->tracked)
		run_untracked(&run, function);
	else
		run_function(&run, function, stream->packets);
	if (!bounds_are_empty(others))
		spread_add_change(spread, &run.changes, &same);
	if (ret_again)
		*ret_again = *stream;
	if (!run.changed) {
		stream->packets = (struct bounds){PSET_EMPTY, PSET_EMPTY};
		for (size_t i = 0; i < run.changes.count; i++)
			stream->packets = bounds_or(spread->space, stream->packets, run.changes.items[i].after);
		if (ret_again)
			ret_again->packets = (struct bounds){PSET_EMPTY, PSET_EMPTY};
		return;
	}
	if (ret_again)
		take(spread, ret_again, &run.changes, true, false);
	take(spread, stream, &run.changes, !ret_again, true);
}

/* Only the first packet of a connection is asked, and only once for its source and once for its destination. */
static void run_nat_chain(struct spread *spread, struct stream *stream, const struct stack_chain *chain,
			  struct stream *ret_again)
{
	bool source = place_of(chain->chain) == STACK_PRIORITY_NAT_SOURCE;
	pset asked = pset_and(spread->space, pset_kind(spread->space, PSET_STATE, PSET_NEW),
			      pset_masked(spread->space, PSET_STATUS, 0, status_bit(source)));
	struct bounds others;
	pset back;

	if (stream->translated[source])
		return;
	others = bounds_out(spread->space, stream->packets, asked);
	/* What was here before and is still known is translated as it was then. Its destination may be another by now.
	 */
	back = source && !pset_is_empty(stream->known) ? stream->back : stream->known;
	others.may = pset_or(spread->space, others.may, pset_and(spread->space, stream->packets.may, back));
	stream->packets.must = pset_minus(spread->space, stream->packets.must, back);
	stream->packets = bounds_in(spread->space, stream->packets, asked);
	run_chain(spread, stream, stream->family, chain, others, ret_again);
}

void spread_run_nat(struct spread *spread, const struct stream *stream, const struct stack_chain *chain,
		    struct stream *ret_rest, struct stream *ret_translated)
{
	const struct bounds nothing = {PSET_EMPTY, PSET_EMPTY};

	*ret_rest = *stream;
	run_chain(spread, ret_rest, stream->family, chain, nothing, ret_translated);
}

/* ---- hooks ---- */

/* What no chain has translated. */
static void change_ports(struct spread *spread, struct stream *stream)
{
	struct change same = {.before = stream->packets, .after = stream->packets};
	struct changes changes = {};

	if (spread_is_known(stream) || !stream->tracked)
		return;
	spread_change_ports(spread, stream, true, &changes);
	if (changes.count == 0)
		return;
	spread_add_change(spread, &changes, &same);
	for (size_t i = 0; i < changes.count; i++)
		stream->packets = bounds_or(spread->space, stream->packets, changes.items[i].after);
	spread_pass(spread, stream, changes.items, changes.count);
}

/* A connection is translated once: behind the hook it is decided how, be it not at all. */
static void end_hook(struct spread *spread, struct stream *stream, enum stack_family family, enum hook hook)
{
	if (family != stream->family)
		return;
	if ((hook == HOOK_POSTROUTING || hook == HOOK_INPUT) && !pset_is_empty(stream->back))
		spread_lose_clashing(spread, stream);
	if (hook == HOOK_POSTROUTING || hook == HOOK_INPUT)
		spread_note_begun(spread, stream);
	if (hook == HOOK_PREROUTING || hook == HOOK_OUTPUT)
		stream->translated[false] = true;
	if (hook == HOOK_POSTROUTING || hook == HOOK_INPUT)
		stream->translated[true] = true;
}

/* What the kernel does itself before chains of a priority. */
static void catch_up(struct spread *spread, struct stream *stream, enum stack_family family, enum hook hook,
		     int64_t priority)
{
	if (family != stream->family || (hook != HOOK_PREROUTING && hook != HOOK_OUTPUT))
		return;
	if (priority > STACK_PRIORITY_DEFRAGMENT)
		spread_defragment(spread, stream);
	if (priority > STACK_PRIORITY_CONNTRACK)
		spread_track(spread, stream);
}

static void run_one(struct spread *spread, struct stream *stream, enum stack_family family,
		    const struct stack_chain *chain, struct stream *ret_again)
{
	const struct bounds nothing = {PSET_EMPTY, PSET_EMPTY};

	if (ret_again)
		ret_again->packets = nothing;
	catch_up(spread, stream, family, chain->chain->hook, place_of(chain->chain));
	if (chain->chain->type == CHAIN_NAT && spread_is_known(stream))
		return; /* spread_translate_known() */
	if (chain->chain->type == CHAIN_NAT)
		run_nat_chain(spread, stream, chain, ret_again);
	else
		run_chain(spread, stream, family, chain, nothing, ret_again);
}

/* What the kernel does beside the nat chains of the hook. */
static void translate_beside(struct spread *spread, struct stream *stream, enum stack_family family, enum hook hook,
			     bool asked)
{
	bool source = hook == HOOK_POSTROUTING || hook == HOOK_INPUT;

	if (family != stream->family || stream->translated[source] || hook == HOOK_FORWARD)
		return;
	if (spread_is_known(stream)) {
		stream->translated[source] = true;
		spread_translate_known(spread, stream, hook, NULL);
	} else if (source && asked) {
		stream->translated[true] = true;
		change_ports(spread, stream);
	}
}

void spread_hook(struct spread *spread, struct stream *stream, enum stack_family family, enum hook hook, int32_t first,
		 int32_t last)
{
	const struct stack_hook *chains = &stream->host->hooks[family][hook];

	for (size_t i = 0; i < chains->count && !bounds_are_empty(stream->packets); i++) {
		int32_t place = place_of(chains->chains[i]->chain);

		if (place < first || place > last)
			continue;
		catch_up(spread, stream, family, hook, place);
		if (place >= place_of_nat(hook))
			translate_beside(spread, stream, family, hook, chains->chains[i]->chain->type != CHAIN_NAT);
		run_one(spread, stream, family, chains->chains[i], NULL);
	}
	catch_up(spread, stream, family, hook, INT64_MAX);
	translate_beside(spread, stream, family, hook, true);
	end_hook(spread, stream, family, hook);
}

static bool must_translate(const struct stream *stream)
{
	return spread_is_known(stream) && !stream->translated[false];
}

/* True: some are translated, and routed again. */
static bool translate_known_out(struct spread *spread, struct stream *stream, struct stream *ret_again)
{
	stream->translated[false] = true;
	spread_translate_known(spread, stream, HOOK_OUTPUT, ret_again);
	return !bounds_are_empty(ret_again->packets);
}

bool spread_output(struct spread *spread, struct stream *stream, size_t *index, struct stream *ret_again)
{
	const struct stack_hook *chains = &stream->host->hooks[stream->family][HOOK_OUTPUT];

	while (*index < chains->count && !bounds_are_empty(stream->packets)) {
		const struct stack_chain *chain = chains->chains[*index];
		bool reroutes = chain->chain->type == CHAIN_NAT || chain->chain->type == CHAIN_ROUTE;

		catch_up(spread, stream, stream->family, HOOK_OUTPUT, place_of(chain->chain));
		if (must_translate(stream) && place_of(chain->chain) >= STACK_PRIORITY_NAT_DESTINATION &&
		    translate_known_out(spread, stream, ret_again))
			return true;
		++*index;
		run_one(spread, stream, stream->family, chain, reroutes ? ret_again : NULL);
		if (reroutes && !bounds_are_empty(ret_again->packets))
			return true;
	}
	catch_up(spread, stream, stream->family, HOOK_OUTPUT, INT64_MAX);
	if (must_translate(stream) && !bounds_are_empty(stream->packets) &&
	    translate_known_out(spread, stream, ret_again))
		return true;
	end_hook(spread, stream, stream->family, HOOK_OUTPUT);
	return false;
}

void spread_device(struct spread *spread, struct stream *stream, const struct stack_hook *chains, enum hook hook,
		   const struct stack_link *link)
{
	const struct bounds nothing = {PSET_EMPTY, PSET_EMPTY};
	struct stream at = *stream;

	if (chains->count == 0)
		return;
	at.iif = hook == HOOK_INGRESS ? (struct stack_link *)link : NULL;
	at.oif = hook == HOOK_INGRESS ? NULL : (struct stack_link *)link;
	at.in_port = at.out_port = NULL;
	for (size_t i = 0; i < chains->count && !bounds_are_empty(at.packets); i++)
		run_chain(spread, &at, at.family, chains->chains[i], nothing, NULL);
	stream->packets = at.packets;
	stream->passage = at.passage;
}
