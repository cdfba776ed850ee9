/* What a change lets through besides the packet that was asked about: said of it, not computed. */
#include "verify/change.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"

#include <string.h>

static const char *opens_rule(struct arena *arena, const struct change *change)
{
	const struct rule_wish *wish = change->rule.wish;
	const struct packet *packet = wish->packet;
	const struct ports *ports = wish->untracked ? &packet->sport : &packet->dport;
	char src[IP_TEXT_SIZE], dst[IP_TEXT_SIZE], protocol[4];
	cleanup_strbuf struct strbuf out = {0};

	if (wish->publish.family)
		return arena_printf(arena, "whoever sends %s to %s, port %u, gets to %s, where rules let it",
				    protocol_name(packet->protocol, protocol), ip_format(&packet->dst, dst),
				    ports->first, ip_format(&wish->publish, src));
	strbuf_printf(&out, "%s from %s to %s",
		      wish->masquerade ? "everything" : protocol_name(packet->protocol, protocol),
		      wish->any_source ? "anybody" : ip_format(&packet->src, src),
		      wish->any_destination ? "anybody" : ip_format(&packet->dst, dst));
	if (wish->masquerade)
		strbuf_printf(&out, " gets an address of %s as its source", change->host);
	else if (wish->answers)
		strbuf_add(&out, ", where it belongs to a connection that exists");
	else if (packet_has_ports(packet) && ports->first == ports->last)
		strbuf_printf(&out, ", %s port %u%s", wish->untracked ? "from" : "to", ports->first,
			      wish->untracked ? ", to any port" : "");
	else if (packet_is_icmp(packet))
		strbuf_printf(&out, ", type %u", packet->icmp_type);
	return arena_strdup(arena, out.text);
}

static const char *opens_route(struct arena *arena, const struct change *change)
{
	const struct route *route = change->route.entry;
	char to[PREFIX_TEXT_SIZE];

	return arena_printf(arena, "all that %s sends or passes on to %s takes this way", change->host,
			    route->to.length ? prefix_format(&route->to, to) : "whom no other route is for");
}

static const char *opens_sysctl(struct arena *arena, const struct change *change)
{
	const char *name = change->sysctl.name;

	if (strstr(name, ".rp_filter"))
		return arena_printf(arena, "%s lets packets in whose answer would leave by another interface",
				    change->host);
	if (strstr(name, ".route_localnet"))
		return arena_printf(arena, "%s takes packets of 127.0.0.0/8 for ones that may be routed", change->host);
	if (strcmp(name, "net.ipv4.ip_forward") == 0 || strstr(name, ".all."))
		return arena_printf(arena, "%s passes on what comes in by any interface, where its rules let it",
				    change->host);
	return arena_printf(arena, "%s passes on what comes in by that interface, where its rules let it",
			    change->host);
}

static const char *opens_policy(struct arena *arena, const struct change *change)
{
	const struct policy_rule *rule = change->policy;
	char from[PREFIX_TEXT_SIZE], to[PREFIX_TEXT_SIZE];

	return arena_printf(arena, "all from %s to %s asks the main table of %s",
			    rule->from.ip.family ? prefix_format(&rule->from, from) : "anybody",
			    prefix_format(&rule->to, to), change->host);
}

const char *change_opens(struct arena *arena, const struct change *change)
{
	switch (change->kind) {
	case CHANGE_RULE:
	case CHANGE_NAT:
		return opens_rule(arena, change);
	case CHANGE_ROUTE:
		return opens_route(arena, change);
	case CHANGE_SYSCTL:
		return opens_sysctl(arena, change);
	case CHANGE_POLICY:
		return opens_policy(arena, change);
	case CHANGE_LINK:
		return arena_printf(arena, "all that goes by %s of %s", change->link, change->host);
	case CHANGE_KIND_COUNT:
		break;
	}
	return NULL;
}
