/* Archives in the format that the kernel unpacks at boot (Documentation/driver-api/early-userspace/buffer-format.rst).
 */
#ifndef NESTVISOR_IMAGE_CPIO_H
#define NESTVISOR_IMAGE_CPIO_H

#include <sys/types.h>

struct cpio;
struct error;

/*
 * Writes an archive to a new file. Everything belongs to root and has no times, so equal content makes equal archives.
 * cpio_close ends the archive, writes it to the disk and frees the writer in any case. Several archives one after the
 * other in one file are one initramfs, in which a later file replaces an earlier one.
 */
int cpio_open(const char *path, struct cpio **ret, struct error **err);
int cpio_close(struct cpio *cpio, struct error **err);
void cpio_abandon(struct cpio *cpio); /* NULL is fine */

/* `name` has no slash in front. A file's folders must have been added before it. */
int cpio_add_folder(struct cpio *cpio, const char *name, struct error **err);
int cpio_add_file(struct cpio *cpio, const char *name, const char *from, mode_t permissions, struct error **err);

/* All that is below a folder, in the order of names: folders, files and symbolic links. */
int cpio_add_tree(struct cpio *cpio, const char *root, struct error **err);

#endif
