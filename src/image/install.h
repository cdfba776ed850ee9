/*
 * A guest on which Windows is installed (model/lab.h: struct install): its media looked at, its answers made.
 */
#ifndef NESTVISOR_IMAGE_INSTALL_H
#define NESTVISOR_IMAGE_INSTALL_H

#include "model/lab.h"

struct arena;
struct error;

/* What of it is wrong. */
enum install_part {
	INSTALL_PART_WHOLE,
	INSTALL_PART_MEDIUM,
	INSTALL_PART_VIRTIO,
	INSTALL_PART_EDITION, /* or the language: the medium lacks it */
	INSTALL_PART_PASSWORD,
};

/*
 * Whether Windows could be installed so: the media are such and have what is asked for, the password's file can be
 * read, and Windows takes every answer. Chooses the edition and the language where the file leaves them open.
 */
int install_check(struct arena *arena, struct guest *guest, enum install_part *ret_wrong, struct error **err);

/* The CD with the answers. The guest must have been checked, here or at the layer above. */
int install_make_seed(const struct guest *guest, const char *path, struct error **err);

#endif
