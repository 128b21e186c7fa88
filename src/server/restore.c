#include "server/restore.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "buckets/sealed.h"
#include "cells/cluster.h"
#include "cells/holder.h"
#include "cells/standby.h"
#include "server/control_role.h"
#include "server/heartbeat.h"
#include "server/peer_identity.h"
#include "server/restore_files.h"
#include "server/restore_tip.h"
#include "streams/catalog/catalog.h"
#include "wire/streams/data_file.h"

struct restore {
	struct task task;
	struct loop *loop;
	const struct restore_config *config;
	struct arena *arena;
	struct restore_report *report;
	char why[RESTORE_WHY_BYTES];
	enum err err;

	struct peer_identity identity;
	struct cluster_open cluster;
	struct bucket_op op;
	struct holder_find find;
	struct heartbeat heartbeat;
	struct sleep sleep;
	bool is_answered; /* a leader told how far it is */
	uint64_t told_index;
	int looks;

	struct leader *leader;
	struct leader_stop leader_stop;
	bool is_lost;
	char lost_why[TASK_WHY_BYTES];
	int campaigns;
	struct leader_status led; /* the term that was won */

	struct restore_tip tip;
	struct standby *standby;
	struct standby_stop standby_stop;
	struct cell *cell;
	struct restore_files files;
	struct restore_files first; /* of two looks */
	struct survey first_survey;
};

enum {
	RESTORE_OPEN,
	RESTORE_OPENED,
	RESTORE_DATA,
	RESTORE_FIND,
	RESTORE_FOUND,
	RESTORE_ANSWER,
	RESTORE_CAMPAIGN,
	RESTORE_RESIGNED,
	RESTORE_TIP,
	RESTORE_READ,
	RESTORE_FILES,
	RESTORE_AGAIN,
	RESTORE_END,
};

static void progress(struct restore *r, const char *format, ...) PRINTF_LIKE(2, 3);
static void progress(struct restore *r, const char *format, ...)
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
static enum step end(struct restore *r)
{
	struct task *t = &r->task;

	if (t->children > 0)
		return task_wait(t, RESTORE_END);
	if (r->leader) {
		if (!r->leader_stop.leader) {
			leader_stop(&r->leader_stop, t, r->leader);
			return task_wait(t, RESTORE_END);
		}
		leader_free(r->leader);
		r->leader = NULL;
	}
	if (r->standby) {
		if (!r->standby_stop.standby) {
			standby_stop(&r->standby_stop, t, r->standby);
			return task_wait(t, RESTORE_END);
		}
		standby_free(r->standby);
		r->standby = NULL;
	}
	loop_stop(r->loop);
	return task_done(t, r->err);
}

static enum step fail(struct restore *r, enum err err, const char *format, ...) PRINTF_LIKE(3, 4);
static enum step fail(struct restore *r, enum err err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->why, sizeof(r->why), format, args);
	va_end(args);
	r->err = err;
	return end(r);
}

/* --- whose buckets they are --------------------------------------------------------------------
 */

static enum step find(struct restore *r)
{
	holder_find(&r->find, &r->task, r->config->journals, r->config->journal_count,
		    CONTROL_JOURNAL);
	return task_wait(&r->task, RESTORE_FOUND);
}

static enum step opened(struct restore *r)
{
	const struct task *task = &r->cluster.task;
	char id[23];

	if (task->err)
		return fail(r, task->err, "%s", task->why[0] ? task->why : err_name(task->err));
	memcpy(r->report->cluster_id.bytes, r->cluster.cluster.id,
	       sizeof(r->report->cluster_id.bytes));
	r->report->created_ms = r->cluster.cluster.created_ms;
	r->report->is_sealed = r->cluster.cluster.is_sealed;
	uuid_text(id, r->cluster.cluster.id);
	progress(r, "found cluster %s", id);
	bucket_get(&r->op, &r->task, sealed_inner(r->config->bucket), SLICE(CLUSTER_KEY), 0,
		   CLUSTER_OBJECT_BYTES_MAX);
	return task_wait(&r->task, RESTORE_DATA);
}

/* The bucket of the records says whose it is, too. */
static enum step data_read(struct restore *r)
{
	const char *url = r->config->bucket->url;
	struct cluster found;
	char why[TASK_WHY_BYTES] = "";
	enum err err = r->op.task.err;

	if (err == ERR_NOT_FOUND)
		return fail(r, ERR_INVALID,
			    "%s is no bucket of this cluster: it has no %s.  "
			    "Is --bucket the right one?",
			    url, CLUSTER_KEY);
	if (err)
		return fail(r, err, "%s cannot be read: %s", url,
			    r->op.task.why[0] ? r->op.task.why : err_name(err));
	err = cluster_decode(blob_slice(r->op.ret_body), &found, why);
	blob_unref(&r->op.ret_body);
	if (err)
		return fail(r, err, "%s: %s", url, why);
	err = cluster_check(&found, r->config->keys, url, why);
	if (err)
		return fail(r, err, "%s", why);
	if (memcmp(found.id, r->cluster.cluster.id, sizeof(found.id)) != 0)
		return fail(r, ERR_INVALID,
			    "%s belongs to another cluster than the journal.  "
			    "Is --bucket the right one?",
			    url);
	return find(r);
}

/* --- who leads ---------------------------------------------------------------------------------
 */

static enum step campaign(struct restore *r);
static enum step read_alone(struct restore *r);

static enum step go_on(struct restore *r)
{
	return r->config->is_dry ? read_alone(r) : campaign(r);
}

static void on_answer(void *context, uint64_t committed)
{
	struct restore *r = context;

	r->is_answered = true;
	r->told_index = committed;
	task_wake(&r->task);
}

static enum step found(struct restore *r)
{
	struct address address;

	if (r->find.task.err)
		return fail(r, r->find.task.err, "the journal cannot be read: %s",
			    err_name(r->find.task.err));
	if (r->find.address[0] == '\0' || (r->config->takes_over && !r->config->is_dry) ||
	    text_host_port(r->find.address, address.host, sizeof(address.host), &address.port))
		return go_on(r);
	progress(r, "%s led last, on %s: does it answer?", r->find.node, r->find.address);
	r->is_answered = false;
	heartbeat_start(&r->heartbeat, &r->task, address.host, address.port, r->identity.asks,
			"restore", r->find.epoch);
	r->heartbeat.on_committed = on_answer;
	r->heartbeat.context = r;
	task_set_deadline(&r->heartbeat.task, loop_now_ms(r->loop) + RESTORE_ANSWER_MS);
	return task_wait(&r->task, RESTORE_ANSWER);
}

static enum step read_from(struct restore *r, struct epoch epoch, uint64_t index);

static enum step answered(struct restore *r)
{
	struct task *heartbeat = &r->heartbeat.task;

	if (task_is_running(heartbeat)) {
		if (r->is_answered)
			task_cancel(heartbeat);
		return task_wait(&r->task, RESTORE_ANSWER);
	}
	if (!r->is_answered && heartbeat->err == ERR_CONFLICT && ++r->looks < RESTORE_LOOKS_MAX) {
		sleep_start(&r->sleep, &r->task, loop_now_ms(r->loop) + RESTORE_PAUSE_MS);
		return task_wait(&r->task, RESTORE_FIND);
	}
	if (r->is_answered && r->config->is_dry) {
		r->report->is_led = true;
		return read_from(r, r->find.epoch, r->told_index);
	}
	if (r->is_answered)
		return fail(r, ERR_BUSY,
			    "%s still leads this cluster, on %s: nothing is lost.  Stop that node "
			    "first, look with --dry-run, or take the journal from it with "
			    "--take-over.",
			    r->find.node, r->find.address);
	if (heartbeat->err == ERR_CONFLICT && !r->config->is_dry)
		return fail(r, ERR_BUSY,
			    "somebody answers on %s, where this cluster was led last, and does not "
			    "lead it.  Stop that node first, or say --take-over.",
			    r->find.address);
	return go_on(r);
}

/* --- taking the journal over -------------------------------------------------------------------
 */

static void on_leading(void *context)
{
	struct restore *r = context;

	leader_get_status(r->leader, &r->led);
	task_wake(&r->task);
}

static void on_lost(void *context, const char *why, const char *holder)
{
	struct restore *r = context;

	(void)holder;
	r->is_lost = true;
	snprintf(r->lost_why, sizeof(r->lost_why), "%s", why);
	if (task_is_running(&r->task))
		task_wake(&r->task);
}

static void on_committed(void *context, uint64_t index, struct slice record)
{
	struct restore *r = context;

	(void)index;
	(void)record;
	leader_get_status(r->leader, &r->led);
}

static const struct leader_watcher watcher = {
	.on_leading = on_leading,
	.on_lost = on_lost,
	.on_committed = on_committed,
};

/* Nobody is to ask us whether we still lead: the address is empty, as if nobody ever had. */
static enum step campaign(struct restore *r)
{
	const struct restore_config *c = r->config;

	if (!r->leader)
		r->leader = leader_new(r->loop, &(struct leader_config) {
							.buckets = c->journals,
							.bucket_count = c->journal_count,
							.journal = CONTROL_JOURNAL,
							.node = c->host,
							.address = "",
							.cell_name = CONTROL_CELL,
							.schema = catalog_schema,
							.schema_count = catalog_schema_count,
							.watcher = &watcher,
							.context = r,
						});
	progress(r, "taking the journal over");
	r->is_lost = false;
	leader_campaign(r->leader);
	return task_wait(&r->task, RESTORE_CAMPAIGN);
}

static enum step campaigned(struct restore *r)
{
	struct task *t = &r->task;

	if (t->children > 0)
		return task_wait(t, RESTORE_CAMPAIGN);
	if (r->is_lost && ++r->campaigns < RESTORE_CAMPAIGNS_MAX) {
		progress(r, "not yet: %s", r->lost_why);
		sleep_start(&r->sleep, t, loop_now_ms(r->loop) + RESTORE_PAUSE_MS);
		r->is_lost = false;
		return task_wait(t, RESTORE_CAMPAIGN);
	}
	if (r->is_lost)
		return fail(r, ERR_UNAVAILABLE, "the journal cannot be taken over: %s",
			    r->lost_why);
	if (leader_state(r->leader) == LEADER_IDLE) /* after the pause */
		return campaign(r);
	if (leader_state(r->leader) != LEADER_LEADING)
		return task_wait(t, RESTORE_CAMPAIGN);
	leader_stop(&r->leader_stop, t, r->leader);
	return task_wait(t, RESTORE_RESIGNED);
}

static enum step resigned(struct restore *r)
{
	if (r->task.children > 0)
		return task_wait(&r->task, RESTORE_RESIGNED);
	leader_free(r->leader);
	r->leader = NULL;
	return read_from(r, r->led.epoch, r->led.committed_index);
}

/* --- reading it back ---------------------------------------------------------------------------
 */

static enum step read_alone(struct restore *r)
{
	if (r->find.epoch.counter == 0 && r->find.epoch.nonce == 0)
		return fail(r, ERR_NOT_FOUND, "the journal has no records: nobody ever led it");
	restore_tip(&r->tip, &r->task, r->config->journals, r->config->journal_count,
		    CONTROL_JOURNAL, r->find.epoch);
	return task_wait(&r->task, RESTORE_TIP);
}

static enum step tip_known(struct restore *r)
{
	if (r->tip.task.err)
		return fail(r, r->tip.task.err, "the journal cannot be read: %s", r->tip.task.why);
	return read_from(r, r->find.epoch, r->tip.index);
}

static enum step poll(struct restore *r)
{
	sleep_start(&r->sleep, &r->task, loop_now_ms(r->loop) + RESTORE_POLL_MS);
	return task_wait(&r->task, RESTORE_READ);
}

static enum step read_from(struct restore *r, struct epoch epoch, uint64_t index)
{
	const struct restore_config *c = r->config;

	r->report->epoch = epoch;
	r->report->index = index;
	progress(r, "reading the catalog up to record %llu", (unsigned long long)index);
	r->standby = standby_new(r->loop, &(struct standby_config) {
						  .buckets = c->journals,
						  .bucket_count = c->journal_count,
						  .journal = CONTROL_JOURNAL,
						  .cell_name = CONTROL_CELL,
					  });
	standby_aim(r->standby, epoch, index);
	return poll(r);
}

static enum restore_depth depth_of(const struct restore_config *c)
{
	if (c->is_deep)
		return RESTORE_WHOLE;
	return c->is_check ? RESTORE_FOOTERS : RESTORE_SIZES;
}

static enum step survey(struct restore *r)
{
	struct restore_report *report = r->report;
	struct leader_warm warm;

	standby_take(r->standby, &warm);
	r->cell = warm.cell;
	if (!r->cell)
		return fail(r, ERR_NOT_FOUND, "the journal has no records: nobody ever wrote");
	if (r->led.epoch.counter && !hash128_equal(cell_hash(r->cell), r->led.content_hash))
		return fail(r, ERR_CORRUPT,
			    "the journal does not read back as it was taken over: "
			    "its buckets give different bytes each time");
	report->last_change_ms = cell_state(r->cell).now_ms;
	enum err err = survey_take(r->arena, r->cell, &report->survey);
	if (err == ERR_UNSUPPORTED)
		return fail(r, err, "a newer program wrote this catalog: use that one");
	if (err)
		return fail(r, err, "there is no catalog in the journal yet: nobody ever wrote");
	if (r->config->is_check && check_catalog(r->arena, r->cell, &report->flaws))
		return fail(r, ERR_CORRUPT, "the catalog cannot be read");
	progress(r, "the catalog has %zu topics and %zu data files", report->survey.topic_count,
		 report->survey.file_count);
	restore_files(&r->files, &r->task, r->arena, r->config->bucket, r->cell, &report->survey,
		      report->cluster_id, depth_of(r->config),
		      report->is_looked_twice ? &r->first : NULL, r->config->on_progress,
		      r->config->context);
	return task_wait(&r->task, RESTORE_FILES);
}

static enum step reading(struct restore *r)
{
	struct standby_status status;

	if (r->task.children > 0)
		return task_wait(&r->task, RESTORE_READ);
	standby_get_status(r->standby, &status);
	if (status.index >= r->report->index)
		return survey(r);
	if (status.load_count > RESTORE_ANEW_MAX || status.failure_count > RESTORE_ANEW_MAX)
		return fail(r, ERR_CORRUPT, "the journal cannot be read: %s", status.why);
	return poll(r);
}

/* --- what is missing ---------------------------------------------------------------------------
 */

static int compare_losses(const void *left, const void *right)
{
	const struct restore_loss *a = left, *b = right;
	int order = slice_compare(a->topic, b->topic);

	if (order == 0)
		order = (a->partition > b->partition) - (a->partition < b->partition);
	return order ? order
		     : (a->first_offset > b->first_offset) - (a->first_offset < b->first_offset);
}

static const char *describe(struct arena *a, const struct restore_file *file)
{
	switch (file->state) {
	case RESTORE_FILE_GONE:
		return "is not in the bucket";
	case RESTORE_FILE_SIZE:
		return arena_format(a, "has %llu bytes instead of %lld",
				    (unsigned long long)file->size, (long long)file->of->size);
	case RESTORE_FILE_DAMAGED:
		return "is damaged";
	case RESTORE_FILE_UNREADABLE:
		return arena_format(a, "cannot be read: %s", err_name(file->err));
	case RESTORE_FILE_UNSEEN:
	case RESTORE_FILE_LISTED:
	case RESTORE_FILE_GOOD:
		break;
	}
	abort();
}

static void add_loss(struct buf *losses, const struct restore_loss *loss)
{
	buf_add(losses, loss, sizeof(*loss));
}

static enum err add_file(struct restore *r, const struct restore_file *file, struct buf *losses)
{
	char key[DATA_FILE_KEY_BYTES + 1];
	struct survey_run *runs;
	size_t count;

	enum err err = survey_runs(r->arena, r->cell, file->of->row, &runs, &count);
	if (err)
		return err;
	data_file_key(key, (uint64_t)file->of->incarnation, (uint64_t)file->of->sequence);
	const char *kept = arena_format(r->arena, "%s", key);
	const char *what = describe(r->arena, file);
	for (size_t i = 0; i < count; i++)
		add_loss(losses, &(struct restore_loss) {
					 .topic = runs[i].topic,
					 .partition = runs[i].partition,
					 .first_offset = runs[i].base_offset,
					 .last_offset = runs[i].last_offset,
					 .key = kept,
					 .what = what,
				 });
	r->report->bad_count += count > 0; /* else only deleted topics are in it */
	return OK;
}

static enum err gather_losses(struct restore *r)
{
	struct restore_report *report = r->report;
	const struct survey *s = &report->survey;
	struct buf losses;
	enum err err = OK;

	buf_init(&losses);
	for (size_t i = 0; i < s->gap_count; i++)
		add_loss(&losses, &(struct restore_loss) {
					  .topic = s->gaps[i].topic,
					  .partition = s->gaps[i].partition,
					  .first_offset = s->gaps[i].first_offset,
					  .last_offset = s->gaps[i].last_offset,
					  .what = "the catalog names no data file for it",
				  });
	for (size_t i = 0; i < s->file_count && !err; i++)
		if (r->files.files[i].state != RESTORE_FILE_GOOD)
			err = add_file(r, &r->files.files[i], &losses);
	report->loss_count = losses.size / sizeof(struct restore_loss);
	report->losses =
		arena_take_array(r->arena, report->loss_count + 1, sizeof(struct restore_loss));
	if (losses.size)
		memcpy(report->losses, losses.data, losses.size);
	buf_done(&losses);
	qsort(report->losses, report->loss_count, sizeof(struct restore_loss), compare_losses);
	for (size_t i = 0; i < report->loss_count; i++)
		report->lost_records +=
			report->losses[i].last_offset - report->losses[i].first_offset + 1;
	return err;
}

/* --- what else is there ------------------------------------------------------------------------
 */

/* What was listed, by the catalog as it was read after the list. */
static void name_strays(struct restore *r, const struct restore_files *f)
{
	struct restore_report *report = r->report;
	size_t count = f->stray_count < RESTORE_STRAYS_MAX ? f->stray_count : RESTORE_STRAYS_MAX;

	report->objects = arena_take_array(r->arena, RESTORE_OBJECTS_MAX, sizeof(*report->objects));
	report->stray_count = report->newer_count = 0;
	report->unseen_count = f->stray_count - count;
	for (size_t i = 0; i < count; i++) {
		const struct restore_stray *stray = &f->strays[i];
		enum check_object what = check_object(r->cell, stray->incarnation, stray->sequence);
		report->objects_of[what]++;
		if (stray->size == BUCKET_SIZE_UNKNOWN)
			report->bytes_of[what] = -1; /* from now on */
		else if (report->bytes_of[what] >= 0)
			report->bytes_of[what] += (int64_t)stray->size;
		report->stray_count += what != CHECK_LIVE && what != CHECK_DEAD;
		report->newer_count += what == CHECK_NEWER;
		if (what != CHECK_LIVE && report->object_count < RESTORE_OBJECTS_MAX)
			report->objects[report->object_count++] =
				(struct restore_object) { stray->incarnation, stray->sequence,
							  what };
	}
}

/* The catalog is read once more, as whoever writes it has left it by now. */
static enum step look_again(struct restore *r)
{
	struct task *t = &r->task;

	if (t->at != RESTORE_AGAIN) {
		progress(r, "looking again at what does not fit");
		r->report->is_looked_twice = true;
		r->first = r->files;
		r->first_survey = r->report->survey;
		r->first.survey = &r->first_survey;
		cell_free(r->cell);
		r->cell = NULL;
		standby_stop(&r->standby_stop, t, r->standby);
		return task_wait(t, RESTORE_AGAIN);
	}
	if (t->children > 0)
		return task_wait(t, RESTORE_AGAIN);
	standby_free(r->standby);
	r->standby = NULL;
	r->standby_stop = (struct standby_stop) { 0 };
	r->looks = 0;
	return find(r);
}

static enum step looked(struct restore *r)
{
	bool is_check = r->config->is_check, is_second = r->report->is_looked_twice;
	if (r->files.task.err)
		return fail(r, r->files.task.err, "%s cannot be listed: %s", r->config->bucket->url,
			    r->files.task.why[0] ? r->files.task.why : err_name(r->files.task.err));
	if (is_check && !is_second && (r->files.bad_count > 0 || r->files.stray_count > 0))
		return look_again(r);
	r->report->stray_count = r->files.stray_count;
	r->report->newer_count = r->files.newer_count;
	if (is_check)
		name_strays(r, is_second ? &r->first : &r->files);
	enum err err = gather_losses(r);
	if (err)
		return fail(r, err, "the catalog says something impossible");
	return end(r);
}

/* --- the task ----------------------------------------------------------------------------------
 */

static enum step restore_step(struct task *t)
{
	struct restore *r = CONTAINER(t, struct restore, task);

	switch (t->at) {
	case RESTORE_OPEN:
		cluster_open(&r->cluster, t, r->config->journals, r->config->journal_count);
		r->cluster.must_exist = true;
		r->cluster.keys = r->config->keys;
		return task_wait(t, RESTORE_OPENED);
	case RESTORE_OPENED:
		return opened(r);
	case RESTORE_DATA:
		return data_read(r);
	case RESTORE_FIND:
		return t->children > 0 ? task_wait(t, RESTORE_FIND) : find(r);
	case RESTORE_FOUND:
		return found(r);
	case RESTORE_ANSWER:
		return answered(r);
	case RESTORE_CAMPAIGN:
		return campaigned(r);
	case RESTORE_RESIGNED:
		return resigned(r);
	case RESTORE_TIP:
		return tip_known(r);
	case RESTORE_READ:
		return reading(r);
	case RESTORE_FILES:
		return looked(r);
	case RESTORE_AGAIN:
		return look_again(r);
	case RESTORE_END:
		return end(r);
	}
	abort();
}

static const char *const restore_places[] = { "open",  "opened",  "data bucket", "find",
					      "found", "answer",  "campaign",	 "resigned",
					      "tip",   "reading", "data files",	 "again",
					      "end" };
static const struct task_kind restore_kind = {
	.name = "restore",
	.places = restore_places,
	.place_count = 13,
	.step = restore_step,
};

enum err restore_run(struct arena *a, const struct restore_config *config,
		     struct restore_report *ret, char why[RESTORE_WHY_BYTES])
{
	struct restore *r = NEW(struct restore);

	*ret = (struct restore_report) { 0 };
	r->config = config;
	r->arena = a;
	r->report = ret;
	r->loop = loop_new(0);
	if (config->keys)
		peer_identity_init(&r->identity, config->keys);
	task_start_root(&r->task, &restore_kind, r->loop);
	loop_run(r->loop);
	enum err err = r->task.err;
	snprintf(why, RESTORE_WHY_BYTES, "%s", r->why);
	loop_free(r->loop);
	cell_free(r->cell);
	peer_identity_done(&r->identity);
	memory_free(r);
	return err;
}
