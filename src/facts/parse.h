/*
 * The parsers of captured text. Each reads a whole capture from its reader into the reader's facts, or, where it holds
 * rules, into the reader's ruleset. None of them fails: what is not understood is counted and noted, and a capture that
 * ends in the middle is read as far as it goes and marked as cut off.
 */
#ifndef NESTVISOR_FACTS_PARSE_H
#define NESTVISOR_FACTS_PARSE_H

#include "base/json.h"
#include "facts/text.h"

/* What is known of a capture besides its text, from the name of its file or the command in front of it. */
struct asked {
	enum family family; /* FAMILY_NONE: not said */
	const char *table;  /* of a firewall or of routes; NULL: not said */
	bool all_tables;    /* of routes; connections: of all families */
	bool addresses;	    /* ip addr: a link without any is known to have none */
	bool bridge;	    /* bridge link */
	bool listing;	    /* what looks like a script is a listing of everything */
	bool json;
	const char *subject; /* "kvm_intel" of modinfo kvm_intel, "vm1" of virsh dumpxml vm1; NULL: none */
};

/* iptables-save, ip6tables-save, ebtables-save, iptables -S, ebtables -L, and scripts of iptables commands. */
void parse_xt_save(struct reader *reader, const struct asked *asked);
/* iptables -L, with or without -v, -n, --line-numbers. */
void parse_xt_list(struct reader *reader, const struct asked *asked);
/* nft list ruleset, nft list table …, and files for nft -f. */
void parse_nft(struct reader *reader, const struct asked *asked);
/* ip addr, ip link, with -d, -o, -br, -4, -6; bridge link. */
void parse_links(struct reader *reader, const struct asked *asked);
void parse_brctl(struct reader *reader, const struct asked *asked);	   /* brctl show */
void parse_neighbours(struct reader *reader, const struct asked *asked);   /* ip neigh */
void parse_fdb(struct reader *reader, const struct asked *asked);	   /* bridge fdb show */
void parse_routes(struct reader *reader, const struct asked *asked);	   /* ip route */
void parse_route_n(struct reader *reader, const struct asked *asked);	   /* route -n */
void parse_policy_rules(struct reader *reader, const struct asked *asked); /* ip rule */
void parse_ipset(struct reader *reader, const struct asked *asked);	   /* ipset save, ipset list */
void parse_sysctl(struct reader *reader, const struct asked *asked);	   /* sysctl, sysctl -a (all_tables) */
void parse_conntrack(struct reader *reader, const struct asked *asked);	   /* conntrack -L, /proc/net/nf_conntrack */
void parse_listeners(struct reader *reader, const struct asked *asked);	   /* ss -lntu */
void parse_ipconfig(struct reader *reader, const struct asked *asked);	   /* of Windows, in any language */
void parse_wslconfig(struct reader *reader, const struct asked *asked);	   /* .wslconfig */
void parse_wslconf(struct reader *reader, const struct asked *asked);	   /* /etc/wsl.conf */
void parse_uname(struct reader *reader, const struct asked *asked);	   /* uname -a */
void parse_os_release(struct reader *reader, const struct asked *asked);
void parse_command_line(struct reader *reader, const struct asked *asked); /* /proc/cmdline */
void parse_modules(struct reader *reader, const struct asked *asked);	   /* lsmod, /proc/modules */
void parse_cpuinfo(struct reader *reader, const struct asked *asked);
void parse_meminfo(struct reader *reader, const struct asked *asked);
void parse_groups(struct reader *reader, const struct asked *asked); /* /etc/group, getent group */
void parse_users(struct reader *reader, const struct asked *asked);
void parse_attributes(struct reader *reader, const struct asked *asked); /* grep -r . /sys/… */
void parse_version(struct reader *reader, const struct asked *asked);	 /* PROGRAM --version (subject) */
void parse_document(struct reader *reader, const struct asked *asked);	 /* virsh dumpxml */
void parse_modes(struct reader *reader, const struct asked *asked);	 /* ls -ld with whole paths */
void parse_id(struct reader *reader, const struct asked *asked);
void parse_packages(struct reader *reader, const struct asked *asked); /* dpkg-query -W, rpm -qa, pacman -Q */
void parse_programs(struct reader *reader, const struct asked *asked); /* command -v, which */
void parse_log(struct reader *reader, const struct asked *asked);      /* dmesg, tail (subject: the log's name) */
void parse_wslinfo(struct reader *reader, const struct asked *asked);
void parse_windows_version(struct reader *reader, const struct asked *asked); /* wsl --version, ver, systeminfo */

/* Is a route, or a neighbour, among the first `count` of the facts, from another capture? `ip route show table all` and
 * `ip neigh` show both families, so `ip -6 route` beside them shows half of it again. */
bool route_is_known(const struct facts *facts, size_t count, const struct route *route);
bool neighbour_is_known(const struct facts *facts, size_t count, const struct neighbour *neighbour);

/* The same where the program printed JSON (ip -j, bridge -j, nft -j): the reader's items are elements of the document.
 */
void parse_links_json(struct reader *reader, const struct asked *asked, json_t *document);
void parse_routes_json(struct reader *reader, const struct asked *asked, json_t *document);
void parse_policy_rules_json(struct reader *reader, const struct asked *asked, json_t *document);
void parse_neighbours_json(struct reader *reader, const struct asked *asked, json_t *document);
void parse_fdb_json(struct reader *reader, const struct asked *asked, json_t *document);
void parse_nft_json(struct reader *reader, const struct asked *asked, json_t *document);

#endif
