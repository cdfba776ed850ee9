#include "base/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void report(struct reporter *reporter, enum report_kind kind, const char *subject, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	if (!reporter)
		return;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	reporter->event(reporter, kind, subject, text);
	free(text);
}
