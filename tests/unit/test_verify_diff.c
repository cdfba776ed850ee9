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
#include <sys/socket.h>
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

/* Two rates: what gets through may have changed. */
static void test_unknown(void **state)
{
	struct pair pair = {};

	compare(&pair,
		HEAD "-A FORWARD -s 10.1.0.0/16 -d 10.2.0.9/32 -p tcp -m tcp --dport 80 -m limit --limit 5/min -j "
		     "ACCEPT\nCOMMIT\n",
		HEAD "-A FORWARD -s 10.1.0.0/16 -d 10.2.0.9/32 -p tcp -m tcp --dport 80 -m limit --limit 500/min -j "
		     "ACCEPT\nCOMMIT\n");
	assert_int_equal(pair.diff->class_count, 0);
	assert_text(&pair, "Both let the same packets through, as far as is known.\n"
			   "\nNot known of some packets in either, as what no packet shows decides (hook forward): for "
			   "example tcp 10.1.0.1:40000 → 10.2.0.9:80.\n");
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
					 : "default via 10.0.0.254 dev eth0\n"
					   "10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.2\n"},
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

struct labs {
	struct bundle *bundles[2];
	struct stack *stacks[2];
	struct reach_lab *labs[2];
	struct diff_lab *diff;
};

/* Two labs that differ in b's rules. */
static void compare_labs(struct labs *ret, const char *before, const char *after)
{
	const char *const rules[] = {before, after};

	for (size_t i = 0; i < 2; i++) {
		struct reach_lab_question question = {.memory = MEMORY};

		ret->bundles[i] = two_hosts(rules[i]);
		ret->stacks[i] = stack_new(ret->bundles[i]);
		question.stack = ret->stacks[i];
		assert_int_equal(reach_lab_new(&question, &ret->labs[i], NULL), 0);
	}
	ret->diff = diff_lab_new(ret->labs[0], ret->labs[1], MEMORY);
	assert_fits("diff", diff_lab_json(ret->diff));
}

static void end_labs(struct labs *labs)
{
	diff_lab_free(labs->diff);
	for (size_t i = 0; i < 2; i++) {
		reach_lab_free(labs->labs[i]);
		stack_free(labs->stacks[i]);
		bundle_free(labs->bundles[i]);
	}
}

static void assert_labs_text(const struct labs *labs, const char *wanted)
{
	struct style style = {.utf8 = true, .columns = 100};
	cleanup_strbuf struct strbuf out = {};

	diff_lab_text(labs->diff, &style, true, &out);
	assert_string_equal(out.text, wanted);
}

static const struct diff_change *only_change(const struct labs *labs)
{
	assert_int_equal(labs->diff->change_count, 1);
	assert_int_equal(labs->diff->changes[0].packet.family, AF_INET);
	return &labs->diff->changes[0];
}

static void test_labs(void **state)
{
	struct labs labs;

	(void)state;
	compare_labs(&labs, HEAD "-A INPUT -s 10.0.0.0/24 -p icmp -j ACCEPT\nCOMMIT\n",
		     HEAD "-A INPUT -s 10.0.0.1/32 -p tcp -m tcp --dport 22 -j ACCEPT\n"
			  "-A INPUT -s 10.0.0.9/32 -p icmp -j ACCEPT\nCOMMIT\n");
	assert_labs_text(
		&labs,
		"Gets through now:\n"
		"  a → b: 22/tcp (allowed, was blocked)\n"
		"    for example tcp 10.0.0.1:40000 → 10.0.0.2:22\n"
		"    before: dropped by the policy of filter INPUT at b\n"
		"    after:  accepted by rule 1 of filter INPUT at b: -A INPUT -s 10.0.0.1/32 -p tcp -m tcp "
		"--dport 22 -j ACCEPT\n"
		"\n"
		"No longer gets through:\n"
		"  a → b: ping (blocked, was allowed)\n"
		"    for example icmp 10.0.0.1 → 10.0.0.2 type 8\n"
		"    before: accepted by rule 1 of filter INPUT at b: -A INPUT -s 10.0.0.0/24 -p icmp -j ACCEPT\n"
		"    after:  dropped by the policy of filter INPUT at b\n");
	end_labs(&labs);
}

#define SSH_FROM(what) HEAD "-A INPUT -s 10.0.0.1/32 -p tcp -m tcp " what "--dport 22 -j ACCEPT\nCOMMIT\n"

/* Only some packets change, and the usual one is none of them. */
static void test_labs_ports(void **state)
{
	const struct diff_change *change;
	struct labs labs;

	(void)state;
	compare_labs(&labs, SSH_FROM("--sport 1024:49999 "), SSH_FROM(""));
	change = only_change(&labs);
	assert_int_equal(change->kind, DIFF_OPENS);
	assert_int_equal(change->before_verdict, REACH_PARTLY);
	assert_in_range(change->packet.sport.first, 50000, 65535);
	assert_string_equal(change->before, "dropped by the policy of filter INPUT at b");
	end_labs(&labs);
	/* Some did and some do, but others. */
	compare_labs(&labs, SSH_FROM("--sport 2000:3000 "), SSH_FROM("--sport 2500:3500 "));
	assert_int_equal(labs.diff->change_count, 2);
	assert_int_equal(labs.diff->changes[0].kind, DIFF_OPENS);
	assert_in_range(labs.diff->changes[0].packet.sport.first, 3001, 3500);
	assert_int_equal(labs.diff->changes[1].kind, DIFF_CLOSES);
	assert_in_range(labs.diff->changes[1].packet.sport.first, 2000, 2499);
	end_labs(&labs);
	compare_labs(&labs, SSH_FROM("--sport 2000:3000 "),
		     HEAD "-A INPUT -s 10.0.0.1/32 -p tcp -m tcp --sport 2000:2100 --dport 22 -j ACCEPT\n"
			  "-A INPUT -s 10.0.0.1/32 -p tcp -m tcp --sport 2101:3000 --dport 22 -j ACCEPT\nCOMMIT\n");
	assert_labs_text(&labs, "Who reaches whom is the same.\n");
	end_labs(&labs);
}

/* Of the world some get through now. */
static void test_labs_world(void **state)
{
	const struct prefix theirs = {{AF_INET, {198, 51, 100}}, 24};
	const struct diff_change *change;
	struct labs labs;

	(void)state;
	compare_labs(&labs, HEAD "COMMIT\n",
		     HEAD "-A INPUT -s 198.51.100.0/24 -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n");
	change = only_change(&labs);
	assert_string_equal(change->from, "world");
	assert_int_equal(change->after_verdict, REACH_PARTLY);
	assert_true(prefix_contains(&theirs, &change->packet.src));
	end_labs(&labs);
}

/* What is known of neither is no change, but is said. */
static void test_labs_unknown(void **state)
{
	static const char rules[] =
		HEAD "-A INPUT -s 10.0.0.1/32 -p tcp -m tcp --dport 22 -m limit --limit 5/min -j ACCEPT\nCOMMIT\n";
	struct labs labs;

	(void)state;
	compare_labs(&labs, rules, rules);
	assert_labs_text(&labs, "Who reaches whom is the same, as far as is known.\n"
				"\nNot known of either: a → b: 22/tcp; `nestvisor reach` says what each depends on.\n");
	end_labs(&labs);
	compare_labs(&labs, SSH_FROM(""), rules);
	assert_int_equal(only_change(&labs)->kind, DIFF_UNCLEAR);
	assert_int_equal(labs.diff->unknown_count, 0);
	end_labs(&labs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),	     cmocka_unit_test(test_opens_and_closes),
		cmocka_unit_test(test_one_bit),	     cmocka_unit_test(test_unclear),
		cmocka_unit_test(test_unknown),	     cmocka_unit_test(test_labs),
		cmocka_unit_test(test_labs_ports),   cmocka_unit_test(test_labs_world),
		cmocka_unit_test(test_labs_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
