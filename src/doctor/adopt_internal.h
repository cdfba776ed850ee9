/* What adopt.c, which writes networks and the file, shares with adopt_domain.c. */
#ifndef NESTVISOR_DOCTOR_ADOPT_INTERNAL_H
#define NESTVISOR_DOCTOR_ADOPT_INTERNAL_H

#include "base/ip.h"
#include "base/strbuf.h"
#include "base/xml.h"
#include "doctor/adopt.h"

/* A network that guests may be plugged into. */
struct adopted_network {
	const char *libvirt, *bridge; /* libvirt's name for it, and its bridge */
	const char *name;	      /* in the lab file; NULL: it was left out */
	struct prefix subnet4, subnet6;
	struct ip gateway4, gateway6;
	bool dhcp;
	struct xml *xml;
};

/* What is known while the file is written. */
struct adopter {
	struct arena *arena;
	const char *driver; /* NULL: guests that nestvisor would make; see adopt_lab_file */
	struct adopted_network *networks;
	size_t network_count;
	const char **names; /* of guests and of networks, so that none is there twice */
	size_t name_count;
	const char **taken; /* "NETWORK MAC" and "NETWORK ADDRESS" */
	size_t taken_count;
	struct strbuf networks_text, guests_text;
	struct adoption *result;
};

/* One guest or network while it is written: its comments come before it. */
struct entry {
	struct adopter *adopter;
	struct xml *xml;
	const char *left_out; /* the reason; NULL: it is written */
	struct strbuf notes, body;
};

/* A comment on what is not expressed; text of libvirt's is made safe. */
void entry_note(struct entry *entry, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The first reason counts. */
void entry_leave_out(struct entry *entry, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What a list of XPath expressions finds is noted, each with its text. */
struct adopt_phrase {
	const char *xpath, *text; /* NULL ends the list */
};
void entry_phrases(struct entry *entry, const struct adopt_phrase *phrases);
/* Notes each element below `parent` whose name is not in `covered` (NULL-terminated), with a reason where there is one.
 */
void entry_elements(struct entry *entry, const char *parent, const char *const *covered,
		    const struct adopt_phrase *reasons);

/* False where it was there before. */
bool adopter_take(struct adopter *adopter, const char *network, const char *what);
/* A YAML scalar in quotes. */
const char *adopter_quote(struct adopter *adopter, const char *text);

/* Whether it can be a guest at all: else it is left out. */
void adopt_check_domain(struct entry *entry);
/* The key that names what it is at libvirt, where the file adopts; false with a reason to be left out. */
bool adopter_name(struct entry *entry, const char *libvirt);
/* What stands below the guest's name. */
void adopt_domain(struct entry *entry);

#endif
