/* Commit one data file: the command that gives its batches their offsets.
 *
 * All partitions of a file are one transaction.  Committing the same file again gives the answer of
 * the first time, so an agent that lost an answer asks again.  A file of an incarnation that is not
 * the agent's current one is refused as a whole, which is what makes it safe to delete the files of
 * dead incarnations. */
#ifndef STREAMS_COORDINATOR_COMMIT_FILE_H
#define STREAMS_COORDINATOR_COMMIT_FILE_H

#include "base/arena.h"
#include "cells/cell.h"
#include "peer_messages.h"

struct commit_file {
	struct arena *arena;
	const struct peer_commit_file_request *request;
	int64_t now_ms; /* of the journal */
	struct peer_commit_file_response *response;
};

/* For leader_run().  OK: `response` is filled, with a Kafka error per batch.  ERR_DENIED: the
 * incarnation is not current.  ERR_BUSY: the file before it is not committed yet.  ERR_INVALID: the
 * request breaks the contract; nothing was changed. */
MUST_CHECK enum err commit_file_run(struct cell *cell, void *argument);

#endif
