/*
 * How fields lie in the words that diagrams ask: each is one piece or several, one behind the other, from its highest
 * bit on. Within pset*.c only.
 */
#ifndef NESTVISOR_VERIFY_PSET_PIECE_H
#define NESTVISOR_VERIFY_PSET_PIECE_H

#include "verify/pset.h"

struct pset_piece {
	uint8_t word, start, count; /* bits of the field */
	bool ranges;
};

enum { MOST_PIECES = 3 };

/* Of a field, in rising order. */
const struct pset_piece *pset_pieces(enum pset_field field, size_t *ret_count);
/* The piece that is in a word. */
const struct pset_piece *pset_piece_of_word(unsigned word);

/* Bits of a field are counted from its highest, 0; here values are shifted up to the top of 128 bits. */
static inline wide top_bits(unsigned count)
{
	return count ? ~(wide)0 << (128 - count) : 0;
}

/* What a piece has of a value. */
static inline uint64_t piece_value(const struct pset_piece *piece, wide value)
{
	return (uint64_t)(value << piece->start >> (128 - piece->count));
}

static inline uint64_t piece_last(const struct pset_piece *piece)
{
	return ~UINT64_C(0) >> (64 - piece->count);
}

/* A piece's value, where it stands in the field. */
static inline wide piece_place(const struct pset_piece *piece, uint64_t value)
{
	return (wide)value << (128 - piece->start - piece->count);
}

#endif
