/*
 * verify/ and render/: why a packet does not arrive, what mends it, and how that is made to last. The stack of three
 * layers that its owner captured lies beside the source tree; where it is missing, its tests say so and are skipped.
 */
#include "facts_check.h"

#include "base/arena.h"
#include "render/repair.h"
#include "schema_check.h"
#include "verify/ends.h"
#include "verify/lasting.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

struct asked {
	struct arena *arena;
	struct bundle *bundle;
	struct stack *stack;
	struct question question;
	struct repair_view view;
};

static void ask(struct asked *asked, const char *path, const char *from, const char *to, uint16_t port)
{
	cleanup_error struct error *err = NULL;
	struct ends ends = {.from = from, .to = to};
	struct stack_host *target;
	struct ip ip;

	*asked = (struct asked){.arena = arena_new(), .bundle = load(path)};
	asked->stack = stack_new(asked->bundle);
	if (ends_resolve(asked->stack, &ends, &asked->question, &target, &err) < 0)
		fail_msg("%s", err->message);
	asked->question.packet.protocol = PROTOCOL_TCP;
	asked->question.packet.tcp_flags = TCP_SYN;
	asked->question.packet.dport = port_of(port);
	asked->question.packet.sport = (struct ports){32768, 60999};
	asked->question.packet.ttl = number_of(64);
	asked->question.packet.tos = number_of(0);
	asked->view = (struct repair_view){.from = from, .to = to, .packet = &asked->question.packet};
	asked->view.repair = repair_find(
		asked->arena, &(struct repair_input){.bundle = asked->bundle,
						     .question = &asked->question,
						     .to = target && !ip_parse(to, &ip) ? target->name : NULL,
						     .both = true});
	if (!asked->question.packet.src.family)
		asked->question.packet.src = asked->view.repair->answer->source;
}

static void end(struct asked *asked)
{
	stack_free(asked->stack);
	bundle_free(asked->bundle);
	arena_free(asked->arena);
}

/* Where the owner's capture is; NULL, said aloud, where it is not. */
static char *capture_path(void)
{
	char *path = source_path("../shared/captures/wsl2-nested");

	if (access(path, F_OK) < 0) {
		print_message("%s is missing\n", path);
		free(path);
		return NULL;
	}
	return path;
}

static void check_text(const char *name, const char *text)
{
	cleanup_free char *below = NULL, *path = NULL;

	assert_true(asprintf(&below, "tests/golden/render/%s", name) > 0);
	path = source_path(below);
	check_golden(path, text);
}

static void check_json(const char *name, const char *schema, json_t *json)
{
	cleanup_free char *text = json_dumps(json, JSON_INDENT(1)), *file = NULL;
	char why[WHY_SIZE] = "";

	if (!schema_fits(schema, json, why))
		fail_msg("%s: %s", name, why);
	assert_true(asprintf(&file, "%s\n", text) > 0);
	check_text(name, file);
	json_decref(json);
}

static bool assumes(const struct repair *repair, const char *what)
{
	for (size_t i = 0; i < repair->assumption_count; i++)
		if (strstr(repair->assumptions[i].text, what))
			return true;
	return false;
}

static void check_cause(const struct cause *cause, const char *host, const char *source, uint32_t line)
{
	assert_string_equal(cause->answer->where->name, host);
	assert_string_equal(cause->origin->source, source);
	assert_int_equal(cause->origin->line, line);
}

static void test_nested(void **state)
{
	cleanup_free char *path = capture_path();
	cleanup_strbuf struct strbuf why = {0}, fix = {0};
	struct style style = {0};
	struct asked asked;
	const struct repair *repair;

	if (!path)
		skip();
	ask(&asked, path, "wsl2", "vm2", 22);
	repair = asked.view.repair;
	assert_int_equal(repair->cause_count, 2);
	check_cause(&repair->causes[0], "wsl2", "wsl2/ip-route.txt", 1);
	assert_non_null(strstr(repair->causes[0].what, "172.24.21.254 dev eth1"));
	check_cause(&repair->causes[1], "vm1", "vm1/iptables-save.txt", 36);
	assert_int_equal(repair->causes[1].answer->rule->index, 4);
	assert_true(repair->mended);
	assert_int_equal(repair->change_count, 2);
	assert_int_equal(repair->changes[0]->kind, CHANGE_ROUTE);
	assert_string_equal(repair->changes[0]->command,
			    "ip route add 192.168.124.0/24 via 192.168.122.191 dev virbr0");
	assert_string_equal(repair->changes[0]->permanent[0].file, "/etc/wsl.conf");
	assert_int_equal(repair->changes[1]->kind, CHANGE_RULE);
	assert_int_equal(repair->changes[1]->rule.before, 4);
	assert_string_equal(repair->changes[1]->permanent[0].file, "/etc/iptables/rules.v4");
	assert_true(assumes(repair, "wsl2: no rules in iptables' tables filter"));
	assert_true(assumes(repair, "vm1: sysctl net.ipv4.conf.enp1s0.forwarding"));
	assert_true(assumes(repair, "vm1: sysctl net.ipv4.conf.virbr0.forwarding"));
	why_text(&asked.view, &style, &why);
	check_text("wsl2-nested.why", why.text);
	check_json("wsl2-nested.why.json", "why", why_json(&asked.view));
	fix_text(&asked.view, &style, &fix);
	check_text("wsl2-nested.fix", fix.text);
	check_json("wsl2-nested.fix.json", "fix", fix_json(&asked.view));
	end(&asked);
}

/* In mirrored mode Windows has addresses of WSL's: a way to Windows does not lead over oneself. */
static void test_next_hop(void **state)
{
	cleanup_free char *path = capture_path();
	struct asked asked;
	const struct repair *repair;

	if (!path)
		skip();
	ask(&asked, path, "vm1", "windows", 22);
	repair = asked.view.repair;
	assert_int_equal(repair->cause_count, 1);
	assert_string_equal(repair->causes[0].host, "wsl2");
	for (size_t i = 0; i < repair->change_count; i++)
		if (repair->changes[i]->kind == CHANGE_ROUTE) {
			const struct nexthop *hop = &repair->changes[i]->route.entry->nexthops[0];
			const struct stack_host *host = stack_host(repair->stack, repair->changes[i]->host);

			assert_true(!hop->via.family || !stack_link_with_address(host, &hop->via));
		}
	assert_false(repair->mended);
	end(&asked);
}

/* Who is cut is told so, and not by which rules. */
static void test_isolated(void **state)
{
	struct answer dropped = {.fate = FATE_DROPPED};
	struct cause causes[] = {{.answer = &dropped, .host = "L0", .what = "L0 drops it: rule 1 of leaves_cut"},
				 {.answer = &dropped, .host = "L0", .what = "L0 drops it: rule 2 of world"}};
	struct repair repair = {.causes = causes, .cause_count = 2, .mended = true, .change_count = 2};
	struct packet packet = {.family = AF_INET, .protocol = PROTOCOL_ICMP};
	struct repair_view view = {.repair = &repair, .from = "hv1/a", .to = "world", .packet = &packet};
	cleanup_strbuf struct strbuf open = {0}, cut = {0};
	struct style style = {0};

	why_text(&view, &style, &open);
	assert_non_null(strstr(open.text, "leaves_cut"));
	assert_non_null(strstr(open.text, "`nestvisor fix`"));
	view.isolated = (struct repair_isolation){"hv1/a", "cut"};
	why_text(&view, &style, &cut);
	assert_non_null(strstr(cut.text, "hv1/a does not reach world"));
	assert_non_null(strstr(cut.text, "\n\nhv1/a is cut: `nestvisor open hv1/a`\n"));
	assert_null(strstr(cut.text, "drops it"));
	assert_null(strstr(cut.text, "nestvisor fix"));
	for (int i = 0; i < 2; i++) {
		cleanup_json json_t *answer = why_json(&view), *isolated;

		assert_fits("why", json_incref(answer));
		isolated = json_object_get(answer, "isolated");
		assert_int_equal(json_is_object(isolated), i == 0);
		view.isolated.guest = NULL;
	}
	assert_true(lasting_is_labs_table(BACKEND_NFTABLES, "nestvisor"));
	assert_true(lasting_is_labs_table(BACKEND_NFTABLES, "nestvisor-first"));
	assert_false(lasting_is_labs_table(BACKEND_NFTABLES, "nestvisors"));
	assert_false(lasting_is_labs_table(BACKEND_NFTABLES, "filter"));
}

/* An address that two hosts have is asked for: either is who is meant. A host is that host. */
static void test_shared_address(void **state)
{
	cleanup_free char *path = capture_path();
	struct asked asked;

	if (!path)
		skip();
	ask(&asked, path, "vm1", "172.24.21.109", 22);
	assert_int_equal(asked.view.repair->cause_count, 0);
	assert_int_equal(asked.view.repair->answer->fate, FATE_DELIVERED);
	assert_string_equal(asked.view.repair->answer->where->name, "wsl2");
	assert_string_equal(asked.view.repair->reply->where->name, "vm1");
	end(&asked);
}

/* ---- with the owner's changes in place ---- */

/* Puts more lines in front of that text, or at the end. */
static void edit(const char *folder, const char *file, const char *before, const char *more)
{
	cleanup_strbuf struct strbuf edited = {0};
	cleanup_free char *path = NULL, *text = NULL;
	size_t length, at;

	assert_true(asprintf(&path, "%s/%s", folder, file) > 0);
	text = read_file(path, &length);
	for (at = 0; text[at] && (!before || strncmp(text + at, before, strlen(before)) != 0); at++)
		continue;
	assert_true(!before || text[at]);
	strbuf_add_bytes(&edited, text, at);
	strbuf_add(&edited, more);
	strbuf_add_bytes(&edited, text + at, length - at);
	assert_int_equal(file_write_atomic(path, edited.text, edited.length, 0644, NULL), 0);
}

static void run(const char *format, const char *a, const char *b)
{
	cleanup_free char *command = NULL;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	assert_true(asprintf(&command, format, a, b) > 0);
#pragma GCC diagnostic pop
	assert_int_equal(system(command), 0);
}

static void test_owner_mended(void **state)
{
	cleanup_free char *path = capture_path();
	char folder[] = "/tmp/nestvisor-repair-XXXXXX";
	struct asked asked;

	if (!path)
		skip();
	assert_non_null(mkdtemp(folder));
	run("cp -r '%s'/. '%s'", path, folder);
	edit(folder, "wsl2/ip-route.txt", NULL, "\n192.168.124.0/24 via 192.168.122.191 dev virbr0\n");
	edit(folder, "vm1/iptables-save.txt", "-A FORWARD -d 192.168.124.0/24",
	     "-A FORWARD -s 192.168.122.0/24 -d 192.168.124.0/24 -j ACCEPT\n"
	     "-A FORWARD -s 192.168.124.0/24 -d 192.168.122.0/24 -j ACCEPT\n"
	     "-A FORWARD -i virbr0 -o virbr0 -j ACCEPT\n");
	ask(&asked, folder, "wsl2", "vm2", 22);
	assert_int_equal(asked.view.repair->cause_count, 0);
	assert_int_equal(asked.view.repair->change_count, 0);
	assert_int_equal(asked.view.repair->answer->fate, FATE_DELIVERED);
	assert_string_equal(asked.view.repair->answer->where->name, "vm2");
	assert_int_equal(asked.view.repair->reply->fate, FATE_DELIVERED);
	assert_string_equal(asked.view.repair->reply->where->name, "wsl2");
	end(&asked);
	run("rm -r '%s%s'", folder, "");
}

/* Without its route a host sends packets back; that they are dropped there is told as the missing route. */
static void test_turned_back(void **state)
{
	static const char dropped[] = "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
				      "-A PREROUTING -s 192.168.122.1/32 -i virbr0 -j DROP\nCOMMIT\n";
	cleanup_free char *path = capture_path(), *rules = NULL;
	char folder[] = "/tmp/nestvisor-repair-XXXXXX";
	const struct repair *repair;
	struct asked asked;

	if (!path)
		skip();
	assert_non_null(mkdtemp(folder));
	run("cp -r '%s'/. '%s'", path, folder);
	edit(folder, "wsl2/ip-route.txt", NULL, "\n192.168.124.0/24 via 192.168.122.191 dev virbr0\n");
	run("sed -i /192.168.124.0/d '%s/%s'", folder, "vm1/ip-route.txt");
	assert_true(asprintf(&rules, "%s/wsl2/iptables-save.txt", folder) > 0);
	assert_int_equal(file_write_atomic(rules, dropped, sizeof(dropped) - 1, 0644, NULL), 0);
	ask(&asked, folder, "wsl2", "vm2", 22);
	repair = asked.view.repair;
	assert_true(repair->cause_count >= 1);
	assert_int_equal(repair->causes[0].answer->fate, FATE_DROPPED);
	assert_string_equal(repair->causes[0].answer->where->name, "wsl2");
	assert_string_equal(repair->causes[0].host, "vm1");
	assert_non_null(strstr(repair->causes[0].what, "vm1 has no route of its own to 192.168.124.0/24"));
	assert_string_equal(repair->causes[0].origin->source, "vm1/ip-route.txt");
	assert_true(repair->mended);
	assert_int_equal(repair->changes[0]->kind, CHANGE_ROUTE);
	assert_string_equal(repair->changes[0]->host, "vm1");
	end(&asked);
	run("rm -r '%s%s'", folder, "");
}

/* ---- making it last ---- */

struct lasting {
	struct arena *arena;
	struct bundle *bundle;
	struct change_site site;
	struct change *changes[4];
	size_t count;
	const char *const *made;
};

static const char addresses[] =
	"1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536\n    inet 127.0.0.1/8 scope host lo\n"
	"2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500\n    inet 10.0.0.2/24 scope global eth0\n"
	"3: eth1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500\n    inet 10.1.0.2/24 scope global eth1\n";

static void begin(struct lasting *lasting, const char *distribution)
{
	*lasting = (struct lasting){.arena = arena_new()};
	lasting->bundle = bundle_from_text("ip-addr.txt", addresses, sizeof(addresses) - 1);
	lasting->bundle->hosts[0]->distribution.id = distribution;
	lasting->site = (struct change_site){lasting->arena, lasting->bundle, lasting->bundle->hosts[0]};
}

static void add_route(struct lasting *lasting, const char *to, const char *via, const char *dev)
{
	struct prefix prefix;
	struct ip gateway;

	assert_true(prefix_parse(to, &prefix) && ip_parse(via, &gateway));
	lasting->changes[lasting->count] = change_route(&lasting->site, &prefix, &gateway, dev, "main");
	assert_non_null(lasting->changes[lasting->count++]);
}

static void check_lasting(struct lasting *lasting, size_t change, const char *how, const char *text)
{
	lasting_find(lasting->arena, lasting->bundle, lasting->made, lasting->changes, lasting->count);
	for (size_t i = 0; i < lasting->changes[change]->permanent_count; i++)
		if (strcmp(lasting->changes[change]->permanent[i].how, how) == 0) {
			assert_string_equal(lasting->changes[change]->permanent[i].text, text);
			return;
		}
	fail_msg("%s is not said", how);
}

static void finish(struct lasting *lasting)
{
	bundle_free(lasting->bundle);
	arena_free(lasting->arena);
}

#define WSL_LOOP(command) "(for nestvisor_fix in $(seq 60); do { " command "; } && break; sleep 1; done) &"
#define WSL_LOOPS                                                                                                      \
	WSL_LOOP("ip route replace 10.2.0.0/16 via 10.0.0.1 dev eth0") " " WSL_LOOP("sysctl -w net.ipv4.ip_forward=1")

static void test_wsl(void **state)
{
	static struct setting old = {.section = "boot", .key = "command", .value = "echo \"hi\""};
	struct lasting lasting;

	begin(&lasting, "ubuntu");
	lasting.site.host = lasting.bundle->hosts[0];
	lasting.bundle->hosts[0]->wslconf_known = TRUTH_YES;
	add_route(&lasting, "10.2.0.0/16", "10.0.0.1", "eth0");
	lasting.changes[lasting.count++] = change_sysctl(&lasting.site, "net.ipv4.ip_forward", 1);
	for (size_t i = 0; i < 2; i++)
		check_lasting(&lasting, i, "wsl.conf", "[boot]\ncommand = \"" WSL_LOOPS "\"\n");
	lasting.bundle->hosts[0]->wslconf = &old;
	lasting.bundle->hosts[0]->wslconf_count = 1;
	check_lasting(&lasting, 0, "wsl.conf", "[boot]\ncommand = \"" WSL_LOOPS " echo \\\"hi\\\"\"\n");
	lasting.bundle->hosts[0]->wslconf_count = 0;
	finish(&lasting);
}

static void test_routes_last(void **state)
{
	static const char *const netplan = "network:\n  version: 2\n  ethernets:\n    eth0:\n      routes:\n"
					   "        - to: \"10.2.0.0/16\"\n          via: \"10.0.0.1\"\n"
					   "        - to: \"10.3.0.0/16\"\n          via: \"10.0.0.1\"\n"
					   "    eth1:\n      routes:\n"
					   "        - to: \"10.4.0.0/16\"\n          via: \"10.1.0.1\"\n";
	struct lasting lasting;

	begin(&lasting, "ubuntu");
	add_route(&lasting, "10.2.0.0/16", "10.0.0.1", "eth0");
	add_route(&lasting, "10.4.0.0/16", "10.1.0.1", "eth1");
	add_route(&lasting, "10.3.0.0/16", "10.0.0.1", "eth0");
	check_lasting(&lasting, 0, "netplan", netplan);
	check_lasting(&lasting, 2, "netplan", netplan);
	assert_int_equal(lasting.changes[0]->permanent_count, 1);
	lasting.bundle->hosts[0]->distribution.id = "debian";
	check_lasting(&lasting, 1, "ifupdown",
		      "#!/bin/sh\n[ \"$IFACE\" != \"eth0\" ] || ip route replace 10.2.0.0/16 via 10.0.0.1 dev eth0\n"
		      "[ \"$IFACE\" != \"eth1\" ] || ip route replace 10.4.0.0/16 via 10.1.0.1 dev eth1\n"
		      "[ \"$IFACE\" != \"eth0\" ] || ip route replace 10.3.0.0/16 via 10.0.0.1 dev eth0\nexit 0\n");
	lasting.bundle->hosts[0]->distribution.id = "fedora";
	check_lasting(&lasting, 1, "NetworkManager",
		      "nmcli connection modify \"$(nmcli -g GENERAL.CONNECTION device show eth1)\" +ipv4.routes "
		      "\"10.4.0.0/16 10.1.0.1\" && nmcli device reapply eth1");
	finish(&lasting);
}

/* A lab makes its hosts and its rules anew, and nothing in them lasts. */
static void test_lab_decides(void **state)
{
	static const char *const others[] = {"other", NULL};
	static const char *const tables[] = {"nestvisor-first", "nestvisors"};
	struct change rules[] = {
		{.kind = CHANGE_RULE, .command = "nft add rule", .rule = {.backend = BACKEND_NFTABLES}},
		{.kind = CHANGE_RULE, .command = "nft add rule", .rule = {.backend = BACKEND_NFTABLES}},
	};
	struct lasting lasting;
	const char *made[] = {"other", NULL, NULL};
	struct rule_wish published = {.publish.family = AF_INET};

	begin(&lasting, "debian");
	add_route(&lasting, "10.2.0.0/16", "10.0.0.1", "eth0");
	for (size_t i = 0; i < 2; i++) {
		rules[i].host = lasting.bundle->hosts[0]->name;
		rules[i].rule.family = FAMILY_INET;
		rules[i].rule.table = tables[i];
		rules[i].rule.chain = "forward";
		lasting.changes[lasting.count++] = &rules[i];
	}
	lasting.made = others;
	check_lasting(&lasting, 0, "ifupdown",
		      "#!/bin/sh\n[ \"$IFACE\" != \"eth0\" ] || ip route replace 10.2.0.0/16 via 10.0.0.1 dev "
		      "eth0\nexit 0\n");
	check_lasting(&lasting, 1, "lab file",
		      "the lab file decides (publish, world, uplink): `nestvisor up` makes these rules anew");
	assert_int_equal(rules[0].permanent_count, 1);
	assert_int_equal(rules[0].permanent[0].placing, PLACE_NOWHERE);
	check_lasting(&lasting, 2, "nftables.conf", "# at the end\nadd rule\n");
	rules[0].kind = CHANGE_NAT;
	rules[0].rule.wish = &published;
	check_lasting(&lasting, 1, "lab file",
		      "a `publish` line of the guest in the lab file does: `nestvisor up` makes it so");
	made[1] = lasting.bundle->hosts[0]->name;
	lasting.made = made;
	check_lasting(&lasting, 0, "lab file", "the lab file decides: `nestvisor up` makes this host anew");
	assert_int_equal(lasting.changes[0]->permanent_count, 1);
	assert_null(lasting.changes[0]->permanent[0].file);
	finish(&lasting);
}

/* What a shell would read as more than a word never gets into a command. */
static void test_names_are_words(void **state)
{
	static const char *const names[] = {"eth0;reboot", "$(reboot)", "a b", "-x", "`x`", "a\nb", "", "a'b", "a\"b"};
	struct prefix to;
	struct lasting lasting;

	begin(&lasting, "debian");
	assert_true(prefix_parse("10.2.0.0/16", &to));
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		assert_null(change_route(&lasting.site, &to, NULL, names[i], "main"));
		assert_null(change_route(&lasting.site, &to, NULL, "eth0", names[i]));
		assert_null(change_link_up(&lasting.site, names[i]));
		assert_null(change_sysctl(&lasting.site, names[i], 1));
	}
	finish(&lasting);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nested),	    cmocka_unit_test(test_next_hop),
		cmocka_unit_test(test_isolated),    cmocka_unit_test(test_shared_address),
		cmocka_unit_test(test_lab_decides), cmocka_unit_test(test_owner_mended),
		cmocka_unit_test(test_turned_back), cmocka_unit_test(test_wsl),
		cmocka_unit_test(test_routes_last), cmocka_unit_test(test_names_are_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
