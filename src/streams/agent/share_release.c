#include "streams/agent/share_release.h"

#include <stdlib.h>

#include "base/memory.h"

static struct share_session *next_ended(struct share_release *r)
{
	struct list *link = list_pop(&r->ended);

	return link ? CONTAINER(link, struct share_session, link) : NULL;
}

struct peer_share_request *share_release_request(struct arena *a,
						 const struct share_session *session)
{
	struct peer_share_request *request = arena_take(a, sizeof(*request));

	*request = (struct peer_share_request) {
		.group = arena_copy(a, session->group),
		.member_id = arena_copy(a, session->member),
		.partitions = arena_take_array(a, session->count + 1, sizeof(*request->partitions)),
		.partitions_count = session->count,
	};
	for (size_t i = 0; i < session->count; i++)
		request->partitions[i] = (struct peer_share_request_partition) {
			.topic_id = session->places[i].topic_id,
			.partition = session->places[i].partition,
			.releases = true,
		};
	return request;
}

static int compare_held(const void *left, const void *right)
{
	const struct share_held *a = left, *b = right;
	int order = memcmp(a->place.topic_id.bytes, b->place.topic_id.bytes,
			   sizeof(a->place.topic_id.bytes));

	return order ? order
		     : (a->place.partition > b->place.partition) -
			       (a->place.partition < b->place.partition);
}

/* Only what it got through this agent: it may work on with what it got from others. */
static struct peer_share_request *give_back_request(struct arena *a, struct share_session *session)
{
	struct peer_share_request *request = arena_take(a, sizeof(*request));
	struct peer_share_request_partition *partition = NULL;
	size_t count = session->held_count;
	struct peer_share_request_given *given = arena_take_array(a, count + 1, sizeof(*given));

	*request = (struct peer_share_request) {
		.group = arena_copy(a, session->group),
		.member_id = arena_copy(a, session->member),
		.partitions = arena_take_array(a, count + 1, sizeof(*request->partitions)),
	};
	qsort(session->held, count, sizeof(*session->held), compare_held);
	for (size_t i = 0; i < count; i++) {
		const struct share_held *held = &session->held[i];
		if (i == 0 || compare_held(held - 1, held)) {
			partition = &request->partitions[request->partitions_count++];
			*partition = (struct peer_share_request_partition) {
				.topic_id = held->place.topic_id,
				.partition = held->place.partition,
				.gives_back = &given[i],
			};
		}
		given[i] = (struct peer_share_request_given) {
			held->first,
			held->last,
			held->deliveries,
		};
		partition->gives_back_count++;
	}
	return request;
}

enum { RELEASE_NEXT };

/* A member that is back, or works on through another agent as it was told to, keeps what it had:
 * if it does not, the locks end with their time. */
static bool keeps(const struct share_release *r, const struct share_session *session)
{
	return session->held_count == 0 || session->is_told ||
	       share_session_find(&r->sessions, session->group, session->member);
}

static enum step release_step(struct task *t)
{
	struct share_release *r = CONTAINER(t, struct share_release, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	struct share_session *session = task_is_canceled(t) ? NULL : next_ended(r);
	while (session && keeps(r, session)) {
		share_session_free(session);
		session = next_ended(r);
	}
	if (!session)
		return task_done(t, OK);
	arena_reset(&r->arena);
	share_call_start(&r->call, t, r->agent, &r->arena, give_back_request(&r->arena, session));
	share_session_free(session);
	return task_wait(t, RELEASE_NEXT);
}

static void release_on_end(struct task *t)
{
	struct share_release *r = CONTAINER(t, struct share_release, task);

	share_call_done(&r->call);
	if (r->agent->stop)
		task_wake(r->agent->stop);
}

static const char *const release_places[] = { "next" };
static const struct task_kind release_kind = {
	.name = "share_release",
	.places = release_places,
	.place_count = 1,
	.step = release_step,
	.on_end = release_on_end,
};

struct share_release *share_release_new(struct agent *agent)
{
	struct share_release *r = NEW(struct share_release);

	r->agent = agent;
	share_sessions_init(&r->sessions);
	list_init(&r->ended);
	arena_init(&r->arena);
	return r;
}

void share_release_free(struct share_release *r)
{
	struct share_session *session;

	while ((session = next_ended(r)))
		share_session_free(session);
	share_sessions_done(&r->sessions);
	arena_done(&r->arena);
	memory_free(r);
}

bool share_release_is_busy(const struct share_release *r)
{
	return task_is_running(&r->task);
}

/* With nobody to ask there is nothing to wait for. */
static bool is_too_late(const struct share_release *r)
{
	return r->stop_ms && (loop_now_ms(r->agent->loop) >= r->stop_ms ||
			      !control_link_is_ready(r->agent->link));
}

void share_release_hurry(struct share_release *r)
{
	r->stop_ms = loop_now_ms(r->agent->loop) + SHARE_RELEASE_STOP_MS;
	if (!share_release_is_busy(r))
		return;
	if (is_too_late(r))
		task_cancel(&r->task);
	else
		task_set_deadline(&r->task, r->stop_ms);
}

void share_release_cancel(struct share_release *r)
{
	r->stop_ms = 1;
	if (share_release_is_busy(r))
		task_cancel(&r->task);
}

void share_release_connection(struct share_release *r, uint64_t connection_id)
{
	LIST_EACH (&r->sessions.all, struct share_session, link, session) {
		if (session->connection_id != connection_id)
			continue;
		share_session_take(&r->sessions, session);
		list_add(&r->ended, &session->link);
	}
	if (list_is_empty(&r->ended) || share_release_is_busy(r) || is_too_late(r))
		return;
	task_start_root(&r->task, &release_kind, r->agent->loop);
	if (r->stop_ms)
		task_set_deadline(&r->task, r->stop_ms);
}
