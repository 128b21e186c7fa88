/* Where an S3 bucket is and who we are to it: s3://NAME/PREFIX?endpoint=... and the environment. */
#ifndef BUCKETS_S3_CONFIG_H
#define BUCKETS_S3_CONFIG_H

#include "buckets/kinds.h"
#include "buckets/s3_sign.h"

enum {
	S3_NAME_BYTES_MIN = 3,
	S3_NAME_BYTES = 64, /* with a NUL, as all of these */
	S3_REGION_BYTES = 64,
	S3_HOST_BYTES = 256,
	S3_KEY_BYTES_MAX = 1024, /* what stores take, prefix and all */
	S3_TIMEOUT_MS_DEFAULT = 20 * 1000,
	S3_TIMEOUT_MS_MIN = 100,
	S3_TIMEOUT_MS_MAX = 10 * 60 * 1000,
};

struct s3_config {
	enum bucket_class class;
	char name[S3_NAME_BYTES];
	char prefix[BUCKET_KEY_BYTES_MAX]; /* "" or "a/b/" */
	char region[S3_REGION_BYTES];
	char scheme[sizeof("https://")];
	char host[S3_HOST_BYTES + S3_NAME_BYTES]; /* as the header Host has it: "h:9000" */
	bool is_in_path;     /* the name is the first part of the path, not of the host */
	bool is_here;	     /* on this machine: no proxy leads there */
	bool has_checksums;  /* a CRC-32C goes along with each object */
	uint64_t timeout_ms; /* of an operation, with all its attempts */
	char authorities[BUCKET_KEY_BYTES_MAX]; /* file of certificates, or "" for the system's */
};

/* Region and certificates may come from the environment. */
MUST_CHECK enum err s3_config_parse(struct s3_config *c, struct bucket_url *u,
				    char why[TASK_WHY_BYTES]);

/* From AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, else from the profile
 * AWS_PROFILE (or "default") of AWS_SHARED_CREDENTIALS_FILE (or ~/.aws/credentials). */
MUST_CHECK enum err s3_credentials_load(struct s3_credentials *ret, char why[TASK_WHY_BYTES]);

/* The text of a credentials file; ERR_NOT_FOUND without such a profile or without both keys. */
MUST_CHECK enum err s3_credentials_parse(struct s3_credentials *ret, struct slice text,
					 struct slice profile);

#endif
