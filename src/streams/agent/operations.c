#include "streams/agent/operations.h"

#include "kafka_messages.h"

const struct operation *const operations[] = {
	&produce_operation,
	&fetch_operation,
	&list_offsets_operation,
	&metadata_operation,
	&offset_commit_forward,
	&offset_fetch_forward,
	&find_coordinator_operation,
	&join_group_forward,
	&heartbeat_forward,
	&leave_group_forward,
	&sync_group_forward,
	&describe_groups_forward,
	&list_groups_forward,
	&sasl_handshake_operation,
	&api_versions_operation,
	&create_topics_forward,
	&delete_topics_forward,
	&delete_records_forward,
	&init_producer_id_forward,
	&offset_for_leader_epoch_operation,
	&add_partitions_to_txn_forward,
	&add_offsets_to_txn_forward,
	&end_txn_forward,
	&write_txn_markers_forward,
	&txn_offset_commit_forward,
	&describe_acls_forward,
	&create_acls_forward,
	&delete_acls_forward,
	&describe_configs_operation,
	&alter_configs_forward,
	&alter_replica_log_dirs_operation,
	&describe_log_dirs_operation,
	&sasl_authenticate_operation,
	&create_partitions_forward,
	&delete_groups_forward,
	&elect_leaders_operation,
	&incremental_alter_configs_forward,
	&alter_partition_reassignments_operation,
	&list_partition_reassignments_operation,
	&offset_delete_forward,
	&describe_client_quotas_operation,
	&alter_client_quotas_forward,
	&describe_scram_forward,
	&alter_scram_forward,
	&update_features_operation,
	&describe_cluster_operation,
	&describe_producers_forward,
	&describe_transactions_forward,
	&list_transactions_forward,
	&consumer_group_heartbeat_forward,
	&consumer_group_describe_forward,
	&get_telemetry_subscriptions_operation,
	&push_telemetry_operation,
	&list_config_resources_operation,
	&describe_topic_partitions_operation,
	&share_group_heartbeat_forward,
	&share_group_describe_forward,
	&share_fetch_operation,
	&share_acknowledge_operation,
	&describe_share_offsets_forward,
	&alter_share_offsets_forward,
	&delete_share_offsets_forward,
};

const size_t operations_count = sizeof(operations) / sizeof(operations[0]);

const struct operation *operation_find(int16_t api_key)
{
	for (size_t i = 0; i < operations_count; i++)
		if (operations[i]->api_key == api_key)
			return operations[i];
	return NULL;
}

int16_t operation_version_first(const struct operation *operation)
{
	/* Versions 0 to 2 carry old message formats and are refused; but librdkafka does not
	 * compress unless it reads a 0 here (KAFKA-18659). */
	if (operation->api_key == KAFKA_API_PRODUCE)
		return 0;
	return kafka_api_find(operation->api_key)->version_first;
}

int16_t operation_version_last(const struct operation *operation)
{
	return kafka_api_find(operation->api_key)->version_last;
}
