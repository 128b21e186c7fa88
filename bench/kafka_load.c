/* The Kafka client of end_to_end.py: librdkafka, so that numbers compare with other brokers, and
 * fetch-raw, which throws away what it gets, because librdkafka is slower than a broker can be.
 *
 *   kafka_load produce BROKER TOPIC RECORD_BYTES TOTAL_BYTES   as fast as it goes, acks=all
 *   kafka_load latency BROKER TOPIC RECORD_BYTES COUNT         one record in flight, acks=all
 *   kafka_load produce-default BROKER TOPIC RECORD_BYTES TOTAL_BYTES  one partition, acks=all and
 *                                                              nothing else set
 *   kafka_load open-loop BROKER TOPIC RECORDS_PER_S SECONDS    produced when it is time, whatever
 *                                                              became of those before, and consumed
 *   kafka_load fetch BROKER TOPIC PARTITION_COUNT RECORD_COUNT from the beginning
 *   kafka_load fetch-raw BROKER TOPIC PARTITION_COUNT TOTAL_BYTES
 *
 * BROKER is HOST:PORT with a numeric host.  Prints name=value words, one line. */
#include <arpa/inet.h>
#include <librdkafka/rdkafka.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/endian.h"
#include "base/memory.h"
#include "base/random.h"
#include "kafka_messages.h"
#include "wire/kafka/schema.h"

enum {
	POLL_EVERY = 1000, /* records between two looks at the delivery reports */
	CONSUME_MAX = 10000,
	SILENCE_MS = 10000, /* a broker that says nothing for so long is broken */
	WHY_BYTES = 512,
	PARTITIONS_MAX = 64,
	FETCH_VERSION = 11, /* the last before topic identities; topics by name */
	RESPONSE_BYTES_MAX = 128 << 20,
	OPEN_LOOP_PRODUCERS = 4, /* clients with a connection each, in turns */
	OPEN_LOOP_BYTES = 1024,	 /* of a record */
	OPEN_LOOP_WARM_S = 3,	 /* not counted */
	OPEN_LOOP_POLL_MS = 1,	 /* how late a report may be noticed */
	US_PER_S = 1000000,
};

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "kafka_load: %s: %s\n", what, why);
	exit(1);
}

static size_t number(const char *text)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	if (*end || end == text || !n)
		die(text, "not a number above zero");
	return (size_t)n;
}

/* --- librdkafka ---------------------------------------------------------------------------------
 */
struct delivery {
	size_t done, failed;
	uint64_t last_us; /* when the last report came */
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *context)
{
	struct delivery *d = context;

	(void)rk;
	if (m->err && !d->failed++)
		fprintf(stderr, "kafka_load: delivery: %s\n", rd_kafka_err2str(m->err));
	d->done++;
	d->last_us = clock_now_us();
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char why[WHY_BYTES];

	if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
		die(name, why);
}

static rd_kafka_t *client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, const char *broker)
{
	char why[WHY_BYTES];

	set(conf, "bootstrap.servers", broker);
	rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof(why));
	if (!rk)
		die("client", why);
	return rk;
}

static rd_kafka_t *producer_new(const char *broker, struct delivery *d, bool is_one_by_one)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	set(conf, "acks", "all");
	set(conf, "message.timeout.ms", "60000");
	set(conf, "linger.ms", is_one_by_one ? "0" : "5");
	set(conf, "max.in.flight", is_one_by_one ? "1" : "5");
	set(conf, "batch.size", "1000000");
	set(conf, "batch.num.messages", "100000");
	set(conf, "queue.buffering.max.messages", "1000000");
	set(conf, "queue.buffering.max.kbytes", "262144");
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_opaque(conf, d);
	return client_new(RD_KAFKA_PRODUCER, conf, broker);
}

/* Not compressible, and not worth looking at. */
static uint8_t *value_new(size_t size)
{
	uint8_t *value = memory_take(size);
	struct prng prng = { 1 };

	for (size_t i = 0; i < size; i++)
		value[i] = (uint8_t)prng_next(&prng);
	return value;
}

static rd_kafka_topic_t *topic_new(rd_kafka_t *rk, const char *name)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);

	if (!topic)
		die("topic", rd_kafka_err2str(rd_kafka_last_error()));
	rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, topic, &metadata, SILENCE_MS);
	if (err)
		die("metadata", rd_kafka_err2str(err));
	rd_kafka_metadata_destroy(metadata);
	return topic;
}

static void produce_one(rd_kafka_t *rk, rd_kafka_topic_t *topic, int32_t partition, uint8_t *value,
			size_t size, void *context)
{
	int copy = context ? RD_KAFKA_MSG_F_COPY : 0;

	while (rd_kafka_produce(topic, partition, copy, value, size, NULL, 0, context)) {
		if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			die("produce", rd_kafka_err2str(rd_kafka_last_error()));
		rd_kafka_poll(rk, 100);
	}
}

static void produce_to(rd_kafka_t *rk, rd_kafka_topic_t *topic, int32_t partition,
		       struct delivery *d, size_t record_bytes, size_t count)
{
	uint8_t *value = value_new(record_bytes);
	uint64_t start = clock_now_us();

	for (size_t i = 0; i < count; i++) {
		produce_one(rk, topic, partition, value, record_bytes, NULL);
		if (i % POLL_EVERY == 0)
			rd_kafka_poll(rk, 0);
	}
	while (d->done < count)
		rd_kafka_poll(rk, 100);
	printf("records=%zu failed=%zu bytes=%zu seconds=%.3f\n", count, d->failed,
	       count * record_bytes, (double)(d->last_us - start) / 1e6);
	rd_kafka_topic_destroy(topic);
	rd_kafka_destroy(rk);
	memory_free(value);
}

static void produce(char **words)
{
	size_t record_bytes = number(words[2]);
	struct delivery d = { 0 };
	rd_kafka_t *rk = producer_new(words[0], &d, false);

	produce_to(rk, topic_new(rk, words[1]), RD_KAFKA_PARTITION_UA, &d, record_bytes,
		   number(words[3]) / record_bytes);
}

static rd_kafka_t *default_producer_new(const char *broker,
					void (*on_report)(rd_kafka_t *, const rd_kafka_message_t *,
							  void *),
					void *context, bool is_latency)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	set(conf, "acks", "all");
	if (is_latency)
		set(conf, "linger.ms", "0"); /* what a client adds by itself is not measured */
	rd_kafka_conf_set_dr_msg_cb(conf, on_report);
	rd_kafka_conf_set_opaque(conf, context);
	return client_new(RD_KAFKA_PRODUCER, conf, broker);
}

static void produce_default(char **words)
{
	size_t record_bytes = number(words[2]);
	struct delivery d = { 0 };
	rd_kafka_t *rk = default_producer_new(words[0], on_delivery, &d, false);

	produce_to(rk, topic_new(rk, words[1]), 0, &d, record_bytes,
		   number(words[3]) / record_bytes);
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* What the client itself adds is in the number: from produce() to the delivery report. */
static void latency(char **words)
{
	size_t record_bytes = number(words[2]), count = number(words[3]);
	struct delivery d = { 0 };
	rd_kafka_t *rk = producer_new(words[0], &d, true);
	rd_kafka_topic_t *topic = topic_new(rk, words[1]);
	uint8_t *value = value_new(record_bytes);
	uint64_t *times_us = memory_take_array(count, sizeof(*times_us));

	for (size_t i = 0; i <= count; i++) { /* the first one connects, and is not counted */
		uint64_t start = clock_now_us();

		produce_one(rk, topic, RD_KAFKA_PARTITION_UA, value, record_bytes, NULL);
		while (d.done <= i)
			rd_kafka_poll(rk, SILENCE_MS);
		if (i > 0)
			times_us[i - 1] = d.last_us - start;
	}
	qsort(times_us, count, sizeof(*times_us), compare_u64);
	printf("records=%zu failed=%zu p50_ms=%.3f p99_ms=%.3f max_ms=%.3f\n", count, d.failed,
	       (double)times_us[count / 2] / 1e3, (double)times_us[count * 99 / 100] / 1e3,
	       (double)times_us[count - 1] / 1e3);
	rd_kafka_topic_destroy(topic);
	rd_kafka_destroy(rk);
	memory_free(times_us);
	memory_free(value);
}

static rd_kafka_t *consumer_new(const char *broker, const char *topic, size_t partition_count)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_partition_list_t *list;

	set(conf, "group.id", "bench");
	set(conf, "enable.auto.commit", "false");
	set(conf, "enable.partition.eof", "false");
	set(conf, "queued.min.messages", "1000000");
	set(conf, "queued.max.messages.kbytes", "262144");
	set(conf, "fetch.message.max.bytes", "8388608");
	rd_kafka_t *rk = client_new(RD_KAFKA_CONSUMER, conf, broker);
	rd_kafka_poll_set_consumer(rk);
	list = rd_kafka_topic_partition_list_new((int)partition_count);
	for (size_t i = 0; i < partition_count; i++)
		rd_kafka_topic_partition_list_add(list, topic, (int32_t)i)->offset =
			RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_resp_err_t err = rd_kafka_assign(rk, list);
	if (err)
		die("assign", rd_kafka_err2str(err));
	rd_kafka_topic_partition_list_destroy(list);
	return rk;
}

/* The clock starts with the first record: what comes before is finding the offsets. */
static void fetch(char **words)
{
	size_t count = number(words[3]), received = 0, bytes = 0;
	rd_kafka_t *rk = consumer_new(words[0], words[1], number(words[2]));
	rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(rk);
	rd_kafka_message_t **messages = memory_take_array(CONSUME_MAX, sizeof(*messages));
	uint64_t start = 0;

	while (received < count) {
		size_t left = count - received; /* it waits for all it is asked for */
		ssize_t n = rd_kafka_consume_batch_queue(queue, SILENCE_MS, messages,
							 left < CONSUME_MAX ? left : CONSUME_MAX);

		if (n <= 0)
			die("fetch", "nothing more comes");
		if (!start)
			start = clock_now_us();
		for (ssize_t i = 0; i < n; i++) {
			if (messages[i]->err)
				die("fetch", rd_kafka_message_errstr(messages[i]));
			bytes += messages[i]->len;
			rd_kafka_message_destroy(messages[i]);
		}
		received += (size_t)n;
	}
	printf("records=%zu bytes=%zu seconds=%.3f\n", received, bytes,
	       (double)(clock_now_us() - start) / 1e6);
	memory_free(messages);
	rd_kafka_queue_destroy(queue);
	rd_kafka_consumer_close(rk);
	rd_kafka_destroy(rk);
}

/* --- open loop ----------------------------------------------------------------------------------
 * Records are due at random moments that are drawn beforehand; each latency counts from when its
 * record was due.  So a broker that stalls cannot hide the requests that were not sent meanwhile.
 */
struct due {
	uint64_t due_us;
	uint64_t delivered_us, consumed_us; /* 0: not yet */
};

struct open_loop {
	struct due *records;
	size_t count, produced, delivered, failed, consumed;
	rd_kafka_t *producers[OPEN_LOOP_PRODUCERS];
	rd_kafka_topic_t *topics[OPEN_LOOP_PRODUCERS];
	uint8_t *value;
	uint64_t mark; /* of this run's records */
};

static void on_open_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *context)
{
	struct open_loop *o = context;
	struct due *due = m->_private;

	(void)rk;
	if (m->err && !o->failed++)
		fprintf(stderr, "kafka_load: delivery: %s\n", rd_kafka_err2str(m->err));
	due->delivered_us = clock_now_us();
	o->delivered++;
}

static void take_consumed(struct open_loop *o, rd_kafka_message_t *m)
{
	const uint8_t *value = m->payload;

	if (m->err)
		die("open-loop", rd_kafka_message_errstr(m));
	if (m->len == OPEN_LOOP_BYTES && get_u64(value) == o->mark) {
		uint64_t i = get_u64(value + sizeof(uint64_t));

		if (i < o->count && !o->records[i].consumed_us) {
			o->records[i].consumed_us = clock_now_us();
			o->consumed++;
		}
	}
	rd_kafka_message_destroy(m);
}

static void consume_open(struct open_loop *o, rd_kafka_queue_t *queue)
{
	rd_kafka_message_t *messages[PARTITIONS_MAX];
	ssize_t n = rd_kafka_consume_batch_queue(queue, OPEN_LOOP_POLL_MS, messages, 1);

	while (n > 0) {
		for (ssize_t i = 0; i < n; i++)
			take_consumed(o, messages[i]);
		n = rd_kafka_consume_batch_queue(queue, 0, messages, PARTITIONS_MAX);
	}
}

/* Gaps as of many clients that know nothing of each other. */
static void draw_dues(struct open_loop *o, uint64_t start_us, size_t per_s)
{
	struct prng prng = { 1 };
	double at_us = (double)start_us;

	for (size_t i = 0; i < o->count; i++) {
		double unit = ((double)(prng_next(&prng) >> 11) + 1) / (double)(UINT64_C(1) << 53);

		at_us -= log(unit) * US_PER_S / (double)per_s;
		o->records[i].due_us = (uint64_t)at_us;
	}
}

static void produce_what_is_due(struct open_loop *o)
{
	while (o->produced < o->count && o->records[o->produced].due_us <= clock_now_us()) {
		size_t turn = o->produced % OPEN_LOOP_PRODUCERS;

		put_u64(o->value, o->mark);
		put_u64(o->value + sizeof(uint64_t), o->produced);
		produce_one(o->producers[turn], o->topics[turn], RD_KAFKA_PARTITION_UA, o->value,
			    OPEN_LOOP_BYTES, &o->records[o->produced]);
		o->produced++;
	}
	for (int i = 0; i < OPEN_LOOP_PRODUCERS; i++)
		rd_kafka_poll(o->producers[i], 0);
}

static void print_times(const char *name, uint64_t *us, size_t count)
{
	qsort(us, count, sizeof(*us), compare_u64);
	printf("%s_p50_ms=%.1f %s_p99_ms=%.1f %s_max_ms=%.1f ", name, (double)us[count / 2] / 1e3,
	       name, (double)us[count * 99 / 100] / 1e3, name, (double)us[count - 1] / 1e3);
}

static void print_open(const struct open_loop *o, size_t per_s)
{
	size_t from = per_s * OPEN_LOOP_WARM_S, count = o->count - from;
	uint64_t *us = memory_take_array(count, sizeof(*us));

	for (size_t i = 0; i < count; i++)
		us[i] = o->records[from + i].delivered_us - o->records[from + i].due_us;
	print_times("produce", us, count);
	for (size_t i = 0; i < count; i++)
		us[i] = o->records[from + i].consumed_us - o->records[from + i].due_us;
	print_times("end", us, count);
	printf("records=%zu failed=%zu bytes=%zu\n", count, o->failed, o->count * OPEN_LOOP_BYTES);
	memory_free(us);
}

static size_t partition_count_of(rd_kafka_t *rk, rd_kafka_topic_t *topic)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, topic, &metadata, SILENCE_MS);

	if (err)
		die("metadata", rd_kafka_err2str(err));
	size_t count = (size_t)metadata->topics[0].partition_cnt;
	rd_kafka_metadata_destroy(metadata);
	return count;
}

static void open_loop(char **words)
{
	size_t per_s = number(words[2]), seconds = number(words[3]) + OPEN_LOOP_WARM_S;
	struct open_loop o = { .count = per_s * seconds,
			       .mark = random_u64(),
			       .value = value_new(OPEN_LOOP_BYTES) };
	for (int i = 0; i < OPEN_LOOP_PRODUCERS; i++) {
		o.producers[i] = default_producer_new(words[0], on_open_delivery, &o, true);
		o.topics[i] = topic_new(o.producers[i], words[1]);
	}
	rd_kafka_t *consumer =
		consumer_new(words[0], words[1], partition_count_of(o.producers[0], o.topics[0]));
	rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
	uint64_t start_us = clock_now_us() + US_PER_S,
		 end_us = start_us + (seconds + 60) * US_PER_S;

	o.records = memory_take_array(o.count, sizeof(*o.records));
	memset(o.records, 0, o.count * sizeof(*o.records));
	draw_dues(&o, start_us, per_s);
	while (o.delivered < o.count || o.consumed < o.count - o.failed) {
		produce_what_is_due(&o);
		consume_open(&o, queue);
		if (clock_now_us() > end_us)
			die("open-loop", "records are missing");
	}
	print_open(&o, per_s);
	rd_kafka_queue_destroy(queue);
	rd_kafka_consumer_close(consumer);
	rd_kafka_destroy(consumer);
	for (int i = 0; i < OPEN_LOOP_PRODUCERS; i++) {
		rd_kafka_topic_destroy(o.topics[i]);
		rd_kafka_destroy(o.producers[i]);
	}
	memory_free(o.records);
	memory_free(o.value);
}

/* --- without a client library -------------------------------------------------------------------
 */
static int connect_to(const char *broker)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	char host[64];
	const char *colon = strchr(broker, ':');
	int on = 1;

	if (!colon || (size_t)(colon - broker) >= sizeof(host))
		die(broker, "not HOST:PORT");
	snprintf(host, sizeof(host), "%.*s", (int)(colon - broker), broker);
	address.sin_port = htons((uint16_t)number(colon + 1));
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || inet_pton(AF_INET, host, &address.sin_addr) != 1 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(broker, "no connection");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static void read_all(int fd, uint8_t *to, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = recv(fd, to + done, size - done, MSG_WAITALL);

		if (n <= 0)
			die("fetch-raw", "the broker hung up");
		done += (size_t)n;
	}
}

struct raw_fetch {
	int fd;
	struct slice topic;
	size_t partition_count, bytes;
	int64_t next[PARTITIONS_MAX];
	struct buf request;
	struct arena arena;
	uint8_t *response;
};

static void send_fetch(struct raw_fetch *f)
{
	struct kafka_fetch_request_partition partitions[PARTITIONS_MAX];
	struct kafka_fetch_request_topic topic = { .topic = f->topic, .partitions = partitions };
	struct kafka_fetch_request r;

	schema_defaults(&kafka_fetch_request_schema, &r);
	topic.partitions_count = f->partition_count;
	for (size_t i = 0; i < f->partition_count; i++)
		partitions[i] = (struct kafka_fetch_request_partition) {
			.partition = (int32_t)i,
			.fetch_offset = f->next[i],
			.current_leader_epoch = -1,
			.log_start_offset = -1,
			.partition_max_bytes = 8 << 20,
		};
	r.max_wait_ms = 500;
	r.min_bytes = 1;
	r.max_bytes = 64 << 20;
	r.topics = &topic;
	r.topics_count = 1;

	buf_clear(&f->request);
	buf_add_u32(&f->request, 0);
	buf_add_u16(&f->request, (uint16_t)kafka_fetch_request_schema.key);
	buf_add_u16(&f->request, FETCH_VERSION);
	buf_add_u32(&f->request, 0); /* correlation id */
	buf_add_u16(&f->request, 0); /* client id: empty */
	schema_encode(&kafka_fetch_request_schema, FETCH_VERSION, &r, &f->request);
	put_u32(f->request.data, (uint32_t)f->request.size - 4);
	if (send(f->fd, f->request.data, f->request.size, 0) != (ssize_t)f->request.size)
		die("fetch-raw", "the broker hung up");
}

/* Where the partition goes on: after the last batch, whose header is all that is read. */
static void take_records(struct raw_fetch *f, size_t partition, struct slice records)
{
	enum { LENGTH_AT = 8, LAST_DELTA_AT = 23, LENGTH_END = 12, HEADER_BYTES = 61 };

	f->bytes += records.size;
	while (records.size >= HEADER_BYTES) {
		size_t size = get_u32(records.data + LENGTH_AT) + LENGTH_END;

		if (size > records.size)
			break;
		f->next[partition] = (int64_t)get_u64(records.data) +
				     (int64_t)get_u32(records.data + LAST_DELTA_AT) + 1;
		records = slice_part(records, size, records.size);
	}
}

/* False when there was nothing new. */
static bool take_response(struct raw_fetch *f)
{
	uint8_t header[8];
	struct kafka_fetch_response r;
	size_t bytes_before = f->bytes;

	read_all(f->fd, header, sizeof(header));
	size_t size = get_u32(header) - 4;
	if (size > RESPONSE_BYTES_MAX)
		die("fetch-raw", "an answer that is too large");
	read_all(f->fd, f->response, size);
	arena_reset(&f->arena);
	if (schema_decode_all(&f->arena, &kafka_fetch_response_schema, FETCH_VERSION,
			      (struct slice) { f->response, size }, &r))
		die("fetch-raw", "an answer that is no Fetch response");
	for (size_t t = 0; t < r.responses_count; t++)
		for (size_t i = 0; i < r.responses[t].partitions_count; i++) {
			struct kafka_fetch_response_partition *p = &r.responses[t].partitions[i];

			if (p->error_code)
				die("fetch-raw", "a partition with an error");
			if (p->partition_index >= 0 && p->partition_index < PARTITIONS_MAX)
				take_records(f, (size_t)p->partition_index, p->records);
		}
	return f->bytes > bytes_before;
}

static void fetch_raw(char **words)
{
	size_t total = number(words[3]);
	struct raw_fetch f = { .fd = connect_to(words[0]),
			       .topic = slice_from(words[1]),
			       .partition_count = number(words[2]),
			       .response = memory_take(RESPONSE_BYTES_MAX) };

	if (f.partition_count > PARTITIONS_MAX)
		die(words[2], "too many partitions");
	buf_init(&f.request);
	arena_init(&f.arena);
	uint64_t start = clock_now_us();
	do {
		send_fetch(&f);
	} while (take_response(&f) && f.bytes < total);
	printf("bytes=%zu seconds=%.3f\n", f.bytes, (double)(clock_now_us() - start) / 1e6);
	arena_done(&f.arena);
	buf_done(&f.request);
	memory_free(f.response);
	close(f.fd);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(char **words);
	} modes[] = { { "produce", produce }, { "produce-default", produce_default },
		      { "latency", latency }, { "open-loop", open_loop },
		      { "fetch", fetch },     { "fetch-raw", fetch_raw } };

	for (size_t i = 0; argc == 6 && i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(modes[i].name, argv[1]) == 0) {
			modes[i].run(argv + 2);
			return 0;
		}
	fputs("usage: kafka_load produce|produce-default|latency|open-loop|fetch|fetch-raw BROKER "
	      "TOPIC NUMBER NUMBER\n",
	      stderr);
	return 2;
}
