/* Who reaches whom over a whole lab (verify/reach_lab.h), as JSON, for people and as pictures. */
#ifndef NESTVISOR_RENDER_REACH_LAB_H
#define NESTVISOR_RENDER_REACH_LAB_H

#include "base/json.h"
#include "render/text.h"
#include "verify/reach_lab.h"

struct arena;

/*
 * Ends that are alike: they reach and are reached in the same way, by all others and by each other. In pictures and
 * tables they are one.
 */
struct reach_group {
	size_t *members; /* nodes, rising */
	size_t count;
};
/*
 * In the arena; in the order of their first members. Nodes that nothing is asked about are in none. `causes`: only
 * those are alike that are stopped by the same, too, as for a table that names it.
 */
size_t reach_groups(const struct reach_lab *lab, int family, bool causes, struct arena *arena,
		    struct reach_group **ret);
/* What the first of a group is called, or how many there are: "hv1", "a, b", "s01, s02 and 28 more". */
void reach_group_name(const struct reach_lab *lab, const struct reach_group *group, struct strbuf *out);
/* The cell between two groups; within one, between its first two. NULL: one end alone. */
const struct reach_cell *reach_group_cell(const struct reach_lab *lab, int family, const struct reach_group *from,
					  const struct reach_group *to, size_t service);

const char *reach_verdict_word(enum reach_verdict verdict); /* "allowed" */
/* "rule 4 of filter FORWARD at vm1 (vm1/iptables-save.txt:36)", "no route at wsl2" */
void reach_cause_text(const struct reach_cause *cause, bool with_source, struct strbuf *out);

/* The members of the answer "reach". */
json_t *reach_lab_json(const struct reach_lab *lab);
/* A table; `verbose`: every end on a line of its own, with its addresses, and the rules as they are written. */
void reach_lab_text(const struct reach_lab *lab, const struct style *style, bool verbose, struct strbuf *out);
void reach_lab_mermaid(const struct reach_lab *lab, const char *name, struct strbuf *out);
/* The matrix as a picture: who asks from top to bottom, who is asked from left to right. */
void reach_lab_svg(const struct reach_lab *lab, const char *name, struct strbuf *out);

#endif
