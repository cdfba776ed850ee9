/*
 * For tests of the builder: an empty cache for each test, and a recipe whose script makes a tiny image. A script that
 * blocks is waited for by a FIFO that it opens, never by time.
 */
#ifndef NESTVISOR_TEST_IMAGE_FIXTURE_H
#define NESTVISOR_TEST_IMAGE_FIXTURE_H

#include "base/arena.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/report.h"
#include "image/image_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* What each test starts with: an empty cache, whose name must reach no shell. */
struct fixture {
	struct arena *arena;
	char folder[64];
	const char *cache, *fifo;
};

/* Counts its runs, does what the file "mode" says, and makes a small image. */
static const char script[] =
	"script_dir=$1 out=$2 work=$3\n"
	"cache=$script_dir/../..\n"
	"echo run >>\"$cache/runs\"\n"
	"echo 'nestvisor-progress: making it up'\n"
	"echo 'this goes to the log' >&2\n"
	"case $(cat \"$script_dir/mode\") in\n"
	"fail) echo 'nestvisor-error: the sky fell'; echo 'nestvisor-hint: hold it up'; exit 3 ;;\n"
	"crash) echo 'sh: something broke' >&2; exit 7 ;;\n"
	"empty) exit 0 ;;\n"
	"block) echo $$ >\"$cache/pid\"; read -r line <\"$cache/fifo\" ;;\n"
	"big) dd if=/dev/zero of=\"$work/big\" bs=1M count=64 ;;\n"
	"esac\n"
	"mkdir -p \"$out/guest/usr/bin\" \"$out/host/lib\"\n"
	"echo '#!/bin/sh' >\"$out/guest/init\"; chmod 755 \"$out/guest/init\"\n"
	"echo one >\"$out/guest/usr/bin/one\"; ln -s one \"$out/guest/usr/bin/two\"\n"
	"echo three >\"$out/host/lib/three\"\n"
	"head -c 300000 /dev/zero | tr '\\0' k >\"$out/vmlinux\"; cp \"$out/vmlinux\" \"$out/bzImage\"\n"
	"echo 'libc.so.6' >\"$out/libraries\"; echo 'a 1' >\"$out/packages\"\n";

static const char *const files[] = {"tiny.sh", "mode", NULL};

#define TABLE(text)                                                                                                    \
	(const struct embedded_file[])                                                                                 \
	{                                                                                                              \
		{"tiny.sh", (const unsigned char *)script, sizeof(script) - 1},                                        \
			{"mode", (const unsigned char *)(text), strlen(text)},                                         \
		{                                                                                                      \
			0                                                                                              \
		}                                                                                                      \
	}

static const struct image_program no_programs[] = {{NULL, NULL}};

static inline struct image_recipe make_recipe(const struct embedded_file *table)
{
	return (struct image_recipe){.name = "tiny",
				     .script = "tiny.sh",
				     .files = files,
				     .table = table,
				     .programs = no_programs,
				     .append = "quiet",
				     .nestvisor_prefix = ""};
}

static inline struct image_build make_build(const struct fixture *f, const struct image_recipe *recipe)
{
	return (struct image_build){.recipe = recipe,
				    .nestvisor = "/bin/true",
				    .cache = f->cache,
				    .subject = "image tiny",
				    .arena = f->arena,
				    .lock_fd = -1};
}

static inline int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	f->arena = arena_new();
	strcpy(f->folder, "/tmp/nestvisor-test-image.XXXXXX");
	if (!mkdtemp(f->folder))
		return -1;
	f->cache = arena_printf(f->arena, "%s/a cache's \"$(touch here)\"", f->folder);
	f->fifo = arena_printf(f->arena, "%s/fifo", f->cache);
	return mkdir(f->cache, 0755) < 0 || mkfifo(f->fifo, 0600) < 0 ? -1 : 0;
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;
	int r = dir_remove(f->folder, NULL);

	arena_free(f->arena);
	free(f);
	return r;
}

static const char *in_cache(const struct fixture *f, const char *name)
{
	return arena_printf(f->arena, "%s/%s", f->cache, name);
}

static inline size_t runs(const struct fixture *f)
{
	cleanup_free char *text = NULL;
	size_t length = 0;

	file_read(in_cache(f, "runs"), 1 << 20, &text, &length, NULL);
	return length / strlen("run\n");
}

static inline size_t count_entries(const char *path)
{
	cleanup_closedir DIR *dir = opendir(path);
	struct dirent *entry;
	size_t count = 0;

	while (dir && (entry = readdir(dir)))
		count += *entry->d_name != '.';
	return count;
}

/* Writes a small "nestvisor", so that a test can have several. */
static const char *make_nestvisor(const struct fixture *f, const char *name)
{
	const char *path = in_cache(f, name);

	assert_int_equal(file_write_atomic(path, name, strlen(name), 0755, NULL), 0);
	return path;
}

static inline void assert_built(struct image_build *build, struct image *ret)
{
	cleanup_error struct error *err = NULL;

	if (image_get_built(build, NULL, ret, &err) < 0)
		fail_msg("%s", err->message);
	assert_true(file_exists(ret->vmlinux) && file_exists(ret->kernel) && file_exists(ret->initrd) &&
		    file_exists(ret->initrd_host));
	assert_false(file_exists(arena_printf(build->arena, "%s/build.tiny", build->cache)));
}

struct collector {
	struct reporter reporter;
	char text[8192];
};

static inline void collect(struct reporter *reporter, enum report_kind kind, const char *subject, const char *text)
{
	static const char *const names[] = {"note", "warning", "begin", "update", "done", "failed"};
	struct collector *c = (struct collector *)reporter;
	size_t used = strlen(c->text);

	snprintf(c->text + used, sizeof(c->text) - used, "%s %s: %s\n", names[kind], subject, text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* All tests; without mke2fs none can be run. */
#define RUN_TESTS(title, tests)                                                                                        \
	({                                                                                                             \
		cleanup_free char *mke2fs_ = NULL;                                                                     \
		bool there_ = process_find("mke2fs", NULL, &mke2fs_, NULL) == 0;                                       \
                                                                                                                       \
		if (!there_)                                                                                           \
			puts("skipped: mke2fs is not installed (e2fsprogs)");                                          \
		there_ ? cmocka_run_group_tests_name(title, tests, NULL, NULL) : 77;                                   \
	})

#endif
