/* What sealing an object costs, and opening it, beside the hash and the cipher alone, which are its
 * bound: a pass of SHA-256 for the salt and one of AES-256-GCM. */
#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "buckets/sealed_object.h"

enum { ROUNDS = 5, ROUND_US = 100000, LARGE_BYTES = 8 << 20, NAME_WIDTH = 34 };

struct measure {
	struct sealed_key key;
	struct slice body;
	uint8_t *stored, *opened;
};
typedef void work_function(struct measure *m);

static double best_us(struct measure *m, work_function *work)
{
	double best = 0;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = clock_now_us(), passed = 0;
		size_t times = 0;

		for (; passed < ROUND_US; times++) {
			work(m);
			passed = clock_now_us() - start;
		}
		if (best == 0 || (double)passed / (double)times < best)
			best = (double)passed / (double)times;
	}
	return best;
}

static void hash_work(struct measure *m)
{
	uint8_t hash[32];
	int ok = EVP_Digest(m->body.data, m->body.size, hash, NULL, EVP_sha256(), NULL);

	assert(ok);
}

static void cipher_work(struct measure *m)
{
	static const uint8_t key[SEALED_KEY_BYTES], nonce[12];
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int size = 0;
	int ok = EVP_EncryptInit_ex2(context, m->key.cipher, key, nonce, NULL) &&
		 EVP_EncryptUpdate(context, m->stored, &size, m->body.data, (int)m->body.size) &&
		 EVP_EncryptFinal_ex(context, m->stored, &size);

	assert(ok);
	EVP_CIPHER_CTX_free(context);
}

static void seal_work(struct measure *m)
{
	sealed_seal(&m->key, SLICE("v1/d/00/bench"), &m->body, 1, m->stored);
}

static void open_work(struct measure *m)
{
	uint64_t stored = sealed_size(m->body.size);
	char why[SEALED_WHY_BYTES];
	enum err err = sealed_open(&m->key, SLICE("v1/d/00/bench"),
				   (struct slice) { m->stored, stored }, 0, stored, m->opened, why);

	assert(!err);
}

static void show(struct measure *m, const char *what, work_function *work)
{
	double us = best_us(m, work);

	printf("%-*s %8zu B %9.1f us %7.2f s/GiB\n", NAME_WIDTH, what, m->body.size, us,
	       us / 1e6 * (double)(1 << 30) / (double)m->body.size);
}

int main(void)
{
	static const size_t sizes[] = { 1000, SEALED_CHUNK_BYTES, LARGE_BYTES };
	static const uint8_t key[SEALED_KEY_BYTES] = { 1 };
	uint8_t *body = memory_take(LARGE_BYTES);
	struct measure m = { .opened = memory_take(LARGE_BYTES),
			     .stored = memory_take(sealed_size(LARGE_BYTES)) };

	sealed_key_init(&m.key, key);
	for (size_t i = 0; i < LARGE_BYTES; i++)
		body[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		m.body = (struct slice) { body, sizes[i] };
		show(&m, "SHA-256 alone", hash_work);
		show(&m, "AES-256-GCM alone", cipher_work);
		show(&m, "seal", seal_work);
		show(&m, "open", open_work);
	}
	sealed_key_done(&m.key);
	memory_free(m.stored);
	memory_free(m.opened);
	memory_free(body);
	return 0;
}
