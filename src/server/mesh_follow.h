/* Follows the netmap of the mesh process: asks mesh.sock for a newer one, waits there while there
 * is none, and rests while nobody answers. */
#ifndef SERVER_MESH_FOLLOW_H
#define SERVER_MESH_FOLLOW_H

#include "loop/http_client.h"
#include "loop/timer.h"

enum {
	MESH_FOLLOW_TIMEOUT_MS = 90 * 1000, /* longer than mesh lets one wait */
	MESH_FOLLOW_REST_MS_MIN = 100,	    /* doubles up to: */
	MESH_FOLLOW_REST_MS_MAX = 5000,
	MESH_FOLLOW_SAME_MS = 500, /* after an answer that was no newer */
};

struct mesh_follow {
	struct task task;
	struct loop *loop;
	const char *socket;
	/* An answer; returns its sequence, 0 where it cannot be read. */
	uint64_t (*on_netmap)(void *context, struct slice json);
	void *context;
	/* private */
	struct http_call call;
	struct sleep sleep;
	uint64_t sequence, rest_ms;
};

/* Zeroed storage; `socket` is borrowed. */
void mesh_follow_start(struct mesh_follow *f, struct loop *loop, const char *socket,
		       uint64_t (*on_netmap)(void *context, struct slice json), void *context);

/* No on_netmap comes any more; the storage is used until the loop has turned. */
void mesh_follow_stop(struct mesh_follow *f);

#endif
