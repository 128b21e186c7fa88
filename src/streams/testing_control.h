/* A control process for tests of agents: a real cell behind a Unix socket, everything durable at
 * once, and knobs for what goes wrong (testing_control_state.h). */
#ifndef STREAMS_TESTING_CONTROL_H
#define STREAMS_TESTING_CONTROL_H

#include "streams/testing_announced.h"
#include "streams/testing_control_state.h"

/* --- in -------------------------------------------------------------------------------------- */

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
		.wants_announcements = c->wants_announcements,
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
	if (request.is_announcement) {
		testing_answer_announcement(p, &request, frame);
		return;
	}
	c->commit_count++;
	c->last_sequence = request.sequence;
	c->last_low_sequence = request.low_sequence;
	if (c->is_mute)
		return;
	if (testing_loses(p, &c->lose_before))
		return;
	enum err err = c->commit_error;
	c->commit_error = OK;
	const struct peer_confirm_file_request confirm = { request.incarnation, request.sequence,
							   request.low_sequence };
	if (!err && announced_has(c->cell, request.incarnation, request.sequence))
		err = testing_run_confirm(c, a, &confirm, &response);
	else if (!err)
		err = cell_run(c->cell, commit_file_run, &commit);
	testing_seal(c);
	if (!testing_loses(p, &c->lose_after))
		testing_answer_file(p, frame, &response, err);
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
		testing_take_announced_frame(p, &a, frame);
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
	announced_init(&c->announced);
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
	announced_done(&c->announced);
	cell_free(c->cell);
	for (size_t i = 0; i < TESTING_AGENTS_MAX; i++) {
		buf_done(&c->peers[i].held);
		buf_done(&c->peers[i].held_answers);
	}
}

#endif
