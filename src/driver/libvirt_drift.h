/*
 * What somebody else has changed of a domain since nestvisor defined it. Both texts are libvirt's own dumps
 * (virDomainGetXMLDesc), which it writes in one way: an element a line, two spaces for each level, attributes in an
 * order of its own. So equal domains are equal texts, and an element's lines are those deeper than its first.
 */
#ifndef NESTVISOR_DRIVER_LIBVIRT_DRIFT_H
#define NESTVISOR_DRIVER_LIBVIRT_DRIFT_H

#include "model/status.h"

#include <stdbool.h>
#include <stddef.h>

struct arena;

struct libvirt_changes {
	const char **
		list; /* "<vcpu placement='static'>2</vcpu> → <vcpu placement='static'>4</vcpu>", "added: <hostdev …" */
	size_t count;
};

/*
 * Adds what differs, by child of <domain> and of <devices>, to the list. running: dumps of a machine that runs, of
 * which libvirt writes down also what the guest itself does (a channel that it opens) and what it calls its parts
 * (aliases).
 */
void libvirt_compare(struct arena *arena, const char *before, const char *after, bool running,
		     struct libvirt_changes *changes);

/* As driver.h's drift. */
typedef void libvirt_ask(struct arena *arena, const char *const *run_dirs, size_t count, struct guest_drift *ret);

/*
 * The same with a limit in time, for libvirt's API has none: a libvirtd that hangs must not keep anybody from
 * seeing what runs. The question then stays in a thread of its own, and ends with the program.
 */
void libvirt_ask_in_time(libvirt_ask *ask, unsigned limit_ms, struct arena *arena, const char *const *run_dirs,
			 size_t count, struct guest_drift *ret);

#endif
