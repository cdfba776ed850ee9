#include "driver/firmware.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { DESCRIPTION_LIMIT = 1 << 20 };

struct descriptions {
	struct arena *arena;
	const char **names; /* sorted, each once */
	size_t count;
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_listed(const struct descriptions *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->names[i], name) == 0)
			return true;
	return false;
}

static void list_folder(struct descriptions *list, const char *folder)
{
	cleanup_closedir DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		const char *dot = strrchr(entry->d_name, '.');

		if (dot && strcmp(dot, ".json") == 0 && !is_listed(list, entry->d_name))
			*arena_push(list->arena, list->names, list->count) = arena_strdup(list->arena, entry->d_name);
	}
}

/* The file of that name in the most specific folder that has one; NULL where that one is empty, which hides the others.
 */
static json_t *read_description(struct arena *arena, const char *const *folders, const char *name)
{
	json_t *description = NULL;

	for (; *folders; folders++) {
		const char *path = arena_printf(arena, "%s/%s", *folders, name);
		struct stat st;

		if (stat(path, &st) < 0)
			continue;
		if (st.st_size > 0)
			json_read_file(path, DESCRIPTION_LIMIT, &description, NULL);
		return description;
	}
	return NULL;
}

static bool has_word(const json_t *list, const char *word)
{
	const json_t *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (json_is_string(item) && strcmp(json_string_value(item), word) == 0)
			return true;
	return false;
}

/* Machines are named by patterns such as "pc-q35-*". */
static bool runs_on_q35(const json_t *description)
{
	const json_t *target, *machine;
	size_t i, j;

	json_array_foreach (json_object_get(description, "targets"), i, target)
		if (strcmp(json_get_string(target, "architecture", ""), "x86_64") == 0)
			json_array_foreach (json_object_get(target, "machines"), j, machine)
				if (json_is_string(machine) && strncmp(json_string_value(machine), "pc-q35-", 7) == 0)
					return true;
	return false;
}

static bool fits(const json_t *description, enum firmware firmware)
{
	const json_t *features = json_object_get(description, "features");
	bool keys = has_word(features, "enrolled-keys"), secure = has_word(features, "secure-boot");

	return has_word(json_object_get(description, "interface-types"), "uefi") && runs_on_q35(description) &&
	       (firmware == FIRMWARE_UEFI_SECURE ? keys && secure : !keys && !secure);
}

/* False where it is none that lies in flash, with variables of its own. */
static bool take_files(struct arena *arena, const json_t *description, struct firmware_files *ret)
{
	const json_t *mapping = json_object_get(description, "mapping"), *code, *variables;

	code = json_object_get(mapping, "executable");
	variables = json_object_get(mapping, "nvram-template");
	*ret = (struct firmware_files){.code = arena_strdup(arena, json_get_string(code, "filename", "")),
				       .code_format = arena_strdup(arena, json_get_string(code, "format", "raw")),
				       .variables = arena_strdup(arena, json_get_string(variables, "filename", "")),
				       .variables_format =
					       arena_strdup(arena, json_get_string(variables, "format", "raw")),
				       .smm = has_word(json_object_get(description, "features"), "requires-smm")};
	return strcmp(json_get_string(mapping, "device", ""), "flash") == 0 && file_exists(ret->code) &&
	       file_exists(ret->variables);
}

int firmware_find_in(struct arena *arena, const char *const *folders, enum firmware firmware,
		     struct firmware_files *ret, struct error **err)
{
	struct descriptions list = {.arena = arena};
	int r;

	for (const char *const *folder = folders; *folder; folder++)
		list_folder(&list, *folder);
	if (list.count)
		qsort(list.names, list.count, sizeof(*list.names), compare_names);
	for (size_t i = 0; i < list.count; i++) {
		cleanup_json json_t *description = read_description(arena, folders, list.names[i]);

		if (description && fits(description, firmware) && take_files(arena, description, ret))
			return 0;
	}
	r = error_set(err, ENOENT, "this host has no UEFI firmware for QEMU's q35%s",
		      firmware == FIRMWARE_UEFI_SECURE ? " with Secure Boot and Microsoft's keys" : "");
	error_hint(err, "apt-get install ovmf (it is described in /usr/share/qemu/firmware)");
	return r;
}

int firmware_find(struct arena *arena, enum firmware firmware, struct firmware_files *ret, struct error **err)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME"), *folders[4];
	size_t n = 0;

	if (config && *config)
		folders[n++] = arena_printf(arena, "%s/qemu/firmware", config);
	else if (home && *home)
		folders[n++] = arena_printf(arena, "%s/.config/qemu/firmware", home);
	folders[n++] = "/etc/qemu/firmware";
	folders[n++] = "/usr/share/qemu/firmware";
	folders[n] = NULL;
	return firmware_find_in(arena, folders, firmware, ret, err);
}
