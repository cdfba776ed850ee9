#include "cli/pump.h"

#include "base/cancel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int write_all(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno == EAGAIN) {
			cancel_poll(NULL, fd, POLLOUT, -1);
			continue;
		}
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			length -= (size_t)n;
		}
	}
	return 0;
}

/* Copies what there is once. Returns 1 to go on, 0 at the end (or the escape), -errno. */
static int copy(int from, int to, int escape)
{
	char buffer[65536];
	ssize_t n = read(from, buffer, sizeof(buffer));
	char *stop;

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 1 : -errno;
	if (n == 0)
		return 0;
	stop = escape == PUMP_NO_ESCAPE ? NULL : memchr(buffer, escape, (size_t)n);
	if (write_all(to, buffer, stop ? (size_t)(stop - buffer) : (size_t)n) < 0)
		return 0; /* the other side does not listen any more */
	return stop ? 0 : 1;
}

int pump(int in_fd, int out_fd, int peer, int escape, const struct cancel *cancel)
{
	struct pollfd p[3] = {{.fd = in_fd, .events = POLLIN},
			      {.fd = peer, .events = POLLIN},
			      {.fd = cancel ? cancel->fd : -1, .events = POLLIN}};
	int r;

	for (;;) {
		if (poll(p, 3, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (p[2].revents)
			return -ECANCELED;
		if (p[1].revents) {
			r = copy(peer, out_fd, PUMP_NO_ESCAPE);
			if (r <= 0)
				return r;
		}
		if (p[0].revents) {
			r = copy(in_fd, peer, escape);
			if (r < 0 || (r == 0 && escape != PUMP_NO_ESCAPE))
				return r;
			if (r == 0) {
				shutdown(peer, SHUT_WR);
				p[0].fd = -1;
			}
		}
	}
}
