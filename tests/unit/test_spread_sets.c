/*
 * verify/: sets of packets against the interpreter, packet by packet. From every place that the questions of a stack
 * start at, everything is sent at once (any family, protocol, addresses, fragments, state); then single packets are
 * drawn at random, with fixed seeds, and pushed through the interpreter:
 * - where one ends must be among the ends that the sets say it may come to;
 * - where the sets say that it comes to one end only, it must end there.
 *
 * Stacks: tests/fixtures/spread, and ../shared/data/kernel-sample beside the source tree (or NESTVISOR_DATA) where that
 * is there. NESTVISOR_SAMPLES: how many packets of each place.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "verify/batch.h"
#include "verify/spread.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* cmocka needs those from setjmp.h on */
#include <cmocka.h>

static unsigned samples = 4;
enum { MOST_ENDS = 100 }; /* of which a packet is asked, about */

static const char *const fates[] = {"delivered", "sent", "dropped", "rejected", "lost", "unknown"};

struct place {
	struct stack_host *host;
	struct stack_link *iif, *in_port;
};

struct counts {
	size_t places, packets, unknown, several, wrong;
};

struct asking {
	const struct stack *stack;
	struct space *space;
	struct spread *spread;
	struct spread_start start;
	const struct spread_end *ends;
	const char *folder;
	pset *origins; /* of each end */
	size_t count;
	uint64_t random;
	struct counts *counts;
};

static uint64_t next_random(struct asking *asking) /* splitmix64 */
{
	uint64_t z = asking->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* ---- drawn at random ---- */

static pset narrowed(struct asking *asking, pset set, enum pset_field field)
{
	wide last = pset_field_last(field), value;
	pset within;

	value = ((wide)next_random(asking) << 64 | next_random(asking)) & last;
	if (field == PSET_SADDR || field == PSET_DADDR) { /* near an address of theirs, mostly */
		const struct stack_host *host = &asking->stack->hosts[next_random(asking) % asking->stack->host_count];
		const struct link *link = host->links[next_random(asking) % host->link_count].link;

		if (link->address_count && next_random(asking) % 4)
			value = wide_of_address(&link->addresses[next_random(asking) % link->address_count].prefix.ip) +
				((wide)(next_random(asking) % 3) << 96);
	}
	/* an interval of a random size around it */
	last = last >> next_random(asking) % pset_field_bits(field);
	within = pset_and(asking->space, set,
			  pset_interval(asking->space, field, value > last ? value - last : 0,
					value + last < value || value + last > pset_field_last(field)
						? pset_field_last(field)
						: value + last));
	return pset_is_empty(within) ? set : within;
}

static pset drawn(struct asking *asking, pset set)
{
	static const enum pset_field fields[] = {PSET_FAMILY,	 PSET_PROTOCOL, PSET_DADDR, PSET_SADDR,
						 PSET_DPORT,	 PSET_SPORT,	PSET_STATE, PSET_TCP_FLAGS,
						 PSET_ICMP_TYPE, PSET_FRAGMENT};

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		if (next_random(asking) % 3)
			set = narrowed(asking, set, fields[i]);
	return set;
}

/* ---- compared ---- */

/* The sets name the base chain, the interpreter the one whose rule it was. */
static bool same_chain(const struct spread_end *end, const struct answer *answer)
{
	return end->chain && answer->chain && end->chain->table == answer->chain->table && end->hook == answer->hook;
}

static bool fits(const struct spread_end *end, const struct answer *answer)
{
	if (answer->where && end->host != answer->where)
		return false;
	switch (answer->fate) {
	case FATE_DELIVERED:
		return end->fate == (answer->out ? SPREAD_SENT : SPREAD_DELIVERED);
	case FATE_REJECTED:
		return end->fate == SPREAD_REJECTED && same_chain(end, answer);
	case FATE_DROPPED:
		return end->fate == SPREAD_DROPPED && same_chain(end, answer);
	case FATE_LOST:
		return end->fate == SPREAD_LOST;
	case FATE_UNKNOWN:
	case FATE_OPEN:
		break;
	}
	return true;
}

static void tell(struct asking *asking, const struct question *question, const struct answer *answer, pset packet,
		 const char *what)
{
	cleanup_strbuf struct strbuf text = {};

	packet_format(&question->packet, &text);
	print_message(
		"  %s: %s\n    at %s %s%s%s: %s protocol %u state %u flags %#x type %u fragment %u\n    interpreter: "
		"%s at %s %s %s\n",
		asking->folder, what, question->at->name, question->iif ? question->iif->name : "(sent)",
		question->in_port ? " " : "", question->in_port ? question->in_port->name : "", text.text,
		question->packet.protocol, question->state, question->packet.tcp_flags, question->packet.icmp_type,
		question->packet.fragment, fate_word(answer->fate), answer->where ? answer->where->name : "?",
		answer->chain ? answer->chain->chain->name
		: answer->out ? answer->out->name
			      : "",
		answer->reason_text ? answer->reason_text : "");
	for (size_t i = 0; i < asking->count; i++) {
		const struct spread_end *end = &asking->ends[i];

		if (pset_overlap(asking->space, asking->origins[i], packet))
			print_message("    sets: %s at %s %s %s %s\n", fates[end->fate], end->host->name,
				      end->oif ? end->oif->name : "", end->chain ? end->chain->chain->name : "",
				      spread_reason_text(end->reason));
	}
}

static void ask(struct asking *asking, const struct question *question)
{
	cleanup_arena struct arena *arena = arena_new();
	struct answer *answer;
	pset packet = spread_question(asking->space, question);
	size_t among = 0, fitting = 0;

	/* the interpreter follows one packet, not the copies that others get */
	if (ip_is_multicast(&question->packet.dst) || ip_is_limited_broadcast(&question->packet.dst))
		return;
	answer = walk_ask(asking->stack, question, 0, arena);

	asking->counts->packets++;
	for (size_t i = 0; i < asking->count; i++) {
		if (!pset_overlap(asking->space, asking->origins[i], packet))
			continue;
		among++;
		fitting += asking->ends[i].fate == SPREAD_UNKNOWN || fits(&asking->ends[i], answer);
	}
	asking->counts->several += among > 1;
	if (answer->fate == FATE_UNKNOWN) {
		asking->counts->unknown++;
		return;
	}
	if (fitting > 0)
		return;
	asking->counts->wrong++;
	tell(asking, question, answer, packet, among ? "it ends elsewhere" : "it ends nowhere");
}

static bool question_of(struct asking *asking, pset set, struct question *ret)
{
	*ret = (struct question){.at = (struct stack_host *)asking->start.host,
				 .iif = (struct stack_link *)asking->start.iif,
				 .in_port = (struct stack_link *)asking->start.in_port};
	return spread_pick(asking->spread, set, &ret->packet, &ret->state);
}

static void ask_from(struct asking *asking, const struct place *place)
{
	struct error *err = NULL;
	struct question question;
	pset known = pset_or(asking->space, pset_kind(asking->space, PSET_STATE, PSET_NEW),
			     pset_kind(asking->space, PSET_STATE, PSET_INVALID));

	asking->start = (struct spread_start){
		.host = place->host, .iif = place->iif, .in_port = place->in_port, .packets = known};
	if (spread_follow(asking->spread, &asking->start, &asking->ends, &asking->count, &err) < 0)
		fail_msg("%s", err->message);
	asking->counts->places++;
	asking->origins = calloc(asking->count + 1, sizeof(*asking->origins));
	for (size_t i = 0; i < asking->count; i++)
		asking->origins[i] = spread_origin(asking->spread, &asking->ends[i], asking->ends[i].packets.may);
	for (size_t i = 0; i < asking->count; i++) /* of many ends some */
		if (next_random(asking) % asking->count < MOST_ENDS &&
		    question_of(asking, asking->origins[i], &question))
			ask(asking, &question);
	for (unsigned i = 0; i < samples && asking->count > 0; i++)
		if (question_of(asking, drawn(asking, asking->origins[next_random(asking) % asking->count]), &question))
			ask(asking, &question);
	for (unsigned i = 0; i < samples; i++)
		if (question_of(asking, drawn(asking, known), &question))
			ask(asking, &question);
	free(asking->origins);
}

/* ---- stacks ---- */

static bool is_known(const struct place *places, size_t count, const struct place *place)
{
	for (size_t i = 0; i < count; i++)
		if (memcmp(&places[i], place, sizeof(*place)) == 0)
			return true;
	return false;
}

/* Where packets may come in, or be sent. */
static void check_stack(const char *folder, struct counts *counts)
{
	cleanup_space struct space *space = pset_space_new((size_t)1 << 30, NULL);
	cleanup_error struct error *err = NULL;
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_stack struct stack *stack = NULL;
	cleanup_spread struct spread *spread = NULL;
	struct asking asking = {.folder = folder, .counts = counts, .random = 1};
	struct place places[256];
	size_t count = 0;

	if (bundle_load(folder, &bundle, &err) < 0)
		fail_msg("%s", err->message);
	stack = stack_new(bundle);
	spread = spread_new(stack, space);
	asking.stack = stack;
	asking.space = space;
	asking.spread = spread;
	for (size_t i = 0; i < stack->host_count; i++) {
		struct stack_host *host = &stack->hosts[i];

		for (size_t j = 0; j <= host->link_count && count < 256; j++) {
			struct place place = {.host = host};

			if (j < host->link_count && host->links[j].loopback)
				continue;
			if (j < host->link_count) {
				place.iif = host->links[j].master ? host->links[j].master : &host->links[j];
				place.in_port = host->links[j].master ? &host->links[j] : NULL;
			}
			if (!is_known(places, count, &place))
				places[count++] = place;
		}
	}
	for (size_t i = 0; i < count; i++)
		ask_from(&asking, &places[i]);
}

static void check_folders(const char *root, struct counts *counts)
{
	struct dirent **names;
	int count = scandir(root, &names, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		cleanup_free char *folder = NULL, *hosts = NULL;

		assert_true(asprintf(&folder, "%s/%s", root, names[i]->d_name) > 0);
		assert_true(asprintf(&hosts, "%s/hosts", folder) > 0);
		if (names[i]->d_name[0] != '.' && access(hosts, R_OK) == 0)
			check_stack(folder, counts);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
}

static void check_root(const char *root)
{
	struct counts counts = {};

	if (access(root, R_OK) < 0) {
		print_message("no %s: skipped\n", root);
		skip();
	}
	check_folders(root, &counts);
	print_message("%s: %zu places, %zu packets, %zu with several ends, %zu that the interpreter does not know, %zu "
		      "wrong\n",
		      root, counts.places, counts.packets, counts.several, counts.unknown, counts.wrong);
	assert_true(counts.packets > 0);
	assert_int_equal(counts.wrong, 0);
}

/* ---- far away ---- */

enum { MOST_ROUTERS = 40 };

/* The router between 10.0.NUMBER.0/24 (eth0) and the next network (eth1), with this as its default route. */
static struct bundle *router(size_t number, const char *route)
{
	cleanup_strbuf struct strbuf text = {};

	strbuf_add(&text, "$ ip addr\n");
	for (unsigned i = 0; i < 2; i++)
		strbuf_printf(&text,
			      "%u: eth%u: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500\n"
			      "    link/ether 52:54:00:00:%02zx:0%u brd ff:ff:ff:ff:ff:ff\n"
			      "    inet 10.0.%zu.%u/24 scope global eth%u\n",
			      i + 2, i, number, i, number + i, i ? 1 : 2, i);
	strbuf_add(&text, "$ ip rule\n0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup "
			  "default\n");
	strbuf_printf(&text,
		      "$ ip route\ndefault via %s\n10.0.%zu.0/24 dev eth0 proto kernel scope link\n"
		      "10.0.%zu.0/24 dev eth1 proto kernel scope link\n",
		      route, number, number + 1);
	strbuf_add(&text, "$ sysctl -a\nnet.ipv4.ip_forward = 1\n");
	for (unsigned i = 0; i < 3; i++)
		for (unsigned j = 0; j < 4; j++)
			strbuf_printf(
				&text, "net.ipv4.conf.%s.%s = 0\n", (const char *[]){"all", "eth0", "eth1"}[i],
				(const char *[]){"rp_filter", "accept_local", "route_localnet", "src_valid_mark"}[j]);
	strbuf_add(&text, "$ nft list ruleset\n$ iptables-save\n");
	return bundle_from_text("router", text.text, text.length);
}

/* One router after the other; `back`: the last one sends on to the one before it. */
static struct bundle *chain_of(size_t count, bool back)
{
	struct bundle *parts[MOST_ROUTERS], *whole;
	cleanup_json json_t *cables = json_array();
	char route[64];

	for (size_t i = 0; i < count; i++) {
		if (back && i + 1 == count)
			snprintf(route, sizeof(route), "10.0.%zu.1 dev eth0", i);
		else
			snprintf(route, sizeof(route), "10.0.%zu.2 dev eth1", i + 1);
		parts[i] = router(i, route);
		parts[i]->hosts[0]->name = arena_printf(parts[i]->arena, "r%zu", i);
		if (i > 0)
			json_array_append_new(cables, json_pack("[s,s,s,s]", parts[i - 1]->hosts[0]->name, "eth1",
								parts[i]->hosts[0]->name, "eth0"));
	}
	whole = bundle_join(parts, count, cables, "links.json");
	return whole;
}

/* Where a packet to the world ends that comes in at the first router: `fate` and nothing else, for this reason. */
static void check_chain(size_t count, bool back, enum spread_fate fate, enum spread_reason reason)
{
	cleanup_space struct space *space = pset_space_new((size_t)1 << 30, NULL);
	cleanup_bundle struct bundle *bundle = chain_of(count, back);
	cleanup_stack struct stack *stack = stack_new(bundle);
	cleanup_spread struct spread *spread = spread_new(stack, space);
	const struct stack_host *first = &stack->hosts[0];
	struct spread_start start = {.host = first, .iif = stack_link(first, "eth0")};
	struct question question = {.packet = {.family = AF_INET,
					       .protocol = IPPROTO_TCP,
					       .sport = port_of(40000),
					       .dport = port_of(22),
					       .ttl = number_of(64),
					       .tcp_flags = 2},
				    .state = STATE_NEW,
				    .at = (struct stack_host *)first,
				    .iif = stack_link(first, "eth0")};
	const struct spread_end *ends;
	size_t end_count;

	assert_string_equal(first->name, "r0");
	assert_true(ip_parse("10.0.0.9", &question.packet.src) && ip_parse("203.0.113.9", &question.packet.dst));
	start.packets = spread_question(space, &question);
	for (unsigned gathered = 0; gathered < 2; gathered++) {
		assert_int_equal((gathered ? spread_follow_gathered : spread_follow_all)(spread, &start, 1, &ends,
											 &end_count, NULL),
				 0);
		assert_true(end_count > 0);
		for (size_t i = 0; i < end_count; i++)
			if (ends[i].fate != fate || ends[i].reason != reason)
				fail_msg("%zu routers: %s (%s) at %s", count, fates[ends[i].fate],
					 spread_reason_text(ends[i].reason), ends[i].host->name);
	}
}

/* A way that is longer than what is followed is not known; only one that goes round is lost. */
static void test_far(void **state)
{
	check_chain(20, false, SPREAD_SENT, SPREAD_FOR_NONE);
	check_chain(30, false, SPREAD_UNKNOWN, SPREAD_FOR_DISTANCE);
	check_chain(2, true, SPREAD_LOST, SPREAD_FOR_LOOP);
	check_chain(5, true, SPREAD_LOST, SPREAD_FOR_LOOP);
	check_chain(30, true, SPREAD_UNKNOWN, SPREAD_FOR_DISTANCE);
}

static char *beside(const char *path)
{
	const char *slash = strrchr(__FILE__, '/');
	char *whole;

	assert_true(asprintf(&whole, "%.*s/%s", (int)(slash - __FILE__), __FILE__, path) > 0);
	return whole;
}

static void test_fixtures(void **state)
{
	cleanup_free char *root = beside("../fixtures/spread");

	check_root(root);
}

static void test_sample(void **state)
{
	const char *data = getenv("NESTVISOR_DATA");
	cleanup_free char *root = NULL;

	if (data)
		assert_true(asprintf(&root, "%s/kernel-sample", data) > 0);
	else
		root = beside("../../../shared/data/kernel-sample");
	check_root(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_far), cmocka_unit_test(test_fixtures),
					   cmocka_unit_test(test_sample)};

	if (getenv("NESTVISOR_SAMPLES"))
		samples = (unsigned)atoi(getenv("NESTVISOR_SAMPLES"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
