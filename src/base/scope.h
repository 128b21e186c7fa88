/* Release at the end of the block, for what lives outside the process.  Synchronous code only. */
#ifndef BASE_SCOPE_H
#define BASE_SCOPE_H

#include <stdio.h>
#include <unistd.h>

static inline void scope_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void scope_close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

#define AUTO_FD __attribute__((cleanup(scope_close_fd))) int
#define AUTO_FILE __attribute__((cleanup(scope_close_file))) FILE *

#endif
