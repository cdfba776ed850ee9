/*
 * Everything that is drawn passes through next_piece(): it takes one character off a text and gives back what may stand
 * for it on a terminal, with its columns. Safety, width and shortening are then three loops over the same function and
 * cannot disagree.
 *
 * The widths follow Unicode 15's East Asian Width (UAX #11) by ranges: W and F are two columns, combining marks and
 * variation selectors none. Where a terminal's own table is older a column may be off; nothing else is.
 */
#include "render/text.h"

#include "base/utf8.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct range {
	uint32_t first, last;
};

/* Characters that show nothing, or change how others are shown. */
static const struct range hidden[] = {
	{0x00, 0x1f},	  {0x7f, 0x9f},	    {0xad, 0xad},     {0x34f, 0x34f},	{0x61c, 0x61c},	    {0x115f, 0x1160},
	{0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},   {0x3164, 0x3164},
	{0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0xfffe, 0xffff}, {0xe0000, 0xe0fff},
};

static const struct range zero_width[] = {
	{0x300, 0x36f},	  {0x483, 0x489},   {0x591, 0x5bd},   {0x5bf, 0x5c7},	{0x610, 0x61a},	  {0x64b, 0x65f},
	{0x6d6, 0x6dc},	  {0x6df, 0x6e4},   {0x6e7, 0x6ed},   {0x900, 0x902},	{0x93c, 0x93c},	  {0x941, 0x948},
	{0x94d, 0x94d},	  {0xe31, 0xe31},   {0xe34, 0xe3a},   {0xe47, 0xe4e},	{0x1ab0, 0x1ace}, {0x1dc0, 0x1dff},
	{0x20d0, 0x20f0}, {0x302a, 0x302d}, {0x3099, 0x309a}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
};

static const struct range two_columns[] = {
	{0x1100, 0x115e},   {0x231a, 0x231b},	{0x2329, 0x232a},   {0x23e9, 0x23ec},	{0x23f0, 0x23f0},
	{0x23f3, 0x23f3},   {0x25fd, 0x25fe},	{0x2614, 0x2615},   {0x2648, 0x2653},	{0x267f, 0x267f},
	{0x2693, 0x2693},   {0x26a1, 0x26a1},	{0x26aa, 0x26ab},   {0x26bd, 0x26be},	{0x26c4, 0x26c5},
	{0x26ce, 0x26ce},   {0x26d4, 0x26d4},	{0x26ea, 0x26ea},   {0x26f2, 0x26f3},	{0x26f5, 0x26f5},
	{0x26fa, 0x26fa},   {0x26fd, 0x26fd},	{0x2705, 0x2705},   {0x270a, 0x270b},	{0x2728, 0x2728},
	{0x274c, 0x274c},   {0x274e, 0x274e},	{0x2753, 0x2755},   {0x2757, 0x2757},	{0x2795, 0x2797},
	{0x27b0, 0x27b0},   {0x27bf, 0x27bf},	{0x2b1b, 0x2b1c},   {0x2b50, 0x2b50},	{0x2b55, 0x2b55},
	{0x2e80, 0x303e},   {0x3041, 0x3247},	{0x3250, 0x4dbf},   {0x4e00, 0xa4cf},	{0xa960, 0xa97f},
	{0xac00, 0xd7a3},   {0xf900, 0xfaff},	{0xfe10, 0xfe19},   {0xfe30, 0xfe6f},	{0xff01, 0xff60},
	{0xffe0, 0xffe6},   {0x16fe0, 0x18cff}, {0x1b000, 0x1b2ff}, {0x1f004, 0x1f004}, {0x1f0cf, 0x1f0cf},
	{0x1f18e, 0x1f18e}, {0x1f191, 0x1f19a}, {0x1f200, 0x1f265}, {0x1f300, 0x1f320}, {0x1f32d, 0x1f335},
	{0x1f337, 0x1f37c}, {0x1f37e, 0x1f393}, {0x1f3a0, 0x1f3ca}, {0x1f3cf, 0x1f3d3}, {0x1f3e0, 0x1f3f0},
	{0x1f3f4, 0x1f3f4}, {0x1f3f8, 0x1f43e}, {0x1f440, 0x1f440}, {0x1f442, 0x1f4fc}, {0x1f4ff, 0x1f53d},
	{0x1f54b, 0x1f54e}, {0x1f550, 0x1f567}, {0x1f57a, 0x1f57a}, {0x1f595, 0x1f596}, {0x1f5a4, 0x1f5a4},
	{0x1f5fb, 0x1f64f}, {0x1f680, 0x1f6c5}, {0x1f6cc, 0x1f6cc}, {0x1f6d0, 0x1f6d2}, {0x1f6d5, 0x1f6d7},
	{0x1f6dc, 0x1f6df}, {0x1f6eb, 0x1f6ec}, {0x1f6f4, 0x1f6fc}, {0x1f7e0, 0x1f7f0}, {0x1f90c, 0x1f93a},
	{0x1f93c, 0x1f945}, {0x1f947, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
};

static bool in_ranges(const struct range *ranges, size_t count, uint32_t c)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (c > ranges[middle].last)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && c >= ranges[low].first;
}

#define in_table(table, c) in_ranges((table), sizeof(table) / sizeof(*(table)), (c))

struct piece {
	char text[12];
	size_t columns;
};

static void next_piece(const char **at, struct piece *ret)
{
	uint32_t c = 0;
	size_t length = utf8_next(*at, 4, &c);

	if (length == 0) {
		snprintf(ret->text, sizeof(ret->text), "\\x%02x", (unsigned char)**at);
		length = 1;
	} else if (c == '\n' || c == '\r' || c == '\t') {
		snprintf(ret->text, sizeof(ret->text), "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
	} else if (in_table(hidden, c)) {
		snprintf(ret->text, sizeof(ret->text), c < 0x80 ? "\\x%02x" : "\\u{%x}", c);
	} else {
		memcpy(ret->text, *at, length);
		ret->text[length] = '\0';
		ret->columns = in_table(zero_width, c) ? 0 : in_table(two_columns, c) ? 2 : 1;
		*at += length;
		return;
	}
	ret->columns = strlen(ret->text);
	*at += length;
}

void text_safe(struct strbuf *out, const char *text, bool keep_lines)
{
	struct piece piece;

	strbuf_add(out, "");
	while (*text) {
		if (keep_lines && *text == '\n') {
			strbuf_add_char(out, *text++);
			continue;
		}
		next_piece(&text, &piece);
		strbuf_add(out, piece.text);
	}
}

json_t *text_json(const char *text)
{
	cleanup_strbuf struct strbuf safe = {};
	json_t *json = text ? json_string(text) : json_null();

	if (json)
		return json;
	text_safe(&safe, text, true);
	return json_string(safe.text);
}

size_t text_width(const char *text)
{
	struct piece piece;
	size_t columns = 0;

	while (*text) {
		next_piece(&text, &piece);
		columns += piece.columns;
	}
	return columns;
}

size_t text_fit(struct strbuf *out, const struct style *style, const char *text, size_t columns)
{
	const char *dots = style->utf8 ? "…" : "...";
	size_t width = text_width(text), dots_width = style->utf8 ? 1 : 3, taken = 0;
	struct piece piece;

	strbuf_add(out, "");
	if (width <= columns) {
		text_safe(out, text, false);
		return width;
	}
	if (columns < dots_width)
		return 0;
	while (*text) {
		next_piece(&text, &piece);
		if (taken + piece.columns > columns - dots_width)
			break;
		strbuf_add(out, piece.text);
		taken += piece.columns;
	}
	strbuf_add(out, dots);
	return taken + dots_width;
}

void text_paint(struct strbuf *out, const struct style *style, enum colour colour, const char *text)
{
	static const char *const codes[] = {"", "1", "2", "31", "32", "33", "34", "36"};

	_Static_assert(sizeof(codes) / sizeof(*codes) == COLOUR_CYAN + 1, "one code for each colour");
	if (!style->colour || colour == COLOUR_NONE || !*text) {
		text_safe(out, text, false);
		return;
	}
	strbuf_printf(out, "\033[%sm", codes[colour]);
	text_safe(out, text, false);
	strbuf_add(out, "\033[0m");
}

/* One paragraph, or one line of it where the text breaks it; *at ends behind it. */
static void fill_paragraph(struct strbuf *out, const char **at, unsigned indent, unsigned columns)
{
	size_t column = 0;

	while (**at && !(**at == '\n' && (*at)[1] == '\n')) {
		size_t length = strcspn(*at, " \n");
		char *word = strndup(*at, length);
		size_t width = word ? text_width(word) : 0;

		if (!word)
			abort();
		if (length > 0) {
			if (column > 0 && column + 1 + width > columns) {
				strbuf_add_char(out, '\n');
				column = 0;
			}
			if (column == 0)
				strbuf_printf(out, "%*s", (int)indent, "");
			else
				strbuf_add_char(out, ' ');
			column = column == 0 ? indent + width : column + 1 + width;
			text_safe(out, word, false);
		}
		free(word);
		*at += length;
		if (**at == ' ' || (**at == '\n' && (*at)[1] != '\n'))
			(*at)++;
	}
	strbuf_add_char(out, '\n');
}

void text_fill(struct strbuf *out, const char *text, unsigned indent, unsigned columns)
{
	strbuf_add(out, "");
	for (bool first = true; *text; first = false) {
		if (!first)
			strbuf_add_char(out, '\n');
		fill_paragraph(out, &text, indent, columns ? columns : 80);
		text += strspn(text, "\n");
	}
}

const char *text_duration(long long ms, char ret[DURATION_TEXT_SIZE])
{
	long long seconds = ms / 1000;

	if (seconds < 60)
		snprintf(ret, DURATION_TEXT_SIZE, "%lld.%llds", seconds, ms % 1000 / 100);
	else if (seconds < 3600)
		snprintf(ret, DURATION_TEXT_SIZE, "%lldm%02llds", seconds / 60, seconds % 60);
	else
		snprintf(ret, DURATION_TEXT_SIZE, "%lldh%02lldm", seconds / 3600, seconds / 60 % 60);
	return ret;
}

/* As systemd decides it: a locale that names its character set is believed, an explicit "C" means ASCII, none at all a
 * modern terminal. */
static bool locale_is_utf8(void)
{
	static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++) {
		const char *value = getenv(variables[i]);

		if (value && *value)
			return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
	}
	return true;
}

struct style style_of(int fd, bool no_colour)
{
	struct style style = {.utf8 = locale_is_utf8()};
	const char *off = getenv("NO_COLOR"), *terminal = getenv("TERM");
	struct winsize size;

	if (!isatty(fd))
		return style;
	style.colour = !no_colour && !(off && *off) && terminal && strcmp(terminal, "dumb") != 0;
	if (ioctl(fd, TIOCGWINSZ, &size) == 0)
		style.columns = size.ws_col;
	return style;
}

const char *text_bytes(uint64_t bytes, char ret[BYTES_TEXT_SIZE])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	uint64_t whole = bytes, rest = 0;
	size_t unit = 0;

	for (; whole >= 1024; unit++) {
		rest = whole % 1024;
		whole /= 1024;
	}
	if (rest * 10 / 1024 > 0)
		snprintf(ret, BYTES_TEXT_SIZE, "%llu.%llu %s", (unsigned long long)whole,
			 (unsigned long long)(rest * 10 / 1024), units[unit]);
	else
		snprintf(ret, BYTES_TEXT_SIZE, "%llu %s", (unsigned long long)whole, units[unit]);
	return ret;
}
