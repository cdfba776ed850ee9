/*
 * The walk of a tree along the table. Whatever does not fit is reported once and becomes NODE_BROKEN, so that neither
 * the rest of the walk nor the checks behind it take up the same thing again.
 */
#include "config/schema.h"

#include "base/arena.h"
#include "config/spelling.h"

#include <string.h>

struct walk {
	struct arena *arena;
	struct problems *problems;
	bool part; /* the file has "at" */
};

static void check_value(struct walk *w, const struct key *key, const char *name, struct node *node);

/* "a size such as 512M or 2G", "a list of addresses", "true or false, or a map". */
static const char *expected(struct walk *w, const struct key *key, bool item)
{
	const char *scalar = key->rule.kind ? value_expected(&key->rule, w->problems) : NULL;
	const char *map =
		key->object ? problems_text(w->problems, "a map of the keys of %s", key->object->article) : NULL;
	const char *one = scalar && map ? problems_text(w->problems, "%s, or a map", scalar) : scalar ? scalar : map;

	if (item || key->shape == SHAPE_ONE)
		return one;
	if (key->shape == SHAPE_NAMED)
		return problems_text(w->problems, "a map of names, each with the keys of %s", key->object->article);
	return problems_text(w->problems, "%sa list, each of it %s", key->shape == SHAPE_LIST ? "" : "one or ", one);
}

/* What stands there, for "not …". */
static const char *found(struct walk *w, const struct node *node)
{
	return node->kind == NODE_SCALAR ? problems_quote(w->problems, node->text) : node_kind_name(node);
}

static void refuse_kind(struct walk *w, const struct key *key, const char *name, struct node *node, bool item)
{
	/* Of nothing there is nothing to point at. */
	struct spot spot = node->kind == NODE_NULL && node->key ? node->key_spot : node->spot;
	const char *hint;

	if (!problems_enough(w->problems)) {
		hint = key->example && !item ? problems_text(w->problems, "for example %s: %s", key->name, key->example)
					     : NULL;
		problems_error(w->problems, spot, hint, "%s must be %s, not %s", name, expected(w, key, item),
			       found(w, node));
	}
	node->kind = NODE_BROKEN;
}

static void check_scalar(struct walk *w, const struct key *key, const char *name, struct node *node)
{
	struct complaint complaint = {0};
	const char *text = node->text;

	if (problems_enough(w->problems)) {
		node->kind = NODE_BROKEN;
		return;
	}
	if (value_parse(&key->rule, text, w->problems, &node->value, &complaint))
		return;
	if (complaint.message)
		problems_error(w->problems, node->spot, complaint.hint, "%s %s %s", name,
			       problems_quote(w->problems, text), complaint.message);
	else
		problems_error(w->problems, node->spot, complaint.hint, "%s must be %s, not %s", name,
			       expected(w, key, true), problems_quote(w->problems, text));
	node->kind = NODE_BROKEN;
}

static const struct key *find_key(const struct object *object, const char *name)
{
	for (size_t i = 0; i < object->key_count; i++)
		if (strcmp(object->keys[i].name, name) == 0)
			return &object->keys[i];
	return NULL;
}

/* "cpus, memory, image" for a key that resembles none. */
static const char *list_keys(struct walk *w, const struct object *object)
{
	cleanup_strbuf struct strbuf list = {0};

	for (size_t i = 0; i < object->key_count; i++)
		if (schema_is_public(object, &object->keys[i]))
			strbuf_printf(&list, "%s%s", list.length ? ", " : "", object->keys[i].name);
	return problems_text(w->problems, "%s may hold: %s", object->article, list.text);
}

/* Returns the key that was probably meant, so that it is not also reported as missing. */
static const struct key *refuse_key(struct walk *w, const struct object *object, const struct node *node,
				    const struct key *elsewhere)
{
	struct spelling spelling = {.word = node->key};
	const char *hint;

	if (problems_enough(w->problems))
		return NULL;
	for (size_t i = 0; i < object->key_count; i++)
		if (schema_is_public(object, &object->keys[i]))
			spelling_try(&spelling, object->keys[i].name);
	hint = spelling.best		      ? problems_did_you_mean(w->problems, spelling.best)
	       : strcmp(node->key, "<<") == 0 ? "what many guests share belongs into \"defaults\""
					      : list_keys(w, object);
	if (elsewhere && !(elsewhere->flags & KEY_PART_ONLY))
		problems_error(w->problems, node->key_spot, list_keys(w, object), "%s cannot hold %s", object->article,
			       problems_quote(w->problems, node->key));
	else
		problems_error(w->problems, node->key_spot, hint, "unknown key %s in %s",
			       problems_quote(w->problems, node->key), object->article);
	return spelling.best ? find_key(object, spelling.best) : NULL;
}

static void refuse_missing(struct walk *w, const struct object *object, const struct node *map, const struct key *key)
{
	struct spot spot = map->key ? map->key_spot : (struct spot){map->spot.place, 0};

	if (problems_enough(w->problems))
		return;
	problems_error(w->problems, spot, problems_text(w->problems, "for example %s: %s", key->name, key->example),
		       "%s needs \"%s\": %s", object->article, key->name, expected(w, key, false));
}

static bool may_stand(const struct walk *w, const struct object *object, const struct key *key)
{
	return schema_is_public(object, key) || (w->part && (key->flags & KEY_PART_ONLY) && !object->only);
}

static void check_object(struct walk *w, const struct object *object, struct node *map)
{
	bool meant[32] = {false}; /* misspelt, as it seems; more keys than this no object has */
	struct node *child = map->kind == NODE_MAP ? map->first : NULL;

	map->slots = arena_alloc(w->arena, object->key_count * sizeof(struct node *));
	for (; child; child = child->next) {
		const struct key *key = find_key(object, child->key);

		if (!key || !may_stand(w, object, key)) {
			const struct key *other = refuse_key(w, object, child, key);

			if (other)
				meant[other - object->keys] = true;
		} else {
			map->slots[key - object->keys] = child;
			check_value(w, key, key->name, child);
		}
	}
	for (size_t i = 0; i < object->key_count; i++)
		if ((object->keys[i].flags & KEY_REQUIRED) && !map->slots[i] && !meant[i])
			refuse_missing(w, object, map, &object->keys[i]);
}

static void check_one(struct walk *w, const struct key *key, const char *name, struct node *node, bool item)
{
	if (node->kind == NODE_BROKEN)
		return;
	if (node->kind == NODE_SCALAR && key->rule.kind)
		check_scalar(w, key, name, node);
	else if (node->kind == NODE_MAP && key->object)
		check_object(w, key->object, node);
	else if (node->kind == NODE_NULL && key->object && !key->rule.kind && !item)
		check_object(w, key->object, node); /* "ssh:" and no more */
	else
		refuse_kind(w, key, name, node, item);
}

static void check_named(struct walk *w, const struct key *key, struct node *node)
{
	static const struct value_rule name_rule = {.kind = VALUE_NAME};

	if (node->kind == NODE_NULL)
		return;
	if (node->kind != NODE_MAP) {
		refuse_kind(w, key, key->name, node, false);
		return;
	}
	for (struct node *child = node->first; child; child = child->next) {
		struct complaint complaint = {0};
		union value unused;

		if (child->kind == NODE_BROKEN)
			continue;
		if (!value_parse(&name_rule, child->key, w->problems, &unused, &complaint))
			problems_error(w->problems, child->key_spot, complaint.hint, "%s %s",
				       problems_quote(w->problems, child->key), complaint.message);
		if (child->kind == NODE_NULL)
			check_object(w, key->object, child); /* "hv2:" and no more: all by default */
		else
			check_one(w, key, key->object->article, child, true);
	}
}

static void check_list(struct walk *w, const struct key *key, struct node *node)
{
	if (node->kind == NODE_NULL && key->shape == SHAPE_LIST)
		return;
	if (node->kind != NODE_LIST && key->shape == SHAPE_ONE_OR_LIST) {
		struct node *only;

		if (node->kind == NODE_NULL || node->kind == NODE_MAP) {
			refuse_kind(w, key, key->name, node, false);
			return;
		}
		only = arena_new_struct(w->arena, struct node);
		*only = *node;
		only->key = NULL;
		only->next = NULL;
		node->kind = NODE_LIST;
		node->first = only;
		node->count = 1;
	}
	if (node->kind != NODE_LIST) {
		refuse_kind(w, key, key->name, node, false);
		return;
	}
	for (struct node *item = node->first; item; item = item->next)
		check_one(w, key, key->name, item, true);
}

static void check_value(struct walk *w, const struct key *key, const char *name, struct node *node)
{
	if (node->kind == NODE_BROKEN)
		return;
	switch (key->shape) {
	case SHAPE_ONE:
		check_one(w, key, name, node, false);
		break;
	case SHAPE_LIST:
	case SHAPE_ONE_OR_LIST:
		check_list(w, key, node);
		break;
	case SHAPE_NAMED:
		check_named(w, key, node);
		break;
	}
}

bool schema_check(struct arena *arena, struct node *root, struct problems *problems)
{
	struct walk walk = {.arena = arena, .problems = problems};

	if (root->kind != NODE_MAP) {
		if (root->kind != NODE_BROKEN)
			problems_error(problems, root->spot,
				       "a lab file begins with \"lab: NAME\"; examples/first.nest.yaml is one",
				       "a lab file must be a map of the keys of a lab, not %s", node_kind_name(root));
		return false;
	}
	for (const struct node *child = root->first; child; child = child->next)
		if (strcmp(child->key, "at") == 0 || strcmp(child->key, "here") == 0)
			walk.part = true;
	check_object(&walk, &schema_lab, root);
	return true;
}
