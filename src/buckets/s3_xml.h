/* The XML that S3 stores answer with: lists and errors.  Everything a store may say has a limit
 * here, document types are refused, and unknown elements are passed over. */
#ifndef BUCKETS_S3_XML_H
#define BUCKETS_S3_XML_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

enum {
	S3_LIST_KEYS_MAX = 1000,
	S3_XML_BYTES_MAX = 8 << 20,   /* a page of the longest keys, every byte written as %XX */
	S3_XML_TEXT_BYTES_MAX = 4096, /* of one element */
	S3_XML_DEPTH_MAX = 16,
	S3_CODE_BYTES = 64,
	S3_UPLOAD_ID_BYTES = 1024,
	S3_MESSAGE_BYTES = 96, /* longer ones are cut */
};

struct s3_list {
	struct slice *keys; /* as the store has them, decoded; in the arena given */
	uint64_t *sizes;    /* of the objects; UINT64_MAX where the store did not say */
	size_t key_count;
	bool is_truncated;
	struct slice next_token; /* empty when the store gave none */
};

/* ListObjectsV2.  ERR_INVALID: not such an answer; ERR_TOO_BIG: more than it may say. */
MUST_CHECK enum err s3_xml_list(struct arena *a, struct slice text, struct s3_list *ret);

/* The answers at the beginning and at the end of an object in parts. */
struct s3_upload {
	char id[S3_UPLOAD_ID_BYTES];  /* "" at the end */
	char checksum[S3_CODE_BYTES]; /* CRC-32C of the whole, or "" when the store says none */
};

/* ERR_INVALID when it is neither, as an error is; ERR_TOO_BIG when the id is too long. */
MUST_CHECK enum err s3_xml_upload(struct slice text, struct s3_upload *ret);

/* One that was begun and has not ended. */
struct s3_begun {
	struct slice key; /* as the store has it, decoded; both in the arena given */
	struct slice id;
	int64_t begun_ms; /* Unix time, or S3_TIME_UNKNOWN */
};
#define S3_TIME_UNKNOWN INT64_MIN

struct s3_begun_list {
	struct s3_begun *begun;
	size_t count;
	bool is_truncated;
	struct slice next_key, next_id; /* empty when the store gave none */
};

/* ListMultipartUploads.  ERR_INVALID: not such an answer; ERR_TOO_BIG: more than it may say. */
MUST_CHECK enum err s3_xml_begun(struct arena *a, struct slice text, struct s3_begun_list *ret);

/* "2026-11-22T08:00:00.000Z" */
bool s3_parse_time(const char *text, int64_t *ret_ms);

struct s3_error {
	char code[S3_CODE_BYTES];	/* "SlowDown"; "" when the answer was none of S3 */
	char message[S3_MESSAGE_BYTES]; /* printable ASCII */
	char region[S3_CODE_BYTES];	/* where the bucket is instead, or "" */
};

/* An error; what cannot be understood leaves the texts empty: there is a status beside it. */
void s3_xml_error(struct slice text, struct s3_error *ret);

#endif
