#include "wire/derp/derp.h"

#include <assert.h>
#include <jansson.h>

#include "base/endian.h"
#include "base/random.h"
#include "base/text.h"
#include "wire/crypto/box.h"
#include "wire/crypto/wipe.h"

static const char key_name_prefix[] = "derpkey";
static const uint8_t server_magic[8] = { 'D', 'E', 'R', 'P', 0xf0, 0x9f, 0x94, 0x91 };
static const uint8_t disco_magic[6] = { 'T', 'S', 0xf0, 0x9f, 0x92, 0xac };

enum {
	BOXED_BYTES_MIN = BOX_NONCE_BYTES + BOX_TAG_BYTES,
	DISCO_BYTES_MIN = 6 + 32 + 24,
	PEER_PRESENT_BYTES = DERP_KEY_BYTES + 16 + 2 + 1,
	INFO_BYTES_MAX = DERP_CLIENT_INFO_BYTES_MAX,
	OWN_INFO_BYTES_MAX = 2048, /* as JSON, before sealing */
};

/* --- frames ----------------------------------------------------------------------------------- */
enum err derp_read_head(struct slice bytes, struct derp_head *ret)
{
	if (bytes.size < DERP_HEAD_BYTES)
		return ERR_BUSY;
	*ret = (struct derp_head) { bytes.data[0], get_u32(bytes.data + 1) };
	return OK;
}

void derp_put_head(uint8_t ret[DERP_HEAD_BYTES], enum derp_frame_type type, size_t size)
{
	assert(size <= DERP_FRAME_BYTES_MAX);
	ret[0] = (uint8_t)type;
	put_u32(ret + 1, (uint32_t)size);
}

static void add_head(struct buf *b, enum derp_frame_type type, size_t size)
{
	uint8_t head[DERP_HEAD_BYTES];

	derp_put_head(head, type, size);
	buf_add(b, head, sizeof(head));
}

void derp_add_frame(struct buf *b, enum derp_frame_type type, struct slice payload)
{
	add_head(b, type, payload.size);
	buf_add_slice(b, payload);
}

static void get_key(const uint8_t *p, struct mesh_key *ret)
{
	memcpy(ret->bytes, p, DERP_KEY_BYTES);
}

/* --- opening ---------------------------------------------------------------------------------- */
void derp_add_server_key(struct buf *b, const struct mesh_key *server)
{
	add_head(b, DERP_SERVER_KEY, sizeof(server_magic) + DERP_KEY_BYTES);
	buf_add(b, server_magic, sizeof(server_magic));
	buf_add(b, server->bytes, DERP_KEY_BYTES);
}

enum err derp_read_server_key(struct slice payload, struct mesh_key *ret)
{
	if (payload.size < sizeof(server_magic) + DERP_KEY_BYTES ||
	    memcmp(payload.data, server_magic, sizeof(server_magic)) != 0)
		return ERR_INVALID;
	get_key(payload.data + sizeof(server_magic), ret);
	return OK;
}

/* Nonce and box, of JSON that is given up. */
static bool add_boxed(struct buf *b, json_t *json, const struct mesh_key *secret,
		      const struct mesh_key *other)
{
	uint8_t shared[BOX_KEY_BYTES], nonce[BOX_NONCE_BYTES];
	char text[OWN_INFO_BYTES_MAX];
	size_t size = json_dumpb(json, text, sizeof(text), JSON_COMPACT);

	assert(size > 0 && size <= sizeof(text));
	json_decref(json);
	bool is_key = box_shared(secret->bytes, other->bytes, shared);
	if (is_key) {
		random_bytes(nonce, sizeof(nonce));
		buf_add(b, nonce, sizeof(nonce));
		uint8_t *room = buf_reserve(b, size + BOX_TAG_BYTES);
		box_seal(shared, nonce, (struct slice) { (const uint8_t *)text, size }, room);
		b->size += size + BOX_TAG_BYTES;
	}
	crypto_wipe(shared, sizeof(shared));
	crypto_wipe(text, sizeof(text));
	return is_key;
}

/* The frame is begun before its size is known. */
static size_t begin_frame(struct buf *b, enum derp_frame_type type)
{
	size_t at = b->size;

	add_head(b, type, 0);
	return at;
}

static bool end_frame(struct buf *b, size_t at, bool is_good)
{
	if (!is_good)
		b->size = at;
	else
		put_u32(b->data + at + 1, (uint32_t)(b->size - at - DERP_HEAD_BYTES));
	return is_good;
}

static void set_new(json_t *json, const char *name, json_t *value)
{
	int code = json_object_set_new(json, name, value);

	assert(code == 0);
}

bool derp_add_client_info(struct buf *b, const struct derp_client_info *info,
			  const struct mesh_key *secret, const struct mesh_key *own,
			  const struct mesh_key *server)
{
	json_t *json = json_object();
	size_t at = begin_frame(b, DERP_CLIENT_INFO);

	buf_add(b, own->bytes, DERP_KEY_BYTES);
	set_new(json, "version", json_integer(info->version));
	if (info->has_mesh_key) {
		char hex[2 * DERP_KEY_BYTES + 1];
		hex_encode(hex, (struct slice) { info->mesh_key.bytes, DERP_KEY_BYTES });
		set_new(json, "meshKey", json_string(hex));
		crypto_wipe(hex, sizeof(hex));
	}
	set_new(json, "CanAckPings", json_boolean(info->can_ack_pings));
	if (info->is_prober)
		set_new(json, "IsProber", json_true());
	if (info->app_name[0])
		set_new(json, "AppName", json_string(info->app_name));
	return end_frame(b, at, add_boxed(b, json, secret, server));
}

bool derp_add_server_info(struct buf *b, const struct derp_server_info *info,
			  const struct mesh_key *secret, const struct mesh_key *client)
{
	json_t *json = json_object();
	size_t at = begin_frame(b, DERP_SERVER_INFO);

	set_new(json, "version", json_integer(info->version));
	if (info->bytes_per_second) {
		set_new(json, "TokenBucketBytesPerSecond",
			json_integer((json_int_t)info->bytes_per_second));
		set_new(json, "TokenBucketBytesBurst", json_integer((json_int_t)info->bytes_burst));
	}
	return end_frame(b, at, add_boxed(b, json, secret, client));
}

/* The JSON object in nonce and box. */
static enum err open_boxed(struct slice boxed, const struct mesh_key *secret,
			   const struct mesh_key *other, json_t **ret)
{
	uint8_t shared[BOX_KEY_BYTES];
	uint8_t plain[INFO_BYTES_MAX];

	if (boxed.size < BOXED_BYTES_MIN)
		return ERR_INVALID;
	if (boxed.size > INFO_BYTES_MAX)
		return ERR_TOO_BIG;
	struct slice sealed = slice_part(boxed, BOX_NONCE_BYTES, boxed.size);
	bool is_theirs = box_shared(secret->bytes, other->bytes, shared) &&
			 box_open(shared, boxed.data, sealed, plain);
	crypto_wipe(shared, sizeof(shared));
	if (!is_theirs)
		return ERR_DENIED;
	json_t *json = json_loadb((const char *)plain, sealed.size - BOX_TAG_BYTES, 0, NULL);
	crypto_wipe(plain, sealed.size);
	if (!json_is_object(json)) {
		json_decref(json);
		return ERR_INVALID;
	}
	*ret = json;
	return OK;
}

static uint64_t get_number(const json_t *json, const char *name)
{
	json_int_t value = json_integer_value(json_object_get(json, name));

	return value > 0 ? (uint64_t)value : 0;
}

static enum err read_mesh_key(const json_t *json, struct derp_client_info *ret)
{
	const json_t *key = json_object_get(json, "meshKey");
	const char *hex = json_string_value(key);

	if (!hex || !hex[0])
		return OK;
	if (strlen(hex) != (size_t)2 * DERP_KEY_BYTES ||
	    hex_decode(slice_from(hex), ret->mesh_key.bytes, DERP_KEY_BYTES))
		return ERR_INVALID;
	ret->has_mesh_key = !mesh_key_is_zero(&ret->mesh_key);
	return OK;
}

enum err derp_read_client_info(struct slice payload, const struct mesh_key *secret,
			       struct mesh_key *ret_client, struct derp_client_info *ret)
{
	struct derp_client_info info = { 0 };
	struct mesh_key client;
	json_t *json;

	if (payload.size < DERP_KEY_BYTES)
		return ERR_INVALID;
	get_key(payload.data, &client);
	enum err err = open_boxed(slice_part(payload, DERP_KEY_BYTES, payload.size), secret,
				  &client, &json);
	if (err)
		return err;
	uint64_t version = get_number(json, "version");
	const char *app = json_string_value(json_object_get(json, "AppName"));
	info.version = version > UINT32_MAX ? UINT32_MAX : (uint32_t)version;
	info.can_ack_pings = json_is_true(json_object_get(json, "CanAckPings"));
	info.is_prober = json_is_true(json_object_get(json, "IsProber"));
	if (app && strlen(app) < sizeof(info.app_name))
		memcpy(info.app_name, app, strlen(app) + 1);
	err = read_mesh_key(json, &info);
	json_decref(json);
	if (!err) {
		*ret_client = client;
		*ret = info;
	}
	crypto_wipe(&info.mesh_key, sizeof(info.mesh_key));
	return err;
}

enum err derp_read_server_info(struct slice payload, const struct mesh_key *secret,
			       const struct mesh_key *server, struct derp_server_info *ret)
{
	json_t *json;

	enum err err = open_boxed(payload, secret, server, &json);
	if (err)
		return err;
	uint64_t version = get_number(json, "version");
	*ret = (struct derp_server_info) {
		.version = version > UINT32_MAX ? UINT32_MAX : (uint32_t)version,
		.bytes_per_second = get_number(json, "TokenBucketBytesPerSecond"),
		.bytes_burst = get_number(json, "TokenBucketBytesBurst"),
	};
	json_decref(json);
	return OK;
}

/* --- packets ---------------------------------------------------------------------------------- */
enum err derp_read_packet(struct slice payload, struct mesh_key *ret_other,
			  struct slice *ret_packet)
{
	if (payload.size < DERP_KEY_BYTES)
		return ERR_INVALID;
	if (payload.size - DERP_KEY_BYTES > DERP_PACKET_BYTES_MAX)
		return ERR_TOO_BIG;
	get_key(payload.data, ret_other);
	*ret_packet = slice_part(payload, DERP_KEY_BYTES, payload.size);
	return OK;
}

enum err derp_read_forward(struct slice payload, struct mesh_key *ret_from, struct mesh_key *ret_to,
			   struct slice *ret_packet)
{
	struct mesh_key from;

	if (payload.size < (size_t)2 * DERP_KEY_BYTES)
		return ERR_INVALID;
	get_key(payload.data, &from);
	enum err err = derp_read_packet(slice_part(payload, DERP_KEY_BYTES, payload.size), ret_to,
					ret_packet);
	if (!err)
		*ret_from = from;
	return err;
}

bool derp_is_disco(struct slice packet)
{
	return packet.size >= DISCO_BYTES_MIN &&
	       memcmp(packet.data, disco_magic, sizeof(disco_magic)) == 0;
}

/* --- who is there ----------------------------------------------------------------------------- */
void derp_add_peer_present(struct buf *b, const struct derp_peer_present *peer)
{
	add_head(b, DERP_PEER_PRESENT, PEER_PRESENT_BYTES);
	buf_add(b, peer->key.bytes, DERP_KEY_BYTES);
	buf_add(b, peer->ip, sizeof(peer->ip));
	buf_add_u16(b, peer->port);
	buf_add_u8(b, peer->flags);
}

/* Older relays say only the key, or leave the flags out. */
enum err derp_read_peer_present(struct slice payload, struct derp_peer_present *ret)
{
	struct derp_peer_present peer = { 0 };
	const uint8_t *p = payload.data;

	if (payload.size < DERP_KEY_BYTES)
		return ERR_INVALID;
	get_key(p, &peer.key);
	if (payload.size >= PEER_PRESENT_BYTES - 1) {
		memcpy(peer.ip, p + DERP_KEY_BYTES, sizeof(peer.ip));
		peer.port = get_u16(p + DERP_KEY_BYTES + 16);
	}
	if (payload.size >= PEER_PRESENT_BYTES)
		peer.flags = p[PEER_PRESENT_BYTES - 1];
	*ret = peer;
	return OK;
}

void derp_add_peer_gone(struct buf *b, const struct mesh_key *peer, enum derp_gone reason)
{
	add_head(b, DERP_PEER_GONE, DERP_KEY_BYTES + 1);
	buf_add(b, peer->bytes, DERP_KEY_BYTES);
	buf_add_u8(b, (uint8_t)reason);
}

enum err derp_read_peer_gone(struct slice payload, struct mesh_key *ret, uint8_t *ret_reason)
{
	if (payload.size < DERP_KEY_BYTES)
		return ERR_INVALID;
	get_key(payload.data, ret);
	*ret_reason = payload.size > DERP_KEY_BYTES ? payload.data[DERP_KEY_BYTES]
						    : DERP_GONE_DISCONNECTED;
	return OK;
}

void derp_add_restarting(struct buf *b, uint32_t reconnect_in_ms, uint32_t try_for_ms)
{
	add_head(b, DERP_RESTARTING, 8);
	buf_add_u32(b, reconnect_in_ms);
	buf_add_u32(b, try_for_ms);
}

enum err derp_read_restarting(struct slice payload, uint32_t *ret_reconnect_in_ms,
			      uint32_t *ret_try_for_ms)
{
	if (payload.size < 8)
		return ERR_INVALID;
	*ret_reconnect_in_ms = get_u32(payload.data);
	*ret_try_for_ms = get_u32(payload.data + 4);
	return OK;
}

/* --- the key in a certificate ----------------------------------------------------------------- */
void derp_key_name(const struct mesh_key *server, char ret[DERP_KEY_NAME_BYTES])
{
	memcpy(ret, key_name_prefix, sizeof(key_name_prefix));
	hex_encode(ret + sizeof(key_name_prefix) - 1,
		   (struct slice) { server->bytes, DERP_KEY_BYTES });
}

enum err derp_key_from_name(const char *name, struct mesh_key *ret)
{
	struct slice text = slice_from(name);
	struct slice hex = slice_part(text, sizeof(key_name_prefix) - 1, text.size);

	if (!slice_starts_with(text, slice_from(key_name_prefix)) ||
	    hex.size != (size_t)2 * DERP_KEY_BYTES)
		return ERR_INVALID;
	return hex_decode(hex, ret->bytes, DERP_KEY_BYTES);
}
