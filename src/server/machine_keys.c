#include "server/machine_keys.h"

#include <stdio.h>

#include "base/random.h"
#include "wire/crypto/wipe.h"
#include "wire/crypto/x25519.h"

static const char machine_name[] = "machine.key";

static enum err write_key(const struct state *s, const char *name, const struct mesh_key *key,
			  char why[STATE_WHY_BYTES])
{
	char text[MESH_KEY_TEXT_BYTES + 1];

	mesh_key_text(MESH_KEY_PRIVATE, key, text);
	size_t size = strlen(text);
	text[size] = '\n';
	enum err err = state_write(s, name, (struct slice) { (uint8_t *)text, size + 1 });
	if (err)
		snprintf(why, STATE_WHY_BYTES, "%.200s/%s cannot be written: %s", s->path, name,
			 err_name(err));
	crypto_wipe(text, sizeof(text));
	return err;
}

static enum err draw_key(const struct state *s, const char *name, struct mesh_key *ret,
			 char why[STATE_WHY_BYTES])
{
	struct mesh_key key;

	random_bytes(key.bytes, sizeof(key.bytes));
	x25519_clamp(key.bytes);
	enum err err = write_key(s, name, &key, why);
	if (!err)
		*ret = key;
	crypto_wipe(&key, sizeof(key));
	return err;
}

static enum err load_key(const struct state *s, const char *name, struct mesh_key *ret,
			 char why[STATE_WHY_BYTES])
{
	struct buf text;

	buf_init(&text);
	enum err err = state_read(s, name, MESH_KEY_TEXT_BYTES, &text);
	if (err == ERR_NOT_FOUND) {
		buf_done(&text);
		return draw_key(s, name, ret, why);
	}
	struct slice rest = buf_slice(&text);
	if (!err)
		err = mesh_key_parse(MESH_KEY_PRIVATE, slice_cut(&rest, '\n'), ret);
	if (err == ERR_DENIED)
		snprintf(why, STATE_WHY_BYTES,
			 "%.150s/%s can be read by others: `chmod 600` it, and think about who may "
			 "have read it",
			 s->path, name);
	else if (err)
		snprintf(why, STATE_WHY_BYTES, "%.200s/%s holds no key: %s", s->path, name,
			 err_name(err));
	if (text.data)
		crypto_wipe(text.data, text.capacity);
	buf_done(&text);
	return err;
}

enum err machine_keys_load(const struct state *s, struct machine_keys *ret,
			   char why[STATE_WHY_BYTES])
{
	enum err err = load_key(s, machine_name, &ret->machine, why);

	return err ? err : load_key(s, STATE_NODE_KEY, &ret->node, why);
}

enum err machine_keys_save_node(const struct state *s, const struct machine_keys *keys,
				char why[STATE_WHY_BYTES])
{
	return write_key(s, STATE_NODE_KEY, &keys->node, why);
}

void machine_keys_done(struct machine_keys *keys)
{
	crypto_wipe(keys, sizeof(*keys));
}
