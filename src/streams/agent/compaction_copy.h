/* From the bytes of old runs to the file of a job: pure, no I/O.
 *
 * Groups come one after the other, those of one partition in the order of their offsets, and each
 * with all its runs.  What goes wrong with a group leaves it out of the file's runs (some of its
 * batches may lie in the file, where nothing points to them). */
#ifndef STREAMS_AGENT_COMPACTION_COPY_H
#define STREAMS_AGENT_COMPACTION_COPY_H

#include "base/blob.h"
#include "base/buf.h"
#include "cells/cell.h"
#include "peer_messages.h"
#include "wire/streams/data_file.h"

/* A run of the file. */
struct compaction_output {
	int32_t group;
	int64_t base_offset, last_offset;
	uint32_t first_arrival; /* of its batches in the writer */
	int64_t position;	/* known when the file is finished */
	int64_t size;
	int64_t max_timestamp; /* of its records; markers have none */
};

struct compaction_copy {
	struct data_file_writer data;
	struct buf outputs; /* struct compaction_output */
	struct buf offsets; /* int64_t, by arrival */
	/* the group in work */
	const struct peer_job_take_response_group *group;
	size_t outputs_before; /* bytes */
	size_t markers_written;
	size_t runs_read;
	int64_t next; /* offset */
	struct compaction_output open;
	bool is_open;
};

void compaction_copy_init(struct compaction_copy *c);
void compaction_copy_done(struct compaction_copy *c);

/* Begin with the group that has this number in the job. */
void compaction_copy_begin(struct compaction_copy *c, int32_t number,
			   const struct peer_job_take_response_group *group);

/* The next run of the group: `size` bytes of `holder`, which nobody else has, from `at` on; offsets
 * are written into them.  ERR_CORRUPT: they are not what the job says; ERR_FULL: the file is.  Then
 * compaction_copy_drop(). */
MUST_CHECK enum err compaction_copy_run(struct compaction_copy *c,
					const struct peer_job_take_response_run *run,
					struct blob *holder, size_t at);

/* All runs were copied; errors as above. */
MUST_CHECK enum err compaction_copy_end(struct compaction_copy *c);
void compaction_copy_drop(struct compaction_copy *c);

/* Anything to write?  Then the file is c->data, and c->outputs have their positions. */
bool compaction_copy_finish(struct compaction_copy *c, struct cell *cell,
			    const struct data_file_header *header);

#endif
