/*
 * Under KVM a guest's CPU is the host's own, without what KVM keeps to itself, and with vmx or svm only where it is to
 * have guests and its host may hand the extension on. Emulated, it is the model that the profile names. The images that
 * nestvisor makes load KVM and what networks need where they are hypervisors (image.h, nestvisor.host=1); what a user's
 * own disk does is not known.
 */
#include "doctor/derive.h"

#include "base/arena.h"
#include "doctor/checks.h"
#include "driver/profile.h"
#include "image/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const struct origin from_lab = {.source = "the lab file"}, from_profile = {.source = "QEMU's profile"},
			   from_image = {.source = "the image"};

/* Arrays of facts grow in the arena; see arena_push(). */
#define push(arena, facts, list, count) arena_push(arena, (facts)->list, (facts)->count)

static void add_flag(struct arena *arena, struct processor *processor, const char *flag)
{
	*arena_push(arena, processor->flags, processor->flag_count) = flag;
}

static bool is_listed(const char *const *list, const char *word)
{
	for (; *list; list++)
		if (strcmp(*list, word) == 0)
			return true;
	return false;
}

/*
 * What KVM does not give to guests (arch/x86/kvm/cpuid.c, kvm_set_cpu_caps()): power management, monitoring, cache
 * shares, and of SVM what it does not emulate.
 */
static const char *const kept_back[] = {"acpi",		 "tm",
					"pbe",		 "dts",
					"dtes64",	 "monitor",
					"ds_cpl",	 "smx",
					"est",		 "tm2",
					"cnxt_id",	 "xtpr",
					"pdcm",		 "dca",
					"sdbg",		 "epb",
					"cat_l3",	 "cdp_l3",
					"cat_l2",	 "mba",
					"cqm",		 "rdt_a",
					"cqm_llc",	 "cqm_occup_llc",
					"cqm_mbm_total", "cqm_mbm_local",
					"dtherm",	 "ida",
					"pln",		 "pts",
					"hwp",		 "hwp_act_window",
					"hwp_epp",	 "hwp_pkg_req",
					"hwp_notify",	 "hfi",
					"aperfmperf",	 "intel_pt",
					"intel_ppin",	 "avic",
					"x2avic",	 "skinit",
					"wdt",		 "ibs",
					"hw_pstate",	 "cpb",
					"svm_lock",	 "decodeassists",
					"art",		 "bts",
					"pebs",		 "mwaitx",
					"rapl",		 NULL};

/* The extension and what comes with it: in a guest that is to have no guests all of it is gone. */
static const char *const of_nesting[] = {
	"vmx",	      "svm",	      "ept",	     "vpid",	    "ept_ad",	       "tpr_shadow",
	"vnmi",	      "flexpriority", "npt",	     "lbrv",	    "nrip_save",       "tsc_scale",
	"vmcb_clean", "flushbyasid",  "pausefilter", "pfthreshold", "v_vmsave_vmload", "vgif",
	NULL};

/* May this host's guests have guests? Its own answer, read as its checks read it. */
static enum truth hands_on(const struct facts *host)
{
	const struct processor_kind *kind = look_processor_kind(host);
	char path[128];

	if (!kind || look_flag(host, kind->flag) == TRUTH_NO)
		return kind || host->processor.flags_known == TRUTH_YES ? TRUTH_NO : TRUTH_UNKNOWN;
	snprintf(path, sizeof(path), "/sys/module/%s/parameters/nested", kind->module);
	return look_truth(host, path);
}

static void derive_passed_on(struct arena *arena, const struct derivation *derivation, struct facts *facts)
{
	const struct processor *outer = &derivation->host->processor;
	struct processor *processor = &facts->processor;
	enum truth nests = derivation->guest->nested ? hands_on(derivation->host) : TRUTH_NO;

	*processor = (struct processor){.vendor = outer->vendor,
					.model_name = outer->model_name,
					.family = outer->family,
					.model = outer->model,
					.stepping = outer->stepping,
					.microcode = outer->microcode,
					.flags_known = nests == TRUTH_UNKNOWN ? TRUTH_UNKNOWN : outer->flags_known,
					.bugs = outer->bugs,
					.bug_count = outer->bug_count};
	for (size_t i = 0; i < outer->flag_count; i++)
		if (!is_listed(kept_back, outer->flags[i]) &&
		    (nests == TRUTH_YES || !is_listed(of_nesting, outer->flags[i])) &&
		    strcmp(outer->flags[i], "hypervisor") != 0)
			add_flag(arena, processor, outer->flags[i]);
	if (outer->flag_count)
		add_flag(arena, processor, "hypervisor");
}

/*
 * What TCG (QEMU 7.2) shows of its model EPYC, as a kernel in it lists it. The model's TOPOEXT, OSVW and the like are
 * not emulated.
 */
static const char epyc_flags[] = "fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr "
				 "sse sse2 ht syscall nx mmxext "
				 "pdpe1gb rdtscp lm rep_good nopl cpuid extd_apicid pni pclmulqdq monitor ssse3 fma "
				 "cx16 sse4_1 sse4_2 movbe popcnt aes "
				 "xsave avx f16c rdrand hypervisor lahf_lm cmp_legacy cr8_legacy abm sse4a "
				 "3dnowprefetch ssbd vmmcall fsgsbase bmi1 avx2 "
				 "smep bmi2 adx smap clflushopt xsaveopt xgetbv1 arat";

/* "EPYC,+svm,+npt" */
static void derive_emulated(struct arena *arena, const char *cpu, struct facts *facts)
{
	struct processor *processor = &facts->processor;
	char *words, *word, *rest;

	processor->flags_known = TRUTH_UNKNOWN;
	if (strncmp(cpu, "EPYC", strcspn(cpu, ",")) != 0)
		return;
	*processor = (struct processor){.vendor = "AuthenticAMD",
					.model_name = "AMD EPYC Processor",
					.family = number_of(23),
					.model = number_of(1),
					.stepping = number_of(2),
					.flags_known = TRUTH_YES};
	words = arena_strdup(arena, epyc_flags);
	for (word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		add_flag(arena, processor, word);
	words = arena_strdup(arena, cpu);
	for (word = strtok_r(words, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
		if (*word == '+')
			add_flag(arena, processor, word + 1);
}

static void derive_processor(struct arena *arena, const struct derivation *derivation, struct facts *facts)
{
	struct image image = {.kernel = image_is_builtin(derivation->guest->image) ? "" : NULL};
	struct driver_guest guest = {.image = &image,
				     .os = derivation->guest->os,
				     .accelerator = derivation->kvm == TRUTH_YES ? ACCEL_KVM : ACCEL_TCG};
	const struct profile *profile;
	const char *cpu;

	if (derivation->kvm != TRUTH_UNKNOWN && profile_choose(&guest, &profile, NULL) == 0) {
		cpu = derivation->guest->nested ? profile->cpu_nested : profile->cpu_plain;
		if (strncmp(cpu, "host", strcspn(cpu, ",")) == 0)
			derive_passed_on(arena, derivation, facts);
		else
			derive_emulated(arena, cpu, facts);
	}
	facts->processor.threads = facts->processor.cores = number_of(derivation->guest->cpus);
	facts->processor.sockets = number_of(1);
	facts->processor.origin = from_profile;
}

/* "6.1.0-28-cloud-amd64 (debian-kernel@…) #1 SMP … Debian 6.1.119-1 (2024-11-22)" */
static void derive_kernel(struct arena *arena, const char *version, struct facts *facts)
{
	const char *build = version ? strchr(version, '#') : NULL;

	facts->system = SYSTEM_LINUX;
	facts->kernel.machine = "x86_64";
	facts->kernel.origin = from_image;
	if (version)
		facts->kernel.release = arena_strndup(arena, version, strcspn(version, " "));
	if (build)
		facts->kernel.version = arena_strdup(arena, build);
}

static void add_attribute(struct arena *arena, struct facts *facts, const char *path, const char *value)
{
	*push(arena, facts, attributes, attribute_count) =
		(struct attribute){.path = arena_strdup(arena, path), .value = value, .origin = from_image};
}

static void add_node(struct arena *arena, struct facts *facts, const char *path)
{
	*push(arena, facts, nodes, node_count) = (struct node){.path = path,
							       .exists = TRUTH_YES,
							       .type = "character device",
							       .mode = number_of(0600),
							       .owner = "root",
							       .group = "root",
							       .origin = from_image};
}

/* What KVM in the guest can use is what KVM of its host emulates: of paging and the like what that has itself. */
static void derive_parameters(struct arena *arena, const struct derivation *derivation,
			      const struct processor_kind *kind, struct facts *facts)
{
	static const char *const handed_on[] = {"ept", "npt", "unrestricted_guest", "vpid", "enable_shadow_vmcs"};

	for (size_t i = 0; i < sizeof(handed_on) / sizeof(*handed_on); i++) {
		const char *path = arena_printf(arena, "/sys/module/%s/parameters/%s", kind->module, handed_on[i]);
		const char *outer = facts_attribute(derivation->host, path);

		if (derivation->kvm == TRUTH_YES && outer)
			add_attribute(arena, facts, path, outer);
		else if (derivation->kvm == TRUTH_NO && strcmp(handed_on[i], "npt") == 0 &&
			 look_flag(facts, "npt") == TRUTH_YES)
			add_attribute(arena, facts, path, "Y");
	}
	add_attribute(arena, facts, arena_printf(arena, "/sys/module/%s/parameters/nested", kind->module),
		      strcmp(kind->flag, "vmx") == 0 ? "Y" : "1");
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct attribute *)a)->path, ((const struct attribute *)b)->path);
}

/* A hypervisor of an image of ours: KVM loaded with nesting, tun loaded, and root is who looks. */
static void derive_hypervisor(struct arena *arena, const struct derivation *derivation, struct facts *facts)
{
	const struct processor_kind *kind = look_processor_kind(facts);

	facts->caller = (struct caller){.user = "root", .id = number_of(0), .origin = from_image};
	if (!derivation->guest->host || !image_is_builtin(derivation->guest->image))
		return;
	if (kind && look_flag(facts, kind->flag) == TRUTH_YES) {
		*push(arena, facts, modules, module_count) =
			(struct module){.name = kind->module, .state = "Live", .origin = from_image};
		derive_parameters(arena, derivation, kind, facts);
		add_node(arena, facts, "/dev/kvm");
	}
	add_node(arena, facts, "/dev/net/tun");
	*push(arena, facts, programs, program_count) =
		(struct program){.name = "qemu-system-x86_64-microvm", .installed = TRUTH_YES, .origin = from_image};
	facts->modules_known = TRUTH_NO;
	if (facts->attribute_count)
		qsort(facts->attributes, facts->attribute_count, sizeof(*facts->attributes), by_path);
}

static void add_address(struct arena *arena, struct link *link, const struct ip *ip, const struct prefix *subnet)
{
	if (!ip->family)
		return;
	*arena_push(arena, link->addresses, link->address_count) = (struct address){
		.prefix = {.ip = *ip, .length = subnet->length}, .scope = "global", .origin = from_lab};
}

static struct link *add_link(struct arena *arena, struct facts *facts, const char *name, const char *kind, unsigned mtu)
{
	struct link *link = push(arena, facts, links, link_count);

	*link = (struct link){.name = name,
			      .kind = kind,
			      .up = TRUTH_YES,
			      .mtu = number_of(mtu),
			      .addresses4_known = TRUTH_YES,
			      .addresses6_known = TRUTH_YES};
	*arena_push(arena, link->origins, link->origin_count) = from_lab;
	return link;
}

static void add_default_route(struct arena *arena, struct facts *facts, const struct ip *gateway, const char *dev)
{
	struct nexthop *nexthops = NULL;
	size_t count = 0;

	if (!gateway->family)
		return;
	*arena_push(arena, nexthops, count) = (struct nexthop){.via = *gateway, .dev = dev};
	*push(arena, facts, routes, route_count) = (struct route){.family = gateway->family,
								  .type = ROUTE_TYPE_UNICAST,
								  .to = {.ip = {.family = gateway->family}},
								  .table = "main",
								  .nexthops = nexthops,
								  .nexthop_count = count,
								  .origin = from_lab};
}

static void derive_network(struct arena *arena, const struct guest *guest, struct facts *facts)
{
	facts->links_known = TRUTH_YES;
	for (size_t i = 0; i < guest->nic_count; i++) {
		const struct nic *nic = &guest->nics[i];
		const char *name = arena_printf(arena, "eth%zu", i);
		struct link *link;

		if (!nic->network)
			continue;
		link = add_link(arena, facts, name, "ether", nic->network->mtu);
		add_address(arena, link, &nic->address4, &nic->network->subnet4);
		add_address(arena, link, &nic->address6, &nic->network->subnet6);
		if (i == 0) {
			add_default_route(arena, facts, &nic->network->gateway4, name);
			add_default_route(arena, facts, &nic->network->gateway6, name);
		}
	}
	for (size_t i = 0; guest->host && i < guest->host->network_count; i++) {
		const struct network *network = guest->host->networks[i];
		struct link *link = add_link(arena, facts, network->bridge, "bridge", network->mtu);

		add_address(arena, link, &network->gateway4, &network->subnet4);
		add_address(arena, link, &network->gateway6, &network->subnet6);
	}
}

struct facts *derive_facts(struct arena *arena, const struct derivation *derivation)
{
	struct facts *facts = arena_new_struct(arena, struct facts);

	facts->name = derivation->guest->path;
	derive_kernel(arena, derivation->kernel, facts);
	derive_processor(arena, derivation, facts);
	facts->memory.total = number_of(derivation->guest->memory);
	facts->memory.origin = from_lab;
	derive_hypervisor(arena, derivation, facts);
	derive_network(arena, derivation->guest, facts);
	return facts;
}
