#include "plan/spec.h"

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "model/publish.h"

#include <string.h>

/* The keys whose differences become real while everything runs: rules, routes and dnsmasq follow. All others take a
 * restart. */
static const char *const live_keys[] = {
	"world",   "publish",  "tags",	 "transport", "ssh",			     /* of guests */
	"subnets", "gateways", "uplink", "dhcp",      "dns", "bridge-mtu", "tunnel", /* of networks */
};

/* The keys whose differences need a new overlay, too. */
static const char *const disk_keys[] = {"image", "disk"};

static json_t *ip_json(const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	return ip->family ? json_string(ip_format(ip, text)) : json_null();
}

static json_t *prefix_json(const struct prefix *prefix)
{
	char text[PREFIX_TEXT_SIZE];

	return prefix->ip.family ? json_string(prefix_format(prefix, text)) : json_null();
}

static json_t *nics_json(const struct guest *guest)
{
	json_t *nics = json_array();

	for (size_t i = 0; i < guest->nic_count; i++) {
		const struct nic *nic = &guest->nics[i];
		char mac[MAC_TEXT_SIZE];

		json_array_append_new(
			nics, json_pack("{s:s, s:o, s:o, s:s, s:i, s:o, s:o, s:o*}", "network", nic->network->name,
					"address4", ip_json(&nic->address4), "address6", ip_json(&nic->address6), "mac",
					mac_format(nic->mac, mac), "mtu", (int)nic->network->mtu, "gateway4",
					ip_json(&nic->network->gateway4), "gateway6", ip_json(&nic->network->gateway6),
					"queues", nic->queues ? json_integer(nic->queues) : NULL));
	}
	return nics;
}

/* As its own host knows them: of a guest of a deeper host, what that is told (config/part.c). */
static json_t *publish_json(const struct lab *lab, const struct guest *guest)
{
	cleanup_free struct published *ports = NULL;
	size_t count =
		guest->publish_count && guest->parent != lab->root ? published_below(lab, guest->parent, &ports) : 0;
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		const struct publish *p = ports[i].publish;
		struct ip any = {.family = publish_address(p).family};

		if (ports[i].guest == guest)
			json_array_append_new(
				list, json_pack("[i, i, i, o]", p->port, p->protocol, ports[i].port, ip_json(&any)));
	}
	if (count)
		return list;

	for (size_t i = 0; i < guest->publish_count; i++) {
		const struct publish *p = &guest->publish[i];

		json_array_append_new(list,
				      json_pack("[i, i, i, o]", p->port, p->protocol, p->as, ip_json(&p->address)));
	}
	return list;
}

static json_t *tags_json(const struct guest *guest)
{
	json_t *tags = json_array();

	for (size_t i = 0; i < guest->tag_count; i++)
		json_array_append_new(tags, json_string(guest->tags[i]));
	return tags;
}

static void add_once(json_t *images, const char *image)
{
	for (size_t i = 0; i < json_array_size(images); i++)
		if (strcmp(json_string_value(json_array_get(images, i)), image) == 0)
			return;
	json_array_append_new(images, json_string(image));
}

/* The images that this guest must be handed for those below it, each once, in order of first use. */
static void collect_images(const struct host *host, json_t *images)
{
	for (size_t i = 0; host && i < host->guest_count; i++) {
		const char *own[GUEST_IMAGES_MAX];
		size_t count = guest_images(host->guests[i], own);

		for (size_t k = 0; k < count; k++)
			add_once(images, own[k]);
		collect_images(host->guests[i]->host, images);
	}
}

json_t *spec_guest(const struct lab *lab, const struct guest *guest)
{
	json_t *carries = json_array();

	collect_images(guest->host, carries);
	/* What is as it always was is left out: a guest that an older nestvisor started is no other for it. */
	return json_pack("{s:i, s:I, s:I, s:s, s:s, s:s*, s:s*, s:o*, s:o*, s:s*, s:b, s:b, s:i, s:s, s:o, s:o, s:o, "
			 "s:i, s:o, s:o}",
			 "cpus", (int)guest->cpus, "memory", (json_int_t)guest->memory, "disk", (json_int_t)guest->disk,
			 "image", guest->image, "os", guest->os, "driver", guest->libvirt, "firmware",
			 guest->firmware == FIRMWARE_BIOS ? NULL : firmware_name(guest->firmware), "tpm",
			 guest->tpm ? json_true() : NULL, "display", guest->display ? json_true() : NULL, "hypervisor",
			 guest->hypervisor_hidden ? "hidden" : NULL, "nested", guest->nested, "host",
			 guest->host != NULL, "seed", (int)guest->seed, "world", world_name(guest->world), "nics",
			 nics_json(guest), "publish", publish_json(lab, guest), "tags", tags_json(guest), "transport",
			 (int)guest->transport, "ssh", json_pack("[s?, s?]", guest->ssh_user, guest->ssh_key),
			 "carries", carries);
}

json_t *spec_network(const struct network *network)
{
	json_t *peers = json_array();

	for (size_t i = 0; i < network->peer_count; i++)
		json_array_append_new(peers, ip_json(&network->peers[i]));
	return json_pack("{s:[o, o], s:[o, o], s:s, s:i, s:[b, o, o], s:b, s:[s, i, i, o]}", "subnets",
			 prefix_json(&network->subnet4), prefix_json(&network->subnet6), "gateways",
			 ip_json(&network->gateway4), ip_json(&network->gateway6), "uplink",
			 uplink_name(network->uplink), "bridge-mtu", (int)network->mtu, "dhcp", network->dhcp,
			 ip_json(&network->dhcp_first), ip_json(&network->dhcp_last), "dns", network->dns, "tunnel",
			 encapsulation_name(network->encapsulation), (int)network->vni, (int)network->geneve_options,
			 peers);
}

static bool is_one_of(const char *key, const char *const *keys, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

static void describe_difference(const char *key, const json_t *before, const json_t *after, struct strbuf *why)
{
	bool size = strcmp(key, "memory") == 0 || strcmp(key, "disk") == 0;

	strbuf_printf(why, "%s%s ", why->length ? ", " : "", key);
	if (size) {
		strbuf_printf(why, "%lld MiB → %lld MiB", json_integer_value(before) >> 20,
			      json_integer_value(after) >> 20);
	} else if (json_is_object(before) || json_is_array(before) || json_is_object(after) || json_is_array(after)) {
		strbuf_add(why, "changed");
	} else {
		cleanup_free char *was = before ? json_text(before) : strdup("unset");
		cleanup_free char *is = after ? json_text(after) : strdup("unset");

		strbuf_printf(why, "%s → %s", was, is);
	}
}

bool spec_differs(const json_t *before, const json_t *after, struct spec_difference *ret, struct strbuf *why)
{
	cleanup_json json_t *keys = json_object();
	bool differs = false;
	const char *key;
	json_t *unused;

	*ret = (struct spec_difference){.action = PLAN_CHANGE};
	json_object_update(keys, (json_t *)(uintptr_t)before);
	json_object_update(keys, (json_t *)(uintptr_t)after);
	json_object_foreach (keys, key, unused) {
		const json_t *was = json_object_get(before, key), *is = json_object_get(after, key);

		if (was && is && json_equal(was, is))
			continue;
		differs = true;
		if (!is_one_of(key, live_keys, sizeof(live_keys) / sizeof(live_keys[0])))
			ret->action = PLAN_RESTART;
		if (is_one_of(key, disk_keys, sizeof(disk_keys) / sizeof(disk_keys[0])))
			ret->new_disk = true;
		describe_difference(key, was, is, why);
	}
	if (ret->new_disk)
		strbuf_add(why, " (its disk is made anew)");
	return differs;
}
