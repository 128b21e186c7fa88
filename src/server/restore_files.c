#include "server/restore_files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/endian.h"
#include "wire/streams/data_file.h"

enum { FILES_BEGIN, FILES_LISTED, FILES_LOOKING };

static const char data_prefix[] = "v1/d/";

static struct slice name_of(const struct restore_file *file)
{
	return (struct slice) { file->name, sizeof(file->name) };
}

static void tell(struct restore_files *f, const char *format, ...) PRINTF_LIKE(2, 3);
static void tell(struct restore_files *f, const char *format, ...)
{
	uint64_t now_ms = loop_now_ms(f->task.loop);
	char text[128];
	va_list args;

	if (!f->on_progress || now_ms < f->told_ms + RESTORE_PROGRESS_MS)
		return;
	f->told_ms = now_ms;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	f->on_progress(f->context, text);
}

/* --- what is there -----------------------------------------------------------------------------
 */

static enum step list(struct restore_files *f)
{
	arena_reset(&f->page);
	bucket_list(&f->list, &f->task, f->bucket, &f->page, slice_from(data_prefix),
		    slice_from(f->after));
	task_set_deadline(&f->list.task, loop_now_ms(f->task.loop) + RESTORE_IO_MS);
	return task_wait(&f->task, FILES_LISTED);
}

/* Where the list tells the size, nothing more is asked of the bucket. */
static void take_size(struct restore_files *f, struct restore_file *file, uint64_t size)
{
	bool is_known = size != BUCKET_SIZE_UNKNOWN;

	if (file->state != RESTORE_FILE_UNSEEN)
		return;
	file->size = size;
	if (is_known && size != (uint64_t)file->of->size) {
		file->state = RESTORE_FILE_SIZE;
		f->bad_count++;
		f->done_count++;
	} else if (is_known && f->depth == RESTORE_SIZES) {
		file->state = RESTORE_FILE_GOOD;
		f->done_count++;
		f->done_bytes += (uint64_t)file->of->size;
	} else {
		file->state = RESTORE_FILE_LISTED;
	}
}

static void take_name(struct restore_files *f, struct slice key, uint64_t size)
{
	uint64_t incarnation, sequence;
	uint8_t name[16];

	if (data_file_key_parse(key, &incarnation, &sequence))
		return;
	put_u64(name, incarnation);
	put_u64(name + 8, sequence);
	struct restore_file *file = map_get(&f->by_name, (struct slice) { name, sizeof(name) });
	if (file) {
		take_size(f, file, size);
		return;
	}
	struct restore_stray stray = { (int64_t)incarnation, (int64_t)sequence, size };
	if (f->stray_count++ < RESTORE_STRAYS_MAX)
		buf_add(&f->stray_rows, &stray, sizeof(stray));
	f->newer_count += incarnation >= (uint64_t)f->survey->next_incarnation;
}

static void finish_listing(struct restore_files *f)
{
	for (size_t i = 0; i < f->survey->file_count; i++) {
		if (f->files[i].state != RESTORE_FILE_UNSEEN)
			continue;
		f->files[i].state = RESTORE_FILE_GONE;
		f->bad_count++;
		f->done_count++;
	}
}

/* --- one file ----------------------------------------------------------------------------------
 */

/* The batches that lie in the run are those of its partition, and have as many offsets as it has;
 * of a compacted one they have the offsets they say, which may leave some out. */
static bool holds_run(const struct data_file_entry *entries, size_t entry_count, bool is_final,
		      const struct survey_run *run)
{
	int64_t position = run->position, end = run->position + run->size, next = run->base_offset;

	for (size_t i = 0; i < entry_count && position < end; i++) {
		const struct data_file_entry *entry = &entries[i];
		if ((int64_t)entry->offset != position)
			continue;
		if (memcmp(entry->topic_id, run->topic_id.bytes, sizeof(entry->topic_id)) != 0 ||
		    entry->partition != (uint32_t)run->partition)
			return false;
		if (is_final && entry->base_offset < next)
			return false;
		position += entry->size;
		next = (is_final ? entry->base_offset : next) + entry->last_offset_delta + 1;
	}
	return position == end &&
	       (next == run->last_offset + 1 || (is_final && next <= run->last_offset));
}

static enum err check_runs(const struct restore_slot *slot, const struct data_file_entry *entries,
			   size_t entry_count, bool is_final)
{
	for (size_t i = 0; i < slot->run_count; i++)
		if (!holds_run(entries, entry_count, is_final, &slot->runs[i]))
			return ERR_CORRUPT;
	return OK;
}

static enum err check_work(struct worker_job *job)
{
	struct restore_slot *slot = CONTAINER(job, struct restore_slot, job);
	const struct survey_file *of = slot->file->of;
	struct slice bytes = blob_slice(slot->op.ret_body);
	struct data_file file;

	enum err err = data_file_decode(&slot->arena, bytes, &file);
	if (!err)
		err = data_file_check_body(&file, bytes);
	if (err)
		return err;
	if (memcmp(file.header.cluster_id, slot->files->cluster_id.bytes,
		   sizeof(file.header.cluster_id)) != 0 ||
	    file.header.incarnation != (uint64_t)of->incarnation ||
	    file.header.sequence != (uint64_t)of->sequence)
		return ERR_CORRUPT;
	return check_runs(slot, file.entries, file.entry_count,
			  file.header.flags & DATA_FILE_FINAL_OFFSETS);
}

/* What was read is the end of the file; op->ret_size is all of it. */
static struct slice footer_of(struct restore_slot *slot, enum err *ret)
{
	struct slice end = blob_slice(slot->op.ret_body);
	struct data_file_trailer trailer;

	*ret = ERR_CORRUPT;
	if (end.size < DATA_FILE_TRAILER_BYTES || slot->end_at + end.size != slot->op.ret_size)
		return end;
	*ret = data_file_decode_trailer(slice_part(end, end.size - DATA_FILE_TRAILER_BYTES,
						   DATA_FILE_TRAILER_BYTES),
					slot->op.ret_size, &trailer);
	if (*ret)
		return end;
	slot->is_final = trailer.flags & DATA_FILE_FINAL_OFFSETS;
	if (trailer.footer_offset < slot->end_at) {
		*ret = ERR_TOO_BIG;
		return (struct slice) { NULL, trailer.footer_offset };
	}
	return slice_part(end, trailer.footer_offset - slot->end_at, end.size);
}

/* The footer is larger than what was read at first. */
static bool needs_more(const struct restore_files *f, struct restore_slot *slot)
{
	enum err err;

	if (f->depth != RESTORE_FOOTERS || slot->has_end)
		return false;
	struct slice footer = footer_of(slot, &err);
	if (err != ERR_TOO_BIG)
		return false;
	slot->has_end = true;
	slot->end_at = footer.size;
	blob_unref(&slot->op.ret_body);
	return true;
}

static enum err check_footer_work(struct worker_job *job)
{
	struct restore_slot *slot = CONTAINER(job, struct restore_slot, job);
	struct data_file_footer footer;
	enum err err;

	struct slice bytes = footer_of(slot, &err);
	if (err)
		return ERR_CORRUPT;
	err = data_file_decode_footer(&slot->arena, bytes, slot->op.ret_size, &footer);
	if (err)
		return err;
	return check_runs(slot, footer.entries, footer.entry_count, slot->is_final);
}

static void ask(struct restore_files *f, struct restore_slot *slot)
{
	if (f->depth == RESTORE_WHOLE)
		bucket_get(&slot->op, &f->task, f->bucket, slice_from(slot->key), 0,
			   DATA_FILE_BYTES_MAX);
	else if (f->depth == RESTORE_FOOTERS)
		bucket_get(&slot->op, &f->task, f->bucket, slice_from(slot->key), slot->end_at,
			   DATA_FILE_BYTES_MAX);
	else
		bucket_head(&slot->op, &f->task, f->bucket, slice_from(slot->key));
	task_set_deadline(&slot->op.task, loop_now_ms(f->task.loop) + RESTORE_IO_MS);
}

static void begin_file(struct restore_files *f, struct restore_slot *slot,
		       struct restore_file *file)
{
	slot->file = file;
	slot->tries = 0;
	slot->is_checking = slot->has_end = false;
	slot->end_at = file->of->size > RESTORE_END_BYTES
			       ? (uint64_t)file->of->size - RESTORE_END_BYTES
			       : 0;
	data_file_key(slot->key, (uint64_t)file->of->incarnation, (uint64_t)file->of->sequence);
	ask(f, slot);
}

static void end_file(struct restore_files *f, struct restore_slot *slot,
		     enum restore_file_state state)
{
	slot->file->state = state;
	f->bad_count += state != RESTORE_FILE_GOOD;
	f->done_count++;
	f->done_bytes += (uint64_t)slot->file->of->size;
	blob_unref(&slot->op.ret_body);
	arena_reset(&slot->arena);
	slot->file = NULL;
	slot->is_checking = false;
}

/* The bucket has answered. */
static void take_answer(struct restore_files *f, struct restore_slot *slot)
{
	enum err err = slot->op.task.err;

	if (err && err != ERR_NOT_FOUND && ++slot->tries < RESTORE_TRIES_MAX) {
		ask(f, slot);
		return;
	}
	slot->file->err = err;
	slot->file->size = slot->op.ret_size;
	if (err) {
		end_file(f, slot,
			 err == ERR_NOT_FOUND ? RESTORE_FILE_GONE
			 : err == ERR_CORRUPT ? RESTORE_FILE_DAMAGED
					      : RESTORE_FILE_UNREADABLE);
	} else if (slot->op.ret_size != (uint64_t)slot->file->of->size) {
		end_file(f, slot, RESTORE_FILE_SIZE);
	} else if (f->depth == RESTORE_SIZES) {
		end_file(f, slot, RESTORE_FILE_GOOD);
	} else if (needs_more(f, slot)) {
		ask(f, slot);
	} else if (survey_runs(&slot->arena, f->cell, slot->file->of->row, &slot->runs,
			       &slot->run_count)) {
		end_file(f, slot, RESTORE_FILE_DAMAGED);
	} else {
		slot->is_checking = true;
		worker_start(&slot->job, &f->task,
			     f->depth == RESTORE_WHOLE ? check_work : check_footer_work);
	}
}

static void advance(struct restore_files *f, struct restore_slot *slot)
{
	if (slot->is_checking && !task_is_running(&slot->job.task))
		end_file(f, slot, slot->job.task.err ? RESTORE_FILE_DAMAGED : RESTORE_FILE_GOOD);
	else if (slot->file && !slot->is_checking && !task_is_running(&slot->op.task))
		take_answer(f, slot);
	while (!slot->file && f->next < f->survey->file_count) {
		struct restore_file *file = &f->files[f->next++];
		if (file->state == RESTORE_FILE_LISTED)
			begin_file(f, slot, file);
	}
}

/* --- the task ----------------------------------------------------------------------------------
 */

static enum step finish(struct restore_files *f, enum err err, const char *why)
{
	for (size_t i = 0; i < RESTORE_HEADS_MAX; i++) {
		blob_unref(&f->slots[i].op.ret_body);
		arena_done(&f->slots[i].arena);
	}
	size_t kept = f->stray_rows.size / sizeof(*f->strays);
	f->strays = arena_take_array(f->kept, kept + 1, sizeof(*f->strays));
	if (kept)
		memcpy(f->strays, f->stray_rows.data, f->stray_rows.size);
	buf_done(&f->stray_rows);
	map_done(&f->by_name);
	arena_done(&f->page);
	return err ? task_fail(&f->task, err, "%s", why) : task_done(&f->task, OK);
}

static enum step look(struct restore_files *f)
{
	size_t slots = f->depth == RESTORE_WHOLE ? RESTORE_GETS_MAX : RESTORE_HEADS_MAX;

	for (size_t i = 0; i < slots; i++)
		advance(f, &f->slots[i]);
	tell(f, "looked at %zu of %zu data files, %" PRIu64 " MiB", f->done_count,
	     f->survey->file_count, f->done_bytes >> 20);
	if (f->task.children > 0)
		return task_wait(&f->task, FILES_LOOKING);
	return finish(f, OK, "");
}

static enum step listed(struct restore_files *f)
{
	const struct bucket_op *op = &f->list;

	if (op->task.err)
		return finish(f, op->task.err, op->task.why);
	for (size_t i = 0; i < op->ret_count; i++)
		take_name(f, op->ret_names[i],
			  op->ret_sizes ? op->ret_sizes[i] : BUCKET_SIZE_UNKNOWN);
	f->listed_count += op->ret_count;
	tell(f, "listed %zu data files", f->listed_count);
	if (op->ret_more && op->ret_count > 0) {
		snprintf(f->after, sizeof(f->after), "%.*s",
			 SLICE_ARG(op->ret_names[op->ret_count - 1]));
		return list(f);
	}
	finish_listing(f);
	return look(f);
}

static enum step files_step(struct task *t)
{
	struct restore_files *f = CONTAINER(t, struct restore_files, task);

	if (task_is_canceled(t))
		return t->children > 0 ? task_wait(t, t->at) : finish(f, t->err, "");
	switch (t->at) {
	case FILES_BEGIN:
		return f->before ? look(f) : list(f);
	case FILES_LISTED:
		return listed(f);
	case FILES_LOOKING:
		return look(f);
	}
	abort();
}

static const char *const files_places[] = { "begin", "list", "files" };
static const struct task_kind files_kind = {
	.name = "restore_files",
	.places = files_places,
	.place_count = 3,
	.step = files_step,
};

static bool is_bad_in(const struct restore_files *before, const struct restore_file *file)
{
	for (size_t i = 0; i < before->survey->file_count; i++)
		if (before->files[i].of->row == file->of->row)
			return before->files[i].state != RESTORE_FILE_GOOD;
	return false;
}

void restore_files(struct restore_files *f, struct task *parent, struct arena *a,
		   struct bucket *bucket, struct cell *cell, const struct survey *survey,
		   struct uuid cluster_id, enum restore_depth depth,
		   const struct restore_files *before,
		   void (*on_progress)(void *context, const char *text), void *context)
{
	*f = (struct restore_files) {
		.files = arena_take_array(a, survey->file_count + 1, sizeof(*f->files)),
		.bucket = bucket,
		.cell = cell,
		.survey = survey,
		.cluster_id = cluster_id,
		.depth = depth,
		.before = before,
		.kept = a,
		.on_progress = on_progress,
		.context = context,
		.told_ms = loop_now_ms(parent->loop),
	};
	map_init(&f->by_name);
	buf_init(&f->stray_rows);
	arena_init(&f->page);
	for (size_t i = 0; i < RESTORE_HEADS_MAX; i++) {
		f->slots[i].files = f;
		arena_init(&f->slots[i].arena);
	}
	for (size_t i = 0; i < survey->file_count; i++) {
		struct restore_file *file = &f->files[i];
		file->of = &survey->files[i];
		put_u64(file->name, (uint64_t)file->of->incarnation);
		put_u64(file->name + 8, (uint64_t)file->of->sequence);
		map_put(&f->by_name, name_of(file), file);
		if (before)
			file->state =
				is_bad_in(before, file) ? RESTORE_FILE_LISTED : RESTORE_FILE_GOOD;
	}
	task_start(&f->task, &files_kind, parent);
}
