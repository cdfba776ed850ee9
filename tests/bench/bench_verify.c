/*
 * How long sets of packets take: a real firewall of 4,840 rules, where ../shared/data or NESTVISOR_DATA has it, and
 *random rules of IPv6 in growing numbers. Prints milliseconds of CPU time (the machine may be busy with other things)
 *and the largest memory of a process that does this one thing alone.
 *
 *	bench_verify [RULES]
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
#include <unistd.h>

static double cpu_ms(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

/* Prints what was done since the last time. */
static void lap(double *since, const char *what)
{
	printf("  %8.2f ms  %s\n", cpu_ms() - *since, what);
	*since = cpu_ms();
}

static double largest_mib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_maxrss / 1024;
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
		printf("  %8.1f MiB\n", largest_mib());
		fflush(stdout);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
		abort();
}

/* ---- the chair's firewall ---- */

struct firewall {
	struct space *space;
	struct chains *chains;
	const struct stack_hook *hook;
};

static void make_matrix(const struct firewall *firewall, const uint16_t *ports, size_t count)
{
	pset services[8], accepted;
	struct matrix *matrix = NULL;

	accepted =
		chains_bounds(firewall->chains, chains_hook(firewall->chains, firewall->hook), END_BIT(END_ACCEPT)).may;
	for (size_t i = 0; i < count; i++) {
		services[i] = pset_before(firewall->space, accepted, pset_bits_of(PSET_DPORT), ports[i],
					  pset_field_last(PSET_DPORT));
		services[i] = pset_forget(firewall->space, services[i], ~(PSET_BIT(PSET_SADDR) | PSET_BIT(PSET_DADDR)));
	}
	if (matrix_new(firewall->space, services, count, &matrix, NULL) < 0)
		abort();
	matrix_free(matrix);
}

static void fix(struct slice *slice, enum pset_field field, wide value)
{
	slice->fixed |= PSET_BIT(field);
	slice->values.fields[field] = value;
}

/* New TCP connections to any port. */
static struct slice new_tcp(bool ip6)
{
	struct slice slice = {};

	fix(&slice, PSET_FAMILY, ip6 ? PSET_IP6 : PSET_IP4);
	fix(&slice, PSET_PROTOCOL, 6);
	fix(&slice, PSET_STATE, PSET_NEW);
	fix(&slice, PSET_FRAGMENT, PSET_WHOLE);
	fix(&slice, PSET_TCP_FLAGS, 2);
	return slice;
}

/* The rules change places with their neighbours, one pair in each of 20 places. */
static void change_rules(const struct firewall *firewall, const struct stack_host *host)
{
	double start = cpu_ms(), longest = 0;

	for (size_t i = 0; i < 20; i++) {
		double before = cpu_ms();
		const struct stack_chain *chain = stack_chain(&host->tables[host->table_count - 1], "filter_96");
		struct rule *rule = &chain->chain->rules[(i * 37 + 11) % (chain->chain->rule_count - 1)];
		struct statement *verdict = &rule->statements[rule->statement_count - 1];

		if (verdict->kind != STATEMENT_VERDICT)
			continue;
		verdict->verdict.kind = verdict->verdict.kind == VERDICT_ACCEPT ? VERDICT_DROP : VERDICT_ACCEPT;
		chains_rule_changed(firewall->chains, chain, rule->index - 1);
		make_matrix(firewall, (const uint16_t[]){22, 80}, 2);
		if (cpu_ms() - before > longest)
			longest = cpu_ms() - before;
	}
	printf("  %8.2f ms  one rule changed, and both matrices again (the longest of 20: %.2f ms)\n",
	       (cpu_ms() - start) / 20, longest);
}

static void chair(const void *path)
{
	double since = cpu_ms(), start = since;
	struct bundle *bundle = NULL;
	struct slice slice = new_tcp(false);
	struct firewall firewall;
	struct stack *stack;

	if (bundle_load(path, &bundle, NULL) < 0)
		abort();
	stack = stack_new(bundle);
	lap(&since, "text to facts");
	firewall.space = pset_space_new((size_t)1 << 30, NULL);
	firewall.chains = chains_new(firewall.space, &stack->hosts[0], &slice, NULL);
	firewall.hook = &stack->hosts[0].hooks[STACK_IP4][HOOK_FORWARD];
	chains_hook(firewall.chains, firewall.hook);
	lap(&since, "the forward hook, for new TCP connections to any port");
	make_matrix(&firewall, (const uint16_t[]){22, 80}, 2);
	lap(&since, "the service matrices of two ports");
	printf("  %8.2f ms  together\n", cpu_ms() - start);
	since = cpu_ms();
	make_matrix(&firewall, (const uint16_t[]){443}, 1);
	lap(&since, "that of one more port");
	change_rules(&firewall, &stack->hosts[0]);
}

static void chair_whole(const void *path)
{
	struct bundle *bundle = NULL;
	struct space *space = pset_space_new((size_t)1 << 30, NULL);
	struct stack *stack;
	double since;

	if (bundle_load(path, &bundle, NULL) < 0)
		abort();
	stack = stack_new(bundle);
	since = cpu_ms();
	chains_hook(chains_new(space, &stack->hosts[0], NULL, NULL), &stack->hosts[0].hooks[STACK_IP4][HOOK_FORWARD]);
	lap(&since, "the forward hook, for every packet there is");
	printf("  %8zu nodes\n", space_node_count(space));
}

/* ---- random rules ---- */

struct random {
	uint64_t seed;
	size_t rules;
	bool mixed; /* half of them drop */
};

static uint32_t any(struct random *random, uint32_t below)
{
	random->seed = random->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random->seed >> 33) % below;
}

static void add_prefix(struct random *random, struct strbuf *out, const char *option)
{
	unsigned length = 1 + any(random, 128);

	strbuf_printf(out, " -%s ", option);
	for (unsigned i = 0; i < 8; i++) {
		unsigned kept = length > 16 * i ? length - 16 * i : 0;
		unsigned mask = kept >= 16 ? 0xffff : 0xffff & ~(0xffffu >> kept);

		strbuf_printf(out, "%s%x", i ? ":" : "", any(random, 65536) & mask);
	}
	strbuf_printf(out, "/%u", length);
}

static void add_ports(struct random *random, struct strbuf *out, const char *option)
{
	unsigned a = any(random, 65536), b = any(random, 65536);

	strbuf_printf(out, " -m multiport --%s %u:%u", option, a < b ? a : b, a < b ? b : a);
}

static void random_rules(const void *argument)
{
	struct random random = *(const struct random *)argument;
	struct space *space = pset_space_new((size_t)4 << 30, NULL);
	cleanup_strbuf struct strbuf text = {};
	cleanup_error struct error *err = NULL;
	struct bundle *bundle;
	struct stack *stack;
	double since, load;
	diagram function;

	strbuf_add(&text, "*filter\n:FORWARD DROP [0:0]\n");
	for (size_t i = 0; i < random.rules; i++) {
		strbuf_add(&text, "-A FORWARD");
		add_prefix(&random, &text, "s");
		add_prefix(&random, &text, "d");
		strbuf_printf(&text, " -p %s", any(&random, 2) ? "tcp" : "udp");
		add_ports(&random, &text, "sports");
		add_ports(&random, &text, "dports");
		strbuf_printf(&text, " -j %s\n", random.mixed && any(&random, 2) ? "DROP" : "ACCEPT");
	}
	strbuf_add(&text, "COMMIT\n");
	since = cpu_ms();
	bundle = bundle_from_text("ip6tables-save.txt", text.text, text.length);
	stack = stack_new(bundle);
	load = cpu_ms() - since;
	since = cpu_ms();
	function = chains_hook(chains_new(space, &stack->hosts[0], NULL, NULL),
			       &stack->hosts[0].hooks[STACK_IP6][HOOK_FORWARD]);
	if (space_check(space, &err) < 0)
		printf("  %s\n", err->message);
	printf("  %6zu rules%s: %7.1f ms to facts, %8.1f ms for every packet there is; %zu nodes made, %zu in the "
	       "result\n",
	       random.rules, random.mixed ? ", half of which drop" : "", load, cpu_ms() - since,
	       space_node_count(space), diagram_size(space, function));
}

int main(int argc, char **argv)
{
	const char *given = getenv("NESTVISOR_DATA"), *slash = strrchr(__FILE__, '/');
	struct random random = {.seed = 20261121};
	cleanup_free char *path = NULL;
	size_t most = argc > 1 ? (size_t)atol(argv[1]) : 20000;

	if (asprintf(&path,
		     "%.*s%s/net-network/configs_chair_for_Network_Architectures_and_Services/"
		     "iptables-save-2015-05-15_15-23-41",
		     given ? 0 : (int)(slash - __FILE__), __FILE__, given ? given : "/../../../shared/data") < 0)
		abort();
	if (access(path, R_OK) == 0) {
		puts("a firewall of 4,840 rules");
		alone(chair, path);
		alone(chair_whole, path);
	}
	puts("random rules of IPv6");
	for (int mixed = 0; mixed < 2; mixed++) {
		random.mixed = mixed;
		for (random.rules = 1250; random.rules <= most; random.rules *= 2)
			alone(random_rules, &random);
	}
	return 0;
}
