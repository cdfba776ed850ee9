/*
 * Each pattern is looked for in the whole text by its longest literal piece, which memmem(3) finds fast; only where
 * that is there its line is looked at. The places that were found are then put into order, which also settles which of
 * several patterns counts for a line, and lines are counted on the way from one to the next.
 */
#include "facts/logs.h"

#include "base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const struct log_pattern patterns[] = {
#include "facts/log_list.h"
};
static const size_t pattern_count = sizeof(patterns) / sizeof(*patterns);

const struct log_pattern *log_patterns(size_t *ret_count)
{
	*ret_count = pattern_count;
	return patterns;
}

struct piece {
	const char *at;
	size_t length;
};

struct place {
	size_t line_at; /* where the line begins */
	size_t pattern;
};

struct places {
	struct place *items;
	size_t count, size;
};

/* Takes the next piece of a text up to a separator; false behind the last one. */
static bool next_piece(struct piece *rest, char separator, struct piece *ret)
{
	const char *end;

	if (!rest->at)
		return false;
	end = memchr(rest->at, separator, rest->length);
	*ret = (struct piece){rest->at, end ? (size_t)(end - rest->at) : rest->length};
	if (end)
		*rest = (struct piece){end + 1, rest->length - ret->length - 1};
	else
		*rest = (struct piece){0};
	return true;
}

static struct piece longest_piece(struct piece match)
{
	struct piece piece, longest = {0};

	while (next_piece(&match, '*', &piece))
		if (piece.length > longest.length)
			longest = piece;
	return longest;
}

/* All pieces, in their order, in one line. */
static bool fits(struct piece match, const char *line, size_t length)
{
	struct piece piece;

	while (next_piece(&match, '*', &piece)) {
		const char *at;

		if (piece.length == 0)
			continue;
		at = memmem(line, length, piece.at, piece.length);
		if (!at)
			return false;
		length -= (size_t)(at - line) + piece.length;
		line = at + piece.length;
	}
	return true;
}

static void add_place(struct places *places, size_t line_at, size_t pattern)
{
	if (places->count == places->size) {
		size_t size = places->size ? 2 * places->size : 64;
		struct place *items = reallocarray(places->items, size, sizeof(*items));

		if (!items)
			abort();
		places->items = items;
		places->size = size;
	}
	places->items[places->count++] = (struct place){line_at, pattern};
}

static size_t line_end(const char *text, size_t length, size_t at)
{
	const char *end = memchr(text + at, '\n', length - at);

	return end ? (size_t)(end - text) : length;
}

static void find_places(const char *text, size_t length, struct piece match, size_t pattern, struct places *places)
{
	struct piece anchor = longest_piece(match);
	size_t at = 0;

	while (at < length) {
		const char *hit = memmem(text + at, length - at, anchor.at, anchor.length), *begin;
		size_t line_at, end;

		if (!hit)
			return;
		begin = memrchr(text, '\n', (size_t)(hit - text));
		line_at = begin ? (size_t)(begin - text) + 1 : 0;
		end = line_end(text, length, (size_t)(hit - text));
		if (fits(match, text + line_at, end - line_at))
			add_place(places, line_at, pattern);
		at = end; /* one match a line is enough */
	}
}

static int compare_places(const void *a, const void *b)
{
	const struct place *left = a, *right = b;

	if (left->line_at != right->line_at)
		return left->line_at < right->line_at ? -1 : 1;
	return left->pattern == right->pattern ? 0 : left->pattern < right->pattern ? -1 : 1;
}

size_t log_scan(const char *text, size_t length, unsigned where,
		void (*found)(const struct log_match *match, void *data), void *data)
{
	struct places places = {0};
	cleanup_free struct place *items = NULL;
	size_t line = 1, counted_to = 0, count = 0, last = SIZE_MAX;

	for (size_t i = 0; i < pattern_count; i++) {
		struct piece rest = {patterns[i].match, strlen(patterns[i].match)}, match;

		while ((patterns[i].where & where) && next_piece(&rest, '|', &match))
			find_places(text, length, match, i, &places);
	}
	items = places.items;
	if (places.count)
		qsort(items, places.count, sizeof(*items), compare_places);
	for (size_t i = 0; i < places.count; i++) {
		size_t end;

		if (items[i].line_at == last)
			continue;
		last = items[i].line_at;
		for (const char *at; (at = memchr(text + counted_to, '\n', last - counted_to));
		     counted_to = (size_t)(at - text) + 1)
			line++;
		end = line_end(text, length, last);
		if (end > last && text[end - 1] == '\r')
			end--;
		found(&(struct log_match){&patterns[items[i].pattern], line, text + last, end - last}, data);
		count++;
	}
	return count;
}

static void take_pattern(const struct log_match *match, void *data)
{
	const struct log_pattern **pattern = data;

	if (!*pattern)
		*pattern = match->pattern;
}

const struct log_pattern *log_match_line(const char *line, size_t length, unsigned where)
{
	const struct log_pattern *pattern = NULL;

	log_scan(line, length, where, take_pattern, &pattern);
	return pattern;
}

void log_clean_line(const char *line, size_t length, char *ret, size_t size)
{
	const char *end = line + length;
	size_t n = 0;

	for (; line < end && n + 1 < size; line++) {
		unsigned char c = (unsigned char)*line;

		/* ECMA-48, 5.4: parameters end with a byte of 0x40 to 0x7e */
		if (c == '\033' && line + 1 < end && line[1] == '[') {
			for (line += 2; line < end && !(*line >= '@' && *line <= '~'); line++)
				;
			if (line >= end)
				break;
		} else if (c >= ' ' && c < 0x7f) {
			ret[n++] = *line;
		} else if (c >= 0x80) {
			ret[n++] = '?';
		}
	}
	while (n && ret[n - 1] == ' ')
		n--;
	ret[n] = '\0';
}
