#include "facts/ini.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

/*
 * Reading. The grammar is that of WSL's own parser; see ini.h.
 */

struct scanner {
	struct ini *ini;
	size_t at;
	uint32_t line;
	const char *section;
	bool stopped; /* WSL reads no further */
	const char *stop_reason;
};

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name(char c)
{
	return is_letter(c) || (c >= '0' && c <= '9');
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* The character at an offset; a newline behind the end, where every line ends. */
static char at(const struct ini *ini, size_t offset)
{
	return offset < ini->length ? ini->text[offset] : '\n';
}

static bool ends_line(char c)
{
	return c == '\n' || c == '\r';
}

static size_t skip_spaces(const struct ini *ini, size_t offset)
{
	while (is_space(at(ini, offset)))
		offset++;
	return offset;
}

static size_t skip_name(const struct ini *ini, size_t offset)
{
	while (is_name(at(ini, offset)))
		offset++;
	return offset;
}

/* Behind the end of the line that goes on at `offset`. */
static size_t line_end(const struct ini *ini, size_t offset)
{
	while (offset < ini->length && !ends_line(ini->text[offset]))
		offset++;
	if (offset < ini->length && ini->text[offset] == '\r')
		offset++;
	if (offset < ini->length && ini->text[offset] == '\n')
		offset++;
	return offset;
}

static const char *copy(const struct ini *ini, size_t start, size_t end)
{
	return arena_strndup(ini->arena, ini->text + start, end - start);
}

static const char *invalid(struct ini_item *item, const char *why)
{
	item->kind = INI_INVALID;
	return item->ignored = why;
}

/* "[section]". One that WSL does not understand still cuts the name of the section it is in: then nothing below counts.
 */
static void scan_section(struct scanner *scanner, struct ini_item *item, size_t offset)
{
	struct ini *ini = scanner->ini;
	size_t name = offset + 1, end = skip_name(ini, name), rest;

	if (!is_letter(at(ini, name))) {
		invalid(item, "a section's name begins with a letter, right behind the bracket");
		return;
	}
	rest = at(ini, end) == ']' ? skip_spaces(ini, end + 1) : end;
	if (at(ini, end) != ']')
		invalid(item, "a section's name has letters and digits only, and ends with ]");
	else if (!ends_line(at(ini, rest)) && at(ini, rest) != '#')
		invalid(item, "behind a section's name only a comment with # may stand");
	if (item->kind == INI_INVALID) {
		size_t kept = strlen(scanner->section);

		scanner->section = end - name < kept ? "" : copy(ini, name, name + kept);
		return;
	}
	item->kind = INI_SECTION;
	scanner->section = copy(ini, name, end);
}

/* One escaped character: how many bytes of the text it takes, 0 where it is none. */
static size_t scan_escape(const struct ini *ini, size_t offset, struct strbuf *value, uint32_t *line)
{
	char c = offset + 1 < ini->length ? ini->text[offset + 1] : '\0';

	switch (c) {
	case '\\':
	case '"':
		strbuf_add_char(value, c);
		return 2;
	case 'b':
		strbuf_add_char(value, '\b');
		return 2;
	case 'n':
		strbuf_add_char(value, '\n');
		return 2;
	case 't':
		strbuf_add_char(value, '\t');
		return 2;
	case '\r':
		/* Linux does not take it for part of the line's end: it is passed over, and the line ends behind it. */
		if (ini->reader == INI_WSLCONF)
			return 2;
		/* fall through */
	case '\n':
		++*line;
		return line_end(ini, offset + 1) - offset;
	default:
		return 0;
	}
}

/* The value from `offset` on. Where it ends in the text comes back; *ret_why is set where WSL takes the line for
 * invalid. */
static size_t scan_value(struct scanner *scanner, size_t offset, struct strbuf *value, size_t *ret_trimmed,
			 const char **ret_why)
{
	struct ini *ini = scanner->ini;
	bool quoted = false;
	size_t trimmed = 0;

	*ret_trimmed = offset;
	while (offset < ini->length && !ends_line(ini->text[offset])) {
		char c = ini->text[offset];
		size_t taken = 1;

		if (c == '#' && !quoted)
			break;
		if (c == '\\') {
			taken = scan_escape(ini, offset, value, &scanner->line);
			if (taken == 0) {
				*ret_why = "a backslash stands before a character that needs none: write \\\\ for it";
				return offset;
			}
		} else if (c == '"') {
			quoted = !quoted;
		} else {
			strbuf_add_char(value, c);
		}
		offset += taken;
		if (!is_space(c)) {
			trimmed = value->length;
			*ret_trimmed = offset;
		}
	}
	if (quoted)
		*ret_why = "a quote is not closed";
	value->length = trimmed;
	return offset;
}

static void scan_setting(struct scanner *scanner, struct ini_item *item, size_t offset)
{
	struct ini *ini = scanner->ini;
	size_t key_end = skip_name(ini, offset), equals = skip_spaces(ini, key_end);
	cleanup_strbuf struct strbuf value = {};
	const char *why = NULL;

	if (at(ini, equals) != '=') {
		invalid(item,
			"a line is a [section], \"key=value\" with a key of letters and digits, or a comment with #");
		return;
	}
	item->kind = INI_SETTING;
	item->key = copy(ini, offset, key_end);
	item->value = skip_spaces(ini, equals + 1);
	item->end = scan_value(scanner, item->value, &value, &item->value_end, &why);
	item->text = arena_strndup(ini->arena, value.text ? value.text : "", value.length);
	if (why)
		invalid(item, why);
}

static void scan_item(struct scanner *scanner, struct ini_item *item)
{
	struct ini *ini = scanner->ini;
	size_t offset = skip_spaces(ini, item->start);
	char c = at(ini, offset);

	item->end = offset;
	if (ends_line(c))
		item->kind = INI_BLANK;
	else if (c == '#')
		item->kind = INI_COMMENT;
	else if (c == '[')
		scan_section(scanner, item, offset);
	else if (is_letter(c))
		scan_setting(scanner, item, offset);
	else
		invalid(item, c == ';' ? "WSL knows comments with # only" : "a key begins with a letter");
	item->end = line_end(ini, item->end);
}

static bool is_setting(const struct ini_item *item, const char *section, const char *key)
{
	return item->kind == INI_SETTING && strcasecmp(item->section, section) == 0 && strcasecmp(item->key, key) == 0;
}

static const struct ini_item *first_of(const struct ini *ini, const struct ini_item *item)
{
	for (size_t i = 0; i < ini->item_count; i++)
		if (!ini->items[i].ignored && is_setting(&ini->items[i], item->section, item->key))
			return &ini->items[i];
	return NULL;
}

/* Why WSL does not take a setting that is written as it should be. */
static const char *why_ignored(const struct scanner *scanner, const struct ini_item *item)
{
	const struct ini *ini = scanner->ini;
	const struct ini_item *first;

	if (ini->unreadable)
		return ini->unreadable;
	if (scanner->stopped)
		return scanner->stop_reason;
	if (!*item->section)
		return "it stands in no section";
	first = first_of(ini, item);
	return first ? arena_printf(ini->arena, "line %u has set it already, and the first counts", first->line) : NULL;
}

static void stop(struct scanner *scanner, const struct ini_item *item)
{
	struct ini *ini = scanner->ini;

	if (ini->reader != INI_WSLCONF || scanner->stopped)
		return;
	scanner->stopped = true;
	scanner->stop_reason = arena_printf(
		ini->arena, "WSL reads this file only to line %u, which it does not understand", item->line);
}

static const char *why_unreadable(const struct ini *ini)
{
	switch (ini->encoding) {
	case TEXT_UTF8_MARKED:
		return ini->reader == INI_WSLCONF ? "WSL reads nothing of this file: it begins with a byte order mark"
						  : NULL;
	case TEXT_UTF16_LITTLE:
		return ini->reader == INI_WSLCONF ? "WSL reads nothing of this file: it is UTF-16" : NULL;
	case TEXT_UTF16_BIG:
		return "WSL reads nothing of this file: it is UTF-16 in big endian";
	case TEXT_UTF8:
		break;
	}
	return NULL;
}

static void scan(struct ini *ini)
{
	struct scanner scanner = {.ini = ini, .section = ""};
	size_t crlf = 0, lines = 0;

	ini->items = NULL;
	ini->item_count = 0;
	ini->unreadable = why_unreadable(ini);
	while (scanner.at < ini->length) {
		struct ini_item item = {.start = scanner.at, .line = ++scanner.line};

		scan_item(&scanner, &item);
		item.section = scanner.section;
		if (item.kind == INI_SETTING)
			item.ignored = why_ignored(&scanner, &item);
		else if (item.kind == INI_INVALID)
			stop(&scanner, &item);
		*arena_push(ini->arena, ini->items, ini->item_count) = item;
		scanner.at = item.end;
		lines++;
		crlf += item.end - item.start >= 2 && memcmp(ini->text + item.end - 2, "\r\n", 2) == 0;
	}
	/* An empty file gets the ends that its system is used to. */
	ini->crlf = lines > 0 ? 2 * crlf > lines : ini->reader == INI_WSLCONFIG;
}

static struct ini *ini_new(struct arena *arena, enum ini_reader reader, enum text_encoding encoding)
{
	struct ini *ini = arena_new_struct(arena, struct ini);

	ini->arena = arena;
	ini->reader = reader;
	ini->encoding = encoding;
	return ini;
}

struct ini *ini_parse_clean(struct arena *arena, enum ini_reader reader, enum text_encoding encoding, const char *text,
			    size_t length)
{
	struct ini *ini = ini_new(arena, reader, encoding);

	ini->text = arena_strndup(arena, text, length);
	ini->length = strlen(ini->text);
	scan(ini);
	return ini;
}

int ini_parse(struct arena *arena, enum ini_reader reader, const char *data, size_t length, struct ini **ret,
	      struct error **err)
{
	struct ini *ini = ini_new(arena, reader, text_encoding(data, length));
	bool wide = ini->encoding == TEXT_UTF16_LITTLE || ini->encoding == TEXT_UTF16_BIG;
	size_t mark = wide ? 2 : ini->encoding == TEXT_UTF8_MARKED ? 3 : 0, again;
	char *encoded;

	if (wide) {
		ini->text = text_from_utf16(arena, data + mark, length - mark, ini->encoding == TEXT_UTF16_BIG,
					    &ini->length);
	} else {
		ini->length = length - mark;
		ini->text = arena_alloc(arena, ini->length + 1);
		memcpy(ini->text, data + mark, ini->length);
	}
	scan(ini);
	encoded = ini_encode(ini, &again);
	if (again != length || memcmp(encoded, data, length) != 0)
		return error_set(err, EILSEQ, "it begins like UTF-16, but what follows is none");
	*ret = ini;
	return 0;
}

const struct ini_item *ini_find(const struct ini *ini, const char *section, const char *key)
{
	struct ini_item wanted = {.section = section, .key = key};

	return first_of(ini, &wanted);
}

/*
 * Editing: the text is cut at an offset and scanned anew.
 */

static void splice(struct ini *ini, size_t start, size_t end, const char *text)
{
	size_t length = strlen(text), rest = ini->length - end;
	char *new = arena_alloc(ini->arena, start + length + rest + 1);

	memcpy(new, ini->text, start);
	memcpy(new + start, text, length);
	memcpy(new + start + length, ini->text + end, rest);
	ini->text = new;
	ini->length = start + length + rest;
	scan(ini);
}

/* A value as it has to stand in the file. */
static const char *write_value(const struct ini *ini, const char *value)
{
	size_t length = strlen(value);
	bool quote = strchr(value, '#') || (length > 0 && (is_space(value[0]) || is_space(value[length - 1])));
	cleanup_strbuf struct strbuf out = {};

	if (quote)
		strbuf_add_char(&out, '"');
	for (; *value; value++) {
		const char *escaped = strchr("\\\"\n\b", *value);

		if (escaped)
			strbuf_add_char(&out, '\\');
		strbuf_add_char(&out, *value == '\n' ? 'n' : *value == '\b' ? 'b' : *value);
	}
	if (quote)
		strbuf_add_char(&out, '"');
	return arena_strdup(ini->arena, out.text ? out.text : "");
}

/* The last line of the first section of this name that says something; NULL: there is no such section. */
static const struct ini_item *last_of_section(const struct ini *ini, const char *section)
{
	const struct ini_item *last = NULL;

	for (size_t i = 0; i < ini->item_count; i++) {
		const struct ini_item *item = &ini->items[i];

		if (last && item->kind == INI_SECTION)
			break;
		if (item->kind == INI_INVALID && (last || ini->reader == INI_WSLCONF))
			break;
		if ((item->kind == INI_SECTION || (last && item->kind == INI_SETTING)) &&
		    strcasecmp(item->section, section) == 0)
			last = item;
	}
	return last;
}

static bool ends_with_newline(const struct ini *ini, size_t end)
{
	return end == 0 || ends_line(ini->text[end - 1]);
}

/* Does the line that ends here take the next one with it? */
static bool goes_on(const struct ini *ini, size_t end)
{
	size_t backslashes = 0;

	while (end > 0 && ends_line(ini->text[end - 1]))
		end--;
	while (end > backslashes && ini->text[end - 1 - backslashes] == '\\')
		backslashes++;
	return backslashes % 2 == 1;
}

static bool is_read_to_the_end(const struct ini *ini)
{
	for (size_t i = 0; i < ini->item_count && ini->reader == INI_WSLCONF; i++)
		if (ini->items[i].kind == INI_INVALID)
			return false;
	return true;
}

static void add_setting(struct ini *ini, const char *section, const char *key, const char *value)
{
	const struct ini_item *last = last_of_section(ini, section);
	const char *newline = ini->crlf ? "\r\n" : "\n";
	bool to_end = last || is_read_to_the_end(ini);
	size_t offset = last ? last->end : to_end ? ini->length : 0;
	bool blank = ini->item_count > 0 && ini->items[ini->item_count - 1].kind != INI_BLANK;
	cleanup_strbuf struct strbuf text = {};

	if (!ends_with_newline(ini, offset))
		strbuf_add(&text, newline);
	if (goes_on(ini, offset))
		strbuf_add(&text, newline);
	if (!last)
		strbuf_printf(&text, "%s[%s]%s", to_end && blank ? newline : "", section, newline);
	strbuf_printf(&text, "%s=%s%s%s", key, value, newline, to_end ? "" : newline);
	splice(ini, offset, offset, text.text);
}

int ini_set(struct ini *ini, const char *section, const char *key, const char *value, struct error **err)
{
	const struct ini_item *item = ini_find(ini, section, key);
	const char *written = write_value(ini, value);

	if (item && strcmp(item->text, value) == 0)
		return 0;
	if (item)
		splice(ini, item->value, item->value_end, written);
	else
		add_setting(ini, section, key, written);
	item = ini_find(ini, section, key);
	if (item && strcmp(item->text, value) == 0)
		return 0;
	return error_set(err, EINVAL, "%s",
			 ini->unreadable ? ini->unreadable : "the value cannot be written so that WSL reads it");
}

bool ini_remove(struct ini *ini, const char *section, const char *key)
{
	bool found = false;

	for (size_t i = 0; i < ini->item_count;) {
		if (is_setting(&ini->items[i], section, key)) {
			splice(ini, ini->items[i].start, ini->items[i].end, "");
			found = true;
			i = 0;
		} else {
			i++;
		}
	}
	return found;
}

bool ini_make_readable(struct ini *ini)
{
	if (!ini->unreadable)
		return false;
	ini->encoding = TEXT_UTF8;
	scan(ini);
	return true;
}

char *ini_encode(const struct ini *ini, size_t *ret_length)
{
	static const struct {
		const char *bytes;
		size_t length;
	} marks[] = {
		[TEXT_UTF8] = {"", 0},
		[TEXT_UTF8_MARKED] = {"\xef\xbb\xbf", 3},
		[TEXT_UTF16_LITTLE] = {"\xff\xfe", 2},
		[TEXT_UTF16_BIG] = {"\xfe\xff", 2},
	};
	size_t mark = marks[ini->encoding].length, length = ini->length;
	const char *body = ini->text;
	char *data;

	if (ini->encoding == TEXT_UTF16_LITTLE || ini->encoding == TEXT_UTF16_BIG)
		body = text_to_utf16(ini->arena, ini->text, ini->length, ini->encoding == TEXT_UTF16_BIG, &length);
	data = arena_alloc(ini->arena, mark + length + 1);
	memcpy(data, marks[ini->encoding].bytes, mark);
	memcpy(data + mark, body, length);
	*ret_length = mark + length;
	return data;
}
