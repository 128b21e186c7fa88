#include "mesh/realm/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"

struct rig {
	struct cell *cell;
	struct arena a;
	struct policy_row row;
};

static int open_rig(void **state)
{
	struct rig *r = NEW(struct rig);
	char why[CELL_WHY_BYTES];

	arena_init(&r->a);
	r->cell = cell_new(REALM_CELL);
	assert_int_equal(cell_upgrade_schema(r->cell, realm_schema, realm_schema_count, why), OK);
	*state = r;
	return 0;
}

static int close_rig(void **state)
{
	struct rig *r = *state;

	cell_free(r->cell);
	arena_done(&r->a);
	memory_free(r);
	return 0;
}

static enum err add_inside(struct cell *cell, void *argument)
{
	return store_policy_add(cell, &((struct rig *)argument)->row);
}

static int64_t add(struct rig *r, const char *text, const char *note)
{
	r->row = (struct policy_row) { .text = slice_from(text),
				       .note = slice_from(note),
				       .created_s = 7 };
	assert_int_equal(cell_run(r->cell, add_inside, r), OK);
	return r->row.version;
}

static void test_the_newest_policy_is_in_force_and_the_others_are_kept(void **state)
{
	struct rig *r = *state;
	struct policy_row row, *rows;
	size_t count;

	assert_int_equal(store_policy_newest(&r->a, r->cell, &row), ERR_NOT_FOUND);
	assert_int_equal(add(r, "{}", "first"), 1);
	assert_int_equal(add(r, "{ }", ""), 2);
	assert_int_equal(add(r, "", "none"), 3);
	assert_int_equal(store_policy_newest(&r->a, r->cell, &row), OK);
	assert_int_equal(row.version, 3);
	assert_int_equal(row.text.size, 0);
	assert_int_equal(store_policy(&r->a, r->cell, 1, &row), OK);
	assert_true(slice_equal(row.text, SLICE("{}")));
	assert_true(slice_equal(row.note, SLICE("first")));
	assert_int_equal(row.created_s, 7);
	assert_int_equal(store_policy(&r->a, r->cell, 4, &row), ERR_NOT_FOUND);
	store_policies(&r->a, r->cell, &rows, &count);
	assert_int_equal(count, 3);
	assert_int_equal(rows[0].version, 3);
	assert_int_equal(rows[1].bytes, 3);
}

static void test_the_history_has_a_limit(void **state)
{
	struct rig *r = *state;
	struct policy_row row, *rows;
	size_t count;

	for (int i = 1; i <= STORE_POLICIES_MAX + 5; i++)
		assert_int_equal(add(r, "{}", ""), i);
	store_policies(&r->a, r->cell, &rows, &count);
	assert_int_equal(count, STORE_POLICIES_MAX);
	assert_int_equal(rows[count - 1].version, 6);
	assert_int_equal(store_policy(&r->a, r->cell, 5, &row), ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_the_newest_policy_is_in_force_and_the_others_are_kept, open_rig,
			close_rig),
		cmocka_unit_test_setup_teardown(test_the_history_has_a_limit, open_rig, close_rig),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
