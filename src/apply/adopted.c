#include "apply/adopted.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "config/config.h"

#include <string.h>

int adopted_prepare(struct arena *arena, const struct lab *lab, struct net *net, struct libvirt_adopted *ret,
		    struct error **err)
{
	struct net_adopted_nic *nics = NULL;
	size_t count = 0;
	int r;

	*ret = (struct libvirt_adopted){0};
	if (!lab->adopted)
		return 0;
	r = libvirt_adopted_look(lab, arena, ret, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < lab->root->guest_count; i++) {
		const struct adopted_domain *domain = &ret->domains[i];

		for (size_t j = 0; j < domain->interface_count; j++) {
			const struct adopted_interface *interface = &domain->interfaces[j];
			struct net_adopted_nic *nic = arena_push(arena, nics, count);

			*nic = (struct net_adopted_nic){.guest = lab->root->guests[i],
							.type = interface->type,
							.device = interface->device,
							.bridge = interface->bridge,
							.running = domain->running};
			memcpy(nic->mac, interface->mac, sizeof(nic->mac));
		}
		if (domain->passed)
			*arena_push(arena, nics, count) =
				(struct net_adopted_nic){.guest = lab->root->guests[i], .passed = domain->passed};
	}
	net_set_adopted(net, nics ? nics : arena_alloc(arena, sizeof(*nics)), count);
	return 0;
}

int adopted_remember(const struct folders *folders, const struct lab *lab, struct error **err)
{
	cleanup_json json_t *json = config_part(lab, lab->root);
	int r = folders_make(folders, err);

	return r < 0 ? r : json_write_file_in_order(folders->lab_file, json, err);
}
