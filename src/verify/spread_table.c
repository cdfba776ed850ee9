/*
 * Which connections a host can know. Where its table was asked (conntrack(8)), what it finds to belong to a connection
 * belongs to one of these:
 *
 * - an entry of the table, with the addresses and ports of both directions as they stand there;
 * - one that begins from now on. Its first packet passes the rules that there are now, so it is among the first packets
 *   that were seen to leave the host, or to be taken in, when all that anybody may send was followed.
 *
 * Both are one set of packets: as the first packet leaves the host, with what was translated in the CT_ fields as it
 * came, and STATUS telling which that is. Packets of either direction, and how they are translated, follow from it.
 *
 * A packet goes on in a connection at one host and may begin one at the next, where that has forgotten it; so what
 * begins is looked for again with the packets of known connections, until there is nothing new.
 */
#include "verify/spread_internal.h"

#include "base/arena.h"
#include "base/error.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum {
	MOST_ENTRIES = 4096, /* of one host's table */
};

/* What is known of the connections of one host. */
struct spread_table {
	bool told;   /* the table was asked, and no entry in it is of a kind that is not understood */
	pset listed; /* its entries */
	pset begun;  /* what may begin */
	pset held;   /* packets that belong to either, as they come */
	pset seen;   /* what had begun when that was asked last */
	bool is_old; /* `held` is not of these */
};

static const pset_fields kept_fields =
	PSET_BIT(PSET_CT_SADDR) | PSET_BIT(PSET_CT_DADDR) | PSET_BIT(PSET_CT_SPORT) | PSET_BIT(PSET_CT_DPORT);
static const pset_fields own_fields =
	PSET_BIT(PSET_SADDR) | PSET_BIT(PSET_DADDR) | PSET_BIT(PSET_SPORT) | PSET_BIT(PSET_DPORT);
static const pset_fields all_fields = PSET_BIT(PSET_FIELD_COUNT) - 1;
static const wide translated_bits = CT_STATUS_SNAT | CT_STATUS_DNAT;

static struct spread_table *table_of(const struct spread *spread, const struct stack_host *host)
{
	return spread->tables ? &spread->tables[host->number] : NULL;
}

bool spread_is_told(const struct spread *spread, const struct stack_host *host)
{
	return spread->confines && table_of(spread, host)->told;
}

/* ---- entries of the table ---- */

static pset of_address(struct space *space, enum pset_field field, const struct ip *ip)
{
	struct prefix prefix = {*ip, ip_bits(ip)};
	struct interval interval = interval_of_prefix(&prefix);

	return pset_interval(space, field, interval.first, interval.last);
}

static pset of_port(struct space *space, enum pset_field field, const struct number *port)
{
	return port->known ? pset_value(space, field, port->value) : PSET_FULL;
}

static bool is_same_port(const struct number *one, const struct number *other)
{
	return one->known == other->known && (!one->known || one->value == other->value);
}

static pset of_entry(struct space *space, const struct connection *entry)
{
	const struct flow_side *first = &entry->original, *back = &entry->reply;
	const pset parts[] = {
		pset_kind(space, PSET_FAMILY, entry->family == AF_INET ? PSET_IP4 : PSET_IP6),
		entry->protocol.known ? pset_value(space, PSET_PROTOCOL, entry->protocol.value) : PSET_FULL,
		of_address(space, PSET_SADDR, &back->destination),
		of_address(space, PSET_DADDR, &back->source),
		of_port(space, PSET_SPORT, &back->destination_port),
		of_port(space, PSET_DPORT, &back->source_port),
		of_address(space, PSET_CT_SADDR, &first->source),
		of_address(space, PSET_CT_DADDR, &first->destination),
		of_port(space, PSET_CT_SPORT, &first->source_port),
		of_port(space, PSET_CT_DPORT, &first->destination_port),
	};
	bool source = !ip_equal(&first->source, &back->destination) ||
		      !is_same_port(&first->source_port, &back->destination_port);
	bool destination = !ip_equal(&first->destination, &back->source) ||
			   !is_same_port(&first->destination_port, &back->source_port);
	pset set = pset_value(space, PSET_STATUS, (source ? CT_STATUS_SNAT : 0) | (destination ? CT_STATUS_DNAT : 0));

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		set = pset_and(space, set, parts[i]);
	return set;
}

/* Helpers expect connections that no rule and no entry shows; zones are tables of their own. */
static bool is_understood(const struct facts *facts)
{
	for (size_t i = 0; i < facts->connection_count; i++) {
		const struct connection *entry = &facts->connections[i];

		if (entry->helper || (entry->zone.known && entry->zone.value) || !entry->reply.source.family ||
		    entry->offloaded)
			return false;
	}
	return facts->connection_count <= MOST_ENTRIES;
}

/* Before Linux 6.0 connections could get a helper by their port alone. Where it was not asked, it is as by default. */
static bool has_automatic_helpers(const struct facts *facts)
{
	const char *value = facts_sysctl(facts, "net.netfilter.nf_conntrack_helper");

	return value && strcmp(value, "0") != 0;
}

/* Rules that give connections a helper, an expectation, or a zone. */
static bool is_beyond(const struct rule *rule)
{
	static const char *const words[] = {"helper", "ct expectation", "ct zone", "--zone"};

	for (size_t i = 0; rule->text && i < sizeof(words) / sizeof(*words); i++)
		if (strstr(rule->text, words[i]))
			return true;
	return !rule->text;
}

static bool has_rules_beyond(const struct stack_host *host)
{
	for (size_t i = 0; i < host->table_count; i++)
		for (size_t j = 0; j < host->tables[i].chain_count; j++) {
			const struct chain *chain = host->tables[i].chains[j].chain;

			for (size_t k = 0; k < chain->rule_count; k++)
				if (is_beyond(&chain->rules[k]))
					return true;
		}
	return false;
}

static void read_table(struct spread *spread, const struct stack_host *host)
{
	struct spread_table *table = table_of(spread, host);
	const struct facts *facts = host->facts;
	pset *sets;

	*table = (struct spread_table){
		.listed = PSET_EMPTY, .begun = PSET_EMPTY, .held = PSET_EMPTY, .seen = PSET_EMPTY, .is_old = true};
	table->told = facts_connections_known(facts) == TRUTH_YES && is_understood(facts) &&
		      !has_automatic_helpers(facts) && !has_rules_beyond(host) && !spread_is_taken_over(spread, host);
	if (!table->told || facts->connection_count == 0)
		return;
	sets = arena_alloc(spread->arena, facts->connection_count * sizeof(*sets));
	for (size_t i = 0; i < facts->connection_count; i++)
		sets[i] = of_entry(spread->space, &facts->connections[i]);
	table->listed = pset_or_all(spread->space, sets, facts->connection_count);
}

/* ---- what begins ---- */

void spread_note_begun(struct spread *spread, const struct stream *stream)
{
	struct space *space = spread->space;
	struct spread_table *table = table_of(spread, stream->host);
	const pset_fields told =
		PSET_BIT(PSET_FAMILY) | PSET_BIT(PSET_PROTOCOL) | PSET_BIT(PSET_STATUS) | own_fields | kept_fields;
	pset first;

	if (!spread->notes || !table->told || !stream->tracked)
		return;
	first = pset_and(space, stream->packets.may, pset_kind(space, PSET_STATE, PSET_NEW));
	first = pset_and(space, first, pset_masked(space, PSET_STATUS, 0, CT_STATUS_CONFIRMED));
	first = pset_forget(space, first, all_fields & ~told);
	first = pset_forget_bits(space, first, pset_bits_of(PSET_STATUS), ~translated_bits & 0xffff);
	first = pset_and(space, first, pset_masked(space, PSET_STATUS, 0, ~translated_bits & 0xffff));
	table->begun = pset_or(space, table->begun, first);
}

/* ---- packets of what is known ---- */

/* An address and a port, in those packets of the set that were translated there. */
static pset exchange_where(struct space *space, pset set, wide bit, bool source, bool first_source)
{
	pset all = pset_masked(space, PSET_STATUS, bit, bit), these = pset_and(space, set, all);

	these = pset_exchange(space, these, source ? PSET_SADDR : PSET_DADDR,
			      first_source ? PSET_CT_SADDR : PSET_CT_DADDR);
	these = pset_exchange(space, these, source ? PSET_SPORT : PSET_DPORT,
			      first_source ? PSET_CT_SPORT : PSET_CT_DPORT);
	return pset_or(space, these, pset_minus(space, set, all));
}

static pset of_types(struct space *space, unsigned family, wide protocol, const struct interval *types, size_t count)
{
	pset set = pset_and(space, pset_kind(space, PSET_FAMILY, family), pset_value(space, PSET_PROTOCOL, protocol));

	return pset_and(space, set, pset_intervals(space, PSET_ICMP_TYPE, types, count));
}

/* icmp_error_message() and icmpv6_error_message(), nf_conntrack_proto_icmp.c and icmpv6.c. */
pset spread_icmp_errors(struct space *space)
{
	static const struct interval four[] = {{3, 5}, {11, 12}}, six[] = {{0, 127}};

	return pset_or(space, of_types(space, PSET_IP4, IPPROTO_ICMP, four, 2),
		       of_types(space, PSET_IP6, IPPROTO_ICMPV6, six, 1));
}

/* Errors about packets of the connections go where answers to these do; from whom, is anybody's. */
static pset errors_about(struct space *space, pset packets, bool back)
{
	pset_fields others = PSET_BIT(PSET_PROTOCOL) | PSET_BIT(PSET_SPORT) | PSET_BIT(PSET_DPORT) |
			     PSET_BIT(PSET_CT_SPORT) | PSET_BIT(PSET_CT_DPORT) | PSET_BIT(PSET_SADDR);
	pset set = pset_and(space, pset_forget(space, packets, others), spread_icmp_errors(space));

	set = pset_and(space, set, pset_value(space, PSET_DIRECTION, back));
	return pset_and(space, set, pset_kind(space, PSET_STATE, PSET_RELATED));
}

/* As packets of one direction come to the host; the CT_ fields hold what they will be translated to. */
static pset coming(struct space *space, pset connections, bool back)
{
	pset set = connections, states;

	if (back) {
		set = pset_exchange_ends(space, set);
	} else {
		set = exchange_where(space, set, CT_STATUS_SNAT, true, true);
		set = exchange_where(space, set, CT_STATUS_DNAT, false, false);
	}
	states = pset_or(space, pset_kind(space, PSET_STATE, PSET_ESTABLISHED),
			 pset_kind(space, PSET_STATE, PSET_RELATED));
	if (!back) /* nobody has answered yet */
		states = pset_or(space, states, pset_kind(space, PSET_STATE, PSET_NEW));
	states = pset_and(space, states, pset_value(space, PSET_DIRECTION, back));
	return pset_or(space, pset_minus(space, pset_and(space, set, states), spread_icmp_errors(space)),
		       errors_about(space, set, back));
}

static pset held_by(struct spread *spread, const struct stack_host *host)
{
	struct spread_table *table = table_of(spread, host);
	struct space *space = spread->space;
	pset connections, set;

	if (!table->is_old)
		return table->held;
	connections = spread->only_listed ? table->listed : pset_or(space, table->listed, table->begun);
	set = pset_or(space, coming(space, connections, false), coming(space, connections, true));
	set = pset_forget_bits(space, set, pset_bits_of(PSET_STATUS), ~translated_bits & 0xffff);
	table->held = pset_and(space, set, pset_masked(space, PSET_STATUS, CT_STATUS_CONFIRMED, CT_STATUS_CONFIRMED));
	table->is_old = false;
	return table->held;
}

/*
 * Hosts need not agree who began a connection, for they forget. Where only one direction was asked about, it is meant
 * at all hosts; else only the first one counts, where it was said.
 */
static bool is_direction_kept(const struct spread *spread, const struct stream *stream)
{
	return !spread->both_ways || stream->hop == SIZE_MAX || spread->hops[stream->hop].from == SIZE_MAX;
}

/* What no entry is about begins one, or belongs to none, or is not tracked. */
static pset unknown_there(struct space *space, pset packets)
{
	static const enum pset_field cleared[] = {PSET_DIRECTION, PSET_STATUS, PSET_CT_MARK};
	static const unsigned states[] = {PSET_NEW, PSET_INVALID, PSET_UNTRACKED};
	pset set = PSET_EMPTY;
	pset_fields fields = 0;

	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
		set = pset_or(space, set, pset_kind(space, PSET_STATE, states[i]));
	set = pset_and(space, packets, set);
	for (size_t i = 0; i < sizeof(cleared) / sizeof(*cleared); i++)
		fields |= PSET_BIT(cleared[i]);
	set = pset_forget(space, set, fields);
	for (size_t i = 0; i < sizeof(cleared) / sizeof(*cleared); i++)
		set = pset_and(space, set, pset_value(space, cleared[i], 0));
	return set;
}

void spread_confine(struct spread *spread, struct stream *stream)
{
	struct space *space = spread->space;
	struct bounds before = stream->packets;
	pset_fields fields = PSET_BIT(PSET_STATE) | PSET_BIT(PSET_STATUS) | PSET_BIT(PSET_DIRECTION) |
			     PSET_BIT(PSET_CT_MARK) | kept_fields;
	pset known = pset_minus(space, before.may, pset_kind(space, PSET_STATE, PSET_UNTRACKED));

	if (!spread_is_told(spread, stream->host))
		return;
	known = pset_forget(space, known,
			    is_direction_kept(spread, stream) ? fields & ~PSET_BIT(PSET_DIRECTION) : fields);
	known = pset_and(space, known, held_by(spread, stream->host));
	stream->packets.may = pset_or(space, known, unknown_there(space, before.may));
	spread_renew(spread, stream, before, fields);
}

/* ---- translated as it is written there ---- */

static pset confirmed(struct space *space)
{
	return pset_masked(space, PSET_STATUS, CT_STATUS_CONFIRMED, CT_STATUS_CONFIRMED);
}

pset spread_first_ones(struct spread *spread)
{
	return pset_minus(spread->space, pset_kind(spread->space, PSET_STATE, PSET_NEW), confirmed(spread->space));
}

/* Packets of the original direction get the entry's translation, and answers lose it: of the source at postrouting and
 * input, of the destination at prerouting and output. */
static void translate_some(struct spread *spread, const struct stream *stream, bool source, bool back,
			   struct changes *changes)
{
	struct space *space = spread->space;
	wide bit = source != back ? CT_STATUS_SNAT : CT_STATUS_DNAT;
	pset these = pset_and(space, confirmed(space), pset_masked(space, PSET_STATUS, bit, bit));
	struct change change = {.before = {PSET_EMPTY, PSET_EMPTY}, .after = {PSET_EMPTY, PSET_EMPTY}};

	these = pset_and(space, these, pset_value(space, PSET_DIRECTION, back));
	change.before.may = pset_and(space, stream->packets.may, these);
	change.after.may = exchange_where(space, change.before.may, bit, source, source != back);
	change.renewed =
		kept_fields | PSET_BIT(source ? PSET_SADDR : PSET_DADDR) | PSET_BIT(source ? PSET_SPORT : PSET_DPORT);
	spread_add_change(spread, changes, &change);
}

pset spread_translate_told(struct spread *spread, const struct stream *stream, bool source, struct changes *changes)
{
	struct space *space = spread->space;
	wide forth = source ? CT_STATUS_SNAT : CT_STATUS_DNAT, back = source ? CT_STATUS_DNAT : CT_STATUS_SNAT;
	pset done;

	translate_some(spread, stream, source, false, changes);
	translate_some(spread, stream, source, true, changes);
	done = pset_or(
		space,
		pset_and(space, pset_value(space, PSET_DIRECTION, 0), pset_masked(space, PSET_STATUS, forth, forth)),
		pset_and(space, pset_value(space, PSET_DIRECTION, 1), pset_masked(space, PSET_STATUS, back, back)));
	return pset_and(space, confirmed(space), done);
}

/* ---- all of them ---- */

bool spread_begins_more(struct spread *spread)
{
	bool more = false;

	for (size_t i = 0; i < spread->stack->host_count; i++) {
		struct spread_table *table = &spread->tables[i];

		more = more || table->begun != table->seen;
		table->seen = table->begun;
		table->is_old = true;
	}
	return more;
}

/* Packets of connections, or those that begin some: what is invalid at one host begins nothing at another. */
static int follow_states(struct spread *spread, const struct spread_start *starts, size_t count, bool connections,
			 struct error **err)
{
	struct space *space = spread->space;
	struct spread_start *some = arena_alloc(spread->kept, (count + 1) * sizeof(*some));
	pset known = pset_or(space, pset_kind(space, PSET_STATE, PSET_ESTABLISHED),
			     pset_kind(space, PSET_STATE, PSET_RELATED));
	pset others = pset_or(space, known, pset_kind(space, PSET_STATE, PSET_INVALID));
	const struct spread_end *ends;
	size_t some_count = 0, end_count;

	for (size_t i = 0; i < count; i++) {
		struct spread_start start = starts[i];

		start.packets =
			connections ? pset_and(space, start.packets, known) : pset_minus(space, start.packets, others);
		start.connections = connections;
		if (!pset_is_empty(start.packets))
			some[some_count++] = start;
	}
	return spread_follow_arriving(spread, some, some_count, &ends, &end_count, err);
}

static bool has_entries(const struct spread *spread)
{
	for (size_t i = 0; i < spread->stack->host_count; i++)
		if (!pset_is_empty(spread->tables[i].listed))
			return true;
	return false;
}

int spread_learn(struct spread *spread, const struct spread_start *starts, size_t count, bool *ret_learnt,
		 struct error **err)
{
	bool more;
	int r;

	*ret_learnt = false;
	spread->tables = arena_alloc(spread->kept, (spread->stack->host_count + 1) * sizeof(*spread->tables));
	for (size_t i = 0; i < spread->stack->host_count; i++)
		read_table(spread, &spread->stack->hosts[i]);
	more = has_entries(spread);
	spread_confine_all(spread, true);
	r = follow_states(spread, starts, count, false, err);
	spread->only_listed = true;
	spread_begins_more(spread);
	for (unsigned i = 0; i < SPREAD_MOST_ROUNDS && more && r == 0; i++) {
		r = follow_states(spread, starts, count, true, err);
		more = r == 0 && spread_begins_more(spread);
	}
	spread->only_listed = false;
	spread_begins_more(spread);
	spread_confine_all(spread, false);
	*ret_learnt = r == 0 && !more;
	return r;
}

void spread_learn_from(struct spread *spread, const struct spread *other)
{
	size_t count = spread->stack->host_count;

	spread->tables = arena_alloc(spread->kept, (count + 1) * sizeof(*spread->tables));
	memcpy(spread->tables, other->tables, count * sizeof(*spread->tables));
	for (size_t i = 0; i < count; i++)
		spread->tables[i].told =
			spread->tables[i].told && !spread_is_taken_over(spread, &spread->stack->hosts[i]);
	spread_begins_more(spread);
}

void spread_confine_all(struct spread *spread, bool confine)
{
	spread->confines = spread->notes = confine;
}

bool spread_lists(const struct spread *spread, const struct stack_host *host, pset packets)
{
	const struct spread_table *table = table_of(spread, host);
	struct space *space = spread->space;
	pset listed;

	if (!table || !table->told)
		return false;
	listed = pset_forget(space, table->listed, kept_fields | PSET_BIT(PSET_STATUS));
	return pset_overlap(space, packets, listed) || pset_overlap(space, packets, pset_exchange_ends(space, listed));
}
