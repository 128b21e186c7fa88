/* The secure channel of the ts2021 control protocol: Noise_IK_25519_ChaChaPoly_BLAKE2s, both sides.
 *
 *	client                                                              server
 *	u16 version | 1 | u16 96 | key 32 | machine key 48 | tag 16  -->  initiation, 101 bytes
 *	    <--  2 | u16 48 | key 32 | tag 16                              response, 51 bytes
 *	    <->  4 | u16 size | ciphertext                                 records, <= 4096 bytes
 *	    <--  3 | u16 size | text                                       error, not an answer
 *
 * Where it differs from what Noise and WireGuard do: the nonce of a record is four zero bytes and a
 * big-endian counter; only the initiation has the version in front of its header; the version is
 * also in the prologue, in decimal.  Pure: randomness comes in, nothing waits. */
#ifndef WIRE_NOISE_NOISE_H
#define WIRE_NOISE_NOISE_H

#include "base/buf.h"
#include "wire/mesh_key.h"

enum {
	NOISE_INITIATION_BYTES = 101,
	NOISE_RESPONSE_BYTES = 51,
	NOISE_HEADER_BYTES = 3,
	NOISE_FRAME_BYTES_MAX = 4096, /* with its header */
	NOISE_PLAIN_BYTES_MAX = 4077, /* of one record */
	NOISE_ERROR_BYTES_MAX = 1024, /* of the text that we keep or send */
};

/* A channel past its handshake.  Wipe it with noise_channel_wipe(). */
struct noise_channel {
	struct mesh_key send_key, receive_key;
	uint64_t sent, received; /* records */
};

/* The client between its initiation and the response; wiped by noise_finish(). */
struct noise_handshake {
	uint8_t hash[32];
	uint8_t chain[32];
	struct mesh_key ephemeral; /* secret */
	struct mesh_key secret;
};

/* Who the initiation is from: proven once the client's first record opens, as a handshake that was
 * recorded elsewhere can be sent again by anyone but leads to no channel. */
struct noise_peer {
	unsigned version;
	struct mesh_key machine;
};

/* `ephemeral` is a fresh random secret.  ERR_INVALID: `server` is no key one can speak to. */
MUST_CHECK enum err noise_initiate(struct noise_handshake *h, unsigned version,
				   const struct mesh_key *secret, const struct mesh_key *server,
				   const struct mesh_key *ephemeral,
				   uint8_t ret[NOISE_INITIATION_BYTES]);

/* The client's end of the handshake; `response` is a whole frame.  ERR_DENIED: whoever answered
 * does not have the server's key; ERR_INVALID: that is no response. */
MUST_CHECK enum err noise_finish(struct noise_handshake *h, struct slice response,
				 struct noise_channel *ret);

/* The server's side.  ERR_INVALID: that is no initiation; ERR_DENIED: it is not for `secret`. */
MUST_CHECK enum err noise_answer(const struct mesh_key *secret, struct slice initiation,
				 const struct mesh_key *ephemeral, struct noise_peer *ret_peer,
				 uint8_t ret_response[NOISE_RESPONSE_BYTES],
				 struct noise_channel *ret_channel);

/* The version an initiation claims, before anything is computed. */
MUST_CHECK enum err noise_initiation_version(struct slice initiation, unsigned *ret);

/* The initiation as text, as it stands in the header X-Tailscale-Handshake of the upgrade. */
enum { NOISE_INITIATION_TEXT_BYTES = 136 };
void noise_initiation_text(const uint8_t initiation[NOISE_INITIATION_BYTES],
			   char ret[NOISE_INITIATION_TEXT_BYTES + 1]);
MUST_CHECK enum err noise_initiation_parse(struct slice text, uint8_t ret[NOISE_INITIATION_BYTES]);

enum noise_frame_kind { NOISE_RESPONSE = 2, NOISE_ERROR = 3, NOISE_RECORD = 4 };

struct noise_frame {
	enum noise_frame_kind kind;
	struct slice body; /* without the header */
	size_t size;	   /* with it */
};

/* The frame at the front of `bytes`.  ERR_BUSY: it is not whole yet; ERR_INVALID: none is. */
MUST_CHECK enum err noise_frame_read(struct slice bytes, struct noise_frame *ret);

/* Append `plain` to `ret` as records. */
void noise_seal(struct noise_channel *c, struct slice plain, struct buf *ret);

/* Append what a record holds, which may be nothing, to `ret`.  ERR_CORRUPT: it was changed on its
 * way; the channel is of no use any more. */
MUST_CHECK enum err noise_open(struct noise_channel *c, struct slice body, struct buf *ret);

/* Append an error frame.  It proves nothing to who reads it. */
void noise_add_error(struct slice text, struct buf *ret);

void noise_channel_wipe(struct noise_channel *c);

#endif
