/* Where WSL's files are, seen from inside WSL, and what else says which Windows and which WSL this is. */
#ifndef NESTVISOR_CLI_WSLFILES_H
#define NESTVISOR_CLI_WSLFILES_H

#include <stdbool.h>

struct arena;
struct cancel;
struct error;

/* Is this a distribution of WSL? `root` is "/" but in tests. */
bool wslfiles_inside(const char *root);

/*
 * The Windows user's home as a path of WSL, "/mnt/c/Users/me": as Windows says itself (cmd.exe), else by PATH, which
 * WSL makes of Windows' own, else the only one there is. -ENOENT: none was found; -ENOTUNIQ: several, they are named.
 */
int wslfiles_windows_home(struct arena *arena, const char *root, struct cancel *cancel, const char **ret,
			  struct error **err);

/* What `cmd.exe /c ver` and wslinfo(1) print; NULL where they cannot be asked. */
const char *wslfiles_windows_version(struct arena *arena, const char *root, struct cancel *cancel);
const char *wslfiles_wslinfo(struct arena *arena, struct cancel *cancel);

#endif
