/* The build scripts and the files that go into images, as they are in script/ and guest/, part of the program
 * (embed.sh). */
#ifndef NESTVISOR_IMAGE_FILES_H
#define NESTVISOR_IMAGE_FILES_H

#include <stddef.h>

struct embedded_file {
	const char *name; /* without a folder; NULL ends the table */
	const unsigned char *data;
	size_t length;
};

extern const struct embedded_file embedded_files[];

#endif
