/*
 * Reads which sources are behind which interface, as fffuu writes it: entries "NAME = [ITEM, …]" or
 * "NAME = all_but_those_ips [ITEM, …]", over several lines or on one; an item is an address, a prefix, or a range
 * "10.0.0.1-10.0.0.9". "#" begins a comment.
 */
#include "verify/reach.h"

#include "base/arena.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

struct reader {
	const char *path, *at;
	unsigned line;
	struct arena *arena;
	struct error **err;
};

static void skip_space(struct reader *reader)
{
	for (;; reader->at++) {
		if (*reader->at == '#')
			reader->at += strcspn(reader->at, "\n");
		if (*reader->at == '\n')
			reader->line++;
		else if (!*reader->at || !strchr(" \t\r", *reader->at))
			return;
	}
}

static int expected(struct reader *reader, const char *what)
{
	return error_set(reader->err, EINVAL, "%s:%u: %s expected before \"%.*s\"", reader->path, reader->line, what,
			 (int)strcspn(reader->at, "\n"), reader->at);
}

static bool take(struct reader *reader, const char *word)
{
	skip_space(reader);
	if (strncmp(reader->at, word, strlen(word)) != 0)
		return false;
	reader->at += strlen(word);
	return true;
}

static char *take_word(struct reader *reader, const char *stops)
{
	const char *start;

	skip_space(reader);
	start = reader->at;
	reader->at += strcspn(start, stops);
	return arena_strndup(reader->arena, start, (size_t)(reader->at - start));
}

static int read_item(struct reader *reader, struct reach_interface *interface)
{
	char *first = take_word(reader, " \t\r\n,]"), *last = strchr(first, '-');
	struct reach_sources *sources;
	struct prefix from, to;
	struct interval interval;

	if (last)
		*last++ = '\0';
	if (!prefix_parse(first, &from) || (last && (!prefix_parse(last, &to) || from.ip.family != to.ip.family)))
		return expected(reader, "an address, a prefix or a range");
	interval = interval_of_prefix(&from);
	if (last)
		interval.last = interval_of_prefix(&to).last;
	sources = &interface->sources[from.ip.family == AF_INET6];
	*arena_push(reader->arena, sources->intervals, sources->count) = interval;
	return 0;
}

static int read_interface(struct reader *reader, struct reach_interface *interface)
{
	*interface = (struct reach_interface){.name = take_word(reader, " \t\r\n=")};
	if (!*interface->name || strlen(interface->name) > 15)
		return expected(reader, "the name of an interface");
	if (!take(reader, "="))
		return expected(reader, "\"=\"");
	interface->all_but = take(reader, "all_but_those_ips");
	if (!take(reader, "["))
		return expected(reader, "\"[\"");
	while (!take(reader, "]")) {
		int result = read_item(reader, interface);

		if (result < 0)
			return result;
		take(reader, ",");
	}
	return 0;
}

int reach_read_interfaces(const char *path, const char *text, struct arena *arena, struct reach_interface **ret,
			  size_t *ret_count, struct error **err)
{
	struct reader reader = {path, text, 1, arena, err};

	*ret = NULL;
	*ret_count = 0;
	for (skip_space(&reader); *reader.at; skip_space(&reader)) {
		int result = read_interface(&reader, arena_push(arena, *ret, *ret_count));

		if (result < 0)
			return result;
	}
	return 0;
}
