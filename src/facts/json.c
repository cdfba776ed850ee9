#include "facts/json.h"

#include "base/error.h"
#include "facts/merge.h"
#include "facts/shape.h"

#include <errno.h>
#include <string.h>

static json_t *write_array(const struct shape *shape, const void *items, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, shape_write(shape, (const char *)items + i * shape->size));
	return array;
}

json_t *bundle_json(const struct bundle *bundle, const char *host)
{
	json_t *hosts = json_array();

	for (size_t i = 0; i < bundle->host_count; i++)
		if (!host || strcmp(bundle->hosts[i]->name, host) == 0)
			json_array_append_new(hosts, shape_write(&shape_facts, bundle->hosts[i]));
	return json_pack("{s:o, s:o, s:o}", "hosts", hosts, "relations",
			 write_array(&shape_relation, bundle->relations, bundle->relation_count), "notes",
			 write_array(&shape_note, bundle->notes, bundle->note_count));
}

json_t *stats_json(const struct stats *stats)
{
	return shape_write(&shape_stats, stats);
}

static bool read_array(struct pool *pool, const struct shape *shape, const json_t *array, void **items, size_t *count,
		       const char **why)
{
	*count = json_array_size(array);
	*items = *count ? arena_alloc(pool->arena, *count * shape->size) : NULL;
	for (size_t i = 0; i < *count; i++)
		if (!shape_read(pool, shape, json_array_get(array, i), (char *)*items + i * shape->size, why))
			return false;
	return true;
}

int bundle_from_json(const json_t *document, struct bundle *bundle, struct error **err)
{
	struct pool pool = {.arena = bundle->arena};
	const json_t *hosts = json_object_get(document, "hosts");
	const char *why = "";
	bool fine = json_is_array(hosts);

	for (size_t i = 0; i < json_array_size(hosts) && fine; i++) {
		struct facts *facts = arena_new_struct(bundle->arena, struct facts);

		fine = shape_read(&pool, &shape_facts, json_array_get(hosts, i), facts, &why);
		if (fine)
			merge_finish(&pool, facts);
		*arena_push(bundle->arena, bundle->hosts, bundle->host_count) = facts;
	}
	fine = fine && read_array(&pool, &shape_relation, json_object_get(document, "relations"),
				  (void **)&bundle->relations, &bundle->relation_count, &why);
	fine = fine && read_array(&pool, &shape_note, json_object_get(document, "notes"), (void **)&bundle->notes,
				  &bundle->note_count, &why);
	return fine ? 0
		    : error_set(err, EBADMSG, "this is no document of facts: %s",
				why && *why ? why : "it has no hosts");
}

static bool equal_array(const struct shape *shape, const void *a, size_t a_count, const void *b, size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++)
		if (!shape_equal(shape, (const char *)a + i * shape->size, (const char *)b + i * shape->size))
			return false;
	return true;
}

bool bundle_equal(const struct bundle *a, const struct bundle *b)
{
	if (a->host_count != b->host_count)
		return false;
	for (size_t i = 0; i < a->host_count; i++)
		if (!shape_equal(&shape_facts, a->hosts[i], b->hosts[i]))
			return false;
	return equal_array(&shape_relation, a->relations, a->relation_count, b->relations, b->relation_count) &&
	       equal_array(&shape_note, a->notes, a->note_count, b->notes, b->note_count);
}

json_t *bundle_schema(void)
{
	json_t *definitions = json_object();
	json_t *hosts = shape_schema(&shape_facts, definitions),
	       *relations = shape_schema(&shape_relation, definitions);
	json_t *notes = shape_schema(&shape_note, definitions), *stats = shape_schema(&shape_stats, definitions);

	return json_pack("{s:{s:{s:s, s:o}, s:{s:s, s:o}, s:{s:s, s:o}, s:o}, s:[s,s,s], s:o}", "properties", "hosts",
			 "type", "array", "items", hosts, "relations", "type", "array", "items", relations, "notes",
			 "type", "array", "items", notes, "stats", stats, "required", "hosts", "relations", "notes",
			 "$defs", definitions);
}
