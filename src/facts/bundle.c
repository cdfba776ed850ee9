/*
 * From a folder or an archive to facts. Files are told by their names, or by what they look like; a file may also be
 * what somebody copied from a terminal, prompts and all: then each command's output is a capture of its own.
 */
#include "facts/bundle.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/tar.h"
#include "facts/collection.h"
#include "facts/json.h"
#include "facts/recognise.h"
#include "facts/relation.h"
#include "facts/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_SIZE_MAX = 256 << 20 };

struct gatherer {
	struct pool pool;
	struct tree tree;
	const char *name; /* of the folder or archive, without what leads there */
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

/* What is in a file; `*ret_own` is to be freed. */
static int file_data(const struct file *file, char **ret_own, const char **ret, size_t *ret_length, struct error **err)
{
	*ret_own = NULL;
	*ret = file->data;
	*ret_length = file->length;
	if (file->on_disk) {
		int r = file_read(file->on_disk, FILE_SIZE_MAX, ret_own, ret_length, err);

		if (r < 0)
			return r;
		*ret = *ret_own;
	}
	return 0;
}

/* A file that cannot be read is a capture that is not used; the others count all the same. */
static void load_file(struct gatherer *gatherer, const struct file *file, bool partial)
{
	cleanup_free char *own = NULL;
	cleanup_error struct error *problem = NULL;
	const char *data;
	size_t length;

	if (is_documentation(last_name(file->path)))
		return;
	if (file_data(file, &own, &data, &length, &problem) < 0)
		loader_unused(&gatherer->loader, file->path, NULL, problem->message);
	else if (tar_looks_like(data, length))
		loader_unused(&gatherer->loader, file->path, NULL, "an archive within a bundle: give it by itself");
	else
		loader_capture(&gatherer->loader, file->path, last_name(file->path).at, data, length, partial);
}

static const struct file *find_file(const struct gatherer *gatherer, const char *prefix, const char *name)
{
	for (size_t i = 0; i < gatherer->tree.count; i++) {
		const char *below = tree_below(&gatherer->tree.files[i], prefix);

		if (below && strcmp(below, name) == 0)
			return &gatherer->tree.files[i];
	}
	return NULL;
}

/* NULL: there is none. */
static int read_document(const struct file *file, json_t **ret, struct error **err)
{
	cleanup_free char *own = NULL;
	const char *data;
	size_t length;
	int r;

	*ret = NULL;
	if (!file)
		return 0;
	r = file_data(file, &own, &data, &length, err);
	return r < 0 ? r : json_parse(data, length, file->path, ret, err);
}

static void begin_host(struct gatherer *gatherer, const char *name)
{
	loader_begin(&gatherer->loader, &gatherer->pool, name);
	*arena_push(gatherer->pool.arena, gatherer->bundle->hosts, gatherer->bundle->host_count) =
		gatherer->loader.facts;
}

/* A folder that stands for the host's own root: files under their own paths. */
static void load_root(struct gatherer *gatherer, const char *prefix)
{
	const char *folder = arena_printf(gatherer->pool.arena, "%sroot/", prefix);
	const struct file *found = find_file(gatherer, prefix, "root/");
	cleanup_close int fd = -1;
	struct root root = {.fd = -1, .prefix = strlen(folder) - 1};

	if (!found)
		return;
	if (found->on_disk) {
		root.fd = fd = open(found->on_disk, O_PATH | O_DIRECTORY | O_CLOEXEC);
	} else {
		root.files = found + 1;
		while (root.files + root.file_count < gatherer->tree.files + gatherer->tree.count &&
		       tree_below(root.files + root.file_count, folder))
			root.file_count++;
	}
	facts_from_files(&gatherer->loader, &root);
}

/* All files of a host's folder; `prefix` is the folder's path inside the bundle, with a slash, or "". */
static void load_host(struct gatherer *gatherer, const char *prefix, const char *name)
{
	const char *folder = arena_strndup(gatherer->pool.arena, prefix, *prefix ? strlen(prefix) - 1 : 0);
	cleanup_json json_t *manifest = NULL;
	cleanup_error struct error *problem = NULL;

	begin_host(gatherer, name);
	if (read_document(find_file(gatherer, prefix, MANIFEST_NAME), &manifest, &problem) < 0)
		loader_unused(&gatherer->loader, folder, NULL, problem->message);
	for (size_t i = 0; i < gatherer->tree.count; i++) {
		const char *below = tree_below(&gatherer->tree.files[i], prefix);

		if (below && !strchr(below, '/') && strcmp(below, "links.json") != 0 &&
		    strcmp(below, MANIFEST_NAME) != 0)
			load_file(gatherer, &gatherer->tree.files[i], manifest_partial(manifest, below));
	}
	load_root(gatherer, prefix);
	if (manifest)
		manifest_load(&gatherer->loader, manifest, folder);
	loader_end(&gatherer->loader);
}

/* Each folder in it is a host. */
static void load_hosts(struct gatherer *gatherer, const char *prefix)
{
	for (size_t i = 0; i < gatherer->tree.count; i++) {
		const struct file *file = &gatherer->tree.files[i];
		const char *below = tree_below(file, prefix);

		if (below && strchr(below, '/') == below + strlen(below) - 1)
			load_host(gatherer, file->path, arena_strndup(gatherer->pool.arena, below, strlen(below) - 1));
	}
}

/* What a folder of a bundle holds: captures itself, or folders of hosts. */
struct content {
	bool captures, files;
	size_t folders;
	const char *folder; /* the first */
};

static struct content look_into(struct gatherer *gatherer, const char *prefix)
{
	struct content content = {};
	struct recognised recognised;

	for (size_t i = 0; i < gatherer->tree.count; i++) {
		const char *below = tree_below(&gatherer->tree.files[i], prefix);
		size_t slash = below ? strcspn(below, "/") : 0;

		if (!below)
			continue;
		if (below[slash] && !below[slash + 1]) {
			content.captures = content.captures || strcmp(below, "root/") == 0;
			if (content.folders++ == 0)
				content.folder = gatherer->tree.files[i].path;
		} else if (!below[slash] && !is_documentation(span_of(below)) && strcmp(below, "links.json") != 0) {
			content.files = true;
			content.captures =
				content.captures || recognise_name(&gatherer->pool, span_of(below), &recognised);
		}
	}
	content.captures = content.captures || (content.files && content.folders == 0);
	return content;
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

static int load_tree(struct gatherer *gatherer, const char *prefix, struct error **err)
{
	const struct file *links = find_file(gatherer, prefix, "links.json");
	struct content content = look_into(gatherer, prefix);
	int r;

	if (links) {
		gatherer->links_source = links->path;
		r = read_document(links, &gatherer->links, err);
		if (r < 0)
			return r;
	}
	if (find_file(gatherer, prefix, "hosts/")) {
		load_hosts(gatherer, arena_printf(gatherer->pool.arena, "%shosts/", prefix));
	} else if (content.captures) {
		load_host(gatherer, prefix, *prefix ? last_part(gatherer, prefix) : gatherer->name);
	} else if (content.folders == 1 && !content.files && !look_into(gatherer, content.folder).captures &&
		   look_into(gatherer, content.folder).folders > 0) {
		return load_tree(gatherer, content.folder, err); /* a folder around it all, as archives have */
	} else {
		load_hosts(gatherer, prefix);
	}
	return 0;
}

/* Is it a document that bundle_json() made? */
static int load_document(struct gatherer *gatherer, const char *data, size_t length, bool *ret_done, struct error **err)
{
	cleanup_json json_t *document = NULL;
	const char *schema;
	int r;

	*ret_done = false;
	if (json_parse(data, length, gatherer->name, &document, NULL) < 0)
		return 0;
	schema = json_get_string(document, "schema", "");
	if (strncmp(schema, "nestvisor/facts/", strlen("nestvisor/facts/")) != 0)
		return 0;
	*ret_done = true;
	if (strcmp(schema, "nestvisor/facts/1") != 0) {
		error_set(err, EPROTONOSUPPORT, "%s: %s is not known: this nestvisor reads nestvisor/facts/1",
			  gatherer->name, schema);
		error_hint(err, "where a newer nestvisor wrote it: use that one, or capture the hosts anew");
		return -EPROTONOSUPPORT;
	}
	r = bundle_from_json(document, gatherer->bundle, err);
	if (r == 0 && gatherer->bundle->host_count == 0)
		r = error_set(err, ENOENT, "%s holds the facts of no host", gatherer->name);
	if (r == -ENOENT)
		error_hint(err, "nestvisor facts --json writes one that does");
	return r;
}

static int load_archive(struct gatherer *gatherer, const char *data, size_t length, struct error **err)
{
	const char *name = gatherer->name;
	size_t end = strlen(name);
	int r = tree_of_tar(&gatherer->tree, name, data, length, err);

	if (r < 0)
		return r;
	if (end > 4 && strcmp(name + end - 4, ".tar") == 0)
		gatherer->name = arena_strndup(gatherer->pool.arena, name, end - 4);
	return load_tree(gatherer, "", err);
}

/* One file: an archive, a document of facts, or a capture of a host that is called after it. */
static int load_single(struct gatherer *gatherer, const char *path, bool *ret_done, struct error **err)
{
	cleanup_free char *data = NULL;
	size_t length;
	int r = file_read(path, FILE_SIZE_MAX, &data, &length, err);

	if (r < 0)
		return r;
	if (tar_looks_like(data, length))
		return load_archive(gatherer, data, length, err);
	if (span_ends(span_of(path), ".json")) {
		r = load_document(gatherer, data, length, ret_done, err);
		if (r < 0 || *ret_done)
			return r;
	}
	begin_host(gatherer, gatherer->name);
	loader_capture(&gatherer->loader, gatherer->name, gatherer->name, data, length, false);
	loader_end(&gatherer->loader);
	return 0;
}

static bool is_recognised(const struct facts *facts)
{
	for (size_t i = 0; i < facts->capture_count; i++)
		if (facts->captures[i].used)
			return true;
	return false;
}

static bool any_recognised(const struct bundle *bundle)
{
	for (size_t i = 0; i < bundle->host_count; i++)
		if (is_recognised(bundle->hosts[i]))
			return true;
	return false;
}

/* How the hosts hang together, once they are all there. */
static int relate(struct gatherer *gatherer, const char *path, struct error **err)
{
	if (!any_recognised(gatherer->bundle)) {
		error_set(err, ENOENT, "%s holds no captured output of any host", path);
		error_hint(err, "expected: what nestvisor capture wrote, the output of a command, or a folder per host "
				"with files "
				"named after commands: ip-addr.txt, iptables-save.txt");
		return -ENOENT;
	}
	relate_hosts(&gatherer->pool, gatherer->bundle, gatherer->links, gatherer->links_source);
	return 0;
}

static int load(struct gatherer *gatherer, const char *path, struct error **err)
{
	bool done = false;
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return error_errno(err, errno, "cannot read facts from %s", path);
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return error_set(err, EINVAL, "cannot read facts from %s: it is neither a file nor a folder", path);
	gatherer->name = last_part(gatherer, path);
	if (S_ISREG(st.st_mode)) {
		r = load_single(gatherer, path, &done, err);
	} else {
		r = tree_of_folder(&gatherer->tree, path, err);
		if (r == 0)
			r = load_tree(gatherer, "", err);
	}
	return r < 0 || done ? r : relate(gatherer, path, err);
}

static void begin(struct gatherer *gatherer)
{
	struct arena *arena = arena_new();

	*gatherer = (struct gatherer){
		.pool = {.arena = arena}, .tree = {.arena = arena}, .bundle = arena_new_struct(arena, struct bundle)};
	gatherer->bundle->arena = arena;
}

/* The bundle, where r says that it was loaded; else nothing is left of it. */
static int end(struct gatherer *gatherer, int r, struct bundle **ret)
{
	json_decref(gatherer->links);
	if (r < 0)
		bundle_free(gatherer->bundle);
	else
		*ret = gatherer->bundle;
	return r;
}

int bundle_load(const char *path, struct bundle **ret, struct error **err)
{
	struct gatherer gatherer;

	begin(&gatherer);
	return end(&gatherer, load(&gatherer, path, err), ret);
}

int bundle_from_archive(const char *name, const char *data, size_t length, struct bundle **ret, struct error **err)
{
	struct gatherer gatherer;
	int r;

	begin(&gatherer);
	gatherer.name = arena_strdup(gatherer.pool.arena, name);
	r = load_archive(&gatherer, data, length, err);
	return end(&gatherer, r < 0 ? r : relate(&gatherer, name, err), ret);
}

struct bundle *bundle_from_texts(const char *host, const struct capture_text *texts, size_t count)
{
	struct arena *arena = arena_new();
	struct bundle *bundle = arena_new_struct(arena, struct bundle);
	struct gatherer gatherer = {.pool = {.arena = arena}, .bundle = bundle};

	bundle->arena = arena;
	begin_host(&gatherer, host);
	for (size_t i = 0; i < count; i++)
		loader_capture(&gatherer.loader, texts[i].source, texts[i].name, texts[i].text, texts[i].length, false);
	loader_end(&gatherer.loader);
	return bundle;
}

struct bundle *bundle_from_text(const char *source, const char *text, size_t length)
{
	return bundle_from_texts(source, &(struct capture_text){source, last_name(source).at, text, length}, 1);
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct facts *const *)a)->name, (*(struct facts *const *)b)->name);
}

static bool has_note(const struct bundle *bundle, const struct note *note)
{
	for (size_t i = 0; i < bundle->note_count; i++)
		if (strcmp(bundle->notes[i].text, note->text) == 0)
			return true;
	return false;
}

struct bundle *bundle_new(void)
{
	struct arena *arena = arena_new();
	struct bundle *bundle = arena_new_struct(arena, struct bundle);

	bundle->arena = arena;
	return bundle;
}

struct bundle *bundle_join(struct bundle *const *parts, size_t count, const json_t *links, const char *source)
{
	struct bundle *bundle = bundle_new();
	struct arena *arena = bundle->arena;
	struct pool pool = {.arena = arena};

	for (size_t i = 0; i < count; i++) {
		if (!parts[i])
			continue;
		*arena_push(arena, bundle->parts, bundle->part_count) = parts[i];
		for (size_t j = 0; j < parts[i]->host_count; j++)
			*arena_push(arena, bundle->hosts, bundle->host_count) = parts[i]->hosts[j];
	}
	if (bundle->host_count)
		qsort(bundle->hosts, bundle->host_count, sizeof(*bundle->hosts), by_name);
	relate_hosts(&pool, bundle, links, pool_text(&pool, source));
	for (size_t i = 0; i < bundle->part_count; i++)
		for (size_t j = 0; j < bundle->parts[i]->note_count; j++)
			if (!has_note(bundle, &bundle->parts[i]->notes[j]))
				*arena_push(arena, bundle->notes, bundle->note_count) = bundle->parts[i]->notes[j];
	return bundle;
}

void bundle_free(struct bundle *bundle)
{
	if (!bundle)
		return;
	for (size_t i = 0; i < bundle->part_count; i++)
		bundle_free(bundle->parts[i]);
	arena_free(bundle->arena);
}

struct facts *bundle_host(const struct bundle *bundle, const char *name)
{
	for (size_t i = 0; i < bundle->host_count; i++)
		if (strcmp(bundle->hosts[i]->name, name) == 0)
			return bundle->hosts[i];
	for (size_t i = 0; i < bundle->host_count; i++)
		if (facts_is_called(bundle->hosts[i], name))
			return bundle->hosts[i];
	return NULL;
}

struct facts *bundle_machine(const struct bundle *bundle, const struct facts *host)
{
	static const char mark[] = "-lab-";
	const char *at = strstr(host->name, mark);

	if (host->machine)
		return bundle_host(bundle, host->machine);
	for (size_t i = 0; at && i < bundle->host_count; i++) {
		const char *name = bundle->hosts[i]->name;

		if (strlen(name) == (size_t)(at - host->name) && strncmp(name, host->name, strlen(name)) == 0)
			return bundle->hosts[i];
	}
	return NULL;
}
