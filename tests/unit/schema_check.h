/*
 * A validator for the part of JSON Schema that render/schema.c uses: type, properties, required, items, enum, const,
 * minimum, $ref into $defs. Stricter than the standard in one thing: a member that no schema describes does not fit, so
 * that answers cannot grow past their description.
 */
#ifndef NESTVISOR_TESTS_SCHEMA_CHECK_H
#define NESTVISOR_TESTS_SCHEMA_CHECK_H

#include "render/schema.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { WHY_SIZE = 256 };

static inline const json_t *schema_follow(const json_t *root, const json_t *schema)
{
	const char *ref = json_string_value(json_object_get(schema, "$ref"));

	if (!ref)
		return schema;
	if (strncmp(ref, "#/$defs/", 8) != 0)
		return NULL;
	return json_object_get(json_object_get(root, "$defs"), ref + 8);
}

static inline bool schema_type_is(const char *type, const json_t *value)
{
	return (strcmp(type, "object") == 0 && json_is_object(value)) ||
	       (strcmp(type, "array") == 0 && json_is_array(value)) ||
	       (strcmp(type, "string") == 0 && json_is_string(value)) ||
	       (strcmp(type, "integer") == 0 && json_is_integer(value)) ||
	       (strcmp(type, "number") == 0 && json_is_number(value)) ||
	       (strcmp(type, "boolean") == 0 && json_is_boolean(value)) ||
	       (strcmp(type, "null") == 0 && json_is_null(value));
}

static inline bool schema_type_fits(const json_t *types, const json_t *value)
{
	size_t i;
	const json_t *type;

	if (json_is_string(types))
		return schema_type_is(json_string_value(types), value);
	json_array_foreach (types, i, type)
		if (schema_type_is(json_string_value(type), value))
			return true;
	return false;
}

static inline bool schema_value_fits(const json_t *root, const json_t *schema, const json_t *value, char why[WHY_SIZE]);

static inline bool schema_object_fits(const json_t *root, const json_t *schema, const json_t *object,
				      char why[WHY_SIZE])
{
	const json_t *properties = json_object_get(schema, "properties"), *name;
	const char *key;
	json_t *member;
	size_t i;

	json_array_foreach (json_object_get(schema, "required"), i, name)
		if (!json_object_get(object, json_string_value(name))) {
			snprintf(why, WHY_SIZE, "\"%s\" is missing", json_string_value(name));
			return false;
		}
	json_object_foreach ((json_t *)object, key, member) {
		const json_t *sub = json_object_get(properties, key);

		if (!sub && properties) {
			snprintf(why, WHY_SIZE, "\"%s\" is described nowhere", key);
			return false;
		}
		if (sub && !schema_value_fits(root, sub, member, why))
			return false;
	}
	return true;
}

static inline bool schema_value_fits(const json_t *root, const json_t *schema, const json_t *value, char why[WHY_SIZE])
{
	const json_t *types, *options, *constant, *option, *item;
	bool found = false;
	size_t i;

	schema = schema_follow(root, schema);
	types = json_object_get(schema, "type");
	options = json_object_get(schema, "enum");
	constant = json_object_get(schema, "const");
	json_array_foreach (options, i, option)
		found |= json_equal(option, value);
	if ((types && !schema_type_fits(types, value)) || (options && !found) ||
	    (constant && !json_equal(constant, value)) ||
	    (json_is_number(value) && json_is_number(json_object_get(schema, "minimum")) &&
	     json_number_value(value) < json_number_value(json_object_get(schema, "minimum")))) {
		char *text = json_dumps(value, JSON_ENCODE_ANY), *wanted = json_dumps(schema, 0);

		snprintf(why, WHY_SIZE, "%.80s does not fit %.160s", text ? text : "?", wanted ? wanted : "?");
		free(text);
		free(wanted);
		return false;
	}
	if (json_is_object(value) && !schema_object_fits(root, schema, value, why))
		return false;
	if (json_is_array(value) && json_object_get(schema, "items"))
		json_array_foreach (value, i, item)
			if (!schema_value_fits(root, json_object_get(schema, "items"), item, why))
				return false;
	return true;
}

/* Whether the members of an answer, with or without its "schema", fit. */
static inline bool schema_fits(const char *name, const json_t *answer, char why[WHY_SIZE])
{
	const struct schema *schema = schema_find(name);
	json_t *document, *whole;
	char tag[SCHEMA_TAG_SIZE];
	bool fits;

	if (!schema) {
		snprintf(why, WHY_SIZE, "there is no schema \"%s\"", name);
		return false;
	}
	document = schema_document(schema);
	whole = json_pack("{s:s}", "schema", schema_tag(schema, tag));
	json_object_update(whole, (json_t *)answer);
	fits = schema_value_fits(document, document, whole, why);
	json_decref(document);
	json_decref(whole);
	return fits;
}

/* Takes the reference. */
static inline void assert_fits(const char *name, json_t *answer)
{
	char why[WHY_SIZE] = "";

	assert_non_null(answer);
	if (!schema_fits(name, answer, why))
		fail_msg("%s: %s", name, why);
	json_decref(answer);
}

/* Only words that the validator knows, references that lead somewhere, required members that are described. */
static inline bool schema_is_sound(const json_t *root, const json_t *schema, char why[WHY_SIZE])
{
	static const char *const words[] = {"$schema",	"title", "description", "type",	 "properties",
					    "required", "items", "enum",	"const", "minimum",
					    "$ref",	"$defs", NULL};
	const char *key;
	json_t *value, *sub;
	size_t i;

	json_object_foreach ((json_t *)schema, key, value) {
		bool known = false;

		for (const char *const *word = words; *word; word++)
			known |= strcmp(*word, key) == 0;
		if (!known) {
			snprintf(why, WHY_SIZE, "the word \"%s\" is not known", key);
			return false;
		}
	}
	if (!schema_follow(root, schema)) {
		snprintf(why, WHY_SIZE, "a reference leads nowhere");
		return false;
	}
	json_array_foreach (json_object_get(schema, "required"), i, value)
		if (!json_object_get(json_object_get(schema, "properties"), json_string_value(value))) {
			snprintf(why, WHY_SIZE, "\"%s\" is required and not described", json_string_value(value));
			return false;
		}
	json_object_foreach (json_object_get(schema, "properties"), key, sub)
		if (!schema_is_sound(root, sub, why))
			return false;
	json_object_foreach (json_object_get(schema, "$defs"), key, sub)
		if (!schema_is_sound(root, sub, why))
			return false;
	sub = json_object_get(schema, "items");
	return !sub || schema_is_sound(root, sub, why);
}

#endif
