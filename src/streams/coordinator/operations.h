/* The rows of the operation table; one file per operation. */
#ifndef STREAMS_COORDINATOR_OPERATIONS_H
#define STREAMS_COORDINATOR_OPERATIONS_H

#include "streams/coordinator/operation.h"

extern const struct coordinator_operation create_topics_operation;
extern const struct coordinator_operation delete_topics_operation;
extern const struct coordinator_operation create_partitions_operation;
extern const struct coordinator_operation init_producer_id_operation;
extern const struct coordinator_operation delete_records_operation;
extern const struct coordinator_operation alter_client_quotas_operation;
extern const struct coordinator_operation alter_configs_operation;
extern const struct coordinator_operation incremental_alter_configs_operation;
extern const struct coordinator_operation describe_acls_operation;
extern const struct coordinator_operation create_acls_operation;
extern const struct coordinator_operation delete_acls_operation;
extern const struct coordinator_operation describe_scram_operation;
extern const struct coordinator_operation alter_scram_operation;

#endif
