/* The tables of settings, by name.  What Kafka 4.2 knows is known here, so that programs which set
 * it go on working; the documentation says where nothing comes of it. */
#include "streams/catalog/config_rows.h"

#define MS_MAX INT64_MAX

#define NUMBER(name, broker, value, type, min, max, text)                                          \
	{                                                                                          \
		name, broker, value, type, false, min, max, NULL, text                             \
	}
#define WORD(name, broker, value, type, choices, text)                                             \
	{                                                                                          \
		name, broker, value, type, false, 0, 0, choices, text                              \
	}
#define FLAG(name, broker, value, text)                                                            \
	WORD(name, broker, value, CONFIG_BOOLEAN, "true|false", text)

#define NOTHING_YET " Stored; nothing acts on it yet."
#define NO_SEGMENTS " There are no segments: stored, without effect."
#define NO_REPLICAS " There are no replicas: stored, without effect."
#define NO_TIERS " All of a topic is in the bucket: stored, without effect."
#define AS_IT_COMES " Batches stay as their producer compressed them: stored, without effect."

const struct config_row config_topic_rows[] = {
	WORD("cleanup.policy", "log.cleanup.policy", "delete", CONFIG_LIST, "compact|delete",
	     "What becomes of old records. With compact every record needs a key, and the last one "
	     "of each key stays; with delete they go by age and size."),
	NUMBER("compression.gzip.level", "compression.gzip.level", "-1", CONFIG_INT, -1, 9,
	       "How hard to compress." AS_IT_COMES),
	NUMBER("compression.lz4.level", "compression.lz4.level", "9", CONFIG_INT, 1, 17,
	       "How hard to compress." AS_IT_COMES),
	WORD("compression.type", "compression.type", "producer", CONFIG_STRING,
	     "uncompressed|zstd|lz4|snappy|gzip|producer", "The codec of batches." AS_IT_COMES),
	NUMBER("compression.zstd.level", "compression.zstd.level", "3", CONFIG_INT, -131072, 22,
	       "How hard to compress." AS_IT_COMES),
	NUMBER("delete.retention.ms", "log.cleaner.delete.retention.ms", "86400000", CONFIG_LONG, 0,
	       MS_MAX, "How long tombstones stay once they were compacted."),
	NUMBER("file.delete.delay.ms", "log.segment.delete.delay.ms", "60000", CONFIG_LONG, 0,
	       MS_MAX,
	       "How long a segment outlives its deletion. A data file without records is deleted "
	       "ten minutes later: stored, without effect."),
	NUMBER("flush.messages", "log.flush.interval.messages", "9223372036854775807", CONFIG_LONG,
	       1, INT64_MAX, "Records between flushes. Every acknowledged record is durable."),
	NUMBER("flush.ms", "log.flush.interval.ms", "9223372036854775807", CONFIG_LONG, 0, MS_MAX,
	       "Time between flushes. Every acknowledged record is durable."),
	WORD("follower.replication.throttled.replicas", NULL, "", CONFIG_LIST, NULL,
	     "Replicas that are copied slowly." NO_REPLICAS),
	NUMBER("index.interval.bytes", "log.index.interval.bytes", "4096", CONFIG_INT, 0, INT32_MAX,
	       "Bytes between entries of the index." NO_SEGMENTS),
	WORD("leader.replication.throttled.replicas", NULL, "", CONFIG_LIST, NULL,
	     "Replicas that are copied slowly." NO_REPLICAS),
	NUMBER("local.retention.bytes", "log.local.retention.bytes", "-2", CONFIG_LONG, -2,
	       INT64_MAX, "What stays outside of the remote tier." NO_TIERS),
	NUMBER("local.retention.ms", "log.local.retention.ms", "-2", CONFIG_LONG, -2, MS_MAX,
	       "What stays outside of the remote tier." NO_TIERS),
	NUMBER("max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms", "9223372036854775807",
	       CONFIG_LONG, 1, MS_MAX,
	       "Records older than that are compacted however few of them there are."),
	NUMBER("max.message.bytes", "message.max.bytes", "1048588", CONFIG_INT, 0, INT32_MAX,
	       "The largest batch that is accepted. No batch is larger than a request may be."),
	NUMBER("message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms", "3600000",
	       CONFIG_LONG, 0, MS_MAX,
	       "How far a record's time may be ahead of the broker's, where producers give it."),
	NUMBER("message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms",
	       "9223372036854775807", CONFIG_LONG, 0, MS_MAX,
	       "How far a record's time may be behind the broker's, where producers give it."),
	WORD("message.timestamp.type", "log.message.timestamp.type", "CreateTime", CONFIG_STRING,
	     "CreateTime|LogAppendTime", "Whether records have their producer's time or ours."),
	{ "min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio", "0.5", CONFIG_DOUBLE,
	  false, 0, 1, NULL,
	  "A partition is compacted when more than this part of it was not compacted before." },
	NUMBER("min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms", "0", CONFIG_LONG, 0,
	       MS_MAX, "Records younger than that are not compacted."),
	NUMBER("min.insync.replicas", "min.insync.replicas", "1", CONFIG_INT, 1, INT32_MAX,
	       "Replicas to wait for. An acknowledged batch is durable in the bucket."),
	FLAG("preallocate", "log.preallocate", "false", "Room for a segment." NO_SEGMENTS),
	FLAG("remote.log.copy.disable", NULL, "false", "The remote tier." NO_TIERS),
	FLAG("remote.log.delete.on.disable", NULL, "false", "The remote tier." NO_TIERS),
	FLAG("remote.storage.enable", NULL, "false", "The remote tier." NO_TIERS),
	NUMBER("retention.bytes", "log.retention.bytes", "-1", CONFIG_LONG, -1, INT64_MAX,
	       "With delete: the oldest records of a partition go while it is larger than that "
	       "without them; -1: no limit."),
	NUMBER("retention.ms", "log.retention.ms", "604800000", CONFIG_LONG, -1, MS_MAX,
	       "With delete: records go when they are older than that, by their own time; -1: no "
	       "limit."),
	NUMBER("segment.bytes", "log.segment.bytes", "1073741824", CONFIG_INT, 14, INT32_MAX,
	       "The size of a segment." NO_SEGMENTS),
	NUMBER("segment.index.bytes", "log.index.size.max.bytes", "10485760", CONFIG_INT, 4,
	       INT32_MAX, "The size of an index." NO_SEGMENTS),
	NUMBER("segment.jitter.ms", "log.roll.jitter.ms", "0", CONFIG_LONG, 0, MS_MAX,
	       "The age of a segment." NO_SEGMENTS),
	NUMBER("segment.ms", "log.roll.ms", "604800000", CONFIG_LONG, 1, MS_MAX,
	       "The age of a segment." NO_SEGMENTS),
	FLAG("unclean.leader.election.enable", "unclean.leader.election.enable", "false",
	     "Whether records may be given up for availability. None is, whatever this says."),
};

#define FIXED(name, value, type, text)                                                             \
	{                                                                                          \
		name, NULL, value, type, true, 0, 0, NULL, text                                    \
	}

/* Set for all brokers at once: they are those of whoever coordinates. */
#define EVERYWHERE(name, value, type, min, max, text)                                              \
	{                                                                                          \
		name, name, value, type, false, min, max, NULL, text                               \
	}

/* Besides those that topics fall back to. */
const struct config_row config_broker_rows[] = {
	FIXED("advertised.listeners", NULL, CONFIG_STRING, "What clients are told to connect to."),
	FIXED("auto.create.topics.enable", NULL, CONFIG_BOOLEAN,
	      "Topics are created when a client that allows it asks for them."),
	FIXED("broker.id", NULL, CONFIG_INT, "The number of this node."),
	FIXED("broker.rack", NULL, CONFIG_STRING, "The site of this node."),
	FIXED("connections.max.reauth.ms", NULL, CONFIG_LONG,
	      "A client that signed in does so again before so much time is over; 0: need not."),
	FIXED("default.replication.factor", "1", CONFIG_INT,
	      "Durability is the bucket's business."),
	FIXED("delete.topic.enable", "true", CONFIG_BOOLEAN, "Topics can be deleted."),
	FIXED("fetch.max.bytes", "57671680", CONFIG_INT,
	      "The largest answer to a fetch; a larger batch comes alone."),
	EVERYWHERE("group.consumer.heartbeat.interval.ms", "5000", CONFIG_INT, 1000, 15000,
		   "Time between heartbeats of members of the consumer protocol."),
	EVERYWHERE("group.consumer.session.timeout.ms", "45000", CONFIG_INT, 6000, 1800000,
		   "Silence after which a member of the consumer protocol is removed."),
	EVERYWHERE("group.initial.rebalance.delay.ms", "100", CONFIG_INT, 0, 60000,
		   "How long an empty group waits for more members."),
	EVERYWHERE("group.max.session.timeout.ms", "1800000", CONFIG_INT, 1, 1800000,
		   "The longest session that a member of the classic protocol may ask for."),
	FIXED("group.max.size", "1000", CONFIG_INT, "Members of a group."),
	EVERYWHERE("group.min.session.timeout.ms", "6000", CONFIG_INT, 1, 1800000,
		   "The shortest session that a member of the classic protocol may ask for."),
	EVERYWHERE("log.cleaner.backoff.ms", "15000", CONFIG_LONG, 0, MS_MAX,
		   "Time between two looks for topics that are to be compacted."),
	FIXED("log.cleaner.dedupe.buffer.size", "100663296", CONFIG_LONG,
	      "Memory for the keys of a partition that is compacted."),
	FIXED("log.cleaner.enable", "true", CONFIG_BOOLEAN, "Topics are compacted."),
	FIXED("num.partitions", NULL, CONFIG_INT,
	      "Partitions of a topic that is created without saying how many."),
	FIXED("offset.metadata.max.bytes", "4096", CONFIG_INT,
	      "What a client may note beside a committed offset."),
	EVERYWHERE("hanse.topic.undelete.ms", "86400000", CONFIG_LONG, 0, MS_MAX,
		   "How long a deleted topic can be brought back; 0: it cannot."),
	EVERYWHERE("log.retention.check.interval.ms", "300000", CONFIG_LONG, 1, MS_MAX,
		   "Records stay at least so long after they came, however old their times are."),
	FIXED("log.retention.hours", "168", CONFIG_INT,
	      "In hours, what log.retention.ms is where nobody set it."),
	EVERYWHERE("offsets.retention.minutes", "10080", CONFIG_INT, 1, INT32_MAX,
		   "How long committed offsets are kept when nobody is in their group, or nobody "
		   "in it reads their topic."),
	EVERYWHERE("producer.id.expiration.ms", "86400000", CONFIG_INT, 1, INT32_MAX,
		   "How long a partition remembers a producer that writes nothing to it."),
	FIXED("replica.fetch.max.bytes", "1048576", CONFIG_INT,
	      "There are no replicas: without effect."),
	NUMBER("sasl.kerberos.min.time.before.relogin", NULL, "60000", CONFIG_LONG, 0, MS_MAX,
	       "There is no Kerberos: stored, without effect."),
	FIXED("socket.request.max.bytes", "104857600", CONFIG_INT,
	      "The largest request that is read."),
	EVERYWHERE("transaction.max.timeout.ms", "900000", CONFIG_INT, 1, INT32_MAX,
		   "The longest time that a producer may ask for its transactions."),
	EVERYWHERE("transactional.id.expiration.ms", "604800000", CONFIG_INT, 1, INT32_MAX,
		   "How long a transactional id is kept that nobody uses."),
};

const struct config_row config_group_rows[] = {
	NUMBER("consumer.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms", "5000",
	       CONFIG_INT, 1000, 15000,
	       "Time between heartbeats of members of the group, of the consumer protocol."),
	NUMBER("consumer.session.timeout.ms", "group.consumer.session.timeout.ms", "45000",
	       CONFIG_INT, 6000, 1800000,
	       "Silence after which a member of the consumer protocol is removed."),
	WORD("share.auto.offset.reset", NULL, "latest", CONFIG_STRING,
	     "latest|earliest|by_duration:" CONFIG_DURATION,
	     "Where a share group begins in a partition: with what comes next, with the first "
	     "record, or with the first one that is not older than that."),
	NUMBER("share.heartbeat.interval.ms", NULL, "5000", CONFIG_INT, 1000, 15000,
	       "Time between heartbeats of members of the share group."),
	WORD("share.isolation.level", NULL, "read_uncommitted", CONFIG_STRING,
	     "read_committed|read_uncommitted",
	     "Whether a share group gets records of transactions only once they are committed."),
	NUMBER("share.record.lock.duration.ms", NULL, "30000", CONFIG_INT, 1000, 3600000,
	       "How long a member of the share group has for the records it got."),
	NUMBER("share.session.timeout.ms", NULL, "45000", CONFIG_INT, 6000, 1800000,
	       "Silence after which a member of the share group is removed."),
};

const size_t config_topic_rows_count = sizeof(config_topic_rows) / sizeof(config_topic_rows[0]);
const size_t config_broker_rows_count = sizeof(config_broker_rows) / sizeof(config_broker_rows[0]);
const size_t config_group_rows_count = sizeof(config_group_rows) / sizeof(config_group_rows[0]);
