/* Does the catalog agree with itself, and what are the objects of the bucket to it?  For
 * `hanse fsck`: reads only. */
#ifndef STREAMS_CATALOG_CHECK_H
#define STREAMS_CATALOG_CHECK_H

#include "streams/catalog/catalog.h"

enum {
	CHECK_FLAWS_MAX = 1000,	      /* more are counted, not told */
	CHECK_UNSURE_VERSION = 10,    /* of the tables: since then there is unsure_life, */
	CHECK_ANNOUNCED_VERSION = 16, /* and announced */
};

struct check_flaws {
	struct slice *texts; /* a sentence each */
	size_t text_count;
	size_t count; /* of all */
};

/* Files and the runs in them, runs of a partition, bytes, offsets, counts, the content hash. */
MUST_CHECK enum err check_catalog(struct arena *a, struct cell *c, struct check_flaws *ret);

enum check_object {
	CHECK_LIVE,
	CHECK_DEAD,    /* waits to be deleted */
	CHECK_PENDING, /* announced, or of an agent that is there: it may be committed yet */
	CHECK_ORPHAN,  /* waits to be found by the scan and deleted */
	CHECK_UNSURE,  /* of a life this catalog may know too little of: stays */
	CHECK_NEWER,   /* of a life this catalog has never heard of */
	CHECK_OBJECTS,
};
enum check_object check_object(struct cell *c, int64_t incarnation, int64_t sequence);

#endif
