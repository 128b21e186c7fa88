/* What control sends on the long poll ("MapResponse"): first everything, then what changed.  NULL,
 * empty or CONTROL_UNSAID is "as before" unless it says otherwise. */
#ifndef WIRE_CONTROL_MAP_RESPONSE_H
#define WIRE_CONTROL_MAP_RESPONSE_H

#include "wire/control/filter.h"

/* One relay server.  Addresses are text: "none" means "do not use this family". */
struct control_relay {
	struct slice name; /* "900a" */
	int32_t region;
	struct slice host;
	struct slice cert_name; /* "sha256-raw:HEX" pins the certificate */
	struct slice ipv4, ipv6;
	struct slice stun_test_ip;
	int32_t stun_port;  /* 0: 3478; -1: none */
	int32_t relay_port; /* 0: 443 */
	bool is_stun_only;
	bool is_insecure; /* its certificate is not looked at */
	bool can_port80;
};

struct control_region {
	int32_t id;
	struct slice code;
	struct slice title; /* "RegionName" */
	bool is_avoided;    /* as home; it is measured */
	bool is_never_home;
	const struct control_relay *relays;
	size_t relay_count;
};

/* Decoded: sorted by id; each region has its relays. */
struct control_relay_map {
	const struct control_region *regions;
	size_t region_count;
};

struct control_resolver {
	struct slice address; /* IP, IP:port or URL */
};

/* Names below `suffix` are asked there; no resolvers: they are answered by the machine itself. */
struct control_dns_route {
	struct slice suffix;
	const struct control_resolver *resolvers;
	size_t resolver_count;
};

struct control_dns_record {
	struct slice name;
	struct slice type; /* empty: A or AAAA, by the value */
	struct slice value;
};

struct control_dns {
	const struct control_resolver *resolvers;
	size_t resolver_count;
	const struct control_resolver *fallback_resolvers;
	size_t fallback_resolver_count;
	const struct control_dns_route *routes;
	size_t route_count;
	const struct slice *domains; /* search list; the first is the mesh's own */
	size_t domain_count;
	const struct control_dns_record *records;
	size_t record_count;
	const struct slice *cert_domains;
	size_t cert_domain_count;
	bool is_proxied; /* names of the mesh are answered (MagicDNS) */
};

struct control_user {
	int64_t id;
	struct slice login_name;
	struct slice display_name;
};

struct control_ping {
	struct slice url;
	struct slice types;   /* empty: HEAD url */
	struct slice payload; /* decoded from base64 */
	struct ip ip;
	bool is_noise;
};

struct control_dial {
	struct ip ip;
	double start_delay_s, timeout_s;
	int32_t priority;
};

/* A peer of which only these have changed. */
struct control_peer_patch {
	int64_t id;
	int32_t home_relay; /* 0: as before */
	uint32_t version;   /* 0: as before */
	bool has_endpoints; /* an empty list cannot be told */
	bool has_key, has_disco, has_last_seen, has_key_expiry, has_caps;
	enum control_maybe online;
	const struct endpoint *endpoints;
	size_t endpoint_count;
	struct mesh_key key, disco;
	int64_t last_seen_s, key_expiry_s;
	const struct control_cap *caps;
	size_t cap_count;
};

struct control_peer_flag {
	int64_t id;
	bool value;
};

struct control_map_response {
	bool is_keepalive;
	int64_t time_s; /* ControlTime; 0: none */
	const struct control_node *node;
	const struct control_relay_map *relays;
	const struct control_dns *dns;
	struct slice domain;
	const struct control_node *const *peers; /* if any: all there are */
	size_t peer_count;
	const struct control_node *const *changed;
	size_t changed_count;
	const int64_t *removed;
	size_t removed_count;
	const struct control_peer_patch *patches;
	size_t patch_count;
	const struct control_peer_flag *online;
	size_t online_count;
	const struct control_peer_flag *seen;
	size_t seen_count;
	const struct control_filter *filters; /* the old "PacketFilter" is the one named "base" */
	size_t filter_count;
	const struct control_user *users; /* added or changed */
	size_t user_count;
	const struct slice *health; /* has_health with none: all is well */
	size_t health_count;
	bool has_health;
	const struct control_dial *dial_plan;
	size_t dial_count;
	const struct slice *control_urls; /* of Hanse: every server of this realm */
	size_t control_url_count;
	const struct control_ping *ping;
	bool disables_log; /* Debug.DisableLogTail */
};

/* Copies in one block of memory each, which memory_free() frees. */
struct control_relay_map *control_relay_map_copy(const struct control_relay_map *map);
struct control_dns *control_dns_copy(const struct control_dns *dns);
struct control_filter *control_filter_copy(const struct control_filter *filter);
struct control_user *control_user_copy(const struct control_user *user);

/* Append as JSON.  What is told by an empty array (health, a filter's rules) is written so. */
void control_map_response_encode(struct buf *b, const struct control_map_response *r);
MUST_CHECK enum err control_map_response_decode(struct arena *a, struct slice json,
						struct control_map_response *ret);

/* The frames of the long poll: u32 little-endian, then one response compressed with zstd.  `json`
 * may be the text of a keepalive. */
void control_frame_encode(struct buf *b, struct slice json);

/* The same of parts that were compressed before: begin, add chunks (or append bytes that chunks
 * were written to), end.  `start` is b->size before the beginning. */
void control_frame_begin(struct buf *b);
void control_chunk_encode(struct buf *b, struct slice json);
void control_frame_end(struct buf *b, size_t start);

/* OK: *json lives in the arena, *frames begins behind the frame; ERR_BUSY: bytes are missing. */
MUST_CHECK enum err control_frame_decode(struct arena *a, struct slice *frames, struct slice *json);

#endif
