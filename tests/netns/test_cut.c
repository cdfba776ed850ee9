/*
 * The commands themselves, as an administrator gives them, on a lab whose guests have a lot to say: what is under way
 * when a guest is cut, what its administrators keep, and a hundred cuts and openings with the command killed at any
 * moment. The seed of those moments is printed, and NESTVISOR_TEST_SEED repeats a run.
 *
 * When a packet left the lab is told by the kernel's timestamps (socket(7), SO_TIMESTAMPNS) at the lab's end of the
 * uplink: behind it are queues that a busy machine takes its time with.
 */
#include "dns.h"
#include "machine.h"

#include "base/arena.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "config/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/membarrier.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/tcp.h> /* netinet/tcp.h does not know all of struct tcp_info */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define RUN "/run/nestvisor/cut-test"

enum { ROUNDS = 100, SWITCHES = 10, WORLD_PORT = 7100, PIECE = 1200 };

static const char lab_text[] =
	"{\"lab\": \"cut-test\","
	" \"networks\": {\"lan\": {\"subnet\": [\"192.168.122.0/24\", \"fd00:122::/64\"], \"uplink\": \"nat\", "
	"\"dns\": true}},"
	" \"guests\": {\"a\": {\"nics\": [{\"network\": \"lan\", \"address\": [\"192.168.122.10\", "
	"\"fd00:122::10\"]}]},"
	"  \"b\": {\"nics\": [{\"network\": \"lan\", \"address\": [\"192.168.122.11\", \"fd00:122::11\"]}]}}}";

struct fixture {
	struct machine *m;
	struct lab *lab;
	struct net *net;
	struct peer *a, *b;
	const char *program;
	int seen; /* all that leaves the lab */
	unsigned seed;
};

static long long real_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long long stamp_of(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
			struct timespec at;

			memcpy(&at, CMSG_DATA(c), sizeof(at));
			return at.tv_sec * 1000000000LL + at.tv_nsec;
		}
	return 0;
}

struct sent {
	char bytes[FRAME_SIZE];
	size_t length; /* 0: it came in */
	long long at;
};

static struct sent next_frame(struct fixture *f)
{
	struct sent sent;
	char control[128];
	struct sockaddr_ll from;
	struct iovec part = {sent.bytes, sizeof(sent.bytes)};
	struct msghdr message = {.msg_name = &from,
				 .msg_namelen = sizeof(from),
				 .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(f->seen, &message, MSG_DONTWAIT);

	sent.length = n < 0 || from.sll_pkttype != PACKET_OUTGOING ? 0 : (size_t)n;
	sent.at = n < 0 ? 0 : stamp_of(&message);
	return sent;
}

/* The kernel begins to stamp packets some time after it has been asked to; until then they are stamped when read. */
static void await_stamps(struct fixture *f)
{
	int b = udp_bind(f->b->netns, AF_INET, NULL, 0);
	long long deadline = clock_ms() + 20000, arrived = 0, stamp = 1;

	while (stamp >= arrived) {
		struct pollfd p = {.fd = f->seen, .events = POLLIN};

		assert_true(clock_ms() < deadline);
		udp_send(b, "203.0.113.1", 7201, "stamp");
		if (poll(&p, 1, 1000) < 1)
			continue;
		arrived = real_ns();
		stamp = next_frame(f).at;
	}
	close(b);
}

static int set_up(void **state)
{
	cleanup_problems struct problems problems = {0};
	struct fixture *f = calloc(1, sizeof(*f));
	const char *seed = getenv("NESTVISOR_TEST_SEED");
	int yes = 1, room = 64 << 20; /* for what comes while nobody reads */

	f->program = getenv("NESTVISOR");
	f->seed = seed ? (unsigned)strtoul(seed, NULL, 10) : (unsigned)time(NULL);
	f->m = machine_new();
	machine_forward(true);
	dns_set_upstream(f->m->run, "203.0.113.1");
	machine_do("mkdir -p -m 700 %s /var/lib/nestvisor && mount -t tmpfs none /var/lib/nestvisor && "
		   "mkdir -m 700 /var/lib/nestvisor/cut-test",
		   RUN);
	OK(file_write_atomic(RUN "/lab.json", lab_text, strlen(lab_text), 0600, &problem));
	OK(config_load(RUN "/lab.json", NULL, &problems, &f->lab, &problem));
	OK(net_open(f->lab, RUN, &f->net, &problem));
	OK(net_make_namespace(f->net, &problem));
	OK(net_make_rules(f->net, &problem));
	OK(net_make_uplink(f->net, NULL, &problem));
	OK(net_make_network(f->net, f->lab->networks[0], &problem));
	OK(net_make_dhcp(f->net, f->lab->networks[0], NULL, &problem));
	f->a = peer_new(f->m, f->net, f->lab->guests[0]);
	f->b = peer_new(f->m, f->net, f->lab->guests[1]);
	f->seen = frame_listen_on(net_netns_fd(f->net), "world");
	assert_int_equal(setsockopt(f->seen, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)), 0);
	setsockopt(f->seen, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof(yes));
	await_stamps(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close(f->seen);
	net_close(f->net);
	OK(net_remove_all("cut-test", RUN, &problem));
	machine_do("umount /var/lib/nestvisor; rm -rf %s", RUN);
	dns_unset_upstream();
	lab_free(f->lab);
	machine_free(f->m);
	free(f);
	return 0;
}

/* ─── the command ─── */

struct said {
	int status;	   /* -1: killed */
	long long at;	   /* when it had ended, by the clock of the timestamps, in ns */
	long long settled; /* and no packet from before was on its way any more */
	long long began;
	json_t *answer; /* or NULL */
};

static char *read_all(int fd)
{
	struct strbuf text = {0};
	char buffer[4096];
	ssize_t n;

	strbuf_add(&text, "");
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		strbuf_add_bytes(&text, buffer, (size_t)n);
	return strbuf_steal(&text);
}

/*
 * Waits until each processor is through with what it was at: a packet that met the rules before they were changed may
 * be on its way out on another one, which a machine of which somebody else takes a share may stop for long.
 */
static void settle(void)
{
	assert_int_equal(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0), 0);
}

/* kill_us < 0: it is left alone. */
static struct said run(struct fixture *f, const char *words, long kill_us)
{
	struct said said = {.began = real_ns()};
	cleanup_free char *text = NULL, *copy = strdup(words);
	const char *argv[12] = {f->program};
	int pipes[2], status, count = 1;
	char *rest = copy;
	pid_t pid;

	for (char *word; (word = strsep(&rest, " "));)
		argv[count++] = word;
	argv[count++] = "--json";
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	pid = vfork();
	if (pid == 0) {
		dup2(pipes[1], 1);
		execv(f->program, (char *const *)argv);
		_exit(127);
	}
	close(pipes[1]);
	if (kill_us >= 0) {
		const struct timespec moment = {.tv_nsec = kill_us * 1000};
		struct pollfd p = {.fd = pipes[0], .events = 0};

		ppoll(&p, 1, &moment, NULL); /* a moment, or its end */
		kill(pid, SIGKILL);
	}
	text = read_all(pipes[0]);
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	said.at = real_ns();
	settle();
	said.settled = real_ns();
	said.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	if (said.status >= 0)
		json_parse(text, strlen(text), "answer", &said.answer, NULL);
	return said;
}

/* What must be understood. */
static struct said say(struct fixture *f, const char *words, long kill_us)
{
	struct said said = run(f, words, kill_us);
	cleanup_free char *text = said.answer ? json_text(said.answer) : NULL;

	if (said.status > 0)
		fail_msg("%s: status %d: %s", words, said.status, text ? text : "");
	return said;
}

static bool complete(const struct said *said)
{
	return said->status == 0 && json_is_true(json_object_get(said->answer, "complete"));
}

/* `isolate status` says that it is cut, and that this is in force. */
static bool is_said_cut(struct fixture *f, long long *ret_at)
{
	struct said said = say(f, "isolate status --lab cut-test", -1);
	const json_t *guest = json_array_get(json_object_get(said.answer, "guests"), 0);
	bool cut = strcmp(json_get_string(guest, "world", ""), "cut") == 0 &&
		   json_is_null(json_object_get(guest, "missing_at"));

	*ret_at = said.settled;
	json_decref(said.answer);
	return cut;
}

/* ─── what gets out ─── */

struct seen {
	size_t frames, bytes, late; /* late: bytes after the moment that was asked for */
	long long last;		    /* when the last one came, in ns */
};

/* Reads frames until one has `fence` in it; those with the word are counted. */
static struct seen until(struct fixture *f, const char *word, const char *fence, long long moment)
{
	struct seen seen = {0};

	for (;;) {
		struct pollfd p = {.fd = f->seen, .events = POLLIN};
		struct sent frame;

		if (poll(&p, 1, 20000) < 1)
			fail_msg("\"%s\" did not get out", fence);
		frame = next_frame(f);
		if (memmem(frame.bytes, frame.length, fence, strlen(fence)))
			return seen;
		if (memmem(frame.bytes, frame.length, word, strlen(word))) {
			seen.frames++;
			seen.bytes += frame.length;
			seen.last = frame.at;
			if (frame.at > moment)
				seen.late += frame.length;
		}
	}
}

/* An open guest's datagram, behind all that the other one has sent until then: it has answered its host behind that. */
static struct seen until_now(struct fixture *f, const char *word, long long moment)
{
	static unsigned number;
	int b = udp_bind(f->b->netns, AF_INET, NULL, 0), server = udp_bind(f->a->netns, AF_INET, NULL, 7200);
	int client = udp_bind(net_netns_fd(f->net), AF_INET, NULL, 0);
	struct seen seen;
	char fence[32], from[80];

	assert_int_equal(udp_send(client, "192.168.122.10", 7200, "ask"), 0);
	udp_answer(server, "ask", "tell", from);
	udp_expect(client, "tell", NULL);
	snprintf(fence, sizeof(fence), "FENCE%u.", number++);
	assert_int_equal(udp_send(b, "203.0.113.1", 7201, fence), 0);
	seen = until(f, word, fence, moment);
	close(b);
	close(server);
	close(client);
	return seen;
}

/* ─── who talks all the time ─── */

struct talker {
	struct fixture *f;
	atomic_bool stop;
	pthread_t thread;
	int from, to, netns;
	unsigned long sent, received; /* bytes of a session, in order */
	bool torn;
};

static void talker_start(struct talker *t, void *(*work)(void *))
{
	assert_int_equal(pthread_create(&t->thread, NULL, work, t), 0);
}

static void talker_stop(struct talker *t)
{
	atomic_store(&t->stop, true);
	pthread_join(t->thread, NULL);
}

static void breathe(void)
{
	poll(NULL, 0, 1); /* the pace of it: a thousand a second */
}

static void *datagrams(void *data)
{
	struct talker *t = data;
	int fd = udp_bind(t->netns, AF_INET, NULL, 0);
	char text[PIECE + 1];

	memset(text, '.', sizeof(text));
	memcpy(text, "leak", 4);
	text[PIECE] = '\0';
	for (; !atomic_load(&t->stop); breathe())
		udp_send(fd, "203.0.113.1", WORLD_PORT, text);
	close(fd);
	return NULL;
}

/* New names all the time, as a tunnel has them. */
static void *questions(void *data)
{
	struct talker *t = data;
	int fd = udp_bind(t->netns, AF_INET, NULL, 0);
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(53), .sin_addr = {inet_addr("192.168.122.1")}};

	for (; !atomic_load(&t->stop); breathe()) {
		uint8_t message[DNS_SIZE];
		char name[64];
		size_t length;

		snprintf(name, sizeof(name), "leak%lu.example.org", t->sent++);
		length = dns_question(message, name, false);
		sendto(fd, message, length, 0, (const struct sockaddr *)&to, sizeof(to));
		while (recv(fd, message, sizeof(message), MSG_DONTWAIT) > 0)
			t->received++;
	}
	close(fd);
	return NULL;
}

static void *bulk(void *data)
{
	struct talker *t = data;
	char text[4096];

	memset(text, '.', sizeof(text));
	for (size_t i = 0; i + 4 < sizeof(text); i += 64)
		memcpy(text + i, "leak", 4);
	for (; !atomic_load(&t->stop); breathe())
		if (send(t->from, text, sizeof(text), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
			t->sent++;
	return NULL;
}

static void *swallow(void *data)
{
	struct talker *t = data;
	char text[65536];

	while (!atomic_load(&t->stop)) {
		struct pollfd p = {.fd = t->to, .events = POLLIN};

		if (poll(&p, 1, 10) == 1 && recv(t->to, text, sizeof(text), MSG_DONTWAIT) == 0)
			breathe();
	}
	return NULL;
}

/* A session: pieces of bytes that count up; whoever reads them sees one that is missing. */
static void take(struct talker *t)
{
	uint8_t piece[16384];
	ssize_t n;

	while ((n = recv(t->to, piece, sizeof(piece), MSG_DONTWAIT)) > 0)
		for (ssize_t i = 0; i < n; i++)
			t->torn |= piece[i] != (uint8_t)t->received++;
	t->torn |= n == 0 || (n < 0 && errno != EAGAIN);
}

static void *session(void *data)
{
	struct talker *t = data;
	size_t size = t->netns ? 4000 : 40; /* a screen, or a key */

	while (!atomic_load(&t->stop)) {
		uint8_t piece[4000];
		ssize_t n;

		for (size_t i = 0; i < size; i++)
			piece[i] = (uint8_t)(t->sent + i);
		n = send(t->from, piece, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			t->sent += (unsigned long)n;
		else
			t->torn |= errno != EAGAIN;
		take(t);
		breathe();
	}
	return NULL;
}

/* All that was sent has come, in its order. */
static void session_ends(struct talker *t)
{
	long long deadline = clock_ms() + 20000;

	talker_stop(t);
	while (t->received < t->sent && clock_ms() < deadline) {
		struct pollfd p = {.fd = t->to, .events = POLLIN};

		poll(&p, 1, 100);
		take(t);
	}
	assert_false(t->torn);
	assert_int_equal(t->received, t->sent);
}

/*
 * Segments that were sent again because they were lost. What a busy machine is late with is sent again as well, but
 * then the receiver says that it had it already (RFC 2883), and it is not counted.
 */
static long lost_segments(int fd)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	assert_true(size > offsetof(struct tcp_info, tcpi_dsack_dups));
	return (long)info.tcpi_total_retrans - (long)info.tcpi_dsack_dups;
}

/* ─── when the kernel changed the rules ─── */

struct moment {
	int fd;
	_Atomic long long at;
	pthread_t thread;
	atomic_bool stop;
};

static void *watch_rules(void *data)
{
	struct moment *m = data;
	char buffer[65536];

	while (!atomic_load(&m->stop)) {
		struct pollfd p = {.fd = m->fd, .events = POLLIN};

		if (poll(&p, 1, 50) == 1 && recv(m->fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
			atomic_store(&m->at, real_ns());
	}
	return NULL;
}

static void moment_start(struct moment *m, int netns)
{
	struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_groups = 1 << (NFNLGRP_NFTABLES - 1)};

	m->fd = socket_in(netns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	assert_int_equal(bind(m->fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(pthread_create(&m->thread, NULL, watch_rules, m), 0);
}

static long long moment_stop(struct moment *m)
{
	atomic_store(&m->stop, true);
	pthread_join(m->thread, NULL);
	close(m->fd);
	return atomic_load(&m->at);
}

/* ─── tests ─── */

/* One flow of each kind, until it is cut: `word` is in all that it sends. */
static void stops(struct fixture *f, const char *what)
{
	struct moment moment = {0};
	struct said said;
	struct seen seen;

	until(f, "", "leak", 0); /* it runs */
	moment_start(&moment, net_netns_fd(f->net));
	said = say(f, "cut a --lab cut-test --no-verify", -1);
	assert_true(complete(&said));
	seen = until_now(f, "leak", said.settled);
	printf("%s: the command took %.1f ms, the kernel %.2f ms of it; %zu bytes got out meanwhile, the last of them "
	       "%.2f ms after the rules were changed and %.1f ms before it was reported\n",
	       what, (double)(said.at - said.began) / 1e6,
	       json_number_value(json_object_get(said.answer, "transaction_ms")), seen.bytes,
	       seen.last ? (double)(seen.last - moment_stop(&moment)) / 1e6 : (moment_stop(&moment), 0.0),
	       seen.last ? (double)(said.at - seen.last) / 1e6 : 0.0);
	assert_int_equal(seen.late, 0);
	/* And nothing more as long as it tries. */
	for (int i = 0; i < 3; i++) {
		seen = until_now(f, "leak", 0);
		assert_int_equal(seen.bytes, 0);
	}
	json_decref(said.answer);
}

static void opens(struct fixture *f)
{
	struct said said = say(f, "open a --lab cut-test --no-verify", -1);
	int server = udp_bind(f->m->world, AF_INET, NULL, 7300), client = udp_bind(f->a->netns, AF_INET, NULL, 0);

	assert_true(complete(&said));
	assert_int_equal(udp_send(client, "203.0.113.1", 7300, "first"), 0); /* the very first one */
	udp_expect(server, "first", NULL);
	close(server);
	close(client);
	json_decref(said.answer);
}

/* What two commands cost the sessions, from beginning to end. */
static void add_losses(struct fixture *f, const char *const words[2], const int sessions[2], long losses[2])
{
	long before[2];

	for (size_t i = 0; i < 2; i++)
		before[i] = lost_segments(sessions[i]);
	for (size_t i = 0; i < 2; i++) {
		struct said said = say(f, words[i], -1);

		until_now(f, "leak", 0);
		json_decref(said.answer);
	}
	for (size_t i = 0; i < 2; i++)
		losses[i] += lost_segments(sessions[i]) - before[i];
}

/*
 * A cut may cost a session one segment, and no more. How many a machine as busy as this loses by itself is told by as
 * many commands that change nothing, in turns.
 */
static void sessions_lose_nothing(struct fixture *f, const int sessions[2])
{
	static const char *const nothing[] = {"isolate status --lab cut-test", "isolate status --lab cut-test"},
				 *const switching[] = {"cut a --lab cut-test --no-verify",
						       "open a --lab cut-test --no-verify"};
	long control[2] = {0}, losses[2] = {0};

	for (int i = 0; i < SWITCHES; i++) {
		add_losses(f, nothing, sessions, control);
		add_losses(f, switching, sessions, losses);
	}
	printf("%d cuts and openings: two sessions of administrators had to send %ld and %ld segments again, and %ld "
	       "and "
	       "%ld while nothing was switched\n",
	       SWITCHES, losses[0], losses[1], control[0], control[1]);
	for (size_t i = 0; i < 2; i++)
		assert_true(losses[i] <= control[i] + SWITCHES);
}

static void flows_stop_and_sessions_go_on(void **state)
{
	struct fixture *f = *state;
	struct talk ssh, rdp, out;
	struct talker keys, screens, load, sink;
	int small = 65536;

	/* Two sessions from the machine's lab to the guest: one of single keys, one of screens, both ways each. */
	assert_true(tcp_open(&ssh, net_netns_fd(f->net), f->a->netns, "192.168.122.10", 22));
	assert_true(tcp_open(&rdp, net_netns_fd(f->net), f->a->netns, "fd00:122::10", 3389));
	keys = (struct talker){.from = ssh.client, .to = ssh.server};
	screens = (struct talker){.from = rdp.server, .to = rdp.client, .netns = 1};
	talker_start(&keys, session);
	talker_start(&screens, session);

	load = (struct talker){.netns = f->a->netns};
	talker_start(&load, datagrams);
	stops(f, "UDP");
	opens(f);
	sessions_lose_nothing(f, (const int[]){ssh.client, rdp.server});
	talker_stop(&load);

	load = (struct talker){.netns = f->a->netns};
	talker_start(&load, questions);
	stops(f, "DNS tunnel");
	opens(f);
	talker_stop(&load);

	assert_true(tcp_open(&out, f->a->netns, f->m->world, "203.0.113.1", WORLD_PORT));
	setsockopt(out.client, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	load = (struct talker){.from = out.client};
	sink = (struct talker){.to = out.server};
	talker_start(&load, bulk);
	talker_start(&sink, swallow);
	stops(f, "TCP");
	opens(f);
	talker_stop(&load);
	talker_stop(&sink);
	tcp_close(&out);

	session_ends(&keys);
	session_ends(&screens);
	printf("sessions of administrators: %lu and %lu bytes, none lost\n", keys.sent, screens.sent);
	tcp_close(&ssh);
	tcp_close(&rdp);
}

/* What is reported to be cut is cut, whatever has become of those who said so before. */
static void never_open_when_reported_cut(void **state)
{
	struct fixture *f = *state;
	struct talker load = {.netns = f->a->netns}, names = {.netns = f->a->netns};
	unsigned killed = 0, reported = 0, left = 0;

	printf("NESTVISOR_TEST_SEED=%u\n", f->seed);
	srand(f->seed);
	talker_start(&load, datagrams);
	talker_start(&names, questions);
	until(f, "", "leak", 0);
	for (int i = 0; i < ROUNDS; i++) {
		bool kill_it = rand() % 2;
		struct said said = say(f, "cut a --lab cut-test --no-verify", kill_it ? rand() % 8000 : -1);
		long long at = said.settled;
		bool cut = complete(&said);

		killed += said.status == -1;
		if (!cut)
			left += cut = is_said_cut(f, &at);
		if (cut) {
			reported++;
			assert_int_equal(until_now(f, "leak", at).late, 0);
			assert_int_equal(until_now(f, "leak", 0).bytes, 0);
		}
		json_decref(said.answer);
		/* Opened, or killed while that is done; then what is said to be cut is, too. */
		said = say(f, "open a --lab cut-test --no-verify", rand() % 3 ? -1 : rand() % 8000);
		killed += said.status == -1;
		if (complete(&said))
			until(f, "", "leak", 0);
		else if (is_said_cut(f, &at))
			assert_int_equal(until_now(f, "leak", at).late, 0);
		json_decref(said.answer);
	}
	talker_stop(&load);
	talker_stop(&names);
	printf("%d rounds, %u commands killed; reported cut %u times, %u of them by `isolate status` after a kill\n",
	       ROUNDS, killed, reported, left);
	assert_true(reported >= ROUNDS / 3 && killed >= ROUNDS / 10);
}

static void must_end_with(struct fixture *f, int status, const char *words)
{
	struct said said = run(f, words, -1);

	if (said.status != status)
		fail_msg("%s: status %d instead of %d", words, said.status, status);
	json_decref(said.answer);
}

static bool leaks(struct fixture *f)
{
	int fd = udp_bind(f->a->netns, AF_INET, NULL, 0);
	struct seen seen;

	assert_int_equal(udp_send(fd, "203.0.113.1", WORLD_PORT, "leak"), 0);
	seen = until_now(f, "leak", 0);
	close(fd);
	return seen.bytes > 0;
}

#define INSIDE "nsenter --net=/run/netns/nestvisor-cut-test "

static void what_is_not_there(void **state)
{
	struct fixture *f = *state;

	must_end_with(f, 2, "cut nobody --lab cut-test --no-verify");
	must_end_with(f, 2, "cut a nobody --lab cut-test --no-verify");
	assert_true(leaks(f)); /* all or none */
	must_end_with(f, 2, "cut --lab cut-test --no-verify");
	must_end_with(f, 2, "cut a --lab other --no-verify");
	must_end_with(f, 2, "cut a --lab cut-test --allow nowhere.invalid --no-verify");
	must_end_with(f, 2, "cut --tag none --lab cut-test --no-verify");
	assert_true(leaks(f));
}

/* Somebody else's flush is seen, and mended by the next command that says anything of isolation. */
static void rules_that_somebody_flushed(void **state)
{
	struct fixture *f = *state;
	long long at;

	must_end_with(f, 0, "cut a --lab cut-test --no-verify");
	assert_true(is_said_cut(f, &at));
	assert_false(leaks(f));
	machine_do(INSIDE "nft flush ruleset");
	assert_false(is_said_cut(f, &at));
	must_end_with(f, 0, "cut a --lab cut-test --no-verify");
	assert_true(is_said_cut(f, &at));
	assert_false(leaks(f));
	machine_do(INSIDE "nft delete element bridge nestvisor tap_from '{ \"a-0\" }'");
	assert_false(is_said_cut(f, &at));
	must_end_with(f, 0, "cut b --lab cut-test --no-verify"); /* whatever is said */
	assert_true(is_said_cut(f, &at));
	must_end_with(f, 0, "open b --lab cut-test --no-verify");
	assert_false(leaks(f));
}

/* Who accepts before decides nothing; who drops behind, drops; both are noticed, and neither lets the cut out. */
static void tables_of_others(void **state)
{
	struct fixture *f = *state;
	struct talk admin;
	long long at;

	must_end_with(f, 0, "cut a --lab cut-test --no-verify");
	machine_do(INSIDE "nft 'table inet foreign { chain p { type filter hook prerouting priority -500; accept; }; "
			  "chain f { type filter hook forward priority -500; accept; }; "
			  "chain o { type filter hook output priority -500; accept; }; }; "
			  "table bridge foreign { chain p { type filter hook prerouting priority -500; accept; }; "
			  "chain f { type filter hook forward priority -500; accept; }; }'");
	assert_false(leaks(f));
	assert_false(is_said_cut(f, &at)); /* it is not known what they do */
	must_end_with(f, 0, "cut a --lab cut-test --no-verify");
	assert_true(is_said_cut(f, &at)); /* rules of ours stand again, beside them */
	assert_false(leaks(f));
	machine_do(INSIDE "nft 'delete table inet foreign; delete table bridge foreign; "
			  "table inet foreign { chain f { type filter hook forward priority 500; policy drop; }; }'");
	assert_false(is_said_cut(f, &at));
	assert_true(tcp_open(&admin, net_netns_fd(f->net), f->a->netns, "192.168.122.10", 22)); /* not forwarded */
	tcp_close(&admin);
	machine_do(INSIDE "nft delete table inet foreign");
	must_end_with(f, 0, "open a --lab cut-test --no-verify");
	assert_true(leaks(f));
}

/* The namespace goes, as with a reboot: what was said stays, and stands before anybody has a cable again. */
static void a_cut_outlives_the_network(void **state)
{
	struct fixture *f = *state;
	long long at;

	must_end_with(f, 0, "cut a --lab cut-test --no-verify");
	machine_do("ip netns del nestvisor-cut-test");
	must_end_with(f, 0, "cut b --lab cut-test --no-verify"); /* nothing runs: it is kept for the start */
	{
		struct said said = say(f, "isolate status --lab cut-test", -1);
		const json_t *guests = json_object_get(said.answer, "guests");

		for (size_t i = 0; i < 2; i++)
			assert_string_equal(json_get_string(json_array_get(guests, i), "world", ""), "cut");
		json_decref(said.answer);
	}
	assert_false(is_said_cut(f, &at));
}

/* The machine goes down while a change is written down: what was called done before it is what holds. */
static void a_change_that_was_not_written_out(void **state)
{
	static const char file[] = "/var/lib/nestvisor/cut-test/isolation.next";
	struct fixture *f = *state;
	long long at;

	must_end_with(f, 0, "cut a --lab cut-test --no-verify");
	machine_do("! test -e %s && head -c 60 /var/lib/nestvisor/cut-test/isolation.json > %s", file, file);
	assert_true(is_said_cut(f, &at));
	must_end_with(f, 0, "open b --lab cut-test --no-verify");
	assert_true(is_said_cut(f, &at));
	machine_do("! test -e %s", file);
	/* The command was killed before it waited for the disk, and the machine goes on. */
	must_end_with(f, 0, "open a --lab cut-test --no-verify");
	machine_do("cp /var/lib/nestvisor/cut-test/isolation.json %s", file);
	must_end_with(f, 0, "cut a --lab cut-test --no-verify");
	machine_do("! test -e %s && cp /var/lib/nestvisor/cut-test/isolation.json %s && "
		   "echo '{}' > /var/lib/nestvisor/cut-test/isolation.json",
		   file, file);
	assert_true(is_said_cut(f, &at));
	assert_false(leaks(f));
	/* Whoever begins a change keeps what was found before he writes anything, and be it nothing. */
	must_end_with(f, 1, "cut b --method nwfilter --lab cut-test --no-verify");
	machine_do("! test -e %s && grep -q cut /var/lib/nestvisor/cut-test/isolation.json", file);
	assert_true(is_said_cut(f, &at));
	/* What cannot be understood is named, and which of the two files it is. */
	machine_do("echo '[]' > %s", file);
	{
		struct said said = run(f, "isolate status --lab cut-test", -1);

		assert_non_null(strstr(json_get_string(json_object_get(said.answer, "error"), "hint", ""), file));
		json_decref(said.answer);
	}
	machine_do("rm %s", file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		TEST(flows_stop_and_sessions_go_on),
		TEST(never_open_when_reported_cut),
		TEST(what_is_not_there),
		TEST(rules_that_somebody_flushed),
		TEST(tables_of_others),
		TEST(a_cut_outlives_the_network),
		TEST(a_change_that_was_not_written_out),
	};

	if (!getenv("NESTVISOR")) {
		printf("SKIP: NESTVISOR does not say which program is to be tested\n");
		return 77;
	}
	if (!dns_installed()) {
		printf("SKIP: dnsmasq is not installed (package dnsmasq-base)\n");
		return 77;
	}
	return cmocka_run_group_tests_name("cut", all, NULL, NULL);
}

int main(void)
{
	return machine_main(tests);
}
