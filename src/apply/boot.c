#include "apply/boot.h"

#include "apply/into.h"
#include "apply/isolate.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/report.h"
#include "base/strbuf.h"
#include "driver/cpu.h"
#include "image/install.h"
#include "model/settings.h"
#include "model/windows.h"
#include "net/net.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void add_address(struct strbuf *sb, const struct ip *address, const struct prefix *subnet)
{
	char text[IP_TEXT_SIZE];

	if (address->family)
		strbuf_printf(sb, ",%s/%u", ip_format(address, text), subnet->length);
	else
		strbuf_add(sb, ",-");
}

static void add_gateway(struct strbuf *sb, const struct nic *nic, const struct ip *gateway)
{
	char text[IP_TEXT_SIZE];

	strbuf_printf(sb, ",%s", nic->index == 0 && gateway->family ? ip_format(gateway, text) : "-");
}

/* nestvisor's own seed: words on the kernel command line that its images understand. */
static char *seed_words(const struct guest *guest)
{
	struct strbuf sb = {0};
	char text[MAC_TEXT_SIZE], dns[IP_TEXT_SIZE];

	strbuf_printf(&sb, "nestvisor.name=%s", guest->name);
	if (guest->host)
		strbuf_add(&sb, " nestvisor.host=1");
	for (size_t i = 0; i < guest->nic_count; i++) {
		const struct nic *nic = &guest->nics[i];
		const struct network *network = nic->network;

		strbuf_printf(&sb, " nestvisor.nic=%s", mac_format(nic->mac, text));
		if (network->dhcp && !nic->address4.family)
			strbuf_add(&sb, ",dhcp");
		else
			add_address(&sb, &nic->address4, &network->subnet4);
		add_gateway(&sb, nic, &network->gateway4);
		add_address(&sb, &nic->address6, &network->subnet6);
		add_gateway(&sb, nic, &network->gateway6);
		strbuf_printf(&sb, ",%u", network->mtu);
		if (i == 0 && network->dns && network->gateway4.family)
			strbuf_printf(&sb, " nestvisor.dns=%s", ip_format(&network->gateway4, dns));
	}
	return strbuf_steal(&sb);
}

/* The same for cloud-init: a NoCloud disk with network-config version 2. */
static void cloud_nic(struct strbuf *sb, const struct nic *nic)
{
	const struct network *network = nic->network;
	char mac[MAC_TEXT_SIZE], ip[IP_TEXT_SIZE];

	strbuf_printf(sb, "  nic%u:\n    match: {macaddress: \"%s\"}\n    mtu: %u\n    addresses:", nic->index,
		      mac_format(nic->mac, mac), network->mtu);
	if (nic->address4.family)
		strbuf_printf(sb, "\n    - \"%s/%u\"", ip_format(&nic->address4, ip), network->subnet4.length);
	if (nic->address6.family)
		strbuf_printf(sb, "\n    - \"%s/%u\"", ip_format(&nic->address6, ip), network->subnet6.length);
	if (!nic->address4.family && !nic->address6.family)
		strbuf_add(sb, " []\n    dhcp4: true");
	strbuf_add_char(sb, '\n');
	if (nic->index != 0)
		return;
	strbuf_add(sb, "    routes:");
	if (nic->address4.family && network->gateway4.family)
		strbuf_printf(sb, "\n    - {to: \"0.0.0.0/0\", via: \"%s\"}", ip_format(&network->gateway4, ip));
	if (nic->address6.family && network->gateway6.family)
		strbuf_printf(sb, "\n    - {to: \"::/0\", via: \"%s\"}", ip_format(&network->gateway6, ip));
	if (!nic->address4.family && !nic->address6.family)
		strbuf_add(sb, " []");
	strbuf_add_char(sb, '\n');
	if (network->dns && network->gateway4.family)
		strbuf_printf(sb, "    nameservers: {addresses: [\"%s\"]}\n", ip_format(&network->gateway4, ip));
}

static int make_cloud_seed(struct session *s, const struct guest *guest, const char *path, struct error **err)
{
	cleanup_strbuf struct strbuf meta = {0}, user = {0}, network = {0};

	strbuf_printf(&meta, "instance-id: nestvisor-%s-%s\nlocal-hostname: %s\n", s->lab->id, guest->id, guest->name);
	strbuf_add(&user, "#cloud-config\npackages: [qemu-guest-agent]\nruncmd: [[systemctl, enable, --now, "
			  "qemu-guest-agent]]\n");
	strbuf_add(&network, "version: 2\nethernets:\n");
	for (size_t i = 0; i < guest->nic_count; i++)
		cloud_nic(&network, &guest->nics[i]);
	return image_make_cloud_seed(path, meta.text, user.text, network.text, s->cancel, err);
}

static void add_disk(struct arena *arena, struct driver_guest *d, const char *path, const char *format,
		     const char *serial, bool read_only)
{
	struct driver_disk *disks = (struct driver_disk *)(uintptr_t)d->disks;

	*arena_push(arena, disks, d->disk_count) = (struct driver_disk){path, format, serial, read_only};
	d->disks = disks;
}

/*
 * The guest's own disk: renamed into place when whole, so what is there is kept. Beside it stands what it lies on: a
 * disk that was kept from another image (down --keep-disks) must not be booted as this one.
 */
static int make_disk(struct session *s, struct arena *arena, const struct boot *boot, const char *overlay,
		     struct error **err)
{
	static const struct image empty = {.name = "(none)"};
	const struct image *image = boot->guest->install ? &empty : boot->image;
	const char *base_file = arena_printf(arena, "%s.base", overlay);
	const char *base = image->disk ? image->disk : "";
	cleanup_free char *known = NULL;
	size_t length;
	int r;

	if (!file_exists(overlay)) {
		r = file_write_atomic(base_file, base, strlen(base), 0600, err);
		return r < 0 ? r : image_make_overlay(image, overlay, boot->guest->disk, s->cancel, err);
	}
	r = file_read(base_file, 1 << 16, &known, &length, err);
	if (r < 0 || strcmp(known, base) == 0)
		return r;
	r = error_set(err, EEXIST, "the disk that was kept for %s lies on %s, and image %s is %s now",
		      boot->guest->path, known, image->name, base);
	error_hint(err, "remove %s to begin with an empty disk, or name the former image", overlay);
	return r;
}

static int add_disks(struct session *s, struct arena *arena, const struct boot *boot, struct driver_guest *d,
		     struct error **err)
{
	const struct guest *guest = boot->guest;
	int r;

	if (boot->image->disk || guest->disk) {
		const char *overlay = folders_disk(arena, &s->folders, guest->name);

		r = make_disk(s, arena, boot, overlay, err);
		if (r < 0)
			return r;
		add_disk(arena, d, folders_active_disk(arena, &s->folders, guest->name), "qcow2", "root", false);
	}
	if (guest->seed == SEED_CLOUD_INIT) {
		const char *seed = folders_seed(arena, &s->folders, guest->name);

		r = make_cloud_seed(s, guest, seed, err);
		if (r < 0)
			return r;
		add_disk(arena, d, seed, "raw", "seed", true);
	}
	for (size_t i = 0; i < boot->carried_count; i++)
		for (size_t j = 0; j < boot->carried[i]->carrier_count; j++) {
			const struct image_carrier *carrier = &boot->carried[i]->carriers[j];

			add_disk(arena, d, carrier->path, carrier->format, carrier->serial, true);
		}
	return 0;
}

/* The media, and the answers: until Windows is installed. */
static int add_cds(struct session *s, struct arena *arena, const struct boot *boot, struct driver_guest *d,
		   struct error **err)
{
	const char *seed = folders_seed(arena, &s->folders, boot->guest->name);
	const char **cds = arena_alloc(arena, 3 * sizeof(*cds));
	int r;

	if (!boot->guest->install || file_exists(folders_installed(arena, &s->folders, boot->guest->name)))
		return 0;
	r = install_make_seed(boot->guest, seed, err);
	if (r < 0)
		return r;
	cds[0] = boot->image->disk;
	cds[1] = boot->virtio->disk;
	cds[2] = seed;
	d->cds = cds;
	d->cd_count = 3;
	return 0;
}

static int make_taps(struct session *s, struct arena *arena, const struct nic *nic, struct driver_nic *d,
		     struct error **err)
{
	int *fds, r;

	if (nic->guest->libvirt) {
		char *name = arena_alloc(arena, INTERFACE_NAME_SIZE);

		nic_loose_tap(nic, name);
		d->tap = name;
		return net_make_loose_tap(s->net, nic, d->queues > 1, err);
	}
	fds = arena_alloc(arena, d->queues * sizeof(*fds));
	r = net_make_tap(s->net, nic, d->queues, fds, err);
	if (r == 0)
		d->tap_fds = fds;
	return r;
}

static int add_nics(struct session *s, struct arena *arena, const struct guest *guest, struct driver_guest *d,
		    struct driver_nic *nics, struct error **err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < guest->nic_count; i++) {
		const struct nic *nic = &guest->nics[i];

		nics[i].queues = driver_queues(d, nic->queues);
		nics[i].mtu = nic->network->mtu;
		memcpy(nics[i].mac, nic->mac, sizeof(nic->mac));
		r = make_taps(s, arena, nic, &nics[i], err);
	}
	return r;
}

static void close_taps(const struct driver_guest *d)
{
	for (size_t i = 0; i < d->nic_count; i++)
		for (unsigned j = 0; d->nics[i].tap_fds && j < d->nics[i].queues; j++)
			close(d->nics[i].tap_fds[j]);
}

struct plugging {
	struct session *session;
	const struct guest *guest;
};

static int plug_nics(void *data, struct error **err)
{
	const struct plugging *plugging = data;

	return isolate_plug(plugging->session, plugging->guest, err);
}

static unsigned cpus_of(const struct session *s, const struct guest *guest, enum accelerator accelerator)
{
	unsigned cpus = guest_cpus(guest, accelerator != ACCEL_KVM);

	if (cpus != guest->cpus)
		report(s->reporter, REPORT_NOTE, guest->path,
		       "has one CPU for its %u: more do not nest under emulation", guest->cpus);
	return cpus;
}

static void say_who_sees_inside(const struct session *s, const struct guest *guest)
{
	if (guest->nested && settings_system(guest->os))
		report(s->reporter, REPORT_NOTE, guest->path,
		       "sees svm or vmx: guests that it runs are %s own affair; nestvisor does not see them, and a cut "
		       "of "
		       "it cuts them, too",
		       windows_version(guest->os) ? "Windows'" : "ESXi's");
}

int boot_guest(struct session *s, const struct boot *boot, struct driver_state *ret, struct error **err)
{
	const struct guest *guest = boot->guest;
	cleanup_arena struct arena *arena = arena_new();
	struct driver_nic *nics = arena_alloc(arena, (guest->nic_count ? guest->nic_count : 1) * sizeof(*nics));
	const char *run_dir = folders_guest(arena, &s->folders, guest->name);
	struct plugging plugging = {s, guest};
	cleanup_free char *words = guest->seed == SEED_NATIVE ? seed_words(guest) : NULL;
	struct driver_guest d = {.lab = s->lab->name,
				 .path = guest->path,
				 .name = guest->name,
				 .id = guest->id,
				 .run_dir = run_dir,
				 .layer = guest->layer,
				 .cpus = cpus_of(s, guest, boot->accelerator),
				 .memory = guest->memory,
				 .nested = guest->nested || guest->host,
				 .image = boot->image,
				 .append = words,
				 .os = guest->os,
				 .firmware = guest->firmware,
				 .tpm = guest->tpm,
				 .display = guest->display,
				 .hypervisor_hidden = guest->hypervisor_hidden,
				 .own_dir = folders_own(arena, &s->folders, guest->name),
				 .nics = nics,
				 .nic_count = guest->nic_count,
				 .accelerator = boot->accelerator,
				 .svm_emulated = cpu_svm_is_emulated(),
				 .saved = boot->saved,
				 .netns = net_netns_fd(s->net),
				 .uri = guest->libvirt,
				 .plug = plug_nics,
				 .plug_data = &plugging};
	int r;

	say_who_sees_inside(s, guest);
	r = dir_make(run_dir, 0700, err);
	if (r == 0)
		r = add_disks(s, arena, boot, &d, err);
	if (r == 0)
		r = add_cds(s, arena, boot, &d, err);
	if (r == 0)
		r = add_nics(s, arena, guest, &d, nics, err);
	if (r == 0)
		r = driver_for(guest->libvirt)->start(&d, s->cancel, ret, err);
	close_taps(&d);
	return r;
}

/*
 * For images that only have an agent: one script on the guest's standard shell, its facts as arguments, one NIC per
 * four of them: MAC, addresses separated by commas, gateways separated by commas, MTU.
 */
static const char settle_script[] =
	"hostname \"$1\" 2>/dev/null; shift\n"
	"while [ $# -ge 4 ]; do\n"
	"  for d in /sys/class/net/*; do\n"
	"    [ \"$(cat $d/address)\" = \"$1\" ] || continue\n"
	"    i=${d##*/}; ip link set \"$i\" mtu \"$4\" up || exit 1\n"
	"    for a in $(echo \"$2\" | tr , ' '); do ip addr replace \"$a\" dev \"$i\" || exit 1; done\n"
	"    for g in $(echo \"$3\" | tr , ' '); do ip route replace default via \"$g\" dev \"$i\" || exit 1; done\n"
	"  done; shift 4\n"
	"done\n";

static const char *joined_addresses(struct arena *arena, const struct nic *nic)
{
	char a4[IP_TEXT_SIZE] = "", a6[IP_TEXT_SIZE] = "";

	if (nic->address4.family && nic->address6.family)
		return arena_printf(arena, "%s/%u,%s/%u", ip_format(&nic->address4, a4), nic->network->subnet4.length,
				    ip_format(&nic->address6, a6), nic->network->subnet6.length);
	if (nic->address4.family)
		return arena_printf(arena, "%s/%u", ip_format(&nic->address4, a4), nic->network->subnet4.length);
	if (nic->address6.family)
		return arena_printf(arena, "%s/%u", ip_format(&nic->address6, a6), nic->network->subnet6.length);
	return "";
}

static const char *joined_gateways(struct arena *arena, const struct nic *nic)
{
	char g4[IP_TEXT_SIZE] = "", g6[IP_TEXT_SIZE] = "";
	bool use4 = nic->index == 0 && nic->address4.family && nic->network->gateway4.family;
	bool use6 = nic->index == 0 && nic->address6.family && nic->network->gateway6.family;

	if (use4)
		ip_format(&nic->network->gateway4, g4);
	if (use6)
		ip_format(&nic->network->gateway6, g6);
	return arena_printf(arena, "%s%s%s", g4, use4 && use6 ? "," : "", g6);
}

int boot_installed(struct session *s, const struct guest *guest, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	const char *mark = folders_installed(arena, &s->folders, guest->name);
	int r;

	if (!guest->install || file_exists(mark))
		return 0;
	r = file_write_atomic(mark, "", 0, 0600, err);
	return r < 0 ? r : dir_remove(folders_seed(arena, &s->folders, guest->name), err);
}

int boot_settle(struct session *s, const struct guest *guest, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_output struct process_output output = {0};
	cleanup_transport struct transport *t = NULL;
	const char **argv = NULL;
	size_t argc = 0;
	int r;

	if (guest->seed != SEED_AGENT || guest->nic_count == 0)
		return 0;
	*arena_push(arena, argv, argc) = "sh";
	*arena_push(arena, argv, argc) = "-c";
	*arena_push(arena, argv, argc) = settle_script;
	*arena_push(arena, argv, argc) = "sh";
	*arena_push(arena, argv, argc) = guest->name;
	for (size_t i = 0; i < guest->nic_count; i++) {
		char mac[MAC_TEXT_SIZE];

		*arena_push(arena, argv, argc) = arena_strdup(arena, mac_format(guest->nics[i].mac, mac));
		*arena_push(arena, argv, argc) = joined_addresses(arena, &guest->nics[i]);
		*arena_push(arena, argv, argc) = joined_gateways(arena, &guest->nics[i]);
		*arena_push(arena, argv, argc) = arena_printf(arena, "%u", guest->nics[i].network->mtu);
	}
	*arena_push(arena, argv, argc) = NULL;
	r = into_open(arena, &s->folders, s->lab, guest, s->cancel, &t, err);
	if (r == 0)
		r = transport_run(t, argv, NULL, 0, 60000, s->cancel, &output, err);
	if (r == 0 && output.status != 0)
		r = error_set(err, EIO, "setting the addresses of %s through its agent failed: %s", guest->path,
			      output.err);
	return r;
}
