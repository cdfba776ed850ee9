/*
 * The qemu driver with real guests of the image `micro` under TCG, and the probe for KVM. Skipped where the image
 * cannot be had. This program is its own `nestvisor relay`: the image puts the running program into hypervisors.
 */
#include "base/arena.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "driver/driver.h"
#include "driver/postmortem.h"
#include "driver/profile.h"
#include "driver/qemu_internal.h"
#include "driver/watch.h"
#include "image/image.h"
#include "transport/relay.h"
#include "transport/transport.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { LONG_MS = 120000 };

struct fixture {
	struct arena *arena;
	struct image image;
	char top[64];	  /* removed at the end */
	char folder[160]; /* the guest's */
	struct driver_guest guest;
};

static struct arena *image_arena;
static struct image micro;

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->arena = arena_new();
	f->image = micro;
	strcpy(f->top, "/tmp/nestvisor-driver.XXXXXX");
	if (!mkdtemp(f->top))
		return -1;
	strcpy(f->folder, f->top);
	f->guest = (struct driver_guest){.lab = "test",
					 .path = "a",
					 .name = "a",
					 .id = "0123abcd",
					 .run_dir = f->folder,
					 .layer = 1,
					 .cpus = 1,
					 .memory = 256 << 20,
					 .image = &f->image,
					 .accelerator = ACCEL_TCG,
					 .netns = -1};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	driver_qemu.stop(f->guest.run_dir, NULL);
	driver_qemu.stop(f->folder, NULL);
	dir_remove(f->top, NULL);
	arena_free(f->arena);
	free(f);
	return 0;
}

static char *in_folder(struct fixture *f, const char *name)
{
	return arena_printf(f->arena, "%s/%s", f->folder, name);
}

static size_t count_files(const char *folder)
{
	cleanup_closedir DIR *dir = opendir(folder);
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	return count - 2; /* without . and .. */
}

static void assert_contains(const struct error *err, const char *text)
{
	assert_non_null(err);
	if (!strstr(err->message, text)) {
		print_error("\"%s\" is not in: %s\n", text, err->message);
		fail();
	}
}

static void assert_gone(const struct driver_state *state)
{
	char path[64];

	assert_false(process_alive(&state->process));
	snprintf(path, sizeof(path), "/proc/%d", state->process.pid);
	assert_false(file_exists(path)); /* no zombie either */
}

static void start(struct fixture *f, struct driver_state *state)
{
	cleanup_error struct error *err = NULL;

	if (driver_qemu.start(&f->guest, NULL, state, &err) < 0) {
		print_error("%s\n", err->message);
		fail();
	}
}

static char *ask(struct fixture *f, const char *const argv[])
{
	cleanup_transport struct transport *t = NULL;
	cleanup_output struct process_output output = {0};
	cleanup_error struct error *err = NULL;

	if (transport_qga(in_folder(f, "qga"), NULL, &t, &err) < 0 ||
	    transport_run(t, argv, NULL, 0, LONG_MS, NULL, &output, &err) < 0) {
		print_error("%s\n", err->message);
		fail();
	}
	return arena_strdup(f->arena, output.out);
}

static char *shell(struct fixture *f, const char *script)
{
	return ask(f, (const char *const[]){"sh", "-c", script, NULL});
}

/* A plain guest from its start to its end. */
static void test_life(void **state)
{
	struct fixture *f = *state;
	cleanup_error struct error *err = NULL;
	struct driver_state started, seen;
	long long began = clock_ms(), running, ready;
	char *words;

	f->guest.append = "nestvisor.name=a";
	start(f, &started);
	running = clock_ms();
	assert_true(started.running);
	assert_int_equal(driver_qemu.look(f->folder, &seen, &err), 0);
	assert_true(seen.running);
	assert_int_equal(seen.process.pid, started.process.pid);
	assert_int_equal(seen.accelerator, ACCEL_TCG);
	assert_string_equal(seen.status, "running");
	assert_int_equal(driver_qemu.start(&f->guest, NULL, &seen, &err), -EEXIST); /* and leaves it alone */
	error_freep(&err);
	assert_true(process_alive(&started.process));

	assert_int_equal(driver_qemu.wait_ready(f->folder, "a", ACCEL_TCG, NULL, NULL, &err), 0);
	ready = clock_ms();
	assert_string_equal(shell(f, "cat /proc/sys/kernel/hostname"), "a\n");
	assert_string_equal(shell(f, "grep -c -w -e svm -e vmx /proc/cpuinfo"), "0\n");
	words = shell(f, "cat /sys/class/dmi/id/product_uuid");
	assert_true(strncmp(words, "0123abcd-", 9) == 0);
	assert_string_equal(shell(f, "cat /sys/class/misc/hw_random/rng_current"), "virtio_rng.0\n");

	print_message("  QEMU up %lld ms, agent answers after %lld ms", running - began, ready - began);
	began = clock_ms();
	assert_int_equal(driver_qemu.stop(f->folder, &err), 0);
	print_message(", stop %lld ms\n", clock_ms() - began);
	assert_gone(&started);
	assert_int_equal(count_files(f->folder), 0);
	assert_int_equal(driver_qemu.look(f->folder, &seen, &err), 0);
	assert_false(seen.running);
	assert_int_equal(driver_qemu.stop(f->folder, &err), 0);
}

static void stream_through(struct transport *t, const char *data, size_t length)
{
	cleanup_close int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);
	cleanup_error struct error *err = NULL;
	cleanup_free char *back = malloc(length + 1);
	int status = -1;

	assert_int_equal(pwrite(in, data, length, 0), length);
	if (transport_stream(t, (const char *const[]){"cat", NULL}, in, out, -1, NULL, &status, &err) < 0) {
		print_error("%s\n", err->message);
		fail();
	}
	assert_int_equal(status, 0);
	assert_int_equal(pread(out, back, length + 1, 0), length);
	assert_memory_equal(back, data, length);
}

/* A tap of two queues in a network namespace of its own. */
static void make_tap(int *ret_netns, int ret[2])
{
	struct ifreq request = {.ifr_name = "tap0", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE};
	cleanup_close int outside = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	*ret_netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_true(*ret_netns >= 0);
	for (size_t i = 0; i < 2; i++) {
		ret[i] = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
		assert_true(ret[i] >= 0);
		assert_int_equal(ioctl(ret[i], TUNSETIFF, &request), 0);
	}
	assert_int_equal(setns(outside, CLONE_NEWNET), 0);
}

static void test_nic(void **state)
{
	struct fixture *f = *state;
	struct driver_nic nic = {.mac = {2, 0, 0, 0xab, 0xcd, 0xef}, .mtu = 1430, .queues = 2};
	cleanup_error struct error *err = NULL;
	char link[64], ours[64] = "", theirs[64] = "";
	struct driver_state started;
	int taps[2];

	make_tap(&f->guest.netns, taps);
	nic.tap_fds = taps;
	f->guest.cpus = 2;
	f->guest.nics = &nic;
	f->guest.nic_count = 1;
	start(f, &started);
	close(taps[0]);
	close(taps[1]);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", f->guest.netns);
	assert_true(readlink(link, ours, sizeof(ours) - 1) > 0);
	snprintf(link, sizeof(link), "/proc/%d/ns/net", started.process.pid);
	assert_true(readlink(link, theirs, sizeof(theirs) - 1) > 0);
	assert_string_equal(ours, theirs);
	close(f->guest.netns);
	assert_int_equal(driver_qemu.wait_ready(f->folder, "a", ACCEL_TCG, NULL, NULL, &err), 0);
	assert_string_equal(shell(f, "cd /sys/class/net/eth0 && cat address mtu"), "02:00:00:ab:cd:ef\n1430\n");
	assert_string_equal(shell(f, "cd /sys/class/net/eth0/queues && echo *"), "rx-0 rx-1 tx-0 tx-1\n");
}

/* A hypervisor: sees svm, has a KVM that nests, and nestvisor; its run_dir is longer than a socket's address. */
static void test_hypervisor(void **state)
{
	struct fixture *f = *state;
	cleanup_transport struct transport *t = NULL;
	cleanup_error struct error *err = NULL;
	cleanup_free char *data = malloc(1 << 20);
	struct driver_state started;

	snprintf(f->folder + strlen(f->folder), 120, "/%0110d", 7);
	f->guest.run_dir = f->folder;
	assert_int_equal(dir_make(f->folder, 0700, NULL), 0);
	f->guest.nested = true;
	f->guest.cpus = 2;
	f->guest.memory = 768 << 20;
	f->guest.append = "nestvisor.name=hv nestvisor.host=1";
	start(f, &started);
	assert_int_equal(driver_qemu.wait_ready(f->folder, "hv", ACCEL_TCG, NULL, NULL, &err), 0);
	assert_string_equal(shell(f, "grep -c -w svm /proc/cpuinfo"), "2\n");
	assert_string_equal(shell(f, "until [ -e /run/nestvisor.ready ]; do usleep 20000; done;"
				     "cat /sys/module/kvm_amd/parameters/nested; ls /dev/kvm"),
			    "1\n/dev/kvm\n");
	assert_string_equal(shell(f, "type qemu-system-x86_64-microvm nestvisor >/dev/null && echo both"), "both\n");
	for (size_t i = 0; i < 1 << 20; i++)
		data[i] = (char)(i * 2654435761u >> 13);
	assert_int_equal(transport_qga(in_folder(f, "qga"), NULL, &t, NULL), 0);
	stream_through(t, data, 1 << 20); /* through this program's own relay */
	assert_int_equal(driver_qemu.stop(f->folder, &err), 0);
	assert_gone(&started);
}

/* What this program does when it is started inside a hypervisor, as its nestvisor: runs a guest there. */
static int run_inner_guest(const char *image_id)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_transport struct transport *t = NULL;
	cleanup_output struct process_output output = {0};
	cleanup_error struct error *err = NULL;
	cleanup_free char *why = NULL;
	struct driver_state state;
	struct image image;
	struct driver_guest guest = {.lab = "test",
				     .path = "hv/a",
				     .name = "a",
				     .id = "76543210",
				     .run_dir = "/run/nestvisor/inner",
				     .layer = 2,
				     .cpus = 1,
				     .memory = 128 << 20,
				     .image = &image,
				     .append = "nestvisor.name=inner",
				     .netns = -1};
	int r = image_get(arena, "micro", image_id, NULL, NULL, &image, &err);

	if (r == 0)
		r = driver_probe(PROBE_INSIDE, NULL, NULL, &guest.accelerator, &why, &err);
	if (r == 0)
		r = dir_make(guest.run_dir, 0700, &err);
	if (r == 0)
		r = driver_qemu.start(&guest, NULL, &state, &err);
	if (r == 0)
		r = driver_qemu.wait_ready(guest.run_dir, "hv/a", guest.accelerator, NULL, NULL, &err);
	if (r == 0)
		r = transport_qga("/run/nestvisor/inner/qga", NULL, &t, &err);
	if (r == 0)
		r = transport_run(t,
				  (const char *const[]){"sh", "-c",
							"cat /proc/sys/kernel/hostname; grep -cw svm /proc/cpuinfo",
							NULL},
				  NULL, 0, LONG_MS, NULL, &output, &err);
	if (r == 0) {
		printf("%s %s", accelerator_name(guest.accelerator), output.out);
		r = driver_qemu.look(guest.run_dir, &state, &err);
		printf("%s %d\n", accelerator_name(state.accelerator), state.running);
	}
	if (r == 0)
		r = driver_qemu.stop(guest.run_dir, &err);
	if (r < 0)
		printf("%s\n", err->message);
	printf("%d\n", process_alive(&state.process));
	return r < 0;
}

/* A guest of a guest: the small QEMU under the hypervisor's own KVM, its image carried down. */
static void test_inner_guest(void **state)
{
	struct fixture *f = *state;
	struct driver_disk *disks = calloc(f->image.carrier_count + 1, sizeof(*disks));
	cleanup_error struct error *err = NULL;
	struct driver_state started;
	char command[96];

	for (size_t i = 0; i < f->image.carrier_count; i++)
		disks[i] = (struct driver_disk){f->image.carriers[i].path, f->image.carriers[i].format,
						f->image.carriers[i].serial, true};
	f->guest.disks = disks;
	f->guest.disk_count = f->image.carrier_count;
	f->guest.nested = true;
	f->guest.memory = 1024 << 20;
	f->guest.append = "nestvisor.name=hv nestvisor.host=1";
	start(f, &started);
	free(disks);
	assert_int_equal(driver_qemu.wait_ready(f->folder, "hv", ACCEL_TCG, NULL, NULL, &err), 0);
	snprintf(command, sizeof(command), "nestvisor inner %s 2>&1", f->image.id);
	assert_string_equal(shell(f, command), "kvm inner\n0\nkvm 1\n0\n");
}

/* A disk in use, in the words that help. */
static void test_disk_in_use(void **state)
{
	struct fixture *f = *state;
	cleanup_error struct error *err = NULL;
	struct driver_disk disk = {.path = in_folder(f, "a,b.raw"), .format = "raw", .serial = "data"};
	struct driver_state started, second;
	cleanup_close int fd = open(disk.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(ftruncate(fd, 8 << 20), 0);
	f->guest.disks = &disk;
	f->guest.disk_count = 1;
	start(f, &started);
	f->guest.run_dir = in_folder(f, "second");
	assert_int_equal(dir_make(f->guest.run_dir, 0700, NULL), 0);
	assert_int_equal(driver_qemu.start(&f->guest, NULL, &second, &err), -EPIPE);
	assert_contains(err, "Failed to get \"write\" lock");
	assert_non_null(strstr(err->hint, "another QEMU"));
	assert_null(strstr(err->message, "TCG doesn't support"));
	f->guest.run_dir = f->folder;
	assert_int_equal(driver_qemu.wait_ready(f->folder, "a", ACCEL_TCG, NULL, NULL, NULL), 0);
	assert_string_equal(shell(f, "cat /sys/block/vda/serial"), "data");
}

static void test_bad_starts(void **state)
{
	struct fixture *f = *state;
	cleanup_error struct error *err = NULL;
	struct driver_state ret = {0};

	f->guest.memory = 1ull << 54;
	assert_int_equal(driver_qemu.start(&f->guest, NULL, &ret, &err), -EPIPE);
	assert_contains(err, "QEMU said");
	assert_false(ret.running);
	error_freep(&err);

	f->guest.memory = 256 << 20;
	f->image.vmlinux = NULL;
	f->image.kernel = in_folder(f, "missing/kernel");
	assert_int_equal(driver_qemu.start(&f->guest, NULL, &ret, &err), -EPIPE);
	assert_contains(err, f->image.kernel);
	assert_false(file_exists(in_folder(f, "pid")));
	assert_false(file_exists(in_folder(f, "qmp")));
	assert_true(file_exists(in_folder(f, "qemu.log")));
	error_freep(&err);

	f->guest.os = "plan9";
	assert_int_equal(driver_qemu.start(&f->guest, NULL, &ret, &err), -ENOTSUP);
	assert_contains(err, "plan9");
	error_freep(&err);

	f->guest.os = NULL;
	f->guest.run_dir = in_folder(f, "missing");
	assert_true(driver_qemu.start(&f->guest, NULL, &ret, &err) < 0);
	assert_contains(err, f->guest.run_dir);
	f->guest.run_dir = f->folder;
}

static void test_panic(void **state)
{
	struct fixture *f = *state;
	cleanup_error struct error *err = NULL;
	struct driver_state started;

	f->guest.append = "rdinit=/nothing";
	start(f, &started);
	assert_int_equal(driver_qemu.wait_ready(f->folder, "a", ACCEL_TCG, NULL, NULL, &err), -EPIPE);
	assert_contains(err, "the end of its console");
	assert_contains(err, "Kernel panic");
	assert_gone(&started);
}

struct waiting {
	struct fixture *fixture;
	struct cancel *cancel;
	struct error *err;
	int result;
};

static void *wait_main(void *argument)
{
	struct waiting *w = argument;

	w->result = driver_qemu.wait_ready(w->fixture->folder, "a", ACCEL_TCG, NULL, w->cancel, &w->err);
	return NULL;
}

static void test_killed_while_waiting(void **state)
{
	struct waiting waiting = {.fixture = *state};
	struct driver_state started;
	pthread_t thread;

	start(*state, &started);
	assert_int_equal(pthread_create(&thread, NULL, wait_main, &waiting), 0);
	kill(started.process.pid, SIGKILL);
	pthread_join(thread, NULL);
	assert_int_equal(waiting.result, -EPIPE);
	assert_contains(waiting.err, "signal 9");
	assert_gone(&started);
	error_free(waiting.err);
}

static void test_cancelled_while_waiting(void **state)
{
	struct cancel cancel;
	struct waiting waiting = {.fixture = *state, .cancel = &cancel};
	struct driver_state started;
	pthread_t thread;

	assert_int_equal(cancel_open(&cancel), 0);
	start(*state, &started);
	assert_int_equal(pthread_create(&thread, NULL, wait_main, &waiting), 0);
	cancel_request(&cancel);
	pthread_join(thread, NULL);
	assert_int_equal(waiting.result, -ECANCELED);
	assert_true(process_alive(&started.process));
	error_free(waiting.err);
	assert_int_equal(driver_qemu.start(&waiting.fixture->guest, &cancel, &started, NULL), -EEXIST);
	assert_int_equal(driver_qemu.stop(waiting.fixture->folder, NULL), 0);
	assert_int_equal(driver_qemu.start(&waiting.fixture->guest, &cancel, &started, NULL), -ECANCELED);
	assert_false(file_exists(in_folder(waiting.fixture, "pid")));
	cancel_close(&cancel);
}

static void test_hang(void **state)
{
	struct fixture *f = *state;
	cleanup_error struct error *err = NULL;
	struct driver_state started;

	start(f, &started);
	kill(started.process.pid, SIGSTOP);
	assert_int_equal(qemu_wait_ready_within(f->folder, "a", 500, NULL, NULL, &err), -ETIMEDOUT);
	assert_contains(err, "its QEMU does not answer");
	assert_int_equal(driver_qemu.stop(f->folder, NULL), 0); /* and one that hangs is ended all the same */
	assert_gone(&started);
	assert_int_equal(count_files(f->folder), 0);
}

/* A real guest that restarts for ever: its kernel panics at once, and a panic restarts it. */
static void test_boot_loop(void **state)
{
	struct fixture *f = *state;
	cleanup_error struct error *err = NULL;
	struct driver_state started;

	f->guest.os = "windows-10";
	f->guest.append = "rdinit=/nothing root=/dev/nothing";
	start(f, &started);
	assert_int_equal(driver_qemu.wait_ready(f->folder, "a", ACCEL_TCG, NULL, NULL, &err), -ELOOP);
	assert_contains(err, "restarts without end");
	assert_contains(err, "Kernel panic"); /* the end of its console */
	assert_non_null(strstr(err->hint, "nestvisor screenshot"));
	error_freep(&err);
	/* It is stopped, and waiting for it again lets it go on. */
	assert_int_equal(driver_qemu.wait_ready(f->folder, "a", ACCEL_TCG, NULL, NULL, &err), -ELOOP);
	assert_int_equal(driver_qemu.stop(f->folder, NULL), 0);
	assert_gone(&started);
	assert_int_equal(count_files(f->folder), 0);
}

static void test_boots_counted(void **state)
{
	struct watch_count installs = {0}, fails = {0}, restless = {0};

	(void)state;
	/* As an installation goes: much is written, then less, and now and then a restart with next to nothing. */
	assert_false(watch_count_reset(&installs, UINT64_C(6) << 30));
	for (uint64_t i = 1; i < WATCH_IDLE_RESETS; i++)
		assert_false(watch_count_reset(&installs, (UINT64_C(6) << 30) + i));
	assert_false(watch_count_reset(&installs, UINT64_C(7) << 30));
	assert_false(watch_count_reset(&installs, UINT64_C(7) << 30));
	for (unsigned i = 1; i < WATCH_IDLE_RESETS; i++)
		assert_false(watch_count_reset(&fails, i * (WATCH_IDLE_BYTES / 2)));
	assert_true(watch_count_reset(&fails, WATCH_IDLE_RESETS * (WATCH_IDLE_BYTES / 2)));
	for (uint64_t i = 1; i < WATCH_RESETS; i++)
		assert_false(watch_count_reset(&restless, i << 30));
	assert_true(watch_count_reset(&restless, UINT64_C(1) << 40));
}

static void test_stop_of_others(void **state)
{
	struct fixture *f = *state;
	struct process_id self;
	char text[64];
	int n;

	assert_int_equal(process_self(&self), 0);
	n = snprintf(text, sizeof(text), "%d %llu\n", self.pid, self.start + 1); /* a number that was used again */
	assert_int_equal(file_write_atomic(in_folder(f, "pid"), text, (size_t)n, 0600, NULL), 0);
	assert_int_equal(driver_qemu.stop(f->folder, NULL), 0);
	assert_false(file_exists(in_folder(f, "pid")));
}

static void test_postmortem(void **state)
{
	struct fixture *f = *state;
	cleanup_error struct error *err = NULL;
	cleanup_free char *cause = NULL;
	const char console[] = "first\r\n\033[31mred\033[0m \x1b]0;title\a \xc2\x9b"
			       "31m\r\nFailed to get \"write\" lock\r\n";
	const char qemu[] = "qemu-system-x86_64: warning: host doesn't support requested feature: CPUID.01H:ECX.fma\n"
			    "Could not access KVM kernel module: Permission denied\n"
			    "qemu-system-x86_64: -accel kvm: failed to initialize kvm: Permission denied\n";

	assert_int_equal(file_write_atomic(in_folder(f, "console.log"), console, sizeof(console) - 1, 0600, NULL), 0);
	assert_int_equal(postmortem(f->folder, EPIPE, "it ended", &err), -EPIPE);
	assert_contains(err, "first");
	assert_contains(err, "red ");
	assert_null(strchr(err->message, '\033'));
	assert_null(strchr(err->message, '\x9b'));
	assert_null(err->hint); /* what the guest writes is not what QEMU says */

	/* QEMU's first words that are not noise say why, in the words of the table of logs */
	error_free(steal_pointer(&err));
	assert_int_equal(file_write_atomic(in_folder(f, "qemu.log"), qemu, sizeof(qemu) - 1, 0600, NULL), 0);
	assert_int_equal(postmortem(f->folder, EPIPE, "it ended", &err), -EPIPE);
	assert_contains(err, "Could not access KVM");
	assert_null(strstr(err->message, "requested feature"));
	assert_non_null(strstr(err->hint, "may not open /dev/kvm"));
	assert_non_null(strstr(err->hint, "probe.json"));
	cause = postmortem_cause("qemu-system-x86_64: warning: TCG doesn't support requested feature: x\n"
				 "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x0\n"
				 "qemu-system-x86_64: kvm.c:1: Assertion `x' failed.\n");
	assert_string_equal(cause, "error: failed to set MSR 0x10a to 0x0");
	assert_null(postmortem_cause(""));
}

static void put_log(struct fixture *f, const char *name, const char *text)
{
	assert_int_equal(file_write_atomic(in_folder(f, name), text, strlen(text), 0600, NULL), 0);
}

/* A guest of which nobody says why it is gone. */
static void test_silent(void **state)
{
	struct fixture *f = *state;

	assert_true(postmortem_is_silent(f->folder)); /* there are no logs */
	put_log(f, "qemu.log", "");
	put_log(f, "console.log", "[    0.0] Linux version 6.1\n[   33.1] eth0: link up\n");
	assert_true(postmortem_is_silent(f->folder));
	put_log(f, "qemu.log",
		"qemu-system-x86_64: warning: TCG doesn't support requested feature: CPUID.01H:ECX.fma\n");
	assert_true(postmortem_is_silent(f->folder)); /* which it always says */
	put_log(f, "console.log", "[   33.1] Kernel panic - not syncing: Attempted to kill init!\n");
	assert_false(postmortem_is_silent(f->folder));
	put_log(f, "console.log", "");
	put_log(f, "qemu.log", "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x0\n");
	assert_false(postmortem_is_silent(f->folder));
}

#define REGISTERS                                                                                                      \
	"CPU Reset (CPU 0)\nEAX=00000000 EBX=00000000\nLDT=0000 00000000 0000ffff 00008200\nTR =0000 00000000 "        \
	"0000ffff "                                                                                                    \
	"00008b00\nGDT=     00000000 0000ffff\n"

/* The log of resets ends in a triple fault, whatever else is written behind it. */
static void test_triple_fault(void **state)
{
	struct fixture *f = *state;

	assert_false(postmortem_triple_fault(f->folder)); /* there is no log: KVM writes none */
	put_log(f, "cpu.log", REGISTERS REGISTERS);
	assert_false(postmortem_triple_fault(f->folder));
	put_log(f, "cpu.log", REGISTERS "Triple fault\n");
	assert_true(postmortem_triple_fault(f->folder));
	put_log(f, "cpu.log", REGISTERS "Triple fault\nTLB flushed\n\n");
	assert_true(postmortem_triple_fault(f->folder));
	put_log(f, "cpu.log", "Triple fault\n" REGISTERS); /* after which it went on */
	assert_false(postmortem_triple_fault(f->folder));
	put_log(f, "cpu.log", REGISTERS "No Triple faults\n");
	assert_false(postmortem_triple_fault(f->folder));
	put_log(f, "cpu.log", "Triple fault"); /* cut off in the middle of the line's end */
	assert_true(postmortem_triple_fault(f->folder));
}

/* Runs in a child with a /dev of its own, in which there is no kvm. */
static int without_kvm(void)
{
	enum accelerator accelerator;
	char *why = NULL;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/dev", "tmpfs", 0, "mode=755") < 0 || mknod("/dev/null", S_IFCHR | 0666, makedev(1, 3)) < 0)
		return 10;
	if (driver_probe(0, NULL, NULL, &accelerator, &why, NULL) < 0 || accelerator != ACCEL_TCG || !why ||
	    !strstr(why, "there is no /dev/kvm"))
		return 11;
	free(why);
	/* One that is there and is no KVM: its cause is said as well. */
	return mknod("/dev/kvm", S_IFCHR | 0666, makedev(10, 253)) < 0 ||
			       driver_probe(0, NULL, NULL, &accelerator, &why, NULL) < 0 || accelerator != ACCEL_TCG ||
			       !strstr(why, "/dev/kvm does not open")
		       ? 12
		       : 0;
}

static void test_probe_without_kvm(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0)
		_exit(without_kvm());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* This machine's own KVM, whatever it is like. */
static void test_probe(void **state)
{
	struct fixture *f = *state;
	const char *cached = arena_printf(f->arena, "%s/probe.json", image_cache_dir());
	cleanup_error struct error *err = NULL;
	cleanup_free char *why = NULL, *again = NULL;
	enum accelerator accelerator, second;
	cleanup_json json_t *kept = NULL;
	long long began;

	unlink(cached);
	began = clock_ms();
	if (driver_probe(0, NULL, NULL, &accelerator, &why, &err) < 0) {
		print_error("%s\n", err->message);
		fail();
	}
	print_message("  %s: %s (%lld ms)\n", accelerator_name(accelerator), why ? why : "it works",
		      clock_ms() - began);
	assert_int_equal(accelerator == ACCEL_KVM, why == NULL);
	if (!file_exists("/dev/kvm"))
		return;
	assert_int_equal(json_read_file(cached, 1 << 16, &kept, &err), 0);
	assert_int_equal(json_is_true(json_object_get(kept, "works")), accelerator == ACCEL_KVM);
	assert_int_equal(driver_probe(0, NULL, NULL, &second, &again, &err), 0);
	assert_int_equal(second, accelerator);
	if (why)
		assert_string_equal(why, again);
}

static void test_profiles(void **state)
{
	struct fixture *f = *state;
	const struct profile *profile;

	assert_int_equal(profile_choose(&f->guest, &profile, NULL), 0);
	assert_string_equal(profile->machine, "pc");
	assert_true(profile->elf_kernel);
	assert_true(profile->sandbox);
	f->guest.accelerator = ACCEL_KVM;
	assert_int_equal(profile_choose(&f->guest, &profile, NULL), 0);
	assert_string_equal(profile->binary, "qemu-system-x86_64"); /* Debian's package brings both */
	assert_non_null(strstr(profile->cpu_plain, "-svm"));
	assert_null(strstr(profile->cpu_nested, "-svm"));
	f->image.kernel = NULL;
	assert_int_equal(profile_choose(&f->guest, &profile, NULL), 0);
	assert_false(profile->elf_kernel);
}

/* Where QEMU emulates SVM, what writes CR8 has its local APIC in QEMU. */
static void test_emulated_svm(void **state)
{
	struct fixture *f = *state;
	const struct profile *profile;

	f->guest.accelerator = ACCEL_KVM;
	f->guest.firmware = FIRMWARE_UEFI_SECURE;
	assert_int_equal(profile_choose(&f->guest, &profile, NULL), 0);
	assert_string_equal(profile->machine, "q35");
	f->guest.svm_emulated = true;
	assert_int_equal(profile_choose(&f->guest, &profile, NULL), 0);
	assert_string_equal(profile->machine, "q35,kernel-irqchip=off");
	assert_non_null(strstr(profile->cpu_plain, "-svm"));
	assert_null(strstr(profile->cpu_nested, "-svm"));
	f->guest.firmware = FIRMWARE_BIOS;
	assert_int_equal(profile_choose(&f->guest, &profile, NULL), 0);
	assert_string_equal(profile->machine, "pc");
	assert_non_null(strstr(profile->append, "mitigations=off"));
	f->guest.svm_emulated = false;
	assert_int_equal(profile_choose(&f->guest, &profile, NULL), 0);
	assert_string_equal(profile->machine, "pc");
	assert_string_equal(profile->append, "");
	f->guest.svm_emulated = true;
	f->image.kernel = NULL;
	assert_int_equal(profile_choose(&f->guest, &profile, NULL), 0);
	assert_string_equal(profile->machine, "q35");
	f->guest.os = "windows-10";
	assert_int_equal(profile_choose(&f->guest, &profile, NULL), 0);
	assert_string_equal(profile->machine, "q35,kernel-irqchip=off");
	f->guest.accelerator = ACCEL_TCG;
	assert_int_equal(profile_choose(&f->guest, &profile, NULL), 0);
	assert_string_equal(profile->machine, "q35");
}

static int get_image(void)
{
	cleanup_error struct error *err = NULL;

	image_arena = arena_new();
	if (image_get(image_arena, "micro", NULL, NULL, NULL, &micro, &err) == 0)
		return 0;
	printf("skipped: no image to boot: %s\n", err->message);
	return 77;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_profiles, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_emulated_svm, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_postmortem, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_silent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_triple_fault, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_life, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nic, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hypervisor, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_inner_guest, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_disk_in_use, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_starts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_panic, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_killed_while_waiting, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancelled_while_waiting, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hang, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_boot_loop, set_up, tear_down),
		cmocka_unit_test(test_boots_counted),
		cmocka_unit_test_setup_teardown(test_stop_of_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_probe_without_kvm, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_probe, set_up, tear_down),
	};
	cleanup_free char *qemu = NULL;
	int r;

	if (argc > 4 && strcmp(argv[1], "relay") == 0)
		return relay_run(argv[2], (const char *const *)argv + 4, NULL) < 0;
	if (argc == 3 && strcmp(argv[1], "inner") == 0)
		return run_inner_guest(argv[2]);
	if (getuid() != 0 || process_find("qemu-system-x86_64", NULL, &qemu, NULL) < 0) {
		puts("skipped: needs root and qemu-system-x86_64");
		return 77;
	}
	r = get_image();
	if (r == 0)
		r = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(image_arena);
	return r;
}
