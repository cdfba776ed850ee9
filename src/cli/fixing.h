/*
 * From changes that were found (verify/repair.h) to a fix that can be carried out and taken back (doctor/fix.h): each
 * change becomes a command that a shell runs on the host concerned, over whatever leads there, and one that takes
 * exactly that back and also bears that nothing was done yet.
 */
#ifndef NESTVISOR_CLI_FIXING_H
#define NESTVISOR_CLI_FIXING_H

#include "cli/hosts.h"
#include "doctor/fix.h"
#include "verify/repair.h"

/* The id of such fixes, by which --undo finds them. */
#define FIXING_ID "fix"

struct fixing {
	struct arena *arena;
	const struct hosts *hosts;
	const struct bundle *bundle;
	struct cancel *cancel;
	struct fix fix; /* whose actions are added to */
};

/* A command for a shell on a host, and what takes it back. */
struct fixing_step {
	const char *host;
	const char *run, *undo;	      /* of a shell; undo NULL: nothing to take back */
	const char *input, *undo_input; /* on their standard input; NULL: nothing */
	const char *shown, *undo_shown;
};
int fixing_add(struct fixing *fixing, const struct fixing_step *step, struct error **err);

/* Runs a command for a shell on a host that only looks. *ret: what it printed; its status must be 0. */
int fixing_look(const struct fixing *fixing, const char *host, const char *script, const char **ret, struct error **err);

/* Adds the change itself, as long as that host runs. Hosts are asked for what has to be known to take it back. */
int fixing_add_change(struct fixing *fixing, const struct change *change, struct error **err);

/* A word for a shell. */
const char *fixing_quote(struct arena *arena, const char *word);

#endif
