/* Batches of idempotent producers that come before the batch before them (doc/decisions/0038).
 *
 * A client that leaves an agent which stands still may send a batch to another one while the batch
 * before it is on its way: in the frozen agent, or about to be sent again.  Control refuses it, and
 * there are clients for which that is the end.  So it is held back here for a while, and written
 * again when the replica shows that its turn has come or never will.  Nobody waits for it: it is in
 * no file meanwhile, and the batches behind it, which control refuses too, are held like it.
 *
 * Only what its producer still waits for is ever written again: with its request, or its
 * connection, a held batch ends. */
#ifndef STREAMS_AGENT_HELD_BATCH_H
#define STREAMS_AGENT_HELD_BATCH_H

#include "loop/timer.h"
#include "streams/agent/agent.h"
#include "streams/agent/file_writer.h"

enum {
	/* From the first refusal; then the producer is told of it.  HANSE_TEST_HELD_MS: another. */
	HELD_BATCH_MS = 3000,
	HELD_BATCH_TEST_MS_MAX = 600000,
	HELD_BATCH_WRITES_MAX = 3,	 /* within that time */
	HELD_BATCHES_MAX = 256,		 /* of an agent */
	HELD_BATCH_BYTES_MAX = 32 << 20, /* the same */
	HELD_BATCH_WINDOW = 4,	  /* of one producer and partition: clients have five under way */
	HELD_BATCH_REFUSED = 128, /* batches of which is known that they were refused here */
};

/* Where a batch belongs. */
struct held_place {
	uint64_t connection_id;
	struct uuid topic_id;
	int32_t partition;
};

struct held_batches;

struct held_batches *held_batches_new(struct agent *agent);
void held_batches_free(struct held_batches *all);
size_t held_batches_count(const struct held_batches *all);

/* A producer is told that this batch was not stored: what it sent after it is not held, since the
 * producer may wait for the answer before it sends the batch again. */
void held_batches_refused(struct held_batches *all, const struct held_place *place,
			  const struct record_batch *batch);

/* A batch, as a child task, which ends with what is in `write` then: as after file_write(), or
 * ERR_UNAVAILABLE when it was hurried. */
struct held_batch {
	struct task task;
	struct held_batches *all;
	struct list link;
	struct replica_watch watch;
	struct timer timer;
	struct file_write write;
	struct held_place place;
	struct record_batch batch;
	struct file_transaction transaction;
	struct blob *holder;
	int64_t row; /* of the partition */
	int writes;
	bool is_late, is_hurried;
};

/* Control refused `batch` with `code` (it is as for file_write(), and stays where it is until the
 * task has ended).  NULL: it is not to be held. */
struct held_batch *held_batch_start(struct arena *a, struct task *parent, struct held_batches *all,
				    int16_t code, const struct held_place *place,
				    const struct record_batch *batch,
				    const struct file_transaction *transaction,
				    struct blob *holder);

/* The agent stops. */
void held_batch_hurry(struct held_batch *h);

#endif
