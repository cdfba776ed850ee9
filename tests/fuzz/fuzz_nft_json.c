/* libFuzzer over what `nft -j list ruleset` prints: valid JSON of any shape. */
#include "facts_fuzz.h"
#include "json_mutator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_json json_t *json = NULL;
	cleanup_bundle struct bundle *bundle = NULL;

	if (json_parse((const char *)data, size, "nft", &json, NULL) < 0)
		return 0;
	bundle = bundle_from_text("nft-ruleset.json", (const char *)data, size);
	check_bundle(bundle, size);
	return 0;
}
