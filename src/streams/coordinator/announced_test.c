/* Files that are announced before they are put: when a commit is answered early, and when not; and
 * what a leader that takes over makes of them. */
#include "cells/cell_private.h"
#include "streams/catalog/check.h"
#include "streams/coordinator/announced_testing.h"
#include "streams/coordinator/orphans.h"

struct stage {
	struct town town;
	struct visitor v;
	struct uuid topic;
};

static void stage_open(struct stage *s, uint64_t seed)
{
	town_open(&s->town, seed);
	s->topic = town_topic(&s->town, "t", 2);
	visitor_open(&s->v, &s->town);
	(void)say_hello(&s->v, "a", 0);
}

static void stage_close(struct stage *s)
{
	visitor_close(&s->v);
	town_close(&s->town);
}

/* The answer leaves with nothing durable but the announcement, and it was not the commit that made
 * the record durable. */
static void test_a_confirmed_file_is_answered_before_its_record_is_durable(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, 1);
	assert_int_equal(announce(&s.v, s.topic, 1), OK);
	assert_int_equal(town_number(&s.town, "SELECT count(*) FROM announced"), 1);
	assert_int_equal(town_number(&s.town, "SELECT sum(high_watermark) FROM partition"), 0);
	hold_journal(&s.town);
	const struct peer_commit_file_response *response = confirm(&s.v, 1);
	assert_int_equal(response->error, OK);
	assert_int_equal(response->runs[0].batches[0].base_offset, 0);
	assert_int_equal(town_number(&s.town, "SELECT count(*) FROM announced"), 0);
	/* and a reader that asks for the end now is not told of less */
	uint32_t sync = say(&s.v, &peer_sync_request_schema, &(struct peer_sync_request) { 0 });
	assert_true(is_silent(&s.v, sync, 60));
	release_journal(&s.town);
	const struct peer_sync_response *end = hear(&s.v, sync, &peer_sync_response_schema);
	assert_int_equal(end->error, OK);
	assert_true(end->index >= response->index);
	stage_close(&s);
}

static void test_without_an_announcement_there_is_nothing_to_confirm(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, 2);
	assert_int_equal(confirm(&s.v, 1)->error, ERR_NOT_FOUND);
	assert_int_equal(say_commit(&s.v, s.topic, 1)->error, OK);
	const struct peer_commit_file_response *response = confirm(&s.v, 1);
	assert_int_equal(response->error, OK);
	assert_int_equal(response->runs[0].batches[0].base_offset, 0);
	stage_close(&s);
}

static void test_the_announcement_has_to_be_durable(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, 3);
	const struct batch_spec spec = plain_batch(s.topic, 0);
	hold_journal(&s.town);
	uint32_t announced = send_file(&s.v, 1, &spec, 1, true);
	assert_true(is_silent(&s.v, announced, 30));
	uint32_t confirmed = ask_confirm(&s.v, 1);
	assert_true(is_silent(&s.v, confirmed, 60));
	assert_true(is_silent(&s.v, announced, 5));
	release_journal(&s.town);
	assert_int_equal(hear_file(&s.v, confirmed)->error, OK);
	stage_close(&s);
}

static struct ask *begin_topic(struct town *town, const char *name)
{
	struct kafka_create_topics_request_topic topic = { .name = slice_from(name),
							   .num_partitions = 1,
							   .replication_factor = -1 };

	return ask_begin(town, KAFKA_API_CREATE_TOPICS, 7,
			 &(struct kafka_create_topics_request) { .topics = &topic,
								 .topics_count = 1 });
}

static void test_a_firm_change_before_it_holds_the_answer_up(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, 4);
	assert_int_equal(announce(&s.v, s.topic, 1), OK);
	assert_int_equal(announce(&s.v, s.topic, 2), OK);
	hold_journal(&s.town);
	assert_int_equal(confirm(&s.v, 1)->error, OK);
	struct ask *created = begin_topic(&s.town, "other");
	assert_true(ask_waits(created));
	uint32_t confirmed = ask_confirm(&s.v, 2);
	assert_true(is_silent(&s.v, confirmed, 60));
	release_journal(&s.town);
	assert_int_equal(hear_file(&s.v, confirmed)->runs[0].batches[0].base_offset, 5);
	(void)ask_end(created);
	stage_close(&s);
}

static void test_a_neutral_change_before_it_does_not(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, 5);
	assert_int_equal(announce(&s.v, s.topic, 1), OK);
	hold_journal(&s.town);
	(void)say(&s.v, &peer_condition_request_schema,
		  &(struct peer_condition_request) { .condition = AGENT_LEAVES });
	const struct batch_spec spec = plain_batch(s.topic, 1);
	uint32_t announced = send_file(&s.v, 2, &spec, 1, true);
	assert_true(is_silent(&s.v, announced, 30));
	assert_int_equal(confirm(&s.v, 1)->error, OK);
	release_journal(&s.town);
	assert_int_equal(hear_file(&s.v, announced)->error, OK);
	stage_close(&s);
}

static void test_a_refusal_is_told_when_it_is_durable(void **state)
{
	struct stage s;
	struct uuid nowhere = { { 9 } };

	(void)state;
	stage_open(&s, 6);
	assert_int_equal(announce(&s.v, nowhere, 1), OK);
	hold_journal(&s.town);
	uint32_t confirmed = ask_confirm(&s.v, 1);
	assert_true(is_silent(&s.v, confirmed, 60));
	release_journal(&s.town);
	assert_int_equal(hear_file(&s.v, confirmed)->runs[0].batches[0].error,
			 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	stage_close(&s);
}

static void test_files_of_one_partition_are_committed_in_the_order_of_announcement(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, 7);
	assert_int_equal(announce(&s.v, s.topic, 1), OK);
	assert_int_equal(announce(&s.v, s.topic, 2), OK);
	hold_journal(&s.town);
	uint32_t second = ask_confirm(&s.v, 2);
	assert_true(is_silent(&s.v, second, 60));
	assert_int_equal(confirm(&s.v, 1)->runs[0].batches[0].base_offset, 0);
	assert_int_equal(hear_file(&s.v, second)->runs[0].batches[0].base_offset, 5);
	release_journal(&s.town);
	stage_close(&s);
}

static void test_what_has_waited_too_long_for_older_files_is_committed_firmly(void **state)
{
	struct stage s;
	struct coordinator_status status;

	(void)state;
	stage_open(&s, 8);
	assert_int_equal(announce(&s.v, s.topic, 1), OK);
	assert_int_equal(announce(&s.v, s.topic, 2), OK);
	hold_journal(&s.town);
	uint32_t second = ask_confirm(&s.v, 2);
	assert_true(is_silent(&s.v, second, ANNOUNCED_HOLD_MS + 200));
	assert_int_equal(town_number(&s.town, "SELECT max(high_watermark) FROM partition"), 5);
	/* which is firm: the older one would not come first again */
	uint32_t first = ask_confirm(&s.v, 1);
	assert_true(is_silent(&s.v, first, 60));
	release_journal(&s.town);
	assert_int_equal(hear_file(&s.v, second)->runs[0].batches[0].base_offset, 0);
	assert_int_equal(hear_file(&s.v, first)->runs[0].batches[0].base_offset, 5);
	coordinator_get_status(s.town.coordinator, &status);
	assert_int_equal(status.announced.held, 1);
	assert_int_equal(status.announced.late, 1);
	stage_close(&s);
}

static void an_old_announcement_gives_no_early_answer(bool by_date)
{
	struct stage s;

	stage_open(&s, 9);
	assert_int_equal(announce(&s.v, s.topic, 1), OK);
	struct announced_file *file =
		announced_find(&s.town.coordinator->announced, leader_cell(s.town.leader),
			       s.v.incarnation, 1);
	if (by_date)
		file->came_wall_ms -= ANNOUNCED_EARLY_MS + 1000;
	else
		file->came_ms -= ANNOUNCED_EARLY_MS + 1000;
	hold_journal(&s.town);
	uint32_t confirmed = ask_confirm(&s.v, 1);
	assert_true(is_silent(&s.v, confirmed, 60));
	release_journal(&s.town);
	assert_int_equal(hear_file(&s.v, confirmed)->error, OK);
	stage_close(&s);
}

static void test_an_old_announcement_gives_no_early_answer(void **state)
{
	(void)state;
	an_old_announcement_gives_no_early_answer(false);
	an_old_announcement_gives_no_early_answer(true);
}

static void test_a_withdrawn_file_is_dead_and_stays_so(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, 10);
	assert_int_equal(announce(&s.v, s.topic, 1), OK);
	hold_journal(&s.town);
	uint32_t withdrawn = ask_withdraw(&s.v, 1);
	assert_true(is_silent(&s.v, withdrawn, 60));
	release_journal(&s.town);
	const struct peer_withdraw_file_response *response =
		hear(&s.v, withdrawn, &peer_withdraw_file_response_schema);
	assert_int_equal(response->error, OK);
	assert_int_equal(withdraw(&s.v, 1), OK);
	assert_int_equal(confirm(&s.v, 1)->error, ERR_NOT_FOUND);
	assert_int_equal(announce(&s.v, s.topic, 1), ERR_NOT_FOUND);
	assert_int_equal(say_commit(&s.v, s.topic, 1)->error, ERR_NOT_FOUND);
	/* one that nobody has heard of, and whose announcement may still come */
	assert_int_equal(withdraw(&s.v, 2), OK);
	assert_int_equal(announce(&s.v, s.topic, 2), ERR_NOT_FOUND);
	assert_int_equal(town_number(&s.town, "SELECT sum(high_watermark) FROM partition"), 0);
	assert_int_equal(town_number(&s.town, "SELECT count(*) FROM file WHERE dead_ms > 0"), 2);
	/* and one that is committed */
	assert_int_equal(say_commit(&s.v, s.topic, 3)->error, OK);
	assert_int_equal(withdraw(&s.v, 3), ERR_EXISTS);
	stage_close(&s);
}

static void test_repeats_get_the_same_answers(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, 11);
	assert_int_equal(announce(&s.v, s.topic, 1), OK);
	assert_int_equal(announce(&s.v, s.topic, 1), OK);
	assert_int_equal(town_number(&s.town, "SELECT count(*) FROM announced"), 1);
	hold_journal(&s.town);
	assert_int_equal(confirm(&s.v, 1)->runs[0].batches[0].base_offset, 0);
	uint32_t again = ask_confirm(&s.v, 1);
	assert_true(is_silent(&s.v, again, 30));
	release_journal(&s.town);
	assert_int_equal(hear_file(&s.v, again)->runs[0].batches[0].base_offset, 0);
	assert_int_equal(say_commit(&s.v, s.topic, 1)->runs[0].batches[0].base_offset, 0);
	const struct batch_spec spec = plain_batch(s.topic, 0);
	const struct peer_commit_file_response *late =
		hear_file(&s.v, send_file(&s.v, 1, &spec, 1, true));
	assert_int_equal(late->error, OK);
	assert_int_equal(town_number(&s.town, "SELECT count(*) FROM announced"), 0);
	assert_int_equal(town_number(&s.town, "SELECT sum(high_watermark) FROM partition"), 5);
	/* a commit with all its runs is a confirmation, too */
	assert_int_equal(announce(&s.v, s.topic, 2), OK);
	assert_int_equal(say_commit(&s.v, s.topic, 2)->runs[0].batches[0].base_offset, 5);
	assert_int_equal(town_number(&s.town, "SELECT count(*) FROM announced"), 0);
	stage_close(&s);
}

static uint32_t send_after(struct visitor *v, struct uuid topic, int64_t sequence,
			   int64_t after_sequence, bool is_announcement)
{
	char key[DATA_FILE_KEY_BYTES + 1];
	struct peer_commit_file_request_batch batch = { .size = 100,
							.record_count = 5,
							.last_offset_delta = 4,
							.producer_id = -1,
							.producer_epoch = -1,
							.base_sequence = -1 };
	struct peer_commit_file_request_run run = { .topic_id = topic,
						    .partition = (int32_t)(sequence % 2),
						    .file_offset = 64,
						    .batches = &batch,
						    .batches_count = 1 };

	data_file_key(key, (uint64_t)v->incarnation, (uint64_t)sequence);
	return say(v, &peer_commit_file_request_schema,
		   &(struct peer_commit_file_request) { .incarnation = v->incarnation,
							.sequence = sequence,
							.after_sequence = after_sequence,
							.key = slice_from(key),
							.size = 1000,
							.runs = &run,
							.runs_count = 1,
							.is_announcement = is_announcement });
}

/* The one between them was withdrawn, so a commit with all its runs names an older one. */
static void test_a_commit_of_an_announced_file_waits_for_what_it_comes_after(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, 20);
	for (int64_t i = 1; i <= 4; i++)
		assert_int_equal(
			hear_file(&s.v, send_after(&s.v, s.topic, i, i - 1, true))->error, OK);
	assert_int_equal(withdraw(&s.v, 2), OK);
	assert_int_equal(withdraw(&s.v, 3), OK);
	assert_int_equal(hear_file(&s.v, send_after(&s.v, s.topic, 4, 1, false))->error, ERR_BUSY);
	assert_int_equal(confirm(&s.v, 1)->error, OK);
	assert_int_equal(hear_file(&s.v, send_after(&s.v, s.topic, 4, 1, false))->error, OK);
	stage_close(&s);
}

static void test_there_are_only_so_many(void **state)
{
	struct stage s;
	uint32_t last = 0;

	(void)state;
	stage_open(&s, 12);
	const struct batch_spec spec = plain_batch(s.topic, 0);
	for (int64_t i = 1; i <= ANNOUNCED_FILES_MAX; i++) {
		last = send_file(&s.v, i, &spec, 1, true);
		if (i % 50 == 0) {
			assert_int_equal(hear_file(&s.v, last)->error, OK);
			s.v.answer_count = 0;
		}
	}
	assert_int_equal(town_number(&s.town, "SELECT count(*) FROM announced"),
			 ANNOUNCED_FILES_MAX);
	assert_int_equal(announce(&s.v, s.topic, ANNOUNCED_FILES_MAX + 1), ERR_FULL);
	assert_int_equal(withdraw(&s.v, 1), OK);
	assert_int_equal(announce(&s.v, s.topic, ANNOUNCED_FILES_MAX + 1), OK);
	stage_close(&s);
}

/* Memory keeps nothing of announcements that find no room, and what cannot be committed can be
 * withdrawn. */
static void test_in_a_full_catalog_files_are_withdrawn(void **state)
{
	struct stage s;
	int64_t sequence = 1;
	int16_t error;

	(void)state;
	stage_open(&s, 21);
	struct cell *cell = leader_cell(s.town.leader);
	cell->run_pages_max = cell_count_pages(cell);
	while ((error = announce(&s.v, s.topic, sequence)) == OK)
		sequence++;
	assert_int_equal(error, ERR_FULL);
	assert_int_equal(announce(&s.v, s.topic, sequence + 1), ERR_FULL);
	assert_int_equal(town_number(&s.town, "SELECT count(*) FROM announced"), sequence - 1);
	assert_int_equal(s.town.coordinator->announced.entries.count, sequence - 1);
	for (int64_t i = 1; i <= 200; i++) {
		s.v.answer_count = 0;
		assert_int_equal(withdraw(&s.v, i), OK);
	}
	assert_int_equal(town_number(&s.town, "SELECT count(*) FROM announced"), 0);
	assert_int_equal(town_number(&s.town, "SELECT count(*) FROM file"), 200);
	cell->run_pages_max = CELL_RUN_PAGES_MAX;
	stage_close(&s);
}

/* --- settling ----------------------------------------------------------------------------------
 */

/* A second node takes over while nothing of the first becomes durable any more. */
static void test_a_new_leader_settles_before_it_serves(void **state)
{
	struct stage s;
	struct town beside;
	struct visitor v;

	(void)state;
	stage_open(&s, 13);
	assert_int_equal(announce(&s.v, s.topic, 1), OK);
	assert_int_equal(announce(&s.v, s.topic, 2), OK);
	assert_int_equal(announce(&s.v, s.topic, 3), OK);
	assert_int_equal(withdraw(&s.v, 3), OK);
	hold_journal(&s.town);
	assert_int_equal(confirm(&s.v, 1)->runs[0].batches[0].base_offset, 0);
	assert_int_equal(confirm(&s.v, 2)->runs[0].batches[0].base_offset, 5);

	town_open_beside(&beside, &s.town);
	assert_int_equal(town_number(&beside, "SELECT count(*) FROM announced"), 2);
	visitor_open(&v, &beside);
	(void)say_hello(&v, "a", s.v.incarnation);
	/* nothing is run that could change what a commit gives, nor read */
	assert_int_equal(say_commit(&v, s.topic, 4)->error, ERR_UNAVAILABLE);
	assert_int_equal(confirm(&v, 1)->error, ERR_UNAVAILABLE);
	assert_int_equal(announce(&v, s.topic, 4), ERR_BUSY);
	uint32_t id = say(&v, &peer_sync_request_schema, &(struct peer_sync_request) { 0 });
	const struct peer_sync_response *end = hear(&v, id, &peer_sync_response_schema);
	assert_int_equal(end->error, ERR_UNAVAILABLE);
	struct ask *created = begin_topic(&beside, "other");
	town_wait(&beside, &created->is_done, "a refusal");

	assert_int_equal(say_settled(&v, hear_settle(&v, 0), all_are_there, NULL), OK);
	const struct peer_commit_file_response *response = NULL;
	do {
		response = confirm(&v, 2);
	} while (response->error == ERR_UNAVAILABLE);
	assert_int_equal(response->runs[0].batches[0].base_offset, 5);
	assert_int_equal(confirm(&v, 1)->runs[0].batches[0].base_offset, 0);
	assert_int_equal(confirm(&v, 3)->error, ERR_NOT_FOUND);
	visitor_close(&v);
	town_close_beside(&beside);
	release_journal(&s.town);
	stage_close(&s);
}

static void test_what_is_burnt_is_dead(void **state)
{
	struct stage s;
	struct visitor v;

	(void)state;
	stage_open(&s, 14);
	assert_int_equal(announce(&s.v, s.topic, 1), OK);
	int64_t incarnation = s.v.incarnation;
	visitor_close(&s.v);
	town_restart(&s.town);
	visitor_open(&v, &s.town);
	(void)say_hello(&v, "b", 0); /* another agent */
	assert_int_equal(say_settled(&v, hear_settle(&v, 0), none_is_there, NULL), OK);
	while (say_commit(&v, s.topic, 1)->error == ERR_UNAVAILABLE)
		;
	visitor_close(&v);
	visitor_open(&s.v, &s.town);
	(void)say_hello(&s.v, "a", incarnation);
	assert_int_equal(say_commit(&s.v, s.topic, 1)->error, ERR_NOT_FOUND);
	assert_true(town_number(&s.town, "SELECT dead_ms - committed_ms FROM file WHERE dead_ms >"
					 " 0") == ANNOUNCED_BURNT_MS);
	assert_int_equal(town_number(&s.town, "SELECT sum(high_watermark) FROM partition"), 5);
	stage_close(&s);
}

static void test_another_agent_is_asked_when_one_does_not_answer(void **state)
{
	struct stage s;
	struct visitor b, c;

	(void)state;
	stage_open(&s, 15);
	assert_int_equal(announce(&s.v, s.topic, 1), OK);
	visitor_close(&s.v);
	town_restart(&s.town);
	visitor_open(&b, &s.town);
	(void)say_hello(&b, "b", 0);
	(void)hear_settle(&b, 0); /* and nothing comes of it */
	visitor_open(&c, &s.town);
	(void)say_hello(&c, "c", 0);
	assert_int_equal(say_settled(&c, hear_settle(&c, 0), all_are_there, NULL), OK);
	while (say_commit(&c, s.topic, 1)->error == ERR_UNAVAILABLE)
		;
	assert_int_equal(town_number(&s.town, "SELECT max(high_watermark) FROM partition"), 10);
	visitor_close(&b);
	visitor_close(&c);
	town_close(&s.town);
}

/* The life of "a" is over, and the object is there all the same. */
static void test_what_an_agent_left_is_settled_while_others_are_served(void **state)
{
	struct stage s;
	struct visitor b;

	(void)state;
	stage_open(&s, 16);
	visitor_open(&b, &s.town);
	(void)say_hello(&b, "b", 0);
	assert_int_equal(announce(&s.v, s.topic, 1), OK);
	stream_close(s.v.stream);
	s.v.stream = NULL;
	const struct peer_settle_push *push = hear_settle(&b, 0);
	assert_int_equal(push->files_count, 1);
	assert_int_equal(say_commit(&b, s.topic, 1)->runs[0].batches[0].base_offset, 0);
	assert_int_equal(say_settled(&b, push, all_are_there, NULL), OK);
	while (town_number(&s.town, "SELECT count(*) FROM announced") > 0)
		town_wait_ms(&s.town, &(bool) { false }, 5);
	assert_int_equal(town_number(&s.town, "SELECT max(high_watermark) FROM partition"), 10);
	/* nobody asked for this one */
	assert_int_equal(announce(&b, s.topic, 2), OK);
	struct peer_settle_push_file file = { b.incarnation, 2, 1000 };
	const struct peer_settle_push own = { .files = &file, .files_count = 1 };
	assert_int_equal(say_settled(&b, &own, none_is_there, NULL), OK);
	assert_int_equal(confirm(&b, 2)->runs[0].batches[0].base_offset, 10);
	visitor_close(&b);
	stage_close(&s);
}

/* Its agent has another life, so that nobody can commit it, but whoever settles. */
static void test_the_object_of_an_announced_file_is_no_orphan(void **state)
{
	struct stage s;
	struct visitor again;

	(void)state;
	stage_open(&s, 17);
	assert_int_equal(announce(&s.v, s.topic, 1), OK);
	visitor_open(&again, &s.town);
	(void)say_hello(&again, "a", 0);
	struct peer_orphans_request_file files[] = { { s.v.incarnation, 1, 1000 },
						     { s.v.incarnation, 2, 1000 } };
	const struct peer_orphans_request request = { .files = files, .files_count = 2 };
	struct orphans_page page = { .request = &request,
				     .lives = coordinator_lives(s.town.coordinator),
				     .now_ms = 1 };
	assert_int_equal(town_run(&s.town, orphans_run, &page), OK);
	assert_int_equal(page.counts[ORPHAN_PENDING], 1);
	assert_int_equal(page.counts[ORPHAN_FOR_GOOD], 1);
	struct cell *cell = leader_cell(s.town.leader);
	assert_int_equal(check_object(cell, s.v.incarnation, 1), CHECK_PENDING);
	assert_int_equal(check_object(cell, s.v.incarnation, 2), CHECK_DEAD);
	assert_int_equal(check_object(cell, s.v.incarnation, 3), CHECK_ORPHAN);
	visitor_close(&again);
	stage_close(&s);
}

static void test_a_node_stops_before_its_term_is_settled(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, 18);
	assert_int_equal(announce(&s.v, s.topic, 1), OK);
	visitor_close(&s.v);
	town_restart(&s.town);
	assert_true(s.town.coordinator->announced.is_all_left);
	town_restart(&s.town);
	assert_int_equal(town_number(&s.town, "SELECT count(*) FROM announced"), 1);
	town_close(&s.town);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_confirmed_file_is_answered_before_its_record_is_durable),
		cmocka_unit_test(test_without_an_announcement_there_is_nothing_to_confirm),
		cmocka_unit_test(test_the_announcement_has_to_be_durable),
		cmocka_unit_test(test_a_firm_change_before_it_holds_the_answer_up),
		cmocka_unit_test(test_a_neutral_change_before_it_does_not),
		cmocka_unit_test(test_a_refusal_is_told_when_it_is_durable),
		cmocka_unit_test(
			test_files_of_one_partition_are_committed_in_the_order_of_announcement),
		cmocka_unit_test(test_what_has_waited_too_long_for_older_files_is_committed_firmly),
		cmocka_unit_test(test_an_old_announcement_gives_no_early_answer),
		cmocka_unit_test(test_a_withdrawn_file_is_dead_and_stays_so),
		cmocka_unit_test(test_repeats_get_the_same_answers),
		cmocka_unit_test(test_a_commit_of_an_announced_file_waits_for_what_it_comes_after),
		cmocka_unit_test(test_there_are_only_so_many),
		cmocka_unit_test(test_in_a_full_catalog_files_are_withdrawn),
		cmocka_unit_test(test_a_new_leader_settles_before_it_serves),
		cmocka_unit_test(test_what_is_burnt_is_dead),
		cmocka_unit_test(test_another_agent_is_asked_when_one_does_not_answer),
		cmocka_unit_test(test_what_an_agent_left_is_settled_while_others_are_served),
		cmocka_unit_test(test_the_object_of_an_announced_file_is_no_orphan),
		cmocka_unit_test(test_a_node_stops_before_its_term_is_settled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
