/* A file system in memory that can lose power: the double of directory_system for tests.
 *
 * It promises no more than POSIX does.  After a power loss
 *  - a directory has the entries of its last fsync, and of the changes since then any subset;
 *  - a file has the bytes of its last fsync, or, where it was written since, anything: the old
 *    size or a new one, zeros, garbage, some pages of the new contents;
 *  - a directory whose own entry was lost is lost with all that was ever synced in it.
 * An fsync of a file that fails throws the unwritten bytes away, and the next one succeeds. */
#ifndef BUCKETS_DIRECTORY_MODEL_H
#define BUCKETS_DIRECTORY_MODEL_H

#include <stdbool.h>

#include "buckets/directory_system.h"

struct directory_model;

/* What becomes of bytes that were written and not synced. */
enum directory_model_bytes {
	MODEL_BYTES_LOST,
	MODEL_BYTES_ZERO,
	MODEL_BYTES_TORN,
	MODEL_BYTES_KEPT
};

/* Calls are numbered from 1; closing is not counted. */
struct directory_model_plan {
	uint64_t power_off_at; /* calls after this one have no effect and fail; 0: never */
	uint64_t fail_at;      /* the first call that fails, 0: none */
	uint64_t fail_count;   /* how many calls from there on fail */
	int fail_with;	       /* errno */
	bool fail_late;	       /* the call has its effect and then fails (where that can be) */
	bool short_write;      /* in place of failing, write only a part */
	bool no_direct;	       /* as file systems without O_DIRECT */
	bool no_unnamed;       /* as file systems without O_TMPFILE */
};

/* The handle of the root directory; closing it does nothing. */
enum { DIRECTORY_MODEL_ROOT = 0 };

extern const struct directory_system directory_system_model; /* its context is the model */

struct directory_model *directory_model_new(void);
void directory_model_free(struct directory_model *m);

/* Start counting calls again under a new plan; the process may have died, the machine did not. */
void directory_model_set_plan(struct directory_model *m, const struct directory_model_plan *plan);
uint64_t directory_model_calls(const struct directory_model *m);
uint64_t directory_model_open_handles(const struct directory_model *m);

/* Changes of directories whose survival is not certain. */
uint64_t directory_model_pending(const struct directory_model *m);

/* The file system after a power loss now: pending change i survives when bit i % 64 of `survivors`
 * is set. `seed` draws the torn bytes. */
struct directory_model *directory_model_lose_power(const struct directory_model *m,
						   uint64_t survivors,
						   enum directory_model_bytes bytes, uint64_t seed);

#endif
