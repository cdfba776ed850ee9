/*
 * What a host answered to the script (script.h): each source's text, or why there is none. It becomes facts at once
 * (collection_load), or the files of a bundle (collection_manifest; the texts are the files). Secrets are out of it.
 */
#ifndef NESTVISOR_FACTS_COLLECTION_H
#define NESTVISOR_FACTS_COLLECTION_H

#include "base/json.h"
#include "facts/bundle.h"
#include "facts/loader.h"
#include "facts/script.h"

struct arena;
struct error;

enum item_state {
	ITEM_TAKEN,
	ITEM_MISSING,	  /* there is no such program */
	ITEM_ABSENT,	  /* there is no such file */
	ITEM_FAILED,	  /* what it printed, if anything, is only a part */
	ITEM_NOT_REACHED, /* the stream ended before it */
};

struct item {
	const struct source *source;
	enum item_state state;
	const char *text; /* NUL-terminated; of taken ones, and of failed ones that printed something */
	size_t length;
	bool partial;	 /* cut off: whole lines are left */
	const char *why; /* of all but taken ones, and of partial ones */
	size_t redacted; /* how many secrets were taken out */
};

struct collection {
	const char *host, *alias, *machine; /* as facts have them */
	struct item *items;		    /* in the order of the table */
	size_t item_count;
	bool complete;	   /* the end of the stream was seen */
	const char *ended; /* where it ended otherwise: a source's name, or NULL before the first */
};

/* What was printed on both outputs by the script with this word. -EPROTO where none of it came from the script, with
 * what was said instead. Lives in the arena. */
struct collection_input {
	const char *host, *alias, *machine;
	const char *word;
	const struct selection *selection;
	const char *out, *err;
	size_t out_length, err_length;
};
int collection_parse(struct arena *arena, const struct collection_input *input, struct collection *ret,
		     struct error **err);

/* The name of a host's folder in a bundle: "hv1.a" of "hv1/a". In the arena. */
const char *collection_folder(struct arena *arena, const char *host);
/* Adds it to the host being loaded, with origins below `folder` ("hosts/hv1"). */
void collection_load(struct loader *loader, const struct collection *collection, const char *folder);

/* The bundle that capturing them and loading it again would make. */
struct bundle *collections_bundle(const struct collection *collections, size_t count);

/* The file capture.json of a host's folder: what was not there, what failed, what is cut off. A new reference. */
#define MANIFEST_NAME "capture.json"
json_t *collection_manifest(const struct collection *collection);
/* Reads one: what is in it about sources without a text becomes unused captures and notes of the host being loaded. */
void manifest_load(struct loader *loader, const json_t *manifest, const char *folder);
/* Is this file only a part, says the manifest? NULL: there is no manifest. */
bool manifest_partial(const json_t *manifest, const char *name);

#endif
