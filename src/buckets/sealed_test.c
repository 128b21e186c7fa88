/* Sealed buckets: what the keeper of the inner bucket sees, and whatever it does to objects. */
#include "buckets/sealed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "buckets/bucket_ask.h"
#include "buckets/fault.h"
#include "buckets/memory.h"

enum { CHUNK = SEALED_CHUNK_BYTES, STORED = SEALED_STORED_BYTES, EXTRA = SEALED_EXTRA_BYTES };

static const uint8_t key[SEALED_KEY_BYTES] = { 1, 2, 3 };
static const uint8_t other_key[SEALED_KEY_BYTES] = { 1, 2, 4 };

/* The store is shared by name: `raw` is the keeper's view of what `sealed` puts. */
struct place {
	struct loop *loop;
	struct bucket *raw, *sealed;
};

static struct bucket *open_store(void)
{
	char why[TASK_WHY_BYTES];
	struct bucket *b = NULL;

	assert_int_equal(bucket_open("memory:sealed-test", &b, why), OK);
	return b;
}

static int set_up(void **state)
{
	struct place *p = NEW(struct place);

	p->loop = loop_new(1);
	p->raw = open_store();
	p->sealed = sealed_bucket_new(open_store(), key);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	bucket_close(p->sealed);
	bucket_close(p->raw);
	memory_bucket_forget("sealed-test");
	loop_free(p->loop);
	memory_free(p);
	return 0;
}

/* Bytes that differ everywhere. */
static struct blob *make_body(size_t size, uint64_t seed)
{
	struct blob *b = blob_new(size);
	struct prng random = { seed };

	b->size = size;
	for (size_t i = 0; i < size; i++)
		b->data[i] = (uint8_t)prng_next(&random);
	return b;
}

static void put(struct place *p, const char *name, const struct blob *body)
{
	assert_int_equal(bucket_ask_put(p->loop, p->sealed, slice_from(name), blob_slice(body)),
			 OK);
}

static struct blob *get_raw(struct place *p, const char *name)
{
	struct blob *b = NULL;

	assert_int_equal(bucket_ask_get(p->loop, p->raw, slice_from(name), &b), OK);
	return b;
}

/* What only a keeper does: other bytes under a used name. */
static void replace_raw(struct place *p, const char *name, struct slice bytes)
{
	assert_int_equal(bucket_ask_delete(p->loop, p->raw, slice_from(name)), OK);
	assert_int_equal(bucket_ask_put(p->loop, p->raw, slice_from(name), bytes), OK);
}

static enum err get_range(struct place *p, const char *name, uint64_t offset, uint64_t size_max,
			  struct bucket_ask *ask)
{
	return bucket_ask(ask, p->loop, p->sealed,
			  &(struct bucket_op) { .verb = BUCKET_GET,
						.key = slice_from(name),
						.offset = offset,
						.size_max = size_max });
}

/* Whatever the keeper did to it: reading is refused, with a sentence that names the object. */
static void assert_refused(struct place *p, const char *name, const char *sentence)
{
	struct bucket_ask ask;

	assert_int_equal(get_range(p, name, 0, UINT64_MAX, &ask), ERR_CORRUPT);
	assert_null(ask.op.ret_body);
	if (strncmp(ask.why, name, strlen(name)) != 0 || !strstr(ask.why, sentence))
		fail_msg("\"%s\" does not say \"%s\" of %s", ask.why, sentence, name);
}

/* --- what the keeper sees -------------------------------------------------------------------- */
static void test_the_keeper_sees_nothing_of_the_body(void **state)
{
	struct place *p = *state;
	struct blob *body = make_body(0, 0), *raw;
	static const char text[] = "the quick brown fox jumps over the lazy dog";

	blob_unref(&body);
	body = blob_from(SLICE("the quick brown fox jumps over the lazy dog"));
	put(p, "v1/d/fox", body);
	raw = get_raw(p, "v1/d/fox");
	assert_int_equal(raw->size, body->size + EXTRA);
	for (size_t size = 4, i = 0; i + size <= sizeof(text) - 1; i++)
		assert_null(memmem(raw->data, raw->size, text + i, size));
	assert_null(memmem(raw->data, raw->size, key, 3));
	assert_null(memmem(raw->data, raw->size, "v1/d", 4));
	blob_unref(&raw);
	blob_unref(&body);
}

static void test_equal_puts_are_equal_bytes_and_others_share_nothing(void **state)
{
	struct place *p = *state;
	struct blob *body = make_body(1000, 1), *first, *second, *third;

	put(p, "a", body);
	first = get_raw(p, "a");
	put(p, "a", body); /* the store compares */
	assert_int_equal(bucket_ask_delete(p->loop, p->raw, SLICE("a")), OK);
	put(p, "a", body);
	second = get_raw(p, "a");
	assert_true(slice_equal(blob_slice(first), blob_slice(second)));
	put(p, "b", body);
	third = get_raw(p, "b");
	for (size_t i = SEALED_FRONT_BYTES; i + 4 <= first->size; i++)
		assert_memory_not_equal(first->data + i, third->data + i, 4);
	blob_unref(&third);
	blob_unref(&second);
	body->data[999] ^= 1;
	assert_int_equal(bucket_ask_delete(p->loop, p->raw, SLICE("a")), OK);
	put(p, "a", body);
	second = get_raw(p, "a");
	for (size_t i = SEALED_FRONT_BYTES; i + 4 <= first->size; i++)
		assert_memory_not_equal(first->data + i, second->data + i, 4);
	blob_unref(&second);
	blob_unref(&first);
	blob_unref(&body);
}

/* The vector of doc/formats/sealed.md, computed by another program. */
static void test_the_bytes_are_those_of_the_document(void **state)
{
	(void)state;
	static const char expected[] =
		"4853454101100001e123428df748be56ecab3dbdddecf112ec17d58f680ed26d"
		"9f42d80424c179f27244f2b735e3df3de53a1007c10245e6270aa23c3bc19455"
		"2282b6ffc6";
	uint8_t bytes[EXTRA + 5], whole_key[SEALED_KEY_BYTES];
	char hex[2 * sizeof(bytes) + 1];
	struct sealed_key k;
	struct slice piece = SLICE("hello");

	for (size_t i = 0; i < sizeof(whole_key); i++)
		whole_key[i] = (uint8_t)i;
	sealed_key_init(&k, whole_key);
	sealed_seal(&k, SLICE("v1/d/00/greeting"), &piece, 1, bytes);
	hex_encode(hex, (struct slice) { bytes, sizeof(bytes) });
	assert_string_equal(hex, expected);
	sealed_key_done(&k);
}

/* --- ranges ---------------------------------------------------------------------------------- */
static const size_t sizes[] = { 0,	   1,	      100,	     CHUNK - 1,	    CHUNK,
				CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7, 3 * CHUNK - 1, 5 * CHUNK };
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static void test_every_range_of_every_size_is_right(void **state)
{
	struct place *p = *state;
	static const int64_t near[] = { -2, -1, 0, 1, 2 };
	struct bucket_ask ask;
	char name[32];

	for (size_t n = 0; n < SIZES; n++) {
		struct blob *body = make_body(sizes[n], n), *raw;

		snprintf(name, sizeof(name), "size/%zu", sizes[n]);
		put(p, name, body);
		raw = get_raw(p, name);
		assert_int_equal(raw->size, sealed_size(sizes[n]));
		blob_unref(&raw);
		for (size_t i = 0; i < 30; i++) { /* around the borders of chunks */
			int64_t at = (int64_t)(i / 5) * CHUNK + near[i % 5];

			for (size_t j = 0; at >= 0 && j < 15; j++) {
				int64_t size = (int64_t)(j / 5) * CHUNK + near[j % 5];
				struct slice part;

				if (size < 0)
					continue;
				part = slice_part(blob_slice(body), (size_t)at, (size_t)size);
				assert_int_equal(get_range(p, name, (uint64_t)at, (uint64_t)size,
							   &ask),
						 OK);
				assert_int_equal(ask.op.ret_size, sizes[n]);
				assert_true(slice_equal(blob_slice(ask.op.ret_body), part));
				blob_unref(&ask.op.ret_body);
			}
		}
		blob_unref(&body);
	}
}

static void test_head_gives_the_size_of_the_plaintext(void **state)
{
	struct place *p = *state;
	uint64_t size = 0;

	for (size_t n = 0; n < SIZES; n++) {
		struct blob *body = make_body(sizes[n], n);

		put(p, "v1/x", body);
		assert_int_equal(bucket_ask_head(p->loop, p->sealed, SLICE("v1/x"), &size), OK);
		assert_int_equal(size, sizes[n]);
		assert_int_equal(bucket_ask_delete(p->loop, p->sealed, SLICE("v1/x")), OK);
		blob_unref(&body);
	}
	assert_int_equal(bucket_ask_put(p->loop, p->raw, SLICE("short"), SLICE("0123")), OK);
	assert_int_equal(bucket_ask_head(p->loop, p->sealed, SLICE("short"), &size), ERR_CORRUPT);
}

static void test_sizes_have_one_way_back(void **state)
{
	(void)state;
	uint64_t found, next = 0;

	for (uint64_t stored = 0; stored < 3 * STORED + 100; stored++) {
		if (!sealed_plain_size(stored, &found))
			continue;
		assert_int_equal(found, next++); /* each size once, in order */
		assert_int_equal(sealed_size(found), stored);
	}
	assert_true(next > 3 * CHUNK);
	assert_true(sealed_plain_size(UINT64_MAX, &found) == (sealed_size(found) == UINT64_MAX));
}

/* --- what a keeper does ---------------------------------------------------------------------- */
static void test_every_flipped_byte_is_found(void **state)
{
	struct place *p = *state;
	struct blob *body = make_body(200, 1), *raw;
	struct bucket_ask ask;

	put(p, "v1/d/flip", body);
	raw = get_raw(p, "v1/d/flip");
	for (size_t i = 0; i < raw->size; i++) {
		for (unsigned bit = 1; bit < 256; bit <<= 1) {
			enum err err;

			raw->data[i] ^= (uint8_t)bit;
			replace_raw(p, "v1/d/flip", blob_slice(raw));
			err = get_range(p, "v1/d/flip", 0, UINT64_MAX, &ask);
			assert_int_equal(err, ERR_CORRUPT);
			assert_memory_equal(ask.why, "v1/d/flip ", 10);
			assert_null(ask.op.ret_body);
			raw->data[i] ^= (uint8_t)bit;
		}
	}
	replace_raw(p, "v1/d/flip", blob_slice(raw));
	assert_int_equal(get_range(p, "v1/d/flip", 0, UINT64_MAX, &ask), OK);
	assert_true(slice_equal(blob_slice(ask.op.ret_body), blob_slice(body)));
	blob_unref(&ask.op.ret_body);
	blob_unref(&raw);
	blob_unref(&body);
}

static void test_a_flip_in_a_later_chunk_spares_the_others(void **state)
{
	struct place *p = *state;
	struct blob *body = make_body(3 * CHUNK + 10, 1), *raw;
	struct bucket_ask ask;

	put(p, "v1/d/flip", body);
	raw = get_raw(p, "v1/d/flip");
	raw->data[STORED + 1000] ^= 1;
	replace_raw(p, "v1/d/flip", blob_slice(raw));
	assert_refused(p, "v1/d/flip", "was changed, moved or cut off in chunk 1");
	assert_int_equal(get_range(p, "v1/d/flip", 0, CHUNK, &ask), OK);
	blob_unref(&ask.op.ret_body);
	assert_int_equal(get_range(p, "v1/d/flip", CHUNK - 1, 2, &ask), ERR_CORRUPT);
	assert_int_equal(get_range(p, "v1/d/flip", 2 * CHUNK, UINT64_MAX, &ask), OK);
	blob_unref(&ask.op.ret_body);
	blob_unref(&raw);
	blob_unref(&body);
}

static void test_every_truncation_is_found(void **state)
{
	struct place *p = *state;
	struct blob *body = make_body(3 * CHUNK + 10, 1), *raw;
	struct bucket_ask ask;
	static const int near[] = { -EXTRA - 1, -EXTRA, -EXTRA + 1, -1, 0, 1, EXTRA - 1, EXTRA };

	put(p, "v1/d/cut", body);
	raw = get_raw(p, "v1/d/cut");
	for (int chunk = 0; chunk < 4; chunk++) {
		for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++) {
			int size = chunk * STORED + near[i];

			if (size < 0)
				continue;
			replace_raw(p, "v1/d/cut", slice_part(blob_slice(raw), 0, (size_t)size));
			assert_refused(p, "v1/d/cut", "cut off");
			/* behind what is left: not an end */
			assert_int_equal(get_range(p, "v1/d/cut", (uint64_t)size + 1, 10, &ask),
					 ERR_CORRUPT);
			assert_int_equal(get_range(p, "v1/d/cut", 4 * CHUNK, 10, &ask),
					 ERR_CORRUPT);
		}
	}
	replace_raw(p, "v1/d/cut", slice_part(blob_slice(raw), 0, 2 * STORED));
	assert_refused(p, "v1/d/cut", "was cut off after chunk 1");
	blob_unref(&raw);
	blob_unref(&body);
}

static void test_what_was_appended_is_found(void **state)
{
	struct place *p = *state;
	struct blob *body = make_body(CHUNK, 1), *raw, *longer;

	put(p, "v1/d/more", body);
	raw = get_raw(p, "v1/d/more");
	longer = blob_new(2 * STORED);
	longer->size = 2 * STORED;
	memcpy(longer->data, raw->data, STORED);
	memcpy(longer->data + STORED, raw->data, STORED);
	replace_raw(p, "v1/d/more", blob_slice(longer));
	assert_refused(p, "v1/d/more", "has something behind its end, chunk 0");
	blob_unref(&longer);
	blob_unref(&raw);
	blob_unref(&body);
}

static void test_swapped_objects_are_found(void **state)
{
	struct place *p = *state;
	struct blob *one = make_body(500, 1), *two = make_body(500, 2), *raw_one, *raw_two;
	struct bucket_ask ask;

	put(p, "v1/d/one", one);
	put(p, "v1/d/two", two);
	raw_one = get_raw(p, "v1/d/one");
	raw_two = get_raw(p, "v1/d/two");
	replace_raw(p, "v1/d/one", blob_slice(raw_two));
	replace_raw(p, "v1/d/two", blob_slice(raw_one));
	assert_refused(p, "v1/d/one", "another object");
	assert_refused(p, "v1/d/two", "another object");
	/* an old object under a new name, whose beginning is the same */
	assert_int_equal(bucket_ask_put(p->loop, p->raw, SLICE("v1/d/one2"), blob_slice(raw_one)),
			 OK);
	assert_refused(p, "v1/d/one2", "another object");
	replace_raw(p, "v1/d/one", blob_slice(raw_one));
	assert_int_equal(get_range(p, "v1/d/one", 0, 500, &ask), OK);
	blob_unref(&ask.op.ret_body);
	blob_unref(&raw_two);
	blob_unref(&raw_one);
	blob_unref(&two);
	blob_unref(&one);
}

static void swap_chunks(uint8_t *a, uint8_t *b)
{
	static uint8_t kept[STORED];

	memcpy(kept, a, STORED);
	memcpy(a, b, STORED);
	memcpy(b, kept, STORED);
}

static void assert_chunk_opens(struct place *p, uint64_t number, bool expected)
{
	struct bucket_ask ask;

	assert_int_equal(get_range(p, "v1/d/one", number * CHUNK, CHUNK, &ask),
			 expected ? OK : ERR_CORRUPT);
	blob_unref(&ask.op.ret_body);
}

static void test_chunks_are_bound_to_their_place(void **state)
{
	struct place *p = *state;
	struct blob *one = make_body(3 * CHUNK, 1), *two = make_body(3 * CHUNK, 2);
	struct blob *raw_one, *raw_two;

	put(p, "v1/d/one", one);
	raw_one = get_raw(p, "v1/d/one");
	for (size_t i = 0; i < 3; i++)
		for (size_t j = 0; j < i; j++) { /* inside one object */
			swap_chunks(raw_one->data + i * STORED, raw_one->data + j * STORED);
			replace_raw(p, "v1/d/one", blob_slice(raw_one));
			assert_refused(p, "v1/d/one", "in chunk");
			for (uint64_t at = 0; at < 3; at++)
				assert_chunk_opens(p, at, at != i && at != j);
			swap_chunks(raw_one->data + i * STORED, raw_one->data + j * STORED);
		}
	put(p, "v1/d/two", two);
	raw_two = get_raw(p, "v1/d/two");
	for (size_t i = 0; i < 3; i++) { /* the same place of another object */
		swap_chunks(raw_one->data + i * STORED, raw_two->data + i * STORED);
		replace_raw(p, "v1/d/one", blob_slice(raw_one));
		assert_refused(p, "v1/d/one", i ? "does not belong" : "another object");
		assert_chunk_opens(p, i, false);
		swap_chunks(raw_one->data + i * STORED, raw_two->data + i * STORED);
	}
	blob_unref(&raw_two);
	blob_unref(&raw_one);
	blob_unref(&two);
	blob_unref(&one);
}

/* Two bodies under one name, which a caller never writes: no mixture of them is either. */
static void test_chunks_of_an_older_body_are_found(void **state)
{
	struct place *p = *state;
	struct blob *body = make_body(2 * CHUNK, 1), *old, *raw;

	put(p, "v1/d/one", body);
	old = get_raw(p, "v1/d/one");
	assert_int_equal(bucket_ask_delete(p->loop, p->raw, SLICE("v1/d/one")), OK);
	body->data[0] ^= 1; /* the second chunk's plaintext is the same */
	put(p, "v1/d/one", body);
	raw = get_raw(p, "v1/d/one");
	memcpy(raw->data + STORED, old->data + STORED, STORED);
	replace_raw(p, "v1/d/one", blob_slice(raw));
	assert_refused(p, "v1/d/one", "chunk 1 does not belong to those before it");
	blob_unref(&raw);
	blob_unref(&old);
	blob_unref(&body);
}

static void test_another_key_opens_nothing(void **state)
{
	struct place *p = *state;
	struct blob *body = make_body(100, 1);

	put(p, "v1/d/one", body);
	bucket_close(p->sealed);
	p->sealed = sealed_bucket_new(open_store(), other_key);
	assert_refused(p, "v1/d/one", "was sealed with another key");
	replace_raw(p, "v1/d/one", blob_slice(body));
	assert_refused(p, "v1/d/one", "is not sealed");
	replace_raw(p, "v1/d/one", SLICE(""));
	assert_refused(p, "v1/d/one", "cut off");
	blob_unref(&body);
}

static void test_a_long_name_leaves_room_for_what_happened(void **state)
{
	struct place *p = *state;
	char name[201] = "";
	struct bucket_ask ask;

	memset(name, 'n', sizeof(name) - 1);
	assert_int_equal(bucket_ask_put(p->loop, p->raw, slice_from(name), SLICE("")), OK);
	assert_int_equal(get_range(p, name, 0, 1, &ask), ERR_CORRUPT);
	assert_non_null(strstr(ask.why, "nnnn has a length that no sealed object has: cut off?"));
}

/* --- with a store that fails ----------------------------------------------------------------- */
static void test_a_body_cut_on_its_way_is_corrupt_and_no_error_is_changed(void **state)
{
	struct place *p = *state;
	struct bucket *fault = fault_bucket_new(open_store(), 1);
	struct bucket *sealed = sealed_bucket_new(fault, key);
	struct blob *body = make_body(CHUNK + 100, 1), *got = NULL;
	static const enum err errors[] = { ERR_UNKNOWN, ERR_UNAVAILABLE, ERR_FULL, ERR_IO,
					   ERR_DENIED };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		fault_add_nth(fault, 1, FAULT_AFTER, errors[i]);
		assert_int_equal(bucket_ask_put(p->loop, sealed, SLICE("a"), blob_slice(body)),
				 errors[i]);
		fault_clear(fault);
		assert_int_equal(bucket_ask_put(p->loop, sealed, SLICE("a"), blob_slice(body)),
				 OK); /* the same bytes again */
	}
	for (int i = 0; i < 20; i++) {
		fault_add_nth(fault, 1, i % 2 ? FAULT_CORRUPT : FAULT_TRUNCATE, OK);
		assert_int_not_equal(bucket_ask_get(p->loop, sealed, SLICE("a"), &got), OK);
		assert_null(got);
		fault_clear(fault);
	}
	assert_int_equal(bucket_ask_get(p->loop, sealed, SLICE("a"), &got), OK);
	assert_true(slice_equal(blob_slice(got), blob_slice(body)));
	blob_unref(&got);
	blob_unref(&body);
	assert_ptr_equal(sealed_inner(sealed), fault);
	assert_ptr_equal(sealed_inner(fault), fault);
	assert_true(bucket_is_sealed(sealed) && !bucket_is_sealed(fault));
	bucket_close(sealed);
}

/* --- large bodies do not block --------------------------------------------------------------- */
enum { LARGE_BYTES = 8 << 20, LARGE_PIECES = 20000, LARGE_COUNT = 4 };

struct large {
	struct task task;
	struct place *place;
	struct slice *pieces;
	struct bucket_op ops[LARGE_COUNT];
	char names[LARGE_COUNT][32];
	bool is_get;
};

static enum step large_step(struct task *t)
{
	struct large *l = CONTAINER(t, struct large, task);

	for (int i = 0; t->at == 0 && i < LARGE_COUNT; i++) {
		struct slice name = slice_from(l->names[i]);

		if (l->is_get)
			bucket_get(&l->ops[i], t, l->place->sealed, name, 0, UINT64_MAX);
		else
			bucket_put_pieces(&l->ops[i], t, l->place->sealed, name, l->pieces,
					  LARGE_PIECES);
	}
	return t->children > 0 ? task_wait(t, 1) : task_done(t, OK);
}

static const struct task_kind large_kind = { .name = "large", .step = large_step };

static void run_large(struct large *l)
{
	task_start_root(&l->task, &large_kind, l->place->loop);
	loop_run(l->place->loop);
	for (int i = 0; i < LARGE_COUNT; i++) {
		assert_int_equal(l->ops[i].task.err, OK);
		assert_non_null(l->ops[i].job.work); /* it was a worker that did it */
	}
}

static void test_large_bodies_in_many_pieces_are_sealed_beside_the_loop(void **state)
{
	struct large *l = NEW(struct large);
	struct blob *body = make_body(LARGE_BYTES, 1);
	struct prng random = { 3 };
	size_t at = 0;

	l->place = *state;
	l->pieces = memory_take_array(LARGE_PIECES, sizeof(*l->pieces));
	for (size_t i = 0; i < LARGE_PIECES; i++) {
		size_t size = prng_below(&random, 2 * LARGE_BYTES / LARGE_PIECES);

		l->pieces[i] = slice_part(blob_slice(body), at,
					  i + 1 == LARGE_PIECES ? LARGE_BYTES : size);
		at += l->pieces[i].size;
	}
	for (int i = 0; i < LARGE_COUNT; i++)
		snprintf(l->names[i], sizeof(l->names[i]), "v1/d/%d", i);
	run_large(l);
	l->is_get = true;
	run_large(l);
	for (int i = 0; i < LARGE_COUNT; i++) {
		assert_true(slice_equal(blob_slice(l->ops[i].ret_body), blob_slice(body)));
		blob_unref(&l->ops[i].ret_body);
	}
	blob_unref(&body);
	memory_free(l->pieces);
	memory_free(l);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_keeper_sees_nothing_of_the_body),
		TEST(test_equal_puts_are_equal_bytes_and_others_share_nothing),
		TEST(test_the_bytes_are_those_of_the_document),
		TEST(test_every_range_of_every_size_is_right),
		TEST(test_head_gives_the_size_of_the_plaintext),
		TEST(test_sizes_have_one_way_back),
		TEST(test_every_flipped_byte_is_found),
		TEST(test_a_flip_in_a_later_chunk_spares_the_others),
		TEST(test_every_truncation_is_found),
		TEST(test_what_was_appended_is_found),
		TEST(test_swapped_objects_are_found),
		TEST(test_chunks_are_bound_to_their_place),
		TEST(test_chunks_of_an_older_body_are_found),
		TEST(test_another_key_opens_nothing),
		TEST(test_a_long_name_leaves_room_for_what_happened),
		TEST(test_a_body_cut_on_its_way_is_corrupt_and_no_error_is_changed),
		TEST(test_large_bodies_in_many_pieces_are_sealed_beside_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
