/* Where readers left off: an offset inside a run is found by walking the batches before it, and a
 * reader that goes on where the last answer ended need not walk again, nor have those bytes in
 * memory.  A memory of fixed size that may forget: nothing depends on it but speed. */
#ifndef STREAMS_AGENT_READ_PLACES_H
#define STREAMS_AGENT_READ_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#include "streams/catalog/catalog.h"

enum { READ_PLACES_COUNT = 4096 };

struct read_places;

struct read_places *read_places_new(void);
void read_places_free(struct read_places *places);

/* An answer ended before `offset` of the partition (row), at `position` of the run's file, which is
 * where the batch at `offset` begins unless the run ends there.  With it readers had `row_bytes`
 * without a gap. */
void read_places_note(struct read_places *places, int64_t partition, int64_t offset,
		      const struct catalog_run *run, int64_t position, uint64_t row_bytes);

/* How many bytes before `offset` were read in a row; 0: nothing is known. */
uint64_t read_places_row_bytes(const struct read_places *places, int64_t partition, int64_t offset);

bool read_places_find(const struct read_places *places, int64_t partition, int64_t offset,
		      const struct catalog_run *run, int64_t *ret_position);

#endif
