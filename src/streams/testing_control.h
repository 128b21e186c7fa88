/* A control process for tests of agents: a real cell behind a Unix socket, everything durable at
 * once, and knobs for what goes wrong. */
#ifndef STREAMS_TESTING_CONTROL_H
#define STREAMS_TESTING_CONTROL_H

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
	enum err kafka_error; /* what every request passed on is answered; OK: nothing */

	int64_t behind_ms; /* the journal's time is not that of this machine */

	/* counters */
	int64_t forgotten_early;
	int orphans_count, orphan_pages;	/* the scan for orphans asked, and brought pages */
	int64_t orphan_counts[ORPHAN_VERDICTS]; /* of the last page */
	int hello_count, commit_count, sync_count, ping_count, usage_count, share_count;
	int kafka_count;					  /* requests passed on */
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

/* --- in -------------------------------------------------------------------------------------- */

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

static inline void testing_answer_hello(struct testing_peer *p, struct arena *a,
					const struct frame *frame)
{
	struct testing_control *c = p->control;
	struct peer_hello_request request;
	struct hello hello = { .request = &request };

	assert_int_equal(frame_decode_body(a, frame, &peer_hello_request_schema, &request), OK);
	assert_int_equal(cell_run(c->cell, hello_run, &hello), OK);
	testing_seal(c);
	c->hello_count++;
	p->node_id = hello.node_id;
	struct peer_hello_response response = {
		.message = SLICE(""),
		.cluster_id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } },
		.node_id = hello.node_id,
		.incarnation = hello.incarnation,
		.default_partitions = TESTING_DEFAULT_PARTITIONS,
		.usage_ms = c->usage_ms,
	};
	testing_write(p, &peer_hello_response_schema, frame->correlation_id, &response);
}

static inline void testing_answer_commit(struct testing_peer *p, struct arena *a,
					 const struct frame *frame)
{
	struct testing_control *c = p->control;
	struct peer_commit_file_request request;
	struct peer_commit_file_response response = { 0 };
	struct commit_file commit = { .arena = a, .request = &request, .response = &response };

	assert_int_equal(frame_decode_body(a, frame, &peer_commit_file_request_schema, &request),
			 OK);
	c->commit_count++;
	c->last_sequence = request.sequence;
	c->last_low_sequence = request.low_sequence;
	if (c->is_mute)
		return;
	if (c->lose_before > 0) {
		c->lose_before--;
		testing_lose_peer(p);
		return;
	}
	enum err err = c->commit_error;
	c->commit_error = OK;
	if (!err)
		err = cell_run(c->cell, commit_file_run, &commit);
	testing_seal(c);
	if (c->lose_after > 0) {
		c->lose_after--;
		testing_lose_peer(p);
		return;
	}
	if (err)
		response = (struct peer_commit_file_response) { .error = (int16_t)err };
	response.index = c->index;
	testing_write(p, &peer_commit_file_response_schema, frame->correlation_id, &response);
}

static inline void testing_answer_share(struct testing_peer *p, struct arena *a,
					const struct frame *frame)
{
	struct testing_control *c = p->control;
	struct peer_share_request request;
	struct peer_share_response response = { 0 };
	struct share_records share = { .arena = a,
				       .request = &request,
				       .now_ms = clock_wall_ms() - p->control->behind_ms,
				       .response = &response };

	assert_int_equal(frame_decode_body(a, frame, &peer_share_request_schema, &request), OK);
	c->share_count++;
	if (c->is_mute)
		return;
	assert_int_equal(cell_run(c->cell, share_records_run, &share), OK);
	testing_seal(c);
	if (c->lose_share_after > 0) {
		c->lose_share_after--;
		testing_lose_peer(p);
		return;
	}
	response.index = c->index;
	testing_write(p, &peer_share_response_schema, frame->correlation_id, &response);
}

static inline enum err testing_grant(struct cell *cell, void *incarnation)
{
	return counter_next_incarnation(cell, incarnation);
}

static inline void testing_answer_job_take(struct testing_peer *p, struct arena *a,
					   const struct frame *frame)
{
	struct testing_control *c = p->control;
	struct peer_job_take_request request;
	struct peer_job_take_response response = { 0 };
	const struct compaction_plan *plan = NULL;
	uint64_t number = 0;

	assert_int_equal(frame_decode_body(a, frame, &peer_job_take_request_schema, &request), OK);
	if (request.incarnation &&
	    !(c->compaction && compaction_job(c->compaction, request.incarnation, p->node_id,
					      loop_now_ms(c->loop), true)))
		response.error = (int16_t)ERR_DENIED;
	if (c->compaction && !request.incarnation)
		number = compaction_find_job(c->compaction, c->cell, p->node_id, clock_wall_ms(),
					     loop_now_ms(c->loop));
	if (number) {
		assert_int_equal(cell_run(c->cell, testing_grant, &response.incarnation), OK);
		testing_seal(c);
		plan = compaction_give_job(c->compaction, number, response.incarnation);
		compaction_plan_tell(a, plan, &response);
		c->job_count++;
	}
	testing_write(p, &peer_job_take_response_schema, frame->correlation_id, &response);
}

static inline void testing_answer_job_finish(struct testing_peer *p, struct arena *a,
					     const struct frame *frame)
{
	struct testing_control *c = p->control;
	struct peer_job_finish_request request;
	struct compaction_swap swap = { .request = &request, .now_ms = clock_wall_ms() };

	assert_int_equal(frame_decode_body(a, frame, &peer_job_finish_request_schema, &request),
			 OK);
	if (c->lose_finish_before > 0) {
		c->lose_finish_before--;
		testing_lose_peer(p);
		return;
	}
	if (c->compaction)
		swap.plan = compaction_job(c->compaction, request.incarnation, p->node_id,
					   loop_now_ms(c->loop), false);
	enum err err = cell_run(c->cell, compaction_swap_run, &swap);
	testing_seal(c);
	if (!err && c->compaction)
		compaction_end_job(c->compaction, request.incarnation);
	c->finish_count++;
	c->denied_count += err == ERR_DENIED;
	c->swapped_count += swap.swapped;
	if (c->lose_finish_after > 0) {
		c->lose_finish_after--;
		testing_lose_peer(p);
		return;
	}
	struct peer_job_finish_response response = { .error = (int16_t)err,
						     .index = c->index,
						     .swapped = swap.swapped };
	testing_write(p, &peer_job_finish_response_schema, frame->correlation_id, &response);
}

static inline void testing_answer_usage(struct testing_peer *p, struct arena *a,
					const struct frame *frame)
{
	struct testing_control *c = p->control;
	struct peer_usage_request request;
	struct peer_usage_response response = { 0 };
	struct usage_report report;

	assert_int_equal(frame_decode_body(a, frame, &peer_usage_request_schema, &request), OK);
	assert_int_equal(usage_from_request(&request, 1795348800000, &report), OK);
	assert_int_equal(cell_run(c->cell, usage_run, &report), OK);
	testing_seal(c);
	c->usage_count++;
	if (c->lose_usage_after > 0) {
		c->lose_usage_after--;
		testing_lose_peer(p);
		return;
	}
	testing_write(p, &peer_usage_response_schema, frame->correlation_id, &response);
}

/* As control does, but that a sick one is not live even when it is alone. */
static inline void testing_answer_condition(struct testing_peer *p, struct arena *a,
					    const struct frame *frame)
{
	struct testing_control *c = p->control;
	struct peer_condition_request request;
	struct peer_condition_response response = { 0 };
	char sql[100];

	assert_int_equal(frame_decode_body(a, frame, &peer_condition_request_schema, &request), OK);
	if (c->is_mute)
		return;
	snprintf(sql, sizeof(sql), "UPDATE agent SET is_live = %d WHERE id = %d",
		 request.condition == AGENT_SERVES, p->node_id);
	testing_control_sql(c, sql);
	sqlite3_stmt *st = cell_statement(c->cell, "SELECT count(*) FROM agent WHERE is_live = 1"
						   " AND id <> ?1");
	cell_bind_int(st, 1, p->node_id);
	assert_true(cell_next(c->cell, st));
	response.others = sqlite3_column_int(st, 0);
	sqlite3_reset(st);
	response.index = c->index;
	p->condition = (enum agent_condition)request.condition;
	testing_write(p, &peer_condition_response_schema, frame->correlation_id, &response);
}

/* As control does; every agent has its turn. */
static inline void testing_answer_orphans(struct testing_peer *p, struct arena *a,
					  const struct frame *frame)
{
	struct testing_control *c = p->control;
	struct peer_orphans_request request;
	struct peer_orphans_response response = { .wait_ms = c->lists_orphans ? 0 : 5,
						  .after = SLICE("") };
	struct orphans_page page = {
		.request = &request,
		.lives = { testing_low_sequence, testing_is_leased, c },
		.now_ms = 1,
	};

	assert_int_equal(frame_decode_body(a, frame, &peer_orphans_request_schema, &request), OK);
	c->orphans_count++;
	assert_int_equal(cell_run(c->cell, orphans_run, &page), OK);
	testing_seal(c);
	for (int i = 0; i < ORPHAN_VERDICTS; i++)
		c->orphan_counts[i] = page.counts[i];
	c->orphan_pages += request.is_page;
	if (request.is_page && !request.is_last)
		response.after = request.listed_to;
	else if (request.is_page)
		response.wait_ms = 5; /* a pass has ended */
	testing_write(p, &peer_orphans_response_schema, frame->correlation_id, &response);
}

static inline void testing_answer_forget(struct testing_peer *p, struct arena *a,
					 const struct frame *frame)
{
	struct testing_control *c = p->control;
	struct forget_files forget = { .now_ms = clock_wall_ms() };
	struct peer_forget_files_response response = { 0 };

	assert_int_equal(frame_decode_body(a, frame, &peer_forget_files_request_schema,
					   &forget.request),
			 OK);
	assert_int_equal(cell_run(c->cell, forget_files_run, &forget), OK);
	c->forgotten_early += forget.too_early;
	testing_seal(c);
	testing_write(p, &peer_forget_files_response_schema, frame->correlation_id, &response);
}

static inline void testing_take_frame(struct testing_peer *p, const struct frame *frame)
{
	struct testing_control *c = p->control;
	struct peer_sync_response sync = { .index = c->index };
	struct peer_ping_response ping = { 0 };
	struct peer_key_job_response no_job = { .error = ERR_NOT_FOUND, .wait_ms = 60000 };
	struct arena a;

	if (c->is_hung)
		return;
	arena_init(&a);
	switch (frame->message) {
	case PEER_HELLO_REQUEST:
		testing_answer_hello(p, &a, frame);
		break;
	case PEER_FOLLOW_REQUEST:
		testing_push_image(p);
		break;
	case PEER_SYNC_REQUEST:
		c->sync_count++;
		if (c->is_mute)
			break;
		testing_write(p, &peer_sync_response_schema, frame->correlation_id, &sync);
		break;
	case PEER_COMMIT_FILE_REQUEST:
		testing_answer_commit(p, &a, frame);
		break;
	case PEER_FORGET_FILES_REQUEST:
		testing_answer_forget(p, &a, frame);
		break;
	case PEER_ORPHANS_REQUEST:
		testing_answer_orphans(p, &a, frame);
		break;
	case PEER_KEY_JOB_REQUEST:
		testing_write(p, &peer_key_job_response_schema, frame->correlation_id, &no_job);
		break;
	case PEER_SHARE_REQUEST:
		testing_answer_share(p, &a, frame);
		break;
	case PEER_JOB_TAKE_REQUEST:
		testing_answer_job_take(p, &a, frame);
		break;
	case PEER_JOB_FINISH_REQUEST:
		testing_answer_job_finish(p, &a, frame);
		break;
	case PEER_USAGE_REQUEST:
		testing_answer_usage(p, &a, frame);
		break;
	case PEER_PING_REQUEST:
		c->ping_count++;
		testing_write(p, &peer_ping_response_schema, frame->correlation_id, &ping);
		break;
	case PEER_KAFKA_REQUEST:
		c->kafka_count++;
		if (c->kafka_error)
			testing_write(p, &peer_kafka_response_schema, frame->correlation_id,
				      &(struct peer_kafka_response) {
					      .error = (int16_t)c->kafka_error });
		break;
	case PEER_CONDITION_REQUEST:
		testing_answer_condition(p, &a, frame);
		break;
	default:
		fail_msg("control got message %d", frame->message);
	}
	arena_done(&a);
}

static inline void testing_control_readable(void *context, struct stream *s)
{
	struct testing_peer *p = context;

	while (p->stream == s) {
		struct slice in = stream_inbox(s);
		size_t before = in.size;
		struct frame frame;
		if (frame_decode(&in, &frame))
			return;
		if (p->control->tap)
			buf_add_slice(p->control->tap,
				      slice_part(stream_inbox(s), 0, before - in.size));
		testing_take_frame(p, &frame);
		if (p->stream == s)
			stream_consume(s, before - in.size);
	}
}

static inline void testing_control_end(void *context, struct stream *s, enum err err)
{
	(void)s;
	(void)err;
	testing_lose_peer(context);
}

static inline void testing_control_accept(void *context, struct stream *s)
{
	static const struct stream_owner owner = {
		.on_readable = testing_control_readable,
		.on_end = testing_control_end,
	};
	struct testing_control *c = context;
	struct testing_peer *p = c->peers;

	if (c->is_away) {
		stream_close(s);
		return;
	}
	while (p->stream)
		assert_true(++p < c->peers + TESTING_AGENTS_MAX);
	p->stream = s;
	stream_set_inbox_limit(s, PEER_FRAME_BYTES_MAX + PEER_FRAME_EXTRA_BYTES);
	stream_set_owner(s, &owner, p);
}

/* --- topics ---------------------------------------------------------------------------------- */

struct testing_topic {
	const char *name;
	uint8_t id; /* of sixteen bytes alike */
	int partitions;
};

static inline enum err testing_add_topic(struct cell *cell, void *argument)
{
	const struct testing_topic *topic = argument;
	uint8_t id[16];

	memset(id, topic->id, sizeof(id));
	sqlite3_stmt *st = cell_statement(cell, "INSERT INTO topic (topic_id, name,"
						" partition_count, created_ms)"
						" VALUES (?1, ?2, ?3, 1)");
	cell_bind_blob(st, 1, (struct slice) { id, sizeof(id) });
	cell_bind_text(st, 2, slice_from(topic->name));
	cell_bind_int(st, 3, topic->partitions);
	enum err err = cell_execute(cell, st);
	int64_t row = sqlite3_last_insert_rowid(cell_database(cell));
	for (int i = 0; i < topic->partitions && !err; i++) {
		st = cell_statement(cell, "INSERT INTO partition (topic, number, log_start_offset,"
					  " high_watermark, leader_epoch, bytes)"
					  " VALUES (?1, ?2, 0, 0, 0, 0)");
		cell_bind_int(st, 1, row);
		cell_bind_int(st, 2, i);
		err = cell_execute(cell, st);
	}
	return err;
}

static inline void testing_create_topic(struct testing_control *c, const char *name, uint8_t id,
					int partitions)
{
	struct testing_topic topic = { name, id, partitions };

	assert_int_equal(cell_run(c->cell, testing_add_topic, &topic), OK);
	testing_seal(c);
}

/* --- life ------------------------------------------------------------------------------------ */

static inline void testing_control_open(struct testing_control *c, struct loop *loop,
					const char *path)
{
	char why[TASK_WHY_BYTES] = "";

	*c = (struct testing_control) { .loop = loop };
	for (size_t i = 0; i < TESTING_AGENTS_MAX; i++) {
		c->peers[i].control = c;
		buf_init(&c->peers[i].held);
		buf_init(&c->peers[i].held_answers);
	}
	c->cell = cell_new("streams");
	assert_int_equal(cell_upgrade_schema(c->cell, catalog_schema, catalog_schema_count, why),
			 OK);
	testing_seal(c);
	assert_int_equal(listener_open_unix(loop, path, testing_control_accept, c, &c->listener,
					    why),
			 OK);
}

static inline void testing_control_close(struct testing_control *c)
{
	testing_lose_agent(c);
	listener_close(c->listener);
	cell_free(c->cell);
	for (size_t i = 0; i < TESTING_AGENTS_MAX; i++) {
		buf_done(&c->peers[i].held);
		buf_done(&c->peers[i].held_answers);
	}
}

#endif
