/* The metadata of a qcow2 file (docs/interop/qcow2.txt of QEMU), as far as it tells whether the file is whole. */
#ifndef NESTVISOR_IMAGE_QCOW2_H
#define NESTVISOR_IMAGE_QCOW2_H

#include <stdbool.h>
#include <stdint.h>

struct error;

struct qcow2 {
	uint64_t size;		 /* virtual, in bytes */
	char backing[1024];	 /* as written in the file; "" without */
	char backing_format[32]; /* "" where the file does not say */
	bool external_data, encrypted, corrupt;
	uint64_t end; /* the file must be at least so long */
};

/* The header alone: what the file is and lies on, also of one whose tables are damaged; `end` stays 0. */
int qcow2_read_head(int fd, const char *path, uint64_t length, struct qcow2 *ret, struct error **err);

/* -EBADMSG for what breaks the format, such as tables beyond the end. */
int qcow2_read(int fd, const char *path, uint64_t length, struct qcow2 *ret, struct error **err);

#endif
