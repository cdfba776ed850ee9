#include "cli/question.h"

#include "verify/batch.h"
#include "verify/ends.h"

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

static int read_port(struct reading *reading, const char *option, struct ports *ret, bool *ret_given)
{
	const char *text = invocation_string(reading->inv, option);
	char *end;
	unsigned long port;

	*ret_given = text != NULL;
	if (!text)
		return 0;
	port = strtoul(text, &end, 10);
	if (end == text || port > UINT16_MAX || (*end && *end != '/'))
		return wrong_value(reading, option, text, "a port: 22, 53/udp");
	*ret = port_of((uint16_t)port);
	return 0;
}

/* --proto, or what stands behind the port; without either TCP where there is a port, else a ping. */
static int read_protocol(struct reading *reading, bool has_port)
{
	const char *text = invocation_string(reading->inv, "proto"), *port = invocation_string(reading->inv, "port");
	const char *slash = port ? strchr(port, '/') : NULL;
	struct packet *packet = &reading->asked->question.packet;
	uint64_t number;
	char *end;

	if (!text && slash)
		text = slash + 1;
	if (!text)
		text = has_port ? "tcp" : "icmp";
	number = strtoul(text, &end, 10);
	if ((*end || end == text) && !symbol_find(TYPE_PROTOCOL, text, strlen(text), &number))
		return wrong_value(reading, "proto", text, "a protocol");
	if (number > 255)
		return wrong_value(reading, "proto", text, "a protocol");
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
		return error_set(reading->err, EINVAL, "this protocol has no ports");
	if (type >= 0)
		packet->icmp_type = (uint8_t)type;
	question_complete(&reading->asked->question, has_source, has_port, false, type >= 0);
	return 0;
}

int question_check(struct invocation *inv)
{
	if (!invocation_string(inv, "from") || !invocation_string(inv, "to"))
		return invocation_usage(inv, "--from and --to say whose packet it is and where it goes");
	return EXIT_DONE;
}

int question_read(struct invocation *inv, const struct stack *stack, struct asked *ret, struct error **err)
{
	struct reading reading = {.inv = inv, .asked = ret, .err = err};
	struct ends ends = {.from = invocation_string(inv, "from"),
			    .to = invocation_string(inv, "to"),
			    .source = invocation_string(inv, "src"),
			    .interface = invocation_string(inv, "iif"),
			    .family = invocation_flag(inv, "ipv6") ? AF_INET6 : 0};
	int r;

	*ret = (struct asked){};
	r = ends_resolve(stack, &ends, &ret->question, &ret->target, err);
	return r < 0 ? r : read_packet(&reading);
}

int question_status(enum fate fate)
{
	return fate == FATE_DELIVERED ? EXIT_DONE : fate == FATE_UNKNOWN ? EXIT_UNKNOWN : EXIT_FAILED;
}
