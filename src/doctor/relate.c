/* Which host of a bundle runs on which, and so in what layer each is. */
#include "doctor/doctor.h"

#include "doctor/checks.h"

#include <string.h>

static struct patient *find_patient(const struct examination *examination, const char *host)
{
	for (size_t i = 0; host && i < examination->patient_count; i++)
		if (strcmp(examination->patients[i]->facts->name, host) == 0)
			return examination->patients[i];
	return NULL;
}

static bool runs_on(const struct patient *patient, const struct patient *outer)
{
	for (; patient; patient = patient->outer)
		if (patient == outer)
			return true;
	return false;
}

static void set_outer(struct patient *inner, const struct patient *outer)
{
	/* Captures that contradict each other must not make a ring of it. */
	if (inner && outer && inner != outer && !inner->outer && !runs_on(outer, inner))
		inner->outer = outer;
}

/* A tap is the host's end of its guest's cable; WSL shares the interfaces of the Windows that it runs on. */
static void apply_relation(const struct examination *examination, const struct relation *relation)
{
	struct patient *first, *second;

	if (relation->end_count != 2)
		return;
	first = find_patient(examination, relation->ends[0].host);
	second = find_patient(examination, relation->ends[1].host);
	if (!first || !second)
		return;
	if (relation->kind == RELATION_TAP)
		set_outer(second, first);
	else if (relation->kind == RELATION_MIRRORED && first->facts->system == SYSTEM_WINDOWS)
		set_outer(second, first);
	else if (relation->kind == RELATION_MIRRORED && second->facts->system == SYSTEM_WINDOWS)
		set_outer(first, second);
}

static unsigned depth(const struct patient *patient)
{
	unsigned steps = 0;

	for (; patient->outer; patient = patient->outer)
		steps++;
	return steps;
}

static const struct patient *outermost(const struct patient *patient)
{
	while (patient->outer)
		patient = patient->outer;
	return patient;
}

static void set_layer(struct patient *patient)
{
	const struct patient *base = outermost(patient);
	bool physical = base->facts->system == SYSTEM_WINDOWS || look_is_guest(base->facts) == TRUTH_NO;

	patient->layer_known = physical || look_is_wsl(base->facts);
	patient->layer = depth(patient) + (physical ? 0 : 1);
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
	examination->bundle = bundle;
	for (size_t i = 0; i < bundle->relation_count; i++)
		apply_relation(examination, &bundle->relations[i]);
	for (size_t i = 0; i < examination->patient_count; i++) {
		struct patient *patient = examination->patients[i];

		set_layer(patient);
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
