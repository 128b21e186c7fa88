/* `hanse serve` and the processes it is made of. */
#ifndef SERVER_SERVE_H
#define SERVER_SERVE_H

#include "server/options.h"

/* sysexits(3): what the supervisor takes for "a restart does not help". */
enum { EXIT_USAGE = 64, EXIT_CONFIG = 78 };

/* argv after the word "serve".  Returns the exit status. */
int serve_main(char **argv);

/* argv after the word "up". */
int up_main(char **argv);

/* One role, in the process the supervisor started for it; argv after the word that names it,
 * "role:" and its name.  roles.c has the table. */
int control_role_main(char **argv);
int streams_role_main(int number, char **argv); /* of --agents; 1 is the first */
int mesh_role_main(char **argv);
int relay_role_main(char **argv);
int realm_role_main(char **argv);
int names_role_main(char **argv);
int drop_role_main(char **argv);
int metrics_role_main(char **argv);

/* False: `word` names no role of this program. */
bool role_run(const char *word, char **argv, int *ret);
bool role_is_there(enum role_kind role);

#endif
