#include "cli/factsource.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "cli/collect.h"
#include "cli/target.h"
#include "facts/live.h"

#include <stdio.h>
#include <string.h>

enum { TIMEOUT_MS = 60000 };

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
	struct collection *collections;
	size_t count;
};

static int ask(struct asking *asking, const struct collect_target *target, bool must)
{
	struct invocation *inv = asking->inv;
	cleanup_error struct error *err = NULL;
	struct collection collection;
	int r;

	report(inv->reporter, REPORT_BEGIN, target->name, "asking for its facts");
	r = collect(asking->arena, target, TIMEOUT_MS, inv->cancel, &collection, &err);
	report(inv->reporter, r < 0 ? REPORT_FAILED : REPORT_DONE, target->name, "%s",
	       r < 0 && !must ? err->message : "");
	if (r < 0)
		return must || cancel_requested(inv->cancel) ? invocation_fail(inv, &err) : EXIT_DONE;
	*arena_push(asking->arena, asking->collections, asking->count) = collection;
	return EXIT_DONE;
}

/* With the lab's own network there. */
static int ask_host(struct asking *asking, const char *word, bool must, const char **ret_name)
{
	struct collect_target target, namespace;
	bool any;
	int status = collect_target(asking->inv, asking->arena, asking->lab, word, &target);

	if (status != EXIT_DONE)
		return status;
	*ret_name = target.name;
	status = ask(asking, &target, must);
	collect_namespace(asking->arena, asking->lab, &target, &namespace, &any);
	if (status == EXIT_DONE && any)
		status = ask(asking, &namespace, false);
	return status;
}

static int ask_lab(struct asking *asking)
{
	const char *name;
	int status = ask_host(asking, "L0", true, &name);

	for (size_t i = 0; i < asking->lab->guest_count && status == EXIT_DONE; i++)
		status = ask_host(asking, asking->lab->guests[i]->path, false, &name);
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
	asking = (struct asking){.inv = inv, .arena = arena, .lab = lab};
	status = host ? ask_host(&asking, host, true, &name) : ask_lab(&asking);
	if (status != EXIT_DONE)
		return status;
	*ret = collections_bundle(asking.collections, asking.count);
	*ret_name = name ? strdup(name) : NULL;
	return EXIT_DONE;
}
