/*
 * What logs say: lines that the kernel, QEMU, libvirt, guests' firmware and WSL print when something about virtual
 * machines goes wrong, each with its cause and what to do. One table (log_list.h) for everything that reads logs: the
 * doctor, what a driver says of a guest that died, `diagnose`.
 *
 * A pattern is literal text in which a star stands for anything within the line; several are parted by bars. It matches
 * anywhere in a line. Scanning takes time in proportion to the text, and nothing but the matches is kept.
 */
#ifndef NESTVISOR_FACTS_LOGS_H
#define NESTVISOR_FACTS_LOGS_H

#include <stddef.h>

/* Where a line appears. Bits: what a text is searched for is what may appear in it. */
enum {
	LOG_KERNEL = 1,	  /* dmesg, journalctl -k; of a host or of a guest */
	LOG_QEMU = 2,	  /* QEMU's standard error, /var/log/libvirt/qemu/ */
	LOG_LIBVIRT = 4,  /* libvirtd, virsh, dnsmasq, the journal */
	LOG_FIRMWARE = 8, /* what OVMF writes on a guest's console */
	LOG_WINDOWS = 16, /* wsl.exe */
	LOG_ANY = 31,
};

enum log_weight {
	LOG_HARMLESS, /* looks worse than it is */
	LOG_IMPAIRED, /* guests run, slower or without something */
	LOG_BROKEN,   /* a guest does not run, or has died */
};

struct log_pattern {
	const char *id;	   /* "kvm.entry-failed" */
	const char *match; /* "KVM: entry failed, hardware error *" */
	unsigned where;
	enum log_weight weight;
	const char *cause;  /* in one sentence */
	const char *remedy; /* a command, or a sentence */
	const char *source; /* what prints it, and where that can be read up */
};

/* The table, special before general: where two fit a line, the first counts. */
const struct log_pattern *log_patterns(size_t *ret_count);

struct log_match {
	const struct log_pattern *pattern;
	size_t line;	  /* from 1 */
	const char *text; /* the line, without its end; not NUL-terminated */
	size_t length;
};

/* Calls `found` for each line that is known, in their order; at most one pattern a line. Returns how many there were.
 */
size_t log_scan(const char *text, size_t length, unsigned where,
		void (*found)(const struct log_match *match, void *data), void *data);

/* The same of one line. NULL: nothing known. */
const struct log_pattern *log_match_line(const char *line, size_t length, unsigned where);

/*
 * Copies a line of a log without what could move a terminal: control characters, escape sequences, anything but ASCII,
 * which become question marks. Logs may hold what a hostile guest wrote.
 */
void log_clean_line(const char *line, size_t length, char *ret, size_t size);

#endif
