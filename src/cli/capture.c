#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/collect.h"
#include "cli/command.h"
#include "cli/pack.h"
#include "cli/target.h"
#include "facts/redact.h"
#include "render/table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct work {
	struct invocation *inv;
	struct arena *arena;
	const struct lab *lab; /* NULL: none is asked */
	struct collect_list list;
	struct collect_result *results;
	const struct collection **collections; /* of those that answered */
	size_t collection_count, missing_count;
};

static bool names_guest(const char *word)
{
	return strcmp(word, "L0") != 0 && strncmp(word, "ssh://", strlen("ssh://")) != 0 &&
	       strncmp(word, "netns:", strlen("netns:")) != 0;
}

static int find_targets(struct work *work, struct lab **ret_lab)
{
	struct invocation *inv = work->inv;
	const char *wanted = invocation_string(inv, "lab");
	bool needs_lab = wanted != NULL;
	int status = EXIT_DONE;

	for (size_t i = 0; i < inv->operand_count; i++)
		needs_lab = needs_lab || names_guest(inv->operands[i]);
	if (needs_lab)
		status = target_lab(inv, NULL, ret_lab);
	if (status != EXIT_DONE)
		return status;
	work->lab = *ret_lab;
	if (inv->operand_count == 0 && *ret_lab)
		collect_add_lab(&work->list, *ret_lab, false);
	for (size_t i = 0; i < inv->operand_count && status == EXIT_DONE; i++)
		status = collect_add(&work->list, inv, *ret_lab, inv->operands[i]);
	return inv->operand_count == 0 && !*ret_lab ? collect_add(&work->list, inv, NULL, "L0") : status;
}

static const char *folder_of(struct work *work, size_t i)
{
	return collection_folder(work->arena, work->list.targets[i].name);
}

/* Two that would lie in one folder. */
static int check_names(struct work *work)
{
	for (size_t i = 0; i < work->list.count; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(folder_of(work, i), folder_of(work, j)) == 0)
				return invocation_usage(work->inv, "two hosts would be called %s", folder_of(work, i));
	return EXIT_DONE;
}

/* Not what stands for others where there is no time. */
static bool is_collected(const struct source *source)
{
	return !(source->flags & SOURCE_BATCH);
}

/* "firewall: rules of iptables; rules of ip6tables; …", in the order of the table. */
static void describe_groups(struct strbuf *out)
{
	size_t count;
	const struct source *sources = source_table(&count);

	for (size_t i = 0; i < count; i++) {
		cleanup_strbuf struct strbuf line = {0};
		bool told = false, first = true;

		for (size_t j = 0; j < i; j++)
			told = told || strcmp(sources[j].group, sources[i].group) == 0;
		if (told)
			continue;
		strbuf_printf(&line, "%s: ", sources[i].group);
		for (size_t j = i; j < count; j++)
			if (strcmp(sources[j].group, sources[i].group) == 0 && is_collected(&sources[j])) {
				strbuf_printf(&line, "%s%s", first ? "" : "; ", sources[j].purpose);
				first = false;
			}
		text_fill(out, line.text, 2, 100);
	}
}

static void announce(struct work *work)
{
	cleanup_strbuf struct strbuf out = {0};

	if (work->inv->quiet)
		return;
	strbuf_add(&out, "collects, and changes nothing, on");
	for (size_t i = 0; i < work->list.count; i++)
		strbuf_printf(&out, "%s %s", i ? "," : "", work->list.targets[i].name);
	strbuf_add(&out, ":\n");
	describe_groups(&out);
	strbuf_add(&out,
		   "Left out: private keys, passwords, tokens, pre-shared keys, password hashes; each becomes " REDACTED
		   ".\n`nestvisor capture --list` shows every command and file.");
	invocation_note(work->inv, "%s", out.text);
}

/* What answers is taken; who does not is named, and the exit status says so. */
static int take_results(struct work *work)
{
	for (size_t i = 0; i < work->list.count; i++) {
		struct collect_result *result = &work->results[i];

		if (!result->err) {
			*arena_push(work->arena, work->collections, work->collection_count) = &result->collection;
			continue;
		}
		if (cancel_requested(work->inv->cancel) || work->list.count == 1)
			return invocation_fail(work->inv, &result->err);
		work->missing_count++;
		invocation_warn(work->inv, "%s%s%s%s", result->err->message, result->err->hint ? " (" : "",
				result->err->hint ? result->err->hint : "", result->err->hint ? ")" : "");
	}
	return EXIT_DONE;
}

static json_t *missing_json(const struct work *work)
{
	json_t *missing = json_array();

	for (size_t i = 0; i < work->list.count; i++)
		if (work->results[i].err)
			json_array_append_new(missing,
					      json_pack("{s:o, s:o}", "name", text_json(work->list.targets[i].name),
							"why", text_json(work->results[i].err->message)));
	return missing;
}

/* "a, b" */
static const char *missing_names(const struct work *work)
{
	const char *names = "";

	for (size_t i = 0; i < work->list.count; i++)
		if (work->results[i].err)
			names = arena_printf(work->arena, "%s%s%s", names, *names ? ", " : "",
					     work->list.targets[i].name);
	return names;
}

static void add_readme(struct work *work, struct pack *pack, time_t now)
{
	char when[64];
	struct tm tm;
	const char *text;

	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&now, &tm));
	text = arena_printf(
		work->arena,
		"Facts of %zu host%s, collected by nestvisor %s on %s.\n\n"
		"hosts/<name>/ holds what standard commands printed there, in files named after them, and in "
		"capture.json what was not there or failed. Private keys, passwords, tokens and password hashes "
		"were taken out where they were recognised; look through it before you send it on.\n\n"
		"nestvisor facts --facts <this>, doctor --facts, graph --facts, … read it.\n",
		work->collection_count, work->collection_count == 1 ? "" : "s", NESTVISOR_VERSION, when);
	if (work->missing_count)
		text = arena_printf(work->arena, "%s\nMissing, since they did not answer: %s\n", text,
				    missing_names(work));
	pack_add(pack, "README.txt", text, strlen(text));
}

static void add_collection(struct work *work, struct pack *pack, const struct collection *collection)
{
	cleanup_json json_t *manifest = collection_manifest(collection);
	cleanup_free char *text = json_dumps(manifest, JSON_INDENT(1) | JSON_SORT_KEYS);
	const char *kept = arena_printf(work->arena, "%s\n", text),
		   *folder = collection_folder(work->arena, collection->host);

	for (size_t i = 0; i < collection->item_count; i++) {
		const struct item *item = &collection->items[i];

		if (item->text)
			pack_add(pack, arena_printf(work->arena, "hosts/%s/%s", folder, item->source->name), item->text,
				 item->length);
	}
	pack_add(pack, arena_printf(work->arena, "hosts/%s/" MANIFEST_NAME, folder), kept, strlen(kept));
}

static void add_links(struct work *work, struct pack *pack)
{
	const char **names = arena_alloc(work->arena, work->collection_count * sizeof(*names)), *kept;
	cleanup_free char *text = NULL;
	cleanup_json json_t *cables;

	for (size_t i = 0; i < work->collection_count; i++)
		names[i] = work->collections[i]->host;
	cables = collect_cables(work->lab, names, work->collection_count);
	text = json_dumps(cables, JSON_INDENT(1));
	kept = arena_printf(work->arena, "%s\n", text);
	pack_add(pack, "links.json", kept, strlen(kept));
}

static json_t *host_json(const struct collection *collection)
{
	json_t *failed = json_array();
	json_int_t counts[ITEM_NOT_REACHED + 1] = {0}, redacted = 0;

	for (size_t i = 0; i < collection->item_count; i++) {
		const struct item *item = &collection->items[i];

		counts[item->state]++;
		redacted += (json_int_t)item->redacted;
		if (item->state == ITEM_FAILED)
			json_array_append_new(failed,
					      json_pack("{s:s, s:s}", "name", item->source->name, "why", item->why));
	}
	return json_pack("{s:s, s:b, s:I, s:I, s:I, s:o, s:I}", "name", collection->host, "complete",
			 collection->complete, "taken", counts[ITEM_TAKEN], "missing",
			 counts[ITEM_MISSING] + counts[ITEM_ABSENT], "not_reached", counts[ITEM_NOT_REACHED], "failed",
			 failed, "redacted", redacted);
}

static void tell_host(struct table *table, const struct collection *collection)
{
	size_t taken = 0, missing = 0, redacted = 0, bytes = 0;
	cleanup_strbuf struct strbuf failed = {0};

	for (size_t i = 0; i < collection->item_count; i++) {
		const struct item *item = &collection->items[i];

		taken += item->state == ITEM_TAKEN;
		missing += item->state == ITEM_MISSING || item->state == ITEM_ABSENT;
		redacted += item->redacted;
		bytes += item->length;
		if (item->state == ITEM_FAILED)
			strbuf_printf(&failed, "%s%s: %s", failed.length ? "; " : "", item->source->name, item->why);
	}
	if (!collection->complete)
		strbuf_printf(&failed, "%sthe connection ended in or after %s", failed.length ? "; " : "",
			      collection->ended ? collection->ended : "nothing");
	table_row(table);
	table_cell(table, COLOUR_BOLD, collection->host);
	table_cellf(table, COLOUR_NONE, "%zu", taken);
	table_cellf(table, COLOUR_NONE, "%zu", missing);
	table_cellf(table, COLOUR_NONE, "%zu", redacted);
	table_cellf(table, COLOUR_NONE, "%zu", (bytes + 1023) / 1024);
	table_cell(table, COLOUR_YELLOW, failed.text);
}

static int answer(struct work *work, const char *path, size_t bytes)
{
	struct invocation *inv = work->inv;
	cleanup_strbuf struct strbuf out = {0};
	int status = work->missing_count ? EXIT_FAILED : EXIT_DONE;

	if (inv->json) {
		json_t *hosts = json_array();

		for (size_t i = 0; i < work->collection_count; i++)
			json_array_append_new(hosts, host_json(work->collections[i]));
		invocation_answer(inv, json_pack("{s:o, s:I, s:o, s:o}", "file", text_json(path), "bytes",
						 (json_int_t)bytes, "hosts", hosts, "unanswered", missing_json(work)));
		return status;
	}
	{
		static const char *const headings[] = {"HOST", ">COLLECTED", ">NOT THERE", ">REDACTED",
						       ">KIB", "FAILED",     NULL};
		cleanup_table struct table *table = table_new(headings);

		for (size_t i = 0; i < work->collection_count; i++)
			tell_host(table, work->collections[i]);
		table_draw(table, inv->style, &out);
	}
	invocation_print_text(inv, out.text);
	invocation_note(inv, "wrote %s; look through it before you send it on", path);
	if (work->missing_count)
		invocation_warn(inv, "it lacks %zu of %zu hosts, which did not answer: %s", work->missing_count,
				work->list.count, missing_names(work));
	return status;
}

static int write_all(struct work *work, const char *path)
{
	struct pack pack = {.arena = work->arena};
	cleanup_error struct error *err = NULL;
	time_t now = time(NULL);
	size_t bytes;

	add_readme(work, &pack, now);
	for (size_t i = 0; i < work->collection_count; i++)
		add_collection(work, &pack, work->collections[i]);
	if (work->lab)
		add_links(work, &pack);
	if (pack_write(&pack, path, now, &bytes, &err) < 0)
		return invocation_fail(work->inv, &err);
	return answer(work, path, bytes);
}

static int capture(struct work *work, const char *path)
{
	struct invocation *inv = work->inv;
	cleanup_error struct error *err = NULL;
	int status, timeout = (int)invocation_integer(inv, "timeout", COLLECT_MS);

	if (pack_check(path, invocation_flag(inv, "force"), &err) < 0)
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	announce(work);
	work->results = arena_alloc(work->arena, work->list.count * sizeof(*work->results));
	collect_all(inv, COLLECT_TEXTS, work->list.targets, work->list.count, timeout, work->results);
	status = take_results(work);
	if (status != EXIT_DONE)
		return status;
	if (work->collection_count == 0) {
		error_set(&err, EIO, "no host answered");
		return invocation_fail(inv, &err);
	}
	return write_all(work, path);
}

static json_t *source_json(const struct source *source)
{
	return json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:b, s:b}", "name", source->name, "group", source->group, "what",
			 source->purpose, "files", source->files, "command", source->command, "secrets",
			 source->flags & SOURCE_SECRETS, "network", source->flags & SOURCE_NETWORK);
}

static int list(struct invocation *inv)
{
	cleanup_strbuf struct strbuf out = {0};
	size_t count;
	const struct source *sources = source_table(&count);

	if (inv->json) {
		json_t *all = json_array();

		for (size_t i = 0; i < count; i++)
			if (is_collected(&sources[i]))
				json_array_append_new(all, source_json(&sources[i]));
		invocation_answer(inv, json_pack("{s:n, s:i, s:[], s:o}", "file", "bytes", 0, "hosts", "sources", all));
		return EXIT_DONE;
	}
	for (size_t i = 0; i < count; i++) {
		const struct source *source = &sources[i];

		if (!is_collected(source))
			continue;
		text_paint(&out, inv->style, COLOUR_BOLD, source->name);
		strbuf_printf(&out, " (%s): %s%s\n", source->group, source->purpose,
			      source->flags & SOURCE_SECRETS ? "; secrets are taken out" : "");
		if (source->command)
			text_fill(&out, source->command, 4, 110);
		if (source->files)
			text_fill(&out, source->files, 4, 110);
	}
	invocation_print_text(inv, out.text);
	return EXIT_DONE;
}

static int run(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	struct work work = {.inv = inv, .arena = arena, .list.arena = arena};
	const char *path = invocation_string(inv, "output");
	cleanup_lab struct lab *lab = NULL;
	int status;

	if (invocation_flag(inv, "list"))
		return list(inv);
	if (!path)
		return invocation_usage(inv, "where to? -o bundle.tar, or -o folder/");
	status = find_targets(&work, &lab);
	if (status == EXIT_DONE)
		status = check_names(&work);
	if (status == EXIT_DONE)
		status = capture(&work, path);
	if (work.results)
		collect_clear(work.results, work.list.count);
	return status;
}

const struct command command_capture = {
	.name = "capture",
	.group = GROUP_MACHINE,
	.summary = "collects the facts of hosts into a bundle to send to somebody",
	.description =
		"Writes what standard commands print on a host, one file per command, into a tar archive or a folder "
		"that "
		"every command reads with --facts. Any host can be asked that has a POSIX shell: this machine, a guest "
		"of a running lab at any depth through its agent, an ssh host. One script goes there on standard input "
		"and one stream comes back; nothing is changed or left behind.\n\n"
		"Before collecting it says what it collects, group by group. Private keys, passwords, tokens and "
		"password "
		"hashes are taken out on the way; still, look through the bundle before you send it on.\n\n"
		"Without a host it collects this machine; with --lab and no host, this machine, every guest of the "
		"lab, "
		"and the lab's own network on each host as a host of its own (L0 is that of this machine, hv1-lab-NAME "
		"that of hv1). The bundle holds who answers; who does not is named, and the exit status is 1.",
	.operands = (const struct command_operand[]){{.name = "HOST",
						      .help = "L0 (this machine), a guest's path, "
							      "ssh://[user@]host[:port], or netns:NAMESPACE of this "
							      "machine (its network alone)",
						      .complete = COMPLETE_HOST,
						      .optional = true,
						      .repeated = true},
						     {}},
	.options =
		(const struct command_option[]){
			{.name = "output",
			 .letter = 'o',
			 .kind = OPTION_STRING,
			 .argument = "FILE",
			 .help = "the archive (bundle.tar) or the folder (bundle/) to write",
			 .complete = COMPLETE_FILE},
			{.name = "force", .letter = 'f', .help = "replace what is there"},
			{.name = "list", .help = "show what would be collected, each command and file, and end"},
			{.name = "timeout",
			 .letter = 't',
			 .kind = OPTION_SECONDS,
			 .argument = "TIME",
			 .help = "what a host has not answered after this long is left out",
			 .fallback = "60"},
			{}},
	.examples =
		(const struct command_example[]){
			{"nestvisor capture -o bundle.tar", "this machine"},
			{"nestvisor capture hv1 hv1/a -o bundle.tar", "two guests of the running lab"},
			{"nestvisor capture --lab first -o first/", "all of a lab, as a folder"},
			{"nestvisor capture ssh://root@server -o server.tar", "a host that nestvisor did not make"},
			{"nestvisor capture L0 netns:blue -o bundle/", "this machine, and a network namespace of it"},
			{}},
	.statuses = (const struct command_status[]){{EXIT_DONE, "every host answered"},
						    {EXIT_FAILED, "a host did not; the bundle holds those that did"},
						    {}},
	.json = "capture",
	.lab = true,
	.run = run,
};
