#include "cli/collect.h"

#include "apply/into.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "cli/target.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

enum { CREW_MAX = 16 };

/* A name that is one folder: the parts of a guest's path are parted by dots there. */
static const char *folder_name(struct arena *arena, const char *text)
{
	char *name = arena_strdup(arena, text);

	for (char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_')
			*c = '.';
	while (*name == '.')
		name++;
	return *name ? name : "host";
}

static int ssh_word(struct invocation *inv, struct arena *arena, const char *word, struct collect_target *ret)
{
	const char *rest = word + strlen("ssh://"), *at;
	size_t length = strcspn(rest, "/");

	if (length == 0 || rest[0] == '-')
		return invocation_usage(inv, "%s names no host; it is ssh://[user@]host[:port]", word);
	ret->ssh = arena_strndup(arena, rest, length);
	at = strrchr(ret->ssh, '@');
	ret->name = folder_name(arena, at ? at + 1 : ret->ssh);
	return EXIT_DONE;
}

int collect_target(struct invocation *inv, struct arena *arena, const struct lab *lab, const char *word,
		   struct collect_target *ret)
{
	int status;

	*ret = (struct collect_target){.lab = lab};
	if (strncmp(word, "ssh://", strlen("ssh://")) == 0)
		return ssh_word(inv, arena, word, ret);
	if (strcmp(word, "L0") == 0 && (!lab || lab->root->layer == 0)) {
		ret->name = "l0";
		return EXIT_DONE;
	}
	status = target_guest(inv, lab, word, &ret->guest);
	if (status == EXIT_DONE)
		ret->name = folder_name(arena, ret->guest->path);
	return status;
}

void collect_namespace(struct arena *arena, const struct lab *lab, const struct collect_target *target,
		       struct collect_target *ret, bool *ret_any)
{
	*ret_any = lab && !target->ssh && (!target->guest || target->guest->host);
	*ret = *target;
	ret->lab = lab;
	ret->namespace = true;
	ret->name = arena_printf(arena, "%s-lab-%s", target->name, lab ? lab->name : "");
}

/* "user@host:port", "user@[2001:db8::1]:22" */
static int open_ssh(struct arena *arena, const char *text, struct transport **ret, struct error **err)
{
	char *host = arena_strdup(arena, text), *at = strrchr(host, '@'), *port;
	struct ssh_target target = {.netns = -1};

	if (at) {
		*at = '\0';
		target.user = host;
		host = at + 1;
	}
	port = host[0] == '[' ? strchr(host, ']') : strchr(host, ':') == strrchr(host, ':') ? strchr(host, ':') : NULL;
	if (host[0] == '[' && port) {
		*port++ = '\0';
		host++;
		port = *port == ':' ? port : NULL;
	}
	if (port) {
		char *end;
		unsigned long number = strtoul(port + 1, &end, 10);

		if (number == 0 || number > UINT16_MAX || *end)
			return error_set(err, EINVAL, "%s is no port", port + 1);
		*port = '\0';
		target.port = (unsigned)number;
	}
	target.host = host;
	return transport_ssh(&target, ret, err);
}

/* A way to the target, and the argv of a shell there that reads the script. */
static int open_target(struct arena *arena, const struct collect_target *target, struct cancel *cancel,
		       struct transport **ret, const char *const **ret_argv, struct error **err)
{
	static const char *const with_input[] = {"-i", NULL};
	const char **argv = arena_alloc(arena, 8 * sizeof(*argv));
	struct folders folders;
	struct into_way way;
	size_t n = 0;
	int r;

	if (target->namespace) {
		argv[n++] = "ip";
		argv[n++] = "netns";
		argv[n++] = "exec";
		argv[n++] = arena_printf(arena, "nestvisor-%s", target->lab->name);
	}
	argv[n++] = "sh";
	*ret_argv = argv;
	if (target->ssh)
		return open_ssh(arena, target->ssh, ret, err);
	if (!target->guest) {
		*ret = transport_local();
		return 0;
	}
	r = folders_of(arena, target->lab->name, &folders, err);
	if (r == 0)
		r = into_way(arena, target->lab, target->guest, "exec", with_input, argv, &way, err);
	if (r < 0)
		return r;
	*ret_argv = way.argv;
	return into_open(arena, &folders, target->lab, way.first, cancel, ret, err);
}

/* A file in memory with this content, read from its start. */
static int memory_file(const char *content, size_t length, struct error **err)
{
	int fd = memfd_create("nestvisor", MFD_CLOEXEC);

	if (fd >= 0 && length > 0 && (write(fd, content, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) < 0)) {
		close(fd);
		fd = -1;
	}
	return fd < 0 ? error_errno(err, errno, "cannot make a file in memory") : fd;
}

static int read_memory_file(struct arena *arena, int fd, const char **ret, size_t *ret_length, struct error **err)
{
	struct stat st;
	char *data;
	ssize_t got;

	if (fstat(fd, &st) < 0)
		return error_errno(err, errno, "cannot read what came back");
	data = arena_alloc(arena, (size_t)st.st_size + 1);
	got = pread(fd, data, (size_t)st.st_size, 0);
	if (got < 0)
		return error_errno(err, errno, "cannot read what came back");
	*ret = data;
	*ret_length = (size_t)got;
	return 0;
}

/* Stops when the user does, and after the time: one descriptor that becomes readable for either. */
static int open_deadline(const struct cancel *cancel, int timeout_ms, int *ret_timer, struct cancel *ret,
			 struct error **err)
{
	struct itimerspec time = {.it_value = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L}};
	struct epoll_event event = {.events = EPOLLIN};

	ret->fd = epoll_create1(EPOLL_CLOEXEC);
	*ret_timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (ret->fd < 0 || *ret_timer < 0 || timerfd_settime(*ret_timer, 0, &time, NULL) < 0 ||
	    epoll_ctl(ret->fd, EPOLL_CTL_ADD, *ret_timer, &event) < 0 ||
	    (cancel && cancel->fd >= 0 && epoll_ctl(ret->fd, EPOLL_CTL_ADD, cancel->fd, &event) < 0))
		return error_errno(err, errno, "cannot set a deadline");
	return 0;
}

/*
 * The outputs go into files in memory rather than through transport_run(), so that what came before a connection broke
 * or the time was over is not lost.
 */
static int ask(struct arena *arena, struct transport *t, const char *const argv[], const struct strbuf *script,
	       int timeout_ms, struct cancel *cancel, struct collection_input *ret, struct error **err)
{
	cleanup_close int in = memory_file(script->text, script->length, err), out = -1, errors = -1, timer = -1;
	struct cancel deadline = {.fd = -1};
	cleanup_error struct error *problem = NULL;
	int status, r;

	if (in < 0 || (out = memory_file("", 0, err)) < 0 || (errors = memory_file("", 0, err)) < 0)
		return -EIO;
	r = open_deadline(cancel, timeout_ms, &timer, &deadline, err);
	if (r == 0)
		r = transport_stream(t, argv, in, out, errors, &deadline, &status, &problem);
	cancel_close(&deadline);
	if (cancel_requested(cancel))
		return error_set(err, ECANCELED, "stopped");
	if (read_memory_file(arena, out, &ret->out, &ret->out_length, err) < 0 ||
	    read_memory_file(arena, errors, &ret->err, &ret->err_length, err) < 0)
		return -EIO;
	if (r < 0 && ret->out_length == 0) {
		if (r == -ECANCELED)
			return error_set(err, ETIMEDOUT, "no answer within %d s", timeout_ms / 1000);
		return error_move(err, &problem);
	}
	return 0;
}

static int collect(struct arena *arena, const struct collect_target *target, int timeout_ms, struct cancel *cancel,
		   struct collection *ret, struct error **err)
{
	static const struct selection everything = {}, network = {.with = SOURCE_NETWORK};
	cleanup_transport struct transport *t = NULL;
	cleanup_strbuf struct strbuf script = {0};
	char word[SCRIPT_WORD_SIZE];
	struct collection_input input = {
		.host = target->name, .word = word, .selection = target->namespace ? &network : &everything};
	const char *const *argv;
	int r = open_target(arena, target, cancel, &t, &argv, err);

	if (r < 0)
		return error_wrap(err, "cannot ask %s", target->name);
	script_word(word);
	script_write(&script, word, input.selection);
	r = ask(arena, t, argv, &script, timeout_ms, cancel, &input, err);
	if (r < 0)
		return error_wrap(err, "cannot ask %s", target->name);
	return collection_parse(arena, &input, ret, err);
}

struct crew {
	struct invocation *inv;
	const struct collect_target *targets;
	struct collect_result *results;
	size_t count;
	atomic_size_t next;
	int timeout_ms;
};

static void *work(void *data)
{
	struct crew *crew = data;
	struct reporter *reporter = crew->inv->reporter;
	size_t i;

	while ((i = atomic_fetch_add(&crew->next, 1)) < crew->count) {
		const struct collect_target *target = &crew->targets[i];
		struct collect_result *result = &crew->results[i];

		result->arena = arena_new();
		report(reporter, REPORT_BEGIN, target->name, "asking for its facts");
		if (collect(result->arena, target, crew->timeout_ms, crew->inv->cancel, &result->collection,
			    &result->err) < 0)
			report(reporter, REPORT_FAILED, target->name, "%s", result->err->message);
		else
			report(reporter, REPORT_DONE, target->name, "%s",
			       result->collection.complete ? "" : "in part: the connection ended");
	}
	return NULL;
}

void collect_all(struct invocation *inv, const struct collect_target *targets, size_t count, int timeout_ms,
		 struct collect_result *results)
{
	struct crew crew = {
		.inv = inv, .targets = targets, .results = results, .count = count, .timeout_ms = timeout_ms};
	pthread_t threads[CREW_MAX];
	size_t started = 0;

	while (started + 1 < count && started < CREW_MAX && pthread_create(&threads[started], NULL, work, &crew) == 0)
		started++;
	work(&crew); /* this thread helps, and does it all where no other could be had */
	while (started > 0)
		pthread_join(threads[--started], NULL);
}

void collect_clear(struct collect_result *results, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		arena_free(results[i].arena);
		error_free(results[i].err);
	}
}
