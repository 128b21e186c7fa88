/* A model bucket: names and bytes in memory, sorted, nothing else.  What goes wrong on the way to
 * it is the business of the simulation. */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include "cells/journal.h"

struct store_object {
	char key[JOURNAL_KEY_BYTES];
	struct blob *body;
};

struct store {
	struct store_object *objects; /* sorted by key */
	size_t count, capacity;
	bool reused_name; /* somebody put other bytes under a name that was taken */
};

struct store_answer {
	enum err err;
	struct blob *body; /* one reference */
	char (*keys)[JOURNAL_KEY_BYTES];
	size_t key_count;
	bool more;
};

void store_done(struct store *s);

/* Execute one I/O effect; a LIST gives at most `page` names. */
struct store_answer store_run(struct store *s, const struct journal_effect *e, size_t page);
void store_answer_done(struct store_answer *a);

struct blob *store_find(const struct store *s, const char *key); /* borrowed or NULL */

#endif
