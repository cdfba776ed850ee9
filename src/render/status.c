#include "render/status.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "model/publish.h"
#include "render/render_internal.h"
#include "render/table.h"

#include <stdio.h>
#include <string.h>

static void guest_addresses(const struct guest *guest, struct strbuf *out)
{
	strbuf_add(out, "");
	for (size_t i = 0; i < guest->nic_count; i++) {
		cleanup_strbuf struct strbuf one = {};

		nic_addresses(&guest->nics[i], &one);
		if (one.length > 0)
			strbuf_printf(out, "%s%s", out->length > 0 ? ", " : "", one.text);
	}
}

/* "4s", "12m", "3h", "9d": how long ago, in the largest unit. */
static void age(char ret[DURATION_TEXT_SIZE], long long seconds)
{
	static const struct {
		long long length;
		char unit;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	size_t i = 0;

	seconds = seconds < 0 ? 0 : seconds;
	while (units[i].length > 1 && seconds < units[i].length)
		i++;
	snprintf(ret, DURATION_TEXT_SIZE, "%lld%c", seconds / units[i].length, units[i].unit);
}

/* What its state has to be explained by, and where its isolation is not what it should be. */
static void add_note(struct table *table, const struct guest_status *is)
{
	if (is->not_in_force)
		table_cellf(table, COLOUR_RED, "%s%sits isolation is not in force at %s", is->note ? is->note : "",
			    is->note ? "; " : "", is->not_in_force);
	else
		table_cell(table, state_colour(is->state), is->note);
}

static void add_guest(struct table *table, const struct lab_status *status, const struct guest *guest, long long now)
{
	const struct guest_status *now_is = &status->guests[guest->index];
	enum world world = status_world(status, guest);
	cleanup_strbuf struct strbuf addresses = {};
	char up[DURATION_TEXT_SIZE] = "", memory[BYTES_TEXT_SIZE];
	bool runs = now_is->state == GUEST_STARTING || now_is->state == GUEST_RUNNING;

	guest_addresses(guest, &addresses);
	if (runs && now > 0 && now_is->since > 0)
		age(up, now - now_is->since);
	table_row(table);
	table_cell(table, COLOUR_BOLD, guest->path);
	table_cellf(table, COLOUR_NONE, "L%u", guest->layer);
	if (status->lab->machine_count)
		table_cell(table, COLOUR_NONE, guest_machine_name(guest));
	table_cell(table, state_colour(now_is->state), guest_state_name(now_is->state));
	table_cell(table, world_colour(world), world_name(world));
	table_cell(table, COLOUR_NONE, addresses.text);
	/* Of one that does not run: what its file says. */
	table_cellf(table, COLOUR_NONE, "%u",
		    guest_cpus(guest, runs && now_is->accelerator && strcmp(now_is->accelerator, "tcg") == 0));
	table_cell(table, COLOUR_NONE, text_bytes(guest->memory, memory));
	table_cell(table, COLOUR_NONE, runs ? now_is->accelerator : NULL);
	table_cell(table, COLOUR_NONE, up);
	add_note(table, now_is);
}

/* "hv1: rules, routes are not those of the lab; nestvisor up mends them". */
static void add_changed(unsigned changed, const char *host, const struct style *style, struct strbuf *out)
{
	cleanup_strbuf struct strbuf names = {};

	for (unsigned i = 0; i < HOST_PART_COUNT; i++)
		if (changed & 1U << i)
			strbuf_printf(&names, "%s%s", names.length ? ", " : "", host_part_name(i));
	if (!changed)
		return;
	text_paint(out, style, COLOUR_RED, host);
	strbuf_printf(out, ": not as nestvisor made it: %s; nestvisor up mends that, or says why it cannot\n",
		      names.text);
}

/* What virsh or virt-manager made of a guest, a line for each change. */
static void add_drift(const struct guest_drift *drift, const char *guest, const struct style *style, struct strbuf *out)
{
	if (drift->count) {
		text_paint(out, style, COLOUR_RED, guest);
		strbuf_printf(out,
			      ": somebody else has changed it%s; nestvisor up leaves that, --overwrite undoes it\n",
			      drift->of_machine ? ", and the machine that runs" : "");
	}
	for (size_t i = 0; i < drift->count; i++) {
		strbuf_add(out, "    ");
		text_safe(out, drift->changes[i], false);
		strbuf_add_char(out, '\n');
	}
	if (drift->unknown) {
		text_paint(out, style, COLOUR_YELLOW, guest);
		strbuf_add(out, ": whether somebody else has changed it is not known: ");
		text_safe(out, drift->unknown, false);
		strbuf_add_char(out, '\n');
	}
}

static json_t *changed_json(unsigned changed)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < HOST_PART_COUNT; i++)
		if (changed & 1U << i)
			json_array_append_new(list, json_string(host_part_name(i)));
	return list;
}

/* A further machine of L0, where there is something to say of it. */
static void add_machine(const struct lab_status *status, const struct lab_machine *machine, const struct style *style,
			struct strbuf *out)
{
	const struct guest_status *is = &status->guests[machine->guest->index];

	add_changed(is->changed, machine->name, style, out);
	if (!is->note)
		return;
	text_paint(out, style, COLOUR_RED, machine->name);
	strbuf_add(out, " does not answer: ");
	text_safe(out, is->note, false);
	strbuf_add_char(out, '\n');
}

static json_t *machines_json(const struct lab_status *status)
{
	const struct lab *lab = status->lab;
	json_t *list = json_array();

	for (size_t i = 0; i < lab->machine_count; i++) {
		const struct lab_machine *machine = lab->machines[i];
		const struct guest_status *is = &status->guests[machine->guest->index];
		char address[IP_TEXT_SIZE];

		json_array_append_new(list,
				      json_pack("{s:s, s:o, s:s?, s:o, s:o*}", "name", machine->name, "uri",
						text_json(machine->uri), "address",
						machine->address.family ? ip_format(&machine->address, address) : NULL,
						"changed", changed_json(is->changed), "problem",
						is->note ? text_json(is->note) : NULL));
	}
	return list;
}

static void add_headline(const struct lab_status *status, const struct style *style, struct strbuf *out)
{
	const struct lab *lab = status->lab;
	size_t running = 0;

	for (size_t i = 0; i < lab->guest_count; i++)
		running += status->guests[i].state == GUEST_RUNNING;
	text_paint(out, style, COLOUR_BOLD, lab->name);
	if (status->hostname) {
		strbuf_add(out, " on ");
		text_safe(out, status->hostname, false);
	}
	strbuf_printf(out, ": %zu of %zu guest%s running", running, lab->guest_count, lab->guest_count == 1 ? "" : "s");
	if (status->accelerator) {
		strbuf_add(out, ", ");
		text_safe(out, status->accelerator, false);
	}
	if (status->accelerator_why) {
		strbuf_add(out, " (");
		text_safe(out, status->accelerator_why, false);
		strbuf_add_char(out, ')');
	}
	strbuf_add_char(out, '\n');
	add_changed(status->changed, *lab->root->path ? lab->root->path : "L0", style, out);
	for (size_t i = 0; i < lab->guest_count; i++)
		add_changed(status->guests[i].changed, lab->guests[i]->path, style, out);
	for (size_t i = 0; i < lab->machine_count; i++)
		add_machine(status, lab->machines[i], style, out);
	for (size_t i = 0; i < lab->guest_count; i++)
		add_drift(&status->guests[i].drift, lab->guests[i]->path, style, out);
	if (status->interrupted) {
		text_paint(out, style, COLOUR_YELLOW, "interrupted");
		strbuf_add(out, " while doing: ");
		text_safe(out, status->interrupted, false);
		strbuf_add(out, "; run up or down again to finish\n");
	}
}

/* Where guests are reached from outside the lab; those of deeper hosts as well as this one's. */
static void add_published(const struct lab_status *status, const struct style *style, struct strbuf *out)
{
	static const char *const headings[] = {"PUBLISHED", "GUEST", "PORT", "NOTE", NULL};
	cleanup_table struct table *table = table_new(headings);
	size_t count = 0;

	for (size_t i = 0; i < status->lab->guest_count && !status->lab->here; i++) {
		const struct guest *guest = status->lab->guests[i];

		for (size_t j = 0; j < guest->publish_count; j++, count++) {
			cleanup_strbuf struct strbuf outside = {}, inside = {};

			publish_outside(&guest->publish[j], &outside);
			publish_inside(&guest->publish[j], &inside);
			table_row(table);
			table_cell(table, COLOUR_BOLD, outside.text);
			table_cell(table, COLOUR_NONE, guest->path);
			table_cell(table, COLOUR_NONE, inside.text);
			table_cell(table, COLOUR_RED,
				   status->changed & HOST_PUBLISH		 ? "not in force: nestvisor up"
				   : status_world(status, guest) == WORLD_SEALED ? "it is sealed"
										 : NULL);
		}
	}
	if (count) {
		strbuf_add_char(out, '\n');
		table_draw(table, style, out);
	}
}

void status_table(const struct lab_status *status, long long now, const struct style *style, struct strbuf *out)
{
	static const char *const headings[] = {"GUEST",	  "LAYER", "STATE", "WORLD", "ADDRESSES", ">CPUS",
					       ">MEMORY", "ACCEL", ">UP",   "NOTE",  NULL};
	static const char *const with_host[] = {"GUEST", "LAYER",   "HOST",  "STATE", "WORLD", "ADDRESSES",
						">CPUS", ">MEMORY", "ACCEL", ">UP",   "NOTE",  NULL};
	cleanup_table struct table *table = table_new(status->lab->machine_count ? with_host : headings);

	add_headline(status, style, out);
	for (size_t i = 0; i < status->lab->guest_count; i++)
		add_guest(table, status, status->lab->guests[i], now);
	if (status->lab->guest_count > 0)
		table_draw(table, style, out);
	add_published(status, style, out);
}

static json_t *publish_list_json(const struct guest *guest)
{
	json_t *list = json_array();

	for (size_t i = 0; i < guest->publish_count; i++) {
		const struct publish *p = &guest->publish[i];
		const struct ip address = publish_address(p);
		char text[IP_TEXT_SIZE];

		json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:s}", "address", ip_format(&address, text),
						      "as", (int)publish_as(p), "port", (int)p->port, "protocol",
						      publish_protocol(p)));
	}
	return list;
}

static json_t *guests_json(const struct lab_status *status, const struct host *host);

static json_t *drift_json(const struct guest_drift *drift)
{
	json_t *changes = json_array();

	for (size_t i = 0; i < drift->count; i++)
		json_array_append_new(changes, text_json(drift->changes[i]));
	return json_pack("{s:o, s:b, s:o*}", "changes", changes, "of_machine", drift->of_machine, "unknown",
			 drift->unknown ? text_json(drift->unknown) : NULL);
}

static json_t *guest_json(const struct lab_status *status, const struct guest *guest)
{
	const struct guest_status *is = &status->guests[guest->index];
	bool runs = is->state == GUEST_STARTING || is->state == GUEST_RUNNING;
	json_t *json =
		json_pack("{s:s, s:s, s:i, s:s, s:s, s:o, s:s, s:o}", "name", guest->name, "path", guest->path, "layer",
			  (int)guest->layer, "state", guest_state_name(is->state), "world",
			  world_name(status_world(status, guest)), "addresses", guest_addresses_json(guest), "driver",
			  guest->libvirt ? guest->libvirt : "qemu", "accel", text_json(runs ? is->accelerator : NULL));

	if (status->lab->machine_count)
		json_object_set_new(json, "host", json_string(guest_machine_name(guest)));
	if (is->pid)
		json_object_set_new(json, "pid", json_integer(is->pid));
	if (is->since)
		json_object_set_new(json, "since", json_integer(is->since));
	if (is->note)
		json_object_set_new(json, "note", text_json(is->note));
	if (is->changed)
		json_object_set_new(json, "changed", changed_json(is->changed));
	if (is->not_in_force)
		json_object_set_new(json, "not_in_force", text_json(is->not_in_force));
	if (is->drift.count || is->drift.unknown)
		json_object_set_new(json, "drift", drift_json(&is->drift));
	if (guest->publish_count)
		json_object_set_new(json, "publish", publish_list_json(guest));
	json_object_set_new(json, "guests", guests_json(status, guest->host));
	return json;
}

static json_t *guests_json(const struct lab_status *status, const struct host *host)
{
	json_t *list = json_array();

	for (size_t i = 0; host && i < host->guest_count; i++)
		json_array_append_new(list, guest_json(status, host->guests[i]));
	return list;
}

static json_t *networks_json(const struct lab *lab)
{
	json_t *list = json_array();

	for (size_t i = 0; i < lab->network_count; i++) {
		const struct network *network = lab->networks[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o, s:o, s:s, s:i}", "name", network->name,
						      "path", network->path, "host", network->owner->path, "subnets",
						      network_subnets_json(network), "gateways",
						      network_gateways_json(network), "uplink",
						      uplink_name(network->uplink), "mtu", (int)network->mtu));
	}
	return list;
}

json_t *status_json(const struct lab_status *status)
{
	const struct lab *lab = status->lab;
	json_t *host = json_pack("{s:o, s:s, s:i, s:o, s:o, s:o}", "name",
				 text_json(status->hostname ? status->hostname : ""), "path", lab->root->path, "layer",
				 (int)lab->root->layer, "accel", text_json(status->accelerator), "accel_why",
				 text_json(status->accelerator_why), "changed", changed_json(status->changed));
	json_t *json = json_pack("{s:s, s:o}", "lab", lab->name, "host", host);

	if (status->interrupted)
		json_object_set_new(json, "interrupted", text_json(status->interrupted));
	json_object_set_new(json, "publish_in_force", json_boolean(!(status->changed & HOST_PUBLISH)));
	json_object_set_new(json, "networks", networks_json(lab));
	if (lab->machine_count)
		json_object_set_new(json, "hosts", machines_json(status));
	json_object_set_new(json, "guests", guests_json(status, lab->root));
	return json;
}
