/* A change is told to the hosts below, each of which tells those below it: `nestvisor isolate take` is run there. */
#include "apply/isolate_internal.h"

#include "apply/into.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "driver/driver.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { INWARD_MS = 20000 }; /* for a host below, with all that is below it */

struct visit {
	struct arena *arena; /* of its own: visits are threads */
	const struct folders *folders;
	const struct isolation *isolation;
	const struct guest *guest;
	struct cancel *cancel;
	long long started_ns;
	struct isolate_layer *layers;
	size_t layer_count;
	pthread_t thread;
	bool threaded;
};

long long isolate_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

double isolate_ms_since(long long started_ns)
{
	return (double)(isolate_now_ns() - started_ns) / 1e6;
}

static struct isolate_layer *add_layer(struct visit *visit, const char *host, enum isolate_outcome outcome)
{
	struct isolate_layer *layer = arena_push(visit->arena, visit->layers, visit->layer_count);

	*layer = (struct isolate_layer){.host = arena_strdup(visit->arena, host),
					.outcome = outcome,
					.ms = isolate_ms_since(visit->started_ns)};
	return layer;
}

/* What the host answered: its own layer and those below it, in the same words. */
static int take_layers(struct visit *visit, const struct process_output *output, struct error **err)
{
	cleanup_json json_t *answer = NULL;
	json_t *layers, *one;
	size_t i;
	int r = json_parse(output->out, output->out_length, "the answer of its nestvisor", &answer, err);

	if (r < 0)
		return error_set(err, EIO, "its nestvisor ended with status %d: %s%s", output->status, output->err,
				 output->out);
	layers = json_object_get(answer, "layers");
	if (!json_is_array(layers) || json_array_size(layers) == 0)
		return error_set(
			err, EIO, "%s",
			json_get_string(json_object_get(answer, "error"), "message", "it failed without a word"));
	json_array_foreach (layers, i, one) {
		const char *result = json_get_string(one, "result", ""), *why = json_get_string(one, "why", NULL);
		const char *host = json_get_string(one, "host", "?");
		struct isolate_layer *layer;

		if (guest_is_machine(visit->guest) && !*host) /* which is layer 0 to itself, too */
			host = visit->guest->path;
		layer = add_layer(visit, host, ISOLATE_FAILED);

		for (enum isolate_outcome outcome = ISOLATE_DONE; outcome <= ISOLATE_FAILED; outcome++)
			if (strcmp(isolate_outcome_name(outcome), result) == 0)
				layer->outcome = outcome;
		layer->why = why ? arena_strdup(visit->arena, why) : NULL;
	}
	return 0;
}

static int tell(struct visit *visit, struct error **err)
{
	const char *const argv[] = {"nestvisor", "isolate", "take", "--json", "--lab", visit->folders->lab, NULL};
	cleanup_output struct process_output output = {0};
	cleanup_transport struct transport *t = NULL;
	cleanup_json json_t *said = isolate_part(visit->isolation, visit->guest);
	cleanup_free char *text = json_text(said);
	int r = into_open(visit->arena, visit->folders, visit->isolation->lab, visit->guest, visit->cancel, &t, err);

	if (r == 0)
		r = transport_run(t, argv, text, strlen(text), INWARD_MS, visit->cancel, &output, err);
	return r < 0 ? r : take_layers(visit, &output, err);
}

static void *make_visit(void *data)
{
	struct visit *visit = data;
	cleanup_error struct error *err = NULL;
	struct driver_state state = {0};
	const char *run_dir = folders_guest(visit->arena, visit->folders, visit->guest->name);
	int r;

	if (!guest_is_machine(visit->guest) && driver_of(run_dir)->look(run_dir, &state, NULL) == 0 && !state.running) {
		add_layer(visit, visit->guest->path, ISOLATE_WAITS);
		return NULL;
	}
	r = tell(visit, &err);
	if (r < 0)
		add_layer(visit, visit->guest->path, ISOLATE_FAILED)->why =
			arena_strdup(visit->arena, err ? err->message : strerror(-r));
	return NULL;
}

static bool is_done(const struct visit *visit)
{
	for (size_t i = 0; i < visit->layer_count; i++)
		if (visit->layers[i].outcome == ISOLATE_FAILED)
			return false;
	return visit->layer_count && visit->layers[0].outcome == ISOLATE_DONE;
}

/* Which host it is told to by hand, or by the next change: the one that did not answer. */
static int take_visit(struct arena *arena, struct visit *visit, struct isolate_result *ret, struct error **err)
{
	int r = 0;

	for (size_t i = 0; i < visit->layer_count; i++) {
		struct isolate_layer *layer = arena_push(arena, ret->layers, ret->layer_count);

		*layer = visit->layers[i];
		layer->host = arena_strdup(arena, layer->host);
		layer->why = layer->why ? arena_strdup(arena, layer->why) : NULL;
		ret->complete &= layer->outcome != ISOLATE_FAILED;
	}
	if (is_done(visit))
		r = isolate_confirm(visit->folders, visit->guest, visit->isolation, err);
	return r;
}

/* Whether the change is about that host or a guest below it, so that its rules must be seen to hold, too. */
static bool is_asked(const struct isolate_request *request, const struct guest *host)
{
	for (size_t i = 0; request && i < request->guest_count; i++)
		if (request->guests[i] == host || host_has(host->host, request->guests[i]))
			return true;
	return !request;
}

/* A guest that is a host is told by the machine that it is on, which is told here. */
static bool is_told(const struct guest *guest)
{
	return guest_is_machine(guest) ? guest->host->guest_count > 0 : guest->host && !guest->machine;
}

int isolate_go_inward(struct arena *arena, const struct folders *folders, const struct isolate_request *request,
		      const struct isolation *before, const struct isolation *isolation, struct net *net,
		      struct isolate_settling *settling, long long started_ns, struct cancel *cancel,
		      struct isolate_result *ret, struct error **err)
{
	const struct host *root = isolation->lab->root;
	const struct lab *lab = isolation->lab;
	struct visit *visits = arena_alloc(arena, (root->guest_count + lab->machine_count + 1) * sizeof(*visits));
	size_t count = 0;
	int r = 0, kept;

	for (size_t i = 0; i < root->guest_count + lab->machine_count; i++) {
		const struct guest *guest =
			i < root->guest_count ? root->guests[i] : lab->machines[i - root->guest_count]->guest;

		if (!is_told(guest) || (!is_asked(request, guest) && isolate_is_confirmed(folders, guest, isolation)))
			continue;
		visits[count] = (struct visit){.arena = arena_new(),
					       .folders = folders,
					       .isolation = isolation,
					       .guest = guest,
					       .cancel = cancel,
					       .started_ns = started_ns};
		visits[count].threaded = pthread_create(&visits[count].thread, NULL, make_visit, &visits[count]) == 0;
		if (!visits[count].threaded)
			make_visit(&visits[count]);
		count++;
	}
	if (net_namespace_exists(net))
		r = net_end_flows(net, before, isolation, &ret->flows, err);
	kept = isolate_settle_end(settling, r == 0 ? err : NULL);
	r = r < 0 ? r : kept;
	for (size_t i = 0; i < count; i++) {
		if (visits[i].threaded)
			pthread_join(visits[i].thread, NULL);
		if (r == 0)
			r = take_visit(arena, &visits[i], ret, err);
		arena_free(visits[i].arena);
	}
	return r;
}
