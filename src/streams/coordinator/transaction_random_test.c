/* Transactional producers of both protocols that do anything at any time, drawn from a seed, with
 * zombies, repeats and requests that come late.  A model remembers what each accepted batch belongs
 * to.  What must hold whatever they do:
 *
 *  - a reader of committed records sees all batches of a committed transaction and none of another;
 *  - the last stable offset never goes back, and is where the oldest open transaction began;
 *  - offsets have no gap but the markers;
 *  - nobody but the current producer of a transactional id changes anything.
 *
 * HANSE_TEST_SEED replays one seed. */
#include "streams/coordinator/transactions_testing.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "streams/coordinator/transaction_clock.h"

enum { WRITERS = 4, PARTITIONS = 3, STEPS = 600, OFFSETS_MAX = 4 * STEPS, SEEDS = 12 };

/* Of one record: the transaction it belongs to, whose outcome is known some day. */
struct place {
	int transaction; /* 0: a marker, or nothing yet */
	int64_t producer_id;
};

struct actor {
	struct writer now;    /* who may write */
	struct writer before; /* a zombie, or the same writer a transaction ago */
	int transaction;      /* under way; 0: none */
};

struct play {
	struct books books;
	struct uuid topic;
	struct prng prng;
	struct transaction_clock clock;
	struct actor actors[WRITERS];
	struct place places[PARTITIONS][OFFSETS_MAX];
	char outcome[STEPS + 2]; /* of transactions: 'o'pen, 'c'ommitted, 'a'borted */
	int transactions;
	int64_t stable[PARTITIONS];
};

static uint64_t draw(struct play *p, uint64_t bound)
{
	return prng_below(&p->prng, bound);
}

static void end(struct play *p, struct actor *a, char outcome)
{
	if (a->transaction)
		p->outcome[a->transaction] = outcome;
	a->transaction = 0;
}

static void write_some(struct play *p, struct actor *a)
{
	int32_t partition = (int32_t)draw(p, PARTITIONS), records = 1 + (int32_t)draw(p, 3);

	a->before = a->now;
	int64_t offset = writer_put(&a->now, p->topic, "t", partition, records);
	if (!a->transaction) {
		a->transaction = ++p->transactions;
		p->outcome[a->transaction] = 'o';
	}
	for (int32_t i = 0; i < records; i++) {
		assert_true(offset + i < OFFSETS_MAX);
		assert_int_equal(p->places[partition][offset + i].transaction, 0);
		p->places[partition][offset + i] =
			(struct place) { a->transaction, a->now.producer_id };
	}
}

static void end_some(struct play *p, struct actor *a)
{
	bool commits = draw(p, 3) > 0;
	struct writer again = a->now;
	int16_t error = writer_end(&a->now, commits);

	if (!a->transaction && (commits || !a->now.is_second))
		return; /* the same again, or nothing was under way */
	assert_int_equal(error, KAFKA_NONE);
	end(p, a, commits ? 'c' : 'a');
	a->before = again;
	if (draw(p, 2))
		assert_int_equal(writer_end(&again, commits), KAFKA_NONE);
}

static void begin_anew(struct play *p, struct actor *a)
{
	a->before = a->now;
	if (draw(p, 2))
		writer_init(&a->now);
	else
		assert_int_equal(writer_init_as(&a->now, true, 60000), KAFKA_NONE);
	end(p, a, 'a');
}

/* Whoever was here before is refused, whatever it asks for. */
static void haunt(struct play *p, struct actor *a)
{
	struct writer zombie = a->before;
	int32_t partition = (int32_t)draw(p, PARTITIONS);
	int64_t before = books_end(&p->books, p->topic, partition);

	if (zombie.producer_id == a->now.producer_id && zombie.epoch == a->now.epoch)
		return;
	assert_int_not_equal(writer_write(&zombie, p->topic, partition, 1).error, KAFKA_NONE);
	assert_int_not_equal(writer_add(&zombie, "t", partition), KAFKA_NONE);
	(void)writer_end(&zombie, draw(p, 2)); /* a repeat may be answered, and changes nothing */
	assert_int_equal(books_end(&p->books, p->topic, partition), before);
}

static void let_time_pass(struct play *p)
{
	struct transaction_expiry expiry = { .clock = &p->clock };

	p->books.now_ms += (int64_t)draw(p, 30000);
	expiry.now_ms = p->books.now_ms;
	assert_int_equal(cell_run(p->books.cell, transaction_expire, &expiry), OK);
	for (int i = 0; i < WRITERS; i++) {
		struct actor *a = &p->actors[i];
		struct transaction t;
		assert_int_equal(transaction_find(&p->books.arena, p->books.cell,
						  slice_from(a->now.name), &t),
				 OK);
		if (!a->transaction || t.state == TRANSACTION_ONGOING)
			continue;
		end(p, a, 'a');
		a->before = a->now;
		assert_int_equal(writer_init_as(&a->now, true, 60000), KAFKA_NONE);
	}
}

/* What a reader makes of a record: the first marker of its producer behind it decides. */
static char read_outcome(const struct catalog_marker *markers, size_t count, int64_t offset,
			 int64_t producer_id)
{
	for (size_t i = 0; i < count; i++)
		if (markers[i].offset > offset && markers[i].producer_id == producer_id)
			return markers[i].is_commit ? 'c' : 'a';
	return 'o';
}

static void check(struct play *p, int32_t partition)
{
	struct catalog_partition found = books_partition(&p->books, p->topic, partition);
	int64_t stable = catalog_last_stable_offset(p->books.cell, &found);
	int64_t undecided = found.high_watermark;
	struct catalog_marker *markers;
	size_t count;

	assert_int_equal(catalog_markers(&p->books.arena, p->books.cell, found.id, 0, OFFSETS_MAX,
					 &markers, &count),
			 OK);
	for (int64_t offset = 0; offset < found.high_watermark; offset++) {
		struct place place = p->places[partition][offset];
		if (!place.transaction) {
			assert_int_equal(
				books_marker(&p->books, p->topic, partition, offset).offset,
				offset);
			continue;
		}
		char outcome = p->outcome[place.transaction];
		assert_int_equal(read_outcome(markers, count, offset, place.producer_id), outcome);
		if (outcome == 'o' && offset < undecided)
			undecided = offset;
	}
	assert_int_equal(stable, undecided);
	assert_true(stable >= p->stable[partition]);
	p->stable[partition] = stable;
}

static void step(struct play *p)
{
	struct actor *a = &p->actors[draw(p, WRITERS)];

	switch (draw(p, 10)) {
	case 0:
		begin_anew(p, a);
		break;
	case 1:
	case 2:
		end_some(p, a);
		break;
	case 3:
		haunt(p, a);
		break;
	case 4:
		let_time_pass(p);
		break;
	default:
		write_some(p, a);
	}
}

static void run(uint64_t seed)
{
	static const char *const names[WRITERS] = { "a", "b", "c", "d" };
	struct play *p = NEW(struct play);

	p->prng.state = seed;
	books_open(&p->books);
	books_hello(&p->books);
	p->topic = books_topic(&p->books, "t", PARTITIONS);
	for (int i = 0; i < WRITERS; i++) {
		p->actors[i].now = (struct writer) { .books = &p->books,
						     .name = names[i],
						     .is_second = i % 2 };
		writer_init(&p->actors[i].now);
		p->actors[i].before = p->actors[i].now;
	}
	for (int i = 0; i < STEPS; i++) {
		step(p);
		if (i % 20 == 0)
			for (int32_t k = 0; k < PARTITIONS; k++)
				check(p, k);
	}
	books_close(&p->books);
	memory_free(p);
}

static void test_readers_of_committed_records_see_whole_transactions(void **state)
{
	const char *only = getenv("HANSE_TEST_SEED");

	(void)state;
	log_set_level(LOG_ERROR);
	if (only) {
		run(strtoull(only, NULL, 10));
		return;
	}
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		print_message("seed %llu\n", (unsigned long long)seed);
		run(seed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers_of_committed_records_see_whole_transactions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
