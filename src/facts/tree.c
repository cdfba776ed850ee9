#include "facts/tree.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/tar.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum {
	DEPTH_MAX = 4, /* a folder around it, hosts/, the host, its root/ */
	FILES_MAX = 200000,
};

static int by_path(const void *a, const void *b)
{
	const struct file *left = a, *right = b;
	int order = strcmp(left->path, right->path);

	return order ? order
		     : (left->data > right->data) - (left->data < right->data); /* what comes later in an archive */
}

static void sort(struct tree *tree)
{
	if (tree->count)
		qsort(tree->files, tree->count, sizeof(*tree->files), by_path);
}

static struct file *add(struct tree *tree, const char *path)
{
	struct file *file = arena_push(tree->arena, tree->files, tree->count);

	*file = (struct file){.path = path};
	return file;
}

static int list(struct tree *tree, const char *path, const char *inside, unsigned depth, struct error **err)
{
	cleanup_closedir DIR *folder = opendir(path);
	struct dirent *entry;
	int r = 0;

	if (!folder)
		return error_errno(err, errno, "cannot read the folder %s", path);
	while (r == 0 && tree->count < FILES_MAX && (entry = readdir(folder))) {
		const char *below, *on_disk;
		struct stat st;

		if (entry->d_name[0] == '.' && strcmp(entry->d_name, ".wslconfig") != 0)
			continue;
		on_disk = arena_printf(tree->arena, "%s/%s", path, entry->d_name);
		if (stat(on_disk, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
			continue;
		below = arena_printf(tree->arena, "%s%s%s", inside, entry->d_name, S_ISDIR(st.st_mode) ? "/" : "");
		add(tree, below)->on_disk = on_disk;
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX && strcmp(entry->d_name, "root") != 0)
			r = list(tree, on_disk, below, depth + 1, err);
	}
	return r;
}

int tree_of_folder(struct tree *tree, const char *path, struct error **err)
{
	int r = list(tree, path, "", 1, err);

	sort(tree);
	return r;
}

/* The folders above a file, each once. */
static void add_folders(struct tree *tree, const char *path, const char *last)
{
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t length = (size_t)(slash - path) + 1;

		if (strncmp(path, last, length) != 0)
			add(tree, arena_strndup(tree->arena, path, length));
	}
}

static void unite(struct tree *tree)
{
	size_t kept = 0;

	for (size_t i = 0; i < tree->count; i++) {
		if (kept && strcmp(tree->files[kept - 1].path, tree->files[i].path) == 0)
			tree->files[kept - 1] = tree->files[i];
		else
			tree->files[kept++] = tree->files[i];
	}
	tree->count = kept;
}

int tree_of_tar(struct tree *tree, const char *name, const void *data, size_t length, struct error **err)
{
	struct tar_reader reader;
	struct tar_entry entry;
	const char *last = "";
	int r = tar_open(&reader, name, data, length, err);

	if (r < 0)
		return r;
	while ((r = tar_next(&reader, &entry, err)) > 0 && tree->count < FILES_MAX) {
		const char *path = arena_strdup(tree->arena, entry.path);
		struct file *file;

		if (!*path || path[strlen(path) - 1] == '/')
			continue;
		add_folders(tree, path, last);
		file = add(tree, path);
		file->data = entry.data;
		file->length = entry.length;
		last = path;
	}
	sort(tree);
	unite(tree);
	return r < 0 ? r : 0;
}

bool tree_is_folder(const struct file *file)
{
	size_t length = strlen(file->path);

	return length > 0 && file->path[length - 1] == '/';
}

const char *tree_below(const struct file *file, const char *prefix)
{
	size_t length = strlen(prefix);

	return strncmp(file->path, prefix, length) == 0 && file->path[length] ? file->path + length : NULL;
}
