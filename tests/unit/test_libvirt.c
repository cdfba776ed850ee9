/*
 * Domains as libvirt's XML: each against libvirt's own schema (xmllint --relaxng,
 * /usr/share/libvirt/schemas/domain.rng) and, whole, against a golden file; which process is a domain's; its taps. What
 * real libvirts do with them is tests/nested/libvirt.sh's.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "driver/command.h"
#include "driver/driver.h"
#include "driver/libvirt_adopted.h"
#include "driver/libvirt_drift.h"
#include "driver/libvirt_filter.h"
#include "driver/libvirt_internal.h"
#include "driver/libvirt_tap.h"
#include "driver/libvirt_user.h"
#include "driver/libvirt_xml.h"
#include "driver/run_dir.h"
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "facts_check.h"

#define SCHEMA "/usr/share/libvirt/schemas/domain.rng"

static const struct image kernel_image = {.name = "micro",
					  .kernel = "/cache/bzImage",
					  .vmlinux = "/cache/vmlinux",
					  .initrd = "/cache/guest.initrd",
					  .initrd_host = "/cache/host.initrd",
					  .append = "root=/dev/vda"};
static const struct image disk_image = {.name = "/images/a.qcow2", .disk = "/images/a.qcow2", .append = ""};
static const struct profile kvm = {.binary = "qemu-system-x86_64",
				   .machine = "q35",
				   .accelerator = "kvm",
				   .cpu_nested = "host",
				   .cpu_plain = "host,-svm,-vmx",
				   .append = ""};
static const struct profile tcg = {.binary = "qemu-system-x86_64",
				   .machine = "pc",
				   .accelerator = "tcg,thread=multi,tb-size=256",
				   .cpu_nested = "EPYC,+svm,+npt",
				   .cpu_plain = "max,-svm,-npt",
				   .elf_kernel = true,
				   .append = "mitigations=off"};

static struct driver_nic nics[] = {{.tap = "nv0123abcdt0", .queues = 2, .mac = {2, 0, 0, 0, 0, 1}, .mtu = 1500},
				   {.tap = "nv0123abcdt1", .queues = 1, .mac = {2, 0, 0, 0, 0, 2}}};
static struct driver_disk disks[] = {{"/state/first/hv1.qcow2", "qcow2", "root", false},
				     {"/state/first/hv1.seed", "raw", "seed", true}};

static struct driver_guest hypervisor(void)
{
	return (struct driver_guest){.lab = "first",
				     .path = "hv1",
				     .name = "hv1",
				     .id = "0123abcd",
				     .run_dir = "/run/nestvisor/first/guests/hv1",
				     .layer = 1,
				     .cpus = 2,
				     .memory = UINT64_C(1) << 30,
				     .nested = true,
				     .image = &kernel_image,
				     .append = "nestvisor.name=hv1",
				     .nics = nics,
				     .nic_count = 2,
				     .disks = disks,
				     .disk_count = 2,
				     .accelerator = ACCEL_TCG,
				     .netns = -1};
}

static int run(const char *const argv[], struct process_output *output)
{
	const struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};

	return process_run(&spec, NULL, 0, 60000, NULL, output, NULL);
}

/* False, with its reasons printed, where the schema does not take it. */
static bool is_valid(const char *xml)
{
	char path[] = "/tmp/nestvisor-domain.XXXXXX";
	const char *const argv[] = {"xmllint", "--nonet", "--noout", "--relaxng", SCHEMA, path, NULL};
	cleanup_output struct process_output output = {0};
	cleanup_close int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, xml, strlen(xml)), (ssize_t)strlen(xml));
	assert_int_equal(run(argv, &output), 0);
	unlink(path);
	if (output.status != 0)
		print_error("%s\n%s", output.err, xml);
	return output.status == 0;
}

static void check_domain(const char *name, const char *xml)
{
	cleanup_free char *below = NULL, *path = NULL;

	assert_true(is_valid(xml));
	assert_true(asprintf(&below, "tests/golden/driver/%s.xml", name) > 0);
	path = source_path(below);
	check_golden(path, xml);
}

static void test_hypervisor(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	const struct driver_guest guest = hypervisor();
	const char *xml = libvirt_domain_xml(arena, &guest, &tcg, "/usr/bin/qemu-system-x86_64");

	check_domain("hypervisor-tcg", xml);
}

static void test_kvm_disk(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	struct driver_guest guest = hypervisor();
	const char *xml;

	guest.accelerator = ACCEL_KVM;
	guest.image = &disk_image;
	guest.hypervisor_hidden = true;
	xml = libvirt_domain_xml(arena, &guest, &kvm, "/usr/bin/qemu-system-x86_64");
	check_domain("hypervisor-kvm-disk", xml);
}

/* One that has no guests sees neither svm nor vmx; one without disks and nics is one, too. */
static void test_plain(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	struct driver_guest guest = hypervisor();
	const char *xml;

	guest.nested = false;
	guest.nic_count = guest.disk_count = 0;
	xml = libvirt_domain_xml(arena, &guest, &tcg, "/usr/bin/qemu-system-x86_64");
	assert_true(is_valid(xml));
	assert_non_null(strstr(xml, "<cpu mode='maximum' check='none'>\n    <feature policy='disable' name='svm'/>"));
	assert_non_null(strstr(xml, "<initrd>/cache/guest.initrd</initrd>"));
	assert_null(strstr(xml, "<disk"));
	guest.accelerator = ACCEL_KVM;
	xml = libvirt_domain_xml(arena, &guest, &kvm, "/usr/bin/qemu-system-x86_64");
	assert_true(is_valid(xml));
	assert_non_null(strstr(xml, "<feature policy='disable' name='vmx'/>"));
}

/* Each kind of CPU, of a hypervisor or not, hidden or not, of root's libvirt or a user's, with one queue or several. */
static void test_variants(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	static const struct profile named = {.binary = "qemu-system-x86_64",
					     .machine = "q35",
					     .accelerator = "tcg,thread=multi",
					     .cpu_nested = "max,+svm",
					     .cpu_plain = "Skylake-Client,-vmx",
					     .append = ""};
	static const struct profile *const profiles[] = {&kvm, &tcg, &named};
	struct driver_nic queued[] = {nics[0], nics[1]};

	queued[0].queues = 4;
	for (unsigned i = 0; i < 3 * 16; i++) {
		struct driver_guest guest = hypervisor();
		const char *xml;

		guest.accelerator = i % 3 == 0 ? ACCEL_KVM : ACCEL_TCG;
		guest.nested = i / 3 & 1;
		guest.hypervisor_hidden = i / 3 & 2;
		guest.user = i / 3 & 4 ? 1000 : 0;
		guest.nics = i / 3 & 8 ? queued : nics;
		guest.image = i & 1 ? &disk_image : &kernel_image;
		xml = libvirt_domain_xml(arena, &guest, profiles[i % 3], "/usr/bin/qemu-system-x86_64");
		assert_true(is_valid(xml));
		assert_int_equal(strstr(xml, "<seclabel") != NULL, guest.user == 0);
		assert_int_equal(strstr(xml, "/guests/hv1/user/console'") != NULL, guest.user != 0);
		assert_int_equal(strstr(xml, "mode='host-passthrough'") != NULL, guest.accelerator == ACCEL_KVM);
		assert_int_equal(strstr(xml, "<hidden state='on'/>") != NULL,
				 guest.accelerator == ACCEL_KVM && guest.hypervisor_hidden);
	}
}

/* Whose a libvirt is. */
static void test_user(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	char path[] = "/tmp/nestvisor-socket.XXXXXX";
	cleanup_close int fd = mkstemp(path);
	const char *uri, *named = arena_printf(arena, "qemu+unix:///session?socket=%s", path);
	unsigned user = 1;

	setenv("SUDO_UID", "4294967000", 1); /* who is nobody */
	assert_int_equal(libvirt_user_of(arena, "qemu:///system", &uri, &user, &err), 0);
	assert_int_equal(user, 0);
	assert_string_equal(uri, "qemu:///system");
	if (geteuid() == 0) {
		assert_int_equal(fchown(fd, 4711, (gid_t)-1), 0);
		assert_int_equal(libvirt_user_of(arena, named, &uri, &user, &err), 0);
		assert_int_equal(user, 4711);
		assert_string_equal(uri, named);
		assert_int_equal(libvirt_user_of(arena, "qemu:///session", &uri, &user, &err), -ENOENT);
		assert_non_null(strstr(err->message, "/run/user/4294967000/libvirt/libvirt-sock"));
		error_freep(&err);
	}
	unlink(path);
	assert_int_equal(libvirt_user_of(arena, named, &uri, &user, &err), -ENOENT);
	setenv("SUDO_UID", "x", 1);
	assert_int_equal(libvirt_user_of(arena, "qemu:///session", &uri, &user, NULL), 0);
	assert_int_equal(user, 0); /* libvirt answers root by the system's */
	assert_string_equal(uri, "qemu:///session");
	unsetenv("SUDO_UID");
}

/* No path and no word becomes markup; the parser gives back what went in. */
static void test_escapes(void **state)
{
	static const char hostile[] = "/tmp/a'/><b c=\"&amp;\"></source>";
	cleanup_arena struct arena *arena = arena_new();
	struct driver_guest guest = hypervisor();
	struct driver_disk disk = {hostile, "qcow2", NULL, false};
	char path[] = "/tmp/nestvisor-domain.XXXXXX";
	const char *const argv[] = {"xmllint", "--xpath", "string(//disk/source/@file)", path, NULL};
	cleanup_output struct process_output output = {0};
	cleanup_close int fd = mkstemp(path);
	const char *xml;

	guest.disks = &disk;
	guest.disk_count = 1;
	guest.append = hostile;
	xml = libvirt_domain_xml(arena, &guest, &tcg, "/usr/bin/qemu-system-x86_64");
	assert_true(is_valid(xml));
	assert_int_equal(write(fd, xml, strlen(xml)), (ssize_t)strlen(xml));
	assert_int_equal(run(argv, &output), 0);
	unlink(path);
	assert_int_equal(strncmp(output.out, hostile, strlen(hostile)), 0);
}

/* The schema would say so. */
static void test_schema_refuses(void **state)
{
	const char *const argv[] = {"xmllint", "--nonet", "--noout", "--relaxng", SCHEMA, "/dev/stdin", NULL};
	static const char wrong[] = "<domain type='qemu'><name>a</name><colour>red</colour></domain>";
	const struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};
	cleanup_output struct process_output output = {0};

	assert_int_equal(process_run(&spec, wrong, strlen(wrong), 60000, NULL, &output, NULL), 0);
	assert_int_not_equal(output.status, 0);
}

/* What a domain is called follows from the guest alone, and says whose it is. */
static void test_names(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	struct driver_guest guest = hypervisor();

	assert_string_equal(libvirt_domain_name(arena, &guest), "first:hv1");
	assert_string_equal(libvirt_mark(arena, "first", "hv1"), "first/hv1");
	/* In L1 it is the guest's own name, for libvirt takes no slash, and its host has no other of that name. */
	guest.path = "hv1/a";
	guest.name = "a";
	assert_string_equal(libvirt_domain_name(arena, &guest), "first:a");
}

/* ─── what others change ─── */

static const char made[] = "<domain type='qemu' id='1'>\n"
			   "  <name>t:a</name>\n"
			   "  <memory unit='KiB'>131072</memory>\n"
			   "  <os>\n"
			   "    <type arch='x86_64' machine='pc'>hvm</type>\n"
			   "  </os>\n"
			   "  <devices>\n"
			   "    <emulator>/usr/bin/qemu-system-x86_64</emulator>\n"
			   "    <controller type='usb' index='0' model='none'>\n"
			   "      <alias name='usb'/>\n"
			   "    </controller>\n"
			   "    <interface type='ethernet'>\n"
			   "      <mac address='02:00:00:00:00:01'/>\n"
			   "      <model type='virtio'/>\n"
			   "      <alias name='net0'/>\n"
			   "    </interface>\n"
			   "    <channel type='pipe'>\n"
			   "      <target type='virtio' name='org.qemu.guest_agent.0' state='disconnected'/>\n"
			   "    </channel>\n"
			   "  </devices>\n"
			   "  <seclabel type='static' model='dac' relabel='no'/>\n"
			   "</domain>\n";

/* made with `from` replaced. */
static const char *altered(struct arena *arena, const char *from, const char *to)
{
	const char *at = strstr(made, from);

	assert_non_null(at);
	return arena_printf(arena, "%.*s%s%s", (int)(at - made), made, to, at + strlen(from));
}

static void assert_changes(const char *from, const char *to, bool running, const char *expected)
{
	cleanup_arena struct arena *arena = arena_new();
	struct libvirt_changes changes = {0};

	libvirt_compare(arena, made, altered(arena, from, to), running, &changes);
	assert_int_equal(changes.count, expected ? 1 : 0);
	if (expected)
		assert_string_equal(changes.list[0], expected);
}

static void test_changes(void **state)
{
	assert_changes("t:a", "t:a", false, NULL);
	assert_changes("131072", "262144", false,
		       "<memory unit='KiB'>131072</memory> → <memory unit='KiB'>262144</memory>");
	assert_changes("model type='virtio'", "model type='e1000'", false,
		       "interface: <model type='virtio'/> → <model type='e1000'/>");
	assert_changes("      <model type='virtio'/>\n", "", false, "interface: <model type='virtio'/> → nothing");
	assert_changes(
		"machine='pc'", "machine='q35'", false,
		"os: <type arch='x86_64' machine='pc'>hvm</type> → <type arch='x86_64' machine='q35'>hvm</type>");
	assert_changes("type='qemu' id", "type='kvm' id", false,
		       "<domain type='qemu' id='1'> → <domain type='kvm' id='1'>");
	assert_changes("  <os>\n    <type arch='x86_64' machine='pc'>hvm</type>\n  </os>\n", "", false,
		       "removed: <os> <type arch='x86_64' machine='pc'>hvm</type> </os>");
	/* One more device of a kind that there is: that one is told, wherever libvirt puts it. */
	assert_changes("    <interface",
		       "    <interface type='network'>\n      <source network='default'/>\n    </interface>\n"
		       "    <interface",
		       true, "added: <interface type='network'> <source network='default'/> </interface>");
	assert_changes("    </interface>\n", "    </interface>\n    <hostdev mode='subsystem'/>\n", true,
		       "added: <hostdev mode='subsystem'/>");
}

/* Of a machine that runs libvirt's dump changes without anybody's doing; that of a definition does not. */
static void test_changes_of_its_own(void **state)
{
	assert_changes("state='disconnected'", "state='connected'", true, NULL);
	assert_changes("'none'>\n      <alias name='usb'/>\n    </controller>", "'none'/>", true, NULL);
	assert_changes("      <alias name='net0'/>\n", "", true, NULL);
	assert_changes("      <alias name='net0'/>\n", "", false, "interface: <alias name='net0'/> → nothing");
}

/* Answers come as they are, from a thread of its own; of one that does not come it is said that it does not. */
static void answer(struct arena *arena, const char *const *run_dirs, size_t count, struct guest_drift *ret)
{
	for (size_t i = 0; i < count; i++) {
		const char **changes = arena_alloc(arena, sizeof(*changes));

		changes[0] = arena_printf(arena, "of %s", run_dirs[i]);
		ret[i] = (struct guest_drift){.changes = changes, .count = 1, .of_machine = i == 1};
	}
}

static void hang(struct arena *arena, const char *const *run_dirs, size_t count, struct guest_drift *ret)
{
	pause();
}

static void test_in_time(void **state)
{
	static const char *const run_dirs[] = {"/run/a", "/run/b"};
	cleanup_arena struct arena *arena = arena_new();
	struct guest_drift drifts[2];

	libvirt_ask_in_time(answer, 60000, arena, run_dirs, 2, drifts);
	assert_string_equal(drifts[0].changes[0], "of /run/a");
	assert_string_equal(drifts[1].changes[0], "of /run/b");
	assert_true(drifts[1].of_machine && !drifts[0].of_machine && !drifts[0].unknown);
	libvirt_ask_in_time(hang, 10, arena, run_dirs, 2, drifts);
	assert_int_equal(drifts[1].count, 0);
	assert_non_null(strstr(drifts[1].unknown, "has not answered"));
}

/* A long one is cut off between characters. */
static void test_long_change(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	struct libvirt_changes changes = {0};
	char title[600] = "  <title>";

	for (size_t length = strlen(title); length < 500; length += 2)
		strcpy(title + length, "ü");
	strcat(title, "</title>\n  <memory");
	libvirt_compare(arena, made, altered(arena, "  <memory", title), false, &changes);
	assert_int_equal(changes.count, 1);
	assert_true(strlen(changes.list[0]) < 250);
	assert_non_null(strstr(changes.list[0], "added: <title>üü"));
	assert_non_null(strstr(changes.list[0], "ü …"));
}

/* Each driver knows its own by what lies in run_dir. */
static void test_driver_of(void **state)
{
	char folder[] = "/tmp/nestvisor-libvirt.XXXXXX", record[64];

	assert_non_null(mkdtemp(folder));
	assert_ptr_equal(driver_of(folder), &driver_qemu);
	assert_ptr_equal(driver_for(NULL), &driver_qemu);
	assert_ptr_equal(driver_for("qemu:///system"), &driver_libvirt);
	assert_int_equal(driver_libvirt.stop(folder, NULL), 0);
	snprintf(record, sizeof(record), "%s/domain", folder);
	assert_int_equal(file_write_atomic(record, "{}", 2, 0600, NULL), 0);
	assert_ptr_equal(driver_of(folder), &driver_libvirt);
	unlink(record);
	rmdir(folder);
}

/* A libvirt that does not answer is said to be one; nothing is begun, nothing stays. */
static void test_no_libvirtd(void **state)
{
	char folder[] = "/tmp/nestvisor-libvirt.XXXXXX";
	cleanup_error struct error *err = NULL;
	struct driver_guest guest = hypervisor();
	struct driver_state ret;

	assert_non_null(mkdtemp(folder));
	guest.run_dir = folder;
	guest.uri = "qemu+unix:///system?socket=/nowhere/libvirt-sock";
	assert_int_equal(driver_libvirt.start(&guest, NULL, &ret, &err), -EIO);
	assert_non_null(strstr(err->message, "cannot connect"));
	assert_non_null(strstr(err->message, "/nowhere/libvirt-sock"));
	assert_non_null(strstr(err->hint, "virsh -c qemu+unix:///system?socket=/nowhere/libvirt-sock uri"));
	assert_int_equal(rmdir(folder), 0);
}

/* ─── its process ─── */

#define UUID "0123abcd-6e76-8000-8000-0123abcd0000"

struct candidate {
	char run_dir[48];
	struct process_id id;
	int agent; /* the other end of its FIFO */
};

/*
 * Starts a QEMU without a machine that was told what libvirt tells one; `by` are words to put in front. It is back once
 * the process, or one below it, has opened the agent's FIFO, and so is what it is to become.
 */
static struct candidate start_candidate(const char *const by[])
{
	cleanup_arena struct arena *arena = arena_new();
	struct candidate c = {.run_dir = "/tmp/nestvisor-libvirt,XXXXXX", .agent = -1};
	const char *run_dir = mkdtemp(c.run_dir), *in = arena_printf(arena, "%s/qga.in", run_dir);
	const char *const words[] = {"qemu-system-x86_64",
				     "-M",
				     "none",
				     "-S",
				     "-nodefaults",
				     "-display",
				     "none",
				     "-uuid",
				     UUID,
				     "-chardev",
				     arena_printf(arena, "pipe,id=qga,path=%s/qga", command_escaped(arena, run_dir)),
				     NULL};
	const char *argv[24] = {NULL}, *env[] = {arena_printf(arena, "FIFO=%s", in), NULL};
	const struct process_spec spec = {.argv = argv, .env = env, .netns = -1, .in = -1, .out = -1, .err = -1};
	size_t count = 0;

	assert_int_equal(make_fifos(run_dir, NULL), 0);
	assert_int_equal(chmod(run_dir, 0755), 0);
	assert_int_equal(chmod(in, 0666), 0);
	assert_int_equal(chmod(arena_printf(arena, "%s/qga.out", run_dir), 0666), 0);
	for (; *by; by++)
		argv[count++] = *by;
	for (size_t i = 0; words[i]; i++)
		argv[count++] = words[i];
	assert_int_equal(process_spawn(&spec, &c.id, NULL), 0);
	while ((c.agent = open(in, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0 && process_alive(&c.id))
		sched_yield();
	assert_true(c.agent >= 0);
	return c;
}

static void end_candidate(struct candidate *c)
{
	static const char *const files[] = {"qga.in", "qga.out"};

	close(c->agent);
	assert_int_equal(process_end(&c->id, 0, NULL), 0);
	process_wait(&c->id, 5000, NULL);
	remove_listed(c->run_dir, files, 2);
	assert_int_equal(rmdir(c->run_dir), 0);
}

static void test_finds_its_process(void **state)
{
	static const char *const nobody[] = {NULL};
	struct candidate c = start_candidate(nobody);
	struct process_id found;
	char other[64];

	assert_true(libvirt_find_process(UUID, c.run_dir, geteuid(), &found));
	assert_int_equal(found.pid, c.id.pid);
	assert_int_equal(found.start, c.id.start);
	assert_false(libvirt_find_process("0123abcd-6e76-8000-8000-0123abcd0001", c.run_dir, geteuid(), &found));
	assert_int_equal(found.pid, 0);
	snprintf(other, sizeof(other), "%s2", c.run_dir); /* another lab folder's guest of the same name */
	assert_false(libvirt_find_process(UUID, other, geteuid(), &found));
	snprintf(other, sizeof(other), "/other%s", c.run_dir);
	assert_false(libvirt_find_process(UUID, other, geteuid(), &found));
	end_candidate(&c);
}

/* It would be killed as one that libvirt forgot. */
static void check_not_found(const char *const by[])
{
	struct candidate c = start_candidate(by);
	struct process_id found;
	bool is_found = libvirt_find_process(UUID, c.run_dir, geteuid(), &found);

	end_candidate(&c);
	assert_false(is_found);
}

static void test_spares_others(void **state)
{
	static const char *const argv_alone[] = {"sh", "-c", "read -r line < \"$FIFO\"", NULL};
	static const char *const user[] = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", NULL};
	static const char *const container[] = {"unshare", "--pid", "--fork", "--kill-child", NULL};

	check_not_found(argv_alone);
	if (geteuid() != 0) {
		print_message("skipped: another user's and a container's need root\n");
		return;
	}
	check_not_found(user);
	check_not_found(container);
}

/* Returns the number of what is not as it should be. In a network namespace of its own. */
static int use_tap(void)
{
	cleanup_error struct error *err = NULL;
	struct ifreq request = {.ifr_name = "nvtap0", .ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd;

	if (unshare(CLONE_NEWNET) < 0 || (fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC)) < 0)
		return 77;
	if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETPERSIST, 1) < 0)
		return 1;
	if (libvirt_tap_let_go(getpid(), "nvtap", &err) != -ENODEV || !err || !strstr(err->message, "tap nvtap"))
		return 2;
	if (libvirt_tap_let_go(getpid(), "nvtap0", NULL) != 0 || if_nametoindex("nvtap0") == 0)
		return 3;
	close(fd);
	return if_nametoindex("nvtap0") == 0 ? 0 : 4;
}

/* A tap ends with the process that holds it once it was let go of; not to hold it is an error. */
static void test_tap(void **state)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(use_tap());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ─── filters ─── */

static const uint8_t first_mac[6] = {2, 0, 0, 0, 0, 1}, second_mac[6] = {2, 0, 0, 0, 0, 2};

static const char two_interfaces[] = "<domain>\n"
				     "  <devices>\n"
				     "    <interface type='ethernet'>\n"
				     "      <mac address='02:00:00:00:00:01'/>\n"
				     "    </interface>\n"
				     "    <interface type='ethernet'>\n"
				     "      <mac address='02:00:00:00:00:02'/>\n"
				     "      <filterref filter='nestvisor-clean-traffic'/>\n"
				     "      <mtu size='1500'/>\n"
				     "    </interface>\n"
				     "  </devices>\n"
				     "</domain>\n";

static void a_filter_takes_the_place_of_another(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	struct libvirt_filter filter = {.world = WORLD_SEALED};
	bool same = true;

	memcpy(filter.mac, second_mac, 6);
	assert_string_equal(libvirt_filter_interface(arena, two_interfaces, &filter, &same),
			    "<interface type='ethernet'>\n"
			    "      <mac address='02:00:00:00:00:02'/>\n"
			    "      <filterref filter='nestvisor-sealed'/>\n"
			    "      <mtu size='1500'/>\n"
			    "    </interface>");
	assert_false(same);
	filter.world = WORLD_OPEN;
	libvirt_filter_interface(arena, two_interfaces, &filter, &same);
	assert_true(same);
	filter.none = true;
	assert_null(strstr(libvirt_filter_interface(arena, two_interfaces, &filter, &same), "filterref"));
	assert_false(same);
	memcpy(filter.mac, first_mac, 6);
	libvirt_filter_interface(arena, two_interfaces, &filter, &same);
	assert_true(same);
	filter.mac[5] = 3;
	assert_null(libvirt_filter_interface(arena, two_interfaces, &filter, &same));
}

static void a_filter_of_somebody_else_is_known(void **state)
{
	static const char domain[] = "<interface type='ethernet'>\n"
				     "  <mac address='02:00:00:00:00:01'/>\n"
				     "</interface>\n"
				     "<interface type='ethernet'>\n"
				     "  <mac address='02:00:00:00:00:02'/>\n"
				     "  <filterref filter='clean-traffic'>\n"
				     "    <parameter name='IP' value='192.168.7.5'/>\n"
				     "  </filterref>\n"
				     "</interface>\n";
	cleanup_arena struct arena *arena = arena_new();
	struct libvirt_filter filter = {.world = WORLD_CUT};

	(void)state;
	memcpy(filter.mac, first_mac, 6);
	assert_null(libvirt_filter_of_another(arena, domain, &filter));
	memcpy(filter.mac, second_mac, 6);
	assert_string_equal(libvirt_filter_of_another(arena, domain, &filter), "clean-traffic");
	assert_null(libvirt_filter_of_another(arena, two_interfaces, &filter));
}

static void what_a_cut_guest_keeps_is_a_parameter(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	struct prefix keep[2];
	struct libvirt_filter filter = {.world = WORLD_CUT, .keep = keep, .keep_count = 2};
	const char *xml, *domain;
	bool same = true;

	assert_true(prefix_parse("192.168.7.0/24", &keep[0]) && prefix_parse("fe80::/10", &keep[1]));
	memcpy(filter.mac, first_mac, 6);
	xml = libvirt_filter_interface(arena, two_interfaces, &filter, &same);
	assert_false(same);
	assert_non_null(strstr(xml, "<filterref filter='nestvisor-cut'><parameter name='KEEP4' value='192.168.7.0'/>"
				    "<parameter name='KEEP6' value='fe80::'/><parameter name='KEEPLENGTH4' value='24'/>"
				    "<parameter name='KEEPLENGTH6' value='10'/></filterref>"));
	/* as libvirt gives it back */
	domain = "<interface type='ethernet'>\n"
		 "  <mac address='02:00:00:00:00:01'/>\n"
		 "  <filterref filter='nestvisor-cut'>\n"
		 "    <parameter name='KEEP4' value='192.168.7.0'/>\n"
		 "    <parameter name='KEEP6' value='fe80::'/>\n"
		 "    <parameter name='KEEPLENGTH4' value='24'/>\n"
		 "    <parameter name='KEEPLENGTH6' value='10'/>\n"
		 "  </filterref>\n"
		 "</interface>\n";
	libvirt_filter_interface(arena, domain, &filter, &same);
	assert_true(same);
	filter.keep_count = 1; /* another list is another filter */
	libvirt_filter_interface(arena, domain, &filter, &same);
	assert_false(same);
}

static void our_filters_are_no_drift(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	const char *left = libvirt_filter_left_out(arena, two_interfaces);

	assert_null(strstr(left, "filterref"));
	assert_non_null(strstr(left, "00:02'/>\n      <mtu size='1500'/>\n"));
	assert_string_equal(libvirt_filter_left_out(arena, left), left);
	left = "<filterref filter='clean-traffic'/>\n"; /* somebody else's */
	assert_string_equal(libvirt_filter_left_out(arena, left), left);
}

static void filters_are_what_libvirt_knows(void **state)
{
	cleanup_arena struct arena *arena = arena_new();

	for (enum world world = WORLD_OPEN; world <= WORLD_SEALED; world++) {
		const char *xml = libvirt_filter_xml(arena, world);
		const char *const argv[] = {
			"xmllint",    "--nonet", "--noout", "--relaxng", "/usr/share/libvirt/schemas/nwfilter.rng",
			"/dev/stdin", NULL};
		const struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};
		cleanup_output struct process_output output = {0};

		assert_int_equal(process_run(&spec, xml, strlen(xml), 60000, NULL, &output, NULL), 0);
		if (output.status != 0)
			fail_msg("%s: %s", libvirt_filter_name(world), output.err);
	}
}

/* Ways out of a domain that rules of bridges do not see. */
static void test_passed(void **state)
{
	static const struct {
		const char *xml, *passed;
	} domains[] = {
		{"<domain><devices><hostdev mode='subsystem' type='pci'/></devices></domain>", "PCI"},
		{"<domain><devices><hostdev mode='subsystem' type='usb'/></devices></domain>", "USB"},
		{"<domain><devices><vsock model='virtio'/></devices></domain>", "vsock"},
		{"<domain xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><q:commandline><q:arg value='-netdev'/>"
		 "</q:commandline></domain>",
		 "commandline"},
		{"<domain><devices><hostdev mode='subsystem' type='scsi'/><interface type='bridge'>"
		 "<mac address='52:54:00:00:00:01'/><source bridge='br0'/></interface></devices></domain>",
		 NULL},
	};
	cleanup_arena struct arena *arena = arena_new();

	for (size_t i = 0; i < sizeof(domains) / sizeof(*domains); i++) {
		struct adopted_domain domain;

		assert_int_equal(libvirt_adopted_read(domains[i].xml, arena, &domain, NULL), 0);
		if (domains[i].passed)
			assert_non_null(strstr(domain.passed, domains[i].passed));
		else
			assert_null(domain.passed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_filter_takes_the_place_of_another),
		cmocka_unit_test(a_filter_of_somebody_else_is_known),
		cmocka_unit_test(what_a_cut_guest_keeps_is_a_parameter),
		cmocka_unit_test(our_filters_are_no_drift),
		cmocka_unit_test(filters_are_what_libvirt_knows),
		cmocka_unit_test(test_hypervisor),
		cmocka_unit_test(test_kvm_disk),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_variants),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_changes_of_its_own),
		cmocka_unit_test(test_long_change),
		cmocka_unit_test(test_in_time),
		cmocka_unit_test(test_driver_of),
		cmocka_unit_test(test_schema_refuses),
		cmocka_unit_test(test_no_libvirtd),
		cmocka_unit_test(test_finds_its_process),
		cmocka_unit_test(test_spares_others),
		cmocka_unit_test(test_passed),
		cmocka_unit_test(test_tap),
	};
	cleanup_free char *xmllint = NULL;

	if (access(SCHEMA, R_OK) < 0 || process_find("xmllint", NULL, &xmllint, NULL) < 0) {
		fprintf(stderr, "skipped: " SCHEMA " or xmllint is not here\n");
		return 77;
	}
	return cmocka_run_group_tests_name("libvirt", tests, NULL, NULL);
}
