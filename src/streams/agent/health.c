#include "streams/agent/health.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "streams/agent/condition.h"

static const struct slice probe_body = { (const uint8_t *)"does this bucket work?\n", 23 };

/* What an operation can end with though the bucket works. */
static bool is_failure(enum err err)
{
	return err != OK && err != ERR_NOT_FOUND && err != ERR_CORRUPT && err != ERR_CANCELED;
}

static bool is_lane_bad(const struct health *h, enum health_lane lane, uint64_t now_ms)
{
	uint64_t failing_ms = h->lanes[lane].failing_since_ms;

	return (failing_ms && now_ms - failing_ms >= h->sick_ms) ||
	       (h->lanes[lane].asked > 0 && now_ms - h->lanes[lane].waiting_since_ms >= h->sick_ms);
}

static void set_sick(struct health *h, enum health_lane lane, bool is_sick)
{
	if (h->lanes[lane].is_sick == is_sick)
		return;
	h->lanes[lane].is_sick = is_sick;
	if (is_sick)
		log_error("%s %s does not work; clients are sent to other nodes, if there are some",
			  lane == HEALTH_PUT ? "writing to" : "reading from",
			  h->agent->config.bucket->url);
	else
		log_info("%s %s works again", lane == HEALTH_PUT ? "writing to" : "reading from",
			 h->agent->config.bucket->url);
	condition_update(h->agent);
}

/* --- trying ------------------------------------------------------------------------------------
 */

enum { PROBE_PUT, PROBE_GET, PROBE_DONE };

static enum step probe_step(struct task *t)
{
	struct health *h = CONTAINER(t, struct health, probe);
	struct bucket *bucket = h->agent->config.bucket;

	if (t->children > 0)
		return task_wait(t, t->at);
	if (t->at == PROBE_GET)
		health_end(h, HEALTH_PUT, h->op.task.err);
	else if (t->at == PROBE_DONE)
		health_end(h, HEALTH_GET, h->op.task.err);
	if (t->at == PROBE_DONE && !h->op.task.err)
		blob_unref(&h->op.ret_body);
	if (task_is_canceled(t) || t->at == PROBE_DONE || h->op.task.err)
		return task_done(t, OK);
	if (t->at == PROBE_PUT) {
		health_begin(h, HEALTH_PUT);
		bucket_put(&h->op, t, bucket, slice_from(h->key), probe_body);
		return task_wait(t, PROBE_GET);
	}
	health_begin(h, HEALTH_GET);
	bucket_get(&h->op, t, bucket, slice_from(h->key), 0, probe_body.size);
	return task_wait(t, PROBE_DONE);
}

static void probe_on_end(struct task *t)
{
	struct health *h = CONTAINER(t, struct health, probe);

	if (h->agent->stop)
		task_wake(h->agent->stop);
}

static const char *const probe_places[] = { "put", "get", "done" };
static const struct task_kind probe_kind = {
	.name = "health",
	.places = probe_places,
	.place_count = 3,
	.step = probe_step,
	.on_end = probe_on_end,
};

static void try_bucket(struct health *h)
{
	if (task_is_running(&h->probe) || h->agent->is_stopping)
		return;
	h->op = (struct bucket_op) { 0 };
	snprintf(h->key, sizeof(h->key), "v1/probe/agent-%d", h->agent->node_id);
	task_start_root(&h->probe, &probe_kind, h->agent->loop);
}

/* --- looking -----------------------------------------------------------------------------------
 */

static void on_look(struct timer *timer);

static void look_again(struct health *h)
{
	bool is_of_use = false;

	for (int lane = 0; lane < HEALTH_LANES; lane++)
		is_of_use |= h->lanes[lane].asked > 0 || h->lanes[lane].failing_since_ms ||
			     h->lanes[lane].is_sick;
	if (is_of_use && !h->is_looking && !h->agent->is_stopping) {
		h->is_looking = true;
		timer_set(&h->timer, h->agent->loop,
			  loop_now_ms(h->agent->loop) + h->sick_ms / HEALTH_LOOKS, on_look);
	}
}

/* A failure that is followed by nothing is forgotten. */
static void forget_old(struct health *h, enum health_lane lane, uint64_t now_ms)
{
	if (!h->lanes[lane].is_sick && now_ms - h->lanes[lane].last_failure_ms >= h->sick_ms)
		h->lanes[lane].failing_since_ms = 0;
}

static void on_look(struct timer *timer)
{
	struct health *h = CONTAINER(timer, struct health, timer);
	uint64_t now_ms = loop_now_ms(h->agent->loop);

	h->is_looking = false;
	for (int lane = 0; lane < HEALTH_LANES; lane++) {
		forget_old(h, (enum health_lane)lane, now_ms);
		if (is_lane_bad(h, (enum health_lane)lane, now_ms))
			set_sick(h, (enum health_lane)lane, true);
	}
	if (health_is_sick(h->agent))
		try_bucket(h);
	look_again(h);
}

void health_begin(struct health *h, enum health_lane lane)
{
	if (h->lanes[lane].asked++ == 0)
		h->lanes[lane].waiting_since_ms = loop_now_ms(h->agent->loop);
	look_again(h);
}

void health_end(struct health *h, enum health_lane lane, enum err err)
{
	uint64_t now_ms = loop_now_ms(h->agent->loop);

	h->lanes[lane].asked--;
	h->lanes[lane].waiting_since_ms = now_ms;
	if (is_failure(err)) {
		h->lanes[lane].last_failure_ms = now_ms;
		if (!h->lanes[lane].failing_since_ms)
			h->lanes[lane].failing_since_ms = now_ms;
		look_again(h);
	} else if (err == OK) {
		h->lanes[lane].failing_since_ms = 0;
		set_sick(h, lane, false);
	}
}

bool health_is_sick(const struct agent *agent)
{
	for (int lane = 0; lane < HEALTH_LANES; lane++)
		if (agent->health->lanes[lane].is_sick)
			return true;
	return false;
}

/* --- life --------------------------------------------------------------------------------------
 */

struct health *health_new(struct agent *agent)
{
	struct health *h = NEW(struct health);

	h->agent = agent;
	h->sick_ms = HEALTH_SICK_MS;
	return h;
}

void health_free(struct health *h)
{
	timer_clear(&h->timer);
	memory_free(h);
}

bool health_is_busy(const struct health *h)
{
	return task_is_running(&h->probe);
}

void health_stop(struct health *h)
{
	timer_clear(&h->timer);
	if (task_is_running(&h->probe))
		task_cancel(&h->probe);
}
