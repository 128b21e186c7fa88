/* One pass of compaction by key over a partition: first every batch from the first offset that no
 * pass has seen is noted, as far as the map of keys reaches, then every batch of the partition is
 * filtered, the oldest first.  What a partition loses is
 *
 * - records of which a later one with the same key was noted, and records without a key; nothing is
 *   noted of a batch that cannot be read to its end;
 * - tombstones whose time has come, see record_filter.h;
 * - batches of transactions that were aborted, and the markers of transactions: nothing is left
 *   that readers would need them for.
 *
 * All of it is decided: a pass ends before the last stable offset.  The order matters: a tombstone
 * gets a time to go in a pass that has already removed what it deletes.  A pass that ends early has
 * done no harm.  No I/O here: the caller has the batches, with their final offsets. */
#ifndef STREAMS_AGENT_KEY_PASS_H
#define STREAMS_AGENT_KEY_PASS_H

#include "streams/agent/key_map.h"
#include "streams/catalog/transactions.h"
#include "wire/kafka/record_filter.h"

struct key_pass {
	struct key_map *map;
	int64_t end;	/* noted is what comes before */
	bool is_full;	/* the map is: the batch at `end`, and what follows, are for another pass */
	int64_t now_ms; /* by which tombstones go */
	int64_t delete_retention_ms;
	/* the aborted transactions with records among the batches that come next */
	const struct catalog_marker *aborted;
	size_t aborted_count;
	/* for the log */
	int64_t kept, dropped; /* records */
	int64_t unreadable;    /* batches that stay as they are */
};

/* `keys_bytes` is memory for keys: KEY_MAP_BYTES_MAX, less in tests. */
void key_pass_init(struct key_pass *p, size_t keys_bytes, int64_t start, int64_t now_ms,
		   int64_t delete_retention_ms);
void key_pass_done(struct key_pass *p);

/* Note the keys of a batch; batches come in order.  Nothing more is noted once the map is full. */
void key_pass_note(struct key_pass *p, const struct record_batch *b);

/* Append what is left of a batch; true: it differs from what was there.  `is_last`: it stays, empty
 * if need be, so that readers get past the offsets before it. */
bool key_pass_filter(struct key_pass *p, const struct record_batch *b, bool is_last,
		     struct buf *out);

#endif
