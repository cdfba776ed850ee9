/* What the file publishes: it stays so whatever else is promised. */
#include "verify/policy_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "model/publish.h"

#include <stdlib.h>
#include <sys/socket.h>

/* L0's own addresses of the family, at which a port that is published at all of them is asked for (fib daddr type
 * local); where only the lab's network on it was captured, what leaves that. */
static pset addresses_of_l0(const struct asking *asking, uint8_t family)
{
	const struct party *root = places_root(&asking->places);
	const struct stack_host *host = root->machine ? root->machine : root->network;
	pset own = host ? set_of_host(asking, host) : PSET_EMPTY;

	return pset_and(asking->space, own,
			pset_kind(asking->space, PSET_FAMILY, family == AF_INET ? PSET_IP4 : PSET_IP6));
}

pset published_answers(const struct asking *asking, const struct guest *guest)
{
	struct space *space = asking->space;
	const struct lab *lab = asking->input->lab;
	pset set = PSET_EMPTY;

	for (size_t i = 0; i < lab->guest_count; i++)
		for (size_t j = 0; guest_is_in(lab->guests[i], guest) && j < lab->guests[i]->publish_count; j++) {
			const struct publish *publish = &lab->guests[i]->publish[j];
			struct ip address = publish_address(publish);
			pset from = publish_is_any(&address) ? addresses_of_l0(asking, address.family)
							     : set_of_address(space, PSET_SADDR, &address);
			pset served = pset_and(space, pset_value(space, PSET_PROTOCOL, publish->protocol),
					       pset_value(space, PSET_SPORT, publish_as(publish)));

			if (ip_is_loopback(&address))
				continue;
			set = pset_or(space, set, pset_and(space, from, served));
		}
	return pset_and(space, set, pset_value(space, PSET_DIRECTION, 1));
}

/* Packets to a published port, as they come to a host that knows it by this number. */
static pset to_port(struct space *space, const struct publish *publish, uint16_t port)
{
	bool four = publish_address(publish).family == AF_INET;
	pset set = pset_and(space, pset_value(space, PSET_PROTOCOL, publish->protocol),
			    pset_value(space, PSET_DPORT, port));

	return pset_and(space, set, pset_kind(space, PSET_FAMILY, four ? PSET_IP4 : PSET_IP6));
}

/* By the numbers that a host leads on to guests below it by; `all`: also those at 127.0.0.1. */
static pset led_on(const struct asking *asking, const struct host *host, bool all)
{
	cleanup_free struct published *list = NULL;
	size_t count = host ? published_below(asking->input->lab, host, &list) : 0;
	pset set = PSET_EMPTY;

	for (size_t i = 0; i < count; i++) {
		struct ip address = publish_address(list[i].publish);

		if (all || !ip_is_loopback(&address))
			set = pset_or(asking->space, set, to_port(asking->space, list[i].publish, list[i].port));
	}
	return set;
}

pset published_ports(const struct asking *asking, const struct guest *guest)
{
	return led_on(asking, guest->host, true);
}

static void assume_published(const struct asking *asking, const struct guest *guest, const struct publish *publish,
			     const struct endpoint *to)
{
	struct ip address = publish_address(publish);
	char text[IP_TEXT_SIZE];

	asking_assume(asking,
		      arena_printf(asking->arena,
				   "what belongs to a session at port %u of %s, which the file publishes for %s, is "
				   "let come to %s, errors (ICMP) about it, too; and so are packets to its port, and "
				   "errors, that are found there to belong to nothing",
				   publish_as(publish), ip_format(&address, text), guest->path, to->text),
		      NULL);
}

pset published_sessions(const struct asking *asking, const struct endpoint *to)
{
	struct space *space = asking->space;
	const struct lab *lab = asking->input->lab;
	const struct guest *through = to->kind == ENDPOINT_GUEST ? to->guest : NULL;
	/* a host without tracking knows no session; what begins one is asked about like anything else */
	pset others = pset_or(space, pset_kind(space, PSET_STATE, PSET_UNTRACKED),
			      pset_and(space, pset_kind(space, PSET_STATE, PSET_NEW),
				       pset_masked(space, PSET_STATUS, 0, CT_STATUS_CONFIRMED)));
	/* As whoever has begun the session sends, or as belonging to nothing: about one that `to` began, and knows,
	 * they go the other way. */
	pset errors = pset_and(space, spread_icmp_errors(space),
			       pset_or(space, pset_kind(space, PSET_STATE, PSET_INVALID),
				       pset_and(space, pset_kind(space, PSET_STATE, PSET_RELATED),
						pset_value(space, PSET_DIRECTION, 0))));
	pset set = PSET_EMPTY;
	bool any = false;

	if (to->kind != ENDPOINT_L0 && !through)
		return PSET_EMPTY;
	for (size_t i = 0; i < lab->guest_count; i++)
		for (size_t j = 0; j < lab->guests[i]->publish_count; j++) {
			const struct publish *publish = &lab->guests[i]->publish[j];
			struct ip address = publish_address(publish);

			if (ip_is_loopback(&address) || (through && !guest_is_in(lab->guests[i], through)))
				continue;
			if (!through)
				set = pset_or(space, set, to_port(space, publish, publish_as(publish)));
			assume_published(asking, lab->guests[i], publish, to);
			any = true;
		}
	if (!any)
		return PSET_EMPTY;
	set = pset_or(space, set, led_on(asking, through ? through->host : lab->root, false));
	return pset_or(space, pset_minus(space, set, others), errors);
}
