/* Sends what waits in the queue, each file as soon as its receiver is there.
 *
 * The queue is a store (store.h) whose senders are the names of receivers.  Files of one receiver
 * go one after the other, oldest first; a few receivers at a time.  Who is not there is tried again
 * with growing pauses, and at once when the mesh says that it is back.  A file that is refused for
 * good stays, with the reason, until it is canceled or its time is over. */
#ifndef DROP_COURIER_H
#define DROP_COURIER_H

#include "drop/push.h"
#include "drop/store.h"

enum {
	COURIER_SLOTS = 4,
	COURIER_REST_MS_MIN = 2 * 1000,
	COURIER_REST_MS_MAX = 5 * 60 * 1000,
	COURIER_REFUSED_MS = 60 * 60 * 1000, /* after a refusal that time may mend */
};

struct courier;

struct courier_config {
	struct store *queue;
	const struct mesh_view *(*view)(void *context);
	/* A file has arrived (OK) or was refused; it is still in the queue during the call. */
	void (*on_outcome)(void *context, const struct store_item *i, enum err err,
			   const char *why);
	void *context;
};

struct courier *courier_new(struct loop *loop, const struct courier_config *config);

/* What is being sent is canceled and goes on at the next start; `on_end` is called from the loop
 * when nothing is under way any more, and the courier is gone. */
void courier_close(struct courier *c, void (*on_end)(void *context));

/* The queue or the mesh is another than before. */
void courier_poke(struct courier *c);

/* How far it is: bytes sent, and why it waits ("" while it is being sent). */
struct courier_state {
	uint64_t sent;
	bool is_sending;
	const char *why;
};
struct courier_state courier_state(const struct courier *c, const struct store_item *i);

/* Removes a file from the queue, now or when its sending has stopped. */
MUST_CHECK enum err courier_cancel(struct courier *c, struct store_item *i);

#endif
