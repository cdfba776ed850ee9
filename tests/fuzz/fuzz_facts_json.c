/* libFuzzer over documents of facts: what somebody sends, or wrote by hand. */
#include "facts_fuzz.h"
#include "json_mutator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_json json_t *json = NULL;
	cleanup_error struct error *err = NULL;
	cleanup_bundle struct bundle *bundle = NULL;
	struct arena *arena;

	if (json_parse((const char *)data, size, "document", &json, NULL) < 0)
		return 0;
	arena = arena_new();
	bundle = arena_new_struct(arena, struct bundle);
	bundle->arena = arena;
	if (bundle_from_json(json, bundle, &err) < 0) {
		if (!err || !err->message[0])
			fail("no reason is given", "");
		return 0;
	}
	check_bundle(bundle, size);
	return 0;
}
