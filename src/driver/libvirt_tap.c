#include "driver/libvirt_tap.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A tun descriptor's fdinfo has a line "iff:	NAME" (drivers/net/tun.c). */
static bool is_tap(pid_t pid, const char *fd, const char *tap)
{
	cleanup_free char *text = NULL, *wanted = NULL;
	char path[64];
	size_t length;

	if (asprintf(&wanted, "iff:\t%s\n", tap) < 0)
		abort();
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.16s", pid, fd);
	return file_read(path, 1 << 16, &text, &length, NULL) == 0 && strstr(text, wanted) != NULL;
}

/* The number of its descriptor, or -ENODEV. */
static int find_descriptor(pid_t pid, const char *tap)
{
	cleanup_closedir DIR *dir = NULL;
	struct dirent *entry;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && is_tap(pid, entry->d_name, tap))
			return atoi(entry->d_name);
	return -ENODEV;
}

int libvirt_tap_let_go(pid_t qemu, const char *tap, struct error **err)
{
	cleanup_close int process = pidfd_open(qemu, 0), fd = -1;
	int its = find_descriptor(qemu, tap), r;

	if (its < 0)
		return error_set(err, -its, "process %d does not hold the tap %s", qemu, tap);
	fd = process < 0 ? -1 : pidfd_getfd(process, its, 0);
	if (fd >= 0 && ioctl(fd, TUNSETPERSIST, 0) == 0)
		return 0;
	r = error_errno(err, errno, "cannot make the tap %s end with its QEMU, process %d", tap, qemu);
	error_hint(err, "needs Linux 5.6 and the right to look into that process (CAP_SYS_PTRACE)");
	return r;
}

int libvirt_tap_give(const char *tap, bool several_queues, unsigned user, struct error **err)
{
	struct ifreq request = {
		.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (several_queues ? IFF_MULTI_QUEUE : 0))};
	cleanup_close int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", tap);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETOWNER, (unsigned long)user) < 0)
		return error_errno(err, errno, "cannot give the tap %s to user %u", tap, user);
	return 0;
}
