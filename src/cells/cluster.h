/* The object that makes a bucket a bucket of Hanse: `v1/cluster`, written once, at the first start.
 *
 * It holds the cluster's id, and is the guard at the door: a bucket that has other objects but not
 * this one belongs to somebody else and is refused; one that has a newer format is not touched.
 * All journal buckets carry the same object.  Byte by byte: doc/formats/cluster.md. */
#ifndef CELLS_CLUSTER_H
#define CELLS_CLUSTER_H

#include "base/arena.h"
#include "base/buf.h"
#include "buckets/bucket.h"
#include "wire/keys/keyring.h"

#define CLUSTER_KEY "v1/cluster"

enum {
	CLUSTER_FORMAT = 1,	   /* of a cluster that is not sealed */
	CLUSTER_FORMAT_SEALED = 2, /* the newest one */
	CLUSTER_MAC_BYTES = 32,
	CLUSTER_BUCKETS_MAX = 16,
	CLUSTER_OBJECT_BYTES_MAX = 4096,
	CLUSTER_KEY_BYTES = 64, /* room for names of proposals */
	CLUSTER_REST_MS = 1000, /* for the other buckets once enough have answered */
	CLUSTER_ROUNDS_MAX = 4, /* how often a lost race is looked at again */
};

struct cluster {
	uint8_t id[16];
	uint64_t created_ms; /* wall clock, for people */
	bool is_sealed;	     /* then there are, too: */
	uint8_t key_id[KEY_ID_BYTES];
	uint8_t mac[CLUSTER_MAC_BYTES];
};

/* Make it that of a sealed cluster with these keys; whatever else is in it is final. */
void cluster_seal(struct cluster *c, const struct keyring *keys);

/* Does it go with the keys (NULL: none)?  ERR_DENIED when it is sealed and they are not its own, or
 * when it is not sealed and there are some; ERR_CORRUPT when somebody without the key wrote it.
 * `why` begins with `url`. */
MUST_CHECK enum err cluster_check(const struct cluster *c, const struct keyring *keys,
				  const char *url, char why[TASK_WHY_BYTES]);

void cluster_encode(const struct cluster *c, struct buf *ret);

/* ERR_CORRUPT when the bytes are damaged or something else, ERR_UNSUPPORTED when they are newer. */
MUST_CHECK enum err cluster_decode(struct slice bytes, struct cluster *ret,
				   char why[TASK_WHY_BYTES]);

/* Read the object of all buckets, or create it if all of them are empty; child task.  It is below
 * the seal of sealed buckets.
 *
 * On OK `cluster` is set, and `is_new` when it was created now.  ERR_INVALID when a bucket holds
 * something else, belongs to another cluster, was emptied, lost its journal or refuses to be
 * written; ERR_UNSUPPORTED when it is newer; ERR_UNAVAILABLE when most buckets cannot be asked, or
 * at the first start one cannot; ERR_CONFLICT when another process is creating it just now: try
 * again; ERR_DENIED and ERR_CORRUPT as cluster_check().  `task.why` says which bucket and what to
 * do. */
struct cluster_open {
	struct task task;
	struct bucket *const *buckets; /* borrowed until done */
	int bucket_count;
	const struct keyring *keys; /* set once it was started, borrowed; NULL: it is not sealed */
	bool must_exist; /* set once it was started: ERR_NOT_FOUND instead of a new cluster */
	struct cluster cluster; /* out */
	bool is_new;		/* out */

	struct bucket_op ops[CLUSTER_BUCKETS_MAX]; /* the rest is private */
	bool has_object[CLUSTER_BUCKETS_MAX];
	struct arena arenas[CLUSTER_BUCKETS_MAX];
	int found_count;
	int round;
	bool is_second_look; /* at the journals of a bucket in use */
	bool is_hurried;
	struct buf body;
	char proposal[CLUSTER_KEY_BYTES];
	enum err outcome; /* to end with after the proposal was removed */
	char outcome_why[TASK_WHY_BYTES];
};

void cluster_open(struct cluster_open *o, struct task *parent, struct bucket *const *buckets,
		  int bucket_count);

#endif
