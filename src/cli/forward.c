/*
 * A port of a guest at this machine for as long as the command runs, without a rule: each connection is handed to a
 * `nestvisor proxy` of its own, which knows the way to any depth. So it works where the machine does not forward, and
 * for guests whose ports were not published.
 */
#include "base/arena.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/ip.h"
#include "base/process.h"
#include "cli/command.h"
#include "cli/target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 256, BACKLOG = 64, LOOK_MS = 1000 };

struct forward {
	struct process_id children[MOST]; /* one per connection */
	size_t count;
	const char *const *argv;
};

static int listen_at(const struct ip *ip, uint16_t port, int *ret_fd, struct error **err)
{
	bool six = ip->family == AF_INET6;
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	cleanup_close int fd = socket(ip->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[IP_TEXT_SIZE];
	const int on = 1;

	if (fd < 0)
		return error_errno(err, errno, "cannot make a socket");
	memcpy(six ? (void *)&a6.sin6_addr : (void *)&a4.sin_addr, ip->bytes, six ? 16 : 4);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, six ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4, six ? sizeof(a6) : sizeof(a4)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return error_errno(err, errno, "cannot listen on port %u of %s", port, ip_format(ip, text));
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* Forgets the connections that have ended. */
static void reap(struct forward *forward)
{
	size_t kept = 0;
	int status;

	for (size_t i = 0; i < forward->count; i++)
		if (process_wait(&forward->children[i], 0, &status) == -ETIMEDOUT)
			forward->children[kept++] = forward->children[i];
	forward->count = kept;
}

static int take_connection(struct forward *forward, int listener, struct error **err)
{
	cleanup_close int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	const struct process_spec spec = {
		.argv = forward->argv, .netns = -1, .in = fd, .out = fd, .err = STDERR_FILENO};
	int r;

	if (fd < 0) /* it is gone already */
		return 0;
	r = process_spawn(&spec, &forward->children[forward->count], err);
	if (r == 0)
		forward->count++;
	return r;
}

static int serve(struct forward *forward, int listener, struct cancel *cancel, struct error **err)
{
	int r = 0;

	while (r == 0) {
		r = cancel_poll(cancel, forward->count < MOST ? listener : -1, POLLIN, LOOK_MS);
		reap(forward);
		if (r == 1)
			r = take_connection(forward, listener, err);
	}
	for (size_t i = 0; i < forward->count; i++)
		process_end(&forward->children[i], 0, NULL);
	return r == -ECANCELED ? 0 : r;
}

static int parse(struct invocation *inv, struct ip *ret_address, uint16_t *ret_port, uint16_t *ret_as)
{
	const char *text = invocation_operand(inv, 1), *address = invocation_string(inv, "address");
	char *end;
	long port = strtol(text, &end, 10);

	if (*end || port < 1 || port > 65535)
		return invocation_usage(inv, "\"%s\" is no port", text);
	if (!ip_parse(address, ret_address))
		return invocation_usage(inv, "\"%s\" is no address of this machine", address);
	*ret_port = (uint16_t)port;
	*ret_as = (uint16_t)invocation_integer(inv, "as", port);
	return EXIT_DONE;
}

static int run(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	cleanup_lab struct lab *lab = NULL;
	cleanup_close int listener = -1;
	const struct guest *target;
	char program[4096] = "", text[IP_TEXT_SIZE];
	uint16_t port = 0, as = 0;
	struct ip address;
	struct forward *forward = arena_new_struct(arena, struct forward);
	int status = parse(inv, &address, &port, &as);

	if (status == EXIT_DONE)
		status = target_lab(inv, NULL, &lab);
	if (status == EXIT_DONE)
		status = target_guest(inv, lab, invocation_operand(inv, 0), &target);
	if (status != EXIT_DONE)
		return status;
	if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
		return invocation_usage(inv, "cannot find this program: /proc is not mounted");
	forward->argv = (const char *const[]){
		program, "proxy", "--lab", lab->name, target->path, arena_printf(arena, "%u", port), NULL};
	if (listen_at(&address, as, &listener, &err) < 0)
		return invocation_fail(inv, &err);
	invocation_note(inv, "port %u of %s is at %s port %u until Ctrl-C", port, target->path,
			ip_format(&address, text), as);
	return serve(forward, listener, inv->cancel, &err) < 0 ? invocation_fail(inv, &err) : EXIT_DONE;
}

const struct command command_forward = {
	.name = "forward",
	.group = GROUP_INSIDE,
	.summary = "makes a TCP port of a guest reachable at this machine while it runs",
	.description =
		"Listens at this machine and connects whoever comes with the guest's port, at any depth, until it is "
		"stopped. No rule is made and nothing need be forwarded by the machine; the way goes through the guest "
		"agents. For ports that are to stay, and for speed, there is `publish:` in the lab file.",
	.operands = (const struct command_operand[]){{"GUEST", "a guest's path, such as hv1/a", COMPLETE_GUEST},
						     {"PORT", "a TCP port of the guest"},
						     {0}},
	.options = (const struct command_option[]){{"as", 0, OPTION_INTEGER, "PORT",
						    .help = "the port at this machine; the same number if left out",
						    .minimum = 1, .maximum = 65535, .no_env = true},
						   {"address", 0, OPTION_STRING, "ADDRESS",
						    .help = "listen at this address", .fallback = "127.0.0.1",
						    .no_env = true},
						   {0}},
	.examples =
		(const struct command_example[]){
			{"nestvisor forward hv1/win11 3389 --as 13389", "then: xfreerdp /v:127.0.0.1:13389"},
			{"nestvisor forward hv1/a 22 --address 0.0.0.0 --as 2222", "for other machines, too"},
			{0}},
	.lab = true,
	.run = run,
};
