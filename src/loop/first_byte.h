/* What a connection begins with, before anything is read from it: a port can serve two protocols.
 * Private to loop/. */
#ifndef LOOP_FIRST_BYTE_H
#define LOOP_FIRST_BYTE_H

#include <uv.h>

#include "base/list.h"
#include "loop/timer.h"

struct first_byte {
	struct list link; /* for whoever has several */
	uv_poll_t poll;	  /* data: this */
	struct timer deadline;
	int fd;
	bool is_over;
	/* -1: the peer closed, or said nothing for too long.  The descriptor is the callee's. */
	void (*on_seen)(struct first_byte *f, int byte);
	void (*on_freed)(struct first_byte *f); /* some time after it is over: free it here */
};

/* on_seen is called from the loop, once, unless it is canceled before. */
void first_byte_start(struct first_byte *f, struct loop *loop, int fd, uint64_t timeout_ms,
		      void (*on_seen)(struct first_byte *f, int byte),
		      void (*on_freed)(struct first_byte *f));

/* The descriptor is closed. */
void first_byte_cancel(struct first_byte *f);

#endif
