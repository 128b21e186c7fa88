#include "mesh/relay/relay_mates.h"

#include <assert.h>
#include <stdio.h>

#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "loop/timer.h"
#include "wire/crypto/wipe.h"
#include "wire/crypto/x25519.h"

struct mate {
	struct relay_mates *of;
	struct relay_mate where;
	struct derp_link *link; /* NULL: none for now */
	struct timer retry;
	uint64_t backoff_ms;
	bool has_complained;
};

struct relay_mates {
	struct loop *loop;
	struct relay *relay;
	struct mesh_key secret, own, mesh_key;
	struct prng prng;
	size_t count;
	struct mate mates[RELAY_MATES_MAX];
};

enum err relay_mate_parse(const char *text, struct relay_mate *ret)
{
	struct relay_mate mate = { 0 };
	struct slice rest = slice_from(text);
	struct slice place = slice_cut(&rest, '=');
	char copy[DERP_HOST_BYTES + 8];
	uint8_t fingerprint[32];

	if (place.size == 0 || place.size >= sizeof(copy))
		return ERR_INVALID;
	memcpy(copy, place.data, place.size);
	copy[place.size] = 0;
	if (text_host_port(copy, mate.host, sizeof(mate.host), &mate.port) || mate.port == 0)
		return ERR_INVALID;
	if (place.size < strlen(text)) {
		if (rest.size != 2 * sizeof(fingerprint) ||
		    hex_decode(rest, fingerprint, sizeof(fingerprint)))
			return ERR_INVALID;
		snprintf(mate.certificate, sizeof(mate.certificate), "sha256-raw:%.*s",
			 SLICE_ARG(rest));
	}
	*ret = mate;
	return OK;
}

/* --- what a mate says ------------------------------------------------------------------------- */
static void on_open(void *context, struct derp_link *link)
{
	static const uint8_t watch[DERP_HEAD_BYTES] = { DERP_WATCH_CONNS };
	struct mate *m = context;

	m->backoff_ms = 0;
	m->has_complained = false;
	log_info("the relay at %s port %u is of this region", m->where.host, m->where.port);
	derp_link_write(link, (struct slice) { watch, sizeof(watch) }, (struct slice) { 0 });
}

static void on_frame(void *context, struct derp_link *link, uint8_t type, struct slice payload)
{
	struct mate *m = context;
	struct relay *relay = m->of->relay;
	struct derp_peer_present present;
	struct mesh_key key;
	uint8_t reason;

	if (type == DERP_PEER_PRESENT && derp_read_peer_present(payload, &present) == OK &&
	    !(present.flags & DERP_PRESENT_MESH) && !mesh_key_equal(&present.key, &m->of->own))
		relay_add_forwarder(relay, &present.key, derp_link_pipe(link));
	else if (type == DERP_PEER_GONE && derp_read_peer_gone(payload, &key, &reason) == OK &&
		 reason == DERP_GONE_DISCONNECTED)
		relay_remove_forwarder(relay, &key, derp_link_pipe(link));
}

static void dial(struct mate *m);

static void on_retry(struct timer *t)
{
	dial(CONTAINER(t, struct mate, retry));
}

static void retry_later(struct mate *m, const char *why)
{
	if (!m->has_complained)
		log_warn("the relay at %s port %u: %s", m->where.host, m->where.port, why);
	m->has_complained = true;
	m->backoff_ms = m->backoff_ms ? 2 * m->backoff_ms : RELAY_MATE_BACKOFF_MS;
	if (m->backoff_ms > RELAY_MATE_BACKOFF_MS_MAX)
		m->backoff_ms = RELAY_MATE_BACKOFF_MS_MAX;
	uint64_t wait_ms = m->backoff_ms / 2 + prng_below(&m->of->prng, m->backoff_ms / 2 + 1);
	timer_set(&m->retry, m->of->loop, loop_now_ms(m->of->loop) + wait_ms, on_retry);
}

static void on_end(void *context, struct derp_link *link, const char *why)
{
	struct mate *m = context;

	relay_drop_forwarder(m->of->relay, derp_link_pipe(link));
	m->link = NULL;
	retry_later(m, why);
}

static const struct derp_link_owner link_owner = {
	.on_open = on_open,
	.on_frame = on_frame,
	.on_end = on_end,
};

/* --- connecting ------------------------------------------------------------------------------- */
static void dial(struct mate *m)
{
	struct relay_mates *of = m->of;
	struct derp_node node = { 0 };
	struct derp_link_config config = {
		.address = m->where.host,
		.port = m->where.port,
		.host = m->where.host,
		.dial_ms = RELAY_MATE_DIAL_MS,
		.secret = of->secret,
		.own = of->own,
		.info = { .version = DERP_VERSION,
			  .has_mesh_key = true,
			  .mesh_key = of->mesh_key,
			  .can_ack_pings = true },
		.owner = &link_owner,
		.context = m,
	};

	memcpy(node.host, m->where.host, sizeof(node.host));
	memcpy(node.certificate, m->where.certificate, sizeof(node.certificate));
	enum err err = derp_link_identity(&node, &config.identity);
	assert(!err); /* relay_mate_parse() looked */
	m->link = derp_link_start(of->loop, &config);
	crypto_wipe(&config, sizeof(config));
}

struct relay_mates *relay_mates_new(struct loop *loop, struct relay_port *port,
				    const struct mesh_key *secret, const struct mesh_key *mesh_key,
				    const struct relay_mate *mates, size_t count)
{
	struct relay_mates *of = NEW(struct relay_mates);

	assert(count <= RELAY_MATES_MAX);
	of->loop = loop;
	of->relay = relay_port_relay(port);
	of->secret = *secret;
	of->mesh_key = *mesh_key;
	of->prng = (struct prng) { random_u64() };
	of->count = count;
	x25519_public(secret->bytes, of->own.bytes);
	for (size_t i = 0; i < count; i++) {
		of->mates[i].of = of;
		of->mates[i].where = mates[i];
		dial(&of->mates[i]);
	}
	return of;
}

void relay_mates_free(struct relay_mates *of)
{
	for (size_t i = 0; i < of->count; i++) {
		struct mate *m = &of->mates[i];
		timer_clear(&m->retry);
		if (!m->link)
			continue;
		relay_drop_forwarder(of->relay, derp_link_pipe(m->link));
		derp_link_close(m->link);
	}
	crypto_wipe(of, sizeof(*of));
	memory_free(of);
}

size_t relay_mates_connected(const struct relay_mates *of)
{
	size_t count = 0;

	for (size_t i = 0; i < of->count; i++)
		count += of->mates[i].link && derp_link_is_open(of->mates[i].link);
	return count;
}
