/* Random histories of all that begins and ends data files, at once: agents that put, commit late,
 * twice or never, and begin new lives; compaction; records and topics that are deleted, and the
 * sweep; the scan for orphans, whose lists are old when they come; janitors that look into an old
 * replica, delete in any order, and say so late, twice or never; and control, which dies at any
 * record, before it is durable or before it was answered, and may come back without a memory.
 *
 * What holds all the time: no object is deleted that a row reads, in what control knows and in what
 * is durable; what is committed is in the bucket; the catalog agrees with itself; each partition is
 * whole from its log start to its end, and no acknowledged record is behind that.  And when all has
 * come to rest every object is read by a row, and every row has its object.
 * HANSE_TEST_SEED=N runs one. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/endian.h"
#include "base/memory.h"
#include "base/random.h"
#include "streams/catalog/check.h"
#include "streams/coordinator/books_testing.h"
#include "streams/coordinator/compaction.h"
#include "streams/coordinator/compaction_jobs.h"
#include "streams/coordinator/counter.h"
#include "streams/coordinator/forget_files.h"
#include "streams/coordinator/orphans.h"
#include "streams/coordinator/retention.h"
#include "streams/coordinator/sweep.h"
#include "streams/coordinator/unsure.h"

enum {
	SEEDS = 8,
	STEPS = 1200,
	LOOK_STEPS = 60, /* between looks at everything */
	AGENTS = 3,
	TOPICS = 2,
	PARTITIONS = 3,
	OBJECTS_MAX = 2000,
	RECENT = 8,
	PAGE = 40,
	LATE_MAX = 4000,
	GRACE_MS = 5000,
	STEP_MS = 500,
};
#define GRACE_TEXT "5000"

/* A data file: in the bucket, or on its way there. */
struct object {
	int64_t incarnation, sequence;
	struct peer_commit_file_request *request; /* NULL: of a job */
	bool is_stored, was_stored;
	bool is_decided; /* its agent knows, or does not want to know any more */
	int copies;	 /* of its commit that are on their way */
};

struct agent {
	int64_t incarnation, next_sequence;
	int64_t told_low; /* in the memory of control */
	/* its job of compaction */
	const struct compaction_plan *plan; /* NULL: none */
	struct peer_job_finish_request request;
	size_t output; /* its object */
};

/* A message that comes when it comes. */
enum late_kind { LATE_PAGE, LATE_DELETE, LATE_FORGET };
struct late {
	enum late_kind kind;
	size_t object;
};

struct topic {
	struct uuid id;
	char name[16];
	int64_t acknowledged_to[PARTITIONS];
};

struct world {
	struct books books; /* control */
	struct prng prng;
	struct cell *durable, *replica;
	struct buf behind; /* durable records that the replica has not seen: u32 size, record */
	struct compaction *compaction;
	struct agent agents[AGENTS];
	struct topic topics[TOPICS];
	struct object objects[OBJECTS_MAX];
	size_t object_count;
	struct late late[LATE_MAX];
	size_t late_count;
	int made_topics;
	uint64_t loop_ms;
	int crashes, swapped, deleted, orphans;
};

static int64_t below(struct world *m, uint64_t n)
{
	return (int64_t)prng_below(&m->prng, n);
}

/* --- control, which dies -------------------------------------------------------------------------
 */

static struct cell *copy_of(struct cell *cell)
{
	char why[CELL_WHY_BYTES];
	struct cell *copy = cell_new("streams");
	struct cell_image image = cell_image(cell, NULL);

	assert_int_equal(cell_load(copy, image.pages, image.state, why), OK);
	cell_image_done(&image);
	return copy;
}

/* What was done since the last time becomes one record, and that is durable. */
static void seal(struct world *m)
{
	char why[CELL_WHY_BYTES];
	struct buf record;

	if (!cell_has_changes(m->books.cell))
		return;
	buf_init(&record);
	cell_seal(m->books.cell, (uint64_t)m->books.now_ms, &record);
	assert_int_equal(cell_apply(m->durable, buf_slice(&record), why), OK);
	buf_add_u32(&m->behind, (uint32_t)record.size);
	buf_add_slice(&m->behind, buf_slice(&record));
	buf_done(&record);
}

static enum err run_cold(struct cell *cell, void *argument)
{
	return unsure_begin(cell, *(int64_t *)argument);
}

/* Another control leads: it has what is durable, and nobody has a job. */
static void crash(struct world *m)
{
	m->crashes++;
	cell_free(m->books.cell);
	m->books.cell = copy_of(m->durable);
	compaction_free(m->compaction);
	m->compaction = compaction_new();
	for (int i = 0; i < AGENTS; i++)
		m->agents[i].told_low = 0;
	if (below(m, 4) == 0) {
		assert_int_equal(cell_run(m->books.cell, run_cold, &m->books.now_ms), OK);
		seal(m);
	}
}

/* After a command.  True: it is durable, and who asked heard of it. */
static bool is_answered(struct world *m)
{
	switch (below(m, 100)) {
	case 0:
		crash(m);
		return false;
	case 1:
		seal(m);
		crash(m);
		return false;
	case 2:
	case 3:
	case 4:
	case 5: /* in one record with the next command, and its answer is lost */
		return false;
	}
	seal(m);
	return true;
}

static void follow(struct world *m, bool all)
{
	char why[CELL_WHY_BYTES];

	while (m->behind.size > 0 && (all || below(m, 8) > 0)) {
		uint32_t size = get_u32(m->behind.data);
		struct slice record = { m->behind.data + 4, size };
		assert_int_equal(cell_apply(m->replica, record, why), OK);
		buf_drop_front(&m->behind, 4 + size);
	}
}

/* --- objects -------------------------------------------------------------------------------------
 */

static size_t add_object(struct world *m, int64_t incarnation, int64_t sequence)
{
	assert_true(m->object_count < OBJECTS_MAX);
	m->objects[m->object_count] =
		(struct object) { .incarnation = incarnation, .sequence = sequence };
	return m->object_count++;
}

static size_t find_object(const struct world *m, int64_t incarnation, int64_t sequence)
{
	for (size_t i = m->object_count; i-- > 0;)
		if (m->objects[i].incarnation == incarnation && m->objects[i].sequence == sequence)
			return i;
	fail_msg("nobody wrote %lld-%lld", (long long)incarnation, (long long)sequence);
	return 0;
}

static void put(struct object *o)
{
	assert_false(o->was_stored); /* a name is used once */
	o->is_stored = o->was_stored = true;
}

static bool is_read(struct cell *cell, const struct object *o)
{
	return check_object(cell, o->incarnation, o->sequence) == CHECK_LIVE;
}

static void say_later(struct world *m, enum late_kind kind, size_t object)
{
	if (m->late_count < LATE_MAX)
		m->late[m->late_count++] = (struct late) { kind, object };
}

/* --- agents --------------------------------------------------------------------------------------
 */

static struct agent *any_agent(struct world *m)
{
	return &m->agents[below(m, AGENTS)];
}

/* Mostly one of the last. */
static struct object *any_object(struct world *m)
{
	size_t last = below(m, 5) ? RECENT : m->object_count;

	if (m->object_count == 0)
		return NULL;
	if (last > m->object_count)
		last = m->object_count;
	return &m->objects[m->object_count - 1 - (size_t)below(m, last)];
}

/* `goes_on`: with the life it has.  It asks until it hears. */
static void hello(struct world *m, struct agent *a, bool goes_on)
{
	char name[2] = { (char)('a' + (a - m->agents)), '\0' };
	int64_t before = a->incarnation;

	do
		(void)books_hello_as(&m->books, name, goes_on ? before : 0);
	while (!is_answered(m));
	a->incarnation = m->books.incarnation;
	if (a->incarnation == before)
		return;
	for (size_t i = 0; i < m->object_count; i++)
		m->objects[i].is_decided |= m->objects[i].incarnation == before;
	a->next_sequence = 1;
	a->told_low = 0;
	a->plan = NULL;
}

static void write_file(struct world *m, struct agent *a)
{
	struct batch batches[TOPICS * PARTITIONS];
	size_t count = 0;

	for (int i = 0; i < TOPICS; i++)
		for (int32_t k = 0; k < PARTITIONS; k++)
			if (below(m, 3) > 0)
				batches[count++] = (struct batch) {
					.topic = m->topics[i].id,
					.partition = k,
					.records = 1 + (int32_t)below(m, 4),
					.timestamp = 7,
				};
	if (count == 0 || m->object_count == OBJECTS_MAX)
		return;
	m->books.incarnation = a->incarnation;
	m->books.sequence = a->next_sequence++;
	size_t at = add_object(m, a->incarnation, m->books.sequence);
	m->objects[at].request = books_request(&m->books, batches, count);
	m->objects[at].copies = 1;
	put(&m->objects[at]);
}

static void note_acknowledged(struct world *m, const struct peer_commit_file_request *request,
			      const struct peer_commit_file_response *response)
{
	for (size_t i = 0; i < response->runs_count; i++) {
		const struct peer_commit_file_response_batch *batch = response->runs[i].batches;
		for (int k = 0; k < TOPICS && batch->error == KAFKA_NONE; k++) {
			int64_t *to = &m->topics[k].acknowledged_to[request->runs[i].partition];
			if (uuid_equal(m->topics[k].id, request->runs[i].topic_id) &&
			    *to <= batch->base_offset)
				*to = batch->base_offset + 1;
		}
	}
}

/* A commit arrives at last. */
static void commit(struct world *m, struct object *o)
{
	struct peer_commit_file_response response;

	if (!o || o->copies == 0 || (o->is_decided && below(m, 8) > 0))
		return; /* what nobody waits for any more takes its time */
	o->copies--;
	enum err err = books_commit(&m->books, o->request, &response);
	if (!err && is_read(m->books.cell, o))
		assert_true(o->is_stored);
	if (!is_answered(m)) {
		o->copies += !o->is_decided; /* it asks again */
		return;
	}
	if (!err && !o->is_decided)
		note_acknowledged(m, o->request, &response);
	o->is_decided = true;
}

static void tell_low(struct world *m, struct agent *a)
{
	for (size_t i = 0; i < m->object_count; i++) {
		const struct object *o = &m->objects[i];
		if (o->incarnation != a->incarnation)
			continue;
		if (!o->is_decided)
			return;
		a->told_low = o->sequence + 1;
	}
}

/* --- compaction ----------------------------------------------------------------------------------
 */

static enum err grant(struct cell *cell, void *incarnation)
{
	return counter_next_incarnation(cell, incarnation);
}

/* One run takes the place of each group. */
static void plan_output(struct world *m, struct agent *a)
{
	int64_t position = DATA_FILE_HEADER_BYTES;

	a->request.groups =
		arena_take_array(&m->books.arena, a->plan->group_count, sizeof(*a->request.groups));
	a->request.groups_count = a->plan->group_count;
	for (size_t i = 0; i < a->plan->group_count; i++) {
		const struct compaction_group *group = &a->plan->groups[i];
		struct peer_job_finish_request_run *run = arena_take(&m->books.arena, sizeof(*run));
		*run = (struct peer_job_finish_request_run) {
			.base_offset = group->base_offset,
			.last_offset = group->last_offset,
			.position = position,
			.max_timestamp = 7,
		};
		for (size_t k = 0; k < group->input_count; k++) {
			const struct compaction_input *input = &group->inputs[k];
			const struct object *from =
				&m->objects[find_object(m, input->incarnation, input->sequence)];
			assert_true(from->is_stored);
			run->size += input->size;
		}
		position += run->size;
		a->request.groups[i] = (struct peer_job_finish_request_group) {
			.number = (int32_t)i, .runs = run, .runs_count = 1
		};
	}
	a->request.size = position + 100;
}

static void take_job(struct world *m, struct agent *a)
{
	int64_t incarnation;
	uint64_t number;

	if (a->plan || m->object_count == OBJECTS_MAX)
		return;
	number = compaction_find_job(m->compaction, m->books.cell, a->incarnation, m->books.now_ms,
				     m->loop_ms);
	if (number == 0)
		return;
	assert_int_equal(cell_run(m->books.cell, grant, &incarnation), OK);
	int crashes = m->crashes;
	bool is_granted = is_answered(m);
	if (m->crashes > crashes)
		return;
	a->plan = compaction_give_job(m->compaction, number, is_granted ? incarnation : 0);
	if (!is_granted)
		a->plan = NULL;
	if (!a->plan)
		return;
	a->request = (struct peer_job_finish_request) { .incarnation = incarnation };
	plan_output(m, a);
	a->output = add_object(m, incarnation, COMPACTION_SEQUENCE);
	m->objects[a->output].is_decided = true;
}

static void finish_job(struct world *m, struct agent *a)
{
	if (!a->plan)
		return;
	struct object *o = &m->objects[a->output];
	if (!o->was_stored) {
		put(o);
		return;
	}
	struct compaction_swap swap = {
		.request = &a->request,
		.now_ms = m->books.now_ms,
		.plan = compaction_job(m->compaction, a->request.incarnation, a->incarnation,
				       m->loop_ms, below(m, 2)),
	};
	enum err err = cell_run(m->books.cell, compaction_swap_run, &swap);
	assert_true(err == OK || err == ERR_DENIED);
	if (!err && is_read(m->books.cell, o))
		assert_true(o->is_stored);
	m->swapped += swap.swapped;
	if (!is_answered(m))
		return; /* it asks again */
	if (!err)
		compaction_end_job(m->compaction, a->request.incarnation);
	a->plan = NULL;
}

/* --- records that go -----------------------------------------------------------------------------
 */

static int64_t partition_number(struct cell *cell, const struct topic *topic, int number,
				const char *column)
{
	char sql[200];

	snprintf(sql, sizeof(sql),
		 "SELECT partition.%s FROM partition JOIN topic ON topic.id = partition.topic"
		 " WHERE topic.name = '%s' AND number = %d",
		 column, topic->name, number);
	sqlite3_stmt *st = cell_statement(cell, sql);
	assert_true(cell_next(cell, st));
	int64_t value = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return value;
}

struct move {
	int64_t partition, offset;
};

static enum err run_move(struct cell *cell, void *argument)
{
	const struct move *move = argument;

	return retention_move_log_start(cell, move->partition, move->offset);
}

/* As retention and DeleteRecords do it. */
static void delete_records(struct world *m)
{
	struct topic *topic = &m->topics[below(m, TOPICS)];
	int number = (int)below(m, PARTITIONS);
	struct cell *cell = m->books.cell;
	int64_t start = partition_number(cell, topic, number, "log_start_offset");
	int64_t end = partition_number(cell, topic, number, "high_watermark");
	struct move move = { partition_number(cell, topic, number, "id"),
			     start + below(m, (uint64_t)(end - start) + 1) };

	assert_int_equal(cell_run(cell, run_move, &move), OK);
	(void)is_answered(m);
}

static void make_topic(struct world *m, int number)
{
	struct topic *topic = &m->topics[number];

	*topic = (struct topic) { 0 };
	snprintf(topic->name, sizeof(topic->name), "t%d", m->made_topics++);
	topic->id = books_topic(&m->books, topic->name, PARTITIONS);
	seal(m);
}

static void delete_topic(struct world *m)
{
	int number = (int)below(m, TOPICS);
	char sql[100];

	snprintf(sql, sizeof(sql), "UPDATE topic SET deleted_ms = 5 WHERE name = '%s'",
		 m->topics[number].name);
	books_do(&m->books, sql);
	seal(m);
	make_topic(m, number);
}

static bool sweep(struct world *m)
{
	struct sweep_step step = { .now_ms = m->books.now_ms };

	assert_int_equal(cell_run(m->books.cell, sweep_run, &step), OK);
	(void)is_answered(m);
	return step.is_more;
}

/* --- objects that go -----------------------------------------------------------------------------
 */

/* An agent lists, and leaves out what it knows. */
static void list(struct world *m, bool all)
{
	size_t from = all || m->object_count < PAGE ? 0 : m->object_count - PAGE;

	for (size_t i = from; i < m->object_count; i++) {
		const struct object *o = &m->objects[i];
		if (o->is_stored && (all || below(m, 2) == 0) &&
		    !catalog_has_file(m->replica, o->incarnation, o->sequence))
			say_later(m, LATE_PAGE, i);
	}
}

static int64_t low_sequence(void *context, int64_t incarnation)
{
	const struct world *m = context;

	for (int i = 0; i < AGENTS; i++)
		if (m->agents[i].incarnation == incarnation)
			return m->agents[i].told_low;
	return 0;
}

static bool is_leased(void *context, int64_t incarnation)
{
	const struct world *m = context;

	return compaction_has_job(m->compaction, incarnation, m->loop_ms);
}

static void judge(struct world *m, size_t object)
{
	const struct object *o = &m->objects[object];
	struct peer_orphans_request_file file = { o->incarnation, o->sequence, 100 };
	struct peer_orphans_request request = { .files = &file, .files_count = 1 };
	struct orphans_page page = {
		.request = &request,
		.lives = { low_sequence, is_leased, m },
		.now_ms = m->books.now_ms,
	};

	assert_int_equal(cell_run(m->books.cell, orphans_run, &page), OK);
	m->orphans += page.counts[ORPHAN_FOR_GOOD] > 0;
	(void)is_answered(m);
}

/* A janitor looks into what it knows. */
static void look_for_dead(struct world *m)
{
	struct catalog_file *files;
	struct arena a;
	size_t count;

	arena_init(&a);
	assert_int_equal(catalog_dead_files(&a, m->replica, 0, 0, m->books.now_ms - GRACE_MS, 100,
					    &files, &count),
			 OK);
	for (size_t i = 0; i < count; i++)
		say_later(m, LATE_DELETE, find_object(m, files[i].incarnation, files[i].sequence));
	arena_done(&a);
}

static void delete_object(struct world *m, size_t object)
{
	struct object *o = &m->objects[object];

	assert_false(is_read(m->books.cell, o));
	assert_false(is_read(m->durable, o));
	m->deleted += o->is_stored;
	o->is_stored = false;
	if (below(m, 10) > 0)
		say_later(m, LATE_FORGET, object);
}

static void forget(struct world *m, size_t object)
{
	const struct object *o = &m->objects[object];
	struct peer_forget_files_request_file file = { o->incarnation, o->sequence };
	struct forget_files forget = { .request = { .files = &file, .files_count = 1 },
				       .now_ms = m->books.now_ms };

	assert_int_equal(cell_run(m->books.cell, forget_files_run, &forget), OK);
	(void)is_answered(m);
}

/* Any of what is on its way; sometimes it comes once more. */
static void arrive(struct world *m)
{
	if (m->late_count == 0)
		return;
	size_t last = below(m, 2) && m->late_count > RECENT ? RECENT : m->late_count;
	size_t at = m->late_count - 1 - (size_t)below(m, last);
	struct late late = m->late[at];

	if (below(m, 8) > 0)
		m->late[at] = m->late[--m->late_count];
	if (late.kind == LATE_PAGE)
		judge(m, late.object);
	else if (late.kind == LATE_DELETE)
		delete_object(m, late.object);
	else
		forget(m, late.object);
}

/* --- what has to hold ----------------------------------------------------------------------------
 */

static void check_partition(struct world *m, struct cell *cell, const struct topic *topic,
			    int number)
{
	int64_t next = partition_number(cell, topic, number, "log_start_offset");
	sqlite3_stmt *st = cell_statement(cell, "SELECT base_offset, last_offset FROM run"
						" WHERE partition = ?1 ORDER BY last_offset");

	cell_bind_int(st, 1, partition_number(cell, topic, number, "id"));
	while (cell_next(cell, st)) {
		if (sqlite3_column_int64(st, 1) < next)
			continue;
		assert_true(sqlite3_column_int64(st, 0) <= next);
		next = sqlite3_column_int64(st, 1) + 1;
	}
	sqlite3_reset(st);
	assert_int_equal(next, partition_number(cell, topic, number, "high_watermark"));
	assert_true(next >= topic->acknowledged_to[number]);
	(void)m;
}

static void check(struct world *m, struct cell *cell)
{
	struct check_flaws flaws;
	struct arena a;

	arena_init(&a);
	assert_int_equal(check_catalog(&a, cell, &flaws), OK);
	for (size_t i = 0; i < flaws.text_count; i++)
		print_error("%.*s\n", SLICE_ARG(flaws.texts[i]));
	assert_int_equal(flaws.count, 0);
	arena_done(&a);
	for (int i = 0; i < TOPICS; i++)
		for (int k = 0; k < PARTITIONS; k++)
			check_partition(m, cell, &m->topics[i], k);
	for (size_t i = 0; i < m->object_count; i++)
		assert_true(m->objects[i].is_stored || !is_read(cell, &m->objects[i]));
}

/* --- what happens --------------------------------------------------------------------------------
 */

static void step(struct world *m)
{
	int64_t what = below(m, 100);

	m->books.now_ms += below(m, STEP_MS);
	arrive(m);
	if (what < 22)
		write_file(m, any_agent(m));
	else if (what < 48)
		commit(m, any_object(m));
	else if (what < 51) {
		struct object *o = any_object(m);
		if (o && o->request && !o->is_decided)
			o->copies++; /* on another connection */
	} else if (what < 55) {
		struct object *o = any_object(m);
		if (o)
			o->is_decided = true;
	} else if (what < 59)
		tell_low(m, any_agent(m));
	else if (what < 61)
		hello(m, any_agent(m), below(m, 5) > 0);
	else if (what < 66)
		take_job(m, any_agent(m));
	else if (what < 72)
		finish_job(m, any_agent(m));
	else if (what < 75)
		delete_records(m);
	else if (what < 79)
		(void)sweep(m);
	else if (what < 80 && below(m, 3) == 0)
		delete_topic(m);
	else if (what < 82)
		list(m, false);
	else if (what < 84)
		look_for_dead(m);
	else if (what < 88)
		follow(m, false);
	else if (what < 89 && below(m, 4) == 0)
		m->loop_ms += COMPACTION_LEASE_MS; /* somebody stood still */
	else
		arrive(m);
}

static enum err run_settle(struct cell *cell, void *argument)
{
	return unsure_settle_run(cell, argument);
}

/* Everybody is alive again, everything arrives, and all time that is to pass passes. */
static void come_to_rest(struct world *m)
{
	for (int i = 0; i < AGENTS; i++)
		hello(m, &m->agents[i], false);
	m->loop_ms += COMPACTION_LEASE_MS;
	for (size_t i = 0; i < m->object_count; i++)
		while (m->objects[i].copies > 0)
			commit(m, &m->objects[i]);
	while (sweep(m))
		continue;
	assert_int_equal(cell_run(m->books.cell, run_settle, NULL), OK);
	seal(m);
	for (int round = 0; round < 8; round++) {
		follow(m, true);
		list(m, true);
		look_for_dead(m);
		while (m->late_count > 0)
			arrive(m);
		assert_int_equal(cell_run(m->books.cell, run_settle, NULL), OK);
		seal(m);
		m->books.now_ms += 2 * GRACE_MS;
	}
	check(m, m->books.cell);
	check(m, m->durable);
	for (size_t i = 0; i < m->object_count; i++)
		assert_int_equal(m->objects[i].is_stored, is_read(m->durable, &m->objects[i]));
	assert_int_equal(books_number(&m->books, "SELECT count(*) FROM file WHERE run_count = 0"),
			 0);
	follow(m, true);
	assert_true(hash128_equal(cell_hash(m->durable), cell_hash(m->replica)));
}

static void run_seed(uint64_t seed, struct world *m)
{
	memset(m, 0, sizeof(*m));
	m->prng = (struct prng) { seed };
	m->loop_ms = 1;
	print_message("seed %llu: ", (unsigned long long)seed);
	books_open(&m->books);
	buf_init(&m->behind);
	struct buf first;
	buf_init(&first);
	cell_seal(m->books.cell, 1, &first);
	buf_done(&first);
	m->durable = copy_of(m->books.cell);
	m->replica = copy_of(m->books.cell);
	m->compaction = compaction_new();
	for (int i = 0; i < TOPICS; i++)
		make_topic(m, i);
	for (int i = 0; i < AGENTS; i++)
		hello(m, &m->agents[i], false);
	for (int i = 0; i < STEPS; i++) {
		step(m);
		if (i % LOOK_STEPS == 0) {
			check(m, m->books.cell);
			check(m, m->durable);
		}
	}
	come_to_rest(m);
	print_message("%zu objects, %d deleted, %d orphans, %d groups swapped, %d crashes\n",
		      m->object_count, m->deleted, m->orphans, m->swapped, m->crashes);
	compaction_free(m->compaction);
	cell_free(m->replica);
	cell_free(m->durable);
	buf_done(&m->behind);
	books_close(&m->books);
}

/* F4, Z3, Z4, G2, G4, C5 */
static void test_no_object_is_lost_or_left_whatever_dies_and_comes_late(void **state)
{
	const char *only = getenv("HANSE_TEST_SEED");
	struct world *m = NEW(struct world);
	int deleted = 0, swapped = 0, orphans = 0, crashes = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS && !only; seed++) {
		run_seed(seed, m);
		deleted += m->deleted;
		swapped += m->swapped;
		orphans += m->orphans;
		crashes += m->crashes;
	}
	if (only)
		run_seed(strtoull(only, NULL, 10), m);
	else
		assert_true(deleted > 100 && swapped > 50 && orphans > 50 && crashes > 100);
	memory_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_object_is_lost_or_left_whatever_dies_and_comes_late),
	};

	setenv("HANSE_TEST_COMPACTION_AGE_MS", "1000", 1);
	setenv("HANSE_TEST_DATA_GRACE_MS", GRACE_TEXT, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
