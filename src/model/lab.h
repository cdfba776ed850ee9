/*
 * The lab: what a lab file says, checked, and immutable from then on (config/ builds it). Everything lives in the
 * lab's arena. Layers are numbered as in the field: L0 is the machine the lab file is used on, L1 its guests, and so
 * on. A host is whatever runs guests. A nestvisor inside a guest sees the part of the lab below that guest: its `root`
 * host then has that guest's path and layer, and all paths stay those of the whole lab.
 */
#ifndef NESTVISOR_MODEL_LAB_H
#define NESTVISOR_MODEL_LAB_H

#include "base/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct lab_machine; /* another machine that runs some of L0's guests */

/* Where in the lab file something was said; line 0 where nobody said it (a default). */
struct place {
	unsigned line, column; /* both from 1; columns count characters (code points) */
};

enum uplink {
	UPLINK_NAT,   /* leaves with the host's own address */
	UPLINK_ROUTE, /* leaves with its own address; the layers above get a route to it */
	UPLINK_NONE,  /* stays inside */
};

enum world {
	WORLD_OPEN,
	WORLD_CUT,    /* nothing gets out to the world; administrators stay */
	WORLD_SEALED, /* no packet in or out; only the guest agent remains */
};

enum transport_kind {
	TRANSPORT_QGA,
	TRANSPORT_SSH,
};

enum seed_kind {
	SEED_NATIVE,     /* nestvisor's own: kernel command line; images that nestvisor made */
	SEED_CLOUD_INIT, /* a NoCloud disk */
	SEED_AGENT,      /* set through the guest agent once it answers */
	SEED_NONE,       /* the image knows, or asks DHCP */
};

enum firmware {
	FIRMWARE_BIOS,
	FIRMWARE_UEFI,	      /* without Secure Boot */
	FIRMWARE_UEFI_SECURE, /* Secure Boot on, Microsoft's keys enrolled */
};

enum encapsulation {
	ENCAP_NONE,
	ENCAP_VXLAN,  /* RFC 7348: 50 bytes over IPv4, 70 over IPv6 */
	ENCAP_GENEVE, /* RFC 8926: the same plus options */
};

enum { ID_TEXT_SIZE = 9, LAB_NAME_MAX = 40, GUEST_NAME_MAX = 40, NETWORK_NAME_MAX = 40, INTERFACE_NAME_SIZE = 16 };

/* A nic on a network that is on another machine: its frames come and go by the network's tunnel. */
struct far_nic {
	uint8_t mac[6];
	struct ip address4, address6;  /* family 0: none, or by DHCP */
	struct ip machine;             /* the other machine's end of the tunnel, one of network->peers */
	struct prefix *behind;	       /* networks that its guest, a host, routes: their addresses come from it, too */
	size_t behind_count;
	const struct guest *guest;     /* NULL: not in this part of the lab */
};

struct network {
	const char *name;
	const char *path;       /* "lab" at L0, "hv1/inner" below: unique among the lab's networks */
	size_t index;           /* its position in lab->networks */
	struct host *owner;
	struct prefix subnet4, subnet6;   /* family 0 where there is none; network addresses */
	struct ip gateway4, gateway6;     /* the owner's address in it; the first of the subnet unless said */
	enum uplink uplink;
	unsigned mtu;           /* bytes; 1500 unless said */
	bool mtu_said;
	bool dhcp, dns;
	struct ip dhcp_first, dhcp_last; /* IPv4 range; family 0: the upper half of the subnet */
	enum encapsulation encapsulation;
	uint32_t vni;                    /* VXLAN or GENEVE network identifier, 24 bits */
	unsigned geneve_options;         /* bytes, a multiple of 4 */
	struct ip *peers;
	size_t peer_count;
	/*
	 * A stretched network has guests of its owner's on several machines, in a full mesh of VXLAN: peers are the
	 * other machines. Its gateway, DHCP, DNS and uplink are on one of them, the home machine.
	 */
	struct ip home;               /* on the others: home's end of the tunnel; family 0: they are here */
	struct far_nic *far; /* all nics on it that are not here */
	size_t far_count;
	const char *adopted;              /* the name of libvirt's network that it is; NULL: nestvisor makes it */
	char bridge[INTERFACE_NAME_SIZE]; /* the bridge's interface name inside the lab's namespace */
	struct place place;
};

struct nic {
	struct network *network;
	struct guest *guest;
	unsigned index;          /* 0 is the first; its network carries the default route */
	struct ip address4, address6; /* family 0: none, or by DHCP */
	uint8_t mac[6];          /* derived from lab, path and index, locally administered, unless said */
	unsigned queues;         /* pairs of them, at most the guest's CPUs; 0: what pays (driver_queues) */
	char tap[INTERFACE_NAME_SIZE]; /* the tap's interface name inside the lab's namespace */
	struct place place;
};

struct publish {
	uint16_t port;       /* of the guest */
	uint8_t protocol;    /* IPPROTO_TCP, IPPROTO_UDP */
	uint16_t as;         /* at L0; 0: the same number */
	struct ip address;   /* at L0; family 0: 127.0.0.1 */
	struct place place;
};

/* Windows that is installed from its ISO, which is the guest's image. */
struct install {
	const char *virtio;    /* path of the ISO of virtio-win */
	const char *virtio_id; /* in a part: under which id the layer above carried it down */
	const char *edition, *language; /* NULL: what the medium suggests; set once it was looked at */
	unsigned build;                 /* of what is installed; 0 until the medium was looked at */
	const char *keyboard;           /* NULL: the language's */
	const char *time_zone, *user;
	const char *password_file;
	const char *password;    /* in a part; else NULL */
	const char *product_key; /* or NULL */
	struct place place;
};

struct guest {
	const char *name;
	const char *path;        /* "hv1/a" */
	size_t index;            /* its position in lab->guests */
	char id[ID_TEXT_SIZE];   /* 8 hexadecimal digits derived from lab and path: stable; unique among the guests of one host */
	struct host *parent;     /* the host it runs on */
	struct lab_machine *machine; /* of guests of L0: the other machine that it runs on; NULL: this one */
	struct host *host;       /* itself as a host; NULL where it has neither guests nor networks */
	unsigned layer;          /* 1 for a guest of L0 */
	unsigned cpus;           /* see guest_cpus */
	uint64_t memory, disk;   /* bytes; disk 0: as large as its image */
	const char *image;       /* a name ("micro", "debian-12") or a path, absolute */
	struct install *install; /* NULL: the image is a system that is there already */
	const char *image_id;    /* in a part: under which id the layer above carried the image down; NULL: not said */
	const char *os;          /* a profile's name, or "linux" */
	const char *libvirt;     /* the URI of the libvirt that it is a domain of; NULL: the qemu driver starts it */
	bool libvirt_own;        /* the guest says that itself, also that it is NULL; else it follows from where it runs */
	const char *adopted;     /* the name of the domain there that it is, and that nestvisor did not make; NULL */
	enum firmware firmware;
	bool tpm;                /* has a TPM 2.0, with a state of its own */
	bool display;            /* has a screen and a keyboard, to be looked at (nestvisor view, screenshot, type) */
	bool hypervisor_hidden;  /* CPUID does not tell it that it is a guest */
	enum seed_kind seed;
	enum transport_kind transport;
	const char *ssh_user;    /* NULL: the user's default */
	const char *ssh_key;     /* NULL: the user's default */
	bool nested;             /* sees svm or vmx */
	enum world world;
	struct nic *nics;
	size_t nic_count;
	struct publish *publish;
	size_t publish_count;
	const char **tags;
	size_t tag_count;
	bool pinned;                   /* the file says where it runs; else placing decides (plan/place.h) */
	const char **apart;            /* paths and tags of guests that no machine shares with it */
	size_t apart_count;
	struct place place;
};

struct host {
	const char *path;       /* "" for L0 */
	unsigned layer;
	struct guest *guest;    /* itself as a guest; NULL for L0, and for the root of a part */
	struct network **networks;
	size_t network_count;
	struct guest **guests;
	size_t guest_count;
	unsigned cpu_overcommit; /* vCPUs that its guests may have in all per CPU of its own, in hundredths: 100 is one to one */
};

/*
 * A further machine of layer 0 that runs guests of this lab. The machine where the lab file is used is the lab's home:
 * there are the networks' gateways, DHCP, DNS and uplinks, and published ports. A guest of L0 is a guest of lab->root
 * wherever it runs, so its path, ids and MAC addresses do not depend on that; guest->machine says where. To the machine
 * goes a part with the guests that it runs and the networks that they are plugged into, in which those guests have no
 * machine, since there they are here.
 *
 * What that is for the network, at home: a NIC whose guest has a machine has no tap here; its frames come in by the tunnel
 * of its network (VXLAN, network->peers), and what is true of its tap for all others is true of its addresses at the
 * tunnel. In a machine's part (lab->here): the network is not home; of a guest that is cut nothing may leave by the
 * tunnel but to addresses of the network; a guest that is sealed sends nothing.
 */
struct lab_machine {
	const char *name;
	size_t index;          /* its position in lab->machines */
	const char *uri;       /* as written: ssh://[user@]host[:port], or qemu+ssh://…/system: its guests are domains there */
	const char *ssh_host;
	unsigned ssh_port;     /* 0: as the user's ssh has it; the user is guest->ssh_user */
	const char *libvirt;   /* the URI by which the libvirt there is known there; NULL: the qemu driver */
	struct ip address;     /* for tunnels; family 0: not resolved yet */
	struct ip home;        /* the home's address as this machine sees it; family 0: not found out yet */
	/*
	 * What nobody starts, and yet is a host with a transport and a part: its path is its name, which no guest of L0 has,
	 * its index comes after those of all guests, and guest->host has the guests placed here. It is not in lab->guests.
	 */
	struct guest *guest;
	struct place place;
};

enum policy_verb { POLICY_ALLOW, POLICY_DENY };

struct endpoint {
	enum { ENDPOINT_L0, ENDPOINT_WORLD, ENDPOINT_GUEST, ENDPOINT_NETWORK, ENDPOINT_PREFIX } kind;
	struct guest *guest;     /* a guest outside this part of the lab is NULL here and named by `text` alone */
	struct network *network;
	struct prefix prefix;
	const char *text;        /* as written */
};

struct policy_port {
	uint16_t first, last;
	uint8_t protocol;
};

struct policy {
	enum policy_verb verb;
	struct endpoint from, to;
	struct policy_port *ports; /* none: every protocol */
	size_t port_count;
	const char **compromised;  /* paths; even-if-compromised */
	size_t compromised_count;
	const char *text;          /* one line, as a person would write it */
	struct place place;
};

struct lab {
	struct arena *arena;
	const char *name;
	char id[ID_TEXT_SIZE];
	const char *file;     /* as named by the user; "-" for standard input */
	const char *adopted;  /* the URI of the libvirt that has all guests and networks of L0 already; NULL: they are
				 nestvisor's. Bridges and taps are then those of libvirt_attach (driver/libvirt_adopted.h). */
	const char *libvirt; /* of guests of L0 that run here and do not say their own; NULL: the qemu driver */
	const char *routers; /* in a part: the addresses of the layer above in the host's networks, with blanks between; NULL: not said */
	const char *isolation; /* in a part: what was said at run time, as JSON (model/isolation.h); NULL: not said */
	struct host *root;    /* the host this program runs on */
	struct guest **guests; /* all of them, parents before children, in the file's order */
	size_t guest_count;
	struct network **networks;
	size_t network_count;
	struct policy *policies;
	size_t policy_count;
	struct lab_machine **machines; /* the further ones of L0; none: L0 is this machine alone */
	size_t machine_count;
	const char *here;      /* in the part of a further machine: its name; NULL */
	const char *home;      /* and who gave it that part: the home machine's name; NULL */
	unsigned placement_cpus;    /* percent of a machine's CPUs that guests may have in all */
	uint64_t placement_reserve; /* bytes of a machine's free memory that are left free */
	bool placement_not_here;    /* the home runs no guests but those that are pinned to it */
	const struct lab_index *index; /* paths → guests and networks; NULL until lab_index_paths */
};

/* The images that a guest is started with, by which a host that runs it is handed them. Returns how many. */
enum { GUEST_IMAGES_MAX = 2 };
size_t guest_images(const struct guest *guest, const char *ret[static GUEST_IMAGES_MAX]);

/* Whether gateway, DHCP, DNS and uplink of a network of this host are on this machine; whether it is on others, too. */
static inline bool network_is_home(const struct network *network)
{
	return !network->home.family;
}
static inline bool network_is_stretched(const struct network *network)
{
	return network->home.family || network->far_count;
}

/* Bytes that the network's encapsulation takes of each packet of the layer below. */
unsigned network_overhead(const struct network *network);

/* Once all guests and networks are in: makes the two lookups below take constant time. Without it they search. */
void lab_index_paths(struct lab *lab);

void lab_free(struct lab *lab);
static inline void lab_freep(struct lab **lab)
{
	lab_free(*lab);
}
#define cleanup_lab __attribute__((cleanup(lab_freep)))

struct guest *lab_find_guest(const struct lab *lab, const char *path);     /* NULL: none */
bool image_lives_in_memory(const char *image); /* one that nestvisor makes and that has no disk: micro, micro-libvirt */
struct network *lab_find_network(const struct lab *lab, const char *path); /* NULL: none */

/*
 * Whether the policy of `lab` is another than that of `other`, its order included: *ret_added lines are only in `lab`,
 * *ret_removed only in `other`.
 */
bool lab_policy_differs(const struct lab *lab, const struct lab *other, size_t *ret_added, size_t *ret_removed);

/*
 * The lines of `lab`'s policy stand where they stand in `file`, if that has the same lines in the same order; else, or
 * with NULL, nowhere: of a lab that was read from what no person wrote.
 */
void lab_take_policy_places(struct lab *lab, const struct lab *file);

struct lab_machine *lab_find_machine(const struct lab *lab, const char *name); /* NULL: none */

/*
 * Once guests have their machines, and again whenever one changed: which guests each machine has, the libvirt of guests
 * that do not say their own, and the tunnels and far NICs of L0's networks. Their MTU stays what it is.
 */
void lab_spread(struct lab *lab);

/*
 * A network of L0 as a machine with guests on it sees it, for its part: its home, peers and far NICs. False where it has no
 * guest on it. Thread-safe.
 */
bool machine_sees_network(struct arena *arena, const struct lab *lab, const struct lab_machine *machine,
			  const struct network *network, struct network *ret);

/* Whether it stands for a further machine of L0, and is no guest. */
static inline bool guest_is_machine(const struct guest *guest)
{
	return guest->machine && guest->machine->guest == guest;
}

/* The host that runs a guest: its parent, or the further machine of L0 that it was placed on. */
static inline struct host *guest_runs_on(const struct guest *guest)
{
	return guest->machine && !guest_is_machine(guest) ? guest->machine->guest->host : guest->parent;
}

/* The name of the machine of L0 that runs a guest of any layer: "L0" is this one. */
const char *guest_machine_name(const struct guest *guest);

/* Whether a guest of any layer is in the part of a host: below it, or of a further machine of L0, on it. */
bool host_has(const struct host *host, const struct guest *guest);

/* How many places by the index of a guest there are: those of guests, then those of machines. */
static inline size_t lab_index_count(const struct lab *lab)
{
	return lab->guest_count + lab->machine_count;
}

/* The guest of `host` that is `descendant` or has it somewhere below; NULL when it is not below this host. */
struct guest *host_guest_towards(const struct host *host, const struct guest *descendant);

/*
 * Names that follow from the lab alone (FNV-1a over "lab\0path\0…"), so that they never change and no two layers need
 * to agree on them. Two that fall together by chance are an error of the lab file (config/ checks). config/ calls these
 * once while building the model.
 */
uint32_t model_derive_vni(const char *lab, const char *path); /* 24 bits, never 0 */
void model_derive_id(const char *lab, const char *path, char ret[ID_TEXT_SIZE]);
/* 52:54:xx:xx:xx:xx is QEMU's habit but not locally administered by rule; ours begin with 02 (IEEE 802, U/L bit). */
void model_derive_mac(const char *lab, const char *path, unsigned nic, uint8_t ret[6]);
/*
 * The name itself where it fits an interface name with its suffix, else its start and a hash. suffix "" for bridges, "-0"
 * for taps. A bridge also gets the hash where its name is one that the kernel or net/ uses in the namespace ("lo",
 * "world", …) or that a tap could have.
 */
void model_derive_interface(const char *name, const char *suffix, char ret[INTERFACE_NAME_SIZE]);
/* What a nic's tap is called in the root namespace of its host, where libvirt has it or is to have it. */
void nic_loose_tap(const struct nic *nic, char ret[INTERFACE_NAME_SIZE]);

const char *uplink_name(enum uplink uplink);
const char *world_name(enum world world);
const char *firmware_name(enum firmware firmware); /* "uefi-secure" */
const char *encapsulation_name(enum encapsulation encapsulation);

/*
 * The virtual CPUs that it gets: under emulation a guest that may run guests has one. Two of an emulated one that do so at the
 * same time lose each other's interrupts, and end in a triple fault (QEMU before 10.2 changes interrupt_request without
 * a lock in its SVM; seen in one run of ten).
 */
unsigned guest_cpus(const struct guest *guest, bool emulated);

#endif
