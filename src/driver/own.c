#include "driver/own.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "image/image.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

enum { VARIABLES_LIMIT = 64 << 20 };

/* What swtpm calls a TPM 2.0's permanent state (swtpm(8), --tpmstate). */
#define TPM_STATE "tpm2-00.permall"

#define SEALED                                                                                                         \
	"What was sealed to it (BitLocker's and LUKS' keys, Windows Hello, certificates) cannot be opened any more; "  \
	"an "                                                                                                          \
	"encrypted disk needs its recovery key"

static const char *made_file(struct arena *arena, const struct driver_guest *guest)
{
	return arena_printf(arena, "%s.made", guest->own_dir);
}

static bool was_made(struct arena *arena, const struct driver_guest *guest, const char *what)
{
	cleanup_free char *text = NULL;
	char *rest = NULL;
	size_t length;

	if (file_read(made_file(arena, guest), 4096, &text, &length, NULL) < 0)
		return false;
	for (const char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (strcmp(line, what) == 0)
			return true;
	return false;
}

/* The volume that UEFI keeps its variables in (UEFI Platform Initialization 1.7, volume 3, 3.2.1): its signature at 40.
 */
static bool is_variable_store(const char *bytes, size_t length)
{
	return length > 44 && memcmp(bytes + 40, "_FVH", 4) == 0;
}

/* How long it says that it is (the same, FvLength at 32). */
static uint64_t store_length(const char *bytes)
{
	uint64_t length;

	memcpy(&length, bytes + 32, sizeof(length));
	return le64toh(length);
}

/* A whole store, but not of this firmware. */
static int refuse_size(struct arena *arena, const struct driver_guest *guest, const char *path, size_t found,
		       const char *template, size_t length, struct error **err)
{
	int r = error_set(err, ENOTSUP,
			  "the UEFI variables of %s are of another firmware: %s has %zu bytes, and %s, which the guest "
			  "would get now, has %zu",
			  guest->path, path, found, template, length);

	error_hint(err,
		   "install the firmware again that it was made with; to begin with new variables, without its boot "
		   "entries and keys: rm %s; sed -i /^variables$/d %s",
		   path, made_file(arena, guest));
	return r;
}

/* A store that somebody cut or overwrote: OVMF would hang on it without a word, or QEMU refuse it with one too few. */
static int check_variables(struct arena *arena, const struct driver_guest *guest, const struct firmware_files *files,
			   const char *path, const char *template, size_t length, struct error **err)
{
	cleanup_free char *bytes = NULL;
	size_t found;
	int r = file_read(path, VARIABLES_LIMIT, &bytes, &found, err);

	if (r < 0 || strcmp(files->variables_format, "raw") != 0 || !is_variable_store(template, length) ||
	    (found == length && is_variable_store(bytes, found)))
		return r;
	if (is_variable_store(bytes, found) && store_length(bytes) <= found &&
	    store_length(bytes) != store_length(template))
		return refuse_size(arena, guest, path, found, files->variables, length, err);
	r = error_set(
		err, ENODATA,
		"the UEFI variables of %s are damaged: %s is not what a variable store of this firmware looks like. "
		"The guest's boot entries and the keys that it enrolled were in there; a disk that is sealed to them "
		"will ask for its recovery key",
		guest->path, path);
	error_hint(err, "put back a copy of the file; to begin with new variables: rm %s; sed -i /^variables$/d %s",
		   path, made_file(arena, guest));
	return r;
}

static int prepare_variables(struct arena *arena, const struct driver_guest *guest, const struct firmware_files *files,
			     const char *path, struct error **err)
{
	cleanup_free char *template = NULL;
	size_t length;
	int r;

	r = file_read(files->variables, VARIABLES_LIMIT, &template, &length, err);
	if (r < 0)
		return r;
	if (file_exists(path))
		return check_variables(arena, guest, files, path, template, length, err);
	if (was_made(arena, guest, "variables")) {
		r = error_set(
			err, ENODATA,
			"the UEFI variables of %s are lost: %s is gone, and the guest has booted with it. Its boot "
			"entries and the keys that it enrolled were in there; a disk that is sealed to them will "
			"ask for its recovery key",
			guest->path, path);
		error_hint(err, "put the file back; to begin with new ones: sed -i /^variables$/d %s",
			   made_file(arena, guest));
		return r;
	}
	return file_write_atomic(path, template, length, 0600, err);
}

static int prepare_tpm(struct arena *arena, const struct driver_guest *guest, const char *path, struct error **err)
{
	int r;

	if (file_exists(arena_printf(arena, "%s/" TPM_STATE, path)))
		return 0;
	if (was_made(arena, guest, "tpm")) {
		r = error_set(err, ENODATA,
			      "the TPM of %s is lost: %s/" TPM_STATE
			      " is gone, and the guest has booted with it. " SEALED,
			      guest->path, path);
		error_hint(err, "put the file back; to begin with a new TPM: sed -i /^tpm$/d %s",
			   made_file(arena, guest));
		return r;
	}
	return dir_make(path, 0700, err);
}

int own_prepare(struct arena *arena, const struct driver_guest *guest, const struct firmware_files *files,
		struct own *ret, struct error **err)
{
	bool uefi = guest->firmware != FIRMWARE_BIOS;
	int r;

	*ret = (struct own){0};
	if (!uefi && !guest->tpm)
		return 0;
	if (!guest->own_dir)
		return error_set(err, EINVAL, "%s has no folder for its firmware and TPM", guest->path);
	r = dir_make(guest->own_dir, 0700, err);
	if (r == 0 && uefi) {
		ret->variables = arena_printf(arena, "%s/variables", guest->own_dir);
		ret->boot_disk = guest->image->kernel ? arena_printf(arena, "%s/boot", guest->own_dir) : NULL;
		r = prepare_variables(arena, guest, files, ret->variables, err);
	}
	if (r == 0 && guest->tpm) {
		ret->tpm = arena_printf(arena, "%s/tpm", guest->own_dir);
		r = prepare_tpm(arena, guest, ret->tpm, err);
	}
	return r;
}

int own_tpm_damaged(const struct driver_guest *guest, const char *words, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	const char *path = arena_printf(arena, "%s/tpm/" TPM_STATE, guest->own_dir);
	int r = error_set(err, ENODATA, "the TPM of %s does not start: what is in %s is damaged (%s). " SEALED,
			  guest->path, path, words);

	error_hint(err, "put back a copy of the file; to begin with a new TPM: rm %s; sed -i /^tpm$/d %s", path,
		   made_file(arena, guest));
	return r;
}

int own_started(const struct driver_guest *guest, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	/* What it once had and has not now stays noted: it may get it back. */
	bool variables = guest->firmware != FIRMWARE_BIOS || was_made(arena, guest, "variables");
	bool tpm = guest->tpm || was_made(arena, guest, "tpm");
	const char *text = arena_printf(arena, "%s%s", variables ? "variables\n" : "", tpm ? "tpm\n" : "");

	return *text ? file_write_atomic(made_file(arena, guest), text, strlen(text), 0600, err) : 0;
}
