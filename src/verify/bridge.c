/*
 * Bridges (net/bridge/br_input.c, br_forward.c, br_netfilter_hooks.c). A frame passes the hooks of the bridge family;
 * with bridge-nf-call-iptables its packet passes those of ip in between, with the bridge as its interface, and rules
 * see the ports as physdev.
 */
#include "verify/walk_parts.h"

#include <string.h>
#include <sys/socket.h>

static enum stack_family family_of(const struct hop *hop)
{
	return hop->packet.family == AF_INET ? STACK_IP4 : STACK_IP6;
}

/* All chains of the bridge family at a hook where br_netfilter has nothing to do between them. */
static enum ruling run_all(struct hop *hop, enum hook hook, struct stack_link *in, struct stack_link *out)
{
	enum ruling ruling = hook_run_bridge(hop, hook, in, out, true);

	return ruling == RULING_CONTINUE ? hook_run_bridge(hop, hook, in, out, false) : ruling;
}

/* Do ip's rules see what this bridge forwards? For all bridges or for this one. */
static bool calls_ip(struct hop *hop, const struct stack_link *bridge)
{
	bool v4 = hop->packet.family == AF_INET;
	enum truth own = v4 ? bridge->link->bridge.nf_call_iptables : bridge->link->bridge.nf_call_ip6tables;
	const struct stack_sysctl *all = v4 ? &hop->host->bridge_nf_iptables : &hop->host->bridge_nf_ip6tables;

	if (own == TRUTH_YES)
		return true;
	return walk_sysctl(hop, all, v4 ? "net.bridge.bridge-nf-call-iptables" : "net.bridge.bridge-nf-call-ip6tables",
			   0, 2);
}

static bool is_set(enum truth truth)
{
	return truth == TRUTH_YES;
}

static bool port_works(struct hop *hop, const struct stack_link *port)
{
	const char *state = port->link->port.state;

	if (!state || strcmp(state, "forwarding") == 0)
		return true;
	walk_lose(hop, LOST_LINK_DOWN, "the port %s is %s", port->name, state);
	return false;
}

static void record_bridge(struct hop *hop, const struct stack_link *bridge, const struct stack_link *port)
{
	struct step *step = walk_step(hop, STEP_BRIDGE);

	step->link = bridge;
	step->text = bridge->name;
	step->effect = port ? walk_text(hop->walk, "to port %s", port->name) : "for this host";
}

/* ---- out by a port ---- */

static void leave(struct hop *hop, struct stack_link *bridge, struct stack_link *port, const struct target *target,
		  bool forwarded)
{
	hop->out_port = port;
	if (run_all(hop, HOOK_POSTROUTING, forwarded ? hop->in_port : NULL, port) == RULING_STOP)
		return;
	if (forwarded && hop->bridge_info &&
	    hook_run(hop, family_of(hop), HOOK_POSTROUTING, NULL, bridge) == RULING_STOP)
		return;
	if (port->link->up == TRUTH_NO) {
		walk_lose(hop, LOST_LINK_DOWN, "%s is switched off", port->name);
		return;
	}
	link_send_frame(hop, port, bridge, target);
}

/* The port of a tunnel to a host that was not captured: what is behind its bridge may be there. */
static const struct stack_link *unseen_tunnel(const struct stack_link *bridge)
{
	for (size_t i = 0; i < bridge->port_count; i++) {
		const struct stack_link *port = bridge->ports[i];

		if (port->link->kind && strcmp(port->link->kind, "vxlan") == 0 && segment_leads_out(port))
			return port;
	}
	return NULL;
}

/* Which port, where the target is outside and may be behind several: it makes a difference only to rules. */
static struct stack_link *choose_port(struct hop *hop, const struct stack_link *bridge, const struct target *target,
				      const struct stack_link *except)
{
	struct stack_link *port = segment_port(hop->walk, bridge, target, except), *candidates[64];
	const struct stack_link *tunnel = !port && target->link ? unseen_tunnel(bridge) : NULL;
	size_t count = 0;

	if (tunnel)
		walk_unknown(hop->walk, hop->host, NULL,
			     "%s: what a host does that is behind the tunnel %s and was not captured", hop->host->name,
			     tunnel->name);
	if (port || target->link)
		return port;
	for (size_t i = 0; i < bridge->port_count && count < 64; i++)
		if (bridge->ports[i] != except && segment_leads_out(bridge->ports[i]))
			candidates[count++] = bridge->ports[i];
	if (count == 0)
		return NULL;
	return candidates[walk_decide(hop->walk, (unsigned)count, candidates[0]->name, "bridge fdb show",
				      "%s: the port of %s that leads outside", hop->host->name, bridge->name)];
}

void bridge_send(struct hop *hop, struct stack_link *bridge, const struct target *target)
{
	struct stack_link *port = choose_port(hop, bridge, target, NULL);

	if (walk_ended(hop->walk))
		return;
	if (!port && bridge->port_count == 0 && !target->link) { /* its ports were not captured */
		walk_deliver_outside(hop, bridge, NULL);
		return;
	}
	if (!port) {
		walk_lose(hop, LOST_NO_PORT, "no port of %s leads there", bridge->name);
		return;
	}
	record_bridge(hop, bridge, port);
	if (!port_works(hop, port) || run_all(hop, HOOK_OUTPUT, NULL, port) == RULING_STOP)
		return;
	leave(hop, bridge, port, target, false);
}

/* ---- from port to port ---- */

static bool may_forward(struct hop *hop, const struct stack_link *in, const struct stack_link *out)
{
	const struct bridge_port *port = &out->link->port;

	if (in == out && !is_set(port->hairpin)) {
		walk_lose(hop, LOST_NO_PORT, "it would leave by the port it came in by, %s", in->name);
		return false;
	}
	if (is_set(port->isolated) && is_set(in->link->port.isolated)) {
		walk_lose(hop, LOST_ISOLATED, "the ports %s and %s are isolated from each other", in->name, out->name);
		return false;
	}
	return port_works(hop, out);
}

static void forward(struct hop *hop, struct stack_link *bridge, const struct target *target)
{
	struct stack_link *port = choose_port(hop, bridge, target, hop->in_port);

	if (!port)
		port = choose_port(hop, bridge, target, NULL); /* hairpin */
	if (walk_ended(hop->walk))
		return;
	if (!port) {
		walk_lose(hop, LOST_NO_PORT, "no port of %s leads there", bridge->name);
		return;
	}
	record_bridge(hop, bridge, port);
	hop->out_port = port;
	if (!may_forward(hop, hop->in_port, port))
		return;
	if (hook_run_bridge(hop, HOOK_FORWARD, hop->in_port, port, true) == RULING_STOP)
		return;
	if (hop->bridge_info && hook_run(hop, family_of(hop), HOOK_FORWARD, bridge, bridge) == RULING_STOP)
		return;
	if (hook_run_bridge(hop, HOOK_FORWARD, hop->in_port, port, false) == RULING_STOP)
		return;
	leave(hop, bridge, port, target, true);
}

/* ---- in by a port ---- */

static void take_up(struct hop *hop, struct stack_link *bridge, bool prerouted)
{
	record_bridge(hop, bridge, NULL);
	if (run_all(hop, HOOK_INPUT, hop->in_port, NULL) == RULING_STOP)
		return;
	hop->iif = bridge;
	hop_receive(hop, prerouted);
}

/*
 * The destination was translated before the bridge decides. Where the new one is behind this bridge, too, the frame is
 * bridged on to it, whatever MAC it was for, and keeps its source's; otherwise it is routed. In IPv4 both need
 * forwarding: a comment of br_nf_pre_routing_finish() says that the first does not, but ip_route_input() no longer
 * fails as it expects there. In IPv6 (br_nf_pre_routing_finish_ipv6) the first needs none.
 */
static void redirect(struct hop *hop, struct stack_link *bridge)
{
	struct target target;

	if (!fib_route_frame(hop))
		return;
	if (hop->route.link != bridge || hop->route.type == ROUTE_TYPE_LOCAL) {
		hop->packet.dst_mac = bridge->link->mac;
		take_up(hop, bridge, true);
		return;
	}
	target = segment_resolve(hop->walk, bridge, fib_next_hop(hop));
	hop->packet.dst_mac = target.mac;
	hop->route = (struct fib_found){};
	forward(hop, bridge, &target);
}

/* ebtables' broute takes frames from the bridge: the port is then an interface as any other. */
static bool is_brouted(struct hop *hop, struct stack_link *port)
{
	if (hook_run_bridge(hop, HOOK_BROUTING, port, NULL, true) == RULING_CONTINUE || !hop->brouted)
		return false;
	hop->iif = port;
	hop_receive(hop, false);
	return true;
}

void bridge_receive(struct hop *hop, struct stack_link *port, const struct target *target)
{
	struct stack_link *bridge = port->master;
	struct ip before;
	bool prerouted;

	hop->in_port = port;
	if (!port_works(hop, port) || is_brouted(hop, port) || walk_ended(hop->walk) ||
	    hook_run_bridge(hop, HOOK_PREROUTING, port, NULL, true) == RULING_STOP)
		return;
	before = hop->packet.dst;
	prerouted = hop->bridge_info = calls_ip(hop, bridge);
	hop->iif = bridge;
	if (prerouted && hook_run(hop, family_of(hop), HOOK_PREROUTING, bridge, NULL) == RULING_STOP)
		return;
	if (hook_run_bridge(hop, HOOK_PREROUTING, port, NULL, false) == RULING_STOP)
		return;
	if (prerouted && !ip_equal(&before, &hop->packet.dst))
		redirect(hop, bridge);
	else if (target->link == bridge)
		take_up(hop, bridge, prerouted);
	else
		forward(hop, bridge, target);
}
