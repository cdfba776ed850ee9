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

/* nat.c: what a NAT statement makes of the flow. False: the packet is lost for want of an address. */
bool nat_setup(const struct scene *scene, const struct nat *nat, const char **ret_effect);
/* reject.c: does what a rejected packet is answered leave the host? */
bool reject_reaches(struct hop *hop, bool reset, unsigned type, unsigned code);
/* assign.c: changes the packet, its mark or its connection's. False: there is no such value, and the rule ends. */
bool assign_value(const struct scene *scene, const struct expr *field, const struct expr *value);

#endif
