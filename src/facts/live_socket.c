/*
 * Sockets that wait for others: TCP that listens, UDP that is bound to no peer (sock_diag(7)). The processes behind
 * them are found by their descriptors below /proc, as ss(8) does; those of other users show only to root.
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
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SOURCE "netlink:sock_diag"

enum { COMMAND_SIZE_MAX = 64 };

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

static void take_socket(const struct nlmsghdr *message, void *data)
{
	struct socket_dump *dump = data;
	struct live *live = dump->live;
	struct facts *facts = live->facts;
	const struct inet_diag_msg *found = mnl_nlmsg_get_payload(message);
	const struct nlattr *a[INET_DIAG_MAX + 1];
	struct listener listener = {.protocol = dump->protocol, .origin = {.source = SOURCE}};
	static const uint8_t any[16];

	netlink_attributes(message, sizeof(*found), a, INET_DIAG_MAX);
	listener.address.family = found->idiag_family;
	memcpy(listener.address.bytes, found->id.idiag_src, found->idiag_family == AF_INET ? 4 : 16);
	/* A socket for IPv6 serves IPv4 as well, unless it is told not to (IPV6_V6ONLY): then it is every address. */
	if (found->idiag_family == AF_INET6 && memcmp(listener.address.bytes, any, 16) == 0 && a[INET_DIAG_SKV6ONLY] &&
	    !mnl_attr_get_u8(a[INET_DIAG_SKV6ONLY]))
		listener.address = (struct ip){};
	listener.port = number_of(ntohs(found->id.idiag_sport));
	if (found->id.idiag_if)
		listener.device = live_interface(live, found->id.idiag_if);
	*arena_push(live->pool->arena, dump->items, dump->count) =
		(struct socket_found){.inode = found->idiag_inode, .listener = facts->listener_count};
	*arena_push(live->pool->arena, facts->listeners, facts->listener_count) = listener;
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
	static const uint8_t families[] = {AF_INET, AF_INET6}, protocols[] = {IPPROTO_UDP, IPPROTO_TCP};
	struct socket_dump dump = {.live = live};
	struct netlink nl = {.fd = -1};
	struct facts *facts = live->facts;
	int r = netlink_open(&nl, -1, NETLINK_SOCK_DIAG, NULL);

	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < 2 && r == 0; j++)
			r = dump_sockets(&nl, &dump, families[j], protocols[i]);
	netlink_close(&nl);
	if (r < 0) {
		facts->listeners_known = facts->listener_count ? TRUTH_NO : TRUTH_UNKNOWN;
		live_unknown(live, SOURCE, "ss -lntup", "listening sockets: %s", strerror(-r));
	} else {
		facts->listeners_known = TRUTH_YES;
		live_capture(live, SOURCE, "ss -lntup")->items = (uint32_t)facts->listener_count;
	}
	name_processes(&dump);
}
