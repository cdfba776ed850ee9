#include "verify/match_field.h"

#include "base/arena.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* What a field needs to be there. */
enum need {
	NEED_IP4 = 1,
	NEED_IP6 = 2,
	NEED_HEADER = 4,   /* of layer 4: later fragments have none */
	NEED_PORTS = 8,	   /* a protocol that has ports; others have other things in their place */
	NEED_TRACKED = 16, /* a connection */
	NEED_MAC = 64,
	NEED_IP = 128,	     /* either family: bridges carry others */
	NEED_ORIGINAL = 256, /* only of the original direction is the tuple kept */
};

static const struct kind families[] = {
	{PSET_IP4, AF_INET, true}, {PSET_IP6, AF_INET6, true}, {PSET_OTHER_FAMILY, 0, false}};
static const struct kind ethertypes[] = {
	{PSET_IP4, 0x0800, true}, {PSET_IP6, 0x86dd, true}, {PSET_OTHER_FAMILY, 0x0806, false}};
static const struct kind states[] = {{PSET_NEW, CT_STATE_NEW, true},
				     {PSET_ESTABLISHED, CT_STATE_ESTABLISHED, true},
				     {PSET_RELATED, CT_STATE_RELATED, true},
				     {PSET_INVALID, CT_STATE_INVALID, true},
				     {PSET_UNTRACKED, CT_STATE_UNTRACKED, true}};
/* Of the field: 0x2000 more fragments, 0x1fff the offset. Whether later ones have others behind them is not known. */
static const struct kind fragments[] = {
	{PSET_WHOLE, 0, true}, {PSET_FIRST_FRAGMENT, 0x2000, true}, {PSET_LATER_FRAGMENT, 1, false}};

#define KINDS(list) .coding = CODING_KIND, .kinds = list, .kind_count = sizeof(list) / sizeof(*list)
#define NUMBER(id)  .coding = CODING_NUMBER, .field = PSET_##id
#define NAME(id)    .coding = CODING_NAME, .field = PSET_##id
#define ADDRESS(id) .coding = CODING_ADDRESS, .field = PSET_##id

static const struct meaning {
	enum coding coding;
	enum pset_field field;
	uint8_t start, count; /* 0: all of its bits */
	uint8_t protocol;     /* that only has it */
	uint16_t needs;
	const struct kind *kinds;
	size_t kind_count;
} meanings[FIELD_COUNT] = {
	[FIELD_META_LENGTH] = {NUMBER(LENGTH), .needs = NEED_IP},
	[FIELD_META_PROTOCOL] = {KINDS(ethertypes), .field = PSET_FAMILY},
	[FIELD_ETHER_TYPE] = {KINDS(ethertypes), .field = PSET_FAMILY},
	[FIELD_META_NFPROTO] = {KINDS(families), .field = PSET_FAMILY},
	[FIELD_CT_L3PROTO] = {KINDS(families), .field = PSET_FAMILY, .needs = NEED_TRACKED},
	[FIELD_META_L4PROTO] = {NUMBER(PROTOCOL), .needs = NEED_IP},
	[FIELD_META_MARK] = {NUMBER(MARK)},
	[FIELD_META_IIF] = {NAME(IIF)},
	[FIELD_META_IIFNAME] = {NAME(IIF)},
	[FIELD_META_OIF] = {NAME(OIF)},
	[FIELD_META_OIFNAME] = {NAME(OIF)},
	[FIELD_META_IBRNAME] = {NAME(IIF)}, /* in tables of bridges; see meaning_of() */
	[FIELD_META_OBRNAME] = {NAME(OIF)},
	[FIELD_CT_STATE] = {KINDS(states), .field = PSET_STATE},
	[FIELD_CT_DIRECTION] = {NUMBER(DIRECTION), .needs = NEED_TRACKED},
	[FIELD_CT_STATUS] = {NUMBER(STATUS), .needs = NEED_TRACKED},
	[FIELD_CT_MARK] = {NUMBER(CT_MARK), .needs = NEED_TRACKED},
	[FIELD_CT_PROTOCOL] = {NUMBER(PROTOCOL), .needs = NEED_TRACKED},
	[FIELD_CT_IP_SADDR] = {ADDRESS(CT_SADDR), .needs = NEED_TRACKED | NEED_IP4 | NEED_ORIGINAL},
	[FIELD_CT_IP_DADDR] = {ADDRESS(CT_DADDR), .needs = NEED_TRACKED | NEED_IP4 | NEED_ORIGINAL},
	[FIELD_CT_IP6_SADDR] = {ADDRESS(CT_SADDR), .needs = NEED_TRACKED | NEED_IP6 | NEED_ORIGINAL},
	[FIELD_CT_IP6_DADDR] = {ADDRESS(CT_DADDR), .needs = NEED_TRACKED | NEED_IP6 | NEED_ORIGINAL},
	[FIELD_CT_SADDR] = {ADDRESS(CT_SADDR), .needs = NEED_TRACKED | NEED_ORIGINAL},
	[FIELD_CT_DADDR] = {ADDRESS(CT_DADDR), .needs = NEED_TRACKED | NEED_ORIGINAL},
	[FIELD_CT_PROTO_SRC] = {NUMBER(CT_SPORT), .needs = NEED_TRACKED | NEED_ORIGINAL},
	[FIELD_CT_PROTO_DST] = {NUMBER(CT_DPORT), .needs = NEED_TRACKED | NEED_ORIGINAL},
	[FIELD_ETHER_SADDR] = {NUMBER(SMAC), .start = 1, .count = 48, .needs = NEED_MAC},
	[FIELD_ETHER_DADDR] = {NUMBER(DMAC), .start = 1, .count = 48, .needs = NEED_MAC},
	[FIELD_IP_DSCP] = {NUMBER(TOS), .count = 6, .needs = NEED_IP4},
	[FIELD_IP_ECN] = {NUMBER(TOS), .start = 6, .count = 2, .needs = NEED_IP4},
	[FIELD_IP_LENGTH] = {NUMBER(LENGTH), .needs = NEED_IP4},
	[FIELD_IP_FRAG_OFF] = {KINDS(fragments), .field = PSET_FRAGMENT, .needs = NEED_IP4},
	[FIELD_IP_TTL] = {NUMBER(TTL), .needs = NEED_IP4},
	[FIELD_IP_PROTOCOL] = {NUMBER(PROTOCOL), .needs = NEED_IP4},
	[FIELD_IP_SADDR] = {ADDRESS(SADDR), .needs = NEED_IP4},
	[FIELD_IP_DADDR] = {ADDRESS(DADDR), .needs = NEED_IP4},
	[FIELD_IP6_DSCP] = {NUMBER(TOS), .count = 6, .needs = NEED_IP6},
	[FIELD_IP6_ECN] = {NUMBER(TOS), .start = 6, .count = 2, .needs = NEED_IP6},
	[FIELD_IP6_HOPLIMIT] = {NUMBER(TTL), .needs = NEED_IP6},
	/* of packets without extension headers; the others are not modelled */
	[FIELD_IP6_NEXTHDR] = {NUMBER(PROTOCOL), .needs = NEED_IP6},
	[FIELD_IP6_SADDR] = {ADDRESS(SADDR), .needs = NEED_IP6},
	[FIELD_IP6_DADDR] = {ADDRESS(DADDR), .needs = NEED_IP6},
	[FIELD_ICMP_TYPE] = {NUMBER(ICMP_TYPE), .protocol = IPPROTO_ICMP, .needs = NEED_IP4 | NEED_HEADER},
	[FIELD_ICMP_CODE] = {NUMBER(ICMP_CODE), .protocol = IPPROTO_ICMP, .needs = NEED_IP4 | NEED_HEADER},
	[FIELD_ICMPV6_TYPE] = {NUMBER(ICMP_TYPE), .protocol = IPPROTO_ICMPV6, .needs = NEED_IP6 | NEED_HEADER},
	[FIELD_ICMPV6_CODE] = {NUMBER(ICMP_CODE), .protocol = IPPROTO_ICMPV6, .needs = NEED_IP6 | NEED_HEADER},
	[FIELD_TCP_SPORT] = {NUMBER(SPORT), .protocol = IPPROTO_TCP, .needs = NEED_HEADER},
	[FIELD_TCP_DPORT] = {NUMBER(DPORT), .protocol = IPPROTO_TCP, .needs = NEED_HEADER},
	[FIELD_TCP_FLAGS] = {NUMBER(TCP_FLAGS), .protocol = IPPROTO_TCP, .needs = NEED_HEADER},
	[FIELD_UDP_SPORT] = {NUMBER(SPORT), .protocol = IPPROTO_UDP, .needs = NEED_HEADER},
	[FIELD_UDP_DPORT] = {NUMBER(DPORT), .protocol = IPPROTO_UDP, .needs = NEED_HEADER},
	[FIELD_UDPLITE_SPORT] = {NUMBER(SPORT), .protocol = IPPROTO_UDPLITE, .needs = NEED_HEADER},
	[FIELD_UDPLITE_DPORT] = {NUMBER(DPORT), .protocol = IPPROTO_UDPLITE, .needs = NEED_HEADER},
	[FIELD_SCTP_SPORT] = {NUMBER(SPORT), .protocol = IPPROTO_SCTP, .needs = NEED_HEADER},
	[FIELD_SCTP_DPORT] = {NUMBER(DPORT), .protocol = IPPROTO_SCTP, .needs = NEED_HEADER},
	[FIELD_DCCP_SPORT] = {NUMBER(SPORT), .protocol = IPPROTO_DCCP, .needs = NEED_HEADER},
	[FIELD_DCCP_DPORT] = {NUMBER(DPORT), .protocol = IPPROTO_DCCP, .needs = NEED_HEADER},
	[FIELD_TH_SPORT] = {NUMBER(SPORT), .needs = NEED_HEADER | NEED_PORTS},
	[FIELD_TH_DPORT] = {NUMBER(DPORT), .needs = NEED_HEADER | NEED_PORTS},
	[FIELD_XT_PORT] = {NUMBER(SPORT), .needs = NEED_HEADER | NEED_PORTS}, /* or DPORT: see selector_of() */
	/* a packet that is not bridged has the empty name: "!" holds for it (xt_physdev.c) */
	[FIELD_XT_PHYSDEV_IN] = {NAME(IN_PORT)},
	[FIELD_XT_PHYSDEV_OUT] = {NAME(OUT_PORT)},
	[FIELD_XT_PHYSDEV_IS_IN] = {.coding = CODING_PRESENCE, .field = PSET_IN_PORT},
	[FIELD_XT_PHYSDEV_IS_OUT] = {.coding = CODING_PRESENCE, .field = PSET_OUT_PORT},
	[FIELD_XT_PHYSDEV_IS_BRIDGED] = {.coding = CODING_PRESENCE, .field = PSET_OUT_PORT},
	[FIELD_XT_TOS] = {NUMBER(TOS), .needs = NEED_IP},
};

/* In tables of bridges iif and oif are the ports; the bridge has names of its own. */
static struct meaning meaning_of(const struct match_scope *scope, enum field field)
{
	struct meaning meaning = meanings[field];

	if (!scope->table || scope->table->table->family != FAMILY_BRIDGE) {
		if (field == FIELD_META_IBRNAME || field == FIELD_META_OBRNAME)
			meaning.coding = CODING_NONE;
	} else if (field == FIELD_META_IIF || field == FIELD_META_IIFNAME) {
		meaning.field = PSET_IN_PORT;
	} else if (field == FIELD_META_OIF || field == FIELD_META_OIFNAME) {
		meaning.field = PSET_OUT_PORT;
	}
	return meaning;
}

static pset one_value(const struct match_scope *scope, enum pset_field field, wide value)
{
	return match_values(scope, pset_bits_of(field), &(struct interval){value, value}, 1);
}

static pset kind_set(const struct match_scope *scope, enum pset_field field, unsigned value)
{
	struct interval interval = interval_of_kind(field, value);

	return match_values(scope, pset_bits_of(field), &interval, 1);
}

/* TCP and UDP first: those of bitmap:port. */
static const struct interval port_protocols[] = {{IPPROTO_TCP, IPPROTO_TCP},
						 {IPPROTO_UDP, IPPROTO_UDP},
						 {IPPROTO_DCCP, IPPROTO_DCCP},
						 {IPPROTO_SCTP, IPPROTO_SCTP},
						 {IPPROTO_UDPLITE, IPPROTO_UDPLITE}};

enum { PORT_PROTOCOLS = sizeof(port_protocols) / sizeof(*port_protocols) };

/* A rule for one protocol need not be asked what that has. */
static bool names_protocol(const struct statement *statement, uint64_t *ret)
{
	const struct expr *left = statement->kind == STATEMENT_MATCH ? statement->match.left : NULL;

	if (!left || left->kind != EXPR_FIELD || statement->match.op != MATCH_EQ ||
	    statement->match.right->kind != EXPR_NUMBER)
		return false;
	*ret = statement->match.right->number;
	return left->field.field == FIELD_META_L4PROTO || left->field.field == FIELD_IP_PROTOCOL ||
	       left->field.field == FIELD_IP6_NEXTHDR;
}

void match_begin_rule(struct match_scope *scope, const struct rule *rule)
{
	uint64_t protocol;

	scope->ports = PORTS_PERHAPS;
	for (size_t i = 0; i < rule->statement_count; i++) {
		if (!names_protocol(&rule->statements[i], &protocol))
			continue;
		scope->ports = PORTS_NEVER;
		for (size_t j = 0; j < PORT_PROTOCOLS; j++)
			if (port_protocols[j].first == protocol)
				scope->ports = PORTS_ALWAYS;
		return;
	}
}

static void needs(struct selector *selector, pset set)
{
	if (set != PSET_FULL)
		selector->exists[selector->exist_count++] = set;
}

static pset of_protocols(const struct match_scope *scope, const struct interval *protocols, size_t count)
{
	return match_values(scope, pset_bits_of(PSET_PROTOCOL), protocols, count);
}

/*
 * Of other protocols nftables takes what stands in place of the ports; ipsets do not, but sets that have protocols take
 * type and code of ICMP (ip_set_getport.c).
 */
static struct bounds ports_exist(const struct match_scope *scope)
{
	static const struct interval icmp[] = {{IPPROTO_ICMP, IPPROTO_ICMP}, {IPPROTO_ICMPV6, IPPROTO_ICMPV6}};
	pset with_ports = of_protocols(scope, port_protocols, PORT_PROTOCOLS);

	switch (scope->ports) {
	case PORTS_ALWAYS:
		return bounds_exactly(PSET_FULL);
	case PORTS_NEVER:
		return BOUNDS_UNKNOWN;
	case PORTS_OF_SET:
		return (struct bounds){pset_or(scope->space, with_ports, of_protocols(scope, icmp, 2)), with_ports};
	case PORTS_OF_BITMAP:
		return bounds_exactly(of_protocols(scope, port_protocols, 2));
	case PORTS_PERHAPS:
		break;
	}
	return (struct bounds){PSET_FULL, with_ports};
}

static void existence(const struct match_scope *scope, enum field field, const struct meaning *meaning,
		      struct selector *selector)
{
	struct space *space = scope->space;
	pset set, whole = pset_not(space, kind_set(scope, PSET_FRAGMENT, PSET_LATER_FRAGMENT));
	uint16_t first, last;
	bool reads_fragments = scope->table && stack_reads_fragments(scope->table, field);

	if (meaning->needs & NEED_IP4)
		needs(selector, kind_set(scope, PSET_FAMILY, PSET_IP4));
	else if (meaning->needs & NEED_IP6)
		needs(selector, kind_set(scope, PSET_FAMILY, PSET_IP6));
	else if (meaning->needs & NEED_IP || meaning->protocol)
		needs(selector, pset_not(space, kind_set(scope, PSET_FAMILY, PSET_OTHER_FAMILY)));
	if (meaning->protocol)
		needs(selector, one_value(scope, PSET_PROTOCOL, meaning->protocol));
	if (meaning->needs & NEED_HEADER && !reads_fragments)
		needs(selector, whole);
	if (meaning->needs & NEED_TRACKED) {
		set = pset_or(space, kind_set(scope, PSET_STATE, PSET_UNTRACKED),
			      kind_set(scope, PSET_STATE, PSET_INVALID));
		needs(selector, pset_not(space, set));
	}
	if (meaning->needs & NEED_MAC)
		needs(selector,
		      match_values(scope, (struct pset_bits){meaning->field, 0, 1}, &(struct interval){0, 0}, 1));
	selector->unsure = meaning->needs & NEED_PORTS ? ports_exist(scope) : bounds_exactly(PSET_FULL);
	if (meaning->needs & NEED_HEADER && reads_fragments) {
		selector->unsure = bounds_and(space, selector->unsure, (struct bounds){PSET_FULL, whole});
		if (stack_read_in_fragments6(field, &first, &last))
			selector->read6 = (struct interval){first, last};
	}
}

struct bounds selector_exists(const struct match_scope *scope, const struct selector *selector)
{
	struct bounds all = selector->unsure;

	for (size_t i = 0; i < selector->exist_count; i++)
		all = bounds_and(scope->space, all, bounds_exactly(selector->exists[i]));
	return all;
}

struct bounds selector_within(const struct match_scope *scope, const struct selector *selector, struct bounds bounds)
{
	struct space *space = scope->space;
	struct bounds within = bounds_within(space, bounds, selector->unsure);
	pset later, found;

	if (!selector->read6.last)
		return within;
	later = pset_and(space, kind_set(scope, PSET_FAMILY, PSET_IP6),
			 kind_set(scope, PSET_FRAGMENT, PSET_LATER_FRAGMENT));
	found = pset_interval(space, selector->bits.field, selector->read6.first, selector->read6.last);
	found = pset_forget(space, pset_and(space, bounds.may, found), PSET_BIT(selector->bits.field));
	within.may = pset_minus(space, within.may, pset_minus(space, later, found));
	return within;
}

static struct selector of_field(const struct match_scope *scope, const struct expr *expr, enum field field)
{
	struct meaning meaning = meaning_of(scope, field);
	struct selector selector = {.coding = meaning.coding,
				    .bits = {meaning.field, meaning.start, meaning.count},
				    .kinds = meaning.kinds,
				    .kind_count = meaning.kind_count};

	if (meaning.needs & NEED_ORIGINAL && expr->field.direction != DIRECTION_ORIGINAL)
		selector.coding = CODING_NONE;
	if (selector.coding == CODING_NONE)
		return selector;
	if (!meaning.count)
		selector.bits.count = pset_field_bits(meaning.field) - meaning.start;
	if (meaning.coding == CODING_ADDRESS && meaning.needs & NEED_IP4)
		selector.bits.count = 32;
	selector.mask = ~(wide)0 >> (128 - selector.bits.count);
	if (meaning.coding == CODING_KIND)
		selector.mask = ~(wide)0;
	existence(scope, field, &meaning, &selector);
	return selector;
}

static bool constant_of(const struct expr *expr, wide *ret)
{
	struct stack_part part = stack_part(expr);

	*ret = part.low;
	return part.kind == PART_RANGE && part.low == part.high;
}

/* mask, flip and shift after one more operation */
static void apply(struct selector *selector, enum binary_op op, wide constant)
{
	wide shifted = selector->shift >= 0 ? constant << selector->shift : constant >> -selector->shift;

	switch (op) {
	case BINARY_AND:
		selector->mask &= shifted;
		selector->flip &= shifted;
		break;
	case BINARY_OR:
		selector->mask &= ~shifted;
		selector->flip |= shifted;
		break;
	case BINARY_XOR:
		selector->flip ^= shifted;
		break;
	case BINARY_RSHIFT:
		selector->shift += (int)constant;
		break;
	case BINARY_LSHIFT:
		selector->shift -= (int)constant;
		break;
	case BINARY_NONE:
		selector->coding = CODING_NONE;
		break;
	}
	if (selector->shift < -32 || selector->shift > 127)
		selector->coding = CODING_NONE;
}

struct selector selector_of(const struct match_scope *scope, const struct expr *expr)
{
	struct selector selector = {};
	wide constant;

	if (expr->kind == EXPR_FIELD) {
		selector = of_field(scope, expr, expr->field.field);
		if (expr->field.field == FIELD_XT_PORT) {
			selector.other = arena_new_struct(scope->arena, struct selector);
			*selector.other = of_field(scope, expr, FIELD_TH_DPORT);
		}
	} else if (expr->kind == EXPR_BINARY && constant_of(expr->pair.right, &constant)) {
		selector = selector_of(scope, expr->pair.left);
		if (selector.coding == CODING_NUMBER || selector.coding == CODING_ADDRESS ||
		    selector.coding == CODING_KIND)
			apply(&selector, expr->pair.op, constant);
		else
			selector.coding = CODING_NONE;
	}
	return selector;
}
