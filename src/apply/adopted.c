#include "apply/adopted.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "config/config.h"
#include "model/isolation.h"

#include <string.h>

enum { KNOWN_LIMIT = 16 << 20 };

struct nics {
	struct net_adopted_nic *list;
	size_t count;
};

static void collect(struct arena *arena, const struct libvirt_adopted *adopted, struct nics *ret)
{
	const struct host *root = adopted->lab->root;

	*ret = (struct nics){0};
	for (size_t i = 0; i < root->guest_count; i++) {
		const struct adopted_domain *domain = &adopted->domains[i];

		for (size_t j = 0; j < domain->interface_count; j++) {
			const struct adopted_interface *interface = &domain->interfaces[j];
			struct net_adopted_nic *nic = arena_push(arena, ret->list, ret->count);

			*nic = (struct net_adopted_nic){.guest = root->guests[i],
							.type = interface->type,
							.device = interface->device,
							.bridge = interface->bridge,
							.running = domain->running};
			memcpy(nic->mac, interface->mac, sizeof(nic->mac));
		}
		if (domain->passed)
			*arena_push(arena, ret->list, ret->count) =
				(struct net_adopted_nic){.guest = root->guests[i], .passed = domain->passed};
	}
	if (!ret->list)
		ret->list = arena_alloc(arena, sizeof(*ret->list));
}

int adopted_prepare(struct arena *arena, const struct lab *lab, struct net *net, struct libvirt_adopted *ret,
		    struct error **err)
{
	struct nics nics;
	int r;

	*ret = (struct libvirt_adopted){0};
	if (!lab->adopted)
		return 0;
	r = libvirt_adopted_look(lab, arena, ret, err);
	if (r < 0)
		return r;
	collect(arena, ret, &nics);
	net_set_adopted(net, nics.list, nics.count);
	net_set_adopted_others(net, ret->others, ret->other_count);
	return 0;
}

/* ─── what is known without libvirt ─── */

static const char *known_file(struct arena *arena, const struct folders *folders)
{
	return arena_printf(arena, "%s/adopted.json", folders->run);
}

/* It goes with a reboot, as taps do. What cannot be noted is not known later, and that is said then. */
void adopted_note(struct arena *arena, const struct folders *folders, const struct libvirt_adopted *adopted)
{
	cleanup_json json_t *list = json_array();
	struct nics nics;

	collect(arena, adopted, &nics);
	for (size_t i = 0; i < nics.count; i++) {
		const struct net_adopted_nic *nic = &nics.list[i];
		char mac[MAC_TEXT_SIZE];

		json_array_append_new(list, json_pack("{s:s, s:s*, s:s*, s:s*, s:s, s:s*}", "guest", nic->guest->path,
						      "type", nic->type, "device", nic->device, "bridge", nic->bridge,
						      "mac", mac_format(nic->mac, mac), "passed", nic->passed));
	}
	json_write_file(known_file(arena, folders), list, NULL);
}

static const char *text_of(struct arena *arena, const json_t *one, const char *key)
{
	const char *text = json_get_string(one, key, NULL);

	return text ? arena_strdup(arena, text) : NULL;
}

static void read_known(struct arena *arena, const json_t *list, const struct lab *lab, struct nics *ret)
{
	json_t *one;
	size_t i;

	json_array_foreach (list, i, one) {
		const struct guest *guest = lab_find_guest(lab, json_get_string(one, "guest", ""));
		struct net_adopted_nic *nic;

		if (!guest)
			continue;
		nic = arena_push(arena, ret->list, ret->count);
		*nic = (struct net_adopted_nic){.guest = guest,
						.type = text_of(arena, one, "type"),
						.device = text_of(arena, one, "device"),
						.bridge = text_of(arena, one, "bridge"),
						.passed = text_of(arena, one, "passed")};
		mac_parse(json_get_string(one, "mac", ""), nic->mac);
	}
}

/* Of a guest of which nothing was noted, it being new in the file, too. */
static void read_lab(struct arena *arena, const struct lab *lab, struct nics *ret)
{
	size_t noted = ret->count;

	for (size_t i = 0; i < lab->root->guest_count; i++) {
		const struct guest *guest = lab->root->guests[i];
		bool known = false;

		for (size_t j = 0; j < noted; j++)
			known |= ret->list[j].guest == guest;
		for (size_t j = 0; !known && j < guest->nic_count; j++) {
			struct net_adopted_nic *nic = arena_push(arena, ret->list, ret->count);

			*nic = (struct net_adopted_nic){.guest = guest, .type = "network"};
			memcpy(nic->mac, guest->nics[j].mac, sizeof(nic->mac));
		}
	}
	if (!ret->list)
		ret->list = arena_alloc(arena, sizeof(*ret->list));
}

static int recall(struct arena *arena, const struct folders *folders, const struct lab *lab, struct net *net,
		  struct error **err)
{
	cleanup_json json_t *known = NULL;
	struct nics nics = {0};
	int r;

	if (json_read_file(known_file(arena, folders), KNOWN_LIMIT, &known, NULL) == 0)
		read_known(arena, known, lab, &nics);
	read_lab(arena, lab, &nics);
	r = net_find_adopted(net, arena, nics.list, nics.count, err);
	if (r == 0)
		net_set_adopted(net, nics.list, nics.count);
	return r;
}

/* A guest to be held of which libvirt has nothing: it has ended for good, for now, or has another name. NULL: there is
 * none. */
static const struct guest *find_gone(const struct libvirt_adopted *adopted, const struct isolation *isolation)
{
	const struct host *root = isolation->lab->root;

	for (size_t i = 0; i < root->guest_count; i++)
		if (!adopted->domains[i].exists && isolation_effect(isolation, root->guests[i]).world != WORLD_OPEN)
			return root->guests[i];
	return NULL;
}

int adopted_prepare_to_hold(struct arena *arena, const struct folders *folders, const struct isolation *isolation,
			    struct net *net, const char **ret_unsure, struct error **err)
{
	const struct lab *lab = isolation->lab;
	cleanup_error struct error *problem = NULL;
	const struct guest *gone;
	struct libvirt_adopted adopted;
	int r;

	*ret_unsure = NULL;
	if (!lab->adopted)
		return 0;
	r = adopted_prepare(arena, lab, net, &adopted, &problem);
	gone = r == 0 ? find_gone(&adopted, isolation) : NULL;
	if (r == 0 && !gone) {
		adopted_note(arena, folders, &adopted);
		return 0;
	}
	*ret_unsure =
		gone ? arena_printf(
			       arena,
			       "libvirt has no domain %s any more. What is in force is for what was known before: by "
			       "another name, or with another NIC, it may not be held",
			       gone->adopted)
		     : arena_printf(
			       arena,
			       "%s. What is in force is for what was known before: whoever was started or got "
			       "another NIC since may not be held. Say it again, or nestvisor up, once libvirt answers",
			       problem->message);
	return recall(arena, folders, lab, net, err);
}

int adopted_remember(const struct folders *folders, const struct lab *lab, struct error **err)
{
	cleanup_json json_t *json = config_part(lab, lab->root);
	int r = folders_make(folders, err);

	return r < 0 ? r : json_write_file_in_order(folders->lab_file, json, err);
}
