#include "verify/neighbourhood.h"

#include "base/arena.h"
#include "verify/packet.h"

#include <string.h>

struct visit {
	struct arena *arena;
	const struct stack_link *mine; /* that it began from */
	const struct stack_link **seen;
	size_t seen_count;
	struct adjacency *found;
	size_t found_count;
};

static bool visited(struct visit *visit, const struct stack_link *link)
{
	for (size_t i = 0; i < visit->seen_count; i++)
		if (visit->seen[i] == link)
			return true;
	*arena_push(visit->arena, visit->seen, visit->seen_count) = link;
	return false;
}

static void add_pair(struct visit *visit, const struct stack_link *theirs)
{
	if (theirs->host == visit->mine->host)
		return;
	for (size_t i = 0; i < visit->found_count; i++)
		if (visit->found[i].mine == visit->mine && visit->found[i].theirs == theirs)
			return;
	*arena_push(visit->arena, visit->found, visit->found_count) = (struct adjacency){visit->mine, theirs};
}

static void leave_by(struct visit *visit, const struct stack_link *link);

/* What is sent into this interface from its cable. */
static void arrive_at(struct visit *visit, const struct stack_link *link)
{
	if (visited(visit, link))
		return;
	if (!link->master) {
		add_pair(visit, link);
		return;
	}
	add_pair(visit, link->master);
	for (size_t i = 0; i < link->master->port_count; i++)
		if (link->master->ports[i] != link)
			leave_by(visit, link->master->ports[i]);
}

static void leave_by(struct visit *visit, const struct stack_link *link)
{
	for (size_t i = 0; i < link->cable_count; i++)
		if (link->cables[i].link)
			arrive_at(visit, link->cables[i].link);
	for (size_t i = 0; i < link->neighbour_count; i++)
		if (link->neighbours[i].link)
			arrive_at(visit, link->neighbours[i].link);
}

void neighbourhood_of(struct arena *arena, const struct stack_host *host, struct adjacency **ret, size_t *ret_count)
{
	struct visit visit = {.arena = arena};

	for (size_t i = 0; i < host->link_count; i++) {
		const struct stack_link *link = &host->links[i];

		if (link->master || link->loopback)
			continue;
		visit.mine = link;
		visit.seen_count = 0;
		visit.seen = NULL;
		leave_by(&visit, link);
		for (size_t j = 0; j < link->port_count; j++)
			leave_by(&visit, link->ports[j]);
	}
	*ret = visit.found;
	*ret_count = visit.found_count;
}

const struct address *link_gateway_address(const struct stack_link *link, const struct stack_host *host, uint8_t family)
{
	for (size_t i = 0; i < link->link->address_count; i++) {
		const struct address *address = &link->link->addresses[i];

		if (address->prefix.ip.family == family && !ip_is_link_local(&address->prefix.ip) &&
		    !ip_is_loopback(&address->prefix.ip) &&
		    (!host || !stack_link_with_address(host, &address->prefix.ip)))
			return address;
	}
	return NULL;
}

const struct address *link_global_address(const struct stack_link *link, uint8_t family)
{
	return link_gateway_address(link, NULL, family);
}

bool neighbourhood_first_hop(struct arena *arena, const struct stack *stack, const struct stack_host *from,
			     const struct stack_host *to, uint8_t family, struct adjacency *ret)
{
	struct adjacency *first = arena_alloc(arena, stack->host_count * sizeof(*first));
	const struct stack_host **queue = arena_alloc(arena, stack->host_count * sizeof(*queue));
	bool *known = arena_alloc(arena, stack->host_count);
	size_t head = 0, tail = 0;

	queue[tail++] = from;
	known[from->number] = true;
	while (head < tail) {
		const struct stack_host *host = queue[head++];
		struct adjacency *pairs;
		size_t count;

		neighbourhood_of(arena, host, &pairs, &count);
		for (size_t i = 0; i < count; i++) {
			const struct stack_host *next = pairs[i].theirs->host;

			if (known[next->number] || !link_gateway_address(pairs[i].theirs, host, family))
				continue;
			known[next->number] = true;
			first[next->number] = host == from ? pairs[i] : first[host->number];
			queue[tail++] = next;
		}
	}
	if (from == to || !known[to->number])
		return false;
	*ret = first[to->number];
	return true;
}
