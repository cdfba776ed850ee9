/*
 * How work below the command line tells what it does, without printing: it calls a reporter. The command line turns
 * the events into progress lines; tests collect them. Every function may be called from several threads at once; a
 * NULL reporter swallows everything.
 */
#ifndef NESTVISOR_BASE_REPORT_H
#define NESTVISOR_BASE_REPORT_H

enum report_kind {
	REPORT_NOTE,    /* something worth a line */
	REPORT_WARNING, /* something the user should act on */
	REPORT_BEGIN,   /* a piece of work starts: subject names it, text says what is being waited for */
	REPORT_UPDATE,  /* the same piece of work now waits for something else */
	REPORT_DONE,    /* it ended well; text is the result or empty */
	REPORT_FAILED,
	REPORT_ENDED, /* it ended, which needs no telling: there is an answer */
};

struct reporter {
	void (*event)(struct reporter *reporter, enum report_kind kind, const char *subject, const char *text);
};

/* subject: what the event is about ("hv1/a", "image micro", "network lab"), unique among work in progress. */
void report(struct reporter *reporter, enum report_kind kind, const char *subject, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
