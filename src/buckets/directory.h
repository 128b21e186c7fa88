/* Durable objects in a directory: the blocking half of the "file:" bucket, run on workers.
 *
 *  put     open the parent directory (create and sync what is missing, from the root downwards)
 *          create a file without a name in it, write, fsync
 *          linkat: now it is visible, whole, under its name; or EEXIST: compare
 *          fsync of the parent: now it is durable under its name, and acknowledged
 *
 * So at any moment a name either is not there or has all its bytes durably, and no crash leaves
 * anything that list would show.  Where the file system has no unnamed files, a file in the
 * directory "tmp~" stands in (~ is in no key).
 *
 * Between linkat and the last fsync the object can be read but may vanish with the power.
 *
 * A large object is written past the page cache (0050): it is to be on the disk before anything
 * else is done, whoever wrote it has it in memory, and pages filled only to be written cost more
 * than all the rest.
 *
 * These functions are synchronous, use no clock and no globals, and may run on several threads at
 * once for one struct directory, which they do not change.  Keys were checked by the caller. */
#ifndef BUCKETS_DIRECTORY_H
#define BUCKETS_DIRECTORY_H

#include "base/blob.h"
#include "base/buf.h"
#include "buckets/bucket.h"
#include "buckets/directory_system.h"

#define DIRECTORY_DRAFTS "tmp~" /* in the root */

enum { DIRECTORY_DIRECT_BYTES_MIN = 256 << 10 }; /* outside tests */

struct directory {
	const struct directory_system *system;
	void *context; /* of the system */
	int root;
	uint64_t direct_bytes_min; /* objects from this size on are large; 0: none is */
};

/* How a change ended besides its err. */
struct directory_result {
	char why[TASK_WHY_BYTES];
	bool lost_writes; /* an fsync failed: nothing may be acknowledged in this directory again */
};

/* Names in order, each followed by a NUL. */
struct directory_names {
	struct buf text;
	size_t count;
	bool more;
};

/* `known_size`: how many leading bytes of `key` are a directory known to be durable up to the
 * root; 0 when none is.  After OK the whole parent is.
 * ERR_CONFLICT: other bytes, or no object at all, are under that name. */
MUST_CHECK enum err directory_put(const struct directory *d, const char *key,
				  const struct slice *pieces, size_t piece_count, size_t known_size,
				  struct directory_result *result);
/* ERR_EXISTS is given only after what exists was made durable. */
MUST_CHECK enum err directory_put_new(const struct directory *d, const char *key,
				      const struct slice *pieces, size_t piece_count,
				      size_t known_size, struct directory_result *result);
MUST_CHECK enum err directory_delete(const struct directory *d, const char *key,
				     struct directory_result *result);

MUST_CHECK enum err directory_get(const struct directory *d, const char *key, uint64_t offset,
				  uint64_t size_max, struct blob **ret, uint64_t *ret_size,
				  struct directory_result *result);
MUST_CHECK enum err directory_head(const struct directory *d, const char *key, uint64_t *ret_size,
				   struct directory_result *result);
/* At most BUCKET_LIST_NAMES_MAX names are appended to `ret`. */
MUST_CHECK enum err directory_list(const struct directory *d, struct slice prefix,
				   struct slice after, struct directory_names *ret,
				   struct directory_result *result);

/* Open the directory that holds `key` (or the names that start with it); the root itself is given
 * out for keys without a slash, so close with directory_close(). Negative errno. */
int directory_open_parent(const struct directory *d, const char *key, const char **ret_name);
void directory_close(const struct directory *d, int fd);

/* Say what failed, return the word for it. */
enum err directory_fail(struct directory_result *result, int negative_errno, const char *doing,
			const char *key);

#endif
