/*
 * Connection tracking: which connection a packet belongs to and which way it goes in it, and the translation that its
 * first packet got, done again for every other one and undone for the answers (net/netfilter/nf_conntrack_core.c,
 * nf_nat_core.c). The connections of a walk are those that its own packets made; the question's earlier packet makes
 * the one that an established packet belongs to.
 */
#include "verify/walk_internal.h"

#include <string.h>
#include <sys/socket.h>

bool flow_tracks(const struct hop *hop)
{
	return hop->packet.family == AF_INET ? hop->host->tracks4 : hop->host->tracks6;
}

struct flow *flow_add(struct walk *walk, struct stack_host *host, const struct tuple *original)
{
	struct flow *flow = arena_new_struct(walk->arena, struct flow);

	*flow = (struct flow){
		.host = host, .original = *original, .reply = tuple_inverse(original), .mark = number_of(0)};
	*arena_push(walk->arena, walk->flows, walk->flow_count) = flow;
	return flow;
}

/*
 * A port that was translated is one of a range, and the answer says which it is. An answer to a question's connection
 * is taken to have the right one; it is known from then on.
 */
static bool is_answer_to_range(const struct walk *walk, struct flow *flow, const struct tuple *tuple)
{
	struct ports range = flow->reply.dport;
	struct tuple narrowed = flow->reply;

	if (walk->rehearsal || !walk->question->first || range.first == range.last ||
	    tuple->dport.first < range.first || tuple->dport.last > range.last)
		return false;
	narrowed.dport = tuple->dport;
	if (!tuple_equal(&narrowed, tuple))
		return false;
	flow->reply = narrowed;
	return true;
}

static struct flow *find_flow(const struct walk *walk, const struct stack_host *host, const struct tuple *tuple,
			      bool *ret_reply)
{
	for (size_t i = 0; i < walk->flow_count; i++) {
		struct flow *flow = walk->flows[i];

		if (flow->host != host)
			continue;
		*ret_reply = tuple_equal(&flow->reply, tuple) || is_answer_to_range(walk, flow, tuple);
		if (*ret_reply || tuple_equal(&flow->original, tuple))
			return flow;
	}
	return NULL;
}

/* Combinations of flags that no TCP sends (tcp_valid_flags in nf_conntrack_proto_tcp.c); PSH, ECE and CWR do not count.
 */
static bool tcp_flags_valid(uint8_t flags)
{
	switch (flags & ~(TCP_PSH | TCP_ECE | TCP_CWR)) {
	case TCP_SYN:
	case TCP_SYN | TCP_URG:
	case TCP_SYN | TCP_ACK:
	case TCP_RST:
	case TCP_RST | TCP_ACK:
	case TCP_FIN | TCP_ACK:
	case TCP_FIN | TCP_ACK | TCP_URG:
	case TCP_ACK:
	case TCP_ACK | TCP_URG:
		return true;
	default:
		return false;
	}
}

/* May a connection begin with this packet? */
static bool tcp_begins(struct hop *hop)
{
	uint8_t flags = hop->packet.tcp_flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST);

	if (flags == TCP_SYN)
		return true;
	return flags == TCP_ACK &&
	       walk_sysctl_or(hop, &hop->host->tcp_loose, "net.netfilter.nf_conntrack_tcp_loose", 1);
}

static bool icmp_begins(const struct packet *packet)
{
	uint8_t type = packet->icmp_type;

	if (packet->family == AF_INET)
		return type == 8 || type == 13 || type == 15 || type == 17;
	return type == 128 || type == 139;
}

/* Neighbour discovery and multicast listener reports are left alone (nf_conntrack_proto_icmpv6.c). */
static bool icmp_untracked(const struct packet *packet)
{
	uint8_t type = packet->icmp_type;

	return packet->family == AF_INET6 && ((type >= 130 && type <= 136) || type == 143);
}

static void record(struct hop *hop, const char *effect)
{
	struct step *step;

	if (hop->walk->rehearsal)
		return;
	step = walk_step(hop, STEP_CONNECTION);
	step->hook = hop->hook;
	step->effect = effect;
	step->text = "connection tracking";
}

/*
 * An ICMP error belongs to the connection that it is about (nf_conntrack_inet_error): what is inside, turned round, is
 * a packet that goes the error's way; and the error must go to whom that packet came from.
 */
static bool track_error(struct hop *hop)
{
	struct tuple inner = tuple_of(hop->packet.inner);
	struct flow *flow;
	bool reply;

	inner = tuple_inverse(&inner);
	flow = find_flow(hop->walk, hop->host, &inner, &reply);
	if (!flow || !ip_equal(reply ? &flow->reply.dst : &flow->original.dst, &hop->packet.dst))
		return false;
	hop->flow = flow;
	hop->tracked = TRACKED_RELATED;
	hop->reply = reply;
	record(hop, "related");
	return true;
}

static void track_known(struct hop *hop, struct flow *flow, bool reply)
{
	hop->flow = flow;
	hop->reply = reply;
	if (reply)
		flow->seen_reply = true;
	hop->tracked = flow->seen_reply ? TRACKED_ESTABLISHED : flow->related ? TRACKED_RELATED : TRACKED_NEW;
	record(hop, hop->tracked == TRACKED_ESTABLISHED ? reply ? "established, reply" : "established" : "new");
}

static bool begins(struct hop *hop)
{
	const struct packet *packet = &hop->packet;

	if (hop->walk->to_invalid && !hop->walk->rehearsal)
		return false;
	if (packet->protocol == PROTOCOL_TCP)
		return tcp_flags_valid(packet->tcp_flags) && tcp_begins(hop);
	return !packet_is_icmp(packet) || icmp_begins(packet);
}

/*
 * Where answers take another way, a host waits for one to the SYN for ever, and finds what follows invalid (state
 * SYN_SENT in the table of nf_conntrack_proto_tcp.c).
 */
static bool tcp_misses_answer(const struct hop *hop, const struct flow *flow)
{
	uint8_t flags = hop->packet.tcp_flags;

	return !hop->walk->rehearsal && flow->begun_by_syn && !flow->seen_reply &&
	       (flags & (TCP_SYN | TCP_ACK)) != TCP_SYN && !(flags & TCP_RST);
}

void flow_track(struct hop *hop)
{
	struct tuple tuple;
	struct flow *flow;
	bool reply;

	if (hop->tracked != TRACKED_NOT || !flow_tracks(hop))
		return;
	if (icmp_untracked(&hop->packet)) {
		hop->tracked = TRACKED_UNTRACKED;
		return;
	}
	if (packet_is_icmp_error(&hop->packet) && hop->packet.inner && track_error(hop))
		return;
	tuple = tuple_of(&hop->packet);
	flow = find_flow(hop->walk, hop->host, &tuple, &reply);
	if (flow && !reply && tcp_misses_answer(hop, flow)) {
		hop->tracked = TRACKED_INVALID;
		record(hop, "invalid: no answer came by here");
		return;
	}
	if (flow && !(hop->walk->to_invalid && !hop->walk->rehearsal)) {
		track_known(hop, flow, reply);
		return;
	}
	if (!begins(hop)) {
		hop->tracked = TRACKED_INVALID;
		record(hop, "invalid");
		return;
	}
	flow = flow_add(hop->walk, hop->host, &tuple);
	flow->begun_by_syn = hop->packet.protocol == PROTOCOL_TCP && hop->packet.tcp_flags & TCP_SYN;
	track_known(hop, flow, false);
}

static const char *end_text(struct walk *walk, const struct ip *ip, const struct ports *ports, bool has_port)
{
	char text[IP_TEXT_SIZE];

	ip_format(ip, text);
	if (!has_port || ports->first != ports->last)
		return walk_text(walk, "%s", text);
	return walk_text(walk, ip->family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, ports->first);
}

/* What an ICMP error is about goes the other way: its source is where the error goes (nf_nat_icmp_reply_translation).
 */
static void translate_inner(struct hop *hop, bool source, const struct tuple *wanted)
{
	struct packet *inner = arena_new_struct(hop->walk->arena, struct packet);

	*inner = *hop->packet.inner;
	if (source) {
		inner->dst = wanted->src;
		inner->dport = packet_has_ports(inner) ? wanted->sport : inner->dport;
	} else {
		inner->src = wanted->dst;
		inner->sport = packet_has_ports(inner) ? wanted->dport : inner->sport;
	}
	hop->packet.inner = inner;
}

/*
 * The answers' tuple says how packets of the original direction are to look, and the original tuple how the answers
 * are. Both hooks of a host together turn one into the other, the destination at the first and the source at the
 * second.
 */
const char *flow_translate(struct hop *hop, bool source)
{
	struct flow *flow = hop->flow;
	struct packet *packet = &hop->packet, before = *packet;
	struct tuple wanted;
	bool translated;

	if (!flow)
		return NULL;
	translated = source != hop->reply ? flow->source_nat : flow->destination_nat;
	if (!translated)
		return NULL;
	wanted = hop->reply ? flow->original : flow->reply;
	wanted = tuple_inverse(&wanted);
	if (source) {
		packet->src = wanted.src;
		packet->sport = packet_has_ports(packet) ? wanted.sport : packet->sport;
	} else {
		packet->dst = wanted.dst;
		packet->dport = packet_has_ports(packet) ? wanted.dport : packet->dport;
	}
	if (packet_is_icmp(packet) && hop->tracked != TRACKED_RELATED)
		packet->icmp_id = wanted.sport.first;
	if (packet->inner)
		translate_inner(hop, source, &wanted);
	if (source ? ip_equal(&before.src, &packet->src) && before.sport.first == packet->sport.first
		   : ip_equal(&before.dst, &packet->dst) && before.dport.first == packet->dport.first)
		return NULL;
	return walk_text(hop->walk, "%s → %s",
			 end_text(hop->walk, source ? &before.src : &before.dst, source ? &before.sport : &before.dport,
				  packet_has_ports(packet)),
			 end_text(hop->walk, source ? &packet->src : &packet->dst,
				  source ? &packet->sport : &packet->dport, packet_has_ports(packet)));
}
