/* The buckets of a cluster that a command reads without a node: --bucket, --journal, --key-file. */
#ifndef CLI_RESTORE_BUCKETS_H
#define CLI_RESTORE_BUCKETS_H

#include "cells/journal.h"
#include "cli/command.h"
#include "server/key_file.h"

enum { RESTORE_BUCKETS_IMPOSSIBLE = COMMAND_MISUSED };

struct restore_buckets {
	const struct command_line *line;
	const char *bucket_url, *journal_urls; /* NULL: the journal is in the bucket */
	const char *key_file;		       /* NULL: not sealed */
	struct keyring keys;
	struct bucket *bucket;
	struct bucket *journals[JOURNAL_BUCKETS_MAX];
	int journal_count;
};

/* Says what is wrong.  restore_buckets_close() in any case. */
enum command_status restore_buckets_open(struct restore_buckets *r);
void restore_buckets_close(struct restore_buckets *r);

#endif
