#include "doctor/wsl_view.h"

#include "base/arena.h"
#include "facts/bundle.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char wsl_restart[] =
	"in Windows: wsl --shutdown, and 8 seconds later, when wsl --list --running shows none, start it "
	"again";

static bool has_wslconfig(const struct patient *patient)
{
	return patient->facts->wslconfig_known == TRUTH_YES;
}

/* Windows and WSL in mirrored mode are known to belong together by their addresses. */
static bool are_mirrored(const struct examination *examination, const struct patient *a, const struct patient *b)
{
	for (size_t i = 0; examination->bundle && i < examination->bundle->relation_count; i++) {
		const struct relation *relation = &examination->bundle->relations[i];
		const char *left = relation->ends[0].host, *right = relation->ends[1].host;

		if (relation->kind == RELATION_MIRRORED && left && right &&
		    ((strcmp(left, a->host) == 0 && strcmp(right, b->host) == 0) ||
		     (strcmp(left, b->host) == 0 && strcmp(right, a->host) == 0)))
			return true;
	}
	return false;
}

static bool mirrors_windows(const struct examination *examination, const struct patient *patient)
{
	for (size_t i = 0; i < examination->patient_count; i++)
		if (examination->patients[i]->facts->system == SYSTEM_WINDOWS &&
		    are_mirrored(examination, examination->patients[i], patient))
			return true;
	return false;
}

static bool is_distribution(const struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	const struct node *node = facts_node(facts, "/run/WSL");

	if (facts->wslconf_known == TRUTH_YES)
		return true;
	if (facts->system == SYSTEM_WINDOWS)
		return false;
	return look_is_wsl(facts) || facts->wsl.networking_mode || (node && node->exists == TRUTH_YES) ||
	       mirrors_windows(examination, patient);
}

static bool belong_together(const struct examination *examination, const struct patient *windows,
			    const struct patient *distribution)
{
	return distribution->outer == windows || are_mirrored(examination, windows, distribution);
}

/* The other half of a patient: the one that is known to belong to it, or the only one there is. */
static const struct patient *other_half(const struct examination *examination, const struct patient *patient)
{
	bool windows = !is_distribution(examination, patient);
	const struct patient *only = NULL;
	size_t count = 0;

	for (size_t i = 0; i < examination->patient_count; i++) {
		const struct patient *other = examination->patients[i];

		if (other == patient || (windows ? !is_distribution(examination, other) : !has_wslconfig(other)))
			continue;
		if (windows ? belong_together(examination, patient, other)
			    : belong_together(examination, other, patient))
			return other;
		only = other;
		count++;
	}
	return count == 1 ? only : NULL;
}

/* "10.0.22631.4602" */
static unsigned build_of(const char *windows)
{
	return windows && strncmp(windows, "10.0.", 5) == 0 ? (unsigned)strtoul(windows + 5, NULL, 10) : 0;
}

static void take_versions(struct wsl_view *view, const struct patient *patient)
{
	const struct wsl *wsl = patient ? &patient->facts->wsl : NULL;

	if (wsl && !view->build && build_of(wsl->windows)) {
		view->build = build_of(wsl->windows);
		view->build_origin = &wsl->windows_origin;
	}
	if (wsl && !view->version && wsl->version) {
		view->version = wsl->version;
		view->version_origin = &wsl->origin;
	}
	/* Mirrored mode that works says as much. */
	if (wsl && !view->build && wsl->networking_mode && strcasecmp(wsl->networking_mode, "mirrored") == 0) {
		view->build = WINDOWS_11_22H2;
		view->build_origin = &wsl->origin;
	}
}

bool wsl_look(const struct examination *examination, const struct patient *patient, enum ini_reader file,
	      struct wsl_view *ret)
{
	bool distribution = is_distribution(examination, patient), windows = has_wslconfig(patient);
	const struct patient *other;

	*ret = (struct wsl_view){};
	if (!distribution && !windows)
		return false;
	other = distribution && windows ? NULL : other_half(examination, patient);
	ret->distribution = distribution ? patient : other;
	ret->windows = windows ? patient : distribution ? other : NULL;
	take_versions(ret, ret->windows);
	take_versions(ret, ret->distribution);
	return file == INI_WSLCONF ? distribution : ret->windows ? ret->windows == patient : distribution;
}

struct wsl_value wsl_value(const struct wsl_view *view, const char *section, const char *name)
{
	const struct wsl_key *key = wsl_key(INI_WSLCONFIG, section, name);
	struct wsl_value value = {};

	if (!view->windows)
		return value;
	value.setting = wsl_setting(view->windows->facts, key);
	if (value.setting && wsl_value_problem(key, value.setting->value))
		value.setting = NULL; /* WSL warns, and goes on with the default */
	if (value.setting) {
		value.text = value.setting->value;
	} else if (!key->windows || view->build) {
		value.default_ = true;
		value.text = view->build >= key->windows ? key->fallback : key->type == WSL_BOOLEAN ? "false" : "";
	}
	return value;
}

const char *wsl_networking_mode(const struct wsl_view *view, struct wsl_value *ret_set)
{
	const char *said = view->distribution ? view->distribution->facts->wsl.networking_mode : NULL;
	const struct wsl_key *key = wsl_key(INI_WSLCONFIG, "wsl2", "networkingMode");

	*ret_set = wsl_value(view, key->section, key->name);
	/* NAT is the default of every Windows. */
	if (view->windows && !ret_set->setting) {
		ret_set->text = key->fallback;
		ret_set->default_ = true;
	}
	return said ? said : ret_set->text;
}

int wsl_compare_version(const char *version, const char *other)
{
	while (*version || *other) {
		char *end, *other_end;
		unsigned long a = strtoul(version, &end, 10), b = strtoul(other, &other_end, 10);

		if (a != b)
			return a < b ? -1 : 1;
		version = *end == '.' ? end + 1 : "";
		other = *other_end == '.' ? other_end + 1 : "";
	}
	return 0;
}

void wsl_evidence(struct examination *examination, struct finding *finding, const struct wsl_view *view,
		  const char *name, const struct wsl_value *value)
{
	if (value->setting)
		finding_evidence(examination, finding, &value->setting->origin, "%s=%s in [%s]", name,
				 value->setting->value, value->setting->section);
	else if (view->windows)
		finding_evidence(examination, finding, NULL, "%s is not set in .wslconfig", name);
	else
		finding_evidence(examination, finding, NULL, ".wslconfig was not captured");
}

void wsl_remedy(struct examination *examination, struct finding *finding, const char *flag)
{
	finding_remedy(examination, finding, "nestvisor wsl apply %s", flag);
}
