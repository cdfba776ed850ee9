/* From one host to the next: the neighbour, the frame, the cable. */
#include "verify/walk_parts.h"

#include <string.h>
#include <sys/socket.h>

static void record_neighbour(struct hop *hop, const struct ip *address, const struct target *target)
{
	struct step *step;
	char text[IP_TEXT_SIZE], mac[MAC_TEXT_SIZE];

	step = walk_step(hop, STEP_NEIGHBOUR);
	step->text = walk_text(hop->walk, "%s", ip_format(address, text));
	if (target->fixed) {
		step->text = walk_text(hop->walk, "%s lladdr %s PERMANENT", ip_format(address, text),
				       mac_format(target->fixed->mac.bytes, mac));
		step->origin = &target->fixed->origin;
	}
	step->link = target->link;
	step->effect = target->link ? walk_text(hop->walk, "is %s of %s", target->link->name, target->link->host->name)
		       : target->outside ? "outside what was captured"
					 : "is nobody's here";
}

void link_transmit(struct hop *hop, struct stack_link *out)
{
	const struct ip *address = fib_next_hop(hop);
	char text[IP_TEXT_SIZE], mac[MAC_TEXT_SIZE];
	struct target target;

	if (walk_ended(hop->walk))
		return;
	if (out->link->up == TRUTH_NO || out->link->carrier == TRUTH_NO) {
		walk_lose(hop, LOST_LINK_DOWN, "%s %s", out->name,
			  out->link->up == TRUTH_NO ? "is switched off" : "has no carrier: nobody is at its other end");
		return;
	}
	target = segment_resolve(hop->walk, out, address);
	record_neighbour(hop, address, &target);
	if (!target.link && !target.outside && target.fixed) {
		walk_lose(hop, LOST_NO_NEIGHBOUR,
			  "nobody behind %s has the MAC address %s, which a permanent entry gives %s", out->name,
			  mac_format(target.mac.bytes, mac), ip_format(address, text));
		return;
	}
	if (!target.link && !target.outside) {
		walk_lose(hop, LOST_NO_NEIGHBOUR, "nobody behind %s has the address %s", out->name,
			  ip_format(address, text));
		return;
	}
	hop->packet.src_mac = out->link->mac;
	hop->packet.dst_mac = target.mac;
	if (out->is_bridge)
		bridge_send(hop, out, &target);
	else
		link_send_frame(hop, out, out, &target);
}

/* What is written on a packet on one host does not go with it to the next. */
static void hand_over(struct hop *hop, struct stack_link *to, const struct target *target)
{
	struct hop next;

	walk_left(hop);
	next = hop_begin(hop->walk, to->host, &hop->packet);
	if (hop->fragment != FRAGMENT_NONE)
		next.packet.fragment = hop->fragment;
	hop_arrive(&next, to, target);
}

void link_send_frame(struct hop *hop, struct stack_link *link, struct stack_link *logical, const struct target *target)
{
	struct stack_link *far = segment_far_end_towards(hop->walk, link, target);
	struct step *step;

	if (hook_run_device(hop, &link->egress, HOOK_EGRESS, link) == RULING_STOP)
		return;
	step = walk_step(hop, STEP_LEAVE);
	step->link = link;
	step->effect = walk_text(hop->walk, "out by %s", link->name);
	if (far)
		hand_over(hop, far, target);
	else if (target->link)
		hand_over(hop, target->link, target); /* on the same link, over what was not captured */
	else
		walk_deliver_outside(hop, logical, link);
}
