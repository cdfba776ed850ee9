#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void reserve(struct strbuf *sb, size_t more)
{
	size_t want = sb->length + more + 1;

	if (want <= sb->capacity)
		return;
	want = want < 64 ? 64 : want + want / 2;
	sb->text = realloc(sb->text, want);
	if (!sb->text)
		abort();
	sb->capacity = want;
}

void strbuf_add_bytes(struct strbuf *sb, const void *data, size_t length)
{
	reserve(sb, length);
	if (length)
		memcpy(sb->text + sb->length, data, length);
	sb->length += length;
	sb->text[sb->length] = '\0';
}

void strbuf_add(struct strbuf *sb, const char *text)
{
	strbuf_add_bytes(sb, text, strlen(text));
}

void strbuf_add_char(struct strbuf *sb, char c)
{
	strbuf_add_bytes(sb, &c, 1);
}

void strbuf_printf(struct strbuf *sb, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (length < 0)
		abort();
	reserve(sb, (size_t)length);
	va_start(args, format);
	vsnprintf(sb->text + sb->length, (size_t)length + 1, format, args);
	va_end(args);
	sb->length += (size_t)length;
}

char *strbuf_steal(struct strbuf *sb)
{
	char *text;

	reserve(sb, 0);
	sb->text[sb->length] = '\0';
	text = sb->text;
	*sb = (struct strbuf){0};
	return text;
}

void strbuf_add_xml(struct strbuf *sb, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '&':
			strbuf_add(sb, "&amp;");
			break;
		case '<':
			strbuf_add(sb, "&lt;");
			break;
		case '>':
			strbuf_add(sb, "&gt;");
			break;
		case '\'':
			strbuf_add(sb, "&apos;");
			break;
		case '"':
			strbuf_add(sb, "&quot;");
			break;
		default:
			if ((unsigned char)*text < ' ' && !strchr("\t\n\r", *text))
				strbuf_add(sb, "\xef\xbf\xbd");
			else if ((unsigned char)*text < ' ') /* in an attribute it would be read as a space (3.3.3) */
				strbuf_printf(sb, "&#%d;", *text);
			else
				strbuf_add_char(sb, *text);
		}
}
