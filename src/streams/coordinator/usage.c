#include "streams/coordinator/usage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "loop/timer.h"
#include "peer_messages.h"
#include "streams/coordinator/private.h"

#define NUMBER_MAX (INT64_C(1) << 50) /* in one report */

/* --- into the catalog --------------------------------------------------------------------------
 */

static enum err find_sequence(struct cell *cell, const struct usage_report *r, bool *ret_is_known,
			      bool *ret_is_taken)
{
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT sequence FROM usage_source WHERE source = ?1");

	cell_bind_int(st, 1, r->source);
	*ret_is_known = cell_next(cell, st);
	*ret_is_taken = *ret_is_known && sqlite3_column_int64(st, 0) >= r->sequence;
	sqlite3_reset(st);
	return r->sequence > 0 ? OK : ERR_INVALID;
}

static enum err note_sequence(struct cell *cell, const struct usage_report *r, bool is_known)
{
	sqlite3_stmt *st =
		cell_statement(cell,
			       is_known ? "UPDATE usage_source SET sequence = ?2, updated_ms = ?3"
					  " WHERE source = ?1"
					: "INSERT INTO usage_source (source, sequence, updated_ms)"
					  " VALUES (?1, ?2, ?3)");

	cell_bind_int(st, 1, r->source);
	cell_bind_int(st, 2, r->sequence);
	cell_bind_int(st, 3, r->now_ms);
	enum err err = cell_execute(cell, st);
	if (err || is_known)
		return err;
	st = cell_statement(cell, "DELETE FROM usage_source WHERE updated_ms < ?1");
	cell_bind_int(st, 1, r->now_ms - USAGE_SOURCE_MS);
	return cell_execute(cell, st);
}

/* Midnight of the first day, so that a report of a process that is older does not reach back. */
static int64_t month_began(int64_t now_ms)
{
	int64_t day = 24 * 3600 * INT64_C(1000), at = now_ms - now_ms % day;

	while (usage_month(at - 1) == usage_month(now_ms))
		at -= day;
	return at;
}

static int64_t since(const struct usage_report *r)
{
	int64_t began = month_began(r->now_ms);
	int64_t at = r->now_ms - r->covered_ms;

	return at > began ? at : began;
}

/* Make the row of this month if it is not there. */
static enum err open_row(struct cell *cell, const struct usage_report *r, struct slice bucket)
{
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT count(*), total(bucket = ?1 AND purpose = ?2)"
				     " FROM usage WHERE month = ?3");
	int64_t month = usage_month(r->now_ms);

	cell_bind_text(st, 1, bucket);
	cell_bind_text(st, 2, r->purpose);
	cell_bind_int(st, 3, month);
	bool is_full =
		cell_next(cell, st) && sqlite3_column_int64(st, 0) >= USAGE_ROWS_PER_MONTH_MAX;
	bool is_there = sqlite3_column_int64(st, 1) > 0;
	sqlite3_reset(st);
	if (is_there)
		return OK;
	if (is_full)
		return ERR_FULL;
	st = cell_statement(cell, "INSERT INTO usage (bucket, purpose, month, since_ms, updated_ms,"
				  " put, put_new, part, \"get\", head, list, \"delete\", errors,"
				  " sent_bytes, received_bytes, produced_bytes, fetched_bytes,"
				  " control_bytes) VALUES (?1, ?2, ?3, ?4, ?4,"
				  " 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)");
	cell_bind_text(st, 1, bucket);
	cell_bind_text(st, 2, r->purpose);
	cell_bind_int(st, 3, month);
	cell_bind_int(st, 4, since(r));
	return cell_execute(cell, st);
}

/* Sums stay at USAGE_NUMBER_MAX. */
static const char add_sql[] = "UPDATE usage SET since_ms = min(since_ms, ?4), updated_ms = ?5,"
			      " put = min(put + ?6, ?19),"
			      " put_new = min(put_new + ?7, ?19),"
			      " part = min(part + ?8, ?19),"
			      " \"get\" = min(\"get\" + ?9, ?19),"
			      " head = min(head + ?10, ?19),"
			      " list = min(list + ?11, ?19),"
			      " \"delete\" = min(\"delete\" + ?12, ?19),"
			      " errors = min(errors + ?13, ?19),"
			      " sent_bytes = min(sent_bytes + ?14, ?19),"
			      " received_bytes = min(received_bytes + ?15, ?19),"
			      " produced_bytes = min(produced_bytes + ?16, ?19),"
			      " fetched_bytes = min(fetched_bytes + ?17, ?19),"
			      " control_bytes = min(control_bytes + ?18, ?19)"
			      " WHERE bucket = ?1 AND purpose = ?2 AND month = ?3";

static enum err add_row(struct cell *cell, const struct usage_report *r, size_t i)
{
	const struct meter *m = &r->buckets[i].meter;
	struct usage_traffic traffic = i == 0 ? r->traffic : (struct usage_traffic) { 0 };
	enum err err = open_row(cell, r, r->buckets[i].bucket);

	if (err)
		return err;
	sqlite3_stmt *st = cell_statement(cell, add_sql);
	cell_bind_text(st, 1, r->buckets[i].bucket);
	cell_bind_text(st, 2, r->purpose);
	cell_bind_int(st, 3, usage_month(r->now_ms));
	cell_bind_int(st, 4, since(r));
	cell_bind_int(st, 5, r->now_ms);
	for (int k = 0; k < METER_REQUESTS; k++)
		cell_bind_int(st, 6 + k, (int64_t)m->requests[k]);
	cell_bind_int(st, 13, (int64_t)m->errors);
	cell_bind_int(st, 14, (int64_t)m->sent_bytes);
	cell_bind_int(st, 15, (int64_t)m->received_bytes);
	cell_bind_int(st, 16, (int64_t)traffic.produced_bytes);
	cell_bind_int(st, 17, (int64_t)traffic.fetched_bytes);
	cell_bind_int(st, 18, (int64_t)traffic.control_bytes);
	cell_bind_int(st, 19, USAGE_NUMBER_MAX);
	return cell_execute(cell, st);
}

enum err usage_run(struct cell *cell, void *argument)
{
	const struct usage_report *r = argument;
	bool is_known = false, is_taken = false;
	enum err err = find_sequence(cell, r, &is_known, &is_taken);

	if (err || is_taken)
		return err;
	for (size_t i = 0; i < r->bucket_count && !err; i++)
		err = add_row(cell, r, i);
	return err ? err : note_sequence(cell, r, is_known);
}

/* --- of agents ---------------------------------------------------------------------------------
 */

static bool take_number(int64_t number, uint64_t *ret)
{
	*ret = number > 0 ? (uint64_t)number : 0;
	return number >= 0 && number <= NUMBER_MAX;
}

enum err usage_from_request(const struct peer_usage_request *request, int64_t now_ms,
			    struct usage_report *ret)
{
	struct usage_report r = {
		.source = request->source,
		.sequence = request->sequence,
		.now_ms = now_ms,
		.covered_ms = request->covered_ms,
		.purpose = SLICE(USAGE_RECORDS),
		.buckets[0].bucket = request->bucket,
		.bucket_count = 1,
	};
	struct meter *m = &r.buckets[0].meter;
	bool is_sound = request->bucket.size > 0 && request->bucket.size < METER_NAME_BYTES_MAX &&
			request->covered_ms >= 0 && request->covered_ms <= now_ms &&
			request->requests_count <= METER_REQUESTS;

	for (size_t i = 0; is_sound && i < request->requests_count; i++)
		is_sound = take_number(request->requests[i], &m->requests[i]);
	is_sound = is_sound && take_number(request->errors, &m->errors) &&
		   take_number(request->sent_bytes, &m->sent_bytes) &&
		   take_number(request->received_bytes, &m->received_bytes) &&
		   take_number(request->produced_bytes, &r.traffic.produced_bytes) &&
		   take_number(request->fetched_bytes, &r.traffic.fetched_bytes) &&
		   take_number(request->control_bytes, &r.traffic.control_bytes);
	if (is_sound)
		*ret = r;
	return is_sound ? OK : ERR_INVALID;
}

/* --- of control --------------------------------------------------------------------------------
 */

/* Of the process, over all its terms as leader: what it counts goes on when it does not lead. */
struct usage_own {
	struct usage_report report; /* being written, or tried again; bucket_count 0: none */
	struct meter taken[USAGE_BUCKETS_MAX];
	char names[USAGE_BUCKETS_MAX][METER_NAME_BYTES_MAX];
	int64_t source, sequence;
	int64_t since_ms; /* of the wall */
};

struct usage {
	struct task task;
	struct coordinator *coordinator;
	struct leader_call call;
	struct sleep sleep;
	bool is_wanted; /* an agent reported */
};

_Static_assert((int)USAGE_BUCKETS_MAX >= (int)JOURNAL_BUCKETS_MAX, "every bucket of a journal");

static struct usage_own *own_new(struct coordinator *c)
{
	struct usage_own *own = NEW(struct usage_own);

	own->source = (int64_t)(random_u64() >> 1);
	own->since_ms = clock_wall_ms();
	for (int i = 0; i < c->config.journal_bucket_count; i++)
		bucket_meter_name(c->config.journal_buckets[i], own->names[i]);
	return own;
}

uint64_t usage_report_ms(void)
{
	const char *text = getenv("HANSE_TEST_USAGE_MS");
	uint64_t ms = USAGE_REPORT_MS;

	if (text && text_to_u64(slice_from(text), USAGE_REPORT_MS, &ms))
		ms = USAGE_REPORT_MS;
	return ms > 0 ? ms : 1;
}

/* The most that one bucket was asked, but for deletions: those come with time alone. */
static uint64_t new_requests(const struct coordinator *c)
{
	uint64_t most = 0;

	for (int i = 0; i < c->config.journal_bucket_count; i++) {
		struct meter m = meter_since(bucket_meter(c->config.journal_buckets[i]),
					     &c->usage_own->taken[i]);
		uint64_t count = 0;
		for (int k = 0; k < METER_REQUESTS; k++)
			count += k == METER_DELETE ? 0 : m.requests[k];
		most = count > most ? count : most;
	}
	return most;
}

/* What is reported now is fixed until it is known to be taken. */
static void prepare(struct coordinator *c)
{
	struct usage_own *own = c->usage_own;
	struct usage_report *r = &own->report;
	int64_t now_ms = clock_wall_ms();

	if (r->bucket_count > 0) {
		r->now_ms = now_ms;
		return;
	}
	*r = (struct usage_report) {
		.source = own->source,
		.sequence = ++own->sequence,
		.now_ms = now_ms,
		.covered_ms = now_ms > own->since_ms ? now_ms - own->since_ms : 0,
		.purpose = SLICE(USAGE_JOURNAL),
		.bucket_count = (size_t)c->config.journal_bucket_count,
	};
	for (size_t i = 0; i < r->bucket_count; i++) {
		r->buckets[i].bucket = slice_from(own->names[i]);
		r->buckets[i].meter =
			meter_since(bucket_meter(c->config.journal_buckets[i]), &own->taken[i]);
	}
}

static void taken(struct coordinator *c)
{
	struct usage_own *own = c->usage_own;

	for (size_t i = 0; i < own->report.bucket_count; i++)
		meter_add(&own->taken[i], &own->report.buckets[i].meter);
	own->since_ms = own->report.now_ms;
	own->report.bucket_count = 0;
}

enum { USAGE_LOOK, USAGE_DURABLE };

static enum step usage_step(struct task *t)
{
	struct usage *u = CONTAINER(t, struct usage, task);
	struct coordinator *c = u->coordinator;

	if (task_is_canceled(t))
		return task_done(t, t->err);
	switch (t->at) {
	case USAGE_LOOK:
		if (!u->is_wanted && task_is_running(&u->sleep.task))
			return task_wait(t, USAGE_LOOK);
		if (new_requests(c) >= (u->is_wanted ? 1 : USAGE_OWN_REQUESTS_MIN)) {
			u->is_wanted = false;
			prepare(c);
			leader_run_kind(&u->call, t, c->config.leader, LEADER_NEUTRAL, usage_run,
					&c->usage_own->report);
			return task_wait(t, USAGE_DURABLE);
		}
		u->is_wanted = false;
		break;
	case USAGE_DURABLE:
		if (task_is_running(&u->call.task))
			return task_wait(t, USAGE_DURABLE);
		if (!u->call.task.err)
			taken(c);
		break;
	}
	if (!task_is_running(&u->sleep.task))
		sleep_start(&u->sleep, t, loop_now_ms(t->loop) + usage_report_ms());
	return task_wait(t, USAGE_LOOK);
}

static void usage_on_end(struct task *t)
{
	struct usage *u = CONTAINER(t, struct usage, task);
	struct coordinator *c = u->coordinator;

	if (c->usage == u)
		c->usage = NULL;
	c->errand_count--;
	memory_free(u);
	if (c->stop)
		task_wake(c->stop);
}

static const char *const usage_places[] = { "look", "durable" };
static const struct task_kind usage_kind = {
	.name = "usage",
	.places = usage_places,
	.place_count = 2,
	.step = usage_step,
	.on_end = usage_on_end,
};

void usage_start(struct coordinator *c)
{
	struct usage *u = NEW(struct usage);

	if (!c->usage_own)
		c->usage_own = own_new(c);
	u->coordinator = c;
	c->usage = u;
	c->errand_count++;
	task_start_root(&u->task, &usage_kind, c->loop);
}

void usage_cancel(struct coordinator *c)
{
	if (c->usage)
		task_cancel(&c->usage->task);
	c->usage = NULL;
}

void usage_finish(struct leader_call *call, struct task *parent, struct coordinator *c)
{
	if (!c->is_leading || new_requests(c) == 0)
		return;
	prepare(c);
	leader_run_kind(call, parent, c->config.leader, LEADER_NEUTRAL, usage_run,
			&c->usage_own->report);
	task_set_deadline(&call->task, loop_now_ms(c->loop) + USAGE_FINISH_MS);
}

void usage_wake(struct coordinator *c)
{
	if (!c->usage)
		return;
	c->usage->is_wanted = true;
	task_wake(&c->usage->task);
}
