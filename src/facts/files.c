#include "facts/files.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "facts/redact.h"
#include "facts/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <grp.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
	MATCHES_MAX = 20000, /* of one pattern */
	TAIL_SIZE = 64 << 10,
};

struct finder {
	const struct root *root;
	struct arena *arena;
	const char **paths;
	size_t count;
};

/* What is missing is no error here: -errno tells. `path` begins with "/". */
static int open_below(const struct root *root, const char *path, int flags)
{
	struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK),
			       .resolve = RESOLVE_IN_ROOT};
	long fd = syscall(SYS_openat2, root->fd, path[1] ? path + 1 : ".", &how, sizeof(how));

	/* Linux before 5.6: only of this machine itself, where no link leads out. */
	if (fd < 0 && errno == ENOSYS && root->live)
		fd = openat(root->fd, path[1] ? path + 1 : ".", flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? -errno : (int)fd;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void expand(struct finder *finder, const char *folder, const char *pattern);

/* The entries of a folder that a part of a pattern with wildcards stands for. */
static void expand_part(struct finder *finder, const char *folder, const char *part, const char *rest)
{
	int fd = open_below(finder->root, folder, O_RDONLY | O_DIRECTORY);
	cleanup_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const char **names = NULL;
	size_t count = 0;
	struct dirent *entry;

	if (!dir && fd >= 0)
		close(fd);
	while (dir && count < MATCHES_MAX && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    fnmatch(part, entry->d_name, FNM_PERIOD) == 0)
			texts_push(finder->arena, &names, &count, arena_strdup(finder->arena, entry->d_name));
	if (count)
		qsort(names, count, sizeof(*names), by_name);
	for (size_t i = 0; i < count; i++)
		expand(finder, arena_printf(finder->arena, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, names[i]),
		       rest);
}

/* `pattern` is what is left of it, beginning with "/"; "" at its end. */
static void expand(struct finder *finder, const char *folder, const char *pattern)
{
	size_t length = strcspn(pattern + (*pattern == '/'), "/");
	const char *part = arena_strndup(finder->arena, pattern + (*pattern == '/'), length),
		   *rest = pattern + 1 + length;

	if (finder->count >= MATCHES_MAX)
		return;
	if (!*pattern)
		texts_push(finder->arena, &finder->paths, &finder->count, folder);
	else if (strpbrk(part, "*?["))
		expand_part(finder, folder, part, rest);
	else
		expand(finder, arena_printf(finder->arena, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, part),
		       rest);
}

/* The same among files in memory. */
static void find_listed(struct finder *finder, const char *pattern)
{
	for (size_t i = 0; i < finder->root->file_count; i++) {
		const char *path = finder->root->files[i].path + finder->root->prefix;

		if (fnmatch(pattern, path, FNM_PATHNAME | FNM_PERIOD) == 0)
			texts_push(finder->arena, &finder->paths, &finder->count, path);
	}
}

static void find(struct finder *finder, const char *patterns)
{
	struct span rest = span_of(patterns), word;

	while (span_word(&rest, &word)) {
		const char *pattern = arena_strndup(finder->arena, word.at, word.length);

		if (finder->root->fd < 0)
			find_listed(finder, pattern);
		else
			expand(finder, "/", pattern);
	}
}

static bool read_listed(const struct root *root, const char *path, struct span *ret)
{
	for (size_t i = 0; i < root->file_count; i++) {
		if (strcmp(root->files[i].path + root->prefix, path) != 0)
			continue;
		*ret = (struct span){root->files[i].data, root->files[i].length};
		return true;
	}
	return false;
}

/* At most `limit` bytes of a plain file; of its end with `tail`. False: there is none, or it cannot be read. */
static bool read_below(const struct root *root, const char *path, size_t limit, bool tail, struct strbuf *out)
{
	cleanup_close int fd = open_below(root, path, O_RDONLY);
	struct stat st;
	char buffer[16384];
	size_t start = out->length;
	ssize_t got;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	if (tail && st.st_size > (off_t)limit)
		lseek(fd, st.st_size - (off_t)limit, SEEK_SET);
	while (out->length - start < limit) {
		size_t room = limit - (out->length - start);

		got = read(fd, buffer, room < sizeof(buffer) ? room : sizeof(buffer));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got == 0 || out->length > start;
		strbuf_add_bytes(out, buffer, (size_t)got);
	}
	return true;
}

static bool read_file(const struct root *root, const char *path, size_t limit, bool tail, struct strbuf *out)
{
	struct span text;

	if (root->fd >= 0)
		return read_below(root, path, limit, tail, out);
	if (!read_listed(root, path, &text))
		return false;
	strbuf_add_bytes(out, tail && text.length > limit ? text.at + text.length - limit : text.at,
			 text.length < limit ? text.length : limit);
	return true;
}

static bool is_setting(struct span line)
{
	line = span_trim(line);
	return line.length > 0 && line.at[0] != '#' && line.at[0] != ';';
}

/* "path:line" for each line, as grep -H prints it. */
static void add_values(struct strbuf *out, const char *path, struct span text, bool settings)
{
	while (text.length > 0) {
		struct span line = span_cut(&text, '\n');

		if (settings && !is_setting(line))
			continue;
		strbuf_add(out, path);
		strbuf_add_char(out, ':');
		strbuf_add_bytes(out, line.at, line.length);
		strbuf_add_char(out, '\n');
	}
}

/* The paths of all matches put together as the source wants it. False: there was none. */
static bool read_all(const struct root *root, const struct source *source, const struct finder *found,
		     struct strbuf *out)
{
	bool any = false, values = source->form == SOURCE_VALUES || source->form == SOURCE_SETTINGS;
	size_t limit = (size_t)source->limit * 1024;

	for (size_t i = 0; i < found->count && out->length < limit; i++) {
		cleanup_strbuf struct strbuf text = {0};
		bool tail = source->form == SOURCE_TAILS;

		if (!read_file(root, found->paths[i], tail ? TAIL_SIZE : limit - out->length, tail, &text))
			continue;
		any = true;
		if (tail)
			strbuf_printf(out, "==> %s <==\n", found->paths[i]);
		if (values)
			add_values(out, found->paths[i], (struct span){text.text, text.length},
				   source->form == SOURCE_SETTINGS);
		else
			strbuf_add_bytes(out, text.text, text.length);
		if (out->length > 0 && out->text[out->length - 1] != '\n')
			strbuf_add_char(out, '\n');
	}
	return any;
}

/* Values cite the file that they are the content of. */
static void cite_paths(struct loader *loader, size_t attributes, size_t sysctls)
{
	struct facts *facts = loader->facts;

	for (size_t i = attributes; i < facts->attribute_count; i++)
		facts->attributes[i].origin = (struct origin){.source = facts->attributes[i].path};
	for (size_t i = sysctls; i < facts->sysctl_count; i++) {
		char *path = arena_printf(loader->pool->arena, "/proc/sys/%s", facts->sysctls[i].name);

		for (char *c = path + strlen("/proc/sys/"); *c; c++)
			*c = *c == '.' ? '/' : *c == '/' ? '.' : *c;
		facts->sysctls[i].origin = (struct origin){.source = path};
	}
}

static void load(struct loader *loader, const struct source *source, const struct finder *found, struct strbuf *text)
{
	size_t attributes = loader->facts->attribute_count, sysctls = loader->facts->sysctl_count;
	bool values = source->form == SOURCE_VALUES || source->form == SOURCE_SETTINGS;
	bool partial = text->length >= (size_t)source->limit * 1024;
	const char *cite = found->count == 1 ? found->paths[0] : source->name;
	const char *data = text->text ? text->text : "";
	cleanup_free char *clean = NULL;
	size_t length = text->length, redacted;

	if (source->flags & SOURCE_SECRETS)
		data = clean = redact_text(data, length, &length, &redacted);
	loader_capture(loader, cite, source->name, data, length, partial);
	if (values)
		cite_paths(loader, attributes, sysctls);
}

static const char *type_name(mode_t mode)
{
	return S_ISREG(mode)	? "file"
	       : S_ISDIR(mode)	? "folder"
	       : S_ISCHR(mode)	? "character device"
	       : S_ISBLK(mode)	? "block device"
	       : S_ISLNK(mode)	? "link"
	       : S_ISSOCK(mode) ? "socket"
	       : S_ISFIFO(mode) ? "pipe"
				: NULL;
}

static const char *user_name(struct loader *loader, uid_t id)
{
	struct passwd *entry = getpwuid(id);

	return entry ? pool_text(loader->pool, entry->pw_name) : arena_printf(loader->pool->arena, "%u", id);
}

static const char *group_name(struct loader *loader, gid_t id)
{
	struct group *entry = getgrgid(id);

	return entry ? pool_text(loader->pool, entry->gr_name) : arena_printf(loader->pool->arena, "%u", id);
}

static void add_node(struct loader *loader, const struct root *root, const char *path)
{
	struct facts *facts = loader->facts;
	struct node node = {.path = path, .origin = {.source = path}};
	struct stat st;
	char target[4096];
	ssize_t length;

	if (fstatat(root->fd, path + 1, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT && errno != ENOTDIR) /* it is not known */
			return;
		node.exists = TRUTH_NO;
	} else {
		node.exists = TRUTH_YES;
		node.type = type_name(st.st_mode);
		node.mode = number_of(st.st_mode & 07777);
		node.owner = user_name(loader, st.st_uid);
		node.group = group_name(loader, st.st_gid);
		length = S_ISLNK(st.st_mode) ? readlinkat(root->fd, path + 1, target, sizeof(target)) : 0;
		if (length > 0)
			node.target = pool_intern(loader->pool, (struct span){target, (size_t)length});
	}
	*arena_push(loader->pool->arena, facts->nodes, facts->node_count) = node;
}

static void load_modes(struct loader *loader, const struct root *root, const struct source *source,
		       const struct finder *found)
{
	struct capture *capture;

	if (!root->live)
		return;
	for (size_t i = 0; i < found->count; i++)
		add_node(loader, root, found->paths[i]);
	capture = loader_add_capture(loader, source->name, 0);
	capture->command = "ls -l";
	capture->used = true;
	capture->items = (uint32_t)found->count;
}

static void load_caller(struct loader *loader)
{
	struct caller *caller = &loader->facts->caller;
	int count = getgroups(0, NULL);
	gid_t *groups = arena_alloc(loader->pool->arena, (size_t)(count > 0 ? count : 1) * sizeof(*groups));

	caller->user = user_name(loader, geteuid());
	caller->id = number_of(geteuid());
	caller->origin = (struct origin){.source = "getuid(2)"};
	count = getgroups(count, groups);
	texts_push(loader->pool->arena, &caller->groups, &caller->group_count, group_name(loader, getegid()));
	for (int i = 0; i < count; i++)
		if (groups[i] != getegid()) /* it may be among them or not */
			texts_push(loader->pool->arena, &caller->groups, &caller->group_count,
				   group_name(loader, groups[i]));
}

static void load_kernel(struct loader *loader)
{
	struct kernel *kernel = &loader->facts->kernel;
	struct utsname system;

	if (uname(&system) < 0)
		return;
	loader->facts->system = SYSTEM_LINUX;
	kernel->release = pool_text(loader->pool, system.release);
	kernel->version = pool_text(loader->pool, system.version);
	kernel->machine = pool_text(loader->pool, system.machine);
	kernel->origin = (struct origin){.source = "uname(2)"};
}

static void load_source(struct loader *loader, const struct root *root, const struct source *source)
{
	struct finder found = {.root = root, .arena = loader->pool->arena};
	cleanup_strbuf struct strbuf text = {0};

	find(&found, source->files);
	if (source->form == SOURCE_MODES) {
		load_modes(loader, root, source, &found);
		return;
	}
	/* Of several users nobody can say here whose it is. */
	if (strcmp(source->name, "wslconfig.txt") == 0 && found.count > 1) {
		loader_unused(loader, source->name, NULL, "several Windows users have one");
		return;
	}
	if (read_all(root, source, &found, &text))
		load(loader, source, &found, &text);
}

/* A kernel that was built without loadable modules has no /proc/modules (init/Kconfig, MODULES): none can be loaded. */
static void load_no_modules(struct loader *loader, const struct root *root)
{
	if (faccessat(root->fd, "proc/self/stat", F_OK, 0) < 0 || faccessat(root->fd, "proc/modules", F_OK, 0) == 0)
		return;
	add_node(loader, root, "/proc/modules");
	loader->facts->modules_known = TRUTH_YES;
}

void facts_from_files(struct loader *loader, const struct root *root)
{
	size_t count;
	const struct source *sources = source_table(&count);

	for (size_t i = 0; i < count; i++)
		if (sources[i].files && !(root->live && sources[i].flags & SOURCE_KERNEL_ASKED))
			load_source(loader, root, &sources[i]);
	if (root->live) {
		load_kernel(loader);
		load_no_modules(loader, root);
		load_caller(loader);
	}
}

int bundle_from_root(const char *path, const char *host, struct bundle **ret, struct error **err)
{
	cleanup_close int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct root root = {.fd = fd, .live = strcmp(path, "/") == 0};
	struct arena *arena;
	struct pool pool;
	struct loader loader;

	if (fd < 0)
		return error_errno(err, errno, "cannot read the folder %s", path);
	arena = arena_new();
	pool = (struct pool){.arena = arena};
	loader_begin(&loader, &pool, host);
	facts_from_files(&loader, &root);
	loader_end(&loader);
	*ret = arena_new_struct(arena, struct bundle);
	(*ret)->arena = arena;
	*arena_push(arena, (*ret)->hosts, (*ret)->host_count) = loader.facts;
	return 0;
}
