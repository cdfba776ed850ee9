/*
 * Who sends. A host that obeys its own rules sends with the addresses that it has; a guest that is held from outside,
 * or taken over, sends whatever it likes into its cables; the world sends whatever it likes to where the facts end.
 */
#include "verify/policy_internal.h"

#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void source_missing(const struct asking *asking, struct sources *sources, const char *command, const char *format, ...)
{
	struct assumption missing = {.command = command};
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (size_t i = 0; i < sources->missing_count; i++)
		if (strcmp(sources->missing[i].text, text) == 0)
			return;
	missing.text = arena_strdup(asking->arena, text);
	*arena_push(asking->arena, sources->missing, sources->missing_count) = missing;
}

void source_missing_part(const struct asking *asking, struct sources *sources, const struct endpoint *endpoint)
{
	source_missing(asking, sources, "nestvisor verify, on the machine that the lab runs on",
		       "%s is not in this part of the lab", endpoint->text);
}

void source_missing_facts(const struct asking *asking, struct sources *sources, const struct party *party)
{
	source_missing(asking, sources,
		       arena_printf(asking->arena, "nestvisor capture --lab %s", asking->input->lab->name),
		       "the facts of %s", party_name(party));
}

void source_missing_down(const struct asking *asking, struct sources *sources, const struct guest *down)
{
	const char *start =
		down->adopted ? arena_printf(asking->arena, "virsh start %s", down->adopted) : "nestvisor up";

	source_missing(asking, sources, start, "%s does not run: it has no cable yet", down->path);
}

static struct sender *add(const struct asking *asking, struct sources *sources, const struct spread_start *start)
{
	struct sender *source;

	if (pset_is_empty(start->packets))
		return NULL;
	source = arena_push(asking->arena, sources->items, sources->count);
	*source = (struct sender){.start = *start};
	return source;
}

/* ---- by itself ---- */

pset set_of_host(const struct asking *asking, const struct stack_host *host)
{
	pset set = PSET_EMPTY;

	for (size_t i = 0; i < host->link_count; i++)
		for (size_t j = 0; j < host->links[i].link->address_count; j++) {
			const struct ip *ip = &host->links[i].link->addresses[j].prefix.ip;

			if (!ip_is_loopback(ip)) /* the loopback interface may have others, too */
				set = pset_or(asking->space, set, set_of_address(asking->space, PSET_SADDR, ip));
		}
	return set;
}

static void add_host(const struct asking *asking, struct sources *sources, const struct party *party,
		     const struct stack_host *host, pset packets)
{
	struct spread_start start = {.host = host};
	struct sender *source;

	if (!host)
		return;
	start.packets = pset_and(asking->space, packets, set_of_host(asking, host));
	source = add(asking, sources, &start);
	if (source) {
		source->who = party_name(party);
		source->party = party;
	}
}

/* What its own rules would stop is not known, and taken for nothing. */
static pset own_of_nic(const struct asking *asking, const struct nic *nic)
{
	struct space *space = asking->space;
	pset set = pset_value(space, PSET_SMAC, wide_of_mac(nic->mac)), four, six;

	four = nic->address4.family ? set_of_address(space, PSET_SADDR, &nic->address4)
				    : pset_kind(space, PSET_FAMILY, PSET_IP4);
	six = nic->address6.family ? set_of_address(space, PSET_SADDR, &nic->address6)
				   : pset_kind(space, PSET_FAMILY, PSET_IP6);
	return pset_and(space, set, pset_or(space, four, six));
}

/* Whatever is on a cable is in a frame: a set of packets has also those that are in none. */
static pset in_frames(const struct asking *asking, pset packets)
{
	struct space *space = asking->space;
	pset without = pset_or(space, pset_masked(space, PSET_SMAC, PSET_NO_MAC, PSET_NO_MAC),
			       pset_masked(space, PSET_DMAC, PSET_NO_MAC, PSET_NO_MAC));

	return pset_minus(space, packets, without);
}

static void add_cable(const struct asking *asking, struct sources *sources, const struct nic *nic, pset packets,
		      const char *who)
{
	const struct guest *guest = nic->guest;
	struct spread_start start = {.packets = in_frames(asking, packets), .frames = true};
	struct cable cable;
	struct sender *source;

	if (!places_cable(&asking->places, nic, &cable)) {
		const struct party *owner = places_party(&asking->places, guest_runs_on(guest)->guest);

		if (owner->network)
			source_missing_down(asking, sources, guest);
		else
			source_missing_facts(asking, sources, owner);
		return;
	}
	start.host = cable.tap->host;
	start.iif = cable.bridge ? cable.bridge : cable.tap;
	start.in_port = cable.bridge ? cable.tap : NULL;
	source = add(asking, sources, &start);
	if (!source)
		return;
	source->who = who;
	source->party = places_party(&asking->places, guest);
	if (cable.nic == nic)
		return;
	/* where else its host may send that to, itself included, is not known */
	source_missing_facts(asking, sources, places_party(&asking->places, guest_runs_on(guest)->guest));
	source->doubt = arena_printf(asking->arena, "the facts of %s", guest_runs_on(guest)->guest->path);
	source->doubt_command = arena_printf(asking->arena, "nestvisor capture --lab %s", asking->input->lab->name);
}

void source_add_party(const struct asking *asking, struct sources *sources, const struct party *party, pset packets)
{
	const struct guest *guest = party->guest;

	add_host(asking, sources, party, party->network, packets);
	add_host(asking, sources, party, party->machine, packets);
	if (party->machine || !guest) {
		if (!party->machine && !party->network)
			source_missing_facts(asking, sources, party);
		return;
	}
	for (size_t i = 0; i < guest->nic_count; i++)
		add_cable(asking, sources, &guest->nics[i],
			  pset_and(asking->space, packets, own_of_nic(asking, &guest->nics[i])), guest->path);
}

/* ---- out of a cable ---- */

void source_add_cables(const struct asking *asking, struct sources *sources, const struct guest *guest,
		       const struct network *network, pset packets)
{
	for (size_t i = 0; i < guest->nic_count; i++)
		if (!network || guest->nics[i].network == network)
			add_cable(asking, sources, &guest->nics[i], packets,
				  arena_printf(asking->arena, "whoever is in %s", guest->path));
}

/* ---- the world ---- */

void source_add_world(const struct asking *asking, struct sources *sources, pset packets)
{
	const struct stack *stack = asking->input->stack;
	size_t before = sources->count;

	for (size_t i = 0; i < stack->host_count; i++)
		for (size_t j = 0; j < stack->hosts[i].link_count; j++) {
			const struct stack_link *link = &stack->hosts[i].links[j];
			const struct stack_link *bridge = link->master && link->master->is_bridge ? link->master : NULL;
			struct spread_start start = {.host = link->host,
						     .iif = link->master ? link->master : link,
						     .in_port = bridge ? link : NULL,
						     .packets = packets,
						     .frames = bridge != NULL};
			const struct party *unseen = places_unseen(&asking->places, link);
			struct sender *source;

			if (!places_is_way_out(&asking->places, link))
				continue;
			if (unseen) { /* what comes from there is not the world's, or is so by way of him */
				source_missing_facts(asking, sources, unseen);
				continue;
			}
			source = add(asking, sources, &start);
			if (source)
				source->who = "the world";
		}
	if (sources->count == before && sources->missing_count == 0 && !pset_is_empty(packets))
		source_missing(asking, sources, NULL,
			       "where the world begins: no host has an interface that leads out "
			       "of these facts");
}

/* ---- hosts that were taken over ---- */

static bool is_compromised(const struct asking *asking, const struct party *party)
{
	return asking->compromised[party - asking->places.parties];
}

/* What leads from it to those who were not taken over. */
static void add_ways_out(const struct asking *asking, struct sources *sources, const struct party *party,
			 const struct stack_host *host, pset packets)
{
	for (size_t i = 0; host && i < host->link_count; i++) {
		const struct stack_link *link = &host->links[i];
		const struct nic *nic = places_tap(&asking->places, link);
		struct spread_start start = {.host = host, .out = link, .packets = packets};
		struct sender *source;

		if (nic ? is_compromised(asking, places_party(&asking->places, nic->guest))
			: !places_is_way_out(&asking->places, link))
			continue;
		source = add(asking, sources, &start);
		if (source) {
			source->who = arena_printf(asking->arena, "whoever has taken over %s", party_name(party));
			source->party = party;
			source->taken_over = true;
		}
	}
}

void source_add_taken_over(const struct asking *asking, struct sources *sources, pset packets)
{
	for (size_t i = 0; i < asking->places.party_count; i++) {
		const struct party *party = &asking->places.parties[i];
		size_t before = sources->count;

		if (!asking->compromised[i])
			continue;
		for (size_t j = 0; party->guest && j < party->guest->nic_count; j++)
			if (!is_compromised(asking, places_party(&asking->places, guest_runs_on(party->guest)->guest)))
				add_cable(asking, sources, &party->guest->nics[j], packets,
					  arena_printf(asking->arena, "whoever has taken over %s", party_name(party)));
		for (size_t j = before; j < sources->count; j++)
			sources->items[j].taken_over = true;
		add_ways_out(asking, sources, party, party->network, packets);
		add_ways_out(asking, sources, party, party->machine, packets);
	}
}
