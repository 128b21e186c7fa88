/* What `hanse up` keeps of its options for the next start, in the state directory: the name of the
 * machine and how others reach it; and whether this machine was to join a mesh and has not. */
#ifndef SERVER_KEPT_OPTIONS_H
#define SERVER_KEPT_OPTIONS_H

#include "server/options.h"
#include "server/state.h"

struct kept_options {
	char name[OPTION_VALUE_BYTES_MAX], address[OPTION_VALUE_BYTES_MAX]; /* "": never said */
	bool is_changed;						    /* by this start */
};

/* Before options_finish(): what nobody said this time is as it was said last. */
MUST_CHECK enum err kept_options_load(struct kept_options *k, struct options *o,
				      const struct state *s, char why[OPTION_WHY_BYTES]);
/* After options_finish(), which found nothing wrong with it. */
MUST_CHECK enum err kept_options_save(const struct kept_options *k, const struct state *s,
				      char why[OPTION_WHY_BYTES]);

/* Before options_finish().  Which roles a machine has that was told of none: those of a machine
 * where it has joined.  ERR_DENIED: it was to join, never did, and nobody said that it shall have a
 * mesh of its own instead. */
MUST_CHECK enum err kept_options_roles(struct options *o, const struct state *s,
				       char why[OPTION_WHY_BYTES]);
/* After options_finish(): remembers that it is to join, until it has. */
MUST_CHECK enum err kept_options_begin(const struct options *o, const struct state *s,
				       char why[OPTION_WHY_BYTES]);

#endif
