#include "streams/agent/commit_order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/random.h"

static struct commit_order of(uint64_t connection_id, int64_t producer_id)
{
	struct commit_order o = { 0 };

	commit_order_add_connection(&o, connection_id);
	commit_order_add_producer(&o, producer_id);
	return o;
}

static void test_files_of_others_do_not_matter(void **state)
{
	struct commit_order mine = of(1, -1), theirs = of(2, -1);
	struct commit_chain c;

	(void)state;
	commit_chain_begin(&c, &mine);
	assert_int_equal(commit_chain_look(&c, &theirs), COMMIT_FREE);
	assert_int_equal(commit_chain_look(&c, &mine), COMMIT_NEAREST);
	assert_int_equal(commit_chain_look(&c, &theirs), COMMIT_FREE);
	assert_int_equal(commit_chain_look(&c, &mine), COMMIT_FREE); /* the nearest waited for it */
}

static void test_a_producer_is_the_same_on_another_connection(void **state)
{
	struct commit_order mine = of(1, 7), before = of(2, 7), other = of(2, 8);
	struct commit_chain c;

	(void)state;
	commit_chain_begin(&c, &mine);
	assert_int_equal(commit_chain_look(&c, &other), COMMIT_FREE);
	assert_int_equal(commit_chain_look(&c, &before), COMMIT_NEAREST);
}

static void test_what_the_nearest_did_not_wait_for_must_be_decided(void **state)
{
	struct commit_order both = of(1, -1), one = of(1, -1), two = of(2, -1);
	struct commit_chain c;

	(void)state;
	commit_order_add_connection(&both, 2);
	commit_chain_begin(&c, &both);
	assert_int_equal(commit_chain_look(&c, &two), COMMIT_NEAREST);
	assert_int_equal(commit_chain_look(&c, &one), COMMIT_DECIDED);
}

/* Many files, an agent that sends what may be sent, and a control that refuses some for now.  The
 * rule itself, seen from outside: of two that meet, the earlier one is committed first. */
enum { FILES = 40 };

enum file_state { UNSTORED, STORED, SENT, COMMITTED };

struct model {
	struct prng prng;
	struct commit_order orders[FILES];
	uint8_t members[FILES]; /* the same, exactly */
	enum file_state states[FILES];
	int after[FILES]; /* -1: none */
	int sent[FILES], sent_count;
	int out_of_order;
};

static bool may_send(struct model *m, int file, int *ret_after)
{
	struct commit_chain c;

	*ret_after = -1;
	commit_chain_begin(&c, &m->orders[file]);
	for (int i = file - 1; i >= 0; i--) {
		if (m->states[i] == COMMITTED)
			continue;
		switch (commit_chain_look(&c, &m->orders[i])) {
		case COMMIT_FREE:
			break;
		case COMMIT_NEAREST:
			if (m->states[i] != SENT)
				return false;
			*ret_after = i;
			break;
		case COMMIT_DECIDED:
			return false;
		}
	}
	return true;
}

static void control_decides(struct model *m)
{
	int file = m->sent[0];

	m->sent_count--;
	for (int i = 0; i < m->sent_count; i++)
		m->sent[i] = m->sent[i + 1];
	if (prng_below(&m->prng, 4) == 0 ||
	    (m->after[file] >= 0 && m->states[m->after[file]] != COMMITTED)) {
		m->states[file] = STORED; /* refused for now */
		return;
	}
	m->states[file] = COMMITTED;
	for (int i = 0; i < file; i++) {
		if (m->members[i] & m->members[file])
			assert_int_equal(m->states[i], COMMITTED);
		else
			m->out_of_order += m->states[i] != COMMITTED;
	}
}

static int run(uint64_t seed)
{
	struct model m = { .prng = { seed } };
	int left = FILES;

	for (int i = 0; i < FILES; i++) {
		for (uint64_t k = 1 + prng_below(&m.prng, 2); k > 0; k--) {
			uint64_t who = prng_below(&m.prng, 6);

			m.members[i] |= (uint8_t)(1 << who);
			commit_order_add_connection(&m.orders[i], who + 1);
		}
	}
	for (int steps = 0; left > 0; steps++) {
		int file = (int)prng_below(&m.prng, FILES), after;

		assert_true(steps < 1000000); /* nobody waits for ever */
		if (m.states[file] == UNSTORED && prng_below(&m.prng, 5) == 0)
			m.states[file] = STORED;
		else if (m.states[file] == STORED && may_send(&m, file, &after)) {
			m.states[file] = SENT;
			m.after[file] = after;
			m.sent[m.sent_count++] = file;
		}
		if (m.sent_count > 0 && prng_below(&m.prng, 10) == 0) {
			control_decides(&m);
			left = 0;
			for (int i = 0; i < FILES; i++)
				left += m.states[i] != COMMITTED;
		}
	}
	return m.out_of_order;
}

static void test_whatever_is_slow_or_refused_those_that_meet_keep_their_order(void **state)
{
	int out_of_order = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++)
		out_of_order += run(seed);
	assert_true(out_of_order > 1000); /* and the others use their freedom */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_of_others_do_not_matter),
		cmocka_unit_test(test_a_producer_is_the_same_on_another_connection),
		cmocka_unit_test(test_what_the_nearest_did_not_wait_for_must_be_decided),
		cmocka_unit_test(test_whatever_is_slow_or_refused_those_that_meet_keep_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
