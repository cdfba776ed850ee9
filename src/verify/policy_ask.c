/*
 * A promise is a sentence about a set of packets. The symbolic engine follows the whole set; where nothing of it ends
 * where it must not, the promise is kept. What does is narrowed down to one packet, and the interpreter is asked about
 * that: only when it agrees is there a violation. It is asked about one packet of every other end, too, so that a proof
 * has been looked at by both.
 */
#include "verify/policy_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"

#include <string.h>

enum {
	MOST_CHECKED = 24, /* packets of one source that the interpreter is asked about besides */
	MOST_TRIED = 8,	   /* ends that connections may come to, for which a packet is looked for; the rest is told */
};

/* What is being asked for: packets that come to the aim, or those that do not. */
struct inquiry {
	const struct asking *asking;
	const struct aim *aim;
	struct policy_verdict *verdict;
	bool all;   /* all packets are to come there */
	bool quiet; /* what stays open is told by the caller */
};

static bool is_unlisted(const struct assumption *list, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i].text, text) == 0)
			return false;
	return true;
}

void asking_assume(const struct asking *asking, const char *text, const char *command)
{
	struct policy_report *report = asking->report;
	struct assumption *list = (struct assumption *)report->assumptions;

	if (!is_unlisted(list, report->assumption_count, text))
		return;
	*arena_push(asking->arena, list, report->assumption_count) = (struct assumption){text, command};
	report->assumptions = list;
}

void verdict_missing(const struct asking *asking, struct policy_verdict *verdict, const char *text, const char *command)
{
	struct assumption *list = (struct assumption *)verdict->missing;

	if (verdict->result == POLICY_VIOLATED)
		return;
	verdict->result = POLICY_UNKNOWN;
	if (!is_unlisted(list, verdict->missing_count, text))
		return;
	*arena_push(asking->arena, list, verdict->missing_count) = (struct assumption){text, command};
	verdict->missing = list;
}

static void assume_all(const struct asking *asking, const struct answer *answer)
{
	for (size_t i = 0; i < answer->assumption_count; i++)
		asking_assume(asking, answer->assumptions[i].text, answer->assumptions[i].command);
}

/* ---- one packet ---- */

static struct packet as_sent(const struct question *question, const struct answer *answer)
{
	struct packet packet = question->packet;

	if (!packet.src.family)
		packet.src = answer->source;
	return packet;
}

static struct policy_witness *witness_of(const struct inquiry *inquiry, const struct sender *source,
					 const struct question *question, const struct answer *answer)
{
	struct policy_witness *witness = arena_new_struct(inquiry->asking->arena, struct policy_witness);
	struct question *kept = arena_new_struct(inquiry->asking->arena, struct question);

	*kept = *question;
	*witness = (struct policy_witness){
		.who = source->who, .question = kept, .packet = as_sent(question, answer), .answer = answer};
	if (inquiry->all && inquiry->aim->kind == AIM_GUEST)
		witness->meant = places_party(&inquiry->asking->places, inquiry->aim->guest)->machine;
	return witness;
}

static void violate(const struct inquiry *inquiry, struct policy_witness *witness, const char *why)
{
	struct policy_verdict *verdict = inquiry->verdict;

	verdict->result = POLICY_VIOLATED;
	verdict->why = why;
	verdict->witness = witness;
	verdict->missing = NULL;
	verdict->missing_count = 0;
}

/* The interpreter's word on a packet that the sets say breaks the promise. True: it does. */
static bool judge(const struct inquiry *inquiry, const struct sender *source, const struct question *question,
		  bool expected)
{
	const struct asking *asking = inquiry->asking;
	struct policy_verdict *verdict = inquiry->verdict;
	const struct answer *answer = walk_ask(asking->input->stack, question, 0, asking->arena);
	const struct party *unseen;
	struct policy_witness *witness;

	if (answer->fate == FATE_UNKNOWN) {
		if (!expected)
			return false;
		for (size_t i = 0; i < answer->missing_count; i++)
			verdict_missing(asking, verdict, answer->missing[i].text, answer->missing[i].command);
	}
	unseen = aim_unseen_by(asking, inquiry->aim, answer);
	if (unseen)
		verdict_missing(asking, verdict, arena_printf(asking->arena, "the facts of %s", party_name(unseen)),
				arena_printf(asking->arena, "nestvisor capture --lab %s", asking->input->lab->name));
	if (answer->fate == FATE_UNKNOWN || unseen || aim_is_hit(asking, inquiry->aim, answer) == inquiry->all) {
		if (expected && !verdict->witness)
			verdict->witness = witness_of(inquiry, source, question, answer);
		return false;
	}
	assume_all(asking, answer);
	witness = witness_of(inquiry, source, question, answer);
	if (source->doubt) {
		verdict_missing(asking, verdict, source->doubt, source->doubt_command);
		return false;
	}
	if (!inquiry->all && aim_is_doubtful(asking, inquiry->aim, answer)) {
		if (!verdict->witness)
			verdict->witness = witness;
		verdict_missing(asking, verdict,
				arena_printf(asking->arena, "%s: what listens on port 53 and asks the world for names",
					     answer->where->name),
				"ss -lntup");
		return false;
	}
	violate(inquiry, witness, aim_sentence(asking, answer));
	return true;
}

/* ---- what was not captured on the way ---- */

/* The modules that the tables of the older iptables and ebtables need; nf_tables is what all others are in. */
static bool has_loaded(const struct asking *asking, const struct stack_host *host, int kind)
{
	static const char *const needed[GAP_KIND_COUNT] = {
		[GAP_XTABLES4] = "ip_tables", [GAP_XTABLES6] = "ip6_tables", [GAP_EBTABLES] = "ebtables"};
	const struct bundle *bundle = asking->input->stack->bundle;
	const struct party *party = places_role(&asking->places, host);
	const struct facts *machine =
		party && party->machine ? party->machine->facts : bundle_machine(bundle, host->facts);

	if (!machine || machine->modules_known != TRUTH_YES || !needed[kind] || host->gaps[GAP_NFTABLES])
		return true;
	for (size_t i = 0; i < machine->module_count; i++)
		if (strcmp(machine->modules[i].name, needed[kind]) == 0)
			return true;
	return false;
}

static void miss_rules(const struct inquiry *inquiry, const struct stack_host *host)
{
	struct arena *arena = inquiry->asking->arena;

	for (int kind = 0; kind < GAP_KIND_COUNT; kind++)
		if (host->gaps[kind] && has_loaded(inquiry->asking, host, kind))
			verdict_missing(inquiry->asking, inquiry->verdict,
					arena_printf(arena, "%s: the rules in %s", host->name,
						     stack_gap_name(host, kind, arena)),
					stack_gap_command(kind));
}

static void assume_no_rules(const struct inquiry *inquiry, const struct stack_host *host)
{
	struct arena *arena = inquiry->asking->arena;

	for (int kind = 0; kind < GAP_KIND_COUNT; kind++)
		if (host->gaps[kind] && !spread_is_taken_over(inquiry->asking->spread, host))
			asking_assume(inquiry->asking,
				      arena_printf(arena, "%s: no rules in %s, which were not captured", host->name,
						   stack_gap_name(host, kind, arena)),
				      stack_gap_command(kind));
}

/* Whoever passes packets on must be known; of the two ends of a way its own rules are taken for none. */
static void look_at_hosts(const struct inquiry *inquiry, const struct spread_end *ends, size_t count)
{
	const struct spread *spread = inquiry->asking->spread;
	size_t hop_count;
	const struct spread_hop *hops = spread_hops(spread, &hop_count);

	for (size_t i = 0; i < hop_count; i++) {
		const struct spread_hop *from = hops[i].from < hop_count ? &hops[hops[i].from] : NULL;

		assume_no_rules(inquiry, hops[i].host);
		if (from && from->iif && !spread_is_taken_over(spread, from->host))
			miss_rules(inquiry, from->host);
	}
	for (size_t i = 0; i < count; i++)
		if (ends[i].fate == SPREAD_SENT && ends[i].hop < hop_count && hops[ends[i].hop].iif)
			miss_rules(inquiry, hops[ends[i].hop].host);
}

/* ---- one source ---- */

static struct bounds breaking(const struct inquiry *inquiry, const struct spread_end *end)
{
	struct space *space = inquiry->asking->space;
	bool open = end->fate == SPREAD_UNKNOWN && end->reason != SPREAD_FOR_MANY;
	pset hit = aim_hit(inquiry->asking, inquiry->aim, end);
	pset unseen = aim_unseen(inquiry->asking, inquiry->aim, end);
	struct bounds packets = end->packets;

	if (inquiry->all) {
		packets.may = pset_minus(space, packets.may, open ? PSET_EMPTY : hit);
		packets.must = pset_minus(space, packets.must, pset_or(space, hit, unseen));
		return packets;
	}
	return (struct bounds){pset_and(space, packets.may, pset_or(space, hit, unseen)),
			       open ? PSET_EMPTY : pset_and(space, packets.must, hit)};
}

/* What stays open where no packet decides it; `packet` NULL: none can be told. */
static void miss_end(const struct inquiry *inquiry, const struct spread_end *end, const struct packet *packet)
{
	cleanup_strbuf struct strbuf text = {};

	strbuf_printf(&text, "%s: what becomes of ", end->host->name);
	if (packet)
		packet_format(packet, &text);
	else
		strbuf_add(&text, "some packets");
	if (end->reason)
		strbuf_printf(&text, ": %s", spread_reason_text(end->reason));
	verdict_missing(inquiry->asking, inquiry->verdict, arena_strdup(inquiry->asking->arena, text.text), NULL);
}

/* The same of a connection, should there be one. */
static void miss_connection(const struct inquiry *inquiry, const struct spread_end *end, const struct packet *packet,
			    bool answer)
{
	const struct spread *spread = inquiry->asking->spread;
	bool told = spread_is_told(spread, end->host);
	cleanup_strbuf struct strbuf text = {};

	if (!told)
		strbuf_printf(&text, "%s: whether there is a connection %s which ", end->host->name,
			      answer ? "that the other side began, in" : "that began under other rules, in");
	else if (spread_lists(spread, end->host, breaking(inquiry, end).may))
		strbuf_printf(&text, "%s: whether the connection still passes, which is in its table, in which ",
			      end->host->name);
	else
		strbuf_printf(&text, "%s: whether %s connection begins in which ", end->host->name,
			      answer ? "the other side's" : "a");
	packet_format(packet, &text);
	strbuf_add(&text, " passes");
	verdict_missing(inquiry->asking, inquiry->verdict, arena_strdup(inquiry->asking->arena, text.text),
			told ? NULL : "conntrack -L");
}

/* Packets that the sets say may break the promise. True: one does, says the interpreter. */
static bool try_end(const struct inquiry *inquiry, const struct sender *source, const struct spread_start *start,
		    const struct spread_end *end)
{
	struct spread *spread = inquiry->asking->spread;
	struct policy_verdict *verdict = inquiry->verdict;
	struct spread_end narrow = *end;
	struct question question = {};
	size_t missing_before = verdict->missing_count;

	narrow.packets = breaking(inquiry, end);
	if (pset_is_empty(narrow.packets.may))
		return false;
	if (!spread_witness(spread, start, &narrow, &question)) {
		if (!inquiry->quiet)
			miss_end(inquiry, end, NULL);
		return false;
	}
	if (judge(inquiry, source, &question, true))
		return true;
	if (verdict->missing_count == missing_before && !inquiry->quiet)
		miss_end(inquiry, end, &question.packet);
	return false;
}

/* The interpreter is asked about one packet of an end at which the sets see nothing wrong. */
static bool check_end(const struct inquiry *inquiry, const struct sender *source, const struct spread_start *start,
		      const struct spread_end *end)
{
	struct question question = {};

	if (pset_is_empty(end->packets.must) || !spread_witness(inquiry->asking->spread, start, end, &question))
		return false;
	inquiry->asking->report->checked++;
	return judge(inquiry, source, &question, false);
}

/* Who is on the network that is denied reaches itself, which is not meant. */
static bool stays_home(const struct inquiry *inquiry, const struct spread_end *end)
{
	bool several = inquiry->aim->kind == AIM_NETWORK || inquiry->aim->kind == AIM_PREFIX;
	size_t count;
	const struct spread_hop *hops = spread_hops(inquiry->asking->spread, &count);

	return several && !inquiry->all && end->fate == SPREAD_DELIVERED && end->hop < count && !hops[end->hop].iif &&
	       hops[end->hop].from == SIZE_MAX;
}

static int follow(const struct inquiry *inquiry, const struct sender *source, const struct spread_start *start,
		  bool *ret_found)
{
	const struct spread_end *ends;
	size_t count, checked = 0;
	int r = spread_follow(inquiry->asking->spread, start, &ends, &count, inquiry->asking->err);

	*ret_found = false;
	if (r < 0)
		return r;
	for (size_t i = 0; i < count && !*ret_found; i++)
		*ret_found = !stays_home(inquiry, &ends[i]) && try_end(inquiry, source, start, &ends[i]);
	for (size_t i = 0; i < count && !*ret_found && checked < MOST_CHECKED; i++, checked++)
		*ret_found = !stays_home(inquiry, &ends[i]) && check_end(inquiry, source, start, &ends[i]);
	if (!*ret_found)
		look_at_hosts(inquiry, ends, count);
	return 0;
}

static void take_missing(const struct inquiry *inquiry, const struct sources *sources)
{
	for (size_t i = 0; i < sources->missing_count; i++)
		verdict_missing(inquiry->asking, inquiry->verdict, sources->missing[i].text,
				sources->missing[i].command);
}

/* ---- connections that were there before ---- */

static pset known_states(struct space *space)
{
	return pset_or(space, pset_kind(space, PSET_STATE, PSET_ESTABLISHED),
		       pset_kind(space, PSET_STATE, PSET_RELATED));
}

/*
 * Packets to one place of those that may break the promise, where that is not translated: few enough to be followed one
 * way at a time, so that there is a way back. True: one of them does break it.
 */
static int try_known(const struct inquiry *inquiry, const struct sources *sources, const struct spread_end *end,
		     bool *ret_found)
{
	static const enum pset_field same[] = {PSET_FAMILY, PSET_PROTOCOL, PSET_DIRECTION,
					       PSET_DADDR,  PSET_DPORT,	   PSET_FRAGMENT};
	struct space *space = inquiry->asking->space;
	pset hit = breaking(inquiry, end).may;
	struct inquiry quiet = *inquiry;
	struct packet_values values;
	enum question_state state;
	struct packet packet;
	const struct sender *source;
	struct spread_start start;
	int r;

	if (!pset_pick(space, hit, &values))
		return 0;
	source = &sources->items[values.fields[PSET_ORIGIN]];
	quiet.quiet = true;
	start = source->start;
	start.connections = true;
	start.packets = pset_and(space, start.packets, known_states(space));
	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
		start.packets = pset_and(space, start.packets, pset_value(space, same[i], values.fields[same[i]]));
	r = follow(&quiet, source, &start, ret_found);
	if (r < 0 || *ret_found)
		return r;
	if (spread_pick(inquiry->asking->spread, hit, &packet, &state))
		miss_connection(inquiry, end, &packet, values.fields[PSET_DIRECTION] != 0);
	else
		miss_end(inquiry, end, NULL);
	return 0;
}

/* Nothing is proved of ends that nobody looked at. */
static void miss_more(const struct inquiry *inquiry, size_t count)
{
	verdict_missing(
		inquiry->asking, inquiry->verdict,
		arena_printf(inquiry->asking->arena,
			     "%zu more places that packets of connections may come to, of which none was looked for",
			     count),
		NULL);
}

/* Ends that packets of such connections may come to where they break the promise. */
struct breaks {
	struct spread_end *ends;
	size_t count;
};

/* All at once, since there are many ways for them: hosts may take them for anything. */
static int find_breaks(const struct inquiry *inquiry, const struct sources *sources, struct breaks *ret)
{
	const struct asking *asking = inquiry->asking;
	struct spread_start *starts = arena_alloc(asking->arena, (sources->count + 1) * sizeof(*starts));
	struct space *space = asking->space;
	const struct spread_end *ends;
	size_t count, start_count = 0;
	int r;

	*ret = (struct breaks){};

	for (size_t i = 0; i < sources->count; i++) {
		struct spread_start start = sources->items[i].start;

		start.packets = pset_and(space, pset_and(space, start.packets, known_states(space)),
					 pset_value(space, PSET_ORIGIN, i));
		start.connections = true;
		if (!pset_is_empty(start.packets))
			starts[start_count++] = start;
	}
	r = spread_follow_arriving(asking->spread, starts, start_count, &ends, &count, asking->err);
	if (r < 0)
		return r;
	look_at_hosts(inquiry, ends, count);
	for (size_t i = 0; i < count; i++)
		if (!stays_home(inquiry, &ends[i]) && !pset_is_empty(breaking(inquiry, &ends[i]).may))
			*arena_push(asking->arena, ret->ends, ret->count) = ends[i];
	return 0;
}

/* Where what hosts may know of connections is too much, the tables that they told are asked what there is. */
static int follow_known(const struct inquiry *asked, const struct sources *sources, bool *ret_found)
{
	const struct asking *asking = asked->asking;
	struct aim aim = *asked->aim;
	struct inquiry known = *asked;
	const struct inquiry *inquiry = &known;
	struct breaks breaks = {};
	bool learnt = false, more;
	int r = 0;

	aim.kept = pset_or(asking->space, aim.kept, aim.kept_known);
	known.aim = &aim;
	if (asking_has_learnt(asking)) /* as before, it will take that */
		r = asking_learn(asking, &learnt);
	if (r == 0 && !learnt)
		r = find_breaks(inquiry, sources, &breaks);
	if (r == 0 && breaks.count)
		r = asking_learn(asking, &learnt);
	if (r < 0)
		return r;
	spread_confine_all(asking->spread, learnt);
	more = learnt;
	for (unsigned i = 0; i < SPREAD_MOST_ROUNDS && more && r == 0; i++) {
		r = find_breaks(inquiry, sources, &breaks);
		more = r == 0 && spread_begins_more(asking->spread);
	}
	if (more)
		verdict_missing(asking, inquiry->verdict, "which connections may begin: there is no end to them", NULL);
	for (size_t i = 0; i < breaks.count && i < MOST_TRIED && r == 0 && !*ret_found; i++)
		r = try_known(inquiry, sources, &breaks.ends[i], ret_found);
	if (r == 0 && !*ret_found && breaks.count > MOST_TRIED)
		miss_more(inquiry, breaks.count - MOST_TRIED);
	spread_confine_all(asking->spread, false);
	return r;
}

/* Packets that begin something, and those that belong to what there was before, apart: the latter are less sure. */
int ask_none(const struct asking *asking, const struct sources *sources, const struct aim *aim,
	     struct policy_verdict *verdict)
{
	const struct inquiry inquiry = {.asking = asking, .aim = aim, .verdict = verdict};
	bool found = false;
	int r = 0;

	for (size_t i = 0; i < sources->count && r == 0 && !found; i++) {
		struct spread_start start = sources->items[i].start;

		start.packets = pset_minus(asking->space, start.packets, known_states(asking->space));
		r = follow(&inquiry, &sources->items[i], &start, &found);
	}
	if (r == 0 && !found)
		r = follow_known(&inquiry, sources, &found);
	if (r == 0 && !found)
		take_missing(&inquiry, sources);
	return r;
}

/* ---- answers ---- */

static bool is_taken_over(const struct asking *asking, const struct answer *answer, const struct aim *aim)
{
	for (size_t i = 0; i < answer->step_count; i++) {
		const struct stack_host *host = answer->steps[i].host;
		const struct party *party = places_role(&asking->places, host);

		if (spread_is_taken_over(asking->spread, host) &&
		    !(party && party->guest && party->guest == aim->guest))
			return true;
	}
	return false;
}

/* All of these arrive, say the sets, but not what the interpreter was asked about: then nothing is proved. */
static void miss_arrival(const struct inquiry *inquiry, const struct packet *packet, const struct answer *answer)
{
	cleanup_strbuf struct strbuf text = {};

	for (size_t i = 0; i < answer->missing_count; i++)
		verdict_missing(inquiry->asking, inquiry->verdict, answer->missing[i].text, answer->missing[i].command);
	if (answer->missing_count)
		return;
	strbuf_add(&text, "whether it arrives: ");
	packet_format(packet, &text);
	verdict_missing(inquiry->asking, inquiry->verdict, arena_strdup(inquiry->asking->arena, text.text), NULL);
}

/* What answers one packet of these comes back. */
static bool answer_breaks(const struct inquiry *inquiry, const struct sender *source)
{
	const struct asking *asking = inquiry->asking;
	const struct answer *there, *back;
	struct question question = {.at = (struct stack_host *)source->start.host,
				    .iif = (struct stack_link *)source->start.iif,
				    .in_port = (struct stack_link *)source->start.in_port,
				    .bridged = source->start.bridged};
	struct policy_witness *witness;

	if (!spread_pick(asking->spread, source->start.packets, &question.packet, &question.state))
		return false;
	there = walk_ask(asking->input->stack, &question, 0, asking->arena);
	back = walk_reply(asking->input->stack, &question, 0, asking->arena);
	if (there->fate != FATE_DELIVERED && !aim_is_hit(asking, inquiry->aim, there))
		miss_arrival(inquiry, &question.packet, there);
	if (!back || there->out)
		return false; /* it does not come there, or to whom nothing is known of */
	asking->report->checked += 2;
	assume_all(asking, there);
	assume_all(asking, back);
	if (back->fate == FATE_UNKNOWN) {
		for (size_t i = 0; i < back->missing_count; i++)
			verdict_missing(asking, inquiry->verdict, back->missing[i].text, back->missing[i].command);
		return false;
	}
	if (back->fate == FATE_DELIVERED && !is_taken_over(asking, back, inquiry->aim))
		return false;
	witness = witness_of(inquiry, source, &question, there);
	witness->back = back;
	witness->asker = source->start.iif ? NULL : source->start.host;
	violate(inquiry, witness,
		back->fate == FATE_DELIVERED
			? "its answer passes a host that may have been taken over"
			: arena_printf(asking->arena, "it arrives, but its answer does not come back: %s",
				       aim_sentence(asking, back)));
	return true;
}

int ask_all(const struct asking *asking, const struct sources *sources, const struct aim *aim,
	    struct policy_verdict *verdict)
{
	const struct inquiry inquiry = {.asking = asking, .aim = aim, .verdict = verdict, .all = true};
	bool found = false;
	int r = 0;

	for (size_t i = 0; i < sources->count && r == 0 && !found; i++)
		r = follow(&inquiry, &sources->items[i], &sources->items[i].start, &found);
	for (size_t i = 0; i < sources->count && r == 0 && !found; i++)
		found = answer_breaks(&inquiry, &sources->items[i]);
	if (r == 0 && !found)
		take_missing(&inquiry, sources);
	return r;
}
