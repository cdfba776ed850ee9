/*
 * verify/: service matrices. Small ones by hand; and that of a real firewall of 4,840 rules against what fffuu, a
 * program verified in Isabelle/HOL, says of it (../shared/data/fffuu-golden beside the source tree, or NESTVISOR_DATA;
 * skipped where the folder is missing).
 *
 * Compared pair for pair over the common refinement of both partitions of the addresses. fffuu's answer is an upper
 * closure: nothing that ours lets through may be missing in it. Where it lets more through, it is for one of two
 * reasons, and the test takes them away to show that nothing else is left:
 * - It does not know `-m sctp`, and takes "-p sctp --dport 50000" for any packet, of TCP as well.
 * - It forgets interfaces rule by rule, so that a rule for one interface that rejects does not count: in the chain of
 *   eth1.109 "-d 131.159.20.15 … -j REJECT" and three like it stand before "-s 138.246.253.5 … -j ACCEPT".
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "facts/bundle.h"
#include "verify/chain.h"
#include "verify/matrix.h"

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* cmocka needs those from setjmp.h on */
#include <cmocka.h>

enum { MISSING = 77 };

static char *data;

/* ---- what fffuu printed ---- */

struct golden {
	struct matrix matrix;
	unsigned port;
};

static wide read_address(const char **at)
{
	char text[64];
	size_t length = strspn(*at, "0123456789.");
	struct ip ip;

	assert_true(length < sizeof(text));
	memcpy(text, *at, length);
	text[length] = '\0';
	assert_true(ip_parse(text, &ip));
	*at += length;
	return wide_of_address(&ip);
}

static void add_interval(struct matrix_class *class, wide first, wide last)
{
	class->intervals = reallocarray(class->intervals, class->interval_count + 1, sizeof(*class->intervals));
	assert_non_null(class->intervals);
	class->intervals[class->interval_count++] = (struct interval){first, last | (((wide)1 << 96) - 1)};
}

/* "{10.0.0.0 .. 10.0.0.7} u 10.0.0.9" */
static void read_class(const char *text, struct matrix_class *ret)
{
	while (*text && *text != '\n') {
		if (*text == '{') {
			wide first, last;

			text++;
			first = read_address(&text);
			text += strspn(text, " .");
			last = read_address(&text);
			assert_int_equal(*text, '}');
			text++;
			add_interval(ret, first, last);
		} else if (isdigit((unsigned char)*text)) {
			wide value = read_address(&text);

			add_interval(ret, value, value);
		} else {
			text++;
		}
	}
}

static void read_golden(char *text, unsigned port, struct matrix *ret)
{
	char heading[64], *line, *save = NULL;
	cleanup_free char *copy = NULL;

	snprintf(heading, sizeof(heading), "TCP port 10000->%u ", port);
	line = strstr(text, heading);
	assert_non_null(line);
	*ret = (struct matrix){.classes = calloc(26, sizeof(*ret->classes)),
			       .edges = calloc(26 * 26, sizeof(*ret->edges))};
	copy = strdup(line);
	strtok_r(copy, "\n", &save);
	for (line = strtok_r(NULL, "\n", &save); line && !strchr(line, '='); line = strtok_r(NULL, "\n", &save)) {
		if (strstr(line, "|->")) {
			assert_int_equal(line[0] - 'a', ret->class_count);
			read_class(strstr(line, "|->") + 3, &ret->classes[ret->class_count++]);
		} else if (line[0] == '(') {
			ret->edges[(size_t)(line[1] - 'a') * ret->class_count + (size_t)(line[3] - 'a')] = 1;
		}
	}
}

/* "eth1.96 = [131.159.14.3/25]", "eth1.110 = all_but_those_ips [ … ]": which sources come in by which interface. */
struct behind {
	char name[16];
	struct interval intervals[16];
	size_t count;
	bool all_but;
};

static size_t read_interfaces(char *text, struct behind *ret, size_t most)
{
	size_t count = 0;

	for (char *at = text; *at && count < most; count++) {
		struct behind *behind = &ret[count];
		char *equals = strchr(at, '='), *open, *close;

		if (!equals)
			break;
		at += strspn(at, " \n");
		snprintf(behind->name, sizeof(behind->name), "%.*s", (int)strcspn(at, " ="), at);
		open = strchr(equals, '[');
		close = strchr(open, ']');
		behind->all_but = strstr(equals, "all_but") && strstr(equals, "all_but") < open;
		for (char *item = open + 1; item < close;) {
			char word[64];
			size_t length = strcspn(item, ",]\n ");
			struct prefix prefix;

			snprintf(word, sizeof(word), "%.*s", (int)length, item);
			item += length + strspn(item + length, ", \n");
			if (strchr(word, '-'))
				behind->intervals[behind->count++] = (struct interval){0, ~(wide)0};
			else if (prefix_parse(word, &prefix))
				behind->intervals[behind->count++] = interval_of_prefix(&prefix);
		}
		at = close + 1;
	}
	return count;
}

static pset sources_of(struct space *space, const struct behind *behind)
{
	pset set = pset_intervals(space, PSET_SADDR, behind->intervals, behind->count);

	return behind->all_but ? pset_not(space, set) : set;
}

/* ---- compared ---- */

static bool get_through(const struct matrix *matrix, wide from, wide to)
{
	return matrix->edges[matrix_class_of(matrix, from) * matrix->class_count + matrix_class_of(matrix, to)] & 1;
}

/* All first addresses of both: one of every class of the common refinement. */
static size_t refine(const struct matrix *a, const struct matrix *b, wide *ret, size_t most)
{
	const struct matrix *both[] = {a, b};
	size_t count = 0, kept = 0, *seen = calloc(a->class_count * b->class_count, sizeof(*seen));

	for (int i = 0; i < 2; i++)
		for (size_t j = 0; j < both[i]->class_count; j++)
			for (size_t k = 0; k < both[i]->classes[j].interval_count; k++) {
				wide address = both[i]->classes[j].intervals[k].first;
				size_t pair =
					matrix_class_of(a, address) * b->class_count + matrix_class_of(b, address);

				count++;
				if (seen[pair]++ || kept == most)
					continue;
				ret[kept++] = address;
			}
	free(seen);
	assert_true(count >= kept);
	return kept;
}

static void compare(const char *what, const struct matrix *ours, const struct matrix *theirs, size_t *more,
		    size_t *less)
{
	wide points[1000];
	size_t count = refine(ours, theirs, points, 1000), shown = 0;

	*more = *less = 0;
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < count; j++) {
			bool a = get_through(ours, points[i], points[j]), b = get_through(theirs, points[i], points[j]);
			struct ip from = wide_to_address(points[i], AF_INET), to = wide_to_address(points[j], AF_INET);
			char x[IP_TEXT_SIZE], y[IP_TEXT_SIZE];

			*more += a && !b;
			*less += b && !a;
			if (a != b && shown++ < 20)
				print_message("  %s → %s: ours %d, theirs %d\n", ip_format(&from, x), ip_format(&to, y),
					      a, b);
		}
	}
	print_message("%s: %zu and %zu classes, %zu in their common refinement; %zu pairs more than theirs, %zu less\n",
		      what, ours->class_count, theirs->class_count, count, *more, *less);
}

static char *read_data(const char *name)
{
	cleanup_error struct error *err = NULL;
	cleanup_free char *path = NULL;
	char *text = NULL;
	size_t length;

	assert_true(asprintf(&path, "%s/%s", data, name) > 0);
	if (file_read(path, 64 << 20, &text, &length, &err) < 0)
		fail_msg("%s", err->message);
	return text;
}

static void free_golden(struct matrix *matrix)
{
	for (size_t i = 0; i < matrix->class_count; i++)
		free(matrix->classes[i].intervals);
	free(matrix->classes);
	free(matrix->edges);
}

/* The question that fffuu answers: new TCP connections from port 10000, from sources that are behind their interface.
 */
static void ask(struct stack_host *host, const struct behind *behind, size_t interfaces, unsigned port,
		struct matrix **ret)
{
	cleanup_space struct space *space = pset_space_new((size_t)1 << 30, NULL);
	cleanup_chains struct chains *chains = NULL;
	struct slice slice = {};
	pset arriving = PSET_EMPTY, set;

	slice.fixed = PSET_BIT(PSET_FAMILY) | PSET_BIT(PSET_STATE) | PSET_BIT(PSET_PROTOCOL) | PSET_BIT(PSET_FRAGMENT) |
		      PSET_BIT(PSET_TCP_FLAGS) | PSET_BIT(PSET_SPORT) | PSET_BIT(PSET_DPORT);
	slice.values.fields[PSET_PROTOCOL] = 6;
	slice.values.fields[PSET_TCP_FLAGS] = 2;
	slice.values.fields[PSET_SPORT] = 10000;
	slice.values.fields[PSET_DPORT] = port;
	for (size_t i = 0; i < interfaces; i++)
		arriving = pset_or(space, arriving,
				   pset_and(space, pset_value(space, PSET_IIF, wide_of_name(behind[i].name)),
					    sources_of(space, &behind[i])));
	chains = chains_new(space, host, &slice, NULL);
	set = chains_bounds(chains, chains_hook(chains, &host->hooks[STACK_IP4][HOOK_FORWARD]), END_BIT(END_ACCEPT))
		      .may;
	set = pset_and(space, set, arriving);
	set = pset_forget(space, set, ~(PSET_BIT(PSET_SADDR) | PSET_BIT(PSET_DADDR)));
	assert_int_equal(matrix_new(space, &set, 1, ret, NULL), 0);
}

/* Blanks out every occurrence of something in a text. */
static void take_away(char *text, const char *what)
{
	for (char *at = text; (at = strstr(at, what));)
		memset(at, ' ', strlen(what));
}

/* Blanks out the lines that begin in one way and end in another. */
static void take_lines_away(char *text, const char *start, const char *end)
{
	for (char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		size_t length = strcspn(line, "\n");

		if (strncmp(line, start, strlen(start)) == 0 && length > strlen(end) &&
		    strncmp(line + length - strlen(end), end, strlen(end)) == 0)
			memset(line, ' ', length);
	}
}

static void test_fffuu(void **state)
{
	cleanup_free char *golden_text = read_data("fffuu-golden/i8_iptables-save-2015-05-15_15-23-41_cheating");
	cleanup_free char *interfaces_text = read_data("fffuu-golden/ipassmt_tumi8");
	cleanup_free char *dump = read_data("net-network/configs_chair_for_Network_Architectures_and_Services/"
					    "iptables-save-2015-05-15_15-23-41");
	static const struct {
		unsigned port;
		size_t less;
	} ports[] = {{22, 2}, {80, 1}};
	static struct behind behind[32];
	size_t interfaces = read_interfaces(interfaces_text, behind, 32);

	assert_int_equal(interfaces, 23);
	for (int alike = 0; alike < 2; alike++) {
		cleanup_bundle struct bundle *bundle = NULL;
		cleanup_stack struct stack *stack = NULL;

		if (alike) {
			take_away(dump, "-p sctp -m sctp --dport 50000");
			take_lines_away(
				dump, "-A filter_109 -d 131.159.20.",
				"-p tcp -m state --state NEW -m tcp --dport 1:65535 --tcp-flags FIN,SYN,RST,ACK SYN "
				"-j REJECT --reject-with icmp-port-unreachable");
		}
		bundle = bundle_from_text("iptables-save.txt", dump, strlen(dump));
		stack = stack_new(bundle);
		for (size_t i = 0; i < 2; i++) {
			cleanup_matrix struct matrix *ours = NULL;
			struct matrix theirs;
			size_t more, less;

			ask(&stack->hosts[0], behind, interfaces, ports[i].port, &ours);
			read_golden(golden_text, ports[i].port, &theirs);
			compare(alike ? "as fffuu reads them" : "the rules as they are", ours, &theirs, &more, &less);
			free_golden(&theirs);
			assert_int_equal(more, 0);
			assert_int_equal(less, alike ? 0 : ports[i].less);
		}
	}
}

/* ---- by hand ---- */

static struct interval net(const char *text)
{
	struct prefix prefix;

	assert_true(prefix_parse(text, &prefix));
	return interval_of_prefix(&prefix);
}

static pset pair(struct space *space, const char *from, const char *to)
{
	return pset_and(space, pset_interval(space, PSET_SADDR, net(from).first, net(from).last),
			pset_interval(space, PSET_DADDR, net(to).first, net(to).last));
}

static matrix_services reaches(const struct matrix *matrix, const char *from, const char *to)
{
	size_t source = matrix_class_of(matrix, net(from).first), destination = matrix_class_of(matrix, net(to).first);

	return matrix->edges[source * matrix->class_count + destination];
}

static void test_small(void **state)
{
	cleanup_space struct space *space = pset_space_new((size_t)64 << 20, NULL);
	cleanup_matrix struct matrix *matrix = NULL;
	pset services[2];

	/* the office reaches the servers by both, each server the other by the second, nobody anything else */
	services[0] = pair(space, "10.1.0.0/16", "10.2.0.0/24");
	services[1] = pset_or(space, services[0], pair(space, "10.2.0.0/24", "10.2.0.0/24"));
	assert_int_equal(matrix_new(space, services, 2, &matrix, NULL), 0);
	assert_int_equal(matrix->class_count, 3);
	assert_int_equal(reaches(matrix, "10.1.2.3", "10.2.0.7"), 3);
	assert_int_equal(reaches(matrix, "10.2.0.1", "10.2.0.7"), 2);
	assert_int_equal(reaches(matrix, "10.2.0.1", "10.1.0.7"), 0);
	assert_int_equal(reaches(matrix, "8.8.8.8", "10.2.0.7"), 0);
	assert_int_equal(matrix_class_of(matrix, net("10.1.0.0").first),
			 matrix_class_of(matrix, net("10.1.255.255").first));
	assert_int_equal(matrix_class_of(matrix, net("8.8.8.8").first), matrix_class_of(matrix, net("10.2.1.0").first));
	assert_int_equal(matrix_class_of(matrix, 0), 0);
}

/* All or nothing gets through: one class. */
static void test_uniform(void **state)
{
	cleanup_space struct space *space = pset_space_new((size_t)64 << 20, NULL);
	cleanup_matrix struct matrix *matrix = NULL;

	assert_int_equal(matrix_new(space, (pset[]){PSET_FULL, PSET_EMPTY}, 2, &matrix, NULL), 0);
	assert_int_equal(matrix->class_count, 1);
	assert_int_equal(matrix->edges[0], 1);
	assert_int_equal(matrix->classes[0].interval_count, 1);
}

int main(void)
{
	const struct CMUnitTest always[] = {cmocka_unit_test(test_small), cmocka_unit_test(test_uniform)};
	const struct CMUnitTest with_data[] = {cmocka_unit_test(test_fffuu)};
	const char *given = getenv("NESTVISOR_DATA"), *slash = strrchr(__FILE__, '/');
	int failed;

	if (given)
		data = strdup(given);
	else
		assert_true(asprintf(&data, "%.*s/../../../shared/data", (int)(slash - __FILE__), __FILE__) > 0);
	failed = cmocka_run_group_tests(always, NULL, NULL);
	if (access(data, R_OK) < 0) {
		print_message("no %s: skipped\n", data);
		free(data);
		return failed ? failed : MISSING;
	}
	failed += cmocka_run_group_tests(with_data, NULL, NULL);
	free(data);
	return failed;
}
