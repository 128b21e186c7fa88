/* The state directory of a machine of the mesh: its keys, what it joined, the last netmap.
 *
 * Files are for the owner's eyes (0600), and are replaced as a whole and durably: written beside,
 * fsync, rename, fsync of the directory. */
#ifndef SERVER_STATE_H
#define SERVER_STATE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

enum { STATE_WHY_BYTES = 300, STATE_NAME_BYTES_MAX = 64, STATE_FILE_BYTES_MAX = 64 << 20 };

/* Names of files there. */
#define STATE_JOINED "joined"	/* which control this machine belongs to, if it is not its own */
#define STATE_JOINING "joining" /* it was told to join one; there is no other mesh here */
#define STATE_NETMAP "netmap"	/* the last one */
#define STATE_NODE_KEY "node.key"

struct state {
	int directory; /* of files */
	int lock;      /* -1: not ours to hold */
	char path[1024];
};

/* Made where it is missing (0700), with its parents.  With `locks`, it belongs to this process
 * until state_close(): ERR_BUSY when another one has it. */
MUST_CHECK enum err state_open(struct state *s, const char *path, bool locks,
			       char why[STATE_WHY_BYTES]);
void state_close(struct state *s);

/* Append the file; ERR_NOT_FOUND, ERR_DENIED (others may read it), ERR_TOO_BIG above `size_max`. */
MUST_CHECK enum err state_read(const struct state *s, const char *name, size_t size_max,
			       struct buf *ret);
MUST_CHECK enum err state_write(const struct state *s, const char *name, struct slice bytes);
void state_remove(const struct state *s, const char *name);
bool state_has(const struct state *s, const char *name);

#endif
