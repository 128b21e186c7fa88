/* Where an S3 bucket is s3://NAME/PREFIX?endpoint=... and the environment. */
#ifndef BUCKETS_S3_CONFIG_H
#define BUCKETS_S3_CONFIG_H

#include "buckets/kinds.h"
#include "buckets/s3_credentials.h"

enum {
	S3_NAME_BYTES_MIN = 3,
	S3_NAME_BYTES = 64, /* with a NUL, as all of these */
	S3_REGION_BYTES = 64,
	S3_PROFILE_BYTES = 64,
	S3_HOST_BYTES = 256,
	S3_KEY_BYTES_MAX = 1024, /* what stores take, prefix and all */
	S3_WHOLE_BYTES_MAX = 64 << 20,
	S3_PART_BYTES = 16 << 20, /* stores want 5 MiB at least, but for the last one */
	S3_TIMEOUT_MS_DEFAULT = 20 * 1000,
	S3_TIMEOUT_MS_MIN = 100,
	S3_TIMEOUT_MS_MAX = 10 * 60 * 1000,
};

struct s3_config {
	enum bucket_class class;
	char name[S3_NAME_BYTES];
	char prefix[BUCKET_KEY_BYTES_MAX]; /* "" or "a/b/" */
	char region[S3_REGION_BYTES];
	char profile[S3_PROFILE_BYTES]; /* of the credentials file, or "" for the usual places */
	char scheme[sizeof("https://")];
	char host[S3_HOST_BYTES + S3_NAME_BYTES]; /* as the header Host has it: "h:9000" */
	bool is_in_path;	/* the name is the first part of the path, not of the host */
	bool is_here;		/* on this machine: no proxy leads there */
	bool has_checksums;	/* a CRC-32C goes along with each object */
	size_t whole_bytes_max; /* larger objects go in parts */
	size_t part_bytes;
	uint64_t timeout_ms;			/* of an operation, with all its attempts */
	char authorities[BUCKET_KEY_BYTES_MAX]; /* file of certificates, or "" for the system's */
};

/* Region and certificates may come from the environment. */
MUST_CHECK enum err s3_config_parse(struct s3_config *c, struct bucket_url *u,
				    char why[TASK_WHY_BYTES]);

#endif
