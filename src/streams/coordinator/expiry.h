/* What goes by itself because it is old or too much: records (retention.h), topics that were
 * deleted (deleted_topic.h), producers that write no more (expire_producers.h).  One task of the
 * leader, in bounded steps, by the deletion clock (deletion_clock.h).  sweep.h does the rest of
 * their work. */
#ifndef STREAMS_COORDINATOR_EXPIRY_H
#define STREAMS_COORDINATOR_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

struct cell;
struct coordinator;

enum {
	EXPIRY_IDLE_MS = 1000,
	EXPIRY_PAUSE_MS = 5,	     /* between steps while there is more */
	EXPIRY_PARTITIONS_MAX = 100, /* of one step */
	EXPIRY_FULL_MS = 60 * 1000,  /* that a catalog counts as full which refused something */
	EXPIRY_CLOCK_MS =
		60 * 60 * 1000, /* between notes of the clock while the journal grows; none
					   * is made while nothing happens */
};

/* Run until canceled; ends by itself soon after expiry_cancel(). */
void expiry_start(struct coordinator *c);
void expiry_cancel(struct coordinator *c);

/* Settings of topics or brokers changed, or a topic was brought back.  Also in a transaction. */
void expiry_changed(struct coordinator *c);

/* In a transaction that has deleted runs, right after it did. */
void expiry_runs_deleted(struct coordinator *c, struct cell *cell);

/* Did the catalog refuse something a moment ago because it is full? */
bool expiry_is_full(const struct coordinator *c);

/* The time by which things are deleted; 0: not known yet. */
int64_t expiry_now_ms(const struct coordinator *c);

#endif
