#include "mesh/tunnel/flood.h"

#include "base/endian.h"
#include "base/hash.h"
#include "base/memory.h"
#include "wire/crypto/blake2s.h"
#include "wire/crypto/wipe.h"

enum { TOKEN = 1000, TOKENS_MAX = FLOOD_SOURCE_BURST * TOKEN };

void flood_done(struct flood *f)
{
	memory_free(f->sources);
	crypto_wipe(f, sizeof(*f));
}

bool flood_is_loaded(struct flood *f, uint64_t now_ms)
{
	if (now_ms - f->window_ms >= FLOOD_WINDOW_MS) {
		f->window_ms = now_ms;
		f->count = 0;
	}
	if (++f->count > FLOOD_CALM_MAX)
		f->loaded_until_ms = now_ms + FLOOD_LOADED_MS;
	return now_ms < f->loaded_until_ms;
}

/* --- cookies --------------------------------------------------------------------------------- */
bool flood_needs_secret(const struct flood *f, uint64_t now_ms)
{
	return !f->has_secret || now_ms - f->secret_ms >= FLOOD_SECRET_MS;
}

void flood_set_secret(struct flood *f, uint64_t now_ms, const uint8_t secret[WIREGUARD_KEY_BYTES])
{
	memcpy(f->secret, secret, sizeof(f->secret));
	f->secret_ms = now_ms;
	f->has_secret = true;
}

void flood_cookie(const struct flood *f, const struct endpoint *from,
		  uint8_t ret[WIREGUARD_MAC_BYTES])
{
	uint8_t place[ENDPOINT_WIRE_BYTES];

	endpoint_put(place, from);
	blake2s_mac((struct slice) { f->secret, sizeof(f->secret) },
		    (struct slice) { place, sizeof(place) }, ret);
}

/* --- sources --------------------------------------------------------------------------------- */
/* Its place, or that of whoever was heard longest ago among the places it may have. */
static struct flood_source *find_source(struct flood *f, const uint8_t ip[16])
{
	size_t first = hash_bytes((struct slice) { ip, 16 }) % FLOOD_SOURCES;
	struct flood_source *oldest = NULL;

	for (size_t i = 0; i < FLOOD_SOURCES_LOOKED_AT; i++) {
		struct flood_source *s = &f->sources[(first + i) % FLOOD_SOURCES];
		if (s->heard_ms > 0 && memcmp(s->ip, ip, sizeof(s->ip)) == 0)
			return s;
		if (!oldest || s->heard_ms < oldest->heard_ms)
			oldest = s;
	}
	memcpy(oldest->ip, ip, sizeof(oldest->ip));
	oldest->heard_ms = 0;
	return oldest;
}

bool flood_admit(struct flood *f, uint64_t now_ms, const struct endpoint *from)
{
	uint8_t ip[16];

	memcpy(ip, from->ip, sizeof(ip));
	if (!endpoint_is_ip4(from))
		memset(ip + 8, 0, 8);
	if (!f->sources)
		f->sources = memory_take_array(FLOOD_SOURCES, sizeof(struct flood_source));
	struct flood_source *s = find_source(f, ip);
	uint64_t waited = s->heard_ms > 0 ? now_ms - s->heard_ms : UINT32_MAX;
	uint64_t tokens = s->tokens + waited * FLOOD_SOURCE_PER_S * TOKEN / 1000;

	s->tokens = tokens < TOKENS_MAX ? (uint32_t)tokens : TOKENS_MAX;
	s->heard_ms = now_ms ? now_ms : 1;
	if (s->tokens < TOKEN)
		return false;
	s->tokens -= TOKEN;
	return true;
}
