#include "image/image.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "cli/command.h"
#include "image/medium.h"
#include "render/text.h"

#include <errno.h>

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static void print_file(struct invocation *inv, const char *what, const char *path)
{
	if (path)
		invocation_print(inv, "  %-20s %s\n", what, path);
}

/* The installation medium that a file is; MEDIUM_OTHER where it is none. A broken one is an error. */
static int read_medium(struct arena *arena, const char *path, struct medium *ret, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	int r = image_is_builtin(path) ? 0 : medium_read(arena, path, ret, &problem);

	return r < 0 && r != -EMEDIUMTYPE ? error_move(err, &problem) : 0; /* a disk is no CD */
}

static json_t *edition_json(const struct medium_edition *edition)
{
	json_t *languages = json_array();

	for (size_t i = 0; i < edition->language_count; i++)
		json_array_append_new(languages, text_json(edition->languages[i]));
	return json_pack("{s:o, s:o, s:s, s:i, s:o}", "name", text_json(edition->name), "edition",
			 text_json(edition->edition), "architecture", edition->architecture, "build",
			 (int)edition->build, "languages", languages);
}

static json_t *medium_json(struct arena *arena, const struct medium *medium)
{
	json_t *json = json_pack(
		"{s:s, s:s, s:o, s:s}", "kind", medium->kind == MEDIUM_WINDOWS ? "windows" : "virtio-win", "what",
		medium_words(arena, medium), "label", text_json(medium->label), "format", medium->format);
	json_t *editions = json_array();

	for (size_t i = 0; i < medium->edition_count; i++)
		json_array_append_new(editions, edition_json(&medium->editions[i]));
	json_object_set_new(json, "editions", editions);
	return json;
}

static void print_medium(struct invocation *inv, struct arena *arena, const struct medium *medium)
{
	cleanup_strbuf struct strbuf out = {0};

	strbuf_printf(&out, "  %-20s %s, \"", "installs", medium_words(arena, medium));
	text_safe(&out, medium->label, false);
	strbuf_printf(&out, "\" (%s)\n", medium->format);
	for (size_t i = 0; i < medium->edition_count; i++) {
		const struct medium_edition *edition = &medium->editions[i];

		strbuf_printf(&out, "  %-20s ", i ? "" : "editions");
		text_safe(&out, edition->name, false);
		for (size_t k = 0; k < edition->language_count; k++) {
			strbuf_add(&out, k ? ", " : " (");
			text_safe(&out, edition->languages[k], false);
		}
		strbuf_add(&out, edition->language_count ? ")\n" : "\n");
	}
	invocation_print_text(inv, out.text);
}

static int run(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	struct medium medium = {0};
	struct image image;
	bool installs;

	if (image_get(arena, invocation_operand(inv, 0), NULL, inv->reporter, inv->cancel, &image, &err) < 0)
		return invocation_fail(inv, &err);
	if (read_medium(arena, invocation_operand(inv, 0), &medium, &err) < 0)
		return invocation_fail(inv, &err);
	installs = medium.kind != MEDIUM_OTHER;
	if (inv->json) {
		json_t *carriers = json_array(), *answer;

		for (size_t i = 0; i < image.carrier_count; i++)
			json_array_append_new(carriers,
					      json_pack("{s:s, s:s, s:s}", "serial", image.carriers[i].serial, "path",
							image.carriers[i].path, "format", image.carriers[i].format));
		answer = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "name", image.name, "id", image.id,
				   "kernel", text_or_null(image.kernel), "vmlinux", text_or_null(image.vmlinux),
				   "initrd", text_or_null(image.initrd), "initrd_host", text_or_null(image.initrd_host),
				   "disk", text_or_null(image.disk), "carriers", carriers, "append", image.append);
		if (installs)
			json_object_set_new(answer, "medium", medium_json(arena, &medium));
		invocation_answer(inv, answer);
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
	if (installs)
		print_medium(inv, arena, &medium);
	return EXIT_DONE;
}

const struct command command_image = {
	.name = "image",
	.group = GROUP_LAB,
	.summary = "makes an image, if it is not there yet, and says where its files are",
	.description = "`up` makes the images that a lab needs by itself; this is for making them beforehand. Built in "
		       "are `micro`, a "
		       "kernel and a small system in memory, `micro-libvirt`, which has a libvirtd besides, and "
		       "`debian-12`, a normal system; a path names a qcow2 or "
		       "raw disk of "
		       "your own, which is checked. Of an ISO with Windows it says which editions and languages can be "
		       "installed from it.",
	.operands =
		(const struct command_operand[]){
			{"IMAGE", "micro, micro-libvirt, debian-12, or the path of a disk", COMPLETE_FILE}, {0}},
	.examples =
		(const struct command_example[]){{"nestvisor image debian-12", "makes it, or says that it is there"},
						 {"nestvisor image Win11.iso", "which editions it has"},
						 {0}},
	.json = "image",
	.run = run,
};
