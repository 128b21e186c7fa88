#include "wire/sasl/scram.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/text.h"
#include "wire/sasl/base64.h"

static const EVP_MD *digest_of(enum scram_hash hash)
{
	return hash == SCRAM_SHA_512 ? EVP_sha512() : EVP_sha256();
}

size_t scram_hash_bytes(enum scram_hash hash)
{
	return hash == SCRAM_SHA_512 ? 64 : 32;
}

/* --- keys -------------------------------------------------------------------------------------
 */

static void hmac(enum scram_hash hash, const uint8_t *key, struct slice text,
		 uint8_t ret[SCRAM_BYTES_MAX])
{
	unsigned size = 0;
	const uint8_t *ok = HMAC(digest_of(hash), key, (int)scram_hash_bytes(hash), text.data,
				 text.size, ret, &size);

	assert(ok && size == scram_hash_bytes(hash));
}

static void hash_key(enum scram_hash hash, const uint8_t *key, uint8_t ret[SCRAM_BYTES_MAX])
{
	unsigned size = 0;
	int ok = EVP_Digest(key, scram_hash_bytes(hash), ret, &size, digest_of(hash), NULL);

	assert(ok == 1 && size == scram_hash_bytes(hash));
}

void scram_salt_password(enum scram_hash hash, struct slice password, struct slice salt,
			 int iterations, uint8_t ret[SCRAM_BYTES_MAX])
{
	int ok = PKCS5_PBKDF2_HMAC(password.size ? (const char *)password.data : "",
				   (int)password.size, salt.data, (int)salt.size, iterations,
				   digest_of(hash), (int)scram_hash_bytes(hash), ret);

	assert(ok == 1);
}

void scram_keys(enum scram_hash hash, const uint8_t salted[SCRAM_BYTES_MAX],
		uint8_t ret_stored[SCRAM_BYTES_MAX], uint8_t ret_server[SCRAM_BYTES_MAX])
{
	uint8_t client[SCRAM_BYTES_MAX];

	hmac(hash, salted, SLICE("Client Key"), client);
	hash_key(hash, client, ret_stored);
	hmac(hash, salted, SLICE("Server Key"), ret_server);
	OPENSSL_cleanse(client, sizeof(client));
}

bool scram_password_fits(const struct scram_verifier *v, struct slice password)
{
	uint8_t salted[SCRAM_BYTES_MAX], stored[SCRAM_BYTES_MAX], server[SCRAM_BYTES_MAX];

	scram_salt_password(v->hash, password, (struct slice) { v->salt, v->salt_bytes },
			    v->iterations, salted);
	scram_keys(v->hash, salted, stored, server);
	bool fits = CRYPTO_memcmp(stored, v->stored_key, scram_hash_bytes(v->hash)) == 0;
	OPENSSL_cleanse(salted, sizeof(salted));
	OPENSSL_cleanse(server, sizeof(server));
	return fits;
}

void scram_fake(enum scram_hash hash, struct slice secret, struct slice user,
		struct scram_verifier *ret)
{
	uint8_t key[SCRAM_BYTES_MAX] = { 0 }, salt[SCRAM_BYTES_MAX];

	*ret = (struct scram_verifier) { .hash = hash,
					 .iterations = SCRAM_ITERATIONS_DEFAULT,
					 .salt_bytes = SCRAM_SALT_BYTES };
	memcpy(key, secret.data, secret.size < sizeof(key) ? secret.size : sizeof(key));
	hmac(hash, key, user, salt);
	memcpy(ret->salt, salt, SCRAM_SALT_BYTES);
	hmac(hash, key, (struct slice) { salt, sizeof(salt) / 2 }, ret->stored_key);
	hmac(hash, key, SLICE("nobody"), ret->server_key);
	OPENSSL_cleanse(key, sizeof(key));
}

/* --- words ------------------------------------------------------------------------------------
 */

/* "r=VALUE" off the front of a list. */
static enum err take(struct slice *rest, char name, struct slice *ret)
{
	struct slice word = slice_cut(rest, ',');

	if (word.size < 2 || word.data[0] != (uint8_t)name || word.data[1] != '=')
		return ERR_INVALID;
	*ret = slice_part(word, 2, word.size);
	return OK;
}

static enum err unescape(struct arena *a, struct slice name, struct slice *ret)
{
	uint8_t *out = arena_take(a, name.size + 1);
	size_t size = 0;

	for (size_t i = 0; i < name.size; i++) {
		struct slice rest = slice_part(name, i, 3);
		if (name.data[i] == 0)
			return ERR_INVALID;
		if (name.data[i] != '=') {
			out[size++] = name.data[i];
			continue;
		}
		if (slice_equal(rest, SLICE("=2C")))
			out[size++] = ',';
		else if (slice_equal(rest, SLICE("=3D")))
			out[size++] = '=';
		else
			return ERR_INVALID;
		i += 2;
	}
	*ret = (struct slice) { out, size };
	return size ? OK : ERR_INVALID;
}

static bool is_printable(struct slice text)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] < 0x21 || text.data[i] > 0x7e)
			return false;
	return text.size > 0 && text.size <= SCRAM_NONCE_BYTES_MAX;
}

/* --- the server -------------------------------------------------------------------------------
 */

enum err scram_read_first(struct arena *a, struct slice message, struct scram_first *ret)
{
	struct scram_first first;
	struct slice rest = message, name, nonce, user, acted_for;

	if (message.size > SCRAM_MESSAGE_BYTES_MAX)
		return ERR_INVALID;
	struct slice binding = slice_cut(&rest, ',');
	if (!slice_equal(binding, SLICE("n")) && !slice_equal(binding, SLICE("y")))
		return ERR_INVALID;
	acted_for = slice_cut(&rest, ',');
	first.header = slice_part(message, 0, message.size - rest.size);
	first.bare = rest;
	enum err err = take(&rest, 'n', &name);
	if (!err)
		err = take(&rest, 'r', &nonce);
	if (!err)
		err = unescape(a, name, &user);
	if (err || !is_printable(nonce))
		return ERR_INVALID;
	/* Everybody acts for themselves only. */
	if (acted_for.size && (!slice_starts_with(acted_for, SLICE("a=")) ||
			       !slice_equal(slice_part(acted_for, 2, acted_for.size), name)))
		return ERR_INVALID;
	first.nonce = nonce;
	first.user = user;
	*ret = first;
	return OK;
}

void scram_challenge(const struct scram_first *first, const struct scram_verifier *v,
		     const uint8_t random[SCRAM_RANDOM_BYTES], struct buf *out)
{
	buf_add_text(out, "r=");
	buf_add_slice(out, first->nonce);
	base64_add(out, (struct slice) { random, SCRAM_RANDOM_BYTES });
	buf_add_text(out, ",s=");
	base64_add(out, (struct slice) { v->salt, v->salt_bytes });
	buf_add_format(out, ",i=%d", v->iterations);
}

/* What both sides sign. */
static void auth_message(struct slice bare, struct slice challenge, struct slice final,
			 struct buf *ret)
{
	buf_init(ret);
	buf_add_slice(ret, bare);
	buf_add_text(ret, ",");
	buf_add_slice(ret, challenge);
	buf_add_text(ret, ",");
	buf_add_slice(ret, final);
}

static bool proof_fits(const struct scram_verifier *v, struct slice text, struct slice proof)
{
	uint8_t key[SCRAM_BYTES_MAX], stored[SCRAM_BYTES_MAX];
	size_t size = scram_hash_bytes(v->hash);

	if (proof.size != size)
		return false;
	hmac(v->hash, v->stored_key, text, key);
	for (size_t i = 0; i < size; i++)
		key[i] ^= proof.data[i];
	hash_key(v->hash, key, stored);
	OPENSSL_cleanse(key, sizeof(key));
	return CRYPTO_memcmp(stored, v->stored_key, size) == 0;
}

static bool ends_with(struct slice text, struct slice end)
{
	return text.size >= end.size &&
	       slice_equal(slice_part(text, text.size - end.size, end.size), end);
}

/* librdkafka before 2.6.1 puts its own part of the nonce in front once more.  That takes nothing
 * away: what counts is that our fresh part is in what is signed, and Kafka asks for no more.
 *
 * "c=HEADER,r=NONCE,p=PROOF"; extensions may stand before the proof. */
static enum err read_final(struct arena *a, const struct scram_first *first, struct slice challenge,
			   struct slice message, struct slice *ret_signed, struct slice *ret_proof)
{
	struct slice rest = message, header, nonce, given, proof = { 0 };
	struct slice expected;

	if (message.size > SCRAM_MESSAGE_BYTES_MAX || take(&rest, 'c', &header) ||
	    take(&rest, 'r', &nonce) || take(&challenge, 'r', &expected) ||
	    base64_decode(a, header, &given))
		return ERR_INVALID;
	if (!slice_equal(given, first->header) || !ends_with(nonce, expected))
		return ERR_DENIED;
	while (rest.size && !slice_starts_with(rest, SLICE("p=")))
		(void)slice_cut(&rest, ',');
	if (rest.size < 2 || base64_decode(a, slice_part(rest, 2, rest.size), &proof))
		return ERR_INVALID;
	*ret_signed = slice_part(message, 0, message.size - rest.size - 1);
	*ret_proof = proof;
	return OK;
}

enum err scram_finish(struct arena *a, const struct scram_first *first, struct slice challenge,
		      const struct scram_verifier *v, struct slice message, struct buf *out)
{
	struct slice signed_part, proof;
	uint8_t signature[SCRAM_BYTES_MAX];
	struct buf text;

	enum err err = read_final(a, first, challenge, message, &signed_part, &proof);
	if (err)
		return err;
	auth_message(first->bare, challenge, signed_part, &text);
	bool fits = proof_fits(v, buf_slice(&text), proof);
	if (fits) {
		hmac(v->hash, v->server_key, buf_slice(&text), signature);
		buf_add_text(out, "v=");
		base64_add(out, (struct slice) { signature, scram_hash_bytes(v->hash) });
	}
	buf_done(&text);
	return fits ? OK : ERR_DENIED;
}

/* --- the client -------------------------------------------------------------------------------
 */

void scram_begin(struct slice user, const uint8_t random[SCRAM_RANDOM_BYTES], struct buf *out)
{
	buf_add_text(out, "n,,n=");
	for (size_t i = 0; i < user.size; i++) {
		if (user.data[i] == ',')
			buf_add_text(out, "=2C");
		else if (user.data[i] == '=')
			buf_add_text(out, "=3D");
		else
			buf_add_u8(out, user.data[i]);
	}
	buf_add_text(out, ",r=");
	base64_add(out, (struct slice) { random, SCRAM_RANDOM_BYTES });
}

struct challenge {
	struct slice nonce, salt;
	int iterations;
};

static enum err read_challenge(struct arena *a, struct slice bare, struct slice text,
			       struct challenge *ret)
{
	struct slice name, own, salt, number;
	uint64_t iterations;

	if (text.size > SCRAM_MESSAGE_BYTES_MAX || take(&bare, 'n', &name) ||
	    take(&bare, 'r', &own) || take(&text, 'r', &ret->nonce) || take(&text, 's', &salt) ||
	    take(&text, 'i', &number) || base64_decode(a, salt, &ret->salt) ||
	    text_to_u64(number, 1000000, &iterations) || iterations < SCRAM_ITERATIONS_MIN)
		return ERR_INVALID;
	if (ret->nonce.size <= own.size || !slice_starts_with(ret->nonce, own))
		return ERR_DENIED;
	ret->iterations = (int)iterations;
	return OK;
}

enum err scram_respond(struct arena *a, enum scram_hash hash, struct slice password,
		       struct slice first, struct slice challenge, struct buf *out,
		       uint8_t ret_signature[SCRAM_BYTES_MAX])
{
	uint8_t salted[SCRAM_BYTES_MAX], client[SCRAM_BYTES_MAX], stored[SCRAM_BYTES_MAX];
	uint8_t server[SCRAM_BYTES_MAX], proof[SCRAM_BYTES_MAX];
	struct slice bare = slice_part(first, 3, first.size); /* without "n,," */
	struct challenge c;
	struct buf text, final;

	enum err err = read_challenge(a, bare, challenge, &c);
	if (err)
		return err;
	buf_init(&final);
	buf_add_text(&final, "c=biws,r=");
	buf_add_slice(&final, c.nonce);
	auth_message(bare, challenge, buf_slice(&final), &text);
	scram_salt_password(hash, password, c.salt, c.iterations, salted);
	scram_keys(hash, salted, stored, server);
	hmac(hash, salted, SLICE("Client Key"), client);
	hmac(hash, stored, buf_slice(&text), proof);
	for (size_t i = 0; i < scram_hash_bytes(hash); i++)
		proof[i] ^= client[i];
	hmac(hash, server, buf_slice(&text), ret_signature);
	buf_add_slice(out, buf_slice(&final));
	buf_add_text(out, ",p=");
	base64_add(out, (struct slice) { proof, scram_hash_bytes(hash) });
	OPENSSL_cleanse(salted, sizeof(salted));
	OPENSSL_cleanse(client, sizeof(client));
	buf_done(&text);
	buf_done(&final);
	return OK;
}

enum err scram_check_server(struct arena *a, enum scram_hash hash,
			    const uint8_t signature[SCRAM_BYTES_MAX], struct slice message)
{
	struct slice text, given;

	if (take(&message, 'v', &text) || base64_decode(a, text, &given))
		return ERR_INVALID;
	return given.size == scram_hash_bytes(hash) &&
			       CRYPTO_memcmp(given.data, signature, given.size) == 0
		       ? OK
		       : ERR_DENIED;
}
