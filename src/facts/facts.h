/*
 * Facts: what a host says of itself, in one form whoever said it: the running kernel, a guest over a transport, or a
 * folder of captured text (see bundle.h). JSON has the same form (json.h; docs/facts.md).
 *
 * What was not captured is unknown, never empty: every list has a `known` beside it. TRUTH_YES: this is all there is.
 * TRUTH_NO: part of it is here, and it is known that there is more. TRUTH_UNKNOWN: nothing was captured that would list
 * them; entries may be there all the same, because something else mentions them.
 *
 * Everything lives in one arena; facts do not change once they are loaded, and may be read by several threads.
 */
#ifndef NESTVISOR_FACTS_FACTS_H
#define NESTVISOR_FACTS_FACTS_H

#include "facts/link.h"
#include "facts/route.h"
#include "facts/ruleset.h"
#include "facts/system.h"

struct arena;

struct sysctl {
	const char *name; /* "net.ipv4.conf.eth0.rp_filter"; a dot in an interface's name is a slash, as sysctl(8)
			     prints it */
	const char *value;
	struct origin origin;
};

/* Something worth telling about a capture: a line that was not understood, an end in the middle, two that disagree. */
struct note {
	const char *text;
	struct origin origin;
};

/* A file, or a part of one, that holds one command's output. */
struct capture {
	const char *source;
	uint32_t line;	     /* where it begins */
	const char *command; /* what it holds, as a command: "iptables-save", "ip route show table 500" */
	bool used;	     /* false: see `why` */
	const char *why;
	uint32_t items;				 /* things read from it, whatever they are */
	uint32_t rules, rules_partly, rules_not; /* of firewalls: read, understood partly, not understood */
	uint32_t ignored;			 /* lines that were not understood */
	bool cut_off;				 /* it ends in the middle */
};

struct facts {
	const char *name;    /* what people call it: "hv1/a" */
	const char *alias;   /* another word for it; NULL: none */
	const char *machine; /* only a network namespace of that host; NULL: not said (see bundle_machine()) */
	enum system system;

	struct capture *captures;
	size_t capture_count;
	struct note *notes;
	size_t note_count;

	struct link *links;
	size_t link_count;
	struct names *link_names; /* for facts_link() alone; may be NULL */
	enum truth links_known;
	struct neighbour *neighbours;
	size_t neighbour_count;
	enum truth neighbours_known;
	struct fdb_entry *fdb;
	size_t fdb_count;
	enum truth fdb_known;

	struct route *routes;
	size_t route_count;
	/* Which tables were captured: pairs of family and table; a NULL name stands for all tables of the family. */
	struct route_coverage {
		uint8_t family;
		const char *table;
		struct origin origin;
	} * route_coverage;
	size_t route_coverage_count;
	struct policy_rule *policy_rules;
	size_t policy_rule_count;
	enum truth policy_rules4_known, policy_rules6_known;

	struct sysctl *sysctls; /* sorted by name */
	size_t sysctl_count;
	enum truth sysctls_known;    /* of all: no, where only some were asked for */
	const char **sysctls_absent; /* asked for, and the kernel has none of that name; sorted */
	size_t sysctls_absent_count;

	struct ruleset ruleset;
	struct connection *connections;
	size_t connection_count;
	enum truth connections4_known, connections6_known; /* all of them, of IPv4 and of IPv6 */

	struct kernel kernel;
	struct distribution distribution;
	struct processor processor;
	struct memory memory;
	struct module *modules;
	size_t module_count;
	enum truth modules_known;
	struct attribute *attributes; /* sorted by path */
	size_t attribute_count;
	struct account *users, *groups;
	size_t user_count, group_count;
	enum truth users_known, groups_known;
	struct listener *listeners;
	size_t listener_count;
	enum truth listeners_known;
	struct program *programs;
	size_t program_count;
	struct package *packages; /* of those that matter here: kernels, hypervisors, firmware, firewalls */
	size_t package_count;
	enum truth packages_known;
	struct node *nodes; /* sorted by path */
	size_t node_count;
	struct caller caller;
	struct log_line *log_lines;
	size_t log_line_count;
	enum truth logs_known; /* was there anything to read them from? */
	struct document *documents;
	size_t document_count;
	struct setting *wslconfig, *wslconf; /* .wslconfig of Windows, /etc/wsl.conf of the distribution */
	size_t wslconfig_count, wslconf_count;
	enum truth wslconfig_known, wslconf_known;
	struct wsl wsl;
};

/* By its name or its other word; letters' case does not count. */
bool facts_is_called(const struct facts *facts, const char *word);
struct link *facts_link(const struct facts *facts, const char *name);		    /* NULL: none */
struct link *facts_link_with_mac(const struct facts *facts, const struct mac *mac); /* the first; NULL: none */
/* A sysctl's value, or NULL: unknown. */
/* All connections, of both families. */
enum truth facts_connections_known(const struct facts *facts);
const char *facts_sysctl(const struct facts *facts, const char *name);
const struct sysctl *facts_sysctl_entry(const struct facts *facts, const char *name);
/* Is it known that the kernel has no such sysctl, as net.bridge.* without br_netfilter? */
bool facts_sysctl_absent(const struct facts *facts, const char *name);
/* What a file says, without the white space at its ends; several lines are parted by newlines. NULL: unknown. */
const char *facts_attribute(const struct facts *facts, const char *path);
const struct attribute *facts_attribute_entry(const struct facts *facts, const char *path);
const struct node *facts_node(const struct facts *facts, const char *path);	  /* NULL: was not looked at */
const struct program *facts_program(const struct facts *facts, const char *name); /* NULL: unknown */
/* Were this table's routes captured? */
bool facts_routes_known(const struct facts *facts, uint8_t family, const char *table);
/* A setting that WSL takes, of .wslconfig and of wsl.conf; NULL: none. */
const struct setting *facts_wslconfig(const struct facts *facts, const char *section, const char *key);
const struct setting *facts_wslconf(const struct facts *facts, const char *section, const char *key);

#endif
