/*
 * The schema of nestvisor/facts/1 that render/ holds is what the shapes of facts/ say, and real bundles fit it.
 * NESTVISOR_GOLDEN=write writes src/render/schema_facts.c anew.
 */
#include "facts_check.h"

#include "base/arena.h"
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

/* Names that docs/facts.md must explain, each in backquotes. */
static void check_explained(const char *text, const char *name)
{
	cleanup_free char *quoted = NULL;

	assert_true(asprintf(&quoted, "`%s`", name) > 0);
	if (!strstr(text, quoted))
		fail_msg("docs/facts.md does not say what %s is", quoted);
}

static void check_names(const char *text, const json_t *schema, const char *definition, const char *member)
{
	const json_t *properties =
		json_object_get(json_object_get(json_object_get(schema, "$defs"), definition), "properties");
	const json_t *names = json_object_get(json_object_get(properties, member), "enum");

	assert_true(json_array_size(names) > 0);
	for (size_t i = 0; i < json_array_size(names); i++)
		check_explained(text, json_string_value(json_array_get(names, i)));
}

static void test_documented(void **state)
{
	cleanup_free char *path = source_path("docs/facts.md"), *text = NULL;
	cleanup_json json_t *schema = bundle_schema();
	const char *name;
	json_t *member;
	size_t length;

	text = read_file(path, &length);
	json_object_foreach (json_object_get(json_object_get(json_object_get(schema, "$defs"), "facts"), "properties"),
			     name, member)
		if (!strstr(name, "_known"))
			check_explained(text, name);
	check_names(text, schema, "statement", "kind");
	check_names(text, schema, "statement", "reason");
	check_names(text, schema, "statement", "op");
	check_names(text, schema, "statement", "nat");
	check_names(text, schema, "expr", "kind");
	check_names(text, schema, "relation", "kind");
	check_names(text, schema, "rule", "understood");
}

/* What stands between the marks of the first block of JSON. */
static __attribute__((noinline)) json_t *parse_example(const char *text) /* inlined, gcc 12 warns without cause */
{
	const char *start = strstr(text, "```json\n"), *end;
	json_t *document = NULL;

	assert_non_null(start);
	start += strlen("```json\n");
	end = strstr(start, "```");
	assert_non_null(end);
	assert_int_equal(json_parse(start, (size_t)(end - start), "docs/facts.md", &document, NULL), 0);
	return document;
}

/* The example is a document. */
static void test_example(void **state)
{
	cleanup_free char *path = source_path("docs/facts.md"), *text = NULL;
	cleanup_json json_t *document = NULL;
	cleanup_bundle struct bundle *bundle = NULL;
	struct arena *arena = arena_new();
	size_t length;

	text = read_file(path, &length);
	document = parse_example(text);
	bundle = arena_new_struct(arena, struct bundle);
	bundle->arena = arena;
	assert_int_equal(bundle_from_json(document, bundle, NULL), 0);
	assert_string_equal(bundle->hosts[0]->links[0].name, "vnet0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_schema), cmocka_unit_test(test_bundles_fit),
					   cmocka_unit_test(test_documented), cmocka_unit_test(test_example)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
