#include "transport/unix_socket.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* *folder_fd stays open for as long as the address is used. */
static int make_address(const char *path, struct sockaddr_un *ret, int *folder_fd, struct error **err)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *folder = NULL;
	int n;

	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) < sizeof(ret->sun_path)) {
		memcpy(ret->sun_path, path, strlen(path));
		return 0;
	}
	folder = slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
	if (!folder)
		abort();
	*folder_fd = open(*folder ? folder : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*folder_fd < 0)
		return error_errno(err, errno, "cannot open the folder of the socket %s", path);
	n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", *folder_fd, slash ? slash + 1 : path);
	if (n < 0 || (size_t)n >= sizeof(ret->sun_path))
		return error_set(err, ENAMETOOLONG, "the name of the socket %s is too long (unix(7))", path);
	return 0;
}

int unix_listen(const char *path, int *ret_fd, struct error **err)
{
	cleanup_close int folder = -1, fd = -1;
	struct sockaddr_un address;
	int r = make_address(path, &address, &folder, err);

	if (r < 0)
		return r;
	if (unlink(path) < 0 && errno != ENOENT)
		return error_errno(err, errno, "cannot replace the socket %s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* fchmod before bind sets the mode that the socket file is made with, so it is never open to others. */
	if (fd < 0 || fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 8) < 0)
		return error_errno(err, errno, "cannot listen on the socket %s", path);
	*ret_fd = steal_fd(&fd);
	return 0;
}

int unix_connect(const char *path, int *ret_fd, struct error **err)
{
	cleanup_close int folder = -1, fd = -1;
	struct sockaddr_un address;
	int r = make_address(path, &address, &folder, err);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return error_errno(err, errno, "cannot connect to %s", path);
	*ret_fd = steal_fd(&fd);
	return 0;
}
