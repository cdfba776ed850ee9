/* What diagram.c and diagram_combine.c share: nodes, and how the next is made. */
#ifndef NESTVISOR_VERIFY_DIAGRAM_INTERNAL_H
#define NESTVISOR_VERIFY_DIAGRAM_INTERNAL_H

#include "verify/diagram.h"

enum {
	BITS_PER_WORD = 64,
};

/* A test, or, where `count` is 0, ranges: then `pattern` is the number of the first edge, `then` how many there are. */
struct node {
	uint64_t pattern; /* shifted up: its first bit is bit 63 */
	diagram then, otherwise;
	uint32_t seen; /* by which diagram_visit() */
	uint8_t word, start, count;
	uint8_t last; /* the highest word that it asks about, here or below */
};

struct cached {
	uint32_t operation;
	diagram a, b, result;
};

/* Where a node is found: by a part of its hash, which spares looking at most of the others. */
struct slot {
	uint32_t hash;
	uint32_t node; /* its number plus 1; 0: free */
};

/* An operation that is known by some bytes. */
struct known_operation {
	uint32_t id;
	size_t size;
	void *key;
};

struct space {
	struct node *nodes;
	uint32_t node_count;
	struct diagram_edge *edges;
	size_t edge_count;
	struct diagram_edge *found; /* edges being put together, of several calls one upon the other */
	size_t found_count, found_capacity;
	uint8_t range_bits[SPACE_WORDS]; /* 0: asked in tests */
	struct slot *table;
	uint32_t table_size;
	struct cached *cache;
	uint32_t cache_size;
	uint32_t next_operation;
	uint32_t visits;	       /* so far, see node.seen */
	struct known_operation *known; /* a table, free where the id is 0 */
	size_t known_count, known_size;
	size_t memory;
	size_t nodes_used, edges_used; /* bytes of each that are there */
	bool too_large;
};

static inline const struct node *node_of(const struct space *space, diagram d)
{
	return &space->nodes[d];
}

static inline uint64_t top_bits(unsigned count)
{
	return count ? ~UINT64_C(0) << (BITS_PER_WORD - count) : 0;
}

static inline uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	return x;
}

/* Where the result of an operation is kept, until another takes its place. */
static inline struct cached *cache_slot(const struct space *space, uint32_t operation, diagram a, diagram b)
{
	uint64_t key =
		((uint64_t)a << 32 | b) * UINT64_C(0x9e3779b97f4a7c15) + operation * UINT64_C(0xd6e8feb86659fd93);

	return &space->cache[mix(key) & (space->cache_size - 1)];
}

/* The largest value of a word that is asked in ranges. */
static inline uint64_t range_last(const struct space *space, unsigned word)
{
	return ~UINT64_C(0) >> (BITS_PER_WORD - space->range_bits[word]);
}

/* A test without looking for what it could be joined with: the rest of one that is there. */
diagram diagram_plain(struct space *space, unsigned word, unsigned start, unsigned count, uint64_t pattern,
		      diagram then, diagram otherwise);
/* As diagram_test(), with the pattern shifted up: its first bit is bit 63. */
diagram diagram_make(struct space *space, unsigned word, unsigned start, unsigned count, uint64_t pattern, diagram then,
		     diagram otherwise);

/* Edges are put together between begin and end, from the lowest; those of other nodes may be in between. */
size_t diagram_begin_ranges(const struct space *space);
void diagram_add_range(struct space *space, size_t begin, uint64_t last, diagram below); /* joined where it can be */
void diagram_put_edge(struct space *space, uint64_t last, diagram below);
diagram diagram_end_ranges(struct space *space, size_t begin, unsigned word);

#endif
