#include "facts/collection.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "facts/redact.h"
#include "facts/relation.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WHY_SIZE_MAX = 300 };

static const char *const state_names[] = {"taken", "missing", "absent", "failed", "not reached"};

struct parser {
	struct arena *arena;
	const struct collection_input *input;
	struct collection *collection;
	struct span mark; /* "\n<word> " */
	struct span rest;
	struct item *open; /* between its begin and its end */
	bool any;
};

static struct item *find_item(struct collection *collection, struct span name)
{
	for (size_t i = 0; i < collection->item_count; i++)
		if (span_is(name, collection->items[i].source->name))
			return &collection->items[i];
	return NULL;
}

/* Every source that was asked for, not reached as long as nothing else is known. */
static void expect(struct parser *parser)
{
	struct collection *collection = parser->collection;
	size_t count;
	const struct source *sources = source_table(&count);

	for (size_t i = 0; i < count; i++)
		if (selection_has(parser->input->selection, &sources[i]))
			*arena_push(parser->arena, collection->items, collection->item_count) =
				(struct item){.source = &sources[i], .state = ITEM_NOT_REACHED};
}

/* What was said on standard error while the source was collected: its first line. */
static const char *said(struct parser *parser, const struct item *item)
{
	char *mark = arena_printf(parser->arena, "\n%s %s\n", parser->input->word, item->source->name);
	struct span errors = {parser->input->err, parser->input->err_length}, line;
	size_t at = span_find(errors, mark);

	if (at == SIZE_MAX)
		return NULL;
	errors = span_skip(errors, at + strlen(mark));
	errors = span_first(errors, span_find(errors, parser->mark.at));
	while (errors.length > 0) {
		line = span_trim(span_cut(&errors, '\n'));
		if (line.length > 0) {
			char *text = arena_strndup(parser->arena, line.at,
						   line.length < WHY_SIZE_MAX ? line.length : WHY_SIZE_MAX);

			text_repair(text);
			return text;
		}
	}
	return NULL;
}

/* A part of a text must not end within a line: 10.0.0.1 may have been 10.0.0.12. */
static struct span whole_lines(struct span text)
{
	while (text.length > 0 && text.at[text.length - 1] != '\n')
		text.length--;
	return text;
}

static void take_text(struct parser *parser, struct item *item, struct span text)
{
	size_t length = text.length;

	if (item->source->flags & SOURCE_SECRETS) {
		char *clean = redact_text(text.at ? text.at : "", text.length, &length, &item->redacted);

		item->text = arena_strndup(parser->arena, clean, length);
		free(clean);
	} else {
		item->text = arena_strndup(parser->arena, text.at ? text.at : "", length);
	}
	item->length = length;
}

/* The item that is open got as far as `text`, without its end. */
static void cut_off(struct parser *parser, struct span text, const char *why)
{
	struct item *item = parser->open;

	parser->open = NULL;
	take_text(parser, item, whole_lines(text));
	item->state = ITEM_TAKEN;
	item->partial = true;
	item->why = why;
}

static void take_part(struct parser *parser, const char *name, struct span text)
{
	struct item *item = find_item(parser->collection, (struct span){name, strlen(name)});

	if (!item)
		return;
	item->state = ITEM_TAKEN;
	take_text(parser, item, text);
}

/* A route to an address of IPv6, or one of its default routes. */
static bool is_six(struct span line)
{
	struct span rest = line, first, second;

	if (!span_word(&rest, &first))
		return false;
	if (span_find(first, ":") != SIZE_MAX || span_find(line, " pref ") != SIZE_MAX)
		return true;
	return span_word(&rest, &second) && span_find(second, ":") != SIZE_MAX && span_find(second, "via") == SIZE_MAX;
}

/* `ip route show table all` shows both families; what is indented goes with what stands before it. */
static void take_routes(struct parser *parser, struct span text)
{
	cleanup_strbuf struct strbuf four = {}, six = {};
	struct strbuf *of = &four;

	while (text.length > 0) {
		struct span line = span_cut(&text, '\n');

		if (line.length > 0 && line.at[0] != '\t' && line.at[0] != ' ')
			of = is_six(line) ? &six : &four;
		strbuf_printf(of, "%.*s\n", (int)line.length, line.at);
	}
	take_part(parser, "ip-route-show-table-all.txt", (struct span){four.text, four.length});
	take_part(parser, "ip-6-route-show-table-all.txt", (struct span){six.text, six.length});
}

/* What stands up to the next line about the loopback interface, which is cut off with the line that goes with it. */
static struct span cut_section(struct span *rest)
{
	size_t at = span_find(*rest, "\n1: lo: ");
	struct span section = span_first(*rest, at == SIZE_MAX ? rest->length : at + 1);

	*rest = span_skip(*rest, section.length);
	span_cut(rest, '\n');
	while (rest->length > 0 && (rest->at[0] == ' ' || rest->at[0] == '\t'))
		span_cut(rest, '\n');
	return section;
}

/* The parts of SOURCE_BATCH, each in the place of the source that it stands for. */
static void take_batch(struct parser *parser, struct span text)
{
	take_part(parser, "ip-d-addr.txt", cut_section(&text));
	take_part(parser, "ip-rule.txt", cut_section(&text));
	take_routes(parser, cut_section(&text));
	take_part(parser, "ip-neigh.txt", text);
}

static void finish(struct parser *parser, struct item *item, struct span text, uint64_t status)
{
	const char *words = said(parser, item);

	if (status == STATUS_ABSENT || status == STATUS_SKIPPED) {
		item->state = ITEM_ABSENT;
		item->why = status == STATUS_ABSENT ? "there is no such file" : "not needed on this host";
		return;
	}
	item->state = status == 0 || item->source->flags & SOURCE_ANY_STATUS ? ITEM_TAKEN : ITEM_FAILED;
	if (item->state == ITEM_TAKEN && item->source->flags & SOURCE_BATCH) {
		take_batch(parser, text);
		item->state = ITEM_ABSENT;
		item->why = "said of what it stands for";
		return;
	}
	if (item->state == ITEM_TAKEN) {
		take_text(parser, item, text);
		return;
	}
	item->why = arena_printf(parser->arena, "%s (exit status %llu)", words ? words : "it failed",
				 (unsigned long long)status);
	if (span_trim(text).length > 0) {
		take_text(parser, item, whole_lines(text));
		item->partial = true;
	}
}

/* One line behind the mark; `text` is what came before it. */
static void take_mark(struct parser *parser, struct span line, struct span text)
{
	struct span verb, name, rest = line, word;
	struct item *item;
	uint64_t status;

	if (!span_word(&rest, &verb))
		return;
	parser->any = true;
	item = span_word(&rest, &name) ? find_item(parser->collection, name) : NULL;
	span_word(&rest, &word);
	if (parser->open && !(span_is(verb, "end") && item == parser->open))
		cut_off(parser, text, arena_printf(parser->arena, "longer than %u KiB", parser->open->source->limit));
	if (span_is(verb, "done"))
		parser->collection->complete = true;
	if (!item)
		return;
	parser->collection->ended = item->source->name;
	if (span_is(verb, "begin")) {
		parser->open = item;
	} else if (span_is(verb, "missing")) {
		item->state = ITEM_MISSING;
		item->why = arena_printf(parser->arena, "there is no program %s",
					 item->source->program ? item->source->program : item->source->name);
	} else if (span_is(verb, "end") && parser->open == item && span_number(word, &status)) {
		parser->open = NULL;
		finish(parser, item, text, status);
	}
}

/* The end of a stream that was cut off may be the first part of a mark. */
static struct span without_mark(struct parser *parser, struct span text)
{
	for (size_t length = parser->mark.length - 1; length > 0; length--)
		if (text.length >= length && memcmp(text.at + text.length - length, parser->mark.at, length) == 0)
			return span_first(text, text.length - length);
	return text;
}

static void parse_stream(struct parser *parser)
{
	struct span text, line;
	size_t at;

	/* What a login shell prints before the first mark is nobody's. */
	while ((at = span_find(parser->rest, parser->mark.at)) != SIZE_MAX) {
		size_t end;

		text = span_first(parser->rest, at);
		line = span_skip(parser->rest, at + parser->mark.length);
		end = span_find_char(line, '\n');
		if (end == SIZE_MAX) { /* cut off inside the mark */
			parser->rest = text;
			break;
		}
		/* The newline stays: it may belong to the next mark. */
		parser->rest = span_skip(line, end);
		take_mark(parser, span_first(line, end), span_skip(text, parser->open != NULL));
	}
	if (parser->open)
		cut_off(parser, span_skip(without_mark(parser, parser->rest), 1), "the connection ended in it");
}

static int no_answer(const struct collection_input *input, struct error **err)
{
	struct span rest = {input->err, input->err_length}, line = {"", 0};

	while (rest.length > 0 && line.length == 0)
		line = span_trim(span_cut(&rest, '\n'));
	if (line.length > 0)
		error_set(err, EPROTO, "%s did not answer: %.*s", input->host,
			  (int)(line.length < 500 ? line.length : 500), line.at);
	else
		error_set(err, EPROTO, "%s answered nothing", input->host);
	error_hint(err, "it needs a POSIX shell called sh");
	return -EPROTO;
}

int collection_parse(struct arena *arena, const struct collection_input *input, struct collection *ret,
		     struct error **err)
{
	struct parser parser = {.arena = arena,
				.input = input,
				.collection = ret,
				.mark = span_of(arena_printf(arena, "\n%s ", input->word)),
				.rest = {input->out, input->out_length}};

	*ret = (struct collection){.host = input->host, .alias = input->alias, .machine = input->machine};
	expect(&parser);
	parse_stream(&parser);
	if (!parser.any)
		return no_answer(input, err);
	for (size_t i = 0; i < ret->item_count; i++)
		if (ret->items[i].state == ITEM_NOT_REACHED)
			ret->items[i].why = "the connection ended before it";
	return 0;
}

/* Parts of a guest's path are parted by dots there. */
const char *collection_folder(struct arena *arena, const char *host)
{
	char *name = arena_strdup(arena, host);

	for (char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_')
			*c = '.';
	while (*name == '.')
		name++;
	return *name ? name : "host";
}

static void add_note(struct loader *loader, const char *folder, const char *text)
{
	struct facts *facts = loader->facts;

	*arena_push(loader->pool->arena, facts->notes, facts->note_count) =
		(struct note){text, {.source = pool_text(loader->pool, folder)}};
}

static void note_end(struct loader *loader, const char *folder, const char *ended, size_t not_reached)
{
	add_note(loader, folder,
		 arena_printf(loader->pool->arena,
			      "the connection ended %s%s; %zu things after it were not collected and are unknown",
			      ended ? "in or after " : "before anything came", ended ? ended : "", not_reached));
}

static size_t count_not_reached(const struct collection *collection)
{
	size_t count = 0;

	for (size_t i = 0; i < collection->item_count; i++)
		count += collection->items[i].state == ITEM_NOT_REACHED;
	return count;
}

static void be_called(struct loader *loader, const char *name, const char *alias, const char *machine)
{
	struct facts *facts = loader->facts;

	facts->name = pool_text(loader->pool, name);
	facts->alias = pool_text(loader->pool, alias);
	facts->machine = pool_text(loader->pool, machine);
}

void collection_load(struct loader *loader, const struct collection *collection, const char *folder)
{
	be_called(loader, collection->host, collection->alias, collection->machine);
	for (size_t i = 0; i < collection->item_count; i++) {
		const struct item *item = &collection->items[i];
		const char *name = item->source->name;
		const char *source = arena_printf(loader->pool->arena, "%s/%s", folder, name);

		if (item->text)
			loader_capture(loader, source, name, item->text, item->length, item->partial);
		else
			loader_unused(loader, source, item->source->program, item->why);
		if (item->text && item->why)
			add_note(loader, source, pool_text(loader->pool, item->why));
	}
	if (!collection->complete)
		note_end(loader, folder, collection->ended, count_not_reached(collection));
}

static int by_host(const void *a, const void *b)
{
	return strcmp((*(struct facts *const *)a)->name, (*(struct facts *const *)b)->name);
}

struct bundle *collections_bundle(const struct collection *collections, size_t count)
{
	struct arena *arena = arena_new();
	struct bundle *bundle = arena_new_struct(arena, struct bundle);
	struct pool pool = {.arena = arena};

	bundle->arena = arena;
	for (size_t i = 0; i < count; i++) {
		struct loader loader;

		loader_begin(&loader, &pool, collections[i].host);
		collection_load(&loader, &collections[i],
				arena_printf(arena, "hosts/%s", collection_folder(arena, collections[i].host)));
		loader_end(&loader);
		*arena_push(arena, bundle->hosts, bundle->host_count) = loader.facts;
	}
	if (count)
		qsort(bundle->hosts, bundle->host_count, sizeof(*bundle->hosts), by_host);
	relate_hosts(&pool, bundle, NULL, NULL);
	return bundle;
}

json_t *collection_manifest(const struct collection *collection)
{
	json_t *items = json_array();

	for (size_t i = 0; i < collection->item_count; i++) {
		const struct item *item = &collection->items[i];
		json_t *entry = json_pack("{s:s, s:s, s:s}", "name", item->source->name, "state",
					  state_names[item->state], "what", item->source->purpose);

		if (item->why)
			json_object_set_new(entry, "why", json_string(item->why));
		if (item->partial)
			json_object_set_new(entry, "partial", json_true());
		if (item->redacted)
			json_object_set_new(entry, "redacted", json_integer((json_int_t)item->redacted));
		json_array_append_new(items, entry);
	}
	return json_pack("{s:s, s:s*, s:s*, s:b, s:s?, s:o}", "host", collection->host, "alias", collection->alias,
			 "machine", collection->machine, "complete", collection->complete, "ended",
			 collection->complete ? NULL : collection->ended, "items", items);
}

void manifest_load(struct loader *loader, const json_t *manifest, const char *folder)
{
	const json_t *items = json_object_get(manifest, "items"), *entry;
	const char *name = json_get_string(manifest, "host", NULL);
	size_t i, not_reached = 0;

	/* Somebody who gave the folder another name meant that one. */
	if (name && strcmp(collection_folder(loader->pool->arena, name), loader->facts->name) == 0)
		be_called(loader, name, json_get_string(manifest, "alias", NULL),
			  json_get_string(manifest, "machine", NULL));
	json_array_foreach (items, i, entry) {
		const char *file = json_get_string(entry, "name", ""), *why = json_get_string(entry, "why", NULL);
		const char *state = json_get_string(entry, "state", "taken");
		const char *source = arena_printf(loader->pool->arena, "%s%s%s", folder, *folder ? "/" : "", file);
		bool text = strcmp(state, state_names[ITEM_TAKEN]) == 0 || manifest_partial(manifest, file);

		not_reached += strcmp(state, state_names[ITEM_NOT_REACHED]) == 0;
		if (!text)
			loader_unused(loader, source, NULL, why);
		else if (why)
			add_note(loader, source, pool_text(loader->pool, why));
	}
	if (json_is_false(json_object_get(manifest, "complete")))
		note_end(loader, folder, pool_text(loader->pool, json_get_string(manifest, "ended", NULL)),
			 not_reached);
}

bool manifest_partial(const json_t *manifest, const char *name)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (json_object_get(manifest, "items"), i, entry)
		if (strcmp(json_get_string(entry, "name", ""), name) == 0)
			return json_is_true(json_object_get(entry, "partial"));
	return false;
}
