#include "streams/coordinator/transaction_session.h"

#include <string.h>

#include "base/endian.h"

static struct transaction_session entry(struct slice sessions, size_t i)
{
	const uint8_t *p = sessions.data + i * TRANSACTION_SESSION_BYTES;

	return (struct transaction_session) {
		.incarnation = (int64_t)get_u64(p),
		.connection = (int64_t)get_u64(p + 8),
	};
}

static size_t count_of(struct slice sessions)
{
	return sessions.size / TRANSACTION_SESSION_BYTES;
}

enum transaction_session_age transaction_session_look(struct slice sessions,
						      struct transaction_session session)
{
	if (session.incarnation == 0)
		return TRANSACTION_SESSION_SAME;
	for (size_t i = 0; i < count_of(sessions); i++) {
		struct transaction_session known = entry(sessions, i);
		if (known.incarnation != session.incarnation)
			continue;
		if (session.connection > known.connection)
			return TRANSACTION_SESSION_NEWER;
		return i == 0 && session.connection == known.connection ? TRANSACTION_SESSION_SAME
									: TRANSACTION_SESSION_OLDER;
	}
	return TRANSACTION_SESSION_NEWER;
}

struct slice transaction_session_note(struct arena *a, struct slice sessions,
				      struct transaction_session session)
{
	uint8_t *noted =
		arena_take(a, (size_t)TRANSACTION_SESSIONS_MAX * TRANSACTION_SESSION_BYTES);
	size_t count = 1;

	put_u64(noted, (uint64_t)session.incarnation);
	put_u64(noted + 8, (uint64_t)session.connection);
	for (size_t i = 0; i < count_of(sessions) && count < TRANSACTION_SESSIONS_MAX; i++) {
		if (entry(sessions, i).incarnation == session.incarnation)
			continue;
		memcpy(noted + count++ * TRANSACTION_SESSION_BYTES,
		       sessions.data + i * TRANSACTION_SESSION_BYTES, TRANSACTION_SESSION_BYTES);
	}
	return (struct slice) { noted, count * TRANSACTION_SESSION_BYTES };
}
