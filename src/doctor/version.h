/*
 * Versions of kernels: what a release says, who built it, and how far its number can be trusted. A distribution that
 * stays on one number for years (5.15.0, 5.14.0-503.el9) mends things without changing it.
 */
#ifndef NESTVISOR_DOCTOR_VERSION_H
#define NESTVISOR_DOCTOR_VERSION_H

#include "facts/facts.h"

#include <stdbool.h>

/* A release of kernel.org: 6.12.101, 7.2-rc5, 7.2 (which uname calls 7.2.0). */
struct kernel_version {
	unsigned major, minor, patch;
	unsigned candidate; /* 5 of -rc5; 0: not a release candidate */
};

/* The release at the beginning of a text: "6.6.148-rc1", "5.15.0-122-generic", "7.2~rc7-1"; false: there is none. */
bool kernel_version_parse(const char *text, struct kernel_version *ret);
int kernel_version_compare(const struct kernel_version *a, const struct kernel_version *b); /* below, at, above 0 */

/* As dpkg compares them: Debian Policy, 5.6.12; deb-version(7). Below, at, above 0. */
int debian_version_compare(const char *a, const char *b);

enum kernel_maker {
	KERNEL_OWN,    /* kernel.org's, or somebody's own build: nothing is known to be added */
	KERNEL_DEBIAN, /* a stable release, and what Debian's changelog says: see `package` */
	KERNEL_STABLE, /* a distribution that follows stable releases: what is in the release is in it; more may be, too
			*/
	KERNEL_FROZEN, /* a distribution that stays on one number and mends by itself; it does not take new features */
	KERNEL_REBASED, /* the same, and takes whole subsystems from newer kernels: RHEL, SUSE */
};

enum { PACKAGE_VERSION_SIZE = 64 };

struct kernel_identity {
	enum kernel_maker maker;
	const char *maker_name;		    /* "Debian", "Ubuntu"; NULL: not known */
	struct kernel_version version;	    /* what it is made of, at least */
	char package[PACKAGE_VERSION_SIZE]; /* Debian's, without what a rebuild for another suite adds ("~deb11u1") */
	bool installed_only;		    /* `package` is what is installed; what runs may be older */
	const char *tracker; /* a printf format with one %s, the CVE's id: where its state is told; NULL: none */
};

/* false: not enough was captured, or what it says cannot be read: *ret_missing says what would have to be known. */
bool kernel_identify(const struct facts *facts, struct kernel_identity *ret, const char **ret_missing);

#endif
