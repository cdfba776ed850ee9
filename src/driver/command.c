#include "driver/command.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/ip.h"
#include "image/image.h"

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

/* A comma in a value is doubled (qemu(1)): no path can become an option of its own. */
static const char *escaped(struct arena *arena, const char *value)
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

static void add_machine(struct words *w, const struct driver_guest *guest, const struct profile *profile)
{
	word(w, profile->binary);
	pair(w, "-name",
	     arena_printf(w->arena, "guest=%s/%s,process=nv-%s", escaped(w->arena, guest->lab),
			  escaped(w->arena, guest->path), escaped(w->arena, guest->name)));
	/* A UUID of version 8 (RFC 9562, 5.8): its digits are ours to choose. */
	pair(w, "-uuid", arena_printf(w->arena, "%.8s-6e76-8000-8000-%.8s0000", guest->id, guest->id));
	pair(w, "-M", profile->machine);
	pair(w, "-accel", profile->accelerator);
	pair(w, "-cpu", guest->nested ? profile->cpu_nested : profile->cpu_plain);
	pair(w, "-smp", arena_printf(w->arena, "%u", guest->cpus));
	pair(w, "-m", arena_printf(w->arena, "%lluM", (unsigned long long)(guest->memory >> 20)));
	word(w, "-nodefaults");
	word(w, "-no-user-config");
	pair(w, "-display", "none");
	word(w, "-no-reboot");
	if (strncmp(profile->accelerator, "tcg", 3) == 0) { /* tells a triple fault from a reboot */
		pair(w, "-d", "cpu_reset");
		pair(w, "-D", arena_printf(w->arena, "%s/cpu.log", guest->run_dir));
	}
	if (profile->sandbox)
		pair(w, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
}

static void add_kernel(struct words *w, const struct driver_guest *guest, const struct profile *profile)
{
	const struct image *image = guest->image;

	if (!image->kernel)
		return;
	pair(w, "-kernel", profile->elf_kernel && image->vmlinux ? image->vmlinux : image->kernel);
	pair(w, "-initrd", guest->nested && image->initrd_host ? image->initrd_host : image->initrd);
	pair(w, "-append",
	     arena_printf(w->arena, "console=ttyS0 panic=-1 quiet %s %s %s", profile->append, image->append,
			  guest->append ? guest->append : ""));
}

static void add_channels(struct words *w, const struct driver_guest *guest, const struct profile *profile,
			 const struct command_sockets *sockets)
{
	const char *dir = escaped(w->arena, guest->run_dir);

	pair(w, "-chardev", arena_printf(w->arena, "socket,id=qmp,fd=%d,server=on,wait=off", sockets->qmp));
	pair(w, "-mon", "chardev=qmp,mode=control");
	pair(w, "-chardev",
	     arena_printf(w->arena, "socket,id=console,fd=%d,server=on,wait=off,logfile=%s/console.log,logappend=on",
			  sockets->console, dir));
	pair(w, "-serial", "chardev:console");
	pair(w, "-device", arena_printf(w->arena, "%s,id=serial", device(w, profile, "virtio-serial")));
	/* A pair of FIFOs: see transport/qga_channel.c for why not a socket. */
	pair(w, "-chardev", arena_printf(w->arena, "pipe,id=qga,path=%s/qga", dir));
	pair(w, "-device", "virtserialport,chardev=qga,name=org.qemu.guest_agent.0");
	pair(w, "-object", "rng-random,id=rng,filename=/dev/urandom");
	pair(w, "-device", arena_printf(w->arena, "%s,rng=rng", device(w, profile, "virtio-rng")));
}

/* A disk that is carried down from the layer above is a block device here. */
static bool is_block_device(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISBLK(st.st_mode);
}

/*
 * QEMU's own locks stay on: they keep a second QEMU from writing to a disk in use, and let any number of them read one.
 * What a guest discards is given back to the host's disk.
 */
static void add_disks(struct words *w, const struct driver_guest *guest, const struct profile *profile)
{
	for (size_t i = 0; i < guest->disk_count; i++) {
		const struct driver_disk *disk = &guest->disks[i];
		const char *access = disk->read_only ? "read-only=on" : "read-only=off,discard=unmap";

		pair(w, "-blockdev",
		     arena_printf(w->arena, "driver=%s,node-name=file%zu,filename=%s,%s,auto-read-only=off",
				  is_block_device(disk->path) ? "host_device" : "file", i,
				  escaped(w->arena, disk->path), access));
		pair(w, "-blockdev",
		     arena_printf(w->arena, "driver=%s,node-name=disk%zu,file=file%zu,%s", disk->format, i, i, access));
		pair(w, "-device",
		     arena_printf(w->arena, "%s,drive=disk%zu%s%s%s", device(w, profile, "virtio-blk"), i,
				  disk->serial ? ",serial=" : "", disk->serial ? escaped(w->arena, disk->serial) : "",
				  i == 0 && !guest->image->kernel ? ",bootindex=0" : ""));
	}
}

/* Being there is not enough: without the module the device node opens with ENODEV. */
static bool vhost_opens(void)
{
	cleanup_close int fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);

	return fd >= 0;
}

static void add_nics(struct words *w, const struct driver_guest *guest, const struct profile *profile)
{
	const char *vhost = guest->nic_count && guest->accelerator == ACCEL_KVM && vhost_opens() ? ",vhost=on" : "";

	for (size_t i = 0; i < guest->nic_count; i++) {
		const struct driver_nic *nic = &guest->nics[i];
		char mac[MAC_TEXT_SIZE];

		pair(w, "-netdev", arena_printf(w->arena, "tap,id=net%zu,fd=%d%s", i, nic->tap_fd, vhost));
		pair(w, "-device",
		     arena_printf(w->arena, "%s,netdev=net%zu,mac=%s%s%s", device(w, profile, "virtio-net"), i,
				  mac_format(nic->mac, mac),
				  nic->mtu ? arena_printf(w->arena, ",host_mtu=%u", nic->mtu) : "",
				  profile->bus == BUS_PCI ? ",romfile=" : "")); /* nothing boots over the network */
	}
}

const char *const *command_build(struct arena *arena, const struct driver_guest *guest, const struct profile *profile,
				 const struct command_sockets *sockets)
{
	struct words w = {.arena = arena};

	add_machine(&w, guest, profile);
	add_kernel(&w, guest, profile);
	add_channels(&w, guest, profile, sockets);
	add_disks(&w, guest, profile);
	add_nics(&w, guest, profile);
	word(&w, NULL);
	return w.argv;
}
