/* What the data files of a bucket say, for a rebuild.
 *
 *	LIST of all data files -> of each the end: trailer and footer, in a second read if they are
 *	larger than most -> with is_deep, or where it holds ends of transactions, all of it; else
 *	its header -> the plan
 *
 * A file that cannot be what it should is noted with the reason, and the others go on.  A bucket
 * that does not answer ends it: what it did not give is not known to be gone. */
#ifndef SERVER_REBUILD_FILES_H
#define SERVER_REBUILD_FILES_H

#include "base/uuid.h"
#include "buckets/bucket.h"
#include "streams/rebuild/plan.h"

enum {
	REBUILD_FILES_MAX = 8, /* under way at the same time */
	REBUILD_WHOLE_MAX = 2, /* the same, when all of each is read */
	REBUILD_TRIES_MAX = 4, /* of one request */
	REBUILD_IO_MS = 60 * 1000,
	REBUILD_PROGRESS_MS = 2000,
	REBUILD_END_BYTES = 64 * 1024, /* of a file, read first: most footers are smaller */
};

/* What is asked of a file. */
enum rebuild_part { REBUILD_SIZE, REBUILD_TAIL, REBUILD_HEADER, REBUILD_BODY };

struct rebuild_slot {
	struct bucket_op op;
	struct worker_job job;
	struct arena arena;
	struct rebuild_files *files;
	struct plan_file file; /* row 0: idle */
	char key[DATA_FILE_KEY_BYTES + 1];
	uint64_t from, size; /* the part that was asked for, and of the whole file */
	enum rebuild_part part;
	int tries; /* of this part */
	bool is_checking;
	bool is_waiting;	   /* to read all of it: as many others do */
	bool needs_more;	   /* of its end: from `from` on, which was asked for only once */
	bool is_tombstone;	   /* there is no file, and never was */
	bool is_another;	   /* its header says that it belongs under another name */
	struct slice footer_bytes; /* kept while the whole file is read */
	struct data_file_footer footer;
	bool is_final, has_controls;
	int64_t created_ms; /* 0: its header is damaged */
	bool *is_damaged;
	uint8_t *controls;
};

/* A child task.  OK; or what the bucket says, with task.why. */
struct rebuild_files {
	struct task task;
	int64_t listed_count, foreign_count; /* out: names that were never given */

	struct bucket *bucket; /* the rest is private */
	struct plan *plan;
	struct uuid cluster_id;
	bool is_deep;
	void (*on_progress)(void *context, const char *text);
	void *context;
	uint64_t told_ms;
	struct bucket_op list;
	struct arena page;
	char after[BUCKET_KEY_BYTES_MAX + 1];
	int64_t last_row, done_count;
	int whole_count; /* files of which all is asked for */
	enum err err;
	char why[TASK_WHY_BYTES];
	struct rebuild_slot slots[REBUILD_FILES_MAX];
};

/* Everything given outlives the task. */
void rebuild_files(struct rebuild_files *f, struct task *parent, struct bucket *bucket,
		   struct plan *plan, struct uuid cluster_id, bool is_deep,
		   void (*on_progress)(void *context, const char *text), void *context);

#endif
