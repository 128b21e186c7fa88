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
	} else if (is_known && !f->is_deep) {
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
	f->stray_count++;
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

/* The batches that lie in the run are those of its partition, and as many records as it has. */
static bool holds_run(const struct data_file *file, const struct survey_run *run)
{
	int64_t position = run->position, end = run->position + run->size, count = 0;

	for (size_t i = 0; i < file->entry_count && position < end; i++) {
		const struct data_file_entry *entry = &file->entries[i];
		if ((int64_t)entry->offset != position)
			continue;
		if (memcmp(entry->topic_id, run->topic_id.bytes, sizeof(entry->topic_id)) != 0 ||
		    entry->partition != (uint32_t)run->partition)
			return false;
		position += entry->size;
		count += (int64_t)entry->last_offset_delta + 1;
	}
	return position == end && count == run->last_offset - run->base_offset + 1;
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
	for (size_t i = 0; i < slot->run_count; i++)
		if (!holds_run(&file, &slot->runs[i]))
			return ERR_CORRUPT;
	return OK;
}

static void ask(struct restore_files *f, struct restore_slot *slot)
{
	if (f->is_deep)
		bucket_get(&slot->op, &f->task, f->bucket, slice_from(slot->key), 0,
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
	slot->is_checking = false;
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
	} else if (!f->is_deep) {
		end_file(f, slot, RESTORE_FILE_GOOD);
	} else if (survey_runs(&slot->arena, f->cell, slot->file->of->row, &slot->runs,
			       &slot->run_count)) {
		end_file(f, slot, RESTORE_FILE_DAMAGED);
	} else {
		slot->is_checking = true;
		worker_start(&slot->job, &f->task, check_work);
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
	map_done(&f->by_name);
	arena_done(&f->page);
	return err ? task_fail(&f->task, err, "%s", why) : task_done(&f->task, OK);
}

static enum step look(struct restore_files *f)
{
	size_t slots = f->is_deep ? RESTORE_GETS_MAX : RESTORE_HEADS_MAX;

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
		return list(f);
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

void restore_files(struct restore_files *f, struct task *parent, struct arena *a,
		   struct bucket *bucket, struct cell *cell, const struct survey *survey,
		   struct uuid cluster_id, bool is_deep,
		   void (*on_progress)(void *context, const char *text), void *context)
{
	*f = (struct restore_files) {
		.files = arena_take_array(a, survey->file_count + 1, sizeof(*f->files)),
		.bucket = bucket,
		.cell = cell,
		.survey = survey,
		.cluster_id = cluster_id,
		.is_deep = is_deep,
		.on_progress = on_progress,
		.context = context,
		.told_ms = loop_now_ms(parent->loop),
	};
	map_init(&f->by_name);
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
	}
	task_start(&f->task, &files_kind, parent);
}
