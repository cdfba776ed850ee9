/*
 * How long sets of packets take, within one process: a real firewall of 4,840 rules, where ../shared/data or
 * NESTVISOR_DATA has it, and random rules of IPv6 in growing numbers. Prints the CPU's time (the machine may be busy
 * with other things) and how often a limit holds it; for each set of rules the largest memory of a process of its own.
 *
 *	bench_verify                    both
 *	bench_verify firewall FILE
 *	bench_verify random RULES       every packet there is, in RULES random rules
 *	bench_verify growth             a table of that in growing numbers, for tests/bench/plot
 *	bench_verify grown NAME FILE    the same of rules that are there, as one line of such a table
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "facts/bundle.h"
#include "verify/chain.h"
#include "verify/matrix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double cpu_ms(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

static double largest_mib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_maxrss / 1024;
}

/* limit: 0 for none. */
static void print(const char *what, double amount, const char *unit, double limit)
{
	printf("  %-72s %9.2f %s", what, amount, unit);
	if (limit > 0)
		printf("  (at most %g: %.1f times)", limit, limit / amount);
	putchar('\n');
}

/* Prints what was done since the last time. */
static void lap(double *since, const char *what, double limit)
{
	print(what, cpu_ms() - *since, "ms ", limit);
	*since = cpu_ms();
}

/* In a process of its own, so that memory is of this alone. */
static void alone(void (*run)(const void *argument), const void *argument)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		run(argument);
		fflush(stdout);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
		abort();
}

static struct bundle *load(const char *path)
{
	cleanup_error struct error *err = NULL;
	struct bundle *bundle = NULL;

	if (bundle_load(path, &bundle, &err) < 0) {
		fprintf(stderr, "bench_verify: %s\n", err->message);
		exit(1);
	}
	return bundle;
}

/* ---- random rules ---- */

struct random {
	uint64_t seed;
	size_t rules;
	bool mixed; /* half of them drop */
	struct strbuf text;
};

enum { SEED = 20261121 };

static uint32_t any(struct random *random, uint32_t below)
{
	random->seed = random->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random->seed >> 33) % below;
}

/* Of 0 to 127 bits, and any address within, as ClassBench's random rules for ip6tables have it. */
static void add_prefix(struct random *random, const char *option)
{
	struct strbuf *out = &random->text;

	strbuf_printf(out, " -%s ", option);
	for (unsigned i = 0; i < 8; i++)
		strbuf_printf(out, "%s%x", i ? ":" : "", any(random, 65536));
	strbuf_printf(out, "/%u", any(random, 128));
}

static void add_ports(struct random *random, const char *option)
{
	unsigned a = any(random, 65536), b = any(random, 65536);

	strbuf_printf(&random->text, " -m multiport --%s %u:%u", option, a < b ? a : b, a < b ? b : a);
}

static void write_rules(struct random *random)
{
	struct strbuf *out = &random->text;

	strbuf_add(out, "*filter\n:FORWARD DROP [0:0]\n");
	for (size_t i = 0; i < random->rules; i++) {
		strbuf_printf(out, "-A FORWARD -p %s", any(random, 2) ? "tcp" : "udp");
		add_prefix(random, "s");
		add_prefix(random, "d");
		add_ports(random, "sports");
		add_ports(random, "dports");
		strbuf_printf(out, " -j %s\n", random->mixed && any(random, 2) ? "DROP" : "ACCEPT");
	}
	strbuf_add(out, "COMMIT\n");
}

struct asked {
	struct bundle *bundle;
	struct stack *stack;
	struct space *space;
	struct chains *chains;
	const struct stack_hook *hook;
};

static struct asked ask(struct bundle *bundle, enum stack_family family, const struct slice *slice)
{
	struct asked asked = {
		.bundle = bundle, .stack = stack_new(bundle), .space = pset_space_new((size_t)1 << 30, NULL)};

	asked.chains = chains_new(asked.space, &asked.stack->hosts[0], slice, NULL);
	asked.hook = &asked.stack->hosts[0].hooks[family][HOOK_FORWARD];
	return asked;
}

static struct bounds accepted(const struct asked *asked)
{
	return chains_bounds(asked->chains, chains_hook(asked->chains, asked->hook), END_BIT(END_ACCEPT));
}

static void check(const struct asked *asked)
{
	cleanup_error struct error *err = NULL;

	if (space_check(asked->space, &err) == 0)
		return;
	fprintf(stderr, "bench_verify: %s\n", err->message);
	exit(1);
}

static struct asked ask_random(const struct random *random)
{
	return ask(bundle_from_text("ip6tables-save.txt", random->text.text, random->text.length), STACK_IP6, NULL);
}

/* In a process that finds the rules written. */
static void random_alone(void (*run)(const void *argument), size_t rules, bool mixed)
{
	struct random random = {.seed = SEED, .rules = rules, .mixed = mixed};

	write_rules(&random);
	alone(run, &random);
	strbuf_freep(&random.text);
}

/* Accepts become drops and the other way round. */
static void turn(struct rule *rule)
{
	struct statement *last = &rule->statements[rule->statement_count - 1];

	if (last->kind == STATEMENT_VERDICT)
		last->verdict.kind = last->verdict.kind == VERDICT_ACCEPT ? VERDICT_DROP : VERDICT_ACCEPT;
}

/* The whole process: rules are read, and the packets found that are accepted. */
static void random_rules(const void *argument)
{
	const struct random *random = argument;
	bool asked_for = random->rules == 20000;
	struct asked asked = ask_random(random);
	const struct stack_chain *chain = asked.hook->chains[0];
	enum { CHANGES = 20 };
	double read = cpu_ms(), took;
	char what[80];

	accepted(&asked);
	took = cpu_ms();
	snprintf(what, sizeof(what), "%zu random rules%s, from text to the packets they accept", random->rules,
		 random->mixed ? ", half of which drop" : "");
	print(what, took, "ms ", asked_for ? 1000 : 0);
	print("  of that until they are facts", read, "ms ", 0);
	print("  memory", largest_mib(), "MiB", asked_for ? 500 : 0);
	for (size_t i = 0; i < CHANGES; i++) {
		size_t at = (i * 7919 + 11) % random->rules;

		turn(&chain->chain->rules[at]);
		chains_rule_changed(asked.chains, chain, at);
		accepted(&asked);
	}
	check(&asked);
	print("  one rule changed: mean of 20", (cpu_ms() - took) / CHANGES, "ms ", 0);
}

static void grown(const char *name, const struct asked *asked)
{
	accepted(asked);
	check(asked);
	printf("%s\t%zu\t%.1f\t%.1f\n", name, asked->hook->chains[0]->chain->rule_count, cpu_ms(), largest_mib());
}

static void grow(const void *argument)
{
	const struct random *random = argument;
	struct asked asked = ask_random(random);

	grown(random->mixed ? "random rules, half of which drop" : "random rules", &asked);
}

/* ---- the firewall ---- */

static void fix(struct slice *slice, enum pset_field field, wide value)
{
	slice->fixed |= PSET_BIT(field);
	slice->values.fields[field] = value;
}

/* New TCP connections to any port. */
static struct slice new_tcp(void)
{
	struct slice slice = {};

	fix(&slice, PSET_FAMILY, PSET_IP4);
	fix(&slice, PSET_PROTOCOL, 6);
	fix(&slice, PSET_STATE, PSET_NEW);
	fix(&slice, PSET_FRAGMENT, PSET_WHOLE);
	fix(&slice, PSET_TCP_FLAGS, 2);
	return slice;
}

static void make_matrix(const struct asked *asked, const uint16_t *ports, size_t count)
{
	pset services[8], may = accepted(asked).may;
	cleanup_matrix struct matrix *matrix = NULL;

	for (size_t i = 0; i < count; i++) {
		services[i] =
			pset_before(asked->space, may, pset_bits_of(PSET_DPORT), ports[i], pset_field_last(PSET_DPORT));
		services[i] = pset_forget(asked->space, services[i], ~(PSET_BIT(PSET_SADDR) | PSET_BIT(PSET_DADDR)));
	}
	if (matrix_new(asked->space, services, count, &matrix, NULL) < 0)
		abort();
}

enum change { REPLACED, TAKEN_OUT, PUT_IN, CHANGE_COUNT };

/* What is taken out is put in again by the next change. */
static void change(const struct asked *asked, const struct stack_chain *chain, size_t at, enum change how)
{
	static struct rule out;
	struct chain *facts = (struct chain *)chain->chain;
	struct rule *rule = &facts->rules[at];

	switch (how) {
	case REPLACED:
		turn(rule);
		chains_rule_changed(asked->chains, chain, at);
		break;
	case TAKEN_OUT:
		out = *rule;
		memmove(rule, rule + 1, (--facts->rule_count - at) * sizeof(*rule));
		chains_rule_removed(asked->chains, chain, at);
		break;
	case PUT_IN:
		memmove(rule + 1, rule, (facts->rule_count++ - at) * sizeof(*rule));
		*rule = out;
		chains_rule_added(asked->chains, chain, at);
		break;
	case CHANGE_COUNT:
		break;
	}
}

static const struct stack_chain *longest_chain(const struct stack_host *host)
{
	const struct stack_chain *longest = NULL;

	for (size_t i = 0; i < host->table_count; i++)
		for (size_t j = 0; j < host->tables[i].chain_count; j++)
			if (!longest || host->tables[i].chains[j].chain->rule_count > longest->chain->rule_count)
				longest = &host->tables[i].chains[j];
	return longest;
}

/* The slowest of them is what is said of changes. */
static void change_rules(const struct asked *asked)
{
	static const char *const names[] = {[REPLACED] = "changed", [TAKEN_OUT] = "taken out", [PUT_IN] = "put in"};
	const struct stack_chain *chain = longest_chain(&asked->stack->hosts[0]);
	double mean[CHANGE_COUNT] = {}, most[CHANGE_COUNT] = {};
	enum { TIMES = 100 };

	for (size_t i = 0; i < TIMES * CHANGE_COUNT; i++) {
		double start = cpu_ms(), took;

		change(asked, chain, i / CHANGE_COUNT * 37 % (chain->chain->rule_count - 1), i % CHANGE_COUNT);
		make_matrix(asked, (const uint16_t[]){22, 80}, 2);
		took = cpu_ms() - start;
		mean[i % CHANGE_COUNT] += took / TIMES;
		most[i % CHANGE_COUNT] = took > most[i % CHANGE_COUNT] ? took : most[i % CHANGE_COUNT];
	}
	for (size_t i = 0; i < CHANGE_COUNT; i++) {
		char what[100];

		snprintf(what, sizeof(what), "one of %zu rules of a chain %s, and both matrices again: mean of %d",
			 chain->chain->rule_count, names[i], TIMES);
		print(what, mean[i], "ms ", 2);
		print("  the longest of them", most[i], "ms ", 2);
	}
	check(asked);
}

static void firewall(const void *path)
{
	double since = cpu_ms();
	struct slice slice = new_tcp();
	struct asked asked = ask(load(path), STACK_IP4, &slice);

	lap(&since, "text to facts", 0);
	accepted(&asked);
	lap(&since, "the forward hook, for new TCP connections to any port", 0);
	make_matrix(&asked, (const uint16_t[]){22, 80}, 2);
	lap(&since, "the service matrices of two ports", 0);
	print("together", since, "ms ", 150);
	print("memory", largest_mib(), "MiB", 120);
	make_matrix(&asked, (const uint16_t[]){443}, 1);
	lap(&since, "that of one more port", 5);
	change_rules(&asked);
}

static void firewall_whole(const void *path)
{
	struct asked asked = ask(load(path), STACK_IP4, NULL);

	accepted(&asked);
	print("from text to what is accepted of every packet there is", cpu_ms(), "ms ", 0);
	print("memory", largest_mib(), "MiB", 0);
}

static char *firewall_path(void)
{
	const char *given = getenv("NESTVISOR_DATA"), *slash = strrchr(__FILE__, '/');
	char *path;

	if (asprintf(&path,
		     "%.*s%s/net-network/configs_chair_for_Network_Architectures_and_Services/"
		     "iptables-save-2015-05-15_15-23-41",
		     given ? 0 : (int)(slash - __FILE__), __FILE__, given ? given : "/../../../shared/data") < 0)
		abort();
	return path;
}

static void everything(void)
{
	cleanup_free char *path = firewall_path();

	if (access(path, R_OK) == 0) {
		puts("A firewall of 4,840 rules");
		alone(firewall, path);
		alone(firewall_whole, path);
	} else {
		printf("skipped: %s is missing\n", path);
	}
	puts("Random rules of IPv6");
	random_alone(random_rules, 20000, false);
	random_alone(random_rules, 20000, true);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (argc == 1) {
		everything();
	} else if (strcmp(what, "growth") == 0) {
		for (int mixed = 0; mixed < 2; mixed++)
			for (size_t rules = 625; rules <= 20000; rules *= 2)
				random_alone(grow, rules, mixed);
	} else if (argc == 4 && strcmp(what, "grown") == 0) {
		struct asked asked = ask(load(argv[3]), STACK_IP6, NULL);

		grown(argv[2], &asked);
	} else if (argc == 3 && strcmp(what, "firewall") == 0) {
		alone(firewall, argv[2]);
	} else if (argc == 3 && strcmp(what, "random") == 0) {
		random_alone(random_rules, strtoul(argv[2], NULL, 10), false);
	} else {
		fputs("usage: bench_verify [firewall FILE | random RULES | growth | grown NAME FILE]\n", stderr);
		return 2;
	}
	return 0;
}
