#include "streams/agent/settler.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "loop/timer.h"
#include "streams/agent/agent.h"
#include "wire/peer/frame.h"
#include "wire/streams/data_file.h"
#include "wire/streams/tombstone.h"

/* A file that control asked for. */
struct settling {
	struct task task;
	struct settler *settler;
	struct list link; /* in waiting, active or decided */
	int64_t name[2];  /* incarnation and sequence: the key in by_name */
	uint64_t size;
	char key[DATA_FILE_KEY_BYTES + 1];
	uint8_t tombstone[TOMBSTONE_BYTES];
	struct bucket_op op;
	struct sleep sleep;
	int pauses;
	bool has_verdict, is_there;
	bool is_asked_again; /* after it was forgotten, before that was over */
};

struct settler {
	struct task task; /* tells control what was decided, while there is something to tell */
	struct agent *agent;
	struct list waiting, active, decided;
	struct map by_name; /* of all of them */
	size_t count, active_count;
	struct control_call call;
	uint64_t quiet_until_ms;
	bool is_stopping;
};

static struct slice name_of(const int64_t name[2])
{
	return (struct slice) { (const uint8_t *)name, 2 * sizeof(name[0]) };
}

/* It is in no list any more, and its task has ended. */
static void drop(struct settler *s, struct settling *file)
{
	map_remove(&s->by_name, name_of(file->name));
	s->count--;
	blob_unref(&file->op.ret_body);
	memory_free(file);
}

/* --- one file ----------------------------------------------------------------------------------
 */

enum { SETTLE_BEGIN, SETTLE_PUT, SETTLE_READ, SETTLE_PAUSED };

static enum step put_tombstone(struct settling *file)
{
	struct agent *agent = file->settler->agent;
	struct tombstone tombstone = {
		.incarnation = (uint64_t)file->name[0],
		.sequence = (uint64_t)file->name[1],
		.created_ms = clock_wall_ms(),
	};

	memcpy(tombstone.cluster_id, agent->cluster_id.bytes, sizeof(tombstone.cluster_id));
	tombstone_encode(&tombstone, file->tombstone);
	bucket_put_new(&file->op, &file->task, agent->config.bucket, slice_from(file->key),
		       (struct slice) { file->tombstone, sizeof(file->tombstone) });
	task_set_deadline(&file->op.task, loop_now_ms(agent->loop) + SETTLER_OP_MS);
	return task_wait(&file->task, SETTLE_PUT);
}

static enum step look(struct settling *file)
{
	struct agent *agent = file->settler->agent;

	_Static_assert((int)TOMBSTONE_BYTES == (int)DATA_FILE_HEADER_BYTES,
		       "one look at as many bytes tells them apart");
	bucket_get(&file->op, &file->task, agent->config.bucket, slice_from(file->key), 0,
		   DATA_FILE_HEADER_BYTES);
	task_set_deadline(&file->op.task, loop_now_ms(agent->loop) + SETTLER_OP_MS);
	return task_wait(&file->task, SETTLE_READ);
}

static enum step pause(struct settling *file)
{
	uint64_t ms = (uint64_t)++file->pauses * SETTLER_RETRY_MS;

	if (ms > SETTLER_RETRY_MS_MAX)
		ms = SETTLER_RETRY_MS_MAX;
	sleep_start(&file->sleep, &file->task, loop_now_ms(file->task.loop) + ms);
	return task_wait(&file->task, SETTLE_PAUSED);
}

static enum step decide(struct settling *file, bool is_there)
{
	file->has_verdict = true;
	file->is_there = is_there;
	return task_done(&file->task, OK);
}

static enum step give_up(struct settling *file, const char *what)
{
	struct settler *s = file->settler;
	uint64_t now_ms = loop_now_ms(s->agent->loop);

	if (now_ms >= s->quiet_until_ms) {
		s->quiet_until_ms = now_ms + SETTLER_QUIET_MS;
		log_error("nobody can tell whether data file %s was stored: %s; control waits for "
			  "that",
			  file->key, what);
	}
	return task_done(&file->task, ERR_CORRUPT);
}

static bool is_named(const struct settling *file, const uint8_t cluster_id[16],
		     uint64_t incarnation, uint64_t sequence)
{
	return memcmp(cluster_id, file->settler->agent->cluster_id.bytes, 16) == 0 &&
	       incarnation == (uint64_t)file->name[0] && sequence == (uint64_t)file->name[1];
}

/* Something was there first. */
static enum step judge(struct settling *file)
{
	struct slice first = blob_slice(file->op.ret_body);
	uint64_t size = file->op.ret_size;
	struct data_file_header header;
	struct tombstone tombstone;

	if (first.size < DATA_FILE_HEADER_BYTES && first.size < size)
		return pause(file); /* it came shorter than it is */
	if (size == TOMBSTONE_BYTES && tombstone_decode(first, &tombstone) == OK)
		return is_named(file, tombstone.cluster_id, tombstone.incarnation,
				tombstone.sequence)
			       ? decide(file, false)
			       : give_up(file, "its name was burnt for another file");
	if (data_file_decode_header(first, &header))
		return give_up(file, "under its name is something that is no data file");
	if (!is_named(file, header.cluster_id, header.incarnation, header.sequence) ||
	    size != file->size)
		return give_up(file, "under its name is another data file");
	return decide(file, true);
}

static enum step take_put(struct settling *file)
{
	switch (file->op.task.err) {
	case OK:
		return decide(file, false);
	case ERR_EXISTS:
		return look(file);
	case ERR_UNSUPPORTED:
		return give_up(file, "this bucket cannot create if absent");
	case ERR_NOT_FOUND:
	case ERR_CONFLICT:
	case ERR_DENIED:
	case ERR_INVALID:
	case ERR_TOO_BIG:
	case ERR_FULL:
	case ERR_BUSY:
	case ERR_TIMEOUT:
	case ERR_UNKNOWN:
	case ERR_CANCELED:
	case ERR_UNAVAILABLE:
	case ERR_CORRUPT:
	case ERR_IO:
	case ERR_COUNT:
		break;
	}
	return pause(file);
}

static enum step settling_step(struct task *t)
{
	struct settling *file = CONTAINER(t, struct settling, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (task_is_canceled(t))
		return task_done(t, t->err);
	switch (t->at) {
	case SETTLE_BEGIN:
	case SETTLE_PAUSED:
		blob_unref(&file->op.ret_body);
		return put_tombstone(file);
	case SETTLE_PUT:
		return take_put(file);
	case SETTLE_READ:
		if (file->op.task.err == ERR_CORRUPT)
			return give_up(file, file->op.task.why);
		return file->op.task.err ? pause(file) : judge(file);
	}
	abort();
}

static void advance(struct settler *s);

static void settling_on_end(struct task *t)
{
	struct settling *file = CONTAINER(t, struct settling, task);
	struct settler *s = file->settler;

	list_remove(&file->link);
	s->active_count--;
	if (file->has_verdict && (!task_is_canceled(t) || file->is_asked_again))
		list_add(&s->decided, &file->link);
	else if (file->is_asked_again)
		list_add(&s->waiting, &file->link);
	else
		drop(s, file);
	advance(s);
}

static const char *const settling_places[] = { "begin", "put", "read", "paused" };
static const struct task_kind settling_kind = {
	.name = "settling",
	.places = settling_places,
	.place_count = 4,
	.step = settling_step,
	.on_end = settling_on_end,
};

/* --- telling control ---------------------------------------------------------------------------
 */

enum { TELL_BEGIN, TELL_ANSWERED };

static enum step tell(struct settler *s)
{
	struct peer_settle_request request = { 0 };
	struct arena a;

	arena_init(&a);
	request.files = arena_take_array(&a, SETTLER_VERDICTS_MAX, sizeof(*request.files));
	LIST_EACH (&s->decided, struct settling, link, file) {
		if (request.files_count == SETTLER_VERDICTS_MAX)
			break;
		request.files[request.files_count++] = (struct peer_settle_request_file) {
			.incarnation = file->name[0],
			.sequence = file->name[1],
			.is_there = file->is_there,
		};
		list_remove(&file->link);
		drop(s, file);
	}
	if (request.files_count > 0)
		control_call(&s->call, &s->task, s->agent->link, &peer_settle_request_schema,
			     &request);
	arena_done(&a);
	return request.files_count > 0 ? task_wait(&s->task, TELL_ANSWERED)
				       : task_done(&s->task, OK);
}

/* What is lost on the way control asks again. */
static enum step tell_step(struct task *t)
{
	struct settler *s = CONTAINER(t, struct settler, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	blob_unref(&s->call.ret_bytes);
	return task_is_canceled(t) ? task_done(t, t->err) : tell(s);
}

static void tell_on_end(struct task *t)
{
	advance(CONTAINER(t, struct settler, task));
}

static const char *const tell_places[] = { "begin", "answered" };
static const struct task_kind tell_kind = {
	.name = "settler",
	.places = tell_places,
	.place_count = 2,
	.step = tell_step,
	.on_end = tell_on_end,
};

/* --- all of them -------------------------------------------------------------------------------
 */

static void advance(struct settler *s)
{
	LIST_EACH (&s->waiting, struct settling, link, file) {
		if (!s->agent->is_joined || s->active_count >= SETTLER_OPS_MAX)
			break;
		list_remove(&file->link);
		list_add(&s->active, &file->link);
		file->is_asked_again = false;
		s->active_count++;
		task_start_root(&file->task, &settling_kind, s->agent->loop);
	}
	if (!list_is_empty(&s->decided) && !task_is_running(&s->task))
		task_start_root(&s->task, &tell_kind, s->agent->loop);
	if (s->agent->stop)
		task_wake(s->agent->stop);
}

void settler_take(struct settler *s, const struct peer_settle_push *what)
{
	for (size_t i = 0; i < what->files_count && !s->is_stopping; i++) {
		int64_t name[2] = { what->files[i].incarnation, what->files[i].sequence };
		struct settling *file = map_get(&s->by_name, name_of(name));

		if (file)
			file->is_asked_again = true;
		if (file || s->count >= SETTLER_FILES_MAX || what->files[i].size < 0 ||
		    name[0] <= 0 || name[1] <= 0)
			continue;
		file = NEW(struct settling);
		file->settler = s;
		memcpy(file->name, name, sizeof(name));
		file->size = (uint64_t)what->files[i].size;
		data_file_key(file->key, (uint64_t)name[0], (uint64_t)name[1]);
		map_put(&s->by_name, name_of(file->name), file);
		s->count++;
		list_add(&s->waiting, &file->link);
	}
	advance(s);
}

void settler_go_on(struct settler *s)
{
	advance(s);
}

static void drop_all(struct settler *s, struct list *files)
{
	LIST_EACH (files, struct settling, link, file) {
		list_remove(&file->link);
		drop(s, file);
	}
}

void settler_forget(struct settler *s)
{
	drop_all(s, &s->waiting);
	drop_all(s, &s->decided);
	LIST_EACH (&s->active, struct settling, link, file) {
		file->is_asked_again = false;
		task_cancel(&file->task);
	}
}

void settler_stop(struct settler *s)
{
	s->is_stopping = true;
	settler_forget(s);
	if (task_is_running(&s->task))
		task_cancel(&s->task);
}

bool settler_is_busy(const struct settler *s)
{
	return s->count > 0 || task_is_running(&s->task);
}

struct settler *settler_new(struct agent *agent)
{
	struct settler *s = NEW(struct settler);

	s->agent = agent;
	list_init(&s->waiting);
	list_init(&s->active);
	list_init(&s->decided);
	map_init(&s->by_name);
	return s;
}

void settler_free(struct settler *s)
{
	assert(!settler_is_busy(s));
	map_done(&s->by_name);
	memory_free(s);
}
