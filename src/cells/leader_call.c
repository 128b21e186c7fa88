/* Commands, fence checks and images; sealing, and waiting for what was sealed to be durable.
 *
 * Why an answer waits for one index only: commands run one after the other, so what a command saw
 * is the changes of records up to the last one appended, and of the record being gathered.  If the
 * latter is empty the command depends on the former, else on the next record.  The index never
 * decreases from one command to the next, hence one queue in order of arrival.
 *
 * A command that the next leader would repeat with the same outcome waits for less: that there is
 * nothing before it that could be lost and matters to it, and that it would be repeated, which is
 * what `after_index` says (decision 0046). */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "cells/leader_private.h"

/* --- sealing -------------------------------------------------------------------------------- */

void leader_record_free(struct leader_record *record)
{
	blob_unref(&record->body);
	memory_free(record);
}

static bool has_room(const struct leader *l)
{
	return journal_in_flight(l->journal) < JOURNAL_IN_FLIGHT_MAX &&
	       l->in_flight_bytes + CELL_RECORD_BYTES_MAX <= JOURNAL_IN_FLIGHT_BYTES_MAX;
}

static uint64_t append_interval_ms(const struct leader *l)
{
	int per_s = l->config.appends_per_s ? l->config.appends_per_s : LEADER_APPENDS_PER_S;

	return 1000 / (uint64_t)per_s;
}

/* Records have a moment each, so many a second; some that were not used are saved. */
static void note_pace(struct leader *l)
{
	uint64_t now_ms = loop_now_ms(l->loop);
	uint64_t saved_ms = LEADER_APPENDS_SAVED * append_interval_ms(l);

	if (l->next_ms + saved_ms < now_ms)
		l->next_ms = now_ms - saved_ms;
	l->next_ms += append_interval_ms(l);
}

/* The cell is sealed first, so a refused append leaves it ahead for ever: the end of this term. */
void leader_append(struct leader *l)
{
	struct buf bytes;

	assert(cell_has_changes(l->cell) && has_room(l));
	buf_init(&bytes);
	cell_seal(l->cell, leader_now_ms(l), &bytes);

	struct leader_record *record = NEW(struct leader_record);
	record->body = blob_from(buf_slice(&bytes));
	record->payload = blob_slice(record->body);
	record->index = ++l->last_index;
	record->hash = cell_hash(l->cell);
	record->sealed_us = clock_now_us();
	if (l->commands_gathered > 0)
		histogram_add(&l->numbers.seal_waited, &histogram_times,
			      record->sealed_us - l->gathering_us);
	note_pace(l);
	l->is_awaited = false;
	timer_clear(&l->seal_due);
	histogram_add(&l->numbers.commands_each, &histogram_counts, l->commands_gathered);
	histogram_add(&l->numbers.record_bytes, &histogram_bytes, record->payload.size);
	l->commands_gathered = 0;
	list_add(&l->records, &record->link);
	l->in_flight_bytes += record->payload.size;
	buf_done(&bytes);

	struct blob *body = blob_ref(record->body); /* the step may drop the record */
	struct journal_event event = { .kind = JOURNAL_APPEND };
	event.append.payload = blob_slice(body);
	enum err err = leader_feed(l, &event);
	blob_unref(&body);
	if (err && l->state != LEADER_IDLE)
		leader_give_up(l, err, "a record was refused: %s", err_name(err));
	else if (!err && l->state != LEADER_IDLE)
		assert(l->last_index == journal_last_index(l->journal));
}

bool leader_seal_now(struct leader *l)
{
	if (!l->cell || !cell_has_changes(l->cell))
		return true;
	if (l->wants_resign || !has_room(l))
		return false;
	leader_append(l);
	return true;
}

/* Runs after what was ready when it was set; commands that came meanwhile join the record. */
static void on_seal(struct deferred *d)
{
	struct leader *l = CONTAINER(d, struct leader, seal);

	if (l->state != LEADER_LEADING || !cell_has_changes(l->cell))
		return;
	if (l->has_run_since && cell_change_bytes(l->cell) < LEADER_SEAL_BYTES) {
		l->has_run_since = false;
		deferred_set(&l->seal, l->loop, on_seal);
		return;
	}
	leader_seal_now(l);
}

static void on_seal_due(struct timer *t)
{
	struct leader *l = CONTAINER(t, struct leader, seal_due);

	deferred_set(&l->seal, l->loop, on_seal);
}

/* Beside the records under way; who finds too many of them comes back when one is durable.  With
 * changes that were or will be answered before they are durable there is time for company. */
static void seal_ahead(struct leader *l)
{
	uint64_t company_ms = l->is_awaited ? 0 : l->gathering_ms + LEADER_COMPANY_MS;

	if (l->is_far && journal_in_flight(l->journal) < LEADER_AHEAD_MAX)
		timer_set(&l->seal_due, l->loop, l->next_ms > company_ms ? l->next_ms : company_ms,
			  on_seal_due);
}

static void seal_soon(struct leader *l)
{
	if (l->state != LEADER_LEADING || !cell_has_changes(l->cell))
		return;
	if (cell_change_bytes(l->cell) >= LEADER_SEAL_BYTES)
		leader_seal_now(l);
	else if (journal_in_flight(l->journal) == 0 && (l->is_awaited || !l->is_far))
		deferred_set(&l->seal, l->loop, on_seal);
	else
		seal_ahead(l);
}

/* Nearby an append that completes makes place for the next one; far away it is not for that. */
static void seal_next(struct leader *l)
{
	if (l->is_far)
		seal_soon(l);
	else if (l->state == LEADER_LEADING && cell_has_changes(l->cell))
		deferred_set(&l->seal, l->loop, on_seal);
}

/* --- commands ------------------------------------------------------------------------------- */

enum { CALL_RUN, CALL_WAIT };

static const char *const call_places[] = { "run", "durable" };

/* A stop waits for the last one: after it the leader may be freed. */
static void close_call(struct leader *l)
{
	assert(l->open_calls > 0);
	if (--l->open_calls == 0 && l->stop && task_is_running(&l->stop->task))
		task_wake(&l->stop->task);
}

static enum step end_call(struct leader_call *call, enum err err, const char *why)
{
	close_call(call->leader);
	list_remove(&call->waiting);
	if (call->is_pending)
		call->leader->pending_calls--;
	call->is_pending = false;
	return err ? task_fail(&call->task, err, "%s", why) : task_done(&call->task, OK);
}

static enum step stall(struct leader_call *call)
{
	if (!call->is_pending)
		call->leader->pending_calls++;
	call->is_pending = true;
	list_add(&call->leader->stalled, &call->waiting);
	return task_wait(&call->task, CALL_RUN);
}

/* The record it waits for.  `firm_index` is that of the last firm change before it. */
static uint64_t find_due(const struct leader_call *call, uint64_t firm_index)
{
	uint64_t due = firm_index > call->after_index ? firm_index : call->after_index;

	if (call->kind != LEADER_REPEATABLE || call->waits || call->result || due > call->index)
		return call->index;
	return due;
}

static void note_kind(struct leader_call *call)
{
	struct leader *l = call->leader;

	call->due_index = find_due(call, l->firm_index);
	call->is_early = call->due_index < call->index;
	if (call->is_early && l->early_index < call->index)
		l->early_index = call->index;
	l->numbers.early += call->is_early;
	if (call->has_changes && (call->kind == LEADER_FIRM || call->kind == LEADER_SETTLING))
		l->firm_index = call->index;
}

static enum step wait_durable(struct leader_call *call)
{
	struct leader *l = call->leader;

	if (!call->is_pending)
		l->pending_calls++;
	call->is_pending = true;
	list_add(call->is_early ? &l->early : &l->waiting, &call->waiting);
	l->is_awaited = l->is_awaited || !call->is_early;
	seal_soon(l);
	if (list_is_linked(&call->waiting) && call->due_index <= l->committed_index)
		return end_call(call, call->result, "");
	return task_wait(&call->task, CALL_WAIT);
}

static enum step run_command(struct leader_call *call)
{
	struct leader *l = call->leader;
	sqlite3 *database = cell_database(l->cell);
	int64_t changes = sqlite3_total_changes64(database);

	call->result = cell_run(l->cell, call->run, call->argument);
	call->has_changes = !call->result && sqlite3_total_changes64(database) != changes;
	l->has_run_since = true;
	l->numbers.commands++;
	if (call->has_changes && l->commands_gathered++ == 0) {
		l->gathering_us = clock_now_us();
		l->gathering_ms = loop_now_ms(l->loop);
	}
	call->index = l->last_index + (cell_has_changes(l->cell) ? 1 : 0);
	note_kind(call);
	if (call->index <= l->committed_index)
		return end_call(call, call->result, "");
	return wait_durable(call);
}

static enum step start_command(struct leader_call *call)
{
	struct leader *l = call->leader;

	if (task_is_canceled(&call->task))
		return end_call(call, ERR_CANCELED, "canceled before it ran");
	if (list_is_linked(&call->waiting))
		return task_wait(&call->task, CALL_RUN); /* stalled, woken for nothing */
	if (!leader_is_serving(l))
		return end_call(call, ERR_UNAVAILABLE, "this node does not lead the journal");
	if (l->is_settling && call->kind == LEADER_FIRM)
		return end_call(call, ERR_UNAVAILABLE, "the term is not settled yet");
	if (!call->is_pending && l->pending_calls >= LEADER_PENDING_CALLS_MAX)
		return end_call(call, ERR_BUSY, "too many calls are waiting");
	if (l->in_flight_bytes + cell_change_bytes(l->cell) > LEADER_SPECULATIVE_BYTES_MAX)
		return end_call(call, ERR_BUSY, "too much is waiting to be durable");
	if (!list_is_empty(&l->stalled))
		return stall(call);
	if (cell_change_bytes(l->cell) > LEADER_UNSEALED_BYTES_MAX && !leader_seal_now(l))
		return stall(call);
	if (!leader_is_serving(l)) /* sealing found out */
		return end_call(call, ERR_UNAVAILABLE, "the journal was lost");
	return run_command(call);
}

static enum step run_step(struct task *t)
{
	struct leader_call *call = CONTAINER(t, struct leader_call, task);

	switch (t->at) {
	case CALL_RUN:
		return start_command(call);

	case CALL_WAIT:
		if (task_is_canceled(t))
			return end_call(call, ERR_CANCELED, "canceled while it became durable");
		if (list_is_linked(&call->waiting))
			return task_wait(t, CALL_WAIT);
		return end_call(call, call->result, t->why);
	}
	abort();
}

static const struct task_kind run_kind = {
	.name = "leader run",
	.places = call_places,
	.place_count = 2,
	.step = run_step,
};

void leader_run_kind(struct leader_call *call, struct task *parent, struct leader *l,
		     enum leader_kind kind, enum err (*run)(struct cell *cell, void *argument),
		     void *argument)
{
	*call = (struct leader_call) {
		.leader = l, .run = run, .argument = argument, .kind = kind
	};
	l->open_calls++;
	task_start(&call->task, &run_kind, parent);
}

void leader_run(struct leader_call *call, struct task *parent, struct leader *l,
		enum err (*run)(struct cell *cell, void *argument), void *argument)
{
	leader_run_kind(call, parent, l, LEADER_FIRM, run, argument);
}

uint64_t leader_next_index(const struct leader *l)
{
	return l->last_index + 1;
}

void leader_set_settling(struct leader *l, bool is_settling)
{
	assert(l->state == LEADER_LEADING);
	l->is_settling = is_settling;
}

static void release_call(struct leader_call *call, enum err err, const char *why)
{
	list_remove(&call->waiting);
	if (err) {
		call->result = err;
		snprintf(call->task.why, sizeof(call->task.why), "%s", why);
	}
	task_wake(&call->task);
}

static void release_stalled(struct leader *l)
{
	struct list *node;

	while ((node = list_pop(&l->stalled)) != NULL)
		task_wake(&CONTAINER(node, struct leader_call, waiting)->task);
	while ((node = list_pop(&l->stalled_images)) != NULL)
		task_wake(&CONTAINER(node, struct leader_image, waiting)->task);
}

/* --- fence checks ---------------------------------------------------------------------------
 * Calls gather while a check is under way; the next check is begun after all of them. */

static void on_check(struct deferred *d)
{
	struct leader *l = CONTAINER(d, struct leader, check);
	struct journal_event event = { .kind = JOURNAL_CHECK, .check = { l->token + 1 } };

	if (l->state != LEADER_LEADING || l->is_check_in_flight || list_is_empty(&l->fences))
		return;
	l->token++;
	l->is_check_in_flight = true;
	LIST_EACH (&l->fences, struct leader_call, waiting, call)
		call->token = l->token;
	enum err err = leader_feed(l, &event);
	if (err && l->state == LEADER_LEADING)
		leader_give_up(l, err, "a fence check was refused: %s", err_name(err));
}

void leader_on_checked(struct leader *l, uint64_t token)
{
	if (token >= l->token)
		l->is_check_in_flight = false;
	LIST_EACH (&l->fences, struct leader_call, waiting, call) {
		if (!call->token || call->token > token)
			continue;
		if (call->index <= l->committed_index) {
			release_call(call, OK, "");
		} else {
			list_remove(&call->waiting);
			list_add(&l->checked, &call->waiting);
		}
	}
	if (!list_is_empty(&l->fences))
		deferred_set(&l->check, l->loop, on_check);
}

static enum step fence_step(struct task *t)
{
	struct leader_call *call = CONTAINER(t, struct leader_call, task);
	struct leader *l = call->leader;

	switch (t->at) {
	case CALL_RUN:
		if (task_is_canceled(t))
			return end_call(call, ERR_CANCELED, "canceled");
		if (l->state != LEADER_LEADING || l->wants_resign)
			return end_call(call, ERR_UNAVAILABLE,
					"this node does not lead the journal");
		if (l->pending_calls >= LEADER_PENDING_CALLS_MAX)
			return end_call(call, ERR_BUSY, "too many calls are waiting");
		call->is_pending = true;
		l->pending_calls++;
		call->index =
			l->committed_index > l->early_index ? l->committed_index : l->early_index;
		call->due_index = call->index;
		list_add(&l->fences, &call->waiting);
		if (call->index > l->last_index) {
			l->is_awaited = true;
			seal_soon(l);
		}
		if (!l->is_check_in_flight)
			deferred_set(&l->check, l->loop, on_check);
		return task_wait(t, CALL_WAIT);

	case CALL_WAIT:
		if (task_is_canceled(t))
			return end_call(call, ERR_CANCELED, "canceled");
		if (list_is_linked(&call->waiting))
			return task_wait(t, CALL_WAIT);
		return end_call(call, call->result, t->why);
	}
	abort();
}

static const char *const fence_places[] = { "begin", "fence check" };

static const struct task_kind fence_kind = {
	.name = "leader fence",
	.places = fence_places,
	.place_count = 2,
	.step = fence_step,
};

void leader_fence(struct leader_call *call, struct task *parent, struct leader *l)
{
	*call = (struct leader_call) { .leader = l };
	l->open_calls++;
	task_start(&call->task, &fence_kind, parent);
	task_set_deadline(&call->task, loop_now_ms(l->loop) + l->config.check_ms);
}

/* --- images --------------------------------------------------------------------------------- */

bool leader_room_is_small(const struct leader *l, const struct cell_room *room)
{
	return !room->memory || room->bytes < cell_image_bytes(l->cell);
}

enum { IMAGE_ROOM, IMAGE_TAKE, IMAGE_WAIT };

static const char *const image_places[] = { "begin", "room", "durable" };

static enum step end_image(struct leader_image *image, enum err err)
{
	close_call(image->leader);
	list_remove(&image->waiting);
	cell_room_done(&image->room);
	if (!err)
		return task_done(&image->task, OK);
	follower_image_done(&image->image);
	return task_fail(&image->task, err, "this node does not lead the journal");
}

static enum err room_work(struct worker_job *job)
{
	struct leader_image *image = CONTAINER(job, struct leader_image, job);

	cell_room_make(&image->room, image->room.bytes);
	return OK;
}

static enum step make_room(struct leader_image *image)
{
	cell_room_done(&image->room);
	image->room.bytes = cell_room_bytes(image->leader->cell);
	image->rooms++;
	worker_start(&image->job, &image->task, room_work);
	return task_wait(&image->task, IMAGE_TAKE);
}

static enum step take_image(struct leader_image *image)
{
	struct leader *l = image->leader;

	if (list_is_linked(&image->waiting))
		return task_wait(&image->task, IMAGE_TAKE);
	if (!leader_is_serving(l))
		return end_image(image, ERR_UNAVAILABLE);
	if (leader_room_is_small(l, &image->room) && image->rooms < LEADER_ROOMS_MAX)
		return make_room(image);
	if (!leader_seal_now(l)) {
		list_add(&l->stalled_images, &image->waiting);
		return task_wait(&image->task, IMAGE_TAKE);
	}
	if (!leader_is_serving(l)) /* sealing found out */
		return end_image(image, ERR_UNAVAILABLE);
	follower_image_take(l->cell, &image->room, &image->image);
	image->index = l->last_index;
	if (image->index <= l->committed_index)
		return end_image(image, OK);
	list_add(&l->images, &image->waiting);
	return task_wait(&image->task, IMAGE_WAIT);
}

static enum step image_step(struct task *t)
{
	struct leader_image *image = CONTAINER(t, struct leader_image, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (task_is_canceled(t))
		return end_image(image, ERR_CANCELED);
	switch (t->at) {
	case IMAGE_ROOM:
		return leader_is_serving(image->leader) ? make_room(image)
							: end_image(image, ERR_UNAVAILABLE);
	case IMAGE_TAKE:
		return take_image(image);

	case IMAGE_WAIT:
		if (list_is_linked(&image->waiting))
			return task_wait(t, IMAGE_WAIT);
		return end_image(image, image->is_dropped ? ERR_UNAVAILABLE : OK);
	}
	abort();
}

static const struct task_kind image_kind = {
	.name = "leader image",
	.places = image_places,
	.place_count = 3,
	.step = image_step,
};

void leader_image(struct leader_image *image, struct task *parent, struct leader *l)
{
	*image = (struct leader_image) { .leader = l };
	l->open_calls++;
	task_start(&image->task, &image_kind, parent);
}

/* --- what the engine says ------------------------------------------------------------------- */

static void commit_records(struct leader *l, uint64_t index)
{
	const struct leader_watcher *watcher = l->config.watcher;

	while (!list_is_empty(&l->records)) {
		struct leader_record *record =
			CONTAINER(l->records.next, struct leader_record, link);

		if (record->index > index)
			break;
		list_remove(&record->link);
		assert(record->index == l->committed_index + 1);
		l->committed_index = record->index;
		l->in_flight_bytes -= record->payload.size;
		l->record_bytes += record->payload.size;
		l->record_count++;
		if (record->sealed_us > 0)
			histogram_add(&l->numbers.commit_took, &histogram_times,
				      clock_now_us() - record->sealed_us);
		if (leader_history_note(l, record->index, record->hash))
			leader_history_committed(l, record->index);
		if (l->state == LEADER_LEADING && watcher)
			watcher->on_committed(l->config.context, record->index, record->payload);
		leader_record_free(record);
	}
}

/* Of a list that is in no order: few are answered early. */
static void release_due(struct list *calls, uint64_t index)
{
	LIST_EACH (calls, struct leader_call, waiting, call)
		if (call->due_index <= index)
			release_call(call, OK, "");
}

void leader_on_committed(struct leader *l, uint64_t index)
{
	commit_records(l, index);
	while (!list_is_empty(&l->waiting)) {
		struct leader_call *call = CONTAINER(l->waiting.next, struct leader_call, waiting);

		if (call->index > index)
			break;
		release_call(call, OK, "");
	}
	release_due(&l->early, index);
	release_due(&l->checked, index);
	while (!list_is_empty(&l->images)) {
		struct leader_image *image =
			CONTAINER(l->images.next, struct leader_image, waiting);

		if (image->index > index)
			break;
		list_remove(&image->waiting);
		task_wake(&image->task);
	}
	release_stalled(l);
	seal_next(l);
	if (l->snapshot.is_active && task_is_running(&l->snapshot.task))
		task_wake(&l->snapshot.task);
	leader_wake(l);
}

/* A call whose changes were in a record that was sent cannot know, nor one that will be remade;
 * all others can. */
static void drop_calls(struct leader *l, struct list *calls)
{
	while (!list_is_empty(calls)) {
		struct leader_call *call = CONTAINER(calls->next, struct leader_call, waiting);
		bool may_be =
			call->has_changes && (call->index <= l->last_index || call->is_remade);

		release_call(call, may_be ? ERR_UNKNOWN : ERR_UNAVAILABLE, "the journal was lost");
	}
}

static void drop_waiting(struct leader *l)
{
	struct list *node;

	drop_calls(l, &l->waiting);
	drop_calls(l, &l->early);
	drop_calls(l, &l->fences); /* which changed nothing */
	drop_calls(l, &l->checked);
	while ((node = list_pop(&l->images)) != NULL) {
		struct leader_image *image = CONTAINER(node, struct leader_image, waiting);

		image->is_dropped = true;
		task_wake(&image->task);
	}
}

void leader_call_drop_all(struct leader *l)
{
	struct list *node;

	drop_waiting(l);
	release_stalled(l);
	while ((node = list_pop(&l->records)) != NULL)
		leader_record_free(CONTAINER(node, struct leader_record, link));
	l->in_flight_bytes = 0;
	l->is_check_in_flight = false;
	l->firm_index = l->early_index = 0;
	l->is_awaited = false;
	l->is_settling = false;
	l->token = 0;
	deferred_clear(&l->seal);
	timer_clear(&l->seal_due);
	deferred_clear(&l->check);
}
