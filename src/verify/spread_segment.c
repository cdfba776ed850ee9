/*
 * Many who send to many over one bridge. Packets wait there until all have sent, and those for one receiver go on
 * together: what is done is done once for each sender and once for each receiver, not for each pair.
 *
 * So it is where nothing on the way tells pairs apart: no chains there, no rules of IP for frames, nobody who asks for
 * MACs. All else goes the usual way (spread_send()), packet for packet: what is not so for one receiver or one sender
 * is `apart`.
 */
#include "verify/spread_search.h"

#include "base/arena.h"

#include <string.h>
#include <sys/socket.h>

struct member {
	struct far_end end;
	pset packets; /* that it gets, by their destination */
};

/* A bridge, and who is behind it, in the order in which they are asked for an address. */
struct segment {
	const struct stack_link *bridge;
	enum stack_family family;
	struct member *members;
	size_t member_count;
	pset packets; /* of all members */
};

/* What leaves by a link. */
struct access {
	const struct stack_link *oif;
	enum stack_family family;
	size_t segment; /* SIZE_MAX: none */
	pset apart;
};

/* Packets that wait. */
struct batch {
	size_t segment;
	struct stream stream; /* of the first sender */
	struct joined {
		struct bounds packets;
		size_t hop;
		const struct been *been;
		pset origins;
	} * joined; /* of all */
	size_t count;
};

struct spread_segments {
	struct segment *segments;
	size_t segment_count;
	struct access *accesses;
	size_t access_count;
	struct batch *batches;
	size_t batch_count;
};

/* ---- who gets what ---- */

static bool has_bridge_chains(const struct stack_host *host)
{
	for (size_t hook = 0; hook < STACK_HOOK_COUNT; hook++)
		if (host->hooks[STACK_BRIDGE][hook].count)
			return true;
	return false;
}

/* Does nothing happen to packets on the way? */
static bool is_plain(const struct way *way, enum stack_family family)
{
	for (; way; way = way->before) {
		const struct stack_link *link = way->link;

		if (way->kind == CROSSING) {
			if (has_bridge_chains(link->host) || spread_calls_ip(link->host, link, family) != TRUTH_NO)
				return false;
		} else if (link->link->up == TRUTH_NO ||
			   (way->kind == LEAVING ? link->egress.count : link->ingress.count)) {
			return false;
		}
	}
	return true;
}

static void find_members(struct spread *spread, struct segment *segment)
{
	struct search search = {.spread = spread};
	struct stream stream = {.family = segment->family};
	struct space *space = spread->space;
	pset taken = spread_multicast(spread, segment->family);

	search_from(&search, (struct stack_link *)segment->bridge, 0, NULL);
	segment->members = arena_alloc(spread->arena, (search.end_count + 1) * sizeof(*segment->members));
	for (size_t i = 0; i < search.end_count; i++)
		if (search.ends[i].link)
			segment->members[segment->member_count++] = (struct member){search.ends[i], PSET_EMPTY};
	segment->packets = PSET_EMPTY;
	for (unsigned answered = 0; answered < 2; answered++)
		for (size_t i = 0; i < segment->member_count; i++) {
			struct member *member = &segment->members[i];
			pset set = answered ? spread_answers(spread, &stream, member->end.link, NULL)
					    : spread_has(spread, &stream, member->end.link, NULL);

			set = pset_minus(space, set, taken);
			taken = pset_or(space, taken, set);
			member->packets = pset_or(space, member->packets, set);
			segment->packets = pset_or(space, segment->packets, set);
		}
}

static size_t find_segment(struct spread *spread, const struct stack_link *bridge, enum stack_family family)
{
	struct spread_segments *all = spread->segments;
	struct segment *segment;

	for (size_t i = 0; i < all->segment_count; i++)
		if (all->segments[i].bridge == bridge && all->segments[i].family == family)
			return i;
	segment = arena_push(spread->arena, all->segments, all->segment_count);
	*segment = (struct segment){.bridge = bridge, .family = family};
	find_members(spread, segment);
	return all->segment_count - 1;
}

/* ---- one who sends ---- */

/* The first bridge on the way. */
static const struct stack_link *first_bridge(const struct search *search, const struct stack_link *oif)
{
	const struct stack_link *bridge = oif->is_bridge ? oif : NULL;

	for (size_t i = 0; i < search->end_count && !bridge; i++)
		for (const struct way *way = search->ends[i].way; way; way = way->before)
			if (way->kind == CROSSING)
				bridge = way->link;
	return bridge;
}

static bool is_same_end(const struct far_end *one, const struct far_end *other)
{
	return one->link == other->link && one->last == other->last;
}

/* Packets of members that this sender does not find, or not by a plain way. False: it finds others, or another order.
 */
static bool compare_members(struct spread *spread, const struct search *search, const struct segment *segment,
			    struct access *access)
{
	struct stream stream = {.family = segment->family};
	struct space *space = spread->space;
	size_t next = 0;

	for (size_t i = 0; i < search->end_count; i++) {
		const struct far_end *end = &search->ends[i];
		pset own;

		if (!end->link || end->link == access->oif)
			continue;
		if (spread_is_taken_over(spread, end->link->host))
			return false;
		if (end->link == segment->bridge) {
			own = pset_or(space, spread_has(spread, &stream, end->link, NULL),
				      spread_answers(spread, &stream, end->link, NULL));
			access->apart = pset_or(space, access->apart, own);
			continue;
		}
		for (; next < segment->member_count && !is_same_end(&segment->members[next].end, end); next++)
			access->apart = pset_or(space, access->apart, segment->members[next].packets);
		if (next == segment->member_count)
			return false;
		if (!is_plain(end->way, segment->family))
			access->apart = pset_or(space, access->apart, segment->members[next].packets);
		next++;
	}
	for (; next < segment->member_count; next++)
		access->apart = pset_or(space, access->apart, segment->members[next].packets);
	return true;
}

/* Who has a MAC is the first one that is found with it. */
static const struct stack_link *find_mac(const struct search *search, const struct stack_link *oif,
					 const struct mac *mac)
{
	for (size_t i = 0; i < search->end_count; i++) {
		const struct stack_link *link = search->ends[i].link;

		if (link && link != oif && link->link->mac.known &&
		    memcmp(link->link->mac.bytes, mac->bytes, sizeof(mac->bytes)) == 0)
			return link;
	}
	return NULL;
}

static bool gets(struct spread *spread, const struct segment *segment, const struct stack_link *link, pset set)
{
	for (size_t i = 0; i < segment->member_count; i++)
		if (segment->members[i].end.link == link)
			return pset_is_subset(spread->space, set, segment->members[i].packets);
	return false;
}

/* Addresses that the sender itself knows somebody else for. */
static void compare_neighbours(struct spread *spread, const struct search *search, const struct segment *segment,
			       struct access *access)
{
	const struct facts *facts = access->oif->host->facts;
	uint8_t family = segment->family == STACK_IP4 ? AF_INET : AF_INET6;

	for (size_t i = 0; i < facts->neighbour_count; i++) {
		const struct neighbour *neighbour = &facts->neighbours[i];
		struct prefix prefix = {neighbour->ip, ip_bits(&neighbour->ip)};
		struct interval interval;
		pset set;

		if (!neighbour->mac.known || neighbour->ip.family != family || !neighbour->dev ||
		    strcmp(neighbour->dev, access->oif->name) != 0)
			continue;
		interval = interval_of_prefix(&prefix);
		set = pset_interval(spread->space, PSET_DADDR, interval.first, interval.last);
		if (!gets(spread, segment, find_mac(search, access->oif, &neighbour->mac), set))
			access->apart = pset_or(spread->space, access->apart, set);
	}
}

static struct access *find_access(struct spread *spread, struct stack_link *oif, enum stack_family family)
{
	struct spread_segments *all = spread->segments;
	struct search search = {.spread = spread};
	const struct stack_link *bridge;
	struct access *access;

	for (size_t i = 0; i < all->access_count; i++)
		if (all->accesses[i].oif == oif && all->accesses[i].family == family)
			return &all->accesses[i];
	access = arena_push(spread->arena, all->accesses, all->access_count);
	*access = (struct access){oif, family, SIZE_MAX, PSET_EMPTY};
	search_sent(&search, oif);
	bridge = first_bridge(&search, oif);
	if (bridge) {
		access->segment = find_segment(spread, bridge, family);
		if (!compare_members(spread, &search, &all->segments[access->segment], access))
			access->segment = SIZE_MAX;
		else
			compare_neighbours(spread, &search, &all->segments[access->segment], access);
	}
	return access;
}

/* ---- waiting ---- */

/* Were packets with this last hop at the host already? */
static bool were_at(const struct spread *spread, size_t hop, const struct stack_host *host)
{
	for (; hop != SIZE_MAX; hop = spread->hops[hop].from)
		if (spread->hops[hop].host == host)
			return true;
	return false;
}

static struct batch *find_batch(struct spread *spread, size_t segment, const struct stream *stream)
{
	struct spread_segments *all = spread->segments;
	struct batch *batch;

	for (size_t i = 0; i < all->batch_count; i++) {
		batch = &all->batches[i];
		if (batch->segment == segment && batch->stream.state == stream->state &&
		    batch->stream.fragment == stream->fragment && batch->stream.depth == stream->depth)
			return batch;
	}
	batch = arena_push(spread->arena, all->batches, all->batch_count);
	*batch = (struct batch){.segment = segment, .stream = *stream};
	return batch;
}

void spread_join(struct spread *spread, struct stream *stream)
{
	const struct access *access;
	const struct segment *segment;
	struct bounds packets;
	struct stream left;
	struct batch *batch;
	pset joining;

	if (!spread->gathers || !spread->omits_macs || spread_is_known(stream))
		return;
	if (!spread->segments)
		spread->segments = arena_new_struct(spread->arena, struct spread_segments);
	access = find_access(spread, stream->oif, stream->family);
	if (access->segment == SIZE_MAX)
		return;
	segment = &spread->segments->segments[access->segment];
	joining = pset_minus(spread->space, segment->packets, access->apart);
	for (size_t i = 0; i < segment->member_count; i++)
		if (were_at(spread, stream->hop, segment->members[i].end.last->host))
			joining = pset_minus(spread->space, joining, segment->members[i].packets);
	packets = bounds_in(spread->space, stream->packets, joining);
	if (bounds_are_empty(packets))
		return;
	left = *stream;
	left.packets = packets;
	spread_note_left(spread, &left);
	stream->packets = bounds_out(spread->space, stream->packets, joining);
	batch = find_batch(spread, access->segment, stream);
	*arena_push(spread->arena, batch->joined, batch->count) =
		(struct joined){packets, stream->hop, left.been, stream->origins};
}

static void receive(struct spread *spread, const struct batch *batch, const struct member *member)
{
	struct stream stream = batch->stream;
	size_t first = 0;

	stream.packets = bounds_in(spread->space, stream.packets, member->packets);
	if (bounds_are_empty(stream.packets))
		return;
	stream.host = member->end.last->host;
	while (first + 1 < batch->count && were_at(spread, batch->joined[first].hop, stream.host))
		first++;
	stream.hop = batch->joined[first].hop;
	spread_enter_host(spread, &stream);
	stream.iif = member->end.link;
	stream.in_port = member->end.last->master == member->end.link ? member->end.last : NULL;
	stream.oif = stream.out_port = NULL;
	stream.redirected = false;
	spread_hand_noted(spread, &stream); /* each was noted as it joined */
}

/* All that wait, put together at once: one after the other would go through the growing sum each time. */
static void gather(struct spread *spread, struct batch *batch)
{
	pset *sets = arena_alloc(spread->arena, batch->count * sizeof(*sets));
	struct stream *sum = &batch->stream;

	for (size_t i = 0; i < batch->count; i++)
		sets[i] = batch->joined[i].packets.may;
	sum->packets.may = pset_or_all(spread->space, sets, batch->count);
	for (size_t i = 0; i < batch->count; i++)
		sets[i] = batch->joined[i].packets.must;
	sum->packets.must = pset_or_all(spread->space, sets, batch->count);
	for (size_t i = 0; i < batch->count; i++)
		sets[i] = batch->joined[i].origins;
	sum->origins = pset_or_all(spread->space, sets, batch->count);
	for (size_t i = 0; i < batch->count; i++)
		sum->been = spread_been_either(spread, sum->been, batch->joined[i].been);
}

void spread_go_on_joined(struct spread *spread)
{
	struct spread_segments *all = spread->segments;
	struct batch *batches;
	size_t count;

	if (!all)
		return;
	batches = all->batches;
	count = all->batch_count;
	all->batches = NULL;
	all->batch_count = 0;
	for (size_t i = 0; i < count; i++) {
		const struct segment *segment = &all->segments[batches[i].segment];

		gather(spread, &batches[i]);
		for (size_t j = 0; j < segment->member_count; j++)
			receive(spread, &batches[i], &segment->members[j]);
	}
}
