/* One file to another machine's inbox, by the protocol of the official client (wire/taildrop.h),
 * which our own inbox speaks too.
 *
 *	asking --(blocks that are there)--> comparing --> connecting --> sending --> answered
 *	  \--(small, or nothing there)------------------->
 *
 * What the other side has already is not sent again. */
#ifndef DROP_PUSH_H
#define DROP_PUSH_H

#include "base/buf.h"
#include "base/ip.h"
#include "drop/item.h"
#include "loop/stream.h"
#include "wire/mesh_view.h"

enum {
	PUSH_CONNECT_MS = 15 * 1000,
	PUSH_STALL_MS = 60 * 1000,    /* nothing moves */
	PUSH_ANSWER_MS = 180 * 1000,  /* all is sent: it is made durable there */
	PUSH_ASK_BYTES_MIN = 1 << 20, /* smaller files are sent again as a whole */
	PUSH_CHUNK_BYTES = 256 * 1024,
	PUSH_PENDING_BYTES_MAX = 1 << 20,
	PUSH_ANSWER_BYTES_MAX = 4096, /* kept of an answer, for people */
};

struct push_target {
	struct ip_port at; /* its peerapi */
	bool takes_folders;
};

/* Where a machine takes files.  ERR_UNSUPPORTED: it takes none, or is not known to. */
MUST_CHECK enum err push_find_target(const struct mesh_view_machine *m, struct push_target *ret);

/* Outcomes: ERR_DENIED, ERR_FULL, ERR_BUSY (later perhaps), ERR_INVALID: the other side refuses;
 * ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_IO: it is not there, or the way was cut: try again, and what it
 * has is not sent again; ERR_CONFLICT: the file changed meanwhile.  task.why is a sentence. */
struct push {
	struct task task;
	uint64_t size;	 /* of the file */
	uint64_t offset; /* were there already */
	uint64_t sent;	 /* bytes of the file that have left, with those */
	/* private */
	struct push_target target;
	struct buf name; /* encoded */
	char token[ITEM_ID_BYTES];
	int fd;
	struct connect connect;
	struct stream *stream;
	struct http_parser *parser;
	struct buf answer;
	uint64_t read;
	enum err end;
	bool is_asking, is_complete, is_compared, is_over;
};

/* Borrows `fd` until the end; `name` is copied.  `token` (as item_draw_id() draws them) is the same
 * each time this file is sent: a machine of ours that has it already, because only its answer was
 * lost, does not take it twice. */
void push_start(struct push *p, struct task *parent, const struct push_target *target,
		struct slice name, const char token[ITEM_ID_BYTES], int fd, uint64_t size);

#endif
