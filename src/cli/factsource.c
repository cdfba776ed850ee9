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
		return invocation_fail(inv, &err);
	(*ret)->hosts[0]->alias = "L0";
	return EXIT_DONE;
}

static bool lab_named(const struct invocation *inv)
{
	return inv->command->lab && invocation_string(inv, "lab");
}

struct asking {
	struct invocation *inv;
	const struct lab *lab;
	struct collect_list list;
};

static bool is_silence(const struct note *note)
{
	return note->origin.source && strcmp(note->origin.source, "silence") == 0;
}

static void note_silence(struct bundle *bundle, const char *text)
{
	*arena_push(bundle->arena, bundle->notes, bundle->note_count) =
		(struct note){arena_strdup(bundle->arena, text), {.source = "silence"}};
}

/* One that was named must answer; so must this machine. */
static int check_answers(struct asking *asking, struct collect_result *results)
{
	for (size_t i = 0; i < asking->list.count; i++)
		if (results[i].err && (cancel_requested(asking->inv->cancel) || i == 0))
			return invocation_fail(asking->inv, &results[i].err);
	return EXIT_DONE;
}

static struct bundle *join(struct asking *asking, struct collect_result *results)
{
	struct arena *arena = asking->list.arena;
	size_t count = asking->list.count, host_count = 0;
	struct bundle **parts = arena_alloc(arena, count * sizeof(struct bundle *)), *bundle;
	const char **hosts = NULL, *source = NULL;
	cleanup_json json_t *cables = NULL;

	for (size_t i = 0; i < count; i++) {
		parts[i] = steal_pointer(&results[i].bundle);
		for (size_t j = 0; parts[i] && j < parts[i]->host_count; j++)
			*arena_push(arena, hosts, host_count) = parts[i]->hosts[j]->name;
	}
	if (asking->lab) {
		cables = collect_cables(asking->lab, hosts, host_count);
		source = arena_printf(arena, "lab %s", asking->lab->name);
	}
	bundle = bundle_join(parts, count, cables, source);
	for (size_t i = 0; i < count; i++)
		if (results[i].err)
			note_silence(bundle, results[i].err->message);
	return bundle;
}

static int ask(struct asking *asking, enum collect_kind kind, struct bundle **ret)
{
	size_t count = asking->list.count;
	struct collect_result *results = arena_alloc(asking->list.arena, count * sizeof(*results));
	int status;

	collect_all(asking->inv, kind, asking->list.targets, count, COLLECT_MS, results);
	status = check_answers(asking, results);
	if (status == EXIT_DONE) {
		*ret = join(asking, results);
		for (size_t i = 0; i < (*ret)->note_count; i++)
			if (is_silence(&(*ret)->notes[i]))
				invocation_warn(asking->inv, "%s", (*ret)->notes[i].text);
	}
	collect_clear(results, count);
	return status;
}

static int ask_lab(struct invocation *inv, const char *host, enum collect_kind kind, struct bundle **ret,
		   char **ret_name)
{
	cleanup_arena struct arena *arena = arena_new();
	bool ssh = host && strncmp(host, "ssh://", strlen("ssh://")) == 0;
	cleanup_lab struct lab *lab = NULL;
	struct asking asking = {.inv = inv, .list.arena = arena};
	int status = ssh && !lab_named(inv) ? EXIT_DONE : target_lab(inv, NULL, &lab);

	if (status != EXIT_DONE)
		return status;
	asking.lab = lab;
	if (host)
		status = collect_add(&asking.list, inv, lab, host);
	else
		collect_add_lab(&asking.list, lab, true);
	if (status == EXIT_DONE)
		status = ask(&asking, kind, ret);
	if (status == EXIT_DONE && host)
		*ret_name = strdup(asking.list.targets[0].name);
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

int factsource_ends(struct invocation *inv, const char *from, const char *to, struct bundle **ret)
{
	char *name = NULL; /* no one host is named, so none comes */

	if (!invocation_string(inv, "facts") && (names_guest(from) || names_guest(to)))
		return ask_lab(inv, NULL, COLLECT_NETWORK, ret, &name);
	return factsource_bundle(inv, NULL, COLLECT_NETWORK, ret, &name);
}
