#include "driver/libvirt_library.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/in_time.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libvirt.so.0"

/* One library, one program: loaded once, never unloaded. */
static struct libvirt library;
static const char *missing = LIBRARY; /* what was not found; NULL: it is there */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* libvirt would print every error on standard error otherwise. */
static void keep_silent(void *data, virErrorPtr error)
{
}

/* What keeps count of a libvirtd that is silent while another thread waits for it. Ends with the program. */
static void *turn_events(void *data)
{
	while (library.virEventRunDefaultImpl() == 0)
		;
	return NULL;
}

/* Signals are other threads' to take. Before the first connection, which would go without. */
static bool start_events(void)
{
	sigset_t all, before;
	pthread_t thread;
	bool started;

	if (library.virEventRegisterDefaultImpl() < 0)
		return false;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	started = pthread_create(&thread, NULL, turn_events, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (started)
		pthread_detach(thread);
	return started;
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
	missing = start_events() ? NULL : "a thread for its events";
}

static void *load_now(void *data)
{
	pthread_once(&once, load);
	return NULL;
}

void libvirt_load_ahead(void)
{
	sigset_t all, before;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, load_now, NULL) == 0)
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
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

/* ─── in its words ─── */

int libvirt_fail_silent(const char *uri, unsigned silence_s, const char *what, struct error **err)
{
	int r = silence_s
			? error_set(err, ETIMEDOUT, "%s: libvirt at %s has not answered for %u s", what, uri, silence_s)
			: error_set(err, ETIMEDOUT, "%s: libvirt at %s answers no more", what, uri);

	error_hint(err,
		   "libvirtd hangs: systemctl restart libvirtd, which leaves guests running, and then the same again; "
		   "what was asked of it it may still do when it goes on by itself");
	return r;
}

static int fail_as(const virError *said, const char *uri, const char *what, struct error **err)
{
	int r;

	if (said && said->message && strstr(said->message, "keepalive timeout"))
		return libvirt_fail_silent(uri, 0, what, err);
	r = error_set(err, EIO, "%s: libvirt at %s says \"%s\"", what, uri,
		      said && said->message ? said->message : "nothing");
	if (said && (said->domain == VIR_FROM_RPC || said->code == VIR_ERR_NO_CONNECT || said->code == VIR_ERR_RPC ||
		     said->code == VIR_ERR_SYSTEM_ERROR))
		error_hint(err,
			   "is libvirtd running, and may you use it? virsh -c %s uri; nestvisor doctor looks into it",
			   uri);
	return r;
}

int libvirt_fail(const struct libvirt *lib, const char *uri, struct error **err, const char *format, ...)
{
	cleanup_free char *what = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&what, format, args) < 0)
		abort();
	va_end(args);
	return fail_as(lib->virGetLastError(), uri, what, err);
}

/* ─── connecting ─── */

/* Nothing of it is borrowed: a libvirtd that hangs may have it outlive whoever asked. */
struct connecting {
	const struct libvirt *lib;
	char *uri;
	bool read_only;
	int silence_s;
	virConnectPtr connection;
	struct error *err;
	int result;
};

static void connecting_free(void *data)
{
	struct connecting *c = data;

	if (c->connection)
		c->lib->virConnectClose(c->connection);
	error_free(c->err);
	free(c->uri);
	free(c);
}

/* A connection without a daemon behind it (test:///default) knows no keepalive, and needs none. */
static bool needs_no_keepalive(const struct libvirt *lib)
{
	const virError *said = lib->virGetLastError();

	return said && said->code == VIR_ERR_NO_SUPPORT;
}

static void connect_now(void *data)
{
	struct connecting *c = data;

	c->connection = c->read_only ? c->lib->virConnectOpenReadOnly(c->uri) : c->lib->virConnectOpen(c->uri);
	if (!c->connection ||
	    (c->lib->virConnectSetKeepAlive(c->connection, c->silence_s / 3, 2) < 0 && !needs_no_keepalive(c->lib)))
		c->result = libvirt_fail(c->lib, c->uri, &c->err, "cannot connect");
}

int libvirt_connect(const struct libvirt *lib, const char *uri, bool read_only, unsigned silence_s, virConnectPtr *ret,
		    struct error **err)
{
	struct connecting *c = calloc(1, sizeof(*c));
	int r;

	*ret = NULL;
	if (!c)
		abort();
	*c = (struct connecting){.lib = lib, .uri = strdup(uri), .read_only = read_only, .silence_s = (int)silence_s};
	if (!in_time(connect_now, c, connecting_free, silence_s * 1000))
		return libvirt_fail_silent(uri, silence_s, "cannot connect", err);
	r = c->result < 0 ? error_move(err, &c->err) : 0;
	if (r == 0)
		*ret = steal_pointer(&c->connection);
	connecting_free(c);
	return r;
}
