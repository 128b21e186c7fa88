/* The files that `hanse send` was given, folders walked through. */
#ifndef CLI_SEND_FILES_H
#define CLI_SEND_FILES_H

#include "base/arena.h"
#include "base/list.h"

enum { SEND_FILES_MAX = 100000, SEND_DEPTH_MAX = 32 };

struct send_file {
	struct list link;
	const char *path;
	struct slice name; /* what it is to be called there: "photos/a.jpg" */
	uint64_t size;
};

/* Appends to `ret`; files live in the arena.  What is no file or folder (a link, a socket) is said
 * and left out.  False: something that was named is not there, and was said. */
bool send_files_find(struct arena *a, const char *path, struct list *ret, size_t *count);

#endif
