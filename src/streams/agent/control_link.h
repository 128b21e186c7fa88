/* The agent's connection to the control process: hello, calls, and the feed of the replica.
 *
 * The link connects, says hello, follows, and does so again after every loss (back-off 2 ms to
 * 1 s), at one of its places after the other: whoever of them leads answers the hello.  Where
 * there are several, one that does not answer it is left after CONTROL_LINK_HELLO_MS.  Calls made
 * while it is not ready fail with ERR_UNAVAILABLE at once.
 *
 * With keys places may be on other machines, over TLS, and one that does not lead tells who does:
 * the link goes there at once (CONTROL_LINK_REDIRECTS_MAX times in a row), and back to its places
 * when that is lost.
 *
 * A control process that is stopped or hung keeps the connection and says nothing.  So a link that
 * is ready pings when a tick, a fifth of CONTROL_LINK_SILENCE_MS, brought nothing, and five such
 * ticks in a row are a loss.  Ticks are counted, not time: one that comes late because this
 * process stood still counts once.  It also pings when it had nothing to say itself in a tick:
 * control ends the session of an agent that is silent (COORDINATOR_SILENCE_MS). */
#ifndef STREAMS_AGENT_CONTROL_LINK_H
#define STREAMS_AGENT_CONTROL_LINK_H

#include "base/buf.h"
#include "base/hash.h"
#include "base/uuid.h"
#include "loop/stream.h"
#include "loop/task.h"
#include "peer_messages.h"
#include "wire/kafka/schema.h"
#include "wire/peer/condition.h"

enum {
	CONTROL_LINK_CALLS_MAX = 100000,
	CONTROL_LINK_RETRY_MS_MIN = 2,
	CONTROL_LINK_RETRY_MS_MAX = 1000,
	CONTROL_LINK_SILENCE_MS = 5000, /* longer than control is ever busy with one thing */
	CONTROL_LINK_SILENT_TICKS_MAX = 5,
	CONTROL_LINK_HELLO_MS = 1000,
	CONTROL_LINK_PLACES_MAX = 16,
	CONTROL_LINK_REDIRECTS_MAX = 4,
	CONTROL_LINK_QUIET_MS = 60000, /* between log lines about refused connections */
	CONTROL_LINK_MISSED_MS = 3000, /* until there is one about control that is not there */
};

/* Where a control process may be. */
struct control_place {
	const char *path; /* of its Unix socket; NULL: */
	const char *host; /* its peer address, for which keys are needed */
	uint16_t port;
};

struct control_link;

struct control_link_hello {
	struct uuid cluster_id;
	int32_t node_id;
	int64_t incarnation;
	int32_t default_partitions;
	enum agent_condition condition; /* what this agent said of itself */
};

/* A record that was applied to the replica, and the content hash of the replica after it. */
struct control_link_position {
	int64_t index; /* 0: nothing yet */
	struct hash128 hash;
	struct uuid cluster_id;
};

struct control_link_owner {
	/* How far have we come?  Said with each hello, so that control notices when the journal is
	 * older than that.  May be NULL. */
	struct control_link_position (*position)(void *context);
	/* Hello was answered; `incarnation` is the one to name files with.  Called on each connect.
	 */
	void (*on_hello)(void *context, const struct control_link_hello *hello);
	/* The feed: parts of an image, then records, in order. */
	void (*on_snapshot)(void *context, int64_t index, int64_t total_bytes, int64_t offset,
			    struct slice bytes);
	void (*on_record)(void *context, int64_t index, struct slice bytes);
	/* What can be read before its record comes; may be NULL. */
	void (*on_early)(void *context, const struct peer_early_push *push);
	/* Something for the audit topic; may be NULL. */
	void (*on_audit)(void *context, const struct peer_audit_push *what);
	/* Files whose names are to be settled (settler.h); may be NULL. */
	void (*on_settle)(void *context, const struct peer_settle_push *what);
	/* Hello was refused, the control process does not lead, or the connection is gone;
	 * ERR_TIMEOUT: it was silent for too long. */
	void (*on_lost)(void *context, enum err err, const char *why);
};

struct control_link_config {
	const struct control_place *places; /* borrowed, 1 to CONTROL_LINK_PLACES_MAX */
	size_t place_count;
	struct tls_identity *identity; /* NULL: no keys */
	const char *node;	       /* HOST:PORT that clients are told */
	const char *kafka_host;
	int32_t kafka_port;
	const char *site;
	const char *blocks;  /* HOST:PORT where the site asks for blocks; "": nowhere; read at each
			      * hello, so it outlives the link */
	uint64_t silence_ms; /* 0: CONTROL_LINK_SILENCE_MS */
	const struct control_link_owner *owner;
	void *context;
};

struct control_link *control_link_new(struct loop *loop, const struct control_link_config *config);

/* Say hello with this incarnation from now on (0: ask for a new one). */
void control_link_set_incarnation(struct control_link *link, int64_t incarnation);

/* Say in the next hello that the agent is in this condition; AGENT_OPENS at first. */
void control_link_set_condition(struct control_link *link, enum agent_condition condition);

/* Hello was answered and the connection stands. */
bool control_link_is_ready(const struct control_link *link);

/* Control, which is there, wants to know of files whose PUT begins. */
bool control_link_wants_announcements(const struct control_link *link);

/* How often control wants to hear what the bucket was asked; 0: never. */
uint64_t control_link_usage_ms(const struct control_link *link);

/* What went over its sockets, both ways, with all that TLS adds, since it was made. */
uint64_t control_link_bytes(const struct control_link *link);

/* Something came over it not longer ago than that; answers to pings do not count, since they say
 * nothing about who leads, nor those of who asks for passes of compaction. */
bool control_link_was_heard(const struct control_link *link, uint64_t within_ms);

/* One request and its answer, as a child task: OK (ret_body holds the encoded answer, ret_version
 * its version), ERR_UNAVAILABLE (not sent), ERR_UNKNOWN (sent, and the link was lost). */
struct control_call {
	struct task task;
	struct control_link *link;
	struct list waiting;
	uint32_t correlation_id;
	struct blob *ret_bytes; /* owns what ret_body points to; the caller unrefs it when OK */
	struct slice ret_body;
	uint16_t ret_version;
};

/* Encodes `value` (a peer message, the struct of `schema`) at once. */
void control_call(struct control_call *call, struct task *parent, struct control_link *link,
		  const struct schema *schema, const void *value);

/* What came over the link makes no sense: drop the connection and begin again with hello. */
void control_link_restart(struct control_link *link, enum err err, const char *why);

/* Ends every call with ERR_CANCELED and frees the link from the loop. */
void control_link_free(struct control_link *link);

#endif
