/*
 * image/: the builder, with a script of the test's own that makes a tiny image, and the cache; then `micro` for real
 * where apt works. Waits for a script by a FIFO that it opens, never by time.
 */
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
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

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

static struct image_recipe make_recipe(const struct embedded_file *table)
{
	return (struct image_recipe){.name = "tiny",
				     .script = "tiny.sh",
				     .files = files,
				     .table = table,
				     .programs = no_programs,
				     .append = "quiet",
				     .nestvisor_prefix = ""};
}

static struct image_build make_build(const struct fixture *f, const struct image_recipe *recipe)
{
	return (struct image_build){.recipe = recipe,
				    .nestvisor = "/bin/true",
				    .cache = f->cache,
				    .subject = "image tiny",
				    .arena = f->arena,
				    .lock_fd = -1};
}

static int set_up(void **state)
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

static int tear_down(void **state)
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

static size_t runs(const struct fixture *f)
{
	cleanup_free char *text = NULL;
	size_t length = 0;

	file_read(in_cache(f, "runs"), 1 << 20, &text, &length, NULL);
	return length / strlen("run\n");
}

static size_t count_entries(const char *path)
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

static void assert_built(struct image_build *build, struct image *ret)
{
	cleanup_error struct error *err = NULL;

	if (image_get_built(build, NULL, ret, &err) < 0)
		fail_msg("%s", err->message);
	assert_true(file_exists(ret->vmlinux) && file_exists(ret->kernel) && file_exists(ret->initrd) &&
		    file_exists(ret->initrd_host));
	assert_false(file_exists(arena_printf(build->arena, "%s/build.tiny", build->cache)));
}

/* ------------------------------------------------------------------ building and finding again */

struct collector {
	struct reporter reporter;
	char text[8192];
};

static void collect(struct reporter *reporter, enum report_kind kind, const char *subject, const char *text)
{
	static const char *const names[] = {"note", "warning", "begin", "update", "done", "failed"};
	struct collector *c = (struct collector *)reporter;
	size_t used = strlen(c->text);

	snprintf(c->text + used, sizeof(c->text) - used, "%s %s: %s\n", names[kind], subject, text);
}

static void test_build(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("ok"));
	struct image_build build = make_build(f, &recipe);
	struct collector collector = {.reporter = {collect}};
	struct image image, again;

	build.reporter = &collector.reporter;
	assert_built(&build, &image);
	assert_int_equal(runs(f), 1);
	assert_non_null(strstr(collector.text, "begin image tiny: "));
	assert_non_null(strstr(collector.text, "update image tiny: making it up\n"));
	assert_non_null(strstr(collector.text, "done image tiny: "));
	assert_string_equal(image.name, "tiny");
	assert_int_equal(image.kind, IMAGE_KERNEL);
	assert_string_equal(image.append, "quiet");
	assert_int_equal(strlen(image.id), 20);
	assert_int_equal(image.carrier_count, 1);
	assert_string_equal(image.carriers[0].serial, image.id);

	collector.text[0] = '\0';
	assert_built(&build, &again);
	assert_string_equal(again.id, image.id);
	assert_string_equal(collector.text, "");
	assert_int_equal(runs(f), 1);
	assert_int_equal(image_get_built(&build, image.id, &again, NULL), 0);
	assert_string_equal(again.initrd_host, image.initrd_host);
}

static void test_equal_content_has_equal_id(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("ok"));
	struct image_build build = make_build(f, &recipe);
	char first[IMAGE_ID_SIZE];
	struct image image;

	assert_built(&build, &image);
	memcpy(first, image.id, sizeof(first));
	assert_int_equal(dir_remove(in_cache(f, "images"), NULL), 0);
	assert_int_equal(dir_remove(in_cache(f, "layers"), NULL), 0);
	assert_built(&build, &image);
	assert_string_equal(image.id, first);
	assert_int_equal(runs(f), 2);
}

static void test_unknown_id(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("ok"));
	struct image_build build = make_build(f, &recipe);
	cleanup_error struct error *err = NULL;
	struct image image;

	assert_int_equal(image_get_built(&build, "0123456789abcdef0123", &image, &err), -ENOENT);
	assert_non_null(strstr(err->message, "0123456789abcdef0123"));
	assert_int_equal(image_get_built(&build, "../../../../etc", &image, &err), -ENOENT);
	assert_int_equal(runs(f), 0);
}

static void test_new_nestvisor(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("ok"));
	struct image_build build = make_build(f, &recipe);
	char layer[IMAGE_ID_SIZE], first_key[IMAGE_ID_SIZE];
	struct stat before, after;
	struct image first, second;

	build.nestvisor = make_nestvisor(f, "one");
	assert_built(&build, &first);
	layer_key(&recipe, layer);
	assert_int_equal(assemble_key(&build, cache_read_link(f->arena, f->cache, layer), first_key, NULL), 0);
	build.nestvisor = make_nestvisor(f, "two");
	assert_built(&build, &second);
	assert_int_equal(runs(f), 1); /* only repacked */
	assert_string_not_equal(first.id, second.id);
	assert_string_equal(first.vmlinux, second.vmlinux);
	/* Another file of the same content is the same image, which is left as it is: a guest may run from it. */
	build.nestvisor = make_nestvisor(f, "one");
	assert_int_equal(stat(first.initrd_host, &before), 0);
	assert_int_equal(unlink(in_cache(f, arena_printf(f->arena, "current/%s", first_key))), 0);
	assert_built(&build, &second);
	assert_int_equal(stat(first.initrd_host, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_string_equal(first.id, second.id);
}

static void test_new_script(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("ok")), changed = make_recipe(TABLE("KO"));
	struct image_build build = make_build(f, &recipe);
	struct image image;

	assert_built(&build, &image);
	build.recipe = &changed;
	assert_built(&build, &image);
	assert_int_equal(runs(f), 2);
}

static void test_old_images_go(void **state)
{
	static const char *const names[] = {"1", "2", "3", "4", "5", "6"};
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("ok"));
	struct image_build build = make_build(f, &recipe);
	cleanup_close int in_use = -1;
	struct image images[6];

	for (size_t i = 0; i < 6; i++) {
		build.nestvisor = make_nestvisor(f, names[i]);
		assert_built(&build, &images[i]);
		if (i == 0)
			in_use = open(images[0].carriers[0].path, O_RDONLY | O_CLOEXEC);
	}
	assert_true(file_exists(images[0].initrd_host)); /* somebody has it open */
	assert_false(file_exists(images[1].initrd_host));
	assert_false(file_exists(images[2].initrd_host));
	assert_true(file_exists(images[3].initrd_host));
	assert_int_equal(count_entries(in_cache(f, "images")), 4);
	assert_int_equal(count_entries(in_cache(f, "layers")), 1);
}

/* ------------------------------------------------------------------ what is in it */

/* Lists the names of one or several archives in a file, checking their form on the way. */
static char *list_archive(struct arena *arena, const char *path, size_t *ret_archives)
{
	cleanup_free char *data = NULL;
	size_t length, at = 0;
	char *list = arena_strdup(arena, "");

	*ret_archives = 0;
	assert_int_equal(file_read(path, 1U << 30, &data, &length, NULL), 0);
	while (at + 110 <= length) {
		unsigned mode, size, name_size;
		const char *name = data + at + 110;

		assert_int_equal(sscanf(data + at, "070701%*8x%8x%*8x%*8x%*8x%*8x%8x%*8x%*8x%*8x%*8x%8x%*8x", &mode,
					&size, &name_size),
				 3);
		assert_true(at + 110 + name_size <= length && strlen(name) + 1 == name_size);
		at = (at + 110 + name_size + 3) & ~3UL;
		at = (at + size + 3) & ~3UL;
		if (strcmp(name, "TRAILER!!!") == 0)
			++*ret_archives;
		else
			list = arena_printf(arena, "%s%s %o\n", list, name, mode);
	}
	assert_int_equal(at, length);
	return list;
}

static void test_archives(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("ok"));
	struct image_build build = make_build(f, &recipe);
	struct image image;
	size_t archives;
	char *list;

	build.nestvisor = make_nestvisor(f, "no program");
	assert_built(&build, &image);
	list = list_archive(f->arena, image.initrd, &archives);
	assert_int_equal(archives, 1);
	assert_string_equal(list, "init 100755\nusr 40755\nusr/bin 40755\nusr/bin/one 100644\nusr/bin/two 120777\n");
	list = list_archive(f->arena, image.initrd_host, &archives);
	assert_int_equal(archives, 3);
	assert_string_equal(list, "init 100755\nusr 40755\nusr/bin 40755\nusr/bin/one 100644\nusr/bin/two 120777\n"
				  "lib 40755\nlib/three 100644\n"
				  "usr 40755\nusr/local 40755\nusr/local/bin 40755\nusr/local/bin/nestvisor 100755\n"
				  "usr 40755\nusr/lib 40755\nusr/lib/x86_64-linux-gnu 40755\n");
}

/* nestvisor brings the shared libraries that the layer lacks (here all but libc), and no others. */
static void test_libraries(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("ok"));
	struct image_build build = make_build(f, &recipe);
	struct image image;
	size_t archives;
	char *list;

	build.nestvisor = "/proc/self/exe"; /* this test: it needs cmocka */
	assert_built(&build, &image);
	list = list_archive(f->arena, image.initrd_host, &archives);
	assert_non_null(strstr(list, "usr/lib/x86_64-linux-gnu/libcmocka.so.0 100755\n"));
	assert_null(strstr(list, "libc.so.6"));
}

static void test_carrier(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("ok"));
	struct image_build build = make_build(f, &recipe);
	cleanup_output struct process_output output = {0};
	cleanup_json json_t *manifest = NULL;
	const char *argv[] = {"debugfs", "-R", "cat /manifest.json", NULL, NULL};
	struct process_spec spec = {.argv = argv, .netns = -1, .in = -1};
	unsigned char uuid[8];
	char text[17] = "";
	struct image image;
	FILE *carrier;

	assert_built(&build, &image);
	argv[3] = image.carriers[0].path;
	assert_int_equal(process_run(&spec, NULL, 0, -1, NULL, &output, NULL), 0);
	assert_int_equal(json_parse(output.out, output.out_length, "manifest", &manifest, NULL), 0);
	assert_string_equal(json_get_string(manifest, "id", ""), image.id);
	assert_non_null(json_object_get(json_object_get(manifest, "files"), "host.initrd"));

	/* carried.c tells it from other disks by this. */
	carrier = fopen(image.carriers[0].path, "re");
	assert_non_null(carrier);
	assert_int_equal(fseek(carrier, 1024 + 0x68, SEEK_SET), 0);
	assert_int_equal(fread(uuid, 1, sizeof(uuid), carrier), sizeof(uuid));
	fclose(carrier);
	for (size_t i = 0; i < sizeof(uuid); i++)
		snprintf(text + 2 * i, 3, "%02x", uuid[i]);
	assert_memory_equal(text, image.id, 16);
}

/* ------------------------------------------------------------------ damage */

static void damage(const char *path, off_t size, bool keep_time)
{
	cleanup_close int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	if (size >= 0)
		assert_int_equal(ftruncate(fd, size), 0);
	else
		assert_int_equal(pwrite(fd, "x", 1, st.st_size / 2), 1);
	if (keep_time)
		assert_int_equal(futimens(fd, (struct timespec[]){st.st_atim, st.st_mtim}), 0);
}

static void test_damage_is_mended(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("ok"));
	struct image_build build = make_build(f, &recipe);
	struct collector collector = {.reporter = {collect}};
	char id[IMAGE_ID_SIZE];
	struct image image;

	build.reporter = &collector.reporter;
	assert_built(&build, &image);
	memcpy(id, image.id, sizeof(id));

	damage(image.initrd_host, 1000, false); /* of the image: repacked */
	assert_built(&build, &image);
	assert_non_null(strstr(collector.text, "warning image tiny: "));
	assert_non_null(strstr(collector.text, "it has 1000 bytes"));
	assert_int_equal(runs(f), 1);

	damage(image.vmlinux, -1, false); /* of the layer: made anew */
	assert_built(&build, &image);
	assert_int_equal(runs(f), 2);

	assert_int_equal(unlink(image.initrd), 0);
	assert_built(&build, &image);
	assert_int_equal(runs(f), 3);

	assert_int_equal(file_write_atomic(arena_printf(f->arena, "%s/images/%s/manifest.json", f->cache, image.id),
					   "{", 1, 0644, NULL),
			 0);
	assert_built(&build, &image);
	assert_string_equal(image.id, id);
}

static void test_verification(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("ok"));
	struct image_build build = make_build(f, &recipe);
	struct collector collector = {.reporter = {collect}};
	struct image image;

	build.reporter = &collector.reporter;
	assert_built(&build, &image);
	collector.text[0] = '\0';
	damage(image.kernel, -1, true); /* the same size and time: only its content tells */
	assert_built(&build, &image);
	assert_int_equal(runs(f), 1);
	setenv("NESTVISOR_VERIFY", "1", 1);
	assert_built(&build, &image);
	unsetenv("NESTVISOR_VERIFY");
	assert_int_equal(runs(f), 2);
	assert_non_null(strstr(collector.text, "its checksum is wrong"));
}

/* Somebody copied the cache: other times, the same content. */
static void test_other_times_are_no_damage(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("ok"));
	struct image_build build = make_build(f, &recipe);
	struct collector collector = {.reporter = {collect}};
	struct image image;

	assert_built(&build, &image);
	assert_int_equal(utimensat(AT_FDCWD, image.vmlinux, NULL, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, image.initrd_host, NULL, 0), 0);
	build.reporter = &collector.reporter;
	assert_built(&build, &image);
	assert_string_equal(collector.text, "");
	assert_int_equal(runs(f), 1);
}

/* ------------------------------------------------------------------ failures */

static void assert_nothing_left(const struct fixture *f)
{
	assert_false(file_exists(in_cache(f, "build.tiny")));
	assert_int_equal(count_entries(in_cache(f, "images")), 0);
	assert_int_equal(count_entries(in_cache(f, "layers")), 0);
	assert_int_equal(count_entries(in_cache(f, "current")), 0);
}

static void test_script_fails(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("fail"));
	struct image_build build = make_build(f, &recipe);
	cleanup_error struct error *err = NULL;
	cleanup_free char *log = NULL;
	struct image image;
	size_t length;

	assert_int_equal(image_get_built(&build, NULL, &image, &err), -EIO);
	assert_string_equal(err->message, "making image tiny failed: the sky fell");
	assert_non_null(strstr(err->hint, "hold it up"));
	assert_int_equal(file_read(in_cache(f, "tiny.log"), 1 << 20, &log, &length, NULL), 0);
	assert_string_equal(log, "this goes to the log\n");
	assert_nothing_left(f);

	recipe = make_recipe(TABLE("crash"));
	assert_int_equal(image_get_built(&build, NULL, &image, &err), -EIO);
	assert_non_null(strstr(err->message, "status 7: sh: something broke"));
	assert_nothing_left(f);

	recipe = make_recipe(TABLE("empty"));
	assert_int_equal(image_get_built(&build, NULL, &image, &err), -EIO);
	assert_non_null(strstr(err->message, "did not make all"));
	assert_nothing_left(f);
}

static void test_missing_program(void **state)
{
	static const struct image_program programs[] = {{"sh", "dash"}, {"no-such-program", "a-package"}, {NULL, NULL}};
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("ok"));
	struct image_build build = make_build(f, &recipe);
	cleanup_error struct error *err = NULL;
	struct image image;

	recipe.programs = programs;
	assert_int_equal(image_get_built(&build, NULL, &image, &err), -ENOENT);
	assert_non_null(strstr(err->message, "no-such-program"));
	assert_string_equal(err->hint, "apt-get install a-package");
	assert_int_equal(runs(f), 0);
	assert_nothing_left(f);
}

static void test_no_folder(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("ok"));
	struct image_build build = make_build(f, &recipe);
	cleanup_error struct error *err = NULL;
	struct image image;

	build.cache = make_nestvisor(f, "a file");
	assert_int_equal(image_get_built(&build, NULL, &image, &err), -ENOTDIR);
	assert_non_null(strstr(err->message, build.cache));
	assert_non_null(strstr(err->hint, "NESTVISOR_CACHE"));
}

struct disk_full {
	uint64_t needs;
	const char *mode;
	size_t nestvisor_size;
};

/* On a tmpfs of 8 MB in a mount namespace of its own. Its exit status is that of this child. */
static void fill_disk(const struct fixture *f, const struct disk_full *how)
{
	struct image_recipe recipe = make_recipe(TABLE(how->mode));
	struct image_build build = make_build(f, &recipe);
	struct error *err = NULL;
	struct image image;
	char *big = malloc(how->nestvisor_size + 1);

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", f->cache, "tmpfs", 0, "size=8m") < 0)
		_exit(77);
	recipe.needs_space = how->needs;
	if (how->nestvisor_size) {
		memset(big, 'x', how->nestvisor_size); /* not zeros, which would take no room */
		build.nestvisor = arena_printf(f->arena, "%s/large", f->folder);
		if (file_write_atomic(build.nestvisor, big, how->nestvisor_size, 0755, NULL) < 0)
			_exit(2);
	}
	if (image_get_built(&build, NULL, &image, &err) != -ENOSPC) {
		print_error("%s\n", err ? err->message : "no error");
		_exit(3);
	}
	if (!strstr(err->message, f->cache) || !strstr(err->message, " MB are free") ||
	    !strstr(err->hint, "NESTVISOR_CACHE"))
		_exit(4);
	if (file_exists(in_cache(f, "build.tiny")) || file_exists(in_cache(f, "tiny.log")) ||
	    count_entries(in_cache(f, "images")) != 0)
		_exit(5);
	_exit(0);
}

static void test_disk_full(void **state)
{
	static const struct disk_full ways[] = {
		{.needs = 700 << 20, .mode = "ok"},			     /* seen before anything is done */
		{.needs = 1 << 20, .mode = "big"},			     /* while the script works */
		{.needs = 1 << 20, .mode = "ok", .nestvisor_size = 7 << 20}, /* while it is packed */
		{.needs = 1 << 20, .mode = "ok", .nestvisor_size = 2 << 20}, /* while the carrier is made */
	};
	struct fixture *f = *state;
	int status;

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0)
			fill_disk(f, &ways[i]);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == 77) {
			print_message("skipped: a mount namespace cannot be made here\n");
			skip();
		}
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

/* ------------------------------------------------------------------ several builders, and killed ones */

/* Opens the FIFO for writing, which waits until a script reads it. */
static int wait_for_script(const struct fixture *f)
{
	int fd = open(f->fifo, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static pid_t read_pid(const struct fixture *f)
{
	cleanup_free char *text = NULL;
	size_t length;

	assert_int_equal(file_read(in_cache(f, "pid"), 64, &text, &length, NULL), 0);
	return (pid_t)atoi(text);
}

static pid_t start_builder(const struct fixture *f, const struct image_recipe *recipe)
{
	struct image_build build = make_build(f, recipe);
	struct image image;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		_exit(image_get_built(&build, NULL, &image, NULL) == 0 ? 0 : 1);
	return child;
}

/* Lets the script go on as soon as somebody waits for the lock. */
struct releaser {
	struct collector collector;
	int fd;
	const char *go;
};

static void release(struct reporter *reporter, enum report_kind kind, const char *subject, const char *text)
{
	struct releaser *r = (struct releaser *)reporter;

	collect(reporter, kind, subject, text);
	if (kind == REPORT_BEGIN && strstr(text, "waiting for process"))
		assert_int_equal(write(r->fd, r->go, strlen(r->go)), (ssize_t)strlen(r->go));
}

static void test_second_builder_waits(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("block"));
	struct image_build build = make_build(f, &recipe);
	struct releaser releaser = {.collector = {.reporter = {release}}, .go = "go\n"};
	pid_t first = start_builder(f, &recipe);
	struct image image;
	char expect[64];
	int status;

	releaser.fd = wait_for_script(f);
	build.reporter = &releaser.collector.reporter;
	assert_built(&build, &image);
	close(releaser.fd);
	assert_int_equal(waitpid(first, &status, 0), first);
	assert_int_equal(status, 0);
	assert_int_equal(runs(f), 1);
	snprintf(expect, sizeof(expect), "waiting for process %d image tiny", first);
	assert_non_null(strstr(releaser.collector.text, expect));
}

/* Its script lives on for a moment and holds the lock; then the next builder clears up and builds. */
static void test_builder_killed(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("block"));
	struct image_build build = make_build(f, &recipe);
	struct releaser releaser = {.collector = {.reporter = {release}}, .go = "go\ngo\n"};
	pid_t first = start_builder(f, &recipe);
	struct image image;
	int status;

	releaser.fd = wait_for_script(f);
	assert_int_equal(kill(first, SIGKILL), 0);
	assert_int_equal(waitpid(first, &status, 0), first);
	assert_true(file_exists(in_cache(f, "build.tiny/script")));
	assert_int_equal(file_write_atomic(in_cache(f, "build.tiny/out/left over"), "x", 1, 0644, NULL), 0);
	build.reporter = &releaser.collector.reporter;
	assert_built(&build, &image);
	close(releaser.fd);
	assert_int_equal(runs(f), 2);
	assert_int_equal(count_entries(in_cache(f, "layers")), 1);
	assert_false(file_exists(arena_printf(f->arena, "%s/left over", image.vmlinux)));
}

static void *cancel_when_there(void *arg)
{
	void **args = arg;
	int fd = open(((struct fixture *)args[0])->fifo, O_WRONLY | O_CLOEXEC);

	cancel_request(args[1]);
	return (void *)(intptr_t)fd;
}

static void test_cancel(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("block"));
	struct image_build build = make_build(f, &recipe);
	cleanup_error struct error *err = NULL;
	struct cancel cancel;
	struct image image;
	pthread_t thread;
	void *fd;

	assert_int_equal(cancel_open(&cancel), 0);
	build.cancel = &cancel;
	assert_int_equal(pthread_create(&thread, NULL, cancel_when_there, (void *[]){f, &cancel}), 0);
	assert_int_equal(image_get_built(&build, NULL, &image, &err), -ECANCELED);
	assert_int_equal(pthread_join(thread, &fd), 0);
	close((int)(intptr_t)fd);
	cancel_close(&cancel);
	assert_int_equal(kill(read_pid(f), 0), -1);
	assert_int_equal(errno, ESRCH);
	assert_nothing_left(f);
}

/* ------------------------------------------------------------------ for real */

static void test_builtin_names(void **state)
{
	assert_true(image_is_builtin("micro"));
	assert_true(image_is_builtin("debian-12"));
	assert_false(image_is_builtin("./micro"));
	assert_false(image_is_builtin(""));
}

static void skip_without_apt(const struct error *err)
{
	static const char *const reasons[] = {"apt-get could not download", "apt knows no package",
					      "apt-get update failed", "is not installed"};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		if (strstr(err->message, reasons[i])) {
			print_message("skipped: %s\n", err->message);
			skip();
		}
	fail_msg("%s", err->message);
}

static void test_micro(void **state)
{
	static const char *const guest_has[] = {"init 100755",	     "usr/bin/busybox",
						"usr/sbin/qemu-ga",  "usr/lib/nestvisor/agent",
						"virtio_console.ko", "usr/sbin/dropbear"};
	static const char *const host_has[] = {"usr/bin/qemu-system-x86_64-microvm",
					       "usr/bin/qemu-img",
					       "usr/sbin/dnsmasq",
					       "usr/sbin/nft",
					       "kvm-amd.ko",
					       "kvm-intel.ko",
					       "nft_chain_nat.ko",
					       "usr/local/bin/nestvisor 100755"};
	struct fixture *f = *state;
	cleanup_error struct error *err = NULL;
	char magic[4] = "", *list;
	struct image image;
	size_t archives;
	FILE *kernel;

	setenv("NESTVISOR_CACHE", f->cache, 1);
	if (image_get(f->arena, "micro", NULL, NULL, NULL, &image, &err) < 0)
		skip_without_apt(err);
	kernel = fopen(image.vmlinux, "re");
	assert_non_null(kernel);
	assert_int_equal(fread(magic, 1, 4, kernel), 4);
	fclose(kernel);
	assert_memory_equal(magic, "\177ELF", 4);
	list = list_archive(f->arena, image.initrd, &archives);
	assert_int_equal(archives, 1);
	for (size_t i = 0; i < sizeof(guest_has) / sizeof(*guest_has); i++)
		if (!strstr(list, guest_has[i]))
			fail_msg("the guest lacks %s", guest_has[i]);
	assert_null(strstr(list, "nestvisor 100755")); /* a plain guest carries neither it nor QEMU */
	assert_null(strstr(list, "microvm"));
	list = list_archive(f->arena, image.initrd_host, &archives);
	assert_int_equal(archives, 3);
	for (size_t i = 0; i < sizeof(host_has) / sizeof(*host_has); i++)
		if (!strstr(list, host_has[i]))
			fail_msg("the host lacks %s", host_has[i]);
	setenv("NESTVISOR_VERIFY", "1", 1);
	assert_int_equal(image_get(f->arena, "micro", image.id, NULL, NULL, &image, &err), 0);
	unsetenv("NESTVISOR_VERIFY");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_build),
		TEST(test_equal_content_has_equal_id),
		TEST(test_unknown_id),
		TEST(test_new_nestvisor),
		TEST(test_new_script),
		TEST(test_old_images_go),
		TEST(test_archives),
		TEST(test_libraries),
		TEST(test_carrier),
		TEST(test_damage_is_mended),
		TEST(test_verification),
		TEST(test_other_times_are_no_damage),
		TEST(test_script_fails),
		TEST(test_missing_program),
		TEST(test_no_folder),
		TEST(test_disk_full),
		TEST(test_second_builder_waits),
		TEST(test_builder_killed),
		TEST(test_cancel),
		TEST(test_builtin_names),
		TEST(test_micro),
	};
	cleanup_free char *mke2fs = NULL;

	if (process_find("mke2fs", NULL, &mke2fs, NULL) < 0) {
		puts("skipped: mke2fs is not installed (e2fsprogs)");
		return 77;
	}
	return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
