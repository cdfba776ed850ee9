#include "base/netns.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>

int netns_enter(int netns, struct netns_visit *visit, struct error **err)
{
	visit->home = -1;
	if (netns < 0)
		return 0;
	visit->home = open(NETNS_OF_THREAD, O_RDONLY | O_CLOEXEC);
	if (visit->home < 0)
		return error_errno(err, errno, "cannot open %s", NETNS_OF_THREAD);
	if (setns(netns, CLONE_NEWNET) < 0) {
		int code = errno;

		close(steal_fd(&visit->home));
		error_errno(err, code, "cannot enter the network namespace");
		if (code == EPERM)
			error_hint(err, "run nestvisor as root");
		return -code;
	}
	return 0;
}

void netns_leave(struct netns_visit *visit)
{
	int code = errno;

	if (visit->home < 0)
		return;
	if (setns(visit->home, CLONE_NEWNET) < 0)
		abort();
	close(steal_fd(&visit->home));
	errno = code;
}
