#include "driver/libvirt_user.h"

#include "base/arena.h"
#include "base/error.h"
#include "base/places.h"
#include "driver/libvirt_tap.h"
#include "driver/run_dir.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "user"

static const char *const in_folder[] = {"console", "console.log", "console.log.0", "console.log.1", "console.log.2"};
static const char *const links[] = {"console", "console.log"};

/* ─── whose it is ─── */

/* Who called sudo(8); 0: nobody, or root. */
static unsigned caller(void)
{
	const char *text = getenv("SUDO_UID");
	char *end;
	unsigned long uid = text && *text ? strtoul(text, &end, 10) : 0;

	return geteuid() == 0 && uid && !*end && uid < (uid_t)-1 ? (unsigned)uid : 0;
}

static const char *socket_in(const char *uri)
{
	static const char key[] = "?socket=";
	const char *at = strstr(uri, key);

	return at ? at + strlen(key) : NULL;
}

/* One libvirtd for all, or one for each driver (https://libvirt.org/daemons.html). */
static const char *socket_of(struct arena *arena, unsigned user)
{
	const char *modular = arena_printf(arena, "/run/user/%u/libvirt/virtqemud-sock", user);

	return access(modular, F_OK) == 0 ? modular : arena_printf(arena, "/run/user/%u/libvirt/libvirt-sock", user);
}

int libvirt_user_of(struct arena *arena, const char *uri, const char **ret_uri, unsigned *ret_user, struct error **err)
{
	const char *path = socket_in(uri);
	struct stat st;
	int r;

	*ret_uri = uri;
	*ret_user = 0;
	if (!strstr(uri, ":///session") || (!path && !caller()))
		return 0;
	if (!path) {
		path = socket_of(arena, caller());
		*ret_uri = arena_printf(arena, "qemu+unix:///session?socket=%s", path);
	}
	if (stat(path, &st) == 0) {
		*ret_user = st.st_uid;
		return 0;
	}
	r = error_errno(err, errno, "cannot find the libvirt of a user's session: %s", path);
	error_hint(err,
		   "it is there while somebody uses it or a guest of it runs; as that user: virsh -c qemu:///session "
		   "uri, or systemctl --user start libvirtd");
	return r;
}

/* ─── what is his ─── */

static bool lies_below(const char *path, const char *root)
{
	size_t length = strlen(root);

	return strncmp(path, root, length) == 0 && path[length] == '/';
}

struct giving {
	struct arena *arena;
	uid_t user;
	gid_t group;
	struct error **err;
};

/* He may pass through the folders on the way: through the first one as anybody, for it is all labs', and through those
 * of the lab as the only one, for what lies there may be open to read. */
static int let_through(const struct giving *g, const char *path, const char *root)
{
	for (const char *first = path + strlen(root), *end = first; end; end = strchr(end + 1, '/')) {
		const char *folder = arena_printf(g->arena, "%.*s", (int)(end - path), path);

		if ((end != first && chown(folder, (uid_t)-1, g->group) < 0) ||
		    chmod(folder, end == first ? 0711 : 0710) < 0)
			return error_errno(g->err, errno, "cannot let user %u into %s", g->user, folder);
	}
	return 0;
}

/* What lies elsewhere is not nestvisor's to give. */
static int give(const struct giving *g, const char *path, mode_t mode)
{
	const char *roots[] = {places_run_root(), places_state_root()};
	int r = 0;

	for (size_t i = 0; i < 2 && r == 0; i++) {
		if (!lies_below(path, roots[i]))
			continue;
		r = let_through(g, path, roots[i]);
		if (r == 0 && (chmod(path, mode) < 0 || chown(path, g->user, (gid_t)-1) < 0))
			r = error_errno(g->err, errno, "cannot give %s to user %u", path, g->user);
	}
	return r;
}

/* The folder that its libvirt writes in is his; run_dir, of which root believes what it reads, is not. */
static int make_folder(const struct giving *g, const struct driver_guest *guest)
{
	const char *folder = libvirt_user_folder(g->arena, guest);

	if (mkdir(folder, 0700) < 0)
		return error_errno(g->err, errno, "cannot make %s", folder);
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
		const char *link = arena_printf(g->arena, "%s/%s", guest->run_dir, links[i]);

		if (symlink(arena_printf(g->arena, FOLDER "/%s", links[i]), link) < 0)
			return error_errno(g->err, errno, "cannot make %s", link);
	}
	return give(g, folder, 0700);
}

static int find_group(uid_t user, gid_t *ret, struct error **err)
{
	struct passwd entry, *found = NULL;
	char buffer[4096];

	if (getpwuid_r(user, &entry, buffer, sizeof(buffer), &found) != 0 || !found)
		return error_set(err, ESRCH, "this machine knows no user %u, whose libvirt it is", user);
	*ret = found->pw_gid;
	return 0;
}

static int give_all(const struct giving *g, const struct driver_guest *guest)
{
	static const char *const fifos[] = {"qga.in", "qga.out"};
	int r = make_folder(g, guest);

	for (size_t i = 0; r == 0 && i < 2; i++)
		r = give(g, arena_printf(g->arena, "%s/%s", guest->run_dir, fifos[i]), 0600);
	for (size_t i = 0; r == 0 && i < guest->disk_count; i++)
		r = give(g, guest->disks[i].path, 0600);
	for (size_t i = 0; r == 0 && i < guest->nic_count; i++)
		r = libvirt_tap_give(guest->nics[i].tap, guest->nics[i].queues > 1, guest->user, g->err);
	return r;
}

int libvirt_user_give(const struct driver_guest *guest, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	struct giving g = {.arena = arena, .user = guest->user, .err = err};
	int r = 0;

	if (guest->user)
		r = find_group(g.user, &g.group, err);
	return guest->user && r == 0 ? give_all(&g, guest) : r;
}

const char *libvirt_user_folder(struct arena *arena, const struct driver_guest *guest)
{
	return guest->user ? arena_printf(arena, "%s/" FOLDER, guest->run_dir) : guest->run_dir;
}

void libvirt_user_forget(const char *run_dir)
{
	cleanup_free char *folder = in_dir(run_dir, FOLDER);

	remove_listed(folder, in_folder, sizeof(in_folder) / sizeof(*in_folder));
	rmdir(folder);
}
