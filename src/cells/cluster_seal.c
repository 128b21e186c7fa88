/* What makes v1/cluster that of a sealed cluster: the id of its key, and
 *
 *	mac = HMAC-SHA256(cluster key, everything before it in the object)
 *
 * so that nobody without a key makes us take one cluster for another, or a sealed one for new. */
#include <stdio.h>

#include "cells/cluster.h"
#include "wire/keys/hkdf.h"

_Static_assert((int)CLUSTER_MAC_BYTES == (int)SHA256_BYTES, "a MAC is one hash");
enum { MAC_AT = 56 };

static void compute_mac(const struct cluster *c, const struct keyring *keys,
			uint8_t ret[CLUSTER_MAC_BYTES])
{
	struct slice key = { keyring_get(keys, KEY_CLUSTER), KEY_BYTES }, before;
	struct buf body;

	buf_init(&body);
	cluster_encode(c, &body);
	before = slice_part(buf_slice(&body), 0, MAC_AT);
	hmac_sha256(ret, key, &before, 1);
	buf_done(&body);
}

void cluster_seal(struct cluster *c, const struct keyring *keys)
{
	c->is_sealed = true;
	memcpy(c->key_id, keys->id, sizeof(c->key_id));
	compute_mac(c, keys, c->mac);
}

/* Enough of an id for people to compare. */
enum { SHOWN_DIGITS = 8 };

static enum err deny_key(const struct cluster *c, const struct keyring *keys, const char *url,
			 char why[TASK_WHY_BYTES])
{
	struct keyring found = { 0 };
	char its[KEY_ID_TEXT_BYTES], given[KEY_ID_TEXT_BYTES];

	memcpy(found.id, c->key_id, sizeof(found.id));
	keyring_id_text(&found, its);
	if (!keys) {
		snprintf(why, TASK_WHY_BYTES,
			 "%.40s is sealed: give its key, %.*s..., with --key-file FILE", url,
			 SHOWN_DIGITS, its);
		return ERR_DENIED;
	}
	keyring_id_text(keys, given);
	snprintf(why, TASK_WHY_BYTES,
		 "%.36s has key %.*s...; the one given, %.*s..., is the key of another cluster",
		 url, SHOWN_DIGITS, its, SHOWN_DIGITS, given);
	return ERR_DENIED;
}

enum err cluster_check(const struct cluster *c, const struct keyring *keys, const char *url,
		       char why[TASK_WHY_BYTES])
{
	uint8_t mac[CLUSTER_MAC_BYTES];

	if (!c->is_sealed && !keys)
		return OK;
	if (!c->is_sealed) {
		snprintf(why, TASK_WHY_BYTES,
			 "%.40s is not sealed: give --seal no and no --key-file, or another bucket",
			 url);
		return ERR_DENIED;
	}
	if (!keys || memcmp(c->key_id, keys->id, sizeof(c->key_id)) != 0)
		return deny_key(c, keys, url, why);
	compute_mac(c, keys, mac);
	if (mac_equal(mac, c->mac, sizeof(mac)))
		return OK;
	snprintf(why, TASK_WHY_BYTES, "%.50s: %s was changed by somebody without the key", url,
		 CLUSTER_KEY);
	return ERR_CORRUPT;
}
