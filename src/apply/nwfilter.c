#include "apply/nwfilter.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/nftables.h"
#include "driver/driver.h"
#include "driver/libvirt_filter.h"
#include "driver/libvirt_library.h"
#include "net/net.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int nwfilter_check(const struct lab *lab, const struct guest *guest, const struct isolation_setting *setting,
		   struct error **err)
{
	int r;

	if (setting->method != ISOLATION_NWFILTER)
		return 0;
	if (guest->parent != lab->root || !guest->libvirt) {
		r = error_set(err, EINVAL, "nwfilter is libvirt's, and %s is no guest of a libvirt of this host",
			      guest->path);
		error_hint(err, guest->parent == lab->root ? "--method nft holds all guests; in a lab file "
							     "driver: qemu:///system has libvirt run a guest"
							   : "--method nft holds guests of every depth");
		return r;
	}
	if (strstr(guest->libvirt, ":///session"))
		return error_set(err, EINVAL,
				 "a user's own libvirt has no nwfilter, which wants root: --method nft holds %s",
				 guest->path);
	if (lab->adopted)
		return error_set(err, EINVAL, "of what was adopted nothing is changed: --method nft holds %s",
				 guest->path);
	if (setting->allowed_count)
		return error_set(err, EINVAL,
				 "nwfilter lets a cut guest keep the lab's addresses and no others: --allow "
				 "is for --method nft");
	if (setting->open_until)
		return error_set(err, EINVAL,
				 "libvirt ends no opening by itself: --for is for --method nft, which does");
	if (setting->neighbours != NEIGHBOURS_KEEP)
		return error_set(err, EINVAL,
				 "libvirt's filters do not know the lab's other guests: --strict and "
				 "--neighbours drop are for --method nft");
	return 0;
}

static void add(struct arena *arena, struct libvirt_filter *filter, const struct prefix *prefix)
{
	struct prefix *list = (struct prefix *)(uintptr_t)filter->keep;

	if (!prefix->ip.family)
		return;
	*arena_push(arena, list, filter->keep_count) = *prefix;
	filter->keep = list;
}

/* The lab's subnets, in which its hosts have addresses, too; and of IPv6 the link, on which neighbours find each other.
 */
static void keep_lab(struct arena *arena, const struct lab *lab, struct libvirt_filter *filter)
{
	struct prefix link;

	if (prefix_parse("fe80::/10", &link))
		add(arena, filter, &link);
	for (size_t i = 0; i < lab->network_count; i++) {
		const struct prefix four = prefix_network(&lab->networks[i]->subnet4);
		const struct prefix six = prefix_network(&lab->networks[i]->subnet6);

		add(arena, filter, &four);
		add(arena, filter, &six);
	}
}

static struct libvirt_filter *filters_of(struct arena *arena, const struct isolation *isolation,
					 const struct guest *guest)
{
	const struct isolation_setting *setting = &isolation->settings[guest->index];
	struct libvirt_filter *filters = arena_alloc(arena, (guest->nic_count + 1) * sizeof(*filters));

	for (size_t i = 0; i < guest->nic_count; i++) {
		filters[i] =
			(struct libvirt_filter){.none = setting->method != ISOLATION_NWFILTER, .world = setting->world};
		memcpy(filters[i].mac, guest->nics[i].mac, sizeof(filters[i].mac));
		if (!filters[i].none && setting->world == WORLD_CUT)
			keep_lab(arena, isolation->lab, &filters[i]);
	}
	return filters;
}

/* The tap comes to libvirt before the filter: libvirt writes rules for what it sees. */
static int put(struct arena *arena, const char *run_dir, struct net *net, const struct isolation *isolation,
	       const struct guest *guest, struct error **err)
{
	bool wanted = isolation->settings[guest->index].method == ISOLATION_NWFILTER;
	int r = 0;

	for (size_t i = 0; wanted && i < guest->nic_count && r == 0; i++)
		r = net_lend_tap(net, &guest->nics[i], err);
	return r < 0 ? r : libvirt_filter_put(run_dir, filters_of(arena, isolation, guest), guest->nic_count, err);
}

static bool has_started(const char *run_dir)
{
	struct driver_state state = {0};

	return driver_of(run_dir)->look(run_dir, &state, NULL) == 0 && state.running;
}

void nwfilter_get_ready(void)
{
	libvirt_load_ahead();
}

int nwfilter_put(struct arena *arena, const struct folders *folders, struct net *net, const struct isolation *isolation,
		 const struct guest *guest, bool asked, struct error **err)
{
	const char *run_dir = folders_guest(arena, folders, guest->name);
	bool wanted = isolation->settings[guest->index].method == ISOLATION_NWFILTER;
	cleanup_error struct error *problem = NULL;
	int r;

	if (wanted ? !asked : !libvirt_filter_is_on(run_dir))
		return 0;
	r = put(arena, run_dir, net, isolation, guest, &problem);
	/* Of one that is being started the taps may not be there yet: it comes here when they are (nwfilter_plug). */
	return r == -ENODEV && !has_started(run_dir) ? 0 : r < 0 ? error_move(err, &problem) : 0;
}

int nwfilter_plug(const struct folders *folders, struct net *net, const struct isolation *isolation,
		  const struct guest *guest, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	int r = 0;

	if (isolation->settings[guest->index].method == ISOLATION_NWFILTER)
		return put(arena, folders_guest(arena, folders, guest->name), net, isolation, guest, err);
	for (size_t i = 0; r == 0 && i < guest->nic_count; i++)
		r = net_plug_tap(net, &guest->nics[i], err);
	return r;
}

/* libvirt calls the chain for what comes out of an interface libvirt-I-<interface>, and hangs it into table nat. */
static bool tap_is_filtered(struct nftables *nft, const char *tap)
{
	char command[128], jump[64];
	const char *output;

	snprintf(jump, sizeof(jump), "jump libvirt-I-%s\n", tap);
	if (nftables_run(nft, "list chain bridge nat PREROUTING", &output, NULL) < 0 || !strstr(output, jump))
		return false;
	snprintf(command, sizeof(command), "list chain bridge nat libvirt-I-%s", tap);
	return nftables_run(nft, command, &output, NULL) == 0 && strstr(output, " drop\n");
}

bool nwfilter_stands(const struct guest *guest)
{
	cleanup_nftables struct nftables nft = NFTABLES_CLOSED;
	bool stands = nftables_open(-1, 0, &nft, NULL) == 0;

	for (size_t i = 0; i < guest->nic_count && stands; i++) {
		char tap[INTERFACE_NAME_SIZE];

		nic_loose_tap(&guest->nics[i], tap);
		stands = tap_is_filtered(&nft, tap);
	}
	return stands;
}
