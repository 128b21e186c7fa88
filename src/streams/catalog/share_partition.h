/* What a share group (KIP-932) knows of a partition, as an engine without I/O:
 *
 *	            start                                   end
 *	-- done ----|-- done, acquired or available ranges --|-- nobody has had these --
 *
 *	AVAILABLE -- acquire --> ACQUIRED -- accept, reject, gap --> DONE
 *	     ^                      |
 *	     '-- release, time -----'   or DONE when it was delivered too often
 *
 * Who acquires has a lock on the records for a while.  What is done at the start is forgotten.
 * Both halves read it, the coordinator changes it.  Everything lives in the arena. */
#ifndef STREAMS_CATALOG_SHARE_PARTITION_H
#define STREAMS_CATALOG_SHARE_PARTITION_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum {
	SHARE_RECORDS_IN_FLIGHT_MAX = 2000, /* of a partition: acquired, or given back */
	SHARE_RANGES_MAX = 2 * SHARE_RECORDS_IN_FLIGHT_MAX + 1,
	SHARE_DELIVERIES_MAX = 5,
	SHARE_GIVE_BACK_MAX = 1000, /* ranges at once */
	SHARE_MEMBER_ID_BYTES_MAX = 292,
};

enum share_state { SHARE_AVAILABLE, SHARE_ACQUIRED, SHARE_DONE, SHARE_STATE_COUNT };

/* Kafka's numbers. */
enum share_answer { SHARE_GAP, SHARE_ACCEPT, SHARE_RELEASE, SHARE_REJECT, SHARE_RENEW };

struct share_range {
	int64_t first, last;
	enum share_state state;
	int16_t deliveries;  /* of records that are not done */
	struct slice holder; /* member id, of ACQUIRED */
	int64_t until_ms;    /* of its lock */
};

struct share_partition {
	struct arena *arena;
	int64_t row; /* of the catalog; 0: it was not read from there */
	int64_t start;
	struct share_range *ranges; /* one after the other from `start` on */
	size_t count, capacity;
};

void share_partition_init(struct share_partition *p, struct arena *a, int64_t start);

/* The form of it that is stored: doc/formats/share.md.  ERR_CORRUPT; what is decoded borrows from
 * `bytes`. */
MUST_CHECK enum err share_partition_decode(struct arena *a, struct slice bytes,
					   struct share_partition *ret);
void share_partition_encode(const struct share_partition *p, struct buf *out);

/* Nobody has had this offset yet, nor those behind it. */
int64_t share_partition_end(const struct share_partition *p);

/* From here on there may be something to acquire; *ret_last is the last offset of which that holds:
 * INT64_MAX where nobody has had what follows.  False: as many as may be are in flight. */
bool share_partition_next(const struct share_partition *p, int64_t now_ms, int64_t *ret_first,
			  int64_t *ret_last);

/* When the first lock ends; INT64_MAX: there is none. */
int64_t share_partition_deadline_ms(const struct share_partition *p);

/* Records behind the start that are done. */
int64_t share_partition_done_count(const struct share_partition *p);

/* Locks whose time is over are gone.  True: there were some. */
bool share_partition_expire(struct share_partition *p, int64_t now_ms);

/* What lies before `start` was deleted.  True: something has changed. */
bool share_partition_move_start(struct share_partition *p, int64_t start);

struct share_acquire {
	struct slice member;
	int64_t now_ms, lock_ms;
	int64_t wanted; /* records; what was acquired is taken off */
	bool is_exact;	/* no more than that; else to the end of a batch */
};

/* Acquire what is available of a batch that was read.  Batches come in the order of their offsets,
 * without holes.  Appends to `ret` what the member got, in the arena. */
struct share_acquired {
	struct share_range *ranges;
	size_t count, capacity;
};
void share_partition_acquire(struct share_partition *p, struct share_acquire *acquire,
			     int64_t first, int64_t last, struct share_acquired *ret);

/* Records of an aborted transaction are done; nobody gets them. */
void share_partition_pass_over(struct share_partition *p, int64_t first, int64_t last);

/* What the member says of records it has acquired: one answer for all of them, or one for each.
 * Kafka's code; unless that is KAFKA_NONE nothing has changed. */
int16_t share_partition_acknowledge(struct share_partition *p, struct slice member, int64_t now_ms,
				    int64_t lock_ms, int64_t first, int64_t last,
				    const int8_t *answers, size_t count);

/* The member gives back all it has; as Kafka has it, that was no delivery.  True: there was
 * something. */
bool share_partition_release(struct share_partition *p, struct slice member);

/* The same for these ranges, as far as the member still has them from the same acquisition: with so
 * many deliveries. */
bool share_partition_give_back(struct share_partition *p, struct slice member,
			       const struct share_range *ranges, size_t count);

#endif
