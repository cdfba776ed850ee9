/*
 * Which of its addresses a host sends from, where nothing else says: the one that the route's interface has toward the
 * destination. IPv4 looks at the interface first and takes what fits (inet_select_addr() in net/ipv4/devinet.c), IPv6
 * weighs all that the host has (ipv6_dev_get_saddr() in net/ipv6/addrconf.c).
 */
#include "verify/walk_internal.h"

#include <string.h>
#include <sys/socket.h>

/*
 * The first address that is no second one of its subnet; the one whose subnet the destination is in, if there is one
 * (inet_select_addr in net/ipv4/devinet.c). Those of 127.0.0.0/8 are the host's own only.
 */
static struct ip link_address4(const struct stack_link *link, const struct ip *toward)
{
	const struct address *best = NULL;

	for (size_t i = 0; i < link->link->address_count; i++) {
		const struct address *address = &link->link->addresses[i];

		if (!stack_address_is_usable(address, AF_INET) ||
		    (address->scope && strcmp(address->scope, "host") == 0) || ip_is_loopback(&address->prefix.ip))
			continue;
		if (prefix_contains(&address->prefix, toward))
			return address->prefix.ip;
		best = best ? best : address;
	}
	return best ? best->prefix.ip : (struct ip){};
}

/* As the kernel's table of labels has them (addrlabel.c); addresses talk to such of their own label first. */
static unsigned address_label(const struct ip *ip)
{
	static const struct {
		struct prefix prefix;
		unsigned label;
	} labels[] = {{{{AF_INET6, {[15] = 1}}, 128}, 0},   {{{AF_INET6, {0x20, 0x01, 0x00, 0x10}}, 28}, 7},
		      {{{AF_INET6, {0x20, 0x01}}, 32}, 6},  {{{AF_INET6, {0x20, 0x02}}, 16}, 2},
		      {{{AF_INET6, {0x3f, 0xfe}}, 16}, 12}, {{{AF_INET6, {0xfe, 0xc0}}, 10}, 11},
		      {{{AF_INET6, {0xfc}}, 7}, 5}};

	for (size_t i = 0; i < sizeof(labels) / sizeof(*labels); i++)
		if (prefix_contains(&labels[i].prefix, ip))
			return labels[i].label;
	return 1;
}

static unsigned common_bits(const struct address *address, const struct ip *toward)
{
	unsigned count = 0;

	while (count < address->prefix.length &&
	       prefix_contains(&(struct prefix){address->prefix.ip, (uint8_t)(count + 1)}, toward))
		count++;
	return count;
}

/* What speaks for an address, the weightiest first (RFC 6724, rules 1, 2, 3, 5, 6 and 8; ipv6_get_saddr_eval()). */
enum { MERITS = 6 };

static void weigh(const struct stack_link *link, const struct address *address, const struct stack_link *out,
		  const struct ip *toward, unsigned ret[MERITS])
{
	const struct ip *ip = &address->prefix.ip;
	bool narrow = ip_is_link_local(ip) || ip_is_loopback(ip);

	ret[0] = ip_equal(ip, toward);
	/* As wide as the destination's scope, or else wider. */
	ret[1] = narrow == ip_is_link_local(toward) ? 2 : narrow ? 0 : 1;
	ret[2] = !stack_address_has_flag(address, "deprecated");
	ret[3] = link == out;
	ret[4] = address_label(ip) == address_label(toward);
	ret[5] = common_bits(address, toward);
}

struct candidate6 {
	const struct address *address;
	unsigned merits[MERITS];
};

static void consider6(struct candidate6 *best, const struct stack_link *link, const struct stack_link *out,
		      const struct ip *toward)
{
	for (size_t i = 0; i < link->link->address_count; i++) {
		struct candidate6 one = {.address = &link->link->addresses[i]};
		unsigned j = 0;

		if (one.address->prefix.ip.family != AF_INET6 || stack_address_has_flag(one.address, "tentative"))
			continue;
		weigh(link, one.address, out, toward, one.merits);
		while (best->address && j < MERITS && one.merits[j] == best->merits[j])
			j++;
		if (!best->address || (j < MERITS && one.merits[j] > best->merits[j]))
			*best = one;
	}
}

/* ipv6_dev_get_saddr(): all interfaces' addresses, but of the link that the destination is valid on only its own. */
static struct ip select_address6(const struct stack_host *host, const struct stack_link *out, const struct ip *toward)
{
	bool own = out && (ip_is_link_local(toward) || ip_is_multicast(toward));
	struct candidate6 best = {};

	for (size_t i = 0; i < host->link_count; i++)
		if (!own || &host->links[i] == out)
			consider6(&best, &host->links[i], out, toward);
	return best.address ? best.address->prefix.ip : (struct ip){};
}

struct ip fib_select_address(const struct stack_host *host, const struct stack_link *link, const struct ip *toward)
{
	struct ip ip = {};

	if (toward->family == AF_INET6)
		return select_address6(host, link, toward);
	ip = link ? link_address4(link, toward) : ip;
	for (size_t i = 0; i < host->link_count && !ip.family; i++)
		ip = link_address4(&host->links[i], toward);
	return ip;
}
