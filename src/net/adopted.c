/*
 * Isolation of guests that libvirt plugs into bridges of its own. Nothing there is nestvisor's, so there are no more
 * rules than those for the guests that are held, in two tables of the lab's name:
 *
 *   tap ──▶ bridge prerouting: a mark says how the guest is held
 *            ├─ bridge forward: to neighbours of the lab alone, as far as the guest may have those
 *            └─ bridge input, where what leaves the bridge is marked once more (br_netfilter, where it is loaded, shows
 *               bridged packets to inet forward, too); then, to this machine itself: inet input, answers to what this
 * machine began, and its address (DHCP, neighbour discovery); inet forward: nothing inet forward marks what comes in
 * from elsewhere; bridge output keeps that from the taps of guests that are held
 *
 * A held guest is known by its tap and, so that it is held from its first packet on when its domain is started anew
 * with another tap, by its MAC address. Every chain comes before those of others (libvirt's among them), whose "accept"
 * counts for nothing: a packet that is dropped here is dropped.
 */
#include "net/net_internal.h"

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
#define HELD	"0x10000000"
#define ALONE	"0x20000000" /* neighbours: drop */
#define STRICT	"0x40000000" /* neighbours: those that are held, too */
#define RISEN	"0x08000000" /* it is held, and left the bridge: this machine receives or routes it */
#define FOREIGN "0x80000000" /* it came through this machine */

void net_set_adopted(struct net *net, const struct net_adopted_nic *nics, size_t count)
{
	pthread_mutex_lock(&net->mutex);
	net->adopted = nics;
	net->adopted_count = count;
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

struct writer {
	const struct net *net;
	const struct isolation *isolation;
	struct strbuf *out;
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

		if (!choose(hold_of(&effect), &effect) || (taps && !nic->device))
			continue;
		strbuf_add(w->out, count++ ? ", " : "\t\telements = { ");
		put_element(nic, taps, w->out);
	}
	strbuf_add(w->out, count ? " }\n\t}\n" : "\t}\n");
}

static void put_marking(struct strbuf *out, const char *set, const char *bit)
{
	strbuf_printf(out, "\t\tiifname @%s_taps meta mark set meta mark | %s\n", set, bit);
	strbuf_printf(out, "\t\tether saddr @%s_macs meta mark set meta mark | %s\n", set, bit);
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
	strbuf_add(out, "\tchain prerouting {\n\t\ttype filter hook prerouting priority -350\n"
			"\t\tiifname @sealed_taps drop\n\t\tether saddr @sealed_macs drop\n"
			/* a VLAN device on the bridge would be another way up than the bridge */
			"\t\tiifname @cut_taps ether type { 8021q, 8021ad } drop\n"
			"\t\tether saddr @cut_macs ether type { 8021q, 8021ad } drop\n");
	put_marking(out, "cut", HELD);
	put_marking(out, "alone", ALONE);
	put_marking(out, "strict", STRICT);
	strbuf_add(out, "\t}\n\tchain forward {\n\t\ttype filter hook forward priority -350\n"
			"\t\toifname @sealed_taps drop\n"
			"\t\tether daddr @sealed_macs drop\n"
			"\t\tmeta mark & " ALONE " == " ALONE " drop\n"
			"\t\toifname @alone_taps drop\n"
			"\t\tmeta mark & " STRICT " == " STRICT " oifname != @held_taps drop\n"
			"\t\tiifname != @held_taps oifname @strict_taps drop\n"
			"\t\tmeta mark & " HELD " == " HELD " oifname != @lab_taps drop\n"
			"\t\tiifname != @lab_taps oifname @cut_taps drop\n"
			"\t}\n\tchain input {\n\t\ttype filter hook input priority -350\n"
			"\t\tmeta mark & " HELD " == " HELD " meta mark set meta mark | " RISEN "\n"
			"\t}\n\tchain output {\n\t\ttype filter hook output priority -350\n"
			"\t\toifname @sealed_taps drop\n\t\tether daddr @sealed_macs drop\n"
			"\t\tmeta mark & " FOREIGN " == " FOREIGN " oifname @cut_taps drop\n"
			"\t\tmeta mark & " FOREIGN " == " FOREIGN " ether daddr @cut_macs drop\n"
			"\t}\n}\n");
}

/* Others may have those bits in marks of theirs: what goes through none of these bridges is not looked at. */
static void put_bridges(const struct writer *w)
{
	const struct net *net = w->net;
	size_t count = 0;

	strbuf_add(w->out, "\tset bridges {\n\t\ttype ifname\n");
	for (size_t i = 0; i < net->adopted_count; i++) {
		const char *bridge = net->adopted[i].bridge;
		bool known = !bridge;

		for (size_t j = 0; j < i && !known; j++)
			known = net->adopted[j].bridge && strcmp(net->adopted[j].bridge, bridge) == 0;
		if (!known)
			strbuf_printf(w->out, "%s\"%s\"", count++ ? ", " : "\t\telements = { ", bridge);
	}
	strbuf_add(w->out, count ? " }\n\t}\n" : "\t}\n");
}

static void put_inet_table(const struct writer *w, const char *table)
{
	strbuf_printf(w->out, "table %s {\n", table);
	put_bridges(w);
	strbuf_add(w->out, "\tchain held {\n"
			   "\t\tct state established,related ct direction reply return\n"
			   "\t\tudp sport 68 udp dport 67 return\n"
			   "\t\ticmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } return\n"
			   "\t\tdrop\n\t}\n"
			   "\tchain input {\n\t\ttype filter hook input priority -350\n"
			   "\t\tiifname @bridges meta mark & " RISEN " == " RISEN " jump held\n\t}\n"
			   "\tchain forward {\n\t\ttype filter hook forward priority -350\n"
			   "\t\tiifname @bridges meta mark & " RISEN " == " RISEN " drop\n"
			   "\t\toifname @bridges meta mark set meta mark | " FOREIGN "\n\t}\n}\n");
}

/* Empty where nobody is held. */
static void format_rules(const struct net *net, const struct isolation *isolation, const struct adopted_rules *rules,
			 struct strbuf *out)
{
	const struct writer w = {net, isolation, out};
	bool any = false;

	strbuf_add(out, "");
	for (size_t i = 0; i < net->adopted_count && !any; i++) {
		struct isolation_effect effect = isolation_effect(isolation, net->adopted[i].guest);

		any = hold_of(&effect) != HOLD_NOT;
	}
	if (!any)
		return;
	put_bridge_table(&w, rules->bridge);
	put_inet_table(&w, rules->inet);
}

/* ─── what cannot be held ─── */

static const struct link *find_link(const struct link *links, size_t count, const char *name)
{
	for (size_t i = 0; name && i < count; i++)
		if (strcmp(links[i].name, name) == 0)
			return &links[i];
	return NULL;
}

static const struct link *find_index(const struct link *links, size_t count, int index)
{
	for (size_t i = 0; i < count; i++)
		if (links[i].index == index)
			return &links[i];
	return NULL;
}

static int refuse(const struct net_adopted_nic *nic, const char *why, struct error **err)
{
	int r = error_set(err, EOPNOTSUPP, "%s cannot be held: %s", nic->guest->path, why);

	error_hint(err, "plug that NIC into a network of libvirt's, or take it away: virsh domif-setlink %s %s down",
		   nic->guest->adopted, nic->device ? nic->device : "MAC");
	return r;
}

/* Rules of bridges see what goes through bridges of the kernel's. */
static int check_nic(const struct net_adopted_nic *nic, const struct link *links, size_t count, struct error **err)
{
	const struct link *tap = find_link(links, count, nic->device);
	const struct link *master = tap ? find_index(links, count, tap->master) : NULL;
	char why[160];

	if (strcmp(nic->type, "network") != 0 && strcmp(nic->type, "bridge") != 0) {
		snprintf(why, sizeof(why), "its NIC of type %.40s sends past this machine's bridges", nic->type);
		return refuse(nic, why, err);
	}
	if (!nic->running)
		return 0;
	if (!master || strcmp(master->kind, "bridge") != 0 || strcmp(tap->kind, "tun") != 0) {
		snprintf(why, sizeof(why), "its NIC %.16s is %s", nic->device ? nic->device : "",
			 !tap	   ? "not in the network namespace that nestvisor runs in"
			 : !master ? "not plugged into a bridge here"
				   : "not a tap on a bridge of the kernel's");
		return refuse(nic, why, err);
	}
	return 0;
}

static int check_nics(struct net *net, const struct isolation *isolation, struct error **err)
{
	cleanup_free struct link *links = NULL;
	struct netlink *root;
	size_t count = 0;
	int r = net_root(net, &root, err);

	if (r == 0)
		r = link_list(root, &links, &count, err);
	for (size_t i = 0; r == 0 && i < net->adopted_count; i++) {
		struct isolation_effect effect = isolation_effect(isolation, net->adopted[i].guest);

		if (effect.world == WORLD_OPEN)
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
	format_rules(net, isolation, &rules, &text);
	if (text.length)
		r = ruleset_check(&rules.set, text.text, ret_same, err);
	else
		*ret_same = access(rules.record, F_OK) < 0;
	free(rules.record);
	return r;
}

int net_load_adopted(struct net *net, const struct isolation *isolation, struct error **err)
{
	cleanup_strbuf struct strbuf text = {0};
	struct adopted_rules rules;
	int r = check_known(net, err);

	if (r == 0)
		r = check_nics(net, isolation, err);
	if (r < 0)
		return r;
	begin_rules(&rules, &net->names, net->run_dir);
	format_rules(net, isolation, &rules, &text);
	r = text.length ? ruleset_load(&rules.set, text.text, NULL, err) : ruleset_remove(&rules.set, err);
	free(rules.record);
	return r;
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
