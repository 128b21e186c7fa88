/* Transactions that take longer than their producer said are aborted, by the clock of whoever
 * leads.  Time in which nobody led, or this process stood still, is not counted. */
#ifndef STREAMS_COORDINATOR_TRANSACTION_CLOCK_H
#define STREAMS_COORDINATOR_TRANSACTION_CLOCK_H

#include "cells/cell.h"

struct coordinator;

enum {
	TRANSACTION_TICK_MS = 500,
	TRANSACTION_LATE_MS = 1000,   /* a tick later than this: this process stood still */
	TRANSACTION_PAUSES_MAX = 64,  /* that are remembered; of more, the last ones */
	TRANSACTION_EXPIRED_MAX = 10, /* transactions aborted by one command */
};

/* Time since some moment, without the pauses.  Zero it, then transaction_clock_start(). */
struct transaction_clock {
	int64_t since_ms; /* this process leads */
	struct {
		int64_t at_ms, late_ms;
	} pauses[TRANSACTION_PAUSES_MAX]; /* oldest first */
	int pause_count;
};

void transaction_clock_start(struct transaction_clock *c, int64_t now_ms);
void transaction_clock_pause(struct transaction_clock *c, int64_t now_ms, int64_t late_ms);
int64_t transaction_clock_elapsed(const struct transaction_clock *c, int64_t since_ms,
				  int64_t now_ms);

/* One command: aborts those that are over, at most TRANSACTION_EXPIRED_MAX. */
struct transaction_expiry {
	const struct transaction_clock *clock;
	int64_t now_ms;
	int ret_count;
};
MUST_CHECK enum err transaction_expire(struct cell *cell, void *argument);

/* Is there any that is over?  Reads only. */
bool transaction_is_any_over(struct cell *cell, const struct transaction_expiry *e);

/* Watch until canceled; ends by itself soon after transactions_cancel(). */
void transactions_start(struct coordinator *c);
void transactions_cancel(struct coordinator *c);

#endif
