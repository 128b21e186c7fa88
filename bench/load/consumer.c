#include "consumer.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/endian.h"
#include "base/memory.h"
#include "kafka_messages.h"
#include "wire/kafka/errors.h"
#include "wire/kafka/records.h"

enum {
	OFFSETS_VERSION = 6,
	FETCH_VERSION = 12, /* the last before topic identities */
	LATEST = -1,
	EARLIEST = -2,
	PAUSE_US = 100000,
	TRIES_MAX = 300,
	ANSWER_BYTES = 50 << 20, /* Kafka's fetch.max.bytes */
};

static size_t global_number(const struct consumer *c, size_t i)
{
	return c->number + i * c->stride;
}

/* The place in c->partitions; exits when it is none of its own. */
static struct consumed_partition *find_partition(struct consumer *c, struct slice name,
						 int32_t index)
{
	const struct load *l = c->load;
	int64_t topic = load_topic_number(l, name);

	if (topic < 0 || index < 0 || (size_t)index >= l->options.partitions)
		load_die("consumer", "an answer for what was not asked for");
	size_t number = (size_t)topic * l->options.partitions + (size_t)index;
	if (number % c->stride != c->number)
		load_die("consumer", "an answer for what was not asked for");
	return &c->partitions[number / c->stride];
}

static _Noreturn void die_of(const char *what, int16_t code)
{
	char why[32];

	snprintf(why, sizeof(why), "error %d", code);
	load_die(what, why);
}

/* --- where to begin -----------------------------------------------------------------------------
 */
static void ask_offsets(struct consumer *c)
{
	const struct load *l = c->load;
	struct kafka_list_offsets_request r;
	struct kafka_list_offsets_request_topic *topics =
		memory_take_array(l->options.topics, sizeof(*topics));
	struct kafka_list_offsets_request_partition *partitions =
		memory_take_array(c->partition_count, sizeof(*partitions));
	char(*names)[256] = memory_take_array(l->options.topics, sizeof(*names));
	size_t topic = SIZE_MAX;

	schema_defaults(&kafka_list_offsets_request_schema, &r);
	r.replica_id = -1;
	r.topics = topics;
	for (size_t i = 0; i < c->partition_count; i++) {
		if (global_number(c, i) / l->options.partitions != topic) {
			topic = global_number(c, i) / l->options.partitions;
			topics[r.topics_count].name =
				load_topic_name(l, topic, names[r.topics_count]);
			topics[r.topics_count++].partitions = &partitions[i];
		}
		topics[r.topics_count - 1].partitions_count++;
		partitions[i] = (struct kafka_list_offsets_request_partition) {
			.partition_index = (int32_t)(global_number(c, i) % l->options.partitions),
			.current_leader_epoch = -1,
			.timestamp = l->options.from[0] == 's' ? EARLIEST : LATEST,
		};
	}
	peer_send(&c->peer, &kafka_list_offsets_request_schema, OFFSETS_VERSION, &r);
	memory_free(topics);
	memory_free(partitions);
	memory_free(names);
}

/* False: a partition that was just created is not ready yet. */
static bool take_offsets(struct consumer *c)
{
	struct kafka_list_offsets_response r;
	bool is_ready = true;

	peer_receive(&c->peer, &kafka_list_offsets_response_schema, OFFSETS_VERSION, &r);
	for (size_t i = 0; i < r.topics_count; i++)
		for (size_t k = 0; k < r.topics[i].partitions_count; k++) {
			const struct kafka_list_offsets_response_partition *p =
				&r.topics[i].partitions[k];
			if (p->error_code && p->error_code != KAFKA_NOT_LEADER_OR_FOLLOWER &&
			    p->error_code != KAFKA_LEADER_NOT_AVAILABLE)
				die_of("list offsets", p->error_code);
			is_ready &= p->error_code == KAFKA_NONE;
			find_partition(c, r.topics[i].name, p->partition_index)->offset = p->offset;
		}
	return is_ready;
}

static void find_offsets(struct consumer *c)
{
	ask_offsets(c);
	for (int i = 0; !take_offsets(c); i++) {
		if (i == TRIES_MAX)
			load_die("list offsets", "partitions have no leader");
		usleep(PAUSE_US);
		ask_offsets(c);
	}
}

/* --- fetching -----------------------------------------------------------------------------------
 */
/* A session needs only be told what is new; epoch 0 tells it everything. */
static void send_fetch(struct consumer *c)
{
	const struct load *l = c->load;
	struct kafka_fetch_request r;
	struct kafka_fetch_request_topic *topics =
		memory_take_array(l->options.topics, sizeof(*topics));
	struct kafka_fetch_request_partition *partitions =
		memory_take_array(c->partition_count, sizeof(*partitions));
	char(*names)[256] = memory_take_array(l->options.topics, sizeof(*names));
	size_t topic = SIZE_MAX, count = 0;

	schema_defaults(&kafka_fetch_request_schema, &r);
	r.max_wait_ms = (int32_t)l->options.fetch_wait_ms;
	r.min_bytes = 1;
	r.max_bytes = ANSWER_BYTES;
	r.session_id = c->session_id;
	r.session_epoch = c->session_epoch;
	r.topics = topics;
	for (size_t i = 0; i < c->partition_count; i++) {
		if (c->session_epoch > 0 && c->partitions[i].is_told)
			continue;
		if (global_number(c, i) / l->options.partitions != topic) {
			topic = global_number(c, i) / l->options.partitions;
			topics[r.topics_count].topic =
				load_topic_name(l, topic, names[r.topics_count]);
			topics[r.topics_count++].partitions = &partitions[count];
		}
		topics[r.topics_count - 1].partitions_count++;
		partitions[count++] = (struct kafka_fetch_request_partition) {
			.partition = (int32_t)(global_number(c, i) % l->options.partitions),
			.current_leader_epoch = -1,
			.fetch_offset = c->partitions[i].offset,
			.last_fetched_epoch = -1,
			.log_start_offset = -1,
			.partition_max_bytes = (int32_t)l->options.fetch_bytes,
		};
		c->partitions[i].is_told = true;
	}
	peer_send(&c->peer, &kafka_fetch_request_schema, FETCH_VERSION, &r);
	memory_free(topics);
	memory_free(partitions);
	memory_free(names);
}

static void take_record(struct load *l, struct slice value)
{
	uint64_t due_us;

	if (value.size < LOAD_STAMP_BYTES)
		return;
	if (load_counts(l, l->now_us))
		l->consumed_bytes += value.size;
	if (get_u64(value.data) != l->mark)
		return;
	due_us = get_u64(value.data + sizeof(uint64_t));
	if (!load_counts(l, due_us))
		return;
	l->consumed++;
	histogram_add(&l->end_to_end, l->now_us - due_us);
}

static void take_batch(struct consumer *c, struct consumed_partition *p,
		       const struct record_batch *b)
{
	struct load *l = c->load;
	struct records records;
	struct record record;

	/* Of a replay only the bytes are of interest: looking into each record costs the client
	 * more than the broker. */
	if (l->options.connections == 0) {
		if (load_counts(l, l->now_us))
			l->consumed_bytes += b->bytes.size;
	} else if (!(b->attributes & RECORD_BATCH_CONTROL)) {
		if (records_init(&l->peers.arena, b, &records))
			load_die("fetch", "a batch without records");
		while (records_next(&records, &record) == OK)
			if (b->base_offset + record.offset_delta >= p->offset)
				take_record(l, record.value);
	}
	p->offset = b->base_offset + b->last_offset_delta + 1;
	p->is_told = false;
}

static void take_partition(struct consumer *c, struct slice name,
			   const struct kafka_fetch_response_partition *answer)
{
	struct consumed_partition *p = find_partition(c, name, answer->partition_index);
	struct slice rest = answer->records;
	struct record_batch batch;

	p->is_told = p->is_told && !answer->error_code;
	if (answer->error_code == KAFKA_NOT_LEADER_OR_FOLLOWER ||
	    answer->error_code == KAFKA_KAFKA_STORAGE_ERROR)
		return;
	if (answer->error_code)
		die_of("fetch", answer->error_code);
	p->high_watermark = answer->high_watermark;
	while (rest.size > 0 && record_batch_next(&rest, &batch) == OK)
		take_batch(c, p, &batch);
	if (c->load->options.from[0] == 's' && p->offset >= p->high_watermark) {
		p->offset = 0; /* a replay begins again */
		p->is_told = false;
	}
}

static void on_fetched(struct peer *peer, struct slice body)
{
	struct consumer *c = CONTAINER(peer, struct consumer, peer);
	struct kafka_fetch_response r;

	peer_decode(peer, &kafka_fetch_response_schema, FETCH_VERSION, body, &r);
	c->load->fetch_requests += load_counts(c->load, c->load->now_us);
	if (r.error_code == KAFKA_FETCH_SESSION_ID_NOT_FOUND ||
	    r.error_code == KAFKA_INVALID_FETCH_SESSION_EPOCH) {
		c->session_id = c->session_epoch = 0;
	} else if (r.error_code) {
		die_of("fetch", r.error_code);
	} else {
		c->session_id = r.session_id;
		c->session_epoch = r.session_id ? c->session_epoch + 1 : 0;
	}
	for (size_t i = 0; i < r.responses_count; i++)
		for (size_t k = 0; k < r.responses[i].partitions_count; k++)
			take_partition(c, r.responses[i].topic, &r.responses[i].partitions[k]);
	send_fetch(c);
}

void consumer_open(struct consumer *c, struct load *l, size_t number, size_t stride)
{
	size_t all = load_partition_count(l);

	*c = (struct consumer) { .load = l, .number = number, .stride = stride };
	c->partition_count = number < all ? (all - number + stride - 1) / stride : 0;
	c->partitions = memory_take_array(c->partition_count + 1, sizeof(*c->partitions));
	peer_open(&c->peer, l);
	if (c->partition_count > 0)
		find_offsets(c);
}

void consumer_begin(struct consumer *c)
{
	if (c->partition_count == 0)
		return;
	peer_watch(&c->peer, on_fetched);
	send_fetch(c);
}

void consumer_close(struct consumer *c)
{
	close(c->peer.fd);
	memory_free(c->partitions);
}
