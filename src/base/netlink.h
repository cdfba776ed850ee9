/*
 * Requests to the kernel over netlink(7): one socket per namespace and protocol, one request under way at a time. The
 * answer's errno comes back negative; what the kernel says in words (NLMSGERR_ATTR_MSG) is kept for the message.
 */
#ifndef NESTVISOR_BASE_NETLINK_H
#define NESTVISOR_BASE_NETLINK_H

#include "base/ip.h"

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum { NETLINK_REQUEST_SIZE = 8192 };

struct netlink {
	int fd; /* -1: closed */
	uint32_t sequence;
	char said[160]; /* the kernel's own words about the last failure, or "" */
	char *request;	/* NETLINK_REQUEST_SIZE bytes */
};

/* Opens a socket in a namespace (-1: the thread's own). `protocol` is NETLINK_ROUTE or NETLINK_NETFILTER. */
int netlink_open(struct netlink *nl, int netns, int protocol, struct error **err);
void netlink_close(struct netlink *nl);

/* Begins a request in the socket's buffer: valid until the next netlink_begin. NLM_F_REQUEST is added. */
struct nlmsghdr *netlink_begin(struct netlink *nl, uint16_t type, uint16_t flags);

/*
 * Sends the request and takes its whole answer; each message of it goes to `each` (may be NULL). Returns 0 or -errno:
 * what the kernel answered, -EINTR for a dump that changed while it was read (read it again), or a failure of the
 * socket. A request without NLM_F_DUMP is acknowledged.
 */
typedef void (*netlink_each)(const struct nlmsghdr *message, void *data);
int netlink_ask(struct netlink *nl, struct nlmsghdr *request, netlink_each each, void *data);

/* Sets the error for a failed request: "<text>: <strerror> (<what the kernel said>)". Returns the code, negative. */
int netlink_fail(const struct netlink *nl, int code, struct error **err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Attributes: of a message after its `header` bytes, and within another one. */
#define netlink_attributes_in(attribute, from, to)                                                                     \
	for ((attribute) = (from); mnl_attr_ok((attribute), (int)((const char *)(to) - (const char *)(attribute)));    \
	     (attribute) = mnl_attr_next(attribute))
#define netlink_for_each(attribute, message, header)                                                                   \
	netlink_attributes_in (attribute, mnl_nlmsg_get_payload_offset((message), (header)),                           \
			       mnl_nlmsg_get_payload_tail(message))
#define netlink_for_each_nested(attribute, nest)                                                                       \
	netlink_attributes_in (attribute, mnl_attr_get_payload(nest),                                                  \
			       (const char *)mnl_attr_get_payload(nest) + mnl_attr_get_payload_len(nest))

void netlink_put_ip(struct nlmsghdr *message, uint16_t type, const struct ip *ip);
struct ip netlink_get_ip(const struct nlattr *attribute, uint8_t family);

/* Fills a table indexed by attribute type, of `max` + 1 entries; later attributes of unknown type are left out. */
void netlink_attributes(const struct nlmsghdr *message, size_t header, const struct nlattr **table, uint16_t max);
void netlink_nested(const struct nlattr *nest, const struct nlattr **table, uint16_t max); /* NULL: none are there */

#endif
