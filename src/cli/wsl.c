#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/patients.h"
#include "cli/undo.h"
#include "cli/wslfiles.h"
#include "doctor/print.h"
#include "doctor/wsl_apply.h"
#include "doctor/wsl_view.h"
#include "facts/live.h"
#include "render/text.h"

#include <errno.h>
#include <string.h>

enum { FILE_LIMIT = 1 << 20 };

/* Which files the call is about; a NULL path: not this one. */
struct where {
	struct arena *arena;
	bool inside; /* WSL */
	const char *wslconfig, *wslconf;
};

static bool folder_exists(struct arena *arena, const char *path)
{
	const char *slash = strrchr(path, '/');

	return !slash || slash == path || file_exists(arena_strndup(arena, path, (size_t)(slash - path)));
}

/* The engine of fixes wants absolute paths. */
static const char *absolute(struct arena *arena, const char *path)
{
	cleanup_free char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);

	return here ? arena_printf(arena, "%s/%s", here, path) : path;
}

static int find_wslconfig(struct invocation *inv, struct where *where)
{
	const char *file = invocation_string(inv, "wslconfig"), *home = invocation_string(inv, "windows-home");
	cleanup_error struct error *err = NULL;

	if (file && home)
		return invocation_usage(inv, "--wslconfig and --windows-home name the same file: give one of them");
	if (!file && !home && !where->inside)
		return EXIT_DONE;
	if (!file && !home && wslfiles_windows_home(where->arena, "/", inv->cancel, &home, &err) < 0)
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	if (!file)
		file = arena_printf(where->arena, "%s/.wslconfig", home);
	where->wslconfig = absolute(where->arena, file);
	return EXIT_DONE;
}

static int find_files(struct invocation *inv, struct where *where)
{
	const char *conf = invocation_string(inv, "wslconf");
	int status = find_wslconfig(inv, where);

	if (status != EXIT_DONE)
		return status;
	/* Who names one file alone means that one alone. */
	if (conf)
		where->wslconf = absolute(where->arena, conf);
	else if (where->inside && !invocation_given(inv, "wslconfig") && !invocation_given(inv, "windows-home"))
		where->wslconf = "/etc/wsl.conf";
	if (conf && !invocation_given(inv, "wslconfig") && !invocation_given(inv, "windows-home"))
		where->wslconfig = NULL;
	if (!where->wslconfig && !where->wslconf)
		return invocation_usage(inv, "this is not WSL: say which files are meant (--wslconfig, --wslconf)");
	for (int i = 0; i < 2; i++) {
		const char *path = i == 0 ? where->wslconfig : where->wslconf;

		if (path && !folder_exists(where->arena, path))
			return invocation_usage(inv, "there is no folder for %s", path);
	}
	return EXIT_DONE;
}

/*
 * check
 */

struct texts {
	struct capture_text at[4];
	size_t count;
};

static void add_text(struct texts *texts, const char *source, const char *name, const char *text, size_t length)
{
	if (text)
		texts->at[texts->count++] = (struct capture_text){source, name, text, length};
}

/* A file that is not there says as much as an empty one: every key has its default. */
static int add_file(struct where *where, struct texts *texts, const char *path, const char *name, struct error **err)
{
	cleanup_free char *data = NULL;
	cleanup_error struct error *problem = NULL;
	size_t length = 0;
	char *kept;
	int r = path ? file_read(path, FILE_LIMIT, &data, &length, &problem) : 0;

	if (!path)
		return 0;
	if (r < 0 && r != -ENOENT)
		return error_move(err, &problem);
	kept = arena_alloc(where->arena, length + 1);
	memcpy(kept, data ? data : "", length);
	add_text(texts, path, name, kept, length);
	return 0;
}

static int collect(struct invocation *inv, struct where *where, struct bundle **ret, struct error **err)
{
	struct texts texts = {};
	const char *asked;
	int r = add_file(where, &texts, where->wslconfig, ".wslconfig", err);

	if (r == 0)
		r = add_file(where, &texts, where->wslconf, "wsl.conf", err);
	if (r < 0)
		return r;
	if (where->inside) {
		asked = wslfiles_windows_version(where->arena, "/", inv->cancel);
		add_text(&texts, "cmd.exe /c ver", "ver.txt", asked, asked ? strlen(asked) : 0);
		asked = wslfiles_wslinfo(where->arena, inv->cancel);
		add_text(&texts, "wslinfo", "wslinfo.txt", asked, asked ? strlen(asked) : 0);
	}
	*ret = bundle_from_texts("WSL", texts.at, texts.count);
	return 0;
}

/* Inside WSL what the files say is seen beside what runs. */
static const struct facts *with_live(struct arena *arena, const struct facts *files, const struct facts *live)
{
	struct facts *both = arena_new_struct(arena, struct facts);

	*both = *live;
	both->wslconfig = files->wslconfig;
	both->wslconfig_count = files->wslconfig_count;
	both->wslconfig_known = files->wslconfig_known;
	both->wslconf = files->wslconf;
	both->wslconf_count = files->wslconf_count;
	both->wslconf_known = files->wslconf_known;
	both->wsl = files->wsl;
	both->captures = files->captures;
	both->capture_count = files->capture_count;
	both->notes = files->notes;
	both->note_count = files->note_count;
	return both;
}

static void keep_own_checks(struct examination *examination)
{
	size_t kept = 0;

	for (size_t i = 0; i < examination->finding_count; i++)
		if (strncmp(examination->findings[i].check->id, "wsl.", 4) == 0)
			examination->findings[kept++] = examination->findings[i];
	examination->finding_count = kept;
}

static json_t *path_json(const char *path)
{
	return path ? text_json(path) : json_null();
}

static json_t *files_json(const struct where *where)
{
	return json_pack("{s:o, s:o}", "wslconfig", path_json(where->wslconfig), "wslconf", path_json(where->wslconf));
}

static int show_checks(struct invocation *inv, const struct where *where, struct examination *examination)
{
	cleanup_json json_t *checks = NULL;
	cleanup_strbuf struct strbuf out = {};

	examination_run(examination);
	keep_own_checks(examination);
	if (inv->json) {
		checks = examination_json(examination);
		invocation_answer(inv, json_pack("{s:o, s:O}", "files", files_json(where), "checks",
						 json_object_get(checks, "checks")));
	} else {
		findings_text(examination, inv->verbose, inv->style, &out);
		invocation_print_text(inv, out.text);
	}
	return examination_status(examination);
}

static int check(struct invocation *inv, struct where *where)
{
	cleanup_patients struct patients patients;
	cleanup_bundle struct bundle *files = NULL, *live = NULL;
	cleanup_error struct error *err = NULL;
	const struct facts *facts;

	patients_open(inv, &patients);
	if (invocation_string(inv, "facts")) {
		int status = patients_add_bundle(&patients, invocation_string(inv, "facts"));

		return status == EXIT_DONE ? show_checks(inv, where, patients.examination) : status;
	}
	if (collect(inv, where, &files, &err) < 0)
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	facts = files->hosts[0];
	if (where->inside && bundle_live(&live, &err) < 0)
		return invocation_fail(inv, &err);
	if (live)
		facts = with_live(where->arena, facts, live->hosts[0]);
	examination_add(patients.examination, "WSL", facts);
	return show_checks(inv, where, patients.examination);
}

/*
 * apply
 */

static int read_wishes(struct invocation *inv, struct arena *arena, struct wsl_wishes *ret)
{
	cleanup_error struct error *err = NULL;
	size_t count;
	const char *const *routes = invocation_strings(inv, "routes", &count);
	struct wsl_route *parsed = arena_alloc(arena, (count + 1) * sizeof(*parsed));

	for (size_t i = 0; i < count; i++)
		if (wsl_route_parse(routes[i], &parsed[i], &err) < 0)
			return invocation_fail_as(inv, EXIT_USAGE, &err);
	*ret = (struct wsl_wishes){.nested = invocation_flag(inv, "nested"),
				   .mirrored = invocation_flag(inv, "mirrored"),
				   .keep_running = invocation_flag(inv, "keep-running"),
				   .systemd = invocation_flag(inv, "systemd"),
				   .routes = parsed,
				   .route_count = count};
	/* Nothing in particular: all that guests of guests need. */
	if (!ret->nested && !ret->mirrored && !ret->keep_running && !ret->systemd && count == 0)
		ret->nested = ret->mirrored = ret->keep_running = ret->systemd = true;
	return EXIT_DONE;
}

static json_t *notes_json(const struct wsl_change *change)
{
	json_t *notes = json_array();

	for (size_t i = 0; i < change->note_count; i++)
		json_array_append_new(notes, text_json(change->notes[i]));
	return notes;
}

static void answer_applied(struct invocation *inv, const struct where *where, const struct wsl_change *change,
			   const char *difference, bool changed)
{
	if (inv->json)
		invocation_answer(inv, json_pack("{s:o, s:o, s:o, s:b, s:s?}", "files", files_json(where), "difference",
						 text_json(difference), "notes", notes_json(change), "changed", changed,
						 "then", changed ? wsl_restart : NULL));
	else if (change->fix.action_count == 0)
		invocation_print(inv, "nothing to do: it is as it should be\n");
	else if (changed)
		invocation_print(inv, "written; then %s\n", wsl_restart);
}

static void show_difference(struct invocation *inv, const struct wsl_change *change, const char *difference)
{
	invocation_preview(inv, difference);
	if (inv->json)
		return;
	for (size_t i = 0; i < change->note_count; i++)
		invocation_note(inv, "%s", change->notes[i]);
}

static int apply(struct invocation *inv, struct where *where)
{
	cleanup_error struct error *err = NULL;
	cleanup_strbuf struct strbuf difference = {};
	struct wsl_wishes wishes;
	struct wsl_change change;
	bool changed = false;
	int status = read_wishes(inv, where->arena, &wishes);

	if (status != EXIT_DONE)
		return status;
	if (wsl_change(where->arena, where->wslconfig, where->wslconf, &wishes, &change, &err) < 0 ||
	    fix_preview(&change.fix, &difference, &err) < 0)
		return invocation_fail(inv, &err);
	show_difference(inv, &change, difference.text ? difference.text : "");
	if (change.fix.action_count > 0 && !invocation_flag(inv, "dry-run")) {
		status = invocation_confirm(inv, "Write this?");
		if (status != EXIT_DONE)
			return status;
		if (fix_apply(&change.fix, inv->reporter, &changed, &err) < 0)
			return invocation_fail(inv, &err);
	}
	answer_applied(inv, where, &change, difference.text ? difference.text : "", changed);
	return EXIT_DONE;
}

static int undo(struct invocation *inv, struct arena *arena)
{
	const char *difference;
	bool look_only = invocation_flag(inv, "dry-run");
	size_t count;
	int status = undo_fixes(inv, arena, "wsl", look_only, &count, &difference);

	if (status != EXIT_DONE)
		return status;
	if (inv->json)
		invocation_answer(inv,
				  json_pack("{s:o, s:i, s:b, s:s?}", "difference", text_json(difference), "undone",
					    (int)count, "changed", count > 0, "then", count > 0 ? wsl_restart : NULL));
	else if (!*difference)
		invocation_print(inv, "nothing to take back\n");
	else if (count > 0)
		invocation_print(inv, "taken back; then %s\n", wsl_restart);
	return EXIT_DONE;
}

static int run(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	struct where where = {.arena = arena, .inside = wslfiles_inside("/")};
	bool applies = strcmp(invocation_operand(inv, 0), "apply") == 0;
	int status;

	if (!applies && invocation_flag(inv, "undo"))
		return invocation_usage(inv, "--undo takes back what apply wrote: nestvisor wsl apply --undo");
	if (applies && invocation_string(inv, "facts"))
		return invocation_usage(inv, "--facts can be checked, but not written");
	if (applies && invocation_flag(inv, "undo"))
		return undo(inv, arena);
	if (!applies && invocation_string(inv, "facts"))
		return check(inv, &where);
	status = find_files(inv, &where);
	if (status != EXIT_DONE)
		return status;
	return applies ? apply(inv, &where) : check(inv, &where);
}

const struct command command_wsl = {
	.name = "wsl",
	.group = GROUP_MACHINE,
	.summary = "checks and writes .wslconfig and wsl.conf, so that guests of guests run in WSL and are reached",
	.description =
		"WSL is a guest of Windows, so whatever runs in it is a guest of a guest. Two files say how that goes: "
		".wslconfig in the Windows user's folder, for the virtual machine, and /etc/wsl.conf in the "
		"distribution. "
		"Run inside WSL, this finds both; elsewhere it works on the files it is given.\n\n"
		"`check` says what keeps guests from running or from being reached, and which lines have no effect: "
		"keys "
		"in the wrong section or file, misspelt ones, values that WSL does not take, lines at which it stops "
		"reading.\n\n"
		"`apply` shows the difference, asks, and writes: nested virtualization, mirrored networking with port "
		"67 "
		"left to Linux, WSL that goes on when nobody is in it, systemd, and, as told, routes that are made "
		"again at "
		"every start. Without an option that says which of them, all but the routes. Comments, order, ends of "
		"lines, encoding and all other keys stay as they are. What it wrote can be taken back with --undo, "
		"unless "
		"somebody changed the file since.\n\n"
		"WSL reads the files when its virtual machine starts. So afterwards, in Windows: wsl --shutdown, and 8 "
		"seconds later start it again. wsl.conf is root's: use sudo where it has to change.",
	.operands = (const struct command_operand[]){{.name = "ACTION",
						      .help = "check or apply",
						      .choices = (const char *const[]){"check", "apply", NULL}},
						     {}},
	.options =
		(const struct command_option[]){
			{.name = "windows-home",
			 .kind = OPTION_STRING,
			 .argument = "DIR",
			 .help = "the Windows user's folder, where .wslconfig is or will be",
			 .complete = COMPLETE_FOLDER},
			{.name = "wslconfig",
			 .kind = OPTION_STRING,
			 .argument = "FILE",
			 .help = "this file instead of .wslconfig in the Windows user's folder",
			 .complete = COMPLETE_FILE},
			{.name = "wslconf",
			 .kind = OPTION_STRING,
			 .argument = "FILE",
			 .help = "this file instead of /etc/wsl.conf",
			 .complete = COMPLETE_FILE},
			{.name = "facts",
			 .kind = OPTION_STRING,
			 .argument = "BUNDLE",
			 .help = "check: look at facts that were captured",
			 .complete = COMPLETE_FILE,
			 .no_env = true},
			{.name = "nested", .help = "apply: nested virtualization", .no_env = true},
			{.name = "mirrored",
			 .help = "apply: mirrored networking, port 67 for Linux, and Windows reaching WSL by every "
				 "address",
			 .no_env = true},
			{.name = "keep-running", .help = "apply: WSL goes on when nobody is in it", .no_env = true},
			{.name = "systemd", .help = "apply: systemd in the distribution", .no_env = true},
			{.name = "routes",
			 .kind = OPTION_STRING,
			 .argument = "ROUTE",
			 .help = "apply: a route to make at every start, \"192.168.124.0/24 via 192.168.122.191\"; "
				 "several times "
				 "for several, in place of those of an earlier time",
			 .repeated = true,
			 .no_env = true},
			{.name = "yes", .letter = 'y', .help = "do not ask"},
			{.name = "dry-run",
			 .letter = 'n',
			 .help = "apply, --undo: show the difference, write nothing",
			 .no_env = true},
			{.name = "undo", .help = "apply: take back what was written", .no_env = true},
			{}},
	.examples =
		(const struct command_example[]){
			{"nestvisor wsl check", "inside WSL: what keeps guests from running or being reached"},
			{"sudo nestvisor wsl apply", "writes all that guests of guests need, after asking"},
			{"sudo nestvisor wsl apply --routes \"192.168.124.0/24 via 192.168.122.191\"",
			 "a route to the guests of a guest, at every start"},
			{"nestvisor wsl apply --wslconfig wslconfig.txt --mirrored --dry-run",
			 "what mirrored networking would change in a file that somebody sent"},
			{"sudo nestvisor wsl apply --undo", "takes it all back"},
			{}},
	.statuses = (const struct command_status[]){{EXIT_DONE, "check: nothing fails; apply: it is as it should be"},
						    {EXIT_FAILED, "check: something fails; apply: nothing was written"},
						    {EXIT_UNKNOWN,
						     "check: nothing fails, but something that matters is not known"},
						    {}},
	.json = "wsl",
	.run = run,
};
