/* The keys of `hanse serve`: where they come from, which role gets which, and what is done with
 * new ones.
 *
 * A node that seals and is given no key makes a root: the bucket may be empty.  With --key-file it
 * is in that file, durably, before anything is in the bucket.  When control has opened the cluster
 * with it, it is the cluster's and is shown; when control says that the bucket has another, it was
 * for nothing, and the file gets another name.  One that is in no file is shown too when the roles
 * gave up before either was known, unless no bucket had been asked. */
#ifndef SERVER_FIRST_START_H
#define SERVER_FIRST_START_H

#include "base/buf.h"
#include "server/options.h"
#include "wire/keys/keyring.h"

struct first_start {
	const struct options *options;
	struct keyring keys;
	struct buf texts[KEY_ROLE_COUNT]; /* what each role gets; empty: nothing */
	bool is_drawn;			  /* the root is new */
	bool is_written;		  /* the key file, too */
	bool is_used;  /* the key is a cluster's: an empty bucket is the wrong one */
	bool is_asked; /* there may be a cluster that has it */
	bool is_over;  /* it was seen whose it is */
};

/* `why` says what is missing.  Nothing is needed where nothing is sealed. */
MUST_CHECK enum err first_start_begin(struct first_start *f, const struct options *o,
				      char why[OPTION_WHY_BYTES]);

/* Control begins to open the cluster, and to create it if need be. */
void first_start_on_asking(struct first_start *f);

/* Control has opened the cluster with these keys: show new ones. */
void first_start_on_ready(struct first_start *f);

/* Control was refused: the cluster has other keys, or none. */
void first_start_on_denied(struct first_start *f);

/* Forget the keys, once the roles are over. */
void first_start_done(struct first_start *f);

#endif
