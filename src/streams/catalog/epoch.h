/* Leader epochs: a partition has one from its beginning to its end, and another one only after
 * `hanse rebuild` made its catalog anew. */
#ifndef STREAMS_CATALOG_EPOCH_H
#define STREAMS_CATALOG_EPOCH_H

#include "cells/cell.h"

/* Where the epoch of the partition (row) begins, which is the end of all before it; 0: there was
 * none. */
int64_t catalog_epoch_offset(struct cell *c, int64_t partition);

#endif
