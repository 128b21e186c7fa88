/* For tests: what the engine does, as text. */
#ifndef MESH_PATHS_TRACE_TESTING_H
#define MESH_PATHS_TRACE_TESTING_H

#include "mesh/paths/world_testing.h"

static const struct paths_config plain = { .is_punch_off = true, .is_port_mapping_off = true };
static const uint64_t seed = 7;

/* --- traces: effects as text, one line each --- */

static inline void describe(struct buf *b, struct host *h, const struct paths_effect *e)
{
	static const char *const kinds[] = {
		"send",	     "relay",	"open", "close", "home",
		"endpoints", "netinfo", "peer", "pong",	 "lost",
	};
	char text[ENDPOINT_TEXT_BYTES], why[PATHS_WHY_BYTES];

	buf_add_format(b, "%s", kinds[e->kind]);
	if (e->kind == PATHS_SEND) {
		endpoint_text(&e->address, text);
		buf_add_format(b, " %s %s", text, stun_is_message(e->bytes) ? "stun" : "disco");
		if (e->ttl)
			buf_add_format(b, " ttl %d", e->ttl);
	}
	if (e->kind == PATHS_SEND_RELAY)
		buf_add_format(b, " %u %s", e->region,
			       disco_is_packet(e->bytes) ? "disco" : "data");
	if (e->kind == PATHS_HOME_CHANGED)
		buf_add_format(b, " %u", e->region);
	if (e->kind == PATHS_PEER_CHANGED) {
		paths_peer_why(h->paths, e->peer, h->world->now_us, why);
		buf_add_format(b, " %s", why);
	}
	buf_add_text(b, "\n");
}

/* The effects there are, which then happen to nobody. */
static inline void assert_effects(struct host *h, const char *expected)
{
	struct paths_effect e;
	struct buf b;

	buf_init(&b);
	while (paths_next(h->paths, &e))
		describe(&b, h, &e);
	buf_add_u8(&b, 0);
	assert_string_equal((const char *)b.data, expected);
	buf_done(&b);
}

static inline const char *why(const struct host *h)
{
	static char text[PATHS_WHY_BYTES];

	paths_peer_why(h->paths, h->other, h->world->now_us, text);
	return text;
}

static inline struct paths_route route(struct host *h)
{
	struct paths_route r;

	paths_route(h->paths, h->other, h->world->now_us, &r);
	drain(h);
	return r;
}

static inline int count_sends(struct host *h)
{
	struct paths_effect e;
	int count = 0;

	while (paths_next(h->paths, &e))
		count += e.kind == PATHS_SEND;
	return count;
}

static inline void receive(struct host *h, const struct endpoint *from, struct slice packet)
{
	struct paths_from way;
	struct paths_peer *peer;

	assert_int_equal(paths_received(h->paths, 0, from, &packet, h->world->now_us, &way, &peer),
			 PATHS_CONSUMED);
}

#endif
