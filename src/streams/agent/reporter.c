#include "streams/agent/reporter.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "loop/timer.h"
#include "peer_messages.h"
#include "streams/agent/agent.h"
#include "wire/peer/frame.h"

/* All that was counted since the process began. */
struct total {
	struct meter meter;
	struct usage_traffic traffic;
	uint64_t at_ms; /* of the loop */
};

struct reporter {
	struct task task;
	struct agent *agent;
	struct sleep sleep;
	struct control_call call;
	struct total sent;  /* up to where the report under way goes */
	struct total taken; /* up to where control knows */
	int64_t source, sequence;
	bool is_pending; /* a report is not known to be taken: the next one is the same */
	bool is_last;
	bool is_told; /* people were told that control does not take them */
};

/* --- counting ----------------------------------------------------------------------------------
 */

void reporter_add_produced(struct agent *agent, size_t bytes)
{
	agent->traffic.produced_bytes += bytes;
}

void reporter_add_fetched(struct agent *agent, size_t bytes)
{
	agent->traffic.fetched_bytes += bytes;
}

static struct total total_now(const struct reporter *r)
{
	struct agent *agent = r->agent;
	struct total total = {
		.meter = *bucket_meter(agent->config.bucket),
		.traffic = agent->traffic,
		.at_ms = loop_now_ms(agent->loop),
	};

	total.traffic.control_bytes = control_link_bytes(agent->link);
	return total;
}

/* What goes to and from control is no reason: talking about it makes more. */
static bool has_news(const struct reporter *r)
{
	struct total now = total_now(r);
	struct meter since = meter_since(&now.meter, &r->taken.meter);

	return r->is_pending || !meter_is_zero(&since) ||
	       now.traffic.produced_bytes != r->taken.traffic.produced_bytes ||
	       now.traffic.fetched_bytes != r->taken.traffic.fetched_bytes;
}

/* --- reporting ---------------------------------------------------------------------------------
 */

enum { REPORTER_LOOK, REPORTER_ANSWERED };

static enum step report(struct reporter *r)
{
	char name[METER_NAME_BYTES_MAX];
	int64_t requests[METER_REQUESTS];

	if (!r->is_pending) {
		r->sent = total_now(r);
		r->sequence++;
		r->is_pending = true;
	}
	struct meter since = meter_since(&r->sent.meter, &r->taken.meter);
	const struct usage_traffic *now = &r->sent.traffic, *before = &r->taken.traffic;
	bucket_meter_name(r->agent->config.bucket, name);
	for (int i = 0; i < METER_REQUESTS; i++)
		requests[i] = (int64_t)since.requests[i];
	struct peer_usage_request request = {
		.source = r->source,
		.sequence = r->sequence,
		.covered_ms = (int64_t)(loop_now_ms(r->agent->loop) - r->taken.at_ms),
		.bucket = slice_from(name),
		.requests = requests,
		.requests_count = METER_REQUESTS,
		.errors = (int64_t)since.errors,
		.sent_bytes = (int64_t)since.sent_bytes,
		.received_bytes = (int64_t)since.received_bytes,
		.produced_bytes = (int64_t)(now->produced_bytes - before->produced_bytes),
		.fetched_bytes = (int64_t)(now->fetched_bytes - before->fetched_bytes),
		.control_bytes = (int64_t)(now->control_bytes - before->control_bytes),
	};
	control_call(&r->call, &r->task, r->agent->link, &peer_usage_request_schema, &request);
	if (r->is_last)
		task_set_deadline(&r->call.task, loop_now_ms(r->agent->loop) + REPORTER_LAST_MS);
	return task_wait(&r->task, REPORTER_ANSWERED);
}

static enum err take_answer(struct reporter *r)
{
	struct peer_usage_response response = { 0 };
	enum err err = r->call.task.err;
	struct arena a;

	if (err)
		return err;
	arena_init(&a);
	err = schema_decode_all(&a, &peer_usage_response_schema, (int16_t)r->call.ret_version,
				r->call.ret_body, &response);
	arena_done(&a);
	blob_unref(&r->call.ret_bytes);
	return err ? err : peer_error_decode(response.error);
}

static enum step rest(struct reporter *r)
{
	uint64_t pause_ms = control_link_usage_ms(r->agent->link);

	sleep_start(&r->sleep, &r->task,
		    loop_now_ms(r->agent->loop) + (pause_ms ? pause_ms : REPORTER_ASK_MS));
	return task_wait(&r->task, REPORTER_LOOK);
}

static enum step answered(struct reporter *r)
{
	enum err err = take_answer(r);

	if (!err) {
		r->taken = r->sent;
		r->is_pending = false;
	} else if (err != ERR_UNAVAILABLE && err != ERR_UNKNOWN && !r->is_told) {
		r->is_told = true;
		log_warn("control does not count what this node asks of its bucket: %s",
			 err_name(err));
	}
	return r->is_last ? task_done(&r->task, OK) : rest(r);
}

static enum step reporter_step(struct task *t)
{
	struct reporter *r = CONTAINER(t, struct reporter, task);

	if (task_is_canceled(t)) {
		blob_unref(&r->call.ret_bytes);
		return task_done(t, t->err);
	}
	if (r->is_last && task_is_running(&r->sleep.task))
		task_cancel(&r->sleep.task);
	if (t->children > 0)
		return task_wait(t, t->at);
	if (t->at == REPORTER_ANSWERED)
		return answered(r);
	bool can_tell =
		control_link_is_ready(r->agent->link) && control_link_usage_ms(r->agent->link) > 0;
	if (can_tell && has_news(r))
		return report(r);
	return r->is_last ? task_done(t, OK) : rest(r);
}

static void reporter_on_end(struct task *t)
{
	struct reporter *r = CONTAINER(t, struct reporter, task);
	struct agent *agent = r->agent;

	memory_free(r);
	agent->reporter = NULL;
	if (agent->stop)
		task_wake(agent->stop);
}

static const char *const reporter_places[] = { "look", "answered" };
static const struct task_kind reporter_kind = {
	.name = "reporter",
	.places = reporter_places,
	.place_count = 2,
	.step = reporter_step,
	.on_end = reporter_on_end,
};

struct reporter *reporter_start(struct agent *agent)
{
	struct reporter *r = NEW(struct reporter);

	r->agent = agent;
	r->source = (int64_t)(random_u64() >> 1);
	r->taken = total_now(r);
	r->taken.meter = (struct meter) { 0 };
	r->taken.traffic = (struct usage_traffic) { 0 };
	task_start_root(&r->task, &reporter_kind, agent->loop);
	return r;
}

void reporter_stop(struct reporter *r)
{
	r->is_last = true;
	task_wake(&r->task);
}

void reporter_cancel(struct reporter *r)
{
	task_cancel(&r->task);
}
