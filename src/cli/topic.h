/* What is known of topics: Metadata, for all or for one. */
#ifndef CLI_TOPIC_H
#define CLI_TOPIC_H

#include "cli/broker.h"

enum { TOPIC_ID_BYTES = 23 };

/* All topics, ordered by name; one that is broken may have an error_code. */
MUST_CHECK enum command_status topic_ask_all(struct broker *b, struct kafka_metadata_response *ret);

/* The one of that name, which is never created by asking; says itself when there is none. */
MUST_CHECK enum command_status topic_ask(struct broker *b, const char *name,
					 struct kafka_metadata_response_topic *ret);

/* As Kafka's own tools print it; null when the broker told none. */
struct slice topic_id_text(char buffer[TOPIC_ID_BYTES], struct uuid id);

#endif
