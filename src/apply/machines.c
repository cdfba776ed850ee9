#include "apply/machines.h"

#include "apply/up.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/places.h"
#include "base/report.h"
#include "base/strbuf.h"
#include "config/config.h"
#include "net/net.h"
#include "plan/place.h"
#include "plan/spec.h"
#include "plan/state.h"
#include "transport/transport.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef NESTVISOR_VERSION
#error "the build defines NESTVISOR_VERSION"
#endif

enum {
	ANSWER_MS = 20000,
	NOT_FOUND = 127,
	MEMORY_PERCENT = 112,
	MTU_ETHERNET = 1500,
	MTU_LEAST = 576,
	ID_LIMIT = 4096
};

/* ─── this machine ─── */

static char *read_line(const char *path)
{
	char *text = NULL;
	size_t length;

	if (file_read(path, ID_LIMIT, &text, &length, NULL) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return text;
}

const char *machines_this(struct arena *arena)
{
	cleanup_free char *id = read_line("/etc/machine-id");
	char name[256] = "";

	gethostname(name, sizeof(name) - 1);
	return arena_printf(arena, "%s %s", *name ? name : "?", id ? id : "");
}

/* Two that keep their labs in the same place are the same. */
static const char *place_of_labs(struct arena *arena)
{
	cleanup_free char *boot = read_line("/proc/sys/kernel/random/boot_id");
	const char *root = places_run_root();
	const char *slash = strrchr(root, '/');
	struct stat folder = {0};

	stat(slash && slash > root ? arena_strndup(arena, root, (size_t)(slash - root)) : "/", &folder);
	return arena_printf(arena, "%s %llx:%llx", boot ? boot : "", (unsigned long long)folder.st_dev,
			    (unsigned long long)folder.st_ino);
}

json_t *machines_room(const struct machine_room *room, const struct ip *to, size_t count)
{
	cleanup_arena struct arena *arena = arena_new();
	json_t *paths = json_array();

	for (size_t i = 0; i < count; i++) {
		char there[IP_TEXT_SIZE], here[IP_TEXT_SIZE];
		cleanup_error struct error *problem = NULL;
		struct ip from;
		unsigned mtu;

		ip_format(&to[i], there);
		if (net_path(&to[i], &from, &mtu, &problem) < 0)
			json_array_append_new(paths, json_pack("{s:s, s:s}", "to", there, "problem", problem->message));
		else
			json_array_append_new(paths, json_pack("{s:s, s:s, s:i}", "to", there, "from",
							       ip_format(&from, here), "mtu", (int)mtu));
	}
	return json_pack("{s:s, s:s, s:s, s:b, s:i, s:I, s:o}", "version", NESTVISOR_VERSION, "host",
			 machines_this(arena), "place", place_of_labs(arena), "root", geteuid() == 0, "cpus",
			 (int)room->cpus, "memory", (json_int_t)room->memory, "paths", paths);
}

int machines_check_part(const struct lab *part, const struct lab *applied, struct error **err)
{
	if (!applied || (!part->here && !applied->here))
		return 0;
	if (part->here && applied->here && part->home && applied->home && machines_same(part->home, applied->home) &&
	    strcmp(part->here, applied->here) == 0)
		return 0;
	error_set(err, EEXIST, "a lab %s is here already, %s%s", part->name,
		  applied->here ? "as a host of that of " : "of its own",
		  applied->here && applied->home ? applied->home : "");
	error_hint(err, "call one of them otherwise, or take that one away: nestvisor down %s", part->name);
	return -EEXIST;
}

/* ─── the way there ─── */

static struct ssh_target target_of(struct arena *arena, const struct folders *folders, const struct lab *lab,
				   const struct lab_machine *machine)
{
	char id[ID_TEXT_SIZE];
	struct ssh_target target = {
		.host = machine->ssh_host,
		.user = machine->guest->ssh_user,
		.key = machine->guest->ssh_key,
		.port = machine->ssh_port,
		.netns = -1,
	};

	/*
	 * A name of its own length: ssh takes 90 characters at most. It is of where it leads: what a file that was
	 * changed calls by the same name is not reached by it. Before the lab is up there is no place for it.
	 */
	model_derive_id(lab->name,
			arena_printf(arena, "%s %s %s %u %s", machine->name, machine->ssh_host,
				     target.user ? target.user : "", (unsigned)target.port,
				     target.key ? target.key : ""),
			id);
	if (file_exists(folders->run))
		target.control_path = arena_printf(arena, "%s/ssh-%s", folders->run, id);
	return target;
}

int machines_open(struct arena *arena, const struct folders *folders, const struct lab *lab,
		  const struct lab_machine *machine, struct transport **ret, struct error **err)
{
	const struct ssh_target target = target_of(arena, folders, lab, machine);

	return transport_ssh(&target, ret, err);
}

int machines_fail(const struct lab_machine *machine, int status, const char *err_text, struct error **err)
{
	int r;

	if (status == NOT_FOUND) {
		r = error_set(err, ENOENT, "%s has no nestvisor that its user finds", machine->name);
		error_hint(
			err,
			"install nestvisor %s there, in a folder of the PATH that `ssh %s%s%s nestvisor version` sees",
			NESTVISOR_VERSION, machine->guest->ssh_user ? machine->guest->ssh_user : "",
			machine->guest->ssh_user ? "@" : "", machine->ssh_host);
		return r;
	}
	return error_set(err, EIO, "the nestvisor of %s ended with status %d: %s", machine->name, status, err_text);
}

/* ─── its part ─── */

const char *machines_part_digest(struct arena *arena, const struct lab *lab, const struct lab_machine *machine)
{
	cleanup_json json_t *part = config_part(lab, machine->guest->host);
	cleanup_free char *text = json_text(part);
	char digest[HASH_TEXT_SIZE];

	hash_bytes(text, strlen(text), digest);
	return arena_strdup(arena, digest);
}

json_t *machines_state(const struct lab *lab, const struct lab_machine *machine)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_json json_t *whole = config_part(lab, lab->root);

	return json_pack("{s:s, s:O}", "part", machines_part_digest(arena, lab, machine), "host",
			 json_object_get(json_object_get(whole, "hosts"), machine->name));
}

int machines_leave(const struct folders *folders, const char *name, const json_t *kept, unsigned flags,
		   struct reporter *reporter, struct cancel *cancel, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	const char *argv[] = {"nestvisor",	    "down", folders->lab, "--json", "--home",
			      machines_this(arena), NULL,   NULL,	  NULL};
	size_t argc = 6;
	cleanup_output struct process_output output = {0};
	cleanup_transport struct transport *t = NULL;
	cleanup_lab struct lab *lab = NULL;
	int r = machines_load_kept(folders->lab, name, kept, &lab, err);

	if (flags & DOWN_KEEP_DISKS)
		argv[argc++] = "--keep-disks";
	if (flags & DOWN_FORCE)
		argv[argc++] = "--force";
	report(reporter, REPORT_BEGIN, name, "taking away its part");
	if (r == 0)
		r = machines_open(arena, folders, lab, lab->machines[0], &t, err);
	if (r == 0)
		r = transport_run(t, argv, NULL, 0, -1, cancel, &output, err);
	if (r == 0 && output.status)
		r = machines_fail(lab->machines[0], output.status, output.err, err);
	if (lab) {
		const struct ssh_target target = target_of(arena, folders, lab, lab->machines[0]);

		ssh_end_master(&target, NULL, NULL);
	}
	report(reporter, r < 0 ? REPORT_FAILED : REPORT_DONE, name,
	       r < 0 ? "its part is still there" : "its part is gone");
	return r < 0 ? error_wrap(err, "host %s", name) : 0;
}

/* ─── asking ─── */

struct answer {
	struct arena *arena;
	const struct lab *lab;
	const struct lab_machine *machine;
	const struct folders *folders;
	struct cancel *cancel;
	json_t *room;	   /* NULL: it is not known */
	struct error *err; /* why */
	pthread_t thread;
	bool threaded;
};

static int check_room(const struct answer *a, const json_t *room, struct error **err)
{
	const char *version = json_get_string(room, "version", ""), *name = a->machine->name;
	cleanup_arena struct arena *arena = arena_new();
	int r;

	if (strcmp(json_get_string(room, "place", ""), place_of_labs(arena)) == 0) {
		r = error_set(err, ELOOP, "%s is this machine itself", name);
		error_hint(err, "take it out of hosts: this machine is one of them in any case, and is called L0");
		return r;
	}
	if (strcmp(version, NESTVISOR_VERSION) != 0) {
		r = error_set(err, EPROTO, "%s has nestvisor %s, and this is %s", name, version, NESTVISOR_VERSION);
		error_hint(err, "install the same version on both");
		return r;
	}
	if (!json_is_true(json_object_get(room, "root"))) {
		r = error_set(err, EPERM, "the user%s%s is not root on %s, and namespaces, taps and nftables need root",
			      a->machine->guest->ssh_user ? " " : "",
			      a->machine->guest->ssh_user ? a->machine->guest->ssh_user : "", name);
		error_hint(err, "write root@ in its uri, with a key that root there accepts");
		return r;
	}
	return 0;
}

/* All that it may have a tunnel with. */
static const char **addresses_for(const struct answer *a, size_t *count)
{
	const char **list = arena_alloc(a->arena, (a->lab->machine_count + 1) * sizeof(*list));
	char text[IP_TEXT_SIZE];

	*count = 0;
	if (a->machine->home.family)
		list[(*count)++] = arena_strdup(a->arena, ip_format(&a->machine->home, text));
	for (size_t i = 0; i < a->lab->machine_count; i++)
		if (a->lab->machines[i] != a->machine && a->lab->machines[i]->address.family)
			list[(*count)++] = arena_strdup(a->arena, ip_format(&a->lab->machines[i]->address, text));
	return list;
}

static int ask(struct answer *a, struct error **err)
{
	cleanup_output struct process_output output = {0};
	cleanup_transport struct transport *t = NULL;
	size_t count, argc = 0;
	const char **addresses = addresses_for(a, &count);
	const char **argv = arena_alloc(a->arena, (count + 4) * sizeof(*argv));
	int r = machines_open(a->arena, a->folders, a->lab, a->machine, &t, err);

	argv[argc++] = "nestvisor";
	argv[argc++] = "room";
	argv[argc++] = "--json";
	for (size_t i = 0; i < count; i++)
		argv[argc++] = addresses[i];
	if (r == 0)
		r = transport_ask(t, argv, ANSWER_MS, a->cancel, &output, err);
	if (r < 0)
		return r;
	if (output.status != 0 || json_parse(output.out, output.out_length, "its answer", &a->room, NULL) < 0)
		return machines_fail(a->machine, output.status, output.err, err);
	r = check_room(a, a->room, err);
	if (r < 0) {
		json_decref(a->room);
		a->room = NULL;
	}
	return r;
}

static void *ask_machine(void *data)
{
	struct answer *a = data;
	int r = ask(a, &a->err);

	if (r < 0 && !a->err)
		error_errno(&a->err, r, "%s does not answer", a->machine->name);
	return NULL;
}

static struct answer *ask_all(struct arena *arena, const struct lab *lab, const struct folders *folders,
			      struct reporter *reporter, struct cancel *cancel)
{
	struct answer *answers = arena_alloc(arena, (lab->machine_count + 1) * sizeof(*answers));

	for (size_t i = 0; i < lab->machine_count; i++) {
		struct answer *a = &answers[i];

		*a = (struct answer){.arena = arena_new(),
				     .lab = lab,
				     .machine = lab->machines[i],
				     .folders = folders,
				     .cancel = cancel};
		a->threaded = pthread_create(&a->thread, NULL, ask_machine, a) == 0;
		if (!a->threaded)
			ask_machine(a);
	}
	for (size_t i = 0; i < lab->machine_count; i++) {
		if (answers[i].threaded)
			pthread_join(answers[i].thread, NULL);
		if (answers[i].err)
			report(reporter, REPORT_WARNING, answers[i].machine->name, "gets no guests now: %s%s%s",
			       answers[i].err->message, answers[i].err->hint ? "; " : "",
			       answers[i].err->hint ? answers[i].err->hint : "");
	}
	return answers;
}

static void clear_answers(struct answer *answers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		json_decref(answers[i].room);
		error_free(answers[i].err);
		arena_free(answers[i].arena);
	}
}

/* ─── what was settled before ─── */

struct settling {
	struct lab *lab;
	const struct lab *applied; /* NULL: it never was */
	struct state *state;	   /* not NULL: this machine was down since; what runs elsewhere is in it */
	bool *there;		   /* by the index of a guest: it was where it is to be */
	bool *placed;		   /* it is known where it is to be */
	bool new;		   /* something must be asked */
};

static void keep_machine(struct settling *s, struct lab_machine *machine)
{
	const struct lab_machine *before = s->applied ? lab_find_machine(s->applied, machine->name) : NULL;

	if (before && strcmp(before->uri, machine->uri) == 0) {
		if (!machine->address.family)
			machine->address = before->address;
		if (!machine->home.family)
			machine->home = before->home;
	}
	s->new |= !before || !machine->address.family || !machine->home.family ||
		  !ip_equal(&before->address, &machine->address) || !ip_equal(&before->home, &machine->home);
}

/* After a reboot the guests here do not run, and what is free here is theirs, too. */
static bool is_there_still(const struct settling *s, const struct guest *guest)
{
	cleanup_arena struct arena *arena = arena_new();

	return !s->state || state_get(s->state, resource_key(arena, "guest", guest->path));
}

static void keep_guest(struct settling *s, struct guest *guest)
{
	const struct guest *before = s->applied ? lab_find_guest(s->applied, guest->path) : NULL;
	struct lab_machine *was = before && before->machine ? lab_find_machine(s->lab, before->machine->name) : NULL;
	bool still = before && (!before->machine || was);

	if (!guest->pinned && still)
		guest->machine = was;
	s->placed[guest->index] = guest->pinned || still;
	s->there[guest->index] = still && guest->machine == was && is_there_still(s, guest);
	s->new |= !s->there[guest->index];
}

static void keep_mtu(struct settling *s, struct network *network)
{
	const struct network *before = s->applied ? lab_find_network(s->applied, network->path) : NULL;

	if (before && before->owner->layer == 0 && !network->mtu_said)
		network->mtu = before->mtu;
	s->new |= !before && !network->mtu_said;
}

static void keep(struct settling *s)
{
	for (size_t i = 0; i < s->lab->machine_count; i++)
		keep_machine(s, s->lab->machines[i]);
	for (size_t i = 0; i < s->lab->root->guest_count; i++)
		keep_guest(s, s->lab->root->guests[i]);
	for (size_t i = 0; i < s->lab->root->network_count; i++)
		keep_mtu(s, s->lab->root->networks[i]);
}

/* ─── addresses and MTUs ─── */

static int resolve(struct lab_machine *machine, struct error **err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG}, *found = NULL;
	int problem, r;

	if (machine->address.family)
		return 0;
	problem = getaddrinfo(machine->ssh_host, NULL, &hints, &found);
	if (problem) {
		r = error_set(err, EADDRNOTAVAIL, "the name %s of the host %s has no address: %s", machine->ssh_host,
			      machine->name, gai_strerror(problem));
		error_hint(err,
			   "only ssh may know it (ssh_config): say the host's address in the lab file, address: …");
		return r;
	}
	machine->address.family = (uint8_t)found->ai_family;
	if (found->ai_family == AF_INET6)
		memcpy(machine->address.bytes, &((struct sockaddr_in6 *)(void *)found->ai_addr)->sin6_addr, 16);
	else
		memcpy(machine->address.bytes, &((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr, 4);
	freeaddrinfo(found);
	return 0;
}

/* From this machine to the others. */
static int find_ways(struct lab *lab, unsigned *ret_mtu, struct error **err)
{
	for (size_t i = 0; i < lab->machine_count; i++) {
		struct lab_machine *machine = lab->machines[i];
		struct ip from;
		unsigned mtu;
		int r = resolve(machine, err);

		if (r == 0)
			r = net_path(&machine->address, &from, &mtu, err);
		if (r < 0)
			return error_wrap(err, "host %s", machine->name);
		if (!machine->home.family)
			machine->home = from;
		if (machine->address.family != lab->machines[0]->address.family)
			return error_set(
				err, EAFNOSUPPORT,
				"%s is reached by IPv%c and %s is not: the hosts' tunnels are one mesh, of one family",
				machine->name, machine->address.family == AF_INET ? '4' : '6', lab->machines[0]->name);
		if (mtu < *ret_mtu)
			*ret_mtu = mtu;
	}
	return 0;
}

/* And of the others. */
static void take_mtus(const struct answer *answer, unsigned *ret_mtu)
{
	json_t *path;
	size_t i;

	json_array_foreach (json_object_get(answer->room, "paths"), i, path) {
		long long mtu = json_get_integer(path, "mtu", 0);

		if (mtu >= MTU_LEAST && mtu < *ret_mtu)
			*ret_mtu = (unsigned)mtu;
	}
}

/* One that was settled stays: a host that is silent, or says another figure now, restarts nobody. */
static bool keeps_mtu(const struct settling *s, const struct network *network)
{
	const struct network *before = s->applied ? lab_find_network(s->applied, network->path) : NULL;

	return before && before->owner->layer == 0 && !network->mtu_said;
}

static int refuse_mtu(const struct network *network, unsigned path, unsigned overhead, struct error **err)
{
	unsigned least = network->subnet6.ip.family ? 1280 : MTU_LEAST;
	int r = error_set(err, EMSGSIZE,
			  "the network %s cannot have an MTU of %u: between the hosts %u get through, of which VXLAN "
			  "takes %u",
			  network->name, network->mtu, path, overhead);

	error_hint(err, "leave mtu out, or at most %u; at least %u it must be", path > overhead ? path - overhead : 0,
		   least);
	return r;
}

static int set_mtus(const struct settling *s, unsigned path, struct reporter *reporter, struct error **err)
{
	const struct lab *lab = s->lab;
	unsigned overhead = lab->machines[0]->address.family == AF_INET6 ? 70 : 50;
	unsigned most = path > overhead ? path - overhead : 0;

	for (size_t i = 0; i < lab->root->network_count; i++) {
		struct network *network = lab->root->networks[i];
		unsigned least = network->subnet6.ip.family ? 1280 : MTU_LEAST;
		bool kept = keeps_mtu(s, network);

		/* Also where all of its guests are here: one that comes later elsewhere restarts nobody. */
		if (!network->mtu_said && !kept)
			network->mtu = most < MTU_ETHERNET ? most : MTU_ETHERNET;
		if (network->mtu >= least && network->mtu <= most)
			continue;
		if (!kept)
			return refuse_mtu(network, path, overhead, err);
		report(reporter, REPORT_WARNING, network->path,
		       "its MTU of %u stays, and between the hosts only %u get through now: mtu: %u in the lab file "
		       "mends that, and restarts its guests",
		       network->mtu, path, most);
	}
	return 0;
}

/* ─── placing ─── */

static bool is_meant(const struct guest *guest, const char *word)
{
	if (strcmp(guest->path, word) == 0)
		return true;
	for (size_t i = 0; i < guest->tag_count; i++)
		if (strcmp(guest->tags[i], word) == 0)
			return true;
	return false;
}

static const bool *find_apart(struct arena *arena, const struct host *root)
{
	size_t n = root->guest_count;
	bool *apart = arena_alloc(arena, n * n + 1);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < root->guests[i]->apart_count; k++)
			for (size_t j = 0; j < n; j++)
				if (i != j && is_meant(root->guests[j], root->guests[i]->apart[k]))
					apart[i * n + j] = apart[j * n + i] = true;
	return apart;
}

static struct place_machine room_of(const struct lab *lab, const char *name, unsigned cpus, uint64_t memory)
{
	uint64_t reserve = lab->placement_reserve;

	return (struct place_machine){.name = name,
				      .memory = memory > reserve ? memory - reserve : 0,
				      .cpus = cpus * lab->placement_cpus * lab->root->cpu_overcommit / 100};
}

static int place_guests(struct settling *s, struct arena *arena, const struct machine_room *own,
			const struct answer *answers, struct error **err)
{
	struct lab *lab = s->lab;
	struct place_machine *machines = arena_alloc(arena, (lab->machine_count + 1) * sizeof(*machines));
	struct place_guest *guests = arena_alloc(arena, (lab->root->guest_count + 1) * sizeof(*guests));
	struct placing placing = {.machines = machines,
				  .machine_count = lab->machine_count + 1,
				  .guests = guests,
				  .guest_count = lab->root->guest_count,
				  .apart = find_apart(arena, lab->root)};
	int r;

	machines[0] = room_of(lab, "L0", own->cpus, own->memory);
	machines[0].closed = lab->placement_not_here ? "since placement says so" : NULL;
	for (size_t i = 0; i < lab->machine_count; i++) {
		machines[i + 1] =
			room_of(lab, lab->machines[i]->name, (unsigned)json_get_integer(answers[i].room, "cpus", 0),
				(uint64_t)json_get_integer(answers[i].room, "memory", 0));
		if (answers[i].err)
			machines[i + 1].closed = answers[i].err->message;
	}
	for (size_t i = 0; i < placing.guest_count; i++) {
		const struct guest *guest = lab->root->guests[i];

		guests[i] = (struct place_guest){.name = guest->path,
						 .memory = guest->memory / 100 * MEMORY_PERCENT,
						 .cpus = guest->cpus,
						 .fixed = s->placed[guest->index],
						 .there = s->there[guest->index],
						 .at = guest->machine ? guest->machine->index + 1 : 0};
	}
	r = place(&placing, err);
	for (size_t i = 0; i < placing.guest_count && r == 0; i++)
		lab->root->guests[i]->machine = guests[i].at ? lab->machines[guests[i].at - 1] : NULL;
	return r;
}

/* Also of those that stay where they are: the file may say it since. */
static int check_apart(const struct lab *lab, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	const struct host *root = lab->root;
	const bool *apart = find_apart(arena, root);
	int r;

	for (size_t i = 0; i < root->guest_count; i++)
		for (size_t j = i + 1; j < root->guest_count; j++) {
			if (!apart[i * root->guest_count + j] || root->guests[i]->machine != root->guests[j]->machine)
				continue;
			r = error_set(err, EEXIST, "%s and %s are to be apart, and both are on %s",
				      root->guests[i]->path, root->guests[j]->path,
				      guest_machine_name(root->guests[i]));
			error_hint(
				err,
				"a guest that is there is not moved without being told: say placement: of one of them");
			return r;
		}
	return 0;
}

static int settle_anew(struct settling *s, const struct folders *folders, const struct machine_room *own,
		       struct reporter *reporter, struct cancel *cancel, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	struct answer *answers;
	unsigned mtu = UINT16_MAX;
	int r = find_ways(s->lab, &mtu, err);

	if (r < 0)
		return r;
	answers = ask_all(arena, s->lab, folders, reporter, cancel);
	for (size_t i = 0; i < s->lab->machine_count; i++)
		take_mtus(&answers[i], &mtu);
	r = set_mtus(s, mtu, reporter, err);
	if (r == 0)
		r = place_guests(s, arena, own, answers, err);
	clear_answers(answers, s->lab->machine_count);
	return r;
}

int machines_settle(struct lab *lab, const struct machine_room *own, struct reporter *reporter, struct cancel *cancel,
		    struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_problems struct problems problems = {};
	cleanup_state struct state *state = NULL;
	cleanup_lab struct lab *applied = NULL;
	struct settling s = {.lab = lab};
	struct folders folders;
	int r;

	if (!lab->machine_count)
		return 0;
	r = folders_of(arena, lab->name, &folders, err);
	if (r < 0)
		return r;
	r = state_open(folders.run, &state, err);
	if (r == 0)
		r = machines_recall(&folders, state, err);
	if (r == 0)
		r = machines_load_hosts(&folders, &applied, err);
	if (r < 0)
		return r;
	s.state = applied ? state : NULL;
	if (file_exists(folders.lab_file))
		config_load(folders.lab_file, NULL, &problems, &applied, NULL);
	s.applied = applied;
	s.there = arena_alloc(arena, lab->guest_count + 1);
	s.placed = arena_alloc(arena, lab->guest_count + 1);
	keep(&s);
	if (s.new)
		r = settle_anew(&s, &folders, own, reporter, cancel, err);
	if (r == 0)
		r = check_apart(lab, err);
	lab_spread(lab);
	return r;
}
