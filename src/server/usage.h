/* GET /v1/usage: what the buckets of the cluster were asked, for `hanse cost`. */
#ifndef SERVER_USAGE_H
#define SERVER_USAGE_H

#include <jansson.h>

struct control;

/* One document; what only a leader knows is null where another node leads. */
json_t *usage_json(struct control *c);

#endif
