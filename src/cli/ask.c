#include "cli/ask.h"

#include "apply/into.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "facts/json.h"
#include "facts/live.h"
#include "net/namespace.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

/* What shells, and `nestvisor exec`, say of a program that is not there. */
enum { NOT_FOUND = 127 };

int ask_parse_ssh(struct arena *arena, const char *text, struct ssh_target *ret, struct error **err)
{
	char *host = arena_strdup(arena, text), *at = strrchr(host, '@'), *port;

	*ret = (struct ssh_target){.netns = -1};
	if (at) {
		*at = '\0';
		ret->user = host;
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
		ret->port = (unsigned)number;
	}
	ret->host = host;
	return 0;
}

static int open_ssh(struct arena *arena, const char *text, struct transport **ret, struct error **err)
{
	struct ssh_target target;
	int r = ask_parse_ssh(arena, text, &target, err);

	return r < 0 ? r : transport_ssh(&target, ret, err);
}

/* A way to the target; *argv becomes what is to be run at its end. */
static int open_target(struct arena *arena, const struct collect_target *target, bool with_input, struct cancel *cancel,
		       struct transport **ret, const char *const **argv, struct error **err)
{
	static const char *const input[] = {"-i", NULL};
	struct folders folders;
	struct into_way way;
	int r;

	if (target->ssh)
		return open_ssh(arena, target->ssh, ret, err);
	if (!target->guest) {
		*ret = transport_local();
		return 0;
	}
	r = folders_of(arena, target->lab->name, &folders, err);
	if (r == 0)
		r = into_way(arena, target->lab, target->guest, "exec", with_input ? input : NULL, *argv, &way, err);
	if (r < 0)
		return r;
	*argv = way.argv;
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
static int run_script(struct arena *arena, struct transport *t, const char *const argv[], const struct strbuf *script,
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

/* ---- by the script ---- */

static const char *const *shell_argv(struct arena *arena, const struct collect_target *target)
{
	const char **argv = arena_alloc(arena, 6 * sizeof(*argv));
	size_t n = 0;

	if (target->namespace || target->netns) {
		argv[n++] = "ip";
		argv[n++] = "netns";
		argv[n++] = "exec";
		argv[n++] = target->netns ? target->netns : arena_printf(arena, "nestvisor-%s", target->lab->name);
	}
	argv[n] = "sh";
	return argv;
}

/* In one go, which takes fewer processes there than a stream; what is asked for is short, and all of it is needed. */
static int run_short_script(struct arena *arena, struct transport *t, const char *const argv[],
			    const struct strbuf *script, int timeout_ms, struct cancel *cancel,
			    struct collection_input *ret, struct error **err)
{
	cleanup_output struct process_output output = {0};
	int r = transport_run(t, argv, script->text, script->length, timeout_ms, cancel, &output, err);

	if (r < 0)
		return r;
	ret->out = arena_strndup(arena, output.out, output.out_length);
	ret->out_length = output.out_length;
	ret->err = arena_strndup(arena, output.err, output.err_length);
	ret->err_length = output.err_length;
	return 0;
}

static int ask_by_script(const struct collect_target *target, enum collect_kind kind, int timeout_ms,
			 struct cancel *cancel, struct collect_result *result, struct error **err)
{
	static const struct selection everything = {}, network = {.with = SOURCE_NETWORK},
				      way = {.with = SOURCE_WAY, .unbounded = true};
	struct arena *arena = result->arena;
	cleanup_transport struct transport *t = NULL;
	cleanup_strbuf struct strbuf script = {0};
	char word[SCRIPT_WORD_SIZE];
	const struct selection *selection = kind == COLLECT_NETWORK		 ? &way
					    : target->namespace || target->netns ? &network
										 : &everything;
	struct collection_input input = {.host = target->name,
					 .alias = target->alias,
					 .machine = target->machine,
					 .word = word,
					 .selection = selection};
	const char *const *argv = shell_argv(arena, target);
	int r = open_target(arena, target, true, cancel, &t, &argv, err);

	if (r < 0)
		return r;
	script_word(word);
	script_write(&script, word, input.selection);
	r = (selection->unbounded ? run_short_script : run_script)(arena, t, argv, &script, timeout_ms, cancel, &input,
								   err);
	if (r == 0)
		r = collection_parse(arena, &input, &result->collection, err);
	if (r == 0 && kind != COLLECT_TEXTS)
		result->bundle = collections_bundle(&result->collection, 1);
	return r;
}

/* ---- by its nestvisor ---- */

static const char *const *nestvisor_argv(struct arena *arena, const struct collect_target *target,
					 enum collect_kind kind)
{
	size_t n = 0, end_count = target->below && target->ends ? target->ends->count : 0;
	const char **argv = arena_alloc(arena, (10 + 2 * end_count) * sizeof(*argv));

	argv[n++] = "nestvisor";
	argv[n++] = "facts";
	argv[n++] = "--json";
	if (target->namespace || kind == COLLECT_NETWORK)
		argv[n++] = "--network";
	if (target->namespace || target->below) {
		argv[n++] = "--lab";
		argv[n++] = target->lab->name;
	}
	if (target->below && target->ends)
		argv[n++] = "--ends";
	for (size_t i = 0; i < end_count; i++) {
		argv[n++] = "--end";
		argv[n++] = target->ends->words[i];
	}
	if (target->namespace) /* a further machine of L0 is one to itself, too */
		argv[n++] = guest_is_machine(target->guest) ? "L0" : target->name;
	return argv;
}

static void be_called(struct bundle *bundle, const struct collect_target *target)
{
	struct facts *facts = bundle->hosts[0];

	facts->name = arena_strdup(bundle->arena, target->name);
	facts->alias = target->alias ? arena_strdup(bundle->arena, target->alias) : NULL;
	facts->machine = target->machine ? arena_strdup(bundle->arena, target->machine) : NULL;
}

/* Its own name, those of the guests below it, and of the network of a lab on one of them. */
static bool is_its_own(const struct collect_target *target, const char *name)
{
	size_t length = strlen(target->name);

	return strncmp(name, target->name, length) == 0 &&
	       (!name[length] || strchr("/.", name[length]) || strncmp(name + length, "-lab-", 5) == 0);
}

/* Whoever has taken a host over does not tell what others are. */
static void keep_its_own(struct bundle *bundle, const struct collect_target *target)
{
	size_t count = 0;

	for (size_t i = 0; i < bundle->host_count; i++) {
		struct facts *facts = bundle->hosts[i];

		if (!is_its_own(target, facts->name))
			continue;
		if (facts->alias && !is_its_own(target, facts->alias))
			facts->alias = NULL;
		if (facts->machine && !is_its_own(target, facts->machine))
			facts->machine = NULL;
		bundle->hosts[count++] = facts;
	}
	bundle->host_count = count;
}

static int read_answer(const struct collect_target *target, const struct process_output *output, struct bundle **ret,
		       struct error **err)
{
	cleanup_bundle struct bundle *bundle = bundle_new();
	cleanup_json json_t *document = NULL;
	int r = json_parse(output->out, output->out_length, "the answer of its nestvisor", &document, err);

	if (r == 0)
		r = bundle_from_json(document, bundle, err);
	if (r == 0 && target->below)
		keep_its_own(bundle, target);
	if (r == 0 && bundle->host_count == 0)
		r = error_set(err, EBADMSG, "its nestvisor told of no host");
	if (r < 0)
		return r;
	if (!target->below) {
		be_called(bundle, target);
		bundle->host_count = 1;
	}
	*ret = steal_pointer(&bundle);
	return 0;
}

static int failed(const struct process_output *output, struct error **err)
{
	int length = (int)strcspn(output->err, "\n");

	return error_set(err, EIO, "its nestvisor ended with status %d%s%.*s", output->status, length ? ": " : "",
			 length > 300 ? 300 : length, output->err);
}

/* *ret_none: there is no nestvisor, or an older one that does not know what is asked. */
static int ask_its_nestvisor(const struct collect_target *target, enum collect_kind kind, int timeout_ms,
			     struct cancel *cancel, struct collect_result *result, bool *ret_none, struct error **err)
{
	struct arena *arena = result->arena;
	cleanup_transport struct transport *t = NULL;
	cleanup_output struct process_output output = {0};
	cleanup_error struct error *problem = NULL;
	const char *const *argv = nestvisor_argv(arena, target, kind);
	int r = open_target(arena, target, false, cancel, &t, &argv, err);

	if (r < 0)
		return r;
	r = transport_ask(t, argv, timeout_ms, cancel, &output, &problem);
	*ret_none = r == -ENOENT || (r == 0 && (output.status == NOT_FOUND || output.status == EXIT_USAGE));
	if (*ret_none)
		return 0;
	if (r < 0)
		return error_move(err, &problem);
	return output.status == EXIT_DONE ? read_answer(target, &output, &result->bundle, err) : failed(&output, err);
}

/* ---- this machine ---- */

static int ask_here(const struct collect_target *target, enum collect_kind kind, struct bundle **ret,
		    struct error **err)
{
	cleanup_close int netns = -1;
	int r = 0;

	if (target->namespace || target->netns) {
		char name[300];

		if (target->netns)
			snprintf(name, sizeof(name), "%s", target->netns);
		else
			snprintf(name, sizeof(name), "nestvisor-%s", target->lab->name);
		r = netns_open(name, &netns, err);
	}
	if (r == 0)
		r = netns >= 0 || kind == COLLECT_NETWORK ? bundle_live_at(netns, target->name, ret, err)
							  : bundle_live(ret, err);
	if (r == 0)
		be_called(*ret, target);
	return r;
}

/* Only hosts are sure to have one; to look for it takes a guest as long as half of what the script does. */
static bool has_nestvisor(const struct collect_target *target, enum collect_kind kind)
{
	return target->guest->host || kind != COLLECT_NETWORK;
}

int ask_target(const struct collect_target *target, enum collect_kind kind, int timeout_ms, struct cancel *cancel,
	       struct collect_result *result, struct error **err)
{
	bool none = true;
	int r = 0;

	if (kind != COLLECT_TEXTS && !target->guest && !target->ssh)
		r = ask_here(target, kind, &result->bundle, err);
	else if (kind != COLLECT_TEXTS && target->guest && has_nestvisor(target, kind))
		r = ask_its_nestvisor(target, kind, timeout_ms, cancel, result, &none, err);
	if (r == 0 && none && kind != COLLECT_TEXTS && target->below && target->ends) {
		struct collect_target all = *target; /* an older one does not know ends */

		all.ends = NULL;
		r = ask_its_nestvisor(&all, kind, timeout_ms, cancel, result, &none, err);
	}
	if (r == 0 && none && !result->bundle)
		r = ask_by_script(target, kind, timeout_ms, cancel, result, err);
	return r < 0 ? error_wrap(err, "cannot ask %s", target->name) : 0;
}
