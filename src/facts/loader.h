/*
 * How what was captured of one host becomes its facts: captures are added one after the other, from wherever they come,
 * and put together at the end. Within facts/ only.
 *
 *   loader_begin() → any number of loader_capture(), loader_unused(), facts_from_files(), direct additions to
 *   loader->facts → loader_end(), after which loader->facts do not change any more.
 */
#ifndef NESTVISOR_FACTS_LOADER_H
#define NESTVISOR_FACTS_LOADER_H

#include "facts/merge.h"

struct loader {
	struct pool *pool;   /* the caller's; its arena holds everything */
	struct facts *facts; /* of the host being loaded */
	/* Rules of each capture, until loader_end() knows which of them count: a collector that reads rules by other
	 * means than text pushes them here, with the index of its capture. */
	struct captured_rules *rules;
	size_t rule_count;
	/* below: loader.c's own, of the text at hand */
	bool partial; /* what loader_capture() was told */
	enum text_encoding encoding;
};

void loader_begin(struct loader *loader, struct pool *pool, const char *host);
void loader_end(struct loader *loader);

/* A place where something comes from. It stays where it is only until the next one is added. */
struct capture *loader_add_capture(struct loader *loader, const char *source, uint32_t line);

/*
 * Text that a command printed, or a file's content. `name` tells what it is, as a file in a bundle is named
 * ("ip-d-addr.txt"); `source` is what origins cite. The text may hold several commands' output behind prompts, and may
 * be of any encoding. partial: it is known that something is missing at its end.
 */
void loader_capture(struct loader *loader, const char *source, const char *name, const char *data, size_t length,
		    bool partial);
/* Something that could not be captured, and why. */
void loader_unused(struct loader *loader, const char *source, const char *command, const char *why);

#endif
