/* Uploads that were begun and neither ended nor aborted: what is left of a large put (s3_parts.h)
 * whose process died.  Nobody sees them, and they cost money for ever.
 *
 *	list a page (GET ?uploads) --> abort one, and another (DELETE ?uploadId=) --> the next page
 *
 * Those of names that are not ours stay, and so do younger ones and those whose age the store does
 * not say.  Some stores list none, or only those of the very name that is the prefix: there nothing
 * is found. */
#ifndef BUCKETS_S3_UPLOADS_H
#define BUCKETS_S3_UPLOADS_H

#include "buckets/s3_op.h"
#include "buckets/s3_xml.h"

enum { S3_UPLOADS_ABORTED_MAX = 100 }; /* by one operation */

struct s3_uploads {
	struct arena arena;	      /* of the page */
	struct s3_begun_list page;    /* its keys are as the store has them */
	size_t next;		      /* of the page, that is looked at */
	const struct s3_begun *begun; /* that is being aborted */
};

struct s3_uploads *s3_uploads_new(void);
void s3_uploads_free(struct s3_uploads *u); /* harmless on NULL */

/* The next one of the page that is to be aborted, if there is one. */
bool s3_uploads_find(struct s3_op *o);

#endif
