/* Labs of what libvirt has already: see the key "adopted". */
#include "config/build.h"

#include <string.h>

static void check_libvirts_name(struct build *b, const char *kind, const char *const *before, size_t count,
				const char *name, struct spot spot)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(before[i], name) == 0)
			problems_error(b->problems, spot, NULL, "libvirt's %s \"%s\" is adopted twice", kind, name);
}

static void check_networks_of(struct build *b, const struct host *root)
{
	const char **names = arena_alloc(b->tree_arena, (root->network_count + 1) * sizeof(*names));
	size_t count = 0;

	for (size_t i = 0; i < root->network_count; i++) {
		const struct network *network = root->networks[i];

		if (!network->adopted) {
			if (b->lab->adopted)
				problems_error(b->problems, network_spot(b, network, -1),
					       "name libvirt's network, adopted: NAME, or make a lab of its own for it",
					       "\"%s\" is nestvisor's to make, in a lab of what libvirt has",
					       network->path);
			continue;
		}
		check_libvirts_name(b, "network", names, count, network->adopted,
				    network_spot(b, network, NETWORK_ADOPTED));
		names[count++] = network->adopted;
	}
}

static void check_guest(struct build *b, const struct guest *guest)
{
	if (guest->libvirt && b->lab->adopted && strcmp(guest->libvirt, b->lab->adopted) != 0)
		problems_error(b->problems, guest_spot(b, guest, GUEST_DRIVER), "leave it out",
			       "\"%s\" is adopted from the libvirt that the file begins with", guest->path);
	if (guest->host)
		problems_error(b->problems,
			       guest_spot(b, guest, guest->host->guest_count ? GUEST_GUESTS : GUEST_NETWORKS),
			       "a lab file of its own, used in there, can",
			       "\"%s\" is adopted: this lab cannot look after what is in it", guest->path);
	if (guest->publish_count)
		problems_error(b->problems, guest_spot(b, guest, GUEST_PUBLISH), "nestvisor forward can",
			       "\"%s\" is adopted: ports of its network are libvirt's to publish", guest->path);
}

static void check_guests_of(struct build *b, const struct host *root)
{
	const char **names = arena_alloc(b->tree_arena, (root->guest_count + 1) * sizeof(*names));
	size_t count = 0;

	for (size_t i = 0; i < root->guest_count; i++) {
		const struct guest *guest = root->guests[i];

		if (!guest->adopted) {
			if (b->lab->adopted)
				problems_error(b->problems, guest_spot(b, guest, -1),
					       "name libvirt's domain, adopted: NAME, or make a lab of its own for it",
					       "\"%s\" is nestvisor's to make, in a lab of what libvirt has",
					       guest->path);
			continue;
		}
		check_libvirts_name(b, "domain", names, count, guest->adopted, guest_spot(b, guest, GUEST_ADOPTED));
		names[count++] = guest->adopted;
		check_guest(b, guest);
	}
}

/* Of deeper hosts, and of a lab whose driver is no libvirt. */
static void check_misplaced(struct build *b)
{
	for (size_t i = 0; i < b->lab->guest_count; i++)
		if (b->lab->guests[i]->adopted && (b->lab->guests[i]->parent != b->lab->root || !b->lab->adopted))
			problems_error(
				b->problems, guest_spot(b, b->lab->guests[i], GUEST_ADOPTED),
				"begin the file with driver: qemu:///system; only guests of L0 are domains of it",
				"\"%s\" can be adopted from a libvirt of L0 alone", b->lab->guests[i]->path);
	for (size_t i = 0; i < b->lab->network_count; i++)
		if (b->lab->networks[i]->adopted && (b->lab->networks[i]->owner != b->lab->root || !b->lab->adopted))
			problems_error(
				b->problems, network_spot(b, b->lab->networks[i], NETWORK_ADOPTED),
				"begin the file with driver: qemu:///system; only networks of L0 are networks of it",
				"\"%s\" can be adopted from a libvirt of L0 alone", b->lab->networks[i]->path);
}

void check_adopted(struct build *b)
{
	check_networks_of(b, b->lab->root);
	check_guests_of(b, b->lab->root);
	check_misplaced(b);
}
