#include "wire/mesh_key.h"

#include <stdio.h>

#include "base/text.h"
#include "wire/crypto/wipe.h"

static const char *const prefixes[] = {
	[MESH_KEY_MACHINE] = "mkey:",	 [MESH_KEY_NODE] = "nodekey:",
	[MESH_KEY_DISCO] = "discokey:",	 [MESH_KEY_CHALLENGE] = "chalpub:",
	[MESH_KEY_PRIVATE] = "privkey:",
};

void mesh_key_text(enum mesh_key_kind kind, const struct mesh_key *k, char ret[MESH_KEY_TEXT_BYTES])
{
	int used = snprintf(ret, MESH_KEY_TEXT_BYTES, "%s", prefixes[kind]);

	hex_encode(ret + used, (struct slice) { k->bytes, sizeof(k->bytes) });
}

static int digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum err mesh_key_parse(enum mesh_key_kind kind, struct slice text, struct mesh_key *ret)
{
	struct slice prefix = slice_from(prefixes[kind]);
	struct mesh_key key;

	if (!slice_starts_with(text, prefix) || text.size != prefix.size + 2 * MESH_KEY_BYTES)
		return ERR_INVALID;
	for (size_t i = 0; i < MESH_KEY_BYTES; i++) {
		int high = digit(text.data[prefix.size + 2 * i]);
		int low = digit(text.data[prefix.size + 2 * i + 1]);

		if (high < 0 || low < 0)
			return ERR_INVALID;
		key.bytes[i] = (uint8_t)(high << 4 | low);
	}
	*ret = key;
	return OK;
}

bool mesh_key_is_zero(const struct mesh_key *k)
{
	static const struct mesh_key zero;

	return mesh_key_equal(k, &zero);
}

bool mesh_key_equal(const struct mesh_key *a, const struct mesh_key *b)
{
	return crypto_equal(a->bytes, b->bytes, sizeof(a->bytes));
}
