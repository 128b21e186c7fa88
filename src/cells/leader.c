/* The life of a leader: one root task that feeds the engine and executes what it wants.
 *
 *	campaign -> CANDIDATE -> [leader_recover.c: ADOPTED, load, RECORD*, LEADS, schema]
 *	         -> leading
 *	leading  -> commands, snapshots, ticks -> LOST | leader_stop()
 *
 * Handling of an effect never feeds the engine again and never calls a run function: it changes
 * lists and flags and wakes the root. */
#include "cells/leader.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "cells/leader_private.h"

enum { LEADER_RUNNING };

static const char *const leader_places[] = { "running" };

static enum step leader_step(struct task *t);
static void on_root_end(struct task *t);
static void on_tick(struct timer *timer);
static void on_retry(struct timer *timer);

static const struct task_kind leader_kind = {
	.name = "leader",
	.places = leader_places,
	.place_count = 1,
	.step = leader_step,
	.on_end = on_root_end,
};

/* Buckets nearby are no majority. */
static bool needs_far(const struct leader_config *config)
{
	int near = 0;

	for (int k = 0; k < config->bucket_count; k++)
		near += !bucket_is_far(config->buckets[k]);
	return 2 * near <= config->bucket_count;
}

struct leader *leader_new(struct loop *loop, const struct leader_config *config)
{
	assert(config->bucket_count > 0 && config->bucket_count <= JOURNAL_BUCKETS_MAX);
	assert(config->journal && strlen(config->journal) <= JOURNAL_NAME_BYTES_MAX);

	struct leader *l = NEW(struct leader);
	l->magic = LEADER_MAGIC;
	l->loop = loop;
	l->history = memory_take_array(LEADER_HISTORY, sizeof(*l->history));
	l->config = *config;
	if (!l->config.cell_name)
		l->config.cell_name = config->journal;
	if (!l->config.snapshot_bytes)
		l->config.snapshot_bytes = LEADER_SNAPSHOT_BYTES_DEFAULT;
	if (!l->config.record_grace_ms)
		l->config.record_grace_ms = LEADER_RECORD_GRACE_MS_DEFAULT;
	if (!l->config.fence_grace_ms)
		l->config.fence_grace_ms = LEADER_FENCE_GRACE_MS_DEFAULT;

	if (!l->config.check_ms)
		l->config.check_ms = LEADER_CHECK_MS;

	struct journal_config journal = { .bucket_count = (unsigned)config->bucket_count };
	snprintf(journal.name, sizeof(journal.name), "%s", config->journal);
	for (int k = 0; k < config->bucket_count; k++)
		journal.classes[k] =
			config->buckets[k]->class == BUCKET_CAS ? JOURNAL_CAS : JOURNAL_RAW;
	l->is_far = needs_far(config);
	l->journal = journal_new(&journal);
	journal_effects_init(&l->effects);

	list_init(&l->io_queue);
	list_init(&l->delete_queue);
	list_init(&l->io_finished);
	list_init(&l->adopted);
	list_init(&l->records);
	list_init(&l->waiting);
	list_init(&l->early);
	list_init(&l->checked);
	list_init(&l->stalled);
	list_init(&l->fences);
	list_init(&l->images);
	list_init(&l->stalled_images);
	list_init(&l->condemned);
	map_init(&l->condemned_keys);
	return l;
}

void leader_free(struct leader *l)
{
	assert(l->magic == LEADER_MAGIC);
	assert(!task_is_running(&l->root) && l->state == LEADER_IDLE);
	assert(!l->cell && !l->warm.cell);
	assert(l->open_calls == 0);

	leader_clean_drop(l);
	map_done(&l->condemned_keys);
	leader_manifest_clear(&l->manifest);
	journal_effects_done(&l->effects);
	journal_free(l->journal);
	deferred_clear(&l->seal);
	timer_clear(&l->seal_due);
	deferred_clear(&l->check);
	l->magic = 0;
	memory_free(l->history);
	memory_free(l);
}

unsigned leader_bucket_count(const struct leader *l)
{
	return (unsigned)l->config.bucket_count;
}

bool leader_is_quorum(const struct leader *l, unsigned buckets)
{
	return 2 * (unsigned)__builtin_popcount(buckets) > leader_bucket_count(l);
}

bool leader_is_far(const struct leader *l)
{
	return l->is_far;
}

bool leader_is_serving(const struct leader *l)
{
	return l->state == LEADER_LEADING && !l->stop && !l->wants_resign;
}

void leader_wake(struct leader *l)
{
	if (task_is_running(&l->root))
		task_wake(&l->root);
}

void leader_give_up(struct leader *l, enum err err, const char *format, ...)
{
	va_list args;

	if (l->wants_resign)
		return;
	va_start(args, format);
	vsnprintf(l->give_up_why, sizeof(l->give_up_why), format, args);
	va_end(args);
	l->give_up_err = err;
	l->wants_resign = true;
	leader_wake(l);
}

/* --- what the engine says ------------------------------------------------------------------- */

static void end_term(struct leader *l, const char *why)
{
	bool was_leading = l->state == LEADER_LEADING;

	l->state = LEADER_IDLE;
	l->wants_resign = false;
	timer_clear(&l->tick);
	timer_clear(&l->retry);
	leader_io_drop_queue(l);
	if (l->load.is_active)
		task_cancel(&l->load.task);
	if (l->snapshot.is_active)
		task_cancel(&l->snapshot.task);
	if (l->clean.is_active)
		task_cancel(&l->clean.task);
	leader_recover_drop(l);
	leader_call_drop_all(l);
	if (!l->clean.is_active)
		leader_clean_drop(l);
	leader_manifest_clear(&l->manifest);
	leader_warm_drop(l);
	cell_free(l->cell);
	l->cell = NULL;
	leader_wake(l);
	if (l->stop)
		return;
	if (was_leading)
		log_warn("journal %s: lost: %s", l->config.journal, why);
	if (l->config.watcher)
		l->config.watcher->on_lost(l->config.context, why, journal_holder(l->journal));
}

/* Our own reason comes first: the engine only knows that we resigned. */
static void lose(struct leader *l, enum err err, const char *engine_why)
{
	char why[JOURNAL_WHY_BYTES];

	if (l->state == LEADER_IDLE)
		return;
	snprintf(why, sizeof(why), "%s", l->wants_resign ? l->give_up_why : engine_why);
	if (l->wants_resign)
		err = l->give_up_err;
	l->is_refused |= err == ERR_CORRUPT && journal_last_index(l->journal) < l->known.index;
	if (err == ERR_CORRUPT || err == ERR_UNSUPPORTED || err == ERR_INVALID)
		log_error("journal %s: refusing to lead: %s", l->config.journal, why);
	end_term(l, why);
}

static void execute(struct leader *l, const struct journal_effect *effect)
{
	switch (effect->kind) {
	case JOURNAL_IO_PUT:
	case JOURNAL_IO_PUT_NEW:
	case JOURNAL_IO_GET:
	case JOURNAL_IO_LIST:
	case JOURNAL_IO_DELETE:
		leader_io_start(l, effect);
		return;
	case JOURNAL_ADOPTED:
		leader_on_adopted(l, effect);
		return;
	case JOURNAL_RECORD:
		leader_on_record(l, effect);
		return;
	case JOURNAL_LEADS:
		l->is_elected = true;
		l->last_index = l->committed_index = effect->index;
		leader_wake(l);
		return;
	case JOURNAL_COMMITTED:
		leader_on_committed(l, effect->index);
		return;
	case JOURNAL_CHECKED:
		leader_on_checked(l, effect->token);
		return;
	case JOURNAL_LOST:
	case JOURNAL_FAILED:
		lose(l, effect->err, effect->why);
		return;
	}
	abort();
}

static void plan_retry(struct leader *l)
{
	uint64_t wait_ms = journal_retry_wait_ms(l->journal);

	if (wait_ms == UINT64_MAX)
		timer_clear(&l->retry);
	else
		timer_set(&l->retry, l->loop, loop_now_ms(l->loop) + wait_ms, on_retry);
}

enum err leader_feed(struct leader *l, struct journal_event *event)
{
	assert(l->magic == LEADER_MAGIC && !l->is_feeding);
	l->is_feeding = true;
	event->now_ms = (uint64_t)clock_wall_ms();

	enum err err = journal_step(l->journal, event, &l->effects);
	for (size_t i = 0; i < l->effects.count; i++)
		execute(l, &l->effects.items[i]);
	journal_effects_clear(&l->effects);
	l->is_feeding = false;
	plan_retry(l);
	return err;
}

/* --- the root task -------------------------------------------------------------------------- */

/* For events the engine may refuse without harm. */
static void feed_if_allowed(struct leader *l, struct journal_event *event)
{
	enum err err = leader_feed(l, event);

	if (err)
		log_debug("journal %s: event %d refused: %s", l->config.journal, (int)event->kind,
			  err_name(err));
}

/* The engine measures graces with the wall clock, which may jump by years.  A zombie does not write
 * without a fresh look at the marks for longer than an hour, so whoever was fenced before we led is
 * harmless once we have led for two by a clock that does not jump. */
static uint64_t fence_grace_ms(const struct leader *l)
{
	uint64_t grace_ms = l->config.fence_grace_ms;
	uint64_t least_ms = grace_ms < LEADER_FENCES_MS ? grace_ms : LEADER_FENCES_MS;

	if (loop_now_ms(l->loop) - l->leading_since_ms < least_ms)
		return UINT64_MAX;
	return grace_ms;
}

static void trim(struct leader *l)
{
	struct journal_event event = {
		.kind = JOURNAL_TRIM,
		.trim = { l->config.record_grace_ms, fence_grace_ms(l) },
	};

	l->trimmed_ms = loop_now_ms(l->loop);
	feed_if_allowed(l, &event);
}

static void on_tick(struct timer *timer)
{
	struct leader *l = CONTAINER(timer, struct leader, tick);

	timer_set(&l->tick, l->loop, loop_now_ms(l->loop) + LEADER_TICK_MS, on_tick);
	leader_wake_stop(l);
	if (journal_role(l->journal) == JOURNAL_LEADING) {
		struct journal_event event = { .kind = JOURNAL_TICK };

		feed_if_allowed(l, &event);
	}
	if (l->state == LEADER_LEADING) {
		uint64_t pause_ms = l->config.record_grace_ms;

		if (pause_ms > LEADER_TRIM_MS)
			pause_ms = LEADER_TRIM_MS;
		if (loop_now_ms(l->loop) >= l->trimmed_ms + pause_ms)
			trim(l);
	}
	leader_wake(l);
}

static void on_retry(struct timer *timer)
{
	struct leader *l = CONTAINER(timer, struct leader, retry);
	struct journal_event event = { .kind = JOURNAL_TICK };

	feed_if_allowed(l, &event);
	leader_wake(l);
}

static void start_election(struct leader *l)
{
	struct journal_event event = {
		.kind = JOURNAL_CANDIDATE,
		.candidate = { random_u64(), l->config.address, l->config.node, l->known.index },
	};

	l->wants_campaign = l->is_refused = false;
	l->is_cold = l->known.index == 0;
	leader_history_clear(l);
	l->announced_index = 0;
	l->record_bytes = l->record_count = 0;
	l->image_bytes = 0;
	l->snapshot_retry_ms = 0;
	l->snapshot_wait_ms = 0;
	timer_set(&l->tick, l->loop, loop_now_ms(l->loop) + LEADER_TICK_MS, on_tick);
	enum err err = leader_feed(l, &event);
	assert(err == OK); /* the engine is idle here */
	(void)err;
}

static void collect(struct leader *l)
{
	leader_io_collect(l);
	leader_recover(l);
	if (l->snapshot.is_active && !task_is_running(&l->snapshot.task)) {
		uint64_t index = l->manifest.manifest.journal_index;

		leader_snapshot_collect(l);
		if (l->state == LEADER_LEADING && l->manifest.manifest.journal_index != index)
			trim(l);
	}
	if (l->clean.is_active && !task_is_running(&l->clean.task))
		leader_clean_collect(l);
}

static enum step leader_step(struct task *t)
{
	struct leader *l = CONTAINER(t, struct leader, root);
	bool is_quiet;

	collect(l);
	if (l->wants_resign || (l->is_ending && l->state != LEADER_IDLE)) {
		struct journal_event event = { .kind = JOURNAL_RESIGN };

		if (journal_role(l->journal) == JOURNAL_IDLE) /* the election has not begun */
			lose(l, ERR_CANCELED, "stopped");
		else
			feed_if_allowed(l, &event);
	}
	is_quiet = !l->load.is_active && !l->snapshot.is_active && !l->clean.is_active;
	if (l->wants_campaign && !l->is_ending && is_quiet)
		start_election(l);
	if (l->state == LEADER_LEADING && !l->is_ending) {
		if (leader_snapshot_is_due(l))
			leader_snapshot_start(l);
		leader_clean_start(l);
	}
	leader_wake_stop(l);
	if (l->is_ending && is_quiet && t->children == 0 && leader_io_is_idle(l))
		return task_done(t, OK);
	return task_wait(t, LEADER_RUNNING);
}

static void on_root_end(struct task *t)
{
	struct leader *l = CONTAINER(t, struct leader, root);
	struct leader_stop *stop = l->stop;

	l->is_ending = false;
	if (stop)
		task_wake(&stop->task);
}

void leader_campaign(struct leader *l)
{
	assert(l->state == LEADER_IDLE && !l->stop);
	l->state = LEADER_CAMPAIGNING;
	l->wants_campaign = true;
	if (!task_is_running(&l->root))
		task_start_root(&l->root, &leader_kind, l->loop);
	leader_wake(l);
}

void leader_campaign_warm(struct leader *l, struct leader_warm *warm)
{
	assert(!l->warm.cell);
	l->warm = *warm;
	*warm = (struct leader_warm) { 0 };
	leader_campaign(l);
}

/* --- stopping ------------------------------------------------------------------------------- */

enum { STOP_BEGIN, STOP_COMMIT, STOP_SNAPSHOT, STOP_ENDING };

static const char *const stop_places[] = { "begin", "committing", "snapshot", "ending" };

static bool stop_is_overdue(const struct leader *l)
{
	return loop_now_ms(l->loop) >= l->stop->since_ms + LEADER_STOP_MS;
}

static enum step end_stop(struct leader *l, struct task *t)
{
	if (l->open_calls > 0)
		return task_wait(t, STOP_ENDING);
	l->stop = NULL;
	return task_done(t, OK);
}

static enum step end_root(struct leader *l, struct task *t)
{
	l->is_ending = true;
	l->wants_campaign = false;
	if (task_is_running(&l->root)) {
		if (task_is_canceled(t))
			LIST_EACH (&l->root.children_list, struct task, siblings, child)
				task_cancel(child);
		leader_wake(l);
		return task_wait(t, STOP_ENDING);
	}
	l->is_ending = false;
	return end_stop(l, t);
}

static enum step stop_step(struct task *t)
{
	struct leader_stop *s = CONTAINER(t, struct leader_stop, task);
	struct leader *l = s->leader;
	bool is_over = task_is_canceled(t) || l->state != LEADER_LEADING || l->wants_resign ||
		       (t->at != STOP_BEGIN && stop_is_overdue(l));

	switch (t->at) {
	case STOP_BEGIN:
		assert(!l->stop);
		l->stop = s;
		s->since_ms = loop_now_ms(l->loop);
		if (is_over)
			return end_root(l, t);
		leader_seal_now(l);
		leader_wake(l);
		return task_wait(t, STOP_COMMIT);

	case STOP_COMMIT:
		if (is_over)
			return end_root(l, t);
		if (!leader_seal_now(l) || !list_is_empty(&l->records) || l->snapshot.is_active)
			return task_wait(t, STOP_COMMIT);
		if (!leader_snapshot_is_due(l))
			return end_root(l, t);
		leader_snapshot_start(l);
		return task_wait(t, STOP_SNAPSHOT);

	case STOP_SNAPSHOT:
		if (!is_over && l->snapshot.is_active)
			return task_wait(t, STOP_SNAPSHOT);
		return end_root(l, t);

	case STOP_ENDING:
		return task_is_running(&l->root) ? end_root(l, t) : end_stop(l, t);
	}
	abort();
}

static const struct task_kind stop_kind = {
	.name = "leader stop",
	.places = stop_places,
	.place_count = 4,
	.step = stop_step,
};

void leader_wake_stop(struct leader *l)
{
	if (l->stop && task_is_running(&l->stop->task) && l->stop->task.at != STOP_ENDING)
		task_wake(&l->stop->task);
}

void leader_stop(struct leader_stop *s, struct task *parent, struct leader *l)
{
	*s = (struct leader_stop) { .leader = l };
	task_start(&s->task, &stop_kind, parent);
}

/* --- what others may know ------------------------------------------------------------------- */

enum leader_state leader_state(const struct leader *l)
{
	return l->state;
}

struct epoch leader_epoch(const struct leader *l)
{
	return journal_epoch(l->journal);
}

struct cell *leader_cell(struct leader *l)
{
	return l->state == LEADER_LEADING ? l->cell : NULL;
}

/* Behind a wall clock that went back it goes on, half as fast: what waits for time to pass would
 * wait for years where the date was wrong by years. */
uint64_t leader_now_ms(struct leader *l)
{
	uint64_t now_ms = (uint64_t)clock_wall_ms();
	uint64_t halves = loop_now_ms(l->loop) / 2;

	if (l->now_ms > now_ms && l->now_halves)
		l->now_ms += halves - l->now_halves;
	l->now_halves = halves;

	if (l->cell && cell_state(l->cell).now_ms > l->now_ms)
		l->now_ms = cell_state(l->cell).now_ms;
	if (now_ms > l->now_ms)
		l->now_ms = now_ms;
	return l->now_ms;
}

void leader_get_status(const struct leader *l, struct leader_status *ret)
{
	*ret = (struct leader_status) {
		.state = l->state,
		.epoch = journal_epoch(l->journal),
		.committed_index = l->committed_index,
		.snapshot_index = journal_newest_snapshot(l->journal).index,
		.in_flight = journal_in_flight(l->journal),
		.record_bytes = l->record_bytes,
		.warm_index = l->warm_index,
		.known_index = l->known.index,
		.is_cold = l->is_cold,
		.is_refused = l->is_refused,
	};
	if (l->manifest.is_known)
		ret->snapshot_ms = l->manifest.manifest.state.now_ms;
	if (l->cell)
		ret->content_hash = cell_hash(l->cell);
}

const struct leader_numbers *leader_get_numbers(const struct leader *l)
{
	return &l->numbers;
}
