#include "net/link.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <string.h>
#include <sys/socket.h>

/* A dump can be interrupted by a change; that many times is somebody playing. */
enum { DUMP_TRIES = 16 };

/* struct ifinfomsg (rtnetlink(7)) with the family left open. */
static struct ifinfomsg *put_header(struct nlmsghdr *request)
{
	struct ifinfomsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	header->ifi_family = AF_UNSPEC;
	return header;
}

static void copy_string(char *to, size_t size, const struct nlattr *attribute)
{
	size_t length = attribute ? strnlen(mnl_attr_get_str(attribute), mnl_attr_get_payload_len(attribute)) : 0;

	if (length >= size)
		length = size - 1;
	if (length)
		memcpy(to, mnl_attr_get_str(attribute), length);
	to[length] = '\0';
}

static void parse_link(const struct nlmsghdr *message, struct link *link)
{
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *a[IFLA_MAX + 1], *part;

	netlink_attributes(message, sizeof(*header), a, IFLA_MAX);
	*link = (struct link){.index = header->ifi_index, .up = (header->ifi_flags & IFF_UP) != 0};
	copy_string(link->name, sizeof(link->name), a[IFLA_IFNAME]);
	copy_string(link->alias, sizeof(link->alias), a[IFLA_IFALIAS]);
	if (a[IFLA_MASTER])
		link->master = (int)mnl_attr_get_u32(a[IFLA_MASTER]);
	if (a[IFLA_MTU])
		link->mtu = mnl_attr_get_u32(a[IFLA_MTU]);
	if (a[IFLA_ADDRESS] && mnl_attr_get_payload_len(a[IFLA_ADDRESS]) == sizeof(link->mac))
		memcpy(link->mac, mnl_attr_get_payload(a[IFLA_ADDRESS]), sizeof(link->mac));
	if (a[IFLA_LINKINFO])
		netlink_for_each_nested (part, a[IFLA_LINKINFO])
			if (mnl_attr_get_type(part) == IFLA_INFO_KIND)
				copy_string(link->kind, sizeof(link->kind), part);
}

static void take_link(const struct nlmsghdr *message, void *data)
{
	if (message->nlmsg_type == RTM_NEWLINK)
		parse_link(message, data);
}

int link_get(struct netlink *nl, const char *name, struct link *ret)
{
	struct nlmsghdr *request = netlink_begin(nl, RTM_GETLINK, 0);

	*ret = (struct link){0};
	put_header(request);
	mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	mnl_attr_put_strz(request, IFLA_IFNAME, name);
	return netlink_ask(nl, request, take_link, ret);
}

struct link_dump {
	struct link *links;
	size_t count;
};

static void collect_link(const struct nlmsghdr *message, void *data)
{
	struct link_dump *dump = data;

	if (message->nlmsg_type != RTM_NEWLINK)
		return;
	dump->links = realloc(dump->links, (dump->count + 1) * sizeof(*dump->links));
	if (!dump->links)
		abort();
	parse_link(message, &dump->links[dump->count++]);
}

int link_list(struct netlink *nl, struct link **ret, size_t *ret_count, struct error **err)
{
	struct link_dump dump = {0};
	int r = -EINTR;

	for (int try = 0; r == -EINTR && try < DUMP_TRIES; try++) {
		struct nlmsghdr *request = netlink_begin(nl, RTM_GETLINK, NLM_F_DUMP);

		dump.count = 0;
		put_header(request);
		mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
		r = netlink_ask(nl, request, collect_link, &dump);
	}
	if (r < 0) {
		free(dump.links);
		return netlink_fail(nl, r, err, "cannot list the interfaces");
	}
	*ret = dump.links;
	*ret_count = dump.count;
	return 0;
}

int link_delete(struct netlink *nl, const struct link *link, struct error **err)
{
	struct nlmsghdr *request = netlink_begin(nl, RTM_DELLINK, 0);
	int r;

	put_header(request)->ifi_index = link->index;
	r = netlink_ask(nl, request, NULL, NULL);
	if (r < 0 && r != -ENODEV)
		return netlink_fail(nl, r, err, "cannot remove the interface %s", link->name);
	return 0;
}

struct nlmsghdr *link_change(struct netlink *nl, int index)
{
	struct nlmsghdr *request = netlink_begin(nl, RTM_SETLINK, 0);

	put_header(request)->ifi_index = index;
	return request;
}

struct nlmsghdr *link_create(struct netlink *nl, const char *name)
{
	struct nlmsghdr *request = netlink_begin(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);

	put_header(request);
	mnl_attr_put_strz(request, IFLA_IFNAME, name);
	return request;
}

struct link_kind link_kind_begin(struct nlmsghdr *request, const char *kind)
{
	struct link_kind k = {.info = mnl_attr_nest_start(request, IFLA_LINKINFO)};

	mnl_attr_put_strz(request, IFLA_INFO_KIND, kind);
	k.data = mnl_attr_nest_start(request, IFLA_INFO_DATA);
	return k;
}

void link_kind_end(struct nlmsghdr *request, const struct link_kind *kind)
{
	mnl_attr_nest_end(request, kind->data);
	mnl_attr_nest_end(request, kind->info);
}

int link_raise(struct netlink *nl, int index)
{
	struct nlmsghdr *request = netlink_begin(nl, RTM_SETLINK, 0);
	struct ifinfomsg *header = put_header(request);

	header->ifi_index = index;
	header->ifi_flags = header->ifi_change = IFF_UP;
	return netlink_ask(nl, request, NULL, NULL);
}

struct address_dump {
	int index;
	struct link_address *items;
	size_t count;
};

static void collect_address(const struct nlmsghdr *message, void *data)
{
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
	struct address_dump *dump = data;
	const struct nlattr *a[IFA_MAX + 1];
	struct link_address address = {.index = (int)header->ifa_index};

	if (message->nlmsg_type != RTM_NEWADDR || (dump->index && address.index != dump->index) ||
	    (header->ifa_family != AF_INET && header->ifa_family != AF_INET6))
		return;
	netlink_attributes(message, sizeof(*header), a, IFA_MAX);
	/* IFA_ADDRESS is the peer's on a point-to-point link; IFA_LOCAL, where given, is the interface's own. */
	address.prefix.ip = netlink_get_ip(a[IFA_LOCAL] ? a[IFA_LOCAL] : a[IFA_ADDRESS], header->ifa_family);
	address.prefix.length = header->ifa_prefixlen;
	if (!address.prefix.ip.family)
		return;
	dump->items = realloc(dump->items, (dump->count + 1) * sizeof(*dump->items));
	if (!dump->items)
		abort();
	dump->items[dump->count++] = address;
}

int link_addresses(struct netlink *nl, int index, struct link_address **ret, size_t *ret_count, struct error **err)
{
	struct address_dump dump = {.index = index};
	int r = -EINTR;

	for (int try = 0; r == -EINTR && try < DUMP_TRIES; try++) {
		struct nlmsghdr *request = netlink_begin(nl, RTM_GETADDR, NLM_F_DUMP);
		struct ifaddrmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

		dump.count = 0;
		header->ifa_index = (unsigned)index;
		r = netlink_ask(nl, request, collect_address, &dump);
	}
	if (r < 0) {
		free(dump.items);
		return netlink_fail(nl, r, err, "cannot list the addresses");
	}
	*ret = dump.items;
	*ret_count = dump.count;
	return 0;
}

static struct nlmsghdr *address_request(struct netlink *nl, uint16_t type, uint16_t flags, int index,
					const struct prefix *address)
{
	struct nlmsghdr *request = netlink_begin(nl, type, flags);
	struct ifaddrmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	header->ifa_family = address->ip.family;
	header->ifa_prefixlen = address->length;
	header->ifa_index = (unsigned)index;
	netlink_put_ip(request, IFA_LOCAL, &address->ip);
	netlink_put_ip(request, IFA_ADDRESS, &address->ip);
	return request;
}

static int add_address(struct netlink *nl, const struct link *link, const struct prefix *address, struct error **err)
{
	struct nlmsghdr *request = address_request(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, link->index, address);
	struct ip broadcast = prefix_broadcast(address);
	char text[PREFIX_TEXT_SIZE];
	int r;

	if (address->ip.family == AF_INET6)
		mnl_attr_put_u32(request, IFA_FLAGS, IFA_F_NODAD);
	else if (address->length < 31)
		netlink_put_ip(request, IFA_BROADCAST, &broadcast);
	r = netlink_ask(nl, request, NULL, NULL);
	if (r < 0 && r != -EEXIST)
		return netlink_fail(nl, r, err, "cannot give %s the address %s", link->name,
				    prefix_format(address, text));
	return 0;
}

static bool same_address(const struct prefix *a, const struct prefix *b)
{
	return a->length == b->length && ip_equal(&a->ip, &b->ip);
}

static int remove_others(struct netlink *nl, const struct link *link, const struct prefix *wanted, size_t wanted_count,
			 const struct link_address *there, size_t there_count, struct error **err)
{
	for (size_t i = 0; i < there_count; i++) {
		bool keep = false;
		int r;

		for (size_t j = 0; j < wanted_count && !keep; j++)
			keep = same_address(&there[i].prefix, &wanted[j]);
		if (keep)
			continue;
		r = netlink_ask(nl, address_request(nl, RTM_DELADDR, 0, link->index, &there[i].prefix), NULL, NULL);
		if (r < 0 && r != -EADDRNOTAVAIL)
			return netlink_fail(nl, r, err, "cannot take an address from %s", link->name);
	}
	return 0;
}

int link_set_addresses(struct netlink *nl, const struct link *link, const struct prefix *addresses, size_t count,
		       struct error **err)
{
	cleanup_free struct link_address *there = NULL;
	size_t there_count = 0;
	int r = link_addresses(nl, link->index, &there, &there_count, err);

	if (r == 0)
		r = remove_others(nl, link, addresses, count, there, there_count, err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		bool present = false;

		for (size_t j = 0; j < there_count && !present; j++)
			present = same_address(&there[j].prefix, &addresses[i]);
		if (!present && addresses[i].ip.family)
			r = add_address(nl, link, &addresses[i], err);
	}
	return r;
}

int link_check_addresses(struct netlink *nl, const struct link *link, const struct prefix *addresses, size_t count,
			 bool *ret_has, struct error **err)
{
	cleanup_free struct link_address *there = NULL;
	size_t there_count = 0;
	int r = link_addresses(nl, link->index, &there, &there_count, err);

	*ret_has = r == 0;
	for (size_t i = 0; *ret_has && i < count; i++) {
		bool present = !addresses[i].ip.family;

		for (size_t j = 0; j < there_count && !present; j++)
			present = same_address(&there[j].prefix, &addresses[i]);
		*ret_has = present;
	}
	return r;
}

struct ip link_local(const uint8_t mac[6])
{
	struct ip ip = {.family = AF_INET6, .bytes = {0xfe, 0x80}};

	ip.bytes[8] = mac[0] ^ 0x02;
	ip.bytes[9] = mac[1];
	ip.bytes[10] = mac[2];
	ip.bytes[11] = 0xff;
	ip.bytes[12] = 0xfe;
	ip.bytes[13] = mac[3];
	ip.bytes[14] = mac[4];
	ip.bytes[15] = mac[5];
	return ip;
}
