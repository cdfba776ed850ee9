#include "apply/folders.h"
#include "apply/into.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/pump.h"
#include "cli/target.h"
#include "driver/display.h"
#include "transport/unix_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connects from inside the lab's namespace on this host, where the guest's network is. */
static int connect_guest(const struct lab *lab, const struct guest *guest, uint16_t port, struct error **err)
{
	const struct nic *nic = guest->nic_count ? &guest->nics[0] : NULL;
	const struct ip *ip = nic && nic->address4.family ? &nic->address4 : nic ? &nic->address6 : NULL;
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	cleanup_close int fd = -1;
	char text[IP_TEXT_SIZE];
	bool v4;
	int r;

	if (!ip || !ip->family)
		return error_set(err, EADDRNOTAVAIL, "%s has no fixed address", guest->path);
	r = target_enter(lab, err);
	if (r < 0)
		return r;
	v4 = ip->family == AF_INET;
	memcpy(v4 ? (void *)&a4.sin_addr : (void *)&a6.sin6_addr, ip->bytes, v4 ? 4 : 16);
	fd = socket(ip->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    connect(fd, v4 ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6, v4 ? sizeof(a4) : sizeof(a6)) < 0)
		return error_errno(err, errno, "cannot connect to %s, %s port %u", guest->path, ip_format(ip, text),
				   port);
	return steal_fd(&fd);
}

/* The screen of a guest of this host: any number may look at it. */
static int connect_display(const struct folders *folders, const struct guest *guest, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	const char *path = folders_guest_file(arena, folders, guest->name, "vnc");
	int fd = -1, r;

	if (!guest->display)
		return display_missing(guest->path, err);
	r = unix_connect(path, &fd, err);
	return r < 0 ? r : fd;
}

static int run(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_transport struct transport *t = NULL;
	cleanup_error struct error *err = NULL;
	cleanup_lab struct lab *lab = NULL;
	cleanup_close int peer = -1;
	const struct guest *target;
	struct folders folders;
	struct into_way way;
	const char *port_text = invocation_operand(inv, 1);
	const char *const argv[] = {port_text, NULL};
	char *end;
	long port = strtol(port_text, &end, 10);
	bool display = strcmp(port_text, "display") == 0;
	int status = target_lab(inv, NULL, &lab), r;

	if (status == EXIT_DONE)
		status = target_guest(inv, lab, invocation_operand(inv, 0), &target);
	if (status != EXIT_DONE)
		return status;
	if (!display && (*end || port < 1 || port > 65535))
		return invocation_usage(inv, "\"%s\" is no port", port_text);
	r = folders_of(arena, lab->name, &folders, &err);
	if (r == 0)
		r = into_way(arena, lab, target, "proxy", NULL, argv, &way, &err);
	if (r == 0 && way.direct) {
		peer = display ? connect_display(&folders, target, &err)
			       : connect_guest(lab, target, (uint16_t)port, &err);
		r = peer < 0 ? peer : pump(STDIN_FILENO, STDOUT_FILENO, peer, PUMP_NO_ESCAPE, inv->cancel);
	} else if (r == 0) {
		r = into_open(arena, &folders, lab, way.first, inv->cancel, &t, &err);
		if (r == 0)
			r = transport_stream(t, way.argv, STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, inv->cancel,
					     &status, &err);
	}
	return r < 0 ? invocation_fail(inv, &err) : status;
}

const struct command command_proxy = {
	.name = "proxy",
	.group = GROUP_INSIDE,
	.summary = "connects standard input and output with a TCP port of a guest, at any depth",
	.description = "For use as ssh's ProxyCommand and the like. The connection is made from the guest's own host; "
		       "on the way there it "
		       "runs through the guest agents, so it needs no route.",
	.operands =
		(const struct command_operand[]){{"GUEST", "a guest's path, such as hv1/a", COMPLETE_GUEST},
						 {"PORT", "a TCP port of the guest, or `display` for its screen (VNC)"},
						 {0}},
	.examples =
		(const struct command_example[]){
			{"ssh -o ProxyCommand='nestvisor proxy hv1/a %p' root@a", "what nestvisor ssh does"}, {0}},
	.lab = true,
	.run = run,
};
