/* What people are told of a peer's path, and when it has changed. */
#include <stdio.h>

#include "mesh/paths/private.h"

void paths_peer_state(const struct paths *p, const struct paths_peer *peer, uint64_t now_us,
		      struct paths_peer_state *ret)
{
	const struct candidate *best = peer->best;

	(void)p;
	*ret = (struct paths_peer_state) {
		.region = peer_region(peer, now_us),
		.is_active = peer_is_active(peer, now_us),
	};
	if (candidate_is_trusted(best, now_us)) {
		ret->kind = best->vni ? PATHS_PEER_RELAY : PATHS_DIRECT;
		ret->address = best->address;
		ret->latency_us = best->latency_us;
	} else if (ret->region) {
		ret->kind = PATHS_RELAY;
		ret->latency_us = peer->relay_latency_us;
	}
}

/* The effect comes when a direct path, or one through a peer relay, is there, is another one, or is
 * no more. */
void peer_tell(struct paths_peer *peer, uint64_t now_us)
{
	bool is_direct = candidate_is_trusted(peer->best, now_us);
	struct endpoint none = { 0 };
	const struct endpoint *address = is_direct ? &peer->best->address : &none;
	uint32_t vni = is_direct ? peer->best->vni : 0;

	if (is_direct == peer->is_told_direct && vni == peer->told_vni &&
	    endpoint_equal(address, &peer->told_address))
		return;
	peer->is_told_direct = is_direct;
	peer->told_address = *address;
	peer->told_vni = vni;
	if (!is_direct && peer_is_active(peer, now_us) && !peer->searching_us)
		peer->searching_us = now_us;
	paths_push(peer->paths, PATHS_PEER_CHANGED)->peer = peer;
}

static int answerless_count(const struct paths_peer *peer)
{
	int count = 0;

	LIST_EACH (&peer->candidates, struct candidate, node, it)
		count += it->pinged_us != 0;
	return count;
}

static void why_relay(const struct paths *p, const struct paths_peer *peer, uint64_t now_us,
		      char *ret, size_t size)
{
	if (mesh_key_is_zero(&peer->disco))
		snprintf(ret, size, "it has told nobody how it can be found");
	else if (peer->is_shared_bad)
		snprintf(ret, size, "its disco key is not valid");
	else if (peer->best && peer->best->is_distrusted)
		snprintf(ret, size, "pings get through directly, but packets do not");
	else if (measure_has_udp(p) == PATHS_NO)
		snprintf(ret, size, "UDP does not get out of this network");
	else if (!peer_is_active(peer, now_us))
		snprintf(ret, size, "nobody talks to it");
	else if (list_is_empty(&peer->candidates))
		snprintf(ret, size, "no address of it is known");
	else if (!peer->searching_us || now_us < peer->searching_us + PING_TIMEOUT_US)
		snprintf(ret, size, "a direct path is still looked for");
	else if (p->punch.state != PUNCH_NONE && p->punch.peer == peer)
		snprintf(ret, size, "routers in between are hard, and being punched");
	else
		snprintf(ret, size, "%s%d address%s did not answer",
			 measure_varies(p) == PATHS_YES
				 ? "our router takes another port for every destination, and its "
				 : "its ",
			 answerless_count(peer), answerless_count(peer) == 1 ? "" : "es");
}

void paths_peer_why(const struct paths *p, const struct paths_peer *peer, uint64_t now_us,
		    char ret[PATHS_WHY_BYTES])
{
	char text[ENDPOINT_TEXT_BYTES], reason[PATHS_WHY_BYTES - 32];
	struct paths_peer_state state;

	paths_peer_state(p, peer, now_us, &state);
	if (state.kind == PATHS_DIRECT) {
		endpoint_text(&state.address, text);
		snprintf(ret, PATHS_WHY_BYTES, "direct %s, %.1f ms", text,
			 (double)state.latency_us / (double)MS);
		return;
	}
	why_relay(p, peer, now_us, reason, sizeof(reason));
	endpoint_text(&state.address, text);
	if (state.kind == PATHS_PEER_RELAY)
		snprintf(ret, PATHS_WHY_BYTES, "peer relay %s, %.1f ms", text,
			 (double)state.latency_us / (double)MS);
	else if (state.kind == PATHS_RELAY)
		snprintf(ret, PATHS_WHY_BYTES, "relay %u, because %s", state.region, reason);
	else
		snprintf(ret, PATHS_WHY_BYTES, "no path, because %s", reason);
}
