/* What a machine calls itself, as a label of DNS. */
#ifndef MESH_REALM_NAMES_H
#define MESH_REALM_NAMES_H

#include "base/slice.h"

enum { NAME_LABEL_BYTES = 64 };

/* The first label of a host name, in lower case, with hyphens for what a label cannot have; "node"
 * when nothing is left.  At most `max` bytes (below NAME_LABEL_BYTES). */
void name_sanitize(struct slice host, size_t max, char ret[NAME_LABEL_BYTES]);

/* 1 to 63 of a-z, 0-9 and hyphens, which do not stand at an end. */
bool name_is_label(struct slice name);

#endif
