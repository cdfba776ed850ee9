/*
 * What a rule says of a packet at a hook. All comparisons have three answers: yes, no, and unknown, where it depends on
 * what neither packet nor facts show. Within verify/ only.
 */
#ifndef NESTVISOR_VERIFY_EVALUATE_H
#define NESTVISOR_VERIFY_EVALUATE_H

#include "verify/walk_internal.h"

enum value_kind {
	VALUE_ABSENT,  /* the packet has no such field */
	VALUE_UNKNOWN, /* it has one, and what it is cannot be said */
	VALUE_RANGE,   /* one of low … high */
	VALUE_TEXT,    /* an interface's name; "": none */
};

struct value {
	enum value_kind kind;
	uint8_t family; /* of addresses */
	wide low, high;
	const char *text;
};

enum { VALUES_MAX = 16 };

struct values {
	struct value items[VALUES_MAX];
	size_t count;
};

/* Where rules stand: which names they mean, and whose words. */
struct scene {
	struct hop *hop;
	const struct stack_chain *chain;
};

struct value value_of_number(wide number);
struct value value_of_ip(const struct ip *ip);

/* fields.c: what comes out of the packet, and of what is known of it. */
struct value field_value(const struct scene *scene, const struct expr *expr);
struct value fib_value(const struct scene *scene, const struct expr *expr);

/* What an expression gives; a concatenation gives several. */
struct values evaluate_values(const struct scene *scene, const struct expr *expr);
/* Is a match true? */
enum truth evaluate_match(const struct scene *scene, const struct statement *statement);
/* The elements of a set or map that the key may find, the surest first; at most `max`. */
struct found_element {
	const struct element *element;
	enum truth truth; /* yes or unknown */
};
size_t evaluate_lookup(const struct scene *scene, const struct expr *map, const struct values *key,
		       struct found_element *ret, size_t max);

/* chains.c: all of a base chain. RULING_CONTINUE: the packet goes on behind it. */
enum ruling chain_run(struct hop *hop, const struct stack_chain *base);
/* nat.c: what a NAT statement makes of the flow. False: the packet is lost for want of an address. */
bool nat_setup(const struct scene *scene, const struct nat *nat, const char **ret_effect);
/* None applies: the connection stays as it is, if no other one is the same then (nf_nat_alloc_null_binding). */
void nat_setup_none(struct hop *hop, bool source);
/* unique.c: would answers be taken for those of another connection of the host, if packets of this one looked so? */
enum truth unique_is_taken(const struct hop *hop, const struct tuple *now);
/* Another port where that is so: one of `range`, or, where that is NULL, any as good; or as it is: there is none. */
void unique_make(const struct hop *hop, bool source, const struct ports *range, struct tuple *now);
/* The ports that the kernel takes in place of one (nf_nat_l4proto_unique_tuple). */
struct ports unique_alike(const struct ports *port);
/* A first packet leaves. False: it is lost, since answers would be taken for those of another connection. */
bool unique_confirm(struct hop *hop);
/* reject.c: does what a rejected packet is answered leave the host? */
bool reject_reaches(struct hop *hop, bool reset, unsigned type, unsigned code);
/* assign.c: changes the packet, its mark or its connection's. False: there is no such value, and the rule ends. */
bool assign_value(const struct scene *scene, const struct expr *field, const struct expr *value);

#endif
