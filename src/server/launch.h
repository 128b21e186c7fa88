/* What `hanse serve` and `hanse up` have in common: where options come from, the directory of the
 * sockets, and the processes. */
#ifndef SERVER_LAUNCH_H
#define SERVER_LAUNCH_H

#include "server/process.h"

/* Flags, environment and file into `o`; options_finish() is still to come. */
MUST_CHECK enum err launch_read_options(struct options *o, char **argv, char why[OPTION_WHY_BYTES]);

/* --run-dir: made where it is missing, refused where others could write. */
MUST_CHECK enum err launch_make_run_dir(const char *path, char why[OPTION_WHY_BYTES]);

/* The arguments of a process: its word, and all options as flags, so that all of them mean
 * the same; but no secret.  They live until the program ends. */
const char *const *launch_process_argv(const struct options *o, int process);

#endif
