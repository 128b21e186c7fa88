/* /v1/users of the admin API: GET lists them, POST changes one:
 *
 *	{"do": "add", "name": "alice", "admin": false, "verifiers": [
 *	  {"mechanism": "SCRAM-SHA-256", "iterations": 4096, "salt": HEX, "stored_key": HEX,
 *	   "server_key": HEX}]}
 *
 * "do" is add, password or remove.  No password comes here. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "server/admin_answer.h"
#include "server/control_role.h"
#include "streams/coordinator/users.h"

struct user_request {
	struct task task;
	struct control *control;
	struct http_exchange *exchange;
	struct user_change change;
	struct arena arena;
	json_t *body;
};

/* --- reading ----------------------------------------------------------------------------------
 */

static bool read_hex(struct arena *a, const json_t *object, const char *name, struct slice *ret)
{
	struct slice hex = admin_text(object, name);
	uint8_t *bytes = arena_take(a, hex.size / 2 + 1);

	if (hex.size == 0 || hex.size % 2 || hex.size > 2 * (size_t)GUARD_SALT_BYTES_MAX ||
	    hex_decode(hex, bytes, hex.size / 2))
		return false;
	*ret = (struct slice) { bytes, hex.size / 2 };
	return true;
}

static bool read_verifier(struct arena *a, const json_t *object, struct guard_verifier *ret)
{
	struct slice mechanism = admin_text(object, "mechanism");
	json_int_t iterations = json_integer_value(json_object_get(object, "iterations"));

	*ret = (struct guard_verifier) { .kind = SCRAM_KIND_SHA_256 };
	if (slice_equal(mechanism, SLICE("SCRAM-SHA-512")))
		ret->kind = SCRAM_KIND_SHA_512;
	else if (!slice_equal(mechanism, SLICE("SCRAM-SHA-256")))
		return false;
	if (iterations < 1 || iterations > INT32_MAX)
		return false;
	ret->iterations = (int32_t)iterations;
	return read_hex(a, object, "salt", &ret->salt) &&
	       read_hex(a, object, "stored_key", &ret->stored_key) &&
	       read_hex(a, object, "server_key", &ret->server_key);
}

static bool read_kind(struct slice word, enum user_change_kind *ret)
{
	static const char *const words[] = {
		[USER_ADD] = "add",
		[USER_PASSWORD] = "password",
		[USER_REMOVE] = "remove",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (slice_equal(word, slice_from(words[i]))) {
			*ret = (enum user_change_kind)i;
			return true;
		}
	return false;
}

static bool read_change(struct user_request *u)
{
	const json_t *verifiers = json_object_get(u->body, "verifiers");
	size_t count = json_array_size(verifiers);

	if (!json_is_object(u->body) || !read_kind(admin_text(u->body, "do"), &u->change.kind) ||
	    count > USER_VERIFIERS_MAX)
		return false;
	u->change.name = admin_text(u->body, "name");
	u->change.is_admin = json_is_true(json_object_get(u->body, "admin"));
	u->change.verifier_count = count;
	for (size_t i = 0; i < count; i++)
		if (!read_verifier(&u->arena, json_array_get(verifiers, i),
				   &u->change.verifiers[i]))
			return false;
	return true;
}

/* --- changing ---------------------------------------------------------------------------------
 */

static const char *action_name(const struct user_change *change)
{
	switch (change->kind) {
	case USER_ADD:
		return change->is_admin ? "user add --admin" : "user add";
	case USER_PASSWORD:
		return "user password";
	case USER_REMOVE:
		break;
	}
	return "user remove";
}

static void tell(struct user_request *u, enum err err)
{
	switch (err) {
	case OK:
		admin_audit(u->control, u->exchange, action_name(&u->change), u->change.name);
		admin_answer(u->exchange, 200, NULL);
		return;
	case ERR_EXISTS:
		admin_answer(u->exchange, 409, "there is a user of that name");
		return;
	case ERR_NOT_FOUND:
		admin_answer(u->exchange, 404, "there is no user of that name");
		return;
	case ERR_INVALID:
	case ERR_TOO_BIG:
		admin_answer(u->exchange, 400, "that is no name for a user, or no verifier");
		return;
	case ERR_FULL:
		admin_answer(u->exchange, 409, "there are too many users");
		return;
	case ERR_CONFLICT:
	case ERR_DENIED:
	case ERR_BUSY:
	case ERR_TIMEOUT:
	case ERR_CANCELED:
	case ERR_UNAVAILABLE:
	case ERR_UNKNOWN:
	case ERR_CORRUPT:
	case ERR_IO:
	case ERR_UNSUPPORTED:
	case ERR_COUNT:
		break;
	}
	admin_answer(u->exchange, 503, admin_why_not_led(err));
}

enum { USER_START, USER_DONE };

static enum step user_step(struct task *t)
{
	struct user_request *u = CONTAINER(t, struct user_request, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	switch (t->at) {
	case USER_START:
		user_change_start(&u->change, t, u->control->coordinator);
		return task_wait(t, USER_DONE);
	case USER_DONE:
		tell(u, u->change.task.err);
		return task_done(t, OK);
	}
	abort();
}

static void free_request(struct user_request *u)
{
	json_decref(u->body);
	arena_done(&u->arena);
	memory_free(u);
}

static void user_on_end(struct task *t)
{
	struct user_request *u = CONTAINER(t, struct user_request, task);
	struct control *c = u->control;

	c->admin_requests--;
	free_request(u);
	task_wake(&c->task);
}

static const char *const user_places[] = { "start", "done" };
static const struct task_kind user_kind = {
	.name = "admin_user",
	.places = user_places,
	.place_count = 2,
	.step = user_step,
	.on_end = user_on_end,
};

void admin_change_user(struct control *c, struct http_exchange *e)
{
	struct user_request *u = NEW(struct user_request);

	u->control = c;
	u->exchange = e;
	arena_init(&u->arena);
	u->body = admin_body(e);
	if (c->is_stopping || !read_change(u)) {
		admin_answer(e, c->is_stopping ? 503 : 400,
			     c->is_stopping ? "stopping" : "that is no change of a user");
		free_request(u);
		return;
	}
	c->admin_requests++;
	task_start_root(&u->task, &user_kind, c->loop);
}

/* --- reading them -----------------------------------------------------------------------------
 */

static json_t *mechanisms_json(struct arena *a, struct cell *cell, struct slice name)
{
	struct guard_verifier found;
	json_t *ret = json_array();

	if (guard_find_verifier(a, cell, name, SCRAM_KIND_SHA_256, &found) == OK)
		json_array_append_new(ret, json_string("SCRAM-SHA-256"));
	if (guard_find_verifier(a, cell, name, SCRAM_KIND_SHA_512, &found) == OK)
		json_array_append_new(ret, json_string("SCRAM-SHA-512"));
	return ret;
}

json_t *admin_users_json(struct control *c)
{
	struct cell *cell = control_cell(c);
	struct guard_user *users;
	json_t *list = json_array();
	struct arena a;
	size_t count;

	if (!cell) {
		json_decref(list);
		return json_pack("{s:n}", "users");
	}
	arena_init(&a);
	guard_users(&a, cell, &users, &count);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_pack("{s:s%, s:b, s:o}", "name",
						      users[i].name.data, users[i].name.size,
						      "admin", users[i].is_admin, "mechanisms",
						      mechanisms_json(&a, cell, users[i].name)));
	arena_done(&a);
	return json_pack("{s:b, s:o}", "leads", control_leads(c), "users", list);
}
