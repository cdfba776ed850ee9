/*
 * Checksums of the files of a folder, as JSON:
 *   {"vmlinux": {"size": 53243444, "mtime": 1700000000123456789, "parts": [[33554432, "<SHA-256>"], [19689012, "…"]]}}
 * A file is summed in parts, so that several threads can do it, and so that the sums of a file which is others one
 * after the other are known without reading it again.
 */
#ifndef NESTVISOR_IMAGE_SUMS_H
#define NESTVISOR_IMAGE_SUMS_H

#include <jansson.h>
#include <stdbool.h>

struct cancel;
struct error;

/* Sums a file and adds it. `parts` (taken over): the sums if they are known already, or NULL. */
int sums_add(json_t *sums, const char *folder, const char *name, json_t *parts, struct cancel *cancel,
	     struct error **err);

/* The parts of a file that is in there: a new reference; NULL if it is not. */
json_t *sums_parts(const json_t *sums, const char *name);

/*
 * Whether the files are the ones that were summed: by size and time of modification, and with `content`, or where only
 * the time differs, by content. -EBADMSG, with the file and what is wrong with it in the message, when not. Where it
 * was only the time (somebody copied the folder), the sums get the new one and ret_changed is set.
 */
int sums_check(json_t *sums, const char *folder, bool content, struct cancel *cancel, bool *ret_changed,
	       struct error **err);

/* A copy without the times of modification, which are this machine's own: equal for equal files. */
json_t *sums_portable(const json_t *sums);

enum { IMAGE_ID_SIZE = 21 };
/* 20 characters of the SHA-256 of a JSON document in its canonical form: an image's or a layer's id. */
void json_identify(const json_t *json, char ret[IMAGE_ID_SIZE]);

#endif
