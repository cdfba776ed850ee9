#include "cli/factsource.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "cli/collect.h"
#include "cli/target.h"
#include "facts/live.h"

#include <stdio.h>
#include <string.h>

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

	if (bundle_load(path, &bundle, &err) < 0)
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	if (host && !bundle_host(bundle, host))
		return no_such_host(inv, bundle, host);
	*ret_name = host ? strdup(host) : NULL;
	*ret = steal_pointer(&bundle);
	return EXIT_DONE;
}

static int load_this_host(struct invocation *inv, struct bundle **ret)
{
	cleanup_error struct error *err = NULL;

	if (bundle_live(ret, &err) < 0)
		return invocation_fail(inv, &err);
	return EXIT_DONE;
}

struct asking {
	struct invocation *inv;
	struct arena *arena;
	const struct lab *lab;
	struct collect_target *targets;
	size_t count;
	size_t must; /* so many of them, the first, have to answer */
};

/* With the lab's own network there. */
static int add_host(struct asking *asking, const char *word, const char **ret_name)
{
	struct collect_target target, namespace;
	bool any;
	int status = collect_target(asking->inv, asking->arena, asking->lab, word, &target);

	if (status != EXIT_DONE)
		return status;
	*ret_name = target.name;
	*arena_push(asking->arena, asking->targets, asking->count) = target;
	collect_namespace(asking->arena, asking->lab, &target, &namespace, &any);
	if (any)
		*arena_push(asking->arena, asking->targets, asking->count) = namespace;
	return EXIT_DONE;
}

static int add_lab(struct asking *asking)
{
	const char *name;
	int status = add_host(asking, "L0", &name);

	for (size_t i = 0; i < asking->lab->guest_count && status == EXIT_DONE; i++)
		status = add_host(asking, asking->lab->guests[i]->path, &name);
	return status;
}

static int take(struct asking *asking, struct collect_result *results, struct bundle **ret)
{
	struct collection *answered = arena_alloc(asking->arena, asking->count * sizeof(*answered));
	size_t count = 0;

	for (size_t i = 0; i < asking->count; i++) {
		if (!results[i].err)
			answered[count++] = results[i].collection;
		else if (cancel_requested(asking->inv->cancel) || i < asking->must)
			return invocation_fail(asking->inv, &results[i].err);
	}
	*ret = collections_bundle(answered, count);
	return EXIT_DONE;
}

static int ask(struct asking *asking, struct bundle **ret)
{
	struct collect_result *results = arena_alloc(asking->arena, asking->count * sizeof(*results));
	int status;

	collect_all(asking->inv, asking->targets, asking->count, COLLECT_MS, results);
	status = take(asking, results, ret);
	collect_clear(results, asking->count);
	return status;
}

int factsource_bundle(struct invocation *inv, const char *host, struct bundle **ret, char **ret_name)
{
	const char *path = invocation_string(inv, "facts"), *name = NULL;
	bool lab_named = inv->command->lab && invocation_string(inv, "lab");
	bool ssh = host && strncmp(host, "ssh://", strlen("ssh://")) == 0;
	cleanup_arena struct arena *arena = NULL;
	cleanup_lab struct lab *lab = NULL;
	struct asking asking;
	int status = EXIT_DONE;

	*ret_name = NULL;
	if (path)
		return load_captured(inv, path, host, ret, ret_name);
	if (!lab_named && (!host || strcmp(host, "L0") == 0))
		return load_this_host(inv, ret);
	if (lab_named || !ssh)
		status = target_lab(inv, NULL, &lab);
	if (status != EXIT_DONE)
		return status;
	arena = arena_new();
	asking = (struct asking){.inv = inv, .arena = arena, .lab = lab, .must = 1};
	status = host ? add_host(&asking, host, &name) : add_lab(&asking);
	if (status == EXIT_DONE)
		status = ask(&asking, ret);
	if (status == EXIT_DONE && name)
		*ret_name = strdup(name);
	return status;
}
