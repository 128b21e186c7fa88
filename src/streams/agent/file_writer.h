/* Data files on their way into the bucket.
 *
 * Batches of all connections join one open file.  It is flushed when it is full, and at once when
 * nothing is in flight; uploads may overlap, commits are sent in the order of the files.  A batch
 * is done when control has given it an offset and that is durable.
 *
 * A file whose PUT fails fails its batches.  A file whose commit got no answer is committed again
 * when the link is back: it is idempotent, so nobody gets two offsets. */
#ifndef STREAMS_AGENT_FILE_WRITER_H
#define STREAMS_AGENT_FILE_WRITER_H

#include "base/blob.h"
#include "base/uuid.h"
#include "loop/task.h"
#include "wire/kafka/record_batch.h"

enum {
	FILE_WRITER_UPLOADS_MAX = 4,
	FILE_WRITER_BUFFERED_BYTES_MAX = 128 << 20, /* open and in flight; above: ERR_BUSY */
	FILE_WRITER_COMMIT_PATIENCE_MS = 30000,	    /* without control */
};

struct agent;
struct file_writer;

struct file_writer *file_writer_new(struct agent *agent);
void file_writer_free(struct file_writer *w);

/* Name files with this incarnation from now on.  Files of an older one that are not committed fail
 * their batches: control would refuse them. */
void file_writer_set_incarnation(struct file_writer *w, int64_t incarnation);

/* The link is back: commit what waits. */
void file_writer_wake(struct file_writer *w);

/* Files are open or in flight. */
bool file_writer_is_busy(const struct file_writer *w);

/* One batch, as a child task: ends with OK and the answer of control (a Kafka error code and the
 * base offset), or an err: ERR_FULL, ERR_IO ... of the bucket, ERR_UNKNOWN (no answer from
 * control), ERR_BUSY. `holder` is referenced until then.  Batches of one partition keep the order
 * in which file_write() was called. */
struct file_write {
	struct task task;
	struct list link;
	struct uuid topic_id;
	int32_t partition;
	struct record_batch batch;
	struct blob *holder;
	struct open_file *file;
	uint32_t arrival;
	int16_t ret_error;
	int64_t ret_base_offset;
	int64_t ret_log_append_time;
	int64_t ret_log_start_offset;
};

void file_write(struct file_write *write, struct task *parent, struct file_writer *w,
		struct uuid topic_id, int32_t partition, const struct record_batch *batch,
		struct blob *holder);

#endif
