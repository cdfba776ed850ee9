/*
 * Known holes of nested KVM, and whether a kernel has them. The table is data (cve_list.h: where it comes from and when
 * it was read); judging needs a kernel's identity alone.
 */
#ifndef NESTVISOR_DOCTOR_CVES_H
#define NESTVISOR_DOCTOR_CVES_H

#include "doctor/version.h"

#include <stdbool.h>
#include <stddef.h>

#define CVE_LIST_DATE "2026-11-21" /* when the sources of cve_list.h were read */

enum { /* bits: on whose processors */
       CVE_INTEL = 1,
       CVE_AMD = 2,
};

enum cve_harms {
	CVE_HARMS_UNKNOWN,
	CVE_HARMS_GUEST, /* L1 by its L2, or one guest itself */
	CVE_HARMS_HOST,	 /* the host by its guest: crash, memory, escape */
};

/* How well an entry is known. */
enum cve_verified {
	CVE_UNVERIFIED, /* the record could not be read: what it does is from its title; never makes a check fail */
	CVE_SECONDARY,	/* the record was read; the releases of stable branches are from elsewhere */
	CVE_RECORD,	/* the record, or the kernel's own CVE repository, says it */
};

struct cve {
	const char *id;
	const char *name; /* NULL: has none */
	const char *what; /* it allows, in one sentence */
	unsigned makers;
	enum cve_harms harms;
	const char *introduced; /* releases, by branch; NULL: since ever */
	const char *fixed;	/* the first release of each branch that has the fix, the mainline's among them */
	const char *debian;	/* package versions that have it although their release does not; NULL: none */
	const char *cvss;	/* base score of the record; NULL: none */
	const char *avoid;	/* what else closes it, besides nested=0; NULL: nothing known */
	const char *needs;	/* a parameter of KVM's that must be on for it; NULL: none */
	bool shadow;		/* of the shadow MMU: without EPT or NPT every guest reaches it, nested or not */
	bool without_paging;	/* only where EPT or NPT is off */
	enum cve_verified verified;
	const char *dated; /* the day of the record that was read */
};

extern const struct cve cve_list[];
extern const size_t cve_count;

enum cve_state {
	CVE_NOT_AFFECTED, /* it came into the kernel later */
	CVE_FIXED,
	CVE_VULNERABLE,
	CVE_UNKNOWN, /* what the distribution added is not known, or the list is too old to say */
};

/*
 * *ret_fixed: the release or package version in which this kernel's branch has the fix, as it is in the list, for
 * CVE_FIXED and CVE_VULNERABLE; NULL where there is none.
 */
enum cve_state cve_judge(const struct cve *cve, const struct kernel_identity *kernel, char *ret_fixed, size_t size);

#endif
