/* libFuzzer over captured text. The first line is the file's name, which says what parser reads the rest. */
#include "facts_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *end = memchr(data, '\n', size);
	size_t length = end ? (size_t)(end - text) : 0;
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_free char *name = NULL;

	/* names come from the file system: without slashes and NULs, up to 255 bytes */
	if (!end || length == 0 || length > 255 || memchr(text, '/', length) || memchr(text, '\0', length))
		return 0;
	name = strndup(text, length);
	bundle = bundle_from_text(name, end + 1, size - length - 1);
	check_bundle(bundle, size);
	return 0;
}
