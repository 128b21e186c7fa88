/* The handshake of WireGuard, Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s: two messages, and both sides
 * have the same two keys.  Pure: ephemeral secrets, indexes and timestamps come from the caller.
 *
 *     initiator                                   responder
 *     wireguard_initiate()   --- initiation --->  wireguard_open_static()     who may that be
 *                                                 wireguard_open_timestamp()  it is
 *     wireguard_open_response() <-- response ---  wireguard_respond()
 *     wireguard_take_keys()                       wireguard_take_keys()
 *
 * The macs of the messages are message.h's. */
#ifndef WIRE_WIREGUARD_HANDSHAKE_H
#define WIRE_WIREGUARD_HANDSHAKE_H

#include "base/err.h"
#include "wire/wireguard/message.h"

/* Ourselves. */
struct wireguard_identity {
	uint8_t secret[WIREGUARD_KEY_BYTES];
	uint8_t public[WIREGUARD_KEY_BYTES];
	uint8_t mac_key[WIREGUARD_KEY_BYTES];	 /* of mac1 in what is said to us */
	uint8_t cookie_key[WIREGUARD_KEY_BYTES]; /* of the cookies we send */
};

/* Another one, as seen by an identity. */
struct wireguard_remote {
	uint8_t public[WIREGUARD_KEY_BYTES];
	uint8_t shared[WIREGUARD_KEY_BYTES]; /* of both static keys */
	uint8_t preshared[WIREGUARD_KEY_BYTES];
	uint8_t mac_key[WIREGUARD_KEY_BYTES];
	uint8_t cookie_key[WIREGUARD_KEY_BYTES];
};

/* What is between the two messages.  Wipe it when it is over. */
struct wireguard_handshake {
	uint8_t hash[WIREGUARD_KEY_BYTES];
	uint8_t chain[WIREGUARD_KEY_BYTES];
	uint8_t ephemeral[WIREGUARD_KEY_BYTES];	       /* the own secret one */
	uint8_t remote_ephemeral[WIREGUARD_KEY_BYTES]; /* the other's public one */
	uint32_t local_index, remote_index;
};

/* `secret` is clamped. */
void wireguard_identity_init(struct wireguard_identity *own,
			     const uint8_t secret[WIREGUARD_KEY_BYTES]);
/* `preshared` stays as it is.  False: nobody can have this key. */
MUST_CHECK bool wireguard_remote_init(struct wireguard_remote *r,
				      const struct wireguard_identity *own,
				      const uint8_t public[WIREGUARD_KEY_BYTES]);

/* The initiation, without macs.  False, in this and the others: keys of small order. */
MUST_CHECK bool wireguard_initiate(const struct wireguard_identity *own,
				   const struct wireguard_remote *r,
				   const uint8_t ephemeral[WIREGUARD_KEY_BYTES],
				   const uint8_t timestamp[WIREGUARD_TIMESTAMP_BYTES],
				   uint32_t index, struct wireguard_handshake *ret,
				   uint8_t message[WIREGUARD_INITIATION_BYTES]);

/* Who says to have sent it; false: nobody who knows our key.  Then, with the remote of that key,
 * when: false means that it is not theirs. */
MUST_CHECK bool wireguard_open_static(const struct wireguard_identity *own,
				      const uint8_t message[WIREGUARD_INITIATION_BYTES],
				      struct wireguard_handshake *ret,
				      uint8_t ret_public[WIREGUARD_KEY_BYTES]);
MUST_CHECK bool wireguard_open_timestamp(const struct wireguard_remote *r,
					 const uint8_t message[WIREGUARD_INITIATION_BYTES],
					 struct wireguard_handshake *h,
					 uint8_t ret[WIREGUARD_TIMESTAMP_BYTES]);

/* The response, without macs. */
MUST_CHECK bool wireguard_respond(const struct wireguard_remote *r,
				  const uint8_t ephemeral[WIREGUARD_KEY_BYTES], uint32_t index,
				  struct wireguard_handshake *h,
				  uint8_t message[WIREGUARD_RESPONSE_BYTES]);

/* `h` changes only when the response is good. */
MUST_CHECK bool wireguard_open_response(const struct wireguard_identity *own,
					const struct wireguard_remote *r,
					const uint8_t message[WIREGUARD_RESPONSE_BYTES],
					struct wireguard_handshake *h);

/* The keys to seal and to open with; `h` is wiped. */
void wireguard_take_keys(struct wireguard_handshake *h, bool is_initiator,
			 uint8_t ret_seal[WIREGUARD_KEY_BYTES],
			 uint8_t ret_open[WIREGUARD_KEY_BYTES]);

#endif
