/* A stream of frames, each read as what it says it is.  What is in boxes is also tried as if the
 * box had been opened: sealed here with the first byte's JSON. */
#include "wire/derp/derp.h"

#include <assert.h>

#include "wire/crypto/box.h"
#include "wire/crypto/x25519.h"

static const struct mesh_key secret = { { 0x40, 1, 2, 3, [31] = 0x41 } };

/* ClientInfo and ServerInfo with `plain` inside. */
static void read_opened(struct slice plain)
{
	static const uint8_t nonce[BOX_NONCE_BYTES] = { 7 };
	uint8_t shared[BOX_KEY_BYTES];
	struct derp_client_info client;
	struct derp_server_info server;
	struct mesh_key own, found;
	struct buf b = { 0 };

	if (plain.size > 1000)
		return;
	x25519_public(secret.bytes, own.bytes);
	bool is_key = box_shared(secret.bytes, own.bytes, shared);
	assert(is_key);
	buf_add(&b, own.bytes, sizeof(own.bytes));
	buf_add(&b, nonce, sizeof(nonce));
	box_seal(shared, nonce, plain, buf_reserve(&b, plain.size + BOX_TAG_BYTES));
	b.size += plain.size + BOX_TAG_BYTES;
	enum err err = derp_read_client_info(buf_slice(&b), &secret, &found, &client);
	assert(err == OK || err == ERR_INVALID);
	err = derp_read_server_info(slice_part(buf_slice(&b), sizeof(own.bytes), b.size), &secret,
				    &own, &server);
	assert(err == OK || err == ERR_INVALID);
	buf_done(&b);
}

static void read_all(struct slice payload)
{
	struct derp_peer_present present;
	struct derp_client_info client;
	struct derp_server_info server;
	struct mesh_key one, two;
	struct slice packet;
	uint32_t ms[2];
	uint8_t reason;

	(void)!derp_read_server_key(payload, &one);
	(void)!derp_read_client_info(payload, &secret, &one, &client);
	(void)!derp_read_server_info(payload, &secret, &secret, &server);
	if (derp_read_packet(payload, &one, &packet) == OK)
		(void)derp_is_disco(packet);
	(void)!derp_read_forward(payload, &one, &two, &packet);
	(void)!derp_read_peer_present(payload, &present);
	(void)!derp_read_peer_gone(payload, &one, &reason);
	(void)!derp_read_restarting(payload, &ms[0], &ms[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = { data, size };
	struct derp_head head;

	while (derp_read_head(rest, &head) == OK) {
		struct slice payload = slice_part(rest, DERP_HEAD_BYTES, head.size);
		if (head.type == DERP_CLIENT_INFO)
			read_opened(payload);
		read_all(payload);
		rest = slice_part(rest, DERP_HEAD_BYTES + payload.size, rest.size);
	}
	return 0;
}
