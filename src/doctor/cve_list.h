/*
 * Known holes of nested KVM on x86, newest first. To be included inside the table of cves.c, and nowhere else.
 *
 * Where this comes from, all of it read on 2026-11-21:
 * - the CVE records (https://github.com/CVEProject/cvelistV5, cves/<year>/<thousand>xxx/<id>.json); `dated` is the day on
 *   which the record read says it was last changed;
 * - the kernel's own CVE repository (https://git.kernel.org/pub/scm/linux/security/vulns.git) as of 2026-08-21, which for
 *   some records lists more branches than the record read;
 * - the changelogs of Debian's linux packages 5.10.262-1, 6.1.192-2, 6.12.117-1, 7.2.13-1 and 7.3.4-1, which name the
 *   stable release each fix came in with, and so add branches that a record did not list yet, and fixes that Debian
 *   took before its upstream release had them;
 * - for the records older than the kernel's own numbering (2024), which do not list branches:
 *   https://github.com/nluedtke/linux_kernel_cves as of 2024-04-09 (CVE_SECONDARY).
 *
 * Left out, with reason: CVE-2021-22543 (needs /dev/kvm on the host, nothing nested), CVE-2025-37957, CVE-2026-23401,
 * CVE-2026-43315, CVE-2026-43265 (only the host's own user space reaches them).
 */

/* clang-format off */
{
	.id = "CVE-2026-99176", .makers = CVE_INTEL, .harms = CVE_HARMS_UNKNOWN,
	.what = "KVM keeps the page tables of L2 when loading the state of L2 fails",
	.fixed = "6.1.191 6.12.115 7.2.13", .verified = CVE_UNVERIFIED,
},
{
	.id = "CVE-2026-98863", .makers = CVE_INTEL | CVE_AMD, .harms = CVE_HARMS_UNKNOWN,
	.what = "after a failure to map its state L2 is entered again with pages that are no longer held",
	.fixed = "6.12.117 7.2.10", .verified = CVE_UNVERIFIED,
},
{
	.id = "CVE-2026-98716", .makers = CVE_AMD, .harms = CVE_HARMS_UNKNOWN,
	.what = "KVM asks the wrong bitmap whether a model-specific register is intercepted while L2 runs",
	.fixed = "6.1.191 6.12.113 7.2.10", .verified = CVE_UNVERIFIED,
},
{
	.id = "CVE-2026-98715", .makers = CVE_AMD, .harms = CVE_HARMS_UNKNOWN,
	.what = "a TLB flush that was due is forgotten when starting L2 fails",
	.fixed = "6.12.117 7.2.10", .verified = CVE_UNVERIFIED,
},
{
	.id = "CVE-2026-89932", .makers = CVE_INTEL, .harms = CVE_HARMS_HOST, .cvss = "8.8",
	.what = "an L2 can read and write memory of another guest through stale TLB entries of a VPID used before",
	.fixed = "5.15.221 6.1.188 6.6.157 6.12.110 6.18.51 7.2.5 7.3-rc1",
	.verified = CVE_RECORD, .dated = "2026-09-16",
},
{
	.id = "CVE-2026-89931", .makers = CVE_INTEL, .harms = CVE_HARMS_GUEST,
	.what = "pages of an L2's control structure are mapped twice when KVM was built without Hyper-V support",
	.introduced = "6.8", .fixed = "6.12.110 6.18.51 7.2.5 7.3-rc1",
	.verified = CVE_RECORD, .dated = "2026-09-16",
},
{
	.id = "CVE-2026-89930", .makers = CVE_INTEL, .harms = CVE_HARMS_HOST, .cvss = "9.3",
	.what = "an L2 keeps access to memory that its L1 took away, because a failed start of L2 loses a TLB flush",
	.introduced = "4.4", .fixed = "5.15.221 6.1.188 6.6.157 6.12.110 6.18.51 7.2.5 7.3-rc1",
	.verified = CVE_RECORD, .dated = "2026-09-16",
},
{
	.id = "CVE-2026-89929", .makers = CVE_INTEL, .harms = CVE_HARMS_HOST, .cvss = "8.8",
	.what = "an L2 keeps access to memory that its L1 took away, because INVVPID is done on the wrong processor",
	.fixed = "6.12.110 6.18.51 7.2.5 7.3-rc1",
	.verified = CVE_RECORD, .dated = "2026-09-16",
},
{
	.id = "CVE-2026-74516", .makers = CVE_AMD, .harms = CVE_HARMS_HOST, .cvss = "8.2",
	.what = "an L1 can read the host's interrupt controller and send interrupts to the host",
	.introduced = "6.0", .fixed = "6.1.183 6.6.151 6.12.103 6.18.44 7.1.8 7.2-rc6",
	.needs = "/sys/module/kvm_amd/parameters/avic", .avoid = "load kvm_amd with avic=0",
	.verified = CVE_RECORD, .dated = "2026-08-21",
},
{
	.id = "CVE-2026-72287", .makers = CVE_INTEL, .harms = CVE_HARMS_HOST, .cvss = "7.8",
	.what = "where EPT is off, an L1 runs with page tables of its own choice and so reaches all memory of the host",
	.introduced = "6.19", .fixed = "7.1.5 7.2", .without_paging = true,
	.avoid = "load kvm_intel with ept=1",
	.verified = CVE_RECORD, .dated = "2026-08-21",
},
{
	.id = "CVE-2026-68081", .makers = CVE_INTEL, .harms = CVE_HARMS_HOST,
	.what = "an L1 can make the host hold ever more pages that it never gets back",
	.introduced = "5.2", .fixed = "6.1.191 6.12.114 6.18.40 7.1.5 7.2-rc4",
	.verified = CVE_RECORD, .dated = "2026-08-08",
},
{
	.id = "CVE-2026-64562", .makers = CVE_INTEL, .harms = CVE_HARMS_HOST, .cvss = "8.8",
	.what = "a freed shadow VMCS is written once more, which corrupts the host's memory",
	.introduced = "4.9", .fixed = "5.10.265 5.15.216 6.1.183 6.6.148 6.12.101 6.18.42 7.1.6 7.2",
	.verified = CVE_RECORD, .dated = "2026-08-19",
},
{
	.id = "CVE-2026-64561", .name = "Zapscape", .makers = CVE_INTEL | CVE_AMD, .harms = CVE_HARMS_HOST, .cvss = "8.8",
	.what = "a guest can corrupt the host's shadow page tables and so break out to the host",
	.introduced = "5.9", .fixed = "6.1.183 6.6.148 6.12.101 6.18.42 7.1.6 7.2-rc5", .shadow = true,
	.verified = CVE_RECORD, .dated = "2026-08-21",
},
{
	.id = "CVE-2026-53359", .name = "Januscape", .makers = CVE_INTEL | CVE_AMD, .harms = CVE_HARMS_HOST, .cvss = "8.8",
	.what = "a guest can make KVM use a shadow page after it was freed and so break out to the host",
	.introduced = "2.6.36", .fixed = "5.15.222 6.1.177 6.6.144 6.12.95 6.18.38 7.1.3 7.2", .shadow = true,
	.verified = CVE_RECORD, .dated = "2026-10-03",
},
{
	.id = "CVE-2026-46131", .makers = CVE_INTEL | CVE_AMD, .harms = CVE_HARMS_GUEST,
	.what = "addresses in Hyper-V's flush calls of an L2 are translated although nested paging is off",
	.introduced = "6.2", .fixed = "6.6.140 6.12.88 6.18.30 7.0.7 7.1-rc3",
	.verified = CVE_RECORD, .dated = "2026-05-28",
},
{
	.id = "CVE-2026-46113", .makers = CVE_INTEL | CVE_AMD, .harms = CVE_HARMS_HOST, .cvss = "8.8",
	.what = "shadow pages that were freed are used again, which corrupts the host's memory",
	.introduced = "2.6.20", .fixed = "6.1.175 6.6.140 6.12.88 6.18.30 7.0.7 7.1-rc3", .shadow = true,
	.verified = CVE_RECORD, .dated = "2026-08-21",
},
{
	.id = "CVE-2026-46076", .makers = CVE_AMD, .harms = CVE_HARMS_GUEST, .cvss = "7.9",
	.what = "an L2 can make hypercalls in the name of its L1",
	.introduced = "6.2", .fixed = "6.12.86 6.18.27 7.0.4 7.1-rc1",
	.verified = CVE_RECORD, .dated = "2026-08-21",
},
{
	.id = "CVE-2026-46032", .makers = CVE_AMD, .harms = CVE_HARMS_GUEST,
	.what = "an L1 goes on with corrupted state when its page tables cannot be loaded after an exit of L2",
	.introduced = "5.9", .fixed = "6.1.191 6.12.114 7.0.4 7.1-rc1",
	.verified = CVE_RECORD, .dated = "2026-08-21",
},
{
	.id = "CVE-2026-45987", .makers = CVE_AMD, .harms = CVE_HARMS_GUEST,
	.what = "an L2 can hang after it was saved and restored",
	.introduced = "5.8", .fixed = "5.10.258 5.15.209 6.1.175 6.6.140 6.12.86 6.18.27 7.0.4 7.1",
	.verified = CVE_RECORD, .dated = "2026-08-21",
},
{
	.id = "CVE-2026-43133", .makers = CVE_AMD, .harms = CVE_HARMS_GUEST, .cvss = "7.9",
	.what = "VMLOAD and VMSAVE of an L2 read and write the wrong control block",
	.introduced = "5.13", .fixed = "5.15.202 6.1.165 6.6.128 6.12.75 6.18.16 6.19.6 7.0",
	.verified = CVE_RECORD, .dated = "2026-08-21",
},
{
	.id = "CVE-2025-40026", .makers = CVE_INTEL | CVE_AMD, .harms = CVE_HARMS_GUEST, .cvss = "7.9",
	.what = "an L1 that changes its port permissions in the middle of an L2's access upsets KVM's emulator",
	.introduced = "3.0", .fixed = "5.4.301 5.10.246 5.15.195 6.1.157 6.6.111 6.12.52 6.16.12 6.17.2 6.18-rc1",
	.verified = CVE_RECORD, .dated = "2026-08-21",
},
{
	.id = "CVE-2024-50115", .makers = CVE_AMD, .harms = CVE_HARMS_HOST, .cvss = "8.4",
	.what = "an L1 can make the host read a few bytes beyond the guest's memory",
	.introduced = "3.2", .fixed = "5.10.229 5.15.170 6.1.115 6.6.59 6.11.6 6.12",
	.verified = CVE_RECORD, .dated = "2026-08-21",
},
{
	.id = "CVE-2024-26990", .makers = CVE_INTEL, .harms = CVE_HARMS_GUEST, .cvss = "8.8",
	.what = "what an L2 writes is missed when the guest is migrated or saved while it runs",
	.introduced = "6.4", .fixed = "6.6.29 6.8.8 6.9-rc5",
	.verified = CVE_RECORD, .dated = "2026-08-21",
},
{
	.id = "CVE-2023-30456", .makers = CVE_INTEL, .harms = CVE_HARMS_GUEST,
	.what = "an L1 can start an L2 with control registers that no processor would accept",
	.fixed = "4.19.281 5.4.238 5.10.176 5.15.104 6.1.21 6.2.8 6.3",
	.verified = CVE_SECONDARY, .dated = "2023-07-26",
},
{
	.id = "CVE-2022-45869", .makers = CVE_INTEL | CVE_AMD, .harms = CVE_HARMS_HOST, .cvss = "5.5",
	.what = "a guest that runs guests can crash the host or corrupt its memory by a race between page faults",
	.introduced = "5.12", .fixed = "5.15.82 6.0.11 6.1",
	.verified = CVE_SECONDARY, .dated = "2025-04-24",
},
{
	.id = "CVE-2022-3344", .makers = CVE_AMD, .harms = CVE_HARMS_HOST,
	.what = "an L1 can crash the host by letting its L2 shut down without intercepting that",
	.fixed = "5.15.81 6.0.11 6.1",
	.verified = CVE_SECONDARY, .dated = "2022-10-24",
},
{
	.id = "CVE-2022-2196", .makers = CVE_INTEL, .harms = CVE_HARMS_GUEST, .cvss = "5.8",
	.what = "an L2 can mislead its L1's branch prediction (Spectre v2), which the L1 believes to be safe",
	.introduced = "5.8", .fixed = "5.10.170 5.15.96 6.1.14 6.2",
	.verified = CVE_SECONDARY, .dated = "2024-08-03",
},
{
	.id = "CVE-2021-38198", .makers = CVE_INTEL | CVE_AMD, .harms = CVE_HARMS_GUEST,
	.what = "a process inside a guest can write where its page tables forbid it",
	.fixed = "4.9.299 4.14.246 4.19.204 5.4.141 5.10.44 5.12.11 5.13", .shadow = true,
	.verified = CVE_SECONDARY, .dated = "2026-10-08",
},
{
	.id = "CVE-2021-29657", .makers = CVE_AMD, .harms = CVE_HARMS_HOST,
	.what = "an L1 can reach the host's model-specific registers and so take over the host",
	.introduced = "5.10", .fixed = "5.10.28 5.11.12 5.12",
	.verified = CVE_SECONDARY, .dated = "2021-09-02",
},
{
	.id = "CVE-2021-3656", .makers = CVE_AMD, .harms = CVE_HARMS_HOST,
	.what = "an L2 can read and write the host's physical memory by VMLOAD and VMSAVE",
	.introduced = "4.13", .fixed = "4.14.245 4.19.205 5.4.142 5.10.60 5.13.12 5.14-rc7", .debian = "5.10.46-5",
	.verified = CVE_SECONDARY, .dated = "2024-08-03",
},
{
	.id = "CVE-2021-3653", .makers = CVE_AMD, .harms = CVE_HARMS_HOST,
	.what = "an L2 can read and write the host's physical memory through AVIC, which its L1 switched on for it",
	.fixed = "4.4.282 4.9.281 4.14.245 4.19.205 5.4.142 5.10.60 5.13.12 5.14-rc7", .debian = "5.10.46-5",
	.verified = CVE_SECONDARY, .dated = "2024-08-03",
},
{
	.id = "CVE-2020-2732", .makers = CVE_INTEL, .harms = CVE_HARMS_GUEST, .cvss = "5.8",
	.what = "an L2 can trick the emulator of L0 into reaching what belongs to its L1",
	.fixed = "4.4.215 4.9.215 4.14.172 4.19.107 5.4.23 5.5.7 5.6",
	.verified = CVE_SECONDARY, .dated = "2020-06-10",
},
{
	.id = "CVE-2019-7221", .makers = CVE_INTEL, .harms = CVE_HARMS_HOST,
	.what = "an L1 can make the host use a timer after it was freed and so break out to the host",
	.fixed = "4.4.175 4.9.156 4.14.99 4.19.21 4.20.8 5.0",
	.verified = CVE_SECONDARY, .dated = "2019-12-03",
},
{
	.id = "CVE-2019-3887", .makers = CVE_INTEL, .harms = CVE_HARMS_HOST, .cvss = "6.7",
	.what = "an L1 can reach the host's interrupt controller through its L2 and crash the host",
	.introduced = "4.16", .fixed = "4.19.35 5.0.8 5.1",
	.verified = CVE_SECONDARY, .dated = "2024-08-04",
},
{
	.id = "CVE-2018-16882", .makers = CVE_INTEL, .harms = CVE_HARMS_HOST, .cvss = "6.1",
	.what = "a guest can crash the host, or gain rights on it, by a posted interrupt address that is not valid",
	.introduced = "4.14", .fixed = "4.14.91 4.19.13 4.20",
	.verified = CVE_RECORD, .dated = "2024-08-05",
},
/* clang-format on */
