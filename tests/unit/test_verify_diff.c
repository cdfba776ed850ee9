/* verify/: what two sets of facts let through differently, over one hook and over two hosts. */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "facts/bundle.h"
#include "render/diff.h"
#include "verify/diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs those from setjmp.h on */
#include <cmocka.h>

#include "schema_check.h"

enum { MEMORY = 256 << 20 };

#define HEAD                                                                                                           \
	"*filter\n"                                                                                                    \
	":INPUT DROP [0:0]\n"                                                                                          \
	":FORWARD DROP [0:0]\n"                                                                                        \
	":OUTPUT ACCEPT [0:0]\n"
#define ESTABLISHED "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
#define WEB	    "-A FORWARD -s 10.1.0.0/16 -d 10.2.0.9/32 -p tcp -m tcp --dport 80 -j ACCEPT\n"
#define SSH	    "-A FORWARD -s 10.1.0.7/32 -d 10.2.0.0/24 -p tcp -m tcp --dport 22 -j ACCEPT\n"

/* ---- one hook ---- */

struct pair {
	struct bundle *bundles[2];
	struct stack *stacks[2];
	struct diff_hook *diff;
};

static void compare(struct pair *pair, const char *before, const char *after)
{
	const char *const texts[] = {before, after};
	struct diff_hook_question question = {.hook = HOOK_FORWARD, .protocol = -1, .memory = MEMORY};
	cleanup_error struct error *err = NULL;

	for (size_t i = 0; i < 2; i++) {
		pair->bundles[i] = bundle_from_text(i ? "new" : "old", texts[i], strlen(texts[i]));
		pair->stacks[i] = stack_new(pair->bundles[i]);
	}
	question.before = &pair->stacks[0]->hosts[0];
	question.after = &pair->stacks[1]->hosts[0];
	if (diff_hook_new(&question, &pair->diff, &err) < 0)
		fail_msg("%s", err->message);
}

static void end(struct pair *pair)
{
	diff_hook_free(pair->diff);
	for (size_t i = 0; i < 2; i++) {
		stack_free(pair->stacks[i]);
		bundle_free(pair->bundles[i]);
	}
}

static void assert_text(const struct pair *pair, const char *wanted)
{
	struct style style = {.utf8 = true, .columns = 100};
	const struct diff_hook *diff = pair->diff;
	cleanup_strbuf struct strbuf out = {};

	assert_fits("diff", diff_hooks_json(&diff, 1));
	diff_hooks_text(&diff, 1, &style, &out);
	assert_string_equal(out.text, wanted);
}

/* Written in another way, the same gets through. */
static void test_same(void **state)
{
	struct pair pair = {};

	compare(&pair, HEAD ESTABLISHED WEB SSH "COMMIT\n",
		HEAD SSH "-A FORWARD -s 10.1.0.0/17 -d 10.2.0.9/32 -p tcp -m tcp --dport 80 -j ACCEPT\n"
			 "-A FORWARD -s 10.1.128.0/17 -d 10.2.0.9/32 -p tcp -m tcp --dport 80 -j ACCEPT\n" ESTABLISHED
			 "-A FORWARD -p tcp -j REJECT\n"
			 "COMMIT\n");
	assert_text(&pair, "Both let the same packets through.\n");
	end(&pair);
}

static void test_opens_and_closes(void **state)
{
	struct pair pair = {};

	compare(&pair, HEAD ESTABLISHED WEB "COMMIT\n",
		HEAD ESTABLISHED "-A FORWARD -s 10.1.2.0/24 -p tcp -j DROP\n" WEB SSH "COMMIT\n");
	assert_text(
		&pair,
		"Gets through now:\n"
		"  tcp 10.1.0.7 → 10.2.0.0/24 port 22\n"
		"    for example tcp 10.1.0.7:40000 → 10.2.0.1:22\n"
		"    before: stopped by the policy of filter FORWARD\n"
		"    after:  passes by rule 4 of filter FORWARD: -A FORWARD -s 10.1.0.7/32 -d 10.2.0.0/24 -p tcp -m "
		"tcp --dport 22 -j ACCEPT [new:8]\n"
		"\n"
		"No longer gets through:\n"
		"  tcp 10.1.2.0/24 → 10.2.0.9 port 80\n"
		"    for example tcp 10.1.2.1:40000 → 10.2.0.9:80\n"
		"    before: passes by rule 2 of filter FORWARD: -A FORWARD -s 10.1.0.0/16 -d 10.2.0.9/32 -p tcp -m "
		"tcp --dport 80 -j ACCEPT [old:6]\n"
		"    after:  stopped by rule 2 of filter FORWARD: -A FORWARD -s 10.1.2.0/24 -p tcp -j DROP [new:6]\n");
	end(&pair);
}

/* Of a mark one bit counts: half of all marks, which nobody could list. */
static void test_one_bit(void **state)
{
	struct pair pair = {};

	compare(&pair, HEAD "COMMIT\n", HEAD "-A FORWARD -m mark --mark 0x1/0x1 -j ACCEPT\nCOMMIT\n");
	assert_int_equal(pair.diff->class_count, 2); /* of each family one */
	assert_false(pair.diff->more);
	for (size_t i = 0; i < 2; i++) {
		const struct diff_values *marks = &pair.diff->classes[i].box[PSET_MARK];

		assert_int_equal(pair.diff->classes[i].kind, DIFF_OPENS);
		assert_true(marks->more && marks->count == 1 && (marks->items[0].first & 1));
	}
	end(&pair);
}

/* A rate decides now what a rule did before. */
static void test_unclear(void **state)
{
	struct pair pair = {};

	compare(&pair, HEAD WEB "COMMIT\n",
		HEAD
		"-A FORWARD -s 10.1.0.0/16 -d 10.2.0.9/32 -p tcp -m tcp --dport 80 -m limit --limit 5/min -j ACCEPT\n"
		"COMMIT\n");
	assert_int_equal(pair.diff->class_count, 1);
	assert_int_equal(pair.diff->classes[0].kind, DIFF_UNCLEAR);
	end(&pair);
}

/* ---- two hosts ---- */

#define ADDRESSES(number, link, address)                                                                               \
	"1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default\n"                          \
	"    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n"                                                  \
	"    inet 127.0.0.1/8 scope host lo\n"                                                                         \
	"2: " link ": <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default\n"               \
	"    link/ether 52:54:00:00:00:0" number " brd ff:ff:ff:ff:ff:ff\n"                                            \
	"    inet " address "/24 scope global " link "\n"

static struct bundle *host_of(const char *name, const char *addresses, const char *rules)
{
	const char *const texts[][2] = {
		{"ip-addr.txt", addresses},
		{"ip-route.txt", strcmp(name, "a") == 0
					 ? "10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1\n"
					 : "10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.2\n"},
		{"ip-rule.txt", "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n"},
		{"sysctl.txt", "net.ipv4.ip_forward = 0\nnet.ipv4.conf.all.rp_filter = 0\n"
			       "net.ipv4.conf.default.rp_filter = 0\n"},
		{"nft-ruleset.txt", ""},
		{"iptables-save.txt", rules}};
	struct capture_text captured[6];

	for (size_t i = 0; i < 6; i++)
		captured[i] = (struct capture_text){texts[i][0], texts[i][0], texts[i][1], strlen(texts[i][1])};
	return bundle_from_texts(name, captured, 6);
}

static struct bundle *two_hosts(const char *rules_of_b)
{
	cleanup_json json_t *links = json_pack("[[s, s, s, s]]", "a", "eth0", "b", "eth0");
	struct bundle *parts[] = {host_of("a", ADDRESSES("1", "eth0", "10.0.0.1"), HEAD "COMMIT\n"),
				  host_of("b", ADDRESSES("2", "eth0", "10.0.0.2"), rules_of_b)};

	return bundle_join(parts, 2, links, "links.json");
}

static void test_labs(void **state)
{
	const char *const rules[] = {HEAD "-A INPUT -p icmp -j ACCEPT\nCOMMIT\n",
				     HEAD "-A INPUT -s 10.0.0.1/32 -p tcp -m tcp --dport 22 -j ACCEPT\n"
					  "-A INPUT -s 10.0.0.9/32 -p icmp -j ACCEPT\nCOMMIT\n"};
	struct bundle *bundles[2];
	struct stack *stacks[2];
	struct reach_lab *labs[2];
	cleanup_diff_lab struct diff_lab *diff = NULL;
	cleanup_strbuf struct strbuf out = {};
	struct style style = {.utf8 = true, .columns = 100};

	for (size_t i = 0; i < 2; i++) {
		struct reach_lab_question question = {.memory = MEMORY};

		bundles[i] = two_hosts(rules[i]);
		stacks[i] = stack_new(bundles[i]);
		question.stack = stacks[i];
		assert_int_equal(reach_lab_new(&question, &labs[i], NULL), 0);
	}
	diff = diff_lab_new(labs[0], labs[1]);
	assert_fits("diff", diff_lab_json(diff));
	diff_lab_text(diff, &style, true, &out);
	assert_string_equal(
		out.text, "Gets through now:\n"
			  "  a → b: 22/tcp (allowed, was blocked)\n"
			  "    for example tcp 10.0.0.1:40000 → 10.0.0.2:22\n"
			  "    before: dropped by the policy of filter INPUT at b\n"
			  "    after:  accepted by rule 1 of filter INPUT at b: -A INPUT -s 10.0.0.1/32 -p tcp -m tcp "
			  "--dport 22 -j ACCEPT\n"
			  "\n"
			  "No longer gets through:\n"
			  "  a → b: ping (blocked, was allowed)\n"
			  "    for example icmp 10.0.0.1 → 10.0.0.2 type 8\n"
			  "    before: accepted by rule 1 of filter INPUT at b: -A INPUT -p icmp -j ACCEPT\n"
			  "    after:  dropped by the policy of filter INPUT at b\n");
	for (size_t i = 0; i < 2; i++) {
		reach_lab_free(labs[i]);
		stack_free(stacks[i]);
		bundle_free(bundles[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),	cmocka_unit_test(test_opens_and_closes),
		cmocka_unit_test(test_one_bit), cmocka_unit_test(test_unclear),
		cmocka_unit_test(test_labs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
