#include "verify/pset_piece.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Words that a field takes, and the pieces that lie in them. */
enum {
	WORDS_BITS = 2, /* the second only of more than 64 bits */
	WORDS_RANGES = 1,
	WORDS_ADDRESS = 3,
	ADDRESS_TEST_BITS = 4,
};

enum word {
#define PSET_FIELD(id, name, bits, how)                                                                                \
	WORD_##id, LAST_WORD_##id = WORD_##id + WORDS_##how - 1 - (WORDS_##how == 2 && (bits) <= 64),
#include "verify/pset_field_list.h"
#undef PSET_FIELD
	WORD_COUNT,
};
static_assert((int)WORD_COUNT <= SPACE_WORDS, "every word has its bits");
static_assert(PSET_FIELD_COUNT <= 64, "pset_fields holds all");

#define PIECES_BITS(word, bits)                                                                                        \
	{                                                                                                              \
		{word, 0, (bits) > 64 ? 64 : (bits), false},                                                           \
		{                                                                                                      \
			(word) + 1, 64, (bits) > 64 ? (bits)-64 : 0, false                                             \
		}                                                                                                      \
	}
#define PIECES_RANGES(word, bits)                                                                                      \
	{                                                                                                              \
		{                                                                                                      \
			word, 0, bits, true                                                                            \
		}                                                                                                      \
	}
#define PIECES_ADDRESS(word, bits)                                                                                     \
	{                                                                                                              \
		{word, 0, ADDRESS_TEST_BITS, false}, {(word) + 1, ADDRESS_TEST_BITS, 64 - ADDRESS_TEST_BITS, true},    \
		{                                                                                                      \
			(word) + 2, 64, 64, true                                                                       \
		}                                                                                                      \
	}

static const struct {
	const char *name;
	uint8_t bits;
	struct pset_piece pieces[MOST_PIECES];
} fields[] = {
#define PSET_FIELD(id, name, bits, how) {name, bits, PIECES_##how(WORD_##id, bits)},
#include "verify/pset_field_list.h"
#undef PSET_FIELD
};

enum pset_field pset_field_of_word(unsigned word)
{
	static const uint8_t of_word[] = {
#define PSET_FIELD(id, name, bits, how) [WORD_##id... LAST_WORD_##id] = PSET_##id,
#include "verify/pset_field_list.h"
#undef PSET_FIELD
	};
	return of_word[word];
}

const struct pset_piece *pset_pieces(enum pset_field field, size_t *ret_count)
{
	const struct pset_piece *pieces = fields[field].pieces;

	for (*ret_count = 0; *ret_count < MOST_PIECES && pieces[*ret_count].count; ++*ret_count)
		;
	return pieces;
}

const struct pset_piece *pset_piece_of_word(unsigned word)
{
	const struct pset_piece *pieces = fields[pset_field_of_word(word)].pieces;

	return &pieces[word - pieces->word];
}

struct space *pset_space_new(size_t memory, struct error **err)
{
	uint8_t range_bits[SPACE_WORDS] = {};

	for (unsigned word = 0; word < WORD_COUNT; word++)
		if (pset_piece_of_word(word)->ranges)
			range_bits[word] = pset_piece_of_word(word)->count;
	return space_new(memory, range_bits, err);
}

bool pset_field_has_ranges(enum pset_field field)
{
	return fields[field].pieces[0].ranges || fields[field].pieces[1].ranges;
}

const char *pset_field_name(enum pset_field field)
{
	return fields[field].name;
}

unsigned pset_field_bits(enum pset_field field)
{
	return fields[field].bits;
}

wide pset_field_last(enum pset_field field)
{
	return ~(wide)0 >> (128 - fields[field].bits);
}

/* ---- values ---- */

wide wide_of_address(const struct ip *ip)
{
	wide value = wide_of_ip(ip);

	return ip->family == AF_INET ? value << 96 : value;
}

struct ip wide_to_address(wide value, uint8_t family)
{
	return wide_to_ip(family == AF_INET ? value >> 96 : value, family);
}

wide wide_of_name(const char *name)
{
	wide value = 0;

	for (unsigned i = 0; i < 16; i++) {
		value = value << 8 | (uint8_t)*name;
		if (*name)
			name++;
	}
	return value;
}

const char *wide_to_name(wide value, char ret[WIDE_NAME_SIZE])
{
	for (unsigned i = 0; i < 16; i++)
		ret[i] = (char)(value >> (120 - 8 * i));
	ret[16] = '\0';
	return ret;
}

struct interval interval_of_prefix(const struct prefix *prefix)
{
	wide hosts = prefix->length ? ~(wide)0 >> (prefix->length - 1) >> 1 : ~(wide)0;
	wide value = wide_of_address(&prefix->ip);

	return (struct interval){value & ~hosts, value | hosts};
}

struct interval interval_of_wildcard(const char *start)
{
	size_t length = strlen(start);
	wide rest = length == 0 ? ~(wide)0 : length >= 16 ? 0 : ~(wide)0 >> (8 * length);
	wide value = wide_of_name(start);

	/* The empty name is no interface, so it begins with nothing. */
	return (struct interval){length ? value : 1, value | rest};
}

struct interval interval_of_kind(enum pset_field field, unsigned value)
{
	unsigned last = field == PSET_STATE ? PSET_UNTRACKED : 2;

	return (struct interval){value, value == last ? pset_field_last(field) : value};
}

/* ---- sets ---- */

static bool shortcut_and(void *context, diagram a, diagram b, diagram *ret)
{
	if (a == PSET_EMPTY || b == PSET_EMPTY)
		*ret = PSET_EMPTY;
	else if (a == PSET_FULL || a == b)
		*ret = b;
	else if (b == PSET_FULL)
		*ret = a;
	else
		return false;
	return true;
}

static bool shortcut_or(void *context, diagram a, diagram b, diagram *ret)
{
	if (a == PSET_FULL || b == PSET_FULL)
		*ret = PSET_FULL;
	else if (a == PSET_EMPTY || a == b)
		*ret = b;
	else if (b == PSET_EMPTY)
		*ret = a;
	else
		return false;
	return true;
}

static bool shortcut_minus(void *context, diagram a, diagram b, diagram *ret)
{
	if (a == PSET_EMPTY || b == PSET_FULL || a == b)
		*ret = PSET_EMPTY;
	else if (b == PSET_EMPTY)
		*ret = a;
	else
		return false;
	return true;
}

enum { OPERATION_AND = 1, OPERATION_OR, OPERATION_MINUS, OPERATION_LAST };
static_assert((int)OPERATION_LAST <= SPACE_FIRST_OPERATION, "no other operation has these ids");

static const struct diagram_operator intersect = {shortcut_and, NULL, OPERATION_AND, true};
static const struct diagram_operator unite = {shortcut_or, NULL, OPERATION_OR, true};
static const struct diagram_operator subtract = {shortcut_minus, NULL, OPERATION_MINUS, false};

pset pset_and(struct space *space, pset a, pset b)
{
	return diagram_combine(space, &intersect, a, b);
}

pset pset_or(struct space *space, pset a, pset b)
{
	return diagram_combine(space, &unite, a, b);
}

pset pset_minus(struct space *space, pset a, pset b)
{
	return diagram_combine(space, &subtract, a, b);
}

pset pset_not(struct space *space, pset a)
{
	return pset_minus(space, PSET_FULL, a);
}

pset pset_or_all(struct space *space, pset *sets, size_t count)
{
	if (count == 0)
		return PSET_EMPTY;
	for (size_t step = 1; step < count; step *= 2)
		for (size_t i = 0; i + step < count; i += 2 * step)
			sets[i] = pset_or(space, sets[i], sets[i + step]);
	return sets[0];
}

bool pset_is_subset(struct space *space, pset a, pset b)
{
	return pset_is_empty(pset_minus(space, a, b));
}

bool pset_overlap(struct space *space, pset a, pset b)
{
	return !pset_is_empty(pset_and(space, a, b));
}

/* ---- taking fields away, and changing them ---- */

enum bits_kind { FORGET, FIX, FLIP, EXCHANGE, RENAME, LOWER };

/* What an operation on bits does, as the name of that operation. */
struct bits_operation {
	wide value, mask;
	uint64_t fields;
	uint32_t kind, operator_id, field, start, count;
};

static uint32_t bits_id(struct space *space, uint32_t kind, uint32_t operator_id, struct pset_bits bits, wide value,
			wide mask)
{
	struct bits_operation operation;

	memset(&operation, 0, sizeof(operation));
	operation.value = value;
	operation.mask = mask;
	operation.kind = kind;
	operation.operator_id = operator_id;
	operation.field = bits.field;
	operation.start = bits.start;
	operation.count = bits.count;
	return space_id_of(space, &operation, sizeof(operation));
}

/* Of a piece asked in ranges all bits or none count. */
static void put_bits(struct diagram_bits *all, struct pset_bits bits, wide value)
{
	wide shifted = (value & (~(wide)0 >> (128 - bits.count))) << (128 - bits.start - bits.count);
	size_t count;
	const struct pset_piece *pieces = pset_pieces(bits.field, &count);

	for (size_t i = 0; i < count; i++) {
		uint64_t part = piece_value(&pieces[i], shifted);

		all->words[pieces[i].word] = pieces[i].ranges ? part : part << (64 - pieces[i].count);
	}
}

pset pset_forget(struct space *space, pset a, pset_fields forgotten)
{
	struct diagram_bits bits = {};
	struct bits_operation operation;

	memset(&operation, 0, sizeof(operation));
	operation.kind = FORGET;
	operation.fields = forgotten;
	for (unsigned i = 0; i < PSET_FIELD_COUNT; i++)
		if (forgotten & PSET_BIT(i))
			put_bits(&bits, pset_bits_of(i), pset_field_last(i));
	return diagram_quantify(space, &unite, a, &bits, space_id_of(space, &operation, sizeof(operation)));
}

diagram pset_before(struct space *space, diagram d, struct pset_bits bits, wide value, wide mask)
{
	struct diagram_bits fixed = {}, values = {};

	put_bits(&fixed, bits, mask);
	put_bits(&values, bits, value);
	return diagram_fix(space, d, &fixed, &values, bits_id(space, FIX, 0, bits, value, mask));
}

diagram pset_flipped(struct space *space, diagram d, struct pset_bits bits, wide mask)
{
	struct diagram_bits flipped = {};

	put_bits(&flipped, bits, mask);
	return diagram_flip(space, d, &flipped, bits_id(space, FLIP, 0, bits, 0, mask));
}

diagram pset_for_all_values(struct space *space, const struct diagram_operator *operator, diagram d,
			    struct pset_bits bits, wide mask)
{
	struct diagram_bits all = {};

	put_bits(&all, bits, mask);
	return diagram_quantify(space, operator, d, &all, bits_id(space, FORGET, operator->id, bits, 0, mask));
}

pset pset_forget_bits(struct space *space, pset a, struct pset_bits bits, wide mask)
{
	return pset_for_all_values(space, &unite, a, bits, mask);
}

pset pset_after(struct space *space, pset a, struct pset_bits bits, wide value, wide mask)
{
	return pset_and(space, pset_for_all_values(space, &unite, a, bits, mask),
			pset_bits_masked(space, bits, value, mask));
}

pset pset_after_range(struct space *space, pset a, enum pset_field field, wide first, wide last)
{
	return pset_and(space, pset_forget(space, a, PSET_BIT(field)), pset_interval(space, field, first, last));
}

/*
 * A function rebuilt from its own tests, each of them of the other field. Above both fields everything stays where it
 * is, and what asks about neither is the same. Between them, what stands below a test may by then ask about fields
 * before it, so the parts are put together as sets.
 */
struct exchange {
	struct space *space;
	uint32_t id;
	uint8_t one, other; /* words */
	uint8_t words;
	uint8_t first, last; /* of both fields */
	bool one_way;	     /* tests of the other field stay as they are */
};

static uint8_t exchanged_word(const struct exchange *exchange, uint8_t word)
{
	if (word >= exchange->one && word < exchange->one + exchange->words)
		return (uint8_t)(word - exchange->one + exchange->other);
	if (!exchange->one_way && word >= exchange->other && word < exchange->other + exchange->words)
		return (uint8_t)(word - exchange->other + exchange->one);
	return word;
}

static pset exchange_set(const struct exchange *exchange, pset a);

static pset exchange_ranges(const struct exchange *exchange, const struct diagram_node *node)
{
	unsigned word = exchanged_word(exchange, node->word);
	uint64_t last = piece_last(pset_piece_of_word(word));
	pset sum = PSET_EMPTY;

	for (size_t i = 0; i < node->edge_count; i++) {
		pset below = exchange_set(exchange, node->edges[i].below);
		struct diagram_edge edges[3];
		size_t count = 0;

		if (i > 0)
			edges[count++] = (struct diagram_edge){node->edges[i - 1].last, PSET_EMPTY};
		edges[count++] = (struct diagram_edge){node->edges[i].last, PSET_FULL};
		if (node->edges[i].last < last)
			edges[count++] = (struct diagram_edge){last, PSET_EMPTY};
		sum = pset_or(exchange->space, sum,
			      pset_and(exchange->space, diagram_ranges(exchange->space, word, edges, count), below));
	}
	return sum;
}

static pset exchange_test(const struct exchange *exchange, const struct diagram_node *node)
{
	struct space *space = exchange->space;
	pset then = exchange_set(exchange, node->then), otherwise = exchange_set(exchange, node->otherwise), test;

	if (node->word < exchange->first)
		return diagram_test(space, node->word, node->start, node->count, node->pattern, then, otherwise);
	test = diagram_test(space, exchanged_word(exchange, node->word), node->start, node->count, node->pattern,
			    PSET_FULL, PSET_EMPTY);
	return pset_or(space, pset_and(space, test, then), pset_minus(space, otherwise, test));
}

static pset exchange_set(const struct exchange *exchange, pset a)
{
	struct diagram_node node;
	pset result;

	if (diagram_is_number(a))
		return a;
	node = diagram_node(exchange->space, a);
	if (node.word > exchange->last || node.last < exchange->first)
		return a;
	if (diagram_recall(exchange->space, exchange->id, a, &result))
		return result;
	result = node.edges ? exchange_ranges(exchange, &node) : exchange_test(exchange, &node);
	diagram_keep(exchange->space, exchange->id, a, result);
	return result;
}

static pset rename_field(struct space *space, pset a, enum pset_field one, enum pset_field other, bool one_way)
{
	struct exchange exchange = {.space = space,
				    .id = bits_id(space, one_way ? RENAME : EXCHANGE, 0, pset_bits_of(one), other, 0),
				    .one = fields[one].pieces[0].word,
				    .other = fields[other].pieces[0].word,
				    .one_way = one_way};
	size_t pieces;

	pset_pieces(one, &pieces);
	exchange.words = (uint8_t)pieces;
	exchange.first = exchange.one < exchange.other ? exchange.one : exchange.other;
	exchange.last = (uint8_t)((exchange.one < exchange.other ? exchange.other : exchange.one) + pieces - 1);
	return exchange_set(&exchange, a);
}

pset pset_exchange(struct space *space, pset a, enum pset_field one, enum pset_field other)
{
	return rename_field(space, a, one, other, false);
}

pset pset_exchange_ends(struct space *space, pset a)
{
	return pset_exchange(space, pset_exchange(space, a, PSET_SADDR, PSET_DADDR), PSET_SPORT, PSET_DPORT);
}

pset pset_as(struct space *space, pset a, enum pset_field field, enum pset_field as)
{
	return rename_field(space, a, field, as, true);
}

/* ---- one lower ---- */

struct lowering {
	struct space *space;
	uint32_t id;
	uint8_t word;
	uint64_t last; /* value of the field */
};

static pset lower_set(const struct lowering *lowering, pset a);

static pset lower_ranges(const struct lowering *lowering, const struct diagram_node *node)
{
	bool here = node->word == lowering->word;
	struct diagram_edge *edges = calloc(node->edge_count + 1, sizeof(*edges));
	size_t count = 0;
	pset result;

	if (!edges)
		abort();
	for (size_t i = 0; i < node->edge_count; i++) {
		struct diagram_edge edge = node->edges[i];

		if (here && edge.last == 0)
			continue;
		edge.last -= here;
		edge.below = here ? edge.below : lower_set(lowering, edge.below);
		edges[count++] = edge;
	}
	if (here)
		edges[count++] = (struct diagram_edge){lowering->last, PSET_EMPTY};
	result = diagram_ranges(lowering->space, node->word, edges, count);
	free(edges);
	return result;
}

static pset lower_set(const struct lowering *lowering, pset a)
{
	struct diagram_edge edges[2] = {{lowering->last - 1, a}, {lowering->last, PSET_EMPTY}};
	struct space *space = lowering->space;
	struct diagram_node node;
	pset result;

	if (a == PSET_EMPTY)
		return a;
	if (diagram_is_number(a))
		return diagram_ranges(space, lowering->word, edges, 2);
	node = diagram_node(space, a);
	if (node.word > lowering->word) /* any value */
		return diagram_ranges(space, lowering->word, edges, 2);
	if (diagram_recall(space, lowering->id, a, &result))
		return result;
	if (node.edges)
		result = lower_ranges(lowering, &node);
	else
		result = diagram_test(space, node.word, node.start, node.count, node.pattern,
				      lower_set(lowering, node.then), lower_set(lowering, node.otherwise));
	diagram_keep(space, lowering->id, a, result);
	return result;
}

pset pset_one_lower(struct space *space, pset a, enum pset_field field)
{
	const struct lowering lowering = {.space = space,
					  .id = bits_id(space, LOWER, 0, pset_bits_of(field), 0, 0),
					  .word = fields[field].pieces[0].word,
					  .last = piece_last(&fields[field].pieces[0])};

	return lower_set(&lowering, a);
}
