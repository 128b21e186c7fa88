#include "producer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/endian.h"
#include "base/memory.h"
#include "base/random.h"
#include "kafka_messages.h"
#include "wire/kafka/errors.h"
#include "wire/kafka/record_batch.h"

enum {
	IDENTITY_VERSION = 4,
	PRODUCE_VERSION = 9, /* topics by name */
	PAUSE_US = 100000,   /* Kafka's retry.backoff.ms */
	RECORD_OVERHEAD_BYTES = 24,
	TIMEOUT_MS = 30000, /* Kafka's request.timeout.ms */
	POOL_BYTES = 1 << 20,
	TRIES_MAX = 300, /* for an identity */
};

static struct prng prng = { 1 };

/* --- making -------------------------------------------------------------------------------------
 */
static void add_varint(struct buf *b, int64_t value)
{
	uint64_t zigzag = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);

	for (; zigzag >= 128; zigzag >>= 7)
		buf_add_u8(b, (uint8_t)(zigzag | 128));
	buf_add_u8(b, (uint8_t)zigzag);
}

static size_t varint_bytes(uint64_t value)
{
	size_t n = 1;

	for (value <<= 1; value >= 128; value >>= 7)
		n++;
	return n;
}

/* Not compressible, and not worth looking at. */
static const uint8_t *filling(size_t size)
{
	static uint8_t *pool;

	assert(size <= POOL_BYTES);
	if (!pool) {
		pool = memory_take(POOL_BYTES);
		for (size_t i = 0; i < POOL_BYTES; i++)
			pool[i] = (uint8_t)prng_next(&prng);
	}
	return pool;
}

static void add_record(const struct load *l, struct batch *b, uint64_t due_us)
{
	size_t size = l->options.record_bytes;
	struct buf *out = &b->bytes;

	/* Attributes, time delta, key and headers take a byte each. */
	add_varint(out, (int64_t)(4 + varint_bytes(b->count) + varint_bytes(size) + size));
	buf_add_u8(out, 0);
	buf_add_u8(out, 0);
	add_varint(out, (int64_t)b->count);
	buf_add_u8(out, 1); /* no key */
	add_varint(out, (int64_t)size);
	buf_add_u64(out, l->mark);
	buf_add_u64(out, due_us);
	buf_add(out, filling(size), size - LOAD_STAMP_BYTES);
	buf_add_u8(out, 0);
	b->due_us[b->count++] = due_us;
	b->value_bytes += size;
}

static struct batch *open_batch(struct producer *p, size_t partition)
{
	struct load *l = p->load;
	struct queue *q = &p->partitions[partition];
	struct batch *b = NEW(struct batch);
	size_t room = l->options.batch_bytes;

	b->producer = p;
	b->partition = partition;
	b->base_sequence = -1;
	b->opened_us = l->now_us;
	buf_init(&b->bytes);
	if (room < RECORD_BATCH_HEADER_BYTES + l->options.record_bytes + RECORD_OVERHEAD_BYTES)
		room = RECORD_BATCH_HEADER_BYTES + l->options.record_bytes + RECORD_OVERHEAD_BYTES;
	buf_reserve(&b->bytes, l->options.rate ? 0 : room);
	buf_add_zero(&b->bytes, RECORD_BATCH_HEADER_BYTES);
	b->due_us = memory_take_array(room / l->options.record_bytes + 1, sizeof(*b->due_us));
	if (list_is_empty(&q->batches))
		list_add(&p->queues, &q->link);
	list_add(&q->batches, &b->link);
	list_add(&l->lingering, &b->lingering);
	return b;
}

static void free_batch(struct batch *b)
{
	list_remove(&b->link);
	list_remove(&b->lingering);
	buf_done(&b->bytes);
	memory_free(b->due_us);
	memory_free(b);
}

static void make_ready(struct batch *b)
{
	list_remove(&b->lingering);
	if (!b->is_ready)
		b->producer->ready_count++;
	b->is_ready = true;
}

static bool has_room(const struct load *l, const struct batch *b)
{
	return b->bytes.size + l->options.record_bytes + RECORD_OVERHEAD_BYTES <=
	       l->options.batch_bytes;
}

/* The one that is open, or a new one. */
static struct batch *batch_for(struct producer *p, size_t partition)
{
	struct queue *q = &p->partitions[partition];

	if (!list_is_empty(&q->batches)) {
		struct batch *last = CONTAINER(q->batches.prev, struct batch, link);
		if (!last->is_ready)
			return last;
	}
	return open_batch(p, partition);
}

static size_t next_partition(struct producer *p)
{
	const struct load *l = p->load;
	size_t count = load_partition_count(l);

	if (l->options.keys[0] == 'r')
		return prng_below(&prng, count);
	if (p->sticky_bytes >= l->options.batch_bytes) {
		p->sticky = prng_below(&prng, count);
		p->sticky_bytes = 0;
	}
	p->sticky_bytes += l->options.record_bytes;
	return p->sticky;
}

static void make_in(struct producer *p, size_t partition, uint64_t due_us)
{
	struct load *l = p->load;
	struct batch *b = batch_for(p, partition);

	add_record(l, b, due_us);
	l->made++;
	l->waiting_bytes += l->options.record_bytes;
	if (load_counts(l, due_us)) {
		l->expected++;
		histogram_add(&l->late, l->now_us > due_us ? l->now_us - due_us : 0);
	}
	if (!has_room(l, b) || l->options.linger_ms == 0)
		make_ready(b);
}

void producer_make(struct producer *p, uint64_t due_us)
{
	make_in(p, next_partition(p), due_us);
}

void producer_fill(struct producer *p)
{
	const struct load *l = p->load;
	size_t count = load_partition_count(l), filled = 0;

	if (p->pause_until_us > l->now_us)
		return;
	while (p->flight_count < l->options.in_flight) {
		for (filled = 0; filled + l->options.batch_bytes <= LOAD_REQUEST_BYTES_MAX &&
				 filled < count * l->options.batch_bytes;
		     filled += l->options.batch_bytes) {
			struct queue *q = &p->partitions[p->sticky];
			while (list_is_empty(&q->batches) ||
			       !CONTAINER(q->batches.prev, struct batch, link)->is_ready)
				make_in(p, p->sticky, p->load->now_us);
			p->sticky = (p->sticky + 1) % count;
		}
		size_t before = p->flight_count;
		producer_push(p);
		if (p->flight_count == before)
			return;
	}
}

uint64_t producers_linger(struct load *l)
{
	uint64_t linger_us = l->options.linger_ms * 1000;

	while (!list_is_empty(&l->lingering)) {
		struct batch *b = CONTAINER(l->lingering.next, struct batch, lingering);
		if (b->opened_us + linger_us > l->now_us)
			return b->opened_us + linger_us;
		make_ready(b);
		producer_push(b->producer);
	}
	return UINT64_MAX;
}

uint64_t producers_resume(struct load *l)
{
	uint64_t next_us = UINT64_MAX;

	LIST_EACH (&l->pausing, struct producer, pausing, p) {
		if (p->pause_until_us > l->now_us) {
			next_us = p->pause_until_us < next_us ? p->pause_until_us : next_us;
			continue;
		}
		list_remove(&p->pausing);
		producer_push(p);
	}
	return next_us;
}

/* --- sending ------------------------------------------------------------------------------------
 */
static void seal(struct producer *p, struct batch *b)
{
	struct queue *q = &p->partitions[b->partition];

	if (b->base_sequence >= 0)
		return;
	b->base_sequence = q->next_sequence;
	q->next_sequence = (int32_t)(((uint32_t)q->next_sequence + b->count) & INT32_MAX);
	record_batch_write_header(b->bytes.data,
				  &(struct record_batch) {
					  .batch_length = (uint32_t)b->bytes.size - 12,
					  .leader_epoch = -1,
					  .magic = RECORD_BATCH_MAGIC,
					  .last_offset_delta = (int32_t)b->count - 1,
					  .base_timestamp = clock_wall_ms(),
					  .max_timestamp = clock_wall_ms(),
					  .producer_id = p->id,
					  .producer_epoch = p->epoch,
					  .base_sequence = b->base_sequence,
					  .record_count = (int32_t)b->count,
				  });
	record_batch_set_crc(b->bytes.data, b->bytes.size);
}

static int compare_batches(const void *a, const void *b)
{
	size_t x = (*(struct batch *const *)a)->partition,
	       y = (*(struct batch *const *)b)->partition;

	return (x > y) - (x < y);
}

/* The first batch of each partition, as many as a request takes; whose turn it was goes last. */
static size_t drain(struct producer *p, struct batch **ret, size_t max)
{
	const struct list *last = p->queues.prev; /* behind it come those that had their turn */
	bool is_last = false;
	size_t count = 0, bytes = 0;

	LIST_EACH (&p->queues, struct queue, link, q) {
		struct batch *b = CONTAINER(q->batches.next, struct batch, link);
		if (is_last || count == max ||
		    (count > 0 && bytes + b->bytes.size > LOAD_REQUEST_BYTES_MAX))
			break;
		is_last = &q->link == last;
		make_ready(b); /* it goes with the others though it might have waited */
		p->ready_count--;
		bytes += b->bytes.size;
		list_remove(&b->link);
		ret[count++] = b;
		seal(p, b);
		list_remove(&q->link);
		if (!list_is_empty(&q->batches))
			list_add(&p->queues, &q->link);
	}
	return count;
}

static void send_request(struct producer *p, struct batch **batches, size_t count)
{
	struct load *l = p->load;
	struct kafka_produce_request r;
	struct kafka_produce_request_topic *topics = memory_take_array(count, sizeof(*topics));
	struct kafka_produce_request_partition *partitions =
		memory_take_array(count, sizeof(*partitions));
	char(*names)[256] = memory_take_array(count, sizeof(*names));
	size_t topic = SIZE_MAX;

	schema_defaults(&kafka_produce_request_schema, &r);
	r.acks = -1;
	r.timeout_ms = TIMEOUT_MS;
	r.topic_data = topics;
	qsort(batches, count, sizeof(*batches), compare_batches);
	for (size_t i = 0; i < count; i++) {
		if (batches[i]->partition / l->options.partitions != topic) {
			topic = batches[i]->partition / l->options.partitions;
			topics[r.topic_data_count].name =
				load_topic_name(l, topic, names[r.topic_data_count]);
			topics[r.topic_data_count++].partition_data = &partitions[i];
		}
		topics[r.topic_data_count - 1].partition_data_count++;
		partitions[i].index = (int32_t)(batches[i]->partition % l->options.partitions);
		partitions[i].records = buf_slice(&batches[i]->bytes);
	}
	l->produce_requests += load_counts(l, l->now_us);
	peer_send(&p->peer, &kafka_produce_request_schema, PRODUCE_VERSION, &r);
	memory_free(topics);
	memory_free(partitions);
	memory_free(names);
}

void producer_push(struct producer *p)
{
	enum { BATCHES_MAX = 4096 };
	struct batch *batches[BATCHES_MAX];

	while (p->ready_count > 0 && p->flight_count < p->load->options.in_flight &&
	       p->pause_until_us <= p->load->now_us) {
		struct request *r = &p->in_flight[(p->flight_first + p->flight_count++) %
						  p->load->options.in_flight];
		size_t count = drain(p, batches, BATCHES_MAX);
		list_init(&r->batches);
		for (size_t i = 0; i < count; i++)
			list_add(&r->batches, &batches[i]->link);
		send_request(p, batches, count);
	}
}

/* --- answers ------------------------------------------------------------------------------------
 */
static void acknowledge(struct load *l, struct batch *b, bool is_failed)
{
	for (size_t i = 0; i < b->count; i++)
		if (load_counts(l, b->due_us[i]))
			histogram_add(&l->produce, l->now_us - b->due_us[i]);
	if (!is_failed && load_counts(l, l->now_us))
		l->produced_bytes += b->value_bytes;
	if (is_failed)
		l->failed += b->count;
	l->acknowledged += b->count;
	l->waiting_bytes -= b->value_bytes;
	free_batch(b);
}

/* A batch that follows a failed one is refused for its sequence number, so both pass. */
static bool error_passes(int16_t code)
{
	return code == KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER || code == KAFKA_REQUEST_TIMED_OUT ||
	       code == KAFKA_NOT_LEADER_OR_FOLLOWER || code == KAFKA_LEADER_NOT_AVAILABLE ||
	       code == KAFKA_KAFKA_STORAGE_ERROR || code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION ||
	       code == KAFKA_NOT_ENOUGH_REPLICAS || code == KAFKA_THROTTLING_QUOTA_EXCEEDED;
}

/* To where its sequence number stands, before those that were never sent. */
static void retry(struct producer *p, struct batch *b)
{
	struct queue *q = &p->partitions[b->partition];
	struct list *before = q->batches.next;

	p->load->retried += b->count;
	p->pause_until_us = p->load->now_us + PAUSE_US;
	if (!list_is_linked(&p->pausing))
		list_add(&p->load->pausing, &p->pausing);
	if (list_is_empty(&q->batches))
		list_add(&p->queues, &q->link);
	while (before != &q->batches) {
		const struct batch *it = CONTAINER(before, struct batch, link);
		if (it->base_sequence < 0 || it->base_sequence > b->base_sequence)
			break;
		before = before->next;
	}
	list_add(before, &b->link);
	p->ready_count++; /* it still is */
}

static struct batch *find_batch(struct request *r, size_t partition)
{
	LIST_EACH (&r->batches, struct batch, link, b)
		if (b->partition == partition) /* nearly always the first one */
			return b;
	load_die("produce", "an answer for a partition that was not asked for");
}

static void take_partition(struct producer *p, struct request *r, int64_t topic,
			   const struct kafka_produce_response_partition *answer)
{
	const struct load *l = p->load;
	char why[32];

	if (topic < 0)
		load_die("produce", "an answer for another topic");
	struct batch *b =
		find_batch(r, (size_t)topic * l->options.partitions + (size_t)answer->index);
	list_remove(&b->link);
	int16_t code = answer->error_code;
	if (code == KAFKA_DUPLICATE_SEQUENCE_NUMBER)
		code = KAFKA_NONE; /* an answer that was lost */
	if (code && !error_passes(code)) {
		snprintf(why, sizeof(why), "error %d", code);
		load_die("produce", why);
	}
	if (code && l->now_us - b->opened_us < LOAD_DELIVERY_US_MAX)
		retry(p, b);
	else
		acknowledge(p->load, b, code != KAFKA_NONE);
}

static void on_produced(struct peer *peer, struct slice body)
{
	struct producer *p = CONTAINER(peer, struct producer, peer);
	struct request *r = &p->in_flight[p->flight_first];
	struct kafka_produce_response answer;

	peer_decode(peer, &kafka_produce_response_schema, PRODUCE_VERSION, body, &answer);
	assert(p->flight_count > 0);
	for (size_t i = 0; i < answer.responses_count; i++) {
		const struct kafka_produce_response_topic *topic = &answer.responses[i];
		int64_t number = load_topic_number(p->load, topic->name);
		for (size_t k = 0; k < topic->partition_responses_count; k++)
			take_partition(p, r, number, &topic->partition_responses[k]);
	}
	if (!list_is_empty(&r->batches))
		load_die("produce", "an answer without a partition that was asked for");
	p->flight_first = (p->flight_first + 1) % p->load->options.in_flight;
	p->flight_count--;
	if (!p->load->options.rate && p->load->now_us < p->load->until_us)
		producer_fill(p);
	else
		producer_push(p);
}

/* --- life ---------------------------------------------------------------------------------------
 */
static void ask_identity(struct producer *p)
{
	struct kafka_init_producer_id_request r;

	schema_defaults(&kafka_init_producer_id_request_schema, &r);
	r.transactional_id = (struct slice) { 0 };
	r.transaction_timeout_ms = INT32_MAX;
	r.producer_epoch = -1;
	peer_send(&p->peer, &kafka_init_producer_id_request_schema, IDENTITY_VERSION, &r);
}

void producer_open(struct producer *p, struct load *l)
{
	*p = (struct producer) { .load = l };
	list_init(&p->queues);
	p->partitions = memory_take_array(load_partition_count(l), sizeof(*p->partitions));
	for (size_t i = 0; i < load_partition_count(l); i++)
		list_init(&p->partitions[i].batches);
	p->sticky = prng_below(&prng, load_partition_count(l));
	peer_open(&p->peer, l);
	ask_identity(p);
}

void producer_begin(struct producer *p)
{
	struct kafka_init_producer_id_response r;

	peer_receive(&p->peer, &kafka_init_producer_id_response_schema, IDENTITY_VERSION, &r);
	for (int i = 0; i < TRIES_MAX && r.error_code; i++) {
		usleep(PAUSE_US); /* a broker that has just started may not be ready for it */
		ask_identity(p);
		peer_receive(&p->peer, &kafka_init_producer_id_response_schema, IDENTITY_VERSION,
			     &r);
	}
	if (r.error_code)
		load_die("producer", "it gets no identity");
	p->id = r.producer_id;
	p->epoch = r.producer_epoch;
	peer_watch(&p->peer, on_produced);
}

static void give_up(struct load *l, struct list *batches)
{
	LIST_EACH (batches, struct batch, link, b) {
		l->now_us = clock_now_us();
		acknowledge(l, b, true);
	}
}

void producer_give_up(struct producer *p)
{
	for (; p->flight_count > 0; p->flight_count--) {
		give_up(p->load, &p->in_flight[p->flight_first].batches);
		p->flight_first = (p->flight_first + 1) % p->load->options.in_flight;
	}
	for (size_t i = 0; i < load_partition_count(p->load); i++)
		give_up(p->load, &p->partitions[i].batches);
}
