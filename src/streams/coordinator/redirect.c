#include "streams/coordinator/redirect.h"

#include "base/arena.h"
#include "peer_messages.h"
#include "wire/peer/frame.h"

static bool can_follow(const struct frame *frame)
{
	struct peer_hello_request hello;
	struct arena a;

	if (frame->message != PEER_HELLO_REQUEST)
		return false;
	arena_init(&a);
	bool can = frame_decode_body(&a, frame, &peer_hello_request_schema, &hello) == OK &&
		   hello.follows;
	arena_done(&a);
	return can;
}

bool redirect_hello(struct stream *s, const char *leader)
{
	struct slice in = stream_inbox(s);
	size_t before = in.size;
	struct frame frame;
	struct buf answer;

	if (frame_decode(&in, &frame) || !can_follow(&frame))
		return false;
	struct peer_hello_response response = {
		.error = ERR_UNAVAILABLE,
		.message = SLICE("another node leads"),
		.leader = slice_from(leader),
	};
	buf_init(&answer);
	enum err err = frame_encode(&answer, &peer_hello_response_schema, 0, frame.correlation_id,
				    &response);
	if (!err)
		stream_write_buf(s, &answer);
	buf_done(&answer);
	stream_consume(s, before - in.size);
	return err == OK;
}
