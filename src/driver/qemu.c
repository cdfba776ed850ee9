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
#include "driver/command.h"
#include "driver/cpu.h"
#include "driver/own.h"
#include "driver/postmortem.h"
#include "driver/profile.h"
#include "driver/qemu_internal.h"
#include "driver/qemu_memory.h"
#include "driver/qmp.h"
#include "driver/run_dir.h"
#include "driver/tpm.h"
#include "driver/watch.h"
#include "image/image.h"
#include "model/windows.h"
#include "transport/transport.h"
#include "transport/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	ANSWER_MS = 60000, /* for QEMU itself, on a machine that is busy with other boots */
	GREET_MS = 2000,   /* when it is to end: one that takes longer hangs, and is ended by signals */
	QUIT_MS = 5000,	   /* to flush its disks and be gone */
	REAP_MS = 1000,
	SLICE_MS = 1000,	/* how often a waiting boot looks for signs of life */
	SILENCE_KVM_MS = 45000, /* a boot without a word on the console for as long has hung */
	SILENCE_TCG_MS = 90000,
	SILENCE_NESTED_KVM_MS = 180000,
	SILENCE_INSTALL_MS = 900000, /* of one that installs itself: it may compute for long */
	SILENCE_DISPLAY_MS = 300000, /* of one that may show on its screen what it does */
};

/* QEMU 7.2, backends/tpm/tpm_emulator.c. */
#define TPM_REFUSES "TPM result for CMD_INIT"

static const char *const files[] = {"pid",	"pid.new", "qmp",    "qga.in", "qga.out",
				    "qga.lock", "console", "events", "vnc"};
static const char *const logs[] = {"console.log", "qemu.log", "cpu.log"};

enum { FILE_COUNT = sizeof(files) / sizeof(files[0]), LOG_COUNT = sizeof(logs) / sizeof(logs[0]) };

const char *accelerator_name(enum accelerator accelerator)
{
	return accelerator == ACCEL_KVM ? "kvm" : "tcg";
}

static void remove_files(const char *run_dir)
{
	remove_listed(run_dir, files, FILE_COUNT);
	remove_listed(run_dir, logs, LOG_COUNT);
}

/* The log that QEMU and swtpm write to, and the console's, which QEMU itself would make with mode 0644. */
static int open_logs(const char *run_dir, int *ret_log, int *ret_console_log, struct error **err)
{
	cleanup_free char *log_path = in_dir(run_dir, "qemu.log"), *console_log_path = in_dir(run_dir, "console.log");

	*ret_console_log = open(console_log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	*ret_log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (*ret_log < 0 || *ret_console_log < 0)
		return error_errno(err, errno, "cannot write the logs in %s", run_dir);
	return 0;
}

/* What must be there before QEMU starts. The TPM's socket in `command` is to be closed by the caller. */
static int prepare(struct arena *arena, struct command *command, struct firmware_files *firmware, struct own *own,
		   int log, struct cancel *cancel, struct error **err)
{
	const struct driver_guest *guest = command->guest;
	int r = guest->firmware == FIRMWARE_BIOS ? 0 : firmware_find(arena, guest->firmware, firmware, err);

	if (r == 0)
		r = own_prepare(arena, guest, firmware, own, err);
	/* What it was booted from goes on with it. */
	if (r == 0 && own->boot_disk && !(guest->saved && file_exists(own->boot_disk)))
		r = image_make_boot_disk(guest->image, guest->nested,
					 command_kernel_line(arena, guest, command->profile), own->boot_disk, cancel,
					 err);
	if (r == 0 && own->tpm)
		r = tpm_start(arena, guest->run_dir, own->tpm, log, &command->tpm, err);
	return r;
}

static int spawn(const struct driver_guest *guest, const struct profile *profile, struct cancel *cancel,
		 struct process_id *ret, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_free char *qmp_path = in_dir(guest->run_dir, "qmp"), *console_path = in_dir(guest->run_dir, "console");
	cleanup_free char *pid_path = in_dir(guest->run_dir, "pid");
	cleanup_free char *events_path = in_dir(guest->run_dir, "events");
	cleanup_close int log = -1, console_log = -1, qmp = -1, console = -1, events = -1, tpm = -1, memory = -1;
	size_t count = 0;
	int *keep = NULL, r;
	struct firmware_files firmware = {0};
	struct own own = {0};
	struct command command = {
		.guest = guest, .profile = profile, .firmware = &firmware, .own = &own, .tpm = -1, .memory = -1};
	struct process_spec spec = {.netns = guest->netns, .in = -1, .pid_file = pid_path, .detach = true};

	r = make_fifos(guest->run_dir, err);
	if (r == 0)
		r = unix_listen(qmp_path, &qmp, err);
	if (r == 0)
		r = unix_listen(console_path, &console, err);
	if (r == 0 && windows_version(guest->os))
		r = unix_listen(events_path, &events, err);
	if (r == 0)
		r = open_logs(guest->run_dir, &log, &console_log, err);
	if (r == 0 && guest->saved)
		r = file_open_regular(guest->saved, &memory, err);
	if (r == 0)
		r = prepare(arena, &command, &firmware, &own, log, cancel, err);
	tpm = command.tpm;
	if (r < 0)
		return r;
	command.qmp = qmp;
	command.console = console;
	command.events = events;
	command.memory = memory;
	for (size_t i = 0; i < guest->nic_count; i++)
		for (unsigned j = 0; j < guest->nics[i].queues; j++)
			*arena_push(arena, keep, count) = guest->nics[i].tap_fds[j];
	*arena_push(arena, keep, count) = qmp;
	*arena_push(arena, keep, count) = console;
	if (events >= 0)
		*arena_push(arena, keep, count) = events;
	if (memory >= 0)
		*arena_push(arena, keep, count) = memory;
	*arena_push(arena, keep, count) = tpm; /* -1 ends the list as well */
	*arena_push(arena, keep, count) = -1;
	spec.keep = keep;
	spec.out = spec.err = log;
	spec.argv = command_build(arena, &command);
	return process_spawn(&spec, ret, err);
}

int qemu_check_nesting(struct error **err)
{
	static const char *const parameters[] = {"/sys/module/kvm_amd/parameters/nested",
						 "/sys/module/kvm_intel/parameters/nested"};
	int r;

	for (size_t i = 0; i < 2; i++) {
		cleanup_free char *text = NULL;
		size_t length;

		if (file_read(parameters[i], 64, &text, &length, NULL) == 0 && (text[0] == 'Y' || text[0] == '1'))
			return 0;
	}
	r = error_set(err, EOPNOTSUPP, "KVM here does not let guests run guests of their own (nested virtualization)");
	error_hint(err, "modprobe -r kvm_intel && modprobe kvm_intel nested=1 (or kvm_amd); in a virtual machine its "
			"hypervisor must offer it");
	return r;
}

static int check_free(const char *run_dir, struct error **err)
{
	struct driver_state state = {0};
	int r = driver_qemu.look(run_dir, &state, err);

	if (r == 0 && state.running)
		return error_set(err, EEXIST, "a guest is running in %s already, as process %d", run_dir,
				 state.process.pid);
	return r;
}

/*
 * The kernel reboots a machine only after it said why, so a silent end is a fault of the CPU: under emulation, where
 * two virtual CPUs that run guests at the same time lose each other's interrupts (QEMU before 10.2 changes
 * interrupt_request without a lock in its SVM).
 */
static int was_reset(const char *run_dir, const char *when, struct error **err)
{
	char what[192];

	snprintf(what, sizeof(what), "its virtual CPU was reset %s%s, without a word", when,
		 postmortem_triple_fault(run_dir) ? " by a triple fault" : "");
	postmortem(run_dir, ECONNRESET, what, err);
	error_hint(err,
		   "under emulated nesting this happens now and then and is no fault of the guest; where it happens "
		   "again, give the hypervisors cpus: 1, or run them on a machine with KVM");
	return -ECONNRESET;
}

/* Where it is our child; for others init does it. The exit status tells what no log can: a QEMU killed from outside. */
static int died(const char *run_dir, const struct process_id *process, const char *when, struct error **err)
{
	char what[128];
	int status = 0, r;

	if (process_wait(process, REAP_MS, &status) == 0 && status > 128)
		snprintf(what, sizeof(what), "its QEMU was ended by signal %d (%s) %s", status - 128,
			 strsignal(status - 128), when);
	else
		snprintf(what, sizeof(what), "its QEMU ended %s", when);
	if (status == 0 && postmortem_is_silent(run_dir))
		return was_reset(run_dir, when, err);
	r = postmortem(run_dir, EPIPE, what, err);
	if (status == 128 + SIGKILL)
		error_hint(err, "if nobody killed it the host ran out of memory: see `dmesg`");
	return r;
}

/* swtpm starts, and says only when QEMU asks it to begin that it cannot read its state. */
static int died_at_once(const struct driver_guest *guest, const struct process_id *process, struct error **err)
{
	cleanup_free char *path = in_dir(guest->run_dir, "qemu.log"), *log = NULL, *cause = NULL;
	size_t length;

	if (guest->tpm && file_read(path, 1 << 20, &log, &length, NULL) == 0 && strstr(log, TPM_REFUSES)) {
		cause = postmortem_cause(strstr(log, TPM_REFUSES));
		process_wait(process, REAP_MS, NULL);
		return own_tpm_damaged(guest, cause, err);
	}
	return died(guest->run_dir, process, "at once", err);
}

static int run(const struct driver_guest *guest, struct cancel *cancel, struct process_id *process, struct error **err)
{
	cleanup_free char *qmp_path = in_dir(guest->run_dir, "qmp");
	cleanup_error struct error *problem = NULL;
	cleanup_qmp struct qmp *qmp = NULL;
	const struct profile *profile;
	int r = profile_choose(guest, &profile, err);

	if (r == 0 && guest->nested && guest->accelerator == ACCEL_KVM)
		r = qemu_check_nesting(err);
	if (r == 0)
		r = check_free(guest->run_dir, err);
	if (r < 0)
		return r;
	remove_files(guest->run_dir);
	r = spawn(guest, profile, cancel, process, err);
	if (r < 0)
		return r;
	r = qmp_open(qmp_path, ANSWER_MS, cancel, &qmp, &problem);
	if (r == -ECONNRESET || r == -ECONNREFUSED)
		return died_at_once(guest, process, err);
	if (r < 0)
		return error_move(err, &problem);
	r = own_started(guest, err);
	if (r < 0 || !guest->saved)
		return r;
	r = qemu_go_on(qmp, cancel, &problem);
	if (r == -ECONNRESET)
		return died(guest->run_dir, process, "when it was given the memory of a snapshot", err);
	return r < 0 ? error_move(err, &problem) : 0;
}

static int qemu_start(const struct driver_guest *guest, struct cancel *cancel, struct driver_state *ret,
		      struct error **err)
{
	struct process_id process = {0};
	int r = run(guest, cancel, &process, err);

	if (r < 0) {
		if (process.pid) { /* its logs stay for whoever wants to read them */
			process_end(&process, 0, NULL);
			remove_listed(guest->run_dir, files, FILE_COUNT);
		}
		tpm_stop(guest->run_dir, NULL);
		return r;
	}
	*ret = (struct driver_state){
		.running = true, .process = process, .accelerator = guest->accelerator, .status = "running"};
	return 0;
}

static bool has_display(const char *run_dir)
{
	cleanup_free char *path = in_dir(run_dir, "vnc");

	return file_exists(path);
}

/* Bytes that a process had its storage read and write (proc(5), /proc/PID/io). */
static long long storage_bytes(const struct process_id *process)
{
	cleanup_free char *path = NULL, *text = NULL;
	long long total = 0, bytes;
	size_t length;

	if (asprintf(&path, "/proc/%d/io", process->pid) < 0)
		abort();
	if (file_read(path, 4096, &text, &length, NULL) < 0)
		return 0;
	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (sscanf(line, "read_bytes: %lld", &bytes) == 1 || sscanf(line, "write_bytes: %lld", &bytes) == 1)
			total += bytes;
	return total;
}

/* Changes as long as the guest writes on its console. One with a screen need not: there its disk counts, too. */
static long long signs_of_life(const char *run_dir, const struct process_id *process)
{
	cleanup_free char *path = in_dir(run_dir, "console.log");
	struct stat st;
	long long console = stat(path, &st) == 0 ? (long long)st.st_size : -1;

	return has_display(run_dir) ? console + storage_bytes(process) : console;
}

/* What QEMU says of itself: a guest that "hangs" may have been paused, or stopped by an error of KVM's. */
static void ask_status(const char *run_dir, char *ret, size_t size)
{
	cleanup_free char *path = in_dir(run_dir, "qmp");
	cleanup_json json_t *answer = NULL;
	cleanup_qmp struct qmp *qmp = NULL;

	ret[0] = '\0';
	if (!file_exists(path)) /* one of libvirt's */
		return;
	if (qmp_open(path, GREET_MS, NULL, &qmp, NULL) < 0)
		snprintf(ret, size, "; its QEMU does not answer");
	else if (qmp_execute(qmp, "query-status", NULL, GREET_MS, NULL, &answer, NULL) == 0 &&
		 strcmp(json_get_string(answer, "status", "running"), "running") != 0)
		snprintf(ret, size, "; its QEMU says \"%s\"", json_get_string(answer, "status", ""));
}

static int hung(const char *run_dir, int silence_ms, struct error **err)
{
	char status[64], what[192];

	ask_status(run_dir, status, sizeof(status));
	snprintf(what, sizeof(what), "no word on its console and none from its agent for %d s%s", silence_ms / 1000,
		 status);
	return postmortem(run_dir, ETIMEDOUT, what, err);
}

/*
 * The request waits in QEMU until the guest opens its end of the channel, and is answered at once then: nothing is
 * polled but the signs of life. When QEMU dies the channel closes.
 */
static int wait_for_agent(struct transport *t, const char *run_dir, const struct process_id *process, int silence_ms,
			  struct watch *watch, struct cancel *cancel, struct error **err)
{
	long long signs = -1, since = clock_ms();

	for (;;) {
		cleanup_error struct error *problem = NULL;
		int r = qga_wait(t, SLICE_MS, cancel, &problem);
		long long now;

		if (r == 0)
			return 0;
		if (r != -ETIMEDOUT)
			return error_move(err, &problem);
		r = watch ? watch_turn(watch, cancel, err) : 0;
		if (r < 0)
			return r;
		if (watch && watch_installs(watch) && silence_ms < SILENCE_INSTALL_MS)
			silence_ms = SILENCE_INSTALL_MS;
		now = signs_of_life(run_dir, process) + (watch ? (long long)watch_bytes(watch) : 0);
		if (now != signs) {
			signs = now;
			since = clock_ms();
		} else if (clock_ms() - since > silence_ms) {
			return hung(run_dir, silence_ms, err);
		}
	}
}

int qemu_wait_ready_within(const char *run_dir, const char *path, int silence_ms, struct reporter *reporter,
			   struct cancel *cancel, struct error **err)
{
	cleanup_free char *agent = in_dir(run_dir, "qga"), *pid_path = in_dir(run_dir, "pid");
	cleanup_transport struct transport *t = NULL;
	cleanup_watch struct watch *watch = NULL;
	cleanup_error struct error *problem = NULL;
	struct process_id process;
	int r = process_read_pid_file(pid_path, &process, err);

	if (r < 0)
		return r;
	report(reporter, REPORT_UPDATE, path, "waiting for its agent");
	r = transport_qga(agent, cancel, &t, &problem);
	if (r == 0)
		r = watch_open(run_dir, path, reporter, cancel, &watch, &problem);
	if (r == 0)
		r = wait_for_agent(t, run_dir, &process, silence_ms, watch, cancel, &problem);
	if (r == -EPIPE || (r < 0 && !process_alive(&process)))
		return died(run_dir, &process, "before the guest answered", err);
	return r < 0 ? error_move(err, &problem) : 0;
}

/* Two layers up the CPU may be an emulated one, which nothing tells down here. */
static int silence_limit(enum accelerator accelerator)
{
	if (accelerator != ACCEL_KVM)
		return SILENCE_TCG_MS;
	return cpu_is_guest() ? SILENCE_NESTED_KVM_MS : SILENCE_KVM_MS;
}

static int qemu_wait_ready(const char *run_dir, const char *path, enum accelerator accelerator,
			   struct reporter *reporter, struct cancel *cancel, struct error **err)
{
	int limit = has_display(run_dir) ? SILENCE_DISPLAY_MS : silence_limit(accelerator);

	return qemu_wait_ready_within(run_dir, path, limit, reporter, cancel, err);
}

/* Asks QEMU to end, which flushes its disks; false where it must be ended otherwise. */
static bool quit(const char *run_dir, const struct process_id *process)
{
	cleanup_free char *path = in_dir(run_dir, "qmp");
	cleanup_close int pidfd = pidfd_open(process->pid, 0);
	cleanup_qmp struct qmp *qmp = NULL;

	if (pidfd < 0 || qmp_open(path, GREET_MS, NULL, &qmp, NULL) < 0)
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
	if (r == 0 && (!process_alive(&process) || !quit(run_dir, &process))) {
		r = process_end(&process, 2000, err); /* also waits for one that is being taken apart */
		if (r < 0)
			return r;
	}
	if (process.pid)
		process_wait(&process, 0, NULL); /* leaves no zombie where it was our child */
	r = tpm_stop(run_dir, err);
	if (r < 0)
		return r;
	remove_files(run_dir);
	return 0;
}

/* QEMU's own command line is the one record of it that cannot be out of date. */
static enum accelerator accelerator_of(const struct process_id *process)
{
	cleanup_free char *path = NULL, *words = NULL;
	size_t length;

	if (asprintf(&path, "/proc/%d/cmdline", process->pid) < 0)
		abort();
	if (file_read(path, 1 << 20, &words, &length, NULL) < 0)
		return ACCEL_TCG;
	for (const char *word = words; word < words + length; word += strlen(word) + 1)
		if (strcmp(word, "-accel") == 0 && word + 8 < words + length && strncmp(word + 7, "kvm", 3) == 0)
			return ACCEL_KVM;
	return ACCEL_TCG;
}

static int qemu_look(const char *run_dir, struct driver_state *ret, struct error **err)
{
	cleanup_free char *pid_path = in_dir(run_dir, "pid");
	cleanup_error struct error *problem = NULL;
	int r;

	*ret = (struct driver_state){.accelerator = ACCEL_TCG};
	r = process_read_pid_file(pid_path, &ret->process, &problem);
	if (r < 0 && r != -ENOENT)
		return error_move(err, &problem);
	ret->running = r == 0 && process_alive(&ret->process);
	if (ret->running) {
		ret->status = "running";
		ret->accelerator = accelerator_of(&ret->process);
	}
	return 0;
}

const struct driver_ops driver_qemu = {
	.name = "qemu",
	.start = qemu_start,
	.wait_ready = qemu_wait_ready,
	.stop = qemu_stop,
	.look = qemu_look,
	.save = qemu_save,
	.pause = qemu_pause,
	.resume = qemu_resume,
};
