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
#include "verify/diagram.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	BITS_PER_WORD = 64,
	FIRST_TABLE = 1 << 12,
	FIRST_CACHE = 1 << 11,
	LARGEST_CACHE = 1 << 21,
};

struct node {
	uint64_t pattern; /* shifted up: its first bit is bit 63 */
	diagram then, otherwise;
	uint8_t word, start, count;
};

struct cached {
	uint32_t operation;
	diagram a, b, result;
};

struct space {
	struct node *nodes;
	uint32_t node_count, node_limit;
	uint32_t *table; /* node numbers plus 1; 0: free */
	uint32_t table_size;
	struct cached *cache;
	uint32_t cache_size;
	uint32_t next_operation;
	size_t memory, reserved;
	bool too_large;
};

static inline const struct node *node_of(const struct space *space, diagram d)
{
	return &space->nodes[d];
}

static inline unsigned end_of(const struct node *node)
{
	return node->start + node->count;
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

static inline uint64_t hash_node(const struct node *node)
{
	uint64_t shape = (uint64_t)node->word << 16 | (uint64_t)node->start << 8 | node->count;
	uint64_t ways = (uint64_t)node->then << 32 | node->otherwise;

	return mix(node->pattern * UINT64_C(0x9e3779b97f4a7c15) ^ mix(ways + shape * UINT64_C(0xff51afd7ed558ccd)));
}

/* The table has up to four entries for a node, the cache up to two until it is as large as it gets. */
static size_t node_limit(size_t memory)
{
	size_t node = sizeof(struct node) + 4 * sizeof(uint32_t), cache = LARGEST_CACHE * sizeof(struct cached);
	size_t with_cache = memory / (node + 2 * sizeof(struct cached));

	return memory > cache && (memory - cache) / node > with_cache ? (memory - cache) / node : with_cache;
}

struct space *space_new(size_t memory, struct error **err)
{
	struct space *space = calloc(1, sizeof(*space));
	size_t limit = node_limit(memory);

	if (!space)
		abort();
	space->node_limit = limit < DIAGRAM_NUMBER - 1 ? (uint32_t)limit : DIAGRAM_NUMBER - 1;
	space->reserved = (size_t)space->node_limit * sizeof(struct node);
	space->nodes =
		mmap(NULL, space->reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (space->nodes == MAP_FAILED) {
		error_errno(err, errno, "cannot reserve %zu MiB for sets of packets", memory >> 20);
		free(space);
		return NULL;
	}
	space->memory = memory;
	space->table_size = FIRST_TABLE;
	space->table = calloc(space->table_size, sizeof(*space->table));
	space->cache_size = FIRST_CACHE;
	space->cache = calloc(space->cache_size, sizeof(*space->cache));
	space->next_operation = SPACE_FIRST_OPERATION;
	if (!space->table || !space->cache)
		abort();
	return space;
}

void space_free(struct space *space)
{
	if (!space)
		return;
	munmap(space->nodes, space->reserved);
	free(space->table);
	free(space->cache);
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
	return space->node_count * sizeof(struct node) + space->table_size * sizeof(*space->table) +
	       space->cache_size * sizeof(*space->cache);
}

uint32_t space_operator_id(struct space *space)
{
	return space->next_operation++;
}

static void fill_table(struct space *space)
{
	for (uint32_t i = 0; i < space->node_count; i++) {
		uint32_t at = (uint32_t)hash_node(&space->nodes[i]) & (space->table_size - 1);

		while (space->table[at])
			at = (at + 1) & (space->table_size - 1);
		space->table[at] = i + 1;
	}
}

static void grow(struct space *space)
{
	free(space->table);
	space->table_size *= 2;
	space->table = calloc(space->table_size, sizeof(*space->table));
	if (!space->table)
		abort();
	fill_table(space);
	if (space->cache_size < space->table_size / 2 && space->cache_size < LARGEST_CACHE) {
		free(space->cache);
		space->cache_size *= 2;
		space->cache = calloc(space->cache_size, sizeof(*space->cache));
		if (!space->cache)
			abort();
	}
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
	space->node_count = mark;
	memset(space->table, 0, space->table_size * sizeof(*space->table));
	memset(space->cache, 0, space->cache_size * sizeof(*space->cache));
	fill_table(space);
}

/* The one node of this kind. */
static diagram unique(struct space *space, const struct node *wanted)
{
	uint32_t at = (uint32_t)hash_node(wanted) & (space->table_size - 1);

	for (; space->table[at]; at = (at + 1) & (space->table_size - 1)) {
		const struct node *node = &space->nodes[space->table[at] - 1];

		if (node->pattern == wanted->pattern && node->then == wanted->then &&
		    node->otherwise == wanted->otherwise && node->word == wanted->word &&
		    node->start == wanted->start && node->count == wanted->count)
			return space->table[at] - 1;
	}
	if (space->node_count == space->node_limit || space->too_large) {
		space->too_large = true;
		return diagram_of(0);
	}
	space->nodes[space->node_count] = *wanted;
	space->table[at] = ++space->node_count;
	if (space->node_count > space->table_size / 2)
		grow(space);
	return space->node_count - 1;
}

/* A node of several bits, or of one: then the match is the bit 1. */
static diagram plain(struct space *space, unsigned word, unsigned start, unsigned count, uint64_t pattern, diagram then,
		     diagram otherwise)
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
	return unique(space, &node);
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
static diagram test(struct space *space, unsigned word, unsigned start, unsigned count, uint64_t pattern, diagram then,
		    diagram otherwise)
{
	unsigned last = count - 1;
	struct node below;

	if (then == otherwise)
		return then;
	if (joins(space, then, word, start + count, otherwise, &below))
		return plain(space, word, start, count + below.count, pattern | below.pattern >> count, below.then,
			     otherwise);
	if (joins(space, otherwise, word, start + count, then, &below)) {
		uint64_t bit = ~pattern & top_bits(count) & ~top_bits(last);
		diagram turned = plain(space, word, start + last, 1 + below.count, bit << last | below.pattern >> 1,
				       below.then, then);

		if (last == 0)
			return turned;
		return plain(space, word, start, last, pattern & top_bits(last), turned, otherwise);
	}
	return plain(space, word, start, count, pattern, then, otherwise);
}

diagram diagram_test(struct space *space, unsigned word, unsigned start, unsigned count, uint64_t pattern, diagram then,
		     diagram otherwise)
{
	return test(space, word, start, count, pattern << start, then, otherwise);
}

/* What is left of a node's question behind its first `count` bits, if those match. */
static diagram behind(struct space *space, const struct node *node, unsigned count)
{
	if (count == node->count)
		return node->then;
	return plain(space, node->word, node->start + count, node->count - count, node->pattern << count, node->then,
		     node->otherwise);
}

static inline struct cached *cache_slot(const struct space *space, uint32_t operation, diagram a, diagram b)
{
	uint64_t key =
		((uint64_t)a << 32 | b) * UINT64_C(0x9e3779b97f4a7c15) + operation * UINT64_C(0xd6e8feb86659fd93);

	return &space->cache[mix(key) & (space->cache_size - 1)];
}

/* The next question that two functions differ in, and what they are on its two sides. */
struct split {
	unsigned word, start, count;
	uint64_t pattern;
	diagram then_a, then_b, otherwise_a, otherwise_b;
};

static unsigned common_bits(uint64_t a, uint64_t b, unsigned limit)
{
	unsigned common = a == b ? BITS_PER_WORD : (unsigned)__builtin_clzll(a ^ b);

	return common < limit ? common : limit;
}

/* Only the first asks here; the other one perhaps later within the same bits. */
static void split_first(struct space *space, const struct node *first, diagram other, const struct node *second,
			struct split *ret, bool swapped)
{
	unsigned count = first->count;
	diagram then;

	if (second && second->word == first->word && second->start < end_of(first))
		count = second->start - first->start;
	then = behind(space, first, count);
	*ret = (struct split){.word = first->word,
			      .start = first->start,
			      .count = count,
			      .pattern = first->pattern & top_bits(count),
			      .then_a = swapped ? other : then,
			      .then_b = swapped ? then : other,
			      .otherwise_a = swapped ? other : first->otherwise,
			      .otherwise_b = swapped ? first->otherwise : other};
}

static void split_both(struct space *space, const struct node *a, const struct node *b, struct split *ret)
{
	unsigned count = common_bits(a->pattern, b->pattern, a->count < b->count ? a->count : b->count);

	ret->word = a->word;
	ret->start = a->start;
	if (count > 0) {
		ret->count = count;
		ret->pattern = a->pattern & top_bits(count);
		ret->then_a = behind(space, a, count);
		ret->then_b = behind(space, b, count);
		ret->otherwise_a = a->otherwise;
		ret->otherwise_b = b->otherwise;
	} else {
		ret->count = 1;
		ret->pattern = a->pattern & top_bits(1);
		ret->then_a = behind(space, a, 1);
		ret->then_b = b->otherwise;
		ret->otherwise_a = a->otherwise;
		ret->otherwise_b = behind(space, b, 1);
	}
}

static void split(struct space *space, diagram a, diagram b, struct split *ret)
{
	struct node left, right;
	unsigned left_at, right_at;

	if (diagram_is_number(a)) {
		right = *node_of(space, b);
		split_first(space, &right, a, NULL, ret, true);
		return;
	}
	left = *node_of(space, a);
	if (diagram_is_number(b)) {
		split_first(space, &left, b, NULL, ret, false);
		return;
	}
	right = *node_of(space, b);
	left_at = (unsigned)left.word << 8 | left.start;
	right_at = (unsigned)right.word << 8 | right.start;
	if (left_at < right_at)
		split_first(space, &left, b, &right, ret, false);
	else if (left_at > right_at)
		split_first(space, &right, a, &left, ret, true);
	else
		split_both(space, &left, &right, ret);
}

diagram diagram_combine(struct space *space, const struct diagram_operator *operator, diagram a, diagram b)
{
	struct cached *slot;
	struct split parts;
	diagram then, otherwise, result;

	if (operator->shortcut(operator->context, a, b, &result))
		return result;
	if (operator->commutes && a> b) {
		diagram swap = a;

		a = b;
		b = swap;
	}
	slot = cache_slot(space, operator->id, a, b);
	if (slot->operation == operator->id && slot->a == a && slot->b == b)
		return slot->result;
	if (space->too_large)
		return diagram_of(0);
	split(space, a, b, &parts);
	then = diagram_combine(space, operator, parts.then_a, parts.then_b);
	otherwise = diagram_combine(space, operator, parts.otherwise_a, parts.otherwise_b);
	result = test(space, parts.word, parts.start, parts.count, parts.pattern, then, otherwise);
	if (!space->too_large)
		*cache_slot(space, operator->id, a, b) = (struct cached){operator->id, a, b, result};
	return result;
}

diagram diagram_map(struct space *space, const struct diagram_mapping *mapping, diagram d)
{
	struct cached *slot;
	struct node node;
	diagram then, otherwise, result;

	if (diagram_is_number(d))
		return diagram_of(mapping->map(mapping->context, diagram_number(d)));
	slot = cache_slot(space, mapping->id, d, d);
	if (slot->operation == mapping->id && slot->a == d)
		return slot->result;
	if (space->too_large)
		return diagram_of(0);
	node = *node_of(space, d);
	then = diagram_map(space, mapping, node.then);
	otherwise = diagram_map(space, mapping, node.otherwise);
	result = test(space, node.word, node.start, node.count, node.pattern, then, otherwise);
	if (!space->too_large)
		*cache_slot(space, mapping->id, d, d) = (struct cached){mapping->id, d, d, result};
	return result;
}

/* How many of a node's first bits are all within a mask, or all outside. */
static unsigned same_bits(uint64_t mask, unsigned limit, bool *ret_within)
{
	*ret_within = mask & top_bits(1);
	return common_bits(mask, *ret_within ? ~UINT64_C(0) : 0, limit);
}

struct fixing {
	const struct diagram_bits *bits, *values;
	uint32_t id;
};

static diagram fix(struct space *space, const struct fixing *fixing, diagram d)
{
	struct cached *slot;
	struct node node;
	diagram result, then, otherwise;
	unsigned count;
	bool within;

	if (diagram_is_number(d))
		return d;
	slot = cache_slot(space, fixing->id, d, d);
	if (slot->operation == fixing->id && slot->a == d)
		return slot->result;
	if (space->too_large)
		return diagram_of(0);
	node = *node_of(space, d);
	count = same_bits(fixing->bits->words[node.word] << node.start, node.count, &within);
	if (within) {
		uint64_t value = fixing->values->words[node.word] << node.start;
		bool match = common_bits(value, node.pattern, count) == count;

		result = fix(space, fixing, match ? behind(space, &node, count) : node.otherwise);
	} else {
		then = fix(space, fixing, behind(space, &node, count));
		otherwise = fix(space, fixing, node.otherwise);
		result = test(space, node.word, node.start, count, node.pattern & top_bits(count), then, otherwise);
	}
	if (!space->too_large)
		*cache_slot(space, fixing->id, d, d) = (struct cached){fixing->id, d, d, result};
	return result;
}

diagram diagram_fix(struct space *space, diagram d, const struct diagram_bits *bits, const struct diagram_bits *values)
{
	struct fixing fixing = {bits, values, space_operator_id(space)};

	return fix(space, &fixing, d);
}

struct quantifying {
	const struct diagram_operator *operator;
	const struct diagram_bits *bits;
	uint32_t id;
};

static diagram quantify(struct space *space, const struct quantifying *quantifying, diagram d)
{
	struct cached *slot;
	struct node node;
	diagram result, then, otherwise;
	unsigned count;
	bool within;

	if (diagram_is_number(d))
		return d;
	slot = cache_slot(space, quantifying->id, d, d);
	if (slot->operation == quantifying->id && slot->a == d)
		return slot->result;
	if (space->too_large)
		return diagram_of(0);
	node = *node_of(space, d);
	count = same_bits(quantifying->bits->words[node.word] << node.start, node.count, &within);
	then = quantify(space, quantifying, behind(space, &node, count));
	otherwise = quantify(space, quantifying, node.otherwise);
	if (within)
		result = diagram_combine(space, quantifying->operator, then, otherwise);
	else
		result = test(space, node.word, node.start, count, node.pattern & top_bits(count), then, otherwise);
	if (!space->too_large)
		*cache_slot(space, quantifying->id, d, d) = (struct cached){quantifying->id, d, d, result};
	return result;
}

diagram diagram_quantify(struct space *space, const struct diagram_operator *operator, diagram d,
			 const struct diagram_bits *bits)
{
	struct quantifying quantifying = {operator, bits, space_operator_id(space)};

	return quantify(space, &quantifying, d);
}

struct diagram_node diagram_node(const struct space *space, diagram d)
{
	const struct node *node = node_of(space, d);

	return (struct diagram_node){
		node->pattern >> node->start, node->then, node->otherwise, node->word, node->start, node->count};
}

static void count_nodes(const struct space *space, diagram d, uint8_t *seen, size_t *count)
{
	while (!diagram_is_number(d) && !(seen[d / 8] >> d % 8 & 1)) {
		seen[d / 8] |= (uint8_t)(1u << d % 8);
		++*count;
		count_nodes(space, node_of(space, d)->then, seen, count);
		d = node_of(space, d)->otherwise;
	}
}

size_t diagram_size(const struct space *space, diagram d)
{
	uint8_t *seen = calloc(space->node_count / 8 + 1, 1);
	size_t count = 0;

	if (!seen)
		abort();
	count_nodes(space, d, seen, &count);
	free(seen);
	return count;
}
