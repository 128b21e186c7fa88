/* What the control process of testing_control.h does with files that are announced: the commands
 * are control's own. */
#ifndef STREAMS_TESTING_ANNOUNCED_H
#define STREAMS_TESTING_ANNOUNCED_H

#include "streams/testing_control_state.h"

static inline void testing_answer_file(struct testing_peer *p, const struct frame *frame,
				       struct peer_commit_file_response *response, enum err err)
{
	if (err)
		*response = (struct peer_commit_file_response) { .error = (int16_t)err };
	response->index = p->control->index;
	testing_write(p, &peer_commit_file_response_schema, frame->correlation_id, response);
}

static inline enum err testing_keep_announcement(struct cell *cell, void *command)
{
	const struct announced_command *m = command;
	sqlite3_stmt *st =
		cell_statement(cell, "INSERT INTO announced (incarnation, sequence, size, request)"
				     " VALUES (?1, ?2, ?3, ?4)");
	enum err err = commit_file_check(cell, m->request);
	int64_t before = m->request->after_sequence;

	if (err)
		return err;
	if (before && !catalog_has_file(cell, m->incarnation, before) &&
	    !announced_has(cell, m->incarnation, before))
		return ERR_BUSY;
	cell_bind_int(st, 1, m->incarnation);
	cell_bind_int(st, 2, m->sequence);
	cell_bind_int(st, 3, m->request->size);
	cell_bind_blob(st, 4, m->body);
	return cell_execute(cell, st);
}

/* As control does, whose own command needs a leader. */
static inline void testing_answer_announcement(struct testing_peer *p,
					       const struct peer_commit_file_request *request,
					       const struct frame *frame)
{
	struct testing_control *c = p->control;
	struct peer_commit_file_response response = { 0 };
	struct announced_command command = {
		.incarnation = request->incarnation,
		.sequence = request->sequence,
		.request = request,
		.body = frame->body,
	};

	c->announce_count++;
	if (c->is_mute || testing_loses(p, &c->lose_announcement_before))
		return;
	enum err err = c->announcement_error;
	c->announcement_error = OK;
	if (!err)
		err = cell_run(c->cell, testing_keep_announcement, &command);
	testing_seal(c);
	if (!testing_loses(p, &c->lose_announcement_after))
		testing_answer_file(p, frame, &response, err);
}

static inline enum err testing_run_confirm(struct testing_control *c, struct arena *a,
					   const struct peer_confirm_file_request *request,
					   struct peer_commit_file_response *response)
{
	struct leader_call leader = { 0 };
	struct announced_command command = {
		.announced = &c->announced,
		.leader = &leader,
		.arena = a,
		.incarnation = request->incarnation,
		.sequence = request->sequence,
		.low_sequence = request->low_sequence,
		.response = response,
	};

	return cell_run(c->cell, announced_confirm_run, &command);
}

static inline void testing_answer_confirm(struct testing_peer *p, struct arena *a,
					  const struct frame *frame)
{
	struct testing_control *c = p->control;
	struct peer_confirm_file_request request;
	struct peer_commit_file_response response = { 0 };

	assert_int_equal(frame_decode_body(a, frame, &peer_confirm_file_request_schema, &request),
			 OK);
	c->confirm_count++;
	c->last_sequence = request.sequence;
	c->last_low_sequence = request.low_sequence;
	if (c->is_mute || testing_loses(p, &c->lose_confirm_before))
		return;
	enum err err = c->commit_error;
	c->commit_error = OK;
	if (!err)
		err = testing_run_confirm(c, a, &request, &response);
	testing_seal(c);
	if (!testing_loses(p, &c->lose_confirm_after))
		testing_answer_file(p, frame, &response, err);
}

static inline void testing_answer_withdraw(struct testing_peer *p, struct arena *a,
					   const struct frame *frame)
{
	struct testing_control *c = p->control;
	struct peer_withdraw_file_request request;
	struct peer_commit_file_response reply = { 0 };
	struct announced_command command = { .announced = &c->announced,
					     .arena = a,
					     .response = &reply };

	assert_int_equal(frame_decode_body(a, frame, &peer_withdraw_file_request_schema, &request),
			 OK);
	command.incarnation = request.incarnation;
	command.sequence = request.sequence;
	c->withdraw_count++;
	if (c->is_mute || testing_loses(p, &c->lose_withdraw_before))
		return;
	enum err err = cell_run(c->cell, announced_withdraw_run, &command);
	testing_seal(c);
	if (testing_loses(p, &c->lose_withdraw_after))
		return;
	struct peer_withdraw_file_response response = { .error = (int16_t)err };
	testing_write(p, &peer_withdraw_file_response_schema, frame->correlation_id, &response);
}

static inline void testing_ask_to_settle(struct testing_control *c, int64_t incarnation,
					 int64_t sequence, int64_t size)
{
	struct peer_settle_push_file file = { incarnation, sequence, size };
	struct peer_settle_push push = { .files = &file, .files_count = 1 };

	testing_write(&c->peers[0], &peer_settle_push_schema, PEER_CORRELATION_PUSH, &push);
}

static inline void testing_answer_settle(struct testing_peer *p, struct arena *a,
					 const struct frame *frame)
{
	struct testing_control *c = p->control;
	struct peer_settle_request request;
	struct peer_settle_response response = { 0 };
	struct announced_settle settle = { .announced = &c->announced };

	assert_int_equal(frame_decode_body(a, frame, &peer_settle_request_schema, &request), OK);
	for (size_t i = 0; i < request.files_count; i++) {
		const struct peer_settle_request_file *said = &request.files[i];
		struct announced_file *file =
			announced_find(&c->announced, c->cell, said->incarnation, said->sequence);
		c->there_count += said->is_there;
		c->burnt_count += !said->is_there;
		if (!file || c->forgets_verdicts)
			continue;
		file->is_left = file->has_verdict = true;
		file->is_there = said->is_there;
	}
	assert_int_equal(cell_run(c->cell, announced_settle_run, &settle), OK);
	testing_seal(c);
	testing_write(p, &peer_settle_response_schema, frame->correlation_id, &response);
}

static inline void testing_take_announced_frame(struct testing_peer *p, struct arena *a,
						const struct frame *frame)
{
	switch (frame->message) {
	case PEER_CONFIRM_FILE_REQUEST:
		testing_answer_confirm(p, a, frame);
		break;
	case PEER_WITHDRAW_FILE_REQUEST:
		testing_answer_withdraw(p, a, frame);
		break;
	case PEER_SETTLE_REQUEST:
		testing_answer_settle(p, a, frame);
		break;
	default:
		fail_msg("control got message %d", frame->message);
	}
}

#endif
