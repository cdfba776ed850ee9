/* The table as JSON Schema 2020-12 (https://json-schema.org/draft/2020-12/json-schema-core). */
#include "config/schema.h"

#include <stdlib.h>
#include <string.h>

static json_t *reference(const struct object *object)
{
	return json_sprintf("#/$defs/%s", object->id);
}

/* What stands behind a key, or is one item of its list: a scalar, a map, or either. */
static json_t *one_schema(const struct key *key)
{
	if (!key->object)
		return value_schema(&key->rule);
	if (key->rule.kind == VALUE_NONE)
		return json_pack("{s:o}", "$ref", reference(key->object));
	return json_pack("{s:[o, {s:o}]}", "anyOf", value_schema(&key->rule), "$ref", reference(key->object));
}

static json_t *named_schema(const struct key *key)
{
	static const struct value_rule name = {.kind = VALUE_NAME};

	/* "hv2:" and no more is a guest by default. */
	return json_pack("{s:[s, s], s:o, s:{s:[{s:o}, {s:s}]}}", "type", "object", "null", "propertyNames",
			 value_schema(&name), "additionalProperties", "anyOf", "$ref", reference(key->object), "type",
			 "null");
}

static json_t *shaped_schema(const struct key *key)
{
	switch (key->shape) {
	case SHAPE_ONE:
		return one_schema(key);
	case SHAPE_LIST:
		return json_pack("{s:s, s:o}", "type", "array", "items", one_schema(key));
	case SHAPE_ONE_OR_LIST:
		return json_pack("{s:[o, {s:s, s:o}]}", "anyOf", one_schema(key), "type", "array", "items",
				 one_schema(key));
	case SHAPE_NAMED:
		return named_schema(key);
	}
	return json_object();
}

static json_t *fallback_json(const struct key *key)
{
	switch ((int)key->rule.kind) {
	case VALUE_INTEGER:
	case VALUE_RATIO:
		return json_integer(strtoll(key->fallback, NULL, 10));
	case VALUE_BOOL:
		return json_boolean(strcmp(key->fallback, "true") == 0);
	default:
		return json_string(key->fallback);
	}
}

/* Editors show this while one types: what the key does, what it may be, what it is if left out. */
static json_t *key_schema(const struct key *key)
{
	json_t *schema = shaped_schema(key);
	cleanup_strbuf struct strbuf text = {0};

	strbuf_add(&text, key->description);
	for (const struct choice *c = key->rule.choices; c && c->name; c++)
		if (!c->refused)
			strbuf_printf(&text, "%s%s: %s", c == key->rule.choices ? " " : "; ", c->name, c->means);
	if (key->otherwise)
		strbuf_printf(&text, "%s Default: %s.", key->rule.choices ? "." : "", key->otherwise);
	json_object_set_new(schema, "description", json_string(text.text));
	if (key->fallback)
		json_object_set_new(schema, "default", fallback_json(key));
	return schema;
}

static json_t *object_schema(const struct object *object)
{
	json_t *properties = json_object(), *required = json_array();
	json_t *schema = json_pack("{s:s, s:s, s:o, s:b}", "type", "object", "description", object->description,
				   "properties", properties, "additionalProperties", false);

	for (size_t i = 0; i < object->key_count; i++) {
		if (!schema_is_public(object, &object->keys[i]))
			continue;
		json_object_set_new(properties, object->keys[i].name, key_schema(&object->keys[i]));
		if (object->keys[i].flags & KEY_REQUIRED)
			json_array_append_new(required, json_string(object->keys[i].name));
	}
	if (json_array_size(required))
		json_object_set(schema, "required", required);
	json_decref(required);
	return schema;
}

json_t *config_schema(void)
{
	json_t *schema =
		json_pack("{s:s, s:s, s:s, s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema", "$id",
			  "urn:nestvisor:lab-file:1", "title", "nestvisor lab file", "$ref", "#/$defs/lab");
	json_t *defs = json_object();

	for (const struct object *const *object = schema_objects; *object; object++)
		json_object_set_new(defs, (*object)->id, object_schema(*object));
	/* An entry of the policy is one of its keys, not both: nothing else in the table is like that. */
	json_object_set_new(json_object_get(defs, "policy"), "minProperties", json_integer(1));
	json_object_set_new(json_object_get(defs, "policy"), "maxProperties", json_integer(1));
	json_object_set_new(schema, "$defs", defs);
	return schema;
}
