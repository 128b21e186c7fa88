/* What control is told of a data file: its batches, without their bytes. */
#ifndef STREAMS_AGENT_FILE_COMMIT_H
#define STREAMS_AGENT_FILE_COMMIT_H

#include "base/arena.h"
#include "peer_messages.h"
#include "streams/agent/file_writer.h"
#include "wire/streams/data_file.h"

/* The runs of the request, in the arena: one for each partition, whose batches lie next to each
 * other.  `transactions` are those of the batches, by arrival. */
void file_commit_describe(struct arena *a, const struct data_file_writer *data,
			  const struct file_transaction *transactions,
			  struct peer_commit_file_request *ret);

#endif
