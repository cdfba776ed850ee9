#include "cli/hosts.h"

#include "apply/folders.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/ask.h"
#include "cli/target.h"
#include "doctor/fix.h"
#include "transport/transport.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

/* Longer than any command takes that changes the network; a host that hangs does not hang us. */
static const char *const time_limit = "120";

void hosts_clear(struct hosts *hosts)
{
	lab_free(hosts->lab);
	*hosts = (struct hosts){
		.arena = hosts->arena, .kind = hosts->kind, .thorough = hosts->thorough, .all = hosts->all};
}

/* ---- who ---- */

static bool begins(const char *word, const char *with)
{
	return strncmp(word, with, strlen(with)) == 0;
}

void hosts_add_this_machine(struct hosts *hosts)
{
	struct utsname system;
	const char *name = uname(&system) == 0 ? arena_strdup(hosts->arena, system.nodename) : "L0";

	*arena_push(hosts->arena, hosts->list.targets, hosts->list.count) =
		(struct collect_target){.name = name, .alias = strcmp(name, "L0") == 0 ? NULL : "L0"};
}

/* "NAME=WHERE"; a name has no ':' in it, so that no WHERE is taken for one. */
static int add_given(struct hosts *hosts, struct invocation *inv, const char *word)
{
	size_t length = strcspn(word, "=:"), first = hosts->list.count;
	const char *name = word[length] == '=' ? arena_strndup(hosts->arena, word, length) : NULL,
		   *where = name ? word + length + 1 : word;
	int status = EXIT_DONE;

	if (strcmp(where, "L0") == 0 && !hosts->lab)
		hosts_add_this_machine(hosts);
	else if (begins(where, "ssh://") || begins(where, "netns:") || hosts->lab)
		status = collect_add(&hosts->list, inv, hosts->lab, where);
	else
		status = invocation_usage(
			inv, "--host %s: where is that? ssh://[user@]host[:port], netns:NAMESPACE, or L0", word);
	if (status != EXIT_DONE)
		return status;
	if (name && *name)
		hosts->list.targets[first].name = name;
	for (size_t i = 0; i < first; i++)
		if (strcmp(hosts->list.targets[i].name, hosts->list.targets[first].name) == 0)
			return invocation_usage(inv,
						"two hosts are called %s; call one of them otherwise: --host NAME=%s",
						hosts->list.targets[i].name, where);
	return EXIT_DONE;
}

int hosts_add_given(struct hosts *hosts, struct invocation *inv)
{
	size_t count;
	const char *const *words = invocation_strings(inv, "host", &count);
	int status = EXIT_DONE;

	for (size_t i = 0; i < count && status == EXIT_DONE; i++)
		status = add_given(hosts, inv, words[i]);
	return status;
}

/* ---- asking ---- */

static bool is_silence(const struct note *note)
{
	return note->origin.source && strcmp(note->origin.source, "silence") == 0;
}

static void note_silence(struct bundle *bundle, const char *text)
{
	*arena_push(bundle->arena, bundle->notes, bundle->note_count) =
		(struct note){arena_strdup(bundle->arena, text), {.source = "silence"}};
}

int hosts_fail(struct invocation *inv, struct error **err)
{
	if (inv->command->group == GROUP_PROVE && !cancel_requested(inv->cancel))
		return invocation_fail_as(inv, EXIT_UNKNOWN, err);
	return invocation_fail(inv, err);
}

/* A lab's network on this machine is there as long as the lab runs. */
static void name_lab_that_is_down(const struct collect_target *target, struct error **err)
{
	if (!target->namespace || target->guest || (*err)->code != ENOENT)
		return;
	error_set(err, ENOENT, "the lab %s does not run", target->lab->name);
	error_hint(err, "nestvisor up");
}

/* The first one must answer: it is the one that was named, or this machine. */
static int check_answers(const struct hosts *hosts, struct invocation *inv, struct collect_result *results)
{
	for (size_t i = 0; i < hosts->list.count; i++)
		if (results[i].err && (cancel_requested(inv->cancel) || i == 0)) {
			name_lab_that_is_down(&hosts->list.targets[i], &results[i].err);
			return hosts_fail(inv, &results[i].err);
		}
	return EXIT_DONE;
}

static struct bundle *join(const struct hosts *hosts, struct collect_result *results)
{
	struct arena *arena = hosts->arena;
	size_t count = hosts->list.count, host_count = 0;
	struct bundle **parts = arena_alloc(arena, count * sizeof(struct bundle *)), *bundle;
	const char **names = NULL, *source = NULL;
	cleanup_json json_t *cables = NULL;

	for (size_t i = 0; i < count; i++) {
		parts[i] = steal_pointer(&results[i].bundle);
		for (size_t j = 0; parts[i] && j < parts[i]->host_count; j++)
			*arena_push(arena, names, host_count) = parts[i]->hosts[j]->name;
	}
	if (hosts->lab) {
		cables = collect_cables(hosts->lab, names, host_count);
		source = arena_printf(arena, "lab %s", hosts->lab->name);
	}
	bundle = bundle_join(parts, count, cables, source);
	for (size_t i = 0; i < count; i++)
		if (results[i].err)
			note_silence(bundle, results[i].err->message);
	return bundle;
}

int hosts_ask(struct hosts *hosts, struct invocation *inv, struct bundle **ret)
{
	size_t count = hosts->list.count;
	struct collect_result *results = arena_alloc(hosts->arena, count * sizeof(*results));
	int status;

	if (hosts->thorough && !hosts->lab)
		hosts->kind = COLLECT_FACTS;
	collect_all(inv, hosts->kind, hosts->list.targets, count, COLLECT_MS, results);
	status = check_answers(hosts, inv, results);
	if (status == EXIT_DONE) {
		*ret = join(hosts, results);
		for (size_t i = 0; i < (*ret)->note_count; i++)
			if (is_silence(&(*ret)->notes[i]))
				invocation_warn(inv, "%s", (*ret)->notes[i].text);
	}
	collect_clear(results, count);
	return status;
}

bool hosts_silent(const struct bundle *bundle)
{
	for (size_t i = 0; i < bundle->note_count; i++)
		if (is_silence(&bundle->notes[i]))
			return true;
	return false;
}

const char *const *hosts_names(const struct hosts *hosts)
{
	const char **names = NULL;
	size_t count = 0;

	for (size_t i = 0; i < hosts->list.count; i++)
		*arena_push(hosts->arena, names, count) = hosts->list.targets[i].name;
	for (size_t i = 0; hosts->lab && i < hosts->lab->guest_count; i++)
		*arena_push(hosts->arena, names, count) = hosts->lab->guests[i]->path;
	*arena_push(hosts->arena, names, count) = NULL;
	return names;
}

/* ---- running ---- */

struct words {
	struct arena *arena;
	const char **items;
	size_t count;
};

static void add_word(struct words *words, const char *word)
{
	*arena_push(words->arena, words->items, words->count) = word;
}

static void add_words(struct words *words, const char *const *more)
{
	while (*more)
		add_word(words, *more++);
}

/* Where that path is not there nothing can be run, which is said. */
static void unless_gone(struct words *words, const char *path, const char *what)
{
	add_word(words, "sh");
	add_word(words, "-c");
	add_word(
		words,
		arena_printf(words->arena,
			     "[ -e \"$0\" ] || { echo %s, so nothing was taken back there >&2; exit %d; }; exec \"$@\"",
			     what, FIX_GONE));
	add_word(words, path);
}

static const char *own_path(struct arena *arena)
{
	char path[PATH_SIZE];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	return n > 0 ? arena_strndup(arena, path, (size_t)n) : "nestvisor";
}

static void in_namespace(struct words *words, const char *name, bool gone)
{
	if (gone)
		unless_gone(words, arena_printf(words->arena, "/run/netns/%s", name),
			    "there is no such network namespace now");
	add_word(words, "ip");
	add_word(words, "netns");
	add_word(words, "exec");
	add_word(words, name);
}

static int in_guest(struct words *words, const struct lab *lab, const struct guest *guest, bool gone,
		    struct error **err)
{
	struct folders folders;
	int r = folders_of(words->arena, lab->name, &folders, err);

	if (r < 0)
		return r;
	if (gone)
		unless_gone(words, folders.run, arena_printf(words->arena, "lab %s does not run", lab->name));
	add_words(words, (const char *const[]){own_path(words->arena), "exec", "-i", "--timeout", time_limit, "--lab",
					       lab->name, guest->path, "--", NULL});
	return 0;
}

static const char *quoted(struct arena *arena, const char *const *argv)
{
	cleanup_strbuf struct strbuf text = {0};

	for (; *argv; argv++) {
		strbuf_add(&text, text.length ? " '" : "'");
		for (const char *c = *argv; *c; c++) {
			if (*c == '\'')
				strbuf_add(&text, "'\\''");
			else
				strbuf_add_char(&text, *c);
		}
		strbuf_add_char(&text, '\'');
	}
	return arena_strdup(arena, text.text);
}

/* 255 is ssh's own way to say that it could not get there (ssh(1)); what is run to take something back never ends so.
 */
static void unless_unreachable(struct words *words)
{
	add_word(words, "sh");
	add_word(words, "-c");
	add_word(words, arena_printf(words->arena, "\"$@\"; s=$?; [ $s != 255 ] || exit %d; exit $s", FIX_GONE));
	add_word(words, "sh");
}

static int by_ssh(struct words *words, const char *where, const char *const *argv, bool gone, struct error **err)
{
	static const char *const nothing[] = {NULL};
	struct ssh_target target;
	char **prefix = NULL;
	int r = ask_parse_ssh(words->arena, where, &target, err);

	if (r == 0)
		r = ssh_command(&target, nothing, &prefix, err);
	if (r < 0)
		return r;
	if (gone)
		unless_unreachable(words);
	add_words(words, (const char *const[]){"ssh", "-o", "BatchMode=yes", NULL});
	for (size_t i = 1; prefix[i]; i++)
		add_word(words, arena_strdup(words->arena, prefix[i]));
	free(prefix);
	add_word(words, quoted(words->arena, argv));
	return 0;
}

static int to_target(struct words *words, const struct collect_target *target, const char *const *argv, bool gone,
		     struct error **err)
{
	int r = 0;

	if (target->ssh)
		return by_ssh(words, target->ssh, argv, gone, err);
	if (target->guest)
		r = in_guest(words, target->lab, target->guest, gone, err);
	if (target->netns || target->namespace)
		in_namespace(words,
			     target->netns ? target->netns
					   : arena_printf(words->arena, "nestvisor-%s", target->lab->name),
			     gone && !target->guest);
	add_words(words, argv);
	return r;
}

/* Of those who were asked, and of those for whom the guest that they are in has answered. */
static bool find(const struct hosts *hosts, const char *host, struct collect_target *ret)
{
	struct collect_list whole = {.arena = hosts->arena};

	if (hosts->lab)
		collect_add_lab(&whole, hosts->lab, false);
	for (int pass = 0; pass < 2; pass++) {
		const struct collect_list *list = pass == 0 ? &hosts->list : &whole;

		for (size_t i = 0; i < list->count; i++)
			if (strcmp(list->targets[i].name, host) == 0) {
				*ret = list->targets[i];
				return true;
			}
	}
	return false;
}

int hosts_argv(const struct hosts *hosts, const char *host, const char *const *argv, bool gone, const char *const **ret,
	       struct error **err)
{
	struct words words = {.arena = hosts->arena};
	struct collect_target target;
	int r;

	if (!find(hosts, host, &target))
		return error_set(err, ENOENT, "there is no way known to %s, to change anything there", host);
	r = to_target(&words, &target, argv, gone, err);
	*arena_push(words.arena, words.items, words.count) = NULL;
	*ret = words.items;
	return r;
}

/* Some images live in memory; of a lab's network nothing is kept anywhere. */
const char *const *hosts_made_anew(const struct hosts *hosts, const struct bundle *bundle)
{
	const char **names = arena_alloc(hosts->arena, (bundle->host_count + 1) * sizeof(*names));
	size_t count = 0;

	for (size_t i = 0; i < bundle->host_count; i++) {
		struct collect_target target;

		if (find(hosts, bundle->hosts[i]->name, &target) &&
		    (target.namespace || (target.guest && image_lives_in_memory(target.guest->image))))
			names[count++] = bundle->hosts[i]->name;
	}
	names[count] = NULL;
	return names;
}

const char *hosts_explain(const struct hosts *hosts, const char *host)
{
	struct collect_target target;

	if (!find(hosts, host, &target))
		return NULL;
	if (target.namespace)
		return arena_printf(hosts->arena, "the network of lab %s on %s", target.lab->name,
				    target.guest ? target.guest->path : "this machine");
	if (target.netns)
		return arena_printf(hosts->arena, "the network namespace %s of this machine", target.netns);
	if (target.ssh)
		return arena_printf(hosts->arena, "ssh://%s", target.ssh);
	return target.guest ? NULL : "this machine";
}
