#include "render/reach.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "cli/command.h"
#include "cli/factsource.h"
#include "cli/hosts.h"
#include "cli/services.h"
#include "render/reach_lab.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { INTERFACES_SIZE_MAX = 16 << 20 };

static int read_protocol(struct invocation *inv, struct reach_question *question)
{
	const char *word = invocation_string(inv, "proto");

	if (!protocol_read(word, &question->protocol))
		return invocation_usage(inv, "\"%s\" is no protocol", word);
	return EXIT_DONE;
}

static int read_ports(struct invocation *inv, struct arena *arena, struct reach_question *question)
{
	size_t count;
	const char *const *words = invocation_strings(inv, "port", &count);
	const char *source = invocation_string(inv, "source-port");
	uint16_t *ports = arena_alloc(arena, (count + 1) * sizeof(*ports)), port;

	for (size_t i = 0; i < count; i++)
		if (!port_read(words[i], &ports[i]))
			return invocation_usage(inv, "\"%s\" is no port", words[i]);
	question->ports = ports;
	question->port_count = count;
	if (source && !port_read(source, &port))
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
	int status;

	*question = (struct reach_question){.iif = invocation_string(inv, "iif"),
					    .oif = invocation_string(inv, "oif"),
					    .hook = hook_read(inv),
					    .memory = memory_read(inv)};
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

/* ---- over a whole lab ---- */

/* What a picture is called: the lab, or the facts. */
static const char *picture_name(struct invocation *inv)
{
	const char *path = invocation_string(inv, "facts"), *lab = invocation_string(inv, "lab"), *slash;

	if (!path)
		return lab ? lab : invocation_operand(inv, 0);
	slash = strrchr(path, '/');
	return slash && slash[1] ? slash + 1 : path;
}

static bool all_known(const struct reach_lab *lab)
{
	size_t count = lab->node_count * lab->node_count * lab->service_count;

	for (int family = 0; family < 2; family++)
		for (size_t i = 0; lab->tables[family].present && i < count; i++)
			if (lab->tables[family].cells[i].verdict == REACH_UNKNOWN)
				return false;
	return true;
}

static int answer_lab(struct invocation *inv, const struct stack *stack)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_reach_lab struct reach_lab *lab = NULL;
	cleanup_error struct error *err = NULL;
	cleanup_strbuf struct strbuf out = {};
	struct reach_lab_question question = {.stack = stack, .memory = memory_read(inv)};
	const char *format = invocation_string(inv, "format");
	struct reach_service *services;
	int status = services_read(inv, arena, &services, &question.service_count);

	if (status != EXIT_DONE)
		return status;
	question.services = services;
	if (reach_lab_new(&question, &lab, &err) < 0)
		return invocation_fail(inv, &err);
	if (inv->json) {
		invocation_answer(inv, reach_lab_json(lab));
		return all_known(lab) ? EXIT_DONE : EXIT_UNKNOWN;
	}
	if (strcmp(format, "mermaid") == 0)
		reach_lab_mermaid(lab, picture_name(inv), &out);
	else if (strcmp(format, "svg") == 0)
		reach_lab_svg(lab, picture_name(inv), &out);
	else
		reach_lab_text(lab, inv->style, inv->verbose, &out);
	invocation_print_text(inv, out.text);
	return all_known(lab) ? EXIT_DONE : EXIT_UNKNOWN;
}

/* ---- both ---- */

/* Where its interfaces are known, it must be one of them. */
static int check_interface(struct invocation *inv, const struct stack_host *host, const char *option)
{
	const char *name = invocation_string(inv, option), *near;
	cleanup_free const char **names = calloc(host->link_count + 1, sizeof(*names));

	if (!names)
		abort();
	if (!name || host->link_count == 0 || stack_link(host, name))
		return EXIT_DONE;
	for (size_t i = 0; i < host->link_count; i++)
		names[i] = host->links[i].name;
	near = command_nearest(name, names);
	return near ? invocation_usage(inv, "%s has no interface %s; did you mean \"%s\"?", host->name, name, near)
		    : invocation_usage(inv, "%s has no interface %s", host->name, name);
}

static int answer_host(struct invocation *inv, const struct stack *stack, const char *name)
{
	cleanup_arena struct arena *arena = arena_new();
	struct reach_question question;
	int status = read_question(inv, arena, &question);

	if (status != EXIT_DONE)
		return status;
	if (!name && stack->host_count != 1)
		return invocation_usage(inv, "these facts hold %zu hosts; --at says whose rules to ask",
					stack->host_count);
	question.host = name ? stack_host(stack, name) : &stack->hosts[0];
	status = check_interface(inv, question.host, "iif");
	if (status == EXIT_DONE)
		status = check_interface(inv, question.host, "oif");
	return status == EXIT_DONE ? answer(inv, &question) : status;
}

/* An option that is about the rules of one host. */
static const char *option_of_host(const struct invocation *inv)
{
	static const char *const names[] = {"at", "hook", "source-port", "iif", "oif", "interfaces"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (invocation_given(inv, names[i]))
			return names[i];
	return NULL;
}

static int ask_now(struct invocation *inv, struct bundle **ret)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_hosts struct hosts hosts = {.arena = arena};

	return factsource_now(inv, invocation_operand(inv, 0), &hosts, ret);
}

static int check_usage(struct invocation *inv, const char *of_host)
{
	const char *lab = invocation_operand(inv, 0);

	if (of_host && (lab || invocation_given(inv, "host")))
		return invocation_usage(inv, "--%s is about the rules of one host, not about a whole lab", of_host);
	if (of_host && invocation_typed(inv, "format"))
		return invocation_usage(inv, "--%s is about the rules of one host, --format about a whole lab",
					of_host);
	if (inv->json && invocation_typed(inv, "format"))
		return invocation_usage(inv, "--json is a format of its own: leave --format");
	if (lab && invocation_typed(inv, "lab"))
		return invocation_usage(inv, "%s and --lab both name the lab: give one of them", lab);
	if (lab && invocation_string(inv, "facts"))
		return invocation_usage(inv, "--facts and a lab are two places to have facts from: give one of them");
	return factsource_check(inv);
}

static int run(struct invocation *inv)
{
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_stack struct stack *stack = NULL;
	cleanup_free char *name = NULL;
	const char *of_host = option_of_host(inv);
	bool whole = invocation_operand(inv, 0) || invocation_given(inv, "host");
	int status = check_usage(inv, of_host);

	if (status != EXIT_DONE)
		return status;
	if (!invocation_string(inv, "facts") && !of_host)
		status = ask_now(inv, &bundle);
	else
		status = factsource_bundle(inv, invocation_string(inv, "at"), COLLECT_NETWORK, &bundle, &name);
	if (status != EXIT_DONE)
		return status;
	stack = stack_new(bundle);
	whole = whole || (!of_host && (stack->host_count > 1 || invocation_given(inv, "format")));
	status = whole ? answer_lab(inv, stack) : answer_host(inv, stack, name);
	return status == EXIT_DONE && hosts_silent(bundle) ? EXIT_UNKNOWN : status;
}

const struct command command_reach = {
	.name = "reach",
	.group = GROUP_PROVE,
	.operands =
		(const struct command_operand[]){
			{.name = "LAB",
			 .help = "a running lab's name, or a lab file: every host of it is asked; if left out the lab "
				 "that runs (that of this folder, or the only one), else this machine",
			 .complete = COMPLETE_LAB_OR_FILE,
			 .optional = true},
			{}},
	.summary = "who may open a connection to whom, over a whole lab or as one host's rules decide",
	.description =
		"Over a lab, or over the hosts of captured facts: who reaches whom, and the world, on which ports; and "
		"where not, which rule, route or sysctl is in the way. Every packet of a question counts that "
		"begins a connection, from any port that hosts choose by themselves (1024 to 65535, as for `allow` in "
		"a policy); \"partly\" says that some get through. A host sends from the address its routes make it "
		"take; "
		"the "
		"world is every address in none of the hosts' subnets. Ends that are alike are one line. Ports are "
		"those "
		"given, else those that somebody listens on, ssh, rdp and ping.\n\n"
		"With --at, or of one host alone: puts the addresses into classes that the rules of one hook cannot "
		"tell "
		"apart, and says which class may open a new connection to which. All tables at the hook count, of "
		"iptables and nftables. What the rules look at and the question leaves open (interfaces, source ports, "
		"MAC addresses, marks) may be anything: an edge says that some packet gets through.\n\n"
		"Where it depends on what no packet shows (a rate, chance, payload, a blanked MAC address) it says "
		"\"perhaps\", and which rules those are.",
	.options =
		(const struct command_option[]){
			FACTSOURCE_OPTIONS,
			HOSTS_OPTION,
			{.name = "format",
			 .letter = 'f',
			 .kind = OPTION_CHOICE,
			 .help = "of a whole lab: how to show it",
			 .choices = (const char *const[]){"text", "mermaid", "svg", NULL},
			 .fallback = "text"},
			{.name = "at",
			 .kind = OPTION_STRING,
			 .argument = "HOST",
			 .help = "whose rules: a host of the facts, or one to be asked now",
			 .complete = COMPLETE_HOST},
			{.name = "hook",
			 .kind = OPTION_CHOICE,
			 .help = "where in that host",
			 .choices = HOOK_CHOICES,
			 .fallback = "forward"},
			{.name = "proto",
			 .kind = OPTION_STRING,
			 .argument = "PROTOCOL",
			 .help = "tcp, udp, icmp or any other, also as a number",
			 .fallback = "tcp"},
			{.name = "port",
			 .letter = 'p',
			 .kind = OPTION_STRING,
			 .argument = "PORT[/PROTO]",
			 .help = "a destination port, or its name; of a whole lab also 53/udp and ping",
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
			MEMORY_OPTION,
			{}},
	.examples =
		(const struct command_example[]){
			{"nestvisor reach", "the lab that runs"},
			{"nestvisor reach first --format svg > first.svg", "the same, as a picture"},
			{"nestvisor reach --facts bundle", "all hosts that were captured"},
			{"nestvisor reach --facts firewall.save --port ssh --port http", "a dump of iptables-save"},
			{"nestvisor reach --at hv1 --proto udp --port 53", "a guest of the lab that runs"},
			{}},
	.statuses = (const struct command_status[]){{EXIT_DONE, "answered"},
						    {EXIT_UNKNOWN,
						     "unknown: a fact is missing, or a host could not be asked"},
						    {}},
	.json = "reach",
	.lab = true,
	.run = run,
};
