#include "driver/libvirt_xml.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/ip.h"
#include "base/strbuf.h"
#include "driver/command.h"
#include "driver/libvirt_user.h"
#include "image/image.h"

#include <stdlib.h>
#include <string.h>

/* A path with a control character becomes another, and libvirt then finds no such file. */
static const char *escaped(struct arena *arena, const char *text)
{
	cleanup_strbuf struct strbuf out = {0};

	strbuf_add_xml(&out, text);
	return arena_strdup(arena, out.length ? out.text : "");
}

const char *libvirt_domain_name(struct arena *arena, const struct driver_guest *guest)
{
	return arena_printf(arena, "%s:%s", guest->lab, guest->name);
}

const char *libvirt_mark(struct arena *arena, const char *lab, const char *path)
{
	return arena_printf(arena, "%s/%s", lab, path);
}

struct writer {
	struct arena *arena;
	struct strbuf text;
	const struct driver_guest *guest;
	const struct profile *profile;
};

/* "EPYC,+svm,-npt": a model of QEMU's and what is added to it or taken away. */
static void add_cpu(struct writer *w)
{
	const char *cpu = w->guest->nested ? w->profile->cpu_nested : w->profile->cpu_plain;
	size_t length = strcspn(cpu, ",");

	if (strncmp(cpu, "host", length) == 0)
		strbuf_add(&w->text, "  <cpu mode='host-passthrough' check='none'>\n");
	else if (strncmp(cpu, "max", length) == 0)
		strbuf_add(&w->text, "  <cpu mode='maximum' check='none'>\n");
	else /* unchecked: the CPU that TCG makes lacks features that the model has, and says so (recipes of QEMU's) */
		strbuf_printf(&w->text,
			      "  <cpu mode='custom' match='exact' check='none'>\n"
			      "    <model fallback='forbid'>%.*s</model>\n",
			      (int)length, cpu);
	for (const char *word = cpu + length; *word; word += strcspn(word, ",")) {
		word++;
		if (*word == '+' || *word == '-')
			strbuf_printf(&w->text, "    <feature policy='%s' name='%.*s'/>\n",
				      *word == '+' ? "require" : "disable", (int)strcspn(word + 1, ","), word + 1);
	}
	if (w->guest->hypervisor_hidden)
		strbuf_add(&w->text, "    <feature policy='disable' name='hypervisor'/>\n");
	strbuf_add(&w->text, "  </cpu>\n");
}

static void add_os(struct writer *w)
{
	const struct driver_guest *guest = w->guest;
	struct command_kernel kernel;

	strbuf_printf(&w->text, "  <os>\n    <type arch='x86_64' machine='%s'>hvm</type>\n", w->profile->machine);
	if (command_kernel(w->arena, guest, w->profile, &kernel)) {
		strbuf_printf(&w->text, "    <kernel>%s</kernel>\n", escaped(w->arena, kernel.kernel));
		strbuf_printf(&w->text, "    <initrd>%s</initrd>\n", escaped(w->arena, kernel.initrd));
		strbuf_printf(&w->text, "    <cmdline>%s</cmdline>\n", escaped(w->arena, kernel.append));
	}
	strbuf_add(&w->text, "  </os>\n");
}

/* "tcg,thread=multi,tb-size=256": what of it libvirt has words for. */
static void add_features(struct writer *w)
{
	const char *cache = strstr(w->profile->accelerator, "tb-size=");

	strbuf_add(&w->text, "  <features>\n    <acpi/>\n    <apic/>\n");
	if (w->guest->hypervisor_hidden && w->guest->accelerator == ACCEL_KVM)
		strbuf_add(&w->text, "    <kvm>\n      <hidden state='on'/>\n    </kvm>\n");
	if (cache)
		strbuf_printf(&w->text, "    <tcg>\n      <tb-cache unit='MiB'>%d</tb-cache>\n    </tcg>\n",
			      atoi(cache + strlen("tb-size=")));
	strbuf_add(&w->text, "  </features>\n");
}

static void add_disks(struct writer *w)
{
	for (size_t i = 0; i < w->guest->disk_count; i++) {
		const struct driver_disk *disk = &w->guest->disks[i];
		bool block = command_is_block_device(disk->path);

		strbuf_printf(&w->text,
			      "    <disk type='%s' device='disk'>\n"
			      "      <driver name='qemu' type='%s'%s/>\n"
			      "      <source %s='%s'/>\n"
			      "      <target dev='vd%c' bus='virtio'/>\n",
			      block ? "block" : "file", disk->format, disk->read_only ? "" : " discard='unmap'",
			      block ? "dev" : "file", escaped(w->arena, disk->path), (char)('a' + i));
		if (disk->read_only)
			strbuf_add(&w->text, "      <readonly/>\n");
		if (disk->serial)
			strbuf_printf(&w->text, "      <serial>%s</serial>\n", escaped(w->arena, disk->serial));
		if (i == 0 && !w->guest->image->kernel)
			strbuf_add(&w->text, "      <boot order='1'/>\n");
		strbuf_add(&w->text, "    </disk>\n");
	}
}

/* managed='no': the tap is ours, and there before the domain starts. */
static void add_nics(struct writer *w)
{
	for (size_t i = 0; i < w->guest->nic_count; i++) {
		const struct driver_nic *nic = &w->guest->nics[i];
		char mac[MAC_TEXT_SIZE];

		strbuf_printf(&w->text,
			      "    <interface type='ethernet'>\n"
			      "      <mac address='%s'/>\n"
			      "      <target dev='%s' managed='no'/>\n"
			      "      <model type='virtio'/>\n",
			      mac_format(nic->mac, mac), nic->tap);
		if (nic->queues > 1)
			strbuf_printf(&w->text, "      <driver queues='%u'/>\n", nic->queues);
		if (nic->mtu)
			strbuf_printf(&w->text, "      <mtu size='%u'/>\n", nic->mtu);
		strbuf_add(&w->text, "      <rom enabled='no'/>\n    </interface>\n");
	}
}

static void add_channels(struct writer *w)
{
	const char *dir = escaped(w->arena, w->guest->run_dir),
		   *console = escaped(w->arena, libvirt_user_folder(w->arena, w->guest));

	strbuf_printf(&w->text,
		      "    <serial type='unix'>\n"
		      "      <source mode='bind' path='%s/console'/>\n"
		      "      <log file='%s/console.log' append='on'/>\n"
		      "      <target port='0'/>\n"
		      "    </serial>\n",
		      console, console);
	/* libvirt talks to agents on unix sockets alone, and leaves this one to nestvisor. */
	strbuf_printf(&w->text,
		      "    <channel type='pipe'>\n"
		      "      <source path='%s/qga'/>\n"
		      "      <target type='virtio' name='org.qemu.guest_agent.0'/>\n"
		      "    </channel>\n",
		      dir);
	strbuf_add(&w->text, "    <rng model='virtio'>\n"
			     "      <backend model='random'>/dev/urandom</backend>\n"
			     "    </rng>\n");
}

static void add_devices(struct writer *w, const char *emulator)
{
	strbuf_printf(&w->text, "  <devices>\n    <emulator>%s</emulator>\n", escaped(w->arena, emulator));
	add_disks(w);
	strbuf_add(&w->text, "    <controller type='usb' model='none'/>\n");
	add_nics(w);
	add_channels(w);
	strbuf_add(&w->text, "    <memballoon model='none'/>\n  </devices>\n");
}

const char *libvirt_domain_xml(struct arena *arena, const struct driver_guest *guest, const struct profile *profile,
			       const char *emulator)
{
	struct writer w = {.arena = arena, .guest = guest, .profile = profile};
	const char *text;

	strbuf_printf(&w.text,
		      "<domain type='%s'>\n"
		      "  <name>%s</name>\n"
		      "  <uuid>%s</uuid>\n"
		      "  <title>guest %s of nestvisor's lab %s</title>\n"
		      "  <metadata>\n"
		      "    <" LIBVIRT_MARK_PREFIX ":lab xmlns:" LIBVIRT_MARK_PREFIX "='" LIBVIRT_MARK_URI
		      "'>%s</" LIBVIRT_MARK_PREFIX ":lab>\n"
		      "  </metadata>\n"
		      "  <memory unit='KiB'>%llu</memory>\n"
		      "  <vcpu>%u</vcpu>\n",
		      guest->accelerator == ACCEL_KVM ? "kvm" : "qemu",
		      escaped(arena, libvirt_domain_name(arena, guest)), command_uuid(arena, guest), guest->path,
		      guest->lab, escaped(arena, libvirt_mark(arena, guest->lab, guest->path)),
		      (unsigned long long)guest->memory >> 10, guest->cpus);
	add_os(&w);
	add_features(&w);
	add_cpu(&w);
	/* A guest that resets ends, as it does without libvirt: a silent reset is a fault of the CPU. */
	strbuf_add(&w.text, "  <clock offset='utc'/>\n"
			    "  <on_poweroff>destroy</on_poweroff>\n"
			    "  <on_reboot>destroy</on_reboot>\n"
			    "  <on_crash>destroy</on_crash>\n");
	add_devices(&w, emulator);
	/*
	 * As the user that nestvisor is, root: QEMU of another user could not enter the lab's folders, and libvirt
	 * would have to give it the base images, which other labs use, too. A user's own libvirt has his user alone.
	 */
	if (!guest->user)
		strbuf_add(&w.text, "  <seclabel type='static' model='dac' relabel='no'>\n"
				    "    <label>+0:+0</label>\n"
				    "  </seclabel>\n");
	strbuf_add(&w.text, "</domain>\n");
	text = arena_strdup(arena, w.text.text);
	free(strbuf_steal(&w.text));
	return text;
}
