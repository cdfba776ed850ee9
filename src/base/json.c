#include "base/json.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <string.h>

int json_parse(const char *text, size_t length, const char *what, json_t **ret, struct error **err)
{
	json_error_t problem;
	json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);

	if (!json)
		return error_set(err, EBADMSG, "%s is not valid JSON: line %d, column %d: %s", what, problem.line,
				 problem.column, problem.text);
	*ret = json;
	return 0;
}

int json_read_file(const char *path, size_t limit, json_t **ret, struct error **err)
{
	cleanup_free char *text = NULL;
	size_t length;
	int r = file_read(path, limit, &text, &length, err);

	return r < 0 ? r : json_parse(text, length, path, ret, err);
}

static char *text_of(const json_t *json, size_t flags)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY | flags);

	if (!text)
		abort();
	return text;
}

int json_write_file(const char *path, const json_t *json, struct error **err)
{
	cleanup_free char *text = json_text(json);

	return file_write_atomic(path, text, strlen(text), 0600, err);
}

int json_write_file_in_order(const char *path, const json_t *json, struct error **err)
{
	cleanup_free char *text = text_of(json, 0);

	return file_write_atomic(path, text, strlen(text), 0600, err);
}

char *json_text(const json_t *json)
{
	return text_of(json, JSON_SORT_KEYS);
}

const char *json_get_string(const json_t *object, const char *key, const char *fallback)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : fallback;
}

long long json_get_integer(const json_t *object, const char *key, long long fallback)
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) ? json_integer_value(value) : fallback;
}
