/*
 * Shapes of structs, in tables: what members a struct has and how each looks in JSON. Writing, reading, comparing and
 * the JSON Schema all follow from the same table, so that none can forget a member. Within facts/ only.
 *
 * A member that is unknown or absent is not written: zeroed memory and a missing member mean the same.
 */
#ifndef NESTVISOR_FACTS_SHAPE_H
#define NESTVISOR_FACTS_SHAPE_H

#include "base/json.h"
#include "facts/text.h"

enum shape_kind {
	SHAPE_TEXT,   /* const char * */
	SHAPE_TEXTS,  /* const char ** with a count */
	SHAPE_NUMBER, /* struct number */
	SHAPE_UINT8,
	SHAPE_UINT16,
	SHAPE_UINT32,
	SHAPE_UINT64, /* always written */
	SHAPE_INT32,  /* always written */
	SHAPE_BOOL,
	SHAPE_TRUTH,
	SHAPE_ENUM,	  /* names */
	SHAPE_ENUMS,	  /* enum datatype * with a count */
	SHAPE_BITS,	  /* uint8_t; names of bits */
	SHAPE_FAMILY,	  /* uint8_t: AF_INET, AF_INET6 */
	SHAPE_ROUTE_TYPE, /* uint8_t: ROUTE_TYPE_* by name */
	SHAPE_IP,
	SHAPE_IPS, /* struct ip * with a count */
	SHAPE_PREFIX,
	SHAPE_MAC,    /* struct mac */
	SHAPE_BYTES6, /* uint8_t[6], always written */
	SHAPE_FIELD,  /* enum field */
	SHAPE_TYPE,   /* enum datatype */
	SHAPE_ORIGIN,
	SHAPE_STRUCT,	/* inside */
	SHAPE_POINTER,	/* to one, or NULL */
	SHAPE_POINTERS, /* struct ** with a count */
	SHAPE_LIST,	/* array of structs with a count */
};

struct shape;

struct member {
	const char *name; /* NULL ends the table */
	enum shape_kind kind;
	size_t offset, count; /* of the member, and of its size_t count */
	const struct shape *shape;
	const char *const *names; /* of enums, from 0, NULL where there is none; of bits from bit 0 */
	size_t name_count;
	uint64_t when; /* only where the struct's kind is one of these bits; 0: always */
	bool required; /* whoever uses facts may rely on it, so a document without it is refused */
	const char *help;
};

struct shape {
	const char *name;
	const char *help;
	size_t size;
	size_t kind; /* offset of the enum that `when` asks for; the enum is the struct's first member where used */
	const struct member *members;
	const char *(*check)(const void *object); /* what else is wrong with one that was read; NULL: nothing */
};

json_t *shape_write(const struct shape *shape, const void *object);
/* False, with the path of what is wrong in *why, where the document does not fit. */
bool shape_read(struct pool *pool, const struct shape *shape, const json_t *json, void *object, const char **why);
bool shape_equal(const struct shape *shape, const void *a, const void *b);
/* {"$ref": …} with the definitions of this shape and all within it added to `definitions`. */
json_t *shape_schema(const struct shape *shape, json_t *definitions);

extern const struct shape shape_facts, shape_relation, shape_note, shape_stats;

#endif
