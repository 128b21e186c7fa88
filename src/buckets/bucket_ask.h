/* One operation from start to end on a loop of one's own: for tests and tools, which have nothing
 * else to do meanwhile.  Never inside a task. */
#ifndef BUCKETS_BUCKET_ASK_H
#define BUCKETS_BUCKET_ASK_H

#include "buckets/bucket.h"

struct bucket_ask {
	struct task task; /* root */
	struct bucket_op op;
	struct bucket *bucket;
	const struct bucket_op *like;
	enum err err;
	char why[TASK_WHY_BYTES];
};

/* Runs the loop until `like` is done; its outcome is in ask->err, ask->why and ask->op.ret_*. */
MUST_CHECK enum err bucket_ask(struct bucket_ask *ask, struct loop *loop, struct bucket *b,
			       const struct bucket_op *like);

MUST_CHECK enum err bucket_ask_put(struct loop *loop, struct bucket *b, struct slice key,
				   struct slice body);
MUST_CHECK enum err bucket_ask_put_new(struct loop *loop, struct bucket *b, struct slice key,
				       struct slice body);
MUST_CHECK enum err bucket_ask_get(struct loop *loop, struct bucket *b, struct slice key,
				   struct blob **ret); /* the whole object */
MUST_CHECK enum err bucket_ask_head(struct loop *loop, struct bucket *b, struct slice key,
				    uint64_t *ret_size);
MUST_CHECK enum err bucket_ask_list(struct loop *loop, struct bucket *b, struct arena *a,
				    struct slice prefix, struct slice after,
				    struct slice **ret_names, size_t *ret_count, bool *ret_more);
MUST_CHECK enum err bucket_ask_delete(struct loop *loop, struct bucket *b, struct slice key);

#endif
