#include "driver/libvirt_library.h"

#include "base/error.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define LIBRARY "libvirt.so.0"

/* One library, one program: loaded once, never unloaded. */
static struct libvirt library;
static const char *missing = LIBRARY; /* what was not found; NULL: it is there */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* libvirt would print every error on standard error otherwise. */
static void keep_silent(void *data, virErrorPtr error)
{
}

static void load(void)
{
#define LIBVIRT_SYMBOL(name) {#name, (void **)&library.name},
	const struct {
		const char *name;
		void **place;
	} symbols[] = {LIBVIRT_FUNCTIONS(LIBVIRT_SYMBOL)};
#undef LIBVIRT_SYMBOL
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

	if (!handle)
		return;
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		*symbols[i].place = dlsym(handle, symbols[i].name);
		if (!*symbols[i].place) {
			missing = symbols[i].name;
			return;
		}
	}
	if (library.virInitialize() < 0) {
		missing = "virInitialize()";
		return;
	}
	library.virSetErrorFunc(NULL, keep_silent);
	missing = NULL;
}

int libvirt_load(const struct libvirt **ret, struct error **err)
{
	int r;

	pthread_once(&once, load);
	*ret = &library;
	if (!missing)
		return 0;
	r = error_set(err, ENOENT, "libvirt cannot be used here: %s is missing", missing);
	error_hint(err, "apt-get install libvirt0 libvirt-daemon-system; in a lab file driver: qemu does without");
	return r;
}
