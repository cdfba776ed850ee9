/*
 * From a folder to facts. Files are told by their names, or by what they look like; a file may also be what somebody
 * copied from a terminal, prompts and all: then each command's output is a capture of its own.
 */
#include "facts/bundle.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "facts/json.h"
#include "facts/merge.h"
#include "facts/recognise.h"
#include "facts/relation.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_SIZE_MAX = 256 << 20 };

struct loader {
	struct pool pool;
	struct bundle *bundle;
	json_t *links; /* links.json, or NULL */
	const char *links_source;
	/* of the host being loaded */
	struct facts *facts;
	struct captured_rules *rules;
	size_t rule_count;
};

static struct capture *add_capture(struct loader *loader, const char *source, uint32_t line)
{
	struct facts *facts = loader->facts;
	struct capture *capture = arena_push(loader->pool.arena, facts->captures, facts->capture_count);

	*capture = (struct capture){.source = source, .line = line};
	return capture;
}

/* Facts that say "this is all": a capture that only shows a part must not. */
static void weaken(struct facts *facts, const struct facts *before, struct ruleset *ruleset)
{
	struct {
		enum truth *now;
		enum truth before;
	} truths[] = {{&facts->links_known, before->links_known},
		      {&facts->neighbours_known, before->neighbours_known},
		      {&facts->fdb_known, before->fdb_known},
		      {&facts->policy_rules4_known, before->policy_rules4_known},
		      {&facts->policy_rules6_known, before->policy_rules6_known},
		      {&facts->sysctls_known, before->sysctls_known},
		      {&facts->connections_known, before->connections_known},
		      {&facts->modules_known, before->modules_known},
		      {&facts->listeners_known, before->listeners_known}};

	for (size_t i = 0; i < sizeof(truths) / sizeof(*truths); i++)
		if (*truths[i].now == TRUTH_YES && truths[i].before != TRUTH_YES)
			*truths[i].now = TRUTH_NO;
	facts->route_coverage_count = before->route_coverage_count;
	ruleset->coverage_count = 0;
	for (size_t i = 0; i < ruleset->table_count; i++) {
		ruleset->tables[i].whole = TRUTH_NO;
		for (size_t j = 0; j < ruleset->tables[i].chain_count; j++)
			ruleset->tables[i].chains[j].whole = TRUTH_NO;
	}
}

static void parse_json_text(struct reader *reader, const struct recognised *recognised, json_t *document)
{
	reader->json = true;
	recognised->format->parse_json(reader, &recognised->asked, document);
}

/* One command's output. */
static void load_section(struct loader *loader, const char *source, struct span text, uint32_t line,
			 const struct recognised *recognised)
{
	struct facts *facts = loader->facts, before = *facts;
	struct ruleset ruleset = {};
	struct capture *capture = add_capture(loader, source, line + 1);
	struct reader reader = {.pool = &loader->pool,
				.facts = facts,
				.ruleset = &ruleset,
				.capture = capture,
				.source = source,
				.at = text.at,
				.end = text.at + text.length,
				.line = line};
	cleanup_json json_t *document = NULL;
	cleanup_error struct error *err = NULL;
	struct span start = span_trim(text);
	struct recognised json;

	capture->used = true;
	capture->command = recognised_command(&loader->pool, recognised);
	if (start.length > 0 && (start.at[0] == '[' || start.at[0] == '{') && recognised->format->parse_json) {
		if (json_parse(start.at, start.length, "this", &document, &err) < 0) {
			reader_note(&reader, "%s", err->message);
			capture->used = false;
			capture->why = "not valid JSON";
			return;
		}
		json = *recognised;
		json.asked.json = true;
		capture->command = recognised_command(&loader->pool, &json);
		parse_json_text(&reader, &json, document);
	} else {
		recognised->format->parse(&reader, &recognised->asked);
	}
	if (recognised->filtered)
		weaken(facts, &before, &ruleset);
	if (recognised->format->rank == 0)
		return;
	*arena_push(loader->pool.arena, loader->rules, loader->rule_count) = (struct captured_rules){
		.ruleset = ruleset, .capture = facts->capture_count - 1, .rank = recognised->format->rank};
}

/* Finds the next prompt from `at` on. False: the rest belongs to one command. */
static bool next_prompt(struct loader *loader, struct span text, size_t at, uint32_t *line, size_t *ret_start,
			size_t *ret_end, struct recognised *ret)
{
	struct span command;

	while (at < text.length) {
		struct span rest = span_skip(text, at), row = span_cut(&rest, '\n');

		if (recognise_prompt(&loader->pool, span_trim(row), ret, &command)) {
			*ret_start = at;
			*ret_end = at + row.length + 1 < text.length ? at + row.length + 1 : text.length;
			return true;
		}
		at += row.length + 1;
		++*line;
	}
	return false;
}

static bool is_blank(struct span text)
{
	return span_trim(text).length == 0;
}

/* Reads a text: all of it by its name, unless prompts part it into several commands' output. */
static void load_text(struct loader *loader, const char *source, struct span text, const struct recognised *named)
{
	struct recognised current = *named, next;
	size_t start = 0, prompt = 0, behind = 0;
	uint32_t first_line = 0, line = 0;
	bool any = false;

	while (next_prompt(loader, text, start, &line, &prompt, &behind, &next)) {
		struct span part = span_first(span_skip(text, start), prompt - start);

		if (current.format && !is_blank(part)) {
			load_section(loader, source, part, first_line, &current);
			any = true;
		}
		current = next;
		start = behind;
		first_line = ++line;
	}
	text = span_skip(text, start);
	if (!current.format && start == 0)
		recognise_text(text, &current);
	if (current.format)
		load_section(loader, source, text, first_line, &current);
	else if (!any)
		add_capture(loader, source, 1)->why = "not recognised";
}

static bool recognise_file(struct loader *loader, struct span name, struct span text, struct recognised *ret)
{
	cleanup_json json_t *document = NULL;
	struct span start = span_trim(text);

	if (recognise_name(&loader->pool, name, ret)) {
		struct recognised seen;

		if (ret->weak && recognise_text(text, &seen) && seen.format->parse != ret->format->parse)
			*ret = seen;
		return true;
	}
	if (start.length > 0 && (start.at[0] == '[' || start.at[0] == '{') &&
	    json_parse(start.at, start.length, "this", &document, NULL) == 0)
		return recognise_json(document, ret);
	return false;
}

/* Documents people put beside captures. */
static bool is_documentation(struct span name)
{
	static const char *const names[] = {"readme", "license", "copying", "info", "notes", "scenario.json"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (name.length >= strlen(names[i]) && span_is_nocase(span_first(name, strlen(names[i])), names[i]))
			return true;
	return span_ends(name, ".md") || span_ends(name, ".jsonl") || span_ends(name, ".py");
}

static struct span last_name(const char *source)
{
	const char *slash = strrchr(source, '/');

	return span_of(slash ? slash + 1 : source);
}

static void load_data(struct loader *loader, const char *source, const char *data, size_t length)
{
	struct recognised recognised = {};
	size_t clean;
	char *text = text_clean(loader->pool.arena, data, length, &clean);

	recognise_file(loader, last_name(source), (struct span){text, clean}, &recognised);
	load_text(loader, source, (struct span){text, clean}, &recognised);
}

/* A file that cannot be read is a capture that is not used; the others count all the same. */
static void load_file(struct loader *loader, const char *path, const char *source)
{
	cleanup_free char *data = NULL;
	cleanup_error struct error *problem = NULL;
	size_t length;

	if (is_documentation(last_name(source)))
		return;
	if (file_read(path, FILE_SIZE_MAX, &data, &length, &problem) < 0)
		add_capture(loader, source, 0)->why = arena_strdup(loader->pool.arena, problem->message);
	else
		load_data(loader, source, data, length);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names in a folder, sorted; those that begin with a dot only where they are .wslconfig. */
static int list_folder(struct loader *loader, const char *path, const char ***ret, size_t *ret_count,
		       struct error **err)
{
	cleanup_closedir DIR *folder = opendir(path);
	struct dirent *entry;

	*ret = NULL;
	*ret_count = 0;
	if (!folder)
		return error_errno(err, errno, "cannot read the folder %s", path);
	while ((entry = readdir(folder))) {
		if (entry->d_name[0] == '.' && strcmp(entry->d_name, ".wslconfig") != 0)
			continue;
		texts_push(loader->pool.arena, ret, ret_count, arena_strdup(loader->pool.arena, entry->d_name));
	}
	if (*ret_count)
		qsort(*ret, *ret_count, sizeof(**ret), by_name);
	return 0;
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static const char *join(struct loader *loader, const char *folder, const char *name)
{
	if (!*folder)
		return name;
	return arena_printf(loader->pool.arena, "%s/%s", folder, name);
}

static void begin_host(struct loader *loader, const char *name)
{
	struct facts *facts = arena_new_struct(loader->pool.arena, struct facts);

	facts->name = pool_text(&loader->pool, name);
	*arena_push(loader->pool.arena, loader->bundle->hosts, loader->bundle->host_count) = facts;
	loader->facts = facts;
	loader->rules = NULL;
	loader->rule_count = 0;
}

static void end_host(struct loader *loader)
{
	merge_rules(&loader->pool, loader->facts, loader->rules, loader->rule_count);
	merge_finish(&loader->pool, loader->facts);
}

/* All files of a host's folder. `source` is the folder's path inside the bundle. */
static int load_host(struct loader *loader, const char *path, const char *source, const char *name, struct error **err)
{
	const char **names;
	size_t count;
	int r = list_folder(loader, path, &names, &count, err);

	if (r < 0)
		return r;
	begin_host(loader, name);
	for (size_t i = 0; i < count; i++) {
		const char *file = join(loader, path, names[i]);

		if (is_file(file) && strcmp(names[i], "links.json") != 0)
			load_file(loader, file, join(loader, source, names[i]));
	}
	end_host(loader);
	return 0;
}

static int load_hosts(struct loader *loader, const char *path, const char *source, struct error **err)
{
	const char **names;
	size_t count;
	int r = list_folder(loader, path, &names, &count, err);

	for (size_t i = 0; i < count && r == 0; i++)
		if (is_folder(join(loader, path, names[i])))
			r = load_host(loader, join(loader, path, names[i]), join(loader, source, names[i]), names[i],
				      err);
	return r;
}

/* Does a folder hold captures itself, rather than folders of hosts? */
static bool holds_captures(struct loader *loader, const char *path, const char *const *names, size_t count)
{
	struct recognised recognised;
	bool folders = false, files = false;

	for (size_t i = 0; i < count; i++) {
		const char *file = join(loader, path, names[i]);

		if (is_folder(file)) {
			folders = true;
			continue;
		}
		if (is_documentation(span_of(names[i])) || strcmp(names[i], "links.json") == 0)
			continue;
		files = true;
		if (recognise_name(&loader->pool, span_of(names[i]), &recognised))
			return true;
	}
	return files && !folders;
}

static const char *last_part(struct loader *loader, const char *path)
{
	size_t end = strlen(path), start;

	while (end > 1 && path[end - 1] == '/')
		end--;
	for (start = end; start > 0 && path[start - 1] != '/'; start--)
		continue;
	return arena_strndup(loader->pool.arena, path + start, end - start);
}

static int load_links(struct loader *loader, const char *path, struct error **err)
{
	const char *file = join(loader, path, "links.json");

	if (!is_file(file))
		return 0;
	loader->links_source = "links.json";
	return json_read_file(file, FILE_SIZE_MAX, &loader->links, err);
}

static int load_folder(struct loader *loader, const char *path, struct error **err)
{
	const char *hosts = join(loader, path, "hosts"), **names;
	size_t count;
	int r = load_links(loader, path, err);

	if (r == 0)
		r = list_folder(loader, path, &names, &count, err);
	if (r < 0)
		return r;
	if (is_folder(hosts))
		return load_hosts(loader, hosts, "hosts", err);
	if (holds_captures(loader, path, names, count))
		return load_host(loader, path, "", last_part(loader, path), err);
	return load_hosts(loader, path, "", err);
}

/* One file: a document of facts, or a capture of a host that is called after it. */
static void load_single(struct loader *loader, const char *path)
{
	const char *name = last_part(loader, path);

	begin_host(loader, name);
	load_file(loader, path, name);
	end_host(loader);
}

/* Is it a document that bundle_json() made? */
static int load_document(struct loader *loader, const char *path, bool *ret_done, struct error **err)
{
	cleanup_json json_t *document = NULL;
	const char *schema;

	*ret_done = false;
	if (strlen(path) < 5 || strcmp(path + strlen(path) - 5, ".json") != 0)
		return 0;
	if (json_read_file(path, FILE_SIZE_MAX, &document, NULL) < 0)
		return 0;
	schema = json_get_string(document, "schema", "");
	if (strncmp(schema, "nestvisor/facts/", strlen("nestvisor/facts/")) != 0)
		return 0;
	*ret_done = true;
	return bundle_from_json(document, loader->bundle, err);
}

static int load(struct loader *loader, const char *path, struct error **err)
{
	bool done = false;
	int r;

	if (!is_folder(path)) {
		if (!is_file(path))
			return error_errno(err, ENOENT, "cannot read facts from %s", path);
		r = load_document(loader, path, &done, err);
		if (r < 0 || done)
			return r;
		load_single(loader, path);
	} else {
		r = load_folder(loader, path, err);
	}
	if (r < 0)
		return r;
	if (loader->bundle->host_count == 0) {
		error_set(err, ENOENT, "%s holds no captured output of any host", path);
		error_hint(err, "put one folder per host into it, with files named after commands: ip-addr.txt, "
				"iptables-save.txt");
		return -ENOENT;
	}
	relate_hosts(&loader->pool, loader->bundle, loader->links, loader->links_source);
	return 0;
}

int bundle_load(const char *path, struct bundle **ret, struct error **err)
{
	struct arena *arena = arena_new();
	struct bundle *bundle = arena_new_struct(arena, struct bundle);
	struct loader loader = {.pool = {.arena = arena}, .bundle = bundle};
	int r;

	bundle->arena = arena;
	r = load(&loader, path, err);
	json_decref(loader.links);
	if (r < 0) {
		arena_free(arena);
		return r;
	}
	*ret = bundle;
	return 0;
}

struct bundle *bundle_from_text(const char *source, const char *text, size_t length)
{
	struct arena *arena = arena_new();
	struct bundle *bundle = arena_new_struct(arena, struct bundle);
	struct loader loader = {.pool = {.arena = arena}, .bundle = bundle};

	bundle->arena = arena;
	begin_host(&loader, source);
	load_data(&loader, pool_text(&loader.pool, source), text, length);
	end_host(&loader);
	return bundle;
}

void bundle_free(struct bundle *bundle)
{
	if (bundle)
		arena_free(bundle->arena);
}

struct facts *bundle_host(const struct bundle *bundle, const char *name)
{
	for (size_t i = 0; i < bundle->host_count; i++)
		if (strcmp(bundle->hosts[i]->name, name) == 0)
			return bundle->hosts[i];
	return NULL;
}
