/* Work that may never end: a library's call that knows no limit in time, and cannot be stopped. */
#ifndef NESTVISOR_BASE_IN_TIME_H
#define NESTVISOR_BASE_IN_TIME_H

#include <stdbool.h>

/*
 * Does `work` in a thread, and waits for it as long as the limit says. True: it is done, and `data` is the caller's as
 * before. False: it goes on; `data`, which must then borrow nothing of the caller's, is given to `release` when it is
 * done, if ever: it ends with the program. Where there is no thread to be had it is done without a limit.
 */
bool in_time(void (*work)(void *data), void *data, void (*release)(void *data), unsigned limit_ms);

#endif
