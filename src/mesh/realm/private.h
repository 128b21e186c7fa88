/* Inside of a realm. */
#ifndef MESH_REALM_PRIVATE_H
#define MESH_REALM_PRIVATE_H

#include "base/blob.h"
#include "base/hash.h"
#include "base/map.h"
#include "loop/timer.h"
#include "mesh/realm/door.h"
#include "mesh/realm/realm.h"
#include "mesh/relay/rate.h"
#include "wire/control/map_request.h"
#include "wire/control/register.h"

/* --- machines ----------------------------------------------------------------------------------
 */

/* What peers have not been told yet, as bits. */
enum {
	DIRTY_ALL = 1 << 0, /* the whole node */
	DIRTY_ENDPOINTS = 1 << 1,
	DIRTY_DISCO = 1 << 2,
	DIRTY_HOME = 1 << 3,
	DIRTY_ONLINE = 1 << 4,
};

struct machine {
	int64_t id;
	struct control_node *node; /* as peers see it */
	struct buf json;	   /* of the node; empty: to be written */
	uint64_t generation;	   /* another one whenever that changes */
	struct ip_prefix *approved;
	size_t approved_count;
	bool is_named, is_ephemeral;
	bool is_shown;		/* peers know of it: authorized, and not expired */
	unsigned dirty;		/* DIRTY_... */
	struct list dirty_link; /* in realm.dirty */
	struct list sessions;
	size_t session_count;
	uint64_t gone_ms;      /* of the loop's clock: no session since; 0: there is one */
	bool has_unsaved_seen; /* when it was seen is not in the cell */
	struct rate wholes;    /* netmaps it asks for */
	struct rate updates;   /* writes of what it says of itself */
};

/* The row, with what memory knew of its machine before. */
void machine_load(struct realm *r, const struct machine_row *row);
void machine_unload(struct realm *r, int64_t id);
struct machine *machine_find(const struct realm *r, int64_t id);
struct machine *machine_find_node(const struct realm *r, const struct mesh_key *node);
void machine_touch(struct realm *r, struct machine *m, unsigned dirty);
/* Replace its node by a changed copy. */
void machine_set(struct realm *r, struct machine *m, const struct control_node *node);
void machine_set_online(struct realm *r, struct machine *m, bool is_online);
bool machine_is_expired(const struct realm *r, const struct machine *m);
void machines_unload_all(struct realm *r);
/* Expired meanwhile, or no longer. */
void machine_check_shown(struct realm *r, struct machine *m);
struct slice machine_json(struct machine *m);

/* The list of all shown machines but one, compressed, the parts that many get only once; for more
 * machines than one block has. */
enum { PEER_BLOCK_MACHINES = 64 };
void peer_blocks_add(struct realm *r, struct buf *frame, const struct machine *except);
void peer_blocks_done(struct realm *r);

/* Who carries which prefix: one machine each, which stays as long as it is there. */
void routes_update(struct realm *r);

/* --- sessions ----------------------------------------------------------------------------------
 */

/* Whoever waits with a request of a client. */
struct request_owner {
	struct door_request *request; /* NULL: the client has gone */
	void (*on_gone)(struct request_owner *owner);
};

/* What a stream has been told where a policy is in force (view.h). */
struct view {
	int64_t *ids; /* of peers, sorted */
	size_t count;
	struct hash128 filter;
	uint64_t serial; /* of the policy it was made of; 0: not yet */
};

struct map_stream {
	struct request_owner owner;
	struct realm *realm;
	struct machine *machine;
	struct list link;	  /* in realm.sessions */
	struct list machine_link; /* in machine.sessions */
	struct timer keepalive;
	bool needs_whole; /* everything anew */
	bool needs_self;  /* its own node changed */
	bool needs_end;	  /* the machine was removed */
	struct view view;
};

void map_stream_start(struct realm *r, struct machine *m, struct door_request *request);
void map_stream_end(struct map_stream *s);
void map_streams_void(struct realm *r); /* the door is closed */

/* The first message of a stream; *view: what it tells. */
struct blob *whole_message(struct realm *r, struct machine *m, struct view *view);

/* What changed since the last round. */
struct round {
	struct arena arena;
	struct machine **all; /* to be told as a whole */
	size_t all_count;
	struct control_peer_patch *patches;
	size_t patch_count;
	struct blob *shared; /* for all who are not among `all` */
};

/* The relays as the client of this machine can use them. */
const struct control_relay_map *relays_for(const struct realm *r, const struct machine *m);
/* What a round tells a machine besides its peers; some of it lives in the round's arena. */
struct control_map_response round_response(struct realm *r, struct round *round,
					   const struct machine *to, bool has_self);
/* The users of these machines and no others. */
void fill_users_of(struct arena *a, const struct realm *r, struct machine *const *machines,
		   size_t count, struct control_map_response *ret);
/* With these peers as changed. */
struct blob *round_message(const struct control_map_response *response,
			   struct machine *const *changed, size_t count);
void fanout_set(struct realm *r);

/* --- registrations that wait -------------------------------------------------------------------
 */

struct pending {
	struct list link;
	char id[REALM_PENDING_ID_BYTES];
	struct mesh_key machine, node;
	uint32_t version;
	bool is_ephemeral;
	struct buf hostinfo; /* JSON as it is kept */
	char label[STORE_LABEL_BYTES_MAX + 1];
	uint64_t since_ms;
	struct list waiters; /* struct pending_waiter.link */
};

struct pending_waiter {
	struct request_owner owner;
	struct list link;
	struct pending *pending;
	struct realm *realm;
};

struct pending *pending_find(struct realm *r, struct slice id_or_label);
/* The one of this machine and node key, or a new one; NULL: too many. */
struct pending *pending_for(struct realm *r, const struct mesh_key *machine,
			    const struct control_register_request *q, struct slice hostinfo,
			    uint32_t version);
void pending_wait(struct realm *r, struct pending *p, struct door_request *request);
void pending_free(struct realm *r, struct pending *p);
/* Its waiters ask again, and find what was decided. */
void pending_decided(struct realm *r, struct pending *p, const struct machine_row *row);
/* The machine is in by another way, a join key for instance: nobody has to be asked any more. */
void pending_joined(struct realm *r, const struct machine_row *row);

/* --- the whole ---------------------------------------------------------------------------------
 */

struct realm {
	struct loop *loop;
	struct realm_config config;
	struct door *door; /* NULL: does not serve */
	struct mesh_key secret;
	char domain[CONTROL_NAME_BYTES_MAX + 1];
	struct arena shared; /* users, server URLs: replaced as a whole */
	struct user_row *users;
	size_t user_count;
	const char **urls;
	size_t url_count;
	struct control_relay_map *relays;
	struct control_relay_map *old_relays; /* for clients before REALM_VERSION_HASHES */
	struct machine **machines;	      /* by id */
	size_t machine_count, machine_capacity;
	struct map by_node; /* node key -> machine */
	struct peer_block *blocks;
	size_t block_count;
	uint64_t generation; /* of the last change of a machine */
	struct list sessions;
	size_t session_count;
	struct list dirty;
	int64_t *removed; /* peers that are no longer shown */
	size_t removed_count, removed_capacity;
	bool relays_changed, users_changed, urls_changed;
	bool has_fanout; /* the timer is set */
	struct list pending;
	size_t pending_count;
	struct list operations;
	size_t operation_count;
	struct realm_policy *policy; /* policy.h */
	struct task *waiting;	     /* the stop */
	struct timer fanout, sweep;
	uint64_t fanout_ms, seen_ms, online_ms;
	struct blob *keepalive;
	struct realm_status status;
	bool is_stopping;
};

/* What the cell says the user of a machine is called. */
struct user_row realm_user(const struct realm *r, int64_t id);
int64_t realm_now_s(const struct realm *r);

/* --- operations --------------------------------------------------------------------------------
 */

struct operation_change {
	struct operation_change *next;
	struct machine_row row;
	bool is_removed;
};

/* Parts that are read again as a whole. */
struct operation_parts {
	struct user_row *users;
	size_t user_count;
	struct server_row *servers;
	size_t server_count;
	struct relay_row *relays;
	size_t relay_count;
	struct policy_row policy;
};

void realm_read(struct operation *o, struct cell *cell);
void realm_apply(struct operation *o);

/* May a client's request become one more operation where no more than `max` are under way?  Else it
 * is answered here. */
MUST_CHECK bool operation_has_room(struct realm *r, struct door_request *request, size_t max);

void operation_changed(struct operation *o, const struct machine_row *row);
void operation_removed(struct operation *o, int64_t id);
enum err operation_fail(struct operation *o, enum err err, const char *format, ...)
	PRINTF_LIKE(3, 4);

void register_request(struct realm *r, struct door_request *request);
void map_request(struct realm *r, struct door_request *request);

/* HTTP in the clear: pages behind links, and what relays ask. */
void plain_request(void *context, struct http_exchange *e);

/* Looks now and then for what time does: machines that are gone, keys that expire. */
void realm_sweep_start(struct realm *r);

/* Hostinfo as it is kept: without what changes often. */
void hostinfo_keep(struct buf *b, struct slice json);

/* The response for a machine as it is. */
void register_answer(struct realm *r, struct door_request *request, const struct machine_row *row,
		     const char *error);

#endif
