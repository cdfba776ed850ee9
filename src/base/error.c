#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *format_text(const char *format, va_list args)
{
	char *text = NULL;

	if (vasprintf(&text, format, args) < 0)
		abort();
	return text;
}

static void replace(struct error **err, int code, char *message)
{
	struct error *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		abort();
	fresh->code = code;
	fresh->message = message;
	error_free(*err);
	*err = fresh;
}

int error_set(struct error **err, int code, const char *format, ...)
{
	va_list args;

	if (!err)
		return -code;
	va_start(args, format);
	replace(err, code, format_text(format, args));
	va_end(args);
	return -code;
}

int error_errno(struct error **err, int code, const char *format, ...)
{
	va_list args;
	char *what, *message = NULL;

	code = code < 0 ? -code : code;
	if (!err)
		return -code;
	va_start(args, format);
	what = format_text(format, args);
	va_end(args);
	if (asprintf(&message, "%s: %s", what, strerror(code)) < 0)
		abort();
	free(what);
	replace(err, code, message);
	return -code;
}

int error_wrap(struct error **err, const char *format, ...)
{
	va_list args;
	char *context, *message = NULL;

	if (!err || !*err)
		return -EIO;
	va_start(args, format);
	context = format_text(format, args);
	va_end(args);
	if (asprintf(&message, "%s: %s", context, (*err)->message) < 0)
		abort();
	free(context);
	free((*err)->message);
	(*err)->message = message;
	return -(*err)->code;
}

void error_hint(struct error **err, const char *format, ...)
{
	va_list args;

	if (!err || !*err || (*err)->hint)
		return;
	va_start(args, format);
	(*err)->hint = format_text(format, args);
	va_end(args);
}

int error_move(struct error **to, struct error **from)
{
	int code = *from ? (*from)->code : EIO;

	if (to) {
		error_free(*to);
		*to = *from;
	} else {
		error_free(*from);
	}
	*from = NULL;
	return -code;
}

void error_free(struct error *err)
{
	if (!err)
		return;
	free(err->message);
	free(err->hint);
	free(err);
}
