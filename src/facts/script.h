/*
 * One POSIX sh script that collects what the table of sources lists, and prints it as one stream: so that any machine
 * that has a shell can be asked over any transport in one round trip. It is sent on standard input: sh -s. Programs
 * that are not there are said to be missing, those that fail to have failed, and nothing is left behind.
 *
 * A command of the table runs without standard input, in the C locale, with the folders for administrators in PATH. It
 * may use `t PROGRAM …` (ends it after ten seconds, where timeout(1) is there), `skip` (this one is not needed) and
 * `absent` (there is no such file).
 * Exit status 0: what it printed is all there is, also if that is nothing.
 *
 * The stream: each source begins and ends with a line of its own that starts with a random word, so that no content can
 * be taken for one. On standard error the same word parts what the programs said there.
 *
 *   <word> begin <name>         <word> missing <name> <program>
 *   …content…
 *   <word> end <name> <status>                                             at the end of all: <word> done
 */
#ifndef NESTVISOR_FACTS_SCRIPT_H
#define NESTVISOR_FACTS_SCRIPT_H

#include "base/strbuf.h"
#include "facts/source.h"

enum {
	SCRIPT_WORD_SIZE = 32,
	STATUS_ABSENT = 124, /* of a source: there is no such file */
	STATUS_SKIPPED = 125,
};

/* Which part of the table. */
struct selection {
	unsigned with;	  /* only sources with all of these flags */
	unsigned without; /* and with none of these */
	bool commands;	  /* only what no file tells */
	const char *only; /* the name of one; NULL: all */
	bool unbounded;	  /* with as few processes as can be: nothing is cut off at its limit */
};

bool selection_has(const struct selection *selection, const struct source *source);

/* A word that nobody can foresee. */
void script_word(char ret[SCRIPT_WORD_SIZE]);

void script_write(struct strbuf *out, const char *word, const struct selection *selection);

#endif
