/*
 * The schema of nestvisor/facts/1 that render/ holds is what the shapes of facts/ say, and real bundles fit it.
 * NESTVISOR_GOLDEN=write writes src/render/schema_facts.c anew.
 */
#include "facts_check.h"

#include "schema_check.h"

/* One definition a line: few enough to look through. */
static char *schema_source(const json_t *schema)
{
	cleanup_json json_t *head = json_deep_copy(schema);
	struct strbuf out = {};
	const char *name, *separator = "";
	json_t *definition;

	json_object_del(head, "$defs");
	strbuf_add(&out, "/* Made by tests/unit/test_facts_schema.c from the shapes of facts/: not to be edited. */\n"
			 "#include \"render/render_internal.h\"\n\n"
			 "#define JSON(...) #__VA_ARGS__\n\n"
			 "/* clang-format off */\n"
			 "const char schema_facts[] = JSON({\n");
	json_object_foreach (head, name, definition) {
		cleanup_free char *text = json_dumps(definition, JSON_COMPACT | JSON_ENSURE_ASCII);

		strbuf_printf(&out, "\"%s\": %s,\n", name, text);
	}
	strbuf_add(&out, "\"$defs\": {\n");
	json_object_foreach (json_object_get(schema, "$defs"), name, definition) {
		cleanup_free char *text = json_dumps(definition, JSON_COMPACT | JSON_ENSURE_ASCII);

		strbuf_printf(&out, "%s\"%s\": %s", separator, name, text);
		separator = ",\n";
	}
	strbuf_add(&out, "\n}});\n");
	return strbuf_steal(&out);
}

static void test_schema(void **state)
{
	const struct schema *schema = schema_find("facts");
	cleanup_json json_t *wanted = bundle_schema(), *there = NULL;
	cleanup_free char *path = source_path("src/render/schema_facts.c"), *source = schema_source(wanted);

	assert_non_null(schema);
	if (getenv("NESTVISOR_GOLDEN")) {
		assert_int_equal(file_write_atomic(path, source, strlen(source), 0644, NULL), 0);
		return;
	}
	assert_int_equal(json_parse(schema->text, strlen(schema->text), "schema_facts.c", &there, NULL), 0);
	if (!json_equal(wanted, there))
		fail_msg("src/render/schema_facts.c is not what the shapes say; NESTVISOR_GOLDEN=write makes it");
}

static void check_fits(const char *name)
{
	cleanup_free char *below = NULL, *path = NULL;
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_json json_t *document = NULL, *schema = schema_document(schema_find("facts"));
	char why[WHY_SIZE], tag[SCHEMA_TAG_SIZE];
	struct stats stats;

	assert_true(asprintf(&below, "tests/golden/facts/%s", name) > 0);
	path = source_path(below);
	bundle = load(path);
	document = bundle_json(bundle, NULL);
	bundle_stats(bundle, NULL, &stats);
	json_object_set_new(document, "stats", stats_json(&stats));
	json_object_set_new(document, "schema", json_string(schema_tag(schema_find("facts"), tag)));
	if (!schema_value_fits(schema, schema, document, why))
		fail_msg("%s: %s", name, why);
}

static void test_bundles_fit(void **state)
{
	static const char *const names[] = {"bundles/layers",
					    "bundles/mixed",
					    "bundles/iproute",
					    "bundles/mirrored",
					    "rules/everything.nft",
					    "rules/extensions.iptables-save",
					    "rules/extensions.ebtables-save",
					    "rules/live-filter.ip6tables-Lnv"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		check_fits(names[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_schema), cmocka_unit_test(test_bundles_fit)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
