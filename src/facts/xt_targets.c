/*
 * The targets of iptables, ip6tables and ebtables. Those that decide or change a packet become the statements that
 * nftables has for it; what only reports or marks for others is an effect, what takes the packet elsewhere a diversion.
 */
#include "facts/xt.h"

#include <string.h>

static const struct xt_given *find_given(const struct xt_given *given, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (span_is(given[i].name, name) && given[i].count > 0)
			return &given[i];
	return NULL;
}

static bool has_flag(const struct xt_given *given, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (span_is(given[i].name, name))
			return true;
	return false;
}

static struct span value_of(struct xt_build *build, const struct xt_given *given, size_t count, const char *name)
{
	const struct xt_given *found = find_given(given, count, name);

	return found ? build->words[found->first] : (struct span){"", 0};
}

static void add_action(struct xt_build *build, enum statement_kind kind, const struct xt_extension *extension,
		       const struct xt_given *given, size_t count)
{
	struct statement *statement = rule_add(build->arena, build->rule, kind);

	statement->action.name = extension->name;
	statement->action.arguments = xt_arguments(build, given, count, &statement->action.argument_count);
}

static void target_effect(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
			  size_t count)
{
	add_action(build, STATEMENT_EFFECT, extension, given, count);
}

static void target_divert(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
			  size_t count)
{
	add_action(build, STATEMENT_DIVERT, extension, given, count);
}

static void target_accept(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
			  size_t count)
{
	rule_verdict(build->arena, build->rule, VERDICT_ACCEPT, NULL);
}

static void target_drop(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
			size_t count)
{
	rule_verdict(build->arena, build->rule, VERDICT_DROP, NULL);
}

static void target_return(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
			  size_t count)
{
	rule_verdict(build->arena, build->rule, VERDICT_RETURN, NULL);
}

static void target_continue(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
			    size_t count)
{
	rule_verdict(build->arena, build->rule, VERDICT_CONTINUE, NULL);
}

/* "3:4" is 3-4; what is left out is the first or the last there is. */
static void target_queue(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
			 size_t count)
{
	struct span number = value_of(build, given, count, "queue-num"),
		    last = value_of(build, given, count, "queue-balance");
	struct statement *statement = rule_add(build->arena, build->rule, STATEMENT_VERDICT);

	statement->verdict.kind = VERDICT_QUEUE;
	statement->verdict.queue = number.length ? arena_strndup(build->arena, number.at, number.length) : "0";
	statement->verdict.bypass = has_flag(given, count, "queue-bypass");
	if (last.length) {
		struct span first = span_cut(&last, ':');

		statement->verdict.queue = arena_printf(
			build->arena, "%.*s-%.*s", first.length ? (int)first.length : 1, first.length ? first.at : "0",
			last.length ? (int)last.length : 5, last.length ? last.at : "65534");
	}
}

/* Words of iptables' REJECT, as iptables-extensions(8) and the listing say them. */
static const struct {
	const char *word;
	enum reject_kind kind;
	uint8_t code;
} rejects[] = {
	{"icmp-net-unreachable", REJECT_ICMP, 0},
	{"net-unreach", REJECT_ICMP, 0},
	{"icmp-host-unreachable", REJECT_ICMP, 1},
	{"host-unreach", REJECT_ICMP, 1},
	{"icmp-proto-unreachable", REJECT_ICMP, 2},
	{"proto-unreach", REJECT_ICMP, 2},
	{"icmp-port-unreachable", REJECT_ICMP, 3},
	{"port-unreach", REJECT_ICMP, 3},
	{"icmp-net-prohibited", REJECT_ICMP, 9},
	{"net-prohib", REJECT_ICMP, 9},
	{"icmp-host-prohibited", REJECT_ICMP, 10},
	{"host-prohib", REJECT_ICMP, 10},
	{"icmp-admin-prohibited", REJECT_ICMP, 13},
	{"admin-prohib", REJECT_ICMP, 13},
	{"icmp6-no-route", REJECT_ICMPV6, 0},
	{"no-route", REJECT_ICMPV6, 0},
	{"icmp6-adm-prohibited", REJECT_ICMPV6, 1},
	{"adm-prohibited", REJECT_ICMPV6, 1},
	{"icmp6-addr-unreachable", REJECT_ICMPV6, 3},
	{"addr-unreach", REJECT_ICMPV6, 3},
	{"icmp6-port-unreachable", REJECT_ICMPV6, 4},
	{"icmp6-policy-fail", REJECT_ICMPV6, 5},
	{"policy-fail", REJECT_ICMPV6, 5},
	{"icmp6-reject-route", REJECT_ICMPV6, 6},
	{"reject-route", REJECT_ICMPV6, 6},
	{"tcp-reset", REJECT_TCP_RESET, 0},
	{"tcp-rst", REJECT_TCP_RESET, 0},
};

static bool find_reject(struct span word, enum family family, enum reject_kind *ret_kind, uint64_t *ret_code)
{
	if (family == FAMILY_IP6 && span_is(word, "port-unreach")) {
		*ret_kind = REJECT_ICMPV6;
		*ret_code = 4;
		return true;
	}
	for (size_t i = 0; i < sizeof(rejects) / sizeof(*rejects); i++) {
		if (span_is(word, rejects[i].word)) {
			*ret_kind = rejects[i].kind;
			*ret_code = rejects[i].code;
			return true;
		}
	}
	return false;
}

static void target_reject(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
			  size_t count)
{
	struct span with = value_of(build, given, count, "reject-with");
	enum reject_kind kind = build->family == FAMILY_IP6 ? REJECT_ICMPV6 : REJECT_ICMP;
	uint64_t code = kind == REJECT_ICMP ? 3 : 4;
	struct statement *statement;

	if (with.length && !find_reject(with, build->family, &kind, &code))
		rule_gap(build->reader->pool, build->rule, "reject-with %.*s", (int)with.length, with.at);
	statement = rule_add(build->arena, build->rule, STATEMENT_REJECT);
	statement->reject.with = kind;
	if (kind != REJECT_TCP_RESET)
		statement->reject.code = number_of(code);
}

/* "1.2.3.4", "1.2.3.4-1.2.3.9:80-90/85", "[2001:db8::1]:80", ":80" */
static void read_nat(struct xt_build *build, struct span text, struct nat *nat)
{
	struct span address = text, port = {"", 0};
	size_t at;

	if (span_starts(text, "[") && (at = span_find_char(text, ']')) != SIZE_MAX) {
		address = span_skip(span_first(text, at), 1);
		port = span_skip(text, at + 1);
	} else if (build->family != FAMILY_IP6 && (at = span_find_char(text, ':')) != SIZE_MAX) {
		address = span_first(text, at);
		port = span_skip(text, at);
	}
	if (address.length > 0)
		nat->address = xt_address_or_range(build, address);
	if (port.length > 1) {
		struct span base = span_skip(port, 1), range = span_cut(&base, '/');

		nat->port = xt_port(build, range, '-');
		if (base.length > 0) {
			struct expr *shift = xt_port(build, base, '-');

			if (shift->kind == EXPR_NUMBER)
				nat->base = number_of(shift->number);
		}
	}
}

static void add_nat(struct xt_build *build, const struct xt_given *given, size_t count, const struct nat *nat)
{
	struct statement *statement = rule_add(build->arena, build->rule, STATEMENT_NAT);

	statement->nat = *nat;
	statement->nat.random = has_flag(given, count, "random");
	statement->nat.fully_random = has_flag(given, count, "random-fully");
	statement->nat.persistent = has_flag(given, count, "persistent");
}

static void target_nat(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
		       size_t count)
{
	bool source = strcmp(extension->name, "SNAT") == 0;
	struct nat nat = {.kind = source ? NAT_SOURCE : NAT_DESTINATION};
	unsigned targets = 0;

	for (size_t i = 0; i < count; i++) {
		if (!given[i].count || !(span_is(given[i].name, "to-source") ||
					 span_is(given[i].name, "to-destination") || span_is(given[i].name, "to")))
			continue;
		if (targets++ == 0)
			read_nat(build, build->words[given[i].first], &nat);
	}
	if (targets > 1) /* old kernels took several ranges */
		rule_gap(build->reader->pool, build->rule, "%s to several ranges", extension->name);
	add_nat(build, given, count, &nat);
}

static void target_masquerade(struct xt_build *build, const struct xt_extension *extension,
			      const struct xt_given *given, size_t count)
{
	struct nat nat = {.kind = strcmp(extension->name, "REDIRECT") == 0 ? NAT_REDIRECT : NAT_MASQUERADE};
	struct span ports = value_of(build, given, count, "to-ports");

	if (ports.length)
		nat.port = xt_port(build, ports, '-');
	add_nat(build, given, count, &nat);
}

static void target_netmap(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
			  size_t count)
{
	struct nat nat = {.kind = NAT_BY_HOOK, .netmap = true};
	struct span to = value_of(build, given, count, "to");
	struct prefix prefix;

	nat.address = span_prefix(to, &prefix) ? expr_prefix(build->arena, &prefix) : xt_unknown_value(build, to);
	add_nat(build, given, count, &nat);
}

static struct expr *mark_value(struct xt_build *build, uint64_t value)
{
	return expr_number(build->arena, TYPE_MARK, value & UINT32_MAX);
}

/* field = (field & ~mask) ^ value */
static void assign_masked(struct xt_build *build, enum field field, struct expr *value, uint64_t mask, uint64_t all)
{
	struct statement *statement = rule_add(build->arena, build->rule, STATEMENT_ASSIGN);
	struct expr *kept;

	statement->assign.field = expr_field(build->arena, field);
	if ((mask & all) == all) {
		statement->assign.value = value;
		return;
	}
	kept = expr_binary(build->arena, BINARY_AND, expr_field(build->arena, field),
			   expr_number(build->arena, value->type, ~mask & all));
	statement->assign.value = expr_binary(build->arena, BINARY_XOR, kept, value);
}

/* "0x1/0xff": false where it is no number. */
static bool read_masked(struct span text, uint64_t *value, uint64_t *mask)
{
	struct span rest = text, first = span_cut(&rest, '/');

	return span_number(first, value) && (first.length == text.length || span_number(rest, mask));
}

static const char *const mark_names[] = {"set-xmark", "set-mark", "and-mark", "or-mark", "xor-mark"};

void xt_unknown_target(struct xt_build *build, const char *name)
{
	struct statement *statement = rule_add(build->arena, build->rule, STATEMENT_UNKNOWN);

	statement->text = name;
	rule_gap(build->reader->pool, build->rule, "target %s", name);
	build->rule->understood = UNDERSTOOD_NOT;
}

static bool assign_mark(struct xt_build *build, enum field field, const struct xt_given *given, size_t count)
{
	for (size_t i = 0; i < sizeof(mark_names) / sizeof(*mark_names); i++) {
		struct span text = value_of(build, given, count, mark_names[i]);
		uint64_t value, mask = UINT32_MAX;

		if (!text.length)
			continue;
		if (!read_masked(text, &value, &mask))
			return false;
		if (i == 1)
			mask |= value; /* (field & ~mask) | value */
		else if (i == 2)
			mask = ~value & UINT32_MAX, value = 0;
		else if (i == 3)
			mask = value;
		else if (i == 4)
			mask = 0;
		assign_masked(build, field, mark_value(build, value), mask, UINT32_MAX);
		return true;
	}
	return false;
}

static void target_mark(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
			size_t count)
{
	if (!assign_mark(build, FIELD_META_MARK, given, count))
		xt_unknown_target(build, extension->name);
}

/* "0xff"; a listing prints "ctmask ~0xff" for the same. */
static void read_mask(struct span text, uint64_t *mask)
{
	uint64_t value;

	if (span_number(span_skip(text, span_starts(text, "~")), &value))
		*mask = value;
}

static void target_connmark(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
			    size_t count)
{
	bool save = has_flag(given, count, "save-mark");
	uint64_t nfmask = UINT32_MAX, ctmask = UINT32_MAX;
	struct expr *from;

	if (assign_mark(build, FIELD_CT_MARK, given, count))
		return;
	if (!save && !has_flag(given, count, "restore-mark")) {
		xt_unknown_target(build, extension->name);
		return;
	}
	read_mask(value_of(build, given, count, "nfmask"), &nfmask);
	read_mask(value_of(build, given, count, "ctmask"), &ctmask);
	if (span_number(value_of(build, given, count, "mask"), &nfmask))
		ctmask = nfmask;
	from = expr_field(build->arena, save ? FIELD_META_MARK : FIELD_CT_MARK);
	if ((save ? nfmask : ctmask) != UINT32_MAX)
		from = expr_binary(build->arena, BINARY_AND, from, mark_value(build, save ? nfmask : ctmask));
	assign_masked(build, save ? FIELD_CT_MARK : FIELD_META_MARK, from, save ? ctmask : nfmask, UINT32_MAX);
}

static void target_tos(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
		       size_t count)
{
	static const char *const names[] = {"set-tos", "and-tos", "or-tos", "xor-tos"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct span text = value_of(build, given, count, names[i]);
		uint64_t value, mask = 0xff;

		if (!text.length)
			continue;
		if (symbol_find(TYPE_TOS, text.at, text.length, &value))
			mask = 0x3f;
		else if (!read_masked(text, &value, &mask))
			break;
		if (i == 1)
			mask = ~value & 0xff, value = 0;
		else if (i == 2)
			mask = value;
		else if (i == 3)
			mask = 0;
		assign_masked(build, FIELD_XT_TOS, expr_number(build->arena, TYPE_TOS, value & 0xff), mask, 0xff);
		return;
	}
	xt_unknown_target(build, extension->name);
}

static void target_dscp(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
			size_t count)
{
	struct span text = value_of(build, given, count, "set-dscp");
	uint64_t value;

	if (!text.length)
		text = value_of(build, given, count, "set-dscp-class");
	if (span_number(text, &value) || symbol_find(TYPE_DSCP, text.at, text.length, &value))
		assign_masked(build, xt_field(build->family, FIELD_IP_DSCP),
			      expr_number(build->arena, TYPE_DSCP, value), 0x3f, 0x3f);
	else
		xt_unknown_target(build, extension->name);
}

static void target_ttl(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
		       size_t count)
{
	struct span text = value_of(build, given, count, "ttl-set");
	uint64_t value;

	if (!text.length)
		text = value_of(build, given, count, "hl-set");
	if (span_number(text, &value))
		assign_masked(build, xt_field(build->family, FIELD_IP_TTL),
			      expr_number(build->arena, TYPE_INTEGER, value), 0xff, 0xff);
	else
		target_effect(build, extension, given, count); /* one more or less */
}

static void target_ct(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
		      size_t count)
{
	struct span zone = value_of(build, given, count, "zone");
	uint64_t value;

	if (has_flag(given, count, "notrack")) {
		rule_add(build->arena, build->rule, STATEMENT_NOTRACK);
		return;
	}
	if (span_number(zone, &value))
		assign_masked(build, FIELD_CT_ZONE, expr_number(build->arena, TYPE_INTEGER, value), UINT16_MAX,
			      UINT16_MAX);
	else
		target_effect(build, extension, given, count);
}

static void target_notrack(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
			   size_t count)
{
	rule_add(build->arena, build->rule, STATEMENT_NOTRACK);
}

static void target_hmark(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
			 size_t count)
{
	struct statement *statement = rule_add(build->arena, build->rule, STATEMENT_ASSIGN);

	statement->assign.field = expr_field(build->arena, FIELD_META_MARK);
	statement->assign.value = expr_text(build->arena, EXPR_GENERATED, TYPE_MARK, "HMARK");
}

/* --add-set NAME src --exist: packets fill the set. What is in it may change any time. */
static void target_set(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
		       size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bool add = span_is(given[i].name, "add-set"), map = span_is(given[i].name, "map-set");
		struct statement *statement;

		if (given[i].count == 0 || !(add || map || span_is(given[i].name, "del-set")))
			continue;
		if (map) {
			xt_unknown_target(build, extension->name);
			continue;
		}
		statement = rule_add(build->arena, build->rule, STATEMENT_SET_UPDATE);
		statement->update.op = add ? SET_UPDATE_ADD : SET_UPDATE_DELETE;
		statement->update.set = reader_intern(build->reader, build->words[given[i].first]);
		statement->update.ipset = true;
	}
}

/* ebtables' targets change the frame, and then do what --…-target says. */
static void eb_verdict(struct xt_build *build, struct span word, enum verdict_kind fallback)
{
	static const struct {
		const char *word;
		enum verdict_kind kind;
	} words[] = {{"ACCEPT", VERDICT_ACCEPT},
		     {"DROP", VERDICT_DROP},
		     {"CONTINUE", VERDICT_CONTINUE},
		     {"RETURN", VERDICT_RETURN}};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (span_is(word, words[i].word))
			fallback = words[i].kind;
	rule_verdict(build->arena, build->rule, fallback, NULL);
}

static void eb_mark(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
		    size_t count)
{
	static const char *const names[] = {"mark-set", "mark-or", "mark-and", "mark-xor"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		uint64_t value, mask = UINT32_MAX;

		if (!span_number(value_of(build, given, count, names[i]), &value))
			continue;
		if (i == 1)
			mask = value;
		else if (i == 2)
			mask = ~value & UINT32_MAX, value = 0;
		else if (i == 3)
			mask = 0;
		assign_masked(build, FIELD_META_MARK, mark_value(build, value), mask, UINT32_MAX);
	}
	eb_verdict(build, value_of(build, given, count, "mark-target"), VERDICT_ACCEPT);
}

static void eb_nat(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
		   size_t count)
{
	bool source = strcmp(extension->name, "snat") == 0;
	static const char *const names[] = {"to-src", "to-source", "to-dst", "to-destination"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct span text = value_of(build, given, count, names[i]);
		struct mac mac = span_mac(text);
		struct statement *statement;

		if (!text.length)
			continue;
		statement = rule_add(build->arena, build->rule, STATEMENT_ASSIGN);
		statement->assign.field = expr_field(build->arena, source ? FIELD_ETHER_SADDR : FIELD_ETHER_DADDR);
		statement->assign.value = mac.known ? expr_mac(build->arena, &mac) : xt_unknown_value(build, text);
	}
	eb_verdict(build, value_of(build, given, count, source ? "snat-target" : "dnat-target"), VERDICT_ACCEPT);
}

static void eb_redirect(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
			size_t count)
{
	add_action(build, STATEMENT_DIVERT, extension, NULL, 0);
	eb_verdict(build, value_of(build, given, count, "redirect-target"), VERDICT_ACCEPT);
}

static void eb_arpreply(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
			size_t count)
{
	add_action(build, STATEMENT_EFFECT, extension, given, count);
	eb_verdict(build, value_of(build, given, count, "arpreply-target"), VERDICT_DROP);
}

#define VALUE(name)                                                                                                    \
	{                                                                                                              \
		name, 1, 0, XT_KEEP                                                                                    \
	}
#define FLAG(name)                                                                                                     \
	{                                                                                                              \
		name, 0, 0, XT_KEEP                                                                                    \
	}

static const struct xt_option audit[] = {VALUE("type"), {}};
static const struct xt_option checksum[] = {FLAG("checksum-fill"), {}};
static const struct xt_option classify[] = {VALUE("set-class"), {}};
static const struct xt_option clusterip[] = {FLAG("new"),
					     VALUE("hashmode"),
					     VALUE("clustermac"),
					     VALUE("total-nodes"),
					     VALUE("local-node"),
					     VALUE("hash-init"),
					     {}};
static const struct xt_option connmark[] = {VALUE("set-xmark"),
					    VALUE("set-mark"),
					    VALUE("and-mark"),
					    VALUE("or-mark"),
					    VALUE("xor-mark"),
					    FLAG("save-mark"),
					    FLAG("restore-mark"),
					    VALUE("nfmask"),
					    VALUE("ctmask"),
					    VALUE("mask"),
					    VALUE("left-shift-mark"),
					    VALUE("right-shift-mark"),
					    {}};
static const struct xt_option connsecmark[] = {FLAG("save"), FLAG("restore"), {}};
static const struct xt_option ct[] = {FLAG("notrack"),	   VALUE("helper"),  VALUE("ctevents"),
				      VALUE("expevents"),  VALUE("zone"),    VALUE("zone-orig"),
				      VALUE("zone-reply"), VALUE("timeout"), {}};
static const struct xt_option dnat[] = {VALUE("to-destination"), VALUE("to"), FLAG("random"), FLAG("persistent"), {}};
static const struct xt_option dnpt[] = {VALUE("src-pfx"), VALUE("dst-pfx"), {}};
static const struct xt_option dscp[] = {VALUE("set-dscp"), VALUE("set-dscp-class"), {}};
static const struct xt_option ecn[] = {
	FLAG("ecn-tcp-remove"), VALUE("ecn-tcp-cwr"), VALUE("ecn-tcp-ece"), VALUE("ecn-ip-ect"), {}};
static const struct xt_option hl[] = {VALUE("hl-set"), VALUE("hl-inc"), VALUE("hl-dec"), {}};
static const struct xt_option hmark[] = {VALUE("hmark-src-prefix"), VALUE("hmark-dst-prefix"),
					 VALUE("hmark-sport-mask"), VALUE("hmark-dport-mask"),
					 VALUE("hmark-spi-mask"),   VALUE("hmark-proto-mask"),
					 VALUE("hmark-sport"),	    VALUE("hmark-dport"),
					 VALUE("hmark-spi"),	    VALUE("hmark-rnd"),
					 VALUE("hmark-mod"),	    VALUE("hmark-offset"),
					 VALUE("hmark-tuple"),	    {}};
static const struct xt_option idletimer[] = {VALUE("timeout"), VALUE("label"), FLAG("alarm"), {}};
static const struct xt_option led[] = {VALUE("led-trigger-id"), VALUE("led-delay"), FLAG("led-always-blink"), {}};
static const struct xt_option log_[] = {
	VALUE("log-level"),	VALUE("log-prefix"), FLAG("log-tcp-sequence"), FLAG("log-tcp-options"),
	FLAG("log-ip-options"), FLAG("log-uid"),     FLAG("log-macdecode"),    {}};
static const struct xt_option mark[] = {VALUE("set-xmark"), VALUE("set-mark"), VALUE("and-mark"),
					VALUE("or-mark"),   VALUE("xor-mark"), {}};
static const struct xt_option masquerade[] = {VALUE("to-ports"), FLAG("random"), FLAG("random-fully"), {}};
static const struct xt_option netmap[] = {VALUE("to"), {}};
static const struct xt_option nflog[] = {VALUE("nflog-group"), VALUE("nflog-prefix"),	 VALUE("nflog-range"),
					 VALUE("nflog-size"),  VALUE("nflog-threshold"), {}};
static const struct xt_option nfqueue[] = {
	VALUE("queue-num"), VALUE("queue-balance"), FLAG("queue-bypass"), FLAG("queue-cpu-fanout"), {}};
static const struct xt_option rateest[] = {
	VALUE("rateest-name"), VALUE("rateest-interval"), VALUE("rateest-ewmalog"), {}};
static const struct xt_option reject[] = {VALUE("reject-with"), {}};
static const struct xt_option secmark[] = {VALUE("selctx"), {}};
static const struct xt_option set[] = {{"add-set", 2, 0, XT_KEEP},
				       {"del-set", 2, 0, XT_KEEP},
				       {"map-set", 2, 0, XT_KEEP},
				       VALUE("timeout"),
				       FLAG("exist"),
				       FLAG("map-mark"),
				       FLAG("map-prio"),
				       FLAG("map-queue"),
				       {}};
static const struct xt_option snat[] = {VALUE("to-source"),   VALUE("to"),	  FLAG("random"),
					FLAG("random-fully"), FLAG("persistent"), {}};
static const struct xt_option synproxy[] = {FLAG("sack-perm"), FLAG("timestamp"), VALUE("wscale"),
					    VALUE("mss"),      FLAG("ecn"),	  {}};
static const struct xt_option tcpmss[] = {VALUE("set-mss"), FLAG("clamp-mss-to-pmtu"), {}};
static const struct xt_option tcpoptstrip[] = {VALUE("strip-options"), {}};
static const struct xt_option tee[] = {VALUE("gateway"), VALUE("oif"), {}};
static const struct xt_option tos[] = {VALUE("set-tos"), VALUE("and-tos"), VALUE("or-tos"), VALUE("xor-tos"), {}};
static const struct xt_option tproxy[] = {VALUE("on-port"), VALUE("on-ip"), VALUE("tproxy-mark"), {}};
static const struct xt_option ttl[] = {VALUE("ttl-set"), VALUE("ttl-inc"), VALUE("ttl-dec"), {}};
static const struct xt_option ulog[] = {
	VALUE("ulog-nlgroup"), VALUE("ulog-prefix"), VALUE("ulog-cprange"), VALUE("ulog-qthreshold"), {}};

static const struct xt_extension targets[] = {
	{"ACCEPT", .convert = target_accept},
	{"DROP", .convert = target_drop},
	{"RETURN", .convert = target_return},
	{"QUEUE", .convert = target_queue},
	{"REJECT", .options = reject, .convert = target_reject},
	{"LOG", .options = log_, .convert = target_effect},
	{"MASQUERADE", .options = masquerade, .convert = target_masquerade},
	{"DNAT", .options = dnat, .convert = target_nat},
	{"SNAT", .options = snat, .convert = target_nat},
	{"REDIRECT", .options = masquerade, .convert = target_masquerade},
	{"NOTRACK", .convert = target_notrack},
	{"MARK", .options = mark, .convert = target_mark},
	{"CONNMARK", .options = connmark, .convert = target_connmark},
	{"NETMAP", .options = netmap, .convert = target_netmap},
	{"CT", .options = ct, .convert = target_ct},
	{"NFQUEUE", .options = nfqueue, .convert = target_queue},
	{"NFLOG", .options = nflog, .convert = target_effect},
	{"ULOG", .options = ulog, .convert = target_effect},
	{"TCPMSS", .options = tcpmss, .convert = target_effect},
	{"CHECKSUM", .options = checksum, .convert = target_effect},
	{"TPROXY", .options = tproxy, .convert = target_divert},
	{"TEE", .options = tee, .convert = target_divert},
	{"SYNPROXY", .options = synproxy, .convert = target_divert},
	{"SET", .options = set, .convert = target_set},
	{"AUDIT", .options = audit, .convert = target_effect},
	{"CLASSIFY", .options = classify, .convert = target_effect},
	{"CLUSTERIP", .options = clusterip, .convert = target_divert},
	{"CONNSECMARK", .options = connsecmark, .convert = target_effect},
	{"DNPT", .options = dnpt, .convert = target_divert},
	{"SNPT", .options = dnpt, .convert = target_divert},
	{"DSCP", .options = dscp, .convert = target_dscp},
	{"ECN", .options = ecn, .convert = target_effect},
	{"HL", .options = hl, .convert = target_ttl},
	{"HMARK", .options = hmark, .convert = target_hmark},
	{"IDLETIMER", .options = idletimer, .convert = target_effect},
	{"LED", .options = led, .convert = target_effect},
	{"RATEEST", .options = rateest, .convert = target_effect},
	{"SECMARK", .options = secmark, .convert = target_effect},
	{"TCPOPTSTRIP", .options = tcpoptstrip, .convert = target_effect},
	{"TOS", .options = tos, .convert = target_tos},
	{"TRACE", .convert = target_effect},
	{"TTL", .options = ttl, .convert = target_ttl},
};

static const struct xt_option eb_arpreply_options[] = {VALUE("arpreply-mac"), VALUE("arpreply-target"), {}};
static const struct xt_option eb_dnat_options[] = {VALUE("to-dst"), VALUE("to-destination"), VALUE("dnat-target"), {}};
static const struct xt_option eb_mark_options[] = {VALUE("mark-set"), VALUE("mark-or"),	    VALUE("mark-and"),
						   VALUE("mark-xor"), VALUE("mark-target"), {}};
static const struct xt_option eb_redirect_options[] = {VALUE("redirect-target"), {}};
static const struct xt_option eb_snat_options[] = {
	VALUE("to-src"), VALUE("to-source"), VALUE("snat-target"), FLAG("snat-arp"), {}};

static const struct xt_extension bridge_targets[] = {
	{"ACCEPT", .convert = target_accept},
	{"DROP", .convert = target_drop},
	{"RETURN", .convert = target_return},
	{"CONTINUE", .convert = target_continue},
	{"arpreply", .options = eb_arpreply_options, .convert = eb_arpreply},
	{"dnat", .options = eb_dnat_options, .convert = eb_nat},
	{"mark", .options = eb_mark_options, .convert = eb_mark},
	{"redirect", .options = eb_redirect_options, .convert = eb_redirect},
	{"snat", .options = eb_snat_options, .convert = eb_nat},
};

const struct xt_extension *xt_find_target(enum family family, struct span name)
{
	bool bridge = family == FAMILY_BRIDGE;
	const struct xt_extension *table = bridge ? bridge_targets : targets;
	size_t count = bridge ? sizeof(bridge_targets) / sizeof(*bridge_targets) : sizeof(targets) / sizeof(*targets);

	for (size_t i = 0; i < count; i++)
		if (table[i].name[0] == name.at[0] && span_is(name, table[i].name))
			return &table[i];
	return NULL;
}
