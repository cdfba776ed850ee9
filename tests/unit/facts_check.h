/* What the tests of facts/ share: where captures lie, and how facts are compared. */
#ifndef NESTVISOR_TESTS_FACTS_CHECK_H
#define NESTVISOR_TESTS_FACTS_CHECK_H

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "facts/bundle.h"
#include "facts/json.h"
#include "facts/print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CAPTURE_SIZE_MAX = 64 << 20 };

/* A path below the top of the source tree, to be freed. */
static inline char *source_path(const char *below)
{
	const char *slash = strrchr(__FILE__, '/');
	char *path;

	assert_true(asprintf(&path, "%.*s/../../%s", (int)(slash - __FILE__), __FILE__, below) > 0);
	return path;
}

static inline char *read_file(const char *path, size_t *length)
{
	cleanup_error struct error *err = NULL;
	char *text = NULL;

	if (file_read(path, CAPTURE_SIZE_MAX, &text, length, &err) < 0)
		fail_msg("%s", err->message);
	return text;
}

static inline struct bundle *load(const char *path)
{
	cleanup_error struct error *err = NULL;
	struct bundle *bundle = NULL;

	if (bundle_load(path, &bundle, &err) < 0)
		fail_msg("%s", err->message);
	return bundle;
}

static inline void put_file(const char *folder, const char *name, const char *text)
{
	cleanup_free char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

/* A host of a bundle: what its commands printed, each behind "$ " and the command. */
static inline void put_host(const char *folder, const char *name, const char *session)
{
	cleanup_free char *host = NULL;

	assert_true(asprintf(&host, "%s/hosts/%s", folder, name) > 0);
	assert_int_equal(dir_make(host, 0755, NULL), 0);
	put_file(host, "session.txt", session);
}

/* Compares with a file, or writes it where NESTVISOR_GOLDEN=write. */
static inline void check_golden(const char *path, const char *got)
{
	cleanup_free char *wanted = NULL;
	size_t length;

	if (getenv("NESTVISOR_GOLDEN")) {
		assert_int_equal(file_write_atomic(path, got, strlen(got), 0644, NULL), 0);
		return;
	}
	if (file_read(path, CAPTURE_SIZE_MAX, &wanted, &length, NULL) < 0)
		fail_msg("%s is missing; NESTVISOR_GOLDEN=write makes it", path);
	if (strcmp(got, wanted) != 0) {
		const char *a = got, *b = wanted;

		while (*a && *a == *b) {
			a++;
			b++;
		}
		fail_msg("%s differs from:\n%.300s\nthere is:\n%.300s", path, b, a);
	}
}

typedef void rule_visitor(const struct table *table, const struct chain *chain, const struct rule *rule, void *context);

static inline size_t for_each_rule(const struct facts *facts, rule_visitor *visit, void *context)
{
	size_t count = 0;

	for (size_t i = 0; i < facts->ruleset.table_count; i++)
		for (size_t j = 0; j < facts->ruleset.tables[i].chain_count; j++) {
			const struct chain *chain = &facts->ruleset.tables[i].chains[j];

			for (size_t k = 0; k < chain->rule_count; k++, count++)
				if (visit)
					visit(&facts->ruleset.tables[i], chain, &chain->rules[k], context);
		}
	return count;
}

static inline char *rule_text(const struct rule *rule)
{
	struct strbuf out = {};

	print_rule(&out, rule);
	return strbuf_steal(&out);
}

#endif
