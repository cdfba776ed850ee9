#include "image/image.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "cli/command.h"

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static void print_file(struct invocation *inv, const char *what, const char *path)
{
	if (path)
		invocation_print(inv, "  %-20s %s\n", what, path);
}

static int run(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	struct image image;

	if (image_get(arena, invocation_operand(inv, 0), NULL, inv->reporter, inv->cancel, &image, &err) < 0)
		return invocation_fail(inv, &err);
	if (inv->json) {
		json_t *carriers = json_array();

		for (size_t i = 0; i < image.carrier_count; i++)
			json_array_append_new(carriers,
					      json_pack("{s:s, s:s, s:s}", "serial", image.carriers[i].serial, "path",
							image.carriers[i].path, "format", image.carriers[i].format));
		invocation_answer(inv,
				  json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "name", image.name, "id",
					    image.id, "kernel", text_or_null(image.kernel), "vmlinux",
					    text_or_null(image.vmlinux), "initrd", text_or_null(image.initrd),
					    "initrd_host", text_or_null(image.initrd_host), "disk",
					    text_or_null(image.disk), "carriers", carriers, "append", image.append));
		return EXIT_DONE;
	}
	invocation_print(inv, "%s %s\n", image.name, image.id);
	print_file(inv, "kernel", image.kernel);
	print_file(inv, "kernel, as ELF", image.vmlinux);
	print_file(inv, "initramfs", image.initrd);
	print_file(inv, "initramfs of a host", image.initrd_host);
	print_file(inv, "disk", image.disk);
	for (size_t i = 0; i < image.carrier_count; i++)
		print_file(inv, "carrier", image.carriers[i].path);
	return EXIT_DONE;
}

const struct command command_image = {
	.name = "image",
	.group = GROUP_LAB,
	.summary = "makes an image, if it is not there yet, and says where its files are",
	.description = "`up` makes the images that a lab needs by itself; this is for making them beforehand. Built in "
		       "are `micro`, a "
		       "kernel and a small system in memory, and `debian-12`, a normal system; a path names a qcow2 or "
		       "raw disk of "
		       "your own, which is checked.",
	.operands =
		(const struct command_operand[]){{"IMAGE", "micro, debian-12, or the path of a disk", COMPLETE_FILE},
						 {0}},
	.examples =
		(const struct command_example[]){{"nestvisor image debian-12", "makes it, or says that it is there"},
						 {0}},
	.json = "image",
	.run = run,
};
