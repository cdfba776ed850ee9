/*
 * Nodes lie in one reservation of address space and never move. The table that makes them unique and the cache of
 * operations are arrays beside it; the cache forgets.
 *
 * What makes a form canonical: take the binary diagram, in which each node asks one bit. From the bottom up, a node is
 * joined with the node below it, if that is of the same word and the next bit and both lead to the same function where
 * they do not match; of a node of one bit it does not matter which of its ways is called the match. At most one of a
 * node's two ways can be joined, because each of the two functions would have to stand below the other. So the form
 * follows from the binary diagram alone, and that is canonical (Bryant 1986; chains of nodes: Bryant 2018).
 */
#include "verify/diagram_internal.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	FIRST_TABLE = 1 << 12,
	FIRST_CACHE = 1 << 12,
	LARGEST_CACHE = 1 << 21,
	USED_AT_ONCE = 1 << 18, /* bytes */
};

static uint32_t hash_edges(unsigned word, const struct diagram_edge *edges, size_t count)
{
	uint64_t hash = word;

	for (size_t i = 0; i < count; i++)
		hash = mix(hash ^ (edges[i].last + edges[i].below * UINT64_C(0xd6e8feb86659fd93))) *
		       UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)mix(hash);
}

static inline uint32_t hash_test(const struct node *node)
{
	uint64_t shape = (uint64_t)node->word << 16 | (uint64_t)node->start << 8 | node->count;
	uint64_t ways = (uint64_t)node->then << 32 | node->otherwise;

	return (uint32_t)mix(node->pattern * UINT64_C(0x9e3779b97f4a7c15) ^
			     mix(ways + shape * UINT64_C(0xff51afd7ed558ccd)));
}

static void *reserve_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* Of a table all pages are there at once: one by one, as they are touched, they cost several times as much. */
static void *table_new(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void table_free(void *table, size_t size)
{
	if (table)
		munmap(table, size);
}

/* The same of what is used from its beginning on: some more pages from `from` on. Gives back where they end. A kernel
 * before 5.14 cannot, and gives each page as it is touched. */
static size_t use_memory(const struct space *space, void *memory, size_t from)
{
	size_t size = space->memory - from < USED_AT_ONCE ? space->memory - from : USED_AT_ONCE;

	madvise((uint8_t *)memory + from, size, MADV_POPULATE_WRITE);
	return from + size;
}

struct space *space_new(size_t memory, const uint8_t range_bits[SPACE_WORDS], struct error **err)
{
	struct space *space = calloc(1, sizeof(*space));
	if (!space)
		abort();
	space->memory = memory;
	memcpy(space->range_bits, range_bits, sizeof(space->range_bits));
	if (memory / sizeof(struct node) > DIAGRAM_NUMBER - 1)
		space->memory = (DIAGRAM_NUMBER - 1) * sizeof(struct node);
	space->nodes = reserve_memory(space->memory);
	space->edges = reserve_memory(space->memory);
	space->table_size = FIRST_TABLE;
	space->table = table_new(space->table_size * sizeof(*space->table));
	space->cache_size = FIRST_CACHE;
	space->cache = table_new(space->cache_size * sizeof(*space->cache));
	space->next_operation = SPACE_FIRST_OPERATION;
	if (!space->nodes || !space->edges || !space->table || !space->cache) {
		error_set(err, ENOMEM, "cannot reserve %zu MiB for sets of packets", memory >> 20);
		space_free(space);
		return NULL;
	}
	return space;
}

void space_free(struct space *space)
{
	if (!space)
		return;
	if (space->nodes)
		munmap(space->nodes, space->memory);
	if (space->edges)
		munmap(space->edges, space->memory);
	for (size_t i = 0; i < space->known_size; i++)
		free(space->known[i].key);
	free(space->known);
	free(space->found);
	table_free(space->table, space->table_size * sizeof(*space->table));
	table_free(space->cache, space->cache_size * sizeof(*space->cache));
	free(space);
}

int space_check(const struct space *space, struct error **err)
{
	if (!space->too_large)
		return 0;
	error_set(err, E2BIG, "the question is too large: its sets of packets need more than %zu MiB",
		  space->memory >> 20);
	error_hint(err, "ask about fewer ports, protocols or hosts at a time, or allow more memory");
	return -E2BIG;
}

void space_fail(struct space *space)
{
	space->too_large = true;
}

size_t space_node_count(const struct space *space)
{
	return space->node_count;
}

size_t space_memory(const struct space *space)
{
	return space->node_count * sizeof(struct node) + space->edge_count * sizeof(*space->edges) +
	       space->table_size * sizeof(*space->table) + space->cache_size * sizeof(*space->cache);
}

uint32_t space_operator_id(struct space *space)
{
	return space->next_operation++;
}

static uint64_t hash_bytes(const void *key, size_t size)
{
	const uint8_t *bytes = key;
	uint64_t hash = size, word;

	for (; size >= sizeof(word); size -= sizeof(word), bytes += sizeof(word)) {
		memcpy(&word, bytes, sizeof(word));
		hash = mix(hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	}
	for (; size > 0; size--)
		hash = (hash ^ *bytes++) * UINT64_C(0x100000001b3);
	return mix(hash);
}

static struct known_operation *known_slot(const struct space *space, const void *key, size_t size)
{
	size_t at = hash_bytes(key, size) & (space->known_size - 1);
	struct known_operation *known;

	for (;; at = (at + 1) & (space->known_size - 1)) {
		known = &space->known[at];
		if (!known->id || (known->size == size && memcmp(known->key, key, size) == 0))
			return known;
	}
}

static void grow_known(struct space *space)
{
	struct known_operation *old = space->known;
	size_t old_size = space->known_size;

	space->known_size = old_size ? 2 * old_size : 64;
	space->known = calloc(space->known_size, sizeof(*space->known));
	if (!space->known)
		abort();
	for (size_t i = 0; i < old_size; i++)
		if (old[i].id)
			*known_slot(space, old[i].key, old[i].size) = old[i];
	free(old);
}

uint32_t space_id_of(struct space *space, const void *key, size_t size)
{
	struct known_operation *known;

	if (2 * space->known_count >= space->known_size)
		grow_known(space);
	known = known_slot(space, key, size);
	if (known->id)
		return known->id;
	*known = (struct known_operation){space_operator_id(space), size, malloc(size)};
	if (!known->key)
		abort();
	memcpy(known->key, key, size);
	space->known_count++;
	return known->id;
}

/* ---- the table of nodes ---- */

static struct slot *free_slot(struct space *space, uint32_t hash)
{
	uint32_t at = hash & (space->table_size - 1);

	while (space->table[at].node)
		at = (at + 1) & (space->table_size - 1);
	return &space->table[at];
}

static void grow_cache(struct space *space)
{
	struct cached *old = space->cache;
	uint32_t old_size = space->cache_size;

	space->cache_size *= 2;
	space->cache = table_new(space->cache_size * sizeof(*space->cache));
	if (!space->cache)
		abort();
	for (uint32_t i = 0; i < old_size; i++)
		if (old[i].operation)
			*cache_slot(space, old[i].operation, old[i].a, old[i].b) = old[i];
	table_free(old, old_size * sizeof(*old));
}

static void grow(struct space *space)
{
	struct slot *old = space->table;
	uint32_t old_size = space->table_size;

	space->table_size *= 2;
	space->table = table_new(space->table_size * sizeof(*space->table));
	if (!space->table)
		abort();
	for (uint32_t i = 0; i < old_size; i++)
		if (old[i].node)
			*free_slot(space, old[i].hash) = old[i];
	table_free(old, old_size * sizeof(*old));
	if (space->cache_size < space->table_size && space->cache_size < LARGEST_CACHE)
		grow_cache(space);
}

uint32_t space_mark(const struct space *space)
{
	return space->node_count;
}

void space_release(struct space *space, uint32_t mark)
{
	space->too_large = false;
	if (mark == space->node_count)
		return;
	while (space->node_count > mark) {
		const struct node *node = &space->nodes[--space->node_count];

		if (node->count == 0)
			space->edge_count = node->pattern;
	}
	memset(space->table, 0, space->table_size * sizeof(*space->table));
	memset(space->cache, 0, space->cache_size * sizeof(*space->cache));
	for (uint32_t i = 0; i < mark; i++) {
		const struct node *node = &space->nodes[i];
		uint32_t hash = node->count ? hash_test(node)
					    : hash_edges(node->word, &space->edges[node->pattern], node->then);

		*free_slot(space, hash) = (struct slot){hash, i + 1};
	}
}

static uint8_t later_word(const struct space *space, uint8_t word, diagram below)
{
	return diagram_is_number(below) || node_of(space, below)->last < word ? word : node_of(space, below)->last;
}

static uint8_t last_word(const struct space *space, const struct node *node)
{
	uint8_t last = node->word;

	if (node->count) {
		last = later_word(space, last, node->then);
		return later_word(space, last, node->otherwise);
	}
	for (size_t i = 0; i < node->then; i++)
		last = later_word(space, last, space->edges[node->pattern + i].below);
	return last;
}

static diagram add_node(struct space *space, struct slot *slot, uint32_t hash, const struct node *node)
{
	if ((space->node_count + 1) * sizeof(*node) > space->nodes_used)
		space->nodes_used = use_memory(space, space->nodes, space->nodes_used);
	space->nodes[space->node_count] = *node;
	space->nodes[space->node_count].last = last_word(space, node);
	*slot = (struct slot){hash, ++space->node_count};
	if (space->node_count > space->table_size / 2)
		grow(space);
	return space->node_count - 1;
}

static bool has_room(struct space *space, size_t edges)
{
	if (space_memory(space) + sizeof(struct node) + edges * sizeof(*space->edges) > space->memory)
		space->too_large = true;
	return !space->too_large;
}

/* The one test of this kind. */
static diagram unique_test(struct space *space, const struct node *wanted)
{
	uint32_t hash = hash_test(wanted), at = hash & (space->table_size - 1);

	for (; space->table[at].node; at = (at + 1) & (space->table_size - 1)) {
		const struct node *node = &space->nodes[space->table[at].node - 1];

		if (space->table[at].hash == hash && node->pattern == wanted->pattern && node->then == wanted->then &&
		    node->otherwise == wanted->otherwise && node->word == wanted->word &&
		    node->start == wanted->start && node->count == wanted->count)
			return space->table[at].node - 1;
	}
	return has_room(space, 0) ? add_node(space, &space->table[at], hash, wanted) : diagram_of(0);
}

/* The one node with these edges, of which no two neighbours lead to the same. */
static diagram unique_ranges(struct space *space, unsigned word, const struct diagram_edge *edges, size_t count)
{
	uint32_t hash = hash_edges(word, edges, count), at = hash & (space->table_size - 1);
	struct node node = {.pattern = space->edge_count, .then = (diagram)count, .word = (uint8_t)word};

	for (; space->table[at].node; at = (at + 1) & (space->table_size - 1)) {
		const struct node *other = &space->nodes[space->table[at].node - 1];

		if (space->table[at].hash == hash && other->count == 0 && other->word == word && other->then == count &&
		    memcmp(&space->edges[other->pattern], edges, count * sizeof(*edges)) == 0)
			return space->table[at].node - 1;
	}
	if (!has_room(space, count))
		return diagram_of(0);
	if ((space->edge_count + count) * sizeof(*edges) > space->edges_used)
		space->edges_used = use_memory(space, space->edges, space->edges_used);
	memcpy(&space->edges[space->edge_count], edges, count * sizeof(*edges));
	space->edge_count += count;
	return add_node(space, &space->table[at], hash, &node);
}

/* A node of several bits, or of one: then the match is the bit 1. */
diagram diagram_plain(struct space *space, unsigned word, unsigned start, unsigned count, uint64_t pattern,
		      diagram then, diagram otherwise)
{
	struct node node = {
		.pattern = pattern,
		.then = then,
		.otherwise = otherwise,
		.word = (uint8_t)word,
		.start = (uint8_t)start,
		.count = (uint8_t)count,
	};

	if (count == 1 && !pattern) {
		node.pattern = top_bits(1);
		node.then = otherwise;
		node.otherwise = then;
	}
	return unique_test(space, &node);
}

/* Can `below` be joined to a test above it that leads to `otherwise`? Then this is the test that it is of. */
static bool joins(const struct space *space, diagram below, unsigned word, unsigned start, diagram otherwise,
		  struct node *ret)
{
	if (diagram_is_number(below))
		return false;
	*ret = *node_of(space, below);
	if (ret->word != word || ret->start != start)
		return false;
	if (ret->otherwise == otherwise)
		return true;
	if (ret->count > 1 || ret->then != otherwise)
		return false;
	ret->pattern ^= top_bits(1);
	ret->then = ret->otherwise;
	ret->otherwise = otherwise;
	return true;
}

/* `pattern` is shifted up here: its first bit is bit 63. */
diagram diagram_make(struct space *space, unsigned word, unsigned start, unsigned count, uint64_t pattern, diagram then,
		     diagram otherwise)
{
	unsigned last = count - 1;
	struct node below;

	if (then == otherwise)
		return then;
	if (joins(space, then, word, start + count, otherwise, &below))
		return diagram_plain(space, word, start, count + below.count, pattern | below.pattern >> count,
				     below.then, otherwise);
	if (joins(space, otherwise, word, start + count, then, &below)) {
		uint64_t bit = ~pattern & top_bits(count) & ~top_bits(last);
		diagram turned = diagram_plain(space, word, start + last, 1 + below.count,
					       bit << last | below.pattern >> 1, below.then, then);

		if (last == 0)
			return turned;
		return diagram_plain(space, word, start, last, pattern & top_bits(last), turned, otherwise);
	}
	return diagram_plain(space, word, start, count, pattern, then, otherwise);
}

diagram diagram_test(struct space *space, unsigned word, unsigned start, unsigned count, uint64_t pattern, diagram then,
		     diagram otherwise)
{
	return diagram_make(space, word, start, count, pattern << start, then, otherwise);
}

/* ---- ranges ---- */

size_t diagram_begin_ranges(const struct space *space)
{
	return space->found_count;
}

void diagram_put_edge(struct space *space, uint64_t last, diagram below)
{
	if (space->found_count == space->found_capacity) {
		space->found_capacity = space->found_capacity ? 2 * space->found_capacity : 256;
		space->found = reallocarray(space->found, space->found_capacity, sizeof(*space->found));
		if (!space->found)
			abort();
	}
	space->found[space->found_count++] = (struct diagram_edge){last, below};
}

void diagram_add_range(struct space *space, size_t begin, uint64_t last, diagram below)
{
	if (space->found_count > begin && space->found[space->found_count - 1].below == below)
		space->found[space->found_count - 1].last = last;
	else
		diagram_put_edge(space, last, below);
}

diagram diagram_end_ranges(struct space *space, size_t begin, unsigned word)
{
	size_t count = space->found_count - begin;

	space->found_count = begin;
	if (count == 1)
		return space->found[begin].below;
	return unique_ranges(space, word, &space->found[begin], count);
}

diagram diagram_ranges(struct space *space, unsigned word, const struct diagram_edge *edges, size_t count)
{
	size_t begin = diagram_begin_ranges(space);

	for (size_t i = 0; i < count; i++)
		diagram_add_range(space, begin, edges[i].last, edges[i].below);
	return diagram_end_ranges(space, begin, word);
}

struct diagram_node diagram_node(const struct space *space, diagram d)
{
	const struct node *node = node_of(space, d);

	if (node->count == 0)
		return (struct diagram_node){.word = node->word,
					     .last = node->last,
					     .edges = &space->edges[node->pattern],
					     .edge_count = node->then};
	return (struct diagram_node){.pattern = node->pattern >> node->start,
				     .then = node->then,
				     .otherwise = node->otherwise,
				     .word = node->word,
				     .start = node->start,
				     .count = node->count,
				     .last = node->last};
}

/* ---- walking over one ---- */

static void visit_below(struct space *space, diagram d, diagram_visitor *visit, void *context)
{
	while (!diagram_is_number(d)) {
		struct node *node = &space->nodes[d];

		if (node->seen == space->visits)
			return;
		node->seen = space->visits;
		visit(context, d);
		if (node->count == 0) {
			const struct diagram_edge *edges = &space->edges[node->pattern];

			for (size_t i = 0; i < node->then; i++)
				visit_below(space, edges[i].below, visit, context);
			return;
		}
		visit_below(space, node->then, visit, context);
		d = node->otherwise;
	}
	visit(context, d);
}

/* Nodes that were seen are marked with the number of the walk, so that none has to be unmarked. */
static void begin_visit(struct space *space)
{
	if (++space->visits)
		return;
	for (uint32_t i = 0; i < space->node_count; i++)
		space->nodes[i].seen = 0;
	space->visits = 1;
}

void diagram_visit(struct space *space, diagram d, diagram_visitor *visit, void *context)
{
	begin_visit(space);
	visit_below(space, d, visit, context);
}

static void count_node(void *context, diagram d)
{
	*(size_t *)context += !diagram_is_number(d);
}

size_t diagram_size(struct space *space, diagram d)
{
	size_t count = 0;

	diagram_visit(space, d, count_node, &count);
	return count;
}
