#include "cli/services.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "facts/field.h"

#include <stdlib.h>
#include <string.h>

enum hook hook_read(const struct invocation *inv)
{
	static const enum hook hooks[] = {HOOK_FORWARD, HOOK_INPUT, HOOK_OUTPUT, HOOK_PREROUTING, HOOK_POSTROUTING};
	const char *word = invocation_string(inv, "hook");

	for (size_t i = 0; i < sizeof(hooks) / sizeof(*hooks); i++)
		if (strcmp(hook_name(hooks[i]), word) == 0)
			return hooks[i];
	abort(); /* it is one of the option's choices */
}

size_t memory_read(const struct invocation *inv)
{
	return (size_t)invocation_integer(inv, "memory", 0) << 20;
}

static bool number_or_name(const char *word, enum datatype type, unsigned most, uint64_t *ret)
{
	char *end;

	if (symbol_find(type, word, strlen(word), ret))
		return true;
	*ret = strtoull(word, &end, 10);
	return !*end && end != word && *ret <= most;
}

bool protocol_read(const char *word, uint8_t *ret)
{
	uint64_t value;

	if (!number_or_name(word, TYPE_PROTOCOL, UINT8_MAX, &value))
		return false;
	*ret = (uint8_t)value;
	return true;
}

bool port_read(const char *word, uint16_t *ret)
{
	uint64_t value;

	if (!number_or_name(word, TYPE_PORT, UINT16_MAX, &value) || value == 0)
		return false;
	*ret = (uint16_t)value;
	return true;
}

static bool service_read(const char *word, uint8_t protocol, struct reach_service *ret)
{
	cleanup_free char *port = strdup(word);
	char *slash = port ? strchr(port, '/') : NULL;

	if (!port)
		abort();
	if (strcmp(word, "ping") == 0 || strcmp(word, "icmp") == 0) {
		*ret = (struct reach_service){.protocol = PROTOCOL_ICMP};
		return true;
	}
	*ret = (struct reach_service){.protocol = protocol, .has_port = true};
	if (slash)
		*slash++ = '\0';
	if (slash && !protocol_read(slash, &ret->protocol))
		return false;
	return protocol_has_ports(ret->protocol) && port_read(port, &ret->port);
}

int services_read(struct invocation *inv, struct arena *arena, struct reach_service **ret, size_t *ret_count)
{
	const char *word = invocation_string(inv, "proto");
	size_t count;
	const char *const *words = invocation_strings(inv, "port", &count);
	uint8_t protocol = PROTOCOL_TCP;

	*ret = arena_alloc(arena, (count + 1) * sizeof(**ret));
	*ret_count = 0;
	if (word && !protocol_read(word, &protocol))
		return invocation_usage(inv, "\"%s\" is no protocol", word);
	if (count > REACH_SERVICES)
		return invocation_usage(inv, "more than %d ports", REACH_SERVICES);
	for (size_t i = 0; i < count; i++)
		if (!service_read(words[i], protocol, &(*ret)[(*ret_count)++]))
			return invocation_usage(inv, "\"%s\" is no port: 22, ssh, 53/udp, ping", words[i]);
	if (count == 0 && invocation_given(inv, "proto") && !protocol_has_ports(protocol))
		(*ret)[(*ret_count)++] = (struct reach_service){.protocol = protocol};
	return EXIT_DONE;
}
