/* Scalars of a lab file: what each kind of value looks like, in text, in words and as JSON Schema. */
#ifndef NESTVISOR_CONFIG_VALUE_H
#define NESTVISOR_CONFIG_VALUE_H

#include "base/ip.h"
#include "base/json.h"
#include "config/problems_internal.h"

enum value_kind {
	VALUE_NONE, /* this key takes no scalar */
	VALUE_LABEL,
	VALUE_NAME, /* of a guest or a network: a label that means nothing else in a policy */
	VALUE_PATH, /* names joined by "/" */
	VALUE_TEXT,
	VALUE_FILE,
	VALUE_IMAGE,
	VALUE_DRIVER, /* qemu, libvirt or a URI of libvirt's */
	VALUE_INTEGER,
	VALUE_RATIO, /* in hundredths */
	VALUE_PERCENT,
	VALUE_SIZE,  /* bytes; whole MiB */
	VALUE_BOOL,
	VALUE_CHOICE,
	VALUE_ADDRESS,
	VALUE_SUBNET,
	VALUE_MAC,
	VALUE_PORT,	/* 22, 22/tcp */
	VALUE_PORTS,	/* the same, or 8000-8010/tcp */
	VALUE_ENDPOINT, /* resolved once all guests are known */
	VALUE_KINDS
};

struct port_range {
	uint16_t first, last;
	uint8_t protocol;
};

union value {
	uint64_t number; /* INTEGER, RATIO, PERCENT, SIZE; the position in its list of a CHOICE; 0 or 1 of a BOOL */
	struct ip ip;
	struct prefix prefix;
	uint8_t mac[6];
	struct port_range ports;
};

/* One of the words that a VALUE_CHOICE takes. */
struct choice {
	const char *name, *means;
	const char *refused; /* a word that is understood, but not yet taken: why; else NULL */
};

/* What a kind needs to know of the key it stands for. */
struct value_rule {
	enum value_kind kind;
	uint64_t minimum, maximum;    /* INTEGER, RATIO, PERCENT, SIZE */
	const struct choice *choices; /* CHOICE; NULL ends */
};

/* What to say of a value that is wrong. Both NULL: what was expected says it all. */
struct complaint {
	const char *message; /* goes behind the value in quotes: "has 300 characters; at most 40 may stand here" */
	const char *hint;
};

/* Reads a scalar. Complaints live as long as the problems, which may be NULL for text that is known to be right. */
bool value_parse(const struct value_rule *rule, const char *text, struct problems *problems, union value *ret,
		 struct complaint *complaint);

/* "a size such as 512M or 2G" */
const char *value_expected(const struct value_rule *rule, struct problems *problems);

/* "size", for the manual. */
const char *value_noun(const struct value_rule *rule);

json_t *value_schema(const struct value_rule *rule);

/* The images that nestvisor makes itself; NULL ends. */
extern const struct choice value_builtin_images[];
bool value_is_builtin_image(const char *name);

/* What starts guests; NULL ends. */
extern const struct choice value_drivers[];
/* The URI of the libvirt that a VALUE_DRIVER means; NULL: none, it is qemu. */
const char *value_driver_uri(const char *text);

#endif
