/* Others on this host who are in the way: firewalls, networks that are used twice, other hypervisors. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "doctor/checks.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* iptables' own chain of what this host forwards, whatever backend it is in. */
static const struct table *filter_table(const struct facts *facts)
{
	for (size_t i = 0; i < facts->ruleset.table_count; i++) {
		const struct table *table = &facts->ruleset.tables[i];

		if (table->family == FAMILY_IP && strcmp(table->name, "filter") == 0 && table_chain(table, "FORWARD") &&
		    !table_chain(table, "FORWARD")->shadowed)
			return table;
	}
	return NULL;
}

static bool firewall_known(const struct facts *facts)
{
	return filter_table(facts) || ruleset_covers(&facts->ruleset, BACKEND_XTABLES, FAMILY_IP, "filter") ||
	       ruleset_covers(&facts->ruleset, BACKEND_NFTABLES, FAMILY_IP, "filter");
}

static bool is_docker_chain(const char *name)
{
	return strncmp(name, "DOCKER", strlen("DOCKER")) == 0;
}

static bool has_docker(const struct table *table)
{
	for (size_t i = 0; table && i < table->chain_count; i++)
		if (is_docker_chain(table->chains[i].name))
			return true;
	return false;
}

static const struct rule *accepting_rule(const struct chain *chain)
{
	for (size_t i = 0; chain && i < chain->rule_count; i++)
		for (size_t j = 0; j < chain->rules[i].statement_count; j++)
			if (chain->rules[i].statements[j].kind == STATEMENT_VERDICT &&
			    chain->rules[i].statements[j].verdict.kind == VERDICT_ACCEPT)
				return &chain->rules[i];
	return NULL;
}

/*
 * https://docs.docker.com/engine/network/packet-filtering-firewalls/: Docker sets the policy of FORWARD to DROP, and
 * gives the chain DOCKER-USER to whoever wants others forwarded, too.
 */
static void look_docker(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct table *table = filter_table(patient->facts);
	const struct chain *forward = table ? table_chain(table, "FORWARD") : NULL;
	struct finding *finding;
	const struct rule *rule;

	if (!look_is_host(patient->facts))
		return;
	if (!firewall_known(patient->facts)) {
		finding_unknown(check, examination, patient, "the rules of iptables (iptables-save, as root)");
		return;
	}
	if (!forward || forward->policy != VERDICT_DROP) {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "the policy of iptables' FORWARD does not drop");
		finding_evidence(examination, finding, forward ? &forward->origin : NULL, "%s",
				 forward ? "policy ACCEPT" : "no such chain");
		return;
	}
	rule = accepting_rule(table_chain(table, "DOCKER-USER"));
	if (rule) {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "Docker's policy drops, and DOCKER-USER lets others through");
		finding_evidence(examination, finding, &rule->origin, "%s", rule->text ? rule->text : "accept");
		return;
	}
	if (has_docker(table)) {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "Docker has set the policy of FORWARD to DROP: what guests send is dropped");
		finding_remedy(examination, finding,
			       "iptables -I DOCKER-USER -i nv+ -j ACCEPT && iptables -I DOCKER-USER -o "
			       "nv+ -j ACCEPT    # libvirt's: virbr+");
		finding_remedy(examination, finding,
			       "or leave it to Docker 28 and newer: {\"ip-forward-no-drop\": true} in "
			       "/etc/docker/daemon.json, and systemctl restart docker");
	} else {
		finding = finding_add(
			check, examination, patient, RESULT_WARN,
			"the policy of iptables' FORWARD is DROP: what guests send is dropped unless a rule "
			"lets it through");
		finding_remedy(examination, finding,
			       "iptables -I FORWARD -i nv+ -j ACCEPT && iptables -I FORWARD -o nv+ -j ACCEPT");
	}
	finding_evidence(examination, finding, &forward->origin, ":FORWARD DROP");
}

const struct check check_conflict_docker = {
	.id = "conflict.docker",
	.title = "no policy drops what guests send (Docker's FORWARD)",
	.severity = SEVERITY_ADVICE,
	.matters =
		"Guests' packets are forwarded by their host; a policy of DROP made for containers stops them as well.",
	.look = look_docker,
};

static const struct table *firewalld_table(const struct facts *facts)
{
	for (size_t i = 0; i < facts->ruleset.table_count; i++)
		if (strcmp(facts->ruleset.tables[i].name, "firewalld") == 0)
			return &facts->ruleset.tables[i];
	return NULL;
}

/* firewalld.zones(5): an interface that is in no zone is in the default one, which forwards nothing to others. */
static void look_firewalld(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	const struct node *pid = facts_node(facts, "/run/firewalld.pid");
	const struct table *table = firewalld_table(facts);
	const struct program *program = facts_program(facts, "firewalld");
	struct finding *finding;

	if (!look_is_host(facts))
		return;
	if (table || (pid && pid->exists == TRUTH_YES)) {
		finding = finding_add(
			check, examination, patient, RESULT_WARN,
			"firewalld runs: what no zone names goes by the default zone, which forwards nothing");
		finding_evidence(examination, finding, table ? &table->origin : &pid->origin, "%s",
				 table ? "table firewalld" : "/run/firewalld.pid");
		finding_remedy(examination, finding,
			       "firewall-cmd --permanent --zone=trusted --add-source=100.64.0.0/10 && "
			       "firewall-cmd --reload");
		return;
	}
	if ((pid && pid->exists == TRUTH_NO) || (program && program->installed == TRUTH_NO)) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "firewalld does not run");
		finding_evidence(examination, finding, pid ? &pid->origin : &program->origin, "%s",
				 pid ? "/run/firewalld.pid is missing" : "it is not installed");
		return;
	}
	finding_unknown(check, examination, patient, "whether firewalld runs");
}

const struct check check_conflict_firewalld = {
	.id = "conflict.firewalld",
	.title = "firewalld does not stop labs",
	.severity = SEVERITY_NOTE,
	.matters = "firewalld forwards only between zones that it was told of; a lab's network is in none of them.",
	.look = look_firewalld,
};

/* Interfaces of labs, of nestvisor and of libvirt. */
static bool is_lab_interface(const char *name)
{
	static const char *const patterns[] = {"nv*", "virbr*", "vnet*", "tap*", "macvtap*"};

	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++)
		if (fnmatch(patterns[i], name, 0) == 0)
			return true;
	return false;
}

static bool nftables_known(const struct facts *facts)
{
	for (size_t i = 0; i < facts->ruleset.coverage_count; i++)
		if (facts->ruleset.coverage[i].backend == BACKEND_NFTABLES)
			return true;
	return false;
}

/* Documentation/networking/nf_flowtable.rst: a flow that is in a flowtable skips every later hook, forward among them.
 */
static void look_flowtables(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	size_t flowtables = 0;
	struct finding *finding;

	if (!look_is_host(facts))
		return;
	for (size_t i = 0; i < facts->ruleset.table_count; i++) {
		const struct table *table = &facts->ruleset.tables[i];

		for (size_t j = 0; j < table->object_count; j++) {
			const struct object *object = &table->objects[j];

			if (strcmp(object->kind, "flowtable") != 0)
				continue;
			flowtables++;
			for (size_t k = 0; k < object->device_count; k++) {
				if (!is_lab_interface(object->devices[k]))
					continue;
				finding = finding_add(
					check, examination, patient, RESULT_FAIL,
					"the flowtable %s of table %s takes flows of %s past all rules: cutting "
					"a guest off does not end what it already has",
					object->name, table->name, object->devices[k]);
				finding_evidence(examination, finding, &object->origin, "flowtable %s on %s",
						 object->name, object->devices[k]);
				finding_remedy(examination, finding,
					       "take %s out of the flowtable's devices in the file "
					       "that makes it, and nft -f that file",
					       object->devices[k]);
				return;
			}
		}
	}
	if (!nftables_known(facts)) {
		finding_unknown(check, examination, patient, "the rules of nftables (nft list ruleset, as root)");
		return;
	}
	finding = finding_add(check, examination, patient, RESULT_PASS,
			      "no flowtable takes flows of labs past the rules");
	finding_evidence(examination, finding, NULL, "%zu flowtable%s in nftables", flowtables,
			 flowtables == 1 ? "" : "s");
}

const struct check check_conflict_flowtables = {
	.id = "conflict.flowtables",
	.title = "no flowtable takes flows of guests past the rules",
	.severity = SEVERITY_ADVICE,
	.matters = "An isolation that flows can pass by is none.",
	.look = look_flowtables,
};

static bool counts_as_subnet(const struct link *link, const struct address *address)
{
	const struct ip *ip = &address->prefix.ip;

	if (address->prefix.length == ip_bits(ip) || (link->name && strcmp(link->name, "lo") == 0))
		return false;
	return !(ip->family == AF_INET6 && ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80); /* link-local */
}

/* Two interfaces with addresses in one subnet: one route to it wins, and the other interface is never used. */
static bool find_overlap(const struct facts *facts, const struct link **a, const struct address **x,
			 const struct link **b, const struct address **y)
{
	for (size_t i = 0; i < facts->link_count; i++)
		for (size_t j = i + 1; j < facts->link_count; j++)
			for (size_t k = 0; k < facts->links[i].address_count; k++)
				for (size_t l = 0; l < facts->links[j].address_count; l++) {
					*a = &facts->links[i];
					*b = &facts->links[j];
					*x = &(*a)->addresses[k];
					*y = &(*b)->addresses[l];
					if (counts_as_subnet(*a, *x) && counts_as_subnet(*b, *y) &&
					    prefix_overlaps(&(*x)->prefix, &(*y)->prefix))
						return true;
				}
	return false;
}

static bool is_own_network(const struct link *link)
{
	return (link->kind && strcmp(link->kind, "bridge") == 0) || fnmatch("virbr*", link->name, 0) == 0;
}

/*
 * A network of this host in a subnet that a host further out has, too: what is in the outer one cannot be reached from
 * here. Only networks that it has made itself count; its NICs are in subnets of the host it runs on, as they should be.
 */
static bool find_outer_overlap(const struct patient *patient, const struct link **own, const struct address **x,
			       const struct patient **ret_outer, const struct link **other, const struct address **y)
{
	for (const struct patient *outer = patient->outer; outer; outer = outer->outer)
		for (size_t i = 0; i < patient->facts->link_count; i++)
			for (size_t j = 0; j < outer->facts->link_count; j++)
				for (size_t k = 0; k < patient->facts->links[i].address_count; k++)
					for (size_t l = 0; l < outer->facts->links[j].address_count; l++) {
						*ret_outer = outer;
						*own = &patient->facts->links[i];
						*other = &outer->facts->links[j];
						*x = &(*own)->addresses[k];
						*y = &(*other)->addresses[l];
						if (is_own_network(*own) && counts_as_subnet(*own, *x) &&
						    counts_as_subnet(*other, *y) &&
						    prefix_overlaps(&(*x)->prefix, &(*y)->prefix))
							return true;
					}
	return false;
}

static void add_subnet_remedy(struct examination *examination, struct finding *finding, const struct link *link)
{
	if (fnmatch("virbr*", link->name, 0) == 0)
		finding_remedy(examination, finding,
			       "virsh net-edit default, another subnet in <ip address='192.168.124.1' …>, virsh "
			       "net-destroy default && virsh net-start default");
	else
		finding_remedy(examination, finding, "give %s another subnet", link->name);
}

static void look_subnets(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	const struct link *a, *b;
	const struct address *x, *y;
	char left[PREFIX_TEXT_SIZE], right[PREFIX_TEXT_SIZE];
	const struct patient *outer;
	struct finding *finding;

	if (!look_is_host(facts))
		return;
	if (find_overlap(facts, &a, &x, &b, &y)) {
		finding = finding_add(check, examination, patient, RESULT_FAIL,
				      "one subnet is on two interfaces: %s on %s and %s on %s",
				      prefix_format(&x->prefix, left), a->name, prefix_format(&y->prefix, right),
				      b->name);
		finding_evidence(examination, finding, &x->origin, "%s on %s", left, a->name);
		finding_evidence(examination, finding, &y->origin, "%s on %s", right, b->name);
		add_subnet_remedy(examination, finding, fnmatch("virbr*", a->name, 0) == 0 ? a : b);
		return;
	}
	if (find_outer_overlap(patient, &a, &x, &outer, &b, &y)) {
		finding = finding_add(
			check, examination, patient, RESULT_WARN,
			"the subnet of its %s, %s, is used by %s as well, on %s: what is there cannot be reached "
			"from here",
			a->name, prefix_format(&x->prefix, left), outer->host, b->name);
		finding_evidence(examination, finding, &x->origin, "%s on %s", left, a->name);
		finding_evidence(examination, finding, &y->origin, "%s on %s of %s", prefix_format(&y->prefix, right),
				 b->name, outer->host);
		add_subnet_remedy(examination, finding, a);
		return;
	}
	if (facts->links_known != TRUTH_YES) {
		finding_unknown(check, examination, patient, "the interfaces and their addresses (ip address)");
		return;
	}
	finding = finding_add(check, examination, patient, RESULT_PASS, "no subnet is on two interfaces");
	finding_evidence(examination, finding, NULL, "the addresses of %zu interfaces", facts->link_count);
}

const struct check check_conflict_subnets = {
	.id = "conflict.subnets",
	.title = "no subnet is used twice",
	.severity = SEVERITY_ADVICE,
	.matters = "libvirt gives 192.168.122.0/24 to every host by default; in a guest of such a host the way out and "
		   "the "
		   "way in are then one.",
	.look = look_subnets,
};

/* A DHCP server for every interface, where bridges want their own. dnsmasq of libvirt binds each to its bridge. */
static void look_dhcp(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	const struct listener *every = NULL;
	struct finding *finding;
	size_t servers = 0;

	if (!look_is_host(facts))
		return;
	for (size_t i = 0; i < facts->listener_count; i++) {
		const struct listener *listener = &facts->listeners[i];
		bool any =
			listener->address.family == 0 || ip_equal(&listener->address, &(struct ip){.family = AF_INET});

		if (strcmp(listener->protocol, "udp") != 0 || listener->port.value != 67)
			continue;
		servers++;
		if (any && !listener->device)
			every = listener;
	}
	if (every) {
		finding = finding_add(
			check, examination, patient, RESULT_WARN,
			"a DHCP server here answers on every interface: libvirt's dnsmasq cannot start beside it");
		finding_evidence(examination, finding, &every->origin, "udp port 67%s%s", every->process ? " by " : "",
				 every->process ? every->process : "");
		finding_remedy(examination, finding,
			       "ss -lunp sport = :67    # who it is; bind it to its interface (dnsmasq: "
			       "interface=… and bind-dynamic)");
		return;
	}
	if (facts->listeners_known != TRUTH_YES) {
		finding_unknown(check, examination, patient, "who listens on which port (ss -lntup)");
		return;
	}
	finding = finding_add(check, examination, patient, RESULT_PASS, "no DHCP server claims every interface");
	finding_evidence(examination, finding, NULL, "%zu on port 67", servers);
}

const struct check check_conflict_dhcp = {
	.id = "conflict.dhcp",
	.title = "no DHCP server claims port 67 of every interface",
	.severity = SEVERITY_ADVICE,
	.matters = "Two servers cannot share the port, and the loser's guests get no addresses.",
	.look = look_dhcp,
};

/*
 * VT-x and AMD-V have one owner at a time. From Linux 6.12 on KVM takes them when it is loaded
 * (kvm.enable_virt_at_load), before that with the first guest.
 */
static void look_hypervisors(const struct check *check, struct examination *examination, const struct patient *patient)
{
	static const struct {
		const char *module, *node, *name, *unload;
	} others[] = {{"vboxdrv", "/dev/vboxdrv", "VirtualBox", "modprobe -r vboxnetadp vboxnetflt vboxdrv"},
		      {"vmmon", "/dev/vmmon", "VMware", "/etc/init.d/vmware stop"}};
	const struct facts *facts = patient->facts;
	const struct attribute *xen = facts_attribute_entry(facts, "/sys/hypervisor/type");
	bool known = facts->modules_known == TRUTH_YES;
	struct finding *finding;

	if (!look_is_host(facts))
		return;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		const struct module *module = look_module(facts, others[i].module);
		const struct node *node = facts_node(facts, others[i].node);
		bool there = node && node->exists == TRUTH_YES;

		if (!module && !there)
			continue;
		finding =
			finding_add(check, examination, patient, RESULT_WARN,
				    "%s is loaded: while one of its guests runs, KVM's do not, and the other way round",
				    others[i].name);
		finding_evidence(examination, finding, module ? &module->origin : &node->origin, "%s",
				 module ? module->name : node->path);
		finding_remedy(examination, finding, "%s    # while none of its guests runs", others[i].unload);
		return;
	}
	if (xen && strcmp(xen->value, "xen") == 0) {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "this is a domain of Xen, which keeps VT-x and AMD-V for itself");
		finding_attribute(examination, finding, xen);
		finding_remedy(examination, finding, "boot the same kernel without Xen (in the boot menu)");
		return;
	}
	if (!known) {
		finding_unknown(check, examination, patient, "the list of modules (/proc/modules)");
		return;
	}
	finding =
		finding_add(check, examination, patient, RESULT_PASS, "no other hypervisor wants the CPU's extensions");
	if (look_no_modules(facts))
		finding_evidence(examination, finding, NULL, "this kernel was built without loadable modules");
	else
		finding_evidence(examination, finding, NULL, "neither vboxdrv nor vmmon among %zu modules",
				 facts->module_count);
}

const struct check check_conflict_hypervisor = {
	.id = "conflict.hypervisor",
	.title = "no other hypervisor holds VT-x or AMD-V",
	.severity = SEVERITY_ADVICE,
	.matters = "The CPU's extension has one owner; whoever comes second gets \"device or resource busy\".",
	.look = look_hypervisors,
};

/* Documentation/networking/ip-sysctl.rst, bridge-nf-call-iptables */
static void look_bridge_netfilter(const struct check *check, struct examination *examination,
				  const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	const struct sysctl *call = facts_sysctl_entry(facts, "net.bridge.bridge-nf-call-iptables");
	const struct table *table = filter_table(facts);
	bool drops = table && table_chain(table, "FORWARD")->policy == VERDICT_DROP;
	struct finding *finding;

	if (!look_is_host(facts))
		return;
	if (!call && look_loaded(facts, "br_netfilter") != TRUTH_NO) {
		finding_unknown(check, examination, patient, "net.bridge.bridge-nf-call-iptables");
		return;
	}
	if (!call || strcmp(call->value, "1") != 0) {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "frames inside a bridge do not pass iptables");
		finding_evidence(examination, finding, call ? &call->origin : NULL, "%s",
				 call ? "bridge-nf-call-iptables = 0" : "br_netfilter is not loaded");
		return;
	}
	if (!firewall_known(facts)) {
		finding_unknown(check, examination, patient, "the rules of iptables (iptables-save, as root)");
		return;
	}
	finding = finding_add(check, examination, patient, drops ? RESULT_WARN : RESULT_PASS,
			      drops ? "frames between guests of one bridge pass iptables, whose FORWARD drops them"
				    : "frames inside a bridge pass iptables, which drops none by policy");
	finding_evidence(examination, finding, &call->origin, "bridge-nf-call-iptables = 1");
	if (drops)
		finding_remedy(examination, finding,
			       "sysctl -w net.bridge.bridge-nf-call-iptables=0    # Docker's isolation of "
			       "containers on one bridge then ends; or allow the bridge in DOCKER-USER");
}

const struct check check_conflict_bridge_netfilter = {
	.id = "conflict.bridge-netfilter",
	.title = "frames between guests of one bridge are not dropped by iptables",
	.severity = SEVERITY_ADVICE,
	.matters = "With br_netfilter, which Docker loads, guests on one bridge may not reach each other for rules "
		   "that were "
		   "meant for forwarding.",
	.look = look_bridge_netfilter,
};
