/*
 * What the guests of a lab boot from, where it is a file of the user's: the same looks that `validate` and `up` take.
 * The one check that reads more than facts; what it looks at is done once, before the checks run.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "doctor/checks.h"
#include "image/image.h"
#include "image/install.h"

#include <string.h>

static bool was_looked_at(const struct examination *examination, const char *path)
{
	for (size_t i = 0; i < examination->image_count; i++)
		if (!examination->images[i].guest->install && strcmp(examination->images[i].path, path) == 0)
			return true;
	return false;
}

void examination_look_at_images(struct examination *examination, struct lab *lab)
{
	struct arena *arena = examination->arena;

	for (size_t i = 0; i < lab->guest_count; i++) {
		struct guest *guest = lab->guests[i];
		cleanup_error struct error *err = NULL;
		enum install_part wrong = INSTALL_PART_WHOLE;
		struct examined_image *image;
		const char *format;
		uint64_t size;
		int r;

		if (guest->adopted ||
		    (!guest->install && (image_is_builtin(guest->image) || was_looked_at(examination, guest->image))))
			continue;
		r = guest->install ? install_check(lab->arena, guest, &wrong, &err)
				   : image_inspect(guest->image, &format, &size, &err);
		image = arena_push(arena, examination->images, examination->image_count);
		*image = (struct examined_image){.guest = guest, .path = guest->image};
		if (r == 0)
			continue;
		image->problem = arena_strdup(arena, err->message);
		image->hint = err->hint ? arena_strdup(arena, err->hint) : NULL;
	}
}

static void tell_image(const struct check *check, struct examination *examination, const struct patient *patient,
		       const struct examined_image *image)
{
	const struct guest *guest = image->guest;
	struct finding *finding =
		finding_add(check, examination, patient, RESULT_FAIL, "%s: %s", guest->path, image->problem);

	finding_evidence(examination, finding, NULL, "%s, line %u of the lab file", image->path,
			 guest->install ? guest->install->place.line : guest->place.line);
	finding_remedy(examination, finding, "%s",
		       image->hint ? image->hint
				   : "get it once more, whole, and compare its checksum with its maker's; `nestvisor "
				     "validate` shows the place in the lab file");
}

static void look_images(const struct check *check, struct examination *examination, const struct patient *patient)
{
	struct finding *finding;
	size_t bad = 0;

	if (patient->guest || patient->derived || !examination->image_count)
		return;
	for (size_t i = 0; i < examination->image_count; i++)
		if (examination->images[i].problem) {
			tell_image(check, examination, patient, &examination->images[i]);
			bad++;
		}
	if (bad)
		return;
	finding = finding_add(check, examination, patient, RESULT_PASS,
			      "images and installation media of the lab are there, whole, and what they are to be");
	finding_evidence(examination, finding, NULL, "%s%s", examination->images[0].path,
			 examination->image_count > 1 ? " and others" : "");
}

const struct check check_lab_images = {
	.id = "lab.images",
	.title = "images and installation media of the lab can be used",
	.severity = SEVERITY_REQUIRED,
	.matters = "A guest cannot start from an image that is missing, cut short, or for another system or processor.",
	.look = look_images,
};
