#include "cli/repair.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <string.h>

/* `why` fails where the packet does not arrive; `fix` where it cannot be mended either. */
static int status_of(const struct invocation *inv, const struct repair *repair)
{
	const struct cause *first = repair->causes;

	if (!repair->cause_count || (repair->mended && strcmp(inv->command->name, "fix") == 0))
		return EXIT_DONE;
	return first->answer->fate == FATE_UNKNOWN ? EXIT_UNKNOWN : EXIT_FAILED;
}

int repair_command(struct invocation *inv,
		   void (*text)(const struct repair_view *view, const struct style *style, struct strbuf *out),
		   json_t *(*json)(const struct repair_view *view))
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_stack struct stack *stack = NULL;
	cleanup_error struct error *err = NULL;
	cleanup_strbuf struct strbuf out = {0};
	cleanup_free char *host = NULL;
	struct repair_view view = {.from = invocation_string(inv, "from"), .to = invocation_string(inv, "to")};
	struct packet packet;
	struct asked asked;
	int status = question_check(inv);

	if (status == EXIT_DONE)
		status = factsource_bundle(inv, NULL, &bundle, &host);
	if (status != EXIT_DONE)
		return status;
	stack = stack_new(bundle);
	if (question_read(inv, stack, &asked, &err) < 0)
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	view.repair = repair_find(arena, bundle, &asked.question, asked.target ? asked.target->name : NULL,
				  asked.question.state == STATE_NEW);
	packet = asked.question.packet;
	if (!packet.src.family)
		packet.src = view.repair->answer->source;
	view.packet = &packet;
	if (inv->json) {
		invocation_answer(inv, json(&view));
	} else {
		text(&view, inv->style, &out);
		invocation_print_text(inv, out.text);
	}
	return status_of(inv, view.repair);
}
