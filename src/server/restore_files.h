/* Is every data file that the catalog names in the bucket, and what the catalog says it is?
 *
 *	LIST of all data files, for what is there -> HEAD of each where the list told no sizes,
 *	or, deeply, GET of each: header, index, checksums of all batches, and whether they are
 *	those the catalog means */
#ifndef SERVER_RESTORE_FILES_H
#define SERVER_RESTORE_FILES_H

#include "base/buf.h"
#include "base/map.h"
#include "buckets/bucket.h"
#include "streams/catalog/survey.h"

enum {
	RESTORE_HEADS_MAX = 16,	       /* at the same time */
	RESTORE_GETS_MAX = 4,	       /* whole files in memory */
	RESTORE_TRIES_MAX = 3,	       /* of one file */
	RESTORE_IO_MS = 60 * 1000,     /* deadline of one request */
	RESTORE_PROGRESS_MS = 2000,    /* between two lines about it */
	RESTORE_STRAYS_MAX = 1000000,  /* remembered by name */
	RESTORE_END_BYTES = 64 * 1024, /* of a file, read first: most footers are smaller */
};

enum restore_file_state {
	RESTORE_FILE_UNSEEN, /* not in the list */
	RESTORE_FILE_LISTED,
	RESTORE_FILE_GOOD,
	RESTORE_FILE_GONE,
	RESTORE_FILE_SIZE,	 /* it has another size */
	RESTORE_FILE_DAMAGED,	 /* its bytes are not what was written */
	RESTORE_FILE_UNREADABLE, /* the bucket did not give it */
};

struct restore_file {
	uint8_t name[16]; /* incarnation, sequence: key of the map */
	const struct survey_file *of;
	enum restore_file_state state;
	uint64_t size; /* in the bucket, where the state is about that */
	enum err err;  /* of the bucket */
};

/* An object that the catalog does not name as one that is read. */
struct restore_stray {
	int64_t incarnation, sequence;
	uint64_t size; /* BUCKET_SIZE_UNKNOWN: the list did not tell */
};

/* How much of each file is looked at. */
enum restore_depth {
	RESTORE_SIZES,
	RESTORE_FOOTERS, /* the index at the end of each: it has to hold the runs of the catalog */
	RESTORE_WHOLE,	 /* all of it */
};

struct restore_slot {
	struct bucket_op op;
	struct worker_job job;
	struct arena arena;
	struct restore_files *files;
	struct restore_file *file; /* NULL: idle */
	struct survey_run *runs;
	size_t run_count;
	int tries;
	bool is_checking;
	bool is_final; /* the file says its offsets itself */
	bool has_end;  /* footers: the part that is read is the whole footer */
	uint64_t end_at;
	char key[64];
};

/* A child task.  OK: the states say what was found; else what the bucket says to the LIST. */
struct restore_files {
	struct task task;
	struct restore_file *files;   /* out, survey->file_count of them */
	size_t bad_count;	      /* out */
	struct restore_stray *strays; /* out: the first RESTORE_STRAYS_MAX of those */
	size_t stray_count;	      /* out: in the bucket, and not in the catalog */
	size_t newer_count;	      /* out: of those, of agents the catalog has never heard of */

	struct bucket *bucket; /* the rest is private */
	struct cell *cell;
	const struct survey *survey;
	struct uuid cluster_id;
	enum restore_depth depth;
	const struct restore_files *before;
	void (*on_progress)(void *context, const char *text);
	void *context;
	uint64_t told_ms;
	struct map by_name;
	struct bucket_op list;
	struct buf stray_rows;
	struct arena *kept;
	struct arena page, arena;
	char after[BUCKET_KEY_BYTES_MAX + 1];
	size_t listed_count, next, done_count;
	uint64_t done_bytes;
	struct restore_slot slots[RESTORE_HEADS_MAX];
};

/* Everything given outlives the task; what it returns lives in `a`.  With `before` it is a second
 * look, with a later catalog: only at what was not good then and is still read now.  Nothing is
 * listed, and there are no strays. */
void restore_files(struct restore_files *f, struct task *parent, struct arena *a,
		   struct bucket *bucket, struct cell *cell, const struct survey *survey,
		   struct uuid cluster_id, enum restore_depth depth,
		   const struct restore_files *before,
		   void (*on_progress)(void *context, const char *text), void *context);

#endif
