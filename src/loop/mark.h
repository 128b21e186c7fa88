/* A mark (SO_MARK) for the packets of this process, so that rules of the kernel can tell them from
 * those of others: what carries the mesh must not be sent into the mesh. */
#ifndef LOOP_MARK_H
#define LOOP_MARK_H

#include <stdint.h>

/* For every stream that connects from now on; 0: none.  Without CAP_NET_ADMIN it has no effect.
 * Datagrams have an option of their own. */
void loop_mark_streams(uint32_t mark);

#endif
