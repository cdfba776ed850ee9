/*
 * libyaml's events, one after the other, become nodes: recursion follows the nesting, which is limited. The text is
 * checked before: libyaml would take UTF-16, and tells no line for a byte that is no UTF-8.
 */
#include "config/tree.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "config/utf8.h"
#include "model/hash.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { DEEPEST = 200, FEW_KEYS = 16 };

struct reader {
	yaml_parser_t parser;
	struct arena *arena;
	struct problems *problems;
	const char *text;
	size_t length;
	bool anchor_reported;
	bool failed; /* the rest cannot be read */
};

static struct spot spot_of(const yaml_mark_t *start, const yaml_mark_t *end)
{
	struct spot spot = {{(unsigned)start->line + 1, (unsigned)start->column + 1}, 0};

	if (end && end->line == start->line && end->column > start->column)
		spot.width = (unsigned)(end->column - start->column);
	return spot;
}

/* The line and column of a byte, for what libyaml tells no mark of. */
static struct spot spot_at(const char *text, size_t offset)
{
	struct spot spot = {{1, 1}, 0};
	uint32_t unused;

	for (size_t i = 0; i < offset;) {
		size_t length = utf8_next(text + i, offset - i, &unused);

		if (text[i] == '\n' || (text[i] == '\r' && text[i + 1] != '\n')) {
			spot.place.line++;
			spot.place.column = 0;
		}
		spot.place.column++;
		i += length ? length : 1;
	}
	return spot;
}

/* Characters that a text file has no use of. NEL, LS and PS end a line for YAML and for hardly an editor: better none.
 */
static bool is_text(uint32_t c)
{
	if (c < 0x20)
		return c == '\t' || c == '\n' || c == '\r';
	return c < 0x7f || (c >= 0xa0 && c != 0x2028 && c != 0x2029 && c != 0xfeff && (c & 0xfffe) != 0xfffe);
}

static bool check_text(const char *text, size_t length, struct problems *problems)
{
	for (size_t i = 0; i < length;) {
		uint32_t c = 0;
		size_t taken = utf8_next(text + i, length - i, &c);

		if (taken && is_text(c)) {
			i += taken;
			continue;
		}
		if (length >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
			problems_error(problems, spot_at(text, i), "save it as UTF-8", "this file is UTF-16");
		else if (taken)
			problems_error(problems, spot_at(text, i), "a lab file is plain text in UTF-8",
				       "this is not a text file: it holds the character U+%04X", (unsigned)c);
		else
			problems_error(problems, spot_at(text, i), "a lab file is plain text in UTF-8",
				       "this is not a text file: byte 0x%02x is not UTF-8", (unsigned char)text[i]);
		return false;
	}
	return true;
}

static bool stop(struct reader *r, struct spot spot, const char *hint, const char *message)
{
	problems_error(r->problems, spot, hint, "%s", message);
	r->failed = true;
	return false;
}

/* libyaml counts characters, not bytes. */
static char character_at(const struct reader *r, size_t index)
{
	size_t at = 0;
	uint32_t unused;

	for (; index && at < r->length; index--) {
		size_t taken = utf8_next(r->text + at, r->length - at, &unused);

		at += taken ? taken : 1;
	}
	return at < r->length ? r->text[at] : '\0';
}

/* What people mostly did where libyaml says something general. */
static const char *syntax_hint(const struct reader *r, const char *problem)
{
	if (strstr(problem, "cannot start any token"))
		return character_at(r, r->parser.problem_mark.index) == '\t'
			       ? "this is a tab: YAML is indented with spaces"
			       : "what begins with this character needs quotes";
	if (strstr(problem, "mapping values are not allowed"))
		return "the indentation is off, or a value that holds \": \" needs quotes";
	if (strstr(problem, "',' or ']'") || strstr(problem, "',' or '}'"))
		return "a bracket is not closed, a comma is missing, or an IPv6 address that ends in a colon needs "
		       "quotes";
	if (strstr(problem, "could not find expected ':'"))
		return "a key is followed by a colon and a space: \"memory: 2G\"";
	if (strstr(problem, "did not find expected key") || strstr(problem, "block"))
		return "the lines of one map all begin in the same column";
	return NULL;
}

static bool fail_syntax(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	const char *problem = p->problem ? p->problem : "it cannot be read";
	struct spot spot =
		p->error == YAML_READER_ERROR ? spot_at(r->text, p->problem_offset) : spot_of(&p->problem_mark, NULL);
	const char *message = problems_text(r->problems, "this is not YAML: %s", problem);

	if (p->error == YAML_MEMORY_ERROR)
		abort();
	if (p->context && p->context_mark.line != p->problem_mark.line)
		message = problems_text(r->problems, "%s %s that began in line %zu", message, p->context,
					p->context_mark.line + 1);
	return stop(r, spot, syntax_hint(r, problem), message);
}

static bool next_event(struct reader *r, yaml_event_t *event)
{
	if (r->failed)
		return false;
	return yaml_parser_parse(&r->parser, event) ? true : fail_syntax(r);
}

static struct node *node_new(struct reader *r, enum node_kind kind, const yaml_event_t *event)
{
	struct node *node = arena_new_struct(r->arena, struct node);

	node->kind = kind;
	node->spot = spot_of(&event->start_mark, kind == NODE_SCALAR ? &event->end_mark : NULL);
	return node;
}

/* Anchors and aliases are said once: a file that uses them uses many. */
static void refuse_anchor(struct reader *r, const yaml_event_t *event, const yaml_char_t *anchor)
{
	if (!anchor || r->anchor_reported)
		return;
	r->anchor_reported = true;
	problems_error(r->problems, spot_of(&event->start_mark, NULL),
		       "write the value out; what many guests share belongs into \"defaults\"",
		       "a lab file takes no anchors and aliases (& and *)");
}

static void refuse_tag(struct reader *r, const yaml_event_t *event, const yaml_char_t *tag)
{
	if (tag)
		problems_error(r->problems, spot_of(&event->start_mark, NULL), "leave it out",
			       "a lab file takes no tags (!)");
}

static bool is_one_plain_line(const char *text, size_t length)
{
	for (size_t i = 0; i < length;) {
		uint32_t c = 0;
		size_t taken = utf8_next(text + i, length - i, &c);

		if (!taken || utf8_is_hidden(c))
			return false;
		i += taken;
	}
	return true;
}

static struct node *read_scalar(struct reader *r, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t length = event->data.scalar.length;
	struct node *node = node_new(r, NODE_SCALAR, event);

	refuse_anchor(r, event, event->data.scalar.anchor);
	refuse_tag(r, event, event->data.scalar.tag);
	if (!is_one_plain_line(text, length)) {
		problems_error(r->problems, node->spot, "values are single lines without control characters",
			       "this holds a line break or a character that cannot be seen");
		node->kind = NODE_BROKEN;
		return node;
	}
	node->text = arena_strndup(r->arena, text, length);
	node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	if (!node->quoted && (length == 0 || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0))
		node->kind = NODE_NULL;
	return node;
}

static struct node *read_node(struct reader *r, const yaml_event_t *event, unsigned depth);

static void report_twice(struct reader *r, const struct node *node, const struct node *first)
{
	problems_error(r->problems, node->key_spot, "leave one of them out", "%s is said twice; first in line %u",
		       problems_quote(r->problems, node->key), first->key_spot.place.line);
}

/* Where a key stands in the table of those that were there before, or belongs. */
static struct node **table_slot(struct node **table, size_t size, const char *key)
{
	uint64_t hash = hash_text(HASH_START, key);
	size_t i = (size_t)(hash ^ hash >> 32) & (size - 1);

	while (table[i] && strcmp(table[i]->key, key) != 0)
		i = (i + 1) & (size - 1);
	return &table[i];
}

static const struct node *find_before(const struct node *map, const struct node *node)
{
	for (const struct node *before = map->first; before != node; before = before->next)
		if (strcmp(before->key, node->key) == 0)
			return before;
	return NULL;
}

/*
 * Of keys said twice the first stays. In a map of few keys each is compared with all before it, in one of many with a
 * table of those.
 */
static void refuse_duplicates(struct reader *r, struct node *map)
{
	cleanup_free struct node **table = NULL;
	size_t size = 1;

	while (size < map->count * 2)
		size *= 2;
	if (map->count > FEW_KEYS) {
		table = calloc(size, sizeof(struct node *));
		if (!table)
			abort();
	}
	for (struct node **link = &map->first; *link;) {
		struct node **slot = table ? table_slot(table, size, (*link)->key) : NULL;
		const struct node *before = slot ? *slot : find_before(map, *link);

		if (before) {
			report_twice(r, *link, before);
			*link = (*link)->next;
			map->count--;
			continue;
		}
		if (slot)
			*slot = *link;
		link = &(*link)->next;
	}
}

/* A key that is no word is reported, and its value read over. */
static bool read_pair(struct reader *r, const yaml_event_t *key_event, struct node ***end, unsigned depth)
{
	const struct node *key = read_node(r, key_event, depth);
	yaml_event_t event;
	struct node *value;

	if (!next_event(r, &event))
		return false;
	value = read_node(r, &event, depth);
	yaml_event_delete(&event);
	if (r->failed)
		return false;
	if (key->kind == NODE_LIST || key->kind == NODE_MAP) {
		problems_error(r->problems, key->spot, NULL, "a key must be a word, not %s", node_kind_name(key));
		return true;
	}
	if (key->kind == NODE_BROKEN)
		return true;
	value->key = key->text;
	value->key_spot = key->spot;
	**end = value;
	*end = &value->next;
	return true;
}

static bool read_children(struct reader *r, struct node *node, yaml_event_type_t end_type, unsigned depth)
{
	struct node **end = &node->first;
	yaml_event_t event;

	while (next_event(r, &event)) {
		bool done = event.type == end_type, fine = true;

		if (!done && node->kind == NODE_LIST) {
			*end = read_node(r, &event, depth);
			fine = !r->failed;
			if (fine)
				end = &(*end)->next;
			else
				*end = NULL;
		} else if (!done) {
			fine = read_pair(r, &event, &end, depth);
		}
		yaml_event_delete(&event);
		if (done || !fine)
			return fine;
	}
	return false;
}

static struct node *read_collection(struct reader *r, const yaml_event_t *event, enum node_kind kind, unsigned depth)
{
	struct node *node = node_new(r, kind, event);

	if (depth > DEEPEST) {
		stop(r, node->spot, NULL, problems_text(r->problems, "nested more than %d levels deep", DEEPEST));
		return node;
	}
	if (!read_children(r, node, kind == NODE_LIST ? YAML_SEQUENCE_END_EVENT : YAML_MAPPING_END_EVENT, depth + 1))
		return node;
	for (const struct node *n = node->first; n; n = n->next)
		node->count++;
	if (kind == NODE_MAP)
		refuse_duplicates(r, node);
	return node;
}

/* Never NULL; after a failure what comes back is not to be looked at. */
static struct node *read_node(struct reader *r, const yaml_event_t *event, unsigned depth)
{
	switch ((int)event->type) {
	case YAML_SCALAR_EVENT:
		return read_scalar(r, event);
	case YAML_SEQUENCE_START_EVENT:
		refuse_anchor(r, event, event->data.sequence_start.anchor);
		refuse_tag(r, event, event->data.sequence_start.tag);
		return read_collection(r, event, NODE_LIST, depth);
	case YAML_MAPPING_START_EVENT:
		refuse_anchor(r, event, event->data.mapping_start.anchor);
		refuse_tag(r, event, event->data.mapping_start.tag);
		return read_collection(r, event, NODE_MAP, depth);
	default:
		refuse_anchor(r, event, event->data.alias.anchor);
		return node_new(r, NODE_BROKEN, event);
	}
}

/* Reads events up to one of a type. */
static bool expect(struct reader *r, yaml_event_type_t type, yaml_event_type_t or_type, yaml_event_t *ret)
{
	while (next_event(r, ret)) {
		if (ret->type == type || ret->type == or_type)
			return true;
		yaml_event_delete(ret);
	}
	return false;
}

static struct node *read_document(struct reader *r)
{
	struct node *root = NULL;
	yaml_event_t event;

	if (!expect(r, YAML_DOCUMENT_START_EVENT, YAML_STREAM_END_EVENT, &event))
		return NULL;
	if (event.type == YAML_DOCUMENT_START_EVENT) {
		yaml_event_delete(&event);
		if (!next_event(r, &event))
			return NULL;
		root = read_node(r, &event, 1);
	}
	yaml_event_delete(&event);
	if (root && expect(r, YAML_DOCUMENT_START_EVENT, YAML_STREAM_END_EVENT, &event)) {
		if (event.type == YAML_DOCUMENT_START_EVENT)
			stop(r, spot_of(&event.start_mark, &event.end_mark), "one file is one lab",
			     "a second YAML document begins here");
		yaml_event_delete(&event);
	}
	if (!r->failed && (!root || root->kind == NODE_NULL)) {
		stop(r, (struct spot){{1, 1}, 0},
		     "a lab file begins with \"lab: NAME\"; examples/first.nest.yaml is one", "the file is empty");
	}
	return r->failed ? NULL : root;
}

struct node *tree_parse(struct arena *arena, const char *text, size_t length, struct problems *problems)
{
	struct reader r = {.arena = arena, .problems = problems, .text = text, .length = length};
	struct node *root;

	if (length > TREE_LIMIT) {
		problems_error(problems, (struct spot){0}, NULL, "this file is larger than %d MiB", TREE_LIMIT >> 20);
		return NULL;
	}
	if (!check_text(text, length, problems))
		return NULL;
	if (!yaml_parser_initialize(&r.parser))
		abort();
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, length);
	root = read_document(&r);
	yaml_parser_delete(&r.parser);
	return root;
}

const char *node_kind_name(const struct node *node)
{
	switch (node->kind) {
	case NODE_NULL:
		return "nothing";
	case NODE_SCALAR:
		return "a single value";
	case NODE_LIST:
		return "a list";
	case NODE_MAP:
		return "a map";
	case NODE_BROKEN:
		break;
	}
	return "something else";
}
