#include "verify/batch.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "facts/ruleset.h"
#include "verify/ends.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

struct reader {
	const struct stack *stack;
	const json_t *json;
	struct arena *arena;
	struct error **err;
};

static bool is_given(const struct reader *reader, const char *key)
{
	const json_t *value = json_object_get(reader->json, key);

	return value && !json_is_null(value);
}

/* A member as text; NULL where it is not given. */
static const char *text_of(const struct reader *reader, const char *key)
{
	return json_string_value(json_object_get(reader->json, key));
}

static int wrong(const struct reader *reader, const char *key, const char *wanted)
{
	cleanup_free char *text = json_dumps(json_object_get(reader->json, key), JSON_ENCODE_ANY | JSON_COMPACT);

	return error_set(reader->err, EINVAL, "\"%s\": %s is not %s", key, text ? text : "nothing", wanted);
}

static int read_ip(const struct reader *reader, const char *key, struct ip *ret)
{
	const char *text = text_of(reader, key);

	if (!is_given(reader, key))
		return 0;
	return text && ip_parse(text, ret) ? 0 : wrong(reader, key, "an address");
}

static int read_number(const struct reader *reader, const char *key, long long most, long long *ret)
{
	const json_t *value = json_object_get(reader->json, key);

	if (!is_given(reader, key))
		return 0;
	*ret = json_integer_value(value);
	return json_is_integer(value) && *ret >= 0 && *ret <= most ? 0 : wrong(reader, key, "a number in its range");
}

static int read_port(const struct reader *reader, const char *key, struct ports *ret)
{
	long long value = -1;
	int r = read_number(reader, key, UINT16_MAX, &value);

	if (value >= 0)
		*ret = port_of((uint16_t)value);
	return r;
}

static int read_mac(const struct reader *reader, const char *key, struct mac *ret)
{
	const char *text = text_of(reader, key);

	if (!is_given(reader, key))
		return 0;
	ret->known = text && mac_parse(text, ret->bytes);
	return ret->known ? 0 : wrong(reader, key, "a MAC address");
}

/* "tcp", "47", 47 */
static int read_protocol(const struct reader *reader, struct packet *packet)
{
	const json_t *value = json_object_get(reader->json, "proto");
	const char *text = json_string_value(value);
	uint64_t number = 256;
	char *end;

	if (json_is_integer(value)) {
		number = (uint64_t)json_integer_value(value);
	} else if (text && *text) {
		number = strtoul(text, &end, 10);
		if (*end && !symbol_find(TYPE_PROTOCOL, text, strlen(text), &number))
			number = 256;
	}
	if (number > 255)
		return wrong(reader, "proto", "a protocol");
	packet->protocol = (uint8_t)number;
	return 0;
}

static int read_flags(const struct reader *reader, uint8_t *ret)
{
	static const char letters[] = "FSRPAUEC";
	const char *text = text_of(reader, "tcp_flags");

	if (!is_given(reader, "tcp_flags"))
		return 0;
	for (; text && *text; text++) {
		const char *at = strchr(letters, *text);

		if (!at)
			return wrong(reader, "tcp_flags", "letters out of FSRPAUEC");
		*ret |= (uint8_t)(1 << (at - letters));
	}
	return text ? 0 : wrong(reader, "tcp_flags", "letters out of FSRPAUEC");
}

/* One of some words; the first is the default. */
static int read_word(const struct reader *reader, const char *key, const char *const *words, unsigned *ret)
{
	const char *text = text_of(reader, key);

	*ret = 0;
	if (!is_given(reader, key))
		return 0;
	for (unsigned i = 0; words[i]; i++)
		if (text && strcmp(text, words[i]) == 0) {
			*ret = i;
			return 0;
		}
	return wrong(reader, key, "a word that is known here");
}

static int read_link(const struct reader *reader, const char *key, const struct stack_host *host,
		     struct stack_link **ret)
{
	const char *name = text_of(reader, key);

	*ret = NULL;
	if (!is_given(reader, key))
		return 0;
	*ret = name ? stack_link(host, name) : NULL;
	return *ret ? 0
		    : error_set(reader->err, EINVAL, "\"%s\": %s has no interface %s", key, host->name,
				name ? name : "of that name");
}

static int read_place(const struct reader *reader, struct question *question)
{
	const char *at = text_of(reader, "at");
	int r;

	question->at = at ? ends_host(reader->stack, at) : NULL;
	if (!question->at)
		return error_set(reader->err, EINVAL, "\"at\": there is no host %s", at ? at : "given");
	r = read_link(reader, "iif", question->at, &question->iif);
	if (r == 0)
		r = read_link(reader, "in_port", question->at, &question->in_port);
	question->bridged = json_is_true(json_object_get(reader->json, "bridged"));
	return r;
}

static int read_packet(const struct reader *reader, struct packet *packet)
{
	static const char *const fragments[] = {"no", "first", "later", NULL};
	long long type = -1, code = 0, ttl = -1;
	unsigned fragment = 0;
	int r;

	if ((r = read_ip(reader, "src", &packet->src)) < 0 || (r = read_ip(reader, "dst", &packet->dst)) < 0 ||
	    (r = read_protocol(reader, packet)) < 0 || (r = read_port(reader, "sport", &packet->sport)) < 0 ||
	    (r = read_port(reader, "dport", &packet->dport)) < 0 ||
	    (r = read_number(reader, "icmp_type", 255, &type)) < 0 ||
	    (r = read_number(reader, "icmp_code", 255, &code)) < 0 || (r = read_number(reader, "ttl", 255, &ttl)) < 0 ||
	    (r = read_flags(reader, &packet->tcp_flags)) < 0 ||
	    (r = read_mac(reader, "src_mac", &packet->src_mac)) < 0 ||
	    (r = read_mac(reader, "dst_mac", &packet->dst_mac)) < 0 ||
	    (r = read_word(reader, "fragment", fragments, &fragment)) < 0)
		return r;
	packet->family = packet->dst.family;
	packet->fragment = (enum fragment)fragment;
	packet->icmp_code = (uint8_t)code;
	packet->ttl_given = ttl >= 0;
	packet->ttl = number_of((uint64_t)ttl);
	if (type >= 0)
		packet->icmp_type = (uint8_t)type;
	if (packet->src.family && packet->src.family != packet->family)
		return error_set(reader->err, EINVAL, "\"src\" and \"dst\" are of two families");
	return 0;
}

void question_complete(struct question *question, bool has_sport, bool has_dport, bool has_flags, bool has_type)
{
	struct packet *packet = &question->packet;

	packet->tos = number_of(0);
	if (!packet->ttl_given)
		packet->ttl = number_of(64);
	if (packet_has_ports(packet)) {
		if (!has_sport)
			packet->sport = (struct ports){32768, 60999}; /* ip_local_port_range */
		if (!has_dport)
			packet->dport = (struct ports){0, UINT16_MAX};
	}
	if (packet->protocol == PROTOCOL_TCP && !has_flags)
		packet->tcp_flags = question->state == STATE_NEW ? TCP_SYN : TCP_ACK;
	if (packet_is_icmp(packet) && !has_type)
		packet->icmp_type = packet->family == AF_INET ? 8 : 128;
}

const char *const *question_keys(void)
{
	static const char *const keys[] = {"at",       "iif",	    "in_port",	 "bridged",   "src",
					   "dst",      "src_mac",   "dst_mac",	 "proto",     "sport",
					   "dport",    "icmp_type", "icmp_code", "tcp_flags", "ttl",
					   "fragment", "state",	    "direction", "of",	      NULL};

	return keys;
}

/* Without these there is no packet, or nobody who has it. */
static int check_required(const struct reader *reader)
{
	static const char *const required[] = {"at", "dst", "proto"};
	cleanup_strbuf struct strbuf list = {};
	size_t count = 0;

	for (size_t i = 0; i < sizeof(required) / sizeof(*required); i++) {
		if (is_given(reader, required[i]))
			continue;
		strbuf_printf(&list, "%s\"%s\"", count ? ", " : "", required[i]);
		count++;
	}
	if (count == 0)
		return 0;
	return error_set(reader->err, EINVAL, "%s %s missing", list.text, count == 1 ? "is" : "are");
}

int question_from_json(const struct stack *stack, const json_t *json, struct arena *arena, struct question **ret,
		       struct error **err)
{
	static const char *const states[] = {"new", "established", "related", "invalid", NULL};
	static const char *const directions[] = {"original", "reply", NULL};
	struct reader reader = {stack, json, arena, err};
	struct question *question = arena_new_struct(arena, struct question), *first = NULL;
	unsigned state, direction;
	int r;

	if (!json_is_object(json))
		return error_set(err, EINVAL, "a question is an object");
	if ((r = check_required(&reader)) < 0 || (r = read_place(&reader, question)) < 0 ||
	    (r = read_packet(&reader, &question->packet)) < 0 ||
	    (r = read_word(&reader, "state", states, &state)) < 0 ||
	    (r = read_word(&reader, "direction", directions, &direction)) < 0)
		return r;
	question->state = (enum question_state)state;
	question->reply = direction == 1;
	question_complete(question, is_given(&reader, "sport"), is_given(&reader, "dport"),
			  is_given(&reader, "tcp_flags"), is_given(&reader, "icmp_type"));
	if (is_given(&reader, "of")) {
		r = question_from_json(stack, json_object_get(json, "of"), arena, &first, err);
		if (r < 0)
			return error_wrap(err, "\"of\"");
		question->first = first;
	}
	*ret = question;
	return 0;
}

/* ---- answers ---- */

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *ip_json(const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	return ip->family ? json_string(ip_format(ip, text)) : json_null();
}

static json_t *port_json(const struct packet *packet, const struct ports *ports)
{
	return packet_has_ports(packet) && ports->first == ports->last ? json_integer(ports->first) : json_null();
}

json_t *assumptions_json(const struct assumption *assumptions, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		json_t *item = json_pack("{s:s, s:s*}", "text", assumptions[i].text, "command", assumptions[i].command);

		if (assumptions[i].varies)
			json_object_set_new(item, "varies", json_true());
		json_array_append_new(list, item);
	}
	return list;
}

static json_t *rules_json(const struct answer *answer)
{
	json_t *list = json_array();

	for (size_t i = 0; i < answer->step_count; i++) {
		const struct step *step = &answer->steps[i];
		char source[ORIGIN_TEXT_SIZE];

		if (!step->rule)
			continue;
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s}", "host", step->host->name,
						"family", family_name(step->chain->table->table->family), "table",
						step->chain->table->table->name, "chain", step->chain->chain->name,
						"index", (json_int_t)step->rule->index, "source",
						origin_format(&step->rule->origin, source), "text",
						step->rule->text ? step->rule->text : "", "effect",
						step->effect ? step->effect : ""));
	}
	return list;
}

static void set_end(json_t *json, const struct answer *answer)
{
	const struct packet *packet = &answer->packet;
	bool known = answer->fate == FATE_DELIVERED || answer->fate == FATE_DROPPED || answer->fate == FATE_REJECTED;

	json_object_set_new(json, "src", known ? ip_json(&packet->src) : json_null());
	json_object_set_new(json, "dst", known ? ip_json(&packet->dst) : json_null());
	json_object_set_new(json, "sport", known ? port_json(packet, &packet->sport) : json_null());
	json_object_set_new(json, "dport", known ? port_json(packet, &packet->dport) : json_null());
}

static void set_rule(json_t *json, const struct answer *answer)
{
	const struct table *table = answer->chain ? answer->chain->table->table : NULL;

	json_object_set_new(
		json, "rule",
		answer->rule	? text_or_null(answer->rule->text)
		: answer->chain ? json_string(table->backend == BACKEND_XTABLES_LEGACY ? "policy DROP" : "policy drop")
				: json_null());
	json_object_set_new(json, "hook", answer->hook ? json_string(hook_name(answer->hook)) : json_null());
	if (!table)
		return;
	json_object_set_new(json, "table", json_sprintf("%s %s", family_name(table->family), table->name));
	json_object_set_new(json, "chain", json_string(answer->chain->chain->name));
}

static json_t *to_json(const struct answer *answer)
{
	if (answer->fate != FATE_DELIVERED)
		return json_null();
	if (answer->out)
		return json_sprintf("out interface %s of host %s", answer->out->name, answer->where->name);
	return json_sprintf("local process of host %s", answer->where->name);
}

json_t *answer_json(const struct answer *answer)
{
	json_t *json = json_object();

	json_object_set_new(json, "verdict", json_string(fate_word(answer->fate)));
	json_object_set_new(json, "where", answer->where ? json_string(answer->where->name) : json_null());
	json_object_set_new(json, "to", to_json(answer));
	set_end(json, answer);
	set_rule(json, answer);
	if (answer->fate == FATE_LOST)
		json_object_set_new(json, "reason", text_or_null(lost_reason_word(answer->reason)));
	if (answer->answered || answer->fate == FATE_REJECTED)
		json_object_set_new(json, "answered", text_or_null(answer->answered));
	if (answer->out_port)
		json_object_set_new(json, "out_port", json_string(answer->out_port->name));
	json_object_set_new(json, "rules", rules_json(answer));
	json_object_set_new(json, "assumptions", assumptions_json(answer->assumptions, answer->assumption_count));
	if (answer->fate == FATE_UNKNOWN)
		json_object_set_new(json, "missing", assumptions_json(answer->missing, answer->missing_count));
	return json;
}
