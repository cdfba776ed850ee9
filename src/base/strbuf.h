/* A string that grows. Zero-initialise it; `text` is NUL-terminated once anything was added, NULL before. Running out of memory ends the program. */
#ifndef NESTVISOR_BASE_STRBUF_H
#define NESTVISOR_BASE_STRBUF_H

#include <stddef.h>
#include <stdlib.h>

struct strbuf {
	char *text;
	size_t length, capacity;
};

void strbuf_add(struct strbuf *sb, const char *text);
void strbuf_add_bytes(struct strbuf *sb, const void *data, size_t length);
void strbuf_add_char(struct strbuf *sb, char c);
void strbuf_printf(struct strbuf *sb, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Text or an attribute's value for XML 1.0. What XML cannot say at all (2.2), as most control characters, becomes U+FFFD. */
void strbuf_add_xml(struct strbuf *sb, const char *text);

/* The text, handed over to the caller (never NULL); the buffer is empty afterwards. */
char *strbuf_steal(struct strbuf *sb);

static inline void strbuf_freep(struct strbuf *sb)
{
	free(sb->text);
}

#define cleanup_strbuf __attribute__((cleanup(strbuf_freep)))

#endif
