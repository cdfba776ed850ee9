#include "cli/verification.h"

#include "apply/folders.h"
#include "apply/isolate.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "cli/hosts.h"

void verification_clear(struct verification *verification)
{
	stack_free(verification->stack);
	bundle_free(verification->bundle);
	arena_free(verification->arena);
	*verification = (struct verification){};
}

/* The lab stays the caller's. */
static int ask_hosts(struct invocation *inv, const struct lab *lab, struct verification *ret)
{
	struct hosts hosts = {
		.arena = ret->arena, .kind = COLLECT_NETWORK, .lab = (struct lab *)lab, .list.arena = ret->arena};

	collect_add_lab(&hosts.list, lab, true);
	return hosts_ask(&hosts, inv, &ret->bundle);
}

static int load_isolation(struct arena *arena, const struct lab *lab, struct isolation **ret, struct error **err)
{
	struct folders folders;
	int r = folders_of(arena, lab->name, &folders, err);

	return r < 0 ? r : isolate_load(&folders, lab, ret, err);
}

int verification_run(struct invocation *inv, const struct lab *lab, const struct isolation *isolation,
		     struct bundle *facts, struct verification *ret)
{
	cleanup_isolation struct isolation *said = NULL;
	cleanup_error struct error *err = NULL;
	struct policy_input input = {.lab = lab, .isolation = isolation};
	int status;

	*ret = (struct verification){.arena = arena_new(), .bundle = facts};
	if (!isolation && load_isolation(ret->arena, lab, &said, &err) < 0)
		return invocation_fail(inv, &err);
	if (!isolation)
		input.isolation = said;
	status = facts ? EXIT_DONE : ask_hosts(inv, lab, ret);
	if (status != EXIT_DONE)
		return status;
	ret->stack = stack_new(ret->bundle);
	input.stack = ret->stack;
	if (policy_verify(&input, ret->arena, &ret->report, &err) < 0)
		return invocation_fail_as(inv, EXIT_UNKNOWN, &err); /* too large a question breaks nothing */
	return EXIT_DONE;
}

int verification_status(const struct policy_report *report)
{
	return report->result == POLICY_PROVED	   ? EXIT_DONE
	       : report->result == POLICY_VIOLATED ? EXIT_FAILED
						   : EXIT_UNKNOWN;
}
