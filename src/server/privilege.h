/* What a process run by root gives up once it has what it needs. */
#ifndef SERVER_PRIVILEGE_H
#define SERVER_PRIVILEGE_H

#include <stdbool.h>
#include <stdint.h>

#define PRIVILEGE(capability) (UINT64_C(1) << (capability))

/* Keeps at most these capabilities (bits by their numbers in linux/capability.h), for good and for
 * every program it starts.  Whoever has none loses none. */
void privilege_keep(uint64_t capabilities);

/* Whether this process has it now. */
bool privilege_has(int capability);

#endif
