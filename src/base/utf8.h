/* UTF-8 (RFC 3629), one character at a time. */
#ifndef NESTVISOR_BASE_UTF8_H
#define NESTVISOR_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * Decodes one character of at most `left` bytes. Returns its length, or 0 where the bytes are no UTF-8 (overlong, a
 * surrogate, cut short). A NUL is a character of one byte, and ends whatever stands before it: of NUL-terminated text
 * `left` may be larger than what is left.
 */
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

#endif
