/* Which lab and which guest a command is about, once labs run. */
#ifndef NESTVISOR_CLI_TARGET_H
#define NESTVISOR_CLI_TARGET_H

#include "cli/command.h"
#include "model/lab.h"

/*
 * The lab as it was applied. `given` is a running lab's name or a lab file; NULL: what --lab says, else the lab of the
 * one *.nest.yaml in the current folder, else the one lab that runs. A file whose lab does not run is loaded itself.
 * Returns EXIT_DONE and the lab, or the exit status to return, with the reason printed.
 */
int target_lab(struct invocation *inv, const char *given, struct lab **ret);

/*
 * The same where it may be about this machine as well, which has no need of a lab: *ret is NULL where none is named and
 * none that would be meant runs.
 */
int target_running_lab(struct invocation *inv, struct lab **ret);

/*
 * As a lab file says it, where `given` or --lab is one; else as target_lab(). *ret_applied: the same lab as it was
 * applied, or NULL where it was not, or where *ret is that. Both are freed by the caller.
 */
int target_lab_said(struct invocation *inv, const char *given, struct lab **ret, struct lab **ret_applied);

/* The name alone, also of a lab whose files are damaged: what `down` needs. ret is freed by the caller. */
int target_name(struct invocation *inv, const char *given, char **ret);

/* "a, b": the labs that run here, for messages; "" where none does. To be freed. */
char *target_running_names(void);

/* A guest by its path, with "did you mean". */
int target_guest(struct invocation *inv, const struct lab *lab, const char *path, const struct guest **ret);

/* Puts the calling thread into the lab's network on this host. */
int target_enter(const struct lab *lab, struct error **err);

/* Replaces this program by another; returns only where that failed, with -errno. */
int target_become(struct invocation *inv, const char *const argv[], struct error **err);

/* Splits "GUEST:PATH"; a word without a colon, or with a slash before it, is a local path: NULL in ret_guest. To be
 * freed. */
void target_split(const char *word, char **ret_guest, const char **ret_path);

#endif
