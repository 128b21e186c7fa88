#include "streams/coordinator/call.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "streams/coordinator/compaction_jobs.h"
#include "streams/coordinator/counter.h"
#include "streams/coordinator/position.h"
#include "streams/coordinator/roll.h"
#include "wire/kafka/errors.h"

enum {
	KAFKA_RESPONSE_EXTRA_BYTES = 64, /* of the message around the body */
	KAFKA_RESPONSE_DENIAL_BYTES = 16 + DENIAL_NAME_BYTES_MAX + DENIAL_RULE_BYTES_MAX,
};

enum step call_end(struct call *call, enum err err)
{
	list_remove(&call->link);
	list_add(call->ended, &call->link);
	return task_done(&call->task, err);
}

enum step call_answer(struct call *call, const struct schema *schema, const void *value)
{
	enum err err = frame_encode(&call->response, schema, 0, call->correlation_id, value);

	if (err)
		log_error("an answer is larger than a frame: %s", schema->name);
	return call_end(call, err);
}

int64_t call_agent(const struct call *call)
{
	return session_incarnation(session_from_task(call->task.parent));
}

enum err call_decode(struct call *call, const struct schema *schema, void *ret)
{
	return schema_decode_all(&call->arena, schema, 0, call->body, ret) ? ERR_INVALID : OK;
}

enum step call_decide(struct task *t, const struct call_decision *d)
{
	struct call *call = CONTAINER(t, struct call, task);
	void *argument;
	enum err err;

	if (task_is_canceled(t))
		return call_end(call, t->err);
	switch (t->at) {
	case CALL_START:
		err = d->begin(call, &argument);
		if (err)
			return d->answer(call, err);
		leader_run_kind(&call->leader, t, call->coordinator->config.leader, d->kind, d->run,
				argument);
		return task_wait(t, CALL_DURABLE);
	case CALL_DURABLE:
		return d->answer(call, call->leader.task.err);
	}
	abort();
}

/* --- hello -------------------------------------------------------------------------------------
 */

static enum step answer_hello(struct call *call, enum err err)
{
	struct coordinator *c = call->coordinator;
	struct epoch epoch = leader_epoch(c->config.leader);
	struct peer_hello_response response = {
		.error = (int16_t)(err),
		.message = slice_from(err_name(err)),
		.cluster_id = c->config.cluster_id,
		.node_id = call->hello.run.node_id,
		.incarnation = call->hello.run.incarnation,
		.default_partitions = c->config.default_partitions,
		.epoch_counter = (int64_t)epoch.counter,
		.epoch_nonce = (int64_t)epoch.nonce,
		.usage_ms = (int32_t)usage_report_ms(),
		.wants_announcements = leader_is_far(c->config.leader),
	};

	if (!err) {
		coordinator_lives_begun(c);
		call->incarnation = call->hello.run.incarnation;
		log_info("agent %.*s is node %d, incarnation %lld",
			 SLICE_ARG(call->hello.request.node), call->hello.run.node_id,
			 (long long)call->incarnation);
	}
	return call_answer(call, &peer_hello_response_schema, &response);
}

static enum err run_hello(struct cell *cell, void *argument)
{
	struct call *call = argument;
	enum err err = coordinator_begin_lives(call->coordinator, cell);

	return err ? err : hello_run(cell, &call->hello.run);
}

static enum step admit(struct call *call)
{
	call->hello.run = (struct hello) { .request = &call->hello.request };
	leader_run_kind(&call->leader, &call->task, call->coordinator->config.leader,
			LEADER_SETTLING, run_hello, call);
	return task_wait(&call->task, CALL_DURABLE);
}

static enum err check_position(const struct call *call)
{
	const struct coordinator_config *config = &call->coordinator->config;

	return position_check(config->leader, config->cluster_id, &call->hello.request);
}

/* Before an agent is believed that the journal lost something: do we still lead it? */
static enum step doubt(struct call *call, enum err err)
{
	if (err != ERR_CORRUPT) {
		log_warn("agent %.*s belongs to another cluster: start it anew",
			 SLICE_ARG(call->hello.request.node));
		return answer_hello(call, err);
	}
	leader_fence(&call->leader, &call->task, call->coordinator->config.leader);
	return task_wait(&call->task, CALL_CHECKED);
}

static enum step checked(struct call *call)
{
	const struct coordinator_config *config = &call->coordinator->config;
	struct leader_position seen = position_of(&call->hello.request);

	if (call->leader.task.err)
		return answer_hello(call, call->leader.task.err);
	if (!check_position(call))
		return admit(call);
	if (config->on_older)
		config->on_older(config->context, &seen, call->hello.request.node);
	return answer_hello(call, ERR_CORRUPT);
}

static enum step hello_step(struct task *t)
{
	struct call *call = CONTAINER(t, struct call, task);
	enum err err;

	if (task_is_canceled(t))
		return call_end(call, t->err);
	switch (t->at) {
	case CALL_START:
		if (schema_decode_all(&call->arena, &peer_hello_request_schema, 0, call->body,
				      &call->hello.request))
			return answer_hello(call, ERR_INVALID);
		err = check_position(call);
		return err ? doubt(call, err) : admit(call);
	case CALL_CHECKED:
		return checked(call);
	case CALL_DURABLE:
		return answer_hello(call, call->leader.task.err);
	}
	abort();
}

/* --- sync: a linearizable read begins ----------------------------------------------------------
 */

static enum step sync_step(struct task *t)
{
	struct call *call = CONTAINER(t, struct call, task);
	struct peer_sync_response response = { 0 };

	if (task_is_canceled(t))
		return call_end(call, t->err);
	switch (t->at) {
	case CALL_START:
		if (call->coordinator->announced.is_all_left) {
			response.error = ERR_UNAVAILABLE;
			return call_answer(call, &peer_sync_response_schema, &response);
		}
		leader_fence(&call->leader, t, call->coordinator->config.leader);
		return task_wait(t, CALL_DURABLE);
	case CALL_DURABLE:
		response.error = (int16_t)(call->leader.task.err);
		response.index = (int64_t)call->leader.index;
		return call_answer(call, &peer_sync_response_schema, &response);
	}
	abort();
}

/* --- records of share groups --------------------------------------------------------------------
 */

static enum err run_share(struct cell *cell, void *argument)
{
	struct call *call = argument;

	call->share.run = (struct share_records) {
		.arena = &call->arena,
		.request = &call->share.request,
		.now_ms = (int64_t)leader_now_ms(call->coordinator->config.leader),
		.response = &call->share.response,
	};
	return share_records_run(cell, &call->share.run);
}

static enum step answer_share(struct call *call, enum err err)
{
	struct peer_share_response *response = &call->share.response;

	if (err)
		*response = (struct peer_share_response) { .error = (int16_t)(err) };
	response->index = (int64_t)call->leader.index;
	return call_answer(call, &peer_share_response_schema, response);
}

static enum err begin_share(struct call *call, void **ret_argument)
{
	*ret_argument = call;
	return call_decode(call, &peer_share_request_schema, &call->share.request);
}

static enum step share_step(struct task *t)
{
	static const struct call_decision decision = { begin_share, run_share, answer_share,
						       LEADER_FIRM };

	return call_decide(t, &decision);
}

/* --- dead files that are gone ------------------------------------------------------------------
 */

static enum step answer_forget_files(struct call *call, enum err err)
{
	struct peer_forget_files_response response = { .error = (int16_t)err };

	if (!err && call->forget_files.too_early > 0)
		log_warn("an agent (incarnation %lld) deleted %lld data files before their time:"
			 " is the date of its machine right?",
			 (long long)call_agent(call), (long long)call->forget_files.too_early);
	return call_answer(call, &peer_forget_files_response_schema, &response);
}

static enum err begin_forget_files(struct call *call, void **ret_argument)
{
	*ret_argument = &call->forget_files;
	call->forget_files.now_ms = (int64_t)leader_now_ms(call->coordinator->config.leader);
	return call_decode(call, &peer_forget_files_request_schema, &call->forget_files.request);
}

static enum step forget_files_step(struct task *t)
{
	static const struct call_decision decision = { begin_forget_files, forget_files_run,
						       answer_forget_files, LEADER_FIRM };

	return call_decide(t, &decision);
}

/* --- the scan for orphans ----------------------------------------------------------------------
 */

static enum step answer_orphans(struct call *call, enum err err)
{
	struct coordinator *c = call->coordinator;
	const struct orphans_page *page = &call->orphans.page;
	int64_t incarnation = call_agent(call);
	uint64_t now_ms = loop_now_ms(call->task.loop);
	struct peer_orphans_response response = { .after = SLICE("") };

	if (!err)
		err = orphan_turns_take(&c->orphans, now_ms, random_u64() % ORPHANS_JITTER_MS,
					incarnation, &call->orphans.request, page->counts);
	response.error = (int16_t)err;
	if (!err && c->orphans.is_ended)
		log_info("%lld objects of records were listed: %lld orphans will be deleted, %lld "
			 "may be committed yet, of %lld nobody can tell (hanse fsck)",
			 (long long)c->orphans.listed,
			 (long long)c->orphans.counts[ORPHAN_FOR_GOOD],
			 (long long)c->orphans.counts[ORPHAN_PENDING],
			 (long long)c->orphans.counts[ORPHAN_UNSURE]);
	if (!err)
		response.wait_ms = (int32_t)orphan_turns_wait_ms(&c->orphans, now_ms, incarnation);
	if (!err && response.wait_ms == 0)
		response.after = slice_from(c->orphans.after);
	return call_answer(call, &peer_orphans_response_schema, &response);
}

static enum step orphans_step(struct task *t)
{
	struct call *call = CONTAINER(t, struct call, task);
	struct coordinator *c = call->coordinator;

	if (task_is_canceled(t))
		return call_end(call, t->err);
	switch (t->at) {
	case CALL_START:
		if (call_agent(call) == 0 ||
		    schema_decode_all(&call->arena, &peer_orphans_request_schema, 0, call->body,
				      &call->orphans.request))
			return answer_orphans(call, ERR_INVALID);
		if (orphan_turns_check(&c->orphans, call_agent(call), &call->orphans.request))
			return answer_orphans(call, ERR_INVALID);
		if (call->orphans.request.files_count == 0)
			return answer_orphans(call, OK);
		call->orphans.page = (struct orphans_page) {
			.request = &call->orphans.request,
			.lives = coordinator_lives(c),
			.now_ms = (int64_t)leader_now_ms(c->config.leader),
		};
		leader_run(&call->leader, t, c->config.leader, orphans_run, &call->orphans.page);
		return task_wait(t, CALL_DURABLE);
	case CALL_DURABLE:
		return answer_orphans(call, call->leader.task.err);
	}
	abort();
}

/* --- what the bucket of an agent was asked -----------------------------------------------------
 */

static enum step answer_usage(struct call *call, enum err err)
{
	struct peer_usage_response response = { .error = (int16_t)err };

	return call_answer(call, &peer_usage_response_schema, &response);
}

static enum err begin_usage(struct call *call, void **ret_argument)
{
	*ret_argument = &call->usage.report;
	if (call_decode(call, &peer_usage_request_schema, &call->usage.request) ||
	    usage_from_request(&call->usage.request, clock_wall_ms(), &call->usage.report))
		return ERR_INVALID;
	usage_wake(call->coordinator);
	return OK;
}

static enum step usage_step(struct task *t)
{
	static const struct call_decision decision = { begin_usage, usage_run, answer_usage,
						       LEADER_NEUTRAL };

	return call_decide(t, &decision);
}

/* --- jobs of compaction ------------------------------------------------------------------------
 */

static enum step answer_job_take(struct call *call, enum err err)
{
	struct coordinator *c = call->coordinator;
	struct peer_job_take_response response = { .error = (int16_t)err };
	const struct compaction_plan *plan = NULL;

	if (call->job_take.number && c->compaction)
		plan = compaction_give_job(c->compaction, call->job_take.number,
					   err ? 0 : call->job_take.incarnation);
	if (plan) {
		response.incarnation = call->job_take.incarnation;
		compaction_plan_tell(&call->arena, plan, &response);
	}
	return call_answer(call, &peer_job_take_response_schema, &response);
}

static enum err run_job_take(struct cell *cell, void *argument)
{
	struct call *call = argument;

	return counter_next_incarnation(cell, &call->job_take.incarnation);
}

static enum step job_take_step(struct task *t)
{
	struct call *call = CONTAINER(t, struct call, task);
	enum err err;

	if (task_is_canceled(t))
		return call_end(call, t->err);
	switch (t->at) {
	case CALL_START:
		if (!call_take_job(call, &err))
			return answer_job_take(call, err);
		leader_run(&call->leader, t, call->coordinator->config.leader, run_job_take, call);
		return task_wait(t, CALL_DURABLE);
	case CALL_DURABLE:
		return answer_job_take(call, call->leader.task.err);
	}
	abort();
}

static enum step answer_job_finish(struct call *call, enum err err)
{
	struct peer_job_finish_response response = {
		.error = (int16_t)err,
		.index = (int64_t)call->leader.index,
		.swapped = call->job_finish.run.swapped,
	};

	if (!err && call->coordinator->compaction)
		compaction_end_job(call->coordinator->compaction,
				   call->job_finish.request.incarnation);
	return call_answer(call, &peer_job_finish_response_schema, &response);
}

static enum err begin_job_finish(struct call *call, void **ret_argument)
{
	*ret_argument = call;
	if (call_agent(call) == 0)
		return ERR_INVALID;
	return call_decode(call, &peer_job_finish_request_schema, &call->job_finish.request);
}

static enum step job_finish_step(struct task *t)
{
	static const struct call_decision decision = { begin_job_finish, call_finish_job,
						       answer_job_finish, LEADER_FIRM };

	return call_decide(t, &decision);
}

/* --- Kafka requests passed on ------------------------------------------------------------------
 */

/* What was denied goes to the agent, which knows the client and has a way to the audit topic. */
static void tell_denials(struct call *call, struct peer_kafka_response *response)
{
	const struct denials *d = &call->kafka.denials;

	response->denials_dropped = d->dropped > INT32_MAX ? INT32_MAX : (int32_t)d->dropped;
	response->denials = arena_take_array(&call->arena, d->count, sizeof(*response->denials));
	response->denials_count = d->count;
	size_t i = d->count;
	for (const struct denial *it = d->last; it; it = it->next)
		response->denials[--i] = (struct peer_kafka_response_denial) {
			.operation = (int8_t)it->operation,
			.resource = (int8_t)it->resource,
			.name = it->name,
			.rule = it->rule,
		};
}

static enum step answer_kafka(struct call *call, enum err err)
{
	struct peer_kafka_response response = { .error = (int16_t)(err), .body = SLICE("") };
	size_t extra_bytes = KAFKA_RESPONSE_EXTRA_BYTES +
			     call->kafka.denials.count * KAFKA_RESPONSE_DENIAL_BYTES;

	tell_denials(call, &response);
	if (!err && call->kafka.response.size > PEER_BODY_BYTES_MAX - extra_bytes) {
		log_warn("an answer of %s has %zu bytes, more than a frame", call->kafka.api->name,
			 call->kafka.response.size);
		response.error = (int16_t)ERR_TOO_BIG;
	} else if (!err) {
		response.body = buf_slice(&call->kafka.response);
	}
	return call_answer(call, &peer_kafka_response_schema, &response);
}

static enum err start_kafka(struct call *call)
{
	struct peer_kafka_request request;
	enum err err = schema_decode_all(&call->arena, &peer_kafka_request_schema, 0, call->body,
					 &request);

	if (err)
		return err;
	const struct kafka_api *api = kafka_api_find(request.api_key);
	if (!api || !schema_has_version(api->request, request.api_version))
		return ERR_UNSUPPORTED;
	call->kafka = (struct kafka_call) {
		.coordinator = call->coordinator,
		.api = api,
		.version = request.api_version,
		.client_id = request.client_id,
		.client_host = request.client_host,
		.incarnation = call_agent(call),
		.principal = request.principal,
		.connection_id = request.connection_id,
		.body = request.body,
		.arena = &call->arena,
	};
	kafka_call_start(&call->kafka, &call->task);
	return OK;
}

static enum step kafka_step(struct task *t)
{
	struct call *call = CONTAINER(t, struct call, task);

	if (task_is_canceled(t))
		return call_end(call, t->err);
	switch (t->at) {
	case CALL_START: {
		enum err err = start_kafka(call);
		return err ? answer_kafka(call, err) : task_wait(t, CALL_DURABLE);
	}
	case CALL_DURABLE:
		return answer_kafka(call, call->kafka.task.err);
	}
	abort();
}

/* --- the agent's condition ---------------------------------------------------------------------
 */

static enum err run_condition(struct cell *cell, void *argument)
{
	struct call *call = argument;
	int64_t incarnation = call_agent(call);
	enum err err = coordinator_write_roll(call->coordinator, cell, 0);

	return err ? err : roll_count_others(cell, incarnation, &call->condition.others);
}

static enum step answer_condition(struct call *call, enum err err)
{
	struct peer_condition_response response = {
		.error = (int16_t)err,
		.index = (int64_t)call->leader.index,
		.others = call->condition.others,
	};

	return call_answer(call, &peer_condition_response_schema, &response);
}

static enum err begin_condition(struct call *call, void **ret_argument)
{
	struct peer_condition_request *request = &call->condition.request;

	*ret_argument = call;
	if (call_decode(call, &peer_condition_request_schema, request) || call_agent(call) == 0 ||
	    request->condition < 0 || request->condition >= AGENT_CONDITIONS)
		return ERR_INVALID;
	session_set_condition(session_from_task(call->task.parent),
			      (enum agent_condition)request->condition);
	return OK;
}

static enum step condition_step(struct task *t)
{
	static const struct call_decision decision = { begin_condition, run_condition,
						       answer_condition, LEADER_NEUTRAL };

	return call_decide(t, &decision);
}

/* --- compaction by key --------------------------------------------------------------------------
 */

static enum step answer_key_job(struct call *call, enum err err)
{
	if (!err && !key_job_granted(&call->key_job.run))
		err = ERR_NOT_FOUND;
	call->key_job.response.error = (int16_t)err;
	return call_answer(call, &peer_key_job_response_schema, &call->key_job.response);
}

static enum err begin_key_job(struct call *call, void **ret_argument)
{
	*ret_argument = &call->key_job.run;
	call->key_job.run = (struct key_job_call) {
		.coordinator = call->coordinator,
		.jobs = call->coordinator->key_jobs,
		.agent = call_agent(call),
		.response = &call->key_job.response,
	};
	return key_job_look(&call->key_job.run);
}

static enum step key_job_step(struct task *t)
{
	static const struct call_decision decision = { begin_key_job, key_job_run, answer_key_job,
						       LEADER_FIRM };

	return call_decide(t, &decision);
}

static enum step answer_key_swap(struct call *call, enum err err)
{
	struct peer_key_swap_response response = { .error = (int16_t)err };

	return call_answer(call, &peer_key_swap_response_schema, &response);
}

static enum err begin_key_swap(struct call *call, void **ret_argument)
{
	*ret_argument = &call->key_swap.run;
	call->key_swap.run = (struct key_swap) {
		.coordinator = call->coordinator,
		.jobs = call->coordinator->key_jobs,
		.agent = call_agent(call),
		.request = &call->key_swap.request,
	};
	return call_decode(call, &peer_key_swap_request_schema, &call->key_swap.request);
}

static enum step key_swap_step(struct task *t)
{
	static const struct call_decision decision = { begin_key_swap, key_swap_run,
						       answer_key_swap, LEADER_FIRM };

	return call_decide(t, &decision);
}

/* --- ping: this process runs --------------------------------------------------------------------
 */

static enum step ping_step(struct task *t)
{
	struct call *call = CONTAINER(t, struct call, task);
	struct peer_ping_response response = { 0 };

	return call_answer(call, &peer_ping_response_schema, &response);
}

/* --- the table ---------------------------------------------------------------------------------
 */

static const char *const call_places[] = { "start", "durable", "checked" };

#define CALL_KIND(word)                                                                            \
	{                                                                                          \
		.name = #word, .places = call_places, .place_count = 3, .step = word##_step,       \
	}

static const struct {
	uint16_t message;
	struct task_kind kind;
} call_kinds[] = {
	/* KAFKA_CALL is the last one */
	{ PEER_HELLO_REQUEST, CALL_KIND(hello) },
	{ PEER_SYNC_REQUEST, CALL_KIND(sync) },
	{ PEER_COMMIT_FILE_REQUEST, CALL_KIND(call_commit_file) },
	{ PEER_CONFIRM_FILE_REQUEST, CALL_KIND(call_confirm_file) },
	{ PEER_WITHDRAW_FILE_REQUEST, CALL_KIND(call_withdraw_file) },
	{ PEER_SETTLE_REQUEST, CALL_KIND(call_settle) },
	{ PEER_FORGET_FILES_REQUEST, CALL_KIND(forget_files) },
	{ PEER_USAGE_REQUEST, CALL_KIND(usage) },
	{ PEER_PING_REQUEST, CALL_KIND(ping) },
	{ PEER_CONDITION_REQUEST, CALL_KIND(condition) },
	{ PEER_SHARE_REQUEST, CALL_KIND(share) },
	{ PEER_ORPHANS_REQUEST, CALL_KIND(orphans) },
	{ PEER_KEY_JOB_REQUEST, CALL_KIND(key_job) },
	{ PEER_KEY_SWAP_REQUEST, CALL_KIND(key_swap) },
	{ PEER_JOB_TAKE_REQUEST, CALL_KIND(job_take) },
	{ PEER_JOB_FINISH_REQUEST, CALL_KIND(job_finish) },
	{ PEER_KAFKA_REQUEST, CALL_KIND(kafka) },
};

enum { KAFKA_CALL = sizeof(call_kinds) / sizeof(call_kinds[0]) - 1 };

struct call *call_start(struct coordinator *c, struct task *session, struct list *ended,
			const struct frame *frame)
{
	for (size_t i = 0; i < sizeof(call_kinds) / sizeof(call_kinds[0]); i++) {
		if (call_kinds[i].message != frame->message)
			continue;
		struct call *call = NEW(struct call);
		call->coordinator = c;
		call->ended = ended;
		call->correlation_id = frame->correlation_id;
		arena_init(&call->arena);
		call->body = arena_copy(&call->arena, frame->body);
		buf_init(&call->response);
		task_start(&call->task, &call_kinds[i].kind, session);
		return call;
	}
	return NULL;
}

void call_free(struct call *call)
{
	if (call->task.kind == &call_kinds[KAFKA_CALL].kind)
		buf_done(&call->kafka.response);
	buf_done(&call->response);
	arena_done(&call->arena);
	memory_free(call);
}
