/* A few threads that take part in what the thread of the loop has to compute: short pieces of work,
 * posted by that thread and done by whoever is free, itself among them, the oldest first.  Nothing
 * comes back through the loop: who posted a piece finishes it before it needs the result, so within
 * a callback of the loop everything can be over again.
 *
 *     crew_post()    says what there is to do; nobody is woken for it
 *     crew_wake()    there is enough of it that waking another thread pays
 *     crew_finish()  the piece is done, here if nobody else has begun it
 *
 * All of them on one thread.  A piece touches only what its owner set aside for it, takes and frees
 * no memory, and takes microseconds: the owner may have to wait for it. */
#ifndef LOOP_CREW_H
#define LOOP_CREW_H

#include <stddef.h>
#include <stdint.h>

enum {
	CREW_THREADS_MAX = 7,
	CREW_PIECES_MAX = 256, /* posted and not finished; the next one finishes the oldest first */
};

struct crew;

/* `member` is 0 on the owner's thread, and another number up to `threads` on each other one. */
typedef void crew_work(void *context, size_t from, size_t to, unsigned member);

/* Threads begin with the first crew_wake(), and sleep while there is nothing to do. */
struct crew *crew_new(unsigned threads);
void crew_free(struct crew *c); /* everything is finished; NULL is harmless */

/* The piece's number: they count up from 0. */
uint64_t crew_post(struct crew *c, crew_work *work, void *context, size_t from, size_t to);
void crew_wake(struct crew *c);
/* Meanwhile other pieces may be done here, too. */
void crew_finish(struct crew *c, uint64_t piece);

/* Cores that this process may use. */
unsigned crew_cores(void);

#endif
