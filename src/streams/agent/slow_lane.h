/* Turns for answers that take long to put together, so that short ones pass them.
 *
 * A loop copies and checks a MiB in about the time of twenty small requests.  Who puts a large
 * answer together does so in pieces, and there is one piece a turn of the loop, whoever's it is:
 * between two of them the loop reads and answers everything else.  So somebody who replays a topic
 * costs a producer one piece for each turn the producer needs, and not all of the answers that are
 * under way. */
#ifndef STREAMS_AGENT_SLOW_LANE_H
#define STREAMS_AGENT_SLOW_LANE_H

#include "loop/timer.h"

enum { SLOW_LANE_PIECE_BYTES = 64 << 10 }; /* shorter ones need no turn */

struct slow_lane {
	struct loop *loop;
	struct list waiting; /* struct slow_turn, the oldest first */
	struct timer next;
	bool is_taken; /* the turn of the loop that is now */
};

/* Zeroed; embedded in who waits. */
struct slow_turn {
	struct list link;
	struct task *task;
	bool is_granted;
};

void slow_lane_init(struct slow_lane *lane, struct loop *loop);
void slow_lane_done(struct slow_lane *lane);

/* May a piece be done now?  If not, `task` is woken when it may, and asks again. */
bool slow_lane_take(struct slow_lane *lane, struct slow_turn *turn, struct task *task);

/* Wants no turn any more; harmless when it waits for none. */
void slow_lane_leave(struct slow_lane *lane, struct slow_turn *turn);

#endif
