/* What other machines of the mesh can do with the inbox, over HTTP at this machine's own addresses.
 *
 *	port 80		PUT /NAME, PUT /DIR/NAME	201; 202 while parts are missing
 *			  Content-Range: bytes FIRST-LAST/TOTAL	goes on (curl -C FIRST -T file)
 *			HEAD /NAME			Upload-Offset: how much is here of it
 *			GET /				says how
 *	peerapi		what wire/taildrop.h has, the protocol of the official client
 *
 * Nobody is told what is in the inbox.  The caller is whoever has the address the connection comes
 * from; machines of the same person may send, and those that policy lets send.  Requests that a web
 * page made (Origin, Referer) or that name another host are refused. */
#ifndef DROP_DESK_H
#define DROP_DESK_H

#include "drop/store.h"
#include "loop/http_stream.h"
#include "wire/mesh_view.h"

enum {
	DESK_PUTS_MAX = 64,	   /* at a time */
	DESK_SENDER_PUTS_MAX = 16, /* of one machine */
	DESK_HASHED_BLOCKS = 8,	   /* in one turn */
	DESK_PENDING_BYTES_MAX = 64 * 1024,
};

enum desk_kind { DESK_HTTP, DESK_PEERAPI };

struct desk_config {
	struct store *store;
	/* The mesh as it is known; NULL: not yet, and nobody is let in. */
	const struct mesh_view *(*view)(void *context);
	void (*on_item)(void *context, struct store_item *i); /* a new file is in the inbox */
	void *context;
};

struct desk;
struct desk *desk_new(struct loop *loop, const struct desk_config *config);

/* Uploads that are not complete are suspended; those being made durable end in the next turns of
 * the loop, which frees the desk.  Its servers are closed before. */
void desk_close(struct desk *d);

/* Another address it listens at. */
MUST_CHECK enum err desk_listen(struct desk *d, enum desk_kind kind, struct ip_port at,
				struct http_stream_server **ret, char why[TASK_WHY_BYTES]);

#endif
