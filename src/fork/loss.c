#include "fork/loss.h"

#include "apply/session.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "fork/store.h"
#include "plan/plan.h"

#include <errno.h>
#include <string.h>

static size_t lost_with(const struct session *session, struct arena *arena, const struct step *step)
{
	return step->kind == STEP_REMOVE_DISK ? store_count(folders_snapshots(arena, &session->folders, step->name))
					      : 0;
}

void loss_tell(const struct session *session, struct plan *plan)
{
	for (size_t i = 0; i < plan->step_count; i++) {
		const struct step *step = &plan->steps[i];
		size_t count = lost_with(session, plan->arena, step);

		for (size_t j = 0; count && j < plan->change_count; j++) {
			struct plan_change *change = &plan->changes[j];

			if (strcmp(change->what, "guest") == 0 && strcmp(change->path, step->path) == 0)
				change->why = arena_printf(plan->arena, "%s; %zu snapshot%s of it %s lost", change->why,
							   count, count == 1 ? "" : "s", count == 1 ? "is" : "are");
		}
	}
}

static int refuse(const char *what, size_t count, struct error **err)
{
	int r = error_set(err, EEXIST, "%zu snapshot%s of %s would be lost", count, count == 1 ? "" : "s", what);

	error_hint(err,
		   "nestvisor snapshots lists them; nestvisor up --discard-snapshots gives them up; or have the lab "
		   "file say what it said: they go with a guest that is renamed, removed, moved, or gets a new disk");
	return r;
}

int loss_check(const struct session *session, const struct plan *plan, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();

	for (size_t i = 0; i < plan->step_count && !session->discard_snapshots; i++) {
		size_t count = lost_with(session, arena, &plan->steps[i]);

		if (count)
			return refuse(plan->steps[i].path, count, err);
	}
	return 0;
}

int loss_check_lab(const char *lab, struct error **err)
{
	size_t count = snapshot_count(lab);

	return count ? refuse("its guests", count, err) : 0;
}
