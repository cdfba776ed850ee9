/* The branches of a text tree. Zero-initialise with a style and where it goes; tree_free at the end. */
#ifndef NESTVISOR_RENDER_TREE_H
#define NESTVISOR_RENDER_TREE_H

#include "render/text.h"

struct tree {
	const struct style *style;
	struct strbuf *out;
	struct strbuf margin; /* what stands before the branches of the current depth */
};

/* Begins the line of an item and moves the margin into it; returns what tree_end needs to move it back. */
size_t tree_begin(struct tree *tree, bool last);
void tree_end(struct tree *tree, size_t before);

static inline void tree_free(struct tree *tree)
{
	strbuf_freep(&tree->margin);
}
#define cleanup_tree __attribute__((cleanup(tree_free)))

#endif
