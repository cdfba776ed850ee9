/* Neighbours of both families, those that this host answers for, and the forwarding tables of bridges. */
#include "facts/live_internal.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <string.h>
#include <sys/socket.h>

static const char *state_name(uint16_t state)
{
	static const struct {
		uint16_t state;
		const char *name;
	} names[] = {{NUD_INCOMPLETE, "INCOMPLETE"}, {NUD_REACHABLE, "REACHABLE"}, {NUD_STALE, "STALE"},
		     {NUD_DELAY, "DELAY"},	     {NUD_PROBE, "PROBE"},	   {NUD_FAILED, "FAILED"},
		     {NUD_NOARP, "NOARP"},	     {NUD_PERMANENT, "PERMANENT"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (state == names[i].state)
			return names[i].name;
	return NULL;
}

/* As ip(8) shows them: without those that need no resolving, or were not begun to be. */
static void take_neighbour(const struct nlmsghdr *message, void *data)
{
	struct live *live = data;
	struct facts *facts = live->facts;
	const struct ndmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *a[NDA_MAX + 1];
	bool proxy = header->ndm_flags & NTF_PROXY;

	if (message->nlmsg_type != RTM_NEWNEIGH || (header->ndm_family != AF_INET && header->ndm_family != AF_INET6) ||
	    (!proxy && (header->ndm_state == NUD_NONE || header->ndm_state == NUD_NOARP)))
		return;
	netlink_attributes(message, sizeof(*header), a, NDA_MAX);
	if (!a[NDA_DST])
		return;
	*arena_push(live->pool->arena, facts->neighbours, facts->neighbour_count) = (struct neighbour){
		.ip = netlink_get_ip(a[NDA_DST], header->ndm_family),
		.dev = live_interface(live, (uint32_t)header->ndm_ifindex),
		.mac = live_mac(a[NDA_LLADDR]),
		.state = proxy ? NULL : state_name(header->ndm_state),
		.router = truth_of(header->ndm_flags & NTF_ROUTER),
		.proxy = truth_of(proxy),
		.origin = {.source = LIVE_ROUTE},
	};
}

static void take_fdb_entry(const struct nlmsghdr *message, void *data)
{
	struct live *live = data;
	struct facts *facts = live->facts;
	const struct ndmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *a[NDA_MAX + 1];
	struct fdb_entry entry = {.origin = {.source = LIVE_ROUTE}};
	size_t length;

	netlink_attributes(message, sizeof(*header), a, NDA_MAX);
	entry.mac = live_mac(a[NDA_LLADDR]);
	if (message->nlmsg_type != RTM_NEWNEIGH || header->ndm_family != AF_BRIDGE || !entry.mac.known)
		return;
	entry.dev = live_interface(live, (uint32_t)header->ndm_ifindex);
	if (a[NDA_MASTER])
		entry.master = live_interface(live, mnl_attr_get_u32(a[NDA_MASTER]));
	if (a[NDA_VLAN])
		entry.vlan = number_of(mnl_attr_get_u16(a[NDA_VLAN]));
	length = a[NDA_DST] ? mnl_attr_get_payload_len(a[NDA_DST]) : 0;
	if (length == 4 || length == 16)
		entry.destination = netlink_get_ip(a[NDA_DST], length == 4 ? AF_INET : AF_INET6);
	if (header->ndm_state & NUD_PERMANENT)
		entry.state = "permanent";
	else if (header->ndm_state & NUD_NOARP)
		entry.state = "static";
	else if (header->ndm_state & NUD_STALE)
		entry.state = "stale";
	*arena_push(live->pool->arena, facts->fdb, facts->fdb_count) = entry;
}

static int dump(struct live *live, uint8_t family, uint8_t flags, netlink_each each, size_t *count)
{
	struct nlmsghdr *request = netlink_begin(&live->route, RTM_GETNEIGH, NLM_F_DUMP);
	struct ndmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	header->ndm_family = family;
	header->ndm_flags = flags;
	return live_dump(&live->route, request, each, live, count);
}

/* What was heard before it ended is true; only that it is all is not. */
static enum truth settle(struct live *live, const char *command, const char *what, size_t count, int result)
{
	if (result == 0) {
		live_capture(live, LIVE_ROUTE, command)->items = (uint32_t)count;
		return TRUTH_YES;
	}
	live_unknown(live, LIVE_ROUTE, command, "%s: %s", what, strerror(-result));
	return count ? TRUTH_NO : TRUTH_UNKNOWN;
}

void live_neighbours(struct live *live)
{
	struct facts *facts = live->facts;
	int r = dump(live, AF_UNSPEC, 0, take_neighbour, &facts->neighbour_count);

	if (r == 0)
		r = dump(live, AF_UNSPEC, NTF_PROXY, take_neighbour, &facts->neighbour_count);
	facts->neighbours_known = settle(live, "ip neigh", "neighbours", facts->neighbour_count, r);
	r = dump(live, AF_BRIDGE, 0, take_fdb_entry, &facts->fdb_count);
	facts->fdb_known = settle(live, "bridge fdb", "forwarding tables of bridges", facts->fdb_count, r);
}
