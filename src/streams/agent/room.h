/* Memory that many want at the same time.  Who gets a part of it keeps it until it is given back;
 * who gets none waits in a queue and is woken when it is first and something was given back. */
#ifndef STREAMS_AGENT_ROOM_H
#define STREAMS_AGENT_ROOM_H

#include "loop/task.h"

struct room {
	size_t max;
	size_t used;
	struct list queue; /* struct room_wait */
};

/* Zero it first; in the queue while linked. */
struct room_wait {
	struct list link;
	struct task *task;
	size_t least;
};

void room_init(struct room *r, size_t max);

/* Between `least` and `most` bytes, and above `least` not more than a quarter of what is left, so
 * that the first do not get all.  0: there is no room or others were first; `w` is in the queue and
 * `task` will be woken to ask again.  More than `max` is given to nobody, so `least` is not above
 * it. */
size_t room_take(struct room *r, struct room_wait *w, struct task *task, size_t least, size_t most);

/* For what is there already: may go above `max`, so that nobody else gets anything. */
void room_add(struct room *r, size_t bytes);
void room_give_back(struct room *r, size_t bytes);

/* Does not want any more; harmless when it does not wait. */
void room_leave(struct room *r, struct room_wait *w);

bool room_is_wanted(const struct room *r);
void room_wake_all(struct room *r);

#endif
