/* hanse key create, list, revoke: keys with which machines join a mesh.  Other keys, those of
 * sealed clusters, are key.c's. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/duration.h"
#include "cli/mesh.h"
#include "cli/output.h"
#include "wire/crypto/wipe.h"
#include "wire/join_key.h"

enum { KEY_LIFETIME_S = 7 * 86400, USES_MAX = 1000000, KEY_TARGET_BYTES = 64 };

static json_t *tags_of(const char *text)
{
	struct slice rest = slice_from(text);
	json_t *array = json_array();

	while (rest.size) {
		struct slice tag = slice_cut(&rest, ',');

		if (tag.size)
			json_array_append_new(array, output_json_text(tag));
	}
	return array;
}

/* The secret goes to standard output, where the person wants it, alone. */
static void print_key(const json_t *answer)
{
	const char *key = json_string_value(json_object_get(answer, "key"));
	const char *secret = json_string_value(json_object_get(answer, "secret"));
	struct join_key parts;

	printf("%s\n", key);
	fflush(stdout);
	say_more("Run `hanse up --join KEY` with it on the new machine, or, with the official "
		 "client,");
	bool is_read = join_key_parse(slice_from(key), &parts) == OK;
	say_more("`tailscale up --login-server %s --auth-key %s`.", is_read ? parts.urls[0] : "URL",
		 secret);
	crypto_wipe(&parts, sizeof(parts));
	say_more("It is not shown again.");
}

enum command_status key_create_run(const struct command_line *l)
{
	const char *expires = command_line_value(l, FLAG_EXPIRES, "");
	const char *uses = command_line_value(l, FLAG_USES, "1");
	int64_t lifetime_s = KEY_LIFETIME_S;
	uint64_t uses_max = 1;
	json_t *answer;

	if (strcmp(expires, "never") == 0) {
		lifetime_s = 0;
	} else if (expires[0] && duration_parse(slice_from(expires), &lifetime_s)) {
		say("--expires %.40s: it is never, or a number with d, h, m or s, as in 90d",
		    expires);
		return COMMAND_MISUSED;
	}
	if (strcmp(uses, "any") == 0) {
		uses_max = 0;
	} else if (text_to_u64(slice_from(uses), USES_MAX, &uses_max) || uses_max == 0) {
		say("--uses is any, or 1 to %d", USES_MAX);
		return COMMAND_MISUSED;
	}
	enum command_status status =
		local_request(l, "realm.sock", "POST", "/v1/keys",
			      json_pack("{s:I, s:I, s:o, s:s, s:b}", "expiry_s",
					(json_int_t)lifetime_s, "uses", (json_int_t)uses_max,
					"tags", tags_of(command_line_value(l, FLAG_TAGS, "")),
					"user", command_line_value(l, FLAG_USER, ""), "ephemeral",
					command_line_has(l, FLAG_EPHEMERAL)),
			      0, &answer);
	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		return output_json(answer);
	print_key(answer);
	json_decref(answer);
	return COMMAND_DONE;
}

static struct slice state_of(struct arena *a, const json_t *key)
{
	int64_t expiry_s = json_integer_value(json_object_get(key, "expiry_s"));
	int64_t left_s = expiry_s - clock_wall_ms() / 1000;
	int64_t max = json_integer_value(json_object_get(key, "uses_max"));
	char text[DURATION_TEXT_BYTES];

	if (json_is_true(json_object_get(key, "revoked")))
		return SLICE("revoked");
	if (max && json_integer_value(json_object_get(key, "uses")) >= max)
		return SLICE("used up");
	if (expiry_s == 0)
		return SLICE("good for ever");
	if (left_s <= 0)
		return SLICE("expired");
	duration_text(left_s, text);
	return slice_from(arena_format(a, "good for %s", text));
}

static struct slice uses_of(struct arena *a, const json_t *key)
{
	json_int_t uses = json_integer_value(json_object_get(key, "uses"));
	json_int_t max = json_integer_value(json_object_get(key, "uses_max"));

	if (max == 0)
		return slice_from(arena_format(a, "%" PRId64 " of any", (int64_t)uses));
	return slice_from(arena_format(a, "%" PRId64 " of %" PRId64, (int64_t)uses, (int64_t)max));
}

static struct slice tag_text(struct arena *a, const json_t *key)
{
	const json_t *tag;
	struct buf text;
	size_t i;

	buf_init(&text);
	json_array_foreach(json_object_get(key, "tags"), i, tag)
		buf_add_format(&text, "%s%s", i ? "," : "", json_string_value(tag));
	struct slice ret = text.size ? output_printable(a, buf_slice(&text)) : (struct slice) { 0 };
	buf_done(&text);
	return ret;
}

enum command_status key_list_run(const struct command_line *l)
{
	static const char *const headings[] = {
		"ID", "BEGINS", "STATE", "USES", "TAGS", "FOR", NULL
	};
	struct arena a;
	struct table t;
	json_t *answer, *it;
	size_t i;

	enum command_status status =
		local_request(l, "realm.sock", "GET", "/v1/keys", NULL, 0, &answer);
	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		return output_json(answer);
	arena_init(&a);
	table_init(&t, &a, headings);
	json_array_foreach(json_object_get(answer, "keys"), i, it)
	{
		table_add_number(&t, json_integer_value(json_object_get(it, "id")));
		table_add_text(&t, mesh_text(&a, it, "hint"));
		table_add_text(&t, state_of(&a, it));
		table_add_text(&t, uses_of(&a, it));
		table_add_text(&t, tag_text(&a, it));
		table_add_text(&t, mesh_text(&a, it, "description"));
	}
	table_print(&t, stdout);
	table_done(&t);
	arena_done(&a);
	json_decref(answer);
	return COMMAND_DONE;
}

enum command_status key_revoke_run(const struct command_line *l)
{
	char target[KEY_TARGET_BYTES];
	uint64_t id;
	json_t *answer;

	if (text_to_u64(slice_from(l->arguments[0]), INT64_MAX, &id)) {
		say("a join key has a number: `hanse key list` shows it");
		return COMMAND_MISUSED;
	}
	snprintf(target, sizeof(target), "/v1/keys/%" PRIu64, id);
	enum command_status status =
		local_request(l, "realm.sock", "DELETE", target, NULL, 0, &answer);
	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		return output_json(answer);
	say("join key %" PRIu64 " lets nobody in any more; who came in with it stays", id);
	json_decref(answer);
	return COMMAND_DONE;
}
