/*
 * libFuzzer over what comes from outside when facts are collected: archives that somebody sent, streams that a host
 * prints, texts that secrets are taken out of. The first byte says which.
 */
#include "facts_fuzz.h"

#include "base/tar.h"
#include "facts/collection.h"
#include "facts/redact.h"

enum { BLOCK = 512, CHECKSUM = 148, TYPE = 156, MAGIC = 257 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A header whose sum is wrong ends the reading at once: sums are made right, so that what is behind them is reached. */
static void mend_sums(char *data, size_t size)
{
	for (size_t at = 0; at + BLOCK <= size; at += BLOCK) {
		unsigned sum = 8 * ' ';

		if (memcmp(data + at + MAGIC, "ustar", 5) != 0)
			continue;
		for (size_t i = 0; i < BLOCK; i++)
			sum += i >= CHECKSUM && i < TYPE ? 0 : (unsigned char)data[at + i];
		snprintf(data + at + CHECKSUM, 8, "%06o", sum & 0777777);
		data[at + TYPE - 1] = ' ';
	}
}

static void read_archive(const char *data, size_t size)
{
	cleanup_free char *copy = malloc(size + 1);
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_error struct error *err = NULL;

	memcpy(copy, data, size);
	mend_sums(copy, size);
	if (bundle_from_archive("x.tar", copy, size, &bundle, &err) == 0)
		check_bundle(bundle, size);
	else if (!err || !*err->message)
		fail("an archive was refused without a reason", "");
}

/* The word is "W". No more items than the table has; what was taken is no longer than the stream. */
static void read_stream(const char *data, size_t size)
{
	static const struct selection everything = {};
	struct arena *arena = arena_new();
	size_t half = size / 2, length = 0;
	struct collection_input input = {.host = "h",
					 .word = "W",
					 .selection = &everything,
					 .out = data,
					 .out_length = size - half,
					 .err = data + size - half,
					 .err_length = half};
	struct collection collection;

	if (collection_parse(arena, &input, &collection, NULL) == 0) {
		cleanup_bundle struct bundle *bundle = collections_bundle(&collection, 1);
		cleanup_json json_t *manifest = collection_manifest(&collection);

		for (size_t i = 0; i < collection.item_count; i++)
			length += collection.items[i].redacted ? 0 : collection.items[i].length;
		if (length > input.out_length)
			fail("more was taken than there is", data);
		if (!manifest)
			fail("no manifest could be made", data);
		check_bundle(bundle, size);
	}
	arena_free(arena);
}

/* Whatever stands before it, a secret goes; where nothing went, nothing changed. */
static void take_out(const char *data, size_t size)
{
	static const char line[] = "\npassword=Q7secretQ7\n";
	cleanup_strbuf struct strbuf whole = {};
	cleanup_free char *text = NULL, *alone = NULL;
	size_t length, count;

	alone = redact_text(data, size, &length, &count);
	if (count == 0 && (length != size || memcmp(alone, data, size) != 0))
		fail("something went though nothing was taken out", alone);
	strbuf_add_bytes(&whole, data, size);
	strbuf_add(&whole, line);
	text = redact_text(whole.text, whole.length, &length, &count);
	if (memmem(text, length, "Q7secretQ7", 10) && !memmem(data, size, "Q7secretQ7", 10))
		fail("a password was let through", text);
	if (count == 0)
		fail("a password was not counted", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;

	if (size < 1)
		return 0;
	if (text[0] == 't')
		read_archive(text + 1, size - 1);
	else if (text[0] == 's')
		read_stream(text + 1, size - 1);
	else if (text[0] == 'r')
		take_out(text + 1, size - 1);
	return 0;
}
