/*
 * Sysctls of networking. Those of each interface come with the links (IFLA_AF_SPEC: the kernel's own arrays); the rest
 * are files below /proc/sys/net, which show the namespace of the thread that reads them. Only what decides about
 * packets is read, and no secret (tcp_fastopen_key, stable_secret).
 *
 * linux/ip.h, linux/ipv6.h: IPV4_DEVCONF_*, DEVCONF_*; the kernel's Documentation/networking/ip-sysctl.rst.
 */
#include "facts/live_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOT "/proc/sys/net"

enum { VALUE_SIZE = 4096 };

/* Linux 6.17; older headers lack it. */
enum { DEVCONF_NUMBER_FORCE_FORWARDING = DEVCONF_ACCEPT_UNTRACKED_NA + 2 };

struct devconf {
	unsigned index; /* in the kernel's array */
	const char *name;
};

/* Numbered from 1; the array begins with the first. */
static const struct devconf devconf4[] = {
	{IPV4_DEVCONF_FORWARDING, "forwarding"},
	{IPV4_DEVCONF_MC_FORWARDING, "mc_forwarding"},
	{IPV4_DEVCONF_BC_FORWARDING, "bc_forwarding"},
	{IPV4_DEVCONF_RP_FILTER, "rp_filter"},
	{IPV4_DEVCONF_SRC_VMARK, "src_valid_mark"},
	{IPV4_DEVCONF_ACCEPT_LOCAL, "accept_local"},
	{IPV4_DEVCONF_ROUTE_LOCALNET, "route_localnet"},
	{IPV4_DEVCONF_PROXY_ARP, "proxy_arp"},
	{IPV4_DEVCONF_PROXY_ARP_PVLAN, "proxy_arp_pvlan"},
	{IPV4_DEVCONF_ARPFILTER, "arp_filter"},
	{IPV4_DEVCONF_ARP_IGNORE, "arp_ignore"},
	{IPV4_DEVCONF_ARP_ANNOUNCE, "arp_announce"},
	{IPV4_DEVCONF_ARP_ACCEPT, "arp_accept"},
	{IPV4_DEVCONF_ARP_NOTIFY, "arp_notify"},
	{IPV4_DEVCONF_ACCEPT_REDIRECTS, "accept_redirects"},
	{IPV4_DEVCONF_SECURE_REDIRECTS, "secure_redirects"},
	{IPV4_DEVCONF_SEND_REDIRECTS, "send_redirects"},
	{IPV4_DEVCONF_SHARED_MEDIA, "shared_media"},
	{IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE, "accept_source_route"},
	{IPV4_DEVCONF_LOG_MARTIANS, "log_martians"},
	{IPV4_DEVCONF_MEDIUM_ID, "medium_id"},
	{IPV4_DEVCONF_NOPOLICY, "disable_policy"},
	{IPV4_DEVCONF_NOXFRM, "disable_xfrm"},
	{IPV4_DEVCONF_PROMOTE_SECONDARIES, "promote_secondaries"},
	{IPV4_DEVCONF_IGNORE_ROUTES_WITH_LINKDOWN, "ignore_routes_with_linkdown"},
	{IPV4_DEVCONF_DROP_UNICAST_IN_L2_MULTICAST, "drop_unicast_in_l2_multicast"},
	{IPV4_DEVCONF_DROP_GRATUITOUS_ARP, "drop_gratuitous_arp"},
};

/* Numbered from 0. */
static const struct devconf devconf6[] = {
	{DEVCONF_FORWARDING, "forwarding"},
	{DEVCONF_NUMBER_FORCE_FORWARDING, "force_forwarding"},
	{DEVCONF_MC_FORWARDING, "mc_forwarding"},
	{DEVCONF_DISABLE_IPV6, "disable_ipv6"},
	{DEVCONF_ACCEPT_RA, "accept_ra"},
	{DEVCONF_ACCEPT_RA_DEFRTR, "accept_ra_defrtr"},
	{DEVCONF_ACCEPT_RA_PINFO, "accept_ra_pinfo"},
	{DEVCONF_ACCEPT_RA_FROM_LOCAL, "accept_ra_from_local"},
	{DEVCONF_AUTOCONF, "autoconf"},
	{DEVCONF_USE_TEMPADDR, "use_tempaddr"},
	{DEVCONF_ADDR_GEN_MODE, "addr_gen_mode"},
	{DEVCONF_ACCEPT_DAD, "accept_dad"},
	{DEVCONF_PROXY_NDP, "proxy_ndp"},
	{DEVCONF_NDISC_NOTIFY, "ndisc_notify"},
	{DEVCONF_DROP_UNSOLICITED_NA, "drop_unsolicited_na"},
	{DEVCONF_ACCEPT_REDIRECTS, "accept_redirects"},
	{DEVCONF_ACCEPT_SOURCE_ROUTE, "accept_source_route"},
	{DEVCONF_SEG6_ENABLED, "seg6_enabled"},
	{DEVCONF_RPL_SEG_ENABLED, "rpl_seg_enabled"},
	{DEVCONF_DISABLE_POLICY, "disable_policy"},
	{DEVCONF_KEEP_ADDR_ON_DOWN, "keep_addr_on_down"},
	{DEVCONF_USE_OIF_ADDRS_ONLY, "use_oif_addrs_only"},
	{DEVCONF_IGNORE_ROUTES_WITH_LINKDOWN, "ignore_routes_with_linkdown"},
	{DEVCONF_DROP_UNICAST_IN_L2_MULTICAST, "drop_unicast_in_l2_multicast"},
	{DEVCONF_MTU6, "mtu"},
	{DEVCONF_HOPLIMIT, "hop_limit"},
};

/* Those that are there once. What a part of the kernel brings that is not loaded is absent: that, too, is a fact. */
static const char *const single[] = {
	"bridge/bridge-nf-call-arptables",
	"bridge/bridge-nf-call-ip6tables",
	"bridge/bridge-nf-call-iptables",
	"bridge/bridge-nf-filter-pppoe-tagged",
	"bridge/bridge-nf-filter-vlan-tagged",
	"bridge/bridge-nf-pass-vlan-input-dev",
	"core/devconf_inherit_init_net",
	"core/default_qdisc",
	"ipv4/fib_multipath_hash_policy",
	"ipv4/fib_multipath_use_neigh",
	"ipv4/fwmark_reflect",
	"ipv4/icmp_echo_ignore_all",
	"ipv4/icmp_echo_ignore_broadcasts",
	"ipv4/icmp_errors_use_inbound_ifaddr",
	"ipv4/icmp_ratelimit",
	"ipv4/icmp_ratemask",
	"ipv4/ip_default_ttl",
	"ipv4/ip_early_demux",
	"ipv4/ip_forward",
	"ipv4/ip_forward_use_pmtu",
	"ipv4/ip_local_port_range",
	"ipv4/ip_local_reserved_ports",
	"ipv4/ip_no_pmtu_disc",
	"ipv4/ip_nonlocal_bind",
	"ipv4/ip_unprivileged_port_start",
	"ipv4/neigh/default/gc_thresh1",
	"ipv4/neigh/default/gc_thresh2",
	"ipv4/neigh/default/gc_thresh3",
	"ipv4/nexthop_compat_mode",
	"ipv4/raw_l3mdev_accept",
	"ipv4/tcp_fwmark_accept",
	"ipv4/tcp_l3mdev_accept",
	"ipv4/tcp_mtu_probing",
	"ipv4/tcp_syncookies",
	"ipv4/udp_l3mdev_accept",
	"ipv6/bindv6only",
	"ipv6/fib_multipath_hash_policy",
	"ipv6/fwmark_reflect",
	"ipv6/icmp/echo_ignore_all",
	"ipv6/icmp/echo_ignore_anycast",
	"ipv6/icmp/echo_ignore_multicast",
	"ipv6/icmp/ratelimit",
	"ipv6/icmp/ratemask",
	"ipv6/ip_nonlocal_bind",
	"ipv6/neigh/default/gc_thresh1",
	"ipv6/neigh/default/gc_thresh2",
	"ipv6/neigh/default/gc_thresh3",
	"netfilter/nf_conntrack_acct",
	"netfilter/nf_conntrack_buckets",
	"netfilter/nf_conntrack_checksum",
	"netfilter/nf_conntrack_count",
	"netfilter/nf_conntrack_generic_timeout",
	"netfilter/nf_conntrack_helper",
	"netfilter/nf_conntrack_icmp_timeout",
	"netfilter/nf_conntrack_icmpv6_timeout",
	"netfilter/nf_conntrack_max",
	"netfilter/nf_conntrack_tcp_be_liberal",
	"netfilter/nf_conntrack_tcp_ignore_invalid_rst",
	"netfilter/nf_conntrack_tcp_loose",
	"netfilter/nf_conntrack_tcp_timeout_established",
	"netfilter/nf_conntrack_udp_timeout",
	"netfilter/nf_conntrack_udp_timeout_stream",
};

static void add(struct live *live, const char *name, const char *value, const char *source)
{
	*arena_push(live->pool->arena, live->facts->sysctls, live->facts->sysctl_count) =
		(struct sysctl){name, value, {.source = source}};
}

/* A dot in an interface's name becomes a slash, as sysctl(8) prints it. */
static const char *name_of(struct live *live, const char *family, const char *interface, const char *key)
{
	char *name = arena_printf(live->pool->arena, "net.%s.conf.%s.%s", family, interface, key);
	char *at = name + strlen("net..conf.") + strlen(family), *end = at + strlen(interface);

	for (; at < end; at++)
		if (*at == '.')
			*at = '/';
	return name;
}

static void add_settings(struct live *live, const char *family, const char *interface, const struct devconf *names,
			 size_t count, const struct nlattr *array, unsigned first)
{
	const int32_t *values = array ? mnl_attr_get_payload(array) : NULL;
	size_t length = array ? mnl_attr_get_payload_len(array) / sizeof(*values) : 0;
	char text[16];

	for (size_t i = 0; i < count; i++) {
		if (names[i].index - first >= length)
			continue;
		snprintf(text, sizeof(text), "%d", values[names[i].index - first]);
		add(live, name_of(live, family, interface, names[i].name), pool_text(live->pool, text), LIVE_ROUTE);
	}
}

void live_link_sysctls(struct live *live, const char *interface, const struct nlattr *af_spec)
{
	const struct nlattr *families[AF_INET6 + 1], *a[IFLA_INET6_MAX + 1];

	netlink_nested(af_spec, families, AF_INET6);
	netlink_nested(families[AF_INET], a, IFLA_INET_CONF);
	add_settings(live, "ipv4", interface, devconf4, sizeof(devconf4) / sizeof(*devconf4), a[IFLA_INET_CONF],
		     IPV4_DEVCONF_FORWARDING);
	netlink_nested(families[AF_INET6], a, IFLA_INET6_MAX);
	add_settings(live, "ipv6", interface, devconf6, sizeof(devconf6) / sizeof(*devconf6), a[IFLA_INET6_CONF],
		     DEVCONF_FORWARDING);
}

/* "ipv4/conf/all/rp_filter": a path below ROOT. */
static const char *dotted(struct live *live, const char *path)
{
	char *name = arena_printf(live->pool->arena, "net.%s", path);

	for (char *c = name; *c; c++)
		if (*c == '/')
			*c = '.';
	return name;
}

static void read_one(struct live *live, int root, const char *path)
{
	struct facts *facts = live->facts;
	struct arena *arena = live->pool->arena;
	char value[VALUE_SIZE];
	int fd = openat(root, path, O_RDONLY | O_CLOEXEC), code = errno;
	ssize_t length = 0;

	if (fd >= 0) {
		length = read(fd, value, sizeof(value));
		code = errno;
		close(fd);
	}
	if (fd >= 0 && length >= 0)
		add(live, dotted(live, path), pool_intern(live->pool, span_trim((struct span){value, (size_t)length})),
		    pool_text(live->pool, arena_printf(arena, ROOT "/%s", path)));
	else if (code == ENOENT)
		texts_push(arena, &facts->sysctls_absent, &facts->sysctls_absent_count, dotted(live, path));
	else
		live_unknown(live, ROOT, dotted(live, path), "%s: %s", path, strerror(code));
}

static void read_conf(struct live *live, int root, const char *family, const struct devconf *names, size_t count)
{
	static const char *const interfaces[] = {"all", "default"};
	char path[128];

	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < count; j++) {
			snprintf(path, sizeof(path), "%s/conf/%s/%s", family, interfaces[i], names[j].name);
			read_one(live, root, path);
		}
}

void live_sysctls(struct live *live)
{
	int root = open(ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct facts *facts = live->facts;
	size_t before = facts->sysctl_count;

	if (root < 0) {
		live_unknown(live, ROOT, "sysctl net", "sysctls: %s", strerror(errno));
		return;
	}
	for (size_t i = 0; i < sizeof(single) / sizeof(*single); i++)
		read_one(live, root, single[i]);
	read_conf(live, root, "ipv4", devconf4, sizeof(devconf4) / sizeof(*devconf4));
	read_conf(live, root, "ipv6", devconf6, sizeof(devconf6) / sizeof(*devconf6));
	close(root);
	if (facts->sysctls_known == TRUTH_UNKNOWN)
		facts->sysctls_known = TRUTH_NO; /* there are others */
	live_capture(live, ROOT, "sysctl net")->items = (uint32_t)(facts->sysctl_count - before);
}
