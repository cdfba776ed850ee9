/*
 * Changes to hosts that people can type: a route, a rule, a sysctl, a link switched on. Each is a command in the words
 * of what the host uses, what it does to the host's facts (so that the engines can be asked what becomes of packets
 * once it is made), how it is taken back, and how it is made to last on that host.
 */
#ifndef NESTVISOR_VERIFY_CHANGE_H
#define NESTVISOR_VERIFY_CHANGE_H

#include "facts/bundle.h"
#include "verify/packet.h"

struct arena;

enum change_kind {
	CHANGE_ROUTE,
	CHANGE_RULE,
	CHANGE_NAT, /* a rule that translates */
	CHANGE_SYSCTL,
	CHANGE_LINK,   /* switches an interface on */
	CHANGE_POLICY, /* a rule of `ip rule`, which says what table of routes is asked */
	CHANGE_KIND_COUNT,
};

/* How what makes a change last gets to its place. */
enum placing {
	PLACE_COMMAND, /* it is a command for a shell, and `undo` takes it back */
	PLACE_OWN,     /* a whole file of nestvisor's own */
	PLACE_LINES,   /* lines of a file, each once */
	PLACE_SCRIPT,  /* commands of a script for sh, before it ends */
	PLACE_SETTING, /* a setting of wsl.conf, in the place of the one that counts */
	PLACE_END,     /* behind all else in the file, which must be there */
	PLACE_SAVED,   /* a rule of iptables-save, at its place in its table; the file must be there */
	PLACE_UFW,     /* the same, as the first one of its chain */
	PLACE_NOWHERE, /* nothing makes it last: `text` says what decides instead */
};

/* One way to make a change last: see lasting.h. */
struct permanent {
	const char *how;  /* "netfilter-persistent", "wsl.conf", "systemd-networkd" */
	const char *file; /* NULL: none, a command alone */
	const char *text; /* what stands in the file, or the command */
	/* To carry it out. Commands are for a shell; NULL: none. */
	enum placing placing;
	bool executable;
	const char *needs;		   /* succeeds where this way is one on that host */
	const char *check;		   /* of the file, "$1", before it counts */
	const char *then;		   /* what else is needed once the file, "$1", is there */
	const char *undo;		   /* of `then`, before the file goes, or of the command */
	const char *find;		   /* prints the file's name, where `file` is NULL */
	const char *table, *line, *before; /* PLACE_SAVED: the rule, and the one it goes in front of (NULL: the last) */
};

struct change {
	enum change_kind kind;
	const char *host;
	const char *command; /* "ip route add 192.168.124.0/24 via 192.168.122.191 dev virbr0" */
	const char *undo;    /* NULL: see the manual of the tool */
	const char *opens;   /* what it lets through, or changes, all told: more than what was asked about, perhaps */
	struct permanent *permanent;
	size_t permanent_count;
	/* What it does to the facts. */
	union {
		struct {
			const struct route *entry;
			bool replaces; /* the one to the same prefix in the same table */
		} route;
		struct {
			enum backend backend;
			enum family family;
			const char *table, *chain;
			uint32_t before;    /* the index of the rule it goes in front of; 0: at the end */
			const char *behind; /* that rule, as its host tells it, in one line; NULL: none */
			bool created;	    /* the table is not there yet */
			const struct rule_wish *wish;
			const char *text; /* "-s 10.0.0.1/32 -j ACCEPT", "ip saddr 10.0.0.1 accept" */
		} rule;
		struct {
			const char *name, *value;
		} sysctl;
		const char *link;
		const struct policy_rule *policy;
	};
};

const char *change_kind_word(enum change_kind kind); /* "route" */
/* What the change lets through or changes, as far as it says so itself: rules of others may still stop it. */
const char *change_opens(struct arena *arena, const struct change *change);

/* The host to change, what else is known, and where changes live. */
struct change_site {
	struct arena *arena;
	const struct bundle *bundle;
	const struct facts *host;
};

/* Each of these gives NULL where no such change can be made, or none that is known to help: a name that a shell would
 * read as something else than a name is not put into a command. */

/* What stands for the prefix in that table, if anything, is replaced. `via` NULL: on the link itself. */
struct change *change_route(const struct change_site *site, const struct prefix *to, const struct ip *via,
			    const char *dev, const char *table);
/* Packets to `to`, of `from` alone where that is given, ask the main table before the policy rule with that priority is
 * asked. */
struct change *change_policy(const struct change_site *site, const struct ip *from, const struct ip *to,
			     uint64_t before);
/* As the kernel does, a sysctl for all interfaces also sets those of each one. */
struct change *change_sysctl(const struct change_site *site, const char *name, unsigned value);
struct change *change_link_up(const struct change_site *site, const char *link);

/* What a rule is to say, in whatever words its table uses. */
struct rule_wish {
	const struct packet *packet;	  /* addresses, protocol and ports are matched */
	bool any_source, any_destination; /* one of the addresses stands for the whole world: it is not matched */
	const char *iif, *oif;		  /* NULL: any */
	bool answers;			  /* only packets of connections that exist, as connection tracking says */
	bool untracked;			  /* answers, told by the port they come from */
	bool masquerade;		  /* in place of accept */
	struct ip publish; /* in place of accept: passes it on to this address, whoever sends it; or none */
};
/* In front of the rule with that index, or (0) at the end of the chain. */
struct change *change_rule(const struct change_site *site, const struct table *table, const struct chain *chain,
			   uint32_t before, const struct rule_wish *wish);
/* Masquerades in the host's own nat table, whichever kind it uses. */
struct change *change_masquerade(const struct change_site *site, const struct rule_wish *wish);

/* Passes on what comes to the packet's destination and port, in the host's own nat table. NULL without a port. */
struct change *change_publish(const struct change_site *site, const struct rule_wish *wish);

/* The change as it is where `gone`, made before it, is not made: rules have other numbers then. May be `change` itself.
 */
struct change *change_without(const struct change_site *site, struct change *change, const struct change *gone);
/* Do two changes do the same on the same host? */
bool change_equal(const struct change *a, const struct change *b);

/* The bundle as it is once these changes are made. What did not change is shared with the first one, which must outlive
 * it; it lives in the arena. */
struct bundle *change_apply(struct arena *arena, const struct bundle *bundle, struct change *const *changes,
			    size_t count);

#endif
