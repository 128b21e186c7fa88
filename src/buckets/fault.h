/* A bucket around another that fails on purpose: for tests of everything that uses buckets.
 *
 * Rules are looked at in the order in which they were added; the first that matches an operation
 * decides.  What an operation comes to:
 *
 *   FAULT_BEFORE    fails with `err`, nothing was done
 *   FAULT_AFTER     done in the inner bucket, then fails with `err` all the same
 *   FAULT_HOLD      waits for fault_release(), then is done
 *   FAULT_LATE      a put or delete fails with `err` at once and is done at fault_release(): what a
 *                   network does with a request whose sender gave up
 *   FAULT_CORRUPT   a get has one byte changed
 *   FAULT_TRUNCATE  a get's body is shorter than asked for
 *   FAULT_NONE      done; to shield some operations from the rules after it, or only delay them
 */
#ifndef BUCKETS_FAULT_H
#define BUCKETS_FAULT_H

#include "buckets/bucket.h"

enum fault_effect {
	FAULT_NONE,
	FAULT_BEFORE,
	FAULT_AFTER,
	FAULT_HOLD,
	FAULT_LATE,
	FAULT_CORRUPT,
	FAULT_TRUNCATE,
};

enum { FAULT_RULES_MAX = 64, FAULT_VERBS_ALL = 0x3f, FAULT_PPM_ALWAYS = 1000000 };

#define FAULT_VERB(verb) (1u << (verb))
#define FAULT_WRITES                                                                               \
	(FAULT_VERB(BUCKET_PUT) | FAULT_VERB(BUCKET_PUT_NEW) | FAULT_VERB(BUCKET_DELETE))

/* Zero means: every verb, every key, from the first operation on, for ever, each time. */
struct fault {
	enum fault_effect effect;
	enum err err;	       /* OK: ERR_UNKNOWN after and late, else ERR_UNAVAILABLE */
	unsigned verbs;	       /* FAULT_VERB() | ... */
	const char *prefix;    /* of keys; copied */
	uint64_t skip;	       /* let so many matching operations pass first */
	uint64_t count;	       /* then hit so many */
	uint64_t ppm;	       /* how often it strikes, in a million, drawn from the seed */
	uint64_t delay_ms_max; /* wait up to so long first, drawn from the seed */
};

/* Takes `inner` over: it is closed with the bucket returned. */
struct bucket *fault_bucket_new(struct bucket *inner, uint64_t seed);
struct bucket *fault_inner(struct bucket *b);

void fault_add(struct bucket *b, const struct fault *f);

/* Fail the `n`-th operation from now (1: the next), with FAULT_BEFORE or FAULT_AFTER. */
void fault_add_nth(struct bucket *b, uint64_t n, enum fault_effect effect, enum err err);

/* Remove all rules; what is held stays held. */
void fault_clear(struct bucket *b);

/* Let the held and late operations with this prefix go on, "" all of them; returns how many.  A
 * late one is a task of its own: run the loop until fault_held_count() says it is over. */
size_t fault_release(struct bucket *b, const char *prefix);
size_t fault_held_count(const struct bucket *b);

/* Operations started, with any of `verbs` (FAULT_VERBS_ALL), and how many a rule struck: an n-th
 * failure loop ends when nothing was struck. */
uint64_t fault_op_count(const struct bucket *b, unsigned verbs);
uint64_t fault_strike_count(const struct bucket *b);

/* For scenarios: "fault:file:DIR?fault_seed=1&fault_before_ppm=1000&fault_after_ppm=1000
 * &fault_delay_ms=20&fault_corrupt_ppm=1&fault_truncate_ppm=1&fault_prefix=v1/d/"; what does not
 * begin with fault_ belongs to the inner URL. Needs HANSE_TEST_FAULTS=1 in the environment. */

#endif
