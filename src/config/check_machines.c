/* The further machines of layer 0: whether they can be reached as said, and what guests say of where they run. */
#include "config/build.h"
#include "config/spelling.h"

#include <string.h>

static struct spot machine_spot(const struct build *b, const struct lab_machine *machine, int key)
{
	const struct node *map = b->machine_nodes[machine->index], *node = key < 0 ? NULL : said(map, key);

	return node ? node->spot : map->key_spot;
}

static void check_machine(struct build *b, const struct lab_machine *machine)
{
	const struct node *map = b->machine_nodes[machine->index];
	const struct lab *lab = b->lab;

	if (map->kind == NODE_BROKEN)
		return;
	if (lab_find_guest(lab, machine->name))
		problems_error(b->problems, machine_spot(b, machine, -1), "call one of them otherwise",
			       "\"%s\" is both a host and a guest", machine->name);
	if (said(map, MACHINE_URI) && !machine->ssh_host)
		problems_error(
			b->problems, machine_spot(b, machine, MACHINE_URI),
			"ssh://[USER@]HOST[:PORT], or qemu+ssh://[USER@]HOST[:PORT]/system where the guests are to be "
			"domains of the libvirt there",
			"%s is no way to a host", problems_quote(b->problems, machine->uri));
	if (machine->address.family && machine->home.family && machine->address.family != machine->home.family)
		problems_error(b->problems, machine_spot(b, machine, MACHINE_HOME), NULL,
			       "both ends of a tunnel are IPv4, or both are IPv6");
	for (size_t i = 0; i < machine->index; i++) {
		const struct ip *other = &lab->machines[i]->address;

		if (!other->family || !machine->address.family)
			continue;
		if (ip_equal(other, &machine->address))
			problems_error(b->problems, machine_spot(b, machine, MACHINE_ADDRESS), NULL,
				       "\"%s\" has this address, too", lab->machines[i]->name);
		else if (other->family == machine->address.family)
			continue;
		else
			problems_error(
				b->problems, machine_spot(b, machine, MACHINE_ADDRESS), NULL,
				"the addresses of all hosts are IPv4, or all are IPv6: their tunnels are one mesh");
		break;
	}
}

static const char *nearest_machine(struct build *b, const char *word)
{
	struct spelling spelling = {.word = word};

	spelling_try(&spelling, "L0");
	for (size_t i = 0; i < b->lab->machine_count; i++)
		spelling_try(&spelling, b->lab->machines[i]->name);
	return spelling.best ? problems_did_you_mean(b->problems, spelling.best)
			     : "L0 is this machine; others stand under \"hosts\"";
}

static bool names_somebody(const struct lab *lab, const char *word)
{
	for (size_t i = 0; i < lab->root->guest_count; i++) {
		const struct guest *guest = lab->root->guests[i];

		if (strcmp(guest->path, word) == 0)
			return true;
		for (size_t j = 0; j < guest->tag_count; j++)
			if (strcmp(guest->tags[j], word) == 0)
				return true;
	}
	return false;
}

static void check_guest(struct build *b, const struct guest *guest)
{
	const struct node *placement = said(b->guest_nodes[guest->index], GUEST_PLACEMENT);
	const struct node *apart = said(b->guest_nodes[guest->index], GUEST_APART),
			  *first = placement ? placement : apart;

	if (!first)
		return;
	if (guest->parent != b->lab->root || *b->lab->root->path) {
		problems_error(b->problems, first->key_spot, "say it of the guest of L0 that it is in",
			       "\"%s\" runs where its host runs: only guests of L0 are placed", guest->path);
		return;
	}
	if (placement && !guest->pinned)
		problems_error(b->problems, placement->spot, nearest_machine(b, placement->text), "there is no host %s",
			       problems_quote(b->problems, placement->text));
	for (const struct node *n = apart ? apart->first : NULL; n; n = n->next)
		if (n->kind == NODE_SCALAR && !names_somebody(b->lab, n->text))
			problems_error(b->problems, n->spot, NULL, "%s is neither a guest of L0 nor a tag of one",
				       problems_quote(b->problems, n->text));
}

/* A network of L0 that has guests elsewhere has a tunnel already, to their hosts. */
static void check_network(struct build *b, const struct network *network)
{
	const struct node *map = b->network_nodes[network->index], *geneve = said(map, NETWORK_GENEVE);
	const struct node *vxlan = said(map, NETWORK_VXLAN), *peers = said(vxlan, TUNNEL_PEERS);

	if (geneve)
		problems_error(b->problems, geneve->key_spot, "leave it out: nestvisor makes it a VXLAN of its own",
			       "\"%s\" has its guests on several hosts, and cannot have a tunnel of its own",
			       network->path);
	else if (peers)
		problems_error(
			b->problems, peers->spot, "leave the peers out: they are the hosts on which it has guests",
			"\"%s\" has its guests on several hosts, and cannot have a tunnel of its own", network->path);
}

void check_machines(struct build *b)
{
	const struct lab *lab = b->lab;

	for (size_t i = 0; i < lab->machine_count; i++)
		check_machine(b, lab->machines[i]);
	for (size_t i = 0; i < lab->guest_count && !problems_enough(b->problems); i++)
		check_guest(b, lab->guests[i]);
	for (size_t i = 0; i < lab->root->network_count && lab->machine_count; i++)
		check_network(b, lab->root->networks[i]);
	if (lab->adopted && lab->machine_count)
		problems_error(b->problems, said(b->root, LAB_HOSTS)->key_spot, "make a lab of its own for them",
			       "a lab that was adopted from a libvirt is on that libvirt's machine alone");
}
