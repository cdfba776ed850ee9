/*
 * `nft -j list ruleset` (libnftables-json(5)). Each of its items is written down again in nftables' own language, one
 * line each ("add rule inet filter input tcp dport 22 accept"), and that is parsed: so there is one parser, a rule
 * means the same in both forms, and it has a text to cite. An item's number is the number of its line.
 */
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "facts/nft.h"
#include "facts/parse.h"

#include <string.h>

enum { DEPTH_MAX = 40 };

struct writer {
	struct strbuf *out;
	unsigned depth;
};

static void write_expr(struct writer *writer, const json_t *expr);
static void write_statement(struct writer *writer, const json_t *statement);

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* A name: in quotes, and without what would end them. */
static void write_quoted(struct writer *writer, const char *text)
{
	strbuf_add_char(writer->out, '"');
	for (; *text; text++)
		strbuf_add_char(writer->out, *text == '"' || *text == '\n' ? '_' : *text);
	strbuf_add_char(writer->out, '"');
}

/* Would the text be read as one token that means the same without quotes? */
static bool is_plain(const char *text)
{
	struct prefix prefix;
	bool first = true;
	uint64_t number;

	if (prefix_parse(text, &prefix) || span_mac(span_of(text)).known || span_number(span_of(text), &number))
		return true;
	for (; *text; text++, first = false) {
		bool letter = (*text | 0x20) >= 'a' && (*text | 0x20) <= 'z', digit = *text >= '0' && *text <= '9';

		if (!letter && *text != '_' && (first || (!digit && *text != '-' && *text != '.')))
			return false;
	}
	return !first;
}

static void write_text(struct writer *writer, const char *text)
{
	if (text[0] == '@') {
		strbuf_add_char(writer->out, '@');
		write_quoted(writer, text + 1);
	} else if (strcmp(text, "*") == 0 || is_plain(text)) {
		strbuf_add(writer->out, text);
	} else {
		write_quoted(writer, text);
	}
}

static void write_list(struct writer *writer, const json_t *array, const char *separator)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		if (i > 0)
			strbuf_add(writer->out, separator);
		write_expr(writer, json_array_get(array, i));
	}
}

/* A list, or a single expression. */
static void write_all(struct writer *writer, const json_t *value, const char *separator)
{
	if (json_is_array(value))
		write_list(writer, value, separator);
	else
		write_expr(writer, value);
}

static void write_elements(struct writer *writer, const json_t *elements)
{
	strbuf_add(writer->out, "{ ");
	for (size_t i = 0; i < json_array_size(elements); i++) {
		const json_t *element = json_array_get(elements, i);

		if (i > 0)
			strbuf_add(writer->out, ", ");
		if (json_is_array(element)) { /* a map's: key and data */
			write_expr(writer, json_array_get(element, 0));
			strbuf_add(writer->out, " : ");
			write_expr(writer, json_array_get(element, 1));
		} else {
			write_expr(writer, element);
		}
	}
	if (!json_is_array(elements))
		write_expr(writer, elements);
	strbuf_add(writer->out, " }");
}

static void write_verdict(struct writer *writer, const char *kind, const json_t *value)
{
	strbuf_add(writer->out, kind);
	if (json_is_object(value)) {
		strbuf_add_char(writer->out, ' ');
		write_quoted(writer, text_of(value, "target"));
	}
}

static bool is_verdict(const char *key)
{
	static const char *const verdicts[] = {"accept", "drop", "continue", "return", "jump", "goto"};

	for (size_t i = 0; i < sizeof(verdicts) / sizeof(*verdicts); i++)
		if (strcmp(key, verdicts[i]) == 0)
			return true;
	return false;
}

/* {"val": …, "timeout": 60, "expires": 30, "comment": "…", "counter": {…}} */
static void write_element(struct writer *writer, const json_t *object)
{
	static const char *const times[] = {"timeout", "expires"};

	write_expr(writer, json_object_get(object, "val"));
	for (size_t i = 0; i < 2; i++)
		if (json_object_get(object, times[i]))
			strbuf_printf(writer->out, " %s %llds", times[i], json_get_integer(object, times[i], 0));
	if (json_object_get(object, "counter"))
		strbuf_printf(writer->out, " counter packets %lld bytes %lld",
			      json_get_integer(json_object_get(object, "counter"), "packets", 0),
			      json_get_integer(json_object_get(object, "counter"), "bytes", 0));
	if (json_object_get(object, "comment")) {
		strbuf_add(writer->out, " comment ");
		write_quoted(writer, text_of(object, "comment"));
	}
}

static void write_payload(struct writer *writer, const json_t *object)
{
	if (json_object_get(object, "base"))
		strbuf_printf(writer->out, "@%s,%lld,%lld", text_of(object, "base"),
			      json_get_integer(object, "offset", 0), json_get_integer(object, "len", 0));
	else
		strbuf_printf(writer->out, "%s %s", text_of(object, "protocol"), text_of(object, "field"));
}

static void write_ct(struct writer *writer, const json_t *object)
{
	strbuf_add(writer->out, "ct ");
	if (json_object_get(object, "dir"))
		strbuf_printf(writer->out, "%s ", text_of(object, "dir"));
	if (json_object_get(object, "family"))
		strbuf_printf(writer->out, "%s ", text_of(object, "family"));
	strbuf_add(writer->out, text_of(object, "key"));
}

static void write_fib(struct writer *writer, const json_t *object)
{
	const json_t *flags = json_object_get(object, "flags");

	strbuf_add(writer->out, "fib ");
	write_all(writer, flags, " . ");
	strbuf_printf(writer->out, " %s", text_of(object, "result"));
}

static void write_generated(struct writer *writer, const char *kind, const json_t *object)
{
	strbuf_printf(writer->out, "%s ", kind);
	if (strcmp(kind, "numgen") == 0)
		strbuf_printf(writer->out, "%s ", text_of(object, "mode"));
	if (json_object_get(object, "expr")) {
		write_expr(writer, json_object_get(object, "expr"));
		strbuf_add_char(writer->out, ' ');
	}
	strbuf_printf(writer->out, "mod %lld", json_get_integer(object, "mod", 0));
	if (json_object_get(object, "seed"))
		strbuf_printf(writer->out, " seed %lld", json_get_integer(object, "seed", 0));
	if (json_get_integer(object, "offset", 0))
		strbuf_printf(writer->out, " offset %lld", json_get_integer(object, "offset", 0));
}

/* {"name": "maxseg", "field": "size"} behind "tcp option" and the like */
static void write_option(struct writer *writer, const char *kind, const json_t *object)
{
	if (strcmp(kind, "exthdr") == 0 && json_object_get(object, "field"))
		kind = "";
	else
		strbuf_printf(writer->out, "%s ", kind);
	strbuf_add(writer->out, text_of(object, "name"));
	if (json_object_get(object, "field"))
		strbuf_printf(writer->out, " %s", text_of(object, "field"));
}

static void write_kernel(struct writer *writer, const char *kind, const json_t *object)
{
	strbuf_printf(writer->out, "%s ", kind);
	if (json_object_get(object, "dir"))
		strbuf_printf(writer->out, "%s ", text_of(object, "dir"));
	if (json_object_get(object, "family"))
		strbuf_printf(writer->out, "%s ", text_of(object, "family"));
	if (json_object_get(object, "ttl"))
		strbuf_printf(writer->out, "ttl %s ", text_of(object, "ttl"));
	strbuf_add(writer->out, text_of(object, "key"));
	if (strcmp(text_of(object, "key"), "cgroupv2") == 0)
		strbuf_printf(writer->out, " level %lld", json_get_integer(object, "level", 0));
}

static void write_binary(struct writer *writer, const char *op, const json_t *operands)
{
	char separator[8];

	snprintf(separator, sizeof(separator), " %s ", op);
	strbuf_add_char(writer->out, '(');
	write_list(writer, operands, separator);
	strbuf_add_char(writer->out, ')');
}

static void write_object(struct writer *writer, const char *key, const json_t *value)
{
	if (is_verdict(key)) {
		write_verdict(writer, key, value);
	} else if (strcmp(key, "concat") == 0) {
		write_list(writer, value, " . ");
	} else if (strcmp(key, "set") == 0) {
		write_elements(writer, value);
	} else if (strcmp(key, "map") == 0) {
		write_expr(writer, json_object_get(value, "key"));
		strbuf_add(writer->out, " map ");
		write_expr(writer, json_object_get(value, "data"));
	} else if (strcmp(key, "prefix") == 0) {
		write_expr(writer, json_object_get(value, "addr"));
		strbuf_printf(writer->out, "/%lld", json_get_integer(value, "len", 0));
	} else if (strcmp(key, "range") == 0) {
		write_expr(writer, json_array_get(value, 0));
		strbuf_add_char(writer->out, '-');
		write_expr(writer, json_array_get(value, 1));
	} else if (strcmp(key, "elem") == 0) {
		write_element(writer, value);
	} else if (strcmp(key, "payload") == 0) {
		write_payload(writer, value);
	} else if (strcmp(key, "meta") == 0) {
		strbuf_printf(writer->out, "meta %s", text_of(value, "key"));
	} else if (strcmp(key, "ct") == 0) {
		write_ct(writer, value);
	} else if (strcmp(key, "fib") == 0) {
		write_fib(writer, value);
	} else if (strcmp(key, "numgen") == 0 || strcmp(key, "jhash") == 0 || strcmp(key, "symhash") == 0) {
		write_generated(writer, key, value);
	} else if (strcmp(key, "exthdr") == 0 || strcmp(key, "tcp option") == 0 || strcmp(key, "ip option") == 0 ||
		   strcmp(key, "sctp chunk") == 0 || strcmp(key, "dccp option") == 0) {
		write_option(writer, key, value);
	} else if (strcmp(key, "rt") == 0 || strcmp(key, "socket") == 0 || strcmp(key, "osf") == 0 ||
		   strcmp(key, "ipsec") == 0) {
		write_kernel(writer, key, value);
	} else if (strcmp(key, "|") == 0 || strcmp(key, "&") == 0 || strcmp(key, "^") == 0 || strcmp(key, "<<") == 0 ||
		   strcmp(key, ">>") == 0) {
		write_binary(writer, key, value);
	} else {
		strbuf_printf(writer->out, "?%s", key); /* no word of the language: stays not understood */
	}
}

static void write_expr(struct writer *writer, const json_t *expr)
{
	const char *key;
	json_t *value;

	if (writer->depth >= DEPTH_MAX) {
		strbuf_add_char(writer->out, '?');
		return;
	}
	writer->depth++;
	if (json_is_string(expr))
		write_text(writer, json_string_value(expr));
	else if (json_is_integer(expr))
		strbuf_printf(writer->out, "%lld", (long long)json_integer_value(expr));
	else if (json_is_boolean(expr))
		strbuf_add(writer->out, json_is_true(expr) ? "exists" : "missing");
	else if (json_is_array(expr))
		write_binary(writer, "|", expr); /* flags */
	else
		json_object_foreach ((json_t *)expr, key, value) {
			write_object(writer, key, value);
			break;
		}
	writer->depth--;
}

static void write_match(struct writer *writer, const json_t *match)
{
	const char *op = text_of(match, "op");
	const json_t *left = json_object_get(match, "left"), *right = json_object_get(match, "right");

	write_expr(writer, left);
	if (strcmp(op, "in") != 0) /* that is the operator nobody writes */
		strbuf_printf(writer->out, " %s", op);
	strbuf_add_char(writer->out, ' ');
	write_all(writer, right, ",");
}

static void write_flags(struct writer *writer, const json_t *flags)
{
	if (!flags)
		return;
	strbuf_add_char(writer->out, ' ');
	write_all(writer, flags, ",");
}

static void write_nat(struct writer *writer, const char *kind, const json_t *nat)
{
	const json_t *address = json_object_get(nat, "addr"), *port = json_object_get(nat, "port");
	const json_t *type = json_object_get(nat, "type_flags");
	bool brackets = port && json_is_string(address) && strchr(json_string_value(address), ':');

	strbuf_add(writer->out, kind);
	if (json_object_get(nat, "family"))
		strbuf_printf(writer->out, " %s", text_of(nat, "family"));
	if (json_is_string(type) && strcmp(json_string_value(type), "prefix") == 0)
		strbuf_add(writer->out, " prefix");
	if (address || port)
		strbuf_add(writer->out, " to ");
	if (brackets)
		strbuf_printf(writer->out, "[%s]", json_string_value(address));
	else if (address)
		write_expr(writer, address);
	if (port) {
		strbuf_add_char(writer->out, ':');
		write_expr(writer, port);
	}
	write_flags(writer, json_object_get(nat, "flags"));
}

static void write_limit(struct writer *writer, const json_t *limit)
{
	const char *unit = text_of(limit, "rate_unit"), *burst = text_of(limit, "burst_unit");

	if (json_is_string(limit)) {
		strbuf_add(writer->out, "limit name ");
		write_quoted(writer, json_string_value(limit));
		return;
	}
	strbuf_printf(writer->out, "limit rate %s%lld", json_is_true(json_object_get(limit, "inv")) ? "over " : "",
		      json_get_integer(limit, "rate", 0));
	strbuf_printf(writer->out, *unit && strcmp(unit, "packets") != 0 ? " %s/%s" : "%s/%s",
		      strcmp(unit, "packets") == 0 ? "" : unit, text_of(limit, "per"));
	if (json_object_get(limit, "burst"))
		strbuf_printf(writer->out, " burst %lld %s", json_get_integer(limit, "burst", 0),
			      *burst ? burst : "packets");
}

static void write_quota(struct writer *writer, const json_t *quota)
{
	if (json_is_string(quota)) {
		strbuf_add(writer->out, "quota name ");
		write_quoted(writer, json_string_value(quota));
		return;
	}
	strbuf_printf(writer->out, "quota %s%lld %s", json_is_true(json_object_get(quota, "inv")) ? "over " : "",
		      json_get_integer(quota, "val", 0), text_of(quota, "val_unit"));
	if (json_object_get(quota, "used"))
		strbuf_printf(writer->out, " used %lld %s", json_get_integer(quota, "used", 0),
			      text_of(quota, "used_unit"));
}

static void write_log(struct writer *writer, const json_t *log)
{
	static const char *const numbers[] = {"group", "snaplen", "queue-threshold"};

	strbuf_add(writer->out, "log");
	if (json_object_get(log, "prefix")) {
		strbuf_add(writer->out, " prefix ");
		write_quoted(writer, text_of(log, "prefix"));
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (json_object_get(log, numbers[i]))
			strbuf_printf(writer->out, " %s %lld", numbers[i], json_get_integer(log, numbers[i], 0));
	if (json_object_get(log, "level"))
		strbuf_printf(writer->out, " level %s", text_of(log, "level"));
	if (json_object_get(log, "flags"))
		strbuf_add(writer->out, " flags all"); /* what is logged matters to nobody here */
}

static void write_counter(struct writer *writer, const json_t *counter)
{
	strbuf_add(writer->out, "counter");
	if (json_is_string(counter)) {
		strbuf_add(writer->out, " name ");
		write_quoted(writer, json_string_value(counter));
	} else if (json_is_object(counter)) {
		strbuf_printf(writer->out, " packets %lld bytes %lld", json_get_integer(counter, "packets", 0),
			      json_get_integer(counter, "bytes", 0));
	}
}

static void write_reject(struct writer *writer, const json_t *reject)
{
	const char *type = text_of(reject, "type");

	strbuf_add(writer->out, "reject");
	if (!*type)
		return;
	strbuf_printf(writer->out, " with %s", type);
	if (json_object_get(reject, "expr")) {
		strbuf_add_char(writer->out, ' ');
		write_expr(writer, json_object_get(reject, "expr"));
	}
}

/* {"op": "update", "elem": …, "set": "@s", "stmt": […]}, and the same of maps with data */
static void write_update(struct writer *writer, const json_t *update)
{
	const json_t *statements = json_object_get(update, "stmt"), *data = json_object_get(update, "data");

	strbuf_printf(writer->out, "%s ", text_of(update, "op"));
	write_text(writer, text_of(update, json_object_get(update, "set") ? "set" : "map"));
	strbuf_add(writer->out, " { ");
	write_expr(writer, json_object_get(update, "elem"));
	for (size_t i = 0; i < json_array_size(statements); i++) {
		strbuf_add_char(writer->out, ' ');
		write_statement(writer, json_array_get(statements, i));
	}
	if (data) {
		strbuf_add(writer->out, " : ");
		write_expr(writer, data);
	}
	strbuf_add(writer->out, " }");
}

static void write_divert(struct writer *writer, const char *kind, const json_t *value)
{
	const json_t *device = json_object_get(value, strcmp(kind, "fwd") == 0 ? "dev" : "dev");

	strbuf_add(writer->out, kind);
	if (json_object_get(value, "family"))
		strbuf_printf(writer->out, " %s", text_of(value, "family"));
	strbuf_add(writer->out, " to ");
	if (json_object_get(value, "addr"))
		write_expr(writer, json_object_get(value, "addr"));
	else if (device && strcmp(kind, "fwd") == 0)
		write_expr(writer, device);
	if (json_object_get(value, "port")) {
		strbuf_add_char(writer->out, ':');
		write_expr(writer, json_object_get(value, "port"));
	}
	if (device && json_object_get(value, "addr")) {
		strbuf_add(writer->out, " device ");
		write_expr(writer, device);
	}
}

static void write_queue(struct writer *writer, const json_t *queue)
{
	strbuf_add(writer->out, "queue");
	if (json_object_get(queue, "flags")) {
		strbuf_add(writer->out, " flags");
		write_flags(writer, json_object_get(queue, "flags"));
	}
	if (json_object_get(queue, "num")) {
		strbuf_add(writer->out, " to ");
		write_expr(writer, json_object_get(queue, "num"));
	}
}

static void write_named(struct writer *writer, const char *kind, const json_t *value)
{
	strbuf_printf(writer->out, "%s set ", kind);
	write_quoted(writer, json_is_string(value) ? json_string_value(value) : "?");
}

static void write_keyed(struct writer *writer, const char *key, const json_t *value)
{
	if (is_verdict(key)) {
		write_verdict(writer, key, value);
	} else if (strcmp(key, "match") == 0) {
		write_match(writer, value);
	} else if (strcmp(key, "counter") == 0) {
		write_counter(writer, value);
	} else if (strcmp(key, "mangle") == 0) {
		write_expr(writer, json_object_get(value, "key"));
		strbuf_add(writer->out, " set ");
		write_expr(writer, json_object_get(value, "value"));
	} else if (strcmp(key, "vmap") == 0) {
		write_expr(writer, json_object_get(value, "key"));
		strbuf_add(writer->out, " vmap ");
		write_expr(writer, json_object_get(value, "data"));
	} else if (strcmp(key, "limit") == 0) {
		write_limit(writer, value);
	} else if (strcmp(key, "quota") == 0) {
		write_quota(writer, value);
	} else if (strcmp(key, "log") == 0) {
		write_log(writer, value);
	} else if (strcmp(key, "reject") == 0) {
		write_reject(writer, value);
	} else if (strcmp(key, "snat") == 0 || strcmp(key, "dnat") == 0 || strcmp(key, "masquerade") == 0 ||
		   strcmp(key, "redirect") == 0) {
		write_nat(writer, key, value);
	} else if (strcmp(key, "set") == 0 || strcmp(key, "map") == 0) {
		write_update(writer, value);
	} else if (strcmp(key, "queue") == 0) {
		write_queue(writer, value);
	} else if (strcmp(key, "fwd") == 0 || strcmp(key, "dup") == 0 || strcmp(key, "tproxy") == 0) {
		write_divert(writer, key, value);
	} else if (strcmp(key, "flow") == 0) {
		strbuf_add(writer->out, "flow add ");
		write_text(writer, text_of(value, "flowtable"));
	} else if (strcmp(key, "xt") == 0) {
		strbuf_printf(writer->out, "xt %s ", text_of(value, "type"));
		write_quoted(writer, text_of(value, "name"));
	} else if (strcmp(key, "ct helper") == 0 || strcmp(key, "ct timeout") == 0 ||
		   strcmp(key, "ct expectation") == 0) {
		write_named(writer, key, value);
	} else if (strcmp(key, "ct count") == 0) {
		strbuf_printf(writer->out, "ct count %s%lld",
			      json_is_true(json_object_get(value, "inv")) ? "over " : "",
			      json_get_integer(value, "val", 0));
	} else if (strcmp(key, "notrack") == 0 || strcmp(key, "synproxy") == 0 || strcmp(key, "last") == 0) {
		strbuf_add(writer->out, key);
	} else {
		strbuf_printf(writer->out, "?%s", key);
	}
}

static void write_statement(struct writer *writer, const json_t *statement)
{
	const char *key;
	json_t *value;

	if (json_is_string(statement)) {
		strbuf_add(writer->out, json_string_value(statement));
		return;
	}
	json_object_foreach ((json_t *)statement, key, value) {
		write_keyed(writer, key, value);
		break;
	}
}

static void write_name(struct writer *writer, const json_t *object, const char *key)
{
	strbuf_printf(writer->out, " %s ", text_of(object, "family"));
	write_quoted(writer, text_of(object, key));
}

static void write_handle(struct writer *writer, const json_t *object)
{
	if (json_object_get(object, "handle"))
		strbuf_printf(writer->out, " # handle %lld", json_get_integer(object, "handle", 0));
}

static void write_table(struct writer *writer, const json_t *table)
{
	strbuf_add(writer->out, "add table");
	write_name(writer, table, "name");
	if (json_object_get(table, "flags")) {
		strbuf_add(writer->out, " { flags ");
		/* nft up to 1.0.6 says the table's name where it means its flag, which is mostly that. */
		if (strcmp(text_of(table, "flags"), text_of(table, "name")) == 0)
			strbuf_add(writer->out, "dormant");
		else
			write_all(writer, json_object_get(table, "flags"), ",");
		strbuf_add(writer->out, " ; }");
	}
}

static void write_chain(struct writer *writer, const json_t *chain)
{
	const json_t *device = json_object_get(chain, "dev");

	strbuf_add(writer->out, "add chain");
	write_name(writer, chain, "table");
	strbuf_add_char(writer->out, ' ');
	write_quoted(writer, text_of(chain, "name"));
	strbuf_add(writer->out, " { ");
	if (json_object_get(chain, "hook")) {
		strbuf_printf(writer->out, "type %s hook %s", text_of(chain, "type"), text_of(chain, "hook"));
		if (device) {
			strbuf_add(writer->out, " devices = { ");
			write_all(writer, device, ", ");
			strbuf_add(writer->out, " }");
		}
		strbuf_printf(writer->out, " priority %lld; ", json_get_integer(chain, "prio", 0));
		if (json_object_get(chain, "policy"))
			strbuf_printf(writer->out, "policy %s; ", text_of(chain, "policy"));
	}
	strbuf_add(writer->out, "}");
}

static void write_rule(struct writer *writer, const json_t *rule)
{
	const json_t *statements = json_object_get(rule, "expr");

	strbuf_add(writer->out, "add rule");
	write_name(writer, rule, "table");
	strbuf_add_char(writer->out, ' ');
	write_quoted(writer, text_of(rule, "chain"));
	for (size_t i = 0; i < json_array_size(statements); i++) {
		strbuf_add_char(writer->out, ' ');
		writer->depth = 0;
		write_statement(writer, json_array_get(statements, i));
	}
	if (json_object_get(rule, "comment")) {
		strbuf_add(writer->out, " comment ");
		write_quoted(writer, text_of(rule, "comment"));
	}
	write_handle(writer, rule);
}

/* "type": "ipv4_addr", ["ipv4_addr", "inet_service"], or {"typeof": …} */
static void write_types(struct writer *writer, const json_t *type)
{
	for (size_t i = 0; i < json_array_size(type); i++)
		strbuf_printf(writer->out, "%s%s", i ? " . " : "",
			      json_is_string(json_array_get(type, i)) ? json_string_value(json_array_get(type, i))
								      : "?");
	if (json_is_string(type))
		strbuf_add(writer->out, json_string_value(type));
}

static void write_set(struct writer *writer, const json_t *set, bool map)
{
	const json_t *elements = json_object_get(set, "elem");

	strbuf_printf(writer->out, "add %s", map ? "map" : "set");
	write_name(writer, set, "table");
	strbuf_add_char(writer->out, ' ');
	write_quoted(writer, text_of(set, "name"));
	strbuf_add(writer->out, " { type ");
	write_types(writer, json_object_get(set, "type"));
	if (map) {
		strbuf_add(writer->out, " : ");
		write_types(writer, json_object_get(set, "map"));
	}
	strbuf_add(writer->out, "; ");
	if (json_object_get(set, "flags")) {
		strbuf_add(writer->out, "flags ");
		write_all(writer, json_object_get(set, "flags"), ",");
		strbuf_add(writer->out, "; ");
	}
	if (json_object_get(set, "timeout"))
		strbuf_printf(writer->out, "timeout %llds; ", json_get_integer(set, "timeout", 0));
	if (json_object_get(set, "size"))
		strbuf_printf(writer->out, "size %lld; ", json_get_integer(set, "size", 0));
	if (json_is_true(json_object_get(set, "auto-merge")))
		strbuf_add(writer->out, "auto-merge; ");
	if (json_array_size(elements) > 0) {
		strbuf_add(writer->out, "elements = ");
		writer->depth = 0;
		write_elements(writer, elements);
		strbuf_add_char(writer->out, ' ');
	}
	strbuf_add(writer->out, "}");
	write_handle(writer, set);
}

static void write_flowtable(struct writer *writer, const json_t *flowtable)
{
	strbuf_add(writer->out, "add flowtable");
	write_name(writer, flowtable, "table");
	strbuf_add_char(writer->out, ' ');
	write_quoted(writer, text_of(flowtable, "name"));
	strbuf_printf(writer->out, " { hook %s priority %lld; devices = { ", text_of(flowtable, "hook"),
		      json_get_integer(flowtable, "prio", 0));
	write_all(writer, json_object_get(flowtable, "dev"), ", ");
	strbuf_add(writer->out, " }; }");
}

/* Counters, quotas and the like: what they are and what they are called. */
static void write_other(struct writer *writer, const char *kind, const json_t *object)
{
	strbuf_printf(writer->out, "add %s", kind);
	write_name(writer, object, "table");
	strbuf_add_char(writer->out, ' ');
	write_quoted(writer, text_of(object, "name"));
}

static void write_item(struct writer *writer, const json_t *item)
{
	const char *kind;
	json_t *object;

	json_object_foreach ((json_t *)item, kind, object) {
		writer->depth = 0;
		if (strcmp(kind, "table") == 0)
			write_table(writer, object);
		else if (strcmp(kind, "chain") == 0)
			write_chain(writer, object);
		else if (strcmp(kind, "rule") == 0)
			write_rule(writer, object);
		else if (strcmp(kind, "set") == 0 || strcmp(kind, "map") == 0 || strcmp(kind, "meter") == 0)
			write_set(writer, object, strcmp(kind, "map") == 0);
		else if (strcmp(kind, "flowtable") == 0)
			write_flowtable(writer, object);
		else if (strcmp(kind, "metainfo") != 0)
			write_other(writer, kind, object);
		break;
	}
}

static void set_whole(struct ruleset *ruleset)
{
	for (size_t i = 0; i < ruleset->table_count; i++) {
		ruleset->tables[i].whole = TRUTH_YES;
		for (size_t j = 0; j < ruleset->tables[i].chain_count; j++)
			ruleset->tables[i].chains[j].whole = TRUTH_YES;
	}
}

void parse_nft_json(struct reader *reader, const struct asked *asked, json_t *document)
{
	const json_t *items = json_object_get(document, "nftables");
	cleanup_strbuf struct strbuf text = {};
	struct writer writer = {.out = &text};

	strbuf_add(&text, "");
	for (size_t i = 0; i < json_array_size(items); i++) {
		write_item(&writer, json_array_get(items, i));
		strbuf_add_char(&text, '\n');
	}
	reader->json = true;
	reader->at = text.text;
	reader->end = text.text + text.length;
	reader->line = 0;
	parse_nft(reader, &(struct asked){.family = asked->family, .table = asked->table, .listing = true});
	set_whole(reader->ruleset);
	reader->at = reader->end = NULL;
}
