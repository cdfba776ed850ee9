#include "dns.h"

#include "machine.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { DNS_PORT = 53, HEADER = 12, TYPE_A = 1, TYPE_AAAA = 28 };

size_t dns_question(uint8_t message[DNS_SIZE], const char *name, bool ip6)
{
	uint8_t *at = message + HEADER;

	memset(message, 0, DNS_SIZE);
	memcpy(message, (const uint8_t[]){0, 42, 1, 0, 0, 1}, 6);
	for (const char *label = name; *label;) {
		size_t n = strcspn(label, ".");

		assert_true(n < 64 && at + n < message + DNS_SIZE - 8);
		*at++ = (uint8_t)n;
		memcpy(at, label, n);
		at += n;
		label += n + (label[n] == '.');
	}
	at += 2;
	*at++ = ip6 ? TYPE_AAAA : TYPE_A;
	at++;
	*at++ = 1;
	return (size_t)(at - message);
}

static void read_answer(const uint8_t *message, ssize_t length, const char *name, bool ip6, char ret[64])
{
	if (length < HEADER)
		fail_msg("no answer from a DNS server for %s", name);
	if (message[7] == 0 || message[3] & 15)
		snprintf(ret, 64, "%d", message[3] & 15);
	else /* the data of the last record ends the message */
		inet_ntop(ip6 ? AF_INET6 : AF_INET, message + length - (ip6 ? 16 : 4), ret, 64);
}

static int connect_to(int netns, int type, const char *server)
{
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(DNS_PORT)};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(DNS_PORT)};
	bool is_six = strchr(server, ':') != NULL;
	int fd = socket_in(netns, is_six ? AF_INET6 : AF_INET, type, 0);
	struct timeval patience = {.tv_sec = 10};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	assert_int_equal(
		inet_pton(is_six ? AF_INET6 : AF_INET, server, is_six ? (void *)&six.sin6_addr : &four.sin_addr), 1);
	if (connect(fd, is_six ? (void *)&six : (void *)&four, is_six ? sizeof(six) : sizeof(four)) < 0)
		fail_msg("cannot connect to the DNS server %s", server);
	return fd;
}

void dns_ask(int netns, const char *server, const char *name, bool ip6, char ret[64])
{
	int fd = connect_to(netns, SOCK_DGRAM, server);
	uint8_t message[DNS_SIZE];
	size_t length = dns_question(message, name, ip6);

	assert_int_equal(send(fd, message, length, 0), length);
	read_answer(message, recv(fd, message, sizeof(message), 0), name, ip6, ret);
	close(fd);
}

void dns_ask_tcp(int netns, const char *server, const char *name, bool ip6, char ret[64])
{
	int fd = connect_to(netns, SOCK_STREAM, server);
	uint8_t message[2 + DNS_SIZE];
	size_t length = dns_question(message + 2, name, ip6);
	ssize_t got;

	message[0] = (uint8_t)(length >> 8);
	message[1] = (uint8_t)length;
	assert_int_equal(send(fd, message, 2 + length, 0), 2 + length);
	got = recv(fd, message, 2, MSG_WAITALL);
	assert_int_equal(got, 2);
	got = recv(fd, message, (size_t)message[0] << 8 | message[1], MSG_WAITALL);
	read_answer(message, got, name, ip6, ret);
	close(fd);
}

void dns_set_upstream(const char *run, const char *address)
{
	machine_do("printf 'nameserver 127.0.0.53\\nnameserver %s\\n' > %s/../resolv.conf && mount --bind "
		   "%s/../resolv.conf /etc/resolv.conf",
		   address, run, run);
}

void dns_unset_upstream(void)
{
	machine_do("umount /etc/resolv.conf");
}

bool dns_installed(void)
{
	return machine_try("command -v dnsmasq >/dev/null");
}
