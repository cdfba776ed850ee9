/*
 * Facts from files under their own paths, below a root folder: "/" of this machine, or a folder that stands for one (a
 * test's, a mounted disk's, a part of an archive). What is read is the part of the table of sources (source.h) that is
 * files; the same parsers read it as read captured text. A file that is missing makes nothing: what it would say is
 * unknown.
 *
 * Origins are the paths as the host itself would write them: "/proc/cpuinfo:5",
 * "/sys/module/kvm_amd/parameters/nested".
 */
#ifndef NESTVISOR_FACTS_FILES_H
#define NESTVISOR_FACTS_FILES_H

#include "facts/bundle.h"
#include "facts/loader.h"

/* A file inside of an archive. */
struct file {
	const char *path;    /* inside the bundle */
	const char *on_disk; /* where it is read from; NULL: from memory */
	const char *data;
	size_t length;
};

struct root {
	int fd; /* of the folder; -1: the files below */
	const struct file *files;
	size_t file_count;
	size_t prefix; /* so many bytes of each path stand before the root's "/" */
	bool live;     /* this machine itself: also who may open files, and who we are; of a copy that would be wrong */
};

/*
 * Adds to the host that is being loaded. Nothing outside of the folder is read, symbolic links stay inside, too
 * (openat2(2), RESOLVE_IN_ROOT).
 */
void facts_from_files(struct loader *loader, const struct root *root);

/*
 * A bundle of one host from such a folder; "/" is this machine, whose network and programs bundle_live() knows, too.
 * (What commands print of a host can stand beside it: in a bundle, a host's folder may hold a folder root/ beside its
 * captures. bundle_load() reads both.)
 */
int bundle_from_root(const char *root, const char *host, struct bundle **ret, struct error **err);

#endif
