/* The versions of Windows. What they want of a machine: settings.h. */
#ifndef NESTVISOR_MODEL_WINDOWS_H
#define NESTVISOR_MODEL_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>

enum windows_version { WINDOWS_11 = 1, WINDOWS_10 = 2, WINDOWS_SERVER = 4 };

/* Which Windows a lab file's `os` is; 0: none. */
unsigned windows_version(const char *os);

/* The folder of virtio-win's drivers for it: "w11"; of a server by its build, 0 for one that is not known: "2k22". */
const char *windows_drivers(enum windows_version version, unsigned build);

#endif
