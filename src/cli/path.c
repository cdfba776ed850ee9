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

#include <sys/socket.h>

struct asker {
	const struct stack *stack;
	unsigned flags;
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

static int answer_one(struct invocation *inv, const struct stack *stack, unsigned flags)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	char text[IP_TEXT_SIZE];
	struct asked asked;
	struct ip outer;

	if (question_read(inv, stack, &asked, &err) < 0)
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	if (ends_needs_publishing(&asked.question, &outer))
		invocation_warn(inv,
				"%s is a private address: nobody on the internet can send to it; this is the way of a "
				"packet that came in all the same",
				ip_format(&asked.question.packet.dst, text));
	return show(inv, stack, &asked, arena, flags);
}

static json_t *answer_of(const void *context, const struct question *question, struct arena *arena)
{
	const struct asker *asker = context;

	return answer_json(walk_ask(asker->stack, question, asker->flags, arena));
}

static int run(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_hosts struct hosts hosts = {.arena = arena};
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_stack struct stack *stack = NULL;
	unsigned flags = invocation_flag(inv, "assume") ? WALK_ASSUME : 0;
	int status = batch_check(inv);

	if (status == EXIT_DONE)
		status = factsource_ends(inv, invocation_string(inv, "from"), invocation_string(inv, "to"), &hosts,
					 &bundle);
	if (status != EXIT_DONE)
		return status;
	stack = stack_new(bundle);
	if (invocation_flag(inv, "batch"))
		return batch_run(inv, stack, answer_of, &(struct asker){stack, flags});
	return answer_one(inv, stack, flags);
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
		"If they end alike it does not matter; if not, the answer is unknown, and what would tell is named.\n\n" QUESTION_ENDS,
	.options = (const struct command_option[]){QUESTION_OPTIONS,
						   BATCH_OPTION,
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
			{}},
	.statuses = (const struct command_status[]){{EXIT_DONE, "delivered, or all questions answered"},
						    {EXIT_FAILED, "not delivered"},
						    {EXIT_USAGE, "wrong usage, or a line that is no question"},
						    {EXIT_UNKNOWN, "unknown: a fact is missing"},
						    {}},
	.json = "path",
	.lab = true,
	.run = run,
};
