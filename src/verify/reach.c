#include "verify/reach.h"

#include "base/error.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static void fix(struct slice *slice, enum pset_field field, wide value)
{
	slice->fixed |= PSET_BIT(field);
	slice->values.fields[field] = value;
}

static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_DCCP || protocol == IPPROTO_UDPLITE;
}

/* A connection's first packet, of which a firewall analyst asks: whole, and of TCP a SYN. `ports`: sorted. */
static struct slice slice_of(const struct reach_question *question, enum stack_family family, const uint16_t *ports)
{
	struct slice slice = {};

	fix(&slice, PSET_FAMILY, family == STACK_IP4 ? PSET_IP4 : PSET_IP6);
	fix(&slice, PSET_PROTOCOL, question->protocol);
	fix(&slice, PSET_STATE, PSET_NEW);
	fix(&slice, PSET_DIRECTION, 0);
	fix(&slice, PSET_FRAGMENT, PSET_WHOLE);
	if (question->protocol == IPPROTO_TCP)
		fix(&slice, PSET_TCP_FLAGS, 0x02);
	if (question->protocol == IPPROTO_ICMP)
		fix(&slice, PSET_ICMP_TYPE, 8);
	if (question->protocol == IPPROTO_ICMPV6)
		fix(&slice, PSET_ICMP_TYPE, 128);
	if (question->source_port.known)
		fix(&slice, PSET_SPORT, question->source_port.value);
	if (question->port_count == 1) {
		fix(&slice, PSET_DPORT, question->ports[0]);
	} else {
		slice.ports = ports;
		slice.port_count = question->port_count;
	}
	if (question->iif)
		fix(&slice, PSET_IIF, wide_of_name(question->iif));
	if (question->oif)
		fix(&slice, PSET_OIF, wide_of_name(question->oif));
	return slice;
}

static pset behind(struct space *space, const struct reach_interface *interface, enum stack_family family)
{
	const struct reach_sources *sources = &interface->sources[family == STACK_IP6];
	pset set = pset_intervals(space, PSET_SADDR, sources->intervals, sources->count);

	return interface->all_but ? pset_not(space, set) : set;
}

/* Packets whose source is behind the interface that they come in by. */
static pset arriving(struct space *space, const struct reach_question *question, enum stack_family family)
{
	pset all = PSET_EMPTY;

	if (!question->interfaces)
		return PSET_FULL;
	for (size_t i = 0; i < question->interface_count; i++) {
		const struct reach_interface *interface = &question->interfaces[i];
		pset name = pset_value(space, PSET_IIF, wide_of_name(interface->name));

		if (question->iif) {
			if (strcmp(question->iif, interface->name) != 0)
				continue;
			name = PSET_FULL;
		}
		all = pset_or(space, all, pset_and(space, name, behind(space, interface, family)));
	}
	return all;
}

/* The pairs of addresses between which something of the set gets through to the port. */
static pset pairs_of(struct space *space, const struct reach_question *question, pset set, size_t port)
{
	if (question->port_count > 1)
		set = pset_before(space, set, pset_bits_of(PSET_DPORT), question->ports[port],
				  pset_field_last(PSET_DPORT));
	return pset_forget(space, set, ~(PSET_BIT(PSET_SADDR) | PSET_BIT(PSET_DADDR)));
}

/* Of the edges of one service to one class those that are not in a smaller set. */
static void mark_others_to(struct space *space, const struct matrix *matrix, pset smaller, unsigned service, size_t to,
			   matrix_services *marks)
{
	struct packet_values packet = {};

	smaller =
		pset_before(space, smaller, pset_bits_of(PSET_DADDR), matrix->classes[to].intervals[0].first, ~(wide)0);
	for (size_t from = 0; from < matrix->class_count; from++) {
		size_t edge = from * matrix->class_count + to;

		packet.fields[PSET_SADDR] = matrix->classes[from].intervals[0].first;
		if (matrix->edges[edge] >> service & 1 && !pset_contains(space, smaller, &packet))
			marks[edge] |= UINT64_C(1) << service;
	}
}

static matrix_services *mark_others(struct space *space, const struct matrix *matrix, const pset *all,
				    const pset *smaller, size_t count)
{
	matrix_services *marks = calloc(matrix->class_count * matrix->class_count + 1, sizeof(*marks));

	if (!marks)
		abort();
	for (unsigned i = 0; i < count; i++)
		for (size_t to = 0; smaller[i] != all[i] && to < matrix->class_count; to++)
			mark_others_to(space, matrix, smaller[i], i, to, marks);
	return marks;
}

/* Classes are told apart by what gets through at all, and by what does without the loopback interface. */
static int matrix_with_distant(struct space *space, const pset *may, const pset *distant, size_t services,
			       struct reach_family *family, struct error **err)
{
	bool apart = memcmp(may, distant, services * sizeof(*may)) != 0 && 2 * services <= MATRIX_SERVICES;
	matrix_services all = services < MATRIX_SERVICES ? ((matrix_services)1 << services) - 1 : ~(matrix_services)0;
	struct matrix *matrix;
	pset sets[MATRIX_SERVICES];

	memcpy(sets, may, services * sizeof(*sets));
	if (apart)
		memcpy(sets + services, distant, services * sizeof(*sets));
	if (matrix_new(space, sets, apart ? 2 * services : services, &family->matrix, err) < 0)
		return -E2BIG;
	matrix = family->matrix;
	if (!apart) {
		family->loopback = mark_others(space, matrix, may, distant, services);
		return 0;
	}
	family->loopback = calloc(matrix->class_count * matrix->class_count + 1, sizeof(*family->loopback));
	if (!family->loopback)
		abort();
	for (size_t i = 0; i < matrix->class_count * matrix->class_count; i++) {
		family->loopback[i] = matrix->edges[i] & ~(matrix->edges[i] >> services) & all;
		matrix->edges[i] &= all;
	}
	return 0;
}

/* Packets that neither come in nor leave by the host's own loopback interface. */
static pset by_others(struct space *space, const struct reach_question *question)
{
	pset lo = PSET_EMPTY;

	if (!question->iif)
		lo = pset_value(space, PSET_IIF, wide_of_name("lo"));
	if (!question->oif)
		lo = pset_or(space, lo, pset_value(space, PSET_OIF, wide_of_name("lo")));
	return pset_not(space, lo);
}

static void note_undecided(void *context, const struct met_rule *met)
{
	struct reach_family *family = context;
	struct reach_undecided *undecided;

	for (size_t i = 0; i < family->undecided_count; i++)
		if (family->undecided[i].rule == met->rule)
			return;
	undecided = reallocarray(family->undecided, family->undecided_count + 1, sizeof(*undecided));
	if (!undecided)
		abort();
	family->undecided = undecided;
	undecided[family->undecided_count++] = (struct reach_undecided){met->chain, met->rule};
}

static int compare_ports(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

static const uint16_t *sort_ports(const struct reach_question *question, uint16_t ret[MATRIX_SERVICES])
{
	for (size_t i = 0; i < question->port_count; i++)
		ret[i] = question->ports[i];
	qsort(ret, question->port_count, sizeof(*ret), compare_ports);
	return ret;
}

static int answer(struct reach *reach, const struct reach_question *question, struct reach_family *family,
		  struct error **err)
{
	uint16_t ports[MATRIX_SERVICES];
	struct slice slice = slice_of(question, family->family, sort_ports(question, ports));
	cleanup_chains struct chains *chains = chains_new(reach->space, question->host, &slice, NULL);
	size_t services = question->port_count ? question->port_count : 1;
	struct bounds accepted = bounds_exactly(PSET_FULL);
	pset sources = arriving(reach->space, question, family->family), may[MATRIX_SERVICES], sure[MATRIX_SERVICES];
	pset others = pset_and(reach->space, sources, by_others(reach->space, question)), distant[MATRIX_SERVICES];

	if (family->hook->count)
		accepted = chains_bounds(chains, chains_hook(chains, family->hook), END_BIT(END_ACCEPT));
	for (size_t i = 0; i < services; i++) {
		distant[i] = pairs_of(reach->space, question, pset_and(reach->space, accepted.may, others), i);
		may[i] = pairs_of(reach->space, question, pset_and(reach->space, accepted.may, sources), i);
		sure[i] = pairs_of(reach->space, question, pset_and(reach->space, accepted.must, sources), i);
	}
	if (matrix_with_distant(reach->space, may, distant, services, family, err) < 0)
		return -E2BIG;
	family->unsure = mark_others(reach->space, family->matrix, may, sure, services);
	if (!bounds_are_exact(accepted))
		for (size_t i = 0; i < family->hook->count; i++)
			chains_undecided(chains, family->hook->chains[i], sources, note_undecided, family);
	return space_check(reach->space, err);
}

/* ICMP is of one family only. */
static bool is_of_family(uint8_t protocol, enum stack_family family)
{
	return protocol != (family == STACK_IP4 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

/* Where nothing is missing, no rules are an answer, too. */
static void look_for_rules(struct reach_family *family, const struct reach_question *question)
{
	enum stack_gap_kind xtables = family->family == STACK_IP4 ? GAP_XTABLES4 : GAP_XTABLES6;

	family->hook = &question->host->hooks[family->family][question->hook];
	family->asked = is_of_family(question->protocol, family->family);
	family->missing[GAP_NFTABLES] = question->host->gaps[GAP_NFTABLES];
	family->missing[xtables] = question->host->gaps[xtables];
	family->captured = family->asked &&
			   (family->hook->count > 0 || (!family->missing[GAP_NFTABLES] && !family->missing[xtables]));
}

int reach_new(const struct reach_question *question, struct reach **ret, struct error **err)
{
	static const enum stack_family families[] = {STACK_IP4, STACK_IP6};
	cleanup_reach struct reach *reach = calloc(1, sizeof(*reach));
	int result = 0;

	if (!reach)
		abort();
	if (question->port_count && !has_ports(question->protocol))
		return error_set(err, EINVAL, "protocol %u has no ports", question->protocol);
	if (question->port_count > MATRIX_SERVICES)
		return error_set(err, E2BIG, "more than %d ports", MATRIX_SERVICES);
	reach->space = pset_space_new(question->memory, err);
	if (!reach->space)
		return -ENOMEM;
	for (size_t i = 0; result == 0 && i < 2; i++) {
		struct reach_family *family = &reach->families[i];

		family->family = families[i];
		look_for_rules(family, question);
		if (family->captured)
			result = answer(reach, question, family, err);
	}
	if (result < 0)
		return result;
	*ret = reach;
	reach = NULL;
	return 0;
}

void reach_free(struct reach *reach)
{
	if (!reach)
		return;
	for (size_t i = 0; i < 2; i++) {
		matrix_free(reach->families[i].matrix);
		free(reach->families[i].unsure);
		free(reach->families[i].loopback);
		free(reach->families[i].undecided);
	}
	space_free(reach->space);
	free(reach);
}
