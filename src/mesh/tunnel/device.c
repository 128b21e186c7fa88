#include "mesh/tunnel/device.h"

#include <errno.h>
#include <inttypes.h>

#include "base/memory.h"
#include "base/text.h"
#include "wire/crypto/wipe.h"

/* --- what is there --------------------------------------------------------------------------- */
static void add_key(struct buf *b, const char *name, const uint8_t key[TUNNEL_KEY_BYTES])
{
	char text[2 * TUNNEL_KEY_BYTES + 1];

	hex_encode(text, (struct slice) { key, TUNNEL_KEY_BYTES });
	buf_add_format(b, "%s=%s\n", name, text);
	crypto_wipe(text, sizeof(text));
}

static void add_peer(struct buf *b, const struct tunnel_peer *p, struct tunnel_now now)
{
	struct tunnel_peer_state state = tunnel_peer_state(p, now);
	const struct device_place *place = device_place(p);
	char text[ENDPOINT_TEXT_BYTES];
	struct ip_prefix prefix;
	const void *cursor = NULL;

	add_key(b, "public_key", tunnel_peer_public(p));
	add_key(b, "preshared_key", tunnel_preshared(p));
	buf_add_text(b, "protocol_version=1\n");
	if (place->is_known) {
		endpoint_text(&place->at, text);
		buf_add_format(b, "endpoint=%s\n", text);
	}
	buf_add_format(b,
		       "last_handshake_time_sec=%" PRId64 "\nlast_handshake_time_nsec=%" PRId64
		       "\n",
		       state.handshake_wall_ms / 1000, state.handshake_wall_ms % 1000 * 1000000);
	buf_add_format(b, "tx_bytes=%" PRIu64 "\nrx_bytes=%" PRIu64 "\n", state.sent_bytes,
		       state.received_bytes);
	buf_add_format(b, "persistent_keepalive_interval=%u\n", tunnel_keepalive(p));
	while (tunnel_next_allowed(p, &cursor, &prefix)) {
		char prefix_text[IP_PREFIX_TEXT_BYTES];
		ip_prefix_text(prefix, prefix_text);
		buf_add_format(b, "allowed_ip=%s\n", prefix_text);
	}
}

static void show(const struct device *d, struct tunnel_now now, struct buf *b)
{
	if (tunnel_has_secret(d->tunnel))
		add_key(b, "private_key", tunnel_secret(d->tunnel));
	if (d->port > 0)
		buf_add_format(b, "listen_port=%u\n", d->port);
	if (d->mark > 0)
		buf_add_format(b, "fwmark=%" PRIu32 "\n", d->mark);
	for (const struct tunnel_peer *p = NULL; (p = tunnel_next_peer(d->tunnel, p));)
		add_peer(b, p, now);
}

/* --- what shall be --------------------------------------------------------------------------- */
/* The request so far: lines about a peer follow its public key. */
struct setting {
	struct device *device;
	struct tunnel_now now;
	bool is_about_peer;
	bool is_new;		  /* it was made by this request */
	struct tunnel_peer *peer; /* NULL: not there, and nothing about it matters */
};

static void remove_peer(struct device *d, struct tunnel_peer *p)
{
	struct device_place *place = device_place(p);

	tunnel_remove_peer(d->tunnel, p);
	memory_free(place);
}

static enum err read_key(struct slice value, uint8_t ret[TUNNEL_KEY_BYTES])
{
	return value.size == 2 * TUNNEL_KEY_BYTES ? hex_decode(value, ret, TUNNEL_KEY_BYTES)
						  : ERR_INVALID;
}

/* Peers it cannot speak with are gone then, and with them what was theirs. */
static enum err set_private_key(struct setting *s, struct slice value)
{
	uint8_t key[TUNNEL_KEY_BYTES], public[TUNNEL_KEY_BYTES];
	struct tunnel *t = s->device->tunnel;
	enum err err = read_key(value, key);

	if (err)
		return err;
	tunnel_public_of(key, public);
	struct tunnel_peer *own = tunnel_find_peer(t, public);
	if (own)
		remove_peer(s->device, own);
	tunnel_set_secret(t, key);
	crypto_wipe(key, sizeof(key));
	return OK;
}

static enum err set_listen_port(struct setting *s, struct slice value)
{
	struct device *d = s->device;
	uint64_t port;
	enum err err = text_to_u64(value, UINT16_MAX, &port);

	if (err)
		return err;
	return d->host->listen(d->context, (uint16_t)port, &d->port);
}

static enum err set_fwmark(struct setting *s, struct slice value)
{
	struct device *d = s->device;
	uint64_t mark;
	enum err err = text_to_u64(value, UINT32_MAX, &mark);

	if (!err)
		err = d->host->mark(d->context, (uint32_t)mark);
	if (!err)
		d->mark = (uint32_t)mark;
	return err;
}

static enum err set_replace_peers(struct setting *s, struct slice value)
{
	struct tunnel_peer *p;

	if (!slice_equal(value, SLICE("true")))
		return ERR_INVALID;
	while ((p = tunnel_next_peer(s->device->tunnel, NULL)))
		remove_peer(s->device, p);
	return OK;
}

/* A peer with our own key is one nobody speaks with: as in the kernel it is left out. */
static enum err set_public_key(struct setting *s, struct slice value)
{
	struct device_place *place = NEW(struct device_place);
	struct tunnel *t = s->device->tunnel;
	uint8_t key[TUNNEL_KEY_BYTES];
	enum err err = read_key(value, key);

	s->is_about_peer = true;
	s->peer = NULL;
	if (!err)
		err = tunnel_add_peer(t, key, place, &s->peer);
	s->is_new = !err;
	if (err)
		memory_free(place);
	if (err == ERR_EXISTS)
		return OK;
	bool is_own = err == ERR_INVALID && value.size == 2 * sizeof(key) && tunnel_has_secret(t) &&
		      memcmp(key, tunnel_public(t), sizeof(key)) == 0;
	return is_own ? OK : err;
}

static enum err set_remove(struct setting *s, struct slice value)
{
	if (!slice_equal(value, SLICE("true")))
		return ERR_INVALID;
	if (s->peer)
		remove_peer(s->device, s->peer);
	s->peer = NULL;
	return OK;
}

static enum err set_update_only(struct setting *s, struct slice value)
{
	if (!slice_equal(value, SLICE("true")))
		return ERR_INVALID;
	if (s->peer && s->is_new) {
		remove_peer(s->device, s->peer);
		s->peer = NULL;
	}
	return OK;
}

static enum err set_preshared_key(struct setting *s, struct slice value)
{
	uint8_t key[TUNNEL_KEY_BYTES];
	enum err err = read_key(value, key);

	if (!err && s->peer)
		tunnel_set_preshared(s->peer, key);
	crypto_wipe(key, sizeof(key));
	return err;
}

static enum err set_endpoint(struct setting *s, struct slice value)
{
	struct endpoint at;
	enum err err = endpoint_parse(value, &at);

	if (!err && s->peer)
		*device_place(s->peer) = (struct device_place) { .at = at, .is_known = true };
	return err;
}

static enum err set_keepalive(struct setting *s, struct slice value)
{
	uint64_t seconds;
	enum err err = text_to_u64(value, UINT16_MAX, &seconds);

	if (!err && s->peer)
		tunnel_set_keepalive(s->device->tunnel, s->now, s->peer, (uint16_t)seconds);
	return err;
}

static enum err set_replace_allowed_ips(struct setting *s, struct slice value)
{
	if (!slice_equal(value, SLICE("true")))
		return ERR_INVALID;
	if (s->peer)
		tunnel_disallow_all(s->device->tunnel, s->peer);
	return OK;
}

/* "-" takes one away.  Bits behind the length may be set: they are ignored. */
static enum err set_allowed_ip(struct setting *s, struct slice value)
{
	struct ip_prefix prefix;
	bool is_removal = value.size > 0 && value.data[0] == '-';
	struct slice rest = slice_part(value, is_removal ? 1 : 0, value.size);
	struct slice address = slice_cut(&rest, '/');
	uint64_t bits;
	enum err err = ip_parse(address, &prefix.ip);

	if (!err)
		err = text_to_u64(rest, ip_bits(prefix.ip), &bits);
	if (err || !s->peer)
		return err;
	prefix.bits = (uint8_t)bits;
	prefix = ip_prefix_masked(prefix);
	if (!is_removal)
		return tunnel_allow(s->device->tunnel, s->peer, prefix);
	tunnel_disallow(s->device->tunnel, s->peer, prefix);
	return OK;
}

static enum err set_protocol_version(struct setting *s, struct slice value)
{
	(void)s;
	return slice_equal(value, SLICE("1")) ? OK : ERR_INVALID;
}

static const struct row {
	const char *key;
	bool is_about_peer;
	enum err (*set)(struct setting *s, struct slice value);
} rows[] = {
	{ "private_key", false, set_private_key },
	{ "listen_port", false, set_listen_port },
	{ "fwmark", false, set_fwmark },
	{ "replace_peers", false, set_replace_peers },
	{ "remove", true, set_remove },
	{ "update_only", true, set_update_only },
	{ "preshared_key", true, set_preshared_key },
	{ "endpoint", true, set_endpoint },
	{ "persistent_keepalive_interval", true, set_keepalive },
	{ "replace_allowed_ips", true, set_replace_allowed_ips },
	{ "allowed_ip", true, set_allowed_ip },
	{ "protocol_version", true, set_protocol_version },
};

static enum err set_one(struct setting *s, struct slice key, struct slice value)
{
	if (slice_equal(key, SLICE("public_key")))
		return set_public_key(s, value);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (slice_equal(key, slice_from(rows[i].key)))
			return rows[i].is_about_peer == s->is_about_peer ? rows[i].set(s, value)
									 : ERR_INVALID;
	return ERR_INVALID;
}

static enum err set(struct device *d, struct tunnel_now now, struct slice lines)
{
	struct setting s = { .device = d, .now = now };

	while (lines.size > 0) {
		struct slice value = slice_cut(&lines, '\n');
		if (value.size == 0)
			return OK;
		struct slice key = slice_cut(&value, '=');
		enum err err = set_one(&s, key, value);
		if (err)
			return err;
	}
	return OK;
}

/* --- requests -------------------------------------------------------------------------------- */
bool device_has_request(struct slice request)
{
	return request.size >= 2 && memmem(request.data, request.size, "\n\n", 2);
}

static int code_of(enum err err)
{
	switch ((int)err) {
	case OK:
		return 0;
	case ERR_BUSY:
		return EADDRINUSE;
	case ERR_DENIED:
		return EPERM;
	case ERR_FULL:
		return ENOSPC;
	case ERR_IO:
		return EIO;
	default:
		return EINVAL;
	}
}

size_t device_answer(struct device *d, struct tunnel_now now, struct slice request,
		     struct buf *answer)
{
	const uint8_t *end = memmem(request.data, request.size, "\n\n", 2);
	size_t size = end ? (size_t)(end - request.data) + 2 : request.size;
	struct slice rest = slice_part(request, 0, size), first = slice_cut(&rest, '\n');
	enum err err = ERR_INVALID;

	if (slice_equal(first, SLICE("get=1"))) {
		show(d, now, answer);
		err = OK;
	} else if (slice_equal(first, SLICE("set=1"))) {
		err = set(d, now, rest);
	}
	buf_add_format(answer, "errno=%d\n\n", code_of(err));
	return size;
}

void device_done(struct device *d)
{
	struct tunnel_peer *p;

	while ((p = tunnel_next_peer(d->tunnel, NULL)))
		remove_peer(d, p);
}
