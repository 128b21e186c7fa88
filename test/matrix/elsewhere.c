/* APIs whose outcomes the tests of another program show, one line each, by key. */
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
};

const size_t matrix_elsewhere_count = MATRIX_COUNT(matrix_elsewhere);
