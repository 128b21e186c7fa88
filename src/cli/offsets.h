/* Where partitions begin and end: ListOffsets. */
#ifndef CLI_OFFSETS_H
#define CLI_OFFSETS_H

#include "cli/broker.h"

/* What ListOffsets takes for a time, besides milliseconds since 1970. */
enum { OFFSETS_FIRST = -2, OFFSETS_NEXT = -1 };

struct offset_question {
	struct slice topic;
	int32_t partition;
	int64_t offset; /* the answer; -1: not known */
};

/* Answer all questions, which are ordered by topic and partition and differ: where the partition
 * begins or ends, or the first record at a time or later; `is_committed_only`: it ends before the
 * first open transaction.  A partition that has no answer keeps -1. */
MUST_CHECK enum command_status offsets_ask(struct broker *b, int64_t time_ms,
					   bool is_committed_only,
					   struct offset_question *questions, size_t count);

/* For qsort() and bsearch(). */
int offset_question_compare(const void *a, const void *b);

#endif
