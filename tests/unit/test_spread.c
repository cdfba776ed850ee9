/*
 * verify/: how sets of packets spread, against what the kernel did with single ones (../shared/data/kernel-sample
 * beside the source tree, or NESTVISOR_DATA) and against the interpreter. A packet alone is a set, and that must end
 * where the packet does; and it must be among the ends of any set that it is part of. Skipped where the folder is
 * missing.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "verify/batch.h"
#include "verify/engines.h"
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

enum { MISSING = 77 };

static char *data;

struct counts {
	size_t asked, agreed, open, unknown;
};

static const char *const fates[] = {"delivered", "sent", "dropped", "rejected", "lost", "unknown"};

static void describe(struct space *space, const struct spread_end *end)
{
	print_message("      %s at %s %s %s %s%s\n", fates[end->fate], end->host->name, end->oif ? end->oif->name : "",
		      end->chain ? end->chain->chain->name : "", spread_reason_text(end->reason),
		      bounds_are_exact(end->packets) ? "" : " perhaps");
}

static void check_question(const struct stack *stack, struct space *space, struct spread *spread,
			   const struct question *question, const char *line, struct counts *counts)
{
	cleanup_arena struct arena *arena = arena_new();
	struct answer *answer = walk_ask(stack, question, 0, arena);
	struct spread_start start = {.host = question->at,
				     .iif = question->iif,
				     .in_port = question->in_port,
				     .packets = spread_question(space, question)};
	const struct spread_end *ends;
	bool agrees = false;
	size_t count, sure = 0;

	assert_int_equal(spread_follow(spread, &start, &ends, &count, NULL), 0);
	counts->asked++;
	for (size_t i = 0; i < count; i++) {
		agrees |= answer->fate == FATE_UNKNOWN ||
			  (engines_fit(spread, &ends[i], answer) && ends[i].host == answer->where);
		sure += !pset_is_empty(ends[i].packets.must);
		counts->unknown += ends[i].fate == SPREAD_UNKNOWN;
	}
	counts->agreed += agrees;
	counts->open += count > 1;
	if (agrees && count == 1)
		return;
	print_message("    %s\n      interpreter: %s at %s %s\n", line, fate_word(answer->fate), answer->where->name,
		      answer->chain	    ? answer->chain->chain->name
		      : answer->reason_text ? answer->reason_text
					    : "");
	for (size_t i = 0; i < count; i++)
		describe(space, &ends[i]);
}

/* The end of a packet alone is one of those of all packets that start where it did. */
static void check_among(struct space *space, const struct spread_end *one, const struct spread_end *all, size_t count,
			const char *line)
{
	pset covered = PSET_EMPTY;

	for (size_t i = 0; i < count; i++)
		if (all[i].fate == one->fate && all[i].host == one->host && all[i].chain == one->chain &&
		    all[i].oif == one->oif && all[i].reason == one->reason)
			covered = pset_or(space, covered, all[i].packets.may);
	if (!pset_is_subset(space, one->packets.may, covered)) {
		describe(space, one);
		fail_msg("alone it ends where among all it does not: %s", line);
	}
}

static void check_all_from(struct space *space, struct spread *spread, const struct question *question,
			   const char *line)
{
	struct spread_start start = {
		.host = question->at, .iif = question->iif, .in_port = question->in_port, .packets = PSET_FULL};
	const struct spread_end *ends;
	struct spread_end alone[16];
	size_t count, alone_count;

	start.packets = spread_question(space, question);
	assert_int_equal(spread_follow(spread, &start, &ends, &alone_count, NULL), 0);
	assert_true(alone_count <= 16);
	memcpy(alone, ends, alone_count * sizeof(*alone));
	/* everything of its protocol and state */
	start.packets = pset_and(space, pset_value(space, PSET_PROTOCOL, question->packet.protocol),
				 pset_kind(space, PSET_STATE, question->state == STATE_NEW ? PSET_NEW : PSET_INVALID));
	if (spread_follow(spread, &start, &ends, &count, NULL) < 0)
		fail_msg("too large: %s", line);
	for (size_t i = 0; i < alone_count; i++)
		check_among(space, &alone[i], ends, count, line);
}

static bool is_asked(const json_t *json)
{
	const char *state = json_get_string(json, "state", "new");

	return (strcmp(state, "new") == 0 || strcmp(state, "invalid") == 0) &&
	       !json_is_true(json_object_get(json, "bridged"));
}

static void check_stack(const char *folder, struct counts *counts)
{
	cleanup_space struct space *space = pset_space_new((size_t)1 << 30, NULL);
	cleanup_error struct error *err = NULL;
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_stack struct stack *stack = NULL;
	cleanup_spread struct spread *spread = NULL;
	cleanup_free char *path = NULL, *text = NULL;
	size_t length;

	if (bundle_load(folder, &bundle, &err) < 0)
		fail_msg("%s", err->message);
	stack = stack_new(bundle);
	spread = spread_new(stack, space);
	assert_true(asprintf(&path, "%s/questions.jsonl", folder) > 0);
	assert_int_equal(file_read(path, 16 << 20, &text, &length, NULL), 0);
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		cleanup_arena struct arena *arena = arena_new();
		cleanup_json json_t *json = NULL;
		struct question *question;

		assert_int_equal(json_parse(line, strlen(line), "question", &json, &err), 0);
		if (!is_asked(json))
			continue;
		if (question_from_json(stack, json, arena, &question, &err) < 0)
			fail_msg("%s", err->message);
		check_question(stack, space, spread, question, line, counts);
		check_all_from(space, spread, question, line);
	}
}

static void test_sample(void **state)
{
	cleanup_free char *root = NULL;
	struct counts counts = {};
	struct dirent **names;
	int count;

	assert_true(asprintf(&root, "%s/kernel-sample", data) > 0);
	count = scandir(root, &names, NULL, alphasort);
	for (int i = 0; i < count; i++) {
		cleanup_free char *folder = NULL;

		assert_true(asprintf(&folder, "%s/%s", root, names[i]->d_name) > 0);
		if (names[i]->d_name[0] == '0') {
			print_message("  %s\n", names[i]->d_name);
			check_stack(folder, &counts);
		}
		free(names[i]);
	}
	free(names);
	print_message("%zu questions, %zu agree, %zu of them with several ends, %zu unknown\n", counts.asked,
		      counts.agreed, counts.open, counts.unknown);
	assert_true(counts.asked > 100);
	assert_int_equal(counts.agreed, counts.asked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_sample)};
	const char *given = getenv("NESTVISOR_DATA"), *slash = strrchr(__FILE__, '/');
	int failed;

	if (given)
		data = strdup(given);
	else
		assert_true(asprintf(&data, "%.*s/../../../shared/data", (int)(slash - __FILE__), __FILE__) > 0);
	if (access(data, R_OK) < 0) {
		print_message("no %s: skipped\n", data);
		free(data);
		return MISSING;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(data);
	return failed;
}
