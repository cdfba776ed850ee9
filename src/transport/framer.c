#include "transport/framer.h"

#include <errno.h>
#include <string.h>

void framer_feed(struct framer *framer, const void *data, size_t length)
{
	struct strbuf *bytes = &framer->bytes;

	if (framer->start) {
		memmove(bytes->text, bytes->text + framer->start, bytes->length - framer->start);
		bytes->length -= framer->start;
		framer->scanned -= framer->start;
		framer->start = 0;
	}
	strbuf_add_bytes(bytes, data, length);
}

int framer_line(struct framer *framer, const char **ret_line, size_t *ret_length)
{
	struct strbuf *bytes = &framer->bytes;
	char *end = NULL;

	if (framer->scanned < bytes->length)
		end = memchr(bytes->text + framer->scanned, '\n', bytes->length - framer->scanned);
	if (!end) {
		framer->scanned = bytes->length;
		return bytes->length - framer->start > FRAMER_LINE_MAX ? -EMSGSIZE : 0;
	}
	*ret_line = bytes->text + framer->start;
	*ret_length = (size_t)(end - *ret_line);
	framer->start = framer->scanned = (size_t)(end - bytes->text) + 1;
	return 1;
}

void framer_clear(struct framer *framer)
{
	free(framer->bytes.text);
	*framer = (struct framer){0};
}

bool framer_empty(const struct framer *framer)
{
	return framer->start == framer->bytes.length;
}
