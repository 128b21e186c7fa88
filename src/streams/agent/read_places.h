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

/* The batch at `offset` of the partition (row) begins at `position` of the run's file. */
void read_places_note(struct read_places *places, int64_t partition, int64_t offset,
		      const struct catalog_run *run, int64_t position);

bool read_places_find(const struct read_places *places, int64_t partition, int64_t offset,
		      const struct catalog_run *run, int64_t *ret_position);

#endif
