/* The state of share groups in the catalog, as both halves read it; doc/formats/share.md. */
#ifndef STREAMS_CATALOG_SHARE_H
#define STREAMS_CATALOG_SHARE_H

#include "streams/catalog/catalog.h"
#include "streams/catalog/share_partition.h"

/* Of the share group of this name; ERR_NOT_FOUND: there is none, or it is of another kind. */
MUST_CHECK enum err catalog_share_group(struct cell *c, struct slice name, int64_t *ret_row);

/* ERR_NOT_FOUND: nobody of the group has fetched from the partition yet. */
MUST_CHECK enum err catalog_share_partition(struct arena *a, struct cell *c, int64_t group,
					    int64_t topic, int32_t partition,
					    struct share_partition *ret);

/* Where a group begins in a partition. */
enum share_begin {
	SHARE_BEGIN_LATEST,
	SHARE_BEGIN_EARLIEST,
	SHARE_BEGIN_BY_AGE, /* with the first record that is not older */
};

/* What is set for the group. */
struct share_rules {
	int64_t lock_ms;
	bool is_committed; /* members get no records of aborted transactions */
	enum share_begin begin;
	int64_t age_ms; /* of SHARE_BEGIN_BY_AGE */
};
void catalog_share_rules(struct cell *c, struct slice group, struct share_rules *ret);

#endif
