/* Who we are to an S3 store, as time goes by: credentials of a machine expire.
 *
 *	environment, file --> nothing there --> container, or else instance metadata (IMDSv2):
 *					       PUT token --> GET role --> GET credentials
 *
 * The machine is asked when the first operation needs it, never at the opening.  While a part of
 * their time is left the credentials are fetched anew beside the operations that go on with them;
 * a fetch that fails leaves them as they are.  Nothing happens while no operation is under way: a
 * fetch that nobody is left for is cut off, so there is no task or timer here to stop. */
#ifndef BUCKETS_S3_IDENTITY_H
#define BUCKETS_S3_IDENTITY_H

#include "buckets/s3_credentials.h"
#include "buckets/s3_http.h"

enum {
	S3_FETCH_MS = 2000,	     /* for each of the steps */
	S3_FETCH_PAUSE_MS = 1000,    /* after one that failed: so long its answer stands */
	S3_LIFE_MS_MIN = 1000,	     /* what was fetched is used so long, whatever our clock says */
	S3_FETCH_SECONDS_MAX = 21600 /* of the token of an instance */
};

struct s3_identity;

/* ERR_NOT_FOUND and ERR_INVALID as s3_credentials_load() and s3_place_find() have them. */
MUST_CHECK enum err s3_identity_new(const char *profile, struct s3_http *h,
				    struct s3_identity **ret, char why[TASK_WHY_BYTES]);
void s3_identity_free(struct s3_identity *i); /* nobody uses it; the loop may be gone */

/* An operation, from its beginning to its end. */
struct s3_user {
	struct list link;
	struct task *task;
	struct s3_identity *identity;
	uint64_t number; /* of the credentials it was given last */
	bool is_waiting;
};

void s3_user_begin(struct s3_user *u, struct s3_identity *i, struct task *task);
void s3_user_end(struct s3_user *u); /* harmless on a zero one */

/* What to sign the next request with, valid until the step ends.  ERR_BUSY: the task is woken when
 * it is worth asking again; ERR_UNAVAILABLE: try later; ERR_DENIED: there are none, and `why` says
 * where it looked. */
MUST_CHECK enum err s3_user_credentials(struct s3_user *u, const struct s3_credentials **ret,
					char why[TASK_WHY_BYTES]);

/* The store says that what the user was given has expired.  False: there is nothing newer. */
bool s3_user_renew(struct s3_user *u, char why[TASK_WHY_BYTES]);

#endif
