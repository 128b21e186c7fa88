/* What the files of ShareFetch share: one request, and what it is about. */
#ifndef STREAMS_AGENT_SHARE_FETCH_H
#define STREAMS_AGENT_SHARE_FETCH_H

#include "kafka_messages.h"
#include "streams/agent/answer_room.h"
#include "streams/agent/partition_read.h"
#include "streams/agent/request.h"
#include "streams/agent/share_release.h"
#include "streams/agent/time_lookup.h"
#include "streams/catalog/share.h"

enum {
	SHARE_FETCH_BYTES_MAX = 16 << 20, /* of one answer, about */
	SHARE_FETCH_RECORDS_MAX = 10000,
	SHARE_FETCH_WAIT_MS_MAX = 300000,
	SHARE_FETCH_ROUNDS_MAX = 100, /* looks in vain because others were faster; */
	SHARE_FETCH_ROUNDS_LATE = 3,  /* when the member has waited long enough */
	SHARE_FETCH_VAIN_MS = 10,     /* from the second one on there are pauses, growing */
	SHARE_FETCH_VAIN_MS_MAX = 500,
	SHARE_FETCH_PAUSE_MS = 20, /* a lock that ends is looked at not more often */
	SHARE_FETCH_CATCH_UP_MS = 5000,
	SHARE_FETCH_LOOKUPS_MAX = 16, /* at a time, for where a group begins by age */
};

/* A partition of the session, or one that is only spoken of. */
struct share_reading {
	struct share_place place;
	bool is_read;	 /* of the session */
	bool has_answer; /* the client said something of its records */
	bool is_new;	 /* nobody of the group has begun it, as far as the replica knows */
	bool has_begin;	 /* and it begins there, by age */
	int64_t begin;
	const struct kafka_share_fetch_request_partition *asked; /* then */
	int16_t code, answer_code;
	struct catalog_topic topic;
	struct catalog_partition found;
	struct share_partition state;
	int64_t from, end; /* what may be there for this member */
	struct replica_watch grows, changes;
	struct partition_read read;
	bool is_asked;	 /* it stands in the question to control, */
	size_t question; /* there */
	const struct peer_share_response_acquired *acquired;
	size_t acquired_count;
};

/* Where a group that begins by age does so in a partition that is new to it. */
struct share_lookup {
	struct share_reading *reading;
	struct time_lookup lookup;
};

struct share_fetch {
	struct request *owner;
	const struct kafka_share_fetch_request *request;
	struct kafka_share_fetch_response response;
	struct share_session *session; /* only while the request begins */
	struct share_reading *readings;
	size_t count;
	bool is_last, is_first; /* of the session */
	bool is_session_full;	/* some of what is asked for has no place in it */
	struct share_rules rules;
	struct share_call call;
	struct peer_share_request *question;
	struct replica_wait wait;
	struct arena looked;
	uint64_t deadline_ms, pause_until_ms;
	int rounds;
	struct timer timer;
	struct answer_room room;
	struct slow_turn turn;
	struct share_lookup *lookups;	 /* SHARE_FETCH_LOOKUPS_MAX, or NULL */
	size_t lookups_count, looked_up; /* of the round; readings that need none any more */
	size_t gathered;		 /* readings in their turn */
	bool has_records;
};

/* --- share_ask.c: what the client says, and what control is asked -------------------------------
 */

/* All that is read or spoken of, each once, in order; the session is brought up to date. */
void share_gather_readings(struct request *r, struct share_fetch *f);

/* Who may read what, and what is new.  Where that begins by age it is looked for, some of it at a
 * time: true, wait for lookups, and then come again. */
void share_examine(struct request *r, struct share_fetch *f);
bool share_look_up(struct request *r, struct share_fetch *f);

/* What the client said, what nobody has begun, and at the end what goes back. */
void share_ask_first(struct request *r, struct share_fetch *f);
void share_take_first(struct share_fetch *f);

/* A new question, and a partition in it. */
void share_begin_question(struct request *r, struct share_fetch *f);
struct peer_share_request_partition *share_add_question(struct share_fetch *f,
							struct share_reading *it);

/* --- share_read.c: the records -----------------------------------------------------------------
 */

/* Where the partitions are, as the replica has it. */
void share_look(struct request *r, struct share_fetch *f);
bool share_has_records(const struct share_reading *it);

/* False: wait for room. */
bool share_take_room(struct request *r, struct share_fetch *f, void (*on_timer)(struct timer *));
void share_let_go(struct request *r, struct share_fetch *f); /* of room and of what was read */

/* Reads are children of the request; when they have ended they are gathered. */
enum share_gathering {
	SHARE_GATHERED,
	SHARE_GATHER_WAITS,	 /* for one more read, or a turn */
	SHARE_GATHER_NEEDS_ROOM, /* let go, and take more */
};
void share_plan(struct request *r, struct share_fetch *f);
enum share_gathering share_gather(struct request *r, struct share_fetch *f);

/* Ask for what was read; false: there is nothing to acquire. */
bool share_ask_for_records(struct request *r, struct share_fetch *f);

/* True: the member got something, or there is an error to tell.  What it did not get is let go of,
 * the rest is a part of the answer. */
bool share_take_records(struct request *r, struct share_fetch *f);

#endif
