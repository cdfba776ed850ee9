/*
 * A mutator that changes JSON as a tree, so that what comes out is JSON again: values are dropped, doubled, moved to
 * where another stood, made extreme. Every now and then libFuzzer's own bytes are let in.
 */
#ifndef NESTVISOR_TESTS_JSON_MUTATOR_H
#define NESTVISOR_TESTS_JSON_MUTATOR_H

#include "base/cleanup.h"
#include "base/json.h"

#include <stdint.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

struct json_place {
	json_t *parent;
	const char *key; /* in objects */
	size_t index;	 /* in arrays */
	json_t *value;
};

enum { PLACES_MAX = 4096 };

struct json_places {
	struct json_place items[PLACES_MAX];
	size_t count;
};

static inline void find_places(json_t *parent, struct json_places *places, unsigned depth)
{
	const char *key;
	json_t *value;
	size_t i;

	if (depth > 60)
		return;
	if (json_is_object(parent))
		json_object_foreach (parent, key, value) {
			if (places->count < PLACES_MAX)
				places->items[places->count++] = (struct json_place){parent, key, 0, value};
			find_places(value, places, depth + 1);
		}
	json_array_foreach (parent, i, value) {
		if (places->count < PLACES_MAX)
			places->items[places->count++] = (struct json_place){parent, NULL, i, value};
		find_places(value, places, depth + 1);
	}
}

static inline void put(const struct json_place *place, json_t *value)
{
	if (place->key)
		json_object_set_new(place->parent, place->key, value);
	else
		json_array_set_new(place->parent, place->index, value);
}

static inline json_t *mutated_text(const char *text, unsigned seed)
{
	uint8_t bytes[256];
	size_t length = strlen(text) < 128 ? strlen(text) : 128;
	json_t *json;

	memcpy(bytes, text, length);
	length = LLVMFuzzerMutate(bytes, length, sizeof(bytes) - 1);
	json = json_stringn((const char *)bytes, length); /* NULL where that is no UTF-8 */
	return json ? json : json_string(seed & 1 ? "" : "x");
}

static inline json_t *mutated_number(unsigned seed)
{
	static const json_int_t numbers[] = {0,	  1,   -1,    2,     31,	32,	    33,	       64,	 128,
					     255, 256, 65535, 65536, INT32_MAX, 4294967295, INT64_MAX, INT64_MIN};

	return json_integer(numbers[seed % (sizeof(numbers) / sizeof(*numbers))]);
}

/* Copies are deep: a value that stands in two places must not become its own child. */
static inline void mutate_place(const struct json_places *places, unsigned seed)
{
	const struct json_place *place = &places->items[seed % places->count];
	const struct json_place *other = &places->items[seed / 7919 % places->count];

	switch (seed >> 8 & 7) {
	case 0:
		if (place->key)
			json_object_del(place->parent, place->key);
		else
			json_array_remove(place->parent, place->index);
		break;
	case 1:
		if (!place->key)
			json_array_insert_new(place->parent, place->index, json_deep_copy(place->value));
		break;
	case 2:
	case 3:
		put(place, json_deep_copy(other->value));
		break;
	case 4: /* under the same name elsewhere */
		if (other->key && json_is_object(place->value))
			json_object_set_new(place->value, other->key, json_deep_copy(other->value));
		else if (json_is_array(place->value))
			json_array_append_new(place->value, json_deep_copy(other->value));
		break;
	case 5:
		put(place, mutated_number(seed >> 12));
		break;
	case 6:
		put(place, seed >> 12 & 1 ? json_null() : json_boolean(seed >> 13 & 1));
		break;
	default:
		if (json_is_string(place->value))
			put(place, mutated_text(json_string_value(place->value), seed >> 12));
		else if (json_is_integer(place->value))
			put(place, json_integer((json_int_t)((uint64_t)json_integer_value(place->value) +
							     (seed >> 12 & 7) - 3)));
		else
			put(place, json_array());
		break;
	}
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	static struct json_places places;
	cleanup_json json_t *json = json_loadb((const char *)data, size, 0, NULL);
	cleanup_free char *text = NULL;

	places.count = 0;
	if (json)
		find_places(json, &places, 0);
	if (places.count == 0 || seed % 16 == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	mutate_place(&places, seed >> 4);
	text = json_dumps(json, JSON_COMPACT);
	if (!text || strlen(text) > max_size)
		return LLVMFuzzerMutate(data, size, max_size);
	memcpy(data, text, strlen(text));
	return strlen(text);
}

#endif
