/* Where the batches of one partition were, told from the data files alone.  Pure.
 *
 * Two kinds of batches come in.  Those of compaction know their offset.  Those of producers' files
 * know the least it can be: the high watermark their agent had heard of when it closed the file.
 * The same batch may come in both kinds, while the file it was compacted from is still there, and
 * more than once in either.
 *
 *	1. Batches with offsets stand where they say.  Of two with the same offset the newer file's
 *	   counts.
 *	2. A batch without, which is a copy of one with (by producer and sequence, or by checksum,
 *	   size and time), is left out; or takes its place, if that one is damaged.
 *	3. The others come in the order of their least offsets, then of files, and go where the log
 *	   has room: between batches of compaction, and behind the last.  In a file of compaction by
 *	   key there is none: what is not there was left out.
 *	4. Of an idempotent producer a batch comes once, and one that is ahead of its turn waits
 *	   for its repetition, as control did.
 *
 *	5. Where compaction by key was, nothing goes behind it that it may have left out: an old
 *	   record would be the last of its key.  Such a batch takes the first room between two files
 *	   that it fits into, and is doubtful; or it is left out, and counted.
 *
 * What is certain: offsets of compaction; and of a producer's file where the least offset is the
 * one it got, the batches behind it begin exactly where it ends, and no other file can have been in
 * between.  decisions/0042 says more. */
#ifndef STREAMS_REBUILD_PLACE_H
#define STREAMS_REBUILD_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum place_outcome {
	PLACE_CERTAIN,
	PLACE_LIKELY,	/* its records are whole, its offset is the best that can be told */
	PLACE_COPY,	/* the same records are at an offset already */
	PLACE_REFUSED,	/* came too early, and again later: control did not take it */
	PLACE_DAMAGED,	/* its offsets are left free */
	PLACE_DOUBTFUL, /* placed, but it may be that it should not be there any more */
	PLACE_LEFT,	/* left out: compaction by key may have done so, or it stands behind */
	PLACE_OUTCOMES,
};

/* The end of a transaction, as compaction wrote it. */
enum place_control { PLACE_RECORDS, PLACE_COMMIT, PLACE_ABORT };

struct place_batch {
	int64_t file; /* the caller's name of it */
	int64_t incarnation, sequence;
	int64_t position;
	int64_t base_offset; /* with is_final its own; else the least it can be, -1: unknown */
	int64_t base_timestamp, max_timestamp;
	int64_t written_ms;  /* as its file has it, or else the batch */
	int64_t producer_id; /* -1: none */
	uint32_t size, crc;
	int32_t record_count, last_offset_delta, base_sequence;
	uint16_t attributes;
	int16_t producer_epoch;
	bool is_final;
	bool is_damaged;
	enum place_control control;

	int64_t offset; /* out; -1: it is left out */
	enum place_outcome outcome;
	uint32_t group; /* private: those that are the same batch */
};

struct place_end {
	int64_t log_start;	/* of the first batch that was placed */
	int64_t high_watermark; /* not less than any that was heard of */
	int64_t last_placed;	/* the offset behind the last batch; at most high_watermark */
};

/* Orders the batches: those that have an offset come first, by it; damaged ones have one. */
void place_batches(struct place_batch *batches, size_t count, struct place_end *ret);

/* Of compaction by key: offsets between the batches of one of its files were left out. */
bool place_is_of_pass(const struct place_batch *b);

/* The offset behind a placed batch. */
int64_t place_behind(const struct place_batch *b);

#endif
