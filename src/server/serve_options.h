/* What the options of `hanse serve` mean: the part of options_finish() that is its own. */
#ifndef SERVER_SERVE_OPTIONS_H
#define SERVER_SERVE_OPTIONS_H

#include "server/options.h"

/* After the defaults of the rows: derived values (addresses, the sockets' directory, control), and
 * everything read as what it means. */
MUST_CHECK enum err serve_options_finish(struct options *o, char why[OPTION_WHY_BYTES]);

/* After all addresses are read: --blocks and several --agents have ports of their own. */
MUST_CHECK enum err serve_options_check_ports(const struct options *o, char why[OPTION_WHY_BYTES]);

#endif
