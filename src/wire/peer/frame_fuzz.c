/* Any bytes as a stream of frames, and any bytes as the body of a frame. */
#include "wire/peer/frame.h"

#include <stdlib.h>

#include "peer_messages.h"

enum { STRUCT_BYTES = 1024, FRONT_BYTES = 5 };

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* A frame that was accepted encodes to the bytes it came from. */
static void read_stream(struct slice in)
{
	struct frame frame;
	struct slice before = in;

	while (frame_decode(&in, &frame) == OK) {
		struct buf out;

		buf_init(&out);
		size_t start =
			frame_begin(&out, frame.message, frame.version, frame.correlation_id);
		buf_add_slice(&out, frame.body);
		require(frame_end(&out, start) == OK);
		require(slice_equal(buf_slice(&out), slice_part(before, 0, before.size - in.size)));
		buf_done(&out);
		before = in;
	}
}

static void read_body(const struct frame *frame)
{
	static uint64_t value[STRUCT_BYTES / 8];
	const struct schema *s = peer_schema_find(frame->message);
	struct arena arena;
	struct buf out;

	if (!s)
		return;
	require(s->struct_bytes <= sizeof(value));
	arena_init(&arena);
	buf_init(&out);
	if (frame_decode_body(&arena, frame, s, value) == OK)
		require(frame_encode(&out, s, frame->version, 1, value) == OK);
	buf_done(&out);
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { data, size };
	struct frame frame;
	struct buf out;

	read_stream(in);
	if (size < FRONT_BYTES)
		return 0;
	buf_init(&out);
	size_t start = frame_begin(&out, data[0] % 16, data[1] % 2, data[2]);
	buf_add(&out, data + FRONT_BYTES, size - FRONT_BYTES);
	require(frame_end(&out, start) == OK);
	in = slice_part(buf_slice(&out), 0, out.size - data[3] % 4);
	enum err err = frame_decode(&in, &frame);
	require(err == (data[3] % 4 ? ERR_NOT_FOUND : OK));
	if (err == OK)
		read_body(&frame);
	buf_done(&out);
	return 0;
}
