/* /v1/topics/deleted of the admin API: GET lists the topics that can be brought back, POST brings
 * one back or lets it go:
 *
 *	{"do": "undelete", "topic": NAME or ID, "name": NEW}
 *	{"do": "purge", "topic": NAME or ID}	without "topic": all, some at a time
 *
 * The answer has "count", how many topics that was. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "server/admin_answer.h"
#include "server/control_role.h"
#include "streams/coordinator/deleted_topic.h"
#include "streams/coordinator/deleted_topic_change.h"

struct topic_request {
	struct task task;
	struct control *control;
	struct http_exchange *exchange;
	struct deleted_topic_change change;
	json_t *body;
};

/* --- changing ---------------------------------------------------------------------------------
 */

static bool read_change(struct topic_request *r)
{
	struct deleted_topic_change *d = &r->change;
	struct slice what = admin_text(r->body, "do");

	d->topic = admin_text(r->body, "topic");
	d->name = admin_text(r->body, "name");
	if (slice_equal(what, SLICE("undelete")))
		d->action = DELETED_TOPIC_RESTORE;
	else if (slice_equal(what, SLICE("purge")))
		d->action = d->topic.size ? DELETED_TOPIC_PURGE : DELETED_TOPIC_PURGE_ALL;
	else
		return false;
	return d->action == DELETED_TOPIC_PURGE_ALL || d->topic.size > 0;
}

static const char *refusal(enum err err, int *ret_status)
{
	*ret_status = 409;
	switch (err) {
	case ERR_NOT_FOUND:
		*ret_status = 404;
		return "no deleted topic has that name or id: it never was, or its time is over";
	case ERR_CONFLICT:
		return "it is too late: the records of that topic are being removed";
	case ERR_EXISTS:
		return "a topic has that name, or one that differs only in . and _: say another "
		       "one";
	case ERR_INVALID:
		*ret_status = 400;
		return "a topic name is 1 to 249 of [a-zA-Z0-9._-], not . or ..";
	case ERR_FULL:
		return "there are too many topics";
	case OK:
	case ERR_UNKNOWN:
	case ERR_TOO_BIG:
	case ERR_DENIED:
	case ERR_BUSY:
	case ERR_TIMEOUT:
	case ERR_CANCELED:
	case ERR_UNAVAILABLE:
	case ERR_CORRUPT:
	case ERR_IO:
	case ERR_UNSUPPORTED:
	case ERR_COUNT:
		break;
	}
	*ret_status = 503;
	return admin_why_not_led(err);
}

static void audit(struct topic_request *r)
{
	bool is_back = r->change.action == DELETED_TOPIC_RESTORE;
	bool is_all = r->change.action == DELETED_TOPIC_PURGE_ALL;

	admin_audit(r->control, r->exchange, is_back ? "topic undelete" : "topic purge",
		    is_all ? SLICE("*") : r->change.topic);
}

static void tell(struct topic_request *r, enum err err)
{
	char text[64];
	int status;

	if (err) {
		const char *why = refusal(err, &status);
		admin_answer(r->exchange, status, why);
		return;
	}
	if (r->change.count > 0)
		audit(r);
	snprintf(text, sizeof(text), "{\"count\":%zu}\n", r->change.count);
	http_answer(r->exchange, 200, "application/json", slice_from(text));
}

enum { TOPIC_START, TOPIC_DONE };

static enum step topic_step(struct task *t)
{
	struct topic_request *r = CONTAINER(t, struct topic_request, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	switch (t->at) {
	case TOPIC_START:
		deleted_topic_change_start(&r->change, t, r->control->coordinator);
		return task_wait(t, TOPIC_DONE);
	case TOPIC_DONE:
		tell(r, r->change.task.err);
		return task_done(t, OK);
	}
	abort();
}

static void topic_on_end(struct task *t)
{
	struct topic_request *r = CONTAINER(t, struct topic_request, task);
	struct control *c = r->control;

	c->admin_requests--;
	json_decref(r->body);
	memory_free(r);
	task_wake(&c->task);
}

static const char *const topic_places[] = { "start", "done" };
static const struct task_kind topic_kind = {
	.name = "admin_topic",
	.places = topic_places,
	.place_count = 2,
	.step = topic_step,
	.on_end = topic_on_end,
};

void admin_change_deleted_topic(struct control *c, struct http_exchange *e)
{
	struct topic_request *r = NEW(struct topic_request);

	r->control = c;
	r->exchange = e;
	r->body = admin_body(e);
	if (c->is_stopping || !read_change(r)) {
		admin_answer(e, c->is_stopping ? 503 : 400,
			     c->is_stopping ? "stopping" : "that is no change of a deleted topic");
		json_decref(r->body);
		memory_free(r);
		return;
	}
	c->admin_requests++;
	task_start_root(&r->task, &topic_kind, c->loop);
}

/* --- reading them -----------------------------------------------------------------------------
 */

json_t *admin_deleted_topics_json(struct control *c)
{
	struct cell *cell = control_cell(c);
	struct deleted_topic *topics;
	char id[DELETED_TOPIC_ID_BYTES];
	size_t count = 0;
	struct arena a;

	if (!cell)
		return json_pack("{s:n}", "topics");
	json_t *list = json_array();
	arena_init(&a);
	if (deleted_topics(&a, cell, &topics, &count))
		count = 0;
	for (size_t i = 0; i < count; i++) {
		uuid_text(id, topics[i].topic_id.bytes);
		json_array_append_new(list,
				      json_pack("{s:s%, s:s, s:i, s:I, s:I, s:I}", "name",
						topics[i].name.data, topics[i].name.size, "id", id,
						"partitions", (int)topics[i].partition_count,
						"bytes", (json_int_t)topics[i].bytes, "deleted_ms",
						(json_int_t)topics[i].deleted_ms, "until_ms",
						(json_int_t)topics[i].until_ms));
	}
	arena_done(&a);
	return json_pack("{s:b, s:o}", "leads", control_leads(c), "topics", list);
}
