#include "cli/patients.h"

#include "apply/folders.h"
#include "apply/session.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/places.h"
#include "base/strbuf.h"
#include "base/xml.h"
#include "cli/collect.h"
#include "config/config.h"
#include "doctor/checks.h"
#include "doctor/derive.h"
#include "driver/driver.h"
#include "facts/files.h"
#include "facts/live.h"
#include "image/image.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

enum { ASK_MS = 20000, DEFINITION_LIMIT = 4 << 20 };

void patients_open(struct invocation *inv, struct patients *ret)
{
	*ret = (struct patients){.inv = inv, .examination = examination_new()};
}

void patients_close(struct patients *patients)
{
	for (size_t i = 0; i < patients->bundle_count; i++)
		bundle_free(patients->bundles[i]);
	for (size_t i = 0; i < patients->lab_count; i++)
		lab_free(patients->labs[i]);
	examination_free(patients->examination); /* whose arena holds the two lists */
}

static void keep_bundle(struct patients *patients, struct bundle *bundle)
{
	*arena_push(patients->examination->arena, patients->bundles, patients->bundle_count) = bundle;
}

static struct lab *keep_lab(struct patients *patients, struct lab *lab)
{
	*arena_push(patients->examination->arena, patients->labs, patients->lab_count) = lab;
	return lab;
}

static void add_hosts(struct patients *patients, struct bundle *bundle)
{
	keep_bundle(patients, bundle);
	for (size_t i = 0; i < bundle->host_count; i++)
		examination_add(patients->examination, bundle->hosts[i]->name, bundle->hosts[i])->captured = true;
	examination_relate(patients->examination, bundle);
}

int patients_add_bundle(struct patients *patients, const char *path)
{
	cleanup_error struct error *err = NULL;
	struct bundle *bundle;

	if (bundle_load(path, &bundle, &err) < 0)
		return invocation_fail_as(patients->inv, EXIT_USAGE, &err);
	add_hosts(patients, bundle);
	return EXIT_DONE;
}

static const char *last_part(struct arena *arena, const char *path)
{
	size_t end = strlen(path), start;

	while (end > 1 && path[end - 1] == '/')
		end--;
	for (start = end; start > 0 && path[start - 1] != '/'; start--)
		continue;
	return arena_strndup(arena, path + start, end - start);
}

int patients_add_definition(struct patients *patients, const char *path)
{
	cleanup_error struct error *err = NULL;
	cleanup_free char *text = NULL;
	cleanup_xml struct xml *xml = NULL;
	struct patient *patient;
	struct bundle *bundle;
	const char *document;
	size_t length;

	if (file_read(path, DEFINITION_LIMIT, &text, &length, &err) < 0)
		return invocation_fail_as(patients->inv, EXIT_USAGE, &err);
	if (xml_open(text, length, &xml, &err) < 0) {
		error_wrap(&err, "%s", path);
		error_hint(&err, "virsh dumpxml GUEST prints the definition of a guest");
		return invocation_fail_as(patients->inv, EXIT_USAGE, &err);
	}
	bundle = bundle_from_text("domain.xml", text, length);
	keep_bundle(patients, bundle);
	document = bundle->host_count == 1 && bundle->hosts[0]->document_count == 1
			   ? bundle->hosts[0]->documents[0].kind
			   : NULL;
	if (!document || strcmp(document, "domain") != 0) {
		error_set(&err, EINVAL, "%s is not the definition of a guest", path);
		error_hint(&err, "virsh dumpxml GUEST prints it");
		return invocation_fail_as(patients->inv, EXIT_USAGE, &err);
	}
	patient = examination_add(patients->examination, "the definition", bundle->hosts[0]);
	patient->captured = patient->definitions = true;
	return EXIT_DONE;
}

int patients_add_root(struct patients *patients, const char *path)
{
	cleanup_error struct error *err = NULL;
	struct bundle *bundle;

	if (bundle_from_root(path, last_part(patients->examination->arena, path), &bundle, &err) < 0)
		return invocation_fail_as(patients->inv, EXIT_USAGE, &err);
	add_hosts(patients, bundle);
	return EXIT_DONE;
}

static struct lab *load_lab(struct patients *patients, const char *path)
{
	cleanup_problems struct problems problems = {0};
	struct lab *lab;

	if (config_load(path, NULL, &problems, &lab, NULL) < 0)
		return NULL;
	return keep_lab(patients, lab);
}

/* Has this host guests with guests in the lab? */
static bool lab_nests(const struct lab *lab)
{
	for (size_t i = 0; i < lab->root->guest_count; i++)
		if (lab->root->guests[i]->nested)
			return true;
	return false;
}

/* A guest that runs under KVM is a better proof than any that could be booted. */
static void note_running(struct patients *patients, struct patient *patient, const struct lab *lab)
{
	cleanup_session struct session session = {.lock = -1};
	struct invocation *inv = patients->inv;
	struct lab_status status;

	if (session_open(lab, SESSION_LOOK, "doctor", inv->reporter, inv->cancel, &session, NULL) < 0 ||
	    session_status(&session, &status, NULL) < 0)
		return;
	for (size_t i = 0; i < lab->root->guest_count; i++) {
		const struct guest *guest = lab->root->guests[i];
		const struct guest_status *seen = &status.guests[guest->index];

		if (guest->machine || seen->state != GUEST_RUNNING || !seen->accelerator ||
		    strcmp(seen->accelerator, "kvm") != 0)
			continue;
		patient->probe = PROBE_WORKS;
		patient->probe_why = arena_printf(patients->examination->arena, "%s runs under KVM", guest->path);
		return;
	}
}

static void note_lab(struct patients *patients, struct patient *patient, const struct lab *lab)
{
	struct arena *arena = patients->examination->arena;

	if (lab->root->layer > 0) {
		patient->layer = lab->root->layer;
		patient->host = arena_strdup(arena, lab->root->path);
	}
	if (lab_nests(lab)) {
		patient->nests = TRUTH_YES;
		patient->nests_why = arena_printf(arena, "the lab %s", lab->name);
	}
}

/* The labs that run here, as they were applied, and the one whose file lies in this folder. */
static void look_at_labs(struct patients *patients, struct patient *patient)
{
	cleanup_closedir DIR *dir = opendir(places_run_root());
	cleanup_free char *file = NULL;
	struct lab *lab;
	struct dirent *entry;
	size_t running = 0;

	if (!dir && errno != ENOENT) /* what another user runs is not known */
		return;
	patient->nests = TRUTH_NO;
	while (dir && (entry = readdir(dir))) {
		struct folders folders;

		if (entry->d_name[0] == '.' ||
		    folders_of(patients->examination->arena, entry->d_name, &folders, NULL) < 0 ||
		    !file_exists(folders.lab_file))
			continue;
		lab = load_lab(patients, folders.lab_file);
		if (lab) {
			running++;
			note_lab(patients, patient, lab);
			note_running(patients, patient, lab);
		} else if (patient->nests == TRUTH_NO) {
			patient->nests = TRUTH_UNKNOWN;
		}
	}
	if (patient->nests == TRUTH_NO && config_find(&file, NULL) == 0 && (lab = load_lab(patients, file)) &&
	    lab->root->layer == 0)
		note_lab(patients, patient, lab);
	if (patient->nests == TRUTH_NO)
		patient->nests_why = running ? "the labs that run here have no guests with guests" : "no lab runs here";
}

/* A hypervisor of a lab, also where the lab's state is gone: its image was told so (image.h). */
static bool is_inside(struct patients *patients, const struct patient *patient)
{
	return patient->layer > 0 ||
	       look_kernel_word(patients->examination->arena, patient->facts, "nestvisor.host") != NULL;
}

static int probe(struct patients *patients, struct patient *patient)
{
	struct invocation *inv = patients->inv;
	cleanup_free char *why = NULL;
	cleanup_error struct error *err = NULL;
	enum accelerator accelerator;

	if (driver_probe(is_inside(patients, patient) ? PROBE_INSIDE | PROBE_BOOT : 0, inv->reporter, inv->cancel,
			 &accelerator, &why, &err) < 0) {
		if (cancel_requested(inv->cancel))
			return invocation_fail(inv, &err);
		/* That it could not be asked is no answer. */
		patient->probe_why = arena_strdup(patients->examination->arena, err->message);
		return EXIT_DONE;
	}
	patient->probe = accelerator == ACCEL_KVM ? PROBE_WORKS : PROBE_FAILS;
	patient->probe_why = why ? arena_strdup(patients->examination->arena, why) : NULL;
	return EXIT_DONE;
}

static int add_this_host(struct patients *patients, struct patient **ret)
{
	cleanup_error struct error *err = NULL;
	struct bundle *bundle;

	if (bundle_live(&bundle, &err) < 0)
		return invocation_fail(patients->inv, &err);
	keep_bundle(patients, bundle);
	*ret = examination_add(patients->examination, "L0", bundle->hosts[0]);
	(*ret)->layer_known = true;
	return EXIT_DONE;
}

int patients_add_this_host(struct patients *patients, bool with_probe)
{
	struct patient *patient;
	int status = add_this_host(patients, &patient);

	if (status != EXIT_DONE)
		return status;
	look_at_labs(patients, patient);
	return with_probe && patient->probe == PROBE_NOT_ASKED ? probe(patients, patient) : EXIT_DONE;
}

/* A lab under examination. */
struct visit {
	struct patients *patients;
	const struct lab *lab;
	const struct lab_status *status; /* NULL: it does not run */
	struct patient **of_guest;	 /* by the guests' index; NULL: no host */
	const char **silent;		 /* why one that runs was not asked */
};

static bool is_running(const struct visit *visit, const struct guest *guest)
{
	return visit->status && visit->status->guests[guest->index].state == GUEST_RUNNING;
}

static bool is_host(const struct guest *guest)
{
	return guest->host && guest->host->guest_count > 0;
}

/* Is one of its guests running under KVM? */
static void note_guests(const struct visit *visit, struct patient *patient, const struct host *host)
{
	for (size_t i = 0; visit->status && i < host->guest_count; i++) {
		const struct guest_status *seen = &visit->status->guests[host->guests[i]->index];

		if (guest_runs_on(host->guests[i]) != host || seen->state != GUEST_RUNNING || !seen->accelerator ||
		    strcmp(seen->accelerator, "kvm") != 0)
			continue;
		patient->probe = PROBE_WORKS;
		patient->probe_why =
			arena_printf(visit->patients->examination->arena, "%s runs under KVM", host->guests[i]->path);
		return;
	}
}

/* The host that it is on; NULL: a further machine of L0 that did not answer, or one below such. */
static struct patient *outer_of(const struct visit *visit, const struct guest *guest)
{
	const struct guest *on = guest_runs_on(guest)->guest;

	return on ? visit->of_guest[on->index] : visit->patients->examination->patients[0];
}

static struct patient *add_guest(struct visit *visit, const struct guest *guest, const struct facts *facts)
{
	struct patient *patient = examination_add(visit->patients->examination, guest->path, facts);

	patient->layer = guest->layer;
	patient->layer_known = true;
	patient->guest = guest;
	patient->wanted = guest->host;
	patient->outer = outer_of(visit, guest);
	patient->nests = TRUTH_NO;
	patient->nests_why = "the lab file gives it no guests with guests";
	for (size_t i = 0; i < guest->host->guest_count; i++)
		if (guest->host->guests[i]->nested) {
			patient->nests = TRUTH_YES;
			patient->nests_why = guest->host->guests[i]->path;
		}
	note_guests(visit, patient, guest->host);
	visit->of_guest[guest->index] = patient;
	return patient;
}

/* Do guests of this host run under KVM? */
static enum truth runs_kvm(const struct patient *patient)
{
	const struct node *device = facts_node(patient->facts, "/dev/kvm");

	switch (patient->probe) {
	case PROBE_WORKS:
		return TRUTH_YES;
	case PROBE_FAILS:
		return TRUTH_NO;
	case PROBE_NOT_ASKED:
		break;
	}
	return device && device->exists == TRUTH_YES && patient->layer > 0 ? TRUTH_YES : TRUTH_UNKNOWN;
}

static void add_derived(struct visit *visit, const struct guest *guest)
{
	struct arena *arena = visit->patients->examination->arena;
	const struct patient *outer = outer_of(visit, guest);
	struct derivation derivation = {.host = outer->facts,
					.guest = guest,
					.kvm = runs_kvm(outer),
					.kernel = image_kernel_version(arena, guest->image)};
	struct patient *patient = add_guest(visit, guest, derive_facts(arena, &derivation));

	patient->derived = true;
	patient->unreachable = visit->silent[guest->index];
}

/* Asks all that run at once; those that answered get their facts. */
static void ask_guests(struct visit *visit, const struct facts **facts)
{
	struct patients *patients = visit->patients;
	struct arena *arena = patients->examination->arena;
	struct collect_list list = {.arena = arena};
	struct collect_result *results;

	for (size_t i = 0; i < visit->lab->guest_count; i++)
		if (is_host(visit->lab->guests[i]) && is_running(visit, visit->lab->guests[i]))
			collect_add_guest(&list, visit->lab, visit->lab->guests[i]);
	if (list.count == 0)
		return;
	results = arena_alloc(arena, list.count * sizeof(*results));
	collect_all(patients->inv, COLLECT_FACTS, list.targets, list.count, ASK_MS, results);
	for (size_t i = 0; i < list.count; i++) {
		const struct guest *guest = list.targets[i].guest;
		struct bundle *bundle = steal_pointer(&results[i].bundle);

		if (results[i].err) {
			visit->silent[guest->index] = arena_strdup(arena, results[i].err->message);
			continue;
		}
		keep_bundle(patients, bundle);
		facts[guest->index] = bundle->hosts[0];
	}
	collect_clear(results, list.count);
}

/* The further machines of L0, which are there whether the lab runs or not. */
static void add_machines(struct visit *visit)
{
	struct patients *patients = visit->patients;
	struct arena *arena = patients->examination->arena;
	struct collect_list list = {.arena = arena};
	struct collect_result *results = arena_alloc(arena, (visit->lab->machine_count + 1) * sizeof(*results));

	for (size_t i = 0; i < visit->lab->machine_count; i++)
		collect_add_guest(&list, visit->lab, visit->lab->machines[i]->guest);
	if (list.count)
		collect_all(patients->inv, COLLECT_FACTS, list.targets, list.count, ASK_MS, results);
	for (size_t i = 0; i < list.count; i++) {
		const struct guest *machine = list.targets[i].guest;
		struct bundle *bundle = steal_pointer(&results[i].bundle);
		struct patient *patient;

		if (results[i].err) {
			invocation_warn(patients->inv, "%s and what it runs is not examined: %s", machine->path,
					results[i].err->message);
			continue;
		}
		keep_bundle(patients, bundle);
		patient = examination_add(patients->examination, machine->path, bundle->hosts[0]);
		patient->layer_known = true;
		patient->wanted = machine->host;
		patient->nests = TRUTH_NO;
		for (size_t j = 0; j < machine->host->guest_count; j++)
			if (machine->host->guests[j]->nested) {
				patient->nests = TRUTH_YES;
				patient->nests_why = machine->host->guests[j]->path;
			}
		note_guests(visit, patient, machine->host);
		visit->of_guest[machine->index] = patient;
	}
	collect_clear(results, list.count);
}

static void add_guests(struct visit *visit)
{
	struct arena *arena = visit->patients->examination->arena;
	const struct facts **facts = arena_alloc(arena, (visit->lab->guest_count + 1) * sizeof(*facts));

	if (visit->status)
		ask_guests(visit, facts);
	for (size_t i = 0; i < visit->lab->guest_count; i++) {
		const struct guest *guest = visit->lab->guests[i];

		if (!is_host(guest) || !outer_of(visit, guest))
			continue;
		if (facts[i])
			add_guest(visit, guest, facts[i]);
		else
			add_derived(visit, guest);
	}
}

/* Guests without guests of their own need nothing of what is checked. */
static void tell_left_out(struct patients *patients, const struct lab *lab)
{
	cleanup_strbuf struct strbuf names = {};

	for (size_t i = 0; i < lab->guest_count; i++)
		if (!is_host(lab->guests[i]))
			strbuf_printf(&names, "%s%s", names.length ? ", " : "", lab->guests[i]->path);
	if (names.length)
		invocation_note(patients->inv, "not examined, since they have no guests: %s", names.text);
}

static bool lab_runs(struct patients *patients, const struct lab *lab)
{
	struct folders folders;

	return folders_of(patients->examination->arena, lab->name, &folders, NULL) == 0 &&
	       file_exists(folders.lab_file);
}

/* What of a lab with several machines runs on this one. */
static const struct host *runs_here(struct arena *arena, const struct lab *lab)
{
	struct host *host = arena_new_struct(arena, struct host);

	if (!lab->machine_count)
		return lab->root;
	*host = *lab->root;
	host->guests = arena_alloc(arena, (lab->root->guest_count + 1) * sizeof(struct guest *));
	host->guest_count = 0;
	for (size_t i = 0; i < lab->root->guest_count; i++)
		if (!lab->root->guests[i]->machine)
			host->guests[host->guest_count++] = lab->root->guests[i];
	return host;
}

int patients_add_lab(struct patients *patients, struct lab *lab, bool with_probe)
{
	cleanup_session struct session session = {.lock = -1};
	struct arena *arena = patients->examination->arena;
	cleanup_error struct error *err = NULL;
	struct visit visit = {.patients = patients,
			      .lab = keep_lab(patients, lab),
			      .of_guest = arena_alloc(arena, (lab_index_count(lab) + 1) * sizeof(*visit.of_guest)),
			      .silent = arena_alloc(arena, (lab->guest_count + 1) * sizeof(*visit.silent))};
	struct lab_status status;
	struct patient *host;
	int result = add_this_host(patients, &host);

	if (result != EXIT_DONE)
		return result;
	patients->examination->lab = lab;
	if (lab->root->layer == 0)
		examination_look_at_images(patients->examination, lab);
	if (lab_runs(patients, lab)) {
		if (session_open(lab, SESSION_LOOK, "doctor", patients->inv->reporter, patients->inv->cancel, &session,
				 &err) < 0 ||
		    session_status(&session, &status, &err) < 0)
			return invocation_fail(patients->inv, &err);
		visit.status = &status;
	}
	if (lab->root->layer > 0) {
		host->layer = lab->root->layer;
		host->host = arena_strdup(arena, lab->root->path);
	}
	host->wanted = runs_here(arena, lab);
	host->nests = truth_of(lab_nests(lab));
	host->nests_why =
		arena_printf(arena, "the lab %s%s", lab->name, lab_nests(lab) ? "" : " has no guests with guests");
	note_guests(&visit, host, lab->root);
	if (with_probe && host->probe == PROBE_NOT_ASKED)
		result = probe(patients, host);
	if (result != EXIT_DONE)
		return result;
	add_machines(&visit);
	add_guests(&visit);
	tell_left_out(patients, lab);
	return EXIT_DONE;
}
