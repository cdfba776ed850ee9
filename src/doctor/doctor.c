#include "doctor/doctor.h"

#include "base/arena.h"
#include "doctor/checks.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct examination *examination_new(void)
{
	struct arena *arena = arena_new();
	struct examination *examination = arena_new_struct(arena, struct examination);

	examination->arena = arena;
	return examination;
}

void examination_free(struct examination *examination)
{
	if (examination)
		arena_free(examination->arena);
}

struct patient *examination_add(struct examination *examination, const char *host, const struct facts *facts)
{
	struct patient *patient = arena_new_struct(examination->arena, struct patient);

	patient->host = arena_strdup(examination->arena, host);
	patient->facts = facts;
	*arena_push(examination->arena, examination->patients, examination->patient_count) = patient;
	return patient;
}

static size_t patient_place(const struct examination *examination, const struct patient *patient)
{
	size_t place = 0;

	while (place < examination->patient_count && examination->patients[place] != patient)
		place++;
	return place;
}

static size_t check_place(const struct check *check)
{
	size_t place = 0;

	while (doctor_checks[place] && doctor_checks[place] != check)
		place++;
	return place;
}

/* How far up a finding stands: what fails, what matters and is not known, what warns, what else is not known. */
static unsigned badness(const struct finding *finding)
{
	bool required = finding->check->severity == SEVERITY_REQUIRED;

	switch (finding->result) {
	case RESULT_FAIL:
		return required ? 6 : 5;
	case RESULT_UNKNOWN:
		return required ? 4 : 1;
	case RESULT_WARN:
		return required ? 3 : 2;
	case RESULT_NONE:
	case RESULT_PASS:
		return 0;
	}
	return 0;
}

static int order(const void *a, const void *b, void *data)
{
	const struct examination *examination = data;
	const struct finding *left = a, *right = b;
	size_t left_place = patient_place(examination, left->patient),
	       right_place = patient_place(examination, right->patient);

	if (left_place != right_place)
		return left_place < right_place ? -1 : 1;
	if (badness(left) != badness(right))
		return badness(left) > badness(right) ? -1 : 1;
	left_place = check_place(left->check);
	right_place = check_place(right->check);
	if (left_place != right_place)
		return left_place < right_place ? -1 : 1;
	return strcmp(left->why, right->why);
}

/* Insertion keeps equal findings in the order in which they were found, which says something where checks list things.
 */
static void sort(struct examination *examination)
{
	for (size_t i = 1; i < examination->finding_count; i++) {
		struct finding finding = examination->findings[i];
		size_t at = i;

		for (; at > 0 && order(&examination->findings[at - 1], &finding, examination) > 0; at--)
			examination->findings[at] = examination->findings[at - 1];
		examination->findings[at] = finding;
	}
}

void examination_run(struct examination *examination)
{
	for (size_t i = 0; i < examination->patient_count; i++)
		for (const struct check *const *check = doctor_checks; *check; check++)
			if (!examination->patients[i]->definitions || (*check)->of_definitions)
				(*check)->look(*check, examination, examination->patients[i]);
	sort(examination);
}

int examination_status(const struct examination *examination)
{
	bool unknown = false;

	for (size_t i = 0; i < examination->finding_count; i++) {
		const struct finding *finding = &examination->findings[i];

		if (finding->check->severity == SEVERITY_NOTE)
			continue;
		if (finding->result == RESULT_FAIL)
			return 1;
		unknown =
			unknown || (finding->result == RESULT_UNKNOWN && finding->check->severity == SEVERITY_REQUIRED);
	}
	return unknown ? 4 : 0;
}

static char *format_text(struct arena *arena, const char *format, va_list args)
{
	char *text = NULL, *kept;

	if (vasprintf(&text, format, args) < 0)
		abort();
	kept = arena_strdup(arena, text);
	free(text);
	return kept;
}

struct finding *finding_add(const struct check *check, struct examination *examination, const struct patient *patient,
			    enum result result, const char *format, ...)
{
	struct finding *finding = arena_push(examination->arena, examination->findings, examination->finding_count);
	va_list args;

	*finding = (struct finding){.check = check, .patient = patient, .result = result};
	if (result != RESULT_PASS)
		finding->after = check->after;
	va_start(args, format);
	finding->why = format_text(examination->arena, format, args);
	va_end(args);
	return finding;
}

void finding_evidence(struct examination *examination, struct finding *finding, const struct origin *origin,
		      const char *format, ...)
{
	char place[ORIGIN_TEXT_SIZE];
	const char *text;
	va_list args;

	va_start(args, format);
	text = format_text(examination->arena, format, args);
	va_end(args);
	if (origin && origin->source)
		text = arena_printf(examination->arena, "%s (%s)", text, origin_format(origin, place));
	if (finding->evidence)
		text = arena_printf(examination->arena, "%s; %s", finding->evidence, text);
	finding->evidence = text;
}

void finding_remedy(struct examination *examination, struct finding *finding, const char *format, ...)
{
	const char *text;
	va_list args;

	va_start(args, format);
	text = format_text(examination->arena, format, args);
	va_end(args);
	*arena_push(examination->arena, finding->remedy, finding->remedy_count) = text;
}
