/*
 * Sockets that wait for others: TCP that listens, UDP that is bound to no peer (sock_diag(7); where the kernel has none
 * of that, as small ones do not, /proc/net/tcp and its like, see proc_pid_net(5)). The processes behind them are found
 * by their descriptors below /proc, as ss(8) does; those of other users show only to root.
 */
#include "facts/live_internal.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/strbuf.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SOURCE	     "netlink:sock_diag"
#define SOURCE_FILES "/proc/net"

enum { COMMAND_SIZE_MAX = 64, SOCKETS_SIZE_MAX = 64 << 20 };

struct socket_found {
	uint32_t inode;
	size_t listener;     /* index */
	struct strbuf users; /* "(\"sshd\",pid=1,fd=3),…" */
};

struct socket_dump {
	struct live *live;
	const char *protocol;
	struct socket_found *items;
	size_t count;
};

/* A socket for IPv6 serves IPv4 as well, unless it is told not to (IPV6_V6ONLY): then it is every address. */
static bool is_any6(const struct ip *address)
{
	static const uint8_t any[16];

	return address->family == AF_INET6 && memcmp(address->bytes, any, sizeof(any)) == 0;
}

static void add_socket(struct socket_dump *dump, const struct listener *listener, uint32_t inode)
{
	struct facts *facts = dump->live->facts;
	struct arena *arena = dump->live->pool->arena;

	*arena_push(arena, dump->items, dump->count) =
		(struct socket_found){.inode = inode, .listener = facts->listener_count};
	*arena_push(arena, facts->listeners, facts->listener_count) = *listener;
}

static void take_socket(const struct nlmsghdr *message, void *data)
{
	struct socket_dump *dump = data;
	const struct inet_diag_msg *found = mnl_nlmsg_get_payload(message);
	const struct nlattr *a[INET_DIAG_MAX + 1];
	struct listener listener = {.protocol = dump->protocol, .origin = {.source = SOURCE}};

	netlink_attributes(message, sizeof(*found), a, INET_DIAG_MAX);
	listener.address.family = found->idiag_family;
	memcpy(listener.address.bytes, found->id.idiag_src, found->idiag_family == AF_INET ? 4 : 16);
	if (is_any6(&listener.address) && a[INET_DIAG_SKV6ONLY] && !mnl_attr_get_u8(a[INET_DIAG_SKV6ONLY]))
		listener.address = (struct ip){};
	listener.port = number_of(ntohs(found->id.idiag_sport));
	if (found->id.idiag_if)
		listener.device = live_interface(dump->live, found->id.idiag_if);
	add_socket(dump, &listener, found->idiag_inode);
}

static int dump_sockets(struct netlink *nl, struct socket_dump *dump, uint8_t family, uint8_t protocol)
{
	struct nlmsghdr *request = netlink_begin(nl, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
	struct inet_diag_req_v2 *asked = mnl_nlmsg_put_extra_header(request, sizeof(*asked));
	size_t listeners = dump->live->facts->listener_count, sockets = dump->count;
	int r = -EINTR;

	*asked = (struct inet_diag_req_v2){
		.sdiag_family = family,
		.sdiag_protocol = protocol,
		.idiag_states = protocol == IPPROTO_TCP ? 1U << TCP_LISTEN : 1U << TCP_CLOSE,
	};
	dump->protocol = protocol == IPPROTO_TCP ? "tcp" : "udp";
	for (int again = 0; again < LIVE_DUMPS_MAX && r == -EINTR; again++) {
		dump->live->facts->listener_count = listeners;
		dump->count = sockets;
		r = netlink_ask(nl, request, take_socket, dump);
	}
	return r;
}

static int dump_families(struct socket_dump *dump)
{
	static const uint8_t families[] = {AF_INET, AF_INET6}, protocols[] = {IPPROTO_UDP, IPPROTO_TCP};
	struct netlink nl = {.fd = -1};
	int r = netlink_open(&nl, -1, NETLINK_SOCK_DIAG, NULL);

	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < 2 && r == 0; j++)
			r = dump_sockets(&nl, dump, families[j], protocols[i]);
	netlink_close(&nl);
	return r;
}

/* ---- by files ---- */

/* An address stands there word by word, each as the number that its bytes are on this machine. */
static bool take_words(const char *text, struct ip *ret)
{
	size_t length = strlen(text);

	if (length != 8 && length != 32)
		return false;
	*ret = (struct ip){.family = length == 8 ? AF_INET : AF_INET6};
	for (size_t i = 0; i < length / 8; i++) {
		uint32_t word;

		if (sscanf(text + 8 * i, "%8" SCNx32, &word) != 1)
			return false;
		memcpy(ret->bytes + 4 * i, &word, sizeof(word));
	}
	return true;
}

/*
 * "0: 0100007F:0277 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 20411 …": which device a socket is
 * bound to and whether it is for IPv6 alone is not told, so it counts as one for all.
 */
static bool take_line(struct socket_dump *dump, const char *line)
{
	bool tcp = strncmp(dump->protocol, "tcp", 3) == 0;
	struct listener listener = {.protocol = dump->protocol, .origin = {.source = SOURCE_FILES}};
	char address[33];
	unsigned port, state;
	uint32_t inode;

	if (sscanf(line, "%*u: %32[0-9A-Fa-f]:%x %*32[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*u %" SCNu32, address,
		   &port, &state, &inode) != 4)
		return false;
	if (state != (tcp ? TCP_LISTEN : TCP_CLOSE))
		return true;
	if (!take_words(address, &listener.address))
		return false;
	if (is_any6(&listener.address))
		listener.address = (struct ip){};
	listener.port = number_of(port);
	add_socket(dump, &listener, inode);
	return true;
}

/* Of this thread, which may be in another network namespace than its process. */
static int read_sockets(struct socket_dump *dump, const char *name)
{
	cleanup_free char *path = NULL, *text = NULL;
	char *line, *rest;
	size_t length;
	int r;

	if (asprintf(&path, "/proc/thread-self/net/%s", name) < 0)
		abort();
	if (strchr(name, '6') && !file_exists(path)) /* a kernel without IPv6 */
		return 0;
	r = file_read(path, SOCKETS_SIZE_MAX, &text, &length, NULL);
	if (r < 0)
		return r;
	dump->protocol = *name == 't' ? "tcp" : "udp";
	strtok_r(text, "\n", &rest); /* the heading */
	while ((line = strtok_r(NULL, "\n", &rest)))
		if (!take_line(dump, line))
			return -EBADMSG;
	return 0;
}

static int read_families(struct socket_dump *dump)
{
	static const char *const names[] = {"udp", "udp6", "tcp", "tcp6"};
	int r = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && r == 0; i++)
		r = read_sockets(dump, names[i]);
	return r;
}

/* ---- who they are of ---- */

static int by_inode(const void *a, const void *b)
{
	uint32_t left = ((const struct socket_found *)a)->inode, right = ((const struct socket_found *)b)->inode;

	return left < right ? -1 : left > right;
}

/* The descriptors of one process; `folder` is /proc/PID/fd. */
static void look_at_process(struct socket_dump *dump, DIR *folder, const char *pid)
{
	cleanup_free char *command = NULL, *path = NULL;
	const struct dirent *entry;
	size_t length;

	while ((entry = readdir(folder))) {
		struct socket_found key = {}, *found;
		char target[32];
		ssize_t n = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);

		if (n <= 0)
			continue;
		target[n] = '\0';
		if (sscanf(target, "socket:[%u]", &key.inode) != 1)
			continue;
		found = bsearch(&key, dump->items, dump->count, sizeof(key), by_inode);
		if (!found)
			continue;
		if (!command) {
			if (asprintf(&path, "/proc/%s/comm", pid) < 0)
				abort();
			if (file_read(path, COMMAND_SIZE_MAX, &command, &length, NULL) < 0)
				return;
			command[strcspn(command, "\n")] = '\0';
		}
		strbuf_printf(&found->users, "%s(\"%s\",pid=%s,fd=%s)", found->users.length ? "," : "", command, pid,
			      entry->d_name);
	}
}

static void find_processes(struct socket_dump *dump)
{
	cleanup_closedir DIR *processes = opendir("/proc");
	const struct dirent *entry;

	while (processes && (entry = readdir(processes))) {
		char path[NAME_MAX + 4];
		int fd;
		DIR *folder;

		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "%s/fd", entry->d_name);
		fd = openat(dirfd(processes), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		folder = fd >= 0 ? fdopendir(fd) : NULL;
		if (folder) {
			look_at_process(dump, folder, entry->d_name);
			closedir(folder);
		} else if (fd >= 0) {
			close(fd);
		}
	}
}

static void name_processes(struct socket_dump *dump)
{
	struct live *live = dump->live;

	if (dump->count == 0)
		return;
	qsort(dump->items, dump->count, sizeof(*dump->items), by_inode);
	find_processes(dump);
	for (size_t i = 0; i < dump->count; i++) {
		struct socket_found *found = &dump->items[i];

		if (found->users.length)
			live->facts->listeners[found->listener].process =
				pool_text(live->pool, arena_printf(live->pool->arena, "users:(%s)", found->users.text));
		free(found->users.text);
	}
}

void live_listeners(struct live *live)
{
	struct socket_dump dump = {.live = live};
	struct facts *facts = live->facts;
	const char *source = SOURCE;
	int r = dump_families(&dump);

	if (r < 0) {
		dump.count = facts->listener_count = 0;
		source = SOURCE_FILES;
		r = read_families(&dump);
	}
	if (r < 0) {
		facts->listeners_known = facts->listener_count ? TRUTH_NO : TRUTH_UNKNOWN;
		live_unknown(live, source, "ss -lntup", "listening sockets: %s", strerror(-r));
	} else {
		facts->listeners_known = TRUTH_YES;
		live_capture(live, source, "ss -lntup")->items = (uint32_t)facts->listener_count;
	}
	name_processes(&dump);
}
