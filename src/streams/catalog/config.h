/* The settings of topics, brokers and groups: which there are, which values they may have, and what
 * holds where nothing is set.
 *
 * A setting of a topic that is not set for it is that of all brokers (the broker resource with an
 * empty name, where it often has another name), and else its default.  Values are text, as in
 * Kafka.  The coordinator changes them (coordinator/alter_configs.c), agents tell them and act on
 * them; a row's documentation says whether anything does. */
#ifndef STREAMS_CATALOG_CONFIG_H
#define STREAMS_CATALOG_CONFIG_H

#include "streams/catalog/catalog.h"

enum {
	CONFIG_VALUE_BYTES_MAX = 8192,
	CONFIG_RESOURCE_BYTES_MAX = 1024,	/* of a name: groups have no limit of their own */
	CONFIG_MESSAGE_BYTES_DEFAULT = 1048588, /* max.message.bytes */
	CONFIG_TIMESTAMP_AFTER_MAX_MS = 3600000,
	CONFIG_RETENTION_MS = 604800000,
	CONFIG_RETENTION_INTERVAL_MS = 300000, /* log.retention.check.interval.ms */
	CONFIG_DELETE_RETENTION_MS = 86400000,
	CONFIG_CLEANER_BACKOFF_MS = 15000, /* log.cleaner.backoff.ms */
};

/* Stands in choices for an ISO 8601 duration. */
#define CONFIG_DURATION "PnDTnHnMn.nS"

/* Kafka's resource types. */
enum config_kind {
	CONFIG_TOPIC = 2,
	CONFIG_BROKER = 4,
	CONFIG_BROKER_LOGGER = 8,
	CONFIG_CLIENT_METRICS = 16,
	CONFIG_GROUP = 32,
};

/* Kafka's numbers of types. */
enum config_type {
	CONFIG_BOOLEAN = 1,
	CONFIG_STRING = 2,
	CONFIG_INT = 3,
	CONFIG_LONG = 5,
	CONFIG_DOUBLE = 6,
	CONFIG_LIST = 7,
};

/* Kafka's numbers of where a value comes from. */
enum config_source {
	CONFIG_FROM_TOPIC = 1,
	CONFIG_FROM_BROKER = 2,
	CONFIG_FROM_ALL_BROKERS = 3,
	CONFIG_FROM_START = 4, /* how the program was started */
	CONFIG_FROM_DEFAULT = 5,
	CONFIG_FROM_GROUP = 8,
};

struct config_row {
	const char *name;
	const char *broker_name; /* of topics and groups: the setting of all brokers, or NULL */
	const char *value;	 /* default; NULL: each broker knows its own */
	enum config_type type;
	bool is_read_only;
	int64_t min, max;    /* of numbers */
	const char *choices; /* "one|two:" CONFIG_DURATION, of strings and lists; NULL: any */
	const char *documentation;
};

/* How many settings a resource of this kind has; none where there are none of that kind. */
size_t config_count(enum config_kind kind);

/* One of them, for `i` below config_count().  Those of all brokers at once have `broker_name`
 * set, to their own name. */
struct config_row config_row_at(enum config_kind kind, size_t i);

/* False: there is no such setting. */
bool config_find(enum config_kind kind, struct slice name, struct config_row *ret);

/* NULL when it may have this value, else what is wrong, as a sentence in the arena. */
const char *config_value_fault(struct arena *a, const struct config_row *row, struct slice value);

/* An element of a list value, taken off the front of `rest`; false at the end. */
bool config_list_next(struct slice *rest, struct slice *ret);
bool config_list_has(struct slice list, struct slice wanted);

/* What was set. */
struct config_value {
	struct slice name;
	struct slice value;
};
MUST_CHECK enum err config_stored(struct arena *a, struct cell *c, enum config_kind kind,
				  struct slice resource, struct config_value **ret,
				  size_t *ret_count);

/* The value of `name` in a list of these, or NULL. */
const struct config_value *config_value_find(const struct config_value *values, size_t count,
					     struct slice name);

/* The number that holds for a group. */
int64_t config_group_number(struct cell *c, struct slice group, const char *name);

/* A value as a number, or `otherwise`. */
int64_t config_number(struct slice value, int64_t otherwise);

/* What was set for all brokers, or `otherwise`. */
int64_t config_broker_number(struct cell *c, const char *name, int64_t otherwise);

/* Of a group; "" for a setting that there is not. */
struct slice config_group_text(struct arena *a, struct cell *c, struct slice group,
			       const char *name);

/* A value of the form WORD:DURATION. */
bool config_duration(struct slice value, struct slice word, int64_t *ret_ms);

/* What of a topic's settings the code acts on. */
struct config_topic_rules {
	int64_t message_bytes_max;
	int64_t timestamp_before_max_ms, timestamp_after_max_ms;
	bool is_log_append_time;
	bool is_compacted;		       /* records need keys */
	bool is_deleted;		       /* old records may go: DeleteRecords is allowed */
	int64_t retention_ms, retention_bytes; /* negative: no limit */
	int64_t min_compaction_lag_ms, max_compaction_lag_ms, delete_retention_ms;
	double min_cleanable_ratio;
};
void config_topic_rules(struct cell *c, struct slice topic, struct config_topic_rules *ret);

/* Resources of this kind for which something is set, by name. */
MUST_CHECK enum err config_resources(struct arena *a, struct cell *c, enum config_kind kind,
				     struct slice **ret, size_t *ret_count);

#endif
