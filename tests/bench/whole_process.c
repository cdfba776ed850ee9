/*
 * How long a command takes as a whole process, from its start to its end, and how much memory.
 *
 *	whole_process MS MIB WHAT COMMAND [ARGUMENT…]
 *	whole_process --table SERIES SIZE COMMAND [ARGUMENT…]      one line for tests/bench/plot
 *
 * MS and MIB are the limits to compare with; 0: none. Prints medians of the CPU's time, which says more on a busy
 * machine, and of the time that went by; the largest memory of all runs; and, where there is valgrind, how many
 * instructions it took, which is the same every time. Small itself, since what a process is forked from counts as its
 * memory.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TIMES = 5 };

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static double ms_of(struct timeval time)
{
	return (double)time.tv_sec * 1e3 + (double)time.tv_usec / 1e3;
}

static void start(char **command)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	execvp(command[0], command);
	_exit(127);
}

/* An answer of "no", 1, is one too. */
static struct rusage run(char **command)
{
	struct rusage usage;
	pid_t pid = fork();
	int status;

	if (pid == 0)
		start(command);
	if (pid < 0 || wait4(pid, &status, 0, &usage) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) > 1) {
		fprintf(stderr, "whole_process: %s failed\n", command[0]);
		exit(1);
	}
	return usage;
}

/* 0: there is no valgrind. */
static unsigned long long instructions(char **command, int count)
{
	static const char collected[] = "Collected : ";
	char *valgrind[64] = {"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-fd=3"};
	char text[16384] = "", *found;
	size_t length = 0;
	ssize_t got;
	int ends[2];
	pid_t pid;

	if (count > 50 || pipe2(ends, O_CLOEXEC) < 0)
		return 0;
	memcpy(&valgrind[4], command, (size_t)count * sizeof(*command));
	pid = fork();
	if (pid == 0) {
		if (ends[1] == 3)
			fcntl(3, F_SETFD, 0);
		else
			dup2(ends[1], 3);
		start(valgrind);
	}
	close(ends[1]);
	while ((got = read(ends[0], text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t)got;
	close(ends[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	found = strstr(text, collected);
	return found ? strtoull(found + strlen(collected), NULL, 10) : 0;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static void print(double amount, const char *unit, double limit)
{
	printf(" %.1f %s", amount, unit);
	if (limit > 0)
		printf(" (at most %g: %.1f times)", limit, limit / amount);
}

struct figures {
	double cpu, wall; /* medians, ms */
	double memory;	  /* the largest, MiB */
};

static struct figures measure(char **command)
{
	double cpu[TIMES], wall[TIMES];
	struct figures figures = {};

	for (size_t i = 0; i < TIMES; i++) {
		double since = now_ms();
		struct rusage usage = run(command);

		wall[i] = now_ms() - since;
		cpu[i] = ms_of(usage.ru_utime) + ms_of(usage.ru_stime);
		if ((double)usage.ru_maxrss / 1024 > figures.memory)
			figures.memory = (double)usage.ru_maxrss / 1024;
	}
	qsort(cpu, TIMES, sizeof(*cpu), compare);
	qsort(wall, TIMES, sizeof(*wall), compare);
	figures.cpu = cpu[TIMES / 2];
	figures.wall = wall[TIMES / 2];
	return figures;
}

int main(int argc, char **argv)
{
	unsigned long long count;
	struct figures figures;

	if (argc < 5) {
		fputs("usage: whole_process MS MIB WHAT COMMAND [ARGUMENT…] | --table SERIES SIZE COMMAND "
		      "[ARGUMENT…]\n",
		      stderr);
		return 2;
	}
	figures = measure(argv + 4);
	if (strcmp(argv[1], "--table") == 0) {
		printf("%s\t%s\t%.1f\t%.1f\n", argv[2], argv[3], figures.cpu, figures.memory);
		return 0;
	}
	printf("%s:", argv[3]);
	print(figures.cpu, "ms of CPU", strtod(argv[1], NULL));
	putchar(',');
	print(figures.wall, "ms went by", 0);
	putchar(',');
	print(figures.memory, "MiB", strtod(argv[2], NULL));
	count = instructions(argv + 4, argc - 4);
	if (count)
		printf(", %.1f million instructions", (double)count / 1e6);
	putchar('\n');
	return 0;
}
