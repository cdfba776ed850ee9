/*
 * bench_switch NESTVISOR: what cutting costs at L0, on a machine of its own (tests/lib/machine). Of a lab of 200 guests
 * the network stands, with the rules; the guests themselves are not needed for it. Prints figures, asserts none.
 *
 *   switching   the whole process of `nestvisor cut` and `open` of one guest and of 200 at once, and the transaction:
 * on the machine as it is, and ahead of all that others do there (SCHED_FIFO), as on one that is idle per packet  a
 * stream between two guests of different networks, through both tables: with all rules, with those of two guests, and
 * without; in turns, for the machine is not quiet. Two measures: what a packet costs one thread that sends and
 * receives, and a stream of TCP between two processes
 */
#include "apply/folders.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/nftables.h"
#include "base/process.h"
#include "base/strbuf.h"
#include "config/config.h"
#include "model/isolation.h"
#include "net/net.h"
#include "net/rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GUESTS = 200, RUNS = 50, TURNS = 31, SLICE_MS = 100, PORT = 5001, FLOWS = 20 };

static void die(const char *what, struct error *err)
{
	fprintf(stderr, "%s: %s\n", what, err ? err->message : strerror(errno));
	exit(1);
}

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
	char command[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command) != 0)
		die(command, NULL);
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* What the children that have ended had of the processors: the same however busy these are. */
static double children_ms(void)
{
	struct rusage usage;

	getrusage(RUSAGE_CHILDREN, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static const char *spread(double *values, size_t count, char text[80])
{
	qsort(values, count, sizeof(*values), compare);
	snprintf(text, 80, "%.2f (%.2f, %.2f)", values[count / 2], values[count / 4], values[3 * count / 4]);
	return text;
}

/* Half of the guests on each of two networks. */
static struct lab *make_lab(size_t guests)
{
	cleanup_strbuf struct strbuf text = {0};
	cleanup_problems struct problems problems = {0};
	struct error *err = NULL;
	struct lab *lab = NULL;

	strbuf_add(&text, "lab: switch\ncpu-overcommit: 100\nnetworks:\n  one: {subnet: 10.80.0.0/24}\n"
			  "  two: {subnet: 10.81.0.0/24}\nguests:\n");
	for (size_t i = 0; i < guests; i++)
		strbuf_printf(&text, "  g%zu: {nics: [{network: %s, address: 10.%d.0.%zu}]}\n", i,
			      i % 2 ? "two" : "one", i % 2 ? 81 : 80, i / 2 + 2);
	if (config_load_text("switch.nest.yaml", text.text, text.length, NULL, &problems, &lab, &err) < 0)
		die(problems.count ? problems.items[0].message : "lab", err);
	return lab;
}

/* What `up` leaves of a lab, as far as its network goes. */
static struct net *stand(const struct lab *lab)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_json json_t *json = config_part(lab, lab->root);
	struct folders folders;
	struct error *err = NULL;
	struct net *net;

	if (folders_of(arena, lab->name, &folders, &err) < 0 || folders_make(&folders, &err) < 0 ||
	    json_write_file_in_order(folders.lab_file, json, &err) < 0 || net_open(lab, folders.run, &net, &err) < 0 ||
	    net_make_namespace(net, &err) < 0 || net_make_rules(net, &err) < 0 ||
	    net_make_uplink(net, NULL, &err) < 0 || net_make_publish(net, NULL, &err) < 0)
		die("network", err);
	for (size_t i = 0; i < lab->network_count; i++)
		if (net_make_network(net, lab->networks[i], &err) < 0)
			die("network", err);
	return net;
}

/* ─── switching ─── */

static int socket_in(const char *netns, int type)
{
	char path[64];
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), other, fd;

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	other = open(path, O_RDONLY | O_CLOEXEC);
	if (other < 0 || setns(other, CLONE_NEWNET) < 0)
		die(path, NULL);
	fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (fd < 0 || setns(home, CLONE_NEWNET) < 0)
		die("socket", NULL);
	close(home);
	close(other);
	return fd;
}

struct figures {
	double whole[RUNS], cpu[RUNS], here[RUNS], transaction[RUNS];
};

/* Ahead of all others, for as long as a switch takes; the children inherit it. */
static void be_first(bool first)
{
	const struct sched_param param = {.sched_priority = first ? 1 : 0};

	if (sched_setscheduler(0, first ? SCHED_FIFO : SCHED_OTHER, &param) < 0)
		die("sched_setscheduler", NULL);
}

static void switch_once(const char *nestvisor, const char *word, const char *const *guests, struct figures *figures,
			size_t run)
{
	const char *argv[16] = {nestvisor, word, "--json", "--no-verify", "--lab", "switch"};
	const struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};
	cleanup_output struct process_output output = {0};
	cleanup_json json_t *answer = NULL;
	struct error *err = NULL;
	double start, cpu = children_ms();

	for (size_t i = 0; guests[i]; i++)
		argv[6 + i] = guests[i];
	start = now_ms();
	if (process_run(&spec, NULL, 0, -1, NULL, &output, &err) < 0 || output.status != 0)
		die(output.err ? output.err : word, err);
	figures->whole[run] = now_ms() - start;
	figures->cpu[run] = children_ms() - cpu;
	if (json_parse(output.out, output.out_length, "answer", &answer, &err) < 0)
		die(word, err);
	/* Otherwise it is not a transaction of elements that was measured. */
	if (json_is_true(json_object_get(answer, "reloaded")) || json_get_integer(answer, "elements", 0) == 0)
		die("the rules were loaded anew", NULL);
	figures->transaction[run] = json_real_value(json_object_get(answer, "transaction_ms"));
	figures->here[run] =
		json_real_value(json_object_get(json_array_get(json_object_get(answer, "layers"), 0), "ms"));
}

static void print_figures(const char *name, const char *word, const char *target, struct figures *figures)
{
	char texts[4][80];

	printf("%s, %s: whole process %s ms%s, of which on a processor %s; in force after %s ms; the transaction %s "
	       "ms\n",
	       word, name, spread(figures->whole, RUNS, texts[0]), target, spread(figures->cpu, RUNS, texts[1]),
	       spread(figures->here, RUNS, texts[2]), spread(figures->transaction, RUNS, texts[3]));
	fflush(stdout);
}

/* The guest that talks has something to lose each time. */
static void start_flows(size_t count)
{
	struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("203.0.113.1")};
	int fd = socket_in("g0", SOCK_DGRAM);

	for (size_t i = 0; i < count; i++) {
		where.sin_port = htons((uint16_t)(PORT + i));
		sendto(fd, "x", 1, 0, (struct sockaddr *)&where, sizeof(where));
	}
	close(fd);
}

static void switch_guests(const char *nestvisor, const char *name, const char *const *guests, const char *target)
{
	static struct figures cut, open;

	for (int first = 0; first < 2; first++) {
		char title[128];

		for (size_t i = 0; i < RUNS; i++) {
			start_flows(FLOWS);
			be_first(first);
			switch_once(nestvisor, "cut", guests, &cut, i);
			switch_once(nestvisor, "open", guests, &open, i);
			be_first(false);
		}
		snprintf(title, sizeof(title), "%s%s", name, first ? ", ahead of others" : "");
		print_figures(title, "cut", target, &cut);
		print_figures(title, "open", "", &open);
	}
}

/* A process of this program's size that does nothing: what of the above is not nestvisor's to mend. */
static void measure_start(const char *nestvisor)
{
	const char *const argv[] = {nestvisor, "version", NULL};
	double whole[RUNS];
	char text[80];

	for (size_t i = 0; i < RUNS; i++) {
		const struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};
		cleanup_output struct process_output output = {0};
		double start = now_ms();

		process_run(&spec, NULL, 0, -1, NULL, &output, NULL);
		whole[i] = now_ms() - start;
	}
	printf("for comparison, `nestvisor version`: whole process %s ms\n", spread(whole, RUNS, text));
	fflush(stdout);
}

/* ─── per packet ─── */

/* A guest is a namespace with a veth whose outer end has the tap's name: rules know taps by their names. */
static void plug(const struct lab *lab, const char *name)
{
	const struct nic *nic = &lab_find_guest(lab, name)->nics[0];
	char address[IP_TEXT_SIZE], gateway[IP_TEXT_SIZE], mac[MAC_TEXT_SIZE];

	shell("ip netns add %s && ip link add %s netns nestvisor-switch type veth peer name eth0 netns %s", name,
	      nic->tap, name);
	shell("ip -n nestvisor-switch link set %s master %s up", nic->tap, nic->network->bridge);
	shell("ip -n %s link set eth0 address %s up && ip -n %s addr add %s/24 dev eth0 && ip -n %s route add default "
	      "via %s",
	      name, mac_format(nic->mac, mac), name, ip_format(&nic->address4, address), name,
	      ip_format(&nic->network->gateway4, gateway));
}

static struct sockaddr_in at(const char *address)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	inet_pton(AF_INET, address, &a.sin_addr);
	return a;
}

/*
 * Packets of one length from one guest to the other, sent and received in turns by one thread, so that the time is
 * what a packet costs and not how two threads find together on busy processors.
 */
static double packets_per_ms(int from, int to)
{
	struct mmsghdr messages[32] = {0};
	char payload[64] = "x", room[32][128];
	struct iovec in[32], out = {.iov_base = payload, .iov_len = sizeof(payload)};
	double start, used;
	size_t packets = 0;
	struct timespec cpu;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	start = (double)cpu.tv_sec * 1e3 + (double)cpu.tv_nsec / 1e6;
	do {
		for (size_t i = 0; i < 32; i++)
			messages[i].msg_hdr = (struct msghdr){.msg_iov = &out, .msg_iovlen = 1};
		sendmmsg(from, messages, 32, 0);
		for (size_t i = 0; i < 32; i++) {
			in[i] = (struct iovec){.iov_base = room[i], .iov_len = sizeof(room[i])};
			messages[i].msg_hdr = (struct msghdr){.msg_iov = &in[i], .msg_iovlen = 1};
		}
		for (size_t got = 0; got < 32;) {
			int n = recvmmsg(to, messages, (unsigned)(32 - got), MSG_WAITFORONE, NULL);

			if (n <= 0) /* lost: the backlog of a busy processor is full */
				break;
			got += (size_t)n;
			packets += (size_t)n;
		}
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
		used = (double)cpu.tv_sec * 1e3 + (double)cpu.tv_nsec / 1e6 - start;
	} while (used < SLICE_MS);
	return (double)packets / used;
}

/* A receiver of its own process; the sender's time is the wall's. In MB/s. */
static double stream_rate(const char *from, const char *to, const char *address)
{
	static char block[1 << 18];
	struct sockaddr_in where = at(address);
	int listener = socket_in(to, SOCK_STREAM), fd = socket_in(from, SOCK_STREAM), on = 1;
	double start, bytes = 0;
	pid_t child;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&where, sizeof(where)) < 0 || listen(listener, 1) < 0)
		die("listen", NULL);
	child = fork();
	if (child == 0) {
		int peer;

		close(fd);
		peer = accept(listener, NULL, NULL);

		while (read(peer, block, sizeof(block)) > 0)
			;
		_exit(0);
	}
	if (connect(fd, (struct sockaddr *)&where, sizeof(where)) < 0)
		die("connect", NULL);
	start = now_ms();
	while (now_ms() - start < SLICE_MS)
		bytes += (double)write(fd, block, sizeof(block));
	close(fd);
	waitpid(child, NULL, 0);
	bytes /= now_ms() - start;
	close(listener);
	return bytes / 1e3;
}

/* One that is there all the time, so that there are flows to be looked through. */
static void start_flow(void)
{
	struct sockaddr_in where = at("10.81.0.2");
	int fd = socket_in("g0", SOCK_DGRAM);

	for (size_t i = 0; i < 100; i++) /* until the neighbours know each other */
		sendto(fd, "x", 1, 0, (struct sockaddr *)&where, sizeof(where));
	close(fd);
}

static void load(int netns, const char *rules)
{
	cleanup_nftables struct nftables nft = NFTABLES_CLOSED;
	struct error *err = NULL;

	if (nftables_open(netns, 0, &nft, &err) < 0 || nftables_run(&nft, "flush ruleset", NULL, &err) < 0 ||
	    nftables_run(&nft, rules, NULL, &err) < 0)
		die("rules", err);
}

/* Those of a lab of which all but the two guests that talk are cut: the sets of who is cut are full, too. */
static char *rules_of(size_t guests)
{
	struct lab *lab = make_lab(guests);
	struct isolation *isolation = isolation_new(lab);
	struct strbuf text = {0};

	for (size_t i = 2; i < guests; i++)
		isolation_set(isolation, lab->guests[i], &(struct isolation_setting){.world = WORLD_CUT});
	rules_format(isolation, NULL, 0, &text);
	isolation_free(isolation);
	lab_free(lab);
	return strbuf_steal(&text);
}

/*
 * Connection tracking alone, which any firewall that knows answers from questions has: what the lab's rules cost
 * besides.
 */
static const char tracking[] = "table inet t {\n\tchain f {\n\t\ttype filter hook forward priority 0; policy accept;\n"
			       "\t\tct state established,related accept\n\t}\n}\n";

/* The lab's own tables with connection tracking, hooked in where they are, and nothing in them. */
static const char empty[] = "table inet t {\n"
			    "\tchain p {\n\t\ttype filter hook prerouting priority -150; policy accept;\n\t}\n"
			    "\tchain n {\n\t\ttype nat hook prerouting priority -100; policy accept;\n\t}\n"
			    "\tchain m {\n\t\ttype nat hook prerouting priority -100; policy accept;\n\t}\n"
			    "\tchain i {\n\t\ttype filter hook input priority 0; policy accept;\n\t}\n"
			    "\tchain o {\n\t\ttype filter hook output priority 0; policy accept;\n\t}\n"
			    "\tchain q {\n\t\ttype nat hook postrouting priority 100; policy accept;\n\t}\n"
			    "\tchain f {\n\t\ttype filter hook forward priority 0; policy accept;\n"
			    "\t\tct state established,related accept\n\t}\n}\n"
			    "table bridge t {\n"
			    "\tchain p {\n\t\ttype filter hook prerouting priority -300; policy accept;\n\t}\n"
			    "\tchain f {\n\t\ttype filter hook forward priority -300; policy accept;\n\t}\n"
			    "\tchain o {\n\t\ttype filter hook output priority -300; policy accept;\n\t}\n}\n";

static void measure_packets(int netns)
{
	cleanup_free char *all = rules_of(GUESTS), *two = rules_of(2);
	const struct {
		const char *name, *rules;
	} sets[] = {{"no rules", ""},
		    {"ct state alone", tracking},
		    {"empty tables", empty},
		    {"2 guests", two},
		    {"200 guests", all}};
	enum { EMPTY = 2 };
	enum { SETS = sizeof(sets) / sizeof(*sets) };
	double rates[SETS][TURNS], streams[SETS][TURNS];
	struct sockaddr_in where = at("10.81.0.2");
	const struct timeval patience = {.tv_usec = 200000};
	int from = socket_in("g0", SOCK_DGRAM), to = socket_in("g1", SOCK_DGRAM);
	char text[80];

	setsockopt(to, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (bind(to, (struct sockaddr *)&where, sizeof(where)) < 0 ||
	    connect(from, (struct sockaddr *)&where, sizeof(where)) < 0)
		die("udp", NULL);
	for (size_t turn = 0; turn < TURNS; turn++)
		for (size_t i = 0; i < SETS; i++) {
			size_t set = (i + turn) % SETS; /* no set always comes after the same one */

			load(netns, sets[set].rules);
			be_first(true);
			packets_per_ms(from, to);
			rates[set][turn] = packets_per_ms(from, to);
			streams[set][turn] = stream_rate("g0", "g1", "10.81.0.2");
			be_first(false);
		}
	for (size_t set = 0; set < SETS; set++) {
		double ratio[TURNS], stream_ratio[TURNS], tracked[TURNS];
		char texts[4][80];

		for (size_t turn = 0; turn < TURNS; turn++) {
			ratio[turn] = 1e6 / rates[set][turn] - 1e6 / rates[0][turn];
			tracked[turn] = 100 * streams[set][turn] / streams[EMPTY][turn];
			stream_ratio[turn] = 100 * streams[set][turn] / streams[0][turn];
		}
		printf("per packet, %s: %s ns more than without rules; a TCP stream %s %% of that without rules, "
		       "%s %% of that with empty tables, %s MB/s\n",
		       sets[set].name, spread(ratio, TURNS, texts[0]), spread(stream_ratio, TURNS, texts[1]),
		       spread(tracked, TURNS, texts[2]), spread(streams[set], TURNS, text));
	}
	close(from);
	close(to);
}

static struct net *begin(struct lab *lab)
{
	struct net *net = stand(lab);

	plug(lab, "g0");
	plug(lab, "g1");
	start_flow();
	return net;
}

static void end(struct lab *lab, struct net *net)
{
	struct error *err = NULL;

	shell("ip netns del g0 && ip netns del g1");
	net_close(net);
	if (net_remove_all("switch", "/run/nestvisor/switch", &err) < 0)
		die("down", err);
	lab_free(lab);
	shell("rm -r /run/nestvisor/switch /var/lib/nestvisor/switch");
}

int main(int argc, char **argv)
{
	const char *const one[] = {"g0", NULL}, *const all[] = {"--all", NULL};
	struct lab *lab = make_lab(4);
	struct net *net = begin(lab);

	if (argc != 2)
		return 2;
	measure_start(argv[1]);
	switch_guests(argv[1], "a guest of L1, of 4", one, " (asked for: at most 10)");
	end(lab, net);
	lab = make_lab(GUESTS);
	net = begin(lab);
	switch_guests(argv[1], "a guest of L1, of 200", one, "");
	switch_guests(argv[1], "200 guests at once", all, " (asked for: at most 20)");
	measure_packets(net_netns_fd(net));
	end(lab, net);
	return 0;
}
