#include "wire/control/json_reader.h"

#include "base/text.h"
#include "wire/control/time_text.h"

void json_reader_init(struct json_reader *r, struct arena *a, struct slice text)
{
	*r = (struct json_reader) { .a = a };
	r->root = json_loadb((const char *)text.data, text.size, 0, NULL);
	if (!json_is_object(r->root)) {
		json_reader_done(r);
		r->err = ERR_INVALID;
	}
}

void json_reader_done(struct json_reader *r)
{
	json_decref(r->root);
	r->root = NULL;
}

void json_reader_fail(struct json_reader *r, enum err err)
{
	if (!r->err)
		r->err = err;
}

/* The member if it is there and of that type. */
static const json_t *member(struct json_reader *r, const json_t *object, const char *name,
			    json_type type)
{
	const json_t *value = json_object_get(object, name);

	if (!value || json_is_null(value))
		return NULL;
	if (json_typeof(value) != type) {
		json_reader_fail(r, ERR_INVALID);
		return NULL;
	}
	return value;
}

const json_t *json_get_object(struct json_reader *r, const json_t *object, const char *name,
			      size_t max)
{
	const json_t *value = member(r, object, name, JSON_OBJECT);

	if (value && json_object_size(value) > max) {
		json_reader_fail(r, ERR_TOO_BIG);
		return NULL;
	}
	return value;
}

const json_t *json_get_array(struct json_reader *r, const json_t *object, const char *name,
			     size_t max)
{
	const json_t *value = member(r, object, name, JSON_ARRAY);

	if (value && json_array_size(value) > max) {
		json_reader_fail(r, ERR_TOO_BIG);
		return NULL;
	}
	return value;
}

/* --- single values -----------------------------------------------------------------------------
 */

struct slice json_text_value(struct json_reader *r, const json_t *value, size_t bytes_max)
{
	struct slice none = { 0 };

	if (!json_is_string(value)) {
		json_reader_fail(r, ERR_INVALID);
		return none;
	}
	size_t size = json_string_length(value);
	if (size > bytes_max) {
		json_reader_fail(r, ERR_TOO_BIG);
		return none;
	}
	if (size == 0)
		return none;
	return arena_copy(r->a, (struct slice) { (const uint8_t *)json_string_value(value), size });
}

struct slice json_get_text(struct json_reader *r, const json_t *object, const char *name,
			   size_t bytes_max)
{
	const json_t *value = member(r, object, name, JSON_STRING);

	return value ? json_text_value(r, value, bytes_max) : (struct slice) { 0 };
}

int64_t json_get_int(struct json_reader *r, const json_t *object, const char *name, int64_t min,
		     int64_t max)
{
	const json_t *value = member(r, object, name, JSON_INTEGER);

	if (!value)
		return 0;
	int64_t number = json_integer_value(value);
	if (number < min || number > max) {
		json_reader_fail(r, ERR_INVALID);
		return 0;
	}
	return number;
}

double json_get_real(struct json_reader *r, const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_number(value))
		json_reader_fail(r, ERR_INVALID);
	return json_number_value(value);
}

enum control_maybe json_get_maybe(struct json_reader *r, const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	if (!value || json_is_null(value))
		return CONTROL_UNSAID;
	if (!json_is_boolean(value)) {
		json_reader_fail(r, ERR_INVALID);
		return CONTROL_UNSAID;
	}
	return json_is_true(value) ? CONTROL_YES : CONTROL_NO;
}

bool json_get_bool(struct json_reader *r, const json_t *object, const char *name)
{
	return json_get_maybe(r, object, name) == CONTROL_YES;
}

struct mesh_key json_get_key(struct json_reader *r, const json_t *object, const char *name,
			     enum mesh_key_kind kind)
{
	const json_t *value = member(r, object, name, JSON_STRING);
	struct mesh_key key = { { 0 } };

	if (value && json_string_length(value) > 0 &&
	    mesh_key_parse(kind, slice_from(json_string_value(value)), &key))
		json_reader_fail(r, ERR_INVALID);
	return key;
}

int64_t json_get_time(struct json_reader *r, const json_t *object, const char *name)
{
	const json_t *value = member(r, object, name, JSON_STRING);
	int64_t time_s = 0;

	if (value && time_parse(slice_from(json_string_value(value)), &time_s))
		json_reader_fail(r, ERR_INVALID);
	return time_s;
}

struct slice json_value_text(struct json_reader *r, const json_t *value, size_t bytes_max)
{
	size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
	size_t size = json_dumpb(value, NULL, 0, flags);

	if (size == 0 || size > bytes_max) {
		json_reader_fail(r, size ? ERR_TOO_BIG : ERR_INVALID);
		return (struct slice) { 0 };
	}
	char *text = arena_take(r->a, size);
	if (json_dumpb(value, text, size, flags) != size)
		json_reader_fail(r, ERR_INVALID);
	return (struct slice) { (uint8_t *)text, size };
}

int64_t json_name_int(struct json_reader *r, const char *name, int64_t max)
{
	uint64_t value = 0;

	if (text_to_u64(slice_from(name), (uint64_t)max, &value))
		json_reader_fail(r, ERR_INVALID);
	return (int64_t)value;
}

/* --- arrays ------------------------------------------------------------------------------------
 */

struct slice *json_get_texts(struct json_reader *r, const json_t *object, const char *name,
			     size_t max, size_t *ret_count)
{
	const json_t *array = json_get_array(r, object, name, max);
	size_t count = json_array_size(array);
	struct slice *texts = count ? arena_take_array(r->a, count, sizeof(*texts)) : NULL;

	for (size_t i = 0; i < count; i++)
		texts[i] = json_text_value(r, json_array_get(array, i), CONTROL_TEXT_BYTES_MAX);
	*ret_count = count;
	return texts;
}

struct ip_prefix *json_get_prefixes(struct json_reader *r, const json_t *object, const char *name,
				    size_t max, size_t *ret_count)
{
	const json_t *array = json_get_array(r, object, name, max);
	size_t count = json_array_size(array);
	struct ip_prefix *prefixes =
		count ? arena_take_array(r->a, count, sizeof(*prefixes)) : NULL;

	for (size_t i = 0; i < count; i++) {
		const char *text = json_string_value(json_array_get(array, i));

		if (!text || ip_prefix_parse(slice_from(text), &prefixes[i]))
			json_reader_fail(r, ERR_INVALID);
	}
	*ret_count = count;
	return prefixes;
}

struct endpoint *json_get_endpoints(struct json_reader *r, const json_t *object, const char *name,
				    size_t *ret_count)
{
	const json_t *array = json_get_array(r, object, name, CONTROL_ENDPOINTS_MAX);
	size_t count = json_array_size(array);
	struct endpoint *endpoints =
		count ? arena_take_array(r->a, count, sizeof(*endpoints)) : NULL;

	for (size_t i = 0; i < count; i++) {
		const char *text = json_string_value(json_array_get(array, i));

		if (!text || endpoint_parse(slice_from(text), &endpoints[i]))
			json_reader_fail(r, ERR_INVALID);
	}
	*ret_count = count;
	return endpoints;
}

struct control_cap *json_get_caps(struct json_reader *r, const json_t *object, const char *name,
				  size_t *ret_count)
{
	const json_t *map = json_get_object(r, object, name, CONTROL_CAPS_MAX);
	size_t count = json_object_size(map);
	struct control_cap *caps = count ? arena_take_array(r->a, count, sizeof(*caps)) : NULL;
	size_t i = 0;

	for (void *it = json_object_iter((json_t *)(uintptr_t)map); it;
	     it = json_object_iter_next((json_t *)(uintptr_t)map, it), i++) {
		const json_t *values = json_object_iter_value(it);
		struct slice cap = slice_from(json_object_iter_key(it));

		if (cap.size > CONTROL_NAME_BYTES_MAX)
			json_reader_fail(r, ERR_TOO_BIG);
		caps[i].name = arena_copy(r->a, cap);
		caps[i].values = SLICE("[]");
		if (json_is_array(values))
			caps[i].values = json_value_text(r, values, CONTROL_CAP_BYTES_MAX);
		else if (!json_is_null(values))
			json_reader_fail(r, ERR_INVALID);
	}
	*ret_count = count;
	return caps;
}
