/*
 * header ──▶ L1 table ──▶ L2 tables ──▶ data clusters
 * Offsets are in bytes of the file, in bits 9 to 55 of an entry; a cluster is 2^cluster_bits bytes, a table entry 8,
 * and an L2 table is one cluster. An entry of zero leads nowhere. The last cluster that any table leads to says how
 * long the file must be: a download that broke off is shorter, though all its tables may be there.
 */
#include "image/qcow2.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
	MAGIC = 0x514649fb,	       /* "QFI\xfb" */
	INCOMPATIBLE_CORRUPT = 1 << 1, /* bits of the header's incompatible_features */
	INCOMPATIBLE_EXTERNAL_DATA = 1 << 2,
	INCOMPATIBLE_EXTENDED_L2 = 1 << 4,
};

enum { L1_SIZE_MAX = 32 << 20 }; /* QEMU's own limit, block/qcow2.h */

static const uint32_t extension_backing_format = 0xe2792aca;
static const uint64_t offset_mask = 0x00fffffffffffe00, compressed = 1ULL << 62;

struct header {
	uint32_t magic, version;
	uint64_t backing_offset;
	uint32_t backing_size, cluster_bits;
	uint64_t size;
	uint32_t crypt_method, l1_count;
	uint64_t l1_offset, refcount_offset;
	uint32_t refcount_clusters, snapshot_count;
	uint64_t snapshots_offset;
	/* From version 3 on: */
	uint64_t incompatible, compatible, autoclear;
	uint32_t refcount_order, header_length;
};

struct reading {
	int fd;
	const char *path;
	uint64_t length, cluster;
	struct qcow2 *q;
	struct error **err;
};

static int broken(struct reading *r, const char *what)
{
	return error_set(r->err, EBADMSG, "%s is truncated or damaged: its %s lies beyond the end of the file", r->path,
			 what);
}

/* Everything that is looked at passes here, so nothing beyond the end is. */
static int load(struct reading *r, uint64_t offset, void *to, size_t size, const char *what)
{
	ssize_t n;

	if (offset > r->length || size > r->length - offset)
		return broken(r, what);
	n = pread(r->fd, to, size, (off_t)offset);
	if (n != (ssize_t)size)
		return error_set(r->err, n < 0 ? errno : EIO, "cannot read %s: %s", r->path,
				 n < 0 ? strerror(errno) : "it became shorter meanwhile");
	return 0;
}

static void reach(struct reading *r, uint64_t end)
{
	if (end > r->q->end)
		r->q->end = end;
}

static int read_l2(struct reading *r, uint64_t offset, uint64_t *table, size_t stride)
{
	/* A compressed cluster starts at any byte; its offset has fewer bits the larger clusters are. */
	uint64_t compressed_mask = (1ULL << (62 - (__builtin_ctzll(r->cluster) - 8))) - 1;
	size_t count = r->cluster / 8;
	int result = load(r, offset, table, r->cluster, "L2 table");

	if (result < 0)
		return result;
	for (size_t i = 0; i < count; i += stride) {
		uint64_t entry = be64toh(table[i]), at = entry & (entry & compressed ? compressed_mask : offset_mask);

		/* Only its first byte must be there: the last cluster of a file may be cut off where zeros follow. */
		if (at)
			reach(r, at + 1);
	}
	return 0;
}

static int read_tables(struct reading *r, const struct header *h, bool extended)
{
	cleanup_free uint64_t *l1 = NULL, *l2 = NULL;
	uint64_t l1_size = (uint64_t)h->l1_count * 8;
	int result;

	if (h->l1_offset > r->length || l1_size > r->length - h->l1_offset)
		return broken(r, "L1 table");
	l1 = malloc(l1_size ? l1_size : 1);
	l2 = malloc(r->cluster);
	if (!l1 || !l2)
		return error_errno(r->err, ENOMEM, "cannot read %s", r->path);
	result = load(r, h->l1_offset, l1, l1_size, "L1 table");
	for (uint32_t i = 0; result == 0 && i < h->l1_count; i++) {
		uint64_t at = be64toh(l1[i]) & offset_mask;

		if (at)
			result = read_l2(r, at, l2, extended ? 2 : 1);
	}
	if (result == 0)
		reach(r, h->refcount_offset + (uint64_t)h->refcount_clusters * r->cluster);
	return result;
}

static int read_extensions(struct reading *r, uint64_t at, uint64_t end)
{
	while (at + 8 <= end) {
		uint32_t head[2], type, length;
		int result = load(r, at, head, sizeof(head), "header");

		if (result < 0)
			return result;
		type = be32toh(head[0]);
		length = be32toh(head[1]);
		if (type == 0)
			return 0;
		if (type == extension_backing_format && length < sizeof(r->q->backing_format)) {
			result = load(r, at + 8, r->q->backing_format, length, "header");
			if (result < 0)
				return result;
		}
		at += 8 + (((uint64_t)length + 7) & ~7ULL);
	}
	return 0;
}

static int read_header(struct reading *r, struct header *h)
{
	unsigned char raw[104] = {0};
	size_t size = r->length < sizeof(raw) ? 72 : sizeof(raw);
	int result = load(r, 0, raw, size, "header");
	uint32_t words[26];

	if (result < 0)
		return result;
	memcpy(words, raw, sizeof(words));
#define WORD(i)	  be32toh(words[i])
#define DOUBLE(i) ((uint64_t)WORD(i) << 32 | WORD((i) + 1))
	*h = (struct header){WORD(0),	 WORD(1),    DOUBLE(2),	 WORD(4),    WORD(5),  DOUBLE(6),
			     WORD(8),	 WORD(9),    DOUBLE(10), DOUBLE(12), WORD(14), WORD(15),
			     DOUBLE(16), DOUBLE(18), DOUBLE(20), DOUBLE(22), WORD(24), WORD(25)};
#undef DOUBLE
#undef WORD
	if (h->magic != MAGIC || h->version < 2 || h->version > 3)
		return error_set(r->err, EBADMSG, "%s is not a qcow2 file of version 2 or 3", r->path);
	if (h->version == 2) {
		h->incompatible = 0;
		h->header_length = 72;
	}
	if (h->cluster_bits < 9 || h->cluster_bits > 21 || h->header_length < 72 ||
	    h->header_length > 1U << h->cluster_bits || h->l1_count > L1_SIZE_MAX / 8)
		return error_set(r->err, EBADMSG, "%s is damaged: its header makes no sense", r->path);
	return 0;
}

static int read_head(struct reading *r, struct header *h)
{
	struct qcow2 *q = r->q;
	int result;

	*q = (struct qcow2){0};
	result = read_header(r, h);
	if (result < 0)
		return result;
	r->cluster = 1ULL << h->cluster_bits;
	q->size = h->size;
	q->encrypted = h->crypt_method != 0;
	q->corrupt = h->incompatible & INCOMPATIBLE_CORRUPT;
	q->external_data = h->incompatible & INCOMPATIBLE_EXTERNAL_DATA;
	if (h->backing_offset) {
		if (h->backing_size >= sizeof(q->backing))
			return error_set(r->err, EBADMSG, "%s is damaged: its header makes no sense", r->path);
		result = load(r, h->backing_offset, q->backing, h->backing_size, "header");
	}
	if (result == 0)
		result = read_extensions(r, h->header_length, h->backing_offset ? h->backing_offset : r->cluster);
	return result;
}

int qcow2_read_head(int fd, const char *path, uint64_t length, struct qcow2 *ret, struct error **err)
{
	struct reading reading = {.fd = fd, .path = path, .length = length, .q = ret, .err = err};
	struct header h;

	return read_head(&reading, &h);
}

int qcow2_read(int fd, const char *path, uint64_t length, struct qcow2 *ret, struct error **err)
{
	struct reading reading = {.fd = fd, .path = path, .length = length, .q = ret, .err = err}, *r = &reading;
	struct header h;
	int result = read_head(r, &h);

	/* With external data, the offsets are those of the other file. */
	if (result == 0 && !ret->external_data)
		result = read_tables(r, &h, h.incompatible & INCOMPATIBLE_EXTENDED_L2);
	return result;
}
