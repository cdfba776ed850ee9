#include "render/reach.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "cli/command.h"
#include "cli/factsource.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { INTERFACES_SIZE_MAX = 16 << 20 };

static int read_protocol(struct invocation *inv, struct reach_question *question)
{
	const char *word = invocation_string(inv, "proto");
	uint64_t value;
	char *end;

	if (!symbol_find(TYPE_PROTOCOL, word, strlen(word), &value)) {
		value = strtoull(word, &end, 10);
		if (*end || end == word || value > 255)
			return invocation_usage(inv, "\"%s\" is no protocol", word);
	}
	question->protocol = (uint8_t)value;
	return EXIT_DONE;
}

static bool read_port(const char *word, uint16_t *ret)
{
	uint64_t value;
	char *end;

	if (!symbol_find(TYPE_PORT, word, strlen(word), &value)) {
		value = strtoull(word, &end, 10);
		if (*end || end == word || value > 65535)
			return false;
	}
	*ret = (uint16_t)value;
	return true;
}

static int read_ports(struct invocation *inv, struct arena *arena, struct reach_question *question)
{
	size_t count;
	const char *const *words = invocation_strings(inv, "port", &count);
	const char *source = invocation_string(inv, "source-port");
	uint16_t *ports = arena_alloc(arena, (count + 1) * sizeof(*ports)), port;

	for (size_t i = 0; i < count; i++)
		if (!read_port(words[i], &ports[i]))
			return invocation_usage(inv, "\"%s\" is no port", words[i]);
	question->ports = ports;
	question->port_count = count;
	if (source && !read_port(source, &port))
		return invocation_usage(inv, "\"%s\" is no port", source);
	if (source)
		question->source_port = number_of(port);
	return EXIT_DONE;
}

static int read_interfaces(struct invocation *inv, struct arena *arena, struct reach_question *question)
{
	const char *path = invocation_string(inv, "interfaces");
	cleanup_error struct error *err = NULL;
	cleanup_free char *text = NULL;
	size_t length;

	if (!path)
		return EXIT_DONE;
	if (file_read(path, INTERFACES_SIZE_MAX, &text, &length, &err) < 0 ||
	    reach_read_interfaces(path, text, arena, &question->interfaces, &question->interface_count, &err) < 0)
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	return EXIT_DONE;
}

static int read_question(struct invocation *inv, struct arena *arena, struct reach_question *question)
{
	static const enum hook hooks[] = {HOOK_FORWARD, HOOK_INPUT, HOOK_OUTPUT, HOOK_PREROUTING, HOOK_POSTROUTING};
	const char *hook = invocation_string(inv, "hook");
	int status;

	*question = (struct reach_question){.iif = invocation_string(inv, "iif"),
					    .oif = invocation_string(inv, "oif"),
					    .memory = (size_t)invocation_integer(inv, "memory", 0) << 20};
	for (size_t i = 0; i < sizeof(hooks) / sizeof(*hooks); i++)
		if (strcmp(hook_name(hooks[i]), hook) == 0)
			question->hook = hooks[i];
	if ((status = read_protocol(inv, question)) != EXIT_DONE)
		return status;
	if ((status = read_ports(inv, arena, question)) != EXIT_DONE)
		return status;
	return read_interfaces(inv, arena, question);
}

static int answer(struct invocation *inv, const struct reach_question *question)
{
	cleanup_reach struct reach *reach = NULL;
	cleanup_error struct error *err = NULL;
	cleanup_strbuf struct strbuf out = {};
	bool known = false;

	if (reach_new(question, &reach, &err) < 0)
		return invocation_fail(inv, &err);
	for (size_t i = 0; i < 2; i++)
		known = known || reach->families[i].captured;
	if (inv->json) {
		invocation_answer(inv, reach_json(reach, question));
	} else {
		reach_text(reach, question, inv->style, inv->verbose, &out);
		invocation_print_text(inv, out.text);
	}
	return known ? EXIT_DONE : EXIT_UNKNOWN;
}

static int run(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_stack struct stack *stack = NULL;
	cleanup_free char *host = NULL;
	struct reach_question question;
	int status = read_question(inv, arena, &question);

	if (status != EXIT_DONE)
		return status;
	status = factsource_bundle(inv, invocation_string(inv, "at"), COLLECT_NETWORK, &bundle, &host);
	if (status != EXIT_DONE)
		return status;
	stack = stack_new(bundle);
	if (!host && stack->host_count != 1)
		return invocation_usage(inv, "these facts hold %zu hosts; --at says whose rules to ask",
					stack->host_count);
	question.host = host ? stack_host(stack, host) : &stack->hosts[0];
	return answer(inv, &question);
}

const struct command command_reach = {
	.name = "reach",
	.group = GROUP_PROVE,
	.summary = "who may open a connection to whom, as a host's rules decide",
	.description =
		"Puts the addresses into classes that the rules of one hook cannot tell apart, and says which class "
		"may "
		"open a new connection to which, for every port that is asked for. All tables at the hook count, of "
		"iptables and nftables.\n\n"
		"What the rules look at and the question leaves open (interfaces, source ports, MAC addresses, marks) "
		"may "
		"be anything: an edge says that some packet gets through. Where that depends on what no packet shows "
		"(a "
		"rate, chance, payload, a blanked MAC address) it says \"perhaps\", and which rules those are.",
	.options =
		(const struct command_option[]){
			FACTSOURCE_OPTIONS,
			{.name = "at",
			 .kind = OPTION_STRING,
			 .argument = "HOST",
			 .help = "whose rules: a host of the facts, or one to be asked now",
			 .complete = COMPLETE_HOST},
			{.name = "hook",
			 .kind = OPTION_CHOICE,
			 .help = "where in that host",
			 .choices =
				 (const char *const[]){"forward", "input", "output", "prerouting", "postrouting", NULL},
			 .fallback = "forward"},
			{.name = "proto",
			 .kind = OPTION_STRING,
			 .argument = "PROTOCOL",
			 .help = "tcp, udp, icmp or any other, also as a number",
			 .fallback = "tcp"},
			{.name = "port",
			 .letter = 'p',
			 .kind = OPTION_STRING,
			 .argument = "PORT",
			 .help = "a destination port; without any, whether some port gets through",
			 .repeated = true},
			{.name = "source-port",
			 .kind = OPTION_STRING,
			 .argument = "PORT",
			 .help = "from this port only"},
			{.name = "iif", .kind = OPTION_STRING, .argument = "INTERFACE", .help = "arriving here only"},
			{.name = "oif", .kind = OPTION_STRING, .argument = "INTERFACE", .help = "leaving here only"},
			{.name = "interfaces",
			 .kind = OPTION_STRING,
			 .argument = "FILE",
			 .help = "which sources are behind which interface, as lines \"eth1 = [10.0.0.0/8, "
				 "192.168.1.1]\" "
				 "or \"eth0 = all_but_those_ips [10.0.0.0/8]\"",
			 .complete = COMPLETE_FILE},
			{.name = "memory",
			 .kind = OPTION_INTEGER,
			 .argument = "MIB",
			 .help = "give up when sets of packets take more",
			 .fallback = "2048",
			 .minimum = 1,
			 .maximum = 65536},
			{}},
	.examples =
		(const struct command_example[]){
			{"nestvisor reach --facts firewall.save --port ssh --port http", "a dump of iptables-save"},
			{"nestvisor reach --at hv1 --proto udp --port 53", "a guest of the lab that runs"},
			{}},
	.statuses = (const struct command_status[]){{EXIT_DONE, "answered"},
						    {EXIT_UNKNOWN, "unknown: no rules of this hook were captured"},
						    {}},
	.json = "reach",
	.lab = true,
	.run = run,
};
