/*
 * verify/: what a lab promises, over the facts of a lab that ran (tests/fixtures/verify): as they are, and with the
 * rules of its hosts broken by hand, once for each way in which a promise can be broken.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "model/publish.h"
#include "render/verify.h"
#include "verify/policy.h"
#include "verify/reach_lab.h"

#include <dirent.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
/* cmocka needs those from setjmp.h on */
#include <cmocka.h>

#include "config_load.h"
#include "schema_check.h"

enum { FILES_MAX = 24, HOST_COUNT = 6, TEXT_MAX = 1 << 20 };

/* ---- the lab that ran, with changes ---- */

/* In the file of a host: `from`, which must be there, becomes `to`. file NULL: the host was not captured; from NULL:
 * there is a file more. */
struct edit {
	const char *host, *file, *from, *to;
};

/* Folders, and what the hosts are called. */
static const char *const hosts[][2] = {{"L0", "L0"},	   {"L0-root", "L0-root"},
				       {"hv1", "hv1"},	   {"hv1-lab-first", "hv1-lab-first"},
				       {"hv1.a", "hv1/a"}, {"hv1.b", "hv1/b"}};

static char *fixture(const char *below)
{
	const char *slash = strrchr(__FILE__, '/');
	char *path;

	assert_true(asprintf(&path, "%.*s/../fixtures/verify/%s", (int)(slash - __FILE__), __FILE__, below) > 0);
	return path;
}

static char *read_text(const char *path)
{
	cleanup_error struct error *err = NULL;
	size_t length;
	char *text;

	if (file_read(path, TEXT_MAX, &text, &length, &err) < 0)
		fail_msg("%s", err->message);
	return text;
}

static char *replaced(char *text, const struct edit *edit)
{
	char *at = strstr(text, edit->from), *result;

	if (!at)
		fail_msg("%s of %s does not say \"%s\"", edit->file, edit->host, edit->from);
	assert_true(asprintf(&result, "%.*s%s%s", (int)(at - text), text, edit->to, at + strlen(edit->from)) >= 0);
	free(text);
	return result;
}

static int is_file(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* A host as captured; NULL: left out. */
static struct bundle *load_host(const char *lab, const char *folder, const char *name, const struct edit *edits,
				struct arena *arena)
{
	cleanup_free char *path = fixture(arena_printf(arena, "%s%s", lab, folder));
	struct capture_text texts[FILES_MAX];
	struct dirent **files;
	int count;

	for (const struct edit *edit = edits; edit && edit->host; edit++)
		if (strcmp(edit->host, name) == 0 && !edit->file)
			return NULL;
	count = scandir(path, &files, is_file, alphasort);
	assert_true(count > 0 && count <= FILES_MAX);
	for (int i = 0; i < count; i++) {
		const char *file = arena_strdup(arena, files[i]->d_name);
		char *text = read_text(arena_printf(arena, "%s/%s", path, file));

		for (const struct edit *edit = edits; edit && edit->host; edit++)
			if (edit->from && strcmp(edit->host, name) == 0 && strcmp(edit->file, file) == 0)
				text = replaced(text, edit);
		texts[i] = (struct capture_text){.source = arena_printf(arena, "%s/%s", folder, file),
						 .name = file,
						 .text = arena_strdup(arena, text),
						 .length = strlen(text)};
		free(text);
		free(files[i]);
	}
	free(files);
	for (const struct edit *edit = edits; edit && edit->host && count < FILES_MAX; edit++)
		if (!edit->from && strcmp(edit->host, name) == 0)
			texts[count++] = (struct capture_text){
				.source = edit->file, .name = edit->file, .text = edit->to, .length = strlen(edit->to)};
	return bundle_from_texts(name, texts, (size_t)count);
}

struct proof {
	struct arena *arena;
	struct lab *lab;
	struct isolation *isolation;
	struct bundle *bundle;
	struct stack *stack;
	struct policy_report *report;
};

static void load_facts(struct proof *proof, const char *folder, const struct edit *edits)
{
	struct bundle *parts[HOST_COUNT];
	cleanup_free char *links = fixture(arena_printf(proof->arena, "%slinks.json", folder));
	cleanup_free char *text = read_text(links);
	cleanup_json json_t *cables = json_loads(text, 0, NULL);

	for (size_t i = 0; i < HOST_COUNT; i++)
		parts[i] = load_host(folder, hosts[i][0], hosts[i][1], edits, proof->arena);
	proof->bundle = bundle_join(parts, HOST_COUNT, cables, "links.json");
	proof->stack = stack_new(proof->bundle);
}

/* The lab's file with these changes; NULL: as it is. */
static struct proof prove_file(const char *folder, const struct edit *lines, const struct edit *edits,
			       const struct isolation_setting *setting, const char *guest)
{
	cleanup_free char *path = NULL;
	char *text;
	cleanup_error struct error *err = NULL;
	struct proof proof = {.arena = arena_new()};
	struct policy_input input = {};

	path = fixture(arena_printf(proof.arena, "%sfirst.nest.yaml", folder));
	text = read_text(path);
	for (; lines && lines->from; lines++)
		text = replaced(text, lines);
	proof.lab = load_fine(text);
	free(text);
	proof.isolation = isolation_new(proof.lab);
	if (setting)
		isolation_set(proof.isolation, lab_find_guest(proof.lab, guest), setting);
	load_facts(&proof, folder, edits);
	input = (struct policy_input){.lab = proof.lab, .isolation = proof.isolation, .stack = proof.stack};
	if (policy_verify(&input, proof.arena, &proof.report, &err) < 0)
		fail_msg("%s", err->message);
	return proof;
}

/* `from` there becomes `to`; NULL: nothing does. */
static struct proof prove_in(const char *folder, const char *from, const char *to, const struct edit *edits,
			     const struct isolation_setting *setting, const char *guest)
{
	const struct edit lines[] = {{"the lab", "file", from, to}, {}};

	return prove_file(folder, lines, edits, setting, guest);
}

static struct proof prove_changed(const struct edit *lines, const struct edit *edits,
				  const struct isolation_setting *setting, const char *guest)
{
	return prove_file("", lines, edits, setting, guest);
}

static struct proof prove_with(const char *from, const char *to, const struct edit *edits,
			       const struct isolation_setting *setting, const char *guest)
{
	return prove_in("", from, to, edits, setting, guest);
}

static struct proof prove(const struct edit *edits)
{
	return prove_with(NULL, NULL, edits, NULL, NULL);
}

static void proof_clear(struct proof *proof)
{
	stack_free(proof->stack);
	bundle_free(proof->bundle);
	isolation_free(proof->isolation);
	lab_free(proof->lab);
	arena_free(proof->arena);
}
#define cleanup_proof __attribute__((cleanup(proof_clear)))

static void tell(const struct policy_verdict *verdict)
{
	cleanup_strbuf struct strbuf out = {};
	const struct policy_report report = {
		.result = verdict->result, .verdicts = (struct policy_verdict *)verdict, .verdict_count = 1};
	const struct style style = {.columns = 160};

	verify_text(&report, &style, true, &out);
	print_message("%s\n", out.text);
}

static const struct policy_verdict *verdict_of(const struct proof *proof, const char *text)
{
	for (size_t i = 0; i < proof->report->verdict_count; i++)
		if (strcmp(proof->report->verdicts[i].promise->text, text) == 0)
			return &proof->report->verdicts[i];
	fail_msg("no promise \"%s\"", text);
	return NULL;
}

static const struct policy_verdict *expect(const struct proof *proof, const char *text, enum policy_result result)
{
	const struct policy_verdict *verdict = verdict_of(proof, text);

	if (verdict->result != result) {
		tell(verdict);
		fail_msg("%s: %s instead of %s", text, policy_result_word(verdict->result), policy_result_word(result));
	}
	return verdict;
}

/* Violated, by a packet that ends like this, and all else as it is without the change. */
static void expect_violated(const struct proof *proof, const char *text, const char *why)
{
	const struct policy_verdict *verdict = expect(proof, text, POLICY_VIOLATED);

	assert_non_null(verdict->witness);
	assert_int_equal(proof->report->result, POLICY_VIOLATED);
	if (strcmp(verdict->why, why) != 0) {
		tell(verdict);
		fail_msg("%s: \"%s\" instead of \"%s\"", text, verdict->why, why);
	}
}

/* The rule that lets it through, or stops it, is on the way that is shown. */
static void expect_rule(const struct proof *proof, const char *text, const char *host, const char *rule)
{
	const struct policy_verdict *verdict = verdict_of(proof, text);
	const struct answer *answer = verdict->witness->answer;

	for (size_t i = 0; i < answer->step_count; i++)
		if (strcmp(answer->steps[i].host->name, host) == 0 && answer->steps[i].text &&
		    strstr(answer->steps[i].text, rule))
			return;
	tell(verdict);
	fail_msg("%s: its way does not show \"%s\" of %s", text, rule, host);
}

static const char cut_a[] = "hv1/a is cut: it reaches nothing of the world";
static const char *const nft = "nft-a-list-ruleset.txt";

static void test_as_it_ran(void **state)
{
	cleanup_proof struct proof proof = prove(NULL);

	for (size_t i = 0; i < proof.report->verdict_count; i++)
		expect(&proof, proof.report->verdicts[i].promise->text, POLICY_PROVED);
	assert_int_equal(proof.report->verdict_count, 7);
	assert_int_equal(proof.report->result, POLICY_PROVED);
	assert_true(proof.report->checked > 20);
}

/* ---- a guest that is cut ---- */

/* What one layer lets through the other stops. */
static void test_one_layer_holds(void **state)
{
	const struct edit outer[] = {
		{"L0", nft, "		oifname \"world\" drop", "		oifname \"world\" accept"}, {}};
	const struct edit inner[] = {
		{"hv1-lab-first", nft, "		oifname \"world\" drop", "		accept"}, {}};
	cleanup_proof struct proof without_outer = prove(outer), without_inner = prove(inner);

	/* L1 lets answers pass to those above it: whether the world has begun anything is not known */
	expect(&without_outer, cut_a, POLICY_UNKNOWN);
	assert_string_equal(verdict_of(&without_outer, cut_a)->missing[0].command, "conntrack -L");
	expect(&without_inner, cut_a, POLICY_PROVED);
}

/* A hole in both, for one kind of packet; the witness is of that kind. */
static const struct policy_witness *hole(struct proof *proof, const char *rule)
{
	cleanup_strbuf struct strbuf text = {};

	strbuf_printf(&text, "		%s accept\n		oifname \"world\" drop", rule);
	*proof = prove((const struct edit[]){{"L0", nft, "		oifname \"world\" drop", text.text},
					     {"hv1-lab-first", nft, "		oifname \"world\" drop", text.text},
					     {}});
	expect_violated(proof, cut_a, "it leaves by wan of L0-root");
	expect_rule(proof, cut_a, "L0", rule);
	expect_rule(proof, cut_a, "hv1-lab-first", rule);
	return verdict_of(proof, cut_a)->witness;
}

static void test_hole_for_a_port(void **state)
{
	cleanup_proof struct proof proof = {};
	const struct policy_witness *witness = hole(&proof, "udp dport 123");

	assert_int_equal(witness->packet.protocol, PROTOCOL_UDP);
	assert_int_equal(witness->packet.dport.first, 123);
	assert_string_equal(witness->who, "whoever is in hv1/a");
}

static void test_hole_for_a_family(void **state)
{
	cleanup_proof struct proof proof = {};

	assert_int_equal(hole(&proof, "meta nfproto ipv6")->packet.family, AF_INET6);
}

static void test_hole_for_a_protocol(void **state)
{
	cleanup_proof struct proof proof = {};

	assert_int_equal(hole(&proof, "meta l4proto 47")->packet.protocol, PROTOCOL_GRE);
}

/* The classic: the drop behind what lets known connections pass. */
static void test_connections_that_live(void **state)
{
	const char *first = "		iifname \"world\" jump from_world",
		   *known = "		ct state established,related accept\n		iifname \"world\" jump "
			    "from_world";
	cleanup_proof struct proof proof =
		prove((const struct edit[]){{"L0", nft, first, known}, {"hv1-lab-first", nft, first, known}, {}});

	expect_violated(&proof, cut_a, "it leaves by wan of L0-root");
	assert_int_equal(verdict_of(&proof, cut_a)->witness->question->state, STATE_ESTABLISHED);
}

/* Tables of connections of all hosts, and what else is changed. */
enum { TABLE_EDITS = HOST_COUNT + 3 };
static const char *const table = "conntrack.txt";

static struct proof prove_with_tables(const char *const tables[HOST_COUNT], const struct edit others[2])
{
	struct edit edits[TABLE_EDITS] = {};
	size_t count = 0;

	for (size_t i = 0; i < HOST_COUNT; i++)
		if (tables[i])
			edits[count++] = (struct edit){hosts[i][1], table, NULL, tables[i]};
	for (size_t i = 0; i < 2; i++)
		edits[count++] = others[i];
	return prove(edits);
}

/*
 * The same where hosts tell which connections there are: none, and so nothing of them gets out; one that the guest once
 * began; and one that one host of four has forgotten, which others stop. Errors about what its neighbour has begun
 * would be related, and get out.
 */
static void test_tables_tell(void **state)
{
#define ENTRY(from, dst, to)                                                                                           \
	"ipv4     2 tcp      6 431999 ESTABLISHED src=" from " dst=" dst " sport=40000 dport=80 src=" dst " dst=" to   \
	" sport=80 dport=40000 [ASSURED] mark=0 zone=0 use=2\n"
	static const char *const none[HOST_COUNT] = {"", "", "", "", "", ""};
	static const char own[] = ENTRY("192.168.124.91", "8.8.8.8", "192.168.124.91");
	static const char at_l0[] = ENTRY("192.168.124.91", "8.8.8.8", "100.64.207.250");
	static const char at_root[] = ENTRY("100.64.207.250", "8.8.8.8", "203.0.113.2");
	static const char *const all[HOST_COUNT] = {at_l0, at_root, own, own, "", ""};
	static const char *const forgotten[HOST_COUNT] = {"", at_root, own, own, "", ""};
	static const char *const untold[HOST_COUNT] = {"", "", "", NULL, "", ""};
	const char *first = "		iifname \"world\" jump from_world",
		   *known = "		ct state established accept\n		iifname \"world\" jump "
			    "from_world";
	const char *errors = "		ct state established,related accept\n		iifname \"world\" jump "
			     "from_world";
	const struct edit edits[] = {{"L0", nft, first, known}, {"hv1-lab-first", nft, first, known}};
	cleanup_proof struct proof nothing = prove_with_tables(none, edits), lives = prove_with_tables(all, edits),
				   dead = prove_with_tables(forgotten, edits), open = prove_with_tables(untold, edits);
	const struct edit related[] = {{"L0", nft, first, errors}, {"hv1-lab-first", nft, first, errors}};
	cleanup_proof struct proof about = prove_with_tables(none, related);
	expect(&nothing, cut_a, POLICY_PROVED);
	expect_violated(&lives, cut_a, "it leaves by wan of L0-root");
	assert_int_equal(verdict_of(&lives, cut_a)->witness->packet.dport.first, 80);
	expect(&dead, cut_a, POLICY_PROVED);
	expect(&open, cut_a, POLICY_UNKNOWN); /* L1 has not told, which may translate for it */
	expect(&about, cut_a, POLICY_UNKNOWN);
}

/* A table in which nothing is to be seen of what a helper would expect, or of one direction's zone, says nothing. */
static void test_tables_of_helpers(void **state)
{
	static const struct {
		const char *automatic, *word;
		enum policy_result result;
	} cases[] = {{"0", "", POLICY_PROVED},
		     {"1", "", POLICY_UNKNOWN},
		     {"0", "helper=ftp ", POLICY_UNKNOWN},
		     {"0", "zone-reply=3 ", POLICY_UNKNOWN}};
	const char *first = "		iifname \"world\" jump from_world",
		   *known = "		ct state established accept\n		iifname \"world\" jump from_world";
	const char *forward = "/proc/sys/net/ipv4/ip_forward:1\n";

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup_strbuf struct strbuf line = {}, sysctl = {};

		strbuf_printf(&line,
			      "ipv4     2 tcp      6 431999 ESTABLISHED src=192.168.124.92 dst=192.168.124.1 "
			      "sport=1 dport=2 src=192.168.124.1 dst=192.168.124.92 sport=2 dport=1 %suse=2\n",
			      cases[i].word);
		strbuf_printf(&sysctl, "%s/proc/sys/net/netfilter/nf_conntrack_helper:%s\n", forward,
			      cases[i].automatic);
		cleanup_proof struct proof proof =
			prove((const struct edit[]){{"L0", table, NULL, ""},
						    {"L0-root", table, NULL, ""},
						    {"hv1", table, NULL, ""},
						    {"hv1-lab-first", table, NULL, line.text},
						    {"hv1/a", table, NULL, ""},
						    {"hv1/b", table, NULL, ""},
						    {"L0", nft, first, known},
						    {"hv1-lab-first", nft, first, known},
						    {"hv1-lab-first", "sysctl-net.txt", forward, sysctl.text},
						    {}});

		expect(&proof, cut_a, cases[i].result);
	}
}

/*
 * A port of a guest that is cut, published at all addresses of L0: answers leave from one of these. Those from the
 * guest's own address belong to a connection that nobody published.
 */
static void test_tables_of_published(void **state)
{
#define ASKED(dst, from)                                                                                               \
	"ipv4     2 tcp      6 431999 ESTABLISHED src=8.8.8.8 dst=" dst " sport=40000 dport=443 src=" from             \
	" dst=8.8.8.8 sport=443 dport=40000 [ASSURED] mark=0 zone=0 use=2\n"
	static const char direct[] = ASKED("192.168.124.91", "192.168.124.91");
	static const char published[] = ASKED("203.0.113.2", "192.168.124.91");
	static const char answers[] = "table ip answers {\n	chain forward {\n"
				      "		type filter hook forward priority 10; policy drop;\n"
				      "		ct direction reply ct state established accept\n	}\n}\n"
				      "table inet nestvisor-first {";
	const char *const roots[] = {direct, published};
	const char *first = "		iifname \"world\" jump from_world",
		   *known = "		ct state established accept\n		iifname \"world\" jump from_world";

	for (size_t i = 0; i < 2; i++) {
		const struct edit edits[] = {{"L0", table, NULL, direct},
					     {"L0-root", table, NULL, roots[i]},
					     {"L0-root", nft, "table inet nestvisor-first {", answers},
					     {"hv1", table, NULL, direct},
					     {"hv1-lab-first", table, NULL, direct},
					     {"hv1/a", table, NULL, direct},
					     {"hv1/b", table, NULL, ""},
					     {"L0", nft, first, known},
					     {"hv1-lab-first", nft, first, known},
					     {}};
		cleanup_proof struct proof proof = prove_with(
			"      a: {", "      a: {publish: [{port: 443, address: 0.0.0.0}], ", edits, NULL, NULL);

		if (i == 0)
			expect(&proof, cut_a, POLICY_UNKNOWN); /* whether the world asks again is its own affair */
		else
			expect(&proof, cut_a, POLICY_PROVED);
	}
}

/* What L1 lets pass for those above, where L0 has a hole, is nothing as long as none above has begun anything. */
static void test_tables_of_answers(void **state)
{
	static const char *const none[HOST_COUNT] = {"", "", "", "", "", ""};
	static const char *const some[HOST_COUNT] = {NULL, NULL, NULL, NULL, NULL, NULL};
	const struct edit outer[2] = {
		{"L0", nft, "		oifname \"world\" drop", "		oifname \"world\" accept"}};
	cleanup_proof struct proof told = prove_with_tables(none, outer), untold = prove_with_tables(some, outer);

	expect(&told, cut_a, POLICY_PROVED);
	expect(&untold, cut_a, POLICY_UNKNOWN);
}

/* Without the rules of L1 the guest can send with its neighbour's address, and L0 cannot tell the two apart. */
static void test_flushed_below(void **state)
{
	cleanup_free char *path = fixture("hv1-lab-first/nft-a-list-ruleset.txt"), *all = read_text(path);
	cleanup_proof struct proof proof = prove((const struct edit[]){{"hv1-lab-first", nft, all, ""}, {}});
	const struct ip own4 = {AF_INET, {192, 168, 124, 91}};

	expect_violated(&proof, cut_a, "it leaves by wan of L0-root");
	assert_false(ip_equal(&verdict_of(&proof, cut_a)->witness->packet.src, &own4));
}

static void test_flushed_above(void **state)
{
	cleanup_free char *path = fixture("L0/nft-a-list-ruleset.txt"), *all = read_text(path);
	cleanup_proof struct proof proof = prove((const struct edit[]){{"L0", nft, all, ""}, {}});

	expect(&proof, cut_a, POLICY_UNKNOWN); /* as above */
}

/* Its neighbour forwards and translates what it gets. */
static void test_open_relay(void **state)
{
	cleanup_proof struct proof proof =
		prove((const struct edit[]){{"hv1/b", "sysctl-net.txt", "/proc/sys/net/ipv4/conf/all/forwarding:0",
					     "/proc/sys/net/ipv4/conf/all/forwarding:1"},
					    {"hv1/b", "sysctl-net.txt", "/proc/sys/net/ipv4/conf/eth0/forwarding:0",
					     "/proc/sys/net/ipv4/conf/eth0/forwarding:1"},
					    {"hv1/b", nft, "",
					     "table ip nat {\n	chain postrouting {\n		type nat hook "
					     "postrouting priority srcnat; policy "
					     "accept;\n		masquerade\n	}\n}\n"},
					    {}});

	expect_violated(&proof, cut_a, "it leaves by wan of L0-root");
	expect_rule(&proof, cut_a, "hv1/b", "masquerade");
}

/* The resolver of the lab's own network, which asks the world. */
static void test_names(void **state)
{
	const struct edit edits[] = {{"hv1-lab-first", nft,
				      "		meta mark & 0x00000001 == 0x00000001 jump services_for_cut",
				      "		udp dport 53 accept"},
				     {}};
	cleanup_proof struct proof without =
		prove_with("uplink: route}", "uplink: route, dns: false, dhcp: false}", edits, NULL, NULL);
	cleanup_proof struct proof with = prove_with("uplink: route}", "uplink: route, dns: true}", edits, NULL, NULL);

	expect(&without, cut_a, POLICY_PROVED); /* nothing listens there */
	expect_violated(&with, cut_a, "hv1-lab-first takes it in");
	assert_int_equal(verdict_of(&with, cut_a)->witness->packet.dport.first, 53);
}

static void test_allowed(void **state)
{
	struct allowance place = {.protocol = IPPROTO_TCP, .port = 443};
	const struct isolation_setting setting = {.world = WORLD_CUT, .allowed = &place, .allowed_count = 1};
	const char *rule = "		ip daddr 198.51.100.7 tcp dport 443 accept\n		oifname \"world\" drop",
		   *drop = "		oifname \"world\" drop";
	const struct edit edits[] = {{"L0", nft, drop, rule}, {"hv1-lab-first", nft, drop, rule}, {}};

	assert_true(prefix_parse("198.51.100.7", &place.to));
	{
		cleanup_proof struct proof with = prove_with(NULL, NULL, edits, &setting, "hv1/a");
		cleanup_proof struct proof without = prove(edits);

		expect(&with, "hv1/a is cut: it reaches nothing of the world but what is allowed", POLICY_PROVED);
		expect_violated(&without, cut_a, "it leaves by wan of L0-root");
	}
}

static void test_neighbours(void **state)
{
	const struct isolation_setting alone = {.world = WORLD_CUT, .neighbours = NEIGHBOURS_DROP},
				       strict = {.world = WORLD_CUT, .neighbours = NEIGHBOURS_CUT};
	cleanup_proof struct proof first = prove_with(NULL, NULL, NULL, &alone, "hv1/a");
	cleanup_proof struct proof second = prove_with(NULL, NULL, NULL, &strict, "hv1/a");

	expect_violated(&first, "hv1/a is cut: it reaches no other guest", "hv1/b takes it in");
	expect_violated(&second, "hv1/a is cut: it reaches no guest that is not cut", "hv1/b takes it in");
	expect(&first, cut_a, POLICY_PROVED);
}

/* ---- sealed ---- */

static const char sealed_b[] = "hv1/b is sealed: nothing comes out of it, nothing gets in";

static void test_sealed(void **state)
{
	const struct edit edits[] = {
		{"hv1-lab-first", nft, "{ \"a-0\" : jump tap_from_cut }",
		 "{ \"a-0\" : jump tap_from_cut, \"b-0\" : jump tap_from_sealed }"},
		{"hv1-lab-first", nft, "{ \"a-0\" : jump tap_to_cut }",
		 "{ \"a-0\" : jump tap_to_cut, \"b-0\" : jump tap_to_sealed }"},
		{},
	};
	const struct edit only_out[] = {edits[0], {}}, only_in[] = {edits[1], {}};
	cleanup_proof struct proof both = prove_with("      b: {", "      b: {world: sealed, ", edits, NULL, NULL);
	cleanup_proof struct proof out = prove_with("      b: {", "      b: {world: sealed, ", only_out, NULL, NULL);
	cleanup_proof struct proof in = prove_with("      b: {", "      b: {world: sealed, ", only_in, NULL, NULL);

	expect(&both, sealed_b, POLICY_PROVED);
	expect_violated(&out, sealed_b, "hv1/b takes it in");
	expect(&in, sealed_b, POLICY_VIOLATED);
	assert_string_equal(verdict_of(&in, sealed_b)->witness->who, "whoever is in hv1/b");
}

/* ---- lines of the policy ---- */

static const char deny_hv1[] = "deny: {from: world, to: hv1}";

static void test_deny(void **state)
{
	cleanup_proof struct proof proof = prove((const struct edit[]){
		{"L0", nft, "		iifname \"world\" drop",
		 "		iifname \"world\" tcp dport 22 accept\n		iifname \"world\" drop"},
		{"L0-root", "ip-route-show-table-all.txt", "100.64",
		 "192.168.122.0/24 via 100.64.207.250 dev nv57a91532w\n100.64"},
		{}});

	expect_violated(&proof, deny_hv1, "hv1 takes it in");
	assert_string_equal(verdict_of(&proof, deny_hv1)->witness->who, "the world");
	expect(&proof, cut_a, POLICY_PROVED);
}

/* Not what a guest of the network says to itself; but link-local addresses are the network's, too. */
static void test_deny_network(void **state)
{
	const char *line = "  - deny: {from: world, to: hv1}", *denied = "  - deny: {from: hv1/b, to: hv1/inner}";
	const char *promise = "deny: {from: hv1/b, to: hv1/inner}";
	static const char all[] =
		"table bridge wall {\n	chain forward {\n		type filter hook forward priority 100; "
		"policy drop;\n	}\n	chain input {\n		type filter hook input priority 100; "
		"policy drop;\n	}\n}\n";
	static const char global[] =
		"table bridge wall {\n	chain forward {\n		type filter hook forward priority 100; policy "
		"drop;\n"
		"		ip6 daddr fe80::/10 accept\n	}\n	chain input {\n		type filter hook input "
		"priority 100; policy drop;\n	}\n}\n";
	cleanup_free char *path = fixture("hv1-lab-first/nft-a-list-ruleset.txt"), *rules = read_text(path);
	cleanup_free char *walled = NULL, *open = NULL;

	assert_true(asprintf(&walled, "%s%s", rules, all) > 0 && asprintf(&open, "%s%s", rules, global) > 0);
	{
		cleanup_proof struct proof proof = prove_with(
			line, denied, (const struct edit[]){{"hv1-lab-first", nft, rules, walled}, {}}, NULL, NULL);
		cleanup_proof struct proof hole = prove_with(
			line, denied, (const struct edit[]){{"hv1-lab-first", nft, rules, open}, {}}, NULL, NULL);

		expect(&proof, promise, POLICY_PROVED);
		expect_violated(&hole, promise, "hv1/a takes it in");
	}
}

static const char allow_a[] = "allow: {from: L0, to: hv1/a, port: 22/tcp}";

static void test_allow(void **state)
{
	cleanup_proof struct proof proof = prove((const struct edit[]){
		{"hv1-lab-first", nft, "		iifname \"world\" jump from_world",
		 "		tcp dport 22 drop\n		iifname \"world\" jump from_world"},
		{}});

	expect_violated(&proof, allow_a, "it is dropped at hv1-lab-first");
	expect_rule(&proof, allow_a, "hv1-lab-first", "tcp dport 22");
}

static void test_answer(void **state)
{
	cleanup_proof struct proof proof = prove((const struct edit[]){
		{"hv1/a", "ip-route-show-table-all.txt", "default via 192.168.124.1 dev eth0", ""}, {}});
	const struct policy_verdict *verdict = expect(&proof, allow_a, POLICY_VIOLATED);

	assert_non_null(verdict->witness->back);
	assert_int_equal(verdict->witness->back->reason, LOST_NO_ROUTE);
	expect(&proof, "L0 reaches hv1/a", POLICY_VIOLATED);
}

static void test_inside(void **state)
{
	cleanup_proof struct proof proof = prove_with("uplink: route}", "uplink: none}", NULL, NULL, NULL);

	expect(&proof, "nothing leaves network hv1/inner", POLICY_VIOLATED);
}

/* ---- hosts that were taken over ---- */

static void test_compromised(void **state)
{
	const char *line = "  - deny: {from: world, to: hv1}";
	cleanup_proof struct proof guest =
		prove_with(line, "  - deny: {from: hv1/a, to: world, even-if-compromised: [hv1/a]}", NULL, NULL, NULL);
	cleanup_proof struct proof host = prove_with(
		line, "  - deny: {from: hv1/a, to: world, even-if-compromised: [hv1/a, hv1]}", NULL, NULL, NULL);
	/* what asks the world for names in a host that was taken over is whoever has taken it over */
	cleanup_proof struct proof resolver =
		prove_with(line, "  - deny: {from: hv1/a, to: world, even-if-compromised: [hv1/a, hv1]}",
			   (const struct edit[]){{"hv1", "ss-lntup.txt", "0.0.0.0:22", "0.0.0.0:53"}, {}}, NULL, NULL);
	cleanup_proof struct proof allow =
		prove_with(line, "  - allow: {from: L0, to: hv1/a, even-if-compromised: [hv1]}", NULL, NULL, NULL);
	const char *by_host = "deny: {from: hv1/a, to: world, even-if-compromised: [hv1/a, hv1]}";

	expect(&guest, "deny: {from: hv1/a, to: world, even-if-compromised: [hv1/a]}", POLICY_PROVED);
	expect_violated(&host, by_host, "it leaves by wan of L0-root");
	assert_string_equal(verdict_of(&host, by_host)->witness->who, "whoever has taken over hv1");
	assert_int_equal(verdict_of(&host, by_host)->guarantee_count, 1);
	expect_violated(&resolver, by_host, "it leaves by wan of L0-root");
	assert_int_equal(verdict_of(&resolver, by_host)->guarantee_count, 1);
	expect(&allow, "allow: {from: L0, to: hv1/a, even-if-compromised: [hv1]}", POLICY_VIOLATED);
}

static bool assumes(const struct proof *proof, const char *text)
{
	for (size_t i = 0; i < proof->report->assumption_count; i++)
		if (strstr(proof->report->assumptions[i].text, text))
			return true;
	return false;
}

/*
 * Another lab that ran: both guests cut, with ports of theirs published, one of them to the world. Sessions there are
 * not what is denied of the host that they lead through; what begins in any other way is. A guest that may send errors
 * (ICMP) up could send some about its neighbour's sessions, and these would leave.
 */
static void test_published_and_cut(void **state)
{
	static const char lab[] = "../published/", line[] = "deny: {from: world, to: hv1}";
	static const char cut[] = "		oifname \"admin\" drop";
	static const struct edit others[] = {{"L0-root", nft, "127.0.0.1 . tcp . 17000", "203.0.113.2 . tcp . 17000"},
					     {}};
	cleanup_proof struct proof proof = prove_in(lab, NULL, NULL, NULL, NULL, NULL);
	cleanup_proof struct proof errors =
		prove_in(lab, NULL, NULL,
			 (const struct edit[]){{"L0", nft, cut, ""}, {"hv1-lab-first", nft, cut, ""}, {}}, NULL, NULL);
	cleanup_proof struct proof open = prove_in(lab, NULL, NULL, others, NULL, NULL);

	for (size_t i = 0; i < proof.report->verdict_count; i++)
		expect(&proof, proof.report->verdicts[i].promise->text, POLICY_PROVED);
	assert_int_equal(proof.report->verdict_count, 8);
	assert_true(assumes(&proof, "port 10022 of 203.0.113.2, which the file publishes for hv1/a"));
	assert_true(assumes(&proof, "errors, that are found there to belong to nothing"));
	assert_false(assumes(&proof, "port 13389"));
	expect(&errors, "hv1/b is cut: it reaches nothing of the world", POLICY_UNKNOWN);
	expect_violated(&open, line, "hv1 takes it in");
}

/* With it, the lab's file cuts nobody. */
static const struct edit line_of_a = {"the lab", "file", "      a: {world: cut, ", "      a: {"};

/* What is allowed and the cut takes away: if that was said at run time, it is no violation; else the file says both. */
static void test_suspended(void **state)
{
	static const char allow[] = "allow: {from: hv1/a, to: hv1/b}", other[] = "allow: {from: hv1/a, to: world}";
	const struct edit edits[] = {{"hv1-lab-first", nft, "hook forward priority -300; policy accept;",
				      "hook forward priority -300; policy drop;"},
				     {}};
	const struct isolation_setting at_run_time = {.world = WORLD_CUT};
	cleanup_proof struct proof file = prove_with(allow, other, NULL, NULL, NULL),
				   later = prove_changed(
					   (const struct edit[]){line_of_a, {"the lab", "file", allow, other}, {}},
					   NULL, &at_run_time, "hv1/a"),
				   broken = prove_changed((const struct edit[]){line_of_a, {}}, edits, &at_run_time,
							  "hv1/a");
	char why[WHY_SIZE] = "";
	cleanup_strbuf struct strbuf line = {}, text = {};
	const struct style style = {.columns = 160};
	const struct policy_verdict *verdict = expect(&later, other, POLICY_SUSPENDED);
	cleanup_json json_t *json = verify_json(later.report);

	assert_string_equal(verdict->isolated->path, "hv1/a");
	assert_int_equal(later.report->result, POLICY_PROVED);
	verify_line(later.report, &style, &line);
	assert_string_equal(line.text, "proved: 6 of 7 promises kept, 1 suspended by what was cut or sealed\n");
	verify_text(later.report, &style, false, &text);
	assert_non_null(strstr(text.text, "It does not hold because hv1/a is cut, until `nestvisor open hv1/a`."));
	if (!schema_fits("verify", json, why))
		fail_msg("%s", why);
	assert_string_equal(expect(&file, other, POLICY_VIOLATED)->isolated->path, "hv1/a");
	assert_int_equal(file.report->result, POLICY_VIOLATED);
	/* what the cut has no part in */
	assert_null(expect(&broken, allow, POLICY_VIOLATED)->isolated);
}

/*
 * The cut stops the packet first, and would not be the last to: something behind it does, or the file cuts the guest as
 * well. With an open guest that is violated, and so it is now.
 */
static void test_not_suspended(void **state)
{
	static const char allow[] = "allow: {from: hv1/a, to: hv1/b}", other[] = "allow: {from: hv1/a, to: world}";
	static const char wall[] = "	chain wall {\n		type filter hook forward priority 10; policy accept;\n"
				   "		ip saddr 192.168.124.91 drop\n	}\n	chain postrouting {";
	const struct edit more[] = {{"L0", nft, "	chain postrouting {", wall}, {}};
	const struct edit lines[] = {line_of_a, {"the lab", "file", allow, other}, {}},
			  only_line[] = {{"the lab", "file", allow, other}, {}};
	struct allowance place = {.to = {{AF_INET, {198, 51, 100, 7}}, 32}};
	const struct isolation_setting cut = {.world = WORLD_CUT},
				       but_for = {.world = WORLD_CUT, .allowed = &place, .allowed_count = 1};
	cleanup_proof struct proof behind = prove_changed(lines, more, &cut, "hv1/a"),
				   both = prove_changed(only_line, NULL, &but_for, "hv1/a");
	const struct policy_verdict *verdict = expect(&behind, other, POLICY_VIOLATED);

	assert_null(verdict->isolated);
	assert_non_null(strstr(verdict->why, "; and with hv1/a open, it is dropped at L0"));
	assert_int_equal(behind.report->result, POLICY_VIOLATED);
	assert_string_equal(expect(&both, other, POLICY_VIOLATED)->isolated->path, "hv1/a");
}

/* What is published leads on through the host, which is no less reached; any other port that does is a break. */
static void test_published(void **state)
{
	const char *line = "      a: {", *published = "      a: {publish: [22/tcp], ", *hv1 = "L0 reaches hv1";
	const char *hook = "type nat hook prerouting priority -100; policy accept;";
	cleanup_free char *path = fixture("hv1/nft-a-list-ruleset.txt"), *rules = read_text(path);
	cleanup_proof struct proof plain = prove_with(line, published, NULL, NULL, NULL);
	const struct guest *guest = lab_find_guest(plain.lab, "hv1");
	cleanup_free struct published *list = NULL;

	assert_int_equal(published_below(plain.lab, guest->host, &list), 1);
	expect(&plain, hv1, POLICY_PROVED);
	for (unsigned other = 0; other < 2; other++) {
		cleanup_strbuf struct strbuf text = {};

		strbuf_printf(&text,
			      "%stable ip published {\n	chain in {\n		%s\n		"
			      "iifname \"eth0\" tcp dport %u dnat to 192.168.124.91:22\n	}\n}\n",
			      rules, hook, list[0].port - other);
		cleanup_proof struct proof proof = prove_with(
			line, published, (const struct edit[]){{"hv1", nft, rules, text.text}, {}}, NULL, NULL);

		if (other)
			expect_violated(&proof, hv1, "hv1/a takes it in");
		else
			expect(&proof, hv1, POLICY_PROVED);
		expect(&proof, allow_a, POLICY_PROVED);
	}
}

/* ---- what was not captured ---- */

static void test_missing_host(void **state)
{
	cleanup_proof struct proof proof = prove((const struct edit[]){{"hv1-lab-first"}, {"hv1"}, {}});
	const struct policy_verdict *verdict = expect(&proof, allow_a, POLICY_UNKNOWN);

	assert_true(verdict->missing_count > 0);
	assert_int_equal(proof.report->result, POLICY_UNKNOWN);
}

/* Whoever is left out, the others alone do not prove or break anything that is not so with him. */
static void test_left_out(void **state)
{
	static const char *const left_out[][2] = {
		{"L0"}, {"L0-root"}, {"hv1"}, {"hv1-lab-first"}, {"hv1/a"}, {"hv1/b"}, {"hv1", "hv1-lab-first"}};
	const char *line = "  - deny: {from: world, to: hv1}", *lines = "  - deny: {from: world, to: hv1}\n"
									"  - deny: {from: hv1/a, to: hv1/b}\n"
									"  - deny: {from: hv1/b, to: hv1}\n"
									"  - deny: {from: hv1/b, to: L0}\n"
									"  - deny: {from: hv1/b, to: world}\n"
									"  - deny: {from: L0, to: hv1/b}\n"
									"  - deny: {from: world, to: hv1/a}\n"
									"  - deny: {from: hv1, to: hv1/a}";
	cleanup_proof struct proof whole = prove_with(line, lines, NULL, NULL, NULL);

	for (size_t i = 0; i < sizeof(left_out) / sizeof(*left_out); i++) {
		const struct edit edits[] = {{left_out[i][0]}, {left_out[i][1]}, {}};
		cleanup_proof struct proof part = prove_with(line, lines, edits, NULL, NULL);

		assert_int_equal(part.report->verdict_count, whole.report->verdict_count);
		for (size_t j = 0; j < part.report->verdict_count; j++) {
			const struct policy_verdict *verdict = &part.report->verdicts[j];

			if (verdict->result == POLICY_UNKNOWN || verdict->result == whole.report->verdicts[j].result)
				continue;
			tell(verdict);
			fail_msg("without %s: %s: %s", left_out[i][0], verdict->promise->text,
				 policy_result_word(verdict->result));
		}
	}
}

/* What may be lost twice on the way is not taken for what arrives. */
static void test_open_twice(void **state)
{
	const char *way = "192.168.124.0/24 via 192.168.122.191 dev lab proto 110";
	cleanup_proof struct proof proof = prove((const struct edit[]){
		{"L0", "ip-route-show-table-all.txt", way,
		 "192.168.124.0/24 proto 110\n\tnexthop via 192.168.122.191 dev lab weight 1\n\tnexthop via "
		 "192.168.122.191 dev lab weight 1"},
		{"hv1", "sysctl-net.txt", "/proc/sys/net/ipv4/conf/eth0/forwarding:1", ""},
		{"hv1", "sysctl-net.txt", "/proc/sys/net/ipv4/conf/all/forwarding:1", ""},
		{"hv1", "sysctl-net.txt", "/proc/sys/net/ipv4/ip_forward:1", ""},
		{}});

	expect(&proof, allow_a, POLICY_UNKNOWN);
}

/* What is counted first is what is kept. */
static void test_counted(void **state)
{
	struct policy_verdict verdicts[] = {
		{.result = POLICY_PROVED}, {.result = POLICY_VIOLATED}, {.result = POLICY_UNKNOWN}};
	struct policy_report report = {.result = POLICY_VIOLATED, .verdicts = verdicts, .verdict_count = 3};
	const struct style style = {.columns = 80};
	cleanup_strbuf struct strbuf out = {}, one = {};

	verify_line(&report, &style, &out);
	assert_string_equal(out.text, "violated: 1 of 3 promises kept, 1 violated, 1 unknown\n");
	report.result = POLICY_PROVED;
	report.verdict_count = 1;
	verify_line(&report, &style, &one);
	assert_string_equal(one.text, "proved: 1 of 1 promise kept\n");
}

/* A lab as it was applied has the lines of the file that promises the same, and else none. */
static void test_lines(void **state)
{
	cleanup_free char *path = fixture("first.nest.yaml");
	cleanup_free char *text = read_text(path);
	struct edit other = {"the lab", "file", "port: 22", "port: 23"};
	char *changed = replaced(strdup(text), &other);
	struct lab *file = load_fine(text), *applied = load_fine(text), *others = load_fine(changed);

	assert_true(file->policy_count > 0 && file->policies[0].place.line > 1);
	for (size_t i = 0; i < applied->policy_count; i++)
		applied->policies[i].place = (struct place){1, 1};
	lab_take_policy_places(applied, file);
	for (size_t i = 0; i < applied->policy_count; i++)
		assert_int_equal(applied->policies[i].place.line, file->policies[i].place.line);
	lab_take_policy_places(applied, others);
	assert_int_equal(applied->policies[0].place.line, 0);
	lab_take_policy_places(file, NULL);
	assert_int_equal(file->policies[0].place.line, 0);
	lab_free(file);
	lab_free(applied);
	lab_free(others);
	free(changed);
}

/* Of who begins a connection, `allow` and reach mean the same source ports: a rule for a name server's answers is none
 * that stops them; one for a port that hosts choose is. */
static void test_source_ports(void **state)
{
	static const struct {
		const char *rule;
		enum policy_result result;
		enum reach_verdict verdict;
	} cases[] = {{"tcp sport 53 drop", POLICY_PROVED, REACH_ALLOWED},
		     {"tcp sport 23-1023 drop", POLICY_PROVED, REACH_ALLOWED},
		     {"tcp sport 1024 drop", POLICY_VIOLATED, REACH_PARTLY}};
	const struct reach_service ssh = {.protocol = IPPROTO_TCP, .has_port = true, .port = 22};
	const char *first = "		iifname \"world\" jump from_world";

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup_strbuf struct strbuf rules = {};
		cleanup_reach_lab struct reach_lab *lab = NULL;
		size_t ends[2];

		strbuf_printf(&rules, "\t\t%s\n%s", cases[i].rule, first);
		cleanup_proof struct proof proof =
			prove((const struct edit[]){{"hv1-lab-first", nft, first, rules.text}, {}});
		struct reach_lab_question question = {
			.stack = proof.stack, .services = &ssh, .service_count = 1, .memory = 1 << 28};

		expect(&proof, allow_a, cases[i].result);
		assert_int_equal(reach_lab_new(&question, &lab, NULL), 0);
		ends[0] = stack_host(proof.stack, "L0")->number;
		ends[1] = stack_host(proof.stack, "hv1/a")->number;
		assert_int_equal(reach_lab_cell(lab, 0, ends[0], ends[1], 0)->verdict, cases[i].verdict);
	}
}

static void test_json(void **state)
{
	cleanup_proof struct proof proof = prove((const struct edit[]){{"hv1-lab-first"}, {}});
	cleanup_json json_t *json = verify_json(proof.report);
	char why[WHY_SIZE] = "";

	if (!schema_fits("verify", json, why))
		fail_msg("%s", why);
}

/* ---- guests that do not run ---- */

static void expect_down(const struct proof *proof, const char *text, const char *missing)
{
	const struct policy_verdict *verdict = expect(proof, text, POLICY_UNKNOWN);

	assert_int_equal(verdict->missing_count, 1);
	assert_string_equal(verdict->missing[0].text, missing);
	assert_string_equal(verdict->missing[0].command, "nestvisor up");
}

static void test_guest_down(void **state)
{
	(void)state;
	cleanup_proof struct proof proof = prove((const struct edit[]){
		{"hv1-lab-first", "ip-d-addr.txt", ": a-0:", ": gone:"}, {"hv1/a", NULL, NULL, NULL}, {}});
	cleanup_proof struct proof host = prove((const struct edit[]){{"L0", "ip-d-addr.txt", ": hv1-0:", ": gone:"},
								      {"hv1", NULL, NULL, NULL},
								      {"hv1-lab-first", NULL, NULL, NULL},
								      {"hv1/a", NULL, NULL, NULL},
								      {"hv1/b", NULL, NULL, NULL},
								      {}});

	expect_down(&proof, "L0 reaches hv1/a", "hv1/a does not run: it has no cable yet");
	expect_down(&proof, "allow: {from: L0, to: hv1/a, port: 22/tcp}", "hv1/a does not run: it has no cable yet");
	expect(&proof, "L0 reaches hv1/b", POLICY_PROVED);
	expect_down(&host, "L0 reaches hv1", "hv1 does not run: it has no cable yet");
	expect_down(&host, "L0 reaches hv1/b", "hv1 does not run: it has no cable yet");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_it_ran),
		cmocka_unit_test(test_one_layer_holds),
		cmocka_unit_test(test_hole_for_a_port),
		cmocka_unit_test(test_hole_for_a_family),
		cmocka_unit_test(test_hole_for_a_protocol),
		cmocka_unit_test(test_connections_that_live),
		cmocka_unit_test(test_tables_tell),
		cmocka_unit_test(test_tables_of_answers),
		cmocka_unit_test(test_tables_of_helpers),
		cmocka_unit_test(test_tables_of_published),
		cmocka_unit_test(test_flushed_below),
		cmocka_unit_test(test_flushed_above),
		cmocka_unit_test(test_open_relay),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_deny),
		cmocka_unit_test(test_deny_network),
		cmocka_unit_test(test_allow),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_inside),
		cmocka_unit_test(test_compromised),
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_published_and_cut),
		cmocka_unit_test(test_suspended),
		cmocka_unit_test(test_not_suspended),
		cmocka_unit_test(test_missing_host),
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_open_twice),
		cmocka_unit_test(test_counted),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_source_ports),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_guest_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
