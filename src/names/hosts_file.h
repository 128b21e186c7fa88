/* Names in /etc/hosts, where every program of a machine finds them at once and no setting of its
 * resolver has to change.
 *
 * Our lines stand together and each ends in the same words, so that they are told from all others
 * whatever a person did between them.  Every other byte of the file stays: also a last line without
 * its newline, which then gets one with our lines and loses it with them.
 *
 *	127.0.0.1	localhost			not ours
 *	# names of the mesh, here while it is up	# kept by hanse
 *	100.64.0.1	laptop.home.example laptop	# kept by hanse
 *
 * The file is replaced by a new one with the same owner and mode, so that nobody ever reads half of
 * it.  Where it cannot be (it is a mount, as in containers and in network namespaces; or has more
 * than one name) it is written in place: at its end, in one write, after everything else. */
#ifndef NAMES_HOSTS_FILE_H
#define NAMES_HOSTS_FILE_H

#include "base/buf.h"
#include "base/ip.h"

#define HOSTS_FILE_DEFAULT "/etc/hosts"

enum { HOSTS_FILE_BYTES_MAX = 16 << 20, HOSTS_FILE_WHY_BYTES = 200 };

/* Lines to keep in the file. */
void hosts_block_begin(struct buf *block);
void hosts_block_add(struct buf *block, struct ip ip, const char *names);

/* The file with `block` (empty: without any of our lines) in place of our lines. */
void hosts_file_replace(struct slice file, struct slice block, struct buf *ret);

/* May names of the mesh go there?  In a network namespace without a file of hosts of its own it is
 * the file of programs that do not see this mesh.  Another path than the default one is meant. */
bool hosts_file_is_ours(const char *path);

/* Makes it so; nothing is written where it is so already.  A link is followed.  ERR_NOT_FOUND: no
 * such file, and a block to add; ERR_TOO_BIG; ERR_DENIED and others.  `why` is a sentence. */
MUST_CHECK enum err hosts_file_set(const char *path, struct slice block,
				   char why[HOSTS_FILE_WHY_BYTES]);

#endif
