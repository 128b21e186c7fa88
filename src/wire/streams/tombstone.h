/* A tombstone lies under the name of a data file that must not come to be any more: whoever creates
 * one there first, a tombstone or the file, has decided which of them it is
 * (doc/decisions/0046-a-file-is-announced-while-it-is-put.md).  Every byte is in
 * doc/formats/data-file.md. */
#ifndef WIRE_STREAMS_TOMBSTONE_H
#define WIRE_STREAMS_TOMBSTONE_H

#include "base/err.h"
#include "base/slice.h"

enum { TOMBSTONE_VERSION = 1, TOMBSTONE_BYTES = 64 };

struct tombstone {
	uint8_t cluster_id[16];
	uint64_t incarnation; /* of the file that cannot be */
	uint64_t sequence;
	int64_t created_ms; /* for people only */
};

void tombstone_encode(const struct tombstone *t, uint8_t ret[TOMBSTONE_BYTES]);

/* Of a whole object.  ERR_CORRUPT: it is none; ERR_UNSUPPORTED: one of a newer program. */
MUST_CHECK enum err tombstone_decode(struct slice object, struct tombstone *ret);

#endif
