/* What the commands about the mesh share: the JSON of machines in the answers of mesh.sock. */
#ifndef CLI_MESH_H
#define CLI_MESH_H

#include "cli/local_client.h"
#include "cli/table.h"

/* The first label of its name, or its id; printable, in the arena. */
struct slice mesh_label(struct arena *a, const json_t *machine);
/* Its first address. */
struct slice mesh_address(struct arena *a, const json_t *machine);
/* A text member, printable; null where it is absent or empty. */
struct slice mesh_text(struct arena *a, const json_t *object, const char *name);

/* The machines of GET /v1/status as a table. */
void mesh_print_status(struct arena *a, const json_t *status);

/* GET /v1/status of mesh.sock; NULL, and nothing said, where no mesh process answers. */
json_t *mesh_status(const struct command_line *l);

#endif
