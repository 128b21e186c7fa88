#include "streams/coordinator/share_records.h"

#include "wire/kafka/errors.h"

enum { SHARE_PARTITIONS_MAX = 10000 /* of one request */ };

/* --- rows --------------------------------------------------------------------------------------
 */

enum err share_write(struct cell *cell, int64_t group, int64_t topic, int32_t partition,
		     const struct share_partition *state)
{
	sqlite3_stmt *st = cell_statement(
		cell, "INSERT INTO share_partition (consumer_group, topic, partition, state)"
		      " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (consumer_group, topic, partition)"
		      " DO UPDATE SET state = ?4");
	struct buf bytes;

	buf_init(&bytes);
	share_partition_encode(state, &bytes);
	cell_bind_int(st, 1, group);
	cell_bind_int(st, 2, topic);
	cell_bind_int(st, 3, partition);
	cell_bind_blob(st, 4, buf_slice(&bytes));
	enum err err = cell_execute(cell, st);
	buf_done(&bytes);
	return err;
}

enum err share_places(struct arena *a, struct cell *cell, int64_t group, struct share_begun **ret,
		      size_t *ret_count)
{
	size_t max = 0, count = 0;
	sqlite3_stmt *st =
		cell_statement(cell,
			       "SELECT count(*) FROM share_partition WHERE consumer_group = ?1");

	cell_bind_int(st, 1, group);
	if (cell_next(cell, st))
		max = (size_t)sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	struct share_begun *places = arena_take_array(a, max + 1, sizeof(*places));
	st = cell_statement(cell, "SELECT topic, partition FROM share_partition"
				  " WHERE consumer_group = ?1 ORDER BY topic, partition");
	cell_bind_int(st, 1, group);
	while (count < max && cell_next(cell, st)) {
		places[count].topic = sqlite3_column_int64(st, 0);
		places[count++].partition = sqlite3_column_int(st, 1);
	}
	sqlite3_reset(st);
	*ret = places;
	*ret_count = count;
	return OK;
}

/* --- one partition -----------------------------------------------------------------------------
 */

struct share {
	struct share_records *run;
	struct arena *scratch; /* of one partition */
	struct cell *cell;
	int64_t group;
	struct share_rules rules;
	struct share_acquire acquire;
};

/* Where nobody has begun yet. */
static int64_t find_begin(const struct share *s, const struct catalog_partition *partition,
			  const struct peer_share_request_partition *asked)
{
	switch (s->rules.begin) {
	case SHARE_BEGIN_EARLIEST:
		return partition->log_start_offset;
	case SHARE_BEGIN_LATEST:
		return partition->high_watermark;
	case SHARE_BEGIN_BY_AGE:
		break;
	}
	if (asked->begin < partition->log_start_offset)
		return partition->log_start_offset;
	return asked->begin < partition->high_watermark ? asked->begin : partition->high_watermark;
}

static enum err load(const struct share *s, const struct catalog_partition *partition,
		     const struct peer_share_request_partition *asked, struct share_partition *ret,
		     bool *ret_has_changed)
{
	enum err err = catalog_share_partition(s->scratch, s->cell, s->group, partition->topic,
					       partition->partition, ret);

	*ret_has_changed = err == ERR_NOT_FOUND;
	if (err == ERR_NOT_FOUND)
		share_partition_init(ret, s->scratch, find_begin(s, partition, asked));
	else if (err)
		return err;
	*ret_has_changed |= share_partition_expire(ret, s->run->now_ms);
	*ret_has_changed |= share_partition_move_start(ret, partition->log_start_offset);
	return OK;
}

/* All of them, or none. */
static void take_answers(const struct share *s, const struct peer_share_request_partition *asked,
			 struct share_partition *state, struct peer_share_response_partition *ret)
{
	struct share_partition before = *state;

	before.capacity = before.count + 1;
	before.ranges = arena_take_array(s->scratch, before.capacity, sizeof(*before.ranges));
	if (before.count)
		memcpy(before.ranges, state->ranges, before.count * sizeof(*before.ranges));
	for (size_t i = 0; i < asked->answers_count; i++) {
		int16_t error =
			share_partition_acknowledge(state, s->acquire.member, s->run->now_ms,
						    s->rules.lock_ms, asked->answers[i].first,
						    asked->answers[i].last, asked->answers[i].said,
						    asked->answers[i].said_count);
		if (!error)
			continue;
		ret->answer_error = error;
		*state = before;
		return;
	}
}

/* True: something has changed. */
static bool acquire(struct share *s, const struct peer_share_request_partition *asked,
		    int64_t high_watermark, struct share_partition *state,
		    struct peer_share_response_partition *ret)
{
	struct share_acquired got = { 0 };
	bool has_changed = false;

	for (size_t i = 0; i < asked->batches_count; i++) {
		const struct peer_share_request_batch *batch = &asked->batches[i];
		int64_t last = batch->last < high_watermark ? batch->last : high_watermark - 1;
		if (batch->first < 0 || batch->first > last)
			continue; /* no agent has read such a one */
		has_changed |= batch->is_aborted;
		if (batch->is_aborted)
			share_partition_pass_over(state, batch->first, last);
		else
			share_partition_acquire(state, &s->acquire, batch->first, last, &got);
	}
	ret->acquired = arena_take_array(s->run->arena, got.count + 1, sizeof(*ret->acquired));
	ret->acquired_count = got.count;
	for (size_t i = 0; i < got.count; i++)
		ret->acquired[i] = (struct peer_share_response_acquired) {
			got.ranges[i].first,
			got.ranges[i].last,
			got.ranges[i].deliveries,
		};
	return has_changed || got.count > 0;
}

static bool give_back(const struct share *s, const struct peer_share_request_partition *asked,
		      struct share_partition *state)
{
	size_t count = asked->gives_back_count;
	struct share_range *ranges = arena_take_array(s->scratch, count + 1, sizeof(*ranges));

	for (size_t i = 0; i < count; i++)
		ranges[i] = (struct share_range) {
			.first = asked->gives_back[i].first,
			.last = asked->gives_back[i].last,
			.deliveries = asked->gives_back[i].deliveries,
		};
	return share_partition_give_back(state, s->acquire.member, ranges, count);
}

/* Of records it has or had; that begins no partition. */
static bool speaks(const struct peer_share_request_partition *asked)
{
	return asked->releases || asked->gives_back_count > 0 || asked->answers_count > 0;
}

static enum err run_partition(struct share *s, const struct peer_share_request_partition *asked,
			      struct peer_share_response_partition *ret)
{
	struct catalog_topic topic;
	struct catalog_partition partition;
	struct share_partition state;
	bool has_changed;

	if (asked->gives_back_count > SHARE_GIVE_BACK_MAX)
		return ERR_INVALID;
	arena_reset(s->scratch);
	enum err err = catalog_topic_by_id(s->scratch, s->cell, &asked->topic_id, &topic);
	if (err == ERR_NOT_FOUND) {
		ret->error = ret->answer_error = KAFKA_UNKNOWN_TOPIC_ID;
		return OK;
	}
	if (!err)
		err = catalog_partition_find(s->cell, topic.id, asked->partition, &partition);
	if (err == ERR_NOT_FOUND) {
		ret->error = ret->answer_error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		return OK;
	}
	if (!err)
		err = load(s, &partition, asked, &state, &has_changed);
	if (err)
		return err;
	/* Only an agent can look for a time.  One that did not know it should is asked again. */
	if (!state.row && s->rules.begin == SHARE_BEGIN_BY_AGE && !asked->has_begin &&
	    !speaks(asked)) {
		ret->error = KAFKA_NOT_LEADER_OR_FOLLOWER;
		return OK;
	}
	take_answers(s, asked, &state, ret);
	if (asked->releases)
		has_changed |= share_partition_release(&state, s->acquire.member);
	if (asked->gives_back_count > 0)
		has_changed |= give_back(s, asked, &state);
	has_changed |= acquire(s, asked, partition.high_watermark, &state, ret);
	if (!has_changed &&
	    asked->answers_count == 0) /* a fetch in vain costs the journal nothing */
		return OK;
	/* Who gives back, or speaks of records nobody can have, does not begin a partition. */
	if (!state.row && asked->batches_count == 0 && speaks(asked))
		return OK;
	return share_write(s->cell, s->group, topic.id, asked->partition, &state);
}

/* --- all of them -------------------------------------------------------------------------------
 */

static void answer_without_group(struct share_records *run)
{
	for (size_t i = 0; i < run->response->partitions_count; i++)
		run->response->partitions[i].error = run->response->partitions[i].answer_error =
			KAFKA_GROUP_ID_NOT_FOUND;
}

enum err share_records_run(struct cell *cell, void *argument)
{
	struct share_records *run = argument;
	const struct peer_share_request *request = run->request;
	struct arena scratch;
	struct share s = { .run = run, .cell = cell, .scratch = &scratch };

	if (request->partitions_count > SHARE_PARTITIONS_MAX ||
	    request->member_id.size > SHARE_MEMBER_ID_BYTES_MAX)
		return ERR_INVALID;
	*run->response = (struct peer_share_response) {
		.partitions = arena_take_array(run->arena, request->partitions_count + 1,
					       sizeof(*run->response->partitions)),
		.partitions_count = request->partitions_count,
	};
	enum err err = catalog_share_group(cell, request->group, &s.group);
	if (err == ERR_NOT_FOUND) {
		answer_without_group(run);
		return OK;
	}
	catalog_share_rules(cell, request->group, &s.rules);
	run->response->lock_ms = (int32_t)s.rules.lock_ms;
	s.acquire = (struct share_acquire) {
		.member = request->member_id,
		.now_ms = run->now_ms,
		.lock_ms = s.rules.lock_ms,
		.wanted = request->wanted,
		.is_exact = request->is_exact,
	};
	arena_init(&scratch);
	for (size_t i = 0; i < request->partitions_count && !err; i++)
		err = run_partition(&s, &request->partitions[i], &run->response->partitions[i]);
	arena_done(&scratch);
	return err;
}
