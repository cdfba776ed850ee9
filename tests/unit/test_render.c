/*
 * render/: text that is safe to draw, tables, and golden files for what is drawn of a lab and of hostile labs.
 * GOLDEN=write writes the golden files anew.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "render/graph.h"
#include "render/plan.h"
#include "render/schema.h"
#include "render/status.h"
#include "render/table.h"
#include "render/text.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "schema_check.h"

static const struct style plain = {}, pretty = {.utf8 = true}, colourful = {.utf8 = true, .colour = true};

/* Labs are built by hand: names that no lab file may have must not break a picture either. */

static struct ip address(const char *text)
{
	struct ip ip;

	assert_true(ip_parse(text, &ip));
	return ip;
}

static struct prefix subnet(const char *text)
{
	struct prefix prefix;

	assert_true(prefix_parse(text, &prefix));
	return prefix;
}

static struct lab *new_lab(const char *name)
{
	struct arena *arena = arena_new();
	struct lab *lab = arena_new_struct(arena, struct lab);

	lab->arena = arena;
	lab->name = name;
	lab->file = "test";
	lab->root = arena_new_struct(arena, struct host);
	lab->root->path = "";
	return lab;
}

static const char *below(struct lab *lab, const struct host *host, const char *name)
{
	return *host->path ? arena_printf(lab->arena, "%s/%s", host->path, name) : name;
}

static struct network *new_network(struct lab *lab, struct host *host, const char *name, const char *four,
				   const char *six, enum uplink uplink)
{
	struct network *network = arena_new_struct(lab->arena, struct network);

	network->name = name;
	network->path = below(lab, host, name);
	network->owner = host;
	network->uplink = uplink;
	network->mtu = 1500;
	if (four) {
		network->subnet4 = subnet(four);
		network->gateway4 = prefix_host(&network->subnet4, 1);
	}
	if (six) {
		network->subnet6 = subnet(six);
		network->gateway6 = prefix_host(&network->subnet6, 1);
	}
	*arena_push(lab->arena, host->networks, host->network_count) = network;
	*arena_push(lab->arena, lab->networks, lab->network_count) = network;
	return network;
}

static struct guest *new_guest(struct lab *lab, struct host *host, const char *name, enum world world)
{
	struct guest *guest = arena_new_struct(lab->arena, struct guest);

	guest->name = name;
	guest->path = below(lab, host, name);
	guest->parent = host;
	guest->layer = host->layer + 1;
	guest->cpus = 2;
	guest->memory = UINT64_C(1536) << 20;
	guest->image = "micro";
	guest->world = world;
	guest->index = lab->guest_count;
	*arena_push(lab->arena, host->guests, host->guest_count) = guest;
	*arena_push(lab->arena, lab->guests, lab->guest_count) = guest;
	return guest;
}

static struct host *make_host(struct lab *lab, struct guest *guest)
{
	guest->host = arena_new_struct(lab->arena, struct host);
	guest->host->path = guest->path;
	guest->host->layer = guest->layer;
	guest->host->guest = guest;
	return guest->host;
}

static void new_nic(struct lab *lab, struct guest *guest, struct network *network, const char *four, const char *six)
{
	struct nic *nic = arena_push(lab->arena, guest->nics, guest->nic_count);

	*nic = (struct nic){.network = network, .guest = guest, .index = (unsigned)guest->nic_count - 1};
	memcpy(nic->mac, "\x02\x11\x22\x33\x44", 5);
	nic->mac[5] = (uint8_t)guest->index;
	if (four)
		nic->address4 = address(four);
	if (six)
		nic->address6 = address(six);
}

static void new_publish(struct lab *lab, struct guest *guest, uint16_t port, uint16_t as, uint8_t protocol,
			const char *at)
{
	struct publish *publish = arena_push(lab->arena, guest->publish, guest->publish_count);

	*publish = (struct publish){.port = port, .as = as, .protocol = protocol};
	if (at)
		publish->address = address(at);
}

/* Every shape there is: cut and sealed, dhcp, IPv6, two NICs, no uplink, published ports, three layers of guests. */
static struct lab *make_first(void)
{
	struct lab *lab = new_lab("first");
	struct network *outer = new_network(lab, lab->root, "lab", "192.168.122.0/24", "fd00:122::/64", UPLINK_NAT);
	struct network *quiet = new_network(lab, lab->root, "quiet", "10.9.0.0/24", NULL, UPLINK_NONE);
	struct guest *hv1 = new_guest(lab, lab->root, "hv1", WORLD_OPEN);
	struct host *host = make_host(lab, hv1);
	struct network *inner = new_network(lab, host, "inner", "192.168.124.0/24", NULL, UPLINK_ROUTE);
	struct guest *a = new_guest(lab, host, "a", WORLD_CUT), *b = new_guest(lab, host, "b", WORLD_SEALED);
	struct host *deep = make_host(lab, a);
	struct network *deeper = new_network(lab, deep, "deeper", NULL, "fd00:125::/64", UPLINK_ROUTE);
	struct guest *c = new_guest(lab, deep, "c", WORLD_OPEN),
		     *alone = new_guest(lab, lab->root, "alone", WORLD_OPEN);

	deeper->encapsulation = ENCAP_VXLAN;
	deeper->vni = 42;
	quiet->dhcp = true;
	new_nic(lab, hv1, outer, "192.168.122.191", "fd00:122::191");
	new_nic(lab, hv1, quiet, NULL, NULL);
	new_nic(lab, a, inner, "192.168.124.91", NULL);
	new_nic(lab, b, inner, NULL, NULL);
	new_nic(lab, c, deeper, NULL, "fd00:125::9");
	new_publish(lab, a, 3389, 13389, IPPROTO_TCP, NULL);
	new_publish(lab, a, 53, 0, IPPROTO_UDP, "::1");
	(void)alone;
	return lab;
}

static const char *const hostile[] = {
	"\"]; click g0 \"javascript:alert(1)\"",
	"end",
	"<img src=x onerror=alert(1)>",
	"`**bold**`",
	"1. list",
	"a\nsubgraph x",
	"\033[2J\033]0;owned\a",
	"\xe2\x80\xaetxt.exe",
	"style: #35; --> world",
	"日本 のゲスト",
	"#quot;&amp;{{}}|",
	"---",
	"graph TD; %% comment",
	"classDef x:#1;",
};

enum { HOSTILE = sizeof(hostile) / sizeof(*hostile) };

static struct lab *make_hostile(void)
{
	struct lab *lab = new_lab("bad: \"lab\"\n---\n%%{init: {}}%%");
	struct host *host = lab->root;

	for (size_t i = 0; i < HOSTILE; i++) {
		struct network *network = new_network(lab, host, hostile[HOSTILE - 1 - i], i % 2 ? NULL : "10.0.0.0/24",
						      NULL, UPLINK_NAT);
		struct guest *guest = new_guest(lab, host, hostile[i], (enum world)(i % 3));

		new_nic(lab, guest, network, i % 2 ? NULL : "10.0.0.5", NULL);
		if (i % 4 == 0)
			host = make_host(lab, guest);
	}
	return lab;
}

static struct lab_status *make_status(struct lab *lab)
{
	struct lab_status *status = arena_new_struct(lab->arena, struct lab_status);

	status->lab = lab;
	status->hostname = "devbox";
	status->accelerator = "tcg";
	status->accelerator_why = "no stock kernel boots on /dev/kvm";
	status->guests = arena_alloc(lab->arena, lab->guest_count * sizeof(*status->guests));
	for (size_t i = 0; i < lab->guest_count; i++) {
		status->guests[i].state = (enum guest_state)((i + GUEST_RUNNING) % (GUEST_UNKNOWN + 1));
		status->guests[i].accelerator = i % 2 ? "kvm" : "tcg";
		status->guests[i].pid = (pid_t)(4000 + i);
		status->guests[i].since = 1700000000 + (long long)(i * 5000);
		if (status->guests[i].state >= GUEST_DEAD)
			status->guests[i].note = "its QEMU has\nended: \033[31mboom";
	}
	return status;
}

/* Golden files. */

static char *golden_path(const char *name)
{
	const char *slash = strrchr(__FILE__, '/');
	char *path;

	assert_non_null(slash);
	assert_true(asprintf(&path, "%.*s/../golden/render/%s", (int)(slash - __FILE__), __FILE__, name) > 0);
	return path;
}

static void assert_golden(const char *name, const char *text)
{
	cleanup_free char *path = golden_path(name), *wanted = NULL;
	cleanup_error struct error *err = NULL;
	size_t length;

	if (getenv("GOLDEN") && strcmp(getenv("GOLDEN"), "write") == 0) {
		FILE *file = fopen(path, "we");

		assert_non_null(file);
		assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
		assert_int_equal(fclose(file), 0);
		return;
	}
	if (file_read(path, 1 << 20, &wanted, &length, &err) < 0)
		fail_msg("%s; GOLDEN=write makes it", err->message);
	assert_string_equal(text, wanted);
}

static void assert_golden_json(const char *name, json_t *json)
{
	cleanup_free char *text = NULL;
	cleanup_strbuf struct strbuf lines = {};

	assert_non_null(json);
	text = json_dumps(json, JSON_INDENT(2));
	json_decref(json);
	strbuf_printf(&lines, "%s\n", text);
	assert_golden(name, lines.text);
}

static void test_tree(void **state)
{
	cleanup_lab struct lab *lab = make_first();
	cleanup_strbuf struct strbuf file = {}, running = {}, ascii = {}, colour = {};

	graph_tree(lab, NULL, &pretty, &file);
	graph_tree(lab, make_status(lab), &pretty, &running);
	graph_tree(lab, NULL, &plain, &ascii);
	graph_tree(lab, make_status(lab), &colourful, &colour);
	assert_golden("first.tree", file.text);
	assert_golden("first-running.tree", running.text);
	assert_golden("first-ascii.tree", ascii.text);
	assert_golden("first-colour.tree", colour.text);
	for (const char *at = ascii.text; *at; at++)
		assert_true((unsigned char)*at < 0x80);
}

static void test_mermaid(void **state)
{
	cleanup_lab struct lab *lab = make_first();
	cleanup_strbuf struct strbuf file = {}, running = {};

	graph_mermaid(lab, NULL, &file);
	graph_mermaid(lab, make_status(lab), &running);
	assert_golden("first.mmd", file.text);
	assert_golden("first-running.mmd", running.text);
}

static void test_status(void **state)
{
	cleanup_lab struct lab *lab = make_first();
	struct lab_status *status = make_status(lab);
	struct style narrow = {.columns = 40};
	cleanup_strbuf struct strbuf table = {}, fits = {}, colour = {};

	status_table(status, 1700020000, &pretty, &table);
	status->interrupted = "start hv1/a";
	status_table(status, 1700020000, &narrow, &fits);
	status_table(status, 0, &colourful, &colour);
	assert_golden("first.status", table.text);
	assert_golden("first-narrow.status", fits.text);
	assert_golden("first-colour.status", colour.text);
	assert_golden_json("first.status.json", status_json(status));
	assert_golden_json("first.graph.json", graph_json(lab, status));
}

static void test_status_drift(void **state)
{
	static const char *const drifts[] = {"<vcpu>2</vcpu> → <vcpu>4</vcpu>", "added: <title>\033[2J</title>"};
	cleanup_lab struct lab *lab = make_first();
	struct lab_status *status = make_status(lab);
	cleanup_strbuf struct strbuf table = {};

	status->guests[0].drift = (struct guest_drift){.changes = drifts, .count = 2, .of_machine = true};
	status->guests[1].drift = (struct guest_drift){.unknown = "libvirt at qemu:///system says \"no\""};
	status_table(status, 1700020000, &pretty, &table);
	assert_golden("first-drift.status", table.text);
	assert_golden_json("first-drift.status.json", status_json(status));
}

static void test_hostile(void **state)
{
	cleanup_lab struct lab *lab = make_hostile();
	struct lab_status *status = make_status(lab);
	cleanup_strbuf struct strbuf tree = {}, mermaid = {}, table = {};

	graph_tree(lab, status, &pretty, &tree);
	graph_mermaid(lab, status, &mermaid);
	status_table(status, 0, &pretty, &table);
	assert_golden("hostile.tree", tree.text);
	assert_golden("hostile.mmd", mermaid.text);
	assert_golden("hostile.status", table.text);
	assert_null(strchr(tree.text, '\033'));
	assert_null(strchr(mermaid.text, '\033'));
	assert_null(strchr(table.text, '\033'));
}

/* In Mermaid only our own quotes, tags and brackets stand: each line is one that we write, whatever the names are. */
static void test_mermaid_holds_names(void **state)
{
	cleanup_lab struct lab *lab = make_hostile();
	cleanup_strbuf struct strbuf out = {};
	char *save = NULL;

	graph_mermaid(lab, NULL, &out);
	strtok_r(out.text, "\n", &save); /* --- */
	strtok_r(NULL, "\n", &save);	 /* title */
	for (char *line = strtok_r(NULL, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		size_t quotes = 0;

		for (const char *at = line; *at; at++) {
			quotes += *at == '"';
			if (quotes % 2 == 1)
				assert_true(!strchr("`{}[]()|\\&*_", *at) &&
					    (*at != '<' || strncmp(at, "<br>", 4) == 0));
		}
		assert_true(quotes == 0 || quotes == 2);
	}
}

static const struct plan_change changes[] = {
	{PLAN_CREATE, "guest", "hv1/a", "", false},
	{PLAN_CHANGE, "network", "inner", "mtu 1500 → 1450", false},
	{PLAN_RESTART, "guest", "hv1", "memory 1G → 2G", false},
	{PLAN_REMOVE, "guest", "a-guest-with-a-name-that-is-longer-than-a-column", "no longer in the file", false},
	{PLAN_CHANGE, "guest", "hv2", "somebody else has changed it: <vcpu>2</vcpu> → <vcpu>4</vcpu>", true},
	{PLAN_CREATE, "uplink", "", "nat", false},
	{PLAN_CREATE, "guest", "evil\033[2J", "\xff is no UTF-8", false},
};

enum { CHANGES = sizeof(changes) / sizeof(*changes) };

static void test_plan(void **state)
{
	cleanup_strbuf struct strbuf text = {}, colour = {}, nothing = {};

	plan_text(changes, CHANGES, &pretty, &text);
	plan_text(changes, CHANGES, &colourful, &colour);
	plan_text(NULL, 0, &pretty, &nothing);
	assert_golden("changes.plan", text.text);
	assert_golden("changes-colour.plan", colour.text);
	assert_string_equal(nothing.text, "nothing to do\n");
	assert_golden_json("changes.plan.json", plan_json(changes, CHANGES));
}

static void test_answers_fit_their_schemas(void **state)
{
	cleanup_lab struct lab *first = make_first(), *bad = make_hostile();
	struct lab *labs[] = {first, bad};

	for (size_t i = 0; i < 2; i++) {
		struct lab_status *status = make_status(labs[i]);

		assert_fits("status", status_json(status));
		assert_fits("graph", graph_json(labs[i], NULL));
		assert_fits("graph", graph_json(labs[i], status));
		status->interrupted = "\xfe";
		status->hostname = status->accelerator = status->accelerator_why = NULL;
		assert_fits("status", status_json(status));
	}
	assert_fits("plan", plan_json(changes, CHANGES));
	assert_fits("plan", plan_json(NULL, 0));
}

/* What the check itself must not let through. */
static void test_schemas_can_fail(void **state)
{
	static const char *const wrong[] = {
		"{}",
		"{\"changes\": {}}",
		"{\"changes\": [{\"do\": \"destroy\", \"what\": \"\", \"path\": \"\", \"why\": \"\"}]}",
		"{\"changes\": [{\"do\": \"create\", \"what\": 3, \"path\": \"\", \"why\": \"\"}]}",
		"{\"changes\": [{\"do\": \"create\", \"what\": \"\", \"path\": \"\"}]}",
		"{\"changes\": [], \"more\": 1}",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		cleanup_json json_t *json = json_loads(wrong[i], 0, NULL);
		char why[256];

		assert_non_null(json);
		assert_false(schema_fits("plan", json, why));
	}
}

static void test_schemas_are_well_formed(void **state)
{
	for (const struct schema *schema = schema_table(); schema->name; schema++) {
		cleanup_json json_t *document = schema_document(schema);
		char tag[SCHEMA_TAG_SIZE], why[256];

		assert_non_null(json_object_get(document, "$schema"));
		assert_string_equal(json_get_string(document, "title", ""), schema_tag(schema, tag));
		if (!schema_is_sound(document, document, why))
			fail_msg("%s: %s", schema->name, why);
		assert_ptr_equal(schema_find(schema->name), schema);
	}
	assert_null(schema_find("no such"));
}

static void assert_safe(const char *text, const char *wanted)
{
	cleanup_strbuf struct strbuf out = {};

	text_safe(&out, text, false);
	assert_string_equal(out.text, wanted);
}

static void test_safe_text(void **state)
{
	assert_safe("", "");
	assert_safe("plain ünï 日本", "plain ünï 日本");
	assert_safe("a\nb\tc\r", "a\\nb\\tc\\r");
	assert_safe("\033[31mred", "\\x1b[31mred");
	assert_safe("\x7f", "\\x7f");
	assert_safe("\xc2\x9b"
		    "31m",
		    "\\u{9b}31m"); /* C1 control sequence introducer */
	assert_safe("\xe2\x80\xae"
		    "exe.txt",
		    "\\u{202e}exe.txt"); /* right-to-left override */
	assert_safe("\xe2\x80\x8b", "\\u{200b}");
	assert_safe("\xf3\xa0\x81\x81", "\\u{e0041}");	/* a tag character */
	assert_safe("\xc0\xaf", "\\xc0\\xaf");		/* overlong */
	assert_safe("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* surrogate */
	assert_safe("\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80");
	assert_safe("\xe2\x82", "\\xe2\\x82"); /* truncated */
	assert_safe("\xff", "\\xff");
}

static void test_width(void **state)
{
	static const struct {
		const char *text;
		size_t width;
	} cases[] = {{"", 0},  {"abc", 3},  {"ä", 1}, {"a\xcc\x88", 1}, {"日本", 4}, {"ｆ", 2},
		     {"🐳", 2}, {"\033", 4}, {"→", 1}, {"한글", 4},	{"ก็", 1},    {"❤️", 1}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(text_width(cases[i].text), cases[i].width);
}

static void test_fit(void **state)
{
	static const struct {
		const char *text;
		size_t columns;
		const char *wanted;
	} cases[] = {{"abcdef", 6, "abcdef"},
		     {"abcdef", 5, "abcd…"},
		     {"日本語", 5, "日本…"},
		     {"日本語", 4, "日…"},
		     {"abc", 1, "…"},
		     {"abc", 0, ""},
		     {"", 0, ""},
		     {"a\033b", 4, "a…"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup_strbuf struct strbuf out = {};
		size_t taken = text_fit(&out, &pretty, cases[i].text, cases[i].columns);

		assert_string_equal(out.text, cases[i].wanted);
		assert_int_equal(taken, text_width(out.text));
		assert_true(taken <= cases[i].columns);
	}
}

static void test_fill(void **state)
{
	cleanup_strbuf struct strbuf out = {};

	text_fill(&out, "one two three\nfour   five\n\nsix sevenseveneight", 2, 12);
	assert_string_equal(out.text, "  one two\n  three four\n  five\n\n  six\n  sevenseveneight\n");
}

static void test_numbers(void **state)
{
	char duration[DURATION_TEXT_SIZE], bytes[BYTES_TEXT_SIZE];

	assert_string_equal(text_duration(0, duration), "0.0s");
	assert_string_equal(text_duration(59999, duration), "59.9s");
	assert_string_equal(text_duration(60000, duration), "1m00s");
	assert_string_equal(text_duration(3 * 3600000 + 5 * 60000, duration), "3h05m");
	assert_string_equal(text_bytes(0, bytes), "0 B");
	assert_string_equal(text_bytes(1536 << 20, bytes), "1.5 GiB");
	assert_string_equal(text_bytes(512 << 20, bytes), "512 MiB");
	assert_string_equal(text_bytes(UINT64_MAX, bytes), "15.9 EiB");
}

static void test_table(void **state)
{
	cleanup_table struct table *table = table_new((const char *const[]){"NAME", ">SIZE", "EMPTY", "NOTE", NULL});
	cleanup_strbuf struct strbuf out = {}, narrow = {};
	struct style ten = {.utf8 = true, .columns = 12};

	table_row(table);
	table_cell(table, COLOUR_NONE, "日本");
	table_cell(table, COLOUR_NONE, "7");
	table_cell(table, COLOUR_NONE, NULL);
	table_cell(table, COLOUR_NONE, "a note");
	table_row(table);
	table_cell(table, COLOUR_NONE, "x");
	table_cellf(table, COLOUR_NONE, "%d", 12345);
	table_draw(table, &pretty, &out);
	assert_string_equal(out.text, "NAME   SIZE  NOTE\n日本      7  a note\nx     12345\n");
	table_draw(table, &ten, &narrow);
	assert_string_equal(narrow.text, "NAME   SIZE\n日本      7\nx     12345\n");
}

static void test_style(void **state)
{
	struct style style;

	setenv("LC_ALL", "C", 1);
	style = style_of(-1, false);
	assert_false(style.utf8);
	assert_false(style.colour);
	setenv("LC_ALL", "de_DE.UTF-8", 1);
	assert_true(style_of(-1, false).utf8);
	setenv("LC_ALL", "de_DE.ISO-8859-1", 1);
	assert_false(style_of(-1, false).utf8);
	unsetenv("LC_ALL");
	unsetenv("LC_CTYPE");
	unsetenv("LANG");
	assert_true(style_of(-1, false).utf8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_safe_text),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_fit),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_style),
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_mermaid),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_status_drift),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_mermaid_holds_names),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_answers_fit_their_schemas),
		cmocka_unit_test(test_schemas_can_fail),
		cmocka_unit_test(test_schemas_are_well_formed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
