#include "config/unique.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct unique_entry {
	struct unique_key key;
	const void *what; /* NULL: free */
};

static bool is_same(const struct unique_key *a, const struct unique_key *b)
{
	return a->scope == b->scope && a->kind == b->kind && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* Multiplies word by word, and folds each time so that the high bits reach the low ones, which are used. */
static uint64_t hash_key(const struct unique_key *key)
{
	uint64_t words[sizeof(*key) / sizeof(uint64_t)], hash = UINT64_C(0xcbf29ce484222325);

	static_assert(sizeof(*key) == sizeof(words), "a key is whole words, without gaps");
	memcpy(words, key, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 32;
	}
	return hash;
}

static struct unique_entry *find(const struct unique *unique, const struct unique_key *key)
{
	size_t i = (size_t)hash_key(key) & (unique->size - 1);

	while (unique->entries[i].what && !is_same(&unique->entries[i].key, key))
		i = (i + 1) & (unique->size - 1);
	return &unique->entries[i];
}

static void grow(struct unique *unique)
{
	struct unique bigger = {.size = unique->size ? unique->size * 2 : 64};

	bigger.entries = calloc(bigger.size, sizeof(*bigger.entries));
	if (!bigger.entries)
		abort();
	for (size_t i = 0; i < unique->size; i++)
		if (unique->entries[i].what) {
			*find(&bigger, &unique->entries[i].key) = unique->entries[i];
			bigger.count++;
		}
	free(unique->entries);
	*unique = bigger;
}

const void *unique_put(struct unique *unique, const struct unique_key *key, const void *what)
{
	struct unique_entry *entry;

	if (unique->count * 2 >= unique->size)
		grow(unique);
	entry = find(unique, key);
	if (entry->what)
		return entry->what;
	entry->key = *key;
	entry->what = what;
	unique->count++;
	return NULL;
}

const void *unique_get(const struct unique *unique, const struct unique_key *key)
{
	return unique->size ? find(unique, key)->what : NULL;
}

void unique_clear(struct unique *unique)
{
	free(unique->entries);
	*unique = (struct unique){0};
}
