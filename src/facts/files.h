/*
 * Facts from files under their own paths, below a root folder: "/" of this machine, or a folder that stands for one (a
 * test's, a mounted disk's). What is read is the part of the table of sources (source.h) that is files; the same
 * parsers read it as read captured text. A file that is missing makes nothing: what it would say is unknown.
 *
 * Origins are the paths as the host itself would write them: "/proc/cpuinfo:5",
 * "/sys/module/kvm_amd/parameters/nested".
 */
#ifndef NESTVISOR_FACTS_FILES_H
#define NESTVISOR_FACTS_FILES_H

#include "facts/bundle.h"
#include "facts/loader.h"

enum {
	FILES_MODES = 1, /* also permissions and owners: of the real thing only, a copy has the wrong ones */
};

/*
 * Adds to the host that is being loaded. `root` is a descriptor of the folder; nothing outside
 * of it is read, symbolic links stay inside, too (openat2(2), RESOLVE_IN_ROOT).
 */
void facts_from_files(struct loader *loader, int root, unsigned flags);

/*
 * A bundle of one host from such a folder. (What commands print of a host can stand beside it: in a bundle, a host's
 * folder may hold a folder root/ beside its captures. bundle_load() reads both.)
 */
int bundle_from_root(const char *root, const char *host, struct bundle **ret, struct error **err);

#endif
