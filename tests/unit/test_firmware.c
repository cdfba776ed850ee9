/*
 * What a guest with UEFI, a TPM or Windows gets: the firmware's descriptions, the words of QEMU's command line, and
 * what is the guest's own. tests/nested/secure-boot.sh boots it.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "driver/command.h"
#include "driver/display.h"
#include "driver/firmware.h"
#include "driver/own.h"
#include "image/image.h"
#include "model/settings.h"
#include "model/windows.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct arena *arena;
static char top[] = "/tmp/nestvisor-firmware.XXXXXX";

static int make_folder(void **state)
{
	(void)state;
	arena = arena_new();
	return mkdtemp(top) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	arena_free(arena);
	return dir_remove(top, NULL);
}

static const char *in_folder(const char *name)
{
	return arena_printf(arena, "%s/%s", top, name);
}

static void write_file(const char *path, const char *text)
{
	cleanup_free char *folder = strndup(path, (size_t)(strrchr(path, '/') - path));

	assert_int_equal(dir_make(folder, 0755, NULL), 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

/* A description as distributions install it; the files it names are made. */
static void describe(const char *path, const char *name, const char *machine, const char *features)
{
	const char *code = in_folder(arena_printf(arena, "%s.code", name));
	const char *variables = in_folder(arena_printf(arena, "%s.vars", name));

	write_file(code, "code");
	write_file(variables, name);
	write_file(
		in_folder(path),
		arena_printf(arena,
			     "{\"interface-types\":[\"uefi\"],\"mapping\":{\"device\":\"flash\",\"executable\":{"
			     "\"filename\":\"%s\",\"format\":\"raw\"},\"nvram-template\":{\"filename\":\"%s\","
			     "\"format\":\"raw\"}},\"targets\":[{\"architecture\":\"x86_64\",\"machines\":[\"%s\"]}],"
			     "\"features\":[%s]}",
			     code, variables, machine, features));
}

static int find(enum firmware firmware, struct firmware_files *ret, struct error **err)
{
	const char *const folders[] = {in_folder("etc"), in_folder("usr"), NULL};

	return firmware_find_in(arena, folders, firmware, ret, err);
}

static void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in: %s", part, text);
}

static void test_descriptions(void **state)
{
	cleanup_error struct error *err = NULL;
	struct firmware_files files;

	(void)state;
	assert_int_equal(find(FIRMWARE_UEFI_SECURE, &files, &err), -ENOENT);
	assert_contains(err->hint, "ovmf");
	error_freep(&err);
	write_file(in_folder("usr/10-broken.json"), "{");
	write_file(in_folder("usr/11-odd.json"), "[{\"mapping\": 7}]");
	describe("usr/20-arm.json", "arm", "virt-*", "\"secure-boot\",\"enrolled-keys\"");
	describe("usr/50-keys.json", "keys", "pc-q35-*", "\"secure-boot\",\"enrolled-keys\",\"requires-smm\"");
	describe("usr/60-setup.json", "setup", "pc-q35-*", "\"secure-boot\",\"requires-smm\"");
	describe("usr/70-plain.json", "plain", "pc-q35-*", "\"acpi-s3\"");
	assert_int_equal(find(FIRMWARE_UEFI_SECURE, &files, &err), 0);
	assert_contains(files.code, "/keys.code");
	assert_contains(files.variables, "/keys.vars");
	assert_true(files.smm);
	assert_int_equal(find(FIRMWARE_UEFI, &files, &err), 0);
	assert_contains(files.code, "/plain.code"); /* and not the one that only lacks keys */
	assert_false(files.smm);

	/* The administrator's own: before the others by its name, instead of one by the same name, or nothing at all.
	 */
	describe("etc/30-mine.json", "mine", "pc-q35-*", "\"secure-boot\",\"enrolled-keys\"");
	assert_int_equal(find(FIRMWARE_UEFI_SECURE, &files, &err), 0);
	assert_contains(files.code, "/mine.code");
	assert_int_equal(unlink(in_folder("mine.code")), 0); /* described, but not there */
	assert_int_equal(find(FIRMWARE_UEFI_SECURE, &files, &err), 0);
	assert_contains(files.code, "/keys.code");
	write_file(in_folder("etc/50-keys.json"), "");
	assert_int_equal(find(FIRMWARE_UEFI_SECURE, &files, &err), -ENOENT);
}

static struct image disk_image = {.name = "disk", .kind = IMAGE_DISK, .append = ""};

static struct driver_guest some_guest(const char *os, enum accelerator accelerator)
{
	return (struct driver_guest){.lab = "test",
				     .path = "a",
				     .name = "a",
				     .id = "0123abcd",
				     .run_dir = "/run/a",
				     .cpus = 2,
				     .memory = UINT64_C(4) << 30,
				     .image = &disk_image,
				     .os = os,
				     .firmware = FIRMWARE_UEFI_SECURE,
				     .tpm = true,
				     .display = true,
				     .accelerator = accelerator,
				     .netns = -1};
}

/* The whole command line as one text, words separated by spaces. */
static const char *command_line(const struct driver_guest *guest)
{
	const struct firmware_files files = {"/code,1", "raw", "/template", "raw", true};
	const struct own own = {.variables = "/own/variables", .tpm = "/own/tpm"};
	const struct profile *profile;
	struct command command = {
		.memory = -1,
		.guest = guest, .firmware = &files, .own = &own, .qmp = 3, .console = 4, .events = -1, .tpm = 5};
	const char *text = "";

	if (profile_choose(guest, &profile, NULL) < 0)
		skip();
	command.profile = profile;
	for (const char *const *word = command_build(arena, &command); *word; word++)
		text = arena_printf(arena, "%s %s", text, *word);
	return text;
}

static void test_secure_boot(void **state)
{
	struct driver_guest guest = some_guest("linux", ACCEL_TCG);
	const char *line = command_line(&guest);

	(void)state;
	assert_contains(line, " -M q35,smm=on ");
	assert_contains(line, " -global driver=cfi.pflash01,property=secure,value=on ");
	assert_contains(line, " -drive if=pflash,unit=0,readonly=on,format=raw,file=/code,,1 ");
	assert_contains(line, " -drive if=pflash,unit=1,format=raw,file=/own/variables ");
	assert_contains(
		line, " -chardev socket,id=tpm,fd=5 -tpmdev emulator,id=tpm0,chardev=tpm -device tpm-crb,tpmdev=tpm0");
	assert_contains(line, " -vnc unix:/run/a/vnc");
	assert_contains(line, " -no-reboot ");
	assert_null(strstr(line, "hv-"));
	assert_null(strstr(line, "-kernel"));
	assert_null(strstr(line, "usb"));
}

/* Every row of the table is there under KVM, and nothing that was not listed. */
static void test_windows(void **state)
{
	struct driver_guest guest = some_guest("windows-11", ACCEL_KVM);
	const char *line = command_line(&guest);

	(void)state;
	for (size_t i = 0; i < setting_count; i++) {
		const struct machine_setting *setting = &settings[i];

		assert_true(setting->reason && setting->source && setting->libvirt && setting->systems);
		if ((setting->systems & WINDOWS_11) && setting->place != SETTING_GUEST &&
		    setting->when <= SETTING_UNDER_KVM)
			assert_contains(line, setting->value);
	}
	assert_contains(line, " -cpu host,-svm,-vmx,hv-relaxed,hv-vapic,");
	assert_contains(line, " -rtc base=localtime,driftfix=slew ");
	assert_contains(line, ",hpet=off ");
	assert_null(strstr(line, "passthrough"));
	assert_null(strstr(line, "hv-evmcs"));
	assert_null(strstr(line, "-no-reboot"));

	guest.svm_emulated = true; /* the local APIC is QEMU's, and most of this takes KVM's */
	line = command_line(&guest);
	assert_contains(line, " -M q35,kernel-irqchip=off,smm=on");
	assert_contains(line, " -cpu host,-svm,-vmx,-kvm-asyncpf-int ");
	assert_null(strstr(line, "hv-"));
	guest.svm_emulated = false;

	guest.nested = true;
	line = command_line(&guest);
	assert_contains(line, " -cpu host,hv-relaxed,");
	assert_contains(line, ",hv-stimer-direct");

	guest.nested = false;
	guest.hypervisor_hidden = true;
	line = command_line(&guest);
	assert_contains(line, " -cpu host,-svm,-vmx,-hypervisor,kvm=off ");
	assert_null(strstr(line, "hv-"));

	guest.hypervisor_hidden = false;
	guest.accelerator = ACCEL_TCG; /* which knows none of them */
	assert_null(strstr(command_line(&guest), "hv-"));
	assert_contains(command_line(&guest), "base=localtime");
}

/* The same for ESXi, which has no driver for any virtio device. */
static void test_esxi(void **state)
{
	static const int taps[] = {9, 10};
	static const struct driver_nic nic = {.queues = 1, .tap_fds = taps, .mac = {2, 0, 0, 0, 0, 1}, .mtu = 1400};
	static const struct driver_disk disk = {.path = "/x.qcow2", .format = "qcow2", .serial = "root"};
	struct driver_guest guest = some_guest("esxi", ACCEL_KVM);
	const char *line;

	(void)state;
	guest.nested = true;
	guest.tpm = false;
	guest.nics = &nic;
	guest.nic_count = 1;
	guest.disks = &disk;
	guest.disk_count = 1;
	guest.cpus = 4;
	line = command_line(&guest);
	assert_contains(line, ",vmport=off ");
	assert_contains(line, " -cpu host -smp 4 ");
	assert_contains(line, " -netdev tap,id=net0,fd=9 -device vmxnet3,netdev=net0,mac=02:00:00:00:00:01,romfile= ");
	assert_contains(line, " -device ide-hd,bus=ide.0,drive=disk0,serial=root");
	assert_null(strstr(line, "virtio"));
	assert_null(strstr(line, "-no-reboot"));
	assert_int_equal(driver_queues(&guest, 0), 1);
}

/* A queue for each CPU, where that pays. */
static void test_queues(void **state)
{
	static const int taps[] = {9, 10};
	static const struct driver_nic nic = {.queues = 2, .tap_fds = taps, .mac = {2, 0, 0, 0, 0, 1}, .mtu = 1400};
	struct driver_guest guest = some_guest("windows-11", ACCEL_KVM);

	(void)state;
	guest.nics = &nic;
	guest.nic_count = 1;
	assert_contains(command_line(&guest), " -netdev tap,id=net0,fds=9:10");
	assert_contains(command_line(&guest), ",mac=02:00:00:00:00:01,mq=on,host_mtu=1400,romfile= ");
	guest.cpus = 4;
	assert_int_equal(driver_queues(&guest, 0), 4);
	assert_int_equal(driver_queues(&guest, 2), 2);
	assert_int_equal(driver_queues(&guest, 9), 4);
	guest.cpus = 16;
	assert_int_equal(driver_queues(&guest, 0), 8);
	assert_int_equal(driver_queues(&guest, 16), 16);
	guest.cpus = 1;
	assert_int_equal(driver_queues(&guest, 0), 1);
	guest.cpus = 4;
	guest.accelerator = ACCEL_TCG;
	assert_int_equal(driver_queues(&guest, 0), 1);
	assert_int_equal(driver_queues(&guest, 2), 2);
}

static void test_chords(void **state)
{
	cleanup_error struct error *err = NULL;
	const char *const *chords;
	size_t count;

	(void)state;
	assert_int_equal(display_chords(arena, "aZ0 _?\n", &chords, &count, &err), 0);
	assert_int_equal(count, 7);
	assert_string_equal(chords[0], "a");
	assert_string_equal(chords[1], "shift-z");
	assert_string_equal(chords[2], "0");
	assert_string_equal(chords[3], "spc");
	assert_string_equal(chords[4], "shift-minus");
	assert_string_equal(chords[5], "shift-slash");
	assert_string_equal(chords[6], "ret");
	for (char c = ' '; c <= '~'; c++) /* all that is printed in ASCII is on it */
		assert_int_equal(display_chords(arena, (char[]){c, '\0'}, &chords, &count, &err), 0);
	assert_int_equal(display_chords(arena, "", &chords, &count, &err), 0);
	assert_int_equal(count, 0);
	assert_int_equal(display_chords(arena, "a\xc3\xa9", &chords, &count, &err), -EINVAL);
	assert_contains(err->message, "character 2");
}

static void test_own(void **state)
{
	struct driver_guest guest = some_guest("windows-11", ACCEL_KVM);
	struct firmware_files files = {.variables = in_folder("template"), .variables_format = "raw"};
	cleanup_error struct error *err = NULL;
	cleanup_free char *text = NULL;
	struct own own;
	size_t length;

	(void)state;
	guest.own_dir = in_folder("a.own");
	write_file(files.variables, "as shipped");
	assert_int_equal(own_prepare(arena, &guest, &files, &own, &err), 0);
	assert_null(own.boot_disk); /* the disk boots by itself */
	write_file(own.variables, "changed by the guest");
	/* It never ran: nothing was lost, and swtpm makes a new state. */
	assert_int_equal(own_prepare(arena, &guest, &files, &own, &err), 0);
	write_file(arena_printf(arena, "%s/tpm2-00.permall", own.tpm), "secrets");
	assert_int_equal(own_started(&guest, &err), 0);
	assert_int_equal(own_prepare(arena, &guest, &files, &own, &err), 0);
	assert_int_equal(file_read(own.variables, 4096, &text, &length, NULL), 0);
	assert_string_equal(text, "changed by the guest");

	assert_int_equal(unlink(arena_printf(arena, "%s/tpm2-00.permall", own.tpm)), 0);
	assert_int_equal(own_prepare(arena, &guest, &files, &own, &err), -ENODATA);
	assert_contains(err->message, "the TPM of a is lost");
	assert_contains(err->message, "recovery key");
	error_freep(&err);
	guest.tpm = false; /* taken away and given back: it is still the one that is lost */
	assert_int_equal(own_prepare(arena, &guest, &files, &own, &err), 0);
	assert_int_equal(own_started(&guest, &err), 0);
	guest.tpm = true;
	assert_int_equal(own_prepare(arena, &guest, &files, &own, &err), -ENODATA);
	error_freep(&err);

	assert_int_equal(dir_remove(guest.own_dir, NULL), 0);
	assert_int_equal(own_prepare(arena, &guest, &files, &own, &err), -ENODATA);
	assert_contains(err->message, "the UEFI variables of a are lost");
	assert_int_equal(unlink(arena_printf(arena, "%s.made", guest.own_dir)), 0); /* as the hint says */
	error_freep(&err);
	assert_int_equal(own_prepare(arena, &guest, &files, &own, &err), 0);
}

/* What a store of `whole` bytes begins with, and nothing of what else would be in it; cut to a length. */
static void write_store(const char *path, size_t whole, size_t length)
{
	const uint64_t size = htole64(whole);
	char bytes[256] = {0};

	memcpy(bytes + 32, &size, sizeof(size));
	memcpy(bytes + 40, "_FVH", 4);
	assert_int_equal(file_write_atomic(path, bytes, length, 0600, NULL), 0);
}

static void test_damaged_variables(void **state)
{
	struct driver_guest guest = some_guest("windows-11", ACCEL_KVM);
	struct firmware_files files = {.variables = in_folder("store"), .variables_format = "raw"};
	cleanup_error struct error *err = NULL;
	struct own own;

	(void)state;
	guest.own_dir = in_folder("damaged.own");
	guest.tpm = false;
	write_store(files.variables, 256, 256);
	assert_int_equal(own_prepare(arena, &guest, &files, &own, &err), 0);
	assert_int_equal(own_started(&guest, &err), 0);
	assert_int_equal(own_prepare(arena, &guest, &files, &own, &err), 0);
	write_store(own.variables, 256, 100);
	assert_int_equal(own_prepare(arena, &guest, &files, &own, &err), -ENODATA);
	assert_contains(err->message, "the UEFI variables of a are damaged");
	assert_contains(err->message, "recovery key");
	assert_contains(err->hint, "put back a copy");
	error_freep(&err);
	write_store(own.variables, 128, 128); /* the firmware became larger */
	assert_int_equal(own_prepare(arena, &guest, &files, &own, &err), -ENOTSUP);
	assert_contains(err->message, "are of another firmware");
	assert_contains(err->message, "has 128 bytes");
	error_freep(&err);
	write_file(own.variables, "");
	assert_int_equal(own_prepare(arena, &guest, &files, &own, &err), -ENODATA);
	error_freep(&err);
	assert_int_equal(unlink(own.variables), 0); /* as the hint says: both of them */
	assert_int_equal(own_prepare(arena, &guest, &files, &own, &err), -ENODATA);
	error_freep(&err);
	assert_int_equal(unlink(arena_printf(arena, "%s.made", guest.own_dir)), 0);
	assert_int_equal(own_prepare(arena, &guest, &files, &own, &err), 0);
	/* The hint does not make it forget the TPM, which is lost as well. */
	guest.tpm = true;
	assert_int_equal(own_started(&guest, &err), 0);
	assert_int_equal(unlink(own.variables), 0);
	assert_int_equal(own_prepare(arena, &guest, &files, &own, &err), -ENODATA);
	assert_int_equal(system(strstr(err->hint, "sed ")), 0);
	error_freep(&err);
	assert_int_equal(own_prepare(arena, &guest, &files, &own, &err), -ENODATA);
	assert_contains(err->message, "the TPM of a is lost");
}

static void start_and_stop(const struct driver_guest *guest)
{
	cleanup_error struct error *err = NULL;
	struct driver_state running;

	if (driver_qemu.start(guest, NULL, &running, &err) < 0)
		fail_msg("%s", err->message);
	assert_int_equal(driver_qemu.stop(guest->run_dir, NULL), 0);
}

/* A real swtpm and a real QEMU: the state that it keeps, cut, overwritten, of another version, and put back. */
static void test_damaged_tpm(void **state)
{
	struct driver_guest guest = some_guest("linux", ACCEL_TCG);
	cleanup_free char *kept = NULL, *found = NULL, *bad = NULL;
	cleanup_error struct error *err = NULL;
	const char *path;
	size_t length;

	(void)state;
	if (process_find("swtpm", NULL, &found, NULL) < 0 || process_find("qemu-system-x86_64", NULL, &bad, NULL) < 0)
		skip();
	guest.firmware = FIRMWARE_BIOS;
	guest.display = false;
	guest.memory = 64 << 20;
	guest.run_dir = in_folder("run");
	guest.own_dir = in_folder("tpm.own");
	assert_int_equal(dir_make(guest.run_dir, 0700, NULL), 0);
	path = arena_printf(arena, "%s/tpm/tpm2-00.permall", guest.own_dir);
	start_and_stop(&guest);
	start_and_stop(&guest);
	assert_int_equal(file_read(path, 1 << 20, &kept, &length, NULL), 0);
	assert_true(length > 200);
	for (int way = 0; way < 3; way++) {
		cleanup_free char *copy = memcpy(malloc(length), kept, length);
		struct driver_state running;

		memset(copy + 60, 'X', way == 1 ? 20 : 0);
		assert_int_equal(file_write_atomic(path, copy,
						   way == 0   ? length / 2
						   : way == 1 ? length
							      : 0,
						   0600, NULL),
				 0);
		assert_int_equal(driver_qemu.start(&guest, NULL, &running, &err), -ENODATA);
		assert_contains(err->message, "the TPM of a does not start");
		assert_contains(err->message, path);
		assert_contains(err->message, "recovery key");
		assert_contains(err->hint, "put back a copy of the file");
		error_freep(&err);
		assert_true(file_exists(path)); /* and it was not made anew */
	}
	assert_int_equal(file_write_atomic(path, kept, length, 0600, NULL), 0);
	start_and_stop(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptions), cmocka_unit_test(test_secure_boot),
		cmocka_unit_test(test_windows),	     cmocka_unit_test(test_esxi),
		cmocka_unit_test(test_queues),	     cmocka_unit_test(test_chords),
		cmocka_unit_test(test_own),	     cmocka_unit_test(test_damaged_variables),
		cmocka_unit_test(test_damaged_tpm),
	};

	return cmocka_run_group_tests_name("firmware", tests, make_folder, remove_folder);
}
