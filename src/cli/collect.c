#include "cli/collect.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "cli/ask.h"
#include "cli/target.h"

#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { CREW_MAX = 16, NAME_SIZE = 24 };

/* ---- who ---- */

static int add_ssh(struct collect_list *list, struct invocation *inv, const char *word)
{
	struct collect_target *target;
	const char *rest = word + strlen("ssh://"), *at;
	size_t length = strcspn(rest, "/");

	if (length == 0 || rest[0] == '-')
		return invocation_usage(inv, "%s names no host; it is ssh://[user@]host[:port]", word);
	target = arena_push(list->arena, list->targets, list->count);
	*target = (struct collect_target){.ssh = arena_strndup(list->arena, rest, length)};
	at = strrchr(target->ssh, '@');
	target->name = collection_folder(list->arena, at ? at + 1 : target->ssh);
	return EXIT_DONE;
}

/* What a path is called as a folder, where that is another word. */
static const char *folder_alias(struct arena *arena, const char *name)
{
	const char *folder = collection_folder(arena, name);

	return strcmp(folder, name) == 0 ? NULL : folder;
}

static const char *network_name(struct arena *arena, const struct lab *lab, const char *host)
{
	return arena_printf(arena, "%s-lab-%s", host, lab->name);
}

/* The network of a lab that was adopted is the machine's own, so that host has no second half. */
static bool is_one(const struct lab *lab, const struct host *host)
{
	return host->layer == 0 && lab->adopted;
}

static bool is_machine(const struct host *host)
{
	return host->guest && guest_is_machine(host->guest);
}

static struct collect_target machine_of(struct arena *arena, const struct lab *lab, const struct host *host)
{
	struct collect_target target = {.lab = lab, .guest = host->guest};

	target.name = is_machine(host)	 ? arena_printf(arena, "%s-root", host->guest->path)
		      : host->layer == 0 ? "L0-root"
					 : host->path;
	target.alias = folder_alias(arena, target.name);
	if (is_one(lab, host)) {
		target.name = "L0";
		target.alias = "L0-root";
	}
	return target;
}

static struct collect_target network_of(struct arena *arena, const struct lab *lab, const struct host *host)
{
	struct collect_target target = machine_of(arena, lab, host);

	if (is_one(lab, host))
		return target;
	target.machine = target.name;
	target.namespace = true;
	if (is_machine(host)) {
		target.name = host->guest->path;
		target.alias = network_name(arena, lab, target.name);
	} else if (host->layer == 0) {
		target.name = "L0";
		target.alias = network_name(arena, lab, "L0");
	} else {
		target.name = network_name(arena, lab, host->path);
		target.alias = folder_alias(arena, target.name);
	}
	return target;
}

static struct collect_target guest_target(struct arena *arena, const struct lab *lab, const struct guest *guest)
{
	return (struct collect_target){
		.name = guest->path, .alias = folder_alias(arena, guest->path), .lab = lab, .guest = guest};
}

static void add(struct collect_list *list, const struct collect_target *target)
{
	*arena_push(list->arena, list->targets, list->count) = *target;
}

static bool is_called(const struct collect_target *target, const char *word)
{
	return strcmp(target->name, word) == 0 || (target->alias && strcmp(target->alias, word) == 0);
}

/* Both halves of a host, the one that is called so first. False: neither is. */
static bool add_host(struct collect_list *list, const struct lab *lab, const struct host *host, const char *word)
{
	const struct collect_target machine = machine_of(list->arena, lab, host),
				    network = network_of(list->arena, lab, host);
	bool first = is_called(&network, word);

	if (!first && !is_called(&machine, word))
		return false;
	add(list, first ? &network : &machine);
	if (!is_one(lab, host))
		add(list, first ? &machine : &network);
	return true;
}

static bool add_of_lab(struct collect_list *list, const struct lab *lab, const char *word)
{
	if (add_host(list, lab, lab->root, word))
		return true;
	for (size_t i = 0; i < lab->machine_count; i++)
		if (add_host(list, lab, lab->machines[i]->guest->host, word))
			return true;
	for (size_t i = 0; i < lab->guest_count; i++) {
		const struct guest *guest = lab->guests[i];
		const struct collect_target target = guest_target(list->arena, lab, guest);

		if (guest->host && add_host(list, lab, guest->host, word))
			return true;
		if (!guest->host && is_called(&target, word)) {
			add(list, &target);
			return true;
		}
	}
	return false;
}

static int add_namespace(struct collect_list *list, struct invocation *inv, const char *name)
{
	if (!*name || strchr(name, '/') || name[0] == '-' || name[0] == '.')
		return invocation_usage(inv, "netns:%s names no network namespace; see `ip netns`", name);
	add(list, &(struct collect_target){.name = name, .netns = name});
	return EXIT_DONE;
}

int collect_add(struct collect_list *list, struct invocation *inv, const struct lab *lab, const char *word)
{
	const struct guest *guest;

	if (strncmp(word, "ssh://", strlen("ssh://")) == 0)
		return add_ssh(list, inv, word);
	if (strncmp(word, "netns:", strlen("netns:")) == 0)
		return add_namespace(list, inv, word + strlen("netns:"));
	if (lab && add_of_lab(list, lab, word))
		return EXIT_DONE;
	if (!lab && strcmp(word, "L0") == 0) {
		add(list, &(struct collect_target){.name = "L0"});
		return EXIT_DONE;
	}
	return target_guest(inv, lab, word, &guest); /* says that there is none */
}

void collect_add_guest(struct collect_list *list, const struct lab *lab, const struct guest *guest)
{
	const struct collect_target target = guest_target(list->arena, lab, guest);

	add(list, &target);
}

static bool has_address(const struct guest *guest, const char *word)
{
	struct ip ip;

	for (size_t i = 0; i < guest->nic_count && ip_parse(word, &ip); i++)
		if (ip_equal(&guest->nics[i].address4, &ip) || ip_equal(&guest->nics[i].address6, &ip))
			return true;
	return false;
}

/* Does it decide anything about the packets that are asked about? */
static bool matters(const struct collect_list *list, const struct collect_target *target)
{
	if (!list->ends || target->guest->host || target->guest->nic_count > 1)
		return true;
	for (size_t i = 0; i < list->ends->count; i++)
		if (is_called(target, list->ends->words[i]) || has_address(target->guest, list->ends->words[i]))
			return true;
	return false;
}

static void add_below(struct collect_list *list, const struct lab *lab, const struct host *host, bool grouped)
{
	for (size_t i = 0; i < host->guest_count; i++) {
		const struct guest *guest = host->guests[i];
		struct collect_target target = guest_target(list->arena, lab, guest), network;

		if (!matters(list, &target) || (guest->adopted && guest->transport == TRANSPORT_QGA))
			continue; /* the agent of the latter is libvirt's to ask */
		target.below = grouped && guest->host;
		target.ends = list->ends;
		add(list, &target);
		if (!guest->host || grouped)
			continue;
		network = network_of(list->arena, lab, guest->host);
		add(list, &network);
		add_below(list, lab, guest->host, false);
	}
}

void collect_add_lab(struct collect_list *list, const struct lab *lab, bool grouped)
{
	const struct collect_target machine = machine_of(list->arena, lab, lab->root),
				    network = network_of(list->arena, lab, lab->root);

	add(list, &network);
	if (!is_one(lab, lab->root))
		add(list, &machine);
	for (size_t i = 0; i < lab->machine_count; i++)
		if (lab->machines[i]->guest->host->guest_count)
			add_host(list, lab, lab->machines[i]->guest->host, lab->machines[i]->name);
	add_below(list, lab, lab->root, grouped);
}

/* ---- asking ---- */

struct crew {
	struct invocation *inv;
	enum collect_kind kind;
	const struct collect_target *targets;
	struct collect_result *results;
	size_t count;
	atomic_size_t next, done;
	int timeout_ms;
	const char *subject;
};

/* This machine's kernel is asked by one thread alone: libnftables promises nothing to several. */
static bool is_here(const struct crew *crew, size_t i)
{
	return crew->kind != COLLECT_TEXTS && !crew->targets[i].guest && !crew->targets[i].ssh;
}

/* This machine alone answers before anybody could read that it is asked. */
static void tell(struct crew *crew, enum report_kind kind, size_t done)
{
	if (crew->count > 1 || !is_here(crew, 0))
		report(crew->inv->reporter, kind, crew->subject, "%zu done", done);
}

static void ask_one(struct crew *crew, size_t i)
{
	struct collect_result *result = &crew->results[i];

	result->arena = arena_new();
	ask_target(&crew->targets[i], crew->kind, crew->timeout_ms, crew->inv->cancel, result, &result->err);
	tell(crew, REPORT_UPDATE, atomic_fetch_add(&crew->done, 1) + 1);
}

static void *work(void *data)
{
	struct crew *crew = data;
	size_t i;

	while ((i = atomic_fetch_add(&crew->next, 1)) < crew->count)
		if (!is_here(crew, i))
			ask_one(crew, i);
	return NULL;
}

void collect_all(struct invocation *inv, enum collect_kind kind, const struct collect_target *targets, size_t count,
		 int timeout_ms, struct collect_result *results)
{
	char subject[64];
	struct crew crew = {.inv = inv,
			    .kind = kind,
			    .targets = targets,
			    .results = results,
			    .count = count,
			    .timeout_ms = timeout_ms,
			    .subject = subject};
	pthread_t threads[CREW_MAX];
	size_t started = 0;

	snprintf(subject, sizeof(subject), "asking %zu host%s for their facts", count, count == 1 ? "" : "s");
	tell(&crew, REPORT_BEGIN, 0);
	while (started + 1 < count && started < CREW_MAX && pthread_create(&threads[started], NULL, work, &crew) == 0)
		started++;
	for (size_t i = 0; i < count; i++)
		if (is_here(&crew, i))
			ask_one(&crew, i);
	work(&crew); /* this thread helps, and does it all where no other could be had */
	while (started > 0)
		pthread_join(threads[--started], NULL);
	tell(&crew, REPORT_ENDED, count);
}

void collect_clear(struct collect_result *results, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		arena_free(results[i].arena);
		bundle_free(results[i].bundle);
		error_free(results[i].err);
	}
}

/* ---- how they hang together ---- */

static bool is_among(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* A tap that is lent to libvirt is on the machine itself (net_lend_tap); a cable has its name in the lab. */
static bool is_lent(const struct lab *lab, const struct nic *nic, char ret_name[INTERFACE_NAME_SIZE])
{
	nic_loose_tap(nic, ret_name);
	return nic->guest->libvirt && !nic->guest->machine && nic->guest->parent == lab->root &&
	       if_nametoindex(ret_name) != 0;
}

json_t *collect_cables(const struct lab *lab, const char *const *names, size_t count)
{
	cleanup_arena struct arena *arena = arena_new();
	json_t *cables = json_array();

	for (size_t i = 0; i < lab->guest_count; i++) {
		const struct guest *guest = lab->guests[i];
		const char *host = network_of(arena, lab, guest_runs_on(guest)).name;

		for (size_t j = 0; j < guest->nic_count; j++) {
			const uint8_t *mac = guest->nics[j].mac;
			char text[NAME_SIZE], tap[INTERFACE_NAME_SIZE];
			bool lent = is_lent(lab, &guest->nics[j], tap);

			snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
				 mac[4], mac[5]);
			if (is_among(host, names, count) || is_among(guest->path, names, count))
				json_array_append_new(
					cables,
					json_pack("[s,s,s,s]", lent ? machine_of(arena, lab, guest->parent).name : host,
						  lent ? tap : guest->nics[j].tap, guest->path, text));
		}
	}
	return cables;
}
