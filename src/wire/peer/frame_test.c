#include "wire/peer/frame.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/text.h"
#include "peer_messages.h"

static struct peer_heartbeat_request heartbeat(void)
{
	return (struct peer_heartbeat_request) {
		.node = SLICE("harbour"),
		.epoch_counter = 5,
		.epoch_nonce = 0x1122334455667788,
	};
}

static void encode_heartbeat(struct buf *out, uint32_t correlation_id)
{
	struct peer_heartbeat_request message = heartbeat();

	assert_int_equal(frame_encode(out, &peer_heartbeat_request_schema, 0, correlation_id,
				      &message),
			 OK);
}

/* The example of doc/formats/peer.md. */
static void test_a_frame_has_the_bytes_that_the_format_says(void **state)
{
	struct buf out;
	char hex[128];

	(void)state;
	buf_init(&out);
	encode_heartbeat(&out, 7);
	assert_int_equal(out.size, 41);
	hex_encode(hex, buf_slice(&out));
	assert_string_equal(hex, "00000025"
				 "000d"
				 "0000"
				 "00000007"
				 "08686172626f7572"
				 "0000000000000005"
				 "1122334455667788"
				 "00"
				 "31527bae");
	buf_done(&out);
}

static void test_frames_come_out_of_a_stream_one_by_one(void **state)
{
	struct buf stream;
	struct arena arena = { 0 };

	(void)state;
	buf_init(&stream);
	for (uint32_t i = 1; i <= 3; i++)
		encode_heartbeat(&stream, i);
	struct slice in = buf_slice(&stream);
	for (uint32_t i = 1; i <= 3; i++) {
		struct frame frame;
		struct peer_heartbeat_request message;
		const struct schema *s = &peer_heartbeat_request_schema;

		assert_int_equal(frame_decode(&in, &frame), OK);
		assert_int_equal(frame.message, PEER_HEARTBEAT_REQUEST);
		assert_int_equal(frame.correlation_id, i);
		assert_ptr_equal(peer_schema_find(frame.message), s);
		assert_int_equal(frame_decode_body(&arena, &frame, s, &message), OK);
		assert_true(slice_equal(message.node, SLICE("harbour")));
		assert_int_equal(message.epoch_nonce, 0x1122334455667788);
	}
	assert_int_equal(in.size, 0);
	arena_done(&arena);
	buf_done(&stream);
}

static void test_a_frame_that_is_not_whole_waits_for_more(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out);
	encode_heartbeat(&out, 1);
	for (size_t size = 0; size < out.size; size++) {
		struct slice in = { out.data, size };
		struct frame frame = { .message = 99 };
		assert_int_equal(frame_decode(&in, &frame), ERR_NOT_FOUND);
		assert_int_equal(in.size, size);
		assert_int_equal(frame.message, 99);
	}
	buf_done(&out);
}

static void test_every_flipped_bit_is_noticed(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out);
	encode_heartbeat(&out, 1);
	for (size_t bit = 0; bit < out.size * 8; bit++) {
		struct slice in = buf_slice(&out);
		struct frame frame;

		out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		enum err err = frame_decode(&in, &frame);
		if (bit >= 32)
			assert_int_equal(err, ERR_CORRUPT);
		assert_int_not_equal(err, OK);
		out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	buf_done(&out);
}

static void test_impossible_lengths_are_refused_at_once(void **state)
{
	static const uint8_t too_big[] = { 1, 0, 0, 1 }, small[] = { 0, 0, 0, 11 };
	struct slice in = { too_big, sizeof(too_big) };
	struct frame frame;

	(void)state;
	assert_int_equal(frame_decode(&in, &frame), ERR_TOO_BIG);
	in = (struct slice) { small, sizeof(small) };
	assert_int_equal(frame_decode(&in, &frame), ERR_CORRUPT);
}

static void test_the_biggest_body_fits_and_one_byte_more_leaves_nothing_behind(void **state)
{
	struct buf out;
	struct frame frame;

	(void)state;
	buf_init(&out);
	buf_add_u8(&out, 0xee);
	size_t start = frame_begin(&out, PEER_RECORD_PUSH, 0, PEER_CORRELATION_PUSH);
	buf_add_zero(&out, PEER_BODY_BYTES_MAX);
	assert_int_equal(frame_end(&out, start), OK);
	struct slice in = slice_part(buf_slice(&out), 1, out.size);
	assert_int_equal(frame_decode(&in, &frame), OK);
	assert_int_equal(frame.body.size, PEER_BODY_BYTES_MAX);
	assert_int_equal(in.size, 0);

	out.size = 1;
	start = frame_begin(&out, PEER_RECORD_PUSH, 0, PEER_CORRELATION_PUSH);
	buf_add_zero(&out, PEER_BODY_BYTES_MAX + 1);
	assert_int_equal(frame_end(&out, start), ERR_TOO_BIG);
	assert_int_equal(out.size, 1);
	buf_done(&out);
}

static void test_other_messages_and_newer_versions_are_told_apart(void **state)
{
	struct frame frame = { .message = PEER_SYNC_REQUEST, .body = SLICE("\0") };
	struct peer_sync_request message;
	struct arena arena = { 0 };

	(void)state;
	const struct schema *s = &peer_sync_request_schema;
	assert_int_equal(frame_decode_body(&arena, &frame, s, &message), OK);
	frame.version = 1;
	assert_int_equal(frame_decode_body(&arena, &frame, s, &message), ERR_UNSUPPORTED);
	frame.version = UINT16_MAX;
	assert_int_equal(frame_decode_body(&arena, &frame, s, &message), ERR_UNSUPPORTED);
	frame = (struct frame) { .message = PEER_SYNC_RESPONSE, .body = SLICE("\0") };
	assert_int_equal(frame_decode_body(&arena, &frame, s, &message), ERR_INVALID);
	frame = (struct frame) { .message = PEER_SYNC_REQUEST, .body = SLICE("\0\0") };
	assert_int_equal(frame_decode_body(&arena, &frame, s, &message), ERR_INVALID);
	assert_null(peer_schema_find(0));
	assert_null(peer_schema_find(999));
	arena_done(&arena);
}

static void test_an_error_of_a_newer_release_is_still_an_error(void **state)
{
	(void)state;
	for (int err = 0; err < ERR_COUNT; err++)
		assert_int_equal(peer_error_decode((int16_t)err), err);
	assert_int_equal(peer_error_decode(ERR_COUNT), ERR_UNKNOWN);
	assert_int_equal(peer_error_decode(-1), ERR_UNKNOWN);
}

static void test_a_commit_of_many_batches_arrives_as_it_was_sent(void **state)
{
	enum { BATCHES = 1000 };
	struct peer_commit_file_request_batch *batches =
		memory_take_array(BATCHES, sizeof(*batches));
	struct peer_commit_file_request_run run = { .partition = 3, .batches = batches };
	struct peer_commit_file_request sent = { .key = SLICE("v1/d/ab/1-2"), .runs = &run };
	struct peer_commit_file_request got;
	struct arena arena = { 0 };
	struct frame frame;
	struct buf out;

	(void)state;
	buf_init(&out);
	sent.runs_count = 1;
	run.batches_count = BATCHES;
	for (int i = 0; i < BATCHES; i++) {
		batches[i].size = i;
		batches[i].crc = 0xfffffff0u + (uint32_t)i % 16;
		batches[i].producer_id = -1;
	}
	const struct schema *s = &peer_commit_file_request_schema;
	assert_int_equal(frame_encode(&out, s, 0, 1, &sent), OK);
	struct slice in = buf_slice(&out);
	assert_int_equal(frame_decode(&in, &frame), OK);
	assert_int_equal(frame_decode_body(&arena, &frame, s, &got), OK);
	assert_int_equal(got.runs_count, 1);
	assert_int_equal(got.runs[0].batches_count, BATCHES);
	for (int i = 0; i < BATCHES; i++) {
		assert_int_equal(got.runs[0].batches[i].size, i);
		assert_int_equal(got.runs[0].batches[i].crc, 0xfffffff0u + (uint32_t)i % 16);
		assert_int_equal(got.runs[0].batches[i].producer_id, -1);
	}
	buf_done(&out);
	arena_done(&arena);
	memory_free(batches);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_frame_has_the_bytes_that_the_format_says),
		cmocka_unit_test(test_frames_come_out_of_a_stream_one_by_one),
		cmocka_unit_test(test_a_frame_that_is_not_whole_waits_for_more),
		cmocka_unit_test(test_every_flipped_bit_is_noticed),
		cmocka_unit_test(test_impossible_lengths_are_refused_at_once),
		cmocka_unit_test(
			test_the_biggest_body_fits_and_one_byte_more_leaves_nothing_behind),
		cmocka_unit_test(test_other_messages_and_newer_versions_are_told_apart),
		cmocka_unit_test(test_an_error_of_a_newer_release_is_still_an_error),
		cmocka_unit_test(test_a_commit_of_many_batches_arrives_as_it_was_sent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
