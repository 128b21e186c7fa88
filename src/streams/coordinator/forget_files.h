/* Forget data files that are dead and whose objects an agent has deleted. */
#ifndef STREAMS_COORDINATOR_FORGET_FILES_H
#define STREAMS_COORDINATOR_FORGET_FILES_H

#include "cells/cell.h"
#include "peer_messages.h"

enum {
	FORGET_FILES_MAX = 1000,
	FORGET_EARLY_SHARE = 10, /* of the grace: machines' clocks differ by less than a minute */
};

struct forget_files {
	struct peer_forget_files_request request;
	int64_t now_ms;	   /* the journal's */
	int64_t too_early; /* out: files that were not due; an agent deletes too much */
};

/* For leader_run(); `argument` is a struct forget_files.  A file that is not dead, not for the
 * grace of deletion (catalog_grace_ms()), or not known, is passed over.  No name of a current
 * incarnation up to that of a forgotten file can be committed any more: whoever still wants to is
 * behind by that grace. */
MUST_CHECK enum err forget_files_run(struct cell *cell, void *argument);

#endif
