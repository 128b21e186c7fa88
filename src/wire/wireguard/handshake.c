#include "wire/wireguard/handshake.h"

#include "wire/crypto/aead.h"
#include "wire/crypto/blake2s.h"
#include "wire/crypto/wipe.h"
#include "wire/crypto/x25519.h"

/* Where things stand in the two messages. */
enum {
	INITIATION_EPHEMERAL = 8,
	INITIATION_STATIC = 40,
	INITIATION_TIMESTAMP = 88,
	RESPONSE_EPHEMERAL = 12,
	RESPONSE_NOTHING = 44,
	SEALED_KEY_BYTES = WIREGUARD_KEY_BYTES + WIREGUARD_TAG_BYTES,
	SEALED_TIMESTAMP_BYTES = WIREGUARD_TIMESTAMP_BYTES + WIREGUARD_TAG_BYTES,
};

static const uint8_t no_nonce[AEAD_NONCE_BYTES];

static struct slice bytes(const uint8_t *data, size_t size)
{
	return (struct slice) { data, size };
}

/* --- Noise's symmetric state ----------------------------------------------------------------- */
static void mix_hash(struct wireguard_handshake *h, const uint8_t *data, size_t size)
{
	blake2s_hash(bytes(h->hash, WIREGUARD_KEY_BYTES), bytes(data, size), h->hash);
}

static void mix_chain(struct wireguard_handshake *h, const uint8_t input[WIREGUARD_KEY_BYTES])
{
	blake2s_hkdf(h->chain, bytes(input, WIREGUARD_KEY_BYTES), h->chain, NULL, NULL);
}

static void mix_key(struct wireguard_handshake *h, const uint8_t input[WIREGUARD_KEY_BYTES],
		    uint8_t ret[WIREGUARD_KEY_BYTES])
{
	blake2s_hkdf(h->chain, bytes(input, WIREGUARD_KEY_BYTES), h->chain, ret, NULL);
}

static void seal(struct wireguard_handshake *h, const uint8_t key[WIREGUARD_KEY_BYTES],
		 struct slice plain, uint8_t *ret)
{
	aead_seal(key, no_nonce, bytes(h->hash, WIREGUARD_KEY_BYTES), plain, ret);
	mix_hash(h, ret, plain.size + WIREGUARD_TAG_BYTES);
}

static bool open(struct wireguard_handshake *h, const uint8_t key[WIREGUARD_KEY_BYTES],
		 struct slice sealed, uint8_t *ret)
{
	if (!aead_open(key, no_nonce, bytes(h->hash, WIREGUARD_KEY_BYTES), sealed, ret))
		return false;
	mix_hash(h, sealed.data, sealed.size);
	return true;
}

/* Both begin with what they know of the responder. */
static void begin(struct wireguard_handshake *h, const uint8_t responder[WIREGUARD_KEY_BYTES])
{
	blake2s_hash(SLICE("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"), SLICE(""), h->chain);
	blake2s_hash(bytes(h->chain, WIREGUARD_KEY_BYTES),
		     SLICE("WireGuard v1 zx2c4 Jason@zx2c4.com"), h->hash);
	mix_hash(h, responder, WIREGUARD_KEY_BYTES);
}

static void mix_ephemeral(struct wireguard_handshake *h, const uint8_t public[WIREGUARD_KEY_BYTES])
{
	mix_chain(h, public);
	mix_hash(h, public, WIREGUARD_KEY_BYTES);
}

/* --- who ------------------------------------------------------------------------------------- */
void wireguard_identity_init(struct wireguard_identity *own,
			     const uint8_t secret[WIREGUARD_KEY_BYTES])
{
	memcpy(own->secret, secret, WIREGUARD_KEY_BYTES);
	x25519_clamp(own->secret);
	x25519_public(own->secret, own->public);
	wireguard_mac_key(own->public, own->mac_key);
	wireguard_cookie_key(own->public, own->cookie_key);
}

bool wireguard_remote_init(struct wireguard_remote *r, const struct wireguard_identity *own,
			   const uint8_t public[WIREGUARD_KEY_BYTES])
{
	uint8_t shared[WIREGUARD_KEY_BYTES];

	if (!x25519(own->secret, public, shared))
		return false;
	memcpy(r->shared, shared, sizeof(shared));
	memmove(r->public, public, WIREGUARD_KEY_BYTES);
	wireguard_mac_key(public, r->mac_key);
	wireguard_cookie_key(public, r->cookie_key);
	crypto_wipe(shared, sizeof(shared));
	return true;
}

/* --- the initiation -------------------------------------------------------------------------- */
static void put_head(uint8_t *message, uint32_t kind, uint32_t sender)
{
	memcpy(message, &kind, 4);
	memcpy(message + 4, &sender, 4);
}

bool wireguard_initiate(const struct wireguard_identity *own, const struct wireguard_remote *r,
			const uint8_t ephemeral[WIREGUARD_KEY_BYTES],
			const uint8_t timestamp[WIREGUARD_TIMESTAMP_BYTES], uint32_t index,
			struct wireguard_handshake *ret,
			uint8_t message[WIREGUARD_INITIATION_BYTES])
{
	struct wireguard_handshake h = { .local_index = index };
	uint8_t key[WIREGUARD_KEY_BYTES];

	put_head(message, WIREGUARD_INITIATION, index);
	begin(&h, r->public);
	memcpy(h.ephemeral, ephemeral, WIREGUARD_KEY_BYTES);
	x25519_clamp(h.ephemeral);
	x25519_public(h.ephemeral, message + INITIATION_EPHEMERAL);
	mix_ephemeral(&h, message + INITIATION_EPHEMERAL);
	bool is_good = x25519(h.ephemeral, r->public, key);
	if (is_good) {
		mix_key(&h, key, key);
		seal(&h, key, bytes(own->public, WIREGUARD_KEY_BYTES), message + INITIATION_STATIC);
		mix_key(&h, r->shared, key);
		seal(&h, key, bytes(timestamp, WIREGUARD_TIMESTAMP_BYTES),
		     message + INITIATION_TIMESTAMP);
		*ret = h;
	}
	crypto_wipe(&h, sizeof(h));
	crypto_wipe(key, sizeof(key));
	return is_good;
}

bool wireguard_open_static(const struct wireguard_identity *own,
			   const uint8_t message[WIREGUARD_INITIATION_BYTES],
			   struct wireguard_handshake *ret, uint8_t ret_public[WIREGUARD_KEY_BYTES])
{
	struct wireguard_handshake h = { .remote_index = wireguard_sender(message) };
	uint8_t key[WIREGUARD_KEY_BYTES], public[WIREGUARD_KEY_BYTES];

	begin(&h, own->public);
	memcpy(h.remote_ephemeral, message + INITIATION_EPHEMERAL, WIREGUARD_KEY_BYTES);
	mix_ephemeral(&h, h.remote_ephemeral);
	bool is_good = x25519(own->secret, h.remote_ephemeral, key);
	if (is_good) {
		mix_key(&h, key, key);
		is_good =
			open(&h, key, bytes(message + INITIATION_STATIC, SEALED_KEY_BYTES), public);
	}
	if (is_good) {
		*ret = h;
		memcpy(ret_public, public, sizeof(public));
	}
	crypto_wipe(&h, sizeof(h));
	crypto_wipe(key, sizeof(key));
	return is_good;
}

bool wireguard_open_timestamp(const struct wireguard_remote *r,
			      const uint8_t message[WIREGUARD_INITIATION_BYTES],
			      struct wireguard_handshake *h, uint8_t ret[WIREGUARD_TIMESTAMP_BYTES])
{
	uint8_t key[WIREGUARD_KEY_BYTES], timestamp[WIREGUARD_TIMESTAMP_BYTES];

	mix_key(h, r->shared, key);
	bool is_good = open(h, key, bytes(message + INITIATION_TIMESTAMP, SEALED_TIMESTAMP_BYTES),
			    timestamp);
	if (is_good)
		memcpy(ret, timestamp, sizeof(timestamp));
	crypto_wipe(key, sizeof(key));
	return is_good;
}

/* --- the response ---------------------------------------------------------------------------- */
/* `ee` is what the ephemeral keys share, `se` the initiator's static with the responder's
 * ephemeral one. */
static void mix_response(struct wireguard_handshake *h, const uint8_t ee[WIREGUARD_KEY_BYTES],
			 const uint8_t se[WIREGUARD_KEY_BYTES],
			 const uint8_t preshared[WIREGUARD_KEY_BYTES],
			 uint8_t ret_key[WIREGUARD_KEY_BYTES])
{
	uint8_t mixed[WIREGUARD_KEY_BYTES];

	mix_chain(h, ee);
	mix_chain(h, se);
	blake2s_hkdf(h->chain, bytes(preshared, WIREGUARD_KEY_BYTES), h->chain, mixed, ret_key);
	mix_hash(h, mixed, sizeof(mixed));
	crypto_wipe(mixed, sizeof(mixed));
}

bool wireguard_respond(const struct wireguard_remote *r,
		       const uint8_t ephemeral[WIREGUARD_KEY_BYTES], uint32_t index,
		       struct wireguard_handshake *h, uint8_t message[WIREGUARD_RESPONSE_BYTES])
{
	uint8_t ee[WIREGUARD_KEY_BYTES], se[WIREGUARD_KEY_BYTES], key[WIREGUARD_KEY_BYTES];

	h->local_index = index;
	put_head(message, WIREGUARD_RESPONSE, index);
	memcpy(message + 8, &h->remote_index, 4);
	memcpy(h->ephemeral, ephemeral, WIREGUARD_KEY_BYTES);
	x25519_clamp(h->ephemeral);
	x25519_public(h->ephemeral, message + RESPONSE_EPHEMERAL);
	bool is_good = x25519(h->ephemeral, h->remote_ephemeral, ee) &&
		       x25519(h->ephemeral, r->public, se);
	if (is_good) {
		mix_ephemeral(h, message + RESPONSE_EPHEMERAL);
		mix_response(h, ee, se, r->preshared, key);
		seal(h, key, bytes(message, 0), message + RESPONSE_NOTHING);
		crypto_wipe(key, sizeof(key));
	}
	crypto_wipe(ee, sizeof(ee));
	crypto_wipe(se, sizeof(se));
	return is_good;
}

bool wireguard_open_response(const struct wireguard_identity *own, const struct wireguard_remote *r,
			     const uint8_t message[WIREGUARD_RESPONSE_BYTES],
			     struct wireguard_handshake *h)
{
	uint8_t ee[WIREGUARD_KEY_BYTES], se[WIREGUARD_KEY_BYTES], key[WIREGUARD_KEY_BYTES];
	struct wireguard_handshake next = *h;
	uint8_t nothing[1];

	next.remote_index = wireguard_sender(message);
	memcpy(next.remote_ephemeral, message + RESPONSE_EPHEMERAL, WIREGUARD_KEY_BYTES);
	bool is_good = x25519(h->ephemeral, next.remote_ephemeral, ee) &&
		       x25519(own->secret, next.remote_ephemeral, se);
	if (is_good) {
		mix_ephemeral(&next, next.remote_ephemeral);
		mix_response(&next, ee, se, r->preshared, key);
		is_good = open(&next, key, bytes(message + RESPONSE_NOTHING, WIREGUARD_TAG_BYTES),
			       nothing);
		crypto_wipe(key, sizeof(key));
	}
	if (is_good)
		*h = next;
	crypto_wipe(&next, sizeof(next));
	crypto_wipe(ee, sizeof(ee));
	crypto_wipe(se, sizeof(se));
	return is_good;
}

void wireguard_take_keys(struct wireguard_handshake *h, bool is_initiator,
			 uint8_t ret_seal[WIREGUARD_KEY_BYTES],
			 uint8_t ret_open[WIREGUARD_KEY_BYTES])
{
	blake2s_hkdf(h->chain, bytes(NULL, 0), is_initiator ? ret_seal : ret_open,
		     is_initiator ? ret_open : ret_seal, NULL);
	crypto_wipe(h, sizeof(*h));
}
