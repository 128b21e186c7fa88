/* The processes of a node: one of each role, and of streams as many as --agents says.  A process is
 * called as its role; the second agent and those after it have their number, too: "streams-2". */
#ifndef SERVER_PROCESS_H
#define SERVER_PROCESS_H

#include "server/options.h"

/* A process is the value of its role, or, of an agent after the first, one behind all of them. */
enum {
	PROCESS_COUNT = ROLE_COUNT + OPTION_AGENTS_MAX - 1,
	PROCESS_NAME_BYTES = 16,
};

/* Number 1 is the first. */
static inline int process_of_agent(int number)
{
	return number == 1 ? (int)ROLE_STREAMS : (int)ROLE_COUNT + number - 2;
}

static inline enum role_kind process_role(int process)
{
	return process < (int)ROLE_COUNT ? (enum role_kind)process : ROLE_STREAMS;
}

/* Of a process of streams. */
static inline int process_agent(int process)
{
	return process == (int)ROLE_STREAMS ? 1 : process - (int)ROLE_COUNT + 2;
}

/* Lives until the program ends. */
const char *process_name(int process);

/* False: nothing is called so. */
bool process_from_name(const char *name, int *ret);

/* Does the node have it? */
bool process_is_there(const struct options *o, int process);

#endif
