/* What may be there only once: a table from short keys to whatever had the key first. */
#ifndef NESTVISOR_CONFIG_UNIQUE_H
#define NESTVISOR_CONFIG_UNIQUE_H

#include <stddef.h>
#include <stdint.h>

struct unique_key {
	const void *scope; /* where it may be there only once; NULL: in the whole lab */
	uint64_t kind;	   /* keys of different kinds never meet */
	unsigned char bytes[24];
};

struct unique {
	struct unique_entry *entries;
	size_t count, size;
};

/* Puts `what` there under the key. Returns what was there before, which stays, or NULL. */
const void *unique_put(struct unique *unique, const struct unique_key *key, const void *what);
const void *unique_get(const struct unique *unique, const struct unique_key *key);
void unique_clear(struct unique *unique);

#endif
