/* Which host of a bundle runs on which, and so in what layer each is. */
#include "doctor/doctor.h"

#include "base/arena.h"
#include "facts/topology.h"

#include <string.h>

static struct patient *find_patient(const struct examination *examination, const char *host)
{
	for (size_t i = 0; host && i < examination->patient_count; i++)
		if (strcmp(examination->patients[i]->facts->name, host) == 0)
			return examination->patients[i];
	return NULL;
}

static void set_layer(const struct examination *examination, const struct topology_host *host)
{
	struct patient *patient = find_patient(examination, host->facts->name);

	if (!patient)
		return;
	patient->outer = host->parent ? find_patient(examination, host->parent->facts->name) : NULL;
	patient->layer = host->layer;
	patient->layer_known = host->layer_known;
}

static unsigned depth(const struct patient *patient)
{
	unsigned steps = 0;

	for (; patient->outer; patient = patient->outer)
		steps++;
	return steps;
}

/* Stable: hosts of one depth stay in the order of their names. */
static void order_by_depth(struct examination *examination)
{
	for (size_t i = 1; i < examination->patient_count; i++) {
		struct patient *patient = examination->patients[i];
		size_t at = i;

		for (; at > 0 && depth(examination->patients[at - 1]) > depth(patient); at--)
			examination->patients[at] = examination->patients[at - 1];
		examination->patients[at] = patient;
	}
}

void examination_relate(struct examination *examination, const struct bundle *bundle)
{
	cleanup_arena struct arena *arena = arena_new();
	const struct topology *topology = topology_new(arena, bundle);

	examination->bundle = bundle;
	for (size_t i = 0; i < topology->host_count; i++)
		set_layer(examination, &topology->hosts[i]);
	for (size_t i = 0; i < examination->patient_count; i++) {
		struct patient *patient = examination->patients[i];

		if (!patient->outer)
			continue;
		/* What has guests here that have guests uses nesting. */
		for (size_t j = 0; j < examination->patient_count; j++)
			if (examination->patients[j]->outer == patient &&
			    patient->outer->facts->system != SYSTEM_WINDOWS) {
				struct patient *host = find_patient(examination, patient->outer->facts->name);

				host->nests = TRUTH_YES;
				host->nests_why = patient->host;
			}
	}
	order_by_depth(examination);
}
