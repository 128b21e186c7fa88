/* The journal under every misfortune, from one seed, in virtual time.
 *
 *     journal_sim --seeds 1-1000 [--buckets N] [--verbose]
 *
 * Several nodes run the real engine against N model buckets.  A seed decides everything: how slow
 * and unreliable each bucket is, which operations fail before or after they took effect, which PUTs
 * come a second time minutes later, which buckets can create if absent, when buckets are away, when
 * nodes crash between two effects of one step, when they sleep for seconds or hours and wake up as
 * zombies, who campaigns when.  The oracle (oracle.h) watches.  In the end everything is healed,
 * and some node must be able to lead and commit.  Each seed runs twice and must take the same
 * steps. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/heap.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "oracle.h"

enum {
	NODES_MAX = 4,
	TROUBLE_MS = 120 * 1000, /* then everything is healed */
	HEALED_MS = 180 * 1000,	 /* and after this a commit must have happened */
	TIMEOUT_MS = 5000,	 /* a caller gives up on an operation */
	STEPS_MAX = 400 * 1000,
	FENCE_GRACE_MS = 65 * 60 * 1000, /* a little longer than a leader trusts its marks */
};

enum what {
	IO_ARRIVES, /* at the bucket */
	IO_RETURNS, /* at the node */
	NODE_ACTS,  /* its own timer: campaign, append, check, snapshot, trim, tick */
	NODE_WAKES, /* after a crash or a sleep */
	BUCKET_BACK,
	TROUBLE, /* something happens to somebody */
};

struct happening {
	struct heap_node at;
	enum what what;
	unsigned node, bucket;
	uint64_t incarnation; /* of the node */
	struct journal_effect effect;
	enum err err_before, err_after;
	bool timed_out; /* the node was already told */
	struct store_answer answer;
};

struct sim_node {
	uint64_t incarnation;
	bool up, asleep;
	uint64_t wakes_ms;
	int64_t skew_ms;
	uint64_t campaign_ms;
	uint64_t busy_until_ms;
};

struct sim_bucket {
	enum journal_class class;
	uint64_t away_until_ms;
	unsigned slow; /* 1 normal .. 50 grey */
};

/* What this seed does, in parts of 10000. */
struct troubles {
	unsigned error_before, error_after, late, twice, crash, sleep, away, campaign, flip;
};

struct sim {
	struct prng prng;
	struct heap heap;
	uint64_t now_ms, steps;
	unsigned node_count, bucket_count;
	struct sim_node nodes[NODES_MAX];
	struct sim_bucket buckets[JOURNAL_BUCKETS_MAX];
	struct store stores[JOURNAL_BUCKETS_MAX];
	struct oracle oracle;
	struct troubles troubles;
	bool healed, rots;
	uint64_t pace; /* how slowly life goes, I/O excepted: 1, or 500 for days in a run */
	uint64_t healed_commits;
	uint64_t next_value;
	uint64_t trace; /* hash of all steps */
	bool verbose;
};

static bool chance(struct sim *s, unsigned of_10000)
{
	return of_10000 && prng_below(&s->prng, 10000) < of_10000;
}

static uint64_t between(struct sim *s, uint64_t low, uint64_t high)
{
	return low + prng_below(&s->prng, high - low + 1);
}

static void trace(struct sim *s, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t values[] = { a, b, c, s->now_ms };

	for (size_t i = 0; i < 4; i++) {
		s->trace ^= values[i];
		s->trace *= 0x100000001b3u;
		s->trace ^= s->trace >> 29;
	}
}

static struct happening *plan(struct sim *s, enum what what, uint64_t in_ms)
{
	struct happening *h = NEW(struct happening);

	h->what = what;
	heap_add(&s->heap, &h->at, s->now_ms + in_ms);
	return h;
}

static uint64_t node_clock(const struct sim *s, unsigned n)
{
	return (uint64_t)((int64_t)(s->now_ms + 1700000000000u) + s->nodes[n].skew_ms);
}

/* --- I/O -------------------------------------------------------------------------------------- */
static uint64_t delay(struct sim *s, unsigned k)
{
	uint64_t ms = between(s, 1, 5 * s->buckets[k].slow);

	return chance(s, 200) ? ms * 20 : ms;
}

static void send_io(struct sim *s, unsigned n, const struct journal_effect *e)
{
	uint64_t there = delay(s, e->bucket);
	bool late = chance(s, s->troubles.late);
	bool is_put = e->kind == JOURNAL_IO_PUT || e->kind == JOURNAL_IO_PUT_NEW;
	bool twice = is_put && chance(s, s->troubles.twice);
	struct happening *h;

	if (late)
		there += between(s, 100, 15 * 60 * 1000);
	for (int copy = 0; copy <= twice; copy++) {
		h = plan(s, IO_ARRIVES, copy ? there + between(s, 1, 15 * 60 * 1000) : there);
		h->node = n;
		h->bucket = e->bucket;
		h->incarnation = s->nodes[n].incarnation;
		h->effect = *e;
		if (e->body)
			blob_ref(e->body);
		h->timed_out = copy > 0;
		if (chance(s, s->troubles.error_before))
			h->err_before = ERR_UNAVAILABLE;
		if (chance(s, s->troubles.error_after))
			h->err_after = ERR_UNKNOWN;
		if (copy == 0 && there > TIMEOUT_MS) {
			struct happening *gone = plan(s, IO_RETURNS, TIMEOUT_MS);
			gone->node = n;
			gone->bucket = e->bucket;
			gone->incarnation = h->incarnation;
			gone->effect.op = e->op;
			gone->answer.err = ERR_UNKNOWN;
			h->timed_out = true;
		}
	}
}

static struct store_answer run_on_bucket(struct sim *s, struct happening *h)
{
	struct store_answer a = { .err = ERR_UNSUPPORTED };

	if (h->effect.kind == JOURNAL_IO_PUT_NEW && s->buckets[h->bucket].class == JOURNAL_RAW)
		return a;
	a = store_run(&s->stores[h->bucket], &h->effect, between(s, 2, 40));
	/* The client below repeats what got no answer, and meets itself. */
	if (h->effect.kind == JOURNAL_IO_PUT_NEW && a.err == OK && chance(s, s->troubles.twice))
		a.err = ERR_EXISTS;
	return a;
}

static void io_arrives(struct sim *s, struct happening *h)
{
	struct sim_bucket *b = &s->buckets[h->bucket];
	struct happening *back;
	bool away = b->away_until_ms > s->now_ms;
	struct store_answer a = { .err = ERR_UNAVAILABLE };

	if (!away && h->err_before == OK)
		a = run_on_bucket(s, h);
	if (!away && h->err_before == OK && h->err_after != OK) {
		store_answer_done(&a);
		a = (struct store_answer) { .err = h->err_after };
	}
	if (h->timed_out) {
		store_answer_done(&a);
		return;
	}
	back = plan(s, IO_RETURNS, delay(s, h->bucket));
	back->node = h->node;
	back->bucket = h->bucket;
	back->incarnation = h->incarnation;
	back->effect.op = h->effect.op;
	back->answer = a;
}

/* --- nodes ------------------------------------------------------------------------------------ */
static void crash(struct sim *s, unsigned n)
{
	journal_free(s->oracle.nodes[n].journal);
	s->oracle.nodes[n].journal = NULL;
	s->nodes[n].up = false;
	s->nodes[n].incarnation++;
	oracle_crashed(&s->oracle, n);
}

static void boot(struct sim *s, unsigned n)
{
	struct journal_config config = { .name = "main", .bucket_count = s->bucket_count };

	for (unsigned k = 0; k < s->bucket_count; k++)
		config.classes[k] = s->buckets[k].class;
	s->oracle.nodes[n].journal = journal_new(&config);
	s->nodes[n].up = true;
	s->nodes[n].campaign_ms = s->now_ms + s->pace * between(s, 0, 3000);
}

/* Executes effects in order; the node may crash between any two of them. */
static void execute(struct sim *s, unsigned n, struct journal_effects *fx)
{
	for (size_t i = 0; i < fx->count && s->nodes[n].up; i++) {
		struct journal_effect *e = &fx->items[i];
		trace(s, e->kind, e->op ^ e->index, n);
		if (s->verbose)
			printf("%8" PRIu64 " node %u: %d bucket %u %s index %" PRIu64 " %s\n",
			       s->now_ms, n, (int)e->kind, e->bucket, e->key, e->index, e->why);
		if (chance(s, s->troubles.crash)) {
			crash(s, n);
			struct happening *h = plan(s, NODE_WAKES, s->pace * between(s, 10, 20000));
			h->node = n;
			return;
		}
		if (e->kind <= JOURNAL_IO_DELETE) {
			send_io(s, n, e);
			continue;
		}
		oracle_outcome(&s->oracle, n, e);
		if (e->kind == JOURNAL_LOST || e->kind == JOURNAL_FAILED)
			s->nodes[n].campaign_ms =
				s->now_ms + s->pace * between(s, 200, s->healed ? 6000 : 20000);
	}
}

static void step(struct sim *s, unsigned n, const struct journal_event *event,
		 struct journal_effects *fx)
{
	enum err err = journal_step(s->oracle.nodes[n].journal, event, fx);

	if (err != OK && event->kind == JOURNAL_DONE && !s->oracle.why[0])
		snprintf(s->oracle.why, sizeof(s->oracle.why), "node %u refused an answer", n);
}

static void io_returns(struct sim *s, struct happening *h, struct journal_effects *fx)
{
	struct slice names[64];
	struct journal_event event = { .kind = JOURNAL_DONE, .now_ms = node_clock(s, h->node) };

	event.done.op = h->effect.op;
	event.done.err = h->answer.err;
	event.done.body = h->answer.body;
	event.done.names = names;
	event.done.name_count = h->answer.key_count;
	event.done.more = h->answer.more;
	assert(h->answer.key_count <= 64);
	for (size_t i = 0; i < h->answer.key_count; i++)
		names[i] = slice_from(h->answer.keys[i]);
	step(s, h->node, &event, fx);
}

static void lead_a_little(struct sim *s, unsigned n, struct journal_effects *fx)
{
	struct journal_event event = { .now_ms = node_clock(s, n) };
	uint64_t dice = prng_below(&s->prng, 100);

	if (dice < 60) {
		for (uint64_t i = between(s, 1, 4); i; i--)
			oracle_append(&s->oracle, n, ++s->next_value, event.now_ms, fx);
	} else if (dice < 75) {
		oracle_check(&s->oracle, n, event.now_ms, fx);
	} else if (dice < 80) {
		oracle_snapshot(&s->oracle, n, event.now_ms, fx);
	} else if (dice < 84) {
		event.kind = JOURNAL_TRIM;
		event.trim.record_grace_ms = s->pace * between(s, 0, 10000);
		event.trim.fence_grace_ms = FENCE_GRACE_MS;
		step(s, n, &event, fx);
	} else if (dice < 85 && chance(s, 2000)) {
		event.kind = JOURNAL_RESIGN;
		step(s, n, &event, fx);
	} else {
		event.kind = JOURNAL_TICK;
		step(s, n, &event, fx);
	}
}

static void node_acts(struct sim *s, unsigned n, struct journal_effects *fx)
{
	struct journal *j = s->oracle.nodes[n].journal;

	if (journal_role(j) == JOURNAL_LEADING) {
		lead_a_little(s, n, fx);
	} else if (journal_role(j) == JOURNAL_IDLE && s->now_ms >= s->nodes[n].campaign_ms) {
		/* In the healed world only where nobody else leads. */
		bool led = false;
		for (unsigned i = 0; i < s->node_count; i++)
			led |= s->oracle.nodes[i].leads && s->nodes[i].up && !s->nodes[i].asleep;
		if (led && !chance(s, s->troubles.campaign))
			return;
		struct journal_event event = {
			.kind = JOURNAL_CANDIDATE,
			.now_ms = node_clock(s, n),
			/* Half of them were told of all that anybody ever committed. */
			.candidate = { prng_next(&s->prng), "host:1", "node",
				       n % 2 ? s->oracle.committed_count : 0 },
		};
		step(s, n, &event, fx);
	}
}

/* --- troubles --------------------------------------------------------------------------------- */
static void flip_a_bit(struct sim *s)
{
	/* One bucket rots; the others must be able to help. */
	struct store *store = &s->stores[0];

	if (store->count == 0 || s->bucket_count == 1)
		return;
	struct store_object *o = &store->objects[prng_below(&s->prng, store->count)];
	struct blob *rotten = blob_from(blob_slice(o->body));
	rotten->data[prng_below(&s->prng, rotten->size)] ^= (uint8_t)(1 << prng_below(&s->prng, 8));
	blob_unref(&o->body);
	o->body = rotten;
}

static void trouble(struct sim *s)
{
	unsigned n = (unsigned)prng_below(&s->prng, s->node_count);
	unsigned k = (unsigned)prng_below(&s->prng, s->bucket_count);

	if (chance(s, s->troubles.away))
		s->buckets[k].away_until_ms = s->now_ms + s->pace * between(s, 100, 30000);
	if (chance(s, s->troubles.away))
		s->buckets[k].slow = (unsigned)(chance(s, 3000) ? between(s, 10, 50) : 1);
	if (chance(s, s->troubles.flip))
		flip_a_bit(s);
	if (chance(s, s->troubles.sleep) && s->nodes[n].up && !s->nodes[n].asleep) {
		uint64_t ms = s->pace * between(s, 10, 20000);
		if (chance(s, 500))
			ms = between(s, 1, 5) * 3600 * 1000;
		s->nodes[n].asleep = true;
		s->nodes[n].wakes_ms = s->now_ms + ms;
		plan(s, NODE_WAKES, ms)->node = n;
	}
	if (s->now_ms < s->pace * TROUBLE_MS) {
		plan(s, TROUBLE, s->pace * between(s, 100, 2000));
		return;
	}
	if (s->healed)
		return;
	s->healed = true;
	s->troubles = (struct troubles) { 0 };
	s->healed_commits = s->oracle.commits;
	for (k = 0; k < s->bucket_count; k++)
		s->buckets[k] = (struct sim_bucket) { .slow = 1, .class = s->buckets[k].class };
}

static void choose_troubles(struct sim *s)
{
	struct troubles *t = &s->troubles;
	unsigned *all[] = { &t->error_before, &t->error_after, &t->late,     &t->twice, &t->crash,
			    &t->sleep,	      &t->away,	       &t->campaign, &t->flip };
	static const unsigned most[] = { 300, 300, 100, 300, 30, 3000, 3000, 1000, 3000 };

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (chance(s, 6000))
			*all[i] = (unsigned)prng_below(&s->prng, most[i] + 1);
}

/* --- running ---------------------------------------------------------------------------------- */
static bool is_for_a_sleeper(struct sim *s, struct happening *h)
{
	struct sim_node *n = &s->nodes[h->node];

	if ((h->what != IO_RETURNS && h->what != NODE_ACTS) || !n->asleep)
		return false;
	heap_add(&s->heap, &h->at, n->wakes_ms + 1);
	return true;
}

static void happen(struct sim *s, struct happening *h)
{
	struct sim_node *n = &s->nodes[h->node];
	struct journal_effects fx;

	journal_effects_init(&fx);
	trace(s, h->what, h->node, h->bucket);
	switch (h->what) {
	case IO_ARRIVES:
		io_arrives(s, h);
		break;
	case IO_RETURNS:
		if (n->up && h->incarnation == n->incarnation)
			io_returns(s, h, &fx);
		break;
	case NODE_ACTS:
		if (n->up)
			node_acts(s, h->node, &fx);
		plan(s, NODE_ACTS, s->pace * between(s, 1, n->up ? 250 : 1000))->node = h->node;
		break;
	case NODE_WAKES:
		n->asleep = false;
		if (!n->up)
			boot(s, h->node);
		break;
	case BUCKET_BACK:
		break;
	case TROUBLE:
		trouble(s);
		break;
	}
	execute(s, h->node, &fx);
	journal_effects_done(&fx);
}

static void happening_free(struct happening *h)
{
	blob_unref(&h->effect.body);
	store_answer_done(&h->answer);
	memory_free(h);
}

static void begin(struct sim *s, uint64_t seed, unsigned bucket_count)
{
	s->prng = (struct prng) { seed * 0x9e3779b97f4a7c15u };
	heap_init(&s->heap);
	s->bucket_count = bucket_count;
	s->node_count = (unsigned)between(s, 2, NODES_MAX);
	oracle_init(&s->oracle, s->stores, bucket_count);
	s->pace = chance(s, 2000) ? 500 : 1;
	choose_troubles(s);
	s->rots = s->troubles.flip > 0;
	unsigned create = (unsigned)prng_below(&s->prng, 3); /* none, all, some */
	for (unsigned k = 0; k < bucket_count; k++) {
		s->buckets[k].slow = chance(s, 1000) ? 20 : 1;
		if (create == 1 || (create == 2 && chance(s, 5000)))
			s->buckets[k].class = JOURNAL_CAS;
	}
	for (unsigned n = 0; n < s->node_count; n++) {
		s->nodes[n].skew_ms = (int64_t)between(s, 0, 600000) - 300000;
		boot(s, n);
		plan(s, NODE_ACTS, between(s, 1, 100))->node = n;
	}
	plan(s, TROUBLE, 100);
}

static void end(struct sim *s)
{
	struct heap_node *node;

	while ((node = heap_first(&s->heap))) {
		heap_remove(&s->heap, node);
		happening_free(CONTAINER(node, struct happening, at));
	}
	heap_done(&s->heap);
	for (unsigned n = 0; n < s->node_count; n++)
		if (s->nodes[n].up)
			crash(s, n);
	for (unsigned k = 0; k < s->bucket_count; k++)
		store_done(&s->stores[k]);
	oracle_done(&s->oracle);
}

struct result {
	char why[256];
	uint64_t trace, leads, commits, checks, failed, lost, corrupt;
};

static struct result run(uint64_t seed, unsigned bucket_count, bool verbose)
{
	struct sim *s = NEW(struct sim);
	struct result r = { 0 };

	s->verbose = verbose;
	begin(s, seed, bucket_count);
	while (!s->oracle.why[0] && s->steps < STEPS_MAX) {
		struct happening *h = CONTAINER(heap_first(&s->heap), struct happening, at);
		if (s->healed && s->oracle.commits > s->healed_commits + 20 &&
		    h->at.key > s->pace * HEALED_MS)
			break;
		heap_remove(&s->heap, &h->at);
		s->now_ms = h->at.key;
		s->steps++;
		if (is_for_a_sleeper(s, h))
			continue;
		happen(s, h);
		happening_free(h);
		for (unsigned k = 0; k < s->bucket_count; k++)
			if (s->stores[k].reused_name && !s->oracle.why[0] && !s->rots)
				snprintf(s->oracle.why, sizeof(s->oracle.why), "a name was reused");
	}
	if (s->steps == STEPS_MAX)
		snprintf(s->oracle.why, sizeof(s->oracle.why),
			 "no progress after everything healed");
	if (s->oracle.corrupt && !s->rots && !s->oracle.why[0])
		snprintf(s->oracle.why, sizeof(s->oracle.why),
			 "an election called the journal damaged, and it is not");
	memcpy(r.why, s->oracle.why, sizeof(r.why));
	r.trace = s->trace;
	r.leads = s->oracle.leads;
	r.commits = s->oracle.commits;
	r.checks = s->oracle.checks;
	r.failed = s->oracle.failed;
	r.lost = s->oracle.lost;
	r.corrupt = s->oracle.corrupt;
	end(s);
	memory_free(s);
	return r;
}

/* 1-1000 or 7. */
static bool parse_seeds(const char *text, uint64_t *first, uint64_t *last)
{
	const char *dash = strchr(text, '-');
	struct slice low = { (const uint8_t *)text, dash ? (size_t)(dash - text) : strlen(text) };

	if (text_to_u64(low, UINT64_MAX - 1, first) != OK)
		return false;
	*last = *first;
	return !dash || text_to_u64(slice_from(dash + 1), UINT64_MAX - 1, last) == OK;
}

static bool check_seed(const char *program, uint64_t seed, unsigned n, bool verbose,
		       struct result *total)
{
	struct result r = run(seed, n, verbose), again = run(seed, n, false);

	if (!r.why[0] && r.trace != again.trace)
		snprintf(r.why, sizeof(r.why), "two runs of the seed differ");
	total->leads += r.leads;
	total->commits += r.commits;
	total->checks += r.checks;
	total->failed += r.failed;
	total->lost += r.lost;
	total->corrupt += r.corrupt;
	if (r.why[0])
		printf("# seed %" PRIu64 " with %u buckets: %s\n# replay: %s --seeds %" PRIu64
		       " --buckets %u --verbose\n",
		       seed, n, r.why, program, seed, n);
	return !r.why[0];
}

int main(int argc, char **argv)
{
	uint64_t first = 1, last = 100, buckets = 0;
	bool verbose = false, good = true;
	struct result total = { 0 };

	for (int i = 1; i < argc; i++) {
		bool more = i + 1 < argc;
		if (strcmp(argv[i], "--verbose") == 0) {
			verbose = true;
		} else if (more && strcmp(argv[i], "--seeds") == 0 &&
			   parse_seeds(argv[i + 1], &first, &last)) {
			i++;
		} else if (more && strcmp(argv[i], "--buckets") == 0 &&
			   text_to_u64(slice_from(argv[i + 1]), 5, &buckets) == OK) {
			i++;
		} else {
			fprintf(stderr, "usage: %s --seeds A-B [--buckets 1|3|5] [--verbose]\n",
				argv[0]);
			return 2;
		}
	}
	const char *names[] = { "1, 3 or 5", "1", "", "3", "", "5" };
	if (buckets == 2 || buckets == 4)
		return 2;
	unsigned failures = 0;
	for (uint64_t seed = first; seed <= last && failures < 10; seed++) {
		unsigned n = buckets ? (unsigned)buckets : (unsigned)(1 + 2 * (seed % 3));
		if (!check_seed(argv[0], seed, n, verbose, &total)) {
			good = false;
			failures++;
		}
	}
	printf("# %" PRIu64 " seeds: %" PRIu64 " elections won, %" PRIu64 " failed, %" PRIu64
	       " leaders lost, %" PRIu64 " commits, %" PRIu64 " checks, %" PRIu64
	       " elections stopped at corrupt objects\n",
	       last - first + 1, total.leads, total.failed, total.lost, total.commits, total.checks,
	       total.corrupt);
	printf("%sok 1 - the journal holds on %s buckets for seeds %" PRIu64 " to %" PRIu64
	       "\n1..1\n",
	       good ? "" : "not ", names[buckets], first, last);
	return good ? 0 : 1;
}
