/*	from the bucket's key
 *		objects     = HKDF(key, no salt, "hanse sealed 1 objects")
 *		salts       = HKDF(key, no salt, "hanse sealed 1 salts")
 *		fingerprint = HKDF(key, no salt, "hanse sealed 1 fingerprint")
 *	of an object
 *		salt = HMAC-SHA256(salts, size of name (u16) | name | size of body (u64) | body),
 *		       the first 16 bytes
 *		key | commitment = HKDF(objects, salt, "hanse sealed 1 object " name)
 *	of a chunk
 *		AES-256-GCM, nonce = 3 zeros | number (u64) | 1 if last, 0 if not,
 *		associated data = front
 *
 * The name is in the key, so the bytes of one object are none of another.  The salt follows from
 * the body, so that a retry gives the same bytes, and other bytes under a used name have another
 * key: no nonce is used twice.  Whether a chunk is the last one is in its nonce, so nothing can be
 * cut off.  The commitment follows from the key as one-way as the key itself: what it fits is the
 * only key and name under which these bytes open. */
#include "buckets/sealed_object.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdio.h>

#include "base/endian.h"
#include "base/memory.h"
#include "wire/keys/hkdf.h"

_Static_assert(SEALED_FRONT_BYTES ==
		       8 + SEALED_FINGERPRINT_BYTES + SEALED_SALT_BYTES + SEALED_COMMITMENT_BYTES,
	       "a front has no gaps");

#define OBJECT_INFO "hanse sealed 1 object "
enum { NONCE_BYTES = 12, NAME_BYTES_MAX = 512 };
enum { VERSION_AT = 4, LOG2_AT = 5, GENERATION_AT = 6, FINGERPRINT_AT = 8 };
enum { SALT_AT = FINGERPRINT_AT + SEALED_FINGERPRINT_BYTES };
enum { COMMITMENT_AT = SALT_AT + SEALED_SALT_BYTES };

static const uint8_t magic[4] = { 'H', 'S', 'E', 'A' };

/* --- keys ------------------------------------------------------------------------------------ */
void sealed_key_init(struct sealed_key *k, const uint8_t key[SEALED_KEY_BYTES])
{
	struct slice from = { key, SEALED_KEY_BYTES }, none = { NULL, 0 };

	k->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	assert(k->cipher);
	hkdf_sha256(k->objects, sizeof(k->objects), from, none, SLICE("hanse sealed 1 objects"));
	hkdf_sha256(k->salts, sizeof(k->salts), from, none, SLICE("hanse sealed 1 salts"));
	hkdf_sha256(k->fingerprint, sizeof(k->fingerprint), from, none,
		    SLICE("hanse sealed 1 fingerprint"));
}

void sealed_key_done(struct sealed_key *k)
{
	EVP_CIPHER_free(k->cipher);
	OPENSSL_cleanse(k, sizeof(*k));
}

struct object_key {
	uint8_t cipher[SEALED_KEY_BYTES];
	uint8_t commitment[SEALED_COMMITMENT_BYTES];
};

static void object_key_init(struct object_key *o, const struct sealed_key *k, struct slice name,
			    const uint8_t *salt)
{
	uint8_t both[SEALED_KEY_BYTES + SEALED_COMMITMENT_BYTES];
	uint8_t info[sizeof(OBJECT_INFO) - 1 + NAME_BYTES_MAX];

	assert(name.size > 0 && name.size <= NAME_BYTES_MAX);
	memcpy(info, OBJECT_INFO, sizeof(OBJECT_INFO) - 1);
	memcpy(info + sizeof(OBJECT_INFO) - 1, name.data, name.size);
	hkdf_sha256(both, sizeof(both), (struct slice) { k->objects, sizeof(k->objects) },
		    (struct slice) { salt, SEALED_SALT_BYTES },
		    (struct slice) { info, sizeof(OBJECT_INFO) - 1 + name.size });
	memcpy(o->cipher, both, sizeof(o->cipher));
	memcpy(o->commitment, both + SEALED_KEY_BYTES, sizeof(o->commitment));
	OPENSSL_cleanse(both, sizeof(both));
}

static void derive_salt(const struct sealed_key *k, struct slice name, const struct slice *pieces,
			size_t piece_count, uint64_t size, uint8_t ret[SEALED_SALT_BYTES])
{
	struct slice *all = memory_take_array(piece_count + 3, sizeof(*all));
	uint8_t name_size[2], body_size[8], mac[SHA256_BYTES];

	put_u16(name_size, (uint16_t)name.size);
	put_u64(body_size, size);
	all[0] = (struct slice) { name_size, sizeof(name_size) };
	all[1] = name;
	all[2] = (struct slice) { body_size, sizeof(body_size) };
	if (piece_count > 0)
		memcpy(all + 3, pieces, piece_count * sizeof(*all));
	hmac_sha256(mac, (struct slice) { k->salts, sizeof(k->salts) }, all, piece_count + 3);
	memcpy(ret, mac, SEALED_SALT_BYTES);
	memory_free(all);
}

/* --- sizes ----------------------------------------------------------------------------------- */
static uint64_t chunk_count(uint64_t stored)
{
	return stored / SEALED_STORED_BYTES + (stored % SEALED_STORED_BYTES > 0);
}

uint64_t sealed_size(uint64_t size)
{
	uint64_t count = size / SEALED_CHUNK_BYTES + (size % SEALED_CHUNK_BYTES > 0);

	return size + SEALED_EXTRA_BYTES * (count > 0 ? count : 1);
}

bool sealed_plain_size(uint64_t stored, uint64_t *ret)
{
	uint64_t count = chunk_count(stored);

	if (count == 0 || stored < SEALED_EXTRA_BYTES * count ||
	    sealed_size(stored - SEALED_EXTRA_BYTES * count) != stored)
		return false;
	*ret = stored - SEALED_EXTRA_BYTES * count;
	return true;
}

/* --- one chunk ------------------------------------------------------------------------------- */
static void write_nonce(uint8_t nonce[NONCE_BYTES], uint64_t number, bool is_last)
{
	memset(nonce, 0, NONCE_BYTES);
	put_u64(nonce + 3, number);
	nonce[NONCE_BYTES - 1] = is_last;
}

static EVP_CIPHER_CTX *context_new(const struct sealed_key *k, const struct object_key *o,
				   bool is_sealing)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int ok = context &&
		 EVP_CipherInit_ex2(context, k->cipher, o->cipher, NULL, is_sealing, NULL);

	assert(ok); /* it only fails without memory */
	return context;
}

/* Associated data first, then `size` bytes of the pieces from `at` on. */
struct reader {
	const struct slice *pieces;
	size_t at; /* in the first piece */
};

static void seal_chunk(EVP_CIPHER_CTX *context, const uint8_t *front, uint64_t number, bool is_last,
		       struct reader *from, size_t size, uint8_t *ret)
{
	uint8_t nonce[NONCE_BYTES];
	int written = 0, ok;

	write_nonce(nonce, number, is_last);
	memcpy(ret, front, SEALED_FRONT_BYTES);
	ret += SEALED_FRONT_BYTES;
	ok = EVP_EncryptInit_ex2(context, NULL, NULL, nonce, NULL) &&
	     EVP_EncryptUpdate(context, NULL, &written, front, SEALED_FRONT_BYTES);
	while (size > 0) {
		struct slice part = slice_part(*from->pieces, from->at, size);

		from->at += part.size;
		if (part.size == 0) {
			from->pieces++;
			from->at = 0;
			continue;
		}
		ok = ok && EVP_EncryptUpdate(context, ret, &written, part.data, (int)part.size);
		ret += part.size;
		size -= part.size;
	}
	ok = ok && EVP_EncryptFinal_ex(context, ret, &written) &&
	     EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, SEALED_TAG_BYTES, ret);
	assert(ok);
}

static bool open_chunk(EVP_CIPHER_CTX *context, struct slice chunk, uint64_t number, bool is_last,
		       uint8_t *ret)
{
	size_t size = chunk.size - SEALED_EXTRA_BYTES;
	const uint8_t *text = chunk.data + SEALED_FRONT_BYTES;
	uint8_t nonce[NONCE_BYTES], tag[SEALED_TAG_BYTES];
	int written = 0, ok;

	write_nonce(nonce, number, is_last);
	memcpy(tag, text + size, sizeof(tag));
	ok = EVP_DecryptInit_ex2(context, NULL, NULL, nonce, NULL) &&
	     EVP_DecryptUpdate(context, NULL, &written, chunk.data, SEALED_FRONT_BYTES) &&
	     (size == 0 || EVP_DecryptUpdate(context, ret, &written, text, (int)size)) &&
	     EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag);
	assert(ok);
	return EVP_DecryptFinal_ex(context, tag, &written) > 0;
}

/* --- sealing --------------------------------------------------------------------------------- */
void sealed_seal(const struct sealed_key *k, struct slice name, const struct slice *pieces,
		 size_t piece_count, uint8_t *ret)
{
	uint8_t front[SEALED_FRONT_BYTES];
	struct reader reader = { pieces, 0 };
	struct object_key o;
	uint64_t size = 0;

	for (size_t i = 0; i < piece_count; i++)
		size += pieces[i].size;
	memcpy(front, magic, sizeof(magic));
	front[VERSION_AT] = SEALED_VERSION;
	front[LOG2_AT] = SEALED_CHUNK_LOG2;
	put_u16(front + GENERATION_AT, SEALED_GENERATION);
	memcpy(front + FINGERPRINT_AT, k->fingerprint, sizeof(k->fingerprint));
	derive_salt(k, name, pieces, piece_count, size, front + SALT_AT);
	object_key_init(&o, k, name, front + SALT_AT);
	memcpy(front + COMMITMENT_AT, o.commitment, sizeof(o.commitment));
	EVP_CIPHER_CTX *context = context_new(k, &o, true);
	for (uint64_t number = 0, left = size;; number++) {
		size_t part = left < SEALED_CHUNK_BYTES ? (size_t)left : SEALED_CHUNK_BYTES;

		left -= part;
		seal_chunk(context, front, number, left == 0, &reader, part, ret);
		ret += part + SEALED_EXTRA_BYTES;
		if (left == 0)
			break;
	}
	EVP_CIPHER_CTX_free(context);
	OPENSSL_cleanse(&o, sizeof(o));
}

/* --- opening --------------------------------------------------------------------------------- */
static enum err check_front(const struct sealed_key *k, const uint8_t *front,
			    char why[SEALED_WHY_BYTES])
{
	if (memcmp(front, magic, sizeof(magic)) != 0) {
		snprintf(why, SEALED_WHY_BYTES, "is not sealed, or its beginning was changed");
		return ERR_CORRUPT;
	}
	if (front[VERSION_AT] > SEALED_VERSION ||
	    get_u16(front + GENERATION_AT) != SEALED_GENERATION) {
		snprintf(why, SEALED_WHY_BYTES,
			 "is sealed in version %u, generation %u: newer, or changed",
			 front[VERSION_AT], get_u16(front + GENERATION_AT));
		return ERR_UNSUPPORTED;
	}
	if (front[VERSION_AT] != SEALED_VERSION || front[LOG2_AT] != SEALED_CHUNK_LOG2) {
		snprintf(why, SEALED_WHY_BYTES, "was changed: its beginning never was so");
		return ERR_CORRUPT;
	}
	if (memcmp(front + FINGERPRINT_AT, k->fingerprint, sizeof(k->fingerprint)) != 0) {
		snprintf(why, SEALED_WHY_BYTES, "was sealed with another key, or was changed");
		return ERR_CORRUPT;
	}
	return OK;
}

/* A chunk did not open at its place: what the store did to it, as far as that can be known. */
static void explain(EVP_CIPHER_CTX *context, struct slice chunk, uint64_t number, bool is_last,
		    uint8_t *ret, char why[SEALED_WHY_BYTES])
{
	if (is_last && open_chunk(context, chunk, number, false, ret))
		snprintf(why, SEALED_WHY_BYTES, "was cut off after chunk %llu",
			 (unsigned long long)number);
	else if (!is_last && open_chunk(context, chunk, number, true, ret))
		snprintf(why, SEALED_WHY_BYTES, "has something behind its end, chunk %llu",
			 (unsigned long long)number);
	else
		snprintf(why, SEALED_WHY_BYTES, "was changed, moved or cut off in chunk %llu",
			 (unsigned long long)number);
}

static enum err open_chunks(EVP_CIPHER_CTX *context, struct slice chunks, uint64_t first,
			    uint64_t stored, uint8_t *ret, char why[SEALED_WHY_BYTES])
{
	const uint8_t *front = chunks.data;

	for (uint64_t number = first; chunks.size > 0; number++) {
		struct slice chunk = slice_part(chunks, 0, SEALED_STORED_BYTES);
		bool is_last = number + 1 == chunk_count(stored);

		chunks = slice_part(chunks, chunk.size, chunks.size);
		if (memcmp(chunk.data, front, SEALED_FRONT_BYTES) != 0) {
			snprintf(why, SEALED_WHY_BYTES,
				 "was changed: chunk %llu does not belong to those before it",
				 (unsigned long long)number);
			return ERR_CORRUPT;
		}
		if (!open_chunk(context, chunk, number, is_last, ret)) {
			explain(context, chunk, number, is_last, ret, why);
			return ERR_CORRUPT;
		}
		ret += chunk.size - SEALED_EXTRA_BYTES;
	}
	return OK;
}

enum err sealed_open(const struct sealed_key *k, struct slice name, struct slice chunks,
		     uint64_t first, uint64_t stored, uint8_t *ret, char why[SEALED_WHY_BYTES])
{
	size_t last_bytes = chunks.size % SEALED_STORED_BYTES;
	struct object_key o;
	enum err err;

	if (chunks.size == 0 || (last_bytes > 0 && last_bytes < SEALED_EXTRA_BYTES)) {
		snprintf(why, SEALED_WHY_BYTES, "was cut off");
		return ERR_CORRUPT;
	}
	err = check_front(k, chunks.data, why);
	if (err)
		return err;
	object_key_init(&o, k, name, chunks.data + SALT_AT);
	if (!mac_equal(chunks.data + COMMITMENT_AT, o.commitment, sizeof(o.commitment))) {
		snprintf(why, SEALED_WHY_BYTES, "is another object than was put here, or changed");
		err = ERR_CORRUPT;
	} else {
		EVP_CIPHER_CTX *context = context_new(k, &o, false);

		err = open_chunks(context, chunks, first, stored, ret, why);
		EVP_CIPHER_CTX_free(context);
	}
	OPENSSL_cleanse(&o, sizeof(o));
	return err;
}
