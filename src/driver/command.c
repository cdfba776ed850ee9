#include "driver/command.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/ip.h"
#include "image/image.h"
#include "model/settings.h"
#include "model/windows.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct words {
	struct arena *arena;
	const char **argv;
	size_t argc;
};

static void word(struct words *w, const char *text)
{
	*arena_push(w->arena, w->argv, w->argc) = text;
}

static void pair(struct words *w, const char *option, const char *value)
{
	word(w, option);
	word(w, value);
}

const char *command_escaped(struct arena *arena, const char *value)
{
	char *copy = arena_alloc(arena, strlen(value) * 2 + 1), *at = copy;

	for (; *value; value++) {
		*at++ = *value;
		if (*value == ',')
			*at++ = ',';
	}
	return copy;
}

/* "virtio-net-pci" or "virtio-net-device" */
static const char *device(struct words *w, const struct profile *profile, const char *name)
{
	return arena_printf(w->arena, "%s-%s", name, profile->bus == BUS_PCI ? "pci" : "device");
}

const char *command_uuid(struct arena *arena, const struct driver_guest *guest)
{
	return arena_printf(arena, "%.8s-6e76-8000-8000-%.8s0000", guest->id, guest->id);
}

/* Whether the guest's CPU is Intel's: it is the host's own, under KVM. */
static bool is_intel(void)
{
	cleanup_free char *text = NULL;
	size_t length;

	return file_read("/proc/cpuinfo", 16 << 20, &text, &length, NULL) == 0 && strstr(text, "GenuineIntel");
}

static bool applies(const struct machine_setting *setting, const struct driver_guest *guest)
{
	/* Most of what KVM does for Windows takes a local APIC that is KVM's (profile.c). */
	bool kvm = guest->accelerator == ACCEL_KVM && !guest->svm_emulated;

	if (!(setting->systems & settings_system(guest->os)) ||
	    (setting->place == SETTING_CPU && guest->hypervisor_hidden))
		return false;
	switch (setting->when) {
	case SETTING_ALWAYS:
		return true;
	case SETTING_UNDER_KVM:
		return kvm;
	case SETTING_NESTED:
		return kvm && guest->nested;
	case SETTING_NESTED_INTEL:
		return kvm && guest->nested && is_intel();
	}
	return false;
}

/* The settings of one place, each with a comma in front. */
static const char *setting_words(struct arena *arena, const struct driver_guest *guest, enum setting_place place)
{
	const char *words = "";

	for (size_t i = 0; i < setting_count; i++)
		if (settings[i].place == place && applies(&settings[i], guest))
			words = arena_printf(arena, "%s,%s", words, settings[i].value);
	return words;
}

/* A device that its system wants in place of a virtio one; NULL: none. */
static const char *setting_device(const struct driver_guest *guest, enum setting_place place)
{
	for (size_t i = 0; i < setting_count; i++)
		if (settings[i].place == place && applies(&settings[i], guest))
			return settings[i].value;
	return NULL;
}

/* ESXi has no driver for any such device, nor an agent behind one. */
static bool has_virtio(const struct driver_guest *guest)
{
	return settings_system(guest->os) != ESXI;
}

static const char *cpu_words(struct arena *arena, const struct driver_guest *guest, const struct profile *profile)
{
	bool kvm = guest->accelerator == ACCEL_KVM;

	return arena_printf(arena, "%s%s%s", guest->nested ? profile->cpu_nested : profile->cpu_plain,
			    !guest->hypervisor_hidden ? ""
			    : kvm		      ? ",-hypervisor,kvm=off"
						      : ",-hypervisor",
			    setting_words(arena, guest, SETTING_CPU));
}

static void add_clock(struct words *w, const struct driver_guest *guest)
{
	for (size_t i = 0; i < setting_count; i++) {
		const struct machine_setting *setting = &settings[i];

		if (setting->place == SETTING_CLOCK && applies(setting, guest))
			pair(w, "-rtc", setting->value);
		if (setting->place == SETTING_GLOBAL && applies(setting, guest))
			pair(w, "-global", setting->value);
	}
}

static void add_machine(struct words *w, const struct command *command)
{
	const struct driver_guest *guest = command->guest;
	const struct profile *profile = command->profile;

	word(w, profile->binary);
	pair(w, "-name",
	     arena_printf(w->arena, "guest=%s/%s,process=nv-%s", command_escaped(w->arena, guest->lab),
			  command_escaped(w->arena, guest->path), command_escaped(w->arena, guest->name)));
	pair(w, "-uuid", command_uuid(w->arena, guest));
	pair(w, "-M",
	     arena_printf(w->arena, "%s%s%s", profile->machine,
			  !command->own->variables ? ""
			  : command->firmware->smm ? ",smm=on"
						   : ",smm=off",
			  setting_words(w->arena, guest, SETTING_MACHINE)));
	pair(w, "-accel", profile->accelerator);
	pair(w, "-cpu", cpu_words(w->arena, guest, profile));
	pair(w, "-smp", arena_printf(w->arena, "%u", guest->cpus));
	pair(w, "-m", arena_printf(w->arena, "%lluM", (unsigned long long)(guest->memory >> 20)));
	add_clock(w, guest);
	word(w, "-nodefaults");
	word(w, "-no-user-config");
	pair(w, "-display", "none");
	/* A system that installs itself restarts several times; one that nestvisor gives the kernel has no reason to.
	 */
	if (!settings_system(guest->os))
		word(w, "-no-reboot");
	if (strncmp(profile->accelerator, "tcg", 3) == 0) { /* tells a triple fault from a reboot */
		pair(w, "-d", "cpu_reset");
		pair(w, "-D", arena_printf(w->arena, "%s/cpu.log", guest->run_dir));
	}
	if (command->memory >= 0) {
		pair(w, "-incoming", arena_printf(w->arena, "fd:%d", command->memory));
		word(w, "-S");
	}
	if (profile->sandbox)
		pair(w, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
}

/*
 * Flash for UEFI: its code, and the guest's own variables, which only code in System Management Mode may then write.
 * That needs the guest not to sleep (S3), where it would begin again outside of that mode.
 */
static void add_firmware(struct words *w, const struct command *command)
{
	const struct firmware_files *files = command->firmware;

	if (!command->own->variables)
		return;
	if (files->smm)
		pair(w, "-global", "driver=cfi.pflash01,property=secure,value=on");
	pair(w, "-global", "ICH9-LPC.disable_s3=1");
	pair(w, "-drive",
	     arena_printf(w->arena, "if=pflash,unit=0,readonly=on,format=%s,file=%s", files->code_format,
			  command_escaped(w->arena, files->code)));
	pair(w, "-drive",
	     arena_printf(w->arena, "if=pflash,unit=1,format=%s,file=%s", files->variables_format,
			  command_escaped(w->arena, command->own->variables)));
}

static void add_tpm(struct words *w, const struct command *command)
{
	if (command->tpm < 0)
		return;
	pair(w, "-chardev", arena_printf(w->arena, "socket,id=tpm,fd=%d", command->tpm));
	pair(w, "-tpmdev", "emulator,id=tpm0,chardev=tpm");
	pair(w, "-device", "tpm-crb,tpmdev=tpm0");
}

/*
 * The display with the least of emulated hardware that the firmware knows: bochs-display has no VGA registers, but a
 * BIOS needs them. The keyboard is the machine's own (PS/2); the pointer tells places and not movements, as whoever
 * looks on needs it, and is no USB device.
 */
static void add_display(struct words *w, const struct command *command)
{
	if (!command->guest->display)
		return;
	pair(w, "-device", command->own->variables ? "bochs-display" : "VGA");
	if (has_virtio(command->guest))
		pair(w, "-device", "virtio-tablet-pci");
	pair(w, "-vnc", arena_printf(w->arena, "unix:%s/vnc", command_escaped(w->arena, command->guest->run_dir)));
}

const char *command_kernel_line(struct arena *arena, const struct driver_guest *guest, const struct profile *profile)
{
	return arena_printf(arena, "console=ttyS0 panic=-1 quiet %s %s %s", profile->append, guest->image->append,
			    guest->append ? guest->append : "");
}

bool command_kernel(struct arena *arena, const struct driver_guest *guest, const struct profile *profile,
		    struct command_kernel *ret)
{
	const struct image *image = guest->image;

	if (!image->kernel || guest->firmware != FIRMWARE_BIOS)
		return false;
	ret->kernel = profile->elf_kernel && image->vmlinux ? image->vmlinux : image->kernel;
	ret->initrd = guest->nested && image->initrd_host ? image->initrd_host : image->initrd;
	ret->append = command_kernel_line(arena, guest, profile);
	return true;
}

static void add_kernel(struct words *w, const struct driver_guest *guest, const struct profile *profile)
{
	struct command_kernel kernel;

	if (!command_kernel(w->arena, guest, profile, &kernel))
		return;
	pair(w, "-kernel", kernel.kernel);
	pair(w, "-initrd", kernel.initrd);
	pair(w, "-append", kernel.append);
}

static void add_channels(struct words *w, const struct driver_guest *guest, const struct profile *profile,
			 const struct command *command)
{
	const char *dir = command_escaped(w->arena, guest->run_dir);

	pair(w, "-chardev", arena_printf(w->arena, "socket,id=qmp,fd=%d,server=on,wait=off", command->qmp));
	pair(w, "-mon", "chardev=qmp,mode=control");
	if (command->events >= 0) {
		pair(w, "-chardev",
		     arena_printf(w->arena, "socket,id=events,fd=%d,server=on,wait=off", command->events));
		pair(w, "-mon", "chardev=events,mode=control");
	}
	pair(w, "-chardev",
	     arena_printf(w->arena, "socket,id=console,fd=%d,server=on,wait=off,logfile=%s/console.log,logappend=on",
			  command->console, dir));
	pair(w, "-serial", "chardev:console");
	if (!has_virtio(guest))
		return;
	pair(w, "-device", arena_printf(w->arena, "%s,id=serial", device(w, profile, "virtio-serial")));
	/* A pair of FIFOs: see transport/qga_channel.c for why not a socket. */
	pair(w, "-chardev", arena_printf(w->arena, "pipe,id=qga,path=%s/qga", dir));
	pair(w, "-device", "virtserialport,chardev=qga,name=org.qemu.guest_agent.0");
	pair(w, "-object", "rng-random,id=rng,filename=/dev/urandom");
	pair(w, "-device", arena_printf(w->arena, "%s,rng=rng", device(w, profile, "virtio-rng")));
}

bool command_is_block_device(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISBLK(st.st_mode);
}

/*
 * QEMU's own locks stay on: they keep a second QEMU from writing to a disk in use, and let any number of them read one.
 * What a guest discards is given back to the host's disk.
 */
static void add_disk(struct words *w, const struct command *command, const struct driver_disk *disk, size_t i,
		     bool boots)
{
	const char *other = setting_device(command->guest, SETTING_DISK);
	const char *access = disk->read_only ? "read-only=on" : "read-only=off,discard=unmap";

	pair(w, "-blockdev",
	     arena_printf(w->arena, "driver=%s,node-name=file%zu,filename=%s,%s,auto-read-only=off",
			  command_is_block_device(disk->path) ? "host_device" : "file", i,
			  command_escaped(w->arena, disk->path), access));
	pair(w, "-blockdev",
	     arena_printf(w->arena, "driver=%s,node-name=disk%zu,file=file%zu,%s", disk->format, i, i, access));
	pair(w, "-device",
	     arena_printf(w->arena, "%s,drive=disk%zu%s%s%s",
			  other ? arena_printf(w->arena, "%s,bus=ide.%zu", other, i)
				: device(w, command->profile, "virtio-blk"),
			  i, disk->serial ? ",serial=" : "",
			  disk->serial ? command_escaped(w->arena, disk->serial) : "", boots ? ",bootindex=0" : ""));
}

static void add_disks(struct words *w, const struct command *command)
{
	const struct driver_guest *guest = command->guest;
	struct driver_disk boot = {
		.path = command->own->boot_disk, .format = "raw", .serial = "boot", .read_only = true};

	for (size_t i = 0; i < guest->disk_count; i++)
		add_disk(w, command, &guest->disks[i], i, i == 0 && !guest->image->kernel);
	if (boot.path)
		add_disk(w, command, &boot, guest->disk_count, true);
}

/*
 * On the machine's own SATA (of pc: IDE), the one kind of CD drive that Windows' Setup has a driver for. They come
 * behind the disk: an empty one does not boot, and once there is a system on it the CD is not asked any more.
 */
static void add_cds(struct words *w, const struct driver_guest *guest)
{
	for (size_t i = 0; i < guest->cd_count; i++) {
		pair(w, "-blockdev",
		     arena_printf(w->arena, "driver=%s,node-name=cdfile%zu,filename=%s,read-only=on",
				  command_is_block_device(guest->cds[i]) ? "host_device" : "file", i,
				  command_escaped(w->arena, guest->cds[i])));
		pair(w, "-blockdev",
		     arena_printf(w->arena, "driver=raw,node-name=cd%zu,file=cdfile%zu,read-only=on", i, i));
		pair(w, "-device",
		     arena_printf(w->arena, "ide-cd,drive=cd%zu,bus=ide.%zu%s", i, i, i == 0 ? ",bootindex=1" : ""));
	}
}

/* Being there is not enough: without the module the device node opens with ENODEV. */
static bool vhost_opens(void)
{
	cleanup_close int fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);

	return fd >= 0;
}

/* "fd=7", "fds=7:8" */
static const char *descriptors(struct arena *arena, const struct driver_nic *nic)
{
	const char *text = arena_printf(arena, "%s=%d", nic->queues > 1 ? "fds" : "fd", nic->tap_fds[0]);

	for (unsigned i = 1; i < nic->queues; i++)
		text = arena_printf(arena, "%s:%d", text, nic->tap_fds[i]);
	return text;
}

static void add_nics(struct words *w, const struct driver_guest *guest, const struct profile *profile)
{
	const char *other = setting_device(guest, SETTING_NIC);
	const char *vhost =
		guest->nic_count && guest->accelerator == ACCEL_KVM && !other && vhost_opens() ? ",vhost=on" : "";

	for (size_t i = 0; i < guest->nic_count; i++) {
		const struct driver_nic *nic = &guest->nics[i];
		char mac[MAC_TEXT_SIZE];

		pair(w, "-netdev", arena_printf(w->arena, "tap,id=net%zu,%s%s", i, descriptors(w->arena, nic), vhost));
		pair(w, "-device",
		     arena_printf(w->arena, "%s,netdev=net%zu,mac=%s%s%s%s",
				  other ? other : device(w, profile, "virtio-net"), i, mac_format(nic->mac, mac),
				  nic->queues > 1 ? ",mq=on" : "",
				  nic->mtu && !other ? arena_printf(w->arena, ",host_mtu=%u", nic->mtu) : "",
				  profile->bus == BUS_PCI ? ",romfile=" : "")); /* nothing boots over the network */
	}
}

const char *const *command_build(struct arena *arena, const struct command *command)
{
	const struct driver_guest *guest = command->guest;
	const struct profile *profile = command->profile;
	struct words w = {.arena = arena};

	add_machine(&w, command);
	add_firmware(&w, command);
	add_kernel(&w, guest, profile);
	add_channels(&w, guest, profile, command);
	add_tpm(&w, command);
	add_disks(&w, command);
	add_cds(&w, guest);
	add_nics(&w, guest, profile);
	add_display(&w, command);
	word(&w, NULL);
	return w.argv;
}
