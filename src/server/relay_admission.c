/* One question is a task:
 *
 *	ask --> answered: allowed, or refused and forgotten
 *	   \--> no answer: known before --> admitted
 *	                   never seen   --> rest, ask again, refused in the end */
#include "server/relay_admission.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/map.h"
#include "loop/timer.h"

static const char known_name[] = "relay-known";

/* A key that the realm allowed. */
struct known {
	struct mesh_key key;
	struct list link; /* who was here longest ago first */
};

struct relay_admissions {
	struct loop *loop;
	const struct state *state;
	char *socket;
	bool is_elsewhere;
	struct http_place place;
	struct map known; /* by key */
	struct list by_age;
	/* struct question.link, those without a call yet.  Strangers ask again and again while the
	 * realm is away, and known keys do not wait for that. */
	struct list waiting_known, waiting;
	struct list running;
	size_t call_count, stranger_count, question_count;
	struct timer save;
	bool is_changed, is_closed, has_complained;
};

struct question {
	struct task task;
	struct list link;
	bool is_running, is_stranger;
	struct relay_admissions *of;
	struct relay_admission *admission; /* NULL: void */
	struct mesh_key key;
	char source[ENDPOINT_TEXT_BYTES];
	uint64_t since_ms;
	struct http_call call;
	struct sleep sleep;
};

/* --- what is known ---------------------------------------------------------------------------- */
static struct slice key_slice(const struct mesh_key *key)
{
	return (struct slice) { key->bytes, sizeof(key->bytes) };
}

static void forget(struct relay_admissions *a, struct known *k)
{
	map_remove(&a->known, key_slice(&k->key));
	list_remove(&k->link);
	memory_free(k);
}

static void remember(struct relay_admissions *a, const struct mesh_key *key)
{
	struct known *k = map_get(&a->known, key_slice(key));

	if (!k) {
		if (a->known.count == ADMISSION_KNOWN_MAX)
			forget(a, CONTAINER(a->by_age.next, struct known, link));
		k = NEW(struct known);
		k->key = *key;
		map_put(&a->known, key_slice(&k->key), k);
	}
	list_remove(&k->link);
	list_add(&a->by_age, &k->link);
}

/* The file: keys of 32 bytes, one after the other, who was here longest ago first. */
static void save(struct relay_admissions *a)
{
	struct buf all = { 0 };

	if (!a->is_changed)
		return;
	a->is_changed = false;
	LIST_EACH (&a->by_age, struct known, link, k)
		buf_add_slice(&all, key_slice(&k->key));
	enum err err = state_write(a->state, known_name, buf_slice(&all));
	buf_done(&all);
	if (err)
		log_warn("the keys that may use the relay cannot be saved: %s", err_name(err));
}

static void load(struct relay_admissions *a)
{
	struct buf all = { 0 };

	enum err err = state_read(a->state, known_name, ADMISSION_KNOWN_MAX * MESH_KEY_BYTES, &all);
	for (size_t i = 0; !err && i + MESH_KEY_BYTES <= all.size; i += MESH_KEY_BYTES) {
		struct mesh_key key;
		memcpy(key.bytes, all.data + i, sizeof(key.bytes));
		remember(a, &key);
	}
	buf_done(&all);
	if (err && err != ERR_NOT_FOUND)
		log_warn("the keys that may use the relay cannot be read: %s", err_name(err));
}

static void on_save(struct timer *t)
{
	struct relay_admissions *a = CONTAINER(t, struct relay_admissions, save);

	save(a);
	timer_set(t, a->loop, loop_now_ms(a->loop) + ADMISSION_SAVE_MS, on_save);
}

/* --- a question ------------------------------------------------------------------------------- */
enum { ASK_START, ASK_ANSWERED, ASK_RESTED, ASK_PLACES };
static const char *const ask_places[] = { "start", "answered", "rested" };

static void start_next(struct relay_admissions *a);

static enum step decide(struct question *q, bool is_allowed)
{
	if (q->admission)
		relay_port_admit(q->admission, is_allowed);
	q->admission = NULL;
	return task_done(&q->task, OK);
}

static enum step ask(struct question *q)
{
	char key[MESH_KEY_TEXT_BYTES], body[256];

	mesh_key_text(MESH_KEY_NODE, &q->key, key);
	snprintf(body, sizeof(body), "{\"NodePublic\":\"%s\",\"Source\":\"%s\"}", key, q->source);
	if (q->of->is_elsewhere)
		http_call_start_at(&q->call, &q->task, &q->of->place, "POST", "/verify",
				   slice_from(body));
	else
		http_call_start(&q->call, &q->task, q->of->socket, "POST", "/verify",
				slice_from(body));
	task_set_deadline(&q->call.task, loop_now_ms(q->of->loop) + ADMISSION_CALL_MS);
	return task_wait(&q->task, ASK_ANSWERED);
}

/* 1: allowed, 0: refused, -1: nobody answered. */
static int read_answer(struct question *q)
{
	int found = -1;

	if (!q->call.task.err && q->call.status == 200) {
		json_t *json =
			json_loadb((const char *)q->call.body.data, q->call.body.size, 0, NULL);
		const json_t *allow = json_object_get(json, "Allow");
		if (json_is_boolean(allow))
			found = json_is_true(allow);
		json_decref(json);
	}
	buf_done(&q->call.body);
	return found;
}

static enum step unanswered(struct question *q)
{
	struct relay_admissions *a = q->of;
	uint64_t now_ms = loop_now_ms(a->loop);
	bool is_known = map_get(&a->known, key_slice(&q->key));

	if (is_known && !a->has_complained)
		log_warn("the realm does not answer; keys that were here before are admitted");
	a->has_complained |= is_known;
	if (is_known || !q->admission || now_ms - q->since_ms >= ADMISSION_UNKNOWN_MS)
		return decide(q, is_known);
	sleep_start(&q->sleep, &q->task, now_ms + ADMISSION_AGAIN_MS);
	return task_wait(&q->task, ASK_RESTED);
}

static enum step answered(struct question *q)
{
	struct relay_admissions *a = q->of;
	int answer = read_answer(q);

	if (answer < 0)
		return unanswered(q);
	if (a->has_complained)
		log_info("the realm answers again");
	a->has_complained = false;
	a->is_changed = true;
	struct known *k = map_get(&a->known, key_slice(&q->key));
	if (answer)
		remember(a, &q->key);
	else if (k)
		forget(a, k);
	return decide(q, answer);
}

static enum step ask_step(struct task *t)
{
	struct question *q = CONTAINER(t, struct question, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (task_is_canceled(t)) {
		if (t->at == ASK_ANSWERED)
			buf_done(&q->call.body);
		return task_done(t, ERR_CANCELED);
	}
	switch (t->at) {
	case ASK_START:
	case ASK_RESTED:
		return ask(q);
	case ASK_ANSWERED:
		return answered(q);
	}
	abort();
}

static void free_if_over(struct relay_admissions *a)
{
	if (!a->is_closed || a->question_count > 0)
		return;
	memory_free(a->socket);
	memory_free(a);
}

static void on_ask_end(struct task *t)
{
	struct question *q = CONTAINER(t, struct question, task);
	struct relay_admissions *a = q->of;

	list_remove(&q->link);
	a->stranger_count -= q->is_stranger;
	memory_free(q);
	a->call_count--;
	a->question_count--;
	start_next(a);
	free_if_over(a);
}

static const struct task_kind ask_kind = {
	.name = "relay admission",
	.places = ask_places,
	.place_count = ASK_PLACES,
	.step = ask_step,
	.on_end = on_ask_end,
};

static struct question *pop_next(struct relay_admissions *a)
{
	struct list *next = list_pop(&a->waiting_known);

	if (!next && a->stranger_count < ADMISSION_STRANGERS_MAX)
		next = list_pop(&a->waiting);
	return next ? CONTAINER(next, struct question, link) : NULL;
}

static void start_next(struct relay_admissions *a)
{
	struct question *q;

	while (a->call_count < ADMISSION_CALLS_MAX && (q = pop_next(a))) {
		a->call_count++;
		a->stranger_count += q->is_stranger;
		q->is_running = true;
		list_add(&a->running, &q->link);
		task_start_root(&q->task, &ask_kind, a->loop);
	}
}

/* --- the port --------------------------------------------------------------------------------- */
void relay_admissions_ask(void *admissions, struct relay_admission *admission)
{
	struct relay_admissions *a = admissions;

	assert(!a->is_closed);
	if (a->question_count == ADMISSION_QUESTIONS_MAX) {
		relay_port_admit(admission, false);
		return;
	}
	struct question *q = NEW(struct question);
	q->of = a;
	q->admission = admission;
	q->key = admission->key;
	endpoint_ip_text(&admission->from, q->source);
	q->since_ms = loop_now_ms(a->loop);
	admission->owner_state = q;
	q->is_stranger = !map_get(&a->known, key_slice(&q->key));
	list_add(q->is_stranger ? &a->waiting : &a->waiting_known, &q->link);
	a->question_count++;
	start_next(a);
}

void relay_admissions_void(void *admissions, struct relay_admission *admission)
{
	struct relay_admissions *a = admissions;
	struct question *q = admission->owner_state;

	q->admission = NULL;
	if (q->is_running)
		return; /* its task ends by itself */
	list_remove(&q->link);
	a->question_count--;
	memory_free(q);
}

/* --- life ------------------------------------------------------------------------------------- */
struct relay_admissions *relay_admissions_new(struct loop *loop, const struct state *state,
					      const char *realm_socket,
					      const struct http_place *place)
{
	struct relay_admissions *a = NEW(struct relay_admissions);

	a->loop = loop;
	a->state = state;
	a->socket = memory_copy_text(realm_socket);
	a->is_elsewhere = place != NULL;
	if (place)
		a->place = *place;
	map_init(&a->known);
	list_init(&a->by_age);
	list_init(&a->waiting_known);
	list_init(&a->waiting);
	list_init(&a->running);
	load(a);
	timer_set(&a->save, loop, loop_now_ms(loop) + ADMISSION_SAVE_MS, on_save);
	return a;
}

size_t relay_admissions_known(const struct relay_admissions *a)
{
	return a->known.count;
}

void relay_admissions_close(struct relay_admissions *a)
{
	/* the port is closed by now */
	assert(list_is_empty(&a->waiting_known) && list_is_empty(&a->waiting));
	timer_clear(&a->save);
	save(a);
	LIST_EACH (&a->by_age, struct known, link, k)
		forget(a, k);
	map_done(&a->known);
	a->is_closed = true;
	LIST_EACH (&a->running, struct question, link, q)
		task_cancel(&q->task);
	free_if_over(a);
}
