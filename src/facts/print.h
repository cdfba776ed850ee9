/*
 * Rules as text: in nftables' words, whoever wrote them. What nftables has no words for stands in angle brackets:
 * "<limit rate 3/sec>", "<unknown: -m foo>". For people, and for comparing rules from different sources.
 */
#ifndef NESTVISOR_FACTS_PRINT_H
#define NESTVISOR_FACTS_PRINT_H

#include "base/strbuf.h"
#include "facts/rule.h"

void print_expr(struct strbuf *out, const struct expr *expr);
void print_statement(struct strbuf *out, const struct statement *statement);
/* All statements, with a space between; counters and the like are left out. */
void print_rule(struct strbuf *out, const struct rule *rule);

#endif
