#include "driver/qmp.h"

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "transport/unix_socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE_LIMIT = 16 << 20 };

struct qmp {
	int fd;
	struct strbuf bytes; /* received and not taken yet */
	void (*on_event)(const json_t *event, void *data);
	void *data;
};

/* Takes the next whole line out of the buffer as JSON; 0 when there is none yet. */
static int take_line(struct qmp *qmp, json_t **ret, struct error **err)
{
	char *end = qmp->bytes.length ? memchr(qmp->bytes.text, '\n', qmp->bytes.length) : NULL;
	size_t length;
	int r;

	if (!end)
		return qmp->bytes.length > LINE_LIMIT ? error_set(err, EMSGSIZE, "QEMU sent a line without an end") : 0;
	length = (size_t)(end - qmp->bytes.text);
	r = json_parse(qmp->bytes.text, length, "QEMU's answer", ret, err);
	qmp->bytes.length -= length + 1;
	memmove(qmp->bytes.text, end + 1, qmp->bytes.length + 1);
	return r < 0 ? r : 1;
}

static int receive(struct qmp *qmp, long long deadline, const struct cancel *cancel, struct error **err)
{
	char buffer[16384];
	long long left = deadline - clock_ms();
	ssize_t n;
	int r = cancel_poll(cancel, qmp->fd, POLLIN, left > 0 ? (int)left : 0);

	if (r == 0)
		return error_set(err, ETIMEDOUT, "QEMU does not answer");
	if (r < 0)
		return error_errno(err, r, "cannot hear QEMU");
	n = read(qmp->fd, buffer, sizeof(buffer));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return error_set(err, ECONNRESET, "QEMU has ended");
	strbuf_add_bytes(&qmp->bytes, buffer, (size_t)n);
	return 0;
}

/* The next line that has one of the two members. */
static int next_with(struct qmp *qmp, const char *one, const char *other, long long deadline,
		     const struct cancel *cancel, json_t **ret, struct error **err)
{
	for (;;) {
		cleanup_json json_t *line = NULL;
		int r = take_line(qmp, &line, err);

		if (r < 0)
			return r;
		if (r > 0 && (json_object_get(line, one) || json_object_get(line, other))) {
			*ret = steal_pointer(&line);
			return 0;
		}
		if (r > 0 && qmp->on_event && json_object_get(line, "event"))
			qmp->on_event(line, qmp->data);
		if (r == 0) {
			r = receive(qmp, deadline, cancel, err);
			if (r < 0)
				return r;
		}
	}
}

int qmp_open(const char *path, int timeout_ms, const struct cancel *cancel, struct qmp **ret, struct error **err)
{
	cleanup_qmp struct qmp *qmp = calloc(1, sizeof(*qmp));
	cleanup_json json_t *greeting = NULL;
	long long deadline = clock_ms() + timeout_ms;
	int r;

	if (!qmp)
		abort();
	qmp->fd = -1;
	r = unix_connect(path, &qmp->fd, err);
	if (r == 0)
		r = next_with(qmp, "QMP", "QMP", deadline, cancel, &greeting, err);
	if (r == 0)
		r = qmp_execute(qmp, "qmp_capabilities", NULL, timeout_ms, cancel, NULL, err);
	if (r < 0)
		return r;
	*ret = steal_pointer(&qmp);
	return 0;
}

void qmp_close(struct qmp *qmp)
{
	if (!qmp)
		return;
	if (qmp->fd >= 0)
		close(qmp->fd);
	strbuf_freep(&qmp->bytes);
	free(qmp);
}

void qmp_on_event(struct qmp *qmp, void (*on_event)(const json_t *event, void *data), void *data)
{
	qmp->on_event = on_event;
	qmp->data = data;
}

/* A descriptor may go along (unix(7), SCM_RIGHTS): QEMU keeps it for the command. */
static bool send_all(const struct qmp *qmp, char *text, size_t length, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = text, .iov_len = length};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		control.header = (struct cmsghdr){
			.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	/* Requests are far smaller than a socket's buffer: one send takes them whole. */
	return sendmsg(qmp->fd, &message, MSG_NOSIGNAL) == (ssize_t)length;
}

static int ask(struct qmp *qmp, const char *command, json_t *arguments, int fd, int timeout_ms,
	       const struct cancel *cancel, json_t **ret, struct error **err)
{
	cleanup_json json_t *request = json_pack("{s:s, s:o*}", "execute", command, "arguments", arguments);
	cleanup_json json_t *answer = NULL;
	cleanup_free char *text = json_text(request);
	size_t length = strlen(text);
	const json_t *problem;
	int r;

	if (!send_all(qmp, text, length, fd))
		return error_set(err, ECONNRESET, "QEMU has ended");
	r = next_with(qmp, "return", "error", clock_ms() + timeout_ms, cancel, &answer, err);
	if (r < 0)
		return error_wrap(err, "%s", command);
	problem = json_object_get(answer, "error");
	if (problem)
		return error_set(err, EIO, "QEMU refuses %s: %s", command,
				 json_get_string(problem, "desc", "no reason given"));
	if (ret)
		*ret = json_incref(json_object_get(answer, "return"));
	return 0;
}

int qmp_execute(struct qmp *qmp, const char *command, json_t *arguments, int timeout_ms, const struct cancel *cancel,
		json_t **ret, struct error **err)
{
	return ask(qmp, command, arguments, -1, timeout_ms, cancel, ret, err);
}

int qmp_give(struct qmp *qmp, const char *name, int fd, int timeout_ms, const struct cancel *cancel, struct error **err)
{
	return ask(qmp, "getfd", json_pack("{s:s}", "fdname", name), fd, timeout_ms, cancel, NULL, err);
}
