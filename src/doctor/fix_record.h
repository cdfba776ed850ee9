/*
 * What is on disk of a fix, for fix.c alone: <state>/.fixes/<number>/ with copies of the files as they were (copy-0, …)
 * and a journal, one JSON document per line:
 *
 *   {"fix": {…}}       everything that taking it back needs; written and synced with the copies before anything changes
 *   {"begin": 2}       action 2 starts
 *   {"applied": true}  all of them are done: the fix stays until somebody takes it back
 *   {"undo": true}     it is being taken back
 *   {"undone": 2}      action 2 is taken back
 *   {"over": true}     as far as it could be: a file that was somebody else's by then is left, and its copy here
 *
 * A folder comes into being and goes by one rename (<number>.new, <number>.old), so that what has a bare number for a
 * name is always whole. A fix without "applied", or with "undo", was stopped half way: it is to be taken back. The dot
 * keeps the folder from being taken for that of a lab.
 */
#ifndef NESTVISOR_DOCTOR_FIX_RECORD_H
#define NESTVISOR_DOCTOR_FIX_RECORD_H

#include "base/file.h"
#include "doctor/fix.h"

struct arena;

struct recorded_action {
	enum fix_action_kind kind;
	/* FIX_FILE */
	const char *path;
	const char *staged;	    /* the new text, beside it, until it is renamed */
	const char *copy;	    /* a path; NULL: there was no file */
	const char *before, *after; /* hashes; before is NULL: there was no file */
	mode_t mode;
	const char **made; /* folders that are made for it, outermost first */
	size_t made_count;
	/* FIX_RUN */
	const char **run, **undo; /* NULL-terminated; undo NULL: nothing to take back */
	struct fix_command run_more, undo_more;

	bool begun, undone;
};

struct record {
	struct arena *arena;
	unsigned number;
	const char *folder, *journal;
	const char *id, *does;
	struct recorded_action *actions;
	size_t action_count;
	bool applied, undoing, over;
	bool recovered;	  /* it was left half done, and has been taken back this time */
	const char *gone; /* this time nothing could be taken back on a host that is not there: what was said of it */
	int journal_fd;	  /* -1 until something is appended */
};

/* The folder of all fixes, and the lock on it. */
struct records {
	struct arena *arena;
	const char *folder;
	int lock_fd;
	struct record **records; /* oldest first */
	size_t record_count;
};

/* Makes the folder where there is none, locks it, clears away what came into being or went half, and reads all records.
 * -EBUSY: another nestvisor is mending. With `look` nothing is made: no folder means no records. */
int records_open(bool look, struct reporter *reporter, struct records **ret, struct error **err);
void records_close(struct records *records); /* NULL is fine */

static inline void records_closep(struct records **records)
{
	records_close(*records);
}
#define cleanup_records __attribute__((cleanup(records_closep)))

/* A new record with the next number, in memory alone: the caller fills its actions. */
struct record *record_new(struct records *records, const struct fix *fix);
/* Where an action's copy and its staged text are. */
const char *record_copy_path(const struct record *record, size_t action);
const char *record_staged_path(const struct record *record, const char *path);
/* Puts it on disk. `copies`: the old text of each action, NULL where there is none. */
struct record_text {
	const char *data;
	size_t length;
};
int record_write(struct records *records, struct record *record, const struct record_text *copies, struct error **err);

/* Each is on disk when it returns. */
int record_begin(struct record *record, size_t action, struct error **err);
int record_undone(struct record *record, size_t action, struct error **err);
int record_applied(struct record *record, struct error **err);
int record_undo(struct record *record, struct error **err);

/* Keeps the copies of a fix that is over but for what somebody else changed. */
int record_leave(struct record *record, struct error **err);
/* Forgets a fix that is taken back. */
int record_remove(struct record *record, struct error **err);

#endif
