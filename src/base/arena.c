#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 64 * 1024 };

struct block {
	struct block *next;
	size_t used, size;
	alignas(max_align_t) unsigned char data[];
};

struct adopted {
	struct adopted *next;
	void *object;
	void (*release)(void *object);
};

struct arena {
	struct block *head;
	struct adopted *adopted;
};

struct arena *arena_new(void)
{
	struct arena *arena = calloc(1, sizeof(*arena));

	if (!arena)
		abort();
	return arena;
}

void arena_free(struct arena *arena)
{
	if (!arena)
		return;
	for (struct adopted *a = arena->adopted; a; a = a->next)
		a->release(a->object);
	for (struct block *b = arena->head, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	free(arena);
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct block *b = arena->head;
	void *p;

	if (size > SIZE_MAX / 2)
		abort();
	size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (!b || b->size - b->used < size) {
		size_t want = size > BLOCK_SIZE ? size : BLOCK_SIZE;

		b = malloc(sizeof(*b) + want);
		if (!b)
			abort();
		b->used = 0;
		b->size = want;
		b->next = arena->head;
		arena->head = b;
	}
	p = b->data + b->used;
	b->used += size;
	memset(p, 0, size);
	return p;
}

void arena_adopt(struct arena *arena, void *object, void (*release)(void *object))
{
	struct adopted *adopted = arena_alloc(arena, sizeof(*adopted));

	*adopted = (struct adopted){arena->adopted, object, release};
	arena->adopted = adopted;
}

char *arena_strndup(struct arena *arena, const char *text, size_t length)
{
	char *copy = arena_alloc(arena, length + 1);

	memcpy(copy, text, length);
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return arena_strndup(arena, text, strlen(text));
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args;
	int length;
	char *text;

	va_start(args, format);
	length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (length < 0)
		abort();
	text = arena_alloc(arena, (size_t)length + 1);
	va_start(args, format);
	vsnprintf(text, (size_t)length + 1, format, args);
	va_end(args);
	return text;
}

void *arena_grow(struct arena *arena, void *items, size_t count, size_t size)
{
	void *bigger;

	if (count & (count - 1)) /* not a power of two: there is room left */
		return items;
	if (count > SIZE_MAX / 4 / size)
		abort();
	bigger = arena_alloc(arena, (count ? count * 2 : 1) * size);
	if (count)
		memcpy(bigger, items, count * size);
	return bigger;
}
