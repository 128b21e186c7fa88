/* What an agent has seen: a record of the journal and the content hash after it, said with its
 * hello.  Only committed records are ever sent to agents, so a journal that does not have it lost
 * changes that were acknowledged: its bucket gave back an older state of itself. */
#ifndef STREAMS_COORDINATOR_POSITION_H
#define STREAMS_COORDINATOR_POSITION_H

#include "base/uuid.h"
#include "cells/leader.h"
#include "peer_messages.h"

/* OK; ERR_INVALID: the agent belongs to another cluster; ERR_CORRUPT: this journal does not have
 * what it has seen, if a fence check that begins now shows that it is not simply led by another
 * one by now. */
MUST_CHECK enum err position_check(const struct leader *l, struct uuid cluster_id,
				   const struct peer_hello_request *request);

struct leader_position position_of(const struct peer_hello_request *request);

#endif
