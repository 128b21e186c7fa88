/* What consumers put into the opaque bytes of the classic group protocol: their subscription (in
 * JoinGroup) and their assignment (in SyncGroup).
 *
 *	subscription   int16 version | []string topics | bytes user data, may be null
 *	               1+: []{ string topic | []int32 partitions } owned
 *	               2+: int32 generation   3+: string rack, may be null
 *	assignment     int16 version | []{ string topic | []int32 partitions } | bytes user data
 *
 * Later versions add fields at the end, so a newer one is read as the newest that is known. */
#ifndef WIRE_KAFKA_CONSUMER_PROTOCOL_H
#define WIRE_KAFKA_CONSUMER_PROTOCOL_H

#include "base/arena.h"
#include "base/buf.h"

enum {
	CONSUMER_PROTOCOL_VERSION_LAST = 3,
	CONSUMER_PROTOCOL_TOPICS_MAX = 100000,
	CONSUMER_PROTOCOL_PARTITIONS_MAX = 200000, /* of all topics of one message */
};

struct consumer_topic {
	struct slice name;
	int32_t *partitions;
	size_t partition_count;
};

struct consumer_subscription {
	int16_t version;
	struct slice *topics;
	size_t topic_count;
	struct consumer_topic *owned;
	size_t owned_count;
	bool has_owned;	    /* since version 1 */
	int32_t generation; /* of `owned`; -1: not said */
	struct slice rack;  /* null: none */
};

struct consumer_assignment {
	struct consumer_topic *topics;
	size_t topic_count;
};

/* Names point into the bytes.  ERR_INVALID: not of this form; ERR_TOO_BIG. */
MUST_CHECK enum err consumer_subscription_decode(struct arena *a, struct slice bytes,
						 struct consumer_subscription *ret);
MUST_CHECK enum err consumer_assignment_decode(struct arena *a, struct slice bytes,
					       struct consumer_assignment *ret);

/* In that version, or the last one that is known; without user data. */
void consumer_assignment_encode(int16_t version, const struct consumer_assignment *assignment,
				struct buf *out);

/* For tests and for our own clients. */
void consumer_subscription_encode(const struct consumer_subscription *subscription,
				  struct buf *out);

#endif
