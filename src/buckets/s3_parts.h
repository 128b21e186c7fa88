/* A large object goes to the store in parts, which appear together at the end:
 *
 *	begin (POST ?uploads) --> part 1, 2, ... n (PUT ?partNumber=) --> end (POST ?uploadId=)
 *		^		    |		|			     |
 *		`-- gone, again ----'		`----- failed, canceled -----'--> abort
 *
 * Each part has its checksums, as a put has; the end lists them, and its answer is compared with
 * what the whole must have.  Only the end makes something visible, so only its outcome may be
 * unknown: then nothing is aborted, and the caller tries again with the same bytes.  The end may
 * answer 200 with an error in its body.
 *
 * Only BUCKET_PUT uses parts.  A put_new is one request whatever its size: not all stores that
 * honour its condition there do so at the end of parts. */
#ifndef BUCKETS_S3_PARTS_H
#define BUCKETS_S3_PARTS_H

#include "buckets/s3_op.h"
#include "buckets/s3_xml.h"

enum {
	S3_PARTS_MAX = 64, /* of 16 MiB: the largest object */
	S3_TAG_BYTES = 128,
};

struct s3_parts {
	size_t size, part_size, count;
	size_t done;			    /* parts the store has */
	char upload_id[S3_UPLOAD_ID_BYTES]; /* "" before the beginning and after the end */
	char tags[S3_PARTS_MAX][S3_TAG_BYTES];
	uint32_t crcs[S3_PARTS_MAX];
	uint32_t crc;	      /* of all bytes so far */
	struct slice *pieces; /* of this part; as many as the operation has */
	size_t piece_count;
	struct slice end; /* the list of parts; in the arena of the operation's request */
	char end_sha256[S3_SHA256_HEX_BYTES];
	enum err err; /* what the operation ends with after the abort */
	char why[TASK_WHY_BYTES];
};

/* NULL when the operation is one for a single request; else on the heap, for the caller. */
struct s3_parts *s3_parts_new(const struct bucket_op *op, const struct s3_config *c);
void s3_parts_free(struct s3_parts *p); /* harmless on NULL */

/* From the first part on; the store has forgotten those it had. */
void s3_parts_restart(struct s3_parts *p);

/* Find the bytes of the part that is next, and hash them into the operation: on a worker. */
void s3_parts_hash(struct s3_op *o);

/* Write the list of parts that the end sends. */
void s3_parts_list(struct s3_op *o);

/* Is that the checksum of the whole as stores say it: of all bytes, or of the parts' checksums? */
bool s3_parts_has_checksum(const struct s3_parts *p, const char *text);

#endif
