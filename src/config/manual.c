/* The table as nestvisor.nest.yaml(5), in the language of scdoc(5). */
#include "config/schema.h"

#include <ctype.h>
#include <string.h>

#ifndef NESTVISOR_VERSION
#error "the build defines NESTVISOR_VERSION"
#endif

static const char example[] = "lab: first\n"
			      "networks:\n"
			      "  lab: {subnet: 192.168.122.0/24, uplink: nat}\n"
			      "guests:\n"
			      "  hv1:                      # L1: a guest that is a host\n"
			      "    cpus: 2\n"
			      "    memory: 1G\n"
			      "    nics: [{network: lab, address: 192.168.122.191}]\n"
			      "    networks:\n"
			      "      inner: {subnet: 192.168.124.0/24, uplink: route}\n"
			      "    guests:                 # L2\n"
			      "      a: {memory: 128M, nics: [{network: inner, address: 192.168.124.91}]}\n"
			      "      b: {memory: 128M, nics: [{network: inner, address: 192.168.124.92}]}\n"
			      "policy:\n"
			      "  - allow: {from: L0, to: hv1/a, port: 22}\n"
			      "  - deny: {from: hv1/a, to: world}\n";

/* Text as it is: nothing in it is markup. */
static void add_text(struct strbuf *out, const char *text)
{
	for (bool start = true; *text; text++, start = false) {
		if (strchr("\\*_+~`<>[]#", *text) || (start && ispunct((unsigned char)*text)))
			strbuf_add_char(out, '\\');
		strbuf_add_char(out, *text);
	}
}

static const char *shape_words(const struct key *key)
{
	switch (key->shape) {
	case SHAPE_ONE:
		return "";
	case SHAPE_LIST:
		return "list, each: ";
	case SHAPE_ONE_OR_LIST:
		return "one or a list: ";
	case SHAPE_NAMED:
		return "map of names, each: ";
	}
	return "";
}

/* "(one or a list: subnet; required)" */
static void add_type(struct strbuf *out, const struct key *key)
{
	bool scalar = key->rule.kind != VALUE_NONE;

	strbuf_add(out, " (");
	add_text(out, shape_words(key));
	if (scalar)
		add_text(out, value_noun(&key->rule));
	if (key->rule.kind == VALUE_INTEGER)
		strbuf_printf(out, " from %llu to %llu", (unsigned long long)key->rule.minimum,
			      (unsigned long long)key->rule.maximum);
	if (key->object)
		strbuf_printf(out, "%ssee %s", scalar ? ", or " : "", key->object->title);
	if (key->flags & KEY_REQUIRED)
		strbuf_add(out, "; required");
	strbuf_add(out, ")\n");
}

static void add_choices(struct strbuf *out, const struct choice *choices)
{
	for (const struct choice *c = choices; c && c->name; c++) {
		if (c->refused)
			continue;
		strbuf_printf(out, "\t- *%s*: ", c->name);
		add_text(out, c->means);
		strbuf_add_char(out, '\n');
	}
	if (choices)
		strbuf_add_char(out, '\n');
}

static void add_key(struct strbuf *out, const struct object *object, const struct key *key)
{
	const char *otherwise = key->fallback ? key->fallback : key->otherwise;

	strbuf_printf(out, "*%s*", key->name);
	add_type(out, key);
	strbuf_add_char(out, '\t');
	add_text(out, key->description);
	if (otherwise) {
		strbuf_add(out, " Default: ");
		add_text(out, otherwise);
		strbuf_add_char(out, '.');
	}
	strbuf_add(out, "\n\n");
	add_choices(out, key->rule.kind == VALUE_IMAGE	  ? value_builtin_images
			 : key->rule.kind == VALUE_DRIVER ? value_drivers
							  : key->rule.choices);
	if (!object->only) {
		strbuf_printf(out, "\tExample: _%s: ", key->name);
		add_text(out, key->example);
		strbuf_add(out, "_\n\n");
	}
}

static void add_object(struct strbuf *out, const struct object *object)
{
	strbuf_printf(out, "# %s\n\n", object->title);
	add_text(out, object->description);
	strbuf_add(out, "\n\n");
	if (object->only) { /* described where they belong */
		for (size_t i = 0; i < object->key_count; i++)
			if (schema_is_public(object, &object->keys[i]))
				strbuf_printf(out, "*%s*\n", object->keys[i].name);
		strbuf_add(out, "\nSee GUESTS.\n\n");
		return;
	}
	for (size_t i = 0; i < object->key_count; i++)
		if (schema_is_public(object, &object->keys[i]))
			add_key(out, object, &object->keys[i]);
}

void config_manual(struct strbuf *out)
{
	strbuf_printf(out, "nestvisor.nest.yaml(5) \"nestvisor %s\" \"nestvisor manual\"\n\n", NESTVISOR_VERSION);
	strbuf_add(out, "# NAME\n\nnestvisor.nest.yaml - a lab of virtual machines inside virtual machines\n\n");
	strbuf_add(out, "# DESCRIPTION\n\nA lab file describes every layer of a lab: networks, guests, and guests of "
			"guests. It is YAML in "
			"UTF-8, which JSON is, too. Anchors, aliases, tags and several documents in one file are "
			"refused. *nestvisor "
			"validate* says all that is wrong with a file, and where; *nestvisor schema* prints a JSON "
			"Schema by which "
			"editors check and complete it.\n\nNames are made of a-z, 0-9, \".\", \"\\_\" and \"-\", begin "
			"with a letter or a "
			"digit, and have at most 40 characters.\n\n# EXAMPLE\n\n```\n");
	strbuf_add(out, example);
	strbuf_add(out, "```\n\n");
	for (const struct object *const *object = schema_objects; *object; object++)
		add_object(out, *object);
	strbuf_add(out, "# SEE ALSO\n\n*nestvisor*(1), *nestvisor-validate*(1), *nestvisor-schema*(1)\n");
}
