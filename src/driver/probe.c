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
#include "driver/postmortem.h"
#include "driver/profile.h"
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define PROBE_LINE "nestvisor: probe ok"
#define KVM_DEVICE "/dev/kvm"

enum {
	WAIT_FOR_DEVICE_MS = 20000, /* a hypervisor guest loads its KVM modules while its agent answers already */
	PROBE_MS = 10000,
	SILENCE_MS = 5000,
	INSIDE_TIMES = 4,	  /* as long inside a guest, whose KVM may be an emulated one */
	STALL_KEPT_S = 24 * 3600, /* a machine that was merely busy gets another chance */
};

/* As a plain guest of this host would be started: the same machine, the same CPU, the same QEMU. */
struct probe {
	const char *qemu;
	const struct profile *profile;
	const struct image *image;
	unsigned times; /* the usual time that it gets */
};

/* What a probe found. */
struct finding {
	bool works;
	bool stalled; /* it fell silent, which a machine that is busy may do as well */
	char *why;    /* one sentence without a full stop, NULL where it works */
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

static bool recall(const json_t *key, struct finding *ret)
{
	cleanup_free char *path = cache_file();
	cleanup_json json_t *cached = NULL;
	const char *why;
	long long until;

	if (json_read_file(path, 1 << 20, &cached, NULL) < 0 || !json_equal(json_object_get(cached, "key"), key))
		return false;
	until = json_get_integer(cached, "until", 0);
	if (until && time(NULL) > until)
		return false;
	why = json_get_string(cached, "why", NULL);
	ret->works = json_is_true(json_object_get(cached, "works"));
	ret->why = why ? strdup(why) : NULL;
	return true;
}

static void remember(json_t *key, const struct finding *finding)
{
	cleanup_free char *path = cache_file();
	cleanup_json json_t *answer =
		json_pack("{s:O, s:b, s:s*}", "key", key, "works", finding->works, "why", finding->why);

	if (finding->stalled)
		json_object_set_new(answer, "until", json_integer(time(NULL) + STALL_KEPT_S));
	/* Where it cannot be kept, the next run boots the probe again. */
	if (dir_make(image_cache_dir(), 0755, NULL) == 0)
		json_write_file(path, answer, NULL);
}

static void found(struct finding *finding, const char *why)
{
	free(finding->why);
	finding->why = strdup(why);
	if (!finding->why)
		abort();
}

/*
 * 1 where KVM can be had at all, 0 with the reason where not. In a guest whose drivers are still being loaded the
 * device is waited for.
 */
static int device_opens(bool inside, struct cancel *cancel, struct finding *finding)
{
	long long end = clock_ms() + (inside ? WAIT_FOR_DEVICE_MS : 0);

	for (;;) {
		cleanup_close int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);
		char why[128];

		if (fd >= 0)
			return 1;
		snprintf(why, sizeof(why), errno == ENOENT ? "there is no %s" : "%s does not open: %s", KVM_DEVICE,
			 strerror(errno));
		/* Its image says when all drivers are in; a device that is not there then will not come. */
		if (clock_ms() >= end || file_exists("/run/nestvisor.ready")) {
			found(finding, why);
			return 0;
		}
		if (cancel_sleep(cancel, 20) < 0)
			return -ECANCELED;
	}
}

static void found_silence(struct finding *finding, bool over, bool spoke, unsigned times)
{
	char why[128];

	finding->stalled = true;
	if (over)
		snprintf(why, sizeof(why), "a guest under KVM does not come up within %u s", PROBE_MS / 1000 * times);
	else if (spoke)
		snprintf(why, sizeof(why), "a guest under KVM falls silent while it boots");
	else
		snprintf(why, sizeof(why), "a guest under KVM does not print a word within %u s",
			 SILENCE_MS / 1000 * times);
	found(finding, why);
}

/* Follows the probe's console until it said its line, died, fell silent or took too long. */
static int watch(int console, unsigned times, struct cancel *cancel, struct finding *finding)
{
	long long silence = (long long)SILENCE_MS * times, end = clock_ms() + (long long)PROBE_MS * times,
		  silent = clock_ms() + silence;
	cleanup_strbuf struct strbuf said = {0};

	for (;;) {
		long long now = clock_ms(), until = silent < end ? silent : end;
		char buffer[4096];
		ssize_t n;
		int r = cancel_poll(cancel, console, POLLIN, until > now ? (int)(until - now) : 0);

		if (r < 0)
			return r;
		if (r == 0) {
			found_silence(finding, clock_ms() >= end, said.length > 0, times);
			return 0;
		}
		n = read(console, buffer, sizeof(buffer));
		if (n <= 0) {
			found(finding,
			      said.length ? "a guest under KVM ends while it boots" : "a guest under KVM ends at once");
			return 0;
		}
		strbuf_add_bytes(&said, buffer, (size_t)n);
		silent = clock_ms() + silence;
		if (strstr(said.text, PROBE_LINE)) {
			finding->works = true;
			return 0;
		}
	}
}

/* What the kernel prints shows that it lives. Where KVM is emulated each character costs milliseconds, and there is
 * time enough to wait for the end. */
static char *probe_words(const struct profile *profile, unsigned times)
{
	char *words;

	if (asprintf(&words, "console=ttyS0 panic=-1 %s%s nestvisor.probe", times > 1 ? "quiet " : "",
		     profile->append) < 0)
		abort();
	return words;
}

static int start_probe(const struct probe *probe, int console, int log, struct process_id *ret, struct error **err)
{
	const struct profile *profile = probe->profile;
	const struct image *image = probe->image;
	cleanup_free char *append = probe_words(profile, probe->times);
	/* clang-format off */
	const char *argv[] = {probe->qemu, "-M", profile->machine, "-accel", profile->accelerator, "-cpu", profile->cpu_plain,
			      "-m", "192M", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
			      "-kernel", profile->elf_kernel && image->vmlinux ? image->vmlinux : image->kernel,
			      "-initrd", image->initrd, "-append", append,
			      "-chardev", "stdio,id=c,signal=off", "-serial", "chardev:c", NULL};
	/* clang-format on */
	struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = console, .err = log, .detach = true};

	return process_spawn(&spec, ret, err);
}

static void add_cause(int log, struct finding *finding)
{
	char text[16384];
	ssize_t n = pread(log, text, sizeof(text) - 1, 0);
	cleanup_free char *cause = NULL, *why = NULL;

	text[n > 0 ? n : 0] = '\0';
	cause = postmortem_cause(text);
	if (!cause)
		return;
	if (asprintf(&why, "%s; QEMU says \"%s\"", finding->why, cause) < 0)
		abort();
	found(finding, why);
}

/* Boots the probe with its console on a pipe. Errors are only what kept us from asking. */
static int boot_probe(const struct probe *probe, struct cancel *cancel, struct finding *finding, struct error **err)
{
	cleanup_close int console = -1, console_theirs = -1, log = memfd_create("probe", MFD_CLOEXEC);
	struct process_id process;
	int pipe_fds[2], r;

	if (log < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0)
		return error_errno(err, errno, "cannot start the probe guest");
	console = pipe_fds[0];
	console_theirs = pipe_fds[1];
	r = start_probe(probe, console_theirs, log, &process, err);
	if (r < 0)
		return r;
	close(steal_fd(&console_theirs));
	r = watch(console, probe->times, cancel, finding);
	process_end(&process, 0, NULL);
	process_wait(&process, 0, NULL);
	if (r < 0)
		return error_set(err, -r, "the probe for KVM was broken off");
	if (!finding->works)
		add_cause(log, finding);
	return 0;
}

static int ask_machine(bool inside, struct reporter *reporter, struct cancel *cancel, struct finding *finding,
		       struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_free char *qemu = NULL;
	cleanup_json json_t *key = NULL;
	/* The row of the table depends on whether an image brings its kernel; `micro` does. */
	struct image image = {.kernel = ""};
	const struct driver_guest guest = {.accelerator = ACCEL_KVM, .image = &image};
	struct probe probe = {.image = &image, .times = inside ? INSIDE_TIMES : 1};
	int r = profile_choose(&guest, &probe.profile, err);

	if (r == 0)
		r = process_find(probe.profile->binary, "qemu-system-x86", &qemu, err);
	if (r < 0)
		return r;
	probe.qemu = qemu;
	key = probe_key(qemu);
	if (recall(key, finding))
		return 0;
	r = image_get(arena, "micro", NULL, reporter, cancel, &image, err);
	if (r < 0)
		return r;
	report(reporter, REPORT_BEGIN, "accelerator", "booting a probe guest under KVM");
	r = boot_probe(&probe, cancel, finding, err);
	report(reporter, r < 0 ? REPORT_FAILED : REPORT_DONE, "accelerator",
	       r < 0		? "the probe could not be made"
	       : finding->works ? "KVM works"
				: "KVM does not work here");
	if (r == 0)
		remember(key, finding);
	return r;
}

int driver_probe(unsigned flags, struct reporter *reporter, struct cancel *cancel, enum accelerator *ret,
		 char **ret_why, struct error **err)
{
	bool inside = flags & PROBE_INSIDE;
	struct finding finding = {0};
	int r = device_opens(inside, cancel, &finding);

	if (r < 0)
		return error_set(err, -r, "stopped while waiting for " KVM_DEVICE);
	if (r > 0 && (!inside || flags & PROBE_BOOT))
		r = ask_machine(inside, reporter, cancel, &finding, err);
	else if (r > 0)
		finding.works = true;
	*ret = finding.works ? ACCEL_KVM : ACCEL_TCG;
	*ret_why = finding.why;
	return r < 0 ? r : 0;
}
