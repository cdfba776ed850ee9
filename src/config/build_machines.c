/* The further machines of layer 0, and what the file says of where guests run. */
#include "config/build.h"

#include <stdlib.h>
#include <string.h>

/* [user@]host[:port], where an IPv6 address stands in brackets. What is wrong is left NULL, and check_machines says so.
 */
static void set_authority(struct build *b, struct lab_machine *machine, const char *text, size_t length)
{
	struct arena *arena = b->lab->arena;
	const char *at = memchr(text, '@', length), *end = text + length, *host = at ? at + 1 : text, *rest;
	char *after;
	unsigned long port;

	if (at == text)
		return;
	if (at)
		machine->guest->ssh_user = arena_strndup(arena, text, (size_t)(at - text));
	rest = host < end && *host == '[' ? memchr(host, ']', (size_t)(end - host)) : NULL;
	if (rest)
		machine->ssh_host = arena_strndup(arena, host + 1, (size_t)(rest++ - host - 1));
	else
		rest = memchr(host, ':', (size_t)(end - host));
	if (!rest)
		rest = end;
	if (!machine->ssh_host)
		machine->ssh_host = arena_strndup(arena, host, (size_t)(rest - host));
	if (rest < end) {
		port = *rest == ':' && rest + 1 < end ? strtoul(rest + 1, &after, 10) : 0;
		if (!port || port > UINT16_MAX || after != end)
			machine->ssh_host = NULL;
		machine->ssh_port = (unsigned)port;
	}
	/* A leading dash would be an option to ssh. */
	if (machine->ssh_host &&
	    (!*machine->ssh_host || *machine->ssh_host == '-' || strpbrk(machine->ssh_host, "@ \t'\"")))
		machine->ssh_host = NULL;
}

static void set_uri(struct build *b, struct lab_machine *machine)
{
	static const char ssh[] = "ssh://", libvirt[] = "qemu+ssh://", system[] = "/system";
	bool is_libvirt = strncmp(machine->uri, libvirt, sizeof(libvirt) - 1) == 0;
	const char *text = machine->uri + (is_libvirt ? sizeof(libvirt) : sizeof(ssh)) - 1, *slash;
	size_t length;

	if (!is_libvirt && strncmp(machine->uri, ssh, sizeof(ssh) - 1) != 0)
		return;
	length = strcspn(text, "/");
	slash = text + length;
	if (is_libvirt) {
		if (strncmp(slash, system, sizeof(system) - 1) != 0)
			return;
		machine->libvirt = arena_printf(b->lab->arena, "qemu://%s", slash);
		if (!config_is_local_libvirt(machine->libvirt))
			return;
	} else if (*slash && slash[1]) {
		return;
	}
	set_authority(b, machine, text, length);
}

static void add_machine(struct build *b, const struct node *node)
{
	struct lab *lab = b->lab;
	const struct node *uri = said(node, MACHINE_URI), *address = said(node, MACHINE_ADDRESS);
	const struct node *home = said(node, MACHINE_HOME), *key = said(node, MACHINE_KEY);
	struct lab_machine *machine = arena_new_struct(lab->arena, struct lab_machine);
	struct guest *guest = arena_new_struct(lab->arena, struct guest);

	machine->name = arena_strdup(lab->arena, node->key);
	machine->index = lab->machine_count;
	machine->guest = guest;
	machine->place = node->key_spot.place;
	machine->uri = uri ? arena_strdup(lab->arena, uri->text) : "";
	*guest = (struct guest){.name = machine->name,
				.path = machine->name,
				.machine = machine,
				.transport = TRANSPORT_SSH,
				.image = "",
				.os = "linux",
				.place = machine->place};
	guest->host = arena_new_struct(lab->arena, struct host);
	*guest->host = (struct host){.path = "", .guest = guest, .cpu_overcommit = 100};
	if (uri)
		set_uri(b, machine);
	if (address)
		machine->address = address->value.ip;
	if (home)
		machine->home = home->value.ip;
	if (key)
		guest->ssh_key =
			*key->text == '~' ? arena_strdup(lab->arena, key->text) : build_absolute_path(b, key->text);
	*arena_push(lab->arena, lab->machines, lab->machine_count) = machine;
	*arena_push(b->tree_arena, b->machine_nodes, b->machine_node_count) = node;
}

static uint64_t placement_number(const struct node *map, int key)
{
	const struct node *node = said(map, key);
	const struct object *object = schema_lab.keys[LAB_PLACEMENT].object;
	struct complaint unused;
	union value value;

	if (node)
		return node->value.number;
	if (!value_parse(&object->keys[key].rule, object->keys[key].fallback, NULL, &value, &unused))
		abort(); /* the table itself is wrong */
	return value.number;
}

void build_machines(struct build *b)
{
	const struct node *machines = said(b->root, LAB_HOSTS), *placement = said(b->root, LAB_PLACEMENT);
	struct lab *lab = b->lab;

	for (const struct node *n = machines ? machines->first : NULL; n; n = n->next)
		add_machine(b, n);
	lab->placement_cpus = (unsigned)placement_number(placement, PLACEMENT_CPUS);
	lab->placement_reserve = placement_number(placement, PLACEMENT_RESERVE);
	lab->placement_not_here = !placement_number(placement, PLACEMENT_HERE);
}

void build_placement(struct build *b)
{
	struct lab *lab = b->lab;

	for (size_t i = 0; i < lab->machine_count; i++) {
		struct guest *guest = lab->machines[i]->guest;

		guest->index = lab->guest_count + i;
		guest->parent = lab->root;
		guest->host->cpu_overcommit = lab->root->cpu_overcommit;
		guest->host->networks = lab->root->networks;
		guest->host->network_count = 0; /* they are the root's */
	}
	for (size_t i = 0; i < lab->guest_count; i++) {
		struct guest *guest = lab->guests[i];
		const struct node *placement = said(b->guest_nodes[i], GUEST_PLACEMENT);
		const struct node *apart = said(b->guest_nodes[i], GUEST_APART);

		if (placement) {
			guest->machine = lab_find_machine(lab, placement->text);
			guest->pinned = guest->machine || strcmp(placement->text, "L0") == 0;
		}
		for (const struct node *n = apart ? apart->first : NULL; n; n = n->next)
			if (n->kind == NODE_SCALAR)
				*arena_push(lab->arena, guest->apart, guest->apart_count) =
					arena_strdup(lab->arena, n->text);
	}
	lab_spread(lab);
}
