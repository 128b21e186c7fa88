/* The door of a realm: what clients of the ts2021 protocol connect to.
 *
 *	TCP or TLS -- HTTP/1.1 -- GET /key, other plain paths
 *	                 '------- POST /ts2021, upgrade -- Noise -- HTTP/2 -- requests
 *
 * The door knows nothing of machines: it proves which machine key the peer holds, and hands each
 * request with that key to its owner, who answers with a whole body or with one in pieces (the
 * long poll of a map).  That a node key in a body belongs to the machine is the owner's to check.
 *
 * All callbacks come from the run queue, never from inside a call of door_*. */
#ifndef MESH_REALM_DOOR_H
#define MESH_REALM_DOOR_H

#include "base/blob.h"
#include "loop/http_server.h"
#include "loop/stream.h"
#include "wire/mesh_key.h"

enum {
	DOOR_CLIENTS_MAX = 4096,	   /* past the handshake; more are closed at once */
	DOOR_HANDSHAKES_MAX = 1024,	   /* not yet; the oldest makes room for a new one */
	DOOR_HANDSHAKE_MS = 10 * 1000,	   /* for the upgrade, and for the first HTTP/2 bytes */
	DOOR_BODY_BYTES_MAX = 1024 * 1024, /* of a request; more is 413 */
	DOOR_REQUESTS_MAX = 128,	   /* of one client at the same time */
	/* Pieces that a client does not read; above it the client is dropped (on_gone). */
	DOOR_PENDING_BYTES_MAX = 32 * 1024 * 1024, /* the longest netmap fits */
	/* The same of all answers to one client. */
	DOOR_CLIENT_PENDING_BYTES_MAX = 2 * DOOR_PENDING_BYTES_MAX,
	/* The same of all clients, without what many have in common; above it those who hold most
	 * are dropped, and above half of it the door is busy. */
	DOOR_ALL_PENDING_BYTES_MAX = 512 * 1024 * 1024,
	DOOR_UNREAD_MS = 60 * 1000,   /* of an answer nothing is read for so long: it is cut off */
	DOOR_MACHINE_CLIENTS_MAX = 8, /* connections of one machine; the oldest makes room */
	DOOR_RETRY_AFTER_S = 5,	      /* clients that come at a bad time are told */
};

/* One request that waits for its answer: door_answer(), door_end() and on_gone() end it, whichever
 * comes first, and it is not touched after that. */
struct door_request {
	struct mesh_key machine; /* the peer has proven to hold it */
	unsigned version;	 /* capability version of the client, from its handshake */
	struct slice method;	 /* "POST" */
	struct slice path;	 /* as sent, not decoded: "/machine/map" */
	struct slice query;	 /* without "?" */
	struct slice body;	 /* valid as long as the request */
	const char *peer;	 /* "192.0.2.1:1234", for people */
	void *owner_state;	 /* for the owner */
};

struct door;

struct door_config {
	struct mesh_key secret; /* the server's Noise key; the door keeps a copy and wipes it */
	unsigned version_min;	/* older clients are told so and closed; 0: all may come */
	size_t pending_max;	/* 0: DOOR_ALL_PENDING_BYTES_MAX */
	void *context;
	void (*on_request)(void *context, struct door_request *r);
	/* The client went away before its answer was whole; forget `r`. */
	void (*on_gone)(void *context, struct door_request *r);
	/* Everything of a streamed answer is on its way; may be NULL. */
	void (*on_drained)(void *context, struct door_request *r);
	/* A plain HTTP request that is not the door's own (/key, /ts2021); answered as there, with
	 * http_answer().  NULL: all are 404. */
	void (*on_plain)(void *context, struct http_exchange *e);
};

struct door *door_new(struct loop *loop, const struct door_config *config);

/* A client's connection, fresh from a listener (TCP or TLS); the door takes it. */
void door_accept(struct door *d, struct stream *s);

/* Every connection ends; requests are void, nothing is called any more.  Plain exchanges that
 * wait for their answer still have to get it. */
void door_close(struct door *d);

/* The whole answer; `body` is copied. `content_type` is a constant. */
void door_answer(struct door_request *r, int status, const char *content_type, struct slice body);

/* `status` says that it cannot be done now: the client is told to come again a little later. */
void door_answer_busy(struct door_request *r, int status, struct slice text);

/* As stream_set_patience(), for the connection that the request came by. */
void door_set_patience(struct door_request *r, unsigned unacknowledged_ms, unsigned silent_s);

/* An answer in pieces: begin once, write any number of times, end.  Each write takes over one
 * reference of the blob, so that one blob can go to many clients. */
void door_begin(struct door_request *r, int status, const char *content_type);
void door_write(struct door_request *r, struct blob *b);
void door_end(struct door_request *r);

/* End it for a client that has forgotten it: what is not sent yet is not sent any more. */
void door_cut(struct door_request *r);

/* Written and not yet sent; wait for on_drained above a limit of one's own. */
size_t door_pending_bytes(const struct door_request *r);

/* So much waits to be read that whole netmaps better wait. */
bool door_is_busy(const struct door *d);

size_t door_client_count(const struct door *d);

/* The key that clients pin. */
struct mesh_key door_public_key(const struct door *d);

#endif
