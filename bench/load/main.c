/* usage: broker_load NAME=VALUE ...     the names are in the table below
 *
 * Loads one broker, and prints one JSON object: what was made, acknowledged and consumed, how long
 * it took, and what the processes `pids` spent meanwhile. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "consumer.h"
#include "kafka_messages.h"
#include "producer.h"

enum {
	CREATE_VERSION = 7,
	METADATA_VERSION = 9,
	CREATE_MS = 300000,
	SETTLE_US = 200000,  /* between two looks whether the topics are there */
	OPEN_AT_A_TIME = 64, /* connections whose identities are asked for together */
	WAIT_US_MAX = 100000,
	PROBED_MAX = 10000, /* partitions in one question */
};

_Noreturn void load_die(const char *what, const char *why)
{
	fprintf(stderr, "broker_load: %s: %s\n", what, why);
	exit(1);
}

/* --- options ------------------------------------------------------------------------------------
 */
#define NUMBER(field)                                                                              \
	{                                                                                          \
#field, offsetof(struct load_options, field), false                                \
	}
#define TEXT(field)                                                                                \
	{                                                                                          \
#field, offsetof(struct load_options, field), true                                 \
	}
static const struct {
	const char *name;
	size_t offset;
	bool is_text;
} option_rows[] = {
	TEXT(broker),
	TEXT(topic),
	NUMBER(topics),
	NUMBER(partitions),
	TEXT(keys),
	TEXT(from),
	NUMBER(connections),
	NUMBER(consumers),
	NUMBER(record_bytes),
	NUMBER(batch_bytes),
	NUMBER(linger_ms),
	NUMBER(in_flight),
	NUMBER(rate),
	NUMBER(seconds),
	NUMBER(warm_seconds),
	NUMBER(fetch_bytes),
	NUMBER(fetch_wait_ms),
};
#undef NUMBER
#undef TEXT

static size_t number(const char *name, const char *text)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	if (*end || end == text || n > UINT32_MAX)
		load_die(name, "not a number");
	return (size_t)n;
}

static void set_option(struct load_options *o, const char *word)
{
	size_t size = strcspn(word, "=");

	if (!word[size])
		load_die(word, "not NAME=VALUE");
	for (size_t i = 0; i < sizeof(option_rows) / sizeof(option_rows[0]); i++) {
		void *field = (char *)o + option_rows[i].offset;
		if (strncmp(option_rows[i].name, word, size) != 0 || option_rows[i].name[size])
			continue;
		if (option_rows[i].is_text)
			*(const char **)field = word + size + 1;
		else
			*(size_t *)field = number(word, word + size + 1);
		return;
	}
	if (strncmp(word, "pids=", 5) == 0)
		servers_parse(&o->servers, word + 5);
	else if (strcmp(word, "create=1") == 0)
		o->creates = true;
	else
		load_die(word, "no such option");
}

static void check_options(const struct load_options *o)
{
	if (!o->broker || !o->topics || !o->partitions || !o->seconds)
		load_die("options", "broker, topics, partitions and seconds are needed");
	if (o->record_bytes < LOAD_STAMP_BYTES || o->record_bytes > LOAD_REQUEST_BYTES_MAX ||
	    o->batch_bytes > LOAD_REQUEST_BYTES_MAX || !o->batch_bytes)
		load_die("options", "impossible sizes");
	if (!o->in_flight || o->in_flight > PRODUCER_IN_FLIGHT_MAX)
		load_die("in_flight", "1 to 64");
	if (o->topics * o->partitions * (o->connections ? o->connections : 1) > LOAD_QUEUES_MAX)
		load_die("options", "too many partitions for so many connections");
	if (o->topics * o->partitions < o->consumers)
		load_die("options", "more consumers than partitions");
}

struct slice load_topic_name(const struct load *l, size_t topic, char ret[static 256])
{
	int size = snprintf(ret, 256, "%.200s-%zu", l->options.topic, topic);

	return (struct slice) { (const uint8_t *)ret, (size_t)size };
}

int64_t load_topic_number(const struct load *l, struct slice name)
{
	size_t prefix = strlen(l->options.topic) + 1;
	int64_t n = 0;

	if (name.size <= prefix || memcmp(name.data, l->options.topic, prefix - 1) != 0)
		return -1;
	for (size_t i = prefix; i < name.size; i++)
		n = n * 10 + name.data[i] - '0';
	return n >= 0 && (size_t)n < l->options.topics ? n : -1;
}

/* --- topics -------------------------------------------------------------------------------------
 */
static void create_topic(struct load *l, struct peer *p, size_t i)
{
	struct kafka_create_topics_request_topic topic = {
		.num_partitions = (int32_t)l->options.partitions,
		.replication_factor = 1,
	};
	struct kafka_create_topics_request r;
	struct kafka_create_topics_response answer;
	char name[256], why[64];

	schema_defaults(&kafka_create_topics_request_schema, &r);
	topic.name = load_topic_name(l, i, name);
	r.topics = &topic;
	r.topics_count = 1;
	r.timeout_ms = CREATE_MS;
	peer_send(p, &kafka_create_topics_request_schema, CREATE_VERSION, &r);
	peer_receive(p, &kafka_create_topics_response_schema, CREATE_VERSION, &answer);
	if (answer.topics_count != 1 || answer.topics[0].error_code) {
		snprintf(why, sizeof(why), "error %d",
			 answer.topics_count ? answer.topics[0].error_code : -1);
		load_die("create topic", why);
	}
}

static bool topic_is_there(struct load *l, struct peer *p, size_t i)
{
	struct kafka_metadata_request_topic topic = { 0 };
	struct kafka_metadata_request r;
	struct kafka_metadata_response answer;
	char name[256];

	schema_defaults(&kafka_metadata_request_schema, &r);
	topic.name = load_topic_name(l, i, name);
	r.topics = &topic;
	r.topics_count = 1;
	peer_send(p, &kafka_metadata_request_schema, METADATA_VERSION, &r);
	peer_receive(p, &kafka_metadata_response_schema, METADATA_VERSION, &answer);
	if (answer.topics_count != 1 || answer.topics[0].error_code ||
	    answer.topics[0].partitions_count != l->options.partitions)
		return false;
	for (size_t k = 0; k < answer.topics[0].partitions_count; k++)
		if (answer.topics[0].partitions[k].error_code)
			return false;
	return true;
}

/* Until each partition has a leader; in milliseconds. */
static double prepare_topics(struct load *l)
{
	uint64_t begin_us = clock_now_us();
	size_t probes = (load_partition_count(l) + PROBED_MAX - 1) / PROBED_MAX;
	struct consumer probe;
	struct peer p;

	peer_open(&p, l);
	for (size_t i = 0; l->options.creates && i < l->options.topics; i++)
		create_topic(l, &p, i);
	for (size_t i = 0; i < l->options.topics; i++)
		while (!topic_is_there(l, &p, i)) {
			if (clock_now_us() - begin_us > (uint64_t)CREATE_MS * 1000)
				load_die("topics", "they do not get leaders");
			usleep(SETTLE_US);
		}
	close(p.fd);
	for (size_t i = 0; i < probes; i++) { /* metadata may be ahead of the logs */
		consumer_open(&probe, l, i, probes);
		consumer_close(&probe);
	}
	return (double)(clock_now_us() - begin_us) / 1e3;
}

/* --- the load -----------------------------------------------------------------------------------
 */
static struct load_spent spent_now(const struct load *l)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (struct load_spent) {
		.servers_s = servers_cpu_s(&l->options.servers),
		.client_s = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
			    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6,
	};
}

/* Goes on with what waits, then waits for the next event, at `next_us` at the latest. */
static void turn(struct load *l, uint64_t next_us)
{
	uint64_t linger_us = producers_linger(l), resume_us = producers_resume(l);

	if (next_us > l->now_us + WAIT_US_MAX)
		next_us = l->now_us + WAIT_US_MAX;
	if (next_us > linger_us)
		next_us = linger_us;
	peers_wait(l, next_us < resume_us ? next_us : resume_us);
	if (l->now_us >= l->from_us && !l->is_counting) {
		l->is_counting = true;
		l->spent_before = spent_now(l);
	}
}

/* Gaps as of many clients that know nothing of each other. */
static double gap_us(struct prng *prng, size_t rate)
{
	double unit = ((double)(prng_next(prng) >> 11) + 1) / (double)(UINT64_C(1) << 53);

	return -log(unit) * LOAD_US_PER_S / (double)rate;
}

struct schedule {
	struct prng prng;
	double due_us; /* of the next record */
	size_t whose;
};

static void make_what_is_due(struct load *l, struct schedule *s, struct producer *producers)
{
	uint64_t until_us = l->now_us < l->until_us ? l->now_us : l->until_us - 1;

	while (s->due_us <= (double)until_us && l->waiting_bytes < LOAD_WAITING_BYTES_MAX) {
		struct producer *p = &producers[s->whose++ % l->options.connections];
		producer_make(p, (uint64_t)s->due_us);
		if (p->ready_count > 0)
			producer_push(p);
		s->due_us += gap_us(&s->prng, l->options.rate);
	}
}

static void run_open(struct load *l, struct producer *producers)
{
	struct schedule s = { .prng = { l->mark }, .due_us = (double)l->start_us };

	while (l->now_us < l->until_us) {
		make_what_is_due(l, &s, producers);
		turn(l, (uint64_t)s.due_us);
	}
	make_what_is_due(l, &s, producers);
	/* Due, but never made for lack of memory: the broker was too slow by far. */
	for (; s.due_us < (double)l->until_us; s.due_us += gap_us(&s.prng, l->options.rate))
		if (load_counts(l, (uint64_t)s.due_us)) {
			l->expected++;
			l->failed++;
			histogram_add(&l->produce, l->now_us - (uint64_t)s.due_us);
		}
}

static void run_closed(struct load *l, struct producer *producers)
{
	for (size_t i = 0; i < l->options.connections; i++)
		producer_fill(&producers[i]);
	while (l->now_us < l->until_us)
		turn(l, l->until_us);
}

/* What is under way arrives, or counts as it is. */
static void drain(struct load *l, struct producer *producers)
{
	bool has_consumers = l->options.consumers > 0 && l->options.connections > 0;
	uint64_t end_us = l->now_us + LOAD_DRAIN_US_MAX;

	while ((l->acknowledged < l->made || (has_consumers && l->consumed < l->expected)) &&
	       l->now_us < end_us)
		turn(l, end_us);
	for (size_t i = 0; i < l->options.connections && l->acknowledged < l->made; i++)
		producer_give_up(&producers[i]);
}

static struct producer *open_producers(struct load *l)
{
	size_t count = l->options.connections;
	struct producer *all = memory_take_array(count + 1, sizeof(*all));

	for (size_t i = 0; i < count;) {
		size_t begin = i;
		for (; i < count && i < begin + OPEN_AT_A_TIME; i++)
			producer_open(&all[i], l);
		for (size_t k = begin; k < i; k++)
			producer_begin(&all[k]);
	}
	return all;
}

static struct consumer *open_consumers(struct load *l)
{
	struct consumer *all = memory_take_array(l->options.consumers + 1, sizeof(*all));

	for (size_t i = 0; i < l->options.consumers; i++) {
		consumer_open(&all[i], l, i, l->options.consumers);
		consumer_begin(&all[i]);
	}
	return all;
}

/* --- results ------------------------------------------------------------------------------------
 */
static void print_results(const struct load *l, const struct load_spent *to, double topics_ms,
			  double connect_ms)
{
	double servers_s = to->servers_s - l->spent_before.servers_s;
	double seconds = (double)l->options.seconds;
	double gib = (double)(l->produced_bytes ? l->produced_bytes : l->consumed_bytes) /
		     (double)(1 << 30);

	printf("{\"topics_ms\": %.1f, \"connect_ms\": %.1f, \"seconds\": %.3f, ", topics_ms,
	       connect_ms, seconds);
	printf("\"produced_mb_s\": %.3f, \"consumed_mb_s\": %.3f, \"produced_bytes\": %llu, ",
	       (double)l->produced_bytes / 1e6 / seconds, (double)l->consumed_bytes / 1e6 / seconds,
	       (unsigned long long)l->produced_bytes);
	printf("\"made\": %llu, \"failed\": %llu, \"retried\": %llu, \"not_consumed\": %llu, ",
	       (unsigned long long)l->made, (unsigned long long)l->failed,
	       (unsigned long long)l->retried,
	       (unsigned long long)(l->options.consumers && l->expected > l->consumed
					    ? l->expected - l->consumed
					    : 0));
	printf("\"produce_requests\": %llu, \"fetch_requests\": %llu, ",
	       (unsigned long long)l->produce_requests, (unsigned long long)l->fetch_requests);
	printf("\"cpu_s\": %.2f, \"client_cpu_s\": %.2f, \"cpu_s_per_gib\": %.3f, "
	       "\"resident_mb\": %.1f, ",
	       servers_s, to->client_s - l->spent_before.client_s, gib > 0 ? servers_s / gib : 0,
	       servers_resident_bytes(&l->options.servers) / 1e6);
	printf("\"produce\": ");
	histogram_print(&l->produce, stdout);
	printf(", \"end_to_end\": ");
	histogram_print(&l->end_to_end, stdout);
	printf(", \"late\": ");
	histogram_print(&l->late, stdout);
	printf("}\n");
}

static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	static struct load l = {
		.options = { .topic = "load",
			     .keys = "none",
			     .from = "end",
			     .topics = 1,
			     .partitions = 10,
			     .connections = 4,
			     .consumers = 1,
			     .record_bytes = 1024,
			     .batch_bytes = 16384,
			     .linger_ms = 5,
			     .in_flight = 5,
			     .seconds = 10,
			     .warm_seconds = 3,
			     .fetch_bytes = 1 << 20,
			     .fetch_wait_ms = 500 },
	};
	struct load_options *o = &l.options;

	for (int i = 1; i < argc; i++)
		set_option(o, argv[i]);
	check_options(o);
	raise_limit();
	peers_open(&l.peers);
	list_init(&l.lingering);
	list_init(&l.pausing);
	l.mark = random_u64();
	double topics_ms = prepare_topics(&l);
	uint64_t connecting_us = clock_now_us();
	l.now_us = connecting_us;
	l.until_us = l.from_us = UINT64_MAX; /* nothing counts yet */
	struct producer *producers = open_producers(&l);
	open_consumers(&l);
	l.start_us = l.now_us = clock_now_us();
	double connect_ms = (double)(l.start_us - connecting_us) / 1e3;
	l.from_us = l.start_us + o->warm_seconds * LOAD_US_PER_S;
	l.until_us = l.from_us + o->seconds * LOAD_US_PER_S;
	if (o->rate && o->connections)
		run_open(&l, producers);
	else
		run_closed(&l, producers);
	struct load_spent to = spent_now(&l);
	drain(&l, producers);
	print_results(&l, &to, topics_ms, connect_ms);
	return 0;
}
