/* What the files of net/ share. */
#ifndef NESTVISOR_NET_NET_INTERNAL_H
#define NESTVISOR_NET_NET_INTERNAL_H

#include "base/netlink.h"
#include "net/link.h"
#include "net/net.h"

#include <pthread.h>
#include <stdbool.h>

/* The uplink's interface inside the namespace, whatever is behind it (the rules know it by this name). */
#define NET_WORLD "world"
/* Where tunnels of VXLAN come out, in the host's own namespace (IANA). */
enum { NET_VXLAN_PORT = 4789 };
/* The way in for published ports (publish.c). */
#define NET_ADMIN "admin"

/* Everything that a lab has is named after it, so that it can be found by the lab's name alone. */
struct net_names {
	char netns[64];		    /* nestvisor-<lab>; also the table in the root namespace */
	char veth[LINK_NAME_SIZE];  /* nv<id>w, the uplink's end in the root namespace */
	char admin[LINK_NAME_SIZE]; /* nv<id>p, the same of the way in */
	char mark[64];		    /* nestvisor:<lab>: how the alias of each interface begins */
};
int net_names_of(const char *lab_name, struct net_names *ret, struct error **err);

struct net {
	const struct lab *lab;
	char *run_dir;
	struct net_names names;
	pthread_mutex_t mutex; /* over all below: netlink sockets carry one request at a time */
	int netns;
	struct netlink inside, root;	       /* opened when first used */
	struct netlink filter;		       /* the same, of the packet filter inside */
	const struct isolation *isolation;     /* borrowed; NULL: what the lab file says */
	const struct net_adopted_nic *adopted; /* borrowed; NULL: not known, or the lab is nestvisor's */
	size_t adopted_count;
	const char *const *others; /* borrowed; NULL: not known */
	size_t other_count;
};

/* The sockets of the two namespaces. With the mutex held. */
int net_inside(struct net *net, struct netlink **ret, struct error **err);
int net_root(struct net *net, struct netlink **ret, struct error **err);
/*
 * The packet filter's, inside. Closing such a socket waits until the kernel has freed what transactions have deleted
 * (nft_rcv_nl_event in nf_tables_api.c), some milliseconds; so there is one, and it is closed with the net.
 */
int net_filter(struct net *net, struct netlink **ret, struct error **err);

/* Puts our mark and what it is on an interface. */
int net_put_alias(const struct net *net, struct netlink *nl, const struct link *link, const char *what,
		  struct error **err);
bool net_is_ours(const struct net_names *names, const struct link *link);

/* <run_dir>/<prefix><name><suffix>, freed by the caller. */
char *net_file(const char *run_dir, const char *prefix, const char *name, const char *suffix);

/* Whether any network of this host lets packets out of the namespace. */
bool net_wants_uplink(const struct net *net);

/* Ends the process of a pid file and removes the file. No such file or process is success. */
int net_end_process(const char *pid_file, struct error **err);

/* tunnel.c: the ends of a network's encapsulation on its bridge. */
int net_make_tunnels(struct net *net, struct netlink *inside, const struct network *network, const struct link *bridge,
		     struct error **err);
/* The name of a tunnel's interface; `i` counts a GENEVE network's peers, each of which has an interface of its own. */
void net_tunnel_name(const struct network *network, size_t i, char ret[LINK_NAME_SIZE]);
size_t net_tunnel_count(const struct network *network);

/* guard.c: whose packets the host takes for its stretched networks. With the mutex held; the first removes it where
 * there is no such network. */
int net_make_guard(struct net *net, struct error **err);
int net_check_guard(struct net *net, bool *ret_same, struct error **err);
int net_remove_guard(const struct net_names *names, const char *run_dir, struct error **err);

/* network.c: taps that no network has got. */
int net_remove_loose_taps(const struct net_names *names, struct error **err);

/* lend.c: the bridge of a lent tap, by the name that the tap has in the lab; none is fine. */
int net_remove_lent(struct net *net, struct netlink *root, const char *tap, struct error **err);

int net_remove_lent_bridge(struct netlink *root, const struct link *bridge, struct error **err);

/* dhcp.c */
int net_end_dhcp(const char *run_dir, const char *bridge, struct error **err);

/* uplink.c */
int net_remove_world(struct netlink *inside, struct error **err);
/* On a deeper host: the default routes once more, now that bridges with addresses to speak from are there. */
int net_refresh_uplink(struct net *net, struct netlink *inside, struct error **err);
/* What the uplink has in the root namespace, known by the lab's name alone. */
int net_remove_outside(const struct net_names *names, const char *run_dir, struct error **err);

/* adopted.c: of a lab of libvirt's. With the mutex held. */
int net_check_adopted(struct net *net, const struct isolation *isolation, bool *ret_same, struct error **err);
/* Holds whoever can be held; `all`: and fails then where somebody cannot. */
int net_load_adopted(struct net *net, const struct isolation *isolation, bool all, struct error **err);
int net_remove_adopted(const struct net_names *names, const char *run_dir, struct error **err);

/* publish.c */
int net_remove_publish(const struct net_names *names, const char *run_dir, struct error **err);

/* pasta.c */
struct net_transit;
bool net_pasta_installed(void);
bool net_pasta_lives(const char *run_dir);
int net_make_pasta(struct net *net, const struct net_transit *transit, struct error **err);
int net_end_pasta(const char *run_dir, struct error **err);

#endif
