#include "base/cleanup.h"
#include "base/error.h"
#include "net/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DISCARD_PORT = 9 };

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

int net_path(const struct ip *to, struct ip *ret_from, unsigned *ret_mtu, struct error **err)
{
	cleanup_close int fd = socket(to->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	union address there, here;
	socklen_t length = address_of(to, &there), here_length = sizeof(here);
	char text[IP_TEXT_SIZE];
	socklen_t mtu_length = sizeof(int);
	bool ip4 = to->family == AF_INET;
	int mtu = 0;

	if (fd < 0 || connect(fd, &there.any, length) < 0 || getsockname(fd, &here.any, &here_length) < 0 ||
	    getsockopt(fd, ip4 ? IPPROTO_IP : IPPROTO_IPV6, ip4 ? IP_MTU : IPV6_MTU, &mtu, &mtu_length) < 0)
		return error_errno(err, errno, "there is no way to %s", ip_format(to, text));
	*ret_from = ip_of(&here);
	*ret_mtu = (unsigned)mtu;
	return 0;
}
