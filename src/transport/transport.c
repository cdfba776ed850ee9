#include "transport/transport.h"

#include "base/error.h"

#include <errno.h>

int transport_run(struct transport *t, const char *const argv[], const void *in, size_t in_length, int timeout_ms,
		  struct cancel *cancel, struct process_output *ret, struct error **err)
{
	return t->ops->run(t, argv, in, in_length, timeout_ms, cancel, ret, err);
}

int transport_ask(struct transport *t, const char *const argv[], int timeout_ms, struct cancel *cancel,
		  struct process_output *ret, struct error **err)
{
	cleanup_error struct error *lost = NULL;
	int r = transport_run(t, argv, NULL, 0, timeout_ms, cancel, ret, &lost);

	if (r == -ECONNRESET)
		return transport_run(t, argv, NULL, 0, timeout_ms, cancel, ret, err);
	return r < 0 ? error_move(err, &lost) : 0;
}

int transport_stream(struct transport *t, const char *const argv[], int in_fd, int out_fd, int err_fd,
		     struct cancel *cancel, int *ret_status, struct error **err)
{
	return t->ops->stream(t, argv, in_fd, out_fd, err_fd, cancel, ret_status, err);
}

void transport_close(struct transport *t)
{
	if (t)
		t->ops->close(t);
}
