/* What file_writer.c (batches, when a file is closed, lives) and data_file_job.c (the way of a
 * closed file) share. */
#ifndef STREAMS_AGENT_FILE_WRITER_PRIVATE_H
#define STREAMS_AGENT_FILE_WRITER_PRIVATE_H

#include "buckets/bucket.h"
#include "loop/timer.h"
#include "streams/agent/commit_order.h"
#include "streams/agent/control_link.h"
#include "streams/agent/file_writer.h"
#include "streams/agent/flush_budget.h"
#include "wire/streams/data_file.h"

struct file_writer {
	struct agent *agent;
	struct data_file_job *open; /* NULL: none */
	struct list files;	    /* closed ones, by sequence */
	struct deferred flush;
	struct timer due; /* of the open file */
	struct flush_budget budget;
	bool is_far; /* the bucket: puts follow the budget */
	size_t uploads_max;
	size_t put_count;      /* files that hold one of the places for uploads */
	size_t unstored_count; /* closed, and not yet stored or failed */
	size_t buffered_bytes;
	int64_t incarnation; /* 0: none yet, or refused */
	int64_t next_sequence;
	uint64_t quiet_until_ms; /* no log line about failed puts before */
	uint64_t full_until_ms;	 /* the catalog was full: no batch is taken before */
	uint64_t full_quiet_until_ms;
	uint64_t lives_since_ms; /* the first of the lives that were taken over */
	int lives_lost;
	size_t job_count;	/* of files that are closed, some of which only wait for a call */
	int conflicts_in_a_row; /* of puts of announced files */
};

/* Of its announcement. */
enum announcing {
	NOT_ANNOUNCED, /* control certainly does not have it */
	ANNOUNCING,    /* sent, not answered */
	ANNOUNCED,
	MAYBE_ANNOUNCED, /* sent, and there will be no answer */
};

/* Places of its task. */
enum {
	FILE_QUEUED,
	FILE_PUT,
	FILE_PAUSED,
	FILE_STORED,
	FILE_COMMITTED,
	FILE_FAILED,
	FILE_WITHDRAWN,
};

struct data_file_job {
	struct task task;
	struct file_writer *writer;
	struct list link; /* in writer->files */
	struct data_file_writer data;
	uint64_t opened_ms;
	uint64_t since_us;		       /* of its state: clock_now_us() */
	struct file_write **writes;	       /* by arrival; NULL: nobody waits */
	struct file_transaction *transactions; /* the same */
	size_t write_count, write_capacity;
	size_t buffered_bytes;
	int64_t incarnation, sequence;
	struct commit_order order;
	char key[DATA_FILE_KEY_BYTES + 1];
	struct bucket_op put;
	struct sleep sleep;
	struct control_call call;
	struct control_call announcement; /* beside the put */
	uint64_t announced_us;
	int64_t announced_after; /* the sequence it says that it comes after; 0: none */
	enum announcing announcing;
	enum err verdict; /* what its batches are told when it was withdrawn */
	int put_tries;
	bool is_asking;	  /* the bucket, which health knows */
	bool is_putting;  /* counted in put_count */
	bool is_unstored; /* counted in unstored_count */
	bool is_stored;
	bool is_sent;	 /* control may have seen its commit */
	bool is_resent;	 /* more than once: one of them may be read later */
	bool is_refused; /* of a dead incarnation */
	bool is_whole;	 /* its commit is sent with all its runs, announced or not */
	bool is_over;	 /* decided; waits for its announcement to end */
};

struct data_file_job *data_file_job_new(struct file_writer *w);
void data_file_job_free(struct data_file_job *f);

/* It is closed and has its name: put and commit it.  Frees itself. */
void data_file_job_start(struct data_file_job *f);

/* --- data_file_call.c ------------------------------------------------------------------------ */

/* May its commit be sent?  Then *ret_after is the sequence of the file that control must have
 * committed before, 0: none; control may refuse that one for now and would take this one.  Of one
 * that is only confirmed control knows what its announcement named. */
bool data_file_is_turn(const struct data_file_job *f, int64_t *ret_after);

/* Its commit, or the confirmation of what was announced, in f->call; a withdrawal. */
void data_file_send_commit(struct data_file_job *f, int64_t after_sequence);
void data_file_send_withdrawal(struct data_file_job *f);

/* Its put begins: tell control, if it wants to know.  Whatever became of that is noted later. */
void data_file_announce(struct data_file_job *f);
void data_file_take_announcement(struct data_file_job *f);

/* --- shared ---------------------------------------------------------------------------------- */

/* Every batch that still waits ends with `err`. */
void data_file_job_fail(struct data_file_job *f, enum err err);

/* A batch is answered that the catalog of the cluster is full. */
void file_write_refuse_full(struct file_write *write);

/* Every file looks whether it can go on; whether the open one is due. */
void file_writer_wake_files(struct file_writer *w);
void file_writer_schedule_flush(struct file_writer *w);

#endif
