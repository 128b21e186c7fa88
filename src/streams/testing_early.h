/* What control says of a commit that it answered before its record is durable. */
#ifndef STREAMS_TESTING_EARLY_H
#define STREAMS_TESTING_EARLY_H

#include "streams/testing_stage.h"

enum { EARLY_PUSH_RUNS = 8 };

static inline void say_early(const struct peer_early_push *push)
{
	struct buf frame;

	buf_init(&frame);
	assert_int_equal(frame_encode(&frame, &peer_early_push_schema, 0, PEER_CORRELATION_PUSH,
				      push),
			 OK);
	for (size_t i = 0; i < TESTING_AGENTS_MAX; i++)
		if (w.control.peers[i].is_following)
			stream_write(w.control.peers[i].stream, buf_slice(&frame));
	buf_done(&frame);
}

/* The runs that control gave to the last file, of which records are held back. */
static inline struct peer_early_push early_of_last_file(struct peer_early_push_run runs[])
{
	struct cell *cell = w.control.cell;
	struct peer_early_push push = { .sequence = w.control.last_sequence, .runs = runs };
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT run.partition, run.base_offset, run.last_offset, run.position,"
		      " run.size, run.max_timestamp, file.incarnation FROM run JOIN file ON"
		      " file.id = run.file WHERE file.id = (SELECT max(id) FROM file)");

	while (cell_next(cell, st)) {
		assert_true(push.runs_count < EARLY_PUSH_RUNS);
		push.runs[push.runs_count++] = (struct peer_early_push_run) {
			.partition = sqlite3_column_int64(st, 0),
			.base_offset = sqlite3_column_int64(st, 1),
			.last_offset = sqlite3_column_int64(st, 2),
			.position = sqlite3_column_int64(st, 3),
			.size = sqlite3_column_int64(st, 4),
			.max_timestamp = sqlite3_column_int64(st, 5),
		};
		push.incarnation = sqlite3_column_int64(st, 6);
	}
	sqlite3_reset(st);
	return push;
}

static inline void push_last_file(void)
{
	struct peer_early_push_run runs[EARLY_PUSH_RUNS];
	struct peer_early_push push = early_of_last_file(runs);

	say_early(&push);
}

#endif
