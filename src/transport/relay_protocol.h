/*
 * What the two ends of a live stream through the guest agent say to each other: frames in two memory files of the
 * guest, one per direction, that are only ever appended to. The writer of a file may be ahead of its reader by
 * RELAY_WINDOW bytes of frames; the reader's RELAY_ACK says how far it has come, and the relay then punches what was
 * read out of the file, so that neither grows. Both ends run on x86-64: little-endian as it stands in memory.
 */
#ifndef NESTVISOR_TRANSPORT_RELAY_PROTOCOL_H
#define NESTVISOR_TRANSPORT_RELAY_PROTOCOL_H

#include <stdint.h>

enum relay_type {
	/* to the guest */
	RELAY_DATA = 1, /* for the program's standard input */
	RELAY_END,	/* its end; no payload */
	RELAY_SIGNAL,	/* uint32_t: a signal for the program's process group */
	/* both ways */
	RELAY_ACK, /* uint64_t: bytes of the other file that were taken in; from the host also a sign of life */
	/* from the guest */
	RELAY_HELLO, /* the token, first of all */
	RELAY_OUT,
	RELAY_ERR,
	RELAY_EXIT,   /* uint32_t: exit status, 128 + signal; last of all */
	RELAY_FAILED, /* uint32_t: errno, then text: the program could not be started; last of all */
};

struct relay_header {
	uint32_t type;
	uint32_t length; /* of the payload that follows */
};

enum {
	RELAY_TO_GUEST_FD = 100, /* the relay's descriptors: the host opens /proc/<pid>/fd/<these> */
	RELAY_TO_HOST_FD = 101,
	RELAY_WINDOW = 1 << 20,
	RELAY_PAYLOAD_MAX = 192 << 10,
	RELAY_SIGN_OF_LIFE_MS = 3000, /* the host says something at least this often */
	RELAY_PATIENCE_MS = 30000,    /* after which the relay takes the host for gone */
};

#endif
