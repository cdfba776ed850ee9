#include "cli/wslfiles.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "facts/ini.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* Windows programs take a tenth of a second to start; where interoperability is broken they may hang. */
enum { PROGRAM_MS = 5000, FILE_LIMIT = 1 << 20 };

static const char *below(struct arena *arena, const char *root, const char *path)
{
	return strcmp(root, "/") == 0 ? path : arena_printf(arena, "%s%s", root, path);
}

bool wslfiles_inside(const char *root)
{
	static const char *const signs[] = {"/run/WSL", "/proc/sys/fs/binfmt_misc/WSLInterop",
					    "/proc/sys/fs/binfmt_misc/WSLInterop-late"};
	cleanup_arena struct arena *arena = arena_new();

	for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++)
		if (file_exists(below(arena, root, signs[i])))
			return true;
	return false;
}

/* Where Windows' drives are mounted, with a slash at its end: [automount] root. */
static const char *mount_root(struct arena *arena, const char *root)
{
	cleanup_free char *data = NULL;
	const struct ini_item *item;
	struct ini *ini;
	size_t length;

	if (file_read(below(arena, root, "/etc/wsl.conf"), FILE_LIMIT, &data, &length, NULL) < 0 ||
	    ini_parse(arena, INI_WSLCONF, data, length, &ini, NULL) < 0)
		return "/mnt/";
	item = ini_find(ini, "automount", "root");
	if (!item || item->text[0] != '/')
		return "/mnt/";
	return arena_printf(arena, "%s%s", item->text, item->text[strlen(item->text) - 1] == '/' ? "" : "/");
}

/* The standard output of a program that ends well, without white space at its end; NULL: anything else. */
static const char *output_of(struct arena *arena, const char *const *argv, struct cancel *cancel)
{
	struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};
	cleanup_output struct process_output output = {};
	size_t length;

	if (process_run(&spec, NULL, 0, PROGRAM_MS, cancel, &output, NULL) < 0 || output.status != 0)
		return NULL;
	length = output.out_length;
	while (length > 0 && strchr(" \t\r\n", output.out[length - 1]))
		length--;
	return length > 0 ? arena_strndup(arena, output.out, length) : NULL;
}

static const char *ask_windows(struct arena *arena, const char *root, const char *command, struct cancel *cancel)
{
	const char *program = arena_printf(arena, "%sc/Windows/System32/cmd.exe", mount_root(arena, root));
	const char *argv[] = {below(arena, root, program), "/d", "/c", command, NULL};

	return file_exists(argv[0]) ? output_of(arena, argv, cancel) : NULL;
}

static bool is_folder(struct arena *arena, const char *root, const char *path)
{
	struct stat st;

	return stat(below(arena, root, path), &st) == 0 && S_ISDIR(st.st_mode);
}

/* "C:\Users\me" is "/mnt/c/Users/me"; NULL: no path, or no such folder. */
static const char *path_of_windows(struct arena *arena, const char *root, const char *windows)
{
	char drive = windows[0] >= 'A' && windows[0] <= 'Z' ? (char)(windows[0] - 'A' + 'a') : windows[0];
	char *path;

	if (drive < 'a' || drive > 'z' || windows[1] != ':' || windows[2] != '\\')
		return NULL;
	path = arena_printf(arena, "%s%c%s", mount_root(arena, root), drive, windows + 2);
	for (char *c = path; *c; c++)
		if (*c == '\\')
			*c = '/';
	return is_folder(arena, root, path) ? path : NULL;
}

/* WSL puts Windows' PATH behind its own, and a part of that lies in the user's home. */
static const char *home_by_path(struct arena *arena, const char *root)
{
	const char *users = arena_printf(arena, "%sc/Users/", mount_root(arena, root)), *path = getenv("PATH");
	const char *start = path ? strstr(path, users) : NULL;
	const char *home;

	if (!start)
		return NULL;
	home = arena_strndup(arena, start, strlen(users) + strcspn(start + strlen(users), "/:"));
	return strlen(home) > strlen(users) && is_folder(arena, root, home) ? home : NULL;
}

static bool is_nobodys(const char *name)
{
	static const char *const names[] = {"Public",	 "Default",	 "Default User",
					    "All Users", "defaultuser0", "WDAGUtilityAccount"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return name[0] == '.';
}

static int only_home(struct arena *arena, const char *root, const char **ret, struct error **err)
{
	const char *users = arena_printf(arena, "%sc/Users", mount_root(arena, root)), *names = NULL;
	cleanup_closedir DIR *dir = opendir(below(arena, root, users));
	struct dirent *entry;
	size_t count = 0;

	while (dir && (entry = readdir(dir))) {
		const char *path = arena_printf(arena, "%s/%s", users, entry->d_name);

		if (is_nobodys(entry->d_name) || !is_folder(arena, root, path))
			continue;
		*ret = path;
		names = names ? arena_printf(arena, "%s, %s", names, path) : path;
		count++;
	}
	if (count == 1)
		return 0;
	if (count > 1)
		return error_set(err, ENOTUNIQ, "Windows has several users: %s", names);
	return error_set(err, ENOENT, "no Windows user's folder was found below %s", users);
}

int wslfiles_windows_home(struct arena *arena, const char *root, struct cancel *cancel, const char **ret,
			  struct error **err)
{
	const char *said = ask_windows(arena, root, "echo %USERPROFILE%", cancel);
	int r;

	*ret = said ? path_of_windows(arena, root, said) : NULL;
	if (!*ret)
		*ret = home_by_path(arena, root);
	if (*ret)
		return 0;
	r = only_home(arena, root, ret, err);
	if (r < 0)
		error_hint(err, "say where it is: --windows-home /mnt/c/Users/NAME");
	return r;
}

const char *wslfiles_windows_version(struct arena *arena, const char *root, struct cancel *cancel)
{
	return ask_windows(arena, root, "ver", cancel);
}

const char *wslfiles_wslinfo(struct arena *arena, struct cancel *cancel)
{
	const char *mode = output_of(arena, (const char *const[]){"wslinfo", "--networking-mode", NULL}, cancel);
	const char *version = output_of(arena, (const char *const[]){"wslinfo", "--wsl-version", NULL}, cancel);

	if (!mode && !version)
		return NULL;
	return arena_printf(arena, "%s%s\n%s%s\n", mode ? "networking-mode: " : "", mode ? mode : "",
			    version ? "wsl-version: " : "", version ? version : "");
}
