/*
 * The language of iptables, ip6tables and ebtables: its extensions and their options in tables, and how an option
 * becomes a statement. iptables-extensions(8), ebtables-nft(8). Within facts/ only.
 */
#ifndef NESTVISOR_FACTS_XT_H
#define NESTVISOR_FACTS_XT_H

#include "facts/build.h"

/* How an option's value is read. */
enum xt_value {
	XT_KEEP,    /* not compared with a field: kept as an argument of a condition, effect or diversion */
	XT_IGNORED, /* says nothing about packets */
	XT_COMMENT,
	XT_NUMBER,	 /* 5, 5:10 */
	XT_MILLISECONDS, /* the same, in seconds */
	XT_LESS,
	XT_GREATER,
	XT_PORT,	  /* 22, ssh, 1024:65535 */
	XT_PORTS,	  /* several, with commas */
	XT_ADDRESS,	  /* 10.0.0.0/8 */
	XT_ADDRESS_RANGE, /* 10.0.0.1-10.0.0.9 */
	XT_MASKED,	  /* value[/mask] */
	XT_MAC,		  /* 52:54:00:00:00:01[/mask], or ebtables' words for some */
	XT_INTERFACE,	  /* eth0, eth+ */
	XT_TEXT,
	XT_BITS,      /* names with commas: any of these bits */
	XT_NAMES,     /* names with commas: one of these */
	XT_SYMBOL,    /* one name or number, or a range of numbers */
	XT_TRUE,      /* the field is 1 */
	XT_BIT,	      /* this bit of the field: `extra` */
	XT_TCP_FLAGS, /* mask, flags */
	XT_SYN,
	XT_TCP_OPTION,
	XT_ICMP,	/* type[/code] */
	XT_EB_ICMP,	/* type[:type][/code[:code]] */
	XT_ROUTE_TYPES, /* addrtype; `extra` is FIB_SADDR or FIB_DADDR */
	XT_ROUTE_LIMIT, /* addrtype --limit-iface-in, -out; `extra` is FIB_IIF or FIB_OIF */
	XT_IPSET,	/* set, directions */
};

struct xt_option {
	const char *name; /* without dashes; NULL ends the table */
	uint8_t values;	  /* how many it takes at least */
	uint8_t more;	  /* how many more it may take */
	enum xt_value kind;
	enum field field;
	uint16_t extra; /* a connection's direction, a bit, flags of fib */
};

struct xt_given {
	const struct xt_option *option; /* NULL: none that is known */
	struct span name;
	bool negated;
	size_t first, count; /* its values among the words */
	size_t instance;     /* the match or target it belongs to; SIZE_MAX: the rule itself */
	size_t order;	     /* where it stood among the options */
	bool kept;
};

struct xt_build;

struct xt_extension {
	const char *name;
	enum condition_reason reason;	 /* for options that are kept; CONDITION_NONE: they are none of a match */
	bool always;			 /* a condition even without options */
	const struct xt_option *options; /* NULL: none */
	/* What all of its options together mean: of every target, and of matches that are more than their options. */
	void (*convert)(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
			size_t count);
};

/* A rule while it is being made. */
struct xt_build {
	struct reader *reader;
	struct arena *arena;
	enum family family;
	struct rule *rule;
	const struct span *words;
};

const struct xt_extension *xt_find_match(struct span name);
const struct xt_extension *xt_find_target(enum family family, struct span name);
const struct xt_option *xt_find_option(const struct xt_extension *extension, struct span name);
/* The one option that begins like this; NULL: none or several. */
const struct xt_option *xt_find_abbreviated(const struct xt_extension *extension, struct span name);
/* ebtables loads all of its matches at once. */
extern const struct xt_extension xt_ebtables;
/* -p, -s, -d, -i, -o, --logical-in, --logical-out of ebtables; -s, -d, … of iptables. */
const struct xt_option *xt_find_base(enum family family, struct span name);

/* Adds what one option of a match says; `all` are the options of that match. False: it is to be kept as an argument. */
bool xt_convert(struct xt_build *build, const struct xt_option *option, const struct xt_given *given,
		const struct xt_given *all, size_t count);

/* Adds a condition of what is kept of a match. */
void xt_condition(struct xt_build *build, const char *name, enum condition_reason reason, const struct xt_given *given,
		  size_t count);
struct argument *xt_arguments(struct xt_build *build, const struct xt_given *given, size_t count, size_t *ret_count);

/* Values. Each falls back to an EXPR_UNKNOWN, and notes it as a gap of the rule. */
struct expr *xt_port(struct xt_build *build, struct span text, char separator);
struct expr *xt_address_or_range(struct xt_build *build, struct span text);
struct expr *xt_unknown_value(struct xt_build *build, struct span text);

/* What a rule is read with, kept from one rule to the next so that it need not be allocated anew. */
struct xt_scratch {
	struct span *words;
	size_t word_count, word_capacity;
	struct xt_given *given;
	size_t given_count, given_capacity;
	struct xt_instance {
		const struct xt_extension *extension; /* NULL: not known */
		struct span name;
		size_t first, count; /* its options among `given` */
		bool nameless;	     /* for options that no match was loaded for */
	} * instances;
	size_t instance_count, instance_capacity;
};
void xt_scratch_clear(struct xt_scratch *scratch);

/* Splits a line into words as a shell would, as far as iptables-save and scripts need it. */
void xt_split(struct xt_scratch *scratch, struct arena *arena, struct span line);

/*
 * Words of a rule from behind its chain ("-s 10.0.0.0/8 -j ACCEPT") to statements. `chains` says which targets are
 * chains; NULL: any that is no extension is one.
 */
void xt_rule(struct xt_build *build, struct xt_scratch *scratch, size_t first, const struct table *chains);

/* An unknown target: what the rule does is not known. */
void xt_unknown_target(struct xt_build *build, const char *name);

/* A line of iptables -L on its way back into options. */
struct xt_line {
	struct reader *reader;
	struct xt_scratch *scratch; /* its words are the options */
	struct span *target_words;  /* what goes behind -j */
	size_t target_word_count, target_word_capacity;
	struct span target;
	const char *match; /* loaded last */
};
void xt_line_push(struct xt_line *line, struct span word);
void xt_line_push_text(struct xt_line *line, const char *word);
struct span xt_line_strip_not(struct xt_line *line, struct span word);	      /* "!docker0" is docker0, negated */
void xt_line_details(struct xt_line *line, struct span text, bool *ret_goto); /* what stands behind the destination */

/* The field of the other family where the rule is one of ip6tables. */
enum field xt_field(enum family family, enum field field);

#endif
