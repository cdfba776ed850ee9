#include "cli/factsource.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "cli/target.h"
#include "facts/live.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* "did you mean", among the hosts of a bundle. */
static int no_such_host(struct invocation *inv, const struct bundle *bundle, const char *host)
{
	cleanup_free const char **names = calloc(bundle->host_count + 1, sizeof(*names));
	const char *near;

	if (!names)
		abort();
	for (size_t i = 0; i < bundle->host_count; i++)
		names[i] = bundle->hosts[i]->name;
	near = command_nearest(host, names);
	return near ? invocation_usage(inv, "these facts hold no host \"%s\"; did you mean \"%s\"?", host, near)
		    : invocation_usage(inv, "these facts hold no host \"%s\"", host);
}

static int load_captured(struct invocation *inv, const char *path, const char *host, struct bundle **ret,
			 char **ret_name)
{
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_error struct error *err = NULL;
	const struct facts *named;

	if (bundle_load(path, &bundle, &err) < 0)
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	named = host ? bundle_host(bundle, host) : NULL;
	if (host && !named)
		return no_such_host(inv, bundle, host);
	*ret_name = named ? strdup(named->name) : NULL;
	*ret = steal_pointer(&bundle);
	return EXIT_DONE;
}

/* It has its own name, and L0 is another word for it. */
static int load_this_host(struct invocation *inv, enum collect_kind kind, struct bundle **ret)
{
	cleanup_error struct error *err = NULL;
	struct utsname system;
	int r;

	if (uname(&system) < 0)
		snprintf(system.nodename, sizeof(system.nodename), "L0");
	r = kind == COLLECT_NETWORK ? bundle_live_at(-1, system.nodename, ret, &err) : bundle_live(ret, &err);
	if (r < 0)
		return hosts_fail(inv, &err);
	(*ret)->hosts[0]->alias = "L0";
	return EXIT_DONE;
}

static bool lab_named(const struct invocation *inv)
{
	return inv->command->lab && invocation_string(inv, "lab");
}

static int ask_lab(struct invocation *inv, const char *host, enum collect_kind kind, struct bundle **ret,
		   char **ret_name)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_hosts struct hosts hosts = {.arena = arena, .kind = kind, .list.arena = arena};
	struct collect_ends ends;
	bool elsewhere = host && (strncmp(host, "ssh://", strlen("ssh://")) == 0 ||
				  strncmp(host, "netns:", strlen("netns:")) == 0);
	int status = elsewhere && !lab_named(inv) ? EXIT_DONE : target_lab(inv, NULL, &hosts.lab);

	if (status != EXIT_DONE)
		return status;
	if (strcmp(inv->command->name, "facts") == 0 && invocation_flag(inv, "ends")) {
		ends.words = invocation_strings(inv, "end", &ends.count);
		hosts.list.ends = &ends;
	}
	if (host)
		status = collect_add(&hosts.list, inv, hosts.lab, host);
	else
		collect_add_lab(&hosts.list, hosts.lab, true);
	if (status == EXIT_DONE)
		status = hosts_ask(&hosts, inv, ret);
	if (status == EXIT_DONE && host)
		*ret_name = strdup(hosts.list.targets[0].name);
	return status;
}

int factsource_bundle(struct invocation *inv, const char *host, enum collect_kind kind, struct bundle **ret,
		      char **ret_name)
{
	const char *path = invocation_string(inv, "facts");

	*ret_name = NULL;
	if (path)
		return load_captured(inv, path, host, ret, ret_name);
	if (!lab_named(inv) && (!host || strcmp(host, "L0") == 0))
		return load_this_host(inv, kind, ret);
	return ask_lab(inv, host, kind, ret, ret_name);
}

/* Nobody but a guest of a lab can be meant. */
static bool names_guest(const char *word)
{
	struct utsname system;
	struct ip ip;

	return word && !ip_parse(word, &ip) && strcasecmp(word, "world") != 0 && strcasecmp(word, "L0") != 0 &&
	       !(uname(&system) == 0 && strcmp(word, system.nodename) == 0);
}

/* Who is L0 where a lab runs, too: in its network. */
static bool names_l0(const char *word)
{
	return word && strcmp(word, "L0") == 0;
}

/* NULL where somebody may be meant who is not known by that word, and so all matter. */
static const struct collect_ends *ends_of(const struct hosts *hosts, const char *from, const char *to)
{
	struct collect_ends *ends = arena_new_struct(hosts->arena, struct collect_ends);
	const char **words = arena_alloc(hosts->arena, 2 * sizeof(*words));

	if (!from || !to || hosts->all)
		return NULL;
	words[0] = from;
	words[1] = to;
	*ends = (struct collect_ends){words, 2};
	return ends;
}

/* Called as the question calls it. */
static void add_this_machine(struct hosts *hosts, const char *from, const char *to)
{
	struct collect_target *target;

	hosts_add_this_machine(hosts);
	target = &hosts->list.targets[0];
	if (!target->alias || !((from && strcmp(from, "L0") == 0) || (to && strcmp(to, "L0") == 0)))
		return;
	target->alias = target->name;
	target->name = "L0";
}

int factsource_check(struct invocation *inv)
{
	const char *other = invocation_given(inv, "host") ? "host" : invocation_typed(inv, "lab") ? "lab" : NULL;

	if (!other || !invocation_string(inv, "facts"))
		return EXIT_DONE;
	return invocation_usage(inv, "--facts and --%s are two places to have facts from: give one of them", other);
}

/* The hosts of --host besides, and where there is nobody else, this machine. */
static int ask_all(struct invocation *inv, const char *from, const char *to, struct hosts *hosts, struct bundle **ret)
{
	int status = hosts_add_given(hosts, inv);

	if (status == EXIT_DONE && !hosts->list.count)
		add_this_machine(hosts, from, to);
	return status == EXIT_DONE ? hosts_ask(hosts, inv, ret) : status;
}

int factsource_now(struct invocation *inv, const char *lab, struct hosts *ret_hosts, struct bundle **ret)
{
	int status = EXIT_DONE;

	ret_hosts->list.arena = ret_hosts->arena;
	if (lab)
		status = target_lab(inv, lab, &ret_hosts->lab);
	else if (lab_named(inv) || !invocation_given(inv, "host"))
		status = target_running_lab(inv, &ret_hosts->lab);
	if (status != EXIT_DONE)
		return status;
	if (ret_hosts->lab)
		collect_add_lab(&ret_hosts->list, ret_hosts->lab, true);
	return ask_all(inv, NULL, NULL, ret_hosts, ret);
}

int factsource_ends(struct invocation *inv, const char *from, const char *to, struct hosts *ret_hosts,
		    struct bundle **ret)
{
	bool given = invocation_given(inv, "host"), lab;
	const char *path = invocation_string(inv, "facts");
	char *name = NULL; /* no one host is named, so none comes */
	int status = factsource_check(inv);

	ret_hosts->list.arena = ret_hosts->arena;
	if (status != EXIT_DONE)
		return status;
	if (path)
		return load_captured(inv, path, NULL, ret, &name);
	if (!from && !to)
		return factsource_now(inv, NULL, ret_hosts, ret);
	lab = lab_named(inv) || (!given && (names_guest(from) || names_guest(to)));
	if (lab)
		status = target_lab(inv, NULL, &ret_hosts->lab);
	else if (!given && (names_l0(from) || names_l0(to)))
		status = target_running_lab(inv, &ret_hosts->lab);
	if (status == EXIT_DONE && ret_hosts->lab) {
		ret_hosts->list.ends = ends_of(ret_hosts, from, to);
		collect_add_lab(&ret_hosts->list, ret_hosts->lab, true);
	}
	return status == EXIT_DONE ? ask_all(inv, from, to, ret_hosts, ret) : status;
}
