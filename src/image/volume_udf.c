/*
 * UDF. From its anchor in sector 256 to the list of volume descriptors, of which the partition says where blocks are
 * counted from, and the logical volume where the file set lies; that names the root folder. A file is an entry with its
 * pieces, a folder a file whose content are identifiers, each a name and where its entry lies.
 *
 * Numbers in comments: part and clause of ECMA-167, third edition; byte positions are its own.
 */
#include "image/volume_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

enum tag {
	TAG_ANCHOR = 2,
	TAG_PARTITION = 5,
	TAG_LOGICAL_VOLUME = 6,
	TAG_TERMINATOR = 8,
	TAG_FILE_SET = 256,
	TAG_IDENTIFIER = 257,
	TAG_FILE = 261,
	TAG_EXTENDED_FILE = 266,
};

enum {
	ANCHOR_SECTOR = 256,
	FOLDER = 4, /* 4/14.6.6 */
	PIECES_SHORT = 0,
	PIECES_LONG = 1,
	PIECES_NONE = 3,     /* the content stands in the entry itself */
	PIECE_RECORDED = 0,  /* the upper two bits of a piece's length: 4/14.14.1.1 */
	PIECE_CONTINUED = 3, /* more pieces stand there */
	IDENTIFIER_DELETED = 4,
	IDENTIFIER_PARENT = 8,
	IDENTIFIER_SIZE = 38,
};

/* 3/7.2: which descriptor it is; byte 4 is the sum of the other fifteen. */
static bool has_tag(const unsigned char *descriptor, enum tag tag)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < 16; i++)
		sum += i == 4 ? 0 : descriptor[i];
	return volume_le16(descriptor) == tag && descriptor[4] == (sum & 0xff);
}

/* 1/7.2.12 as OSTA compresses it: 8 or 16 bits for each character, the high byte first. */
static char *text_of(const unsigned char *bytes, size_t length)
{
	struct strbuf text = {0};

	if (length && bytes[0] == 8)
		for (size_t i = 1; i < length; i++)
			volume_add_character(&text, bytes[i]);
	if (length && bytes[0] == 16)
		for (size_t i = 1; i + 1 < length; i += 2)
			volume_add_character(&text, (unsigned)bytes[i] << 8 | bytes[i + 1]);
	return strbuf_steal(&text);
}

/* A block of the partition: where it lies in the image. */
static int block_offset(const struct volume *volume, uint32_t block, uint64_t length, uint64_t *ret, struct error **err)
{
	uint64_t offset = (uint64_t)block * VOLUME_SECTOR;

	if (offset > volume->partition_length || length > volume->partition_length - offset)
		return volume_broken(volume, err, "something on it lies outside of its partition");
	*ret = volume->partition + offset;
	return 0;
}

static int read_block(const struct volume *volume, uint32_t block, unsigned char *ret, struct error **err)
{
	uint64_t offset = 0;
	int r = block_offset(volume, block, VOLUME_SECTOR, &offset, err);

	return r < 0 ? r : volume_read_at(volume, offset, ret, VOLUME_SECTOR, err);
}

/* 4/14.14.1, 4/14.14.2 */
static int take_pieces(struct volume *volume, const unsigned char *at, size_t length, size_t size,
		       struct volume_file *file, struct error **err)
{
	for (; length >= size; at += size, length -= size) {
		uint32_t bytes = volume_le32(at), kind = bytes >> 30;
		uint64_t offset = 0;
		int r;

		bytes &= 0x3fffffff;
		if (bytes == 0)
			return 0;
		if (kind == PIECE_CONTINUED)
			return volume_broken(volume, err, "a file on it has more pieces than are looked at here");
		if (kind != PIECE_RECORDED)
			return volume_broken(volume, err, "a piece of a file on it was never written");
		r = block_offset(volume, volume_le32(at + 4), bytes, &offset, err);
		if (r == 0)
			r = volume_add_extent(volume, file, offset, bytes, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* 4/14.9, 4/14.17 */
static int read_entry(struct volume *volume, uint32_t block, struct volume_file *ret, struct error **err)
{
	unsigned char entry[VOLUME_SECTOR];
	size_t head, attributes, pieces;
	int r = read_block(volume, block, entry, err);

	if (r < 0)
		return r;
	if (has_tag(entry, TAG_FILE))
		head = 176;
	else if (has_tag(entry, TAG_EXTENDED_FILE))
		head = 216;
	else
		return volume_broken(volume, err, "there is no file where one should be");
	attributes = volume_le32(entry + head - 8);
	pieces = volume_le32(entry + head - 4);
	if (attributes > VOLUME_SECTOR - head || pieces > VOLUME_SECTOR - head - attributes)
		return volume_broken(volume, err, "a file's entry is longer than its block");
	*ret = (struct volume_file){.size = volume_le64(entry + 56), .folder = entry[27] == FOLDER};
	switch (volume_le16(entry + 34) & 7) {
	case PIECES_SHORT:
		return take_pieces(volume, entry + head + attributes, pieces, 8, ret, err);
	case PIECES_LONG:
		return take_pieces(volume, entry + head + attributes, pieces, 16, ret, err);
	case PIECES_NONE:
		return volume_add_extent(volume, ret,
					 volume->partition + (uint64_t)block * VOLUME_SECTOR + head + attributes,
					 pieces, err);
	default:
		return volume_broken(volume, err, "a file's pieces are listed in an unknown way");
	}
}

/* 4/14.4 */
static int look_up(struct volume *volume, const unsigned char *folder, size_t length, const char *name,
		   struct volume_file *ret, struct error **err)
{
	for (size_t at = 0; at + IDENTIFIER_SIZE <= length;) {
		const unsigned char *identifier = folder + at;
		size_t name_length = identifier[19], use = volume_le16(identifier + 36);
		size_t size = IDENTIFIER_SIZE + use + name_length;
		cleanup_free char *its = NULL;
		int r;

		if (!has_tag(identifier, TAG_IDENTIFIER) || size > length - at)
			return volume_broken(volume, err, "a folder's list of names is damaged");
		at += (size + 3) / 4 * 4;
		if (identifier[18] & (IDENTIFIER_DELETED | IDENTIFIER_PARENT))
			continue;
		its = text_of(identifier + IDENTIFIER_SIZE + use, name_length);
		if (strcasecmp(its, name) != 0)
			continue;
		r = read_entry(volume, volume_le32(identifier + 24), ret, err);
		return r < 0 ? r : 1;
	}
	return 0;
}

/* 2/8.3.1: among the descriptors that tell which file systems there are. */
static int is_there(const struct volume *volume, struct error **err)
{
	unsigned char head[6];

	for (unsigned i = 0; i < VOLUME_DESCRIPTORS_MAX; i++) {
		uint64_t at = (uint64_t)(VOLUME_FIRST_DESCRIPTOR + i) * VOLUME_SECTOR;
		int r;

		if (at + sizeof(head) > volume->size)
			return 0;
		r = volume_read_at(volume, at, head, sizeof(head), err);
		if (r < 0)
			return r;
		if (memcmp(head + 1, "NSR02", 5) == 0 || memcmp(head + 1, "NSR03", 5) == 0)
			return 1;
		if (memcmp(head + 1, "CD001", 5) != 0 && memcmp(head + 1, "BEA01", 5) != 0 &&
		    memcmp(head + 1, "BOOT2", 5) != 0 && memcmp(head + 1, "TEA01", 5) != 0)
			return 0;
	}
	return 0;
}

/* 3/10.6: its label, its blocks' size, and where its file set is. One map of a partition as it is: 3/10.7.2. */
static int take_logical_volume(struct volume *volume, const unsigned char *descriptor, uint32_t *ret_file_set,
			       struct error **err)
{
	cleanup_free char *label = descriptor[211] < 128 ? text_of(descriptor + 84, descriptor[211]) : NULL;

	if (volume_le32(descriptor + 212) != VOLUME_SECTOR)
		return volume_broken(volume, err, "its blocks have %u bytes, and not 2048",
				     volume_le32(descriptor + 212));
	if (volume_le32(descriptor + 268) != 1 || descriptor[440] != 1)
		return volume_broken(volume, err, "it is divided in a way that installation media are not");
	volume->label = arena_strdup(volume->arena, label ? label : "");
	*ret_file_set = volume_le32(descriptor + 252);
	return 0;
}

/* The descriptors of the volume, from the anchor on: 3/8.4.2. */
static int read_descriptors(struct volume *volume, uint32_t *ret_file_set, struct error **err)
{
	unsigned char descriptor[VOLUME_SECTOR];
	bool partition = false, logical = false;
	uint64_t first, count;
	int r = volume_read_at(volume, (uint64_t)ANCHOR_SECTOR * VOLUME_SECTOR, descriptor, sizeof(descriptor), err);

	if (r < 0)
		return r;
	if (!has_tag(descriptor, TAG_ANCHOR))
		return volume_broken(volume, err, "its UDF has no anchor");
	count = volume_le32(descriptor + 16) / VOLUME_SECTOR;
	first = volume_le32(descriptor + 20);
	for (uint64_t i = 0; i < count && i < VOLUME_DESCRIPTORS_MAX; i++) {
		r = volume_read_at(volume, (first + i) * VOLUME_SECTOR, descriptor, sizeof(descriptor), err);
		if (r < 0)
			return r;
		if (has_tag(descriptor, TAG_TERMINATOR))
			break;
		if (has_tag(descriptor, TAG_PARTITION)) {
			volume->partition = (uint64_t)volume_le32(descriptor + 188) * VOLUME_SECTOR;
			volume->partition_length = (uint64_t)volume_le32(descriptor + 192) * VOLUME_SECTOR;
			partition = true;
		} else if (has_tag(descriptor, TAG_LOGICAL_VOLUME)) {
			r = take_logical_volume(volume, descriptor, ret_file_set, err);
			if (r < 0)
				return r;
			logical = true;
		}
	}
	return partition && logical ? 0 : volume_broken(volume, err, "its UDF does not say where its files are");
}

int volume_open_udf(struct volume *volume, struct error **err)
{
	unsigned char file_set[VOLUME_SECTOR];
	uint32_t block = 0;
	int r = is_there(volume, err);

	if (r <= 0)
		return r;
	r = read_descriptors(volume, &block, err);
	if (r == 0 && (volume->partition > volume->size || volume->partition_length > volume->size - volume->partition))
		r = error_set(err, EBADMSG, "%s is truncated: it has %llu bytes, and its files reach to byte %llu",
			      volume->path, (unsigned long long)volume->size,
			      (unsigned long long)(volume->partition + volume->partition_length));
	if (r == 0)
		r = read_block(volume, block, file_set, err);
	if (r == 0 && !has_tag(file_set, TAG_FILE_SET))
		r = volume_broken(volume, err, "its UDF has no file set");
	if (r == 0)
		r = read_entry(volume, volume_le32(file_set + 404), &volume->root, err);
	volume->look_up = look_up;
	volume->format = "UDF";
	return r < 0 ? r : 1;
}
