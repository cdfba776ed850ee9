#include "image/install.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "image/medium.h"
#include "image/unattend.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* The guest's name as one that Windows takes: 15 letters, digits and "-", not digits alone, no "-" at its ends. */
static const char *computer_name(struct arena *arena, const char *name)
{
	char *copy = arena_printf(arena, "%.15s", name);
	size_t length;

	for (char *c = copy; *c; c++)
		if (!isalnum((unsigned char)*c))
			*c = '-';
	for (length = strlen(copy); length && copy[length - 1] == '-';)
		copy[--length] = '\0';
	return strspn(copy, "0123456789") == length ? arena_printf(arena, "vm-%.12s", copy) : copy;
}

static struct unattend answers_of(struct arena *arena, const struct guest *guest, const char *password)
{
	const struct install *install = guest->install;

	return (struct unattend){
		.version = (enum windows_version)windows_version(guest->os),
		.build = install->build,
		.edition = install->edition ? install->edition : "",
		.language = install->language ? install->language : "",
		.keyboard = install->keyboard,
		.time_zone = install->time_zone,
		.computer_name = computer_name(arena, guest->name),
		.user = install->user,
		.password = password,
		.product_key = install->product_key,
	};
}

static int read_password(const struct install *install, char **ret, struct error **err)
{
	if (!install->password)
		return unattend_read_password(install->password_file, ret, err);
	*ret = strdup(install->password);
	if (!*ret)
		abort();
	return 0;
}

static int choose(struct arena *arena, struct guest *guest, enum install_part *ret_wrong, struct error **err)
{
	enum windows_version version = (enum windows_version)windows_version(guest->os);
	struct install *install = guest->install;
	struct medium medium, virtio;
	struct medium_choice choice;
	int r;

	*ret_wrong = INSTALL_PART_MEDIUM;
	r = medium_read(arena, guest->image, &medium, err);
	if (r == 0)
		r = medium_choose(&medium, version, NULL, NULL, &choice, err);
	if (r < 0)
		return r;
	*ret_wrong = INSTALL_PART_EDITION;
	r = medium_choose(&medium, version, install->edition, install->language, &choice, err);
	if (r < 0)
		return r;
	install->edition = choice.edition->name;
	install->language = choice.language;
	install->build = choice.edition->build;
	*ret_wrong = INSTALL_PART_VIRTIO;
	r = medium_read(arena, install->virtio, &virtio, err);
	return r < 0 ? r : medium_check_virtio(&virtio, version, install->build, err);
}

int install_check(struct arena *arena, struct guest *guest, enum install_part *ret_wrong, struct error **err)
{
	cleanup_strbuf struct strbuf xml = {0};
	cleanup_free char *password = NULL;
	struct unattend answers;
	int r = choose(arena, guest, ret_wrong, err);

	if (r < 0)
		return r;
	*ret_wrong = INSTALL_PART_PASSWORD;
	r = read_password(guest->install, &password, err);
	if (r < 0)
		return r;
	*ret_wrong = INSTALL_PART_WHOLE;
	answers = answers_of(arena, guest, password);
	return unattend_write(&answers, &xml, err);
}

int install_make_seed(const struct guest *guest, const char *path, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_free char *password = NULL;
	struct unattend answers;
	int r = read_password(guest->install, &password, err);

	if (r < 0)
		return r;
	answers = answers_of(arena, guest, password);
	return unattend_make_seed(&answers, path, err);
}
