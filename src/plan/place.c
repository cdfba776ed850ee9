#include "plan/place.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE SIZE_MAX

struct room {
	uint64_t memory;
	unsigned cpus; /* hundredths */
};

struct search {
	const struct placing *placing;
	struct room *left; /* of each machine */
	size_t *at;	   /* of each guest, or NOWHERE */
	size_t *order;	   /* the guests that are to be placed */
	size_t count;
	unsigned steps;
	size_t deepest; /* in `order`: how far it came */
	struct room *left_there;
	size_t *at_there;
};

static void *get(size_t count, size_t size)
{
	void *memory = calloc(count ? count : 1, size);

	if (!memory)
		abort();
	return memory;
}

/* Which guest keeps this one off a machine; NOWHERE: none. */
static size_t kept_apart(const struct placing *p, const size_t *at, size_t guest, size_t machine)
{
	for (size_t i = 0; p->apart && i < p->guest_count; i++)
		if (i != guest && at[i] == machine && p->apart[guest * p->guest_count + i])
			return i;
	return NOWHERE;
}

static bool fits(const struct placing *p, const struct room *left, const size_t *at, size_t guest, size_t machine)
{
	const struct place_guest *g = &p->guests[guest];

	return left[machine].memory >= g->memory && left[machine].cpus >= g->cpus * 100 &&
	       kept_apart(p, at, guest, machine) == NOWHERE;
}

static void take(struct search *s, size_t guest, size_t machine, bool memory)
{
	const struct place_guest *g = &s->placing->guests[guest];
	struct room *left = &s->left[machine];

	s->at[guest] = machine;
	if (memory)
		left->memory = left->memory > g->memory ? left->memory - g->memory : 0;
	left->cpus = left->cpus > g->cpus * 100 ? left->cpus - g->cpus * 100 : 0;
}

/* "right has 512M and 1.6 CPUs left" */
static void describe_room(const struct placing *p, const struct room *left, const size_t *at, size_t guest,
			  struct strbuf *out)
{
	for (size_t i = 0; i < p->machine_count; i++) {
		const struct place_machine *m = &p->machines[i];
		size_t other = kept_apart(p, at, guest, i);

		strbuf_printf(out, "%s%s ", i ? "; " : "", m->name);
		if (m->closed)
			strbuf_printf(out, "takes none, %s", m->closed);
		else
			strbuf_printf(out, "has %lluM and %u.%02u CPUs", (unsigned long long)left[i].memory >> 20,
				      left[i].cpus / 100, left[i].cpus % 100);
		if (!m->closed && other != NOWHERE)
			strbuf_printf(out, ", and %s, from which it is to be apart", p->guests[other].name);
	}
}

static int refuse(const struct placing *p, const struct room *left, const size_t *at, size_t guest, const char *only,
		  bool all_seen, struct error **err)
{
	const struct place_guest *g = &p->guests[guest];
	cleanup_strbuf struct strbuf room = {0};

	describe_room(p, left, at, guest, &room);
	error_set(err, ENOSPC, "there is no place for %s, which needs %lluM and %u CPU%s%s%s%s: %s", g->name,
		  (unsigned long long)(g->memory + (1 << 20) - 1) >> 20, g->cpus, g->cpus == 1 ? "" : "s",
		  only ? " on " : "", only ? only : "",
		  all_seen ? "" : ", or none was found in the time that is given to it", room.text);
	error_hint(err,
		   "give the guests less, let fewer of them be apart, or name another host; placement: {cpus, reserve} "
		   "and cpu-overcommit say what a host may give");
	return -ENOSPC;
}

/* Those that must be somewhere; first all that run, whose memory is no longer free. */
static int place_fixed(struct search *s, struct error **err)
{
	const struct placing *p = s->placing;

	for (size_t i = 0; i < p->guest_count; i++)
		if (p->guests[i].fixed && p->guests[i].there)
			take(s, i, p->guests[i].at, false);
	for (size_t i = 0; i < p->guest_count; i++) {
		const struct place_guest *g = &p->guests[i];

		if (!g->fixed || g->there)
			continue;
		if (!fits(p, s->left, s->at, i, g->at))
			return refuse(p, s->left, s->at, i, p->machines[g->at].name, true, err);
		take(s, i, g->at, true);
	}
	return 0;
}

/* The largest first: what is small finds a place beside it. Few enough for a sort by insertion. */
static void put_in_order(struct search *s)
{
	const struct placing *p = s->placing;

	for (size_t i = 0; i < p->guest_count; i++) {
		size_t j = s->count;

		if (p->guests[i].fixed)
			continue;
		for (; j > 0; j--) {
			const struct place_guest *before = &p->guests[s->order[j - 1]], *g = &p->guests[i];

			if (before->memory > g->memory || (before->memory == g->memory && before->cpus >= g->cpus))
				break;
			s->order[j] = s->order[j - 1];
		}
		s->order[j] = i;
		s->count++;
	}
}

/* The machine with most memory left that was not tried yet; of equal ones the first. */
static size_t next_machine(const struct search *s, size_t guest, const bool *tried)
{
	const struct placing *p = s->placing;
	size_t best = NOWHERE;

	for (size_t i = 0; i < p->machine_count; i++)
		if (!tried[i] && !p->machines[i].closed && fits(p, s->left, s->at, guest, i) &&
		    (best == NOWHERE || s->left[i].memory > s->left[best].memory))
			best = i;
	return best;
}

static void remember_deepest(struct search *s, size_t depth)
{
	const struct placing *p = s->placing;

	if (s->deepest != NOWHERE && depth <= s->deepest)
		return;
	s->deepest = depth;
	memcpy(s->left_there, s->left, p->machine_count * sizeof(*s->left));
	memcpy(s->at_there, s->at, p->guest_count * sizeof(*s->at));
}

/* As deep as there are guests to place, which a lab file limits; a level takes a few hundred bytes. */
static bool place_rest(struct search *s, size_t depth)
{
	cleanup_free bool *tried = NULL;
	size_t guest, machine;

	if (depth == s->count)
		return true;
	guest = s->order[depth];
	tried = get(s->placing->machine_count, sizeof(*tried));
	while ((machine = next_machine(s, guest, tried)) != NOWHERE && s->steps < PLACE_STEPS) {
		struct room before = s->left[machine];

		s->steps++;
		tried[machine] = true;
		take(s, guest, machine, true);
		if (place_rest(s, depth + 1))
			return true;
		s->left[machine] = before;
		s->at[guest] = NOWHERE;
	}
	remember_deepest(s, depth);
	return false;
}

int place(const struct placing *p, struct error **err)
{
	cleanup_free struct room *left = get(p->machine_count, sizeof(*left));
	cleanup_free struct room *left_there = get(p->machine_count, sizeof(*left_there));
	cleanup_free size_t *at = get(p->guest_count, sizeof(*at)), *order = get(p->guest_count, sizeof(*order));
	cleanup_free size_t *at_there = get(p->guest_count, sizeof(*at_there));
	struct search s = {.placing = p,
			   .left = left,
			   .at = at,
			   .order = order,
			   .deepest = NOWHERE,
			   .left_there = left_there,
			   .at_there = at_there};
	int r;

	for (size_t i = 0; i < p->machine_count; i++)
		left[i] = (struct room){.memory = p->machines[i].memory, .cpus = p->machines[i].cpus};
	for (size_t i = 0; i < p->guest_count; i++)
		at[i] = NOWHERE;
	r = place_fixed(&s, err);
	if (r < 0)
		return r;
	put_in_order(&s);
	if (!place_rest(&s, 0))
		return refuse(p, left_there, at_there, order[s.deepest], NULL, s.steps < PLACE_STEPS, err);
	for (size_t i = 0; i < s.count; i++)
		p->guests[order[i]].at = at[order[i]];
	return 0;
}
