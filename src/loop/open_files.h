/* How many descriptors this process may have open. */
#ifndef LOOP_OPEN_FILES_H
#define LOOP_OPEN_FILES_H

#include <stddef.h>

/* Raise the soft limit to the hard one; it is only low for programs that use select(). */
void open_files_raise(void);

size_t open_files_max(void);

#endif
