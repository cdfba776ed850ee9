#include "cli/question.h"

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "config/spelling.h"
#include "verify/batch.h"
#include "verify/ends.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct reading {
	struct invocation *inv;
	struct asked *asked;
	struct error **err;
};

static int wrong_value(struct reading *reading, const char *option, const char *text, const char *wanted)
{
	return error_set(reading->err, EINVAL, "--%s %s: not %s", option, text, wanted);
}

/* "22", "ssh", "53/udp", "domain/udp" */
static int read_port(struct reading *reading, const char *option, struct ports *ret, bool *ret_given)
{
	const char *text = invocation_string(reading->inv, option);
	size_t length = text ? strcspn(text, "/") : 0;
	uint64_t port;
	char *end;

	*ret_given = text != NULL;
	if (!text)
		return 0;
	port = strtoul(text, &end, 10);
	if (end != text + length || length == 0 || !isdigit((unsigned char)*text)) {
		if (!symbol_find(TYPE_PORT, text, length, &port))
			return wrong_value(reading, option, text, "a port: 22, ssh, 53/udp");
	}
	if (port == 0 || port > UINT16_MAX)
		return wrong_value(reading, option, text, "a port: they are 1 to 65535");
	*ret = port_of((uint16_t)port);
	return 0;
}

static int read_number(struct reading *reading, const char *option, const char *text, uint64_t *ret)
{
	char *end;

	*ret = strtoul(text, &end, 10);
	if ((*end || end == text) && !symbol_find(TYPE_PROTOCOL, text, strlen(text), ret))
		return wrong_value(reading, option, text, "a protocol: tcp, udp, icmp, 47");
	if (*ret > UINT8_MAX)
		return wrong_value(reading, option, text, "a protocol: they end with 255");
	return 0;
}

/* --proto, or what stands behind a port; all that say it must say the same. Without any TCP where there is a port, else
 * a ping. */
static int read_protocol(struct reading *reading, bool has_port)
{
	static const char *const options[] = {"proto", "port", "src-port"};
	struct packet *packet = &reading->asked->question.packet;
	const char *said = NULL;
	uint64_t number = has_port ? PROTOCOL_TCP : PROTOCOL_ICMP;

	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		const char *text = invocation_string(reading->inv, options[i]);
		uint64_t own;
		int r;

		if (text && i > 0)
			text = strchr(text, '/') ? strchr(text, '/') + 1 : NULL;
		if (!text)
			continue;
		r = read_number(reading, options[i], text, &own);
		if (r < 0)
			return r;
		if (said && own != number)
			return error_set(reading->err, EINVAL, "--%s says %s and --%s says %s: which is it?", said,
					 invocation_string(reading->inv, said), options[i], text);
		said = options[i];
		number = own;
	}
	if (number == PROTOCOL_ICMP && packet->family == AF_INET6)
		number = PROTOCOL_ICMPV6;
	packet->protocol = (uint8_t)number;
	return 0;
}

static int read_packet(struct reading *reading)
{
	struct packet *packet = &reading->asked->question.packet;
	long long type = invocation_integer(reading->inv, "icmp", -1);
	const char *state = invocation_string(reading->inv, "state");
	bool has_port, has_source;
	int r;

	reading->asked->question.state = strcmp(state, "established") == 0 ? STATE_ESTABLISHED
					 : strcmp(state, "invalid") == 0   ? STATE_INVALID
									   : STATE_NEW;
	if ((r = read_port(reading, "port", &packet->dport, &has_port)) < 0 ||
	    (r = read_port(reading, "src-port", &packet->sport, &has_source)) < 0 ||
	    (r = read_protocol(reading, has_port || has_source)) < 0)
		return r;
	if ((has_port || has_source) && !packet_has_ports(packet))
		return error_set(reading->err, EINVAL, "this protocol has no ports: leave --port and --src-port");
	if (type >= 0 && !packet_is_icmp(packet))
		return error_set(reading->err, EINVAL, "--icmp is for ICMP, and this is another protocol");
	if (type >= 0)
		packet->icmp_type = (uint8_t)type;
	question_complete(&reading->asked->question, has_source, has_port, false, type >= 0);
	return 0;
}

int question_check(struct invocation *inv)
{
	cleanup_error struct error *err = NULL;
	struct reading reading = {.inv = inv, .err = &err};
	struct ports port;
	bool given;

	if (!invocation_string(inv, "from") || !invocation_string(inv, "to"))
		return invocation_usage(inv, "--from and --to say whose packet it is and where it goes");
	if (read_port(&reading, "port", &port, &given) < 0 || read_port(&reading, "src-port", &port, &given) < 0)
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	return EXIT_DONE;
}

static int is_silent(struct invocation *inv, const char *option, const char *word)
{
	struct error *err = NULL;

	error_set(&err, EHOSTUNREACH, "--%s %s: it could not be asked, so what becomes of packets there is not known",
		  option, word);
	return invocation_fail_as(inv, EXIT_UNKNOWN, &err);
}

/* Those of the facts, and those that were left out because no packet of the question passes them. */
static int no_such_end(struct invocation *inv, const char *option, const char *const *asked, const struct stack *stack)
{
	struct spelling spelling = {.word = invocation_string(inv, option)};
	cleanup_strbuf struct strbuf list = {};
	struct error *err = NULL;

	for (size_t i = 0; i < stack->host_count; i++) {
		spelling_try_path(&spelling, stack->hosts[i].name);
		strbuf_printf(&list, "%s, ", stack->hosts[i].name);
	}
	for (; *asked; asked++) {
		spelling_try_path(&spelling, *asked);
		if (!stack_host(stack, *asked))
			strbuf_printf(&list, "%s, ", *asked);
	}
	spelling_try(&spelling, "world");
	error_set(&err, EINVAL, "--%s %s: neither a host of these facts nor an address", option, spelling.word);
	if (spelling.best)
		error_hint(&err, "did you mean \"%s\"?", spelling.best);
	else
		error_hint(&err, "an address, world for everything outside, or one of the hosts: %.*s",
			   list.length ? (int)list.length - 2 : 0, list.text ? list.text : "");
	return invocation_fail_as(inv, EXIT_USAGE, &err);
}

static int check_end(struct invocation *inv, const char *option, const struct hosts *hosts, const struct stack *stack)
{
	const char *word = invocation_string(inv, option);
	const char *const *asked = hosts_names(hosts);

	if (ends_knows(stack, word))
		return EXIT_DONE;
	for (size_t i = 0; asked[i]; i++)
		if (strcmp(asked[i], word) == 0)
			return is_silent(inv, option, word);
	return no_such_end(inv, option, asked, stack);
}

int question_read(struct invocation *inv, const struct hosts *hosts, const struct stack *stack, struct asked *ret)
{
	cleanup_error struct error *err = NULL;
	struct reading reading = {.inv = inv, .asked = ret, .err = &err};
	struct ends ends = {.from = invocation_string(inv, "from"),
			    .to = invocation_string(inv, "to"),
			    .source = invocation_string(inv, "src"),
			    .interface = invocation_string(inv, "iif"),
			    .family = invocation_flag(inv, "ipv6") ? AF_INET6 : 0};
	int status = check_end(inv, "from", hosts, stack);

	*ret = (struct asked){};
	if (status == EXIT_DONE)
		status = check_end(inv, "to", hosts, stack);
	if (status != EXIT_DONE)
		return status;
	if (ends_resolve(stack, &ends, &ret->question, &ret->target, &err) < 0 || read_packet(&reading) < 0)
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	return EXIT_DONE;
}

int question_publish(struct asked *asked, struct ip *ret_inner, struct error **err)
{
	struct packet *packet = &asked->question.packet;
	char text[IP_TEXT_SIZE];
	struct ip outer;
	int r;

	*ret_inner = (struct ip){0};
	if (!ends_needs_publishing(&asked->question, &outer))
		return 0;
	if (asked->target && outer.family) {
		*ret_inner = packet->dst;
		packet->dst = outer;
		return 0;
	}
	r = error_set(err, EINVAL,
		      "%s is a private address: nobody on the internet can send to it, and no host of these "
		      "facts %s",
		      ip_format(&packet->dst, text),
		      asked->target ? "has an address there that could be sent to instead" : "has it");
	error_hint(err, "somebody of the same network is --from ADDRESS; world is somebody on the internet");
	return r;
}

int question_status(enum fate fate)
{
	return fate == FATE_DELIVERED ? EXIT_DONE : fate == FATE_UNKNOWN ? EXIT_UNKNOWN : EXIT_FAILED;
}
