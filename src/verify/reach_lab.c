#include "verify/reach_lab.h"

#include "base/arena.h"
#include "base/error.h"
#include "verify/reach_lab_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

const char *reach_service_text(const struct reach_service *service, char ret[REACH_SERVICE_TEXT_SIZE])
{
	char buffer[4];

	if (service->has_port)
		snprintf(ret, REACH_SERVICE_TEXT_SIZE, "%u/%s", service->port,
			 protocol_name(service->protocol, buffer));
	else if (service->protocol == PROTOCOL_ICMP)
		snprintf(ret, REACH_SERVICE_TEXT_SIZE, "ping");
	else
		snprintf(ret, REACH_SERVICE_TEXT_SIZE, "%s", protocol_name(service->protocol, buffer));
	return ret;
}

uint8_t reach_family_of(const struct reach_run *run)
{
	return run->family ? AF_INET6 : AF_INET;
}

/* ---- who there is ---- */

static bool others_could_send_to(const struct address *address)
{
	const struct ip *ip = &address->prefix.ip;

	return ip->family && !ip_is_loopback(ip) && !ip_is_link_local(ip) && !ip_is_any(ip) &&
	       !(address->scope && strcmp(address->scope, "host") == 0);
}

static bool has_address(const struct ip *addresses, size_t count, const struct ip *address)
{
	for (size_t i = 0; i < count; i++)
		if (ip_equal(&addresses[i], address))
			return true;
	return false;
}

static void add_addresses(struct reach_lab *lab, struct reach_node *node, const struct stack_link *link)
{
	for (size_t i = 0; i < link->link->address_count; i++) {
		const struct address *address = &link->link->addresses[i];
		size_t family = address->prefix.ip.family == AF_INET6;
		struct ip *addresses = (struct ip *)node->addresses[family];

		if (!others_could_send_to(address) ||
		    has_address(addresses, node->address_counts[family], &address->prefix.ip))
			continue;
		*arena_push(lab->arena, addresses, node->address_counts[family]) = address->prefix.ip;
		node->addresses[family] = addresses;
	}
}

static void find_nodes(struct reach_lab *lab)
{
	const struct stack *stack = lab->stack;

	lab->node_count = stack->host_count + 1;
	lab->nodes = arena_alloc(lab->arena, lab->node_count * sizeof(*lab->nodes));
	for (size_t i = 0; i < stack->host_count; i++) {
		lab->nodes[i].host = &stack->hosts[i];
		for (size_t j = 0; j < stack->hosts[i].link_count; j++)
			if (!stack->hosts[i].links[j].loopback)
				add_addresses(lab, &lab->nodes[i], &stack->hosts[i].links[j]);
	}
}

/* ---- services ---- */

struct service_use {
	struct reach_service service;
	size_t hosts; /* that offer it */
};

struct service_uses {
	struct arena *arena;
	struct service_use *items;
	size_t count;
};

static void use_service(struct service_uses *uses, uint8_t protocol, bool has_port, uint64_t port, size_t hosts)
{
	for (size_t i = 0; i < uses->count; i++) {
		struct service_use *use = &uses->items[i];

		if (use->service.protocol == protocol && use->service.has_port == has_port &&
		    use->service.port == port) {
			use->hosts += hosts;
			return;
		}
	}
	*arena_push(uses->arena, uses->items, uses->count) =
		(struct service_use){{protocol, has_port, (uint16_t)port}, hosts};
}

/* What listens for others than the host itself. */
static void use_listeners(struct service_uses *uses, const struct facts *facts)
{
	for (size_t i = 0; i < facts->listener_count; i++) {
		const struct listener *listener = &facts->listeners[i];
		bool tcp = strcmp(listener->protocol, "tcp") == 0;

		if (!listener->port.known || ip_is_loopback(&listener->address) ||
		    (listener->device && strcmp(listener->device, "lo") == 0))
			continue;
		if (tcp || strcmp(listener->protocol, "udp") == 0)
			use_service(uses, tcp ? PROTOCOL_TCP : PROTOCOL_UDP, true, listener->port.value, 1);
	}
}

static int by_use(const void *a, const void *b)
{
	const struct service_use *one = a, *other = b;

	if (one->hosts != other->hosts)
		return one->hosts > other->hosts ? -1 : 1;
	return (int)one->service.port - (int)other->service.port;
}

/* TCP by port, then UDP, ping last. */
static int by_service(const void *a, const void *b)
{
	const struct reach_service *one = a, *other = b;

	if (one->has_port != other->has_port)
		return one->has_port ? -1 : 1;
	if (one->protocol != other->protocol)
		return (int)one->protocol - (int)other->protocol;
	return (int)one->port - (int)other->port;
}

size_t reach_services(const struct stack *const *stacks, size_t count, struct arena *arena, struct reach_service **ret,
		      size_t *ret_left_out)
{
	struct service_uses uses = {.arena = arena};
	size_t always = SIZE_MAX / 2, taken; /* those that are asked in any case come first */

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < stacks[i]->host_count; j++)
			use_listeners(&uses, stacks[i]->hosts[j].facts);
	use_service(&uses, PROTOCOL_TCP, true, 22, always);
	use_service(&uses, PROTOCOL_TCP, true, 3389, always);
	use_service(&uses, PROTOCOL_ICMP, false, 0, always);
	qsort(uses.items, uses.count, sizeof(*uses.items), by_use);
	taken = uses.count < REACH_SERVICES ? uses.count : REACH_SERVICES;
	*ret_left_out = uses.count - taken;
	*ret = arena_alloc(arena, taken * sizeof(**ret));
	for (size_t i = 0; i < taken; i++)
		(*ret)[i] = uses.items[i].service;
	qsort(*ret, taken, sizeof(**ret), by_service);
	return taken;
}

static void take_services(struct reach_lab *lab, const struct reach_lab_question *question)
{
	lab->service_count = question->service_count;
	lab->services = arena_alloc(lab->arena, lab->service_count * sizeof(*lab->services));
	memcpy(lab->services, question->services, lab->service_count * sizeof(*lab->services));
}

/* ---- one family: what is asked ---- */

static int by_address(const void *a, const void *b)
{
	const struct reach_target *one = a, *other = b;

	if (one->address != other->address)
		return one->address < other->address ? -1 : 1;
	return one->node < other->node ? -1 : one->node > other->node;
}

static void find_targets(struct reach_run *run)
{
	struct reach_lab *lab = run->lab;

	for (size_t i = 0; i < lab->node_count; i++)
		for (size_t j = 0; j < lab->nodes[i].address_counts[run->family]; j++)
			*arena_push(lab->arena, run->targets, run->target_count) =
				(struct reach_target){wide_of_address(&lab->nodes[i].addresses[run->family][j]), i, j};
	if (run->target_count)
		qsort(run->targets, run->target_count, sizeof(*run->targets), by_address);
}

struct subnets {
	struct arena *arena;
	struct interval *items;
	size_t count;
};

static void add_subnet(struct subnets *subnets, const struct prefix *prefix)
{
	*arena_push(subnets->arena, subnets->items, subnets->count) = interval_of_prefix(prefix);
}

/* Addresses that nobody in the world has: of this host, of all hosts, of nobody. */
static void add_special(struct subnets *subnets, int family)
{
	static const char *const special[2][6] = {{"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"},
						  {"::/127", "fe80::/10", "ff00::/8"}};

	for (size_t i = 0; i < 6 && special[family][i]; i++) {
		struct prefix prefix;

		if (prefix_parse(special[family][i], &prefix))
			add_subnet(subnets, &prefix);
	}
}

pset reach_subnets(struct space *space, const struct stack *stack, int family)
{
	cleanup_arena struct arena *arena = arena_new();
	struct subnets subnets = {.arena = arena};

	add_special(&subnets, family);
	for (size_t i = 0; i < stack->host_count; i++)
		for (size_t j = 0; j < stack->hosts[i].link_count; j++)
			for (size_t k = 0; k < stack->hosts[i].links[j].link->address_count; k++) {
				const struct prefix *prefix = &stack->hosts[i].links[j].link->addresses[k].prefix;

				if (prefix->ip.family == (family ? AF_INET6 : AF_INET))
					add_subnet(&subnets, prefix);
			}
	return pset_intervals(space, PSET_DADDR, subnets.items, subnets.count);
}

static void find_subnets(struct reach_run *run)
{
	pset set = reach_subnets(run->space, run->lab->stack, run->family);

	run->world = pset_not(run->space, set);
	run->subnet_count = pset_project(run->space, set, PSET_DADDR, &run->subnets);
}

size_t reach_targets_in(const struct reach_run *run, const struct interval *interval, size_t *ret_end)
{
	size_t low = 0, high = run->target_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (run->targets[middle].address < interval->first)
			low = middle + 1;
		else
			high = middle;
	}
	for (*ret_end = low; *ret_end < run->target_count && run->targets[*ret_end].address <= interval->last;)
		++*ret_end;
	return low;
}

bool reach_has_world(const struct reach_run *run, const struct interval *interval)
{
	size_t low = 0, high = run->subnet_count;

	while (low < high) { /* the first subnet that ends at the interval's first address or behind it */
		size_t middle = (low + high) / 2;

		if (run->subnets[middle].last < interval->first)
			low = middle + 1;
		else
			high = middle;
	}
	return low == run->subnet_count || run->subnets[low].first > interval->first ||
	       run->subnets[low].last < interval->last;
}

static pset asked_of(const struct reach_run *run, const struct reach_service *service)
{
	struct space *space = run->space;
	bool ping = service->protocol == PROTOCOL_ICMP;
	uint8_t protocol = ping && run->family ? PROTOCOL_ICMPV6 : service->protocol;
	pset set = pset_value(space, PSET_PROTOCOL, protocol);

	if (service->has_port)
		set = pset_and(space, set, pset_value(space, PSET_DPORT, service->port));
	if (service->protocol == PROTOCOL_TCP)
		set = pset_and(space, set, pset_value(space, PSET_TCP_FLAGS, TCP_SYN));
	if (ping)
		set = pset_and(space, set,
			       pset_and(space, pset_value(space, PSET_ICMP_TYPE, run->family ? 128 : 8),
					pset_value(space, PSET_ICMP_CODE, 0)));
	return set;
}

/* First packets of connections to the services, whole. */
static void find_asked(struct reach_run *run)
{
	struct space *space = run->space;
	struct reach_lab *lab = run->lab;

	run->service = arena_alloc(lab->arena, lab->service_count * sizeof(*run->service));
	run->asked = PSET_EMPTY;
	for (size_t i = 0; i < lab->service_count; i++) {
		run->service[i] = asked_of(run, &lab->services[i]);
		run->asked = pset_or(space, run->asked, run->service[i]);
	}
	run->asked = pset_and(space, run->asked, pset_kind(space, PSET_STATE, PSET_NEW));
	run->asked = pset_and(space, run->asked, pset_kind(space, PSET_FRAGMENT, PSET_WHOLE));
	run->asked = pset_and(space, run->asked, spread_usual_source_ports(space));
	if (spread_asks_ttl(run->spread))
		run->asked = pset_and(space, run->asked, pset_value(space, PSET_TTL, SPREAD_USUAL_TTL));
	run->asked = pset_and(space, run->asked, pset_kind(space, PSET_FAMILY, run->family ? PSET_IP6 : PSET_IP4));
}

/* ---- one family: what comes out ---- */

static enum reach_verdict verdict_of(uint8_t bits)
{
	if (bits & MARK_ARRIVES && !(bits & (MARK_ENDS | MARK_OPEN)))
		return REACH_ALLOWED;
	if (!(bits & (MARK_ARRIVES | MARK_OPEN)) && bits)
		return REACH_BLOCKED;
	return bits & MARK_ARRIVES_SURE ? REACH_PARTLY : REACH_UNKNOWN;
}

/* Of a host's addresses the one that it is reached at best counts; of those that it is not, one that a rule guards. */
static unsigned rank_of(const struct reach_lab *lab, enum reach_verdict verdict, uint32_t cause)
{
	static const unsigned ranks[] = {
		[REACH_BLOCKED] = 2, [REACH_UNKNOWN] = 4, [REACH_PARTLY] = 6, [REACH_ALLOWED] = 8};

	return ranks[verdict] + (cause && lab->causes[cause].chain);
}

static void decide(const struct reach_run *run, size_t from, size_t target, size_t service, unsigned *best)
{
	const struct reach_lab *lab = run->lab;
	const struct reach_mark *mark = reach_mark(run, from, target, service);
	size_t to = target < run->target_count ? run->targets[target].node : lab->node_count - 1;
	size_t number = target < run->target_count ? run->targets[target].number : 0;
	size_t index = (from * lab->node_count + to) * lab->service_count + service;
	enum reach_verdict verdict = verdict_of(mark->bits);
	unsigned rank = rank_of(lab, verdict, mark->cause);

	/* of two that are alike the first of the host's addresses */
	if (rank < best[index] || (rank == best[index] && number > lab->tables[run->family].cells[index].address))
		return;
	best[index] = rank;
	lab->tables[run->family].cells[index] =
		(struct reach_cell){(uint8_t)verdict, (uint16_t)number, verdict == REACH_ALLOWED ? 0 : mark->cause};
}

static void decide_all(struct reach_run *run, const bool *asks)
{
	struct reach_lab *lab = run->lab;
	size_t count = lab->node_count * lab->node_count * lab->service_count;
	unsigned *best = calloc(count, sizeof(*best));

	if (!best)
		abort();
	lab->tables[run->family].cells = arena_alloc(lab->arena, count * sizeof(struct reach_cell));
	for (size_t from = 0; from < lab->node_count; from++)
		for (size_t target = 0; asks[from] && target <= run->target_count; target++) {
			size_t to = target < run->target_count ? run->targets[target].node : lab->node_count - 1;

			for (size_t service = 0; to != from && service < lab->service_count; service++)
				decide(run, from, target, service, best);
		}
	free(best);
}

/* ---- one family ---- */

static int follow(struct reach_run *run, const struct spread_start *starts, size_t start_count, struct error **err)
{
	const struct spread_end *ends;
	size_t count;

	if (spread_follow_gathered(run->spread, starts, start_count, &ends, &count, err) < 0)
		return -E2BIG;
	for (size_t i = 0; i < count; i++)
		reach_mark_end(run, &ends[i]);
	return space_check(run->space, err);
}

static int run_family(struct reach_run *run, struct error **err)
{
	struct reach_lab *lab = run->lab;
	struct spread_start *starts;
	bool *asks = calloc(lab->node_count, sizeof(*asks));
	size_t count;
	int result;

	if (!asks)
		abort();
	find_subnets(run);
	find_asked(run);
	run->moved = reach_moved(run);
	run->marks = calloc(lab->node_count * (run->target_count + 1) * lab->service_count, sizeof(*run->marks));
	if (!run->marks)
		abort();
	count = reach_starts(run, &starts);
	result = follow(run, starts, count, err);
	for (size_t i = 0; i < lab->node_count; i++)
		asks[i] = lab->nodes[i].address_counts[run->family] > 0;
	for (size_t i = 0; i < count; i++)
		asks[lab->node_count - 1] |= starts[i].iif != NULL;
	if (result == 0)
		decide_all(run, asks);
	free(asks);
	free(run->marks);
	free(run->subnets);
	return result;
}

int reach_lab_new(const struct reach_lab_question *question, struct reach_lab **ret, struct error **err)
{
	cleanup_space struct space *space = pset_space_new(question->memory, err);
	cleanup_spread struct spread *spread = NULL;
	cleanup_reach_lab struct reach_lab *lab = calloc(1, sizeof(*lab));
	int result = 0;

	if (!lab)
		abort();
	if (!space)
		return -ENOMEM;
	*lab = (struct reach_lab){.stack = question->stack, .arena = arena_new()};
	arena_push(lab->arena, lab->causes, lab->cause_count); /* none */
	spread = spread_new(question->stack, space);
	find_nodes(lab);
	if (question->service_count)
		take_services(lab, question);
	else
		lab->service_count =
			reach_services(&question->stack, 1, lab->arena, &lab->services, &lab->services_left_out);
	for (int family = 0; result == 0 && family < 2; family++) {
		struct reach_run run = {.lab = lab,
					.spread = spread,
					.space = space,
					.family = family,
					.stack_family = family ? STACK_IP6 : STACK_IP4};

		find_targets(&run);
		lab->tables[family].present = run.target_count > 0;
		if (run.target_count)
			result = run_family(&run, err);
	}
	if (result < 0)
		return result;
	*ret = lab;
	lab = NULL;
	return 0;
}

void reach_lab_free(struct reach_lab *lab)
{
	if (!lab)
		return;
	arena_free(lab->arena);
	free(lab);
}
