#include "cli/parse.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* What a global option needs to be there. */
enum global_need { NEEDS_NOTHING, NEEDS_JSON, NEEDS_LAB, NEEDS_NO_COMMAND };

static const struct global_option {
	enum global_need need;
	struct command_option option;
} global_options[] = {
	{NEEDS_LAB,
	 {.name = "lab",
	  .kind = OPTION_STRING,
	  .argument = "NAME",
	  .help = "the running lab that is meant, where there are several",
	  .complete = COMPLETE_LAB}},
	{NEEDS_JSON, {.name = "json", .help = "answer with one JSON document"}},
	{NEEDS_NOTHING, {.name = "quiet", .letter = 'q', .help = "no progress and no notes, only warnings and errors"}},
	{NEEDS_NOTHING, {.name = "verbose", .letter = 'v', .help = "a line for every step, also for those that begin"}},
	{NEEDS_NOTHING, {.name = "no-color", .help = "no colours, as with NO_COLOR in the environment"}},
	{NEEDS_NOTHING, {.name = "help", .letter = 'h', .help = "this help", .no_env = true}},
	{NEEDS_NO_COMMAND, {.name = "version", .letter = 'V', .help = "the version", .no_env = true}},
};

enum { GLOBAL_COUNT = sizeof(global_options) / sizeof(*global_options) };

static bool has_global(const struct command *command, enum global_need need)
{
	switch (need) {
	case NEEDS_NOTHING:
		return true;
	case NEEDS_JSON:
		return !command || command->json;
	case NEEDS_LAB:
		return !command || command->lab;
	case NEEDS_NO_COMMAND:
		return !command;
	}
	return false;
}

size_t command_own_option_count(const struct command *command)
{
	size_t count = 0;

	while (command && command->options && command->options[count].name)
		count++;
	return count;
}

const struct command_option *command_option_at(const struct command *command, size_t index)
{
	size_t own = command_own_option_count(command);

	if (index < own)
		return &command->options[index];
	index -= own;
	for (size_t i = 0; i < GLOBAL_COUNT; i++)
		if (has_global(command, global_options[i].need) && index-- == 0)
			return &global_options[i].option;
	return NULL;
}

const struct command *command_find(const struct command *const *commands, const char *name)
{
	for (; *commands; commands++)
		if (strcmp((*commands)->name, name) == 0)
			return *commands;
	return NULL;
}

const struct command_option *command_match_option(const struct command *command, const char *name, size_t length,
						  size_t *ret_matches)
{
	const struct command_option *option, *match = NULL;

	*ret_matches = 0;
	for (size_t i = 0; (option = command_option_at(command, i)); i++) {
		if (strncmp(option->name, name, length) != 0)
			continue;
		if (option->name[length] == '\0') {
			*ret_matches = 1;
			return option;
		}
		if (option->hidden || length == 0)
			continue;
		match = option;
		(*ret_matches)++;
	}
	return *ret_matches == 1 ? match : NULL;
}

const struct command_option *command_letter_option(const struct command *command, char letter)
{
	const struct command_option *option;

	for (size_t i = 0; (option = command_option_at(command, i)); i++)
		if (option->letter && option->letter == letter)
			return option;
	return NULL;
}

bool option_takes_value(const struct command_option *option)
{
	return option->kind != OPTION_FLAG;
}

bool option_variable(const struct command_option *option, struct strbuf *out)
{
	if (option->no_env)
		return false;
	strbuf_add(out, "NESTVISOR_");
	for (const char *at = option->name; *at; at++)
		strbuf_add_char(out, *at == '-' ? '_' : (char)toupper((unsigned char)*at));
	return true;
}

void command_usage(const struct command *command, struct strbuf *out)
{
	strbuf_printf(out, "nestvisor %s [OPTION]…", command->name);
	for (const struct command_operand *o = command->operands; o && o->name; o++)
		strbuf_printf(out, o->optional ? " [%s%s]" : " %s%s", o->name, o->repeated ? "…" : "");
	if (command->rest)
		strbuf_printf(out, command->rest_required ? " -- %s…" : " [-- %s…]", command->rest);
}

/* Damerau–Levenshtein (optimal string alignment), letters regardless of case; words too long for it are far from
 * everything. */
static size_t edit_distance(const char *a, const char *b)
{
	enum { LONGEST = 40 };
	size_t la = strlen(a), lb = strlen(b), d[3][LONGEST + 1];

	if (la > LONGEST || lb > LONGEST)
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *row = d[i % 3], *above = d[(i + 2) % 3], *two_above = d[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);

			row[j] = above[j - 1] + (x != y);
			if (above[j] + 1 < row[j])
				row[j] = above[j] + 1;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
			if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
			    y == tolower((unsigned char)a[i - 2]) && two_above[j - 2] + 1 < row[j])
				row[j] = two_above[j - 2] + 1;
		}
	}
	return d[la % 3][lb];
}

void nearest_try(struct nearest *nearest, const char *name)
{
	size_t distance = edit_distance(nearest->word, name), length = strlen(nearest->word);
	size_t limit = length < 3 ? 1 : length < 6 ? 2 : 3;

	/* Nothing is meant by changing every letter of it. */
	if (distance > limit || distance >= length || (nearest->name && distance >= nearest->distance))
		return;
	nearest->name = name;
	nearest->distance = distance;
}

const char *command_nearest(const char *word, const char *const *names)
{
	struct nearest nearest = {.word = word};

	for (; *names; names++)
		nearest_try(&nearest, *names);
	return nearest.name;
}

struct option_value *option_values_find(const struct option_values *values, const char *name)
{
	for (size_t i = 0; i < values->count; i++)
		if (strcmp(values->items[i].option->name, name) == 0)
			return &values->items[i];
	return NULL;
}

/* "--format" or "NESTVISOR_FORMAT": where a wrong value came from. */
static char *origin(struct arena *arena, const struct option_value *value)
{
	cleanup_strbuf struct strbuf name = {};

	if (value->source == VALUE_ENVIRONMENT && option_variable(value->option, &name))
		return arena_strdup(arena, name.text);
	return arena_printf(arena, "--%s", value->option->name);
}

static int parse_integer(struct arena *arena, struct option_value *value, const char *text, struct error **err)
{
	const struct command_option *o = value->option;
	char *end;

	errno = 0;
	value->integer = strtoll(text, &end, 10);
	if (errno || end == text || *end || isspace((unsigned char)*text))
		return error_set(err, EINVAL, "%s needs a whole number, not \"%s\"", origin(arena, value), text);
	if ((o->minimum || o->maximum) && (value->integer < o->minimum || value->integer > o->maximum))
		return error_set(err, EINVAL, "%s must be between %lld and %lld, not %s", origin(arena, value),
				 o->minimum, o->maximum, text);
	return 0;
}

static int parse_seconds(struct arena *arena, struct option_value *value, const char *text, struct error **err)
{
	static const struct {
		const char *name;
		double ms;
	} units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60e3}, {"min", 60e3}, {"h", 3600e3}};
	const struct command_option *o = value->option;
	char *end;
	double number = strtod(text, &end);

	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (!isdigit((unsigned char)*text) || !isfinite(number) || number * units[i].ms > 1e15 ||
		    strcmp(end, units[i].name) != 0)
			continue;
		value->integer = (long long)(number * units[i].ms + 0.5);
		if ((o->minimum || o->maximum) && (value->integer < o->minimum || value->integer > o->maximum))
			return error_set(err, EINVAL, "%s must be between %g and %g seconds, not %s",
					 origin(arena, value), (double)o->minimum / 1000, (double)o->maximum / 1000,
					 text);
		return 0;
	}
	error_set(err, EINVAL, "%s needs a time, not \"%s\"", origin(arena, value), text);
	error_hint(err, "seconds, or a number with ms, s, m or h: 90, 1.5s, 250ms, 2m");
	return -EINVAL;
}

static int parse_choice(struct arena *arena, const struct option_value *value, const char *text, struct error **err)
{
	cleanup_strbuf struct strbuf list = {};
	struct nearest nearest = {.word = text};

	for (const char *const *choice = value->option->choices; *choice; choice++) {
		if (strcmp(*choice, text) == 0)
			return 0;
		nearest_try(&nearest, *choice);
		strbuf_printf(&list, "%s%s", list.length > 0 ? ", " : "", *choice);
	}
	error_set(err, EINVAL, "%s cannot be \"%s\"", origin(arena, value), text);
	if (nearest.name)
		error_hint(err, "did you mean \"%s\"? It is one of: %s", nearest.name, list.text);
	else
		error_hint(err, "it is one of: %s", list.text);
	return -EINVAL;
}

/* Only the environment gives a flag a text. */
static int parse_flag(struct arena *arena, struct option_value *value, const char *text, struct error **err)
{
	static const char *const words[][4] = {{"0", "no", "false", "off"}, {"1", "yes", "true", "on"}};

	for (int truth = 0; truth < 2; truth++)
		for (size_t i = 0; i < 4; i++)
			if (strcasecmp(words[truth][i], text) == 0) {
				value->integer = truth;
				return 0;
			}
	return error_set(err, EINVAL, "%s must be 1 or 0, not \"%s\"", origin(arena, value), text);
}

/* Appends to a list with a NULL behind its end. */
static void add_word(struct arena *arena, const char ***words, size_t *count, const char *word)
{
	*words = arena_grow(arena, *words, *count, sizeof(**words));
	(*words)[(*count)++] = word;
	*words = arena_grow(arena, *words, *count, sizeof(**words));
	(*words)[*count] = NULL;
}

/* A later value of an option that is not repeated takes the place of an earlier one, and one from a stronger source
 * that of all others. */
static int add_value(struct arena *arena, struct option_value *value, enum value_source source, const char *text,
		     struct error **err)
{
	if (source > value->source || !value->option->repeated)
		value->count = 0;
	value->source = source;
	add_word(arena, &value->texts, &value->count, text);
	switch (value->option->kind) {
	case OPTION_FLAG:
		return parse_flag(arena, value, text, err);
	case OPTION_INTEGER:
		return parse_integer(arena, value, text, err);
	case OPTION_SECONDS:
		return parse_seconds(arena, value, text, err);
	case OPTION_CHOICE:
		return parse_choice(arena, value, text, err);
	case OPTION_STRING:
		return 0;
	}
	return 0;
}

struct parser {
	struct command_line *line;
	const char *const *at; /* the next word */
	bool options_ended;
};

static const char *command_name(const struct command *command)
{
	return command ? command->name : "nestvisor";
}

static int unknown_option(const struct command *command, const char *word, size_t length, size_t matches,
			  struct error **err)
{
	cleanup_free char *name = strndup(word, length);
	const struct command_option *option;
	struct nearest nearest = {.word = name};

	if (!name)
		abort();
	if (matches > 1) {
		error_set(err, EINVAL, "\"--%s\" could be several options of %s", name, command_name(command));
	} else {
		error_set(err, EINVAL, "%s has no option \"--%s\"", command_name(command), name);
		for (size_t i = 0; (option = command_option_at(command, i)); i++)
			if (!option->hidden)
				nearest_try(&nearest, option->name);
	}
	if (nearest.name)
		error_hint(err, "did you mean --%s? nestvisor %s%s--help lists them", nearest.name,
			   command ? command->name : "", command ? " " : "");
	else
		error_hint(err, "nestvisor %s%s--help lists them", command ? command->name : "", command ? " " : "");
	return -EINVAL;
}

static int take_option(struct parser *parser, const struct command_option *option, const char *attached,
		       struct error **err)
{
	struct command_line *line = parser->line;
	struct option_value *value = option_values_find(&line->values, option->name);

	if (!option_takes_value(option)) {
		if (attached)
			return error_set(err, EINVAL, "--%s takes no value", option->name);
		attached = "1";
	} else if (!attached) {
		if (!*parser->at)
			return error_set(err, EINVAL, "--%s needs a value%s%s", option->name,
					 option->argument ? ": " : "", option->argument ? option->argument : "");
		attached = *parser->at++;
	}
	return add_value(line->arena, value, VALUE_GIVEN, attached, err);
}

static int take_long(struct parser *parser, const char *word, struct error **err)
{
	const struct command *command = parser->line->command;
	size_t length = strcspn(word, "="), matches;
	const struct command_option *option = command_match_option(command, word, length, &matches);

	if (!option)
		return unknown_option(command, word, length, matches, err);
	return take_option(parser, option, word[length] == '=' ? word + length + 1 : NULL, err);
}

static int take_letters(struct parser *parser, const char *letters, struct error **err)
{
	const struct command *command = parser->line->command;

	for (; *letters; letters++) {
		const struct command_option *option = command_letter_option(command, *letters);
		bool last;
		int r;

		if (!option) {
			error_set(err, EINVAL, "%s has no option \"-%c\"", command_name(command), *letters);
			error_hint(err, "nestvisor %s%s--help lists them", command ? command->name : "",
				   command ? " " : "");
			return -EINVAL;
		}
		last = option_takes_value(option) && letters[1] != '\0';
		r = take_option(parser, option, last ? letters + 1 : NULL, err);
		if (r < 0 || last)
			return r;
	}
	return 0;
}

static size_t operand_limit(const struct command *command, size_t *ret_required)
{
	size_t limit = 0;

	*ret_required = 0;
	for (const struct command_operand *o = command->operands; o && o->name; o++) {
		limit = o->repeated ? SIZE_MAX : limit + 1;
		*ret_required += !o->optional;
	}
	return limit;
}

static int check_operand(const struct command *command, const char *word, size_t index, struct error **err)
{
	const struct command_operand *o = command->operands;
	cleanup_strbuf struct strbuf list = {};
	struct nearest nearest = {.word = word};

	for (; index > 0 && !o->repeated; index--)
		o++;
	if (!o->choices)
		return 0;
	for (const char *const *choice = o->choices; *choice; choice++) {
		if (strcmp(*choice, word) == 0)
			return 0;
		nearest_try(&nearest, *choice);
		strbuf_printf(&list, "%s%s", list.length > 0 ? ", " : "", *choice);
	}
	error_set(err, EINVAL, "%s cannot be \"%s\"", o->name, word);
	if (nearest.name)
		error_hint(err, "did you mean \"%s\"? It is one of: %s", nearest.name, list.text);
	else
		error_hint(err, "it is one of: %s", list.text);
	return -EINVAL;
}

static int take_operand(struct parser *parser, const char *word, struct error **err)
{
	struct command_line *line = parser->line;
	size_t required, limit = operand_limit(line->command, &required);
	cleanup_strbuf struct strbuf usage = {};

	if (line->operand_count < limit) {
		add_word(line->arena, &line->operands, &line->operand_count, word);
		return check_operand(line->command, word, line->operand_count - 1, err);
	}
	error_set(err, EINVAL, "%s does not know what to do with \"%s\"", line->command->name, word);
	command_usage(line->command, &usage);
	error_hint(err, "%s", usage.text);
	return -EINVAL;
}

static void take_rest(struct parser *parser)
{
	struct command_line *line = parser->line;

	while (*parser->at)
		add_word(line->arena, &line->rest, &line->rest_count, *parser->at++);
}

static int take_words(struct parser *parser, struct error **err)
{
	const struct command *command = parser->line->command;
	size_t required, limit = operand_limit(command, &required);
	int r = 0;

	while (r == 0 && *parser->at) {
		const char *word = *parser->at;

		if (!parser->options_ended && strcmp(word, "--") == 0) {
			parser->at++;
			parser->options_ended = true;
			if (command->rest && parser->line->operand_count >= required)
				take_rest(parser);
		} else if (!parser->options_ended && word[0] == '-' && word[1] != '\0') {
			parser->at++;
			r = word[1] == '-' ? take_long(parser, word + 2, err) : take_letters(parser, word + 1, err);
		} else if (command->rest && parser->line->operand_count >= limit) {
			take_rest(parser);
		} else {
			parser->at++;
			r = take_operand(parser, word, err);
		}
	}
	return r;
}

static int check_counts(const struct command_line *line, struct error **err)
{
	const struct command *command = line->command;
	cleanup_strbuf struct strbuf usage = {};
	size_t required;

	operand_limit(command, &required);
	command_usage(command, &usage);
	if (line->operand_count < required)
		error_set(err, EINVAL, "%s needs %s", command->name, command->operands[line->operand_count].name);
	else if (command->rest_required && line->rest_count == 0)
		error_set(err, EINVAL, "%s needs a %s behind --", command->name, command->rest);
	else
		return 0;
	error_hint(err, "%s", usage.text);
	return -EINVAL;
}

static int take_defaults(struct command_line *line, environment_function environment, struct error **err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < line->values.count; i++) {
		struct option_value *value = &line->values.items[i];
		cleanup_strbuf struct strbuf variable = {};
		const char *text = NULL;

		if (value->source != VALUE_UNSET)
			continue;
		if (environment && option_variable(value->option, &variable))
			text = environment(variable.text);
		if (text && *text)
			r = add_value(line->arena, value, VALUE_ENVIRONMENT, text, err);
		else if (value->option->fallback)
			r = add_value(line->arena, value, VALUE_FALLBACK, value->option->fallback, err);
	}
	return r;
}

static void make_values(struct command_line *line)
{
	const struct command_option *option;

	line->values = (struct option_values){0};
	for (size_t i = 0; (option = command_option_at(line->command, i)); i++)
		arena_push(line->arena, line->values.items, line->values.count)->option = option;
}

static int unknown_command(const struct command *const *commands, const char *word, struct error **err)
{
	struct nearest nearest = {.word = word};

	for (; *commands; commands++)
		if (!(*commands)->hidden)
			nearest_try(&nearest, (*commands)->name);
	error_set(err, EINVAL, "there is no command \"%s\"", word);
	if (nearest.name)
		error_hint(err, "did you mean \"%s\"? nestvisor help lists all commands", nearest.name);
	else
		error_hint(err, "nestvisor help lists all commands");
	return -EINVAL;
}

static bool is_set(const struct command_line *line, const char *name)
{
	const struct option_value *value = option_values_find(&line->values, name);

	return value && value->source == VALUE_GIVEN;
}

/* The options before the command; the words they take are read again when the command is known. */
static int take_leading(struct parser *parser, struct error **err)
{
	int r = 0;

	while (r == 0 && *parser->at && (*parser->at)[0] == '-' && (*parser->at)[1]) {
		const char *word = *parser->at++;

		if (strcmp(word, "--") == 0)
			break;
		r = word[1] == '-' ? take_long(parser, word + 2, err) : take_letters(parser, word + 1, err);
	}
	return r;
}

static int take_leading_again(struct command_line *line, const struct option_values *leading, struct error **err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < leading->count; i++) {
		const struct option_value *given = &leading->items[i];
		struct option_value *value = option_values_find(&line->values, given->option->name);

		if (given->source != VALUE_GIVEN || strcmp(given->option->name, "version") == 0)
			continue;
		if (!value)
			return unknown_option(line->command, given->option->name, strlen(given->option->name), 0, err);
		r = add_value(line->arena, value, VALUE_GIVEN, given->texts[given->count - 1], err);
	}
	return r;
}

int command_line_parse(const struct command *const *commands, const char *const *argv, environment_function environment,
		       struct command_line *ret, struct error **err)
{
	struct command_line *line = ret;
	struct parser parser = {.line = line, .at = argv};
	struct option_values leading;
	int r;

	*line = (struct command_line){.arena = arena_new()};
	line->operands = arena_alloc(line->arena, sizeof(*line->operands));
	line->rest = arena_alloc(line->arena, sizeof(*line->rest));
	make_values(line);
	r = take_leading(&parser, err);
	line->help = is_set(line, "help");
	line->version = is_set(line, "version");
	if (r < 0)
		return r;
	if (!*parser.at)
		return take_defaults(line, environment, err);
	leading = line->values;
	line->command = command_find(commands, *parser.at);
	if (!line->command)
		return unknown_command(commands, *parser.at, err);
	parser.at++;
	make_values(line);
	r = take_leading_again(line, &leading, err);
	if (r == 0)
		r = take_words(&parser, err);
	line->help = is_set(line, "help");
	if (line->help) {
		error_free(err ? *err : NULL);
		if (err)
			*err = NULL;
		return take_defaults(line, environment, err);
	}
	if (r == 0)
		r = take_defaults(line, environment, err);
	return r == 0 ? check_counts(line, err) : r;
}

void command_line_clear(struct command_line *line)
{
	arena_free(line->arena);
	*line = (struct command_line){0};
}
