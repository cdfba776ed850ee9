/*
 * What a Windows host shows: ipconfig in whatever language, and the files that set WSL up.
 *
 * ipconfig's words are translated but its layout is not: an adapter is a line that ends in a colon, its properties are
 * lines "name . . . . : value", and what a value is shows by itself. An IPv4 address is followed by its mask, and after
 * that comes the gateway. "DNS", "DHCP", "IPv4" and "IPv6" are the same in every language.
 */
#include "facts/ini.h"
#include "facts/parse.h"

#include <string.h>
#include <sys/socket.h>

struct adapter {
	struct reader *reader;
	const char *link; /* NULL: before the first adapter */
	unsigned properties;
	bool after_mask;					     /* the next address is a gateway */
	enum { LIST_NONE, LIST_GATEWAY, LIST_DNS, LIST_OTHER } list; /* what a line without a name goes on with */
};

static struct link *current(const struct adapter *adapter)
{
	return adapter->link ? facts_link(adapter->reader->facts, adapter->link) : NULL;
}

/* "name . . . . . : value"; the dots may stand close. False: another kind of line. */
static bool split_property(struct span line, struct span *name, struct span *value)
{
	size_t colon = SIZE_MAX;

	/* German: "Verbindungsspezifisches DNS-Suffix:" is so long that no dots fit. */
	if (span_find(line, "DNS") != SIZE_MAX && span_find(line, " .") == SIZE_MAX &&
	    span_find(line, ". ") == SIZE_MAX) {
		*value = line;
		*name = span_trim(span_cut(value, ':'));
		*value = span_trim(*value);
		return name->length < line.length;
	}
	for (size_t i = 0; i + 1 < line.length; i++)
		if (line.at[i] == '.' && (line.at[i + 1] == ' ' || line.at[i + 1] == '.' || line.at[i + 1] == ':')) {
			colon = span_find_char(span_skip(line, i), ':');
			if (colon == SIZE_MAX)
				return false;
			*name = span_trim(span_first(line, i));
			*value = span_trim(span_skip(line, i + colon + 1));
			return true;
		}
	return false;
}

/* "192.168.1.5(Preferred)", "fe80::1%25" */
static bool read_ip(struct span text, struct ip *ret)
{
	struct span ip = span_first(text, span_find_char(text, '('));

	ip = span_first(ip, span_find_char(ip, '%'));
	return span_ip(span_trim(ip), ret);
}

static bool is_mask(const struct ip *ip, uint8_t *length)
{
	return ip->family == AF_INET && ip->bytes[0] == 255 && mask_length(ip, length);
}

static void add_address(struct adapter *adapter, struct link *link, const struct ip *ip)
{
	struct reader *reader = adapter->reader;
	struct address *address = reader_push(reader, link->addresses, link->address_count);
	bool link_local = ip->family == AF_INET6 && ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80;

	/* Windows shows no length for IPv6; link-local addresses always have 64 (RFC 4291). */
	*address = (struct address){.prefix = {*ip, link_local ? 64 : ip_bits(ip)},
				    .scope = link_local ? "link" : "global",
				    .origin = reader_origin(reader)};
	link->state = "UP";
	link->carrier = TRUTH_YES;
}

static void add_listed(struct adapter *adapter, struct link *link, const struct ip *ip)
{
	if (adapter->list == LIST_GATEWAY)
		*reader_push(adapter->reader, link->gateways, link->gateway_count) = *ip;
	else if (adapter->list == LIST_DNS)
		*reader_push(adapter->reader, link->dns, link->dns_count) = *ip;
}

static void take_ip(struct adapter *adapter, struct link *link, struct span name, const struct ip *ip)
{
	uint8_t length;

	if (is_mask(ip, &length) && link->address_count > 0 && !adapter->after_mask) {
		link->addresses[link->address_count - 1].prefix.length = length;
		adapter->after_mask = true;
		adapter->list = LIST_NONE;
	} else if (span_find(name, "DNS") != SIZE_MAX) {
		adapter->list = LIST_DNS;
		add_listed(adapter, link, ip);
	} else if (span_find(name, "DHCP") != SIZE_MAX) {
		adapter->list = LIST_OTHER;
	} else if (adapter->after_mask && link->gateway_count == 0) {
		adapter->list = LIST_GATEWAY;
		add_listed(adapter, link, ip);
	} else if (adapter->after_mask && link->gateway_count > 0 && ip->family == AF_INET &&
		   span_find(name, "IPv4") == SIZE_MAX) {
		adapter->list = LIST_OTHER;
	} else {
		adapter->list = LIST_NONE;
		adapter->after_mask = false;
		add_address(adapter, link, ip);
	}
}

static void take_property(struct adapter *adapter, struct span name, struct span value)
{
	struct link *link = current(adapter);
	bool first = adapter->properties++ == 0;
	struct mac mac;
	struct ip ip;

	adapter->list = span_find(name, "DNS") != SIZE_MAX ? LIST_DNS : LIST_NONE;
	if (!link)
		return;
	if (read_ip(value, &ip)) {
		take_ip(adapter, link, name, &ip);
		return;
	}
	mac = span_mac(value);
	if (mac.known && value.length == 17)
		link->mac = mac;
	/* Only an adapter without a cable begins with a property that is not the DNS suffix: the state of its medium.
	 */
	if (first && value.length > 0 && span_find(name, "DNS") == SIZE_MAX) {
		link->state = "DOWN";
		link->carrier = TRUTH_NO;
	}
	if (adapter->after_mask && value.length == 0 && link->gateway_count == 0)
		adapter->list = LIST_GATEWAY; /* an empty gateway, or its IPv4 one on the next line */
}

/* "Ethernet adapter Ethernet:" */
static void take_adapter(struct adapter *adapter, struct span line)
{
	struct span name = span_trim(span_first(line, line.length - 1));
	struct link *link = reader_link(adapter->reader, name);

	link->addresses4_known = link->addresses6_known = TRUTH_YES;
	adapter->link = link->name;
	adapter->properties = 0;
	adapter->after_mask = false;
	adapter->list = LIST_NONE;
	adapter->reader->capture->items++;
}

void parse_ipconfig(struct reader *reader, const struct asked *asked)
{
	struct adapter adapter = {.reader = reader};
	struct span line, name, value;
	struct link *link;
	struct ip ip;

	reader->facts->system = SYSTEM_WINDOWS;
	reader->facts->links_known = TRUTH_YES;
	while (reader_line(reader, &line)) {
		if (line.length == 0)
			continue;
		link = current(&adapter);
		if (split_property(line, &name, &value))
			take_property(&adapter, name, value);
		else if (link && read_ip(line, &ip))
			add_listed(&adapter, link, &ip);
		else if (span_ends(line, ":") && line.length > 1)
			take_adapter(&adapter, line);
	}
}

static void parse_settings(struct reader *reader, enum ini_reader dialect, struct setting **settings, size_t *count)
{
	uint32_t before = reader->line;
	struct ini *ini = ini_parse_clean(reader->pool->arena, dialect, reader->encoding, reader->at,
					  (size_t)(reader->end - reader->at));

	for (size_t i = 0; i < ini->item_count; i++) {
		const struct ini_item *item = &ini->items[i];

		reader->line = before + item->line;
		if (item->kind == INI_INVALID)
			reader_ignored(reader, span_trim(span_first(span_of(ini->text + item->start),
								    item->end - item->start)));
		if (item->kind != INI_SETTING)
			continue;
		*reader_push(reader, *settings, *count) =
			(struct setting){.section = pool_text(reader->pool, item->section),
					 .key = pool_text(reader->pool, item->key),
					 .value = pool_text(reader->pool, item->text),
					 .ignored = item->ignored,
					 .origin = reader_origin(reader)};
		reader->capture->items++;
	}
	reader->at = reader->end;
}

void parse_wslconfig(struct reader *reader, const struct asked *asked)
{
	if (reader->facts->system == SYSTEM_UNKNOWN)
		reader->facts->system = SYSTEM_WINDOWS; /* it lies in a Windows user's folder */
	reader->facts->wslconfig_known = TRUTH_YES;
	parse_settings(reader, INI_WSLCONFIG, &reader->facts->wslconfig, &reader->facts->wslconfig_count);
}

void parse_wslconf(struct reader *reader, const struct asked *asked)
{
	reader->facts->wslconf_known = TRUTH_YES;
	parse_settings(reader, INI_WSLCONF, &reader->facts->wslconf, &reader->facts->wslconf_count);
}

/* The number behind "10.0.", wherever a line has it: "Microsoft Windows [Version 10.0.22631.4602]". */
static bool find_windows(struct span line, struct span *ret)
{
	size_t at = span_find(line, "10.0."), length = 0;

	if (at == SIZE_MAX)
		return false;
	*ret = span_skip(line, at);
	while (length < ret->length && strchr("0123456789.", ret->at[length]))
		length++;
	*ret = span_first(*ret, length);
	return length >= strlen("10.0.10240") && ret->at[length - 1] != '.';
}

/*
 * The words are translated, the names of things are not: the first line of `wsl --version` is about WSL itself, the
 * last about Windows. DXCore's version looks like one of Windows.
 */
void parse_windows_version(struct reader *reader, const struct asked *asked)
{
	struct wsl *wsl = &reader->facts->wsl;
	struct span line;

	while (reader_line(reader, &line)) {
		struct span rest = line, last = {}, word, windows;

		while (span_word(&rest, &word))
			last = word;
		if (span_find(line, "WSL") != SIZE_MAX && span_find(line, "WSLg") == SIZE_MAX && last.length > 0 &&
		    last.at[0] >= '0' && last.at[0] <= '9') {
			text_set(&wsl->version, reader_intern(reader, last));
			wsl->origin = wsl->origin.source ? wsl->origin : reader_origin(reader);
		} else if (span_find(line, "DXCore") == SIZE_MAX && !wsl->windows && find_windows(line, &windows)) {
			wsl->windows = reader_intern(reader, windows);
			wsl->windows_origin = reader_origin(reader);
		} else {
			continue;
		}
		reader->capture->items++;
	}
}
