/* The lab's paths are found through two open-addressed hash tables of positions, made once: the lab never changes. */
#include "model/lab.h"

#include "base/arena.h"
#include "model/hash.h"

#include <string.h>
#include <sys/socket.h>

struct table {
	uint32_t *slots; /* position in the lab's list plus one; 0: empty */
	size_t size;	 /* a power of two, at least twice the entries */
};

struct lab_index {
	struct table guests, networks;
};

static struct table table_new(struct arena *arena, size_t count)
{
	struct table table = {.size = 4};

	while (table.size < count * 2)
		table.size *= 2;
	table.slots = arena_alloc(arena, table.size * sizeof(*table.slots));
	return table;
}

/* The slot where a path stands or belongs; path_at says which path a position has. */
static uint32_t *table_slot(const struct table *table, const struct lab *lab, const char *path,
			    const char *(*path_at)(const struct lab *lab, size_t position))
{
	size_t i = (size_t)hash_text(HASH_START, path) & (table->size - 1);

	while (table->slots[i] && strcmp(path_at(lab, table->slots[i] - 1), path) != 0)
		i = (i + 1) & (table->size - 1);
	return &table->slots[i];
}

static const char *guest_path(const struct lab *lab, size_t position)
{
	return lab->guests[position]->path;
}

static const char *network_path(const struct lab *lab, size_t position)
{
	return lab->networks[position]->path;
}

const char *firmware_name(enum firmware firmware)
{
	switch (firmware) {
	case FIRMWARE_BIOS:
		return "bios";
	case FIRMWARE_UEFI:
		return "uefi";
	case FIRMWARE_UEFI_SECURE:
		return "uefi-secure";
	}
	return "?";
}

unsigned network_overhead(const struct network *network)
{
	unsigned overhead = network->encapsulation == ENCAP_GENEVE ? 50 + network->geneve_options : 50;

	if (network->encapsulation == ENCAP_NONE)
		return 0;
	for (size_t i = 0; i < network->peer_count; i++)
		if (network->peers[i].family == AF_INET6)
			return overhead + 20;
	return overhead;
}

void lab_index_paths(struct lab *lab)
{
	struct lab_index *index = arena_new_struct(lab->arena, struct lab_index);

	index->guests = table_new(lab->arena, lab->guest_count);
	index->networks = table_new(lab->arena, lab->network_count);
	for (size_t i = 0; i < lab->guest_count; i++) {
		uint32_t *slot = table_slot(&index->guests, lab, lab->guests[i]->path, guest_path);

		if (!*slot)
			*slot = (uint32_t)i + 1;
	}
	for (size_t i = 0; i < lab->network_count; i++) {
		uint32_t *slot = table_slot(&index->networks, lab, lab->networks[i]->path, network_path);

		if (!*slot)
			*slot = (uint32_t)i + 1;
	}
	lab->index = index;
}

bool image_lives_in_memory(const char *image)
{
	return strcmp(image, "micro") == 0 || strcmp(image, "micro-libvirt") == 0;
}

struct guest *lab_find_guest(const struct lab *lab, const char *path)
{
	if (lab->index) {
		uint32_t found = *table_slot(&lab->index->guests, lab, path, guest_path);

		return found ? lab->guests[found - 1] : NULL;
	}
	for (size_t i = 0; i < lab->guest_count; i++)
		if (strcmp(lab->guests[i]->path, path) == 0)
			return lab->guests[i];
	return NULL;
}

struct network *lab_find_network(const struct lab *lab, const char *path)
{
	if (lab->index) {
		uint32_t found = *table_slot(&lab->index->networks, lab, path, network_path);

		return found ? lab->networks[found - 1] : NULL;
	}
	for (size_t i = 0; i < lab->network_count; i++)
		if (strcmp(lab->networks[i]->path, path) == 0)
			return lab->networks[i];
	return NULL;
}

size_t guest_images(const struct guest *guest, const char *ret[static GUEST_IMAGES_MAX])
{
	ret[0] = guest->image;
	if (!guest->install)
		return 1;
	ret[1] = guest->install->virtio;
	return 2;
}

struct guest *host_guest_towards(const struct host *host, const struct guest *descendant)
{
	while (descendant && descendant->parent != host)
		descendant = descendant->parent->guest;
	return (struct guest *)(uintptr_t)descendant; /* as strchr(3): the caller's own right to change it */
}

static bool has_same_policies(const struct lab *lab, const struct lab *other)
{
	if (!other || lab->policy_count != other->policy_count)
		return false;
	for (size_t i = 0; i < lab->policy_count; i++)
		if (strcmp(lab->policies[i].text, other->policies[i].text) != 0)
			return false;
	return true;
}

/* Lines of `lab` that `other` has not, each of its lines standing for one. */
static size_t count_lines_missing(const struct lab *lab, const struct lab *other)
{
	bool *taken = arena_alloc(lab->arena, other->policy_count + 1);
	size_t missing = 0, j;

	for (size_t i = 0; i < lab->policy_count; i++) {
		for (j = 0; j < other->policy_count; j++)
			if (!taken[j] && strcmp(lab->policies[i].text, other->policies[j].text) == 0)
				break;
		if (j < other->policy_count)
			taken[j] = true;
		else
			missing++;
	}
	return missing;
}

bool lab_policy_differs(const struct lab *lab, const struct lab *other, size_t *ret_added, size_t *ret_removed)
{
	*ret_added = *ret_removed = 0;
	if (has_same_policies(lab, other))
		return false;
	*ret_added = count_lines_missing(lab, other);
	*ret_removed = count_lines_missing(other, lab);
	return true;
}

void lab_take_policy_places(struct lab *lab, const struct lab *file)
{
	bool same = has_same_policies(lab, file);

	for (size_t i = 0; i < lab->policy_count; i++)
		lab->policies[i].place = same ? file->policies[i].place : (struct place){};
}

void lab_free(struct lab *lab)
{
	if (lab)
		arena_free(lab->arena);
}

unsigned guest_cpus(const struct guest *guest, bool emulated)
{
	return emulated && (guest->nested || guest->host) ? 1 : guest->cpus;
}
