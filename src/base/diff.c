/*
 * Myers' greedy algorithm. The texts are lists of lines; a way from (0, 0) to (n, m) goes right (a line of `from` is
 * removed), down (a line of `to` is added) or diagonally (both lines are the same), and the shortest edit has the
 * fewest steps that are not diagonal. For d = 0, 1, 2, … the furthest point on each diagonal k = x - y that d steps
 * reach is computed from those of d - 1; all of them are kept, so that the way can be walked back. Ways may leave the
 * field at its right or lower side: they never come back, and whoever reached the corner stayed inside.
 */
#include "base/diff.h"

#include "base/arena.h"
#include "base/strbuf.h"

#include <string.h>

/* Beyond so many changes the rows (of 2 d + 1 numbers each) would take more than 8 MiB. */
enum { STEPS_MAX = 1000 };

struct line {
	const char *at;
	size_t length; /* with its end */
};

struct lines {
	struct line *at;
	size_t count;
};

struct comparison {
	struct arena *arena;
	struct lines from, to;
	bool *removed, *added; /* by line */
};

static struct lines split(struct arena *arena, const struct diff_side *side)
{
	struct lines lines = {};

	for (size_t at = 0; at < side->length;) {
		const char *start = side->text + at, *end = memchr(start, '\n', side->length - at);
		size_t length = end ? (size_t)(end - start) + 1 : side->length - at;

		*arena_push(arena, lines.at, lines.count) = (struct line){start, length};
		at += length;
	}
	return lines;
}

static bool same(const struct comparison *c, size_t x, size_t y)
{
	const struct line *a = &c->from.at[x], *b = &c->to.at[y];

	return a->length == b->length && memcmp(a->at, b->at, a->length) == 0;
}

/* The part that is looked at: without the equal lines at both ends. */
struct part {
	size_t from, to; /* where it begins */
	long n, m;	 /* how many lines */
};

static struct part differing_part(const struct comparison *c)
{
	size_t start = 0, from_end = c->from.count, to_end = c->to.count;

	while (start < from_end && start < to_end && same(c, start, start))
		start++;
	while (from_end > start && to_end > start && same(c, from_end - 1, to_end - 1)) {
		from_end--;
		to_end--;
	}
	return (struct part){start, start, (long)(from_end - start), (long)(to_end - start)};
}

/* Does the furthest way with d steps come to diagonal k from the one above it, by going down? */
static bool goes_down(const long *row, long d, long k)
{
	return k == -d || (k != d && row[k - 1] < row[k + 1]);
}

/* From the end of the way to its beginning: rows[d] is what d steps reached, its middle is diagonal 0. */
static void walk_back(struct comparison *c, const struct part *part, long **rows, long d)
{
	long x = part->n, y = part->m;

	for (; d > 0; d--) {
		const long *before = rows[d - 1];
		long k = x - y;
		bool down = goes_down(before, d, k);
		long came = down ? k + 1 : k - 1, from_x = before[came], from_y = from_x - came;

		if (down)
			c->added[part->to + (size_t)from_y] = true;
		else
			c->removed[part->from + (size_t)from_x] = true;
		x = from_x;
		y = from_y;
	}
}

static bool find_shortest(struct comparison *c, const struct part *part)
{
	long most = part->n + part->m < STEPS_MAX ? part->n + part->m : STEPS_MAX;
	long **rows = arena_alloc(c->arena, (size_t)(most + 1) * sizeof(*rows));

	for (long d = 0; d <= most; d++) {
		long *row = (long *)arena_alloc(c->arena, (size_t)(2 * d + 1) * sizeof(*row)) + d;

		rows[d] = row;
		for (long k = -d; k <= d; k += 2) {
			long x = d == 0				? 0
				 : goes_down(rows[d - 1], d, k) ? rows[d - 1][k + 1]
								: rows[d - 1][k - 1] + 1;
			long y = x - k;

			while (x < part->n && y < part->m && same(c, part->from + (size_t)x, part->to + (size_t)y)) {
				x++;
				y++;
			}
			row[k] = x;
			if (x == part->n && y == part->m) {
				walk_back(c, part, rows, d);
				return true;
			}
		}
	}
	return false;
}

static void compare(struct comparison *c)
{
	struct part part = differing_part(c);

	c->removed = arena_alloc(c->arena, c->from.count + 1);
	c->added = arena_alloc(c->arena, c->to.count + 1);
	if (find_shortest(c, &part))
		return;
	memset(c->removed + part.from, true, (size_t)part.n);
	memset(c->added + part.to, true, (size_t)part.m);
}

static void add_line(struct strbuf *out, char mark, const struct line *line)
{
	strbuf_add_char(out, mark);
	strbuf_add_bytes(out, line->at, line->length);
	if (line->at[line->length - 1] != '\n')
		strbuf_add(out, "\n\\ No newline at end of file\n");
}

/* "12,3"; a count of one is left out, and an empty range names the line before it. */
static void add_range(struct strbuf *out, char mark, size_t start, size_t count)
{
	strbuf_printf(out, " %c%zu", mark, count == 0 ? start : start + 1);
	if (count != 1)
		strbuf_printf(out, ",%zu", count);
}

/* Where a hunk begins and ends, in lines of both. */
struct hunk {
	size_t from, to, from_end, to_end;
};

/* The next change at or behind (x, y), which are equal lines' places; false at the end. */
static bool next_change(const struct comparison *c, size_t *x, size_t *y)
{
	while (*x < c->from.count && *y < c->to.count && !c->removed[*x] && !c->added[*y]) {
		++*x;
		++*y;
	}
	return *x < c->from.count || *y < c->to.count;
}

static void pass_change(const struct comparison *c, size_t *x, size_t *y)
{
	while (*x < c->from.count && c->removed[*x])
		++*x;
	while (*y < c->to.count && c->added[*y])
		++*y;
}

/* A change and all that follow it so closely that their contexts touch. */
static bool next_hunk(const struct comparison *c, size_t context, size_t *x, size_t *y, struct hunk *ret)
{
	size_t next_x, next_y, before;

	if (!next_change(c, x, y))
		return false;
	before = *x - ret->from_end < context ? *x - ret->from_end : context;
	ret->from = *x - before;
	ret->to = *y - before;
	for (;;) {
		pass_change(c, x, y);
		next_x = *x;
		next_y = *y;
		if (!next_change(c, &next_x, &next_y) || next_x - *x > 2 * context)
			break;
		*x = next_x;
		*y = next_y;
	}
	ret->from_end = *x + context < c->from.count ? *x + context : c->from.count;
	ret->to_end = *y + (ret->from_end - *x);
	return true;
}

static void add_hunk(struct strbuf *out, const struct comparison *c, const struct hunk *hunk)
{
	size_t x = hunk->from, y = hunk->to;

	strbuf_add(out, "@@");
	add_range(out, '-', hunk->from, hunk->from_end - hunk->from);
	add_range(out, '+', hunk->to, hunk->to_end - hunk->to);
	strbuf_add(out, " @@\n");
	while (x < hunk->from_end || y < hunk->to_end) {
		if (x < hunk->from_end && c->removed[x]) {
			add_line(out, '-', &c->from.at[x++]);
		} else if (y < hunk->to_end && c->added[y]) {
			add_line(out, '+', &c->to.at[y++]);
		} else {
			add_line(out, ' ', &c->from.at[x++]);
			y++;
		}
	}
}

bool diff_unified(struct strbuf *out, const struct diff_side *from, const struct diff_side *to, size_t context)
{
	cleanup_arena struct arena *arena = arena_new();
	struct comparison c = {.arena = arena, .from = split(arena, from), .to = split(arena, to)};
	struct hunk hunk = {};
	size_t x = 0, y = 0;

	if (from->length == to->length && (from->length == 0 || memcmp(from->text, to->text, from->length) == 0))
		return false;
	compare(&c);
	strbuf_printf(out, "--- %s\n+++ %s\n", from->name, to->name);
	while (next_hunk(&c, context, &x, &y, &hunk))
		add_hunk(out, &c, &hunk);
	return true;
}
