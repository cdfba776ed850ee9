#include "machine.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* After the system's headers, as it asks. */
#include <cmocka.h>

enum { WAIT_MS = 10000, VNET_HEADER = 10 /* struct virtio_net_hdr */ };

/* The first process of the test's process namespace: reaps everybody, and ends with the tests. */
static int reap(pid_t tests)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, 0);

		if (pid == tests)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		if (pid < 0 && errno != EINTR)
			return 1;
	}
}

static int become_machine(void)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", 0, NULL) < 0 || mount("tmpfs", "/run", "tmpfs", 0, "mode=755") < 0)
		return -errno;
	return 0;
}

/* With a sanitizer in the program: the tests end by _exit(2), which does not look for leaks by itself. */
__attribute__((weak)) int __lsan_do_recoverable_leak_check(void);

static int run_and_look_for_leaks(int (*tests)(void))
{
	int status = tests();

	if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check())
		status = 1;
	return status;
}

static int run_inside(int (*tests)(void))
{
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (become_machine() < 0) {
		printf("SKIP: cannot make namespaces here: %s\n", strerror(errno));
		return 77;
	}
	pid = fork();
	if (pid == 0)
		_exit(run_and_look_for_leaks(tests));
	return reap(pid);
}

/* A process of its own, since whoever unshares its children's process namespace can have none once that has ended. */
static int run_unshared(int (*tests)(void))
{
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWPID) < 0) {
		printf("SKIP: cannot make a process namespace: %s\n", strerror(errno));
		return 77;
	}
	pid = fork();
	if (pid == 0)
		_exit(run_inside(tests));
	return reap(pid);
}

int machine_main(int (*tests)(void))
{
	pid_t pid;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid() != 0) {
		printf("SKIP: needs root\n");
		return 77;
	}
	pid = fork();
	if (pid == 0)
		_exit(run_unshared(tests));
	return reap(pid);
}

__attribute__((format(printf, 1, 0))) static char *run_text(const char *format, va_list args, int *ret_status)
{
	cleanup_free char *command = NULL;
	struct strbuf out = {0};
	char buffer[4096];
	FILE *pipe;
	size_t n;

	assert_true(vasprintf(&command, format, args) >= 0);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	while ((n = fread(buffer, 1, sizeof(buffer), pipe)) > 0)
		strbuf_add_bytes(&out, buffer, n);
	*ret_status = pclose(pipe);
	return strbuf_steal(&out);
}

char *machine_run(const char *format, ...)
{
	va_list args;
	char *text;
	int status;

	va_start(args, format);
	text = run_text(format, args, &status);
	va_end(args);
	return text;
}

bool machine_try(const char *format, ...)
{
	va_list args;
	int status;

	va_start(args, format);
	free(run_text(format, args, &status));
	va_end(args);
	return status == 0;
}

void machine_do(const char *format, ...)
{
	cleanup_free char *text = NULL;
	va_list args;
	int status;

	va_start(args, format);
	text = run_text(format, args, &status);
	va_end(args);
	if (status != 0)
		fail_msg("%s: status %d: %s", format, status, text);
}

int netns_of(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail_msg("no network namespace %s: %s", path, strerror(errno));
	return fd;
}

/* Runs in another namespace: the thread goes there and comes back. */
static int enter(int netns)
{
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	assert_true(home >= 0);
	assert_int_equal(setns(netns, CLONE_NEWNET), 0);
	return home;
}

static void leave(int home)
{
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
}

int socket_in(int netns, int domain, int type, int protocol)
{
	int home = enter(netns), fd = socket(domain, type | SOCK_CLOEXEC, protocol);

	leave(home);
	assert_true(fd >= 0);
	return fd;
}

/* The relay: frames between the two taps of each guest. */

struct relay {
	pthread_t thread;
	pthread_mutex_t mutex;
	int wake;
	bool stop;
	struct pair {
		int a, b;
	} pairs[32];
	size_t count;
};

struct taken {
	int to;
	size_t length; /* of the frame behind this */
};

enum { TAKEN_MAX = 1024 /* more than a tap's queue holds (TUN_READQ_SIZE) */ };

/* What waits in a tap, for another. */
static void take(int from, int to, struct strbuf *taken)
{
	char frame[65536 + VNET_HEADER];

	for (int i = 0; i < TAKEN_MAX; i++) {
		ssize_t length = read(from, frame, sizeof(frame));

		if (length <= 0)
			return;
		strbuf_add_bytes(taken, &(struct taken){to, (size_t)length}, sizeof(struct taken));
		strbuf_add_bytes(taken, frame, (size_t)length);
	}
}

static void put(const struct strbuf *taken, size_t start, size_t end)
{
	while (start < end) {
		struct taken head;
		ssize_t length;

		memcpy(&head, taken->text + start, sizeof(head));
		start += sizeof(head);
		length = write(head.to, taken->text + start, head.length);
		(void)length; /* down, or its queue is full: the frame is lost, as on a cable */
		start += head.length;
	}
}

/*
 * One guest's frames come before those of guests made after it: all that it sent before any of theirs. So the last
 * tap is read first, and written from last: what a test sends before its fence has then been read as well.
 */
static void carry(const struct relay *relay)
{
	size_t starts[2 * (sizeof(relay->pairs) / sizeof(*relay->pairs)) + 1];
	cleanup_strbuf struct strbuf taken = {0};

	for (size_t i = 2 * relay->count; i-- > 0;) {
		const struct pair *pair = &relay->pairs[i / 2];

		starts[i] = taken.length;
		take(i % 2 ? pair->b : pair->a, i % 2 ? pair->a : pair->b, &taken);
	}
	for (size_t i = 0; i < 2 * relay->count; i++)
		put(&taken, starts[i], i == 0 ? taken.length : starts[i - 1]);
}

/* A packet waits at the CPU where it was sent; sent from one alone, they come out in their order. */
static void stay_on_this_cpu(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
}

static void *relay_main(void *arg)
{
	struct relay *relay = arg;
	struct pollfd fds[65];
	uint64_t count;

	stay_on_this_cpu();
	for (;;) {
		size_t n;

		pthread_mutex_lock(&relay->mutex);
		if (relay->stop) {
			pthread_mutex_unlock(&relay->mutex);
			return NULL;
		}
		fds[0] = (struct pollfd){.fd = relay->wake, .events = POLLIN};
		n = relay->count;
		for (size_t i = 0; i < n; i++) {
			fds[1 + 2 * i] = (struct pollfd){.fd = relay->pairs[i].a, .events = POLLIN};
			fds[2 + 2 * i] = (struct pollfd){.fd = relay->pairs[i].b, .events = POLLIN};
		}
		pthread_mutex_unlock(&relay->mutex);
		poll(fds, 1 + 2 * n, -1);
		if (fds[0].revents && read(relay->wake, &count, sizeof(count)) < 0)
			return NULL;
		pthread_mutex_lock(&relay->mutex);
		carry(relay);
		pthread_mutex_unlock(&relay->mutex);
	}
}

static void relay_wake(struct relay *relay)
{
	uint64_t one = 1;

	assert_int_equal(write(relay->wake, &one, sizeof(one)), sizeof(one));
}

static struct relay *relay_new(void)
{
	struct relay *relay = calloc(1, sizeof(*relay));

	assert_non_null(relay);
	pthread_mutex_init(&relay->mutex, NULL);
	relay->wake = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(pthread_create(&relay->thread, NULL, relay_main, relay), 0);
	return relay;
}

static void relay_add(struct relay *relay, int a, int b)
{
	pthread_mutex_lock(&relay->mutex);
	relay->pairs[relay->count++] = (struct pair){a, b};
	pthread_mutex_unlock(&relay->mutex);
	relay_wake(relay);
}

static void relay_remove(struct relay *relay, int a)
{
	pthread_mutex_lock(&relay->mutex);
	for (size_t i = 0; i < relay->count; i++)
		if (relay->pairs[i].a == a) {
			relay->pairs[i] = relay->pairs[--relay->count];
			break;
		}
	pthread_mutex_unlock(&relay->mutex);
	relay_wake(relay);
}

static void relay_free(struct relay *relay)
{
	pthread_mutex_lock(&relay->mutex);
	relay->stop = true;
	pthread_mutex_unlock(&relay->mutex);
	relay_wake(relay);
	pthread_join(relay->thread, NULL);
	close(relay->wake);
	free(relay);
}

/* The machine */

void machine_forward(bool on)
{
	machine_do("echo %d > /proc/sys/net/ipv4/ip_forward; echo %d > /proc/sys/net/ipv6/conf/all/forwarding", on, on);
}

struct machine *machine_new(void)
{
	struct machine *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	machine_do(
		"set -e; ip netns add world; ip link set lo up; ip -n world link set lo up\n"
		"echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad\n" /* eth0 is as it stays at once */
		"ip link add eth0 type veth peer name eth0 netns world\n"
		"ip addr add 203.0.113.2/24 dev eth0; ip addr add 2001:db8::2/64 dev eth0 nodad; ip link set eth0 up\n"
		"ip -n world addr add 203.0.113.1/24 dev eth0; ip -n world addr add 2001:db8::1/64 dev eth0 nodad\n"
		"ip -n world link set eth0 up\n"
		"ip route add default via 203.0.113.1; ip -6 route add default via 2001:db8::1");
	machine_forward(false);
	m->home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	m->world = netns_of("world");
	snprintf(m->run, sizeof(m->run), "/run/test");
	machine_do("rm -rf %s; mkdir -m 700 %s", m->run, m->run);
	m->relay = relay_new();
	return m;
}

void machine_free(struct machine *m)
{
	relay_free(m->relay);
	for (size_t i = 0; i < m->peer_count; i++) {
		struct peer *peer = m->peers[i];

		close(peer->lab_tap);
		close(peer->guest_tap);
		close(peer->netns);
		machine_try("ip netns del g-%s 2>/dev/null", peer->name); /* it may have been made elsewhere */
		free(peer);
	}
	close(m->home);
	close(m->world);
	machine_try("ip link del eth0; ip netns del world; rm -rf %s", m->run);
	free(m);
}

char *machine_picture(const char *interface, const char *lab)
{
	/* Lifetimes and counters run by themselves; guests are the test's own. A name that nothing has stands for none.
	 */
	const char *i = interface[0] ? interface : "-", *l = lab[0] ? lab : "-";

	return machine_run(
		"ip -d addr | awk '/^[0-9]+: / { skip = index($2, \"%s\") == 1 } !skip' | grep -v valid_lft;"
		"{ ip route show table all; ip -6 route show table all; ip rule; ip -6 rule; } | grep -v 'dev %s ';"
		"nft -n list ruleset | awk '$0 == \"table inet nestvisor-%s {\" { skip = 1 } !skip; /^}/ { skip = 0 }';"
		"grep -r . /proc/sys/net 2>/dev/null | grep -v -e '/%s/' -e nf_conntrack_count -e nf_conntrack_buckets "
		"|"
		"  sort; ip netns | awk '$1 !~ /^g-/ && $1 != \"nestvisor-%s\" { print $1 }'",
		i, i, l, i, l);
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

void machine_same(const char *before, const char *after)
{
	cleanup_free char *differences = NULL;

	if (strcmp(before, after) == 0)
		return;
	write_text("/run/before", before);
	write_text("/run/after", after);
	differences = machine_run("diff /run/before /run/after");
	fail_msg("the machine has changed:\n%s", differences);
}

/* Guests */

static int tap_in(int netns, const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int home = enter(netns), fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	strcpy(request.ifr_name, name);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	leave(home);
	return fd;
}

__attribute__((format(printf, 2, 0))) static void peer_command(const struct peer *peer, const char *format,
							       va_list args)
{
	cleanup_free char *text = NULL;
	int home = enter(peer->netns), status;

	text = run_text(format, args, &status);
	leave(home);
	if (status != 0)
		fail_msg("in %s: %s: %s", peer->name, format, text);
}

void peer_do(const struct peer *peer, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	peer_command(peer, format, args);
	va_end(args);
}

static void configure_peer(const struct peer *peer, const struct nic *nic)
{
	const struct network *network = nic->network;
	char ip[IP_TEXT_SIZE], gateway[IP_TEXT_SIZE];

	if (nic->address4.family)
		peer_do(peer, "ip addr add %s/%u dev eth0", ip_format(&nic->address4, ip), network->subnet4.length);
	if (nic->address6.family)
		peer_do(peer, "ip addr add %s/%u dev eth0 nodad", ip_format(&nic->address6, ip),
			network->subnet6.length);
	peer_do(peer, "ip link set eth0 up");
	if (nic->address4.family && nic->index == 0)
		peer_do(peer, "ip route add default via %s", ip_format(&network->gateway4, gateway));
	if (nic->address6.family && nic->index == 0)
		peer_do(peer, "ip -6 route add default via %s", ip_format(&network->gateway6, gateway));
}

static struct peer *peer_with_tap(struct machine *m, const struct nic *nic, int lab_tap, bool configure)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	char netns[32], mac[MAC_TEXT_SIZE];

	assert_non_null(peer);
	/* Two labs may have a guest of the same name. */
	snprintf(peer->name, sizeof(peer->name), "%zu-%.8s", m->peer_count, nic->guest->name);
	snprintf(netns, sizeof(netns), "g-%s", peer->name);
	machine_do("ip netns add %s && ip -n %s link set lo up", netns, netns);
	peer->netns = netns_of(netns);
	memcpy(peer->mac, nic->mac, sizeof(peer->mac));
	peer->lab_tap = lab_tap;
	fcntl(peer->lab_tap, F_SETFL, O_NONBLOCK);
	peer->guest_tap = tap_in(peer->netns, "eth0");
	/* Born with an address of the lab's making, as a virtual machine's card; no waiting for duplicates. */
	peer_do(peer,
		"ip link set eth0 address %s mtu %u; echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad;"
		"echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter; echo 0 > /proc/sys/net/ipv4/conf/eth0/rp_filter",
		mac_format(nic->mac, mac), nic->network->mtu);
	if (configure)
		configure_peer(peer, nic);
	m->peers[m->peer_count++] = peer;
	relay_add(m->relay, peer->lab_tap, peer->guest_tap);
	return peer;
}

struct peer *peer_new_on(struct machine *m, struct net *net, const struct nic *nic, bool configure)
{
	struct error *err = NULL;
	int lab_tap;

	if (net_make_tap(net, nic, 1, &lab_tap, &err) < 0)
		fail_msg("net_make_tap: %s", err->message);
	return peer_with_tap(m, nic, lab_tap, configure);
}

struct peer *peer_new_elsewhere(struct machine *m, const char *machine, const struct nic *nic, bool configure)
{
	const struct network *network = nic->network;
	cleanup_close int netns = netns_of(machine);
	char name[16];
	int lab_tap;

	snprintf(name, sizeof(name), "t%zu", m->peer_count);
	machine_do("set -e; in='ip -n %s'\n"
		   "$in link show %s > /dev/null 2>&1 || { $in link add name %s type bridge stp_state 0\n"
		   "$in link add tunnel%u type vxlan id %u dstport 4789 remote 10.0.0.1 learning\n"
		   "$in link set tunnel%u mtu %u master %s up; $in link set %s mtu %u up; }",
		   machine, network->bridge, network->bridge, network->vni, network->vni, network->vni, network->mtu,
		   network->bridge, network->bridge, network->mtu);
	lab_tap = tap_in(netns, name);
	/* What it forges would have this bridge look for others at its own port. */
	machine_do("ip -n %s link set %s mtu %u master %s up && ip -n %s link set %s type bridge_slave learning off",
		   machine, name, network->mtu, network->bridge, machine, name);
	return peer_with_tap(m, nic, lab_tap, configure);
}

struct peer *peer_new(struct machine *m, struct net *net, const struct guest *guest)
{
	return peer_new_on(m, net, &guest->nics[0], true);
}

void peer_unplug(struct machine *m, struct peer *peer)
{
	relay_remove(m->relay, peer->lab_tap);
	close(peer->lab_tap);
	peer->lab_tap = -1;
}

/* Sockets */

static socklen_t fill(struct sockaddr_storage *ret, int family, const char *address, uint16_t port)
{
	*ret = (struct sockaddr_storage){.ss_family = (sa_family_t)family};
	if (family == AF_INET) {
		struct sockaddr_in *four = (void *)ret;

		four->sin_port = htons(port);
		assert_int_equal(inet_pton(AF_INET, address ? address : "0.0.0.0", &four->sin_addr), 1);
		return sizeof(*four);
	}
	((struct sockaddr_in6 *)ret)->sin6_port = htons(port);
	assert_int_equal(inet_pton(AF_INET6, address ? address : "::", &((struct sockaddr_in6 *)ret)->sin6_addr), 1);
	return sizeof(struct sockaddr_in6);
}

static int family_of(const char *address)
{
	return strchr(address, ':') ? AF_INET6 : AF_INET;
}

static void show(const struct sockaddr_storage *from, char ret[80])
{
	char text[INET6_ADDRSTRLEN];

	if (from->ss_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)from)->sin_addr, text, sizeof(text));
	else
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)from)->sin6_addr, text, sizeof(text));
	snprintf(ret, 80, "%s", text);
}

int udp_bind(int netns, int family, const char *address, uint16_t port)
{
	struct sockaddr_storage at;
	socklen_t length = fill(&at, family, address, port);
	int fd = socket_in(netns, family, SOCK_DGRAM, 0), yes = 1;

	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
	if (bind(fd, (struct sockaddr *)&at, length) < 0)
		fail_msg("cannot bind to %s: %s", address ? address : "any", strerror(errno));
	return fd;
}

int udp_send(int fd, const char *to, uint16_t port, const char *text)
{
	struct sockaddr_storage at;
	socklen_t length = fill(&at, family_of(to), to, port);

	return sendto(fd, text, strlen(text), 0, (struct sockaddr *)&at, length) < 0 ? -errno : 0;
}

static bool wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, WAIT_MS) == 1;
}

static void receive(int fd, const char *text, struct sockaddr_storage *sender, socklen_t *length)
{
	char buffer[2048];
	ssize_t n;

	if (!wait_for(fd, POLLIN))
		fail_msg("\"%s\" did not arrive", text);
	*length = sizeof(*sender);
	n = recvfrom(fd, buffer, sizeof(buffer) - 1, 0, (struct sockaddr *)sender, length);
	assert_true(n >= 0);
	buffer[n] = '\0';
	assert_string_equal(buffer, text);
}

void udp_expect(int fd, const char *text, char from[80])
{
	struct sockaddr_storage sender;
	socklen_t length;

	receive(fd, text, &sender, &length);
	if (from)
		show(&sender, from);
}

void udp_answer(int fd, const char *text, const char *answer, char from[80])
{
	struct sockaddr_storage sender;
	socklen_t length;

	receive(fd, text, &sender, &length);
	show(&sender, from);
	assert_int_equal(sendto(fd, answer, strlen(answer), 0, (struct sockaddr *)&sender, length), strlen(answer));
}

bool udp_silent(int fd)
{
	char buffer[64];

	return recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

bool tcp_open(struct talk *talk, int from, int to, const char *address, uint16_t port)
{
	return tcp_open_by(talk, from, address, port, to, address, port);
}

bool tcp_open_by(struct talk *talk, int from, const char *outside, uint16_t as, int to, const char *address,
		 uint16_t port)
{
	struct sockaddr_storage at, by, seen;
	socklen_t length = fill(&at, family_of(address), address, port), seen_length = sizeof(seen);
	socklen_t by_length = fill(&by, family_of(outside), outside, as);
	int listener = socket_in(to, family_of(address), SOCK_STREAM, 0), yes = 1, problem = 0;
	socklen_t size = sizeof(problem);
	bool connected;

	talk->server = -1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	assert_int_equal(bind(listener, (struct sockaddr *)&at, length), 0);
	assert_int_equal(listen(listener, 1), 0);
	talk->client = socket_in(from, family_of(address), SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (connect(talk->client, (struct sockaddr *)&by, by_length) < 0 && errno != EINPROGRESS)
		problem = errno;
	connected = !problem && wait_for(talk->client, POLLOUT) &&
		    getsockopt(talk->client, SOL_SOCKET, SO_ERROR, &problem, &size) == 0 && !problem;
	if (connected) {
		talk->server = accept4(listener, (struct sockaddr *)&seen, &seen_length, SOCK_CLOEXEC | SOCK_NONBLOCK);
		assert_true(talk->server >= 0);
		show(&seen, talk->seen);
	} else {
		close(talk->client);
		talk->client = -1;
	}
	close(listener);
	return connected;
}

bool tcp_say(int from, int to, const char *text)
{
	char buffer[256];
	ssize_t n;

	if (send(from, text, strlen(text), MSG_NOSIGNAL) < 0 || !wait_for(to, POLLIN))
		return false;
	n = recv(to, buffer, sizeof(buffer) - 1, 0);
	return n == (ssize_t)strlen(text) && memcmp(buffer, text, (size_t)n) == 0;
}

void tcp_close(struct talk *talk)
{
	if (talk->client >= 0)
		close(talk->client);
	if (talk->server >= 0)
		close(talk->server);
	talk->client = talk->server = -1;
}

/* Frames */

uint32_t checksum_add(const void *data, size_t length, uint32_t start)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < length; i++)
		start += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	return start;
}

uint16_t checksum_fold(uint32_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return htons((uint16_t)~total);
}

void frame_send(const struct peer *peer, const void *frame, size_t length)
{
	char buffer[VNET_HEADER + FRAME_SIZE] = {0};

	assert_true(length <= FRAME_SIZE);
	memcpy(buffer + VNET_HEADER, frame, length);
	assert_int_equal(write(peer->lab_tap, buffer, VNET_HEADER + length), (ssize_t)(VNET_HEADER + length));
}

int frame_listen(int netns)
{
	return frame_listen_on(netns, "eth0");
}

int frame_listen_on(int netns, const char *interface)
{
	int fd = socket_in(netns, AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL)), home = enter(netns);
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	leave(home);
	assert_int_equal(ioctl(fd, SIOCGIFINDEX, &request), 0);
	at.sll_ifindex = request.ifr_ifindex;
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

bool frame_seen_before(int fd, const char *text, const char *fence)
{
	bool seen = false;
	char frame[FRAME_SIZE];

	for (;;) {
		struct sockaddr_ll from;
		socklen_t size = sizeof(from);
		ssize_t length;

		if (!wait_for(fd, POLLIN))
			fail_msg("the frame with \"%s\" did not arrive", fence);
		length = recvfrom(fd, frame, sizeof(frame), 0, (struct sockaddr *)&from, &size);
		if (length < 0 || from.sll_pkttype == PACKET_OUTGOING)
			continue;
		if (memmem(frame, (size_t)length, text, strlen(text)))
			seen = true;
		if (memmem(frame, (size_t)length, fence, strlen(fence)))
			return seen;
	}
}
