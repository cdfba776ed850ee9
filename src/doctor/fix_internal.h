/* What carrying out a fix (fix.c) and showing one (fix_show.c) both need. */
#ifndef NESTVISOR_DOCTOR_FIX_INTERNAL_H
#define NESTVISOR_DOCTOR_FIX_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

struct error;
struct fix_action;
struct strbuf;

/* A file as it is, or is to be. */
struct content {
	bool exists;
	char *data;
	size_t length;
};

void content_clear(struct content *content);
#define cleanup_content __attribute__((cleanup(content_clear)))

/* A file that is not there is no error; a symbolic link or a relative path is. */
int content_read(const char *path, struct content *ret, struct error **err);
bool content_is(const struct content *content, const char *text, size_t length);
/* A hash of NULL stands for no file. */
bool content_has_hash(const struct content *content, const char *hash);

/* Is there nothing left for an action to do? */
int fix_is_done(const struct fix_action *action, bool *ret, struct error **err);

/* What a person would type, as one line. */
void fix_add_argv(struct strbuf *out, const char *const *argv);

#endif
