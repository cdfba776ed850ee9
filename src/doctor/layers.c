/*
 * What must fit together between the layers of a lab: memory and CPUs of a host and of its guests, the size of packets
 * along their way, the processors that one layer shows the next.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "doctor/checks.h"
#include "render/text.h"

#include <string.h>
#include <sys/socket.h>

enum {
	TABLES_LEAST_PERCENT =
		10, /* seeds: "increasing the total RAM metadata overhead by approximately 10-15 percent" */
	TABLES_MOST_PERCENT = 15,
	BUSY_PERCENT = 80,   /* seeds: "do not exceed 80 percent of the physical CPU allocation" */
	MTU_FLOOR = 1400,    /* seeds: "reduce the L2 MTU to 1400 bytes" */
	VXLAN_OVERHEAD = 50, /* RFC 7348: Ethernet 14, IPv4 20, UDP 8, VXLAN 8 */
	IPV6_MORE = 20,	     /* RFC 8200: its header has 40 bytes, IPv4's 20 */
};

static uint64_t guests_memory(const struct host *host)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < host->guest_count; i++)
		sum += host->guests[i]->memory;
	return sum;
}

static void look_memory(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct memory *memory = &patient->facts->memory;
	char own[BYTES_TEXT_SIZE], guests[BYTES_TEXT_SIZE], most[BYTES_TEXT_SIZE];
	struct finding *finding;
	enum result result;
	uint64_t sum;

	if (!patient->wanted || patient->wanted->guest_count == 0)
		return;
	if (!memory->total.known) {
		finding_unknown(check, examination, patient, "how much memory it has (/proc/meminfo)");
		return;
	}
	sum = guests_memory(patient->wanted);
	text_bytes(memory->total.value, own);
	text_bytes(sum, guests);
	text_bytes(sum / 100 * (100 + TABLES_MOST_PERCENT), most);
	result = sum / 100 * (100 + TABLES_LEAST_PERCENT) > memory->total.value	 ? RESULT_FAIL
		 : sum / 100 * (100 + TABLES_MOST_PERCENT) > memory->total.value ? RESULT_WARN
										 : RESULT_PASS;
	finding = finding_add(check, examination, patient, result,
			      result == RESULT_PASS
				      ? "its guests' %s and their page tables, %s in all, fit into its %s"
				      : "its guests' %s and their page tables, up to %s in all, do not fit into its %s",
			      guests, most, own);
	finding_evidence(examination, finding, &memory->origin, "%s; %zu guest%s", own, patient->wanted->guest_count,
			 patient->wanted->guest_count == 1 ? "" : "s");
	if (result == RESULT_PASS)
		return;
	if (patient->guest)
		finding_remedy(examination, finding, "in the lab file, for %s: memory: %lluM, or less for its guests",
			       patient->guest->path,
			       (unsigned long long)(sum / 100 * (100 + TABLES_MOST_PERCENT) >> 20) + 128);
	else
		finding_remedy(examination, finding, "in the lab file: less memory for the guests, or fewer of them");
}

const struct check check_memory_layers = {
	.id = "memory.layers",
	.title = "memory is enough for all layers, page tables of page tables included",
	.severity = SEVERITY_REQUIRED,
	.matters = "Every layer keeps page tables for the next one, 10 to 15 % on top of its guests' memory; what does "
		   "not "
		   "fit is swapped or ended.",
	.look = look_memory,
};

static void look_cpus(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct processor *processor = &patient->facts->processor;
	const struct host *wanted = patient->wanted;
	struct finding *finding;
	unsigned long long sum = 0, allowed;

	if (!wanted || wanted->guest_count == 0)
		return;
	if (!processor->threads.known) {
		finding_unknown(check, examination, patient, "how many CPUs it has (/proc/cpuinfo)");
		return;
	}
	for (size_t i = 0; i < wanted->guest_count; i++)
		sum += wanted->guests[i]->cpus;
	allowed = processor->threads.value * wanted->cpu_overcommit; /* in hundredths */
	if (sum * 100 * 100 > allowed * BUSY_PERCENT) {
		finding = finding_add(
			check, examination, patient, sum * 100 > allowed ? RESULT_FAIL : RESULT_WARN,
			"its guests have %llu CPUs, more than %d %% of what it may give (%llu of its own%s)", sum,
			BUSY_PERCENT, (unsigned long long)processor->threads.value,
			wanted->cpu_overcommit > 100 ? ", overcommitted" : "");
		finding_remedy(
			examination, finding,
			"in the lab file: fewer CPUs for the guests%s%s, or cpu-overcommit where they are mostly idle",
			patient->guest ? " of " : "", patient->guest ? patient->guest->path : "");
	} else {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "its guests' %llu CPUs leave it some of its %llu", sum,
				      (unsigned long long)processor->threads.value);
	}
	finding_evidence(examination, finding, &processor->origin, "%llu CPUs",
			 (unsigned long long)processor->threads.value);
}

const struct check check_cpu_layers = {
	.id = "cpu.layers",
	.title = "guests have at most 80 % of their host's CPUs",
	.severity = SEVERITY_ADVICE,
	.matters =
		"A host needs CPU time to carry its guests' exits; where it has none left, all of them stall together.",
	.look = look_cpus,
};

/* The interface by which packets to an address (NULL: to the world) leave a host, as its main table has it. */
static const struct link *way_out(const struct facts *facts, const struct ip *to)
{
	const struct route *best = NULL;

	for (size_t i = 0; i < facts->link_count && to; i++)
		for (size_t j = 0; j < facts->links[i].address_count; j++)
			if (prefix_contains(&facts->links[i].addresses[j].prefix, to))
				return &facts->links[i];
	for (size_t i = 0; i < facts->route_count; i++) {
		const struct route *route = &facts->routes[i];
		bool fits = to ? route->family == to->family && prefix_contains(&route->to, to) : route->to.length == 0;

		if (route->type != ROUTE_TYPE_UNICAST || (route->table && strcmp(route->table, "main") != 0) || !fits ||
		    route->nexthop_count == 0 || !route->nexthops[0].dev)
			continue;
		if (!best || route->to.length > best->to.length ||
		    (route->to.length == best->to.length && route->family < best->family))
			best = route;
	}
	return best ? facts_link(facts, best->nexthops[0].dev) : NULL;
}

static void judge_network(const struct check *check, struct examination *examination, const struct patient *patient,
			  const struct network *network)
{
	unsigned overhead = network_overhead(network);
	const struct link *link = way_out(patient->facts, network->peer_count ? &network->peers[0] : NULL);
	const char *name = encapsulation_name(network->encapsulation);
	struct finding *finding;
	uint64_t carries;

	if (network->encapsulation == ENCAP_NONE && network->uplink == UPLINK_NONE)
		return; /* its packets go nowhere */
	if (!link || !link->mtu.known) {
		if (network->mtu + overhead <= MTU_FLOOR)
			finding_add(check, examination, patient, RESULT_PASS,
				    "packets of %s have at most %u bytes, which every way carries", network->path,
				    network->mtu + overhead);
		else
			finding_unknown(check, examination, patient,
					arena_printf(examination->arena,
						     "the MTU of the way that packets of %s take (ip route, ip link)",
						     network->path));
		return;
	}
	carries = link->mtu.value;
	if (network->mtu + overhead <= carries) {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "packets of %s, %u bytes%s, fit into %s of its way out", network->path,
				      network->mtu + overhead, overhead ? " in their tunnel" : "", link->name);
	} else if (overhead) {
		finding = finding_add(
			check, examination, patient, RESULT_FAIL,
			"packets of %s have up to %u bytes, %s adds %u, and %s carries %llu: large ones are "
			"lost",
			network->path, network->mtu, name, overhead, link->name, (unsigned long long)carries);
	} else {
		finding = finding_add(
			check, examination, patient, RESULT_WARN,
			"packets of %s have up to %u bytes, and %s on their way carries %llu: large ones are "
			"cut or lost",
			network->path, network->mtu, link->name, (unsigned long long)carries);
	}
	finding_evidence(examination, finding, link->origin_count ? &link->origins[0] : NULL, "%s: mtu %llu",
			 link->name, (unsigned long long)carries);
	if (finding->result == RESULT_PASS)
		return;
	finding_remedy(examination, finding, "in the lab file, for the network %s: mtu: %llu%s", network->path,
		       (unsigned long long)(carries > overhead ? carries - overhead : 0),
		       carries > overhead + MTU_FLOOR ? " (1400 fits nearly everywhere)" : "");
	if (patient->guest)
		finding_remedy(examination, finding,
			       "or larger packets below: mtu: %u for the network of its %s in the lab file",
			       network->mtu + overhead, link->name);
	else
		finding_remedy(examination, finding,
			       "or larger packets below: ip link set %s mtu %u, where all of that network "
			       "carries them (jumbo frames)",
			       link->name, network->mtu + overhead);
}

/* A tunnel that is there already, whoever made it. */
static void judge_tunnel(const struct check *check, struct examination *examination, const struct patient *patient,
			 const struct link *link)
{
	bool ipv6 = link->tunnel.remote.family == AF_INET6 || link->tunnel.local.family == AF_INET6;
	unsigned overhead = VXLAN_OVERHEAD + (ipv6 ? IPV6_MORE : 0);
	const struct link *below =
		link->tunnel.dev ? facts_link(patient->facts, link->tunnel.dev)
				 : way_out(patient->facts, link->tunnel.remote.family ? &link->tunnel.remote : NULL);
	struct finding *finding;

	if (!below || !below->mtu.known || !link->mtu.known) {
		finding_unknown(check, examination, patient,
				arena_printf(examination->arena, "the MTU of %s, or of what carries it", link->name));
		return;
	}
	if (link->mtu.value + overhead <= below->mtu.value) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "packets of the tunnel %s fit into %s",
				      link->name, below->name);
	} else {
		finding = finding_add(
			check, examination, patient, RESULT_FAIL,
			"packets of the tunnel %s have up to %llu bytes, %s adds %u, and %s carries %llu: large "
			"ones are lost",
			link->name, (unsigned long long)link->mtu.value, link->kind, overhead, below->name,
			(unsigned long long)below->mtu.value);
		finding_remedy(examination, finding,
			       "ip link set %s mtu %llu    # and the same for its bridge and the guests", link->name,
			       (unsigned long long)(below->mtu.value - overhead));
	}
	finding_evidence(examination, finding, link->origin_count ? &link->origins[0] : NULL,
			 "%s: mtu %llu; %s: mtu %llu", link->name, (unsigned long long)link->mtu.value, below->name,
			 (unsigned long long)below->mtu.value);
}

/* A tap and the NIC behind it: what is longer than the tap takes never arrives. */
static void judge_cable(const struct check *check, struct examination *examination, const struct patient *patient,
			const struct relation *relation)
{
	const struct facts *other = bundle_host(examination->bundle, relation->ends[0].host);
	const struct link *tap = other && relation->ends[0].interface ? facts_link(other, relation->ends[0].interface)
								      : NULL,
			  *nic = relation->ends[1].interface ? facts_link(patient->facts, relation->ends[1].interface)
							     : NULL;
	struct finding *finding;

	if (!tap || !nic || !tap->mtu.known || !nic->mtu.known)
		return;
	if (tap->mtu.value == nic->mtu.value) {
		finding =
			finding_add(check, examination, patient, RESULT_PASS,
				    "%s and %s of %s agree on the size of packets", nic->name, tap->name, other->name);
	} else {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "%s sends packets of up to %llu bytes, and its other end, %s of %s, takes %llu",
				      nic->name, (unsigned long long)nic->mtu.value, tap->name, other->name,
				      (unsigned long long)tap->mtu.value);
		finding_remedy(examination, finding, "in %s: ip link set %s mtu %llu", patient->host, nic->name,
			       (unsigned long long)tap->mtu.value);
	}
	finding_evidence(examination, finding, nic->origin_count ? &nic->origins[0] : NULL,
			 "%s: mtu %llu; %s: mtu %llu", nic->name, (unsigned long long)nic->mtu.value, tap->name,
			 (unsigned long long)tap->mtu.value);
}

static void look_mtu(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct bundle *bundle = examination->bundle;

	for (size_t i = 0; patient->wanted && i < patient->wanted->network_count; i++)
		judge_network(check, examination, patient, patient->wanted->networks[i]);
	for (size_t i = 0; i < patient->facts->link_count; i++) {
		const struct link *link = &patient->facts->links[i];

		if (link->kind && (strcmp(link->kind, "vxlan") == 0 || strcmp(link->kind, "geneve") == 0))
			judge_tunnel(check, examination, patient, link);
	}
	for (size_t i = 0; bundle && i < bundle->relation_count; i++)
		if (bundle->relations[i].kind == RELATION_TAP && bundle->relations[i].end_count == 2 &&
		    bundle->relations[i].ends[0].host && bundle->relations[i].ends[1].host &&
		    strcmp(bundle->relations[i].ends[1].host, patient->facts->name) == 0)
			judge_cable(check, examination, patient, &bundle->relations[i]);
}

const struct check check_net_mtu = {
	.id = "net.mtu",
	.title = "packets of every layer fit into those of the layer below (MTU)",
	.severity = SEVERITY_ADVICE,
	.matters = "A tunnel adds 50 bytes or more to each packet; where the layer below does not carry them, small "
		   "packets pass "
		   "and large ones vanish: ping works, and ssh hangs.",
	.look = look_mtu,
};

/* Of a guest the processor that its host has, and of a derived one there is nothing to compare. */
static void look_match(const struct check *check, struct examination *examination, const struct patient *patient)
{
	static const char *const wanted[] = {"aes",    "avx2",	   "pcid", "pdpe1gb", "x2apic", "tsc_deadline_timer",
					     "rdtscp", "fsgsbase", "erms", "invpcid"};
	const struct processor *own = &patient->facts->processor, *outer;
	cleanup_strbuf struct strbuf lacks = {};
	struct finding *finding;

	if (!patient->outer || patient->derived || patient->outer->facts->system == SYSTEM_WINDOWS)
		return;
	outer = &patient->outer->facts->processor;
	if (!own->vendor || !outer->vendor || own->flags_known != TRUTH_YES || outer->flags_known != TRUTH_YES) {
		finding_unknown(check, examination, patient, "its CPU, or that of its host (/proc/cpuinfo)");
		return;
	}
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		if (look_flag(patient->outer->facts, wanted[i]) == TRUTH_YES &&
		    look_flag(patient->facts, wanted[i]) == TRUTH_NO)
			strbuf_printf(&lacks, "%s%s", lacks.length ? ", " : "", wanted[i]);
	if (strcmp(own->vendor, outer->vendor) != 0) {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "it sees a CPU of another maker than its host has: it is emulated");
		finding_remedy(examination, finding, "kvm.boot of %s says why it is, where KVM was meant to run it",
			       patient->outer->host);
	} else if (lacks.length) {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "its host's CPU has what it does not see: %s", lacks.text);
		finding_remedy(examination, finding, "on %s: give it the whole CPU (host-passthrough)",
			       patient->outer->host);
	} else if (own->microcode && outer->microcode && strcmp(own->microcode, outer->microcode) != 0) {
		finding = finding_add(
			check, examination, patient, RESULT_WARN,
			"it sees another microcode than its host has, and may guard itself against what is mended, "
			"or not against what is not");
		finding_remedy(examination, finding, "on %s: give it the whole CPU (host-passthrough)",
			       patient->outer->host);
	} else {
		finding = finding_add(check, examination, patient, RESULT_PASS, "it sees the CPU of its host");
	}
	finding_evidence(examination, finding, &own->origin, "%s, microcode %s; its host: %s, microcode %s",
			 own->model_name ? own->model_name : own->vendor, own->microcode ? own->microcode : "unknown",
			 outer->model_name ? outer->model_name : outer->vendor,
			 outer->microcode ? outer->microcode : "unknown");
}

const struct check check_cpu_match = {
	.id = "cpu.match",
	.title = "a guest sees the CPU that its host has",
	.severity = SEVERITY_NOTE,
	.matters = "A hypervisor can hand on only what it sees; what one layer hides is missing in all below, and some "
		   "of it "
		   "makes entries fail.",
	.look = look_match,
};
