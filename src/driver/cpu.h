/* What this machine's CPU says of itself and of what is below it (CPUID). */
#ifndef NESTVISOR_DRIVER_CPU_H
#define NESTVISOR_DRIVER_CPU_H

#include <stdbool.h>

/* Whether this machine is a guest: the bit that no processor sets and every hypervisor does. */
bool cpu_is_guest(void);

/* Whether the SVM that KVM has here is the one that QEMU emulates (TCG), right above or further up. Without SVM: no. */
bool cpu_svm_is_emulated(void);

#endif
