/*
 * libFuzzer over the files of WSL. Beyond not crashing: what was read is written back byte by byte, the lines are all
 * of the text, a key that is set has its value from then on, one that is removed has none, and what counted before of
 * all other keys still does.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "facts/ini.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Noreturn void fail(const char *what, const struct ini *ini)
{
	fprintf(stderr, "%s:\n%.*s\n", what, (int)ini->length, ini->text);
	abort();
}

/* Each line begins where the one before ends, and the last ends with the text. */
static void check_items(const struct ini *ini)
{
	size_t at = 0;

	for (size_t i = 0; i < ini->item_count; i++) {
		const struct ini_item *item = &ini->items[i];

		if (item->start != at || item->end <= at || item->end > ini->length)
			fail("lines that are not side by side", ini);
		if (item->kind == INI_SETTING && (item->value < item->start || item->value_end < item->value ||
						  item->value_end > item->end || !item->key || !item->text))
			fail("a value that is not in its line", ini);
		if ((item->kind == INI_INVALID) != (item->ignored != NULL) && item->kind != INI_SETTING)
			fail("an invalid line without a reason", ini);
		at = item->end;
	}
	if (at != ini->length)
		fail("text behind the last line", ini);
}

static void check_written(struct arena *arena, const struct ini *ini)
{
	cleanup_error struct error *err = NULL;
	struct ini *again;
	size_t length, again_length;
	char *data = ini_encode(ini, &length), *again_data;

	if (ini_parse(arena, ini->reader, data, length, &again, &err) < 0)
		fail("what is written cannot be read", ini);
	again_data = ini_encode(again, &again_length);
	if (again_length != length || memcmp(data, again_data, length) != 0)
		fail("what is written comes back different", ini);
}

/* What counts in `before` counts in `after`, but for one key. */
static void check_others(const struct ini *before, const struct ini *after, const char *section, const char *key)
{
	for (size_t i = 0; i < before->item_count; i++) {
		const struct ini_item *item = &before->items[i], *found;

		if (item->kind != INI_SETTING || item->ignored ||
		    (strcasecmp(item->section, section) == 0 && strcasecmp(item->key, key) == 0))
			continue;
		found = ini_find(after, item->section, item->key);
		if (!found || strcmp(found->text, item->text) != 0) {
			fprintf(stderr, "[%s] %s=%s is gone\n", item->section, item->key, item->text);
			fail("another key changed", after);
		}
	}
}

static void check_edit(struct arena *arena, struct ini *ini, const char *section, const char *key, const char *value)
{
	struct ini before = *ini;

	if (ini_set(ini, section, key, value, NULL) < 0) {
		if (!ini->unreadable)
			fail("a key that cannot be set", ini);
		return;
	}
	check_items(ini);
	check_others(&before, ini, section, key);
	check_written(arena, ini);
	before = *ini;
	if (ini_set(ini, section, key, value, NULL) < 0 || ini->text != before.text)
		fail("set twice it changes twice", ini);
	if (!ini_remove(ini, section, key) || ini_find(ini, section, key))
		fail("a key that cannot be removed", ini);
	check_items(ini);
	check_others(&before, ini, section, key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		const char *section, *key, *value;
	} edits[] = {{"wsl2", "networkingMode", "mirrored"},
		     {"experimental", "ignoredPorts", "53,67"},
		     {"boot", "command", " a \"b\" \\ # c\n"},
		     {"general", "x", ""}};

	for (size_t i = 0; i < 2 * sizeof(edits) / sizeof(*edits); i++) {
		cleanup_arena struct arena *arena = arena_new();
		enum ini_reader reader = i % 2 ? INI_WSLCONF : INI_WSLCONFIG;
		size_t length;
		struct ini *ini;
		char *written;

		if (ini_parse(arena, reader, (const char *)data, size, &ini, NULL) < 0)
			return 0;
		written = ini_encode(ini, &length);
		if (length != size || (size && memcmp(written, data, size) != 0))
			fail("what was read is written back different", ini);
		check_items(ini);
		if (i >= sizeof(edits) / sizeof(*edits))
			ini_make_readable(ini);
		check_edit(arena, ini, edits[i / 2].section, edits[i / 2].key, edits[i / 2].value);
	}
	return 0;
}
