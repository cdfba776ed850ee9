/*
 * Progress on standard error: a reporter (base/report.h) that draws what is being waited for and for how long.
 *
 * On a terminal each piece of work in progress has a live line at the bottom, redrawn at most ten times a second and at
 * least once a second; what has ended scrolls away above as a plain line. Elsewhere there is a plain line per step, and
 * one for a step that takes longer than two seconds, so that there is never silence.
 */
#ifndef NESTVISOR_CLI_PROGRESS_H
#define NESTVISOR_CLI_PROGRESS_H

#include "base/report.h"

#include <stdbool.h>

struct progress;

enum progress_mode {
	PROGRESS_QUIET, /* warnings and failures only */
	PROGRESS_LINES,
	PROGRESS_LIVE,
};

/* LIVE where fd is a terminal that can move its cursor, LINES elsewhere. */
enum progress_mode progress_mode_for(int fd);

/* verbose: also every beginning and every change of what is waited for. The descriptor stays the caller's. */
struct progress *progress_new(int fd, enum progress_mode mode, bool colour, bool verbose);
struct reporter *progress_reporter(struct progress *progress);

/* Takes the live lines away, and keeps them away until progress_release: for output of somebody else in between. */
void progress_hold(struct progress *progress);
void progress_release(struct progress *progress);

/* Takes the live lines away and ends the thread that draws. NULL is fine. */
void progress_free(struct progress *progress);

#endif
