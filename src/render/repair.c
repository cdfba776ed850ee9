#include "render/repair.h"

#include "base/cleanup.h"
#include "verify/batch.h"

#include <stdlib.h>
#include <string.h>

enum { WIDTH = 100 };

static const char *source_of(const struct origin *origin, char ret[ORIGIN_TEXT_SIZE])
{
	return origin && origin->source ? origin_format(origin, ret) : NULL;
}

static void put_packet(const struct repair_view *view, struct strbuf *out)
{
	strbuf_add(out, " (");
	packet_format(view->packet, out);
	strbuf_add(out, ")");
}

/* The same as it is with the changes: a host may send it from another address then. */
static void put_packet_after(const struct repair_view *view, struct strbuf *out)
{
	struct packet packet = *view->packet;
	struct repair_view after = *view;

	if (view->repair->after->source.family)
		packet.src = view->repair->after->source;
	after.packet = &packet;
	put_packet(&after, out);
}

/* "wsl2" of "wsl2: the policy rules are the usual ones"; 0: it is about no host. */
static size_t host_length(const char *text)
{
	size_t length = strcspn(text, ": ");

	return length && text[length] == ':' && text[length + 1] == ' ' ? length : 0;
}

static void put_fact(const struct assumption *fact, size_t host, const struct style *style, struct strbuf *out)
{
	strbuf_add(out, host ? "  - " : "- ");
	text_safe(out, fact->text + (host ? host + 2 : 0), false);
	if (fact->command) {
		strbuf_add(out, " (");
		text_paint(out, style, COLOUR_DIM, fact->command);
		strbuf_add(out, ")");
	}
	strbuf_add_char(out, '\n');
}

static bool same_host(const struct assumption *a, const struct assumption *b)
{
	size_t length = host_length(a->text);

	return length && length == host_length(b->text) && memcmp(a->text, b->text, length) == 0;
}

/* Under the heading, those that vary from packet to packet, or those that do not; host by host. */
static void put_list(const char *heading, bool varies, const struct assumption *list, size_t count,
		     const struct style *style, struct strbuf *out)
{
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		size_t host = host_length(list[i].text);
		bool done = list[i].varies != varies;

		for (size_t j = 0; j < i && !done; j++)
			done = list[j].varies == varies && same_host(&list[i], &list[j]);
		if (done)
			continue;
		if (!any)
			strbuf_printf(out, "\n%s\n", heading);
		any = true;
		if (host)
			strbuf_printf(out, "on %.*s\n", (int)host, list[i].text);
		for (size_t j = i; j < count; j++)
			if (j == i || (list[j].varies == varies && same_host(&list[i], &list[j])))
				put_fact(&list[j], host, style, out);
	}
}

static void put_assumptions(const struct repair *repair, const struct style *style, struct strbuf *out)
{
	put_list("Taken for granted, because it was not captured:", false, repair->assumptions,
		 repair->assumption_count, style, out);
	put_list("Taken for what is usual, though it is not the same for every packet:", true, repair->assumptions,
		 repair->assumption_count, style, out);
}

/* What would have to be captured for the answer to be known, and what no capture tells. */
static void put_missing(const struct repair *repair, const struct style *style, struct strbuf *out)
{
	put_list("This is not certain. What would tell:", false, repair->missing, repair->missing_count, style, out);
	put_list("It is not the same for every packet:", true, repair->missing, repair->missing_count, style, out);
}

/* "hv1/a reaches the world": where it ends outside, more is not seen. */
static void put_arrival(const struct repair_view *view, struct strbuf *out)
{
	const struct repair *repair = view->repair;

	if (repair->missing_count)
		strbuf_printf(out, "Whether %s reaches %s is not known", view->from, view->to);
	else
		strbuf_printf(out, "%s reaches %s", view->from, view->to);
	put_packet(view, out);
	if (repair->missing_count)
		strbuf_add(out, ": with what is usual, it does");
	else if (repair->answer->out)
		strbuf_printf(out, ", as far as was captured: it leaves by %s of %s", repair->answer->out->name,
			      repair->answer->where->name);
	else if (repair->reply)
		strbuf_add(out, ", and the answer comes back");
}

/* "sshd" out of ss's users:(("sshd",pid=1,fd=3)); what else a listing may say stays as it is. */
static const char *program_of(const struct listener *listener, int *ret_length)
{
	const char *process = listener->process ? listener->process : "", *quote = strchr(process, '"');

	*ret_length = (int)(quote ? strcspn(quote + 1, "\"") : strlen(process));
	return quote ? quote + 1 : process;
}

/* Whether a program takes it there. */
static void put_hearing(const struct repair *repair, struct strbuf *out)
{
	const struct hearing *hearing = &repair->hearing;
	cleanup_strbuf struct strbuf line = {};
	char source[ORIGIN_TEXT_SIZE];
	const char *program;
	int length;

	if (!hearing->host)
		return;
	if (hearing->listener) {
		program = program_of(hearing->listener, &length);
		strbuf_printf(&line, "At its end %s%.*s listens on %s of %s", length ? "" : "somebody", length, program,
			      hearing->service, hearing->host->name);
		if (source_of(&hearing->listener->origin, source))
			strbuf_printf(&line, " [%s]", source);
		strbuf_add(&line, ".");
	} else {
		strbuf_printf(&line, "At its end nobody listens on %s of %s: its sender %s.", hearing->service,
			      hearing->host->name,
			      strstr(hearing->service, "tcp") ? "is refused" : "is told that the port is unreachable");
	}
	strbuf_add_char(out, '\n');
	text_safe(out, line.text, false);
	strbuf_add_char(out, '\n');
}

static json_t *hearing_json(const struct repair *repair)
{
	const struct hearing *hearing = &repair->hearing;
	const struct listener *listener = hearing->listener;
	char source[ORIGIN_TEXT_SIZE];

	if (!hearing->host)
		return json_null();
	return json_pack("{s:o, s:s, s:b, s:o, s:o}", "host", text_json(hearing->host->name), "service",
			 hearing->service, "listens", listener != NULL, "process",
			 text_json(listener ? listener->process : NULL), "source",
			 text_json(listener ? source_of(&listener->origin, source) : NULL));
}

/* ---- why ---- */

static const char *opening(const struct cause *causes, size_t number)
{
	bool reply = causes[number].reply;

	if (number == 0)
		return reply ? "The packet arrives, but its answer does not: " : "";
	if (reply && !causes[number - 1].reply)
		return " And the answer would not come back: ";
	if (number == 1)
		return reply ? " That mended, it would still not come back: "
			     : " That mended, it would still not arrive: ";
	return " And then: ";
}

static void put_sentence(const char *start, const struct cause *cause, struct strbuf *out)
{
	char source[ORIGIN_TEXT_SIZE];
	const char *from = source_of(cause->origin, source);

	strbuf_add(out, start);
	text_safe(out, cause->what, false);
	if (from)
		strbuf_printf(out, " [%s]", from);
}

static unsigned width_of(const struct style *style)
{
	return style->columns && style->columns < WIDTH ? style->columns : WIDTH;
}

static void put_mending(const struct repair *repair, struct strbuf *out)
{
	if (repair->refusal_count)
		strbuf_add(out, "\nNothing is known that mends it and is allowed.\n");
	else if (repair->mended)
		strbuf_printf(out, "\n`nestvisor fix`, asked the same, says which %s.\n",
			      repair->change_count == 1 ? "change mends it" : "changes mend it");
	else
		strbuf_add(out, "\nNo change that nestvisor knows mends all of it.\n");
}

static void put_isolation(const struct repair_isolation *isolated, struct strbuf *out)
{
	strbuf_printf(out, "%s is %s: `nestvisor open %s`", isolated->guest, isolated->world, isolated->guest);
}

static json_t *isolation_json(const struct repair_isolation *isolated)
{
	if (!isolated->guest)
		return json_null();
	return json_pack("{s:s, s:s}", "guest", isolated->guest, "world", isolated->world);
}

void why_text(const struct repair_view *view, const struct style *style, struct strbuf *out)
{
	const struct repair *repair = view->repair;
	cleanup_strbuf struct strbuf paragraph = {0}, head = {0};

	if (!repair->cause_count) {
		put_arrival(view, out);
		strbuf_add(out, ".\n");
		put_hearing(repair, out);
		put_missing(repair, style, out);
		put_assumptions(repair, style, out);
		return;
	}
	strbuf_printf(&head, "%s%s does not reach %s", repair->missing_count ? "As far as is known, " : "", view->from,
		      view->to);
	text_paint(out, style, COLOUR_BOLD, head.text);
	put_packet(view, out);
	strbuf_add(out, ".\n\n");
	if (view->isolated.guest)
		put_isolation(&view->isolated, &paragraph);
	for (size_t i = 0; i < repair->cause_count && !view->isolated.guest; i++) {
		put_sentence(opening(repair->causes, i), &repair->causes[i], &paragraph);
		strbuf_add_char(&paragraph, '.');
	}
	text_fill(out, paragraph.text, 0, width_of(style));
	if (!view->isolated.guest) /* which is as it is meant to be */
		put_mending(repair, out);
	put_hearing(repair, out);
	put_missing(repair, style, out);
	put_assumptions(repair, style, out);
}

static json_t *causes_json(const struct repair *repair)
{
	json_t *list = json_array();

	for (size_t i = 0; i < repair->cause_count; i++) {
		const struct cause *cause = &repair->causes[i];
		char source[ORIGIN_TEXT_SIZE];

		json_array_append_new(list, json_pack("{s:s, s:s*, s:b, s:s, s:o, s:o}", "what", cause->what, "host",
						      cause->host, "reply", cause->reply, "verdict",
						      fate_word(cause->answer->fate), "source",
						      text_json(source_of(cause->origin, source)), "answer",
						      answer_json(cause->answer)));
	}
	return list;
}

static const char *verdict(const struct repair *repair)
{
	if (!repair->cause_count)
		return repair->missing_count ? "unknown" : "delivered";
	return fate_word(repair->causes[0].answer->fate == FATE_DELIVERED ? FATE_LOST : repair->causes[0].answer->fate);
}

json_t *why_json(const struct repair_view *view)
{
	const struct repair *repair = view->repair;

	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:b, s:o, s:o, s:o}", "from", view->from, "to", view->to, "verdict",
			 verdict(repair), "isolated", isolation_json(&view->isolated), "causes", causes_json(repair),
			 "mendable", repair->mended, "listener", hearing_json(repair), "missing",
			 assumptions_json(repair->missing, repair->missing_count), "assumptions",
			 assumptions_json(repair->assumptions, repair->assumption_count));
}

/* ---- fix ---- */

static void put_indented(const char *text, struct strbuf *out)
{
	while (*text) {
		size_t length = strcspn(text, "\n");
		cleanup_free char *line = strndup(text, length);

		if (!line)
			abort();
		strbuf_add(out, "      ");
		text_safe(out, line, false);
		strbuf_add_char(out, '\n');
		text += length + (text[length] == '\n');
	}
}

/* A file that holds what several changes of a host need is shown with the last of them. */
static bool is_shown_later(const struct repair *repair, size_t change, const struct permanent *permanent)
{
	for (size_t i = change + 1; i < repair->change_count && permanent->file; i++)
		for (size_t j = 0; j < repair->changes[i]->permanent_count; j++) {
			const struct permanent *later = &repair->changes[i]->permanent[j];

			if (strcmp(repair->changes[i]->host, repair->changes[change]->host) == 0 && later->file &&
			    strcmp(later->file, permanent->file) == 0 && strcmp(later->text, permanent->text) == 0)
				return true;
		}
	return false;
}

/* What it mends. */
static void put_reason(const struct repair *repair, const struct change *change, const struct style *style,
		       struct strbuf *out)
{
	for (size_t i = 0; i < repair->cause_count; i++) {
		const struct cause *cause = &repair->causes[i];
		cleanup_strbuf struct strbuf text = {0};

		if (!cause->change || !change_equal(cause->change, change))
			continue;
		put_sentence(cause->reply ? "because the answer does not come back: " : "because ", cause, &text);
		text_fill(out, text.text, 2, width_of(style));
	}
}

/* " (netfilter-persistent)", where the file's name does not say it. */
static void put_how(const struct permanent *permanent, struct strbuf *out)
{
	const char *name = permanent->file ? strrchr(permanent->file, '/') : NULL;

	if (!name || strcmp(name + 1, permanent->how) != 0)
		strbuf_printf(out, " (%s)", permanent->how);
}

static void put_change(const struct repair *repair, size_t number, const struct style *style, struct strbuf *out)
{
	const struct change *change = repair->changes[number];

	strbuf_add(out, "\non ");
	text_paint(out, style, COLOUR_BOLD, change->host);
	strbuf_printf(out, " (%s)\n  ", change_kind_word(change->kind));
	text_paint(out, style, COLOUR_GREEN, change->command);
	strbuf_add_char(out, '\n');
	put_reason(repair, change, style, out);
	for (size_t i = 0; i < change->permanent_count; i++) {
		const struct permanent *permanent = &change->permanent[i];
		bool later = is_shown_later(repair, number, permanent);

		if (permanent->placing == PLACE_NOWHERE) {
			strbuf_add(out, "  does not last: ");
			text_safe(out, permanent->text, false);
			strbuf_add_char(out, '\n');
			continue;
		}
		strbuf_printf(out, "  %s it lasts%s%s", i ? "or so that" : "so that", permanent->file ? ", in " : "",
			      permanent->file ? permanent->file : "");
		put_how(permanent, out);
		strbuf_add(out, later ? ": see below\n" : ":\n");
		if (!later)
			put_indented(permanent->text, out);
	}
	if (change->opens)
		strbuf_printf(out, "  opens: %s\n", change->opens);
	if (change->undo)
		strbuf_printf(out, "  taken back with: %s\n", change->undo);
}

/* What would do, and may not be. */
static void put_refusals(const struct repair *repair, struct strbuf *out)
{
	for (size_t i = 0; i < repair->refusal_count; i++) {
		const struct refusal *refusal = &repair->refusals[i];

		strbuf_add(out, "\nNot proposed, because it would break \"");
		text_safe(out, refusal->why, false);
		strbuf_add(out, "\":\n");
		for (size_t j = 0; j < refusal->change_count; j++) {
			strbuf_printf(out, "  on %s: ", refusal->changes[j]->host);
			text_safe(out, refusal->changes[j]->command, false);
			strbuf_add_char(out, '\n');
		}
	}
}

static void put_policy(const struct repair_view *view, struct strbuf *out)
{
	if (!view->policy)
		return;
	if (!view->doubt) {
		strbuf_printf(out, "\nWith them all that lab %s promises is still kept.\n", view->policy);
		return;
	}
	strbuf_printf(out, "\nIt is not proved that lab %s still keeps what it promises: ", view->policy);
	text_safe(out, view->doubt, false);
	strbuf_add(out, ".\n");
}

void fix_text(const struct repair_view *view, const struct style *style, struct strbuf *out)
{
	const struct repair *repair = view->repair;

	if (!repair->cause_count) {
		put_arrival(view, out);
		strbuf_add(out, ": there is nothing to mend.\n");
		put_hearing(repair, out);
		put_missing(repair, style, out);
		put_assumptions(repair, style, out);
		return;
	}
	if (!repair->mended) {
		why_text(view, style, out);
		put_refusals(repair, out);
		return;
	}
	strbuf_printf(out, "%zu change%s, with which %s reaches %s", repair->change_count,
		      repair->change_count == 1 ? "" : "s", view->from, view->to);
	put_packet_after(view, out);
	strbuf_add(out, repair->after_reply ? ", and the answer comes back:\n" : ":\n");
	for (size_t i = 0; i < repair->change_count; i++)
		put_change(repair, i, style, out);
	put_hearing(repair, out);
	put_policy(view, out);
	put_refusals(repair, out);
	put_assumptions(repair, style, out);
}

static json_t *change_json(const struct change *change)
{
	json_t *permanent = json_array();

	for (size_t i = 0; i < change->permanent_count; i++)
		json_array_append_new(permanent, json_pack("{s:s, s:o, s:s}", "how", change->permanent[i].how, "file",
							   text_json(change->permanent[i].file), "text",
							   change->permanent[i].text));
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "host", change->host, "kind", change_kind_word(change->kind),
			 "command", change->command, "undo", text_json(change->undo), "opens", text_json(change->opens),
			 "permanent", permanent);
}

static json_t *refusals_json(const struct repair *repair)
{
	json_t *list = json_array();

	for (size_t i = 0; i < repair->refusal_count; i++) {
		json_t *changes = json_array();

		for (size_t j = 0; j < repair->refusals[i].change_count; j++)
			json_array_append_new(changes,
					      json_pack("{s:s, s:s}", "host", repair->refusals[i].changes[j]->host,
							"command", repair->refusals[i].changes[j]->command));
		json_array_append_new(
			list, json_pack("{s:o, s:o}", "why", text_json(repair->refusals[i].why), "changes", changes));
	}
	return list;
}

static const char *policy_word(const struct repair_view *view)
{
	if (!view->policy)
		return "none";
	if (!view->repair->mended)
		return view->repair->refusal_count ? "broken" : "kept";
	return view->doubt ? "unknown" : "kept";
}

json_t *fix_json(const struct repair_view *view)
{
	const struct repair *repair = view->repair;
	json_t *changes = json_array();

	for (size_t i = 0; i < repair->change_count; i++)
		json_array_append_new(changes, change_json(repair->changes[i]));
	return json_pack("{s:s, s:o, s:o, s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "verdict",
			 verdict(repair), "isolated", isolation_json(&view->isolated), "changes", changes, "verified",
			 (repair->mended || !repair->cause_count) && !view->doubt, "policy", policy_word(view), "doubt",
			 text_json(view->doubt), "refused", refusals_json(repair), "after", answer_json(repair->after),
			 "reply", repair->after_reply ? answer_json(repair->after_reply) : json_null(), "causes",
			 causes_json(repair), "listener", hearing_json(repair), "missing",
			 assumptions_json(repair->missing, repair->missing_count), "assumptions",
			 assumptions_json(repair->assumptions, repair->assumption_count));
}
