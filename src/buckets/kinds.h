/* What the kinds of buckets share with bucket_open() and nobody else sees. */
#ifndef BUCKETS_KINDS_H
#define BUCKETS_KINDS_H

#include "buckets/bucket.h"

enum { BUCKET_URL_PARAMETERS_MAX = 16 };

/* A URL without its scheme: "DIR?class=cas" in two parts, a name and parameters. */
struct bucket_parameter {
	struct slice name, value;
	bool is_used; /* what nobody used is an error */
};

struct bucket_url {
	const char *text; /* as the person wrote it */
	struct slice path;
	struct bucket_parameter parameters[BUCKET_URL_PARAMETERS_MAX];
	size_t parameter_count;
};

/* Splits what comes after the scheme; keeps pointers into `url`. */
MUST_CHECK enum err bucket_url_parse(struct bucket_url *u, const char *url, size_t scheme_size,
				     char why[TASK_WHY_BYTES]);

/* The value of a parameter, marked as used; false when it is not given. */
bool bucket_url_take(struct bucket_url *u, const char *name, struct slice *ret);

/* A number; `*ret` stays as it was when the parameter is not given. */
MUST_CHECK enum err bucket_url_take_u64(struct bucket_url *u, const char *name, uint64_t max,
					uint64_t *ret, char why[TASK_WHY_BYTES]);
MUST_CHECK enum err bucket_url_take_class(struct bucket_url *u, enum bucket_class *ret,
					  char why[TASK_WHY_BYTES]);

/* ERR_INVALID when a parameter was not used: a typing mistake must not pass silently. */
MUST_CHECK enum err bucket_url_finish(const struct bucket_url *u, const char *const *known,
				      char why[TASK_WHY_BYTES]);

MUST_CHECK enum err directory_bucket_open(struct bucket_url *u, struct bucket **ret,
					  char why[TASK_WHY_BYTES]);
MUST_CHECK enum err memory_bucket_open(struct bucket_url *u, struct bucket **ret,
				       char why[TASK_WHY_BYTES]);
MUST_CHECK enum err s3_bucket_open(struct bucket_url *u, struct bucket **ret,
				   char why[TASK_WHY_BYTES]);
MUST_CHECK enum err fault_bucket_open(struct bucket_url *u, struct bucket **ret,
				      char why[TASK_WHY_BYTES]);

#endif
