/* The files of a bundle: of a folder, or of a tar archive. Within facts/ only. */
#ifndef NESTVISOR_FACTS_TREE_H
#define NESTVISOR_FACTS_TREE_H

#include "facts/files.h"

struct tree {
	struct arena *arena;
	/*
	 * Sorted by path. A folder has a slash at its end and no data. What lies in a folder called root/ is listed for
	 * archives only: on disk it may be a whole machine.
	 */
	struct file *files;
	size_t count;
};

/* The data of archives is not copied: it must live as long as the tree. */
int tree_of_folder(struct tree *tree, const char *path, struct error **err);
int tree_of_tar(struct tree *tree, const char *name, const void *data, size_t length, struct error **err);

bool tree_is_folder(const struct file *file);
/* What of the path stands behind the prefix; NULL: it begins otherwise, or is the prefix itself. */
const char *tree_below(const struct file *file, const char *prefix);

#endif
