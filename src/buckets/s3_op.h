/* One operation on an S3 bucket, as the files s3*.c share it.
 *
 *	       .--------- pause <--------.
 *	       v                         | again
 *	  request (s3_request.c) --> answer (s3_answer.c) --> end
 *
 * One deadline for all of it.  An operation may need more than one question: the size of an object
 * whose end was asked for, the pages of a list, what lies under a name that is taken. */
#ifndef BUCKETS_S3_OP_H
#define BUCKETS_S3_OP_H

#include "buckets/s3_config.h"
#include "buckets/s3_http.h"
#include "buckets/s3_identity.h"
#include "buckets/s3_pace.h"
#include "loop/timer.h"

enum { S3_REQUEST_HEADERS_MAX = 12, S3_CRC32C_BYTES = sizeof("AAAAAA==") };

struct s3_bucket {
	struct bucket bucket;
	struct s3_config config;
	struct s3_identity *identity;
	struct s3_http *http;
	int64_t clock_ahead_ms; /* the store's clock, from ours */
	bool is_troubled;	/* people were told that it does not work */
	struct bucket_facts facts;
	struct s3_pace pace;
};

enum s3_question {
	S3_ASK,		/* what the operation is about */
	S3_BEGIN_PARTS, /* of a large object: see s3_parts.h */
	S3_SEND_PART,
	S3_END_PARTS,
	S3_ABORT_PARTS,
	S3_ASK_SIZE,	 /* of an object of which nothing is wanted, or that ends before */
	S3_ABORT_UPLOAD, /* one that somebody left: see s3_uploads.h */
	S3_ASK_BODY,	 /* what lies under a name that a put found taken */
};

enum s3_verdict {
	S3_END,	  /* with o->err and o->why */
	S3_HASH,  /* ask o->question when the next part has been hashed */
	S3_NEXT,  /* o->question was changed, or there is another page: ask at once */
	S3_AGAIN, /* it may work after a pause; o->err and o->why are for the case that not */
};

struct s3_parts;
struct s3_uploads;

struct s3_op {
	struct bucket_op *op;
	struct s3_bucket *bucket;
	enum s3_question question;
	struct s3_user user;
	const struct s3_credentials *credentials; /* of this step */
	struct s3_exchange exchange;
	struct arena arena; /* of this request and its answer */
	const char *headers[S3_REQUEST_HEADERS_MAX];
	char body_sha256[S3_SHA256_HEX_BYTES];
	char body_crc32c[S3_CRC32C_BYTES];
	struct s3_parts *parts;	    /* NULL: in one request */
	struct s3_uploads *uploads; /* those that are left, of one page; else NULL */
	struct slice list_token;    /* in the caller's arena */
	struct slice list_last;	    /* the last key seen, ours or not; in the caller's arena */

	struct sleep sleep;
	struct timer timer; /* the deadline */
	uint64_t deadline_ms;
	int attempts;
	bool has_turn;	    /* at the pace of the bucket */
	bool is_slowed;	    /* it waits for its turn, and not by itself */
	bool is_canceled;   /* and has been given its last moments */
	bool is_unclear;    /* some attempt may have changed the bucket */
	bool has_set_clock; /* once is enough */
	bool has_new_credentials;
	enum err err;
	char why[TASK_WHY_BYTES];
};

static inline bool s3_is_put(const struct bucket_op *op)
{
	return op->verb == BUCKET_PUT || op->verb == BUCKET_PUT_NEW;
}

static inline bool s3_is_change(const struct bucket_op *op)
{
	return s3_is_put(op) || op->verb == BUCKET_DELETE;
}

/* May this question have changed what others see? */
static inline bool s3_has_effect(const struct s3_op *o)
{
	return s3_is_change(o->op) && (o->question == S3_ASK || o->question == S3_END_PARTS);
}

/* Does the put say that nothing may be there? */
static inline bool s3_is_conditional(const struct bucket_op *op)
{
	return s3_is_put(op) && op->bucket->class == BUCKET_CAS;
}

/* A get of everything is not a range, and its checksum can be compared. */
static inline bool s3_is_whole(const struct s3_op *o)
{
	return o->question == S3_ASK_BODY ||
	       (o->op->offset == 0 && o->op->size_max >= BUCKET_OBJECT_BYTES_MAX);
}

/* A list is asked of the bucket, everything else of a name in it. */
static inline bool s3_is_list(const struct s3_op *o)
{
	return o->op->verb == BUCKET_LIST ||
	       (o->op->verb == BUCKET_ABORT_UPLOADS && o->question == S3_ASK);
}

/* Base64 of a CRC-32C, as stores write it. */
void s3_crc32c_text(char ret[S3_CRC32C_BYTES], uint32_t crc);

/* Start the exchange for o->question. */
void s3_ask(struct s3_op *o);

/* What to do about the exchange that is over. */
enum s3_verdict s3_judge(struct s3_op *o);

#endif
