/* APIs whose outcomes the tests of another program show, one line each. */
#include "matrix.h"

const struct matrix_elsewhere matrix_elsewhere[] = {
	{ KAFKA_API_DELETE_RECORDS, 0, 2, "src/streams/coordinator/delete_records_test.c" },
	{ KAFKA_API_ALTER_CONFIGS, 0, 2, "src/streams/coordinator/configs_test.c" },
	{ KAFKA_API_INCREMENTAL_ALTER_CONFIGS, 0, 1, "src/streams/coordinator/configs_test.c" },
	{ KAFKA_API_OFFSET_DELETE, 0, 0, "src/streams/coordinator/consumer_groups_test.c" },
	{ KAFKA_API_CONSUMER_GROUP_HEARTBEAT, 0, 1,
	  "src/streams/coordinator/consumer_groups_test.c" },
	{ KAFKA_API_CONSUMER_GROUP_DESCRIBE, 0, 1,
	  "src/streams/coordinator/consumer_groups_test.c" },
	{ KAFKA_API_LIST_CONFIG_RESOURCES, 0, 1, "src/streams/agent_configs_test.c" },
	{ KAFKA_API_ALTER_REPLICA_LOG_DIRS, 1, 2, "src/streams/agent_admin_test.c" },
	{ KAFKA_API_DESCRIBE_LOG_DIRS, 1, 4, "src/streams/agent_admin_test.c" },
	{ KAFKA_API_ELECT_LEADERS, 0, 2, "src/streams/agent_admin_test.c" },
	{ KAFKA_API_ALTER_PARTITION_REASSIGNMENTS, 0, 1, "src/streams/agent_admin_test.c" },
	{ KAFKA_API_LIST_PARTITION_REASSIGNMENTS, 0, 0, "src/streams/agent_admin_test.c" },
	{ KAFKA_API_UPDATE_FEATURES, 0, 2, "src/streams/agent_admin_test.c" },
	{ KAFKA_API_GET_TELEMETRY_SUBSCRIPTIONS, 0, 0, "src/streams/agent_admin_test.c" },
	{ KAFKA_API_PUSH_TELEMETRY, 0, 0, "src/streams/agent_admin_test.c" },
	{ KAFKA_API_DESCRIBE_TOPIC_PARTITIONS, 0, 0, "src/streams/agent_admin_test.c" },
	{ KAFKA_API_SHARE_GROUP_HEARTBEAT, 1, 1, "src/streams/coordinator/share_groups_test.c" },
	{ KAFKA_API_SHARE_GROUP_DESCRIBE, 1, 1, "src/streams/coordinator/share_groups_test.c" },
	{ KAFKA_API_SHARE_FETCH, 1, 2, "src/streams/agent_share_test.c" },
	{ KAFKA_API_SHARE_ACKNOWLEDGE, 1, 2, "src/streams/agent_share_test.c" },
	{ KAFKA_API_DESCRIBE_SHARE_GROUP_OFFSETS, 0, 1,
	  "src/streams/coordinator/share_groups_test.c" },
	{ KAFKA_API_ALTER_SHARE_GROUP_OFFSETS, 0, 0,
	  "src/streams/coordinator/share_groups_test.c" },
	{ KAFKA_API_DELETE_SHARE_GROUP_OFFSETS, 0, 0,
	  "src/streams/coordinator/share_groups_test.c" },
	{ KAFKA_API_DESCRIBE_CLIENT_QUOTAS, 0, 1, "src/streams/agent_quota_test.c" },
	{ KAFKA_API_ALTER_CLIENT_QUOTAS, 0, 1, "src/streams/coordinator/quotas_test.c" },
};

const size_t matrix_elsewhere_count = MATRIX_COUNT(matrix_elsewhere);
