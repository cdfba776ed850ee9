#include "base/cancel.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

int cancel_open(struct cancel *cancel)
{
	cancel->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return cancel->fd < 0 ? -errno : 0;
}

void cancel_close(struct cancel *cancel)
{
	if (cancel->fd >= 0)
		close(cancel->fd);
	cancel->fd = -1;
}

void cancel_request(const struct cancel *cancel)
{
	int saved = errno;
	ssize_t written = write(cancel->fd, &(uint64_t){1}, sizeof(uint64_t));

	(void)written; /* the counter can only be full when it was requested before */
	errno = saved;
}

bool cancel_requested(const struct cancel *cancel)
{
	struct pollfd p = {.events = POLLIN};

	if (!cancel || cancel->fd < 0)
		return false;
	p.fd = cancel->fd;
	return poll(&p, 1, 0) > 0;
}

int cancel_sleep(const struct cancel *cancel, int ms)
{
	int r = cancel_poll(cancel, -1, 0, ms);

	return r < 0 ? r : 0;
}

int cancel_poll(const struct cancel *cancel, int fd, short events, int timeout_ms)
{
	struct pollfd p[2] = {{.fd = fd, .events = events}, {.fd = cancel ? cancel->fd : -1, .events = POLLIN}};
	long long deadline = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;

	for (;;) {
		int left = -1, r;

		if (deadline >= 0) {
			long long ms = deadline - clock_ms();

			left = ms > 0 ? (int)ms : 0;
		}
		r = poll(p, 2, left);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r > 0 && p[1].revents)
			return -ECANCELED;
		if (r > 0)
			return 1;
		if (r == 0)
			return 0;
	}
}

long long clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
