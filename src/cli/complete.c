/*
 * `nestvisor __complete -- WORD…`: what may stand in place of the last word, for the scripts that `nestvisor
 * completion` prints. The words before it are read as the parser would read them, but forgivingly: a line in the making
 * is rarely right. The shells know nothing of nestvisor's commands, so they cannot be out of date.
 *
 * The first line of the answer says which file names fit besides: "none", "files", "folders", "nest" (lab files and
 * folders) or "guestfile" (files; a candidate is no whole word). Each further line is a candidate, a tab, and what it
 * is.
 */
#include "apply/folders.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/places.h"
#include "base/strbuf.h"
#include "cli/command.h"
#include "cli/parse.h"
#include "config/config.h"
#include "render/schema.h"

#include <dirent.h>
#include <string.h>

struct completer {
	struct arena *arena;
	const struct command *const *commands;
	const char *word;   /* what is there of the word to complete */
	const char *prefix; /* what stands before its value: "--format=", or nothing */
	const char *lab;    /* --lab, where it was given before */
	const char *files;  /* the answer's first line */
	struct strbuf out;
};

static void candidate(struct completer *c, const char *text, const char *what)
{
	cleanup_strbuf struct strbuf full = {};

	strbuf_printf(&full, "%s%s", c->prefix, text);
	if (strncmp(full.text, c->word, strlen(c->word)) == 0)
		strbuf_printf(&c->out, "%s\t%s\n", full.text, what);
}

/* Calls back for every lab that has a folder of its own under /run, or for the one that --lab names. */
static void each_lab(struct completer *c, void (*call)(struct completer *c, const char *lab))
{
	cleanup_closedir DIR *dir = opendir(places_run_root());
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && (!c->lab || strcmp(c->lab, entry->d_name) == 0))
			call(c, entry->d_name);
}

static void lab_candidate(struct completer *c, const char *lab)
{
	candidate(c, lab, "running lab");
}

static void guest_candidate(struct completer *c, const char *path, const char *lab)
{
	cleanup_strbuf struct strbuf text = {}, what = {};

	strbuf_printf(&text, "%s%s", path, strcmp(c->files, "guestfile") == 0 ? ":" : "");
	strbuf_printf(&what, "guest of %s", lab);
	candidate(c, text.text, what.text);
}

static void guests_below(struct completer *c, const json_t *host, const char *path, const char *lab)
{
	const char *name;
	const json_t *guest;

	/* jansson's iteration takes no const, and changes nothing */
	json_object_foreach ((json_t *)json_object_get(host, "guests"), name, guest) {
		cleanup_strbuf struct strbuf below = {};

		strbuf_printf(&below, "%s%s%s", path, *path ? "/" : "", name);
		guest_candidate(c, below.text, lab);
		guests_below(c, guest, below.text, lab);
	}
}

/* The lab as it was applied is a lab file in JSON: its guests are found without checking it anew. */
static void guests_of_lab(struct completer *c, const char *lab)
{
	cleanup_json json_t *applied = NULL;
	struct folders folders;

	if (folders_of(c->arena, lab, &folders, NULL) == 0 &&
	    json_read_file(folders.lab_file, 64 << 20, &applied, NULL) == 0)
		guests_below(c, applied, json_get_string(applied, "at", ""), lab);
}

static void guests_of_file(struct completer *c)
{
	cleanup_problems struct problems problems = {};
	cleanup_lab struct lab *lab = NULL;
	cleanup_free char *path = NULL;

	if (c->lab || config_find(&path, NULL) < 0 || config_load(path, NULL, &problems, &lab, NULL) < 0)
		return;
	for (size_t i = 0; i < lab->guest_count; i++)
		guest_candidate(c, lab->guests[i]->path, lab->name);
}

static void complete_guests(struct completer *c)
{
	each_lab(c, guests_of_lab);
	guests_of_file(c);
}

static void complete_commands(struct completer *c)
{
	for (size_t i = 0; c->commands[i]; i++)
		if (!c->commands[i]->hidden)
			candidate(c, c->commands[i]->name, c->commands[i]->summary);
}

static void complete_value(struct completer *c, enum completion kind, const char *const *choices, const char *what)
{
	for (; choices && *choices; choices++)
		candidate(c, *choices, what);
	switch (kind) {
	case COMPLETE_NONE:
		break;
	case COMPLETE_FILE:
		c->files = "files";
		break;
	case COMPLETE_FOLDER:
		c->files = "folders";
		break;
	case COMPLETE_LAB_FILE:
		c->files = "nest";
		break;
	case COMPLETE_LAB_OR_FILE:
		c->files = "nest";
		each_lab(c, lab_candidate);
		break;
	case COMPLETE_LAB:
		each_lab(c, lab_candidate);
		break;
	case COMPLETE_HOST:
		candidate(c, "L0", "this machine, inside the lab's network");
		complete_guests(c);
		break;
	case COMPLETE_GUEST:
		complete_guests(c);
		break;
	case COMPLETE_GUEST_FILE:
		c->files = "guestfile";
		complete_guests(c);
		break;
	case COMPLETE_COMMAND:
		complete_commands(c);
		break;
	case COMPLETE_SCHEMA:
		for (const struct schema *s = schema_table(); s->name; s++)
			candidate(c, s->name, s->summary);
		break;
	}
}

static void complete_option_value(struct completer *c, const struct command_option *option)
{
	complete_value(c, option->complete, option->choices, option->help);
}

static void complete_options(struct completer *c, const struct command *command)
{
	const struct command_option *option;

	for (size_t i = 0; (option = command_option_at(command, i)); i++) {
		cleanup_strbuf struct strbuf name = {};

		if (option->hidden)
			continue;
		strbuf_printf(&name, "--%s", option->name);
		candidate(c, name.text, option->help);
	}
}

/* How far the words before the last have come. */
struct progress_of_line {
	const struct command *command;
	const struct command_option *wants_value; /* the last word is its value */
	bool options_ended, in_rest;
	size_t operands;
};

/* The option that a word begins and whose value is still to come; NULL where there is none. */
static const struct command_option *option_waiting(const struct command *command, const char *word)
{
	const struct command_option *option;
	size_t matches;

	if (word[1] == '-') {
		if (strchr(word, '='))
			return NULL;
		option = command_match_option(command, word + 2, strlen(word + 2), &matches);
		return option && option_takes_value(option) ? option : NULL;
	}
	for (word++; *word; word++) {
		option = command_letter_option(command, *word);
		if (option && option_takes_value(option))
			return word[1] ? NULL : option;
	}
	return NULL;
}

static size_t operand_slots(const struct command *command)
{
	size_t slots = 0;

	for (const struct command_operand *o = command->operands; o && o->name; o++)
		slots = o->repeated ? SIZE_MAX : slots + 1;
	return slots;
}

static void read_word(struct completer *c, struct progress_of_line *line, const char *word)
{
	if (line->wants_value) {
		if (strcmp(line->wants_value->name, "lab") == 0)
			c->lab = word;
		line->wants_value = NULL;
	} else if (line->in_rest) {
		return;
	} else if (!line->options_ended && strcmp(word, "--") == 0) {
		line->options_ended = true;
		line->in_rest = line->command && line->command->rest && line->operands > 0;
	} else if (!line->options_ended && word[0] == '-' && word[1]) {
		line->wants_value = option_waiting(line->command, word);
		if (strncmp(word, "--lab=", 6) == 0)
			c->lab = word + 6;
	} else if (!line->command) {
		line->command = command_find(c->commands, word);
		line->in_rest = !line->command; /* nothing is known of an unknown command */
	} else {
		line->operands++;
		line->in_rest = line->command->rest && line->operands > operand_slots(line->command);
	}
}

static void complete_operand(struct completer *c, const struct progress_of_line *line)
{
	const struct command_operand *o = line->command->operands;
	size_t index = line->operands;

	if (!o || index >= operand_slots(line->command))
		return;
	for (; index > 0 && !o->repeated; index--)
		o++;
	complete_value(c, o->complete, o->choices, o->help);
}

static void complete_last(struct completer *c, const struct progress_of_line *line)
{
	const char *equals = strchr(c->word, '=');
	const struct command_option *option;
	size_t matches;

	if (line->in_rest) {
		c->files = "files";
	} else if (line->wants_value) {
		complete_option_value(c, line->wants_value);
	} else if (!line->options_ended && strncmp(c->word, "--", 2) == 0 && equals) {
		option = command_match_option(line->command, c->word + 2, (size_t)(equals - c->word - 2), &matches);
		c->prefix = arena_strndup(c->arena, c->word, (size_t)(equals - c->word) + 1);
		if (option)
			complete_option_value(c, option);
	} else if (!line->options_ended && c->word[0] == '-') {
		complete_options(c, line->command);
	} else if (!line->command) {
		complete_commands(c);
	} else {
		complete_operand(c, line);
	}
}

static int run(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	struct completer c = {.arena = arena, .commands = inv->commands, .prefix = "", .files = "none"};
	struct progress_of_line line = {};

	strbuf_add(&c.out, "");
	c.word = inv->rest_count > 0 ? inv->rest[inv->rest_count - 1] : "";
	for (size_t i = 0; i + 1 < inv->rest_count; i++)
		read_word(&c, &line, inv->rest[i]);
	complete_last(&c, &line);
	invocation_print(inv, "%s\n%s", c.files, c.out.text);
	strbuf_freep(&c.out);
	return EXIT_DONE;
}

const struct command command_complete = {
	.name = "__complete",
	.group = GROUP_OTHER,
	.summary = "completes a command line, for the scripts that nestvisor completion prints",
	.rest = "WORD",
	.hidden = true,
	.run = run,
};
