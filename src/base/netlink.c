#include "base/netlink.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/netns.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Big enough for the largest part of a dump that the kernel sends (NLMSG_GOODSIZE grows with what the reader offers).
 */
enum { ANSWER_SIZE = 32768 };

int netlink_open(struct netlink *nl, int netns, int protocol, struct error **err)
{
	const int yes = 1;
	struct netns_visit visit;
	int r = netns_enter(netns, &visit, err);

	*nl = (struct netlink){.fd = -1};
	if (r < 0)
		return r;
	nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	r = nl->fd < 0 ? -errno : 0;
	netns_leave(&visit);
	if (r < 0)
		return error_errno(err, r, "cannot open a netlink socket");
	nl->request = malloc(NETLINK_REQUEST_SIZE);
	if (!nl->request)
		abort();
	/* Each of these only adds comfort: words, short acknowledgements, dumps that the kernel filters for us. */
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &yes, sizeof(yes));
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_CAP_ACK, &yes, sizeof(yes));
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &yes, sizeof(yes));
	return 0;
}

void netlink_close(struct netlink *nl)
{
	if (nl->fd >= 0)
		close(nl->fd);
	free(nl->request);
	*nl = (struct netlink){.fd = -1};
}

struct nlmsghdr *netlink_begin(struct netlink *nl, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(nl->request);

	request->nlmsg_type = type;
	request->nlmsg_flags = flags | NLM_F_REQUEST;
	return request;
}

static int hear_error(struct netlink *nl, const struct nlmsghdr *message)
{
	const struct nlmsgerr *answer = mnl_nlmsg_get_payload(message);
	const struct nlattr *attribute;
	size_t skip = sizeof(*answer);

	if (answer->error == 0)
		return 0;
	if (message->nlmsg_flags & NLM_F_ACK_TLVS) {
		if (!(message->nlmsg_flags & NLM_F_CAPPED))
			skip += answer->msg.nlmsg_len - sizeof(answer->msg);
		netlink_for_each (attribute, message, skip)
			if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG)
				snprintf(nl->said, sizeof(nl->said), "%s", mnl_attr_get_str(attribute));
	}
	return answer->error;
}

/* Returns 1 for more to come, else the result of the request. */
static int hear(struct netlink *nl, const char *answer, size_t length, netlink_each each, void *data, bool *interrupted)
{
	int left = (int)length;

	for (const struct nlmsghdr *message = (const void *)answer; mnl_nlmsg_ok(message, left);
	     message = mnl_nlmsg_next(message, &left)) {
		if (message->nlmsg_seq != nl->sequence)
			continue; /* left over from a request that was given up */
		*interrupted |= (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		if (message->nlmsg_type == NLMSG_ERROR)
			return hear_error(nl, message);
		if (message->nlmsg_type == NLMSG_DONE)
			return message->nlmsg_len >= NLMSG_LENGTH(sizeof(int)) ? *(const int *)NLMSG_DATA(message) : 0;
		if (each && message->nlmsg_type >= NLMSG_MIN_TYPE)
			each(message, data);
	}
	return 1;
}

int netlink_ask(struct netlink *nl, struct nlmsghdr *request, netlink_each each, void *data)
{
	cleanup_free char *answer = malloc(ANSWER_SIZE);
	bool interrupted = false;
	int r = 1;

	if (!answer)
		abort();
	nl->said[0] = '\0';
	request->nlmsg_seq = ++nl->sequence;
	if ((request->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP) /* two bits, which mean other things in other requests */
		request->nlmsg_flags |= NLM_F_ACK;
	if (send(nl->fd, request, request->nlmsg_len, 0) < 0)
		return -errno;
	while (r == 1) {
		ssize_t length = recv(nl->fd, answer, ANSWER_SIZE, 0);

		if (length < 0 && errno != EINTR)
			return -errno;
		if (length > 0)
			r = hear(nl, answer, (size_t)length, each, data, &interrupted);
	}
	return r == 0 && interrupted ? -EINTR : r;
}

int netlink_fail(const struct netlink *nl, int code, struct error **err, const char *format, ...)
{
	cleanup_free char *text = NULL;
	va_list args;
	int r;

	va_start(args, format);
	r = vasprintf(&text, format, args);
	va_end(args);
	if (r < 0)
		abort();
	code = code < 0 ? -code : code;
	if (nl->said[0])
		error_set(err, code, "%s: %s (%s)", text, strerror(code), nl->said);
	else
		error_errno(err, code, "%s", text);
	if (code == EPERM)
		error_hint(err, "run nestvisor as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN");
	return -code;
}

void netlink_put_ip(struct nlmsghdr *message, uint16_t type, const struct ip *ip)
{
	mnl_attr_put(message, type, ip_bits(ip) / 8U, ip->bytes);
}

struct ip netlink_get_ip(const struct nlattr *attribute, uint8_t family)
{
	struct ip ip = {.family = family};

	if (!attribute || mnl_attr_get_payload_len(attribute) < ip_bits(&ip) / 8U)
		return (struct ip){0};
	memcpy(ip.bytes, mnl_attr_get_payload(attribute), ip_bits(&ip) / 8U);
	return ip;
}

void netlink_attributes(const struct nlmsghdr *message, size_t header, const struct nlattr **table, uint16_t max)
{
	const struct nlattr *attribute;

	memset(table, 0, (max + 1U) * sizeof(*table));
	netlink_for_each (attribute, message, header)
		if (mnl_attr_get_type(attribute) <= max)
			table[mnl_attr_get_type(attribute)] = attribute;
}

void netlink_nested(const struct nlattr *nest, const struct nlattr **table, uint16_t max)
{
	const struct nlattr *attribute;

	memset(table, 0, (max + 1U) * sizeof(*table));
	if (!nest)
		return;
	netlink_for_each_nested (attribute, nest)
		if (mnl_attr_get_type(attribute) <= max)
			table[mnl_attr_get_type(attribute)] = attribute;
}
