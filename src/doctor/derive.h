/*
 * What a guest of a lab will see when it runs, as far as that follows from the host it will run on and from the lab
 * file: its processor by the profile it gets, its memory and CPUs, its kernel by its image, its networks. What does not
 * follow stays unknown. So that a lab can be examined before it is up, and where a guest cannot be asked.
 */
#ifndef NESTVISOR_DOCTOR_DERIVE_H
#define NESTVISOR_DOCTOR_DERIVE_H

#include "driver/driver.h"
#include "facts/facts.h"
#include "model/lab.h"

struct arena;

struct derivation {
	const struct facts *host; /* of the host that runs the guest; may be derived itself */
	const struct guest *guest;
	enum truth kvm;	    /* do guests run under KVM there? No: emulated */
	const char *kernel; /* of its image (image_kernel_version()); NULL: not known */
};

/* Lives in the arena. Origins say from where a fact was derived: "from L0", "the lab file". */
struct facts *derive_facts(struct arena *arena, const struct derivation *derivation);

#endif
