/* verify/ and render/: who reaches whom through one hook, as an answer. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "render/reach.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs those from setjmp.h on */
#include <cmocka.h>

#include "schema_check.h"

static const char rules[] =
	"$ iptables-save\n"
	"*filter\n"
	":INPUT ACCEPT [0:0]\n"
	":FORWARD DROP [0:0]\n"
	":OUTPUT ACCEPT [0:0]\n"
	"-A FORWARD -m state --state RELATED,ESTABLISHED -j ACCEPT\n"
	"-A FORWARD -i eth1 -s 10.1.0.0/16 -d 10.2.0.0/24 -p tcp --dport 22 -m limit --limit 5/min -j ACCEPT\n"
	"-A FORWARD -s 10.1.0.0/16 -d 10.2.0.0/24 -p tcp --dport 80 -j ACCEPT\n"
	"-A FORWARD -d 10.2.0.9/32 -p tcp -j REJECT\n"
	"-A FORWARD -s 10.2.0.0/24 -d 10.2.0.0/24 -p tcp --sport 1024:65535 -j ACCEPT\n"
	"COMMIT\n";

struct asked {
	struct bundle *bundle;
	struct stack *stack;
	struct reach_question question;
	struct reach *reach;
};

static void ask(struct asked *asked, const char *text, const uint16_t *ports, size_t count)
{
	cleanup_error struct error *err = NULL;

	asked->bundle = bundle_from_text("session.txt", text, strlen(text));
	asked->stack = stack_new(asked->bundle);
	asked->question.host = &asked->stack->hosts[0];
	if (!asked->question.hook)
		asked->question.hook = HOOK_FORWARD;
	asked->question.ports = ports;
	asked->question.port_count = count;
	if (!asked->question.protocol)
		asked->question.protocol = 6;
	if (!asked->question.memory)
		asked->question.memory = (size_t)256 << 20;
	if (reach_new(&asked->question, &asked->reach, &err) < 0)
		fail_msg("%s", err->message);
}

static void end(struct asked *asked)
{
	reach_free(asked->reach);
	stack_free(asked->stack);
	bundle_free(asked->bundle);
}

/* The edge between the classes of two addresses; NULL: none. */
static const json_t *edge(const json_t *answer, const char *from, const char *to)
{
	const json_t *class, *address;
	long long ids[2] = {-1, -1};
	size_t i, j;

	json_array_foreach (json_object_get(answer, "classes"), i, class) {
		json_array_foreach (json_object_get(class, "addresses"), j, address) {
			if (strcmp(json_string_value(address), from) == 0)
				ids[0] = json_get_integer(class, "id", -1);
			if (strcmp(json_string_value(address), to) == 0)
				ids[1] = json_get_integer(class, "id", -1);
		}
	}
	assert_true(ids[0] >= 0 && ids[1] >= 0);
	json_array_foreach (json_object_get(answer, "edges"), i, class)
		if (json_get_integer(class, "from", -1) == ids[0] && json_get_integer(class, "to", -1) == ids[1])
			return class;
	return NULL;
}

static void check_edge(const json_t *answer, const char *from, const char *to, const char *wanted)
{
	const json_t *found = edge(answer, from, to);
	cleanup_free char *got = found ? json_dumps(found, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	if (!wanted)
		assert_null(found);
	else
		assert_non_null(strstr(got ? got : "", wanted));
}

static void test_answer(void **state)
{
	static const uint16_t ports[] = {22, 80};
	struct asked asked = {};
	cleanup_json json_t *answer = NULL;

	ask(&asked, rules, ports, 2);
	answer = reach_json(asked.reach, &asked.question);
	assert_fits("reach", json_incref(answer));
	assert_int_equal(json_array_size(json_object_get(answer, "classes")), 4);
	check_edge(answer, "10.1.0.0/16", "10.2.0.0-10.2.0.8", "\"ports\":[22,80],\"sure\":true");
	check_edge(answer, "10.1.0.0/16", "10.2.0.0-10.2.0.8", "\"undecided\":[22]");
	check_edge(answer, "10.1.0.0/16", "10.2.0.9", "\"ports\":[22,80],\"sure\":true");
	check_edge(answer, "10.2.0.0-10.2.0.8", "10.2.0.0-10.2.0.8", "\"undecided\":[]");
	check_edge(answer, "10.2.0.0-10.2.0.8", "10.2.0.9", NULL);
	check_edge(answer, "10.2.0.9", "10.1.0.0/16", NULL);
	assert_int_equal(json_array_size(json_object_get(answer, "undecided")), 1);
	assert_string_equal(json_get_string(json_array_get(json_object_get(answer, "undecided"), 0), "source", ""),
			    "session.txt:7");
	assert_string_equal(json_string_value(json_array_get(json_object_get(answer, "unknown"), 0)), "ip6");
	end(&asked);
}

static void test_text(void **state)
{
	static const uint16_t ports[] = {22, 80};
	struct style style = {.columns = 100};
	cleanup_strbuf struct strbuf out = {};
	struct asked asked = {};

	ask(&asked, rules, ports, 2);
	reach_text(asked.reach, &asked.question, &style, false, &out);
	assert_string_equal(
		out.text,
		"IPv4\n"
		"class  addresses\n"
		"a      0.0.0.0-10.0.255.255, 10.2.1.0-255.255.255.255\n"
		"b      10.1.0.0/16\n"
		"c      10.2.0.0-10.2.0.8, 10.2.0.10-10.2.0.255\n"
		"d      10.2.0.9\n"
		"\n"
		"from  to   ports\n"
		"b     c d  22, 80  some perhaps\n"
		"c     c    22, 80\n"
		"d     c    22, 80\n"
		"\n"
		"1 rule cannot be decided from packets, so that \"perhaps\" is all that can be said:\n"
		"  session.txt:7  -A FORWARD -i eth1 -s 10.1.0.0/16 -d 10.2.0.0/24 -p tcp --dport 22 -m limit --limit "
		"5/min -j ACCEPT\n"
		"\n"
		"not captured: nftables' tables (nft list ruleset)\n"
		"\n"
		"IPv6\n"
		"whether session.txt has rules here is not known\n"
		"not captured: nftables' tables (nft list ruleset)\n"
		"not captured: ip6tables' tables filter, nat, mangle, raw (ip6tables-save)\n");
	end(&asked);
}

/* What the question fixes, no rule can leave open. */
static void test_narrowed(void **state)
{
	static const uint16_t ports[] = {22};
	cleanup_json json_t *answer = NULL;
	struct asked asked = {.question = {.iif = "eth2", .source_port = {1000, true}}};

	ask(&asked, rules, ports, 1);
	answer = reach_json(asked.reach, &asked.question);
	assert_int_equal(json_array_size(json_object_get(answer, "edges")), 0);
	assert_int_equal(json_array_size(json_object_get(answer, "classes")), 1);
	end(&asked);
}

static void test_interfaces(void **state)
{
	static const char text[] = "# what is behind what\n"
				   "eth1 = [10.9.0.0/16, 10.1.0.0-10.1.0.7]\n"
				   "eth0 = all_but_those_ips [\n"
				   "  10.0.0.0/8\n"
				   "]\n";
	static const uint16_t ports[] = {22};
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	cleanup_json json_t *answer = NULL;
	struct asked asked = {};

	assert_int_equal(reach_read_interfaces("list", text, arena, &asked.question.interfaces,
					       &asked.question.interface_count, &err),
			 0);
	assert_int_equal(asked.question.interface_count, 2);
	ask(&asked, rules, ports, 1);
	answer = reach_json(asked.reach, &asked.question);
	check_edge(answer, "10.1.0.0/29", "10.2.0.0/24", "\"ports\":[22]");
	assert_int_equal(json_array_size(json_object_get(answer, "edges")), 1);
	end(&asked);
	assert_int_equal(reach_read_interfaces("list", "eth1 = [10.9.0.0/16,\n  10.8.0.0.0]", arena,
					       &asked.question.interfaces, &asked.question.interface_count, &err),
			 -EINVAL);
	assert_string_equal(err->message, "list:2: an address, a prefix or a range expected before \"]\"");
}

static void test_errors(void **state)
{
	static const uint16_t ports[] = {22};
	cleanup_error struct error *err = NULL;
	struct asked asked = {};
	struct reach *reach;

	ask(&asked, rules, ports, 1);
	asked.question.protocol = 1;
	assert_int_equal(reach_new(&asked.question, &reach, &err), -EINVAL);
	assert_string_equal(err->message, "protocol 1 has no ports");
	asked.question.protocol = 6;
	asked.question.memory = 4096;
	assert_int_equal(reach_new(&asked.question, &reach, &err), -E2BIG);
	end(&asked);
}

/* What only the host itself can send to itself is no way in. */
static void test_loopback(void **state)
{
	static const char text[] = "*filter\n"
				   ":INPUT DROP [0:0]\n"
				   ":FORWARD DROP [0:0]\n"
				   ":OUTPUT ACCEPT [0:0]\n"
				   "-A INPUT -i lo -j ACCEPT\n"
				   "-A INPUT -s 10.0.0.0/8 -p tcp --dport 22 -j ACCEPT\n"
				   "COMMIT\n";
	static const uint16_t ports[] = {22, 80};
	struct asked asked = {.question.hook = HOOK_INPUT};
	cleanup_json json_t *answer = NULL;
	const json_t *near, *far;

	ask(&asked, text, ports, 2);
	answer = reach_json(asked.reach, &asked.question);
	near = edge(answer, "10.0.0.0/8", "10.0.0.0/8");
	assert_non_null(near);
	assert_int_equal(json_array_size(json_object_get(near, "ports")), 2);
	assert_int_equal(json_array_size(json_object_get(near, "loopback")), 1);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(near, "loopback"), 0)), 80);
	far = edge(answer, "11.0.0.0-255.255.255.255", "10.0.0.0/8");
	assert_non_null(far);
	assert_int_equal(json_array_size(json_object_get(far, "loopback")), 2);
	end(&asked);
}

/* That there are no rules is an answer where it was captured. */
static void test_no_rules(void **state)
{
	struct asked asked = {};
	cleanup_json json_t *answer = NULL;

	asked.bundle =
		bundle_from_texts("empty",
				  (const struct capture_text[]){{"nft-ruleset.txt", "nft-ruleset.txt", "", 0},
								{"iptables-save.txt", "iptables-save.txt", "", 0}},
				  2);
	asked.stack = stack_new(asked.bundle);
	asked.question = (struct reach_question){
		.host = &asked.stack->hosts[0], .hook = HOOK_FORWARD, .protocol = 6, .memory = (size_t)256 << 20};
	assert_int_equal(reach_new(&asked.question, &asked.reach, NULL), 0);
	assert_true(asked.reach->families[0].captured);
	assert_false(asked.reach->families[1].captured);
	answer = reach_json(asked.reach, &asked.question);
	assert_non_null(edge(answer, "0.0.0.0/0", "0.0.0.0/0"));
	assert_int_equal(json_array_size(json_object_get(answer, "missing")), 1);
	end(&asked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer),	   cmocka_unit_test(test_text),	  cmocka_unit_test(test_narrowed),
		cmocka_unit_test(test_interfaces), cmocka_unit_test(test_errors), cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_no_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
