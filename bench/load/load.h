/* A load generator for anything that speaks Kafka's protocol: producers and consumers of one
 * process, on plain sockets, so that the same client loads every broker.
 *
 *	open loop     records are due at moments that were drawn beforehand, as of many clients that
 *	              know nothing of each other; a latency counts from when its record was due, so
 *	              a broker that stalls cannot hide what was not sent meanwhile (coordinated
 *	              omission)
 *	closed loop   as much as the broker takes: each producer always has its requests in flight
 *
 * Producers do as Kafka's own would: a batch for each partition, sent when it is full or has waited
 * for linger; a request takes the first batch of each partition up to a MiB; five requests in
 * flight; acks=all, with identity and sequence numbers.  Each value begins with this run's mark and
 * the moment it was due, from which consumers in the same process take the end-to-end latency. */
#ifndef BENCH_LOAD_LOAD_H
#define BENCH_LOAD_LOAD_H

#include <stdbool.h>

#include "base/list.h"
#include "histogram.h"
#include "peer.h"
#include "servers.h"

enum {
	LOAD_US_PER_S = 1000000,
	LOAD_STAMP_BYTES = 16,		  /* mark and moment, in front of each value */
	LOAD_REQUEST_BYTES_MAX = 1 << 20, /* of batches; Kafka's max.request.size */
	LOAD_WAITING_BYTES_MAX = 1 << 30, /* records beyond are due, but are not made yet */
	LOAD_DELIVERY_US_MAX = 120000000, /* Kafka's delivery.timeout.ms */
	LOAD_DRAIN_US_MAX = 60000000,	  /* after the end, for what is under way */
	LOAD_QUEUES_MAX = 8 << 20,	  /* producers by partitions */
};

/* What a user chose, with the stock client's defaults where it has any. */
struct load_options {
	const char *broker; /* HOST:PORT,...: connections go to them in turn */
	const char *topic, *keys, *from;
	size_t topics, partitions; /* of each topic */
	size_t connections, consumers;
	size_t record_bytes, batch_bytes, linger_ms, in_flight;
	size_t rate; /* records a second of all producers; 0: closed loop */
	size_t seconds, warm_seconds;
	size_t fetch_bytes, fetch_wait_ms;
	bool creates;
	struct servers servers;
};

/* Seconds of CPU. */
struct load_spent {
	double servers_s, client_s;
};

struct load {
	struct load_options options;
	struct peers peers;
	const char *next_broker; /* in options.broker; NULL or its end: the first one */
	uint64_t mark;
	uint64_t start_us, from_us, until_us; /* counted is what is due in [from, until) */
	uint64_t now_us;
	struct list lingering; /* open batches, oldest first */
	struct list pausing;   /* producers */
	size_t waiting_bytes;  /* made and not yet acknowledged */
	uint64_t made, acknowledged, failed, retried, expected, consumed;
	uint64_t produced_bytes, consumed_bytes; /* while it counts; as values */
	uint64_t produce_requests, fetch_requests;
	struct load_spent spent_before; /* since it counts */
	bool is_counting;
	struct histogram produce, end_to_end, late; /* late: made after it was due */
};

_Noreturn void load_die(const char *what, const char *why);

/* Whether a record that was due then is in the results. */
static inline bool load_counts(const struct load *l, uint64_t due_us)
{
	return due_us >= l->from_us && due_us < l->until_us;
}

/* Of all topics together. */
static inline size_t load_partition_count(const struct load *l)
{
	return l->options.topics * l->options.partitions;
}

/* The name of a topic by its number, and back; -1: no topic of this load. */
struct slice load_topic_name(const struct load *l, size_t number, char ret[static 256]);
int64_t load_topic_number(const struct load *l, struct slice name);

#endif
