#include "cli/proof.h"

#include "apply/folders.h"
#include "apply/into.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/process.h"
#include "base/strbuf.h"
#include "cli/verification.h"
#include "driver/driver.h"
#include "net/net.h"
#include "render/verify.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROBES_MOST = 16, PROBE_MS = 10000 };

/* ─── from inside ─── */

enum probe_outcome { PROBE_REACHED, PROBE_SILENT, PROBE_TELLS_NOTHING, PROBE_NOT_MADE };

struct probe {
	struct arena *arena; /* of its own: probes are threads */
	const struct folders *folders;
	const struct lab *lab;
	const struct guest *guest;
	struct cancel *cancel;
	const char *to;
	enum world world; /* what the guest is held to */
	enum probe_outcome outcome;
	const char *why; /* it was not made, or tells nothing; or NULL */
	pthread_t thread;
	bool threaded;
};

/* Those of this host are seen to be down before they are asked; a deeper one's host says so. */
static bool is_down(const struct probe *probe)
{
	const struct guest *first = host_guest_towards(probe->lab->root, probe->guest);
	const char *run_dir = folders_guest(probe->arena, probe->folders, first->name);
	struct driver_state state = {0};

	return !first->adopted && !first->machine && driver_of(run_dir)->look(run_dir, &state, NULL) == 0 &&
	       !state.running;
}

static int run_probe(struct probe *probe, struct process_output *output, struct error **err)
{
	const bool windows = strncmp(probe->guest->os, "win", 3) == 0;
	const char *const argv[] = {
		"ping", windows ? "-n" : "-c", "1", windows ? "-w" : "-W", windows ? "1000" : "1", probe->to, NULL};
	cleanup_transport struct transport *t = NULL;
	struct into_way way;
	int r = into_way(probe->arena, probe->lab, probe->guest, "exec", NULL, argv, &way, err);

	if (r == 0)
		r = into_open(probe->arena, probe->folders, probe->lab, way.first, probe->cancel, &t, err);
	return r < 0 ? r : transport_run(t, way.argv, NULL, 0, PROBE_MS, probe->cancel, output, err);
}

static void *make_probe(void *data)
{
	struct probe *probe = data;
	cleanup_output struct process_output output = {0};
	cleanup_error struct error *err = NULL;
	int r;

	if (is_down(probe)) {
		probe->why = "it does not run";
		return NULL;
	}
	r = run_probe(probe, &output, &err);
	if (r < 0)
		probe->why = arena_strdup(probe->arena, err ? err->message : strerror(-r));
	else if (output.status == 0)
		probe->outcome = PROBE_REACHED;
	else if (output.status == 1) /* ping(8): no answer */
		probe->outcome = PROBE_SILENT;
	else
		probe->why = arena_printf(probe->arena, "ping ended with status %d there", output.status);
	return NULL;
}

/* The host itself, from the lab's network: where it gets no answer either, a guest's silence tells nothing. Uplinks by
 * pasta pass no pings where net.ipv4.ping_group_range leaves root out, and routers may answer nobody. */
static bool lab_gets_answer(const struct lab *lab, const char *to, struct cancel *cancel)
{
	const char *const argv[] = {"ping", "-c", "1", "-W", "1", to, NULL};
	cleanup_output struct process_output output = {0};
	cleanup_free char *path = NULL;
	cleanup_close int netns = -1;
	struct process_spec spec = {.argv = argv, .in = -1, .out = -1, .err = -1};

	if (asprintf(&path, "/run/netns/nestvisor-%s", lab->name) < 0)
		abort();
	netns = open(path, O_RDONLY | O_CLOEXEC);
	spec.netns = netns;
	return process_run(&spec, NULL, 0, PROBE_MS, cancel, &output, NULL) < 0 || output.status != 1;
}

static void judge_silence(struct probe *probes, size_t count)
{
	bool silent = false;

	for (size_t i = 0; i < count; i++)
		silent |= probes[i].outcome == PROBE_SILENT;
	if (!silent || lab_gets_answer(probes[0].lab, probes[0].to, probes[0].cancel))
		return;
	for (size_t i = 0; i < count; i++)
		if (probes[i].outcome == PROBE_SILENT) {
			probes[i].outcome = PROBE_TELLS_NOTHING;
			probes[i].why = "the host gets none from there either, so this tells nothing";
		}
}

static bool breaks_word(const struct probe *probe)
{
	return probe->outcome == PROBE_REACHED && probe->world != WORLD_OPEN;
}

static void print_probe(struct invocation *inv, const struct probe *probe)
{
	static const char *const words[] = {[PROBE_REACHED] = "reaches",
					    [PROBE_SILENT] = "does not reach",
					    [PROBE_TELLS_NOTHING] = "gets no answer from",
					    [PROBE_NOT_MADE] = "was not asked to ping"};
	cleanup_strbuf struct strbuf out = {};

	text_paint(&out, inv->style,
		   breaks_word(probe)						       ? COLOUR_RED
		   : probe->outcome >= PROBE_TELLS_NOTHING			       ? COLOUR_YELLOW
		   : (probe->outcome == PROBE_REACHED) == (probe->world == WORLD_OPEN) ? COLOUR_GREEN
										       : COLOUR_YELLOW,
		   probe->guest->path);
	strbuf_printf(&out, " %s the world (%s)%s", words[probe->outcome], probe->to, probe->why ? ": " : "");
	text_safe(&out, probe->why ? probe->why : "", false);
	strbuf_add_char(&out, '\n');
	invocation_print_text(inv, out.text);
}

static json_t *probe_json(const struct probe *probe)
{
	return json_pack("{s:s, s:s, s:o, s:o}", "guest", probe->guest->path, "to", probe->to, "reached",
			 probe->outcome >= PROBE_TELLS_NOTHING ? json_null()
							       : json_boolean(probe->outcome == PROBE_REACHED),
			 "why", text_json(probe->why));
}

/* All of them at the same time; *ret_broken: one gets where it must not. */
static void probe_all(struct invocation *inv, const struct lab *lab, const struct folders *folders,
		      const struct guest *const *guests, size_t count, const struct isolation *isolation,
		      json_t *document, bool *ret_broken)
{
	struct probe probes[PROBES_MOST];
	json_t *list = json_array();
	char text[IP_TEXT_SIZE];
	struct ip router;

	count = count > PROBES_MOST ? PROBES_MOST : count; /* the proof is of all; this is a look from another side */
	if (net_host_router(&router, NULL) < 0 || !router.family)
		count = 0;
	else
		ip_format(&router, text);
	for (size_t i = 0; i < count; i++) {
		probes[i] = (struct probe){.arena = arena_new(),
					   .folders = folders,
					   .lab = lab,
					   .guest = guests[i],
					   .cancel = inv->cancel,
					   .to = text,
					   .world = isolation_world(isolation, guests[i]),
					   .outcome = PROBE_NOT_MADE};
		probes[i].threaded = pthread_create(&probes[i].thread, NULL, make_probe, &probes[i]) == 0;
		if (!probes[i].threaded)
			make_probe(&probes[i]);
	}
	for (size_t i = 0; i < count; i++)
		if (probes[i].threaded)
			pthread_join(probes[i].thread, NULL);
	judge_silence(probes, count);
	for (size_t i = 0; i < count; i++) {
		*ret_broken |= breaks_word(&probes[i]);
		json_array_append_new(list, probe_json(&probes[i]));
		if (!document)
			print_probe(inv, &probes[i]);
		arena_free(probes[i].arena);
	}
	if (document)
		json_object_set(document, "probes", list);
	json_decref(list);
}

/* ─── the proof ─── */

static bool is_about(const struct promise *promise, const struct guest *const *guests, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (promise->guest == guests[i])
			return true;
	return false;
}

static void print_suspended(struct invocation *inv, const struct policy_verdict *verdict, struct strbuf *out)
{
	text_paint(out, inv->style, COLOUR_YELLOW, policy_result_word(verdict->result));
	strbuf_printf(out, ": %s: %s is %s\n", verdict->promise->text, verdict->isolated->path,
		      world_name(verdict->world));
}

static void print_report(struct invocation *inv, const struct policy_report *report, const struct guest *const *guests,
			 size_t count)
{
	cleanup_strbuf struct strbuf out = {};

	strbuf_add(&out, "");
	for (size_t i = 0; i < report->verdict_count; i++) {
		const struct policy_verdict *verdict = &report->verdicts[i];

		if (verdict->result == POLICY_SUSPENDED)
			print_suspended(inv, verdict, &out);
		if (verdict->result == POLICY_PROVED || !is_about(verdict->promise, guests, count))
			continue;
		text_paint(&out, inv->style, verdict->result == POLICY_VIOLATED ? COLOUR_RED : COLOUR_YELLOW,
			   policy_result_word(verdict->result));
		strbuf_printf(&out, ": %s%s", verdict->promise->text, verdict->why ? ": " : "");
		text_safe(&out, verdict->why ? verdict->why : "", false);
		strbuf_add_char(&out, '\n');
	}
	verify_line(report, inv->style, &out);
	invocation_print_text(inv, out.text);
	if (report->result != POLICY_PROVED)
		invocation_note(inv, "`nestvisor verify` shows the packets and what is missing");
}

static const char *prove(struct invocation *inv, const struct lab *lab, const struct guest *const *guests, size_t count,
			 const struct isolation *isolation, json_t *document, bool *ret_broken)
{
	cleanup_verification struct verification verification = {};
	struct invocation words = *inv; /* a failure to ask is not the command's own answer */
	int status;

	words.json = false;
	status = verification_run(&words, lab, isolation, NULL, &verification);
	if (document)
		json_object_set_new(document, "verify",
				    status == EXIT_DONE ? verify_json(verification.report) : json_null());
	if (status != EXIT_DONE) {
		invocation_warn(inv, "it was not verified");
		return "not verified";
	}
	for (size_t i = 0; i < verification.report->verdict_count; i++)
		*ret_broken |= verification.report->verdicts[i].result == POLICY_VIOLATED &&
			       is_about(verification.report->verdicts[i].promise, guests, count);
	if (!document)
		print_report(inv, verification.report, guests, count);
	return policy_result_word(verification.report->result);
}

int proof_show(struct invocation *inv, const struct lab *lab, const struct guest *const *guests, size_t count,
	       const struct isolation *isolation, json_t *document, const char **ret_verdict)
{
	cleanup_arena struct arena *arena = arena_new();
	struct folders folders;
	bool broken = false;

	if (folders_of(arena, lab->name, &folders, NULL) == 0)
		probe_all(inv, lab, &folders, guests, count, isolation, document, &broken);
	*ret_verdict = prove(inv, lab, guests, count, isolation, document, &broken);
	if (broken)
		*ret_verdict = policy_result_word(POLICY_VIOLATED);
	return broken ? EXIT_FAILED : EXIT_DONE;
}
