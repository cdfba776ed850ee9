#include "transport/base64.h"

#include "base/strbuf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char alphabet[64] = {'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P',
				  'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'a', 'b', 'c', 'd', 'e', 'f',
				  'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v',
				  'w', 'x', 'y', 'z', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+', '/'};

enum { BLOCK = 3 * 1024 };

void base64_encode(struct strbuf *to, const void *data, size_t length)
{
	const uint8_t *in = data;
	char out[BLOCK / 3 * 4];

	while (length) {
		size_t take = length < BLOCK ? length : BLOCK, n = 0;

		for (size_t i = 0; i < take; i += 3) {
			size_t left = take - i;
			uint32_t bits = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
					(left > 2 ? in[i + 2] : 0);

			out[n++] = alphabet[bits >> 18];
			out[n++] = alphabet[bits >> 12 & 63];
			out[n++] = left > 1 ? alphabet[bits >> 6 & 63] : '=';
			out[n++] = left > 2 ? alphabet[bits & 63] : '=';
		}
		strbuf_add_bytes(to, out, n);
		in += take;
		length -= take;
	}
}

/* The six bits of a character, or -1. */
static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static void fill_values(int8_t values[256])
{
	for (int c = 0; c < 256; c++)
		values[c] = (int8_t)value_of((char)c);
}

bool base64_decode(const char *text, size_t length, char **ret_data, size_t *ret_length)
{
	size_t padding = 0, n = 0;
	int8_t values[256];
	char *data;

	if (length % 4)
		return false;
	while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
		padding++;
	data = malloc(length / 4 * 3 + 1);
	if (!data)
		abort();
	fill_values(values);
	for (size_t i = 0; i < length; i += 4) {
		size_t digits = i + 4 == length ? 4 - padding : 4;
		uint32_t bits = 0;
		int bad = 0;

		for (size_t j = 0; j < 4; j++) {
			int v = j < digits ? values[(uint8_t)text[i + j]] : 0;

			bad |= v;
			bits = bits << 6 | ((uint32_t)v & 63);
		}
		/* A negative value anywhere, or bits that padding says are not there. */
		if (bad < 0 || (digits == 3 && bits & 0xff) || (digits == 2 && bits & 0xffff)) {
			free(data);
			return false;
		}
		data[n++] = (char)(bits >> 16);
		if (digits > 2)
			data[n++] = (char)(bits >> 8);
		if (digits > 3)
			data[n++] = (char)bits;
	}
	data[n] = '\0';
	*ret_data = data;
	*ret_length = n;
	return true;
}
