/* What the collectors of live facts share. Within facts/live*.c only. */
#ifndef NESTVISOR_FACTS_LIVE_INTERNAL_H
#define NESTVISOR_FACTS_LIVE_INTERNAL_H

#include "base/netlink.h"
#include "facts/live.h"
#include "facts/parse.h"

#define LIVE_ROUTE "netlink:route" /* the source of what rtnetlink says */

enum live_names {
	LIVE_TABLES,	/* of routes: rt_tables */
	LIVE_PROTOCOLS, /* who made a route: rt_protos */
	LIVE_SCOPES,	/* rt_scopes */
	LIVE_NAMES_COUNT,
};

struct live {
	struct loader *loader;
	struct pool *pool;   /* the loader's */
	struct facts *facts; /* the loader's */
	struct netlink route;
	struct live_name_table {
		struct live_name {
			uint32_t number;
			const char *name;
		} * items;
		size_t count;
	} names[LIVE_NAMES_COUNT];
	struct live_interface {
		uint32_t index, flags; /* IFF_* */
		const char *name;
	} * interfaces; /* sorted by index; of live_links() */
	size_t interface_count;
};

/* Attributes that may be missing (NULL): then what they say is unknown. Those of netfilter are in network order. */
static inline struct number live_u32(const struct nlattr *attribute)
{
	return attribute ? number_of(mnl_attr_get_u32(attribute)) : (struct number){};
}

static inline struct number live_be16(const struct nlattr *attribute)
{
	return attribute ? number_of(be16toh(mnl_attr_get_u16(attribute))) : (struct number){};
}

static inline struct number live_be32(const struct nlattr *attribute)
{
	return attribute ? number_of(be32toh(mnl_attr_get_u32(attribute))) : (struct number){};
}

struct mac live_mac(const struct nlattr *attribute); /* of Ethernet; other addresses are none */

/* An interface that was asked, with the command that shows the same to a person. */
struct capture *live_capture(struct live *live, const char *source, const char *command);
/* Why the last one of these shows nothing, or not all: on the capture, and as a note. */
void live_unknown(struct live *live, const char *source, const char *command, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * Text in the words of a command, from the kernel or a program, read as if it had been captured. What it says of rules
 * goes to a ruleset of its own, which comes back: it counts as one capture of that rank (see recognise.h).
 */
struct ruleset *live_parse(struct live *live, const char *source, const char *command, unsigned rank,
			   void (*parse)(struct reader *reader, const struct asked *asked), const struct asked *asked,
			   const char *text, size_t length);

/* How often a dump is read that changes meanwhile. */
enum { LIVE_DUMPS_MAX = 5 };

/*
 * A dump. Where something changed while it was read (NLM_F_DUMP_INTR), it is read again, and *count, of what `each`
 * has collected, is set back before. The request must stand in the socket's buffer.
 */
int live_dump(struct netlink *nl, struct nlmsghdr *request, netlink_each each, void *data, size_t *count);

/* Links by their index, once live_links() has put them here in any order. */
void live_sort_interfaces(struct live *live);
const struct live_interface *live_find_interface(const struct live *live, uint32_t index);
/* The name of an interface, or NULL; of one that came up since the links were read it is known, and nothing else. */
const char *live_interface(struct live *live, uint32_t index);
/* The name iproute2 has for a number, or the number. */
const char *live_name(struct live *live, enum live_names kind, uint32_t number);
void live_read_names(struct live *live);

int live_links(struct live *live, struct error **err); /* and their addresses; before all others */
void live_link_sysctls(struct live *live, const char *interface, const struct nlattr *af_spec);
void live_neighbours(struct live *live);
void live_routes(struct live *live);
void live_policy_rules(struct live *live);
void live_sysctls(struct live *live);
void live_firewall(struct live *live);
void live_ipsets(struct live *live);
void live_connections(struct live *live);
void live_listeners(struct live *live);

#endif
