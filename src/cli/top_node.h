/* What `hanse top` knows of one node: its numbers now and a moment ago, and what follows from both,
 * as one JSON document.  Names of members end with their unit; those of rates with _per_second. */
#ifndef CLI_TOP_NODE_H
#define CLI_TOP_NODE_H

#include <jansson.h>

#include "base/buf.h"
#include "cli/prices.h"

enum {
	TOP_NAMES_MAX = 5000, /* topics or groups of a node that are looked at */
	TOP_SHOWN_MAX = 10,   /* the busiest of them */
};

struct top_page {
	struct buf text; /* of /metrics */
	double at_s;	 /* monotonic */
	double wall_s;	 /* of the clock on the wall, for ages */
};

/* `before` may be empty: then there are no rates.  The caller releases it. */
json_t *top_node_json(const struct top_page *now, const struct top_page *before,
		      const struct prices *prices);

#endif
