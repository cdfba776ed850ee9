#include "cli/repair.h"

#include "apply/folders.h"
#include "apply/isolate.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "cli/batch.h"
#include "model/isolation.h"
#include "verify/ends.h"
#include "verify/lasting.h"

#include <string.h>

static bool is_fix(const struct invocation *inv)
{
	return strcmp(inv->command->name, "fix") == 0;
}

int repair_status(const struct invocation *inv, const struct repair *repair)
{
	if (repair->cause_count && repair->mended && is_fix(inv))
		return EXIT_DONE;
	if (repair->missing_count || (repair->cause_count && repair->causes[0].answer->fate == FATE_UNKNOWN))
		return EXIT_UNKNOWN;
	return repair->cause_count ? EXIT_FAILED : EXIT_DONE;
}

/* An address is whoever it leads to, also by translation; a host is that host. */
static const char *meant_host(const struct invocation *inv, const struct asked *asked)
{
	struct ip ip;

	return asked->target && !ip_parse(invocation_string(inv, "to"), &ip) ? asked->target->name : NULL;
}

static struct packet sent_packet(const struct question *question, const struct repair *repair)
{
	struct packet packet = question->packet;

	if (!packet.src.family)
		packet.src = repair->answer->source;
	return packet;
}

struct batch_context {
	const struct bundle *bundle;
	repair_json *json;
};

static json_t *answer_of(const void *data, const struct question *question, struct arena *arena)
{
	const struct batch_context *context = data;
	char to[IP_TEXT_SIZE];
	struct repair_view view = {.from = question->at->name, .to = ip_format(&question->packet.dst, to)};
	struct packet packet;

	view.repair = repair_find(arena, &(struct repair_input){.bundle = context->bundle,
								.question = question,
								.both = question->state == STATE_NEW});
	packet = sent_packet(question, view.repair);
	view.packet = &packet;
	return context->json(&view);
}

void repair_asked_clear(struct repair_asked *asked)
{
	guard_clear(&asked->guard);
	stack_free(asked->stack);
	bundle_free(asked->bundle);
	*asked = (struct repair_asked){.arena = asked->arena};
}

static int read_question(struct invocation *inv, const struct hosts *hosts, const struct stack *stack,
			 struct asked *asked, struct repair_input *ret)
{
	cleanup_error struct error *err = NULL;
	int status = question_read(inv, hosts, stack, asked);

	if (status != EXIT_DONE)
		return status;
	if (question_publish(asked, &ret->inner, &err) < 0)
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	if (ret->inner.family && hosts->lab)
		invocation_note(inv, "in a lab file, `publish:` of a guest does this for good");
	ret->question = &asked->question;
	ret->to = ret->inner.family ? asked->target->name : meant_host(inv, asked);
	ret->both = asked->question.state == STATE_NEW && !ends_is_stranger(&asked->question);
	return EXIT_DONE;
}

/* ---- isolation ---- */

/* Is it a lab's rule that drops it, and first of all? */
static bool is_dropped_by_lab(const struct repair *repair)
{
	const struct answer *answer = repair->cause_count ? repair->causes[0].answer : NULL;

	return answer && (answer->fate == FATE_DROPPED || answer->fate == FATE_REJECTED) && answer->chain &&
	       strcmp(repair->causes[0].host, answer->where->name) == 0 &&
	       lasting_is_labs_table(answer->chain->table->table->backend, answer->chain->table->table->name);
}

/* The guest of that name, or the one around it that takes it along; NULL: it is open, towards that end. */
static const struct guest *isolated_guest(const struct isolation *isolation, const char *name, const char *other)
{
	const struct guest *guest = lab_find_guest(isolation->lab, name);

	return guest ? isolation_keeps(isolation, guest, lab_find_guest(isolation->lab, other) != NULL) : NULL;
}

/* None: it is something else that stops it, or what holds cannot be read, which others tell. */
static struct repair_isolation find_isolated(struct invocation *inv, const struct hosts *hosts,
					     const struct repair_view *view)
{
	cleanup_isolation struct isolation *isolation = NULL;
	cleanup_error struct error *err = NULL;
	const struct guest *guest;
	struct folders folders;

	if (!hosts->lab || invocation_string(inv, "src") || !is_dropped_by_lab(view->repair) ||
	    folders_of(hosts->arena, hosts->lab->name, &folders, &err) < 0 ||
	    isolate_load(&folders, hosts->lab, &isolation, &err) < 0)
		return (struct repair_isolation){};
	guest = isolated_guest(isolation, view->from, view->to);
	if (!guest)
		guest = isolated_guest(isolation, view->to, view->from);
	if (!guest)
		return (struct repair_isolation){};
	return (struct repair_isolation){guest->path, world_name(isolation_world(isolation, guest))};
}

int repair_ask(struct invocation *inv, struct hosts *hosts, struct repair_asked *ret)
{
	const char *from = invocation_string(inv, "from"), *to = invocation_string(inv, "to");
	struct repair_input input = {};
	struct asked asked;
	int status;

	hosts->all = is_fix(inv); /* what a lab promises is about all of its guests */
	status = factsource_ends(inv, from, to, hosts, &ret->bundle);
	ret->guard.arena = ret->arena;
	if (status != EXIT_DONE)
		return status;
	ret->stack = stack_new(ret->bundle);
	input.bundle = ret->bundle;
	input.made = hosts_made_anew(hosts, ret->bundle);
	status = read_question(inv, hosts, ret->stack, &asked, &input);
	if (status == EXIT_DONE && is_fix(inv))
		status = guard_open(&ret->guard, inv, hosts, ret->bundle);
	if (status != EXIT_DONE)
		return status;
	if (ret->guard.lab)
		input.guard = &ret->guard.ask;
	guard_ask(&ret->guard, &asked.question, asked.target,
		  input.inner.family ? &input.inner : &asked.question.packet.dst);
	ret->view = (struct repair_view){.from = from, .to = to};
	ret->view.repair = repair_find(ret->arena, &input);
	ret->packet = sent_packet(&asked.question, ret->view.repair);
	ret->view.packet = &ret->packet;
	ret->view.policy = ret->guard.lab ? ret->guard.lab->name : NULL;
	ret->view.doubt = ret->guard.doubt;
	ret->view.isolated = find_isolated(inv, hosts, &ret->view);
	return EXIT_DONE;
}

static int answer_one(struct invocation *inv, struct hosts *hosts, repair_text *text, repair_json *json)
{
	cleanup_repair_asked struct repair_asked asked = {.arena = hosts->arena};
	cleanup_strbuf struct strbuf out = {0};
	int status;

	hosts->thorough = is_fix(inv); /* what keeps a host's rules and routes is no fact of its network */
	status = repair_ask(inv, hosts, &asked);

	if (status != EXIT_DONE)
		return status;
	if (inv->json) {
		invocation_answer(inv, json(&asked.view));
	} else {
		text(&asked.view, inv->style, &out);
		invocation_print_text(inv, out.text);
	}
	return repair_status(inv, asked.view.repair);
}

static int answer_batch(struct invocation *inv, struct hosts *hosts, repair_json *json)
{
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_stack struct stack *stack = NULL;
	int status = factsource_ends(inv, NULL, NULL, hosts, &bundle);

	if (status != EXIT_DONE)
		return status;
	stack = stack_new(bundle);
	return batch_run(inv, stack, answer_of, &(struct batch_context){bundle, json});
}

int repair_command(struct invocation *inv, repair_text *text, repair_json *json)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_hosts struct hosts hosts = {.arena = arena};
	int status = batch_check(inv);

	if (status != EXIT_DONE)
		return status;
	return invocation_flag(inv, "batch") ? answer_batch(inv, &hosts, json) : answer_one(inv, &hosts, text, json);
}
