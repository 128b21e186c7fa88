/* Fetch. */
#include "base/clock.h"
#include "fault.h"
#include "fixture.h"
#include "transactions.h"

enum {
	LOG_START_FIRST = 5,
	IDS_FIRST = 13,
	LONG_WAIT_MS = 10000,
};

/* --- asking ------------------------------------------------------------------------------------
 */

static const struct kafka_fetch_response *check_response(
	struct test *t, const struct kafka_fetch_response *response)
{
	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_INT(t, response->session_id, 0);
	CHECK_INT(t, response->node_endpoints_count, 0);
	return response;
}

/* The answer about the one partition of a request. */
static const struct kafka_fetch_response_partition *answer_of(
	struct test *t, const struct kafka_fetch_response *response, const struct topic *topic)
{
	check_response(t, response);
	CHECK_INT(t, response->responses_count, 1);
	if (t->version >= IDS_FIRST)
		CHECK_UUID(t, response->responses[0].topic_id, topic->id);
	else
		CHECK_SLICE(t, response->responses[0].topic, topic->name);
	CHECK_INT(t, response->responses[0].partitions_count, 1);
	return &response->responses[0].partitions[0];
}

static const struct kafka_fetch_response_partition *fetch(struct test *t, const struct topic *topic,
							  const struct kafka_fetch_request *request)
{
	const struct kafka_fetch_response_partition *answer =
		answer_of(t, test_call(t, KAFKA_API_FETCH, t->version, request), topic);

	CHECK_INT(t, answer->partition_index, request->topics[0].partitions[0].partition);
	return answer;
}

/* Every field but the records. */
static void check_found(struct test *t, const struct kafka_fetch_response_partition *answer,
			int64_t high_watermark)
{
	CHECK_ERROR(t, answer->error_code, KAFKA_NONE);
	CHECK_INT(t, answer->high_watermark, high_watermark);
	CHECK_INT(t, answer->last_stable_offset, high_watermark);
	CHECK_SINCE(t, LOG_START_FIRST, answer->log_start_offset, 0, -1);
	CHECK_INT(t, answer->diverging_epoch.epoch, -1);
	CHECK_INT(t, answer->current_leader.leader_id, -1);
	CHECK_INT(t, answer->snapshot_id.epoch, -1);
	CHECK_INT(t, answer->aborted_transactions_count, 0);
	CHECK_INT(t, answer->preferred_read_replica, -1);
}

/* The batches as they must come back: at their offsets, in epoch 0, otherwise as they were. */
static struct slice placed(struct test *t, const struct slice *batches, const int64_t *offsets,
			   size_t count)
{
	struct buf out;

	buf_init(&out);
	for (size_t i = 0; i < count; i++) {
		uint8_t *copy = batch_copy(t, batches[i]);
		record_batch_patch(copy, offsets[i], 0);
		buf_add(&out, copy, batches[i].size);
	}
	struct slice bytes = arena_copy(&t->arena, buf_slice(&out));
	buf_done(&out);
	return bytes;
}

/* A topic with two batches, of three records and of two. */
struct filled {
	struct topic topic;
	struct slice batches[2];
	int64_t offsets[2];
};

static struct filled fill(struct test *t)
{
	struct filled f = { .topic = topic_make(t, 1) };

	f.batches[0] = batch_make(t, 3);
	f.batches[1] = batch_make(t, 2);
	for (size_t i = 0; i < 2; i++)
		f.offsets[i] = topic_append(t, &f.topic, 0, f.batches[i]);
	CHECK_INT(t, f.offsets[1], 3);
	return f;
}

/* --- success -----------------------------------------------------------------------------------
 */

static void gives_records_back(struct test *t)
{
	struct filled f = fill(t);
	const struct kafka_fetch_response_partition *answer =
		fetch(t, &f.topic, fetch_one(t, &f.topic, 0, 0));

	check_found(t, answer, 5);
	CHECK(t, !answer->aborted_transactions);
	CHECK_SLICE(t, answer->records, placed(t, f.batches, f.offsets, 2));
	answer = fetch(t, &f.topic, fetch_one(t, &f.topic, 0, 3));
	CHECK_SLICE(t, answer->records, placed(t, f.batches + 1, f.offsets + 1, 1));
}

static void offset_within_a_batch(struct test *t)
{
	struct filled f = fill(t);

	for (int64_t offset = 1; offset < 3; offset++) {
		const struct kafka_fetch_response_partition *answer =
			fetch(t, &f.topic, fetch_one(t, &f.topic, 0, offset));
		CHECK_SLICE(t, answer->records, placed(t, f.batches, f.offsets, 2));
	}
}

static void reads_committed(struct test *t)
{
	struct filled f = fill(t);
	struct kafka_fetch_request *request = fetch_one(t, &f.topic, 0, 0);

	request->isolation_level = 1;
	const struct kafka_fetch_response_partition *answer = fetch(t, &f.topic, request);
	check_found(t, answer, 5);
	CHECK(t, answer->aborted_transactions); /* empty, not null */
	CHECK_SLICE(t, answer->records, placed(t, f.batches, f.offsets, 2));
}

/* Three records of an aborted transaction, its marker, and one that is not decided. */
static void stops_at_the_stable_offset(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct writer w = writer_make(t, "w");
	struct kafka_fetch_request *request = fetch_one(t, &topic, 0, 0);
	struct record_batch batch;

	CHECK_INT(t, writer_write(t, &w, &topic, 3), 0);
	CHECK_ERROR(t, writer_end(t, &w, false), KAFKA_NONE);
	CHECK_INT(t, writer_write(t, &w, &topic, 1), 4);
	request->isolation_level = 1;
	const struct kafka_fetch_response_partition *answer = fetch(t, &topic, request);
	CHECK_ERROR(t, answer->error_code, KAFKA_NONE);
	CHECK_INT(t, answer->high_watermark, 5);
	CHECK_INT(t, answer->last_stable_offset, 4);
	CHECK_INT(t, answer->aborted_transactions_count, 1);
	CHECK_INT(t, answer->aborted_transactions[0].producer_id, w.producer_id);
	CHECK_INT(t, answer->aborted_transactions[0].first_offset, 0);
	struct slice records = answer->records;
	CHECK(t, record_batch_next(&records, &batch) == OK);
	CHECK_INT(t, batch.base_offset, 0);
	CHECK(t, record_batch_next(&records, &batch) == OK);
	CHECK_INT(t, batch.base_offset, 3);
	CHECK_INT(t, batch.bytes.size, 78);
	CHECK(t, batch.attributes & RECORD_BATCH_CONTROL);
	CHECK(t, record_batch_crc_matches(&batch));
	CHECK_INT(t, records.size, 0);
	CHECK_ERROR(t, writer_end(t, &w, true), KAFKA_NONE);
}

static void waits_at_the_end(struct test *t)
{
	struct filled f = fill(t);
	struct kafka_fetch_request *request = fetch_one(t, &f.topic, 0, 5);
	uint64_t begin_ms = clock_now_ms();

	request->max_wait_ms = 150;
	const struct kafka_fetch_response_partition *answer = fetch(t, &f.topic, request);
	uint64_t waited_ms = clock_now_ms() - begin_ms;
	check_found(t, answer, 5);
	CHECK_INT(t, answer->records.size, 0);
	CHECK(t, waited_ms >= 140 && waited_ms < LONG_WAIT_MS);
}

static void does_not_wait_for_nothing(struct test *t)
{
	struct filled f = fill(t);
	struct kafka_fetch_request *request = fetch_one(t, &f.topic, 0, 5);
	uint64_t begin_ms = clock_now_ms();

	request->max_wait_ms = LONG_WAIT_MS;
	request->min_bytes = 0;
	check_found(t, fetch(t, &f.topic, request), 5);
	CHECK(t, clock_now_ms() - begin_ms < LONG_WAIT_MS / 2);
}

static void wakes_for_new_records(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct kafka_fetch_request *request = fetch_one(t, &topic, 0, 0);
	struct client *c = client_open(t);
	struct slice batch = batch_make(t, 1);
	const int64_t offset = 0;
	uint64_t begin_ms = clock_now_ms();

	request->max_wait_ms = LONG_WAIT_MS;
	int32_t id = client_send(t, c, KAFKA_API_FETCH, t->version, request);
	client_expect_silence(t, c, 50);
	(void)topic_append(t, &topic, 0, batch);
	const struct kafka_fetch_response_partition *answer =
		answer_of(t, client_receive(t, c, KAFKA_API_FETCH, t->version, id), &topic);
	check_found(t, answer, 1);
	CHECK_SLICE(t, answer->records, placed(t, &batch, &offset, 1));
	CHECK(t, clock_now_ms() - begin_ms < LONG_WAIT_MS / 2);
}

static void gives_one_batch_at_least(struct test *t)
{
	struct filled f = fill(t);
	struct kafka_fetch_request *request = fetch_one(t, &f.topic, 0, 0);

	request->max_bytes = 1;
	const struct kafka_fetch_response_partition *answer = fetch(t, &f.topic, request);
	check_found(t, answer, 5);
	CHECK_SLICE(t, answer->records, placed(t, f.batches, f.offsets, 1));
	request->max_bytes = 1 << 20;
	request->topics[0].partitions[0].partition_max_bytes = (int32_t)f.batches[0].size + 1;
	answer = fetch(t, &f.topic, request);
	CHECK_SLICE(t, answer->records, placed(t, f.batches, f.offsets, 1));
}

static void answers_every_partition(struct test *t)
{
	struct topic topics[] = { topic_make(t, 2), topic_make(t, 1) };
	struct slice batches[] = { batch_make(t, 1), batch_make(t, 2) };
	const int64_t offsets[] = { 0, 0 };

	(void)topic_append(t, &topics[0], 1, batches[0]);
	(void)topic_append(t, &topics[1], 0, batches[1]);
	struct kafka_fetch_request *request = fetch_one(t, &topics[0], 1, 0);
	struct kafka_fetch_request_partition partitions[] = {
		request->topics[0].partitions[0],
		request->topics[0].partitions[0],
	};
	partitions[1].partition = 0;
	struct kafka_fetch_request_topic asked[] = {
		fetch_one(t, &topics[1], 0, 0)->topics[0],
		{ topics[0].name, topics[0].id, partitions, 2 },
	};
	request->topics = asked;
	request->topics_count = 2;
	const struct kafka_fetch_response *response =
		check_response(t, test_call(t, KAFKA_API_FETCH, t->version, request));
	CHECK_INT(t, response->responses_count, 2);
	CHECK_INT(t, response->responses[1].partitions_count, 2);
	const struct kafka_fetch_response_partition *found = response->responses[1].partitions;
	CHECK_INT(t, found[0].partition_index, 1);
	CHECK_INT(t, found[1].partition_index, 0);
	check_found(t, &response->responses[0].partitions[0], 2);
	check_found(t, &found[0], 1);
	check_found(t, &found[1], 0);
	CHECK_SLICE(t, response->responses[0].partitions[0].records,
		    placed(t, &batches[1], &offsets[1], 1));
	CHECK_SLICE(t, found[0].records, placed(t, &batches[0], &offsets[0], 1));
	CHECK_INT(t, found[1].records.size, 0);
}

static void later_requests_wait_their_turn(struct test *t)
{
	const struct kafka_api_versions_request versions = { 0 };
	struct topic topic = topic_make(t, 1);
	struct kafka_fetch_request *request = fetch_one(t, &topic, 0, 0);
	struct client *c = client_open(t);

	request->max_wait_ms = 200;
	int32_t first = client_send(t, c, KAFKA_API_FETCH, t->version, request);
	int32_t second = client_send(t, c, KAFKA_API_API_VERSIONS, 0, &versions);
	(void)answer_of(t, client_receive(t, c, KAFKA_API_FETCH, t->version, first), &topic);
	(void)client_receive(t, c, KAFKA_API_API_VERSIONS, 0, second);
}

static int32_t begin_session(struct test *t, int version, const struct filled *f)
{
	struct kafka_fetch_request *request = fetch_one(t, &f->topic, 0, 0);

	request->session_epoch = 0;
	const struct kafka_fetch_response *response =
		test_call(t, KAFKA_API_FETCH, (int16_t)version, request);
	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK(t, response->session_id > 0);
	CHECK_INT(t, response->responses_count, 1);
	return response->session_id;
}

static const struct kafka_fetch_response *go_on(struct test *t, int32_t id, int32_t epoch)
{
	struct kafka_fetch_request request;

	schema_defaults(kafka_api_find(KAFKA_API_FETCH)->request, &request);
	request.session_id = id;
	request.session_epoch = epoch;
	request.rack_id = SLICE("");
	return test_call(t, KAFKA_API_FETCH, t->version, &request);
}

static void keeps_a_session(struct test *t)
{
	struct filled f = fill(t);
	int32_t id = begin_session(t, t->version, &f);
	const struct kafka_fetch_response *response = go_on(t, id, 1);

	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_INT(t, response->session_id, id);
	CHECK_INT(t, response->responses_count, 1);
	CHECK(t, response->responses[0].partitions[0].records.size > 0);
	struct kafka_fetch_request *request = fetch_one(t, &f.topic, 0, 5);
	request->session_id = id;
	request->session_epoch = 2; /* the offset moves to the end */
	response = test_call(t, KAFKA_API_FETCH, t->version, request);
	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_INT(t, response->responses_count, 0); /* nothing changed */
	request = fetch_one(t, &f.topic, 0, 0);
	request->session_id = id;
	request->session_epoch = -1; /* and a whole request */
	check_found(t, fetch(t, &f.topic, request), 5);
	CHECK_ERROR(t, go_on(t, id, 3)->error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
}

static void wrong_session_epoch(struct test *t)
{
	struct filled f = fill(t);
	int32_t id = begin_session(t, t->version, &f);

	CHECK_ERROR(t, go_on(t, id, 2)->error_code, KAFKA_INVALID_FETCH_SESSION_EPOCH);
	CHECK_ERROR(t, go_on(t, id, 1)->error_code, KAFKA_NONE);
	CHECK_ERROR(t, go_on(t, id, 1)->error_code, KAFKA_INVALID_FETCH_SESSION_EPOCH);
}

/* Names and ids are not mixed in a session. */
static void session_of_another_kind(struct test *t)
{
	struct filled f = fill(t);
	int32_t id = begin_session(t, t->version < IDS_FIRST ? IDS_FIRST : IDS_FIRST - 1, &f);

	CHECK_ERROR(t, go_on(t, id, 1)->error_code, KAFKA_FETCH_SESSION_TOPIC_ID_ERROR);
}

static void knows_the_epoch(struct test *t)
{
	struct filled f = fill(t);
	struct kafka_fetch_request *request = fetch_one(t, &f.topic, 0, 0);

	request->topics[0].partitions[0].current_leader_epoch = 0;
	request->topics[0].partitions[0].last_fetched_epoch = 0;
	check_found(t, fetch(t, &f.topic, request), 5);
}

static void gives_zstd_back(struct test *t)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct topic topic = topic_make(t, 1);
	const int64_t offset = 0;

	plan.codec = COMPRESSION_ZSTD;
	struct slice batch = batch_plan(t, &plan, 3);
	(void)topic_append(t, &topic, 0, batch);
	const struct kafka_fetch_response_partition *answer =
		fetch(t, &topic, fetch_one(t, &topic, 0, 0));
	check_found(t, answer, 3);
	CHECK_SLICE(t, answer->records, placed(t, &batch, &offset, 1));
}

/* --- errors ------------------------------------------------------------------------------------
 */

static void check_refused(struct test *t, const struct topic *topic,
			  const struct kafka_fetch_request *request, int16_t error)
{
	const struct kafka_fetch_response_partition *answer = fetch(t, topic, request);

	CHECK_ERROR(t, answer->error_code, error);
	CHECK_INT(t, answer->records.size, 0);
	CHECK_INT(t, answer->aborted_transactions_count, 0);
}

static void offset_out_of_range(struct test *t)
{
	static const int64_t bad[] = { 6, -1, INT64_MAX, INT64_MIN };
	struct filled f = fill(t);

	for (size_t i = 0; i < MATRIX_COUNT(bad); i++)
		check_refused(t, &f.topic, fetch_one(t, &f.topic, 0, bad[i]),
			      KAFKA_OFFSET_OUT_OF_RANGE);
}

static void unknown_topic(struct test *t)
{
	struct topic missing = topic_missing(t), deleted = topic_make(t, 1);

	check_refused(t, &missing, fetch_one(t, &missing, 0, 0), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	topic_delete(t, &deleted);
	check_refused(t, &deleted, fetch_one(t, &deleted, 0, 0), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void unknown_partition(struct test *t)
{
	static const int32_t bad[] = { 1, -1, INT32_MAX };
	struct topic topic = topic_make(t, 1);

	for (size_t i = 0; i < MATRIX_COUNT(bad); i++)
		check_refused(t, &topic, fetch_one(t, &topic, bad[i], 0),
			      KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void unknown_id(struct test *t)
{
	struct topic missing = topic_missing(t), deleted = topic_make(t, 1);

	check_refused(t, &missing, fetch_one(t, &missing, 0, 0), KAFKA_UNKNOWN_TOPIC_ID);
	topic_delete(t, &deleted);
	check_refused(t, &deleted, fetch_one(t, &deleted, 0, 0), KAFKA_UNKNOWN_TOPIC_ID);
}

/* A topic that is deleted wakes those who wait for it. */
static void deleted_while_waiting(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct kafka_fetch_request *request = fetch_one(t, &topic, 0, 0);
	struct client *c = client_open(t);
	uint64_t begin_ms = clock_now_ms();

	request->max_wait_ms = LONG_WAIT_MS;
	int32_t id = client_send(t, c, KAFKA_API_FETCH, t->version, request);
	client_expect_silence(t, c, 50);
	topic_delete(t, &topic);
	const struct kafka_fetch_response_partition *answer =
		answer_of(t, client_receive(t, c, KAFKA_API_FETCH, t->version, id), &topic);
	CHECK_ERROR(t, answer->error_code,
		    t->version >= IDS_FIRST ? KAFKA_UNKNOWN_TOPIC_ID
					    : KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK(t, clock_now_ms() - begin_ms < LONG_WAIT_MS / 2);
}

static void newer_epoch(struct test *t)
{
	struct filled f = fill(t);
	struct kafka_fetch_request *request = fetch_one(t, &f.topic, 0, 0);

	request->topics[0].partitions[0].current_leader_epoch = 7;
	check_refused(t, &f.topic, request, KAFKA_UNKNOWN_LEADER_EPOCH);
}

static void zstd_for_old_clients(struct test *t)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct topic topic = topic_make(t, 1);

	plan.codec = COMPRESSION_ZSTD;
	(void)topic_append(t, &topic, 0, batch_plan(t, &plan, 3));
	check_refused(t, &topic, fetch_one(t, &topic, 0, 0), KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
}

static void unknown_session(struct test *t)
{
	struct filled f = fill(t);
	struct kafka_fetch_request *request = fetch_one(t, &f.topic, 0, 0);

	request->session_id = 77;
	request->session_epoch = 5;
	request->topics_count = 0;
	const struct kafka_fetch_response *response =
		test_call(t, KAFKA_API_FETCH, t->version, request);
	CHECK_ERROR(t, response->error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
	CHECK_INT(t, response->session_id, 0);
	CHECK_INT(t, response->responses_count, 0);
}

/* --- faults ------------------------------------------------------------------------------------
 */

static const void *ask_all_records(struct test *t, const struct topic *topic)
{
	return fetch_one(t, topic, 0, 0);
}

static const void *ask_ahead(struct test *t, const struct topic *topic)
{
	return fetch_one(t, topic, 0, FAULT_RECORDS + 1);
}

static void check_fault(struct test *t, struct fault_round *round, int16_t error)
{
	const struct kafka_fetch_response_partition *answer =
		answer_of(t, fault_answer(t, round), &round->topic);

	CHECK_ERROR(t, answer->error_code, error);
	CHECK_INT(t, answer->records.size, 0);
}

static void denies_no_offset(struct test *t)
{
	static struct fault_round round = { .kind = FAULT_JOURNAL_BLOCKED, .ask = ask_ahead };

	check_fault(t, &round, KAFKA_NOT_LEADER_OR_FOLLOWER);
}

static void file_is_gone(struct test *t)
{
	static struct fault_round round = { .kind = FAULT_DATA_MISSING, .ask = ask_all_records };

	check_fault(t, &round, KAFKA_KAFKA_STORAGE_ERROR);
}

static void file_is_damaged(struct test *t)
{
	static struct fault_round round = { .kind = FAULT_DATA_DAMAGED, .ask = ask_all_records };

	check_fault(t, &round, KAFKA_CORRUPT_MESSAGE);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 4, 18, "records come back byte for byte, at their offsets",
	  gives_records_back },
	{ OUTCOME_SUCCESS, 4, 18, "an offset within a batch gives the whole batch",
	  offset_within_a_batch },
	{ OUTCOME_SUCCESS, 4, 18, "read_committed gives an empty list of aborted transactions",
	  reads_committed },
	{ OUTCOME_SUCCESS, 4, 18, "read_committed stops where a transaction is not decided",
	  stops_at_the_stable_offset },
	{ OUTCOME_SUCCESS, 4, 18, "at the end it waits max_wait and gives nothing",
	  waits_at_the_end },
	{ OUTCOME_SUCCESS, 4, 18, "min_bytes of 0 does not wait", does_not_wait_for_nothing },
	{ OUTCOME_SUCCESS, 4, 18, "a new record wakes who waits for it", wakes_for_new_records },
	{ OUTCOME_SUCCESS, 4, 18, "the first batch is given though it is over the limits",
	  gives_one_batch_at_least },
	{ OUTCOME_SUCCESS, 4, 18, "topics and partitions are answered in the order of the request",
	  answers_every_partition },
	/* W17 */
	{ OUTCOME_SUCCESS, 4, 18, "what is asked later is answered later",
	  later_requests_wait_their_turn },
	{ OUTCOME_SUCCESS, 7, 18, "a session is told what changed", keeps_a_session },
	{ KAFKA_INVALID_FETCH_SESSION_EPOCH, 7, 18, "each request of a session has the next epoch",
	  wrong_session_epoch },
	{ KAFKA_FETCH_SESSION_TOPIC_ID_ERROR, 7, 18, "a session names topics in one way",
	  session_of_another_kind },
	{ OUTCOME_SUCCESS, 9, 18, "the leader epoch of the partition is accepted",
	  knows_the_epoch },
	{ OUTCOME_SUCCESS, 10, 18, "zstd comes back as it was", gives_zstd_back },
	{ KAFKA_OFFSET_OUT_OF_RANGE, 4, 18, "an offset beyond either end gives OFFSET_OUT_OF_RANGE",
	  offset_out_of_range },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 4, 12,
	  "an unknown or deleted topic gives UNKNOWN_TOPIC_OR_PARTITION", unknown_topic },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 4, 12,
	  "a topic that is deleted wakes who waits for it with UNKNOWN_TOPIC_OR_PARTITION",
	  deleted_while_waiting },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 4, 18,
	  "an unknown partition gives UNKNOWN_TOPIC_OR_PARTITION", unknown_partition },
	/* W4 */
	{ KAFKA_UNKNOWN_TOPIC_ID, 13, 18, "an unknown or deleted id gives UNKNOWN_TOPIC_ID",
	  unknown_id },
	{ KAFKA_UNKNOWN_TOPIC_ID, 13, 18,
	  "a topic that is deleted wakes who waits for it with UNKNOWN_TOPIC_ID",
	  deleted_while_waiting },
	{ KAFKA_UNKNOWN_LEADER_EPOCH, 9, 18, "a newer leader epoch gives UNKNOWN_LEADER_EPOCH",
	  newer_epoch },
	{ KAFKA_UNSUPPORTED_COMPRESSION_TYPE, 4, 9,
	  "zstd for clients that do not know it gives UNSUPPORTED_COMPRESSION_TYPE",
	  zstd_for_old_clients },
	{ KAFKA_FETCH_SESSION_ID_NOT_FOUND, 7, 18,
	  "a session that is not known gives FETCH_SESSION_ID_NOT_FOUND", unknown_session },
	{ KAFKA_NOT_LEADER_OR_FOLLOWER, 4, 18,
	  "while nothing becomes durable, nobody denies an offset that may exist",
	  denies_no_offset },
	{ KAFKA_KAFKA_STORAGE_ERROR, 4, 18, "a data file that is gone gives KAFKA_STORAGE_ERROR",
	  file_is_gone },
	{ KAFKA_CORRUPT_MESSAGE, 4, 18, "a damaged data file gives CORRUPT_MESSAGE",
	  file_is_damaged },
};

static const int16_t documented[] = {
	KAFKA_OFFSET_OUT_OF_RANGE,
	KAFKA_TOPIC_AUTHORIZATION_FAILED,
	KAFKA_REPLICA_NOT_AVAILABLE,
	KAFKA_NOT_LEADER_OR_FOLLOWER,
	KAFKA_FENCED_LEADER_EPOCH,
	KAFKA_UNKNOWN_LEADER_EPOCH,
	KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
	KAFKA_KAFKA_STORAGE_ERROR,
	KAFKA_UNSUPPORTED_COMPRESSION_TYPE,
	KAFKA_CORRUPT_MESSAGE,
	KAFKA_UNKNOWN_TOPIC_ID,
	KAFKA_FETCH_SESSION_ID_NOT_FOUND,
	KAFKA_INVALID_FETCH_SESSION_EPOCH,
	KAFKA_FETCH_SESSION_TOPIC_ID_ERROR,
	KAFKA_INCONSISTENT_TOPIC_ID,
	KAFKA_OFFSET_MOVED_TO_TIERED_STORAGE,
	KAFKA_UNSUPPORTED_VERSION,
	KAFKA_UNKNOWN_SERVER_ERROR,
};

#define NO_SESSION_FIELD "the request has no session"

static const struct matrix_absent absent[] = {
	{ KAFKA_TOPIC_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_REPLICA_NOT_AVAILABLE, ALL_VERSIONS, ANY_AGENT_LEADS, NULL },
	{ KAFKA_FENCED_LEADER_EPOCH, ALL_VERSIONS, FIRST_EPOCH_ONLY, NULL },
	{ KAFKA_UNKNOWN_LEADER_EPOCH, 4, 8, "the request has no epoch", NULL },
	{ KAFKA_UNSUPPORTED_COMPRESSION_TYPE, 10, 18, "every codec is known", NULL },
	{ KAFKA_UNKNOWN_TOPIC_ID, 4, 12, "topics are named by name", NULL },
	{ KAFKA_FETCH_SESSION_ID_NOT_FOUND, 4, 6, NO_SESSION_FIELD, NULL },
	{ KAFKA_INVALID_FETCH_SESSION_EPOCH, 4, 6, NO_SESSION_FIELD, NULL },
	{ KAFKA_FETCH_SESSION_TOPIC_ID_ERROR, 4, 6, NO_SESSION_FIELD, NULL },
	{ KAFKA_INCONSISTENT_TOPIC_ID, ALL_VERSIONS,
	  "the id of a topic that was created again is unknown", NULL },
	{ KAFKA_OFFSET_MOVED_TO_TIERED_STORAGE, ALL_VERSIONS, "only followers get it", NULL },
	{ KAFKA_UNSUPPORTED_VERSION, ALL_VERSIONS, "every record is in format 2", NULL },
	{ KAFKA_UNKNOWN_SERVER_ERROR, ALL_VERSIONS, "only a bug leads to it", NULL },
};

const struct matrix_api matrix_fetch = MATRIX_API(KAFKA_API_FETCH, 4, 18);
