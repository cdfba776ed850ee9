#include "verify/pset.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum word {
#define PSET_FIELD(id, name, bits, how) WORD_##id, WORD_END_##id = WORD_##id + ((bits) > 64),
#include "verify/pset_field_list.h"
#undef PSET_FIELD
	WORD_COUNT,
};
static_assert((int)WORD_COUNT <= SPACE_WORDS, "every word has its bits");
static_assert(PSET_FIELD_COUNT <= 64, "pset_fields holds all");

enum how { BITS, RANGES };

static const struct {
	const char *name;
	uint8_t bits, word;
	enum how how;
} fields[] = {
#define PSET_FIELD(id, name, bits, how) {name, bits, WORD_##id, how},
#include "verify/pset_field_list.h"
#undef PSET_FIELD
};

struct space *pset_space_new(size_t memory, struct error **err)
{
	uint64_t ranges = 0;

	for (unsigned i = 0; i < PSET_FIELD_COUNT; i++)
		if (fields[i].how == RANGES)
			ranges |= UINT64_C(1) << fields[i].word;
	return space_new(memory, ranges, err);
}

bool pset_field_has_ranges(enum pset_field field)
{
	return fields[field].how == RANGES;
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

/* ---- one field ---- */

/* Bits of a field are counted from its highest, 0; values are shifted up to the top of 128 bits. */
static wide top_bits(unsigned count)
{
	return count ? ~(wide)0 << (128 - count) : 0;
}

static wide aligned(enum pset_field field, wide value)
{
	return value << (128 - fields[field].bits);
}

/* Are the bits start…end-1 those of the value? */
static diagram ask(struct space *space, enum pset_field field, unsigned start, unsigned end, wide value, diagram then,
		   diagram otherwise)
{
	unsigned word = fields[field].word;

	if (end > 64) {
		unsigned from = start > 64 ? start : 64;

		then = diagram_test(space, word + 1, from - 64, end - from,
				    (uint64_t)(value & ~top_bits(from) & top_bits(end)), then, otherwise);
		end = from;
	}
	if (end <= start)
		return then;
	return diagram_test(space, word, start, end - start,
			    (uint64_t)((value & ~top_bits(start) & top_bits(end)) >> 64), then, otherwise);
}

static unsigned common_bits(wide a, wide b)
{
	uint64_t high = (uint64_t)((a ^ b) >> 64), low = (uint64_t)(a ^ b);

	if (high)
		return (unsigned)__builtin_clzll(high);
	return low ? 64 + (unsigned)__builtin_clzll(low) : 128;
}

struct range_builder {
	struct space *space;
	enum pset_field field;
	unsigned end; /* the bit behind the last that counts */
};

/* What of the intervals (aligned, rising, apart) has the bits before `known` as in `base`. */
static pset within(const struct range_builder *builder, const struct interval *intervals, size_t count, wide base,
		   unsigned known)
{
	wide end = base | ~top_bits(known), first, last, middle;
	unsigned common;
	size_t left;
	pset low, high;

	if (count == 0)
		return PSET_EMPTY;
	first = intervals[0].first > base ? intervals[0].first : base;
	last = intervals[count - 1].last < end ? intervals[count - 1].last : end;
	if (count == 1 && first == base && last == end)
		return PSET_FULL;
	common = common_bits(first, last);
	if (common > builder->end)
		common = builder->end;
	if (common > known)
		return ask(builder->space, builder->field, known, common, first,
			   within(builder, intervals, count, first & top_bits(common), common), PSET_EMPTY);
	middle = base | (top_bits(known + 1) & ~top_bits(known));
	for (left = 0; left < count && intervals[left].first < middle;)
		left++;
	low = within(builder, intervals, left, base, known + 1);
	if (left > 0 && intervals[left - 1].last >= middle)
		left--;
	high = within(builder, intervals + left, count - left, middle, known + 1);
	return ask(builder->space, builder->field, known, known + 1, middle, high, low);
}

static int compare_intervals(const void *a, const void *b)
{
	const struct interval *left = a, *right = b;

	return (left->first > right->first) - (left->first < right->first);
}

/* Sorted, and joined where they touch. Returns how many there are then. */
static size_t join_intervals(struct interval *intervals, size_t count)
{
	size_t joined = 0;

	qsort(intervals, count, sizeof(*intervals), compare_intervals);
	for (size_t i = 1; i < count; i++) {
		struct interval *last = &intervals[joined];

		if (last->last != ~(wide)0 && intervals[i].first > last->last + 1)
			intervals[++joined] = intervals[i];
		else if (intervals[i].last > last->last)
			last->last = intervals[i].last;
	}
	return count ? joined + 1 : 0;
}

/* Rising, apart. */
static pset ranges_within(struct space *space, enum pset_field field, const struct interval *intervals, size_t count)
{
	struct diagram_edge few[16], *edges = count <= 7 ? few : calloc(2 * count + 1, sizeof(*edges));
	wide last = pset_field_last(field), next = 0;
	size_t used = 0;
	pset result;

	if (!edges)
		abort();
	for (size_t i = 0; i < count && next <= last; i++) {
		if (intervals[i].first > next)
			edges[used++] = (struct diagram_edge){(uint32_t)intervals[i].first - 1, PSET_EMPTY};
		edges[used++] = (struct diagram_edge){(uint32_t)intervals[i].last, PSET_FULL};
		next = intervals[i].last + 1;
	}
	if (next <= last)
		edges[used++] = (struct diagram_edge){(uint32_t)last, PSET_EMPTY};
	result = diagram_ranges(space, fields[field].word, edges, used);
	if (edges != few)
		free(edges);
	return result;
}

/* A part of a field that is asked in ranges: all of its values, one by one. */
static pset ranges_with_bits(struct space *space, struct pset_bits bits, const struct interval *intervals, size_t count,
			     wide value, wide mask)
{
	unsigned shift = fields[bits.field].bits - bits.start - bits.count;
	uint32_t last = (uint32_t)pset_field_last(bits.field);
	struct diagram_edge *edges = calloc((size_t)last + 1, sizeof(*edges));
	pset result;

	if (!edges)
		abort();
	for (uint32_t i = 0; i <= last; i++) {
		wide part = i >> shift & (~(wide)0 >> (128 - bits.count));
		bool in = mask && ((part ^ value) & mask) == 0;

		for (size_t j = 0; j < count; j++)
			in = in || (part >= intervals[j].first && part <= intervals[j].last);
		edges[i] = (struct diagram_edge){i, in ? PSET_FULL : PSET_EMPTY};
	}
	result = diagram_ranges(space, fields[bits.field].word, edges, (size_t)last + 1);
	free(edges);
	return result;
}

pset pset_bits_intervals(struct space *space, struct pset_bits bits, const struct interval *intervals, size_t count)
{
	bool ranges = pset_field_has_ranges(bits.field);
	struct interval few[8], *all = count <= 8 ? few : malloc(count * sizeof(*all));
	struct range_builder builder = {space, bits.field, bits.start + bits.count};
	unsigned shift = ranges ? 0 : 128 - builder.end;
	wide unused = shift ? ~(wide)0 >> builder.end : 0;
	size_t used = 0;
	pset result;

	if (!all)
		abort();
	for (size_t i = 0; i < count; i++)
		if (intervals[i].first <= intervals[i].last)
			all[used++] =
				(struct interval){intervals[i].first << shift, intervals[i].last << shift | unused};
	used = join_intervals(all, used);
	if (!ranges)
		result = within(&builder, all, used, 0, bits.start);
	else if (bits.count == fields[bits.field].bits)
		result = ranges_within(space, bits.field, all, used);
	else
		result = used ? ranges_with_bits(space, bits, all, used, 0, 0) : PSET_EMPTY;
	if (all != few)
		free(all);
	return result;
}

pset pset_intervals(struct space *space, enum pset_field field, const struct interval *intervals, size_t count)
{
	return pset_bits_intervals(space, pset_bits_of(field), intervals, count);
}

pset pset_interval(struct space *space, enum pset_field field, wide first, wide last)
{
	return pset_intervals(space, field, &(struct interval){first, last}, 1);
}

pset pset_value(struct space *space, enum pset_field field, wide value)
{
	if (pset_field_has_ranges(field))
		return pset_interval(space, field, value, value);
	return ask(space, field, 0, fields[field].bits, aligned(field, value), PSET_FULL, PSET_EMPTY);
}

pset pset_kind(struct space *space, enum pset_field field, unsigned value)
{
	struct interval interval = interval_of_kind(field, value);

	return pset_intervals(space, field, &interval, 1);
}

pset pset_bits_masked(struct space *space, struct pset_bits part, wide value, wide mask)
{
	unsigned shift = 128 - part.start - part.count;
	wide bits = mask << shift, pattern = value << shift;
	pset result = PSET_FULL;

	if (pset_field_has_ranges(part.field))
		return mask ? ranges_with_bits(space, part, NULL, 0, value, mask) : PSET_FULL;
	for (unsigned end = part.start + part.count; end > part.start;) {
		unsigned start = end;

		while (start > part.start && bits >> (128 - start) & 1)
			start--;
		if (start < end)
			result = ask(space, part.field, start, end, pattern, result, PSET_EMPTY);
		end = start < end ? start : end - 1;
	}
	return result;
}

pset pset_masked(struct space *space, enum pset_field field, wide value, wide mask)
{
	return pset_bits_masked(space, pset_bits_of(field), value, mask);
}

/* ---- taking fields away, and changing them ---- */

enum bits_kind { FORGET, FIX, FLIP };

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

static void put_bits(struct diagram_bits *all, struct pset_bits bits, wide value)
{
	wide shifted = (value & (~(wide)0 >> (128 - bits.count))) << (128 - bits.start - bits.count);

	if (pset_field_has_ranges(bits.field)) {
		all->words[fields[bits.field].word] = (uint64_t)(value & pset_field_last(bits.field));
		return;
	}
	all->words[fields[bits.field].word] = (uint64_t)(shifted >> 64);
	if (fields[bits.field].bits > 64)
		all->words[fields[bits.field].word + 1] = (uint64_t)shifted;
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
 * A function rebuilt from its own tests, each of them of the other field: what stands below a test may by then ask
 * about fields before it, so the parts are put together as sets.
 */
struct exchange {
	struct space *space;
	uint8_t one, other; /* words */
	uint8_t words;
	struct {
		diagram from, to;
	} * seen;
	size_t seen_size, seen_count;
};

static diagram *seen_slot(struct exchange *exchange, diagram d)
{
	size_t at = d * UINT64_C(0x9e3779b97f4a7c15) >> 20 & (exchange->seen_size - 1);

	while (exchange->seen[at].from != d && exchange->seen[at].from != PSET_EMPTY)
		at = (at + 1) & (exchange->seen_size - 1);
	exchange->seen[at].from = d;
	return &exchange->seen[at].to;
}

static uint8_t exchanged_word(const struct exchange *exchange, uint8_t word)
{
	if (word >= exchange->one && word < exchange->one + exchange->words)
		return (uint8_t)(word - exchange->one + exchange->other);
	if (word >= exchange->other && word < exchange->other + exchange->words)
		return (uint8_t)(word - exchange->other + exchange->one);
	return word;
}

static pset exchange_set(struct exchange *exchange, pset a);

static pset exchange_ranges(struct exchange *exchange, const struct diagram_node *node)
{
	pset sum = PSET_EMPTY;

	for (size_t i = 0; i < node->edge_count; i++) {
		struct interval range = {i ? node->edges[i - 1].last + 1 : 0, node->edges[i].last};
		enum pset_field field = pset_field_of_word(exchanged_word(exchange, node->word));
		pset below = exchange_set(exchange, node->edges[i].below);

		sum = pset_or(exchange->space, sum,
			      pset_and(exchange->space, below,
				       pset_interval(exchange->space, field, range.first, range.last)));
	}
	return sum;
}

static pset exchange_set(struct exchange *exchange, pset a)
{
	struct diagram_node node;
	pset test, then, otherwise;
	diagram *slot;

	if (diagram_is_number(a))
		return a;
	slot = seen_slot(exchange, a);
	if (*slot)
		return *slot;
	node = diagram_node(exchange->space, a);
	if (node.edges)
		return *seen_slot(exchange, a) = exchange_ranges(exchange, &node);
	then = exchange_set(exchange, node.then);
	otherwise = exchange_set(exchange, node.otherwise);
	test = diagram_test(exchange->space, exchanged_word(exchange, node.word), node.start, node.count, node.pattern,
			    PSET_FULL, PSET_EMPTY);
	then = pset_and(exchange->space, test, then);
	otherwise = pset_minus(exchange->space, otherwise, test);
	return *seen_slot(exchange, a) = pset_or(exchange->space, then, otherwise);
}

pset pset_exchange(struct space *space, pset a, enum pset_field one, enum pset_field other)
{
	struct exchange exchange = {.space = space,
				    .one = fields[one].word,
				    .other = fields[other].word,
				    .words = fields[one].bits > 64 ? 2 : 1};
	size_t size = diagram_size(space, a);

	for (exchange.seen_size = 16; exchange.seen_size < 2 * size;)
		exchange.seen_size *= 2;
	exchange.seen = calloc(exchange.seen_size, sizeof(*exchange.seen));
	if (!exchange.seen)
		abort();
	for (size_t i = 0; i < exchange.seen_size; i++)
		exchange.seen[i].from = PSET_EMPTY;
	a = exchange_set(&exchange, a);
	free(exchange.seen);
	return a;
}

enum pset_field pset_field_of_word(unsigned word)
{
	static const uint8_t of_word[] = {
#define PSET_FIELD(id, name, bits, how) [WORD_##id... WORD_END_##id] = PSET_##id,
#include "verify/pset_field_list.h"
#undef PSET_FIELD
	};
	return of_word[word];
}
