#include "driver/postmortem.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "facts/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum {
	TAIL_SIZE = 16 << 10, /* a guest can fill its console for ever; only the end is read */
	LINE_LENGTH = 200,
	CONSOLE_LINES = 5,
	QEMU_LINES = 3,
	LINES_MAX = 8,
};

/* Says nothing about a failure: EPYC under TCG has features that TCG lacks, and says so for each. */
static bool is_noise(const char *line)
{
	const struct log_pattern *pattern = log_match_line(line, strlen(line), LOG_QEMU);

	return pattern && pattern->weight == LOG_HARMLESS;
}

static char *read_tail(const char *run_dir, const char *file)
{
	cleanup_free char *path = NULL, *text = calloc(1, TAIL_SIZE + 1);
	cleanup_close int fd = -1;
	off_t end;

	if (!text || asprintf(&path, "%s/%s", run_dir, file) < 0)
		abort();
	fd = open(path, O_RDONLY | O_CLOEXEC);
	end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	if (end <= 0 || pread(fd, text, TAIL_SIZE, end > TAIL_SIZE ? end - TAIL_SIZE : 0) <= 0)
		return NULL;
	return steal_pointer(&text);
}

/*
 * Adds the last lines of a file that say something, under a title. A kernel that panics says why and then where, at
 * such length that the reason would be lost: it comes first.
 */
static void add_last_lines(struct strbuf *out, const char *run_dir, const char *file, const char *title, size_t lines)
{
	cleanup_free char *text = read_tail(run_dir, file);
	char last[LINES_MAX][LINE_LENGTH], panic[LINE_LENGTH] = "";
	char *save, *line;
	size_t count = 0, panic_at = 0;

	for (line = text ? strtok_r(text, "\r\n", &save) : NULL; line; line = strtok_r(NULL, "\r\n", &save)) {
		char *clean = last[count % lines];

		if (is_noise(line))
			continue;
		log_clean_line(line, strlen(line), clean, LINE_LENGTH);
		if (!clean[0])
			continue;
		if (strstr(clean, "Kernel panic")) {
			snprintf(panic, sizeof(panic), "%s", clean);
			panic_at = count;
		}
		count++;
	}
	if (count)
		strbuf_printf(out, "\n  %s:", title);
	if (panic[0] && count > lines && panic_at < count - lines)
		strbuf_printf(out, "\n  | %s\n  | ...", panic);
	for (size_t i = count > lines ? count - lines : 0; i < count; i++)
		strbuf_printf(out, "\n  | %s", last[i % lines]);
}

/* The first line counts: what comes after it follows from it. */
static void take_first(const struct log_match *match, void *data)
{
	const struct log_pattern **pattern = data;

	if (!*pattern && match->pattern->weight != LOG_HARMLESS)
		*pattern = match->pattern;
}

static void add_hint(const char *text, size_t length, struct error **err)
{
	const struct log_pattern *pattern = NULL;

	log_scan(text, length, LOG_QEMU, take_first, &pattern);
	if (!pattern)
		return;
	/* the probe said that KVM works, and was believed */
	error_hint(err, "%s: %s%s", pattern->cause, pattern->remedy,
		   strncmp(pattern->id, "kvm.", 4) == 0
			   ? "; then remove probe.json in the cache folder, to have KVM probed again"
			   : "");
}

int postmortem(const char *run_dir, int code, const char *what, struct error **err)
{
	cleanup_strbuf struct strbuf text = {0};
	size_t own_words;
	int r;

	strbuf_add(&text, what);
	add_last_lines(&text, run_dir, "qemu.log", "QEMU said", QEMU_LINES);
	own_words = text.length; /* the guest's words must not choose the hint */
	add_last_lines(&text, run_dir, "console.log", "the end of its console", CONSOLE_LINES);
	r = error_set(err, code, "%s", text.text);
	add_hint(text.text, own_words, err);
	return r;
}

bool postmortem_is_silent(const char *run_dir)
{
	cleanup_free char *log = read_tail(run_dir, "qemu.log"), *console = read_tail(run_dir, "console.log");
	cleanup_free char *cause = log ? postmortem_cause(log) : NULL;

	return !cause && !(console && strstr(console, "Kernel panic"));
}

bool postmortem_triple_fault(const char *run_dir)
{
	cleanup_free char *log = read_tail(run_dir, "cpu.log");
	char *save, *line;
	bool fault = false;

	/* Each reset writes down the registers: one that comes behind a triple fault was survived. */
	for (line = log ? strtok_r(log, "\r\n", &save) : NULL; line; line = strtok_r(NULL, "\r\n", &save)) {
		if (strcmp(line, "Triple fault") == 0)
			fault = true;
		else if (strncmp(line, "CPU Reset", strlen("CPU Reset")) == 0)
			fault = false;
	}
	return fault;
}

char *postmortem_cause(const char *log)
{
	cleanup_free char *copy = strdup(log);
	char line[LINE_LENGTH] = "", *save, *at;
	const char *said = line;
	char *cause;

	if (!copy)
		abort();
	for (at = strtok_r(copy, "\r\n", &save); at; at = strtok_r(NULL, "\r\n", &save)) {
		if (is_noise(at))
			continue;
		log_clean_line(at, strlen(at), line, sizeof(line));
		if (strstr(line, "error: ") || strstr(line, "failed") || strstr(line, "Could not"))
			break; /* what comes after it follows from it: an assertion, an abort */
	}
	if (strncmp(line, "qemu-system-x86_64: ", 20) == 0)
		said += 20;
	if (!*said)
		return NULL;
	cause = strdup(said);
	if (!cause)
		abort();
	return cause;
}
