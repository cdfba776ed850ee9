/* image/: what a user's file is taken for, overlays, cloud-init seeds. Disks are made by qemu-img and mke2fs. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[] = "/tmp/nestvisor-test-disk.XXXXXX";
static struct arena *arena;

static int make_folder(void **state)
{
	arena = arena_new();
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	arena_free(arena);
	return dir_remove(folder, NULL);
}

static const char *in_folder(const char *name)
{
	return arena_printf(arena, "%s/%s", folder, name);
}

static bool installed(const char *program)
{
	cleanup_free char *path = NULL;

	return process_find(program, NULL, &path, NULL) == 0;
}

static void need(const char *program)
{
	if (!installed(program)) {
		print_message("skipped: %s is not installed\n", program);
		skip();
	}
}

/* Runs a program, NULL-terminated, that must succeed. */
static void run(const char *program, ...)
{
	cleanup_error struct error *err = NULL;
	const char *argv[24] = {program};
	size_t n = 1;
	va_list args;

	va_start(args, program);
	while ((argv[n] = va_arg(args, const char *)))
		assert_true(++n < 24);
	va_end(args);
	if (process_must(argv, NULL, &err) < 0)
		fail_msg("%s", err->message);
}

static const char *write_file(const char *name, const void *data, size_t length, off_t size)
{
	const char *path = in_folder(name);

	assert_int_equal(file_write_atomic(path, data, length, 0644, NULL), 0);
	if (size)
		assert_int_equal(truncate(path, size), 0);
	return path;
}

static void poke(const char *path, off_t offset, const void *data, size_t length)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, data, length, offset), (ssize_t)length);
}

static void assert_refused(const char *path, int code, const char *says)
{
	cleanup_error struct error *err = NULL;
	const char *format;
	uint64_t size;

	assert_int_equal(image_inspect(path, &format, &size, &err), -code);
	if (!strstr(err->message, says) || !strstr(err->message, path))
		fail_msg("the message says \"%s\" and should say \"%s\"", err->message, says);
}

static void assert_accepted(const char *path, const char *format, uint64_t size)
{
	cleanup_error struct error *err = NULL;
	const char *is_format;
	uint64_t is_size;

	if (image_inspect(path, &is_format, &is_size, &err) < 0)
		fail_msg("%s", err->message);
	assert_string_equal(is_format, format);
	assert_int_equal(is_size, size);
}

static void test_no_image(void **state)
{
	static const char zeros[4096];

	assert_refused("/nonexistent/disk.qcow2", ENOENT, "No such file");
	assert_refused(folder, EISDIR, "a folder");
	assert_refused("/dev/null", EINVAL, "a special file");
	assert_refused(write_file("empty", "", 0, 0), EMEDIUMTYPE, "is empty");
	assert_refused(write_file("small", "QFI\xfb", 4, 0), EMEDIUMTYPE, "less than 512 bytes");
	assert_refused(write_file("zeros", zeros, sizeof(zeros), 1 << 20), EMEDIUMTYPE, "no partition table");
	assert_refused(write_file("text", "Dear reader,\n", 13, 2000), EMEDIUMTYPE, "no partition table");
	assert_refused(write_file("pdf", "%PDF-1.7\n", 9, 100000), EMEDIUMTYPE, "no partition table");
	assert_refused(write_file("gz", "\x1f\x8b\x08", 3, 100000), EMEDIUMTYPE, "compressed by gzip");
	assert_refused(write_file("xz", "\xfd\x37zXZ", 6, 100000), EMEDIUMTYPE, "compressed by xz");
}

static void test_foreign_formats(void **state)
{
	static const char *const formats[][2] = {
		{"vmdk", "VMware"}, {"vdi", "VirtualBox"}, {"vhdx", "Hyper-V"}, {"vpc", "Hyper-V"}, {"qed", "qed"}};

	need("qemu-img");
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		const char *path = in_folder(formats[i][0]);

		run("qemu-img", "create", "-q", "-f", formats[i][0], path, "8M", NULL);
		assert_refused(path, EMEDIUMTYPE, formats[i][1]);
	}
}

static void test_raw_partitions(void **state)
{
	unsigned char sector[512] = {[446 + 4] = 0x83, [446 + 9] = 8, [446 + 13] = 0x10, [510] = 0x55, [511] = 0xaa};
	unsigned char gpt[40] = "EFI PART";
	const char *path;

	/* One partition of 4096 sectors from sector 2048 on. */
	path = write_file("mbr", sector, sizeof(sector), 6144 * 512);
	assert_accepted(path, "raw", 6144 * 512);
	assert_int_equal(truncate(path, 6143 * 512), 0);
	assert_refused(path, EBADMSG, "truncated");

	path = write_file("gpt", sector, sizeof(sector), 8192 * 512);
	gpt[32] = 0xff; /* its copy in sector 8191, the last one */
	gpt[33] = 0x1f;
	poke(path, 512, gpt, sizeof(gpt));
	assert_accepted(path, "raw", 8192 * 512);
	assert_int_equal(truncate(path, 8000 * 512), 0);
	assert_refused(path, EBADMSG, "truncated");
}

static void test_raw_file_system(void **state)
{
	const char *path = in_folder("ext4");

	need("mke2fs");
	run("mke2fs", "-q", "-F", "-t", "ext4", path, "4M", NULL);
	assert_accepted(path, "raw", 4 << 20);
	assert_int_equal(truncate(path, 3 << 20), 0);
	assert_refused(path, EBADMSG, "truncated");
}

/* A qcow2 file with 3 MB of data in it. */
static const char *make_qcow2(const char *name, const char *option)
{
	const char *path = in_folder(name), *raw = in_folder("source");
	cleanup_free char *data = malloc(3 << 20);

	for (size_t i = 0; i < 3 << 20; i++)
		data[i] = (char)(i * 2654435761u >> 13);
	write_file("source", data, 3 << 20, 64 << 20);
	if (option)
		run("qemu-img", "convert", "-O", "qcow2", option, raw, path, NULL);
	else
		run("qemu-img", "convert", "-O", "qcow2", raw, path, NULL);
	return path;
}

static off_t length_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void test_qcow2(void **state)
{
	const char *path = in_folder("fresh.qcow2");

	need("qemu-img");
	run("qemu-img", "create", "-q", "-f", "qcow2", path, "1T", NULL);
	assert_accepted(path, "qcow2", 1ULL << 40);
	run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "compat=0.10", path, "10G", NULL);
	assert_accepted(path, "qcow2", 10ULL << 30);
	run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M,extended_l2=on", path, "10G", NULL);
	assert_accepted(path, "qcow2", 10ULL << 30);
	assert_accepted(make_qcow2("data.qcow2", NULL), "qcow2", 64 << 20);
	assert_accepted(make_qcow2("compressed.qcow2", "-c"), "qcow2", 64 << 20);
}

/* Broken off anywhere, from the header to the last cluster. */
static void test_truncated_qcow2(void **state)
{
	const char *path;
	off_t whole;

	need("qemu-img");
	path = make_qcow2("data.qcow2", NULL);
	whole = length_of(path);
	for (off_t cut = whole - 65536; cut >= 512; cut -= cut > 400000 ? 300000 : cut > 4096 ? 3000 : 500) {
		assert_int_equal(truncate(path, cut), 0);
		assert_refused(path, EBADMSG, "truncated");
	}
	path = make_qcow2("compressed.qcow2", "-c");
	assert_int_equal(truncate(path, length_of(path) * 2 / 3), 0);
	assert_refused(path, EBADMSG, "truncated");
}

static void test_damaged_qcow2(void **state)
{
	const char *path;

	need("qemu-img");
	path = make_qcow2("bits.qcow2", NULL);
	poke(path, 20, "\0\0\0\xff", 4); /* cluster_bits */
	assert_refused(path, EBADMSG, "makes no sense");
	path = make_qcow2("l1.qcow2", NULL);
	poke(path, 36, "\x7f\xff\xff\xff", 4); /* l1_size */
	assert_refused(path, EBADMSG, "makes no sense");
	path = make_qcow2("version.qcow2", NULL);
	poke(path, 4, "\0\0\0\x09", 4);
	assert_refused(path, EBADMSG, "version 2 or 3");
	path = make_qcow2("corrupt.qcow2", NULL);
	poke(path, 79, "\x02", 1); /* incompatible_features: corrupt */
	assert_refused(path, EBADMSG, "marked as corrupt");
	path = make_qcow2("luks.qcow2", NULL);
	poke(path, 32, "\0\0\0\x02", 4); /* crypt_method: LUKS */
	assert_refused(path, EMEDIUMTYPE, "encrypted");
	path = in_folder("external.qcow2");
	run("qemu-img", "create", "-q", "-f", "qcow2", "-o", arena_printf(arena, "data_file=%s", in_folder("data.raw")),
	    path, "8M", NULL);
	assert_refused(path, EMEDIUMTYPE, "another file");
}

static void hide_backing_format(const char *path)
{
	cleanup_free char *data = NULL;
	const char *found;
	size_t length;

	assert_int_equal(file_read(path, 4 << 20, &data, &length, NULL), 0);
	found = memmem(data, 4096, "\xe2\x79\x2a\xca", 4);
	assert_non_null(found);
	poke(path, found - data, "\x11\x11\x11\x11", 4);
}

static void test_backing(void **state)
{
	const char *base, *path = in_folder("top.qcow2"), *below = in_folder("below/top.qcow2");

	need("qemu-img");
	base = make_qcow2("base.qcow2", NULL);
	run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", path, NULL);
	assert_accepted(path, "qcow2", 64 << 20);
	run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", path, NULL);
	assert_accepted(path, "qcow2", 64 << 20);

	assert_int_equal(mkdir(in_folder("below"), 0755), 0);
	run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "../base.qcow2", "-F", "qcow2", below, NULL);
	assert_refused(below, EPERM, "outside its own folder");
	assert_int_equal(symlink("../base.qcow2", in_folder("below/link.qcow2")), 0);
	run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "link.qcow2", "-F", "qcow2", below, NULL);
	assert_refused(below, EPERM, "outside its own folder");

	/* Without a format: qemu-img makes none any more, so the header's extension is given a type nobody knows. */
	run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", path, NULL);
	hide_backing_format(path);
	assert_refused(path, EMEDIUMTYPE, "does not say which format");

	run("qemu-img", "rebase", "-q", "-u", "-b", "json:{\"driver\":\"file\",\"filename\":\"/etc/shadow\"}", "-F",
	    "raw", path, NULL);
	assert_refused(path, ENOENT, "is missing");
	run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "compat=0.10", "-b", "base.qcow2", "-F", "qcow2", path,
	    NULL);
	run("qemu-img", "rebase", "-q", "-u", "-b", "top.qcow2", "-F", "qcow2", path, NULL);
	{
		cleanup_error struct error *err = NULL;
		const char *format;
		uint64_t size;

		assert_int_equal(image_inspect(path, &format, &size, &err), -ELOOP);
	}
	run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", path, NULL);
	assert_int_equal(truncate(base, 70000), 0);
	{
		cleanup_error struct error *err = NULL;
		const char *format;
		uint64_t size;

		assert_int_equal(image_inspect(path, &format, &size, &err), -EBADMSG);
		assert_non_null(strstr(err->message, "the backing file of"));
	}
}

static json_t *image_info(const char *path)
{
	const char *argv[] = {"qemu-img", "info", "--output=json", path, NULL};
	struct process_spec spec = {.argv = argv, .netns = -1, .in = -1};
	cleanup_output struct process_output output = {0};
	json_t *info;

	assert_int_equal(process_run(&spec, NULL, 0, -1, NULL, &output, NULL), 0);
	assert_int_equal(output.status, 0);
	assert_int_equal(json_parse(output.out, output.out_length, path, &info, NULL), 0);
	return info;
}

static void test_overlay(void **state)
{
	struct image image = {.name = "base", .kind = IMAGE_DISK, .disk_format = "qcow2", .disk_size = 64 << 20};
	/* A name like this must reach no shell. */
	const char *path = in_folder("it's \"$(touch x)\" -o.qcow2");
	cleanup_error struct error *err = NULL;
	cleanup_json json_t *info = NULL;

	need("qemu-img");
	image.disk = make_qcow2("base, 2.qcow2", NULL);
	assert_int_equal(image_make_overlay(&image, path, 0, NULL, &err), 0);
	info = image_info(path);
	assert_string_equal(json_get_string(info, "full-backing-filename", ""), image.disk);
	assert_string_equal(json_get_string(info, "backing-filename-format", ""), "qcow2");
	assert_int_equal(json_get_integer(info, "virtual-size", 0), 64 << 20);
	assert_accepted(path, "qcow2", 64 << 20);

	json_decref(info);
	assert_int_equal(image_make_overlay(&image, path, 100 << 20, NULL, &err), 0);
	info = image_info(path);
	assert_int_equal(json_get_integer(info, "virtual-size", 0), 100 << 20);

	assert_int_equal(image_make_overlay(&image, path, 1 << 20, NULL, &err), -EINVAL);
	assert_non_null(strstr(err->message, "too small"));
	image.disk = in_folder("gone.qcow2");
	assert_true(image_make_overlay(&image, in_folder("no.qcow2"), 0, NULL, &err) < 0);
	assert_non_null(strstr(err->message, "gone.qcow2"));
	assert_false(file_exists(in_folder("no.qcow2")));
}

static void test_empty_disk(void **state)
{
	struct image image = {.name = "micro", .kind = IMAGE_KERNEL};
	cleanup_error struct error *err = NULL;
	const char *path = in_folder("data-disk.qcow2");

	need("qemu-img");
	assert_int_equal(image_make_overlay(&image, path, 5 << 20, NULL, &err), 0);
	assert_accepted(path, "qcow2", 5 << 20);
	assert_int_equal(image_make_overlay(&image, path, 0, NULL, &err), -EINVAL);
}

static void test_missing_program(void **state)
{
	struct image image = {.name = "micro", .kind = IMAGE_KERNEL};
	cleanup_free char *path = strdup(getenv("PATH"));
	cleanup_error struct error *err = NULL;

	setenv("PATH", "/nonexistent", 1);
	assert_int_equal(image_make_overlay(&image, in_folder("x"), 1 << 20, NULL, &err), -ENOENT);
	assert_string_equal(err->hint, "apt-get install qemu-utils");
	assert_int_equal(image_make_cloud_seed(in_folder("x"), "", "", "", NULL, &err), -ENOENT);
	setenv("PATH", path, 1);
	assert_string_equal(err->hint, "apt-get install mtools");
	assert_false(file_exists(in_folder("x")));
}

/*
 * Another reader of FAT12 than the one that wrote it: finds a file by its long name, which stands in entries before
 * that of the short one, last part first, as UCS-2 (Microsoft, FAT32 File System Specification). Small files: one
 * cluster.
 */
static bool read_from_fat(const unsigned char *disk, size_t size, const char *name, char *ret, size_t ret_size)
{
	static const int places[13] = {1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30};
	size_t sector = disk[11] | disk[12] << 8, cluster = disk[13] * sector, entries = disk[17] | disk[18] << 8;
	size_t root = ((size_t)(disk[14] | disk[15] << 8) + disk[16] * (size_t)(disk[22] | disk[23] << 8)) * sector;
	size_t data = root + entries * 32;
	char long_name[300] = "";

	for (size_t i = 0; i < entries; i++) {
		const unsigned char *entry = disk + root + i * 32;
		size_t first = entry[26] | entry[27] << 8, length = entry[28] | entry[29] << 8;

		if (!entry[0])
			break;
		if (entry[11] == 0x0f) {
			for (size_t j = 0; j < 13; j++) {
				char c = (char)entry[places[j]];

				long_name[((entry[0] & 0x1f) - 1) * 13 + j] = c == (char)0xff ? '\0' : c;
			}
			continue;
		}
		if (strcmp(long_name, name) == 0) {
			assert_true(length < ret_size && length <= cluster &&
				    data + (first - 2) * cluster + length <= size);
			memcpy(ret, disk + data + (first - 2) * cluster, length);
			ret[length] = '\0';
			return true;
		}
		memset(long_name, 0, sizeof(long_name));
	}
	return false;
}

static void test_cloud_seed(void **state)
{
	static const char *const texts[][2] = {
		{"meta-data", "instance-id: one\nlocal-hostname: a\n"},
		{"user-data", "#cloud-config\nssh_authorized_keys: [\"it's $(a) key\"]\n"},
		{"network-config", "version: 2\n"}};
	cleanup_error struct error *err = NULL;
	cleanup_free char *disk = NULL;
	const char *path = in_folder("seed disk.img");
	char text[512];
	size_t length;

	need("mformat");
	if (image_make_cloud_seed(path, texts[0][1], texts[1][1], texts[2][1], NULL, &err) < 0)
		fail_msg("%s", err->message);
	assert_int_equal(file_read(path, 4 << 20, &disk, &length, NULL), 0);
	assert_memory_equal(disk + 43, "CIDATA     ", 11); /* the label in the boot sector; cloud-init looks for it */
	for (size_t i = 0; i < 3; i++) {
		assert_true(read_from_fat((unsigned char *)disk, length, texts[i][0], text, sizeof(text)));
		assert_string_equal(text, texts[i][1]);
	}
	assert_false(read_from_fat((unsigned char *)disk, length, "vendor-data", text, sizeof(text)));

	/* Anew, without a network, over the old one; nothing else is left in the folder. */
	assert_int_equal(image_make_cloud_seed(path, "instance-id: two\n", "", NULL, NULL, &err), 0);
	free(steal_pointer(&disk));
	assert_int_equal(file_read(path, 4 << 20, &disk, &length, NULL), 0);
	assert_true(read_from_fat((unsigned char *)disk, length, "meta-data", text, sizeof(text)));
	assert_string_equal(text, "instance-id: two\n");
	assert_false(read_from_fat((unsigned char *)disk, length, "network-config", text, sizeof(text)));
	assert_false(file_exists(arena_printf(arena, "%s.new-%d", path, gettid())));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_image),	cmocka_unit_test(test_foreign_formats),
		cmocka_unit_test(test_raw_partitions),	cmocka_unit_test(test_raw_file_system),
		cmocka_unit_test(test_qcow2),		cmocka_unit_test(test_truncated_qcow2),
		cmocka_unit_test(test_damaged_qcow2),	cmocka_unit_test(test_backing),
		cmocka_unit_test(test_overlay),		cmocka_unit_test(test_empty_disk),
		cmocka_unit_test(test_missing_program), cmocka_unit_test(test_cloud_seed),
	};

	return cmocka_run_group_tests_name("image_disk", tests, make_folder, remove_folder);
}
