/* Whatever was answered early comes out the same when the leader is lost.
 *
 * Histories of two agents that announce, confirm, withdraw and commit, beside producers that begin,
 * transactions that end, topics and records that are deleted, with a journal whose records become
 * durable only now and then.  Of moments in it: every answer that was given until then is compared
 * with what a leader makes of each prefix of the records that may be found there, once it has
 * settled it. */
#include "base/endian.h"
#include "streams/coordinator/announced_testing.h"

enum {
	HISTORIES = 1000, /* HANSE_TEST_SEEDS, if it is set */
	EVENTS = 60,
	HISTORIES_PER_TOWN = 10,
	FILES_MAX = 64,
	TOPICS = 2,
	PARTITIONS = 2,
	WRITERS = 2,
	ANSWERS_KEPT = 8,
	TURNS_MAX = 12,
	MOMENTS_BETWEEN = 5, /* of those without news this one is looked at */
};

/* One file of the history, and what was answered. */
struct file {
	struct visitor *v;
	int64_t sequence;
	size_t batch_count;
	uint32_t announced, confirmed, withdrawn; /* correlation ids; 0: not asked */
	int confirm_moment;			  /* from then on its object is there */
	int answer_moment, withdrawn_moment;	  /* -1: there is no answer yet */
	int64_t offsets[ANSWERS_KEPT];
	bool is_there_anyway; /* though nobody confirmed it */
};

struct moment {
	int64_t durable, appended; /* records */
	bool has_news;		   /* something was answered */
};

struct history {
	struct town town;
	struct visitor v[2];
	struct buf records;
	struct cell *next; /* of whoever leads next */
	int64_t base;	   /* the record it is at */
	struct file files[FILES_MAX];
	size_t file_count;
	struct moment moments[EVENTS];
	int now;
	uint64_t random;
	int64_t next_sequence[2];
	int topic_names[TOPICS];
	int next_topic_name;
	int32_t sequences[WRITERS + 1][TOPICS][PARTITIONS];
	int looked_at; /* the moment in which the leader is lost */
	uint64_t early, compared, takeovers;
};

static uint64_t dice(struct history *h, uint64_t sides)
{
	h->random ^= h->random << 13;
	h->random ^= h->random >> 7;
	h->random ^= h->random << 17;
	return h->random % sides;
}

/* --- turns of the loop -------------------------------------------------------------------------
 */

struct turns {
	struct timer timer;
	int left;
};

static void on_turn(struct timer *t)
{
	struct turns *turns = CONTAINER(t, struct turns, timer);

	if (--turns->left <= 0)
		loop_stop(t->loop);
	else
		timer_set(t, t->loop, 0, on_turn);
}

static void let_turn(struct history *h, int count)
{
	struct turns turns = { .left = count };

	timer_set(&turns.timer, h->town.loop, 0, on_turn);
	while (turns.left > 0)
		loop_run(h->town.loop);
	timer_clear(&turns.timer);
}

/* --- what is asked -----------------------------------------------------------------------------
 */

static bool read_text(struct history *h, const char *sql, char *ret, size_t size)
{
	sqlite3_stmt *st = cell_statement(leader_cell(h->town.leader), sql);
	bool found = cell_next(leader_cell(h->town.leader), st);

	if (found && sqlite3_column_bytes(st, 0) == (int)size)
		memcpy(ret, sqlite3_column_blob(st, 0), size);
	sqlite3_reset(st);
	return found;
}

static int64_t read_number(struct history *h, const char *sql, int64_t otherwise)
{
	sqlite3_stmt *st = cell_statement(leader_cell(h->town.leader), sql);
	int64_t number = cell_next(leader_cell(h->town.leader), st) ? sqlite3_column_int64(st, 0)
								    : otherwise;

	sqlite3_reset(st);
	return number;
}

static struct uuid topic_id(struct history *h, int topic)
{
	struct uuid id = { { 7 } };
	char sql[120];

	snprintf(sql, sizeof(sql),
		 "SELECT topic_id FROM topic WHERE name = 't%d' AND deleted_ms IS NULL",
		 h->topic_names[topic]);
	(void)read_text(h, sql, (char *)id.bytes, sizeof(id.bytes));
	return id;
}

static void make_topic(struct history *h, int topic)
{
	char name[16];

	h->topic_names[topic] = ++h->next_topic_name;
	snprintf(name, sizeof(name), "t%d", h->topic_names[topic]);
	struct kafka_create_topics_request_topic one = { .name = slice_from(name),
							 .num_partitions = PARTITIONS,
							 .replication_factor = -1 };
	(void)ask_begin(&h->town, KAFKA_API_CREATE_TOPICS, 7,
			&(struct kafka_create_topics_request) { .topics = &one,
								.topics_count = 1 });
}

static void delete_topic(struct history *h, int topic)
{
	char name[16];

	snprintf(name, sizeof(name), "t%d", h->topic_names[topic]);
	struct kafka_delete_topics_request_topic one = { .name = slice_from(name) };
	(void)ask_begin(&h->town, KAFKA_API_DELETE_TOPICS, 6,
			&(struct kafka_delete_topics_request) { .topics = &one,
								.topics_count = 1 });
}

static const char *writer_name(uint64_t writer)
{
	return writer ? "second" : "first";
}

static void init_writer(struct history *h, uint64_t writer)
{
	(void)ask_begin(&h->town, KAFKA_API_INIT_PRODUCER_ID, 5,
			&(struct kafka_init_producer_id_request) {
				.transactional_id = slice_from(writer_name(writer)),
				.transaction_timeout_ms = 60000,
				.producer_id = -1,
				.producer_epoch = -1,
			});
	memset(h->sequences[writer], 0, sizeof(h->sequences[writer]));
}

static int64_t of_writer(struct history *h, uint64_t writer, const char *column)
{
	char sql[120];

	snprintf(sql, sizeof(sql), "SELECT %s FROM transactional WHERE name = '%s'", column,
		 writer_name(writer));
	return read_number(h, sql, 0);
}

static void end_writer(struct history *h, uint64_t writer)
{
	(void)ask_begin(&h->town, KAFKA_API_END_TXN, 5,
			&(struct kafka_end_txn_request) {
				.transactional_id = slice_from(writer_name(writer)),
				.producer_id = of_writer(h, writer, "producer_id"),
				.producer_epoch = (int16_t)of_writer(h, writer, "epoch"),
				.committed = dice(h, 2),
			});
	memset(h->sequences[writer], 0, sizeof(h->sequences[writer]));
}

static void delete_records(struct history *h, int topic)
{
	char name[16];
	struct kafka_delete_records_request_partition partition = {
		.partition_index = (int32_t)dice(h, PARTITIONS), .offset = (int64_t)dice(h, 20)
	};

	snprintf(name, sizeof(name), "t%d", h->topic_names[topic]);
	struct kafka_delete_records_request_topic one = { .name = slice_from(name),
							  .partitions = &partition,
							  .partitions_count = 1 };
	(void)ask_begin(&h->town, KAFKA_API_DELETE_RECORDS, 2,
			&(struct kafka_delete_records_request) { .topics = &one,
								 .topics_count = 1 });
}

static void change_firmly(struct history *h)
{
	int topic = (int)dice(h, TOPICS);

	switch (dice(h, 6)) {
	case 0:
		delete_topic(h, topic);
		make_topic(h, topic);
		return;
	case 1:
		delete_records(h, topic);
		return;
	case 2:
		init_writer(h, dice(h, WRITERS));
		return;
	default:
		end_writer(h, dice(h, WRITERS));
		return;
	}
}

/* A batch of nobody, of an idempotent producer, or in a transaction. */
static struct batch_spec choose_batch(struct history *h)
{
	int topic = (int)dice(h, TOPICS), partition = (int)dice(h, PARTITIONS);
	uint64_t kind = dice(h, 4);
	struct batch_spec spec = { topic_id(h, topic), partition, -1, 0, 0, NULL };

	if (kind == 0)
		return spec;
	uint64_t writer = kind == 1 ? WRITERS : dice(h, WRITERS);
	int32_t *sequence = &h->sequences[writer][topic][partition];
	spec.base_sequence = *sequence;
	if (dice(h, 10) > 0) /* else it comes again, or is left out */
		*sequence += 5;
	if (writer == WRITERS) {
		spec.producer_id = 1000000;
		return spec;
	}
	spec.producer_id = of_writer(h, writer, "producer_id");
	spec.epoch = (int16_t)of_writer(h, writer, "epoch");
	spec.transactional_id = writer_name(writer);
	return spec;
}

static void begin_file(struct history *h, bool is_announced)
{
	size_t agent = dice(h, 2), count = 1 + dice(h, 3);
	struct batch_spec specs[3];

	if (h->file_count == FILES_MAX)
		return;
	struct file *file = &h->files[h->file_count++];
	*file = (struct file) { .v = &h->v[agent],
				.sequence = ++h->next_sequence[agent],
				.batch_count = count,
				.confirm_moment = EVENTS,
				.answer_moment = -1,
				.withdrawn_moment = -1,
				.is_there_anyway = dice(h, 2) };
	for (size_t i = 0; i < count; i++)
		specs[i] = choose_batch(h);
	uint32_t id = send_file(file->v, file->sequence, specs, count, is_announced);
	if (is_announced) {
		file->announced = id;
	} else {
		file->confirmed = id;
		file->confirm_moment = h->now;
	}
}

/* The oldest of those that are announced and nothing more, or any. */
static struct file *choose_file(struct history *h)
{
	struct file *open[FILES_MAX];
	size_t count = 0;

	for (size_t i = 0; i < h->file_count; i++)
		if (!h->files[i].confirmed && !h->files[i].withdrawn)
			open[count++] = &h->files[i];
	if (count == 0)
		return NULL;
	return dice(h, 3) ? open[0] : open[dice(h, count)];
}

static void act(struct history *h)
{
	struct file *file = choose_file(h);
	uint64_t what = dice(h, 20);

	if (what < 5) {
		begin_file(h, true);
	} else if (what < 11 && file) {
		file->confirmed = ask_confirm(file->v, file->sequence);
		file->confirm_moment = h->now;
	} else if (what < 12 && file) {
		file->withdrawn = ask_withdraw(file->v, file->sequence);
	} else if (what < 13) {
		begin_file(h, false);
	} else if (what < 14) {
		change_firmly(h);
	} else if (what < 18) {
		fault_release(h->town.bucket, "");
	}
}

/* --- what was answered -------------------------------------------------------------------------
 */

static void note_answer(struct history *h, struct file *file)
{
	const struct frame *frame = find_answer(file->v, file->confirmed);

	if (!file->confirmed || file->answer_moment >= 0 || !frame)
		return;
	const struct peer_commit_file_response *r =
		hear(file->v, file->confirmed, &peer_commit_file_response_schema);
	if (r->error) { /* the file is not committed, as far as this leader knows */
		file->confirmed = 0;
		return;
	}
	file->answer_moment = h->now;
	h->moments[h->now].has_news = true;
	assert_int_equal(r->runs_count, file->batch_count);
	for (size_t i = 0; i < file->batch_count; i++)
		file->offsets[i] =
			r->runs[i].batches[0].error ? -1 : r->runs[i].batches[0].base_offset;
	h->early += r->index > h->moments[h->now].durable;
}

static void note_answers(struct history *h)
{
	struct leader_status status;

	leader_get_status(h->town.leader, &status);
	h->moments[h->now] = (struct moment) {
		.durable = (int64_t)status.committed_index,
		.appended = (int64_t)(status.committed_index + status.in_flight),
	};
	for (size_t i = 0; i < h->file_count; i++) {
		struct file *file = &h->files[i];
		note_answer(h, file);
		if (file->withdrawn && file->withdrawn_moment < 0 &&
		    find_answer(file->v, file->withdrawn))
			file->withdrawn_moment = h->now;
	}
}

/* --- who leads next ----------------------------------------------------------------------------
 */

static bool object_is_there(const struct file *file, int moment)
{
	return file->confirm_moment <= moment || file->is_there_anyway;
}

static void settle_all(struct history *h, struct cell *cell, int moment)
{
	struct announced a;
	struct announced_settle s = { .announced = &a, .now_ms = 1 };

	announced_init(&a);
	a.is_all_left = true;
	for (size_t i = 0; i < h->file_count; i++) {
		const struct file *file = &h->files[i];
		struct announced_file *known =
			announced_find(&a, cell, file->v->incarnation, file->sequence);
		if (!known)
			continue;
		known->has_verdict = true;
		known->is_there = object_is_there(file, moment);
	}
	while (announced_can_settle(&a, cell))
		assert_int_equal(announced_settle_run(cell, &s), OK);
	assert_int_equal(announced_count(cell), 0);
	announced_done(&a);
}

static void compare_file(struct history *h, struct cell *cell, const struct file *file)
{
	struct peer_commit_file_response r = { 0 };
	struct peer_commit_file_request request = { .incarnation = file->v->incarnation,
						    .sequence = file->sequence };
	struct arena arena;

	arena_init(&arena);
	struct commit_file commit = { .arena = &arena, .request = &request, .response = &r };
	enum err err = commit_file_repeat(cell, &commit);
	if (err || r.error)
		fail_msg("file %lld was answered and is not there", (long long)file->sequence);
	for (size_t i = 0; i < file->batch_count; i++) {
		int64_t offset = r.runs[i].batches[0].error ? -1 : r.runs[i].batches[0].base_offset;
		if (offset != file->offsets[i])
			fail_msg("file %lld was given offset %lld, and now it is %lld",
				 (long long)file->sequence, (long long)file->offsets[i],
				 (long long)offset);
	}
	h->compared++;
	arena_done(&arena);
}

static bool file_exists(struct cell *cell, const struct file *file)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT run_count FROM file WHERE incarnation = ?1"
						" AND sequence = ?2 AND run_count > 0");

	cell_bind_int(st, 1, file->v->incarnation);
	cell_bind_int(st, 2, file->sequence);
	bool found = cell_next(cell, st);
	sqlite3_reset(st);
	return found;
}

/* The leader is lost at this moment.  What is made of it is rolled back: there are others. */
static enum err take_over(struct cell *cell, void *argument)
{
	struct history *h = argument;

	settle_all(h, cell, h->looked_at);
	for (size_t i = 0; i < h->file_count; i++) {
		const struct file *file = &h->files[i];
		if (file->answer_moment >= 0 && file->answer_moment <= h->looked_at)
			compare_file(h, cell, file);
		if (file->withdrawn_moment >= 0 && file->withdrawn_moment <= h->looked_at)
			assert_false(file_exists(cell, file));
	}
	h->takeovers++;
	return ERR_CANCELED;
}

/* With so many records in the journal. */
static void take_over_at(struct history *h, int64_t index)
{
	for (int i = 0; i < EVENTS; i++) {
		const struct moment *m = &h->moments[i];
		if (index < m->durable || index > m->appended ||
		    (!m->has_news && i % MOMENTS_BETWEEN))
			continue;
		h->looked_at = i;
		assert_int_equal(cell_run(h->next, take_over, h), ERR_CANCELED);
	}
}

/* --- histories ---------------------------------------------------------------------------------
 */

static void apply_record(struct history *h, size_t *at)
{
	char why[CELL_WHY_BYTES];
	uint32_t size = get_u32(h->records.data + *at);

	assert_int_equal(cell_apply(h->next, slice_part(buf_slice(&h->records), *at + 4, size),
				    why),
			 OK);
	*at += 4 + size;
	h->base++;
}

/* At every record of the history, and every moment in which it may have been the last. */
static void take_over_everywhere(struct history *h)
{
	size_t at = 0;

	take_over_at(h, h->base);
	while (at < h->records.size) {
		apply_record(h, &at);
		take_over_at(h, h->base);
	}
	assert_int_equal(h->base, h->v[0].index);
}

static void settle_down(struct history *h)
{
	fault_clear(h->town.bucket);
	fault_release(h->town.bucket, "");
	for (size_t i = 0; i < h->town.ask_count; i++)
		town_wait(&h->town, &h->town.asks[i]->is_done, "a request");
	for (size_t i = 0; i < h->file_count; i++) {
		const struct file *file = &h->files[i];
		if (!file->confirmed && !file->withdrawn)
			(void)withdraw(file->v, file->sequence);
		else if (file->confirmed)
			(void)hear_file(file->v, file->confirmed);
	}
	wait_for_index(&h->v[0], say_sync(&h->v[0]));
	let_turn(h, 20);
}

static void begin_history(struct history *h, uint64_t seed)
{
	for (int i = 0; i < 2; i++) {
		h->v[i].answer_count = 0;
		arena_reset(&h->v[i].arena);
	}
	h->random = seed * 0x9e3779b97f4a7c15 + 1;
	h->file_count = 0;
	h->records.size = 0;
	hold_journal(&h->town);
}

static void run_history(struct history *h, uint64_t seed)
{
	begin_history(h, seed);
	for (h->now = 0; h->now < EVENTS; h->now++) {
		act(h);
		let_turn(h, 1 + (int)dice(h, TURNS_MAX));
		note_answers(h);
	}
	settle_down(h);
	take_over_everywhere(h);
}

static void open_history(struct history *h, uint64_t seed)
{
	char why[CELL_WHY_BYTES];

	*h = (struct history) { 0 };
	town_open(&h->town, seed);
	h->town.coordinator->announced.hold_ms = 1;
	buf_init(&h->records);
	for (int i = 0; i < TOPICS; i++)
		make_topic(h, i);
	for (uint64_t i = 0; i < WRITERS; i++)
		init_writer(h, i);
	for (int i = 0; i < 2; i++) {
		visitor_open(&h->v[i], &h->town);
		(void)say_hello(&h->v[i], i ? "b" : "a", 0);
	}
	follow(&h->v[0]);
	settle_down(h);
	struct cell_image image = cell_image(h->v[0].replica, &(struct cell_room) { 0 });
	h->next = cell_new("streams");
	assert_int_equal(cell_load(h->next, image.pages, image.state, why), OK);
	cell_image_done(&image);
	h->base = h->v[0].index;
	h->v[0].records = &h->records;
}

static void close_history(struct history *h)
{
	cell_free(h->next);
	visitor_close(&h->v[0]);
	visitor_close(&h->v[1]);
	town_close(&h->town);
	buf_done(&h->records);
}

static void test_what_was_answered_early_comes_out_the_same(void **state)
{
	static struct history h;
	const char *text = getenv("HANSE_TEST_SEEDS");
	uint64_t histories = text ? strtoull(text, NULL, 10) : HISTORIES;
	uint64_t early = 0, compared = 0, takeovers = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= histories; seed++) {
		if (seed % HISTORIES_PER_TOWN == 1)
			open_history(&h, seed);
		run_history(&h, seed);
		if (seed % HISTORIES_PER_TOWN && seed < histories)
			continue;
		early += h.early;
		compared += h.compared;
		takeovers += h.takeovers;
		close_history(&h);
	}
	print_message("%llu early answers, %llu takeovers, %llu comparisons\n",
		      (unsigned long long)early, (unsigned long long)takeovers,
		      (unsigned long long)compared);
	assert_true(early > histories);
	assert_true(compared > histories);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_answered_early_comes_out_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
