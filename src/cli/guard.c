#include "cli/guard.h"

#include "apply/folders.h"
#include "apply/isolate.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "cli/target.h"

#include <string.h>

void guard_clear(struct guard *guard)
{
	isolation_free(guard->isolation);
	lab_free(guard->own);
	error_free(guard->problem);
	*guard = (struct guard){.arena = guard->arena};
}

/* *ret lives in the arena. */
static int examine(struct guard *guard, const struct bundle *bundle, struct arena *arena, struct policy_report **ret,
		   struct error **err)
{
	cleanup_stack struct stack *stack = stack_new(bundle);
	struct policy_input input = {.lab = guard->lab, .isolation = guard->isolation, .stack = stack};

	return policy_verify(&input, arena, ret, err);
}

/* What is broken already does not tell whether more would be. */
static const char *doubt_of(struct arena *arena, const struct policy_verdict *verdict, enum policy_result before)
{
	if (verdict->result == POLICY_VIOLATED && before == POLICY_VIOLATED)
		return arena_printf(arena, "\"%s\" does not hold even without these changes", verdict->promise->text);
	if (verdict->result == POLICY_UNKNOWN)
		return arena_printf(arena, "whether \"%s\" holds is not known: %s", verdict->promise->text,
				    verdict->missing_count ? verdict->missing[0].text : "a fact is missing");
	return NULL;
}

/* One end of the packet. */
struct packet_end {
	const char *host;	  /* as facts call it; NULL: it is none of ours */
	const struct ip *address; /* family 0: chosen on the way */
};

static bool is_guest(const struct endpoint *line, const struct packet_end *end, const struct lab *lab)
{
	const char *path = line->guest ? line->guest->path : line->text;
	size_t length = strlen(path);

	if (!end->host || strncmp(end->host, path, length) != 0)
		return false;
	return !end->host[length] ||
	       (strncmp(end->host + length, "-lab-", 5) == 0 && strcmp(end->host + length + 5, lab->name) == 0);
}

static bool is_at(const struct endpoint *line, const struct packet_end *end, const struct lab *lab)
{
	switch (line->kind) {
	case ENDPOINT_L0:
		return end->host && (strcmp(end->host, "L0") == 0 || strcmp(end->host, "L0-root") == 0);
	case ENDPOINT_WORLD:
		return !end->host;
	case ENDPOINT_GUEST:
		return is_guest(line, end, lab);
	case ENDPOINT_NETWORK:
		return line->network && end->address->family &&
		       (prefix_contains(&line->network->subnet4, end->address) ||
			prefix_contains(&line->network->subnet6, end->address));
	case ENDPOINT_PREFIX:
		return end->address->family && prefix_contains(&line->prefix, end->address);
	}
	return false;
}

static bool has_port(const struct policy *line, const struct packet *packet)
{
	for (size_t i = 0; i < line->port_count; i++)
		if (line->ports[i].protocol == packet->protocol && line->ports[i].first <= packet->dport.last &&
		    packet->dport.first <= line->ports[i].last)
			return true;
	return line->port_count == 0;
}

void guard_ask(struct guard *guard, const struct question *question, const struct stack_host *target,
	       const struct ip *to)
{
	const struct packet_end source = {question->iif ? NULL : question->at->name, &question->packet.src},
				destination = {target ? target->name : NULL, to};

	for (size_t i = 0; guard->lab && i < guard->lab->policy_count && !guard->forbidden; i++) {
		const struct policy *line = &guard->lab->policies[i];

		if (line->verb == POLICY_DENY && has_port(line, &question->packet) &&
		    is_at(&line->from, &source, guard->lab) && is_at(&line->to, &destination, guard->lab))
			guard->forbidden = line->text;
	}
}

static bool allows(void *context, const struct bundle *bundle, struct arena *arena, const char **ret_why)
{
	struct guard *guard = context;
	struct policy_report *report;

	guard->doubt = NULL;
	*ret_why = guard->forbidden;
	if (guard->forbidden)
		return false;
	if (guard->problem || examine(guard, bundle, arena, &report, &guard->problem) < 0) {
		*ret_why = arena_strdup(arena, guard->problem->message);
		return false;
	}
	for (size_t i = 0; i < report->verdict_count && i < guard->count; i++) {
		const struct policy_verdict *verdict = &report->verdicts[i];

		if (verdict->result != POLICY_PROVED && guard->before[i] == POLICY_PROVED) {
			*ret_why = arena_printf(arena, "%s: %s", verdict->promise->text,
						verdict->why ? verdict->why : "it would not be proved any more");
			return false;
		}
		if (verdict->result == POLICY_VIOLATED && guard->before[i] == POLICY_UNKNOWN) {
			*ret_why = arena_printf(arena, "%s: %s", verdict->promise->text,
						verdict->why ? verdict->why : "it would be broken");
			return false;
		}
		if (!guard->doubt)
			guard->doubt = doubt_of(arena, verdict, guard->before[i]);
	}
	return true;
}

static int load_lab(struct guard *guard, struct invocation *inv, const struct hosts *hosts)
{
	const char *file = invocation_string(inv, "policy");
	int status = file ? target_lab(inv, file, &guard->own) : EXIT_DONE;

	guard->lab = file ? guard->own : hosts->lab;
	return status;
}

int guard_open(struct guard *guard, struct invocation *inv, const struct hosts *hosts, const struct bundle *bundle)
{
	cleanup_error struct error *err = NULL;
	struct policy_report *report;
	struct folders folders;
	int status = load_lab(guard, inv, hosts);

	if (status != EXIT_DONE || !guard->lab)
		return status;
	if (folders_of(guard->arena, guard->lab->name, &folders, &err) < 0 ||
	    isolate_load(&folders, guard->lab, &guard->isolation, &err) < 0 ||
	    examine(guard, bundle, guard->arena, &report, &err) < 0) {
		error_wrap(&err, "cannot say what lab %s promises", guard->lab->name);
		return invocation_fail(inv, &err);
	}
	guard->count = report->verdict_count;
	guard->before = arena_alloc(guard->arena, (guard->count + 1) * sizeof(*guard->before));
	for (size_t i = 0; i < guard->count; i++)
		guard->before[i] = report->verdicts[i].result;
	guard->ask = (struct repair_guard){allows, guard};
	return EXIT_DONE;
}
