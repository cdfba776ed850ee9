/*
 * The lab file: YAML text → tree with line and column → checked against the schema table → model. One table (schema.c)
 * drives checking, the JSON Schema that `nestvisor schema` prints and the man page nestvisor.nest.yaml(5). JSON is
 * YAML, so the part of a lab that a host receives on standard input goes through the same door.
 */
#ifndef NESTVISOR_CONFIG_CONFIG_H
#define NESTVISOR_CONFIG_CONFIG_H

#include "base/ip.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "model/lab.h"

struct arena;
struct error;
struct host;

/* What the checks need to know of the machine that is L0; cpus 0 or memory 0: not known, not checked. */
struct surroundings {
	unsigned cpus;
	uint64_t memory; /* bytes */
	const struct surroundings_route {
		struct prefix prefix;
		char interface[INTERFACE_NAME_SIZE];
	} * routes; /* of the machine itself: what a lab's subnet must not overlap */
	size_t route_count;
	/*
	 * Whether the media and the answers that a guest is to be installed with are such, and what of them the file
	 * leaves open, which goes into the guest. On failure which key of install is wrong, or -1. NULL: not checked.
	 */
	int (*check_install)(struct arena *arena, struct guest *guest, int *ret_key, struct error **err);
};

struct problem {
	bool warning;
	struct place place;  /* line 0: of the file as a whole */
	unsigned width;	     /* characters from there on that are meant; 0: that place alone */
	const char *message; /* "unknown key \"memroy\"" */
	const char *hint;    /* "did you mean \"memory\"?", or NULL */
};

/* What is wrong with a file, in its order; lives in the arena of `struct problems` itself. */
struct problems {
	struct arena *arena;
	const char *file;
	const char *text; /* the whole file, for showing lines */
	size_t length;
	struct problem *items; /* sorted by place; of very many only the first ones, and one that says so */
	size_t count, errors;
};
void problems_clear(struct problems *problems);
#define cleanup_problems __attribute__((cleanup(problems_clear)))

/* "file:line:column: error: message" with the line and a caret below, then the hint; one after the other. */
void problems_format(const struct problems *problems, struct strbuf *out);
json_t *problems_json(const struct problems *problems);

/*
 * Reads, checks and builds. path "-" is standard input. Relative image paths are taken from the file's folder.
 * Returns 0 and the lab when there are no errors (warnings may be in ret_problems); -EINVAL with every error in
 * ret_problems when the file is wrong; another -errno with *err when it could not be read. `machine` may be NULL.
 */
int config_load(const char *path, const struct surroundings *machine, struct problems *ret_problems, struct lab **ret,
		struct error **err);
/* The same from memory; `name` is what messages call it. */
int config_load_text(const char *name, const char *text, size_t length, const struct surroundings *machine,
		     struct problems *ret_problems, struct lab **ret, struct error **err);

/* Whether it is the URI of a libvirt that a lab file may name as a driver: QEMU's, of this machine, root's. */
bool config_is_local_libvirt(const char *text);

/* Finds the one *.nest.yaml of the current folder: -ENOENT, or -ENOTUNIQ with the names. */
int config_find(char **ret_path, struct error **err);

/*
 * A host's part of the lab as a lab file in JSON that config_load_text accepts, with every default written out and
 * `at` naming the host: what a guest that has guests is given. With lab->root itself: the whole lab.
 */
json_t *config_part(const struct lab *lab, const struct host *host);

json_t *config_schema(void);		/* JSON Schema 2020-12 of the lab file */
void config_manual(struct strbuf *out); /* nestvisor.nest.yaml(5) in scdoc's language */

#endif
