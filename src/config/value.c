/*
 * One entry of `kinds` is all there is to a kind of value: how it is read, what it is called when something else stood
 * there, and how a JSON Schema says the same. Reading is strict: what YAML 1.1 would take for octal, sexagesimal or
 * "yes" is no number and no truth here, and what looks like a slip gets a suggestion.
 */
#include "config/value.h"

#include "config/config.h"

#include "base/arena.h"
#include "config/spelling.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_LENGTH_MAX = 255, FILE_LENGTH_MAX = 4095 };

#define NAME_PATTERN "[a-z0-9][a-z0-9._-]*"
static const char first_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";

const struct choice value_builtin_images[] = {
	{"micro", "a small hypervisor and guest, all in memory, ready in seconds", NULL},
	{"micro-libvirt", "micro, and a libvirtd where it has guests of its own", NULL},
	{"debian-12", "a normal Debian 12 with systemd and sshd", NULL},
	{NULL, NULL, NULL},
};

bool value_is_builtin_image(const char *name)
{
	for (const struct choice *c = value_builtin_images; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return true;
	return false;
}

const struct choice value_drivers[] = {
	{"qemu", "nestvisor starts QEMU itself", NULL},
	{"libvirt", "the libvirt of this machine: the same as qemu:///system", NULL},
	{"qemu+unix:///system?socket=/PATH", "the same of a libvirtd that listens elsewhere on this machine", NULL},
	{"qemu:///session", "that of the user who called sudo: guests are his, in his virt-manager", NULL},
	{"qemu+unix:///session?socket=/PATH", "the same of the user whose libvirtd listens there", NULL},
	{NULL, NULL, NULL},
};

const char *value_driver_uri(const char *text)
{
	return strcmp(text, "qemu") == 0 ? NULL : strcmp(text, "libvirt") == 0 ? "qemu:///system" : text;
}

#define say(problems, ...) ((problems) ? problems_text((problems), __VA_ARGS__) : "")

static const char *did_you_mean(struct problems *problems, const char *best)
{
	return problems ? problems_did_you_mean(problems, best) : NULL;
}

/* What is left of a name once everything that may not be in it was taken out: often what was meant. */
static const char *nearest_name(struct problems *problems, const char *text)
{
	char name[LAB_NAME_MAX + 1];
	size_t length = 0;
	bool gap = false;

	for (; *text && length < LAB_NAME_MAX; text++) {
		char c = *text >= 'A' && *text <= 'Z' ? (char)(*text | 0x20) : *text;

		if (!strchr(length ? letters : first_letters, c)) {
			gap = true;
			continue;
		}
		if (gap && length && length < LAB_NAME_MAX - 1)
			name[length++] = '-';
		gap = false;
		name[length++] = c;
	}
	name[length] = '\0';
	return length ? did_you_mean(problems, name) : NULL;
}

static bool is_name(const char *text, size_t length)
{
	return length > 0 && length <= LAB_NAME_MAX && strchr(first_letters, *text) && strspn(text, letters) >= length;
}

static bool parse_name(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
		       struct complaint *complaint)
{
	size_t length = strlen(text);
	struct prefix prefix;

	if (length > LAB_NAME_MAX && strspn(text, letters) == length) {
		complaint->message = say(problems, "has %zu characters; a name has at most %d", length, LAB_NAME_MAX);
		return false;
	}
	if (!is_name(text, length)) {
		complaint->message = length ? "is not a name: names are made of a–z, 0–9, \".\", \"_\" and \"-\", and "
					      "begin with a letter or a digit"
					    : "is not a name: it is empty";
		complaint->hint = nearest_name(problems, text);
		return false;
	}
	if (rule->kind == VALUE_NAME && (strcmp(text, "world") == 0 || prefix_parse(text, &prefix))) {
		complaint->message = "cannot be a name: in a policy it means something else";
		return false;
	}
	return true;
}

static bool parse_path(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
		       struct complaint *complaint)
{
	for (;;) {
		size_t length = strcspn(text, "/");

		if (!is_name(text, length))
			return false;
		if (!text[length])
			return true;
		text += length + 1;
	}
}

static bool parse_text(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
		       struct complaint *complaint)
{
	if (strlen(text) > TEXT_LENGTH_MAX) {
		complaint->message =
			say(problems, "has %zu bytes; at most %d may stand here", strlen(text), TEXT_LENGTH_MAX);
		return false;
	}
	return *text != '\0';
}

static bool parse_file(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
		       struct complaint *complaint)
{
	if (strlen(text) > FILE_LENGTH_MAX) {
		complaint->message =
			say(problems, "has %zu bytes; a path has at most %d", strlen(text), FILE_LENGTH_MAX);
		return false;
	}
	return *text != '\0';
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length > tail && strcmp(text + length - tail, end) == 0;
}

static bool parse_image(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
			struct complaint *complaint)
{
	struct spelling spelling = {.word = text};

	if (value_is_builtin_image(text))
		return true;
	if (strchr(text, '/') || ends_with(text, ".qcow2") || ends_with(text, ".raw") || ends_with(text, ".img"))
		return parse_file(rule, text, problems, ret, complaint);
	for (const struct choice *c = value_builtin_images; c->name; c++)
		spelling_try(&spelling, c->name);
	complaint->message = "is not an image: neither micro, micro-libvirt nor debian-12, nor the path of a disk, "
			     "which holds a \"/\" or ends in "
			     ".qcow2, .raw or .img";
	complaint->hint = did_you_mean(problems, spelling.best);
	return false;
}

/* https://libvirt.org/uri.html: QEMU's, by a socket of this machine's. */
#define DRIVER_URI_PATTERN "qemu(\\+unix)?:///(system|session)(\\?socket=/.*)?"

/* `path`: "system" or "session". */
static bool is_local_libvirt(const char *text, const char *path)
{
	static const char *const starts[] = {"qemu:///", "qemu+unix:///"};
	static const char socket[] = "?socket=/";

	for (size_t i = 0; i < 2; i++) {
		size_t start = strlen(starts[i]), length = strlen(path);
		const char *end = text + start + length;

		if (strncmp(text, starts[i], start) == 0 && strncmp(text + start, path, length) == 0 &&
		    (!*end || strncmp(end, socket, sizeof(socket) - 1) == 0))
			return true;
	}
	return false;
}

bool config_is_local_libvirt(const char *text)
{
	return is_local_libvirt(text, "system");
}

static bool parse_driver(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
			 struct complaint *complaint)
{
	struct spelling spelling = {.word = text};

	if (strlen(text) > TEXT_LENGTH_MAX)
		return parse_text(rule, text, problems, ret, complaint);
	if (strcmp(text, "qemu") == 0 || strcmp(text, "libvirt") == 0 || is_local_libvirt(text, "system") ||
	    is_local_libvirt(text, "session"))
		return true;
	if (strncmp(text, "qemu+", 5) == 0) {
		complaint->message = "is a libvirt of another machine; a guest's own driver is of the machine that it "
				     "runs on";
		complaint->hint =
			problems ? problems_text(problems,
						 "name the machine under hosts, as in hosts: {right: {uri: %s}}; "
						 "placing then finds a machine for each guest, or a guest's "
						 "placement: right says it",
						 text)
				 : NULL;
		return false;
	} else if (strstr(text, "://"))
		complaint->message = "is no libvirt that runs QEMU on this machine";
	for (const struct choice *c = value_drivers; c->name; c++)
		spelling_try(&spelling, c->name);
	complaint->hint = did_you_mean(problems, spelling.best);
	return false;
}

/* Decimal digits alone, without a leading zero, which YAML 1.1 takes for octal. */
static bool parse_digits(const char *text, size_t length, uint64_t *ret)
{
	uint64_t number = 0;

	if (length == 0 || length > 18 || (length > 1 && *text == '0'))
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		number = number * 10 + (uint64_t)(text[i] - '0');
	}
	*ret = number;
	return true;
}

static bool parse_integer(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
			  struct complaint *complaint)
{
	return parse_digits(text, strlen(text), &ret->number) && ret->number >= rule->minimum &&
	       ret->number <= rule->maximum;
}

/* "80%"; a bare number could as well be a number of CPUs. */
static bool parse_percent(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
			  struct complaint *complaint)
{
	size_t length = strlen(text);

	return length && text[length - 1] == '%' && parse_digits(text, length - 1, &ret->number) &&
	       ret->number >= rule->minimum && ret->number <= rule->maximum;
}

/* "1.5" in units of 1/scale, rounded down; false where it is no number or too large to hold. */
static bool parse_decimal(const char *text, size_t length, uint64_t scale, uint64_t *ret)
{
	const char *dot = memchr(text, '.', length);
	size_t whole_length = dot ? (size_t)(dot - text) : length;
	uint64_t whole, part = 0, power = 1;

	if (!parse_digits(text, whole_length, &whole) || whole > UINT64_MAX / 2 / scale)
		return false;
	*ret = whole * scale;
	if (!dot)
		return true;
	if (whole_length + 1 == length || length - whole_length > 7)
		return false;
	for (const char *c = dot + 1; c < text + length; c++) {
		if (*c < '0' || *c > '9')
			return false;
		part = part * 10 + (uint64_t)(*c - '0');
		power *= 10;
	}
	*ret += (uint64_t)((unsigned __int128)part * scale / power);
	return true;
}

static bool parse_ratio(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
			struct complaint *complaint)
{
	return parse_decimal(text, strlen(text), 100, &ret->number) && ret->number >= rule->minimum &&
	       ret->number <= rule->maximum;
}

/* "512m", "2 GB", "2048" and the like: what was probably meant. */
static const char *nearest_size(struct problems *problems, const char *text)
{
	size_t digits = strspn(text, "0123456789."), spaces = strspn(text + digits, " ");
	const char *unit = text + digits + spaces;
	char letter = (char)(*unit & ~0x20);

	if (digits == 0 || digits > 12 || *text == '.' || !problems)
		return NULL;
	if (!*unit)
		return say(problems, "did you mean \"%.*sM\"? A size has a unit: K, M, G or T", (int)digits, text);
	if (!strchr("KMGT", letter) || strlen(unit) > 3)
		return NULL;
	return say(problems, "did you mean \"%.*s%c\"?", (int)digits, text, letter);
}

static bool parse_size(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
		       struct complaint *complaint)
{
	static const char units[] = "KMGT";
	size_t length = strlen(text);
	const char *unit;
	uint64_t bytes;

	if (ends_with(text, "iB"))
		length -= 2;
	unit = length > 1 ? strchr(units, text[length - 1]) : NULL;
	if (!unit || !*unit || !parse_decimal(text, length - 1, UINT64_C(1024) << 10 * (unit - units), &bytes)) {
		complaint->hint = nearest_size(problems, text);
		return false;
	}
	ret->number = bytes >> 20 << 20; /* whole MiB: what QEMU and disks are content with */
	if (bytes < rule->minimum || bytes > rule->maximum) {
		complaint->message =
			say(problems, "is out of range: from %lluM to %lluG may stand here",
			    (unsigned long long)rule->minimum >> 20, (unsigned long long)rule->maximum >> 30);
		return false;
	}
	return true;
}

static bool parse_bool(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
		       struct complaint *complaint)
{
	static const char *const words[][2] = {{"yes", "true"}, {"on", "true"},	  {"y", "true"},  {"1", "true"},
					       {"no", "false"}, {"off", "false"}, {"n", "false"}, {"0", "false"}};
	struct spelling spelling = {.word = text};

	ret->number = strcmp(text, "true") == 0;
	if (ret->number || strcmp(text, "false") == 0)
		return true;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(text, words[i][0]) == 0 || strcasecmp(text, words[i][1]) == 0)
			spelling.best = words[i][1];
	if (!spelling.best) {
		spelling_try(&spelling, "true");
		spelling_try(&spelling, "false");
	}
	complaint->hint = did_you_mean(problems, spelling.best);
	return false;
}

static bool parse_choice(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
			 struct complaint *complaint)
{
	struct spelling spelling = {.word = text};

	for (const struct choice *c = rule->choices; c->name; c++) {
		if (strcmp(c->name, text) != 0) {
			if (!c->refused)
				spelling_try(&spelling, c->name);
			continue;
		}
		if (c->refused) {
			complaint->message = c->refused;
			return false;
		}
		ret->number = (uint64_t)(c - rule->choices);
		return true;
	}
	complaint->hint = did_you_mean(problems, spelling.best);
	return false;
}

static bool parse_address(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
			  struct complaint *complaint)
{
	struct prefix prefix;
	char address[IP_TEXT_SIZE];

	if (ip_parse(text, &ret->ip))
		return true;
	if (prefix_parse(text, &prefix))
		complaint->hint = did_you_mean(problems, ip_format(&prefix.ip, address));
	return false;
}

static bool is_host_bits_clear(const struct prefix *prefix)
{
	struct prefix network = prefix_network(prefix);

	return ip_equal(&network.ip, &prefix->ip);
}

static bool parse_subnet(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
			 struct complaint *complaint)
{
	char network_text[PREFIX_TEXT_SIZE];
	struct prefix network;

	if (!prefix_parse(text, &ret->prefix))
		return false;
	if (!strchr(text, '/')) {
		complaint->message = "lacks its length";
		complaint->hint = say(problems, "a subnet is written like %s/%d", text,
				      ret->prefix.ip.family == AF_INET ? 24 : 64);
		return false;
	}
	if (is_host_bits_clear(&ret->prefix))
		return true;
	network = prefix_network(&ret->prefix);
	complaint->message = "is an address in a subnet, not the subnet";
	complaint->hint = did_you_mean(problems, prefix_format(&network, network_text));
	return false;
}

static bool parse_mac(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
		      struct complaint *complaint)
{
	static const uint8_t zero[6];

	if (!mac_parse(text, ret->mac))
		return false;
	if ((ret->mac[0] & 1) || memcmp(ret->mac, zero, 6) == 0) {
		complaint->message = "is no address of one NIC: it is a group's, or zero";
		return false;
	}
	return true;
}

/* The protocol behind the slash; TCP where there is none. */
static bool parse_protocol(const char *slash, uint8_t *ret)
{
	*ret = IPPROTO_TCP;
	if (!slash || strcmp(slash, "/tcp") == 0)
		return true;
	*ret = IPPROTO_UDP;
	return strcmp(slash, "/udp") == 0;
}

static bool parse_port_number(const char *text, size_t length, uint16_t *ret)
{
	uint64_t number;

	if (!parse_digits(text, length, &number) || number < 1 || number > UINT16_MAX)
		return false;
	*ret = (uint16_t)number;
	return true;
}

static bool parse_ports(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
			struct complaint *complaint)
{
	size_t length = strcspn(text, "/"), first = strcspn(text, "-/");
	struct port_range *ports = &ret->ports;

	if (!parse_protocol(text[length] ? text + length : NULL, &ports->protocol)) {
		complaint->hint = "the protocol is tcp or udp";
		return false;
	}
	if (!parse_port_number(text, first, &ports->first))
		return false;
	ports->last = ports->first;
	if (text[first] != '-')
		return true;
	if (rule->kind == VALUE_PORT || !parse_port_number(text + first + 1, length - first - 1, &ports->last))
		return false;
	if (ports->last >= ports->first)
		return true;
	complaint->message = "is a range whose end comes before its start";
	return false;
}

static json_t *schema_pattern(const char *pattern)
{
	return json_pack("{s:s, s:s}", "type", "string", "pattern", pattern);
}

/* "lab: 2024" is a name, too, though YAML reads a number there. */
static json_t *schema_name(const struct value_rule *rule)
{
	return json_pack("{s:[s, s], s:s, s:i, s:i}", "type", "string", "integer", "pattern", "^" NAME_PATTERN "$",
			 "maxLength", LAB_NAME_MAX, "minimum", 0);
}

static json_t *schema_path(const struct value_rule *rule)
{
	return schema_pattern("^" NAME_PATTERN "(/" NAME_PATTERN ")*$");
}

static json_t *schema_text(const struct value_rule *rule)
{
	return json_pack("{s:s, s:i, s:i}", "type", "string", "minLength", 1, "maxLength",
			 rule->kind == VALUE_TEXT ? TEXT_LENGTH_MAX : FILE_LENGTH_MAX);
}

static json_t *choice_names(const struct choice *choices)
{
	json_t *names = json_array();

	for (const struct choice *c = choices; c->name; c++)
		if (!c->refused)
			json_array_append_new(names, json_string(c->name));
	return names;
}

static json_t *schema_image(const struct value_rule *rule)
{
	return json_pack("{s:[{s:o}, {s:s, s:s}]}", "anyOf", "enum", choice_names(value_builtin_images), "type",
			 "string", "pattern", "/|\\.(qcow2|raw|img)$");
}

static json_t *schema_driver(const struct value_rule *rule)
{
	return schema_pattern("^(qemu|libvirt|" DRIVER_URI_PATTERN ")$");
}

static json_t *schema_integer(const struct value_rule *rule)
{
	return json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)rule->minimum, "maximum",
			 (json_int_t)rule->maximum);
}

static json_t *schema_ratio(const struct value_rule *rule)
{
	return json_pack("{s:s, s:f, s:f}", "type", "number", "minimum", (double)rule->minimum / 100, "maximum",
			 (double)rule->maximum / 100);
}

static json_t *schema_percent(const struct value_rule *rule)
{
	return schema_pattern("^[1-9][0-9]*%$");
}

static json_t *schema_size(const struct value_rule *rule)
{
	return schema_pattern("^(0|[1-9][0-9]*)(\\.[0-9]+)?[KMGT](iB)?$");
}

static json_t *schema_bool(const struct value_rule *rule)
{
	return json_pack("{s:s}", "type", "boolean");
}

static json_t *schema_choice(const struct value_rule *rule)
{
	return json_pack("{s:o}", "enum", choice_names(rule->choices));
}

static json_t *schema_address(const struct value_rule *rule)
{
	return schema_pattern("^[0-9a-fA-F.:]+$");
}

static json_t *schema_subnet(const struct value_rule *rule)
{
	return schema_pattern("^[0-9a-fA-F.:]+/[0-9]{1,3}$");
}

static json_t *schema_mac(const struct value_rule *rule)
{
	return schema_pattern("^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$");
}

static json_t *schema_ports(const struct value_rule *rule)
{
	return json_pack("{s:[{s:s, s:i, s:i}, {s:s, s:s}]}", "anyOf", "type", "integer", "minimum", 1, "maximum",
			 65535, "type", "string", "pattern",
			 rule->kind == VALUE_PORT ? "^[1-9][0-9]{0,4}(/(tcp|udp))?$"
						  : "^[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?(/(tcp|udp))?$");
}

static const struct {
	const char *noun, *expected;
	bool (*parse)(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
		      struct complaint *complaint);
	json_t *(*schema)(const struct value_rule *rule);
} kinds[VALUE_KINDS] = {
	[VALUE_LABEL] = {"name", "a name", parse_name, schema_name},
	[VALUE_NAME] = {"name", "a name", parse_name, schema_name},
	[VALUE_PATH] = {"path", "a guest's path such as hv1/a", parse_path, schema_path},
	[VALUE_TEXT] = {"text", "a word", parse_text, schema_text},
	[VALUE_FILE] = {"file", "a file's path", parse_file, schema_text},
	[VALUE_IMAGE] = {"image", "micro, micro-libvirt, debian-12 or the path of a disk", parse_image, schema_image},
	[VALUE_DRIVER] = {"driver", "qemu, libvirt or a libvirt's URI such as qemu:///system", parse_driver,
			  schema_driver},
	[VALUE_INTEGER] = {"number", NULL, parse_integer, schema_integer},
	[VALUE_RATIO] = {"ratio", NULL, parse_ratio, schema_ratio},
	[VALUE_PERCENT] = {"percentage", NULL, parse_percent, schema_percent},
	[VALUE_SIZE] = {"size", "a size such as 512M, 2G or 1.5G", parse_size, schema_size},
	[VALUE_BOOL] = {"true or false", "true or false", parse_bool, schema_bool},
	[VALUE_CHOICE] = {"word", NULL, parse_choice, schema_choice},
	[VALUE_ADDRESS] = {"address", "an IPv4 or IPv6 address", parse_address, schema_address},
	[VALUE_SUBNET] = {"subnet", "a subnet such as 192.168.124.0/24 or fd00:124::/64", parse_subnet, schema_subnet},
	[VALUE_MAC] = {"MAC address", "a MAC address such as 02:00:00:00:00:01", parse_mac, schema_mac},
	[VALUE_PORT] = {"port", "a port such as 22, 22/tcp or 53/udp", parse_ports, schema_ports},
	[VALUE_PORTS] = {"port", "a port such as 22, 53/udp or 8000-8010/tcp", parse_ports, schema_ports},
	[VALUE_ENDPOINT] = {"endpoint", "L0, world, a guest's or network's path, an address or a subnet", parse_text,
			    schema_text},
};

bool value_parse(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
		 struct complaint *complaint)
{
	return kinds[rule->kind].parse(rule, text, problems, ret, complaint);
}

static const char *expected_choice(const struct choice *choices, struct problems *problems)
{
	cleanup_strbuf struct strbuf list = {0};

	for (const struct choice *c = choices; c->name; c++) {
		bool last = !c[1].name || c[1].refused;

		if (!c->refused)
			strbuf_printf(&list, "%s%s", !list.length ? "" : last ? " or " : ", ", c->name);
	}
	return problems_text(problems, "%s", list.text);
}

const char *value_expected(const struct value_rule *rule, struct problems *problems)
{
	switch ((int)rule->kind) {
	case VALUE_CHOICE:
		return expected_choice(rule->choices, problems);
	case VALUE_INTEGER:
		return problems_text(problems, "a whole number from %llu to %llu", (unsigned long long)rule->minimum,
				     (unsigned long long)rule->maximum);
	case VALUE_RATIO:
		return problems_text(problems, "a ratio from %g to %g, such as 1.5", (double)rule->minimum / 100,
				     (double)rule->maximum / 100);
	case VALUE_PERCENT:
		return problems_text(problems, "a percentage from %llu%% to %llu%%, such as 80%%",
				     (unsigned long long)rule->minimum, (unsigned long long)rule->maximum);
	default:
		return kinds[rule->kind].expected;
	}
}

const char *value_noun(const struct value_rule *rule)
{
	return kinds[rule->kind].noun;
}

json_t *value_schema(const struct value_rule *rule)
{
	return kinds[rule->kind].schema(rule);
}
