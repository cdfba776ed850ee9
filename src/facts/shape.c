#include "facts/shape.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { DEPTH_MAX = 100 };

static const void *at(const void *object, size_t offset)
{
	return (const char *)object + offset;
}

static size_t count_of(const struct member *member, const void *object)
{
	return *(const size_t *)at(object, member->count);
}

static bool applies(const struct shape *shape, const struct member *member, const void *object)
{
	return !member->when || (member->when >> *(const unsigned *)at(object, shape->kind) & 1);
}

static const char *truth_text(enum truth truth)
{
	return truth == TRUTH_YES ? "yes" : truth == TRUTH_NO ? "no" : "unknown";
}

/* JSON's integers end at 2^63 - 1 here; what is larger is text. */
static json_t *write_uint(uint64_t value)
{
	char text[24];

	if (value <= INT64_MAX)
		return json_integer((json_int_t)value);
	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	return json_string(text);
}

static json_t *write_ip(const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	return ip->family ? json_string(ip_format(ip, text)) : NULL;
}

static json_t *write_enum(const struct member *member, unsigned value)
{
	return value < member->name_count && member->names[value] ? json_string(member->names[value]) : NULL;
}

static json_t *write_bits(const struct member *member, uint8_t bits)
{
	json_t *array;

	if (!bits)
		return NULL;
	array = json_array();
	for (size_t i = 0; i < member->name_count; i++)
		if (bits >> i & 1)
			json_array_append_new(array, json_string(member->names[i]));
	return array;
}

static json_t *write_type(enum datatype type)
{
	return datatype_name(type) ? json_string(datatype_name(type)) : json_null();
}

static json_t *write_list(const struct member *member, const void *object)
{
	const char *items = *(const char *const *)at(object, member->offset);
	size_t count = count_of(member, object);
	json_t *array;

	if (count == 0)
		return NULL;
	array = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, shape_write(member->shape, items + i * member->shape->size));
	return array;
}

static json_t *write_array(const struct member *member, const void *object)
{
	const void *items = *(const void *const *)at(object, member->offset);
	size_t count = count_of(member, object);
	json_t *array;

	if (count == 0)
		return NULL;
	array = json_array();
	for (size_t i = 0; i < count; i++) {
		json_t *value = NULL;

		if (member->kind == SHAPE_TEXTS)
			value = json_string(((const char *const *)items)[i]);
		else if (member->kind == SHAPE_IPS)
			value = write_ip(&((const struct ip *)items)[i]);
		else if (member->kind == SHAPE_ENUMS)
			value = write_type(((const enum datatype *)items)[i]);
		else
			value = shape_write(member->shape, ((const void *const *)items)[i]);
		json_array_append_new(array, value ? value : json_null());
	}
	return array;
}

static json_t *write_small(const struct member *member, const void *value)
{
	char text[ORIGIN_TEXT_SIZE];
	const struct number *number = value;
	const struct mac *mac = value;
	uint64_t integer = 0;

	switch (member->kind) {
	case SHAPE_NUMBER:
		return number->known ? write_uint(number->value) : NULL;
	case SHAPE_UINT8:
		integer = *(const uint8_t *)value;
		return integer ? write_uint(integer) : NULL;
	case SHAPE_UINT16:
		integer = *(const uint16_t *)value;
		return integer ? write_uint(integer) : NULL;
	case SHAPE_UINT32:
		integer = *(const uint32_t *)value;
		return integer ? write_uint(integer) : NULL;
	case SHAPE_UINT64:
		return write_uint(*(const uint64_t *)value);
	case SHAPE_INT32:
		return json_integer(*(const int32_t *)value);
	case SHAPE_BOOL:
		return *(const bool *)value ? json_true() : NULL;
	case SHAPE_TRUTH:
		return *(const enum truth *)value ? json_string(truth_text(*(const enum truth *)value)) : NULL;
	case SHAPE_ENUM:
		return write_enum(member, *(const unsigned *)value);
	case SHAPE_BITS:
		return write_bits(member, *(const uint8_t *)value);
	case SHAPE_FAMILY:
		integer = *(const uint8_t *)value;
		return integer ? json_string(integer == AF_INET6 ? "ip6" : "ip") : NULL;
	case SHAPE_ROUTE_TYPE:
		integer = *(const uint8_t *)value;
		return integer ? json_string(symbol_name(TYPE_ROUTE_TYPE, integer)) : NULL;
	case SHAPE_IP:
		return write_ip(value);
	case SHAPE_PREFIX:
		return ((const struct prefix *)value)->ip.family ? json_string(prefix_format(value, text)) : NULL;
	case SHAPE_MAC:
		return mac->known ? json_string(mac_format(mac->bytes, text)) : NULL;
	case SHAPE_BYTES6:
		return json_string(mac_format(value, text));
	case SHAPE_FIELD:
		return *(const enum field *)value ? json_string(field_info(*(const enum field *)value)->name) : NULL;
	case SHAPE_TYPE:
		return *(const enum datatype *)value ? write_type(*(const enum datatype *)value) : NULL;
	case SHAPE_ORIGIN:
		return ((const struct origin *)value)->source ? json_string(origin_format(value, text)) : NULL;
	case SHAPE_TEXT:
	case SHAPE_TEXTS:
	case SHAPE_ENUMS:
	case SHAPE_IPS:
	case SHAPE_STRUCT:
	case SHAPE_POINTER:
	case SHAPE_POINTERS:
	case SHAPE_LIST:
		break;
	}
	return NULL;
}

static json_t *write_member(const struct member *member, const void *object)
{
	const void *value = at(object, member->offset), *pointer;
	json_t *json;

	switch (member->kind) {
	case SHAPE_TEXT:
		return *(const char *const *)value ? json_string(*(const char *const *)value) : NULL;
	case SHAPE_LIST:
		return write_list(member, object);
	case SHAPE_TEXTS:
	case SHAPE_ENUMS:
	case SHAPE_IPS:
	case SHAPE_POINTERS:
		return write_array(member, object);
	case SHAPE_POINTER:
		pointer = *(const void *const *)value;
		return pointer ? shape_write(member->shape, pointer) : NULL;
	case SHAPE_STRUCT:
		json = shape_write(member->shape, value);
		if (json_object_size(json) > 0)
			return json;
		json_decref(json);
		return NULL;
	case SHAPE_NUMBER:
	case SHAPE_UINT8:
	case SHAPE_UINT16:
	case SHAPE_UINT32:
	case SHAPE_UINT64:
	case SHAPE_INT32:
	case SHAPE_BOOL:
	case SHAPE_TRUTH:
	case SHAPE_ENUM:
	case SHAPE_BITS:
	case SHAPE_FAMILY:
	case SHAPE_ROUTE_TYPE:
	case SHAPE_IP:
	case SHAPE_PREFIX:
	case SHAPE_MAC:
	case SHAPE_BYTES6:
	case SHAPE_FIELD:
	case SHAPE_TYPE:
	case SHAPE_ORIGIN:
		return write_small(member, value);
	}
	return NULL;
}

json_t *shape_write(const struct shape *shape, const void *object)
{
	json_t *json = json_object();

	for (const struct member *member = shape->members; member->name; member++) {
		json_t *value = applies(shape, member, object) ? write_member(member, object) : NULL;

		if (value)
			json_object_set_new_nocheck(json, member->name, value);
	}
	return json;
}

struct shape_reader {
	struct pool *pool;
	const char **why;
	unsigned depth;
};

static bool wrong(struct shape_reader *reader, const struct member *member, const char *what)
{
	*reader->why = arena_printf(reader->pool->arena, "%s: %s", member->name, what);
	return false;
}

static bool read_uint(const json_t *json, uint64_t top, uint64_t *ret)
{
	if (json_is_string(json))
		return span_number(span_of(json_string_value(json)), ret) && *ret <= top;
	if (!json_is_integer(json) || json_integer_value(json) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(json);
	return *ret <= top;
}

static bool read_enum(const struct member *member, const char *text, unsigned *ret)
{
	for (size_t i = 0; text && i < member->name_count; i++) {
		if (member->names[i] && strcmp(member->names[i], text) == 0) {
			*ret = (unsigned)i;
			return true;
		}
	}
	return false;
}

static bool read_type(const char *text, enum datatype *ret)
{
	*ret = text ? datatype_find(text, strlen(text)) : TYPE_NONE;
	return *ret != TYPE_NONE;
}

static bool read_field(const char *text, enum field *ret)
{
	const char *space = text ? strchr(text, ' ') : NULL;

	if (text && strcmp(text, field_info(FIELD_OTHER)->name) == 0)
		*ret = FIELD_OTHER;
	else
		*ret = space ? field_find(text, (size_t)(space - text), space + 1, strlen(space + 1)) : FIELD_NONE;
	return *ret != FIELD_NONE;
}

/* "file:12", "file#3", "netlink:route" */
static void read_origin(struct pool *pool, const char *text, struct origin *ret)
{
	const char *colon = strrchr(text, ':'), *hash = strrchr(text, '#'), *end = NULL;
	uint64_t number = 0;

	if (colon && span_number(span_of(colon + 1), &number) && number && number <= UINT32_MAX) {
		ret->line = (uint32_t)number;
		end = colon;
	} else if (hash && span_number(span_of(hash + 1), &number) && number && number <= UINT32_MAX) {
		ret->item = (uint32_t)number;
		end = hash;
	}
	ret->source = pool_intern(pool, (struct span){text, end ? (size_t)(end - text) : strlen(text)});
}

static bool read_bits(const struct member *member, const json_t *json, uint8_t *ret)
{
	for (size_t i = 0; i < json_array_size(json); i++) {
		unsigned bit;

		if (!read_enum(member, json_string_value(json_array_get(json, i)), &bit))
			return false;
		*ret |= (uint8_t)(1u << bit);
	}
	return json_is_array(json);
}

static bool read_truth(const char *text, enum truth *ret)
{
	*ret = text && strcmp(text, "yes") == 0	 ? TRUTH_YES
	       : text && strcmp(text, "no") == 0 ? TRUTH_NO
						 : TRUTH_UNKNOWN;
	return *ret != TRUTH_UNKNOWN;
}

static bool read_integer(const struct member *member, const json_t *json, void *value)
{
	uint64_t integer;

	if (member->kind == SHAPE_INT32) {
		json_int_t number = json_integer_value(json);

		if (!json_is_integer(json) || number < INT32_MIN || number > INT32_MAX)
			return false;
		*(int32_t *)value = (int32_t)number;
		return true;
	}
	if (!read_uint(json,
		       member->kind == SHAPE_UINT8    ? UINT8_MAX
		       : member->kind == SHAPE_UINT16 ? UINT16_MAX
		       : member->kind == SHAPE_UINT32 ? UINT32_MAX
						      : UINT64_MAX,
		       &integer))
		return false;
	if (member->kind == SHAPE_UINT8)
		*(uint8_t *)value = (uint8_t)integer;
	else if (member->kind == SHAPE_UINT16)
		*(uint16_t *)value = (uint16_t)integer;
	else if (member->kind == SHAPE_UINT32)
		*(uint32_t *)value = (uint32_t)integer;
	else if (member->kind == SHAPE_UINT64)
		*(uint64_t *)value = integer;
	else
		*(struct number *)value = number_of(integer);
	return true;
}

static bool read_small(struct shape_reader *reader, const struct member *member, const json_t *json, void *value)
{
	const char *text = json_string_value(json);
	struct mac mac;
	uint64_t number;

	switch (member->kind) {
	case SHAPE_NUMBER:
	case SHAPE_UINT8:
	case SHAPE_UINT16:
	case SHAPE_UINT32:
	case SHAPE_UINT64:
	case SHAPE_INT32:
		return read_integer(member, json, value);
	case SHAPE_BOOL:
		*(bool *)value = json_is_true(json);
		return json_is_boolean(json);
	case SHAPE_TRUTH:
		return read_truth(text, value);
	case SHAPE_ENUM:
		return read_enum(member, text, value);
	case SHAPE_BITS:
		return read_bits(member, json, value);
	case SHAPE_FAMILY:
		*(uint8_t *)value = text && strcmp(text, "ip6") == 0 ? AF_INET6 : AF_INET;
		return text && (strcmp(text, "ip") == 0 || strcmp(text, "ip6") == 0);
	case SHAPE_ROUTE_TYPE:
		if (!text || !symbol_find(TYPE_ROUTE_TYPE, text, strlen(text), &number))
			return false;
		*(uint8_t *)value = (uint8_t)number;
		return true;
	case SHAPE_IP:
		return text && ip_parse(text, value);
	case SHAPE_PREFIX:
		return text && prefix_parse(text, value);
	case SHAPE_MAC:
	case SHAPE_BYTES6:
		mac = text ? span_mac(span_of(text)) : (struct mac){};
		if (member->kind == SHAPE_MAC)
			*(struct mac *)value = mac;
		else
			memcpy(value, mac.bytes, sizeof(mac.bytes));
		return mac.known;
	case SHAPE_FIELD:
		return read_field(text, value);
	case SHAPE_TYPE:
		return read_type(text, value);
	case SHAPE_ORIGIN:
		if (text)
			read_origin(reader->pool, text, value);
		return text != NULL;
	case SHAPE_TEXT:
	case SHAPE_TEXTS:
	case SHAPE_ENUMS:
	case SHAPE_IPS:
	case SHAPE_STRUCT:
	case SHAPE_POINTER:
	case SHAPE_POINTERS:
	case SHAPE_LIST:
		break;
	}
	return false;
}

static bool read_object(struct shape_reader *reader, const struct shape *shape, const json_t *json, void *object);

static bool read_items(struct shape_reader *reader, const struct member *member, const json_t *json, void *object)
{
	size_t count = json_array_size(json), size = member->kind == SHAPE_LIST	   ? member->shape->size
						     : member->kind == SHAPE_IPS   ? sizeof(struct ip)
						     : member->kind == SHAPE_ENUMS ? sizeof(enum datatype)
										   : sizeof(void *);
	char *items = count ? arena_alloc(reader->pool->arena, count * size) : NULL;

	if (!json_is_array(json))
		return wrong(reader, member, "is no array");
	for (size_t i = 0; i < count; i++) {
		const json_t *element = json_array_get(json, i);
		const char *text = json_string_value(element);
		void *item = items + i * size, *inner = item;
		bool fine;

		if (member->kind == SHAPE_TEXTS) {
			fine = text != NULL;
			*(const char **)item = pool_text(reader->pool, text);
		} else if (member->kind == SHAPE_IPS) {
			fine = text && ip_parse(text, item);
		} else if (member->kind == SHAPE_ENUMS) {
			fine = json_is_null(element) || read_type(text, item);
		} else {
			if (member->kind == SHAPE_POINTERS)
				inner = *(void **)item = arena_alloc(reader->pool->arena, member->shape->size);
			if (!read_object(reader, member->shape, element, inner)) {
				*reader->why =
					arena_printf(reader->pool->arena, "%s[%zu].%s", member->name, i, *reader->why);
				return false;
			}
			fine = true;
		}
		if (!fine)
			return wrong(reader, member, "an element is of the wrong kind");
	}
	*(void **)((char *)object + member->offset) = items;
	*(size_t *)((char *)object + member->count) = count;
	return true;
}

static bool read_member(struct shape_reader *reader, const struct member *member, const json_t *json, void *object)
{
	void *value = (char *)object + member->offset, *inner = value;

	switch (member->kind) {
	case SHAPE_TEXT:
		if (!json_is_string(json))
			return wrong(reader, member, "is no text");
		*(const char **)value = pool_text(reader->pool, json_string_value(json));
		return true;
	case SHAPE_TEXTS:
	case SHAPE_ENUMS:
	case SHAPE_IPS:
	case SHAPE_POINTERS:
	case SHAPE_LIST:
		return read_items(reader, member, json, object);
	case SHAPE_POINTER:
		inner = *(void **)value = arena_alloc(reader->pool->arena, member->shape->size);
		__attribute__((fallthrough));
	case SHAPE_STRUCT:
		if (read_object(reader, member->shape, json, inner))
			return true;
		*reader->why = arena_printf(reader->pool->arena, "%s.%s", member->name, *reader->why);
		return false;
	case SHAPE_NUMBER:
	case SHAPE_UINT8:
	case SHAPE_UINT16:
	case SHAPE_UINT32:
	case SHAPE_UINT64:
	case SHAPE_INT32:
	case SHAPE_BOOL:
	case SHAPE_TRUTH:
	case SHAPE_ENUM:
	case SHAPE_BITS:
	case SHAPE_FAMILY:
	case SHAPE_ROUTE_TYPE:
	case SHAPE_IP:
	case SHAPE_PREFIX:
	case SHAPE_MAC:
	case SHAPE_BYTES6:
	case SHAPE_FIELD:
	case SHAPE_TYPE:
	case SHAPE_ORIGIN:
		return read_small(reader, member, json, value) || wrong(reader, member, "is of the wrong kind");
	}
	return false;
}

static bool read_object(struct shape_reader *reader, const struct shape *shape, const json_t *json, void *object)
{
	if (!json_is_object(json) || reader->depth >= DEPTH_MAX) {
		*reader->why = "is no object";
		return false;
	}
	reader->depth++;
	for (const struct member *member = shape->members; member->name; member++) {
		const json_t *value = json_object_get(json, member->name);

		/* The kind stands first in its table, so that it is known when the others are read. */
		if (!applies(shape, member, object))
			continue;
		if (!value || json_is_null(value)) {
			if (member->required)
				return wrong(reader, member, "is missing");
			continue;
		}
		if (!read_member(reader, member, value, object))
			return false;
	}
	reader->depth--;
	*reader->why = shape->check ? shape->check(object) : NULL;
	return !*reader->why;
}

bool shape_read(struct pool *pool, const struct shape *shape, const json_t *json, void *object, const char **why)
{
	struct shape_reader reader = {.pool = pool, .why = why};

	return read_object(&reader, shape, json, object);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool equal_items(const struct member *member, const void *a, const void *b)
{
	const char *left = *(const char *const *)at(a, member->offset),
		   *right = *(const char *const *)at(b, member->offset);
	size_t count = count_of(member, a);

	if (count != count_of(member, b))
		return false;
	for (size_t i = 0; i < count; i++) {
		bool equal;

		if (member->kind == SHAPE_LIST)
			equal = shape_equal(member->shape, left + i * member->shape->size,
					    right + i * member->shape->size);
		else if (member->kind == SHAPE_TEXTS)
			equal = same_text(((const char *const *)left)[i], ((const char *const *)right)[i]);
		else if (member->kind == SHAPE_IPS)
			equal = ip_equal(&((const struct ip *)left)[i], &((const struct ip *)right)[i]);
		else if (member->kind == SHAPE_ENUMS)
			equal = ((const enum datatype *)left)[i] == ((const enum datatype *)right)[i];
		else
			equal = shape_equal(member->shape, ((const void *const *)left)[i],
					    ((const void *const *)right)[i]);
		if (!equal)
			return false;
	}
	return true;
}

/* Values that are as large as they look: what JSON says of them is what they are. */
static bool equal_small(const struct member *member, const void *a, const void *b)
{
	cleanup_json json_t *left = write_small(member, a), *right = write_small(member, b);

	return left == right || (left && right && json_equal(left, right));
}

static bool equal_member(const struct member *member, const void *a, const void *b)
{
	const void *left = at(a, member->offset), *right = at(b, member->offset);
	const void *left_pointer, *right_pointer;

	switch (member->kind) {
	case SHAPE_TEXT:
		return same_text(*(const char *const *)left, *(const char *const *)right);
	case SHAPE_TEXTS:
	case SHAPE_ENUMS:
	case SHAPE_IPS:
	case SHAPE_POINTERS:
	case SHAPE_LIST:
		return equal_items(member, a, b);
	case SHAPE_POINTER:
		left_pointer = *(const void *const *)left;
		right_pointer = *(const void *const *)right;
		return left_pointer && right_pointer ? shape_equal(member->shape, left_pointer, right_pointer)
						     : left_pointer == right_pointer;
	case SHAPE_STRUCT:
		return shape_equal(member->shape, left, right);
	case SHAPE_NUMBER:
	case SHAPE_UINT8:
	case SHAPE_UINT16:
	case SHAPE_UINT32:
	case SHAPE_UINT64:
	case SHAPE_INT32:
	case SHAPE_BOOL:
	case SHAPE_TRUTH:
	case SHAPE_ENUM:
	case SHAPE_BITS:
	case SHAPE_FAMILY:
	case SHAPE_ROUTE_TYPE:
	case SHAPE_IP:
	case SHAPE_PREFIX:
	case SHAPE_MAC:
	case SHAPE_BYTES6:
	case SHAPE_FIELD:
	case SHAPE_TYPE:
	case SHAPE_ORIGIN:
		return equal_small(member, left, right);
	}
	return false;
}

bool shape_equal(const struct shape *shape, const void *a, const void *b)
{
	for (const struct member *member = shape->members; member->name; member++) {
		bool applies_a = applies(shape, member, a);

		if (applies_a != applies(shape, member, b) || (applies_a && !equal_member(member, a, b)))
			return false;
	}
	return true;
}

static json_t *names_schema(const struct member *member)
{
	json_t *names = json_array();

	for (size_t i = 0; i < member->name_count; i++)
		if (member->names[i])
			json_array_append_new(names, json_string(member->names[i]));
	return json_pack("{s:o}", "enum", names);
}

static json_t *array_schema(json_t *items)
{
	return json_pack("{s:s, s:o}", "type", "array", "items", items);
}

static json_t *member_schema(const struct member *member, json_t *definitions)
{
	switch (member->kind) {
	case SHAPE_NUMBER:
	case SHAPE_UINT8:
	case SHAPE_UINT16:
	case SHAPE_UINT32:
	case SHAPE_UINT64:
		return json_pack("{s:[s,s]}", "type", "integer", "string");
	case SHAPE_INT32:
		return json_pack("{s:s}", "type", "integer");
	case SHAPE_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case SHAPE_TRUTH:
		return json_pack("{s:[s,s]}", "enum", "yes", "no");
	case SHAPE_FAMILY:
		return json_pack("{s:[s,s]}", "enum", "ip", "ip6");
	case SHAPE_ENUM:
		return names_schema(member);
	case SHAPE_BITS:
		return array_schema(names_schema(member));
	case SHAPE_TEXTS:
	case SHAPE_IPS:
		return array_schema(json_pack("{s:s}", "type", "string"));
	case SHAPE_ENUMS:
		return array_schema(json_pack("{s:[s,s]}", "type", "string", "null"));
	case SHAPE_STRUCT:
	case SHAPE_POINTER:
		return shape_schema(member->shape, definitions);
	case SHAPE_POINTERS:
	case SHAPE_LIST:
		return array_schema(shape_schema(member->shape, definitions));
	case SHAPE_TEXT:
	case SHAPE_ROUTE_TYPE:
	case SHAPE_IP:
	case SHAPE_PREFIX:
	case SHAPE_MAC:
	case SHAPE_BYTES6:
	case SHAPE_FIELD:
	case SHAPE_TYPE:
	case SHAPE_ORIGIN:
		return json_pack("{s:s}", "type", "string");
	}
	return NULL;
}

json_t *shape_schema(const struct shape *shape, json_t *definitions)
{
	cleanup_json json_t *required = json_array();
	json_t *properties, *definition;
	char reference[80];

	snprintf(reference, sizeof(reference), "#/$defs/%s", shape->name);
	if (!json_object_get(definitions, shape->name)) {
		properties = json_object();
		definition = json_pack("{s:s, s:o}", "type", "object", "properties", properties);
		if (shape->help)
			json_object_set_new(definition, "description", json_string(shape->help));
		json_object_set_new(definitions, shape->name,
				    definition); /* before its members, which may refer to it */
		for (const struct member *member = shape->members; member->name; member++) {
			json_t *schema = member_schema(member, definitions);

			if (member->required && !member->when)
				json_array_append_new(required, json_string(member->name));
			if (member->help)
				json_object_set_new(schema, "description", json_string(member->help));
			json_object_set_new(properties, member->name, schema);
		}
		if (json_array_size(required) > 0)
			json_object_set(definition, "required", required);
	}
	return json_pack("{s:s}", "$ref", reference);
}
