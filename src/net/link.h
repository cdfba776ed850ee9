/* Interfaces (rtnetlink(7), RTM_*LINK) and their addresses. Every function works in the namespace of its socket. */
#ifndef NESTVISOR_NET_LINK_H
#define NESTVISOR_NET_LINK_H

#include "base/ip.h"
#include "base/netlink.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINK_NAME_SIZE = 16, LINK_ALIAS_SIZE = 256 };

struct link {
	int index, master;
	unsigned mtu;
	bool up;
	char name[LINK_NAME_SIZE];
	char kind[LINK_NAME_SIZE]; /* "bridge", "veth", "tun", …, or "" */
	char alias[LINK_ALIAS_SIZE];
	uint8_t mac[6];
};

int link_get(struct netlink *nl, const char *name, struct link *ret); /* -ENODEV: there is none */
int link_list(struct netlink *nl, struct link **ret, size_t *ret_count, struct error **err); /* freed by the caller */
int link_delete(struct netlink *nl, const struct link *link, struct error **err); /* gone already is success */

/* A request that changes one interface: attributes are added, then netlink_ask. */
struct nlmsghdr *link_change(struct netlink *nl, int index);
/* The same, to make one of that kind: what belongs to the kind goes between link_kind_begin and link_kind_end. */
struct nlmsghdr *link_create(struct netlink *nl, const char *name);
struct link_kind {
	struct nlattr *info, *data;
};
struct link_kind link_kind_begin(struct nlmsghdr *request, const char *kind);
void link_kind_end(struct nlmsghdr *request, const struct link_kind *kind);

int link_raise(struct netlink *nl, int index);

/*
 * Makes the addresses of an interface exactly these (with their prefix lengths; host bits set): missing ones are added
 * without duplicate address detection, others are removed. Entries of family 0 are passed over.
 */
int link_set_addresses(struct netlink *nl, const struct link *link, const struct prefix *addresses, size_t count,
		       struct error **err);

/* Whether it has them all. */
int link_check_addresses(struct netlink *nl, const struct link *link, const struct prefix *addresses, size_t count,
			 bool *ret_has, struct error **err);

/* The addresses of one interface (0: of all), in the kernel's order; freed by the caller. */
struct link_address {
	int index;
	struct prefix prefix;
};
int link_addresses(struct netlink *nl, int index, struct link_address **ret, size_t *ret_count, struct error **err);

/* fe80::/64 with the interface identifier made of the MAC address (RFC 4291, appendix A). */
struct ip link_local(const uint8_t mac[6]);

#endif
