/*
 * What is collected of a host: one table. From it are made the script that is sent to guests and ssh hosts (script.h),
 * what is read of files directly (files.h), and what `nestvisor capture` says before it collects.
 *
 * Nothing here changes the host it is run on: no rule table is made and no module is loaded by looking
 * (iptables-legacy, ipset and conntrack do that when they are merely asked).
 */
#ifndef NESTVISOR_FACTS_SOURCE_H
#define NESTVISOR_FACTS_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How files are put into one capture. */
enum source_form {
	SOURCE_TEXT,	 /* the content as it is; of several files one after the other */
	SOURCE_VALUES,	 /* each line of each file behind its path: grep -H '' FILES */
	SOURCE_SETTINGS, /* the same without comments and empty lines */
	SOURCE_TAILS,	 /* the last lines of each file under a heading with its path: tail -n 200 FILES */
	SOURCE_MODES,	 /* who may open them: ls -ld FILES */
	SOURCE_COMMAND,	 /* no files, but what a command prints */
};

/* Flags of a source. */
enum {
	SOURCE_NETWORK = 1,	 /* belongs to a network namespace: collected of each */
	SOURCE_SECRETS = 2,	 /* may hold secrets, which are taken out (redact.h) */
	SOURCE_ANY_STATUS = 4,	 /* the command's exit status says nothing about its output */
	SOURCE_KERNEL_ASKED = 8, /* live.h asks the kernel instead */
	SOURCE_WAY = 32,	 /* decides what becomes of a packet */
	SOURCE_BATCH = 64,    /* stands for several others, where only the way is asked for and ip(8) takes a batch */
	SOURCE_BATCHED = 128, /* one of these */
	SOURCE_SHORT = 16,    /* what it prints cannot become long: it is not worth a process to see to that */
};

#define SOURCE_BATCH_NAME "ip-batch.txt"

struct source {
	const char *name;    /* of the file in a bundle: "proc-cpuinfo.txt" */
	const char *group;   /* for people: "firewall" */
	const char *purpose; /* for people: "the processor's model and features" */
	enum source_form form;
	unsigned flags;
	uint32_t limit; /* KiB: what is longer is cut off */
	/* Absolute paths and patterns of glob(7), parted by spaces. Where a command is given, too, they are what is
	 * read when a machine has no such program, and always where files alone are read. */
	const char *files;
	const char *command; /* POSIX sh, see script.h for what it may use; NULL: only files */
	const char *program; /* which must be there; NULL: none */
	const char *way;     /* the files of these that decide what becomes of a packet; NULL: all of them */
};

/* The table, in the order in which it is collected. */
const struct source *source_table(size_t *ret_count);
const struct source *source_find(const char *name); /* NULL: none of that name */

#endif
