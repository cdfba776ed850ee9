/* `--undo` of every command that applies fixes: shows what would be taken back, asks, takes it back. */
#ifndef NESTVISOR_CLI_UNDO_H
#define NESTVISOR_CLI_UNDO_H

#include "cli/command.h"

struct arena;

/*
 * Of the fixes with this id, of all with NULL. Nothing is changed with `look_only`. *ret_count: how many were taken
 * back; *ret_difference: what was shown, the arena's. EXIT_DONE, or the exit status to return, with the reason printed.
 */
int undo_fixes(struct invocation *inv, struct arena *arena, const char *id, bool look_only, size_t *ret_count,
	       const char **ret_difference);

#endif
