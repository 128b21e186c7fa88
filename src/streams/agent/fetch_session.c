#include "streams/agent/fetch_session.h"

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/random.h"
#include "wire/kafka/errors.h"

enum { EPOCH_NEW = 0, EPOCH_NONE = -1, READ_COMMITTED = 1 };

struct session_topic {
	struct uuid id;
	size_t partition_count;
	struct slice key; /* its name, behind the struct, or its id */
};

struct session_partition {
	struct list link; /* in the session's order, or among the quiet */
	struct fetch_session *session;
	struct session_topic *topic;
	int64_t number; /* with `topic` the key */
	struct kafka_fetch_request_partition asked;
	int64_t told_high_watermark, told_log_start, told_stable;
	struct replica_watch watch;
	bool has_changed; /* since it was looked at */
	bool is_quiet;
};

struct fetch_session {
	struct list link; /* of all, the one unused for longest first */
	int32_t id;
	int32_t epoch; /* of its next request */
	bool by_id;
	int8_t isolation_level;
	struct buf client; /* for whom the quiet are quiet */
	uint64_t looks;	   /* of struct fetch_sessions, when everything was looked at last */
	uint64_t used_ms;
	struct map topics, partitions;
	struct list order; /* whose turn is first; those that are to be looked at */
	struct list quiet;
	size_t quiet_count;
	struct task *waiter; /* the fetch, or NULL */
};

struct fetch_sessions {
	struct replica *replica;
	uint64_t looks; /* one more when everything is to be looked at */
	struct map all; /* by id */
	struct list order;
	size_t partition_count;
};

struct fetch_sessions *fetch_sessions_new(struct replica *replica)
{
	struct fetch_sessions *s = NEW(struct fetch_sessions);

	s->replica = replica;
	map_init(&s->all);
	list_init(&s->order);
	return s;
}

/* --- partitions of a session -------------------------------------------------------------------
 */

struct partition_key {
	const struct session_topic *topic;
	int64_t number;
};

static struct slice partition_key(const struct partition_key *key)
{
	return (struct slice) { (const uint8_t *)key, sizeof(*key) };
}

static struct slice key_of(const struct session_partition *p)
{
	_Static_assert(offsetof(struct session_partition, number) -
				       offsetof(struct session_partition, topic) ==
			       offsetof(struct partition_key, number),
		       "the fields of the key stand together");
	return (struct slice) { (const uint8_t *)&p->topic, sizeof(struct partition_key) };
}

static struct slice topic_key(bool by_id, const struct slice *name, const struct uuid *id)
{
	return by_id ? (struct slice) { id->bytes, sizeof(id->bytes) } : *name;
}

static struct session_topic *take_topic(struct fetch_session *session, const struct slice *name,
					const struct uuid *id)
{
	struct slice key = topic_key(session->by_id, name, id);
	struct session_topic *topic = map_get(&session->topics, key);

	if (topic)
		return topic;
	topic = memory_take(sizeof(*topic) + key.size + 1);
	topic->id = *id;
	if (key.size)
		memcpy(topic + 1, key.data, key.size);
	topic->key = (struct slice) { (const uint8_t *)(topic + 1), key.size };
	map_put(&session->topics, topic->key, topic);
	return topic;
}

static void drop_topic_if_unused(struct fetch_session *session, struct session_topic *topic)
{
	if (topic->partition_count > 0)
		return;
	map_remove(&session->topics, topic->key);
	memory_free(topic);
}

static void make_loud(struct session_partition *p)
{
	if (!p->is_quiet)
		return;
	p->is_quiet = false;
	p->session->quiet_count--;
	list_remove(&p->link);
	list_add(&p->session->order, &p->link);
}

static void make_quiet(struct session_partition *p)
{
	if (p->is_quiet)
		return;
	p->is_quiet = true;
	p->session->quiet_count++;
	list_remove(&p->link);
	list_add(&p->session->quiet, &p->link);
}

static void make_all_loud(struct fetch_session *session)
{
	LIST_EACH (&session->quiet, struct session_partition, link, p)
		make_loud(p);
}

static void wake_waiter(struct fetch_session *session)
{
	if (session->waiter)
		task_wake(session->waiter);
}

static void on_change(struct replica_watch *watch)
{
	struct session_partition *p = CONTAINER(watch, struct session_partition, watch);

	p->has_changed = true;
	make_loud(p);
	wake_waiter(p->session);
}

static struct session_partition *find_partition(const struct fetch_session *session,
						struct slice topic_name, int32_t number)
{
	struct partition_key key = { map_get(&session->topics, topic_name), number };

	return key.topic ? map_get(&session->partitions, partition_key(&key)) : NULL;
}

static void add_partition(struct fetch_sessions *s, struct fetch_session *session,
			  struct session_topic *topic,
			  const struct kafka_fetch_request_partition *asked)
{
	struct session_partition *p = find_partition(session, topic->key, asked->partition);

	if (!p) {
		p = NEW(struct session_partition);
		p->session = session;
		p->topic = topic;
		p->number = asked->partition;
		p->told_high_watermark = p->told_log_start = p->told_stable = -1;
		map_put(&session->partitions, key_of(p), p);
		list_add(&session->order, &p->link);
		topic->partition_count++;
		s->partition_count++;
	}
	p->asked = *asked;
	make_loud(p);
}

static void drop_partition(struct fetch_sessions *s, struct fetch_session *session,
			   struct session_partition *p)
{
	struct session_topic *topic = p->topic;

	make_loud(p);
	replica_watch_remove(&p->watch);
	map_remove(&session->partitions, key_of(p));
	list_remove(&p->link);
	memory_free(p);
	s->partition_count--;
	topic->partition_count--;
	drop_topic_if_unused(session, topic);
}

static void forget_partition(struct fetch_sessions *s, struct fetch_session *session,
			     struct slice topic_name, int32_t number)
{
	struct session_partition *p = find_partition(session, topic_name, number);

	if (p)
		drop_partition(s, session, p);
}

/* --- sessions ----------------------------------------------------------------------------------
 */

static struct slice id_key(const int32_t *id)
{
	return (struct slice) { (const uint8_t *)id, sizeof(*id) };
}

static struct fetch_session *find(const struct fetch_sessions *s, int32_t id)
{
	return map_get(&s->all, id_key(&id));
}

static void drop(struct fetch_sessions *s, struct fetch_session *session)
{
	wake_waiter(session);
	make_all_loud(session);
	LIST_EACH (&session->order, struct session_partition, link, p)
		drop_partition(s, session, p);
	buf_done(&session->client);
	map_remove(&s->all, id_key(&session->id));
	list_remove(&session->link);
	map_done(&session->partitions);
	map_done(&session->topics);
	memory_free(session);
}

void fetch_sessions_free(struct fetch_sessions *s)
{
	LIST_EACH (&s->order, struct fetch_session, link, session)
		drop(s, session);
	map_done(&s->all);
	memory_free(s);
}

static size_t count_partitions(const struct kafka_fetch_request *request)
{
	size_t count = 0;

	for (size_t i = 0; i < request->topics_count; i++)
		count += request->topics[i].partitions_count;
	return count;
}

static bool is_full(const struct fetch_sessions *s, size_t added)
{
	return s->all.count >= FETCH_SESSIONS_MAX ||
	       s->partition_count + added > FETCH_SESSIONS_PARTITIONS_MAX;
}

/* Room for another session of so many partitions, by ending those nobody uses. */
static bool make_room(struct fetch_sessions *s, size_t added, uint64_t now_ms)
{
	if (added == 0 || added > FETCH_SESSION_PARTITIONS_MAX)
		return false;
	LIST_EACH (&s->order, struct fetch_session, link, session) {
		if (!is_full(s, added) || now_ms - session->used_ms < FETCH_SESSION_UNUSED_MS)
			break;
		drop(s, session);
	}
	return !is_full(s, added);
}

static struct fetch_session *make_session(struct fetch_sessions *s, bool by_id)
{
	struct fetch_session *session = NEW(struct fetch_session);

	map_init(&session->topics);
	map_init(&session->partitions);
	list_init(&session->order);
	list_init(&session->quiet);
	buf_init(&session->client);
	session->by_id = by_id;
	session->epoch = 1;
	do {
		session->id = (int32_t)(random_u64() & INT32_MAX);
	} while (session->id == 0 || find(s, session->id));
	map_put(&s->all, id_key(&session->id), session);
	list_add(&s->order, &session->link);
	return session;
}

/* What is quiet for one client need not be for another, or for one that reads otherwise. */
static void use(struct fetch_sessions *s, struct fetch_session *session, uint64_t now_ms,
		const struct fetch_session_client *client, int8_t isolation_level)
{
	struct buf who;

	buf_init(&who);
	buf_add_slice(&who, client->principal);
	buf_add(&who, "", 1);
	buf_add_slice(&who, client->host);
	if (!slice_equal(buf_slice(&who), buf_slice(&session->client)) ||
	    isolation_level != session->isolation_level)
		make_all_loud(session);
	buf_done(&session->client);
	session->client = who;
	session->isolation_level = isolation_level;
	session->used_ms = now_ms;
	list_remove(&session->link);
	list_add(&s->order, &session->link);
}

static void add_asked(struct fetch_sessions *s, struct fetch_session *session,
		      const struct kafka_fetch_request *request)
{
	for (size_t i = 0; i < request->topics_count; i++) {
		const struct kafka_fetch_request_topic *asked = &request->topics[i];
		if (asked->partitions_count == 0)
			continue;
		struct session_topic *topic = take_topic(session, &asked->topic, &asked->topic_id);
		for (size_t k = 0; k < asked->partitions_count; k++)
			add_partition(s, session, topic, &asked->partitions[k]);
	}
}

static void forget_asked(struct fetch_sessions *s, struct fetch_session *session,
			 const struct kafka_fetch_request *request)
{
	for (size_t i = 0; i < request->forgotten_topics_data_count; i++) {
		const struct kafka_fetch_request_forgotten_topic *asked =
			&request->forgotten_topics_data[i];
		for (size_t k = 0; k < asked->partitions_count; k++)
			forget_partition(s, session,
					 topic_key(session->by_id, &asked->topic, &asked->topic_id),
					 asked->partitions[k]);
	}
}

/* All that is in its order, as if it had been asked for; names are copied, for the session may end
 * while the fetch waits. */
static void ask_for_all(const struct fetch_session *session, struct arena *a,
			struct kafka_fetch_request *request)
{
	size_t count = session->partitions.count - session->quiet_count, at = 0;
	struct kafka_fetch_request_topic *topic = NULL;
	const struct session_topic *last = NULL;
	struct kafka_fetch_request_partition *partitions =
		arena_take_array(a, count, sizeof(*partitions));

	request->topics = arena_take_array(a, count, sizeof(*request->topics));
	request->topics_count = 0;
	LIST_EACH (&session->order, struct session_partition, link, p) {
		if (p->topic != last) {
			last = p->topic;
			topic = &request->topics[request->topics_count++];
			topic->topic_id = last->id;
			topic->topic = session->by_id ? SLICE("") : arena_copy(a, last->key);
			topic->partitions = &partitions[at];
			topic->partitions_count = 0;
		}
		partitions[at++] = p->asked;
		topic->partitions_count++;
	}
}

static int16_t go_on(struct fetch_sessions *s, const struct fetch_session_client *client,
		     uint64_t now_ms, const struct kafka_fetch_request *request,
		     struct fetch_session_use *ret)
{
	struct fetch_session *session = find(s, request->session_id);

	if (!session)
		return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
	if (session->by_id != client->by_id)
		return KAFKA_FETCH_SESSION_TOPIC_ID_ERROR;
	if (session->epoch != request->session_epoch)
		return KAFKA_INVALID_FETCH_SESSION_EPOCH;
	size_t added = count_partitions(request);
	if (session->partitions.count + added > 2 * FETCH_SESSION_PARTITIONS_MAX ||
	    s->partition_count + added > 2 * FETCH_SESSIONS_PARTITIONS_MAX) {
		drop(s, session);
		return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
	}
	wake_waiter(session); /* a fetch that nobody waits for any more */
	session->waiter = NULL;
	use(s, session, now_ms, client, request->isolation_level);
	add_asked(s, session, request);
	forget_asked(s, session, request);
	session->epoch = session->epoch == INT32_MAX ? 1 : session->epoch + 1;
	if (session->partitions.count > FETCH_SESSION_PARTITIONS_MAX ||
	    s->partition_count > FETCH_SESSIONS_PARTITIONS_MAX) {
		drop(s, session); /* the client begins anew */
		return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
	}
	*ret = (struct fetch_session_use) { .id = session->id, .epoch = session->epoch };
	if (session->partitions.count == 0) { /* nothing is left of it */
		drop(s, session);
		*ret = (struct fetch_session_use) { .is_full = true, .is_empty = true };
	}
	return KAFKA_NONE;
}

int16_t fetch_session_begin(struct fetch_sessions *s, const struct fetch_session_client *client,
			    uint64_t now_ms, const struct kafka_fetch_request *request,
			    struct fetch_session_use *ret)
{
	*ret = (struct fetch_session_use) { .is_full = true };
	if (request->session_epoch != EPOCH_NEW && request->session_epoch != EPOCH_NONE)
		return go_on(s, client, now_ms, request, ret);

	struct fetch_session *before = find(s, request->session_id);
	if (before)
		drop(s, before);
	if (request->session_epoch == EPOCH_NONE ||
	    !make_room(s, count_partitions(request), now_ms))
		return KAFKA_NONE;
	struct fetch_session *session = make_session(s, client->by_id);
	use(s, session, now_ms, client, request->isolation_level);
	session->looks = s->looks;
	add_asked(s, session, request);
	*ret = (struct fetch_session_use) {
		.id = session->id,
		.epoch = session->epoch,
		.is_full = true,
	};
	return KAFKA_NONE;
}

static struct fetch_session *find_used(const struct fetch_sessions *s,
				       const struct fetch_session_use *use)
{
	struct fetch_session *session = use->id ? find(s, use->id) : NULL;

	return session && session->epoch == use->epoch ? session : NULL;
}

bool fetch_session_ask(struct fetch_sessions *s, const struct fetch_session_use *use,
		       struct arena *a, bool everything, struct kafka_fetch_request *request)
{
	struct fetch_session *session = find_used(s, use);

	if (session && (everything || session->looks != s->looks)) {
		make_all_loud(session);
		session->looks = s->looks;
	}
	if (session && !use->is_full)
		ask_for_all(session, a, request);
	else if (use->is_empty || (use->id && !use->is_full))
		request->topics_count = 0;
	return session != NULL;
}

void fetch_session_note(struct fetch_sessions *s, const struct fetch_session_use *use,
			const struct kafka_fetch_request_topic *topic, int32_t partition,
			int64_t row)
{
	const struct fetch_session *session = find_used(s, use);

	if (!session)
		return;
	struct session_partition *p =
		find_partition(session, topic_key(session->by_id, &topic->topic, &topic->topic_id),
			       partition);
	if (!p)
		return;
	p->has_changed = false;
	if (list_is_linked(&p->watch.link) && p->watch.partition == row)
		return;
	replica_watch_remove(&p->watch);
	if (row)
		replica_watch_add_note(s->replica, &p->watch, row, on_change);
}

bool fetch_session_wait(struct fetch_sessions *s, const struct fetch_session_use *use,
			struct task *task)
{
	struct fetch_session *session = find_used(s, use);

	if (session)
		session->waiter = task;
	return session != NULL;
}

void fetch_sessions_look_again(struct fetch_sessions *s)
{
	s->looks++;
}

/* --- answers -----------------------------------------------------------------------------------
 */

static bool has_changed(const struct session_partition *p,
			const struct kafka_fetch_response_partition *told)
{
	return told->error_code || told->records.size > 0 || told->preferred_read_replica >= 0 ||
	       told->high_watermark != p->told_high_watermark ||
	       told->log_start_offset != p->told_log_start ||
	       told->last_stable_offset != p->told_stable;
}

/* An error is told again until it is over, whatever the offsets. */
static void remember(struct fetch_session *session, struct session_partition *p,
		     const struct kafka_fetch_response_partition *told)
{
	p->told_high_watermark = told->error_code ? -1 : told->high_watermark;
	p->told_log_start = told->log_start_offset;
	p->told_stable = told->last_stable_offset;
	if (told->records.size > 0) {
		list_remove(&p->link);
		list_add(&session->order, &p->link);
	}
}

/* The client has read all there is, knows it, and no later change is noted. */
static bool has_nothing_to_tell(const struct fetch_session *session,
				const struct session_partition *p,
				const struct kafka_fetch_response_partition *told)
{
	int64_t end = session->isolation_level == READ_COMMITTED ? told->last_stable_offset
								 : told->high_watermark;

	return !p->has_changed && list_is_linked(&p->watch.link) && !told->error_code &&
	       told->preferred_read_replica < 0 && p->asked.fetch_offset >= end;
}

static void end_topic(struct fetch_session *session, bool is_full_answer,
		      struct kafka_fetch_response_topic *topic)
{
	struct slice name = topic_key(session->by_id, &topic->topic, &topic->topic_id);
	size_t kept = 0;

	for (size_t i = 0; i < topic->partitions_count; i++) {
		struct kafka_fetch_response_partition *told = &topic->partitions[i];
		struct session_partition *p = find_partition(session, name, told->partition_index);
		bool is_kept = is_full_answer || !p || has_changed(p, told);
		if (p && is_kept)
			remember(session, p, told);
		if (p && has_nothing_to_tell(session, p, told))
			make_quiet(p);
		if (is_kept)
			topic->partitions[kept++] = *told;
	}
	topic->partitions_count = kept;
}

void fetch_session_end(struct fetch_sessions *s, const struct fetch_session_use *use,
		       struct kafka_fetch_response *response)
{
	struct fetch_session *session = find_used(s, use);
	size_t kept = 0;

	response->session_id = use->id;
	if (!session)
		return; /* it went on or ended meanwhile: all is told */
	for (size_t i = 0; i < response->responses_count; i++) {
		end_topic(session, use->is_full, &response->responses[i]);
		if (use->is_full || response->responses[i].partitions_count > 0)
			response->responses[kept++] = response->responses[i];
	}
	response->responses_count = kept;
}

size_t fetch_sessions_count(const struct fetch_sessions *s)
{
	return s->all.count;
}

size_t fetch_sessions_partitions(const struct fetch_sessions *s)
{
	return s->partition_count;
}
