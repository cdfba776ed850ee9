#include "doctor/version.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_LIMIT = 1000000 };

static bool take_number(const char **at, unsigned *ret)
{
	unsigned long value;
	char *end;

	if (!isdigit((unsigned char)**at))
		return false;
	value = strtoul(*at, &end, 10);
	if (value > NUMBER_LIMIT)
		return false;
	*ret = (unsigned)value;
	*at = end;
	return true;
}

bool kernel_version_parse(const char *text, struct kernel_version *ret)
{
	struct kernel_version version = {0};

	if (!take_number(&text, &version.major) || *text++ != '.' || !take_number(&text, &version.minor))
		return false;
	if (*text == '.') {
		text++;
		if (!take_number(&text, &version.patch))
			return false;
	}
	if ((*text == '-' || *text == '~') && strncmp(text + 1, "rc", 2) == 0) {
		text += 3;
		take_number(&text, &version.candidate);
	}
	*ret = version;
	return true;
}

static int compare_numbers(unsigned a, unsigned b)
{
	return a == b ? 0 : a < b ? -1 : 1;
}

int kernel_version_compare(const struct kernel_version *a, const struct kernel_version *b)
{
	int r = compare_numbers(a->major, b->major);

	if (r == 0)
		r = compare_numbers(a->minor, b->minor);
	if (r == 0)
		r = compare_numbers(a->patch, b->patch);
	if (r == 0 && a->candidate != b->candidate) { /* a candidate comes before its release */
		if (!a->candidate || !b->candidate)
			return a->candidate ? -1 : 1;
		r = compare_numbers(a->candidate, b->candidate);
	}
	return r;
}

/* Letters sort before all else, a tilde before even the end. */
static int weight(char c)
{
	if (c == '~')
		return -1;
	if (c == '\0' || isdigit((unsigned char)c))
		return 0;
	return isalpha((unsigned char)c) ? (unsigned char)c : (unsigned char)c + 256;
}

/* A part without an epoch and without a revision; both end at their length. */
static int compare_part(const char *a, size_t a_length, const char *b, size_t b_length)
{
	const char *a_end = a + a_length, *b_end = b + b_length;

	while (a < a_end || b < b_end) {
		const char *a_number, *b_number;

		while ((a < a_end && !isdigit((unsigned char)*a)) || (b < b_end && !isdigit((unsigned char)*b))) {
			int left = weight(a < a_end ? *a : '\0'), right = weight(b < b_end ? *b : '\0');

			if (left != right)
				return left < right ? -1 : 1;
			a += a < a_end;
			b += b < b_end;
		}
		while (a < a_end && *a == '0')
			a++;
		while (b < b_end && *b == '0')
			b++;
		for (a_number = a; a < a_end && isdigit((unsigned char)*a);)
			a++;
		for (b_number = b; b < b_end && isdigit((unsigned char)*b);)
			b++;
		if (a - a_number != b - b_number)
			return a - a_number < b - b_number ? -1 : 1;
		if (a > a_number) {
			int r = memcmp(a_number, b_number, (size_t)(a - a_number));

			if (r != 0)
				return r < 0 ? -1 : 1;
		}
	}
	return 0;
}

static unsigned long take_epoch(const char **version)
{
	unsigned long epoch;
	char *end;

	if (!isdigit((unsigned char)**version))
		return 0;
	epoch = strtoul(*version, &end, 10);
	if (*end != ':')
		return 0;
	*version = end + 1;
	return epoch;
}

int debian_version_compare(const char *a, const char *b)
{
	unsigned long a_epoch = take_epoch(&a), b_epoch = take_epoch(&b);
	const char *a_revision = strrchr(a, '-'), *b_revision = strrchr(b, '-');
	int r;

	if (a_epoch != b_epoch)
		return a_epoch < b_epoch ? -1 : 1;
	if (!a_revision)
		a_revision = a + strlen(a);
	if (!b_revision)
		b_revision = b + strlen(b);
	r = compare_part(a, (size_t)(a_revision - a), b, (size_t)(b_revision - b));
	if (r != 0)
		return r;
	a_revision += *a_revision == '-';
	b_revision += *b_revision == '-';
	return compare_part(a_revision, strlen(a_revision), b_revision, strlen(b_revision));
}

/*
 * Who built a kernel shows in its release or in its version; where it does not, the distribution says it. The first
 * that fits counts.
 */
static const struct {
	enum kernel_maker maker;
	const char *name;
	const char *release, *version; /* pieces of uname -r and uname -v */
	const char *distribution;      /* ID of os-release */
	const char *tracker;
} makers[] = {
	{KERNEL_STABLE, "Microsoft", "microsoft-standard", NULL, NULL,
	 "https://github.com/microsoft/WSL2-Linux-Kernel/releases (search for %s)"},
	{KERNEL_FROZEN, "Proxmox", "-pve", NULL, NULL,
	 "https://security-tracker.debian.org/tracker/%s, and the "
	 "changelog of Proxmox's kernel package"},
	{KERNEL_STABLE, "Amazon", ".amzn", NULL, NULL, "https://explore.alas.aws.amazon.com/%s.html"},
	{KERNEL_STABLE, "Azure Linux", ".azl", NULL, NULL, "https://github.com/microsoft/azurelinux (search for %s)"},
	{KERNEL_STABLE, "ELRepo", ".elrepo", NULL, NULL, "https://www.cve.org/CVERecord?id=%s"},
	{KERNEL_FROZEN, "Oracle", "uek", NULL, NULL, "https://linux.oracle.com/cve/%s.html"},
	{KERNEL_REBASED, "Red Hat", ".el", NULL, NULL, "https://access.redhat.com/security/cve/%s"},
	{KERNEL_STABLE, "Fedora", ".fc", NULL, NULL, "https://bugzilla.redhat.com/show_bug.cgi?id=%s"},
	{KERNEL_STABLE, "Kali", NULL, " Kali ", NULL, "https://security-tracker.debian.org/tracker/%s"},
	{KERNEL_FROZEN, "Ubuntu", NULL, "-Ubuntu", NULL, "https://ubuntu.com/security/%s"},
	{KERNEL_FROZEN, "Ubuntu", "-generic", NULL, "ubuntu", "https://ubuntu.com/security/%s"},
	{KERNEL_FROZEN, "Ubuntu", "-generic", NULL, "linuxmint", "https://ubuntu.com/security/%s"},
	{KERNEL_FROZEN, "Pop!_OS", "-generic", NULL, "pop", "https://ubuntu.com/security/%s"},
	{KERNEL_STABLE, "openSUSE", "-default", NULL, "opensuse-tumbleweed",
	 "https://www.suse.com/security/cve/%s.html"},
	{KERNEL_REBASED, "SUSE", "-default", NULL, NULL, "https://www.suse.com/security/cve/%s.html"},
	{KERNEL_STABLE, "Arch", "-arch", NULL, NULL, "https://security.archlinux.org/%s"},
	{KERNEL_STABLE, "Arch", NULL, NULL, "arch", "https://security.archlinux.org/%s"},
	{KERNEL_STABLE, "Alpine", NULL, NULL, "alpine", "https://security.alpinelinux.org/vuln/%s"},
};

static bool fits(const char *text, const char *piece)
{
	return !piece || (text && strstr(text, piece));
}

static bool find_maker(const struct facts *facts, struct kernel_identity *identity)
{
	const char *id = facts->distribution.id;

	for (size_t i = 0; i < sizeof(makers) / sizeof(*makers); i++) {
		if (!fits(facts->kernel.release, makers[i].release) ||
		    !fits(facts->kernel.version, makers[i].version) ||
		    (makers[i].distribution && (!id || strcmp(id, makers[i].distribution) != 0)))
			continue;
		identity->maker = makers[i].maker;
		identity->maker_name = makers[i].name;
		identity->tracker = makers[i].tracker;
		return true;
	}
	return false;
}

/*
 * "6.1.119-1", "6.1.164-1~deb11u1": what a rebuild for an older suite appends counts less than nothing to dpkg, but it
 * has all that its original has. "6.6.51-1+rpt3" is somebody else's.
 */
static bool take_package(const char *text, char ret[PACKAGE_VERSION_SIZE])
{
	size_t length = strcspn(text, " ()\n"), revision = 0, last = 0;

	for (size_t i = 0; i < length; i++)
		if (text[i] == '-')
			revision = i;
	if (!revision || length >= PACKAGE_VERSION_SIZE || !isdigit((unsigned char)*text))
		return false;
	for (last = revision + 1; last < length && text[last] != '~'; last++)
		if (!isdigit((unsigned char)text[last]) && text[last] != '.')
			return false;
	memcpy(ret, text, last);
	ret[last] = '\0';
	return true;
}

static const char *installed_package(const struct facts *facts)
{
	char name[256];

	snprintf(name, sizeof(name), "linux-image-%s", facts->kernel.release);
	for (size_t i = 0; i < facts->package_count; i++)
		if (strcmp(facts->packages[i].name, name) == 0)
			return facts->packages[i].version;
	return NULL;
}

/* "6.1.0-28-amd64", "6.1.0-0.deb11.28-cloud-amd64", "6.12.117+deb13-amd64" */
static bool is_debian_release(const char *release)
{
	size_t length = strlen(release);

	return (strstr(release, "+deb") || strstr(release, ".0-")) && length > 6 &&
	       (strcmp(release + length - 6, "-amd64") == 0 || strstr(release, "-686"));
}

static bool identify_debian(const struct facts *facts, struct kernel_identity *ret, const char **ret_missing)
{
	const char *said = facts->kernel.version ? strstr(facts->kernel.version, "Debian ") : NULL,
		   *package = installed_package(facts);

	ret->maker_name = "Debian";
	ret->tracker = "https://security-tracker.debian.org/tracker/%s";
	if (said) {
		said += strlen("Debian ");
		ret->maker = take_package(said, ret->package) ? KERNEL_DEBIAN : KERNEL_STABLE;
		take_epoch(&said);
		if (!kernel_version_parse(said, &ret->version)) {
			*ret_missing = "the version of the kernel's package (/proc/version)";
			return false;
		}
		return true;
	}
	if (package && take_package(package, ret->package) && kernel_version_parse(package, &ret->version)) {
		ret->maker = KERNEL_DEBIAN;
		ret->installed_only = true;
		return true;
	}
	if (strstr(facts->kernel.release, "+deb")) { /* since 2025 the release is in the name */
		ret->maker = KERNEL_STABLE;
		return true;
	}
	*ret_missing = "the version of the kernel's package (/proc/version), which Debian's uname -r does not tell";
	return false;
}

bool kernel_identify(const struct facts *facts, struct kernel_identity *ret, const char **ret_missing)
{
	*ret = (struct kernel_identity){.maker = KERNEL_OWN};
	*ret_missing = "the kernel's release (uname -r)";
	if (!facts->kernel.release || !kernel_version_parse(facts->kernel.release, &ret->version))
		return false;
	if (find_maker(facts, ret))
		return true;
	if ((facts->kernel.version && strstr(facts->kernel.version, "Debian ")) ||
	    (!facts->kernel.version && is_debian_release(facts->kernel.release)))
		return identify_debian(facts, ret, ret_missing);
	return true;
}
