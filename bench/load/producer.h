/* One producer: a connection, an identity, and the batches that are made for it.
 *
 *	open batch of its partition -> full, or lingered: ready -> in flight -> acknowledged
 *	                                                  ^--- a pause ---'  an error that passes */
#ifndef BENCH_LOAD_PRODUCER_H
#define BENCH_LOAD_PRODUCER_H

#include "load.h"

enum { PRODUCER_IN_FLIGHT_MAX = 64 };

struct batch {
	struct list link;      /* in its partition's queue, or in a request */
	struct list lingering; /* in load->lingering while it is open */
	struct producer *producer;
	size_t partition;
	struct buf bytes;   /* with room for the header in front */
	uint64_t *due_us;   /* of each record */
	size_t count;	    /* records */
	size_t value_bytes; /* of all of them */
	uint64_t opened_us;
	int32_t base_sequence; /* -1: was never sent */
	bool is_ready;
};

/* Batches of one partition, the oldest first; only the last one may be open. */
struct queue {
	struct list batches, link; /* link: in producer->queues while it has batches */
	int32_t next_sequence;
};

struct request {
	struct list batches;
};

struct producer {
	struct peer peer;
	struct load *load;
	int64_t id;
	int16_t epoch;
	struct queue *partitions;
	struct list queues;
	size_t ready_count; /* batches */
	struct request in_flight[PRODUCER_IN_FLIGHT_MAX];
	size_t flight_first, flight_count;
	size_t sticky, sticky_bytes; /* the partition of records without keys */
	uint64_t pause_until_us;     /* after an error */
	struct list pausing;	     /* in load->pausing until then */
};

/* Asks for an identity; producer_begin() reads the answer, so many may ask at a time. */
void producer_open(struct producer *p, struct load *l);
void producer_begin(struct producer *p);

/* A record more, which was due then. */
void producer_make(struct producer *p, uint64_t due_us);

/* Requests, as many as may be in flight now. */
void producer_push(struct producer *p);

/* Closed loop: enough records for all the requests that may be in flight. */
void producer_fill(struct producer *p);

/* What has waited for linger_ms is ready.  Returns when the next batch will have. */
uint64_t producers_linger(struct load *l);

/* Goes on with those that paused.  Returns when the next one will. */
uint64_t producers_resume(struct load *l);

/* What is not acknowledged counts with the time it has waited until now. */
void producer_give_up(struct producer *p);

#endif
