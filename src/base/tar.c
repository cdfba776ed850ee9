#include "base/tar.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	BLOCK = 512,
	PAX_SIZE_MAX = 1 << 20,
};

/* POSIX.1-2017, pax, Table "ustar Header Block". */
struct header {
	char name[100];
	char mode[8], uid[8], gid[8];
	char size[12], mtime[12];
	char checksum[8];
	char type;
	char link[100];
	char magic[6], version[2];
	char owner[32], group[32];
	char major[8], minor[8];
	char prefix[155];
	char unused[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is a block");

/* The sum of all bytes, those of the checksum itself as spaces. */
static unsigned checksum(const struct header *header)
{
	const unsigned char *bytes = (const unsigned char *)header;
	unsigned sum = 0;

	for (size_t i = 0; i < BLOCK; i++)
		sum += i >= offsetof(struct header, checksum) && i < offsetof(struct header, type) ? ' ' : bytes[i];
	return sum;
}

/* Parts the path at a slash so that both parts fit. */
static bool split_path(struct header *header, const char *path)
{
	size_t length = strlen(path);

	if (length <= sizeof(header->name)) {
		memcpy(header->name, path, length);
		return true;
	}
	for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
		size_t before = (size_t)(slash - path), behind = length - before - 1;

		if (before > sizeof(header->prefix))
			return false;
		if (behind > sizeof(header->name) || behind == 0)
			continue;
		memcpy(header->prefix, path, before);
		memcpy(header->name, slash + 1, behind);
		return true;
	}
	return false;
}

static void put_octal(char *field, size_t size, uint64_t value)
{
	field[size - 1] = '\0';
	for (size_t i = size - 1; i-- > 0; value >>= 3)
		field[i] = (char)('0' + (value & 7));
}

static void pad(struct strbuf *out)
{
	static const char zeros[BLOCK];

	if (out->length % BLOCK)
		strbuf_add_bytes(out, zeros, BLOCK - out->length % BLOCK);
}

int tar_add(struct strbuf *out, const char *path, const void *data, size_t length, mode_t mode, time_t mtime,
	    struct error **err)
{
	struct header header = {.type = '0', .magic = "ustar", .version = {'0', '0'}, .owner = "root", .group = "root"};

	if (!split_path(&header, path))
		return error_errno(err, ENAMETOOLONG, "cannot put %s into a tar archive", path);
	if ((uint64_t)length >> 33)
		return error_errno(err, EFBIG, "cannot put %s into a tar archive", path);
	put_octal(header.mode, sizeof(header.mode), mode & 07777);
	put_octal(header.uid, sizeof(header.uid), 0);
	put_octal(header.gid, sizeof(header.gid), 0);
	put_octal(header.size, sizeof(header.size), length);
	put_octal(header.mtime, sizeof(header.mtime), mtime > 0 ? (uint64_t)mtime : 0);
	put_octal(header.checksum, sizeof(header.checksum) - 1, checksum(&header));
	header.checksum[7] = ' ';
	strbuf_add_bytes(out, &header, sizeof(header));
	strbuf_add_bytes(out, data, length);
	pad(out);
	return 0;
}

void tar_end(struct strbuf *out)
{
	static const char zeros[2 * BLOCK];

	strbuf_add_bytes(out, zeros, sizeof(zeros));
}

static const struct packer {
	const char *magic;
	size_t length;
	const char *name, *unpack;
} packers[] = {
	{"\x1f\x8b", 2, "gzip", "tar xzf"},	    {"BZh", 3, "bzip2", "tar xjf"},
	{"\xfd\x37zXZ", 5, "xz", "tar xJf"},	    {"\x28\xb5\x2f\xfd", 4, "zstd", "tar --zstd -xf"},
	{"\x04\x22\x4d\x18", 4, "lz4", "lz4 -d"},   {"PK\x03\x04", 4, "zip", "unzip"},
	{"7z\xbc\xaf\x27\x1c", 6, "7-Zip", "7z x"}, {"\x1f\x9d", 2, "compress", "tar xZf"},
};

static const struct packer *find_packer(const void *data, size_t length)
{
	for (size_t i = 0; i < sizeof(packers) / sizeof(*packers); i++)
		if (length >= packers[i].length && memcmp(data, packers[i].magic, packers[i].length) == 0)
			return &packers[i];
	return NULL;
}

/* Octal digits with spaces around, or GNU's base 256 where the first bit is set. */
static bool read_number(const char *field, size_t size, uint64_t *ret)
{
	uint64_t value = 0;
	size_t i = 0;

	if (field[0] & 0x80) {
		for (i = 0; i < size; i++) {
			unsigned char byte = (unsigned char)field[i];

			if (value >> 56)
				return false;
			value = value << 8 | (i == 0 ? byte & 0x7f : byte);
		}
		*ret = value;
		return true;
	}
	while (i < size && field[i] == ' ')
		i++;
	for (; i < size && field[i] != ' ' && field[i] != '\0'; i++) {
		if (field[i] < '0' || field[i] > '7' || value >> 61)
			return false;
		value = value << 3 | (uint64_t)(field[i] - '0');
	}
	*ret = value;
	return true;
}

static bool is_header(const struct header *header)
{
	uint64_t sum;

	return read_number(header->checksum, sizeof(header->checksum), &sum) && sum == checksum(header);
}

bool tar_looks_like(const void *data, size_t length)
{
	return find_packer(data, length) || (length >= BLOCK && is_header(data));
}

int tar_open(struct tar_reader *reader, const char *name, const void *data, size_t length, struct error **err)
{
	const struct packer *packer = find_packer(data, length);

	*reader = (struct tar_reader){.name = name, .data = data, .length = length};
	if (packer) {
		error_set(err, EINVAL, "%s is compressed with %s", name, packer->name);
		error_hint(err, "unpack it first: %s %s", packer->unpack, name);
		return -EINVAL;
	}
	if (length < BLOCK || !is_header(data))
		return error_set(err, EINVAL, "%s is no tar archive", name);
	return 0;
}

/* One "<length> <key>=<value>\n" of a pax header. Returns how long it is; 0: it is none. */
static size_t take_pax_record(struct tar_reader *reader, const char *text, size_t length)
{
	size_t total = 0, digits = 0, equals;
	const char *key;

	while (digits < length && digits < 8 && text[digits] >= '0' && text[digits] <= '9')
		total = total * 10 + (size_t)(text[digits++] - '0');
	if (digits == 0 || digits >= length || text[digits] != ' ' || total > length || total < digits + 3)
		return 0;
	key = text + digits + 1;
	length = total - digits - 2; /* without the newline */
	if (key[length] != '\n')
		return 0;
	for (equals = 0; equals < length && key[equals] != '='; equals++)
		continue;
	if (equals == length)
		return 0;
	if (equals == 4 && memcmp(key, "path", 4) == 0 && length - 5 < TAR_PATH_SIZE) {
		memcpy(reader->next_path, key + 5, length - 5);
		reader->next_path[length - 5] = '\0';
		reader->has_path = true;
	} else if (equals == 4 && memcmp(key, "size", 4) == 0) {
		uint64_t size = 0;

		for (size_t i = 5; i < length && key[i] >= '0' && key[i] <= '9' && !(size >> 60); i++)
			size = size * 10 + (uint64_t)(key[i] - '0');
		reader->next_size = size;
		reader->has_size = true;
	}
	return total;
}

static void take_pax(struct tar_reader *reader, const char *text, size_t length)
{
	size_t taken;

	for (; length > 0 && (taken = take_pax_record(reader, text, length)) > 0; length -= taken)
		text += taken;
}

static void take_long_name(struct tar_reader *reader, const char *text, size_t length)
{
	length = strnlen(text, length);
	if (length >= TAR_PATH_SIZE)
		return;
	memcpy(reader->next_path, text, length);
	reader->next_path[length] = '\0';
	reader->has_path = true;
}

static void take_path(struct tar_reader *reader, const struct header *header)
{
	bool prefix = memcmp(header->magic, "ustar", 6) == 0 && header->prefix[0]; /* GNU's "ustar " has none */
	const char *path;
	char joined[sizeof(header->prefix) + sizeof(header->name) + 2];

	if (prefix)
		snprintf(joined, sizeof(joined), "%.*s/%.*s", (int)sizeof(header->prefix), header->prefix,
			 (int)sizeof(header->name), header->name);
	else
		snprintf(joined, sizeof(joined), "%.*s", (int)sizeof(header->name), header->name);
	path = reader->has_path ? reader->next_path : joined;
	while (path[0] == '/' || (path[0] == '.' && path[1] == '/'))
		path++;
	snprintf(reader->path, sizeof(reader->path), "%s", path);
	reader->has_path = false;
}

static int damaged(const struct tar_reader *reader, struct error **err)
{
	return error_set(err, EINVAL, "%s is damaged or cut off at byte %zu", reader->name, reader->at);
}

static bool is_zero(const unsigned char *block)
{
	for (size_t i = 0; i < BLOCK; i++)
		if (block[i])
			return false;
	return true;
}

int tar_next(struct tar_reader *reader, struct tar_entry *ret, struct error **err)
{
	for (;;) {
		const struct header *header = (const struct header *)(reader->data + reader->at);
		const char *data;
		uint64_t size;
		size_t room;

		/* Without the block of zeros at its end something is missing, if only that. */
		if (reader->at > reader->length || reader->length - reader->at < BLOCK)
			return damaged(reader, err);
		if (is_zero(reader->data + reader->at))
			return 0;
		if (!is_header(header) || !read_number(header->size, sizeof(header->size), &size))
			return damaged(reader, err);
		if (reader->has_size && header->type != 'x' && header->type != 'g' && header->type != 'L')
			size = reader->next_size;
		data = (const char *)header + BLOCK;
		room = reader->length - reader->at - BLOCK;
		if (size > room)
			return damaged(reader, err);
		reader->at += BLOCK + (size_t)size;
		reader->at += (BLOCK - reader->at % BLOCK) % BLOCK;
		if (header->type == 'x' && size <= PAX_SIZE_MAX) {
			take_pax(reader, data, (size_t)size);
			continue;
		}
		if (header->type == 'L') {
			take_long_name(reader, data, (size_t)size);
			continue;
		}
		if (header->type == 'g' || header->type == 'x' || header->type == 'K')
			continue;
		take_path(reader, header);
		reader->has_size = false;
		if (header->type == '0' || header->type == '\0' || header->type == '7') {
			*ret = (struct tar_entry){.path = reader->path, .data = data, .length = (size_t)size};
			return 1;
		}
	}
}
