/*
 * What a user's file is. A raw disk has no header that says so, so it must show something of a disk: a partition table
 * or a file system. Where that tells how large the disk should be, a shorter file is a truncated one.
 */
#include "image/image.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "image/qcow2.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512, HEAD_SIZE = 68 << 10, BACKING_DEPTH_MAX = 16 };

/* The beginning of the file; zeros where it is shorter. */
struct head {
	unsigned char bytes[HEAD_SIZE];
	const char *path;
	uint64_t size;
};

static uint16_t le16(const unsigned char *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t le32(const unsigned char *p)
{
	return (uint32_t)le16(p) | (uint32_t)le16(p + 2) << 16;
}

static uint64_t le64(const unsigned char *p)
{
	return (uint64_t)le32(p) | (uint64_t)le32(p + 4) << 32;
}

/* Formats that are not taken, known by what they begin with, and what to do about it. */
static const struct {
	const char *magic;
	size_t length;
	const char *what;
	const char *hint; /* printf format with the path */
} refused[] = {
	{"\x1f\x8b", 2, "is compressed by gzip", "gzip -d '%s'"},
	{"\xfd"
	 "7zXZ",
	 5, "is compressed by xz", "xz -d '%s'"},
	{"\x28\xb5\x2f\xfd", 4, "is compressed by zstd", "zstd -d '%s'"},
	{"BZh", 3, "is compressed by bzip2", "bzip2 -d '%s'"},
	{"PK\x03\x04", 4, "is a zip archive", "unzip '%s'"},
	{"KDMV", 4, "is a VMware disk (vmdk)", "qemu-img convert -O qcow2 '%s' disk.qcow2"},
	{"# Disk DescriptorFile", 21, "is a VMware disk (vmdk)", "qemu-img convert -O qcow2 '%s' disk.qcow2"},
	{"<<< ", 4, "is a VirtualBox disk (vdi)", "qemu-img convert -O qcow2 '%s' disk.qcow2"},
	{"vhdxfile", 8, "is a Hyper-V disk (vhdx)", "qemu-img convert -O qcow2 '%s' disk.qcow2"},
	{"conectix", 8, "is a Hyper-V disk (vhd)", "qemu-img convert -O qcow2 '%s' disk.qcow2"},
	{"QED", 4, "is a qed disk", "qemu-img convert -O qcow2 '%s' disk.qcow2"},
};

static int refuse_known(const struct head *head, struct error **err)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		const char *mark;
		int r;

		if (memcmp(head->bytes, refused[i].magic, refused[i].length) != 0)
			continue;
		r = error_set(err, EMEDIUMTYPE, "%s is not a qcow2 or raw disk: it %s", head->path, refused[i].what);
		mark = strstr(refused[i].hint, "%s");
		error_hint(err, "%.*s%s%s", (int)(mark - refused[i].hint), refused[i].hint, head->path, mark + 2);
		return r;
	}
	return 0;
}

/* GUID partition table, UEFI 5.3: a header in sector 1 (of 512 or 4096 bytes), which names the sector of its copy, the
 * last one. */
static bool gpt_size(const struct head *head, uint64_t *ret)
{
	for (unsigned sector = 512; sector <= 4096; sector *= 8)
		if (memcmp(head->bytes + sector, "EFI PART", 8) == 0) {
			*ret = (le64(head->bytes + sector + 32) + 1) * sector;
			return true;
		}
	return false;
}

/* A partition table in sector 0: four entries of 16 bytes from 446 on, start and length in sectors at 8 and 12 of each.
 */
static bool mbr_size(const struct head *head, uint64_t *ret)
{
	uint64_t end = 0;

	if (head->bytes[510] != 0x55 || head->bytes[511] != 0xaa)
		return false;
	for (const unsigned char *entry = head->bytes + 446; entry < head->bytes + 510; entry += 16) {
		uint64_t last = ((uint64_t)le32(entry + 8) + le32(entry + 12)) * SECTOR;

		/* What is no partition table but the code of a boot sector without one has other flags. */
		if ((entry[0] & 0x7f) != 0)
			return *ret = 0, true;
		if (entry[4] && last > end)
			end = last;
	}
	*ret = end;
	return true;
}

/* ext2 to ext4: the superblock at 1024, the number of blocks at 4 in it, their size at 24, the magic at 56. */
static bool ext_size(const struct head *head, uint64_t *ret)
{
	const unsigned char *super = head->bytes + 1024;

	if (le16(super + 56) != 0xef53 || le32(super + 24) > 6)
		return false;
	*ret = (uint64_t)le32(super + 4) << (10 + le32(super + 24));
	return true;
}

/* ISO 9660 8.4: a volume descriptor at sector 16 of 2048 bytes, the number of sectors at 80 in it. */
static bool iso_size(const struct head *head, uint64_t *ret)
{
	const unsigned char *volume = head->bytes + 32768;

	if (memcmp(volume + 1, "CD001", 5) != 0)
		return false;
	*ret = (uint64_t)le32(volume + 80) * 2048;
	return true;
}

/* File systems that are only recognised. */
static bool other_size(const struct head *head, uint64_t *ret)
{
	static const struct {
		size_t offset;
		const char *magic;
	} known[] = {{0, "XFSB"}, {0x10040, "_BHRfS_M"}, {512, "LABELONE"}, {0, "hsqs"}, {0, "LUKS"}};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (memcmp(head->bytes + known[i].offset, known[i].magic, strlen(known[i].magic)) == 0)
			return *ret = 0, true;
	return false;
}

static int inspect_raw(const struct head *head, struct error **err)
{
	/* GPT first: a disk with one has a protective MBR. ISO before MBR: hybrid ones have both. */
	bool (*const kinds[])(const struct head *, uint64_t *) = {gpt_size, iso_size, ext_size, mbr_size, other_size};
	uint64_t want = 0;
	bool found = false;
	int r;

	for (size_t i = 0; !found && i < sizeof(kinds) / sizeof(*kinds); i++)
		found = kinds[i](head, &want);
	if (!found) {
		r = error_set(err, EMEDIUMTYPE, "%s is not a disk image: it has no partition table and no file system",
			      head->path);
		error_hint(err, "a guest boots from a qcow2 or raw disk with a system on it");
		return r;
	}
	if (want > head->size)
		return error_set(err, EBADMSG, "%s is truncated: it has %llu bytes, and what is on it needs %llu",
				 head->path, (unsigned long long)head->size, (unsigned long long)want);
	return 0;
}

/*
 * A qcow2 file can name other files, which QEMU would open: only those beside it are its own business. Without a
 * format the other file's content would decide what it is, and a guest can write that.
 */
static int inspect_backing(const char *path, const struct qcow2 *q, unsigned depth, struct error **err);

static int inspect_qcow2(const struct head *head, int fd, unsigned depth, uint64_t *ret_size, struct error **err)
{
	struct qcow2 q;
	int r = qcow2_read(fd, head->path, head->size, &q, err);

	if (r < 0)
		return r;
	if (q.end > head->size)
		return error_set(err, EBADMSG, "%s is truncated: it has %llu bytes, and its tables lead to byte %llu",
				 head->path, (unsigned long long)head->size, (unsigned long long)q.end);
	if (q.corrupt) {
		r = error_set(err, EBADMSG, "%s is marked as corrupt", head->path);
		error_hint(err, "qemu-img check -r all '%s'", head->path);
		return r;
	}
	if (q.encrypted)
		return error_set(err, EMEDIUMTYPE, "%s is encrypted, and nestvisor has no key for it", head->path);
	if (q.external_data)
		return error_set(err, EMEDIUMTYPE, "%s keeps its data in another file, which nestvisor does not follow",
				 head->path);
	*ret_size = q.size;
	return *q.backing ? inspect_backing(head->path, &q, depth, err) : 0;
}

static int inspect(const char *path, unsigned depth, const char **ret_format, uint64_t *ret_size, struct error **err);

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash == path ? strdup("/") : slash ? strndup(path, (size_t)(slash - path)) : strdup(".");

	if (!folder)
		abort();
	return folder;
}

static bool is_below(const char *real, const char *folder)
{
	size_t length = strlen(folder);

	return strcmp(folder, "/") == 0 || (strncmp(real, folder, length) == 0 && real[length] == '/');
}

static int inspect_backing(const char *path, const struct qcow2 *q, unsigned depth, struct error **err)
{
	cleanup_free char *folder = folder_of(path), *joined = NULL, *real = NULL,
			  *real_folder = realpath(folder, NULL);
	bool absolute = q->backing[0] == '/';
	const char *format;
	uint64_t size;
	int r = 0;

	if (asprintf(&joined, "%s%s%s", absolute ? "" : folder, absolute ? "" : "/", q->backing) < 0)
		abort();
	real = realpath(joined, NULL);
	if (depth >= BACKING_DEPTH_MAX)
		r = error_set(err, ELOOP, "%s has too many backing files", path);
	else if (!real)
		r = error_set(err, ENOENT, "the backing file %s of %s is missing", q->backing, path);
	else if (!real_folder || !is_below(real, real_folder))
		r = error_set(err, EPERM, "%s stands on %s, which is outside its own folder", path, q->backing);
	else if (!*q->backing_format)
		r = error_set(err, EMEDIUMTYPE, "%s does not say which format its backing file %s has", path,
			      q->backing);
	if (r < 0) {
		error_hint(err, "make it one file: qemu-img convert -O qcow2 '%s' whole.qcow2", path);
		return r;
	}
	r = inspect(real, depth + 1, &format, &size, err);
	return r < 0 ? error_wrap(err, "the backing file of %s", path) : 0;
}

static int read_head(const char *path, int fd, struct head *head, struct error **err)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return error_errno(err, errno, "cannot read the image %s", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return error_set(err, S_ISDIR(st.st_mode) ? EISDIR : EINVAL, "%s is not a disk image but %s", path,
				 S_ISDIR(st.st_mode) ? "a folder" : "a special file");
	head->path = path;
	head->size = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, &head->size) < 0)
		return error_errno(err, errno, "cannot read the size of %s", path);
	if (head->size < SECTOR)
		return error_set(err, EMEDIUMTYPE, "%s is not a disk image: it %s", path,
				 head->size ? "has less than 512 bytes" : "is empty");
	n = pread(fd, head->bytes, sizeof(head->bytes), 0);
	return n < 0 ? error_errno(err, errno, "cannot read the image %s", path) : 0;
}

static int inspect(const char *path, unsigned depth, const char **ret_format, uint64_t *ret_size, struct error **err)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	cleanup_free struct head *head = calloc(1, sizeof(*head));
	int r;

	if (!head)
		abort();
	if (fd < 0)
		return error_errno(err, errno, "cannot read the image %s", path);
	r = read_head(path, fd, head, err);
	if (r < 0)
		return r;
	if (memcmp(head->bytes, "QFI\xfb", 4) == 0) {
		*ret_format = "qcow2";
		return inspect_qcow2(head, fd, depth, ret_size, err);
	}
	*ret_format = "raw";
	*ret_size = head->size;
	r = refuse_known(head, err);
	return r < 0 ? r : inspect_raw(head, err);
}

int image_inspect(const char *path, const char **ret_format, uint64_t *ret_size, struct error **err)
{
	return inspect(path, 0, ret_format, ret_size, err);
}
