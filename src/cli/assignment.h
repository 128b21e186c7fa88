/* What consumers of a group tell each other through the coordinator, which does not look into it:
 * the assignment of the "consumer" protocol type.
 *
 *	version      int16    0 to 3; what newer ones add stands at the end
 *	topics       int32 count, then for each
 *	  name       int16 length, bytes
 *	  partitions int32 count, then int32 each
 *	user data    int32 length (-1: null), bytes; not looked at */
#ifndef CLI_ASSIGNMENT_H
#define CLI_ASSIGNMENT_H

#include "base/arena.h"

struct assignment_topic {
	struct slice name;
	int32_t *partitions;
	size_t partitions_count;
};

struct assignment {
	struct assignment_topic *topics;
	size_t topics_count;
	size_t partitions_count; /* of all topics */
};

/* Names point into the input.  Empty input, as of a member that was not given its share yet, is no
 * topics.  ERR_INVALID: not of this form. */
MUST_CHECK enum err assignment_decode(struct arena *a, struct slice in, struct assignment *ret);

#endif
