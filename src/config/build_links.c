/* The second half of building: what names something else. All guests and networks are there by now. */
#include "config/build.h"
#include "config/spelling.h"

#include <netinet/in.h>
#include <string.h>

enum { SPELLING_BUDGET = 2000000, MOST_NICS = 24 };

static const char *nearest_network(struct build *b, const struct host *host, const char *word)
{
	struct spelling spelling = {.word = word};
	cleanup_strbuf struct strbuf list = {0};

	for (size_t i = 0; i < host->network_count && b->spelling_budget; i++, b->spelling_budget--)
		spelling_try(&spelling, host->networks[i]->name);
	if (spelling.best)
		return problems_did_you_mean(b->problems, spelling.best);
	if (host->network_count == 0)
		return problems_text(b->problems,
				     "%s has no networks; a NIC is plugged into one of the host that the guest runs on",
				     host_words(b, host));
	for (size_t i = 0; i < host->network_count && i < 8; i++)
		strbuf_printf(&list, "%s%s", i ? ", " : "", host->networks[i]->name);
	return problems_text(b->problems, "%s has: %s%s", host_words(b, host), list.text,
			     host->network_count > 8 ? ", …" : "");
}

static struct network *find_network(struct build *b, const struct guest *guest, const struct node *name)
{
	const struct host *host = guest->parent;
	cleanup_strbuf struct strbuf path = {0};
	struct network *network = NULL;

	strbuf_printf(&path, "%s%s%s", host->path, *host->path ? "/" : "", name->text);
	if (!strchr(name->text, '/'))
		network = lab_find_network(b->lab, path.text);
	if (!network && !problems_enough(b->problems))
		problems_error(b->problems, name->spot, nearest_network(b, host, name->text), "%s has no network %s",
			       host_words(b, host), problems_quote(b->problems, name->text));
	return network;
}

static void set_addresses(struct build *b, struct nic *nic, const struct node *addresses)
{
	for (const struct node *n = addresses ? addresses->first : NULL; n; n = n->next) {
		struct ip *ip;

		if (n->kind != NODE_SCALAR)
			continue;
		ip = n->value.ip.family == AF_INET ? &nic->address4 : &nic->address6;
		if (ip->family)
			problems_error(b->problems, n->spot, "give the guest a second NIC",
				       "a NIC has at most one IPv4 and one IPv6 address");
		else
			*ip = n->value.ip;
	}
}

static void set_nic(struct build *b, struct nic *nic, const struct node *node)
{
	const struct node *network = said(node, NIC_NETWORK), *mac = said(node, NIC_MAC);
	const struct node *queues = said(node, NIC_QUEUES);

	if (network)
		nic->network = find_network(b, nic->guest, network);
	nic->queues = queues ? (unsigned)queues->value.number : 0;
	set_addresses(b, nic, said(node, NIC_ADDRESS));
	if (mac)
		memcpy(nic->mac, mac->value.mac, sizeof(nic->mac));
	else
		model_derive_mac(b->lab->name, nic->guest->path, nic->index, nic->mac);
}

/* The NICs that were said, or the one that follows where the host has one network and nothing was said. */
static void set_nics(struct build *b, struct guest *guest)
{
	const struct node *map = b->guest_nodes[guest->index], *nics = said(map, GUEST_NICS);
	const struct node *node = nics ? nics->first : NULL;
	bool by_default = !nics && !is_broken(map, GUEST_NICS) && guest->parent->network_count == 1;

	guest->nic_count = by_default ? 1 : nics ? nics->count : 0;
	if (guest->nic_count > MOST_NICS) {
		problems_error(b->problems, nics->spot, NULL, "\"%s\" has %zu NICs; there is room for %d", guest->path,
			       guest->nic_count, MOST_NICS);
		guest->nic_count = MOST_NICS;
	}
	if (guest->nic_count)
		guest->nics = arena_alloc(b->lab->arena, guest->nic_count * sizeof(*guest->nics));
	for (unsigned i = 0; i < guest->nic_count; i++) {
		struct nic *nic = &guest->nics[i];
		char suffix[16];

		nic->guest = guest;
		nic->index = i;
		nic->place = node ? node->spot.place : guest->place;
		snprintf(suffix, sizeof(suffix), "-%u", i);
		model_derive_interface(guest->name, suffix, nic->tap);
		if (by_default)
			nic->network = guest->parent->networks[0];
		set_nic(b, nic, node);
		node = node ? node->next : NULL;
	}
}

static void set_publish(struct build *b, struct guest *guest)
{
	const struct node *list = said(b->guest_nodes[guest->index], GUEST_PUBLISH);

	for (const struct node *n = list ? list->first : NULL; n; n = n->next) {
		const struct node *port = n->kind == NODE_SCALAR ? n : said(n, PUBLISH_PORT);
		const struct node *as = n->kind == NODE_MAP ? said(n, PUBLISH_AS) : NULL;
		const struct node *address = n->kind == NODE_MAP ? said(n, PUBLISH_ADDRESS) : NULL;
		struct publish *publish;

		if (!port || (n->kind == NODE_MAP && (is_broken(n, PUBLISH_AS) || is_broken(n, PUBLISH_ADDRESS))))
			continue;
		publish = arena_push(b->lab->arena, guest->publish, guest->publish_count);
		*publish = (struct publish){.port = port->value.ports.first,
					    .protocol = port->value.ports.protocol,
					    .as = as ? (uint16_t)as->value.number : 0,
					    .place = n->spot.place};
		if (address)
			publish->address = address->value.ip;
	}
}

static void set_tags(struct build *b, struct guest *guest)
{
	const struct node *list = said(b->guest_nodes[guest->index], GUEST_TAGS);

	for (const struct node *n = list ? list->first : NULL; n; n = n->next)
		if (n->kind == NODE_SCALAR)
			*arena_push(b->lab->arena, guest->tags, guest->tag_count) =
				arena_strdup(b->lab->arena, n->text);
}

/* ─── policies ─── */

/* Comparing with every path is work in proportion to the lab: in a large one only the first few misspelt names get it.
 */
static const char *nearest_path(struct build *b, const char *word, bool guests_only)
{
	struct spelling spelling = {.word = word};
	const struct lab *lab = b->lab;

	if (b->spelling_budget < lab->guest_count + lab->network_count)
		return NULL;
	b->spelling_budget -= lab->guest_count + lab->network_count;
	if (!guests_only) {
		spelling_try(&spelling, "L0");
		spelling_try(&spelling, "world");
	}
	for (size_t i = 0; i < lab->guest_count; i++)
		spelling_try_path(&spelling, lab->guests[i]->path);
	for (size_t i = 0; i < lab->network_count && !guests_only; i++)
		spelling_try_path(&spelling, lab->networks[i]->path);
	return problems_did_you_mean(b->problems, spelling.best);
}

static bool is_path(const char *text)
{
	static const struct value_rule rule = {.kind = VALUE_PATH};
	struct complaint unused;
	union value value;

	return value_parse(&rule, text, NULL, &value, &unused);
}

/* An address, or a subnet without host bits. */
static bool set_prefix(struct build *b, const struct node *node, struct endpoint *ret)
{
	static const struct value_rule rule = {.kind = VALUE_SUBNET};
	struct complaint complaint = {0};
	union value value;

	if (!prefix_parse(node->text, &ret->prefix))
		return false;
	ret->kind = ENDPOINT_PREFIX;
	if (strchr(node->text, '/') && !value_parse(&rule, node->text, b->problems, &value, &complaint))
		problems_error(b->problems, node->spot, complaint.hint, "%s %s",
			       problems_quote(b->problems, node->text), complaint.message);
	return true;
}

static void set_endpoint(struct build *b, const struct node *node, struct endpoint *ret)
{
	const char *text = node->text;

	ret->text = arena_strdup(b->lab->arena, text);
	if (strcmp(text, "L0") == 0 || strcmp(text, "world") == 0) {
		ret->kind = *text == 'L' ? ENDPOINT_L0 : ENDPOINT_WORLD;
		return;
	}
	ret->guest = lab_find_guest(b->lab, text);
	ret->network = lab_find_network(b->lab, text);
	ret->kind = ret->guest || !ret->network ? ENDPOINT_GUEST : ENDPOINT_NETWORK;
	if (ret->guest && ret->network)
		problems_error(b->problems, node->spot, "call one of them otherwise",
			       "%s is both a guest and a network", problems_quote(b->problems, text));
	if (ret->guest || ret->network || set_prefix(b, node, ret) || (b->part && is_path(text)))
		return;
	if (!problems_enough(b->problems))
		problems_error(b->problems, node->spot, nearest_path(b, text, false),
			       "%s names nobody: no guest, network, address or subnet of this lab, nor L0 or world",
			       problems_quote(b->problems, text));
}

static void set_ports(struct build *b, struct policy *policy, const struct node *ports)
{
	for (const struct node *n = ports ? ports->first : NULL; n; n = n->next)
		if (n->kind == NODE_SCALAR)
			*arena_push(b->lab->arena, policy->ports, policy->port_count) = (struct policy_port){
				n->value.ports.first, n->value.ports.last, n->value.ports.protocol};
}

static void set_compromised(struct build *b, struct policy *policy, const struct node *list)
{
	for (const struct node *n = list ? list->first : NULL; n; n = n->next) {
		if (n->kind != NODE_SCALAR)
			continue;
		*arena_push(b->lab->arena, policy->compromised, policy->compromised_count) =
			arena_strdup(b->lab->arena, n->text);
		if (lab_find_guest(b->lab, n->text) || (b->part && is_path(n->text)) || problems_enough(b->problems))
			continue;
		problems_error(b->problems, n->spot, nearest_path(b, n->text, true), "%s is not a guest of this lab",
			       problems_quote(b->problems, n->text));
	}
}

static void add_port_text(struct strbuf *out, const struct policy_port *port)
{
	strbuf_printf(out, "%u", port->first);
	if (port->last != port->first)
		strbuf_printf(out, "-%u", port->last);
	strbuf_add(out, port->protocol == IPPROTO_UDP ? "/udp" : "/tcp");
}

/* As a person would write it in the file. */
static void set_policy_text(struct build *b, struct policy *policy)
{
	cleanup_strbuf struct strbuf out = {0};

	strbuf_printf(&out, "%s: {from: %s, to: %s", policy->verb == POLICY_ALLOW ? "allow" : "deny", policy->from.text,
		      policy->to.text);
	for (size_t i = 0; i < policy->port_count; i++) {
		strbuf_add(&out, i ? ", " : policy->port_count > 1 ? ", port: [" : ", port: ");
		add_port_text(&out, &policy->ports[i]);
	}
	strbuf_add(&out, policy->port_count > 1 ? "]" : "");
	for (size_t i = 0; i < policy->compromised_count; i++)
		strbuf_printf(&out, "%s%s", i ? ", " : ", even-if-compromised: [", policy->compromised[i]);
	strbuf_add(&out, policy->compromised_count ? "]}" : "}");
	policy->text = arena_strdup(b->lab->arena, out.text);
}

static void add_policy(struct build *b, const struct node *entry)
{
	const struct node *allow = said(entry, POLICY_ALLOW_KEY), *deny = said(entry, POLICY_DENY_KEY);
	const struct node *rule = allow ? allow : deny, *from = said(rule, RULE_FROM), *to = said(rule, RULE_TO);
	struct policy *policy;

	if (allow && deny)
		problems_error(b->problems, deny->key_spot, "begin a new entry with \"- deny:\"",
			       "one entry of the policy is either an allow or a deny");
	else if (!rule && entry->kind == NODE_MAP && entry->count == 0)
		problems_error(b->problems, entry->spot, NULL, "an entry of the policy needs \"allow\" or \"deny\"");
	if (!from || !to)
		return;
	policy = arena_push(b->lab->arena, b->lab->policies, b->lab->policy_count);
	*policy = (struct policy){.verb = allow ? POLICY_ALLOW : POLICY_DENY, .place = entry->spot.place};
	set_endpoint(b, from, &policy->from);
	set_endpoint(b, to, &policy->to);
	set_ports(b, policy, said(rule, RULE_PORT));
	set_compromised(b, policy, said(rule, RULE_EVEN_IF_COMPROMISED));
	set_policy_text(b, policy);
}

void build_links(struct build *b)
{
	const struct node *policy = said(b->root, LAB_POLICY);

	b->spelling_budget = SPELLING_BUDGET;
	for (size_t i = 0; i < b->lab->guest_count; i++) {
		set_nics(b, b->lab->guests[i]);
		set_publish(b, b->lab->guests[i]);
		set_tags(b, b->lab->guests[i]);
	}
	for (const struct node *n = policy ? policy->first : NULL; n; n = n->next)
		add_policy(b, n);
}
