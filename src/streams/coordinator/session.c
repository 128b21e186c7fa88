/* A session is the connection of one agent: frames in, a call each, frames out, and the feed.
 *
 * Nothing is read before this node leads; when it stops leading every session ends, and agents come
 * back to whoever leads then. */
#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "streams/coordinator/call.h"
#include "streams/coordinator/private.h"
#include "streams/coordinator/redirect.h"
#include "streams/coordinator/settling.h"
#include "wire/peer/frame.h"

enum {
	IMAGE_PART_BYTES = 1 << 20,
	IMAGE_QUEUED_BYTES_MAX =
		8 << 20, /* parts made before the agent takes them: some ms of work */
	EARLY_QUEUED_BYTES_MAX = 1 << 20, /* not told to an agent that is that far behind */
};

enum follow_state {
	FOLLOW_NONE,
	FOLLOW_IMAGE, /* the image is being made or pushed; records gather */
	FOLLOW_ON,
};

struct pending_record {
	struct list link;
	uint64_t index;
	struct blob *bytes;
};

struct session {
	struct task task;
	struct coordinator *coordinator;
	struct stream *stream; /* NULL once it ended */
	struct list link;
	struct list calls; /* under way */
	struct list ended; /* calls whose answers have not left */
	size_t call_count;
	bool is_ending;
	enum follow_state follow;
	struct leader_image image;
	size_t image_at;     /* pushed of it */
	struct list pending; /* struct pending_record, until the image is pushed */
	size_t pending_bytes;
	int64_t incarnation; /* that its agent got here; 0: none yet */
	int64_t low_sequence;
	enum agent_condition condition;
	int silent_ticks;
	bool is_heard; /* since the last tick */
};

/* --- out ---------------------------------------------------------------------------------------
 */

static void end_session(struct session *s, const char *why)
{
	if (s->is_ending)
		return;
	if (why)
		log_warn("ending the session of an agent: %s", why);
	s->is_ending = true;
	task_wake(&s->task);
}

static void push(struct session *s, const struct schema *schema, const void *value)
{
	struct buf frame;

	if (!s->stream)
		return;
	buf_init(&frame);
	if (frame_encode(&frame, schema, 0, PEER_CORRELATION_PUSH, value))
		end_session(s, "a record is larger than a frame");
	else
		stream_write_buf(s->stream, &frame);
	buf_done(&frame);
}

/* An image is as large as the cell is, and an agent cannot do without it: it does not count. */
static void check_feed(struct session *s)
{
	size_t limit = s->coordinator->config.feed_bytes_max + IMAGE_QUEUED_BYTES_MAX;

	if (s->stream && s->pending_bytes + stream_pending_bytes(s->stream) > limit)
		end_session(s, "it does not take what it asked for");
}

static void push_record(struct session *s, uint64_t index, struct slice record)
{
	struct peer_record_push message = { .index = (int64_t)index, .bytes = record };

	push(s, &peer_record_push_schema, &message);
	check_feed(s);
}

void session_push_record(struct session *s, uint64_t index, struct slice record)
{
	if (s->follow == FOLLOW_ON) {
		push_record(s, index, record);
	} else if (s->follow == FOLLOW_IMAGE) {
		struct pending_record *pending = NEW(struct pending_record);
		pending->index = index;
		pending->bytes = blob_from(record);
		list_add(&s->pending, &pending->link);
		s->pending_bytes += record.size;
		check_feed(s);
	}
}

/* An agent that does not take what it asked for has its records still to come. */
void session_push_early(struct session *s, const struct peer_early_push *message)
{
	if (s->follow == FOLLOW_ON && !s->is_ending && s->stream &&
	    stream_pending_bytes(s->stream) <= EARLY_QUEUED_BYTES_MAX)
		push(s, &peer_early_push_schema, message);
}

bool session_push_audit(struct session *s, const struct peer_audit_push *message)
{
	if (!s->stream || s->is_ending)
		return false;
	push(s, &peer_audit_push_schema, message);
	return true;
}

void session_push_settle(struct session *s, const struct peer_settle_push *message)
{
	if (!s->is_ending)
		push(s, &peer_settle_push_schema, message);
}

static void push_pending(struct session *s, uint64_t after)
{
	LIST_EACH (&s->pending, struct pending_record, link, pending) {
		s->pending_bytes -= blob_slice(pending->bytes).size;
		if (pending->index > after)
			push_record(s, pending->index, blob_slice(pending->bytes));
		list_remove(&pending->link);
		blob_unref(&pending->bytes);
		memory_free(pending);
	}
}

/* As much as the agent takes: the loop has others to serve meanwhile. */
static void push_image(struct session *s)
{
	const struct follower_image *image = &s->image.image;
	size_t total = follower_image_bytes(image);

	while (s->stream && !s->is_ending && s->image_at < total &&
	       stream_pending_bytes(s->stream) < IMAGE_QUEUED_BYTES_MAX) {
		struct peer_snapshot_push message = {
			.index = (int64_t)s->image.index,
			.total_bytes = (int64_t)total,
			.offset = (int64_t)s->image_at,
			.bytes = follower_image_part(image, s->image_at, IMAGE_PART_BYTES),
		};
		push(s, &peer_snapshot_push_schema, &message);
		s->image_at += message.bytes.size;
	}
}

static void advance_image(struct session *s)
{
	if (s->follow != FOLLOW_IMAGE || s->is_ending || task_is_running(&s->image.task))
		return;
	if (s->image.task.err) {
		end_session(s, "no image could be made for it");
		return;
	}
	push_image(s);
	if (s->image_at < follower_image_bytes(&s->image.image))
		return;
	s->follow = FOLLOW_ON;
	push_pending(s, s->image.index);
	follower_image_done(&s->image.image);
}

/* --- in ----------------------------------------------------------------------------------------
 */

static void start_follow(struct session *s)
{
	if (s->follow != FOLLOW_NONE) {
		end_session(s, "it asked to follow twice");
		return;
	}
	s->follow = FOLLOW_IMAGE;
	leader_image(&s->image, &s->task, s->coordinator->config.leader);
}

static void take_frame(struct session *s, const struct frame *frame)
{
	if (frame->message == PEER_FOLLOW_REQUEST) {
		start_follow(s);
		return;
	}
	struct call *call = call_start(s->coordinator, &s->task, &s->ended, frame);
	if (!call) {
		end_session(s, "it sent a message that is not known here");
		return;
	}
	list_add(&s->calls, &call->link);
	s->call_count++;
	s->coordinator->call_count++;
}

static void read_frames(struct session *s)
{
	while (s->stream && !s->is_ending && s->call_count < COORDINATOR_CALLS_PER_SESSION_MAX) {
		struct slice in = stream_inbox(s->stream);
		size_t before = in.size;
		struct frame frame;
		enum err err = frame_decode(&in, &frame);
		if (err == ERR_NOT_FOUND)
			return;
		if (err) {
			end_session(s, "it sent a frame that does not check out");
			return;
		}
		take_frame(s, &frame);
		stream_consume(s->stream, before - in.size);
	}
}

/* Another node leads.  An agent that can go there is told where; one that can not waits for us. */
static void send_elsewhere(struct session *s)
{
	if (!s->stream || !redirect_hello(s->stream, s->coordinator->leader))
		return;
	stream_close_gracefully(s->stream, REDIRECT_MS);
	s->stream = NULL;
	end_session(s, NULL);
}

static void finish_calls(struct session *s)
{
	LIST_EACH (&s->ended, struct call, link, call) {
		assert(!task_is_running(&call->task));
		if (call->incarnation) {
			if (s->incarnation != call->incarnation)
				s->low_sequence = 0;
			s->incarnation = call->incarnation;
			orphan_turns_note_news(&s->coordinator->orphans);
			s->condition = (enum agent_condition)call->hello.request.condition;
			coordinator_update_roll(s->coordinator, 0);
			settling_wake(s->coordinator);
		}
		if (s->stream && !s->is_ending)
			stream_write_buf(s->stream, &call->response);
		list_remove(&call->link);
		s->call_count--;
		s->coordinator->call_count--;
		call_free(call);
	}
}

/* --- life --------------------------------------------------------------------------------------
 */

static void close_stream(struct session *s)
{
	if (s->stream)
		stream_close(s->stream);
	s->stream = NULL;
}

static void cancel_children(struct session *s)
{
	LIST_EACH (&s->calls, struct call, link, call)
		task_cancel(&call->task);
	if (task_is_running(&s->image.task))
		task_cancel(&s->image.task);
}

enum { SESSION_OPEN, SESSION_ENDING };

static enum step session_step(struct task *t)
{
	struct session *s = CONTAINER(t, struct session, task);

	finish_calls(s);
	advance_image(s);
	if (task_is_canceled(t))
		s->is_ending = true;
	if (!s->is_ending) {
		if (s->coordinator->is_leading)
			read_frames(s);
		else if (s->coordinator->leader[0])
			send_elsewhere(s);
		if (!s->is_ending)
			return task_wait(t, SESSION_OPEN);
	}
	close_stream(s);
	cancel_children(s);
	if (t->children > 0)
		return task_wait(t, SESSION_ENDING);
	finish_calls(s);
	return task_done(t, OK);
}

static void session_on_end(struct task *t)
{
	struct session *s = CONTAINER(t, struct session, task);
	struct coordinator *c = s->coordinator;

	push_pending(s, UINT64_MAX);
	follower_image_done(&s->image.image);
	list_remove(&s->link);
	c->session_count--;
	if (s->incarnation) {
		orphan_turns_leave(&c->orphans, s->incarnation);
		coordinator_update_roll(c, s->incarnation);
	}
	memory_free(s);
	if (c->stop)
		task_wake(c->stop);
}

static const char *const session_places[] = { "open", "ending" };
static const struct task_kind session_kind = {
	.name = "session",
	.places = session_places,
	.place_count = 2,
	.step = session_step,
	.on_end = session_on_end,
};

static void on_readable(void *context, struct stream *stream)
{
	struct session *s = context;

	(void)stream;
	s->is_heard = true;
	task_wake(&s->task);
}

static void on_drained(void *context, struct stream *stream)
{
	struct session *s = context;

	(void)stream;
	if (s->follow == FOLLOW_IMAGE)
		task_wake(&s->task);
}

static void on_end(void *context, struct stream *stream, enum err err)
{
	struct session *s = context;

	(void)err;
	stream_close(stream);
	s->stream = NULL;
	s->is_ending = true;
	task_wake(&s->task);
}

static const struct stream_owner stream_owner = {
	.on_readable = on_readable,
	.on_drained = on_drained,
	.on_end = on_end,
};

void session_open(struct coordinator *c, struct stream *stream)
{
	struct session *s = NEW(struct session);

	s->coordinator = c;
	s->stream = stream;
	list_init(&s->calls);
	list_init(&s->ended);
	list_init(&s->pending);
	list_add(&c->sessions, &s->link);
	c->session_count++;
	stream_set_inbox_limit(stream, PEER_FRAME_BYTES_MAX + PEER_FRAME_EXTRA_BYTES);
	stream_set_owner(stream, &stream_owner, s);
	task_start_root(&s->task, &session_kind, c->loop);
}

struct session *session_from_link(struct list *link)
{
	return CONTAINER(link, struct session, link);
}

struct session *session_from_task(struct task *task)
{
	return CONTAINER(task, struct session, task);
}

void session_set_condition(struct session *s, enum agent_condition condition)
{
	s->condition = condition;
}

enum agent_condition session_condition(const struct session *s)
{
	return s->condition;
}

/* One that has more under way than is read says nothing because nobody listens. */
void session_tick(struct session *s)
{
	bool is_heard = s->is_heard || s->call_count >= COORDINATOR_CALLS_PER_SESSION_MAX;

	s->silent_ticks = is_heard ? 0 : s->silent_ticks + 1;
	s->is_heard = false;
	if (s->silent_ticks > COORDINATOR_SILENT_TICKS_MAX)
		end_session(s, "it is silent");
}

void session_forget_ticks(struct session *s)
{
	s->silent_ticks = 0;
}

int64_t session_incarnation(const struct session *s)
{
	return s->incarnation;
}

void session_set_low_sequence(struct session *s, int64_t low_sequence)
{
	if (low_sequence > s->low_sequence)
		s->low_sequence = low_sequence;
}

int64_t session_low_sequence(const struct session *s)
{
	return s->low_sequence;
}

void session_wake(struct session *s)
{
	task_wake(&s->task);
}

void session_end(struct session *s)
{
	s->is_ending = true;
	task_wake(&s->task);
}
