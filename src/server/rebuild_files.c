#include "server/rebuild_files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "wire/kafka/records.h"

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

static enum err whole_work(struct worker_job *job)
{
	struct rebuild_slot *slot = CONTAINER(job, struct rebuild_slot, job);
	struct slice file = blob_slice(slot->op.ret_body);
	struct data_file_header header;

	if (file.size != slot->size || data_file_decode_header(file, &header) ||
	    memcmp(header.cluster_id, slot->files->cluster_id.bytes, sizeof(header.cluster_id)) !=
		    0 ||
	    header.incarnation != (uint64_t)slot->file.incarnation ||
	    header.sequence != (uint64_t)slot->file.sequence)
		return ERR_CORRUPT;
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

/* What was read is the end of the file.  ERR_TOO_BIG: slot->from says where to begin instead. */
static enum err footer_work(struct worker_job *job)
{
	struct rebuild_slot *slot = CONTAINER(job, struct rebuild_slot, job);
	struct slice end = blob_slice(slot->op.ret_body);
	struct data_file_trailer trailer;

	if (end.size < DATA_FILE_TRAILER_BYTES || slot->from + end.size != slot->size)
		return ERR_CORRUPT;
	enum err err = data_file_decode_trailer(slice_part(end, end.size - DATA_FILE_TRAILER_BYTES,
							   DATA_FILE_TRAILER_BYTES),
						slot->size, &trailer);
	if (err)
		return err;
	if (trailer.footer_offset < slot->from) {
		slot->from = trailer.footer_offset;
		return ERR_TOO_BIG;
	}
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
	blob_unref(&slot->op.ret_body);
	if (slot->is_heading)
		bucket_head(&slot->op, &f->task, f->bucket, slice_from(slot->key));
	else
		bucket_get(&slot->op, &f->task, f->bucket, slice_from(slot->key),
			   slot->is_whole ? 0 : slot->from, DATA_FILE_BYTES_MAX);
	task_set_deadline(&slot->op.task, loop_now_ms(f->task.loop) + REBUILD_IO_MS);
}

static void ask_end(struct rebuild_files *f, struct rebuild_slot *slot)
{
	slot->is_heading = slot->is_whole = false;
	slot->from = slot->size > REBUILD_END_BYTES ? slot->size - REBUILD_END_BYTES : 0;
	ask(f, slot);
}

static void begin_file(struct rebuild_files *f, struct rebuild_slot *slot)
{
	slot->tries = 0;
	slot->size = slot->file.size < 0 ? 0 : (uint64_t)slot->file.size;
	data_file_key(slot->key, (uint64_t)slot->file.incarnation, (uint64_t)slot->file.sequence);
	if (slot->file.size >= 0) {
		ask_end(f, slot);
		return;
	}
	slot->is_heading = true;
	ask(f, slot);
}

static void end_file(struct rebuild_files *f, struct rebuild_slot *slot)
{
	blob_unref(&slot->op.ret_body);
	arena_reset(&slot->arena);
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
	no_scratch(f, plan_read(f->plan, &slot->file,
				&(struct plan_content) {
					.footer = &slot->footer,
					.is_final = slot->is_final,
					.size = (int64_t)slot->size,
					.is_damaged = slot->is_whole ? slot->is_damaged : NULL,
					.controls = slot->is_whole ? slot->controls : NULL,
				}));
	end_file(f, slot);
}

/* Its footer is known, and nothing else of it can be believed. */
static void keep_damaged(struct rebuild_files *f, struct rebuild_slot *slot)
{
	memset(slot->is_damaged, true, slot->footer.entry_count);
	keep(f, slot);
}

static void check(struct rebuild_files *f, struct rebuild_slot *slot)
{
	slot->is_checking = true;
	worker_start(&slot->job, &f->task, slot->is_whole ? whole_work : footer_work);
}

/* The bucket has answered. */
static void take_answer(struct rebuild_files *f, struct rebuild_slot *slot)
{
	enum err err = slot->op.task.err;

	if (err && err != ERR_NOT_FOUND && err != ERR_CORRUPT) {
		if (++slot->tries < REBUILD_TRIES_MAX)
			ask(f, slot);
		else
			give_up(f, err, slot->key, slot->op.task.why);
	} else if (err == ERR_NOT_FOUND) {
		leave_out(f, slot, "is not there any more");
	} else if (err && slot->is_whole) {
		keep_damaged(f, slot);
	} else if (err) {
		leave_out(f, slot, "is damaged");
	} else if (slot->is_heading) {
		slot->size = slot->op.ret_size;
		ask_end(f, slot);
	} else if (slot->op.ret_size != slot->size) {
		leave_out(f, slot, "has another size than the list says");
	} else {
		check(f, slot);
	}
}

static void ask_whole(struct rebuild_files *f, struct rebuild_slot *slot)
{
	slot->is_whole = true;
	slot->is_damaged = arena_take_array(&slot->arena, slot->footer.entry_count, 1);
	slot->controls = arena_take_array(&slot->arena, slot->footer.entry_count, 1);
	ask(f, slot);
}

static void take_checked(struct rebuild_files *f, struct rebuild_slot *slot)
{
	enum err err = slot->job.task.err;

	slot->is_checking = false;
	if (slot->is_whole && err)
		keep_damaged(f, slot);
	else if (slot->is_whole)
		keep(f, slot);
	else if (err == ERR_TOO_BIG && slot->footer_bytes.size == 0 && slot->tries == 0)
		ask(f, slot);
	else if (err == ERR_UNSUPPORTED)
		leave_out(f, slot, "was written by a newer program");
	else if (err)
		leave_out(f, slot, "is damaged: what it holds cannot be told");
	else if (f->is_deep || slot->has_controls)
		ask_whole(f, slot);
	else
		keep(f, slot);
}

static void advance(struct rebuild_files *f, struct rebuild_slot *slot)
{
	if (slot->is_checking && !task_is_running(&slot->job.task))
		take_checked(f, slot);
	else if (slot->file.row && !slot->is_checking && !task_is_running(&slot->op.task))
		take_answer(f, slot);
	if (slot->file.row || f->err || !plan_next_file(f->plan, f->last_row, &slot->file))
		return;
	f->last_row = slot->file.row;
	slot->footer_bytes = (struct slice) { 0 };
	begin_file(f, slot);
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
	size_t slots = f->is_deep ? REBUILD_WHOLE_MAX : REBUILD_FILES_MAX;

	for (size_t i = 0; i < slots; i++)
		advance(f, &f->slots[i]);
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
