/*
 * What WSL's files should say for a lab of guests of guests, and the fix that makes them say it. Only what is wished is
 * touched; of that, what stands in a wrong section or in the wrong file is taken away there.
 */
#ifndef NESTVISOR_DOCTOR_WSL_APPLY_H
#define NESTVISOR_DOCTOR_WSL_APPLY_H

#include "base/ip.h"
#include "doctor/fix.h"

struct arena;
struct error;

struct wsl_route {
	struct prefix to;
	struct ip via;
};

struct wsl_wishes {
	bool nested;	   /* nestedVirtualization */
	bool mirrored;	   /* networkingMode=mirrored, port 67 for Linux, hostAddressLoopback */
	bool keep_running; /* neither the distribution nor WSL ends because nobody is in it */
	bool systemd;
	const struct wsl_route *routes; /* made again at every start, by [boot] command */
	size_t route_count;
};

/* "192.168.124.0/24 via 192.168.122.191"; a device behind it ("dev virbr0") is allowed and not needed. */
int wsl_route_parse(const char *text, struct wsl_route *ret, struct error **err);

/*
 * The fix for these files, with as many actions as files change: none where all is as wished. A path may be NULL: what
 * would have to be in that file is left. What deserves to be told is in `notes`, NULL-terminated.
 */
struct wsl_change {
	struct fix fix;
	const char **notes;
	size_t note_count;
};
int wsl_change(struct arena *arena, const char *wslconfig, const char *wslconf, const struct wsl_wishes *wishes,
	       struct wsl_change *ret, struct error **err);

#endif
