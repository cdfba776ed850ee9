#include "base/in_time.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* Belongs to the one that waits and to the thread; whoever is last frees it. */
struct task {
	pthread_mutex_t mutex;
	pthread_cond_t ended;
	bool done, abandoned;
	void (*work)(void *data);
	void (*release)(void *data);
	void *data;
};

static struct task *task_new(void (*work)(void *data), void *data, void (*release)(void *data))
{
	struct task *task = calloc(1, sizeof(*task));
	pthread_condattr_t clock;

	if (!task)
		abort();
	*task = (struct task){.work = work, .release = release, .data = data};
	pthread_mutex_init(&task->mutex, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&task->ended, &clock);
	pthread_condattr_destroy(&clock);
	return task;
}

static void task_free(struct task *task)
{
	pthread_mutex_destroy(&task->mutex);
	pthread_cond_destroy(&task->ended);
	free(task);
}

static void *run(void *argument)
{
	struct task *task = argument;
	bool abandoned;

	task->work(task->data);
	pthread_mutex_lock(&task->mutex);
	task->done = true;
	abandoned = task->abandoned;
	pthread_cond_signal(&task->ended);
	pthread_mutex_unlock(&task->mutex);
	if (abandoned) {
		task->release(task->data);
		task_free(task);
	}
	return NULL;
}

static bool wait_for(struct task *task, unsigned limit_ms)
{
	struct timespec end;
	bool done;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_nsec += (long)(limit_ms % 1000) * 1000000;
	end.tv_sec += (time_t)(limit_ms / 1000) + end.tv_nsec / 1000000000;
	end.tv_nsec %= 1000000000;
	pthread_mutex_lock(&task->mutex);
	while (!task->done && pthread_cond_timedwait(&task->ended, &task->mutex, &end) == 0)
		;
	done = task->done;
	task->abandoned = !done;
	pthread_mutex_unlock(&task->mutex);
	return done;
}

bool in_time(void (*work)(void *data), void *data, void (*release)(void *data), unsigned limit_ms)
{
	struct task *task = task_new(work, data, release);
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, task) != 0) {
		work(data);
		task_free(task);
		return true;
	}
	pthread_detach(thread);
	if (!wait_for(task, limit_ms))
		return false;
	task_free(task);
	return true;
}
