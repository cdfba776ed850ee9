/*
 * The schema of a lab file: one table of every key, from which files are checked (schema_check.c), the JSON Schema is
 * printed (schema_json.c) and the manual page written (manual.c). Nothing of it is said a second time anywhere.
 */
#ifndef NESTVISOR_CONFIG_SCHEMA_H
#define NESTVISOR_CONFIG_SCHEMA_H

#include "config/value.h"
#include "config/tree.h"

enum key_shape {
	SHAPE_ONE,
	SHAPE_LIST,	   /* a list of such */
	SHAPE_ONE_OR_LIST, /* one, or a list of them: schema_check makes a list of it either way */
	SHAPE_NAMED,	   /* a map from names to such */
};

enum key_flag {
	KEY_REQUIRED = 1,
	KEY_IN_DEFAULTS = 2, /* may also stand in the lab's "defaults" */
	KEY_PART_ONLY = 4,   /* understood only in a part, a file with "at"; not shown to people */
};

/* What may stand behind a key: a scalar of a kind, a map that is an object, or either. */
struct key {
	const char *name;
	enum key_shape shape;
	unsigned flags;
	struct value_rule rule;	     /* kind VALUE_NONE: no scalar */
	const struct object *object; /* NULL: no map */
	const char *fallback;	     /* the value that stands for a key that is left out; NULL: none */
	const char *otherwise;	     /* in words, where that depends on other keys */
	const char *description;     /* sentences; what it does, in which unit */
	const char *example;	     /* a value in YAML */
};

struct object {
	const char *id;	     /* "guest": its name in $defs of the JSON Schema */
	const char *article; /* "a guest": how messages call it */
	const char *title;   /* "GUESTS": its section in the manual */
	const char *description;
	const struct key *keys;
	size_t key_count;
	unsigned only; /* takes only the keys with this flag; 0: all */
};

/* Positions of keys in their objects: node->slots[GUEST_MEMORY] is what a guest said of its memory, or NULL. */
enum { LAB_LAB, LAB_AT, LAB_ISOLATION, LAB_ROUTERS, LAB_HERE, LAB_HOME, LAB_CPU_OVERCOMMIT, LAB_DRIVER, LAB_HOSTS, LAB_PLACEMENT, LAB_DEFAULTS, LAB_NETWORKS, LAB_GUESTS, LAB_POLICY, LAB_KEYS };
enum {
	NETWORK_SUBNET,
	NETWORK_GATEWAY,
	NETWORK_UPLINK,
	NETWORK_MTU,
	NETWORK_DHCP,
	NETWORK_DNS,
	NETWORK_VXLAN,
	NETWORK_GENEVE,
	NETWORK_ADOPTED,
	NETWORK_HOME,
	NETWORK_FAR,
	NETWORK_KEYS
};
enum { MACHINE_URI, MACHINE_ADDRESS, MACHINE_HOME, MACHINE_KEY, MACHINE_KEYS };
enum { PLACEMENT_CPUS, PLACEMENT_RESERVE, PLACEMENT_HERE, PLACEMENT_KEYS };
enum { FAR_MAC, FAR_ADDRESS, FAR_BEHIND, FAR_HOST, FAR_KEYS };
enum { DHCP_RANGE, DHCP_KEYS };
enum { TUNNEL_ID, TUNNEL_PEERS, TUNNEL_OPTIONS, TUNNEL_KEYS };
enum {
	GUEST_CPUS,
	GUEST_MEMORY,
	GUEST_DISK,
	GUEST_IMAGE,
	GUEST_OS,
	GUEST_FIRMWARE,
	GUEST_TPM,
	GUEST_DISPLAY,
	GUEST_HYPERVISOR,
	GUEST_INSTALL,
	GUEST_NICS,
	GUEST_NETWORKS,
	GUEST_GUESTS,
	GUEST_NESTED,
	GUEST_WORLD,
	GUEST_PUBLISH,
	GUEST_TAGS,
	GUEST_SEED,
	GUEST_TRANSPORT,
	GUEST_SSH,
	GUEST_CPU_OVERCOMMIT,
	GUEST_DRIVER,
	GUEST_ADOPTED,
	GUEST_PLACEMENT,
	GUEST_APART,
	GUEST_IMAGE_ID,
	GUEST_KEYS
};
enum { NIC_NETWORK, NIC_ADDRESS, NIC_MAC, NIC_QUEUES, NIC_KEYS };
enum { PUBLISH_PORT, PUBLISH_AS, PUBLISH_ADDRESS, PUBLISH_KEYS };
enum { SSH_USER, SSH_KEY, SSH_KEYS };
enum {
	INSTALL_ISO,
	INSTALL_VIRTIO,
	INSTALL_EDITION,
	INSTALL_LANGUAGE,
	INSTALL_KEYBOARD,
	INSTALL_TIME_ZONE,
	INSTALL_USER,
	INSTALL_PASSWORD_FILE,
	INSTALL_PRODUCT_KEY,
	INSTALL_BUILD,
	INSTALL_VIRTIO_ID,
	INSTALL_PASSWORD,
	INSTALL_KEYS
};
enum { POLICY_ALLOW_KEY, POLICY_DENY_KEY, POLICY_KEYS };
enum { RULE_FROM, RULE_TO, RULE_PORT, RULE_EVEN_IF_COMPROMISED, RULE_KEYS };

extern const struct object schema_lab, schema_defaults, schema_network, schema_guest;

/* All objects, in the manual's order; NULL ends. */
extern const struct object *const schema_objects[];

/* Whether people may use this key here. */
bool schema_is_public(const struct object *object, const struct key *key);

/*
 * Checks a whole tree against the table, fills in values and slots, and reports what is wrong. What is wrong becomes
 * NODE_BROKEN. False where the tree is no lab at all.
 */
bool schema_check(struct arena *arena, struct node *root, struct problems *problems);

#endif
