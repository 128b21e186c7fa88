/* Orphans, and what is none.  Names begin with the case of doc/cases.md that they are. */
#include "streams/coordinator/orphans.h"

#include "base/random.h"
#include "streams/coordinator/books_testing.h"
#include "streams/coordinator/forget_files.h"
#include "streams/coordinator/unsure.h"

/* What sessions and leases would say. */
struct lives {
	int64_t incarnation, low_sequence;
	int64_t leased;
};

static int64_t low_sequence(void *context, int64_t incarnation)
{
	const struct lives *l = context;

	return incarnation == l->incarnation ? l->low_sequence : 0;
}

static bool is_leased(void *context, int64_t incarnation)
{
	const struct lives *l = context;

	return l->leased == incarnation;
}

static enum err look(struct books *b, struct lives *l, struct peer_orphans_request_file *files,
		     size_t count, int64_t counts[ORPHAN_VERDICTS])
{
	struct peer_orphans_request request = { .files = files, .files_count = count };
	struct orphans_page page = {
		.request = &request,
		.lives = { low_sequence, is_leased, l },
		.now_ms = b->now_ms,
	};
	enum err err = cell_run(b->cell, orphans_run, &page);

	memcpy(counts, page.counts, sizeof(page.counts));
	return err;
}

static enum orphan_verdict verdict_on(struct books *b, struct lives *l, int64_t incarnation,
				      int64_t sequence)
{
	struct peer_orphans_request_file file = { incarnation, sequence, 100 };
	int64_t counts[ORPHAN_VERDICTS];

	assert_int_equal(look(b, l, &file, 1, counts), OK);
	for (int i = 0; i < ORPHAN_VERDICTS; i++)
		if (counts[i])
			return (enum orphan_verdict)i;
	fail();
	return ORPHAN_VERDICTS;
}

static enum err run_begin(struct cell *cell, void *argument)
{
	(void)argument;
	return unsure_begin(cell, 1000);
}

static enum err run_forget(struct books *b, int64_t incarnation, int64_t sequence)
{
	struct peer_forget_files_request_file file = { incarnation, sequence };
	struct forget_files forget = { .request = { .files = &file, .files_count = 1 },
				       .now_ms = b->now_ms + CATALOG_GRACE_MS };

	return cell_run(b->cell, forget_files_run, &forget);
}

/* F4: the agent died between the put and the commit. */
static void test_f4_a_file_of_a_dead_incarnation_is_deleted(void **state)
{
	struct lives lives = { 0 };
	struct books b;

	(void)state;
	books_open(&b);
	books_hello(&b);
	int64_t dead = b.incarnation;
	struct batch batch = { books_topic(&b, "t", 1), 0, .records = 1 };
	(void)books_batch(&b, batch);
	assert_int_equal(verdict_on(&b, &lives, dead, 0), ORPHAN_KNOWN);
	assert_int_equal(verdict_on(&b, &lives, dead, 1), ORPHAN_PENDING);
	books_hello(&b);
	assert_int_equal(verdict_on(&b, &lives, dead, 0), ORPHAN_KNOWN);
	assert_int_equal(verdict_on(&b, &lives, dead, 1), ORPHAN_FOR_GOOD);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM file WHERE dead_ms = 1000"
					  " AND run_count = 0 AND sequence = 1 AND size = 100"),
			 1);
	assert_int_equal(verdict_on(&b, &lives, dead, 1), ORPHAN_KNOWN); /* it is in the list now */
	books_close(&b);
}

/* G4: its commit is on its way, on a connection that nobody reads for now. */
static void test_g4_what_was_called_an_orphan_cannot_be_committed(void **state)
{
	struct peer_commit_file_response response;
	struct books b;

	(void)state;
	books_open(&b);
	books_hello(&b);
	struct batch batch = { books_topic(&b, "t", 1), 0, .records = 1 };
	struct peer_commit_file_request *late = books_request(&b, &batch, 1);
	struct lives lives = { b.incarnation, .low_sequence = late->sequence };
	assert_int_equal(verdict_on(&b, &lives, b.incarnation, late->sequence), ORPHAN_PENDING);
	lives.low_sequence++;
	assert_int_equal(verdict_on(&b, &lives, b.incarnation, late->sequence), ORPHAN_FOR_GOOD);
	assert_int_equal(books_commit(&b, late, &response), ERR_INVALID);

	assert_int_equal(run_forget(&b, late->incarnation, late->sequence), OK);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM file"), 0);
	assert_int_equal(books_commit(&b, late, &response), ERR_DENIED);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM run"), 0);
	lives.low_sequence = 0; /* nobody says it any more, and it is so */
	assert_int_equal(verdict_on(&b, &lives, b.incarnation, late->sequence), ORPHAN_FOR_GOOD);
	(void)books_batch(&b, batch);
	books_close(&b);
}

/* Z4: the agent stood still after its commit, long enough for the file to die and to be deleted. */
static void test_z4_a_file_that_was_forgotten_stays_dead(void **state)
{
	struct peer_commit_file_response response;
	struct books b;

	(void)state;
	books_open(&b);
	books_hello(&b);
	struct batch batch = { books_topic(&b, "t", 1), 0, .records = 1 };
	struct peer_commit_file_request *request = books_request(&b, &batch, 1);
	assert_int_equal(books_commit(&b, request, &response), OK);
	assert_int_equal(run_forget(&b, request->incarnation, request->sequence), OK);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM file"), 1); /* it lives */
	books_do(&b, "DELETE FROM run");
	books_do(&b, "UPDATE file SET run_count = 0, dead_ms = 5");
	assert_int_equal(run_forget(&b, request->incarnation, request->sequence), OK);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM file"), 0);
	assert_int_equal(books_commit(&b, request, &response), ERR_DENIED);
	books_hello(&b); /* another life begins with the first name again */
	b.sequence = 0;
	(void)books_batch(&b, batch);
	books_close(&b);
}

static void test_a_file_of_a_job_that_goes_on_is_none(void **state)
{
	struct lives lives = { .leased = 1 };
	struct books b;

	(void)state;
	books_open(&b);
	books_hello(&b);
	books_hello(&b);
	assert_int_equal(verdict_on(&b, &lives, 1, 7), ORPHAN_PENDING);
	lives.leased = 0;
	assert_int_equal(verdict_on(&b, &lives, 1, 7), ORPHAN_FOR_GOOD);
	books_close(&b);
}

/* G5: the journal came back older than the bucket is.  `lost` are lives that it does not know. */
static void test_g5_what_is_newer_than_the_catalog_stays(void **state)
{
	struct lives lives = { 0 };
	struct books b;

	(void)state;
	books_open(&b);
	books_hello(&b);
	int64_t before = b.incarnation;
	books_do(&b, "UPDATE counter SET next = next + 5000 WHERE name = 'incarnation'");
	books_hello(&b);
	int64_t alive = b.incarnation, job = alive - 1, lost = alive + 1;
	assert_int_equal(verdict_on(&b, &lives, lost, 3), ORPHAN_UNSURE);
	assert_int_equal(verdict_on(&b, &lives, 0, 3), ORPHAN_UNSURE);

	assert_int_equal(cell_run(b.cell, run_begin, NULL), OK);
	books_hello(&b);
	assert_int_equal(b.incarnation, lost + INCARNATION_SKIP);
	assert_int_equal(verdict_on(&b, &lives, lost, 3), ORPHAN_UNSURE);
	assert_int_equal(verdict_on(&b, &lives, alive, 3), ORPHAN_UNSURE);
	assert_int_equal(verdict_on(&b, &lives, job, 1), ORPHAN_UNSURE);
	assert_int_equal(verdict_on(&b, &lives, before, 3), ORPHAN_FOR_GOOD);
	int64_t after = b.incarnation;
	books_hello(&b);
	assert_int_equal(verdict_on(&b, &lives, after, 3), ORPHAN_FOR_GOOD);

	assert_int_equal(cell_run(b.cell, unsure_settle_run, NULL), OK);
	assert_int_equal(verdict_on(&b, &lives, alive, 3), ORPHAN_FOR_GOOD);
	assert_int_equal(verdict_on(&b, &lives, lost, 3), ORPHAN_FOR_GOOD);
	books_close(&b);
}

static void test_an_agent_that_comes_back_is_sure_again(void **state)
{
	struct lives lives = { 0 };
	struct books b;

	(void)state;
	books_open(&b);
	books_hello(&b);
	int64_t alive = b.incarnation;
	assert_int_equal(cell_run(b.cell, run_begin, NULL), OK);
	assert_int_equal(verdict_on(&b, &lives, alive, 3), ORPHAN_UNSURE);
	(void)books_hello_as(&b, "n", alive);
	assert_int_equal(verdict_on(&b, &lives, alive, 3), ORPHAN_PENDING);
	books_hello(&b);
	assert_int_equal(verdict_on(&b, &lives, alive, 3), ORPHAN_FOR_GOOD);
	books_close(&b);
}

static void test_cold_starts_without_end_take_few_rows(void **state)
{
	struct lives lives = { 0 };
	struct books b;

	(void)state;
	books_open(&b);
	assert_int_equal(cell_run(b.cell, run_begin, NULL), OK);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM unsure_life"), 0); /* new */
	books_hello(&b);
	for (int i = 0; i < 20; i++)
		assert_int_equal(cell_run(b.cell, run_begin, NULL), OK);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM unsure_life"), 2);
	for (int i = 0; i < UNSURE_ROWS_MAX + 50; i++) {
		assert_int_equal(cell_run(b.cell, run_begin, NULL), OK);
		(void)books_hello_as(&b, "n", 0);
		(void)books_hello_as(&b, "n", b.incarnation);
	}
	assert_in_range(books_number(&b, "SELECT count(*) FROM unsure_life WHERE last > first"), 1,
			UNSURE_ROWS_MAX);
	assert_int_equal(verdict_on(&b, &lives, 2, 3), ORPHAN_UNSURE);
	books_close(&b);
}

static void test_a_page_from_a_bad_agent_changes_nothing(void **state)
{
	struct lives lives = { 0 };
	int64_t counts[ORPHAN_VERDICTS];
	struct books b;

	(void)state;
	books_open(&b);
	books_hello(&b);
	books_hello(&b);
	struct peer_orphans_request_file *many =
		arena_take_array(&b.arena, ORPHANS_PAGE_MAX + 1, sizeof(*many));
	assert_int_equal(look(&b, &lives, many, ORPHANS_PAGE_MAX + 1, counts), ERR_TOO_BIG);
	struct peer_orphans_request_file bad[] = { { 1, 1, 10 }, { 1, -2, 10 } };
	assert_int_equal(look(&b, &lives, bad, 2, counts), ERR_INVALID);
	bad[1] = (struct peer_orphans_request_file) { 1, 2, -1 };
	assert_int_equal(look(&b, &lives, bad, 2, counts), ERR_INVALID);
	struct peer_orphans_request_file twice[] = { { 1, 1, 10 }, { 1, 1, 10 } };
	assert_int_equal(look(&b, &lives, twice, 2, counts), OK);
	assert_int_equal(counts[ORPHAN_FOR_GOOD], 1);
	books_close(&b);
}

/* --- G4 at random: agents that put, commit late, twice or never, and a scan between -------------
 */

enum { RANDOM_AGENTS = 3, RANDOM_FILES = 60, RANDOM_STEPS = 600 };

struct random_file {
	struct peer_commit_file_request *request;
	bool is_stored, is_acknowledged, is_given_up;
	int copies; /* of its commit that are on their way */
};

struct random_agent {
	struct lives lives;
	struct random_file files[RANDOM_FILES];
	size_t count;
};

static void begin_life(struct books *b, struct random_agent *a, int number)
{
	char name[2] = { (char)('a' + number), '\0' };

	(void)books_hello_as(b, name, 0);
	for (size_t i = 0; i < a->count; i++)
		a->files[i].is_given_up |= !a->files[i].is_acknowledged;
	a->lives = (struct lives) { .incarnation = b->incarnation };
}

static void tell_low(struct random_agent *a)
{
	for (size_t i = 0; i < a->count; i++) {
		const struct random_file *f = &a->files[i];
		if (f->request->incarnation != a->lives.incarnation)
			continue;
		if (!f->is_acknowledged && !f->is_given_up)
			return;
		a->lives.low_sequence = f->request->sequence + 1;
	}
}

static void put_file(struct books *b, struct random_agent *a, struct uuid topic)
{
	struct batch batch = { topic, 0, .records = 1 };

	if (a->count == RANDOM_FILES)
		return;
	b->incarnation = a->lives.incarnation;
	a->files[a->count++] = (struct random_file) {
		.request = books_request(b, &batch, 1),
		.is_stored = true,
		.copies = 1,
	};
}

/* A commit arrives at last. */
static void deliver(struct books *b, struct random_file *f)
{
	struct peer_commit_file_response response;

	if (f->copies == 0)
		return;
	f->copies--;
	enum err err = books_commit(b, f->request, &response);
	if (!err)
		assert_true(f->is_stored); /* what is committed can be read */
	f->is_acknowledged |= !err && !f->is_given_up;
}

static void scan(struct books *b, struct random_agent *a)
{
	for (size_t i = 0; i < a->count; i++)
		if (a->files[i].is_stored)
			(void)verdict_on(b, &a->lives, a->files[i].request->incarnation,
					 a->files[i].request->sequence);
}

/* The grace is over for everything that is dead. */
static void sweep_bucket(struct books *b, struct random_agent *a)
{
	for (size_t i = 0; i < a->count; i++) {
		struct random_file *f = &a->files[i];
		sqlite3_stmt *st =
			cell_statement(b->cell, "SELECT 1 FROM file WHERE incarnation = ?1"
						" AND sequence = ?2 AND dead_ms IS NOT NULL");
		cell_bind_int(st, 1, f->request->incarnation);
		cell_bind_int(st, 2, f->request->sequence);
		bool is_dead = cell_next(b->cell, st);
		sqlite3_reset(st);
		if (!is_dead)
			continue;
		assert_false(f->is_acknowledged);
		f->is_stored = false;
		assert_int_equal(run_forget(b, f->request->incarnation, f->request->sequence), OK);
	}
}

static void random_step(struct books *b, struct prng *prng, struct random_agent *agents,
			struct uuid topic)
{
	int number = (int)prng_below(prng, RANDOM_AGENTS);
	struct random_agent *a = &agents[number];
	struct random_file *f = a->count ? &a->files[prng_below(prng, a->count)] : NULL;

	switch (prng_below(prng, 12)) {
	case 0:
	case 1:
	case 2:
		put_file(b, a, topic);
		break;
	case 3:
	case 4:
	case 5:
		if (f)
			deliver(b, f);
		break;
	case 6:
		if (f && !f->is_given_up)
			f->copies++; /* again on another connection */
		break;
	case 7:
		if (f && !f->is_acknowledged)
			f->is_given_up = true;
		break;
	case 8:
		tell_low(a);
		break;
	case 9:
		scan(b, a);
		break;
	case 10:
		sweep_bucket(b, a);
		break;
	default:
		if (prng_below(prng, 20) == 0)
			begin_life(b, a, number);
	}
}

static void test_g4_no_file_with_a_row_loses_its_object(void **state)
{
	static struct random_agent agents[RANDOM_AGENTS];

	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct prng prng = { seed };
		struct books b;
		books_open(&b);
		struct uuid topic = books_topic(&b, "t", 1);
		memset(agents, 0, sizeof(agents));
		for (int i = 0; i < RANDOM_AGENTS; i++)
			begin_life(&b, &agents[i], i);
		for (int i = 0; i < RANDOM_STEPS; i++)
			random_step(&b, &prng, agents, topic);
		for (int i = 0; i < RANDOM_AGENTS; i++) {
			begin_life(&b, &agents[i], i);
			scan(&b, &agents[i]);
			sweep_bucket(&b, &agents[i]);
			for (size_t k = 0; k < agents[i].count; k++) {
				deliver(&b, &agents[i].files[k]); /* after all that time */
				assert_true(!agents[i].files[k].is_acknowledged ||
					    agents[i].files[k].is_stored);
			}
		}
		int64_t stored = 0;
		for (int i = 0; i < RANDOM_AGENTS; i++)
			for (size_t k = 0; k < agents[i].count; k++)
				stored += agents[i].files[k].is_stored;
		assert_int_equal(books_number(&b, "SELECT count(*) FROM file WHERE run_count > 0"),
				 stored); /* and no orphan is left */
		books_close(&b);
	}
}

/* --- turns -------------------------------------------------------------------------------------
 */

static const int64_t no_counts[ORPHAN_VERDICTS];

static struct slice some_key(struct books *b, uint64_t sequence)
{
	char *key = arena_take(&b->arena, DATA_FILE_KEY_BYTES + 1);

	data_file_key(key, 1, sequence);
	return slice_from(key);
}

static void test_one_agent_at_a_time_lists_page_after_page(void **state)
{
	struct orphan_turns t;
	struct books b;

	(void)state;
	books_open(&b);
	orphan_turns_begin(&t, 0, 1000);
	assert_in_range(orphan_turns_wait_ms(&t, 0, 7), 1, ORPHANS_ASK_MS + 1);
	assert_in_range(orphan_turns_wait_ms(&t, ORPHANS_FIRST_MS, 7), 1, 1002); /* jitter */
	uint64_t now_ms = ORPHANS_FIRST_MS + 1000;
	assert_int_equal(orphan_turns_wait_ms(&t, now_ms, 7), 0);
	assert_int_equal(orphan_turns_wait_ms(&t, now_ms, 8), ORPHANS_ASK_MS + 1);

	struct peer_orphans_request page = { .is_page = true,
					     .listed_to = some_key(&b, 5),
					     .listed = 1000 };
	assert_int_equal(orphan_turns_take(&t, now_ms, 0, 8, &page, no_counts), ERR_INVALID);
	assert_int_equal(orphan_turns_take(&t, now_ms, 0, 7, &page, no_counts), OK);
	assert_string_equal(t.after, (const char *)page.listed_to.data);
	assert_int_equal(orphan_turns_wait_ms(&t, now_ms, 7), ORPHANS_PAGE_PAUSE_MS);

	/* 7 is not heard any more: another one goes on where it stood */
	now_ms += ORPHANS_HOLD_MS;
	assert_int_equal(orphan_turns_wait_ms(&t, now_ms, 8), 0);
	assert_string_equal(t.after, (const char *)page.listed_to.data);
	assert_int_equal(orphan_turns_take(&t, now_ms, 0, 7, &page, no_counts), ERR_INVALID);
	orphan_turns_leave(&t, 7); /* it has not held it for long */
	assert_int_equal(orphan_turns_wait_ms(&t, now_ms, 7), ORPHANS_ASK_MS + 1);
	orphan_turns_leave(&t, 8);
	assert_int_equal(orphan_turns_wait_ms(&t, now_ms, 9), 0);
	orphan_turns_leave(&t, 9);
	assert_int_equal(orphan_turns_wait_ms(&t, now_ms, 8), 0);
	page.is_last = true;
	page.listed_to = SLICE("");
	assert_int_equal(orphan_turns_take(&t, now_ms, 0, 8, &page, no_counts), ERR_INVALID);
	page.listed_to = SLICE("v1/j/main/000001");
	assert_int_equal(orphan_turns_take(&t, now_ms, 0, 8, &page, no_counts), ERR_INVALID);
	page.listed_to = SLICE("v1/d/ not a name");
	assert_int_equal(orphan_turns_take(&t, now_ms, 0, 8, &page, no_counts), ERR_INVALID);
	page.is_last = false;
	page.listed_to = SLICE("v1/d/zz/of-somebody-else");
	assert_int_equal(orphan_turns_take(&t, now_ms, 5, 8, &page, no_counts), OK);
	assert_string_equal(t.after, "v1/d/zz/of-somebody-else");
	now_ms += ORPHANS_PAGE_PAUSE_MS;
	assert_int_equal(orphan_turns_wait_ms(&t, now_ms, 8), 0);
	page.is_last = true;
	assert_int_equal(orphan_turns_take(&t, now_ms, 5, 8, &page, no_counts), OK);
	assert_true(t.is_ended);
	assert_int_equal(t.last.ended_ms, now_ms);
	assert_int_equal(t.last.listed, 3000);
	assert_int_equal(t.due_ms, now_ms + ORPHANS_PASS_MS + 5);
	books_close(&b);
}

static void test_nothing_is_listed_while_nothing_is_written(void **state)
{
	struct orphan_turns t;
	struct peer_orphans_request page = { .is_page = true, .is_last = true };
	int64_t pending[ORPHAN_VERDICTS] = { [ORPHAN_PENDING] = 1 };
	uint64_t now_ms = ORPHANS_FIRST_MS;

	(void)state;
	orphan_turns_begin(&t, 0, 0);
	assert_int_equal(orphan_turns_wait_ms(&t, now_ms, 7), 0);
	assert_int_equal(orphan_turns_take(&t, now_ms, 0, 7, &page, no_counts), OK);
	for (int i = 0; i < 100; i++) {
		now_ms += ORPHANS_PASS_MS;
		assert_int_equal(orphan_turns_wait_ms(&t, now_ms, 7), ORPHANS_ASK_MS + 1);
	}
	orphan_turns_note_news(&t);
	assert_int_equal(orphan_turns_wait_ms(&t, now_ms, 7), 0);
	assert_int_equal(orphan_turns_take(&t, now_ms, 0, 7, &page, pending), OK);
	assert_int_not_equal(orphan_turns_wait_ms(&t, now_ms, 7), 0);
	now_ms += ORPHANS_PASS_MS; /* one file was not decided then */
	assert_int_equal(orphan_turns_wait_ms(&t, now_ms, 7), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_f4_a_file_of_a_dead_incarnation_is_deleted),
		cmocka_unit_test(test_g4_what_was_called_an_orphan_cannot_be_committed),
		cmocka_unit_test(test_z4_a_file_that_was_forgotten_stays_dead),
		cmocka_unit_test(test_a_file_of_a_job_that_goes_on_is_none),
		cmocka_unit_test(test_g5_what_is_newer_than_the_catalog_stays),
		cmocka_unit_test(test_an_agent_that_comes_back_is_sure_again),
		cmocka_unit_test(test_cold_starts_without_end_take_few_rows),
		cmocka_unit_test(test_a_page_from_a_bad_agent_changes_nothing),
		cmocka_unit_test(test_g4_no_file_with_a_row_loses_its_object),
		cmocka_unit_test(test_one_agent_at_a_time_lists_page_after_page),
		cmocka_unit_test(test_nothing_is_listed_while_nothing_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
