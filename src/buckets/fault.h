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
 *   FAULT_LOST      done, and the answer is lost: silence for `for_ms`, then it fails with `err`
 *   FAULT_SLOW_DOWN fails with `err`, and so does all that the rule aims at for the next `for_ms`
 *   FAULT_STALE     a list leaves out names put less than `for_ms` ago through this bucket
 *   FAULT_OVERWRITE a put_new ignores its condition: OK, and what was there is gone
 *   FAULT_RACY      a put_new looks whether something is there, and puts `for_ms` later whatever
 *		     came meanwhile
 *   FAULT_ABSENT    a get or head that found nothing finds nothing for the next `for_ms` either
 *   FAULT_SWAP      a get of a whole object gives the bytes of the one that was got before it
 *   FAULT_NONE      done; to shield some operations from the rules after it, or only delay them
 */
#ifndef BUCKETS_FAULT_H
#define BUCKETS_FAULT_H

#include "buckets/bucket.h"
#include "buckets/fault_latency.h"

enum fault_effect {
	FAULT_NONE,
	FAULT_BEFORE,
	FAULT_AFTER,
	FAULT_HOLD,
	FAULT_LATE,
	FAULT_CORRUPT,
	FAULT_TRUNCATE,
	FAULT_LOST,
	FAULT_SLOW_DOWN,
	FAULT_STALE,
	FAULT_OVERWRITE,
	FAULT_RACY,
	FAULT_ABSENT,
	FAULT_SWAP,
};

enum {
	FAULT_RULES_MAX = 64,
	FAULT_VERBS_ALL = 0x3f,
	FAULT_PPM_ALWAYS = 1000000,
	FAULT_RECENT_MAX = 1024, /* names that a stale list may leave out */
	FAULT_FOR_MS_MAX = 3600 * 1000,
};

#define FAULT_VERB(verb) (1u << (verb))
#define FAULT_WRITES                                                                               \
	(FAULT_VERB(BUCKET_PUT) | FAULT_VERB(BUCKET_PUT_NEW) | FAULT_VERB(BUCKET_DELETE))

/* Zero means: every verb, every key, from the first operation on, for ever, each time. */
struct fault {
	enum fault_effect effect;
	enum err err;	       /* OK: ERR_UNKNOWN after, late and lost, else ERR_UNAVAILABLE */
	unsigned verbs;	       /* FAULT_VERB() | ... */
	const char *prefix;    /* of keys; copied */
	uint64_t skip;	       /* let so many matching operations pass first */
	uint64_t count;	       /* then hit so many */
	uint64_t ppm;	       /* how often it strikes, in a million, drawn from the seed */
	uint64_t delay_ms_max; /* wait up to so long first, drawn from the seed */
	uint64_t for_ms;       /* see above */
};

/* A store that is far away.  Each operation takes the time drawn for it: its effect comes somewhere
 * in the first half, its answer at the end, or later when the inner bucket itself takes longer.
 * Rules and their delays come on top. */
struct fault_store {
	struct fault_latency put, get, other; /* put and put_new; get; head, list and delete */
	uint64_t megabytes_per_s;	      /* of one request, for its body on top; 0: no time */
	uint64_t slow_ppm;		      /* so many in a million take `slow_ms` instead */
	uint64_t slow_ms;
};

/* Takes `inner` over: it is closed with the bucket returned. */
struct bucket *fault_bucket_new(struct bucket *inner, uint64_t seed);
struct bucket *fault_inner(struct bucket *b);

void fault_add(struct bucket *b, const struct fault *f);

/* From now on; makes it a bucket that is far (bucket_is_far). */
void fault_set_store(struct bucket *b, const struct fault_store *s);

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

/* Write these counts, and the bytes of bodies, to a file when the bucket closes. */
void fault_set_report(struct bucket *b, const char *file);

/* For scenarios and benchmarks: "fault:URL?NAME=VALUE&..."; what does not begin with fault_ belongs
 * to the inner URL.  Needs HANSE_TEST_FAULTS=1 in the environment.
 *
 *   fault_seed=N           of everything that is drawn
 *   fault_prefix=v1/d/     strike only there (latencies are everywhere)
 *   fault_before_ppm=N     fail before any effect
 *   fault_after_ppm=N      puts and deletes fail after their effect
 *   fault_lost_ppm=N       the same, after a silence of fault_lost_ms=N (20000)
 *   fault_slow_down_ppm=N  this and everything for fault_slow_down_ms=N (1000) is refused
 *   fault_stale_ms=N       lists leave out names put less than so long ago
 *   fault_corrupt_ppm=N    fault_truncate_ppm=N  of gets
 *   fault_delay_ms=N       wait up to so long first
 *   fault_put_ms=100-195   latency: median and 99th percentile; also fault_get_ms, fault_other_ms
 *   fault_mb_per_s=N       of the body of one request, on top
 *   fault_slow_ppm=N       so many requests take fault_slow_ms=N (1000) instead
 *   fault_report=FILE      when the bucket closes: a line "VERB COUNT BYTES" for each verb */

#endif
