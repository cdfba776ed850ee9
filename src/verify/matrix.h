/*
 * The service matrix of one place where packets are decided: addresses that nothing there tells apart are one class,
 * and which class may open a connection to which, by which of several services. Two addresses are in one class if they
 * reach the same and are reached by the same.
 */
#ifndef NESTVISOR_VERIFY_MATRIX_H
#define NESTVISOR_VERIFY_MATRIX_H

#include "verify/pset.h"

/* Services are numbers from 0; some of them as a set of bits. */
enum { MATRIX_SERVICES = 64 };
typedef uint64_t matrix_services;

struct matrix_class {
	struct interval *intervals; /* addresses as fields hold them, rising */
	size_t interval_count;
};

struct matrix {
	struct matrix_class *classes; /* in the order of their first addresses */
	size_t class_count;
	matrix_services *edges; /* from class i to class j: edges[i * class_count + j] */
	struct interval *intervals;
};

enum { MATRIX_CLASSES = 4096 };

/*
 * From the packets that get through for each service. Sets must depend on SADDR and DADDR only. -E2BIG: more classes
 * than MATRIX_CLASSES, or no memory left for sets.
 */
int matrix_new(struct space *space, const pset *services, size_t count, struct matrix **ret, struct error **err);
void matrix_free(struct matrix *matrix); /* NULL is fine */

static inline void matrix_freep(struct matrix **matrix)
{
	matrix_free(*matrix);
}
#define cleanup_matrix __attribute__((cleanup(matrix_freep)))

/* The class that an address is in. */
size_t matrix_class_of(const struct matrix *matrix, wide address);

#endif
