/* Loading a lab from text, for the tests of config/. */
#ifndef NESTVISOR_TESTS_CONFIG_LOAD_H
#define NESTVISOR_TESTS_CONFIG_LOAD_H

#include "base/cleanup.h"
#include "base/error.h"
#include "config/config.h"

#include <errno.h>
#include <string.h>

/* What loading gave: the lab, or what is wrong. */
struct loaded {
	struct lab *lab;
	struct problems problems;
	struct strbuf text;
	int r;
};

static inline void loaded_clear(struct loaded *loaded)
{
	lab_free(loaded->lab);
	problems_clear(&loaded->problems);
	free(loaded->text.text);
}
#define cleanup_loaded __attribute__((cleanup(loaded_clear)))

static inline void load_bytes(struct loaded *ret, const char *name, const char *text, size_t length,
			      const struct surroundings *machine)
{
	cleanup_error struct error *err = NULL;

	memset(ret, 0, sizeof(*ret));
	ret->r = config_load_text(name, text, length, machine, &ret->problems, &ret->lab, &err);
	assert_int_equal(ret->r, ret->problems.errors ? -EINVAL : 0);
	assert_int_equal(ret->lab == NULL, ret->r != 0);
	assert_true((ret->r != 0) == (err != NULL));
	problems_format(&ret->problems, &ret->text);
	strbuf_add(&ret->text, "");
}

static inline void load_text(struct loaded *ret, const char *text)
{
	load_bytes(ret, "test.nest.yaml", text, strlen(text), NULL);
}

/* A lab that must be fine. */
static inline struct lab *load_fine(const char *text)
{
	struct loaded loaded;
	struct lab *lab;

	load_text(&loaded, text);
	if (loaded.problems.errors)
		fail_msg("%s\nin:\n%s", loaded.text.text, text);
	lab = steal_pointer(&loaded.lab);
	loaded_clear(&loaded);
	return lab;
}

static inline void assert_error(const char *text, const char *message)
{
	cleanup_loaded struct loaded loaded = {0};

	load_text(&loaded, text);
	if (loaded.r == 0 || !strstr(loaded.text.text, message))
		fail_msg("expected \"%s\", got:\n%s", message, loaded.text.text);
}

#endif
