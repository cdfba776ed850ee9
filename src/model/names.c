#include "model/hash.h"
#include "model/lab.h"
#include "model/status.h"

#include <stdbool.h>
#include <stdio.h>

/* The end of each part is hashed, too, so that "ab" + "c" and "a" + "bc" differ. */
static uint64_t hash_names(const char *lab, const char *path)
{
	return hash_more(hash_more(HASH_START, lab, strlen(lab) + 1), path, strlen(path) + 1);
}

/* FNV's authors shorten by folding: the low bits alone are the weakest. */
static uint64_t fold(uint64_t hash, unsigned bits)
{
	return (hash >> bits ^ hash) & ((UINT64_C(1) << bits) - 1);
}

void model_derive_id(const char *lab, const char *path, char ret[ID_TEXT_SIZE])
{
	snprintf(ret, ID_TEXT_SIZE, "%08x", (unsigned)fold(hash_names(lab, path), 32));
}

uint32_t model_derive_vni(const char *lab, const char *path)
{
	uint32_t vni = (uint32_t)fold(hash_names(lab, path), 24);

	return vni ? vni : 1;
}

void model_derive_mac(const char *lab, const char *path, unsigned nic, uint8_t ret[6])
{
	char number[16];
	uint64_t hash;

	snprintf(number, sizeof(number), "%u", nic);
	hash = fold(hash_text(hash_names(lab, path), number), 40);
	ret[0] = 0x02;
	for (unsigned i = 1; i < 6; i++)
		ret[i] = (uint8_t)(hash >> (8 * (5 - i)));
}

/* "lo" and the uplink are interfaces; "all" and "default" are their neighbours in /proc/sys/net/ipv4/conf. */
static bool is_taken(const char *name)
{
	static const char *const taken[] = {"lo", "world", "admin", "all", "default"};
	const char *dash = strrchr(name, '-');

	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (strcmp(taken[i], name) == 0)
			return true;
	return dash && dash[1] && strspn(dash + 1, "0123456789") == strlen(dash + 1); /* a tap: "a-0" */
}

void model_derive_interface(const char *name, const char *suffix, char ret[INTERFACE_NAME_SIZE])
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567"; /* RFC 4648's base32 */
	enum { HASH_DIGITS = 7, ROOM = INTERFACE_NAME_SIZE - 1 };
	size_t length = strlen(name), tail = strlen(suffix), start;
	uint64_t hash;

	if (tail > ROOM - HASH_DIGITS - 2)
		tail = ROOM - HASH_DIGITS - 2;
	if (length + tail <= ROOM && (*suffix || !is_taken(name))) {
		start = length;
		memcpy(ret, name, start);
	} else {
		start = ROOM - HASH_DIGITS - 1 - tail;
		if (start > length)
			start = length;
		memcpy(ret, name, start);
		ret[start++] = '-';
		hash = hash_text(HASH_START, name);
		for (unsigned i = 0; i < HASH_DIGITS; i++, hash >>= 5)
			ret[start++] = digits[(hash ^ hash >> 35) & 31];
	}
	memcpy(ret + start, suffix, tail);
	ret[start + tail] = '\0';
}

const char *uplink_name(enum uplink uplink)
{
	switch (uplink) {
	case UPLINK_NAT:
		return "nat";
	case UPLINK_ROUTE:
		return "route";
	case UPLINK_NONE:
		return "none";
	}
	return "?";
}

const char *world_name(enum world world)
{
	switch (world) {
	case WORLD_OPEN:
		return "open";
	case WORLD_CUT:
		return "cut";
	case WORLD_SEALED:
		return "sealed";
	}
	return "?";
}

const char *encapsulation_name(enum encapsulation encapsulation)
{
	switch (encapsulation) {
	case ENCAP_NONE:
		return "none";
	case ENCAP_VXLAN:
		return "vxlan";
	case ENCAP_GENEVE:
		return "geneve";
	}
	return "?";
}

const char *host_part_name(unsigned place)
{
	static const char *const names[HOST_PART_COUNT] = {"namespace", "rules",  "networks",
							   "routes",	"uplink", "publish", "sysctls"};

	return place < HOST_PART_COUNT ? names[place] : "?";
}

const char *guest_state_name(enum guest_state state)
{
	switch (state) {
	case GUEST_ABSENT:
		return "absent";
	case GUEST_STARTING:
		return "starting";
	case GUEST_RUNNING:
		return "running";
	case GUEST_DEAD:
		return "dead";
	case GUEST_UNKNOWN:
		return "unknown";
	}
	return "?";
}

void nic_loose_tap(const struct nic *nic, char ret[INTERFACE_NAME_SIZE])
{
	snprintf(ret, INTERFACE_NAME_SIZE, "nv%.8st%u", nic->guest->id, nic->index % 10000);
}
