#include "server/rebuild.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "buckets/sealed.h"
#include "cells/cluster.h"
#include "cells/holder.h"
#include "cells/journal_format.h"
#include "cells/leader.h"
#include "cells/standby.h"
#include "server/control_role.h"
#include "server/rebuild_files.h"
#include "server/restore_tip.h"
#include "streams/catalog/catalog.h"
#include "streams/coordinator/unsure.h"
#include "streams/rebuild/write.h"

/* In the start records of a rebuild, for people. */
#define REBUILD_NODE "hanse rebuild"

struct rebuild {
	struct task task;
	struct loop *loop;
	const struct rebuild_config *config;
	struct arena *arena;
	struct rebuild_report *report;
	char why[REBUILD_WHY_BYTES];
	enum err err;

	struct bucket_op op;
	struct arena page;
	struct buf cluster; /* the object of the bucket of the records */
	int at;		    /* journal bucket that is looked at */
	bool has_object[JOURNAL_BUCKETS_MAX];
	struct holder_find find;
	char prefix[JOURNAL_KEY_BYTES]; /* of all that a journal ever was */
	char after[BUCKET_KEY_BYTES_MAX + 1];
	struct restore_tip tip;
	struct standby *standby;
	struct standby_stop standby_stop;
	struct plan *plan;
	struct rebuild_files files;

	struct leader *leader;
	struct leader_stop leader_stop;
	struct leader_call call;
	struct sleep sleep;
	struct write write;
	bool is_lost;
	char lost_why[TASK_WHY_BYTES];
	int campaigns;
};

enum {
	REBUILD_OPEN,
	REBUILD_CLUSTER,
	REBUILD_OBJECT,
	REBUILD_EMPTY,
	REBUILD_FOUND,
	REBUILD_REST,
	REBUILD_TIP,
	REBUILD_READ,
	REBUILD_FILES,
	REBUILD_PUT,
	REBUILD_CAMPAIGN,
	REBUILD_BEGUN,
	REBUILD_WRITING,
	REBUILD_STOPPED,
	REBUILD_END,
};

static void progress(struct rebuild *r, const char *format, ...) PRINTF_LIKE(2, 3);
static void progress(struct rebuild *r, const char *format, ...)
{
	char text[256];
	va_list args;

	if (!r->config->on_progress)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	r->config->on_progress(r->config->context, text);
}

/* --- the end -----------------------------------------------------------------------------------
 */

/* First what is under way has to end. */
static enum step end(struct rebuild *r)
{
	struct task *t = &r->task;

	if (t->children > 0)
		return task_wait(t, REBUILD_END);
	if (r->leader) {
		if (!r->leader_stop.leader) {
			leader_stop(&r->leader_stop, t, r->leader);
			return task_wait(t, REBUILD_END);
		}
		leader_free(r->leader);
		r->leader = NULL;
	}
	if (r->standby) {
		if (!r->standby_stop.standby) {
			standby_stop(&r->standby_stop, t, r->standby);
			return task_wait(t, REBUILD_END);
		}
		standby_free(r->standby);
		r->standby = NULL;
	}
	loop_stop(r->loop);
	return task_done(t, r->err);
}

static enum step fail(struct rebuild *r, enum err err, const char *format, ...) PRINTF_LIKE(3, 4);
static enum step fail(struct rebuild *r, enum err err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->why, sizeof(r->why), format, args);
	va_end(args);
	r->err = err;
	return end(r);
}

static const char *reason(const struct task *t)
{
	return t->why[0] ? t->why : err_name(t->err);
}

/* --- whose buckets they are --------------------------------------------------------------------
 */

static struct bucket *journal(const struct rebuild *r)
{
	return sealed_inner(r->config->journals[r->at]);
}

static enum step look_at_journal(struct rebuild *r)
{
	if (r->at == r->config->journal_count) {
		holder_find(&r->find, &r->task, r->config->journals, r->config->journal_count,
			    CONTROL_JOURNAL);
		return task_wait(&r->task, REBUILD_FOUND);
	}
	bucket_get(&r->op, &r->task, journal(r), SLICE(CLUSTER_KEY), 0, CLUSTER_OBJECT_BYTES_MAX);
	return task_wait(&r->task, REBUILD_OBJECT);
}

static enum step cluster_read(struct rebuild *r)
{
	const char *url = r->config->bucket->url;
	struct cluster found;
	char why[TASK_WHY_BYTES] = "";

	if (r->op.task.err == ERR_NOT_FOUND)
		return fail(r, ERR_INVALID,
			    "%s has no %s: is --bucket the right one?  It is the one with the "
			    "records.",
			    url, CLUSTER_KEY);
	if (r->op.task.err)
		return fail(r, r->op.task.err, "%s cannot be read: %s", url, reason(&r->op.task));
	buf_add_slice(&r->cluster, blob_slice(r->op.ret_body));
	blob_unref(&r->op.ret_body);
	enum err err = cluster_decode(buf_slice(&r->cluster), &found, why);
	if (err)
		return fail(r, err, "%s: %s", url, why);
	err = cluster_check(&found, r->config->keys, url, why);
	if (err)
		return fail(r, err, "%s", why);
	memcpy(r->report->cluster_id.bytes, found.id, sizeof(found.id));
	r->report->is_sealed = found.is_sealed;
	return look_at_journal(r);
}

/* A bucket of the journal belongs to this cluster, or to nobody. */
static enum step object_read(struct rebuild *r)
{
	const char *url = journal(r)->url;

	if (r->op.task.err == ERR_NOT_FOUND) {
		arena_reset(&r->page);
		bucket_list(&r->op, &r->task, journal(r), &r->page, SLICE(""), SLICE(""));
		return task_wait(&r->task, REBUILD_EMPTY);
	}
	if (r->op.task.err)
		return fail(r, r->op.task.err, "%s cannot be read: %s", url, reason(&r->op.task));
	bool is_ours = slice_equal(blob_slice(r->op.ret_body), buf_slice(&r->cluster));
	blob_unref(&r->op.ret_body);
	if (!is_ours)
		return fail(r, ERR_EXISTS,
			    "%s belongs to another cluster.  A rebuild needs an empty bucket for "
			    "the journal.",
			    url);
	r->has_object[r->at++] = true;
	return look_at_journal(r);
}

static enum step empty_read(struct rebuild *r)
{
	const char *url = journal(r)->url;

	if (r->op.task.err)
		return fail(r, r->op.task.err, "%s cannot be listed: %s", url, reason(&r->op.task));
	if (r->op.ret_count > 0)
		return fail(r, ERR_EXISTS,
			    "%s is not empty: it has %.*s.  A rebuild needs an empty bucket for "
			    "the journal.",
			    url, SLICE_ARG(r->op.ret_names[0]));
	r->at++;
	return look_at_journal(r);
}

static enum step read_files(struct rebuild *r)
{
	rebuild_files(&r->files, &r->task, r->config->bucket, r->plan, r->report->cluster_id,
		      r->config->is_deep, r->config->on_progress, r->config->context);
	return task_wait(&r->task, REBUILD_FILES);
}

static enum step list_rest(struct rebuild *r, struct slice after)
{
	arena_reset(&r->page);
	bucket_list(&r->op, &r->task, journal(r), &r->page, slice_from(r->prefix), after);
	return task_wait(&r->task, REBUILD_REST);
}

static enum step look_for_rest(struct rebuild *r)
{
	if (r->at == r->config->journal_count)
		return read_files(r);
	return list_rest(r, SLICE(""));
}

/* Whoever runs for a journal marks and fences it before there is anything in it. */
static bool is_of_no_journal(struct slice key)
{
	struct journal_name name;

	return journal_key_parse(key, CONTROL_JOURNAL, &name) &&
	       (name.kind == JOURNAL_OBJECT_MARK || name.kind == JOURNAL_OBJECT_FENCE);
}

/* Nobody is known to have led it.  Then either nobody did, or the names that would tell are gone
 * and the rest is not: a journal begun beside it would in the end delete that, and read none. */
static enum step rest_read(struct rebuild *r)
{
	const struct bucket_op *op = &r->op;

	if (op->task.err)
		return fail(r, op->task.err, "%s cannot be listed: %s", journal(r)->url,
			    reason(&op->task));
	for (size_t i = 0; i < op->ret_count; i++)
		if (!is_of_no_journal(op->ret_names[i]))
			return fail(r, ERR_EXISTS,
				    "%s has a part of a journal, %.*s, and nothing that says who "
				    "led it.  Put the rest of it back if you can; else move all "
				    "below %s to another place.",
				    journal(r)->url, SLICE_ARG(op->ret_names[i]), r->prefix);
	if (op->ret_more && op->ret_count > 0) {
		snprintf(r->after, sizeof(r->after), "%.*s",
			 SLICE_ARG(op->ret_names[op->ret_count - 1]));
		return list_rest(r, slice_from(r->after));
	}
	r->at++;
	return look_for_rest(r);
}

/* Somebody led this journal.  Only a rebuild that was cut off may have, or a node that found what
 * it left, so the catalog is read, as it was when its leader went. */
static enum step found(struct rebuild *r)
{
	const struct holder_find *h = &r->find;

	if (h->task.err || h->read_count < r->config->journal_count)
		return fail(r, h->task.err ? h->task.err : ERR_UNAVAILABLE,
			    "the buckets of the journal cannot be read, all of them: %s",
			    reason(&h->task));
	if (h->epoch.counter == 0 && h->epoch.nonce == 0) {
		r->at = 0;
		return look_for_rest(r);
	}
	restore_tip(&r->tip, &r->task, r->config->journals, r->config->journal_count,
		    CONTROL_JOURNAL, h->epoch);
	return task_wait(&r->task, REBUILD_TIP);
}

static enum step poll(struct rebuild *r)
{
	sleep_start(&r->sleep, &r->task, loop_now_ms(r->loop) + REBUILD_POLL_MS);
	return task_wait(&r->task, REBUILD_READ);
}

static enum step tip_known(struct rebuild *r)
{
	const struct rebuild_config *c = r->config;

	if (r->tip.task.err)
		return fail(r, r->tip.task.err, "there is a journal, and it cannot be read: %s",
			    reason(&r->tip.task));
	r->standby = standby_new(r->loop, &(struct standby_config) {
						  .buckets = c->journals,
						  .bucket_count = c->journal_count,
						  .journal = CONTROL_JOURNAL,
						  .cell_name = CONTROL_CELL,
					  });
	standby_aim(r->standby, r->find.epoch, r->tip.index);
	return poll(r);
}

/* Without any record nothing was ever told to anybody. */
static bool is_left_by_rebuild(struct cell *cell)
{
	return cell_schema_version(cell, "streams") == 0 || write_is_unfinished(cell);
}

static enum step journal_read(struct rebuild *r)
{
	struct standby_status status;
	struct leader_warm warm;

	if (r->task.children > 0)
		return task_wait(&r->task, REBUILD_READ);
	standby_get_status(r->standby, &status);
	if (status.failure_count > REBUILD_FAILURES_MAX)
		return fail(r, ERR_CORRUPT, "there is a journal, and it cannot be read: %s",
			    status.why);
	if (status.index < r->tip.index)
		return poll(r);
	standby_take(r->standby, &warm);
	bool is_left = !warm.cell || is_left_by_rebuild(warm.cell);
	cell_free(warm.cell);
	if (!is_left)
		return fail(r, ERR_EXISTS,
			    "the journal is not empty, so it is not lost: %s led it.  `hanse "
			    "restore` brings a cluster back from it; a rebuild needs an empty one.",
			    r->find.node[0] ? r->find.node : "a node");
	r->report->is_anew = true;
	return read_files(r);
}

/* --- the plan ----------------------------------------------------------------------------------
 */

static int64_t undecided_records(const struct plan_report *p)
{
	int64_t records = 0;

	for (size_t i = 0; i < p->topic_count; i++)
		records += p->topics[i].undecided_records;
	return records;
}

static enum step put_cluster(struct rebuild *r);

static enum step files_read(struct rebuild *r)
{
	const struct rebuild_config *c = r->config;

	r->report->foreign_count = r->files.foreign_count;
	if (r->files.task.err)
		return fail(r, r->files.task.err, "%s: %s", c->bucket->url, reason(&r->files.task));
	progress(r, "putting %lld data files in order", (long long)r->files.listed_count);
	enum err err = plan_place(r->plan, c->undecided, (int64_t)c->now_ms);
	if (!err)
		err = plan_report(r->arena, r->plan, &r->report->plan);
	if (err == ERR_TOO_BIG)
		return fail(r, err, "a partition has more than %d batches",
			    PLAN_PARTITION_BATCHES_MAX);
	if (err)
		return fail(r, err,
			    "the scratch database cannot be written: is there room in the "
			    "directory for temporary files?");
	if (r->report->plan.next_incarnation > REBUILD_INCARNATION_MAX)
		return fail(
			r, ERR_INVALID,
			"%s has a data file whose name begins with %016" PRIx64
			", which is higher than any that is ever given.  Move it to another place.",
			c->bucket->url,
			(uint64_t)(r->report->plan.next_incarnation - INCARNATION_SKIP));
	if (c->is_dry)
		return end(r);
	int64_t undecided = undecided_records(&r->report->plan);
	if (undecided > 0 && c->undecided == PLAN_UNDECIDED_UNSAID)
		return fail(r, ERR_INVALID,
			    "of %lld records of transactions nobody knows whether they were "
			    "committed: say --undecided commit or --undecided abort",
			    (long long)undecided);
	r->at = 0;
	return put_cluster(r);
}

/* --- the journal -------------------------------------------------------------------------------
 */

static void on_leading(void *context)
{
	struct rebuild *r = context;

	task_wake(&r->task);
}

static void on_lost(void *context, const char *why, const char *holder)
{
	struct rebuild *r = context;

	(void)holder;
	r->is_lost = true;
	snprintf(r->lost_why, sizeof(r->lost_why), "%s", why);
	if (task_is_running(&r->task))
		task_wake(&r->task);
}

static void on_committed(void *context, uint64_t index, struct slice record)
{
	struct rebuild *r = context;

	(void)record;
	r->report->index = index;
}

static const struct leader_watcher watcher = {
	.on_leading = on_leading,
	.on_lost = on_lost,
	.on_committed = on_committed,
};

static enum step campaign(struct rebuild *r)
{
	if (!r->leader)
		r->leader = leader_new(r->loop, &(struct leader_config) {
							.buckets = r->config->journals,
							.bucket_count = r->config->journal_count,
							.journal = CONTROL_JOURNAL,
							.node = REBUILD_NODE,
							.address = "",
							.cell_name = CONTROL_CELL,
							.schema = catalog_schema,
							.schema_count = catalog_schema_count,
							.watcher = &watcher,
							.context = r,
						});
	progress(r, "beginning the journal");
	r->is_lost = false;
	leader_campaign(r->leader);
	return task_wait(&r->task, REBUILD_CAMPAIGN);
}

/* What a journal bucket lacks, before there is anything else in it.  One that cannot create if
 * absent was empty a moment ago, and who rebuilds at the same time puts the same bytes. */
static enum step put_cluster(struct rebuild *r)
{
	while (r->at < r->config->journal_count && r->has_object[r->at])
		r->at++;
	if (r->at == r->config->journal_count)
		return campaign(r);
	if (journal(r)->class == BUCKET_CAS)
		bucket_put_new(&r->op, &r->task, journal(r), SLICE(CLUSTER_KEY),
			       buf_slice(&r->cluster));
	else
		bucket_put(&r->op, &r->task, journal(r), SLICE(CLUSTER_KEY),
			   buf_slice(&r->cluster));
	return task_wait(&r->task, REBUILD_PUT);
}

static enum step cluster_put(struct rebuild *r)
{
	if (r->op.task.err)
		return fail(r, r->op.task.err, "%s cannot be written: %s", journal(r)->url,
			    reason(&r->op.task));
	r->has_object[r->at] = true;
	return put_cluster(r);
}

static enum step campaigned(struct rebuild *r)
{
	struct task *t = &r->task;

	if (t->children > 0)
		return task_wait(t, REBUILD_CAMPAIGN);
	if (r->is_lost && ++r->campaigns < REBUILD_CAMPAIGNS_MAX) {
		progress(r, "not yet: %s", r->lost_why);
		sleep_start(&r->sleep, t, loop_now_ms(r->loop) + REBUILD_PAUSE_MS);
		r->is_lost = false;
		return task_wait(t, REBUILD_CAMPAIGN);
	}
	if (r->is_lost)
		return fail(r, ERR_UNAVAILABLE, "the journal cannot be begun: %s", r->lost_why);
	if (leader_state(r->leader) == LEADER_IDLE) /* after the pause */
		return campaign(r);
	if (leader_state(r->leader) != LEADER_LEADING)
		return task_wait(t, REBUILD_CAMPAIGN);
	leader_run(&r->call, t, r->leader, write_begin_run, NULL);
	return task_wait(t, REBUILD_BEGUN);
}

static enum step write_on(struct rebuild *r)
{
	leader_run(&r->call, &r->task, r->leader, write_step_run, &r->write);
	return task_wait(&r->task, REBUILD_WRITING);
}

static enum step write_failed(struct rebuild *r, enum err err)
{
	if (err == ERR_FULL)
		return fail(r, err, "the catalog would be larger than %d MiB",
			    CELL_RUN_BYTES_MAX >> 20);
	if (r->is_lost)
		return fail(r, err, "the journal was lost: %s.  Run this again.", r->lost_why);
	return fail(r, err, "the journal cannot be written: %s.  Run this again.", err_name(err));
}

static enum step begun(struct rebuild *r)
{
	enum err err = r->call.task.err;

	if (err == ERR_EXISTS)
		return fail(r, err,
			    "the journal is not empty: a rebuild has ended in it.  Start "
			    "nodes on it, or empty it.");
	if (err)
		return write_failed(r, err);
	r->write = (struct write) { .plan = r->plan, .now_ms = (int64_t)r->config->now_ms };
	progress(r, "writing the catalog");
	return write_on(r);
}

static enum step writing(struct rebuild *r)
{
	enum err err = r->call.task.err;

	if (r->task.children > 0)
		return task_wait(&r->task, REBUILD_WRITING);
	if (err == ERR_BUSY) /* so much is not durable yet */
		return write_on(r);
	if (err)
		return write_failed(r, err);
	if (write_advance(&r->write))
		return write_on(r);
	r->report->is_written = true;
	leader_stop(&r->leader_stop, &r->task, r->leader);
	return task_wait(&r->task, REBUILD_STOPPED);
}

/* --- the task ----------------------------------------------------------------------------------
 */

static enum step rebuild_step(struct task *t)
{
	struct rebuild *r = CONTAINER(t, struct rebuild, task);

	switch (t->at) {
	case REBUILD_OPEN:
		bucket_get(&r->op, t, sealed_inner(r->config->bucket), SLICE(CLUSTER_KEY), 0,
			   CLUSTER_OBJECT_BYTES_MAX);
		return task_wait(t, REBUILD_CLUSTER);
	case REBUILD_CLUSTER:
		return cluster_read(r);
	case REBUILD_OBJECT:
		return object_read(r);
	case REBUILD_EMPTY:
		return empty_read(r);
	case REBUILD_FOUND:
		return found(r);
	case REBUILD_REST:
		return rest_read(r);
	case REBUILD_TIP:
		return tip_known(r);
	case REBUILD_READ:
		return journal_read(r);
	case REBUILD_FILES:
		return files_read(r);
	case REBUILD_PUT:
		return cluster_put(r);
	case REBUILD_CAMPAIGN:
		return campaigned(r);
	case REBUILD_BEGUN:
		return t->children > 0 ? task_wait(t, REBUILD_BEGUN) : begun(r);
	case REBUILD_WRITING:
		return writing(r);
	case REBUILD_STOPPED:
	case REBUILD_END:
		return end(r);
	}
	abort();
}

static const char *const rebuild_places[] = { "open",	  "cluster", "object",	"empty",   "found",
					      "rest",	  "tip",     "read",	"files",   "put",
					      "campaign", "begun",   "writing", "stopped", "end" };
static const struct task_kind rebuild_kind = {
	.name = "rebuild",
	.places = rebuild_places,
	.place_count = sizeof(rebuild_places) / sizeof(rebuild_places[0]),
	.step = rebuild_step,
};

enum err rebuild_run(struct arena *a, const struct rebuild_config *config,
		     struct rebuild_report *ret, char why[REBUILD_WHY_BYTES])
{
	struct rebuild *r = NEW(struct rebuild);

	*ret = (struct rebuild_report) { 0 };
	r->config = config;
	r->arena = a;
	r->report = ret;
	snprintf(r->prefix, sizeof(r->prefix), "v1/j/%s/", CONTROL_JOURNAL);
	r->plan = plan_new();
	if (!r->plan) {
		snprintf(why, REBUILD_WHY_BYTES, "there is no room for the scratch database");
		memory_free(r);
		return ERR_IO;
	}
	buf_init(&r->cluster);
	arena_init(&r->page);
	r->loop = loop_new(0);
	task_start_root(&r->task, &rebuild_kind, r->loop);
	loop_run(r->loop);
	enum err err = r->task.err;
	snprintf(why, REBUILD_WHY_BYTES, "%s", r->why);
	loop_free(r->loop);
	plan_free(r->plan);
	buf_done(&r->cluster);
	arena_done(&r->page);
	memory_free(r);
	return err;
}
