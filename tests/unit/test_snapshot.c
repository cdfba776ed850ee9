/*
 * What is kept of snapshots: names, descriptions, which overlays are needed still, what was going on. What becomes of
 * guests is tests/nested/snapshot.sh's.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "driver/libvirt_memory.h"
#include "fork/store.h"
#include "fork/version.h"

#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	struct arena *arena;
	const char *root;
	struct folders folders;
	struct guest guest;
	struct store store;
};

static int setup(void **state)
{
	struct arena *arena = arena_new();
	struct fixture *f = arena_new_struct(arena, struct fixture);
	char *root = arena_strdup(arena, "/tmp/test-snapshot.XXXXXX");

	f->arena = arena;
	f->root = mkdtemp(root);
	f->folders = (struct folders){.lab = "lab",
				      .run = arena_printf(arena, "%s/run", root),
				      .state = arena_printf(arena, "%s/state", root)};
	f->guest = (struct guest){.name = "a", .path = "hv/a"};
	f->store = store_of(arena, &f->folders, &f->guest);
	*state = f;
	return f->root ? dir_make(f->store.folder, 0700, NULL) : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	dir_remove(f->root, NULL);
	arena_free(f->arena);
	return 0;
}

static void write_file(struct fixture *f, const char *name, const char *text)
{
	const char *path = store_file(&f->store, name);

	assert_int_equal(dir_make(arena_strndup(f->arena, path, (size_t)(strrchr(path, '/') - path)), 0700, NULL), 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, NULL), 0);
}

static void test_names(void **state)
{
	static const char *const good[] = {"a", "before-update", "2026-11-22-010203", "A_b.c", "disk", "disk1"};
	static const char *const bad[] = {
		"",	   ".new",
		"-x",	   "_x",
		"a/b",	   "..",
		"a b",	   "disk-1.qcow2",
		"disk-",   "current",
		"pending", "\xc3\xa4",
		"a\nb",	   "0123456789012345678901234567890123456789012345678901234567890123x"};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_int_equal(snapshot_check_name(good[i], NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(snapshot_check_name(bad[i], NULL), -EINVAL);
}

static void test_list(void **state)
{
	struct fixture *f = *state;
	cleanup_error struct error *err = NULL;
	struct snapshot *list, one;
	size_t count;

	assert_int_equal(snapshot_list(f->arena, &f->folders, &f->guest, &list, &count, NULL), 0);
	assert_int_equal(count, 0);
	write_file(f, "late/snapshot.json",
		   "{\"time\":20,\"memory\":true,\"bytes\":5,\"description\":\"d\",\"qemu\":\"7.2\"}");
	write_file(f, "late/memory", "12345");
	write_file(f, "early/snapshot.json", "{\"time\":10,\"tpm\":true,\"variables\":false,\"disk\":\"../a.qcow2\"}");
	write_file(f, ".new/snapshot.json", "{\"time\":5}"); /* one that was killed is none */
	write_file(f, "current.6UYYSl", "");		     /* of a write that was killed */
	write_file(f, "disk-7.qcow2", "");
	assert_int_equal(snapshot_list(f->arena, &f->folders, &f->guest, &list, &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_string_equal(list[0].name, "early");
	assert_string_equal(list[0].guest, "hv/a");
	assert_true(list[0].tpm && !list[0].memory && !list[0].variables);
	assert_non_null(strstr(list[0].damage, "state/a.qcow2, is gone"));
	assert_string_equal(list[1].name, "late");
	assert_string_equal(list[1].description, "d");
	assert_string_equal(list[1].qemu, "7.2");
	assert_null(list[1].damage);
	write_file(f, "a-later/snapshot.json", "{\"time\":20,\"nanoseconds\":7}"); /* within the same second */
	assert_int_equal(snapshot_list(f->arena, &f->folders, &f->guest, &list, &count, NULL), 0);
	assert_string_equal(list[2].name, "a-later");
	write_file(f, "late/memory", "1234");
	assert_int_equal(store_find(&f->store, "late", &one, NULL), 0);
	assert_non_null(strstr(one.damage, "is gone or not whole"));

	assert_int_equal(store_find(&f->store, "none", &one, &err), -ENOENT);
	assert_string_equal(err->hint, "there are: early, late, a-later");
	assert_string_equal(store_next_disk(&f->store), "disk-8.qcow2");
}

/* A name that leads out of the folder is no disk of a snapshot's. */
static void test_hostile(void **state)
{
	struct fixture *f = *state;
	struct snapshot one;

	write_file(f, "x/snapshot.json", "{\"disk\":\"/etc/passwd\"}");
	assert_int_equal(store_find(&f->store, "x", &one, NULL), -EBADMSG);
	write_file(f, "x/snapshot.json", "[]");
	assert_int_equal(store_find(&f->store, "x", &one, NULL), -EBADMSG);
	write_file(f, "x/snapshot.json", "{");
	assert_true(store_find(&f->store, "x", &one, NULL) < 0);
	assert_int_equal(store_find(&f->store, "../x", &one, NULL), -EINVAL);
}

static void test_pending(void **state)
{
	struct fixture *f = *state;
	const struct pending pending = {
		.action = "restore", .name = "x", .disk = "disk-2.qcow2", .without_memory = true};
	struct pending read;

	assert_false(store_read_pending(&f->store, &read));
	assert_int_equal(store_write_pending(&f->store, &pending, NULL), 0);
	assert_true(store_read_pending(&f->store, &read));
	assert_string_equal(read.action, "restore");
	assert_string_equal(read.disk, "disk-2.qcow2");
	assert_null(read.before);
	assert_true(read.without_memory);
	assert_string_equal(snapshot_interrupted(f->arena, &f->folders, &f->guest), "restore x");
	assert_int_equal(store_end_pending(&f->store, NULL), 0);
	assert_int_equal(store_end_pending(&f->store, NULL), 0);
	assert_null(snapshot_interrupted(f->arena, &f->folders, &f->guest));
}

static bool is_there(struct fixture *f, const char *name)
{
	return file_exists(store_file(&f->store, name));
}

/* first ◀ disk-1 ◀ disk-2 ◀ disk-3 (the guest's); disk-1 ◀ disk-4 (of none any more); a snapshot of disk-2. */
static void test_collect(void **state)
{
	struct fixture *f = *state;
	const char *first = folders_disk(f->arena, &f->folders, "a");
	const char *const argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", first, "1M", NULL};
	cleanup_free char *found = NULL;

	if (process_find("qemu-img", NULL, &found, NULL) < 0)
		skip();
	assert_int_equal(process_must(argv, NULL, NULL), 0);
	assert_null(store_current(&f->store));
	assert_int_equal(store_make_overlay(&f->store, "disk-1.qcow2", first, NULL, NULL), 0);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const names[] = {"disk-2.qcow2", "disk-3.qcow2", "disk-4.qcow2"};
		static const char *const over[] = {"disk-1.qcow2", "disk-2.qcow2", "disk-1.qcow2"};

		assert_int_equal(store_make_overlay(&f->store, names[i], store_file(&f->store, over[i]), NULL, NULL),
				 0);
	}
	assert_int_equal(store_set_current(&f->store, "disk-3.qcow2", NULL), 0);
	assert_string_equal(store_current(&f->store), "disk-3.qcow2");
	write_file(f, "s/snapshot.json", "{\"disk\":\"disk-2.qcow2\"}");
	write_file(f, ".new/memory", "");
	assert_int_equal(store_collect(&f->store, NULL, NULL), 0);
	assert_true(is_there(f, "disk-1.qcow2") && is_there(f, "disk-2.qcow2") && is_there(f, "disk-3.qcow2"));
	assert_false(is_there(f, "disk-4.qcow2") || is_there(f, ".new"));

	/* The guest goes back to the snapshot: what it wrote since is needed by none. */
	assert_int_equal(
		store_make_overlay(&f->store, "disk-5.qcow2", store_file(&f->store, "disk-2.qcow2"), NULL, NULL), 0);
	assert_int_equal(store_set_current(&f->store, "disk-5.qcow2", NULL), 0);
	assert_int_equal(store_collect(&f->store, NULL, NULL), 0);
	assert_false(is_there(f, "disk-3.qcow2"));
	assert_true(is_there(f, "disk-1.qcow2") && is_there(f, "disk-2.qcow2") && is_there(f, "disk-5.qcow2"));
	assert_int_equal(store_set_current(&f->store, NULL, NULL), 0);
	assert_null(store_current(&f->store));
}

/* A qcow2 that says on which file it lies; what else it says is not there. */
static void write_overlay(struct fixture *f, unsigned number, const char *over)
{
	uint32_t head[26] = {htobe32(0x514649fb), htobe32(3), 0, htobe32(104), htobe32((uint32_t)strlen(over)),
			     htobe32(16)};
	cleanup_fclose FILE *out = fopen(store_file(&f->store, arena_printf(f->arena, "disk-%u.qcow2", number)), "w");

	head[7] = htobe32(1 << 20); /* size */
	head[9] = htobe32(1);	    /* one L1 entry, far beyond the end: its tables are damaged */
	head[11] = htobe32(1 << 30);
	head[24] = htobe32(4); /* refcount_order */
	head[25] = htobe32(104);
	assert_non_null(out);
	assert_int_equal(fwrite(head, sizeof(head), 1, out), 1);
	assert_true(fputs(over, out) >= 0);
}

/* Disks that are needed stay, however long the chain, and where one of them cannot be read. */
static void test_collect_keeps(void **state)
{
	enum { LENGTH = 300 };
	struct fixture *f = *state;
	size_t depth;

	write_overlay(f, 1, "/elsewhere/a.qcow2");
	for (unsigned i = 2; i <= LENGTH; i++)
		write_overlay(f, i, store_file(&f->store, arena_printf(f->arena, "disk-%u.qcow2", i - 1)));
	write_overlay(f, LENGTH + 1, "/elsewhere/a.qcow2");
	assert_int_equal(store_set_current(&f->store, "disk-300.qcow2", NULL), 0);
	assert_int_equal(store_collect(&f->store, NULL, NULL), 0);
	for (unsigned i = 1; i <= LENGTH; i++)
		assert_true(is_there(f, arena_printf(f->arena, "disk-%u.qcow2", i)));
	assert_false(is_there(f, "disk-301.qcow2"));
	assert_int_equal(store_depth(&f->store, store_file(&f->store, "disk-300.qcow2"), &depth, NULL), 0);
	assert_int_equal(depth, LENGTH);

	write_overlay(f, LENGTH + 1, "/elsewhere/a.qcow2"); /* needed by none, but who knows */
	write_file(f, "disk-200.qcow2", "torn");
	assert_int_equal(store_collect(&f->store, NULL, NULL), 0);
	assert_true(is_there(f, "disk-1.qcow2") && is_there(f, "disk-199.qcow2") && is_there(f, "disk-301.qcow2"));
	assert_true(store_depth(&f->store, store_file(&f->store, "disk-300.qcow2"), &depth, NULL) < 0);
}

/* What was damaged since it was written is found before anything is done with it. */
static void test_sums(void **state)
{
	struct fixture *f = *state;
	cleanup_error struct error *err = NULL;
	cleanup_json json_t *json = json_pack("{s:b, s:i, s:s}", "memory", 1, "bytes", 5, "disk", "../a.qcow2");
	struct snapshot one;

	write_file(f, "x/memory", "12345");
	write_file(f, "x/own/variables", "v");
	assert_int_equal(store_add_sums(&f->store, store_file(&f->store, "x"), json, NULL), 0);
	assert_int_equal(json_object_size(json_object_get(json, "sums")), 2);
	assert_int_equal(json_write_file(store_file(&f->store, "x/snapshot.json"), json, NULL), 0);
	assert_int_equal(store_read(&f->store, "x", &one, NULL), 0);
	assert_int_equal(store_check_sums(&f->store, &one, true, NULL), 0);
	write_file(f, "x/memory", "12x45");
	assert_int_equal(store_check_sums(&f->store, &one, true, &err), -ENODATA);
	assert_non_null(strstr(err->message, "x/memory is not as it was written"));
	assert_non_null(strstr(err->hint, "nestvisor restore --no-memory hv/a x"));
	assert_int_equal(store_check_sums(&f->store, &one, false, NULL), 0);
	write_file(f, "x/own/variables", "w");
	assert_int_equal(store_check_sums(&f->store, &one, false, NULL), -ENODATA);

	/* One that was made before there were sums. */
	json_object_del(json, "sums");
	assert_int_equal(json_write_file(store_file(&f->store, "x/snapshot.json"), json, NULL), 0);
	assert_int_equal(store_read(&f->store, "x", &one, NULL), 0);
	assert_int_equal(store_check_sums(&f->store, &one, true, NULL), 0);
}

static void test_own(void **state)
{
	struct fixture *f = *state;
	bool variables = true, tpm = false;

	write_file(f, "from/tpm/tpm2-00.permall", "state");
	assert_int_equal(store_copy_own(&f->store, store_file(&f->store, "from"), store_file(&f->store, "to"),
					&variables, &tpm, NULL),
			 0);
	assert_true(tpm && !variables);
	assert_true(is_there(f, "to/tpm/tpm2-00.permall"));
	assert_false(is_there(f, "to/variables"));
}

static void test_version(void **state)
{
	char version[VERSION_TEXT_SIZE];

	assert_true(version_parse("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\n", version));
	assert_string_equal(version, "7.2");
	assert_true(version_parse("QEMU emulator version 10.1.0\n", version));
	assert_string_equal(version, "10.1");
	assert_false(version_parse("no such file", version));
}

static void test_other_disk(void **state)
{
	struct fixture *f = *state;
	static const char before[] = "<devices>\n<disk type='file' device='disk'>\n"
				     "<source file='/a.qcow2' index='2'/>\n"
				     "<backingStore type='file' index='1'>\n<format type='qcow2'/>\n"
				     "<source file='/base'/>\n<backingStore type='file'>\n<source file='/b'/>\n"
				     "<backingStore/>\n</backingStore>\n</backingStore>\n<target dev='vda'/>\n</disk>\n"
				     "<disk type='file'>\n<source file='/seed'/>\n<backingStore/>\n</disk>\n";
	static const char after[] = "<devices>\n<disk type='file' device='disk'>\n"
				    "<source file='/x&amp;y'/>\n\n<target dev='vda'/>\n</disk>\n"
				    "<disk type='file'>\n<source file='/seed'/>\n<backingStore/>\n</disk>\n";

	assert_string_equal(libvirt_other_disk(f->arena, before, "/x&y"), after);
	assert_string_equal(libvirt_other_disk(f->arena, after, "/z"),
			    "<devices>\n<disk type='file' device='disk'>\n"
			    "<source file='/z'/>\n\n<target dev='vda'/>\n</disk>\n"
			    "<disk type='file'>\n<source file='/seed'/>\n<backingStore/>\n</disk>\n");
	assert_string_equal(libvirt_other_disk(f->arena, "<disk ><source file='/a'/><backingStore/></disk>", "/z"),
			    "<disk ><source file='/z'/></disk>");
	assert_string_equal(libvirt_other_disk(f->arena, "<devices/>", "/z"), "<devices/>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pending, setup, teardown),
		cmocka_unit_test_setup_teardown(test_collect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_collect_keeps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sums, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own, setup, teardown),
		cmocka_unit_test(test_version),
		cmocka_unit_test_setup_teardown(test_other_disk, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
