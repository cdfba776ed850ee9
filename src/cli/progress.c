/*
 * Events come from many threads, a redraw from a thread of our own; one mutex orders them. Work in progress is kept in
 * the order it began. In LIVE mode the terminal always looks like this, with the cursor at the start of the line below:
 *
 *     2.9s hv1: ready                          what ended, for good
 *     3.1s warning: …
 *   … hv1/a: waiting for its agent (4s)        the live lines, redrawn in place
 *   … 3 more
 *
 * A redraw is one write(2): up over the live lines, clear from there to the end of the screen, lines for good, live
 * lines. Nothing is hidden or changed on the terminal that would have to be restored, so being killed at any moment
 * leaves it usable. Live lines never reach the last column, so they cannot wrap.
 *
 * The thread starts with the first piece of work and sleeps until there is something to do: a redraw that was put off
 * to keep to ten a second, or the next whole second of the oldest work. In LINES mode it wakes to write the lines
 * for work that takes long.
 */
#include "cli/progress.h"

#include "base/arena.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "render/text.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
	REDRAW_MS = 100,
	FIRST_LINE_MS = 2000, /* LINES: when work that goes on is first told of */
	MOST_LIVE_LINES = 8,
};

struct work {
	struct work *next;
	char *subject, *text;
	long long began; /* ms */
	long long told;	 /* LINES: when a line was last written for it; 0: never */
	long long pause; /* LINES: how long until the next */
};

struct progress {
	struct reporter reporter; /* first: a reporter is a progress */
	int fd;
	enum progress_mode mode;
	bool verbose;
	struct style style;
	long long start;

	pthread_mutex_t mutex;
	pthread_cond_t wake;
	pthread_t thread;
	bool thread_runs, ending;
	struct work *works;    /* in the order they began */
	struct strbuf pending; /* lines for good, not yet written */
	unsigned drawn;	       /* live lines on the terminal */
	unsigned held;
	bool changed;
	long long redrawn; /* when */
};

static void write_all(int fd, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* progress that nobody can see is no failure */
		data += n;
		length -= (size_t)n;
	}
}

enum progress_mode progress_mode_for(int fd)
{
	const char *terminal = getenv("TERM");

	return isatty(fd) && terminal && *terminal && strcmp(terminal, "dumb") != 0 ? PROGRESS_LIVE : PROGRESS_LINES;
}

static void free_work(struct work *work)
{
	free(work->subject);
	free(work->text);
	free(work);
}

static struct work **find_work(struct progress *p, const char *subject)
{
	struct work **at = &p->works;

	while (*at && strcmp((*at)->subject, subject) != 0)
		at = &(*at)->next;
	return at;
}

/* "  2.9s hv1: ready" */
static void add_line(struct progress *p, enum colour colour, const char *word, const char *subject, const char *text)
{
	cleanup_strbuf struct strbuf safe = {};
	char elapsed[DURATION_TEXT_SIZE];

	text_duration(clock_ms() - p->start, elapsed);
	strbuf_printf(&p->pending, "%6s ", elapsed);
	if (*word)
		text_paint(&p->pending, &p->style, colour, word);
	if (*subject) {
		text_paint(&p->pending, &p->style, COLOUR_BOLD, subject);
		strbuf_add(&p->pending, *text ? ": " : "");
	}
	text_safe(&safe, text, true);
	for (char *line = safe.text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		strbuf_printf(&p->pending, "%s%s\n", line == safe.text ? "" : "       ", line);
	}
}

static void add_live_line(struct progress *p, const struct work *work, unsigned columns, struct strbuf *out)
{
	cleanup_strbuf struct strbuf line = {};
	long long now = clock_ms();
	struct style plain = {.utf8 = p->style.utf8};
	char elapsed[DURATION_TEXT_SIZE];

	/* Whole seconds: tenths would mean ten redraws a second for nothing. */
	text_duration((now - work->began) / 1000 * 1000, elapsed);
	if (now - work->began < 60000)
		*strchr(elapsed, '.') = '\0';
	strbuf_printf(&line, "%5s%s ", elapsed, now - work->began < 60000 ? "s" : "");
	strbuf_add(&line, work->subject);
	strbuf_printf(&line, "%s%s", *work->text ? ": " : "", work->text);
	if (p->style.colour)
		strbuf_add(out, "\033[2m");
	text_fit(out, &plain, line.text, columns - 1);
	strbuf_add(out, p->style.colour ? "\033[0m\n" : "\n");
}

static unsigned add_live_lines(struct progress *p, struct strbuf *out)
{
	struct winsize size = {0};
	unsigned columns = 80, room = MOST_LIVE_LINES, lines = 0, count = 0;

	if (ioctl(p->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		columns = size.ws_col;
	if (size.ws_row > 0 && size.ws_row / 2 < (int)room)
		room = size.ws_row / 2;
	for (const struct work *work = p->works; work; work = work->next)
		count++;
	for (const struct work *work = p->works; work && (count <= room || lines + 1 < room); work = work->next) {
		add_live_line(p, work, columns, out);
		lines++;
	}
	if (lines < count && room > 0) {
		cleanup_strbuf struct strbuf line = {};

		strbuf_printf(&line, "       and %u more", count - lines);
		text_fit(out, &p->style, line.text, columns - 1);
		strbuf_add_char(out, '\n');
		lines++;
	}
	return lines;
}

/* With live false only what is for good. */
static void redraw(struct progress *p, bool live)
{
	cleanup_strbuf struct strbuf out = {};

	if (p->drawn > 0)
		strbuf_printf(&out, "\033[%uA\r\033[J", p->drawn);
	p->drawn = 0;
	if (p->pending.length > 0) {
		strbuf_add_bytes(&out, p->pending.text, p->pending.length);
		p->pending.length = 0;
	}
	if (live)
		p->drawn = add_live_lines(p, &out);
	if (out.length > 0)
		write_all(p->fd, out.text, out.length);
	p->redrawn = clock_ms();
	p->changed = false;
}

/* What has to be seen at once is; the rest no more often than ten times a second. */
static void show(struct progress *p, bool at_once)
{
	p->changed = true;
	if (p->mode != PROGRESS_LIVE || p->held > 0)
		redraw(p, false);
	else if (at_once || clock_ms() - p->redrawn >= REDRAW_MS)
		redraw(p, true);
	else if (p->thread_runs)
		pthread_cond_signal(&p->wake);
}

/* LINES: tells of the work that is due and returns when the next will be, or -1. */
static long long tell_long_work(struct progress *p)
{
	long long now = clock_ms(), next = -1;

	for (struct work *work = p->works; work; work = work->next) {
		long long due = (work->told ? work->told : work->began) + work->pause;

		if (due <= now) {
			cleanup_strbuf struct strbuf text = {};
			char elapsed[DURATION_TEXT_SIZE];

			strbuf_printf(&text, "%s%s(for %s)", work->text, *work->text ? " " : "",
				      text_duration(now - work->began, elapsed));
			add_line(p, COLOUR_NONE, "", work->subject, text.text);
			work->told = now;
			work->pause = work->pause < 60000 ? work->pause * 3 : work->pause;
			due = now + work->pause;
		}
		next = next < 0 || due < next ? due : next;
	}
	if (p->pending.length > 0)
		redraw(p, false);
	return next;
}

/* LIVE: redraws and returns when to do so again, or -1. */
static long long draw_live(struct progress *p)
{
	long long now = clock_ms();

	if (p->held > 0 || (!p->works && !p->changed))
		return -1;
	if (p->changed && now - p->redrawn < REDRAW_MS)
		return p->redrawn + REDRAW_MS;
	if (p->changed || now - p->redrawn >= 1000)
		redraw(p, true);
	return p->redrawn + 1000;
}

static void *draw_thread(void *argument)
{
	struct progress *p = argument;

	pthread_mutex_lock(&p->mutex);
	while (!p->ending) {
		long long next = p->mode == PROGRESS_LIVE ? draw_live(p) : tell_long_work(p);
		struct timespec until = {.tv_sec = next / 1000, .tv_nsec = next % 1000 * 1000000};

		if (next < 0)
			pthread_cond_wait(&p->wake, &p->mutex);
		else
			pthread_cond_timedwait(&p->wake, &p->mutex, &until);
	}
	pthread_mutex_unlock(&p->mutex);
	return NULL;
}

/* Signals are for the thread that runs the command. */
static void start_thread(struct progress *p)
{
	sigset_t all, before;

	if (p->thread_runs || p->mode == PROGRESS_QUIET)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	p->thread_runs = pthread_create(&p->thread, NULL, draw_thread, p) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void begin_work(struct progress *p, const char *subject, const char *text)
{
	struct work **at = find_work(p, subject);
	long long now = clock_ms();
	bool is_new = !*at;

	if (is_new) {
		*at = calloc(1, sizeof(**at));
		if (!*at)
			abort();
		(*at)->subject = strdup(subject);
		(*at)->began = now;
		(*at)->pause = FIRST_LINE_MS;
	}
	free((*at)->text);
	(*at)->text = strdup(text);
	if (!(*at)->subject || !(*at)->text)
		abort();
	if (p->verbose)
		add_line(p, COLOUR_NONE, "", subject, text);
	start_thread(p);
	if (is_new && p->mode == PROGRESS_LINES && p->thread_runs)
		pthread_cond_signal(&p->wake);
	show(p, false);
}

static void end_work(struct progress *p, enum report_kind kind, const char *subject, const char *text)
{
	struct work **at = find_work(p, subject), *work = *at;

	if (work) {
		*at = work->next;
		free_work(work);
	}
	if (kind == REPORT_ENDED)
		;
	else if (kind == REPORT_FAILED)
		add_line(p, COLOUR_RED, "failed: ", subject, text);
	else if (p->mode != PROGRESS_QUIET)
		add_line(p, COLOUR_NONE, "", subject, *text ? text : "done");
	show(p, false);
}

static void on_event(struct reporter *reporter, enum report_kind kind, const char *subject, const char *text)
{
	struct progress *p = (struct progress *)reporter;

	pthread_mutex_lock(&p->mutex);
	switch (kind) {
	case REPORT_NOTE:
		if (p->mode != PROGRESS_QUIET)
			add_line(p, COLOUR_NONE, "", subject, text);
		show(p, true);
		break;
	case REPORT_WARNING:
		add_line(p, COLOUR_YELLOW, "warning: ", subject, text);
		show(p, true);
		break;
	case REPORT_BEGIN:
	case REPORT_UPDATE:
		if (p->mode != PROGRESS_QUIET)
			begin_work(p, subject, text);
		break;
	case REPORT_DONE:
	case REPORT_FAILED:
	case REPORT_ENDED:
		end_work(p, kind, subject, text);
		break;
	}
	pthread_mutex_unlock(&p->mutex);
}

struct progress *progress_new(int fd, enum progress_mode mode, bool colour, bool verbose)
{
	struct progress *p = calloc(1, sizeof(*p));
	pthread_condattr_t attributes;

	if (!p)
		abort();
	p->reporter.event = on_event;
	p->fd = fd;
	p->mode = mode;
	p->verbose = verbose && mode != PROGRESS_QUIET;
	p->style = style_of(fd, !colour);
	p->style.colour = colour;
	p->start = clock_ms();
	pthread_mutex_init(&p->mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* that of clock_ms */
	pthread_cond_init(&p->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	return p;
}

struct reporter *progress_reporter(struct progress *progress)
{
	return &progress->reporter;
}

void progress_hold(struct progress *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->mutex);
	p->held++;
	redraw(p, false);
	pthread_mutex_unlock(&p->mutex);
}

void progress_release(struct progress *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->mutex);
	p->held--;
	if (p->works)
		show(p, false);
	pthread_mutex_unlock(&p->mutex);
}

void progress_free(struct progress *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->mutex);
	p->ending = true;
	redraw(p, false);
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->mutex);
	if (p->thread_runs)
		pthread_join(p->thread, NULL);
	for (struct work *work = p->works, *next; work; work = next) {
		next = work->next;
		free_work(work);
	}
	strbuf_freep(&p->pending);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->mutex);
	free(p);
}
