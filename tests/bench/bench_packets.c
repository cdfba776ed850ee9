/*
 * bench_packets [FILE.nft…], or --rules 200|empty to print the rules: what the standing rules of a lab cost what passes
 * them, on a machine of its own (tests/lib/machine): from a guest to one of another network, through the bridges of
 * both and the host between them, and to one of its own network, through one bridge. Each set of rules is compared with
 * the lab's chains when nothing is in them; those of the files, too, as the rules of before beside a change.
 *
 * A machine with others at it is never as fast twice, and a rate by itself tells no differences of a few percent here.
 * So the same work is done by turns, A B B A and B A A B, in rounds so short that the machine is the same throughout;
 * what drifts in between counts for both alike. One thread sends and receives, pinned and ahead of others (SCHED_FIFO),
 * and the time is what it had of the processor. (Between two processes it is when they wake each other that is
 * measured.) Each four rounds give one ratio; printed are the median of them and the interval that holds it with 95 %
 * certainty (bootstrap).
 *
 *   stream         TCP, with segments as large as a guest's (GSO: up to 64 KiB), out of memory and into memory
 *   cached stream  the same out of and into 256 KiB that stay in the processor's cache: as little else as possible
 *   UDP            datagrams of 64 bytes: what a packet costs
 */
#include "bench_lab.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/nftables.h"
#include "base/strbuf.h"
#include "model/isolation.h"
#include "net/rules.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	TURNS = 150, /* of four rounds */
	RESAMPLES = 2000,
	STREAM_BYTES = 24 << 20,
	WARM_BYTES = 2 << 20,
	DATAGRAMS = 4096,
	WARM_DATAGRAMS = 512,
	BLOCK = 256 << 10,
	BATCH = 32,
	MOST_SETS = 16,
};

/* Who g0 sends to. */
struct receiver {
	const char *netns, *address;
};

static double thread_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* ─── the work ─── */

/* Bytes to send, and room for them: `size` of each are gone through again and again. */
struct data {
	char *out, *in;
	size_t size, sent, got; /* the latter: so far, all in all */
};

/* Nothing is on its way any more when this ends. */
static void pump(int from, int to, struct data *data, size_t length)
{
	size_t sent = 0, got = 0;

	while (got < length) {
		size_t at = data->sent % data->size, into = data->got % data->size;
		ssize_t out = -1, in;

		if (sent < length) {
			size_t most = length - sent < BLOCK ? length - sent : BLOCK;

			out = send(from, data->out + at, most < data->size - at ? most : data->size - at, MSG_DONTWAIT);
			sent += out > 0 ? (size_t)out : 0;
			data->sent += out > 0 ? (size_t)out : 0;
		}
		in = recv(to, data->in + into, data->size - into < BLOCK ? data->size - into : BLOCK, MSG_DONTWAIT);
		got += in > 0 ? (size_t)in : 0;
		data->got += in > 0 ? (size_t)in : 0;
		if (out <= 0 && in <= 0) {
			struct pollfd wait = {.fd = to, .events = POLLIN};

			if (poll(&wait, 1, 5000) <= 0)
				die("the stream stands still", NULL);
		}
	}
}

static void pin(int processor)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(processor, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		die("sched_setaffinity", NULL);
}

static void connect_stream(const struct receiver *receiver, int *ret_from, int *ret_to)
{
	struct sockaddr_in where = at_port(receiver->address);
	int listener = socket_in(receiver->netns, SOCK_STREAM), on = 1;

	*ret_from = socket_in("g0", SOCK_STREAM);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&where, sizeof(where)) < 0 || listen(listener, 1) < 0 ||
	    connect(*ret_from, (struct sockaddr *)&where, sizeof(where)) < 0)
		die("connect", NULL);
	*ret_to = accept(listener, NULL, NULL);
	close(listener);
}

static void end_stream(int from, int to)
{
	const struct linger none = {.l_onoff = 1}; /* nothing of it comes into the next round */

	setsockopt(from, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close(from);
	close(to);
}

static double stream_of(struct data *data, const struct receiver *receiver)
{
	double start, cost;
	int from, to;

	if (!data->out) {
		data->out = malloc(data->size);
		data->in = malloc(data->size);
		if (!data->out || !data->in)
			die("memory", NULL);
		memset(data->out, 'x', data->size);
		memset(data->in, 'x', data->size);
	}
	connect_stream(receiver, &from, &to);
	pump(from, to, data, WARM_BYTES);
	start = thread_ms();
	pump(from, to, data, STREAM_BYTES);
	cost = thread_ms() - start;
	end_stream(from, to);
	return cost;
}

static double stream(const struct receiver *receiver)
{
	static struct data data = {.size = 192 << 20};

	return stream_of(&data, receiver);
}

static double hot_stream(const struct receiver *receiver)
{
	static struct data data = {.size = BLOCK};

	return stream_of(&data, receiver);
}

static void exchange(int from, int to, size_t count)
{
	struct mmsghdr messages[BATCH];
	char payload[64] = "x", room[BATCH][128];
	struct iovec in[BATCH], out = {.iov_base = payload, .iov_len = sizeof(payload)};

	for (size_t done = 0; done < count; done += BATCH) {
		for (size_t i = 0; i < BATCH; i++)
			messages[i].msg_hdr = (struct msghdr){.msg_iov = &out, .msg_iovlen = 1};
		sendmmsg(from, messages, BATCH, 0);
		for (size_t i = 0; i < BATCH; i++) {
			in[i] = (struct iovec){.iov_base = room[i], .iov_len = sizeof(room[i])};
			messages[i].msg_hdr = (struct msghdr){.msg_iov = &in[i], .msg_iovlen = 1};
		}
		for (size_t got = 0; got < BATCH;) {
			int n = recvmmsg(to, messages, (unsigned)(BATCH - got), MSG_WAITFORONE, NULL);

			if (n <= 0) /* lost: the backlog of a busy processor is full */
				break;
			got += (size_t)n;
		}
	}
}

static void answer(int from, int to)
{
	struct sockaddr_in asker;
	socklen_t length = sizeof(asker);
	char byte;

	if (getsockname(to, (struct sockaddr *)&asker, &length) < 0 ||
	    sendto(from, "x", 1, 0, (struct sockaddr *)&asker, length) < 0 || recv(to, &byte, 1, 0) != 1)
		die("no answer", NULL);
}

static double datagrams(const struct receiver *receiver)
{
	struct sockaddr_in where = at_port(receiver->address);
	const struct timeval patience = {.tv_usec = 200000};
	int from = socket_in("g0", SOCK_DGRAM), to = socket_in(receiver->netns, SOCK_DGRAM);
	double start, cost;

	setsockopt(to, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(from, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (bind(to, (struct sockaddr *)&where, sizeof(where)) < 0 ||
	    connect(from, (struct sockaddr *)&where, sizeof(where)) < 0)
		die("udp", NULL);
	/* A flow that has been answered, as most are. */
	exchange(from, to, WARM_DATAGRAMS);
	answer(to, from);
	start = thread_ms();
	exchange(from, to, DATAGRAMS);
	cost = thread_ms() - start;
	close(from);
	close(to);
	return cost;
}

/* ─── the rules ─── */

static void load(int netns, const char *rules)
{
	cleanup_nftables struct nftables nft = NFTABLES_CLOSED;
	cleanup_strbuf struct strbuf text = {0};
	struct error *err = NULL;

	strbuf_printf(&text, "flush ruleset\n%s", rules);
	if (nftables_open(netns, 0, &nft, &err) < 0 || nftables_run(&nft, text.text, NULL, &err) < 0)
		die("rules", err);
}

/* Those of a lab of which all but the three guests that talk are cut: the sets of who is cut are full, too. */
static char *rules_of(size_t guests)
{
	struct lab *lab = make_lab(guests);
	struct isolation *isolation = isolation_new(lab);
	struct strbuf text = {0};

	for (size_t i = 3; i < guests; i++)
		isolation_set(isolation, lab->guests[i], &(struct isolation_setting){.world = WORLD_CUT});
	rules_format(isolation, NULL, 0, &text);
	isolation_free(isolation);
	lab_free(lab);
	return strbuf_steal(&text);
}

/* The lab's own chains with connection tracking, hooked in where they are, and nothing in them but `prerouting` and
 * `forward`. */
static char *empty_chains(const char *sets, const char *prerouting, const char *forward)
{
	struct strbuf text = {0};

	strbuf_printf(&text,
		      "table inet t {\n%s"
		      "\tchain p {\n\t\ttype filter hook prerouting priority -150; policy accept;\n%s\t}\n"
		      "\tchain n {\n\t\ttype nat hook prerouting priority -100; policy accept;\n\t}\n"
		      "\tchain m {\n\t\ttype nat hook prerouting priority -100; policy accept;\n\t}\n"
		      "\tchain i {\n\t\ttype filter hook input priority 0; policy accept;\n\t}\n"
		      "\tchain o {\n\t\ttype filter hook output priority 0; policy accept;\n\t}\n"
		      "\tchain q {\n\t\ttype nat hook postrouting priority 100; policy accept;\n\t}\n"
		      "\tchain f {\n\t\ttype filter hook forward priority 0; policy accept;\n%s"
		      "\t\tct state established,related accept\n\t}\n}\n"
		      "table bridge t {\n"
		      "\tchain p {\n\t\ttype filter hook prerouting priority -300; policy accept;\n\t}\n"
		      "\tchain f {\n\t\ttype filter hook forward priority -300; policy accept;\n\t}\n"
		      "\tchain o {\n\t\ttype filter hook output priority -300; policy accept;\n\t}\n}\n",
		      sets, prerouting, forward);
	return strbuf_steal(&text);
}

/* The least that can be asked about who sends: one look into one set of as many addresses. */
static char *one_look(void)
{
	struct strbuf set = {0};
	char *text;

	strbuf_printf(&set, "\tset s {\n\t\ttype ipv4_addr\n\t\tsize %d\n\t\telements = { ", GUESTS);
	for (size_t i = 2; i < GUESTS; i++)
		strbuf_printf(&set, "%s10.82.0.%zu", i > 2 ? ", " : "", i);
	strbuf_add(&set, " }\n\t}\n");
	text = empty_chains(set.text, "\t\tip saddr @s drop\n", "");
	strbuf_freep(&set);
	return text;
}

struct rules {
	const char *name;
	char *text;
};

/* ─── the comparison ─── */

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare_doubles);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* The median of the values and where it lies with 95 % certainty: medians of as many values drawn out of them. */
static void print_interval(const char *title, const double *values, size_t count)
{
	static double drawn[RESAMPLES][TURNS], medians[RESAMPLES];
	unsigned short seed[3] = {1, 2, 3};
	double all[TURNS];

	for (size_t i = 0; i < RESAMPLES; i++) {
		for (size_t j = 0; j < count; j++)
			drawn[i][j] = values[(size_t)(erand48(seed) * (double)count)];
		medians[i] = median(drawn[i], count);
	}
	qsort(medians, RESAMPLES, sizeof(*medians), compare_doubles);
	memcpy(all, values, count * sizeof(*all));
	printf("%s %+.2f (%+.2f to %+.2f)", title, median(all, count), medians[RESAMPLES * 25 / 1000],
	       medians[RESAMPLES * 975 / 1000]);
}

struct work {
	const char *name;
	double (*go)(const struct receiver *receiver);
	double packets; /* of one round; 0: not counted */
};

/* `base` and `rules` by turns. */
static void compare(int netns, const struct rules *rules, const char *base, const struct work *work,
		    const struct receiver *receiver, const char *way)
{
	static double ratio[TURNS], more[TURNS], base_ms[TURNS];

	for (size_t turn = 0; turn < TURNS; turn++) {
		double sum[2] = {0};

		for (size_t round = 0; round < 4; round++) {
			size_t which = ((round + 1) / 2 + turn) % 2;
			double cost;

			if (round != 2)
				load(netns, which ? rules->text : base);
			be_first(true);
			cost = work->go(receiver);
			be_first(false);
			sum[which] += cost;
		}
		ratio[turn] = 100 * (sum[0] / sum[1] - 1); /* throughput is work by time */
		if (work->packets > 0)
			more[turn] = 1e6 * (sum[1] - sum[0]) / (2 * work->packets);
		base_ms[turn] = sum[0] / 2;
	}
	printf("%s, %s, %s: ", work->name, way, rules->name);
	print_interval("throughput in %", ratio, TURNS);
	if (work->packets > 0)
		print_interval("; ns a packet", more, TURNS);
	printf("; %d turns, with empty chains %.2f ms a round\n", TURNS, median(base_ms, TURNS));
	fflush(stdout);
}

static void print_rules(const char *which)
{
	cleanup_free char *text =
		strcmp(which, "empty") == 0 ? empty_chains("", "", "") : rules_of((size_t)atoi(which));

	fputs(text, stdout);
}

int main(int argc, char **argv)
{
	static const struct work works[] = {
		{"stream", stream, 0}, {"cached stream", hot_stream, 0}, {"UDP", datagrams, DATAGRAMS}};
	static const struct receiver away = {"g1", ADDRESS_OF_G1}, near = {"g2", ADDRESS_OF_G2};
	struct lab *lab;
	struct net *net;
	cleanup_free char *empty = empty_chains("", "", "");
	struct rules sets[MOST_SETS] = {{"the lab's chains, empty, once more", empty_chains("", "", "")},
					{"one look into a set", one_look()},
					{"rules of 3 guests", rules_of(3)},
					{"rules of 200 guests", rules_of(GUESTS)}};
	size_t count = 4;

	if (argc == 3 && strcmp(argv[1], "--rules") == 0) {
		print_rules(argv[2]);
		return 0;
	}
	if (argc > 1 && *argv[1] == '-') {
		errno = EINVAL;
		die(argv[1], NULL);
	}
	for (int i = 1; i < argc && count < MOST_SETS; i++) {
		struct error *err = NULL;
		size_t length;

		sets[count].name = argv[i];
		if (file_read(argv[i], 16 << 20, &sets[count++].text, &length, &err) < 0)
			die(argv[i], err);
	}
	lab = make_lab(GUESTS);
	net = begin_lab(lab);
	pin(0);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < sizeof(works) / sizeof(*works); j++) {
			compare(net_netns_fd(net), &sets[i], empty, &works[j], &away, "to another network");
			if (i >= 2)
				compare(net_netns_fd(net), &sets[i], empty, &works[j], &near, "to its own network");
		}
	for (size_t i = 0; i < count; i++)
		free(sets[i].text);
	end_lab(lab, net);
	return 0;
}
