/* What the topic operations share. */
#ifndef STREAMS_COORDINATOR_TOPIC_H
#define STREAMS_COORDINATOR_TOPIC_H

#include "streams/catalog/catalog.h"

/* Insert the partitions `from` to `to` - 1 of the topic in row `topic`, empty. */
MUST_CHECK enum err topic_add_partitions(struct cell *cell, int64_t topic, int32_t from,
					 int32_t to);

/* Does this name, or one that differs only in '.' for '_', exist? */
bool topic_name_collides(struct cell *cell, struct slice name);

size_t topic_count(struct cell *cell);

/* What is wrong with the brokers that a partition is given to, or NULL.  None keeps it, but as in
 * Kafka they exist, each is named once, and there is one. */
const char *topic_brokers_fault(struct cell *cell, const int32_t *ids, size_t count);

/* Hide the topic at once: its name is free.  It can be brought back for a while (deleted_topic.h)
 * unless the catalog `is_full`; then its rows go in bounded steps (sweep.h).  `by`: the principal
 * who wants it. */
MUST_CHECK enum err topic_mark_deleted(struct cell *cell, int64_t topic, struct slice by,
				       int64_t now_ms, bool is_full);

#endif
