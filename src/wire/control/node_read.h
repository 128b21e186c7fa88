/* Parts of messages, read from JSON that is already parsed. */
#ifndef WIRE_CONTROL_NODE_READ_H
#define WIRE_CONTROL_NODE_READ_H

#include "wire/control/json_reader.h"

/* Mistakes are kept in the reader. */
void node_read(struct json_reader *r, const json_t *object, struct control_node *ret);
void hostinfo_read(struct json_reader *r, const json_t *object, bool keeps_json,
		   struct control_hostinfo *ret);

#endif
