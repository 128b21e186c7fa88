/* Places in the partitions of a topic: which ones a command is about, and where --from, --to and
 * --before are in each (where.h). */
#ifndef CLI_PLACES_H
#define CLI_PLACES_H

#include "cli/topic.h"
#include "cli/where.h"

/* Numbers of the topic's partitions, or of the one that --partition names; in the broker's arena.
 * Says itself what is wrong: COMMAND_MISUSED, COMMAND_NOT_FOUND. */
MUST_CHECK enum command_status places_choose(struct broker *b, const struct command_line *l,
					     const struct kafka_metadata_response_topic *topic,
					     int32_t **ret, size_t *ret_count);

struct place {
	struct slice topic;
	int32_t partition;
	int64_t from; /* what WHERE_RELATIVE counts from; negative: the end */

	/* out */
	int64_t first, end, offset; /* offset: between them; all -1 where they are not known */
};

/* Ordered by topic and partition. */
MUST_CHECK enum command_status places_find(struct broker *b, const struct where *where,
					   bool is_committed_only, struct place *places,
					   size_t count);

/* Say which of them does not tell where it is; false: all do. */
bool places_say_unknown(const struct place *places, size_t count);

#endif
