/* Statements that change the packet, its mark, or its connection's. */
#include "verify/evaluate.h"

#include <sys/socket.h>

static void set_address(struct packet *packet, struct ip *address, uint8_t family, const struct value *value)
{
	if (packet->family == family && value->kind == VALUE_RANGE && value->low == value->high)
		*address = wide_to_ip(value->low, family);
}

static void set_ports(struct ports *ports, const struct value *value)
{
	*ports = value->kind == VALUE_RANGE ? (struct ports){(uint16_t)value->low, (uint16_t)value->high}
					    : (struct ports){0, UINT16_MAX};
}

static struct number number_of_value(const struct value *value)
{
	return value->kind == VALUE_RANGE && value->low == value->high ? number_of((uint64_t)value->low)
								       : (struct number){};
}

static void set_mac(struct mac *mac, const struct value *value)
{
	*mac = (struct mac){.known = value->kind == VALUE_RANGE};
	for (int i = 0; i < 6 && mac->known; i++)
		mac->bytes[i] = (uint8_t)(value->low >> (40 - 8 * i));
}

/* Some bits of the type of service. */
static void set_tos(struct packet *packet, const struct value *value, unsigned shift, uint64_t mask)
{
	struct number number = number_of_value(value);

	if (!number.known || !packet->tos.known)
		packet->tos = (struct number){};
	else
		packet->tos.value = (packet->tos.value & ~mask) | (number.value << shift & mask);
}

bool assign_value(const struct scene *scene, const struct expr *field, const struct expr *value)
{
	struct hop *hop = scene->hop;
	struct packet *packet = &hop->packet;
	struct value now = evaluate_values(scene, value).items[0];

	if (now.kind == VALUE_ABSENT)
		return false;
	if (field->kind != EXPR_FIELD) {
		walk_unknown(hop->walk, hop->host, NULL, "%s: what a rule in chain %s changes", hop->host->name,
			     scene->chain->chain->name);
		return true;
	}
	switch ((int)field->field.field) {
	case FIELD_META_MARK:
		hop->mark = number_of_value(&now);
		return true;
	case FIELD_CT_MARK:
		if (hop->flow)
			hop->flow->mark = number_of_value(&now);
		return true;
	case FIELD_IP_SADDR:
		set_address(packet, &packet->src, AF_INET, &now);
		return true;
	case FIELD_IP6_SADDR:
		set_address(packet, &packet->src, AF_INET6, &now);
		return true;
	case FIELD_IP_DADDR:
		set_address(packet, &packet->dst, AF_INET, &now);
		return true;
	case FIELD_IP6_DADDR:
		set_address(packet, &packet->dst, AF_INET6, &now);
		return true;
	case FIELD_TCP_SPORT:
	case FIELD_UDP_SPORT:
	case FIELD_TH_SPORT:
		set_ports(&packet->sport, &now);
		return true;
	case FIELD_TCP_DPORT:
	case FIELD_UDP_DPORT:
	case FIELD_TH_DPORT:
		set_ports(&packet->dport, &now);
		return true;
	case FIELD_IP_TTL:
	case FIELD_IP6_HOPLIMIT:
		packet->ttl = number_of_value(&now);
		return true;
	case FIELD_IP_DSCP:
	case FIELD_IP6_DSCP:
		set_tos(packet, &now, 2, 0xfc);
		return true;
	case FIELD_IP_ECN:
	case FIELD_IP6_ECN:
		set_tos(packet, &now, 0, 3);
		return true;
	case FIELD_XT_TOS:
		set_tos(packet, &now, 0, 0xff);
		return true;
	case FIELD_ETHER_SADDR:
		set_mac(&packet->src_mac, &now);
		return true;
	case FIELD_ETHER_DADDR:
		set_mac(&packet->dst_mac, &now);
		return true;
	default: /* priorities, traces, labels and the like change no way */
		return true;
	}
}
