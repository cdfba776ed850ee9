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
#include "facts/loader.h"
#include "facts/recognise.h"
#include "facts/relation.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_SIZE_MAX = 256 << 20 };

struct gatherer {
	struct pool pool;
	struct bundle *bundle;
	struct loader loader; /* of the host being loaded */
	json_t *links;	      /* links.json, or NULL */
	const char *links_source;
};

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

/* A file that cannot be read is a capture that is not used; the others count all the same. */
static void load_file(struct gatherer *gatherer, const char *path, const char *source)
{
	cleanup_free char *data = NULL;
	cleanup_error struct error *problem = NULL;
	size_t length;

	if (is_documentation(last_name(source)))
		return;
	if (file_read(path, FILE_SIZE_MAX, &data, &length, &problem) < 0)
		loader_unused(&gatherer->loader, source, NULL, problem->message);
	else
		loader_capture(&gatherer->loader, source, last_name(source).at, data, length, false);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names in a folder, sorted; those that begin with a dot only where they are .wslconfig. */
static int list_folder(struct gatherer *gatherer, const char *path, const char ***ret, size_t *ret_count,
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
		texts_push(gatherer->pool.arena, ret, ret_count, arena_strdup(gatherer->pool.arena, entry->d_name));
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

static const char *join(struct gatherer *gatherer, const char *folder, const char *name)
{
	if (!*folder)
		return name;
	return arena_printf(gatherer->pool.arena, "%s/%s", folder, name);
}

static void begin_host(struct gatherer *gatherer, const char *name)
{
	loader_begin(&gatherer->loader, &gatherer->pool, name);
	*arena_push(gatherer->pool.arena, gatherer->bundle->hosts, gatherer->bundle->host_count) =
		gatherer->loader.facts;
}

/* All files of a host's folder. `source` is the folder's path inside the bundle. */
static int load_host(struct gatherer *gatherer, const char *path, const char *source, const char *name,
		     struct error **err)
{
	const char **names;
	size_t count;
	int r = list_folder(gatherer, path, &names, &count, err);

	if (r < 0)
		return r;
	begin_host(gatherer, name);
	for (size_t i = 0; i < count; i++) {
		const char *file = join(gatherer, path, names[i]);

		if (is_file(file) && strcmp(names[i], "links.json") != 0)
			load_file(gatherer, file, join(gatherer, source, names[i]));
	}
	loader_end(&gatherer->loader);
	return 0;
}

static int load_hosts(struct gatherer *gatherer, const char *path, const char *source, struct error **err)
{
	const char **names;
	size_t count;
	int r = list_folder(gatherer, path, &names, &count, err);

	for (size_t i = 0; i < count && r == 0; i++)
		if (is_folder(join(gatherer, path, names[i])))
			r = load_host(gatherer, join(gatherer, path, names[i]), join(gatherer, source, names[i]),
				      names[i], err);
	return r;
}

/* Does a folder hold captures itself, rather than folders of hosts? */
static bool holds_captures(struct gatherer *gatherer, const char *path, const char *const *names, size_t count)
{
	struct recognised recognised;
	bool folders = false, files = false;

	for (size_t i = 0; i < count; i++) {
		const char *file = join(gatherer, path, names[i]);

		if (is_folder(file)) {
			folders = true;
			continue;
		}
		if (is_documentation(span_of(names[i])) || strcmp(names[i], "links.json") == 0)
			continue;
		files = true;
		if (recognise_name(&gatherer->pool, span_of(names[i]), &recognised))
			return true;
	}
	return files && !folders;
}

static const char *last_part(struct gatherer *gatherer, const char *path)
{
	size_t end = strlen(path), start;

	while (end > 1 && path[end - 1] == '/')
		end--;
	for (start = end; start > 0 && path[start - 1] != '/'; start--)
		continue;
	return arena_strndup(gatherer->pool.arena, path + start, end - start);
}

static int load_links(struct gatherer *gatherer, const char *path, struct error **err)
{
	const char *file = join(gatherer, path, "links.json");

	if (!is_file(file))
		return 0;
	gatherer->links_source = "links.json";
	return json_read_file(file, FILE_SIZE_MAX, &gatherer->links, err);
}

static int load_folder(struct gatherer *gatherer, const char *path, struct error **err)
{
	const char *hosts = join(gatherer, path, "hosts"), **names;
	size_t count;
	int r = load_links(gatherer, path, err);

	if (r == 0)
		r = list_folder(gatherer, path, &names, &count, err);
	if (r < 0)
		return r;
	if (is_folder(hosts))
		return load_hosts(gatherer, hosts, "hosts", err);
	if (holds_captures(gatherer, path, names, count))
		return load_host(gatherer, path, "", last_part(gatherer, path), err);
	return load_hosts(gatherer, path, "", err);
}

/* One file: a document of facts, or a capture of a host that is called after it. */
static void load_single(struct gatherer *gatherer, const char *path)
{
	const char *name = last_part(gatherer, path);

	begin_host(gatherer, name);
	load_file(gatherer, path, name);
	loader_end(&gatherer->loader);
}

/* Is it a document that bundle_json() made? */
static int load_document(struct gatherer *gatherer, const char *path, bool *ret_done, struct error **err)
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
	return bundle_from_json(document, gatherer->bundle, err);
}

static int load(struct gatherer *gatherer, const char *path, struct error **err)
{
	bool done = false;
	int r;

	if (!is_folder(path)) {
		if (!is_file(path))
			return error_errno(err, ENOENT, "cannot read facts from %s", path);
		r = load_document(gatherer, path, &done, err);
		if (r < 0 || done)
			return r;
		load_single(gatherer, path);
	} else {
		r = load_folder(gatherer, path, err);
	}
	if (r < 0)
		return r;
	if (gatherer->bundle->host_count == 0) {
		error_set(err, ENOENT, "%s holds no captured output of any host", path);
		error_hint(err, "put one folder per host into it, with files named after commands: ip-addr.txt, "
				"iptables-save.txt");
		return -ENOENT;
	}
	relate_hosts(&gatherer->pool, gatherer->bundle, gatherer->links, gatherer->links_source);
	return 0;
}

int bundle_load(const char *path, struct bundle **ret, struct error **err)
{
	struct arena *arena = arena_new();
	struct bundle *bundle = arena_new_struct(arena, struct bundle);
	struct gatherer gatherer = {.pool = {.arena = arena}, .bundle = bundle};
	int r;

	bundle->arena = arena;
	r = load(&gatherer, path, err);
	json_decref(gatherer.links);
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
	struct gatherer gatherer = {.pool = {.arena = arena}, .bundle = bundle};

	bundle->arena = arena;
	begin_host(&gatherer, source);
	loader_capture(&gatherer.loader, source, last_name(source).at, text, length, false);
	loader_end(&gatherer.loader);
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
