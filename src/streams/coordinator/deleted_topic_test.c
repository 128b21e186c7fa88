/* Deleting topics and bringing them back, by hand and against a model that is a list of topics. */
#include "streams/coordinator/deleted_topic.h"

#include "base/memory.h"
#include "base/text.h"
#include "cells/cell_private.h"
#include "streams/catalog/config.h"
#include "streams/coordinator/books_testing.h"
#include "streams/coordinator/configs.h"
#include "streams/coordinator/sweep.h"

#define DAY_MS INT64_C(86400000)
#define START_MS INT64_C(1795000000000)

struct order {
	struct books *books;
	const char *topic, *name, *by;
	int64_t row, now_ms;
	bool all;
	int count;
};

static enum err run_delete(struct cell *cell, void *argument)
{
	struct order *o = argument;
	struct catalog_topic topic;

	enum err err = catalog_topic_by_name(&o->books->arena, cell, slice_from(o->topic), &topic);
	struct slice by = o->by ? slice_from(o->by) : (struct slice) { 0 };
	return err ? err : topic_mark_deleted(cell, topic.id, by, o->now_ms, o->all);
}

static enum err run_restore(struct cell *cell, void *argument)
{
	struct order *o = argument;
	struct deleted_topic topic;

	enum err err = deleted_topic_find(&o->books->arena, cell, slice_from(o->topic), &topic);
	return err ? err : deleted_topic_restore(cell, &topic, slice_from(o->name));
}

static enum err run_purge(struct cell *cell, void *argument)
{
	struct order *o = argument;
	struct deleted_topic topic;

	enum err err = deleted_topic_find(&o->books->arena, cell, slice_from(o->topic), &topic);
	return err ? err : deleted_topic_purge(cell, topic.id);
}

static enum err run_expire(struct cell *cell, void *argument)
{
	struct order *o = argument;

	return deleted_topics_expire(cell, o->now_ms, o->all, &o->count);
}

static enum err run_set(struct cell *cell, void *value)
{
	return config_write(cell, CONFIG_BROKER, SLICE(""), SLICE("hanse.topic.undelete.ms"),
			    slice_from(value));
}

static enum err delete (struct books *b, const char *topic) {
	return cell_run(b->cell, run_delete,
			&(struct order) { .books = b, .topic = topic, .now_ms = b->now_ms });
}

static enum err restore(struct books *b, const char *topic, const char *name)
{
	return cell_run(b->cell, run_restore,
			&(struct order) { .books = b, .topic = topic, .name = name });
}

static int expire(struct books *b, bool all)
{
	struct order o = { .books = b, .now_ms = b->now_ms, .all = all };

	assert_int_equal(cell_run(b->cell, run_expire, &o), OK);
	return o.count;
}

static void sweep(struct books *b)
{
	struct sweep_step step = { .now_ms = b->now_ms };

	do
		assert_int_equal(cell_run(b->cell, sweep_run, &step), OK);
	while (step.is_more);
}

static size_t count_deleted(struct books *b)
{
	struct deleted_topic *topics;
	size_t count;

	assert_int_equal(deleted_topics(&b->arena, b->cell, &topics, &count), OK);
	return count;
}

static void open_books(struct books *b)
{
	books_open(b);
	b->now_ms = START_MS;
	books_hello(b);
}

/* --- by hand -----------------------------------------------------------------------------------
 */

static void test_all_of_a_topic_comes_back(void **state)
{
	struct deleted_topic *topics;
	struct books b;
	size_t count;

	(void)state;
	open_books(&b);
	struct uuid id = books_topic(&b, "t", 3);
	struct batch batch = { id, 1, .records = 5, .producer_id = 9, .sequence = 0 };
	(void)books_batch(&b, batch);
	books_do(&b, "INSERT INTO config (kind, resource, name, value)"
		     " VALUES (2, 't', 'retention.ms', '77')");
	books_do(&b, "INSERT INTO group_offset (consumer_group, topic, partition,"
		     " committed_offset, leader_epoch, metadata, commit_ms)"
		     " VALUES (1, 1, 1, 3, 0, '', 1)");
	struct hash128 before = cell_hash(b.cell);
	assert_int_equal(delete (&b, "t"), OK);
	assert_int_equal(delete (&b, "t"), ERR_NOT_FOUND);
	sweep(&b);
	assert_int_equal(expire(&b, false), 0);
	assert_int_equal(deleted_topics(&b.arena, b.cell, &topics, &count), OK);
	assert_int_equal(count, 1);
	assert_true(slice_equal(topics[0].name, SLICE("t")) && uuid_equal(topics[0].topic_id, id));
	assert_int_equal(topics[0].partition_count, 3);
	assert_int_equal(topics[0].bytes, 100);
	assert_int_equal(topics[0].deleted_ms, START_MS);
	assert_int_equal(topics[0].until_ms, START_MS + DAY_MS);
	assert_int_equal(restore(&b, "t", "t"), OK);
	struct hash128 after = cell_hash(b.cell);
	assert_memory_equal(&after, &before, sizeof(before));
	/* its producer is known */
	struct peer_commit_file_response_batch again = books_batch(&b, batch);
	assert_int_equal(again.base_offset, 0);
	batch.sequence = 5;
	assert_int_equal(books_batch(&b, batch).base_offset, 5);
	books_close(&b);
}

static void test_a_topic_comes_back_under_another_name(void **state)
{
	struct catalog_topic topic;
	char id[DELETED_TOPIC_ID_BYTES];
	struct books b;

	(void)state;
	open_books(&b);
	struct uuid first = books_topic(&b, "t.1", 1), second = { { 7, 7 } };
	books_do(&b, "INSERT INTO config (kind, resource, name, value)"
		     " VALUES (2, 't.1', 'retention.ms', '77')");
	assert_int_equal(delete (&b, "t.1"), OK);
	struct new_topic topic_again = { "t.1", 2, second };
	assert_int_equal(cell_run(b.cell, insert_topic, &topic_again), OK);
	assert_int_equal(restore(&b, "t.1", "t.1"), ERR_EXISTS);
	assert_int_equal(restore(&b, "t.1", "t_1"), ERR_EXISTS);
	assert_int_equal(restore(&b, "t.1", "a/b"), ERR_INVALID);
	assert_int_equal(restore(&b, "nobody", "x"), ERR_NOT_FOUND);
	/* of two the younger one is meant, unless its id is said */
	b.now_ms += 5;
	assert_int_equal(delete (&b, "t.1"), OK);
	assert_int_equal(count_deleted(&b), 2);
	uuid_text(id, first.bytes);
	assert_int_equal(restore(&b, id, "old"), OK);
	assert_int_equal(restore(&b, "t.1", "t.1"), OK);
	assert_int_equal(catalog_topic_by_name(&b.arena, b.cell, SLICE("old"), &topic), OK);
	assert_true(uuid_equal(topic.topic_id, first));
	assert_int_equal(catalog_topic_by_name(&b.arena, b.cell, SLICE("t.1"), &topic), OK);
	assert_true(uuid_equal(topic.topic_id, second));
	struct config_topic_rules rules;
	config_topic_rules(b.cell, SLICE("old"), &rules);
	assert_int_equal(rules.retention_ms, 77);
	config_topic_rules(b.cell, SLICE("t.1"), &rules);
	assert_int_equal(rules.retention_ms, CONFIG_RETENTION_MS);
	books_close(&b);
}

static void test_its_time_is_a_setting(void **state)
{
	struct books b;

	(void)state;
	open_books(&b);
	(void)books_topic(&b, "a", 1);
	(void)books_topic(&b, "b", 1);
	assert_int_equal(delete (&b, "a"), OK);
	b.now_ms += DAY_MS - 1;
	assert_false(deleted_topics_due(b.cell, b.now_ms));
	assert_int_equal(expire(&b, false), 0);
	b.now_ms++;
	assert_true(deleted_topics_due(b.cell, b.now_ms));
	assert_int_equal(expire(&b, false), 1);
	assert_int_equal(restore(&b, "a", "a"), ERR_NOT_FOUND);
	sweep(&b);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM topic"), 1);
	/* none is kept */
	assert_int_equal(cell_run(b.cell, run_set, (char[]) { "0" }), OK);
	assert_int_equal(delete (&b, "b"), OK);
	assert_int_equal(count_deleted(&b), 0);
	sweep(&b);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM topic"), 0);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM config WHERE kind <> 4"), 0);
	books_close(&b);
}

static void test_ten_thousand_partitions_made_and_deleted_fill_nothing(void **state)
{
	struct books b;

	(void)state;
	open_books(&b);
	for (int i = 0; i < 1200; i++) {
		struct uuid id = { { (uint8_t)i, (uint8_t)(i >> 8), 1 } };
		struct new_topic topic = { "t", i < 1100 ? 10 : 100, id };
		assert_int_equal(cell_run(b.cell, insert_topic, &topic), OK);
		assert_int_equal(delete (&b, "t"), OK);
		b.now_ms++;
		sweep(&b);
		arena_reset(&b.arena);
		if (i == 1099)
			assert_int_equal(count_deleted(&b), DELETED_TOPICS_MAX);
	}
	assert_in_range(count_deleted(&b), 100, DELETED_TOPICS_MAX);
	assert_in_range(books_number(&b, "SELECT count(*) FROM partition"),
			DELETED_TOPIC_PARTITIONS_MAX - 100, DELETED_TOPIC_PARTITIONS_MAX);
	/* of a full catalog all go, and what is deleted goes at once */
	while (expire(&b, true) > 0)
		sweep(&b);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM partition"), 0);
	(void)books_topic(&b, "last", 1);
	struct order order = { .books = &b, .topic = "last", .now_ms = b.now_ms, .all = true };
	assert_int_equal(cell_run(b.cell, run_delete, &order), OK);
	assert_int_equal(count_deleted(&b), 0);
	sweep(&b);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM topic"), 0);
	books_close(&b);
}

static void delete_new(struct books *b, const char *name, int partitions, const char *by)
{
	static unsigned serial;
	struct uuid id = { { 3, (uint8_t)serial, (uint8_t)(serial >> 8) } };
	struct new_topic topic = { name, partitions, id };
	struct order order = { .books = b, .topic = name, .by = by, .now_ms = b->now_ms };

	serial++;
	assert_int_equal(cell_run(b->cell, insert_topic, &topic), OK);
	assert_int_equal(cell_run(b->cell, run_delete, &order), OK);
	b->now_ms++;
	arena_reset(&b->arena);
}

static void test_nobody_pushes_out_what_others_deleted(void **state)
{
	struct books b;
	char name[32];

	(void)state;
	open_books(&b);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "hers-%d", i);
		delete_new(&b, name, 100, "User:alice");
	}
	for (int i = 0; i < DELETED_TOPICS_MAX + 20; i++) {
		snprintf(name, sizeof(name), "his-%d", i);
		delete_new(&b, name, 1, "User:bob");
	}
	assert_int_equal(count_deleted(&b), DELETED_TOPICS_MAX);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM deleted_topic WHERE deleted_by ="
					  " 'User:alice'"),
			 3);
	assert_int_equal(restore(&b, "his-22", "his-22"), ERR_NOT_FOUND); /* his own oldest went */
	assert_int_equal(restore(&b, "his-23", "his-23"), OK);
	/* nor by partitions, of which he has most as soon as he could push out hers */
	for (int i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "large-%d", i);
		delete_new(&b, name, 200, "User:bob");
	}
	assert_in_range(books_number(&b, "SELECT sum(partition_count) FROM deleted_topic"), 9700,
			DELETED_TOPIC_PARTITIONS_MAX);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "hers-%d", i);
		assert_int_equal(restore(&b, name, name), OK);
	}
	books_close(&b);
}

/* --- at random ---------------------------------------------------------------------------------
 */

enum { MODEL_TOPICS = 300, MODEL_STEPS = 2000, MODEL_NAMES = 6 };

struct model_topic {
	int name; /* -1: it is gone for good */
	int64_t deleted_ms;
	bool is_deleted;
	int64_t end; /* of its one partition */
	int64_t retention_ms;
};

struct model {
	struct books books;
	struct model_topic topics[MODEL_TOPICS];
	int count;
	uint64_t random;
};

static const char *const names[MODEL_NAMES] = { "a", "b", "c", "d", "e", "f" };

static int64_t roll(struct model *m, int64_t below)
{
	m->random = m->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (int64_t)((m->random >> 33) % (uint64_t)below);
}

static struct uuid id_of(int n)
{
	return (struct uuid) { { 1, (uint8_t)n, (uint8_t)(n >> 8) } };
}

static struct model_topic *model_find(struct model *m, int name)
{
	for (int i = 0; i < m->count; i++)
		if (m->topics[i].name == name && !m->topics[i].is_deleted)
			return &m->topics[i];
	return NULL;
}

static struct model_topic *model_find_deleted(struct model *m, int name)
{
	struct model_topic *found = NULL;

	for (int i = 0; i < m->count; i++) {
		struct model_topic *t = &m->topics[i];
		if (t->name == name && t->is_deleted &&
		    (!found || t->deleted_ms >= found->deleted_ms))
			found = t;
	}
	return found;
}

static void model_create(struct model *m, int name)
{
	struct new_topic topic = { names[name], 1, id_of(m->count) };
	struct model_topic *t = &m->topics[m->count];
	char sql[160];

	if (model_find(m, name) || m->count == MODEL_TOPICS)
		return;
	assert_int_equal(cell_run(m->books.cell, insert_topic, &topic), OK);
	*t = (struct model_topic) { .name = name, .retention_ms = m->count++ };
	snprintf(sql, sizeof(sql),
		 "INSERT INTO config (kind, resource, name, value)"
		 " VALUES (2, '%s', 'retention.ms', '%lld')",
		 names[name], (long long)t->retention_ms);
	books_do(&m->books, sql);
}

static void model_write(struct model *m, int name)
{
	struct model_topic *t = model_find(m, name);

	if (!t)
		return;
	struct batch batch = { id_of((int)(t - m->topics)), 0, .records = 2 };
	assert_int_equal(books_batch(&m->books, batch).base_offset, t->end);
	t->end += 2;
}

static void model_delete(struct model *m, int name)
{
	struct model_topic *t = model_find(m, name);

	assert_int_equal(delete (&m->books, names[name]), t ? OK : ERR_NOT_FOUND);
	if (!t)
		return;
	t->is_deleted = true;
	t->deleted_ms = m->books.now_ms;
}

static void model_restore(struct model *m, int name, int as)
{
	struct model_topic *t = model_find_deleted(m, name);
	enum err expected = !t ? ERR_NOT_FOUND : model_find(m, as) ? ERR_EXISTS : OK;

	assert_int_equal(restore(&m->books, names[name], names[as]), expected);
	if (expected)
		return;
	t->is_deleted = false;
	t->name = as;
}

static void model_purge(struct model *m, int name)
{
	struct model_topic *t = model_find_deleted(m, name);
	struct order o = { .books = &m->books, .topic = names[name] };

	assert_int_equal(cell_run(m->books.cell, run_purge, &o), t ? OK : ERR_NOT_FOUND);
	if (t)
		t->name = -1;
}

static void model_expire(struct model *m)
{
	for (int i = 0; i < m->count; i++)
		if (m->topics[i].is_deleted && m->topics[i].deleted_ms + DAY_MS <= m->books.now_ms)
			m->topics[i].name = -1;
	while (expire(&m->books, false) > 0)
		;
}

static void model_compare(struct model *m)
{
	struct config_topic_rules rules;
	struct catalog_partition partition;
	struct catalog_topic topic;
	size_t deleted = 0;

	for (int i = 0; i < m->count; i++) {
		const struct model_topic *t = &m->topics[i];
		struct uuid id = id_of(i);
		deleted += t->name >= 0 && t->is_deleted;
		enum err err = catalog_topic_by_id(&m->books.arena, m->books.cell, &id, &topic);
		assert_int_equal(err, t->name >= 0 && !t->is_deleted ? OK : ERR_NOT_FOUND);
		if (err)
			continue;
		assert_true(slice_equal(topic.name, slice_from(names[t->name])));
		config_topic_rules(m->books.cell, topic.name, &rules);
		assert_int_equal(rules.retention_ms, t->retention_ms);
		assert_int_equal(catalog_partition_find(m->books.cell, topic.id, 0, &partition),
				 OK);
		assert_int_equal(partition.high_watermark, t->end);
		assert_int_equal(partition.bytes, t->end / 2 * 100);
	}
	assert_int_equal(count_deleted(&m->books), deleted);
}

static void test_what_is_there_is_what_the_model_says(void **state)
{
	struct model *m = NEW(struct model);

	(void)state;
	m->random = 3;
	open_books(&m->books);
	for (int i = 0; i < MODEL_STEPS; i++) {
		int name = (int)roll(m, MODEL_NAMES);
		switch (roll(m, 8)) {
		case 0:
			model_create(m, name);
			break;
		case 1:
		case 2:
			model_write(m, name);
			break;
		case 3:
			model_delete(m, name);
			break;
		case 4:
			model_restore(m, name, (int)roll(m, MODEL_NAMES));
			break;
		case 5:
			if (roll(m, 3) == 0)
				model_purge(m, name);
			break;
		case 6:
			m->books.now_ms += 1 + roll(m, DAY_MS / 20);
			model_expire(m);
			break;
		default:
			sweep(&m->books);
		}
		model_compare(m);
		arena_reset(&m->books.arena);
	}
	m->books.now_ms += 2 * DAY_MS;
	model_expire(m);
	sweep(&m->books);
	assert_int_equal(books_number(&m->books, "SELECT count(*) FROM topic WHERE deleted_ms IS"
						 " NOT NULL"),
			 0);
	assert_int_equal(books_number(&m->books, "SELECT count(*) FROM config WHERE kind = 255"),
			 0);
	books_close(&m->books);
	memory_free(m);
}

static enum err run_fill(struct cell *cell, void *argument)
{
	int64_t *next = argument;

	return cell_execute_sql(cell, "INSERT INTO trim (id) VALUES (?1)", (*next)++, 0);
}

/* Not a page is left, and what is deleted has larger rows than what could be brought back. */
static void test_a_catalog_without_a_page_lets_them_go(void **state)
{
	int64_t next = 1000000;
	struct books b;
	char name[17];

	(void)state;
	books_open(&b);
	b.now_ms = START_MS;
	for (int i = 0; i < 800; i++) {
		snprintf(name, sizeof(name), "%015d", i);
		(void)books_topic(&b, name, 1);
		assert_int_equal(delete (&b, name), OK);
	}
	b.cell->run_pages_max = cell_count_pages(b.cell);
	enum err err;
	while (!(err = cell_run(b.cell, run_fill, &next)))
		;
	assert_int_equal(err, ERR_FULL);
	assert_int_equal(expire(&b, true), DELETED_TOPIC_PURGE_MAX);
	assert_int_equal(expire(&b, true), DELETED_TOPIC_PURGE_MAX);
	b.cell->run_pages_max = CELL_RUN_PAGES_MAX;
	books_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_of_a_topic_comes_back),
		cmocka_unit_test(test_a_topic_comes_back_under_another_name),
		cmocka_unit_test(test_its_time_is_a_setting),
		cmocka_unit_test(test_ten_thousand_partitions_made_and_deleted_fill_nothing),
		cmocka_unit_test(test_nobody_pushes_out_what_others_deleted),
		cmocka_unit_test(test_what_is_there_is_what_the_model_says),
		cmocka_unit_test(test_a_catalog_without_a_page_lets_them_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
