/* What the parts of spread.c share. */
#ifndef NESTVISOR_VERIFY_SPREAD_INTERNAL_H
#define NESTVISOR_VERIFY_SPREAD_INTERNAL_H

#include "verify/spread.h"

struct arena;

/* What routing says of a packet. */
enum decision_kind {
	DECIDED_NOTHING, /* no route */
	DECIDED_THROW,	 /* not in this table */
	DECIDED_ROUTE,
	DECIDED_UNKNOWN, /* a table or a rule that was not captured */
};

struct decision {
	enum decision_kind kind;
	const struct stack_route *route;
};

/* One host, one family. Numbers that `function` leads to are indices of decisions; 0 is no route. */
struct been;
struct spread_back;
struct spread_clashes;
struct spread_segments;
struct spread_ways;
struct visit;

struct spread_routing {
	diagram arriving, local; /* for packets that came in, and for the host's own */
	struct decision *decisions;
	size_t decision_count;
	struct spread_ways *ways; /* by where packets come in; those that were asked for */
	size_t way_count;
	struct spread_back **backs; /* spread_source.c: ways back that were asked for */
	size_t back_count;
	bool built;
};

/* Something that was done to some packets at one place. */
struct change {
	struct bounds before, after;
	struct chains *chains; /* whose effect it is */
	effect done;
	bool source;			     /* which of the two translations */
	pset_fields moved;		     /* by translation: the address, the port */
	pset_fields renewed;		     /* set or forgotten whatever they were */
	const struct passage *inner, *outer; /* or several passages, from the last back to, but without, this one */
};

/* Fields that say where packets are. Packets of a stream do not; those that a chain ended do. */
static const pset_fields spread_place_fields =
	PSET_BIT(PSET_IIF) | PSET_BIT(PSET_OIF) | PSET_BIT(PSET_IN_PORT) | PSET_BIT(PSET_OUT_PORT);

/* What became of all packets there; those that nothing was done to are a change, too. */
struct passage {
	const struct passage *before;
	const struct change *changes;
	size_t change_count;
};

/* The changes that one chain makes, as they are gathered. */
struct changes {
	const struct stack_chain *chain;
	struct change *items;
	size_t count;
};

/* Packets at one place. */
struct stream {
	struct stack_host *host;
	enum stack_family family;
	struct stack_link *iif, *in_port, *oif, *out_port; /* NULL: none */
	struct bounds packets;				   /* they do not say which interfaces these are */
	const struct passage *passage;			   /* the last one; NULL: they are as they started */
	size_t hop;					   /* of several that go on together, the way of one of them */
	const struct been *been; /* hosts that translate and that some of them were at; NULL: none yet */
	pset origins;		 /* whose they may be: a set over PSET_ORIGIN */
	pset back;		 /* of these, whose packets were at this host before */
	pset known;		 /* as they came: those of connections that they began here then */
	unsigned depth;		 /* hosts so far */
	unsigned state;		 /* PSET_NEW, PSET_INVALID: what connection tracking is to find the packets */
	unsigned fragment;	 /* PSET_WHOLE and so on: what they are between hosts */
	bool tracked;		 /* connection tracking of this host has seen them */
	bool translated[2];	 /* is it decided how: the destination, the source */
	bool redirected;	 /* on a bridge: to another destination than they came for */
	bool prerouted;		 /* they passed that hook already, on a bridge */
	const struct ip *next;	 /* the router that they are sent to; NULL: none, or not routed */
};

struct spread {
	const struct stack *stack;
	struct space *space;
	struct arena *arena;	/* until the next question */
	struct arena *kept;	/* as long as the spread */
	struct chains **chains; /* of each host; NULL: not needed yet */
	bool gathers;		/* packets wait at hosts for others that come there as they do */
	struct stream *waiting;
	size_t waiting_count;
	struct spread_segments *segments; /* spread_segment.c: bridges at which packets wait; NULL: none yet */
	enum truth rules_ask_macs;	  /* of any packet; unknown: not looked yet */
	bool omits_macs;		  /* nobody tells packets apart by them: they have none, but in frames to all */
	bool *taken_over;		  /* is each host? */
	bool asks_ttl;			  /* some rule does */
	bool counts_ttl;		  /* the packets followed were told apart by it */
	struct spread_routing (*routing)[2]; /* of each host, both families */
	struct spread_hop *hops;
	size_t hop_count;
	struct spread_end *ends;
	size_t end_count;
	struct spread_clashes *clashes; /* spread_unique.c: of each host and family; NULL: not looked for yet */
	struct spread_table *tables;	/* of connections, of each host; NULL: not looked at, see spread_learn() */
	bool omits_stopped;		/* see spread_follow_arriving() */
	bool notes;			/* what begins is noted there */
	bool only_listed;		/* of it the entries alone count */
	bool both_ways;			/* packets of known connections are asked about in both directions */
	bool confines;			/* packets of known connections are held to what stands there */
	struct visit *visits;		/* places that packets of known connections came to, and which */
	size_t visit_count;
	bool too_large; /* there are more ways than anybody will wait for */
	uint32_t first_id, put_id;
};

static inline bool bounds_are_empty(struct bounds bounds)
{
	return pset_is_empty(bounds.may);
}

/* Those of the packets that are in a set, or that are not. */
struct bounds bounds_in(struct space *space, struct bounds packets, pset set);
struct bounds bounds_out(struct space *space, struct bounds packets, pset set);

struct chains *spread_chains(struct spread *spread, const struct stack_host *host);
/* Notes an end of some packets of the stream; nothing where there are none. */
void spread_end_at(struct spread *spread, const struct stream *stream, struct bounds packets, enum spread_fate fate,
		   enum spread_reason reason);
/* The same, by a chain, or behind a route. */
void spread_end_by(struct spread *spread, const struct stream *stream, struct bounds packets, enum spread_fate fate,
		   enum hook hook, const struct stack_chain *chain);
void spread_end_on(struct spread *spread, const struct stream *stream, struct bounds packets, enum spread_fate fate,
		   enum spread_reason reason, const struct stack_route *route);

/* ---- spread_back.c ---- */

/* The stream's packets have become others. The changes are in the arena. */
void spread_pass(struct spread *spread, struct stream *stream, struct change *changes, size_t count);
/* The same, where all of these fields were set, or forgotten, in all packets. */
void spread_renew(struct spread *spread, struct stream *stream, struct bounds before, pset_fields fields);

/* ---- spread_hook.c ---- */

/* The base chains of a hook with priorities from `first` to `last`. What they drop ends; the others are left. */
void spread_hook(struct spread *spread, struct stream *stream, enum stack_family family, enum hook hook, int32_t first,
		 int32_t last);
/*
 * Of the output hook the chains from `*index` on, up to the first one behind which some packets must be routed again:
 * those are in `ret_again`. False: there are none, and the hook is done.
 */
bool spread_output(struct spread *spread, struct stream *stream, size_t *index, struct stream *ret_again);
/* The base chains of a device. */
void spread_device(struct spread *spread, struct stream *stream, const struct stack_hook *chains, enum hook hook,
		   const struct stack_link *link);
void spread_add_change(struct spread *spread, struct changes *changes, const struct change *change);
/* Does this host call IP's chains for frames that it bridges? */
enum truth spread_calls_ip(const struct stack_host *host, const struct stack_link *bridge, enum stack_family family);

/* Is nobody to be told of packets that end so? */
static inline bool spread_omits(const struct spread *spread, enum spread_fate fate)
{
	return spread->omits_stopped && (fate == SPREAD_DROPPED || fate == SPREAD_REJECTED || fate == SPREAD_LOST);
}

/* ---- spread_nat.c ---- */

/* What a nat statement makes of packets: change->after. */
void spread_translate(struct spread *spread, const struct stream *stream, const struct nat *nat,
		      const struct change *change, struct changes *changes);

/* Where the statements of a host translate to, as values of the fields: all that may be. */
struct nat_range {
	pset address, port; /* of SADDR and SPORT, or of DADDR and DPORT */
	bool moves_address;
};
struct nat_range spread_nat_range(struct spread *spread, const struct stack_host *host, enum stack_family family,
				  const struct nat *nat, bool source);
/* Of each statement of a chain that translates: whether sources, and what packets it may translate, as first ones. */
typedef void (*spread_nat_visit)(void *data, const struct nat *nat, bool source, pset first);
void spread_each_nat(struct spread *spread, const struct stack_host *host, const struct stack_chain *chain,
		     spread_nat_visit visit, void *data);

/* ---- spread_unique.c ---- */

/* Packets that get another port since others have theirs: first ones that no statement translated, as the hook of a
 * source leaves them; those of known connections at either hook. They may keep their ports as well. */
void spread_change_ports(struct spread *spread, const struct stream *stream, bool source, struct changes *changes);
/* First packets that are here again leave the host, or are taken in: notes those that may be lost for want of a port.
 */
void spread_lose_clashing(struct spread *spread, const struct stream *stream);
/* Answers to packets of the set, as far as addresses and ports tell. */
pset spread_answers_to(struct space *space, pset set);

/* ---- spread_known.c ---- */

/* Packets of connections that were there before: which state they are in, host by host, is not known. */
bool spread_is_known(const struct stream *stream);
pset spread_entered_known(struct spread *spread, pset set);
/*
 * They leave a hook where the kernel translates as they are, or translated as the rules would a first packet, or as an
 * answer to one. `ret_again`: where those go that were translated; NULL: with the others.
 */
void spread_translate_known(struct spread *spread, struct stream *stream, enum hook hook, struct stream *ret_again);
/* A nat chain of that hook, asked as if the packets were first ones: what it translates comes back in `ret_translated`,
 * the others in `ret_rest`. */
void spread_run_nat(struct spread *spread, const struct stream *stream, const struct stack_chain *chain,
		    struct stream *ret_rest, struct stream *ret_translated);
/* They come to a host: only those that were not there yet go on. What became of the others is known already. */
void spread_visit_known(struct spread *spread, struct stream *stream);
/* Chains of that hook by which the host offers connections to a flowtable: their packets pass by the rules. */
bool spread_offloads(const struct stack_host *host, enum stack_family family);

/* ---- spread_table.c ---- */

/* Behind connection tracking: leaves those that belong to a connection which the host can know, translated as STATUS
 * and the CT_ fields say, and those that it finds to be new or invalid. */
void spread_confine(struct spread *spread, struct stream *stream);
/* The former, as the hook of a source or a destination leaves them. Returns the packets that this is all about. */
pset spread_translate_told(struct spread *spread, const struct stream *stream, bool source, struct changes *changes);
/* Those that begin a connection, of the latter. */
pset spread_first_ones(struct spread *spread);
/* First packets leave the host, or are taken in. */
void spread_note_begun(struct spread *spread, const struct stream *stream);

/* ---- spread_track.c ---- */

/* Connection tracking: which state the packets are in. */
void spread_track(struct spread *spread, struct stream *stream);
/* To track them the host puts fragments together. */
void spread_defragment(struct spread *spread, struct stream *stream);
void spread_make_whole(struct spread *spread, struct stream *stream);
pset spread_with_ports(struct space *space); /* packets of protocols with ports */

/* ---- spread_route.c ---- */

struct spread_routing *spread_routing(struct spread *spread, const struct stack_host *host, enum stack_family family);
/* What the stream's packets are told: each decision with its packets. The array is in the arena. */
struct routed {
	struct decision decision;
	struct bounds packets;
};
size_t spread_route(struct spread *spread, const struct stream *stream, bool local, struct routed **ret);
/* Those whose source is an address of the host itself. */
pset spread_own_addresses(struct spread *spread, const struct stack_host *host, enum stack_family family,
			  enum pset_field field);

/*
 * The packets that routing sends out by an interface with one of these names, as if they came in at `iif` (NULL: as if
 * the host made them). `back`: that would be answered so.
 */
struct bounds spread_routed_by(struct spread *spread, const struct stack_host *host, enum stack_family family,
			       const struct stack_link *iif, bool back, struct interval names);

/* ---- spread_fib.c ---- */

/* Who asks what routing says, for struct match_routing. */
struct spread_context {
	struct spread *spread;
	const struct stack_host *host;
};
struct match_routing *spread_match_routing(struct spread *spread, const struct stack_host *host);

/* ---- spread_link.c ---- */

/* Sends the packets by stream->oif to the next address, or to their own destination where that is none. */
void spread_send(struct spread *spread, const struct stream *stream, const struct ip *next);
/* Frames of any kind leave by a link, or come in at it: they come to everybody behind it. */
void spread_flood(struct spread *spread, const struct stream *stream, struct stack_link *link, bool leaving);
/* Frames come in at a port of a bridge: for others behind it, or for the bridge itself (stream->iif). */
void spread_frames(struct spread *spread, const struct stream *stream);
void spread_into_port(struct spread *spread, const struct stream *stream);

/* ---- spread_frame.c ---- */

/* Does any rule or any of the senders tell packets apart by their MACs, or write some? */
bool spread_asks_macs(struct spread *spread, const struct spread_start *starts, size_t count);

/* ---- spread_segment.c ---- */

/* Takes packets out of the stream that is sent by stream->oif, if they can wait for those of others to the same
 * receivers; they go on with spread_go_on_joined(). */
void spread_join(struct spread *spread, struct stream *stream);
void spread_go_on_joined(struct spread *spread);

/* ---- spread_local.c ---- */

/* Packets are sent by the host itself. */
void spread_send_out(struct spread *spread, const struct stream *stream);

/* ---- spread_source.c ---- */

/* Takes packets out of the stream whose source is not to come in there (fib_validate_source()), and ends them. `oif`:
 * where they are to leave; NULL: they are for the host. */
void spread_check_source(struct spread *spread, struct stream *stream, const struct stack_link *oif);
/* The same for addresses that no host has, whatever the routes are. */
void spread_refuse_martians(struct spread *spread, struct stream *stream);

/* ---- spread_gather.c ---- */

/* Where packets of either stream were, see stream->been. */
const struct been *spread_been_either(struct spread *spread, const struct been *one, const struct been *other);
/* The stream's packets come to its host; sets stream->back where that translates. */
void spread_note_been(struct spread *spread, struct stream *stream);
/* The same where they only pass a bridge of the host, whose rules of IP are asked: sets stream->back. */
void spread_look_back(struct spread *spread, struct stream *stream);
/* They have: connection tracking there has seen them as they came to the bridge. */
void spread_note_bridged(struct spread *spread, struct stream *stream, pset came);
/* They have left the host of their last hop: what answers them is known there. */
void spread_note_left(struct spread *spread, struct stream *stream);
/* Packets come to a host from another one: at once, or with the others that come there (spread_arrive()). */
void spread_hand_on(struct spread *spread, const struct stream *stream);
/* The same, where it was noted already that they left (spread_note_left()). */
void spread_hand_noted(struct spread *spread, const struct stream *stream);
/* Those that wait go on, each to the next host at most. */
void spread_go_on(struct spread *spread);

/* ---- spread.c ---- */

/* Takes out and ends what came in by an interface that does not forward; all of it is for others. */
void spread_check_forwarding(struct spread *spread, struct stream *stream, const struct stack_route *route);
/* Packets come in at stream->iif, of a host that they have entered. */
void spread_arrive(struct spread *spread, const struct stream *stream);
/* What a host does not know of packets that come to it: marks, the first packet of their connection. */
void spread_enter_host(struct spread *spread, struct stream *stream);
/* Packets for the host itself. */
void spread_deliver(struct spread *spread, const struct stream *stream, const struct routed *routed);
/* Behind postrouting's decision: that hook, and out. */
void spread_leave(struct spread *spread, struct stream *stream, const struct stack_route *route,
		  const struct nexthop *nexthop);
/* Packets that routing has no way for end. False: it has one. */
bool spread_refuse(struct spread *spread, const struct stream *stream, const struct routed *routed);
/* One of several next hops is taken: which one is not for us to say. */
struct bounds spread_of_several(struct bounds packets, const struct route *route);
bool spread_usable(const struct stack_host *host, const struct nexthop *nexthop);
/* The route has no next hop that was captured, or none that works: the packets end here. */
bool spread_has_no_way(struct spread *spread, const struct stream *stream, const struct routed *routed);
/* Packets to several hosts at once. */
pset spread_multicast(struct spread *spread, enum stack_family family);
/* In frames to several hosts at once: their MAC is that of a group. */
pset spread_group_frames(struct spread *spread);
pset spread_prefix(struct spread *spread, enum pset_field field, const char *text);
/* Takes packets out of the stream that end here. */
void spread_lose(struct spread *spread, struct stream *stream, pset set, enum spread_reason reason);
/* Loses packets of a set, for their source: in any case, perhaps (not known), or not at all (allowed). */
void spread_lose_unless(struct spread *spread, struct stream *stream, pset set, const struct number *allowed);

#endif
