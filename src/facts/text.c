#include "facts/text.h"

#include "base/cleanup.h"
#include "base/utf8.h"
#include "facts/names.h"
#include "model/hash.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* How many lines that were not understood are noted one by one. */
enum { IGNORED_NOTED = 3 };

struct span span_of(const char *text)
{
	return (struct span){text, strlen(text)};
}

bool span_is(struct span span, const char *text)
{
	if (span.length == 0) /* there may be no address either */
		return text[0] == '\0';
	/* Words are looked for in long lists: nearly all differ in their first letter. A span may hold NULs. */
	return text[0] == span.at[0] && strncmp(text, span.at, span.length) == 0 && strlen(text) == span.length;
}

bool span_is_nocase(struct span span, const char *text)
{
	if (span.length == 0)
		return text[0] == '\0';
	return strncasecmp(text, span.at, span.length) == 0 && strlen(text) == span.length;
}

bool span_starts(struct span span, const char *text)
{
	size_t length = strlen(text);

	return span.length >= length && memcmp(span.at, text, length) == 0;
}

bool span_ends(struct span span, const char *text)
{
	size_t length = strlen(text);

	return span.length >= length && memcmp(span.at + span.length - length, text, length) == 0;
}

struct span span_skip(struct span span, size_t bytes)
{
	if (bytes > span.length)
		bytes = span.length;
	if (bytes == 0)
		return span;
	return (struct span){span.at + bytes, span.length - bytes};
}

struct span span_first(struct span span, size_t bytes)
{
	return (struct span){span.at, bytes < span.length ? bytes : span.length};
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\v' || c == '\f' || c == '\r';
}

struct span span_trim(struct span span)
{
	while (span.length > 0 && is_space(span.at[0]))
		span = span_skip(span, 1);
	while (span.length > 0 && is_space(span.at[span.length - 1]))
		span.length--;
	return span;
}

size_t span_find(struct span span, const char *text)
{
	const char *found = span.length ? memmem(span.at, span.length, text, strlen(text)) : NULL;

	return found ? (size_t)(found - span.at) : SIZE_MAX;
}

size_t span_find_char(struct span span, char c)
{
	const char *found = span.length ? memchr(span.at, c, span.length) : NULL;

	return found ? (size_t)(found - span.at) : SIZE_MAX;
}

struct span span_cut(struct span *span, char c)
{
	size_t at = span_find_char(*span, c);
	struct span before = *span;

	if (at == SIZE_MAX) {
		*span = span_skip(*span, span->length);
		return before;
	}
	before.length = at;
	*span = span_skip(*span, at + 1);
	return before;
}

bool span_word(struct span *rest, struct span *ret)
{
	const char *at = rest->at, *end, *start;

	*ret = (struct span){"", 0};
	if (rest->length == 0)
		return false;
	end = at + rest->length;
	while (at < end && is_space(*at))
		at++;
	start = at;
	while (at < end && !is_space(*at))
		at++;
	*ret = (struct span){start, (size_t)(at - start)};
	*rest = (struct span){at, (size_t)(end - at)};
	return ret->length > 0;
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool span_number(struct span span, uint64_t *ret)
{
	uint64_t value = 0;
	int base = 10;

	if (span.length > 2 && span.at[0] == '0' && (span.at[1] | 0x20) == 'x') {
		base = 16;
		span = span_skip(span, 2);
	}
	if (span.length == 0)
		return false;
	for (size_t i = 0; i < span.length; i++) {
		int digit = digit_of(span.at[i]);

		if (digit < 0 || digit >= base || __builtin_mul_overflow(value, (uint64_t)base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit, &value))
			return false;
	}
	*ret = value;
	return true;
}

bool span_counter(struct span span, uint64_t *ret)
{
	static const char units[] = "KMGTP";
	const char *unit;
	uint64_t factor = 1;

	if (span.length > 1 && (unit = strchr(units, span.at[span.length - 1])) && *unit) {
		for (const char *u = units; u <= unit; u++)
			factor *= 1000;
		span.length--;
	}
	return span_number(span, ret) && !__builtin_mul_overflow(*ret, factor, ret);
}

struct number span_to_number(struct span span)
{
	uint64_t value;

	return span_number(span, &value) ? number_of(value) : (struct number){};
}

bool span_ip(struct span span, struct ip *ret)
{
	char text[IP_TEXT_SIZE];

	if (span.length >= sizeof(text))
		return false;
	memcpy(text, span.at, span.length);
	text[span.length] = '\0';
	return ip_parse(text, ret);
}

bool span_prefix(struct span span, struct prefix *ret)
{
	char text[PREFIX_TEXT_SIZE];

	if (span.length >= sizeof(text))
		return false;
	memcpy(text, span.at, span.length);
	text[span.length] = '\0';
	return prefix_parse(text, ret);
}

struct mac span_mac(struct span span)
{
	struct mac mac = {};
	size_t at = 0;

	for (int i = 0; i < 6; i++) {
		unsigned value = 0, digits = 0;

		for (; at < span.length && digit_of(span.at[at]) >= 0 && digits < 2; at++, digits++)
			value = value * 16 + (unsigned)digit_of(span.at[at]);
		if (digits == 0)
			return (struct mac){};
		mac.bytes[i] = (uint8_t)value;
		if (i < 5 && (at >= span.length || (span.at[at] != ':' && span.at[at] != '-')))
			return (struct mac){};
		at += i < 5;
	}
	mac.known = at == span.length;
	return mac.known ? mac : (struct mac){};
}

enum truth span_truth(struct span span)
{
	static const char *const yes[] = {"1", "on", "yes", "true", "y"}, *const no[] = {"0", "off", "no", "false",
											 "n"};

	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++) {
		if (span_is_nocase(span, yes[i]))
			return TRUTH_YES;
		if (span_is_nocase(span, no[i]))
			return TRUTH_NO;
	}
	return TRUTH_UNKNOWN;
}

bool mask_length(const struct ip *mask, uint8_t *ret)
{
	unsigned bits = ip_bits(mask), length = 0;

	while (length < bits && mask->bytes[length / 8] & (0x80 >> length % 8))
		length++;
	for (unsigned bit = length; bit < bits; bit++)
		if (mask->bytes[bit / 8] & (0x80 >> bit % 8))
			return false;
	*ret = (uint8_t)length;
	return true;
}

static uint64_t hash(struct span span)
{
	return hash_more(HASH_START, span.at, span.length);
}

static void pool_widen(struct pool *pool)
{
	size_t size = pool->size ? pool->size * 2 : 1024;
	const char **slots = arena_alloc(pool->arena, size * sizeof(*slots));

	for (size_t i = 0; i < pool->size; i++) {
		size_t at;

		if (!pool->slots[i])
			continue;
		at = hash(span_of(pool->slots[i])) & (size - 1);
		while (slots[at])
			at = (at + 1) & (size - 1);
		slots[at] = pool->slots[i];
	}
	pool->slots = slots;
	pool->size = size;
}

const char *pool_intern(struct pool *pool, struct span span)
{
	size_t at;

	if (pool->used * 2 >= pool->size)
		pool_widen(pool);
	for (at = hash(span) & (pool->size - 1); pool->slots[at]; at = (at + 1) & (pool->size - 1))
		if (span_is(span, pool->slots[at]))
			return pool->slots[at];
	pool->used++;
	return pool->slots[at] = arena_strndup(pool->arena, span.at, span.length);
}

static bool read_raw_line(struct reader *reader, struct span *ret)
{
	const char *end;

	if (reader->at >= reader->end)
		return false;
	end = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
	if (!end)
		end = reader->end;
	*ret = (struct span){reader->at, (size_t)(end - reader->at)};
	reader->at = end < reader->end ? end + 1 : end;
	reader->line++;
	return true;
}

bool reader_line(struct reader *reader, struct span *ret)
{
	if (!read_raw_line(reader, ret))
		return false;
	*ret = span_trim(*ret);
	return true;
}

struct origin reader_origin(const struct reader *reader)
{
	return (struct origin){reader->source, reader->json ? 0 : reader->line,
			       reader->json ? (reader->item ? reader->item : reader->line) : 0};
}

const char *reader_intern(struct reader *reader, struct span span)
{
	return pool_intern(reader->pool, span);
}

void text_repair(char *text)
{
	size_t length = strlen(text);
	uint32_t c;

	for (size_t i = 0, n; i < length; i += n) {
		n = utf8_next(text + i, length - i, &c);
		if (n == 0) {
			text[i] = '?';
			n = 1;
		}
	}
}

static bool is_utf8(const char *text)
{
	uint32_t c;

	for (size_t length = strlen(text), n; length > 0; text += n, length -= n) {
		n = utf8_next(text, length, &c);
		if (n == 0)
			return false;
	}
	return true;
}

const char *pool_text(struct pool *pool, const char *text)
{
	cleanup_free char *repaired = NULL;

	if (!text || is_utf8(text))
		return text ? pool_intern(pool, span_of(text)) : NULL;
	repaired = strdup(text);
	if (!repaired)
		abort();
	text_repair(repaired);
	return pool_intern(pool, span_of(repaired));
}

void reader_note(struct reader *reader, const char *format, ...)
{
	struct facts *facts = reader->facts;
	struct note *note;
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	text_repair(text);
	note = reader_push(reader, facts->notes, facts->note_count);
	note->text = arena_strdup(reader->pool->arena, text);
	note->origin = reader_origin(reader);
	free(text);
}

void reader_ignored(struct reader *reader, struct span line)
{
	if (line.length == 0)
		return;
	reader->capture->ignored++;
	if (reader->capture->ignored <= IGNORED_NOTED)
		reader_note(reader, "not understood: %.*s", (int)(line.length < 200 ? line.length : 200), line.at);
}

struct link *reader_link(struct reader *reader, struct span name)
{
	struct facts *facts = reader->facts;
	const char *kept = reader_intern(reader, name);
	struct link *link = facts_link(facts, kept);

	if (!link) {
		link = reader_push(reader, facts->links, facts->link_count);
		*link = (struct link){.name = kept};
		names_add(reader->pool->arena, &facts->link_names, kept);
	}
	*reader_push(reader, link->origins, link->origin_count) = reader_origin(reader);
	return link;
}

void text_set(const char **text, const char *value)
{
	if (!*text)
		*text = value;
}

void truth_set(enum truth *truth, enum truth value)
{
	if (*truth == TRUTH_UNKNOWN)
		*truth = value;
}

void number_set(struct number *number, struct number value)
{
	if (!number->known)
		*number = value;
}

void texts_push(struct arena *arena, const char ***items, size_t *count, const char *text)
{
	*arena_push(arena, *items, *count) = text;
}

static size_t utf8_put(char *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

enum text_encoding text_encoding(const char *data, size_t length)
{
	if (length >= 2 && memcmp(data, "\xff\xfe", 2) == 0)
		return TEXT_UTF16_LITTLE;
	if (length >= 2 && memcmp(data, "\xfe\xff", 2) == 0)
		return TEXT_UTF16_BIG;
	return length >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0 ? TEXT_UTF8_MARKED : TEXT_UTF8;
}

static uint32_t utf16_unit(const unsigned char *at, bool big)
{
	return big ? (uint32_t)at[0] << 8 | at[1] : (uint32_t)at[1] << 8 | at[0];
}

char *text_from_utf16(struct arena *arena, const char *data, size_t length, bool big, size_t *ret_length)
{
	const unsigned char *bytes = (const unsigned char *)data;
	char *text = arena_alloc(arena, length / 2 * 3 + 4);
	size_t to = 0;

	for (size_t i = 0; i + 1 < length; i += 2) {
		uint32_t c = utf16_unit(bytes + i, big);

		if ((c & 0xfc00) == 0xd800 && i + 3 < length) {
			uint32_t low = utf16_unit(bytes + i + 2, big);

			if ((low & 0xfc00) == 0xdc00) {
				c = 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff));
				i += 2;
			}
		}
		if ((c & 0xfffff800) == 0xd800)
			c = 0xfffd;
		to += utf8_put(text + to, c);
	}
	*ret_length = to;
	return text;
}

static size_t utf16_put(char *to, uint32_t unit, bool big)
{
	to[big ? 0 : 1] = (char)(unit >> 8);
	to[big ? 1 : 0] = (char)unit;
	return 2;
}

char *text_to_utf16(struct arena *arena, const char *text, size_t length, bool big, size_t *ret_length)
{
	char *data = arena_alloc(arena, 2 * length + 2);
	size_t to = 0;

	for (size_t i = 0, n; i < length; i += n) {
		uint32_t c = 0;

		n = utf8_next(text + i, length - i, &c);
		if (n == 0) { /* no UTF-8: each byte is a character of its own */
			c = (unsigned char)text[i];
			n = 1;
		}
		if (c >= 0x10000) {
			to += utf16_put(data + to, 0xd800 | (c - 0x10000) >> 10, big);
			c = 0xdc00 | ((c - 0x10000) & 0x3ff);
		}
		to += utf16_put(data + to, c, big);
	}
	*ret_length = to;
	return data;
}

static bool is_plain(const unsigned char *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (data[i] >= 0x80 || data[i] == '\r' || data[i] == '\0')
			return false;
	return true;
}

char *text_clean(struct arena *arena, const char *data, size_t length, size_t *ret_length)
{
	const unsigned char *bytes = (const unsigned char *)data;
	enum text_encoding encoding = text_encoding(data, length);
	char *text;
	size_t to = 0;

	if (encoding == TEXT_UTF16_LITTLE || encoding == TEXT_UTF16_BIG) {
		data = text_from_utf16(arena, data + 2, length - 2, encoding == TEXT_UTF16_BIG, &length);
		bytes = (const unsigned char *)data;
	}
	if (is_plain(bytes, length)) {
		*ret_length = length;
		return arena_strndup(arena, data, length);
	}
	text = arena_alloc(arena, length * 3 + 1);
	for (size_t i = 0; i < length;) {
		uint32_t c = 0;
		size_t n = utf8_next(data + i, length - i, &c);

		if (n > 0 && c == 0xfeff) { /* a byte order mark */
			i += 3;
			continue;
		}
		if (bytes[i] == '\0' || bytes[i] == '\r') {
			/* a line may end in \r alone; \r\n ends once */
			if (bytes[i] == '\r' && i + 1 < length && bytes[i + 1] != '\n' && bytes[i + 1] != '\r')
				text[to++] = '\n';
			i++;
			continue;
		}
		if (n == 0) {
			to += utf8_put(text + to, 0xfffd);
			i++;
			continue;
		}
		memcpy(text + to, bytes + i, n);
		to += n;
		i += n;
	}
	*ret_length = to;
	return text;
}
