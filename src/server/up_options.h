/* What the options of `hanse up` mean: the part of options_finish() that is its own. */
#ifndef SERVER_UP_OPTIONS_H
#define SERVER_UP_OPTIONS_H

#include "server/options.h"

/* After the defaults of the rows: derived values (state directory, sockets, bucket, name, address),
 * and everything read as what it means. */
MUST_CHECK enum err up_options_finish(struct options *o, char why[OPTION_WHY_BYTES]);

/* /run/hanse for root, else options_run_dir(): where realm.sock and mesh.sock are. */
void up_options_run_dir(char ret[OPTION_VALUE_BYTES_MAX]);
/* For who asks: the same, or root's where `socket` is not there and root has one. */
void up_options_find_run_dir(const char *socket, char ret[OPTION_VALUE_BYTES_MAX]);

/* /var/lib/hanse for root, else ~/.local/share/hanse; "": no HOME. */
void up_options_state_dir(char ret[OPTION_VALUE_BYTES_MAX]);

/* RUNDIR/realm.sock and RUNDIR/mesh.sock */
void up_options_socket(const struct options *o, const char *name,
		       char ret[OPTION_VALUE_BYTES_MAX + 32]);

#endif
