/*
 * Prefix decision diagrams: functions from the bits of a packet to a number, as graphs in which equal functions are one
 * node, so that comparing two is comparing two integers. Sets of packets (pset.h) are such functions with 0 and 1.
 *
 * A word of the packet is up to 64 bits, and words are asked in rising order, in one of two ways. In tests: do these
 * bits begin with this pattern? Below such a node stands what holds if so and what holds if not. (In the usual binary
 * diagram every node asks one bit.) Or in ranges: in which of these intervals is the word? One node then asks all of
 * it, as long lists of addresses and ports want it; but each such node is a list of its own, where tests share their
 * ends.
 *
 * Nodes are only ever added, until the space is emptied to a mark or freed. When there are as many as memory was
 * promised for, every operation gives 0 and diagram_check() tells: nothing has to be checked in between.
 */
#ifndef NESTVISOR_VERIFY_DIAGRAM_H
#define NESTVISOR_VERIFY_DIAGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct space;

typedef uint32_t diagram;

enum { SPACE_WORDS = 64 };

/* A function that is the same number everywhere. Numbers are below 2^31. */
#define DIAGRAM_NUMBER 0x80000000u

static inline diagram diagram_of(uint32_t number)
{
	return number | DIAGRAM_NUMBER;
}

static inline bool diagram_is_number(diagram d)
{
	return d & DIAGRAM_NUMBER;
}

static inline uint32_t diagram_number(diagram d)
{
	return d & ~DIAGRAM_NUMBER;
}

/*
 * `memory`: how many bytes it may take; it takes them as they are needed. `range_bits`: how many bits each word that is
 * asked in ranges has, the lowest of the 64; 0 for words asked in tests. NULL, err set: no memory to be had.
 */
struct space *space_new(size_t memory, const uint8_t range_bits[SPACE_WORDS], struct error **err);
void space_free(struct space *space); /* NULL is fine */

static inline void space_freep(struct space **space)
{
	space_free(*space);
}
#define cleanup_space __attribute__((cleanup(space_freep)))

/* 0, or -E2BIG: an operation since space_new() or the last space_release() needed more nodes than there may be. */
int space_check(const struct space *space, struct error **err);
void space_fail(struct space *space); /* says so of an operation outside */
size_t space_node_count(const struct space *space);
size_t space_memory(const struct space *space); /* bytes in use */

/* All diagrams made after the mark was taken are given up; those before stay. */
uint32_t space_mark(const struct space *space);
void space_release(struct space *space, uint32_t mark);

/*
 * Where bits start…start+count-1 of a word (bit 0 is its highest, `pattern` is aligned with it and 0 elsewhere) are the
 * pattern: `then`; else `otherwise`. Neither may ask about those bits, nor about any before.
 */
diagram diagram_test(struct space *space, unsigned word, unsigned start, unsigned count, uint64_t pattern, diagram then,
		     diagram otherwise);

/* Up to `last`, and above the edge before. */
struct diagram_edge {
	uint64_t last;
	diagram below;
} __attribute__((packed, aligned(4)));
/* Of a word asked in ranges. The edges rise; the last one is up to the word's largest value. */
diagram diagram_ranges(struct space *space, unsigned word, const struct diagram_edge *edges, size_t count);

/*
 * An operation on two numbers, done for every packet. `shortcut` is asked with two functions, first: true, and the
 * result, where it is plain without looking further. It must answer for two numbers. An operation's id is its own
 * within the space: of operators that depend on data (`context`), a new one is needed when the data changes for numbers
 * that were combined before.
 */
struct diagram_operator {
	bool (*shortcut)(void *context, diagram a, diagram b, diagram *ret);
	void *context;
	uint32_t id; /* space_operator_id() */
	bool commutes;
};
/* Ids below this are for operators that depend on no data. */
enum { SPACE_FIRST_OPERATION = 16 };
uint32_t space_operator_id(struct space *space);
/* The id of an operation that is known by these bytes: the same for the same bytes, so that what was found is found
 * again. */
uint32_t space_id_of(struct space *space, const void *key, size_t size);
diagram diagram_combine(struct space *space, const struct diagram_operator *operator, diagram a, diagram b);

/* The same for one function: every number becomes another. */
struct diagram_mapping {
	uint32_t (*map)(void *context, uint32_t number);
	void *context;
	uint32_t id;
};
diagram diagram_map(struct space *space, const struct diagram_mapping *mapping, diagram d);

/* Some bits of each word; bit 63 is a word's highest. A word asked in ranges is one number, and its mask all or none.
 */
struct diagram_bits {
	uint64_t words[SPACE_WORDS];
};

/* What the function is where those bits have those values; it does not depend on them any more. `id` is of the bits and
 * values. */
diagram diagram_fix(struct space *space, diagram d, const struct diagram_bits *bits, const struct diagram_bits *values,
		    uint32_t id);

/* What the function is for the packet with those bits turned over. Not of words asked in ranges. */
diagram diagram_flip(struct space *space, diagram d, const struct diagram_bits *bits, uint32_t id);

/* For each packet the combination of what the function is for all values of those bits. The operator must be
 * associative, commute and give x for x and x. */
diagram diagram_quantify(struct space *space, const struct diagram_operator *operator, diagram d,
			 const struct diagram_bits *bits, uint32_t id);

/* What an operation on one function found before, if that is not forgotten; and to be found again. When memory has run
 * out, everything was found. */
bool diagram_recall(const struct space *space, uint32_t id, diagram d, diagram *ret);
void diagram_keep(struct space *space, uint32_t id, diagram d, diagram result);

/* Taking a function apart. Not of a number. */
struct diagram_node {
	uint64_t pattern; /* aligned with the word's bits */
	diagram then, otherwise;
	uint8_t word, start, count;
	uint8_t last;			  /* the highest word that it asks about, here or below */
	const struct diagram_edge *edges; /* of ranges; count is 0 then */
	size_t edge_count;
};
struct diagram_node diagram_node(const struct space *space, diagram d);

/* How many nodes it has. */
size_t diagram_size(struct space *space, diagram d);

/* Shows each of its nodes once, and every number they lead to once or more. `visit` must start no other such walk. */
typedef void diagram_visitor(void *context, diagram d);
void diagram_visit(struct space *space, diagram d, diagram_visitor *visit, void *context);

#endif
