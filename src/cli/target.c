#include "cli/target.h"

#include "apply/folders.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/places.h"
#include "base/strbuf.h"
#include "cli/adopted.h"
#include "cli/labfile.h"
#include "config/config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The labs of this host, by their folders. */
static char **running_labs(size_t *count)
{
	cleanup_closedir DIR *dir = opendir(places_run_root());
	struct dirent *entry;
	char **names = NULL;

	*count = 0;
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		names = realloc(names, (*count + 2) * sizeof(*names));
		if (!names || !(names[*count] = strdup(entry->d_name)))
			abort();
		names[++*count] = NULL;
	}
	return names;
}

static void free_names(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

/* Where no folder's lab file decides: the name of the one lab that runs. */
static bool lone_running(char **ret)
{
	cleanup_free char *file = NULL;
	size_t count;
	char **names;

	if (config_find(&file, NULL) == 0)
		return false;
	names = running_labs(&count);
	*ret = count == 1 ? strdup(names[0]) : NULL;
	free_names(names, count);
	return *ret != NULL;
}

static bool is_file_name(const char *word)
{
	size_t length = strlen(word);

	return strchr(word, '/') || strcmp(word, "-") == 0 || (length > 5 && strcmp(word + length - 5, ".yaml") == 0);
}

char *target_running_names(void)
{
	cleanup_strbuf struct strbuf list = {0};
	size_t count;
	char **names = running_labs(&count), *text;

	strbuf_add(&list, "");
	for (size_t i = 0; i < count; i++)
		strbuf_printf(&list, "%s%s", i ? ", " : "", names[i]);
	free_names(names, count);
	text = strdup(list.text);
	if (!text)
		abort();
	return text;
}

/* The one lab that runs here, or an error that names the choice. */
static int only_running(struct invocation *inv, char **ret)
{
	cleanup_free char *list = target_running_names();
	size_t count;
	char **names = running_labs(&count);

	*ret = count == 1 ? strdup(names[0]) : NULL;
	free_names(names, count);
	if (*ret)
		return EXIT_DONE;
	if (count == 0)
		return invocation_usage(inv, "no lab runs here, and there is no *.nest.yaml in this folder");
	return invocation_usage(inv, "several labs run here: %s; name one with --lab", list);
}

/* Loads a lab file for its sake alone: the machine is not looked at. */
static int load_quietly(struct invocation *inv, const char *path, struct lab **ret)
{
	cleanup_problems struct problems problems = {0};
	cleanup_error struct error *err = NULL;
	int r = config_load(path, NULL, &problems, ret, &err);

	if (r == 0) {
		adopted_attach(*ret);
		return EXIT_DONE;
	}
	if (problems.errors)
		return invocation_problems(inv, &problems);
	if (r == -EACCES && strncmp(path, places_run_root(), strlen(places_run_root())) == 0) {
		error_hint(&err, "run nestvisor as root");
		return invocation_fail(inv, &err);
	}
	return invocation_fail_as(inv, EXIT_USAGE, &err);
}

/* The file that the command is about when no name was given, or NULL. */
static int find_file(struct invocation *inv, char **ret)
{
	cleanup_error struct error *err = NULL;
	int r = config_find(ret, &err);

	if (r == 0)
		return EXIT_DONE;
	*ret = NULL;
	return r == -ENOENT ? EXIT_DONE : invocation_fail_as(inv, EXIT_USAGE, &err);
}

/* One of ret_name and ret_file is set. */
static int choose(struct invocation *inv, const char *given, char **ret_name, char **ret_file)
{
	*ret_name = *ret_file = NULL;
	if (!given)
		given = invocation_string(inv, "lab");
	if (given) {
		char **to = is_file_name(given) ? ret_file : ret_name;

		*to = strdup(given);
		return *to ? EXIT_DONE : EXIT_FAILED;
	}
	if (lone_running(ret_name)) /* which is what a command about running things means */
		return EXIT_DONE;
	if (find_file(inv, ret_file) != EXIT_DONE)
		return EXIT_USAGE;
	return *ret_file ? EXIT_DONE : only_running(inv, ret_name);
}

static int applied_file(struct invocation *inv, struct arena *arena, const char *name, const char **ret)
{
	cleanup_error struct error *err = NULL;
	struct folders folders;

	if (folders_of(arena, name, &folders, &err) < 0)
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	*ret = file_exists(folders.lab_file) ? folders.lab_file : NULL;
	return EXIT_DONE;
}

static int no_such_lab(struct invocation *inv, const char *name)
{
	cleanup_error struct error *err = NULL;
	cleanup_free char *file = NULL;
	size_t count;
	char **names = running_labs(&count);
	const char *near = names ? command_nearest(name, (const char *const *)names) : NULL;
	bool suggests = near && strcmp(near, name) != 0;

	error_set(&err, EINVAL, "no lab \"%s\" runs here%s%s%s", name, suggests ? "; did you mean \"" : "",
		  suggests ? near : "", suggests ? "\"?" : "");
	free_names(names, count);
	if (!suggests && config_find(&file, NULL) == 0)
		error_hint(&err, "nestvisor up %s", file);
	else
		error_hint(&err, "nestvisor %s --help", inv->command->name);
	return invocation_fail_as(inv, EXIT_USAGE, &err);
}

/*
 * What is kept of a lab that was applied is no text of a person, so its lines are those of the person's file: the one
 * that was named, else that of this folder, if it promises the same.
 */
static void take_lines(struct lab *applied, const struct lab *named)
{
	cleanup_problems struct problems problems = {0};
	cleanup_lab struct lab *found = NULL;
	cleanup_free char *file = NULL;
	bool loaded = !named && applied->policy_count && config_find(&file, NULL) == 0 &&
		      config_load(file, NULL, &problems, &found, NULL) == 0;

	if (loaded && strcmp(found->name, applied->name) == 0)
		named = found;
	lab_take_policy_places(applied, named);
}

int target_lab(struct invocation *inv, const char *given, struct lab **ret)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_free char *name = NULL, *file = NULL;
	cleanup_lab struct lab *lab = NULL;
	const char *applied = NULL;
	int status = choose(inv, given, &name, &file);

	if (status == EXIT_DONE && file) {
		status = load_quietly(inv, file, &lab);
		if (status != EXIT_DONE && !given)
			invocation_note(inv, "a lab that runs can be named instead of its file: --lab NAME");
	}
	if (status == EXIT_DONE)
		status = applied_file(inv, arena, lab ? lab->name : name, &applied);
	if (status != EXIT_DONE)
		return status;
	if (applied) {
		status = load_quietly(inv, applied, ret);
		if (status == EXIT_DONE)
			take_lines(*ret, lab);
		return status;
	}
	if (!lab)
		return no_such_lab(inv, name);
	*ret = steal_pointer(&lab);
	return EXIT_DONE;
}

int target_lab_said(struct invocation *inv, const char *given, struct lab **ret, struct lab **ret_applied)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_lab struct lab *lab = NULL;
	const char *applied = NULL;
	int status;

	*ret_applied = NULL;
	if (!given)
		given = invocation_string(inv, "lab");
	if (!given || !is_file_name(given))
		return target_lab(inv, given, ret);
	status = load_quietly(inv, given, &lab);
	if (status == EXIT_DONE)
		status = applied_file(inv, arena, lab->name, &applied);
	if (status == EXIT_DONE && applied)
		status = load_quietly(inv, applied, ret_applied);
	if (status == EXIT_DONE)
		*ret = steal_pointer(&lab);
	return status;
}

static bool is_among(char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

int target_running_lab(struct invocation *inv, struct lab **ret)
{
	cleanup_lab struct lab *lab = NULL;
	int status = EXIT_DONE;
	size_t count;
	char **names;

	*ret = NULL;
	if (invocation_string(inv, "lab"))
		return target_lab(inv, NULL, ret);
	names = running_labs(&count);
	if (count)
		status = target_lab(inv, NULL, &lab);
	if (lab && is_among(names, count, lab->name))
		*ret = steal_pointer(&lab);
	free_names(names, count);
	return status;
}

int target_name(struct invocation *inv, const char *given, char **ret)
{
	cleanup_free char *name = NULL, *file = NULL;
	cleanup_lab struct lab *lab = NULL;
	int status = choose(inv, given, &name, &file);

	if (status == EXIT_DONE && file) {
		status = load_quietly(inv, file, &lab);
		if (status == EXIT_DONE)
			name = strdup(lab->name);
	}
	*ret = status == EXIT_DONE ? steal_pointer(&name) : NULL;
	return status;
}

int target_guest(struct invocation *inv, const struct lab *lab, const char *path, const struct guest **ret)
{
	cleanup_free const char **paths = NULL;
	const char *near;

	*ret = lab_find_guest(lab, path);
	if (*ret)
		return EXIT_DONE;
	paths = calloc(lab->guest_count + 1, sizeof(*paths));
	if (!paths)
		abort();
	for (size_t i = 0; i < lab->guest_count; i++)
		paths[i] = lab->guests[i]->path;
	near = command_nearest(path, paths);
	for (size_t i = 0; !near && i < lab->guest_count; i++) /* its name alone, without its host */
		if (strcmp(lab->guests[i]->name, path) == 0)
			near = paths[i];
	if (near)
		return invocation_usage(inv, "lab %s has no guest \"%s\"; did you mean \"%s\"?", lab->name, path, near);
	return invocation_usage(inv, "lab %s has no guest \"%s\"", lab->name, path);
}

int target_enter(const struct lab *lab, struct error **err)
{
	cleanup_free char *path = NULL;
	cleanup_close int netns = -1;
	int r;

	if (asprintf(&path, "/run/netns/nestvisor-%s", lab->name) < 0)
		abort();
	netns = open(path, O_RDONLY | O_CLOEXEC);
	if (netns >= 0 && setns(netns, CLONE_NEWNET) == 0)
		return 0;
	r = error_errno(err, errno, "cannot enter the network of lab %s", lab->name);
	error_hint(err, geteuid() == 0 ? "nestvisor up, and nestvisor status to see what runs"
				       : "entering a namespace needs root: run nestvisor as root");
	return r;
}

int target_become(struct invocation *inv, const char *const argv[], struct error **err)
{
	invocation_leave_terminal(inv);
	signal(SIGPIPE, SIG_DFL); /* ours is ignored, which would be inherited */
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	return error_errno(err, errno, "cannot start %s", argv[0]);
}

void target_split(const char *word, char **ret_guest, const char **ret_path)
{
	const char *colon = strchr(word, ':'), *slash = strchr(word, '/');

	*ret_guest = NULL;
	*ret_path = word;
	/* A guest's path has slashes of its own: "hv1/a:/etc/hosts"; only "./x:y" and "/x:y" are local. */
	if (!colon || colon == word || (slash && (slash == word || word[0] == '.')))
		return;
	*ret_guest = strndup(word, (size_t)(colon - word));
	if (!*ret_guest)
		abort();
	*ret_path = colon + 1;
}
