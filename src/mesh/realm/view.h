/* What one machine is told where a policy is in force: only of machines it may reach or that may
 * reach it, and only the rules of its own filter. */
#ifndef MESH_REALM_VIEW_H
#define MESH_REALM_VIEW_H

#include "mesh/realm/private.h"

void view_done(struct view *v);

/* Everything that a whole message tells, noted as told.  The peers live in the arena. */
struct machine **view_all(struct arena *a, struct realm *r, struct machine *m, struct view *v,
			  size_t *ret_count);

/* What changed for one machine; a message, or NULL when there is nothing to tell. */
struct blob *view_delta(struct realm *r, struct round *round, struct machine *m, struct view *v,
			bool has_self);

#endif
