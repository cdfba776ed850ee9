/*
 * What two sets of facts let through differently: over the rules of one hook of one host, exactly, as classes of
 * packets; or over all hosts, as questions of who reaches whom (reach_lab.h) that are answered differently.
 */
#ifndef NESTVISOR_VERIFY_DIFF_H
#define NESTVISOR_VERIFY_DIFF_H

#include "verify/reach_lab.h"

enum diff_kind {
	DIFF_OPENS,   /* gets through now */
	DIFF_CLOSES,  /* did before */
	DIFF_UNCLEAR, /* not known of one of the two, or of both */
};

/* By what packets get through or are stopped. */
struct diff_decision {
	bool passes;
	const struct stack_chain *chain; /* NULL: no rules */
	const struct rule *rule;	 /* NULL: the chain's policy */
};

/* ---- one hook ---- */

struct diff_hook_question {
	const struct stack_host *before, *after; /* the same host in both sets of facts */
	enum hook hook;
	int protocol; /* -1: any */
	const uint16_t *ports;
	size_t port_count; /* none: any */
	size_t memory;
};

struct diff_values {
	struct interval *items; /* rising */
	size_t count;
	bool more; /* there are too many, as of a mark of which one bit counts: only the witness's is among the items */
	pset all;
};

/* All packets with these values of these fields, in any combination; others do not matter. */
struct diff_class {
	enum diff_kind kind;
	struct diff_values box[PSET_FIELD_COUNT];
	pset_fields fields;
	struct packet_values witness;
	struct diff_decision before, after; /* of the witness */
};

enum { DIFF_CLASSES = 200 };

struct diff_hook {
	struct arena *arena;
	enum hook hook;
	struct diff_class *classes;
	size_t class_count;
	bool more; /* there are more than DIFF_CLASSES of a kind */
	/* Of some packets neither is known, so that it may have changed: one of them. */
	bool unknown;
	struct packet_values unknown_witness;
};

/* Of new connections' first packets. -E2BIG: too large for the memory. */
int diff_hook_new(const struct diff_hook_question *question, struct diff_hook **ret, struct error **err);
void diff_hook_free(struct diff_hook *diff); /* NULL is fine */

static inline void diff_hook_freep(struct diff_hook **diff)
{
	diff_hook_free(*diff);
}
#define cleanup_diff_hook __attribute__((cleanup(diff_hook_freep)))

/* ---- all hosts ---- */

struct diff_change {
	enum diff_kind kind;
	int family;
	const char *from, *to;
	struct reach_service service;
	enum reach_verdict before_verdict, after_verdict;
	struct packet packet; /* the witness: it gets through in one of the two only; family 0: none was found */
	/* What the interpreter says of it, in words: "dropped by rule 4 of filter FORWARD at hv1" */
	const char *before, *after;
};

struct diff_lab {
	struct arena *arena;
	struct diff_change *changes;
	size_t change_count;
	const char **gone, **come; /* hosts that only one of the two has */
	size_t gone_count, come_count;
	/* What is known of neither, so that it may have changed: how many questions, and one of them. */
	size_t unknown_count;
	struct diff_change unknown;
};

/* Of the same services. Ends are the same if they are called the same. `memory`: bytes that sets may take. */
struct diff_lab *diff_lab_new(const struct reach_lab *before, const struct reach_lab *after, size_t memory);
void diff_lab_free(struct diff_lab *diff); /* NULL is fine */

static inline void diff_lab_freep(struct diff_lab **diff)
{
	diff_lab_free(*diff);
}
#define cleanup_diff_lab __attribute__((cleanup(diff_lab_freep)))

#endif
