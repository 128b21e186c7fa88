/* Any bytes as an initiation, as a response, and as the stream of frames behind them. */
#include "wire/noise/noise.h"

#include <stdlib.h>

#include "wire/crypto/x25519.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static const struct mesh_key client = { { 1 } }, server = { { 2 } }, ephemeral = { { 3 } };

static void read_frames(struct noise_channel *c, struct slice in)
{
	struct noise_frame frame;
	struct buf plain;

	buf_init(&plain);
	while (noise_frame_read(in, &frame) == OK) {
		require(frame.size <= in.size && frame.size <= NOISE_FRAME_BYTES_MAX);
		if (frame.kind == NOISE_RECORD && noise_open(c, frame.body, &plain))
			break;
		in = slice_part(in, frame.size, in.size);
	}
	buf_done(&plain);
}

static void read_as_server(struct slice in)
{
	uint8_t response[NOISE_RESPONSE_BYTES];
	struct noise_channel channel = { 0 };
	struct noise_peer peer;

	if (noise_answer(&server, slice_part(in, 0, NOISE_INITIATION_BYTES), &ephemeral, &peer,
			 response, &channel) == OK)
		in = slice_part(in, NOISE_INITIATION_BYTES, in.size);
	read_frames(&channel, in);
}

static void read_as_client(struct slice in)
{
	uint8_t initiation[NOISE_INITIATION_BYTES];
	struct noise_channel channel = { 0 };
	struct noise_handshake h;
	struct mesh_key public;

	x25519_public(server.bytes, public.bytes);
	require(noise_initiate(&h, 142, &client, &public, &ephemeral, initiation) == OK);
	if (noise_finish(&h, slice_part(in, 0, NOISE_RESPONSE_BYTES), &channel) == OK)
		in = slice_part(in, NOISE_RESPONSE_BYTES, in.size);
	read_frames(&channel, in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { data, size };

	uint8_t initiation[NOISE_INITIATION_BYTES];

	if (noise_initiation_parse(in, initiation) == OK)
		read_as_server((struct slice) { initiation, sizeof(initiation) });
	read_as_server(in);
	read_as_client(in);
	return 0;
}
