/* Chains: the rules of one after the other, jumps and returns, and what a rule does. */
#include "verify/evaluate.h"

#include <string.h>
#include <sys/socket.h>

enum { JUMPS_MAX = 64 };

enum rule_end {
	RULE_NEXT,
	RULE_ACCEPT,
	RULE_DROP,
	RULE_REJECT,
	RULE_RETURN,
	RULE_JUMP,
	RULE_GOTO,
	RULE_ENDED, /* the walk has */
};

struct rule_result {
	enum rule_end end;
	const char *chain;  /* of jump and goto */
	const char *effect; /* for people; NULL: nothing happened */
	const char *answered;
};

/* ---- conditions ---- */

static const struct argument *argument(const struct statement *statement, const char *name)
{
	for (size_t i = 0; i < statement->condition.argument_count; i++)
		if (strcmp(statement->condition.arguments[i].name, name) == 0)
			return &statement->condition.arguments[i];
	return NULL;
}

/* Without a socket of this host's: what is asked of it is false, what is asked not to be is true (xt_owner.c). */
static enum truth owner_matches(const struct hop *hop, const struct statement *statement)
{
	if (hop->sent_here)
		return TRUTH_UNKNOWN;
	for (size_t i = 0; i < statement->condition.argument_count; i++)
		if (!statement->condition.arguments[i].negated)
			return TRUTH_NO;
	return TRUTH_YES;
}

static enum truth policy_matches(struct hop *hop, const struct statement *statement)
{
	const struct argument *policy = argument(statement, "pol");

	if (!policy || !policy->value)
		return TRUTH_UNKNOWN;
	walk_assume(hop->walk, "ip xfrm policy", "%s: there is no IPsec", hop->host->name);
	return truth_of((strcmp(policy->value, "none") == 0) != policy->negated);
}

/* To write an address down always succeeds; whether it is there already depends on what came before. */
static enum truth recent_matches(const struct statement *statement)
{
	const struct argument *set = argument(statement, "set");

	return set ? truth_of(!set->negated) : TRUTH_UNKNOWN;
}

/* Of a later fragment it is not known what a rule takes for the transport's header (stack_reads_fragments). */
static bool is_misread(const struct hop *hop, const struct statement *statement)
{
	return hop->packet.fragment == FRAGMENT_LATER && statement->kind == STATEMENT_MATCH;
}

/* Is it usual, for the first packet of its kind, that the condition holds? */
static bool is_usual(const struct hop *hop, const struct statement *statement)
{
	static const char *const unless_often[] = {"connlimit", "connbytes", "recent"};
	const char *name;

	if (is_misread(hop, statement))
		return statement->match.op == MATCH_NEQ;
	if (statement->kind != STATEMENT_CONDITION)
		return true;
	if (statement->condition.negated || argument(statement, "hashlimit-above") ||
	    argument(statement, "connlimit-above") || statement->condition.reason == CONDITION_PAYLOAD)
		return false;
	name = statement->condition.name;
	for (size_t i = 0; i < sizeof(unless_often) / sizeof(*unless_often); i++)
		if (strcmp(name, unless_often[i]) == 0)
			return false;
	return true;
}

static enum truth condition(struct hop *hop, const struct statement *statement)
{
	const char *name = statement->condition.name;

	if (strcmp(name, "recent") == 0)
		return recent_matches(statement);

	if (strcmp(name, "owner") == 0)
		return owner_matches(hop, statement);
	if (strcmp(name, "policy") == 0)
		return policy_matches(hop, statement);
	return TRUTH_UNKNOWN;
}

/* Of a packet that has one port of several, since a host chose it by chance or the question leaves it open; else NULL.
 */
static const char *port_text(const struct scene *scene, const struct expr *expr)
{
	struct values values = {0};

	if (expr)
		values = evaluate_values(scene, expr);
	for (size_t i = 0; i < values.count; i++)
		if (values.items[i].kind == VALUE_RANGE && values.items[i].low < values.items[i].high)
			return walk_text(scene->hop->walk, "on which of the ports %llu-%llu it has",
					 (unsigned long long)values.items[i].low,
					 (unsigned long long)values.items[i].high);
	return NULL;
}

/* What the answer depends on, "on the rate (limit)"; *ret_varies: on which no capture has anything to say. */
static const char *reason_text(const struct scene *scene, const struct statement *statement, bool *ret_varies)
{
	static const char *const reasons[] = {
		[CONDITION_NONE] = "on what no packet shows",
		[CONDITION_RATE] = "on the rate",
		[CONDITION_CHANCE] = "on chance",
		[CONDITION_TIME] = "on the time",
		[CONDITION_PAYLOAD] = "on what is inside the packet",
		[CONDITION_HISTORY] = "on what came before",
		[CONDITION_LOCAL] = "on the program that sends or receives it",
		[CONDITION_PACKET] = "on a part of the packet that was not given",
		[CONDITION_UNKNOWN] = "on a match that is not known here",
		[CONDITION_LACKING] = "on what the capture does not show",
	};
	struct hop *hop = scene->hop;
	enum condition_reason reason;
	const char *port;

	*ret_varies = statement->kind == STATEMENT_SET_UPDATE;
	if (statement->kind == STATEMENT_SET_UPDATE)
		return reasons[CONDITION_RATE];
	if (is_misread(hop, statement))
		return "on what a later fragment holds where others have a header";
	if (statement->kind != STATEMENT_CONDITION) {
		port = statement->kind == STATEMENT_MATCH ? port_text(scene, statement->match.left) : NULL;
		return port ? port : "on a value that is not known";
	}
	reason = statement->condition.reason;
	*ret_varies = reason <= CONDITION_LOCAL;
	return *ret_varies && statement->condition.name
		       ? walk_text(hop->walk, "%s (%s)", reasons[reason], statement->condition.name)
		       : reasons[reason];
}

/* Limits inside a set's element count for that element alone. */
static bool update_unsure(const struct statement *statement)
{
	for (size_t i = 0; i < statement->update.statement_count; i++)
		if (statement->update.statements[i].kind == STATEMENT_CONDITION)
			return true;
	return false;
}

/* ---- what a rule does ---- */

/* A rule on its way from left to right. */
struct ruling_rule {
	struct scene scene;
	const struct rule *rule;
	const struct statement *unsure; /* the first statement that may be true or not; NULL: all are true */
	struct rule_result result;
};

static void add_effect(struct ruling_rule *it, const char *effect)
{
	struct walk *walk = it->scene.hop->walk;

	it->result.effect = it->result.effect ? walk_text(walk, "%s, %s", it->result.effect, effect) : effect;
}

/* Does the rule apply? Asked only where something comes of it. */
static bool applies(struct ruling_rule *it)
{
	struct hop *hop = it->scene.hop;
	const struct statement *unsure = it->unsure;
	bool usual, varies;
	const char *reason;

	if (!unsure)
		return true;
	it->unsure = NULL;
	usual = is_usual(hop, unsure);
	reason = reason_text(&it->scene, unsure, &varies);
	return (walk_decide(hop->walk, 2, usual ? "it does" : "it does not", varies ? WALK_VARIES : NULL,
			    "%s: whether rule %u of chain %s, \"%s\", matches: it depends %s", hop->host->name,
			    it->rule->index, it->scene.chain->chain->name, it->rule->text ? it->rule->text : "",
			    reason) == 0) == usual;
}

static bool take_verdict(struct ruling_rule *it, const struct verdict *verdict)
{
	struct walk *walk = it->scene.hop->walk;

	switch (verdict->kind) {
	case VERDICT_ACCEPT:
		it->result.end = RULE_ACCEPT;
		add_effect(it, "accept");
		return false;
	case VERDICT_DROP:
		it->result.end = RULE_DROP;
		add_effect(it, "drop");
		return false;
	case VERDICT_RETURN:
		it->result.end = RULE_RETURN;
		add_effect(it, "return");
		return false;
	case VERDICT_JUMP:
	case VERDICT_GOTO:
		it->result.end = verdict->kind == VERDICT_JUMP ? RULE_JUMP : RULE_GOTO;
		it->result.chain = verdict->chain;
		add_effect(it,
			   walk_text(walk, "%s %s", verdict->kind == VERDICT_JUMP ? "jump" : "goto", verdict->chain));
		return false;
	case VERDICT_QUEUE:
		it->result.end =
			walk_decide(walk, 2, "accepted", WALK_VARIES, "%s: what the program at queue %s decides",
				    it->scene.hop->host->name, verdict->queue ? verdict->queue : "0") == 0
				? RULE_ACCEPT
				: RULE_DROP;
		add_effect(it, "queue");
		return false;
	case VERDICT_NONE:
	case VERDICT_CONTINUE:
		break;
	}
	return true;
}

static bool take_verdict_map(struct ruling_rule *it, const struct statement *statement)
{
	struct walk *walk = it->scene.hop->walk;
	struct values key = evaluate_values(&it->scene, statement->verdict_map.key);
	struct found_element found[16];
	bool none = it->scene.hop->packet.fragment == FRAGMENT_LATER; /* is usual */
	const char *port;
	size_t count;
	unsigned taken = 0;

	for (size_t i = 0; i < key.count; i++)
		if (key.items[i].kind == VALUE_ABSENT)
			return false;
	count = evaluate_lookup(&it->scene, statement->verdict_map.map, &key, found, 16);
	if (count == 0)
		return false; /* the rule ends where nothing is found (nft_lookup_eval) */
	if (found[0].truth != TRUTH_YES) {
		port = none ? NULL : port_text(&it->scene, statement->verdict_map.key);
		taken = walk_decide(walk, (unsigned)count + 1, none ? "none" : "the first", NULL,
				    "%s: which element rule %u of chain %s finds%s%s", it->scene.hop->host->name,
				    it->rule->index, it->scene.chain->chain->name, port ? ": it depends " : "",
				    port ? port : "");
	}
	if (none && found[0].truth != TRUTH_YES)
		taken = (taken + (unsigned)count) % ((unsigned)count + 1);
	if (taken >= count || !found[taken].element->data)
		return false;
	return take_verdict(it, &found[taken].element->data->verdict);
}

/* "icmp 3/3", as iptables and nftables send it for icmpx: no route, port, host, admin (nf_reject). */
static void icmp_answer(const struct hop *hop, const struct statement *statement, unsigned *type, unsigned *code)
{
	static const uint8_t codes4[] = {0, 3, 1, 13}, codes6[] = {0, 4, 3, 1};
	bool v4 = hop->packet.family == AF_INET;
	uint64_t given = number_or(statement->reject.code, v4 ? 3 : 4);

	*type = v4 ? 3 : 1;
	if (statement->reject.with == REJECT_ICMPX)
		given = given < 4 ? (v4 ? codes4 : codes6)[given] : given;
	*code = (unsigned)given;
}

/* No answer is sent to errors, to later fragments, or to many. */
static bool is_answered(const struct hop *hop, const struct statement *statement)
{
	const struct packet *packet = &hop->packet;

	if (packet->fragment == FRAGMENT_LATER || packet_is_icmp_error(packet) || ip_is_multicast(&packet->dst))
		return false;
	if (statement->reject.with == REJECT_TCP_RESET)
		return packet->protocol == PROTOCOL_TCP && !(packet->tcp_flags & TCP_RST);
	return true;
}

static void take_reject(struct ruling_rule *it, const struct statement *statement)
{
	struct hop *hop = it->scene.hop;
	bool reset = statement->reject.with == REJECT_TCP_RESET;
	unsigned type, code;

	icmp_answer(hop, statement, &type, &code);
	it->result.end = RULE_REJECT;
	add_effect(it, reset ? "reject with tcp reset" : walk_text(hop->walk, "reject with icmp %u/%u", type, code));
	if (is_answered(hop, statement) && reject_reaches(hop, reset, type, code))
		it->result.answered = reset ? "rst" : walk_text(hop->walk, "icmp %u/%u", type, code);
	else
		add_effect(it, "unheard");
}

static bool take_nat(struct ruling_rule *it, const struct nat *nat)
{
	struct hop *hop = it->scene.hop;
	const char *effect;

	if (!nat_setup(&it->scene, nat, &effect)) {
		if (hop->walk->rehearsal)
			return true;
		walk_lose(hop, LOST_NO_NAT_ADDRESS, "%s has no address to translate to",
			  (hop->out ? hop->out : hop->iif)->name);
	}
	if (walk_ended(hop->walk)) {
		it->result.end = RULE_ENDED;
		return false;
	}
	if (!effect)
		return true; /* its map has no such element */
	it->result.end = RULE_ACCEPT;
	add_effect(it, effect);
	return false;
}

/* Copies and shortcuts do not change this packet's way; what takes it elsewhere ends what can be followed. */
static bool take_diversion(struct ruling_rule *it, const struct statement *statement)
{
	static const char *const harmless[] = {"TEE", "dup", "flow"};
	struct hop *hop = it->scene.hop;

	for (size_t i = 0; i < sizeof(harmless) / sizeof(*harmless); i++)
		if (strcmp(statement->action.name, harmless[i]) == 0)
			return true;
	walk_unknown(hop->walk, hop->host, NULL, "%s: where rule %u of chain %s takes the packet (%s)", hop->host->name,
		     it->rule->index, it->scene.chain->chain->name, statement->action.name);
	it->result.end = RULE_ENDED;
	return false;
}

static bool take_unknown(struct ruling_rule *it, const struct statement *statement)
{
	struct hop *hop = it->scene.hop;
	unsigned taken =
		walk_decide(hop->walk, 3, "nothing", NULL, "%s: what rule %u of chain %s does (%s is not known here)",
			    hop->host->name, it->rule->index, it->scene.chain->chain->name, statement->text);

	if (taken == 0)
		return true;
	it->result.end = taken == 1 ? RULE_DROP : RULE_ACCEPT;
	add_effect(it, statement->text);
	return false;
}

static bool take_assignment(struct ruling_rule *it, const struct statement *statement)
{
	struct hop *hop = it->scene.hop;
	const struct expr *field = statement->assign.field;

	if (!assign_value(&it->scene, field, statement->assign.value))
		return false;
	if (field->kind == EXPR_FIELD && field->field.field == FIELD_META_MARK && hop->mark.known)
		add_effect(it, walk_text(hop->walk, "mark set 0x%x", (unsigned)hop->mark.value));
	else if (field->kind == EXPR_FIELD && field->field.field != FIELD_OTHER)
		add_effect(it, walk_text(hop->walk, "%s set", field_info(field->field.field)->name));
	return true;
}

/* Something that has a consequence. False: the rule ends here. */
static bool take_statement(struct ruling_rule *it, const struct statement *statement)
{
	struct hop *hop = it->scene.hop;

	switch (statement->kind) {
	case STATEMENT_VERDICT:
		return take_verdict(it, &statement->verdict);
	case STATEMENT_VERDICT_MAP:
		return take_verdict_map(it, statement);
	case STATEMENT_REJECT:
		take_reject(it, statement);
		return false;
	case STATEMENT_NAT:
		return take_nat(it, &statement->nat);
	case STATEMENT_ASSIGN:
		return take_assignment(it, statement);
	case STATEMENT_NOTRACK:
		/* also of what tracking found invalid, as where it comes back over the loopback (nft_notrack_eval) */
		if (hop->tracked == TRACKED_NOT || hop->tracked == TRACKED_INVALID) {
			hop->tracked = TRACKED_UNTRACKED;
			add_effect(it, "notrack");
		}
		return true;
	case STATEMENT_DIVERT:
		return take_diversion(it, statement);
	case STATEMENT_UNKNOWN:
		return take_unknown(it, statement);
	case STATEMENT_NONE:
	case STATEMENT_MATCH:
	case STATEMENT_CONDITION:
	case STATEMENT_SET_UPDATE:
	case STATEMENT_EFFECT:
	case STATEMENT_KIND_COUNT:
		break;
	}
	return true;
}

/* The truth of a statement that only decides whether the rule goes on. */
static enum truth statement_truth(struct ruling_rule *it, const struct statement *statement)
{
	switch (statement->kind) {
	case STATEMENT_MATCH:
		return evaluate_match(&it->scene, statement);
	case STATEMENT_CONDITION:
		return condition(it->scene.hop, statement);
	case STATEMENT_SET_UPDATE:
		return update_unsure(statement) ? TRUTH_UNKNOWN : TRUTH_YES;
	case STATEMENT_NONE:
	case STATEMENT_VERDICT:
	case STATEMENT_VERDICT_MAP:
	case STATEMENT_REJECT:
	case STATEMENT_NAT:
	case STATEMENT_ASSIGN:
	case STATEMENT_NOTRACK:
	case STATEMENT_DIVERT:
	case STATEMENT_EFFECT:
	case STATEMENT_UNKNOWN:
	case STATEMENT_KIND_COUNT:
		break;
	}
	return TRUTH_YES;
}

static bool has_consequence(const struct statement *statement)
{
	return statement->kind != STATEMENT_MATCH && statement->kind != STATEMENT_CONDITION &&
	       statement->kind != STATEMENT_SET_UPDATE && statement->kind != STATEMENT_EFFECT &&
	       !(statement->kind == STATEMENT_VERDICT && statement->verdict.kind == VERDICT_CONTINUE);
}

static struct rule_result run_rule(struct hop *hop, const struct stack_chain *chain, const struct rule *rule)
{
	struct ruling_rule it = {.scene = {hop, chain}, .rule = rule};

	for (size_t i = 0; i < rule->statement_count; i++) {
		const struct statement *statement = &rule->statements[i];
		enum truth truth;

		if (has_consequence(statement)) {
			if (!applies(&it) || !take_statement(&it, statement))
				break;
			continue;
		}
		truth = statement_truth(&it, statement);
		if (truth == TRUTH_NO)
			break;
		if (truth == TRUTH_UNKNOWN && !it.unsure)
			it.unsure = statement;
	}
	if (walk_ended(hop->walk))
		it.result.end = RULE_ENDED;
	return it.result;
}

/* ---- one base chain ---- */

struct frame {
	const struct stack_chain *chain;
	size_t next;
};

struct run {
	struct hop *hop;
	const struct stack_chain *base;
	struct frame frames[JUMPS_MAX];
	size_t depth;
};

static void record_rule(const struct run *run, const struct stack_chain *chain, const struct rule *rule,
			const char *effect)
{
	struct step *step;

	if (run->hop->walk->rehearsal)
		return;
	step = walk_step(run->hop, rule ? STEP_RULE : STEP_POLICY);
	step->hook = run->hop->hook;
	step->chain = chain;
	step->rule = rule;
	step->origin = rule ? &rule->origin : &chain->chain->origin;
	step->text = rule ? rule->text : walk_text(run->hop->walk, "policy %s", effect);
	step->effect = effect;
}

/* Ends the walk, unless it is only a rehearsal of what is known to have passed. */
static enum ruling end_walk(const struct run *run, enum fate fate, const struct stack_chain *chain,
			    const struct rule *rule, const char *answered)
{
	struct answer *answer = run->hop->walk->answer;

	if (run->hop->walk->rehearsal)
		return RULING_CONTINUE;
	if (run->hop->hook == HOOK_BROUTING) { /* there, to drop means to route */
		run->hop->brouted = true;
		return RULING_STOP;
	}
	answer->fate = fate;
	answer->where = run->hop->host;
	answer->packet = run->hop->packet;
	answer->hook = run->hop->hook;
	answer->chain = chain;
	answer->rule = rule;
	answer->answered = fate == FATE_REJECTED ? answered : NULL;
	return RULING_STOP;
}

static enum ruling apply_policy(const struct run *run)
{
	const struct chain *chain = run->base->chain;
	struct hop *hop = run->hop;
	enum verdict_kind policy = chain->policy;

	if (policy == VERDICT_NONE && chain->type != CHAIN_NAT)
		policy = walk_decide(hop->walk, 2, "accept", NULL, "%s: the policy of chain %s in table %s",
				     hop->host->name, chain->name, run->base->table->table->name) == 0
				 ? VERDICT_ACCEPT
				 : VERDICT_DROP;
	if (policy != VERDICT_DROP)
		return RULING_CONTINUE;
	record_rule(run, run->base, NULL, "drop");
	return end_walk(run, FATE_DROPPED, run->base, NULL, NULL);
}

/* The capture ends inside the chain: what follows may do anything. */
static enum rule_end rest_of_chain(const struct run *run, const struct stack_chain *chain)
{
	unsigned taken;

	if (chain->chain->whole != TRUTH_NO)
		return RULE_RETURN;
	taken = walk_decide(run->hop->walk, 3, "nothing", NULL,
			    "%s: what the rules of chain %s do that were not captured", run->hop->host->name,
			    chain->chain->name);
	return taken == 0 ? RULE_RETURN : taken == 1 ? RULE_DROP : RULE_ACCEPT;
}

/* Into another chain; its end comes back behind the jump. A goto leaves no place to come back to. */
static bool enter(struct run *run, const char *name, bool keep)
{
	const struct stack_chain *chain = stack_chain(run->frames[run->depth - 1].chain->table, name);

	if (!chain || (keep && run->depth >= JUMPS_MAX)) {
		walk_unknown(run->hop->walk, run->hop->host, NULL, "%s: the rules of chain %s", run->hop->host->name,
			     name);
		return false;
	}
	run->depth += keep;
	run->frames[run->depth - 1] = (struct frame){.chain = chain};
	return true;
}

/* What the rule came to; true: the chain is through, with *ret. */
static bool follow(struct run *run, const struct stack_chain *chain, const struct rule *rule,
		   const struct rule_result *result, enum ruling *ret)
{
	*ret = RULING_STOP;
	switch (result->end) {
	case RULE_NEXT:
		return false;
	case RULE_ACCEPT:
		*ret = RULING_CONTINUE;
		return true;
	case RULE_DROP:
		*ret = end_walk(run, FATE_DROPPED, chain, rule, NULL);
		return true;
	case RULE_REJECT:
		*ret = end_walk(run, FATE_REJECTED, chain, rule, result->answered);
		return true;
	case RULE_RETURN:
		if (--run->depth > 0)
			return false;
		*ret = apply_policy(run);
		return true;
	case RULE_JUMP:
	case RULE_GOTO:
		return !enter(run, result->chain, result->end == RULE_JUMP);
	case RULE_ENDED:
		return true;
	}
	return true;
}

enum ruling chain_run(struct hop *hop, const struct stack_chain *base)
{
	struct run run = {.hop = hop, .base = base, .depth = 1, .frames = {{.chain = base}}};
	enum ruling ruling;

	for (;;) {
		struct frame *frame = &run.frames[run.depth - 1];
		const struct stack_chain *chain = frame->chain;
		const struct rule *rule = NULL;
		struct rule_result result = {};

		if (frame->next < chain->chain->rule_count) {
			rule = &chain->chain->rules[frame->next++];
			result = run_rule(hop, chain, rule);
		} else {
			result.end = rest_of_chain(&run, chain);
		}
		if (rule && result.effect)
			record_rule(&run, chain, rule, result.effect);
		if (follow(&run, chain, rule, &result, &ruling))
			return ruling;
	}
}
