/* AlterConfigs and IncrementalAlterConfigs, as agents pass them on, and the table of settings. */
#include "streams/catalog/config.h"
#include "streams/coordinator/configs.h"
#include "streams/coordinator/coordinator_testing.h"
#include "streams/coordinator/group_call.h"
#include "streams/coordinator/sweep.h"
#include "streams/coordinator/transaction.h"

static struct town town;

struct change {
	const char *name;
	int8_t operation;
	const char *value;
};

enum { CHANGES_MAX = 4 };

static int16_t change_with(int8_t kind, const char *resource, const struct change *changes,
			   size_t count, bool validate_only, int16_t version)
{
	struct kafka_incremental_alter_configs_request_config configs[CHANGES_MAX];
	struct kafka_incremental_alter_configs_request_resource asked = {
		.resource_type = kind,
		.resource_name = slice_from(resource),
		.configs = configs,
		.configs_count = count,
	};

	for (size_t i = 0; i < count; i++)
		configs[i] = (struct kafka_incremental_alter_configs_request_config) {
			slice_from(changes[i].name), changes[i].operation,
			changes[i].value ? slice_from(changes[i].value) : (struct slice) { 0 }
		};
	const struct kafka_incremental_alter_configs_response *response =
		ask(&town, KAFKA_API_INCREMENTAL_ALTER_CONFIGS, version,
		    &(struct kafka_incremental_alter_configs_request) {
			    .resources = &asked,
			    .resources_count = 1,
			    .validate_only = validate_only,
		    });
	assert_int_equal(response->responses_count, 1);
	assert_int_equal(response->responses[0].resource_type, kind);
	assert_true(slice_equal(response->responses[0].resource_name, asked.resource_name));
	if (response->responses[0].error_code)
		assert_true(response->responses[0].error_message.size > 0);
	return response->responses[0].error_code;
}

static int16_t change(int8_t kind, const char *resource, const char *name, int8_t operation,
		      const char *value)
{
	return change_with(kind, resource, &(struct change) { name, operation, value }, 1, false,
			   1);
}

static int16_t replace(int8_t kind, const char *resource, const char *name, const char *value,
		       bool validate_only, int16_t version)
{
	struct kafka_alter_configs_request_config config = { slice_from(name), slice_from(value) };
	struct kafka_alter_configs_request_resource asked = {
		.resource_type = kind,
		.resource_name = slice_from(resource),
		.configs = &config,
		.configs_count = 1,
	};
	const struct kafka_alter_configs_response *response =
		ask(&town, KAFKA_API_ALTER_CONFIGS, version,
		    &(struct kafka_alter_configs_request) {
			    .resources = &asked,
			    .resources_count = 1,
			    .validate_only = validate_only,
		    });

	return response->responses[0].error_code;
}

/* "name=value name=value" of what is stored. */
static const char *stored(enum config_kind kind, const char *resource)
{
	static char text[1000];
	struct config_value *values;
	struct arena a;
	size_t count, size = 0;

	arena_init(&a);
	text[0] = 0;
	assert_int_equal(config_stored(&a, leader_cell(town.leader), kind, slice_from(resource),
				       &values, &count),
			 OK);
	for (size_t i = 0; i < count; i++)
		size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%.*s=%.*s",
					 i ? " " : "", SLICE_ARG(values[i].name),
					 SLICE_ARG(values[i].value));
	arena_done(&a);
	return text;
}

static void test_settings_of_a_topic_are_kept_and_go_with_it(void **state)
{
	struct slice name = SLICE("t");

	(void)state;
	town_open(&town, 1);
	town_topic(&town, "t", 1);
	for (int16_t version = 0; version <= 1; version++) {
		struct change two[] = { { "retention.ms", CONFIG_SET, "1000" },
					{ "cleanup.policy", CONFIG_SET, "compact" } };
		assert_int_equal(change_with(CONFIG_TOPIC, "t", two, 2, false, version),
				 KAFKA_NONE);
	}
	assert_string_equal(stored(CONFIG_TOPIC, "t"), "cleanup.policy=compact retention.ms=1000");
	assert_int_equal(change(CONFIG_TOPIC, "t", "cleanup.policy", CONFIG_DELETE, NULL),
			 KAFKA_NONE);
	assert_int_equal(change(CONFIG_TOPIC, "t", "segment.ms", CONFIG_DELETE, NULL), KAFKA_NONE);
	town_restart(&town);
	assert_string_equal(stored(CONFIG_TOPIC, "t"), "retention.ms=1000");
	ask(&town, KAFKA_API_DELETE_TOPICS, 5,
	    &(struct kafka_delete_topics_request) { .topic_names = &name, .topic_names_count = 1 });
	assert_string_equal(stored(CONFIG_TOPIC, "t"), "");
	town_close(&town);
}

static void test_the_lags_of_compaction_fit_together(void **state)
{
	struct kafka_create_topics_request_config configs[] = {
		{ SLICE("min.compaction.lag.ms"), SLICE("11") },
		{ SLICE("max.compaction.lag.ms"), SLICE("10") },
	};
	struct kafka_create_topics_request_topic topic = { .name = SLICE("u"),
							   .num_partitions = 1,
							   .replication_factor = 1,
							   .configs = configs,
							   .configs_count = 2 };
	struct config_topic_rules rules;

	(void)state;
	town_open(&town, 11);
	town_topic(&town, "t", 1);
	const struct kafka_create_topics_response *created =
		ask(&town, KAFKA_API_CREATE_TOPICS, 5,
		    &(struct kafka_create_topics_request) { .topics = &topic, .topics_count = 1 });
	assert_int_equal(created->topics[0].error_code, KAFKA_INVALID_CONFIG);
	const char *max = "max.compaction.lag.ms", *min = "min.compaction.lag.ms";
	assert_int_equal(change(CONFIG_TOPIC, "t", min, CONFIG_SET, "10"), KAFKA_NONE);
	assert_int_equal(change(CONFIG_TOPIC, "t", max, CONFIG_SET, "9"), KAFKA_INVALID_CONFIG);
	assert_int_equal(change(CONFIG_TOPIC, "t", max, CONFIG_SET, "10"), KAFKA_NONE);
	assert_int_equal(change(CONFIG_TOPIC, "t", min, CONFIG_SET, "11"), KAFKA_INVALID_CONFIG);
	assert_int_equal(change(CONFIG_TOPIC, "t", min, CONFIG_DELETE, NULL), KAFKA_NONE);
	assert_int_equal(change(CONFIG_BROKER, "", "log.cleaner.min.compaction.lag.ms", CONFIG_SET,
				"7"),
			 KAFKA_NONE);
	assert_int_equal(change(CONFIG_TOPIC, "t", max, CONFIG_SET, "6"), KAFKA_INVALID_CONFIG);
	struct change both[] = { { max, CONFIG_SET, "6" }, { min, CONFIG_SET, "5" } };
	assert_int_equal(change_with(CONFIG_TOPIC, "t", both, 2, false, 0), KAFKA_NONE);
	assert_int_equal(change(CONFIG_TOPIC, "t", "min.cleanable.dirty.ratio", CONFIG_SET, "0.25"),
			 KAFKA_NONE);
	assert_int_equal(change(CONFIG_TOPIC, "t", "min.cleanable.dirty.ratio", CONFIG_SET, "1.5"),
			 KAFKA_INVALID_CONFIG);
	assert_int_equal(change(CONFIG_BROKER, "", "log.cleaner.delete.retention.ms", CONFIG_SET,
				"77"),
			 KAFKA_NONE);
	config_topic_rules(leader_cell(town.leader), SLICE("t"), &rules);
	assert_int_equal(rules.min_compaction_lag_ms, 5);
	assert_int_equal(rules.max_compaction_lag_ms, 6);
	assert_int_equal(rules.delete_retention_ms, 77);
	assert_true(rules.min_cleanable_ratio == 0.25);
	config_topic_rules(leader_cell(town.leader), SLICE("other"), &rules);
	assert_int_equal(rules.min_compaction_lag_ms, 7);
	assert_true(rules.max_compaction_lag_ms == INT64_MAX);
	assert_true(rules.min_cleanable_ratio == 0.5);
	town_close(&town);
}

static void test_a_topic_is_created_with_settings_or_not_at_all(void **state)
{
	struct kafka_create_topics_request_config configs[] = {
		{ SLICE("max.message.bytes"), SLICE("1000") },
		{ SLICE("message.timestamp.type"), SLICE("LogAppendTime") },
	};
	struct kafka_create_topics_request_topic topic = { .name = SLICE("t"),
							   .num_partitions = 1,
							   .replication_factor = 1,
							   .configs = configs,
							   .configs_count = 2 };
	struct kafka_create_topics_request request = { .topics = &topic,
						       .topics_count = 1,
						       .validate_only = true };
	const struct kafka_create_topics_response *response;

	(void)state;
	town_open(&town, 2);
	response = ask(&town, KAFKA_API_CREATE_TOPICS, 7, &request);
	assert_int_equal(response->topics[0].error_code, KAFKA_NONE);
	assert_string_equal(stored(CONFIG_TOPIC, "t"), "");
	request.validate_only = false;
	configs[0].value = SLICE("much");
	response = ask(&town, KAFKA_API_CREATE_TOPICS, 7, &request);
	assert_int_equal(response->topics[0].error_code, KAFKA_INVALID_CONFIG);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM topic"), 0);
	configs[0].value = SLICE("1000");
	assert_int_equal(change(CONFIG_BROKER, "", "log.retention.ms", CONFIG_SET, "7"),
			 KAFKA_NONE);
	response = ask(&town, KAFKA_API_CREATE_TOPICS, 7, &request);
	assert_int_equal(response->topics[0].error_code, KAFKA_NONE);
	assert_int_equal(response->topics[0].configs_count, config_count(CONFIG_TOPIC));
	for (size_t i = 0; i < response->topics[0].configs_count; i++) {
		const struct kafka_create_topics_response_config *told =
			&response->topics[0].configs[i];
		if (slice_equal(told->name, SLICE("max.message.bytes"))) {
			assert_true(slice_equal(told->value, SLICE("1000")));
			assert_int_equal(told->config_source, CONFIG_FROM_TOPIC);
		} else if (slice_equal(told->name, SLICE("retention.ms"))) {
			assert_true(slice_equal(told->value, SLICE("7")));
			assert_int_equal(told->config_source, CONFIG_FROM_ALL_BROKERS);
		}
	}
	assert_string_equal(stored(CONFIG_TOPIC, "t"),
			    "max.message.bytes=1000 message.timestamp.type=LogAppendTime");
	town_close(&town);
}

static void test_lists_grow_and_shrink_by_elements(void **state)
{
	static const struct {
		int8_t operation;
		const char *value, *after;
	} steps[] = {
		{ CONFIG_APPEND, "compact", "cleanup.policy=delete,compact" },
		{ CONFIG_APPEND, "compact,delete", "cleanup.policy=delete,compact" },
		{ CONFIG_SUBTRACT, "delete", "cleanup.policy=compact" },
		{ CONFIG_SUBTRACT, "delete", "cleanup.policy=compact" },
		{ CONFIG_SUBTRACT, "compact", "cleanup.policy=" },
		{ CONFIG_APPEND, " compact , delete ", "cleanup.policy=compact,delete" },
	};

	(void)state;
	town_open(&town, 3);
	town_topic(&town, "t", 1);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		assert_int_equal(change(CONFIG_TOPIC, "t", "cleanup.policy", steps[i].operation,
					steps[i].value),
				 KAFKA_NONE);
		assert_string_equal(stored(CONFIG_TOPIC, "t"), steps[i].after);
	}
	assert_int_equal(change(CONFIG_TOPIC, "t", "cleanup.policy", CONFIG_APPEND, "forget"),
			 KAFKA_INVALID_CONFIG);
	assert_int_equal(change(CONFIG_TOPIC, "t", "retention.ms", CONFIG_APPEND, "1"),
			 KAFKA_INVALID_CONFIG);
	town_close(&town);
}

static void test_what_makes_no_sense_changes_nothing(void **state)
{
	static const struct {
		int8_t kind;
		const char *resource, *name;
		int8_t operation;
		const char *value;
		int16_t error;
	} cases[] = {
		{ CONFIG_TOPIC, "t", "no.such.thing", CONFIG_SET, "1", KAFKA_INVALID_CONFIG },
		{ CONFIG_TOPIC, "t", "retention.ms", CONFIG_SET, "-2", KAFKA_INVALID_CONFIG },
		{ CONFIG_TOPIC, "t", "retention.ms", CONFIG_SET, "1 ", KAFKA_INVALID_CONFIG },
		{ CONFIG_TOPIC, "t", "retention.ms", CONFIG_SET, "", KAFKA_INVALID_CONFIG },
		{ CONFIG_TOPIC, "t", "retention.ms", CONFIG_SET, "99999999999999999999",
		  KAFKA_INVALID_CONFIG },
		{ CONFIG_TOPIC, "t", "min.cleanable.dirty.ratio", CONFIG_SET, "nan",
		  KAFKA_INVALID_CONFIG },
		{ CONFIG_TOPIC, "t", "min.cleanable.dirty.ratio", CONFIG_SET, "1.01",
		  KAFKA_INVALID_CONFIG },
		{ CONFIG_TOPIC, "t", "preallocate", CONFIG_SET, "yes", KAFKA_INVALID_CONFIG },
		{ CONFIG_TOPIC, "t", "compression.type", CONFIG_SET, "bzip", KAFKA_INVALID_CONFIG },
		{ CONFIG_TOPIC, "t", "retention.ms", CONFIG_SET, NULL, KAFKA_INVALID_REQUEST },
		{ CONFIG_TOPIC, "t", "retention.ms", 4, "1", KAFKA_INVALID_REQUEST },
		{ CONFIG_TOPIC, "u", "retention.ms", CONFIG_SET, "1",
		  KAFKA_UNKNOWN_TOPIC_OR_PARTITION },
		{ CONFIG_TOPIC, "a b", "retention.ms", CONFIG_SET, "1",
		  KAFKA_INVALID_TOPIC_EXCEPTION },
		{ CONFIG_BROKER, "", "broker.id", CONFIG_SET, "7", KAFKA_INVALID_REQUEST },
		{ CONFIG_BROKER, "77", "log.retention.ms", CONFIG_SET, "7", KAFKA_INVALID_REQUEST },
		{ CONFIG_BROKER, "x", "log.retention.ms", CONFIG_SET, "7", KAFKA_INVALID_REQUEST },
		{ CONFIG_BROKER_LOGGER, "1", "root", CONFIG_SET, "INFO", KAFKA_INVALID_REQUEST },
		{ CONFIG_CLIENT_METRICS, "m", "metrics", CONFIG_SET, "", KAFKA_INVALID_REQUEST },
		{ CONFIG_GROUP, "", "consumer.session.timeout.ms", CONFIG_SET, "50000",
		  KAFKA_INVALID_REQUEST },
		{ CONFIG_GROUP, "g", "consumer.session.timeout.ms", CONFIG_SET, "1",
		  KAFKA_INVALID_CONFIG },
		{ 0, "t", "retention.ms", CONFIG_SET, "1", KAFKA_INVALID_REQUEST },
		{ -1, "t", "retention.ms", CONFIG_SET, "1", KAFKA_INVALID_REQUEST },
	};
	struct change pair[] = { { "retention.ms", CONFIG_SET, "5" },
				 { "segment.ms", CONFIG_SET, "none" } };

	(void)state;
	town_open(&town, 4);
	town_topic(&town, "t", 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(change(cases[i].kind, cases[i].resource, cases[i].name,
					cases[i].operation, cases[i].value),
				 cases[i].error);
	assert_int_equal(change_with(CONFIG_TOPIC, "t", pair, 2, false, 1), KAFKA_INVALID_CONFIG);
	pair[1] = pair[0];
	assert_int_equal(change_with(CONFIG_TOPIC, "t", pair, 2, false, 1), KAFKA_INVALID_REQUEST);
	pair[1].name = "segment.ms";
	assert_int_equal(change_with(CONFIG_TOPIC, "t", pair, 2, true, 1), KAFKA_NONE);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM config"), 0);
	town_close(&town);
}

static void test_altering_all_settings_forgets_those_not_named(void **state)
{
	(void)state;
	town_open(&town, 5);
	town_topic(&town, "t", 1);
	for (int16_t version = 0; version <= 2; version++) {
		assert_int_equal(change(CONFIG_TOPIC, "t", "flush.ms", CONFIG_SET, "5"),
				 KAFKA_NONE);
		assert_int_equal(replace(CONFIG_TOPIC, "t", "retention.ms", "9", true, version),
				 KAFKA_NONE);
		assert_int_equal(replace(CONFIG_TOPIC, "t", "retention.ms", "x", false, version),
				 KAFKA_INVALID_CONFIG);
		assert_int_equal(replace(CONFIG_TOPIC, "u", "retention.ms", "9", false, version),
				 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
		assert_true(strstr(stored(CONFIG_TOPIC, "t"), "flush.ms=5") != NULL);
		assert_int_equal(replace(CONFIG_TOPIC, "t", "retention.ms", "9", false, version),
				 KAFKA_NONE);
		assert_string_equal(stored(CONFIG_TOPIC, "t"), "retention.ms=9");
	}
	town_close(&town);
}

static enum err add_agent(struct cell *cell, void *argument)
{
	(void)argument;
	return cell_execute(cell, cell_statement(cell, "INSERT INTO agent (id, node, host, port,"
						       " site, incarnation, low_sequence, is_live)"
						       " VALUES (1, 'n', 'h', 1, 's', 1, 1, 1)"));
}

static void test_topics_fall_back_to_what_is_set_for_all_brokers(void **state)
{
	struct config_topic_rules rules;

	(void)state;
	town_open(&town, 6);
	town_topic(&town, "t", 1);
	assert_int_equal(town_run(&town, add_agent, NULL), OK);
	struct cell *cell = leader_cell(town.leader);
	config_topic_rules(cell, SLICE("t"), &rules);
	assert_int_equal(rules.message_bytes_max, CONFIG_MESSAGE_BYTES_DEFAULT);
	assert_true(rules.is_deleted && !rules.is_compacted && !rules.is_log_append_time);
	assert_int_equal(change(CONFIG_BROKER, "", "message.max.bytes", CONFIG_SET, "500"),
			 KAFKA_NONE);
	assert_int_equal(change(CONFIG_BROKER, "", "log.cleanup.policy", CONFIG_SET, "compact"),
			 KAFKA_NONE);
	assert_int_equal(change(CONFIG_BROKER, "1", "message.max.bytes", CONFIG_SET, "500"),
			 KAFKA_INVALID_REQUEST); /* any broker serves any topic */
	assert_int_equal(change(CONFIG_BROKER, "1", "sasl.kerberos.min.time.before.relogin",
				CONFIG_SET, "58000"),
			 KAFKA_NONE);
	config_topic_rules(cell, SLICE("t"), &rules);
	assert_int_equal(rules.message_bytes_max, 500);
	assert_true(rules.is_compacted && !rules.is_deleted);
	assert_int_equal(change(CONFIG_TOPIC, "t", "max.message.bytes", CONFIG_SET, "900"),
			 KAFKA_NONE);
	assert_int_equal(change(CONFIG_TOPIC, "t", "cleanup.policy", CONFIG_SET, "delete"),
			 KAFKA_NONE);
	config_topic_rules(cell, SLICE("t"), &rules);
	assert_int_equal(rules.message_bytes_max, 900);
	assert_true(rules.is_deleted && !rules.is_compacted);
	town_close(&town);
}

static void test_a_group_may_have_settings_before_it_is_there(void **state)
{
	(void)state;
	town_open(&town, 7);
	struct cell *cell = leader_cell(town.leader);
	assert_int_equal(config_group_number(cell, SLICE("g"), "consumer.session.timeout.ms"),
			 45000);
	assert_int_equal(change(CONFIG_GROUP, "g", "consumer.session.timeout.ms", CONFIG_SET,
				"50000"),
			 KAFKA_NONE);
	assert_int_equal(config_group_number(cell, SLICE("g"), "consumer.session.timeout.ms"),
			 50000);
	assert_int_equal(config_group_number(cell, SLICE("h"), "consumer.session.timeout.ms"),
			 45000);
	town_close(&town);
}

static void test_a_share_group_may_begin_by_age(void **state)
{
	static const struct {
		const char *value;
		int16_t code;
	} cases[] = {
		{ "earliest", KAFKA_NONE },
		{ "latest", KAFKA_NONE },
		{ "by_duration:PT1H", KAFKA_NONE },
		{ "by_duration:P1DT2H3M4.5S", KAFKA_NONE },
		{ "by_duration", KAFKA_INVALID_CONFIG },
		{ "by_duration:", KAFKA_INVALID_CONFIG },
		{ "by_duration:1h", KAFKA_INVALID_CONFIG },
		{ "by_duration:-PT1H", KAFKA_INVALID_CONFIG },
		{ "by_durationPT1H", KAFKA_INVALID_CONFIG },
		{ "BY_DURATION:PT1H", KAFKA_INVALID_CONFIG },
		{ "earliest:PT1H", KAFKA_INVALID_CONFIG },
		{ "none", KAFKA_INVALID_CONFIG },
		{ "", KAFKA_INVALID_CONFIG },
	};

	(void)state;
	town_open(&town, 7);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(change(CONFIG_GROUP, "g", "share.auto.offset.reset", CONFIG_SET,
					cases[i].value),
				 cases[i].code);
	town_close(&town);
}

static int16_t init_transactional(int32_t timeout_ms)
{
	const struct kafka_init_producer_id_response *response =
		ask(&town, KAFKA_API_INIT_PRODUCER_ID, 4,
		    &(struct kafka_init_producer_id_request) {
			    .transactional_id = SLICE("tid"),
			    .transaction_timeout_ms = timeout_ms,
			    .producer_id = -1,
			    .producer_epoch = -1,
		    });

	return response->error_code;
}

static int16_t join(int32_t session_ms)
{
	struct kafka_join_group_request_protocol protocol = { SLICE("range"), SLICE("m") };
	const struct kafka_join_group_response *response =
		ask(&town, KAFKA_API_JOIN_GROUP, 3,
		    &(struct kafka_join_group_request) {
			    .group_id = SLICE("g"),
			    .session_timeout_ms = session_ms,
			    .rebalance_timeout_ms = 60000,
			    .member_id = SLICE(""),
			    .protocol_type = SLICE("consumer"),
			    .protocols = &protocol,
			    .protocols_count = 1,
		    });

	return response->error_code;
}

static void test_settings_of_whoever_coordinates_hold_for_all(void **state)
{
	(void)state;
	town_open(&town, 8);
	assert_int_equal(town_run(&town, add_agent, NULL), OK);
	assert_int_equal(change(CONFIG_BROKER, "1", "transaction.max.timeout.ms", CONFIG_SET, "5"),
			 KAFKA_INVALID_REQUEST);
	assert_int_equal(change(CONFIG_BROKER, "", "transaction.max.timeout.ms", CONFIG_SET, "0"),
			 KAFKA_INVALID_CONFIG);
	assert_int_equal(change(CONFIG_BROKER, "", "group.max.size", CONFIG_SET, "5"),
			 KAFKA_INVALID_REQUEST); /* read only */

	assert_int_equal(init_transactional(900001), KAFKA_INVALID_TRANSACTION_TIMEOUT);
	assert_int_equal(change(CONFIG_BROKER, "", "transaction.max.timeout.ms", CONFIG_SET,
				"3600000"),
			 KAFKA_NONE);
	assert_int_equal(init_transactional(3600001), KAFKA_INVALID_TRANSACTION_TIMEOUT);
	assert_int_equal(init_transactional(3600000), KAFKA_NONE);
	assert_int_equal(change(CONFIG_BROKER, "", "transaction.max.timeout.ms", CONFIG_DELETE, ""),
			 KAFKA_NONE);
	assert_int_equal(init_transactional(900001), KAFKA_INVALID_TRANSACTION_TIMEOUT);

	assert_int_equal(join(5999), KAFKA_INVALID_SESSION_TIMEOUT);
	assert_int_equal(change(CONFIG_BROKER, "", "group.min.session.timeout.ms", CONFIG_SET,
				"2000"),
			 KAFKA_NONE);
	assert_int_equal(change(CONFIG_BROKER, "", "group.max.session.timeout.ms", CONFIG_SET,
				"4000"),
			 KAFKA_NONE);
	assert_int_equal(join(4001), KAFKA_INVALID_SESSION_TIMEOUT);
	assert_int_equal(join(2000), KAFKA_NONE);

	struct cell *cell = leader_cell(town.leader);
	assert_int_equal(change(CONFIG_BROKER, "", "group.consumer.session.timeout.ms", CONFIG_SET,
				"30000"),
			 KAFKA_NONE);
	assert_int_equal(config_group_number(cell, SLICE("g"), "consumer.session.timeout.ms"),
			 30000);
	assert_int_equal(change(CONFIG_GROUP, "g", "consumer.session.timeout.ms", CONFIG_SET,
				"20000"),
			 KAFKA_NONE);
	assert_int_equal(config_group_number(cell, SLICE("g"), "consumer.session.timeout.ms"),
			 20000);
	town_close(&town);
}

static void check_default(const char *name, int64_t number)
{
	struct config_row row;

	assert_true(config_find(CONFIG_BROKER, slice_from(name), &row));
	assert_int_equal(strtoll(row.value, NULL, 10), number);
}

static void test_the_defaults_told_are_those_that_hold(void **state)
{
	(void)state;
	check_default("transaction.max.timeout.ms", TRANSACTION_TIMEOUT_MS_MAX);
	check_default("transactional.id.expiration.ms", SWEEP_TRANSACTIONAL_IDLE_MS);
	check_default("offsets.retention.minutes", SWEEP_GROUP_IDLE_MS / 60000);
	check_default("group.min.session.timeout.ms", GROUP_SESSION_TIMEOUT_MS_MIN);
	check_default("group.max.session.timeout.ms", GROUP_SESSION_TIMEOUT_MS_MAX);
	check_default("group.max.size", GROUP_MEMBERS_MAX);
	check_default("offset.metadata.max.bytes", OFFSET_METADATA_BYTES_MAX);
	check_default("message.max.bytes", CONFIG_MESSAGE_BYTES_DEFAULT);
}

static void test_every_row_is_in_order_and_its_default_is_allowed(void **state)
{
	static const enum config_kind kinds[] = { CONFIG_TOPIC, CONFIG_BROKER, CONFIG_GROUP };
	struct config_row row, found;
	struct arena a;

	(void)state;
	arena_init(&a);
	for (size_t k = 0; k < 3; k++) {
		assert_true(config_count(kinds[k]) > 1);
		for (size_t i = 0; i < config_count(kinds[k]); i++) {
			row = config_row_at(kinds[k], i);
			assert_true(config_find(kinds[k], slice_from(row.name), &found));
			assert_string_equal(found.documentation, row.documentation); /* no twin */
			if (row.value && !row.is_read_only)
				assert_null(config_value_fault(&a, &row, slice_from(row.value)));
			if (i > 0 && kinds[k] != CONFIG_BROKER)
				assert_true(strcmp(config_row_at(kinds[k], i - 1).name, row.name) <
					    0);
		}
	}
	assert_int_equal(config_count(CONFIG_CLIENT_METRICS), 0);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings_of_a_topic_are_kept_and_go_with_it),
		cmocka_unit_test(test_the_lags_of_compaction_fit_together),
		cmocka_unit_test(test_a_topic_is_created_with_settings_or_not_at_all),
		cmocka_unit_test(test_lists_grow_and_shrink_by_elements),
		cmocka_unit_test(test_what_makes_no_sense_changes_nothing),
		cmocka_unit_test(test_altering_all_settings_forgets_those_not_named),
		cmocka_unit_test(test_topics_fall_back_to_what_is_set_for_all_brokers),
		cmocka_unit_test(test_a_group_may_have_settings_before_it_is_there),
		cmocka_unit_test(test_a_share_group_may_begin_by_age),
		cmocka_unit_test(test_settings_of_whoever_coordinates_hold_for_all),
		cmocka_unit_test(test_the_defaults_told_are_those_that_hold),
		cmocka_unit_test(test_every_row_is_in_order_and_its_default_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
