/*
 * Carries out the steps of a plan: each as soon as what it depends on is done, in parallel, in threads that block. When
 * one fails, what depends on it is left out and the rest goes on. After a cancel no new step begins.
 */
#ifndef NESTVISOR_APPLY_EXECUTOR_H
#define NESTVISOR_APPLY_EXECUTOR_H

#include "plan/plan.h"

struct cancel;
struct error;

enum step_result { STEP_WAITING, STEP_RUNNING, STEP_DONE, STEP_FAILED, STEP_LEFT_OUT };

/* Called in any thread. */
typedef int (*step_function)(void *context, const struct step *step, struct error **err);

/*
 * max_booting: how many guests may be between the beginning of their "start" and the end of their "ready" at once.
 * results: one entry per step, filled. Returns 0 when all steps are done; else the first failure, its message followed
 * by the others', or -ECANCELED.
 */
int executor_run(const struct plan *plan, step_function run, void *context, unsigned max_booting,
		 const struct cancel *cancel, enum step_result *results, struct error **err);

#endif
