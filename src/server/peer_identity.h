/* What the keys of a role make of it among peers: who it is, and whom it believes. */
#ifndef SERVER_PEER_IDENTITY_H
#define SERVER_PEER_IDENTITY_H

#include <stdbool.h>

#include "loop/tls_identity.h"
#include "wire/keys/keyring.h"

struct peer_identity {
	struct tls_identity *listens;  /* control: believes control and agents; NULL: not ours */
	struct tls_identity *asks;     /* control or agent: believes control; NULL: neither */
	struct tls_identity *mates;    /* agent: listens and asks, believes agents; NULL: not one */
	uint8_t agents[TLS_KEY_BYTES]; /* where it listens: the public key of agents */
};

/* `keys` is the part of one role, or the whole. */
void peer_identity_init(struct peer_identity *p, const struct keyring *keys);
void peer_identity_done(struct peer_identity *p); /* also of a zeroed one */

/* Who showed `key` to a listener. */
bool peer_identity_is_agent(const struct peer_identity *p, const uint8_t key[TLS_KEY_BYTES]);

#endif
