#include "config/schema.h"

#define KIND(value_kind)	      .rule = {.kind = (value_kind)}
#define NUMBER(value_kind, low, high) .rule = {.kind = (value_kind), .minimum = (low), .maximum = (high)}
#define CHOICE(list)		      .rule = {.kind = VALUE_CHOICE, .choices = (list)}
#define OBJECT(id_, article_, title_, description_, keys_)                                                             \
	{                                                                                                              \
		.id = (id_), .article = (article_), .title = (title_), .description = (description_), .keys = (keys_), \
		.key_count = sizeof(keys_) / sizeof((keys_)[0])                                                        \
	}

#define MIB(n) ((uint64_t)(n) << 20)
#define TIB(n) ((uint64_t)(n) << 40)

/* In the order of enum uplink. */
static const struct choice uplinks[] = {
	{"nat", "leaves with the host's own address", NULL},
	{"route", "leaves with its own address; the layers above get a route to it", NULL},
	{"none", "stays inside", NULL},
	{NULL, NULL, NULL},
};

/* In the order of enum world. */
static const struct choice worlds[] = {
	{"open", "what the network's uplink allows", NULL},
	{"cut", "nothing gets out to the world, in any protocol; connections from above keep working", NULL},
	{"sealed", "no packet gets in or out; only the guest agent remains", NULL},
	{NULL, NULL, NULL},
};

/* In the order of enum seed_kind. */
static const struct choice seeds[] = {
	{"native", "words on the kernel command line; for images that nestvisor made", NULL},
	{"cloud-init", "a NoCloud disk", NULL},
	{"agent", "through the guest agent, once it answers", NULL},
	{"none", "nothing is set: the image knows, or asks DHCP", NULL},
	{NULL, NULL, NULL},
};

/* In the order of enum transport_kind. */
static const struct choice transports[] = {
	{"qga", "the QEMU guest agent; needs no network in the guest", NULL},
	{"ssh", "OpenSSH, to the address of the first NIC", NULL},
	{NULL, NULL, NULL},
};

static const struct choice profiles[] = {
	{"linux", "virtio devices throughout", NULL},
	{"windows-11", "UEFI with Secure Boot, TPM 2.0, a display, Hyper-V enlightenments, a clock for Windows", NULL},
	{"windows-10", "the same without a TPM", NULL},
	{"windows-server", "the same without a TPM", NULL},
	{"esxi", "UEFI, svm or vmx, vmxnet3, SATA, a display; without an agent", NULL},
	{NULL, NULL, NULL},
};

/* In the order of enum firmware. */
static const struct choice firmwares[] = {
	{"bios", "or none, where nestvisor gives the kernel", NULL},
	{"uefi", "without Secure Boot", NULL},
	{"uefi-secure", "with Secure Boot on and Microsoft's keys enrolled: nothing boots that they did not sign",
	 NULL},
	{NULL, NULL, NULL},
};

static const struct choice hypervisors[] = {
	{"visible", "the guest can tell that it is one, and uses what makes it quicker", NULL},
	{"hidden", "CPUID shows no hypervisor, neither KVM's signature nor Hyper-V's", NULL},
	{NULL, NULL, NULL},
};

static const struct key dhcp_keys[] = {
	[DHCP_RANGE] = {.name = "range",
			.shape = SHAPE_LIST,
			.flags = KEY_REQUIRED,
			KIND(VALUE_ADDRESS),
			.description = "The first and the last IPv4 address that may be handed out.",
			.example = "[192.168.122.100, 192.168.122.199]"},
};

static const struct object schema_dhcp =
	OBJECT("dhcp", "dhcp", "DHCP", "More than true or false can be said of a network's DHCP.", dhcp_keys);

#define TUNNEL_ID_KEY                                                                                                  \
	[TUNNEL_ID] = {.name = "id",                                                                                   \
		       .flags = KEY_REQUIRED,                                                                          \
		       NUMBER(VALUE_INTEGER, 1, 0xffffff),                                                             \
		       .description = "The network identifier (VNI), the same at every end.",                          \
		       .example = "4711"}
#define TUNNEL_PEERS_KEY                                                                                               \
	[TUNNEL_PEERS] = {.name = "peers",                                                                             \
			  .shape = SHAPE_LIST,                                                                         \
			  KIND(VALUE_ADDRESS),                                                                         \
			  .otherwise = "the hosts on which the network has guests",                                    \
			  .description = "The addresses of the other ends, all of one family.",                        \
			  .example = "[203.0.113.7]"}

static const struct key vxlan_keys[] = {TUNNEL_ID_KEY, TUNNEL_PEERS_KEY};

static const struct object schema_vxlan = OBJECT("vxlan", "vxlan", "VXLAN",
						 "A network whose bridge is joined to bridges on other machines by "
						 "VXLAN (RFC 7348), which takes 50 bytes of each "
						 "packet over IPv4 and 70 over IPv6.",
						 vxlan_keys);

static const struct key geneve_keys[] = {
	TUNNEL_ID_KEY,
	TUNNEL_PEERS_KEY,
	[TUNNEL_OPTIONS] =
		{.name = "options",
		 NUMBER(VALUE_INTEGER, 0, 252),
		 .fallback = "0",
		 .description =
			 "Bytes of options in each packet's header, a multiple of 4; they are taken off the MTU.",
		 .example = "8"},
};

static const struct object schema_geneve =
	OBJECT("geneve", "geneve", "GENEVE",
	       "The same by GENEVE (RFC 8926), which takes 50 bytes over IPv4 and 70 over IPv6, and its options.",
	       geneve_keys);

/* Only in parts, so it is in no manual. */
static const struct key far_keys[] = {
	[FAR_MAC] = {.name = "mac", .flags = KEY_REQUIRED, KIND(VALUE_MAC), .example = "02:00:00:00:00:01"},
	[FAR_ADDRESS] = {.name = "address", .shape = SHAPE_LIST, KIND(VALUE_ADDRESS), .example = "[192.168.124.91]"},
	[FAR_BEHIND] = {.name = "behind", .shape = SHAPE_LIST, KIND(VALUE_SUBNET), .example = "[192.168.124.0/24]"},
	[FAR_HOST] = {.name = "host", .flags = KEY_REQUIRED, KIND(VALUE_ADDRESS), .example = "10.0.0.2"},
};

static const struct object schema_far = OBJECT("far", "a NIC elsewhere", "", "", far_keys);

static const struct key network_keys[] = {
	[NETWORK_SUBNET] = {.name = "subnet",
			    .shape = SHAPE_ONE_OR_LIST,
			    .flags = KEY_REQUIRED,
			    KIND(VALUE_SUBNET),
			    .description = "Its IPv4 subnet, its IPv6 subnet, or a list of both.",
			    .example = "[192.168.122.0/24, \"fd00:122::/64\"]"},
	[NETWORK_GATEWAY] = {.name = "gateway",
			     .shape = SHAPE_ONE_OR_LIST,
			     KIND(VALUE_ADDRESS),
			     .otherwise = "the first address of each subnet",
			     .description = "The owner's own address in the network, one for each subnet.",
			     .example = "192.168.122.254"},
	[NETWORK_UPLINK] = {.name = "uplink",
			    CHOICE(uplinks),
			    .fallback = "nat",
			    .description = "How its packets leave the host that owns it.",
			    .example = "route"},
	[NETWORK_MTU] = {.name = "mtu",
			 NUMBER(VALUE_INTEGER, 576, 65535),
			 .otherwise = "1500, or less where the layer below carries less",
			 .description = "The largest packet in bytes; at least 1280 where there is an IPv6 subnet.",
			 .example = "1450"},
	[NETWORK_DHCP] =
		{.name = "dhcp",
		 KIND(VALUE_BOOL),
		 .object = &schema_dhcp,
		 .fallback = "false",
		 .description =
			 "Whether guests get IPv4 addresses by DHCP, from the upper half of the subnet unless a range "
			 "is given. Without it every NIC needs an address.",
		 .example = "{range: [192.168.122.100, 192.168.122.199]}"},
	[NETWORK_DNS] = {.name = "dns",
			 KIND(VALUE_BOOL),
			 .fallback = "false",
			 .description = "Whether the gateway answers DNS with what the host itself can resolve.",
			 .example = "true"},
	[NETWORK_VXLAN] = {.name = "vxlan",
			   .object = &schema_vxlan,
			   .description = "Joins the network to others by VXLAN.",
			   .example = "{id: 4711, peers: [203.0.113.7]}"},
	[NETWORK_GENEVE] = {.name = "geneve",
			    .object = &schema_geneve,
			    .description = "Joins the network to others by GENEVE.",
			    .example = "{id: 4711, peers: [203.0.113.7], options: 8}"},
	[NETWORK_ADOPTED] = {.name = "adopted",
			     KIND(VALUE_TEXT),
			     .description =
				     "The name of the network of libvirt's that it is; see the same key of guests.",
			     .example = "default"},
	[NETWORK_HOME] = {.name = "home",
			  .flags = KEY_PART_ONLY,
			  KIND(VALUE_ADDRESS),
			  .description = "In the part of a host of L0: where its gateway, DHCP, DNS and uplink are."},
	[NETWORK_FAR] = {.name = "far",
			 .shape = SHAPE_LIST,
			 .flags = KEY_PART_ONLY,
			 .object = &schema_far,
			 .description = "In the part of a host of L0: NICs on it that are on other hosts."},
};

const struct object schema_network =
	OBJECT("network", "a network", "NETWORKS",
	       "A network is a virtual switch with a subnet, owned by the host under which it stands.", network_keys);

static const struct key nic_keys[] = {
	[NIC_NETWORK] = {.name = "network",
			 .flags = KEY_REQUIRED,
			 KIND(VALUE_TEXT),
			 .description = "The network that the NIC is plugged into, by its name: one of the host that "
					"the guest runs on.",
			 .example = "inner"},
	[NIC_ADDRESS] = {.name = "address",
			 .shape = SHAPE_ONE_OR_LIST,
			 KIND(VALUE_ADDRESS),
			 .otherwise = "by DHCP; required where the network has none",
			 .description = "The guest's own addresses: at most one for each family.",
			 .example = "[192.168.124.91, \"fd00:124::91\"]"},
	[NIC_MAC] = {.name = "mac",
		     KIND(VALUE_MAC),
		     .otherwise =
			     "derived from the lab, the guest's path and the NIC's position, so that it never changes",
		     .description = "The Ethernet address.",
		     .example = "02:00:00:00:00:01"},
	[NIC_QUEUES] = {.name = "queues",
			NUMBER(VALUE_INTEGER, 1, 255),
			.otherwise = "one for each of the guest's CPUs, at most 8; one under emulation and where the "
				     "guest has no PCI",
			.description =
				"Pairs of queues of virtio-net: the CPUs send and receive side by side. At most as "
				"many as the guest has CPUs.",
			.example = "2"},
};

static const struct object schema_nic =
	OBJECT("nic", "a NIC", "NICS", "The default route goes through the first NIC of a guest.", nic_keys);

static const struct key publish_keys[] = {
	[PUBLISH_PORT] = {.name = "port",
			  .flags = KEY_REQUIRED,
			  KIND(VALUE_PORT),
			  .description = "The guest's port; TCP unless it says udp.",
			  .example = "3389/tcp"},
	[PUBLISH_AS] = {.name = "as",
			NUMBER(VALUE_INTEGER, 1, 65535),
			.otherwise = "the same number",
			.description = "The port at L0.",
			.example = "13389"},
	[PUBLISH_ADDRESS] = {.name = "address",
			     KIND(VALUE_ADDRESS),
			     .otherwise = "127.0.0.1",
			     .description = "The address at L0 on which it listens.",
			     .example = "0.0.0.0"},
};

static const struct object schema_publish =
	OBJECT("publish", "a published port", "PUBLISHED PORTS",
	       "A port of a guest, at whatever depth, that can be reached at L0. A port alone is enough: 22 or 22/tcp.",
	       publish_keys);

static const struct key ssh_keys[] = {
	[SSH_USER] = {.name = "user",
		      KIND(VALUE_TEXT),
		      .otherwise = "what ssh_config(5) says",
		      .description = "The user to log in as.",
		      .example = "admin"},
	[SSH_KEY] = {.name = "key",
		     KIND(VALUE_FILE),
		     .otherwise = "what ssh_config(5) says",
		     .description = "The file of the private key; a relative path starts at the lab file's folder.",
		     .example = "~/.ssh/lab"},
};

static const struct object schema_ssh = OBJECT("ssh", "ssh", "SSH", "How to log in to a guest by ssh.", ssh_keys);

static const struct key install_keys[] = {
	[INSTALL_ISO] = {.name = "iso",
			 .flags = KEY_REQUIRED,
			 KIND(VALUE_FILE),
			 .description =
				 "The medium of Windows, as Microsoft offers it: an ISO for x64. It is looked at "
				 "before anything starts.",
			 .example = "./Win11_24H2_German_x64.iso"},
	[INSTALL_VIRTIO] = {.name = "virtio",
			    .flags = KEY_REQUIRED,
			    KIND(VALUE_FILE),
			    .description = "The ISO of virtio-win: drivers of disk and network, and the guest agent.",
			    .example = "./virtio-win.iso"},
	[INSTALL_EDITION] = {.name = "edition",
			     KIND(VALUE_TEXT),
			     .otherwise = "Pro, of a server Standard, or the only one that the medium has",
			     .description =
				     "What is installed, as the medium calls it (nestvisor image FILE lists it).",
			     .example = "Windows 11 Pro"},
	[INSTALL_LANGUAGE] = {.name = "language",
			      KIND(VALUE_TEXT),
			      .otherwise = "the medium's first",
			      .description = "A language that the medium has.",
			      .example = "de-DE"},
	[INSTALL_KEYBOARD] = {.name = "keyboard",
			      KIND(VALUE_TEXT),
			      .otherwise = "the language's",
			      .description = "The keyboard, by the language that it is made for.",
			      .example = "de-CH"},
	[INSTALL_TIME_ZONE] = {.name = "time-zone",
			       KIND(VALUE_TEXT),
			       .fallback = "UTC",
			       .description = "As Windows names it; it should be that of the machine, whose local time "
					      "the guest's clock is set to.",
			       .example = "W. Europe Standard Time"},
	[INSTALL_USER] = {.name = "user",
			  KIND(VALUE_TEXT),
			  .fallback = "nestvisor",
			  .description = "The one account, an administrator.",
			  .example = "admin"},
	[INSTALL_PASSWORD_FILE] =
		{.name = "password-file",
		 .flags = KEY_REQUIRED,
		 KIND(VALUE_FILE),
		 .description =
			 "A file whose first and only line is that account's password. Setup gets it on a CD that "
			 "is removed once Windows is installed.",
		 .example = "./password"},
	[INSTALL_PRODUCT_KEY] = {.name = "product-key",
				 KIND(VALUE_TEXT),
				 .description = "Where the medium wants one.",
				 .example = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"},
	[INSTALL_BUILD] = {.name = "build",
			   .flags = KEY_PART_ONLY,
			   NUMBER(VALUE_INTEGER, 0, 1000000),
			   .description = "In a part: the build of what the medium installs."},
	[INSTALL_VIRTIO_ID] = {.name = "virtio-id",
			       .flags = KEY_PART_ONLY,
			       KIND(VALUE_TEXT),
			       .description = "Under which id the layer above carried virtio-win down."},
	[INSTALL_PASSWORD] = {.name = "password",
			      .flags = KEY_PART_ONLY,
			      KIND(VALUE_TEXT),
			      .description = "In a part: the account's password."},
};

static const struct object schema_install =
	OBJECT("install", "install", "INSTALLING WINDOWS",
	       "A guest with it begins with an empty disk, on which up has Windows install itself without a question; "
	       "from "
	       "then on it boots from that disk, and nothing here has a meaning any more. Never tried with a real "
	       "Windows.",
	       install_keys);

static const struct key guest_keys[] = {
	[GUEST_CPUS] = {.name = "cpus",
			.flags = KEY_IN_DEFAULTS,
			NUMBER(VALUE_INTEGER, 1, 255),
			.fallback = "1",
			.description = "Virtual CPUs: never more than its host has.",
			.example = "2"},
	[GUEST_MEMORY] =
		{.name = "memory",
		 .flags = KEY_IN_DEFAULTS,
		 NUMBER(VALUE_SIZE, MIB(32), TIB(16)),
		 .otherwise = "256M, with an image other than micro 1G, with install 4G",
		 .description =
			 "Memory, in K, M, G or T (powers of 1024), rounded down to whole MiB. All guests of a host "
			 "together, and 12 % for nested page tables and QEMU, must fit into what the host has left: "
			 "its "
			 "own memory less 64M and 10 %.",
		 .example = "1.5G"},
	[GUEST_DISK] = {.name = "disk",
			.flags = KEY_IN_DEFAULTS,
			NUMBER(VALUE_SIZE, MIB(1), TIB(256)),
			.otherwise = "as large as its image; with install 64G",
			.description = "The size of the guest's own disk, an overlay on its image.",
			.example = "20G"},
	[GUEST_IMAGE] = {.name = "image",
			 .flags = KEY_IN_DEFAULTS,
			 KIND(VALUE_IMAGE),
			 .fallback = "micro",
			 .description = "What it boots from: one that nestvisor makes, or the path of a qcow2 or raw "
					"disk. A path holds a "
					"\"/\" or ends in .qcow2, .raw or .img, and starts at the lab file's folder "
					"where it is relative.",
			 .example = "debian-12"},
	[GUEST_OS] = {.name = "os",
		      .flags = KEY_IN_DEFAULTS,
		      CHOICE(profiles),
		      .fallback = "linux",
		      .description = "A profile: firmware, TPM, CPU flags and devices that this system wants.",
		      .example = "windows-11"},
	[GUEST_FIRMWARE] = {.name = "firmware",
			    .flags = KEY_IN_DEFAULTS,
			    CHOICE(firmwares),
			    .otherwise = "uefi-secure for Windows, uefi for ESXi, else bios",
			    .description =
				    "What boots it. UEFI keeps its variables per guest, beside the guest's disk. "
				    "Of the images that nestvisor makes, debian-12 boots by it.",
			    .example = "uefi-secure"},
	[GUEST_TPM] = {.name = "tpm",
		       .flags = KEY_IN_DEFAULTS,
		       KIND(VALUE_BOOL),
		       .otherwise = "whether os is windows-11",
		       .description =
			       "Whether it has a TPM 2.0 (swtpm). Its state is kept per guest, beside the guest's "
			       "disk; where that is lost the guest does not start, since whatever was sealed to "
			       "it is lost, too.",
		       .example = "true"},
	[GUEST_DISPLAY] = {.name = "display",
			   .flags = KEY_IN_DEFAULTS,
			   KIND(VALUE_BOOL),
			   .otherwise = "whether os is Windows or ESXi",
			   .description = "Whether it has a screen, a keyboard and a pointer, for nestvisor view, "
					  "screenshot and type. Its serial console is there in any case.",
			   .example = "true"},
	[GUEST_HYPERVISOR] = {.name = "hypervisor",
			      .flags = KEY_IN_DEFAULTS,
			      CHOICE(hypervisors),
			      .fallback = "visible",
			      .description = "Whether it sees that it is a virtual machine.",
			      .example = "hidden"},
	[GUEST_INSTALL] = {.name = "install",
			   .object = &schema_install,
			   .description = "In place of an image: Windows is installed from its ISO.",
			   .example = "{iso: ./Win11.iso, virtio: ./virtio-win.iso, password-file: ./password}"},
	[GUEST_NICS] = {.name = "nics",
			.shape = SHAPE_LIST,
			.object = &schema_nic,
			.otherwise = "one on the host's network, where it has exactly one",
			.description = "Its network interfaces, in order; [] for none.",
			.example = "[{network: inner, address: 192.168.124.91}]"},
	[GUEST_NETWORKS] = {.name = "networks",
			    .shape = SHAPE_NAMED,
			    .object = &schema_network,
			    .description = "Networks that it owns: it is a host.",
			    .example = "{inner: {subnet: 192.168.124.0/24, uplink: route}}"},
	[GUEST_GUESTS] = {.name = "guests",
			  .shape = SHAPE_NAMED,
			  .object = &schema_guest,
			  .description = "Guests that it runs: it is a host.",
			  .example = "{a: {memory: 128M}}"},
	[GUEST_NESTED] = {.name = "nested",
			  .flags = KEY_IN_DEFAULTS,
			  KIND(VALUE_BOOL),
			  .otherwise = "whether it has guests, or os is ESXi",
			  .description = "Whether it sees the CPU's virtualization, svm or vmx.",
			  .example = "true"},
	[GUEST_WORLD] = {.name = "world",
			 .flags = KEY_IN_DEFAULTS,
			 CHOICE(worlds),
			 .fallback = "open",
			 .description = "How far it may reach.",
			 .example = "cut"},
	[GUEST_PUBLISH] = {.name = "publish",
			   .shape = SHAPE_LIST,
			   KIND(VALUE_PORT),
			   .object = &schema_publish,
			   .description = "Ports of it that can be reached at L0.",
			   .example = "[{port: 3389/tcp, as: 13389}, 22/tcp]"},
	[GUEST_TAGS] = {.name = "tags",
			.shape = SHAPE_LIST,
			KIND(VALUE_LABEL),
			.description = "Words to find guests by.",
			.example = "[victim, group-a]"},
	[GUEST_SEED] = {.name = "seed",
			.flags = KEY_IN_DEFAULTS,
			CHOICE(seeds),
			.otherwise = "native for the images micro, micro-libvirt and debian-12, none for Windows and "
				     "ESXi, else agent",
			.description = "How it is told its name and addresses.",
			.example = "cloud-init"},
	[GUEST_TRANSPORT] = {.name = "transport",
			     .flags = KEY_IN_DEFAULTS,
			     CHOICE(transports),
			     .fallback = "qga",
			     .description = "How nestvisor runs commands in it.",
			     .example = "ssh"},
	[GUEST_SSH] = {.name = "ssh",
		       .object = &schema_ssh,
		       .description = "How to log in to it by ssh.",
		       .example = "{user: admin, key: ~/.ssh/lab}"},
	[GUEST_CPU_OVERCOMMIT] =
		{.name = "cpu-overcommit",
		 .flags = KEY_IN_DEFAULTS,
		 NUMBER(VALUE_RATIO, 50, 10000),
		 .fallback = "1",
		 .description =
			 "For a host: how many virtual CPUs its guests may have in all for each of its own. More "
			 "than that is an error, more than 80 % of it a warning.",
		 .example = "2"},
	[GUEST_DRIVER] = {.name = "driver",
			  .flags = KEY_IN_DEFAULTS,
			  KIND(VALUE_DRIVER),
			  .otherwise = "of a guest of L0 what the lab says, else qemu",
			  .description = "What starts it. Of a guest of a guest, the libvirt of its host, which then "
					 "has image: micro-libvirt or a libvirtd of its own.",
			  .example = "qemu:///system"},
	[GUEST_ADOPTED] =
		{.name = "adopted",
		 KIND(VALUE_TEXT),
		 .description =
			 "The name of the domain of libvirt's that it is. nestvisor did not make it and never "
			 "changes, starts or ends it: the file says what is there, for plan to compare and for "
			 "verify, doctor, graph, cut and seal to work on. All guests and networks of L0 are adopted, "
			 "or none is; nestvisor adopt writes such a file.",
		 .example = "web-server"},
	[GUEST_PLACEMENT] =
		{.name = "placement",
		 KIND(VALUE_TEXT),
		 .otherwise = "where there is room",
		 .description =
			 "Of a guest of L0, in a lab with hosts: the host that it runs on, or L0 for this machine. "
			 "Moving a guest that was there before makes its disk anew.",
		 .example = "right"},
	[GUEST_APART] =
		{.name = "apart",
		 .shape = SHAPE_ONE_OR_LIST,
		 KIND(VALUE_TEXT),
		 .description = "Of a guest of L0, in a lab with hosts: guests by their names, or tags of guests, with "
				"which it never shares a host. It holds in both directions.",
		 .example = "[hv2, database]"},
	[GUEST_IMAGE_ID] = {.name = "image-id",
			    .flags = KEY_PART_ONLY,
			    KIND(VALUE_TEXT),
			    .description = "Under which id the layer above carried the image down."},
};

const struct object schema_guest =
	OBJECT("guest", "a guest", "GUESTS",
	       "A guest is a virtual machine. Its path names it everywhere: hv1/a is the guest a of the guest hv1. One "
	       "that has guests or "
	       "networks of its own is a host, and runs nestvisor: images micro, micro-libvirt and debian-12 have it.",
	       guest_keys);

const struct object schema_defaults = {
	.id = "defaults",
	.article = "\"defaults\"",
	.title = "DEFAULTS",
	.description = "Values for all guests at every layer that do not say otherwise themselves.",
	.keys = guest_keys,
	.key_count = GUEST_KEYS,
	.only = KEY_IN_DEFAULTS,
};

static const struct key rule_keys[] = {
	[RULE_FROM] = {.name = "from",
		       .flags = KEY_REQUIRED,
		       KIND(VALUE_ENDPOINT),
		       .description = "Who begins: L0, world (all that is outside of the lab), the path of a guest or "
				      "of a network, an "
				      "address or a subnet.",
		       .example = "hv1/a"},
	[RULE_TO] = {.name = "to",
		     .flags = KEY_REQUIRED,
		     KIND(VALUE_ENDPOINT),
		     .description = "Whom it reaches, in the same words.",
		     .example = "world"},
	[RULE_PORT] = {.name = "port",
		       .shape = SHAPE_ONE_OR_LIST,
		       KIND(VALUE_PORTS),
		       .otherwise = "every port of every protocol",
		       .description = "The ports that are reached: TCP unless they say udp.",
		       .example = "[22/tcp, 53/udp, 8000-8010/tcp]"},
	[RULE_EVEN_IF_COMPROMISED] =
		{.name = "even-if-compromised",
		 .shape = SHAPE_ONE_OR_LIST,
		 KIND(VALUE_TEXT),
		 .description = "Guests, by their paths, that may be taken over, with root's rights, and it must "
				"hold all the same.",
		 .example = "[hv1/win11, hv1]"},
};

static const struct object schema_rule =
	OBJECT("rule", "a policy", "RULES", "What must, or must not, be reachable.", rule_keys);

static const struct key policy_keys[] = {
	[POLICY_ALLOW_KEY] = {.name = "allow",
			      .object = &schema_rule,
			      .description = "This must be reachable.",
			      .example = "{from: L0, to: hv1/a, port: 22}"},
	[POLICY_DENY_KEY] = {.name = "deny",
			     .object = &schema_rule,
			     .description = "This must not be reachable.",
			     .example = "{from: hv1/a, to: world}"},
};

static const struct object schema_policy =
	OBJECT("policy", "a policy", "POLICY", "Each entry of the list is one allow or one deny.", policy_keys);

static const struct key machine_keys[] = {
	[MACHINE_URI] = {.name = "uri",
			 .flags = KEY_REQUIRED,
			 KIND(VALUE_TEXT),
			 .description = "How to get there: ssh://[USER@]HOST[:PORT], by the ssh of this user with its "
					"configuration, and "
					"nestvisor itself starts the guests there; or "
					"qemu+ssh://[USER@]HOST[:PORT]/system, the same way, "
					"and the guests are domains of the libvirt there. Of both: nestvisor is "
					"installed there, in the "
					"version that is here, and the user is root.",
			 .example = "qemu+ssh://root@10.0.0.3/system"},
	[MACHINE_ADDRESS] = {.name = "address",
			     KIND(VALUE_ADDRESS),
			     .otherwise = "what the name in the URI resolves to",
			     .description =
				     "The host's address for tunnels (VXLAN, UDP port 4789), which this machine and "
				     "the other hosts reach.",
			     .example = "10.0.0.3"},
	[MACHINE_HOME] = {.name = "home",
			  KIND(VALUE_ADDRESS),
			  .otherwise = "the address that packets to it leave this machine with",
			  .description = "This machine's address for tunnels, as that host reaches it.",
			  .example = "10.0.0.1"},
	[MACHINE_KEY] = {.name = "key",
			 KIND(VALUE_FILE),
			 .otherwise = "what ssh_config(5) says",
			 .description = "The file of the private key; a relative path starts at the lab file's folder.",
			 .example = "~/.ssh/lab"},
};

static const struct object schema_machine = OBJECT(
	"host", "a host", "HOSTS",
	"A further machine of layer 0 that runs guests of this lab. This machine, where the lab file is used, is the "
	"lab's home and one of its hosts: all networks of L0 have their gateway, DHCP, DNS and way out here, and "
	"reach guests on other hosts by VXLAN, whose packets are neither encrypted nor authenticated: the network "
	"between the hosts must be one to be trusted.",
	machine_keys);

static const struct key placement_keys[] = {
	[PLACEMENT_CPUS] = {.name = "cpus",
			    NUMBER(VALUE_PERCENT, 1, 100),
			    .fallback = "80%",
			    .description =
				    "How much of a host's CPUs, times the lab's cpu-overcommit, guests may have in "
				    "all.",
			    .example = "60%"},
	[PLACEMENT_RESERVE] = {.name = "reserve",
			       NUMBER(VALUE_SIZE, 0, TIB(16)),
			       .fallback = "512M",
			       .description = "Free memory of a host that stays free.",
			       .example = "4G"},
	[PLACEMENT_HERE] = {.name = "this-machine",
			    KIND(VALUE_BOOL),
			    .fallback = "true",
			    .description =
				    "Whether this machine runs guests, too; those with placement: L0 it runs anyway.",
			    .example = "false"},
};

static const struct object schema_placement = OBJECT(
	"placement", "placement", "PLACEMENT",
	"What is left to choose is chosen by free memory: the guests that need most first, each onto the host that "
	"has most left. A guest that runs stays where it is.",
	placement_keys);

static const struct key lab_keys[] = {
	[LAB_LAB] = {.name = "lab",
		     .flags = KEY_REQUIRED,
		     KIND(VALUE_LABEL),
		     .description = "The lab's name, by which commands know it.",
		     .example = "first"},
	[LAB_AT] = {.name = "at",
		    .flags = KEY_PART_ONLY,
		    KIND(VALUE_PATH),
		    .description = "In a part: the path of the host whose part this is."},
	[LAB_ISOLATION] = {.name = "isolation",
			   .flags = KEY_PART_ONLY,
			   KIND(VALUE_TEXT),
			   .description =
				   "In a part: what was said at run time of how far its guests may reach, as JSON."},
	[LAB_ROUTERS] = {.name = "routers",
			 .flags = KEY_PART_ONLY,
			 KIND(VALUE_TEXT),
			 .description = "In a part: with which addresses the layer above asks for published ports."},
	[LAB_HERE] = {.name = "here",
		      .flags = KEY_PART_ONLY,
		      KIND(VALUE_LABEL),
		      .description = "In the part of a host of L0: its name."},
	[LAB_HOME] = {.name = "home",
		      .flags = KEY_PART_ONLY,
		      KIND(VALUE_TEXT),
		      .description = "In the part of a host of L0: whose lab it is."},
	[LAB_CPU_OVERCOMMIT] = {.name = "cpu-overcommit",
				NUMBER(VALUE_RATIO, 50, 10000),
				.fallback = "1",
				.description = "The same as a guest's cpu-overcommit, for L0.",
				.example = "2"},
	[LAB_DRIVER] = {.name = "driver",
			KIND(VALUE_DRIVER),
			.fallback = "qemu",
			.description =
				"What starts the guests of L0 that do not say it themselves. A libvirt must run on "
				"L0 itself. Its domains are called LAB:GUEST and bear nestvisor's mark; a domain "
				"without it is never changed. Their networks are nestvisor's, the same as with qemu, "
				"so that nestvisor alone can start them. qemu:///session is the libvirt of the user "
				"who called sudo; its guests run as that user.",
			.example = "qemu:///system"},
	[LAB_HOSTS] = {.name = "hosts",
		       .shape = SHAPE_NAMED,
		       .object = &schema_machine,
		       .description = "Further machines over which the guests of L0 are spread.",
		       .example = "{right: {uri: \"ssh://root@10.0.0.2\"}}"},
	[LAB_PLACEMENT] = {.name = "placement",
			   .object = &schema_placement,
			   .description = "Within which limits they are spread.",
			   .example = "{cpus: 60%, reserve: 4G}"},
	[LAB_DEFAULTS] = {.name = "defaults",
			  .object = &schema_defaults,
			  .description = "Values for all guests that do not say otherwise themselves.",
			  .example = "{image: debian-12}"},
	[LAB_NETWORKS] = {.name = "networks",
			  .shape = SHAPE_NAMED,
			  .object = &schema_network,
			  .description = "Networks that L0, this machine, owns.",
			  .example = "{lab: {subnet: 192.168.122.0/24}}"},
	[LAB_GUESTS] = {.name = "guests",
			.shape = SHAPE_NAMED,
			.object = &schema_guest,
			.description = "Guests that L0 runs.",
			.example = "{hv1: {cpus: 2, memory: 1G}}"},
	[LAB_POLICY] = {.name = "policy",
			.shape = SHAPE_LIST,
			.object = &schema_policy,
			.description = "What must be reachable and what must not be.",
			.example = "[{deny: {from: hv1/a, to: world}}]"},
};

const struct object schema_lab =
	OBJECT("lab", "a lab file", "THE LAB",
	       "A lab file is one YAML map, *.nest.yaml. It says what is to be, at every layer.", lab_keys);

const struct object *const schema_objects[] = {
	&schema_lab,	 &schema_machine, &schema_placement, &schema_defaults,
	&schema_network, &schema_dhcp,	  &schema_vxlan,     &schema_geneve,
	&schema_guest,	 &schema_nic,	  &schema_publish,   &schema_ssh,
	&schema_install, &schema_policy,  &schema_rule,	     NULL,
};

bool schema_is_public(const struct object *object, const struct key *key)
{
	return !(key->flags & KEY_PART_ONLY) && (!object->only || (key->flags & object->only));
}
