/* Users and access lists: what changes them, and what every operation answers to whom. */
#include "streams/coordinator/access.h"

#include "streams/coordinator/coordinator_testing.h"
#include "streams/coordinator/users.h"
#include "wire/sasl/scram.h"

/* --- what the tests do ------------------------------------------------------------------------
 */

struct change {
	struct task task;
	struct town *town;
	struct user_change user;
	bool is_done;
};

static enum step change_step(struct task *t)
{
	struct change *c = CONTAINER(t, struct change, task);

	if (t->at == 0) {
		user_change_start(&c->user, t, c->town->coordinator);
		return task_wait(t, 1);
	}
	if (t->children > 0)
		return task_wait(t, 1);
	c->is_done = true;
	loop_stop(t->loop);
	return task_done(t, OK);
}

static const struct task_kind change_kind = { .name = "change", .step = change_step };

static enum err change_user(struct town *town, enum user_change_kind kind, const char *name,
			    bool is_admin)
{
	struct change c = { .town = town };

	c.user.kind = kind;
	c.user.name = slice_from(name);
	c.user.is_admin = is_admin;
	task_start_root(&c.task, &change_kind, town->loop);
	town_wait(town, &c.is_done, "a change of a user");
	return c.user.task.err;
}

static int16_t alter(struct town *town, const char *name, int8_t mechanism, int32_t iterations,
		     size_t salted_bytes)
{
	static const uint8_t salted[SCRAM_BYTES_MAX] = "salted";
	struct kafka_alter_user_scram_credentials_request_upsertion u = {
		.name = slice_from(name),
		.mechanism = mechanism,
		.iterations = iterations,
		.salt = SLICE("salt"),
		.salted_password = { salted, salted_bytes },
	};
	const struct kafka_alter_user_scram_credentials_response *response =
		ask(town, KAFKA_API_ALTER_USER_SCRAM_CREDENTIALS, 0,
		    &(struct kafka_alter_user_scram_credentials_request) { .upsertions = &u,
									   .upsertions_count = 1 });

	assert_int_equal(response->results_count, 1);
	return response->results[0].error_code;
}

static int16_t delete_credential(struct town *town, const char *name, int8_t mechanism)
{
	struct kafka_alter_user_scram_credentials_request_deletion d = { slice_from(name),
									 mechanism };
	const struct kafka_alter_user_scram_credentials_response *response =
		ask(town, KAFKA_API_ALTER_USER_SCRAM_CREDENTIALS, 0,
		    &(struct kafka_alter_user_scram_credentials_request) { .deletions = &d,
									   .deletions_count = 1 });

	return response->results[0].error_code;
}

static int16_t grant(struct town *town, enum grant_resource resource, const char *name,
		     enum grant_operation operation, const char *principal)
{
	struct kafka_create_acls_request_creation creation = {
		.resource_type = (int8_t)resource,
		.resource_name = slice_from(name),
		.resource_pattern_type = GRANT_LITERAL,
		.principal = slice_from(principal),
		.host = SLICE("*"),
		.operation = (int8_t)operation,
		.permission_type = GRANT_ALLOW,
	};
	const struct kafka_create_acls_response *response =
		ask(town, KAFKA_API_CREATE_ACLS, 3,
		    &(struct kafka_create_acls_request) { .creations = &creation,
							  .creations_count = 1 });

	assert_int_equal(response->results_count, 1);
	return response->results[0].error_code;
}

static const struct kafka_describe_acls_response *describe_all(struct town *town)
{
	return ask(town, KAFKA_API_DESCRIBE_ACLS, 3,
		   &(struct kafka_describe_acls_request) {
			   .resource_type_filter = GRANT_RESOURCE_ANY,
			   .pattern_type_filter = GRANT_PATTERN_ANY,
			   .operation = GRANT_OPERATION_ANY,
			   .permission_type = GRANT_PERMISSION_ANY,
		   });
}

static const struct denials *denials_of_last(const struct town *town)
{
	return &town->asks[town->ask_count - 1]->kafka.denials;
}

/* The last request was denied exactly this, "READ TOPIC orders", which goes to the audit topic. */
static void assert_denied(const struct town *town, int16_t error, int16_t expected,
			  const char *what)
{
	const struct denials *d = denials_of_last(town);
	char text[100];

	assert_int_equal(error, expected);
	assert_int_equal(d->count, 1);
	snprintf(text, sizeof(text), "%s %s %.*s", grant_operation_name(d->last->operation),
		 grant_resource_name(d->last->resource), SLICE_ARG(d->last->name));
	assert_string_equal(text, what);
	assert_true(slice_equal(d->last->rule, GUARD_NO_RULE));
}

/* --- users ------------------------------------------------------------------------------------
 */

static void test_of_a_password_only_the_keys_are_kept(void **state)
{
	uint8_t salted[SCRAM_BYTES_MAX] = "salted", stored[SCRAM_BYTES_MAX],
		server[SCRAM_BYTES_MAX];
	struct guard_verifier found;
	struct arena a;
	struct town town;

	(void)state;
	town_open(&town, 1);
	arena_init(&a);
	assert_int_equal(alter(&town, "alice", SCRAM_KIND_SHA_256, 4096, 32), KAFKA_NONE);
	assert_int_equal(guard_find_verifier(&a, leader_cell(town.leader), SLICE("alice"),
					     SCRAM_KIND_SHA_256, &found),
			 OK);
	scram_keys(SCRAM_SHA_256, salted, stored, server);
	assert_memory_equal(found.stored_key.data, stored, 32);
	assert_memory_equal(found.server_key.data, server, 32);
	assert_int_equal(found.iterations, 4096);
	assert_int_equal(guard_find_verifier(&a, leader_cell(town.leader), SLICE("alice"),
					     SCRAM_KIND_SHA_512, &found),
			 ERR_NOT_FOUND);
	arena_done(&a);
	town_close(&town);
}

static void test_credentials_that_cannot_be_are_refused(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 1);
	assert_int_equal(alter(&town, "alice", 3, 4096, 32), KAFKA_UNSUPPORTED_SASL_MECHANISM);
	assert_int_equal(alter(&town, "", SCRAM_KIND_SHA_256, 4096, 32),
			 KAFKA_UNACCEPTABLE_CREDENTIAL);
	assert_int_equal(alter(&town, "a", SCRAM_KIND_SHA_256, 4095, 32),
			 KAFKA_UNACCEPTABLE_CREDENTIAL);
	assert_int_equal(alter(&town, "a", SCRAM_KIND_SHA_256, 16385, 32),
			 KAFKA_UNACCEPTABLE_CREDENTIAL);
	assert_int_equal(alter(&town, "a", SCRAM_KIND_SHA_512, 4096, 32),
			 KAFKA_UNACCEPTABLE_CREDENTIAL);
	assert_int_equal(delete_credential(&town, "a", SCRAM_KIND_SHA_256),
			 KAFKA_RESOURCE_NOT_FOUND);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM access_user"), 0);
	town_close(&town);
}

static void test_a_user_goes_with_the_last_credential_and_an_admin_stays(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 1);
	assert_int_equal(change_user(&town, USER_ADD, "boss", true), OK);
	assert_int_equal(change_user(&town, USER_ADD, "boss", true), ERR_EXISTS);
	town.principal = SLICE("User:boss");
	assert_int_equal(alter(&town, "boss", SCRAM_KIND_SHA_256, 4096, 32), KAFKA_NONE);
	assert_int_equal(alter(&town, "alice", SCRAM_KIND_SHA_256, 4096, 32), KAFKA_NONE);
	assert_int_equal(alter(&town, "alice", SCRAM_KIND_SHA_512, 4096, 64), KAFKA_NONE);
	assert_int_equal(delete_credential(&town, "alice", SCRAM_KIND_SHA_512), KAFKA_NONE);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM access_user"), 2);
	assert_int_equal(delete_credential(&town, "alice", SCRAM_KIND_SHA_256), KAFKA_NONE);
	assert_int_equal(delete_credential(&town, "boss", SCRAM_KIND_SHA_256), KAFKA_NONE);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM access_user"), 1);
	assert_int_equal(change_user(&town, USER_REMOVE, "boss", false), OK);
	assert_int_equal(change_user(&town, USER_REMOVE, "boss", false), ERR_NOT_FOUND);
	assert_int_equal(change_user(&town, USER_ADD, "User\n", false), ERR_INVALID);
	town_close(&town);
}

/* --- access lists -----------------------------------------------------------------------------
 */

static void test_grants_are_kept_found_and_deleted(void **state)
{
	struct kafka_delete_acls_request_filter filter = {
		.resource_type_filter = GRANT_TOPIC,
		.pattern_type_filter = GRANT_PATTERN_MATCH,
		.resource_name_filter = SLICE("orders"),
		.operation = GRANT_OPERATION_ANY,
		.permission_type = GRANT_PERMISSION_ANY,
	};
	const struct kafka_describe_acls_response *all;
	struct town town;

	(void)state;
	town_open(&town, 1);
	assert_int_equal(change_user(&town, USER_ADD, "boss", true), OK);
	town.principal = SLICE("User:boss");
	assert_int_equal(grant(&town, GRANT_TOPIC, "orders", GRANT_READ, "User:a"), KAFKA_NONE);
	assert_int_equal(grant(&town, GRANT_TOPIC, "orders", GRANT_READ, "User:a"), KAFKA_NONE);
	assert_int_equal(grant(&town, GRANT_TOPIC, "*", GRANT_DESCRIBE, "User:b"), KAFKA_NONE);
	assert_int_equal(grant(&town, GRANT_GROUP, "g", GRANT_READ, "User:a"), KAFKA_NONE);
	assert_int_equal(grant(&town, GRANT_GROUP, "g", GRANT_WRITE, "User:a"),
			 KAFKA_INVALID_REQUEST);
	town_restart(&town);
	all = describe_all(&town);
	assert_int_equal(all->resources_count, 3);
	assert_int_equal(all->resources[1].acls_count, 1);
	const struct kafka_delete_acls_response *deleted =
		ask(&town, KAFKA_API_DELETE_ACLS, 3,
		    &(struct kafka_delete_acls_request) { .filters = &filter, .filters_count = 1 });
	assert_int_equal(deleted->filter_results[0].matching_acls_count, 2);
	assert_int_equal(describe_all(&town)->resources_count, 1);
	town_close(&town);
}

static int16_t create_topic(struct town *town, const char *name)
{
	struct kafka_create_topics_request_topic topic = { .name = slice_from(name),
							   .num_partitions = 1,
							   .replication_factor = 1 };
	const struct kafka_create_topics_response *response =
		ask(town, KAFKA_API_CREATE_TOPICS, 7,
		    &(struct kafka_create_topics_request) { .topics = &topic, .topics_count = 1 });

	return response->topics[0].error_code;
}

static int16_t delete_topic(struct town *town, struct kafka_delete_topics_request_topic topic)
{
	const struct kafka_delete_topics_response *response =
		ask(town, KAFKA_API_DELETE_TOPICS, 6,
		    &(struct kafka_delete_topics_request) { .topics = &topic, .topics_count = 1 });

	return response->responses[0].error_code;
}

static int16_t grow_topic(struct town *town, const char *name)
{
	struct kafka_create_partitions_request_topic topic = { .name = slice_from(name),
							       .count = 5 };
	const struct kafka_create_partitions_response *response =
		ask(town, KAFKA_API_CREATE_PARTITIONS, 3,
		    &(struct kafka_create_partitions_request) { .topics = &topic,
								.topics_count = 1 });

	return response->results[0].error_code;
}

static int16_t init_producer(struct town *town)
{
	const struct kafka_init_producer_id_response *response =
		ask(town, KAFKA_API_INIT_PRODUCER_ID, 4,
		    &(struct kafka_init_producer_id_request) { .producer_id = -1,
							       .producer_epoch = -1 });

	return response->error_code;
}

static const struct kafka_delete_acls_response_filter_result *delete_topic_grants(struct town *town)
{
	struct kafka_delete_acls_request_filter filter = {
		.resource_type_filter = GRANT_TOPIC,
		.pattern_type_filter = GRANT_PATTERN_ANY,
		.operation = GRANT_OPERATION_ANY,
		.permission_type = GRANT_PERMISSION_ANY,
	};
	const struct kafka_delete_acls_response *response =
		ask(town, KAFKA_API_DELETE_ACLS, 3,
		    &(struct kafka_delete_acls_request) { .filters = &filter, .filters_count = 1 });

	return &response->filter_results[0];
}

static void test_operations_on_topics_ask_for_their_grants(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 1);
	struct uuid id = town_topic(&town, "there", 1);
	struct kafka_delete_topics_request_topic by_id = { .topic_id = id };
	struct kafka_delete_topics_request_topic by_name = { .name = SLICE("nowhere") };
	assert_int_equal(change_user(&town, USER_ADD, "alice", false), OK);
	town.principal = SLICE("User:alice");
	assert_denied(&town, create_topic(&town, "new"), KAFKA_TOPIC_AUTHORIZATION_FAILED,
		      "CREATE TOPIC new");
	assert_denied(&town, create_topic(&town, "there"), KAFKA_TOPIC_AUTHORIZATION_FAILED,
		      "CREATE TOPIC there");
	assert_denied(&town, delete_topic(&town, by_id), KAFKA_TOPIC_AUTHORIZATION_FAILED,
		      "DELETE TOPIC there");
	assert_denied(&town, delete_topic(&town, by_name), KAFKA_TOPIC_AUTHORIZATION_FAILED,
		      "DELETE TOPIC nowhere");
	assert_denied(&town, grow_topic(&town, "there"), KAFKA_TOPIC_AUTHORIZATION_FAILED,
		      "ALTER TOPIC there");
	assert_denied(&town, grow_topic(&town, "nowhere"), KAFKA_TOPIC_AUTHORIZATION_FAILED,
		      "ALTER TOPIC nowhere");
	assert_denied(&town, init_producer(&town), KAFKA_CLUSTER_AUTHORIZATION_FAILED,
		      "IDEMPOTENT_WRITE CLUSTER kafka-cluster");
	assert_denied(&town, describe_all(&town)->error_code, KAFKA_CLUSTER_AUTHORIZATION_FAILED,
		      "DESCRIBE CLUSTER kafka-cluster");
	assert_denied(&town, grant(&town, GRANT_TOPIC, "t", GRANT_READ, "User:alice"),
		      KAFKA_CLUSTER_AUTHORIZATION_FAILED, "ALTER CLUSTER kafka-cluster");
	assert_denied(&town, alter(&town, "alice", SCRAM_KIND_SHA_256, 4096, 32),
		      KAFKA_CLUSTER_AUTHORIZATION_FAILED, "ALTER CLUSTER kafka-cluster");
	assert_denied(&town, delete_topic_grants(&town)->error_code,
		      KAFKA_CLUSTER_AUTHORIZATION_FAILED, "ALTER CLUSTER kafka-cluster");

	town.principal = GUARD_AGENT;
	assert_int_equal(grant(&town, GRANT_TOPIC, "new", GRANT_CREATE, "User:alice"), KAFKA_NONE);
	assert_int_equal(grant(&town, GRANT_TOPIC, "there", GRANT_DELETE, "User:alice"),
			 KAFKA_NONE);
	assert_int_equal(grant(&town, GRANT_TOPIC, "new", GRANT_ALTER, "User:alice"), KAFKA_NONE);
	assert_int_equal(grant(&town, GRANT_TOPIC, "x", GRANT_WRITE, "User:alice"), KAFKA_NONE);
	town.principal = SLICE("User:alice");
	assert_int_equal(create_topic(&town, "new"), KAFKA_NONE);
	assert_int_equal(denials_of_last(&town)->count, 0); /* that of the cluster is not needed */
	assert_denied(&town, create_topic(&town, "other"), KAFKA_TOPIC_AUTHORIZATION_FAILED,
		      "CREATE TOPIC other");
	assert_int_equal(grow_topic(&town, "new"), KAFKA_NONE);
	assert_int_equal(delete_topic(&town, by_id), KAFKA_NONE);
	assert_int_equal(init_producer(&town), KAFKA_NONE);
	town_close(&town);
}

static int16_t heartbeat(struct town *town)
{
	const struct kafka_heartbeat_response *response =
		ask(town, KAFKA_API_HEARTBEAT, 4,
		    &(struct kafka_heartbeat_request) { .group_id = SLICE("g"),
							.member_id = SLICE("m") });

	return response->error_code;
}

static int16_t commit(struct town *town, const char *topic)
{
	struct kafka_offset_commit_request_partition partition = { .committed_offset = 1 };
	struct kafka_offset_commit_request_topic asked = { .name = slice_from(topic),
							   .partitions = &partition,
							   .partitions_count = 1 };
	const struct kafka_offset_commit_response *response =
		ask(town, KAFKA_API_OFFSET_COMMIT, 8,
		    &(struct kafka_offset_commit_request) { .group_id = SLICE("g"),
							    .generation_id_or_member_epoch = -1,
							    .member_id = SLICE(""),
							    .topics = &asked,
							    .topics_count = 1 });

	return response->topics[0].partitions[0].error_code;
}

static const struct kafka_offset_fetch_response_group *fetch_offsets(struct town *town)
{
	struct kafka_offset_fetch_request_group group = { .group_id = SLICE("g") };
	const struct kafka_offset_fetch_response *response =
		ask(town, KAFKA_API_OFFSET_FETCH, 8,
		    &(struct kafka_offset_fetch_request) { .groups = &group, .groups_count = 1 });

	return &response->groups[0];
}

static const struct kafka_describe_groups_response_group *describe_group(struct town *town)
{
	struct slice name = SLICE("g");
	const struct kafka_describe_groups_response *response =
		ask(town, KAFKA_API_DESCRIBE_GROUPS, 5,
		    &(struct kafka_describe_groups_request) {
			    .groups = &name,
			    .groups_count = 1,
			    .include_authorized_operations = true,
		    });

	return &response->groups[0];
}

static size_t list_groups(struct town *town)
{
	const struct kafka_list_groups_response *response =
		ask(town, KAFKA_API_LIST_GROUPS, 4, &(struct kafka_list_groups_request) { 0 });

	assert_int_equal(response->error_code, KAFKA_NONE);
	return response->groups_count;
}

static int16_t delete_group(struct town *town)
{
	struct slice name = SLICE("g");
	const struct kafka_delete_groups_response *response =
		ask(town, KAFKA_API_DELETE_GROUPS, 2,
		    &(struct kafka_delete_groups_request) { .groups_names = &name,
							    .groups_names_count = 1 });

	return response->results[0].error_code;
}

static void test_operations_on_groups_ask_for_their_grants(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 1);
	town_topic(&town, "t", 1);
	town_topic(&town, "hidden", 1);
	assert_int_equal(commit(&town, "t"), KAFKA_NONE);
	assert_int_equal(commit(&town, "hidden"), KAFKA_NONE);
	assert_int_equal(change_user(&town, USER_ADD, "alice", false), OK);
	town.principal = SLICE("User:alice");
	assert_denied(&town, heartbeat(&town), KAFKA_GROUP_AUTHORIZATION_FAILED, "READ GROUP g");
	assert_denied(&town, commit(&town, "t"), KAFKA_GROUP_AUTHORIZATION_FAILED, "READ GROUP g");
	assert_denied(&town, fetch_offsets(&town)->error_code, KAFKA_GROUP_AUTHORIZATION_FAILED,
		      "DESCRIBE GROUP g");
	assert_denied(&town, describe_group(&town)->error_code, KAFKA_GROUP_AUTHORIZATION_FAILED,
		      "DESCRIBE GROUP g");
	assert_int_equal(list_groups(&town), 0);
	assert_int_equal(denials_of_last(&town)->count, 0); /* left out is not denied */
	assert_denied(&town, delete_group(&town), KAFKA_GROUP_AUTHORIZATION_FAILED,
		      "DELETE GROUP g");

	town.principal = GUARD_AGENT;
	assert_int_equal(grant(&town, GRANT_GROUP, "g", GRANT_READ, "User:alice"), KAFKA_NONE);
	assert_int_equal(grant(&town, GRANT_TOPIC, "t", GRANT_READ, "User:alice"), KAFKA_NONE);
	town.principal = SLICE("User:alice");
	assert_int_equal(heartbeat(&town), KAFKA_UNKNOWN_MEMBER_ID);
	assert_int_equal(commit(&town, "t"), KAFKA_NONE);
	assert_denied(&town, commit(&town, "hidden"), KAFKA_TOPIC_AUTHORIZATION_FAILED,
		      "READ TOPIC hidden");
	assert_int_equal(fetch_offsets(&town)->error_code, KAFKA_NONE);
	assert_int_equal(fetch_offsets(&town)->topics_count, 1); /* "hidden" is not told */
	assert_int_equal(denials_of_last(&town)->count, 0);
	assert_int_equal(describe_group(&town)->authorized_operations,
			 1 << GRANT_READ | 1 << GRANT_DESCRIBE);
	assert_int_equal(list_groups(&town), 1);
	assert_denied(&town, delete_group(&town), KAFKA_GROUP_AUTHORIZATION_FAILED,
		      "DELETE GROUP g");
	town_close(&town);
}

static int16_t join_consumers(struct town *town, const char *topic)
{
	struct kafka_consumer_group_heartbeat_request_topic nothing = { 0 };
	struct slice name = slice_from(topic);
	const struct kafka_consumer_group_heartbeat_response *response =
		ask(town, KAFKA_API_CONSUMER_GROUP_HEARTBEAT, 1,
		    &(struct kafka_consumer_group_heartbeat_request) {
			    .group_id = SLICE("g"),
			    .member_id = SLICE("m"),
			    .rebalance_timeout_ms = 60000,
			    .subscribed_topic_names = &name,
			    .subscribed_topic_names_count = 1,
			    .topic_partitions = &nothing,
		    });

	return response->error_code;
}

/* A group of its own that reads all topics: how many does it get? */
static size_t match_consumers(struct town *town, const char *group, const char *member_id)
{
	struct kafka_consumer_group_heartbeat_request_topic nothing = { 0 };
	const struct kafka_consumer_group_heartbeat_response *response =
		ask(town, KAFKA_API_CONSUMER_GROUP_HEARTBEAT, 1,
		    &(struct kafka_consumer_group_heartbeat_request) {
			    .group_id = slice_from(group),
			    .member_id = slice_from(member_id),
			    .rebalance_timeout_ms = 60000,
			    .subscribed_topic_regex = SLICE(".*"),
			    .topic_partitions = &nothing,
		    });

	assert_int_equal(response->error_code, KAFKA_NONE);
	return response->assignment->topic_partitions_count;
}

static int16_t describe_consumers(struct town *town)
{
	struct slice name = SLICE("g");
	const struct kafka_consumer_group_describe_response *response =
		ask(town, KAFKA_API_CONSUMER_GROUP_DESCRIBE, 1,
		    &(struct kafka_consumer_group_describe_request) { .group_ids = &name,
								      .group_ids_count = 1 });

	return response->groups[0].error_code;
}

static const struct kafka_offset_delete_response *delete_offset(struct town *town)
{
	struct kafka_offset_delete_request_partition partition = { 0 };
	struct kafka_offset_delete_request_topic topic = { SLICE("t"), &partition, 1 };

	return ask(town, KAFKA_API_OFFSET_DELETE, 0,
		   &(struct kafka_offset_delete_request) { SLICE("g"), &topic, 1 });
}

static void test_groups_of_the_consumer_protocol_ask_for_their_grants(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 1);
	town_topic(&town, "t", 1);
	town_topic(&town, "hidden", 1);
	assert_int_equal(commit(&town, "t"), KAFKA_NONE);
	assert_int_equal(change_user(&town, USER_ADD, "alice", false), OK);
	town.principal = SLICE("User:alice");
	assert_denied(&town, join_consumers(&town, "t"), KAFKA_GROUP_AUTHORIZATION_FAILED,
		      "READ GROUP g");
	assert_denied(&town, describe_consumers(&town), KAFKA_GROUP_AUTHORIZATION_FAILED,
		      "DESCRIBE GROUP g");
	assert_denied(&town, delete_offset(&town)->error_code, KAFKA_GROUP_AUTHORIZATION_FAILED,
		      "DELETE GROUP g");

	town.principal = GUARD_AGENT;
	assert_int_equal(grant(&town, GRANT_GROUP, "g", GRANT_READ, "User:alice"), KAFKA_NONE);
	assert_int_equal(grant(&town, GRANT_GROUP, "g", GRANT_DELETE, "User:alice"), KAFKA_NONE);
	town.principal = SLICE("User:alice");
	assert_denied(&town, join_consumers(&town, "t"), KAFKA_TOPIC_AUTHORIZATION_FAILED,
		      "DESCRIBE TOPIC t");
	assert_denied(&town, delete_offset(&town)->topics[0].partitions[0].error_code,
		      KAFKA_TOPIC_AUTHORIZATION_FAILED, "READ TOPIC t");
	town.principal = GUARD_AGENT;
	assert_int_equal(join_consumers(&town, "hidden"), KAFKA_NONE);
	assert_int_equal(grant(&town, GRANT_TOPIC, "t", GRANT_READ, "User:alice"), KAFKA_NONE);
	town.principal = SLICE("User:alice");
	assert_denied(&town, describe_consumers(&town), KAFKA_TOPIC_AUTHORIZATION_FAILED,
		      "DESCRIBE TOPIC hidden");
	assert_int_equal(delete_offset(&town)->topics[0].partitions[0].error_code, KAFKA_NONE);
	assert_int_equal(join_consumers(&town, "t"), KAFKA_NONE);
	town.principal = GUARD_AGENT;
	assert_int_equal(grant(&town, GRANT_GROUP, "x", GRANT_READ, "User:alice"), KAFKA_NONE);
	assert_int_equal(grant(&town, GRANT_GROUP, "y", GRANT_READ, "User:alice"), KAFKA_NONE);
	town.principal = SLICE("User:alice");
	assert_int_equal(match_consumers(&town, "x", "m"), 1); /* "hidden" is not among them */
	assert_int_equal(denials_of_last(&town)->count, 0);
	town.principal = GUARD_AGENT;
	assert_int_equal(grant(&town, GRANT_TOPIC, "hidden", GRANT_READ, "User:alice"), KAFKA_NONE);
	town.principal = SLICE("User:alice");
	assert_int_equal(match_consumers(&town, "y", "m"), 2);
	town_close(&town);
}

static void test_without_users_and_grants_everybody_may_everything(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 1);
	assert_int_equal(create_topic(&town, "a"), KAFKA_NONE);
	assert_int_equal(change_user(&town, USER_ADD, "alice", false), OK);
	assert_denied(&town, create_topic(&town, "b"), KAFKA_TOPIC_AUTHORIZATION_FAILED,
		      "CREATE TOPIC b");
	assert_int_equal(change_user(&town, USER_REMOVE, "alice", false), OK);
	assert_int_equal(create_topic(&town, "b"), KAFKA_NONE);
	town_close(&town);
}

static void test_without_users_a_grant_is_about_its_own_resource(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 1);
	assert_int_equal(grant(&town, GRANT_TOPIC, "a", GRANT_READ, "User:alice"), KAFKA_NONE);
	assert_denied(&town, grow_topic(&town, "a"), KAFKA_TOPIC_AUTHORIZATION_FAILED,
		      "ALTER TOPIC a");
	assert_int_equal(create_topic(&town, "b"), KAFKA_NONE);
	assert_int_equal(grow_topic(&town, "b"), KAFKA_NONE);
	assert_int_equal(init_producer(&town), KAFKA_NONE);
	assert_int_equal(describe_all(&town)->resources_count, 1);
	town_close(&town);
}

/* --- share groups ------------------------------------------------------------------------------
 */

static int16_t share_beat(struct town *town, int32_t epoch)
{
	struct slice topic = SLICE("t");
	const struct kafka_share_group_heartbeat_response *response =
		ask(town, KAFKA_API_SHARE_GROUP_HEARTBEAT, 1,
		    &(struct kafka_share_group_heartbeat_request) {
			    .group_id = SLICE("s"),
			    .member_id = SLICE("m"),
			    .member_epoch = epoch,
			    .subscribed_topic_names = epoch < 0 ? NULL : &topic,
			    .subscribed_topic_names_count = epoch < 0 ? 0 : 1,
		    });

	return response->error_code;
}

static int16_t share_describe(struct town *town)
{
	struct slice name = SLICE("s");
	const struct kafka_share_group_describe_response *response =
		ask(town, KAFKA_API_SHARE_GROUP_DESCRIBE, 1,
		    &(struct kafka_share_group_describe_request) { .group_ids = &name,
								   .group_ids_count = 1 });

	return response->groups[0].error_code;
}

static int16_t share_offsets(struct town *town)
{
	int32_t partition = 0;
	struct kafka_describe_share_group_offsets_request_topic topic = { .topic_name = SLICE("t"),
									  .partitions = &partition,
									  .partitions_count = 1 };
	struct kafka_describe_share_group_offsets_request_group group = { .group_id = SLICE("s"),
									  .topics = &topic,
									  .topics_count = 1 };
	const struct kafka_describe_share_group_offsets_response *response =
		ask(town, KAFKA_API_DESCRIBE_SHARE_GROUP_OFFSETS, 1,
		    &(struct kafka_describe_share_group_offsets_request) { .groups = &group,
									   .groups_count = 1 });

	return response->groups[0].error_code
		       ? response->groups[0].error_code
		       : response->groups[0].topics[0].partitions[0].error_code;
}

static int16_t share_alter(struct town *town)
{
	struct kafka_alter_share_group_offsets_request_partition place = { 0, 0 };
	struct kafka_alter_share_group_offsets_request_topic topic = { SLICE("t"), &place, 1 };
	const struct kafka_alter_share_group_offsets_response *response =
		ask(town, KAFKA_API_ALTER_SHARE_GROUP_OFFSETS, 0,
		    &(struct kafka_alter_share_group_offsets_request) {
			    .group_id = SLICE("s"), .topics = &topic, .topics_count = 1 });

	return response->error_code ? response->error_code
				    : response->responses[0].partitions[0].error_code;
}

static int16_t share_delete(struct town *town)
{
	struct kafka_delete_share_group_offsets_request_topic topic = { SLICE("t") };
	const struct kafka_delete_share_group_offsets_response *response =
		ask(town, KAFKA_API_DELETE_SHARE_GROUP_OFFSETS, 0,
		    &(struct kafka_delete_share_group_offsets_request) {
			    .group_id = SLICE("s"), .topics = &topic, .topics_count = 1 });

	return response->error_code ? response->error_code : response->responses[0].error_code;
}

static void as_agent(struct town *town, enum grant_resource resource, const char *name,
		     enum grant_operation operation)
{
	town->principal = GUARD_AGENT;
	assert_int_equal(grant(town, resource, name, operation, "User:alice"), KAFKA_NONE);
	town->principal = SLICE("User:alice");
}

/* What ShareFetch and ShareAcknowledge ask is the agent's. */
static void test_operations_on_share_groups_ask_for_their_grants(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 1);
	(void)town_topic(&town, "t", 1);
	assert_int_equal(share_beat(&town, 0), KAFKA_NONE);
	assert_int_equal(change_user(&town, USER_ADD, "alice", false), OK);
	town.principal = SLICE("User:alice");
	assert_denied(&town, share_beat(&town, 0), KAFKA_GROUP_AUTHORIZATION_FAILED,
		      "READ GROUP s");
	assert_denied(&town, share_describe(&town), KAFKA_GROUP_AUTHORIZATION_FAILED,
		      "DESCRIBE GROUP s");
	assert_denied(&town, share_offsets(&town), KAFKA_GROUP_AUTHORIZATION_FAILED,
		      "DESCRIBE GROUP s");
	assert_denied(&town, share_alter(&town), KAFKA_GROUP_AUTHORIZATION_FAILED, "READ GROUP s");
	assert_denied(&town, share_delete(&town), KAFKA_GROUP_AUTHORIZATION_FAILED,
		      "DELETE GROUP s");

	as_agent(&town, GRANT_GROUP, "s", GRANT_READ);
	as_agent(&town, GRANT_GROUP, "s", GRANT_DELETE);
	assert_denied(&town, share_beat(&town, 0), KAFKA_TOPIC_AUTHORIZATION_FAILED,
		      "DESCRIBE TOPIC t");
	assert_denied(&town, share_describe(&town), KAFKA_TOPIC_AUTHORIZATION_FAILED,
		      "DESCRIBE TOPIC t");
	assert_denied(&town, share_offsets(&town), KAFKA_TOPIC_AUTHORIZATION_FAILED,
		      "DESCRIBE TOPIC t");
	assert_int_equal(share_beat(&town, -1), KAFKA_NONE);
	assert_denied(&town, share_alter(&town), KAFKA_TOPIC_AUTHORIZATION_FAILED, "READ TOPIC t");
	assert_denied(&town, share_delete(&town), KAFKA_TOPIC_AUTHORIZATION_FAILED, "READ TOPIC t");

	as_agent(&town, GRANT_TOPIC, "t", GRANT_READ);
	assert_int_equal(share_offsets(&town), KAFKA_NONE);
	assert_int_equal(share_alter(&town), KAFKA_NONE);
	assert_int_equal(share_delete(&town), KAFKA_NONE);
	assert_int_equal(share_beat(&town, 0), KAFKA_NONE);
	assert_int_equal(share_describe(&town), KAFKA_NONE);
	town_close(&town);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_a_password_only_the_keys_are_kept),
		cmocka_unit_test(test_credentials_that_cannot_be_are_refused),
		cmocka_unit_test(test_a_user_goes_with_the_last_credential_and_an_admin_stays),
		cmocka_unit_test(test_grants_are_kept_found_and_deleted),
		cmocka_unit_test(test_operations_on_topics_ask_for_their_grants),
		cmocka_unit_test(test_operations_on_share_groups_ask_for_their_grants),
		cmocka_unit_test(test_operations_on_groups_ask_for_their_grants),
		cmocka_unit_test(test_groups_of_the_consumer_protocol_ask_for_their_grants),
		cmocka_unit_test(test_without_users_and_grants_everybody_may_everything),
		cmocka_unit_test(test_groups_of_the_consumer_protocol_ask_for_their_grants),
		cmocka_unit_test(test_without_users_a_grant_is_about_its_own_resource),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
