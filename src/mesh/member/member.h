/* This machine as a member of a realm: the client of a ts2021 control server, Hanse's own or any
 * other.  It connects, registers, holds the map stream and tells of changes, for as long as it
 * lives: whatever fails is tried again, at the next control URL, after a pause that grows and is
 * drawn at random, so that many members that lost the same server do not come back at once.
 *
 *	connecting -> registering -> (waiting for a person) -> up -> connecting ...
 *
 * The network it knows stays as it is while control is away.
 *
 * All callbacks come from the run queue, never from inside a call of member_*. */
#ifndef MESH_MEMBER_MEMBER_H
#define MESH_MEMBER_MEMBER_H

#include "loop/task.h"
#include "wire/control/map_request.h"
#include "wire/control/netmap.h"

enum {
	MEMBER_URLS_MAX = 16,
	MEMBER_URL_BYTES_MAX = 512,
	MEMBER_VERSION = 142,		 /* capability version that it speaks */
	MEMBER_CONNECT_MS = 10 * 1000,	 /* to a channel, from the first packet */
	MEMBER_SILENCE_MS = 120 * 1000,	 /* of the map stream, before it is taken for dead */
	MEMBER_PAUSE_MS_MIN = 500,	 /* the first pause is drawn below it, */
	MEMBER_PAUSE_MS_MAX = 30 * 1000, /* every later one below twice as much, up to this */
	MEMBER_UPDATE_MS = 500,		 /* between two updates; the newest wins */
	MEMBER_PROBE_MS = 3000,		 /* for an answer of control, after the network changed */
};

enum member_place {
	MEMBER_CONNECTING, /* no server answers, or not yet; `why` has the last failure */
	MEMBER_REGISTERING,
	MEMBER_WAITING,	   /* a person has to open `auth_url` */
	MEMBER_UP,	   /* the map stream runs */
	MEMBER_REFUSED,	   /* `why` has the words of control; goes on after member_register() */
	MEMBER_EXPIRED,	   /* the node key is too old, and there is no join key: likewise */
	MEMBER_LOGGED_OUT, /* after member_log_out() */
};

struct member_state {
	enum member_place place;
	const char *url;      /* of control, where it is or is tried */
	const char *auth_url; /* "" except while waiting */
	const char *why;      /* "" when there is nothing to say */
	bool is_authorized;   /* control lets the machine onto the mesh */
	uint64_t up_since_ms; /* of the loop's clock; 0: not up */
	uint64_t heard_ms;    /* of the loop's clock: the last byte of the map stream */
};

struct member;

struct member_config {
	const char *const *urls; /* "http://192.0.2.1:8641"; copied, as all that is here */
	size_t url_count;
	struct mesh_key server_key; /* pinned; zero: whatever GET /key says */
	struct mesh_key machine_secret;
	struct mesh_key node_secret;
	const char *join_key; /* "" for none */
	bool is_ephemeral;
	uint64_t silence_ms; /* 0: MEMBER_SILENCE_MS */
	void *context;
	/* May be NULL, as all below. */
	void (*on_state)(void *context, const struct member_state *state);
	/* The network changed; `m` is member_netmap(). */
	void (*on_change)(void *context, const struct netmap *m,
			  const struct netmap_change *change);
	/* The node key is another one from here on: keep it before anything else is done. */
	void (*on_node_secret)(void *context, const struct mesh_key *secret);
	/* Control asks for a ping of a peer (types "disco", "TSMP", "ICMP", "peerapi"); the others
	 * are answered here.  Valid during the call; member_answer_ping() later, if at all. */
	void (*on_ping)(void *context, const struct control_ping *ping);
};

struct member *member_new(struct loop *loop, const struct member_config *config);
/* Ends at once, without a word to control. */
void member_free(struct member *m);

/* Begin; before that only member_load() and member_update() have an effect. */
void member_start(struct member *m);

/* A map that was kept (JSON of a map response, see netmap_response()), so that there is a network
 * before control is there, or without it. */
MUST_CHECK enum err member_load(struct member *m, struct slice json);

/* Register anew, now: after a refusal, an expiry or a log-out, or with another join key ("" for
 * none: a person approves). `is_new_key`: with a new node key. */
void member_register(struct member *m, const char *join_key, bool is_new_key);

/* The join key has done its work: when the machine expires, somebody has to let it in again. */
void member_forget_join_key(struct member *m);

/* What control should know of this machine.  It is kept, told soon if it differs from what was
 * told, and told again whenever there is a new connection.  Copied. */
struct member_about {
	struct mesh_key disco_key;
	const struct endpoint *endpoints;
	const uint8_t *endpoint_kinds; /* enum control_endpoint_kind, as many */
	size_t endpoint_count;
	struct control_hostinfo hostinfo; /* `json` is not used; the other members are */
};
void member_update(struct member *m, const struct member_about *about);

/* Leave the realm: control is told (within `timeout_ms`), and the place becomes LOGGED_OUT. */
void member_log_out(struct member *m, uint64_t timeout_ms);

/* The network came back or changed: do not wait for the pause to end, and see whether the
 * connection that stands still leads to control. */
void member_hurry(struct member *m);

/* POST `json` to the URL of a ping that asked for it. */
void member_answer_ping(struct member *m, struct slice url, struct slice json);

const struct netmap *member_netmap(const struct member *m);
struct member_state member_get_state(const struct member *m);

#endif
