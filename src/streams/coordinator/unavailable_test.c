/* What clients are told when the journal fails under a request: every operation that the cell runs
 * has a place for the error in every version of its answer. */
#include "streams/coordinator/coordinator_testing.h"

enum { RELEASED_WAIT_MS = 5, RELEASED_WAITS_MAX = 2000, ERRORS_MAX = 16 };

/* --- one request of each kind, about one thing -------------------------------------------------
 */

static int32_t partitions[] = { 0 };
static struct slice names[] = { SLICE("g") };

static struct kafka_create_topics_request_topic create_topic = { .name = SLICE("new"),
								 .num_partitions = 1,
								 .replication_factor = 1 };
static const struct kafka_create_topics_request create_topics = { &create_topic, 1, 1000, false };

/* By name up to version 5, then by id, which open_with_topic() fills in. */
static struct slice delete_names[] = { SLICE("t") };
static struct kafka_delete_topics_request_topic delete_topic;
static const struct kafka_delete_topics_request delete_topics = { &delete_topic, 1, delete_names, 1,
								  1000 };

static struct kafka_create_partitions_request_topic grow_topic = { .name = SLICE("t"), .count = 3 };
static const struct kafka_create_partitions_request create_partitions = { &grow_topic, 1, 1000,
									  false };

static const struct kafka_init_producer_id_request init_producer_id = { .producer_id = -1,
									.producer_epoch = -1 };

static struct kafka_offset_commit_request_partition commit_partition = { .committed_metadata =
										 SLICE("") };
static struct kafka_offset_commit_request_topic commit_topic = { .name = SLICE("t"),
								 .partitions = &commit_partition,
								 .partitions_count = 1 };
static const struct kafka_offset_commit_request offset_commit = {
	.group_id = SLICE("g"),
	.generation_id_or_member_epoch = -1,
	.member_id = SLICE(""),
	.topics = &commit_topic,
	.topics_count = 1,
};

static struct kafka_offset_fetch_request_topic fetch_topic = { SLICE("t"), partitions, 1 };
static struct kafka_offset_fetch_request_group fetch_group = { .group_id = SLICE("g") };
static const struct kafka_offset_fetch_request offset_fetch = {
	.group_id = SLICE("g"),
	.topics = &fetch_topic,
	.topics_count = 1,
	.groups = &fetch_group,
	.groups_count = 1,
};

static const struct kafka_list_groups_request list_groups = { 0 };
static const struct kafka_describe_groups_request describe_groups = { names, 1, false };
static const struct kafka_delete_groups_request delete_groups = { names, 1 };

static struct kafka_alter_configs_request_config alter_config = { SLICE("flush.ms"), SLICE("1") };
static struct kafka_alter_configs_request_resource alter_resource = { 2, SLICE("t"), &alter_config,
								      1 };
static const struct kafka_alter_configs_request alter_configs = { &alter_resource, 1, false };

static struct kafka_incremental_alter_configs_request_config change_config = { SLICE("flush.ms"), 0,
									       SLICE("1") };
static struct kafka_incremental_alter_configs_request_resource change_resource = { 2, SLICE("t"),
										   &change_config,
										   1 };
static const struct kafka_incremental_alter_configs_request change_configs = { &change_resource, 1,
									       false };

static struct kafka_delete_records_request_partition delete_partition = { 0, 0 };
static struct kafka_delete_records_request_topic delete_record_topic = { SLICE("t"),
									 &delete_partition, 1 };
static const struct kafka_delete_records_request delete_records = { &delete_record_topic, 1, 1000 };

static struct kafka_alter_client_quotas_request_entity quota_entity = { SLICE("user"), { 0 } };
static struct kafka_alter_client_quotas_request_op quota_op = { SLICE("producer_byte_rate"), 1,
								false };
static struct kafka_alter_client_quotas_request_entry quota_entry = { &quota_entity, 1, &quota_op,
								      1 };
static const struct kafka_alter_client_quotas_request alter_quotas = { &quota_entry, 1, false };

/* --- the errors of an answer, wherever they are ------------------------------------------------
 */

struct errors {
	int16_t codes[ERRORS_MAX];
	size_t count;
};

static void collect_errors(const struct schema *s, int version, const uint8_t *value,
			   struct errors *ret)
{
	for (size_t i = 0; i < s->field_count; i++) {
		const struct schema_field *field = &s->fields[i];
		bool is_there = version >= field->version_first && version <= field->version_last;
		if (is_there && field->kind == SCHEMA_INT16 &&
		    strcmp(field->name, "error_code") == 0) {
			assert_true(ret->count < ERRORS_MAX);
			ret->codes[ret->count++] =
				*(const int16_t *)(const void *)(value + field->offset);
		}
		if (!is_there || !field->is_array || field->kind != SCHEMA_STRUCT)
			continue;
		const uint8_t *items =
			*(const uint8_t *const *)(const void *)(value + field->offset);
		size_t count = *(const size_t *)(const void *)(value + field->count_offset);
		for (size_t k = 0; k < count; k++)
			collect_errors(field->child, version,
				       items + k * field->child->struct_bytes, ret);
	}
}

/* Every error is this one; only the error of the whole answer may be absent. */
static void check_errors(const struct ask *ask, int16_t error)
{
	const struct kafka_api *api = ask->kafka.api;
	struct errors found = { .count = 0 };

	assert_int_equal(ask->err, OK);
	collect_errors(api->response, ask->kafka.version, ask->response, &found);
	if (found.count == 0)
		fail_msg("%s v%d has no error", api->name, ask->kafka.version);
	for (size_t i = 0; i < found.count; i++)
		if (found.codes[i] != error)
			fail_msg("%s v%d says %s, not %s", api->name, ask->kafka.version,
				 kafka_error_name(found.codes[i]), kafka_error_name(error));
}

static const struct operation_case {
	int16_t key;
	const void *request;
	int16_t not_led; /* the word for: nobody leads here */
} cases[] = {
	{ KAFKA_API_CREATE_TOPICS, &create_topics, KAFKA_NOT_CONTROLLER },
	{ KAFKA_API_DELETE_TOPICS, &delete_topics, KAFKA_NOT_CONTROLLER },
	{ KAFKA_API_CREATE_PARTITIONS, &create_partitions, KAFKA_NOT_CONTROLLER },
	{ KAFKA_API_INIT_PRODUCER_ID, &init_producer_id, KAFKA_COORDINATOR_NOT_AVAILABLE },
	{ KAFKA_API_OFFSET_COMMIT, &offset_commit, KAFKA_NOT_COORDINATOR },
	{ KAFKA_API_OFFSET_FETCH, &offset_fetch, KAFKA_NOT_COORDINATOR },
	{ KAFKA_API_LIST_GROUPS, &list_groups, KAFKA_COORDINATOR_NOT_AVAILABLE },
	{ KAFKA_API_DESCRIBE_GROUPS, &describe_groups, KAFKA_NOT_COORDINATOR },
	{ KAFKA_API_DELETE_GROUPS, &delete_groups, KAFKA_NOT_COORDINATOR },
	{ KAFKA_API_ALTER_CONFIGS, &alter_configs, KAFKA_NOT_CONTROLLER },
	{ KAFKA_API_INCREMENTAL_ALTER_CONFIGS, &change_configs, KAFKA_NOT_CONTROLLER },
	{ KAFKA_API_ALTER_CLIENT_QUOTAS, &alter_quotas, KAFKA_NOT_CONTROLLER },
	{ KAFKA_API_DELETE_RECORDS, &delete_records, KAFKA_NOT_LEADER_OR_FOLLOWER },
};

enum { CASES = sizeof(cases) / sizeof(cases[0]) };

/* --- tests -------------------------------------------------------------------------------------
 */

static void open_with_topic(struct town *town)
{
	town_open(town, 1);
	delete_topic.topic_id = town_topic(town, "t", 1);
	fault_add(town->bucket, &(struct fault) { .effect = FAULT_HOLD, .verbs = FAULT_WRITES });
}

/* A rival takes the journal over; `town` hears of it when its held writes go on. */
static void take_over(struct town *town, struct town *rival)
{
	bool never = false;

	*rival = (struct town) { .loop = town->loop, .number = town->number };
	town_lead(rival);
	fault_clear(town->bucket);
	fault_release(town->bucket, "");
	for (int i = 0; i < RELEASED_WAITS_MAX && town->is_leading; i++)
		(void)town_wait_ms(town, &never, RELEASED_WAIT_MS);
	assert_false(town->is_leading);
}

static void close_both(struct town *town, struct town *rival)
{
	town_stop(rival);
	town_close(town);
}

static void test_who_leads_no_more_says_who_may(void **state)
{
	struct town town, rival;

	(void)state;
	open_with_topic(&town);
	struct ask *first = ask_begin(&town, KAFKA_API_INIT_PRODUCER_ID, 0, &init_producer_id);
	assert_true(ask_waits(first));
	take_over(&town, &rival);
	coordinator_on_leading(town.coordinator); /* has not heard of it yet */
	for (size_t i = 0; i < CASES; i++) {
		const struct kafka_api *api = kafka_api_find(cases[i].key);
		for (int16_t v = api->version_first; v <= api->version_last; v++) {
			struct ask *ask = ask_begin(&town, api->key, v, cases[i].request);
			town_wait(&town, &ask->is_done, api->name);
			check_errors(ask, cases[i].not_led);
		}
	}
	close_both(&town, &rival);
}

/* C7 */
static void test_a_lost_outcome_is_a_timeout(void **state)
{
	struct town town, rival;

	(void)state;
	for (size_t i = 0; i < 4; i++) { /* the others are repeated without harm */
		const struct kafka_api *api = kafka_api_find(cases[i].key);
		for (int16_t v = api->version_first; v <= api->version_last; v++) {
			open_with_topic(&town);
			struct ask *ask = ask_begin(&town, api->key, v, cases[i].request);
			assert_true(ask_waits(ask));
			take_over(&town, &rival);
			town_wait(&town, &ask->is_done, api->name);
			check_errors(ask, KAFKA_REQUEST_TIMED_OUT);
			close_both(&town, &rival);
		}
	}
}

/* --- too much to do ----------------------------------------------------------------------------
 */

static enum err nothing_run(struct cell *cell, void *argument)
{
	(void)cell;
	(void)argument;
	return OK;
}

/* As many calls as may wait, behind a change that does not become durable. */
static struct command *fill_queue(struct town *town)
{
	struct command *commands = memory_take_array(LEADER_PENDING_CALLS_MAX, sizeof(*commands));
	bool never = false;

	for (size_t i = 0; i < LEADER_PENDING_CALLS_MAX; i++) {
		commands[i] = (struct command) { .town = town, .run = nothing_run };
		task_start_root(&commands[i].task, &command_kind, town->loop);
	}
	(void)town_wait_ms(town, &never, RELEASED_WAIT_MS);
	return commands;
}

static void test_a_queue_that_is_full_says_come_back(void **state)
{
	struct town town;

	(void)state;
	open_with_topic(&town);
	struct ask *first = ask_begin(&town, KAFKA_API_INIT_PRODUCER_ID, 0, &init_producer_id);
	assert_true(ask_waits(first));
	struct command *commands = fill_queue(&town);
	for (size_t i = 0; i < CASES; i++) {
		const struct kafka_api *api = kafka_api_find(cases[i].key);
		bool is_controllers = cases[i].not_led == KAFKA_NOT_CONTROLLER;
		bool is_leaders = cases[i].not_led == KAFKA_NOT_LEADER_OR_FOLLOWER;
		for (int16_t v = api->version_first; v <= api->version_last; v++) {
			struct ask *ask = ask_begin(&town, api->key, v, cases[i].request);
			town_wait(&town, &ask->is_done, api->name);
			check_errors(ask, is_controllers || is_leaders
						  ? cases[i].not_led
						  : KAFKA_COORDINATOR_NOT_AVAILABLE);
		}
	}
	fault_clear(town.bucket);
	fault_release(town.bucket, "");
	for (size_t i = 0; i < LEADER_PENDING_CALLS_MAX; i++)
		town_wait(&town, &commands[i].is_done, "a command that waited");
	memory_free(commands);
	town_close(&town);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_queue_that_is_full_says_come_back),
		cmocka_unit_test(test_who_leads_no_more_says_who_may),
		cmocka_unit_test(test_a_lost_outcome_is_a_timeout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
