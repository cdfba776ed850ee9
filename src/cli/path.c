#include "render/path.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/batch.h"
#include "cli/command.h"
#include "cli/factsource.h"
#include "cli/question.h"
#include "verify/batch.h"
#include "verify/ends.h"
#include "verify/engines.h"

#include <string.h>
#include <sys/socket.h>

enum engine {
	ENGINE_PLAIN,
	ENGINE_SYMBOLIC,
	ENGINE_BOTH,
};

static const char *const engines[] = {"plain", "symbolic", "both", NULL};

struct asker {
	const struct stack *stack;
	unsigned flags;
	enum engine engine;
	struct spread *spread; /* NULL: only the interpreter is asked */
	bool *differ;	       /* did the two at least once? */
};

/* The packet as it was sent: its source is chosen on the way. */
static struct packet sent_packet(const struct asked *asked, const struct answer *answer)
{
	struct packet packet = asked->question.packet;

	if (!packet.src.family)
		packet.src = answer->source;
	return packet;
}

static int show(struct invocation *inv, const struct stack *stack, const struct asked *asked, struct arena *arena,
		unsigned flags)
{
	const struct answer *there = walk_ask(stack, &asked->question, flags, arena);
	struct packet packet = sent_packet(asked, there);
	struct path path = {.packet = &packet, .there = there, .meant = asked->target};
	cleanup_strbuf struct strbuf out = {};

	if (path_fate(there, asked->target) == FATE_DELIVERED && asked->question.state == STATE_NEW) {
		path.back = walk_reply(stack, &asked->question, flags, arena);
		path.asker = asked->question.iif ? NULL : asked->question.at;
	}
	if (inv->json) {
		invocation_answer(inv, path_json(&path));
	} else {
		path_text(&path, inv->style, &out);
		invocation_print_text(inv, out.text);
	}
	return question_status(path_fate(there, asked->target));
}

static int answer_one(struct invocation *inv, const struct hosts *hosts, const struct stack *stack, unsigned flags)
{
	cleanup_arena struct arena *arena = arena_new();
	char text[IP_TEXT_SIZE];
	struct asked asked;
	struct ip outer;
	int status = question_read(inv, hosts, stack, &asked);

	if (status != EXIT_DONE)
		return status;
	if (ends_needs_publishing(&asked.question, &outer))
		invocation_warn(inv,
				"%s is a private address: nobody on the internet can send to it; this is the way of a "
				"packet that came in all the same",
				ip_format(&asked.question.packet.dst, text));
	return show(inv, stack, &asked, arena, flags);
}

/* Both engines' answers where they differ; else the interpreter's. */
static json_t *answer_of_both(const struct asker *asker, const struct question *question, struct answer *plain,
			      struct arena *arena)
{
	static const char *const words[] = {"agree", "differ", "open"};
	struct answer *symbolic;
	enum agreement agreement = engines_compare(asker->spread, question, plain, arena, &symbolic);
	json_t *json = answer_json(plain);

	json_object_set_new(json, "engines", json_string(words[agreement]));
	if (agreement == ENGINES_DIFFER) {
		json_object_set_new(json, "symbolic", answer_json(symbolic));
		*asker->differ = true;
	}
	return json;
}

static json_t *answer_of(const void *context, const struct question *question, struct arena *arena)
{
	const struct asker *asker = context;
	struct answer *plain = walk_ask(asker->stack, question, asker->flags, arena);
	struct question asking = *question;

	if (asker->engine == ENGINE_PLAIN)
		return answer_json(plain);
	if (asker->engine == ENGINE_BOTH)
		return answer_of_both(asker, question, plain, arena);
	if (!asking.packet.src.family) /* which one a host takes is not for the sets to say */
		asking.packet.src = plain->source;
	return answer_json(engines_symbolic(asker->spread, &asking, arena));
}

/* How much memory the sets may take. */
enum { SETS_MEMORY = 1 << 30 };

static int answer_many(struct invocation *inv, const struct stack *stack, unsigned flags)
{
	cleanup_space struct space *space = NULL;
	cleanup_spread struct spread *spread = NULL;
	cleanup_error struct error *err = NULL;
	bool differ = false;
	struct asker asker = {.stack = stack, .flags = flags, .differ = &differ};
	const char *engine = invocation_string(inv, "engine");
	int status;

	for (unsigned i = 0; engine && engines[i]; i++)
		if (strcmp(engine, engines[i]) == 0)
			asker.engine = (enum engine)i;
	if (asker.engine != ENGINE_PLAIN) {
		space = pset_space_new(SETS_MEMORY, &err);
		if (!space)
			return invocation_fail(inv, &err);
		asker.spread = spread = spread_new(stack, space);
	}
	status = batch_run(inv, stack, answer_of, &asker);
	return status == EXIT_DONE && differ ? EXIT_FAILED : status;
}

static int run(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_hosts struct hosts hosts = {.arena = arena};
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_stack struct stack *stack = NULL;
	unsigned flags = invocation_flag(inv, "assume") ? WALK_ASSUME : 0;
	int status = batch_check(inv);

	if (status == EXIT_DONE && invocation_given(inv, "engine") && !invocation_flag(inv, "batch"))
		return invocation_usage(inv,
					"--engine goes with --batch: of one question the interpreter tells the way");
	if (status == EXIT_DONE)
		status = factsource_ends(inv, invocation_string(inv, "from"), invocation_string(inv, "to"), &hosts,
					 &bundle);
	if (status != EXIT_DONE)
		return status;
	stack = stack_new(bundle);
	if (invocation_flag(inv, "batch"))
		return answer_many(inv, stack, flags);
	return answer_one(inv, &hosts, stack, flags);
}

const struct command command_path = {
	.name = "path",
	.group = GROUP_PROVE,
	.summary = "one packet's way, hop by hop, with the rule that decided",
	.description =
		"Pushes one packet through the hosts as the kernel would: bridges, routes, rules of iptables and "
		"nftables, "
		"translation, connection tracking; then what answers it, on its way back. Each step says which rule, "
		"route or "
		"sysctl it rests on, and where that stands.\n"
		"\n"
		"Where a fact is missing, or a rule depends on what no packet shows, as a rate or a clock, both ways "
		"are tried. "
		"If they end alike it does not matter; if not, the answer is unknown, and what would tell is named.\n"
		"\n"
		"There are two engines that know nothing of each other. With --engine both each answer of a batch "
		"says whether they agree: \"engines\" is agree, differ (then \"symbolic\" has the other answer) or "
		"open "
		"(one of them does not know). docs/questions.md has the fields of questions and "
		"answers.\n\n" QUESTION_ENDS,
	.options = (const struct command_option[]){QUESTION_OPTIONS,
						   BATCH_OPTION,
						   {.name = "engine",
						    .kind = OPTION_CHOICE,
						    .argument = "ENGINE",
						    .help = "with --batch: who answers. plain: the interpreter; "
							    "symbolic: the one that proves, with sets of packets; "
							    "both: they are compared",
						    .choices = engines,
						    .no_env = true},
						   {.name = "assume",
						    .help = "where a fact is missing, take what is usual and say so"},
						   HOSTS_OPTION,
						   FACTSOURCE_OPTIONS,
						   {}},
	.examples =
		(const struct command_example[]){
			{"nestvisor path --from L0 --to hv1/win11 --port 3389", "may L0 use remote desktop on win11?"},
			{"nestvisor path --from hv1/win11 --to world --port 53/udp",
			 "may its questions for names leave?"},
			{"nestvisor path --facts bundle/ --from vm1 --to 192.168.124.91",
			 "a ping, in facts that were captured"},
			{"nestvisor path --batch --facts bundle/ < questions.jsonl", "many questions at once"},
			{"nestvisor path --batch --engine both --facts bundle/ < questions.jsonl",
			 "the same, and both engines are asked"},
			{}},
	.statuses = (const struct command_status[]){{EXIT_DONE, "delivered, or all questions answered"},
						    {EXIT_FAILED, "not delivered, or the engines differ"},
						    {EXIT_USAGE, "wrong usage, or a line that is no question"},
						    {EXIT_UNKNOWN,
						     "unknown: a fact is missing, or a host could not be asked"},
						    {}},
	.json = "path",
	.lab = true,
	.run = run,
};
