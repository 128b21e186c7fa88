#include "streams/agent/share_session.h"

#include "base/buf.h"
#include "base/memory.h"
#include "wire/kafka/errors.h"

enum { PLACES_FIRST = 4, HELD_FIRST = 4 };

void share_sessions_init(struct share_sessions *s)
{
	map_init(&s->by_key);
	list_init(&s->all);
}

void share_sessions_done(struct share_sessions *s)
{
	LIST_EACH (&s->all, struct share_session, link, session) {
		share_session_take(s, session);
		share_session_free(session);
	}
	map_done(&s->by_key);
}

/* No two pairs have one key: the size of the first comes first. */
static void write_key(struct slice group, struct slice member, struct buf *ret)
{
	buf_init(ret);
	buf_add_u32(ret, (uint32_t)group.size);
	buf_add_slice(ret, group);
	buf_add_slice(ret, member);
}

static struct share_session *open_session(struct share_sessions *s, struct slice group,
					  struct slice member, uint64_t connection_id)
{
	struct share_session *session = NEW(struct share_session);
	struct buf key;

	write_key(group, member, &key);
	session->key = buf_slice(&key); /* taken */
	session->group = slice_part(session->key, 4, group.size);
	session->member = slice_part(session->key, 4 + group.size, member.size);
	session->connection_id = connection_id;
	session->epoch = 1;
	map_put(&s->by_key, session->key, session);
	list_add(&s->all, &session->link);
	return session;
}

struct share_session *share_session_find(const struct share_sessions *s, struct slice group,
					 struct slice member)
{
	struct buf key;

	write_key(group, member, &key);
	struct share_session *session = map_get(&s->by_key, buf_slice(&key));
	buf_done(&key);
	return session;
}

void share_session_take(struct share_sessions *s, struct share_session *session)
{
	map_remove(&s->by_key, session->key);
	list_remove(&session->link);
}

void share_session_free(struct share_session *session)
{
	memory_free((void *)(uintptr_t)session->key.data);
	memory_free(session->places);
	memory_free(session->held);
	memory_free(session);
}

/* A member that begins anew still has what it got before. */
static struct share_session *renew_session(struct share_sessions *s, struct share_session *old,
					   uint64_t connection_id)
{
	share_session_take(s, old);
	struct share_session *ret = open_session(s, old->group, old->member, connection_id);
	ret->held = old->held;
	ret->held_count = old->held_count;
	ret->held_capacity = old->held_capacity;
	ret->is_told = old->is_told;
	old->held = NULL;
	share_session_free(old);
	return ret;
}

int16_t share_session_begin(struct share_sessions *s, struct slice group, struct slice member,
			    int32_t epoch, uint64_t connection_id, struct share_session **ret)
{
	struct share_session *session = share_session_find(s, group, member);

	if (epoch == SHARE_EPOCH_OPEN) {
		if (!session && s->by_key.count >= SHARE_SESSIONS_MAX)
			return KAFKA_SHARE_SESSION_LIMIT_REACHED;
		*ret = session ? renew_session(s, session, connection_id)
			       : open_session(s, group, member, connection_id);
		return KAFKA_NONE;
	}
	if (!session)
		return KAFKA_SHARE_SESSION_NOT_FOUND;
	if (epoch != SHARE_EPOCH_END && epoch != session->epoch)
		return KAFKA_INVALID_SHARE_SESSION_EPOCH;
	if (epoch != SHARE_EPOCH_END)
		session->epoch = epoch == INT32_MAX ? 1 : epoch + 1;
	*ret = session;
	return KAFKA_NONE;
}

/* --- what it reads -----------------------------------------------------------------------------
 */

static size_t find(const struct share_session *session, const struct share_place *place)
{
	size_t i = 0;

	while (i < session->count && (session->places[i].partition != place->partition ||
				      !uuid_equal(session->places[i].topic_id, place->topic_id)))
		i++;
	return i;
}

bool share_session_add(struct share_session *session, const struct share_place *place)
{
	if (find(session, place) < session->count)
		return true;
	if (session->count == SHARE_SESSION_PARTITIONS_MAX)
		return false;
	if (session->count == session->capacity) {
		session->capacity = session->capacity ? 2 * session->capacity : PLACES_FIRST;
		session->places =
			memory_grow(session->places, session->capacity * sizeof(*session->places));
	}
	session->places[session->count++] = *place;
	return true;
}

void share_session_remove(struct share_session *session, const struct share_place *place)
{
	size_t at = find(session, place);

	if (at == session->count)
		return;
	session->count--;
	for (; at < session->count; at++)
		session->places[at] = session->places[at + 1];
}

/* --- what it got -------------------------------------------------------------------------------
 */

static bool is_of(const struct share_held *held, const struct share_place *place)
{
	return held->place.partition == place->partition &&
	       uuid_equal(held->place.topic_id, place->topic_id);
}

/* The latest of the partition, which what is new mostly follows. */
static struct share_held *find_held(const struct share_session *session,
				    const struct share_place *place)
{
	for (size_t i = session->held_count; i > 0; i--)
		if (is_of(&session->held[i - 1], place))
			return &session->held[i - 1];
	return NULL;
}

/* The older half: the locks of what of it the member still has end with their time. */
static void forget_old(struct share_session *session)
{
	size_t gone = session->held_count / 2;

	session->held_count -= gone;
	memmove(session->held, session->held + gone, session->held_count * sizeof(*session->held));
}

void share_session_hold(struct share_session *session, const struct share_held *got)
{
	struct share_held *before = find_held(session, &got->place);

	if (before && before->deliveries == got->deliveries && before->last + 1 == got->first) {
		before->last = got->last;
		return;
	}
	if (session->held_count == SHARE_SESSION_HELD_MAX)
		forget_old(session);
	if (session->held_count == session->held_capacity) {
		session->held_capacity =
			session->held_capacity ? 2 * session->held_capacity : HELD_FIRST;
		session->held =
			memory_grow(session->held, session->held_capacity * sizeof(*session->held));
	}
	session->held[session->held_count++] = *got;
}
