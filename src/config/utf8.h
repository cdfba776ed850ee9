/* Which characters of a lab file hide, and how wide the others stand on a terminal. */
#ifndef NESTVISOR_CONFIG_UTF8_H
#define NESTVISOR_CONFIG_UTF8_H

#include "base/utf8.h"

#include <stdbool.h>

enum { REPLACEMENT_CHARACTER = 0xfffd };

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
