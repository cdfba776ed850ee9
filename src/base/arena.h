/* An arena: memory that lives and dies together. What lives as long as a lab lives in its arena. Never returns NULL:
 * out of memory ends the program. */
#ifndef NESTVISOR_BASE_ARENA_H
#define NESTVISOR_BASE_ARENA_H

#include <stddef.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *arena); /* NULL is fine */

/* Zeroed, aligned for any type. */
void *arena_alloc(struct arena *arena, size_t size);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t length);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Frees the object by `release` when the arena is freed, the last one adopted first. */
void arena_adopt(struct arena *arena, void *object, void (*release)(void *object));

static inline void arena_freep(struct arena **arena)
{
	arena_free(*arena);
}

#define cleanup_arena __attribute__((cleanup(arena_freep)))

#define arena_new_struct(arena, type) ((type *)arena_alloc((arena), sizeof(type)))

/*
 * Appends to a growing array of pointers or structs in an arena: `items` and `count` are fields, the capacity is the
 * power of two at or above the count, so it needs no field of its own.
 */
void *arena_grow(struct arena *arena, void *items, size_t count, size_t size);
#define arena_push(arena, items, count)                                                                                \
	((items) = arena_grow((arena), (items), (count), sizeof(*(items))), &(items)[(count)++])

#endif
