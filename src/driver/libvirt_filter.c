#include "driver/libvirt_filter.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "driver/libvirt_drift.h"
#include "driver/libvirt_talk.h"
#include "driver/run_dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MARK_FILE "filter"

enum { SILENCE_S = LIBVIRT_LOOK_S }; /* half of what others wait for the lock (apply/isolate.c) */

/* A filter has no place for a mark but its UUID: ours begin with these bytes ("nestvisor"), and end with a hash of what
 * they say, so that one of another version is known. */
#define UUID_BEGIN "6e657374-7669-736f-7200-"

/*
 * libvirt writes rules in the order of their priorities; a rule that names a list is written once for each of it, and
 * where two lists have the same iterator (@1), for each pair. It starts a program for each, some 8 ms, so the fewer the
 * faster is a cut: who sends is asked by the rules that let something through.
 */
static const char clean_rules[] =
	"  <rule action='drop' direction='out' priority='-500'><mac match='no' srcmacaddr='$MAC'/></rule>\n"
	"  <rule action='drop' direction='out' priority='-490'><arp match='no' arpsrcmacaddr='$MAC'/></rule>\n";
static const char cut_rules[] =
	"  <rule action='accept' direction='out' priority='200'><ip srcmacaddr='$MAC' dstipaddr='$KEEP4[@1]' "
	"dstipmask='$KEEPLENGTH4[@1]'/></rule>\n"
	"  <rule action='accept' direction='in' priority='201'><ip srcipaddr='$KEEP4[@1]' "
	"srcipmask='$KEEPLENGTH4[@1]'/></rule>\n"
	"  <rule action='accept' direction='out' priority='202'><ipv6 srcmacaddr='$MAC' dstipaddr='$KEEP6[@1]' "
	"dstipmask='$KEEPLENGTH6[@1]'/></rule>\n"
	"  <rule action='accept' direction='in' priority='203'><ipv6 srcipaddr='$KEEP6[@1]' "
	"srcipmask='$KEEPLENGTH6[@1]'/></rule>\n"
	"  <rule action='accept' direction='in' priority='204'><ipv6 srcipaddr='::' srcipmask='128'/></rule>\n"
	"  <rule action='accept' direction='out' priority='204'><ipv6 srcmacaddr='$MAC' dstipaddr='ff02::' "
	"dstipmask='16'/></rule>\n"
	"  <rule action='accept' direction='out' priority='204'><arp srcmacaddr='$MAC' arpsrcmacaddr='$MAC'/></rule>\n"
	"  <rule action='accept' direction='in' priority='204'><arp/></rule>\n"
	"  <rule action='accept' direction='out' priority='205'><ip srcmacaddr='$MAC' dstipaddr='255.255.255.255' "
	"protocol='udp' dstportstart='67'/></rule>\n"
	"  <rule action='drop' direction='inout' priority='1000'/>\n";
static const char sealed_rules[] = "  <rule action='drop' direction='inout' priority='-1000'/>\n";

/* All of them are for Ethernet frames: libvirt gives them to ebtables. Rules for flows it would give to iptables, which
 * sees frames of a bridge only where the whole machine has it so (bridge-nf-call-iptables). */
static const struct {
	const char *name, *rules;
} filters[] = {
	[WORLD_OPEN] = {"nestvisor-clean-traffic", clean_rules},
	[WORLD_CUT] = {"nestvisor-cut", cut_rules},
	[WORLD_SEALED] = {"nestvisor-sealed", sealed_rules},
};

const char *libvirt_filter_name(enum world world)
{
	return filters[world].name;
}

static const char *uuid_of(struct arena *arena, enum world world)
{
	char hash[HASH_TEXT_SIZE];

	hash_bytes(filters[world].rules, strlen(filters[world].rules), hash);
	return arena_printf(arena, UUID_BEGIN "%.12s", hash);
}

static const char *definition(struct arena *arena, enum world world, const char *uuid)
{
	return arena_printf(arena, "<filter name='%s' chain='root'>\n  <uuid>%s</uuid>\n%s</filter>\n",
			    filters[world].name, uuid, filters[world].rules);
}

const char *libvirt_filter_xml(struct arena *arena, enum world world)
{
	return definition(arena, world, uuid_of(arena, world));
}

/* ─── the interface ─── */

static void add_parameter(struct strbuf *out, const char *name, const char *value)
{
	strbuf_printf(out, "<parameter name='%s' value='%s'/>", name, value);
}

/* The addresses of one family, or their lengths: two lists that go together. A rule that names a list without anything
 * in it could not be written, so then there is one that no host takes from others (RFC 1122, 3.2.1.3). */
static void add_list(struct strbuf *out, const char *name, const struct prefix *list, size_t list_count, uint8_t family,
		     bool lengths)
{
	char text[IP_TEXT_SIZE];
	size_t count = 0;

	for (size_t i = 0; i < list_count; i++) {
		if (list[i].ip.family != family)
			continue;
		if (lengths)
			snprintf(text, sizeof(text), "%u", list[i].length);
		else
			ip_format(&list[i].ip, text);
		add_parameter(out, name, text);
		count++;
	}
	if (count == 0 && lengths)
		add_parameter(out, name, family == AF_INET ? "32" : "128");
	else if (count == 0)
		add_parameter(out, name, family == AF_INET ? "127.0.0.1" : "::1");
}

/* In the order in which libvirt gives them back: by their names. */
static void add_reference(struct strbuf *out, const struct libvirt_filter *filter)
{
	strbuf_printf(out, "<filterref filter='%s'", filters[filter->world].name);
	if (filter->world != WORLD_CUT) {
		strbuf_add(out, "/>");
		return;
	}
	strbuf_add(out, ">");
	add_list(out, "KEEP4", filter->keep, filter->keep_count, AF_INET, false);
	add_list(out, "KEEP6", filter->keep, filter->keep_count, AF_INET6, false);
	add_list(out, "KEEPLENGTH4", filter->keep, filter->keep_count, AF_INET, true);
	add_list(out, "KEEPLENGTH6", filter->keep, filter->keep_count, AF_INET6, true);
	strbuf_add(out, "</filterref>");
}

/* From the first to behind the last, both of which have that form wherever libvirt writes them; *ret_length 0: none. */
static const char *find_element(const char *text, size_t length, const char *begin, const char *end, size_t *ret_length)
{
	const char *at = memmem(text, length, begin, strlen(begin));
	const char *last = at ? memmem(at, length - (size_t)(at - text), end, strlen(end)) : NULL;

	*ret_length = last ? (size_t)(last - at) + strlen(end) : 0;
	return last ? at : NULL;
}

/* <filterref filter='…'/>, or with parameters in it. */
static const char *find_reference(const char *text, size_t length, size_t *ret_length)
{
	const char *at = memmem(text, length, "<filterref ", strlen("<filterref "));
	const char *close = at ? memchr(at, '>', length - (size_t)(at - text)) : NULL;

	*ret_length = 0;
	if (close && close[-1] != '/')
		return find_element(text, length, "<filterref ", "</filterref>", ret_length);
	if (close)
		*ret_length = (size_t)(close - at) + 1;
	return close ? at : NULL;
}

static const char *find_interface(const char *xml, const uint8_t mac[6], size_t *ret_length)
{
	char text[MAC_TEXT_SIZE], wanted[MAC_TEXT_SIZE + 16];
	const char *at = xml;

	snprintf(wanted, sizeof(wanted), "address='%s'", mac_format(mac, text));
	while ((at = find_element(at, strlen(at), "<interface ", "</interface>", ret_length))) {
		if (memmem(at, *ret_length, wanted, strlen(wanted)))
			return at;
		at += *ret_length;
	}
	return NULL;
}

/* Compared without the white space between elements. */
static bool same_reference(const char *there, size_t length, const char *wanted)
{
	for (size_t i = 0; i < length; i++) {
		if (there[i] == '\n' || (there[i] == ' ' && (i == 0 || there[i - 1] == ' ' || there[i - 1] == '\n')))
			continue;
		if (*wanted != there[i])
			return false;
		wanted++;
	}
	return *wanted == '\0';
}

const char *libvirt_filter_interface(struct arena *arena, const char *domain_xml, const struct libvirt_filter *filter,
				     bool *ret_same)
{
	cleanup_strbuf struct strbuf wanted = {0};
	size_t length, there_length, before;
	const char *interface = find_interface(domain_xml, filter->mac, &length), *there;

	if (!interface)
		return NULL;
	strbuf_add(&wanted, "");
	if (!filter->none)
		add_reference(&wanted, filter);
	there = find_reference(interface, length, &there_length);
	*ret_same = same_reference(there ? there : "", there_length, wanted.text);
	if (!there)
		there = interface + length - strlen("</interface>");
	before = (size_t)(there - interface);
	return arena_printf(arena, "%.*s%s%.*s", (int)before, interface, wanted.text,
			    (int)(length - before - there_length), there + there_length);
}

const char *libvirt_filter_of_another(struct arena *arena, const char *domain_xml, const struct libvirt_filter *filter)
{
	static const char begin[] = "<filterref filter='", ours[] = "nestvisor-";
	size_t length;
	const char *interface = find_interface(domain_xml, filter->mac, &length);
	const char *there = interface ? find_reference(interface, length, &length) : NULL, *name, *end;

	if (!there)
		return NULL;
	name = strncmp(there, begin, strlen(begin)) == 0 ? there + strlen(begin) : "";
	end = strchr(name, '\'');
	return strncmp(name, ours, strlen(ours)) == 0 ? NULL
						      : arena_printf(arena, "%.*s", end ? (int)(end - name) : 0, name);
}

const char *libvirt_filter_left_out(struct arena *arena, const char *domain_xml)
{
	static const char ours[] = "<filterref filter='nestvisor-";
	cleanup_strbuf struct strbuf out = {0};
	const char *from = domain_xml, *at;
	size_t length;

	strbuf_add(&out, "");
	while ((at = strstr(from, ours)) && find_reference(at, strlen(at), &length)) {
		const char *begin = at, *end = at + length;

		while (begin > from && begin[-1] == ' ')
			begin--;
		strbuf_printf(&out, "%.*s", (int)(begin - from), from);
		from = *end == '\n' ? end + 1 : end;
	}
	strbuf_add(&out, from);
	return arena_strdup(arena, out.text);
}

/* ─── at libvirt ─── */

bool libvirt_filter_is_on(const char *run_dir)
{
	cleanup_free char *path = in_dir(run_dir, MARK_FILE);

	return file_exists(path);
}

void libvirt_filter_forget(const char *run_dir)
{
	static const char *const mark[] = {MARK_FILE};

	remove_listed(run_dir, mark, 1);
}

static int note(const char *run_dir, struct error **err)
{
	cleanup_free char *path = in_dir(run_dir, MARK_FILE);

	return file_exists(path) ? 0 : file_write_atomic(path, "", 0, 0600, err);
}

/* Its UUID, or "" where there is none. */
static void find_filter(struct talk *talk, enum world world, char ret[VIR_UUID_STRING_BUFLEN])
{
	virNWFilterPtr filter = talk->lib->virNWFilterLookupByName(talk->connection, filters[world].name);

	ret[0] = '\0';
	if (filter && talk->lib->virNWFilterGetUUIDString(filter, ret) < 0)
		ret[0] = '\0';
	if (filter)
		talk->lib->virNWFilterFree(filter);
}

/* Succeeds where no guest uses it: what is in use libvirt refuses to undefine. */
static bool undefine(struct talk *talk, enum world world)
{
	virNWFilterPtr filter = talk->lib->virNWFilterLookupByName(talk->connection, filters[world].name);
	bool done = filter && talk->lib->virNWFilterUndefine(filter) == 0;

	if (filter)
		talk->lib->virNWFilterFree(filter);
	return done;
}

/*
 * libvirt knows a filter by its name and its UUID, so one of another version that is in use keeps its UUID when it is
 * defined anew: it is once more at each change, until no guest uses it, and then it gets its own.
 */
static int define(struct talk *talk, enum world world, struct error **err)
{
	char there[VIR_UUID_STRING_BUFLEN];
	const char *ours = uuid_of(talk->arena, world);
	virNWFilterPtr filter;
	int r;

	find_filter(talk, world, there);
	if (strcmp(there, ours) == 0)
		return 0;
	if (there[0] && strncmp(there, UUID_BEGIN, strlen(UUID_BEGIN)) != 0) {
		r = error_set(err, EPERM, "there is an nwfilter %s at %s, and it is not nestvisor's: it is left alone",
			      filters[world].name, talk->uri);
		error_hint(err, "virsh -c %s nwfilter-undefine %s", talk->uri, filters[world].name);
		return r;
	}
	if (there[0] && undefine(talk, world))
		there[0] = '\0';
	filter = talk->lib->virNWFilterDefineXML(talk->connection,
						 definition(talk->arena, world, there[0] ? there : ours));
	if (!filter)
		return libvirt_fail(talk->lib, talk->uri, err, "cannot define the nwfilter %s", filters[world].name);
	talk->lib->virNWFilterFree(filter);
	return 0;
}

/* flags: VIR_DOMAIN_AFFECT_LIVE or VIR_DOMAIN_AFFECT_CONFIG, which have XML of their own (aliases, addresses). */
static int put(struct talk *talk, unsigned flags, const char *domain_xml, const struct libvirt_filter *filter,
	       struct error **err)
{
	char mac[MAC_TEXT_SIZE];
	bool same;
	const char *xml = libvirt_filter_interface(talk->arena, domain_xml, filter, &same);
	const char *other = libvirt_filter_of_another(talk->arena, domain_xml, filter);
	int r;

	if (other && filter->none)
		return 0;
	if (other)
		return error_set(
			err, EPERM,
			"the domain %s has the nwfilter %s at the interface %s, which is not nestvisor's: it is "
			"left alone",
			talk->name, other, mac_format(filter->mac, mac));
	if (!xml)
		return error_set(err, ENODEV, "the domain %s has no interface %s any more", talk->name,
				 mac_format(filter->mac, mac));
	if (same)
		return 0;
	r = filter->none ? 0 : define(talk, filter->world, err);
	if (r < 0 || talk->lib->virDomainUpdateDeviceFlags(talk->domain, xml, flags) == 0)
		return r;
	return filter->none ? libvirt_fail(talk->lib, talk->uri, err, "cannot take the nwfilter off the domain %s",
					   talk->name)
			    : libvirt_fail(talk->lib, talk->uri, err, "cannot put the nwfilter %s on the domain %s",
					   filters[filter->world].name, talk->name);
}

static int put_each(struct talk *talk, unsigned flags, const struct libvirt_filter *wanted, size_t count,
		    struct error **err)
{
	cleanup_free char *xml = talk->lib->virDomainGetXMLDesc(
		talk->domain, flags == VIR_DOMAIN_AFFECT_CONFIG ? VIR_DOMAIN_XML_INACTIVE : 0);
	int r = xml ? 0 : libvirt_fail(talk->lib, talk->uri, err, "cannot read the domain %s", talk->name);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = put(talk, flags, xml, &wanted[i], err);
	return r;
}

static bool is_running(struct talk *talk)
{
	int state = VIR_DOMAIN_NOSTATE, reason;

	return talk->domain && talk->lib->virDomainGetState(talk->domain, &state, &reason, 0) == 0 &&
	       state != VIR_DOMAIN_SHUTOFF;
}

static int put_all(struct talk *talk, const struct libvirt_filter *wanted, size_t count, struct error **err)
{
	bool any = false;
	int r = 0;

	for (size_t i = 0; i < count; i++)
		any |= !wanted[i].none;
	if (any)
		r = note(talk->run_dir, err);
	if (r == 0)
		r = put_each(talk, VIR_DOMAIN_AFFECT_LIVE, wanted, count, err);
	/* Somebody may have undefined it while it runs; nestvisor puts it on again when it starts it, anyway. */
	if (r == 0 && talk->lib->virDomainIsPersistent(talk->domain) == 1)
		r = put_each(talk, VIR_DOMAIN_AFFECT_CONFIG, wanted, count, err);
	if (r == 0 && !any) {
		libvirt_filter_undefine(talk);
		libvirt_filter_forget(talk->run_dir);
	}
	return r;
}

int libvirt_filter_put(const char *run_dir, const struct libvirt_filter *wanted, size_t count, struct error **err)
{
	cleanup_talk struct talk talk = {0};
	cleanup_error struct error *problem = NULL;
	int r = talk_read_record(&talk, run_dir, &problem);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_move(err, &problem);
	/* Whoever calls holds a lock, for which others wait. */
	talk.silence_s = SILENCE_S;
	r = talk_open(&talk, err);
	if (r == 0)
		r = talk_find_domain(&talk, err);
	if (r == -ETIMEDOUT)
		return error_wrap(err, "its nwfilter cannot be changed");
	return r < 0 || !is_running(&talk) ? r : put_all(&talk, wanted, count, err);
}

void libvirt_filter_undefine(struct talk *talk)
{
	/* What is in use libvirt refuses to undefine. */
	static const enum world order[] = {WORLD_SEALED, WORLD_CUT, WORLD_OPEN};

	for (size_t i = 0; libvirt_filter_is_on(talk->run_dir) && i < 3; i++) {
		virNWFilterPtr filter = talk->lib->virNWFilterLookupByName(talk->connection, filters[order[i]].name);
		char uuid[VIR_UUID_STRING_BUFLEN] = "";

		if (filter && talk->lib->virNWFilterGetUUIDString(filter, uuid) == 0 &&
		    strncmp(uuid, UUID_BEGIN, strlen(UUID_BEGIN)) == 0)
			talk->lib->virNWFilterUndefine(filter);
		if (filter)
			talk->lib->virNWFilterFree(filter);
	}
}
