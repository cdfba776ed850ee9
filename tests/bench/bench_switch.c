/*
 * bench_switch NESTVISOR: what cutting costs at L0, on a machine of its own (tests/lib/machine). Of a lab of 200 guests
 * the network stands, with the rules; the guests themselves are not needed for it. Measured are the whole process of
 * `nestvisor cut` and `open` of one guest and of 200 at once, and the transaction: on the machine as it is, and ahead
 * of all that others do there (SCHED_FIFO), as on one that is idle. Prints figures, asserts none.
 */
#include "bench_lab.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/process.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RUNS = 50, FLOWS = 20 };

/* What the children that have ended had of the processors: the same however busy these are. */
static double children_ms(void)
{
	struct rusage usage;

	getrusage(RUSAGE_CHILDREN, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

static const char *spread(double *values, size_t count, char text[80])
{
	qsort(values, count, sizeof(*values), compare_doubles);
	snprintf(text, 80, "%.2f (%.2f, %.2f)", values[count / 2], values[count / 4], values[3 * count / 4]);
	return text;
}

/* ─── switching ─── */

struct figures {
	double whole[RUNS], cpu[RUNS], here[RUNS], transaction[RUNS];
};

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

int main(int argc, char **argv)
{
	const char *const one[] = {"g0", NULL}, *const all[] = {"--all", NULL};
	struct lab *lab = make_lab(4);
	struct net *net = begin_lab(lab);

	if (argc != 2)
		return 2;
	measure_start(argv[1]);
	switch_guests(argv[1], "a guest of L1, of 4", one, " (asked for: at most 10)");
	end_lab(lab, net);
	lab = make_lab(GUESTS);
	net = begin_lab(lab);
	switch_guests(argv[1], "a guest of L1, of 200", one, "");
	switch_guests(argv[1], "200 guests at once", all, " (asked for: at most 20)");
	end_lab(lab, net);
	return 0;
}
