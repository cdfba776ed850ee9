/*
 * A CD with one small file: ISO 9660 (ECMA-119, interchange level 2) with Joliet names, which is what Windows reads.
 * The same content gives the same bytes.
 */
#ifndef NESTVISOR_IMAGE_ISO_H
#define NESTVISOR_IMAGE_ISO_H

#include <stddef.h>

struct strbuf;

/*
 * Appends the image to `ret`, which must be empty. `label`: at most 16 of A-Z, 0-9 and "_". `name`: at most 30 ASCII
 * letters, digits and "_", with one dot among them.
 */
void iso_of_file(const char *label, const char *name, const void *data, size_t length, struct strbuf *ret);

#endif
