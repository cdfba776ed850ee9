/*
 * facts/: whole bundles. Golden JSON, and what comes back from it; relations between hosts; captures that were cut off,
 * reformatted, pasted with prompts; and that what is not captured stays unknown.
 */
#include "facts_check.h"

#include "facts/shape.h"
#include "facts/text.h"

#include <errno.h>
#include <glob.h>
#include <sys/socket.h>
#include <sys/stat.h>

static struct bundle *load_bundle(const char *name)
{
	cleanup_free char *below = NULL, *path = NULL;

	assert_true(asprintf(&below, "tests/golden/facts/bundles/%s", name) > 0);
	path = source_path(below);
	return load(path);
}

static void test_golden(void **state)
{
	static const char *const names[] = {"layers", "mixed", "iproute", "mirrored"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		cleanup_bundle struct bundle *bundle = load_bundle(names[i]);
		cleanup_json json_t *json = bundle_json(bundle, NULL);
		cleanup_free char *text = json_dumps(json, JSON_INDENT(1)), *below = NULL, *path = NULL, *file = NULL;

		assert_true(asprintf(&below, "tests/golden/facts/bundles/%s.expected.json", names[i]) > 0);
		assert_true(asprintf(&file, "%s\n", text) > 0);
		path = source_path(below);
		check_golden(path, file);
	}
}

static struct bundle *from_json(const json_t *json)
{
	cleanup_error struct error *err = NULL;
	struct arena *arena = arena_new();
	struct bundle *bundle = arena_new_struct(arena, struct bundle);

	bundle->arena = arena;
	if (bundle_from_json(json, bundle, &err) < 0)
		fail_msg("%s", err->message);
	return bundle;
}

static void check_round_trip(const char *path)
{
	cleanup_bundle struct bundle *bundle = load(path), *again = NULL;
	cleanup_json json_t *json = bundle_json(bundle, NULL), *parsed = NULL, *json_again = NULL;
	cleanup_free char *text = json_text(json);

	assert_int_equal(json_parse(text, strlen(text), path, &parsed, NULL), 0);
	again = from_json(parsed);
	json_again = bundle_json(again, NULL);
	if (!json_equal(json, json_again) || !bundle_equal(bundle, again))
		fail_msg("%s: what comes back from JSON is not the same", path);
}

static void for_each_file(const char *pattern_below, void (*check)(const char *path))
{
	cleanup_free char *pattern = source_path(pattern_below);
	glob_t found;

	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		if (!strstr(found.gl_pathv[i], ".expected"))
			check(found.gl_pathv[i]);
	globfree(&found);
}

static void test_round_trip(void **state)
{
	for_each_file("tests/golden/facts/rules/*", check_round_trip);
	for_each_file("tests/golden/facts/bundles/*", check_round_trip);
}

/* Whatever has a name is found by it, also where the order changed after it was read. */
static void check_lookup(const char *path)
{
	cleanup_bundle struct bundle *bundle = load(path);

	for (size_t h = 0; h < bundle->host_count; h++) {
		const struct facts *facts = bundle->hosts[h];

		for (size_t i = 0; i < facts->link_count; i++)
			assert_ptr_equal(facts_link(facts, facts->links[i].name), &facts->links[i]);
		assert_null(facts_link(facts, "no-such"));
		for (size_t i = 0; i < facts->ruleset.table_count; i++) {
			const struct table *table = &facts->ruleset.tables[i];

			for (size_t j = 0; j < table->chain_count; j++)
				assert_ptr_equal(table_chain(table, table->chains[j].name), &table->chains[j]);
			for (size_t j = 0; j < table->set_count; j++)
				assert_ptr_equal(table_set(table, table->sets[j].name), &table->sets[j]);
			assert_null(table_chain(table, "no-such"));
		}
	}
}

static void test_lookup(void **state)
{
	for_each_file("tests/golden/facts/rules/*", check_lookup);
	for_each_file("tests/golden/facts/bundles/*", check_lookup);
}

/* Two dumps in one file: the second counts, with all that is in it. */
static void test_saved_twice(void **state)
{
	static const char text[] = "*filter\n:FORWARD ACCEPT [0:0]\n:a - [0:0]\n-A a -j ACCEPT\nCOMMIT\n"
				   "*filter\n:b - [0:0]\n:FORWARD DROP [0:0]\n-A b -j DROP\n-A b -j DROP\nCOMMIT\n";
	cleanup_bundle struct bundle *bundle = bundle_from_text("iptables-save", text, sizeof(text) - 1);
	const struct table *table = &bundle->hosts[0]->ruleset.tables[0];

	assert_int_equal(bundle->hosts[0]->ruleset.table_count, 1);
	assert_null(table_chain(table, "a"));
	assert_int_equal(table_chain(table, "b")->rule_count, 2);
	assert_int_equal(table_chain(table, "FORWARD")->policy, VERDICT_DROP);
}

/* A document that bundle_json() made is a bundle itself. */
static void test_load_document(void **state)
{
	cleanup_bundle struct bundle *bundle = load_bundle("mirrored"), *again = NULL;
	cleanup_json json_t *json = bundle_json(bundle, NULL);
	char path[] = "/tmp/nestvisor-facts-XXXXXX.json";
	int fd = mkstemps(path, 5);

	assert_true(fd >= 0);
	json_object_set_new(json, "schema", json_string("nestvisor/facts/1"));
	assert_int_equal(json_dumpfd(json, fd, 0), 0);
	close(fd);
	again = load(path);
	unlink(path);
	assert_true(bundle_equal(bundle, again));
}

#define HOST_WITH_RULE(statement)                                                                                      \
	"{\"hosts\": [{\"name\": \"a\", \"ruleset\": {\"tables\": [{\"name\": \"t\", \"family\": \"ip\", "             \
	"\"backend\": "                                                                                                \
	"\"nftables\", \"chains\": [{\"name\": \"c\", \"rules\": [{\"text\": \"x\", \"understood\": \"fully\", "       \
	"\"statements\": [" statement "]}]}]}]}}]}"

static void test_bad_documents(void **state)
{
	cleanup_json json_t *good_json = json_loads(HOST_WITH_RULE("{\"kind\": \"notrack\"}"), 0, NULL);
	cleanup_bundle struct bundle *good_bundle = NULL;
	static const char *const documents[] = {
		"{\"schema\": \"nestvisor/facts/1\"}",
		"{\"hosts\": 5}",
		"{\"hosts\": [5]}",
		"{\"hosts\": [{}]}",
		"{\"hosts\": [{\"name\": 5}]}",
		"{\"hosts\": [{\"name\": \"a\", \"links\": {}}]}",
		"{\"hosts\": [{\"name\": \"a\", \"links\": [{\"mtu\": -1}]}]}",
		"{\"hosts\": [{\"name\": \"a\", \"links\": [{\"mac\": \"no\"}]}]}",
		"{\"hosts\": [{\"name\": \"a\", \"system\": \"plan9\"}]}",
		"{\"hosts\": [{\"name\": \"a\", \"ruleset\": {\"tables\": [{\"chains\": [{\"rules\": [{\"statements\": "
		"[{\"kind\": \"x\"}]}]}]}]}}]}",
		/* what whoever reads facts relies on */
		"{\"hosts\": [{\"name\": \"a\", \"links\": [{\"mtu\": 1}]}]}",
		"{\"hosts\": [{\"name\": \"a\", \"ruleset\": {\"tables\": [{\"name\": \"t\", \"family\": \"ip\", "
		"\"backend\": "
		"\"nftables\", \"chains\": [{\"name\": \"c\", \"rules\": [{\"text\": \"x\", \"understood\": "
		"\"not\"}]}]}]}}]}",
		HOST_WITH_RULE(
			"{\"kind\": \"match\", \"op\": \"==\", \"right\": {\"kind\": \"ipset\", \"ipset\": \"s\", "
			"\"dimension\": 32}}"),
		HOST_WITH_RULE("{\"kind\": \"unknown\", \"text\": \"x\"}"),
		HOST_WITH_RULE("{\"kind\": \"condition\", \"name\": \"x\", \"reason\": \"unknown\"}"),
		HOST_WITH_RULE("{\"kind\": \"verdict\"}"),
		HOST_WITH_RULE("{\"kind\": \"verdict\", \"verdict\": {\"kind\": \"jump\"}}"),
		HOST_WITH_RULE("{\"kind\": \"match\", \"op\": \"==\", \"right\": {\"kind\": \"any\"}}"),
		HOST_WITH_RULE("{\"kind\": \"match\", \"op\": \"==\", \"left\": {\"kind\": \"any\"}}"),
		HOST_WITH_RULE("{\"kind\": \"assign\", \"field\": {\"kind\": \"any\"}, \"value\": {\"kind\": \"ip\"}}"),
		"{\"hosts\": [{\"name\": \"a\", \"routes\": [{\"family\": \"ip6\", \"table\": \"main\", \"to\": "
		"\"10.0.0.0/8\"}]}]}",
		"{\"hosts\": [], \"relations\": [{\"kind\": \"tap\", \"why\": \"\", \"ends\": [{}]}]}",
	};

	good_bundle = from_json(good_json);
	for (size_t i = 0; i < sizeof(documents) / sizeof(*documents); i++) {
		cleanup_error struct error *err = NULL;
		cleanup_json json_t *json = json_loads(documents[i], 0, NULL);
		cleanup_bundle struct bundle *bundle = NULL;
		struct arena *arena = arena_new();

		bundle = arena_new_struct(arena, struct bundle);
		bundle->arena = arena;
		assert_non_null(json);
		assert_int_equal(bundle_from_json(json, bundle, &err), -EBADMSG);
		assert_non_null(err);
	}
}

static json_t *without_places(const json_t *json)
{
	static const char *const places[] = {"origin", "origins", "ipsets_origin", "text", "captures", "name", "notes"};
	json_t *copy, *value;
	const char *key;

	if (json_is_array(json)) {
		copy = json_array();
		for (size_t i = 0; i < json_array_size(json); i++)
			json_array_append_new(copy, without_places(json_array_get(json, i)));
		return copy;
	}
	if (!json_is_object(json))
		return json_deep_copy(json);
	copy = json_object();
	json_object_foreach ((json_t *)json, key, value) {
		bool place = false;

		for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
			place = place || strcmp(key, places[i]) == 0;
		if (!place)
			json_object_set_new(copy, key, without_places(value));
	}
	return copy;
}

/* The same network, as ip(8) prints it in text and in JSON. */
static void test_text_is_json(void **state)
{
	cleanup_bundle struct bundle *bundle = load_bundle("iproute");
	cleanup_json json_t *json = bundle_json(bundle, NULL), *a = NULL, *b = NULL;
	const json_t *hosts = json_object_get(json, "hosts");
	const char *key;
	json_t *value;

	assert_int_equal(json_array_size(hosts), 2);
	a = without_places(json_array_get(hosts, 0));
	b = without_places(json_array_get(hosts, 1));
	assert_true(json_array_size(json_object_get(a, "routes")) > 20);
	json_object_foreach (a, key, value)
		if (!json_equal(value, json_object_get(b, key)))
			fail_msg("%s is not the same in text and in JSON", key);
	assert_true(json_equal(a, b));
}

static const struct relation *find_relation(const struct bundle *bundle, enum relation_kind kind, const char *host,
					    const char *interface, const char *other, const char *other_interface)
{
	for (size_t i = 0; i < bundle->relation_count; i++) {
		const struct relation *relation = &bundle->relations[i];
		const struct relation_end *ends = relation->ends;

		if (relation->kind == kind && relation->end_count >= 2 && strcmp(ends[0].host, host) == 0 &&
		    strcmp(ends[0].interface, interface) == 0 && strcmp(ends[1].host, other) == 0 &&
		    strcmp(ends[1].interface, other_interface) == 0)
			return relation;
	}
	return NULL;
}

static void test_relations(void **state)
{
	cleanup_bundle struct bundle *bundle = load_bundle("mirrored");
	const struct relation *mirrored;

	assert_non_null(find_relation(bundle, RELATION_TAP, "wsl", "vnet0", "hv", "enp1s0"));
	assert_non_null(find_relation(bundle, RELATION_TAP, "hv", "vnet0", "guest", "ens3"));
	mirrored = find_relation(bundle, RELATION_MIRRORED, "laptop", "Ethernet-Adapter Ethernet", "wsl", "eth1");
	assert_non_null(mirrored);
	assert_string_equal(mirrored->evidence[mirrored->evidence_count - 1].source, "laptop/.wslconfig");
	assert_int_equal(mirrored->evidence[mirrored->evidence_count - 1].line, 3);
	assert_non_null(
		find_relation(bundle, RELATION_MIRRORED, "laptop", "Unbekannter Adapter Firmen-VPN", "wsl", "eth0"));
	assert_non_null(find_relation(bundle, RELATION_SUBNET, "wsl", "virbr0", "hv", "enp1s0"));
	assert_non_null(find_relation(bundle, RELATION_SUBNET, "hv", "virbr0", "guest", "ens3"));
	assert_int_equal(bundle->relation_count, 6);
}

/* libvirt's own subnet at two layers is two subnets. */
static void test_same_subnet_twice(void **state)
{
	static const char text[] = "1: virbr0: <UP> mtu 1500\n    inet 192.168.122.1/24 scope global virbr0\n";
	char folder[] = "/tmp/nestvisor-facts-XXXXXX";
	cleanup_bundle struct bundle *bundle = NULL;

	assert_non_null(mkdtemp(folder));
	for (int i = 0; i < 2; i++) {
		cleanup_free char *host = NULL, *file = NULL;

		assert_true(asprintf(&host, "%s/h%d", folder, i) > 0 && asprintf(&file, "%s/ip-addr.txt", host) > 0);
		assert_int_equal(mkdir(host, 0700), 0);
		assert_int_equal(file_write_atomic(file, text, strlen(text), 0600, NULL), 0);
	}
	bundle = load(folder);
	dir_remove(folder, NULL);
	assert_int_equal(bundle->host_count, 2);
	assert_int_equal(bundle->relation_count, 0);
	assert_int_equal(bundle->note_count, 1);
	assert_non_null(strstr(bundle->notes[0].text, "192.168.122.1/24"));
}

static void test_unknown_stays_unknown(void **state)
{
	cleanup_bundle struct bundle *bundle = load_bundle("mirrored"), *one = NULL;
	const struct facts *guest = bundle_host(bundle, "guest"), *wsl = bundle_host(bundle, "wsl"),
			   *hv = bundle_host(bundle, "hv");
	static const char link[] = "2: eth0: <UP> mtu 1500 master br0 state UP\n    link/ether 52:54:00:00:00:01\n";

	assert_int_equal(guest->links_known, TRUTH_YES);
	assert_int_equal(facts_link(guest, "ens3")->addresses4_known, TRUTH_YES);
	assert_true(facts_routes_known(guest, AF_INET, "main"));
	assert_false(facts_routes_known(guest, AF_INET, "local"));
	assert_false(facts_routes_known(guest, AF_INET6, "main"));
	assert_int_equal(guest->neighbours_known, TRUTH_UNKNOWN);
	assert_int_equal(guest->policy_rules4_known, TRUTH_UNKNOWN);
	assert_null(facts_sysctl(guest, "net.ipv4.ip_forward"));
	assert_false(ruleset_covers(&guest->ruleset, BACKEND_XTABLES, FAMILY_IP, "filter"));
	assert_false(ruleset_covers(&guest->ruleset, BACKEND_NFTABLES, FAMILY_IP, "filter"));
	/* a listing of one table */
	assert_true(ruleset_covers(&wsl->ruleset, BACKEND_XTABLES, FAMILY_IP, "nat"));
	assert_false(ruleset_covers(&wsl->ruleset, BACKEND_XTABLES, FAMILY_IP, "filter"));
	assert_int_equal(ruleset_table(&wsl->ruleset, BACKEND_XTABLES_NFT, FAMILY_IP, "nat")->whole, TRUTH_NO);
	/* iptables-save -t filter, and sysctl through grep */
	assert_true(ruleset_covers(&hv->ruleset, BACKEND_XTABLES, FAMILY_IP, "filter"));
	assert_false(ruleset_covers(&hv->ruleset, BACKEND_XTABLES, FAMILY_IP, "nat"));
	assert_int_equal(hv->sysctls_known, TRUTH_NO);
	assert_string_equal(facts_sysctl(hv, "net.ipv4.ip_forward"), "1");
	one = bundle_from_text("ip-link.txt", link, sizeof(link) - 1);
	assert_int_equal(one->hosts[0]->links[0].addresses4_known, TRUTH_UNKNOWN);
	assert_string_equal(one->hosts[0]->links[0].master, "br0");
}

/* An empty save is a known empty one; a missing file is not. */
static void test_empty_is_known(void **state)
{
	cleanup_bundle struct bundle *layers = load_bundle("layers");
	const struct facts *l1 = bundle_host(layers, "l1"), *l2b = bundle_host(layers, "l2b");

	assert_true(ruleset_covers(&l1->ruleset, BACKEND_XTABLES, FAMILY_IP6, "filter"));
	assert_null(ruleset_table(&l1->ruleset, BACKEND_XTABLES, FAMILY_IP6, "filter"));
	assert_false(ruleset_covers(&l2b->ruleset, BACKEND_XTABLES, FAMILY_IP, "filter"));
}

/* What iptables-nft keeps in nftables stands in both captures: it must count once. */
static void test_shadows(void **state)
{
	cleanup_bundle struct bundle *layers = load_bundle("layers");
	const struct ruleset *ruleset = &bundle_host(layers, "l1")->ruleset;
	const struct table *xt = ruleset_table(ruleset, BACKEND_XTABLES_NFT, FAMILY_IP, "filter");
	const struct table *nft = ruleset_table(ruleset, BACKEND_NFTABLES, FAMILY_IP, "filter");
	const struct table *own = ruleset_table(ruleset, BACKEND_NFTABLES, FAMILY_INET, "labfw");

	assert_non_null(xt);
	assert_non_null(nft);
	assert_non_null(own);
	for (size_t i = 0; i < nft->chain_count; i++)
		assert_string_equal(nft->chains[i].shadowed, "hosts/l1/iptables-save.txt");
	for (size_t i = 0; i < own->chain_count; i++)
		assert_null(own->chains[i].shadowed);
}

static struct bundle *from_terminal(const char *text)
{
	return bundle_from_text("terminal.txt", text, strlen(text));
}

/* iptables-save 1.8.9 shows `iifname { "a", "b" } accept`, which nft made, as "-j ACCEPT": nft's form counts. */
static void test_rules_of_nft_that_iptables_shows(void **state)
{
	static const char common[] =
		"root@h:~# iptables-save\n# Generated by iptables-save v1.8.9 (nf_tables) on x\n*filter\n"
		":INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n-A FORWARD %s-j ACCEPT\nCOMMIT\n"
		"root@h:~# nft list ruleset\ntable ip filter {\n\tchain FORWARD {\n"
		"\t\ttype filter hook forward priority filter; policy accept;\n\t\t%s accept\n\t}\n}\n";
	static const struct {
		const char *program, *nft;
		bool program_counts;
	} cases[] = {
		{"", "counter packets 1 bytes 2", true},
		{"", "iifname { \"a\", \"b\" }", false},
		{"", "ct state established counter packets 1 bytes 2", false},
		{"-s 10.0.0.0/8 ", "ip saddr 10.0.0.0/8 ip daddr @good counter packets 1 bytes 2", false},
		{"-s 10.0.0.0/8 ", "ip saddr @good", false},
		{"-s 10.0.0.0/8 -i a ", "iifname \"a\" ip saddr 10.0.0.0/8", true},
		{"-p tcp -m tcp --dport 22 ", "tcp dport 22 counter packets 1 bytes 2", true},
		{"-p tcp -m tcp --dport 22 ", "tcp dport 22 limit rate 5/second", false},
		{"-p udp -m multiport --ports 5 ",
		 "meta l4proto udp udp sport . udp dport { 0-65535 . 5, 5 . 0-65535 }", true},
		{"-m conntrack --ctstate DNAT ", "ct status dnat counter packets 1 bytes 2", true},
		{"-m u32 --u32 \"0=1\" ", "xt match u32 counter packets 1 bytes 2", true},
		{"-m statistic --mode random --probability 0.5 ", "meta random & 2147483647 < 1073741824", true},
		{"", "meta mark 5 tcp dport vmap { 22 : drop }", false},
		{"", "drop\n\t\t", false}, /* two rules, one of which is not shown */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup_free char *text = NULL;
		cleanup_bundle struct bundle *bundle = NULL;
		const struct table *program, *nft;
		bool counts;

		assert_true(asprintf(&text, common, cases[i].program, cases[i].nft) > 0);
		bundle = from_terminal(text);
		program = ruleset_table(&bundle->hosts[0]->ruleset, BACKEND_XTABLES_NFT, FAMILY_IP, "filter");
		nft = ruleset_table(&bundle->hosts[0]->ruleset, BACKEND_NFTABLES, FAMILY_IP, "filter");
		assert_non_null(program);
		assert_non_null(nft);
		counts = !table_chain(program, "FORWARD")->shadowed;
		if (counts != cases[i].program_counts)
			fail_msg("%s: %s counts", cases[i].nft, counts ? "iptables-save" : "nft");
		/* Exactly one of the two does, the built-in chains that nftables lacks among them. */
		assert_true(counts == (nft->chains[0].shadowed != NULL));
		assert_true(counts == !table_chain(program, "INPUT")->shadowed);
		assert_int_equal(bundle->hosts[0]->note_count, counts ? 0 : 1);
	}
}

/* It ends a table with the next one, or with its end. */
static void test_ebtables_save(void **state)
{
	static const char text[] = "# Generated by ebtables-nft-save v1.8.9 (nf_tables) on x\n*filter\n:INPUT ACCEPT\n"
				   "-A INPUT -j DROP\n*nat\n:PREROUTING ACCEPT\n# Completed on x\n";
	cleanup_bundle struct bundle *bundle = bundle_from_text("ebtables-save", text, sizeof(text) - 1);
	const struct ruleset *ruleset = &bundle->hosts[0]->ruleset;

	assert_int_equal(ruleset->table_count, 2);
	assert_int_equal(ruleset->tables[0].whole, TRUTH_YES);
	assert_int_equal(ruleset->tables[1].whole, TRUTH_YES);
	assert_true(ruleset_covers(ruleset, BACKEND_XTABLES, FAMILY_BRIDGE, "broute"));
	assert_int_equal(bundle->hosts[0]->note_count, 0);
}

/* Of both families at once and of one alone: each route once, multipath ones with all their nexthops. */
static void test_routes_twice(void **state)
{
	static const char multipath[] = "2001:db8:23::/48 proto static metric 1024 pref medium\n"
					"\tnexthop via fd00::9 dev a weight 1\n\tnexthop via fd00::8 dev b weight 2\n";
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_free char *text = NULL;
	const struct facts *facts;

	assert_true(asprintf(&text,
			     "$ ip -6 route show table all\n%s$ ip route show table all\n"
			     "10.0.0.0/8 via 10.1.0.1 dev a mtu lock 1400\n%s",
			     multipath, multipath) > 0);
	bundle = from_terminal(text);
	facts = bundle->hosts[0];
	assert_int_equal(facts->route_count, 2);
	assert_int_equal(facts->routes[0].nexthop_count, 2);
	assert_int_equal(facts->routes[0].nexthops[1].weight.value, 2);
	assert_string_equal(facts->routes[0].text, "2001:db8:23::/48 proto static metric 1024 pref medium nexthop via "
						   "fd00::9 dev a weight 1 nexthop via fd00::8 dev b weight 2");
	assert_int_equal(facts->routes[1].mtu.value, 1400);
	for (size_t i = 0; i < facts->capture_count; i++)
		assert_int_equal(facts->captures[i].ignored, 0);
}

/* What stands in brackets says how things are, not to what a rule applies. */
static void test_policy_rules_in_brackets(void **state)
{
	static const char text[] =
		"99:\tfrom all lookup [l3mdev-table]\n103:\tfrom all oif gone0 [detached] lookup 100\n"
		"115:\tfrom all goto 9999 [unresolved]\n";
	cleanup_bundle struct bundle *bundle = bundle_from_text("ip-rule.txt", text, sizeof(text) - 1);
	const struct policy_rule *rules = bundle->hosts[0]->policy_rules;

	assert_int_equal(bundle->hosts[0]->policy_rule_count, 3);
	assert_true(rules[0].l3mdev && rules[0].action == POLICY_RULE_LOOKUP && !rules[0].table);
	assert_string_equal(rules[1].oif, "gone0");
	assert_string_equal(rules[1].table, "100");
	assert_int_equal(rules[2].goto_priority.value, 9999);
	for (size_t i = 0; i < 3; i++)
		assert_null(rules[i].rest);
}

/* Every rule cites the line it stands on. */
static void check_place(const struct table *table, const struct chain *chain, const struct rule *rule, void *context)
{
	const char *line = context;

	for (uint32_t i = 1; i < rule->origin.line; i++) {
		line = strchr(line, '\n');
		assert_non_null(line);
		line++;
	}
	while (*line == ' ' || *line == '\t')
		line++;
	/* of a rule on several lines the first is enough; white space is made one */
	for (const char *text = rule->text; *text && *line && *line != '\n'; text++, line++) {
		if (*text != *line)
			fail_msg("line %u is not %s", rule->origin.line, rule->text);
		while (line[0] == ' ' && line[1] == ' ')
			line++;
	}
}

static void test_places(void **state)
{
	static const char *const files[] = {"extensions.iptables-save", "everything.nft", "live-filter.iptables-S"};

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		cleanup_free char *below = NULL, *path = NULL, *text = NULL;
		cleanup_bundle struct bundle *bundle = NULL;
		size_t length;

		assert_true(asprintf(&below, "tests/golden/facts/rules/%s", files[i]) > 0);
		path = source_path(below);
		text = read_file(path, &length);
		bundle = load(path);
		for_each_rule(bundle->hosts[0], check_place, text);
	}
}

static const char *last_part(const char *path)
{
	return strrchr(path, '/') + 1;
}

/* All facts of a text but where they come from. */
static json_t *facts_of(const char *path, const char *text, size_t length)
{
	cleanup_bundle struct bundle *bundle = bundle_from_text(last_part(path), text, length);
	cleanup_json json_t *json = bundle_json(bundle, NULL);

	return without_places(json);
}

/* Line ends of Windows, white space lost, UTF-16: the same facts. */
static void check_reformatted(const char *path)
{
	cleanup_free char *text = NULL, *crlf = NULL, *bare = NULL, *wide = NULL;
	cleanup_json json_t *original = NULL, *with_crlf = NULL, *with_bare = NULL, *with_wide = NULL;
	size_t length, crlf_length = 0, bare_length = 0, wide_length = 2;
	bool start = true;

	text = read_file(path, &length);
	crlf = malloc(length * 2 + 1);
	bare = malloc(length + 1);
	wide = malloc(length * 2 + 2);
	memcpy(wide, "\xff\xfe", 2);
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)text[i] >= 0x80)
			return; /* below, each byte is a character */
		if (text[i] == '\n')
			crlf[crlf_length++] = '\r';
		crlf[crlf_length++] = text[i];
		if (!start || (text[i] != ' ' && text[i] != '\t'))
			bare[bare_length++] = text[i];
		start = text[i] == '\n' || (start && (text[i] == ' ' || text[i] == '\t'));
		wide[wide_length++] = text[i];
		wide[wide_length++] = '\0';
	}
	original = facts_of(path, text, length);
	with_crlf = facts_of(path, crlf, crlf_length);
	with_bare = facts_of(path, bare, bare_length);
	with_wide = facts_of(path, wide, wide_length);
	if (!json_equal(original, with_crlf))
		fail_msg("%s: not the same with CRLF", path);
	if (!json_equal(original, with_wide))
		fail_msg("%s: not the same in UTF-16", path);
	if (!json_equal(original, with_bare))
		fail_msg("%s: not the same without white space at the start of lines", path);
}

static void test_reformatted(void **state)
{
	for_each_file("tests/golden/facts/rules/*", check_reformatted);
	for_each_file("tests/golden/facts/bundles/*/*/*.txt", check_reformatted);
	for_each_file("tests/golden/facts/bundles/*/hosts/*/*.txt", check_reformatted);
}

/* Cut off anywhere: no crash, no rule that was not there, and a note where something is open. */
static void check_cut(const char *path)
{
	cleanup_free char *text = NULL;
	cleanup_bundle struct bundle *whole = NULL;
	size_t length, rules, step;

	text = read_file(path, &length);
	whole = bundle_from_text(last_part(path), text, length);
	rules = for_each_rule(whole->hosts[0], NULL, NULL);
	step = length / 60 + 1;
	for (size_t end = 0; end < length; end += step) {
		cleanup_bundle struct bundle *part = bundle_from_text(last_part(path), text, end);

		size_t left = for_each_rule(part->hosts[0], NULL, NULL);

		if (left > rules)
			fail_msg("%s: %zu rules, and %zu in its first %zu bytes", path, rules, left, end);
	}
}

static void test_cut(void **state)
{
	for_each_file("tests/golden/facts/rules/*", check_cut);
	for_each_file("tests/golden/facts/bundles/*/*/*.txt", check_cut);
	for_each_file("tests/golden/facts/bundles/*/*/*.json", check_cut);
}

static void test_cut_is_said(void **state)
{
	static const char save[] = "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -j ACCEPT\n";
	static const char nft[] =
		"table ip filter {\n chain forward {\n  type filter hook forward priority 0; policy drop;\n  accept\n";
	cleanup_bundle struct bundle *a = bundle_from_text("iptables-save", save, sizeof(save) - 1);
	cleanup_bundle struct bundle *b = bundle_from_text("nft.txt", nft, sizeof(nft) - 1);

	assert_true(a->hosts[0]->captures[0].cut_off);
	assert_int_equal(a->hosts[0]->note_count, 1);
	assert_int_equal(a->hosts[0]->ruleset.tables[0].whole, TRUTH_NO);
	assert_int_equal(a->hosts[0]->ruleset.tables[0].chains[0].whole, TRUTH_NO);
	assert_false(ruleset_covers(&a->hosts[0]->ruleset, BACKEND_XTABLES, FAMILY_IP, "filter"));
	assert_true(b->hosts[0]->captures[0].cut_off);
	assert_int_equal(b->hosts[0]->ruleset.tables[0].chains[0].whole, TRUTH_NO);
	assert_false(ruleset_covers(&b->hosts[0]->ruleset, BACKEND_NFTABLES, FAMILY_IP, "filter"));
}

/* The better capture of a chain counts, whatever their order; that they disagree is said. */
static void test_two_captures(void **state)
{
	static const char session[] =
		"# iptables -L FORWARD -v -n\n"
		"Chain FORWARD (policy ACCEPT 0 packets, 0 bytes)\n"
		" pkts bytes target     prot opt in     out     source               destination\n"
		"    0     0 DROP       all  --  *      *       0.0.0.0/0            0.0.0.0/0\n"
		"    0     0 DROP       all  --  *      *       0.0.0.0/0            0.0.0.0/0\n"
		"# iptables-save\n"
		"*filter\n:FORWARD DROP [0:0]\n-A FORWARD -j ACCEPT\nCOMMIT\n";
	cleanup_bundle struct bundle *bundle = bundle_from_text("session.txt", session, sizeof(session) - 1);
	const struct facts *facts = bundle->hosts[0];

	assert_int_equal(facts->capture_count, 2);
	assert_false(facts->captures[0].used);
	assert_true(facts->captures[1].used);
	assert_int_equal(facts->ruleset.tables[0].chains[0].rule_count, 1);
	assert_int_equal(facts->ruleset.tables[0].chains[0].policy, VERDICT_DROP);
	assert_int_equal(facts->note_count, 1);
	assert_non_null(strstr(facts->notes[0].text, "another time"));
}

/* A capture that ends in the middle does not hide what another shows whole: chains, sets and other objects. */
static void test_cut_and_whole(void **state)
{
	static const char cut[] =
		"table ip t {\n chain a {\n  tcp dport 1 accept\n }\n chain b {\n  tcp dport 2 accept\n";
	static const char whole[] =
		"table ip t {\n set s {\n  type ipv4_addr\n }\n counter c {\n  packets 0 bytes 0\n }\n"
		" chain a {\n  tcp dport 1 accept\n }\n chain b {\n  tcp dport 2 accept\n  drop\n }\n}\n";
	static const char save[] = "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -i a -j ACCEPT\n";
	static const char list[] = "Chain FORWARD (policy DROP)\ntarget     prot opt source               destination\n"
				   "ACCEPT     all  --  anywhere             anywhere\n"
				   "ACCEPT     all  --  anywhere             anywhere\n";
	const struct capture_text texts[] = {{"1/nft.txt", "nft.txt", cut, sizeof(cut) - 1},
					     {"2/nft.txt", "nft.txt", whole, sizeof(whole) - 1},
					     {"iptables-save.txt", "iptables-save.txt", save, sizeof(save) - 1},
					     {"iptables-L.txt", "iptables-L.txt", list, sizeof(list) - 1}};
	cleanup_bundle struct bundle *bundle = bundle_from_texts("h", texts, 4);
	const struct ruleset *ruleset = &bundle->hosts[0]->ruleset;
	const struct table *table = ruleset_table(ruleset, BACKEND_NFTABLES, FAMILY_IP, "t");
	const struct table *filter = NULL;

	for (size_t i = 0; i < ruleset->table_count; i++)
		if (strcmp(ruleset->tables[i].name, "filter") == 0)
			filter = &ruleset->tables[i];

	assert_non_null(table);
	assert_int_equal(table_chain(table, "b")->rule_count, 2);
	assert_int_equal(table_chain(table, "b")->whole, TRUTH_YES);
	assert_string_equal(table_chain(table, "b")->origin.source, "2/nft.txt");
	assert_non_null(table_set(table, "s"));
	assert_int_equal(table->object_count, 1);
	/* a listing without interfaces is no better than a save that ends early */
	assert_non_null(filter);
	assert_int_equal(table_chain(filter, "FORWARD")->rule_count, 1);
	assert_int_equal(table_chain(filter, "FORWARD")->whole, TRUTH_NO);
}

static void test_names(void **state)
{
	static const struct {
		const char *name, *command;
	} cases[] = {
		{"ip-addr.txt", "ip addr"},
		{"ip_addr", "ip addr"},
		{"ip6-route.txt", "ip -6 route"},
		{"ip-route-500-2016-06-27_16-29-01", "ip route show table 500"},
		{"ip-4-addr-show.txt", "ip -4 addr"},
		{"ip-route-list-table-DSL.txt", "ip route show table DSL"},
		{"2015_aug_iptables-Lnv", "iptables -L"},
		{"iptables-nat-list.txt", "iptables -L -t nat"},
		{"rules.v6", "ip6tables-save"},
		{"ip6tables-save", "ip6tables-save"},
		{"nft-ruleset.json", "nft -j list ruleset"},
		{"brctl-show.txt", "brctl show"},
		{"neigh.txt", "ip neigh"},
		{"proc-cpuinfo.txt", "/proc/cpuinfo"},
		{"os-release", "os-release"},
		{"wsl.conf", "wsl.conf"},
		{"ss-lntup.txt", "ss -lntu"},
		{"libvirtd-version.txt", "libvirtd --version"},
		{"virsh-dumpxml-vm1.xml", "virsh dumpxml vm1"},
		{"sys.txt", "grep -r . /sys"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup_bundle struct bundle *bundle = bundle_from_text(cases[i].name, "", 0);

		assert_int_equal(bundle->hosts[0]->capture_count, 1);
		assert_string_equal(bundle->hosts[0]->captures[0].command, cases[i].command);
	}
}

/* Names come from the file system, where they may be anything: what is said of them is UTF-8 all the same. */
static void test_strange_names(void **state)
{
	cleanup_bundle struct bundle *bundle = bundle_from_text("getent-\xcb-group.txt", "kvm:x:104:alice\n", 16);
	cleanup_bundle struct bundle *again = NULL;
	cleanup_json json_t *json = bundle_json(bundle, NULL);

	assert_string_equal(bundle->hosts[0]->name, "getent-?-group.txt");
	assert_string_equal(bundle->hosts[0]->captures[0].source, "getent-?-group.txt");
	again = from_json(json);
	assert_true(bundle_equal(bundle, again));
}

/* What has no name where it needs one is a line that was not understood, not a thing without a name. */
static void test_nameless(void **state)
{
	static const char nft[] = "table ip t {\n counter {\n  packets 0 bytes 0\n }\n chain c {\n  accept\n }\n}\n";
	cleanup_bundle struct bundle *bundle = bundle_from_text("nft.txt", nft, sizeof(nft) - 1);
	const struct table *table = &bundle->hosts[0]->ruleset.tables[0];

	assert_int_equal(table->object_count, 0);
	assert_true(bundle->hosts[0]->captures[0].ignored > 0);
	assert_int_equal(table->chain_count, 1);
	assert_int_equal(table->chains[0].rule_count, 1);
}

/* What a guest answers may hold NULs: a piece with one in it is no word, and nothing behind the word is read. */
static void test_words_with_nul(void **state)
{
	char *word = strdup("ss");
	static const struct span piece = {"ss\0\0\0\0", 6}, ss = {"ss", 2}, SS = {"SS", 2};

	assert_false(span_is(piece, word));
	assert_false(span_is_nocase(piece, word));
	assert_true(span_is(ss, word));
	assert_true(span_is_nocase(SS, word));
	free(word);
}

static void test_errors(void **state)
{
	cleanup_error struct error *err = NULL;
	char folder[] = "/tmp/nestvisor-facts-XXXXXX";
	struct bundle *bundle = NULL;

	assert_int_equal(bundle_load("/nowhere/at/all", &bundle, &err), -ENOENT);
	error_freep(&err);
	assert_non_null(mkdtemp(folder));
	assert_int_equal(bundle_load(folder, &bundle, &err), -ENOENT);
	assert_non_null(err->hint);
	assert_null(bundle);
	rmdir(folder);
}

static void refuses(const char *path, const char *text, size_t length, int code, const char *says)
{
	cleanup_error struct error *err = NULL;
	struct bundle *bundle = NULL;
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, length, file), length);
	fclose(file);
	assert_int_equal(bundle_load(path, &bundle, &err), code);
	unlink(path);
	assert_null(bundle);
	assert_non_null(strstr(err->message, says));
	assert_non_null(err->hint);
}

/* What holds nothing of a host is not one; nor is a document of another version, or one without hosts. */
static void test_nothing_in_it(void **state)
{
	static const char zeros[1024], later[] = "{\"schema\": \"nestvisor/facts/2\", \"hosts\": []}",
				       empty[] = "{\"schema\": \"nestvisor/facts/1\", \"hosts\": []}",
				       junk[] = "once upon a time\n";
	char folder[] = "/tmp/nestvisor-facts-XXXXXX";
	char path[64], json[64];
	struct bundle *bundle = NULL;
	cleanup_error struct error *err = NULL;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/junk", folder);
	snprintf(json, sizeof(json), "%s/facts.json", folder);
	refuses(path, junk, strlen(junk), -ENOENT, "no captured output");
	refuses(path, junk, 0, -ENOENT, "no captured output");
	refuses(path, zeros, sizeof(zeros), -ENOENT, "no captured output");
	refuses(json, later, strlen(later), -EPROTONOSUPPORT, "reads nestvisor/facts/1");
	refuses(json, empty, strlen(empty), -ENOENT, "no host");
	rmdir(folder);
	assert_int_equal(bundle_load("/dev/null", &bundle, &err), -EINVAL);
	assert_non_null(strstr(err->message, "neither a file nor a folder"));
}

/* Whatever is in a file, it is read without a crash, and what JSON says of it comes back. */
static void test_garbage(void **state)
{
	static const char *const names[] = {
		"iptables-save", "iptables-L-v.txt", "nft.txt",	  "ip-addr.txt",   "ip-route.txt", "ip-rule.txt",
		"bridge.txt",	 "brctl-show.txt",   "neigh.txt", "ipset.txt",	   "sysctl.txt",   "ipconfig.txt",
		"wslconfig",	 "conntrack.txt",    "ss.txt",	  "ebtables-save", "whatever"};
	static const char letters[] = " \n\"'{}[]:;,-!/*#.abcdefx0123456789\t";
	unsigned seed = 12345;
	char text[2048];

	for (int round = 0; round < 40; round++) {
		for (size_t i = 0; i < sizeof(text); i++) {
			seed = seed * 1103515245 + 12345;
			text[i] = round % 2 ? (char)(seed >> 16) : letters[(seed >> 16) % (sizeof(letters) - 1)];
		}
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
			cleanup_bundle struct bundle *bundle = bundle_from_text(names[i], text, sizeof(text)),
						     *again = NULL;
			cleanup_json json_t *json = bundle_json(bundle, NULL);

			again = from_json(json);
			assert_true(bundle_equal(bundle, again));
		}
	}
}

static void test_system(void **state)
{
	static const char session[] =
		"$ cat /proc/cpuinfo\n"
		"processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD "
		"EPYC\nstepping\t: 1\n"
		"microcode\t: 0xa0011d1\nphysical id\t: 0\ncpu cores\t: 1\nflags\t\t: fpu svm npt\nbugs\t\t: "
		"spectre_v1\n\n"
		"processor\t: 1\nvendor_id\t: AuthenticAMD\nphysical id\t: 0\ncpu cores\t: 1\nflags\t\t: fpu svm npt\n"
		"$ cat /proc/meminfo\nMemTotal:       16384256 kB\nHugePages_Total:       4\nHugepagesize:       2048 "
		"kB\n"
		"$ cat /etc/os-release\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n"
		"$ lsmod\nModule                  Size  Used by\nkvm_amd               155648  2\nkvm                  "
		"1142784  1 kvm_amd\n"
		"$ getent group\nkvm:x:104:alice,bob\nlibvirt:x:105:\n"
		"$ conntrack -L\ntcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=40000 dport=22 "
		"src=10.0.0.2 dst=10.0.0.1 "
		"sport=22 dport=40000 [ASSURED] mark=7 use=1\nudp      17 29 src=10.0.0.1 dst=10.0.0.9 sport=5353 "
		"dport=53 [UNREPLIED] "
		"src=10.0.0.9 dst=10.0.0.1 sport=53 dport=5353 mark=0 use=1\nconntrack v1.4.7 (conntrack-tools): 2 "
		"flow entries have been shown.\n";
	cleanup_bundle struct bundle *bundle = bundle_from_text("session.txt", session, sizeof(session) - 1);
	const struct facts *facts = bundle->hosts[0];

	assert_string_equal(facts->processor.vendor, "AuthenticAMD");
	assert_int_equal(facts->processor.threads.value, 2);
	assert_int_equal(facts->processor.cores.value, 1);
	assert_int_equal(facts->processor.flag_count, 3);
	assert_true(facts->memory.total.value == 16384256ull * 1024);
	assert_int_equal(facts->memory.huge_pages.value, 4);
	assert_string_equal(facts->distribution.id, "debian");
	assert_int_equal(facts->module_count, 2);
	assert_string_equal(facts->groups[0].members[1], "bob");
	assert_int_equal(facts->connection_count, 2);
	assert_string_equal(facts->connections[0].state, "ESTABLISHED");
	assert_int_equal(facts->connections[0].reply.source_port.value, 22);
	assert_true(facts->connections[0].assured && facts->connections[1].unreplied);
	for (size_t i = 0; i < facts->capture_count; i++)
		assert_int_equal(facts->captures[i].ignored, 0);
}

/* Which connections there are is only known where nothing was left out, of either family. */
static void test_connections(void **state)
{
#define FOUR "udp 17 29 src=10.0.0.1 dst=10.0.0.9 sport=1 dport=53 src=10.0.0.9 dst=10.0.0.1 sport=53 dport=1 "
#define SIX  "udp 17 29 src=fd00::1 dst=fd00::9 sport=1 dport=53 src=fd00::9 dst=fd00::1 sport=53 dport=1 "
	static const struct {
		const char *name, *text;
		enum truth four, six;
	} cases[] = {
		{"conntrack.txt", "", TRUTH_YES, TRUTH_YES},
		{"conntrack.txt", "ipv4 2 " FOUR "use=1\n", TRUTH_YES, TRUTH_YES},
		{"conntrack.txt", FOUR "use=1\n", TRUTH_YES, TRUTH_UNKNOWN},
		{"conntrack.txt", FOUR "use=1\n" SIX "use=1\n", TRUTH_YES, TRUTH_YES},
		{"conntrack.txt", "ipv4 2 " FOUR "use=1\nipv4 2 what is this\n", TRUTH_NO, TRUTH_NO},
		{"a", "$ cat /proc/net/nf_conntrack\nipv4 2 " FOUR "use=1\n", TRUTH_YES, TRUTH_YES},
		{"a", "$ conntrack -L\n" FOUR "use=1\n", TRUTH_YES, TRUTH_UNKNOWN},
		{"a", "$ conntrack -L -o extended\nipv4 2 " FOUR "use=1\n", TRUTH_YES, TRUTH_UNKNOWN},
		{"a", "$ conntrack -L\n" FOUR "use=1\n" SIX "use=1\n", TRUTH_YES, TRUTH_YES},
		{"a", "$ conntrack -L -f ipv6\n" SIX "use=1\n", TRUTH_UNKNOWN, TRUTH_YES},
		{"a", "$ conntrack -L\n" FOUR "\n$ conntrack -L -f ipv6\n" SIX "\n", TRUTH_YES, TRUTH_YES},
		{"a", "$ conntrack -L -p udp\n" FOUR "use=1\n", TRUTH_NO, TRUTH_UNKNOWN},
	};
	static const char marked[] = "ipv4 2 " FOUR "helper=tftp use=1\nipv4 2 " FOUR "zone-reply=7 use=1\n";
	cleanup_bundle struct bundle *said = bundle_from_text("conntrack.txt", marked, sizeof(marked) - 1);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup_bundle struct bundle *bundle =
			bundle_from_text(cases[i].name, cases[i].text, strlen(cases[i].text));
		const struct facts *facts = bundle->hosts[0];

		if (facts->connections4_known != cases[i].four || facts->connections6_known != cases[i].six)
			fail_msg("%s: %d %d", cases[i].text, facts->connections4_known, facts->connections6_known);
	}
	assert_string_equal(said->hosts[0]->connections[0].helper, "tftp");
	assert_int_equal(said->hosts[0]->connections[1].zone.value, 7);
}

static void put(const char *folder, const char *name, const char *text)
{
	cleanup_free char *path = NULL;
	char *slash;

	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(dir_make(path, 0700, NULL), 0);
	*slash = '/';
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, NULL), 0);
}

/* As `capture --lab` writes them: names that are no folders, a lab's network, and cables to MACs. */
static void test_called(void **state)
{
	static const char nic[] = "2: eth0: <UP> mtu 1500\n    link/ether 02:00:00:00:00:0a brd ff:ff:ff:ff:ff:ff\n";
	char folder[] = "/tmp/nestvisor-called-XXXXXX";
	cleanup_bundle struct bundle *bundle = NULL;
	const struct relation *cable;

	assert_non_null(mkdtemp(folder));
	put(folder, "hosts/hv1.a/capture.json", "{\"host\": \"hv1/a\", \"alias\": \"hv1.a\", \"items\": []}");
	put(folder, "hosts/hv1.a/ip-addr.txt", nic);
	put(folder, "hosts/L0/capture.json",
	    "{\"host\": \"L0\", \"alias\": \"L0-lab-x\", \"machine\": \"L0-root\", \"items\": []}");
	put(folder, "hosts/L0/ip-addr.txt",
	    "3: a-0: <UP> mtu 1500\n    link/ether 92:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n");
	put(folder, "hosts/L0-root/uname.txt", "Linux pc 6.1.0 #1 SMP x86_64 GNU/Linux\n");
	put(folder, "hosts/renamed/capture.json", "{\"host\": \"hv1/b\", \"alias\": \"hv1.b\", \"items\": []}");
	put(folder, "hosts/renamed/uname.txt", "Linux b 6.1.0 #1 SMP x86_64 GNU/Linux\n");
	put(folder, "links.json",
	    "[[\"L0\", \"a-0\", \"hv1/a\", \"02:00:00:00:00:0a\"], [\"L0\", \"a-0\", \"gone\", "
	    "\"02:00:00:00:00:0b\"]]");
	bundle = load(folder);
	dir_remove(folder, NULL);
	assert_int_equal(bundle->host_count, 4);
	assert_string_equal(bundle_host(bundle, "hv1/a")->name, "hv1/a");
	assert_ptr_equal(bundle_host(bundle, "hv1.a"), bundle_host(bundle, "hv1/a"));
	assert_ptr_equal(bundle_host(bundle, "l0"), bundle_host(bundle, "L0"));
	assert_ptr_equal(bundle_host(bundle, "L0-lab-x"), bundle_host(bundle, "L0"));
	assert_string_equal(bundle_machine(bundle, bundle_host(bundle, "L0"))->name, "L0-root");
	assert_null(bundle_host(bundle, "hv1/b")); /* what somebody renamed is called so */
	assert_string_equal(bundle_host(bundle, "renamed")->name, "renamed");
	assert_int_equal(bundle->relation_count, 2);
	cable = &bundle->relations[0];
	assert_int_equal(cable->kind, RELATION_CABLE);
	assert_string_equal(cable->ends[1].interface, "eth0");
	assert_string_equal(cable->why, "links.json says so");
	assert_string_equal(bundle->relations[1].ends[1].host, "gone"); /* and not captured, so nobody knows which */
	assert_null(bundle->relations[1].ends[1].interface);
}

/* Hosts that were asked one by one are related as if they had come together. */
static void test_join(void **state)
{
	static const char nic[] = "2: eth0: <UP> mtu 1500\n    link/ether 02:00:00:00:00:0a brd ff:ff:ff:ff:ff:ff\n";
	static const char tap[] = "3: a-0: <UP> mtu 1500\n    link/ether 92:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n";
	struct bundle *parts[] = {bundle_from_text("hv1", nic, strlen(nic)), NULL,
				  bundle_from_text("L0", tap, strlen(tap))};
	cleanup_json json_t *cables = json_pack("[[s,s,s,s]]", "L0", "a-0", "hv1", "02:00:00:00:00:0a");
	cleanup_bundle struct bundle *bundle = bundle_join(parts, 3, cables, "lab x");

	assert_int_equal(bundle->host_count, 2);
	assert_string_equal(bundle->hosts[0]->name, "L0");
	assert_int_equal(bundle->relation_count, 1);
	assert_string_equal(bundle->relations[0].why, "lab x says so");
	assert_string_equal(bundle->relations[0].ends[1].interface, "eth0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_called),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_saved_twice),
		cmocka_unit_test(test_load_document),
		cmocka_unit_test(test_bad_documents),
		cmocka_unit_test(test_text_is_json),
		cmocka_unit_test(test_relations),
		cmocka_unit_test(test_same_subnet_twice),
		cmocka_unit_test(test_unknown_stays_unknown),
		cmocka_unit_test(test_empty_is_known),
		cmocka_unit_test(test_shadows),
		cmocka_unit_test(test_rules_of_nft_that_iptables_shows),
		cmocka_unit_test(test_ebtables_save),
		cmocka_unit_test(test_routes_twice),
		cmocka_unit_test(test_policy_rules_in_brackets),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_reformatted),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_cut_is_said),
		cmocka_unit_test(test_two_captures),
		cmocka_unit_test(test_cut_and_whole),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_strange_names),
		cmocka_unit_test(test_nameless),
		cmocka_unit_test(test_words_with_nul),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_nothing_in_it),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
