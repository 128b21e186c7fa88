/* Several agents on one control: which of them a client is told, and that each serves everybody. */
#include "streams/agent/file_writer.h"
#include "streams/testing_world.h"

static struct testing_world w, north, south;
static struct testing_client c, n, s;

/* One agent in each of the sites "here", "north" and "south". */
static void set_up(uint64_t seed)
{
	testing_world_open(&w, seed);
	testing_join_world(&north, &w, 9093, "north");
	testing_join_world(&south, &w, 9094, "south");
	testing_client_open(&c, &w);
	testing_client_open(&n, &north);
	testing_client_open(&s, &south);
	WAIT_FOR(&w, replica_index(w.agent->replica) == w.control.index);
	WAIT_FOR(&w, replica_index(north.agent->replica) == w.control.index);
}

static void tear_down(void)
{
	testing_hold_records(&w.control, false);
	testing_client_close(&s);
	testing_client_close(&n);
	testing_client_close(&c);
	testing_close_agent(&south);
	testing_close_agent(&north);
	testing_world_close(&w);
}

/* Wait until every replica has everything. */
static void settle(void)
{
	const struct testing_world *all[] = { &w, &north, &south };

	for (size_t i = 0; i < 3; i++)
		WAIT_FOR(&w, replica_index(all[i]->agent->replica) == w.control.index);
}

static struct kafka_metadata_response *metadata(struct testing_client *client)
{
	struct kafka_metadata_request_topic topic = { .name = SLICE("alpha") };
	struct kafka_metadata_request request = { .topics = &topic, .topics_count = 1 };
	struct kafka_metadata_response *got = testing_call(client, KAFKA_API_METADATA, 5, &request);

	assert_int_equal(got->topics_count, 1);
	assert_int_equal(got->topics[0].error_code, KAFKA_NONE);
	assert_int_equal(got->topics[0].partitions_count, 3);
	for (size_t i = 1; i < 3; i++)
		assert_int_equal(got->topics[0].partitions[i].leader_id,
				 got->topics[0].partitions[0].leader_id);
	return got;
}

static int32_t leader_for(struct testing_client *client, const char *client_id)
{
	client->client_id = slice_from(client_id);
	return metadata(client)->topics[0].partitions[0].leader_id;
}

static int32_t coordinator_for(struct testing_client *client)
{
	struct kafka_find_coordinator_request request = { .key = SLICE("group") };
	struct kafka_find_coordinator_response *got =
		testing_call(client, KAFKA_API_FIND_COORDINATOR, 1, &request);

	assert_int_equal(got->error_code, KAFKA_NONE);
	return got->node_id;
}

static int32_t controller_for(struct testing_client *client)
{
	struct kafka_describe_cluster_request request = { .endpoint_type = 1 };
	struct kafka_describe_cluster_response *got =
		testing_call(client, KAFKA_API_DESCRIBE_CLUSTER, 0, &request);

	assert_int_equal(got->brokers_count, 3);
	return got->controller_id;
}

/* Rows of agents that only control has seen. */
static void add_agents(const char *site, int first, int count)
{
	char sql[300];

	for (int id = first; id < first + count; id++) {
		snprintf(sql, sizeof(sql),
			 "INSERT INTO agent (id, node, host, port, site, incarnation, low_sequence,"
			 " is_live) VALUES (%d, 'node-%d', 'host-%d', 9092, '%s', %d, 0, 1)",
			 id, id, id, site, 1000 + id);
		testing_control_sql(&w.control, sql);
	}
	settle();
}

/* --- who a client is told -------------------------------------------------------------------- */

static void test_every_live_agent_is_told_with_its_site(void **state)
{
	(void)state;
	set_up(0);
	struct kafka_metadata_response *got = metadata(&c);
	assert_int_equal(got->brokers_count, 3);
	const char *sites[] = { "here", "north", "south" };
	for (int i = 0; i < 3; i++) {
		assert_int_equal(got->brokers[i].node_id, 1 + i);
		assert_int_equal(got->brokers[i].port, 9092 + i);
		assert_true(slice_equal(got->brokers[i].rack, slice_from(sites[i])));
	}
	testing_control_sql(&w.control, "UPDATE agent SET is_live = 0 WHERE id = 2");
	settle();
	got = metadata(&c);
	assert_int_equal(got->brokers_count, 2);
	assert_int_equal(got->brokers[1].node_id, 3);
	tear_down();
}

static void test_a_client_without_a_site_is_served_where_it_came(void **state)
{
	(void)state;
	set_up(0);
	assert_int_equal(leader_for(&c, "test"), w.agent->node_id);
	assert_int_equal(leader_for(&n, "test"), north.agent->node_id);
	assert_int_equal(leader_for(&s, "test"), south.agent->node_id);
	tear_down();
}

static void test_a_client_is_sent_to_its_site_whoever_it_asks(void **state)
{
	const char *names[] = { "orders,hanse_site=north", "ws_az=north", "a,zone=north,b" };

	(void)state;
	set_up(0);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(leader_for(&c, names[i]), north.agent->node_id);
		assert_int_equal(leader_for(&n, names[i]), north.agent->node_id);
		assert_int_equal(leader_for(&s, names[i]), north.agent->node_id);
	}
	tear_down();
}

static void test_leader_coordinator_and_controller_are_one(void **state)
{
	(void)state;
	set_up(0);
	int32_t leader = leader_for(&c, "orders,az=south");
	assert_int_equal(leader, south.agent->node_id);
	assert_int_equal(metadata(&c)->controller_id, leader);
	assert_int_equal(coordinator_for(&c), leader);
	assert_int_equal(controller_for(&c), leader);
	tear_down();
}

static void test_a_site_without_agents_is_served_by_others(void **state)
{
	(void)state;
	set_up(0);
	int32_t leader = leader_for(&c, "orders,az=nowhere");
	assert_in_range(leader, 1, 3);
	assert_int_equal(leader_for(&n, "orders,az=nowhere"), leader);
	assert_int_equal(leader_for(&s, "orders,az=nowhere"), leader);
	testing_control_sql(&w.control, "UPDATE agent SET is_live = 0 WHERE site = 'south'");
	settle();
	leader = leader_for(&c, "orders,az=south");
	assert_in_range(leader, 1, 2);
	tear_down();
}

enum { CLIENTS = 200, AGENTS = 4 };

static void ask_for_many(int32_t leaders[CLIENTS])
{
	static char names[CLIENTS][32];

	for (int i = 0; i < CLIENTS; i++) {
		snprintf(names[i], sizeof(names[i]), "client-%d,az=wide", i);
		leaders[i] = leader_for(&c, names[i]);
	}
}

static void test_clients_of_a_site_spread_and_only_those_move_that_have_to(void **state)
{
	int32_t before[CLIENTS], after[CLIENTS];
	int counts[AGENTS] = { 0 }, moved = 0;

	(void)state;
	set_up(0);
	add_agents("wide", 100, AGENTS);
	ask_for_many(before);
	for (int i = 0; i < CLIENTS; i++) {
		assert_in_range(before[i], 100, 100 + AGENTS - 1);
		counts[before[i] - 100]++;
	}
	for (int i = 0; i < AGENTS; i++)
		assert_in_range(counts[i], CLIENTS / AGENTS / 2, CLIENTS / AGENTS * 2);

	testing_control_sql(&w.control, "UPDATE agent SET is_live = 0 WHERE id = 101");
	settle();
	ask_for_many(after);
	for (int i = 0; i < CLIENTS; i++) {
		assert_int_not_equal(after[i], 101);
		if (before[i] != 101)
			assert_int_equal(after[i], before[i]);
	}
	testing_control_sql(&w.control, "UPDATE agent SET is_live = 1 WHERE id = 101");
	add_agents("wide", 100 + AGENTS, 1);
	ask_for_many(after);
	for (int i = 0; i < CLIENTS; i++) {
		moved += after[i] != before[i];
		if (after[i] != before[i])
			assert_int_equal(after[i], 100 + AGENTS);
	}
	assert_in_range(moved, CLIENTS / (AGENTS + 1) / 2, CLIENTS / (AGENTS + 1) * 2);
	tear_down();
}

/* --- several agents of one node -------------------------------------------------------------- */

/* Of the node "NAME:9092" in the site "wide", with numbers from 1 on. */
static void add_mates(const char *name, int first_id, int count)
{
	char sql[300], number[16] = "";

	for (int i = 0; i < count; i++) {
		if (i > 0)
			snprintf(number, sizeof(number), "#%d", i + 1);
		snprintf(sql, sizeof(sql),
			 "INSERT INTO agent (id, node, host, port, site, incarnation, low_sequence,"
			 " is_live) VALUES (%d, '%s:9092%s', '%s', %d, 'wide', %d, 0, 1)",
			 first_id + i, name, number, name, 9092 + i, 1000 + first_id + i);
		testing_control_sql(&w.control, sql);
	}
	settle();
}

static void set_live(int id, bool is_live)
{
	char sql[100];

	snprintf(sql, sizeof(sql), "UPDATE agent SET is_live = %d WHERE id = %d", is_live, id);
	testing_control_sql(&w.control, sql);
	settle();
}

enum { PARTITIONS = 3 };

/* And each of them is a replica of what it leads. */
static void leaders_of_all(struct testing_client *client, const char *client_id,
			   int32_t ret[PARTITIONS])
{
	struct kafka_metadata_request_topic topic = { .name = SLICE("alpha") };
	struct kafka_metadata_request request = { .topics = &topic, .topics_count = 1 };
	struct kafka_describe_topic_partitions_request_topic named = { .name = SLICE("alpha") };
	struct kafka_describe_topic_partitions_request describe = {
		.topics = &named, .topics_count = 1, .response_partition_limit = 100
	};

	client->client_id = slice_from(client_id);
	struct kafka_metadata_response *got = testing_call(client, KAFKA_API_METADATA, 5, &request);
	assert_int_equal(got->topics[0].partitions_count, PARTITIONS);
	for (size_t i = 0; i < PARTITIONS; i++) {
		ret[i] = got->topics[0].partitions[i].leader_id;
		assert_int_equal(got->topics[0].partitions[i].replica_nodes[0], ret[i]);
		assert_int_equal(got->topics[0].partitions[i].isr_nodes[0], ret[i]);
	}
	struct kafka_describe_topic_partitions_response *told =
		testing_call(client, KAFKA_API_DESCRIBE_TOPIC_PARTITIONS, 0, &describe);
	assert_int_equal(told->topics[0].partitions_count, PARTITIONS);
	for (size_t i = 0; i < PARTITIONS; i++)
		assert_int_equal(told->topics[0].partitions[i].leader_id, ret[i]);
}

static void test_agents_of_a_node_share_the_partitions_out_for_every_client(void **state)
{
	int32_t leaders[PARTITIONS], others[PARTITIONS];
	bool is_there[PARTITIONS] = { false };

	(void)state;
	set_up(0);
	add_mates("cores", 100, PARTITIONS);
	leaders_of_all(&c, "one,az=wide", leaders);
	for (size_t i = 0; i < PARTITIONS; i++) {
		assert_in_range(leaders[i], 100, 100 + PARTITIONS - 1);
		is_there[leaders[i] - 100] = true;
	}
	for (size_t i = 0; i < PARTITIONS; i++)
		assert_true(is_there[i]);
	leaders_of_all(&n, "two,az=wide", others);
	assert_memory_equal(leaders, others, sizeof(leaders));
	assert_in_range(coordinator_for(&n), 100, 100 + PARTITIONS - 1);
	tear_down();
}

static void test_without_one_agent_of_a_node_the_others_have_its_partitions(void **state)
{
	int32_t before[PARTITIONS], after[PARTITIONS];

	(void)state;
	set_up(0);
	add_mates("cores", 100, PARTITIONS);
	leaders_of_all(&c, "one,az=wide", before);
	for (int id = 100; id < 100 + PARTITIONS; id++) {
		set_live(id, false);
		leaders_of_all(&c, "one,az=wide", after);
		for (size_t i = 0; i < PARTITIONS; i++) {
			assert_in_range(after[i], 100, 100 + PARTITIONS - 1);
			assert_int_not_equal(after[i], id);
			if (before[i] != id)
				assert_int_equal(after[i], before[i]);
		}
		set_live(id, true);
	}
	set_live(100, false);
	set_live(101, false);
	leaders_of_all(&c, "one,az=wide", after);
	for (size_t i = 0; i < PARTITIONS; i++)
		assert_int_equal(after[i], 102);
	tear_down();
}

/* A client belongs to a node, whichever of its agents are there. */
static void test_clients_stay_with_a_node_that_lost_its_first_agent(void **state)
{
	char names[CLIENTS / 4][32];
	int32_t before[PARTITIONS], after[PARTITIONS];
	int counts[2] = { 0 };

	(void)state;
	set_up(0);
	add_mates("left", 100, 2);
	add_mates("right", 102, 2);
	for (int i = 0; i < CLIENTS / 4; i++) {
		snprintf(names[i], sizeof(names[i]), "client-%d,az=wide", i);
		set_live(100, true);
		leaders_of_all(&c, names[i], before);
		counts[before[0] >= 102]++;
		assert_int_equal(before[0] >= 102, before[1] >= 102);
		set_live(100, false);
		leaders_of_all(&c, names[i], after);
		for (size_t k = 0; k < PARTITIONS; k++)
			assert_int_equal(after[k], before[k] == 100 ? 101 : before[k]);
	}
	assert_in_range(counts[0], CLIENTS / 16, CLIENTS / 16 * 3);
	tear_down();
}

/* --- where a consumer reads ------------------------------------------------------------------ */

static struct kafka_fetch_response_partition *fetch_from(struct testing_client *client,
							 const char *rack, int64_t offset)
{
	return testing_fetch(client, (struct testing_fetch) { .topic = "alpha",
							      .offset = offset,
							      .rack = rack,
							      .min_bytes = 1,
							      .max_wait_ms = 15000 });
}

static void test_a_consumer_is_sent_to_its_site_without_records(void **state)
{
	(void)state;
	set_up(0);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 3), 0);
	struct kafka_fetch_response_partition *got = fetch_from(&c, "north", 0);
	assert_int_equal(got->error_code, KAFKA_NONE);
	assert_int_equal(got->preferred_read_replica, north.agent->node_id);
	assert_int_equal(got->records.size, 0);
	assert_int_equal(got->high_watermark, 3);
	got = fetch_from(&c, "north", 3); /* nor does it wait for some */
	assert_int_equal(got->preferred_read_replica, north.agent->node_id);
	got = fetch_from(&n, "north", 0);
	assert_int_equal(got->preferred_read_replica, -1);
	assert_true(got->records.size > 0);

	/* clients believe only in what Metadata calls a replica */
	struct kafka_metadata_response_partition *partition = metadata(&s)->topics[0].partitions;
	assert_int_equal(partition->replica_nodes_count, 3);
	assert_int_equal(partition->isr_nodes_count, 3);
	assert_int_equal(partition->leader_id, south.agent->node_id);
	assert_int_equal(partition->replica_nodes[0], south.agent->node_id);
	assert_int_equal(partition->replica_nodes[1], w.agent->node_id);
	assert_int_equal(partition->replica_nodes[2], north.agent->node_id);
	tear_down();
}

/* librdkafka would stay with a preferred replica that is dead while its leader is the same. */
static void test_a_consumer_that_said_its_rack_has_its_leader_there(void **state)
{
	(void)state;
	set_up(0);
	assert_int_equal(leader_for(&c, "test"), w.agent->node_id);
	assert_int_equal(fetch_from(&c, "north", 0)->preferred_read_replica, north.agent->node_id);
	assert_int_equal(leader_for(&c, "test"), north.agent->node_id);
	assert_int_equal(leader_for(&c, "other"), w.agent->node_id);
	assert_int_equal(leader_for(&c, "test,az=south"), south.agent->node_id);
	testing_control_sql(&w.control, "UPDATE agent SET is_live = 0 WHERE site = 'north'");
	settle();
	assert_int_not_equal(leader_for(&c, "test"), north.agent->node_id);
	tear_down();
}

static void test_a_consumer_reads_here_when_its_site_has_nobody(void **state)
{
	const char *racks[] = { "", "here", "nowhere" };

	(void)state;
	set_up(0);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 3), 0);
	for (size_t i = 0; i < 3; i++) {
		struct kafka_fetch_response_partition *got = fetch_from(&c, racks[i], 0);
		assert_int_equal(got->preferred_read_replica, -1);
		assert_true(got->records.size > 0);
	}
	testing_control_sql(&w.control, "UPDATE agent SET is_live = 0 WHERE site = 'north'");
	settle();
	assert_true(fetch_from(&c, "north", 0)->records.size > 0);
	tear_down();
}

static void test_an_error_is_not_sent_elsewhere(void **state)
{
	(void)state;
	set_up(0);
	struct kafka_fetch_response_partition *got = fetch_from(&c, "north", 17);
	assert_int_equal(got->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
	assert_int_equal(got->preferred_read_replica, -1);
	tear_down();
}

/* --- one log, whoever writes ----------------------------------------------------------------- */

static void test_any_agent_serves_any_partition(void **state)
{
	struct testing_client *clients[] = { &c, &n, &s };

	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		set_up(seed);
		struct slice batches[6];
		for (int i = 0; i < 6; i++) {
			struct testing_client *writer = clients[i % 3];
			batches[i] = testing_batch(&writer->arena, "one", i, 1);
			testing_produce(writer, "beta", 0, batches[i], i);
		}
		settle();
		for (size_t k = 0; k < 3; k++) {
			struct slice records =
				testing_fetch(clients[k],
					      (struct testing_fetch) { .topic = "beta" })
					->records;
			for (int i = 0; i < 6; i++)
				testing_same_batch(&records, batches[i], i);
		}
		tear_down();
	}
}

static struct slice numbered(struct testing_client *client, int16_t epoch, int32_t sequence)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;

	plan.producer_id = 7;
	plan.producer_epoch = epoch;
	plan.base_sequence = sequence;
	return testing_batch_of(&client->arena, &plan, "numbered", sequence, 2, 0);
}

static void refuse(struct testing_client *client, struct slice batch, int16_t code)
{
	testing_send_produce(client, "beta", 0, batch, -1);
	struct kafka_produce_response_partition *answer = testing_receive_produce(client);
	assert_int_equal(answer->error_code, code);
	assert_int_equal(answer->base_offset, -1);
}

/* C2, P1: Its leader moves; what it sends again, because the answer was lost, keeps its offset. */
static void test_a_numbered_producer_may_go_from_agent_to_agent(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		set_up(seed);
		testing_produce(&c, "beta", 0, numbered(&c, 0, 0), 0);
		testing_produce(&n, "beta", 0, numbered(&n, 0, 2), 2);
		testing_produce(&s, "beta", 0, numbered(&s, 0, 2), 2); /* again */
		testing_produce(&s, "beta", 0, numbered(&s, 0, 0), 0);
		refuse(&c, numbered(&c, 0, 6), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
		testing_produce(&s, "beta", 0, numbered(&s, 0, 4), 4);
		testing_produce(&c, "beta", 0, numbered(&c, 0, 6), 6);
		testing_produce(&n, "beta", 0, numbered(&n, 1, 0), 8);
		refuse(&s, numbered(&s, 0, 8), KAFKA_INVALID_PRODUCER_EPOCH);
		tear_down();
	}
}

/* C4: the file of an agent that stood still is committed late; what was sent again has its
 * offset. */
static void test_a_late_commit_of_a_numbered_batch_adds_nothing(void **state)
{
	(void)state;
	set_up(0);
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_HOLD,
					      .verbs = FAULT_VERB(BUCKET_PUT),
					      .count = 1 });
	testing_send_produce(&c, "beta", 0, numbered(&c, 0, 0), -1);
	WAIT_FOR(&w, fault_held_count(w.bucket) == 1);
	testing_produce(&n, "beta", 0, numbered(&n, 0, 0), 0);
	testing_produce(&n, "beta", 0, numbered(&n, 0, 2), 2);
	fault_release(w.bucket, "");
	struct kafka_produce_response_partition *late = testing_receive_produce(&c);
	assert_int_equal(late->error_code, KAFKA_NONE);
	assert_int_equal(late->base_offset, 0);
	testing_produce(&n, "beta", 0, numbered(&n, 0, 4), 4);
	tear_down();
}

/* Z5: Two machines whose nodes tell clients the same address: records stay whole, and somebody says
 * what is wrong. */
static void test_agents_of_one_address_are_told_apart(void **state)
{
	struct testing_world twin;
	struct testing_client t;
	int64_t next = 0;

	(void)state;
	set_up(0);
	testing_join_world(&twin, &w, 9092, "here");
	testing_client_open(&t, &twin);
	assert_int_equal(twin.agent->node_id, w.agent->node_id);
	assert_false(file_writer_has_twin(w.agent->writer));
	for (int i = 0; i < 2 * FILE_WRITER_TWIN_LIVES + 2; i++) {
		struct testing_client *writer = i % 2 ? &t : &c;
		struct kafka_produce_response_partition *got;
		do {
			testing_send_produce(writer, "beta", 0,
					     testing_batch(&writer->arena, "one", i, 1), -1);
			got = testing_receive_produce(writer);
			assert_true(got->error_code == KAFKA_NONE ||
				    got->error_code == KAFKA_NOT_LEADER_OR_FOLLOWER);
			testing_run_ms(&w, 5);
		} while (got->error_code);
		assert_int_equal(got->base_offset, next++);
	}
	assert_true(file_writer_has_twin(w.agent->writer));
	testing_client_close(&t);
	testing_close_agent(&twin);
	tear_down();
}

/* --- what one agent has acknowledged, another knows ------------------------------------------ */

static void hold_north(void)
{
	settle();
	w.control.held_node_id = north.agent->node_id;
	testing_hold_records(&w.control, true);
}

/* The answer must not come before the replica at north has caught up. */
static void release_north(void)
{
	testing_run_ms(&w, 30);
	assert_false(testing_has_answer(&n));
	testing_hold_records(&w.control, false);
}

/* K1 */
static void test_an_offset_told_elsewhere_is_not_out_of_range(void **state)
{
	(void)state;
	set_up(0);
	hold_north();
	testing_produce(&c, "beta", 0, testing_batch(&c.arena, "one", 0, 9), 0);
	testing_send_fetch(&n, (struct testing_fetch) { .topic = "beta", .offset = 9 });
	release_north();
	struct kafka_fetch_response_partition *got = testing_receive_fetch(&n);
	assert_int_equal(got->error_code, KAFKA_NONE);
	assert_int_equal(got->high_watermark, 9);
	tear_down();
}

static void test_the_end_is_what_another_has_acknowledged(void **state)
{
	struct kafka_list_offsets_request_partition partition = { .timestamp = -1 };
	struct kafka_list_offsets_request_topic topic = { .name = SLICE("beta"),
							  .partitions = &partition,
							  .partitions_count = 1 };
	struct kafka_list_offsets_request request = { .topics = &topic, .topics_count = 1 };

	(void)state;
	set_up(0);
	hold_north();
	testing_produce(&c, "beta", 0, testing_batch(&c.arena, "one", 0, 9), 0);
	testing_send(&n, KAFKA_API_LIST_OFFSETS, 2, &request);
	release_north();
	struct kafka_list_offsets_response *got = testing_receive(&n, KAFKA_API_LIST_OFFSETS, 2);
	assert_int_equal(got->topics[0].partitions[0].error_code, KAFKA_NONE);
	assert_int_equal(got->topics[0].partitions[0].offset, 9);
	tear_down();
}

static void test_metadata_knows_a_topic_created_elsewhere(void **state)
{
	struct kafka_metadata_request_topic topic = { .name = SLICE("fresh") };
	struct kafka_metadata_request request = { .topics = &topic, .topics_count = 1 };

	(void)state;
	set_up(0);
	hold_north();
	testing_create_topic(&w.control, "fresh", 0xf0, 2);
	testing_send(&n, KAFKA_API_METADATA, 5, &request);
	release_north();
	struct kafka_metadata_response *got = testing_receive(&n, KAFKA_API_METADATA, 5);
	assert_int_equal(got->topics[0].error_code, KAFKA_NONE);
	assert_int_equal(got->topics[0].partitions_count, 2);
	topic.name = SLICE("nowhere");
	got = testing_call(&n, KAFKA_API_METADATA, 5, &request);
	assert_int_equal(got->topics[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	tear_down();
}

static void test_a_topic_created_elsewhere_is_written_in_order(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		set_up(seed);
		hold_north();
		testing_create_topic(&w.control, "fresh", 0xf0, 1);
		for (int i = 0; i < 5; i++)
			testing_send_produce(&n, "fresh", 0, testing_batch(&n.arena, "one", i, 1),
					     -1);
		release_north();
		for (int i = 0; i < 5; i++) {
			struct kafka_produce_response_partition *got = testing_receive_produce(&n);
			assert_int_equal(got->error_code, KAFKA_NONE);
			assert_int_equal(got->base_offset, i);
		}
		tear_down();
	}
}

static void test_a_topic_created_elsewhere_is_read(void **state)
{
	(void)state;
	set_up(0);
	hold_north();
	testing_create_topic(&w.control, "fresh", 0xf0, 1);
	testing_run_ms(&w, 30);
	testing_produce(&c, "fresh", 0, testing_batch(&c.arena, "one", 0, 9), 0);
	testing_send_fetch(&n, (struct testing_fetch) { .topic = "fresh" });
	release_north();
	struct kafka_fetch_response_partition *got = testing_receive_fetch(&n);
	assert_int_equal(got->error_code, KAFKA_NONE);
	assert_true(got->records.size > 0);
	got = testing_fetch(&n, (struct testing_fetch) { .topic = "nowhere" });
	assert_int_equal(got->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	tear_down();
}

/* Who does not hear control does not say that there is no such topic. */
static void test_an_unknown_topic_is_not_denied_in_doubt(void **state)
{
	(void)state;
	set_up(0);
	w.control.is_mute = true;
	testing_send_fetch(&n, (struct testing_fetch) { .topic = "fresh" });
	testing_send_produce(&s, "fresh", 0, testing_batch(&s.arena, "one", 0, 1), -1);
	assert_int_equal(testing_receive_fetch(&n)->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
	assert_int_equal(testing_receive_produce(&s)->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
	w.control.is_mute = false;
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_live_agent_is_told_with_its_site),
		cmocka_unit_test(test_a_client_without_a_site_is_served_where_it_came),
		cmocka_unit_test(test_a_client_is_sent_to_its_site_whoever_it_asks),
		cmocka_unit_test(test_leader_coordinator_and_controller_are_one),
		cmocka_unit_test(test_a_site_without_agents_is_served_by_others),
		cmocka_unit_test(test_clients_of_a_site_spread_and_only_those_move_that_have_to),
		cmocka_unit_test(test_agents_of_a_node_share_the_partitions_out_for_every_client),
		cmocka_unit_test(test_without_one_agent_of_a_node_the_others_have_its_partitions),
		cmocka_unit_test(test_clients_stay_with_a_node_that_lost_its_first_agent),
		cmocka_unit_test(test_a_consumer_is_sent_to_its_site_without_records),
		cmocka_unit_test(test_a_consumer_that_said_its_rack_has_its_leader_there),
		cmocka_unit_test(test_a_consumer_reads_here_when_its_site_has_nobody),
		cmocka_unit_test(test_an_error_is_not_sent_elsewhere),
		cmocka_unit_test(test_any_agent_serves_any_partition),
		cmocka_unit_test(test_a_numbered_producer_may_go_from_agent_to_agent),
		cmocka_unit_test(test_a_late_commit_of_a_numbered_batch_adds_nothing),
		cmocka_unit_test(test_agents_of_one_address_are_told_apart),
		cmocka_unit_test(test_an_offset_told_elsewhere_is_not_out_of_range),
		cmocka_unit_test(test_the_end_is_what_another_has_acknowledged),
		cmocka_unit_test(test_metadata_knows_a_topic_created_elsewhere),
		cmocka_unit_test(test_a_topic_created_elsewhere_is_written_in_order),
		cmocka_unit_test(test_a_topic_created_elsewhere_is_read),
		cmocka_unit_test(test_an_unknown_topic_is_not_denied_in_doubt),
	};

	setenv("HANSE_TEST_HELD_MS", "20", 1); /* nobody fills the gaps */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
