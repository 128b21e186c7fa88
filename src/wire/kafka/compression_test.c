#include "wire/kafka/compression.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/endian.h"
#include "base/memory.h"
#include "base/random.h"

static enum err decompress(enum compression codec, struct slice in, size_t size_max,
			   struct buf *ret)
{
	struct arena a;
	struct slice out = { 0 };

	arena_init(&a);
	enum err err = compression_decompress(&a, codec, in, size_max, &out);
	buf_clear(ret);
	if (err == OK)
		buf_add_slice(ret, out);
	arena_done(&a);
	return err;
}

static void test_every_codec_gives_back_what_it_was_given(void **state)
{
	static uint8_t text[300000];
	struct prng prng = { 3 };
	struct buf packed, plain;

	(void)state;
	buf_init(&packed);
	buf_init(&plain);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i < 1000 ? (uint8_t)prng_next(&prng)
				   : (uint8_t)(text[i - 1000] + !(i % 997));
	for (int codec = 0; codec < COMPRESSION_COUNT; codec++) {
		for (size_t size = 1; size <= sizeof(text); size = size * 3 + 7) {
			struct slice in = { text, size };
			buf_clear(&packed);
			compression_compress(&packed, (enum compression)codec, in);
			assert_int_equal(decompress((enum compression)codec, buf_slice(&packed),
						    size, &plain),
					 OK);
			assert_true(slice_equal(buf_slice(&plain), in));
			assert_int_equal(decompress((enum compression)codec, buf_slice(&packed),
						    size - 1, &plain),
					 ERR_TOO_BIG);
		}
	}
	buf_done(&plain);
	buf_done(&packed);
}

static void test_xerial_blocks_are_joined(void **state)
{
	struct buf packed, plain;
	struct slice in = SLICE("a text that takes several blocks, blocks, blocks");

	(void)state;
	buf_init(&packed);
	buf_init(&plain);
	for (size_t block_bytes = 1; block_bytes < 60; block_bytes += 7) {
		buf_clear(&packed);
		compression_compress_xerial(&packed, in, block_bytes);
		struct slice bytes = buf_slice(&packed);
		assert_int_equal(decompress(COMPRESSION_SNAPPY, bytes, 1000, &plain), OK);
		assert_true(slice_equal(buf_slice(&plain), in));
		assert_int_equal(decompress(COMPRESSION_SNAPPY, bytes, in.size - 1, &plain),
				 ERR_TOO_BIG);
	}
	/* a block that claims more than there is */
	put_u32(packed.data + 16, 0xffffffff);
	assert_int_equal(decompress(COMPRESSION_SNAPPY, buf_slice(&packed), 1000, &plain),
			 ERR_INVALID);
	buf_done(&plain);
	buf_done(&packed);
}

/* S3 */
static void test_a_bomb_is_too_big(void **state)
{
	struct buf packed, plain;
	size_t size = RECORDS_BYTES_MAX;
	uint8_t *zeros = memory_take(size);

	(void)state;
	buf_init(&packed);
	buf_init(&plain);
	for (int codec = COMPRESSION_GZIP; codec < COMPRESSION_COUNT; codec++) {
		buf_clear(&packed);
		compression_compress(&packed, (enum compression)codec,
				     (struct slice) { zeros, size });
		assert_in_range(packed.size, 1, size / 20);
		assert_int_equal(decompress((enum compression)codec, buf_slice(&packed), size - 1,
					    &plain),
				 ERR_TOO_BIG);
	}
	memory_free(zeros);
	buf_done(&plain);
	buf_done(&packed);
}

static void test_a_claim_that_cannot_be_kept_is_refused_before_it_costs(void **state)
{
	struct buf plain;

	(void)state;
	buf_init(&plain);
	/* snappy: 60 MiB in 6 bytes; 4 GiB */
	assert_int_equal(decompress(COMPRESSION_SNAPPY, SLICE("\x80\x80\x80\x1e\x00x"),
				    RECORDS_BYTES_MAX, &plain),
			 ERR_INVALID);
	assert_int_equal(decompress(COMPRESSION_SNAPPY, SLICE("\xff\xff\xff\xff\x0f\x00x"),
				    RECORDS_BYTES_MAX, &plain),
			 ERR_TOO_BIG);
	/* zstd: a window of 2 GiB */
	assert_int_equal(decompress(COMPRESSION_ZSTD, SLICE("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00"),
				    RECORDS_BYTES_MAX, &plain),
			 ERR_INVALID);
	buf_done(&plain);
}

static void test_what_is_in_no_format_is_refused(void **state)
{
	struct buf plain;

	(void)state;
	buf_init(&plain);
	for (int codec = COMPRESSION_GZIP; codec < COMPRESSION_COUNT; codec++) {
		enum compression c = (enum compression)codec;
		assert_int_equal(decompress(c, SLICE(""), 9999, &plain), ERR_INVALID);
		assert_int_equal(decompress(c, SLICE("\xf0 no such thing"), 9999, &plain),
				 ERR_INVALID);
	}
	buf_done(&plain);
}

static void test_two_frames_are_one_text(void **state)
{
	static const enum compression codecs[] = { COMPRESSION_GZIP, COMPRESSION_LZ4,
						   COMPRESSION_ZSTD };
	struct buf packed, plain;

	(void)state;
	buf_init(&packed);
	buf_init(&plain);
	for (size_t i = 0; i < 3; i++) {
		buf_clear(&packed);
		compression_compress(&packed, codecs[i], SLICE("one "));
		compression_compress(&packed, codecs[i], SLICE(""));
		compression_compress(&packed, codecs[i], SLICE("two"));
		assert_int_equal(decompress(codecs[i], buf_slice(&packed), 7, &plain), OK);
		assert_true(slice_equal(buf_slice(&plain), SLICE("one two")));
		buf_add_text(&packed, "?");
		assert_int_equal(decompress(codecs[i], buf_slice(&packed), 7, &plain), ERR_INVALID);
	}
	buf_done(&plain);
	buf_done(&packed);
}

static void test_codecs_have_the_names_of_the_configuration(void **state)
{
	(void)state;
	assert_string_equal(compression_name(COMPRESSION_NONE), "none");
	assert_string_equal(compression_name(COMPRESSION_ZSTD), "zstd");
	assert_string_equal(compression_name(COMPRESSION_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_codec_gives_back_what_it_was_given),
		cmocka_unit_test(test_xerial_blocks_are_joined),
		cmocka_unit_test(test_a_bomb_is_too_big),
		cmocka_unit_test(test_a_claim_that_cannot_be_kept_is_refused_before_it_costs),
		cmocka_unit_test(test_what_is_in_no_format_is_refused),
		cmocka_unit_test(test_two_frames_are_one_text),
		cmocka_unit_test(test_codecs_have_the_names_of_the_configuration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
