#include "streams/coordinator/roll.h"

#include "streams/coordinator/books_testing.h"

/* Three agents; what the roll says of them. */
struct office {
	struct books books;
	struct roll_entry entries[4];
	struct roll roll;
};

static void office_open(struct office *o)
{
	const char *nodes[] = { "a", "b", "c" };

	*o = (struct office) { .roll = { .entries = o->entries } };
	books_open(&o->books);
	for (size_t i = 0; i < 3; i++)
		o->entries[i].incarnation = books_hello_as(&o->books, nodes[i], 0).incarnation;
	o->roll.count = 3;
}

static void office_close(struct office *o)
{
	books_close(&o->books);
}

static enum err run(struct cell *cell, void *argument)
{
	return roll_write(cell, argument);
}

/* The live ones as digits, such as 103 for a and c. */
static int64_t live(struct office *o)
{
	return books_number(&o->books, "SELECT coalesce(sum(CASE node WHEN 'a' THEN 100 WHEN 'b'"
				       " THEN 20 ELSE 3 END), 0) FROM agent WHERE is_live = 1");
}

static void write_roll(struct office *o, int64_t want)
{
	assert_int_equal(cell_run(o->books.cell, run, &o->roll), OK);
	assert_int_equal(live(o), want);
}

static void test_an_agent_is_live_while_it_has_a_session(void **state)
{
	struct office o;

	(void)state;
	office_open(&o);
	write_roll(&o, 123);
	o.roll.count = 2;
	write_roll(&o, 120);
	o.roll.count = 0;
	write_roll(&o, 0);
	o.roll.count = 3;
	write_roll(&o, 123);
	office_close(&o);
}

static void test_what_is_so_already_is_not_written(void **state)
{
	struct office o;

	(void)state;
	office_open(&o);
	write_roll(&o, 123);
	struct buf record;
	buf_init(&record);
	cell_seal(o.books.cell, 1, &record);
	buf_done(&record);
	write_roll(&o, 123);
	assert_false(cell_has_changes(o.books.cell));
	o.entries[1].condition = AGENT_LEAVES;
	write_roll(&o, 103);
	assert_true(cell_has_changes(o.books.cell));
	office_close(&o);
}

static void test_who_opens_or_leaves_is_not_live(void **state)
{
	struct office o;

	(void)state;
	office_open(&o);
	o.entries[0].condition = AGENT_OPENS;
	write_roll(&o, 23);
	o.entries[1].condition = AGENT_LEAVES;
	write_roll(&o, 3);
	o.entries[2].condition = AGENT_OPENS;
	write_roll(&o, 0);
	office_close(&o);
}

static void test_sick_ones_are_live_only_where_all_are_sick(void **state)
{
	struct office o;

	(void)state;
	office_open(&o);
	o.entries[0].condition = AGENT_SICK;
	write_roll(&o, 23);
	o.entries[1].condition = AGENT_SICK;
	write_roll(&o, 3);
	o.entries[2].condition = AGENT_SICK;
	write_roll(&o, 123);
	o.entries[1].condition = AGENT_LEAVES;
	write_roll(&o, 103);
	o.entries[0].condition = AGENT_SERVES;
	write_roll(&o, 100);
	office_close(&o);
}

static void test_of_two_sessions_of_one_life_the_later_counts(void **state)
{
	struct office o;

	(void)state;
	office_open(&o);
	o.entries[3] = (struct roll_entry) { o.entries[0].incarnation, AGENT_SERVES };
	o.entries[0].condition = AGENT_LEAVES;
	o.roll.count = 4;
	write_roll(&o, 123);
	office_close(&o);
}

static void test_a_new_leader_keeps_who_was_live_but_not_who_went(void **state)
{
	struct office o;

	(void)state;
	office_open(&o);
	o.roll.count = 2;
	write_roll(&o, 120);
	o.roll.keeps_others = true;
	o.roll.count = 0;
	write_roll(&o, 120);
	o.roll.count = 1;
	write_roll(&o, 120);
	o.roll.gone = o.entries[1].incarnation;
	write_roll(&o, 100);
	o.roll.keeps_others = false;
	o.roll.count = 0;
	write_roll(&o, 0);
	office_close(&o);
}

static void test_others_are_counted(void **state)
{
	struct office o;
	int32_t others = -1;

	(void)state;
	office_open(&o);
	assert_int_equal(roll_count_others(o.books.cell, o.entries[0].incarnation, &others), OK);
	assert_int_equal(others, 2);
	o.entries[0].condition = o.entries[1].condition = AGENT_LEAVES;
	write_roll(&o, 3);
	assert_int_equal(roll_count_others(o.books.cell, o.entries[0].incarnation, &others), OK);
	assert_int_equal(others, 1);
	assert_int_equal(roll_count_others(o.books.cell, o.entries[2].incarnation, &others), OK);
	assert_int_equal(others, 0);
	office_close(&o);
}

static void test_each_live_agent_has_its_share_of_what_is_listed(void **state)
{
	struct office o;
	struct roll_share share;

	(void)state;
	office_open(&o);
	o.entries[1].condition = AGENT_LEAVES;
	write_roll(&o, 103);
	for (int name = 0; name < 100; name++) {
		struct slice key = { (const uint8_t *)&name, sizeof(name) };
		int found = 0;
		for (size_t i = 0; i < 3; i += 2) {
			roll_find_share(o.books.cell, o.entries[i].incarnation, &share);
			assert_int_equal(share.count, 2);
			found += roll_share_has(&share, key);
		}
		assert_int_equal(found, 1);
	}
	roll_find_share(o.books.cell, o.entries[1].incarnation, &share);
	assert_true(roll_share_has(&share, SLICE("any")));
	o.roll.count = 1;
	write_roll(&o, 100);
	roll_find_share(o.books.cell, o.entries[0].incarnation, &share);
	assert_true(roll_share_has(&share, SLICE("any")));
	office_close(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_agent_is_live_while_it_has_a_session),
		cmocka_unit_test(test_what_is_so_already_is_not_written),
		cmocka_unit_test(test_who_opens_or_leaves_is_not_live),
		cmocka_unit_test(test_sick_ones_are_live_only_where_all_are_sick),
		cmocka_unit_test(test_of_two_sessions_of_one_life_the_later_counts),
		cmocka_unit_test(test_a_new_leader_keeps_who_was_live_but_not_who_went),
		cmocka_unit_test(test_others_are_counted),
		cmocka_unit_test(test_each_live_agent_has_its_share_of_what_is_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
