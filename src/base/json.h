/* Small helpers around jansson (https://jansson.readthedocs.io). */
#ifndef NESTVISOR_BASE_JSON_H
#define NESTVISOR_BASE_JSON_H

#include <jansson.h>
#include <stddef.h>

struct error;

static inline void json_freep(json_t **json)
{
	json_decref(*json);
}
#define cleanup_json __attribute__((cleanup(json_freep)))

/* Parses one document; the error names `what` with line and column. */
int json_parse(const char *text, size_t length, const char *what, json_t **ret, struct error **err);
int json_read_file(const char *path, size_t limit, json_t **ret, struct error **err);	/* -ENOENT when missing */
int json_write_file(const char *path, const json_t *json, struct error **err);		/* atomic; keys are sorted */
int json_write_file_in_order(const char *path, const json_t *json, struct error **err); /* as they were set */

/* Compact text with sorted keys, to be freed by the caller. */
char *json_text(const json_t *json);

/* A member as text or number, or the fallback where it is missing or of another type. */
const char *json_get_string(const json_t *object, const char *key, const char *fallback);
long long json_get_integer(const json_t *object, const char *key, long long fallback);

#endif
