#include "apply/into.h"

#include "apply/machines.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "model/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int open_ssh(struct arena *arena, const struct folders *folders, const struct lab *lab,
		    const struct guest *guest, struct transport **ret, struct error **err)
{
	char ip[IP_TEXT_SIZE];
	const struct nic *nic = guest->nic_count ? &guest->nics[0] : NULL;
	const struct ip *address = nic && nic->address4.family	 ? &nic->address4
				   : nic && nic->address6.family ? &nic->address6
								 : NULL;
	struct ssh_target target = {
		.user = guest->ssh_user,
		.key = guest->ssh_key,
		.control_path = folders_guest_file(arena, folders, guest->name, "ssh"),
		.known_hosts = folders_guest_file(arena, folders, guest->name, "known_hosts"),
	};
	cleanup_close int netns = -1;

	if (!address)
		return error_set(err, EADDRNOTAVAIL, "%s has no fixed address to reach it by ssh", guest->path);
	target.host = arena_strdup(arena, ip_format(address, ip));
	netns = open(arena_printf(arena, "/run/netns/nestvisor-%s", lab->name), O_RDONLY | O_CLOEXEC);
	target.netns = netns;
	return transport_ssh(&target, ret, err);
}

int into_open(struct arena *arena, const struct folders *folders, const struct lab *lab, const struct guest *guest,
	      struct cancel *cancel, struct transport **ret, struct error **err)
{
	const char *socket;

	if (guest->machine)
		return machines_open(arena, folders, lab, guest->machine, ret, err);
	if (guest->transport == TRANSPORT_SSH)
		return open_ssh(arena, folders, lab, guest, ret, err);
	if (guest->adopted) {
		error_set(err, EOPNOTSUPP, "%s is adopted: its guest agent is libvirt's to ask", guest->path);
		error_hint(err,
			   "with transport: ssh and an address in the lab file nestvisor asks it by ssh; virsh -c %s "
			   "qemu-agent-command %s '{\"execute\": \"guest-ping\"}' asks the agent",
			   lab->adopted, guest->adopted);
		return -EOPNOTSUPP;
	}
	if (settings_system(guest->os) == ESXI) {
		error_set(err, EOPNOTSUPP, "%s has no guest agent: there is none for ESXi", guest->path);
		error_hint(err, "with transport: ssh, and SSH switched on in ESXi, nestvisor asks it by ssh");
		return -EOPNOTSUPP;
	}
	socket = folders_guest_file(arena, folders, guest->name, "qga");
	if (!file_exists(arena_printf(arena, "%s.in", socket))) {
		error_set(err, ENOENT, "%s is not running", guest->path);
		error_hint(err, "nestvisor up, and nestvisor status to see what runs");
		return -ENOENT;
	}
	return transport_qga(socket, cancel, ret, err);
}

void into_end_master(const char *run_dir)
{
	/* ssh finds its master by the socket alone; it wants a name nevertheless. */
	struct ssh_target target = {.host = "guest", .netns = -1};
	cleanup_free char *socket = NULL;

	if (asprintf(&socket, "%s/ssh", run_dir) < 0)
		abort();
	target.control_path = socket;
	ssh_end_master(&target, NULL, NULL);
}

static size_t count_words(const char *const *words)
{
	size_t count = 0;

	while (words && words[count])
		count++;
	return count;
}

int into_way(struct arena *arena, const struct lab *lab, const struct guest *target, const char *command,
	     const char *const options[], const char *const argv[], struct into_way *ret, struct error **err)
{
	size_t option_count = count_words(options), argc = count_words(argv), n = 0;
	const char **words;

	ret->first = host_guest_towards(lab->root, target);
	if (!ret->first)
		return error_set(err, ENOENT, "%s is not below this host", target->path);
	ret->direct = ret->first == target && (!target->machine || guest_is_machine(target));
	ret->argv = argv;
	if (ret->direct)
		return 0;
	words = arena_alloc(arena, (option_count + argc + 8) * sizeof(*words));
	words[n++] = "nestvisor";
	words[n++] = command;
	words[n++] = "--lab";
	words[n++] = lab->name;
	for (size_t i = 0; i < option_count; i++)
		words[n++] = options[i];
	words[n++] = target->path;
	if (argc)
		words[n++] = "--";
	for (size_t i = 0; i < argc; i++)
		words[n++] = argv[i];
	ret->argv = words;
	return 0;
}
