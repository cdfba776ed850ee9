/*
 * facts/: rules of iptables, ip6tables, ebtables and nftables. Golden files for what is read from each form; and the
 * same rules in different forms (save, listing, -S; text, handles, JSON) must be read the same.
 */
#include "facts_check.h"

#include <glob.h>

static void add_chain_heading(struct strbuf *out, const struct table *table, const struct chain *chain)
{
	strbuf_printf(out, "%s %s %s", family_name(table->family), table->name, chain->name);
	if (chain->hook)
		strbuf_printf(out, ": hook %s priority %d policy %s", hook_name(chain->hook), chain->priority,
			      chain->policy ? verdict_name(chain->policy) : "unknown");
	for (size_t i = 0; i < chain->device_count; i++)
		strbuf_printf(out, " device %s", chain->devices[i]);
	strbuf_add(out, chain->whole == TRUTH_YES  ? "\n"
			: chain->whole == TRUTH_NO ? " (a part)\n"
						   : " (what else is in it is unknown)\n");
}

static void add_rule(struct strbuf *out, const struct rule *rule)
{
	static const char *const levels[] = {"", " PARTLY", " NOT"};

	strbuf_printf(out, "  %u%s: ", rule->index, levels[rule->understood]);
	print_rule(out, rule);
	for (size_t i = 0; i < rule->gap_count; i++)
		strbuf_printf(out, "%s%s", i ? ", " : "   !! ", rule->gaps[i]);
	if (rule->comment)
		strbuf_printf(out, "   # %s", rule->comment);
	strbuf_add_char(out, '\n');
}

static void add_set(struct strbuf *out, const struct set *set)
{
	static const char *const kinds[] = {"set", "map", "verdict map", "ipset"};

	strbuf_printf(out, "%s %s: %s%s%s%s\n", kinds[set->kind], set->name, set->type ? set->type : "?",
		      set->interval ? " interval" : "", set->dynamic ? " dynamic" : "",
		      set->auto_merge ? " auto-merge" : "");
	for (size_t i = 0; i < set->element_count; i++) {
		strbuf_add(out, "  ");
		print_expr(out, set->elements[i].key);
		if (set->elements[i].data) {
			strbuf_add(out, " : ");
			print_expr(out, set->elements[i].data);
		}
		strbuf_add_char(out, '\n');
	}
}

/* The whole ruleset as text. */
static char *ruleset_text(const struct facts *facts)
{
	struct strbuf out = {};

	strbuf_add(&out, "");
	for (size_t i = 0; i < facts->ruleset.table_count; i++) {
		const struct table *table = &facts->ruleset.tables[i];

		for (size_t j = 0; j < table->set_count; j++)
			add_set(&out, &table->sets[j]);
		for (size_t j = 0; j < table->object_count; j++)
			strbuf_printf(&out, "%s %s\n", table->objects[j].kind, table->objects[j].name);
		for (size_t j = 0; j < table->chain_count; j++) {
			add_chain_heading(&out, table, &table->chains[j]);
			for (size_t k = 0; k < table->chains[j].rule_count; k++)
				add_rule(&out, &table->chains[j].rules[k]);
		}
	}
	for (size_t i = 0; i < facts->note_count; i++)
		strbuf_printf(&out, "note: %s\n", facts->notes[i].text);
	return strbuf_steal(&out);
}

static bool is_expected(const char *path)
{
	size_t length = strlen(path);

	return length > 9 && strcmp(path + length - 9, ".expected") == 0;
}

static void test_golden(void **state)
{
	cleanup_free char *pattern = source_path("tests/golden/facts/rules/*");
	glob_t found;

	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *path = found.gl_pathv[i];
		cleanup_free char *expected = NULL, *text = NULL;
		cleanup_bundle struct bundle *bundle = NULL;

		if (is_expected(path))
			continue;
		bundle = load(path);
		text = ruleset_text(bundle->hosts[0]);
		assert_true(asprintf(&expected, "%s.expected", path) > 0);
		check_golden(expected, text);
	}
	globfree(&found);
}

static struct bundle *load_rules(const char *name)
{
	cleanup_free char *below = NULL, *path = NULL;

	assert_true(asprintf(&below, "tests/golden/facts/rules/%s", name) > 0);
	path = source_path(below);
	return load(path);
}

/* A rule's statements without what a listing cannot show: arguments of conditions, effects, diversions. */
static char *plain_text(const struct rule *rule)
{
	struct strbuf out = {};

	strbuf_add(&out, "");
	for (size_t i = 0; i < rule->statement_count; i++) {
		const struct statement *statement = &rule->statements[i];

		if (statement->kind == STATEMENT_EFFECT)
			continue;
		if (statement->kind == STATEMENT_CONDITION)
			strbuf_printf(&out, " <%s %d>", statement->condition.name, statement->condition.reason);
		else if (statement->kind == STATEMENT_DIVERT)
			strbuf_printf(&out, " <%s>", statement->action.name);
		else {
			strbuf_add_char(&out, ' ');
			print_statement(&out, statement);
		}
	}
	return strbuf_steal(&out);
}

struct comparison {
	const struct ruleset *other;
	bool listing;
	size_t compared;
};

/* A listing does not show these at all. */
static bool is_hidden(const char *text)
{
	return strstr(text, "-m eui64") || (strstr(text, "-m dccp") && strstr(text, " 0:65535")) ||
	       (strstr(text, "-m dccp") && strstr(text, "--dccp-types"));
}

static void compare_rule(const struct table *table, const struct chain *chain, const struct rule *rule, void *context)
{
	struct comparison *comparison = context;
	const struct table *other_table = NULL;
	const struct chain *other_chain;
	cleanup_free char *left = NULL, *right = NULL;

	for (size_t i = 0; i < comparison->other->table_count; i++)
		if (comparison->other->tables[i].family == table->family &&
		    strcmp(comparison->other->tables[i].name, table->name) == 0)
			other_table = &comparison->other->tables[i];
	assert_non_null(other_table);
	other_chain = table_chain(other_table, chain->name);
	if (!other_chain)
		fail_msg("there is no chain %s in the other", chain->name);
	assert_int_equal(other_chain->rule_count, chain->rule_count);
	assert_int_equal(other_chain->policy, chain->policy);
	assert_int_equal(other_chain->hook, chain->hook);
	assert_int_equal(other_chain->priority, chain->priority);
	comparison->compared++;
	left = comparison->listing ? plain_text(rule) : rule_text(rule);
	right = comparison->listing ? plain_text(&other_chain->rules[rule->index - 1])
				    : rule_text(&other_chain->rules[rule->index - 1]);
	if (strcmp(left, right) == 0 || rule->understood != UNDERSTOOD_FULLY)
		return;
	if (comparison->listing && is_hidden(other_chain->rules[rule->index - 1].text))
		return;
	if (strstr(rule->text, ":!0:4294967295")) /* iptables-save forgets this one */
		return;
	fail_msg("%s\n%s\nis read as\n%s\nand\n%s", rule->text, other_chain->rules[rule->index - 1].text, left, right);
}

/* All rules of one capture are read as in another; those a listing shows incompletely say so. */
static size_t compare(const char *name, const char *other_name, bool listing)
{
	cleanup_bundle struct bundle *bundle = load_rules(name), *other = load_rules(other_name);
	struct comparison comparison = {&other->hosts[0]->ruleset, listing, 0};

	for_each_rule(bundle->hosts[0], compare_rule, &comparison);
	return comparison.compared;
}

static void test_listing_is_save(void **state)
{
	static const char *const tables[] = {"filter", "nat", "mangle", "raw"};
	size_t compared = 0;

	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		cleanup_free char *plain = NULL, *numbered = NULL;

		assert_true(asprintf(&plain, "live-%s.iptables-Lnv", tables[i]) > 0);
		assert_true(asprintf(&numbered, "live-%s-numbers.iptables-Lnv", tables[i]) > 0);
		compared += compare(plain, "live.iptables-save", true);
		compared += compare(numbered, "live.iptables-save", true);
	}
	compared += compare("live-filter.ip6tables-Lnv", "live.ip6tables-save", true);
	compared += compare("live-filter.iptables-S", "live.iptables-save", false);
	assert_true(compared > 2000);
}

static void test_nft_forms(void **state)
{
	assert_true(compare("everything.json", "everything.nft", false) > 150);
	assert_true(compare("everything-handles.nft", "everything.nft", false) > 150);
}

static void check_handle(const struct table *table, const struct chain *chain, const struct rule *rule, void *context)
{
	assert_true(rule->handle.known);
}

static void test_handles(void **state)
{
	cleanup_bundle struct bundle *text = load_rules("everything-handles.nft"),
				     *json = load_rules("everything.json");

	for_each_rule(text->hosts[0], check_handle, NULL);
	for_each_rule(json->hosts[0], check_handle, NULL);
}

/* What is printed of a rule is nftables' language: read again, it is the same rule. */
static void check_printed(const struct table *table, const struct chain *chain, const struct rule *rule, void *context)
{
	cleanup_free char *printed = rule_text(rule), *script = NULL, *again = NULL;
	cleanup_bundle struct bundle *bundle = NULL;
	struct ruleset *ruleset;

	if (strchr(printed, '<') || strstr(printed, "xt ") || strstr(printed, "HMARK") ||
	    !*printed) /* nftables has no words for these */
		return;
	assert_true(asprintf(&script, "table %s x {\n\tchain y {\n\t\t%s\n\t}\n}\n", family_name(table->family),
			     printed) > 0);
	bundle = bundle_from_text("nft.txt", script, strlen(script));
	ruleset = &bundle->hosts[0]->ruleset;
	assert_int_equal(ruleset->table_count, 1);
	assert_int_equal(ruleset->tables[0].chains[0].rule_count, 1);
	again = rule_text(&ruleset->tables[0].chains[0].rules[0]);
	assert_string_equal(again, printed);
	++*(size_t *)context;
}

static void test_print_and_read(void **state)
{
	cleanup_bundle struct bundle *nft = load_rules("everything.nft"), *xt = load_rules("extensions.iptables-save");
	size_t count = 0;

	for_each_rule(nft->hosts[0], check_printed, &count);
	assert_true(count > 120);
	for_each_rule(xt->hosts[0], check_printed, &count);
	assert_true(count > 350);
}

static const struct rule *only_rule(const struct bundle *bundle)
{
	const struct ruleset *ruleset = &bundle->hosts[0]->ruleset;

	for (size_t i = 0; i < ruleset->table_count; i++)
		for (size_t j = 0; j < ruleset->tables[i].chain_count; j++)
			if (ruleset->tables[i].chains[j].rule_count > 0)
				return &ruleset->tables[i].chains[j].rules[0];
	fail_msg("there is no rule");
	return NULL;
}

/* One rule of iptables in its table, as text; gaps behind "!!". */
static char *read_one(const char *file, const char *table, const char *rule)
{
	cleanup_free char *text = NULL;
	cleanup_bundle struct bundle *bundle = NULL;
	struct strbuf out = {};
	const struct rule *read;

	assert_true(asprintf(&text, "*%s\n:MINE - [0:0]\n%s\nCOMMIT\n", table, rule) > 0);
	bundle = bundle_from_text(file, text, strlen(text));
	read = only_rule(bundle);
	print_rule(&out, read);
	for (size_t i = 0; i < read->gap_count; i++)
		strbuf_printf(&out, " !! %s", read->gaps[i]);
	return strbuf_steal(&out);
}

static void test_meanings(void **state)
{
	static const struct {
		const char *file, *table, *rule, *expected;
	} cases[] = {
		{"iptables-save", "filter", "-A INPUT -s 10.0.0.0/8 -i eth+ -p tcp -m tcp --dport 22 -j ACCEPT",
		 "ip saddr 10.0.0.0/8 meta iifname \"eth*\" meta l4proto tcp tcp dport 22 accept"},
		{"ip6tables-save", "filter", "-A INPUT -s fd00::/8 -p ipv6-icmp -m icmp6 --icmpv6-type 128 -j DROP",
		 "ip6 saddr fd00::/8 meta l4proto ipv6-icmp icmpv6 type echo-request drop"},
		{"iptables-save", "filter", "-A INPUT ! -s 10.0.0.1/255.0.255.255 -j DROP",
		 "(ip saddr & 255.0.255.255) != 10.0.0.1 drop"},
		{"iptables-save", "filter", "-A INPUT -f -j DROP", "(ip frag-off & 8191) != 0 drop"},
		{"iptables-save", "filter", "-A INPUT ! -f -j DROP", "(ip frag-off & 8191) == 0 drop"},
		{"iptables-save", "filter", "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
		 "ct state established,related accept"},
		{"iptables-save", "filter", "-A INPUT -m conntrack ! --ctstate NEW,DNAT -j ACCEPT",
		 "ct state ! new,dnat accept"},
		{"iptables-save", "filter", "-A INPUT -p tcp -m multiport --ports 22,80:90 -j ACCEPT",
		 "meta l4proto tcp xt port { 22, 80-90 } accept"},
		{"iptables-save", "filter", "-A INPUT -p icmp -m icmp ! --icmp-type 3/4 -j ACCEPT",
		 "meta l4proto icmp icmp type . icmp code != { destination-unreachable . frag-needed } accept"},
		{"iptables-save", "filter", "-A INPUT -m addrtype --dst-type LOCAL --limit-iface-in -j ACCEPT",
		 "fib daddr . iif type local accept"},
		{"iptables-save", "filter", "-A INPUT -m addrtype ! --src-type UNICAST,LOCAL -j ACCEPT",
		 "fib saddr type != { unicast, local } accept"},
		{"iptables-save", "raw", "-A PREROUTING -m rpfilter --validmark --invert -j DROP",
		 "fib saddr . mark . iif oif missing drop"},
		{"iptables-save", "raw", "-A PREROUTING -m rpfilter --accept-local -j DROP",
		 "<rpfilter accept-local> drop"},
		{"iptables-save", "filter", "-A INPUT -m set ! --match-set lab src,dst -j DROP",
		 "!= <ipset lab src,dst> drop"},
		{"iptables-save", "filter", "-A INPUT -m mac --mac-source XX:XX:XX:XX:XX:XX -j DROP",
		 "ether saddr <unknown: XX:XX:XX:XX:XX:XX> drop !! value XX:XX:XX:XX:XX:XX"},
		{"iptables-save", "filter", "-A INPUT -m mark --mark 0x1/0xff -j DROP",
		 "(meta mark & 0x000000ff) == 0x00000001 drop"},
		{"iptables-save", "mangle", "-A PREROUTING -j MARK --set-xmark 0x1/0xff",
		 "meta mark set ((meta mark & 0xffffff00) ^ 0x00000001)"},
		{"iptables-save", "mangle",
		 "-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff",
		 "meta mark set ct mark"},
		{"iptables-save", "nat", "-A PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1-10.0.0.4:80-90/85",
		 "meta l4proto tcp dnat to 10.0.0.1-10.0.0.4 :80-90 <from 85>"},
		{"ip6tables-save", "nat", "-A PREROUTING -p tcp -j DNAT --to-destination [fd00::1]:80",
		 "meta l4proto tcp dnat to fd00::1 :80"},
		{"iptables-save", "nat", "-A POSTROUTING -j NETMAP --to 10.1.0.0/16", "<netmap> prefix to 10.1.0.0/16"},
		{"iptables-save", "filter", "-A INPUT -m limit --limit 3/sec -j ACCEPT", "<limit limit 3/sec> accept"},
		{"iptables-save", "filter", "-A INPUT -m ndpi --http -j DROP",
		 "<unknown: ndpi http> drop !! match ndpi"},
		{"iptables-save", "filter", "-A INPUT -m tcp --nonsense 5 -j DROP",
		 "<unknown: tcp nonsense 5> drop !! match tcp"},
		{"iptables-save", "filter", "-A INPUT -j WEIRD --x 1", "<unknown: WEIRD> !! target WEIRD"},
		{"iptables-save", "filter", "-A INPUT -j MINE", "jump MINE"},
		{"iptables-save", "filter", "-A INPUT -g MINE", "goto MINE"},
		{"iptables-save", "filter",
		 "-A INPUT -p all -m comment --comment \"it's \\\"quoted\\\"\" -j NFQUEUE --queue-balance 0:3 "
		 "--queue-bypass",
		 "queue flags bypass to 0-3"},
		{"iptables-save", "filter",
		 "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j REJECT --reject-with tcp-reset",
		 "meta l4proto tcp (tcp flags & (fin | syn | rst | ack)) == syn reject with tcp reset"},
		{"iptables-save", "filter", "-A INPUT -d 10.0.0.1 -p 6 --dport 22 -j RETURN",
		 "ip daddr 10.0.0.1 meta l4proto tcp tcp dport 22 return"},
		{"iptables-save", "filter", "-A INPUT -p tcp --dport",
		 "meta l4proto tcp !! option --dport without its value"},
		{"ebtables-save", "filter",
		 "-A FORWARD -p IPv4 -s 52:54:00:00:00:01 --ip-proto udp --ip-dport 67:68 -j DROP",
		 "ether type ip ether saddr 52:54:00:00:00:01 ip protocol udp th dport 67-68 drop"},
		{"ebtables-save", "nat", "-A PREROUTING -d Multicast -j mark --mark-or 0x2 --mark-target CONTINUE",
		 "(ether daddr & 01:00:00:00:00:00) == 01:00:00:00:00:00 meta mark set ((meta mark & 0xfffffffd) ^ "
		 "0x00000002) continue"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup_free char *got = read_one(cases[i].file, cases[i].table, cases[i].rule);

		assert_string_equal(got, cases[i].expected);
	}
}

static char *read_nft(const char *rule)
{
	cleanup_free char *text = NULL;
	cleanup_bundle struct bundle *bundle = NULL;
	struct strbuf out = {};
	const struct rule *read;

	assert_true(asprintf(&text, "table inet t {\n chain c {\n  %s\n }\n}\n", rule) > 0);
	bundle = bundle_from_text("nft.txt", text, strlen(text));
	read = only_rule(bundle);
	print_rule(&out, read);
	for (size_t i = 0; i < read->gap_count; i++)
		strbuf_printf(&out, " !! %s", read->gaps[i]);
	return strbuf_steal(&out);
}

/* What is not understood never takes a verdict with it, and never leaves a match behind that was not one. */
static void test_nft_unknown(void **state)
{
	static const struct {
		const char *rule, *expected;
	} cases[] = {
		{"xt match set counter packets 0 bytes 0 drop", "<unknown: set> drop !! match set"},
		{"frobnicate ip saddr 10.0.0.1 accept",
		 "<unknown: frobnicate ip saddr 10.0.0.1> accept !! statement frobnicate ip saddr 10.0.0.1"},
		{"ip saddr 10.0.0.1 frobnicate { a, b : accept } drop",
		 "ip saddr 10.0.0.1 <unknown: frobnicate { a, b : accept }> drop !! statement frobnicate { a, b : "
		 "accept }"},
		{"ct state wonderful accept", "ct state <unknown: wonderful> accept !! value wonderful"},
		{"tcp dport { 22, no-such-service } accept",
		 "tcp dport { 22, <unknown: no-such-service> } accept !! value no-such-service"},
		{"ip saddr vmap", "<unknown: ip saddr vmap> !! statement ip saddr vmap"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup_free char *got = read_nft(cases[i].rule);

		assert_string_equal(got, cases[i].expected);
	}
}

/* Without -v a listing does not show interfaces: then no rule is known to match. */
/* Options that belong to nothing that was loaded: the rule's effect is plain, when it applies is not. */
static void test_stray_options(void **state)
{
	static const char script[] = "ip6tables -A FORWARD -p 2 -s fd00::/8 --sport 53 -j ACCEPT\n"
				     "iptables -A FORWARD -m foo --bar 1 -j ACCEPT\n";
	cleanup_bundle struct bundle *bundle = bundle_from_text("rules.sh", script, sizeof(script) - 1);
	const struct facts *facts = bundle->hosts[0];
	const struct rule *stray = &facts->ruleset.tables[0].chains[0].rules[0];
	const struct rule *foreign = &facts->ruleset.tables[1].chains[0].rules[0];

	assert_int_equal(facts->captures[0].rules_partly, 2);
	assert_int_equal(stray->understood, UNDERSTOOD_PARTLY);
	assert_string_equal(stray->gaps[0], "option --sport");
	assert_true(rule_has_unknown(stray));
	assert_string_equal(foreign->gaps[0], "match foo");
	assert_true(rule_has_unknown(foreign));
}

static void test_listing_without_interfaces(void **state)
{
	static const char text[] = "Chain INPUT (policy DROP)\n"
				   "target     prot opt source               destination\n"
				   "ACCEPT     all  --  0.0.0.0/0            0.0.0.0/0\n";
	cleanup_bundle struct bundle *bundle = bundle_from_text("iptables-L-n.txt", text, sizeof(text) - 1);
	const struct rule *rule = only_rule(bundle);

	assert_int_equal(rule->understood, UNDERSTOOD_PARTLY);
	assert_int_equal(rule->statements[0].kind, STATEMENT_CONDITION);
	assert_int_equal(rule->statements[0].condition.reason, CONDITION_LACKING);
}

/* An address of a set with a netmask stands for its network, wherever in the text it is added. */
static void test_ipset_netmask(void **state)
{
	static const char text[] = "create wide hash:ip family inet netmask 24\ncreate one hash:ip family inet\n"
				   "add one 10.0.7.0\nadd wide 10.0.7.0\n";
	cleanup_bundle struct bundle *bundle = bundle_from_text("ipset.txt", text, sizeof(text) - 1);
	const struct ruleset *ruleset = &bundle->hosts[0]->ruleset;
	cleanup_strbuf struct strbuf out = {};

	print_expr(&out, ruleset_ipset(ruleset, "wide")->elements[0].key);
	strbuf_add(&out, " ");
	print_expr(&out, ruleset_ipset(ruleset, "one")->elements[0].key);
	assert_string_equal(out.text, "10.0.7.0/24 10.0.7.0");
}

/* An ipset's key follows from its type and the directions. */
static void test_ipset_key(void **state)
{
	static const char text[] = "create lab hash:ip,port,net family inet hashsize 1024 maxelem 65536\n"
				   "add lab 10.0.0.1,udp:53,10.1.0.0/16 nomatch\n"
				   "create all list:set size 8\nadd all lab\n"
				   "create ports bitmap:port range 0-1000\nadd ports 22\n";
	cleanup_bundle struct bundle *bundle = bundle_from_text("ipset.txt", text, sizeof(text) - 1);
	const struct ruleset *ruleset = &bundle->hosts[0]->ruleset;
	struct expr lookup = {.kind = EXPR_IPSET, .ipset = {.name = "lab", .dimension = 3, .directions = 2}};
	cleanup_strbuf struct strbuf out = {};

	assert_int_equal(ruleset->ipset_count, 3);
	print_expr(&out, ipset_key(bundle->arena, ruleset_ipset(ruleset, "lab"), FAMILY_IP, &lookup));
	strbuf_add(&out, " = ");
	print_expr(&out, ruleset_ipset(ruleset, "lab")->elements[0].key);
	strbuf_add(&out, "; ");
	print_expr(&out, ruleset_ipset(ruleset, "ports")->elements[0].key);
	assert_string_equal(
		out.text,
		"ip saddr . meta l4proto . th dport . ip saddr = 10.0.0.1 . udp . 53 . 10.1.0.0/16; { tcp, udp } . 22");
	assert_true(ruleset_ipset(ruleset, "lab")->elements[0].nomatch);
	assert_null(ipset_key(bundle->arena, ruleset_ipset(ruleset, "lab"), FAMILY_IP6, &lookup));
	assert_null(ipset_key(bundle->arena, ruleset_ipset(ruleset, "all"), FAMILY_IP, &lookup));
	lookup.ipset.dimension = 2;
	assert_null(ipset_key(bundle->arena, ruleset_ipset(ruleset, "lab"), FAMILY_IP, &lookup));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_listing_is_save),
		cmocka_unit_test(test_nft_forms),
		cmocka_unit_test(test_handles),
		cmocka_unit_test(test_print_and_read),
		cmocka_unit_test(test_meanings),
		cmocka_unit_test(test_nft_unknown),
		cmocka_unit_test(test_stray_options),
		cmocka_unit_test(test_listing_without_interfaces),
		cmocka_unit_test(test_ipset_key),
		cmocka_unit_test(test_ipset_netmask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
