/*
 * Fixes: small changes to a machine that can be taken back. A fix is a list of actions; each knows how to see that it
 * is done already, how to do it and how to undo it. Before the first action is taken everything needed to undo all of
 * them is on disk (in <state>/.fixes/<number>/: a journal and copies of the files as they were), so that a fix which
 * fails or is killed half way is rolled back, by itself or by the next `--fix` or `--undo`, and applying it twice
 * changes nothing the second time. A lock keeps a second nestvisor out meanwhile.
 *
 * Files are replaced in one rename and keep owner, mode and extended attributes; symbolic links in their place are
 * refused. Of a command that was begun nobody may know how far it came: undo must also work where it did nothing.
 *
 * <state> is /var/lib/nestvisor for root and ~/.local/state/nestvisor for others: see base/places.h.
 */
#ifndef NESTVISOR_DOCTOR_FIX_H
#define NESTVISOR_DOCTOR_FIX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct error;
struct reporter;
struct strbuf;

enum fix_action_kind {
	FIX_NONE,
	FIX_FILE, /* the file has exactly this text from then on; made where it was not */
	FIX_RUN,  /* a command, and the command that takes it back */
};

/* The exit status with which an undo command says that it left what somebody else changed since; its standard error
 * says what. */
enum { FIX_LEFT = 76 };
/*
 * And with which it says that the host is not there, so that nothing was taken back: the record stays and the next
 * `--undo` tries again; no other fix waits for that.
 */
enum { FIX_GONE = 77 };

/* What a command reads on its standard input, and what people are shown in its place; each NULL: nothing, the argv. */
struct fix_command {
	const char *input; /* UTF-8 */
	const char *shown; /* lines: "on hv1: ip route add 10.0.0.0/8 via 192.168.122.1", a difference */
};

struct fix_action {
	enum fix_action_kind kind;
	const char *path; /* FIX_FILE; absolute */
	const char *text;
	size_t length;
	mode_t mode;			      /* of a new file; an old one keeps its mode and owner */
	const char *const *run, *const *undo; /* FIX_RUN: argv, NULL-terminated; undo NULL: nothing to take back */
	struct fix_command run_more, undo_more;
	const char *const *done; /* an argv that succeeds where `run` is not needed any more; NULL: always needed */
	const char *const *safe; /* an argv that must succeed before anything is changed; NULL: nothing to ask */
};

struct fix {
	const char *id;	  /* of the check, or "wsl" */
	const char *does; /* one line: "switch nesting on for kvm_amd, now and from the next boot on" */
	const struct fix_action *actions;
	size_t action_count;
};

/* What a fix would change: unified differences of files, commands. Empty: all is done already. */
int fix_preview(const struct fix *fix, struct strbuf *ret, struct error **err);
/* All of it or nothing. *ret_changed false: there was nothing to do. -EBUSY with what is in the way where an action is
 * not safe now; a failing action is rolled back and is the error. */
int fix_apply(const struct fix *fix, struct reporter *reporter, bool *ret_changed, struct error **err);
/* Takes back what was left half done, if anything was, as everybody does who applies or takes back: for whoever looks
 * at the machine first. */
int fix_recover(struct reporter *reporter, struct error **err);
/* Takes back the fixes with this id, or all with NULL, newest first. A file that somebody changed since is left, aloud:
 * -EEXIST. -EHOSTDOWN: all that is missing is on hosts that are gone. *ret_count: how many fixes were taken back, those
 * that an earlier call had begun to take back included. */
int fix_undo(const char *id, struct reporter *reporter, size_t *ret_count, struct error **err);
/* What fix_undo() would change now, in the same form and order; empty: nothing. Changes nothing. A file that somebody
 * changed since is said to be left. */
int fix_undo_preview(const char *id, struct strbuf *ret, struct error **err);
/* The commands a person would type for the same, one per line. */
void fix_commands(const struct fix *fix, struct strbuf *ret);

#endif
