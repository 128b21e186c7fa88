/* Clients that do anything at any time, drawn from a seed, against one group that is stored and
 * taken over now and then.  What must hold whatever they do:
 *
 *  - every call is answered once, unless it was forgotten, and none waits for ever;
 *  - all answers of a generation name one protocol;
 *  - in a stable generation every member has exactly what the leader of that generation gave it;
 *  - generations do not go back;
 *  - what is stored is the group.
 *
 * HANSE_TEST_SEED replays one seed. */
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "streams/catalog/catalog.h"
#include "streams/coordinator/group_store.h"
#include "streams/coordinator/group_testing.h"

enum { CLIENTS = 6, CALLS_MAX = 4000, STEPS = 2000, ID_BYTES = 32, GENERATIONS_MAX = 4000 };

enum call_state { CALL_WAITS, CALL_ANSWERED, CALL_FORGOTTEN };

struct client {
	char name[16];
	char instance_id[16]; /* "": dynamic */
	char member_id[ID_BYTES];
	int32_t generation;
	bool leads;
	int last_call; /* index + 1 */
	int metadata;
};

struct call {
	enum call_state state;
	struct client *client;
};

struct sim {
	struct lab lab;
	struct prng prng;
	struct client clients[CLIENTS];
	struct call calls[CALLS_MAX];
	int call_count;
	int id_count;
	char protocols[GENERATIONS_MAX][16];
	struct cell *cell;
	uint64_t stored_version;
	int stable_count; /* syncs that were answered */
};

static uint64_t draw(struct sim *sim, uint64_t bound)
{
	return prng_below(&sim->prng, bound);
}

/* --- answers -----------------------------------------------------------------------------------
 */

static void on_join_answer(struct sim *sim, struct client *c, const struct group_answer *answer)
{
	if (answer->error == KAFKA_NONE || answer->error == KAFKA_MEMBER_ID_REQUIRED) {
		assert_in_range(answer->member_id.size, 1, ID_BYTES - 1);
		memset(c->member_id, 0, ID_BYTES);
		memcpy(c->member_id, answer->member_id.data, answer->member_id.size);
	}
	if (answer->error == KAFKA_UNKNOWN_MEMBER_ID || answer->error == KAFKA_FENCED_INSTANCE_ID)
		c->member_id[0] = 0;
	if (answer->error)
		return;
	assert_in_range(answer->generation, 1, GENERATIONS_MAX - 1);
	c->generation = answer->generation;
	c->leads = slice_equal(answer->leader, answer->member_id);
	char *protocol = sim->protocols[answer->generation];
	if (!protocol[0])
		memcpy(protocol, answer->protocol.data, answer->protocol.size);
	assert_true(slice_equal(answer->protocol, slice_from(protocol)));
}

static void on_sim_answer(struct group_effects *effects, const struct group *g,
			  const struct group_answer *answer)
{
	struct sim *sim = CONTAINER(effects, struct sim, lab.effects);
	struct call *call = answer->call;

	(void)g;
	assert_int_equal(call->state, CALL_WAITS);
	call->state = CALL_ANSWERED;
	if (answer->is_join && call == &sim->calls[call->client->last_call - 1])
		on_join_answer(sim, call->client, answer);
	if (!answer->is_join && !answer->error)
		sim->stable_count++;
}

/* --- clients -----------------------------------------------------------------------------------
 */

static struct call *new_call(struct sim *sim, struct client *c)
{
	assert_in_range(sim->call_count, 0, CALLS_MAX - 1);
	struct call *call = &sim->calls[sim->call_count++];
	call->client = c;
	c->last_call = sim->call_count;
	return call;
}

static void do_join(struct sim *sim, struct client *c)
{
	char new_id[ID_BYTES], protocols[64];
	int order = (int)draw(sim, 3);

	snprintf(new_id, sizeof(new_id), "%s-%d", c->name, ++sim->id_count);
	snprintf(protocols, sizeof(protocols), "%s=%d,%s=%d%s", order ? "range" : "sticky",
		 c->metadata, order ? "sticky" : "range", c->metadata, order == 2 ? ",odd=1" : "");
	lab_join(&sim->lab, (struct joiner) {
				    .call = (const char *)new_call(sim, c),
				    .member_id = c->member_id,
				    .instance_id = c->instance_id[0] ? c->instance_id : NULL,
				    .new_id = new_id,
				    .protocols = protocols,
				    .version = (int)(3 + 2 * draw(sim, 4)),
				    .rebalance_ms = 20000,
			    });
}

/* Sometimes it forgets a member, sometimes it names one that is none. */
static void do_sync(struct sim *sim, struct client *c)
{
	struct group_assignment list[CLIENTS * 2 + 2];
	char texts[CLIENTS * 2 + 2][32];
	size_t count = 0;
	int nonce = (int)draw(sim, 1000000);

	LIST_EACH (&sim->lab.group.members, struct group_member, link, m) {
		if (!c->leads || draw(sim, 20) == 0 || count > CLIENTS * 2)
			continue;
		snprintf(texts[count], sizeof(texts[count]), "%d:%.2s:%d", c->generation,
			 (const char *)m->member_id.data, nonce);
		list[count].member_id = m->member_id;
		list[count].assignment = slice_from(texts[count]);
		count++;
	}
	if (c->leads)
		list[count++] = (struct group_assignment) { SLICE("ghost"), SLICE("boo") };
	struct group_event event = {
		.kind = GROUP_SYNC,
		.call = new_call(sim, c),
		.member_id = slice_from(c->member_id),
		.instance_id = null_or(c->instance_id[0] ? c->instance_id : NULL),
		.generation = c->generation,
		.sync = { .assignments = list, .assignment_count = count },
	};
	lab_step(&sim->lab, &event);
}

static void do_forget(struct sim *sim, struct client *c)
{
	struct call *call = c->last_call ? &sim->calls[c->last_call - 1] : NULL;

	if (!call || call->state != CALL_WAITS)
		return;
	call->state = CALL_FORGOTTEN;
	lab_forget(&sim->lab, (const char *)call);
}

static void do_something(struct sim *sim, struct client *c)
{
	const char *instance_id = c->instance_id[0] ? c->instance_id : NULL;
	bool waits = c->last_call && sim->calls[c->last_call - 1].state == CALL_WAITS;

	if (waits && draw(sim, 10) > 0) /* mostly patient */
		return;
	switch (draw(sim, 12)) {
	case 0:
	case 1:
	case 2:
	case 3:
		do_join(sim, c);
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		do_sync(sim, c);
		break;
	case 8:
	case 9:
		if (lab_beat_as(&sim->lab, c->member_id, instance_id, c->generation))
			do_join(sim, c);
		break;
	case 10:
		(void)lab_commit(&sim->lab, c->member_id, instance_id, c->generation);
		c->metadata += draw(sim, 8) == 0;
		break;
	default:
		do_forget(sim, c);
		if (draw(sim, 2) == 0)
			c->member_id[0] = 0; /* it starts anew */
		else if (draw(sim, 3) == 0)
			(void)lab_leave(&sim->lab, c->member_id, instance_id);
	}
}

/* --- invariants --------------------------------------------------------------------------------
 */

/* "generation:client:nonce" with one nonce for all, or nothing. */
static void check_assignments(const struct sim *sim)
{
	const struct group *g = &sim->lab.group;
	char text[64] = "", want[64];
	int generation, nonce = -1, this_nonce;
	char client[3];

	LIST_EACH (&g->members, struct group_member, link, m) {
		if (m->assignment.size == 0)
			continue;
		snprintf(text, sizeof(text), "%.*s", SLICE_ARG(m->assignment));
		assert_int_equal(sscanf(text, "%d:%2[^:]:%d", &generation, client, &this_nonce), 3);
		if (nonce < 0)
			nonce = this_nonce;
		snprintf(want, sizeof(want), "%d:%.2s:%d", g->generation,
			 (const char *)m->member_id.data, nonce);
		assert_string_equal(text, want);
	}
}

static size_t count_waiting(const struct sim *sim)
{
	size_t count = 0;

	for (int i = 0; i < sim->call_count; i++)
		count += sim->calls[i].state == CALL_WAITS;
	return count;
}

static void check(struct sim *sim)
{
	const struct group *g = &sim->lab.group;
	size_t parked = 0, members = 0;

	LIST_EACH (&g->members, struct group_member, link, m) {
		parked += (m->join_call != NULL) + (size_t)(m->sync_call != NULL);
		members++;
		assert_ptr_equal(group_find(g, m->member_id), m);
		assert_true(!m->join_call || g->state == GROUP_PREPARING);
		assert_true(!m->sync_call || g->state == GROUP_COMPLETING);
		/* somebody will notice if it never comes back */
		assert_true(m->deadline.index || m->join_call || m->sync_call);
	}
	assert_int_equal(members, g->member_count);
	assert_int_equal(parked, count_waiting(sim));
	if (g->state == GROUP_PREPARING)
		assert_true(g->join_deadline_ms > 0);
	if (g->state == GROUP_COMPLETING)
		assert_true(g->sync_deadline_ms > 0);
	if (g->state == GROUP_STABLE)
		check_assignments(sim);
}

/* --- storing -----------------------------------------------------------------------------------
 */

static enum err write_group(struct cell *cell, void *argument)
{
	struct sim *sim = argument;

	return group_row_write(cell, &sim->lab.group, sim->stored_version, 1);
}

static void store(struct sim *sim)
{
	if (sim->lab.group.version == sim->stored_version)
		return;
	assert_int_equal(cell_run(sim->cell, write_group, sim), OK);
	sim->stored_version = sim->lab.group.version;
}

static void compare_member(const struct group_member *old, const struct group_member *new)
{
	assert_non_null(new);
	assert_true(slice_equal(old->instance_id, new->instance_id));
	assert_int_equal(old->instance_id.data != NULL, new->instance_id.data != NULL);
	assert_true(slice_equal(old->assignment, new->assignment));
	assert_int_equal(old->session_timeout_ms, new->session_timeout_ms);
	assert_int_equal(old->rebalance_timeout_ms, new->rebalance_timeout_ms);
}

static void compare(const struct group *old, const struct group *new)
{
	size_t stored = 0;

	LIST_EACH (&old->members, struct group_member, link, m) {
		if (m->is_new)
			continue;
		stored++;
		compare_member(m, group_find(new, m->member_id));
	}
	assert_int_equal(new->member_count, stored);
	assert_int_equal(new->generation, old->generation);
	assert_true(slice_equal(new->protocol_type, old->protocol_type));
	if (stored == 0)
		return;
	assert_true(slice_equal(new->protocol, old->protocol));
	if (!old->leader->is_new)
		assert_true(slice_equal(new->leader->member_id, old->leader->member_id));
}

static void begin_again(struct sim *sim, const struct group_row *row, struct group *ret)
{
	struct group_config config = sim->lab.group.config;

	group_init(ret, SLICE("g"), &config);
	if (row)
		assert_int_equal(group_row_load(sim->cell, row, sim->lab.now_ms, ret), OK);
}

/* Another node leads from here on: calls end, what was stored goes on. */
static void take_over(struct sim *sim)
{
	struct group copy;
	struct group_row row;
	struct arena a;

	store(sim);
	for (int i = 0; i < sim->call_count; i++)
		if (sim->calls[i].state == CALL_WAITS)
			sim->calls[i].state = CALL_FORGOTTEN;
	arena_init(&a);
	enum err err = group_row_find(&a, sim->cell, SLICE("g"), &row);
	if (!err) {
		begin_again(sim, &row, &copy);
		compare(&sim->lab.group, &copy);
		group_done(&copy);
	}
	group_done(&sim->lab.group);
	begin_again(sim, err ? NULL : &row, &sim->lab.group);
	sim->stored_version = 0;
	arena_done(&a);
}

/* --- a run -------------------------------------------------------------------------------------
 */

static void open_sim(struct sim *sim, uint64_t seed)
{
	char why[CELL_WHY_BYTES];

	memset(sim, 0, sizeof(*sim));
	sim->prng.state = seed;
	lab_open_with(&sim->lab, draw(sim, 2) * 3000, CLIENTS - draw(sim, 2));
	sim->lab.effects.answer = on_sim_answer;
	sim->cell = cell_new("streams");
	assert_int_equal(cell_upgrade_schema(sim->cell, catalog_schema, catalog_schema_count, why),
			 OK);
	for (int i = 0; i < CLIENTS; i++) {
		struct client *c = &sim->clients[i];
		snprintf(c->name, sizeof(c->name), "c%d", i);
		if (draw(sim, 3) == 0)
			snprintf(c->instance_id, sizeof(c->instance_id), "i%d", i);
	}
}

static void run_seed(uint64_t seed)
{
	static struct sim sim;
	int32_t generation = 0;

	open_sim(&sim, seed);
	for (int i = 0; i < STEPS && sim.call_count < CALLS_MAX - 2; i++) {
		do_something(&sim, &sim.clients[draw(&sim, CLIENTS)]);
		check(&sim);
		assert_true(sim.lab.group.generation >= generation);
		generation = sim.lab.group.generation;
		lab_wait(&sim.lab, draw(&sim, 400) * (draw(&sim, 100) == 0 ? 50 : 1));
		check(&sim);
		if (draw(&sim, 5) == 0)
			store(&sim);
		if (draw(&sim, 300) == 0) {
			take_over(&sim);
			check(&sim);
			assert_true(sim.lab.group.generation >= generation);
		}
	}
	assert_true(sim.stable_count > 0);

	/* Everybody falls silent. */
	lab_wait(&sim.lab, 3600 * 1000);
	assert_int_equal(count_waiting(&sim), 0);
	assert_true(group_is_idle(&sim.lab.group));
	assert_int_equal(group_deadline_ms(&sim.lab.group), UINT64_MAX);
	lab_close(&sim.lab);
	cell_free(sim.cell);
}

static void test_whatever_clients_do_the_group_keeps_its_word(void **state)
{
	const char *seed = getenv("HANSE_TEST_SEED");

	(void)state;
	for (uint64_t i = 1; i <= 60 && !seed; i++) {
		print_message("HANSE_TEST_SEED=%llu\n", (unsigned long long)i);
		run_seed(i);
	}
	if (seed)
		run_seed(strtoull(seed, NULL, 10));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whatever_clients_do_the_group_keeps_its_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
