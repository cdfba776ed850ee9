/*
 * Isolation of guests that libvirt plugs into bridges of its own. Nothing there is nestvisor's, so there are no more
 * rules than those for the guests that are held, in two tables of the lab's name:
 *
 *   tap ──▶ bridge prerouting: nothing of ports that nobody knows and of the sealed; of the cut nothing by another MAC
 * address than the domain's ├─ bridge forward: to neighbours of the lab alone, as far as the guest may have those └─
 * bridge input, where what leaves the bridge is marked; then inet prerouting: nothing for elsewhere; inet input:
 * answers to what this machine began, and its address (DHCP, neighbour discovery); inet forward: nothing what comes
 * through this machine from elsewhere is marked in inet forward and again in inet postrouting; bridge output keeps that
 * from the taps of guests that are held
 *
 * Others may change marks in between (wg-quick's table does, and CONNMARK without a mask). So a guest is known by its
 * tap wherever rules see that, and behind the bridge by its MAC address; a mark alone decides only of what is routed
 * back into the bridge that it came from, which br_netfilter shows in the same way as what is only bridged.
 *
 * A held guest is known by its tap and by its MAC address. When its domain is started anew both may be others, so a
 * port of such a bridge that nobody knows passes nothing (set "ports") until libvirt has been asked whose it is
 * (apply/adopted_watch.h). Every chain comes before those of others
 * (libvirt's among them), whose "accept" counts for nothing: a packet that is dropped here is dropped. Flows that a
 * flowtable of nft's forwards pass no chain at all.
 */
#include "net/net_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "model/isolation.h"
#include "model/lab.h"
#include "net/ruleset.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Bits of the packet's mark, the highest: others count theirs from below. */
#define RISEN	"0x08000000" /* it is held, and left the bridge: this machine receives or routes it */
#define FOREIGN "0x80000000" /* it came through this machine */

void net_set_adopted(struct net *net, const struct net_adopted_nic *nics, size_t count)
{
	pthread_mutex_lock(&net->mutex);
	net->adopted = nics;
	net->adopted_count = count;
	pthread_mutex_unlock(&net->mutex);
}

void net_set_adopted_others(struct net *net, const char *const *taps, size_t count)
{
	pthread_mutex_lock(&net->mutex);
	net->others = taps;
	net->other_count = count;
	pthread_mutex_unlock(&net->mutex);
}

struct adopted_rules {
	struct ruleset set;
	char inet[96], bridge[96];
	const char *tables[3];
	char *record;
};

static void begin_rules(struct adopted_rules *rules, const struct net_names *names, const char *run_dir)
{
	snprintf(rules->inet, sizeof(rules->inet), "inet %s/adopted", names->netns);
	snprintf(rules->bridge, sizeof(rules->bridge), "bridge %s/adopted", names->netns);
	rules->tables[0] = rules->inet;
	rules->tables[1] = rules->bridge;
	rules->tables[2] = NULL;
	rules->record = net_file(run_dir, "rules", ".adopted", "");
	rules->set = (struct ruleset){.netns = -1, .tables = rules->tables, .record = rules->record, .shared = true};
}

/* ─── text ─── */

enum hold { HOLD_NOT, HOLD_CUT, HOLD_SEALED };

static enum hold hold_of(const struct isolation_effect *effect)
{
	if (effect->open_ms > 0)
		return HOLD_NOT;
	return effect->world == WORLD_SEALED ? HOLD_SEALED : effect->world == WORLD_CUT ? HOLD_CUT : HOLD_NOT;
}

/* What becomes part of the rules' text is of libvirt's XML: nothing but what a name of an interface can well be. */
static bool is_name(const char *name)
{
	static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-";

	return name && *name && strlen(name) < INTERFACE_NAME_SIZE && name[strspn(name, good)] == '\0';
}

struct writer {
	const struct net *net;
	const struct isolation *isolation;
	struct strbuf *out;
	const struct link *links; /* of this machine */
	size_t link_count;
};

/* Which NICs an element is written for. */
typedef bool (*chooser)(enum hold hold, const struct isolation_effect *effect);

static bool is_cut(enum hold hold, const struct isolation_effect *effect)
{
	return hold == HOLD_CUT;
}

static bool is_sealed(enum hold hold, const struct isolation_effect *effect)
{
	return hold == HOLD_SEALED;
}

static bool is_held(enum hold hold, const struct isolation_effect *effect)
{
	return hold != HOLD_NOT;
}

static bool is_alone(enum hold hold, const struct isolation_effect *effect)
{
	return hold == HOLD_CUT && effect->neighbours == NEIGHBOURS_DROP;
}

static bool is_strict(enum hold hold, const struct isolation_effect *effect)
{
	return hold == HOLD_CUT && effect->neighbours == NEIGHBOURS_CUT;
}

static bool is_any(enum hold hold, const struct isolation_effect *effect)
{
	return true;
}

static void put_element(const struct net_adopted_nic *nic, bool taps, struct strbuf *out)
{
	char mac[MAC_TEXT_SIZE];

	if (taps)
		strbuf_printf(out, "\"%s\"", nic->device);
	else
		strbuf_add(out, mac_format(nic->mac, mac));
}

/* A set of taps, or of MAC addresses, of the chosen; an empty one is no set of nft's to fill. */
static void put_set(const struct writer *w, const char *name, bool taps, chooser choose)
{
	size_t count = 0;

	strbuf_printf(w->out, "\tset %s {\n\t\ttype %s\n", name, taps ? "ifname" : "ether_addr");
	for (size_t i = 0; i < w->net->adopted_count; i++) {
		const struct net_adopted_nic *nic = &w->net->adopted[i];
		struct isolation_effect effect = isolation_effect(w->isolation, nic->guest);

		if (!choose(hold_of(&effect), &effect) || nic->passed || (taps && !is_name(nic->device)))
			continue;
		strbuf_add(w->out, count++ ? ", " : "\t\telements = { ");
		put_element(nic, taps, w->out);
	}
	strbuf_add(w->out, count ? " }\n\t}\n" : "\t}\n");
}

/* A rule for what comes by one of the taps, and one for what has one of the MAC addresses. */
static void put_from(struct strbuf *out, const char *set, const char *rest)
{
	strbuf_printf(out, "\t\tiifname @%s_taps %s\n", set, rest);
	strbuf_printf(out, "\t\tether saddr @%s_macs %s\n", set, rest);
}

static bool is_held_nic(const struct writer *w, const struct net_adopted_nic *nic)
{
	struct isolation_effect effect = isolation_effect(w->isolation, nic->guest);

	return hold_of(&effect) != HOLD_NOT && is_name(nic->bridge);
}

/* Of the NICs that are held; `pairs`: each with itself, which is where a packet that is only bridged comes from and
 * goes to. Others may have those bits in marks of theirs: what goes through none of these bridges is not looked at. */
static void put_bridges(const struct writer *w, const char *name, bool pairs)
{
	const struct net *net = w->net;
	size_t count = 0;

	strbuf_printf(w->out, "\tset %s {\n\t\ttype %s\n", name, pairs ? "ifname . ifname" : "ifname");
	for (size_t i = 0; i < net->adopted_count; i++) {
		const char *bridge = net->adopted[i].bridge;
		bool skip = !is_held_nic(w, &net->adopted[i]);

		for (size_t j = 0; j < i && !skip; j++)
			skip = is_held_nic(w, &net->adopted[j]) && strcmp(net->adopted[j].bridge, bridge) == 0;
		if (skip)
			continue;
		strbuf_printf(w->out, "%s\"%s\"", count++ ? ", " : "\t\telements = { ", bridge);
		if (pairs)
			strbuf_printf(w->out, " . \"%s\"", bridge);
	}
	strbuf_add(w->out, count ? " }\n\t}\n" : "\t}\n");
}

static const struct link *find_index(const struct link *links, size_t count, int index)
{
	for (size_t i = 0; i < count; i++)
		if (links[i].index == index)
			return &links[i];
	return NULL;
}

/* libvirt's taps have the MAC address of their NIC behind 0xfe, before they are plugged in. */
static bool is_libvirts(const struct link *link)
{
	return strcmp(link->kind, "tun") == 0 && link->mac[0] == 0xfe;
}

/* Whose it is; or nobody of libvirt's, who could be held. */
static bool is_known_port(const struct writer *w, const struct link *link)
{
	const struct net *net = w->net;

	if (!is_libvirts(link) || !net->others)
		return true;
	for (size_t i = 0; i < net->adopted_count; i++)
		if (net->adopted[i].device && strcmp(net->adopted[i].device, link->name) == 0)
			return true;
	for (size_t i = 0; i < net->other_count; i++)
		if (strcmp(net->others[i], link->name) == 0)
			return true;
	return false;
}

/* Whether libvirt has named it, which counts up for all bridges: nft may not be able to tell a port's bridge
 * (nft_meta_bridge is not in every kernel). */
static bool is_named_by_libvirt(const struct link *link)
{
	return strncmp(link->name, "vnet", 4) == 0;
}

/* A domain that is started anew has a new tap, and may have another MAC address: what nobody knows passes nothing. */
static void put_ports(const struct writer *w)
{
	size_t count = 0;

	strbuf_add(w->out, "\tset ports {\n\t\ttype ifname\n");
	for (size_t i = 0; i < w->link_count; i++)
		if (is_named_by_libvirt(&w->links[i]) && is_known_port(w, &w->links[i]) && is_name(w->links[i].name))
			strbuf_printf(w->out, "%s\"%s\"", count++ ? ", " : "\t\telements = { ", w->links[i].name);
	strbuf_add(w->out, count ? " }\n\t}\n" : "\t}\n");
}

static void put_bridge_table(const struct writer *w, const char *table)
{
	static const struct {
		const char *name;
		chooser choose;
	} sets[] = {{"cut", is_cut}, {"sealed", is_sealed}, {"alone", is_alone}, {"strict", is_strict}};
	struct strbuf *out = w->out;

	strbuf_printf(out, "table %s {\n", table);
	for (size_t i = 0; i < sizeof(sets) / sizeof(*sets); i++) {
		char name[32];

		snprintf(name, sizeof(name), "%s_taps", sets[i].name);
		put_set(w, name, true, sets[i].choose);
		snprintf(name, sizeof(name), "%s_macs", sets[i].name);
		put_set(w, name, false, sets[i].choose);
	}
	put_set(w, "lab_taps", true, is_any);
	put_set(w, "held_taps", true, is_held);
	put_ports(w);
	strbuf_add(out, "\tchain prerouting {\n\t\ttype filter hook prerouting priority -350\n"
			"\t\tiifname \"vnet*\" iifname != @ports drop\n");
	put_from(out, "sealed", "drop");
	/* behind the bridge it is known by its address alone */
	strbuf_add(out, "\t\tiifname @cut_taps ether saddr != @cut_macs drop\n");
	/* a VLAN device on the bridge would be another way up than the bridge */
	put_from(out, "cut", "ether type { 8021q, 8021ad } drop");
	strbuf_add(out, "\t}\n\tchain forward {\n\t\ttype filter hook forward priority -350\n"
			"\t\toifname \"vnet*\" oifname != @ports drop\n"
			"\t\toifname @sealed_taps drop\n"
			"\t\tether daddr @sealed_macs drop\n");
	put_from(out, "alone", "drop");
	strbuf_add(out, "\t\toifname @alone_taps drop\n");
	put_from(out, "strict", "oifname != @held_taps drop");
	strbuf_add(out, "\t\tiifname != @held_taps oifname @strict_taps drop\n");
	put_from(out, "cut", "oifname != @lab_taps drop");
	strbuf_add(out, "\t\tiifname != @lab_taps oifname @cut_taps drop\n"
			"\t}\n\tchain input {\n\t\ttype filter hook input priority -350\n");
	put_from(out, "cut", "meta mark set meta mark | " RISEN);
	strbuf_add(out, "\t}\n\tchain output {\n\t\ttype filter hook output priority -350\n"
			"\t\toifname \"vnet*\" oifname != @ports drop\n"
			"\t\toifname @sealed_taps drop\n\t\tether daddr @sealed_macs drop\n"
			"\t\tmeta mark & " FOREIGN " == " FOREIGN " oifname @cut_taps drop\n"
			"\t\tmeta mark & " FOREIGN " == " FOREIGN " ether daddr @cut_macs drop\n"
			"\t}\n}\n");
}

static void put_inet_table(const struct writer *w, const char *table)
{
	struct strbuf *out = w->out;

	strbuf_printf(out, "table %s {\n", table);
	put_bridges(w, "bridges", false);
	put_bridges(w, "bridged", true);
	put_set(w, "cut_macs", false, is_cut);
	strbuf_add(out, "\tchain held {\n"
			"\t\tct state established,related ct direction reply return\n"
			"\t\tudp sport 68 udp dport 67 return\n"
			"\t\ticmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } return\n"
			"\t\tdrop\n\t}\n"
			/* before others may touch the mark */
			"\tchain prerouting {\n\t\ttype filter hook prerouting priority -350\n"
			"\t\tiifname @bridges meta mark & " RISEN " == " RISEN " fib daddr type unicast drop\n\t}\n"
			"\tchain input {\n\t\ttype filter hook input priority -350\n"
			"\t\tiifname @bridges meta mark & " RISEN " == " RISEN " jump held\n"
			"\t\tiifname @bridges ether saddr @cut_macs jump held\n\t}\n"
			"\tchain forward {\n\t\ttype filter hook forward priority -350\n"
			"\t\tiifname @bridges meta mark & " RISEN " == " RISEN " drop\n"
			"\t\tiifname . oifname != @bridged iifname @bridges ether saddr @cut_macs drop\n"
			"\t\toifname @bridges meta mark set meta mark | " FOREIGN "\n\t}\n"
			/* once more behind others' mangling, and before addresses become this machine's */
			"\tchain postrouting {\n\t\ttype filter hook postrouting priority -140\n"
			"\t\toifname @bridges fib saddr type unicast meta mark set meta mark | " FOREIGN "\n\t}\n}\n");
}

/* Empty where nobody is held. */
static int format_rules(struct net *net, const struct isolation *isolation, const struct adopted_rules *rules,
			struct strbuf *out, struct error **err)
{
	cleanup_free struct link *links = NULL;
	struct writer w = {.net = net, .isolation = isolation, .out = out};
	struct netlink *root;
	bool any = false;
	int r;

	strbuf_add(out, "");
	for (size_t i = 0; i < net->adopted_count && !any; i++) {
		struct isolation_effect effect = isolation_effect(isolation, net->adopted[i].guest);

		any = hold_of(&effect) != HOLD_NOT;
	}
	if (!any)
		return 0;
	r = net_root(net, &root, err);
	if (r == 0)
		r = link_list(root, &links, &w.link_count, err);
	if (r < 0)
		return r;
	w.links = links;
	put_bridge_table(&w, rules->bridge);
	put_inet_table(&w, rules->inet);
	return 0;
}

int net_has_unknown_ports(struct net *net, bool *ret, struct error **err)
{
	cleanup_free struct link *links = NULL;
	struct writer w = {.net = net, .isolation = net->isolation};
	struct netlink *root;
	int r;

	*ret = false;
	pthread_mutex_lock(&net->mutex);
	r = net_root(net, &root, err);
	if (r == 0)
		r = link_list(root, &links, &w.link_count, err);
	w.links = links;
	for (size_t i = 0; r == 0 && i < w.link_count; i++)
		*ret |= is_named_by_libvirt(&links[i]) && !is_known_port(&w, &links[i]);
	pthread_mutex_unlock(&net->mutex);
	return r;
}

/* A kernel or nftables that cannot list them has none. */
char *net_find_flowtable(void)
{
	static const char word[] = "flowtable ";
	cleanup_free char *text = NULL;
	const char *at = ruleset_list(-1, "list flowtables", &text, NULL) == 0 ? strstr(text, word) : NULL;

	return at ? strndup(at + strlen(word), strcspn(at + strlen(word), " \n")) : NULL;
}

/* ─── what cannot be held ─── */

static const struct link *find_link(const struct link *links, size_t count, const char *name)
{
	for (size_t i = 0; name && i < count; i++)
		if (strcmp(links[i].name, name) == 0)
			return &links[i];
	return NULL;
}

static const struct link *find_tap(const struct link *links, size_t count, const uint8_t mac[6])
{
	for (size_t i = 0; i < count; i++)
		if (links[i].mac[0] == 0xfe && memcmp(links[i].mac + 1, mac + 1, 5) == 0 && links[i].master &&
		    strcmp(links[i].kind, "tun") == 0)
			return &links[i];
	return NULL;
}

int net_find_adopted(struct net *net, struct arena *arena, struct net_adopted_nic *nics, size_t count,
		     struct error **err)
{
	cleanup_free struct link *links = NULL;
	struct netlink *root;
	size_t link_count = 0;
	int r;

	pthread_mutex_lock(&net->mutex);
	r = net_root(net, &root, err);
	if (r == 0)
		r = link_list(root, &links, &link_count, err);
	pthread_mutex_unlock(&net->mutex);
	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct link *tap = nics[i].passed ? NULL : find_tap(links, link_count, nics[i].mac);
		const struct link *bridge = tap ? find_index(links, link_count, tap->master) : NULL;

		nics[i].running = tap != NULL;
		nics[i].device = tap ? arena_strdup(arena, tap->name) : NULL;
		nics[i].bridge = bridge ? arena_strdup(arena, bridge->name) : nics[i].bridge;
	}
	return r;
}

static int refuse(const struct net_adopted_nic *nic, const char *why, struct error **err)
{
	int r = error_set(err, EOPNOTSUPP, "%s cannot be held: %s", nic->guest->path, why);

	error_hint(err, "take that away, or plug the NIC into a network of libvirt's with a bridge: virsh edit %s",
		   nic->guest->adopted);
	return r;
}

/* Where its domain runs: rules of bridges see what goes through bridges of the kernel's. */
static const char *why_not_plugged(const struct net_adopted_nic *nic, const struct link *links, size_t count)
{
	const struct link *tap = find_link(links, count, nic->device);
	const struct link *master = tap ? find_index(links, count, tap->master) : NULL;

	if (!tap)
		return "not in the network namespace that nestvisor runs in";
	if (!master)
		return "not plugged into a bridge here";
	if (strcmp(master->kind, "bridge") != 0 || strcmp(tap->kind, "tun") != 0)
		return "not a tap on a bridge of the kernel's";
	return strcmp(master->name, nic->bridge) == 0 ? NULL : "plugged into another bridge than libvirt says";
}

static int check_nic(const struct net_adopted_nic *nic, const struct link *links, size_t count, struct error **err)
{
	const struct link *bridge = find_link(links, count, nic->bridge);
	const char *not_plugged;
	char why[160];

	if (nic->passed)
		snprintf(why, sizeof(why), "it has %.80s, past this machine's bridges", nic->passed);
	else if (strcmp(nic->type, "network") != 0 && strcmp(nic->type, "bridge") != 0)
		snprintf(why, sizeof(why), "its NIC of type %.40s sends past this machine's bridges", nic->type);
	else if (!nic->bridge)
		snprintf(why, sizeof(why), "its network has no bridge on this machine");
	else if (!is_name(nic->bridge) || (nic->device && !is_name(nic->device)))
		snprintf(why, sizeof(why), "its NIC has a tap or a bridge of a name that no rule can have");
	else if (bridge && strcmp(bridge->kind, "bridge") != 0)
		snprintf(why, sizeof(why), "its NIC is for %.16s, which is no bridge of the kernel's", nic->bridge);
	else if (nic->running && (not_plugged = why_not_plugged(nic, links, count)))
		snprintf(why, sizeof(why), "its NIC %.16s is %s", nic->device ? nic->device : "", not_plugged);
	else
		return 0;
	return refuse(nic, why, err);
}

/* guest NULL: each that is to be held. */
static int check_nics(struct net *net, const struct isolation *isolation, const struct guest *guest, struct error **err)
{
	cleanup_free struct link *links = NULL;
	struct netlink *root;
	size_t count = 0;
	int r = net_root(net, &root, err);

	if (r == 0)
		r = link_list(root, &links, &count, err);
	for (size_t i = 0; r == 0 && i < net->adopted_count; i++) {
		struct isolation_effect effect = isolation_effect(isolation, net->adopted[i].guest);

		if (effect.world == WORLD_OPEN || (guest && guest != net->adopted[i].guest))
			continue;
		if (effect.open_ms > 0 || effect.allowed_count)
			return error_set(
				err, EOPNOTSUPP,
				"%s is adopted: it can be cut, sealed and opened, and neither opened for a while nor "
				"cut with something allowed",
				net->adopted[i].guest->path);
		r = check_nic(&net->adopted[i], links, count, err);
	}
	return r;
}

static int check_known(const struct net *net, struct error **err)
{
	return net->adopted ? 0 : error_set(err, ENODATA, "what libvirt has of lab %s is not known", net->lab->name);
}

int net_check_adopted(struct net *net, const struct isolation *isolation, bool *ret_same, struct error **err)
{
	cleanup_strbuf struct strbuf text = {0};
	struct adopted_rules rules;
	int r = check_known(net, err);

	if (r < 0)
		return r;
	begin_rules(&rules, &net->names, net->run_dir);
	r = format_rules(net, isolation, &rules, &text, err);
	if (r < 0)
		;
	else if (text.length)
		r = ruleset_check(&rules.set, text.text, ret_same, err);
	else
		*ret_same = access(rules.record, F_OK) < 0;
	free(rules.record);
	if (r == 0 && *ret_same) /* whoever is not held as was said */
		*ret_same = check_nics(net, isolation, NULL, NULL) == 0;
	return r;
}

int net_load_adopted(struct net *net, const struct isolation *isolation, bool all, struct error **err)
{
	cleanup_strbuf struct strbuf text = {0};
	struct adopted_rules rules;
	int r = check_known(net, err);

	if (r < 0)
		return r;
	begin_rules(&rules, &net->names, net->run_dir);
	r = format_rules(net, isolation, &rules, &text, err);
	if (r == 0)
		r = text.length ? ruleset_load(&rules.set, text.text, NULL, err) : ruleset_remove(&rules.set, err);
	free(rules.record);
	return r == 0 && all ? check_nics(net, isolation, NULL, err) : r;
}

int net_remove_adopted(const struct net_names *names, const char *run_dir, struct error **err)
{
	struct adopted_rules rules;
	int r;

	begin_rules(&rules, names, run_dir);
	r = access(rules.record, F_OK) == 0 ? ruleset_remove(&rules.set, err) : 0;
	free(rules.record);
	return r;
}

int net_can_hold(struct net *net, const struct isolation *isolation, const struct guest *guest, struct error **err)
{
	int r = 0;

	if (!net->lab->adopted)
		return 0;
	pthread_mutex_lock(&net->mutex);
	r = check_known(net, err);
	if (r == 0)
		r = check_nics(net, isolation, guest, err);
	pthread_mutex_unlock(&net->mutex);
	return r;
}
