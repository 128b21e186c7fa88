#include "buckets/bucket_ask.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"

enum { ASK_START, ASK_ANSWERED };
static const char *const ask_places[] = { "start", "answered" };

static enum step ask_step(struct task *t)
{
	struct bucket_ask *ask = CONTAINER(t, struct bucket_ask, task);

	switch (t->at) {
	case ASK_START:
		bucket_start_like(&ask->op, t, ask->bucket, ask->like);
		return task_wait(t, ASK_ANSWERED);

	case ASK_ANSWERED:
		if (t->children > 0)
			return task_wait(t, ASK_ANSWERED);
		ask->err = ask->op.task.err;
		memcpy(ask->why, ask->op.task.why, sizeof(ask->why));
		loop_stop(t->loop);
		return task_done(t, ask->err);
	}
	abort();
}

static const struct task_kind ask_kind = {
	.name = "bucket ask",
	.places = ask_places,
	.place_count = 2,
	.step = ask_step,
};

enum err bucket_ask(struct bucket_ask *ask, struct loop *loop, struct bucket *b,
		    const struct bucket_op *like)
{
	*ask = (struct bucket_ask) { .bucket = b, .like = like };
	task_start_root(&ask->task, &ask_kind, loop);
	loop_run(loop);
	assert(!task_is_running(&ask->task)); /* something held it that this loop does not know */
	return ask->err;
}

enum err bucket_ask_put(struct loop *loop, struct bucket *b, struct slice key, struct slice body)
{
	struct bucket_ask ask;
	struct bucket_op op = { .verb = BUCKET_PUT, .key = key, .pieces = &body, .piece_count = 1 };

	return bucket_ask(&ask, loop, b, &op);
}

enum err bucket_ask_put_new(struct loop *loop, struct bucket *b, struct slice key,
			    struct slice body)
{
	struct bucket_ask ask;
	struct bucket_op op = {
		.verb = BUCKET_PUT_NEW, .key = key, .pieces = &body, .piece_count = 1
	};

	return bucket_ask(&ask, loop, b, &op);
}

enum err bucket_ask_get(struct loop *loop, struct bucket *b, struct slice key, struct blob **ret)
{
	struct bucket_ask ask;
	struct bucket_op op = { .verb = BUCKET_GET,
				.key = key,
				.size_max = BUCKET_OBJECT_BYTES_MAX };
	enum err err = bucket_ask(&ask, loop, b, &op);

	if (!err)
		*ret = ask.op.ret_body;
	return err;
}

enum err bucket_ask_head(struct loop *loop, struct bucket *b, struct slice key, uint64_t *ret_size)
{
	struct bucket_ask ask;
	struct bucket_op op = { .verb = BUCKET_HEAD, .key = key };
	enum err err = bucket_ask(&ask, loop, b, &op);

	if (!err)
		*ret_size = ask.op.ret_size;
	return err;
}

enum err bucket_ask_list(struct loop *loop, struct bucket *b, struct arena *a, struct slice prefix,
			 struct slice after, struct slice **ret_names, size_t *ret_count,
			 bool *ret_more)
{
	struct bucket_ask ask;
	struct bucket_op op = { .verb = BUCKET_LIST, .key = prefix, .after = after, .arena = a };
	enum err err = bucket_ask(&ask, loop, b, &op);

	if (err)
		return err;
	*ret_names = ask.op.ret_names;
	*ret_count = ask.op.ret_count;
	*ret_more = ask.op.ret_more;
	return OK;
}

enum err bucket_ask_delete(struct loop *loop, struct bucket *b, struct slice key)
{
	struct bucket_ask ask;
	struct bucket_op op = { .verb = BUCKET_DELETE, .key = key };

	return bucket_ask(&ask, loop, b, &op);
}
