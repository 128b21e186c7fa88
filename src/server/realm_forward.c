#include "server/realm_forward.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/endian.h"
#include "base/memory.h"
#include "base/random.h"
#include "loop/http_client.h"
#include "server/realm_role.h"
#include "server/up_options.h"
#include "wire/crypto/aead.h"
#include "wire/crypto/wipe.h"

/* A question: time (u64, Unix ms), size of the method (u8), method, size of the target (u16),
 * target, body.  An answer: status (u16), body; the question's nonce goes into its seal.  Both
 * sealed, behind their nonce. */
enum {
	TIME_BYTES = 8,
	STATUS_BYTES = 2,
	METHOD_BYTES_MAX = 8,
	FORWARD_TARGET_BYTES_MAX = 1000,
	HTTP_OK = 200,
	HTTP_DENIED = 403,
	HTTP_UNAVAILABLE = 503,
};

struct forward {
	struct task task;
	struct list link;
	struct realm_forwards *forwards;
	struct http_exchange *exchange; /* NULL: this node tells of itself */
	struct http_call call;
	uint8_t key[REALM_SERVER_KEY_BYTES];
	uint8_t nonce[XAEAD_NONCE_BYTES]; /* of the question */
	bool is_leader;			  /* the question came from another node */
};

static const char json[] = "application/json";

/* --- sealing -----------------------------------------------------------------------------------
 */

static struct slice nonce_slice(const struct forward *f)
{
	return (struct slice) { f->nonce, sizeof(f->nonce) };
}

/* Append nonce and sealed text. */
static void seal(struct buf *b, const uint8_t key[REALM_SERVER_KEY_BYTES],
		 const uint8_t nonce[XAEAD_NONCE_BYTES], struct slice ad, struct slice plain)
{
	buf_add(b, nonce, XAEAD_NONCE_BYTES);
	xaead_seal(key, nonce, ad, plain, buf_reserve(b, plain.size + AEAD_TAG_BYTES));
	b->size += plain.size + AEAD_TAG_BYTES;
}

static bool open_sealed(const uint8_t key[REALM_SERVER_KEY_BYTES], struct slice ad,
			struct slice message, struct buf *ret)
{
	struct slice sealed = slice_part(message, XAEAD_NONCE_BYTES, message.size);

	if (sealed.size < AEAD_TAG_BYTES)
		return false;
	size_t size = sealed.size - AEAD_TAG_BYTES;
	if (!xaead_open(key, message.data, ad, sealed, buf_reserve(ret, size + 1)))
		return false;
	ret->size = size;
	return true;
}

/* --- the task of both sides --------------------------------------------------------------------
 */

enum { FORWARD_ASKED, FORWARD_ANSWERED };

static void on_told(struct realm_forwards *f, bool is_told);

static void answer_error(struct http_exchange *e, int status, const char *why)
{
	char text[200];

	snprintf(text, sizeof(text), "{\"error\":\"%s\"}\n", why);
	http_answer(e, status, json, slice_from(text));
}

/* The leader's realm.sock has answered: back to the node that asked. */
static void answer_node(struct forward *f)
{
	uint8_t nonce[XAEAD_NONCE_BYTES];
	struct buf plain, sealed;

	buf_init(&plain);
	buf_init(&sealed);
	random_bytes(nonce, sizeof(nonce));
	buf_add_u16(&plain, f->call.task.err ? HTTP_UNAVAILABLE : (uint16_t)f->call.status);
	buf_add_slice(&plain, buf_slice(&f->call.body));
	seal(&sealed, f->key, nonce, nonce_slice(f), buf_slice(&plain));
	http_answer(f->exchange, HTTP_OK, "application/octet-stream", buf_slice(&sealed));
	buf_done(&plain);
	buf_done(&sealed);
}

/* The leader has answered: to whoever asked here. */
static void answer_person(struct forward *f)
{
	struct buf plain;
	int status = HTTP_UNAVAILABLE;
	struct slice body = { 0 };

	buf_init(&plain);
	bool is_good = !f->call.task.err && f->call.status == HTTP_OK &&
		       open_sealed(f->key, nonce_slice(f), buf_slice(&f->call.body), &plain) &&
		       plain.size >= STATUS_BYTES;
	if (is_good) {
		status = plain.data[0] << 8 | plain.data[1];
		body = slice_part(buf_slice(&plain), STATUS_BYTES, plain.size);
	}
	if (!f->exchange)
		on_told(f->forwards, is_good && status == HTTP_OK);
	else if (is_good)
		http_answer(f->exchange, status, json, body);
	else if (f->call.status == HTTP_DENIED)
		answer_error(f->exchange, HTTP_UNAVAILABLE,
			     "the node that leads refuses this one: do their clocks differ?");
	else
		answer_error(f->exchange, HTTP_UNAVAILABLE, "the node that leads does not answer");
	if (plain.size)
		crypto_wipe(plain.data, plain.size);
	buf_done(&plain);
}

static enum step forward_step(struct task *t)
{
	struct forward *f = CONTAINER(t, struct forward, task);

	if (t->children > 0)
		return task_wait(t, FORWARD_ANSWERED);
	if (f->is_leader)
		answer_node(f);
	else
		answer_person(f);
	if (f->call.body.size)
		crypto_wipe(f->call.body.data, f->call.body.size);
	buf_done(&f->call.body);
	return task_done(t, OK);
}

static void on_end(struct task *t)
{
	struct forward *f = CONTAINER(t, struct forward, task);

	list_remove(&f->link);
	f->forwards->count--;
	crypto_wipe(f->key, sizeof(f->key));
	memory_free(f);
}

static const char *const places[] = { "asked", "answered" };
static const struct task_kind forward_kind = {
	.name = "realm forward",
	.places = places,
	.place_count = 2,
	.step = forward_step,
	.on_end = on_end,
};

static struct forward *forward_new(struct realm_forwards *forwards, struct http_exchange *e)
{
	struct forward *f = NEW(struct forward);

	f->forwards = forwards;
	f->exchange = e;
	list_add(&forwards->all, &f->link);
	forwards->count++;
	return f;
}

static void start(struct forward *f)
{
	struct loop *loop = f->forwards->role->loop;

	task_start_root(&f->task, &forward_kind, loop);
}

static bool has_room(const struct realm_forwards *forwards)
{
	return !forwards->is_closed && forwards->count < FORWARDS_MAX;
}

/* --- asking ------------------------------------------------------------------------------------
 */

static void send(struct forward *f, const char *host, uint16_t port, const char *method,
		 const char *target, struct slice body)
{
	struct buf plain, sealed;

	buf_init(&plain);
	buf_init(&sealed);
	random_bytes(f->nonce, sizeof(f->nonce));
	buf_add_u64(&plain, (uint64_t)clock_wall_ms());
	buf_add_u8(&plain, (uint8_t)strlen(method));
	buf_add_text(&plain, method);
	buf_add_u16(&plain, (uint16_t)strlen(target));
	buf_add_text(&plain, target);
	buf_add_slice(&plain, body);
	seal(&sealed, f->key, f->nonce, SLICE("question"), buf_slice(&plain));
	start(f);
	http_call_start_tcp(&f->call, &f->task, host, port, "POST", "/hanse/admin",
			    buf_slice(&sealed));
	task_set_deadline(&f->call.task, loop_now_ms(f->task.loop) + FORWARD_MS);
	buf_done(&plain);
	buf_done(&sealed);
}

/* Where to, and with which key. */
static const char *find_leader(struct realm_forwards *forwards, char host[OPTION_HOST_BYTES],
			       uint16_t *port, uint8_t key[REALM_SERVER_KEY_BYTES])
{
	struct realm_role *role = forwards->role;
	struct cell *cell =
		role->leadership.standby ? standby_cell(role->leadership.standby) : NULL;

	if (!has_room(forwards))
		return "control is busy, or stopping";
	if (!realm_role_leader(role, host, port))
		return "no node leads the realm now";
	if (!cell || !realm_server_key(cell, key))
		return "this node has not caught up with the one that leads";
	return NULL;
}

void realm_forward_ask(struct realm_forwards *forwards, struct http_exchange *e)
{
	uint8_t key[REALM_SERVER_KEY_BYTES];
	char host[OPTION_HOST_BYTES], target[FORWARD_TARGET_BYTES_MAX];
	uint16_t port;
	const char *why = find_leader(forwards, host, &port, key);

	if (why || e->path.size >= sizeof(target) || strlen(e->method) > METHOD_BYTES_MAX) {
		answer_error(e, HTTP_UNAVAILABLE, why ? why : "that is too long");
		return;
	}
	snprintf(target, sizeof(target), "%.*s", SLICE_ARG(e->path));
	struct forward *f = forward_new(forwards, e);
	memcpy(f->key, key, sizeof(f->key));
	crypto_wipe(key, sizeof(key));
	send(f, host, port, e->method, target, e->body);
}

/* --- telling of this node ----------------------------------------------------------------------
 */

static void on_tell(struct timer *t)
{
	struct realm_forwards *forwards = CONTAINER(t, struct realm_forwards, tell);
	const struct realm_role *role = forwards->role;
	uint8_t key[REALM_SERVER_KEY_BYTES];
	char host[OPTION_HOST_BYTES], target[OPTION_HOST_BYTES + 64];
	char body[REALM_URL_BYTES + 32];
	uint16_t port;

	if (find_leader(forwards, host, &port, key)) {
		on_told(forwards, false);
		return;
	}
	struct forward *f = forward_new(forwards, NULL);
	memcpy(f->key, key, sizeof(f->key));
	crypto_wipe(key, sizeof(key));
	snprintf(target, sizeof(target), "/v1/servers/%s", role->address);
	snprintf(body, sizeof(body), "{\"url\":\"%s\"}", role->url);
	send(f, host, port, "PUT", target, slice_from(body));
}

static void set_tell(struct realm_forwards *f)
{
	timer_set(&f->tell, f->role->loop, loop_now_ms(f->role->loop) + f->tell_ms, on_tell);
	f->tell_ms *= 2;
	if (f->tell_ms > FORWARD_TELL_MS_MAX)
		f->tell_ms = FORWARD_TELL_MS_MAX;
}

static void on_told(struct realm_forwards *f, bool is_told)
{
	if (!is_told && f->has_leader && !f->is_closed)
		set_tell(f);
}

void realm_forward_set_leader(struct realm_forwards *f, bool is_known)
{
	f->has_leader = is_known;
	f->tell_ms = FORWARD_TELL_MS;
	timer_clear(&f->tell);
	if (is_known && !f->is_closed)
		set_tell(f);
}

/* --- answering ---------------------------------------------------------------------------------
 */

/* The texts in a question, each with a NUL; false: it is cut off. */
static bool read_question(struct slice plain, char method[METHOD_BYTES_MAX + 1],
			  char target[FORWARD_TARGET_BYTES_MAX], struct slice *body)
{
	if (plain.size < TIME_BYTES + 1)
		return false;
	size_t method_size = plain.data[TIME_BYTES], at = TIME_BYTES + 1;
	if (method_size > METHOD_BYTES_MAX || plain.size < at + method_size + 2)
		return false;
	memcpy(method, plain.data + at, method_size);
	method[method_size] = '\0';
	at += method_size;
	size_t target_size = (size_t)plain.data[at] << 8 | plain.data[at + 1];
	at += 2;
	if (target_size >= FORWARD_TARGET_BYTES_MAX || plain.size < at + target_size)
		return false;
	memcpy(target, plain.data + at, target_size);
	target[target_size] = '\0';
	*body = slice_part(plain, at + target_size, plain.size);
	return true;
}

void realm_forward_answer(struct realm_forwards *forwards, struct http_exchange *e)
{
	struct realm_role *role = forwards->role;
	struct cell *cell = leader_cell(role->leadership.leader);
	char method[METHOD_BYTES_MAX + 1], target[FORWARD_TARGET_BYTES_MAX];
	char path[OPTION_VALUE_BYTES_MAX + 32];
	uint8_t key[REALM_SERVER_KEY_BYTES];
	struct slice body;
	struct buf plain;

	if (!has_room(forwards) || !cell || !realm_server_key(cell, key)) {
		answer_error(e, HTTP_UNAVAILABLE, "control is busy, starting or stopping");
		return;
	}
	buf_init(&plain);
	bool is_good = open_sealed(key, SLICE("question"), e->body, &plain) &&
		       plain.size >= TIME_BYTES &&
		       heard_is_new(&forwards->heard, e->body.data, (int64_t)get_u64(plain.data),
				    clock_wall_ms()) &&
		       read_question(buf_slice(&plain), method, target, &body);
	if (!is_good) {
		answer_error(e, HTTP_DENIED, "not a question of a node of this realm");
	} else {
		struct forward *f = forward_new(forwards, e);

		f->is_leader = true;
		memcpy(f->key, key, sizeof(f->key));
		memcpy(f->nonce, e->body.data, sizeof(f->nonce));
		up_options_socket(role->options, "realm.sock", path);
		start(f);
		http_call_start(&f->call, &f->task, path, method, target, body);
		task_set_deadline(&f->call.task, loop_now_ms(role->loop) + FORWARD_MS);
	}
	crypto_wipe(key, sizeof(key));
	buf_done(&plain);
}

/* --- life --------------------------------------------------------------------------------------
 */

void realm_forwards_init(struct realm_forwards *f, struct realm_role *role)
{
	f->role = role;
	f->tell_ms = FORWARD_TELL_MS;
	heard_init(&f->heard, clock_wall_ms());
	list_init(&f->all);
}

/* What others were asked before, this one has not heard. */
void realm_forward_lead(struct realm_forwards *f)
{
	heard_begin(&f->heard, clock_wall_ms());
}

size_t realm_forwards_close(struct realm_forwards *f)
{
	f->is_closed = true;
	timer_clear(&f->tell);
	LIST_EACH (&f->all, struct forward, link, it)
		if (task_is_running(&it->call.task))
			task_cancel(&it->call.task);
	if (f->count == 0)
		heard_done(&f->heard);
	return f->count;
}
