#include "driver/libvirt_tap.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <dirent.h>
#include <linux/if_tun.h>
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

bool libvirt_tap_let_go(pid_t qemu, const char *tap)
{
	cleanup_close int process = pidfd_open(qemu, 0);
	cleanup_closedir DIR *dir = NULL;
	struct dirent *entry;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", qemu);
	dir = opendir(path);
	while (process >= 0 && dir && (entry = readdir(dir))) {
		cleanup_close int fd = -1;

		if (entry->d_name[0] == '.' || !is_tap(qemu, entry->d_name, tap))
			continue;
		fd = pidfd_getfd(process, atoi(entry->d_name), 0);
		return fd >= 0 && ioctl(fd, TUNSETPERSIST, 0) == 0;
	}
	return false;
}
