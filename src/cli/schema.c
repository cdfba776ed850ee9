#include "render/schema.h"

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/command.h"
#include "cli/parse.h"
#include "config/config.h"
#include "render/table.h"

#include <stdio.h>

static int print_schema(struct invocation *inv, json_t *schema)
{
	cleanup_free char *text = json_dumps(schema, JSON_INDENT(2));

	if (!text)
		abort();
	invocation_print(inv, "%s\n", text);
	return EXIT_DONE;
}

static int list(struct invocation *inv)
{
	cleanup_table struct table *table = table_new((const char *const[]){"NAME", "SCHEMA", "WHAT", NULL});
	cleanup_strbuf struct strbuf out = {};
	json_t *schemas = json_array();
	char tag[SCHEMA_TAG_SIZE];

	for (const struct schema *s = schema_table(); s->name; s++) {
		json_array_append_new(schemas, json_pack("{s:s, s:s, s:s}", "name", s->name, "schema",
							 schema_tag(s, tag), "summary", s->summary));
		table_row(table);
		table_cell(table, COLOUR_BOLD, s->name);
		table_cell(table, COLOUR_NONE, tag);
		table_cell(table, COLOUR_NONE, s->summary);
	}
	if (inv->json) {
		invocation_answer(inv, json_pack("{s:o}", "schemas", schemas));
		return EXIT_DONE;
	}
	json_decref(schemas);
	table_draw(table, inv->style, &out);
	invocation_print_text(inv, out.text);
	return EXIT_DONE;
}

static int run(struct invocation *inv)
{
	const char *name = invocation_string(inv, "of");
	const struct schema *schema = name ? schema_find(name) : NULL;
	cleanup_json json_t *document = NULL;
	struct nearest nearest = {.word = name};

	if (invocation_flag(inv, "list"))
		return list(inv);
	if (name && !schema) {
		for (const struct schema *s = schema_table(); s->name; s++)
			nearest_try(&nearest, s->name);
		return invocation_usage(inv, "there is no answer \"%s\"%s%s%s; nestvisor schema --list shows them",
					name, nearest.name ? ", did you mean \"" : "", nearest.name ? nearest.name : "",
					nearest.name ? "\"?" : "");
	}
	document = schema ? schema_document(schema) : config_schema();
	return print_schema(inv, document);
}

const struct command command_schema = {
	.name = "schema",
	.group = GROUP_OTHER,
	.summary = "prints the JSON Schema of the lab file, or of an answer of --json",
	.description = "Without options: the schema of the lab file, for editors that check and complete YAML by it. "
		       "With --of: that of an "
		       "answer that a command gives with --json. Schemas follow JSON Schema 2020-12.",
	.options =
		(const struct command_option[]){
			{.name = "of",
			 .kind = OPTION_STRING,
			 .argument = "NAME",
			 .help = "the answer whose schema is meant",
			 .complete = COMPLETE_SCHEMA,
			 .no_env = true},
			{.name = "list", .help = "list the answers that have a schema", .no_env = true},
			{}},
	.examples =
		(const struct command_example[]){
			{"nestvisor schema > nest.schema.json",
			 "the lab file's schema; name it in an editor to have *.nest.yaml checked as you type"},
			{"nestvisor schema --of status", "what nestvisor status --json answers"},
			{}},
	.json = "schemas",
	.run = run,
};
