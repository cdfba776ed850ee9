/* image/: building, finding again, what is in an image, damage; then `micro` for real where apt works. */
#include "image_fixture.h"

/* ------------------------------------------------------------------ building and finding again */

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

/* ------------------------------------------------------------------ for real */

static void test_builtin_names(void **state)
{
	assert_true(image_is_builtin("micro"));
	assert_true(image_is_builtin("micro-libvirt"));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_build),	  TEST(test_equal_content_has_equal_id),
		TEST(test_unknown_id),	  TEST(test_new_nestvisor),
		TEST(test_new_script),	  TEST(test_old_images_go),
		TEST(test_archives),	  TEST(test_libraries),
		TEST(test_carrier),	  TEST(test_damage_is_mended),
		TEST(test_verification),  TEST(test_other_times_are_no_damage),
		TEST(test_builtin_names), TEST(test_micro),
	};

	return RUN_TESTS("image", tests);
}
