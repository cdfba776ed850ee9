#include "driver/postmortem.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"

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

/* QEMU's words, and what to do. Checked in this order; the first that is found counts. */
static const struct {
	const char *says, *hint;
} known_causes[] = {
	{"Failed to get \"write\" lock", "another QEMU uses this disk: is the same lab up under another name?"},
	{"Failed to get shared \"write\" lock", "another QEMU writes to this disk, which this guest wants to read"},
	{"cannot set up guest memory",
	 "the host has too little memory left for the guest: see `memory` in the lab file"},
	{"Cannot allocate memory", "the host has too little memory left for the guest: see `memory` in the lab file"},
	{"Could not access KVM kernel module",
	 "KVM cannot be used here; remove probe.json in the cache folder to have it looked for again"},
	{"failed to initialize kvm",
	 "KVM cannot be used here; remove probe.json in the cache folder to have it looked for again"},
	{"failed to set MSR",
	 "this KVM cannot run guests: remove probe.json in the cache folder to have it probed again"},
	{"Device or resource busy",
	 "another program uses it: another hypervisor (VirtualBox, VMware), or another QEMU"},
	{"Address already in use", "another program uses this address or port"},
	{"No space left on device", "the disk under the guest's image or overlay is full"},
	{"Could not open", "the file is missing, or is not to be read by this user"},
	{"Permission denied", "nestvisor needs root to start guests"},
};

/* Says nothing about a failure: EPYC under TCG has features that TCG lacks, and says so for each. */
static bool is_noise(const char *line)
{
	return strstr(line, "warning: TCG doesn't support requested feature") != NULL;
}

/* Copies a line without what could move a terminal: control characters, escape sequences, anything but ASCII. */
static void clean_line(const char *line, char *ret, size_t size)
{
	size_t n = 0;

	for (; *line && n + 1 < size; line++) {
		unsigned char c = (unsigned char)*line;

		if (c == '\033' && line[1] == '[') { /* ECMA-48, 5.4: parameters end with a byte of 0x40 to 0x7e */
			for (line += 2; *line && !(*line >= '@' && *line <= '~'); line++)
				;
			if (!*line)
				break;
		} else if (c >= ' ' && c < 0x7f) {
			ret[n++] = *line;
		} else if (c >= 0x80) {
			ret[n++] = '?';
		}
	}
	while (n && ret[n - 1] == ' ')
		n--;
	ret[n] = '\0';
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
		clean_line(line, clean, LINE_LENGTH);
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
	text.text[own_words] = '\0';
	for (size_t i = 0; i < sizeof(known_causes) / sizeof(known_causes[0]); i++)
		if (strstr(text.text, known_causes[i].says))
			error_hint(err, "%s", known_causes[i].hint);
	return r;
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
		clean_line(at, line, sizeof(line));
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
