#include "driver/cpu.h"

#include <cpuid.h>
#include <string.h>

#define HYPERVISOR (1U << 31) /* leaf 1, ECX; Intel SDM 2A: "not used" */
#define SVM	   (1U << 2)  /* leaf 0x80000001, ECX; AMD APM 3, E.4.2 */
#define NRIPS	   (1U << 3)  /* leaf 0x8000000a, EDX; AMD APM 3, E.4.9 */

bool cpu_is_guest(void)
{
	unsigned eax, ebx, ecx, edx;

	return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & HYPERVISOR;
}

/* The name that the hypervisor above gives itself. */
static bool is_tcg(void)
{
	unsigned eax, name[3];

	__cpuid(0x40000000, eax, name[0], name[1], name[2]);
	return memcmp(name, "TCGTCGTCGTCG", sizeof(name)) == 0;
}

/*
 * Further up, the CPU that a KVM hands on has what its own has, and has KVM's name. QEMU emulates no saving of the next
 * instruction's address (target/i386/cpu.c, TCG_SVM_FEATURES), which every AMD processor of the last fifteen years does
 * and which KVM hands on.
 */
bool cpu_svm_is_emulated(void)
{
	unsigned eax, ebx, ecx, edx;

	if (!__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) || !(ecx & SVM))
		return false;
	return is_tcg() || !__get_cpuid(0x8000000a, &eax, &ebx, &ecx, &edx) || !(edx & NRIPS);
}
