#include "server/rebuild_files.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "wire/kafka/records.h"
#include "wire/streams/tombstone.h"

enum { FILES_BEGIN, FILES_LISTED, FILES_READING };

enum { CONTROL_KEY_BYTES = 4, CONTROL_ABORT = 0, CONTROL_COMMIT = 1 }; /* Kafka's */

static void tell(struct rebuild_files *f, const char *format, ...) PRINTF_LIKE(2, 3);
static void tell(struct rebuild_files *f, const char *format, ...)
{
	uint64_t now_ms = loop_now_ms(f->task.loop);
	char text[128];
	va_list args;

	if (!f->on_progress || now_ms < f->told_ms + REBUILD_PROGRESS_MS)
		return;
	f->told_ms = now_ms;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	f->on_progress(f->context, text);
}

static void give_up(struct rebuild_files *f, enum err err, const char *key, const char *why)
{
	if (f->err)
		return;
	f->err = err;
	snprintf(f->why, sizeof(f->why), "%s cannot be read: %.60s", key,
		 why[0] ? why : err_name(err));
}

static void no_scratch(struct rebuild_files *f, enum err err)
{
	if (err && !f->err) {
		f->err = err;
		snprintf(f->why, sizeof(f->why), "there is no room for the scratch database");
	}
}

/* --- what a file says, on a worker -------------------------------------------------------------
 */

static enum place_control control_of(struct arena *a, const struct record_batch *batch)
{
	struct records records;
	struct record record;

	if (records_init(a, batch, &records) || records_next(&records, &record) ||
	    record.key.size < CONTROL_KEY_BYTES)
		return PLACE_RECORDS;
	uint16_t type = get_u16(record.key.data + 2);
	return type == CONTROL_COMMIT  ? PLACE_COMMIT
	       : type == CONTROL_ABORT ? PLACE_ABORT
				       : PLACE_RECORDS;
}

/* Is this batch what its entry says?  And if it ends a transaction: how? */
static void check_batch(struct rebuild_slot *slot, struct slice file, size_t i)
{
	const struct data_file_entry *e = &slot->footer.entries[i];
	struct slice bytes = slice_part(file, e->offset, e->size);
	struct record_batch batch;

	slot->is_damaged[i] = true;
	if (record_batch_next(&bytes, &batch) || bytes.size > 0 || batch.crc != e->crc ||
	    !record_batch_crc_matches(&batch) ||
	    (slot->is_final && batch.base_offset != e->base_offset))
		return;
	slot->is_damaged[i] = false;
	if (!(e->attributes & RECORD_BATCH_CONTROL))
		return;
	slot->controls[i] = (uint8_t)control_of(&slot->arena, &batch);
	slot->is_damaged[i] = slot->controls[i] == PLACE_RECORDS;
}

/* One that is damaged says nothing: the footer and the batches have checksums of their own. */
static void take_header(struct rebuild_slot *slot, struct slice file)
{
	struct data_file_header header;

	if (data_file_decode_header(file, &header))
		return;
	slot->created_ms = header.created_ms;
	slot->is_another = memcmp(header.cluster_id, slot->files->cluster_id.bytes,
				  sizeof(header.cluster_id)) != 0 ||
			   header.incarnation != (uint64_t)slot->file.incarnation ||
			   header.sequence != (uint64_t)slot->file.sequence;
}

static enum err whole_work(struct worker_job *job)
{
	struct rebuild_slot *slot = CONTAINER(job, struct rebuild_slot, job);
	struct slice file = blob_slice(slot->op.ret_body);

	take_header(slot, file);
	for (size_t i = 0; i < slot->footer.entry_count; i++)
		check_batch(slot, file, i);
	return OK;
}

static enum err decode_footer(struct rebuild_slot *slot)
{
	enum err err = data_file_decode_footer(&slot->arena, slot->footer_bytes, slot->size,
					       &slot->footer);

	slot->has_controls = false;
	for (size_t i = 0; i < slot->footer.entry_count && !err; i++)
		slot->has_controls |=
			(slot->footer.entries[i].attributes & RECORD_BATCH_CONTROL) != 0;
	return err;
}

/* What was read is the end of the file. */
static enum err footer_work(struct worker_job *job)
{
	struct rebuild_slot *slot = CONTAINER(job, struct rebuild_slot, job);
	struct slice end = blob_slice(slot->op.ret_body);
	struct data_file_trailer trailer;
	bool is_second = slot->needs_more;

	struct tombstone tombstone;

	slot->needs_more = false;
	slot->is_tombstone = slot->from == 0 && tombstone_decode(end, &tombstone) == OK;
	if (slot->is_tombstone)
		return OK;
	if (end.size < DATA_FILE_TRAILER_BYTES)
		return ERR_CORRUPT;
	enum err err = data_file_decode_trailer(slice_part(end, end.size - DATA_FILE_TRAILER_BYTES,
							   DATA_FILE_TRAILER_BYTES),
						slot->size, &trailer);
	if (err)
		return err;
	if (trailer.footer_offset < slot->from) {
		slot->from = trailer.footer_offset;
		slot->needs_more = !is_second;
		return is_second ? ERR_CORRUPT : OK;
	}
	if (slot->from == 0)
		take_header(slot, end);
	slot->is_final = trailer.flags & DATA_FILE_FINAL_OFFSETS;
	slot->footer_bytes =
		arena_copy(&slot->arena,
			   slice_part(end, trailer.footer_offset - slot->from, end.size));
	return decode_footer(slot);
}

/* --- one file ----------------------------------------------------------------------------------
 */

static void ask(struct rebuild_files *f, struct rebuild_slot *slot)
{
	struct slice key = slice_from(slot->key);

	blob_unref(&slot->op.ret_body);
	switch (slot->part) {
	case REBUILD_SIZE:
		bucket_head(&slot->op, &f->task, f->bucket, key);
		break;
	case REBUILD_TAIL:
		bucket_get(&slot->op, &f->task, f->bucket, key, slot->from, DATA_FILE_BYTES_MAX);
		break;
	case REBUILD_HEADER:
		bucket_get(&slot->op, &f->task, f->bucket, key, 0, DATA_FILE_HEADER_BYTES);
		break;
	case REBUILD_BODY:
		bucket_get(&slot->op, &f->task, f->bucket, key, 0, DATA_FILE_BYTES_MAX);
		break;
	}
	task_set_deadline(&slot->op.task, loop_now_ms(f->task.loop) + REBUILD_IO_MS);
}

static void ask_part(struct rebuild_files *f, struct rebuild_slot *slot, enum rebuild_part part)
{
	slot->part = part;
	slot->tries = 0;
	ask(f, slot);
}

static void ask_end(struct rebuild_files *f, struct rebuild_slot *slot)
{
	slot->from = slot->size > REBUILD_END_BYTES ? slot->size - REBUILD_END_BYTES : 0;
	ask_part(f, slot, REBUILD_TAIL);
}

static void begin_file(struct rebuild_files *f, struct rebuild_slot *slot)
{
	slot->footer_bytes = (struct slice) { 0 };
	slot->is_waiting = slot->needs_more = slot->is_another = slot->is_tombstone = false;
	slot->created_ms = 0;
	slot->size = slot->file.size < 0 ? 0 : (uint64_t)slot->file.size;
	data_file_key(slot->key, (uint64_t)slot->file.incarnation, (uint64_t)slot->file.sequence);
	if (slot->file.size >= 0)
		ask_end(f, slot);
	else
		ask_part(f, slot, REBUILD_SIZE);
}

static void end_file(struct rebuild_files *f, struct rebuild_slot *slot)
{
	blob_unref(&slot->op.ret_body);
	arena_reset(&slot->arena);
	f->whole_count -= slot->part == REBUILD_BODY;
	slot->file.row = 0;
	f->done_count++;
}

static void leave_out(struct rebuild_files *f, struct rebuild_slot *slot, const char *why)
{
	no_scratch(f, plan_cannot_read(f->plan, &slot->file, why));
	end_file(f, slot);
}

static void keep(struct rebuild_files *f, struct rebuild_slot *slot)
{
	bool is_whole = slot->part == REBUILD_BODY;

	no_scratch(f, plan_read(f->plan, &slot->file,
				&(struct plan_content) {
					.footer = &slot->footer,
					.is_final = slot->is_final,
					.size = (int64_t)slot->size,
					.created_ms = slot->created_ms,
					.is_damaged = is_whole ? slot->is_damaged : NULL,
					.controls = is_whole ? slot->controls : NULL,
				}));
	end_file(f, slot);
}

/* Its footer is known, and nothing else of it can be believed. */
static void keep_damaged(struct rebuild_files *f, struct rebuild_slot *slot)
{
	memset(slot->is_damaged, true, slot->footer.entry_count);
	keep(f, slot);
}

static void keep_own(struct rebuild_files *f, struct rebuild_slot *slot)
{
	if (slot->is_another)
		leave_out(f, slot, "is another object than its name says");
	else
		keep(f, slot);
}

/* How much of what was asked for has to be there. */
static uint64_t part_size(const struct rebuild_slot *slot)
{
	switch (slot->part) {
	case REBUILD_SIZE:
		return 0;
	case REBUILD_TAIL:
		return slot->size - slot->from;
	case REBUILD_HEADER:
		return DATA_FILE_HEADER_BYTES;
	case REBUILD_BODY:
		return slot->size;
	}
	abort();
}

/* Damage, and an object that is gone, stay what they are; everything else may be a whim. */
static bool may_pass(const struct rebuild_slot *slot)
{
	const struct bucket_op *op = &slot->op;

	if (op->task.err)
		return op->task.err != ERR_NOT_FOUND && op->task.err != ERR_CORRUPT;
	return slot->part != REBUILD_SIZE && op->ret_size == slot->size &&
	       op->ret_body->size != part_size(slot);
}

static void take_bytes(struct rebuild_files *f, struct rebuild_slot *slot)
{
	switch (slot->part) {
	case REBUILD_SIZE:
		slot->size = slot->op.ret_size;
		if (slot->size > DATA_FILE_BYTES_MAX)
			leave_out(f, slot, "is larger than a data file can be");
		else
			ask_end(f, slot);
		return;
	case REBUILD_HEADER:
		take_header(slot, blob_slice(slot->op.ret_body));
		keep_own(f, slot);
		return;
	case REBUILD_TAIL:
	case REBUILD_BODY:
		slot->is_checking = true;
		worker_start(&slot->job, &f->task,
			     slot->part == REBUILD_BODY ? whole_work : footer_work);
	}
}

/* The bucket has answered. */
static void take_answer(struct rebuild_files *f, struct rebuild_slot *slot)
{
	enum err err = slot->op.task.err;

	if (may_pass(slot)) {
		if (++slot->tries < REBUILD_TRIES_MAX)
			ask(f, slot);
		else
			give_up(f, err ? err : ERR_IO, slot->key,
				err ? slot->op.task.why : "the bucket gives less than there is");
	} else if (err == ERR_NOT_FOUND) {
		leave_out(f, slot, "is not there any more");
	} else if (err && slot->part == REBUILD_BODY) {
		keep_damaged(f, slot);
	} else if (err && slot->part == REBUILD_HEADER) {
		keep(f, slot); /* the footer is whole */
	} else if (err) {
		leave_out(f, slot, "is damaged");
	} else if (slot->part != REBUILD_SIZE && slot->op.ret_size != slot->size) {
		leave_out(f, slot, "has another size than the list says");
	} else {
		take_bytes(f, slot);
	}
}

static void take_footer(struct rebuild_files *f, struct rebuild_slot *slot)
{
	enum err err = slot->job.task.err;

	if (slot->is_tombstone)
		end_file(f, slot); /* its name was given out all the same */
	else if (err == ERR_UNSUPPORTED)
		leave_out(f, slot, "was written by a newer program");
	else if (err)
		leave_out(f, slot, "is damaged: what it holds cannot be told");
	else if (slot->needs_more)
		ask_part(f, slot, REBUILD_TAIL);
	else if (slot->is_another)
		keep_own(f, slot);
	else if (f->is_deep || slot->has_controls)
		slot->is_waiting = true;
	else if (slot->from > 0)
		ask_part(f, slot, REBUILD_HEADER);
	else
		keep_own(f, slot);
}

static void take_checked(struct rebuild_files *f, struct rebuild_slot *slot)
{
	slot->is_checking = false;
	if (slot->part == REBUILD_BODY)
		keep_own(f, slot);
	else
		take_footer(f, slot);
}

static void ask_whole(struct rebuild_files *f, struct rebuild_slot *slot)
{
	slot->is_waiting = false;
	slot->is_damaged = arena_take_array(&slot->arena, slot->footer.entry_count, 1);
	slot->controls = arena_take_array(&slot->arena, slot->footer.entry_count, 1);
	f->whole_count++;
	ask_part(f, slot, REBUILD_BODY);
}

static void advance(struct rebuild_files *f, struct rebuild_slot *slot)
{
	if (slot->is_waiting)
		return;
	if (slot->is_checking && !task_is_running(&slot->job.task))
		take_checked(f, slot);
	else if (slot->file.row && !slot->is_checking && !task_is_running(&slot->op.task))
		take_answer(f, slot);
	if (slot->file.row || f->err || !plan_next_file(f->plan, f->last_row, &slot->file))
		return;
	f->last_row = slot->file.row;
	begin_file(f, slot);
}

/* Whole files may be large, so that few of them are in memory at a time. */
static void advance_waiting(struct rebuild_files *f)
{
	for (size_t i = 0; i < REBUILD_FILES_MAX && !f->err; i++)
		if (f->slots[i].is_waiting && f->whole_count < REBUILD_WHOLE_MAX)
			ask_whole(f, &f->slots[i]);
}

/* --- what is there -----------------------------------------------------------------------------
 */

static enum step list(struct rebuild_files *f)
{
	arena_reset(&f->page);
	bucket_list(&f->list, &f->task, f->bucket, &f->page, SLICE("v1/d/"), slice_from(f->after));
	task_set_deadline(&f->list.task, loop_now_ms(f->task.loop) + REBUILD_IO_MS);
	return task_wait(&f->task, FILES_LISTED);
}

static void take_name(struct rebuild_files *f, struct slice key, uint64_t size)
{
	uint64_t incarnation, sequence;

	if (data_file_key_parse(key, &incarnation, &sequence))
		return;
	if (incarnation == 0 || incarnation > PLAN_OFFSET_MAX || sequence > PLAN_OFFSET_MAX) {
		f->foreign_count++;
		return;
	}
	f->listed_count++;
	no_scratch(f, plan_list(f->plan, (int64_t)incarnation, (int64_t)sequence,
				size == BUCKET_SIZE_UNKNOWN || size > DATA_FILE_BYTES_MAX
					? -1
					: (int64_t)size));
}

/* --- the task ----------------------------------------------------------------------------------
 */

static enum step finish(struct rebuild_files *f)
{
	for (size_t i = 0; i < REBUILD_FILES_MAX; i++) {
		blob_unref(&f->slots[i].op.ret_body);
		arena_done(&f->slots[i].arena);
	}
	arena_done(&f->page);
	return f->err ? task_fail(&f->task, f->err, "%s", f->why) : task_done(&f->task, OK);
}

static enum step read_files(struct rebuild_files *f)
{
	for (size_t i = 0; i < REBUILD_FILES_MAX; i++)
		advance(f, &f->slots[i]);
	advance_waiting(f);
	tell(f, "read %" PRId64 " of %" PRId64 " data files", f->done_count, f->listed_count);
	return f->task.children > 0 ? task_wait(&f->task, FILES_READING) : finish(f);
}

static enum step listed(struct rebuild_files *f)
{
	const struct bucket_op *op = &f->list;

	if (op->task.err) {
		f->err = op->task.err;
		snprintf(f->why, sizeof(f->why), "it cannot be listed: %.80s",
			 op->task.why[0] ? op->task.why : err_name(op->task.err));
		return finish(f);
	}
	for (size_t i = 0; i < op->ret_count; i++)
		take_name(f, op->ret_names[i],
			  op->ret_sizes ? op->ret_sizes[i] : BUCKET_SIZE_UNKNOWN);
	tell(f, "listed %" PRId64 " data files", f->listed_count);
	if (!op->ret_more || op->ret_count == 0)
		return read_files(f);
	snprintf(f->after, sizeof(f->after), "%.*s", SLICE_ARG(op->ret_names[op->ret_count - 1]));
	return list(f);
}

static enum step files_step(struct task *t)
{
	struct rebuild_files *f = CONTAINER(t, struct rebuild_files, task);

	switch (t->at) {
	case FILES_BEGIN:
		return list(f);
	case FILES_LISTED:
		return listed(f);
	case FILES_READING:
		return read_files(f);
	}
	abort();
}

static const char *const files_places[] = { "begin", "list", "files" };
static const struct task_kind files_kind = {
	.name = "rebuild_files",
	.places = files_places,
	.place_count = 3,
	.step = files_step,
};

void rebuild_files(struct rebuild_files *f, struct task *parent, struct bucket *bucket,
		   struct plan *plan, struct uuid cluster_id, bool is_deep,
		   void (*on_progress)(void *context, const char *text), void *context)
{
	*f = (struct rebuild_files) {
		.bucket = bucket,
		.plan = plan,
		.cluster_id = cluster_id,
		.is_deep = is_deep,
		.on_progress = on_progress,
		.context = context,
		.told_ms = loop_now_ms(parent->loop),
	};
	arena_init(&f->page);
	for (size_t i = 0; i < REBUILD_FILES_MAX; i++) {
		f->slots[i].files = f;
		arena_init(&f->slots[i].arena);
	}
	task_start(&f->task, &files_kind, parent);
}
