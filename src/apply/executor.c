#include "apply/executor.h"

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 64 };

struct executor {
	const struct plan *plan;
	step_function run;
	void *context;
	const struct cancel *cancel;
	enum step_result *results;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned booting, max_booting;
	size_t left; /* steps that are WAITING or RUNNING */
	struct error *error;
};

enum readiness { NOT_YET, READY, HOPELESS };

static enum readiness step_readiness(const struct executor *e, const struct step *step)
{
	if (cancel_requested(e->cancel))
		return HOPELESS;
	for (size_t i = 0; i < step->after_count; i++) {
		enum step_result before = e->results[step->after[i]];

		if (before == STEP_FAILED || before == STEP_LEFT_OUT)
			return HOPELESS;
		if (before != STEP_DONE)
			return NOT_YET;
	}
	return step->kind == STEP_START && e->booting >= e->max_booting ? NOT_YET : READY;
}

/* The next step to take, or NULL when there is none at the moment. Marks the hopeless ones on its way. */
static const struct step *next_step(struct executor *e)
{
	bool again = true;

	while (again) {
		again = false;
		for (size_t i = 0; i < e->plan->step_count; i++) {
			if (e->results[i] != STEP_WAITING)
				continue;
			switch (step_readiness(e, &e->plan->steps[i])) {
			case READY:
				e->results[i] = STEP_RUNNING;
				return &e->plan->steps[i];
			case HOPELESS: /* which may make earlier ones hopeless, too */
				e->results[i] = STEP_LEFT_OUT;
				e->left--;
				again = true;
				break;
			case NOT_YET:
				break;
			}
		}
	}
	return NULL;
}

static void add_error(struct executor *e, struct error **err)
{
	struct error *both = NULL;

	if (!e->error) {
		e->error = steal_pointer(err);
		return;
	}
	if (!*err || (*err)->code == ECANCELED || strstr(e->error->message, (*err)->message))
		return; /* being stopped, and what was said already, are said once */
	error_set(&both, e->error->code, "%s\n%s", e->error->message, (*err)->message);
	if (e->error->hint || (*err)->hint)
		error_hint(&both, "%s", e->error->hint ? e->error->hint : (*err)->hint);
	error_free(e->error);
	e->error = both;
}

/* Whether the end of this step ends a boot that began in this run: at a "ready" behind a "start", or where a start
 * fails. */
static bool ends_boot(const struct executor *e, const struct step *step, int r)
{
	if (step->kind == STEP_START)
		return r < 0;
	for (size_t i = 0; step->kind == STEP_READY && i < step->after_count; i++)
		if (e->plan->steps[step->after[i]].kind == STEP_START)
			return true;
	return false;
}

static void finish_step(struct executor *e, const struct step *step, int r, struct error **err)
{
	enum step_result *result = &e->results[step - e->plan->steps];

	if (ends_boot(e, step, r))
		e->booting--;
	*result = r < 0 ? STEP_FAILED : STEP_DONE;
	e->left--;
	if (r < 0) {
		if (!*err)
			error_errno(err, r, "%s", step->id);
		add_error(e, err);
	}
	pthread_cond_broadcast(&e->changed);
}

static void *work(void *arg)
{
	struct executor *e = arg;

	pthread_mutex_lock(&e->mutex);
	while (e->left) {
		const struct step *step = next_step(e);
		cleanup_error struct error *err = NULL;
		int r;

		if (!step) {
			if (e->left)
				pthread_cond_wait(&e->changed, &e->mutex);
			continue;
		}
		if (step->kind == STEP_START)
			e->booting++;
		pthread_mutex_unlock(&e->mutex);
		r = e->run(e->context, step, &err);
		pthread_mutex_lock(&e->mutex);
		finish_step(e, step, r, &err);
	}
	pthread_cond_broadcast(&e->changed);
	pthread_mutex_unlock(&e->mutex);
	return NULL;
}

int executor_run(const struct plan *plan, step_function run, void *context, unsigned max_booting,
		 const struct cancel *cancel, enum step_result *results, struct error **err)
{
	struct executor e = {.plan = plan,
			     .run = run,
			     .context = context,
			     .cancel = cancel,
			     .results = results,
			     .max_booting = max_booting,
			     .left = plan->step_count};
	size_t wanted = plan->step_count < MAX_THREADS ? plan->step_count : MAX_THREADS, started = 0;
	pthread_t threads[MAX_THREADS];

	pthread_mutex_init(&e.mutex, NULL);
	pthread_cond_init(&e.changed, NULL);
	for (size_t i = 0; i < plan->step_count; i++)
		results[i] = STEP_WAITING;
	/* This thread works, too: where no other can be made, it does everything alone. */
	while (started + 1 < wanted && pthread_create(&threads[started], NULL, work, &e) == 0)
		started++;
	work(&e);
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_cond_destroy(&e.changed);
	pthread_mutex_destroy(&e.mutex);
	if (e.error)
		return error_move(err, &e.error);
	for (size_t i = 0; i < plan->step_count; i++)
		if (results[i] == STEP_LEFT_OUT)
			return error_set(err, ECANCELED, "stopped");
	return 0;
}
