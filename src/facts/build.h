/* How the parsers of iptables, ebtables and nftables put expressions and rules together. */
#ifndef NESTVISOR_FACTS_BUILD_H
#define NESTVISOR_FACTS_BUILD_H

#include "facts/ruleset.h"
#include "facts/text.h"

struct expr *expr_new(struct arena *arena, enum expr_kind kind, enum datatype type);
struct expr *expr_number(struct arena *arena, enum datatype type, uint64_t value);
struct expr *expr_text(struct arena *arena, enum expr_kind kind, enum datatype type, const char *text);
struct expr *expr_ip(struct arena *arena, const struct ip *ip);
struct expr *expr_prefix(struct arena *arena, const struct prefix *prefix); /* one address becomes EXPR_IP */
struct expr *expr_mac(struct arena *arena, const struct mac *mac);
struct expr *expr_field(struct arena *arena, enum field field);
struct expr *expr_other_field(struct arena *arena, const char *name, enum datatype type);
struct expr *expr_fib(struct arena *arena, uint8_t flags, enum fib_result result);
/* EXPR_RANGE, EXPR_MAP; and EXPR_BINARY */
struct expr *expr_pair(struct arena *arena, enum expr_kind kind, enum datatype type, struct expr *left,
		       struct expr *right);
struct expr *expr_binary(struct arena *arena, enum binary_op op, struct expr *left, struct expr *right);
struct expr *expr_range(struct arena *arena, struct expr *first, struct expr *last);
struct expr *expr_concat(struct arena *arena);
void expr_concat_add(struct arena *arena, struct expr *concat, struct expr *item);
struct expr *expr_set(struct arena *arena, enum datatype type);
struct element *expr_set_add(struct arena *arena, struct expr *set, struct expr *key, struct expr *data);
struct expr *expr_verdict(struct arena *arena, enum verdict_kind kind, const char *chain);
struct expr *expr_unknown(struct pool *pool, struct span text);

/* An address that may be all there are of its family: then there is nothing to compare. */
bool prefix_is_all(const struct prefix *prefix);

struct statement *statement_add(struct arena *arena, struct statement **statements, size_t *count,
				enum statement_kind kind);
struct statement *rule_add(struct arena *arena, struct rule *rule, enum statement_kind kind);
void rule_match(struct arena *arena, struct rule *rule, struct expr *left, enum match_op op, struct expr *right);
void rule_verdict(struct arena *arena, struct rule *rule, enum verdict_kind kind, const char *chain);
/* Something of the rule is not understood: `what` stands in its gaps once. */
void rule_gap(struct pool *pool, struct rule *rule, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Finds or adds; what is new has this origin. */
struct table *ruleset_add_table(struct reader *reader, struct ruleset *ruleset, enum backend backend,
				enum family family, const char *name);
struct chain *table_add_chain(struct reader *reader, struct table *table, const char *name);
/* A rule at the end of a chain, or in front of its rule `before` (1 is the first). */
struct rule *chain_add_rule(struct reader *reader, struct chain *chain, uint32_t before);
void ruleset_cover(struct reader *reader, struct ruleset *ruleset, enum backend backend, enum family family,
		   const char *table, const char *chain);

#endif
