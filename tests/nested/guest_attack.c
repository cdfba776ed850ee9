/*
 * The ways out of tests/netns, tried by whoever is root in a real guest. It is one program without libraries, so that
 * it can be copied into any guest. It tries all of them once, begins those that live on, writes that it is ready, and
 * waits to be told that the guest is cut; then it goes on with these, and tries all others again. Which came out is
 * counted in the world, by the words that it printed:
 *
 *   guest-attack direct|deep LETTER IPV4 IPV6 GATEWAY_MAC NEIGHBOUR_MAC GATEWAY_LINK_LOCAL TRANSIT FOLDER
 *
 *   FOLDER/ready, FOLDER/done: how far it is; FOLDER/go: it may go on
 *   each line printed: the word when open, the word when cut, out|never, the way's name, what stops it
 */
#include "../netns/attack.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_S = 180, PAUSE_MS = 50, WAYS_MOST = 256 };

/* ─── what cmocka is used for, without its library: the first failure ends the program ─── */

void _fail(const char *file, int line)
{
	fprintf(stderr, "failed at %s:%d\n", file, line);
	exit(2);
}

void _assert_true(LargestIntegralType result, const char *expression, const char *file, int line)
{
	if (!result) {
		fprintf(stderr, "not so: %s\n", expression);
		_fail(file, line);
	}
}

void _assert_int_equal(LargestIntegralType a, LargestIntegralType b, const char *file, int line)
{
	if (a != b) {
		fprintf(stderr, "%lld is not %lld\n", (long long)a, (long long)b);
		_fail(file, line);
	}
}

void _assert_string_equal(const char *a, const char *b, const char *file, int line)
{
	if (strcmp(a, b) != 0) {
		fprintf(stderr, "\"%s\" is not \"%s\"\n", a, b);
		_fail(file, line);
	}
}

void print_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
}

/* Only the ways that need help from elsewhere would ask for it; they are not tried here. */
int net_netns_fd(const struct net *net)
{
	(void)net;
	abort();
}

/* ─── */

/* As the lab's end of a tap, which tests/netns writes to: frames with a virtio header in front. */
static int open_cable(void)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("eth0")};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), yes = 1;

	assert_true(fd >= 0 && setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &yes, sizeof(yes)) == 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void read_mac(const char *text, uint8_t ret[6])
{
	assert_int_equal(sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &ret[0], &ret[1], &ret[2], &ret[3],
				&ret[4], &ret[5]),
			 6);
}

static void own_mac(uint8_t ret[6])
{
	struct ifreq request = {.ifr_name = "eth0"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(ioctl(fd, SIOCGIFHWADDR, &request), 0);
	memcpy(ret, request.ifr_hwaddr.sa_data, 6);
	close(fd);
}

struct attempt {
	const struct way *way;
	struct attack attack;
};

static bool can(const struct way *way, int who)
{
	return (way->who & who) && !(way->who & HELPED) && (way->kind == WAY_OUT || way->kind == WAY_NEVER);
}

static size_t choose(int who, const struct attack *a, struct attempt *list)
{
	static const struct ways *const all[] = {&ways_by_packet, &ways_by_frame};
	size_t count = 0;

	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < all[i]->count; j++)
			if (can(&all[i]->list[j], who)) {
				assert_true(count < WAYS_MOST);
				list[count++] = (struct attempt){.way = &all[i]->list[j], .attack = *a};
			}
	return count;
}

static void name_it(struct attempt *one, char letter, char phase, size_t number)
{
	snprintf(one->attack.word, sizeof(one->attack.word), "w%c%c%03zux", letter, phase, number);
	one->attack.fds[0] = one->attack.fds[1] = -1;
}

/* A reset instead of a farewell: nothing comes later. */
static void finish(struct attempt *one)
{
	const struct linger none = {.l_onoff = 1};

	if (one->attack.fds[0] < 0)
		return;
	setsockopt(one->attack.fds[0], SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close(one->attack.fds[0]);
}

static void try_open(struct attempt *list, size_t count, char letter)
{
	for (size_t i = 0; i < count; i++) {
		name_it(&list[i], letter, 'o', i);
		if (list[i].way->begin)
			list[i].way->begin(&list[i].attack, list[i].way);
		list[i].way->go(&list[i].attack, list[i].way);
		finish(&list[i]);
	}
}

static void tell(const char *folder, const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void wait_until_cut(const char *folder)
{
	char go[256];

	snprintf(go, sizeof(go), "%s/go", folder);
	tell(folder, "ready");
	for (int waited = 0; access(go, F_OK) < 0; waited += PAUSE_MS) {
		if (waited > WAIT_S * 1000)
			fail_msg("nobody says that it is cut");
		usleep(PAUSE_MS * 1000);
	}
}

static void try_cut(struct attempt *list, size_t count, char letter, const char *folder)
{
	for (size_t i = 0; i < count; i++) {
		name_it(&list[i], letter, 'c', i);
		if (list[i].way->begin)
			list[i].way->begin(&list[i].attack, list[i].way);
	}
	wait_until_cut(folder);
	for (size_t i = 0; i < count; i++)
		list[i].way->go(&list[i].attack, list[i].way);
	/* Those that were begun stay until the world has been looked at: the system may send again. */
}

int main(int argc, char **argv)
{
	static struct attempt list[WAYS_MOST];
	struct peer self = {.name = "self"}, neighbour = {.name = "neighbour"};
	struct machine machine = {.home = -1, .world = -1};
	struct fixture fixture = {.m = &machine, .pb = &neighbour};
	struct attack a = {.f = &fixture, .from = &self, .world_serves = true};
	size_t count;
	bool deep;

	if (argc != 10)
		return 2;
	deep = strcmp(argv[1], "deep") == 0;
	a.ip4 = argv[3];
	a.ip6 = argv[4];
	read_mac(argv[5], a.gateway_mac);
	read_mac(argv[6], neighbour.mac);
	snprintf(a.gateway_local, sizeof(a.gateway_local), "%s", argv[7]);
	snprintf(a.transit, sizeof(a.transit), "%s", argv[8]);
	self.netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	self.lab_tap = open_cable();
	own_mac(self.mac);
	snprintf(a.local, sizeof(a.local), "fe80::%x:%xff:fe%02x:%02x%02x", (self.mac[0] ^ 2) << 8 | self.mac[1],
		 self.mac[2], self.mac[3], self.mac[4], self.mac[5]);
	count = choose(deep ? DEEP : FIXED, &a, list);
	for (size_t i = 0; i < count; i++)
		printf("w%co%03zux\tw%cc%03zux\t%s\t%s\t%s\n", argv[2][0], i, argv[2][0], i,
		       list[i].way->kind == WAY_OUT ? "out" : "never", list[i].way->name,
		       list[i].way->note ? list[i].way->note : "");
	fflush(stdout);
	try_open(list, count, argv[2][0]);
	try_cut(list, count, argv[2][0], argv[9]);
	tell(argv[9], "done");
	sleep(WAIT_S);
	return 0;
}
