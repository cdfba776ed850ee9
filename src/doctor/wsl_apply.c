/*
 * The routes of a lab are made by a loop, because the network that they lead over comes later than WSL itself:
 * libvirt's bridge is there some seconds after systemd starts. The loop tries once a second, for a minute, in the
 * background, and stands before whatever else [boot] command did; by the name of its variable it is found again, and
 * replaced.
 */
#include "doctor/wsl_apply.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "doctor/wsl_keys.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum { FILE_LIMIT = 1 << 20 };

static const char loop_start[] = "(for nestvisor in $(seq 60); do ";
static const char loop_end[] = " break; sleep 1; done) &";

int wsl_route_parse(const char *text, struct wsl_route *ret, struct error **err)
{
	char to[PREFIX_TEXT_SIZE] = "", via[IP_TEXT_SIZE] = "";
	int end = 0;

	/* 49: what PREFIX_TEXT_SIZE holds, 45: the same for IP_TEXT_SIZE. */
	static_assert(PREFIX_TEXT_SIZE >= 50 && IP_TEXT_SIZE >= 46, "the widths below");
	if (sscanf(text, "%49s via %45s%n", to, via, &end) == 2 && prefix_parse(to, &ret->to) &&
	    ip_parse(via, &ret->via) && ret->to.ip.family == ret->via.family) {
		const char *rest = text + end + strspn(text + end, " ");

		ret->to = prefix_network(&ret->to);
		if (!*rest || (strncmp(rest, "dev ", 4) == 0 && !strchr(rest + 4, ' ')))
			return 0;
	}
	return error_set(err, EINVAL, "\"%s\" is no route: write it as \"192.168.124.0/24 via 192.168.122.191\"", text);
}

struct target {
	const char *path;
	struct ini *ini; /* NULL: this file is not edited */
	const char *old;
	size_t old_length;
};

struct editor {
	struct arena *arena;
	struct wsl_change *change;
	struct target targets[2]; /* by enum ini_reader */
};

static void note(struct editor *editor, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct editor *editor, const char *format, ...)
{
	struct wsl_change *change = editor->change;
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	*arena_push(editor->arena, change->notes, change->note_count) = arena_strdup(editor->arena, text);
	free(text);
}

/* A file that is not there is an empty one. */
static int open_target(struct editor *editor, enum ini_reader reader, const char *path, struct error **err)
{
	struct target *target = &editor->targets[reader];
	cleanup_error struct error *problem = NULL;
	cleanup_close int fd = -1;
	cleanup_free char *data = NULL;
	size_t length = 0;
	int r;

	if (!path)
		return 0;
	r = file_open_regular(path, &fd, &problem);
	if (r == 0)
		r = file_read_fd(fd, path, FILE_LIMIT, &data, &length, &problem);
	if (r < 0 && r != -ENOENT)
		return error_move(err, &problem);
	r = ini_parse(editor->arena, reader, data ? data : "", length, &target->ini, err);
	if (r < 0)
		return error_wrap(err, "%s", path);
	target->path = path;
	target->old = ini_encode(target->ini, &target->old_length);
	if (ini_make_readable(target->ini))
		note(editor, "%s is written as UTF-8: as it was, WSL read nothing of it", path);
	return 0;
}

/* The key stands in the other file, or in another section: there it does not count. */
static void remove_misplaced(struct editor *editor, struct ini *ini, const struct wsl_key *key)
{
	/* "enabled" may be anybody's. */
	if (!ini || wsl_key_named(ini->reader, key->name) != key)
		return;
	for (size_t i = 0; i < ini->item_count;) {
		const struct ini_item *item = &ini->items[i];

		if (item->kind != INI_SETTING || strcasecmp(item->key, key->name) != 0 ||
		    wsl_key(ini->reader, item->section, item->key)) {
			i++;
			continue;
		}
		note(editor, "%s in [%s] of %s had no effect: it belongs to [%s] of %s", key->name, item->section,
		     editor->targets[ini->reader].path, key->section, wsl_file_name(key->file));
		ini_remove(ini, item->section, item->key);
		i = 0;
	}
}

/* Where the key counts now, in whichever section; NULL: nowhere. */
static const struct ini_item *find_key(const struct ini *ini, const struct wsl_key *key)
{
	const struct ini_item *in = ini_find(ini, key->section, key->name);
	const struct ini_item *also = key->also ? ini_find(ini, key->also, key->name) : NULL;

	return !also || (in && in->start < also->start) ? in : also;
}

static bool means(const struct wsl_key *key, const char *value, const char *wanted)
{
	if (key->type == WSL_BOOLEAN)
		return wsl_is_true(value) == wsl_is_true(wanted) && !wsl_value_problem(key, value);
	return key->type == WSL_CHOICE ? strcasecmp(value, wanted) == 0 : strcmp(value, wanted) == 0;
}

static int wish(struct editor *editor, enum ini_reader file, const char *section, const char *name, const char *value,
		struct error **err)
{
	struct ini *ini = editor->targets[file].ini;
	const struct wsl_key *key = wsl_key(file, section, name);
	const struct ini_item *item;

	if (!ini)
		return 0;
	/* A command in the wrong place may do anything: it is left where it does not run. */
	for (size_t i = 0; i < 2 && key->type != WSL_TEXT; i++)
		remove_misplaced(editor, editor->targets[i].ini, key);
	item = find_key(ini, key);
	if (item && means(key, item->text, value))
		return 0;
	return ini_set(ini, item ? item->section : section, name, value, err);
}

static int wish_never(struct editor *editor, const char *section, const char *name, struct error **err)
{
	const struct ini *ini = editor->targets[INI_WSLCONFIG].ini;
	const struct ini_item *item = ini ? ini_find(ini, section, name) : NULL;

	return item && item->text[0] == '-' ? 0 : wish(editor, INI_WSLCONFIG, section, name, "-1", err);
}

/* Ports that are there stay. */
static const char *with_port(struct editor *editor, const struct ini *ini, const char *port)
{
	const struct wsl_key *key = wsl_key(INI_WSLCONFIG, "experimental", "ignoredPorts");
	const struct ini_item *item = ini_find(ini, key->section, key->name);
	const char *old = item ? item->text : NULL;

	/* Those in the wrong section were meant, too. */
	for (size_t i = 0; !old && i < ini->item_count; i++) {
		const struct ini_item *other = &ini->items[i];

		if (other->kind == INI_SETTING && strcasecmp(other->key, key->name) == 0)
			old = other->text;
	}
	if (!old || wsl_value_problem(key, old))
		return port;
	return wsl_has_port(old, 67) ? old : arena_printf(editor->arena, "%s,%s", old, port);
}

static int wish_mirrored(struct editor *editor, struct error **err)
{
	const struct ini *ini = editor->targets[INI_WSLCONFIG].ini;
	int r = wish(editor, INI_WSLCONFIG, "wsl2", "networkingMode", "mirrored", err);

	if (r == 0 && ini)
		r = wish(editor, INI_WSLCONFIG, "experimental", "ignoredPorts", with_port(editor, ini, "67"), err);
	return r < 0 ? r : wish(editor, INI_WSLCONFIG, "experimental", "hostAddressLoopback", "true", err);
}

/* What a command did besides the loop of an earlier time. */
static const char *without_loop(struct arena *arena, const char *command)
{
	const char *start = strstr(command, loop_start), *end = start ? strstr(start, loop_end) : NULL;

	if (!end)
		return command;
	end += strlen(loop_end);
	return arena_printf(arena, "%.*s%s", (int)(start - command), command, end + strspn(end, " "));
}

static int wish_routes(struct editor *editor, const struct wsl_wishes *wishes, struct error **err)
{
	cleanup_strbuf struct strbuf command = {};
	const struct ini_item *item;
	const char *rest;

	if (wishes->route_count == 0 || !editor->targets[INI_WSLCONF].ini)
		return 0;
	item = ini_find(editor->targets[INI_WSLCONF].ini, "boot", "command");
	rest = without_loop(editor->arena, item ? item->text : "");
	strbuf_add(&command, loop_start);
	for (size_t i = 0; i < wishes->route_count; i++) {
		char to[PREFIX_TEXT_SIZE], via[IP_TEXT_SIZE];

		strbuf_printf(&command, "ip %sroute replace %s via %s &&%s",
			      wishes->routes[i].to.ip.family == AF_INET6 ? "-6 " : "",
			      prefix_format(&wishes->routes[i].to, to), ip_format(&wishes->routes[i].via, via),
			      i + 1 < wishes->route_count ? " " : "");
	}
	strbuf_add(&command, loop_end);
	if (*rest)
		strbuf_printf(&command, " %s", rest);
	return wish(editor, INI_WSLCONF, "boot", "command", command.text, err);
}

static int edit(struct editor *editor, const struct wsl_wishes *wishes, struct error **err)
{
	const struct ini *wslconfig = editor->targets[INI_WSLCONFIG].ini;
	int r = 0;

	if (wishes->nested)
		r = wish(editor, INI_WSLCONFIG, "wsl2", "nestedVirtualization", "true", err);
	if (r == 0 && wishes->nested && wslconfig && ini_find(wslconfig, "wsl2", "safeMode"))
		r = wish(editor, INI_WSLCONFIG, "wsl2", "safeMode", "false", err);
	if (r == 0 && wishes->mirrored)
		r = wish_mirrored(editor, err);
	if (r == 0 && wishes->keep_running)
		r = wish_never(editor, "wsl2", "vmIdleTimeout", err);
	if (r == 0 && wishes->keep_running)
		r = wish_never(editor, "general", "instanceIdleTimeout", err);
	if (r == 0 && wishes->systemd)
		r = wish(editor, INI_WSLCONF, "boot", "systemd", "true", err);
	return r < 0 ? r : wish_routes(editor, wishes, err);
}

int wsl_change(struct arena *arena, const char *wslconfig, const char *wslconf, const struct wsl_wishes *wishes,
	       struct wsl_change *ret, struct error **err)
{
	struct editor editor = {.arena = arena, .change = ret};
	struct fix_action *actions = arena_alloc(arena, 2 * sizeof(*actions));
	int r;

	*ret = (struct wsl_change){.fix = {.id = "wsl", .does = "set WSL up for guests of guests", .actions = actions}};
	r = open_target(&editor, INI_WSLCONFIG, wslconfig, err);
	if (r == 0)
		r = open_target(&editor, INI_WSLCONF, wslconf, err);
	if (r == 0)
		r = edit(&editor, wishes, err);
	for (size_t i = 0; i < 2 && r == 0; i++) {
		const struct target *target = &editor.targets[i];
		size_t length;
		const char *text = target->ini ? ini_encode(target->ini, &length) : NULL;

		if (!text || (length == target->old_length && memcmp(text, target->old, length) == 0))
			continue;
		actions[ret->fix.action_count++] = (struct fix_action){
			.kind = FIX_FILE, .path = target->path, .text = text, .length = length, .mode = 0644};
	}
	return r;
}
