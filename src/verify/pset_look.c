/* What is in a set: the values of one field, one packet, how many. */
#include "verify/pset_piece.h"

#include <stdlib.h>
#include <string.h>

/* Walks over the values of one field in rising order, and tells what the function is below them. */
struct walk {
	const struct space *space;
	enum pset_field field;
	unsigned bits;
	bool (*visit)(void *context, struct interval interval, diagram below); /* false: enough */
	void *context;
};

static bool walk_values(const struct walk *walk, diagram d, wide base, unsigned known);

/* The bit of the field that the function asks about first; `bits` where it asks none. */
static unsigned first_bit(const struct walk *walk, diagram d, struct diagram_node *ret)
{
	if (diagram_is_number(d))
		return walk->bits;
	*ret = diagram_node(walk->space, d);
	if (pset_field_of_word(ret->word) != walk->field)
		return walk->bits;
	return (unsigned)pset_piece_of_word(ret->word)->start + ret->start;
}

/* `base`: the first `known` bits of the value, shifted up to the top. */
static bool visit_all(const struct walk *walk, diagram d, wide base, wide last, unsigned known)
{
	unsigned shift = 128 - walk->bits;

	last |= ~top_bits(known) & top_bits(walk->bits);
	return walk->visit(walk->context, (struct interval){base >> shift, last >> shift}, d);
}

static bool walk_ranges(const struct walk *walk, const struct diagram_node *node, wide base)
{
	const struct pset_piece *piece = pset_piece_of_word(node->word);
	unsigned behind = (unsigned)piece->start + piece->count;
	struct diagram_node below;
	uint64_t first = 0;

	for (size_t i = 0; i < node->edge_count; first = node->edges[i++].last + 1) {
		const struct diagram_edge *edge = &node->edges[i];

		if (first_bit(walk, edge->below, &below) == walk->bits) {
			if (!visit_all(walk, edge->below, base | piece_place(piece, first),
				       base | piece_place(piece, edge->last), behind))
				return false;
			continue;
		}
		for (uint64_t value = first;; value++) {
			if (!walk_values(walk, edge->below, base | piece_place(piece, value), behind))
				return false;
			if (value == edge->last)
				break;
		}
	}
	return true;
}

static bool walk_test(const struct walk *walk, const struct diagram_node *node, wide base, unsigned at)
{
	wide pattern = (wide)node->pattern << 64 >> pset_piece_of_word(node->word)->start;

	for (unsigned i = 0; i < node->count; i++) { /* values below the pattern, from the lowest */
		wide bit = top_bits(at + i + 1) & ~top_bits(at + i);

		if ((pattern & bit) &&
		    !walk_values(walk, node->otherwise, base | (pattern & top_bits(at + i)), at + i + 1))
			return false;
	}
	if (!walk_values(walk, node->then, base | pattern, at + node->count))
		return false;
	for (unsigned i = node->count; i-- > 0;) { /* and above */
		wide bit = top_bits(at + i + 1) & ~top_bits(at + i);

		if (!(pattern & bit) &&
		    !walk_values(walk, node->otherwise, base | (pattern & top_bits(at + i)) | bit, at + i + 1))
			return false;
	}
	return true;
}

static bool walk_values(const struct walk *walk, diagram d, wide base, unsigned known)
{
	struct diagram_node node;
	unsigned at = first_bit(walk, d, &node);

	if (at == walk->bits)
		return visit_all(walk, d, base, base, known);
	if (at > known) /* a bit that does not matter: once for either value */
		return walk_values(walk, d, base, known + 1) &&
		       walk_values(walk, d, base | (top_bits(known + 1) & ~top_bits(known)), known + 1);
	return node.edges ? walk_ranges(walk, &node, base) : walk_test(walk, &node, base, at);
}

struct collected {
	struct pset_run *runs;
	size_t count, capacity, most;
};

static bool collect(void *context, struct interval interval, diagram below)
{
	struct collected *collected = context;
	struct pset_run *last = collected->count ? &collected->runs[collected->count - 1] : NULL;

	if (last && last->below == below) {
		last->interval.last = interval.last;
		return true;
	}
	if (collected->count == collected->most)
		return false;
	if (collected->count == collected->capacity) {
		collected->capacity = collected->capacity ? 2 * collected->capacity : 16;
		collected->runs = reallocarray(collected->runs, collected->capacity, sizeof(*collected->runs));
		if (!collected->runs)
			abort();
	}
	collected->runs[collected->count++] = (struct pset_run){interval, below};
	return true;
}

size_t pset_runs(struct space *space, diagram d, enum pset_field field, struct pset_run **ret)
{
	struct collected collected = {.most = PSET_MOST_INTERVALS};
	struct walk walk = {space, field, pset_field_bits(field), collect, &collected};

	*ret = NULL;
	if (!walk_values(&walk, d, 0, 0)) {
		free(collected.runs);
		space_fail(space);
		return 0;
	}
	*ret = collected.runs;
	return collected.count;
}

/* Of the runs those in the set. */
static size_t intervals_of(struct pset_run *runs, size_t run_count, struct interval **ret)
{
	size_t count = 0;

	*ret = calloc(run_count + 1, sizeof(**ret));
	if (!*ret)
		abort();
	for (size_t i = 0; i < run_count; i++)
		if (runs[i].below == PSET_FULL)
			(*ret)[count++] = runs[i].interval;
	free(runs);
	return count;
}

size_t pset_project(struct space *space, pset a, enum pset_field field, struct interval **ret)
{
	struct pset_run *runs;
	size_t run_count = pset_runs(space, pset_forget(space, a, ~PSET_BIT(field)), field, &runs);

	return intervals_of(runs, run_count, ret);
}

bool pset_project_few(struct space *space, pset a, enum pset_field field, size_t most, struct interval **ret,
		      size_t *ret_count)
{
	struct collected collected = {.most = 2 * most + 1}; /* what is between them counts, too */
	struct walk walk = {space, field, pset_field_bits(field), collect, &collected};

	if (!walk_values(&walk, pset_forget(space, a, ~PSET_BIT(field)), 0, 0)) {
		free(collected.runs);
		return false;
	}
	*ret_count = intervals_of(collected.runs, collected.count, ret);
	return true;
}

static bool take_first(void *context, struct interval interval, diagram below)
{
	if (below == PSET_EMPTY)
		return true;
	*(struct interval *)context = interval;
	return false;
}

/* The lowest values that a field has in a set that is not empty. */
static struct interval lowest(struct space *space, pset a, enum pset_field field)
{
	struct interval interval = {};
	struct walk walk = {space, field, pset_field_bits(field), take_first, &interval};

	walk_values(&walk, pset_forget(space, a, ~PSET_BIT(field)), 0, 0);
	return interval;
}

/* ---- one packet ---- */

/* What people expect to see, in the order in which fields are chosen; what is not here takes its lowest value. */
static const struct preference {
	enum pset_field field;
	uint64_t first, last; /* of addresses the first 64 bits */
} preferences[] = {
	{PSET_FAMILY, PSET_IP4, PSET_IP4},
	{PSET_FAMILY, PSET_IP6, PSET_IP6},
	{PSET_PROTOCOL, 6, 6},
	{PSET_PROTOCOL, 17, 17},
	{PSET_PROTOCOL, 1, 1},
	{PSET_PROTOCOL, 58, 58},
	{PSET_STATE, PSET_NEW, PSET_NEW},
	{PSET_STATE, PSET_ESTABLISHED, PSET_ESTABLISHED},
	{PSET_FRAGMENT, PSET_WHOLE, PSET_WHOLE},
	{PSET_TCP_FLAGS, 0x02, 0x02}, /* SYN */
	{PSET_TCP_FLAGS, 0x10, 0x10}, /* ACK */
	{PSET_ICMP_TYPE, 8, 8},	      /* echo request */
	{PSET_ICMP_TYPE, 128, 128},
	{PSET_DPORT, 22, 22},
	{PSET_DPORT, 80, 80},
	{PSET_DPORT, 443, 443},
	{PSET_DPORT, 53, 53},
	{PSET_DPORT, 1, 65535},
	{PSET_SPORT, 40000, 60999},
	{PSET_SPORT, 1024, 65535},
	{PSET_SPORT, 1, 65535},
	{PSET_TTL, 64, 255},
	{PSET_LENGTH, 60, 1500},
};

/* Addresses that a host may have: not 0/8, loopback, link-local, multicast. High 64 bits as fields hold them. */
static const struct preference addresses4[] = {
	{PSET_SADDR, UINT64_C(0x0a00000100000000), UINT64_C(0x0affffffffffffff)}, /* 10.0.0.1 and above */
	{PSET_SADDR, UINT64_C(0xac10000100000000), UINT64_C(0xac1fffffffffffff)}, /* 172.16.0.1 */
	{PSET_SADDR, UINT64_C(0xc0a8000100000000), UINT64_C(0xc0a8ffffffffffff)}, /* 192.168.0.1 */
	{PSET_SADDR, UINT64_C(0x0100000100000000), UINT64_C(0x7effffffffffffff)},
	{PSET_SADDR, UINT64_C(0x8000000000000000), UINT64_C(0xdfffffffffffffff)},
};
static const struct preference addresses6[] = {
	{PSET_SADDR, UINT64_C(0x2000000000000000), UINT64_C(0x3fffffffffffffff)},
	{PSET_SADDR, UINT64_C(0xfc00000000000000), UINT64_C(0xfdffffffffffffff)},
	{PSET_SADDR, UINT64_C(0xfe80000000000000), UINT64_C(0xfebfffffffffffff)},
};

static bool prefer(struct space *space, pset *set, enum pset_field field, struct interval interval)
{
	pset within = pset_and(space, *set, pset_interval(space, field, interval.first, interval.last));

	if (pset_is_empty(within))
		return false;
	*set = within;
	return true;
}

static void settle(struct space *space, pset *set, enum pset_field field, wide value, struct packet_values *ret)
{
	ret->fields[field] = value;
	*set = pset_before(space, *set, pset_bits_of(field), value, pset_field_last(field));
}

static void pick_field(struct space *space, pset *set, enum pset_field field, struct packet_values *ret)
{
	struct interval interval = lowest(space, *set, field);

	settle(space, set, field, interval.first, ret);
}

static void pick_address(struct space *space, pset *set, enum pset_field field, struct packet_values *ret)
{
	bool ip4 = ret->fields[PSET_FAMILY] == PSET_IP4;
	const struct preference *wanted = ip4 ? addresses4 : addresses6;
	size_t count = ip4 ? sizeof(addresses4) / sizeof(*addresses4) : sizeof(addresses6) / sizeof(*addresses6);
	struct interval interval;

	for (size_t i = 0; i < count; i++)
		if (prefer(space, set, field,
			   (struct interval){(wide)wanted[i].first << 64, (wide)wanted[i].last << 64 | UINT64_MAX}))
			break;
	interval = lowest(space, *set, field);
	/* not the first of a subnet, which is no host's */
	if (interval.last - interval.first > (ip4 ? (wide)1 << 97 : 2) && !(interval.first >> (ip4 ? 96 : 0) & 0xff))
		interval.first += ip4 ? (wide)1 << 96 : 1;
	settle(space, set, field, interval.first, ret);
}

bool pset_pick(struct space *space, pset a, struct packet_values *ret)
{
	pset_fields done = PSET_BIT(PSET_SADDR) | PSET_BIT(PSET_DADDR);

	*ret = (struct packet_values){};
	if (pset_is_empty(a))
		return false;
	for (size_t i = 0; i < sizeof(preferences) / sizeof(*preferences); i++) {
		const struct preference *wanted = &preferences[i];

		if (done & PSET_BIT(wanted->field))
			continue;
		if (!prefer(space, &a, wanted->field, (struct interval){wanted->first, wanted->last}))
			continue;
		pick_field(space, &a, wanted->field, ret);
		done |= PSET_BIT(wanted->field);
	}
	pick_address(space, &a, PSET_SADDR, ret);
	pick_address(space, &a, PSET_DADDR, ret);
	for (unsigned i = 0; i < PSET_FIELD_COUNT; i++)
		if (!(done & PSET_BIT(i)))
			pick_field(space, &a, i, ret);
	return true;
}

bool pset_contains(const struct space *space, pset a, const struct packet_values *packet)
{
	return diagram_number(pset_look_up(space, a, packet)) != 0;
}

static diagram step_down(const struct space *space, diagram d, const struct packet_values *packet)
{
	struct diagram_node node = diagram_node(space, d);
	enum pset_field field = pset_field_of_word(node.word);
	const struct pset_piece *piece = pset_piece_of_word(node.word);
	uint64_t value = piece_value(piece, packet->fields[field] << (128 - pset_field_bits(field))), mask;
	size_t low = 0, high = node.edge_count;

	if (!node.edges) {
		mask = ~UINT64_C(0) << (64 - node.count) >> node.start;
		return (value << (64 - piece->count) & mask) == node.pattern ? node.then : node.otherwise;
	}
	while (low + 1 < high) { /* the first edge that ends at the value or behind it */
		size_t middle = (low + high) / 2;

		if (node.edges[middle - 1].last < value)
			low = middle;
		else
			high = middle;
	}
	return node.edges[low].below;
}

diagram pset_look_up(const struct space *space, diagram d, const struct packet_values *packet)
{
	while (!diagram_is_number(d))
		d = step_down(space, d, packet);
	return d;
}

struct support {
	const struct space *space;
	pset_fields fields;
};

static void add_support(void *context, diagram d)
{
	struct support *support = context;

	if (!diagram_is_number(d))
		support->fields |= PSET_BIT(pset_field_of_word(diagram_node(support->space, d).word));
}

pset_fields pset_support(struct space *space, diagram d)
{
	struct support support = {.space = space};

	diagram_visit(space, d, add_support, &support);
	return support.fields;
}

/* The part of all packets that is in the set. */
static double share(const struct space *space, pset a, double *seen)
{
	struct diagram_node node;
	double part = 1;

	if (diagram_is_number(a))
		return diagram_number(a);
	if (seen[a] > 0)
		return seen[a] - 1;
	node = diagram_node(space, a);
	if (node.edges) {
		part = 0;
		for (size_t i = 0; i < node.edge_count; i++)
			part += ((double)node.edges[i].last - (i ? (double)node.edges[i - 1].last : -1)) /
				((double)piece_last(pset_piece_of_word(node.word)) + 1) *
				share(space, node.edges[i].below, seen);
	} else {
		for (unsigned i = 0; i < node.count; i++)
			part /= 2;
		part = part * share(space, node.then, seen) + (1 - part) * share(space, node.otherwise, seen);
	}
	seen[a] = part + 1;
	return part;
}

double pset_count(struct space *space, pset a)
{
	double *seen = calloc(space_node_count(space) + 1, sizeof(*seen)), count;
	pset_fields support = pset_support(space, a);

	if (!seen)
		abort();
	count = share(space, a, seen);
	free(seen);
	for (unsigned i = 0; i < PSET_FIELD_COUNT; i++)
		for (unsigned bit = 0; support & PSET_BIT(i) && bit < pset_field_bits(i); bit++)
			count *= 2;
	return count;
}
