/* Cuts a stream of bytes into lines, as QMP and the guest agent speak in. */
#ifndef NESTVISOR_TRANSPORT_FRAMER_H
#define NESTVISOR_TRANSPORT_FRAMER_H

#include "base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>

/* Zero-initialise. */
struct framer {
	struct strbuf bytes;
	size_t start;	/* of the first byte not handed out yet */
	size_t scanned; /* up to here there is no end of line */
};

enum { FRAMER_LINE_MAX = 64 << 20 }; /* QEMU's own limit for one JSON document (qobject/json-streamer.c) */

void framer_feed(struct framer *framer, const void *data, size_t length);

/* The next whole line without its end; valid until the next feed. 1 found, 0 more bytes needed, -EMSGSIZE too long. */
int framer_line(struct framer *framer, const char **ret_line, size_t *ret_length);

bool framer_empty(const struct framer *framer); /* everything was handed out */
void framer_clear(struct framer *framer);

#endif
