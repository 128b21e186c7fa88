/* `hanse serve` and the processes it is made of. */
#ifndef SERVER_SERVE_H
#define SERVER_SERVE_H

#include "server/options.h"

/* sysexits(3): what the supervisor takes for "a restart does not help". */
enum { EXIT_USAGE = 64, EXIT_CONFIG = 78 };

/* argv after the word "serve".  Returns the exit status. */
int serve_main(char **argv);

/* One role, in the process the supervisor started for it; argv after the word that names it. */
int control_role_main(char **argv);
int streams_role_main(char **argv);

/* The words the supervisor starts them with. */
#define CONTROL_ROLE_WORD "role:control"
#define STREAMS_ROLE_WORD "role:streams"

#endif
