/*
 * WSL's files as such: lines that it does not take, keys where they do not count, names and values that it does not
 * know. WSL itself says little of these, and nothing that stays on the screen.
 */
#include "base/arena.h"
#include "doctor/wsl_view.h"

#include <string.h>
#include <strings.h>

struct file {
	enum ini_reader reader;
	const char *name;
	const struct setting *settings;
	size_t count;
};

/* The files that a patient has: the number of them. */
static size_t files_of(const struct patient *patient, struct file ret[2])
{
	const struct facts *facts = patient->facts;
	size_t count = 0;

	if (facts->wslconfig_known == TRUTH_YES)
		ret[count++] = (struct file){INI_WSLCONFIG, ".wslconfig", facts->wslconfig, facts->wslconfig_count};
	if (facts->wslconf_known == TRUTH_YES)
		ret[count++] = (struct file){INI_WSLCONF, "wsl.conf", facts->wslconf, facts->wslconf_count};
	return count;
}

static void evidence(struct examination *examination, struct finding *finding, const struct setting *setting)
{
	finding_evidence(examination, finding, &setting->origin, "%s=%s in [%s]", setting->key, setting->value,
			 setting->section);
}

/* Looks at each setting; what it has found it adds. Without a finding the file passes. */
typedef size_t setting_visitor(const struct check *check, struct examination *examination,
			       const struct patient *patient, const struct file *file, const struct setting *setting);

static void look_settings(const struct check *check, struct examination *examination, const struct patient *patient,
			  setting_visitor *visit, const char *passes)
{
	struct file files[2];
	size_t count = files_of(patient, files);

	for (size_t i = 0; i < count; i++) {
		size_t found = 0;

		for (size_t j = 0; j < files[i].count; j++)
			found += visit(check, examination, patient, &files[i], &files[i].settings[j]);
		if (found == 0)
			finding_evidence(
				examination,
				finding_add(check, examination, patient, RESULT_PASS, "%s: %s", files[i].name, passes),
				NULL, "%zu settings", files[i].count);
	}
}

static size_t visit_unread(const struct check *check, struct examination *examination, const struct patient *patient,
			   const struct file *file, const struct setting *setting)
{
	struct finding *finding;

	if (!setting->ignored)
		return 0;
	finding = finding_add(check, examination, patient, RESULT_WARN, "%s: WSL does not take %s: %s", file->name,
			      setting->key, setting->ignored);
	evidence(examination, finding, setting);
	finding_remedy(examination, finding,
		       "keep one line for each key, below its section; mend the line at which WSL stops; save the file "
		       "as UTF-8 "
		       "without a byte order mark");
	return 1;
}

static void look_unread(const struct check *check, struct examination *examination, const struct patient *patient)
{
	look_settings(check, examination, patient, visit_unread, "WSL takes every setting");
}

const struct check check_wsl_unread = {
	.id = "wsl.unread",
	.title = "WSL reads its files to their end",
	.severity = SEVERITY_ADVICE,
	.matters = "Of a key that is set twice the first counts; wsl.conf is read only to the first line that WSL does "
		   "not "
		   "understand, and not at all with a byte order mark.",
	.after = AFTER_WSL,
	.look = look_unread,
};

/* Lines that are no settings at all were counted when the file was read. */
static void look_lines(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;

	for (size_t i = 0; i < facts->capture_count; i++) {
		const struct capture *capture = &facts->captures[i];
		bool conf = capture->command && strcmp(capture->command, "wsl.conf") == 0;
		struct finding *finding;

		if (!conf && !(capture->command && strcmp(capture->command, ".wslconfig") == 0))
			continue;
		if (!capture->used || capture->ignored == 0)
			continue;
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "WSL does not understand %u line%s of %s%s", capture->ignored,
				      capture->ignored == 1 ? "" : "s", conf ? "wsl.conf" : ".wslconfig",
				      conf ? ", and does not read on behind the first" : "");
		for (size_t j = 0; j < facts->note_count; j++)
			if (facts->notes[j].origin.source &&
			    strcmp(facts->notes[j].origin.source, capture->source) == 0)
				finding_evidence(examination, finding, &facts->notes[j].origin, "%s",
						 facts->notes[j].text);
		finding_remedy(examination, finding,
			       "write [section], key=value and comments with #; in values \\\\ for a backslash");
	}
}

const struct check check_wsl_lines = {
	.id = "wsl.lines",
	.title = "every line is one that WSL understands",
	.severity = SEVERITY_ADVICE,
	.matters = "A comment with ; or a path with single backslashes is no line of WSL's.",
	.after = AFTER_WSL,
	.look = look_lines,
};

static size_t visit_place(const struct check *check, struct examination *examination, const struct patient *patient,
			  const struct file *file, const struct setting *setting)
{
	const struct wsl_key *key = wsl_key_named(file->reader, setting->key);
	struct finding *finding;

	if (setting->ignored || !key || wsl_key(file->reader, setting->section, setting->key))
		return 0;
	if (wsl_section_near(file->reader, setting->section))
		return 0; /* wsl.names says that the section is misspelt */
	finding = finding_add(check, examination, patient, RESULT_WARN,
			      "%s has no effect in [%s] of %s: it belongs to [%s]%s%s", setting->key, setting->section,
			      file->name, key->section, key->file == file->reader ? "" : " of ",
			      key->file == file->reader ? "" : wsl_file_name(key->file));
	evidence(examination, finding, setting);
	finding_remedy(examination, finding, "move it below [%s] in %s", key->section, wsl_file_name(key->file));
	return 1;
}

static void look_place(const struct check *check, struct examination *examination, const struct patient *patient)
{
	look_settings(check, examination, patient, visit_place, "every key is in its section");
}

const struct check check_wsl_place = {
	.id = "wsl.place",
	.title = "keys are in the section and the file to which they belong",
	.severity = SEVERITY_ADVICE,
	.matters = "WSL passes over a key in the wrong section, with a warning that flashes by.",
	.after = AFTER_WSL,
	.look = look_place,
};

static size_t visit_name(const struct check *check, struct examination *examination, const struct patient *patient,
			 const struct file *file, const struct setting *setting)
{
	const char *section = wsl_section_near(file->reader, setting->section);
	const struct wsl_key *near = NULL;
	struct finding *finding;

	if (setting->ignored || wsl_key(file->reader, setting->section, setting->key))
		return 0;
	if (!section && wsl_key_named(file->reader, setting->key))
		return 0; /* wsl.place says where it belongs */
	if (section && wsl_key(file->reader, section, setting->key)) {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "%s: WSL knows no section [%s], did you mean [%s]?", file->name, setting->section,
				      section);
	} else {
		near = wsl_key_near(file->reader, setting->section, setting->key);
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "%s: WSL knows no key %s in [%s]%s%s%s%s%s", file->name, setting->key,
				      setting->section, near ? ", did you mean " : "", near ? near->name : "",
				      near ? " in [" : "", near ? near->section : "", near ? "]?" : "");
	}
	evidence(examination, finding, setting);
	if (near && near->file != file->reader)
		finding_remedy(examination, finding, "%s belongs to %s", near->name, wsl_file_name(near->file));
	else if (near)
		finding_remedy(examination, finding, "write %s=%s below [%s]", near->name, setting->value,
			       near->section);
	else if (section)
		finding_remedy(examination, finding, "write [%s]", section);
	else
		finding_remedy(examination, finding,
			       "remove it, or look it up: https://learn.microsoft.com/windows/wsl/wsl-config");
	return 1;
}

static void look_names(const struct check *check, struct examination *examination, const struct patient *patient)
{
	look_settings(check, examination, patient, visit_name, "WSL knows every key");
}

const struct check check_wsl_names = {
	.id = "wsl.names",
	.title = "WSL knows every section and key",
	.severity = SEVERITY_ADVICE,
	.matters = "A misspelt key changes nothing, and looks as if it did.",
	.after = AFTER_WSL,
	.look = look_names,
};

static void add_choices(struct examination *examination, struct finding *finding, const struct wsl_key *key)
{
	const char *text = "";

	for (const char *const *choice = key->choices; choice && *choice; choice++)
		text = arena_printf(examination->arena, "%s%s%s", text, *text ? ", " : "", *choice);
	if (*text)
		finding_remedy(examination, finding, "%s may be %s", key->name, text);
	else
		finding_remedy(examination, finding, "%s: %s", key->name, key->use);
}

static size_t visit_value(const struct check *check, struct examination *examination, const struct patient *patient,
			  const struct file *file, const struct setting *setting)
{
	const struct wsl_key *key = wsl_key(file->reader, setting->section, setting->key);
	const char *problem = key && !setting->ignored ? wsl_value_problem(key, setting->value) : NULL;
	struct finding *finding;

	if (!problem)
		return 0;
	finding = finding_add(check, examination, patient, RESULT_WARN, "%s: \"%s\" %s, so %s is %s", file->name,
			      setting->value, problem, key->name,
			      key->fallback ? key->fallback : "as if it were not set");
	evidence(examination, finding, setting);
	add_choices(examination, finding, key);
	return 1;
}

static void look_values(const struct check *check, struct examination *examination, const struct patient *patient)
{
	look_settings(check, examination, patient, visit_value, "every value is one that its key may have");
}

const struct check check_wsl_values = {
	.id = "wsl.values",
	.title = "every value is one that its key may have",
	.severity = SEVERITY_ADVICE,
	.matters = "Where it is not, WSL goes on with the default.",
	.after = AFTER_WSL,
	.look = look_values,
};

/* Keys that count only with another one, where both are in the file. */
static size_t visit_effect(const struct check *check, struct examination *examination, const struct patient *patient,
			   const struct file *file, const struct setting *setting)
{
	const struct wsl_key *key = wsl_key(file->reader, setting->section, setting->key);
	const struct wsl_key *with = key && key->with ? wsl_key_named(file->reader, key->with) : NULL;
	const struct setting *other = with ? wsl_setting(patient->facts, with) : NULL;
	const char *value = !with					      ? NULL
			    : other && !wsl_value_problem(with, other->value) ? other->value
									      : with->fallback;
	struct finding *finding;

	if (setting->ignored || !value)
		return 0;
	if (key->with_value ? strcasecmp(value, key->with_value) == 0 : strcasecmp(value, key->without_value) != 0)
		return 0;
	finding = finding_add(check, examination, patient, RESULT_WARN, "%s has no effect while %s is %s", key->name,
			      with->name, value);
	evidence(examination, finding, setting);
	if (other)
		evidence(examination, finding, other);
	if (key->with_value)
		finding_remedy(examination, finding, "set %s=%s in [%s], or remove it", with->name, key->with_value,
			       with->section);
	else
		finding_remedy(examination, finding, "remove it");
	return 1;
}

static void look_effect(const struct check *check, struct examination *examination, const struct patient *patient)
{
	look_settings(check, examination, patient, visit_effect, "every setting has an effect");
}

const struct check check_wsl_effect = {
	.id = "wsl.effect",
	.title = "every setting has an effect",
	.severity = SEVERITY_NOTE,
	.matters = "Some keys count only together with another one.",
	.after = AFTER_WSL,
	.look = look_effect,
};
