#include "server/heard.h"

#include <string.h>

#include "base/memory.h"

void heard_init(struct heard *h, int64_t now_ms)
{
	*h = (struct heard) { .since_ms = now_ms };
	h->nonces = memory_take_array(HEARD_NONCES_MAX, sizeof(*h->nonces));
}

void heard_done(struct heard *h)
{
	memory_free(h->nonces);
	*h = (struct heard) { 0 };
}

void heard_begin(struct heard *h, int64_t now_ms)
{
	h->since_ms = now_ms;
}

/* One that claims the last moment that is allowed passes until twice the age later. */
static void forget(struct heard *h, int64_t now_ms)
{
	while (h->count && h->nonces[h->first].at_ms < now_ms - 2 * HEARD_AGE_MS) {
		h->first = (h->first + 1) % HEARD_NONCES_MAX;
		h->count--;
	}
}

bool heard_is_new(struct heard *h, const uint8_t nonce[HEARD_NONCE_BYTES], int64_t at_ms,
		  int64_t now_ms)
{
	if (!h->nonces || at_ms < h->since_ms || at_ms < now_ms - HEARD_AGE_MS ||
	    at_ms > now_ms + HEARD_AGE_MS)
		return false;
	forget(h, now_ms);
	for (size_t i = 0; i < h->count; i++)
		if (memcmp(h->nonces[(h->first + i) % HEARD_NONCES_MAX].bytes, nonce,
			   HEARD_NONCE_BYTES) == 0)
			return false;
	if (h->count == HEARD_NONCES_MAX)
		return false;
	struct heard_nonce *next = &h->nonces[(h->first + h->count++) % HEARD_NONCES_MAX];
	memcpy(next->bytes, nonce, sizeof(next->bytes));
	next->at_ms = now_ms;
	return true;
}
