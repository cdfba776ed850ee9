/* What the parts of the rules' text share (rules.c, rules_bridge.c). */
#ifndef NESTVISOR_NET_RULES_INTERNAL_H
#define NESTVISOR_NET_RULES_INTERNAL_H

#include "net/rules.h"

#include <stdbool.h>
#include <stdint.h>

struct elements;
struct lab;
struct nic;

/* Bits of the packet mark, which is not seen outside the namespace. */
#define CUT		"0x00000001" /* its sender is cut, and not open for a while */
#define FROM_WORLD	"0x00000002" /* it came by the uplink, and is not from a place that its receiver keeps */
#define ALONE		"0x00000004" /* its sender has no neighbours */
#define STRICT		"0x00000008" /* its sender has only neighbours that are cut */
#define FROM_GUEST	"0x00000010" /* it came from a tap or a tunnel */
#define TO_CUT		"0x00000020" /* its receiver is cut */
#define KNOWN		"0x00000040" /* it has its tap's own addresses, and is whole: the tap has said all about its sender */
#define NAMES		"0x00000080" /* its sender is told the lab's names only */
#define CUT_OR_NAMES	"0x00000081"
#define CUT_STRICT	"0x00000009"
#define CUT_ALONE	"0x00000005"
#define CUT_OR_GUEST	"0x00000011"
#define FROM_ANYBODY	"0x00000012" /* FROM_WORLD or FROM_GUEST */
#define STRICT_TO_CUT	"0x00000028"
#define KNOWN_GUEST	"0x00000050" /* KNOWN and FROM_GUEST */
#define KNOWN_CUT	"0x00000041"
#define STRICT_OR_ALONE "0x0000000c"
#define OF_SENDER	"0x0000008d" /* CUT, ALONE, STRICT, NAMES */

/* A rule that adds bits to the packet's mark. */
#define ADD_MARK(bits) "\t\tmeta mark set meta mark | " bits "\n"

/* Elements are gathered first: a set that knows its size and stays as it is is a quicker one in the kernel. */
struct set {
	struct strbuf *out;
	struct strbuf elements;
	size_t count;
	bool interval;
	bool once; /* what is added more than once is in it once */
};

/* interval: of prefixes. Freed by rules_set_end, which writes what has been gathered. */
struct set rules_set_begin(struct strbuf *out, const char *name, const char *type, bool interval);
void rules_set_add(struct set *set, const char *format, ...) __attribute__((format(printf, 2, 3)));
void rules_set_end(struct set *set);

/* The nic's fixed address of the family; NULL: it has none. */
const char *rules_nic_ip(const struct nic *nic, uint8_t family, char text[IP_TEXT_SIZE]);
/* A prefix as an element: without a length where it is one address. */
const char *rules_element_of(const struct prefix *prefix, char text[PREFIX_TEXT_SIZE]);

/* The sets of one table (IN_*) that say who is cut; elements that end by themselves are added behind the tables. */
void rules_add_isolation_sets(struct strbuf *out, const struct lab *lab, const struct elements *elements,
			      uint8_t table);

/*
 * The chains that the verdict maps lead to, for one kind of map: `from` and `to` are their names' beginnings (NULL: no
 * such), `open_from` and `open_to` the rules that let a guest pass that is open for a while.
 */
void rules_add_mode_chains(struct strbuf *out, const char *from, const char *open_from, const char *to,
			   const char *open_to);
/* Those for addresses, of both families. */
void rules_add_address_chains(struct strbuf *out);

/* Whether networks of this host are on other machines, too. */
bool rules_are_stretched(const struct lab *lab);

/* Whether the lab has networks of the family that are reached through guests of this host. */
bool rules_has_behind(const struct lab *lab, uint8_t family);
/*
 * The rules that lead to them from packets of a family. Those for networks behind guests of this host are there where
 * the lab has such networks: an interval costs a look though nothing be in it.
 */
void rules_add_from(struct strbuf *out, const struct lab *lab, uint8_t family);
void rules_add_to(struct strbuf *out, const struct lab *lab, uint8_t family);
/* Chains "from_address6" (`more`: rules at its end) and "to_address6" of these, so that the others pass over IPv6 at
 * one look. */
void rules_add_address6_chains(struct strbuf *out, const struct lab *lab, const char *more);

void rules_format_bridge(const struct lab *lab, const struct elements *elements, struct strbuf *out);

#endif
