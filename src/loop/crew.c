/* Pieces stand in a ring.  The owner writes the next one and moves `posted`; whoever wants one
 * moves `taken`, and has what it moved over.  A slot is used again when its `done` has the number
 * of its piece, so nobody else is looking at it.
 *
 *     slots   ... done | being done | posted ... | free ...
 *                       ^            ^            ^
 *            finished by the owner   taken        posted
 *
 * Locks are taken only to sleep and to wake.  Who goes to sleep says so first and looks once more
 * then; who has something for it does the same in the other order, so one of them sees the other
 * (all of that is memory_order_seq_cst). */
#include "loop/crew.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/log.h"
#include "base/memory.h"

enum {
	STACK_BYTES = 256 << 10,
	SPINS = 500, /* of some 20 ns, about what going to sleep and being woken costs */
};

struct slot {
	crew_work *work;
	void *context;
	size_t from, to;
	atomic_uint_fast64_t done; /* the number of the piece that was done last, plus 1 */
};

struct member {
	struct crew *crew;
	unsigned number;
	pthread_t thread;
};

struct crew {
	atomic_uint_fast64_t posted, taken;
	struct slot slots[CREW_PIECES_MAX];
	atomic_uint sleepers;
	atomic_bool is_owner_asleep, is_over;
	pthread_mutex_t lock;
	pthread_cond_t is_work, is_done;
	unsigned wanted, running;
	struct member members[CREW_THREADS_MAX];
};

static void relax(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb");
#endif
}

/* --- pieces ---------------------------------------------------------------------------------- */
static bool is_done(struct crew *c, uint64_t piece)
{
	return atomic_load(&c->slots[piece % CREW_PIECES_MAX].done) > piece;
}

static bool is_work(struct crew *c)
{
	return atomic_load(&c->taken) < atomic_load(&c->posted);
}

/* False: there is nothing that nobody has begun. */
static bool do_one(struct crew *c, unsigned member)
{
	uint_fast64_t piece = atomic_load(&c->taken);

	do
		if (piece >= atomic_load(&c->posted))
			return false;
	while (!atomic_compare_exchange_weak(&c->taken, &piece, piece + 1));
	struct slot *s = &c->slots[piece % CREW_PIECES_MAX];
	s->work(s->context, s->from, s->to, member);
	atomic_store(&s->done, piece + 1);
	if (member > 0 && atomic_load(&c->is_owner_asleep)) {
		pthread_mutex_lock(&c->lock);
		pthread_cond_signal(&c->is_done);
		pthread_mutex_unlock(&c->lock);
	}
	return true;
}

uint64_t crew_post(struct crew *c, crew_work *work, void *context, size_t from, size_t to)
{
	uint64_t piece = atomic_load(&c->posted);
	struct slot *s = &c->slots[piece % CREW_PIECES_MAX];

	if (piece >= CREW_PIECES_MAX)
		crew_finish(c, piece - CREW_PIECES_MAX);
	s->work = work;
	s->context = context;
	s->from = from;
	s->to = to;
	atomic_store(&c->posted, piece + 1);
	return piece;
}

static void sleep_until_done(struct crew *c, uint64_t piece)
{
	pthread_mutex_lock(&c->lock);
	atomic_store(&c->is_owner_asleep, true);
	while (!is_done(c, piece))
		pthread_cond_wait(&c->is_done, &c->lock);
	atomic_store(&c->is_owner_asleep, false);
	pthread_mutex_unlock(&c->lock);
}

void crew_finish(struct crew *c, uint64_t piece)
{
	assert(piece < atomic_load(&c->posted));
	for (int spins = 0; !is_done(c, piece); spins++) {
		if (do_one(c, 0))
			spins = 0;
		else if (spins < SPINS)
			relax();
		else
			sleep_until_done(c, piece);
	}
}

/* --- threads --------------------------------------------------------------------------------- */
static void sleep_until_work(struct crew *c)
{
	pthread_mutex_lock(&c->lock);
	atomic_fetch_add(&c->sleepers, 1);
	while (!is_work(c) && !atomic_load(&c->is_over))
		pthread_cond_wait(&c->is_work, &c->lock);
	atomic_fetch_sub(&c->sleepers, 1);
	pthread_mutex_unlock(&c->lock);
}

static void *run(void *context)
{
	struct member *m = context;
	struct crew *c = m->crew;
	int spins = 0;

	while (!atomic_load(&c->is_over)) {
		if (do_one(c, m->number))
			spins = 0;
		else if (++spins < SPINS)
			relax();
		else
			sleep_until_work(c);
	}
	return NULL;
}

/* Signals are the loop's. */
static void begin(struct crew *c)
{
	pthread_attr_t attributes;
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	for (; c->running < c->wanted; c->running++) {
		struct member *m = &c->members[c->running];
		*m = (struct member) { .crew = c, .number = c->running + 1 };
		if (pthread_create(&m->thread, &attributes, run, m) != 0) {
			log_warn("only %u threads of %u can be started", c->running, c->wanted);
			c->wanted = c->running;
		}
	}
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void crew_wake(struct crew *c)
{
	if (c->running < c->wanted)
		begin(c);
	if (atomic_load(&c->sleepers) == 0)
		return;
	pthread_mutex_lock(&c->lock);
	pthread_cond_signal(&c->is_work);
	pthread_mutex_unlock(&c->lock);
}

/* --- life ------------------------------------------------------------------------------------ */
struct crew *crew_new(unsigned threads)
{
	struct crew *c = NEW(struct crew);

	assert(threads <= CREW_THREADS_MAX);
	c->wanted = threads;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->is_work, NULL);
	pthread_cond_init(&c->is_done, NULL);
	return c;
}

void crew_free(struct crew *c)
{
	if (!c)
		return;
	assert(!is_work(c));
	pthread_mutex_lock(&c->lock);
	atomic_store(&c->is_over, true);
	pthread_cond_broadcast(&c->is_work);
	pthread_mutex_unlock(&c->lock);
	for (unsigned i = 0; i < c->running; i++)
		pthread_join(c->members[i].thread, NULL);
	pthread_cond_destroy(&c->is_done);
	pthread_cond_destroy(&c->is_work);
	pthread_mutex_destroy(&c->lock);
	memory_free(c);
}

unsigned crew_cores(void)
{
	cpu_set_t cores;

	if (sched_getaffinity(0, sizeof(cores), &cores) != 0)
		return 1;
	return (unsigned)CPU_COUNT(&cores);
}
