/*
 * A namespace is made in a thread of its own: the thread leaves the machine's namespace with unshare(2), sets the new
 * one up from inside, binds it to its name, and ends; nobody has to come back. Because the name comes last, a kill at
 * any moment leaves either a complete namespace or none (the kernel frees a namespace without name and users).
 */
#include "net/namespace.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#define NETNS_FOLDER "/run/netns"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/*
 * What every lab's namespace is set to. `default` holds for interfaces made later. Interfaces are born without IPv6 and
 * without a link-local address of their own: a tap must not talk to its guest, least of all to a sealed one. Bridges
 * and the uplink that carry IPv6 get it switched on and their addresses, the link-local one too, by hand and without
 * waiting for duplicate address detection. Kernel: Documentation/networking/ip-sysctl.rst.
 */
static const struct setting {
	const char *path, *value;
	bool optional; /* of a part that the kernel may lack */
} settings[] = {
	{"/proc/sys/net/ipv4/ip_forward", "1", false}, /* first: changing it resets others */
	{"/proc/sys/net/ipv4/conf/all/rp_filter", "1", false},
	{"/proc/sys/net/ipv4/conf/default/rp_filter", "1", false},
	{"/proc/sys/net/ipv4/conf/all/send_redirects", "0", false},
	{"/proc/sys/net/ipv4/conf/default/send_redirects", "0", false},
	{"/proc/sys/net/ipv4/conf/all/accept_redirects", "0", false},
	{"/proc/sys/net/ipv4/conf/default/accept_redirects", "0", false},
	{"/proc/sys/net/ipv4/conf/all/accept_source_route", "0", false},
	{"/proc/sys/net/ipv4/conf/all/arp_ignore", "1", false}, /* an address answers on its own bridge only */
	{"/proc/sys/net/ipv6/conf/all/forwarding", "1", true},
	{"/proc/sys/net/ipv6/conf/default/accept_ra", "0", true},
	{"/proc/sys/net/ipv6/conf/default/accept_redirects", "0", true},
	{"/proc/sys/net/ipv6/conf/default/addr_gen_mode", "1", true},
	{"/proc/sys/net/ipv6/conf/default/disable_ipv6", "1", true},
	/* Frames between guests of one bridge are the bridge table's, not the forward chain's. */
	{"/proc/sys/net/bridge/bridge-nf-call-iptables", "0", true},
	{"/proc/sys/net/bridge/bridge-nf-call-ip6tables", "0", true},
	{"/proc/sys/net/bridge/bridge-nf-call-arptables", "0", true},
};

/*
 * What `all` does not decide for interfaces that are there: each has a switch of its own for forwarding, and where its
 * rp_filter is larger (2: loose), it is that which counts.
 */
static const struct setting of_interfaces[] = {
	{"forwarding", "1", false},
	{"rp_filter", "1", false},
};

#define INTERFACES "/proc/sys/net/ipv4/conf"

static char *path_of(const char *name)
{
	char *path = NULL;

	if (asprintf(&path, NETNS_FOLDER "/%s", name) < 0)
		abort();
	return path;
}

static int open_path(const char *path, int *ret_fd)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	if (fs.f_type != NSFS_MAGIC) /* only the file that a name is bound to */
		return -ENOENT;
	*ret_fd = steal_fd(&fd);
	return 0;
}

int netns_open(const char *name, int *ret_fd, struct error **err)
{
	cleanup_free char *path = path_of(name);
	int r = open_path(path, ret_fd);

	return r < 0 ? error_errno(err, r, "cannot open the network namespace %s", path) : 0;
}

/* The folder is a shared mount, so that a name made in one mount namespace is seen in all (as ip-netns(8) does it). */
static int make_folder(struct error **err)
{
	cleanup_close int lock = -1;
	bool bound = false;
	int r = dir_make(NETNS_FOLDER, 0755, err);

	if (r < 0)
		return r;
	lock = open(NETNS_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		return error_errno(err, errno, "cannot lock %s", NETNS_FOLDER);
	while (mount("", NETNS_FOLDER, "none", MS_SHARED | MS_REC, NULL) < 0) {
		if (errno != EINVAL || bound)
			return error_errno(err, errno, "cannot make %s a shared mount", NETNS_FOLDER);
		if (mount(NETNS_FOLDER, NETNS_FOLDER, "none", MS_BIND | MS_REC, NULL) < 0)
			return error_errno(err, errno, "cannot mount %s", NETNS_FOLDER);
		bound = true;
	}
	return 0;
}

static int raise_loopback(void)
{
	cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

/* -ENOENT where the kernel has no such sysctl. */
static int is_set(const char *path, const char *value, bool *ret_same)
{
	cleanup_free char *text = NULL;
	size_t length;
	int r = file_read(path, 64, &text, &length, NULL);

	*ret_same = r == 0 && strncmp(text, value, strlen(value)) == 0 && text[strlen(value)] == '\n';
	return r;
}

/* The interfaces' own: those that differ are set, or (`fix` is false) only told. */
static int visit_interfaces(bool fix, bool *ret_same, struct error **err)
{
	cleanup_closedir DIR *dir = opendir(INTERFACES);
	const struct dirent *entry;
	int r = 0;

	if (!dir)
		return error_errno(err, errno, "cannot read the folder %s", INTERFACES);
	while (r == 0 && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "lo") == 0)
			continue;
		for (size_t i = 0; r == 0 && i < sizeof(of_interfaces) / sizeof(*of_interfaces); i++) {
			char path[sizeof(INTERFACES) + 2 * sizeof(entry->d_name)];
			bool same;

			snprintf(path, sizeof(path), INTERFACES "/%s/%s", entry->d_name, of_interfaces[i].path);
			if (is_set(path, of_interfaces[i].value, &same) == -ENOENT || same)
				continue; /* it has gone meanwhile */
			*ret_same = false;
			r = fix ? file_poke(path, of_interfaces[i].value, err) : 0;
		}
	}
	return r;
}

/* In the namespace. */
static int set_up(struct error **err)
{
	bool same;
	int r = raise_loopback();

	if (r < 0)
		return error_errno(err, r, "cannot bring up the loopback interface");
	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		r = file_poke(settings[i].path, settings[i].value, settings[i].optional ? NULL : err);
		if (r < 0 && !(r == -ENOENT && settings[i].optional))
			return file_poke(settings[i].path, settings[i].value, err);
	}
	return visit_interfaces(true, &same, err);
}

int netns_check(int netns, bool *ret_same, struct error **err)
{
	struct netns_visit visit;
	int r = netns_enter(netns, &visit, err);

	*ret_same = false;
	if (r < 0)
		return r;
	*ret_same = true;
	for (size_t i = 0; *ret_same && i < sizeof(settings) / sizeof(*settings); i++)
		if (is_set(settings[i].path, settings[i].value, ret_same) == -ENOENT && settings[i].optional)
			*ret_same = true;
	if (*ret_same)
		r = visit_interfaces(false, ret_same, err);
	netns_leave(&visit);
	return r;
}

struct making {
	const char *path;
	int existing; /* -1: to be made */
	int result;
	struct error *err;
};

static int make_and_bind(const char *path, struct error **err)
{
	cleanup_close int file = -1;
	int r;

	if (unshare(CLONE_NEWNET) < 0) {
		r = error_errno(err, errno, "cannot make a network namespace");
		error_hint(err, "run nestvisor as root");
		return r;
	}
	r = set_up(err);
	if (r < 0)
		return r;
	file = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0444);
	if (file < 0 || mount(NETNS_OF_THREAD, path, "none", MS_BIND, NULL) < 0)
		return error_errno(err, errno, "cannot name the network namespace %s", path);
	return 0;
}

static void *make_thread(void *arg)
{
	struct making *m = arg;

	if (m->existing < 0)
		m->result = make_and_bind(m->path, &m->err);
	else if (setns(m->existing, CLONE_NEWNET) < 0)
		m->result = error_errno(&m->err, errno, "cannot enter the network namespace %s", m->path);
	else
		m->result = set_up(&m->err);
	return NULL;
}

int netns_make(const char *name, int *ret_fd, struct error **err)
{
	cleanup_free char *path = path_of(name);
	cleanup_close int fd = -1;
	struct making making = {.path = path};
	pthread_t thread;
	int r;

	if (open_path(path, &fd) < 0) {
		r = make_folder(err);
		if (r < 0)
			return r;
	}
	making.existing = fd;
	r = pthread_create(&thread, NULL, make_thread, &making);
	if (r != 0)
		return error_errno(err, r, "cannot start a thread");
	pthread_join(thread, NULL);
	if (making.result < 0)
		return error_move(err, &making.err);
	if (fd < 0 && (r = open_path(path, &fd)) < 0)
		return error_errno(err, r, "cannot open the network namespace %s", path);
	*ret_fd = steal_fd(&fd);
	return 0;
}

int netns_remove(const char *name, struct error **err)
{
	cleanup_free char *path = path_of(name);

	/* Until nothing is mounted there: two runs killed at the worst moments may have left one mount over the other.
	 */
	while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
	if (errno != EINVAL && errno != ENOENT)
		return error_errno(err, errno, "cannot remove the network namespace %s", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return error_errno(err, errno, "cannot remove the network namespace %s", path);
	return 0;
}

int netns_poke(int netns, const char *path, const char *text, struct error **err)
{
	struct netns_visit visit;
	int r = netns_enter(netns, &visit, err);

	if (r < 0)
		return r;
	r = file_poke(path, text, err);
	netns_leave(&visit);
	return r;
}

uint64_t netns_cookie(int netns_socket)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);

	return getsockopt(netns_socket, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) == 0 ? cookie : 0;
}
