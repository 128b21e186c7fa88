/* What calls about jobs of compaction ask of those who know. */
#include "streams/coordinator/call.h"
#include "streams/coordinator/compaction_jobs.h"
#include "streams/coordinator/expiry.h"

bool call_take_job(struct call *call, enum err *ret_err)
{
	struct coordinator *c = call->coordinator;
	struct cell *cell = leader_cell(c->config.leader);
	uint64_t loop_ms = loop_now_ms(c->loop);
	int64_t agent = call_agent(call), job;

	*ret_err = ERR_INVALID;
	if (schema_decode_all(&call->arena, &peer_job_take_request_schema, 0, call->body,
			      &call->job_take.request) ||
	    agent == 0)
		return false;
	*ret_err = ERR_UNAVAILABLE;
	if (!c->compaction || !cell)
		return false;
	job = call->job_take.request.incarnation;
	*ret_err = OK;
	if (job && !compaction_job(c->compaction, job, agent, loop_ms, true))
		*ret_err = ERR_DENIED;
	if (job)
		return false;
	call->job_take.number =
		compaction_find_job(c->compaction, cell, agent,
				    (int64_t)leader_now_ms(c->config.leader), loop_ms);
	return call->job_take.number != 0;
}

enum err call_finish_job(struct cell *cell, void *argument)
{
	struct call *call = argument;
	struct coordinator *c = call->coordinator;
	const struct peer_job_finish_request *request = &call->job_finish.request;

	call->job_finish.run = (struct compaction_swap) {
		.request = request,
		.now_ms = (int64_t)leader_now_ms(c->config.leader),
	};
	if (c->compaction)
		call->job_finish.run.plan =
			compaction_job(c->compaction, request->incarnation, call_agent(call),
				       loop_now_ms(c->loop), false);
	enum err err = compaction_swap_run(cell, &call->job_finish.run);
	if (!err)
		expiry_runs_deleted(c, cell);
	return err;
}
