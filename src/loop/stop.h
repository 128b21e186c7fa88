/* How a process is asked to stop: the first SIGTERM or SIGINT calls `on_stop`, which drains and
 * ends the loop; the second exits at once with status 130. */
#ifndef LOOP_STOP_H
#define LOOP_STOP_H

#include "loop/loop.h"

enum { STOP_EXIT_STATUS = 130 };

/* Once per loop. */
void stop_install(struct loop *loop, void (*on_stop)(void *context), void *context);

#endif
