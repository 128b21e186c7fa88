#include "wire/noise/noise.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/endian.h"
#include "wire/crypto/aead.h"
#include "wire/crypto/blake2s.h"
#include "wire/crypto/wipe.h"
#include "wire/crypto/x25519.h"

enum {
	KEY_BYTES = 32,
	TAG_BYTES = 16,
	NONCE_BYTES = 12,
	VERSION_BYTES = 2,
	SEALED_KEY_BYTES = KEY_BYTES + TAG_BYTES,
	KIND_INITIATION = 1,
	INITIATION_BODY_BYTES = NOISE_INITIATION_BYTES - VERSION_BYTES - NOISE_HEADER_BYTES,
	RESPONSE_BODY_BYTES = NOISE_RESPONSE_BYTES - NOISE_HEADER_BYTES,
};

static const uint8_t zero_nonce[NONCE_BYTES];

/* What both sides compute on, step by step: the hash of all that was said, and the chaining key. */
struct symmetric {
	uint8_t hash[KEY_BYTES];
	uint8_t chain[KEY_BYTES];
	uint8_t key[KEY_BYTES]; /* of the next sealed part; each serves one */
};

static struct slice key_slice(const uint8_t key[KEY_BYTES])
{
	return (struct slice) { key, KEY_BYTES };
}

static void mix_hash(struct symmetric *s, struct slice bytes)
{
	blake2s_hash(key_slice(s->hash), bytes, s->hash);
}

/* False: `public` is a key of small order, with which everybody shares the same secret. */
MUST_CHECK static bool mix_key(struct symmetric *s, const uint8_t secret[KEY_BYTES],
			       const uint8_t public[KEY_BYTES])
{
	uint8_t shared[KEY_BYTES], chain[KEY_BYTES];

	if (!x25519(secret, public, shared))
		return false;
	blake2s_hkdf(s->chain, key_slice(shared), chain, s->key, NULL);
	memcpy(s->chain, chain, KEY_BYTES);
	crypto_wipe(shared, sizeof(shared));
	crypto_wipe(chain, sizeof(chain));
	return true;
}

static void seal_part(struct symmetric *s, struct slice plain, uint8_t *ret)
{
	aead_seal(s->key, zero_nonce, key_slice(s->hash), plain, ret);
	mix_hash(s, (struct slice) { ret, plain.size + TAG_BYTES });
}

MUST_CHECK static bool open_part(struct symmetric *s, struct slice sealed, uint8_t *ret)
{
	if (!aead_open(s->key, zero_nonce, key_slice(s->hash), sealed, ret))
		return false;
	mix_hash(s, sealed);
	return true;
}

static void begin(struct symmetric *s, unsigned version, const uint8_t server[KEY_BYTES])
{
	char prologue[64];

	blake2s_hash(SLICE("Noise_IK_25519_ChaChaPoly_BLAKE2s"), (struct slice) { 0 }, s->hash);
	memcpy(s->chain, s->hash, KEY_BYTES);
	memset(s->key, 0, KEY_BYTES);
	snprintf(prologue, sizeof(prologue), "Tailscale Control Protocol v%u", version);
	mix_hash(s, slice_from(prologue));
	mix_hash(s, key_slice(server));
}

/* The two keys of the channel, the client's direction first. */
static void split(struct symmetric *s, struct mesh_key *client, struct mesh_key *server)
{
	blake2s_hkdf(s->chain, (struct slice) { 0 }, client->bytes, server->bytes, NULL);
	crypto_wipe(s, sizeof(*s));
}

/* --- the header of the upgrade ---------------------------------------------------------------- */
void noise_initiation_text(const uint8_t initiation[NOISE_INITIATION_BYTES],
			   char ret[NOISE_INITIATION_TEXT_BYTES + 1])
{
	int size = EVP_EncodeBlock((uint8_t *)ret, initiation, NOISE_INITIATION_BYTES);

	assert(size == NOISE_INITIATION_TEXT_BYTES);
}

enum err noise_initiation_parse(struct slice text, uint8_t ret[NOISE_INITIATION_BYTES])
{
	uint8_t bytes[NOISE_INITIATION_BYTES + 1]; /* what the padding stands for, too */

	if (text.size != NOISE_INITIATION_TEXT_BYTES || text.data[text.size - 1] != '=' ||
	    text.data[text.size - 2] == '=' ||
	    EVP_DecodeBlock(bytes, text.data, (int)text.size) != (int)sizeof(bytes))
		return ERR_INVALID;
	memcpy(ret, bytes, NOISE_INITIATION_BYTES);
	return OK;
}

/* --- the client ------------------------------------------------------------------------------- */
enum err noise_initiate(struct noise_handshake *h, unsigned version, const struct mesh_key *secret,
			const struct mesh_key *server, const struct mesh_key *ephemeral,
			uint8_t ret[NOISE_INITIATION_BYTES])
{
	struct symmetric s;
	uint8_t machine[KEY_BYTES], message[NOISE_INITIATION_BYTES];
	uint8_t *at = message + VERSION_BYTES + NOISE_HEADER_BYTES;

	assert(version <= UINT16_MAX);
	put_u16(message, (uint16_t)version);
	message[VERSION_BYTES] = KIND_INITIATION;
	put_u16(message + VERSION_BYTES + 1, INITIATION_BODY_BYTES);
	x25519_public(secret->bytes, machine);
	x25519_public(ephemeral->bytes, at);

	begin(&s, version, server->bytes);
	mix_hash(&s, key_slice(at));
	if (!mix_key(&s, ephemeral->bytes, server->bytes))
		return ERR_INVALID;
	seal_part(&s, key_slice(machine), at + KEY_BYTES);
	if (!mix_key(&s, secret->bytes, server->bytes))
		return ERR_INVALID;
	seal_part(&s, (struct slice) { 0 }, at + KEY_BYTES + SEALED_KEY_BYTES);

	memcpy(h->hash, s.hash, KEY_BYTES);
	memcpy(h->chain, s.chain, KEY_BYTES);
	h->ephemeral = *ephemeral;
	h->secret = *secret;
	memcpy(ret, message, sizeof(message));
	crypto_wipe(&s, sizeof(s));
	return OK;
}

static enum err finish(struct symmetric *s, const struct noise_handshake *h, const uint8_t *body)
{
	mix_hash(s, key_slice(body));
	if (!mix_key(s, h->ephemeral.bytes, body) || !mix_key(s, h->secret.bytes, body))
		return ERR_DENIED;
	if (!open_part(s, (struct slice) { body + KEY_BYTES, TAG_BYTES }, NULL))
		return ERR_DENIED;
	return OK;
}

enum err noise_finish(struct noise_handshake *h, struct slice response, struct noise_channel *ret)
{
	struct symmetric s;
	struct noise_frame frame;

	if (noise_frame_read(response, &frame) || frame.size != NOISE_RESPONSE_BYTES ||
	    frame.kind != NOISE_RESPONSE)
		return ERR_INVALID;
	memcpy(s.hash, h->hash, KEY_BYTES);
	memcpy(s.chain, h->chain, KEY_BYTES);
	enum err err = finish(&s, h, frame.body.data);
	if (!err) {
		*ret = (struct noise_channel) { 0 };
		split(&s, &ret->send_key, &ret->receive_key);
	}
	crypto_wipe(&s, sizeof(s));
	crypto_wipe(h, sizeof(*h));
	return err;
}

/* --- the server ------------------------------------------------------------------------------- */
enum err noise_initiation_version(struct slice initiation, unsigned *ret)
{
	if (initiation.size != NOISE_INITIATION_BYTES ||
	    initiation.data[VERSION_BYTES] != KIND_INITIATION ||
	    get_u16(initiation.data + VERSION_BYTES + 1) != INITIATION_BODY_BYTES)
		return ERR_INVALID;
	*ret = get_u16(initiation.data);
	return OK;
}

/* Who it is from, by what only somebody with that machine key could have sealed. */
static enum err read_initiation(struct symmetric *s, const struct mesh_key *secret,
				struct slice initiation, struct noise_peer *ret)
{
	const uint8_t *at = initiation.data + VERSION_BYTES + NOISE_HEADER_BYTES;
	struct slice sealed_key = { at + KEY_BYTES, SEALED_KEY_BYTES };
	struct slice tag = { at + KEY_BYTES + SEALED_KEY_BYTES, TAG_BYTES };
	uint8_t server[KEY_BYTES];
	struct noise_peer peer;
	enum err err = noise_initiation_version(initiation, &peer.version);

	if (err)
		return err;
	x25519_public(secret->bytes, server);
	begin(s, peer.version, server);
	mix_hash(s, key_slice(at));
	if (!mix_key(s, secret->bytes, at) || !open_part(s, sealed_key, peer.machine.bytes) ||
	    !mix_key(s, secret->bytes, peer.machine.bytes) || !open_part(s, tag, NULL))
		return ERR_DENIED;
	*ret = peer;
	return OK;
}

enum err noise_answer(const struct mesh_key *secret, struct slice initiation,
		      const struct mesh_key *ephemeral, struct noise_peer *ret_peer,
		      uint8_t ret_response[NOISE_RESPONSE_BYTES], struct noise_channel *ret_channel)
{
	struct symmetric s;
	struct noise_peer peer;
	uint8_t message[NOISE_RESPONSE_BYTES];
	uint8_t *body = message + NOISE_HEADER_BYTES;
	enum err err = read_initiation(&s, secret, initiation, &peer);

	if (err)
		return err;
	message[0] = NOISE_RESPONSE;
	put_u16(message + 1, RESPONSE_BODY_BYTES);
	x25519_public(ephemeral->bytes, body);
	mix_hash(&s, key_slice(body));
	if (!mix_key(&s, ephemeral->bytes, initiation.data + VERSION_BYTES + NOISE_HEADER_BYTES) ||
	    !mix_key(&s, ephemeral->bytes, peer.machine.bytes))
		return ERR_DENIED;
	seal_part(&s, (struct slice) { 0 }, body + KEY_BYTES);
	*ret_peer = peer;
	memcpy(ret_response, message, sizeof(message));
	*ret_channel = (struct noise_channel) { 0 };
	split(&s, &ret_channel->receive_key, &ret_channel->send_key);
	return OK;
}

/* --- frames ----------------------------------------------------------------------------------- */
enum err noise_frame_read(struct slice bytes, struct noise_frame *ret)
{
	if (bytes.size < NOISE_HEADER_BYTES)
		return ERR_BUSY;
	size_t size = get_u16(bytes.data + 1);
	unsigned kind = bytes.data[0];
	if (kind < NOISE_RESPONSE || kind > NOISE_RECORD ||
	    size > NOISE_FRAME_BYTES_MAX - NOISE_HEADER_BYTES)
		return ERR_INVALID;
	if (bytes.size - NOISE_HEADER_BYTES < size)
		return ERR_BUSY;
	*ret = (struct noise_frame) {
		.kind = (enum noise_frame_kind)kind,
		.body = slice_part(bytes, NOISE_HEADER_BYTES, size),
		.size = NOISE_HEADER_BYTES + size,
	};
	return OK;
}

static void record_nonce(uint64_t count, uint8_t ret[NONCE_BYTES])
{
	memset(ret, 0, 4);
	put_u64(ret + 4, count);
}

void noise_seal(struct noise_channel *c, struct slice plain, struct buf *ret)
{
	uint8_t nonce[NONCE_BYTES];

	while (plain.size > 0) {
		struct slice part = slice_part(plain, 0, NOISE_PLAIN_BYTES_MAX);
		buf_add_u8(ret, NOISE_RECORD);
		buf_add_u16(ret, (uint16_t)(part.size + TAG_BYTES));
		uint8_t *room = buf_reserve(ret, part.size + TAG_BYTES);
		record_nonce(c->sent++, nonce);
		aead_seal(c->send_key.bytes, nonce, (struct slice) { 0 }, part, room);
		ret->size += part.size + TAG_BYTES;
		plain = slice_part(plain, part.size, plain.size);
	}
}

enum err noise_open(struct noise_channel *c, struct slice body, struct buf *ret)
{
	uint8_t nonce[NONCE_BYTES];

	if (body.size < TAG_BYTES)
		return ERR_CORRUPT;
	uint8_t *room = buf_reserve(ret, body.size);
	record_nonce(c->received, nonce);
	if (!aead_open(c->receive_key.bytes, nonce, (struct slice) { 0 }, body, room))
		return ERR_CORRUPT;
	c->received++;
	ret->size += body.size - TAG_BYTES;
	return OK;
}

void noise_add_error(struct slice text, struct buf *ret)
{
	text = slice_part(text, 0, NOISE_ERROR_BYTES_MAX);
	buf_add_u8(ret, NOISE_ERROR);
	buf_add_u16(ret, (uint16_t)text.size);
	buf_add_slice(ret, text);
}

void noise_channel_wipe(struct noise_channel *c)
{
	crypto_wipe(c, sizeof(*c));
}
