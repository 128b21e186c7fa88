/* Forget data files that are dead and whose objects an agent has deleted. */
#ifndef STREAMS_COORDINATOR_FORGET_FILES_H
#define STREAMS_COORDINATOR_FORGET_FILES_H

#include "cells/cell.h"

enum { FORGET_FILES_MAX = 1000 };

/* For leader_run(); `argument` is a const struct peer_forget_files_request.  A file that is not
 * dead, or not known, is passed over.  No name of a current incarnation up to that of a forgotten
 * file can be committed any more: whoever still wants to is behind by the grace of deletion. */
MUST_CHECK enum err forget_files_run(struct cell *cell, void *argument);

#endif
