/* What agents say of a data file before it is committed, and that it is to be: commit_file.h,
 * announced.h. */
#include <stdlib.h>

#include "streams/coordinator/call.h"
#include "streams/coordinator/settling.h"

/* The life of an agent says what its files are called: whoever could commit as another one could
 * take the names that this one is about to use. */
static enum err check_life(const struct call *call, int64_t incarnation)
{
	return incarnation == call_agent(call) ? OK : ERR_DENIED;
}

static void prepare(struct call *call, int64_t incarnation, int64_t sequence, int64_t low_sequence)
{
	struct coordinator *c = call->coordinator;

	call->commit_file.announced = (struct announced_command) {
		.announced = &c->announced,
		.leader = &call->leader,
		.arena = &call->arena,
		.incarnation = incarnation,
		.sequence = sequence,
		.low_sequence = low_sequence,
		.now_ms = (int64_t)leader_now_ms(c->config.leader),
		.request = &call->commit_file.request,
		.body = call->body,
		.response = &call->commit_file.response,
	};
	orphan_turns_note_news(&c->orphans);
}

/* What its agent is told others may read. */
static void push_early(struct call *call)
{
	const struct announced_command *m = &call->commit_file.announced;

	if (m->placed_count > 0)
		coordinator_push_early(call->coordinator, &(struct peer_early_push) {
								  .incarnation = m->incarnation,
								  .sequence = m->sequence,
								  .runs = m->placed,
								  .runs_count = m->placed_count,
							  });
}

static enum step answer_commit_file(struct call *call, enum err err)
{
	struct peer_commit_file_response *response = &call->commit_file.response;

	if (err)
		*response = (struct peer_commit_file_response) { .error = (int16_t)err };
	else if (call->leader.is_early)
		push_early(call);
	response->index = (int64_t)call->leader.index;
	return call_answer(call, &peer_commit_file_response_schema, response);
}

/* --- commit and announcement -------------------------------------------------------------------
 */

/* The request of one that is announced is there already; but what it comes after may be another
 * file by now, as the one that it came after then was withdrawn. */
static enum err run_commit_file(struct cell *cell, void *argument)
{
	struct call *call = argument;
	const struct peer_commit_file_request *request = &call->commit_file.request;

	if (announced_has(cell, request->incarnation, request->sequence)) {
		enum err err = commit_file_check_turn(cell, request);
		return err ? err : announced_confirm_run(cell, &call->commit_file.announced);
	}
	call->commit_file.run = (struct commit_file) {
		.arena = &call->arena,
		.request = request,
		.now_ms = call->commit_file.announced.now_ms,
		.response = &call->commit_file.response,
	};
	return commit_file_run(cell, &call->commit_file.run);
}

static enum step start_commit_file(struct call *call)
{
	struct session *s = session_from_task(call->task.parent);
	struct leader *leader = call->coordinator->config.leader;
	struct peer_commit_file_request *request = &call->commit_file.request;

	if (call_decode(call, &peer_commit_file_request_schema, request))
		return answer_commit_file(call, ERR_INVALID);
	if (check_life(call, request->incarnation))
		return answer_commit_file(call, ERR_DENIED);
	session_set_low_sequence(s, request->low_sequence);
	prepare(call, request->incarnation, request->sequence, request->low_sequence);
	if (request->is_announcement)
		leader_run_kind(&call->leader, &call->task, leader, LEADER_NEUTRAL,
				announced_announce_run, &call->commit_file.announced);
	else
		leader_run(&call->leader, &call->task, leader, run_commit_file, call);
	return task_wait(&call->task, CALL_DURABLE);
}

static enum step end_commit_file(struct call *call, enum err err)
{
	const struct announced_command *m = &call->commit_file.announced;

	if (err && call->commit_file.request.is_announcement)
		announced_check(m->announced, leader_cell(call->coordinator->config.leader),
				m->incarnation, m->sequence);
	return answer_commit_file(call, err);
}

enum step call_commit_file_step(struct task *t)
{
	struct call *call = CONTAINER(t, struct call, task);

	if (task_is_canceled(t))
		return call_end(call, t->err);
	switch (t->at) {
	case CALL_START:
		return start_commit_file(call);
	case CALL_DURABLE:
		return end_commit_file(call, call->leader.task.err);
	}
	abort();
}

/* --- confirmation ------------------------------------------------------------------------------
 */

enum { CONFIRM_START, CONFIRM_HELD, CONFIRM_DURABLE };

static bool is_blocked(const struct call *call)
{
	const struct announced_command *m = &call->commit_file.announced;
	struct cell *cell = leader_cell(call->coordinator->config.leader);

	return cell && announced_is_blocked(m->announced, cell, m->incarnation, m->sequence, false);
}

static enum step run_confirm(struct call *call)
{
	leader_run(&call->leader, &call->task, call->coordinator->config.leader,
		   announced_confirm_run, &call->commit_file.announced);
	return task_wait(&call->task, CONFIRM_DURABLE);
}

static enum step start_confirm(struct call *call)
{
	struct call_commit_file *f = &call->commit_file;
	struct peer_confirm_file_request request;

	if (call_decode(call, &peer_confirm_file_request_schema, &request))
		return answer_commit_file(call, ERR_INVALID);
	if (check_life(call, request.incarnation))
		return answer_commit_file(call, ERR_DENIED);
	session_set_low_sequence(session_from_task(call->task.parent), request.low_sequence);
	prepare(call, request.incarnation, request.sequence, request.low_sequence);
	if (!is_blocked(call))
		return run_confirm(call);
	announced_hold(f->announced.announced, &f->hold, &call->task);
	sleep_start(&f->sleep, &call->task,
		    loop_now_ms(call->task.loop) + f->announced.announced->hold_ms);
	return task_wait(&call->task, CONFIRM_HELD);
}

/* Until nothing is in its way, or it took too long. */
static enum step hold_on(struct call *call)
{
	struct call_commit_file *f = &call->commit_file;

	if (task_is_running(&f->sleep.task)) {
		if (!is_blocked(call))
			task_cancel(&f->sleep.task);
		return task_wait(&call->task, CONFIRM_HELD);
	}
	announced_let_go(&f->hold);
	return run_confirm(call);
}

enum step call_confirm_file_step(struct task *t)
{
	struct call *call = CONTAINER(t, struct call, task);

	if (task_is_canceled(t)) {
		announced_let_go(&call->commit_file.hold);
		return t->children ? task_wait(t, t->at) : call_end(call, t->err);
	}
	switch (t->at) {
	case CONFIRM_START:
		return start_confirm(call);
	case CONFIRM_HELD:
		return hold_on(call);
	case CONFIRM_DURABLE:
		return answer_commit_file(call, call->leader.task.err);
	}
	abort();
}

/* --- withdrawal --------------------------------------------------------------------------------
 */

static enum step answer_withdraw_file(struct call *call, enum err err)
{
	struct peer_withdraw_file_response response = { .error = (int16_t)err };

	return call_answer(call, &peer_withdraw_file_response_schema, &response);
}

static enum err begin_withdraw_file(struct call *call, void **ret_argument)
{
	struct peer_withdraw_file_request request;
	enum err err = call_decode(call, &peer_withdraw_file_request_schema, &request);

	if (!err)
		err = check_life(call, request.incarnation);
	if (err)
		return err;
	prepare(call, request.incarnation, request.sequence, 0);
	*ret_argument = &call->commit_file.announced;
	return OK;
}

enum step call_withdraw_file_step(struct task *t)
{
	static const struct call_decision decision = { begin_withdraw_file, announced_withdraw_run,
						       answer_withdraw_file, LEADER_FIRM };

	return call_decide(t, &decision);
}

/* --- what was settled --------------------------------------------------------------------------
 */

enum step call_settle_step(struct task *t)
{
	struct call *call = CONTAINER(t, struct call, task);
	struct peer_settle_response response = { 0 };
	enum err err = call_decode(call, &peer_settle_request_schema, &call->settle);

	if (!err && call_agent(call) == 0)
		err = ERR_DENIED;
	if (!err)
		err = settling_take(call->coordinator, &call->settle);
	response.error = (int16_t)err;
	return call_answer(call, &peer_settle_response_schema, &response);
}
