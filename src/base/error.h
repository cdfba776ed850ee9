/*
 * Errors. A function that can fail returns 0 or -errno and takes `struct error **err` last. The error is set once,
 * where it happened, and gets context on its way up. A message says what was tried, on what, and what happened; the
 * hint says what the reader can do. `err` may be NULL where the caller only wants the number. Nobody below the
 * command line prints one.
 */
#ifndef NESTVISOR_BASE_ERROR_H
#define NESTVISOR_BASE_ERROR_H

#include <stddef.h>

struct error {
	int code;      /* a positive errno value */
	char *message; /* one line or several, no newline at its end */
	char *hint;    /* what the reader can do, or NULL */
};

/* Sets *err (replacing what was there) and returns -code. The message is not extended by strerror(): see error_errno. */
int error_set(struct error **err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same, with ": " and strerror(code) after the message. Code may be given with either sign. */
int error_errno(struct error **err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "<context>: " in front of the message and returns -code of the error, or -EIO where none is set. */
int error_wrap(struct error **err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets the hint, if none is set yet: the innermost one knows most. */
void error_hint(struct error **err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Hands *from on to *to, which must be empty. Where the receiver wants none (to is NULL) it is freed. Returns -code. */
int error_move(struct error **to, struct error **from);

void error_free(struct error *err);

static inline void error_freep(struct error **err)
{
	error_free(*err);
	*err = NULL;
}

#define cleanup_error __attribute__((cleanup(error_freep)))

#endif
