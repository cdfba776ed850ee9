/* What the readers of the two file systems share. */
#ifndef NESTVISOR_IMAGE_VOLUME_INTERNAL_H
#define NESTVISOR_IMAGE_VOLUME_INTERNAL_H

#include "image/volume.h"

enum {
	VOLUME_SECTOR = 2048,
	VOLUME_FIRST_DESCRIPTOR =
		16,		     /* ECMA-119 6.2.1, ECMA-167 2/8.3: what comes before belongs to whoever boots it */
	VOLUME_DESCRIPTORS_MAX = 64, /* that are looked at */
	VOLUME_FOLDER_MAX = 4 << 20, /* bytes of a folder's entries */
	VOLUME_EXTENTS_MAX = 4096,   /* of a file */
	VOLUME_NAME_MAX = 255,	     /* characters */
};

struct volume {
	struct arena *arena;
	const char *path, *label, *format;
	int fd;
	uint64_t size;
	struct volume_file root;
	/* Finds a name in the content of a folder: 1 and the file, 0 for none. */
	int (*look_up)(struct volume *volume, const unsigned char *folder, size_t length, const char *name,
		       struct volume_file *ret, struct error **err);
	/* UDF: where its partition begins, and how long it is, in bytes. */
	uint64_t partition, partition_length;
	bool joliet;
};

/* Bytes of the image itself. */
int volume_read_at(const struct volume *volume, uint64_t offset, void *buffer, size_t length, struct error **err);

/* -EBADMSG: "<path> is a broken CD image: …" */
int volume_broken(const struct volume *volume, struct error **err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* One stretch more of a file; it must lie within the image. */
int volume_add_extent(struct volume *volume, struct volume_file *file, uint64_t offset, uint64_t length,
		      struct error **err);

/* Appends a character of UCS-2 as UTF-8; half a surrogate pair becomes U+FFFD. */
struct strbuf;
void volume_add_character(struct strbuf *sb, unsigned character);

static inline uint16_t volume_le16(const unsigned char *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t volume_le32(const unsigned char *p)
{
	return (uint32_t)volume_le16(p) | (uint32_t)volume_le16(p + 2) << 16;
}

static inline uint64_t volume_le64(const unsigned char *p)
{
	return (uint64_t)volume_le32(p) | (uint64_t)volume_le32(p + 4) << 32;
}

/* 1 where the image has such a file system, and then root, look_up, label and format are set; 0 where it has none. */
int volume_open_udf(struct volume *volume, struct error **err);
int volume_open_iso(struct volume *volume, struct error **err);

#endif
