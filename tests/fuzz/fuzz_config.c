/*
 * libFuzzer over the lab file, from bytes to a checked lab. Beyond not crashing: whatever is accepted can be written
 * out as a part, and what comes back from that is the same part again, for the lab and for every host in it.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "config/config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Noreturn void fail(const char *what, const char *text)
{
	fprintf(stderr, "%s:\n%s\n", what, text);
	abort();
}

/* Accepts what config_part wrote; the lab comes back. */
static struct lab *load_part(const json_t *part)
{
	cleanup_problems struct problems problems = {0};
	cleanup_strbuf struct strbuf out = {0};
	cleanup_free char *text = json_text(part);
	struct lab *lab = NULL;

	if (config_load_text("-", text, strlen(text), NULL, &problems, &lab, NULL) == 0)
		return lab;
	problems_format(&problems, &out);
	fprintf(stderr, "%s\n", out.text);
	fail("a part is refused", text);
}

static void check_part(const struct lab *lab, const struct host *host)
{
	cleanup_json json_t *part = config_part(lab, host), *again = NULL;
	cleanup_lab struct lab *loaded = load_part(part);

	again = config_part(loaded, loaded->root);
	if (!json_equal(part, again)) {
		cleanup_free char *one = json_text(part), *other = json_text(again);

		fprintf(stderr, "%s\n", one);
		fail("a part comes back different", other);
	}
}

static void check_problems(const struct problems *problems)
{
	cleanup_strbuf struct strbuf out = {0};
	cleanup_json json_t *json = problems_json(problems);

	problems_format(problems, &out);
	for (size_t i = 0; i < out.length; i++)
		if ((unsigned char)out.text[i] < 0x20 && out.text[i] != '\n')
			fail("a control character would reach the terminal", out.text);
	if (!json || json_array_size(json) != problems->count)
		fail("problems do not fit into JSON", out.text ? out.text : "");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct surroundings_route routes[] = {
		{.prefix = {.ip = {.family = 2, .bytes = {10}}, .length = 8}, .interface = "eth0"}};
	static const struct surroundings machine = {
		.cpus = 4, .memory = 4ULL << 30, .routes = routes, .route_count = 1};
	cleanup_problems struct problems problems = {0};
	cleanup_error struct error *err = NULL;
	cleanup_lab struct lab *lab = NULL;
	bool with_machine = size && data[0] == '#';
	int r = config_load_text("fuzz.nest.yaml", (const char *)data, size, with_machine ? &machine : NULL, &problems,
				 &lab, &err);

	check_problems(&problems);
	if ((r == 0) != (lab != NULL) || (r == 0) != (problems.errors == 0))
		abort();
	if (!lab)
		return 0;
	check_part(lab, lab->root);
	for (size_t i = 0; i < lab->guest_count; i++)
		if (lab->guests[i]->host)
			check_part(lab, lab->guests[i]->host);
	return 0;
}
