/*
 * On which machine each guest of layer 0 runs: capacities and demands in, a placement out. Nothing is asked here, so
 * that the same numbers always give the same placement.
 *
 * The guests that must be somewhere (they run there, or the file says so) are counted first. The others follow, those
 * that need most memory first, each onto the machine that has most memory left among those where it fits. That order is
 * kept by a depth-first search, which goes back where a later guest finds no place; so what is found is what the greedy
 * way finds where that finds anything, and with the few guests that people place by name it is complete: no placement
 * is missed. Packing is NP-hard, so the search ends after PLACE_STEPS tries, and says then that it has not seen all.
 */
#ifndef NESTVISOR_PLAN_PLACE_H
#define NESTVISOR_PLAN_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum { PLACE_STEPS = 200000 };

struct place_machine {
	const char *name;
	uint64_t memory;    /* bytes that further guests may take */
	unsigned cpus;	    /* hundredths of virtual CPUs that all guests of the lab may have on it */
	const char *closed; /* why it takes no further guests ("it does not answer: …"); NULL: it does */
};

struct place_guest {
	const char *name;
	uint64_t memory; /* bytes with what QEMU and nested page tables take */
	unsigned cpus;
	bool fixed; /* it must be on machine `at` */
	bool there; /* fixed: it runs there, and has its memory; what it has of the CPUs counts */
	size_t at;  /* filled in where it is not fixed */
};

struct placing {
	const struct place_machine *machines;
	size_t machine_count;
	struct place_guest *guests;
	size_t guest_count;
	const bool *apart; /* guest_count × guest_count, symmetric: those two share no machine; NULL: none */
};

/*
 * -ENOSPC with one error where it does not fit, that names the first guest without a place, what it needs and what each
 * machine has; then no `at` was changed. Fixed guests that run are never asked whether they fit.
 */
int place(const struct placing *placing, struct error **err);

#endif
