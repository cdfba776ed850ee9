/*
 * A YAML file as a tree in which every key and every value knows its place. What a lab file needs no use of is refused:
 * anchors and aliases (a few lines can expand to gigabytes), tags, several documents, keys that are no plain words,
 * control characters in values. Keys said twice are refused too.
 */
#ifndef NESTVISOR_CONFIG_TREE_H
#define NESTVISOR_CONFIG_TREE_H

#include "config/problems_internal.h"
#include "config/value.h"

enum node_kind {
	NODE_NULL, /* nothing was said: "guests:" and no more */
	NODE_SCALAR,
	NODE_LIST,
	NODE_MAP,
	NODE_BROKEN, /* a problem with it was reported: whoever meets it says no more */
};

struct node {
	enum node_kind kind;
	bool quoted;
	struct spot spot;
	const char *key; /* in a map: what it is the value of, and where that stands */
	struct spot key_spot;
	struct node *next; /* in its list or map */
	union {
		const char *text; /* of a scalar */
		struct {
			struct node *first;
			size_t count;
		}; /* of a list or a map */
	};
	union {
		union value value;   /* of a scalar, once schema_check accepted it */
		struct node **slots; /* of a map, once checked: its values in the order of the schema's keys */
	};
};

enum { TREE_LIMIT = 64 << 20 };

/* The tree, or NULL where the text is no YAML at all or empty; what is wrong goes into problems. Lives in the arena. */
struct node *tree_parse(struct arena *arena, const char *text, size_t length, struct problems *problems);

/* "a list", "a map", … for messages. */
const char *node_kind_name(const struct node *node);

#endif
