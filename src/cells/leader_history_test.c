/* Buckets that give back an older state of themselves, and who notices. */
#include "buckets/bucket_ask.h"
#include "cells/leader_testing.h"

enum { COPY_OBJECTS_MAX = 500 };

/* A bucket as it was once. */
struct copy {
	struct bucket *bucket;
	struct slice names[COPY_OBJECTS_MAX];
	struct blob *bodies[COPY_OBJECTS_MAX];
	size_t count;
	struct arena arena;
};

static size_t list(struct world *w, struct bucket *b, struct arena *a, struct slice *ret)
{
	struct slice *names, after = SLICE("");
	size_t count, total = 0;
	bool more = true;

	while (more) {
		assert_int_equal(bucket_ask_list(w->loop, b, a, SLICE("v1/"), after, &names, &count,
						 &more),
				 OK);
		for (size_t i = 0; i < count; i++) {
			assert_true(total < COPY_OBJECTS_MAX);
			ret[total++] = after = names[i];
		}
	}
	return total;
}

static void copy_take(struct copy *c, struct world *w, int number)
{
	char url[64], why[TASK_WHY_BYTES];

	memset(c, 0, sizeof(*c));
	arena_init(&c->arena);
	snprintf(url, sizeof(url), "memory:leader%d-%d?class=%s", w->number, number, w->class);
	assert_int_equal(bucket_open(url, &c->bucket, why), OK);
	c->count = list(w, c->bucket, &c->arena, c->names);
	for (size_t i = 0; i < c->count; i++)
		assert_int_equal(bucket_ask_get(w->loop, c->bucket, c->names[i], &c->bodies[i]),
				 OK);
}

static bool copy_has(const struct copy *c, struct slice name)
{
	for (size_t i = 0; i < c->count; i++)
		if (slice_equal(c->names[i], name))
			return true;
	return false;
}

/* Yesterday's copy comes back, and nothing that was written since. */
static void copy_bring_back(struct copy *c, struct world *w)
{
	static struct slice now[COPY_OBJECTS_MAX];
	size_t count = list(w, c->bucket, &c->arena, now);

	for (size_t i = 0; i < count; i++)
		if (!copy_has(c, now[i]))
			assert_int_equal(bucket_ask_delete(w->loop, c->bucket, now[i]), OK);
	for (size_t i = 0; i < c->count; i++)
		assert_int_equal(bucket_ask_put(w->loop, c->bucket, c->names[i],
						blob_slice(c->bodies[i])),
				 OK);
}

static void copy_done(struct copy *c)
{
	for (size_t i = 0; i < c->count; i++)
		blob_unref(&c->bodies[i]);
	bucket_close(c->bucket);
	arena_done(&c->arena);
}

static void put_some(struct node *n, int count)
{
	for (int i = 0; i < count; i++)
		assert_int_equal(put_one(n), OK);
}

static void campaign_again(struct node *n)
{
	node_campaign(n);
	assert_true(wait_for(n->world, &n->is_decided, TESTING_PATIENCE_MS));
}

static struct leader_position position_of(struct node *n)
{
	struct leader_status status;

	leader_get_status(n->leader, &status);
	return (struct leader_position) { status.committed_index, status.content_hash };
}

/* It loses the journal, and what it knows stays. */
static void lose(struct node *n)
{
	leader_refuse(n->leader, "the test says so");
	assert_true(wait_for(n->world, &n->is_lost, TESTING_PATIENCE_MS));
	assert_string_equal(n->why, "the test says so");
}

/* --- tests -------------------------------------------------------------------------------------
 */

static void who_led_refuses_an_older_copy(const char *class)
{
	struct world w;
	struct node a;
	struct copy copy;

	world_open(&w, 1, class, 1);
	node_lead(&a, &w, "a");
	put_some(&a, 5);
	copy_take(&copy, &w, 0);
	put_some(&a, 5);
	lose(&a);
	copy_bring_back(&copy, &w);
	campaign_again(&a);
	assert_false(a.is_leading);
	assert_non_null(strstr(a.why, "record 11 was committed, and the buckets end at record 6"));
	campaign_again(&a); /* and does not tire of it */
	assert_false(a.is_leading);
	copy_done(&copy);
	node_stop(&a);
	world_close(&w);
}

static void test_who_led_refuses_an_older_copy(void **state)
{
	(void)state;
	who_led_refuses_an_older_copy("cas");
	who_led_refuses_an_older_copy("raw");
}

static void test_who_knows_nothing_leads_from_an_older_copy(void **state)
{
	struct leader_position known;
	struct world w;
	struct node a, b;
	struct copy copy;

	(void)state;
	world_open(&w, 1, "cas", 1);
	node_lead(&a, &w, "a");
	put_some(&a, 3);
	copy_take(&copy, &w, 0);
	put_some(&a, 3);
	known = position_of(&a);
	node_crash(&a);
	copy_bring_back(&copy, &w);
	node_lead(&b, &w, "b"); /* nothing in the bucket tells */
	assert_int_equal(leader_compare(b.leader, &known), ERR_NOT_FOUND);
	put_some(&b, 4); /* now there is another record of that number */
	assert_int_equal(leader_compare(b.leader, &known), ERR_CONFLICT);
	leader_know(b.leader, &known);
	lose(&b);
	campaign_again(&b);
	assert_true(b.is_leading); /* it has gone on: what it committed later counts */
	copy_done(&copy);
	node_stop(&b);
	world_close(&w);
}

static void test_another_record_of_the_same_number_is_refused(void **state)
{
	struct leader_position known;
	struct world w;
	struct node a, b, c;
	struct copy copy;

	(void)state;
	world_open(&w, 1, "cas", 1);
	node_lead(&a, &w, "a");
	put_some(&a, 3);
	copy_take(&copy, &w, 0);
	put_some(&a, 3);
	known = position_of(&a);
	node_crash(&a);
	copy_bring_back(&copy, &w);
	node_lead(&b, &w, "b");
	put_some(&b, 6);
	node_crash(&b);
	node_open(&c, &w, "c");
	c.leader = leader_new(w.loop, &c.config);
	leader_know(c.leader, &known);
	campaign_again(&c);
	assert_false(c.is_leading);
	assert_non_null(strstr(c.why, "record 7 was committed, and the buckets have another one"));
	copy_done(&copy);
	node_stop(&c);
	world_close(&w);
}

static void test_what_is_known_is_found_in_a_sound_journal(void **state)
{
	struct leader_position early, late, future;
	struct world w;
	struct node a, b;

	(void)state;
	world_open(&w, 1, "cas", 1);
	node_lead(&a, &w, "a");
	put_some(&a, 3);
	early = position_of(&a);
	put_some(&a, 3);
	late = position_of(&a);
	assert_int_equal(leader_compare(a.leader, &early), OK);
	assert_int_equal(leader_compare(a.leader, &late), OK);
	node_crash(&a);
	node_open(&b, &w, "b");
	b.leader = leader_new(w.loop, &b.config);
	leader_know(b.leader, &late);
	leader_know(b.leader, &early); /* the highest one counts */
	campaign_again(&b);
	assert_true(b.is_leading);
	assert_int_equal(leader_compare(b.leader, &early), OK);
	assert_int_equal(leader_compare(b.leader, &late), OK);
	future = late;
	future.index += 100;
	assert_int_equal(leader_compare(b.leader, &future), ERR_NOT_FOUND);
	early.hash.low ^= 1;
	assert_int_equal(leader_compare(b.leader, &early), ERR_CONFLICT);
	node_stop(&b);
	world_close(&w);
}

static void test_an_emptied_bucket_is_no_beginning_for_who_led(void **state)
{
	struct world w;
	struct node a;
	struct copy copy;

	(void)state;
	world_open(&w, 1, "cas", 1);
	node_open(&a, &w, "a");
	copy_take(&copy, &w, 0);
	assert_int_equal(copy.count, 0);
	campaign_again(&a);
	put_some(&a, 2);
	lose(&a);
	copy_bring_back(&copy, &w);
	campaign_again(&a);
	assert_false(a.is_leading);
	assert_non_null(strstr(a.why, "was committed, and the buckets end at record 0"));
	copy_done(&copy);
	node_stop(&a);
	world_close(&w);
}

/* One of three is outvoted, whichever it is: who knows goes on until two that have it agree. */
static void test_one_older_copy_of_three_is_outvoted(void **state)
{
	(void)state;
	for (int older = 0; older < 3; older++) {
		struct leader_position known;
		struct world w;
		struct node a, b;
		struct copy copy;

		world_open(&w, 3, older % 2 ? "raw" : "cas", 1);
		node_lead(&a, &w, "a");
		put_some(&a, 4);
		copy_take(&copy, &w, older);
		put_some(&a, 4);
		known = position_of(&a);
		node_stop(&a); /* so that all three have all of it */
		copy_bring_back(&copy, &w);
		node_open(&b, &w, "b");
		campaign_again(&b);
		assert_true(b.is_leading);
		assert_int_equal(leader_compare(b.leader, &known), OK);
		check_world(&w, &b);
		put_some(&b, 2);
		node_stop(&b);
		copy_done(&copy);
		world_close(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_led_refuses_an_older_copy),
		cmocka_unit_test(test_who_knows_nothing_leads_from_an_older_copy),
		cmocka_unit_test(test_another_record_of_the_same_number_is_refused),
		cmocka_unit_test(test_what_is_known_is_found_in_a_sound_journal),
		cmocka_unit_test(test_an_emptied_bucket_is_no_beginning_for_who_led),
		cmocka_unit_test(test_one_older_copy_of_three_is_outvoted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
