/* What tells about the machine itself: uname, os-release, files of /proc and /sys, lsmod, ss, conntrack, accounts. */
#include "facts/parse.h"

#include "base/strbuf.h"

#include <ctype.h>
#include <string.h>
#include <sys/socket.h>

/* They come with the module br_netfilter. */
static void no_bridge_sysctls(struct reader *reader)
{
	static const char *const names[] = {"net.bridge.bridge-nf-call-arptables",
					    "net.bridge.bridge-nf-call-ip6tables",
					    "net.bridge.bridge-nf-call-iptables"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		*reader_push(reader, reader->facts->sysctls_absent, reader->facts->sysctls_absent_count) = names[i];
}

/* "net.ipv4.ip_forward = 1", and "/proc/sys/net/ipv4/ip_forward:1" of grep. */
void parse_sysctl(struct reader *reader, const struct asked *asked)
{
	struct facts *facts = reader->facts;
	struct span line;

	bool by_path = false, bridges = false;

	facts->sysctls_known = asked->all_tables ? TRUTH_YES : TRUTH_NO;
	while (reader_line(reader, &line)) {
		struct span value = line, name = span_cut(&value, '=');
		char *text;

		if (line.length == 0 || span_starts(line, "sysctl:") || line.at[0] == '#')
			continue;
		if (name.length == line.length) {
			value = line;
			name = span_cut(&value, ':');
		}
		name = span_trim(name);
		if (name.length == 0 || value.at == line.at || span_find_char(name, ' ') != SIZE_MAX) {
			reader_ignored(reader, line);
			continue;
		}
		bridges = bridges || span_starts(name, "/proc/sys/net/bridge/");
		if (span_starts(
			    name,
			    "/proc/sys/net/")) /* as the script of `capture` asks, which asks for those of bridges */
			by_path = true;
		if (span_starts(name, "/proc/sys/"))
			name = span_skip(name, strlen("/proc/sys/"));
		text = arena_strndup(reader->pool->arena, name.at, name.length);
		/* A path has slashes between its parts, and a dot in an interface's name is one. */
		if (span_starts(name, "net/") || span_starts(name, "kernel/") || span_starts(name, "vm/"))
			for (char *c = text; *c; c++)
				*c = *c == '/' ? '.' : *c == '.' ? '/' : *c;
		*reader_push(reader, facts->sysctls, facts->sysctl_count) =
			(struct sysctl){text, reader_intern(reader, span_trim(value)), reader_origin(reader)};
		reader->capture->items++;
	}
	if (by_path && !bridges)
		no_bridge_sysctls(reader);
}

/* How long a PCI device's name is that stands here ("0000:00:1f.2"), the only one of the kernel's with colons; or 0. */
static size_t pci_name(struct span text)
{
	static const char form[] = "xxxx:xx:xx.x";

	for (size_t i = 0; i < sizeof(form) - 1; i++)
		if (i >= text.length || (form[i] == 'x' ? !isxdigit((unsigned char)text.at[i]) : text.at[i] != form[i]))
			return 0;
	return sizeof(form) - 1;
}

/* Where the path of "path:value" ends; SIZE_MAX: there is none. */
static size_t attribute_path(struct span line)
{
	if (line.length == 0 || line.at[0] != '/')
		return SIZE_MAX;
	for (size_t i = 0; i < line.length; i++) {
		if (line.at[i] == '/')
			i += pci_name(span_skip(line, i + 1));
		else if (line.at[i] == ':')
			return i;
	}
	return SIZE_MAX;
}

static void take_attribute(struct reader *reader, const char *path, struct strbuf *value, struct origin origin)
{
	struct facts *facts = reader->facts;
	struct span text = {value->text, value->length};

	if (!path)
		return;
	*reader_push(reader, facts->attributes, facts->attribute_count) =
		(struct attribute){path, reader_intern(reader, span_trim(text)), origin};
	reader->capture->items++;
	value->length = 0;
}

/* "/sys/module/kvm_intel/parameters/nested:Y" of grep -r . /sys/…; a file of several lines has its path on each. */
void parse_attributes(struct reader *reader, const struct asked *asked)
{
	cleanup_strbuf struct strbuf value = {0};
	const char *path = NULL, *next;
	struct origin origin = {0};
	struct span line;

	while (reader_line(reader, &line)) {
		struct span rest = line, name;
		size_t end = attribute_path(line);

		if (line.length == 0)
			continue;
		if (end == SIZE_MAX) {
			reader_ignored(reader, line);
			continue;
		}
		name = span_first(line, end);
		rest = span_skip(line, end + 1);
		next = reader_intern(reader, name);
		if (next == path) {
			strbuf_add_char(&value, '\n');
		} else {
			take_attribute(reader, path, &value, origin);
			origin = reader_origin(reader);
			path = next;
		}
		strbuf_add_bytes(&value, rest.at, rest.length);
	}
	take_attribute(reader, path, &value, origin);
}

/* "Linux host 6.1.0-28-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22) x86_64 GNU/Linux" */
void parse_uname(struct reader *reader, const struct asked *asked)
{
	struct kernel *kernel = &reader->facts->kernel;
	struct span line, rest, word, machine = {};
	size_t at;

	while (reader_line(reader, &line)) {
		rest = line;
		if (!span_word(&rest, &word) || !span_is(word, "Linux"))
			continue;
		if (!span_word(&rest, &word) || !span_word(&rest, &word)) /* the host's name, the release */
			continue;
		kernel->release = reader_intern(reader, word);
		kernel->origin = reader_origin(reader);
		line = span_trim(rest);
		for (rest = line; span_word(&rest, &word) && !span_is(word, "GNU/Linux");)
			machine = word;
		if (!machine.length)
			continue;
		kernel->machine = reader_intern(reader, machine);
		at = (size_t)(machine.at - line.at);
		kernel->version = reader_intern(reader, span_trim(span_first(line, at)));
		reader->capture->items++;
		reader->facts->system = SYSTEM_LINUX; /* also where Windows' settings are beside it: WSL */
	}
}

/* "ID=debian", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"": os-release(5) */
void parse_os_release(struct reader *reader, const struct asked *asked)
{
	struct distribution *distribution = &reader->facts->distribution;
	struct span line;

	while (reader_line(reader, &line)) {
		struct span value = line, key = span_cut(&value, '=');

		if (value.length >= 2 && (value.at[0] == '"' || value.at[0] == '\''))
			value = span_skip(span_first(value, value.length - 1), 1);
		if (span_is(key, "ID"))
			distribution->id = reader_intern(reader, value);
		else if (span_is(key, "VERSION_ID"))
			distribution->version = reader_intern(reader, value);
		else if (span_is(key, "PRETTY_NAME"))
			distribution->name = reader_intern(reader, value);
		else
			continue;
		distribution->origin = reader_origin(reader);
		reader->capture->items++;
	}
}

void parse_command_line(struct reader *reader, const struct asked *asked)
{
	struct kernel *kernel = &reader->facts->kernel;
	struct span line;

	while (reader_line(reader, &line)) {
		if (line.length == 0)
			continue;
		kernel->command_line = arena_strndup(reader->pool->arena, line.at, line.length);
		if (!kernel->origin.source)
			kernel->origin = reader_origin(reader);
		reader->capture->items++;
	}
}

/* "kvm_intel 380928 0", "kvm_intel 380928 0 - Live 0x0000000000000000" */
void parse_modules(struct reader *reader, const struct asked *asked)
{
	struct facts *facts = reader->facts;
	struct span line, name, size, used, word;
	uint64_t number;

	facts->modules_known = TRUTH_YES;
	while (reader_line(reader, &line)) {
		struct span rest = line;
		struct module module = {.origin = reader_origin(reader)};

		if (!span_word(&rest, &name) || span_is(name, "Module"))
			continue;
		if (!span_word(&rest, &size) || !span_number(size, &number) || !span_word(&rest, &used)) {
			reader_ignored(reader, line);
			continue;
		}
		module.name = reader_intern(reader, name);
		module.used = span_to_number(used);
		while (span_word(&rest, &word))
			if (span_is(word, "Live") || span_is(word, "Loading") || span_is(word, "Unloading"))
				module.state = reader_intern(reader, word);
		*reader_push(reader, facts->modules, facts->module_count) = module;
		reader->capture->items++;
	}
}

static void take_words(struct reader *reader, const char ***items, size_t *count, struct span text)
{
	struct span word;

	if (*count > 0) /* of the first processor: the others have the same */
		return;
	while (span_word(&text, &word))
		texts_push(reader->pool->arena, items, count, reader_intern(reader, word));
}

/* /proc/cpuinfo: a block of "key : value" for each logical processor. */
void parse_cpuinfo(struct reader *reader, const struct asked *asked)
{
	struct processor *processor = &reader->facts->processor;
	uint64_t threads = 0, cores = 0, sockets = 0, number;
	struct span line;

	while (reader_line(reader, &line)) {
		struct span value = line, key = span_trim(span_cut(&value, ':'));

		value = span_trim(value);
		if (span_is(key, "processor") && span_number(value, &number)) {
			threads++;
			if (!processor->origin.source)
				processor->origin = reader_origin(reader);
		} else if (span_is(key, "vendor_id")) {
			text_set(&processor->vendor, reader_intern(reader, value));
		} else if (span_is(key, "model name")) {
			text_set(&processor->model_name, reader_intern(reader, value));
		} else if (span_is(key, "cpu family")) {
			number_set(&processor->family, span_to_number(value));
		} else if (span_is(key, "model")) {
			number_set(&processor->model, span_to_number(value));
		} else if (span_is(key, "stepping")) {
			number_set(&processor->stepping, span_to_number(value));
		} else if (span_is(key, "microcode")) {
			text_set(&processor->microcode, reader_intern(reader, value));
		} else if (span_is(key, "cpu cores") && span_number(value, &number)) {
			cores = number;
		} else if (span_is(key, "physical id") && span_number(value, &number)) {
			sockets = number < UINT32_MAX && number + 1 > sockets ? number + 1 : sockets;
		} else if (span_is(key, "flags")) {
			take_words(reader, &processor->flags, &processor->flag_count, value);
			processor->flags_known = TRUTH_YES;
		} else if (span_is(key, "bugs")) {
			take_words(reader, &processor->bugs, &processor->bug_count, value);
		}
	}
	if (threads == 0)
		return;
	processor->threads = number_of(threads);
	if (sockets)
		processor->sockets = number_of(sockets);
	if (cores)
		processor->cores = number_of(cores * (sockets ? sockets : 1));
	reader->capture->items += (uint32_t)threads;
}

/* /proc/meminfo: "MemTotal:       16384256 kB" */
void parse_meminfo(struct reader *reader, const struct asked *asked)
{
	struct memory *memory = &reader->facts->memory;
	const struct {
		const char *key;
		struct number *number;
	} keys[] = {{"MemTotal", &memory->total},
		    {"MemAvailable", &memory->available},
		    {"MemFree", &memory->free},
		    {"SwapTotal", &memory->swap_total},
		    {"SwapFree", &memory->swap_free},
		    {"HugePages_Total", &memory->huge_pages},
		    {"HugePages_Free", &memory->huge_pages_free},
		    {"Hugepagesize", &memory->huge_page_size}};
	struct span line, word, unit;
	uint64_t value;

	while (reader_line(reader, &line)) {
		struct span rest = line, key = span_cut(&rest, ':');

		if (!span_word(&rest, &word) || !span_number(word, &value))
			continue;
		if (span_word(&rest, &unit) && __builtin_mul_overflow(value, 1024u, &value))
			continue;
		for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
			if (!span_is(key, keys[i].key))
				continue;
			*keys[i].number = number_of(value);
			memory->origin = reader_origin(reader);
			reader->capture->items++;
		}
	}
}

/* "kvm:x:104:libvirt-qemu,alice" of group(5); "alice:x:1000:…" of passwd(5) */
static void parse_accounts(struct reader *reader, struct account **accounts, size_t *count, bool groups)
{
	struct span line;

	while (reader_line(reader, &line)) {
		struct span rest = line, name = span_cut(&rest, ':'), password = span_cut(&rest, ':'),
			    id = span_cut(&rest, ':');
		struct account account = {.name = reader_intern(reader, name), .id = span_to_number(id)};

		if (line.length == 0)
			continue;
		if (!account.id.known || password.at == line.at) {
			reader_ignored(reader, line);
			continue;
		}
		account.origin = reader_origin(reader);
		while (groups && rest.length > 0)
			texts_push(reader->pool->arena, &account.members, &account.member_count,
				   reader_intern(reader, span_cut(&rest, ',')));
		*reader_push(reader, *accounts, *count) = account;
		reader->capture->items++;
	}
}

void parse_groups(struct reader *reader, const struct asked *asked)
{
	reader->facts->groups_known = TRUTH_YES;
	parse_accounts(reader, &reader->facts->groups, &reader->facts->group_count, true);
}

void parse_users(struct reader *reader, const struct asked *asked)
{
	reader->facts->users_known = TRUTH_YES;
	parse_accounts(reader, &reader->facts->users, &reader->facts->user_count, false);
}

/* "127.0.0.53%lo:53", "[::1]:631", "*:22" */
static bool take_socket(struct reader *reader, struct span text, struct listener *listener)
{
	size_t colon = SIZE_MAX, percent;
	struct span address;

	for (size_t i = 0; i < text.length; i++)
		if (text.at[i] == ':')
			colon = i;
	if (colon == SIZE_MAX)
		return false;
	listener->port = span_to_number(span_skip(text, colon + 1));
	address = span_first(text, colon);
	percent = span_find_char(address, '%');
	if (percent != SIZE_MAX) {
		listener->device = reader_intern(reader, span_skip(address, percent + 1));
		address = span_first(address, percent);
	}
	if (span_starts(address, "["))
		address = span_skip(span_first(address, address.length - span_ends(address, "]")), 1);
	if (!span_is(address, "*") && !span_ip(address, &listener->address))
		return false;
	return listener->port.known;
}

static bool is_netstat(const struct span *words, size_t count)
{
	uint64_t number;

	return count >= 5 && (span_starts(words[0], "tcp") || span_starts(words[0], "udp")) &&
	       span_number(words[1], &number) && span_number(words[2], &number);
}

/* netstat -lntup: "tcp 0 0 0.0.0.0:22 0.0.0.0:* LISTEN 123/sshd"; udp without a state; IPv6 as ":::22", which may be
 * for IPv4 as well: ss says "*:22" then, netstat does not, so it is every address. */
static bool take_netstat(struct reader *reader, struct span line, const struct span *words, size_t count,
			 struct listener *listener)
{
	struct facts *facts = reader->facts;
	struct span process;

	if (!take_socket(reader, words[3], listener))
		return false;
	if (span_starts(words[3], ":::"))
		listener->address = (struct ip){};
	listener->protocol = span_starts(words[0], "tcp") ? "tcp" : "udp";
	if (count > 5) {
		process = span_is(words[5], "LISTEN") ? span_skip(words[5], words[5].length) : words[5];
		process = span_trim((struct span){process.at, (size_t)(line.at + line.length - process.at)});
		if (process.length > 0 && !span_is(process, "-"))
			listener->process = reader_intern(reader, process);
	}
	*reader_push(reader, facts->listeners, facts->listener_count) = *listener;
	reader->capture->items++;
	return true;
}

/* ss -lntup: "tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:((\"sshd\",pid=1,fd=3))"; without -u no first column */
void parse_listeners(struct reader *reader, const struct asked *asked)
{
	struct facts *facts = reader->facts;
	struct span line;

	facts->listeners_known = TRUTH_YES;
	while (reader_line(reader, &line)) {
		struct span rest = line, words[6] = {};
		struct listener listener = {.origin = reader_origin(reader)};
		size_t count = 0, first;

		while (count < 6 && span_word(&rest, &words[count]))
			count++;
		if (count == 0 || span_is(words[0], "Netid") || span_is(words[0], "State") ||
		    span_is(words[0], "Proto") || span_is(words[0], "Active"))
			continue;
		if (is_netstat(words, count)) {
			if (!take_netstat(reader, line, words, count, &listener))
				reader_ignored(reader, line);
			continue;
		}
		first = span_is(words[1], "LISTEN") || span_is(words[1], "UNCONN") ? 1 : 0;
		if (count < first + 5 || !(span_is(words[first], "LISTEN") || span_is(words[first], "UNCONN")) ||
		    !take_socket(reader, words[first + 3], &listener)) {
			reader_ignored(reader, line);
			continue;
		}
		listener.protocol = first			  ? reader_intern(reader, words[0])
				    : span_is(words[0], "LISTEN") ? "tcp"
								  : "udp";
		if (first == 0 && words[5].length)
			rest = (struct span){words[5].at, (size_t)(line.at + line.length - words[5].at)};
		rest = span_trim(rest);
		if (rest.length)
			listener.process = reader_intern(reader, rest);
		*reader_push(reader, facts->listeners, facts->listener_count) = listener;
		reader->capture->items++;
	}
}

static void take_flow_word(struct reader *reader, struct connection *connection, struct flow_side *side,
			   struct span word)
{
	struct span value = word, key = span_cut(&value, '=');

	if (span_is(key, "src"))
		span_ip(value, &side->source);
	else if (span_is(key, "dst"))
		span_ip(value, &side->destination);
	else if (span_is(key, "sport"))
		side->source_port = span_to_number(value);
	else if (span_is(key, "dport"))
		side->destination_port = span_to_number(value);
	else if (span_is(key, "type"))
		side->icmp_type = span_to_number(value);
	else if (span_is(key, "code"))
		side->icmp_code = span_to_number(value);
	else if (span_is(key, "id"))
		side->icmp_id = span_to_number(value);
	else if (span_is(key, "packets"))
		side->packets = span_to_number(value);
	else if (span_is(key, "bytes"))
		side->bytes = span_to_number(value);
	else if (span_is(key, "mark"))
		connection->mark = span_to_number(value);
	else if (span_is(key, "zone") || span_is(key, "zone-orig") || span_is(key, "zone-reply"))
		connection->zone = span_to_number(value);
	else if (span_is(key, "helper"))
		connection->helper = reader_intern(reader, value);
}

/*
 * conntrack -L: "tcp 6 431999 ESTABLISHED src=10.0.0.1 dst=… sport=… dport=… src=… dst=… [ASSURED] mark=0 use=1"; in
 * /proc/net/nf_conntrack with "ipv4 2" in front.
 */
static bool take_connection(struct reader *reader, struct span line)
{
	struct facts *facts = reader->facts;
	struct connection connection = {.origin = reader_origin(reader)};
	struct flow_side *side = &connection.original;
	struct span rest = line, word;
	bool first = true;
	uint64_t number;

	if (!span_word(&rest, &word))
		return true;
	if (span_is(word, "ipv4") || span_is(word, "ipv6")) {
		span_word(&rest, &word);
		span_word(&rest, &word);
	}
	if (!span_word(&rest, &word) || !span_number(word, &number))
		return false;
	connection.protocol = number_of(number);
	while (span_word(&rest, &word)) {
		if (first && span_number(word, &number)) {
			connection.timeout = number_of(number);
		} else if (span_is(word, "[UNREPLIED]")) {
			connection.unreplied = true;
		} else if (span_is(word, "[ASSURED]")) {
			connection.assured = true;
		} else if (span_is(word, "[OFFLOAD]") || span_is(word, "[HW_OFFLOAD]")) {
			connection.offloaded = true;
		} else if (span_find_char(word, '=') == SIZE_MAX) {
			if (first)
				connection.state = reader_intern(reader, word);
		} else {
			if (!first && span_starts(word, "src="))
				side = &connection.reply;
			first = false;
			take_flow_word(reader, &connection, side, word);
		}
	}
	if (!connection.original.source.family)
		return false;
	connection.family = connection.original.source.family;
	*reader_push(reader, facts->connections, facts->connection_count) = connection;
	reader->capture->items++;
	return true;
}

static enum truth known_unless(bool incomplete)
{
	return incomplete ? TRUTH_NO : TRUTH_YES;
}

/*
 * Of which families these are all: conntrack -L without -f lists IPv4, and IPv6 as well since 1.4.7; the kernel's file,
 * whose lines begin with the family, lists both.
 */
void parse_conntrack(struct reader *reader, const struct asked *asked)
{
	struct facts *facts = reader->facts;
	bool four = asked->family != FAMILY_IP6, six = asked->family == FAMILY_IP6, all = asked->all_tables;
	uint32_t ignored = reader->capture->ignored;
	size_t count = facts->connection_count;
	struct span line;

	while (reader_line(reader, &line)) {
		if (span_starts(line, "conntrack "))
			continue;
		if (!take_connection(reader, line))
			reader_ignored(reader, line);
		else if (!span_starts(line, "ipv"))
			all = false;
	}
	for (; count < facts->connection_count; count++)
		six = six || facts->connections[count].family == AF_INET6;
	if (four)
		facts->connections4_known = known_unless(reader->capture->ignored > ignored);
	if (six || all)
		facts->connections6_known = known_unless(reader->capture->ignored > ignored);
}

/* The name of the root element that begins here, behind what may stand before it; nothing: there is none. */
static struct span root_element(struct span text)
{
	size_t at, length = 0;

	while ((at = span_find_char(text, '<')) != SIZE_MAX) {
		text = span_skip(text, at + 1);
		if (span_starts(text, "!--")) /* libvirt's files begin with a comment that holds names, too */
			text = span_skip(text, span_find(text, "-->"));
		else if (text.length > 0 && text.at[0] != '?' && text.at[0] != '!')
			break;
	}
	while (at != SIZE_MAX && length < text.length && text.at[length] >= 'a' && text.at[length] <= 'z')
		length++;
	return span_first(text, length);
}

static void take_document(struct reader *reader, struct span kind, struct span text, uint32_t line, const char *name)
{
	struct facts *facts = reader->facts;
	struct document document = {.kind = reader_intern(reader, kind), .name = name, .origin = reader_origin(reader)};
	size_t at = span_find(text, "<name>");

	if (at != SIZE_MAX) {
		struct span rest = span_skip(text, at + strlen("<name>"));

		document.name = reader_intern(reader, span_first(rest, span_find_char(rest, '<')));
	} else if (span_is(kind, "filter") && (at = span_find(text, " name='")) != SIZE_MAX) {
		struct span rest = span_skip(text, at + strlen(" name='"));

		document.name = reader_intern(reader, span_first(rest, span_find_char(rest, '\'')));
	}
	if (!reader->json)
		document.origin.line = line;
	document.text = arena_strndup(reader->pool->arena, text.at, text.length);
	*reader_push(reader, facts->documents, facts->document_count) = document;
	reader->capture->items++;
}

static uint32_t count_lines(struct span text)
{
	uint32_t lines = 0;

	for (size_t i = 0; i < text.length; i++)
		lines += text.at[i] == '\n';
	return lines;
}

/*
 * virsh dumpxml, net-dumpxml, nwfilter-dumpxml: the root element says what it is, <name> or name= what it is called.
 * Several may follow each other: each ends with its root element.
 */
void parse_document(struct reader *reader, const struct asked *asked)
{
	struct span text = {reader->at, (size_t)(reader->end - reader->at)}, kind;
	uint32_t line = reader->line + 1;

	while ((kind = root_element(text)).length > 0) {
		cleanup_strbuf struct strbuf closing = {0};
		size_t start = (size_t)(kind.at - text.at) - 1; /* behind libvirt's comment */
		struct span document = span_skip(text, start);
		size_t end;

		strbuf_printf(&closing, "</%.*s>", (int)kind.length, kind.at);
		end = span_find(document, closing.text);
		document = span_first(document, end == SIZE_MAX ? end : end + closing.length);
		line += count_lines(span_first(text, start));
		take_document(reader, kind, document, line, asked->subject);
		line += count_lines(document);
		text = span_skip(text, start + document.length);
	}
	reader->at = reader->end;
}
