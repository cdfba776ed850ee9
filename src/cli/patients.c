#include "cli/patients.h"

#include "apply/folders.h"
#include "apply/session.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/places.h"
#include "config/config.h"
#include "driver/driver.h"
#include "facts/files.h"
#include "facts/live.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

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
	patients->examination->bundle = bundle;
	for (size_t i = 0; i < bundle->host_count; i++)
		examination_add(patients->examination, bundle->hosts[i]->name, bundle->hosts[i]);
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

		if (seen->state != GUEST_RUNNING || !seen->accelerator || strcmp(seen->accelerator, "kvm") != 0)
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

static int probe(struct patients *patients, struct patient *patient)
{
	struct invocation *inv = patients->inv;
	cleanup_free char *why = NULL;
	cleanup_error struct error *err = NULL;
	enum accelerator accelerator;

	if (driver_probe(patient->layer > 0 ? PROBE_INSIDE | PROBE_BOOT : 0, inv->reporter, inv->cancel, &accelerator,
			 &why, &err) < 0) {
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

int patients_add_this_host(struct patients *patients, bool with_probe)
{
	cleanup_error struct error *err = NULL;
	struct patient *patient;
	struct bundle *bundle;

	if (bundle_live(&bundle, &err) < 0)
		return invocation_fail(patients->inv, &err);
	keep_bundle(patients, bundle);
	patient = examination_add(patients->examination, "L0", bundle->hosts[0]);
	patient->layer_known = true;
	look_at_labs(patients, patient);
	return with_probe && patient->probe == PROBE_NOT_ASKED ? probe(patients, patient) : EXIT_DONE;
}
