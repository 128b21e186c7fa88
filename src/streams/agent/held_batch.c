#include "streams/agent/held_batch.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "streams/catalog/producer.h"
#include "wire/kafka/errors.h"

/* The batch that would come after one that was refused. */
struct refused_batch {
	struct uuid topic_id;
	int32_t partition;
	int64_t producer_id;
	int16_t epoch;
	int32_t next_sequence;
	uint64_t until_ms; /* 0: none */
};

struct held_batches {
	struct agent *agent;
	uint64_t patience_ms;
	struct list batches;
	size_t count, bytes;
	struct refused_batch refused[HELD_BATCH_REFUSED]; /* the oldest is the next to go */
	size_t refused_next;
};

struct held_batches *held_batches_new(struct agent *agent)
{
	struct held_batches *all = NEW(struct held_batches);
	const char *patience = getenv("HANSE_TEST_HELD_MS");

	all->agent = agent;
	all->patience_ms = HELD_BATCH_MS;
	if (patience &&
	    text_to_u64(slice_from(patience), HELD_BATCH_TEST_MS_MAX, &all->patience_ms))
		all->patience_ms = HELD_BATCH_MS;
	list_init(&all->batches);
	return all;
}

void held_batches_free(struct held_batches *all)
{
	assert(list_is_empty(&all->batches));
	memory_free(all);
}

size_t held_batches_count(const struct held_batches *all)
{
	return all->count;
}

/* --- what was refused --------------------------------------------------------------------------
 */

void held_batches_refused(struct held_batches *all, const struct held_place *place,
			  const struct record_batch *batch)
{
	if (batch->producer_id < 0 || batch->base_sequence < 0 || batch->record_count <= 0)
		return;
	all->refused[all->refused_next] = (struct refused_batch) {
		.topic_id = place->topic_id,
		.partition = place->partition,
		.producer_id = batch->producer_id,
		.epoch = batch->producer_epoch,
		.next_sequence = producer_sequence_add(batch->base_sequence, batch->record_count),
		.until_ms = loop_now_ms(all->agent->loop) + all->patience_ms,
	};
	all->refused_next = (all->refused_next + 1) % HELD_BATCH_REFUSED;
}

static bool follows_refused(const struct held_batches *all, const struct held_place *place,
			    const struct record_batch *batch)
{
	uint64_t now_ms = loop_now_ms(all->agent->loop);

	for (size_t i = 0; i < HELD_BATCH_REFUSED; i++) {
		const struct refused_batch *it = &all->refused[i];

		if (it->until_ms > now_ms && it->producer_id == batch->producer_id &&
		    it->next_sequence == batch->base_sequence &&
		    it->epoch == batch->producer_epoch && it->partition == place->partition &&
		    uuid_equal(it->topic_id, place->topic_id))
			return true;
	}
	return false;
}

/* --- which are held ----------------------------------------------------------------------------
 */

static size_t count_of_producer(const struct held_batches *all, const struct held_place *place,
				const struct record_batch *batch)
{
	size_t count = 0;

	LIST_EACH (&all->batches, struct held_batch, link, it)
		count += it->batch.producer_id == batch->producer_id &&
			 it->place.partition == place->partition &&
			 uuid_equal(it->place.topic_id, place->topic_id);
	return count;
}

/* In the first protocol of transactions the next one has the same epoch, and librdkafka gives the
 * sequences of what it purges at an abort again: held, such a batch could come into the next
 * transaction. */
static bool may_outlive_transaction(const struct record_batch *batch,
				    const struct file_transaction *transaction)
{
	return (batch->attributes & RECORD_BATCH_TRANSACTIONAL) &&
	       transaction->support != TRANSACTION_SUPPORT_SECOND;
}

static bool may_be_held(const struct held_batches *all, int16_t code,
			const struct held_place *place, const struct record_batch *batch,
			const struct file_transaction *transaction)
{
	if (code != KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER && code != KAFKA_UNKNOWN_PRODUCER_ID)
		return false;
	if (may_outlive_transaction(batch, transaction))
		return false;
	/* its whole request stays in memory */
	if (all->agent->requests.used > all->agent->requests.max / 2)
		return false;
	return all->count < HELD_BATCHES_MAX &&
	       all->bytes + batch->bytes.size <= HELD_BATCH_BYTES_MAX &&
	       !follows_refused(all, place, batch) &&
	       count_of_producer(all, place, batch) < HELD_BATCH_WINDOW;
}

static enum err find_row(struct agent *agent, const struct held_place *place, int64_t *ret)
{
	struct cell *cell = replica_cell(agent->replica);
	struct catalog_partition partition;
	struct catalog_topic topic;
	struct arena a;

	if (!cell)
		return ERR_UNAVAILABLE;
	arena_init(&a);
	enum err err = catalog_topic_by_id(&a, cell, &place->topic_id, &topic);
	if (!err)
		err = catalog_partition_find(cell, topic.id, place->partition, &partition);
	arena_done(&a);
	if (!err)
		*ret = partition.id;
	return err;
}

/* Does the batch before it still have to come, as far as the replica knows? */
static bool is_ahead(const struct held_batch *h)
{
	struct cell *cell = replica_cell(h->all->agent->replica);
	const struct record_batch *batch = &h->batch;
	struct catalog_producer producer;

	if (!cell)
		return true;
	enum err err = catalog_producer_find(cell, h->row, batch->producer_id, &producer);
	if (err || producer.epoch < batch->producer_epoch)
		return batch->base_sequence != 0;
	if (producer.epoch > batch->producer_epoch)
		return false;
	return batch->base_sequence != producer_sequence_add(producer.last_sequence, 1) &&
	       !producer_sequence_is_behind(batch->base_sequence, producer.last_sequence);
}

/* --- the task ----------------------------------------------------------------------------------
 */

enum { HELD_WAITS, HELD_WRITTEN };

static void on_late(struct timer *timer)
{
	struct held_batch *h = CONTAINER(timer, struct held_batch, timer);

	h->is_late = true;
	task_wake(&h->task);
}

static void tell(const struct held_batch *h, const char *what)
{
	log_debug("%s: partition %d, producer %lld, epoch %d, sequence %d", what,
		  h->place.partition, (long long)h->batch.producer_id, h->batch.producer_epoch,
		  h->batch.base_sequence);
}

static enum step end(struct held_batch *h, enum err err)
{
	replica_watch_remove(&h->watch);
	timer_clear(&h->timer);
	list_remove(&h->link);
	h->all->count--;
	h->all->bytes -= h->batch.bytes.size;
	h->write.task.err = err;
	return task_done(&h->task, err);
}

static enum step waits(struct held_batch *h)
{
	struct agent *agent = h->all->agent;

	if (h->is_hurried)
		return end(h, ERR_UNAVAILABLE);
	if (h->is_late) {
		tell(h, "held back in vain");
		return end(h, OK);
	}
	replica_watch_remove(&h->watch);
	if (is_ahead(h)) {
		replica_watch_add(agent->replica, &h->watch, h->row, &h->task);
		return task_wait(&h->task, HELD_WAITS);
	}
	h->writes++;
	tell(h, "held back and written");
	file_write(&h->write, &h->task, agent->writer, h->place.connection_id, h->place.topic_id,
		   h->place.partition, &h->batch, &h->transaction, h->holder);
	return task_wait(&h->task, HELD_WRITTEN);
}

static bool is_refused_again(const struct held_batch *h)
{
	return !h->write.task.err && (h->write.ret_error == KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER ||
				      h->write.ret_error == KAFKA_UNKNOWN_PRODUCER_ID);
}

static enum step held_step(struct task *t)
{
	struct held_batch *h = CONTAINER(t, struct held_batch, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (task_is_canceled(t))
		return end(h, t->err);
	switch (t->at) {
	case HELD_WAITS:
		return waits(h);
	case HELD_WRITTEN:
		if (is_refused_again(h) && h->writes < HELD_BATCH_WRITES_MAX)
			return waits(h);
		return end(h, h->write.task.err);
	}
	abort();
}

static const char *const held_places[] = { "waits", "written" };
static const struct task_kind held_kind = {
	.name = "held_batch",
	.places = held_places,
	.place_count = 2,
	.step = held_step,
};

struct held_batch *held_batch_start(struct arena *a, struct task *parent, struct held_batches *all,
				    int16_t code, const struct held_place *place,
				    const struct record_batch *batch,
				    const struct file_transaction *transaction, struct blob *holder)
{
	struct loop *loop = all->agent->loop;
	struct held_batch *h;
	int64_t row;

	if (!may_be_held(all, code, place, batch, transaction) || find_row(all->agent, place, &row))
		return NULL;
	h = arena_take(a, sizeof(*h));
	*h = (struct held_batch) {
		.all = all,
		.place = *place,
		.batch = *batch,
		.transaction = *transaction,
		.holder = holder,
		.row = row,
		.writes = 1,
		.is_hurried = all->agent->has_left || all->agent->is_stopping,
	};
	h->write.ret_error = code;
	h->write.ret_base_offset = h->write.ret_log_append_time = h->write.ret_log_start_offset =
		-1;
	all->count++;
	all->bytes += batch->bytes.size;
	list_add(&all->batches, &h->link);
	timer_set(&h->timer, loop, loop_now_ms(loop) + all->patience_ms, on_late);
	task_start(&h->task, &held_kind, parent);
	tell(h, "held back");
	return h;
}

void held_batch_hurry(struct held_batch *h)
{
	h->is_hurried = true;
	if (task_is_running(&h->task))
		task_wake(&h->task);
}
