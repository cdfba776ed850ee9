#include "net/reach.h"

#include <sys/socket.h>

const struct nic *reach_nic(const struct guest *guest, uint8_t family)
{
	for (size_t i = 0; guest && i < guest->nic_count; i++)
		if ((family == AF_INET ? guest->nics[i].address4 : guest->nics[i].address6).family)
			return &guest->nics[i];
	return NULL;
}

const struct network *reach_entry(const struct host *root, const struct network *network, uint8_t family)
{
	while (network->owner != root) {
		const struct nic *nic =
			network->uplink == UPLINK_ROUTE ? reach_nic(network->owner->guest, family) : NULL;

		if (!nic)
			return NULL;
		network = nic->network;
	}
	return network;
}

const struct prefix *reach_subnet(const struct network *network, uint8_t family)
{
	return family == AF_INET ? &network->subnet4 : &network->subnet6;
}
