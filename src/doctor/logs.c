/* What the host's logs say of virtual machines: the table of facts/logs.h over the lines that were collected. */
#include "facts/logs.h"

#include "base/arena.h"
#include "doctor/checks.h"

#include <string.h>

enum { SHOWN_LENGTH = 240 };

/* What may appear in a log of this name. */
static unsigned where_of(const struct log_line *line)
{
	if (line->log && strstr(line->log, "qemu"))
		return LOG_QEMU | LOG_LIBVIRT;
	return LOG_KERNEL | LOG_LIBVIRT;
}

static const struct log_pattern *pattern_of(const struct log_line *line)
{
	return log_match_line(line->text, strlen(line->text), where_of(line));
}

const struct log_line *look_log_line(const struct facts *facts, const char *prefix, size_t *ret_count)
{
	const struct log_line *last = NULL;
	size_t count = 0;

	for (size_t i = 0; i < facts->log_line_count; i++) {
		const struct log_pattern *pattern = pattern_of(&facts->log_lines[i]);

		if (!pattern || strncmp(pattern->id, prefix, strlen(prefix)) != 0)
			continue;
		last = &facts->log_lines[i];
		count++;
	}
	if (ret_count)
		*ret_count = count;
	return last;
}

/* Other checks say more of these: cpu.firmware, access.denials. */
static bool is_checked_elsewhere(const struct log_pattern *pattern)
{
	return strcmp(pattern->id, "kvm.firmware-off") == 0 || strncmp(pattern->id, "lsm.", 4) == 0;
}

struct sighting {
	const struct log_line *last;
	size_t count;
};

static void add_sighting(const struct check *check, struct examination *examination, const struct patient *patient,
			 const struct log_pattern *pattern, const struct sighting *sighting)
{
	char text[SHOWN_LENGTH];
	struct finding *finding;

	log_clean_line(sighting->last->text, strlen(sighting->last->text), text, sizeof(text));
	finding = finding_add(check, examination, patient, RESULT_WARN, "%s", pattern->cause);
	finding_evidence(examination, finding, &sighting->last->origin, "\"%s\"", text);
	if (sighting->count > 1)
		finding_evidence(examination, finding, NULL, "%zu such lines", sighting->count);
	finding_remedy(examination, finding, "%s", pattern->remedy);
	finding->after = AFTER_NOTHING;
}

static void look_logs(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	size_t pattern_count, known = 0;
	const struct log_pattern *patterns = log_patterns(&pattern_count);
	struct sighting *sightings;
	struct finding *finding;

	if (!look_is_host(facts) || patient->derived)
		return;
	if (facts->logs_known == TRUTH_UNKNOWN && facts->log_line_count == 0) {
		finding_unknown(check, examination, patient, "the kernel's log (dmesg, as root)");
		return;
	}
	sightings = arena_alloc(examination->arena, pattern_count * sizeof(*sightings));
	for (size_t i = 0; i < facts->log_line_count; i++) {
		const struct log_pattern *pattern = pattern_of(&facts->log_lines[i]);

		if (!pattern || pattern->weight == LOG_HARMLESS || is_checked_elsewhere(pattern))
			continue;
		sightings[pattern - patterns].last = &facts->log_lines[i];
		sightings[pattern - patterns].count++;
	}
	for (size_t i = 0; i < pattern_count; i++)
		if (sightings[i].count) {
			add_sighting(check, examination, patient, &patterns[i], &sightings[i]);
			known++;
		}
	if (known)
		return;
	finding = finding_add(check, examination, patient, RESULT_PASS, "the logs hold no known trouble");
	finding_evidence(examination, finding, NULL, "%zu line%s read", facts->log_line_count,
			 facts->log_line_count == 1 ? " was" : "s were");
}

const struct check check_logs_known = {
	.id = "logs.known",
	.title = "the logs hold no known trouble",
	.severity = SEVERITY_ADVICE,
	.matters = "The kernel and QEMU say why a guest fails, in words that one has to have met before.",
	.look = look_logs,
};
