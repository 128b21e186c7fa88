/* Inside the mesh process: the node, its state on disk, and who waits at mesh.sock. */
#ifndef SERVER_MESH_ROLE_H
#define SERVER_MESH_ROLE_H

#include "loop/http_client.h"
#include "loop/http_server.h"
#include "loop/timer.h"
#include "mesh/node/node.h"
#include "server/machine_keys.h"
#include "server/options.h"
#include "wire/join_key.h"

enum {
	MESH_WAITERS_MAX = 64,	  /* long polls of the netmap; more are answered at once */
	MESH_POLL_MS = 50 * 1000, /* then it is answered without news */
	MESH_SETTLE_MS = 5000,
	MESH_SAVE_MS = 1000,		 /* from a change to the file */
	MESH_SAVE_LATER_MS = 60 * 1000,	 /* from one of where machines are */
	MESH_URLS_MAX = MEMBER_URLS_MAX, /* of control */
};

struct mesh_waiter {
	struct http_exchange *exchange; /* NULL: free */
	uint64_t after;
	uint64_t until_ms;
};

struct mesh {
	struct loop *loop;
	const struct options *options;
	struct state state;
	struct machine_keys keys;
	struct node *node;
	struct http_server *server;
	struct role_page *page; /* its numbers */
	struct mesh_waiter waiters[MESH_WAITERS_MAX];
	uint64_t save_at_ms;
	struct timer settle_timer; /* once after the start */
	struct timer poll_timer, save_timer, key_timer, exit_timer;
	bool is_ready, is_joined; /* READY was said; control has had us once */
	bool is_moving;		  /* --join is of another realm than the one that was joined */
	bool is_exit_settled;	  /* that of --exit-node is there, or will not be waited for */
	bool is_exit_waited_for;  /* until control is there */
	bool is_started, is_stopping, is_failed, is_unsaved, is_gone;
	enum member_place place;
	unsigned refusals;	       /* of keys of its own control, one after the other */
	struct http_exchange *leaving; /* who asked for it; NULL: nobody */
	char told[TASK_WHY_BYTES * 4]; /* what the person who started it was told last */
	/* what was joined */
	char urls[MESH_URLS_MAX][MEMBER_URL_BYTES_MAX];
	size_t url_count;
	struct mesh_key server_key;
	char join_key[JOIN_KEY_TEXT_BYTES];
	/* the first machine asks its own control for a key */
	struct task own_key;
	struct http_call call;
};

/* mesh_api.c */
void mesh_api_on_request(void *context, struct http_exchange *e);
/* Something changed: answer who waited for that. */
void mesh_api_tell(struct mesh *m);
void mesh_api_close(struct mesh *m);

/* mesh_joined.c: which control this machine belongs to, in the state directory. */
MUST_CHECK enum err mesh_joined_load(struct mesh *m, char why[OPTION_WHY_BYTES]);
void mesh_joined_save(struct mesh *m);

/* mesh_role.c */
void mesh_log_out(struct mesh *m, struct http_exchange *e);

#endif
