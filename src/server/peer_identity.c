#include "server/peer_identity.h"

#include <string.h>

static void init_control(struct peer_identity *p, const struct keyring *keys)
{
	const uint8_t *seed = keyring_get(keys, KEY_CONTROL_SEED);
	uint8_t control[TLS_KEY_BYTES];

	tls_public_key(seed, control);
	memcpy(p->agents, keyring_get(keys, KEY_AGENTS_PUBLIC), TLS_KEY_BYTES);
	p->listens = tls_identity_new(seed, (const uint8_t *[]) { control, p->agents }, 2);
	p->asks = tls_identity_new(seed, (const uint8_t *[]) { control }, 1);
}

static void init_agent(struct peer_identity *p, const struct keyring *keys)
{
	const uint8_t *seed = keyring_get(keys, KEY_AGENTS_SEED);
	uint8_t agents[TLS_KEY_BYTES];

	tls_public_key(seed, agents);
	p->asks =
		tls_identity_new(seed,
				 (const uint8_t *[]) { keyring_get(keys, KEY_CONTROL_PUBLIC) }, 1);
	p->mates = tls_identity_new(seed, (const uint8_t *[]) { agents }, 1);
}

void peer_identity_init(struct peer_identity *p, const struct keyring *keys)
{
	*p = (struct peer_identity) { 0 };
	if (keyring_has(keys, KEY_CONTROL_SEED) && keyring_has(keys, KEY_AGENTS_PUBLIC))
		init_control(p, keys);
	else if (keyring_has(keys, KEY_AGENTS_SEED) && keyring_has(keys, KEY_CONTROL_PUBLIC))
		init_agent(p, keys);
}

void peer_identity_done(struct peer_identity *p)
{
	if (p->listens)
		tls_identity_free(p->listens);
	if (p->asks)
		tls_identity_free(p->asks);
	if (p->mates)
		tls_identity_free(p->mates);
	*p = (struct peer_identity) { 0 };
}

bool peer_identity_is_agent(const struct peer_identity *p, const uint8_t key[TLS_KEY_BYTES])
{
	return memcmp(p->agents, key, TLS_KEY_BYTES) == 0;
}
