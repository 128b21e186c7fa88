/* A bucket in memory, for tests and the simulator: as strict as the strictest real one. */
#ifndef BUCKETS_MEMORY_H
#define BUCKETS_MEMORY_H

/* Drop the contents of "memory:NAME".  No handle of it is open. */
void memory_bucket_forget(const char *name);

#endif
