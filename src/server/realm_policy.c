/* The policy of the mesh on RUNDIR/realm.sock:
 *
 *	GET  /v1/policy			version and text in force
 *	GET  /v1/policy/N		of another version
 *	GET  /v1/policy/history		{"versions": [...]}, the newest first
 *	PUT  /v1/policy			{"text", "note"}: refused unless its tests pass
 *	POST /v1/policy/rollback	{"version"}: 0 is to no policy at all
 *	POST /v1/policy/check		{"text"} -> {"ok", "problems"}
 *	POST /v1/policy/explain		{"from", "to", "protocol"} -> {"allowed", "text"}
 *	POST /v1/policy/who-can		{"to", "protocol"} -> {"text"}
 *	POST /v1/policy/diff		{"text"} or {"version"} -> {"changes", "text"}
 */
#include <jansson.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/text.h"
#include "server/realm_admin.h"

enum { NOTE_BYTES_MAX = 200 };

static json_t *slice_json(struct slice s)
{
	return json_stringn(s.size ? (const char *)s.data : "", s.size);
}

static struct slice member(const json_t *body, const char *name)
{
	const json_t *value = json_object_get(body, name);

	return json_is_string(value) ? (struct slice) { (const uint8_t *)json_string_value(value),
							json_string_length(value) }
				     : (struct slice) { 0 };
}

/* --- looking -----------------------------------------------------------------------------------
 */

static void answer_text(struct http_exchange *e, int64_t version, struct slice text)
{
	realm_admin_answer(e, 200,
			   json_pack("{s:I, s:o}", "version", (json_int_t)version, "text",
				     slice_json(text)));
}

static void get_newest(struct realm_role *role, struct http_exchange *e)
{
	struct slice text;
	int64_t version = realm_policy_get(role->realm, &text);

	answer_text(e, version, text);
}

static void get_version(struct realm_role *role, struct http_exchange *e, struct slice number)
{
	struct slice text;
	uint64_t version;
	struct arena a;

	arena_init(&a);
	if (text_to_u64(number, INT64_MAX, &version) ||
	    realm_policy_text(&a, role->realm, (int64_t)version, &text))
		realm_admin_error(e, 404,
				  "there is no such policy: `hanse policy history` shows "
				  "which there are");
	else
		answer_text(e, (int64_t)version, text);
	arena_done(&a);
}

static void get_history(struct realm_role *role, struct http_exchange *e)
{
	struct policy_row *rows;
	size_t count;
	struct arena a;
	json_t *list = json_array();

	arena_init(&a);
	realm_policy_history(&a, role->realm, &rows, &count);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_pack("{s:I, s:I, s:I, s:o}", "version",
						      (json_int_t)rows[i].version, "created_s",
						      (json_int_t)rows[i].created_s, "bytes",
						      (json_int_t)rows[i].bytes, "note",
						      slice_json(rows[i].note)));
	arena_done(&a);
	realm_admin_answer(e, 200, json_pack("{s:o}", "versions", list));
}

/* --- changing ----------------------------------------------------------------------------------
 */

static void edited(struct operation *o, enum err err)
{
	struct policy_edit *p = CONTAINER(o, struct policy_edit, operation);
	struct http_exchange *e = o->context;

	if (!err) {
		realm_admin_answer(e, 200,
				   json_pack("{s:I, s:o}", "version", (json_int_t)p->version,
					     "problems", slice_json(p->problems)));
		return;
	}
	if (p->problems.size)
		realm_admin_error(e, realm_admin_status(err),
				  arena_format(&o->arena, "%s:\n%.*s", o->why,
					       (int)p->problems.size - 1,
					       (const char *)p->problems.data));
	else
		realm_admin_error(e, realm_admin_status(err), o->why);
}

static void edit(struct realm_role *role, struct http_exchange *e, const json_t *body,
		 bool is_rollback)
{
	struct policy_edit *p = NEW(struct policy_edit);
	struct arena *a = &p->operation.arena;
	struct slice note = member(body, "note");

	operation_init(&p->operation, role->realm);
	p->is_rollback = is_rollback;
	p->version = json_integer_value(json_object_get(body, "version"));
	p->text = arena_copy(a, member(body, "text"));
	p->note = arena_copy(a, slice_part(note, 0, NOTE_BYTES_MAX));
	policy_edit_start(p, edited, e);
}

static void put_policy(struct realm_role *role, struct http_exchange *e, const json_t *body)
{
	if (member(body, "text").size == 0)
		realm_admin_error(e, 400,
				  "a policy has a text; `hanse policy rollback 0` takes it away");
	else
		edit(role, e, body, false);
}

static void roll_back(struct realm_role *role, struct http_exchange *e, const json_t *body)
{
	if (!json_is_integer(json_object_get(body, "version")) ||
	    json_integer_value(json_object_get(body, "version")) < 0)
		realm_admin_error(e, 400, "to which version?");
	else
		edit(role, e, body, true);
}

/* --- asking ------------------------------------------------------------------------------------
 */

static void check(struct realm_role *role, struct http_exchange *e, const json_t *body)
{
	struct buf problems;

	buf_init(&problems);
	enum err err = realm_policy_examine(role->realm, member(body, "text"), &problems);
	realm_admin_answer(e, 200,
			   json_pack("{s:b, s:o}", "ok", !err, "problems",
				     slice_json(buf_slice(&problems))));
	buf_done(&problems);
}

static void explain(struct realm_role *role, struct http_exchange *e, const json_t *body)
{
	char why[REALM_WHY_BYTES] = "the policy is too large";
	bool is_allowed = false;
	struct buf text;

	buf_init(&text);
	enum err err = realm_policy_explain(role->realm, member(body, "from"), member(body, "to"),
					    member(body, "protocol"), &text, &is_allowed, why);
	if (err)
		realm_admin_error(e, realm_admin_status(err), why);
	else
		realm_admin_answer(e, 200,
				   json_pack("{s:b, s:o}", "allowed", is_allowed, "text",
					     slice_json(buf_slice(&text))));
	buf_done(&text);
}

static void who_can(struct realm_role *role, struct http_exchange *e, const json_t *body)
{
	char why[REALM_WHY_BYTES] = "the policy is too large";
	struct buf text;

	buf_init(&text);
	enum err err = realm_policy_who(role->realm, member(body, "to"), member(body, "protocol"),
					&text, why);
	if (err)
		realm_admin_error(e, realm_admin_status(err), why);
	else
		realm_admin_answer(e, 200,
				   json_pack("{s:o}", "text", slice_json(buf_slice(&text))));
	buf_done(&text);
}

static void diff(struct realm_role *role, struct http_exchange *e, const json_t *body)
{
	int64_t version = json_integer_value(json_object_get(body, "version"));
	struct slice text = member(body, "text");
	size_t lines = 0;
	struct arena a;
	struct buf ret;

	arena_init(&a);
	buf_init(&ret);
	enum err err = version > 0 ? realm_policy_text(&a, role->realm, version, &text) : OK;
	if (err) {
		realm_admin_error(e, 404,
				  "there is no such policy: `hanse policy history` shows "
				  "which there are");
	} else if (realm_policy_difference(role->realm, text, &ret, &lines)) {
		realm_admin_error(e, 400,
				  arena_format(&a, "the policy is refused:\n%.*s",
					       ret.size ? (int)ret.size - 1 : 0,
					       (const char *)ret.data));
	} else {
		realm_admin_answer(e, 200,
				   json_pack("{s:I, s:o}", "changes", (json_int_t)lines, "text",
					     slice_json(buf_slice(&ret))));
	}
	buf_done(&ret);
	arena_done(&a);
}

/* --- the table ---------------------------------------------------------------------------------
 */

static const struct {
	const char *method, *name;
	void (*run)(struct realm_role *role, struct http_exchange *e, const json_t *body);
} operations[] = {
	{ "PUT", "", put_policy },	{ "POST", "rollback", roll_back },
	{ "POST", "check", check },	{ "POST", "explain", explain },
	{ "POST", "who-can", who_can }, { "POST", "diff", diff },
};

void realm_policy_on_request(struct realm_role *role, struct http_exchange *e, struct slice rest)
{
	if (strcmp(e->method, "GET") == 0) {
		if (rest.size == 0)
			get_newest(role, e);
		else if (slice_equal(rest, SLICE("history")))
			get_history(role, e);
		else
			get_version(role, e, rest);
		return;
	}
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		json_t *body;

		if (strcmp(e->method, operations[i].method) != 0 ||
		    !slice_equal(rest, slice_from(operations[i].name)))
			continue;
		body = json_loadb((const char *)e->body.data, e->body.size, 0, NULL);
		operations[i].run(role, e, body);
		json_decref(body);
		return;
	}
	realm_admin_error(e, 404, "no such path");
}
