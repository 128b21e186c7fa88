/* Rowid tables with unique key indexes (architecture.md: wide WITHOUT ROWID rows are slow, and the
 * recorder names rows by rowid).  Times are Unix milliseconds. */
#include "streams/catalog/catalog.h"

const struct cell_schema catalog_schema[] = {
	{
		.name = "streams",
		.version = 1,
		.sql =
			/* producer ids, incarnations, node ids: the next one to give */
		"CREATE TABLE counter (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
		" next INTEGER NOT NULL);"

		"CREATE TABLE agent (id INTEGER PRIMARY KEY, node TEXT NOT NULL UNIQUE,"
		" host TEXT NOT NULL, port INTEGER NOT NULL, site TEXT NOT NULL,"
		" incarnation INTEGER NOT NULL UNIQUE, low_sequence INTEGER NOT NULL,"
		" is_live INTEGER NOT NULL);"

		/* deleted_ms: being deleted in bounded steps; the name is free again.  0: it can
		 * still be brought back, see deleted_topic */
		"CREATE TABLE topic (id INTEGER PRIMARY KEY, topic_id BLOB NOT NULL UNIQUE,"
		" name TEXT NOT NULL, partition_count INTEGER NOT NULL,"
		" created_ms INTEGER NOT NULL, deleted_ms INTEGER, config TEXT NOT NULL DEFAULT "
		"'{}');"
		"CREATE UNIQUE INDEX topic_name ON topic (name) WHERE deleted_ms IS NULL;"
		"CREATE INDEX topic_deleted ON topic (deleted_ms) WHERE deleted_ms IS NOT NULL;"

		/* high_watermark is the next offset to be given */
		"CREATE TABLE partition (id INTEGER PRIMARY KEY, topic INTEGER NOT NULL,"
		" number INTEGER NOT NULL, log_start_offset INTEGER NOT NULL,"
		" high_watermark INTEGER NOT NULL, leader_epoch INTEGER NOT NULL,"
		" bytes INTEGER NOT NULL, UNIQUE (topic, number));"

		/* a data file is named by incarnation and sequence; dead_ms: no run is left;
	 * reply: the answer to the commit, until the agent has seen it */
		"CREATE TABLE file (id INTEGER PRIMARY KEY, incarnation INTEGER NOT NULL,"
		" sequence INTEGER NOT NULL, size INTEGER NOT NULL, run_count INTEGER NOT NULL,"
		" committed_ms INTEGER NOT NULL, dead_ms INTEGER, reply BLOB,"
		" UNIQUE (incarnation, sequence));"
		"CREATE UNIQUE INDEX file_reply ON file (incarnation, sequence)"
		" WHERE reply IS NOT NULL;"
		"CREATE INDEX file_dead ON file (dead_ms) WHERE dead_ms IS NOT NULL;"

		/* offsets are given one after the other along the run */
		"CREATE TABLE run (id INTEGER PRIMARY KEY, partition INTEGER NOT NULL,"
		" last_offset INTEGER NOT NULL, base_offset INTEGER NOT NULL, file INTEGER NOT "
		"NULL,"
		" position INTEGER NOT NULL, size INTEGER NOT NULL, max_timestamp INTEGER NOT NULL,"
		" UNIQUE (partition, last_offset));"
		"CREATE INDEX run_file ON run (file);"

		/* recent: the last five batches, for duplicate answers */
		"CREATE TABLE producer (id INTEGER PRIMARY KEY, partition INTEGER NOT NULL,"
		" producer_id INTEGER NOT NULL, epoch INTEGER NOT NULL,"
		" last_sequence INTEGER NOT NULL, last_ms INTEGER NOT NULL, recent BLOB NOT NULL,"
		" UNIQUE (partition, producer_id));"

		/* doc/formats/group.md; deleted_ms as with topics */
		"CREATE TABLE consumer_group (id INTEGER PRIMARY KEY, name TEXT NOT NULL,"
		" state INTEGER NOT NULL, generation INTEGER NOT NULL, protocol_type TEXT NOT NULL,"
		" protocol TEXT, leader TEXT, updated_ms INTEGER NOT NULL, deleted_ms INTEGER);"
		"CREATE UNIQUE INDEX group_name ON consumer_group (name) WHERE deleted_ms IS NULL;"
		"CREATE INDEX group_idle ON consumer_group (updated_ms)"
		" WHERE state = 0 AND deleted_ms IS NULL;"
		"CREATE INDEX group_deleted ON consumer_group (deleted_ms) WHERE deleted_ms IS NOT "
		"NULL;"

		"CREATE TABLE member (id INTEGER PRIMARY KEY, consumer_group INTEGER NOT NULL,"
		" member_id TEXT NOT NULL, instance_id TEXT, client_id TEXT NOT NULL,"
		" client_host TEXT NOT NULL, session_timeout_ms INTEGER NOT NULL,"
		" rebalance_timeout_ms INTEGER NOT NULL, protocols BLOB NOT NULL,"
		" assignment BLOB NOT NULL, UNIQUE (consumer_group, member_id));"

		"CREATE TABLE group_offset (id INTEGER PRIMARY KEY, consumer_group INTEGER NOT "
		"NULL,"
		" topic INTEGER NOT NULL, partition INTEGER NOT NULL, committed_offset INTEGER NOT "
		"NULL,"
		" leader_epoch INTEGER NOT NULL, metadata TEXT NOT NULL, commit_ms INTEGER NOT "
		"NULL,"
		" UNIQUE (consumer_group, topic, partition));"
		"CREATE INDEX group_offset_topic ON group_offset (topic);",
	},
	{
		.name = "streams",
		.version = 2,
		.sql =
			/* what a bucket was asked in a month of UTC, 202611; see usage.h */
		"CREATE TABLE usage (id INTEGER PRIMARY KEY, bucket TEXT NOT NULL,"
		" purpose TEXT NOT NULL, month INTEGER NOT NULL, since_ms INTEGER NOT NULL,"
		" updated_ms INTEGER NOT NULL, put INTEGER NOT NULL, put_new INTEGER NOT NULL,"
		" part INTEGER NOT NULL, \"get\" INTEGER NOT NULL, head INTEGER NOT NULL,"
		" list INTEGER NOT NULL, \"delete\" INTEGER NOT NULL, errors INTEGER NOT NULL,"
		" sent_bytes INTEGER NOT NULL, received_bytes INTEGER NOT NULL,"
		" produced_bytes INTEGER NOT NULL, fetched_bytes INTEGER NOT NULL,"
		" control_bytes INTEGER NOT NULL, UNIQUE (bucket, purpose, month));"

		/* processes that reported, so that no report counts twice */
		"CREATE TABLE usage_source (id INTEGER PRIMARY KEY, source INTEGER NOT NULL UNIQUE,"
		" sequence INTEGER NOT NULL, updated_ms INTEGER NOT NULL);",
	},
	{
		.name = "streams",
		.version = 3,
		.sql =
			/* settings that are not the default; kind: see config.h */
		"CREATE TABLE config (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL,"
		" resource TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,"
		" UNIQUE (kind, resource, name));"

		/* partitions (their rows) that may have runs before their log start */
		"CREATE TABLE trim (id INTEGER PRIMARY KEY);"

		/* what clients may do a second; see quota.h */
		"CREATE TABLE quota (id INTEGER PRIMARY KEY, user TEXT NOT NULL,"
		" client_id TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,"
		" UNIQUE (user, client_id, name));",
	},
	{
		.name = "streams",
		.version = 4,
		.sql =
			/* who may sign in, what with (SCRAM's verifiers), and who may do what:
	 * guard.h; the numbers are Kafka's */
		"CREATE TABLE access_user (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
		" is_admin INTEGER NOT NULL, created_ms INTEGER NOT NULL);"

		"CREATE TABLE access_verifier (id INTEGER PRIMARY KEY, user INTEGER NOT NULL,"
		" kind INTEGER NOT NULL, iterations INTEGER NOT NULL, salt BLOB NOT NULL,"
		" stored_key BLOB NOT NULL, server_key BLOB NOT NULL, UNIQUE (user, kind));"

		"CREATE TABLE access_secret (id INTEGER PRIMARY KEY, secret BLOB NOT NULL);"

		"CREATE TABLE access_grant (id INTEGER PRIMARY KEY, resource INTEGER NOT NULL,"
		" name TEXT NOT NULL, pattern INTEGER NOT NULL, principal TEXT NOT NULL,"
		" host TEXT NOT NULL, operation INTEGER NOT NULL, permission INTEGER NOT NULL,"
		" UNIQUE (resource, name, pattern, principal, host, operation, permission));",
	},
	{
		.name = "streams",
		.version = 5,
		.sql =
			/* groups of the consumer protocol; doc/formats/group.md */
		"CREATE TABLE consumer_protocol (id INTEGER PRIMARY KEY,"
		" consumer_group INTEGER NOT NULL UNIQUE, assignment_epoch INTEGER NOT NULL,"
		" topics_hash INTEGER NOT NULL);"

		"CREATE TABLE consumer_member (id INTEGER PRIMARY KEY,"
		" consumer_group INTEGER NOT NULL, member_id TEXT NOT NULL,"
		" member_epoch INTEGER NOT NULL, previous_epoch INTEGER NOT NULL,"
		" state INTEGER NOT NULL, rack_id TEXT, topics BLOB NOT NULL, pattern TEXT NOT "
		"NULL,"
		" assignor TEXT, assigned BLOB NOT NULL, revoking BLOB NOT NULL, target BLOB NOT "
		"NULL,"
		" UNIQUE (consumer_group, member_id));",
	},
	{
		.name = "streams",
		.version = 6,
		.sql =
			/* a transactional id and its transaction: coordinator/transaction.h.
			 * partition_count and offset_bytes are what hangs on it, for limits */
		"CREATE TABLE transactional (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
		" producer_id INTEGER NOT NULL UNIQUE, epoch INTEGER NOT NULL,"
		" previous_producer_id INTEGER NOT NULL, previous_epoch INTEGER NOT NULL,"
		" state INTEGER NOT NULL, timeout_ms INTEGER NOT NULL, started_ms INTEGER NOT NULL,"
		" updated_ms INTEGER NOT NULL, partition_count INTEGER NOT NULL,"
		" offset_bytes INTEGER NOT NULL, sessions BLOB NOT NULL,"
		" offset_sessions BLOB NOT NULL);"
		"CREATE INDEX transactional_ongoing ON transactional (started_ms) WHERE state = 1;"
		"CREATE INDEX transactional_idle ON transactional (updated_ms) WHERE state <> 1;"

		/* partition: row of partition */
		"CREATE TABLE transaction_partition (id INTEGER PRIMARY KEY,"
		" transactional INTEGER NOT NULL, partition INTEGER NOT NULL,"
		" UNIQUE (transactional, partition));"
		"CREATE INDEX transaction_partition_of ON transaction_partition (partition);"

		/* groups whose offsets the transaction may commit */
		"CREATE TABLE transaction_group (id INTEGER PRIMARY KEY,"
		" transactional INTEGER NOT NULL, group_name TEXT NOT NULL,"
		" UNIQUE (transactional, group_name));"

		/* offsets that the end of the transaction commits */
		"CREATE TABLE transaction_offset (id INTEGER PRIMARY KEY,"
		" transactional INTEGER NOT NULL, group_name TEXT NOT NULL, topic INTEGER NOT NULL,"
		" partition INTEGER NOT NULL, committed_offset INTEGER NOT NULL,"
		" leader_epoch INTEGER NOT NULL, metadata TEXT NOT NULL,"
		" UNIQUE (group_name, topic, partition, transactional));"
		"CREATE INDEX transaction_offset_of ON transaction_offset (transactional);"
		"CREATE INDEX transaction_offset_topic ON transaction_offset (topic);"

		/* where a producer has written in a transaction that has not ended: the least
			 * first_offset of a partition is its last stable offset */
		"CREATE TABLE open_transaction (id INTEGER PRIMARY KEY, partition INTEGER NOT NULL,"
		" producer_id INTEGER NOT NULL, first_offset INTEGER NOT NULL,"
		" UNIQUE (partition, producer_id));"
		"CREATE INDEX open_transaction_first ON open_transaction (partition, first_offset);"

		/* the end of a transaction takes an offset of each partition it wrote to; no
			 * data file has it.  stable_offset: the last stable offset after it */
		"CREATE TABLE marker (id INTEGER PRIMARY KEY, partition INTEGER NOT NULL,"
		" marker_offset INTEGER NOT NULL, producer_id INTEGER NOT NULL,"
		" epoch INTEGER NOT NULL, is_commit INTEGER NOT NULL, first_offset INTEGER NOT "
		"NULL,"
		" stable_offset INTEGER NOT NULL, written_ms INTEGER NOT NULL,"
		" UNIQUE (partition, marker_offset));"
		"CREATE INDEX marker_abort ON marker (partition, marker_offset) WHERE is_commit = "
		"0;",
	},
	{
		.name = "streams",
		.version = 7,
		.sql =
			/* what producers of deleted topics wrote last: former_producer.h */
		"CREATE TABLE former_producer (id INTEGER PRIMARY KEY, topic_name TEXT NOT NULL,"
		" number INTEGER NOT NULL, producer_id INTEGER NOT NULL, epoch INTEGER NOT NULL,"
		" last_sequence INTEGER NOT NULL, deleted_ms INTEGER NOT NULL,"
		" UNIQUE (topic_name, number, producer_id));"
		"CREATE INDEX former_producer_deleted ON former_producer (deleted_ms);",
	},
	{
		.name = "streams",
		.version = 8,
		.sql =
			/* share groups; doc/formats/share.md */
		"CREATE TABLE share_group (id INTEGER PRIMARY KEY,"
		" consumer_group INTEGER NOT NULL UNIQUE, topics_hash INTEGER NOT NULL);"

		"CREATE TABLE share_member (id INTEGER PRIMARY KEY,"
		" consumer_group INTEGER NOT NULL, member_id TEXT NOT NULL,"
		" member_epoch INTEGER NOT NULL, previous_epoch INTEGER NOT NULL, rack_id TEXT,"
		" client_id TEXT NOT NULL, client_host TEXT NOT NULL, topics BLOB NOT NULL,"
		" deadline_ms INTEGER NOT NULL, UNIQUE (consumer_group, member_id));"
		"CREATE INDEX share_member_deadline ON share_member (deadline_ms);"

		/* topic: row of topic; state: share_partition.h */
		"CREATE TABLE share_partition (id INTEGER PRIMARY KEY,"
		" consumer_group INTEGER NOT NULL, topic INTEGER NOT NULL,"
		" partition INTEGER NOT NULL, state BLOB NOT NULL,"
		" UNIQUE (consumer_group, topic, partition));"
		"CREATE INDEX share_partition_topic ON share_partition (topic);",
	},
	{
		.name = "streams",
		.version = 9,
		.sql =
			/* level: 0 of a producer; above: of compaction, whose batches carry their
			 * offsets.  The indexes stay out of the way of commits */
		"ALTER TABLE file ADD COLUMN level INTEGER NOT NULL DEFAULT 0;"
		"ALTER TABLE run ADD COLUMN level INTEGER NOT NULL DEFAULT 0;"
		"CREATE INDEX file_fresh ON file (id) WHERE level = 0 AND dead_ms IS NULL;"
		"CREATE INDEX run_level ON run (level, partition, last_offset)"
		" WHERE level > 0 AND level < 4;"

		/* is_in_run: a run holds its control batch; the row is there for lists of what was
		 * aborted */
		"ALTER TABLE marker ADD COLUMN is_in_run INTEGER NOT NULL DEFAULT 0;",
	},
	{
		.name = "streams",
		.version = 10,
		.sql =
			/* incarnations of which nobody knows what a state of the journal that is
			 * lost may have committed: coordinator/unsure.h */
		"CREATE TABLE unsure_life (id INTEGER PRIMARY KEY, first INTEGER NOT NULL,"
		" last INTEGER NOT NULL, since_ms INTEGER NOT NULL);",
	},
	{
		.name = "streams",
		.version = 11,
		.sql =
			/* deleted topics (rows of topic) that can be brought back, see
			 * coordinator/deleted_topic.h */
		"CREATE TABLE deleted_topic (id INTEGER PRIMARY KEY, deleted_ms INTEGER NOT NULL,"
		" partition_count INTEGER NOT NULL);"
		"CREATE INDEX deleted_topic_ms ON deleted_topic (deleted_ms);"

		/* how far the time has come by which things are deleted: one row, see
		 * coordinator/deletion_clock.h */
		"CREATE TABLE deletion_clock (id INTEGER PRIMARY KEY,"
		" reached_ms INTEGER NOT NULL);",
	},
	{
		.name = "streams",
		.version = 12,
		.sql =
			/* of a compacted partition (its row): up to where passes came, see
			 * coordinator/key_compaction.h */
		"CREATE TABLE key_clean (id INTEGER PRIMARY KEY, clean_offset INTEGER NOT NULL);",
	},
	{
		.name = "streams",
		.version = 13,
		.sql =
			/* who deleted it: where there are too many, the oldest of whoever has most
			 * go, see coordinator/deleted_topic.h */
		"ALTER TABLE deleted_topic ADD COLUMN deleted_by TEXT NOT NULL DEFAULT '';",
	},
	{
		.name = "streams",
		.version = 14,
		.sql =
			/* HOST:PORT where other agents of its site ask for blocks; '': nowhere */
		"ALTER TABLE agent ADD COLUMN blocks TEXT NOT NULL DEFAULT '';",
	},
	{
		.name = "streams",
		.version = 15,
		.sql =
			/* where its leader epoch begins, see epoch.h */
		"ALTER TABLE partition ADD COLUMN epoch_offset INTEGER NOT NULL DEFAULT 0;",
	},
	{
		.name = "streams",
		.version = 16,
		.sql =
			/* files whose PUT is under way, in the order in which they were announced,
			 * with the request that will commit them: coordinator/announced.h */
		"CREATE TABLE announced (id INTEGER PRIMARY KEY, incarnation INTEGER NOT NULL,"
		" sequence INTEGER NOT NULL, size INTEGER NOT NULL, request BLOB NOT NULL,"
		" UNIQUE (incarnation, sequence));",
	},
};

const size_t catalog_schema_count = sizeof(catalog_schema) / sizeof(catalog_schema[0]);
