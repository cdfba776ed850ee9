/* From where packets end to what that says of the questions they belong to. */
#include "verify/reach_lab_internal.h"

#include "base/arena.h"

#include <stdlib.h>

uint32_t reach_cause_add(struct reach_run *run, const struct spread_end *end, const struct met_rule *met)
{
	struct reach_lab *lab = run->lab;

	*arena_push(lab->arena, lab->causes, lab->cause_count) =
		(struct reach_cause){.fate = end->fate,
				     .reason = end->reason,
				     .host = end->host,
				     .hook = end->hook,
				     .chain = met ? met->chain : end->chain,
				     .rule = met ? met->rule : NULL,
				     .route = end->route,
				     .oif = end->oif,
				     .sure = end->fate == SPREAD_UNKNOWN || bounds_are_exact(end->packets)};
	return (uint32_t)(lab->cause_count - 1);
}

/* What an end says: bits for questions that are meant to end there, and for others. */
struct saying {
	struct reach_run *run;
	const struct spread_end *end;
	uint8_t meant, others;
	uint32_t cause; /* of those that end elsewhere */
};

static bool is_meant(const struct saying *saying, size_t target)
{
	const struct reach_run *run = saying->run;

	if (target == run->target_count)
		return saying->end->fate == SPREAD_SENT;
	return saying->end->fate == SPREAD_DELIVERED &&
	       run->lab->nodes[run->targets[target].node].host == saying->end->host;
}

/* The world's packets that are refused where they come in are none of the world's. */
static bool is_aside(const struct saying *saying, size_t from)
{
	const struct spread_end *end = saying->end;
	size_t count;

	return !saying->run->lab->nodes[from].host && end->fate == SPREAD_LOST && end->reason == SPREAD_FOR_SOURCE &&
	       end->hop != SIZE_MAX && spread_hops(saying->run->spread, &count)[end->hop].from == SIZE_MAX;
}

static void say(const struct saying *saying, size_t from, size_t target, size_t service)
{
	struct reach_mark *mark = reach_mark(saying->run, from, target, service);

	if (is_meant(saying, target)) {
		mark->bits |= saying->meant;
		return;
	}
	mark->bits |= saying->others && is_aside(saying, from) ? MARK_ASIDE : saying->others;
	if (saying->cause && !mark->cause)
		mark->cause = saying->cause;
}

/* ---- questions that are seen from the packets ---- */

static void say_to(const struct saying *saying, const struct interval *origins, size_t count, size_t target,
		   size_t service)
{
	for (size_t i = 0; i < count; i++)
		for (size_t from = (size_t)origins[i].first; from <= (size_t)origins[i].last; from++)
			say(saying, from, target, service);
}

static void say_of_run(const struct saying *saying, const struct pset_run *addresses, size_t service)
{
	struct reach_run *run = saying->run;
	struct interval *origins;
	size_t end, target = reach_targets_in(run, &addresses->interval, &end);
	size_t count = pset_project(run->space, addresses->below, PSET_ORIGIN, &origins);

	for (; target < end; target++)
		say_to(saying, origins, count, target, service);
	if (reach_has_world(run, &addresses->interval))
		say_to(saying, origins, count, run->target_count, service);
	free(origins);
}

static pset of_service(struct space *space, pset packets, const struct reach_service *service, bool ip6)
{
	uint8_t protocol = service->protocol == PROTOCOL_ICMP && ip6 ? PROTOCOL_ICMPV6 : service->protocol;

	packets = pset_before(space, packets, pset_bits_of(PSET_PROTOCOL), protocol, pset_field_last(PSET_PROTOCOL));
	if (service->has_port)
		packets = pset_before(space, packets, pset_bits_of(PSET_DPORT), service->port,
				      pset_field_last(PSET_DPORT));
	return pset_forget(space, packets, ~(PSET_BIT(PSET_DADDR) | PSET_BIT(PSET_ORIGIN)));
}

static void say_of_packets(const struct saying *saying, pset packets)
{
	static const pset_fields kept =
		PSET_BIT(PSET_PROTOCOL) | PSET_BIT(PSET_DADDR) | PSET_BIT(PSET_DPORT) | PSET_BIT(PSET_ORIGIN);
	struct reach_run *run = saying->run;
	struct space *space = run->space;

	packets = pset_forget(space, packets, ~kept);
	packets = pset_and(space, packets, pset_interval(space, PSET_ORIGIN, 0, run->lab->node_count - 1));
	for (size_t service = 0; !pset_is_empty(packets) && service < run->lab->service_count; service++) {
		pset asked = of_service(space, packets, &run->lab->services[service], run->family == 1);
		struct pset_run *runs;
		size_t count = pset_is_empty(asked) ? 0 : pset_runs(space, asked, PSET_DADDR, &runs);

		for (size_t i = 0; i < count; i++)
			if (!pset_is_empty(runs[i].below))
				say_of_run(saying, &runs[i], service);
		if (count)
			free(runs);
	}
}

/* ---- questions that have an origin of their own ---- */

/* Where such a question's packets got to, if not to whom they were for. */
static void note_door(const struct saying *saying, const struct reach_tag *tag, pset packets, uint32_t origin)
{
	struct reach_run *run = saying->run;
	struct reach_table *table = &run->lab->tables[run->family];
	struct reach_door *door = arena_push(run->lab->arena, table->doors, table->door_count);
	size_t to = tag->target < run->target_count ? run->targets[tag->target].node : run->lab->node_count - 1;
	struct interval *ports;
	size_t count;

	packets = pset_before(run->space, packets, pset_bits_of(PSET_ORIGIN), origin, pset_field_last(PSET_ORIGIN));
	count = pset_project(run->space, packets, PSET_DPORT, &ports);
	*door = (struct reach_door){.from = tag->from, .to = to, .service = tag->service, .host = saying->end->host};
	if (count == 1 && ports[0].first == ports[0].last)
		door->port = number_of((uint64_t)ports[0].first);
	free(ports);
}

static void say_of_tags(const struct saying *saying, pset packets, bool doors)
{
	struct reach_run *run = saying->run;
	size_t first = run->lab->node_count;
	struct interval *origins;
	size_t count;

	if (run->tag_count == 0)
		return;
	packets = pset_and(run->space, packets,
			   pset_interval(run->space, PSET_ORIGIN, first, pset_field_last(PSET_ORIGIN)));
	if (pset_is_empty(packets))
		return;
	count = pset_project(run->space, packets, PSET_ORIGIN, &origins);
	for (size_t i = 0; i < count; i++)
		for (size_t j = (size_t)origins[i].first; j <= (size_t)origins[i].last; j++) {
			const struct reach_tag *tag = &run->tags[j - first];

			say(saying, tag->from, tag->target, tag->service);
			if (doors && !is_meant(saying, tag->target) && saying->end->fate == SPREAD_DELIVERED)
				note_door(saying, tag, packets, (uint32_t)j);
		}
	free(origins);
}

/* ---- ends ---- */

static void say_of(const struct saying *saying, pset packets, bool doors)
{
	say_of_packets(saying, packets);
	say_of_tags(saying, packets, doors);
}

static void say_rule(void *context, const struct met_rule *met)
{
	struct saying saying = *(const struct saying *)context;

	saying.cause = reach_cause_add(saying.run, saying.end, met);
	say_of(&saying, met->packets, false);
}

void reach_mark_end(struct reach_run *run, const struct spread_end *end)
{
	struct saying saying = {run, end, MARK_ARRIVES, MARK_ENDS, 0};
	bool exact = bounds_are_exact(end->packets);

	if (end->fate == SPREAD_UNKNOWN) {
		saying.meant = saying.others = MARK_OPEN;
	} else if (exact) {
		saying.meant |= MARK_ARRIVES_SURE;
		saying.others |= MARK_ENDS_SURE;
	}
	if (!end->chain)
		saying.cause = reach_cause_add(run, end, NULL);
	say_of(&saying, end->packets.may, true);
	if (!exact && end->fate != SPREAD_UNKNOWN && !pset_is_empty(end->packets.must)) {
		saying.meant = MARK_ARRIVES_SURE;
		saying.others = MARK_ENDS_SURE;
		say_of(&saying, end->packets.must, false);
	}
	if (!end->chain)
		return;
	saying.meant = saying.others = 0;
	spread_deciding(run->spread, end, say_rule, &saying);
}
