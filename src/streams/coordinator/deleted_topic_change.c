#include "streams/coordinator/deleted_topic_change.h"

#include <stdlib.h>

#include "base/log.h"
#include "streams/coordinator/deleted_topic.h"
#include "streams/coordinator/expiry.h"
#include "streams/coordinator/groups.h"
#include "streams/coordinator/private.h"

static bool is_being_swept(struct cell *cell, struct slice name)
{
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT 1 FROM topic WHERE deleted_ms > 0 AND name = ?1");

	if (!catalog_topic_name_is_valid(name))
		return false;
	cell_bind_text(st, 1, name);
	bool ret = cell_next(cell, st);
	sqlite3_reset(st);
	return ret;
}

static enum err change_one(struct arena *a, struct cell *cell, struct deleted_topic_change *d)
{
	struct deleted_topic topic;
	enum err err = deleted_topic_find(a, cell, d->topic, &topic);

	if (err == ERR_NOT_FOUND && is_being_swept(cell, d->topic))
		return ERR_CONFLICT;
	if (err)
		return err;
	if (d->action == DELETED_TOPIC_RESTORE)
		err = deleted_topic_restore(cell, &topic, d->name.size ? d->name : topic.name);
	else
		err = deleted_topic_purge(cell, topic.id);
	d->count = 1;
	return err;
}

static enum err run(struct cell *cell, void *argument)
{
	struct deleted_topic_change *d = argument;
	int count = 0;
	enum err err;

	d->count = 0;
	if (d->action == DELETED_TOPIC_PURGE_ALL) {
		err = deleted_topics_expire(cell, INT64_MAX, true, &count);
		d->count = (size_t)count;
		return err;
	}
	struct arena a;
	arena_init(&a);
	err = change_one(&a, cell, d);
	arena_done(&a);
	return err;
}

static enum step end(struct deleted_topic_change *d, enum err err)
{
	struct coordinator *c = d->coordinator;

	if (!err && d->action == DELETED_TOPIC_RESTORE) {
		expiry_changed(c);
		if (c->groups)
			groups_topics_changed(c);
		log_info("the deleted topic %.*s was brought back%s%.*s", SLICE_ARG(d->topic),
			 d->name.size ? " as " : "", SLICE_ARG(d->name));
	} else if (!err && d->action == DELETED_TOPIC_PURGE) {
		log_info("the deleted topic %.*s cannot be brought back any more",
			 SLICE_ARG(d->topic));
	} else if (!err) {
		log_info("%zu deleted topics cannot be brought back any more", d->count);
	}
	c->errand_count--;
	if (c->stop)
		task_wake(c->stop);
	return task_done(&d->task, err);
}

enum { CHANGE_START, CHANGE_DURABLE };

static enum step change_step(struct task *t)
{
	struct deleted_topic_change *d = CONTAINER(t, struct deleted_topic_change, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	switch (t->at) {
	case CHANGE_START:
		leader_run(&d->call, t, d->coordinator->config.leader, run, d);
		return task_wait(t, CHANGE_DURABLE);
	case CHANGE_DURABLE:
		return end(d, d->call.task.err);
	}
	abort();
}

static const char *const change_places[] = { "start", "durable" };
static const struct task_kind change_kind = {
	.name = "deleted_topic_change",
	.places = change_places,
	.place_count = 2,
	.step = change_step,
};

void deleted_topic_change_start(struct deleted_topic_change *d, struct task *parent,
				struct coordinator *c)
{
	d->coordinator = c;
	c->errand_count++;
	task_start(&d->task, &change_kind, parent);
}
