/*
 * Packets that come to a host by one way, over as many hosts, go on together (spread_follow_gathered()). What they are
 * told apart by must be in them (PSET_ORIGIN); so it is kept whose packets were at which host.
 */
#include "verify/spread_internal.h"

#include "base/arena.h"

#include <string.h>

/* ---- where they were ---- */

/* By rising numbers of hosts. */
struct been {
	size_t count;
	struct been_at {
		size_t host;
		pset origins;
		pset known; /* packets of the connections that they may have begun there, either way, as they come */
	} at[];
};

static struct been *been_new(struct spread *spread, size_t most)
{
	return arena_alloc(spread->arena, sizeof(struct been) + most * sizeof(struct been_at));
}

static struct been_at been_at(const struct been *been, const struct stack_host *host)
{
	for (size_t i = 0; been && i < been->count; i++)
		if (been->at[i].host == host->number)
			return been->at[i];
	return (struct been_at){host->number, PSET_EMPTY, PSET_EMPTY};
}

static const struct been *been_add(struct spread *spread, const struct been *been, const struct stack_host *host,
				   pset origins, pset known)
{
	struct been *here = been_new(spread, 1);

	here->count = 1;
	here->at[0] = (struct been_at){host->number, origins, known};
	return spread_been_either(spread, been, here);
}

/* What connection tracking tells packets by, and whose they are. */
static pset of_connections(struct space *space, pset packets)
{
	static const pset_fields told = PSET_BIT(PSET_FAMILY) | PSET_BIT(PSET_PROTOCOL) | PSET_BIT(PSET_SADDR) |
					PSET_BIT(PSET_DADDR) | PSET_BIT(PSET_SPORT) | PSET_BIT(PSET_DPORT) |
					PSET_BIT(PSET_ORIGIN);

	return pset_forget(space, packets, ~told & (PSET_BIT(PSET_FIELD_COUNT) - 1));
}

const struct been *spread_been_either(struct spread *spread, const struct been *one, const struct been *other)
{
	size_t i = 0, j = 0;
	struct been *both;

	if (!one || !other || one == other)
		return one ? one : other;
	both = been_new(spread, one->count + other->count);
	while (i < one->count || j < other->count) {
		const struct been_at *a = i < one->count ? &one->at[i] : NULL;
		const struct been_at *b = j < other->count ? &other->at[j] : NULL;
		bool left = a && (!b || a->host <= b->host), right = b && (!a || b->host <= a->host);

		both->at[both->count++] = (struct been_at){
			left ? a->host : b->host,
			pset_or(spread->space, left ? a->origins : PSET_EMPTY, right ? b->origins : PSET_EMPTY),
			pset_or(spread->space, left ? a->known : PSET_EMPTY, right ? b->known : PSET_EMPTY)};
		i += left;
		j += right;
	}
	return both;
}

/* Returns what came, as connection tracking sees it; none where the host translates nothing. */
static pset look_back(struct spread *spread, struct stream *stream)
{
	struct been_at before = been_at(stream->been, stream->host);
	pset came;

	stream->back = before.origins;
	stream->known = PSET_EMPTY;
	if (!stream->host->translates[stream->family])
		return PSET_EMPTY;
	came = of_connections(spread->space, stream->packets.may);
	stream->known = pset_and(spread->space, came, before.known);
	return came;
}

void spread_look_back(struct spread *spread, struct stream *stream)
{
	look_back(spread, stream);
}

void spread_note_been(struct spread *spread, struct stream *stream)
{
	pset came = look_back(spread, stream);

	if (stream->host->translates[stream->family])
		stream->been = been_add(spread, stream->been, stream->host, stream->origins, came);
}

/* What answers packets that leave a host. */
static pset answers_of(struct spread *spread, pset left)
{
	return pset_exchange_ends(spread->space, of_connections(spread->space, left));
}

void spread_note_bridged(struct spread *spread, struct stream *stream, pset came)
{
	pset known;

	if (!stream->host->translates[stream->family])
		return;
	known = pset_or(spread->space, of_connections(spread->space, came), answers_of(spread, stream->packets.may));
	stream->been = been_add(spread, stream->been, stream->host, stream->origins, known);
}

void spread_note_left(struct spread *spread, struct stream *stream)
{
	const struct stack_host *host = stream->hop == SIZE_MAX ? NULL : spread->hops[stream->hop].host;

	if (!host || !host->translates[stream->family])
		return;
	stream->been = been_add(spread, stream->been, host, PSET_EMPTY, answers_of(spread, stream->packets.may));
}

/* ---- those that wait ---- */

static bool is_same_place(const struct stream *one, const struct stream *other)
{
	return one->host == other->host && one->family == other->family && one->iif == other->iif &&
	       one->in_port == other->in_port && one->state == other->state && one->fragment == other->fragment &&
	       one->depth == other->depth && one->tracked == other->tracked && one->redirected == other->redirected &&
	       one->prerouted == other->prerouted && one->translated[0] == other->translated[0] &&
	       one->translated[1] == other->translated[1];
}

void spread_hand_on(struct spread *spread, const struct stream *leaving)
{
	struct stream left = *leaving;

	spread_note_left(spread, &left);
	spread_hand_noted(spread, &left);
}

void spread_hand_noted(struct spread *spread, const struct stream *stream)
{
	if (!spread->gathers) {
		spread_arrive(spread, stream);
		return;
	}
	for (size_t i = spread->waiting_count; i-- > 0;) {
		struct stream *waiting = &spread->waiting[i];

		if (is_same_place(waiting, stream)) {
			waiting->packets = bounds_or(spread->space, waiting->packets, stream->packets);
			waiting->been = spread_been_either(spread, waiting->been, stream->been);
			waiting->origins = pset_or(spread->space, waiting->origins, stream->origins);
			return;
		}
	}
	*arena_push(spread->arena, spread->waiting, spread->waiting_count) = *stream;
}

/* Those that wait go on, each to the next host at most. */
void spread_go_on(struct spread *spread)
{
	struct stream *waiting = spread->waiting;
	size_t count = spread->waiting_count;

	spread->waiting = NULL;
	spread->waiting_count = 0;
	for (size_t i = 0; i < count && !spread->too_large; i++)
		spread_arrive(spread, &waiting[i]);
}
