/* One flag that stops every wait: set by a signal handler (it is async-signal-safe), seen by all threads through poll(2). */
#ifndef NESTVISOR_BASE_CANCEL_H
#define NESTVISOR_BASE_CANCEL_H

#include <stdbool.h>

struct cancel {
	int fd; /* an eventfd(2), readable once cancelled; -1 in a struct that is never cancelled */
};

int cancel_open(struct cancel *cancel);
void cancel_close(struct cancel *cancel);
void cancel_request(const struct cancel *cancel);
bool cancel_requested(const struct cancel *cancel); /* NULL is never cancelled */

/* Sleeps; -ECANCELED as soon as cancelled, else 0. */
int cancel_sleep(const struct cancel *cancel, int ms);

/* poll(2) on one descriptor (-1: none). Returns 1 ready, 0 timed out, -ECANCELED, -errno. timeout_ms -1 is for ever. */
int cancel_poll(const struct cancel *cancel, int fd, short events, int timeout_ms);

/* Milliseconds of the monotonic clock. */
long long clock_ms(void);

#endif
