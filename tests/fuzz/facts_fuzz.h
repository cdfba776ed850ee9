/* What must hold of every bundle, whatever it was read from. */
#ifndef NESTVISOR_TESTS_FACTS_FUZZ_H
#define NESTVISOR_TESTS_FACTS_FUZZ_H

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "facts/json.h"
#include "facts/print.h"
#include "render/topology.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline _Noreturn void fail(const char *what, const char *text)
{
	fprintf(stderr, "%s: %s\n", what, text);
	abort();
}

/* Written as a document and read back it says the same. */
static inline void check_document(const struct bundle *bundle)
{
	cleanup_json json_t *json = bundle_json(bundle, NULL), *parsed = NULL;
	cleanup_free char *text = json_text(json);
	cleanup_error struct error *err = NULL;
	cleanup_bundle struct bundle *again = NULL;
	struct arena *arena = arena_new();

	again = arena_new_struct(arena, struct bundle);
	again->arena = arena;
	if (json_parse(text, strlen(text), "document", &parsed, &err) < 0 || bundle_from_json(parsed, again, &err) < 0)
		fail(err->message, text);
	if (!bundle_equal(bundle, again))
		fail("what comes back from a document is not the same", text);
}

/* Nothing is passed over in silence: what is not understood is named. */
static inline void check_rules(const struct facts *facts)
{
	for (size_t i = 0; i < facts->ruleset.table_count; i++)
		for (size_t j = 0; j < facts->ruleset.tables[i].chain_count; j++) {
			const struct chain *chain = &facts->ruleset.tables[i].chains[j];

			for (size_t k = 0; k < chain->rule_count; k++) {
				cleanup_strbuf struct strbuf out = {};

				print_rule(&out, &chain->rules[k]);
				if ((chain->rules[k].understood == UNDERSTOOD_FULLY) !=
				    (chain->rules[k].gap_count == 0 && !rule_has_unknown(&chain->rules[k])))
					fail("a rule that is understood has gaps, or one that is not has none",
					     chain->rules[k].text);
			}
		}
}

static inline void check_stats(struct bundle *bundle)
{
	struct stats stats;

	bundle_stats(bundle, NULL, &stats);
	if (stats.fully + stats.partly + stats.not_understood != stats.rules || stats.fully > stats.rules)
		fail("the sums do not fit", "");
	json_decref(stats_json(&stats));
}

static inline void check_pictures(const struct bundle *bundle)
{
	static const struct style plain = {};
	cleanup_arena struct arena *arena = arena_new();
	cleanup_strbuf struct strbuf tree = {}, chart = {};
	const struct topology *topology = topology_new(arena, bundle);

	topology_tree(topology, "fuzz", &plain, &tree);
	topology_mermaid(topology, "fuzz", &chart);
	for (size_t i = 0; i < tree.length; i++)
		if ((unsigned char)tree.text[i] < 0x20 && tree.text[i] != '\n')
			fail("a control character would reach the terminal", tree.text);
	json_decref(topology_json(topology, "fuzz"));
}

/* What takes long is done for one input in four. */
static inline void check_bundle(struct bundle *bundle, size_t size)
{
	if (size % 4 == 0)
		check_document(bundle);
	if (size % 4 == 1)
		check_pictures(bundle);
	for (size_t i = 0; i < bundle->host_count; i++)
		check_rules(bundle->hosts[i]);
	check_stats(bundle);
}

#endif
