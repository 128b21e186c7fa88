/* A topic, a share group that reads it, and its clients: what tests of ShareFetch begin with. */
#ifndef STREAMS_TESTING_SHARE_H
#define STREAMS_TESTING_SHARE_H

#include "streams/catalog/share.h"
#include "streams/testing_world.h"

static struct testing_world w;
static struct testing_client c;

enum { TOPIC = 7 };

static inline struct uuid topic_id(void)
{
	struct catalog_topic topic;
	struct arena a;

	arena_init(&a);
	assert_int_equal(catalog_topic_by_name(&a, w.control.cell, SLICE("t"), &topic), OK);
	arena_done(&a);
	return topic.topic_id;
}

/* A topic with one group on it, which begins at the first record. */
static inline void set_up(uint64_t seed)
{
	testing_world_open(&w, seed);
	testing_client_open(&c, &w);
	testing_create_topic(&w.control, "t", TOPIC, 2);
	testing_control_sql(&w.control,
			    "INSERT INTO consumer_group (id, name, state, generation,"
			    " protocol_type, updated_ms) VALUES (1, 's', 0, 1, 'share', 1)");
	testing_control_sql(&w.control,
			    "INSERT INTO share_group (consumer_group, topics_hash) VALUES (1, 0)");
	testing_control_sql(&w.control, "INSERT INTO config (kind, resource, name, value)"
					" VALUES (32, 's', 'share.auto.offset.reset', 'earliest')");
}

static inline void tear_down(void)
{
	testing_client_close(&c);
	testing_world_close(&w);
}

/* The group begins with records that are not older. */
static inline void begin_by_age(int64_t age_ms)
{
	char sql[200];

	snprintf(sql, sizeof(sql),
		 "UPDATE config SET value = 'by_duration:PT%lld.%03lldS'"
		 " WHERE name = 'share.auto.offset.reset'",
		 (long long)(age_ms / 1000), (long long)(age_ms % 1000));
	testing_control_sql(&w.control, sql);
}

/* --- requests ----------------------------------------------------------------------------------
 */

struct ask {
	const char *group;  /* NULL: "s" */
	const char *member; /* NULL: "a" */
	int32_t epoch;
	bool names; /* the partition */
	int64_t first, last;
	int8_t said; /* 0: nothing */
	int32_t wait_ms, wanted;
	bool is_exact, is_empty; /* no byte is asked for */
};

static inline void send_fetch(struct testing_client *client, struct ask ask)
{
	struct kafka_share_fetch_request_batch batch = { ask.first, ask.last, &ask.said, 1 };
	struct kafka_share_fetch_request_partition partition = {
		.acknowledgement_batches = &batch,
		.acknowledgement_batches_count = ask.said ? 1 : 0,
	};
	struct kafka_share_fetch_request_topic topic = { topic_id(), &partition, 1 };

	testing_send(client, KAFKA_API_SHARE_FETCH, 2,
		     &(struct kafka_share_fetch_request) {
			     .group_id = slice_from(ask.group ? ask.group : "s"),
			     .member_id = slice_from(ask.member ? ask.member : "a"),
			     .share_session_epoch = ask.epoch,
			     .max_wait_ms = ask.wait_ms,
			     .min_bytes = 1,
			     .max_bytes = ask.is_empty ? 0 : 1 << 20,
			     .max_records = ask.wanted ? ask.wanted : 500,
			     .share_acquire_mode = ask.is_exact,
			     .topics = &topic,
			     .topics_count = ask.names || ask.said ? 1 : 0,
		     });
}

static inline const struct kafka_share_fetch_response *receive_fetch(struct testing_client *client)
{
	return testing_receive(client, KAFKA_API_SHARE_FETCH, 2);
}

static inline const struct kafka_share_fetch_response *share_fetch(struct testing_client *client,
								   struct ask ask)
{
	send_fetch(client, ask);
	return receive_fetch(client);
}

/* The one partition that was answered. */
static inline const struct kafka_share_fetch_response_partition *only(
	const struct kafka_share_fetch_response *response)
{
	assert_int_equal(response->error_code, KAFKA_NONE);
	assert_int_equal(response->responses_count, 1);
	assert_int_equal(response->responses[0].partitions_count, 1);
	return &response->responses[0].partitions[0];
}

static inline void expect_got(const struct kafka_share_fetch_response *response, int64_t first,
			      int64_t last, int deliveries)
{
	const struct kafka_share_fetch_response_partition *p = only(response);
	struct slice records = p->records;
	struct record_batch batch;

	assert_int_equal(p->error_code, KAFKA_NONE);
	assert_int_equal(p->acquired_records_count, 1);
	assert_int_equal(p->acquired_records[0].first_offset, first);
	assert_int_equal(p->acquired_records[0].last_offset, last);
	assert_int_equal(p->acquired_records[0].delivery_count, deliveries);
	assert_int_equal(record_batch_next(&records, &batch), OK);
	assert_in_range(first, batch.base_offset, batch.base_offset + batch.last_offset_delta);
}

static inline void expect_nothing(const struct kafka_share_fetch_response *response)
{
	assert_int_equal(response->error_code, KAFKA_NONE);
	for (size_t i = 0; i < response->responses_count; i++)
		for (size_t k = 0; k < response->responses[i].partitions_count; k++) {
			assert_int_equal(response->responses[i].partitions[k].error_code, 0);
			assert_int_equal(
				response->responses[i].partitions[k].acquired_records_count, 0);
		}
}

static inline int16_t acknowledge(struct ask ask)
{
	struct kafka_share_acknowledge_request_batch batch = { ask.first, ask.last, &ask.said, 1 };
	struct kafka_share_acknowledge_request_partition partition = { 0, &batch, 1 };
	struct kafka_share_acknowledge_request_topic topic = { topic_id(), &partition, 1 };
	const struct kafka_share_acknowledge_response *response =
		testing_call(&c, KAFKA_API_SHARE_ACKNOWLEDGE, 2,
			     &(struct kafka_share_acknowledge_request) {
				     .group_id = SLICE("s"),
				     .member_id = slice_from(ask.member ? ask.member : "a"),
				     .share_session_epoch = ask.epoch,
				     .topics = &topic,
				     .topics_count = 1,
			     });

	return response->error_code ? response->error_code
				    : response->responses[0].partitions[0].error_code;
}

#define FETCH(client, ...) share_fetch(client, (struct ask) { __VA_ARGS__ })
#define ACKNOWLEDGE(...) acknowledge((struct ask) { __VA_ARGS__ })

#endif
