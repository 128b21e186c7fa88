/* What both halves of compaction keep to. */
#ifndef WIRE_PEER_COMPACTION_H
#define WIRE_PEER_COMPACTION_H

enum {
	COMPACTION_RUN_BYTES_MAX = 4 << 20,  /* of an output, unless one batch is larger */
	COMPACTION_JOB_BYTES_MAX = 32 << 20, /* of inputs */
	COMPACTION_JOB_RUNS_MAX = 2048,
	COMPACTION_SEQUENCE = 1, /* of the one file of a job; those of a pass by key: above */
	COMPACTION_LEASE_MS = 60 * 1000, /* the agent extends it by asking */
};

#endif
