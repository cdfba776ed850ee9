#include "doctor/print.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "render/table.h"

#include <stdio.h>
#include <string.h>

enum { INDENT = 8, DEFAULT_COLUMNS = 100 };

const char *result_name(enum result result)
{
	static const char *const names[] = {"", "pass", "warn", "unknown", "fail"};

	return names[result];
}

const char *severity_name(enum severity severity)
{
	static const char *const names[] = {"note", "advice", "required"};

	return names[severity];
}

const char *afterwards_name(enum afterwards after)
{
	static const char *const names[] = {"nothing", "reload", "relogin", "reboot", "wsl"};

	return names[after];
}

const char *check_manual(struct arena *arena, const struct check *check)
{
	char *anchor = arena_strdup(arena, check->manual ? check->manual : check->id);

	for (char *c = anchor; *c; c++)
		if (*c == '.')
			*c = '-';
	return arena_printf(arena, "docs/doctor.md#%s", anchor);
}

static enum colour colour_of(const struct finding *finding)
{
	switch (finding->result) {
	case RESULT_FAIL:
		return COLOUR_RED;
	case RESULT_WARN:
	case RESULT_UNKNOWN:
		return COLOUR_YELLOW;
	case RESULT_PASS:
		return COLOUR_GREEN;
	case RESULT_NONE:
		return COLOUR_NONE;
	}
	return COLOUR_NONE;
}

static unsigned columns_of(const struct style *style)
{
	return style->columns ? style->columns : DEFAULT_COLUMNS;
}

/* "  seen: text", filled, with its continuation lines below the text. */
static void add_row(struct strbuf *out, const struct style *style, const char *label, const char *text)
{
	cleanup_strbuf struct strbuf filled = {};
	unsigned behind = INDENT + 8;

	text_fill(&filled, text, behind, columns_of(style));
	strbuf_printf(out, "%*s", INDENT, "");
	text_paint(out, style, COLOUR_DIM, label);
	strbuf_printf(out, "%*s", (int)(8 - strlen(label)), "");
	strbuf_add(out, filled.length > behind ? filled.text + behind : "\n");
}

/* A command is never broken into lines: it is there to be copied. */
static void add_remedies(struct strbuf *out, const struct style *style, const struct finding *finding)
{
	for (size_t i = 0; i < finding->remedy_count; i++) {
		strbuf_printf(out, "%*s", INDENT, "");
		text_paint(out, style, COLOUR_DIM, i == 0 ? "do:" : "");
		strbuf_printf(out, "%*s", i == 0 ? 5 : 8, "");
		text_paint(out, style, COLOUR_BOLD, finding->remedy[i]);
		strbuf_add_char(out, '\n');
	}
}

static const char *after_text(enum afterwards after)
{
	switch (after) {
	case AFTER_RELOAD:
		return "takes effect with a reload, which needs all guests stopped";
	case AFTER_RELOGIN:
		return "takes effect with the next login";
	case AFTER_REBOOT:
		return "takes effect with the next boot";
	case AFTER_WSL:
		return "takes effect when WSL starts anew: in Windows wsl --shutdown, then wait 8 seconds, until "
		       "wsl --list --running shows none";
	case AFTER_NOTHING:
		break;
	}
	return NULL;
}

/* `again`: the finding before was of the same check, and said why it matters and where to read on. */
static void add_finding(struct examination *examination, const struct finding *finding, bool again,
			const struct style *style, struct strbuf *out)
{
	const struct patient *patient = finding->patient;
	bool bad = finding->result == RESULT_FAIL || finding->result == RESULT_WARN;
	const char *after = finding->remedy_count ? after_text(finding->after) : NULL;
	char label[16];

	snprintf(label, sizeof(label), "%-7s", result_name(finding->result));
	strbuf_add(out, "  ");
	text_paint(out, style, colour_of(finding), label);
	strbuf_add(out, " ");
	text_paint(out, style, COLOUR_BOLD, finding->check->id);
	strbuf_add(out, ": ");
	text_safe(out, finding->why, false);
	strbuf_add_char(out, '\n');
	if (!again && bad)
		add_row(out, style, "why:", finding->check->matters);
	if (finding->evidence)
		add_row(out, style, "seen:", finding->evidence);
	if (!bad)
		return;
	add_remedies(out, style, finding);
	if (finding->fix && !patient->captured)
		add_row(out, style, "fix:",
			arena_printf(examination->arena, "nestvisor %s%s%sdoctor --fix does it: %s",
				     patient->guest ? "exec " : "", patient->guest ? patient->guest->path : "",
				     patient->guest ? " -- nestvisor " : "", finding->fix->does));
	if (after)
		add_row(out, style, "then:", after);
	if (!again)
		add_row(out, style, "more:", check_manual(examination->arena, finding->check));
}

static bool is_folded(const struct finding *finding)
{
	return finding->result == RESULT_PASS ||
	       (finding->result == RESULT_UNKNOWN && finding->check->severity != SEVERITY_REQUIRED);
}

/* Has its check something worse to say of the same host, which stands above? */
static bool is_told(const struct examination *examination, const struct finding *folded)
{
	for (const struct finding *finding = examination->findings; finding != folded; finding++)
		if (finding->patient == folded->patient && finding->check == folded->check && !is_folded(finding))
			return true;
	/* Of those that are folded the worst counts, wherever it stands. */
	for (size_t i = 0; i < examination->finding_count; i++) {
		const struct finding *finding = &examination->findings[i];

		if (finding->patient == folded->patient && finding->check == folded->check &&
		    finding->result > folded->result)
			return true;
	}
	return false;
}

/* "  pass    kvm.module, kvm.device, …" */
static void add_folded(struct examination *examination, const struct patient *patient, enum result result,
		       const struct style *style, struct strbuf *out)
{
	cleanup_strbuf struct strbuf ids = {}, filled = {};
	struct finding sample = {.result = result};
	const struct check *last = NULL;
	char label[16];
	size_t count = 0;

	for (size_t i = 0; i < examination->finding_count; i++) {
		const struct finding *finding = &examination->findings[i];

		if (finding->patient != patient || finding->result != result || !is_folded(finding) ||
		    finding->check == last || is_told(examination, finding))
			continue;
		last = finding->check;
		count++;
		strbuf_printf(&ids, "%s%s", ids.length ? ", " : "", last->id);
	}
	if (count == 0)
		return;
	snprintf(label, sizeof(label), "%-7s", result_name(result));
	strbuf_add(out, "  ");
	text_paint(out, style, colour_of(&sample), label);
	strbuf_add(out, " ");
	text_fill(&filled, ids.text, 10, columns_of(style));
	strbuf_printf(out, "%s", filled.text + 10);
}

/* "L0  Debian GNU/Linux 12 (bookworm), Linux 6.1.0-28-amd64, Intel(R) Core(TM) i7-8700, 15.5 GiB" */
static void add_host(struct arena *arena, const struct patient *patient, const struct style *style, struct strbuf *out)
{
	const struct facts *facts = patient->facts;
	cleanup_strbuf struct strbuf about = {};
	char bytes[BYTES_TEXT_SIZE];

	if (facts->distribution.name)
		strbuf_printf(&about, ", %s", facts->distribution.name);
	if (facts->kernel.release)
		strbuf_printf(&about, ", Linux %s", facts->kernel.release);
	if (facts->processor.model_name)
		strbuf_printf(&about, ", %s", facts->processor.model_name);
	if (facts->processor.threads.known)
		strbuf_printf(&about, ", %llu CPUs", (unsigned long long)facts->processor.threads.value);
	if (facts->memory.total.known)
		strbuf_printf(&about, ", %s", text_bytes(facts->memory.total.value, bytes));
	if (patient->layer_known && patient->layer > 0)
		text_paint(out, style, COLOUR_BOLD, arena_printf(arena, "L%u %s", patient->layer, patient->host));
	else
		text_paint(out, style, COLOUR_BOLD, patient->host);
	if (patient->derived || about.length)
		strbuf_add(out, "  ");
	if (patient->unreachable)
		strbuf_add(out, "could not be asked, so this is what it should see");
	else if (patient->derived)
		strbuf_add(out, "does not run; this is what it will see");
	if (about.length)
		text_safe(out, patient->derived ? about.text : about.text + 2, false);
	strbuf_add_char(out, '\n');
}

void findings_text(struct examination *examination, bool all, const struct style *style, struct strbuf *out)
{
	const struct check *last;

	for (size_t i = 0; i < examination->patient_count; i++) {
		const struct patient *patient = examination->patients[i];

		if (i > 0)
			strbuf_add_char(out, '\n');
		add_host(examination->arena, patient, style, out);
		last = NULL;
		for (size_t j = 0; j < examination->finding_count; j++) {
			const struct finding *finding = &examination->findings[j];

			if (finding->patient != patient || (!all && is_folded(finding)))
				continue;
			add_finding(examination, finding, finding->check == last, style, out);
			last = finding->check;
		}
		if (all)
			continue;
		add_folded(examination, patient, RESULT_UNKNOWN, style, out);
		add_folded(examination, patient, RESULT_PASS, style, out);
	}
}

void examination_text(struct examination *examination, bool all, const struct style *style, struct strbuf *out)
{
	findings_text(examination, all, style, out);
	strbuf_add_char(out, '\n');
	text_safe(out, examination_summary(examination), false);
	strbuf_add_char(out, '\n');
}

void checks_text(const struct style *style, struct strbuf *out)
{
	static const char *const headings[] = {"CHECK", "MATTERS", "FIX", "LOOKS AT", NULL};
	cleanup_table struct table *table = table_new(headings);

	for (const struct check *const *check = doctor_checks; *check; check++) {
		table_row(table);
		table_cell(table, COLOUR_BOLD, (*check)->id);
		table_cell(table, COLOUR_NONE, severity_name((*check)->severity));
		table_cell(table, COLOUR_NONE, (*check)->fixable ? "yes" : "");
		table_cell(table, COLOUR_NONE, (*check)->title);
	}
	table_draw(table, style, out);
}

json_t *checks_json(void)
{
	cleanup_arena struct arena *arena = arena_new();
	json_t *list = json_array();

	for (const struct check *const *check = doctor_checks; *check; check++)
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:s}", "id", (*check)->id, "title",
					(*check)->title, "severity", severity_name((*check)->severity), "matters",
					(*check)->matters, "fixable", (*check)->fixable, "after",
					afterwards_name((*check)->after), "manual", check_manual(arena, *check)));
	return list;
}

static json_t *layer_json(const struct patient *patient)
{
	char text[16];

	if (!patient->layer_known)
		return json_null();
	snprintf(text, sizeof(text), "L%u", patient->layer);
	return json_string(text);
}

static json_t *finding_json(const struct examination *examination, const struct finding *finding)
{
	const struct check *check = finding->check;
	json_t *remedy = json_array();

	for (size_t i = 0; i < finding->remedy_count; i++)
		json_array_append_new(remedy, text_json(finding->remedy[i]));
	return json_pack("{s:s, s:o, s:o, s:b, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:b, s:s, s:s}", "id", check->id,
			 "layer", layer_json(finding->patient), "host", text_json(finding->patient->host), "derived",
			 finding->patient->derived, "result", result_name(finding->result), "severity",
			 severity_name(check->severity), "title", check->title, "matters", check->matters, "why",
			 text_json(finding->why), "evidence", text_json(finding->evidence), "remedy", remedy, "fixable",
			 finding->fix != NULL, "after", afterwards_name(finding->after), "manual",
			 check_manual(examination->arena, check));
}

json_t *examination_json(struct examination *examination)
{
	json_t *list = json_array();

	for (size_t i = 0; i < examination->finding_count; i++)
		if (examination->findings[i].result != RESULT_NONE)
			json_array_append_new(list, finding_json(examination, &examination->findings[i]));
	return json_pack("{s:o, s:o}", "checks", list, "summary", text_json(examination_summary(examination)));
}
