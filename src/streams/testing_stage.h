/* One agent and one client of it: what most tests of an agent begin with. */
#ifndef STREAMS_TESTING_STAGE_H
#define STREAMS_TESTING_STAGE_H

#include "streams/testing_world.h"

static struct testing_world w;
static struct testing_client c;

/* `seed`: tasks go in the order in which they become ready (0), or in another one. */
static inline void set_up(uint64_t seed)
{
	testing_world_open(&w, seed);
	testing_client_open(&c, &w);
}

static inline void tear_down(void)
{
	testing_client_close(&c);
	testing_world_close(&w);
}

#endif
