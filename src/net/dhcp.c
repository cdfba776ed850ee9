/*
 * One dnsmasq for each network that wants DHCP or DNS, inside the namespace, on its bridge alone. It is not a daemon of
 * its own making: we start it in the foreground and detached, so its pid file, written by the child before it becomes
 * dnsmasq, says who it is beyond doubt. Ready is when it says so in its log; dead before that, the log says why.
 *
 * A network with names has a second one, which knows nobody in the world: what guests ask that are cut is sent there by
 * the rules (rules.c). It is there before anybody is cut, so that a cut starts nothing.
 *
 *   <run_dir>/dnsmasq-<bridge>.{conf,pid,log,leases}
 *   <run_dir>/names-<bridge>.{conf,pid,log}            is there only while the other's .conf is
 */
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "model/lab.h"
#include "net/dnsmasq.h"
#include "net/net_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { FILE_LIMIT = 8 << 20, START_TIMEOUT_MS = 20000, UPSTREAM_MAX = 3 };

/* How the files of the two begin. */
static const char for_all[] = "dnsmasq-", for_cut[] = "names-";

/* The machine's resolvers; behind systemd-resolved's address on the loopback interface, those that it asks itself. */
static size_t find_upstream(struct ip *ret)
{
	static const char *const files[] = {"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"};
	size_t count = 0;

	for (size_t i = 0; i < 2 && !count; i++) {
		cleanup_free char *text = NULL;
		size_t length;

		if (file_read(files[i], FILE_LIMIT, &text, &length, NULL) == 0)
			count = dnsmasq_resolvers(text, ret, UPSTREAM_MAX);
	}
	return count;
}

/* Whom it becomes after it has opened its ports: somebody without rights, where this system has such a one. */
static const char *find_user(void)
{
	static const char *const users[] = {"dnsmasq", "nobody"};

	for (size_t i = 0; i < 2; i++) {
		struct passwd entry, *found = NULL;
		char buffer[2048];

		if (getpwnam_r(users[i], &entry, buffer, sizeof(buffer), &found) == 0 && found)
			return users[i];
	}
	return "";
}

static int end_server(const char *run_dir, const char *kind, const char *bridge, struct error **err)
{
	static const char *const endings[] = {".conf", ".log", ".leases"};
	cleanup_free char *pid_file = net_file(run_dir, kind, bridge, ".pid");
	int r = net_end_process(pid_file, err);

	for (size_t i = 0; r == 0 && i < 3; i++) {
		cleanup_free char *path = net_file(run_dir, kind, bridge, endings[i]);

		if (unlink(path) < 0 && errno != ENOENT)
			r = error_errno(err, errno, "cannot remove %s", path);
	}
	return r;
}

int net_end_dhcp(const char *run_dir, const char *bridge, struct error **err)
{
	int r = end_server(run_dir, for_cut, bridge, err);

	return r < 0 ? r : end_server(run_dir, for_all, bridge, err);
}

static int died(const char *log, struct error **err)
{
	cleanup_free char *text = NULL;
	const char *line;
	size_t length = 0;

	if (file_read(log, FILE_LIMIT, &text, &length, NULL) < 0 || !length)
		return error_set(err, EIO, "dnsmasq ended at once without a word");
	while (length && text[length - 1] == '\n')
		text[--length] = '\0';
	line = strrchr(text, '\n');
	return error_set(err, EIO, "dnsmasq ended at once: %s", line ? line + 1 : text);
}

static bool says_started(const char *log)
{
	cleanup_free char *text = NULL;
	size_t length;

	return file_read(log, FILE_LIMIT, &text, &length, NULL) == 0 && strstr(text, "]: started, ");
}

static int wait_until_started(const struct process_id *id, const char *log, int news, struct cancel *cancel,
			      struct error **err)
{
	long long deadline = clock_ms() + START_TIMEOUT_MS;
	char buffer[4096];

	while (!says_started(log)) {
		int r;

		if (!process_alive(id))
			return died(log, err);
		if (clock_ms() > deadline)
			return error_set(err, ETIMEDOUT, "dnsmasq is not ready within %d s", START_TIMEOUT_MS / 1000);
		r = cancel_poll(cancel, news, POLLIN, 50);
		if (r == -ECANCELED)
			return error_set(err, ECANCELED, "interrupted");
		if (r == 1 && read(news, buffer, sizeof(buffer)) < 0 && errno != EINTR)
			return error_errno(err, errno, "cannot watch %s", log);
	}
	return 0;
}

static int start(struct net *net, const char *kind, const char *bridge, const char *conf, struct cancel *cancel,
		 struct error **err)
{
	cleanup_free char *log = net_file(net->run_dir, kind, bridge, ".log"),
			  *pid_file = net_file(net->run_dir, kind, bridge, ".pid");
	cleanup_free char *path = NULL, *conf_option = NULL;
	cleanup_close int log_fd = -1, news = -1;
	const char *argv[] = {"dnsmasq", "--keep-in-foreground", NULL, NULL};
	struct process_spec spec = {
		.argv = argv, .netns = net->netns, .in = -1, .out = -1, .pid_file = pid_file, .detach = true};
	struct process_id id;
	int r = process_find("dnsmasq", "dnsmasq-base", &path, err);

	if (r < 0)
		return r;
	if (asprintf(&conf_option, "--conf-file=%s", conf) < 0)
		abort();
	argv[2] = conf_option;
	log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (log_fd < 0)
		return error_errno(err, errno, "cannot write %s", log);
	news = inotify_init1(IN_CLOEXEC);
	if (news < 0 || inotify_add_watch(news, log, IN_MODIFY) < 0)
		return error_errno(err, errno, "cannot watch %s", log);
	spec.err = log_fd; /* until it has read where its log is */
	r = process_spawn(&spec, &id, err);
	return r < 0 ? r : wait_until_started(&id, log, news, cancel, err);
}

/* A run killed between the writing of the file and the start finds no process, and starts one. */
static bool runs_with(const char *pid_file, const char *conf, const char *text)
{
	cleanup_free char *before = NULL;
	struct process_id id;
	size_t length;

	return process_read_pid_file(pid_file, &id, NULL) == 0 && process_alive(&id) &&
	       file_read(conf, FILE_LIMIT, &before, &length, NULL) == 0 && strcmp(before, text) == 0;
}

/* Running with this configuration. */
static int make_server(struct net *net, const char *kind, const char *bridge, const struct strbuf *text,
		       struct cancel *cancel, struct error **err)
{
	cleanup_free char *pid_file = net_file(net->run_dir, kind, bridge, ".pid");
	cleanup_free char *conf = net_file(net->run_dir, kind, bridge, ".conf");
	int r;

	if (runs_with(pid_file, conf, text->text))
		return 0;
	/* Leases outlive a change. */
	r = net_end_process(pid_file, err);
	if (r == 0)
		r = file_write_atomic(conf, text->text, text->length, 0600, err);
	return r < 0 ? r : start(net, kind, bridge, conf, cancel, err);
}

static int make_for_all(struct net *net, const struct network *network, struct cancel *cancel, struct error **err)
{
	cleanup_free char *files = net_file(net->run_dir, for_all, network->bridge, "");
	cleanup_strbuf struct strbuf text = {0};
	struct ip upstream[UPSTREAM_MAX];

	dnsmasq_format(net->lab, network, files, find_user(), upstream, find_upstream(upstream), &text);
	return make_server(net, for_all, network->bridge, &text, cancel, err);
}

static int make_for_cut(struct net *net, const struct network *network, struct cancel *cancel, struct error **err)
{
	cleanup_free char *files = net_file(net->run_dir, for_cut, network->bridge, "");
	cleanup_strbuf struct strbuf text = {0};

	dnsmasq_format_for_cut(net->lab, network, files, find_user(), &text);
	return make_server(net, for_cut, network->bridge, &text, cancel, err);
}

static int make_dhcp(struct net *net, const struct network *network, struct cancel *cancel, struct error **err)
{
	int r;

	if (!network_is_home(network) || (!network->dhcp && !network->dns))
		return net_end_dhcp(net->run_dir, network->bridge, err);
	r = make_for_all(net, network, cancel, err);
	if (r == 0 && !network->dns)
		r = end_server(net->run_dir, for_cut, network->bridge, err);
	else if (r == 0)
		r = make_for_cut(net, network, cancel, err);
	return r;
}

int net_make_dhcp(struct net *net, const struct network *network, struct cancel *cancel, struct error **err)
{
	int r;

	if (net->netns < 0)
		return error_set(err, ENOENT, "the network namespace %s does not exist", net->names.netns);
	r = make_dhcp(net, network, cancel, err);
	return r < 0 ? error_wrap(err, "DHCP and DNS of the network %s", network->path) : 0;
}
