/* What the files of mesh/member share. */
#ifndef MESH_MEMBER_PRIVATE_H
#define MESH_MEMBER_PRIVATE_H

#include "base/arena.h"
#include "loop/timer.h"
#include "mesh/member/dial.h"
#include "mesh/member/member.h"

enum {
	MEMBER_MAGIC = 0x4d656d62,
	MEMBER_AUTH_URL_BYTES_MAX = 1024,
	MEMBER_WHY_BYTES = 300,
	MEMBER_REGISTER_MS = 30 * 1000,	 /* for the answer, unless a person is waited for */
	MEMBER_PENDING_ANSWERS_MAX = 16, /* of pings, on their way */
};

/* What control is to know, in memory of its own. */
struct member_facts {
	struct arena a;
	struct member_about about;
};

/* A request under way; `exchange` is NULL when none is. */
struct member_call {
	struct http2_exchange *exchange;
	struct buf answer;
	bool is_done; /* the answer is whole, or will never be: `err` */
	enum err err;
	int status;
};

/* What the outside wants done: kept until it is. */
enum { WANT_REGISTER = 1 << 0, WANT_LOG_OUT = 1 << 1 };

struct member {
	struct task task;
	uint32_t magic;
	struct loop *loop;
	struct member_config config; /* without its texts */
	char *join_key;
	struct mesh_key node_secret, old_node_secret; /* old: zero, or what is replaced */
	struct mesh_key server_key;		      /* zero: not known yet */
	struct dial_target targets[MEMBER_URLS_MAX];
	size_t target_count, target; /* the one that is used or tried next */
	size_t configured_count;     /* of the targets; the others are the realm's own */
	struct netmap netmap;
	struct member_facts facts;
	struct buf told; /* the update that was told last */

	struct dial dial;
	struct channel *channel; /* NULL: none */
	bool is_channel_ended;	 /* it is over, for `why` */
	struct member_call registering, update;
	struct http2_exchange *map;	      /* the stream, once it runs */
	struct buf frames;		      /* of it, not whole yet */
	bool is_map_lost;		      /* it ended, or broke a rule: `why` */
	bool is_map_refused;		      /* control does not know this node: register first */
	int answer_count;		      /* of pings, on their way */
	char last_ping[MEMBER_URL_BYTES_MAX]; /* its URL: each is answered once */

	enum member_place place;
	unsigned wants;
	bool hurries; /* the pause is over */
	bool needs_registration;
	bool renews_key;	  /* with another node key */
	bool is_key_new;	  /* the node key was made for this registration */
	bool holds_join_key_back; /* control may know us without it */
	bool is_freed;		  /* the owner is gone */
	uint64_t pause_until_ms, pause_max_ms;
	uint64_t up_since_ms, heard_ms, update_at_ms, log_out_by_ms, register_by_ms;
	uint64_t probe_by_ms; /* 0: no probe is under way */
	uint64_t probe_pongs; /* before it */
	struct timer timer;   /* for whatever comes first of the times above */
	struct deferred tell; /* the state changed */
	char auth_url[MEMBER_AUTH_URL_BYTES_MAX];
	char why[MEMBER_WHY_BYTES];
};

void member_set_why(struct member *m, const char *format, ...) PRINTF_LIKE(2, 3);
void member_set_place(struct member *m, enum member_place place);
void member_wake(struct member *m);

/* --- calls.c ---------------------------------------------------------------------------------- */
/* The callbacks of the channel that member.c has opened. */
void member_channel_callbacks(struct member *m, struct dial_config *config);

/* False: it takes no more requests. */
MUST_CHECK bool member_call_register(struct member *m, bool is_log_out);
MUST_CHECK bool member_call_map(struct member *m);
/* What has not been told yet, if that is anything; harmless otherwise. */
void member_call_update(struct member *m);
void member_drop_calls(struct member *m);

void member_take_ping(struct member *m, const struct control_ping *ping);

/* --- map.c ------------------------------------------------------------------------------------ */
/* Bytes of the map stream. */
void member_map_bytes(struct member *m, struct slice bytes);

#endif
