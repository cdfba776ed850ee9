/*
 * The qemu driver. QEMU inherits its listening sockets, so connecting to one never races with its start: what is said
 * first waits in the socket until QEMU answers, or is reset when QEMU dies. The child writes its own pid file before it
 * becomes QEMU; everything else about a guest can be found again from its run_dir.
 */
#include "driver/driver.h"

#include "base/arena.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/report.h"
#include "base/strbuf.h"
#include "driver/command.h"
#include "driver/profile.h"
#include "driver/qmp.h"
#include "transport/transport.h"
#include "transport/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	ANSWER_MS = 60000, /* for QEMU itself, on a machine that is busy with other boots */
	QUIT_MS = 5000,
	SLICE_MS = 1000,	/* how often a waiting boot looks for signs of life */
	SILENCE_KVM_MS = 45000, /* a boot without a word on the console for as long has hung */
	SILENCE_TCG_MS = 90000,
	CONSOLE_LINES = 5,
	LOG_LINES = 3,
};

static const char *const files[] = {"pid",	"pid.new", "qmp",	  "qga.in",  "qga.out",
				    "qga.lock", "console", "console.log", "qemu.log"};

const char *accelerator_name(enum accelerator accelerator)
{
	return accelerator == ACCEL_KVM ? "kvm" : "tcg";
}

static char *in_dir(const char *run_dir, const char *file)
{
	char *path;

	if (asprintf(&path, "%s/%s", run_dir, file) < 0)
		abort();
	return path;
}

static void remove_files(const char *run_dir)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		cleanup_free char *path = in_dir(run_dir, files[i]);

		unlink(path);
	}
}

/* The last lines of a file, each behind "\n  | ", with what a terminal could take for commands left out. */
static void add_last_lines(struct strbuf *out, const char *run_dir, const char *file, const char *title, size_t lines)
{
	cleanup_free char *path = in_dir(run_dir, file), *text = NULL;
	size_t length, found = 0;
	const char *start;

	if (file_read(path, 64 << 20, &text, &length, NULL) < 0)
		return;
	while (length && strchr("\r\n ", text[length - 1]))
		text[--length] = '\0';
	if (!length)
		return;
	for (start = text + length; start > text; start--)
		if (start[-1] == '\n' && ++found == lines)
			break;
	strbuf_printf(out, "\n  %s:\n  | ", title);
	for (; *start; start++) {
		if (*start == '\n')
			strbuf_add(out, "\n  | ");
		else if ((unsigned char)*start >= ' ')
			strbuf_add_char(out, *start);
	}
}

/* What QEMU's words mean, and what to do. */
static const struct {
	const char *says, *hint;
} known_causes[] = {
	{"Failed to get \"write\" lock", "another QEMU uses this disk: is the same lab up under another name?"},
	{"Cannot allocate memory",
	 "this machine has too little memory left for the guest: see `memory` in the lab file"},
	{"cannot set up guest memory",
	 "this machine has too little memory left for the guest: see `memory` in the lab file"},
	{"Could not access KVM kernel module",
	 "KVM is not to be had here; remove the cached probe (probe.json in the cache folder) to look again"},
	{"No space left on device", "the disk under the guest's image or overlay is full"},
	{"Permission denied", "nestvisor needs root to start guests"},
};

static int describe_death(const char *run_dir, const char *what, struct error **err)
{
	cleanup_strbuf struct strbuf text = {0};
	int r;

	strbuf_add(&text, what);
	add_last_lines(&text, run_dir, "qemu.log", "QEMU said", LOG_LINES);
	add_last_lines(&text, run_dir, "console.log", "the end of its console", CONSOLE_LINES);
	r = error_set(err, EPIPE, "%s", text.text);
	for (size_t i = 0; i < sizeof(known_causes) / sizeof(known_causes[0]); i++)
		if (strstr(text.text, known_causes[i].says))
			error_hint(err, "%s", known_causes[i].hint);
	return r;
}

static int make_fifos(const char *run_dir, struct error **err)
{
	static const char *const names[] = {"qga.in", "qga.out"};

	for (size_t i = 0; i < 2; i++) {
		cleanup_free char *path = in_dir(run_dir, names[i]);

		if (mkfifo(path, 0600) < 0)
			return error_errno(err, errno, "cannot make %s", path);
	}
	return 0;
}

static int spawn(const struct driver_guest *guest, const struct profile *profile, struct process_id *ret,
		 struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_free char *qmp_path = in_dir(guest->run_dir, "qmp"), *console_path = in_dir(guest->run_dir, "console");
	cleanup_free char *log_path = in_dir(guest->run_dir, "qemu.log"), *pid_path = in_dir(guest->run_dir, "pid");
	cleanup_close int log = -1, qmp = -1, console = -1;
	int *keep = arena_alloc(arena, (guest->nic_count + 3) * sizeof(*keep)), r;
	struct command_sockets sockets;
	struct process_spec spec = {
		.netns = guest->netns, .in = -1, .pid_file = pid_path, .detach = true, .keep = keep};

	r = make_fifos(guest->run_dir, err);
	if (r == 0)
		r = unix_listen(qmp_path, &qmp, err);
	if (r == 0)
		r = unix_listen(console_path, &console, err);
	if (r < 0)
		return r;
	log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log < 0)
		return error_errno(err, errno, "cannot write %s", log_path);
	sockets = (struct command_sockets){qmp, console};
	for (size_t i = 0; i < guest->nic_count; i++)
		keep[i] = guest->nics[i].tap_fd;
	keep[guest->nic_count] = qmp;
	keep[guest->nic_count + 1] = console;
	keep[guest->nic_count + 2] = -1;
	spec.out = spec.err = log;
	spec.argv = command_build(arena, guest, profile, &sockets);
	return process_spawn(&spec, ret, err);
}

static int qemu_start(const struct driver_guest *guest, struct cancel *cancel, struct driver_state *ret,
		      struct error **err)
{
	cleanup_free char *qmp_path = in_dir(guest->run_dir, "qmp");
	cleanup_error struct error *problem = NULL;
	cleanup_qmp struct qmp *qmp = NULL;
	const struct profile *profile;
	int r = profile_choose(guest, &profile, err);

	if (r < 0)
		return r;
	remove_files(guest->run_dir);
	r = spawn(guest, profile, &ret->process, err);
	if (r < 0)
		return r;
	r = qmp_open(qmp_path, ANSWER_MS, cancel, &qmp, &problem);
	if (r == -ECONNRESET || r == -ECONNREFUSED) {
		r = describe_death(guest->run_dir, "its QEMU ended at once", err);
		process_wait(&ret->process, 1000, NULL);
		return r;
	}
	if (r < 0) {
		process_end(&ret->process, 0, NULL);
		return error_move(err, &problem);
	}
	ret->running = true;
	ret->accelerator = guest->accelerator;
	ret->status = "running";
	return 0;
}

/* Grows as long as the guest writes on its console. */
static long long console_size(const char *run_dir)
{
	cleanup_free char *path = in_dir(run_dir, "console.log");
	struct stat st;

	return stat(path, &st) == 0 ? (long long)st.st_size : -1;
}

static int hung(const char *run_dir, int silence_ms, struct error **err)
{
	cleanup_strbuf struct strbuf text = {0};

	strbuf_printf(&text, "no word on its console and none from its agent for %d s", silence_ms / 1000);
	add_last_lines(&text, run_dir, "console.log", "the end of its console", CONSOLE_LINES);
	return error_set(err, ETIMEDOUT, "%s", text.text);
}

static int qemu_wait_ready(const char *run_dir, const char *path, enum accelerator accelerator,
			   struct reporter *reporter, struct cancel *cancel, struct error **err)
{
	int silence_ms = accelerator == ACCEL_KVM ? SILENCE_KVM_MS : SILENCE_TCG_MS;
	cleanup_transport struct transport *t = NULL;
	cleanup_free char *agent = in_dir(run_dir, "qga");
	cleanup_free char *pid_path = in_dir(run_dir, "pid");
	long long size = -1, since = clock_ms();
	struct process_id process;
	int r = process_read_pid_file(pid_path, &process, err);

	if (r == 0)
		r = transport_qga(agent, cancel, &t, err);
	if (r < 0)
		return r;
	for (;;) {
		cleanup_error struct error *problem = NULL;

		r = qga_wait(t, SLICE_MS, cancel, &problem);
		if (r == 0)
			return 0;
		if (!process_alive(&process))
			return describe_death(run_dir, "its QEMU ended before the guest answered", err);
		if (r != -ETIMEDOUT)
			return error_move(err, &problem);
		if (console_size(run_dir) != size) {
			size = console_size(run_dir);
			since = clock_ms();
		} else if (clock_ms() - since > silence_ms) {
			return hung(run_dir, silence_ms, err);
		}
	}
}

/* Asks QEMU to end, which flushes its disks; false where it must be ended otherwise. */
static bool quit(const char *run_dir, const struct process_id *process)
{
	cleanup_free char *path = in_dir(run_dir, "qmp");
	cleanup_close int pidfd = pidfd_open(process->pid, 0);
	cleanup_qmp struct qmp *qmp = NULL;

	if (pidfd < 0 || qmp_open(path, QUIT_MS, NULL, &qmp, NULL) < 0)
		return false;
	qmp_execute(qmp, "quit", NULL, QUIT_MS, NULL, NULL, NULL); /* it may end before it answers */
	return cancel_poll(NULL, pidfd, POLLIN, QUIT_MS) == 1;
}

static int qemu_stop(const char *run_dir, struct error **err)
{
	cleanup_free char *pid_path = in_dir(run_dir, "pid");
	cleanup_error struct error *problem = NULL;
	struct process_id process = {0};
	int r = process_read_pid_file(pid_path, &process, &problem);

	if (r < 0 && r != -ENOENT)
		return error_move(err, &problem);
	if (r == 0 && process_alive(&process)) {
		quit(run_dir, &process);
		r = process_end(&process, 2000, err); /* also reaps it where it is our child */
		if (r < 0)
			return r;
	}
	remove_files(run_dir);
	return 0;
}

static int qemu_look(const char *run_dir, struct driver_state *ret, struct error **err)
{
	cleanup_free char *pid_path = in_dir(run_dir, "pid");
	cleanup_error struct error *problem = NULL;
	int r = process_read_pid_file(pid_path, &ret->process, &problem);

	if (r < 0 && r != -ENOENT)
		return error_move(err, &problem);
	ret->running = r == 0 && process_alive(&ret->process);
	ret->status = ret->running ? "running" : NULL;
	return 0;
}

const struct driver_ops driver_qemu = {
	.name = "qemu",
	.start = qemu_start,
	.wait_ready = qemu_wait_ready,
	.stop = qemu_stop,
	.look = qemu_look,
};
