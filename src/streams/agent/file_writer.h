/* Data files on their way into the bucket.
 *
 * Batches of all connections join one open file.  It is flushed when it is full; else, in a
 * directory, as soon as nothing is in flight, and in a bucket that is far (bucket_is_far) as its
 * budget of requests allows (flush_budget.h).  Uploads may overlap; commits are sent in the order
 * of the files where somebody could tell (commit_order.h).  A batch is done when control has given
 * it an offset and that is durable.
 *
 * A file whose PUT fails fails its batches.  A file whose commit got no answer is committed again
 * when the link is back: it is idempotent, so nobody gets two offsets.  When that takes longer than
 * FILE_WRITER_COMMIT_PATIENCE_MS its batches end with ERR_UNKNOWN and the incarnation with them.
 *
 * A file that was announced (data_file_job.c) is decided by control alone: when its PUT fails it is
 * withdrawn, and its batches are told that they were not stored when control has agreed. */
#ifndef STREAMS_AGENT_FILE_WRITER_H
#define STREAMS_AGENT_FILE_WRITER_H

#include "base/blob.h"
#include "base/uuid.h"
#include "loop/task.h"
#include "wire/kafka/record_batch.h"
#include "wire/peer/transaction_support.h"

enum {
	FILE_WRITER_UPLOADS_MAX = 4,
	FILE_WRITER_UPLOADS_FAR_MAX = 16, /* each takes long, most of them are small */
	FILE_WRITER_BATCHES_MAX = 4096,	  /* of one file: its commit fits into one transaction */
	/* Open and in flight; above: ERR_BUSY.  Requests under way keep to their own, lower limit
	 * (AGENT_BUFFERED_BYTES_MAX): what is above it came from connections that are gone. */
	FILE_WRITER_BUFFERED_BYTES_MAX = 384 << 20,
	FILE_WRITER_PUTS_MAX = 5,		/* tries, of one file */
	FILE_WRITER_RETRY_MS = 50,		/* between tries, of puts and of commits */
	FILE_WRITER_COMMIT_PATIENCE_MS = 30000, /* without control */
	FILE_WRITER_QUIET_MS = 5000,		/* between log lines about failed puts */
	FILE_WRITER_TWIN_LIVES = 3, /* taken over within this time: two agents have one address */
	FILE_WRITER_TWIN_MS = 30000,
	FILE_WRITER_ANNOUNCED_BYTES_MAX = 32 << 20, /* far below where stores want parts */
	FILE_WRITER_CONFLICTS_MAX = 2 * FILE_WRITER_UPLOADS_FAR_MAX, /* of announced files, in a
								      * row: names of others */
	FILE_WRITER_FULL_MS = 1000, /* after a refused commit no file is put: it would only lie in
				     * the bucket */
};

struct agent;
struct data_file_job;
struct file_writer;

struct file_writer *file_writer_new(struct agent *agent);
void file_writer_free(struct file_writer *w);

/* Name files with this incarnation from now on.  Files of an older one that are not committed fail
 * their batches: control would refuse them. */
void file_writer_set_incarnation(struct file_writer *w, int64_t incarnation);

/* The link is back: commit what waits. */
void file_writer_wake(struct file_writer *w);

/* Its incarnations were taken over again and again: another agent tells clients the same address.
 */
bool file_writer_has_twin(const struct file_writer *w);

/* Files are in flight, or open and about to be.  What is open without an incarnation is not: nobody
 * can tell when there will be one. */
bool file_writer_is_busy(const struct file_writer *w);

/* For /metrics. */
struct file_writer_status {
	size_t files; /* closed, and not yet committed or failed */
	size_t buffered_bytes;
	bool has_budget;
	double puts_left; /* of the budget */
};
void file_writer_get_status(struct file_writer *w, struct file_writer_status *ret);

/* One batch, as a child task: ends with OK and the answer of control (a Kafka error code and the
 * base offset; or, when the catalog is full, KAFKA_POLICY_VIOLATION, which ret_why explains), or an
 * err: ERR_FULL, ERR_IO, ERR_DENIED ... of the bucket, ERR_UNKNOWN (no answer from control),
 * ERR_UNAVAILABLE (certainly not stored; again), ERR_BUSY.  The batch lies inside `holder`, which
 * the writer references.  Batches of one connection, and those of one producer id, keep the order
 * in which file_write() was called.  A canceled write ends at once; its batch goes its way. */
struct file_write {
	struct task task;
	struct data_file_job *file; /* NULL when it is decided */
	uint32_t arrival;
	int16_t ret_error;
	const char *ret_why; /* a sentence for the producer, or NULL */
	int64_t ret_base_offset;
	int64_t ret_log_append_time;
	int64_t ret_log_start_offset;
};

/* The transaction a batch is part of; its id lies inside the `holder` of the batch, too. */
struct file_transaction {
	struct slice transactional_id; /* null: none */
	enum transaction_support support;
};

void file_write(struct file_write *write, struct task *parent, struct file_writer *w,
		uint64_t connection_id, struct uuid topic_id, int32_t partition,
		const struct record_batch *batch, const struct file_transaction *transaction,
		struct blob *holder);

#endif
