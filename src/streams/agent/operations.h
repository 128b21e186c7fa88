/* The rows of the agent's operation table; one file per operation, forward.c for those that the
 * coordinator answers. */
#ifndef STREAMS_AGENT_OPERATIONS_H
#define STREAMS_AGENT_OPERATIONS_H

#include "streams/agent/request.h"

extern const struct operation api_versions_operation;
extern const struct operation describe_cluster_operation;
extern const struct operation describe_configs_operation;
extern const struct operation describe_client_quotas_operation;
extern const struct operation describe_log_dirs_operation;
extern const struct operation describe_topic_partitions_operation;
extern const struct operation alter_partition_reassignments_operation;
extern const struct operation alter_replica_log_dirs_operation;
extern const struct operation elect_leaders_operation;
extern const struct operation list_partition_reassignments_operation;
extern const struct operation update_features_operation;
extern const struct operation get_telemetry_subscriptions_operation;
extern const struct operation push_telemetry_operation;
extern const struct operation fetch_operation;
extern const struct operation find_coordinator_operation;
extern const struct operation list_config_resources_operation;
extern const struct operation list_offsets_operation;
extern const struct operation metadata_operation;
extern const struct operation offset_for_leader_epoch_operation;
extern const struct operation produce_operation;
extern const struct operation sasl_authenticate_operation;
extern const struct operation sasl_handshake_operation;
extern const struct operation sasl_raw_operation; /* no row: it has no key */

extern const struct operation create_topics_forward, delete_topics_forward,
	create_partitions_forward, init_producer_id_forward, join_group_forward, sync_group_forward,
	heartbeat_forward, leave_group_forward, offset_commit_forward, offset_fetch_forward,
	list_groups_forward, describe_groups_forward, delete_groups_forward, alter_configs_forward,
	delete_records_forward, alter_client_quotas_forward, incremental_alter_configs_forward,
	describe_acls_forward, create_acls_forward, delete_acls_forward, describe_scram_forward,
	alter_scram_forward, offset_delete_forward, consumer_group_heartbeat_forward,
	consumer_group_describe_forward;

extern const struct operation add_partitions_to_txn_forward, add_offsets_to_txn_forward,
	end_txn_forward, write_txn_markers_forward, txn_offset_commit_forward,
	describe_producers_forward, describe_transactions_forward, list_transactions_forward;

extern const struct operation share_fetch_operation, share_acknowledge_operation,
	share_group_heartbeat_forward, share_group_describe_forward, describe_share_offsets_forward,
	alter_share_offsets_forward, delete_share_offsets_forward;

/* Every operation there is, sorted by key; what ApiVersions tells. */
extern const struct operation *const operations[];
extern const size_t operations_count;

/* What a client may ask for: not always what can be decoded (operations.c says why). */
int16_t operation_version_first(const struct operation *operation);
int16_t operation_version_last(const struct operation *operation);

#endif
