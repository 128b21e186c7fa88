/* What differs between two states of one peer. */
#ifndef WIRE_CONTROL_NODE_COMPARE_H
#define WIRE_CONTROL_NODE_COMPARE_H

#include "wire/control/node.h"

/* NETMAP_PEER_... of netmap.h; 0: nothing. */
unsigned node_compare(const struct control_node *a, const struct control_node *b);

#endif
