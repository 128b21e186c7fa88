/* Who we are to an S3 store: where AWS's programs look for it, in their order. */
#ifndef BUCKETS_S3_CREDENTIALS_H
#define BUCKETS_S3_CREDENTIALS_H

#include "buckets/s3_sign.h"
#include "loop/task.h"

/* With a `profile`: that one of AWS_SHARED_CREDENTIALS_FILE (or ~/.aws/credentials), whatever the
 * environment holds.  With "": from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN,
 * else from the profile AWS_PROFILE (or "default") of that file. */
MUST_CHECK enum err s3_credentials_load(struct s3_credentials *ret, const char *profile,
					char why[TASK_WHY_BYTES]);

/* The text of a credentials file; ERR_NOT_FOUND without such a profile or without both keys. */
MUST_CHECK enum err s3_credentials_parse(struct s3_credentials *ret, struct slice text,
					 struct slice profile);

#endif
