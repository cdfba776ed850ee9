/* FNV-1a, 64 bits (draft-eastlake-fnv): what names and lookups are derived with. Not for secrets. */
#ifndef NESTVISOR_MODEL_HASH_H
#define NESTVISOR_MODEL_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HASH_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t hash_more(uint64_t hash, const void *data, size_t length)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static inline uint64_t hash_text(uint64_t hash, const char *text)
{
	return hash_more(hash, text, strlen(text));
}

#endif
