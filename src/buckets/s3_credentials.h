/* Who we are to an S3 store: where AWS's programs look for it, in their order.  What is asked of
 * the machine itself is in s3_identity.h; here are the texts. */
#ifndef BUCKETS_S3_CREDENTIALS_H
#define BUCKETS_S3_CREDENTIALS_H

#include "buckets/s3_sign.h"
#include "loop/task.h"

enum {
	S3_PLACE_BYTES = 512,	     /* of an address of the machine's credentials */
	S3_PLACE_TOKEN_BYTES = 4096, /* of what a container shows there */
};

/* With a `profile`: that one of AWS_SHARED_CREDENTIALS_FILE (or ~/.aws/credentials), whatever the
 * environment holds.  With "": from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN,
 * else from the profile AWS_PROFILE (or "default") of that file.  ERR_NOT_FOUND when nobody named
 * any of these and there are none; ERR_INVALID when what was named is missing or wrong. */
MUST_CHECK enum err s3_credentials_load(struct s3_credentials *ret, const char *profile,
					char why[TASK_WHY_BYTES]);

/* The text of a credentials file; ERR_NOT_FOUND without such a profile or without both keys. */
MUST_CHECK enum err s3_credentials_parse(struct s3_credentials *ret, struct slice text,
					 struct slice profile);

/* What the services of machines answer: AccessKeyId, SecretAccessKey, Token, Expiration.  Without
 * an Expiration they do not expire (INT64_MAX).  ERR_INVALID, and `why`, for anything else. */
MUST_CHECK enum err s3_credentials_parse_json(struct s3_credentials *ret, int64_t *ret_expires_ms,
					      struct slice text, char why[TASK_WHY_BYTES]);

/* Where a machine has credentials for what runs on it. */
struct s3_place {
	bool is_container;	  /* one GET; else the three steps of instance metadata */
	char url[S3_PLACE_BYTES]; /* of the instance metadata without a "/" at the end */
};

/* From AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI, else AWS_EC2_METADATA_SERVICE_ENDPOINT
 * or the usual address of instances.  ERR_NOT_FOUND when AWS_EC2_METADATA_DISABLED=true is all
 * there is; ERR_INVALID for an address that credentials are not taken from. */
MUST_CHECK enum err s3_place_find(struct s3_place *ret, char why[TASK_WHY_BYTES]);

/* What a container has to show: AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, read each time, or
 * AWS_CONTAINER_AUTHORIZATION_TOKEN, or "". */
MUST_CHECK enum err s3_place_token(char ret[S3_PLACE_TOKEN_BYTES], char why[TASK_WHY_BYTES]);

#endif
