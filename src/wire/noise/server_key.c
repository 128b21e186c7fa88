#include "wire/noise/server_key.h"

#include <jansson.h>

void server_key_encode(struct buf *b, const struct mesh_key *key)
{
	static const struct mesh_key none; /* of the protocol before this one */
	char text[MESH_KEY_TEXT_BYTES], legacy[MESH_KEY_TEXT_BYTES];

	mesh_key_text(MESH_KEY_MACHINE, key, text);
	mesh_key_text(MESH_KEY_MACHINE, &none, legacy);
	buf_add_format(b, "{\"legacyPublicKey\":\"%s\",\"publicKey\":\"%s\"}\n", legacy, text);
}

enum err server_key_decode(struct slice json, struct mesh_key *ret)
{
	json_t *root = json_loadb((const char *)json.data, json.size, 0, NULL);
	const char *text = json_string_value(json_object_get(root, "publicKey"));
	struct mesh_key key;
	enum err err = ERR_INVALID;

	if (text && mesh_key_parse(MESH_KEY_MACHINE, slice_from(text), &key) == OK &&
	    !mesh_key_is_zero(&key)) {
		*ret = key;
		err = OK;
	}
	json_decref(root);
	return err;
}
