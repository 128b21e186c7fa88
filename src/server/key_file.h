/* Key files, and the keys of a role (doc/formats/keys.md).
 *
 * A file is for its owner's eyes only: one that others can read is refused, because whoever could
 * read it may have done so. */
#ifndef SERVER_KEY_FILE_H
#define SERVER_KEY_FILE_H

#include "wire/keys/keyring.h"

enum { KEY_FILE_WHY_BYTES = 300 };

/* ERR_NOT_FOUND: there is none; else `why` says what is wrong with it and what to do. */
MUST_CHECK enum err key_file_read(const char *path, struct keyring *ret,
				  char why[KEY_FILE_WHY_BYTES]);

/* Write a new one, durably, and whole as soon as it can be seen; ERR_EXISTS when something is there
 * already. */
MUST_CHECK enum err key_file_create(const char *path, const struct keyring *k,
				    char why[KEY_FILE_WHY_BYTES]);

/* What key_file_create() writes, unused: the text of the keys after comments that say what they
 * are. */
void key_file_text(const struct keyring *k, bool is_unused, struct buf *ret);

/* A new file says in a comment that no cluster has its key yet.  Who has opened a cluster with it
 * takes that back, unless the file cannot be written.  With a key that is a cluster's, an empty
 * bucket is the wrong one. */
bool key_file_is_unused(const char *path);
void key_file_set_used(const char *path);

/* A root from the kernel's randomness. */
void key_draw(struct keyring *ret);

/* The role's side: the keys its supervisor gave it; ERR_NOT_FOUND when it gave none.  From then on
 * the process leaves no core dump and cannot be looked into. */
MUST_CHECK enum err role_take_keys(struct keyring *ret, char why[KEY_FILE_WHY_BYTES]);

/* No core dumps, no looking into the process; nothing in builds with sanitizers, which need it. */
void keys_protect(void);

/* Overwrite what a buffer held, and end it. */
void secret_buf_done(struct buf *b);

#endif
