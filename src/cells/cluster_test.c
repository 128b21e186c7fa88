#include "cells/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "buckets/bucket_ask.h"
#include "buckets/fault.h"
#include "buckets/memory.h"
#include "buckets/sealed.h"

enum { BUCKETS = 3, RACERS = 2, SEEDS = 200 };

struct place {
	struct loop *loop;
	struct bucket *buckets[BUCKETS];
	int count;
};

static void open_place(struct place *p, int count, const char *class, uint64_t seed)
{
	char url[64], why[TASK_WHY_BYTES];

	p->loop = loop_new(seed);
	p->count = count;
	for (int k = 0; k < count; k++) {
		snprintf(url, sizeof(url), "memory:cluster%d?class=%s", k, class);
		assert_int_equal(bucket_open(url, &p->buckets[k], why), OK);
	}
}

static void close_place(struct place *p)
{
	char name[32];

	for (int k = 0; k < p->count; k++) {
		bucket_close(p->buckets[k]);
		snprintf(name, sizeof(name), "cluster%d", k);
		memory_bucket_forget(name);
	}
	loop_free(p->loop);
}

/* A process that starts. */
struct opener {
	struct task task;
	struct cluster_open open;
	struct place *place;
	const struct keyring *keys;
	enum err err;
};

static enum step opener_step(struct task *t)
{
	struct opener *o = CONTAINER(t, struct opener, task);

	if (t->at == 0) {
		cluster_open(&o->open, t, o->place->buckets, o->place->count);
		o->open.keys = o->keys;
		return task_wait(t, 1);
	}
	if (t->children > 0)
		return task_wait(t, 1);
	o->err = o->open.task.err;
	return task_done(t, OK);
}

static const struct task_kind opener_kind = { .name = "opener", .step = opener_step };

static void start(struct opener *o, struct place *p)
{
	memset(o, 0, sizeof(*o));
	o->place = p;
	task_start_root(&o->task, &opener_kind, p->loop);
}

static enum err open_cluster(struct opener *o, struct place *p)
{
	start(o, p);
	loop_run(p->loop);
	assert_false(task_is_running(&o->task));
	return o->err;
}

static enum err open_with_keys(struct opener *o, struct place *p, const struct keyring *keys)
{
	start(o, p);
	o->keys = keys;
	loop_run(p->loop);
	assert_false(task_is_running(&o->task));
	return o->err;
}

static void put(struct place *p, int bucket, const char *key, const char *body)
{
	assert_int_equal(bucket_ask_put(p->loop, p->buckets[bucket], slice_from(key),
					slice_from(body)),
			 OK);
}

static size_t count_names(struct place *p, int bucket)
{
	struct arena a;
	struct slice *names;
	size_t count;
	bool more;

	arena_init(&a);
	assert_int_equal(bucket_ask_list(p->loop, p->buckets[bucket], &a, SLICE(""), SLICE(""),
					 &names, &count, &more),
			 OK);
	arena_done(&a);
	return count;
}

/* --- the object ----------------------------------------------------------------------------- */

static void test_what_was_encoded_is_decoded(void **state)
{
	struct cluster in = { .id = { 1, 2, 3 }, .created_ms = 1234567890123 }, out;
	char why[TASK_WHY_BYTES];
	struct buf b;

	(void)state;
	buf_init(&b);
	cluster_encode(&in, &b);
	assert_int_equal(cluster_decode(buf_slice(&b), &out, why), OK);
	assert_memory_equal(&in, &out, sizeof(in));
	buf_done(&b);
}

static void test_every_flipped_bit_and_every_cut_is_noticed(void **state)
{
	struct cluster in = { .id = { 9 }, .created_ms = 1 }, out;
	char why[TASK_WHY_BYTES];
	struct buf b;

	(void)state;
	buf_init(&b);
	cluster_encode(&in, &b);
	for (size_t bit = 0; bit < 8 * b.size; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_int_equal(cluster_decode(buf_slice(&b), &out, why), ERR_CORRUPT);
		b.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	for (size_t size = 0; size < b.size; size++)
		assert_int_equal(cluster_decode(slice_part(buf_slice(&b), 0, size), &out, why),
				 ERR_CORRUPT);
	buf_done(&b);
}

static struct keyring make_keys(uint8_t first)
{
	const uint8_t root[KEY_BYTES] = { first };
	struct keyring k;

	keyring_from_root(&k, root);
	return k;
}

/* The vector of doc/formats/cluster.md, computed by another program. */
static void test_a_sealed_one_is_as_documented(void **state)
{
	static const uint8_t root[KEY_BYTES] = { 0,  1,	 2,  3,	 4,  5,	 6,  7,	 8,  9,	 10,
						 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
						 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 };
	struct cluster in = { .id = { 1, 2, 3 }, .created_ms = 1234567890123 }, out;
	static const char expected[] =
		"48414e5345434c55000200010000005c01020300000000000000000000000000"
		"0000011f71fb04cbf2a0a52a6529c626cbe714a30a495b7ee9ee605537cfc499"
		"feb887f4ece490d591ef4f2d0a88f8ab20d01da91355898fb141fb20";
	char why[TASK_WHY_BYTES], hex[2 * 92 + 1];
	struct keyring keys;
	struct buf b;

	(void)state;
	keyring_from_root(&keys, root);
	cluster_seal(&in, &keys);
	buf_init(&b);
	cluster_encode(&in, &b);
	assert_int_equal(b.size, 92);
	hex_encode(hex, buf_slice(&b));
	assert_string_equal(hex, expected);
	assert_int_equal(cluster_decode(buf_slice(&b), &out, why), OK);
	assert_memory_equal(&in, &out, sizeof(in));
	assert_int_equal(cluster_check(&out, &keys, "memory:", why), OK);
	for (size_t bit = 0; bit < 8 * b.size; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_int_equal(cluster_decode(buf_slice(&b), &out, why), ERR_CORRUPT);
		b.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	buf_done(&b);
}

static void assert_denied(const struct cluster *c, const struct keyring *keys, enum err expected,
			  const char *sentence)
{
	char why[TASK_WHY_BYTES] = "";

	assert_int_equal(cluster_check(c, keys, "file:/srv/bucket", why), expected);
	if (!strstr(why, sentence) || !strstr(why, "file:/srv/bucket"))
		fail_msg("\"%s\" does not say \"%s\"", why, sentence);
}

static void test_a_cluster_goes_only_with_its_own_keys(void **state)
{
	struct keyring keys = make_keys(1), others = make_keys(2), part;
	struct cluster open = { .id = { 1 } }, sealed = { .id = { 1 } };
	char why[TASK_WHY_BYTES];

	(void)state;
	cluster_seal(&sealed, &keys);
	assert_int_equal(cluster_check(&open, NULL, "", why), OK);
	assert_int_equal(keyring_for_role(&keys, KEY_ROLE_STREAMS, &part), OK);
	assert_int_equal(cluster_check(&sealed, &part, "", why), OK);
	assert_denied(&sealed, NULL, ERR_DENIED, "is sealed: give its key, ");
	assert_denied(&sealed, &others, ERR_DENIED, "is the key of another cluster");
	assert_denied(&open, &keys, ERR_DENIED, "is not sealed: give --seal no");
	sealed.id[0] ^= 1; /* with a right checksum, as whoever has no key could write it */
	assert_denied(&sealed, &keys, ERR_CORRUPT, "changed by somebody without the key");
	sealed.id[0] ^= 1;
	sealed.mac[31] ^= 1;
	assert_denied(&sealed, &keys, ERR_CORRUPT, "changed by somebody without the key");
}

/* --- opening -------------------------------------------------------------------------------- */

static void open_twice(int count, const char *class)
{
	struct place p;
	struct opener first, second;

	open_place(&p, count, class, 0);
	assert_int_equal(open_cluster(&first, &p), OK);
	assert_true(first.open.is_new);
	assert_int_equal(open_cluster(&second, &p), OK);
	assert_false(second.open.is_new);
	assert_memory_equal(&first.open.cluster, &second.open.cluster, sizeof(struct cluster));
	for (int k = 0; k < count; k++)
		assert_int_equal(count_names(&p, k), 1);
	close_place(&p);
}

static void test_an_empty_bucket_becomes_a_cluster_once(void **state)
{
	(void)state;
	open_twice(1, "cas");
	open_twice(1, "raw");
	open_twice(3, "cas");
	open_twice(3, "raw");
}

static void test_a_bucket_of_somebody_else_is_refused(void **state)
{
	struct place p;
	struct opener o;

	(void)state;
	open_place(&p, 3, "raw", 0);
	put(&p, 1, "photos/holiday.jpg", "x");
	assert_int_equal(open_cluster(&o, &p), ERR_INVALID);
	assert_non_null(strstr(o.open.task.why, "photos"));
	assert_int_equal(count_names(&p, 0), 0);
	close_place(&p);
}

static void test_what_an_interrupted_probe_left_is_no_stranger(void **state)
{
	struct place p;
	struct opener o;

	(void)state;
	open_place(&p, 1, "raw", 0);
	put(&p, 0, "v1/probe/0123456789abcdef/first", "x");
	assert_int_equal(open_cluster(&o, &p), OK);
	assert_true(o.open.is_new);
	close_place(&p);
}

static void test_a_newer_format_is_not_touched(void **state)
{
	struct place p;
	struct opener o;
	/* format 3, 20 bytes, with its checksum */
	static const uint8_t newer[] = { 'H', 'A', 'N', 'S', 'E', 'C', 'L',  'U',  0,	 3,
					 0,   0,   0,	0,   0,	  20,  0xc0, 0x9b, 0xc0, 0xaa };
	struct slice body = { newer, sizeof(newer) };
	struct cluster c;
	char why[TASK_WHY_BYTES];

	(void)state;
	open_place(&p, 1, "raw", 0);
	assert_int_equal(cluster_decode(body, &c, why), ERR_UNSUPPORTED);
	assert_int_equal(bucket_ask_put(p.loop, p.buckets[0], SLICE("v1/cluster"), body), OK);
	assert_int_equal(open_cluster(&o, &p), ERR_UNSUPPORTED);
	assert_int_equal(count_names(&p, 0), 1);
	close_place(&p);
}

static void test_an_emptied_bucket_of_a_used_cluster_is_refused(void **state)
{
	struct place p;
	struct opener o;

	(void)state;
	open_place(&p, 3, "raw", 0);
	assert_int_equal(open_cluster(&o, &p), OK);
	assert_int_equal(bucket_ask_delete(p.loop, p.buckets[2], SLICE("v1/cluster")), OK);
	assert_int_equal(open_cluster(&o, &p), OK); /* nothing in use yet: only not finished */
	assert_int_equal(bucket_ask_delete(p.loop, p.buckets[2], SLICE("v1/cluster")), OK);
	put(&p, 0, "v1/j/main/epoch/1", "x");
	assert_int_equal(open_cluster(&o, &p), ERR_INVALID);
	close_place(&p);
}

/* Another node made the cluster and began to lead it between our two lists. */
static void test_a_journal_that_begins_just_now_is_not_gone(void **state)
{
	struct place p;
	struct opener o;

	(void)state;
	open_place(&p, 1, "cas", 0);
	assert_int_equal(open_cluster(&o, &p), OK);
	p.buckets[0] = fault_bucket_new(p.buckets[0], 1);
	fault_add(p.buckets[0], &(struct fault) { .effect = FAULT_STALE,
						  .verbs = FAULT_VERB(BUCKET_LIST),
						  .prefix = "v1/j/",
						  .count = 1,
						  .for_ms = 60000 });
	put(&p, 0, "v1/j/main/epoch/1", "x");
	assert_int_equal(open_cluster(&o, &p), OK);
	close_place(&p);
}

static void test_a_used_bucket_without_its_journal_is_refused(void **state)
{
	struct place p;
	struct opener o;

	(void)state;
	open_place(&p, 1, "cas", 0);
	assert_int_equal(open_cluster(&o, &p), OK);
	assert_int_equal(open_cluster(&o, &p), OK); /* the first start was cut off after it */
	put(&p, 0, "v1/d/00/1-1", "x");
	assert_int_equal(open_cluster(&o, &p), ERR_INVALID);
	assert_non_null(strstr(o.open.task.why, "v1/j, is gone"));
	put(&p, 0, "v1/j/main/epoch/1", "x");
	assert_int_equal(open_cluster(&o, &p), OK);
	close_place(&p);
}

/* S2 */
static void test_buckets_of_two_clusters_are_refused(void **state)
{
	struct place p, alone;
	struct opener o;
	struct bucket *swap;

	(void)state;
	open_place(&p, 3, "raw", 0);
	alone = p;
	alone.count = 1;
	assert_int_equal(open_cluster(&o, &alone), OK);
	swap = alone.buckets[0];
	alone.buckets[0] = p.buckets[1];
	assert_int_equal(open_cluster(&o, &alone), OK);
	alone.buckets[0] = swap;
	assert_int_equal(open_cluster(&o, &p), ERR_INVALID);
	close_place(&p);
}

static void test_a_left_proposal_is_adopted(void **state)
{
	struct cluster c = { .id = { 7, 7, 7 }, .created_ms = 5 };
	struct place p;
	struct opener o;
	struct buf b;

	(void)state;
	buf_init(&b);
	cluster_encode(&c, &b);
	open_place(&p, 3, "raw", 0);
	assert_int_equal(bucket_ask_put(p.loop, p.buckets[0], SLICE("v1/cluster-new/0707"),
					buf_slice(&b)),
			 OK);
	assert_int_equal(open_cluster(&o, &p), OK);
	assert_memory_equal(o.open.cluster.id, c.id, sizeof(c.id));
	assert_int_equal(count_names(&p, 0), 1);
	buf_done(&b);
	close_place(&p);
}

/* Whoever says OK says the same id; who does not says ERR_CONFLICT and may try again. */
static void race(const char *class, uint64_t seed)
{
	struct place p;
	struct opener racers[RACERS], later;

	open_place(&p, seed % 2 ? 1 : 3, class, seed);
	for (int i = 0; i < RACERS; i++)
		start(&racers[i], &p);
	loop_run(p.loop);
	assert_int_equal(open_cluster(&later, &p), OK);
	for (int i = 0; i < RACERS; i++) {
		assert_true(racers[i].err == OK || racers[i].err == ERR_CONFLICT);
		if (racers[i].err == OK)
			assert_memory_equal(racers[i].open.cluster.id, later.open.cluster.id, 16);
	}
	close_place(&p);
}

static void test_two_first_starts_at_once_make_one_cluster(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		race("cas", seed);
		race("raw", seed);
	}
}

static void test_why_a_bucket_cannot_be_asked_is_said_to_the_end(void **state)
{
	char why[TASK_WHY_BYTES];
	struct opener o;
	struct place p;

	(void)state;
	assert_int_equal(setenv("AWS_ACCESS_KEY_ID", "key", 1), 0);
	assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "secret", 1), 0);
	open_place(&p, 1, "raw", 0);
	bucket_close(p.buckets[0]);
	assert_int_equal(bucket_open("s3://name?endpoint=http://127.0.0.1:1&timeout_ms=100",
				     &p.buckets[0], why),
			 OK);
	assert_int_equal(open_cluster(&o, &p), ERR_UNAVAILABLE);
	assert_non_null(strstr(o.open.task.why, "Couldn't connect to server"));
	close_place(&p);
}

static void open_sealed(int count, const char *class)
{
	struct keyring keys = make_keys(1), others = make_keys(2);
	struct place p;
	struct opener o;

	open_place(&p, count, class, 0);
	for (int k = 0; k < count; k++)
		p.buckets[k] = sealed_bucket_new(p.buckets[k], keyring_get(&keys, KEY_JOURNAL));
	assert_int_equal(open_with_keys(&o, &p, &keys), OK);
	assert_true(o.open.is_new && o.open.cluster.is_sealed);
	assert_int_equal(open_with_keys(&o, &p, &keys), OK);
	assert_false(o.open.is_new);
	assert_int_equal(open_with_keys(&o, &p, &others), ERR_DENIED);
	assert_int_equal(open_with_keys(&o, &p, NULL), ERR_DENIED);
	for (int k = 0; k < count; k++)
		assert_int_equal(count_names(&p, k), 1);
	close_place(&p);
}

static void test_a_sealed_cluster_is_opened_with_its_keys_only(void **state)
{
	(void)state;
	open_sealed(1, "cas");
	open_sealed(3, "cas");
	open_sealed(1, "raw");
	open_sealed(3, "raw");
}

/* A new key is put aside when the cluster has another one: nothing else may be said like it. */
static void test_a_bucket_that_may_not_be_written_says_nothing_of_keys(void **state)
{
	struct keyring keys = make_keys(1);
	struct place p;
	struct opener o;

	(void)state;
	for (int i = 0; i < 2; i++) {
		open_place(&p, 1, i ? "raw" : "cas", 0);
		p.buckets[0] = fault_bucket_new(p.buckets[0], 0);
		fault_add(p.buckets[0],
			  &(struct fault) { .effect = FAULT_AFTER,
					    .err = ERR_DENIED,
					    .verbs = FAULT_WRITES,
					    .prefix = CLUSTER_KEY,
					    .skip = (uint64_t)i, /* behind the proposal */
					    .count = 1 });
		p.buckets[0] = sealed_bucket_new(p.buckets[0], keyring_get(&keys, KEY_JOURNAL));
		assert_int_equal(open_with_keys(&o, &p, &keys), ERR_INVALID);
		assert_int_equal(open_with_keys(&o, &p, &keys), OK); /* it was made all the same */
		close_place(&p);
	}
}

static void test_a_cluster_that_is_not_sealed_takes_no_keys(void **state)
{
	struct keyring keys = make_keys(1);
	struct place p;
	struct opener o;

	(void)state;
	open_place(&p, 3, "cas", 0);
	assert_int_equal(open_cluster(&o, &p), OK);
	assert_false(o.open.cluster.is_sealed);
	assert_int_equal(open_with_keys(&o, &p, &keys), ERR_DENIED);
	close_place(&p);
}

static void test_a_bucket_that_does_not_answer_holds_up_nobody(void **state)
{
	struct opener o;
	struct place p;

	(void)state;
	open_place(&p, 3, "raw", 0);
	assert_int_equal(open_cluster(&o, &p), OK);
	put(&p, 1, "v1/j/main/epoch/x", "mark");
	bucket_close(p.buckets[0]);
	char why[TASK_WHY_BYTES];
	assert_int_equal(bucket_open("memory:cluster0?class=raw&latency_ms=60000", &p.buckets[0],
				     why),
			 OK);
	uint64_t begin_ms = clock_now_ms();
	assert_int_equal(open_cluster(&o, &p), OK);
	assert_false(o.open.is_new);
	assert_in_range(clock_now_ms() - begin_ms, CLUSTER_REST_MS, 4 * CLUSTER_REST_MS);
	close_place(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_encoded_is_decoded),
		cmocka_unit_test(test_every_flipped_bit_and_every_cut_is_noticed),
		cmocka_unit_test(test_a_sealed_one_is_as_documented),
		cmocka_unit_test(test_a_cluster_goes_only_with_its_own_keys),
		cmocka_unit_test(test_a_sealed_cluster_is_opened_with_its_keys_only),
		cmocka_unit_test(test_a_cluster_that_is_not_sealed_takes_no_keys),
		cmocka_unit_test(test_a_bucket_that_may_not_be_written_says_nothing_of_keys),
		cmocka_unit_test(test_an_empty_bucket_becomes_a_cluster_once),
		cmocka_unit_test(test_a_bucket_of_somebody_else_is_refused),
		cmocka_unit_test(test_what_an_interrupted_probe_left_is_no_stranger),
		cmocka_unit_test(test_a_newer_format_is_not_touched),
		cmocka_unit_test(test_an_emptied_bucket_of_a_used_cluster_is_refused),
		cmocka_unit_test(test_a_journal_that_begins_just_now_is_not_gone),
		cmocka_unit_test(test_a_used_bucket_without_its_journal_is_refused),
		cmocka_unit_test(test_buckets_of_two_clusters_are_refused),
		cmocka_unit_test(test_a_left_proposal_is_adopted),
		cmocka_unit_test(test_why_a_bucket_cannot_be_asked_is_said_to_the_end),
		cmocka_unit_test(test_a_bucket_that_does_not_answer_holds_up_nobody),
		cmocka_unit_test(test_two_first_starts_at_once_make_one_cluster),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
