/* isolate.c: a change, and the rules. isolate_kept.c: what was said. isolate_inward.c: the hosts below. */
#ifndef NESTVISOR_APPLY_ISOLATE_INTERNAL_H
#define NESTVISOR_APPLY_ISOLATE_INTERNAL_H

#include "apply/isolate.h"
#include "net/net.h"

#include <pthread.h>

const char *isolate_file(struct arena *arena, const char *folder, const char *name);

/* For who is about to change it, or the rules: with the lock, which *ret_fd is. */
int isolate_load_locked(const struct folders *folders, const struct lab *lab, struct cancel *cancel, int *ret_fd,
			struct isolation **ret, struct error **err);

/* Everybody finds it from now on who asks while the machine runs; after isolate_settle for good. */
int isolate_save(const struct folders *folders, const struct isolation *isolation, struct error **err);
int isolate_settle(const struct folders *folders, struct error **err);

/* The same beside what else there is to do; with the lock, which ends with it. */
struct isolate_settling {
	const struct folders *folders;
	int *lock_fd;
	pthread_t thread;
	bool threaded;
	struct error *err;
	int result;
};
void isolate_settle_begin(struct isolate_settling *settling);
int isolate_settle_end(struct isolate_settling *settling, struct error **err);

long long isolate_now_ns(void);
double isolate_ms_since(long long started_ns);

/*
 * The hosts below are told; meanwhile flows are ended at this one, whose rules hold already. A host that knows it
 * already is told once more where it is asked about (no request: all are), for somebody may have changed its rules.
 */
int isolate_go_inward(struct arena *arena, const struct folders *folders, const struct isolate_request *request,
		      const struct isolation *before, const struct isolation *isolation, struct net *net,
		      struct isolate_settling *settling, long long started_ns, struct cancel *cancel,
		      struct isolate_result *ret, struct error **err);

#endif
