/* config/: the table of keys. Every key misspelt, every example of the table, the JSON Schema, the manual. */
#include "base/process.h"
#include "config/schema.h"
#include "config/spelling.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "config_load.h"

/* Where an object stands in a file, with %s for its keys. */
static const struct {
	const char *id, *text;
} templates[] = {
	{"lab", "%s\n"},
	{"host", "lab: x\nhosts: {h: {%s}}\n"},
	{"placement", "lab: x\nplacement: {%s}\n"},
	{"defaults", "lab: x\ndefaults: {%s}\n"},
	{"network", "lab: x\nnetworks: {n: {%s}}\n"},
	{"dhcp", "lab: x\nnetworks: {n: {dhcp: {%s}}}\n"},
	{"vxlan", "lab: x\nnetworks: {n: {vxlan: {%s}}}\n"},
	{"geneve", "lab: x\nnetworks: {n: {geneve: {%s}}}\n"},
	{"guest", "lab: x\nguests: {g: {%s}}\n"},
	{"nic", "lab: x\nguests: {g: {nics: [{%s}]}}\n"},
	{"publish", "lab: x\nguests: {g: {publish: [{%s}]}}\n"},
	{"ssh", "lab: x\nguests: {g: {ssh: {%s}}}\n"},
	{"install", "lab: x\nguests: {g: {os: windows-11, install: {%s}}}\n"},
	{"policy", "lab: x\npolicy: [{%s}]\n"},
	{"rule", "lab: x\npolicy: [{allow: {%s}}]\n"},
};

static char *in_template(const struct object *object, const char *key, const char *value)
{
	cleanup_strbuf struct strbuf pair = {0}, text = {0};

	strbuf_printf(&pair, "%s: %s", key, value);
	for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++) {
		const char *hole = strstr(templates[i].text, "%s");

		if (strcmp(templates[i].id, object->id) != 0)
			continue;
		strbuf_add_bytes(&text, templates[i].text, (size_t)(hole - templates[i].text));
		strbuf_add(&text, pair.text);
		strbuf_add(&text, hole + 2);
		return strbuf_steal(&text);
	}
	fail_msg("the object %s has no template", object->id);
	return NULL;
}

static void assert_did_you_mean(const struct object *object, const struct key *key, const char *misspelt)
{
	cleanup_free char *text = in_template(object, misspelt, key->example), *expected = NULL, *hint = NULL;
	cleanup_loaded struct loaded loaded = {0};

	assert_true(asprintf(&expected, "unknown key \"%s\"", misspelt) > 0);
	assert_true(asprintf(&hint, "did you mean \"%s\"?", key->name) > 0);
	load_text(&loaded, text);
	for (size_t i = 0; i < loaded.problems.count; i++) {
		const struct problem *problem = &loaded.problems.items[i];
		const char *line = text;

		if (!strstr(problem->message, expected))
			continue;
		assert_string_equal(problem->hint, hint);
		for (unsigned n = 1; n < problem->place.line; n++)
			line = strchr(line, '\n') + 1;
		assert_int_equal(strncmp(line + problem->place.column - 1, misspelt, strlen(misspelt)), 0);
		assert_int_equal(problem->width, strlen(misspelt));
		return;
	}
	fail_msg("\"%s\" was not refused in:\n%s\ngot:\n%s", misspelt, text, loaded.text.text);
}

/* Swaps two neighbours that differ; doubles, drops and replaces a letter in the middle. */
static void misspell_and_check(const struct object *object, const struct key *key)
{
	size_t length = strlen(key->name), middle = length / 2, at = 0;
	char word[64];

	while (key->name[at] == key->name[at + 1])
		at++;
	strcpy(word, key->name);
	word[at] = key->name[at + 1];
	word[at + 1] = key->name[at];
	assert_did_you_mean(object, key, word);
	sprintf(word, "%.*s%c%s", (int)middle, key->name, key->name[middle], key->name + middle);
	assert_did_you_mean(object, key, word);
	if (length < 4)
		return;
	sprintf(word, "%.*s%s", (int)middle, key->name, key->name + middle + 1);
	assert_did_you_mean(object, key, word);
	sprintf(word, "%.*sx%s", (int)middle, key->name, key->name + middle + 1);
	assert_did_you_mean(object, key, word);
}

static void test_every_key_misspelt(void **state)
{
	size_t checked = 0;

	for (const struct object *const *object = schema_objects; *object; object++)
		for (size_t i = 0; i < (*object)->key_count; i++)
			if (schema_is_public(*object, &(*object)->keys[i])) {
				misspell_and_check(*object, &(*object)->keys[i]);
				checked++;
			}
	assert_true(checked > 40);
}

/* The table's own examples and defaults are values that it accepts. */
static void test_every_example(void **state)
{
	for (const struct object *const *object = schema_objects; *object; object++)
		for (size_t i = 0; i < (*object)->key_count; i++) {
			const struct key *key = &(*object)->keys[i];
			cleanup_free char *text = NULL;
			cleanup_loaded struct loaded loaded = {0};

			if (!schema_is_public(*object, key))
				continue;
			text = in_template(*object, key->name, key->example);
			load_text(&loaded, text);
			if (strstr(loaded.text.text, "must be") || strstr(loaded.text.text, "unknown key") ||
			    strstr(loaded.text.text, "not YAML"))
				fail_msg("%s\nin:\n%s", loaded.text.text, text);
			assert_true(strlen(key->description) > 5);
		}
}

static void test_schema_has_every_key(void **state)
{
	cleanup_json json_t *schema = config_schema();
	cleanup_strbuf struct strbuf manual = {0};
	json_t *defs = json_object_get(schema, "$defs");

	config_manual(&manual);
	for (const struct object *const *object = schema_objects; *object; object++) {
		json_t *described = json_object_get(defs, (*object)->id), *properties;

		properties = json_object_get(described, "properties");
		assert_non_null(properties);
		assert_true(json_is_false(json_object_get(described, "additionalProperties")));
		for (size_t i = 0; i < (*object)->key_count; i++) {
			const struct key *key = &(*object)->keys[i];
			cleanup_free char *term = NULL;

			assert_int_equal(json_object_get(properties, key->name) != NULL,
					 schema_is_public(*object, key));
			if (!schema_is_public(*object, key))
				continue;
			assert_non_null(json_object_get(json_object_get(properties, key->name), "description"));
			assert_true(asprintf(&term, "*%s*", key->name) > 0);
			assert_non_null(strstr(manual.text, term));
		}
	}
	assert_null(strstr(manual.text, "image-id"));
}

static void test_manual_is_scdoc(void **state)
{
	static const char *const argv[] = {"scdoc", NULL};
	const struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};
	cleanup_output struct process_output output = {0};
	cleanup_strbuf struct strbuf manual = {0};
	cleanup_free char *path = NULL;

	if (process_find("scdoc", "scdoc", &path, NULL) < 0)
		skip();
	config_manual(&manual);
	assert_int_equal(process_run(&spec, manual.text, manual.length, -1, NULL, &output, NULL), 0);
	assert_string_equal(output.err, "");
	assert_int_equal(output.status, 0);
	assert_true(output.out_length > 1000);
}

static const char *nearest(const char *word, const char *one, const char *other)
{
	struct spelling spelling = {.word = word};

	spelling_try_path(&spelling, one);
	spelling_try_path(&spelling, other);
	return spelling.best ? spelling.best : "";
}

static void test_spelling(void **state)
{
	assert_string_equal(nearest("memroy", "memory", "cpus"), "memory");
	assert_string_equal(nearest("meomry", "cpus", "memory"), "memory");
	assert_string_equal(nearest("os", "to", "as"),
			    "as"); /* the nearer; "to" has no letter in common where it should */
	assert_string_equal(nearest("xyz", "abc", "cpus"), "");
	assert_string_equal(nearest("ab", "xy", ""), "");
	assert_string_equal(nearest("win11", "hv1/a", "hv1/win11"), "hv1/win11");
	assert_string_equal(nearest("", "a", "b"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_key_misspelt),
		cmocka_unit_test(test_every_example),
		cmocka_unit_test(test_schema_has_every_key),
		cmocka_unit_test(test_manual_is_scdoc),
		cmocka_unit_test(test_spelling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
