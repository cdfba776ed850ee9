/*
 * The fields that sets of packets are over, in the order in which diagrams ask them: PSET_FIELD(id, name, bits, how).
 * `how` they are asked: BITS in tests; RANGES in ranges, which have up to 64 bits; ADDRESS: 4 bits in tests, then 60 and 64
 * in ranges, so that nodes of many addresses do not become one long list. To be included with PSET_FIELD defined.
 * docs/architecture.md says how the order and the ways were found.
 *
 * A field that a packet does not have is free in it: a packet without ports is in a set with every port, so whoever
 * makes a set from a rule also asks for the protocol. Where absence is something that rules ask about, it is a value of
 * the field: the empty name of an interface, a MAC with PSET_NO_MAC.
 */
PSET_FIELD(FAMILY, "family", 2, BITS)	    /* enum pset_family */
PSET_FIELD(PROTOCOL, "protocol", 8, BITS)   /* of layer 4; IPv6: behind the extension headers */
PSET_FIELD(STATE, "state", 3, BITS)	    /* enum pset_state */
PSET_FIELD(DIRECTION, "direction", 1, BITS) /* of a known connection: 0 original, 1 reply */
PSET_FIELD(FRAGMENT, "fragment", 2, BITS)   /* enum pset_fragment */
PSET_FIELD(TCP_FLAGS, "tcp flags", 8, BITS)
PSET_FIELD(ICMP_TYPE, "icmp type", 8, BITS)
PSET_FIELD(ICMP_CODE, "icmp code", 8, BITS)
PSET_FIELD(STATUS, "ct status", 16, BITS) /* CT_STATUS_* */
PSET_FIELD(MARK, "mark", 32, BITS)
PSET_FIELD(CT_MARK, "ct mark", 32, BITS)
PSET_FIELD(TOS, "tos", 8, BITS)		    /* IPv6: traffic class */
PSET_FIELD(TTL, "ttl", 8, RANGES)	    /* IPv6: hop limit */
PSET_FIELD(LENGTH, "length", 16, RANGES)    /* of the packet from its IP header on */
PSET_FIELD(OIF, "oif", 128, BITS)	    /* names, see wide_of_name(); empty: none */
PSET_FIELD(OUT_PORT, "oif port", 128, BITS) /* the port of a bridge; empty: not bridged */
PSET_FIELD(DADDR, "daddr", 128, ADDRESS)	    /* IPv4: the first 32 bits */
PSET_FIELD(SADDR, "saddr", 128, ADDRESS)
PSET_FIELD(DPORT, "dport", 16, RANGES)
PSET_FIELD(SPORT, "sport", 16, RANGES)
PSET_FIELD(IIF, "iif", 128, BITS)
PSET_FIELD(IN_PORT, "iif port", 128, BITS)
PSET_FIELD(SMAC, "source mac", 49, BITS)
PSET_FIELD(DMAC, "destination mac", 49, BITS)
/* Whose packet it is, where many are followed at once: no part of it, and no rule asks. */
PSET_FIELD(ORIGIN, "origin", 32, RANGES)
/* The tuple of the connection that the packet belongs to, as its first packet had it. */
PSET_FIELD(CT_DADDR, "ct daddr", 128, ADDRESS)
PSET_FIELD(CT_SADDR, "ct saddr", 128, ADDRESS)
PSET_FIELD(CT_DPORT, "ct dport", 16, RANGES)
PSET_FIELD(CT_SPORT, "ct sport", 16, RANGES)
