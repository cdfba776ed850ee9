/*
 * QEMU Machine Protocol (docs/interop/qmp-spec): one conversation with one QEMU. Events come between answers. A
 * QEMU's monitor has one user at a time, so a conversation is opened for a request or two and closed again.
 */
#ifndef NESTVISOR_DRIVER_QMP_H
#define NESTVISOR_DRIVER_QMP_H

#include "base/json.h"

struct cancel;
struct error;
struct qmp;

/* Connects and negotiates. -ECONNRESET when QEMU ends meanwhile, -ETIMEDOUT when it does not answer. */
int qmp_open(const char *path, int timeout_ms, const struct cancel *cancel, struct qmp **ret, struct error **err);
void qmp_close(struct qmp *qmp); /* NULL is fine */
static inline void qmp_closep(struct qmp **qmp)
{
	qmp_close(*qmp);
}
#define cleanup_qmp __attribute__((cleanup(qmp_closep)))

/* Called with each event that comes while an answer is waited for; without it they are skipped. */
void qmp_on_event(struct qmp *qmp, void (*on_event)(const json_t *event, void *data), void *data);

/* arguments: a reference is taken over; NULL: none. ret may be NULL. QEMU's own words are in the error. */
int qmp_execute(struct qmp *qmp, const char *command, json_t *arguments, int timeout_ms, const struct cancel *cancel,
		json_t **ret, struct error **err);

/* Hands a descriptor to QEMU, which keeps it under this name for the command that asks for it ("fd:NAME"). */
int qmp_give(struct qmp *qmp, const char *name, int fd, int timeout_ms, const struct cancel *cancel, struct error **err);

#endif
