#include "render/tree.h"

size_t tree_begin(struct tree *tree, bool last)
{
	size_t before = tree->margin.length;

	if (before)
		strbuf_add(tree->out, tree->margin.text);
	if (tree->style->utf8)
		strbuf_add(tree->out, last ? "└─ " : "├─ ");
	else
		strbuf_add(tree->out, last ? "`- " : "|- ");
	strbuf_add(&tree->margin, last ? "   " : tree->style->utf8 ? "│  " : "|  ");
	return before;
}

void tree_end(struct tree *tree, size_t before)
{
	tree->margin.length = before;
	tree->margin.text[before] = '\0';
}
