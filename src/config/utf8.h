/* UTF-8 (RFC 3629), one character at a time, and how wide it stands on a terminal. */
#ifndef NESTVISOR_CONFIG_UTF8_H
#define NESTVISOR_CONFIG_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REPLACEMENT_CHARACTER = 0xfffd };

/* Decodes one character of at most `left` bytes. Returns its length, or 0 where the bytes are no UTF-8 (overlong, a
 * surrogate, cut short). */
static inline size_t utf8_next(const char *text, size_t left, uint32_t *ret)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *b = (const unsigned char *)text;
	size_t length;
	uint32_t c;

	if (left == 0)
		return 0;
	if (b[0] < 0x80) {
		*ret = b[0];
		return 1;
	}
	length = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
	if (b[0] < 0xc2 || b[0] > 0xf4 || length > left)
		return 0;
	c = b[0] & (0x7fU >> length);
	for (size_t i = 1; i < length; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (b[i] & 0x3f);
	}
	if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return length;
}

/* Control characters, line separators, and what hides or reorders other text on a terminal (Unicode's Bidi_Control,
 * Cf). */
static inline bool utf8_is_hidden(uint32_t c)
{
	if (c < 0x80)
		return c < 0x20 || c == 0x7f;
	return c < 0xa0 || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb) || (c & 0xfffe) == 0xfffe ||
	       (c >= 0xe0000 && c <= 0xe0fff);
}

/* Columns by the broad ranges of UAX #11: near enough to put a caret under a character. */
static inline unsigned utf8_columns(uint32_t c)
{
	if (c < 0x300)
		return 1;
	if (c <= 0x36f || (c >= 0x20d0 && c <= 0x20f0) || (c >= 0xfe00 && c <= 0xfe0f))
		return 0;
	return (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) || (c >= 0xac00 && c <= 0xd7a3) ||
			       (c >= 0xf900 && c <= 0xfaff) || (c >= 0xfe30 && c <= 0xfe6f) ||
			       (c >= 0xff01 && c <= 0xff60) || (c >= 0xffe0 && c <= 0xffe6) ||
			       (c >= 0x1f300 && c <= 0x1faff) || (c >= 0x20000 && c <= 0x3fffd)
		       ? 2
		       : 1;
}

#endif
