#include "server/mesh_numbers.h"

#include "base/clock.h"
#include "server/mesh_role.h"

enum { SESSION_MS = 180 * 1000 }; /* of a key of WireGuard, after its handshake */

/* --- the machine ------------------------------------------------------------------------------ */

static const struct metric_row control_up = {
	"hanse_mesh_control_connected", METRIC_GAUGE,
	"Whether the machine hears from control of the mesh (1) or not (0).", NULL
};
static const struct metric_row peers = { "hanse_mesh_peers", METRIC_GAUGE,
					 "Machines of the mesh, by how they would be reached now.",
					 NULL };
static const struct metric_row active = { "hanse_mesh_peers_active", METRIC_GAUGE,
					  "Machines that were talked to in the last 45 s.", NULL };
static const struct metric_row sessions = {
	"hanse_mesh_sessions", METRIC_GAUGE,
	"Machines with which there was a handshake in the last 3 minutes.", NULL
};
static const struct metric_row peer_bytes = {
	"hanse_mesh_traffic_bytes", METRIC_GAUGE,
	"Bytes of datagrams to and from the machines that are in the mesh now.", NULL
};
static const struct metric_row relayed = {
	"hanse_mesh_relay_connected", METRIC_GAUGE,
	"Whether the relay this machine is at home at is connected.", NULL
};

struct peer_sums {
	uint64_t by_kind[PATHS_PEER_RELAY + 1];
	uint64_t active, sessions, received_bytes, sent_bytes;
};

static void add_peer(struct mesh *m, const struct control_node *c, struct peer_sums *sums)
{
	struct paths_peer *peer = node_paths_peer(m->node, c);
	struct node_traffic traffic = node_traffic(m->node, c);
	struct paths_peer_state state;
	int64_t age_ms = clock_wall_ms() - traffic.handshake_wall_ms;

	if (!peer) {
		sums->by_kind[PATHS_NONE]++;
		return;
	}
	paths_peer_state(node_paths(m->node), peer, clock_now_us(), &state);
	sums->by_kind[state.kind]++;
	sums->active += state.is_active;
	sums->sessions += traffic.handshake_wall_ms > 0 && age_ms < SESSION_MS;
	sums->received_bytes += traffic.received_bytes;
	sums->sent_bytes += traffic.sent_bytes;
}

void mesh_numbers_write(struct mesh *m, struct exposition *e)
{
	static const char *const kinds[] = {
		[PATHS_NONE] = "none",
		[PATHS_RELAY] = "relay",
		[PATHS_DIRECT] = "direct",
		[PATHS_PEER_RELAY] = "peer_relay",
	};
	struct peer_sums sums = { .active = 0 };
	struct paths_netinfo info;

	if (!m->node)
		return;
	const struct netmap *map = node_netmap(m->node);
	for (size_t i = 0; i < map->peer_count; i++)
		add_peer(m, map->peers[i], &sums);
	paths_netinfo(node_paths(m->node), &info);
	exposition_one(e, &control_up, member_get_state(node_member(m->node)).place == MEMBER_UP);
	exposition_one(e, &relayed, info.home && node_relay_is_connected(m->node, info.home));
	exposition_family(e, &peers);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		exposition_add(e, sums.by_kind[i], LABELS({ "path", slice_from(kinds[i]) }));
	exposition_one(e, &active, sums.active);
	exposition_one(e, &sessions, sums.sessions);
	exposition_family(e, &peer_bytes);
	exposition_add(e, sums.received_bytes, LABELS({ "direction", SLICE("received") }));
	exposition_add(e, sums.sent_bytes, LABELS({ "direction", SLICE("sent") }));
}

/* --- the relay -------------------------------------------------------------------------------- */

static const struct metric_row relay_clients = { "hanse_relay_clients", METRIC_GAUGE,
						 "Machines that are connected to the relay.",
						 NULL };
static const struct metric_row relay_packets = { "hanse_relay_packets_total", METRIC_COUNTER,
						 "Packets the relay took in and sent on.", NULL };
static const struct metric_row relay_bytes = { "hanse_relay_bytes_total", METRIC_COUNTER,
					       "Bytes the relay took in and sent on.", NULL };
static const struct metric_row relay_dropped = {
	"hanse_relay_dropped_packets_total", METRIC_COUNTER,
	"Packets the relay dropped: nobody with that key is here, its queue was full, or that of "
	"another relay.",
	NULL
};
static const struct metric_row relay_unsent = { "hanse_relay_unsent_bytes", METRIC_GAUGE,
						"Bytes that wait for clients to take them.", NULL };

void relay_numbers_write(const struct relay_counts *c, struct exposition *e)
{
	exposition_one(e, &relay_clients, c->clients);
	exposition_family(e, &relay_packets);
	exposition_add(e, c->packets_in, LABELS({ "direction", SLICE("received") }));
	exposition_add(e, c->packets_out, LABELS({ "direction", SLICE("sent") }));
	exposition_family(e, &relay_bytes);
	exposition_add(e, c->bytes_in, LABELS({ "direction", SLICE("received") }));
	exposition_add(e, c->bytes_out, LABELS({ "direction", SLICE("sent") }));
	exposition_family(e, &relay_dropped);
	exposition_add(e, c->dropped_unknown, LABELS({ "reason", SLICE("unknown") }));
	exposition_add(e, c->dropped_full, LABELS({ "reason", SLICE("full") }));
	exposition_add(e, c->dropped_mesh, LABELS({ "reason", SLICE("other_relay") }));
	exposition_one(e, &relay_unsent, c->unsent_bytes);
}

/* --- the names -------------------------------------------------------------------------------- */

static const struct metric_row queries = { "hanse_names_queries_total", METRIC_COUNTER,
					   "Queries for names, by what became of them.", NULL };

void names_numbers_write(const struct names_counters *c, struct exposition *e)
{
	exposition_family(e, &queries);
	exposition_add(e, c->queries - c->refused - c->forwarded,
		       LABELS({ "outcome", SLICE("answered") }));
	exposition_add(e, c->refused, LABELS({ "outcome", SLICE("refused") }));
	exposition_add(e, c->forwarded, LABELS({ "outcome", SLICE("forwarded") }));
	exposition_add(e, c->strangers, LABELS({ "outcome", SLICE("stranger") }));
}
