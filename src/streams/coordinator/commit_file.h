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
	/* Out, where there is room for all batches of the request (else NULL): the runs that it
	 * gave, but those with batches of a transaction.  Of a repeated commit there are none. */
	struct peer_early_push_run *placed;
	size_t placed_count;
};

/* For leader_run().  OK: `response` is filled, with a Kafka error per batch.  ERR_DENIED: the
 * incarnation is not current.  ERR_BUSY: the file before it is not committed yet.  ERR_INVALID: the
 * request breaks the contract; nothing was changed. */
MUST_CHECK enum err commit_file_run(struct cell *cell, void *argument);

/* Its parts, for files that are announced first (announced.h), inside a transaction.
 *
 * The answer that it got before; ERR_NOT_FOUND: it is new. */
MUST_CHECK enum err commit_file_repeat(struct cell *cell, struct commit_file *commit);

/* Could it be committed?  What the commit finds out by itself, per batch, is not looked at. */
MUST_CHECK enum err commit_file_check(struct cell *cell,
				      const struct peer_commit_file_request *request);

/* Is what it comes after committed?  ERR_BUSY: not yet. */
MUST_CHECK enum err commit_file_check_turn(struct cell *cell,
					   const struct peer_commit_file_request *request);

/* The commit of a file that was checked, whatever became of the life of its agent. */
MUST_CHECK enum err commit_file_apply(struct cell *cell, struct commit_file *commit);

/* The agent has seen the answers of its files below this sequence: they are forgotten. */
MUST_CHECK enum err commit_file_forget_replies(struct cell *cell, int64_t incarnation,
					       int64_t low_sequence);

/* It becomes a dead file, whose grace begins at `dead_ms`, and whoever asks for it hears
 * ERR_NOT_FOUND. */
MUST_CHECK enum err commit_file_bury(struct cell *cell, int64_t incarnation, int64_t sequence,
				     int64_t size, int64_t now_ms, int64_t dead_ms);

/* Has a batch no offset? */
bool commit_file_has_errors(const struct peer_commit_file_response *response);

#endif
