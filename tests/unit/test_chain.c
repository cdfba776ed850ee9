/*
 * verify/: chains as functions of all packets, against a naive evaluator that sends one packet through the rules.
 * Random rule lists are written in the languages of iptables-save and of nft, and kept beside that as plain structs,
 * which is all that the evaluator knows. Rules that cannot be decided go both ways in it, so it says which ends are
 * possible, and exactly those the function must have.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "verify/chain.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
/* cmocka needs those from setjmp.h on */
#include <cmocka.h>

static uint64_t seed = 20261121;

static uint32_t any(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % below;
}

static bool chance(uint32_t of)
{
	return any(of) == 0;
}

/* ---- the model ---- */

enum { CHAINS = 4, RULES = 12, ROOM = 2 * RULES, INTERFACES = 4 };

static const char *const interfaces[INTERFACES] = {"eth0", "eth1", "virbr0", "vnet7"};
static const struct {
	const char *text; /* as nft writes it; iptables writes + for * */
	uint8_t matches;  /* bits: which of the interfaces */
} names[] = {{"eth0", 1}, {"eth1", 2}, {"virbr0", 4}, {"vnet7", 8}, {"eth*", 3}, {"v*", 12}};
static const struct {
	const char *text;
	unsigned state;
} states[] = {{"new", PSET_NEW},
	      {"established", PSET_ESTABLISHED},
	      {"related", PSET_RELATED},
	      {"invalid", PSET_INVALID},
	      {"untracked", PSET_UNTRACKED}};

struct packet {
	uint32_t source, destination, mark;
	unsigned protocol, port, interface, state, flags;
};

struct match {
	bool set, negated;
	uint32_t first, last; /* or value and mask */
};

enum action { ACCEPT, DROP, RETURN, JUMP, GOTO, SET_MARK, REJECT, NOTHING, ACTIONS };

struct model_rule {
	struct match source, destination, port, interface, state, mark, flags;
	unsigned protocol; /* 0: any */
	bool undecided;
	enum action action;
	unsigned target;
	uint32_t value, mask;
};

struct model {
	struct model_rule rules[CHAINS][ROOM];
	size_t counts[CHAINS];
	bool drops; /* the policy */
};

static bool within(const struct match *match, uint32_t value)
{
	return !match->set || (value >= match->first && value <= match->last) != match->negated;
}

static bool holds(const struct model_rule *rule, const struct packet *packet)
{
	bool tcp = packet->protocol == 6, ports = tcp || packet->protocol == 17;

	if (rule->protocol && rule->protocol != packet->protocol)
		return false;
	if (rule->port.set && !ports)
		return false;
	if (rule->flags.set &&
	    (!tcp || ((packet->flags & rule->flags.last) == rule->flags.first) == rule->flags.negated))
		return false;
	if (rule->interface.set &&
	    (names[rule->interface.first].matches >> packet->interface & 1) == rule->interface.negated)
		return false;
	if (rule->state.set && (rule->state.first >> packet->state & 1) == rule->state.negated)
		return false;
	if (rule->mark.set && ((packet->mark & rule->mark.last) == rule->mark.first) == rule->mark.negated)
		return false;
	return within(&rule->source, packet->source) && within(&rule->destination, packet->destination) &&
	       within(&rule->port, packet->port);
}

/* All ends that are possible from a rule on, as bits. A chain that is called and goes on ends in END_CONTINUE. */
static unsigned run(const struct model *model, unsigned chain, size_t at, struct packet packet,
		    unsigned (*next)(const struct model *model, const struct packet *packet, const void *context),
		    const void *context);

struct frame {
	unsigned chain;
	size_t at;
	unsigned (*next)(const struct model *model, const struct packet *packet, const void *context);
	const void *context;
};

static unsigned back(const struct model *model, const struct packet *packet, const void *context)
{
	const struct frame *frame = context;

	return run(model, frame->chain, frame->at, *packet, frame->next, frame->context);
}

static unsigned run(const struct model *model, unsigned chain, size_t at, struct packet packet,
		    unsigned (*next)(const struct model *model, const struct packet *packet, const void *context),
		    const void *context)
{
	for (; at < model->counts[chain]; at++) {
		const struct model_rule *rule = &model->rules[chain][at];
		struct frame frame = {chain, at + 1, next, context};
		unsigned ends = 0;

		if (!holds(rule, &packet))
			continue;
		if (rule->undecided)
			ends = run(model, chain, at + 1, packet, next, context);
		switch (rule->action) {
		case ACCEPT:
			return ends | END_BIT(END_ACCEPT);
		case DROP:
			return ends | END_BIT(END_DROP);
		case REJECT:
			return ends | END_BIT(END_REJECT);
		case RETURN:
			return ends | next(model, &packet, context);
		case JUMP:
			return ends | run(model, rule->target, 0, packet, back, &frame);
		case GOTO:
			return ends | run(model, rule->target, 0, packet, next, context);
		case SET_MARK:
			packet.mark = (packet.mark & ~rule->mask) ^ rule->value;
			return ends | run(model, chain, at + 1, packet, next, context);
		case NOTHING:
		case ACTIONS:
			break;
		}
	}
	return next(model, &packet, context);
}

static unsigned policy(const struct model *model, const struct packet *packet, const void *context)
{
	return model->drops ? END_BIT(END_DROP) : END_BIT(END_ACCEPT);
}

/* ---- random rules ---- */

static struct match any_address(void)
{
	unsigned length = any(5);
	uint32_t host = any(16) >> (4 - length) << (4 - length);

	return (struct match){true, chance(3), 0x0a000000 | host, 0x0a000000 | host | (0xfu >> length)};
}

static struct model_rule any_rule(unsigned chain)
{
	struct model_rule rule = {.protocol = chance(2) ? (chance(3) ? 17 : 6) : 0, .undecided = chance(9)};

	if (chance(2))
		rule.source = any_address();
	if (chance(2))
		rule.destination = any_address();
	if (rule.protocol && chance(2)) {
		rule.port = (struct match){true, chance(4), any(6), 0};
		rule.port.last = rule.port.first + any(4);
	}
	if (rule.protocol == 6 && chance(4)) {
		rule.flags = (struct match){true, chance(3), 0, 1 + any(255)};
		rule.flags.first = any(256) & rule.flags.last;
	}
	if (chance(3))
		rule.interface = (struct match){true, chance(3), any(sizeof(names) / sizeof(*names)), 0};
	if (chance(3))
		rule.state = (struct match){true, chance(4), 1 + any(31), 0};
	if (chance(3)) {
		rule.mark = (struct match){true, chance(3), 0, 1 + any(7)};
		rule.mark.first = any(8) & rule.mark.last;
	}
	rule.action = any(ACTIONS);
	if (rule.action == JUMP || rule.action == GOTO) {
		rule.target = chain + 1 + any(CHAINS);
		if (rule.target >= CHAINS)
			rule.action = ACCEPT;
	}
	rule.value = any(8);
	rule.mask = chance(2) ? UINT32_MAX : any(8);
	return rule;
}

static void any_model(struct model *ret)
{
	ret->drops = chance(2);
	for (unsigned chain = 0; chain < CHAINS; chain++) {
		ret->counts[chain] = any(RULES + 1);
		for (size_t i = 0; i < ret->counts[chain]; i++)
			ret->rules[chain][i] = any_rule(chain);
	}
}

/* ---- as iptables-save writes it ---- */

static const char *const chain_names[CHAINS] = {"FORWARD", "one", "two", "three"};

static void add_prefix(struct strbuf *out, const char *option, const struct match *match)
{
	unsigned free_bits = 0;

	if (!match->set)
		return;
	while (match->first + (1u << free_bits) - 1 < match->last)
		free_bits++;
	strbuf_printf(out, "%s -%s 10.0.0.%u/%u", match->negated ? " !" : "", option, match->first & 255,
		      32 - free_bits);
}

static void add_states(struct strbuf *out, uint32_t bits, bool capitals)
{
	const char *comma = "";

	for (unsigned i = 0; i < 5; i++) {
		if (!(bits >> i & 1))
			continue;
		strbuf_add(out, comma);
		for (const char *c = states[i].text; *c; c++)
			strbuf_add_char(out, (char)(capitals ? *c & ~0x20 : *c));
		comma = ",";
	}
}

static void add_flags(struct strbuf *out, uint32_t bits)
{
	static const char *const flags[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
	const char *comma = "";

	for (unsigned i = 0; i < 8; i++) {
		if (!(bits >> i & 1))
			continue;
		strbuf_printf(out, "%s%s", comma, flags[i]);
		comma = ",";
	}
	if (!bits)
		strbuf_add(out, "NONE");
}

static void add_iptables_rule(struct strbuf *out, unsigned chain, const struct model_rule *rule)
{
	static const char *const targets[] = {"ACCEPT", "DROP", "RETURN", NULL, NULL, NULL, "REJECT", NULL};

	strbuf_printf(out, "-A %s", chain_names[chain]);
	add_prefix(out, "s", &rule->source);
	add_prefix(out, "d", &rule->destination);
	if (rule->interface.set)
		strbuf_printf(out, "%s -i %.*s%s", rule->interface.negated ? " !" : "",
			      (int)strcspn(names[rule->interface.first].text, "*"), names[rule->interface.first].text,
			      strchr(names[rule->interface.first].text, '*') ? "+" : "");
	if (rule->protocol)
		strbuf_printf(out, " -p %s", rule->protocol == 6 ? "tcp" : "udp");
	if (rule->port.set)
		strbuf_printf(out, " -m multiport%s --dports %u:%u,%u", rule->port.negated ? " !" : "",
			      rule->port.first, rule->port.last, rule->port.last);
	if (rule->flags.set) {
		strbuf_printf(out, " -m tcp%s --tcp-flags ", rule->flags.negated ? " !" : "");
		add_flags(out, rule->flags.last);
		strbuf_add_char(out, ' ');
		add_flags(out, rule->flags.first);
	}
	if (rule->state.set) {
		strbuf_printf(out, " -m conntrack%s --ctstate ", rule->state.negated ? " !" : "");
		add_states(out, rule->state.first, true);
	}
	if (rule->mark.set)
		strbuf_printf(out, " -m mark%s --mark 0x%x/0x%x", rule->mark.negated ? " !" : "", rule->mark.first,
			      rule->mark.last);
	if (rule->undecided)
		strbuf_add(out, " -m limit --limit 5/min");
	if (rule->action == JUMP || rule->action == GOTO)
		strbuf_printf(out, " -%c %s", rule->action == JUMP ? 'j' : 'g', chain_names[rule->target]);
	else if (rule->action == SET_MARK)
		strbuf_printf(out, " -j MARK --set-xmark 0x%x/0x%x", rule->value, rule->mask);
	else if (targets[rule->action])
		strbuf_printf(out, " -j %s", targets[rule->action]);
	strbuf_add_char(out, '\n');
}

static void write_iptables(struct strbuf *out, const struct model *model)
{
	strbuf_printf(out, "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD %s [0:0]\n:OUTPUT ACCEPT [0:0]\n",
		      model->drops ? "DROP" : "ACCEPT");
	for (unsigned chain = 1; chain < CHAINS; chain++)
		strbuf_printf(out, ":%s - [0:0]\n", chain_names[chain]);
	for (unsigned chain = 0; chain < CHAINS; chain++)
		for (size_t i = 0; i < model->counts[chain]; i++)
			add_iptables_rule(out, chain, &model->rules[chain][i]);
	strbuf_add(out, "COMMIT\n");
}

/* ---- as nft lists it ---- */

static void add_nft_rule(struct strbuf *out, const struct model_rule *rule)
{
	static const char *const verdicts[] = {" accept", " drop", " return", NULL, NULL, NULL, " reject", NULL};

	strbuf_add(out, "\t\t");
	if (rule->interface.set)
		strbuf_printf(out, " iifname %s\"%s\"", rule->interface.negated ? "!= " : "",
			      names[rule->interface.first].text);
	if (rule->protocol && !rule->port.set && !rule->flags.set)
		strbuf_printf(out, " meta l4proto %u", rule->protocol);
	if (rule->source.set)
		strbuf_printf(out, " ip saddr %s10.0.0.%u-10.0.0.%u", rule->source.negated ? "!= " : "",
			      rule->source.first & 255, rule->source.last & 255);
	if (rule->destination.set)
		strbuf_printf(out, " ip daddr %s{ 10.0.0.%u-10.0.0.%u }", rule->destination.negated ? "!= " : "",
			      rule->destination.first & 255, rule->destination.last & 255);
	if (rule->port.set)
		strbuf_printf(out, " %s dport %s{ %u-%u }", rule->protocol == 6 ? "tcp" : "udp",
			      rule->port.negated ? "!= " : "", rule->port.first, rule->port.last);
	if (rule->flags.set)
		strbuf_printf(out, " tcp flags & 0x%x %s 0x%x", rule->flags.last,
			      rule->flags.negated ? "!=" : "==", rule->flags.first);
	if (rule->state.set) {
		strbuf_printf(out, " ct state %s{ ", rule->state.negated ? "!= " : "");
		add_states(out, rule->state.first, false);
		strbuf_add(out, " }");
	}
	if (rule->mark.set)
		strbuf_printf(out, " meta mark & 0x%x %s 0x%x", rule->mark.last,
			      rule->mark.negated ? "!=" : "==", rule->mark.first);
	if (rule->undecided)
		strbuf_add(out, " limit rate 5/minute");
	if (rule->action == JUMP || rule->action == GOTO)
		strbuf_printf(out, " %s %s", rule->action == JUMP ? "jump" : "goto", chain_names[rule->target]);
	else if (rule->action == SET_MARK)
		strbuf_printf(out, " meta mark set meta mark & 0x%x ^ 0x%x", ~rule->mask, rule->value);
	else
		strbuf_add(out, verdicts[rule->action] ? verdicts[rule->action] : " counter packets 0 bytes 0");
	strbuf_add_char(out, '\n');
}

static void write_nft(struct strbuf *out, const struct model *model)
{
	strbuf_add(out, "table ip filter {\n");
	for (unsigned chain = 0; chain < CHAINS; chain++) {
		strbuf_printf(out, "\tchain %s {\n", chain_names[chain]);
		if (chain == 0)
			strbuf_printf(out, "\t\ttype filter hook forward priority filter; policy %s;\n",
				      model->drops ? "drop" : "accept");
		for (size_t i = 0; i < model->counts[chain]; i++)
			add_nft_rule(out, &model->rules[chain][i]);
		strbuf_add(out, "\t}\n\n");
	}
	strbuf_add(out, "}\n");
}

/* ---- compared ---- */

static struct packet any_packet(void)
{
	static const unsigned protocols[] = {6, 6, 17, 1};

	return (struct packet){.source = 0x0a000000 | any(18),
			       .destination = 0x0a000000 | any(18),
			       .mark = any(16),
			       .protocol = protocols[any(4)],
			       .port = any(10),
			       .interface = any(INTERFACES),
			       .state = any(5),
			       .flags = any(256)};
}

static struct packet_values values_of(const struct packet *packet)
{
	return (struct packet_values){.fields = {
					      [PSET_FAMILY] = PSET_IP4,
					      [PSET_SADDR] = (wide)packet->source << 96,
					      [PSET_DADDR] = (wide)packet->destination << 96,
					      [PSET_MARK] = packet->mark,
					      [PSET_PROTOCOL] = packet->protocol,
					      [PSET_SPORT] = 40000,
					      [PSET_DPORT] = packet->port,
					      [PSET_IIF] = wide_of_name(interfaces[packet->interface]),
					      [PSET_OIF] = wide_of_name("out0"),
					      [PSET_STATE] = packet->state,
					      [PSET_TCP_FLAGS] = packet->flags,
					      [PSET_LENGTH] = 60,
					      [PSET_TTL] = 64,
				      }};
}

static void check_packets(struct space *space, struct chains *chains, diagram function, const struct model *model,
			  const struct slice *slice, const char *text)
{
	for (int i = 0; i < 300; i++) {
		struct packet packet = any_packet();
		struct packet_values values;
		unsigned wanted, got;

		if (slice) {
			packet.state = PSET_NEW;
			packet.protocol = 6;
			packet.port = 3;
		}
		values = values_of(&packet);
		wanted = run(model, 0, 0, packet, policy, NULL);
		got = outcome_kinds(chains_outcomes(chains), diagram_number(pset_look_up(space, function, &values)));
		if (got != wanted)
			fail_msg("source .%u destination .%u protocol %u port %u interface %s state %u mark %x flags "
				 "%x: ends %x, not %x, in\n%s",
				 packet.source & 255, packet.destination & 255, packet.protocol, packet.port,
				 interfaces[packet.interface], packet.state, packet.mark, packet.flags, got, wanted,
				 text);
	}
}

static void check_model(const struct model *model, void (*write)(struct strbuf *out, const struct model *model),
			const char *file, const struct slice *slice)
{
	cleanup_space struct space *space = pset_space_new((size_t)512 << 20, NULL);
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_stack struct stack *stack = NULL;
	cleanup_chains struct chains *chains = NULL;
	cleanup_strbuf struct strbuf text = {};
	const struct stack_hook *hook;
	struct bounds accepted, ended;
	diagram function;

	write(&text, model);
	bundle = bundle_from_text(file, text.text, text.length);
	stack = stack_new(bundle);
	hook = &stack->hosts[0].hooks[STACK_IP4][HOOK_FORWARD];
	assert_int_equal(hook->count, 1);
	chains = chains_new(space, &stack->hosts[0], slice, NULL);
	function = chains_hook(chains, hook);
	assert_int_equal(space_check(space, NULL), 0);
	check_packets(space, chains, function, model, slice, text.text);
	accepted = chains_bounds(chains, function, END_BIT(END_ACCEPT));
	ended = chains_bounds(chains, function, END_BIT(END_ACCEPT) | END_BIT(END_DROP) | END_BIT(END_REJECT));
	assert_true(pset_is_subset(space, accepted.must, accepted.may));
	assert_true(ended.must == PSET_FULL);
	if (slice)
		assert_int_equal(pset_support(space, function) & slice->fixed, 0);
}

static void test_iptables(void **state)
{
	struct model model;

	for (int i = 0; i < 150; i++) {
		any_model(&model);
		check_model(&model, write_iptables, "iptables-save.txt", NULL);
	}
}

static void test_nft(void **state)
{
	struct model model;

	for (int i = 0; i < 150; i++) {
		any_model(&model);
		check_model(&model, write_nft, "nft-ruleset.txt", NULL);
	}
}

static void test_slice(void **state)
{
	struct slice slice = {.fixed = PSET_BIT(PSET_FAMILY) | PSET_BIT(PSET_STATE) | PSET_BIT(PSET_PROTOCOL) |
				       PSET_BIT(PSET_DPORT) | PSET_BIT(PSET_FRAGMENT)};
	struct model model;

	slice.values.fields[PSET_FAMILY] = PSET_IP4;
	slice.values.fields[PSET_STATE] = PSET_NEW;
	slice.values.fields[PSET_PROTOCOL] = 6;
	slice.values.fields[PSET_DPORT] = 3;
	for (int i = 0; i < 80; i++) {
		any_model(&model);
		check_model(&model, i % 2 ? write_nft : write_iptables, i % 2 ? "nft-ruleset.txt" : "iptables-save.txt",
			    &slice);
	}
}

/* Rules as text and facts, and the same as a model. */
struct rules {
	struct model model;
	struct bundle *bundle;
	struct stack *stack;
	const struct stack_hook *hook;
	struct rule facts[CHAINS][ROOM];
};

static struct chain *facts_of(const struct rules *rules, unsigned chain)
{
	return (struct chain *)stack_chain(&rules->stack->hosts[0].tables[0], chain_names[chain])->chain;
}

static void rules_new(struct rules *ret)
{
	cleanup_strbuf struct strbuf text = {};

	any_model(&ret->model);
	write_iptables(&text, &ret->model);
	ret->bundle = bundle_from_text("iptables-save.txt", text.text, text.length);
	ret->stack = stack_new(ret->bundle);
	ret->hook = &ret->stack->hosts[0].hooks[STACK_IP4][HOOK_FORWARD];
	for (unsigned i = 0; i < CHAINS; i++) {
		if (ret->model.counts[i])
			memcpy(ret->facts[i], facts_of(ret, i)->rules, ret->model.counts[i] * sizeof(struct rule));
		facts_of(ret, i)->rules = ret->facts[i];
	}
}

static void rules_free(struct rules *rules)
{
	stack_free(rules->stack);
	bundle_free(rules->bundle);
}

/* `out` rules at a place make room for the donor's first `in`. */
static void exchange(struct rules *rules, const struct rules *donor, unsigned chain, size_t at, size_t out, size_t in)
{
	size_t behind = rules->model.counts[chain] - at - out;

	memmove(&rules->facts[chain][at + in], &rules->facts[chain][at + out], behind * sizeof(struct rule));
	memcpy(&rules->facts[chain][at], donor->facts[chain], in * sizeof(struct rule));
	memmove(&rules->model.rules[chain][at + in], &rules->model.rules[chain][at + out],
		behind * sizeof(struct model_rule));
	memcpy(&rules->model.rules[chain][at], donor->model.rules[chain], in * sizeof(struct model_rule));
	rules->model.counts[chain] += in - out;
	facts_of(rules, chain)->rule_count = rules->model.counts[chain];
}

/* One rule comes, goes, or is exchanged for another. */
static void change_rules(struct rules *rules, struct chains *chains, struct rules *donor)
{
	unsigned chain = any(CHAINS);
	const struct stack_chain *changed = stack_chain(&rules->stack->hosts[0].tables[0], chain_names[chain]);
	size_t count = rules->model.counts[chain], at;

	if (chance(2) && count < ROOM && donor->model.counts[chain] > 0) {
		at = any((uint32_t)count + 1);
		exchange(rules, donor, chain, at, 0, 1);
		chains_rule_added(chains, changed, at);
	} else if (chance(2) && count > 0) {
		at = any((uint32_t)count);
		exchange(rules, donor, chain, at, 1, 0);
		chains_rule_removed(chains, changed, at);
	} else if (count > 0 && donor->model.counts[chain] > 0) {
		at = any((uint32_t)count);
		exchange(rules, donor, chain, at, 1, 1);
		chains_rule_changed(chains, changed, at);
	}
}

static void check_like_fresh(struct space *space, const struct rules *rules, struct chains *kept)
{
	cleanup_chains struct chains *fresh = chains_new(space, &rules->stack->hosts[0], NULL, NULL);
	diagram old = chains_hook(kept, rules->hook), new = chains_hook(fresh, rules->hook);

	for (unsigned kinds = 1; kinds < END_BIT(END_KIND_COUNT); kinds++) {
		struct bounds one = chains_bounds(kept, old, kinds), other = chains_bounds(fresh, new, kinds);

		assert_true(one.may == other.may && one.must == other.must);
	}
	check_packets(space, kept, old, &rules->model, NULL, "rules that changed");
}

/* After any changes what was kept gives the same as rules that are computed anew. */
static void test_change(void **state)
{
	for (int round = 0; round < 40; round++) {
		cleanup_space struct space *space = pset_space_new((size_t)512 << 20, NULL);
		cleanup_chains struct chains *chains = NULL;
		struct rules rules, donors[12];

		rules_new(&rules);
		chains = chains_new(space, &rules.stack->hosts[0], NULL, NULL);
		chains_hook(chains, rules.hook);
		for (size_t i = 0; i < sizeof(donors) / sizeof(*donors); i++) {
			rules_new(&donors[i]);
			change_rules(&rules, chains, &donors[i]);
			if (chance(3)) /* several at once */
				continue;
			check_like_fresh(space, &rules, chains);
		}
		check_like_fresh(space, &rules, chains);
		chains_free(steal_pointer(&chains));
		for (size_t i = 0; i < sizeof(donors) / sizeof(*donors); i++)
			rules_free(&donors[i]);
		rules_free(&rules);
	}
}

struct met {
	struct space *space;
	pset packets;
	size_t rules;
};

static void meet(void *context, const struct met_rule *rule)
{
	struct met *met = context;

	assert_false(pset_is_empty(rule->packets));
	met->packets = pset_or(met->space, met->packets, rule->packets);
	met->rules++;
}

/* The rules that accept, each with its packets, make up all that is accepted; nothing open, nothing undecided. */
static void test_deciding(void **state)
{
	for (int round = 0; round < 60; round++) {
		cleanup_space struct space *space = pset_space_new((size_t)512 << 20, NULL);
		cleanup_bundle struct bundle *bundle = NULL;
		cleanup_stack struct stack *stack = NULL;
		cleanup_chains struct chains *chains = NULL;
		cleanup_strbuf struct strbuf text = {};
		struct met accepting = {space, PSET_EMPTY, 0}, undecided = {space, PSET_EMPTY, 0};
		const struct stack_hook *hook;
		struct bounds accepted;
		struct model model;

		any_model(&model);
		for (unsigned chain = 0; chain < CHAINS; chain++)
			for (size_t i = 0; i < model.counts[chain]; i++)
				if (model.rules[chain][i].action == SET_MARK)
					model.rules[chain][i].action = NOTHING;
		write_nft(&text, &model);
		bundle = bundle_from_text("nft-ruleset.txt", text.text, text.length);
		stack = stack_new(bundle);
		hook = &stack->hosts[0].hooks[STACK_IP4][HOOK_FORWARD];
		chains = chains_new(space, &stack->hosts[0], NULL, NULL);
		accepted = chains_bounds(chains, chains_hook(chains, hook), END_BIT(END_ACCEPT));
		chains_deciding(chains, hook->chains[0], PSET_FULL, END_BIT(END_ACCEPT), meet, &accepting);
		chains_undecided(chains, hook->chains[0], PSET_FULL, meet, &undecided);
		assert_true(accepting.packets == accepted.may);
		if (undecided.rules == 0)
			assert_true(bounds_are_exact(accepted));
		else
			assert_true(pset_is_subset(space, pset_minus(space, accepted.may, accepted.must),
						   undecided.packets));
	}
}

/* ---- what the random rules do not have ---- */

struct loaded {
	struct space *space;
	struct bundle *bundle;
	struct stack *stack;
	struct chains *chains;
	struct bounds accepted;
};

static void load_rules(const char *file, const char *text, enum stack_family family, struct loaded *ret)
{
	ret->space = pset_space_new((size_t)256 << 20, NULL);
	ret->bundle = bundle_from_text(file, text, strlen(text));
	ret->stack = stack_new(ret->bundle);
	ret->chains = chains_new(ret->space, &ret->stack->hosts[0], NULL, NULL);
	ret->accepted =
		chains_bounds(ret->chains, chains_hook(ret->chains, &ret->stack->hosts[0].hooks[family][HOOK_FORWARD]),
			      END_BIT(END_ACCEPT));
	assert_int_equal(space_check(ret->space, NULL), 0);
}

static void unload(struct loaded *loaded)
{
	chains_free(loaded->chains);
	stack_free(loaded->stack);
	bundle_free(loaded->bundle);
	space_free(loaded->space);
}

static struct packet_values tcp_packet(const char *source, const char *destination, uint16_t port)
{
	struct packet_values values = {};
	struct ip from, to;

	assert_true(ip_parse(source, &from) && ip_parse(destination, &to));
	values.fields[PSET_FAMILY] = from.family == AF_INET ? PSET_IP4 : PSET_IP6;
	values.fields[PSET_SADDR] = wide_of_address(&from);
	values.fields[PSET_DADDR] = wide_of_address(&to);
	values.fields[PSET_PROTOCOL] = 6;
	values.fields[PSET_DPORT] = port;
	values.fields[PSET_SPORT] = 40000;
	values.fields[PSET_IIF] = wide_of_name("eth0");
	values.fields[PSET_OIF] = wide_of_name("eth1");
	return values;
}

static bool accepted(const struct loaded *loaded, const char *source, const char *destination, uint16_t port)
{
	struct packet_values packet = tcp_packet(source, destination, port);
	bool may = pset_contains(loaded->space, loaded->accepted.may, &packet);

	assert_int_equal(pset_contains(loaded->space, loaded->accepted.must, &packet), may);
	return may;
}

static void test_nft_sets(void **state)
{
	static const char text[] =
		"table inet filter {\n"
		"	set blocked {\n"
		"		type ipv4_addr\n"
		"		flags interval\n"
		"		elements = { 10.1.0.0/16, 10.3.0.1-10.3.0.9 }\n"
		"	}\n"
		"	map services {\n"
		"		type ipv4_addr . inet_service : verdict\n"
		"		flags interval\n"
		"		elements = { 10.0.0.1 . 80 : accept, 10.0.0.2 . 1000-2000 : jump web }\n"
		"	}\n"
		"	chain forward {\n"
		"		type filter hook forward priority filter; policy drop;\n"
		"		ip saddr @blocked drop\n"
		"		ip daddr . tcp dport vmap @services\n"
		"		tcp dport vmap { 443 : accept, 500-600 : drop }\n"
		"		ip6 saddr . tcp dport { 2001:db8::/32 . 22, fd00::1 . 23-24 } accept\n"
		"		meta nfproto ipv4 ip daddr & 0.0.255.255 == 0.0.9.7 accept\n"
		"		ip6 daddr & ::ffff:ffff:ffff:ffff == ::5054:ff:7 accept\n"
		"	}\n"
		"	chain web {\n"
		"		tcp dport 1500 return\n"
		"		accept\n"
		"	}\n"
		"}\n";
	struct loaded loaded;

	load_rules("nft-ruleset.txt", text, STACK_IP4, &loaded);
	assert_true(accepted(&loaded, "10.2.0.1", "10.0.0.1", 80));
	assert_false(accepted(&loaded, "10.1.2.3", "10.0.0.1", 80));
	assert_false(accepted(&loaded, "10.3.0.9", "10.0.0.1", 80));
	assert_true(accepted(&loaded, "10.3.0.10", "10.0.0.1", 80));
	assert_false(accepted(&loaded, "10.2.0.1", "10.0.0.2", 80));
	assert_true(accepted(&loaded, "10.2.0.1", "10.0.0.2", 1499));
	assert_false(accepted(&loaded, "10.2.0.1", "10.0.0.2", 1500));
	assert_true(accepted(&loaded, "10.2.0.1", "10.9.9.9", 443));
	assert_false(accepted(&loaded, "10.2.0.1", "10.9.9.7", 501));
	assert_true(accepted(&loaded, "10.2.0.1", "10.9.9.7", 444));
	assert_false(accepted(&loaded, "10.2.0.1", "10.9.9.8", 444));
	assert_true(accepted(&loaded, "2001:db8::5", "fd00::9", 22));
	assert_true(accepted(&loaded, "fd00::1", "fd00::9", 24));
	assert_false(accepted(&loaded, "fd00::1", "fd00::9", 22));
	assert_true(accepted(&loaded, "fd00::2", "fd00::9", 443));
	assert_true(accepted(&loaded, "fd00::2", "fd00:1:2:3:0:5054:ff:7", 1));
	assert_true(accepted(&loaded, "fd00::2", "2001:db8::5054:ff:7", 1));
	assert_false(accepted(&loaded, "fd00::2", "fd00:1:2:3:1:5054:ff:7", 1));
	unload(&loaded);
}

static void test_ipset(void **state)
{
	static const char text[] = "$ ipset save\n"
				   "create nets hash:net family inet\n"
				   "add nets 10.0.0.0/8\n"
				   "add nets 10.5.0.0/16 nomatch\n"
				   "add nets 10.5.5.0/24\n"
				   "create pairs hash:ip,port family inet\n"
				   "add pairs 10.0.0.1,tcp:80\n"
				   "create both list:set size 8\n"
				   "add both nets\n"
				   "$ iptables-save\n"
				   "*filter\n"
				   ":FORWARD DROP [0:0]\n"
				   "-A FORWARD -m set --match-set pairs dst,dst -j ACCEPT\n"
				   "-A FORWARD -p tcp --dport 81 -m set ! --match-set nets src -j ACCEPT\n"
				   "-A FORWARD -p tcp --dport 82 -m set --match-set both src -j ACCEPT\n"
				   "COMMIT\n";
	struct loaded loaded;

	load_rules("session.txt", text, STACK_IP4, &loaded);
	assert_true(accepted(&loaded, "1.1.1.1", "10.0.0.1", 80));
	assert_false(accepted(&loaded, "1.1.1.1", "10.0.0.2", 80));
	assert_true(accepted(&loaded, "1.1.1.1", "10.0.0.2", 81));
	assert_false(accepted(&loaded, "10.1.1.1", "10.0.0.2", 81));
	assert_true(accepted(&loaded, "10.5.1.1", "10.0.0.2", 81));
	assert_false(accepted(&loaded, "10.5.5.1", "10.0.0.2", 81));
	assert_true(accepted(&loaded, "10.5.5.1", "10.0.0.2", 82));
	assert_false(accepted(&loaded, "10.5.1.1", "10.0.0.2", 82));
	unload(&loaded);
}

/* Several base chains at one hook, with marks handed on from one to the next. */
static void test_hook(void **state)
{
	static const char text[] = "table ip mangle {\n"
				   "	chain early {\n"
				   "		type filter hook forward priority mangle; policy accept;\n"
				   "		tcp dport 22 meta mark set 0x1\n"
				   "		tcp dport 23 meta mark set 0x2 accept\n"
				   "		tcp dport 24 drop\n"
				   "	}\n"
				   "}\n"
				   "table ip filter {\n"
				   "	chain late {\n"
				   "		type filter hook forward priority filter; policy drop;\n"
				   "		tcp dport 24 accept\n"
				   "		meta mark { 0x1, 0x2 } accept\n"
				   "	}\n"
				   "}\n";
	struct packet_values packet = tcp_packet("10.0.0.1", "10.0.0.2", 25);
	struct loaded loaded;

	load_rules("nft-ruleset.txt", text, STACK_IP4, &loaded);
	assert_true(accepted(&loaded, "10.0.0.1", "10.0.0.2", 22));
	assert_true(accepted(&loaded, "10.0.0.1", "10.0.0.2", 23));
	assert_false(accepted(&loaded, "10.0.0.1", "10.0.0.2", 24));
	assert_false(accepted(&loaded, "10.0.0.1", "10.0.0.2", 25));
	packet.fields[PSET_MARK] = 2;
	assert_true(pset_contains(loaded.space, loaded.accepted.must, &packet));
	unload(&loaded);
}

/* What is not known is neither accepted for sure nor dropped for sure. */
static void test_unknown(void **state)
{
	static const char text[] = "*filter\n"
				   ":FORWARD DROP [0:0]\n"
				   "-A FORWARD -m mac --mac-source XX:XX:XX:XX:XX:XX -p tcp --dport 22 -j ACCEPT\n"
				   "-A FORWARD -p tcp --dport 23 -m frobnicate --much -j ACCEPT\n"
				   "-A FORWARD -p tcp --dport 24 -j FROBNICATE\n"
				   "-A FORWARD -p tcp --dport 25 -m recent --update --seconds 60 -j DROP\n"
				   "-A FORWARD -p tcp --dport 24:26 -j ACCEPT\n"
				   "COMMIT\n";
	struct loaded loaded;

	load_rules("iptables-save.txt", text, STACK_IP4, &loaded);
	for (uint16_t port = 22; port <= 26; port++) {
		struct packet_values packet = tcp_packet("10.0.0.1", "10.0.0.2", port);

		assert_true(pset_contains(loaded.space, loaded.accepted.may, &packet));
		assert_int_equal(pset_contains(loaded.space, loaded.accepted.must, &packet), port == 26);
	}
	unload(&loaded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_iptables), cmocka_unit_test(test_nft),	  cmocka_unit_test(test_slice),
		cmocka_unit_test(test_change),	 cmocka_unit_test(test_deciding), cmocka_unit_test(test_nft_sets),
		cmocka_unit_test(test_ipset),	 cmocka_unit_test(test_hook),	  cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
