#include "wire/control/json_writer.h"

#include "wire/control/time_text.h"

static void before_value(struct json_writer *w)
{
	if (w->needs_comma)
		buf_add_u8(w->b, ',');
	w->needs_comma = true;
}

void json_begin(struct json_writer *w, char bracket)
{
	before_value(w);
	buf_add_u8(w->b, (uint8_t)bracket);
	w->needs_comma = false;
}

void json_end(struct json_writer *w, char bracket)
{
	buf_add_u8(w->b, (uint8_t)bracket);
	w->needs_comma = true;
}

static void add_quoted(struct buf *b, struct slice text)
{
	size_t plain = 0;

	buf_add_u8(b, '"');
	for (size_t i = 0; i < text.size; i++) {
		uint8_t c = text.data[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buf_add(b, text.data + plain, i - plain);
		plain = i + 1;
		if (c < 0x20) {
			buf_add_format(b, "\\u%04x", c);
		} else {
			buf_add_u8(b, '\\');
			buf_add_u8(b, c);
		}
	}
	if (text.size > plain)
		buf_add(b, text.data + plain, text.size - plain);
	buf_add_u8(b, '"');
}

void json_name(struct json_writer *w, const char *name)
{
	before_value(w);
	add_quoted(w->b, slice_from(name));
	buf_add_u8(w->b, ':');
	w->needs_comma = false;
}

void json_text(struct json_writer *w, struct slice text)
{
	before_value(w);
	add_quoted(w->b, text);
}

void json_int(struct json_writer *w, int64_t value)
{
	before_value(w);
	buf_add_format(w->b, "%lld", (long long)value);
}

void json_bool(struct json_writer *w, bool value)
{
	before_value(w);
	buf_add_text(w->b, value ? "true" : "false");
}

void json_raw(struct json_writer *w, struct slice json)
{
	before_value(w);
	buf_add_slice(w->b, json);
}

/* --- members -----------------------------------------------------------------------------------
 */

void json_put_text(struct json_writer *w, const char *name, struct slice text)
{
	json_name(w, name);
	json_text(w, text);
}

void json_put_int(struct json_writer *w, const char *name, int64_t value)
{
	json_name(w, name);
	json_int(w, value);
}

void json_put_bool(struct json_writer *w, const char *name, bool value)
{
	json_name(w, name);
	json_bool(w, value);
}

void json_put_key(struct json_writer *w, const char *name, enum mesh_key_kind kind,
		  const struct mesh_key *key)
{
	char text[MESH_KEY_TEXT_BYTES];

	mesh_key_text(kind, key, text);
	json_put_text(w, name, slice_from(text));
}

void json_put_time(struct json_writer *w, const char *name, int64_t time_s)
{
	char text[TIME_TEXT_BYTES];

	time_text(time_s, text);
	json_put_text(w, name, slice_from(text));
}

void json_put_texts(struct json_writer *w, const char *name, const struct slice *texts,
		    size_t count)
{
	json_name(w, name);
	json_begin(w, '[');
	for (size_t i = 0; i < count; i++)
		json_text(w, texts[i]);
	json_end(w, ']');
}

void json_put_prefixes(struct json_writer *w, const char *name, const struct ip_prefix *prefixes,
		       size_t count)
{
	char text[IP_PREFIX_TEXT_BYTES];

	json_name(w, name);
	json_begin(w, '[');
	for (size_t i = 0; i < count; i++) {
		ip_prefix_text(prefixes[i], text);
		json_text(w, slice_from(text));
	}
	json_end(w, ']');
}

void json_put_endpoints(struct json_writer *w, const char *name, const struct endpoint *endpoints,
			size_t count)
{
	char text[ENDPOINT_TEXT_BYTES];

	json_name(w, name);
	json_begin(w, '[');
	for (size_t i = 0; i < count; i++) {
		endpoint_text(&endpoints[i], text);
		json_text(w, slice_from(text));
	}
	json_end(w, ']');
}

void json_put_caps(struct json_writer *w, const char *name, const struct control_cap *caps,
		   size_t count)
{
	struct arena a;

	arena_init(&a);
	json_name(w, name);
	json_begin(w, '{');
	for (size_t i = 0; i < count; i++) {
		json_name(w, arena_text(&a, caps[i].name));
		json_raw(w, caps[i].values.size ? caps[i].values : SLICE("[]"));
	}
	json_end(w, '}');
	arena_done(&a);
}
