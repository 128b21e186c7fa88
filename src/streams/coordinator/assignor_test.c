#include "streams/coordinator/assignor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/random.h"

enum { TOPICS_MAX = 8, MEMBERS_MAX = 8 };

/* Topics a, b, c...; members 0, 1, 2... with the topics they read, as letters. */
struct office {
	struct arena arena;
	struct assignor_topic topics[TOPICS_MAX];
	struct assignor_member members[MEMBERS_MAX];
	uint32_t indexes[MEMBERS_MAX][TOPICS_MAX];
	struct partition_set before[MEMBERS_MAX], after[MEMBERS_MAX];
	char names[MEMBERS_MAX][4];
	size_t topic_count, member_count;
};

static void office_open(struct office *o, const int32_t *partitions, size_t topic_count)
{
	*o = (struct office) { .topic_count = topic_count };
	arena_init(&o->arena);
	for (size_t i = 0; i < topic_count; i++)
		o->topics[i] =
			(struct assignor_topic) { { { (uint8_t)('a' + (int)i) } }, partitions[i] };
}

static void office_add(struct office *o, const char *reads)
{
	struct assignor_member *m = &o->members[o->member_count];
	uint32_t *indexes = o->indexes[o->member_count];

	snprintf(o->names[o->member_count], 4, "m%zu", o->member_count);
	*m = (struct assignor_member) {
		.order = slice_from(o->names[o->member_count]),
		.topics = indexes,
		.before = &o->before[o->member_count],
		.ret = &o->after[o->member_count],
	};
	for (; reads[m->topic_count]; m->topic_count++)
		indexes[m->topic_count] = (uint32_t)(reads[m->topic_count] - 'a');
	o->member_count++;
}

static void office_run(struct office *o, const char *assignor)
{
	struct assignor_input in = { o->topics, o->topic_count, o->members, o->member_count };

	for (size_t i = 0; i < MEMBERS_MAX; i++) {
		partition_set_swap(&o->before[i], &o->after[i]);
		partition_set_clear(&o->after[i]);
	}
	assignor_find(slice_from(assignor))->assign(&o->arena, &in);
}

static void office_close(struct office *o)
{
	for (size_t i = 0; i < MEMBERS_MAX; i++) {
		partition_set_done(&o->before[i]);
		partition_set_done(&o->after[i]);
	}
	arena_done(&o->arena);
}

static void expect_member(const struct office *o, size_t member, const char *want)
{
	char got[200] = "";
	size_t at = 0;

	for (size_t i = 0; i < o->after[member].count; i++)
		at += (size_t)snprintf(got + at, sizeof(got) - at, "%s%c%d", i ? " " : "",
				       o->after[member].items[i].topic_id.bytes[0],
				       o->after[member].items[i].partition);
	assert_string_equal(got, want);
}

static size_t count_moved(const struct office *o)
{
	size_t moved = 0;

	for (size_t m = 0; m < o->member_count; m++)
		for (size_t i = 0; i < o->after[m].count; i++)
			moved += !partition_set_has(&o->before[m], &o->after[m].items[i]);
	return moved;
}

/* --- range -------------------------------------------------------------------------------------
 */

static void test_range_gives_neighbours_to_neighbours(void **state)
{
	struct office o;

	(void)state;
	office_open(&o, (int32_t[]) { 5, 3 }, 2);
	office_add(&o, "ab");
	office_add(&o, "ab");
	office_run(&o, "range");
	expect_member(&o, 0, "a0 a1 a2 b0 b1");
	expect_member(&o, 1, "a3 a4 b2");
	office_add(&o, "b");
	o.members[2].order = SLICE("a static one");
	office_run(&o, "range");
	expect_member(&o, 0, "a0 a1 a2 b1");
	expect_member(&o, 1, "a3 a4 b2");
	expect_member(&o, 2, "b0");
	office_close(&o);
}

/* --- uniform -----------------------------------------------------------------------------------
 */

static void test_uniform_moves_no_more_than_it_must(void **state)
{
	struct office o;

	(void)state;
	office_open(&o, (int32_t[]) { 6, 6 }, 2);
	office_add(&o, "ab");
	office_run(&o, "uniform");
	assert_int_equal(o.after[0].count, 12);
	office_add(&o, "ab");
	office_run(&o, "uniform");
	assert_int_equal(o.after[0].count, 6);
	assert_int_equal(count_moved(&o), 6);
	office_add(&o, "ab");
	office_run(&o, "uniform");
	assert_int_equal(count_moved(&o), 4);
	assert_int_equal(o.after[2].count, 4);
	office_run(&o, "uniform");
	assert_int_equal(count_moved(&o), 0);
	office_close(&o);
}

/* As Kafka does, which librdkafka's 0113 wants of every broker. */
static void test_of_what_members_had_they_keep_the_first(void **state)
{
	struct office o;

	(void)state;
	office_open(&o, (int32_t[]) { 6 }, 1);
	office_add(&o, "a");
	office_run(&o, "uniform");
	office_add(&o, "a");
	office_run(&o, "uniform");
	expect_member(&o, 0, "a0 a1 a2");
	expect_member(&o, 1, "a3 a4 a5");
	office_add(&o, "a");
	office_run(&o, "uniform");
	expect_member(&o, 0, "a0 a1");
	expect_member(&o, 1, "a3 a4");
	expect_member(&o, 2, "a2 a5");
	office_close(&o);
}

static void test_uniform_respects_what_members_read(void **state)
{
	struct office o;

	(void)state;
	office_open(&o, (int32_t[]) { 4, 2, 1 }, 3);
	office_add(&o, "ab");
	office_add(&o, "a");
	office_add(&o, ""); /* reads nothing */
	office_run(&o, "uniform");
	assert_int_equal(o.after[0].count, 3);
	assert_int_equal(o.after[1].count, 3);
	expect_member(&o, 2, "");
	office_close(&o);
}

/* With random subscriptions: all that is read has one owner, who reads it, and no single move
 * would make things more even. */
static void check_uniform(const struct office *o)
{
	for (size_t t = 0; t < o->topic_count; t++)
		for (int32_t p = 0; p < o->topics[t].partition_count; p++) {
			struct topic_partition item = { o->topics[t].topic_id, p };
			size_t owners = 0, readers = 0, load = 0, least = SIZE_MAX;
			for (size_t m = 0; m < o->member_count; m++) {
				bool reads = false;
				for (size_t i = 0; i < o->members[m].topic_count; i++)
					reads |= o->members[m].topics[i] == t;
				readers += reads;
				if (reads && o->after[m].count < least)
					least = o->after[m].count;
				if (!partition_set_has(&o->after[m], &item))
					continue;
				assert_true(reads);
				owners++;
				load = o->after[m].count;
			}
			assert_int_equal(owners, readers > 0);
			assert_true(readers == 0 || load <= least + 1);
		}
}

static void test_uniform_is_even_whatever_is_read(void **state)
{
	struct prng prng = { .state = 848 };

	(void)state;
	for (int round = 0; round < 500; round++) {
		int32_t partitions[TOPICS_MAX];
		struct office o;
		for (size_t t = 0; t < TOPICS_MAX; t++)
			partitions[t] = (int32_t)prng_below(&prng, 12);
		office_open(&o, partitions, TOPICS_MAX);
		for (int step = 0; step < MEMBERS_MAX; step++) {
			char reads[TOPICS_MAX + 1] = "";
			size_t count = 0;
			for (size_t t = 0; t < TOPICS_MAX; t++)
				if (prng_below(&prng, 3))
					reads[count++] = (char)('a' + (int)t);
			office_add(&o, reads);
			office_run(&o, "uniform");
			check_uniform(&o);
		}
		office_close(&o);
	}
}

static void test_there_are_two_assignors(void **state)
{
	(void)state;
	assert_string_equal(assignors[0].name, "uniform");
	assert_non_null(assignor_find(SLICE("range")));
	assert_null(assignor_find(SLICE("sticky")));
	assert_null(assignor_find(SLICE("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_range_gives_neighbours_to_neighbours),
		cmocka_unit_test(test_uniform_moves_no_more_than_it_must),
		cmocka_unit_test(test_of_what_members_had_they_keep_the_first),
		cmocka_unit_test(test_uniform_respects_what_members_read),
		cmocka_unit_test(test_uniform_is_even_whatever_is_read),
		cmocka_unit_test(test_there_are_two_assignors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
