#include "render/diff.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/command.h"
#include "cli/factsource.h"
#include "cli/hosts.h"
#include "cli/services.h"

#include <string.h>

/* Two sets of facts. */
struct pair {
	struct bundle *bundles[2];
	struct stack *stacks[2];
};

static void clear_pair(struct pair *pair)
{
	for (size_t i = 0; i < 2; i++) {
		stack_free(pair->stacks[i]);
		bundle_free(pair->bundles[i]);
	}
}

static int ask_now(struct invocation *inv, struct bundle **ret)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_hosts struct hosts hosts = {.arena = arena};

	return factsource_now(inv, NULL, &hosts, ret);
}

static int load(struct invocation *inv, struct pair *pair)
{
	cleanup_error struct error *err = NULL;
	const char *after = invocation_operand(inv, 1);
	int status = EXIT_DONE;

	if (after && (invocation_typed(inv, "lab") || invocation_given(inv, "host")))
		return invocation_usage(
			inv, "%s and a lab or a host are two places to have facts from: give one of them", after);
	if (bundle_load(invocation_operand(inv, 0), &pair->bundles[0], &err) < 0 ||
	    (after && bundle_load(after, &pair->bundles[1], &err) < 0))
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	if (!after)
		status = ask_now(inv, &pair->bundles[1]);
	for (size_t i = 0; status == EXIT_DONE && i < 2; i++)
		pair->stacks[i] = stack_new(pair->bundles[i]);
	return status;
}

/* ---- one host ---- */

static int find_host(struct invocation *inv, const struct pair *pair, size_t which, const struct stack_host **ret)
{
	const char *name = invocation_string(inv, "at");
	const struct stack *stack = pair->stacks[which];

	*ret = name ? stack_host(stack, name) : stack->host_count == 1 ? &stack->hosts[0] : NULL;
	if (*ret)
		return EXIT_DONE;
	if (!name)
		return invocation_usage(inv, "these facts hold %zu hosts; --at says whose rules to compare",
					stack->host_count);
	return invocation_usage(inv, "the %s facts hold no host \"%s\"", which ? "second" : "first", name);
}

static int read_question(struct invocation *inv, struct arena *arena, const struct pair *pair,
			 struct diff_hook_question *ret)
{
	const char *word = invocation_string(inv, "proto");
	size_t count;
	const char *const *words = invocation_strings(inv, "port", &count);
	uint16_t *ports = arena_alloc(arena, (count + 1) * sizeof(*ports));
	uint8_t protocol = PROTOCOL_TCP;
	int status;

	*ret = (struct diff_hook_question){
		.protocol = -1, .ports = ports, .port_count = count, .memory = memory_read(inv)};
	if ((status = find_host(inv, pair, 0, &ret->before)) != EXIT_DONE ||
	    (status = find_host(inv, pair, 1, &ret->after)) != EXIT_DONE)
		return status;
	if (word && !protocol_read(word, &protocol))
		return invocation_usage(inv, "\"%s\" is no protocol", word);
	if (word || count)
		ret->protocol = protocol;
	if (count && !protocol_has_ports(protocol))
		return invocation_usage(inv, "%s has no ports", word);
	for (size_t i = 0; i < count; i++)
		if (!port_read(words[i], &ports[i]))
			return invocation_usage(inv, "\"%s\" is no port", words[i]);
	return EXIT_DONE;
}

/* Rules that nobody has seen are not compared. */
static void warn_of_gaps(struct invocation *inv, struct arena *arena, const struct stack_host *host, const char *which)
{
	for (int kind = 0; kind < GAP_KIND_COUNT; kind++)
		if (host->gaps[kind])
			invocation_warn(inv,
					"the %s facts of %s: the rules in %s were not captured, and are taken for "
					"none (%s tells)",
					which, host->name, stack_gap_name(host, kind, arena), stack_gap_command(kind));
}

enum { HOOK_COUNT = 5 };

struct hook_diffs {
	struct diff_hook *items[HOOK_COUNT];
	size_t count;
};

static void clear_diffs(struct hook_diffs *diffs)
{
	for (size_t i = 0; i < diffs->count; i++)
		diff_hook_free(diffs->items[i]);
}

/* The one that was asked about, else all, those of most packets first. */
static int compare_hooks(struct invocation *inv, struct diff_hook_question *question, struct hook_diffs *ret,
			 struct error **err)
{
	static const enum hook all[HOOK_COUNT] = {HOOK_FORWARD, HOOK_INPUT, HOOK_OUTPUT, HOOK_PREROUTING,
						  HOOK_POSTROUTING};
	bool one = invocation_given(inv, "hook");
	int r = 0;

	for (size_t i = 0; i < (one ? 1 : HOOK_COUNT) && r == 0; i++) {
		question->hook = one ? hook_read(inv) : all[i];
		r = diff_hook_new(question, &ret->items[ret->count], err);
		ret->count += r == 0;
	}
	return r;
}

static bool differ(const struct hook_diffs *diffs)
{
	for (size_t i = 0; i < diffs->count; i++)
		if (diffs->items[i]->class_count)
			return true;
	return false;
}

static int compare_hosts(struct invocation *inv, const struct pair *pair)
{
	cleanup_arena struct arena *arena = arena_new();
	__attribute__((cleanup(clear_diffs))) struct hook_diffs diffs = {};
	cleanup_error struct error *err = NULL;
	cleanup_strbuf struct strbuf out = {};
	struct diff_hook_question question;
	int status = read_question(inv, arena, pair, &question);

	if (status != EXIT_DONE)
		return status;
	warn_of_gaps(inv, arena, question.before, "first");
	warn_of_gaps(inv, arena, question.after, "second");
	if (compare_hooks(inv, &question, &diffs, &err) < 0)
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	if (inv->json) {
		invocation_answer(inv, diff_hooks_json((const struct diff_hook *const *)diffs.items, diffs.count));
	} else {
		diff_hooks_text((const struct diff_hook *const *)diffs.items, diffs.count, inv->style, &out);
		invocation_print_text(inv, out.text);
	}
	return differ(&diffs) ? EXIT_FAILED : EXIT_DONE;
}

/* ---- all hosts ---- */

static int compare_labs(struct invocation *inv, const struct pair *pair)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_reach_lab struct reach_lab *before = NULL, *after = NULL;
	cleanup_diff_lab struct diff_lab *diff = NULL;
	cleanup_error struct error *err = NULL;
	cleanup_strbuf struct strbuf out = {};
	struct reach_lab_question question = {.memory = memory_read(inv)};
	struct reach_service *services;
	size_t left_out;
	int status = services_read(inv, arena, &services, &question.service_count);

	if (status != EXIT_DONE)
		return status;
	if (question.service_count == 0)
		question.service_count =
			reach_services((const struct stack *const *)pair->stacks, 2, arena, &services, &left_out);
	question.services = services;
	question.stack = pair->stacks[0];
	if (reach_lab_new(&question, &before, &err) < 0)
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	question.stack = pair->stacks[1];
	if (reach_lab_new(&question, &after, &err) < 0)
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	diff = diff_lab_new(before, after, question.memory);
	if (inv->json) {
		invocation_answer(inv, diff_lab_json(diff));
	} else {
		diff_lab_text(diff, inv->style, inv->verbose, &out);
		invocation_print_text(inv, out.text);
	}
	return diff->change_count + diff->gone_count + diff->come_count ? EXIT_FAILED : EXIT_DONE;
}

static int run(struct invocation *inv)
{
	__attribute__((cleanup(clear_pair))) struct pair pair = {};
	int status = load(inv, &pair);
	bool one;

	if (status != EXIT_DONE)
		return status;
	one = invocation_given(inv, "at") || invocation_given(inv, "hook") ||
	      (pair.stacks[0]->host_count == 1 && pair.stacks[1]->host_count == 1);
	status = one ? compare_hosts(inv, &pair) : compare_labs(inv, &pair);
	return status == EXIT_DONE && hosts_silent(pair.bundles[1]) ? EXIT_UNKNOWN : status;
}

const struct command command_diff = {
	.name = "diff",
	.group = GROUP_PROVE,
	.summary = "which packets newly get through, or no longer do, by two sets of facts",
	.description =
		"Compares two sets of captured facts, or captured ones with what the hosts say now, by what "
		"they do and "
		"not by how they are written: rules in another order that let the same through are the same.\n\n"
		"Of several hosts: who reaches whom on which ports, as `nestvisor reach` tells it; for each "
		"change a packet that gets through in one of the two only, and the rules that decide it before "
		"and after. What is known of neither is counted in a line of its own. Of one host, or with --at: "
		"the rules of "
		"each hook, or of --hook alone, "
		"exactly; classes of packets that get through now or no longer do, for new connections.",
	.operands =
		(const struct command_operand[]){
			{.name = "BEFORE",
			 .help = "captured facts: a folder, a tar archive, a file",
			 .complete = COMPLETE_FILE},
			{.name = "AFTER",
			 .help = "others; as things are now if left out: of --lab or --host, else of the lab that runs "
				 "(that of this folder, or the only one), else of this machine",
			 .complete = COMPLETE_FILE,
			 .optional = true},
			{}},
	.options = (const struct command_option[]){HOSTS_OPTION,
						   {.name = "at",
						    .kind = OPTION_STRING,
						    .argument = "HOST",
						    .help = "compare the rules of this host only",
						    .complete = COMPLETE_HOST},
						   {.name = "hook",
						    .kind = OPTION_CHOICE,
						    .help = "where in that host; all of them if left out",
						    .choices = HOOK_CHOICES},
						   {.name = "proto",
						    .kind = OPTION_STRING,
						    .argument = "PROTOCOL",
						    .help = "of this protocol only; of ports that say none, tcp"},
						   {.name = "port",
						    .letter = 'p',
						    .kind = OPTION_STRING,
						    .argument = "PORT[/PROTO]",
						    .help = "to this port only, by number or name",
						    .repeated = true},
						   MEMORY_OPTION,
						   {}},
	.examples =
		(const struct command_example[]){
			{"nestvisor diff monday/ friday.tar.gz", "two captures of a lab"},
			{"nestvisor diff monday/", "what has changed in the lab that runs since"},
			{"nestvisor diff old.save new.save --hook input", "two dumps of iptables-save"},
			{}},
	.statuses = (const struct command_status[]){{EXIT_DONE, "the same gets through"},
						    {EXIT_FAILED, "it differs"},
						    {EXIT_USAGE, "facts that cannot be read, or too large a question"},
						    {EXIT_UNKNOWN, "a host could not be asked"},
						    {}},
	.json = "diff",
	.lab = true,
	.run = run,
};
