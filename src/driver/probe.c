/*
 * Which accelerator works here. A /dev/kvm that opens proves nothing: some kernels offer a KVM on which no stock kernel
 * boots. So a tiny guest is booted, the `micro` image's kernel and initramfs with the word "nestvisor.probe", which
 * makes it say one line on its console and reset. The answer is kept per machine, CPU, kernel and QEMU.
 */
#include "base/arena.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/report.h"
#include "base/strbuf.h"
#include "driver/driver.h"
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define PROBE_LINE "nestvisor: probe ok"
#define KVM_DEVICE "/dev/kvm"

enum {
	WAIT_FOR_DEVICE_MS = 20000, /* a hypervisor guest loads its KVM modules while its agent answers already */
	PROBE_MS = 10000,
	SILENCE_MS = 5000,
};

/* A line of /proc/cpuinfo, or "". */
static void cpu_model(char *ret, size_t size)
{
	cleanup_free char *text = NULL;
	const char *at;
	size_t length;

	ret[0] = '\0';
	if (file_read("/proc/cpuinfo", 16 << 20, &text, &length, NULL) < 0)
		return;
	at = strstr(text, "model name");
	if (at)
		snprintf(ret, size, "%.*s", (int)strcspn(at, "\n"), at);
}

static void machine_id(char *ret, size_t size)
{
	cleanup_free char *text = NULL;
	size_t length;

	ret[0] = '\0';
	if (file_read("/etc/machine-id", 4096, &text, &length, NULL) == 0)
		snprintf(ret, size, "%.*s", (int)strcspn(text, "\n"), text);
}

/* Everything that the answer depends on. */
static json_t *probe_key(const char *qemu)
{
	char model[256], machine[64];
	struct utsname kernel;
	struct stat st = {0}, device = {0};

	cpu_model(model, sizeof(model));
	machine_id(machine, sizeof(machine));
	uname(&kernel);
	stat(qemu, &st);
	stat(KVM_DEVICE, &device);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "machine", machine, "cpu", model, "kernel",
			 kernel.release, "build", kernel.version, "qemu", qemu, "qemu_time", (json_int_t)st.st_mtime,
			 "device", (json_int_t)device.st_rdev);
}

static char *cache_file(void)
{
	char *path;

	if (asprintf(&path, "%s/probe.json", image_cache_dir()) < 0)
		abort();
	return path;
}

static bool recall(const json_t *key, bool *ret_works, char **ret_why)
{
	cleanup_free char *path = cache_file();
	cleanup_json json_t *cached = NULL;
	const char *why;

	if (json_read_file(path, 1 << 20, &cached, NULL) < 0 || !json_equal(json_object_get(cached, "key"), key))
		return false;
	*ret_works = json_is_true(json_object_get(cached, "works"));
	why = json_get_string(cached, "why", NULL);
	*ret_why = why ? strdup(why) : NULL;
	return true;
}

static void remember(json_t *key, bool works, const char *why)
{
	cleanup_free char *path = cache_file();
	cleanup_json json_t *answer = json_pack("{s:O, s:b, s:s*}", "key", key, "works", works, "why", why);

	/* Where it cannot be kept, the next run boots the probe again. */
	if (dir_make(image_cache_dir(), 0755, NULL) == 0)
		json_write_file(path, answer, NULL);
}

/* Whether KVM can be had at all; waits for the device in a guest whose drivers are still being loaded. */
static bool device_opens(bool inside, struct cancel *cancel, char **ret_why)
{
	long long end = clock_ms() + (inside ? WAIT_FOR_DEVICE_MS : 0);

	for (;;) {
		cleanup_close int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);
		int r = fd >= 0 ? 0 : errno;

		if (r == 0)
			return true;
		/* Its image says when all drivers are in; a device that is not there then will not come. */
		if (clock_ms() >= end || file_exists("/run/nestvisor.ready") || cancel_sleep(cancel, 20) < 0) {
			if (asprintf(ret_why, r == ENOENT ? "there is no %s" : "%s does not open: %s", KVM_DEVICE,
				     strerror(r)) < 0)
				abort();
			return false;
		}
	}
}

static void last_line(const char *text, char *ret, size_t size)
{
	size_t length = strlen(text);
	const char *start;

	while (length && strchr("\r\n ", text[length - 1]))
		length--;
	for (start = text + length; start > text && start[-1] != '\n'; start--)
		;
	snprintf(ret, size, "%.*s", (int)(length - (size_t)(start - text)), start);
}

/* Follows the probe's console until it said its line, died, fell silent or took too long. */
static bool watch(const struct process_id *process, int console, struct cancel *cancel, char **ret_why)
{
	long long end = clock_ms() + PROBE_MS, silent = clock_ms() + SILENCE_MS;
	cleanup_strbuf struct strbuf said = {0};

	for (;;) {
		long long now = clock_ms(), until = silent < end ? silent : end;
		char buffer[4096];
		ssize_t n;
		int r = cancel_poll(cancel, console, POLLIN, until > now ? (int)(until - now) : 0);

		if (r < 0)
			return false;
		if (r == 0) {
			if (asprintf(ret_why, "a guest under KVM %s",
				     now >= end	   ? "does not come up within 10 s"
				     : said.length ? "falls silent while it boots"
						   : "does not print a word") < 0)
				abort();
			return false;
		}
		n = read(console, buffer, sizeof(buffer));
		if (n <= 0) {
			*ret_why = strdup("a guest under KVM ends at once");
			return false;
		}
		strbuf_add_bytes(&said, buffer, (size_t)n);
		silent = clock_ms() + SILENCE_MS;
		if (strstr(said.text, PROBE_LINE))
			return true;
	}
}

/* Boots the probe with its console on a pipe. `works` is the answer; errors are only what kept us from asking. */
static int boot_probe(const char *qemu, const struct image *image, struct cancel *cancel, bool *works, char **ret_why,
		      struct error **err)
{
	const char *argv[] = {qemu,
			      "-M",
			      "pc",
			      "-accel",
			      "kvm",
			      "-cpu",
			      "host",
			      "-m",
			      "192M",
			      "-nodefaults",
			      "-no-user-config",
			      "-display",
			      "none",
			      "-no-reboot",
			      "-kernel",
			      image->kernel,
			      "-initrd",
			      image->initrd,
			      "-append",
			      "console=ttyS0 panic=-1 nestvisor.probe",
			      "-chardev",
			      "stdio,id=c",
			      "-serial",
			      "chardev:c",
			      NULL};
	char log[] = "/tmp/nestvisor-probe.XXXXXX", line[512];
	struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .detach = true};
	cleanup_close int read_end = -1, write_end = -1, log_fd = mkostemp(log, O_CLOEXEC);
	cleanup_free char *text = NULL, *seen = NULL;
	struct process_id process;
	size_t length;
	int pipe_fds[2], r;

	if (log_fd < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0)
		return error_errno(err, errno, "cannot start the probe guest");
	read_end = pipe_fds[0];
	write_end = pipe_fds[1];
	spec.out = write_end;
	spec.err = log_fd;
	r = process_spawn(&spec, &process, err);
	close(steal_fd(&write_end));
	if (r == 0) {
		*works = watch(&process, read_end, cancel, &seen);
		process_end(&process, 0, NULL);
		if (cancel_requested(cancel))
			r = error_set(err, ECANCELED, "stopped");
	}
	if (r == 0 && !*works) {
		line[0] = '\0';
		if (file_read(log, 1 << 20, &text, &length, NULL) == 0)
			last_line(text, line, sizeof(line));
		if (asprintf(ret_why, "%s%s%s", seen ? seen : "the probe failed", line[0] ? ": QEMU says " : "", line) <
		    0)
			abort();
	}
	unlink(log);
	return r;
}

static int ask_machine(struct reporter *reporter, struct cancel *cancel, bool *works, char **ret_why,
		       struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_free char *qemu = NULL;
	cleanup_json json_t *key = NULL;
	struct image image;
	int r = process_find("qemu-system-x86_64", "qemu-system-x86", &qemu, err);

	if (r < 0)
		return r;
	key = probe_key(qemu);
	if (recall(key, works, ret_why))
		return 0;
	r = image_get(arena, "micro", NULL, reporter, cancel, &image, err);
	if (r < 0)
		return r;
	report(reporter, REPORT_BEGIN, "accelerator", "booting a probe guest under KVM");
	r = boot_probe(qemu, &image, cancel, works, ret_why, err);
	report(reporter, r < 0 ? REPORT_FAILED : REPORT_DONE, "accelerator",
	       r < 0	? "the probe could not be made"
	       : *works ? "KVM works"
			: "KVM does not work here");
	if (r == 0)
		remember(key, *works, *ret_why);
	return r;
}

int driver_probe(bool inside, struct reporter *reporter, struct cancel *cancel, enum accelerator *ret, char **ret_why,
		 struct error **err)
{
	bool works = false;
	int r = 0;

	*ret_why = NULL;
	if (device_opens(inside, cancel, ret_why)) {
		works = inside;
		if (!inside)
			r = ask_machine(reporter, cancel, &works, ret_why, err);
	}
	*ret = works ? ACCEL_KVM : ACCEL_TCG;
	return r;
}
