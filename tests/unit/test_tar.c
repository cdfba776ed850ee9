/* base/tar: what is written is read again, also by tar itself; what is damaged is refused. */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/tar.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* All that the tests write; it goes also where one of them fails. */
static char scratch[] = "/tmp/nestvisor-test-tar.XXXXXX";

static int make_scratch(void **state)
{
	return mkdtemp(scratch) ? 0 : -1;
}

static int remove_scratch(void **state)
{
	return dir_remove(scratch, NULL);
}

static const char long_path[] = "hosts/a-host-whose-name-is-quite-long-indeed-and-does-not-fit/"
				"and-a-file-whose-name-is-long-too-but-fits-into-one-hundred-bytes.txt";

static void add(struct strbuf *out, const char *path, const char *data, size_t length)
{
	cleanup_error struct error *err = NULL;

	if (tar_add(out, path, data, length, 0600, 1000000000, &err) < 0)
		fail_msg("%s", err->message);
}

static struct strbuf make(void)
{
	struct strbuf out = {0};
	char block[512];

	memset(block, 'x', sizeof(block));
	add(&out, "README.txt", "hello\n", 6);
	add(&out, long_path, "b", 1);
	add(&out, "empty", "", 0);
	add(&out, "block", block, sizeof(block));
	tar_end(&out);
	return out;
}

static void check_entry(struct tar_reader *reader, const char *path, const char *data, size_t length)
{
	cleanup_error struct error *err = NULL;
	struct tar_entry entry;

	if (tar_next(reader, &entry, &err) != 1)
		fail_msg("%s: %s", path, err ? err->message : "the end");
	assert_string_equal(entry.path, path);
	assert_int_equal(entry.length, length);
	if (data)
		assert_memory_equal(entry.data, data, length);
}

static void test_again(void **state)
{
	cleanup_strbuf struct strbuf out = make();
	struct tar_reader reader;
	struct tar_entry entry;

	assert_true(tar_looks_like(out.text, out.length));
	assert_int_equal(tar_open(&reader, "x.tar", out.text, out.length, NULL), 0);
	check_entry(&reader, "README.txt", "hello\n", 6);
	check_entry(&reader, long_path, "b", 1);
	check_entry(&reader, "empty", NULL, 0);
	check_entry(&reader, "block", NULL, 512);
	assert_int_equal(tar_next(&reader, &entry, NULL), 0);
}

static void test_names(void **state)
{
	cleanup_strbuf struct strbuf out = {0};
	cleanup_error struct error *err = NULL;
	char path[400];

	memset(path, 'a', sizeof(path));
	path[100] = '\0';
	add(&out, path, "", 0); /* exactly what fits */
	path[100] = 'a';
	path[101] = '\0';
	assert_int_equal(tar_add(&out, path, "", 0, 0600, 0, &err), -ENAMETOOLONG);
	assert_non_null(err);
	memset(path, 'a', sizeof(path));
	path[155] = '/';
	path[256] = '\0';
	add(&out, path, "", 0);
	path[256] = 'a';
	path[257] = '\0';
	assert_int_equal(tar_add(&out, path, "", 0, 0600, 0, NULL), -ENAMETOOLONG);
}

/* tar(1) reads ours, and ours reads what it writes in each of its formats. */
static void test_real_tar(void **state)
{
	static const char *const formats[] = {"--format=ustar", "--format=gnu", "--format=pax", "--format=v7",
					      "--format=oldgnu"};
	const char *folder = scratch;
	char name[300];
	cleanup_output struct process_output output = {0};
	cleanup_strbuf struct strbuf out = make();
	cleanup_free char *program = NULL, *archive = NULL, *deep = NULL;

	if (process_find("tar", "tar", &program, NULL) < 0) {
		print_message("no tar here\n");
		return;
	}
	assert_true(asprintf(&archive, "%s/a.tar", folder) > 0);
	assert_int_equal(file_write_atomic(archive, out.text, out.length, 0600, NULL), 0);
	{
		const char *argv[] = {"tar", "xf", archive, "-C", folder, NULL};

		assert_int_equal(process_must(argv, NULL, NULL), 0);
	}
	memset(name, 'n', sizeof(name));
	snprintf(name + 90, sizeof(name) - 90, "/%s", "a-name-that-leads-beyond-a-hundred");
	assert_true(asprintf(&deep, "%s/%s", folder, name) > 0);
	*strrchr(deep, '/') = '\0';
	assert_int_equal(dir_make(deep, 0700, NULL), 0);
	deep[strlen(deep)] = '/';
	assert_int_equal(file_write_atomic(deep, "deep\n", 5, 0600, NULL), 0);
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		bool short_names = strstr(formats[i], "v7"), found = false, readme = false;
		const char *argv[] = {"tar", formats[i], "-cf", archive, "-C", folder, "--exclude=a.tar", ".", NULL};
		cleanup_error struct error *err = NULL;
		cleanup_free char *data = NULL;
		struct tar_reader reader;
		struct tar_entry entry;
		size_t length;
		int r;

		if (short_names)
			argv[7] = "README.txt";
		if (process_must(argv, NULL, &err) < 0)
			fail_msg("%s: %s", formats[i], err->message);
		assert_int_equal(file_read(archive, 1 << 24, &data, &length, NULL), 0);
		assert_int_equal(tar_open(&reader, "a.tar", data, length, NULL), 0);
		while ((r = tar_next(&reader, &entry, &err)) > 0) {
			found = found || (strcmp(entry.path, name) == 0 && entry.length == 5);
			readme = readme || (strcmp(entry.path, "README.txt") == 0 && entry.length == 6);
		}
		if (r < 0)
			fail_msg("%s: %s", formats[i], err->message);
		assert_true(readme);
		assert_true(found || short_names);
	}
}

/* Whatever the length it is cut to, reading ends, and never with more files than there are. */
static void test_cut_off(void **state)
{
	cleanup_strbuf struct strbuf out = make();

	for (size_t length = 0; length < out.length; length++) {
		struct tar_reader reader;
		struct tar_entry entry;
		int r, files = 0;

		if (tar_open(&reader, "x.tar", out.text, length, NULL) < 0) {
			assert_true(length < 512);
			continue;
		}
		while ((r = tar_next(&reader, &entry, NULL)) > 0)
			files++;
		assert_true(files <= 4);
		assert_int_equal(r,
				 length < out.length - 512 ? -EINVAL : 0); /* the second block of zeros says nothing */
	}
}

static void test_damaged(void **state)
{
	cleanup_strbuf struct strbuf out = make();
	cleanup_error struct error *err = NULL;
	struct tar_reader reader;
	struct tar_entry entry;

	out.text[1024 + 3] ^= 1; /* in the second header */
	assert_int_equal(tar_open(&reader, "x.tar", out.text, out.length, NULL), 0);
	assert_int_equal(tar_next(&reader, &entry, NULL), 1);
	assert_int_equal(tar_next(&reader, &entry, &err), -EINVAL);
	assert_non_null(strstr(err->message, "x.tar is damaged"));
	assert_int_equal(tar_open(&reader, "x", "hello", 5, NULL), -EINVAL);
}

static void test_compressed(void **state)
{
	cleanup_error struct error *err = NULL;
	struct tar_reader reader;
	static const char gzip[] = "\x1f\x8b\x08";

	assert_true(tar_looks_like(gzip, sizeof(gzip)));
	assert_int_equal(tar_open(&reader, "b.tar.gz", gzip, sizeof(gzip), &err), -EINVAL);
	assert_string_equal(err->message, "b.tar.gz is compressed with gzip");
	assert_non_null(strstr(err->hint, "tar xzf b.tar.gz"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_again),	cmocka_unit_test(test_names),	cmocka_unit_test(test_real_tar),
		cmocka_unit_test(test_cut_off), cmocka_unit_test(test_damaged), cmocka_unit_test(test_compressed),
	};

	return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
