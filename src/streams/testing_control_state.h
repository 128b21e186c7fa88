/* What testing_control.h has of a control process: its state, its knobs, and what it says. */
#ifndef STREAMS_TESTING_CONTROL_STATE_H
#define STREAMS_TESTING_CONTROL_STATE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cells/follower.h"
#include "loop/stream.h"
#include "streams/catalog/catalog.h"
#include "streams/coordinator/announced.h"
#include "streams/coordinator/commit_file.h"
#include "streams/coordinator/compaction_jobs.h"
#include "streams/coordinator/counter.h"
#include "streams/coordinator/forget_files.h"
#include "streams/coordinator/hello.h"
#include "streams/coordinator/orphans.h"
#include "streams/coordinator/share_records.h"
#include "streams/coordinator/usage.h"
#include "wire/peer/condition.h"
#include "wire/peer/frame.h"

enum { TESTING_IMAGE_PART_BYTES = 4096, TESTING_DEFAULT_PARTITIONS = 3, TESTING_AGENTS_MAX = 4 };

/* One agent's connection. */
struct testing_peer {
	struct testing_control *control;
	struct stream *stream; /* NULL: none */
	int32_t node_id;       /* that hello gave it */
	enum agent_condition condition;
	bool is_following;
	struct buf held;	 /* records not pushed yet */
	struct buf held_answers; /* to commits */
};

struct testing_control {
	struct loop *loop;
	struct listener *listener;
	struct testing_peer peers[TESTING_AGENTS_MAX];
	struct cell *cell;
	int64_t index;

	/* knobs */
	bool is_away;	      /* closes every connection at once */
	bool holds_records;   /* replicas stay behind */
	int32_t held_node_id; /* only that of this node; 0: all */
	bool holds_answers;   /* commits are run and not answered yet */
	bool is_hung;	      /* takes every frame and does nothing */
	bool is_mute;	      /* commits, syncs, share requests are not answered, and not run */
	int lose_before;      /* commits: close the connection instead of running the command */
	int lose_after;	      /* commits: run the command, then close the connection */
	int lose_usage_after; /* the same with reports */
	int lose_share_after; /* and with the records of share groups */
	int32_t usage_ms;     /* 0: no reports are wanted */
	bool lists_orphans;   /* agents may list the bucket */
	struct compaction *compaction;		   /* NULL: there are no jobs */
	int lose_finish_before, lose_finish_after; /* as with commits */
	enum err commit_error;			   /* what the next commit is answered, once */
	bool wants_announcements;
	enum err announcement_error; /* what the next one is answered, once */
	bool forgets_verdicts;	     /* of what is settled */
	/* as with commits */
	int lose_announcement_before, lose_announcement_after;
	int lose_confirm_before, lose_confirm_after;
	int lose_withdraw_before, lose_withdraw_after;
	struct announced announced;
	enum err kafka_error; /* what every request passed on is answered; OK: nothing */

	int64_t behind_ms; /* the journal's time is not that of this machine */

	/* counters */
	int64_t forgotten_early;
	int orphans_count, orphan_pages;	/* the scan for orphans asked, and brought pages */
	int64_t orphan_counts[ORPHAN_VERDICTS]; /* of the last page */
	int hello_count, commit_count, sync_count, ping_count, usage_count, share_count;
	int kafka_count; /* requests passed on */
	int announce_count, confirm_count, withdraw_count, there_count, burnt_count;
	int job_count, finish_count, denied_count, swapped_count; /* the last: groups */
	int64_t last_low_sequence, last_sequence;
	struct buf *tap; /* not NULL: all that agents say is added here */
};

/* --- out ------------------------------------------------------------------------------------- */

static inline bool testing_holds(const struct testing_peer *p)
{
	const struct testing_control *c = p->control;

	return c->holds_records && (c->held_node_id == 0 || c->held_node_id == p->node_id);
}

static inline void testing_write(struct testing_peer *p, const struct schema *schema,
				 uint32_t correlation_id, const void *value)
{
	struct buf frame;

	buf_init(&frame);
	assert_int_equal(frame_encode(&frame, schema, 0, correlation_id, value), OK);
	if (correlation_id == PEER_CORRELATION_PUSH && testing_holds(p))
		buf_add_slice(&p->held, buf_slice(&frame));
	else if (schema == &peer_commit_file_response_schema && p->control->holds_answers)
		buf_add_slice(&p->held_answers, buf_slice(&frame));
	else if (p->stream)
		stream_write(p->stream, buf_slice(&frame));
	buf_done(&frame);
}

static inline void testing_hold_records(struct testing_control *c, bool holds)
{
	c->holds_records = holds;
	for (size_t i = 0; i < TESTING_AGENTS_MAX && !holds; i++) {
		struct testing_peer *p = &c->peers[i];
		if (p->stream)
			stream_write(p->stream, buf_slice(&p->held));
		buf_clear(&p->held);
	}
}

static inline void testing_release_answers(struct testing_control *c)
{
	c->holds_answers = false;
	for (size_t i = 0; i < TESTING_AGENTS_MAX; i++) {
		struct testing_peer *p = &c->peers[i];
		if (p->stream)
			stream_write(p->stream, buf_slice(&p->held_answers));
		buf_clear(&p->held_answers);
	}
}

/* What has changed becomes one record. */
static inline void testing_seal(struct testing_control *c)
{
	struct peer_record_push push = { 0 };
	struct buf record;

	if (!cell_has_changes(c->cell))
		return;
	buf_init(&record);
	cell_seal(c->cell, (uint64_t)(clock_wall_ms() - c->behind_ms), &record);
	push.index = ++c->index;
	push.bytes = buf_slice(&record);
	for (size_t i = 0; i < TESTING_AGENTS_MAX; i++)
		if (c->peers[i].is_following)
			testing_write(&c->peers[i], &peer_record_push_schema, PEER_CORRELATION_PUSH,
				      &push);
	buf_done(&record);
}

static inline void testing_push_image(struct testing_peer *p)
{
	struct testing_control *c = p->control;
	struct follower_image image;

	follower_image_take(c->cell, NULL, &image);
	for (size_t at = 0; at < follower_image_bytes(&image);) {
		struct peer_snapshot_push push = {
			.index = c->index,
			.total_bytes = (int64_t)follower_image_bytes(&image),
			.offset = (int64_t)at,
			.bytes = follower_image_part(&image, at, TESTING_IMAGE_PART_BYTES),
		};
		testing_write(p, &peer_snapshot_push_schema, PEER_CORRELATION_PUSH, &push);
		at += push.bytes.size;
	}
	follower_image_done(&image);
	p->is_following = true;
}

static inline enum err testing_run_text(struct cell *cell, void *sql)
{
	return cell_execute(cell, cell_statement(cell, sql));
}

/* One statement, and the record that carries it. */
static inline void testing_control_sql(struct testing_control *c, const char *sql)
{
	assert_int_equal(cell_run(c->cell, testing_run_text, (void *)(uintptr_t)sql), OK);
	testing_seal(c);
}

static inline int64_t testing_low_sequence(void *context, int64_t incarnation)
{
	(void)incarnation;
	return ((struct testing_control *)context)->last_low_sequence;
}

static inline bool testing_is_leased(void *context, int64_t incarnation)
{
	const struct testing_control *c = context;

	return c->compaction &&
	       compaction_has_job(c->compaction, incarnation, loop_now_ms(c->loop));
}

/* --- losing connections ---------------------------------------------------------------------- */

static inline void testing_lose_peer(struct testing_peer *p)
{
	if (p->stream)
		stream_close(p->stream);
	p->stream = NULL;
	p->is_following = false;
	p->node_id = 0;
	buf_clear(&p->held);
	buf_clear(&p->held_answers);
}

/* All of them. */
static inline void testing_lose_agent(struct testing_control *c)
{
	for (size_t i = 0; i < TESTING_AGENTS_MAX; i++)
		testing_lose_peer(&c->peers[i]);
}

/* True: the connection is closed now, as a knob wants it. */
static inline bool testing_loses(struct testing_peer *p, int *knob)
{
	if (*knob == 0)
		return false;
	(*knob)--;
	testing_lose_peer(p);
	return true;
}

#endif
