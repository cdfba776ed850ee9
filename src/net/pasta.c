/*
 * pasta(1) as the way out of a machine that does not forward: a tap `world` in the namespace whose other side is a
 * process in the root namespace, which carries each connection on with a socket of its own. It is told to do just that:
 * no ports into the lab, no way to the machine's loopback, no DHCP or router advertisements, no addresses of the host
 * copied; the interface's addresses and routes are set here, as for the veth.
 *
 * It needs CAP_SYS_ADMIN over the namespace to enter it, which is root's, so it cannot be started as nobody. It drops
 * all other capabilities but CAP_NET_BIND_SERVICE, and shuts itself into an empty root directory and a seccomp filter.
 * Pings go through only where net.ipv4.ping_group_range includes group 0.
 */
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/strbuf.h"
#include "net/namespace.h"
#include "net/net_internal.h"
#include "net/transit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { START_TIMEOUT_MS = 10000, LOG_LIMIT = 1 << 20 };

/* Of the process, as the lab sees it: by itself it would take that of the machine's own interface, and who reads the
 * lab's neighbour table would take the two for one. */
#define PASTA_MAC "02:00:64:40:00:01"

bool net_pasta_installed(void)
{
	cleanup_free char *path = NULL;

	return process_find("pasta", "passt", &path, NULL) == 0;
}

static char *pid_file(const char *run_dir)
{
	return net_file(run_dir, "pasta", ".pid", "");
}

bool net_pasta_lives(const char *run_dir)
{
	cleanup_free char *path = pid_file(run_dir);
	struct process_id id;

	return process_read_pid_file(path, &id, NULL) == 0 && process_alive(&id);
}

int net_end_pasta(const char *run_dir, struct error **err)
{
	static const char *const others[] = {".log", ".args", ".ready"};
	cleanup_free char *path = pid_file(run_dir);
	int r = net_end_process(path, err);

	for (size_t i = 0; r == 0 && i < 3; i++) {
		cleanup_free char *other = net_file(run_dir, "pasta", others[i], "");

		if (unlink(other) < 0 && errno != ENOENT)
			r = error_errno(err, errno, "cannot remove %s", other);
	}
	return r;
}

/* The last line of its log, which is why it ended. */
static int died(const char *log, struct error **err)
{
	cleanup_free char *text = NULL;
	const char *line;
	size_t length = 0;

	if (file_read(log, LOG_LIMIT, &text, &length, NULL) < 0 || !length)
		return error_set(err, EIO, "pasta ended at once without a word");
	while (length && text[length - 1] == '\n')
		text[--length] = '\0';
	line = strrchr(text, '\n');
	return error_set(err, EIO, "pasta ended at once: %s", line ? line + 1 : text);
}

/*
 * Waits until it says that it is ready: it writes its process number to a file once it has made its interface and shut
 * itself in. The interface alone is no sign: where it cannot shut itself in (the root of an initramfs cannot be pivoted
 * away from), it dies after that, and the interface with it.
 */
static int wait_until_ready(const struct process_id *pasta, const char *ready, int news, const char *log,
			    struct error **err)
{
	long long deadline = clock_ms() + START_TIMEOUT_MS;
	char buffer[4096];
	struct stat st;

	while (stat(ready, &st) < 0 || st.st_size == 0) {
		if (!process_alive(pasta))
			return died(log, err);
		if (clock_ms() > deadline)
			return error_set(err, ETIMEDOUT, "pasta is not ready within %d s", START_TIMEOUT_MS / 1000);
		if (cancel_poll(NULL, news, POLLIN, 50) == 1 && read(news, buffer, sizeof(buffer)) < 0 &&
		    errno != EINTR)
			return error_errno(err, errno, "cannot watch %s", ready);
	}
	return 0;
}

static int start(const char *run_dir, const char *const *argv, const char *ready, const char *log, struct error **err)
{
	cleanup_free char *pid = pid_file(run_dir);
	const struct process_spec spec = {
		.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1, .pid_file = pid, .detach = true};
	cleanup_close int file = open(ready, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	cleanup_close int news = inotify_init1(IN_CLOEXEC);
	struct process_id id;
	int r;

	if (file < 0)
		return error_errno(err, errno, "cannot write %s", ready);
	if (news < 0 || inotify_add_watch(news, ready, IN_MODIFY) < 0)
		return error_errno(err, errno, "cannot watch %s", ready);
	r = process_spawn(&spec, &id, err);
	return r < 0 ? r : wait_until_ready(&id, ready, news, log, err);
}

static char *joined(const char *const *argv)
{
	struct strbuf sb = {0};

	for (; *argv; argv++)
		strbuf_printf(&sb, "%s\n", *argv);
	return strbuf_steal(&sb);
}

/* Whether it runs with these arguments; the file is written before it is started. */
static bool runs_with(const struct net *net, const char *args_file, const char *args, struct netlink *inside)
{
	cleanup_free char *before = NULL;
	struct link world;
	size_t length;

	return net_pasta_lives(net->run_dir) && link_get(inside, NET_WORLD, &world) == 0 &&
	       file_read(args_file, LOG_LIMIT, &before, &length, NULL) == 0 && strcmp(before, args) == 0;
}

int net_make_pasta(struct net *net, const struct net_transit *transit, struct error **err)
{
	bool ipv6 = transit->inside6.ip.family != 0;
	char address4[IP_TEXT_SIZE], gateway4[IP_TEXT_SIZE], address6[IP_TEXT_SIZE], gateway6[IP_TEXT_SIZE];
	cleanup_free char *netns = NULL, *log = net_file(net->run_dir, "pasta", ".log", "");
	cleanup_free char *ready = net_file(net->run_dir, "pasta", ".ready", "");
	cleanup_free char *args_file = net_file(net->run_dir, "pasta", ".args", ""), *args = NULL;
	const char *argv[48] = {"pasta",       "--foreground", "--quiet",     "--ns-ifname", NET_WORLD,
				"--no-map-gw", "--no-dhcp",    "--no-dhcpv6", "--no-ra",     "--tcp-ports",
				"none",	       "--udp-ports",  "none",	      "--tcp-ns",    "none",
				"--udp-ns",    "none",	       "--dns",	      "none",	     "--search",
				"none",	       "--runas",      "0:0",	      "--mac-addr",  PASTA_MAC};
	struct netlink *inside;
	size_t n = 0;
	int r = net_inside(net, &inside, err);

	if (r < 0)
		return r;
	if (asprintf(&netns, "/run/netns/%s", net->names.netns) < 0)
		abort();
	while (argv[n])
		n++;
	argv[n++] = "--address";
	argv[n++] = ip_format(&transit->inside4.ip, address4);
	argv[n++] = "--netmask";
	argv[n++] = "30";
	argv[n++] = "--gateway";
	argv[n++] = ip_format(&transit->root4.ip, gateway4);
	if (ipv6) {
		argv[n++] = "--address";
		argv[n++] = ip_format(&transit->inside6.ip, address6);
		argv[n++] = "--gateway";
		argv[n++] = ip_format(&transit->root6.ip, gateway6);
	} else {
		argv[n++] = "--ipv4-only";
	}
	argv[n++] = "--log-file";
	argv[n++] = log;
	argv[n++] = "--pid";
	argv[n++] = ready;
	argv[n++] = "--netns";
	argv[n++] = netns;
	args = joined(argv);
	if (runs_with(net, args_file, args, inside))
		return 0;
	r = net_end_pasta(net->run_dir, err);
	if (r == 0)
		r = net_remove_world(inside, err);
	if (r == 0)
		r = file_write_atomic(args_file, args, strlen(args), 0600, err);
	if (r == 0)
		r = start(net->run_dir, argv, ready, log, err);
	return r;
}
