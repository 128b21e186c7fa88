/* A socket that somebody else's library owns, watched for it: the library says what it waits for,
 * and hears of it.  Whoever only wants bytes uses stream.h. */
#ifndef LOOP_WATCH_H
#define LOOP_WATCH_H

#include <stdbool.h>

#include "loop/loop.h"

struct watch;

/* `on_ready` comes from the loop, never from inside a call.  NULL when `fd` cannot be watched. */
struct watch *watch_open(struct loop *loop, int fd,
			 void (*on_ready)(void *context, int fd, bool is_readable,
					  bool is_writable),
			 void *context);
void watch_set(struct watch *w, bool read, bool write);

/* Before the library closes `fd`, which stays open; frees the watch later, from the loop. */
void watch_close(struct watch *w);

#endif
