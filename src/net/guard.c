/*
 * VXLAN has no authentication (RFC 7348, section 7): whoever can send a datagram to a host can put a frame into the
 * network whose number it writes there, and numbers are no secret. So the host's own namespace, where the tunnel's
 * socket is, has a table of the lab's: of the numbers of the lab's stretched networks only datagrams from their peers
 * are taken. Others' numbers, which share the port, are theirs. It is asked at the input hook, where a datagram that
 * came in fragments is whole again. An address can be forged where the network between the machines lets that happen.
 */
#include "base/cleanup.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "model/lab.h"
#include "net/net_internal.h"
#include "net/ruleset.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

struct guard {
	char table[96];
	const char *tables[2];
	char *record;
	struct ruleset set;
};

static void guard_begin(struct guard *guard, const struct net_names *names, const char *run_dir)
{
	snprintf(guard->table, sizeof(guard->table), "inet %s/tunnel", names->netns);
	guard->tables[0] = guard->table;
	guard->tables[1] = NULL;
	guard->record = net_file(run_dir, "rules", ".tunnel", "");
	guard->set = (struct ruleset){.netns = -1, .tables = guard->tables, .record = guard->record, .shared = true};
}

static void guard_end(struct guard *guard)
{
	free(guard->record);
}
#define cleanup_guard __attribute__((cleanup(guard_end)))

static void add_network(const struct network *network, struct strbuf *out)
{
	char ip[IP_TEXT_SIZE];

	/* The number is behind the UDP header (64 bits), flags and what is reserved (RFC 7348, section 5). */
	for (int six = 0; six < 2; six++) {
		bool begun = false;

		strbuf_printf(out, "\t\tudp dport %u @th,96,24 0x%06x meta nfproto %s", NET_VXLAN_PORT, network->vni,
			      six ? "ipv6" : "ipv4");
		for (size_t i = 0; i < network->peer_count; i++) {
			if (network->peers[i].family != (six ? AF_INET6 : AF_INET))
				continue;
			strbuf_add(out, begun ? ", " : six ? " ip6 saddr != { " : " ip saddr != { ");
			strbuf_add(out, ip_format(&network->peers[i], ip));
			begun = true;
		}
		strbuf_add(out, begun ? " } drop\n" : " drop\n");
	}
}

/* Empty: there is nothing to guard. */
static void format(const struct net *net, const char *table, struct strbuf *out)
{
	const struct host *root = net->lab->root;
	bool begun = false;

	strbuf_add(out, "");
	for (size_t i = 0; i < root->network_count; i++) {
		if (!network_is_stretched(root->networks[i]))
			continue;
		if (!begun)
			strbuf_printf(out,
				      "table %s {\n\tchain input {\n"
				      "\t\ttype filter hook input priority -10; policy accept;\n",
				      table);
		begun = true;
		add_network(root->networks[i], out);
	}
	if (begun)
		strbuf_add(out, "\t}\n}\n");
}

int net_make_guard(struct net *net, struct error **err)
{
	cleanup_strbuf struct strbuf text = {0};
	cleanup_guard struct guard guard;
	bool same = false;
	int r;

	guard_begin(&guard, &net->names, net->run_dir);
	format(net, guard.table, &text);
	if (!text.length)
		return file_exists(guard.record) ? ruleset_remove(&guard.set, err) : 0;
	r = ruleset_check(&guard.set, text.text, &same, err);
	return r < 0 || same ? r : ruleset_load(&guard.set, text.text, NULL, err);
}

int net_check_guard(struct net *net, bool *ret_same, struct error **err)
{
	cleanup_strbuf struct strbuf text = {0};
	cleanup_guard struct guard guard;

	guard_begin(&guard, &net->names, net->run_dir);
	format(net, guard.table, &text);
	*ret_same = true;
	return text.length ? ruleset_check(&guard.set, text.text, ret_same, err) : 0;
}

int net_remove_guard(const struct net_names *names, const char *run_dir, struct error **err)
{
	cleanup_guard struct guard guard;

	guard_begin(&guard, names, run_dir);
	return ruleset_remove(&guard.set, err);
}
