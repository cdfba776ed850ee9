#include "facts/names.h"

#include "base/arena.h"
#include "model/hash.h"

#include <stdint.h>

struct names {
	size_t count; /* of things, also of those whose name was there before */
	size_t used, size;
	struct slot {
		const char *name; /* NULL: free */
		size_t position;
	} * slots;
};

enum { SIZE_FIRST = 32 };

static struct slot *find_slot(const struct names *names, const char *name)
{
	size_t at = hash_text(HASH_START, name) & (names->size - 1);

	while (names->slots[at].name && strcmp(names->slots[at].name, name) != 0)
		at = (at + 1) & (names->size - 1);
	return &names->slots[at];
}

static void widen(struct arena *arena, struct names *names)
{
	struct names old = *names;

	names->size = old.size ? old.size * 2 : SIZE_FIRST;
	names->slots = arena_alloc(arena, names->size * sizeof(*names->slots));
	for (size_t i = 0; i < old.size; i++)
		if (old.slots[i].name)
			*find_slot(names, old.slots[i].name) = old.slots[i];
}

void names_add(struct arena *arena, struct names **names, const char *name)
{
	struct slot *slot;

	if (!*names)
		*names = arena_new_struct(arena, struct names);
	if ((*names)->used * 2 >= (*names)->size)
		widen(arena, *names);
	slot = find_slot(*names, name);
	if (!slot->name) {
		*slot = (struct slot){name, (*names)->count};
		(*names)->used++;
	}
	(*names)->count++;
}

bool names_find(const struct names *names, const char *name, size_t *ret)
{
	const struct slot *slot = find_slot(names, name);

	*ret = slot->position;
	return slot->name != NULL;
}

bool names_fit(const struct names *names, size_t count)
{
	return names && names->count == count;
}
