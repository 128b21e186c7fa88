/* Directed schedules: for each rule one order of events in which breaking exactly that rule loses a
 * committed record or commits an index twice, on buckets of each class that the rule is about.
 *
 *     journal_bugs            the engine as it is: no schedule finds anything
 *     journal_bugs_NOJOIN     the same program with a planted bug: its schedule must find it
 *
 * A schedule holds back the I/O of a node to some buckets and lets the rest run until nothing moves
 * any more; or only effects of a certain kind, by a filter.  Nodes are 1, 2, 3; buckets 0, 1, 2. */
#include <assert.h>
#include <stdio.h>

#include "base/memory.h"
#include "oracle.h"

enum { NODES = 4, WAITING_MAX = 4096 };

struct waiting {
	unsigned node;
	struct journal_effect effect; /* with a reference to its body */
};

struct world {
	struct store stores[3];
	struct oracle oracle;
	uint64_t now_ms;
	unsigned held[NODES]; /* bit k: what the node sends to bucket k waits */
	bool (*held_too[NODES])(const struct journal_effect *e);
	struct waiting waiting[WAITING_MAX];
	size_t waiting_count;
};

/* --- the little world ------------------------------------------------------------------------- */
static void world_init(struct world *w, enum journal_class class)
{
	struct journal_config config = {
		.name = "main",
		.bucket_count = 3,
		.classes = { class, class, class },
	};

	*w = (struct world) { .now_ms = 1700000000000u };
	oracle_init(&w->oracle, w->stores, 3);
	for (unsigned n = 1; n < NODES; n++)
		w->oracle.nodes[n].journal = journal_new(&config);
}

static void world_done(struct world *w)
{
	while (w->waiting_count)
		blob_unref(&w->waiting[--w->waiting_count].effect.body);
	for (unsigned n = 1; n < NODES; n++)
		journal_free(w->oracle.nodes[n].journal);
	for (unsigned k = 0; k < 3; k++)
		store_done(&w->stores[k]);
	oracle_done(&w->oracle);
}

static void take_effects(struct world *w, unsigned n, struct journal_effects *fx)
{
	for (size_t i = 0; i < fx->count; i++) {
		struct journal_effect *e = &fx->items[i];
		oracle_outcome(&w->oracle, n, e);
		if (e->kind > JOURNAL_IO_DELETE)
			continue;
		assert(w->waiting_count < WAITING_MAX);
		w->waiting[w->waiting_count++] = (struct waiting) { n, *e };
		if (e->body)
			blob_ref(e->body);
	}
	journal_effects_done(fx);
}

static void feed(struct world *w, unsigned n, const struct journal_event *event)
{
	struct journal_effects fx;

	journal_effects_init(&fx);
	enum err err = journal_step(w->oracle.nodes[n].journal, event, &fx);
	(void)err; /* a fenced node refuses, that is fine */
	take_effects(w, n, &fx);
}

/* One effect reaches its bucket, and its answer the node. */
static void deliver(struct world *w, size_t i)
{
	enum { PAGE = 64 };
	struct waiting it = w->waiting[i];
	struct slice names[PAGE];
	struct journal_event event = { .kind = JOURNAL_DONE, .now_ms = ++w->now_ms };

	memmove(&w->waiting[i], &w->waiting[i + 1],
		(--w->waiting_count - i) * sizeof(w->waiting[0]));
	struct store_answer a = store_run(&w->stores[it.effect.bucket], &it.effect, PAGE);
	for (size_t k = 0; k < a.key_count; k++)
		names[k] = slice_from(a.keys[k]);
	event.done.op = it.effect.op;
	event.done.err = a.err;
	event.done.body = a.body;
	event.done.names = names;
	event.done.name_count = a.key_count;
	event.done.more = a.more;
	feed(w, it.node, &event);
	store_answer_done(&a);
	blob_unref(&it.effect.body);
}

/* Until everything that is not held has been delivered, oldest first. */
static void settle(struct world *w)
{
	for (size_t i = 0; i < w->waiting_count;) {
		struct waiting *it = &w->waiting[i];
		if (w->held[it->node] & 1u << it->effect.bucket ||
		    (w->held_too[it->node] && w->held_too[it->node](&it->effect))) {
			i++;
			continue;
		}
		deliver(w, i);
		i = 0;
	}
}

static void hold(struct world *w, unsigned n, unsigned buckets)
{
	w->held[n] = buckets;
}

static void hold_what(struct world *w, unsigned n, bool (*is_held)(const struct journal_effect *e))
{
	w->held_too[n] = is_held;
}

static bool is_list_of_slots(const struct journal_effect *e)
{
	return e->kind == JOURNAL_IO_LIST && strstr(e->key, "/e/") && !strstr(e->key, "/at/");
}

static bool is_put_of_floor(const struct journal_effect *e)
{
	return e->kind == JOURNAL_IO_PUT && strstr(e->key, "/at/");
}

static bool is_floor_or_list_of_slots(const struct journal_effect *e)
{
	return is_put_of_floor(e) || is_list_of_slots(e);
}

static bool is_list_of_bucket_1(const struct journal_effect *e)
{
	return e->kind == JOURNAL_IO_LIST && e->bucket == 1;
}

static bool is_slot_1_of_bucket_0(const struct journal_effect *e)
{
	return e->kind == JOURNAL_IO_PUT_NEW && e->bucket == 0 && strstr(e->key, "000/001");
}

enum { NONE = 0, B0 = 1, B1 = 2, B2 = 4, ALL = 7 };

static void campaign(struct world *w, unsigned n)
{
	struct journal_event event = {
		.kind = JOURNAL_CANDIDATE,
		.now_ms = ++w->now_ms,
		.candidate = { n, "host:1", "node", 0 },
	};

	feed(w, n, &event);
	settle(w);
}

static void append(struct world *w, unsigned n, uint64_t value)
{
	struct journal_effects fx;

	journal_effects_init(&fx);
	oracle_append(&w->oracle, n, value, ++w->now_ms, &fx);
	take_effects(w, n, &fx);
	settle(w);
}

static void trim(struct world *w, unsigned n)
{
	struct journal_event event = {
		.kind = JOURNAL_TRIM,
		.now_ms = ++w->now_ms,
		.trim = { .record_grace_ms = 0, .fence_grace_ms = 7ull * 24 * 3600 * 1000 },
	};

	feed(w, n, &event);
	settle(w);
}

static void snapshot(struct world *w, unsigned n)
{
	struct journal_effects fx;

	journal_effects_init(&fx);
	oracle_snapshot(&w->oracle, n, ++w->now_ms, &fx);
	take_effects(w, n, &fx);
	settle(w);
}

/* --- the schedules ---------------------------------------------------------------------------- */

/* 1 joins {0, 1} only.  2 joins {0, 2}: there is no mark of 1 on 2, so 1 is not fenced there.  If 1
 * counted bucket 2, then {1, 2} would be a quorum for it beside 2's {0, 2}. */
static void nojoin(struct world *w)
{
	hold(w, 1, B2);
	campaign(w, 1);
	hold(w, 1, B2 | B0); /* its start record on 2, if any, comes later */
	hold(w, 2, B1);
	campaign(w, 2);
	append(w, 2, 0x22);
	hold(w, 1, B0);
	append(w, 1, 0x11);
}

/* 1 sends a record and sleeps; 2 takes over; the PUTs of 1 arrive.  They succeed, so only a look
 * for the fence afterwards tells 1 that they do not count. */
static void norechk(struct world *w)
{
	campaign(w, 1);
	hold(w, 1, ALL);
	append(w, 1, 0x11);
	campaign(w, 2);
	append(w, 2, 0x22);
	hold(w, 1, NONE);
	settle(w);
}

/* The same, but 2 has cleaned up before 1 wakes up.  Marks and records may go, fences may not. */
static void gcfence(struct world *w)
{
	campaign(w, 1);
	hold(w, 1, ALL);
	append(w, 1, 0x11);
	campaign(w, 2);
	append(w, 2, 0x22);
	trim(w, 2);
	hold(w, 1, NONE);
	settle(w);
}

/* The same, but 1 sleeps so long that the fences may go. */
static void nofresh(struct world *w)
{
	campaign(w, 1);
	hold(w, 1, ALL);
	append(w, 1, 0x11);
	campaign(w, 2);
	append(w, 2, 0x22);
	w->now_ms += 8ull * 24 * 3600 * 1000;
	trim(w, 2);
	hold(w, 1, NONE);
	settle(w);
}

/* A record of 1 is on bucket 0 only.  2 adopts it and leads, so it is committed: it must be on a
 * majority by then, for 3 will not see bucket 0. */
static void nocopy(struct world *w)
{
	campaign(w, 1);
	hold(w, 1, B1 | B2);
	append(w, 1, 0x11);
	hold(w, 1, ALL);
	hold(w, 2, B2);
	campaign(w, 2);
	hold(w, 2, ALL);
	hold(w, 3, B0);
	campaign(w, 3);
	append(w, 3, 0x33);
}

/* 1 leaves two records on bucket 0, 2 does not see them and commits one of its own on {1, 2}.  3
 * joins {0, 1}: there the history of 1 is the longest, that of 2 has the highest epoch. */
static void norewrite(struct world *w)
{
	campaign(w, 1);
	hold(w, 1, B1 | B2);
	append(w, 1, 0x11);
	append(w, 1, 0x12);
	hold(w, 1, ALL);
	hold(w, 2, B0);
	campaign(w, 2);
	append(w, 2, 0x22);
	hold(w, 2, ALL);
	hold(w, 3, B2);
	campaign(w, 3);
	append(w, 3, 0x33);
}

/* 1 never looks for a fence before a create counts: 2 must take the next slot. */
static void noseal(struct world *w)
{
	campaign(w, 1);
	append(w, 1, 0x11);
	campaign(w, 2);
	append(w, 2, 0x22);
	append(w, 1, 0x12);
}

/* 1 has slot 1 on {1, 2}.  2 joins {0, 2} and seals slot 1 on 0, slot 2 on 2.  Then slot 2 of 1 is
 * created on {0, 1}: on 0 it is behind a seal. */
static void noprefix(struct world *w)
{
	campaign(w, 1);
	hold_what(w, 1, is_slot_1_of_bucket_0);
	append(w, 1, 0x11);
	hold(w, 1, B0 | B2);
	append(w, 1, 0x12);
	hold(w, 2, B1);
	campaign(w, 2);
	append(w, 2, 0x22);
	hold(w, 1, B2);
	settle(w);
	hold_what(w, 1, NULL);
	settle(w);
}

/* 2 has read that bucket 0 has no floors.  Then the floor of 1 arrives there, and 1, whose look at
 * the marks for this trim was earlier, deletes slot 1, which 2 finds free.  1 commits on {0, 1}. */
static void nolook(struct world *w)
{
	hold(w, 2, B1);
	campaign(w, 1);
	append(w, 1, 0x11);
	hold_what(w, 1, is_floor_or_list_of_slots);
	snapshot(w, 1);
	append(w, 1, 0x12);
	trim(w, 1);
	hold_what(w, 2, is_list_of_slots);
	campaign(w, 2);
	hold_what(w, 1, is_list_of_slots);
	settle(w);
	hold_what(w, 1, is_list_of_bucket_1);
	settle(w);
	hold_what(w, 2, NULL);
	settle(w);
	hold(w, 1, B2);
	append(w, 1, 0x13);
	append(w, 2, 0x23);
}

/* The floors of 1 are under way when it trims, and 2 finds slot 1 free. */
static void nofloor(struct world *w)
{
	campaign(w, 1);
	append(w, 1, 0x11);
	hold_what(w, 1, is_put_of_floor);
	snapshot(w, 1);
	append(w, 1, 0x12);
	trim(w, 1);
	campaign(w, 2);
	append(w, 1, 0x13);
	append(w, 2, 0x23);
}

/* Bucket 2 comes to 1 when slot 1 has been committed without it.  2 joins {1, 2} and seals slot 1
 * on 2, but 1 goes on with slot 2. */
static void nogap(struct world *w)
{
	hold(w, 1, B2);
	campaign(w, 1);
	append(w, 1, 0x11);
	hold(w, 1, NONE);
	settle(w);
	hold(w, 2, B0);
	campaign(w, 2);
	append(w, 2, 0x22);
	hold(w, 1, B1);
	append(w, 1, 0x12);
}

enum { RAW = 1, CAS = 2, BOTH = 3 };

static const struct schedule {
	const char *name, *rule;
	void (*run)(struct world *w);
	unsigned classes;
	unsigned leads, commits; /* of the engine as it is */
} schedules[] = {
	{ "NOJOIN", "a bucket counts only after it was joined", nojoin, BOTH, 2, 1 },
	{ "NORECHK", "the fence is looked for after the data PUT", norechk, RAW, 2, 1 },
	{ "GCFENCE", "fences and seals outlive zombies", gcfence, BOTH, 2, 1 },
	{ "NOFRESH", "a leader that slept looks at the marks first", nofresh, BOTH, 2, 1 },
	{ "NOCOPY", "the adopted tail is on a majority before the start", nocopy, BOTH, 3, 2 },
	{ "NOREWRITE", "the highest epoch is adopted, not the longest log", norewrite, BOTH, 3, 2 },
	{ "NOSEAL", "a candidate takes the next slot", noseal, CAS, 2, 2 },
	{ "NOPREFIX", "a create behind a seal does not count", noprefix, CAS, 2, 2 },
	{ "NOLOOK", "a free slot is not one that was trimmed", nolook, CAS, 2, 3 },
	{ "NOFLOOR", "a slot is trimmed after its floor is there", nofloor, CAS, 2, 3 },
	{ "NOGAP", "behind a gap a create does not count", nogap, CAS, 2, 2 },
	{ "GCSEAL", "seals are not trimmed as records", gcfence, CAS, 2, 1 },
};

static const char *planted_bug(void)
{
#if defined(JOURNAL_BUG_NOJOIN)
	return "NOJOIN";
#elif defined(JOURNAL_BUG_NORECHK)
	return "NORECHK";
#elif defined(JOURNAL_BUG_GCFENCE)
	return "GCFENCE";
#elif defined(JOURNAL_BUG_NOFRESH)
	return "NOFRESH";
#elif defined(JOURNAL_BUG_NOCOPY)
	return "NOCOPY";
#elif defined(JOURNAL_BUG_NOREWRITE)
	return "NOREWRITE";
#elif defined(JOURNAL_BUG_NOSEAL)
	return "NOSEAL";
#elif defined(JOURNAL_BUG_NOPREFIX)
	return "NOPREFIX";
#elif defined(JOURNAL_BUG_NOLOOK)
	return "NOLOOK";
#elif defined(JOURNAL_BUG_NOFLOOR)
	return "NOFLOOR";
#elif defined(JOURNAL_BUG_NOGAP)
	return "NOGAP";
#elif defined(JOURNAL_BUG_GCSEAL)
	return "GCSEAL";
#else
	return NULL;
#endif
}

static bool play(const struct schedule *s, enum journal_class class, const char *bug, int number)
{
	const char *where = class == JOURNAL_CAS ? "create-if-absent" : "raw";
	static struct world w;
	bool good;

	world_init(&w, class);
	s->run(&w);
	bool found = w.oracle.why[0];
	if (bug) {
		good = found;
		printf("%s %d - %s: without this rule the schedule %s finds: %s\n",
		       good ? "ok" : "not ok", number, where, s->name,
		       found ? w.oracle.why : "nothing");
	} else {
		good = !found && w.oracle.leads == s->leads && w.oracle.commits == s->commits;
		printf("%s %d - %s: %s (%s)\n", good ? "ok" : "not ok", number, where, s->rule,
		       s->name);
		if (!good)
			printf("# %u leaders, %u commits; %s\n", (unsigned)w.oracle.leads,
			       (unsigned)w.oracle.commits, w.oracle.why);
	}
	world_done(&w);
	return good;
}

int main(void)
{
	const char *bug = planted_bug();
	bool good = true;
	int number = 0;

	for (size_t i = 0; i < sizeof(schedules) / sizeof(*schedules); i++) {
		const struct schedule *s = &schedules[i];
		if (bug && strcmp(bug, s->name) != 0)
			continue;
		if (s->classes & RAW)
			good &= play(s, JOURNAL_RAW, bug, ++number);
		if (s->classes & CAS)
			good &= play(s, JOURNAL_CAS, bug, ++number);
	}
	printf("1..%d\n", number);
	return good ? 0 : 1;
}
