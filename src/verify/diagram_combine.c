/*
 * Operations on diagrams: they go down from question to question, in two functions at once where there are two, and
 * remember what they found for every pair.
 */
#include "verify/diagram_internal.h"

/* Was this done before? When memory has run out, everything was: the answer does not matter. */
static bool remembered(const struct space *space, uint32_t operation, diagram a, diagram b, diagram *ret)
{
	const struct cached *slot = cache_slot(space, operation, a, b);

	if (slot->operation == operation && slot->a == a && slot->b == b) {
		*ret = slot->result;
		return true;
	}
	*ret = diagram_of(0);
	return space->too_large;
}

static diagram remember(struct space *space, uint32_t operation, diagram a, diagram b, diagram result)
{
	if (!space->too_large)
		*cache_slot(space, operation, a, b) = (struct cached){operation, a, b, result};
	return result;
}

bool diagram_recall(const struct space *space, uint32_t id, diagram d, diagram *ret)
{
	return remembered(space, id, d, d, ret);
}

void diagram_keep(struct space *space, uint32_t id, diagram d, diagram result)
{
	remember(space, id, d, d, result);
}

/* ---- two functions ---- */

static unsigned word_of(const struct space *space, diagram d)
{
	return diagram_is_number(d) ? SPACE_WORDS : node_of(space, d)->word;
}

/* The edges by which a function asks about a word: its own, or one to itself. */
static const struct diagram_edge *edges_of(const struct space *space, diagram d, unsigned word,
					   struct diagram_edge *single)
{
	if (word_of(space, d) == word)
		return &space->edges[node_of(space, d)->pattern];
	*single = (struct diagram_edge){range_last(space, word), d};
	return single;
}

static diagram combine_ranges(struct space *space, const struct diagram_operator *operator, unsigned word, diagram a,
			      diagram b)
{
	struct diagram_edge single_a, single_b;
	const struct diagram_edge *left = edges_of(space, a, word, &single_a);
	const struct diagram_edge *right = edges_of(space, b, word, &single_b);
	size_t begin = diagram_begin_ranges(space);
	uint64_t last, end = range_last(space, word);

	do {
		diagram below = diagram_combine(space, operator, left->below, right->below);

		last = left->last < right->last ? left->last : right->last;
		diagram_add_range(space, begin, last, below);
		left += left->last == last;
		right += right->last == last;
	} while (last < end);
	return diagram_end_ranges(space, begin, word);
}

/* What is left of a node's question behind its first `count` bits, if those match. */
static diagram behind(struct space *space, const struct node *node, unsigned count)
{
	if (count == node->count)
		return node->then;
	return diagram_plain(space, node->word, node->start + count, node->count - count, node->pattern << count,
			     node->then, node->otherwise);
}

/* A question, and what two functions are on its two sides. */
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

/* Only the first asks here; the second perhaps later within the same bits. */
static void split_first(struct space *space, const struct node *first, diagram second, struct split *ret, bool swapped)
{
	unsigned count = first->count;
	diagram then;

	if (word_of(space, second) == first->word && node_of(space, second)->start < first->start + count)
		count = node_of(space, second)->start - first->start;
	then = behind(space, first, count);
	*ret = (struct split){.word = first->word,
			      .start = first->start,
			      .count = count,
			      .pattern = first->pattern & top_bits(count),
			      .then_a = swapped ? second : then,
			      .then_b = swapped ? then : second,
			      .otherwise_a = swapped ? second : first->otherwise,
			      .otherwise_b = swapped ? first->otherwise : second};
}

/* Both ask about the same bit first: as far as their patterns agree, or this one bit where they differ at once. */
static void split_both(struct space *space, const struct node *a, const struct node *b, struct split *ret)
{
	unsigned count = common_bits(a->pattern, b->pattern, a->count < b->count ? a->count : b->count);

	*ret = (struct split){.word = a->word,
			      .start = a->start,
			      .count = count ? count : 1,
			      .then_b = b->otherwise,
			      .otherwise_a = a->otherwise,
			      .otherwise_b = b->otherwise};
	ret->pattern = a->pattern & top_bits(ret->count);
	ret->then_a = behind(space, a, ret->count);
	if (count)
		ret->then_b = behind(space, b, count);
	else
		ret->otherwise_b = behind(space, b, 1);
}

static unsigned place_of(const struct space *space, diagram d)
{
	return diagram_is_number(d) ? SPACE_WORDS << 8
				    : (unsigned)node_of(space, d)->word << 8 | node_of(space, d)->start;
}

static diagram combine_tests(struct space *space, const struct diagram_operator *operator, diagram a, diagram b)
{
	unsigned left_place = place_of(space, a), right_place = place_of(space, b);
	diagram then, otherwise;
	struct node left, right;
	struct split split;

	if (left_place < right_place) {
		left = *node_of(space, a);
		split_first(space, &left, b, &split, false);
	} else if (left_place > right_place) {
		right = *node_of(space, b);
		split_first(space, &right, a, &split, true);
	} else {
		left = *node_of(space, a);
		right = *node_of(space, b);
		split_both(space, &left, &right, &split);
	}
	then = diagram_combine(space, operator, split.then_a, split.then_b);
	otherwise = diagram_combine(space, operator, split.otherwise_a, split.otherwise_b);
	return diagram_make(space, split.word, split.start, split.count, split.pattern, then, otherwise);
}

diagram diagram_combine(struct space *space, const struct diagram_operator *operator, diagram a, diagram b)
{
	unsigned word;
	diagram result;

	if (operator->shortcut(operator->context, a, b, &result))
		return result;
	if (operator->commutes && a> b) {
		diagram swap = a;

		a = b;
		b = swap;
	}
	if (remembered(space, operator->id, a, b, &result))
		return result;
	word = word_of(space, a) < word_of(space, b) ? word_of(space, a) : word_of(space, b);
	if (space->range_bits[word])
		result = combine_ranges(space, operator, word, a, b);
	else
		result = combine_tests(space, operator, a, b);
	return remember(space, operator->id, a, b, result);
}

/* ---- one function ---- */

/* Something done to everything that a node leads to. */
struct visit {
	struct space *space;
	diagram (*below)(const struct visit *visit, diagram d);
	const struct diagram_mapping *mapping;
	const struct diagram_bits *bits, *values;
	uint64_t words; /* a bit for each word that `bits` are of, the lowest for word 0 */
	const struct diagram_operator *operator;
	uint32_t id;
};

static uint64_t words_of(const struct diagram_bits *bits)
{
	uint64_t words = 0;

	for (unsigned word = 0; word < SPACE_WORDS; word++)
		words |= (uint64_t)(bits->words[word] != 0) << word;
	return words;
}

/* Is nothing to be done, because the function asks about none of those words? As far as its first and last one tell. */
static bool is_untouched(const struct visit *visit, diagram d)
{
	const struct node *node;
	uint64_t above;

	if (diagram_is_number(d))
		return true;
	node = node_of(visit->space, d);
	above = visit->words >> node->word;
	return (above & (~UINT64_C(0) >> (63 - (node->last - node->word)))) == 0;
}

static diagram visit_ranges(const struct visit *visit, const struct node *node)
{
	const struct diagram_edge *edges = &visit->space->edges[node->pattern];
	size_t begin = diagram_begin_ranges(visit->space);

	for (size_t i = 0; i < node->then; i++)
		diagram_add_range(visit->space, begin, edges[i].last, visit->below(visit, edges[i].below));
	return diagram_end_ranges(visit->space, begin, node->word);
}

/* The first `count` bits of a test. */
static diagram visit_test(const struct visit *visit, const struct node *node, unsigned count)
{
	diagram then = visit->below(visit, behind(visit->space, node, count));
	diagram otherwise = visit->below(visit, node->otherwise);

	return diagram_make(visit->space, node->word, node->start, count, node->pattern & top_bits(count), then,
			    otherwise);
}

static diagram map_below(const struct visit *visit, diagram d)
{
	struct node node;
	diagram result;

	if (diagram_is_number(d))
		return diagram_of(visit->mapping->map(visit->mapping->context, diagram_number(d)));
	if (remembered(visit->space, visit->id, d, d, &result))
		return result;
	node = *node_of(visit->space, d);
	result = node.count ? visit_test(visit, &node, node.count) : visit_ranges(visit, &node);
	return remember(visit->space, visit->id, d, d, result);
}

diagram diagram_map(struct space *space, const struct diagram_mapping *mapping, diagram d)
{
	struct visit visit = {.space = space, .below = map_below, .mapping = mapping, .id = mapping->id};

	return map_below(&visit, d);
}

/* How many of a test's first bits are all within a mask, or all outside. */
static unsigned same_bits(uint64_t mask, unsigned limit, bool *ret_within)
{
	*ret_within = mask & top_bits(1);
	return common_bits(mask, *ret_within ? ~UINT64_C(0) : 0, limit);
}

static diagram fix_ranges(const struct visit *visit, const struct node *node)
{
	const struct diagram_edge *edge = &visit->space->edges[node->pattern];

	if (!visit->bits->words[node->word])
		return visit_ranges(visit, node);
	while (edge->last < visit->values->words[node->word])
		edge++;
	return visit->below(visit, edge->below);
}

static diagram fix_test(const struct visit *visit, const struct node *node)
{
	uint64_t value = visit->values->words[node->word] << node->start;
	bool within;
	unsigned count = same_bits(visit->bits->words[node->word] << node->start, node->count, &within);

	if (!within)
		return visit_test(visit, node, count);
	if (common_bits(value, node->pattern, count) == count)
		return visit->below(visit, behind(visit->space, node, count));
	return visit->below(visit, node->otherwise);
}

static diagram fix_below(const struct visit *visit, diagram d)
{
	struct node node;
	diagram result;

	if (is_untouched(visit, d))
		return d;
	if (remembered(visit->space, visit->id, d, d, &result))
		return result;
	node = *node_of(visit->space, d);
	result = node.count ? fix_test(visit, &node) : fix_ranges(visit, &node);
	return remember(visit->space, visit->id, d, d, result);
}

diagram diagram_fix(struct space *space, diagram d, const struct diagram_bits *bits, const struct diagram_bits *values,
		    uint32_t id)
{
	struct visit visit = {
		.space = space, .below = fix_below, .bits = bits, .values = values, .words = words_of(bits), .id = id};

	return fix_below(&visit, d);
}

static diagram flip_below(const struct visit *visit, diagram d)
{
	struct node node;
	diagram result;

	if (is_untouched(visit, d))
		return d;
	if (remembered(visit->space, visit->id, d, d, &result))
		return result;
	node = *node_of(visit->space, d);
	if (node.count == 0) {
		result = visit_ranges(visit, &node);
	} else {
		node.pattern ^= visit->bits->words[node.word] << node.start & top_bits(node.count);
		result = diagram_make(visit->space, node.word, node.start, node.count, node.pattern,
				      flip_below(visit, node.then), flip_below(visit, node.otherwise));
	}
	return remember(visit->space, visit->id, d, d, result);
}

diagram diagram_flip(struct space *space, diagram d, const struct diagram_bits *bits, uint32_t id)
{
	struct visit visit = {.space = space, .below = flip_below, .bits = bits, .words = words_of(bits), .id = id};

	return flip_below(&visit, d);
}

/* What all edges lead to, put together two by two. */
static diagram quantify_ranges(const struct visit *visit, const struct node *node)
{
	const struct diagram_edge *edges = &visit->space->edges[node->pattern];
	struct space *space = visit->space;
	size_t begin = diagram_begin_ranges(space), count = node->then;
	diagram result;

	if (!visit->bits->words[node->word])
		return visit_ranges(visit, node);
	for (size_t i = 0; i < count; i++)
		diagram_put_edge(space, edges[i].last, visit->below(visit, edges[i].below));
	for (size_t step = 1; step < count; step *= 2) {
		for (size_t i = 0; i + step < count; i += 2 * step) {
			result = diagram_combine(space, visit->operator, space->found[begin + i].below,
						 space->found[begin + i + step].below);
			space->found[begin + i].below = result;
		}
	}
	result = space->found[begin].below;
	space->found_count = begin;
	return result;
}

static diagram quantify_test(const struct visit *visit, const struct node *node)
{
	bool within;
	unsigned count = same_bits(visit->bits->words[node->word] << node->start, node->count, &within);

	if (!within)
		return visit_test(visit, node, count);
	return diagram_combine(visit->space, visit->operator, visit->below(visit, behind(visit->space, node, count)),
			       visit->below(visit, node->otherwise));
}

static diagram quantify_below(const struct visit *visit, diagram d)
{
	struct node node;
	diagram result;

	if (is_untouched(visit, d))
		return d;
	if (remembered(visit->space, visit->id, d, d, &result))
		return result;
	node = *node_of(visit->space, d);
	result = node.count ? quantify_test(visit, &node) : quantify_ranges(visit, &node);
	return remember(visit->space, visit->id, d, d, result);
}

diagram diagram_quantify(struct space *space, const struct diagram_operator *operator, diagram d,
			 const struct diagram_bits *bits, uint32_t id)
{
	struct visit visit = {.space = space,
			      .below = quantify_below,
			      .bits = bits,
			      .words = words_of(bits),
			      .operator= operator,
			      .id = id };

	return quantify_below(&visit, d);
}
