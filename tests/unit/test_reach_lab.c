/*
 * verify/: who reaches whom over a whole stack, against the interpreter: whatever the matrix says of all packets must
 * be so for single ones, in the twelve stacks of tests/data/kernel-sample. And how it is told.
 */
#include "facts_check.h"
#include "schema_check.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "render/reach_lab.h"
#include "verify/batch.h"
#include "verify/ends.h"
#include "verify/reach_lab.h"
#include "verify/walk.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* cmocka needs those from setjmp.h on */
#include <cmocka.h>

enum { MEMORY = 1 << 30 };

/* ---- one packet of a question ---- */

struct counts {
	size_t asked, verdicts[REACH_VERDICT_COUNT], undecided;
	size_t misnamed; /* by pictures, which do not name what decides */
};

struct asking {
	const struct stack *stack;
	const struct reach_lab *lab;
	int family;
	struct counts *counts;
	const char *where;
};

static struct question question_of(const struct asking *asking, size_t from, const struct ip *to, size_t service,
				   uint16_t sport, const struct ip *source)
{
	const struct reach_service *asked = &asking->lab->services[service];
	struct question question = {.at = (struct stack_host *)asking->lab->nodes[from].host};
	struct packet *packet = &question.packet;
	struct stack_host *target;
	char address[IP_TEXT_SIZE];
	struct ends ends = {.from = source ? ip_format(source, address) : NULL, .to = "world", .family = to->family};

	if (!question.at) {
		assert_int_equal(ends_resolve(asking->stack, &ends, &question, &target, NULL), 0);
		packet->src = *source;
	}
	packet->family = to->family;
	packet->dst = *to;
	packet->protocol =
		asked->protocol == PROTOCOL_ICMP && to->family == AF_INET6 ? PROTOCOL_ICMPV6 : asked->protocol;
	packet->dport = port_of(asked->port);
	packet->sport = port_of(sport);
	question_complete(&question, true, true, false, false);
	return question;
}

static bool gets_there(const struct answer *answer, const struct reach_node *to)
{
	return answer->fate == FATE_DELIVERED &&
	       (to->host ? answer->where == to->host && !answer->out : answer->out != NULL);
}

static void describe(const struct asking *asking, const struct question *question, const struct answer *answer,
		     const struct reach_cell *cell)
{
	cleanup_strbuf struct strbuf text = {}, cause = {};

	packet_format(&question->packet, &text);
	if (cell->cause)
		reach_cause_text(&asking->lab->causes[cell->cause], true, &cause);
	fail_msg("%s: %s from %s: the matrix says %s (%s), the interpreter %s at %s, %s", asking->where, text.text,
		 question->at->name, reach_verdict_word(cell->verdict), cause.text ? cause.text : "",
		 fate_word(answer->fate), answer->where->name, answer->reason_text ? answer->reason_text : "");
}

/* Where the world's packets come in, those that others would come from do not count: they are none of the world's. */
static bool is_refused_as_source(const struct answer *answer, const struct stack_host *entrance)
{
	return answer->fate == FATE_LOST && answer->where == entrance &&
	       (answer->reason == LOST_RP_FILTER || answer->reason == LOST_MARTIAN_SOURCE ||
		answer->reason == LOST_MARTIAN_SOURCE_IS_LOCAL);
}

static void check_packet(const struct asking *asking, size_t from, size_t to, const struct ip *address, size_t service,
			 uint16_t sport, const struct ip *source)
{
	cleanup_arena struct arena *arena = arena_new();
	const struct reach_cell *cell = reach_lab_cell(asking->lab, asking->family, from, to, service);
	struct question question = question_of(asking, from, address, service, sport, source);
	struct answer *answer = walk_ask(asking->stack, &question, 0, arena);
	bool there = gets_there(answer, &asking->lab->nodes[to]);

	asking->counts->asked++;
	if (!asking->lab->nodes[from].host && is_refused_as_source(answer, question.at))
		return;
	if (answer->fate == FATE_UNKNOWN) {
		asking->counts->undecided++;
		if (cell->verdict == REACH_ALLOWED || cell->verdict == REACH_BLOCKED)
			describe(asking, &question, answer, cell);
	} else if (there ? cell->verdict == REACH_BLOCKED : cell->verdict == REACH_ALLOWED) {
		describe(asking, &question, answer, cell);
	}
}

/* ---- ends that are told as one ---- */

static void say_causes(const struct reach_lab *lab, const struct reach_cell *cells, struct strbuf *out)
{
	for (size_t i = 0; i < lab->service_count; i++) {
		if (cells[i].cause)
			reach_cause_text(&lab->causes[cells[i].cause], false, out);
		strbuf_add_char(out, '\n');
	}
}

/* How many cells are told by the first one of their group although something else decides them. */
static size_t count_misnamed(const struct reach_lab *lab, int family, bool causes)
{
	cleanup_arena struct arena *arena = arena_new();
	struct reach_group *groups;
	size_t count = reach_groups(lab, family, causes, arena, &groups), misnamed = 0;

	for (size_t i = 0; i < count * count; i++) {
		const struct reach_group *from = &groups[i / count], *to = &groups[i % count];
		const struct reach_cell *told = reach_group_cell(lab, family, from, to, 0);

		for (size_t j = 0; told && j < from->count * to->count; j++) {
			size_t ends[2] = {from->members[j / to->count], to->members[j % to->count]};
			cleanup_strbuf struct strbuf one = {}, other = {};

			if (ends[0] == ends[1])
				continue;
			say_causes(lab, told, &one);
			say_causes(lab, reach_lab_cell(lab, family, ends[0], ends[1], 0), &other);
			misnamed += strcmp(one.text, other.text) != 0;
		}
	}
	return misnamed;
}

/* ---- all cells ---- */

/* Somebody in the world; not in a subnet of the stacks. */
static const struct ip world4[] = {{AF_INET, {8, 8, 8, 8}}, {AF_INET, {93, 184, 215, 14}}},
		       world6[] = {{AF_INET6, {0x20, 0x01, 0x48, 0x60, 0x48, 0x60, [14] = 0x88, 0x88}},
				   {AF_INET6, {0x26, 0x06, 0x28, 0, [15] = 1}}};

static bool has_subnet(const struct stack *stack, const struct ip *ip)
{
	for (size_t i = 0; i < stack->host_count; i++)
		for (size_t j = 0; j < stack->hosts[i].link_count; j++)
			for (size_t k = 0; k < stack->hosts[i].links[j].link->address_count; k++)
				if (prefix_contains(&stack->hosts[i].links[j].link->addresses[k].prefix, ip))
					return true;
	return false;
}

static void check_cell(const struct asking *asking, size_t from, size_t to, size_t service)
{
	static const uint16_t ports[] = {40000, 1024, 65535}; /* of those that hosts choose */
	const struct reach_cell *cell = reach_lab_cell(asking->lab, asking->family, from, to, service);
	const struct reach_node *node = &asking->lab->nodes[to];
	const struct ip *world = asking->family ? world6 : world4, *addresses = world;
	size_t count = 2;

	asking->counts->verdicts[cell->verdict]++;
	if (cell->verdict == REACH_NONE)
		return;
	if (node->host) {
		addresses = node->addresses[asking->family];
		count = node->address_counts[asking->family];
	}
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < sizeof(ports) / sizeof(*ports); j++)
			/* it is allowed at this address; that it is blocked holds for all */
			if ((node->host || !has_subnet(asking->stack, &addresses[i])) &&
			    (cell->verdict != REACH_ALLOWED || !node->host || i == cell->address))
				check_packet(asking, from, to, &addresses[i], service, ports[j], &world[j % 2]);
}

static void check_matrix(const struct stack *stack, const char *where, struct counts *counts)
{
	static const struct reach_service services[] = {
		{PROTOCOL_TCP, true, 22},   {PROTOCOL_TCP, true, 80},	{PROTOCOL_TCP, true, 443},
		{PROTOCOL_TCP, true, 3389}, {PROTOCOL_TCP, true, 8443}, {PROTOCOL_TCP, true, 13389},
		{PROTOCOL_UDP, true, 53},   {PROTOCOL_UDP, true, 3389}, {PROTOCOL_ICMP, false, 0}};
	struct reach_lab_question question = {.stack = stack,
					      .services = services,
					      .service_count = sizeof(services) / sizeof(*services),
					      .memory = MEMORY};
	cleanup_reach_lab struct reach_lab *lab = NULL;

	assert_int_equal(reach_lab_new(&question, &lab, NULL), 0);
	for (int family = 0; family < 2; family++) {
		struct asking asking = {stack, lab, family, counts, where};

		if (!lab->tables[family].present)
			continue;
		for (size_t i = 0; i < lab->node_count * lab->node_count; i++)
			for (size_t service = 0; service < lab->service_count; service++)
				check_cell(&asking, i / lab->node_count, i % lab->node_count, service);
		assert_int_equal(count_misnamed(lab, family, true), 0);
		counts->misnamed += count_misnamed(lab, family, false);
	}
}

static void test_sample(void **state)
{
	cleanup_free char *root = source_path("tests/data/kernel-sample");
	struct counts counts = {};
	struct dirent **names;
	int count = scandir(root, &names, NULL, alphasort);

	assert_true(count > 0);
	for (int i = 0; i < count; i++) {
		cleanup_bundle struct bundle *bundle = NULL;
		cleanup_stack struct stack *stack = NULL;
		cleanup_free char *folder = NULL;

		assert_true(asprintf(&folder, "%s/%s", root, names[i]->d_name) > 0);
		if (names[i]->d_name[0] == '0') {
			assert_int_equal(bundle_load(folder, &bundle, NULL), 0);
			stack = stack_new(bundle);
			check_matrix(stack, names[i]->d_name, &counts);
		}
		free(names[i]);
	}
	free(names);
	print_message("%zu packets; cells: %zu allowed, %zu partly, %zu blocked, %zu unknown; %zu packets undecided\n",
		      counts.asked, counts.verdicts[REACH_ALLOWED], counts.verdicts[REACH_PARTLY],
		      counts.verdicts[REACH_BLOCKED], counts.verdicts[REACH_UNKNOWN], counts.undecided);
	assert_true(counts.misnamed > 0); /* else nothing is tried here */
	assert_true(counts.verdicts[REACH_ALLOWED] > 20 && counts.verdicts[REACH_BLOCKED] > 20);
}

/* ---- how it is told ---- */

static void check_told(const char *suffix, const char *got)
{
	cleanup_free char *below = NULL, *path = NULL;

	assert_true(asprintf(&below, "tests/golden/render/reach-lab.%s", suffix) > 0);
	path = source_path(below);
	check_golden(path, got);
}

static void test_told(void **state)
{
	cleanup_free char *folder = source_path("tests/data/kernel-sample/0004"), *text = NULL;
	struct style style = {.utf8 = true, .columns = 120};
	cleanup_strbuf struct strbuf table = {}, all = {}, chart = {}, picture = {};
	cleanup_bundle struct bundle *bundle = load(folder);
	cleanup_stack struct stack *stack = stack_new(bundle);
	struct reach_lab_question question = {.stack = stack, .memory = MEMORY};
	cleanup_reach_lab struct reach_lab *lab = NULL;
	cleanup_json json_t *answer = NULL;

	assert_int_equal(reach_lab_new(&question, &lab, NULL), 0);
	reach_lab_text(lab, &style, false, &table);
	check_told("txt", table.text);
	reach_lab_text(lab, &style, true, &all);
	check_told("verbose.txt", all.text);
	reach_lab_mermaid(lab, "0004", &chart);
	check_told("mmd", chart.text);
	reach_lab_svg(lab, "0004 <&>", &picture);
	check_told("svg", picture.text);
	answer = reach_lab_json(lab);
	assert_fits("reach", json_incref(answer));
	text = json_dumps(answer, JSON_INDENT(1));
	check_told("json", text);
}

/* ---- those who go on together ---- */

#define LOOPBACK                                                                                                       \
	"$ ip addr\n1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536\n    link/loopback 00:00:00:00:00:00\n"                    \
	"    inet 127.0.0.1/8 scope host lo\n"
#define ETHER(index, name, mac, more)                                                                                  \
#index ": " name ": <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 " more "\n    link/ether 52:54:00:00:00:" mac   \
	       "\n"
#define INET(text)  "    inet " text " scope global\n"
#define RULES(more) "$ ip rule\n0:\tfrom all lookup local\n" more "32766:\tfrom all lookup main\n"
#define SYSCTLS                                                                                                        \
	"$ sysctl -a\nnet.ipv4.ip_forward = 1\nnet.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.eth0.rp_filter = 0\n"    \
	"net.ipv4.conf.eth1.rp_filter = 0\nnet.ipv4.conf.eth2.rp_filter = 0\nnet.ipv4.conf.br0.rp_filter = 0\n"        \
	"net.bridge.bridge-nf-call-iptables = 0\n"
#define NO_RULES "$ nft list ruleset\n"

/*
 * Over the bridge of h, s and a come to m by as many hosts, and go on to f by n. Behind n is s: n knows its packets
 * already and does not translate them, as it does those of a; and f lets in only what is not translated.
 */
static const struct {
	const char *name, *session;
} behind[] = {
	{"a",
	 LOOPBACK ETHER(2, "eth0", "01", "") INET("10.1.0.9/24") RULES(
		 "") "$ ip route\n10.1.0.0/24 dev eth0 scope link\ndefault via 10.1.0.1 dev eth0\n" SYSCTLS NO_RULES},
	{"b", LOOPBACK ETHER(2, "eth0", "02", "") INET("10.0.0.2/24") ETHER(3, "eth1", "03", "") INET("10.1.0.1/24")
		      RULES("") "$ ip route\n10.0.0.0/24 dev eth0 scope link\n10.1.0.0/24 dev eth1 scope link\n"
				"10.3.0.0/24 via 10.0.0.3 dev eth0\n" SYSCTLS NO_RULES},
	{"f", LOOPBACK ETHER(2, "eth0", "04", "") INET("10.3.0.9/24")
		      RULES("") "$ ip route\n10.3.0.0/24 dev eth0 scope link\ndefault via 10.3.0.1 dev eth0\n" SYSCTLS
				"$ nft list ruleset\ntable ip t {\n chain in {\n  type filter hook input priority 0; "
				"policy accept;\n"
				"  ip saddr 10.3.0.1 drop\n }\n}\n"},
	{"h", LOOPBACK ETHER(2, "br0", "05", "") ETHER(3, "p1", "06", "master br0") ETHER(4, "p2", "07", "master br0")
		      ETHER(5, "p3", "08", "master br0") RULES("") "$ ip route\n" SYSCTLS NO_RULES},
	{"m",
	 LOOPBACK ETHER(2, "eth0", "09", "") INET("10.0.0.3/24") RULES(
		 "") "$ ip route\n10.0.0.0/24 dev eth0 scope link\ndefault via 10.0.0.4 dev eth0\n" SYSCTLS NO_RULES},
	{"n", LOOPBACK ETHER(2, "eth0", "0a", "") INET("10.0.0.4/24") ETHER(3, "eth1", "0b", "") INET("10.2.0.1/24")
		      ETHER(4, "eth2", "0c", "") INET("10.3.0.1/24") RULES(
			      "9:\tfrom all iif eth1 lookup 5\n") "$ ip route\n10.0.0.0/24 dev eth0 scope "
								  "link\n10.2.0.0/24 dev eth1 scope link\n"
								  "10.3.0.0/24 dev eth2 scope link\n10.1.0.0/24 via "
								  "10.0.0.2 dev eth0\n"
								  "$ ip route show table 5\ndefault via 10.0.0.3 dev "
								  "eth0\n" SYSCTLS
								  "$ nft list ruleset\ntable ip t {\n chain after {\n  "
								  "type nat hook postrouting priority 100;\n"
								  "  oifname \"eth2\" masquerade\n }\n}\n"},
	{"s",
	 LOOPBACK ETHER(2, "eth0", "0d", "") INET("10.2.0.9/24") RULES(
		 "") "$ ip route\n10.2.0.0/24 dev eth0 scope link\ndefault via 10.2.0.1 dev eth0\n" SYSCTLS NO_RULES},
};
static const char behind_links[] =
	"[[\"a\", \"eth0\", \"b\", \"eth1\"], [\"b\", \"eth0\", \"h\", \"p1\"], [\"m\", \"eth0\", \"h\", \"p2\"], "
	"[\"n\", \"eth0\", \"h\", \"p3\"], [\"n\", \"eth1\", \"s\", \"eth0\"], [\"n\", \"eth2\", \"f\", \"eth0\"]]";

static void test_together(void **state)
{
	static const struct reach_service ssh = {PROTOCOL_TCP, true, 22};
	char folder[] = "/tmp/nestvisor-test-XXXXXX";
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_stack struct stack *stack = NULL;
	cleanup_reach_lab struct reach_lab *lab = NULL;
	struct counts counts = {};

	assert_non_null(mkdtemp(folder));
	for (size_t i = 0; i < sizeof(behind) / sizeof(*behind); i++)
		put_host(folder, behind[i].name, behind[i].session);
	put_file(folder, "links.json", behind_links);
	bundle = load(folder);
	assert_int_equal(dir_remove(folder, NULL), 0);
	stack = stack_new(bundle);
	struct reach_lab_question question = {.stack = stack, .services = &ssh, .service_count = 1, .memory = MEMORY};
	assert_int_equal(reach_lab_new(&question, &lab, NULL), 0);
	struct asking asking = {stack, lab, 0, &counts, "behind"};
	for (size_t i = 0; i < lab->node_count * lab->node_count; i++)
		check_cell(&asking, i / lab->node_count, i % lab->node_count, 0);
	size_t a = stack_host(stack, "a")->number, f = stack_host(stack, "f")->number;
	size_t s = stack_host(stack, "s")->number;
	assert_int_equal(reach_lab_cell(lab, 0, a, f, 0)->verdict, REACH_BLOCKED);
	assert_int_equal(reach_lab_cell(lab, 0, s, f, 0)->verdict,
			 REACH_UNKNOWN); /* when n forgets them is not known */
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_sample), cmocka_unit_test(test_together),
					   cmocka_unit_test(test_told)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
