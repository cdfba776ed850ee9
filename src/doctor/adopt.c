/*
 * Networks come first, since guests' NICs refer to them. Each entry gathers notes and a body; the notes are written
 * before the body, as comments. An entry with a reason to be left out is comments alone.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "doctor/adopt_internal.h"
#include "facts/system.h"
#include "model/lab.h"
#include "render/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { ADOPTED_NAME_MAX = 255 };

static void add_note(struct entry *entry, const char *format, va_list args)
{
	cleanup_free char *text = NULL;

	if (vasprintf(&text, format, args) < 0)
		abort();
	strbuf_add(&entry->notes, "  # ");
	text_safe(&entry->notes, text, false);
	strbuf_add_char(&entry->notes, '\n');
}

void entry_note(struct entry *entry, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add_note(entry, format, args);
	va_end(args);
	entry->adopter->result->notes++;
}

void entry_leave_out(struct entry *entry, const char *format, ...)
{
	cleanup_free char *text = NULL;
	va_list args;

	if (entry->left_out)
		return;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	entry->left_out = arena_strdup(entry->adopter->arena, text);
}

void entry_phrases(struct entry *entry, const struct adopt_phrase *phrases)
{
	for (; phrases->xpath; phrases++)
		if (xml_has(entry->xml, "%s", phrases->xpath))
			entry_note(entry, "%s", phrases->text);
}

static bool is_listed(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

void entry_elements(struct entry *entry, const char *parent, const char *const *covered,
		    const struct adopt_phrase *reasons)
{
	struct arena *arena = entry->adopter->arena;
	size_t count = xml_count(entry->xml, "count(%s/*)", parent);

	for (size_t i = 1; i <= count; i++) {
		const char *name = xml_text(entry->xml, arena, "name(%s/*[%zu])", parent, i);
		const struct adopt_phrase *reason = reasons;

		/* once for each kind, at the first of it */
		if (is_listed(covered, name) ||
		    xml_has(entry->xml, "%s/*[%zu]/preceding-sibling::*[name() = name(%s/*[%zu])]", parent, i, parent,
			    i))
			continue;
		while (reason->xpath && strcmp(reason->xpath, name) != 0)
			reason++;
		entry_note(entry, "<%s> is not taken over: %s", name,
			   reason->xpath ? reason->text : "a lab file has no word for it");
	}
}

bool adopter_take(struct adopter *adopter, const char *network, const char *what)
{
	const char *key = arena_printf(adopter->arena, "%s %s", network, what);

	for (size_t i = 0; i < adopter->taken_count; i++)
		if (strcmp(adopter->taken[i], key) == 0)
			return false;
	*arena_push(adopter->arena, adopter->taken, adopter->taken_count) = key;
	return true;
}

const char *adopter_quote(struct adopter *adopter, const char *text)
{
	cleanup_strbuf struct strbuf out = {};

	strbuf_add_char(&out, '"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			strbuf_add_char(&out, '\\');
		if (c < 0x20 || c == 0x7f)
			strbuf_printf(&out, "\\x%02X", c);
		else
			strbuf_add_char(&out, *text);
	}
	strbuf_add_char(&out, '"');
	return arena_strdup(adopter->arena, out.text);
}

/* ─── names ─── */

static bool is_taken(const struct adopter *adopter, const char *kind, const char *name)
{
	size_t length = strlen(kind);

	for (size_t i = 0; i < adopter->name_count; i++)
		if (strncmp(adopter->names[i], kind, length) == 0 && strcmp(adopter->names[i] + length, name) == 0)
			return true;
	return false;
}

/* A name as lab files have them: a–z, 0–9, ".", "_" and "-", a letter or a digit first. */
static const char *fitting_name(struct adopter *adopter, const char *kind, const char *libvirt)
{
	char name[GUEST_NAME_MAX - 2] = "";
	size_t length = 0;
	struct prefix prefix;
	const char *unique;

	for (const char *at = libvirt; *at && length < sizeof(name) - 1; at++) {
		char c = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
		bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (!letter && length == 0)
			continue;
		name[length++] = letter || c == '.' || c == '_' || c == '-' ? c : '-';
		name[length] = '\0';
	}
	while (length && !((name[length - 1] >= 'a' && name[length - 1] <= 'z') ||
			   (name[length - 1] >= '0' && name[length - 1] <= '9')))
		name[--length] = '\0';
	unique = length == 0 ? kind
		 : strcmp(name, "world") == 0 || prefix_parse(name, &prefix)
			 ? arena_printf(adopter->arena, "%.30s-1", name)
			 : arena_strdup(adopter->arena, name);
	for (unsigned i = 2; is_taken(adopter, kind, unique); i++)
		unique = arena_printf(adopter->arena, "%.30s-%u", length ? name : kind, i);
	*arena_push(adopter->arena, adopter->names, adopter->name_count) =
		arena_printf(adopter->arena, "%s%s", kind, unique);
	return unique;
}

/* Words that YAML's readers take for something else than a name stand in quotes, numbers too. */
static void add_key(struct strbuf *out, const char *name)
{
	static const char *const words[] = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", NULL};
	bool plain = name[0] >= 'a' && name[0] <= 'z' && !is_listed(words, name);

	strbuf_printf(out, plain ? "  %s:\n" : "  \"%s\":\n", name);
}

/* ─── networks ─── */

static uint8_t length_of_netmask(const char *netmask)
{
	struct ip mask;
	uint8_t length = 0;

	if (!ip_parse(netmask, &mask) || mask.family != AF_INET)
		return 0;
	while (length < 32 && mask.bytes[length / 8] & (0x80 >> length % 8))
		length++;
	return length;
}

/* Without a prefix or a netmask libvirt goes by the address's class, and takes 64 for IPv6. */
static uint8_t prefix_length(struct entry *entry, size_t index, const struct ip *ip)
{
	struct arena *arena = entry->adopter->arena;
	const char *prefix = xml_text(entry->xml, arena, "(/network/ip)[%zu]/@prefix", index);
	const char *netmask = xml_text(entry->xml, arena, "(/network/ip)[%zu]/@netmask", index);
	unsigned long length = strtoul(prefix, NULL, 10);

	if (*prefix)
		return length <= ip_bits(ip) ? (uint8_t)length : 0;
	if (*netmask)
		return length_of_netmask(netmask);
	if (ip->family == AF_INET6)
		return 64;
	return ip->bytes[0] < 128 ? 8 : ip->bytes[0] < 192 ? 16 : 24;
}

static void read_subnets(struct entry *entry, struct adopted_network *network)
{
	struct arena *arena = entry->adopter->arena;
	size_t count = xml_count(entry->xml, "count(/network/ip)");

	for (size_t i = 1; i <= count; i++) {
		const char *address = xml_text(entry->xml, arena, "(/network/ip)[%zu]/@address", i);
		struct prefix prefix = {}, *place;

		if (!ip_parse(address, &prefix.ip)) {
			entry_note(entry, "the address \"%s\" cannot be read", address);
			continue;
		}
		place = prefix.ip.family == AF_INET ? &network->subnet4 : &network->subnet6;
		prefix.length = prefix_length(entry, i, &prefix.ip);
		if (place->ip.family || prefix.length == 0 ||
		    prefix.length > (prefix.ip.family == AF_INET ? 30 : 126)) {
			entry_note(entry, "the subnet of %s is left out: %s", address,
				   place->ip.family ? "a lab's network has one IPv4 and one IPv6 subnet at most"
						    : "a lab's network has room for a gateway and a guest at least");
			continue;
		}
		*(prefix.ip.family == AF_INET ? &network->gateway4 : &network->gateway6) = prefix.ip;
		*place = prefix_network(&prefix);
	}
}

/* L0 cannot own two networks with one subnet; libvirt can have both as long as one is not started. */
static const char *overlapping(const struct adopter *adopter, const struct adopted_network *network)
{
	for (size_t i = 0; i < adopter->network_count; i++) {
		const struct adopted_network *other = &adopter->networks[i];

		if (other == network || !other->name)
			continue;
		if ((other->subnet4.ip.family && network->subnet4.ip.family &&
		     prefix_overlaps(&other->subnet4, &network->subnet4)) ||
		    (other->subnet6.ip.family && network->subnet6.ip.family &&
		     prefix_overlaps(&other->subnet6, &network->subnet6)))
			return other->libvirt;
	}
	return NULL;
}

static void add_subnets(struct entry *entry, const struct adopted_network *network)
{
	char text4[PREFIX_TEXT_SIZE], text6[PREFIX_TEXT_SIZE], ip4[IP_TEXT_SIZE], ip6[IP_TEXT_SIZE];
	bool four = network->subnet4.ip.family, six = network->subnet6.ip.family;

	if (four)
		prefix_format(&network->subnet4, text4);
	if (six)
		prefix_format(&network->subnet6, text6);
	if (four && six)
		strbuf_printf(&entry->body, "    subnet: [%s, \"%s\"]\n    gateway: [%s, \"%s\"]\n", text4, text6,
			      ip_format(&network->gateway4, ip4), ip_format(&network->gateway6, ip6));
	else if (four)
		strbuf_printf(&entry->body, "    subnet: %s\n    gateway: %s\n", text4,
			      ip_format(&network->gateway4, ip4));
	else
		strbuf_printf(&entry->body, "    subnet: \"%s\"\n    gateway: \"%s\"\n", text6,
			      ip_format(&network->gateway6, ip6));
}

static void add_uplink(struct entry *entry, const struct adopted_network *network)
{
	const char *mode = xml_text(entry->xml, entry->adopter->arena, "/network/forward/@mode");
	bool forwards = xml_has(entry->xml, "/network/forward"), nat = forwards && (!*mode || strcmp(mode, "nat") == 0);

	if (forwards && strcmp(mode, "open") == 0)
		entry_note(entry, "mode=\"open\": libvirt sets no firewall rules for it; route is the nearest to that");
	if (nat && network->subnet6.ip.family && !xml_has(entry->xml, "/network/forward/nat/@ipv6 = 'yes'"))
		entry_note(entry, "libvirt routes its IPv6 subnet; nestvisor translates both families");
	strbuf_printf(&entry->body, "    uplink: %s\n", !forwards ? "none" : nat ? "nat" : "route");
}

static void add_mtu(struct entry *entry, const struct adopted_network *network)
{
	const char *text = xml_text(entry->xml, entry->adopter->arena, "/network/mtu/@size");
	unsigned long mtu = strtoul(text, NULL, 10);

	if (!*text)
		return;
	if (mtu < (network->subnet6.ip.family ? 1280 : 576) || mtu > 65535)
		entry_note(entry, "the MTU %s is left out: 576 (with IPv6 1280) to 65535 are allowed", text);
	else
		strbuf_printf(&entry->body, "    mtu: %lu\n", mtu);
}

#define IPV4 "/network/ip[not(@family) or @family = 'ipv4']"

static bool is_within(const struct adopted_network *network, const char *text, struct ip *ret)
{
	return ip_parse(text, ret) && ret->family == AF_INET && prefix_contains(&network->subnet4, ret);
}

static void add_dhcp(struct entry *entry, struct adopted_network *network)
{
	struct arena *arena = entry->adopter->arena;
	const char *first = xml_text(entry->xml, arena, IPV4 "/dhcp/range/@start");
	const char *last = xml_text(entry->xml, arena, IPV4 "/dhcp/range/@end");
	struct ip from, to, *gateway = &network->gateway4;

	if (!*first) {
		if (xml_has(entry->xml, IPV4 "/dhcp"))
			entry_note(entry,
				   "its DHCP has no range: guests have the addresses that were reserved for them");
		return;
	}
	if (!network->subnet4.ip.family || !is_within(network, first, &from) || !is_within(network, last, &to) ||
	    memcmp(from.bytes, to.bytes, 4) > 0 ||
	    (memcmp(from.bytes, gateway->bytes, 4) <= 0 && memcmp(gateway->bytes, to.bytes, 4) <= 0)) {
		entry_note(entry,
			   "the DHCP range %s to %s is left out: it must lie in the IPv4 subnet, without the gateway",
			   first, last);
		return;
	}
	network->dhcp = true;
	strbuf_printf(&entry->body, "    dhcp: {range: [%s, %s]}\n", first, last);
	if (xml_count(entry->xml, "count(" IPV4 "/dhcp/range)") > 1)
		entry_note(entry, "its other DHCP ranges are left out: a lab's network has one");
}

static const struct adopt_phrase network_phrases[] = {
	{"/network/forward/@dev or /network/forward/interface",
	 "forward dev: a lab's network leaves by whatever way the host's routes say"},
	{"/network/forward/nat/address", "nat address: a lab's network is translated to the address of the way out"},
	{"/network/forward/nat/port", "nat port range: a lab's network is translated to any port"},
	{"/network/ip/tftp or /network/ip/dhcp/bootp", "tftp and bootp: nestvisor does not boot guests by the network"},
	{"/network/ip/dhcp/host[not(@mac)]", "DHCP hosts without a MAC address are left out"},
	{"/network/ip[@family = 'ipv6']/dhcp", "DHCPv6: nestvisor hands out IPv4 addresses alone"},
	{"/network/dns/host or /network/dns/srv or /network/dns/txt or /network/dns/forwarder",
	 "dns host, srv, txt and forwarder: a lab's DNS answers what the host itself can resolve"},
	{"/network/bridge/@stp = 'off' or /network/bridge/@delay > 0",
	 "stp and delay: nestvisor's bridges have no STP"},
	{"/network/bridge/@macTableManager = 'libvirt'", "macTableManager: nestvisor's bridges learn addresses"},
	{NULL, NULL},
};

static const char *const network_covered[] = {"name", "uuid",	  "forward", "bridge", "ip",	      "mac",
					      "dns",  "metadata", "mtu",     "title",  "description", NULL};

static const struct adopt_phrase network_reasons[] = {
	{"domain", "a lab's network has no domain name"},
	{"bandwidth", "a lab's network has no limit of bandwidth"},
	{"vlan", "a lab's network has no VLAN tags; make a network of each"},
	{"route", "routes follow from the lab"},
	{NULL, NULL},
};

static void check_network(struct entry *entry, const struct adopted_network *network)
{
	const char *mode = xml_text(entry->xml, entry->adopter->arena, "/network/forward/@mode");
	const char *other = overlapping(entry->adopter, network);

	if (*mode && strcmp(mode, "nat") != 0 && strcmp(mode, "route") != 0 && strcmp(mode, "open") != 0)
		entry_leave_out(entry, "mode=\"%s\" hands the host's own network to guests, which a lab cannot", mode);
	if (!network->subnet4.ip.family && !network->subnet6.ip.family)
		entry_leave_out(entry, "it has no subnet, and a lab's network needs one");
	if (other)
		entry_leave_out(entry, "its subnet overlaps that of \"%s\"", other);
}

bool adopter_name(struct entry *entry, const char *libvirt)
{
	cleanup_strbuf struct strbuf safe = {};

	if (!entry->adopter->driver)
		return true;
	text_safe(&safe, libvirt, false);
	if (!*libvirt || strcmp(libvirt, safe.text) != 0 || strlen(libvirt) > ADOPTED_NAME_MAX)
		entry_leave_out(entry, "a lab file cannot say its name: it has none, or one of odd characters");
	else
		strbuf_printf(&entry->body, "    adopted: %s\n", adopter_quote(entry->adopter, libvirt));
	return !entry->left_out;
}

static void write_network(struct entry *entry, struct adopted_network *network)
{
	read_subnets(entry, network);
	check_network(entry, network);
	if (entry->left_out)
		return;
	network->name = fitting_name(entry->adopter, "network", network->libvirt);
	add_key(&entry->body, network->name);
	if (!adopter_name(entry, network->libvirt))
		network->name = NULL;
	add_subnets(entry, network);
	add_uplink(entry, network);
	add_mtu(entry, network);
	add_dhcp(entry, network);
	if (!xml_has(entry->xml, "/network/dns/@enable = 'no'"))
		strbuf_add(&entry->body, "    dns: true\n");
	entry_phrases(entry, network_phrases);
	entry_elements(entry, "/network", network_covered, network_reasons);
}

/* ─── the file ─── */

static void finish_entry(struct entry *entry, const char *kind, const char *name, struct strbuf *out, size_t *count)
{
	struct adoption *result = entry->adopter->result;

	strbuf_printf(out, "  # %s \"", kind);
	text_safe(out, name, false);
	strbuf_add_char(out, '"');
	if (entry->left_out) {
		strbuf_add(out, " is left out: ");
		text_safe(out, entry->left_out, false);
		result->left_out++;
	}
	strbuf_add_char(out, '\n');
	strbuf_add_bytes(out, entry->notes.text, entry->notes.length);
	if (!entry->left_out) {
		strbuf_add_bytes(out, entry->body.text, entry->body.length);
		(*count)++;
	}
	free(entry->notes.text);
	free(entry->body.text);
}

static void release_xml(void *xml)
{
	xml_close(xml);
}

static bool open_entry(struct entry *entry, const struct document *document)
{
	cleanup_error struct error *err = NULL;

	if (xml_open(document->text, strlen(document->text), &entry->xml, &err) < 0) {
		entry_leave_out(entry, "%s", err->message);
		return false;
	}
	arena_adopt(entry->adopter->arena, entry->xml, release_xml);
	return true;
}

/* As the XML has it, with its entities resolved. */
static const char *read_name(struct entry *entry, const struct document *document)
{
	const char *name = entry->xml ? xml_text(entry->xml, entry->adopter->arena, "/*/name") : "";

	return *name ? name : document->name ? document->name : "";
}

static void add_network(struct adopter *adopter, const struct document *document)
{
	struct entry entry = {.adopter = adopter};
	struct adopted_network *network = arena_push(adopter->arena, adopter->networks, adopter->network_count);
	bool readable = open_entry(&entry, document);

	*network = (struct adopted_network){.libvirt = read_name(&entry, document), .bridge = "", .xml = entry.xml};
	if (readable) {
		network->bridge = xml_text(entry.xml, adopter->arena, "/network/bridge/@name");
		write_network(&entry, network);
	}
	finish_entry(&entry, "libvirt's network", network->libvirt, &adopter->networks_text,
		     &adopter->result->networks);
}

static void add_domain(struct adopter *adopter, const struct document *document)
{
	struct entry entry = {.adopter = adopter};
	bool readable = open_entry(&entry, document);
	const char *name = read_name(&entry, document);

	if (readable)
		adopt_check_domain(&entry);
	if (!entry.left_out) {
		add_key(&entry.body, fitting_name(adopter, "guest", name));
		if (adopter_name(&entry, name))
			adopt_domain(&entry);
	}
	finish_entry(&entry, "libvirt's domain", name, &adopter->guests_text, &adopter->result->guests);
}

static void add_all(struct adopter *adopter, const struct document *documents, size_t count, const char *kind,
		    void (*add)(struct adopter *adopter, const struct document *document))
{
	for (size_t i = 0; i < count; i++)
		if (documents[i].kind && strcmp(documents[i].kind, kind) == 0)
			add(adopter, &documents[i]);
}

/* The key stands there only where something is below it: an empty one is an error. */
static void add_section(struct strbuf *out, const char *key, const struct strbuf *text, size_t count)
{
	if (count > 0)
		strbuf_printf(out, "%s:\n", key);
	strbuf_add_bytes(out, text->text, text->length);
}

static void release_text(void *text)
{
	free(text);
}

static const char head_of_others[] =
	"# nestvisor did not make these guests and does not know them as its own: up starts guests of its own,\n"
	"# by QEMU, on overlays over the same disks. Shut the domains down and stop their networks first, and\n"
	"# start no domain again while the lab is there: what it writes to its disk ruins the overlay.\n";

static const char head_of_adopted[] =
	"# These guests and networks are libvirt's, and stay so: nestvisor changes, starts and ends none of them. "
	"plan\n"
	"# says where they are no longer what stands here; a comment says where one of nestvisor's own would be\n"
	"# otherwise. Policies may be added, and who is to be cut: see nestvisor verify, cut and graph.\n";

static void write_file(struct adopter *adopter, const char *lab, const char *origin)
{
	struct strbuf out = {};

	strbuf_add(&out, "# A lab of what libvirt has, written by nestvisor adopt from ");
	text_safe(&out, origin, false);
	strbuf_add(&out,
		   ".\n"
		   "# What a lab file has no word for stands as a comment above what it belongs to, with the reason.\n"
		   "#\n");
	strbuf_add(&out, adopter->driver ? head_of_adopted : head_of_others);
	strbuf_printf(&out, "lab: %s\n",
		      strspn(lab, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(lab) && *lab
			      ? lab
			      : adopter_quote(adopter, lab));
	if (adopter->driver)
		strbuf_printf(&out, "driver: %s\n", adopter_quote(adopter, adopter->driver));
	add_section(&out, "networks", &adopter->networks_text, adopter->result->networks);
	add_section(&out, "guests", &adopter->guests_text, adopter->result->guests);
	free(adopter->networks_text.text);
	free(adopter->guests_text.text);
	adopter->result->text = strbuf_steal(&out);
	arena_adopt(adopter->arena, (void *)adopter->result->text, release_text);
}

int adopt_lab_file(struct arena *arena, const struct document *documents, size_t count, const char *lab,
		   const char *origin, const char *driver, struct adoption *ret, struct error **err)
{
	struct adopter adopter = {.arena = arena, .driver = driver, .result = ret};
	size_t found = 0;
	int r;

	*ret = (struct adoption){};
	if (!xml_available()) {
		r = error_set(err, ENOTSUP, "libvirt's XML cannot be read: libxml2 is not installed");
		error_hint(err, "apt-get install libxml2");
		return r;
	}
	for (size_t i = 0; i < count; i++)
		found += documents[i].kind &&
			 (strcmp(documents[i].kind, "domain") == 0 || strcmp(documents[i].kind, "network") == 0);
	if (found == 0)
		return error_set(err, ENOENT, "there is neither a domain nor a network of libvirt's in %s", origin);
	add_all(&adopter, documents, count, "network", add_network);
	add_all(&adopter, documents, count, "domain", add_domain);
	write_file(&adopter, lab, origin);
	return 0;
}
