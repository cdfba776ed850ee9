#include "base/cleanup.h"
#include "base/error.h"
#include "net/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DISCARD_PORT = 9, PATIENCE_MS = 250, LINKS_MOST = 5, LARGEST = 16384 };

union address {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
};

static socklen_t address_of(const struct ip *ip, union address *ret)
{
	*ret = (union address){.any = {.sa_family = ip->family}};
	if (ip->family == AF_INET6) {
		ret->ip6.sin6_port = htons(DISCARD_PORT);
		memcpy(&ret->ip6.sin6_addr, ip->bytes, 16);
		return sizeof(ret->ip6);
	}
	ret->ip4.sin_port = htons(DISCARD_PORT);
	memcpy(&ret->ip4.sin_addr, ip->bytes, 4);
	return sizeof(ret->ip4);
}

static struct ip ip_of(const union address *address)
{
	struct ip ip = {.family = (uint8_t)address->any.sa_family};

	if (ip.family == AF_INET6)
		memcpy(ip.bytes, &address->ip6.sin6_addr, 16);
	else
		memcpy(ip.bytes, &address->ip4.sin_addr, 4);
	return ip;
}

/* What the kernel would send in one piece. */
static int known_mtu(int fd, bool ip4, unsigned *ret)
{
	socklen_t length = sizeof(int);
	int mtu = 0;

	if (getsockopt(fd, ip4 ? IPPROTO_IP : IPPROTO_IPV6, ip4 ? IP_MTU : IPV6_MTU, &mtu, &length) < 0)
		return -1;
	*ret = (unsigned)mtu;
	return 0;
}

/* Waits for what is said about a datagram: EMSGSIZE, where it was too large for a link on the way (RFC 1191, RFC 8201);
 * another error, or 0, where it was not, as far as anybody says. */
static int wait_for_word(int fd)
{
	struct pollfd p = {.fd = fd};
	socklen_t length = sizeof(int);
	int problem = 0;

	if (poll(&p, 1, PATIENCE_MS) == 1)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &length);
	return problem;
}

/*
 * The kernel knows a smaller link on the way only once it was told, and it is told about what it sends: so a datagram
 * of the whole size goes there, which nobody needs to answer. Where the word about it is swallowed, as some firewalls
 * do, the path looks larger than it is.
 */
static void learn_mtu(int fd, bool ip4, unsigned *mtu)
{
	static const char nothing[LARGEST];
	const int whole = ip4 ? IP_PMTUDISC_DO : IPV6_PMTUDISC_DO;
	const unsigned headers = ip4 ? 20 + 8 : 40 + 8;

	if (setsockopt(fd, ip4 ? IPPROTO_IP : IPPROTO_IPV6, ip4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, &whole,
		       sizeof(whole)) < 0)
		return;
	for (int try = 0; try<LINKS_MOST && * mtu> headers; try++) {
		unsigned before = *mtu, size = before - headers < LARGEST ? before - headers : LARGEST;

		if (send(fd, nothing, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? errno != EMSGSIZE
									     : wait_for_word(fd) != EMSGSIZE)
			return;
		if (known_mtu(fd, ip4, mtu) < 0 || *mtu >= before)
			return;
	}
}

int net_path(const struct ip *to, struct ip *ret_from, unsigned *ret_mtu, struct error **err)
{
	cleanup_close int fd = socket(to->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	union address there, here;
	socklen_t length = address_of(to, &there), here_length = sizeof(here);
	char text[IP_TEXT_SIZE];
	bool ip4 = to->family == AF_INET;

	if (fd < 0 || connect(fd, &there.any, length) < 0 || getsockname(fd, &here.any, &here_length) < 0 ||
	    known_mtu(fd, ip4, ret_mtu) < 0)
		return error_errno(err, errno, "there is no way to %s", ip_format(to, text));
	*ret_from = ip_of(&here);
	learn_mtu(fd, ip4, ret_mtu);
	return 0;
}
