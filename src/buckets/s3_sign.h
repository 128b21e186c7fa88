/* AWS Signature Version 4, in headers: what every S3-compatible store understands.
 *
 * The body is always hashed and signed: some stores take nothing else, and so the store checks what
 * arrived from end to end.  Pure: the time comes in. */
#ifndef BUCKETS_S3_SIGN_H
#define BUCKETS_S3_SIGN_H

#include "base/buf.h"
#include "base/slice.h"

enum {
	S3_SHA256_BYTES = 32,
	S3_SHA256_HEX_BYTES = 2 * S3_SHA256_BYTES + 1, /* with a NUL */
	S3_ACCESS_KEY_BYTES_MAX = 128,
	S3_SECRET_BYTES_MAX = 256,
	S3_TOKEN_BYTES_MAX = 4096,
	S3_HEADERS_MAX = 16, /* of one request, all of them signed */
	S3_QUERY_MAX = 16,
	S3_DATE_BYTES = sizeof("20130524T000000Z"),
};

struct s3_credentials {
	char access_key[S3_ACCESS_KEY_BYTES_MAX];
	char secret[S3_SECRET_BYTES_MAX];
	char token[S3_TOKEN_BYTES_MAX]; /* "" without */
};

struct s3_pair {
	const char *name; /* of a header: lower case */
	struct slice value;
};

struct s3_signing {
	const struct s3_credentials *credentials;
	const char *region;
	const char *service; /* "s3" */
	const char *method;
	struct slice path;	     /* as it is sent: encoded */
	const struct s3_pair *query; /* not encoded, sorted by name */
	size_t query_count;
	const struct s3_pair *headers; /* to be signed, sorted by name; with host, x-amz-date */
	size_t header_count;
	const char *body_sha256; /* hex */
	const char *date;	 /* "20130524T000000Z" */
};

/* "20130524T000000Z" */
void s3_date(char ret[S3_DATE_BYTES], int64_t wall_ms);

/* Append `text` as URIs have it: all but letters, digits and -._~ becomes %XX.  `keep_slash` for
 * paths. */
void s3_encode(struct buf *b, struct slice text, bool keep_slash);

/* Append "a=b&c=d", encoded. */
void s3_encode_query(struct buf *b, const struct s3_pair *query, size_t count);

/* SHA-256 of the pieces one after the other, as lower-case hex. */
void s3_sha256(char ret[S3_SHA256_HEX_BYTES], const struct slice *pieces, size_t count);

/* Append the value of the header Authorization. */
void s3_sign(struct buf *ret, const struct s3_signing *s);

#endif
