#include "base/ip.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ip_parse(const char *text, struct ip *ret)
{
	struct ip ip = {0};

	if (inet_pton(AF_INET, text, ip.bytes) == 1)
		ip.family = AF_INET;
	else if (inet_pton(AF_INET6, text, ip.bytes) == 1)
		ip.family = AF_INET6;
	else
		return false;
	*ret = ip;
	return true;
}

bool prefix_parse(const char *text, struct prefix *ret)
{
	char address[IP_TEXT_SIZE];
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	struct prefix prefix;
	unsigned bits = 0;

	if (length >= sizeof(address))
		return false;
	memcpy(address, text, length);
	address[length] = '\0';
	if (!ip_parse(address, &prefix.ip))
		return false;
	prefix.length = ip_bits(&prefix.ip);
	if (slash) {
		const char *digit = slash + 1;

		if (!*digit || strlen(digit) > 3)
			return false;
		for (; *digit; digit++) {
			if (*digit < '0' || *digit > '9')
				return false;
			bits = bits * 10 + (unsigned)(*digit - '0');
		}
		if (bits > prefix.length)
			return false;
		prefix.length = (uint8_t)bits;
	}
	*ret = prefix;
	return true;
}

const char *ip_format(const struct ip *ip, char ret[IP_TEXT_SIZE])
{
	if (!ip->family || !inet_ntop(ip->family, ip->bytes, ret, IP_TEXT_SIZE))
		strcpy(ret, "-");
	return ret;
}

const char *prefix_format(const struct prefix *prefix, char ret[PREFIX_TEXT_SIZE])
{
	char ip[IP_TEXT_SIZE];

	if (prefix->ip.family)
		snprintf(ret, PREFIX_TEXT_SIZE, "%s/%u", ip_format(&prefix->ip, ip), prefix->length);
	else
		strcpy(ret, "-");
	return ret;
}

uint8_t ip_bits(const struct ip *ip)
{
	return ip->family == AF_INET ? 32 : 128;
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
	return a->family == b->family && (!a->family || memcmp(a->bytes, b->bytes, ip_bits(a) / 8U) == 0);
}

static bool same_bits(const struct ip *a, const struct ip *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (a->family != b->family || memcmp(a->bytes, b->bytes, whole) != 0)
		return false;
	return !rest || ((a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest)) == 0;
}

struct prefix prefix_network(const struct prefix *prefix)
{
	struct prefix network = *prefix;

	for (unsigned bit = network.length; bit < ip_bits(&network.ip); bit++)
		network.ip.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	return network;
}

bool prefix_contains(const struct prefix *prefix, const struct ip *ip)
{
	return prefix->ip.family && same_bits(&prefix->ip, ip, prefix->length);
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
	return a->ip.family && same_bits(&a->ip, &b->ip, a->length < b->length ? a->length : b->length);
}

struct ip prefix_host(const struct prefix *prefix, uint32_t index)
{
	struct ip ip = prefix_network(prefix).ip;
	uint64_t carry = index;

	for (int i = ip_bits(&ip) / 8 - 1; i >= 0 && carry; i--) {
		carry += ip.bytes[i];
		ip.bytes[i] = (uint8_t)carry;
		carry >>= 8;
	}
	return ip;
}

struct ip prefix_broadcast(const struct prefix *prefix)
{
	struct ip ip = prefix->ip;

	for (unsigned bit = prefix->length; bit < ip_bits(&ip); bit++)
		ip.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return ip;
}

bool mac_parse(const char *text, uint8_t ret[6])
{
	uint8_t mac[6];

	for (int i = 0; i < 6; i++) {
		unsigned value = 0;

		for (int digit = 0; digit < 2; digit++, text++) {
			const char *hex = "0123456789abcdef";
			const char *at = *text ? strchr(hex, *text | 0x20) : NULL;

			if (!at)
				return false;
			value = value * 16 + (unsigned)(at - hex);
		}
		mac[i] = (uint8_t)value;
		if (*text != (i < 5 ? ':' : '\0'))
			return false;
		text++;
	}
	memcpy(ret, mac, sizeof(mac));
	return true;
}

const char *mac_format(const uint8_t mac[6], char ret[MAC_TEXT_SIZE])
{
	snprintf(ret, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return ret;
}
